"""Honest bidders who look alike: brothers, sisters, partners, users of one print shop or public terminal."""

import numpy as np

from experiments.city.schemes import Entrants, Role

SHOP = -2
"""Desks below this are print shops: SHOP - number of the shop."""


def enter(kind: str, members: list[int]) -> Entrants | None:
    """Return who surely comes, or nothing where the likeness lies elsewhere."""
    if kind == "family_firms":
        return Entrants(members[:3], [Role.KIN] * len(members[:3]))
    if kind == "sister_firms":
        return Entrants(members[:2], [Role.KIN] * len(members[:2]))
    if kind in ("joint_venture", "repeat_winner"):
        return Entrants([members[0]], [Role.KIN])
    return None


def desks(kind: str, hand: np.ndarray, shop: int, rng: np.random.Generator) -> np.ndarray:
    """Return at whose desk the files of a lot were made when two customers used the same print shop."""
    if kind != "print_shop" or len(hand) < 2:
        return hand
    hand = hand.copy()
    hand[rng.choice(len(hand), 2, replace=False)] = SHOP - shop
    return hand
