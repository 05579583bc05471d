"""CSV in UTF-8 or GB18030, plain or gzip."""

import csv
import gzip
import itertools
import json
import os
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import polars as pl
import pyarrow as pa
import pyarrow.csv as pc

from features.ingest.formats.chunks import CHUNK_BYTES, CHUNK_ROWS, Broken, Chunk, FileError, headings, placed


def read_delimited(path: Path, encoding: str) -> Iterator[Chunk]:
    """Yield the rows of a CSV file as text; empty cells are null. Places count records after the heading.

    A row with fewer or more cells than the heading is broken, the others load. So is the last one where the file ends
    within its line: it may be cut within its last cell. Cells may hold line breaks when quoted.

    Args:
        path: the file; ``.gz`` is unpacked on the way.
        encoding: ``utf-8`` (a BOM is passed over) or ``gb18030``.

    Raises:
        FileError: the encoding is another, the packing is damaged, or a quote never closes.
    """
    chunks = _chunks(path, encoding)
    held, last = next(chunks), 0
    try:
        for chunk in chunks:
            if chunk.rows.height or chunk.broken:
                yield held
                held, last = chunk, max(last, _last_number(chunk))
    except FileError:
        yield held
        raise
    yield held if ends_its_line(path) else _unfinished(held, last)


def _chunks(path: Path, encoding: str) -> Iterator[Chunk]:
    last = 0
    try:
        delivered = _first_line(path, encoding)
        names = headings(path, delivered)
        refused: list[Any] = []
        no_rows = pl.DataFrame(schema=dict.fromkeys(names, pl.String)), pl.Series(dtype=pl.String)
        yield Chunk(*no_rows)
        with _opened(path, encoding, delivered, refused) as batches:
            for batch in batches:
                rows = cast(pl.DataFrame, pl.from_arrow(pa.Table.from_batches([batch]))).rename(
                    dict(zip(delivered, names, strict=True))
                )
                numbers, last = _numbers(rows.height, last, refused)
                for start in range(0, max(rows.height, 1), CHUNK_ROWS):
                    part = slice(start, start + CHUNK_ROWS)
                    broken = _broken(path, refused, names) if start == 0 else ()
                    yield Chunk(rows[part], placed(path, numbers[part]), broken)
            if broken := _broken(path, refused, names):  # a block of which no row is whole comes as no batch
                yield Chunk(*no_rows, broken)
    except UnicodeDecodeError as error:
        raise _not_encoded(path, encoding, last) from error
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):  # a heading without line end
            return
        if "invalid UTF8" in str(error):
            raise _not_encoded(path, encoding, last) from error
        what = f"After record {last} the text is not CSV: a quote that never closes, or a cell above 8 MB."
        raise FileError(path.name, what, 'export it again, cells quoted with ".') from error
    except (EOFError, OSError, zlib.error) as error:
        what = f"After record {last} the packed file is damaged or cut off."
        raise FileError(path.name, what, "pack and transfer it again.") from error


@contextmanager
def _opened(path: Path, encoding: str, delivered: list[str], refused: list[Any]) -> Generator[Any]:
    def keep(row: Any) -> str:  # noqa: ANN401 - pyarrow's InvalidRow, which its stubs do not know
        refused.append(row)
        return "skip"

    packed = "gzip" if path.suffix == ".gz" else None
    with pa.input_stream(str(path), compression=packed) as stream:
        yield pc.open_csv(
            stream,
            read_options=pc.ReadOptions(encoding=encoding, block_size=CHUNK_BYTES, use_threads=False),
            parse_options=pc.ParseOptions(newlines_in_values=True, invalid_row_handler=keep),
            convert_options=pc.ConvertOptions(
                column_types=dict.fromkeys(delivered, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )


def _first_line(path: Path, encoding: str) -> list[str]:
    plain = "utf-8-sig" if encoding == "utf-8" else encoding
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding=plain, newline="") as text:
        return next(csv.reader(cast(Iterable[str], text)), [])


def _numbers(height: int, last: int, refused: list[Any]) -> tuple[pl.Series, int]:
    """Return the record numbers of a batch's rows, which leave out the records that were refused between them."""
    left_out = {row.number - 1 for row in refused}
    if not left_out:
        return pl.Series(range(last + 1, last + height + 1), dtype=pl.Int64), last + height
    taken = list(itertools.islice((n for n in itertools.count(last + 1) if n not in left_out), height))
    return pl.Series(taken, dtype=pl.Int64), taken[-1] if taken else last


def _broken(path: Path, refused: list[Any], names: list[str]) -> tuple[Broken, ...]:
    """Return the rows refused so far that were not handed out yet, and mark them as handed out."""
    found: list[Broken] = []
    for row in refused:
        if row.text is not None:
            cells = next(csv.reader([row.text]), [])
            raw = json.dumps({"heading": names, "cells": cells}, ensure_ascii=False)
            found.append(Broken(f"{path.name}:{row.number - 1}", "wrong_cell_count", raw))
    refused[:] = [row._replace(text=None) for row in refused]
    return tuple(found)


def _last_number(chunk: Chunk) -> int:
    places = [*chunk.places.tail(1), *(one.place for one in chunk.broken)]
    return max(int(place.rpartition(":")[2]) for place in places)


def ends_its_line(path: Path) -> bool:
    """Tell whether the last line of a text file, plain or gzip, has a line end; what has none may be cut off."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() in (b"\n", b"\r")


def _unfinished(chunk: Chunk, last: int) -> Chunk:
    """Return the last chunk of a file with the last record broken; it may be broken already."""
    if not chunk.rows.height or _last_number(Chunk(chunk.rows, chunk.places)) < last:
        return chunk
    cells = [cell or "" for cell in chunk.rows.row(-1)]
    raw = json.dumps({"heading": chunk.rows.columns, "cells": cells}, ensure_ascii=False)
    broken = Broken(chunk.places[-1], "unfinished_record", raw)
    return Chunk(chunk.rows[:-1], chunk.places[:-1], (*chunk.broken, broken))


def _not_encoded(path: Path, encoding: str, last: int) -> FileError:
    where = f"after record {last}" if last else "in its first lines"
    return FileError(
        path.name,
        f"The text is not {encoding.upper()} {where}{_guess(path, encoding)}.",
        f"save it as {encoding.upper()} and deliver it again; what is loaded stays.",
    )


def _guess(path: Path, encoding: str) -> str:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        raw = file.read(1_000_000)
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "; it looks like UTF-16"
    other = "utf-8" if encoding != "utf-8" else "gb18030"
    try:
        raw[: raw.rfind(b"\n") + 1].decode(other)
    except UnicodeDecodeError:
        return ""
    return f"; it looks like {other.upper()}"
