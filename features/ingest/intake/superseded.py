"""Which refusals are no open work any more, since the record has come again and is stored."""

import polars as pl

from features.ingest.intake import checks
from features.ingest.intake.known import Known
from features.tables.columns import Table

CONTESTED = ("conflicting_duplicate", "not_unique")
"""Two deliveries disagree; that a later one is stored does not tell which of them was right."""


def superseded(entries: pl.LazyFrame, versions: pl.LazyFrame, table: type[Table], known: Known) -> pl.Series:
    """Return the entries whose row the same source has delivered again, as it was or newer, and which is stored.

    A row that was loaded without a value must be newer: as it was, it lacks the value still. Nothing but what is
    refused and what is stored counts, so the order of deliveries does not matter.

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
    stored = versions.filter(~pl.col("retracted")).select(pl.col(key).cast(pl.String), "source_code", "valid_from_ts")
    newer = pl.col("valid_from_ts") > pl.col("refused")
    as_it_was = (pl.col("level") == "row") & (pl.col("valid_from_ts") == pl.col("refused"))
    found = stored.join(named.lazy(), on=[key, "source_code"], how="inner").filter(newer | as_it_was)
    return found.select("id").unique().collect(engine="streaming").to_series().sort()
