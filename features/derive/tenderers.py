"""A tenderer and those who bid and win there."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.awards import first_award, known_awards
from features.derive.bidders import decided_lots, longest_runs, valid_groups
from features.derive.bids import submitted_bids
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.lots import first_opening, lot_facts, with_market
from features.derive.pairs import organisation_pair
from features.derive.windows import in_window, short_history
from features.tables.source import SourceTables

EVENT_DAYS = 3
"""Lots of one tenderer, type and category opened within so many days of the first are one event (rulings SI-003)."""


class TendererAward(Derived):
    """What one winner (a control group) got of one tenderer's awards, in one currency."""

    subject_id = dy.String()
    tenderer_org_id = dy.String()
    winner_org_id = dy.String()
    """The smallest org_id of the winner's control group."""
    currency = dy.String()
    amount = dy.Decimal(38, 2)
    """Awarded to the winner in the window."""
    total_amount = dy.Decimal(38, 2)
    """Awarded by the tenderer in the window."""
    n_wins = dy.Int64(min=0)
    """Lots."""
    n_awards = dy.Int64(min=0)
    """Lots awarded by the tenderer."""
    null_amount_ratio = dy.Float64(min=0, max=1)
    """Share of the tenderer's awards without an amount."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
        """Sum awards known in (as_of - window, as_of], all methods but framework (rulings G5, G7, SI-001)."""
        lots = (
            lot_facts(source, as_of)
            .filter(pl.col("method") != "framework", pl.col("tenderer_org_id").is_not_null())
            .select("lot_id", "tenderer_org_id", "currency")
        )
        awards = (
            known_awards(source, as_of)
            .filter(in_window(pl.col("awarded_at"), as_of, window_months))
            .join(lots, on="lot_id", how="inner")
            .with_columns(pl.col("amount").cast(pl.Decimal(38, 2)))
        )
        totals = awards.group_by("tenderer_org_id", "currency").agg(
            total_amount=pl.col("amount").sum(),
            n_awards=pl.col("lot_id").n_unique().cast(pl.Int64),
            null_amount_ratio=pl.col("amount").is_null().mean(),
        )
        return (
            awards.group_by("tenderer_org_id", "group_org_id", "currency")
            .agg(
                amount=pl.col("amount").sum(),
                n_wins=pl.col("lot_id").n_unique().cast(pl.Int64),
                evidence=rows_as_evidence("award", "award_id", ["lot_id", "org_id", "amount", "currency"]),
            )
            .join(totals, on=["tenderer_org_id", "currency"], how="inner")
            .rename({"group_org_id": "winner_org_id"})
            .with_columns(
                subject_id=organisation_pair(pl.col("tenderer_org_id"), pl.col("winner_org_id")),
                short_history=pl.lit(short_history(first_award(source), as_of, window_months)),
            )
            .select(cls.column_names())
            .sort("subject_id", "currency", "tenderer_org_id")
        )


class TendererWinRate(Derived):
    """How often one winner (a control group) wins at one tenderer, and elsewhere in the same markets."""

    subject_id = dy.String()
    tenderer_org_id = dy.String()
    winner_org_id = dy.String()
    n_wins = dy.Int64(min=0)
    """k: lots won at the tenderer, among lots whose bids are all published."""
    n_bids = dy.Int64(min=0)
    """m: lots with a valid bid at the tenderer."""
    n_wins_elsewhere = dy.Int64(min=0)
    n_bids_elsewhere = dy.Int64(min=0)
    n_bids_all = dy.Int64(min=0)
    """m with the lots whose bids are not all published."""
    n_bids_elsewhere_all = dy.Int64(min=0)
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
        """Count decided competitive lots opened in the window (rulings G6, G7, G10, SI-002)."""
        lots = decided_lots(source, as_of, window_months).filter(pl.col("tenderer_org_id").is_not_null())
        return (
            win_rates(source, as_of, lots, "tenderer_org_id")
            .with_columns(
                subject_id=organisation_pair(pl.col("tenderer_org_id"), pl.col("winner_org_id")),
                short_history=pl.lit(short_history(first_opening(source), as_of, window_months)),
            )
            .select(cls.column_names())
            .sort("subject_id", "tenderer_org_id")
        )


def win_rates(source: SourceTables, as_of: dt.datetime, lots: pl.LazyFrame, host: str) -> pl.LazyFrame:
    """Count bids and wins of each control group at each host, and elsewhere in the markets where it bid there.

    Args:
        source: the tables.
        as_of: the moment.
        lots: decided competitive lots, as ``lot_facts``; they make the markets.
        host: the column of the tenderer or the agency; lots without one are nowhere.

    Returns:
        One row a host and group (``winner_org_id``): n_wins, n_bids, n_wins_elsewhere, n_bids_elsewhere and evidence
        over lots whose bids are all published; n_bids_all, n_bids_elsewhere_all with the others.
    """
    groups = valid_groups(source, as_of)
    seen = _win_rates(lots, groups, host).select(
        host, "group_org_id", n_bids_all="n_bids", n_bids_elsewhere_all="n_bids_elsewhere"
    )
    counted = _win_rates(lots.filter("bids_complete"), groups, host)
    return (
        seen.join(counted, on=[host, "group_org_id"], how="left")
        .rename({"group_org_id": "winner_org_id"})
        .with_columns(
            pl.col("n_wins", "n_bids", "n_wins_elsewhere", "n_bids_elsewhere").fill_null(0),
            pl.col("evidence").fill_null("[]"),
        )
    )


def _win_rates(lots: pl.LazyFrame, groups: pl.LazyFrame, host: str) -> pl.LazyFrame:
    hosted = with_market(lots).select("lot_id", host, "market").filter(pl.col(host).is_not_null())
    bids = groups.join(hosted, on="lot_id", how="inner")
    counts = [pl.len().cast(pl.Int64).alias("n_bids"), pl.col("won").sum().cast(pl.Int64).alias("n_wins")]
    here = bids.group_by(host, "group_org_id", "market").agg(*counts)
    everywhere = bids.group_by("group_org_id", "market").agg(*counts)
    elsewhere = (
        here.join(everywhere, on=["group_org_id", "market"], suffix="_everywhere")
        .group_by(host, "group_org_id")
        .agg(
            n_bids_elsewhere=(pl.col("n_bids_everywhere") - pl.col("n_bids")).sum(),
            n_wins_elsewhere=(pl.col("n_wins_everywhere") - pl.col("n_wins")).sum(),
        )
    )
    own = bids.group_by(host, "group_org_id").agg(
        *counts, evidence=pl.concat_str(pl.lit("["), pl.col("evidence").sort().str.join(","), pl.lit("]"))
    )
    return own.join(elsewhere, on=[host, "group_org_id"])


class WinningRun(Derived):
    """The longest run of consecutive events that one winner won at one tenderer, in one type and category."""

    subject_id = dy.String()
    tenderer_org_id = dy.String()
    winner_org_id = dy.String()
    object_type = dy.String(nullable=True)
    category = dy.String(nullable=True)
    n_events = dy.Int64(min=0)
    run = dy.Int64(min=0)
    contested = dy.Bool(nullable=True)
    """In one of the longest runs another group bid validly in each event; null when unpublished bids could decide."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
        """Number the events of each series and find the runs (rulings G5, G6, G7, SI-003)."""
        awarded = known_awards(source, as_of).select("lot_id").unique()
        lots = (
            lot_facts(source, as_of)
            .filter(
                "opened",
                "competitive",
                in_window(pl.col("opening_at"), as_of, window_months),
                pl.col("tenderer_org_id").is_not_null(),
            )
            .join(awarded, on="lot_id", how="semi")
        )
        with_bids = submitted_bids(source).select("lot_id").unique().with_columns(has_bids=pl.lit(value=True))
        lots = lots.join(with_bids, on="lot_id", how="left").with_columns(
            all_seen=pl.col("bids_complete") & pl.col("has_bids").fill_null(value=False)
        )
        series = ["tenderer_org_id", "object_type", "category"]
        numbered = _number_events(lots.select("lot_id", *series, "opening_at", "all_seen").collect(), series)
        groups = valid_groups(source, as_of)
        n_groups = groups.group_by("lot_id").agg(n_groups=pl.len())
        wins = (
            groups.filter("won")
            .join(numbered.lazy(), on="lot_id", how="inner")
            .join(n_groups, on="lot_id")
            .with_columns(
                contested=pl.when(pl.col("n_groups") > 1).then(statement=True).when("all_seen").then(statement=False)
            )
        )
        # Any lot with another bidder settles an event; otherwise a lot with unpublished bids leaves it open.
        settled = pl.col("contested").any(ignore_nulls=False)
        events = wins.group_by("series", "group_org_id", "event").agg(
            contested=settled, evidence=pl.col("evidence").sort().str.join(",")
        )
        runs = events.sort("event").group_by("series", "group_org_id").agg("event", "contested", "evidence").collect()
        found = runs.select(
            "series",
            winner_org_id="group_org_id",
            **_longest(runs),
        )
        about = numbered.group_by("series", *series).agg(n_events=pl.col("event").n_unique().cast(pl.Int64))
        return (
            found.join(about, on="series", how="inner")
            .with_columns(
                subject_id=organisation_pair(pl.col("tenderer_org_id"), pl.col("winner_org_id")),
                short_history=pl.lit(short_history(first_opening(source), as_of, window_months)),
            )
            .select(cls.column_names())
            .sort("subject_id", "object_type", "category", "tenderer_org_id")
            .lazy()
        )


def _number_events(lots: pl.DataFrame, series: list[str]) -> pl.DataFrame:
    """Number each series of lots and, within it, its events by opening day: adds ``series`` and ``event`` (from 0)."""
    days = pl.col("opening_at").dt.date().to_physical()
    ordered = lots.with_columns(series=pl.struct(series).rank("dense"), day=days).sort("series", "day", "lot_id")
    numbers: list[int] = []
    current, first_day, event = None, 0, 0
    for name, day in ordered.select("series", "day").iter_rows():
        if name != current:
            current, first_day, event = name, day, 0
        elif day - first_day > EVENT_DAYS:
            first_day, event = day, event + 1
        numbers.append(event)
    return ordered.with_columns(event=pl.Series(numbers, dtype=pl.Int64)).drop("day")


def _longest(runs: pl.DataFrame) -> dict[str, pl.Series]:
    """Return for each winner of a series: run, contested and the evidence of the run that speaks loudest."""
    lengths: list[int] = []
    contested: list[bool | None] = []
    evidence: list[str] = []
    for events, flags, shown in runs.select("event", "contested", "evidence").iter_rows():
        at = {event: place for place, event in enumerate(events)}
        longest = longest_runs(events)
        verdicts = [_all([flags[at[event]] for event in run]) for run in longest]
        verdict = True if True in verdicts else (None if None in verdicts else False)
        chosen = longest[verdicts.index(verdict)]
        lengths.append(len(chosen))
        contested.append(verdict)
        evidence.append("[" + ",".join(shown[at[event]] for event in chosen) + "]")
    return {
        "run": pl.Series(lengths, dtype=pl.Int64),
        "contested": pl.Series(contested, dtype=pl.Boolean),
        "evidence": pl.Series(evidence, dtype=pl.String),
    }


def _all(flags: list[bool | None]) -> bool | None:
    """Tell whether all are true; unknown when one is unknown and none is false."""
    if False in flags:
        return False
    return None if None in flags else True


class TendererCompetition(Derived):
    """How often few bid at one tenderer, and how often at comparable tenderers."""

    subject_id = dy.String(primary_key=True)
    """The tenderer."""
    n_lots = dy.Int64(min=0)
    """Competitive lots of the window whose bids are all published."""
    n_lots_all = dy.Int64(min=0)
    """With those whose bids are not."""
    low_ratio = dy.Float64(nullable=True, min=0, max=1)
    """Share of the lots with at most n_low valid bidders."""
    n_peers = dy.Int64(min=0)
    peer_low_ratio = dy.Float64(nullable=True, min=0, max=1)
    """Median of the peers' low_ratio."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(
        cls, source: SourceTables, as_of: dt.datetime, window_months: int, n_low: int, n_min: int
    ) -> pl.LazyFrame:
        """Compare tenderers of the same city with a common category (rulings G10, SI-007)."""
        lots = lot_facts(source, as_of).filter(
            "opened",
            "competitive",
            in_window(pl.col("opening_at"), as_of, window_months),
            pl.col("tenderer_org_id").is_not_null(),
        )
        n_valid = valid_bidders_per_lot(source, as_of)
        counted = (
            lots.join(n_valid, on="lot_id", how="left")
            .with_columns(pl.col("n_valid").fill_null(0), pl.col("city", "category").fill_null("?"))
            .with_columns(low=pl.col("n_valid") <= n_low)
        )
        complete = counted.filter("bids_complete")
        own = complete.group_by(org_id="tenderer_org_id").agg(
            n_lots=pl.len().cast(pl.Int64),
            low_ratio=pl.col("low").mean(),
            evidence=rows_as_evidence("lot", "lot_id", ["n_valid"]),
        )
        seen = counted.group_by(org_id="tenderer_org_id").agg(n_lots_all=pl.len().cast(pl.Int64))
        enough = own.filter(pl.col("n_lots") >= n_min)
        peers = (
            _sharing(complete, "city")
            .join(_sharing(complete, "category"), on=["org_id", "peer_org_id"], how="semi")
            .join(enough.select(peer_org_id="org_id", peer_low="low_ratio"), on="peer_org_id", how="inner")
            .group_by("org_id")
            .agg(n_peers=pl.len().cast(pl.Int64), peer_low_ratio=pl.col("peer_low").median())
        )
        return (
            seen.join(own, on="org_id", how="left")
            .join(peers, on="org_id", how="left")
            .select(
                subject_id="org_id",
                n_lots=pl.col("n_lots").fill_null(0),
                n_lots_all="n_lots_all",
                low_ratio="low_ratio",
                n_peers=pl.col("n_peers").fill_null(0),
                peer_low_ratio="peer_low_ratio",
                short_history=pl.lit(short_history(first_opening(source), as_of, window_months)),
                evidence=pl.col("evidence").fill_null("[]"),
            )
            .sort("subject_id")
        )


def valid_bidders_per_lot(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Count the valid bids of each lot, a winner without a bid row included (rulings G6): lot_id, n_valid."""
    bids = submitted_bids(source).filter("counts_as_valid").select("lot_id", "bid_id", org_id="bidder_org_id")
    unbid = (
        known_awards(source, as_of)
        .select("lot_id", "org_id")
        .unique()
        .join(submitted_bids(source).select("lot_id", org_id="bidder_org_id"), on=["lot_id", "org_id"], how="anti")
    )
    return (
        pl.concat([bids.select("lot_id", "org_id"), unbid.select("lot_id", "org_id")])
        .group_by("lot_id")
        .agg(n_valid=pl.len().cast(pl.Int64))
    )


def _sharing(lots: pl.LazyFrame, column: str) -> pl.LazyFrame:
    """Return the ordered pairs of different tenderers with a value of a column in common: org_id, peer_org_id."""
    values = lots.select(column, org_id="tenderer_org_id").unique()
    return (
        values.join(values.rename({"org_id": "peer_org_id"}), on=column, how="inner")
        .filter(pl.col("org_id") != pl.col("peer_org_id"))
        .select("org_id", "peer_org_id")
        .unique()
    )
