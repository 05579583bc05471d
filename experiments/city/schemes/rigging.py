"""Bid rigging: who comes, at what prices, and at whose desk the bids are written.

The lead of the day bids to win at a price near the ceiling; covers stay behind it. What a ring earns is the distance
between that price and a competitive one, shared by side payments or by turns (McAfee and McMillan, 1992). Careful rings
draw their covers' prices from what honest bids look like; clumsy ones add the same step each time.
"""

import numpy as np

from experiments.city.schemes import Entrants, Role
from experiments.city.schemes.answers import best_answer

KINDS = ("rotating_ring", "one_hand", "benchmark_ring", "cover_for_hire", "territory_ring", "bought_withdrawal")
TURNS = ("rotating_ring", "territory_ring", "benchmark_ring")


def enter(kind: str, members: list[int], turn: int, rng: np.random.Generator) -> Entrants:
    """Return whom the ring sends: the one whose turn it is, and those who make it look like competition."""
    lead = members[turn % len(members)] if kind in TURNS else members[0]
    rest = [org for org in members if org != lead]
    if kind == "bought_withdrawal":
        return Entrants([lead, *rest[:1]], [Role.LEAD, Role.RIVAL], others=int(rng.integers(2, 6)))
    come = max(2, round(len(rest) * float(rng.uniform(0.6, 1.0))))
    covers = [rest[i] for i in sorted(rng.choice(len(rest), come, replace=False))]
    role = Role.STEER if kind == "benchmark_ring" else Role.COVER
    others = {"benchmark_ring": int(rng.integers(2, 6)), "territory_ring": int(rng.integers(0, 2))}
    return Entrants([lead, *covers], [Role.LEAD, *[role] * len(covers)], others.get(kind, int(rng.integers(0, 4))))


def prices(
    kind: str,
    skill: str,
    how: tuple[str, str, float],
    control: float,
    price: np.ndarray,
    role: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the prices of one lot after the ring has set its members' own."""
    price = price.copy()
    lead = np.flatnonzero(role == Role.LEAD)
    covers = np.flatnonzero((role == Role.COVER) | (role == Role.STEER))
    if kind == "bought_withdrawal":  # the rival is lowest, takes money and gives up; the lead is next
        rival = np.flatnonzero(role == Role.RIVAL)
        best = best_answer(*how, price[role == Role.HONEST])
        price[rival], price[lead] = best, best * (1.002 if how[0] == "lowest_evaluated" else 0.998)
        return np.round(price, 2)
    if how[0] in ("average_benchmark", "reasonable_low_price"):
        return _steered(kind, skill, how, control, price, lead, covers, rng)
    top = control * (1 - rng.uniform(0.008, 0.035))
    others = price[(role == Role.HONEST)]
    if len(others):  # an outsider is undercut if that still pays
        top = min(top, max(others.min() * 0.995, control * 0.90))
    price[lead] = top
    price[covers] = np.minimum(_above(skill, top, len(covers), rng), control * (1 - 0.0005 * rng.random(len(covers))))
    return np.round(price, -2 if skill == "clumsy" else 2)


def _above(skill: str, top: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return covers' prices above the lead's: equal steps, jittered steps, or scattered as honest ones are."""
    step = rng.uniform(0.003, 0.008)
    if skill == "clumsy":
        return top * (1 + step * np.arange(1, n + 1))
    if skill == "practised":
        return top * (1 + step * np.arange(1, n + 1) * rng.uniform(0.75, 1.25, n))
    return top * (1 + np.abs(rng.normal(0.014, 0.012, n)) + 0.001)


def _steered(
    kind: str,
    skill: str,
    how: tuple[str, str, float],
    control: float,
    price: np.ndarray,
    lead: np.ndarray,
    covers: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Covers cluster where they pull the mean; the lead bids where the mean will then be."""
    high = control * (1 - rng.uniform(0.004, 0.02))
    width = {"clumsy": 0.0015, "practised": 0.004, "careful": 0.010}[skill]
    if kind == "benchmark_ring" and skill == "careful" and len(covers) > 3:  # high and low covers hide the pull
        price[covers] = high * (1 - np.abs(rng.normal(0, width, len(covers))))
        price[covers[0]] = control * (1 - rng.uniform(0.05, 0.07))
    elif skill == "clumsy":
        price[covers] = high * (1 - width * np.arange(len(covers)))
    else:
        price[covers] = high * (1 - np.abs(rng.normal(0, width, len(covers))))
    price[lead] = best_answer(*how, np.delete(price, lead)) * (1 - abs(rng.normal(0, 0.0015)))
    return np.round(np.minimum(price, control), 2)


def hands(kind: str, skill: str, org: np.ndarray, role: np.ndarray, boss: int) -> np.ndarray:
    """Return at whose desk each file of the ring was written; careful rings use each firm's own."""
    hand = org.copy()
    if skill == "careful":
        return hand
    ring = np.isin(role, [Role.LEAD, Role.COVER, Role.STEER])
    if kind in ("one_hand", "cover_for_hire", "benchmark_ring"):
        return np.where(ring, boss, hand)
    helped = np.flatnonzero(ring)[::2] if skill == "clumsy" else np.flatnonzero(ring)[:0]
    hand[helped] = boss
    return hand
