"""How likely so many by chance: upper tails, the count itself included (rulings G19)."""

import numpy as np
import polars as pl
from scipy.stats import binom, poisson

NEGLOG_MAX = 10.0
"""-log10 of a p-value is capped here (README section 3)."""


def binomial_upper_tail(k: pl.Expr, n: pl.Expr, p: pl.Expr) -> pl.Expr:
    """Return P(X >= k) for X ~ Binomial(n, p); k = 0 gives exactly 1."""
    return pl.struct(k=k, n=n, p=p).map_batches(_binomial, pl.Float64)


def poisson_upper_tail(k: pl.Expr, expected: pl.Expr) -> pl.Expr:
    """Return P(X >= k) for X ~ Poisson(expected); k = 0 gives exactly 1."""
    return pl.struct(k=k, expected=expected).map_batches(_poisson, pl.Float64)


def neg_log(p_value: pl.Expr) -> pl.Expr:
    """Return -log10 of a p-value, at most 10."""
    return (-p_value.log10()).clip(0.0, NEGLOG_MAX)


def _binomial(counts: pl.Series) -> pl.Series:
    fields = counts.struct
    k, n, p = (fields.field(name).to_numpy() for name in ("k", "n", "p"))
    return pl.Series("p_value", np.where(k <= 0, 1.0, binom.sf(k - 1, n, p)), nan_to_null=True)


def _poisson(counts: pl.Series) -> pl.Series:
    k, expected = (counts.struct.field(name).to_numpy() for name in ("k", "expected"))
    return pl.Series("p_value", np.where(k <= 0, 1.0, poisson.sf(k - 1, expected)), nan_to_null=True)
