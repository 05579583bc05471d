"""Who paid bonds and uploaded bids together in a lot, and in the same order in earlier lots."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.bids import LotBid
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.lots import first_opening
from features.derive.windows import in_window, short_history
from features.tables.documents import BondPayment
from features.tables.source import SourceTables
from features.tables.tendering import Bid, Tender

TOGETHER_MIN = 2
"""One bidder alone is no set (rulings SI-019)."""
NUMBER = r"^(.*?)(\d{1,18})$"
"""A guarantee's number: what stands before, and its last digits."""


class TimingCluster(Derived):
    """One opened lot: the largest set of its bidders that paid or uploaded together.

    Columns ``g_`` are 0 where no two did.
    """

    subject_id = dy.String(primary_key=True)
    """The lot."""
    n_submitted = dy.Int64(min=1)
    """Bids in S(l)."""
    bids_complete = dy.Bool()
    n_timed = dy.Int64(min=0)
    """Bidders whose bonds can be compared, or whose uploads can, whichever are more."""
    g_bonds = dy.Int64(min=0)
    """Bidders that paid within the gap at one branch, or whose guarantees of one issuer have consecutive numbers."""
    g_uploads = dy.Int64(min=0)
    """Bidders that uploaded within the gap, before the closing hours."""
    n_repeats = dy.Int64(min=0)
    """Earlier lots of the window in which the bidders of the larger set uploaded in the same order."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(
        cls,
        source: SourceTables,
        as_of: dt.datetime,
        bond_gap_min: int,
        upload_gap_min: int,
        closing_hours: int,
        window_months: int,
    ) -> pl.LazyFrame:
        """Find sets of bidders by time and by number, and look for their order in earlier lots (rulings SI-019)."""
        bids = LotBid.derive(source, as_of).select("lot_id", "bid_id", "bidder_org_id", "opening_at", "bids_complete")
        uploads, bonds = _uploads(source, bids, as_of), _bonds(source, bids, as_of)
        timely = uploads.filter(pl.col("at") <= pl.col("bid_deadline_at") - pl.duration(hours=closing_hours))
        paid = bonds.filter(pl.col("at").is_not_null(), pl.col("payer_bank").is_not_null())
        numbered = bonds.filter(pl.col("number").is_not_null())
        by_bonds = [_within(paid, ["lot_id", "payer_bank"], bond_gap_min), _in_sequence(numbered)]
        sets = pl.concat(
            [
                _within(timely, ["lot_id"], upload_gap_min).with_columns(by_bonds=pl.lit(value=False)),
                pl.concat(by_bonds).with_columns(by_bonds=pl.lit(value=True)),
            ]
        ).with_columns(n=pl.col("orgs").list.len().cast(pl.Int64))
        sets = sets.filter(pl.col("n") >= TOGETHER_MIN)
        members = _largest(sets)
        sizes = sets.group_by("lot_id").agg(
            g_bonds=pl.col("n").filter("by_bonds").max(), g_uploads=pl.col("n").filter(~pl.col("by_bonds")).max()
        )
        dated = uploads.filter(pl.col("bid_deadline_at").is_not_null())
        timed = pl.concat(
            [_bidders(dated, "n_uploads"), _bidders(pl.concat([paid, numbered]), "n_bonds")], how="align_full"
        ).select("lot_id", n_timed=pl.max_horizontal("n_uploads", "n_bonds"))
        counts = ("n_timed", "g_bonds", "g_uploads", "n_repeats")
        return (
            bids.group_by("lot_id")
            .agg(n_submitted=pl.len().cast(pl.Int64), bids_complete=pl.col("bids_complete").first())
            .join(timed, on="lot_id", how="left")
            .join(sizes, on="lot_id", how="left")
            .join(_repeats(members, uploads, as_of, window_months), on="lot_id", how="left")
            .join(_evidence(members, uploads, bonds), on="lot_id", how="left")
            .with_columns(
                *[pl.col(name).fill_null(0).cast(pl.Int64) for name in counts],
                subject_id="lot_id",
                evidence=pl.col("evidence").fill_null("[]"),
                short_history=pl.lit(short_history(first_opening(source), as_of, window_months)),
            )
            .select(cls.column_names())
        )


def _uploads(source: SourceTables, bids: pl.LazyFrame, as_of: dt.datetime) -> pl.LazyFrame:
    """Return when each bid was uploaded: lot_id, bid_id, bidder_org_id, opening_at, bid_deadline_at, at."""
    deadlines = source[Tender].select("tender_id", "bid_deadline_at")
    return (
        source[Bid]
        .filter(pl.col("submitted_at") <= as_of)
        .select("bid_id", "tender_id", at="submitted_at")
        .join(deadlines, on="tender_id", how="left")
        .join(bids, on="bid_id", how="inner")
        .select("lot_id", "bid_id", "bidder_org_id", "opening_at", "bid_deadline_at", "at")
    )


def _bonds(source: SourceTables, bids: pl.LazyFrame, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the bonds of bids: when paid (null before), at which branch, under which number of which issuer."""
    number = pl.col("guarantee_no").str.strip_chars().str.extract_groups(NUMBER).struct
    bank = pl.col("payer_bank").str.strip_chars()
    issued = pl.col("guarantee_issuer_org_id").is_not_null()
    return (
        source[BondPayment]
        .drop("lot_id")
        .join(bids, on="bid_id", how="inner")
        .select(
            "lot_id",
            "bid_id",
            "bidder_org_id",
            "bond_id",
            "guarantee_issuer_org_id",
            "guarantee_no",
            at=pl.when(pl.col("paid_at") <= as_of).then("paid_at"),
            payer_bank=pl.when(bank != "").then(bank),
            series=number.field("1"),
            number=pl.when(issued).then(number.field("2").cast(pl.Int64)),
        )
    )


def _within(events: pl.LazyFrame, by: list[str], gap_min: int) -> pl.LazyFrame:
    """Return from each event on the bidders whose events lie within the gap: lot_id, start, orgs."""
    both_ends = f"{gap_min * 60_000_000 + 1}us"
    return (
        events.sort(*by, "at")
        .rolling("at", period=both_ends, offset="0us", closed="left", group_by=by)
        .agg(orgs=pl.col("bidder_org_id").unique().sort())
        .select("lot_id", "orgs", start="at")
    )


def _in_sequence(bonds: pl.LazyFrame) -> pl.LazyFrame:
    """Return the bidders whose guarantees of one issuer have numbers that step by 1: lot_id, start, orgs."""
    series = ["lot_id", "guarantee_issuer_org_id", "series"]
    run = pl.col("number") - pl.col("number").rank("dense").over(series).cast(pl.Int64)
    return (
        bonds.with_columns(run=run)
        .group_by(*series, "run")
        .having(pl.col("number").n_unique() > 1)
        .agg(orgs=pl.col("bidder_org_id").unique().sort(), start=pl.col("at").min())
        .select("lot_id", "orgs", "start")
    )


def _largest(sets: pl.LazyFrame) -> pl.LazyFrame:
    """Return the members of each lot's largest set, the earliest of equal ones: lot_id, bidder_org_id, n."""
    named = sets.with_columns(names=pl.col("orgs").list.join(","))
    return (
        named.sort("lot_id", "n", "start", "names", descending=[False, True, False, False], nulls_last=True)
        .unique("lot_id", keep="first", maintain_order=True)
        .explode("orgs")
        .select("lot_id", "n", bidder_org_id="orgs")
    )


def _repeats(members: pl.LazyFrame, uploads: pl.LazyFrame, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
    """Count for each lot the earlier lots of the window in which its set uploaded in the same order.

    All of the set's organisations must have uploaded there; others may have come between them.
    """
    firsts = uploads.group_by("lot_id", "bidder_org_id", "opening_at").agg(pl.col("at").min())
    here = members.join(firsts, on=["lot_id", "bidder_org_id"], how="inner").with_columns(
        place=pl.struct("at", "bidder_org_id").rank("ordinal").over("lot_id")
    )
    there = firsts.filter(in_window(pl.col("opening_at"), as_of, window_months)).select(
        "bidder_org_id", earlier_lot_id="lot_id", earlier_opening_at="opening_at", earlier_at="at"
    )
    steps = pl.col("place").sort_by("earlier_at", "bidder_org_id").cast(pl.Int64).diff()
    return (
        here.join(there, on="bidder_org_id", how="inner")
        .filter(pl.col("earlier_opening_at") < pl.col("opening_at"))
        .group_by("lot_id", "earlier_lot_id", "n")
        .agg(n_there=pl.len(), in_order=(steps > 0).all())
        .filter(pl.col("n_there") == pl.col("n"), "in_order")
        .group_by("lot_id")
        .agg(n_repeats=pl.len())
    )


def _bidders(rows: pl.LazyFrame, name: str) -> pl.LazyFrame:
    return rows.group_by("lot_id").agg(pl.col("bidder_org_id").n_unique().alias(name))


def _evidence(members: pl.LazyFrame, uploads: pl.LazyFrame, bonds: pl.LazyFrame) -> pl.LazyFrame:
    """Return the bids and bonds of each lot's largest set."""
    shown = ["bidder_org_id", "at", "payer_bank", "guarantee_no"]
    rows = pl.concat(
        [
            uploads.select("lot_id", "bidder_org_id", "at", table=pl.lit(Bid.NAME), key="bid_id"),
            bonds.select("lot_id", *shown, table=pl.lit(BondPayment.NAME), key="bond_id"),
        ],
        how="diagonal",
    )
    return (
        rows.join(members.select("lot_id", "bidder_org_id"), on=["lot_id", "bidder_org_id"], how="semi")
        .group_by("lot_id")
        .agg(evidence=rows_as_evidence(pl.col("table"), "key", shown))
    )
