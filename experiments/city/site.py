"""What is seen on a site: standstill, cameras, heads counted each day, and inspections."""

import numpy as np
import polars as pl

from experiments.city.facts import CITY_END
from experiments.city.people import INSPECTED_BY, NOBODY, Roster, department_of, someone
from experiments.city.progress import daily, worked
from experiments.city.records import Days, days_after, known, money, office_hours, restamped, sequence, stamped

_CAMERA_FROM = 2_000_000
"""CNY: sites below have no camera that reports."""
_COVERAGE = ("gate", "main_area", "tower_crane", "office")
_INSPECTIONS = ("quality", "safety", "random", "market_behaviour", "wage", "joint")
_INSPECTED = (0.34, 0.34, 0.14, 0.1, 0.05, 0.03)
_LOOKS_FOR_BUILDER = {
    "random": 0.5,
    "market_behaviour": 0.95,
    "joint": 0.9,
    "quality": 0.15,
    "safety": 0.15,
    "wage": 0.3,
}
"""How often an inspection of a kind writes down who builds."""


def approvals(course: pl.DataFrame, departments: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return the permits between contract and start, rows of approval: drawings, quality, safety, construction."""
    kinds = ("drawing_review", "quality_supervision", "safety_measures", "construction_permit")
    parts: list[pl.DataFrame] = []
    site = course.filter("site")
    n = len(site)
    start = site["start_date"].to_numpy().astype("datetime64[D]")
    without = rng.random(n) < np.where(site["project_type"].to_numpy() == "emergency", 0.6, 0.03)
    for place, kind in enumerate(kinds):
        ahead = days_after(start, -18, -1, rng)
        approved = np.where(rng.random(n) < 0.05, days_after(start, 1, 40, rng), ahead)
        parts.append(
            site.select(
                "project_id",
                "lot_id",
                "contract_id",
                "region_code",
                approval_id="XK" + pl.col("contract_id") + f"{place}",
                approval_type=pl.lit(kind),
                doc_no=pl.lit("南建许〔") + pl.Series(approved).dt.year().cast(pl.String) + "〕" + pl.col("plan_id"),
                authority_dept_id=department_of(site, _inspecting(), departments),
                applied_at=pl.Series(office_hours(days_after(approved, -20, -3, rng), rng)),
                approved_at=pl.Series(office_hours(approved, rng)),
                approved_amount=pl.when(pl.lit(kind) == "construction_permit").then("amount"),
                status=pl.lit("approved"),
                source_code=pl.lit("S03"),
            ).filter(pl.Series(~without))
        )
    rows = known(pl.concat(parts), "approved_at")
    return stamped(rows, rng, after=["approved_at", "applied_at"], hours=(2, 90)).drop("region_code")


def _inspecting() -> pl.Expr:
    return pl.col("sector").replace_strict(INSPECTED_BY, default="housing")


def suspensions(course: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return rows of suspension with ``updated_at``; as reported, and again when the works resume."""
    stops = course.filter(pl.col("stop_from").is_not_null())
    first = stops["stop_from"].to_numpy().astype("datetime64[D]")
    rows = stops.select(
        "project_id",
        suspension_id="TG" + pl.col("contract_id"),
        from_date="stop_from",
        to_date="stop_to",
        reason="stop_reason",
        reported_at=pl.Series(office_hours(days_after(first, 0, 6, rng), rng)),
    )
    rows = known(rows, "reported_at", {"to_date": []})
    begun = stamped(rows.with_columns(to_date=pl.lit(None, pl.Date)), rng, after=["reported_at"], hours=(1, 20))
    over = rows.filter(pl.col("to_date").is_not_null())
    return pl.concat([begun, restamped(over, rng, after=["reported_at", "to_date"], hours=(21, 60))])


def starts(course: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return the days on which projects really start and finish (rows of project as S02 reports them)."""
    projects = course.filter("site").group_by("project_id", maintain_order=True)
    days = projects.agg(actual_start_date=pl.col("start_date").min(), actual_finish_date=pl.col("finish_date").max())
    days = known(days, "actual_start_date", {"actual_finish_date": []})
    begun = stamped(days.with_columns(actual_finish_date=pl.lit(None, pl.Date)), rng, after=["actual_start_date"])
    over = days.filter(pl.col("actual_finish_date").is_not_null())
    return pl.concat([begun, restamped(over, rng, after=["actual_start_date", "actual_finish_date"], hours=(61, 120))])


def cameras(course: pl.DataFrame, rng: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return rows of video_device and of video_day, both with ``updated_at``."""
    sites = course.filter(
        pl.col("main") & (pl.col("amount") >= _CAMERA_FROM) & (pl.col("start_date") < CITY_END.date())
    )
    count = 1 + (sites["amount"].to_numpy() > 30_000_000).astype(int) + (sites["amount"].to_numpy() > 100_000_000)
    sites = sites.with_columns(number=pl.int_ranges(0, pl.Series(count))).explode("number")
    n = len(sites)
    installed = days_after(sites["start_date"].to_numpy().astype("datetime64[D]"), 0, 15, rng)
    devices = sites.select(
        "project_id",
        "finish_date",
        "hidden",
        "shows",
        "stop_from",
        "stop_to",
        device_id="SX" + pl.col("contract_id") + "-" + pl.col("number").cast(pl.String),
        coverage=pl.col("number").replace_strict(dict(enumerate(_COVERAGE)), return_dtype=pl.String),
        start_date=pl.Series(installed).cast(pl.Date),
        bad=pl.Series(rng.random(n) < 0.06),
    ).filter(pl.col("start_date") < CITY_END.date())
    days = _camera_days(devices, rng)
    beat = days.group_by("device_id", maintain_order=True).agg(
        last_heartbeat_at=(pl.col("date").filter(pl.col("online_minutes") > 0).max().cast(pl.Datetime("us")))
        + pl.duration(hours=22)
    )
    last = devices.join(beat, on="device_id", how="left", maintain_order="left").select(
        "device_id",
        "project_id",
        "coverage",
        installed_at="start_date",
        removed_at=pl.when(pl.col("finish_date") < CITY_END.date()).then("finish_date"),
        last_heartbeat_at=pl.col("last_heartbeat_at"),
    )
    first = last.with_columns(removed_at=pl.lit(None, pl.Date), last_heartbeat_at=pl.lit(None, pl.Datetime("us")))
    first = stamped(first, rng, after=["installed_at"])
    last = restamped(last, rng, after=["installed_at", "removed_at", "last_heartbeat_at"], hours=(61, 90))
    return pl.concat([first, last]), days


def _camera_days(devices: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    place, day = daily(devices)
    n = len(place)
    chance = rng.random(n)
    bad = devices["bad"].to_numpy()[place]
    covered = (devices["hidden"].to_numpy() * devices["shows"].to_numpy())[place]
    online = np.where(chance < 0.9, rng.integers(1380, 1441, n), rng.integers(0, 1380, n))
    online = np.where(bad & (chance < 0.45), rng.integers(0, 400, n), online)
    hidden = rng.random(n) < 0.01 + 0.12 * covered
    obstructed = np.where(hidden, (online * rng.uniform(0.2, 0.9, n)).astype(int), 0)
    date = pl.Series(day).cast(pl.Date)
    device = devices["device_id"].gather(place)
    rows = pl.DataFrame({"device_id": device, "date": date, "online_minutes": online, "obstructed_minutes": obstructed})
    rows = rows.with_columns(video_day_id=pl.col("device_id") + pl.col("date").dt.strftime("-%Y%m%d"))
    return stamped(rows, rng, after=["date"], hours=(0.5, 5))


def worker_days(course: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return rows of worker_day with ``updated_at``: heads counted at the gate of each project.

    An honest contractor's own and registered subcontractors' people are nearly all of them; the people of a builder who
    works under another's licence are not, unless his papers were arranged.
    """
    sites = course.filter(pl.col("main") & (pl.col("start_date") < CITY_END.date()))
    place, day = daily(sites)
    n = len(place)
    start, finish = (sites[c].to_numpy().astype("datetime64[D]")[place] for c in ("start_date", "finish_date"))
    stop_from, stop_to = (
        sites[c].fill_null(CITY_END.date()).to_numpy().astype("datetime64[D]")[place] for c in ("stop_from", "stop_to")
    )
    share = worked(day, start, finish, stop_from, stop_to)
    busy = 0.35 + 2.6 * share * (1 - share)
    wages = sites["amount"].to_numpy() * sites["labour_cost_ratio"].to_numpy()
    duration = np.maximum((sites["finish_date"] - sites["start_date"]).dt.total_days().to_numpy(), 10)
    crew = np.clip(wages / duration / 280.0, 3, 600)[place]
    registered = np.maximum(np.round(crew * (0.7 + busy * 0.6)), 2).astype(np.int64)
    going = _goes_on(day, stop_from, stop_to, rng)
    present = np.minimum(np.round(crew * busy * going * rng.normal(1.0, 0.08, n).clip(0.6, 1.3)), registered)
    present = np.maximum(present, 0).astype(np.int64)
    hidden = (sites["hidden"].to_numpy() * sites["shows"].to_numpy())[place]
    own_share = np.clip(rng.normal(0.965, 0.02, n) - 0.75 * hidden, 0.05, 1.0)
    rows = sites.select("project_id", "contract_id")[place].select(
        "project_id",
        date=pl.Series(day).cast(pl.Date),
        workers_registered=pl.Series(registered),
        workers_present=pl.Series(present),
        workers_of_contractor=pl.Series(np.round(registered * own_share).astype(np.int64)),
        source_code=pl.lit("S10"),
    )
    rows = rows.with_columns(worker_day_id=pl.col("project_id") + pl.col("date").dt.strftime("-%Y%m%d"))
    return stamped(rows, rng, after=["date"], hours=(0.5, 8))


def _goes_on(day: Days, stop_from: Days, stop_to: Days, rng: np.random.Generator) -> np.ndarray:
    """Return the share of the crew at work: little on Sundays, at Spring Festival, in rain and standstill."""
    month_day = day.astype("datetime64[D]") - day.astype("datetime64[M]").astype("datetime64[D]")
    festival = (day.astype("datetime64[M]").astype(int) % 12 == 1) & (month_day.astype(int) < 12)
    sunday = (day.astype(np.int64) + 3) % 7 == 6
    stopped = (day >= stop_from) & (day < stop_to)
    rain = rng.random(len(day)) < 0.06
    return np.where(stopped, 0.05, np.where(festival, 0.1, np.where(rain, 0.4, np.where(sunday, 0.7, 1.0))))


def inspections(
    course: pl.DataFrame, roster: Roster, departments: pl.DataFrame, rng: np.random.Generator
) -> pl.DataFrame:
    """Return rows of site_inspection with ``updated_at`` and ``source_code``.

    Who looks for the builder finds the one who is there, if he does not take care to show the contractor's papers.
    """
    sites = course.filter(pl.col("site") & (pl.col("start_date") < CITY_END.date()))
    span = np.maximum((sites["finish_date"] - sites["start_date"]).dt.total_days().to_numpy(), 1)
    sites = sites.with_columns(number=pl.int_ranges(0, pl.Series(rng.poisson(span / 75 + 0.4)))).explode("number")
    sites = sites.drop_nulls("number")
    n = len(sites)
    span = np.maximum((sites["finish_date"] - sites["start_date"]).dt.total_days().to_numpy(), 1)
    day = sites["start_date"].to_numpy().astype("datetime64[D]") + (span * rng.random(n)).astype("timedelta64[D]")
    kind = rng.choice(_INSPECTIONS, n, p=_INSPECTED)
    writes = rng.random(n) < pl.Series(kind.astype(str)).replace_strict(_LOOKS_FOR_BUILDER).to_numpy()
    found = sites["hidden"].to_numpy() & (rng.random(n) < 0.15 + 0.8 * sites["shows"].to_numpy())
    winner, builder = (sites[c].to_numpy().astype(np.int64) for c in ("winner_org_no", "real_builder_org_no"))
    builder = np.where(writes, np.where(found, builder, winner), NOBODY)
    manager = np.where(found, roster.pick("pm", builder, rng), sites["pm_person_no"].fill_null(NOBODY).to_numpy())
    manager = np.where(writes, manager, NOBODY)
    issues = rng.poisson(2.2, n)
    serious = rng.binomial(issues, 0.06)
    rectified = days_after(day, 3, 20, rng)
    slow = rng.random(n) < 0.08
    rows = sites.select(
        "project_id",
        "contract_id",
        inspection_id=sequence(sites, "JC", "contract_id"),
        inspected_at=pl.Series(office_hours(day, rng)),
        dept_id=department_of(sites, _inspecting(), departments),
        inspection_type=pl.Series(kind.astype(str)),
        issue_count=pl.Series(issues),
        serious_issue_count=pl.Series(serious),
        actual_builder_org_no=someone(builder),
        actual_manager_person_no=someone(manager),
        rectify_due_at=pl.when(pl.Series(issues > 0)).then(pl.Series(office_hours(days_after(day, 15, 16, rng), rng))),
        rectified_at=pl.when(pl.Series((issues > 0) & ~slow)).then(pl.Series(office_hours(rectified, rng))),
        source_code="sector_source",
    )
    rows = known(rows, "inspected_at", {"rectified_at": []})
    return stamped(rows, rng, after=["inspected_at", "rectified_at"])


def sanctions(inspection: pl.DataFrame, course: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return rows of sanction with ``updated_at`` and ``source_code``: fines for what inspections found serious."""
    serious = inspection.filter((pl.col("serious_issue_count") > 0) & pl.Series(rng.random(len(inspection)) < 0.25))
    winners = course.select("contract_id", "winner_org_no", "sector_source")
    rows = serious.join(winners, on="contract_id", maintain_order="left")
    n = len(rows)
    day = days_after(rows["inspected_at"].to_numpy().astype("datetime64[D]"), 20, 90, rng)
    credit = rng.random(n) < 0.4
    source = np.where(rng.random(n) < 0.35, "S04", rows["sector_source"].to_numpy())
    rows = rows.select(
        sanction_id="CF" + pl.col("inspection_id"),
        org_no="winner_org_no",
        sanction_type=pl.Series(np.where(credit, "credit_deduction", "penalty")),
        reason_code=pl.when(pl.col("inspection_type") == "wage")
        .then(pl.lit("wage_arrears"))
        .otherwise(pl.lit("quality_safety")),
        authority_dept_id="dept_id",
        doc_no="南建罚〔" + pl.Series(day).dt.year().cast(pl.String) + "〕" + pl.col("inspection_id").str.tail(6),
        decided_at=pl.Series(day).cast(pl.Date),
        valid_from=pl.Series(day).cast(pl.Date),
        valid_to=pl.Series(day + np.timedelta64(365, "D")).cast(pl.Date),
        fine_amount=pl.when(pl.Series(~credit)).then(pl.Series(money(np.round(rng.uniform(5e3, 1e5, n), -2)))),
        source_code=pl.Series(source.astype(str)),
    )
    return stamped(known(rows, "decided_at"), rng, after=["decided_at"], hours=(10, 200))
