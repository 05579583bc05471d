"""Sums and means of floats in ascending order, so that the order of rows does not change their last bit.

A sort right ahead of a sum would be dropped: polars takes sums for free of order, which floats are not.
"""

import polars as pl


def ordered(values: pl.Expr) -> pl.Expr:
    """Return the values of a group as one sorted list, for ``.list.sum()``, ``.list.mean()`` and ``.list.std()``."""
    return values.sort().implode()


def ordered_sum(values: pl.Expr) -> pl.Expr:
    """Aggregate one value or more to their sum; nulls are left out."""
    return ordered(values.drop_nulls()).list.sum()


def ordered_mean(values: pl.Expr) -> pl.Expr:
    """Aggregate values to their mean; nulls are left out, and no value at all gives null."""
    return ordered(values.drop_nulls()).list.mean()
