"""Fits the trees, chooses among a few candidates on the training lots alone, and calibrates market by market."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import lightgbm as lgb
import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from models.bundle import Calibration, booster_from, matrix
from models.lot_features import feature_list
from training.dataset import check_trainable, markets_with_both
from training.errors import TrainingError
from training.figures import roc_auc
from training.splits import cv_folds

Floats = NDArray[np.float64]
Folds = NDArray[np.int64]

WINNER = ("winner_rank", "winner_above_lowest")
"""Known only after the award; an index at bid opening has nothing here."""
CONTROL = ("lowest_to_control", "mean_to_control")
"""Known only where a control price is published, which tells markets apart."""
DISPERSION: Mapping[str, int] = MappingProxyType(
    {
        "SI-022": -1,
        "SI-023": -1,
        "SI-027": -1,
        "lowest_below_mean": -1,
        "second_below_mean": -1,
        "losing_cv": -1,
        "near_lowest_2pct": 1,
        "near_lowest_5pct": 1,
        "highest_to_median": -1,
        "lowest_to_median": 1,
    }
)
"""Features that measure how close the prices lie, with the direction the catalogue gives to suspicion: 1 rises with
the feature, -1 falls. Closer prices can then only raise a score, whatever a market taught."""
FIXED: Mapping[str, Any] = MappingProxyType(
    {
        "objective": "binary",
        "learning_rate": 0.03,
        "min_data_in_leaf": 30,
        "lambda_l2": 20.0,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
)

WORKERS = 2
"""Candidates tried at a time; each fit has one thread, so the trees do not depend on it."""


@dataclass(frozen=True)
class Size:
    """How large the trees are; explaining a lot costs about trees x leaves x depth squared."""

    max_depth: int
    num_leaves: int
    n_trees: int


NEAR_CONTROL: Mapping[str, int] = MappingProxyType(dict.fromkeys(CONTROL, 1))
"""Prices nearer to the control price can only raise a score."""
SMALL, LARGE = Size(3, 8, 120), Size(4, 15, 200)


@dataclass(frozen=True)
class Candidate:
    """What fitting may choose among.

    Attributes:
        name: its name in reports.
        left_out: features that its trees never read.
        directions: features that may move the score one way only.
        size: of its trees.
    """

    name: str
    left_out: frozenset[str] = frozenset()
    directions: Mapping[str, int] = field(default_factory=dict[str, int])
    size: Size = LARGE


def _all_but(*kept: str) -> frozenset[str]:
    return frozenset(one.id for one in feature_list()) - frozenset(kept)


CANDIDATES: tuple[Candidate, ...] = (
    Candidate("dispersion_d3", _all_but(*DISPERSION), DISPERSION, SMALL),
    Candidate("dispersion", _all_but(*DISPERSION), DISPERSION),
    Candidate("dispersion_bidders", _all_but(*DISPERSION, "n_bids_log"), DISPERSION),
)
"""What is chosen among, simplest first; of equally good ones the simpler is taken.

None reads ``WINNER`` or ``CONTROL``: where these are missing the trees would learn from the gap itself, and a lot would
score for what nobody published.
"""
REFERENCES: tuple[Candidate, ...] = (
    Candidate("dispersion_control", _all_but(*DISPERSION, *CONTROL), {**DISPERSION, **NEAR_CONTROL}, SMALL),
    Candidate("no_winner_no_control", frozenset({*WINNER, *CONTROL})),
    Candidate("no_winner", frozenset(WINNER)),
    Candidate("all"),
)
"""For comparison only; taken when they are named, never chosen."""


@dataclass(frozen=True)
class Trained:
    """Trees with all that was decided on the way, from training lots alone.

    Attributes:
        candidate: the chosen one.
        model_text: LightGBM's text.
        base_log_odds: the expected log-odds of the trees, from which TreeSHAP counts.
        out_of_fold: the log-odds of each training lot by trees that saw neither its ring (or years) nor its twins.
        calibrations: the curve of each market with enough lots of both outcomes.
        pooled: one curve over all markets; judges lots of a market left out, never serves.
        shares: the share of confirmed lots among the training lots of each market; ``""`` over all.
        choices: one row a candidate: candidate, cross_validated, market_left_out (mean ROC-AUC over markets), score
            (their mean), chosen.
    """

    candidate: Candidate
    model_text: str
    base_log_odds: float
    out_of_fold: Floats
    calibrations: Mapping[str, Calibration]
    pooled: Calibration
    shares: Mapping[str, float]
    choices: pl.DataFrame

    def log_odds(self, lots: pl.DataFrame) -> Floats:
        """Return the trees' log-odds of each lot."""
        return _raw(booster_from(self.model_text), lots)


def train(
    lots: pl.DataFrame,
    seed: int,
    candidates: Sequence[Candidate] = CANDIDATES,
    progress: Callable[[str], None] | None = None,
) -> Trained:
    """Choose, fit and calibrate.

    Args:
        lots: answerable rows of ``LabelledLots``; their order does not matter.
        seed: of LightGBM's draws.
        candidates: what to choose among; one alone is taken without comparing.
        progress: told the name of each candidate when it has been tried.

    Raises:
        TrainingError: no market has enough lots of both outcomes.
    """
    lots = lots.sort("lot_id")
    check_trainable(lots)
    tell = progress or (lambda _: None)
    folds = cv_folds(lots)

    def tried(one: Candidate) -> tuple[Candidate, Floats, dict[str, Any]]:
        out_of_fold = cross_scored(lots, one, folds, seed)
        left_out = _left_out_scored(lots, one, seed) if len(candidates) > 1 else None
        tell(one.name)
        return one, out_of_fold, _choice(lots, one, out_of_fold, left_out)

    with ThreadPoolExecutor(WORKERS) as workers:
        scored = list(workers.map(tried, candidates))
    candidate, out_of_fold, _ = max(scored, key=lambda item: round(item[2]["score"], 9))
    booster = fit(lots, candidate, seed)
    choices = pl.DataFrame([row | {"chosen": row["candidate"] == candidate.name} for _, _, row in scored])
    market = lots.get_column("market")
    y = lots.get_column("y").to_numpy()
    trust = lots.get_column("label_weight").to_numpy()
    shares = {name: float(y[(market == name).to_numpy()].mean()) for name in market.unique().sort()}
    calibrations = {
        name: calibrate(out_of_fold[rows], y[rows], trust[rows])
        for name in markets_with_both(lots)
        for rows in [(market == name).to_numpy()]
    }
    return Trained(
        candidate,
        booster.model_to_string(),
        float(_shares_of(booster, lots[:1])[0, -1]),
        out_of_fold,
        calibrations,
        calibrate(out_of_fold, y, _market_weights(lots)),
        shares | {"": float(np.average(y, weights=_market_weights(lots)))},
        choices,
    )


def fit(lots: pl.DataFrame, candidate: Candidate, seed: int) -> lgb.Booster:
    """Fit one candidate's trees; equal lots and seed give equal trees.

    Raises:
        TrainingError: no market has both outcomes.
    """
    weights = row_weights(lots)
    taught = weights > 0
    if not taught.any():
        message = "No market has both confirmed and cleared lots on the training side. Mend: load more outcomes."
        raise TrainingError(message)
    ids = [one.id for one in feature_list()]
    params = {
        **FIXED,
        "max_depth": candidate.size.max_depth,
        "num_leaves": candidate.size.num_leaves,
        "monotone_constraints": [candidate.directions.get(one, 0) for one in ids],
        "feature_contri": [0.0 if one in candidate.left_out else 1.0 for one in ids],
        "seed": seed,
    }
    rows = lots.filter(pl.Series(taught))
    data = lgb.Dataset(
        matrix(rows, feature_list()),
        rows.get_column("y").to_numpy(),
        weight=weights[taught],
        feature_name=ids,
        params={"feature_pre_filter": False, "verbosity": -1, "num_threads": 1},
    )
    return lgb.train(params, data, candidate.size.n_trees)


def row_weights(lots: pl.DataFrame) -> Floats:
    """Weigh lots so that no market dominates and neither outcome of a market does; the mean is 1.

    A market counts by the square root of its number of lots, its outcomes half each, lots within by the trust in
    their label. A market with one outcome teaches only what its market looks like and counts nothing.
    """
    trust = pl.col("label_weight")
    both = pl.col("y").n_unique().over("market") > 1
    weight = trust / trust.sum().over("market", "y") * pl.len().over("market").sqrt() / 2
    weights = lots.select(pl.when(both).then(weight).otherwise(0.0)).to_series().to_numpy()
    return weights * len(weights) / weights.sum() if weights.any() else weights


def cross_scored(lots: pl.DataFrame, candidate: Candidate, folds: Folds, seed: int) -> Floats:
    """Return the log-odds of each lot by trees fitted on the other folds."""
    scores = np.zeros(lots.height)
    for fold in np.unique(folds):
        held_out = folds == fold
        booster = fit(lots.filter(pl.Series(~held_out)), candidate, seed)
        scores[held_out] = _raw(booster, lots.filter(pl.Series(held_out)))
    return scores


def calibrate(log_odds: Floats, y: NDArray[np.int8], weights: Floats) -> Calibration:
    """Return an isotonic curve over log-odds, each of its steps drawn towards the overall share by two lots.

    A step of m lots so stays between about 1/(m + 2) and 1 - 1/(m + 2): three confirmed lots in a row are no proof.
    """
    steps = IsotonicRegression().fit(log_odds, y, sample_weight=weights)
    value, step = np.unique(steps.predict(log_odds).round(12), return_inverse=True)
    size, share = np.bincount(step), float(np.average(y, weights=weights))
    drawn = (value * size + 2 * share) / (size + 2)
    smooth = IsotonicRegression().fit(np.arange(len(value)), drawn, sample_weight=size).predict(np.arange(len(value)))
    curve = IsotonicRegression().fit(log_odds, smooth[step])
    return Calibration(
        tuple(float(one) for one in curve.X_thresholds_), tuple(float(one) for one in curve.y_thresholds_)
    )


def market_auc(lots: pl.DataFrame, scores: Floats) -> dict[str, float]:
    """Return the ROC-AUC within each market that has both outcomes."""
    market, y = lots.get_column("market").to_numpy(), lots.get_column("y").to_numpy()
    found = {
        name: float(roc_auc(y[rows], scores[rows], np.ones((1, rows.sum())))[0])
        for name in sorted(set(market))
        for rows in [market == name]
    }
    return {name: value for name, value in found.items() if not np.isnan(value)}


def _left_out_scored(lots: pl.DataFrame, candidate: Candidate, seed: int) -> Floats | None:
    """Return the log-odds of each lot by trees that saw nothing of its market; None where that leaves nothing."""
    market = lots.get_column("market").to_numpy()
    if len(markets_with_both(lots)) < 2:
        return None
    _, folds = np.unique(market, return_inverse=True)
    return cross_scored(lots, candidate, folds.astype(np.int64), seed)


def _choice(lots: pl.DataFrame, one: Candidate, out_of_fold: Floats, left_out: Floats | None) -> dict[str, Any]:
    inside = float(np.mean(list(market_auc(lots, out_of_fold).values())))
    outside = None if left_out is None else float(np.mean(list(market_auc(lots, left_out).values())))
    score = inside if outside is None else (inside + outside) / 2
    return {"candidate": one.name, "cross_validated": inside, "market_left_out": outside, "score": score}


def _market_weights(lots: pl.DataFrame) -> Floats:
    """Weigh lots so that a market counts by the square root of its lots, outcomes as they fell."""
    weight = pl.col("label_weight") / pl.col("label_weight").sum().over("market") * pl.len().over("market").sqrt()
    return lots.select(weight).to_series().to_numpy()


def _raw(booster: lgb.Booster, lots: pl.DataFrame) -> Floats:
    return np.asarray(booster.predict(matrix(lots, feature_list()), raw_score=True, num_threads=1))


def _shares_of(booster: lgb.Booster, lots: pl.DataFrame) -> Floats:
    return np.asarray(booster.predict(matrix(lots, feature_list()), pred_contrib=True, num_threads=1))
