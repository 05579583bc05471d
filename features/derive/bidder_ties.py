"""Pairs of bidders that met in a lot, by the day of its opening, and the rows that a tie between them stands on."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.bids import LotBid, consortium_members
from features.derive.control_groups import valid_on
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.pairs import organisation_pair
from features.tables.organisations import Shareholding
from features.tables.source import SourceTables
from features.tables.tendering import Bid

TIE = ("org_id_1", "org_id_2", "day")


class BidderTie(Derived):
    """Two bidders that met in a lot: on one day of opening."""

    subject_id = dy.String()
    org_id_1 = dy.String()
    org_id_2 = dy.String()
    n_lots = dy.Int64(min=1)
    """Lots opened that day in which both bid."""
    evidence = dy.String()


def bidder_pairs(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return each two bidders of one opened lot, members of consortia among them (rulings G22).

    Grain: lot_id, org_id_1, org_id_2 (the smaller id first). Further columns: day (of the opening), bid_id_1, bid_id_2.
    Who shares a bid of the lot is no pair.
    """
    bids = LotBid.derive(source, as_of).select("lot_id", "bid_id", "bidder_org_id", day=pl.col("opening_at").dt.date())
    bidders = pl.concat(
        [
            bids.select("lot_id", "day", "bid_id", org_id="bidder_org_id"),
            bids.join(consortium_members(source), on="bid_id", how="inner").select("lot_id", "day", "bid_id", "org_id"),
        ]
    ).unique()
    met = (
        bidders.join(bidders.drop("day"), on="lot_id", how="inner", suffix="_2")
        .rename({"org_id": "org_id_1", "bid_id": "bid_id_1"})
        .filter(pl.col("org_id_1") < pl.col("org_id_2"))
    )
    apart = pl.col("bid_id_1") != pl.col("bid_id_2")
    together = met.filter(~apart).select("lot_id", "org_id_1", "org_id_2")
    return (
        met.filter(apart)
        .join(together, on=["lot_id", "org_id_1", "org_id_2"], how="anti")
        .group_by("lot_id", *TIE)
        .agg(pl.col("bid_id_1").min(), pl.col("bid_id_2").min())
    )


def ends_of(met: pl.LazyFrame) -> pl.LazyFrame:
    """Return each end of the pairs on its days once: org_id, day."""
    return pl.concat([met.select("day", org_id=f"org_id_{n}") for n in (1, 2)]).unique()


def days_met(pairs: pl.LazyFrame) -> pl.LazyFrame:
    """Return each pair and day once, with the number of its lots."""
    counted = pairs.group_by(TIE).agg(n_lots=pl.len().cast(pl.Int64))
    return counted.with_columns(subject_id=organisation_pair(pl.col("org_id_1"), pl.col("org_id_2")))


def latest_first(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Put the days of each pair in order: of those that tell the same the latest stands for it (rulings G8)."""
    return rows.sort("subject_id", "day", descending=[False, True])


def rows_of_both(tied: pl.LazyFrame, way: str, table: str, says: str) -> pl.LazyFrame:
    """Return the rows of both ends of a tie: TIE, way, table, key, org_id, says."""
    return pl.concat(
        tied.select(
            *TIE,
            way=pl.lit(way),
            table=pl.lit(table),
            key=pl.col(f"key_{n}"),
            org_id=pl.col(f"org_id_{n}"),
            says=pl.lit(says),
        )
        for n in (1, 2)
    )


def holding_rows(source: SourceTables, links: pl.LazyFrame) -> pl.LazyFrame:
    """Return the holdings behind links from organisations to their holders."""
    hand = pl.coalesce("holder_org_id", pl.concat_str(pl.lit("controller:"), "holder_person_id"))
    return (
        links.join(source[Shareholding].with_columns(hand=hand), on=["org_id", "hand"], how="inner")
        .filter(valid_on(pl.col("day")))
        .select(
            *TIE,
            table=pl.lit(Shareholding.NAME),
            key="holding_id",
            org_id="org_id",
            says=pl.concat_str("hand", pl.lit(" "), "ratio"),
        )
    )


def bid_rows(pairs: pl.LazyFrame, found: pl.LazyFrame) -> pl.LazyFrame:
    """Return the bids of the pairs that were found to have a tie: TIE, table, key, org_id, says."""
    tied = pairs.join(found, on=TIE, how="semi").rename({"bid_id_1": "key_1", "bid_id_2": "key_2"})
    return pl.concat(
        tied.select(*TIE, table=pl.lit(Bid.NAME), key=pl.col(f"key_{n}"), org_id=pl.col(f"org_id_{n}"), says="lot_id")
        for n in (1, 2)
    )


def evidence_of(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the evidence of each pair and day from rows of TIE, table, key, org_id and says."""
    shown = rows.unique().group_by(TIE)
    return shown.agg(evidence=rows_as_evidence(pl.col("table"), "key", ["org_id", "says"]))
