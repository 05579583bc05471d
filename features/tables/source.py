"""The tables as a computation sees them: one consistent set of frames, optionally with unsaved rows on top."""

import datetime as dt
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

import polars as pl

from features.tables.columns import Table
from features.tables.contract import ALL_TABLES, FACT_TABLES
from features.tables.door import SYSTEM, Door
from features.tables.reference import Param
from features.tables.store import TableStore


@dataclass(frozen=True)
class _Given(Mapping[str, pl.LazyFrame]):
    """Frames by name that are made when they are asked for; what nobody asks for is never read."""

    names: frozenset[str]
    give: Callable[[str], pl.LazyFrame]

    def __getitem__(self, name: str) -> pl.LazyFrame:
        if name not in self.names:
            raise KeyError(name)
        return self.give(name)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.names))

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names


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

    Attributes:
        frames: the tables without their sensitive columns.
        opened: tables with them, as the audited door gives them; it writes its log when one is asked for.
    """

    frames: Mapping[str, pl.LazyFrame]
    opened: Mapping[str, pl.LazyFrame] = field(default_factory=dict[str, pl.LazyFrame])

    def __getitem__(self, table: type[Table]) -> pl.LazyFrame:
        """Return the frame of a table: the contract's columns without the sensitive ones."""
        if table.NAME in self.frames:
            return self.frames[table.NAME]
        return table.create_empty(lazy=True).select(table.public_columns())

    def with_sensitive(self, table: type[Table]) -> pl.LazyFrame:
        """Return the frame of a table with the sensitive columns that a run may read; null where the door is shut.

        Only derived tables may ask, to compare values: no such value may stand in what they give back.
        """
        if table.NAME in self.opened:
            return self.opened[table.NAME]
        shut = [pl.lit(None, dtype=table.columns()[name].dtype).alias(name) for name in table.sensitive_columns()]
        return self[table].with_columns(shut)

    def collected(self) -> "SourceTables":
        """Return the same tables held in memory from the first look at each, so that the disk is read once."""
        return self if isinstance(self.frames, _Held) else SourceTables(_Held(self.frames), _Held(self.opened))

    def overlaid(self, records: Mapping[str, pl.DataFrame]) -> "SourceTables":
        """Return the tables with rows added on top; a row given here replaces the stored row of the same key.

        Args:
            records: frames in the contract's shape, by table name.
        """
        laid: dict[str, pl.LazyFrame] = {}
        for name, rows in records.items():
            table = ALL_TABLES[name]
            laid[name] = _on_top(self[table], rows.lazy(), table, table.public_columns())

        def opened(name: str) -> pl.LazyFrame:
            stored, table = self.with_sensitive(ALL_TABLES[name]), ALL_TABLES[name]
            return _on_top(stored, records[name].lazy(), table, table.column_names()) if name in records else stored

        names = frozenset([*self.opened, *(name for name in records if ALL_TABLES[name].sensitive_columns())])
        return SourceTables(ChainMap(laid, cast("dict[str, pl.LazyFrame]", self.frames)), _Given(names, opened))


def read_source_tables(
    store: TableStore, known_at: dt.datetime | None = None, *, run: str | None = None
) -> SourceTables:
    """Read the tables that measurements rest on as they were known at a moment (None: now).

    What each table holds is settled here; its rows are read where they are asked for.

    Args:
        store: the tables.
        known_at: the moment.
        run: what the run that compares sensitive values is called in the access log; None: they stay shut.
    """
    frames = {name: store.read(table, known_at) for name, table in FACT_TABLES.items()}
    frames[Param.NAME] = _changes(store, known_at)
    if run is None:
        return SourceTables(frames)
    door = Door(store, f"{SYSTEM}:{run}", "derive indicators", SYSTEM)
    names = frozenset(name for name, table in FACT_TABLES.items() if table.sensitive_columns())
    return SourceTables(frames, _Given(names, lambda name: _through(door, FACT_TABLES[name], known_at)))


def _changes(store: TableStore, known_at: dt.datetime | None) -> pl.LazyFrame:
    """Return the approved changes of the parameters: a moment is judged by the values of its own time.

    A change counts from when it says, but never before it was first known as approved. One of the same key and instant
    that is loaded later corrects it. Of changes that came to be known together the one that says the later day is last.
    """
    versions = store.versions(Param).filter(~pl.col("retracted"), Param.approved(), pl.col("valid_from").is_not_null())
    known = versions if known_at is None else versions.filter(pl.col("loaded_at") <= known_at)
    change = ["param_key", "scope_region_code", "valid_from"]
    return (
        known.with_columns(first_known=pl.col("loaded_at").min().over(change))
        .sort("loaded_at", "valid_from_ts")
        .unique(change, keep="last", maintain_order=True)
        .with_columns(
            valid_from=pl.max_horizontal("valid_from", "first_known"),
            # Those that were known too late now share an instant; this keeps their own order.
            changed_at=pl.when(pl.col("first_known") > pl.col("valid_from")).then("valid_from").otherwise("changed_at"),
        )
        .select(Param.column_names())
    )


def _through(door: Door, table: type[Table], known_at: dt.datetime | None) -> pl.LazyFrame:
    """Return a table with the sensitive columns that a run may read, the others null."""
    rows = door.read(table, known_at=known_at)
    held = rows.collect_schema().names()
    shut = [name for name in table.sensitive_columns() if name not in held]
    return rows.with_columns(pl.lit(None, dtype=table.columns()[name].dtype).alias(name) for name in shut)


def _on_top(stored: pl.LazyFrame, added: pl.LazyFrame, table: type[Table], columns: list[str]) -> pl.LazyFrame:
    """Return stored rows with others laid on top; a column that the latter lack is null there."""
    given = added.collect_schema().names()
    absent = [pl.lit(None, dtype=table.columns()[name].dtype).alias(name) for name in columns if name not in given]
    laid = added.with_columns(absent).select(columns)
    return pl.concat([stored.select(columns).join(laid, on=table.key(), how="anti"), laid])
