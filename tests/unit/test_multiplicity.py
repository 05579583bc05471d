"""q-values against scipy, and the exact probabilities that go into them."""

from typing import Any

import dataframely as dy
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from features.assessment.evaluate import measure
from features.derive.multiplicity import with_q_values
from features.indicators.built import indicators

p_values = st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.05, 1.0]), min_size=1, max_size=30)


def q_values(p: list[float | None], n_tests: int | None = None) -> list[float | None]:
    frame = pl.DataFrame({"p": p}, schema={"p": pl.Float64})
    if n_tests is not None:
        frame = frame.with_columns(n_tests=pl.lit(n_tests, dtype=pl.Int64))
    return with_q_values(frame, "p").get_column("q_value").to_list()


def by_scipy(p: list[float]) -> list[float]:
    return stats.false_discovery_control(np.array(p), method="bh").tolist()


def test_three_tests_by_hand() -> None:
    # 0.01 * 3/1, 0.04 * 3/3 for the last, and 0.03 * 3/2 = 0.045 is held down by it.
    assert q_values([0.04, 0.01, 0.03]) == pytest.approx([0.04, 0.03, 0.04])


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(p_values)
def test_q_values_are_those_of_scipy(p: list[float]) -> None:
    assert q_values(list(p)) == pytest.approx(by_scipy(p), abs=1e-12)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(p_values, st.integers(0, 50))
def test_tests_that_were_not_written_down_count_as_p_of_one(p: list[float], silent: int) -> None:
    expected = by_scipy([*p, *[1.0] * silent])[: len(p)]

    assert q_values(list(p), len(p) + silent) == pytest.approx(expected, abs=1e-12)


def test_equal_p_values_have_equal_q_values() -> None:
    assert q_values([0.02, 0.02, 0.5, 0.02]) == pytest.approx([0.02 * 4 / 3] * 2 + [0.5, 0.02 * 4 / 3])


def test_subjects_that_were_not_tested_are_left_out_of_the_family() -> None:
    assert q_values([None, 0.02, None, 0.04]) == [None, pytest.approx(0.04), None, pytest.approx(0.04)]


@pytest.mark.parametrize("p", [[], [None, None]])
def test_no_test_at_all_gives_no_q_value(p: list[float | None]) -> None:
    assert q_values(p) == p
    assert q_values(p, 100) == p


def test_a_family_is_never_smaller_than_its_rows() -> None:
    assert q_values([0.02, 0.04], 1) == pytest.approx(q_values([0.02, 0.04]))


# Exact upper tails.


def p_of(indicator_id: str, rows: list[dict[str, Any]]) -> list[float]:
    one = next(one for one in indicators() if one.entry.id == indicator_id)
    frame = one.formula.reads.sample(overrides=rows, generator=dy.random.Generator(1))
    return measure(frame.lazy(), one).collect().get_column("p_value").to_list()


def test_wins_at_a_tenderer_have_the_exact_binomial_tail() -> None:
    cases = [(k, m, wins, bids) for m in (4, 9, 40) for k in (0, 1, m // 2, m) for wins, bids in ((0, 3), (2, 9))]
    rows = [
        {"n_wins": k, "n_bids": m, "n_wins_elsewhere": wins, "n_bids_elsewhere": bids} for k, m, wins, bids in cases
    ]
    expected = [
        stats.binomtest(k, m, (wins + 1) / (bids + 2), alternative="greater").pvalue for k, m, wins, bids in cases
    ]

    assert p_of("SI-002", rows) == pytest.approx(expected, rel=1e-9)
    assert [p for p, (k, *_) in zip(p_of("SI-002", rows), cases, strict=True) if k == 0] == [1.0] * 6


def test_common_lots_have_the_exact_tail_of_fishers_test() -> None:
    cases = [(30, 10, 12, 8), (30, 12, 10, 8), (40, 5, 5, 5), (200, 60, 33, 20), (30, 25, 20, 15), (31, 5, 6, 1)]
    rows = [{"n_lots": n, "n_1": a, "n_2": b, "n_both": c} for n, a, b, c in cases]
    tables = [[[c, a - c], [b - c, n - a - b + c]] for n, a, b, c in cases]
    by_fisher: list[Any] = [stats.fisher_exact(table, alternative="greater") for table in tables]

    assert p_of("SI-034", rows) == pytest.approx([test.pvalue for test in by_fisher], rel=1e-9)


def test_no_common_lot_has_a_p_of_one() -> None:
    assert p_of("SI-034", [{"n_lots": 0, "n_1": 0, "n_2": 0, "n_both": 0}]) == [1.0]
