"""The indicators that are built, paired with their catalogue entries."""

from functools import cache

from features.assessment.declare import Indicator, collect
from features.indicators import agency_ties, bid_prices, bidders, expert_ties, tenderer_repeat_winner
from features.indicators.catalogue import entries

MODULES = (tenderer_repeat_winner, bid_prices, bidders, agency_ties, expert_ties)


@cache
def indicators() -> tuple[Indicator, ...]:
    """Return the built indicators, sorted by id."""
    return collect(MODULES, entries())
