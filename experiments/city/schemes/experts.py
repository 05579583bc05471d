"""Experts and their winners: bought marks, panels that come as a set, members who should have stepped aside.

A bought member lifts the lead and presses its strongest rival; how far depends on how much it fears to stand out from
the others (a careful one stays inside their spread, and so sways close races only). Honest likenesses: few experts of a
rare trade who meet again and again, and a marker who is strict with everybody.
"""

import numpy as np

from experiments.city.schemes import Entrants, Role

KINDS = ("captive_expert", "standing_panel", "conflicted_expert", "owner_rep_steering")
LIFT = {"clumsy": 0.24, "practised": 0.14, "careful": 0.08}
"""Points added for the lead, as a share of the full points by judgement."""
STRICT = -0.12


def enter(members: list[int]) -> Entrants:
    """Return the firm that has the expert; the others come as to any tender."""
    return Entrants([members[0]], [Role.LEAD])


def seats(kind: str, group_experts: list[int], rng: np.random.Generator) -> list[int]:
    """Return which experts of the group sit on the panel of a lot."""
    many = {"captive_expert": 1, "conflicted_expert": 1, "standing_panel": 3, "owner_rep_steering": 0,
            "rare_specialty": 4, "strict_expert": 1}.get(kind, 0)  # fmt: skip
    return group_experts[:many]


def bias(kind: str, skill: str, expert: np.ndarray, group_experts: list[int]) -> np.ndarray:
    """Return for each member (expert number, -1 = owner's representative) the lift it gives the lead."""
    if kind == "owner_rep_steering":
        return np.where(expert < 0, LIFT[skill] * 1.6, 0.0)
    many = {"captive_expert": 1, "conflicted_expert": 1, "standing_panel": 3}.get(kind, 0)
    return np.where(np.isin(expert, group_experts[:many]), LIFT[skill], 0.0)
