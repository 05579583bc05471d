"""Awards to live through: a block of the simulated city with everything before the contract left out."""

import datetime as dt
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from experiments.city.execution import execute, facts_of
from experiments.city.facts import AWARD_PLAN, TENDERING, Facts, Population, fact_schema, shaped
from experiments.city.people import Roster
from experiments.city.population import population

SIGNED = dt.datetime(2023, 3, 1, 10)  # noqa: DTZ001 - the city's facts know no zone
ITEMS = 10


@cache
def people() -> Population:
    """Return a small population."""
    return population(5, 100)


@cache
def roster() -> Roster:
    """Return its roster."""
    return Roster.of(people())


def block(count: int, **said: Any) -> Facts:
    """Return ``count`` like awards of works, 10 million CNY and 240 days each, signed in March 2023.

    Args:
        count: of awards; each is a project with a lot and a bill of ten items.
        said: columns of ``award_plan`` that differ, one value for all.
    """
    units = people().organisations
    firms = units.filter(pl.col("org_type") == "contractor")["org_no"].to_list()
    leaders = people().persons.filter(pl.col("role") == "pm", pl.col("home_org_no") == firms[0])["person_no"]
    like: dict[str, Any] = {
        "project_type": "tender",
        "object_type": "works",
        "sector": "housing",
        "region_code": "511302",
        "admin_level": "county",
        "name": "甲工程",
        "owner_org_no": units.filter(pl.col("org_type") == "owner")["org_no"][0],
        "winner_org_no": firms[0],
        "real_builder_org_no": firms[0],
        "supervisor_org_no": units.filter(pl.col("org_type") == "supervisor")["org_no"][0],
        "pm_person_no": leaders[0],
        "award_amount": 10_000_000.0,
        "control_price": 11_000_000.0,
        "true_cost": 9_000_000.0,
        "awarded_at": SIGNED - dt.timedelta(days=20),
        "contract_due_at": SIGNED,
        "planned_start_date": SIGNED.date() + dt.timedelta(days=20),
        "planned_duration_days": 240,
        "longitude": 106.1,
        "latitude": 30.8,
        "scheme": None,
    }
    numbers = pl.DataFrame({"no": np.arange(count)})
    prefixes = {
        "plan_id": "P",
        "project_id": "NC",
        "project_code": "XM",
        "tender_id": "ZB",
        "lot_id": "BD",
        "bid_id": "TB",
    }
    texts = {name: pl.concat_str(pl.lit(prefix), "no") for name, prefix in prefixes.items()}
    plan = numbers.select(**texts, **{k: pl.lit(v) for k, v in (like | said).items()})
    facts = {table: pl.DataFrame(schema=fact_schema(table)) for table in TENDERING}
    before = pl.lit(SIGNED - dt.timedelta(days=60))
    facts["project"] = shaped("project", plan.select("project_id", "project_code", updated_at=before))
    bill = plan.select("lot_id", "bid_id", item=pl.int_ranges(0, pl.lit(ITEMS))).explode("item")
    item = pl.concat_str("lot_id", pl.lit("-"), "item")
    price = like["award_amount"] / ITEMS / 1000
    dear = pl.when(pl.col("item") < 3).then(1.4 * price).otherwise(price)
    facts["boq_item"] = shaped(
        "boq_item",
        bill.select("lot_id", boq_item_id=item, tender_quantity=pl.lit(1000.0), control_unit_price=pl.lit(1.1 * price)),
    )
    facts["bid_item_price"] = shaped("bid_item_price", bill.select("bid_id", boq_item_id=item, unit_price=dear))
    facts["award_plan"] = plan.select(
        (pl.col(k) if k in plan.columns else pl.lit(None)).cast(t).alias(k) for k, t in AWARD_PLAN.items()
    )
    return facts


def lived(count: int, *, attendance_days: int = 0, seed_block: int = 0, **said: Any) -> Facts:
    """Return what becomes of :func:`block`, by table (or source/feed)."""
    found: dict[str, list[pl.DataFrame]] = {}
    for name, frame in execute(block(count, **said), people(), roster(), seed_block, attendance_days):
        found.setdefault(name, []).append(facts_of(name, frame))
    return {name: pl.concat(frames) for name, frames in found.items()}


def other_firm() -> int:
    """Return org_no of a contractor that is not the winner of :func:`block`."""
    units = people().organisations
    return units.filter(pl.col("org_type") == "contractor")["org_no"].to_list()[1]
