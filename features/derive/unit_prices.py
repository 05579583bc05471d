"""Unit prices of the bids of one lot: ratios and equalities between two bids, first digits of one."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import dataframely as dy
import numpy as np
import polars as pl

from features.clock import SHANGHAI
from features.derive.bid_pairs import rivals
from features.derive.bids import LotBid
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.tables.bills import BidItemPrice, BoqItem
from features.tables.money import MarketPrice
from features.tables.source import SourceTables

CHUNK_ROWS = 1_000_000
"""Prices paired at a time; pairs are some times more."""
MARKET_MONTHS = 2
"""Published prices of the month of opening and of so many before it count (rulings SI-030)."""
SHOWN_ITEMS = 20
PAIR = ("place_1", "place_2")


@dataclass(frozen=True)
class PricedItems:
    """The unit prices of a city in numbers: bids and items by their place, money in cents.

    Attributes:
        bids: place, bid_id, lot_id, bidder_org_id, sorted by lot and bid.
        items: item (its place), boq_item_id, lot_id, item_code.
        prices: place (of the bid), item, cents, control (cents or null), provisional; sorted.
    """

    bids: pl.DataFrame
    items: pl.DataFrame
    prices: pl.DataFrame

    def chunks(self) -> Iterator[pl.DataFrame]:
        """Give the prices lot by lot, many lots at a time."""
        lots = self.bids.select("place", lot=pl.col("lot_id").rank("dense"))
        rows = self.prices.join(lots, on="place", how="left", maintain_order="left")
        sizes = rows.group_by("lot").len().sort("lot")
        part = sizes.select("lot", part=pl.col("len").cum_sum() // CHUNK_ROWS)
        numbered = rows.join(part, on="lot", how="left").drop("lot")
        yield from numbered.partition_by("part", include_key=False, maintain_order=True)


class ItemDigits(Derived):
    """How the first digits of one bid's unit prices lie to Benford's law."""

    subject_id = dy.String(primary_key=True)
    """The bid."""
    n_items = dy.Int64(min=0)
    """Items priced at 1 CNY or more and not at the control price."""
    priced = dy.Bool()
    """The bid has unit prices."""
    excess = dy.Float64(nullable=True)
    """Mean distance from the law less what chance alone gives with so many items."""
    lot_excess = dy.Float64(nullable=True)
    """Median of the assessable bids of the lot, this one included."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, items_min: int) -> pl.LazyFrame:
        """Count first significant digits, bid by bid (rulings SI-031)."""
        priced = priced_items(source, as_of)
        counted = pl.col("cents") >= 100
        other = (pl.col("cents") != pl.col("control")).fill_null(value=True)
        digit = pl.col("cents").cast(pl.String).str.slice(0, 1).cast(pl.Int64)
        digits = pl.col("digit").filter(counted & other)
        n = (counted & other).sum().cast(pl.Int64)
        law = [float(np.log10(1 + 1 / d)) for d in range(1, 10)]
        distance = pl.mean_horizontal(((digits == d).sum() / n - law[d - 1]).abs() for d in range(1, 10))
        by_chance = np.sqrt(2 / np.pi) * np.mean([np.sqrt(p * (1 - p)) for p in law])
        found = (
            priced.prices.lazy()
            .with_columns(digit=digit)
            .group_by("place")
            .agg(n_items=n, excess=pl.when(n > 0).then(distance - by_chance / n.sqrt()))
        )
        assessable = pl.col("n_items") >= items_min
        return (
            priced.bids.lazy()
            .join(found, on="place", how="left")
            .with_columns(priced=pl.col("n_items").is_not_null(), n_items=pl.col("n_items").fill_null(0))
            .with_columns(lot_excess=pl.col("excess").filter(assessable).median().over("lot_id"))
            .group_by("bid_id")
            .agg(
                pl.col("n_items", "priced", "excess", "lot_excess").first(),
                evidence=rows_as_evidence("bid", "bid_id", ["lot_id", "bidder_org_id"]),
            )
            .rename({"bid_id": "subject_id"})
            .select(cls.column_names())
        )


class EqualItems(Derived):
    """How many items two rival bids of one lot priced alike, generic prices aside."""

    subject_id = dy.String(primary_key=True)
    lot_id = dy.String()
    n_eligible = dy.Int64(min=0)
    n_same = dy.Int64(min=0)
    priced = dy.Bool()
    """Both bids have unit prices."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, price_tol: float, common_max: float) -> pl.LazyFrame:
        """Compare item by item, without prices that anybody would write (rulings SI-030)."""
        priced = priced_items(source, as_of)
        market = _market_prices(source, as_of, priced.items)
        parts = [_equal(chunk, market, price_tol, common_max) for chunk in priced.chunks()]
        empty = {"place_1": pl.UInt32, "place_2": pl.UInt32, "n_eligible": pl.Int64, "n_same": pl.Int64}
        shown = {"items": pl.List(pl.UInt32)}
        found = pl.concat([pl.DataFrame(schema=empty | shown), *parts])
        with_prices = priced.prices.select("place").unique().with_columns(priced=pl.lit(value=True))
        bids = priced.bids.join(with_prices, on="place", how="left").with_columns(
            pl.col("priced").fill_null(value=False)
        )
        evidence = _equal_evidence(found, priced)
        return (
            rivals(bids.lazy())
            .join(found.lazy().drop("items"), on=PAIR, how="left")
            .join(evidence, on=PAIR, how="left")
            .with_columns(
                pl.col("n_eligible", "n_same").fill_null(0),
                evidence=pl.col("evidence").fill_null("[]"),
                priced=pl.col("priced_1") & pl.col("priced_2"),
            )
            .select(cls.column_names())
        )


def priced_items(source: SourceTables, as_of: dt.datetime) -> PricedItems:
    """Return the unit prices of S(l) of the lots opened by a moment."""
    bids = (
        LotBid.derive(source, as_of)
        .select("lot_id", "bid_id", "bidder_org_id")
        .sort("lot_id", "bid_id")
        .with_row_index("place")
        .collect()
    )
    items = (
        source[BoqItem]
        .join(bids.lazy().select("lot_id").unique(), on="lot_id", how="semi")
        .sort("boq_item_id")
        .with_row_index("item")
        .select("item", "boq_item_id", "lot_id", "item_code", "is_provisional", control=_cents("control_unit_price"))
        .collect()
    )
    prices = (
        source[BidItemPrice]
        .select("bid_id", "boq_item_id", cents=_cents("unit_price"))
        .join(bids.lazy().select("place", "bid_id", "lot_id"), on="bid_id", how="inner")
        .join(items.lazy(), on=["boq_item_id", "lot_id"], how="inner")
        .select("place", "item", "cents", "control", provisional="is_provisional")
        .sort("place", "item", "cents")
        .collect()
    )
    return PricedItems(bids, items.drop("is_provisional", "control"), prices)


def modal_ratios(priced: PricedItems, ratio_dp: int) -> pl.DataFrame:
    """Return the most frequent ratio between the unit prices of two bids: place_1, place_2, n_items, n_modal, ratio.

    The smaller bid id stands over the larger. Provisional items and items without price are left out, and so is an
    item at which both follow their own usual discount on the control price; a ratio of 1 is never the mode (rulings
    SI-029 (b)).
    """
    parts = [_ratios(chunk, ratio_dp) for chunk in priced.chunks()]
    schema = {"place_1": pl.UInt32, "place_2": pl.UInt32, "n_items": pl.Int64, "n_modal": pl.Int64, "ratio": pl.Float64}
    return pl.concat([pl.DataFrame(schema=schema), *parts])


def _cents(column: str) -> pl.Expr:
    return (pl.col(column) * 100).cast(pl.Int64)


def _ratios(chunk: pl.DataFrame, ratio_dp: int) -> pl.DataFrame:
    usable = chunk.lazy().filter(~pl.col("provisional"), pl.col("cents") > 0)
    discount = pl.when(pl.col("control") > 0).then((pl.col("cents") / pl.col("control")).round(ratio_dp))
    rows = usable.with_columns(discount=discount)
    usual = (
        rows.filter(pl.col("discount").is_not_null())
        .group_by("place", "discount")
        .len()
        .sort("place", "len", "discount", descending=[False, True, False])
        .group_by("place")
        .agg(usual=pl.col("discount").first())
    )
    rows = rows.join(usual, on="place", how="left").select(
        "place", "item", "cents", as_usual=(pl.col("discount") == pl.col("usual")).fill_null(value=False)
    )
    ratio = (pl.col("cents") / pl.col("cents_2")).round(ratio_dp)
    counted = (
        _item_pairs(rows)
        .filter(~(pl.col("as_usual") & pl.col("as_usual_2")))
        .group_by(*PAIR, ratio=ratio)
        .agg(n=pl.len().cast(pl.Int64))
        .sort(*PAIR, "n", "ratio", descending=[False, False, True, False])
    )
    unlike = pl.col("ratio") != 1
    return (
        counted.group_by(PAIR)
        .agg(
            n_items=pl.col("n").sum(),
            n_modal=pl.col("n").filter(unlike).first().fill_null(0),
            ratio=pl.col("ratio").filter(unlike).first(),
        )
        .collect()
    )


def _item_pairs(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return each two prices of one item: the columns of the first, those of the second with the ending _2."""
    return (
        rows.join(rows, on="item", how="inner", suffix="_2")
        .filter(pl.col("place") < pl.col("place_2"))
        .rename({"place": "place_1"})
    )


def _market_prices(source: SourceTables, as_of: dt.datetime, items: pl.DataFrame) -> pl.LazyFrame:
    """Return the published prices of each item at its opening: item, cents."""
    lots = LotBid.derive(source, as_of).select(
        "lot_id", "city", opened_in=pl.col("opening_at").dt.date().dt.month_start()
    )
    month = pl.col("month").str.to_date("%Y-%m")
    published = source[MarketPrice].select(
        "item_code", city=pl.col("region_code").str.slice(0, 4), month=month, cents=_cents("unit_price")
    )
    first = pl.col("opened_in").dt.offset_by(f"-{MARKET_MONTHS}mo")
    over = (as_of.astimezone(SHANGHAI) + dt.timedelta(microseconds=1)).date()
    return (
        items.lazy()
        .join(lots.unique(), on="lot_id", how="inner")
        .join(published, on=["item_code", "city"], how="inner")
        .filter(pl.col("month").is_between(first, pl.col("opened_in")), pl.col("month").dt.offset_by("1mo") <= over)
        .select("item", "cents")
        .unique()
    )


def _equal(chunk: pl.DataFrame, market: pl.LazyFrame, price_tol: float, common_max: float) -> pl.DataFrame:
    priced = chunk.lazy().filter(pl.col("cents") > 0)
    rows = (
        priced.with_columns(n_priced=pl.len().over("item").cast(pl.Int64))
        .with_columns(n_alike=pl.len().over("item", "cents").cast(pl.Int64))
        .filter(pl.col("control") > 0, ~pl.col("provisional"), pl.col("cents") != pl.col("control"))
        .join(market, on=["item", "cents"], how="anti")
        .select("place", "item", "cents", "n_priced", "n_alike")
    )
    others = pl.col("n_priced") - 2
    equal = pl.col("cents") == pl.col("cents_2")
    # The pair's own prices are not among those of the others.
    used = [pl.col(f"n_alike{end}") - 1 - equal.cast(pl.Int64) for end in ("", "_2")]
    common = pl.any_horizontal((one / others).round(9) >= common_max for one in used) & (others > 0)
    same = ((pl.col("cents") - pl.col("cents_2")).abs() / 100).round(9) < price_tol
    return (
        _item_pairs(rows)
        .filter(~common)
        .group_by(PAIR)
        .agg(
            n_eligible=pl.len().cast(pl.Int64),
            n_same=same.sum().cast(pl.Int64),
            items=pl.col("item").filter(same).sort().head(SHOWN_ITEMS),
        )
        .collect()
    )


def _equal_evidence(found: pl.DataFrame, priced: PricedItems) -> pl.LazyFrame:
    """Return the bids of pairs with equal prices, and some of the items."""
    pairs = found.lazy().filter(pl.col("n_same") > 0)
    bids = priced.bids.lazy().select("place", key="bid_id", says="bidder_org_id")
    bid_rows = [
        pairs.join(bids, left_on=end, right_on="place").select(*PAIR, "key", "says", table=pl.lit("bid"))
        for end in PAIR
    ]
    items = pairs.explode("items").join(priced.items.lazy(), left_on="items", right_on="item")
    item_rows = items.select(*PAIR, key="boq_item_id", says="item_code", table=pl.lit("boq_item"))
    rows = pl.concat([*bid_rows, item_rows])
    return rows.group_by(PAIR).agg(evidence=rows_as_evidence(pl.col("table"), "key", ["says"]))
