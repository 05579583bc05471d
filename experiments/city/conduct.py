"""What groups do in the bidding of their lots: whom they send, what they ask, at whose desk they write.

One pass over the lots that a group works on; everything else is decided by everybody alone (``bidding``).
"""

import numpy as np

from experiments.city import concerns
from experiments.city.bidding import Bids, Lots
from experiments.city.layout import TRADE_NO
from experiments.city.planning import Market
from experiments.city.schemes import Entrants, Role, agencies, execution, experts, likeness, rigging, tenderers
from experiments.city.tendering import Tenders


def entrants(m: Market, lots: Lots, rng: np.random.Generator) -> dict[int, Entrants]:
    """Return for the lots that groups work on whom they send and how many others still come."""
    sent: dict[int, Entrants] = {}
    members = m.population.groups["member_nos"]
    for lot in np.flatnonzero(lots.group >= 0):
        kind, skill, team = lots.kind[lot], lots.skill[lot], members[int(lots.group[lot])].to_list()
        if kind in rigging.KINDS:
            sent[int(lot)] = rigging.enter(kind, team, int(lots.turn[lot]), rng)
        elif kind in tenderers.KINDS:
            sent[int(lot)] = tenderers.enter(kind, skill, team, rng)
        elif kind in agencies.KINDS:
            sent[int(lot)] = agencies.enter(kind, team, rng)
        elif kind in experts.KINDS:
            sent[int(lot)] = experts.enter(team)
        elif kind in execution.KINDS or kind in execution.ALIKE:
            sent[int(lot)] = execution.enter(kind, team, int(lots.lno[lot]))
        elif (come := likeness.enter(kind, team)) is not None:
            sent[int(lot)] = come
    return sent


def act(m: Market, lots: Lots, t: Tenders, bids: Bids, rng: np.random.Generator) -> None:
    """Set the prices, desks and partners of bids on the lots that groups work on (in place)."""
    _pair_up(m, lots, t, bids, rng)
    starts = np.searchsorted(bids.lot, np.arange(len(lots) + 1))
    frame = m.population.groups
    members, leads, agents = frame["member_nos"], m.group["lead_no"], m.group["agency_no"]
    for lot in np.flatnonzero(lots.group >= 0):
        here = slice(int(starts[lot]), int(starts[lot + 1]))
        role, price = bids.role[here], bids.price[here]
        kind, skill, group = lots.kind[lot], lots.skill[lot], int(lots.group[lot])
        tender, rule, control = int(lots.tender[lot]), lots.evaluation[lot], float(lots.control[lot])
        how = (rule, t.rule[tender], float(t.k[tender]))
        if kind in rigging.KINDS:
            bids.price[here] = rigging.prices(kind, skill, how, control, price, role, rng)
            bids.hand[here] = rigging.hands(kind, skill, bids.org[here], role, int(leads[group]))
        elif kind in tenderers.KINDS:
            bids.price[here] = tenderers.prices(kind, skill, how, control, price, role, rng)
            if kind == "captive_invitation" and skill != "careful":
                bids.hand[here] = np.where(role == Role.COVER, leads[group], bids.org[here])
        elif kind in agencies.KINDS:
            bids.price[here] = agencies.prices(kind, skill, how, control, price, role, rng)
            if kind == "captive_agency" and skill != "careful":
                bids.hand[here] = np.where(role == Role.LEAD, agents[group], bids.org[here])
        elif kind in execution.KINDS or kind in execution.ALIKE:
            bids.price[here] = execution.prices(kind, how, control, price, role, rng)
            if kind == "licence_lending" and skill == "clumsy":
                bids.hand[here] = np.where(role == Role.LEAD, m.group["partner_no"][group], bids.org[here])
        elif kind == "repeat_winner":
            best = role == Role.KIN
            bids.price[here] = np.where(best, execution.prices("", how, control, price, _as_lead(role), rng), price)
            bids.quality[here] = np.where(best, 0.9, bids.quality[here])
        elif kind == "joint_venture":
            bids.partner[here] = np.where(role == Role.KIN, members[group][1], bids.partner[here])
        bids.hand[here] = likeness.desks(kind, bids.hand[here], group % 97, rng)
        good = 0.93 if kind in execution.KINDS or kind in execution.ALIKE or kind == "bought_withdrawal" else 0.78
        favoured = (rule == "comprehensive") & np.isin(role, [Role.LEAD, Role.RIVAL])
        bids.quality[here] = np.where(favoured, np.maximum(bids.quality[here], good), bids.quality[here])
        weak = (role == Role.COVER) | (role == Role.STEER)
        weak = weak | ((role == Role.HONEST) & (kind == "tailored_terms"))
        bids.quality[here] = np.where(weak, bids.quality[here] * 0.75, bids.quality[here])


def _pair_up(m: Market, lots: Lots, t: Tenders, bids: Bids, rng: np.random.Generator) -> None:
    """Let some bidders of large lots bring a designer or a second builder, as the documents allow."""
    allowed = t.consortia[lots.tender[bids.lot]]
    epc = lots.object_type[bids.lot] == "epc"
    joined = allowed & (bids.role == Role.HONEST) & (rng.random(len(bids)) < np.where(epc, 0.5, 0.1))
    trade = np.where(epc, TRADE_NO["design"], lots.trade[bids.lot])
    low, high = np.array(m.plan.starts)[trade], np.array(m.plan.starts)[trade + 1]
    other = bids.org // m.plan.size * m.plan.size + low + (rng.random(len(bids)) * (high - low)).astype(int)
    moment = lots.deadline[bids.lot]
    hand = bids.lot * len(m.org["hand"]) + concerns.hands(m.org, bids.org, moment)
    theirs = bids.lot * len(m.org["hand"]) + concerns.hands(m.org, other, moment)
    joined &= (other != bids.org) & ((theirs == hand) | ~np.isin(theirs, hand))  # nobody's sister beside a rival
    bringing = np.flatnonzero(joined)
    once = bringing[np.unique(theirs[bringing], return_index=True)[1]]
    joined = np.isin(np.arange(len(bids)), once)
    bids.partner = np.where(joined, other, bids.partner)


def _as_lead(role: np.ndarray) -> np.ndarray:
    return np.where(role == Role.KIN, Role.LEAD, role)
