"""Sums that are the same to the last bit whatever the order of rows."""

import polars as pl


def ordered(values: pl.Expr) -> pl.Expr:
    """Return the values of a group as one sorted list, for ``.list.sum()``, ``.list.mean()`` and ``.list.std()``.

    A sort right ahead of a sum would be dropped: polars takes sums for free of order, which floats are not.
    """
    return values.sort().implode()
