"""How an evaluation ran: how long it took for how much paper, and which marks were changed."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.bids import submitted_bids
from features.derive.derived import Derived
from features.derive.expert_scores import lots_with_bids, member_points, ranked_bids, subjective_scores
from features.derive.ordered import ordered
from features.tables.columns import ZONE
from features.tables.documents import BidDocumentFingerprint
from features.tables.evaluation import EvaluationScore
from features.tables.source import SourceTables
from features.tables.tendering import Tender


class EvaluationRun(Derived):
    """The evaluation of one lot opened by the moment of scoring."""

    lot_id = dy.String(primary_key=True)
    opening_at = dy.Datetime(time_zone=ZONE, time_unit="us")
    method = dy.String()
    evaluation_method = dy.String()
    object_type = dy.String(nullable=True)
    category = dy.String(nullable=True)
    city = dy.String(nullable=True)
    required_qual_code = dy.String(nullable=True)
    currency = dy.String()
    bids_complete = dy.Bool()
    minutes = dy.Float64(nullable=True, min=0)
    """From start to end of the tender's evaluation; null when one is not known or the end lies before the start."""
    n_valid = dy.Int64(min=0)
    """Bids in V(l)."""
    mean_pages = dy.Float64(nullable=True, min=0)
    """Mean over V(l) of the pages of a bid's files; bids without page count are left out."""
    n_cells = dy.Int64(min=0)
    """Marks by judgement."""
    n_revised = dy.Int64(min=0)
    """Those that were changed."""
    flipped = dy.Bool()
    """With the marks before revision another bid would be first."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Measure each lot with a bid in S(l) (rulings G16, SI-069, SI-075)."""
        times = source[Tender].select(
            "tender_id",
            *[pl.when(pl.col(name) <= as_of).then(name) for name in ("evaluation_start_at", "evaluation_end_at")],
        )
        took = (pl.col("evaluation_end_at") - pl.col("evaluation_start_at")).dt.total_microseconds() / 6e7
        scores = subjective_scores(source, as_of).collect().lazy()
        revised = pl.col("revised_from").is_not_null()
        marks = scores.group_by("lot_id").agg(n_cells=pl.len().cast(pl.Int64), n_revised=revised.sum().cast(pl.Int64))
        return (
            lots_with_bids(source, as_of)
            .join(times.with_columns(minutes=pl.when(took >= 0).then(took)), on="tender_id", how="left")
            .join(_pages(source), on="lot_id", how="left")
            .join(marks, on="lot_id", how="left")
            .join(_flipped(source, as_of, scores), on="lot_id", how="left")
            .join(_shown_revisions(scores.filter(revised)), on="lot_id", how="left")
            .with_columns(
                pl.col("n_valid", "n_cells", "n_revised").fill_null(0),
                pl.col("flipped").fill_null(value=False),
                evidence=pl.concat_str(pl.lit("["), _shown_times(), pl.col("shown").fill_null(""), pl.lit("]")),
            )
            .select(cls.column_names())
            .sort("lot_id")
        )


def _pages(source: SourceTables) -> pl.LazyFrame:
    """Return the number of bids of each V(l) and the mean of their summed pages: lot_id, n_valid, mean_pages."""
    counted = source[BidDocumentFingerprint].filter(pl.col("page_count").is_not_null())
    pages = counted.group_by("bid_id").agg(pages=pl.col("page_count").sum())
    valid = submitted_bids(source).filter("counts_as_valid").select("lot_id", "bid_id")
    return (
        valid.join(pages, on="bid_id", how="left")
        .group_by("lot_id")
        .agg(n_valid=pl.len().cast(pl.Int64), mean_pages=pl.col("pages").mean())
    )


def _flipped(source: SourceTables, as_of: dt.datetime, scores: pl.LazyFrame) -> pl.LazyFrame:
    """Tell of lots with changed marks whether another bid was first before: lot_id, flipped. A tie changes nothing."""
    changed = (
        member_points(scores)
        .group_by("bid_id")
        .agg(moved=ordered(pl.col("points_before") - pl.col("points")).list.mean())
    )
    before = (pl.col("total_score") + pl.col("moved").fill_null(0.0)).round(9)
    placed = ranked_bids(source, as_of).join(changed, on="bid_id", how="left").with_columns(before=before)
    first = pl.col("before").filter(pl.col("place") == 1).first()
    return placed.group_by("lot_id").agg(flipped=pl.col("before").filter(pl.col("place") > 1).max() > first)


def _shown_times() -> pl.Expr:
    """Return the tender as evidence: when its evaluation began and ended."""
    fields = [pl.col(name).cast(pl.String) for name in ("evaluation_start_at", "evaluation_end_at")]
    return pl.struct(
        pl.lit(Tender.NAME).alias("table"), pl.col("tender_id").alias("key"), pl.struct(fields).alias("fields")
    ).struct.json_encode()


def _shown_revisions(revised: pl.LazyFrame) -> pl.LazyFrame:
    """Return the changed marks of each lot as evidence, each after a comma: lot_id, shown."""
    fields = [pl.col(name).cast(pl.String) for name in ("bid_id", "factor_code", "revised_from", "score")]
    row = pl.struct(
        pl.lit(EvaluationScore.NAME).alias("table"), pl.col("score_id").alias("key"), pl.struct(fields).alias("fields")
    ).struct.json_encode()
    return revised.group_by("lot_id").agg(shown=pl.concat_str(pl.lit(","), row).sort().str.join())
