"""Winning bids that were given up: who stepped back, who won at a higher price, and what links the two."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.awards import first_award, known_results
from features.derive.bidder_ties import TIE
from features.derive.bids import submitted_bids
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.linked_bidders import linked
from features.derive.lots import lot_facts
from features.derive.windows import in_window, short_history
from features.tables.source import SourceTables
from features.tables.tendering import Bid

GIVEN_UP = ("withdrawn", "rejected")
"""A withdrawn bid, or one that its bidder did not decrypt (rulings SI-036)."""
COLUMNS = ("lot_id", "org_id", "table", "key", "says", "price")


class Withdrawal(Derived):
    """One decided lot and, if somebody stepped back for a dearer winner, one pair of these."""

    subject_id = dy.String()
    """The lot."""
    happened = dy.Bool()
    linked = dy.Bool()
    """The winner is linked to who gave up by SI-020, SI-021 or SI-034."""
    n_abandoned = dy.Int64(min=0)
    """Lots of the window that who gave up has abandoned as a candidate."""
    n_candidates = dy.Int64(min=0)
    """Known results of the lot."""
    known = dy.Bool()
    """Ranks, and the prices that they set against each other, are known."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
        """Set whoever gave up a winning bid against whoever won with a later rank or a dearer bid (rulings SI-036)."""
        results = _priced_results(source, as_of).collect().lazy()
        lots = lot_facts(source, as_of).filter("opened").select("lot_id", day=pl.col("opening_at").dt.date())
        bids = submitted_bids(source).select("lot_id").unique()
        decided = lots.join(bids, on="lot_id", how="semi").join(
            results.filter(status="awarded"), on="lot_id", how="semi"
        )
        withdrawn = _withdrawn(source).collect().lazy()
        pairs = _given_up(results, withdrawn).join(decided, on="lot_id", how="inner").collect().lazy()
        ends = pairs.with_columns(
            org_id_1=pl.min_horizontal("org_id", "winner_org_id"), org_id_2=pl.max_horizontal("org_id", "winner_org_id")
        )
        ties = linked(source, ends, as_of).with_columns(linked=pl.lit(value=True))
        repeats = (
            results.filter(in_window(pl.col("awarded_at"), as_of, window_months), status="abandoned")
            .group_by("org_id")
            .agg(n_abandoned=pl.col("lot_id").n_unique().cast(pl.Int64))
        )
        found = (
            ends.join(ties, on=TIE, how="left")
            .join(repeats, on="org_id", how="left")
            .select("lot_id", "linked", "n_abandoned", "evidence", happened=pl.lit(value=True))
        )
        history = short_history(first_award(source), as_of, window_months)
        return (
            decided.select("lot_id")
            .join(_known_ranks(results, withdrawn), on="lot_id", how="left")
            .join(found, on="lot_id", how="left")
            .with_columns(
                pl.col("happened", "linked").fill_null(value=False),
                pl.col("n_abandoned").fill_null(0),
                pl.col("evidence").fill_null("[]"),
                subject_id="lot_id",
                short_history=pl.lit(history),
            )
            .select(cls.column_names())
            .sort("subject_id", "evidence")  # of two who gave up alike the same one stands for the lot
        )


def _priced_results(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return ``known_results`` with rank and price, where missing those of the bid."""
    bids = source[Bid].select("bid_id", "lot_id", "bidder_org_id", "bid_price", "rank")
    own = bids.group_by("lot_id", org_id="bidder_org_id").agg(
        own_price=pl.col("bid_price").min(), own_rank=pl.col("rank").min()
    )
    return (
        known_results(source, as_of)
        .join(bids.drop("lot_id", "bidder_org_id"), on="bid_id", how="left")
        .join(own, on=["lot_id", "org_id"], how="left")
        .with_columns(
            rank=pl.coalesce("candidate_rank", "rank", "own_rank"),
            price=pl.coalesce("amount", "bid_price", "own_price"),
        )
    )


def _withdrawn(source: SourceTables) -> pl.LazyFrame:
    """Return the priced bids that were withdrawn or not opened."""
    status = pl.col("status").cast(pl.String)
    return (
        source[Bid]
        .filter(status.is_in(GIVEN_UP), pl.col("bid_price") > 0)
        .select("lot_id", org_id="bidder_org_id", table=pl.lit("bid"), key="bid_id", says=status, price="bid_price")
    )


def _given_up(results: pl.LazyFrame, withdrawn: pl.LazyFrame) -> pl.LazyFrame:
    """Return who gave up and who won more dearly: lot_id, org_id, winner_org_id, evidence."""
    won = results.filter(status="awarded").select(
        "lot_id", "rank", winner_org_id="org_id", winner_key="award_id", winner_price="price"
    )
    abandoned = results.filter(pl.col("rank") == 1, status="abandoned").select(
        "lot_id", "org_id", table=pl.lit("award"), key="award_id", says="abandon_reason", price="price"
    )
    left = pl.concat(
        [
            abandoned.select(COLUMNS).join(won.filter(pl.col("rank") > 1), on="lot_id", how="inner"),
            withdrawn.select(COLUMNS).join(won, on="lot_id", how="inner"),
        ]
    ).filter(pl.col("org_id") != pl.col("winner_org_id"), pl.col("winner_price") > pl.col("price"))
    pair = ["lot_id", "org_id", "winner_org_id"]
    rows = pl.concat(
        [
            left.select(*pair, "table", "key", "says", "price", of="org_id"),
            left.select(
                *pair,
                table=pl.lit("award"),
                key="winner_key",
                says=pl.lit("awarded"),
                price="winner_price",
                of="winner_org_id",
            ),
        ]
    ).unique()
    return rows.group_by(pair).agg(evidence=rows_as_evidence(pl.col("table"), "key", ["of", "says", "price"]))


def _known_ranks(results: pl.LazyFrame, withdrawn: pl.LazyFrame) -> pl.LazyFrame:
    """Return whether a lot's results could show that nobody gave up: lot_id, n_candidates, known."""
    awarded, abandoned = pl.col("status") == "awarded", pl.col("status") == "abandoned"
    rank, price = pl.col("rank"), pl.col("price")
    later = (rank.filter(awarded) > 1).any()
    first = abandoned & (rank == 1)
    ranked = rank.filter(awarded | abandoned).null_count() == 0
    # Who won with a later rank has somebody before it, whose fate must be known; prices matter only then.
    unpriced = price.filter(first | (awarded & first.any())).null_count() > 0
    known = ranked & (~later | ((rank == 1).any() & ~unpriced))
    lots = results.group_by("lot_id").agg(
        n_candidates=pl.len().cast(pl.Int64),
        known=known,
        priced=price.filter(awarded).null_count() == 0,
    )
    set_against = withdrawn.select("lot_id", withdrawn=pl.lit(value=True)).unique()
    return lots.join(set_against, on="lot_id", how="left").select(
        "lot_id", "n_candidates", known=pl.col("known") & (pl.col("priced") | pl.col("withdrawn").is_null())
    )
