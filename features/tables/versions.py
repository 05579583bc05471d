"""Versions of rows, and the rows that are in force among them.

A version belongs to a key and a source system: several sources may each deliver their part of one row. Next to the
contract's columns it has

* ``loaded_at``: when this version entered the platform. Replay filters on it, never on Delta versions, so that
  compaction and vacuum change no answer.
* ``valid_from_ts``: from when the version counts; equal to ``loaded_at`` unless the source says otherwise.
* ``source_code``, ``source_record_id``: the system and the record (an OCDS ocid, a file row) it came from.
* ``retracted``: the source took the row back with this version.
* ``content_hash``: of the public columns; among versions valid from the same instant the greatest counts, so that the
  order of arrival never matters. Columns under a purge rule are not part of it: a purge makes no row another one.
* ``sensitive_hash``: the same of the sensitive columns, kept with them.

``valid_to_ts`` is not stored: it is the next version's ``valid_from_ts``, derived on reading.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from features.tables.columns import ZONE, Table
from features.tables.retention import purged_columns

TECHNICAL: Mapping[str, pl.DataType] = {
    "loaded_at": pl.Datetime("us", ZONE),
    "valid_from_ts": pl.Datetime("us", ZONE),
    "source_code": pl.String(),
    "source_record_id": pl.String(),
    "retracted": pl.Boolean(),
}
CONTENT, SENSITIVE = "content_hash", "sensitive_hash"
HASH = pl.Int64()
VERSION = ("source_code", "valid_from_ts", "loaded_at", CONTENT)
"""With the key: what a version's sensitive part is found by."""
ORDER = ("valid_from_ts", CONTENT, SENSITIVE, "loaded_at")
"""The last in this order counts."""
NO_HASH = 0
"""The hash of nothing: of no sensitive value at all."""


def stored_schema(table: type[Table]) -> dict[str, pl.DataType]:
    """Return names and types of a version as it is handed over: the contract's columns, then the technical ones."""
    return _types(table, table.column_names()) | dict(TECHNICAL)


def public_schema(table: type[Table]) -> dict[str, pl.DataType]:
    """Return names and types of what is kept in the table itself; the technical columns stand first."""
    key = table.key()
    columns = [name for name in table.public_columns() if name != key]
    return _types(table, [key]) | dict(TECHNICAL) | {CONTENT: HASH} | _types(table, columns)


def sensitive_schema(table: type[Table]) -> dict[str, pl.DataType]:
    """Return names and types of what is kept apart; empty where no column is sensitive."""
    columns = table.sensitive_columns()
    if not columns:
        return {}
    technical = {name: dtype for name, dtype in TECHNICAL.items() if name != "retracted"}
    return _types(table, [table.key()]) | technical | {CONTENT: HASH, SENSITIVE: HASH} | _types(table, columns)


def hashes(rows: pl.DataFrame, table: type[Table]) -> list[pl.Series]:
    """Return ``content_hash`` and, where the table has sensitive columns, ``sensitive_hash`` of rows.

    The hashes are stored, so they depend on nothing but the values: the same under any version of any library. A
    column that is null or absent has no part in them, so a new column changes none.
    """
    unhashed = {table.key(), *purged_columns(table)}
    parts = [(CONTENT, table.public_columns())]
    if table.sensitive_columns():
        parts.append((SENSITIVE, table.sensitive_columns()))
    return [
        _hash(rows, [one for one in columns if one not in unhashed and one in rows.columns]).alias(name)
        for name, columns in parts
    ]


def in_force(versions: pl.LazyFrame, table: type[Table], columns: Sequence[str]) -> pl.LazyFrame:
    """Return the rows that the versions given add up to, one a key, the columns wanted.

    Most keys have one version. They are told by a hash of the key and need no sorting; keys whose hashes meet are
    sorted for nothing.
    """
    told = versions.with_columns(_lone=pl.len().over(pl.col(table.key()).hash()) == 1)
    several = current(told.filter(~pl.col("_lone")), table)
    return pl.concat([told.filter("_lone", ~pl.col("retracted")).select(columns), composed(several, table, columns)])


def current(versions: pl.LazyFrame, table: type[Table]) -> pl.LazyFrame:
    """Return the version in force of each key and source among those given, with its technical columns."""
    order = [name for name in ORDER if name in versions.collect_schema().names()]
    return (
        versions.sort(*order, maintain_order=True)
        .unique(subset=[table.key(), "source_code"], keep="last", maintain_order=True)
        .filter(~pl.col("retracted"))
    )


def composed(parts: pl.LazyFrame, table: type[Table], columns: Sequence[str]) -> pl.LazyFrame:
    """Return one row a key, put together from the parts that several sources deliver.

    A column is taken from the sources that its ``source_system`` names, the part that is valid from latest first, then
    from the others; a null is no answer.

    Args:
        parts: at most one version a key and source.
        table: the table.
        columns: the columns wanted, the key among them.
    """
    key = table.key()
    alone = pl.len().over(key) == 1
    several = parts.filter(~alone).sort("valid_from_ts", "source_code", descending=[True, False], maintain_order=True)
    merged = several.group_by(key, maintain_order=True).agg(_best(name, table) for name in columns if name != key)
    return pl.concat([parts.filter(alone).select(columns), merged.select(columns)])


def complete(rows: pl.LazyFrame, table: type[Table], columns: Sequence[str]) -> pl.LazyFrame:
    """Leave out the rows that lack a required column among those given: their other parts have not come yet."""
    required = [name for name, column in table.columns().items() if not column.nullable and name in columns]
    return rows.filter(pl.all_horizontal(pl.col(name).is_not_null() for name in required))


def _best(name: str, table: type[Table]) -> pl.Expr:
    given = pl.col(name).is_not_null()
    entitled = pl.col("source_code").is_in(table.about(name)["source_system"].split("+"))
    return pl.coalesce(pl.col(name).filter(given & entitled).first(), pl.col(name).filter(given).first()).alias(name)


def _types(table: type[Table], names: Sequence[str]) -> dict[str, pl.DataType]:
    columns = table.columns()
    return {name: columns[name].dtype for name in names}  # type: ignore[misc]


def _hash(rows: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """Return the first eight bytes of SHA-256 over names and values; 0 where all values are null."""
    if not columns or rows.is_empty():
        return pl.repeat(NO_HASH, rows.height, dtype=HASH, eager=True)
    text = rows.select(
        pl.concat_str([_text(name, rows.schema[name]) for name in sorted(columns)], separator="\x1f", ignore_nulls=True)
    ).to_series()
    digests = b"".join([hashlib.sha256(one).digest()[:8] for one in text.cast(pl.Binary).to_list()])
    found = pl.Series(np.frombuffer(digests, dtype="<i8").copy(), dtype=HASH)
    nothing = text == ""
    return found.set(nothing, NO_HASH) if nothing.any() else found


def _text(name: str, dtype: pl.DataType) -> pl.Expr:
    value = pl.col(name)
    if isinstance(dtype, pl.Datetime | pl.Date):
        value = value.to_physical()
    return pl.lit(f"{name}=") + value.cast(pl.String)
