"""Schemes whose acts lie after the award: how their firm gets the contract first.

Whoever lends a licence, passes the works on, or is paid ahead must win before it can. It does so with a good bid, as
anybody may: the best answer to what the others are expected to ask. ``low_award_high_final`` bids below cost, in
the certainty that changes will be granted (Bajari, Houghton and Tadelis, 2014, on what bidders expect of changes).
"""

import numpy as np

from experiments.city.schemes import Entrants, Role
from experiments.city.schemes.answers import best_answer

KINDS = (
    "licence_lending", "works_transfer", "illegal_subcontract", "pay_ahead", "low_award_high_final", "over_measurement",
    "unbalanced_bid", "wage_diversion", "payment_kickback", "settlement_collusion", "dismembered_works",
    "provisional_evasion",
)  # fmt: skip
ALIKE = ("labour_heavy", "local_branch", "illness_replacement", "geology_changes", "price_rise", "year_end_settling",
         "steel_advance", "steep_discount")  # fmt: skip


def enter(kind: str, members: list[int], lno: int) -> Entrants:
    """Return the firm that means to carry the scheme out."""
    lead = members[(lno - 1) % len(members)] if kind == "dismembered_works" else members[0]
    return Entrants([lead], [Role.LEAD])


def prices(
    kind: str,
    how: tuple[str, str, float],
    control: float,
    price: np.ndarray,
    role: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the prices of one lot after its firm has made a bid that should win (how: evaluation, rule, factor)."""
    price = price.copy()
    lead = int(np.flatnonzero(role == Role.LEAD)[0])
    others = np.delete(price, lead)
    if not len(others):
        return price
    if kind in ("low_award_high_final", "steep_discount"):
        price[lead] = max(others.min() * (1 - rng.uniform(0.05, 0.14)), control * 0.70)
    else:
        price[lead] = best_answer(*how, others) * (1 - abs(rng.normal(0, 0.0006)))
    return np.round(np.minimum(price, control), 2)
