"""The files of the deliveries, written a block at a time and closed at the end.

CSV, JSON lines and XML grow as blocks come. Formats that must know their end before their beginning (one JSON
document, XLSX, Parquet) are kept as Arrow streams beside them until :meth:`Shelf.close`. No more than one file is open
at any time, and nothing is held in memory, so that a city of any size can be written.
"""

import datetime as dt
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from experiments.city.feeds import EXTENSION, Feed

SHEET_ROWS = 1_000_000
"""Records of one XLSX sheet; more go to a second file."""
PART_ROWS = 200_000
"""Records of one row group in Parquet."""
_WRITTEN_AT = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - Excel knows no zones
_SPOOLED = frozenset({"xlsx", "parquet", "json"})


@dataclass
class Shelf:
    """The folder ``deliveries``, filled month by month and feed by feed.

    Attributes:
        root: the folder.
        rows: records written so far, by feed and month.
    """

    root: Path
    rows: dict[tuple[Feed, int], int] = field(default_factory=dict)

    def append(self, feed: Feed, month: int, records: pl.DataFrame) -> None:
        """Add records to the file of a feed and month.

        Args:
            feed: whose records they are.
            month: of the delivery, as 202403.
            records: one column a heading; cells are text or, for JSON and Parquet, of the format's own types.
        """
        new = (feed, month) not in self.rows
        self.rows[feed, month] = self.rows.get((feed, month), 0) + len(records)
        path = self.path(feed, month)
        if feed.format in _SPOOLED:
            path = path.with_suffix(".arrows")
        if new:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        with path.open("ab") as file:
            file.write(_encoded(feed, records, new=new))

    def path(self, feed: Feed, month: int, part: int = 0) -> Path:
        """Return the file of a feed and month; the parts of a month that needs several are numbered from 1."""
        tail = f"-{part}" if part else ""
        return self.root / feed.source / f"{feed.name}-{month}{tail}.{EXTENSION[feed.format]}"

    def close(self) -> dict[str, int]:
        """Finish all files.

        Returns:
            Records by file, named as ``S01/bid-202403.csv``, sorted.
        """
        written: dict[str, int] = {}
        for (feed, month), rows in self.rows.items():
            path = self.path(feed, month)
            spool = path.with_suffix(".arrows")
            parts = {path: rows}
            match feed.format:
                case "xml":
                    with path.open("ab") as file:
                        file.write(b"</deliveries>\n")
                case "json":
                    _close_json(spool, path, rows)
                case "parquet":
                    _close_parquet(spool, path)
                case "xlsx":
                    parts = _close_xlsx(spool, [self.path(feed, month, p) for p in _parts(rows)], rows)
                case _:
                    pass
            spool.unlink(missing_ok=True)
            written |= {str(p.relative_to(self.root)): n for p, n in parts.items()}
        return dict(sorted(written.items()))


def _parts(rows: int) -> range:
    return range(1) if rows <= SHEET_ROWS else range(1, 2 + (rows - 1) // SHEET_ROWS)


def _encoded(feed: Feed, records: pl.DataFrame, *, new: bool) -> bytes:
    buffer = io.BytesIO()
    match feed.format:
        case "csv" | "csv_gb18030":
            records.write_csv(buffer, include_header=new)
            encoded = buffer.getvalue()
            return encoded.decode().encode("gb18030") if feed.format == "csv_gb18030" else encoded
        case "jsonl":
            records.write_ndjson(buffer)
        case "xml":
            return _xml(feed, records, new=new).encode()
        case "json":
            # A document cannot be closed yet: its records wait as lines.
            records.write_ndjson(buffer)
        case "xlsx":
            as_text(records).write_ipc_stream(buffer, compat_level=pl.CompatLevel.oldest())
        case "parquet":
            records.write_ipc_stream(buffer, compat_level=pl.CompatLevel.oldest())
    return buffer.getvalue()


def as_text(records: pl.DataFrame) -> pl.DataFrame:
    """Return the cells as the text that stands in a file without types."""
    return records.select(pl.all().cast(pl.String))


def element(heading: str) -> str:
    """Return a heading as XML element name: without the characters that such a name may not have."""
    return re.sub(r"[^\w.\-]", "", heading)


def _xml(feed: Feed, records: pl.DataFrame, *, new: bool) -> str:
    cells: list[pl.Expr | str] = []
    for heading in records.columns:
        text = pl.col(heading).fill_null("")
        for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.str.replace_all(sign, entity, literal=True)
        name = element(heading)
        cells += [pl.lit(f"<{name}>"), text, pl.lit(f"</{name}>")]
    lines = as_text(records).select(pl.concat_str(pl.lit("<record>"), *cells, pl.lit("</record>\n"))).to_series()
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<deliveries source="{feed.source}" feed="{feed.name}">\n'
    return (head if new else "") + "".join(lines)


def _batches(spool: Path) -> Iterator[pa.RecordBatch]:
    with spool.open("rb") as file:
        while file.peek(1):
            yield from pyarrow.ipc.open_stream(file)


def _close_json(spool: Path, path: Path, rows: int) -> None:
    with (
        spool.open(encoding="utf-8", newline="\n") as lines,
        path.open("w", encoding="utf-8", newline="\n") as document,
    ):
        document.write(f'{{"total": {rows}, "data": [\n')
        for place, line in enumerate(lines):
            document.write(("" if place == 0 else ",\n") + line.rstrip("\n"))
        document.write("\n]}\n")


def _close_parquet(spool: Path, path: Path) -> None:
    batches = _batches(spool)
    first = next(batches)
    with pyarrow.parquet.ParquetWriter(path, first.schema, compression="zstd") as writer:
        held, size = [first], first.num_rows
        for batch in batches:
            held, size = [*held, batch], size + batch.num_rows
            if size >= PART_ROWS:
                writer.write_table(pa.Table.from_batches(held), row_group_size=PART_ROWS)
                held, size = [], 0
        if held:
            writer.write_table(pa.Table.from_batches(held), row_group_size=PART_ROWS)


def _close_xlsx(spool: Path, paths: list[Path], rows: int) -> dict[Path, int]:
    records = (row for batch in _batches(spool) for row in zip(*batch.to_pydict().values(), strict=True))
    names = next(_batches(spool)).schema.names
    written: dict[Path, int] = {}
    for path in paths:
        written[path] = min(rows, SHEET_ROWS)
        rows -= written[path]
        with closing(xlsxwriter.Workbook(path, {"constant_memory": True})) as book:
            book.set_properties({"created": _WRITTEN_AT})
            sheet = book.add_worksheet()
            _write_rows(sheet, [names], 0)
            _write_rows(sheet, (next(records) for _ in range(written[path])), 1)
    return written


def _write_rows(sheet: Worksheet, rows: Iterable[Iterable[str | None]], first: int) -> None:
    for place, cells in enumerate(rows, start=first):
        for column, cell in enumerate(cells):
            if cell is not None:
                sheet.write_string(place, column, cell)
