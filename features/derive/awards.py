"""Awards as they were known at a moment: who won which lot, for how much."""

import datetime as dt

import polars as pl

from features.derive.lots import with_group
from features.tables.columns import LAST_MOMENT
from features.tables.source import SourceTables
from features.tables.tendering import Award


def known_awards(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the awards that stand at ``as_of`` (rulings G5).

    Grain: one award row with status awarded. Columns: award_id, lot_id, org_id, group_org_id, bid_id, amount (in the
    lot's currency), awarded_at (first known of notice, result, end and start of publicity). A row without any of these
    instants does not count.
    """
    awarded_at = pl.coalesce("notice_issued_at", "result_published_at", "publicity_end_at", "publicity_start_at")
    rows = (
        source[Award]
        .filter(pl.col("status").cast(pl.String) == "awarded")
        .select("award_id", "lot_id", "org_id", "bid_id", "amount", awarded_at=awarded_at)
        .filter(pl.col("awarded_at") <= as_of)
    )
    return with_group(rows, source, "org_id", "group_org_id")


def first_award(source: SourceTables) -> dt.datetime | None:
    """Return the earliest instant at which any award became known."""
    return known_awards(source, LAST_MOMENT).select(pl.col("awarded_at").min()).collect().item()
