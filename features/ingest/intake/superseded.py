"""Which refusals are no open work any more, since the record has come again and is stored."""

import datetime as dt

import polars as pl

from features.ingest.intake import checks
from features.ingest.intake.known import Known
from features.tables.columns import Table
from features.tables.versions import CONTENT

CONTESTED = ("conflicting_duplicate", "not_unique")
"""Two deliveries disagree; that a later one is stored does not tell which of them was right."""
OF_ONE_INSTANT = dt.timedelta(milliseconds=1)
"""Versions less apart are one version of the source: the platform itself adds microseconds to what people mended."""


def superseded(entries: pl.LazyFrame, versions: pl.LazyFrame, table: type[Table], known: Known) -> pl.Series:
    """Return the entries whose row the same source has delivered again, as it was or newer, and which is stored.

    A row that was loaded without a value must be newer, or have the value now. Nothing but what is refused and what is
    stored counts, so the order of deliveries does not matter.

    Args:
        entries: open ones, as ``Quarantine.dated`` returns them.
        versions: of the table.
        table: the table.
        known: resolves keys that are written by a unique value.

    Returns:
        Ids.
    """
    open_ = entries.filter(~pl.col("reason").is_in(CONTESTED)).collect()
    if open_.is_empty():
        return pl.Series("id", dtype=pl.String)
    key = table.key()
    named = checks.resolved(open_.rename({"key": key, "valid_from_ts": "refused"}), table, known)
    fields = [name for name in table.public_columns() if name != key and name in set(named["field"])]
    stored = versions.filter(~pl.col("retracted")).select(
        pl.col(key).cast(pl.String), "source_code", "valid_from_ts", CONTENT, *[pl.col(n).is_not_null() for n in fields]
    )
    later = pl.col("valid_from_ts") - pl.col("refused")
    found = stored.join(named.lazy(), on=[key, "source_code"], how="inner").with_columns(
        has_value=pl.any_horizontal(pl.lit(value=False), *[(pl.col("field") == name) & pl.col(name) for name in fields])
    )
    newer = found.filter(later >= OF_ONE_INSTANT)
    # Of the versions of one instant the greatest stands, whichever came first.
    as_it_was = found.filter(later >= dt.timedelta(), later < OF_ONE_INSTANT).sort("valid_from_ts", CONTENT)
    standing = as_it_was.unique("id", keep="last").filter((pl.col("level") == "row") | pl.col("has_value"))
    settled = pl.concat([newer.select("id"), standing.select("id")]).unique().collect(engine="streaming")
    return settled.to_series().sort()
