"""The tables as a computation sees them: one consistent set of frames, optionally with unsaved rows on top."""

import datetime as dt
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import polars as pl

from features.tables.columns import Table
from features.tables.contract import ALL_TABLES, FACT_TABLES
from features.tables.store import TableStore


class _Held(Mapping[str, pl.LazyFrame]):
    """Frames that are read into memory once, when first asked for; what nobody asks for is never read."""

    def __init__(self, frames: Mapping[str, pl.LazyFrame]) -> None:
        self._frames = frames
        self._held: dict[str, pl.LazyFrame] = {}

    def __getitem__(self, name: str) -> pl.LazyFrame:
        if name not in self._held:
            self._held[name] = self._frames[name].collect().lazy()
        return self._held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._frames)

    def __len__(self) -> int:
        return len(self._frames)

    def __contains__(self, name: object) -> bool:
        return name in self._frames


@dataclass(frozen=True)
class SourceTables:
    """Rows in force, one lazy frame a table; a table never loaded is an empty frame.

    Sensitive columns are not among them: they are read through the audited door only.
    """

    frames: Mapping[str, pl.LazyFrame]

    def __getitem__(self, table: type[Table]) -> pl.LazyFrame:
        """Return the frame of a table: the contract's columns without the sensitive ones."""
        if table.NAME in self.frames:
            return self.frames[table.NAME]
        return table.create_empty(lazy=True).select(table.public_columns())

    def collected(self) -> "SourceTables":
        """Return the same tables held in memory from the first look at each, so that the disk is read once."""
        return self if isinstance(self.frames, _Held) else SourceTables(_Held(self.frames))

    def overlaid(self, records: Mapping[str, pl.DataFrame]) -> "SourceTables":
        """Return the tables with rows added on top; a row given here replaces the stored row of the same key.

        Args:
            records: frames in the contract's shape, by table name.
        """
        laid: dict[str, pl.LazyFrame] = {}
        for name, rows in records.items():
            table = ALL_TABLES[name]
            added = rows.lazy().select(table.public_columns())
            stored = self[table].select(table.public_columns())
            laid[name] = pl.concat([stored.join(added, on=table.key(), how="anti"), added])
        return SourceTables(ChainMap(laid, cast("dict[str, pl.LazyFrame]", self.frames)))


def read_source_tables(store: TableStore, known_at: dt.datetime | None = None) -> SourceTables:
    """Read the tables that measurements rest on as they were known at a moment (None: now).

    What each table holds is settled here; its rows are read where they are asked for.
    """
    return SourceTables({name: store.read(table, known_at) for name, table in FACT_TABLES.items()})
