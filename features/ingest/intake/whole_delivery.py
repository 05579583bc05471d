"""What only a whole delivery can tell: values that two keys claim, and references within a table that lead nowhere."""

from collections.abc import Sequence

import polars as pl

from features.ingest.intake.decide import LOADED, STORED, UNCHANGED, clashing, dangling
from features.ingest.intake.known import Known, key_hash
from features.tables.columns import Table
from features.tables.versions import CONTENT


def marks(rows: pl.DataFrame, table: type[Table], columns: Sequence[str], known: Known) -> pl.DataFrame:
    """Return what is kept of rows while the whole delivery is looked at: some 40 bytes each.

    Args:
        rows: staged rows with their fate.
        table: their table.
        columns: the unique columns, and those that refer to the table itself.
        known: what is stored.

    Returns:
        ``_row``, content_hash, fate, ``_key`` and by column ``value:<column>`` (hashes; null where there is none) and
        ``ref:<column>``: the same, null also where it is the key of a stored row.
    """
    hashed = [
        pl.when(pl.col(name).is_not_null()).then(key_hash(name)) if name in rows.columns else pl.lit(None, pl.UInt64)
        for name in columns
    ]
    values = [one.alias(f"value:{name}") for one, name in zip(hashed, columns, strict=True)]
    found = rows.select("_row", CONTENT, "fate", *values, _key=key_hash(table.key()))
    for name in columns:
        value = found.get_column(f"value:{name}")
        stored = known.keys(table).holds(value.fill_null(0))
        found = found.with_columns(pl.when(~stored).then(value).alias(f"ref:{name}"))
    return found


def not_unique(marked: pl.DataFrame, column: str, held: pl.DataFrame) -> pl.Series:
    """Return the rows whose unique value stands under another key too, with their twins.

    Args:
        marked: as ``marks`` returns it.
        column: the unique column.
        held: ``_key`` and ``value`` of the rows in force.
    """
    loading = marked.filter(pl.col("fate") == LOADED).select("_row", "_key", value=f"value:{column}")
    twice = marked.filter(pl.col("_row").is_in(clashing(loading, held).implode()))
    same = marked.join(twice, on=["_key", CONTENT], how="semi")
    return same.filter(pl.col("fate").is_in([LOADED, UNCHANGED])).get_column("_row")


def loose(marked: pl.DataFrame, table: type[Table], own: Sequence[str]) -> pl.Series:
    """Return the rows that refer to a row of their table which is neither stored nor stays.

    A twin, or the lesser of a conflict, is stored after all once the other waits: it must refer to something too.

    Args:
        marked: as ``marks`` returns it.
        table: the table.
        own: the columns that refer to it.
    """
    storing = marked.filter(pl.col("fate").is_in(STORED))
    lost = dangling({table.NAME: storing}, {table.NAME: dict.fromkeys(own, table.NAME)})[table.NAME]
    staying = storing.filter(~pl.col("_row").is_in(lost.implode())).get_column("_key").implode()
    placed = [pl.col(f"ref:{name}").is_null() | pl.col(f"ref:{name}").is_in(staying) for name in own]
    beside = marked.filter(~pl.col("fate").is_in(STORED), ~pl.all_horizontal(pl.lit(value=True), *placed))
    return pl.concat([lost, beside.get_column("_row")])
