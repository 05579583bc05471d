"""Finds and reads delivered files in the contract's shape, in batches, so that memory is bounded."""

import csv
import gzip
import io
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from features.ingest.formats.chunks import placed
from features.ingest.formats.delimited import ends_its_line
from features.tables.columns import Table
from features.tables.contract import SOURCE_TABLES

BATCH_ROWS = 50_000
BATCH_CHARACTERS = 16_000_000
BLOCK_CHARACTERS = 8_000_000
CELL_CHARACTERS = 16_000_000
"""The longest single cell of a CSV file that is read."""
USED_TECHNICAL = ("source_record_id", "valid_from_ts", "source_code")
"""Technical columns that a file may bring and that are used."""
IGNORED_TECHNICAL = ("loaded_at", "valid_to_ts")
"""Technical columns that a file may bring and that are ignored: the platform states its own."""
ENDINGS = (".parquet", ".csv", ".csv.gz")
NOT_DATA = (".md", ".txt")


@dataclass(frozen=True)
class FileProblem:
    """Why a delivered file was not read at all.

    Attributes:
        file: its name.
        message: what is wrong with it.
        mend: what the sender can do.
    """

    file: str
    message: str
    mend: str


@dataclass(frozen=True)
class Batch:
    """Some rows of one file.

    Attributes:
        rows: the file's own columns, text for CSV, the stored types for Parquet.
        places: where each row stands, such as ``bid.csv:12``.
        uneven: the cells of rows that have fewer or more than the heading, by place in the batch; in ``rows`` they
            are filled up or cut.
        raw: the rows as they were kept in quarantine, for rows that come from there.
        cut: the place of a row that is uneven only because the file ends within its line.
    """

    rows: pl.DataFrame
    places: pl.Series
    uneven: Mapping[int, list[str]]
    raw: list[str] | None = None
    cut: int | None = None


@dataclass(frozen=True)
class TableFile:
    """A delivered file of one table, known to be readable and to have the right columns."""

    table: type[Table]
    path: Path
    columns: tuple[str, ...]

    def batches(self) -> Iterator[Batch]:
        """Yield the rows in the file's order."""
        return _parquet_batches(self.path) if self.path.suffix == ".parquet" else _whole_batches(self.path)


def find_files(folder: Path) -> tuple[list[TableFile], list[FileProblem]]:
    """Return the readable files of a delivery, parents before children, and what is wrong with the others.

    Text is read through once to prove its encoding, before any row of it is loaded. Hidden files and files of
    notes (.md, .txt) are passed over.
    """
    found: dict[str, list[Path]] = {}
    problems: list[FileProblem] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix in NOT_DATA or path.name == "LICENSE":
            continue
        name = _table_name(path)
        if isinstance(name, FileProblem):
            problems.append(name)
        else:
            found.setdefault(name, []).append(path)
    files: list[TableFile] = []
    for name, table in SOURCE_TABLES.items():
        paths = found.get(name, [])
        if len(paths) > 1:
            names = ", ".join(path.name for path in paths)
            problems.append(FileProblem(names, f"The table {name} is delivered more than once.", "keep one file."))
        elif paths:
            opened = _open(table, paths[0])
            if isinstance(opened, FileProblem):
                problems.append(opened)
            else:
                files.append(opened)
    return files, problems


def _table_name(path: Path) -> str | FileProblem:
    ending = next((ending for ending in ENDINGS if path.name.endswith(ending)), None)
    if ending is None or not path.is_file():
        return FileProblem(
            path.name, "This is no file of a table.", "deliver TABLE.parquet, TABLE.csv or TABLE.csv.gz."
        )
    name = path.name.removesuffix(ending)
    if name in SOURCE_TABLES:
        return name
    near = get_close_matches(name, SOURCE_TABLES, n=1)
    hint = f"rename it to {near[0]}{ending}, " if near else ""
    return FileProblem(
        path.name,
        f"No table of the contract that sources deliver is called {name!r}.",
        f"{hint}or take it out; the tables are {', '.join(SOURCE_TABLES)}.",
    )


def _open(table: type[Table], path: Path) -> TableFile | FileProblem:
    try:
        columns = _parquet_columns(path) if path.suffix == ".parquet" else _csv_columns(path)
    except UnicodeDecodeError as error:
        return FileProblem(
            path.name,
            f"The text is not UTF-8{_guess(path)} (byte {error.start + 1} of a block).",
            "save it as UTF-8, with or without BOM, and deliver it again.",
        )
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return FileProblem(path.name, "The gzip file is damaged or cut off.", "pack and transfer it again.")
    except csv.Error as error:
        return FileProblem(path.name, f"The text is not CSV: {error}.", 'export it again, cells quoted with ".')
    except pa.ArrowException:
        return FileProblem(path.name, "The file is not Parquet, or is cut off.", "write and transfer it again.")
    return _checked(table, path, columns)


def _checked(table: type[Table], path: Path, columns: list[str]) -> TableFile | FileProblem:
    if not columns:
        return FileProblem(path.name, "The file has no heading.", "make the names of the columns its first line.")
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        return FileProblem(path.name, f"Columns stand twice: {', '.join(twice)}.", "keep one of each.")
    declared = table.columns()
    unknown = [name for name in columns if name not in (*declared, *USED_TECHNICAL, *IGNORED_TECHNICAL)]
    if unknown:
        hints = [f"{name} may be {near[0]}" for name in unknown if (near := get_close_matches(name, declared, n=1))]
        return FileProblem(
            path.name,
            f"The table {table.NAME} has no column {', '.join(unknown)}.",
            f"rename or remove {'them' if len(unknown) > 1 else 'it'}{': ' + '; '.join(hints) if hints else ''}.",
        )
    missing = [name for name, column in declared.items() if not column.nullable and name not in columns]
    if missing:
        return FileProblem(
            path.name,
            f"The table {table.NAME} needs the column {', '.join(missing)}.",
            "add what is missing; only columns that may be null can be left out.",
        )
    return TableFile(table, path, tuple(columns))


def _guess(path: Path) -> str:
    """Return what a text that is not UTF-8 looks like."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        raw = file.read(1_000_000)
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "; it looks like UTF-16"
    try:
        raw[: raw.rfind(b"\n") + 1].decode("gb18030")
    except UnicodeDecodeError:
        return ""
    return "; it looks like GB18030 (GBK)"


@contextmanager
def _opened(path: Path) -> Generator[TextIO]:
    csv.field_size_limit(CELL_CHARACTERS)
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as binary:
        yield io.TextIOWrapper(cast(BinaryIO, binary), encoding="utf-8-sig", newline="")


def _csv_columns(path: Path) -> list[str]:
    """Return the heading, once every line has proved readable."""
    with _opened(path) as text:
        heading = next(csv.reader(text, strict=True), [])
        for block in _blocks(text):
            if not _is_plain(block):
                for _ in csv.reader(_rest(block, text), strict=True):
                    pass
    return [name.strip() for name in heading]


def _whole_batches(path: Path) -> Iterator[Batch]:
    """Yield the rows of a CSV file; the last one is uneven where the file ends within its line."""
    held: Batch | None = None
    for batch in _csv_batches(path):
        if held is not None:
            yield held
        held = batch
    if held is not None:
        yield held if ends_its_line(path) else _cut(held)


def _cut(batch: Batch) -> Batch:
    last = batch.rows.height - 1
    if last in batch.uneven:
        return batch
    return replace(batch, uneven={**batch.uneven, last: list(batch.rows.row(last))}, cut=last)


def _csv_batches(path: Path) -> Iterator[Batch]:
    """Yield the rows of a file, by blocks of lines as long as nothing is quoted, then record by record."""
    with _opened(path) as text:
        reader = csv.reader(text, strict=True)
        heading, line = [name.strip() for name in next(reader)], reader.line_num
        for block in _blocks(text):
            if not _is_plain(block):
                yield from _quoted(path.name, _rest(block, text), heading, line)
                return
            yield from _plain(path, block, heading, line)
            line += block.count("\n")


def _blocks(text: TextIO) -> Iterator[str]:
    """Yield text in whole lines."""
    while block := text.read(BLOCK_CHARACTERS):
        yield block + text.readline()


def _rest(block: str, text: TextIO) -> Iterator[str]:
    yield from io.StringIO(block, newline="")
    yield from text


def _is_plain(block: str) -> bool:
    """Tell whether every line is a record and every comma parts two cells."""
    return '"' not in block and block.count("\r") == block.count("\r\n")


def _plain(path: Path, block: str, heading: list[str], line: int) -> Iterator[Batch]:
    lines = pl.Series(block.split("\n")).str.strip_suffix("\r")
    numbers = pl.int_range(line + 1, line + 1 + lines.len(), eager=True)
    lines, numbers = lines.filter(lines != ""), numbers.filter(lines != "")
    places = placed(path, numbers)
    n_cells = lines.str.count_matches(",", literal=True) + 1
    cells = lines.str.split_exact(",", len(heading) - 1).struct.unnest()
    rows = cells.rename(dict(zip(cells.columns, heading, strict=True))).select(pl.all().fill_null(""))
    for start in range(0, lines.len(), BATCH_ROWS):
        part = slice(start, start + BATCH_ROWS)
        uneven = {
            int(place): lines[start + int(place)].split(",") for place in (n_cells[part] != len(heading)).arg_true()
        }
        yield Batch(rows[part], places[part], uneven)


def _quoted(name: str, lines: Iterator[str], heading: list[str], line: int) -> Iterator[Batch]:
    reader = csv.reader(lines, strict=True)
    rows: list[list[str]] = []
    places: list[str] = []
    uneven: dict[int, list[str]] = {}
    characters, before = 0, line
    for row in reader:
        place, before = before + 1, line + reader.line_num
        if not row:
            continue
        if len(row) != len(heading):
            uneven[len(rows)] = row
            row = [*row[: len(heading)], *[""] * (len(heading) - len(row))]
        rows.append(row)
        places.append(f"{name}:{place}")
        characters += sum(map(len, row))
        if len(rows) >= BATCH_ROWS or characters >= BATCH_CHARACTERS:
            yield Batch(_frame(rows, heading), pl.Series(places), uneven)
            rows, places, uneven, characters = [], [], {}, 0
    if rows:
        yield Batch(_frame(rows, heading), pl.Series(places), uneven)


def _frame(rows: list[list[str]], heading: list[str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(heading, pl.String), orient="row")


def _parquet_columns(path: Path) -> list[str]:
    with pq.ParquetFile(path) as file:
        for _ in file.iter_batches(batch_size=BATCH_ROWS, columns=file.schema_arrow.names[:1]):
            pass
        return list(file.schema_arrow.names)


def _parquet_batches(path: Path) -> Iterator[Batch]:
    with pq.ParquetFile(path) as file:
        before = 0
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            rows = pl.DataFrame(pl.from_arrow(batch))
            numbers = pl.int_range(before + 1, before + rows.height + 1, eager=True)
            yield Batch(rows, placed(path, numbers), {})
            before += rows.height
