"""The shape of the bid prices of a lot: quantities for models that know no scale, no date and nobody's name."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.awards import known_awards
from features.derive.bids import LotBid
from features.derive.derived import Derived
from features.derive.lots import DIRECT
from features.tables.source import SourceTables
from features.tables.tendering import Bid, Lot

PRICES_MIN = 3
"""Fewest valid prices that have a shape."""


def _ratio(low: float = 0, high: float | None = None) -> dy.Float64:
    return dy.Float64(nullable=True, min=low, max=high, allow_inf=False, allow_nan=False)


class LotShape(Derived):
    """One opened lot with bids: how its n valid prices b(1) <= ... <= b(n) lie.

    Every quantity is null where prices have no shape to speak of: fewer than three valid bids, a price missing or not
    positive, bids not published whole, a direct award or a random draw. A quantity alone is null where its denominator
    is 0, or where what it compares with (control price, winner) is not known at the moment.
    """

    lot_id = dy.String(primary_key=True)
    n_bids_log = _ratio()
    """Natural logarithm of n."""
    second_gap_to_mean_gap = _ratio()
    """RDNOR: gap of the two lowest prices over the mean gap of neighbours. Null when all prices are equal."""
    second_gap_to_losing_gap = _ratio()
    """ALTRD: gap of the two lowest prices over the mean gap of the losing ones. Null when these are equal."""
    second_gap_to_range = _ratio(high=1)
    """Gap of the two lowest prices over highest less lowest."""
    second_gap_to_third = _ratio(high=1)
    """Gap of the two lowest prices over third lowest less lowest."""
    lowest_below_mean = _ratio(high=1)
    """Mean less lowest, over the mean."""
    second_below_mean = _ratio(low=-1, high=1)
    """Mean less second lowest, over the mean."""
    losing_cv = _ratio()
    """Coefficient of variation of b(2)..b(n)."""
    near_lowest_1pct = _ratio(high=1)
    """Share of the prices within 1 % of the lowest, itself among them."""
    near_lowest_2pct = _ratio(high=1)
    near_lowest_5pct = _ratio(high=1)
    highest_to_median = _ratio(low=1)
    """Highest over median."""
    lowest_to_median = _ratio(high=1)
    """Lowest over median."""
    equal_share = _ratio(high=1)
    """Share of the prices that repeat a lower one."""
    gap_cv = _ratio()
    """Coefficient of variation of the n - 1 gaps of neighbours: 0 for even steps. Null when all prices are equal."""
    lowest_to_control = _ratio()
    """Lowest over the lot's control price. Null where none is given."""
    mean_to_control = _ratio()
    """Mean over the lot's control price."""
    winner_rank = _ratio(high=1)
    """Share of the other prices that are below the winner's: 0 when the lowest bid won. Null before the award."""
    winner_above_lowest = _ratio()
    """Winner's price less lowest, over lowest. Null before the award."""

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Measure each lot opened at or before ``as_of`` on its bids V(l), control price and award (rulings G5, G9)."""
        # Collected in the order of prices: polars drops a sort ahead of a lazy aggregation, and sums would then depend
        # on the order of rows.
        bids = (
            LotBid.derive(source, as_of)
            .join(_winning_prices(source, as_of), on="lot_id", how="left")
            .join(source[Lot].select("lot_id", "control_price"), on="lot_id", how="left")
            .sort("lot_id", "bid_price", "bid_id")
            .collect()
            .lazy()
        )
        measured = bids.group_by("lot_id").agg(_has_shape().alias("has_shape"), **_quantities())
        return (
            measured.with_columns(pl.when("has_shape").then(pl.col(name)).alias(name) for name in _quantities())
            .select(cls.column_names())
            .sort("lot_id")
        )


def _has_shape() -> pl.Expr:
    price = pl.col("bid_price").filter("counts_as_valid")
    by_price = ~(pl.col("evaluation_method").first().eq("random_draw") | pl.col("method").first().is_in(DIRECT))
    priced = (price.null_count() == 0) & (price > 0).all() & (price.len() >= PRICES_MIN)
    return by_price & priced & pl.col("bids_complete").first()


def _quantities() -> dict[str, pl.Expr]:
    price = pl.col("bid_price").cast(pl.Float64).filter(pl.col("counts_as_valid")).sort()
    n = price.len().cast(pl.Float64)
    lowest, second, third, highest = price.first(), price.slice(1, 1).first(), price.slice(2, 1).first(), price.last()
    losing, mean, median = price.slice(1), price.mean(), price.median()
    gap, span = second - lowest, highest - lowest
    control = pl.col("control_price").first().cast(pl.Float64)
    winner = pl.col("winning_price").first()
    gaps = price.diff().slice(1)
    return {
        "n_bids_log": n.log(),
        "second_gap_to_mean_gap": _over(gap * (n - 1), span),
        "second_gap_to_losing_gap": _over(gap * (n - 2), highest - second),
        "second_gap_to_range": _over(gap, span),
        "second_gap_to_third": _over(gap, third - lowest),
        "lowest_below_mean": (mean - lowest) / mean,
        "second_below_mean": (mean - second) / mean,
        "losing_cv": losing.std() / losing.mean(),
        "near_lowest_1pct": _share_within(price, 0.01),
        "near_lowest_2pct": _share_within(price, 0.02),
        "near_lowest_5pct": _share_within(price, 0.05),
        "highest_to_median": highest / median,
        "lowest_to_median": lowest / median,
        "equal_share": 1 - price.n_unique() / n,
        "gap_cv": _over(gaps.std(), gaps.mean()),
        "lowest_to_control": _over(lowest, control),
        "mean_to_control": _over(mean, control),
        "winner_rank": (price < winner).sum() / pl.when(winner.is_not_null()).then(n - 1),
        "winner_above_lowest": (winner - lowest).clip(lower_bound=0) / lowest,
    }


def _share_within(price: pl.Expr, distance: float) -> pl.Expr:
    """Return the share of the sorted prices at most so far above the lowest, rounding noise aside (rulings G13)."""
    return ((price / price.first() - 1).round(9) <= distance).sum() / price.len()


def _over(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return pl.when(whole > 0).then(part / whole)


def _winning_prices(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the price of each lot's winning bid: lot_id, winning_price; of several winners the lowest."""
    awards = known_awards(source, as_of)
    bids = source[Bid].select("bid_id", "lot_id", "bidder_org_id", "bid_price")
    named = awards.join(bids, on=["bid_id", "lot_id"], how="inner")
    found = awards.filter(pl.col("bid_id").is_null()).join(
        bids, left_on=["lot_id", "org_id"], right_on=["lot_id", "bidder_org_id"], how="inner"
    )
    prices = pl.concat([rows.select("lot_id", "bid_price") for rows in (named, found)])
    return prices.group_by("lot_id").agg(winning_price=pl.col("bid_price").min().cast(pl.Float64))
