"""The indicators that are built, paired with their catalogue entries."""

from functools import cache

from features.assessment.declare import Indicator, collect
from features.indicators import (
    bid_files,
    bid_prices,
    bidders,
    lot_splitting,
    tenderer_repeat_winner,
    winner_vs_builder,
)
from features.indicators.catalogue import entries

MODULES = (tenderer_repeat_winner, bid_prices, bid_files, bidders, winner_vs_builder, lot_splitting)


@cache
def indicators() -> tuple[Indicator, ...]:
    """Return the built indicators, sorted by id."""
    return collect(MODULES, entries())
