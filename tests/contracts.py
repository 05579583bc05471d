"""Rows of contracts, sites and money made by hand, and derived tables computed from them."""

import datetime as dt
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import polars as pl

from features.clock import SHANGHAI, parse_moment
from features.derive.derived import Derived
from features.tables.contract import SOURCE_TABLES
from features.tables.source import SourceTables

AS_OF = parse_moment("2026-06-30")
SIGNED = dt.datetime(2026, 1, 10, 10, tzinfo=SHANGHAI)
Rows = dict[str, list[dict[str, Any]]]


def at(day: str, hour: int = 10) -> dt.datetime:
    """Return an hour of a day in Shanghai."""
    return dt.datetime.combine(dt.date.fromisoformat(day), dt.time(hour), tzinfo=SHANGHAI)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def contract(contract_id: str = "C", **columns: Any) -> dict[str, Any]:
    """Return a works contract of project P and lot L between owner T and contractor W."""
    return {
        "contract_id": contract_id,
        "project_id": "P",
        "lot_id": "L",
        "contract_type": "works",
        "party_a_org_id": "T",
        "party_b_org_id": "W",
        "signed_at": SIGNED,
        "amount": 1_000_000,
        "status": "performing",
        **columns,
    }


def won_by(lead: str = "W", members: str | None = None, **bid: Any) -> Rows:
    """Return the winning bid B of lot L, of tender N opened in 2025, and its award."""
    return {
        "tender": [{"tender_id": "N", "project_id": "P", "method": "public_tender", "opening_at": at("2025-12-01")}],
        "lot": [{"lot_id": "L", "tender_id": "N", "project_id": "P"}],
        "bid": [
            {
                "bid_id": "B",
                "lot_id": "L",
                "tender_id": "N",
                "bidder_org_id": lead,
                "consortium_org_ids": members,
                "status": "awarded",
                **bid,
            }
        ],
        "award": [
            {
                "award_id": "A",
                "lot_id": "L",
                "bid_id": "B",
                "org_id": lead,
                "status": "awarded",
                "notice_issued_at": at("2025-12-20"),
            }
        ],
    }


def both(*worlds: Rows) -> Rows:
    """Return the rows of several worlds together."""
    return {name: [row for world in worlds for row in world.get(name, [])] for name in {n for w in worlds for n in w}}


def source(rows: Mapping[str, list[dict[str, Any]]]) -> SourceTables:
    """Return the rows as a computation sees them, through the door where columns are sensitive."""
    frames: dict[str, pl.LazyFrame] = {}
    opened: dict[str, pl.LazyFrame] = {}
    for name, given in rows.items():
        table = SOURCE_TABLES[name]
        frame = pl.LazyFrame(given, schema={column: said.dtype for column, said in table.columns().items()})
        frames[name] = frame.select(table.public_columns())
        if table.sensitive_columns():
            opened[name] = frame
    return SourceTables(frames, opened)


def derived(
    table: type[Derived], rows: Rows, as_of: dt.datetime = AS_OF, key: str = "contract_id", **params: Any
) -> dict[str, dict[str, Any]]:
    """Derive a table, check it against its schema, and return its rows by key.

    The order of the rows given must not matter: they are derived in both directions.
    """
    turned = {name: deepcopy(given)[::-1] for name, given in rows.items()}
    frame, other = (table.derive(source(one), as_of, **params).collect() for one in (rows, turned))
    assert frame.equals(other)
    checked = pl.DataFrame(table.validate(frame))
    found = {row[key]: row for row in checked.iter_rows(named=True)}
    assert len(found) == checked.height
    return found
