"""The indicators that are built, paired with their catalogue entries."""

from functools import cache

from features.assessment.declare import Indicator, collect
from features.indicators import (
    agency_ties,
    bid_files,
    bid_prices,
    bidders,
    expert_ties,
    lot_splitting,
    payment_anomaly,
    tenderer_repeat_winner,
    winner_vs_builder,
)
from features.indicators.catalogue import entries

MODULES = (
    tenderer_repeat_winner,
    bid_files,
    bid_prices,
    bidders,
    winner_vs_builder,
    payment_anomaly,
    agency_ties,
    expert_ties,
    lot_splitting,
)


@cache
def indicators() -> tuple[Indicator, ...]:
    """Return the built indicators, sorted by id."""
    return collect(MODULES, entries())
