"""Days on which the key people of a contract were on site, month by month."""

import calendar
import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.contract_facts import known_progress, per_contract, signed_contracts
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.ordered import ordered_mean
from features.derive.site_team import KEY_POSITIONS, key_holders, stoppages
from features.derive.windows import complete_months
from features.tables.as_of import known_as_of
from features.tables.projects import Project
from features.tables.site import Attendance, LeaveRecord
from features.tables.source import SourceTables

WORKS = ("works", "epc")


class TeamAttendance(Derived):
    """How far the key people of one contract were away from the site in the last complete months."""

    subject_id = dy.String()
    """The project."""
    contract_id = dy.String(primary_key=True)
    is_works = dy.Bool(nullable=True)
    """A works or EPC contract; null where its type is not recorded."""
    is_begun = dy.Bool(nullable=True)
    """A monthly report shows progress; null without any report."""
    is_finished = dy.Bool()
    """A report says that all was done before the last of the months."""
    is_system_on = dy.Bool()
    """Each of the months has a punch of the project."""
    n_days_min = dy.Int64(min=0, max=31)
    """Construction days of the month that has the fewest."""
    n_positions = dy.Int64(min=0, max=len(KEY_POSITIONS))
    """Key positions that have been filled, in the month that has the fewest."""
    absence = dy.Float64(nullable=True, min=0, max=1)
    """Mean over the months; null where no key position has been filled."""
    absence_min = dy.Float64(nullable=True, min=0, max=1)
    """Lowest of the months."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, months_n: int, required_days: int) -> pl.LazyFrame:
        """Set the days on site of each key position against those required (rulings G3, SI-037).

        Days of all actual holders of a position are pooled; a position counts from the month in which it was first
        filled. Construction days are those on which the project has started, has not ended and is not stopped, in
        months that neither precede the first nor follow the last progress of the contract.
        """
        months = complete_months(as_of, months_n)
        contracts = signed_contracts(source, as_of).select("contract_id", "project_id", "contract_type")
        stopped = _days(
            stoppages(source, as_of), "project_id", "from_date", pl.col("to_date").dt.offset_by("-1d"), months
        )
        punches = _punches(source, months)
        holders = _holders(source, as_of)
        present = _present(punches, holders)
        absences = (
            _rates(source, as_of, months, required_days, holders, present, stopped)
            .group_by("contract_id", "month")
            .agg(n_positions=pl.len().cast(pl.Int64), absence=1 - ordered_mean(pl.col("rate")))
        )
        begun, done = pl.col("pct") > 0, (pl.col("pct_before") >= 1).fill_null(value=False)
        found = (
            _monthly(contracts, months)
            .join(_progress(source, as_of, months), on=["contract_id", "month"], how="left")
            .join(_site_days(source, as_of, months, stopped), on=["project_id", "month"], how="left")
            .join(punches.select("project_id", "month", is_on=True).unique(), on=["project_id", "month"], how="left")
            .join(absences, on=["contract_id", "month"], how="left")
            .group_by("contract_id")
            .agg(
                is_works=pl.col("contract_type").first().is_in(WORKS),
                is_begun=begun.max(),
                is_finished=done.any(),
                is_system_on=pl.col("is_on").is_not_null().all(),
                n_days_min=pl.when(begun & ~done).then("n_days").fill_null(0).min(),
                n_positions=pl.col("n_positions").fill_null(0).min(),
                absence=ordered_mean(pl.col("absence")),
                absence_min=pl.col("absence").min(),
            )
        )
        return per_contract(cls, contracts.with_columns(subject_id="project_id"), found, _evidence(holders, present))


def _monthly(rows: pl.LazyFrame, months: list[str]) -> pl.LazyFrame:
    """Repeat each row for each month, in column ``month``."""
    return rows.with_columns(month=pl.lit(pl.Series([months]))).explode("month")


def _days(rows: pl.LazyFrame, key: str, first: str, last: str | pl.Expr, months: list[str]) -> pl.LazyFrame:
    """Return each day of the months that lies in a stretch of a key, once: the key, day, month.

    A stretch without an end goes beyond the months, one without a beginning has begun before.
    """
    begin, end = _edges(months)
    return (
        rows.select(key, first=pl.max_horizontal(first, pl.lit(begin)), last=pl.min_horizontal(last, pl.lit(end)))
        .filter(pl.col("first") <= pl.col("last"))
        .select(key, day=pl.date_ranges("first", "last"))
        .explode("day")
        .unique()
        .with_columns(month=pl.col("day").dt.strftime("%Y-%m"))
    )


def _edges(months: list[str]) -> tuple[dt.date, dt.date]:
    """Return the first and the last day of consecutive months."""
    first, last = (dt.date.fromisoformat(f"{month}-01") for month in (months[0], months[-1]))
    return first, last.replace(day=calendar.monthrange(last.year, last.month)[1])


def _progress(source: SourceTables, as_of: dt.datetime, months: list[str]) -> pl.LazyFrame:
    """Return the share done by the end of each month and before it: contract_id, month, pct, pct_before."""
    pct, period = pl.col("actual_pct"), pl.col("period")
    before = period < pl.col("month")
    return (
        _monthly(known_progress(source, as_of), months)
        .filter(period <= pl.col("month"))
        .group_by("contract_id", "month")
        .agg(
            pct=pct.sort_by(period).last(),
            pct_before=pct.filter(before).sort_by(period.filter(before)).last(),
        )
    )


def _site_days(source: SourceTables, as_of: dt.datetime, months: list[str], stopped: pl.LazyFrame) -> pl.LazyFrame:
    """Count the days between start and end of each project that are not stopped: project_id, month, n_days."""
    projects = known_as_of(source[Project], Project, as_of)
    return (
        _days(projects, "project_id", "actual_start_date", "actual_finish_date", months)
        .join(stopped, on=["project_id", "day"], how="anti")
        .group_by("project_id", "month")
        .agg(n_days=pl.len().cast(pl.Int64))
    )


def _punches(source: SourceTables, months: list[str]) -> pl.LazyFrame:
    """Return the punches of the months: project_id, kp_id, day, month, counts (in the fence, live, not made up)."""
    day = pl.col("punched_at").dt.date()
    return (
        source.with_sensitive(Attendance)
        .filter(day.is_between(*_edges(months)))
        .select(
            "project_id",
            "kp_id",
            day=day,
            month=pl.col("punched_at").dt.strftime("%Y-%m"),
            counts=pl.col("in_geofence") & pl.col("liveness_pass").fill_null(value=False) & ~pl.col("is_makeup"),
        )
    )


def _holders(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return who held a key position: kp_id, contract_id, position, person_id, since, required_days_per_month."""
    return key_holders(source, as_of).select(
        "kp_id",
        "contract_id",
        "project_id",
        "position",
        "person_id",
        "required_days_per_month",
        since=pl.col("assigned_from").dt.strftime("%Y-%m").fill_null(""),
    )


def _present(punches: pl.LazyFrame, holders: pl.LazyFrame) -> pl.LazyFrame:
    """Return the days on site of each holder: kp_id, contract_id, position, day, month."""
    return (
        punches.filter("counts")
        .select("kp_id", "day", "month")
        .unique()
        .join(holders.select("kp_id", "contract_id", "position"), on="kp_id", how="inner")
    )


def _rates(
    source: SourceTables,
    as_of: dt.datetime,
    months: list[str],
    required_days: int,
    holders: pl.LazyFrame,
    present: pl.LazyFrame,
    stopped: pl.LazyFrame,
) -> pl.LazyFrame:
    """Return days on site over days required, at most 1: contract_id, position, month, rate.

    Required is what the contract demands of the position, less days of approved leave and of stoppage, at least 1.
    """
    seat = ["contract_id", "position", "month"]
    approved = known_as_of(source[LeaveRecord], LeaveRecord, as_of).filter("approved")
    away = (
        _days(approved, "kp_id", "start_date", "end_date", months)
        .join(holders.select("kp_id", "contract_id", "project_id", "position"), on="kp_id", how="inner")
        .join(stopped, on=["project_id", "day"], how="anti")
        .group_by(seat)
        .agg(n_leave=pl.col("day").n_unique().cast(pl.Int64))
    )
    demanded = holders.group_by("contract_id", "project_id", "position").agg(
        pl.col("since").min(), required=pl.col("required_days_per_month").max().fill_null(required_days)
    )
    on_site = present.group_by(seat).agg(n_present=pl.col("day").n_unique().cast(pl.Int64))
    halted = stopped.group_by("project_id", "month").agg(n_stopped=pl.len().cast(pl.Int64))
    counted = (
        _monthly(demanded, months)
        .filter(pl.col("since") <= pl.col("month"))
        .join(away, on=seat, how="left")
        .join(halted, on=["project_id", "month"], how="left")
        .join(on_site, on=seat, how="left")
        .with_columns(pl.col("n_leave", "n_stopped", "n_present").fill_null(0))
    )
    required = (pl.col("required") - pl.col("n_leave") - pl.col("n_stopped")).clip(lower_bound=1)
    return counted.select(*seat, rate=(pl.col("n_present") / required).clip(upper_bound=1.0))


def _evidence(holders: pl.LazyFrame, present: pl.LazyFrame) -> pl.LazyFrame:
    """Name the holders of each contract with their days on site in the months: contract_id, evidence."""
    days = present.group_by("kp_id").agg(days_on_site=pl.len().cast(pl.Int64))
    return (
        holders.join(days, on="kp_id", how="left")
        .with_columns(pl.col("days_on_site").fill_null(0))
        .group_by("contract_id")
        .agg(evidence=rows_as_evidence("key_personnel", "kp_id", ["position", "person_id", "days_on_site"]))
    )
