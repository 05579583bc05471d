"""Exact additive shares of the rule score and of a model's probability.

The rule score is ``100 * (1 - prod_f (1 - F_f))`` over families, with ``F_f = min(cap, max + extra * rest)`` over the
weighted members of the family. Its shares are Owen values: Shapley values between families, and within a family.

Every number is built by the same element-wise steps whatever the number of rows, so that one subject alone and the
same subject in a batch agree to the last bit.
"""

from dataclasses import dataclass
from math import factorial

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_SLOPE = 1.0
"""Probability per unit of log-odds, four times the steepest slope of the logistic curve. A larger factor comes from a
step of the calibration, and would turn small log-odds into lines of several hundred points."""

_ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class RuleShares:
    """Shares of the rule score, rows are subjects.

    Attributes:
        rule_score: 0..100, shape (n,).
        points: the Owen value of each member in points, shape (n, members); rows sum to ``rule_score``.
        without: the rule score if the member were absent, shape (n, members).
    """

    rule_score: Floats
    points: Floats
    without: Floats


def rule_shares(weighted: Floats, families: list[list[int]], *, extra: float, cap: float) -> RuleShares:
    """Combine weighted signs into the rule score and share it out exactly.

    Args:
        weighted: ``w_i * x_i`` in 0..1, one row a subject, one column an indicator.
        families: the columns of each family; each column in exactly one.
        extra: the part of the other members that adds to the largest (``family_extra``).
        cap: the most that one family can reach (``family_cap``).

    Source: design README section 4; Owen (1977), Values of games with a priori unions.
    """
    blocks = [
        _rule_shares(weighted[start : start + _ROWS_AT_ONCE], families, extra, cap)
        for start in range(0, max(len(weighted), 1), _ROWS_AT_ONCE)
    ]
    return RuleShares(
        np.concatenate([block.rule_score for block in blocks]),
        np.concatenate([block.points for block in blocks]),
        np.concatenate([block.without for block in blocks]),
    )


def _rule_shares(weighted: Floats, families: list[list[int]], extra: float, cap: float) -> RuleShares:
    n = len(weighted)
    strengths = np.zeros((n, len(families)))
    shapley = np.zeros_like(weighted)
    strength_without = np.zeros_like(weighted)
    for f, members in enumerate(families):
        coalitions = family_strengths(weighted[:, members], extra=extra, cap=cap)
        full = len(coalitions) - 1
        strengths[:, f] = coalitions[full]
        for j, member in enumerate(members):
            shapley[:, member] = _shapley(coalitions, j, len(members))
            strength_without[:, member] = coalitions[full ^ (1 << j)]
    others = _products_of_others(1 - strengths)
    between = _between_families(strengths)
    rule_score = 100 * (1 - _product(1 - strengths))
    points, without = np.zeros_like(weighted), np.zeros_like(weighted)
    for f, members in enumerate(families):
        for member in members:
            points[:, member] = 100 * between[:, f] * shapley[:, member]
            without[:, member] = 100 * (1 - others[:, f] * (1 - strength_without[:, member]))
    return RuleShares(rule_score, points, without)


def family_strengths(weighted: Floats, *, extra: float, cap: float) -> list[Floats]:
    """Return F of every coalition of one family's members; the coalition's members are the bits of its position.

    Args:
        weighted: ``w_i * x_i``, shape (n, members). Families have at most seven members; the list has 2**members items.
        extra: as in ``rule_shares``.
        cap: as in ``rule_shares``.
    """
    n, k = weighted.shape
    largest: list[Floats] = [np.zeros(n)]
    total: list[Floats] = [np.zeros(n)]
    for coalition in range(1, 1 << k):
        newest = coalition.bit_length() - 1
        rest = coalition ^ (1 << newest)
        largest.append(np.maximum(largest[rest], weighted[:, newest]))
        total.append(total[rest] + weighted[:, newest])
    return [np.minimum(cap, high + extra * (every - high)) for high, every in zip(largest, total, strict=True)]


def _shapley(coalitions: list[Floats], member: int, k: int) -> Floats:
    """Return the Shapley value of one member from the worth of every coalition."""
    value = np.zeros_like(coalitions[0])
    for coalition in range(1 << k):
        if coalition >> member & 1:
            continue
        size = coalition.bit_count()
        chance = factorial(size) * factorial(k - size - 1) / factorial(k)
        value += chance * (coalitions[coalition | 1 << member] - coalitions[coalition])
    return value


def _between_families(strengths: Floats) -> Floats:
    """Return K_f, the integral over t in 0..1 of the product over the other families of (1 - t F_g).

    The integrand is a polynomial of degree (families - 1) in t; Gauss-Legendre of half as many nodes is exact.
    """
    nodes, weights = np.polynomial.legendre.leggauss(max(1, (strengths.shape[1] + 1) // 2))
    result = np.zeros_like(strengths)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        result += weight * _products_of_others(1 - node * strengths)
    return result


def _product(factors: Floats) -> Floats:
    """Return the product along each row, taken column by column in order."""
    result = np.ones(len(factors))
    for column in factors.T:
        result = result * column
    return result


def _products_of_others(factors: Floats) -> Floats:
    """Return, for each column, the product of all other columns of the row (no division, zeros are harmless)."""
    result = np.ones_like(factors)
    before = np.ones(len(factors))
    after = np.ones(len(factors))
    width = factors.shape[1]
    for left in range(width):
        right = width - 1 - left
        result[:, left] *= before
        result[:, right] *= after
        before = before * factors[:, left]
        after = after * factors[:, right]
    return result


def scale_log_odds(
    phi: Floats, owner: NDArray[np.int64], *, probability: Floats, base_probability: Floats
) -> tuple[Floats, Floats]:
    """Turn log-odds contributions into points that sum to the difference of calibrated probabilities.

    All contributions of one subject are multiplied by one factor. Calibration is a step function, so a factor need not
    exist (the log-odds cancel out but the probability moved), may point the other way, or be out of all proportion:
    then the factor is held within 0 and ``MAX_SLOPE``, and what is left is returned as a remainder, a line of its own.

    Args:
        phi: contributions in log-odds, one per (subject, feature).
        owner: for each contribution, the position of its subject in ``probability``.
        probability: calibrated probability of each subject.
        base_probability: calibrated probability at the base value, one for each subject.

    Returns:
        Points of each contribution, and the remainder in points of each subject.
    """
    difference = probability - base_probability
    total = np.bincount(owner, weights=phi, minlength=len(probability))
    moved = np.abs(total) > 0
    factor = np.zeros_like(difference)
    with np.errstate(over="ignore"):
        np.divide(difference, total, out=factor, where=moved)
    factor = np.clip(factor, 0.0, MAX_SLOPE)
    points = 100 * factor[owner] * phi
    shared = np.bincount(owner, weights=points, minlength=len(probability))
    remainder = 100 * difference - shared
    return points, np.where(np.abs(remainder) <= 1e-12, 0.0, remainder)
