"""Sums and means of floats in ascending order, so that the order of rows does not change their last bit.

polars drops a sort ahead of ``sum`` and ``mean``; through a list it stays.
"""

import polars as pl


def ordered_sum(values: pl.Expr) -> pl.Expr:
    """Aggregate one value or more to their sum; nulls are left out."""
    return _ascending(values).list.sum()


def ordered_mean(values: pl.Expr) -> pl.Expr:
    """Aggregate values to their mean; nulls are left out, and no value at all gives null."""
    return _ascending(values).list.mean()


def _ascending(values: pl.Expr) -> pl.Expr:
    return values.drop_nulls().sort().implode()
