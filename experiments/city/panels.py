"""Who evaluates and how they mark: draws from the pool with avoidance, declined seats, points by judgement.

Panels have five members, seven for large works, one of them the tenderer's (招标投标法 art. 37: experts are at least
two thirds). Experts of the lot's trade are drawn at random among those who are not tied to a bidder; a group's experts
come by luck that was helped.
"""

from dataclasses import dataclass

import numpy as np

from experiments.city.bidding import Bids, Lots
from experiments.city.planning import Market
from experiments.city.schemes import Role, experts
from experiments.city.tendering import Tenders

OBJECTIVE = (("F01", 0.6), ("F02", 0.4))
SUBJECTIVE = (("F11", 0.4), ("F12", 0.35), ("F13", 0.25))


@dataclass
class Panels:
    """Seats of a block as arrays, ordered by tender; those who did not come have no part in the marks."""

    tender: np.ndarray
    expert: np.ndarray  # number in the pool, -1 = owner's representative
    person: np.ndarray
    pool: np.ndarray
    designated: np.ndarray
    response: np.ndarray
    sits: np.ndarray
    chair: np.ndarray
    replaced_by: np.ndarray  # index of the seat that took its place, -1 = none

    def __len__(self) -> int:
        return len(self.tender)


@dataclass
class Marks:
    """Points by judgement and by count, one entry a bid, seat and factor."""

    bid: np.ndarray
    seat: np.ndarray
    factor: np.ndarray
    subjective: np.ndarray
    full: np.ndarray
    score: np.ndarray
    revised_from: np.ndarray  # NaN = never changed


def draw(m: Market, t: Tenders, lots: Lots, bids: Bids, rng: np.random.Generator) -> Panels:
    """Return the seats of all tenders that have a committee."""
    pool = m.population.experts
    specialty, person = pool["specialty"].to_numpy(), pool["person_no"].to_numpy()
    employer = pool["employer_org_no"].fill_null(-1).to_numpy()
    each = m.plan.experts
    lot_of = np.searchsorted(lots.tender, np.arange(len(t)))
    starts = np.searchsorted(bids.lot, np.arange(len(lots) + 1))
    groups = m.population.groups["expert_nos"]
    rows: list[tuple[int, int, int, int, bool, str, bool, bool, int]] = []
    for tender in range(len(t)):
        if t.method[tender] == "single_source":
            continue
        lot = int(lot_of[tender])
        owner, ward, kind = int(lots.owner[lot]), int(lots.ward[lot]), lots.kind[lot]
        bidders = bids.org[starts[lot] : starts[lot + 1]]
        base = ward * each
        fits = base + np.flatnonzero(specialty[base : base + each] == lots.trade[lot])
        if len(fits) < 8:
            fits = np.arange(base, base + each)
        tied = groups[int(lots.group[lot])].to_list() if lots.group[lot] >= 0 else []
        placed = experts.seats(kind, tied, rng)
        free = fits[~np.isin(employer[fits], bidders) & ~np.isin(fits, placed)]
        seats = (7 if t.control[tender] > 8e7 else 5) - 1 if t.works[tender] else (4 if t.control[tender] > 2e6 else 2)
        seats = min(seats, len(free) + len(placed))
        declined = int(rng.binomial(seats, 0.06))
        picked = rng.choice(free, min(len(free), seats - len(placed[:seats]) + declined), replace=False)
        chosen = [*placed[:seats], *(int(x) for x in picked)]
        forced = kind == "standing_panel" and lots.skill[lot] == "clumsy"
        first = len(rows)
        size = len(free) + len(placed)
        gone = chosen[seats:]
        for order, expert in enumerate(chosen[:seats]):
            rows.append(
                (
                    tender,
                    expert,
                    int(person[expert]),
                    size,
                    forced and expert in placed,
                    "accepted",
                    True,
                    order == 0,
                    -1,
                )
            )
        for order, expert in enumerate(gone):
            answer = "declined" if rng.random() < 0.6 else "no_answer"
            rows.append(
                (tender, expert, int(person[expert]), size, False, answer, False, False, first + seats - 1 - order)
            )
        staff = int(m.org["staff_person_no"][owner]) + int(rng.random() < 0.35)
        rows.append((tender, -1, staff, size, False, "accepted", True, False, -1))
    kinds = (int, int, int, int, bool, str, bool, bool, int)
    return Panels(*(np.array([row[place] for row in rows], dtype=kind) for place, kind in enumerate(kinds)))


def mark(m: Market, t: Tenders, lots: Lots, bids: Bids, panels: Panels, rng: np.random.Generator) -> Marks:
    """Return what each member gives each bid of the lots that are judged by points."""
    scored = lots.evaluation == "comprehensive"
    judged = np.flatnonzero(scored[bids.lot])
    sitting = np.flatnonzero(panels.sits)
    first = np.searchsorted(panels.tender[sitting], np.arange(len(t) + 1))
    many = np.diff(first)
    tender = lots.tender[bids.lot[judged]]
    pair_bid = np.repeat(judged, many[tender])
    offset = np.arange(len(pair_bid)) - np.repeat(np.cumsum(many[tender]) - many[tender], many[tender])
    seat = sitting[first[lots.tender[bids.lot[pair_bid]]] + offset]
    expert = panels.expert[seat]
    severity = np.where(expert >= 0, m.population.experts["severity"].to_numpy()[expert], 0.0)
    severity = severity + _strict(m, lots, bids, pair_bid, expert)
    lift = _lift(m, lots, bids, pair_bid, seat, expert)
    factors = [*SUBJECTIVE, *OBJECTIVE]
    count = len(factors)
    weight_s, weight_p = t.subjective_weight[lots.tender[bids.lot]], t.price_weight[lots.tender[bids.lot]]
    rest = 1 - weight_p - weight_s
    full = np.column_stack(
        [weight_s[pair_bid] * 100 * share for _, share in SUBJECTIVE]
        + [rest[pair_bid] * 100 * share for _, share in OBJECTIVE]
    )
    taste = rng.normal(0, 0.035, (len(pair_bid), len(SUBJECTIVE)))
    subjective = np.clip(
        0.55 + 0.4 * bids.quality[pair_bid, None] + severity[:, None] + lift[:, None] + taste, 0.05, 1.0
    )
    record = np.clip(bids.quality + 0.1, 0, 1)[pair_bid]
    objective = np.column_stack([np.round(record * 5) / 5, np.round(record * 4) / 4])
    share = np.column_stack([subjective, objective])
    score = np.round(full * share * 2, 0) / 2
    score = np.minimum(np.where(full < 4, np.round(full * share, 1), score), np.round(full, 2))
    revised = np.where(rng.random(score.shape) < 0.002, np.round(score * 0.95, 1), np.nan)
    revised[:, len(SUBJECTIVE) :] = np.nan
    late = (lift[:, None] > 0) & (np.arange(count) < 1) & (rng.random(score.shape) < 0.15)
    revised = np.where(late, np.round(score * 0.9, 1), revised)
    return Marks(
        bid=np.repeat(pair_bid, count),
        seat=np.repeat(seat, count),
        factor=np.tile(np.array([name for name, _ in factors]), len(pair_bid)),
        subjective=np.tile(np.arange(count) < len(SUBJECTIVE), len(pair_bid)),
        full=np.round(full, 2).ravel(),
        score=np.round(score, 2).ravel(),
        revised_from=revised.ravel(),
    )


def _strict(m: Market, lots: Lots, bids: Bids, bid: np.ndarray, expert: np.ndarray) -> np.ndarray:
    """Return how much lower the strict expert of a look-alike lot marks everybody."""
    mine = lots.kind[bids.lot[bid]] == "strict_expert"
    first = m.population.groups["expert_nos"].list.first().to_numpy()
    group = lots.group[bids.lot[bid]]
    return np.where(mine & (first[group] == expert), experts.STRICT, 0.0)


def _lift(m: Market, lots: Lots, bids: Bids, bid: np.ndarray, seat: np.ndarray, expert: np.ndarray) -> np.ndarray:
    """Return what bought members add for the lead, and take from the others."""
    lift = np.zeros(len(bid))
    groups = m.population.groups["expert_nos"]
    kinds = lots.kind[bids.lot[bid]]
    for kind in experts.KINDS:
        for lot in np.unique(bids.lot[bid[kinds == kind]]):
            here = np.flatnonzero(bids.lot[bid] == lot)
            gift = experts.bias(kind, str(lots.skill[lot]), expert[here], groups[int(lots.group[lot])].to_list())
            lead = bids.role[bid[here]] == Role.LEAD
            lift[here] = np.where(lead, gift, -0.35 * gift)
    return lift
