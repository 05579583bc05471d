"""Committees in the worlds of ``tests.worlds``: who was drawn, who came, and what they marked."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from features.tables.contract import SOURCE_TABLES
from features.tables.source import SourceTables
from tests.worlds import World

SENSITIVE = ("social_insurance", "person_relation")


def source_of(world: World, *, door_open: bool = True, reverse: bool = False) -> SourceTables:
    """Return a world as a run sees it that may read the sensitive columns, or may not; its rows in either order."""
    frames = {name: (frame.reverse() if reverse else frame).lazy() for name, frame in world.frames().items()}
    shown = {name: frame.select(SOURCE_TABLES[name].public_columns()) for name, frame in frames.items()}
    return SourceTables(shown, {name: frames[name] for name in SENSITIVE if name in frames} if door_open else {})


def add(world: World, table: str, **row: Any) -> None:
    """Add a row; its key is made up."""
    rows = world.rows[table]
    rows.append({SOURCE_TABLES[table].key(): f"{table}-{len(rows):04}", **row})


def opening_of(world: World, tender_id: str) -> dt.datetime:
    return next(row["opening_at"] for row in world.rows["tender"] if row["tender_id"] == tender_id)


def seat(world: World, lot_id: str, *people: str, **about: Any) -> None:
    """Draw people for the tender of a lot, a day before it opened: experts who came, if nothing is said."""
    for person in people:
        row = {
            "tender_id": f"N-{lot_id}",
            "person_id": person,
            "member_role": "expert",
            "draw_method": "random",
            "drawn_at": opening_of(world, f"N-{lot_id}") - dt.timedelta(days=1),
            "pool_size": 20,
            "attended": True,
        }
        add(world, "committee_draw", **{**row, "draw_id": f"D-{lot_id}-{person}", **about})


def mark(
    world: World,
    lot_id: str,
    marks: Mapping[str, Sequence[float | None]],
    *,
    factor: str = "F1",
    full: float = 100,
    tender_of: str | None = None,
    **about: Any,
) -> None:
    """Add what each person gave each bid of a lot, in the order of the bids; None is no mark."""
    bids = [row["bid_id"] for row in world.rows["bid"] if row["lot_id"] == lot_id]
    for person, given in marks.items():
        for bid_id, score in zip(bids, given, strict=True):
            if score is not None:
                row = {
                    "tender_id": f"N-{tender_of or lot_id}",
                    "lot_id": lot_id,
                    "bid_id": bid_id,
                    "draw_id": f"D-{tender_of or lot_id}-{person}",
                    "factor_code": factor,
                    "is_subjective": True,
                    "max_score": full,
                    "score": score,
                }
                add(world, "evaluation_score", **{**row, **about})


def rank(world: World, lot_id: str, *totals: float | None, ranks: Sequence[int] | None = None) -> None:
    """Give the bids of a lot their total scores, in the order of the bids, and their ranks."""
    bids = [row for row in world.rows["bid"] if row["lot_id"] == lot_id]
    for place, (bid, total) in enumerate(zip(bids, totals, strict=True)):
        bid.update(total_score=total, rank=ranks[place] if ranks else None)
