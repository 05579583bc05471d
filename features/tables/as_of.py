"""Tables as a moment saw them: rows whose event lies later are left out, columns that become known later are masked."""

import datetime as dt
from collections.abc import Mapping

import dataframely as dy
import polars as pl

from features.tables.columns import ITSELF, ZONE, Table
from features.tables.contract import ALL_TABLES

_INSTANT = pl.Datetime("us", ZONE)


def known_as_of(
    frame: pl.LazyFrame, table: type[Table], as_of: dt.datetime, parents: Mapping[str, pl.LazyFrame] | None = None
) -> pl.LazyFrame:
    """Return what a moment saw of a table (data model, section 2).

    A row counts when its event, or what makes it known before its event, is at or before ``as_of``; a row that nothing
    dates counts where the table says so (``Table.UNDATED_IS_PAST``). A column is null before the instant it is known
    from, also where the contract calls it never null. Rows later than ``as_of``, and facts later than it, change
    nothing in the result.

    Args:
        frame: rows of the table, with all or some of its columns, the ones that date it among them.
        table: the table.
        as_of: the moment.
        parents: by table name, the frames that its instants lead to, in the contract's shape and not cut themselves;
            the table's own name where rows are dated by others of their kind. Without a parent's row, nothing is dated.

    Returns:
        The columns of ``frame``.

    Raises:
        LookupError: a column that dates the table, or a parent, is not there. The sensitive ones come through the
            audited door only.
    """
    columns = frame.collect_schema().names()
    masked = {name: from_ for name, from_ in known_from(table).items() if name in columns}
    wanted = sorted({path for text in (*_row_instants(table), *masked.values()) for path in paths(text)})
    named = {path: f"_{place}:{path}" for place, path in enumerate(wanted)}
    at = {path: pl.col(name) for path, name in named.items()}
    dated = _with_instants(frame, table, named, parents or {})
    rows = _row_counts(table, at, as_of)
    shown = [_masked(name, masked.get(name), at, as_of) for name in columns]
    return dated.filter(rows).select(shown)


def known_from(table: type[Table]) -> dict[str, str]:
    """Return the columns that become known later than their row, each with its instant."""
    said = {name: table.about(name)["known_from"] for name in table.column_names()}
    return {name: name if instant == ITSELF else instant for name, instant in said.items() if instant}


def paths(instant: str) -> list[str]:
    """Return the alternatives of an instant, in the order in which they are asked."""
    return [path.strip() for path in instant.split("|")]


def parents_of(table: type[Table]) -> set[str]:
    """Return the names of the tables that the instants of a table lead through."""
    found: set[str] = set()
    for text in (*_row_instants(table), *known_from(table).values()):
        for path in paths(text):
            at = table
            for step in path.split(".")[:-1]:
                at = _parent(at, step)
                found.add(at.NAME)
    return found


def _row_instants(table: type[Table]) -> tuple[str, ...]:
    return table.KNOWN_FROM or ((table.EVENT,) if table.EVENT else ())


def _row_counts(table: type[Table], at: Mapping[str, pl.Expr], as_of: dt.datetime) -> pl.Expr:
    instants = [pl.coalesce([at[path] for path in paths(text)]) for text in _row_instants(table)]
    if not instants:
        return pl.lit(value=True)
    return (pl.min_horizontal(instants) <= as_of).fill_null(table.UNDATED_IS_PAST)


def _masked(name: str, instant: str | None, at: Mapping[str, pl.Expr], as_of: dt.datetime) -> pl.Expr:
    if instant is None:
        return pl.col(name)
    known = pl.coalesce([at[path] for path in paths(instant)]) <= as_of
    return pl.when(known).then(pl.col(name)).alias(name)


def _with_instants(
    frame: pl.LazyFrame, table: type[Table], named: Mapping[str, str], parents: Mapping[str, pl.LazyFrame]
) -> pl.LazyFrame:
    """Add the instants that paths lead to as columns, one join a reference; ``named`` is the name of each."""
    steps: dict[str, dict[str, str]] = {}
    for path, name in named.items():
        step, _, rest = path.partition(".")
        steps.setdefault(step, {})[rest] = name
    present = frame.collect_schema().names()
    for step, further in steps.items():
        if step not in present:
            message = f"{table.NAME}.{step} dates the rows of {table.NAME} and is not among the columns given."
            raise LookupError(message)
        own = further.pop("", None)
        if own is not None:
            frame = frame.with_columns(_instant(step, table.columns()[step]).alias(own))
        if further:
            parent = _parent(table, step)
            if parent.NAME not in parents:
                raise LookupError(f"{table.NAME} is dated by its {step}: give {parent.NAME} among the parents.")
            there = _with_instants(parents[parent.NAME], parent, further, parents)
            instants = there.select(pl.col(parent.key()).alias(step), *further.values())
            frame = frame.join(instants, on=step, how="left", maintain_order="left")
    return frame


def _parent(table: type[Table], column: str) -> type[Table]:
    return ALL_TABLES[table.about(column)["references"].split(".")[0]]


def _instant(name: str, column: dy.Column) -> pl.Expr:
    """Return the instant from which a moment, a day (its 24:00) or a month (its last microsecond, G3) counts."""
    value = pl.col(name)
    if isinstance(column, dy.Datetime):
        return value.cast(_INSTANT)
    if isinstance(column, dy.Date):
        return _midnight(value.dt.offset_by("1d"))
    month = value.str.to_date("%Y-%m", strict=False)
    return _midnight(month.dt.offset_by("1mo")) - pl.duration(microseconds=1)


def _midnight(day: pl.Expr) -> pl.Expr:
    return day.cast(pl.Datetime("us")).dt.replace_time_zone(ZONE)
