"""Working days and the deadlines that are counted in them.

A day is a working day as the table ``calendar_day`` says; where that has no row of the day, as ``chinesecalendar`` says
(2004 to 2026, the yearly notices of the State Council, make-up days included). Past both nothing is guessed: a question
about one day raises ``CalendarError``, which names the year and the mend; a column of days gives null, and
``missing_years`` tells which years to load.

Which function counts what:

* ``add_working_days``: limits in working days ("3 个工作日"). The day of the event is not counted; the last day is a
  working day of itself.
* ``due_in_days``: limits in natural days ("90 日"). The day of the event is not counted (民法典 201); a last day that
  is not worked moves to the next working day (民法典 203).
* ``due_in_months``: limits in months or years. The last day is the same day of the last month, or the end of that month
  where it has none (民法典 202); it moves like the one before.

Each ends at 24:00 of the day returned (民法典 203). Limits in hours run from the moment itself (民法典 201) and need no
calendar.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import chinese_calendar as shipped
import polars as pl

from features.errors import SmokeError

SHIPPED_YEARS = range(min(shipped.holidays).year, max(shipped.holidays).year + 1)
"""Years that ``chinesecalendar`` knows."""
SCHEMA: Mapping[str, pl.DataType] = {"date": pl.Date(), "is_workday": pl.Boolean(), "holiday_name": pl.String()}
HOLIDAYS_ZH: Mapping[str, str] = {
    shipped.Holiday.new_years_day.value: "元旦",
    shipped.Holiday.spring_festival.value: "春节",
    shipped.Holiday.tomb_sweeping_day.value: "清明节",
    shipped.Holiday.labour_day.value: "劳动节",
    shipped.Holiday.dragon_boat_festival.value: "端午节",
    shipped.Holiday.mid_autumn_festival.value: "中秋节",
    shipped.Holiday.national_day.value: "国庆节",
    shipped.Holiday.anti_fascist_70th_day.value: "抗战胜利70周年纪念日",
}
_RUN = 10**6
"""Ordinals of two stretches of known days lie this far apart, so that nothing is counted across a gap."""


class CalendarError(SmokeError):
    """A deadline runs into days that no working-day calendar describes.

    Attributes:
        year: the first year that is missing.
    """

    def __init__(self, day: dt.date) -> None:
        super().__init__(missing_message([day.year]))
        self.year = day.year


@dataclass(frozen=True)
class WorkingCalendar:
    """Which days are working days.

    Attributes:
        days: one row a known day, sorted: date, is_workday, holiday_name (of a day off, else null).
    """

    days: pl.DataFrame
    _ordinal: dict[dt.date, int] = field(init=False, repr=False, compare=False)
    _workday: dict[int, dt.date] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # The ordinal of a day is the number of working days up to it, within its stretch of days without a gap.
        ordinal = pl.col("is_workday").cum_sum().over("run").cast(pl.Int64) + pl.col("run").cast(pl.Int64) * _RUN
        run = (pl.col("date").diff() != pl.duration(days=1)).fill_null(value=True).cum_sum().alias("run")
        numbered = self.days.with_columns(run).select("date", "is_workday", ordinal=ordinal)
        object.__setattr__(self, "_ordinal", dict(numbered.select("date", "ordinal").iter_rows()))
        object.__setattr__(self, "_workday", dict(numbered.filter("is_workday").select("ordinal", "date").iter_rows()))

    @classmethod
    def of(cls, loaded: pl.DataFrame | None = None) -> "WorkingCalendar":
        """Return the shipped calendar with the rows of ``calendar_day`` laid over it, day by day.

        Args:
            loaded: date, is_workday, holiday_name, one row a day; None where nothing was loaded.
        """
        base = shipped_days(SHIPPED_YEARS.start, SHIPPED_YEARS[-1])
        if loaded is None or loaded.is_empty():
            return cls(base)
        own = loaded.select(*SCHEMA)
        return cls(pl.concat([base.join(own, on="date", how="anti"), own]).sort("date"))

    def is_working_day(self, day: dt.date) -> bool:
        """Tell whether a day is worked: make-up weekends are, days in lieu are not.

        Raises:
            CalendarError: the calendar does not have the day.
        """
        return self._workday.get(self._of(day)) == day

    def next_working_day(self, day: dt.date) -> dt.date:
        """Return the day itself if it is a working day, else the next one.

        Raises:
            CalendarError: the calendar ends before it.
        """
        return day if self.is_working_day(day) else self.add_working_days(day, 1)

    def add_working_days(self, start: dt.date, n: int) -> dt.date:
        """Return the last day of a limit of n working days, the day of the event not counted.

        Args:
            start: the day of the event.
            n: at least 1.

        Raises:
            CalendarError: the calendar ends before the limit does.
            ValueError: n is not at least 1.
        """
        if n < 1:
            raise ValueError(f"a limit has at least 1 working day, not {n}")
        found = self._workday.get(self._of(start) + n)
        if found is None:
            raise CalendarError(self._end(start) + dt.timedelta(days=1))
        return found

    def working_days_between(self, start: dt.date, end: dt.date) -> int:
        """Count the working days after start up to and with end; negative when end lies before start.

        Raises:
            CalendarError: the calendar lacks a day between them.
        """
        first, last = self._of(start), self._of(end)
        if first // _RUN != last // _RUN:
            raise CalendarError(self._end(min(start, end)) + dt.timedelta(days=1))
        return last - first

    def due_in_days(self, start: dt.date, n: int) -> dt.date:
        """Return the last day of a limit of n natural days, moved off days that are not worked (民法典 201, 203).

        Raises:
            CalendarError: the calendar does not reach that day.
        """
        return self.next_working_day(start + dt.timedelta(days=n))

    def due_in_months(self, start: dt.date, n: int) -> dt.date:
        """Return the last day of a limit of n months, moved off days that are not worked (民法典 201 to 203).

        Raises:
            CalendarError: the calendar does not reach that day.
        """
        return self.next_working_day(_months_later(start, n))

    def is_working_days(self, days: pl.Expr) -> pl.Expr:
        """Return ``is_working_day`` of a column of dates; null where the calendar has no such day."""
        table = self.days
        return days.replace_strict(table["date"], table["is_workday"], default=None, return_dtype=pl.Boolean)

    def next_working_days(self, days: pl.Expr) -> pl.Expr:
        """Return ``next_working_day`` of a column of dates; null past the calendar."""
        return pl.when(self.is_working_days(days)).then(days).otherwise(self.adding_working_days(days, 1))

    def adding_working_days(self, days: pl.Expr, n: int | pl.Expr) -> pl.Expr:
        """Return ``add_working_days`` of a column of dates; null past the calendar, and where n is below 1.

        Args:
            days: dates; of an instant, its date in Asia/Shanghai.
            n: the number of working days, one for all or a column.
        """
        number = pl.lit(n) if isinstance(n, int) else n
        ordinals, workdays = list(self._workday), list(self._workday.values())
        last = self._ordinals(days) + number
        return pl.when(number >= 1).then(last.replace_strict(ordinals, workdays, default=None, return_dtype=pl.Date))

    def counting_working_days(self, start: pl.Expr, end: pl.Expr) -> pl.Expr:
        """Return ``working_days_between`` of two columns of dates; null where the calendar lacks a day between them."""
        first, last = self._ordinals(start), self._ordinals(end)
        return pl.when(first // _RUN == last // _RUN).then(last - first)

    def missing_years(self, days: pl.Series) -> list[int]:
        """Return the years of dates that the calendar does not have, in order; what is null or known adds none."""
        unknown = days.drop_nulls().unique().to_frame("date").join(self.days, on="date", how="anti")
        return unknown.get_column("date").dt.year().unique().sort().to_list()

    def _of(self, day: dt.date) -> int:
        found = self._ordinal.get(day)
        if found is None:
            raise CalendarError(day)
        return found

    def _end(self, day: dt.date) -> dt.date:
        """Return the last day that is known from a day on, without a gap."""
        run = self._of(day) // _RUN
        return max(one for one, ordinal in self._ordinal.items() if ordinal // _RUN == run)

    def _ordinals(self, days: pl.Expr) -> pl.Expr:
        known, ordinals = list(self._ordinal), list(self._ordinal.values())
        return days.replace_strict(known, ordinals, default=None, return_dtype=pl.Int64)


def missing_message(years: list[int]) -> str:
    """Return what to tell a person when deadlines need years that no calendar has."""
    named = ", ".join(map(str, years))
    return (
        f"There is no working-day calendar for {named}, so deadlines that reach into it are not known. Mend: load the "
        f"days of {named} into calendar_day (date, is_workday, holiday_name; the State Council publishes them each "
        "November) with smoke ingest tables, or install a newer chinesecalendar."
    )


def shipped_days(first_year: int, last_year: int) -> pl.DataFrame:
    """Return every day of some years as ``chinesecalendar`` has it, in the shape of ``calendar_day``.

    Raises:
        CalendarError: a year is not shipped.
    """
    for year in (first_year, last_year):
        if year not in SHIPPED_YEARS:
            raise CalendarError(dt.date(year, 1, 1))
    first, last = dt.date(first_year, 1, 1), dt.date(last_year, 12, 31)
    days = [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]
    names = [HOLIDAYS_ZH[shipped.holidays[day]] if day in shipped.holidays else None for day in days]
    worked = [shipped.is_workday(day) for day in days]
    return pl.DataFrame({"date": days, "is_workday": worked, "holiday_name": names}, schema=dict(SCHEMA))


def _months_later(day: dt.date, months: int) -> dt.date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    first = dt.date(year, month + 1, 1)
    after = dt.date(year + (month == 11), (month + 1) % 12 + 1, 1)
    return min(first + dt.timedelta(days=day.day - 1), after - dt.timedelta(days=1))
