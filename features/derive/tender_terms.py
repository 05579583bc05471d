"""The clauses of a lot's tender document: how few can meet them, and whether the winner can."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.clock import SHANGHAI
from features.derive.awards import known_awards
from features.derive.bids import submitted_bids
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.lots import lot_facts
from features.tables.organisations import Qualification
from features.tables.source import SourceTables
from features.tables.tendering import TenderClause


class LotTerms(Derived):
    """One opened lot with bids, the clauses that restrict it, and whether its winner meets them."""

    subject_id = dy.String(primary_key=True)
    """The lot."""
    n_clauses = dy.Int64(min=0)
    pool = dy.Int64(nullable=True, min=0)
    """Fewest firms that meet one of the qualification clauses; null where it is known of none."""
    n_restrictive = dy.Int64(min=0)
    sole_share = dy.Float64(min=0, max=1)
    """Share of the points on clauses that one firm alone meets."""
    awarded = dy.Bool()
    winner_qualified = dy.Bool()
    """A winner had the required qualification at the opening, or none is required."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Read the clauses of each opened lot, those of its tender that name no lot among them (rulings SI-006)."""
        lots = (
            lot_facts(source, as_of)
            .filter("opened")
            .join(submitted_bids(source), on="lot_id", how="semi")
            .select("lot_id", "tender_id", "required_qual_code", "opening_at")
        )
        clauses = (
            source[TenderClause]
            .with_columns(pl.col("clause_type", "restrictive_flag").cast(pl.String), of_lot="lot_id")
            .drop("lot_id")
            .join(lots.select("lot_id", "tender_id"), on="tender_id", how="inner")
            .filter((pl.col("of_lot") == pl.col("lot_id")).fill_null(value=True))
            # Collected in order, that sums be the same to the last bit: polars drops a sort ahead of an aggregation.
            .sort("max_score", "clause_id")
            .drop("text")
            .collect()
            .lazy()
        )
        pool_n = pl.col("eligible_pool_n")
        pool = pool_n.filter(pl.col("clause_type") == "qualification").min()
        restrictive, sole, points = pl.col("restrictive_flag") != "none", pool_n == 1, pl.col("max_score")
        telling = restrictive | ((pool_n == 1) | (pool_n == pool)).fill_null(value=False)
        terms = clauses.group_by("lot_id").agg(
            n_clauses=pl.len().cast(pl.Int64),
            pool=pool,
            n_restrictive=restrictive.sum().cast(pl.Int64),
            sole_share=points.filter(sole).sum() / points.sum(),
            evidence=rows_as_evidence(
                "tender_clause",
                "clause_id",
                ["clause_type", "restrictive_flag", "eligible_pool_n", "max_score"],
                where=telling,
            ),
        )
        return (
            lots.join(terms, on="lot_id", how="left")
            .join(_winners(lots, source, as_of), on="lot_id", how="left")
            .with_columns(
                pl.col("n_clauses", "n_restrictive").fill_null(0),
                pl.col("sole_share").fill_nan(0.0).fill_null(0.0),
                pl.col("winner_qualified").fill_null(value=False),
                pl.col("evidence").fill_null("[]"),
                awarded=pl.col("winner_qualified").is_not_null(),
                subject_id="lot_id",
            )
            .select(cls.column_names())
            .sort("subject_id")
        )


def _winners(lots: pl.LazyFrame, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the awarded lots and whether a winner was qualified on the day of opening: lot_id, winner_qualified."""
    wins = known_awards(source, as_of).select("lot_id", "org_id").unique().join(lots, on="lot_id", how="inner")
    status, day = pl.col("status").cast(pl.String), pl.col("opening_at").dt.convert_time_zone(str(SHANGHAI)).dt.date()
    # What has expired since was valid until its day.
    valid = (
        pl.when(pl.col("valid_until").is_null())
        .then(status == "valid")
        .otherwise((status != "revoked") & (pl.col("valid_until") >= day))
    )
    qualified = (
        wins.join(source[Qualification], left_on=["org_id", "required_qual_code"], right_on=["org_id", "qual_code"])
        .filter(valid)
        .select("lot_id")
        .unique()
        .with_columns(qualified=pl.lit(value=True))
    )
    free = pl.col("required_qual_code").is_null().any()
    return (
        wins.join(qualified, on="lot_id", how="left")
        .group_by("lot_id")
        .agg(winner_qualified=free | pl.col("qualified").fill_null(value=False).any())
    )
