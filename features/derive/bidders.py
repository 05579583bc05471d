"""Who bid and who won in competitive lots: the ground of win rates, runs and co-bidding."""

import datetime as dt
from itertools import pairwise

import dataframely as dy
import numpy as np
import polars as pl
from scipy.stats import hypergeom

from features.derive.awards import known_awards
from features.derive.bids import submitted_bids
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.lots import control_groups, first_opening, lot_facts, with_group, with_market
from features.derive.pairs import organisation_pair
from features.derive.windows import in_window, short_history
from features.tables.source import SourceTables

PRICE_SENSITIVE = ("lowest_evaluated", "reasonable_low_price", "comprehensive")
LIFT = pl.col("n_both") * pl.col("n_lots") / (pl.col("n_1") * pl.col("n_2"))
"""Common lots of two over what chance would have it (SI-034)."""
OVERLAP = pl.col("n_both") / pl.min_horizontal("n_1", "n_2")


def competitive_lots(source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
    """Return the competitive lots opened in (as_of - window, as_of] with a bid in S(l) (rulings G6), as lot_facts."""
    with_bids = submitted_bids(source).select("lot_id").unique()
    return (
        lot_facts(source, as_of)
        .filter("opened", "competitive", in_window(pl.col("opening_at"), as_of, window_months))
        .join(with_bids, on="lot_id", how="semi")
    )


def decided_lots(source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
    """Return those of ``competitive_lots`` whose award is known at ``as_of`` (rulings G5, G6)."""
    awarded = known_awards(source, as_of).select("lot_id").unique()
    return competitive_lots(source, as_of, window_months).join(awarded, on="lot_id", how="semi")


def winners(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return who is known to have won: lot_id, org_id, group_org_id, award_id, amount; one row an award."""
    return known_awards(source, as_of).select("lot_id", "org_id", "group_org_id", "award_id", "amount")


def valid_groups(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the control groups that bid validly for each lot, a group once a lot (rulings G6, G7).

    Grain: lot_id, group_org_id. Columns: won; evidence (the bid and award rows as JSON objects). A winner without a bid
    row counts as a valid bidder.
    """
    bids = with_group(submitted_bids(source).filter("counts_as_valid"), source, "bidder_org_id", "group_org_id")
    won = winners(source, as_of)
    bid_rows = bids.select(
        "lot_id",
        "group_org_id",
        won=pl.lit(value=False),
        table=pl.lit("bid"),
        key="bid_id",
        amount="bid_price",
    )
    award_rows = won.select(
        "lot_id",
        "group_org_id",
        won=pl.lit(value=True),
        table=pl.lit("award"),
        key="award_id",
        amount="amount",
    )
    shown = pl.struct(
        "table", "key", pl.struct("lot_id", pl.col("amount").cast(pl.String)).alias("fields")
    ).struct.json_encode()
    return (
        pl.concat([bid_rows, award_rows])
        .with_columns(shown=shown)
        .group_by("lot_id", "group_org_id")
        .agg(pl.col("won").any(), evidence=pl.col("shown").sort().str.join(","))
    )


class BidderRecord(Derived):
    """How often one organisation bid, won and lost, and to whom, in decided competitive lots of the window."""

    subject_id = dy.String(primary_key=True)
    """The organisation."""
    n_bids = dy.Int64(min=0)
    """m: lots it bid for by itself, among lots whose bids are all published."""
    n_wins = dy.Int64(min=0)
    top_share = dy.Float64(min=0, max=1)
    """Largest share of its lost lots that one control group won."""
    gap = dy.Float64()
    """Median of (its price - winning price) / winning price in lost lots under price-sensitive methods; 0 if none."""
    disqualified_share = dy.Float64(min=0, max=1)
    n_incomplete = dy.Int64(min=0)
    """Lots it was seen in whose bids are not all published; they count nowhere else."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
        """Count each organisation's own bids (rulings G6, G9, SI-033: a lot won by a sister company is lost)."""
        lots = decided_lots(source, as_of, window_months).select("lot_id", "evaluation_method", "bids_complete")
        bids = submitted_bids(source).rename({"bidder_org_id": "org_id"})
        won = winners(source, as_of)
        took_part = _took_part(bids, won).join(lots, on="lot_id", how="inner")
        complete = took_part.filter("bids_complete")
        lost = complete.filter(~pl.col("won"))
        rivals = won.select("lot_id", "group_org_id").unique()
        top = (
            lost.join(rivals, on="lot_id", how="inner")
            .group_by("org_id", "group_org_id")
            .agg(n_lost_to=pl.len())
            .group_by("org_id")
            .agg(n_top=pl.col("n_lost_to").max())
        )
        gaps = (
            lost.filter(pl.col("evaluation_method").is_in(PRICE_SENSITIVE), pl.col("price") > 0)
            .join(_winning_price(bids, won), on="lot_id", how="inner")
            .group_by("org_id")
            .agg(gap=((pl.col("price") - pl.col("winning_price")) / pl.col("winning_price")).median())
        )
        counts = complete.group_by("org_id").agg(
            n_bids=pl.len().cast(pl.Int64),
            n_wins=pl.col("won").sum().cast(pl.Int64),
            n_disqualified=pl.col("disqualified").sum(),
            n_lost=(~pl.col("won")).sum(),
            evidence=pl.format("[{}]", pl.col("shown").sort().str.join(",")),
        )
        seen = took_part.group_by("org_id").agg(n_incomplete=(~pl.col("bids_complete")).sum().cast(pl.Int64))
        return (
            seen.join(counts, on="org_id", how="left")
            .join(top, on="org_id", how="left")
            .join(gaps, on="org_id", how="left")
            .select(
                subject_id="org_id",
                n_bids=pl.col("n_bids").fill_null(0),
                n_wins=pl.col("n_wins").fill_null(0),
                top_share=(pl.col("n_top") / pl.col("n_lost")).fill_null(0.0),
                gap=pl.col("gap").fill_null(0.0),
                disqualified_share=(pl.col("n_disqualified") / pl.col("n_bids")).fill_null(0.0),
                n_incomplete="n_incomplete",
                short_history=pl.lit(short_history(first_opening(source), as_of, window_months)),
                evidence=pl.col("evidence").fill_null("[]"),
            )
            .sort("subject_id")
        )


def _took_part(bids: pl.LazyFrame, won: pl.LazyFrame) -> pl.LazyFrame:
    """Return one row a lot and organisation: won, disqualified, its lowest positive valid price, its rows as JSON."""
    price = pl.col("bid_price").cast(pl.Float64)
    usable = pl.col("counts_as_valid") & (price > 0)
    bid_rows = bids.select(
        "lot_id",
        "org_id",
        "disqualified",
        won=pl.lit(value=False),
        price=pl.when(usable).then(price),
        shown=_shown("bid", "bid_id", "bid_price"),
    )
    award_rows = won.select(
        "lot_id",
        "org_id",
        disqualified=pl.lit(value=False),
        won=pl.lit(value=True),
        price=pl.lit(None, dtype=pl.Float64),
        shown=_shown("award", "award_id", "amount"),
    )
    return (
        pl.concat([bid_rows, award_rows])
        .group_by("lot_id", "org_id")
        .agg(
            pl.col("disqualified").any(),
            pl.col("won").any(),
            pl.col("price").min(),
            pl.col("shown").sort().str.join(","),
        )
    )


def _shown(table: str, key: str, amount: str) -> pl.Expr:
    fields = pl.struct("lot_id", pl.col(amount).cast(pl.String).alias("amount"))
    return pl.struct(
        pl.lit(table).alias("table"), pl.col(key).alias("key"), fields.alias("fields")
    ).struct.json_encode()


def _winning_price(bids: pl.LazyFrame, won: pl.LazyFrame) -> pl.LazyFrame:
    """Return the lowest winner's bid price of each lot, else its lowest award amount."""
    own = bids.filter("counts_as_valid").select("lot_id", "org_id", price=pl.col("bid_price").cast(pl.Float64))
    priced = won.join(own.filter(pl.col("price") > 0), on=["lot_id", "org_id"], how="left")
    amount = pl.col("amount").cast(pl.Float64)
    return (
        priced.group_by("lot_id")
        .agg(winning_price=pl.coalesce(pl.col("price").min(), amount.filter(amount > 0).min()))
        .filter(pl.col("winning_price").is_not_null())
    )


class CoBidding(Derived):
    """How often two organisations of different control groups bid for the same lots of one market."""

    subject_id = dy.String()
    market = dy.String()
    org_id_1 = dy.String()
    org_id_2 = dy.String()
    n_lots = dy.Int64(min=0)
    """N: lots of the market with a bid."""
    n_1 = dy.Int64(min=0)
    n_2 = dy.Int64(min=0)
    n_both = dy.Int64(min=0)
    n_tests = dy.Int64(min=0)
    """Eligible pairs of all markets, also those that never met: the family of the false-discovery control."""
    only_incomplete = dy.Bool()
    """The two met only in lots whose bids are not all published."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(
        cls, source: SourceTables, as_of: dt.datetime, window_months: int, c_min: int, lots_min: int
    ) -> pl.LazyFrame:
        """Count lots by organisation and by pair within each market (rulings G6, G7, G10, G18, SI-034)."""
        lots = competitive_lots(source, as_of, window_months)
        complete = with_market(lots.filter("bids_complete")).select("lot_id", "market")
        bids = submitted_bids(source).select("lot_id", "bid_id", org_id="bidder_org_id")
        won = winners(source, as_of).select("lot_id", "org_id").unique()
        bidders = pl.concat([bids.select("lot_id", "org_id"), won]).unique()
        groups = control_groups(source)
        there = (
            bidders.join(complete, on="lot_id", how="inner")
            .join(groups, on="org_id", how="left")
            .with_columns(pl.col("group_org_id").fill_null(pl.col("org_id")))
        )
        sizes = complete.group_by("market").agg(n_lots=pl.len().cast(pl.Int64))
        activity = there.group_by("market", "org_id", "group_org_id").agg(n=pl.len().cast(pl.Int64))
        met = _pairs(there, ["market"])
        counted = (
            met.group_by("market", "org_id_1", "org_id_2")
            .agg(n_both=pl.len().cast(pl.Int64), evidence=rows_as_evidence("lot", "lot_id", ["market"]))
            .join(activity.select("market", org_id_1="org_id", n_1="n"), on=["market", "org_id_1"])
            .join(activity.select("market", org_id_2="org_id", n_2="n"), on=["market", "org_id_2"])
            .join(sizes, on="market")
            .with_columns(only_incomplete=pl.lit(value=False))
        )
        eligible = activity.join(sizes, on="market").filter(pl.col("n") >= c_min, pl.col("n_lots") >= lots_min)
        n_tests = _count_pairs(eligible)
        history = pl.lit(short_history(first_opening(source), as_of, window_months))
        elsewhere = _met_unseen(bidders, lots.filter(~pl.col("bids_complete")), groups, counted)
        return (
            pl.concat([counted.select(elsewhere.collect_schema().names()), elsewhere])
            .with_columns(
                subject_id=organisation_pair(pl.col("org_id_1"), pl.col("org_id_2")),
                n_tests=pl.lit(n_tests, dtype=pl.Int64),
                short_history=history,
            )
            .select(cls.column_names())
            .sort("subject_id", "market")
        )


def cobidding_p_value() -> pl.Expr:
    """Return P(X >= n_both) for the common lots of two among n_lots, of which n_1 and n_2 are theirs (rulings G19)."""
    return pl.struct("n_lots", "n_1", "n_2", "n_both").map_batches(_hypergeometric_upper_tail, pl.Float64)


def _hypergeometric_upper_tail(counts: pl.Series) -> pl.Series:
    n, a, b, c = (counts.struct.field(name).to_numpy() for name in ("n_lots", "n_1", "n_2", "n_both"))
    possible = (n > 0) & (c > 0)
    p = np.ones(len(n))
    # The same to the last bit whichever of the two comes first.
    fewer, more = np.minimum(a, b), np.maximum(a, b)
    p[possible] = hypergeom.sf(c[possible] - 1, n[possible], fewer[possible], more[possible])
    return pl.Series("p_value", p)


def _pairs(there: pl.LazyFrame, keep: list[str]) -> pl.LazyFrame:
    """Return each unordered pair of organisations of different control groups in one lot, smaller id first."""
    left = there.select("lot_id", *keep, org_id_1="org_id", _group_1="group_org_id")
    right = there.select("lot_id", org_id_2="org_id", _group_2="group_org_id")
    return (
        left.join(right, on="lot_id", how="inner")
        .filter(pl.col("org_id_1") < pl.col("org_id_2"), pl.col("_group_1") != pl.col("_group_2"))
        .drop("_group_1", "_group_2")
    )


def _count_pairs(eligible: pl.LazyFrame) -> int:
    """Count the pairs of different control groups among the eligible organisations of each market."""
    n = pl.col("n_members")
    by_group = eligible.group_by("market", "group_org_id").agg(n_members=pl.len().cast(pl.Int64))
    all_pairs = (n.sum() * (n.sum() - 1) - (n * (n - 1)).sum()) // 2
    return int(by_group.group_by("market").agg(pairs=all_pairs).select(pl.col("pairs").sum()).collect().item() or 0)


def _met_unseen(
    bidders: pl.LazyFrame, incomplete: pl.LazyFrame, groups: pl.LazyFrame, counted: pl.LazyFrame
) -> pl.LazyFrame:
    """Return the pairs that met only in lots whose bids are not all published; nothing can be counted for them."""
    there = (
        bidders.join(incomplete.select("lot_id"), on="lot_id", how="semi")
        .join(groups, on="org_id", how="left")
        .with_columns(pl.col("group_org_id").fill_null(pl.col("org_id")))
    )
    zero = pl.lit(0, dtype=pl.Int64)
    return (
        _pairs(there, [])
        .select("org_id_1", "org_id_2")
        .unique()
        .join(counted, on=["org_id_1", "org_id_2"], how="anti")
        .select(
            "org_id_1",
            "org_id_2",
            market=pl.lit(""),
            n_lots=zero,
            n_1=zero,
            n_2=zero,
            n_both=zero,
            only_incomplete=pl.lit(value=True),
            evidence=pl.lit("[]"),
        )
    )


def longest_runs(hits: list[int]) -> list[list[int]]:
    """Split ascending numbers into runs of consecutive ones and return the longest of them.

    >>> longest_runs([1, 2, 5, 6, 9])
    [[1, 2], [5, 6]]
    """
    runs: list[list[int]] = [[hits[0]]] if hits else []
    for before, number in pairwise(hits):
        if number == before + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    longest = max((len(run) for run in runs), default=0)
    return [run for run in runs if len(run) == longest]
