"""Refused records as the quarantine keeps them (sealed there): the delivered cells by heading, and back again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import polars as pl

from features.ingest.formats.chunks import Chunk

UNREADABLE = "unreadable"
"""The key of a record that could not be read as cells."""


@dataclass(frozen=True)
class KeptRecords:
    """Gives the delivered records of a chunk by their place in it, as JSON texts: heading to cell.

    Attributes:
        chunk: the records; broken ones come after the rows.
        withheld: places of records of which nothing but ``key`` may be kept; None for none.
        key: the heading of the record's id.
    """

    chunk: Chunk
    withheld: pl.Series | None = None
    key: str | None = None

    def __call__(self, places: Sequence[int]) -> list[str]:
        """Return records, without their empty cells."""
        whole = self.chunk.rows.height
        rows = iter(self.chunk.rows[[place for place in places if place < whole]].iter_rows(named=True))
        return [
            self._kept(place, next(rows)) if place < whole else _unreadable(self.chunk.broken[place - whole].raw)
            for place in places
        ]

    def _kept(self, place: int, cells: dict[str, Any]) -> str:
        only = self.key if self.withheld is not None and self.withheld[place] else None
        kept = {name: str(cell) for name, cell in cells.items() if cell is not None and only in (None, name)}
        return json.dumps(kept, ensure_ascii=False)


def delivered_again(raws: Sequence[str], places: Sequence[str]) -> Chunk:
    """Return kept records, mended or not, as a chunk of text, as they were delivered."""
    records = [cast(dict[str, Any], json.loads(raw)) for raw in raws]
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = {name: pl.Series([_cell(record.get(name)) for record in records], dtype=pl.String) for name in names}
    return Chunk(pl.DataFrame(columns), pl.Series(list(places), dtype=pl.String))


def _unreadable(raw: str) -> str:
    return json.dumps({UNREADABLE: raw}, ensure_ascii=False)


def _cell(cell: object) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    return json.dumps(cell, ensure_ascii=False)
