"""The tables as a computation sees them: one consistent set of frames, optionally with unsaved rows on top."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from features.tables.columns import Table
from features.tables.contract import SOURCE_TABLES
from features.tables.store import TableStore


@dataclass(frozen=True)
class SourceTables:
    """Rows in force of every source table, one lazy frame each; a table never loaded is an empty frame."""

    frames: Mapping[str, pl.LazyFrame]

    def __getitem__(self, table: type[Table]) -> pl.LazyFrame:
        """Return the frame of a table, the contract's columns."""
        frame = self.frames.get(table.NAME)
        return pl.LazyFrame(schema=table.create_empty().schema) if frame is None else frame

    def collected(self) -> "SourceTables":
        """Return the same tables held in memory, so that many computations read the disk once."""
        frames = pl.collect_all(list(self.frames.values()))
        return SourceTables({name: frame.lazy() for name, frame in zip(self.frames, frames, strict=True)})

    def overlaid(self, records: Mapping[str, pl.DataFrame]) -> "SourceTables":
        """Return the tables with rows added on top; a row given here replaces the stored row of the same key.

        Args:
            records: frames in the contract's shape, by table name.
        """
        frames = dict(self.frames)
        for name, rows in records.items():
            table = SOURCE_TABLES[name]
            stored = self[table]
            frames[name] = pl.concat([stored.join(rows.lazy(), on=table.key(), how="anti"), rows.lazy()])
        return SourceTables(frames)


def read_source_tables(store: TableStore, known_at: dt.datetime | None = None) -> SourceTables:
    """Read every source table as it was known at a moment (None: now)."""
    return SourceTables({name: store.read(table, known_at) for name, table in SOURCE_TABLES.items()})
