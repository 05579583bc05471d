"""XLSX workbooks: one sheet, headings in its first row."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import fastexcel
import polars as pl

from features.ingest.formats.chunks import CHUNK_ROWS, Chunk, FileError, headings, placed

UNPACKED_BYTES = 4 * 10**9
"""What a workbook may unpack to: above a full sheet of a million rows, below what a crafted file asks for."""


def read_spreadsheet(path: Path) -> Iterator[Chunk]:
    """Yield the rows of the first sheet as text; rows without any cell are passed over. Places are rows of the sheet.

    A sheet has at most 1,048,576 rows and is read whole.

    Raises:
        FileError: the file is no workbook, or is cut off.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            if sum(part.file_size for part in packed.infolist()) > UNPACKED_BYTES:
                raise FileError(path.name, "The workbook unpacks to more than 4 GB.", "deliver it in several files.")
        # Sheet names would have to be known; headings are checked after, so that one stands for itself when repeated.
        cells = fastexcel.read_excel(str(path)).load_sheet(0, header_row=None, dtypes="string").to_polars()
    except (fastexcel.FastExcelError, zipfile.BadZipFile) as error:
        what = "The file is no XLSX workbook, or is cut off."
        raise FileError(path.name, what, "save it as .xlsx and transfer it again.") from error
    delivered = [str(cell or "") for cell in cells.row(0)] if cells.height else []
    while delivered and not delivered[-1].strip():
        delivered.pop()
    names = headings(path, delivered)
    rows = cells[1:, : len(names)].rename(dict(zip(cells.columns, names, strict=False)))
    numbered = rows.with_row_index("row number", offset=2)
    given = numbered.filter(~pl.all_horizontal(pl.col(names).is_null()))
    for start in range(0, max(given.height, 1), CHUNK_ROWS):
        part = given[start : start + CHUNK_ROWS]
        yield Chunk(part.select(names), placed(path, part.get_column("row number")))
