"""Who bids and at what price: entry by distance, size, trade and backlog; honest bids from private costs.

Entry follows what bidder counts and distances show in practice (Krasnokutskaya and Seim, 2011; Jofre-Bonet and
Pesendorfer, 2003 for backlog). Prices depend on the rule that compares them:

- lowest price: the first-price equilibrium for uniform costs, cost plus the distance to the ceiling over the number of
  rivals (Krishna, Auction Theory, ch. 2);
- average benchmark and reasonable low price: the score rewards nearness to a mean nobody knows beforehand, so honest
  bidders aim at what they expect the others to expect and bunch (Decarolis, 2014; Conley and Decarolis, 2016);
- comprehensive: between the two, as the price carries part of the points.
"""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from experiments.city.concerns import hands
from experiments.city.layout import TRADES, WORKS
from experiments.city.planning import Market
from experiments.city.schemes import Entrants, Role
from experiments.city.tendering import Tenders


@dataclass
class Lots:
    """Lots of a block as arrays, one entry a lot; ``tender`` and ``row`` index tenders and projects."""

    tender: np.ndarray
    row: np.ndarray
    piece: np.ndarray
    lno: np.ndarray
    trade: np.ndarray
    object_type: np.ndarray
    estimate: np.ndarray
    control: np.ndarray
    true_cost: np.ndarray
    owner: np.ndarray
    ward: np.ndarray
    kind: np.ndarray  # "" where nobody's scheme works on this lot
    skill: np.ndarray
    honest: np.ndarray
    group: np.ndarray
    method: np.ndarray
    evaluation: np.ndarray
    turn: np.ndarray  # how often the lot's group has played before
    discount: np.ndarray  # what everybody expects the price to fall below the ceiling
    spread: np.ndarray  # how well they know it
    deadline: np.ndarray

    def __len__(self) -> int:
        return len(self.row)


@dataclass
class Bids:
    """Bids of a block as arrays, ordered by lot."""

    lot: np.ndarray
    org: np.ndarray
    role: np.ndarray  # schemes.Role
    cost: np.ndarray
    quality: np.ndarray
    price: np.ndarray
    partner: np.ndarray  # second member of a consortium, -1 = none
    hand: np.ndarray  # at whose desk the file was written: an org_no, or a shop (negative below -1)
    status: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=object))
    reason: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=object))
    points: dict[str, np.ndarray] = field(default_factory=dict)  # price, objective, subjective, total, rank

    def __len__(self) -> int:
        return len(self.lot)


def lots_of(
    m: Market, projects: pl.DataFrame, pieces: pl.DataFrame, t: Tenders, turns: np.ndarray, rng: np.random.Generator
) -> Lots:
    """Return the lots of tenders, with what the works would cost and what the market expects."""
    piece = np.flatnonzero((pieces["tno"] > 0).to_numpy())
    frame = pieces[piece.astype(np.uint32)]
    row, tno = frame["row"].to_numpy(), frame["tno"].to_numpy()
    tender = np.searchsorted(t.row * 10 + t.tno, row * 10 + tno)
    n = len(row)
    main = frame["main"].to_numpy()
    kind = np.where(main, projects["kind"].to_numpy()[row], "")
    group = np.where(main, projects["group_no"].to_numpy()[row], -1)
    object_type = frame["object_type"].to_numpy()
    estimate = frame["amount"].to_numpy()
    control = np.round(estimate * (t.control / t.estimate)[tender], 2)
    services = np.isin(object_type, ["design", "survey", "supervision", "services"])
    margin = np.clip(rng.normal(np.where(services, 0.22, 0.14), 0.05, n), 0.04, 0.4)
    discount = np.where(services, rng.gamma(3.0, 0.035, n), rng.gamma(2.4, 0.025, n))
    discount = np.where(kind == "steep_discount", 0.2, np.minimum(discount, margin * 0.85))
    base = np.select(
        [t.evaluation[tender] == "average_benchmark", t.evaluation[tender] == "reasonable_low_price"],
        [0.011, 0.012],
        0.02,
    )
    base = np.where(services, 0.035, base)
    spread = np.exp(rng.normal(np.log(base), 0.85, n))
    first = np.where(group >= 0, turns[group], 0)
    return Lots(
        tender=tender,
        row=row,
        piece=piece,
        lno=frame["lno"].to_numpy(),
        trade=frame["trade"].to_numpy(),
        object_type=object_type,
        estimate=estimate,
        control=control,
        true_cost=control * (1 - margin),
        owner=projects["owner_no"].to_numpy()[row],
        ward=projects["ward"].to_numpy()[row],
        kind=kind,
        skill=np.where(main, projects["skill"].to_numpy()[row], ""),
        honest=np.where(main, projects["honest"].to_numpy()[row], True).astype(bool),
        group=group,
        method=t.method[tender],
        evaluation=t.evaluation[tender],
        turn=first + _repeat(group),
        discount=discount,
        spread=np.where(kind == "benchmark_bunching", np.minimum(spread, 0.003), spread),
        deadline=t.time["deadline"][tender],
    )


def _repeat(group: np.ndarray) -> np.ndarray:
    """Return for each entry how often its value stood before it."""
    order = np.argsort(group, kind="stable")
    ranked = group[order]
    result = np.empty(len(group), dtype=np.int64)
    result[order] = np.arange(len(group)) - np.searchsorted(ranked, ranked)
    return result


def bidder_counts(lots: Lots, rng: np.random.Generator) -> np.ndarray:
    """Return how many firms would bid for each lot if nobody arranged anything."""
    n = len(lots)
    rules = ("average_benchmark", "reasonable_low_price", "random_draw")
    mean = np.select([lots.evaluation == rule for rule in rules], [7.0, 6.0, 14.0], 4.5)
    mean = mean * np.clip(0.85 + 0.12 * np.log(lots.estimate / 5e6), 0.5, 1.5)
    mean = np.where(np.isin(lots.trade, WORKS), mean, np.minimum(mean, 2.5))
    more = rng.negative_binomial(1.6, 1.6 / (1.6 + np.maximum(mean, 0.2)))
    count = 3 + more
    few = np.isin(lots.method, ["competitive_negotiation", "inquiry", "invited_tender"])
    count = np.where(few, 3 + (rng.random(n) < 0.3), count)
    count = np.where(lots.kind == "small_county", 3 + (rng.random(n) < 0.35), count)
    return np.where(lots.method == "single_source", 1, count)


def enter(m: Market, lots: Lots, forced: dict[int, Entrants], backlog: np.ndarray, rng: np.random.Generator) -> Bids:
    """Return who bids for each lot: those a group sends, and whom the lot attracts.

    ``forced`` names for some lots who comes with which role, and how many others may still come.
    """
    counts = np.minimum(bidder_counts(lots, rng), 40)
    nothing = np.zeros(0, dtype=np.int64)
    rows, orgs, roles = [nothing], [nothing], [nothing]
    for trades in (WORKS, *((n,) for n, t in enumerate(TRADES) if t.object_type and n not in WORKS)):
        here = np.flatnonzero(np.isin(lots.trade, trades))
        if not len(here):
            continue
        low, high = m.plan.slice_of(trades[0])[0], m.plan.slice_of(trades[-1])[1]
        order, pool = _wanting(m, lots, here, low, high, backlog, rng)
        for place, lot in enumerate(here):
            team = forced.get(int(lot))
            apart = [int(lots.owner[lot]), *(team.orgs if team else ())]
            ranked = _one_a_hand(m, pool[place][order[place]], apart, lots.deadline[lot])
            ranked = ranked[: int(counts[lot]) + 12]
            if team is None:
                chosen, role = ranked[: counts[lot]], np.zeros(counts[lot], dtype=np.int64)[: len(ranked)]
            else:
                others = ranked[: min(int(counts[lot]), team.others)]
                chosen = np.concatenate([np.array(team.orgs, dtype=np.int64), others])
                role = np.concatenate([np.array(team.roles, dtype=np.int64), np.full(len(others), Role.HONEST)])
            rows.append(np.full(len(chosen), lot))
            orgs.append(chosen)
            roles.append(role)
    lot, org, role = np.concatenate(rows), np.concatenate(orgs), np.concatenate(roles)
    by_lot = np.lexsort((rng.random(len(lot)), lot))
    lot, org, role = lot[by_lot], org[by_lot].astype(np.int64), role[by_lot]
    return Bids(
        lot=lot,
        org=org,
        role=role,
        cost=_costs(m, lots, lot, org, backlog, rng),
        quality=np.clip(m.org["quality"][org] + rng.normal(0, 0.07, len(org)), 0.05, 0.98),
        price=np.zeros(len(org)),
        partner=np.full(len(org), -1),
        hand=org.copy(),
    )


def _one_a_hand(m: Market, ranked: np.ndarray, apart: list[int], deadline: np.datetime64) -> np.ndarray:
    """Return of each concern the firm that wants a lot most; none of the owner's and of those who come anyway."""
    hand = hands(m.org, np.concatenate([apart, ranked]), np.array(deadline))
    first = np.sort(np.unique(hand, return_index=True)[1])
    return ranked[first[first >= len(apart)] - len(apart)]


def _wanting(
    m: Market,
    lots: Lots,
    here: np.ndarray,
    low: int,
    high: int,
    backlog: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each lot the firms of its ward in the order in which they want it; those that cannot come last."""
    pool = lots.ward[here, None] * m.plan.size + np.arange(low, high)[None, :]
    org = m.org
    fits = np.where(
        org["trade"][pool] == lots.trade[here, None],
        0.0,
        np.where(org["second"][pool] == lots.trade[here, None], -1.0, -60.0),
    )
    far = _kilometres(org, pool, lots.owner[here, None])
    load = np.log(org["capacity"][pool] / lots.estimate[here, None])
    strain = -1.2 * np.maximum(0, 0.3 - load) - 0.12 * np.maximum(0, load - 2.5)
    busy = -1.2 * np.minimum(2, backlog[pool] / org["capacity"][pool])
    taste = fits - far / 75 + strain + busy + 1.15 * org["activity"][pool] + rng.gumbel(0, 1, pool.shape)
    top = min(60, pool.shape[1])
    part = (
        np.argpartition(-taste, top - 1, axis=1)[:, :top]
        if pool.shape[1] > top
        else np.tile(np.arange(top), (len(here), 1))
    )
    inner = np.argsort(-np.take_along_axis(taste, part, axis=1), axis=1, kind="stable")
    return np.take_along_axis(part, inner, axis=1), pool


def _kilometres(org: dict[str, np.ndarray], pool: np.ndarray, owner: np.ndarray) -> np.ndarray:
    east = (org["longitude"][pool] - org["longitude"][owner]) * 95.5
    north = (org["latitude"][pool] - org["latitude"][owner]) * 111.2
    return np.hypot(east, north)


def _costs(
    m: Market, lots: Lots, lot: np.ndarray, org: np.ndarray, backlog: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    far = _kilometres(m.org, org, lots.owner[lot])
    busy = np.minimum(1, backlog[org] / m.org["capacity"][org])
    factor = m.org["cost_level"][org] * np.exp(rng.normal(0, 0.02, len(org))) * (1 + 0.0001 * far + 0.015 * busy)
    return lots.true_cost[lot] * factor


def honest_prices(lots: Lots, b: Bids, rng: np.random.Generator) -> np.ndarray:
    """Return what each bidder would ask if it decided alone."""
    control, cost = lots.control[b.lot], b.cost
    rivals = np.bincount(b.lot, minlength=len(lots))[b.lot]
    ceiling = control * 0.995
    lowest = cost + np.maximum(ceiling - cost, 0) / (0.55 * rivals + 1.0)
    expected = control * (1 - lots.discount[b.lot])
    aimed = expected * np.exp(rng.normal(0, 1, len(b)) * lots.spread[b.lot])
    average_cost = np.bincount(b.lot, weights=cost, minlength=len(lots))[b.lot] / rivals
    pulled = aimed * (1 + 0.25 * (cost / average_cost - 1))
    price = np.select(
        [
            lots.evaluation[b.lot] == "lowest_evaluated",
            np.isin(lots.evaluation[b.lot], ["average_benchmark", "reasonable_low_price"]),
        ],
        [lowest, aimed],
        pulled,
    )
    price = np.where(lots.evaluation[b.lot] == "random_draw", control * (1 - 0.01 * rng.random(len(b))), price)
    price = np.maximum(price, np.where(lots.evaluation[b.lot] == "lowest_evaluated", cost * 1.004, 0))
    price = np.where(price > control, control * (1 - np.abs(rng.normal(0, 0.004, len(b)))), price)
    price = np.where(rng.random(len(b)) < 0.004, control * rng.uniform(1.001, 1.03, len(b)), price)
    return np.round(price, 2)
