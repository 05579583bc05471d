"""How the works advance month by month, in truth and as reported."""

import numpy as np
import polars as pl

from experiments.city.facts import CITY_END
from experiments.city.records import END_DAY, Days, Numbers, days_after, money, office_hours, stamped


def curve(elapsed: Numbers) -> Numbers:
    """Return the share of the works done after a share of the time: slow, fast, slow."""
    t = np.clip(elapsed, 0.0, 1.0)
    return np.round(t * t * (3 - 2 * t) * 0.7 + 0.3 * t, 4)


def worked(day: Days, start: Days, finish: Days, stop_from: Days, stop_to: Days) -> Numbers:
    """Return the share of the working time gone by a day, standstill not counted."""
    idle = np.clip((stop_to - stop_from).astype(float), 0.0, None)
    idle_so_far = np.clip((np.minimum(day, stop_to) - stop_from).astype(float), 0.0, idle)
    total = np.maximum((finish - start).astype(float) - idle, 1.0)
    return np.clip(((day - start).astype(float) - idle_so_far) / total, 0.0, 1.0)


def months(course: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return one row a site contract and month under construction that ended before the end of the city.

    Columns besides some of the course: period (YYYY-MM), closed_on (end of the month or of the works), number (from
    0), last (the works are done), planned_pct, true_pct, reported_pct and true_step, reported_step (growth since the
    month before).
    """
    site = course.filter("site")
    finish = pl.min_horizontal("finish_date", pl.lit(CITY_END.date()) - pl.duration(days=1))
    rows = site.filter(pl.col("start_date") < CITY_END.date()).select(
        "contract_id",
        "project_id",
        "project_code",
        "lot_id",
        "bid_id",
        "sector_source",
        "scheme",
        "shows",
        "intensity",
        "look_alike",
        "hidden",
        "amount",
        "start_date",
        "finish_date",
        "planned_finish_date",
        "stop_from",
        "stop_to",
        "delay_reason",
        "labour_cost_ratio",
        "main",
        month=pl.date_ranges(pl.col("start_date").dt.month_start(), finish.dt.month_start(), "1mo"),
    )
    rows = rows.explode("month").drop_nulls("month")
    rows = rows.with_columns(
        closed_on=pl.min_horizontal(pl.col("month").dt.month_end(), "finish_date"),
        number=pl.int_range(pl.len()).over("contract_id"),
        period=pl.col("month").dt.strftime("%Y-%m"),
    ).with_columns(last=pl.col("closed_on") == pl.col("finish_date"))
    rows = rows.filter(pl.col("closed_on") < CITY_END.date())
    start, planned, finish_day = (_day(rows, c) for c in ("start_date", "planned_finish_date", "finish_date"))
    stop_from, stop_to = _day(rows, "stop_from"), _day(rows, "stop_to")
    closed = _day(rows, "closed_on")
    plan = curve(worked(closed + np.timedelta64(1, "D"), start, planned, planned, planned))
    true = curve(worked(closed, start, finish_day, stop_from, stop_to))
    true = np.where(rows["last"].to_numpy(), 1.0, true)
    # Who wants money early reports more than there is; the report meets the truth at the end.
    inflated = rows["scheme"].is_in(["pay_ahead", "over_measurement"]).fill_null(value=False).to_numpy()
    lift = np.where(inflated, (0.12 + 0.3 * rows["intensity"].fill_null(0.0).to_numpy()) * 4 * true * (1 - true), 0.0)
    noise = rng.normal(0.0, 0.006, len(rows)) * (true < 1)
    reported = np.clip(true + lift + noise, 0.0, 1.0)
    rows = rows.with_columns(
        planned_pct=pl.Series(plan), true_pct=pl.Series(true), reported_pct=pl.Series(np.round(reported, 4))
    ).with_columns(reported_pct=pl.col("reported_pct").cum_max().over("contract_id"))
    return rows.with_columns(
        (pl.col(f"{name}_pct") - pl.col(f"{name}_pct").shift(1, fill_value=0.0).over("contract_id")).alias(
            f"{name}_step"
        )
        for name in ("true", "reported")
    )


def _day(rows: pl.DataFrame, column: str) -> Days:
    """Return days, those that never come as the end of the city."""
    return rows[column].fill_null(CITY_END.date()).to_numpy().astype("datetime64[D]")


def progress_reports(monthly: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return rows of progress_report with ``updated_at`` and ``source_code`` (S02, or S09 for roads and water)."""
    n = len(monthly)
    closed = monthly["closed_on"].to_numpy().astype("datetime64[D]")
    late = rng.random(n) < 0.05
    reported = np.where(late, days_after(closed, 8, 40, rng), days_after(closed, 1, 6, rng))
    behind = pl.col("planned_pct") - pl.col("reported_pct") > 0.04
    completed = money(monthly["reported_pct"].to_numpy() * monthly["amount"].to_numpy())
    stopped = pl.col("stop_from").is_not_null() & (pl.col("closed_on") >= pl.col("stop_from"))
    rows = monthly.select(
        "project_id",
        "contract_id",
        "period",
        "planned_pct",
        actual_pct="reported_pct",
        progress_id="JD" + pl.col("contract_id") + pl.col("period").str.replace("-", ""),
        completed_value=pl.Series(completed),
        reported_at=pl.Series(office_hours(reported, rng)),
        supervisor_confirmed=pl.Series(rng.random(n) < 0.95),
        image_count=pl.Series(rng.poisson(12, n)),
        delay_reason=pl.when(behind).then(
            pl.coalesce(pl.when(stopped).then(pl.lit("停工影响")), "delay_reason", pl.lit("其他"))
        ),
        source_code=pl.when(pl.col("sector_source") == "S09").then(pl.lit("S09")).otherwise(pl.lit("S02")),
    ).filter(pl.col("reported_at") < CITY_END)
    return stamped(rows, rng, after=["reported_at"], hours=(0.2, 20))


def daily(sites: pl.DataFrame, finish: str = "finish_date") -> tuple[np.ndarray, Days]:
    """Return, for each day of each site before the end of the city, the site's place and the day."""
    start = sites["start_date"].to_numpy().astype("datetime64[D]")
    end = np.minimum(sites[finish].to_numpy().astype("datetime64[D]"), END_DAY)
    length = np.maximum((end - start).astype(int), 0)
    place = np.repeat(np.arange(len(sites)), length)
    within = np.arange(len(place)) - np.repeat(np.cumsum(length) - length, length)
    return place, np.repeat(start, length) + within.astype("timedelta64[D]")
