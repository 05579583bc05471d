"""What every reader of delivered files yields, and how a file that cannot be read is named."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from features.errors import SmokeError
from features.ingest.cleaning import clean_text

CHUNK_ROWS = 50_000
CHUNK_BYTES = 1 << 23
JOINED_BYTES = 1 << 26
RECORD_BYTES = 1 << 26
"""The longest single record that is read; what is held in memory when a bracket or quote never closes."""

BrokenReason = Literal["wrong_cell_count", "not_json", "unfinished_record"]


@dataclass(frozen=True)
class Broken:
    """A record that could not be read as one, though the file goes on.

    Attributes:
        place: where it stands.
        reason: a stable code.
        raw: the record as delivered, as far as it can be kept as text.
    """

    place: str
    reason: BrokenReason
    raw: str


@dataclass(frozen=True)
class Chunk:
    """Some records of one file.

    Attributes:
        rows: one column a heading, in one form (``heading``); text, or the stored types of a Parquet file.
        places: where each record stands, such as ``bid-202403.csv:12``.
        broken: records that are no rows.
    """

    rows: pl.DataFrame
    places: pl.Series
    broken: tuple[Broken, ...] = ()


class FileError(SmokeError):
    """A delivered file that cannot be read, or not to its end.

    Attributes:
        file: its name.
        what: what is wrong with it.
        mend: what the sender can do.
    """

    def __init__(self, file: str, what: str, mend: str) -> None:
        super().__init__(f"{file}: {what} Mend: {mend}")
        self.file = file
        self.what = what
        self.mend = mend


def heading(text: str) -> str:
    """Return a heading in the one form that headings are compared in: half-width, no blanks around it."""
    return clean_text(text) or ""


def headings(path: Path, delivered: Sequence[str]) -> list[str]:
    """Return the headings of a file in one form.

    Raises:
        FileError: there is none, or two are the same.
    """
    names = [heading(one) for one in delivered]
    if not any(names):
        raise FileError(path.name, "The file has no heading.", "make the headings its first line.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FileError(path.name, f"Headings stand twice: {', '.join(map(repr, twice))}.", "keep one of each.")
    return names


def placed(path: Path, numbers: pl.Series) -> pl.Series:
    """Return places such as ``bid.csv:12`` for numbers of lines or records."""
    return numbers.to_frame("number").select(place=pl.concat_str(pl.lit(path.name), pl.lit(":"), "number")).to_series()


def joined(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Yield the records of small chunks together: a batch costs much the same whether it has ten rows or ten thousand.

    Chunks without records go; those whose columns differ in type stay apart.
    """
    held: list[Chunk] = []
    types: dict[str, pl.DataType] = {}
    records = n_bytes = 0
    for chunk in chunks:
        if not chunk.rows.height and not chunk.broken:
            continue
        fits = all(types.get(name, dtype) == dtype for name, dtype in chunk.rows.schema.items())
        size = (chunk.rows.height + len(chunk.broken), _bytes(chunk))
        full = records + size[0] > CHUNK_ROWS or n_bytes + size[1] > JOINED_BYTES
        if held and (full or not fits):
            yield _together(held)
            held, types, records, n_bytes = [], {}, 0, 0
        held.append(chunk)
        records, n_bytes = records + size[0], n_bytes + size[1]
        types |= dict(chunk.rows.schema)
    if held:
        yield _together(held)


def _bytes(chunk: Chunk) -> int:
    return int(chunk.rows.estimated_size()) + sum(len(one.raw) for one in chunk.broken)


def _together(held: list[Chunk]) -> Chunk:
    if len(held) == 1:
        return held[0]
    rows = pl.concat([one.rows for one in held], how="diagonal")
    return Chunk(rows, pl.concat([one.places for one in held]), tuple(b for one in held for b in one.broken))
