"""A block of awards lived through: everything that happens between a contract and its settlement."""

import zlib
from collections.abc import Iterator

import numpy as np
import polars as pl

from experiments.city import changes, completion, crews, measuring, money, progress, site, works
from experiments.city.facts import Facts, Population, fact_schema, shaped
from experiments.city.people import Roster, project_codes
from experiments.city.records import restamped

_EXTRA = {
    "contract": {"doc_consistency": pl.Float64, "deviation_items": pl.List(pl.String)},
}
"""Derived columns that the platform's own feed carries all the same."""


def chance(seed: int, block: int, name: str) -> np.random.Generator:
    """Return the source of chance of one maker in one block, independent of what other makers draw."""
    return np.random.default_rng([seed, block, zlib.crc32(name.encode())])


def execute(
    facts: Facts, population: Population, roster: Roster, block: int, attendance_days: int
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the facts of a block's contracts, table by table, the referred before those that refer.

    Args:
        facts: of the block, with ``award_plan``.
        population: who lives in the city.
        roster: of the population.
        block: number of the block, from 0.
        attendance_days: how many days before the end of the city punches are made for.

    Yields:
        Name and rows; the name is a table, or source/feed where one feed only delivers these rows.
    """

    def dice(name: str) -> np.random.Generator:
        return chance(population.seed, block, name)

    units = population.organisations
    labour = units.filter(pl.col("org_type") == "labour")["org_no"]
    consultants = units.filter(pl.col("org_type") == "cost_consultant")["org_no"]

    codes = project_codes(facts["project"])
    plan = facts["award_plan"].drop("project_code").join(codes, on="project_id", how="left", maintain_order="left")
    course = works.sign(plan, facts["emergency_project"], dice("sign"))
    contract = works.contracts(course, units["account"], dice("contract"))
    extra = works.supplements(course, contract, dice("supplement"))
    yield "contract", pl.concat([contract, extra], how="diagonal_relaxed")
    yield from _completed(facts, course, dice("completed"))
    yield "P00/project", _stages(facts["project"], course, dice("stages"))

    coded = course.filter(pl.col("project_code").is_not_null())
    yield "approval", site.approvals(coded, population.departments, dice("permit"))
    changed = changes.contract_changes(course, dice("change"))
    yield "contract_change", changed
    yield "subcontract", changes.subcontracts(course, labour, dice("subcontract"))

    people = crews.crew(course, roster, dice("crew"))
    yield "key_personnel", crews.key_personnel(people, dice("key_personnel"))
    yield "personnel_replacement", crews.replacements(people, dice("replacement"))
    yield "leave_record", crews.leaves(people, dice("leave"))

    monthly = progress.months(course, dice("months"))
    yield "progress_report", progress.progress_reports(monthly, dice("progress"))
    measured = measuring.measurements(monthly, facts["boq_item"], facts["bid_item_price"], changed, dice("measurement"))
    yield "quantity_measurement", measured
    settled = completion.settlements(course, changed, consultants, dice("settlement"))
    yield "settlement_audit", settled
    yield "payment", money.payments(course, monthly, settled, units, dice("payment"))
    accounts = money.wage_accounts(coded, dice("wage_account"))
    yield "wage_account", accounts
    wages = money.wage_payments(monthly.filter(pl.col("project_code").is_not_null()), dice("wage_payment"))
    yield "wage_payment", wages.join(accounts, on="wage_account_id", how="semi", maintain_order="left")

    yield "S02/site_project", site.starts(coded, dice("starts"))
    yield "suspension", site.suspensions(coded, dice("suspension"))
    inspected = site.inspections(coded, roster, population.departments, dice("inspection"))
    yield "site_inspection", inspected
    yield "sanction", site.sanctions(inspected, course, dice("sanction"))
    yield "sanction", completion.breaches(coded, population.departments, dice("breach"))
    yield "acceptance", completion.acceptances(coded, dice("acceptance"))
    devices, camera_days = site.cameras(coded, dice("camera"))
    yield "video_device", devices
    yield "video_day", camera_days
    yield "worker_day", site.worker_days(coded, dice("worker_day"))
    for punches in crews.attendance(people, attendance_days, dice("attendance")):
        yield "attendance", punches


def facts_of(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return rows of execution in the shape of their table, with ``source_code`` where they say who delivers them."""
    table = name.split("/")[-1].replace("site_project", "project")
    schema = pl.Schema({**fact_schema(table), **_EXTRA.get(table, {})})
    if "source_code" in frame.columns:
        schema = pl.Schema({**schema, "source_code": pl.String})
    return shaped(table, frame, schema)


def _completed(facts: Facts, course: pl.DataFrame, rng: np.random.Generator) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield later versions of procurement orders and emergency projects, which now have a contract."""
    signed = course.select("contract_id", "signed_at", "order_id", "emergency_id", works_from="start_date")
    for table, key in (("procurement_order", "order_id"), ("emergency_project", "emergency_id")):
        last = facts[table].unique(key, keep="last", maintain_order=True).drop("contract_id", "updated_at")
        with_contract = signed.unique(key, keep="first", maintain_order=True).drop_nulls(key)
        rows = last.join(with_contract.select(key, "contract_id", "signed_at"), on=key, maintain_order="left")
        before = facts[table].group_by(key, maintain_order=True).agg(written=pl.col("updated_at").max())
        rows = rows.join(before, on=key, maintain_order="left")
        yield table, restamped(rows, rng, after=["signed_at", "written"], hours=(4, 80)).drop("signed_at", "written")


def _stages(projects: pl.DataFrame, course: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return later versions of projects as the platform keeps their status: under construction, completed."""
    last = projects.unique("project_id", keep="last", maintain_order=True)
    days = course.group_by("project_id", maintain_order=True).agg(
        under_construction=pl.col("start_date").min(), completed=pl.col("finish_date").max()
    )
    parts: list[pl.DataFrame] = []
    for status in ("under_construction", "completed"):
        reached = days.filter(pl.col(status) < pl.lit(works.CITY_END.date())).select("project_id", day=status)
        rows = last.join(reached, on="project_id", maintain_order="left").with_columns(
            status=pl.lit(status), written="updated_at"
        )
        hours = (61.0, 90.0) if status == "under_construction" else (91.0, 150.0)
        parts.append(restamped(rows, rng, after=["day", "written"], hours=hours).drop("day", "written"))
    return pl.concat(parts)
