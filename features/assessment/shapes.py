"""Small shapes that rules are made of. Comparisons round to nine decimals first (rulings G13)."""

import polars as pl

DECIMALS = 9


def ramp(value: pl.Expr, low: float, high: float) -> pl.Expr:
    """Rise from 0 at ``low`` to 1 at ``high``; with ``high <= low`` a step at ``high`` (rulings G12)."""
    if high <= low:
        return pl.when(value.is_not_null()).then((value.round(DECIMALS) >= high).cast(pl.Float64))
    return ((value - low) / (high - low)).clip(0.0, 1.0)


def at_least(value: pl.Expr, threshold: float | pl.Expr) -> pl.Expr:
    """Compare ``value >= threshold`` free of rounding noise."""
    limit = threshold.round(DECIMALS) if isinstance(threshold, pl.Expr) else threshold
    return value.round(DECIMALS) >= limit


def at_most(value: pl.Expr, threshold: float | pl.Expr) -> pl.Expr:
    """Compare ``value <= threshold`` free of rounding noise."""
    limit = threshold.round(DECIMALS) if isinstance(threshold, pl.Expr) else threshold
    return value.round(DECIMALS) <= limit
