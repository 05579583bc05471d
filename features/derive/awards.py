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
    rows = known_results(source, as_of).filter(status="awarded").drop("status", "candidate_rank", "abandon_reason")
    return with_group(rows, source, "org_id", "group_org_id")


def known_results(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return what is known at ``as_of`` of winners and candidates, whatever became of them.

    Grain: one award row. Columns: award_id, lot_id, org_id, bid_id, amount, awarded_at, status, candidate_rank,
    abandon_reason.
    """
    awarded_at = pl.coalesce("notice_issued_at", "result_published_at", "publicity_end_at", "publicity_start_at")
    status = pl.col("status").cast(pl.String)
    return (
        source[Award]
        .select(
            "award_id",
            "lot_id",
            "org_id",
            "bid_id",
            "amount",
            awarded_at=awarded_at,
            status=status,
            candidate_rank="candidate_rank",
            abandon_reason="abandon_reason",
        )
        .filter(pl.col("awarded_at") <= as_of)
    )


def first_award(source: SourceTables) -> dt.datetime | None:
    """Return the earliest instant at which any award became known."""
    return known_awards(source, LAST_MOMENT).select(pl.col("awarded_at").min()).collect().item()
