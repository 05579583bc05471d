"""Figures of merit of scored lots, each over many weightings of the lots at once.

A weighting is one row of ``weights``: the first is all ones, the others are bootstrap counts. A figure that a
weighting does not define (one outcome only) is NaN here and becomes null with a reason in ``summary``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Outcomes = NDArray[np.int8]

METRICS = ("roc_auc", "average_precision", "balanced_accuracy", "brier", "calibration_error")
OF_PROBABILITY = frozenset({"balanced_accuracy", "brier", "calibration_error"})
ONE_CLASS = "one_outcome_only"
NOT_PARTED = "not_parted"
NO_PROBABILITY = "no_calibrated_probability"
BINS = 10
MIN_DEFINED = 0.5
"""Share of the bootstrap weightings that must define a figure before an interval is given."""


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % bootstrap interval; null with a reason where it is not defined."""

    value: float | None
    low: float | None
    high: float | None
    reason: str | None = None


def bootstrap_weights(clusters: Sequence[str], n_resamples: int, seed: int) -> Floats:
    """Return weightings of rows: ones, then how often each row's cluster was drawn, with replacement.

    Args:
        clusters: the cluster of each row; rows that depend on each other share one.
        n_resamples: bootstrap weightings.
        seed: of the draws.
    """
    names, place = np.unique(np.asarray(clusters), return_inverse=True)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=n_resamples)
    return np.vstack([np.ones((1, len(place))), drawn[:, place]]).astype(np.float64)


def roc_auc(y: Outcomes, score: Floats, weights: Floats) -> Floats:
    """Return the area under the ROC curve of each weighting: a confirmed lot scores above a cleared one, ties half."""
    positive, negative = _tied_sums(y, score, weights)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return _over((positive * (below + negative / 2)).sum(axis=1), pairs)


def average_precision(y: Outcomes, score: Floats, weights: Floats) -> Floats:
    """Return the precision at each confirmed lot's score, averaged over the confirmed lots, of each weighting."""
    positive, negative = (sums[:, ::-1] for sums in _tied_sums(y, score, weights))
    found = np.cumsum(positive, axis=1)
    seen = found + np.cumsum(negative, axis=1)
    precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
    defined = np.where(negative.sum(axis=1) > 0, positive.sum(axis=1), 0)
    return _over((positive * precision).sum(axis=1), defined)


def balanced_accuracy(y: Outcomes, flagged: NDArray[np.bool_], weights: Floats) -> Floats:
    """Return the mean of the shares of confirmed lots flagged and of cleared lots not flagged, of each weighting."""
    hit = _over(weights @ ((y == 1) & flagged).astype(float), weights @ (y == 1).astype(float))
    spared = _over(weights @ ((y == 0) & ~flagged).astype(float), weights @ (y == 0).astype(float))
    return (hit + spared) / 2


def brier(y: Outcomes, probability: Floats, weights: Floats) -> Floats:
    """Return the mean squared distance of probability and outcome, of each weighting."""
    return _over(weights @ (probability - y) ** 2, weights.sum(axis=1))


def calibration_error(y: Outcomes, probability: Floats, weights: Floats) -> Floats:
    """Return the expected calibration error over ten bins of equal width, of each weighting."""
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    gaps = [np.abs(weights[:, place == one] @ (probability - y)[place == one]) for one in range(BINS)]
    return _over(np.sum(gaps, axis=0), weights.sum(axis=1))


def reliability(y: Outcomes, probability: Floats) -> list[dict[str, float | int]]:
    """Return one row a bin with lots: low, high, n, predicted (mean probability), observed (share confirmed)."""
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    return [
        {
            "low": one / BINS,
            "high": (one + 1) / BINS,
            "n": int((place == one).sum()),
            "predicted": float(probability[place == one].mean()),
            "observed": float(y[place == one].mean()),
        }
        for one in range(BINS)
        if (place == one).any()
    ]


def all_figures(
    y: Outcomes, score: Floats, probability: Floats | None, threshold: Floats, weights: Floats
) -> Mapping[str, Floats]:
    """Return every metric over every weighting; without probabilities only those of the ranking are defined.

    Args:
        y: outcomes, 1 confirmed and 0 cleared.
        score: higher is more suspicious; ranks the lots.
        probability: calibrated probability of each lot.
        threshold: the probability from which each lot counts as flagged.
        weights: one row a weighting.
    """
    undefined = np.full(len(weights), np.nan)
    found: dict[str, Floats] = dict.fromkeys(METRICS, undefined)
    if not len(y):
        return found
    found["roc_auc"] = roc_auc(y, score, weights)
    found["average_precision"] = average_precision(y, score, weights)
    if probability is not None:
        found["balanced_accuracy"] = balanced_accuracy(y, probability >= threshold, weights)
        found["brier"] = brier(y, probability, weights)
        found["calibration_error"] = calibration_error(y, probability, weights)
    return found


def summary(values: Floats, reason: str) -> Figure:
    """Return a figure from its values over the weightings: the first is the figure, the others give the interval.

    Args:
        values: one row a weighting, or one row a fold and one column a weighting; folds are averaged where defined.
        reason: why it is null, if it is.
    """
    table = np.atleast_2d(values)
    table = table[~np.isnan(table[:, 0])] if table.size else table
    if not table.size:
        return Figure(None, None, None, reason)
    known = ~np.isnan(table)
    counts = known.sum(axis=0)
    means = np.divide(np.where(known, table, 0).sum(axis=0), counts, out=np.full(len(counts), np.nan), where=counts > 0)
    drawn = means[1:][~np.isnan(means[1:])]
    if not len(drawn) or len(drawn) < MIN_DEFINED * (len(means) - 1):
        return Figure(float(means[0]), None, None)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Figure(float(means[0]), float(low), float(high))


def _tied_sums(y: Outcomes, score: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return the weight of confirmed and of cleared lots at each distinct score, ascending."""
    _, place = np.unique(score, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    ranked, label = weights[:, order], y[order]
    return np.add.reduceat(ranked * (label == 1), starts, axis=1), np.add.reduceat(
        ranked * (label == 0), starts, axis=1
    )


def _over(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
