"""Figures against scikit-learn, splits that keep rings and twins on one side, and nulls with their reason."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import metrics

from features.clock import SHANGHAI
from training.errors import TrainingError
from training.figures import (
    NO_PROBABILITY,
    NOT_PARTED,
    ONE_CLASS,
    Figure,
    all_figures,
    average_precision,
    balanced_accuracy,
    bootstrap_weights,
    brier,
    calibration_error,
    reliability,
    roc_auc,
    summary,
)
from training.fit import calibrate, row_weights
from training.judge import MODEL, SCORERS, coverage, figures_of
from training.splits import LATER, MARKET_OUT, RINGS, all_splits, cv_folds, held_out_by, read_splits


def outcomes(rows: int, seed: int) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    y = (random.random(rows) < 0.3).astype(np.int8)
    score = (random.normal(size=rows) + y).round(1)  # rounded: many ties
    return y, score, 1 / (1 + np.exp(-score))


def lots(rows: int = 120, seed: int = 1) -> pl.DataFrame:
    """Return lots of two markets: rings of four lots in the first, no rings in the second; lots 0 and 1 are twins."""
    random = np.random.default_rng(seed)
    place = np.arange(rows)
    market = np.where(place % 2 == 0, "A/works", "B/works")
    positive = random.random(rows) < 0.4
    return pl.DataFrame(
        {
            "lot_id": [f"L{number:03}" for number in place],
            "market": market,
            "opening_at": [dt.datetime(2024, 1, 1, tzinfo=SHANGHAI) + dt.timedelta(days=int(one)) for one in place],
            "y": positive.astype(np.int8),
            "label_weight": np.ones(rows),
            "twin": [f"L{0 if number == 2 else number:03}" for number in place],
            "ring": [f"R{number // 8}" if number % 2 == 0 else None for number in place],
            "answerable": [number != 5 for number in place],
        }
    )


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_those_of_scikit_learn(seed: int) -> None:
    y, score, probability = outcomes(300, seed)
    counts = np.random.default_rng(seed).integers(0, 3, size=300).astype(float)
    weights = np.vstack([np.ones(300), counts])

    for row, weight in enumerate(weights):
        assert roc_auc(y, score, weights)[row] == pytest.approx(metrics.roc_auc_score(y, score, sample_weight=weight))
        assert average_precision(y, score, weights)[row] == pytest.approx(
            metrics.average_precision_score(y, score, sample_weight=weight)
        )
        assert balanced_accuracy(y, probability >= 0.4, weights)[row] == pytest.approx(
            metrics.balanced_accuracy_score(y, probability >= 0.4, sample_weight=weight)
        )
        assert brier(y, probability, weights)[row] == pytest.approx(
            metrics.brier_score_loss(y, probability, sample_weight=weight)
        )


def test_the_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    y = np.array([0, 1, 1, 1], dtype=np.int8)
    probability = np.array([0.15, 0.15, 0.85, 1.0])

    # bins: 0.15 against 1/2 (two lots), 0.85 against 1, 1.0 against 1
    assert calibration_error(y, probability, np.ones((1, 4)))[0] == pytest.approx((2 * 0.35 + 0.15 + 0) / 4)
    assert reliability(y, probability) == [
        {"low": 0.1, "high": 0.2, "n": 2, "predicted": pytest.approx(0.15), "observed": 0.5},
        {"low": 0.8, "high": 0.9, "n": 1, "predicted": pytest.approx(0.85), "observed": 1.0},
        {"low": 0.9, "high": 1.0, "n": 1, "predicted": 1.0, "observed": 1.0},
    ]


@pytest.mark.parametrize("outcome", [0, 1])
def test_with_one_outcome_the_ranking_is_undefined_and_null_with_a_reason(outcome: int) -> None:
    y = np.full(5, outcome, dtype=np.int8)
    probability = np.linspace(0.1, 0.9, 5)

    found = all_figures(y, probability, probability, np.full(5, 0.5), np.ones((3, 5)))

    for metric in ("roc_auc", "average_precision", "balanced_accuracy"):
        assert summary(found[metric], ONE_CLASS) == Figure(None, None, None, ONE_CLASS)
    assert summary(found["brier"], ONE_CLASS).value == pytest.approx(float(((probability - outcome) ** 2).mean()))


def test_folds_that_define_a_figure_are_averaged_and_others_left_out() -> None:
    nan = float("nan")
    table = np.array([[0.5, 0.4, nan], [0.7, nan, nan], [nan, nan, nan]])

    assert summary(table, ONE_CLASS).value == pytest.approx(0.6)
    assert summary(np.array([[nan, 0.5]]), NOT_PARTED) == Figure(None, None, None, NOT_PARTED)


def test_the_interval_of_independent_lots_has_about_its_textbook_width() -> None:
    y = np.tile(np.array([0, 1], dtype=np.int8), 200)
    weights = bootstrap_weights([str(number) for number in range(400)], 2000, seed=1)

    figure = summary(brier(y, np.zeros(400), weights), ONE_CLASS)

    assert figure.value == 0.5
    assert figure.low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.005)
    assert figure.high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.005)


def test_lots_of_one_cluster_are_drawn_together() -> None:
    weights = bootstrap_weights(["a", "b", "a", "c"], 50, seed=1)

    assert (weights[0] == 1).all()
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_no_ring_no_twin_and_no_market_is_on_both_sides() -> None:
    frame = lots()

    splits = all_splits(frame)

    assert {split.kind for split in splits} == {LATER, RINGS, MARKET_OUT}
    for split in splits:
        train, test = frame.filter(pl.Series(split.train)), frame.filter(pl.Series(split.test))
        assert not (split.train & split.test).any()
        assert not set(train["twin"]) & set(test["twin"])
        if split.kind == RINGS:
            assert not set(train["ring"].drop_nulls()) & set(test["ring"].drop_nulls())
            assert set(test["market"]) == {"A/works"}
        if split.kind == MARKET_OUT:
            assert not set(train["market"]) & set(test["market"])
        if split.kind == LATER:
            for market in ("A/works", "B/works"):
                before = train.filter(pl.col("market") == market)["opening_at"].max()
                after = test.filter(pl.col("market") == market)["opening_at"].min()
                assert before < after  # type: ignore[operator]


def test_folds_keep_rings_and_twins_together_and_do_not_depend_on_order() -> None:
    frame = lots()
    folds = frame.with_columns(fold=pl.Series(cv_folds(frame)))

    for group in ("ring", "twin"):
        assert folds.drop_nulls(group).group_by(group).agg(pl.col("fold").n_unique())["fold"].max() == 1
    shuffled = frame.sample(fraction=1, shuffle=True, seed=2)
    again = shuffled.with_columns(fold=pl.Series(cv_folds(shuffled))).sort("lot_id")
    assert again["fold"].to_list() == folds["fold"].to_list()


def test_what_is_held_out_is_rings_then_time_then_lots() -> None:
    frame = lots()
    market_a, market_b = (frame.filter(pl.col("market") == name) for name in ("A/works", "B/works"))

    assert held_out_by(market_a) == "rings"
    assert held_out_by(market_b) == "time"
    assert held_out_by(market_b.with_columns(pl.col("opening_at").first())) == "lots"
    assert held_out_by(market_b.sort("y").with_columns(pl.col("opening_at").sort())) == "lots"


def test_a_ring_with_nearly_all_confirmed_lots_is_not_held_out() -> None:
    frame = lots().with_columns(ring=pl.when(pl.col("y") == 1).then(pl.lit("one")))

    assert not [split for split in all_splits(frame) if split.kind == RINGS]


def test_the_columns_of_a_file_part_the_lots(tmp_path: Path) -> None:
    frame = lots().filter(pl.col("market") == "A/works")
    sides = ["train"] * 30 + ["test"] * 29 + [None]
    folds = [None if number == 7 else "01-"[number % 3] + "10-"[number % 3] for number in range(60)]
    pl.DataFrame({"lot_id": frame["lot_id"], "ring_id": ["x"] * 60, "later_50": sides, "ring_test": folds}).write_csv(
        tmp_path / "splits.csv"
    )

    read = read_splits(tmp_path / "splits.csv", frame)
    later, first, second = all_splits(read)

    assert (later.name, int(later.train.sum()), int(later.test.sum())) == ("later_50", 30, 29)
    assert (first.name, int(first.train.sum()), int(first.test.sum())) == ("fold_1", 19, 19)  # without a twin
    assert (second.name, int(second.test.sum())) == ("fold_2", 20)
    assert read["ring"].unique().to_list() == ["A/works#x"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lot_id,later_50\nL000,before\n", "before"),
        ("lot_id,later_50\nL000,train\nL000,test\n", "twice"),
        ("lot_id,ring_test\nL000,01\nL002,012\n", "ring_test"),
        ("lot,later_50\nL000,train\n", "needed are lot_id"),
        ("lot_id\nL000\n", "later_"),
    ],
)
def test_a_file_that_cannot_part_the_lots_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "splits.csv").write_text(text)

    with pytest.raises(TrainingError, match=words):
        read_splits(tmp_path / "splits.csv", lots())


def test_a_file_that_is_not_there_is_said_clearly(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"cannot be read as CSV.*Mend"):
        read_splits(tmp_path / "absent.csv", lots())


def test_every_market_weighs_by_the_root_of_its_lots_and_outcomes_half_each() -> None:
    frame = pl.DataFrame(
        {"market": ["A"] * 4 + ["B"] * 16 + ["C"] * 5, "y": [1, 0, 0, 0] + [1] * 4 + [0] * 12 + [1] * 5}
    ).with_columns(label_weight=pl.lit(1.0))

    weighed = (
        frame.with_columns(weight=pl.Series(row_weights(frame))).group_by("market", "y").agg(pl.col("weight").sum())
    )

    sums = {(market, y): weight for market, y, weight in weighed.iter_rows()}
    assert sums["A", 1] == pytest.approx(sums["A", 0])
    assert sums["B", 1] == pytest.approx(2 * sums["A", 1])
    assert sums["C", 1] == 0  # one outcome teaches only what the market looks like


def test_the_curve_rises_and_never_reaches_0_or_1() -> None:
    score = np.arange(40.0)
    y = (score >= 20).astype(np.int8)

    curve = calibrate(score, y, np.ones(40))

    at = curve.at(np.linspace(-5, 45, 200))
    assert (np.diff(at) >= 0).all()
    assert (at.min(), at.max()) == (pytest.approx(1 / 22), pytest.approx(21 / 22))


def predictions(y: list[int], probability: list[float | None]) -> pl.DataFrame:
    rows = len(y)
    return pl.DataFrame(
        {
            "split": [LATER] * rows,
            "name": ["later_50"] * rows,
            "market": ["A/works"] * rows,
            "lot_id": [f"L{number}" for number in range(rows)],
            "y": pl.Series(y, dtype=pl.Int8),
            "cluster": [f"L{number}" for number in range(rows)],
            "log_odds": [float(number) for number in range(rows)],
            "probability": pl.Series(probability, dtype=pl.Float64),
            "threshold": [0.5] * rows,
            "SI-022": [float(number) for number in range(rows)],
            "rule_score": [0.0] * rows,
        }
    )


@pytest.mark.parametrize(
    ("part", "metric", "value", "reason"),
    [
        (predictions([0, 1, 0, 1], [0.1, 0.9, 0.2, 0.8]), "roc_auc", 0.75, None),
        (predictions([0, 1, 0, 1], [0.1, 0.9, 0.2, 0.8]), "brier", 0.025, None),
        (predictions([0, 1, 0, 1], [None] * 4), "roc_auc", 0.75, None),
        (predictions([0, 1, 0, 1], [None] * 4), "brier", None, NO_PROBABILITY),
        (predictions([1, 1], [0.5, 0.5]), "roc_auc", None, ONE_CLASS),
        (predictions([], []), "roc_auc", None, NOT_PARTED),
    ],
)
def test_each_figure_is_a_number_or_null_with_its_reason(
    part: pl.DataFrame, metric: str, value: float | None, reason: str | None
) -> None:
    rows = figures_of(LATER, "A/works", part, seed=1, n_resamples=20)

    assert {row["scorer"] for row in rows} == set(SCORERS)
    (row,) = [row for row in rows if (row["scorer"], row["metric"]) == (MODEL, metric)]
    assert (row["value"], row["reason"]) == (None if value is None else pytest.approx(value), reason)
    assert (row["n"], row["n_positive"]) == (part.height, part["y"].sum())


def test_coverage_counts_the_lots_that_the_model_can_answer() -> None:
    row = coverage(lots()).filter(pl.col("market") == "B/works").to_dicts()[0]

    assert (row["n_labelled"], row["n_answerable"], row["coverage"]) == (60, 59, pytest.approx(59 / 60))
