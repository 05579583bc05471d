"""Sums over groups are the same to the last bit whatever the order of rows."""

from itertools import permutations

import polars as pl

from features.derive.ordered import ordered

VALUES = [0.1, 0.2, 0.3, 0.7, 1e16, -1e16]


def test_sum_mean_and_deviation_do_not_depend_on_the_order_of_rows() -> None:
    rows = [{"group": place, "x": x} for place, values in enumerate(permutations(VALUES)) for x in values]
    values = ordered(pl.col("x")).list

    found = pl.LazyFrame(rows).group_by("group").agg(total=values.sum(), mean=values.mean(), sd=values.std()).collect()

    assert found.select(pl.exclude("group").n_unique()).row(0) == (1, 1, 1)


def test_it_works_over_a_window_and_without_nulls() -> None:
    rows = pl.LazyFrame({"group": [1, 1, 2], "x": [1.0, None, 3.0]})
    values = ordered(pl.col("x")).list

    found = rows.select(total=values.sum().over("group"), mean=values.mean().over("group")).collect()

    assert found.rows() == [(1.0, 1.0), (1.0, 1.0), (3.0, 3.0)]
