"""Sums and means of floats that do not depend on the order of rows."""

import random
from collections.abc import Callable

import polars as pl
import pytest

from features.derive.ordered import ordered_mean, ordered_sum

X = pl.col("x")


@pytest.mark.parametrize("aggregate", [ordered_sum, ordered_mean])
def test_the_order_of_rows_does_not_change_the_last_bit(aggregate: Callable[[pl.Expr], pl.Expr]) -> None:
    draw = random.Random(1)
    frame = pl.DataFrame({"group": [0, 1] * 20, "x": [draw.random() for _ in range(40)]})

    def aggregated(seed: int) -> list[float]:
        rows = frame.sample(fraction=1, shuffle=True, seed=seed).lazy()
        return rows.group_by("group").agg(aggregate(X)).sort("group").collect().get_column("x").to_list()

    assert all(aggregated(seed) == aggregated(0) for seed in range(1, 20))


def test_sums_and_means_leave_out_nulls() -> None:
    frame = pl.DataFrame({"group": [1, 1, 1, 2], "x": [1.0, None, 2.0, None]}).lazy()
    found = frame.group_by("group").agg(mean=ordered_mean(X), total=ordered_sum(X)).sort("group").collect()

    assert found.get_column("mean").to_list() == [1.5, None]
    assert found.item(0, "total") == 3.0
