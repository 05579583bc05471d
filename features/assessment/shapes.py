"""Small shapes that rules are made of. Comparisons round to nine decimals first (rulings G13)."""

import polars as pl

from features.rounding import DECIMALS

Z_MAX = 10.0


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


def robust_z(value: pl.Expr, median: pl.Expr, mad: pl.Expr) -> pl.Expr:
    """Return (value - median)/(1.4826 MAD), at most 10 either way; a MAD is at least 1% of the median (rulings G12).

    Where median and MAD are 0 there is no scale: 0 at the median, else 10 either way.
    """
    scale = 1.4826 * pl.max_horizontal(mad, 0.01 * median.abs())
    apart = value - median
    z = pl.when(scale > 0).then(apart / scale).otherwise(apart.round(DECIMALS).sign() * Z_MAX)
    return z.clip(-Z_MAX, Z_MAX)
