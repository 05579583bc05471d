"""A tenderer and its suppliers over time: first and later contracts, incumbents, wins after disqualifications."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.clock import months_before
from features.derive.awards import first_award, known_awards
from features.derive.bidders import decided_lots, valid_groups
from features.derive.bids import submitted_bids
from features.derive.derived import Derived
from features.derive.evidence import joined_evidence, rows_as_evidence
from features.derive.lots import first_opening, lot_facts, with_group
from features.derive.pairs import organisation_pair
from features.derive.purchases import contracts_awarded
from features.derive.tender_limits import TenderLimits
from features.derive.windows import in_window, short_history
from features.tables.columns import MONEY_MAX
from features.tables.source import SourceTables

PAIR = ("owner_org_id", "group_org_id")


class ContractGrowth(Derived):
    """One tenderer and one supplier (a control group): its first contract there, and the largest that followed."""

    subject_id = dy.String()
    tenderer_org_id = dy.String()
    supplier_org_id = dy.String()
    """The smallest org_id of the supplier's control group."""
    first_amount = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    """Of the latest contract that had none in the months before it."""
    first_method = dy.String(nullable=True)
    """Null without a tender."""
    first_below_limit = dy.Bool(nullable=True)
    n_later = dy.Int64(min=0)
    """Contracts in the months that followed."""
    largest_amount = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    """The largest of them."""
    short_history = dy.Bool()
    """The tenderer's first contract lies inside the window."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int, follow_months: int) -> pl.LazyFrame:
        """Find the first contract of each pair and what followed (rulings G7, SI-004)."""
        signed = contracts_awarded(source, as_of, TenderLimits()).filter(pl.col("supplement_of_contract_id").is_null())
        contracts = (
            with_group(signed, source, "supplier_org_id", "group_org_id")
            .select("contract_id", *PAIR, "signed_at", "amount", "method", "limit", "below_limit")
            .sort("signed_at", "contract_id")
            .collect()
            .lazy()
        )
        # The latest contract signed strictly before, of one moment the first by its id.
        moments = contracts.select(*PAIR, "signed_at").unique().sort("signed_at")
        before = moments.with_columns(before_at=pl.col("signed_at").shift(1).over(PAIR, order_by="signed_at"))
        after_all = pl.col("before_at") <= pl.col("signed_at").dt.offset_by(f"-{window_months}mo")
        fresh = before.filter(after_all.fill_null(value=True)).group_by(PAIR).agg(pl.col("signed_at").max())
        firsts = (
            contracts.join(fresh, on=[*PAIR, "signed_at"], how="inner")
            .group_by(PAIR)
            .agg(
                first_at=pl.col("signed_at").first(),
                first_amount=pl.col("amount").sort_by("contract_id").first(),
                first_method=pl.col("method").sort_by("contract_id").first(),
                first_below_limit=pl.col("below_limit").sort_by("contract_id").first(),
                first_id=pl.col("contract_id").min(),
            )
        )
        until = pl.col("first_at").dt.offset_by(f"{follow_months}mo")
        followed = contracts.join(firsts, on=PAIR, how="inner")
        later = (pl.col("signed_at") > pl.col("first_at")) & (pl.col("signed_at") <= until)
        shown = later | (pl.col("contract_id") == pl.col("first_id"))
        fields = ["signed_at", "amount", "method"]
        began = contracts.group_by("owner_org_id").agg(began_at=pl.col("signed_at").min())
        return (
            followed.group_by(PAIR)
            .agg(
                pl.col("first_amount", "first_method", "first_below_limit").first(),
                n_later=later.sum().cast(pl.Int64),
                largest_amount=pl.col("amount").filter(later).max(),
                evidence=rows_as_evidence("contract", "contract_id", fields, where=shown),
            )
            .join(began, on="owner_org_id", how="inner")
            .select(
                *[name for name in cls.column_names() if name.startswith(("first_", "n_", "largest_"))],
                "evidence",
                subject_id=organisation_pair(pl.col("owner_org_id"), pl.col("group_org_id")),
                tenderer_org_id="owner_org_id",
                supplier_org_id="group_org_id",
                short_history=pl.col("began_at") > months_before(as_of, window_months),
            )
            .select(cls.column_names())
            .sort("subject_id", "tenderer_org_id")
        )


class IncumbentRecord(Derived):
    """How often the winner of one tenderer's latest lot of a category bid for the next one, and won it."""

    subject_id = dy.String(primary_key=True)
    """The tenderer."""
    n_lots = dy.Int64(min=0)
    """Lots with an incumbent's valid bid, among those whose bids are all published."""
    n_lots_all = dy.Int64(min=0)
    """With those whose bids are not, and that have an incumbent."""
    n_won = dy.Int64(min=0)
    """Of n_lots, won by an incumbent."""
    chance = dy.Float64(nullable=True, min=0, max=1)
    """Mean of 1/n_valid over n_lots."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
        """Look up the incumbents of each lot and what became of them (rulings G6, G7, G10, SI-005)."""
        lots = (
            decided_lots(source, as_of, window_months)
            .filter(pl.col("tenderer_org_id").is_not_null())
            .select("lot_id", "tenderer_org_id", "category", "opening_at", "bids_complete")
            .collect()
            .lazy()
        )
        incumbents = _incumbents(lots, source, as_of)
        groups = valid_groups(source, as_of).join(lots, on="lot_id", how="semi").collect().lazy()
        n_valid = groups.group_by("lot_id").agg(n_valid=pl.len().cast(pl.Int64))
        there = incumbents.join(groups, on=["lot_id", "group_org_id"], how="inner")
        met = there.group_by("lot_id").agg(
            pl.col("won").any(), met=pl.lit(value=True), evidence=pl.col("evidence").sort().str.join(",")
        )
        known = incumbents.select("lot_id", has_incumbent=pl.lit(value=True)).unique()
        counted = (
            lots.join(known, on="lot_id", how="left")
            .join(met, on="lot_id", how="left")
            .join(n_valid, on="lot_id", how="left")
            .with_columns(pl.col("has_incumbent", "met", "won").fill_null(value=False))
            # Collected in order, that sums be the same to the last bit: polars drops a sort ahead of an aggregation.
            .sort("n_valid", "lot_id")
            .collect()
            .lazy()
        )
        complete = pl.col("bids_complete")
        counts = complete & pl.col("met")
        return (
            counted.group_by(subject_id="tenderer_org_id")
            .agg(
                n_lots=counts.sum().cast(pl.Int64),
                n_lots_all=(counts | (~complete & pl.col("has_incumbent"))).sum().cast(pl.Int64),
                n_won=(counts & pl.col("won")).sum().cast(pl.Int64),
                chance=(1 / pl.col("n_valid").filter(counts)).mean(),
                evidence=pl.concat_str(
                    pl.lit("["), pl.col("evidence").filter(counts).sort().str.join(","), pl.lit("]")
                ),
            )
            .with_columns(short_history=pl.lit(short_history(first_opening(source), as_of, window_months)))
            .select(cls.column_names())
            .sort("subject_id")
        )


class DisqualifiedRivals(Derived):
    """How many rivals of one winner (a control group) were disqualified in the lots it won at one tenderer."""

    subject_id = dy.String()
    tenderer_org_id = dy.String()
    winner_org_id = dy.String()
    n_wins = dy.Int64(min=0)
    """Lots won, among those whose bids are all published."""
    n_wins_all = dy.Int64(min=0)
    n_contested = dy.Int64(min=0)
    """Of n_wins, lots with a rival's bid."""
    disqualified_share = dy.Float64(nullable=True, min=0, max=1)
    """d: mean over n_contested of the rivals' bids disqualified; null without any."""
    n_cleared = dy.Int64(min=0)
    """c: lots in which all rivals, or under lowest_evaluated the lowest bid, were disqualified."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
        """Count the rivals of each award known in the window (rulings G5, G7, G9, SI-009)."""
        lots = lot_facts(source, as_of).select("lot_id", "tenderer_org_id", "evaluation_method", "bids_complete")
        wins = (
            known_awards(source, as_of)
            .filter(in_window(pl.col("awarded_at"), as_of, window_months))
            .join(lots.filter(pl.col("tenderer_org_id").is_not_null()), on="lot_id", how="inner")
            .group_by("tenderer_org_id", "group_org_id", "lot_id")
            .agg(
                pl.col("evaluation_method", "bids_complete").first(),
                award=rows_as_evidence("award", "award_id", ["lot_id", "amount"]),
            )
        )
        price = pl.col("bid_price")
        bids = with_group(submitted_bids(source), source, "bidder_org_id", "bidder_group_org_id").with_columns(
            lowest=(price == price.filter(price > 0).min().over("lot_id")).fill_null(value=False)
        )
        rival = pl.col("bidder_group_org_id") != pl.col("group_org_id")
        out, lowest = pl.col("disqualified"), pl.col("lowest")
        per_lot = (
            wins.filter("bids_complete")
            .join(bids, on="lot_id", how="inner")
            .group_by("tenderer_org_id", "group_org_id", "lot_id")
            .agg(
                n_rivals=rival.sum(),
                n_out=(rival & out).sum(),
                lowest_out=lowest.any() & (rival & out).filter(lowest).all(),
                by_lowest=(pl.col("evaluation_method") == "lowest_evaluated").first(),
                bids=rows_as_evidence("bid", "bid_id", ["lot_id", "bidder_org_id", "bid_price"], where=rival & out),
            )
            .filter(pl.col("n_rivals") > 0)
        )
        all_out = pl.col("n_out") == pl.col("n_rivals")
        contested = pl.col("n_rivals").is_not_null()
        share = pl.col("n_out") / pl.col("n_rivals")
        # Collected in order, that means be the same to the last bit: polars drops a sort ahead of an aggregation.
        won = wins.join(per_lot, on=["tenderer_org_id", "group_org_id", "lot_id"], how="left").sort(share, "lot_id")
        return (
            won.collect()
            .lazy()
            .with_columns(cleared=(all_out | (pl.col("by_lowest") & pl.col("lowest_out"))).fill_null(value=False))
            .group_by("tenderer_org_id", "group_org_id")
            .agg(
                n_wins=pl.col("bids_complete").sum().cast(pl.Int64),
                n_wins_all=pl.len().cast(pl.Int64),
                n_contested=contested.sum().cast(pl.Int64),
                disqualified_share=share.mean(),
                n_cleared=pl.col("cleared").sum().cast(pl.Int64),
                shown=joined_evidence(pl.col("award"), pl.col("bids")).sort(),
            )
            .select(
                "tenderer_org_id",
                "n_wins",
                "n_wins_all",
                "n_contested",
                "disqualified_share",
                "n_cleared",
                winner_org_id="group_org_id",
                subject_id=organisation_pair(pl.col("tenderer_org_id"), pl.col("group_org_id")),
                short_history=pl.lit(short_history(first_award(source), as_of, window_months)),
                evidence=pl.concat_str(
                    pl.lit("["),
                    pl.col("shown").list.eval(pl.element().str.strip_prefix("[").str.strip_suffix("]")).list.join(","),
                    pl.lit("]"),
                ),
            )
            .select(cls.column_names())
            .sort("subject_id", "tenderer_org_id")
        )


def _incumbents(lots: pl.LazyFrame, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return who won the tenderer's latest decided lot of the category opened on an earlier day: lot_id, group_org_id.

    Of several lots opened at that moment all winners are incumbents.
    """
    series = ["tenderer_org_id", "category"]
    winners = known_awards(source, as_of).select("lot_id", "group_org_id").unique()
    decided = (
        lot_facts(source, as_of)
        .filter("opened", pl.col("tenderer_org_id").is_not_null(), pl.col("category").is_not_null())
        .select("lot_id", *series, "opening_at")
        .join(winners, on="lot_id", how="inner")
        .select(*series, "group_org_id", before_at="opening_at")
        .unique()
        .collect()
        .lazy()
    )
    moments = decided.select(*series, "before_at").unique().sort("before_at")
    day_start = pl.col("opening_at").dt.convert_time_zone("Asia/Shanghai").dt.truncate("1d")
    asked = lots.filter(pl.col("category").is_not_null()).with_columns(day_start=day_start).sort("day_start")
    latest = asked.join_asof(
        moments.with_columns(found_at="before_at"),
        left_on="day_start",
        right_on="before_at",
        by=series,
        strategy="backward",
        allow_exact_matches=False,
        check_sortedness=False,
    ).filter(pl.col("found_at").is_not_null())
    return (
        latest.select("lot_id", *series, before_at="found_at")
        .join(decided, on=[*series, "before_at"], how="inner")
        .select("lot_id", "group_org_id")
        .unique()
    )
