"""Which source delivers a row, where the contract leaves a choice."""

from collections.abc import Iterator

import polars as pl

from experiments.city.facts import Facts
from experiments.city.feeds import FEEDS, Feed

_PERMITS = {
    **dict.fromkeys(("land_preview", "land_use", "planning_permit"), "S08"),
    **dict.fromkeys(
        (
            "construction_permit",
            "quality_supervision",
            "safety_measures",
            "drawing_review",
            "stop_work",
            "change_approval",
        ),
        "S03",
    ),
}
_OF_TENDER = ("tender", "lot", "tender_clause", "award", "committee_draw", "evaluation_score", "complaint", "bid")


def with_source(facts: Facts) -> Facts:
    """Add ``source_code`` to the tables of which several sources deliver rows.

    Procurement under the procurement law is S06's with all that belongs to it, other tendering S01's; permits go by
    their type; roads and water are S09's, everything else that is built S03's.
    """
    routed = dict(facts)
    if "tender" in facts:
        procured = facts["tender"].filter(pl.col("law_regime") == "gov_procurement_law")["tender_id"].unique()
        lots = facts["lot"].filter(pl.col("tender_id").is_in(procured.implode()))["lot_id"].unique()
        for table in _OF_TENDER:
            column, ids = ("lot_id", lots) if table == "award" else ("tender_id", procured)
            routed[table] = facts[table].with_columns(
                source_code=_either(pl.col(column).is_in(ids.implode()), "S06", "S01")
            )
    if "approval" in facts:
        kind = pl.col("approval_type").replace_strict(_PERMITS, default="S05")
        routed["approval"] = facts["approval"].with_columns(source_code=kind)
    if "expert" in facts:
        procures = pl.col("expert_id").str.tail(1).is_in(["0", "5"])
        routed["expert"] = facts["expert"].with_columns(source_code=_either(procures, "S06", "S01"))
    if "qualification" in facts:
        traffic = pl.col("qual_code").str.contains("公路|水利|港口|航道|highway|water")
        routed["qualification"] = facts["qualification"].with_columns(source_code=_either(traffic, "S09", "S03"))
    if "person_certificate" in facts:
        traffic = pl.col("specialty").fill_null("").str.contains("公路|水利|港口|航道|highway|water")
        routed["person_certificate"] = facts["person_certificate"].with_columns(
            source_code=_either(traffic, "S09", "S03")
        )
    if "organisation" in facts:
        traffic = (pl.col("org_no") % 4 == 0).fill_null(value=False)
        routed["organisation"] = facts["organisation"].with_columns(source_code=_either(traffic, "S09", "S04"))
    if "sanction" in facts and "source_code" not in facts["sanction"].columns:
        routed["sanction"] = facts["sanction"].with_columns(source_code=pl.lit("S04"))
    return routed


def _either(condition: pl.Expr, yes: str, no: str) -> pl.Expr:
    return pl.when(condition.fill_null(value=False)).then(pl.lit(yes)).otherwise(pl.lit(no))


def feeds_of(name: str, frame: pl.DataFrame, sources: frozenset[str]) -> Iterator[tuple[Feed, pl.DataFrame]]:
    """Yield the feeds that deliver a frame of facts, each with its rows.

    Args:
        name: of a table, or of one feed as source/feed.
        frame: its rows.
        sources: that deliver at all.
    """
    for feed in FEEDS:
        if feed.source not in sources or name not in (feed.table, feed.folder):
            continue
        rows = frame
        if feed.alternatives and "source_code" in frame.columns:
            rows = frame.filter(pl.col("source_code") == feed.source)
        if len(rows):
            yield feed, rows


SOURCES = frozenset(feed.source for feed in FEEDS)
"""All sources of the city."""
