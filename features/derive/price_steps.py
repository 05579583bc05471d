"""Regular steps between the prices of one lot: equal prices, progressions, one ratio between the unit prices of two."""

import datetime as dt
import math
from bisect import bisect_left
from collections.abc import Sequence

import dataframely as dy
import numpy as np
import polars as pl

from features.derive.bids import LotBid
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.lots import DIRECT
from features.derive.unit_prices import modal_ratios, priced_items
from features.tables.source import SourceTables
from features.tables.tendering import Lot

SHARE_MIN = 0.6
"""A progression must hold so many of the lot's priced bids (SI-029)."""


class RegularPrices(Derived):
    """How regular the prices of one lot are, as totals and item by item."""

    subject_id = dy.String(primary_key=True)
    """The lot."""
    competes = dy.Bool()
    """Prices decide: no direct award, no random draw."""
    bids_complete = dy.Bool()
    n_prices = dy.Int64(min=0)
    """Bids of S(l) with a price."""
    equal = dy.Bool()
    """Two bidders gave one price, to the cent, below the control price."""
    k = dy.Int64(min=0)
    """Prices of the longest progression, arithmetic or geometric."""
    modal_share = dy.Float64(nullable=True, min=0, max=1)
    """Largest share, over pairs of bids with enough comparable items, of the items that stand in one ratio."""
    modal_pair = dy.String(nullable=True)
    modal_ratio = dy.Float64(nullable=True)
    n_items = dy.Int64(min=0)
    """Comparable items of that pair; without one, the most of any pair."""
    evidence = dy.String()

    @classmethod
    def derive(
        cls, source: SourceTables, as_of: dt.datetime, k_min: int, prog_cv: float, ratio_dp: int, items_min: int
    ) -> pl.LazyFrame:
        """Look at the prices of S(l) (rulings SI-029)."""
        control = source[Lot].select("lot_id", "control_price")
        bids = LotBid.derive(source, as_of).join(control, on="lot_id", how="left")
        price = pl.col("bid_price")
        below = (price < pl.col("control_price")).fill_null(value=True)
        rivals = pl.col("bidder_org_id").n_unique().over("lot_id", "bid_price") > 1
        first = pl.col("method", "evaluation_method", "bids_complete").first()
        cents = (price * 100).cast(pl.Int64)
        lots = (
            bids.with_columns(price=pl.when(price > 0).then(cents), equal=(price > 0) & below & rivals)
            .group_by("lot_id")
            .agg(
                first,
                n_prices=pl.col("price").count().cast(pl.Int64),
                equal=pl.col("equal").any(),
                prices=pl.col("price").drop_nulls().unique().sort(),
                evidence=rows_as_evidence("bid", "bid_id", ["bidder_org_id", "bid_price"]),
            )
            .collect()
        )
        sizes = [
            longest_progression(prices, prog_cv, least=max(k_min, SHARE_MIN * n))
            for prices, n in lots.select("prices", "n_prices").iter_rows()
        ]
        return (
            lots.lazy()
            .with_columns(
                subject_id="lot_id",
                competes=~pl.col("method").is_in(DIRECT) & (pl.col("evaluation_method") != "random_draw"),
                k=pl.Series(sizes, dtype=pl.Int64),
            )
            .join(_ratio_by_lot(source, as_of, ratio_dp, items_min), on="lot_id", how="left")
            .with_columns(pl.col("n_items").fill_null(0))
            .select(cls.column_names())
        )


def _ratio_by_lot(source: SourceTables, as_of: dt.datetime, ratio_dp: int, items_min: int) -> pl.LazyFrame:
    """Return the strongest ratio of each lot: lot_id, modal_share, modal_pair, modal_ratio, n_items."""
    priced = priced_items(source, as_of)
    bids = priced.bids.lazy()
    enough = pl.col("n_items") >= items_min
    return (
        modal_ratios(priced, ratio_dp)
        .lazy()
        .join(bids.select("lot_id", place_1="place", id_1="bid_id", org_1="bidder_org_id"), on="place_1")
        .join(bids.select(place_2="place", id_2="bid_id", org_2="bidder_org_id"), on="place_2")
        .filter(pl.col("org_1") != pl.col("org_2"))
        .with_columns(
            modal_share=pl.when(enough).then(pl.col("n_modal") / pl.col("n_items")),
            modal_pair=pl.when(enough).then(pl.format("{}~{}", "id_1", "id_2")),
            modal_ratio=pl.when(enough).then("ratio"),
        )
        .sort("modal_share", "n_items", "modal_pair", descending=[True, True, False], nulls_last=True)
        .group_by("lot_id", maintain_order=True)
        .agg(pl.col("modal_share", "modal_pair", "modal_ratio", "n_items").first())
    )


def longest_progression(prices: Sequence[int], prog_cv: float, *, least: float) -> int:
    """Return the size of the longest arithmetic or geometric progression among prices; 0 if none reaches ``least``.

    From each pair of prices the step between them is repeated upwards: the price nearest to the next place joins if it
    lies within ``prog_cv`` of a step (the lower of two equally near). What joined last is dropped until the steps'
    standard deviation over their mean is at most ``prog_cv`` (rulings SI-029 (a)).

    Args:
        prices: distinct and ascending, above 0.
        prog_cv: the scatter of the steps that is allowed.
        least: the fewest prices that count.

    >>> longest_progression([100, 110, 120, 131, 170], 0.02, least=3)
    3
    """
    fewest = math.ceil(round(least, 9))
    if len(prices) < fewest:
        return 0
    logs = np.log(np.asarray(prices, dtype=np.float64)).tolist()
    return max(_longest(places, prog_cv, fewest) for places in ([float(price) for price in prices], logs))


def _longest(places: list[float], prog_cv: float, fewest: int) -> int:
    best = fewest - 1
    for i in range(len(places) - 1):
        for j in range(i + 1, len(places)):
            if 1 + len(places) - j <= best:  # no more can follow
                break
            best = max(best, _steady(_chain(places, i, j, prog_cv), prog_cv))
    return best if best >= fewest else 0


def _chain(places: list[float], i: int, j: int, prog_cv: float) -> list[float]:
    step = places[j] - places[i]
    chain = [places[i], places[j]]
    while True:
        target = chain[-1] + step
        after = bisect_left(places, target)
        near = [place for place in places[max(after - 1, 0) : after + 1] if place > chain[-1]]
        nearest = min(near, key=lambda place: (round(abs(place - target), 9), place), default=None)
        if nearest is None or round(abs(nearest - target) - prog_cv * step, 9) > 0:
            return chain
        chain.append(nearest)


def _steady(chain: list[float], prog_cv: float) -> int:
    """Return how many prices are left once the steps are steady enough; two have one step, which is steady."""
    steps = np.diff(chain)
    while len(steps) > 1 and round(float(steps.std(ddof=1) / steps.mean()), 9) > prog_cv:
        steps = steps[:-1]
    return len(steps) + 1
