"""The agency and the bidders: it writes a bid, whispers the benchmark, or throws the rivals out.

Honest likenesses: an agency that simply has most of a county's business, and one that shares a building with a bidder.
"""

import numpy as np

from experiments.city.schemes import Entrants, Role
from experiments.city.schemes.tenderers import told

KINDS = ("captive_agency", "agency_leak", "rival_disqualification")


def enter(kind: str, members: list[int], rng: np.random.Generator) -> Entrants:
    """Return the agency's firm; a captive agency also keeps others away."""
    return Entrants([members[0]], [Role.LEAD], others=int(rng.integers(2, 6)) if kind == "captive_agency" else 40)


def prices(
    kind: str,
    skill: str,
    how: tuple[str, str, float],
    control: float,
    price: np.ndarray,
    role: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the prices of one lot: the agency's firm knows where the benchmark will be, or need not care."""
    price = price.copy()
    lead = int(np.flatnonzero(role == Role.LEAD)[0])
    others = np.delete(price, lead)
    if kind == "rival_disqualification":
        price[lead] = control * (1 - rng.uniform(0.005, 0.03))
    elif len(others):
        price[lead] = told(how, others, skill, rng)
    return np.round(np.minimum(price, control), 2)


def thrown_out(
    skill: str, rank: np.ndarray, role: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, list[str]]:
    """Return which bids of a lot are rejected so that the lead wins, and the reasons that are written down."""
    lead = int(np.flatnonzero(role == Role.LEAD)[0])
    ahead = np.flatnonzero((rank < rank[lead]) & (role == Role.HONEST))
    words = {
        "clumsy": ("non_responsive",),
        "practised": ("non_responsive", "signature"),
        "careful": ("non_responsive", "qualification", "signature", "bond"),
    }[skill]
    return ahead, [str(rng.choice(words)) for _ in ahead]
