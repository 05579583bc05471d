"""Bids of opened lots, with the facts of the lot that a screen needs."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.derived import Derived
from features.derive.lots import lot_facts
from features.tables.columns import MONEY_MAX, ZONE
from features.tables.source import SourceTables
from features.tables.tendering import Bid

VALID = ("valid", "candidate", "awarded", "abandoned")


class LotBid(Derived):
    """One bid of S(l) (not withdrawn) for a lot opened by the moment of scoring."""

    lot_id = dy.String()
    bid_id = dy.String(primary_key=True)
    bidder_org_id = dy.String()
    bid_price = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    counts_as_valid = dy.Bool()
    """The bid is one of V(l): valid, candidate, awarded or abandoned (rulings G9)."""
    opening_at = dy.Datetime(time_zone=ZONE, time_unit="us")
    method = dy.String()
    evaluation_method = dy.String()
    mean_rule = dy.Bool()
    object_type = dy.String(nullable=True)
    category = dy.String(nullable=True)
    city = dy.String(nullable=True)
    required_qual_code = dy.String(nullable=True)
    currency = dy.String()
    bids_complete = dy.Bool()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Join the bids in S(l) with their lots, for lots opened at or before ``as_of`` (rulings G2, G9).

        Bids of a lot stand in the order of their prices, so that sums over them are the same to the last bit whatever
        the bids are called.
        """
        lots = lot_facts(source, as_of).filter("opened")
        return (
            submitted_bids(source)
            .join(lots, on="lot_id", how="inner")
            .sort("lot_id", "bid_price", "bid_id")
            .select(cls.column_names())
        )


def submitted_bids(source: SourceTables) -> pl.LazyFrame:
    """Return S(l) of every lot: bid_id, lot_id, bidder_org_id, bid_price, disqualified, counts_as_valid."""
    status = pl.col("status").cast(pl.String)
    return (
        source[Bid]
        .filter(status != "withdrawn")
        .select(
            "bid_id",
            "lot_id",
            "bidder_org_id",
            "bid_price",
            disqualified=status == "disqualified",
            counts_as_valid=status.is_in(VALID),
        )
    )


def consortium_members(source: SourceTables) -> pl.LazyFrame:
    """Return the members of consortia, the lead among them where it is listed: bid_id, org_id (rulings G22)."""
    listed = pl.col("consortium_org_ids").str.extract_all(r'[^"\[\],\s]+')
    return source[Bid].select("bid_id", org_id=listed).explode("org_id").filter(pl.col("org_id").is_not_null())
