"""Who wins: rejected bids, points for the price, marks, ranks, and the winner who steps back.

Price points fall with the distance from the benchmark, twice as fast above it as below (the usual rule of provincial
model tender documents); with lowest prices the cheapest valid bid wins; a random draw is just that.
"""

import numpy as np

from experiments.city.bidding import Bids, Lots
from experiments.city.panels import Marks
from experiments.city.schemes import Role, agencies
from experiments.city.tendering import Tenders

REASONS = ("non_responsive", "qualification", "signature", "bond", "false_material")


def rank(t: Tenders, lots: Lots, bids: Bids, marks: Marks, rng: np.random.Generator) -> None:
    """Set status, reason and points of all bids (in place): a lot's winner is ``awarded``, the next two candidates."""
    count = len(lots)
    over = bids.price > lots.control[bids.lot]
    alone = np.bincount(bids.lot, minlength=count)[bids.lot] <= 3
    out = ~over & ~alone & (bids.role == Role.HONEST) & (rng.random(len(bids)) < 0.035)
    reason = np.where(
        over, "price_over_limit", np.where(out, np.array(REASONS)[rng.integers(0, len(REASONS), len(bids))], "")
    )
    sisters = (lots.kind[bids.lot] == "sister_firms") & (bids.role == Role.KIN)  # 实施条例 art. 34: void, both
    reason = np.where(sisters & ~over, "qualification", reason)
    valid = ~(over | out | sisters)
    points = _points(t, lots, bids, marks, valid, rng)
    order = _order(lots, bids, points["total"], valid)
    starts = np.searchsorted(bids.lot, np.arange(count + 1))
    for lot in np.flatnonzero(lots.kind == "rival_disqualification"):
        here = slice(int(starts[lot]), int(starts[lot + 1]))
        ahead, words = agencies.thrown_out(lots.skill[lot], order[here], bids.role[here], rng)
        for bid, word in zip(ahead + starts[lot], words, strict=True):
            valid[bid], reason[bid] = False, word
    order = _order(lots, bids, points["total"], valid)
    status = np.where(valid, "valid", "disqualified").astype(object)
    status[valid & (order <= 3)] = "candidate"
    status[valid & (order == 1)] = "awarded"
    first = np.flatnonzero(valid & (order == 1))
    sold = first[(lots.kind[bids.lot[first]] == "bought_withdrawal") & (bids.role[first] == Role.RIVAL)]
    honest = first[(rng.random(len(first)) < 0.004) & (bids.role[first] == Role.HONEST)]
    for bid in (*sold, *honest):
        second = np.flatnonzero((bids.lot == bids.lot[bid]) & (order == 2) & valid)
        if len(second):
            status[bid], status[second[0]] = "abandoned", "awarded"
    bids.status, bids.reason = status, reason.astype(object)
    bids.points = points | {"rank": np.where(valid, order, 0)}


def _points(
    t: Tenders, lots: Lots, bids: Bids, marks: Marks, valid: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return price points (of 100 or of the price's weight), marks, and their sum."""
    count, lot = len(lots), bids.lot
    tender = lots.tender[lot]
    price = np.where(valid, bids.price, np.nan)
    mean = _mean(price, lot, count)
    trimmed = _trimmed(bids.price, valid, lot, count)
    lowest = np.full(count, np.inf)
    np.minimum.at(lowest, lot[valid], bids.price[valid])
    rule = lots.evaluation[lot]
    base = np.where(t.rule[tender] == "trimmed_mean", trimmed[lot], mean[lot]) * t.k[tender]
    base = np.where(rule == "comprehensive", np.where(t.works[tender], mean[lot] * 0.985, lowest[lot]), base)
    base = np.where(rule == "lowest_evaluated", lowest[lot], base)
    base = np.where(base > 0, base, bids.price)  # nobody valid: no benchmark
    away = bids.price / base - 1
    share = np.clip(1 - np.where(away > 0, 1.0, 0.5) * np.abs(away) * np.where(rule == "comprehensive", 2.0, 1.0), 0, 1)
    share = np.where(rule == "random_draw", rng.random(len(bids)), share)
    weight = np.where(rule == "comprehensive", t.price_weight[tender], 1.0)
    marked = _marked(bids, marks)
    price_points = np.where(valid, share * weight * 100, 0.0)
    return {"price": np.round(price_points, 2), "marks": marked, "total": np.round(price_points + marked, 2)}


def _mean(price: np.ndarray, lot: np.ndarray, count: int) -> np.ndarray:
    good = ~np.isnan(price)
    total = np.bincount(lot[good], weights=price[good], minlength=count)
    return total / np.maximum(1, np.bincount(lot[good], minlength=count))


def _trimmed(price: np.ndarray, valid: np.ndarray, lot: np.ndarray, count: int) -> np.ndarray:
    """Return the mean without the highest and the lowest price, where five or more are valid."""
    many = np.bincount(lot[valid], minlength=count)
    high, low = np.full(count, -np.inf), np.full(count, np.inf)
    np.maximum.at(high, lot[valid], price[valid])
    np.minimum.at(low, lot[valid], price[valid])
    total = np.bincount(lot[valid], weights=price[valid], minlength=count)
    cut = many >= 5
    ends = np.add(high, low, where=cut, out=np.zeros(count))
    return (total - ends) / np.maximum(1, many - 2 * cut)


def _marked(bids: Bids, marks: Marks) -> np.ndarray:
    """Return the members' mean points of each bid; 0 where only the price counts."""
    total = np.bincount(marks.bid, weights=marks.score, minlength=len(bids))
    seats = np.bincount(marks.bid, minlength=len(bids)) / 5  # factors a seat
    return np.where(seats > 0, total / np.maximum(seats, 1), 0.0)


def _order(lots: Lots, bids: Bids, total: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return the place of each bid in its lot: by points, then by price; rejected ones come last."""
    best = np.where(np.isin(lots.evaluation[bids.lot], ["lowest_evaluated"]), -bids.price, total)
    order = np.lexsort((bids.price, -best, ~valid, bids.lot))
    place = np.empty(len(bids), dtype=np.int64)
    place[order] = np.arange(len(bids)) - np.searchsorted(bids.lot, bids.lot[order]) + 1
    return place
