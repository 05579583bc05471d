"""The city at work: block after block of projects, in the order of time, from the approval to the award.

Every block has its own random streams, one a topic, so that a change in one topic leaves the others as they are. What
carries over is small: how busy each firm is and whose turn it is in each group.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from experiments.city import (
    bidding,
    boq,
    conduct,
    documents,
    notices,
    orders,
    outcomes,
    panels,
    paperwork,
    planning,
    ranking,
    submissions,
    truth,
)
from experiments.city.defaults import BLOCK_PROJECTS
from experiments.city.facts import Facts, Population
from experiments.city.layout import layout
from experiments.city.pieces import pieces as pieces_of
from experiments.city.tendering import tenders as tenders_of

HALF_LIFE_OF_WORK = 0.75  # years


def blocks(population: Population, seed: int, projects: int) -> Iterator[Facts]:
    """Yield the planning and tendering facts of the city, block by block in the order of time.

    Every block has the tables of ``facts.TENDERING``, ``award_plan`` and ``truth_lots``.
    """
    market = planning.market(layout(projects), population)
    turns = np.zeros(len(population.groups), dtype=np.int64)
    backlog = np.zeros(len(population.organisations))
    for number, first in enumerate(range(0, projects, BLOCK_PROJECTS)):
        count = min(BLOCK_PROJECTS, projects - first)
        yield _block(market, (seed, number), first, count, turns, backlog)


def _block(
    m: planning.Market, key: tuple[int, int], first: int, count: int, turns: np.ndarray, backlog: np.ndarray
) -> Facts:
    """Return one block; ``turns`` and ``backlog`` are carried forward in place."""

    def rng(topic: int) -> np.random.Generator:
        return np.random.default_rng([key[0], 10 + topic, key[1]])

    projects = planning.projects(m, first, count, rng(0))
    projects = projects.with_columns(pl.Series("owner_kind", m.org["owner_kind"][projects["owner_no"].to_numpy()]))
    pieces = pieces_of(projects, rng(1))
    t = tenders_of(m, projects, pieces, rng(2))
    lots = bidding.lots_of(m, projects, pieces, t, turns, rng(3))
    bids = bidding.enter(m, lots, conduct.entrants(m, lots, rng(4)), backlog, rng(5))
    bids.price = bidding.honest_prices(lots, bids, rng(6))
    conduct.act(m, lots, t, bids, rng(7))
    seats = panels.draw(m, t, lots, bids, rng(8))
    marks = panels.mark(m, t, lots, bids, seats, rng(9))
    ranking.rank(t, lots, bids, marks, rng(10))
    given = orders.awards(m, projects, pieces, t, lots, bids, rng(11))
    _carry(m, lots, given, turns, backlog, count)

    tender_id, lot_id = notices.ids(projects, t, lots)
    submitted = submissions.order_bids(t, lots, bids, rng(12))
    bid_id = submissions.bid_ids(lot_id, bids, submitted)
    people = submissions.bid_people(m, lots, bids, rng(13))
    made = (tender_id, lot_id, bid_id, submitted)
    ids = (tender_id, lot_id, bid_id)
    decided = np.bincount(bids.lot[bids.status == "awarded"], minlength=len(lots)) > 0
    empty = np.ones(len(t), bool)
    empty[lots.tender[decided]] = False
    tender_of_piece = np.full(len(pieces), -1)
    tender_of_piece[lots.piece] = lots.tender
    return {
        "project": paperwork.project_facts(projects, _first_award(projects, pieces, given), rng(14)),
        "approval": paperwork.approval_facts(projects, t, rng(15)),
        "budget_allocation": paperwork.budget_facts(projects, rng(16)),
        "tender": notices.tender_facts(projects, t, lots, empty, rng(17)),
        "lot": notices.lot_facts(projects, t, lots, ~decided, rng(18)),
        "tender_clause": notices.clause_facts(projects, t, lots),
        "doc_download": submissions.download_facts(m, t, lots, bids, tender_id, rng(19)),
        "tender_doc_fingerprint": documents.tender_file_facts(m, t, tender_id, projects["owner_no"].to_numpy()[t.row]),
        "bid": submissions.bid_facts(m, t, lots, bids, made, people, rng(20)),
        "bid_document_fingerprint": documents.fingerprint_facts(m, t, lots, bids, bid_id, submitted, rng(21)),
        "bid_doc_pair": documents.pair_facts(t, lots, bids, lot_id, bid_id, rng(22)),
        **boq.boq_facts(t, lots, bids, lot_id, bid_id, rng(23)),
        "bond_payment": submissions.bond_facts(m, t, lots, bids, made, rng(24)),
        "award": outcomes.award_facts(t, lots, bids, lot_id, bid_id),
        "committee_draw": outcomes.seat_facts(m, t, lots, bids, seats, tender_id),
        "evaluation_score": outcomes.mark_facts(t, lots, bids, seats, marks, ids),
        "complaint": outcomes.complaint_facts(m, projects, t, lots, bids, tender_id, rng(25)),
        "procurement_order": orders.order_facts(projects, pieces, given, t, (tender_id, tender_of_piece), rng(26)),
        "emergency_project": orders.emergency_facts(projects, pieces, given, rng(27)),
        "award_plan": orders.plan_facts(m, projects, pieces, t, lots, bids, given, ids, people, rng(28)),
        "truth_lots": truth.truth_lots(m, projects, pieces, t, lots, bids, given, lot_id, rng(29)),
    }


def _carry(
    m: planning.Market, lots: bidding.Lots, given: orders.Awards, turns: np.ndarray, backlog: np.ndarray, count: int
) -> None:
    """Add what was won to the firms' work in hand, let old work run off, and pass the turns on."""
    years = 3 * count / m.population.projects
    backlog *= 0.5 ** (years / HALF_LIFE_OF_WORK)
    won = given.org >= 0
    np.add.at(backlog, given.org[won], given.amount[won])
    np.add.at(turns, lots.group[lots.group >= 0], 1)


def _first_award(projects: pl.DataFrame, pieces: pl.DataFrame, given: orders.Awards) -> np.ndarray:
    """Return when the first contract of each project was decided, NaT where none was."""
    first = np.full(len(projects), np.datetime64("NaT"), dtype="datetime64[s]")
    row = pieces["row"].to_numpy()
    for place in np.argsort(given.moment, kind="stable")[::-1]:
        if given.org[place] >= 0:
            first[row[place]] = given.moment[place]
    return first
