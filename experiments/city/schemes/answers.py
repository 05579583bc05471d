"""The best answer to others' prices under a rule: what an informed bidder asks."""

import numpy as np


def best_answer(evaluation: str, rule: str, k: float, others: np.ndarray) -> float:
    """Return the price that would score best if the others ask ``others``.

    Under a mean rule it is the fixed point p = k * mean(others and p); without the highest and the lowest where the
    rule cuts them off and five or more bid. Otherwise just below the lowest.
    """
    if not len(others):
        return np.inf
    if evaluation not in ("average_benchmark", "reasonable_low_price"):
        return float(others.min() * 0.9985)
    total, n = float(others.sum()), len(others) + 1
    if rule == "trimmed_mean" and n >= 5:
        total, n = total - float(others.max() + others.min()), n - 2
    return k * total / (n - k)
