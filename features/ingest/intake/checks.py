"""What is wrong with typed rows beyond their cells: references, required columns, clocks, units."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from functools import cache

import dataframely as dy
import polars as pl

from features.ingest.intake.known import Known, key_hash
from features.ingest.mapped import MAPPING_FAILURES, Plausible
from features.tables.columns import Table
from features.tables.contract import ALL_TABLES

CLOCK_SKEW = dt.timedelta(minutes=10)
"""How far an event may lie after the moment at which its source says that it recorded it."""
_GIVEN = "_given:"
PLACE = "_at"
"""The place of a row in its batch."""


@cache
def references(table: type[Table]) -> Mapping[str, type[Table]]:
    """Return the columns that refer to a table, with the table."""
    found = {name: table.about(name).get("references", "").split(".")[0] for name in table.column_names()}
    return {name: ALL_TABLES[parent] for name, parent in found.items() if parent}


@cache
def unique_columns(table: type[Table]) -> Sequence[str]:
    """Return the columns of which no two keys may have the same value."""
    return [name for name in table.column_names() if table.about(name).get("unique")]


def failure(rows: pl.Series, field: str, reason: str) -> pl.DataFrame:
    """Return failures of rows at one column."""
    frame = pl.DataFrame({"row": rows.cast(pl.UInt32)}).with_columns(field=pl.lit(field), reason=pl.lit(reason))
    return levelled(frame)


def levelled(failures: pl.DataFrame) -> pl.DataFrame:
    """Return failures with all columns of ``MAPPING_FAILURES``; what says no level refuses the row."""
    absent = [pl.lit(None, dtype=t).alias(n) for n, t in MAPPING_FAILURES.items() if n not in failures.columns]
    whole = failures.with_columns(absent).select(pl.col(n).cast(t) for n, t in MAPPING_FAILURES.items())
    return whole.with_columns(pl.col("level").fill_null("row"))


def none_failing() -> pl.DataFrame:
    """Return no failures."""
    return pl.DataFrame(schema=dict(MAPPING_FAILURES))


def resolved(rows: pl.DataFrame, table: type[Table], known: Known) -> pl.DataFrame:
    """Return rows with every ``<unique column>:<value>`` in key and references replaced by the key it names.

    What names no row stays as it is: it is no known key either, so that the row waits. What is replaced stays beside
    it, for ``as_delivered``.
    """
    named = {table.key(): table, **references(table)}
    for column, parent in named.items():
        if column not in rows.columns or rows.schema[column] != pl.String:
            continue
        for unique in unique_columns(parent):
            by_value = rows.get_column(column).str.starts_with(f"{unique}:").fill_null(value=False)
            if not by_value.any():
                continue
            values = rows.get_column(column).str.strip_prefix(f"{unique}:").hash(1)
            keys = known.by_value(parent, unique).get(values)
            told = by_value & keys.is_not_null()
            given = pl.when(told).then(column)
            if _GIVEN + column in rows.columns:
                given = pl.coalesce(given, _GIVEN + column)
            replaced = pl.when(told).then(keys).otherwise(pl.col(column))
            rows = rows.with_columns(given.alias(_GIVEN + column), replaced.alias(column))
    return rows


def as_delivered(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with what ``resolved`` replaced: so a row that waits reads the same whatever had come before it."""
    given = {name: name.removeprefix(_GIVEN) for name in rows.columns if name.startswith(_GIVEN)}
    return rows.with_columns(pl.coalesce(name, column).alias(column) for name, column in given.items()).drop([*given])


def unknown(rows: pl.DataFrame, table: type[Table], known: Known, *, own: bool = False) -> pl.DataFrame:
    """Return the rows whose key names no row, or that refer to rows which are not stored, columns in their order.

    References within the table count where ``own`` says so.
    """
    found = [none_failing()]
    unresolved = unresolved_keys(rows, table)
    if unresolved.any():
        found.append(failure(rows.get_column(PLACE).filter(unresolved), table.key(), "unknown_reference"))
    for column, parent in references(table).items():
        if column in rows.columns and (own or parent is not table):
            given = rows.filter(pl.col(column).is_not_null())
            dangling = ~known.keys(parent).holds(given.select(key_hash(column)).to_series())
            if dangling.any():
                found.append(failure(given.get_column(PLACE).filter(dangling), column, "unknown_reference"))
    return pl.concat(found)


def unresolved_keys(rows: pl.DataFrame, table: type[Table]) -> pl.Series:
    """Tell of each row whether its key is still written by a unique value."""
    key = rows.get_column(table.key())
    if key.dtype != pl.String or not unique_columns(table):
        return pl.repeat(value=False, n=len(key), eager=True)
    return key.str.contains(f"^({'|'.join(unique_columns(table))}):").fill_null(value=False)


def missing(rows: pl.DataFrame, table: type[Table], columns: Collection[str]) -> pl.DataFrame:
    """Return the required columns that are null, or absent though they must be there."""
    found = [none_failing()]
    for name, column in table.columns().items():
        if column.nullable or name not in columns:
            continue
        empty = rows if name not in rows.columns else rows.filter(pl.col(name).is_null())
        if empty.height:
            found.append(failure(empty.get_column(PLACE), name, "missing_value"))
    return pl.concat(found)


def after_their_record(rows: pl.DataFrame, table: type[Table]) -> pl.DataFrame:
    """Return the rows whose event is later than the moment at which their source recorded them."""
    event = table.EVENT or ""
    if event not in rows.columns or not isinstance(table.columns().get(event), dy.Datetime):
        return none_failing()
    later = rows.filter(pl.col(event) > pl.col("valid_from_ts") + CLOCK_SKEW)
    return failure(later.get_column(PLACE), event, "after_its_record")


def untold(rows: pl.DataFrame, table: type[Table], declared: Mapping[str, Plausible], known: Known) -> pl.DataFrame:
    """Return the rows whose amount must stand in proportion to a parent's that its own source has not delivered yet."""
    found = [none_failing()]
    for column, check in declared.items():
        if column not in rows.columns or check.reference not in rows.columns:
            continue
        given = rows.filter(pl.col(check.reference).is_not_null(), pl.col(column).is_not_null())
        told = known.told(references(table)[check.reference], check.amount)
        waits = ~told.holds(given.select(key_hash(check.reference)).to_series())
        if waits.any():
            found.append(failure(given.get_column(PLACE).filter(waits), check.reference, "unknown_reference"))
    return pl.concat(found)


def implausible(
    rows: pl.DataFrame, table: type[Table], declared: Mapping[str, Plausible], known: Known
) -> pl.DataFrame:
    """Return the rows with an amount out of proportion to their parent's; null or zero is no measure."""
    found = [none_failing()]
    for column, check in declared.items():
        if column not in rows.columns or check.reference not in rows.columns:
            continue
        amounts = known.amounts(references(table)[check.reference], check.amount)
        parent = amounts.get(rows.select(key_hash(check.reference)).to_series())
        ratio = rows.get_column(column).cast(pl.Float64).abs() / parent.abs()
        judged = (parent != 0) & (rows.get_column(column) != 0)
        off = (judged & ((ratio < check.low) | (ratio > check.high))).fill_null(value=False)
        if off.any():
            told = _compared(rows.get_column(column), parent, column, check).filter(off)
            found.append(failure(rows.get_column(PLACE).filter(off), column, "unit_suspected").with_columns(told))
    return pl.concat(found)


def _compared(amount: pl.Series, parent: pl.Series, column: str, check: Plausible) -> pl.DataFrame:
    """Return value and message of amounts that were held against their parent's."""
    cents = pl.Decimal(38, 2)
    ratio = (pl.col("amount").cast(pl.Float64) / pl.col("parent")).round_sig_figs(3)
    message = pl.concat_str(
        *(pl.lit(f"{column} is "), "amount", pl.lit(", "), ratio),
        *(pl.lit(f" times the {check.amount} of its {check.reference} ("), pl.col("parent").cast(cents)),
        pl.lit(f"); {check.low} to {check.high} times is plausible."),
    )
    return pl.DataFrame({"amount": amount, "parent": parent}).select(
        value=pl.col("amount").cast(pl.String), message=message
    )
