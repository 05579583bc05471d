"""Working days and deadlines: against the notices of the State Council, and the laws that counting must obey."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.working_days import CalendarError, WorkingCalendar, shipped_days

CALENDAR = WorkingCalendar.of()
D = dt.date
within = st.dates(D(2005, 1, 1), D(2025, 6, 30))


def days(*rows: tuple[D, bool]) -> pl.DataFrame:
    return pl.DataFrame(
        [{"date": date, "is_workday": worked, "holiday_name": None} for date, worked in rows],
        schema={"date": pl.Date, "is_workday": pl.Boolean, "holiday_name": pl.String},
    )


def year(number: int) -> pl.DataFrame:
    """Monday to Friday are worked, without holidays."""
    first = D(number, 1, 1)
    dates = [first + dt.timedelta(days=n) for n in range((D(number + 1, 1, 1) - first).days)]
    return days(*[(date, date.weekday() < 5) for date in dates])


# 国办发明电〔2023〕7号, 国办发明电〔2024〕12号, 国办发明电〔2025〕7号.
@pytest.mark.parametrize(
    ("day", "worked"),
    [
        (D(2024, 2, 4), True),  # a Sunday made up for the Spring Festival
        (D(2024, 2, 9), True),  # New Year's Eve was no holiday in 2024
        (D(2024, 2, 10), False),
        (D(2024, 2, 17), False),
        (D(2024, 2, 18), True),  # a Sunday again
        (D(2024, 5, 11), True),
        (D(2025, 1, 28), False),  # New Year's Eve is one since 2025
        (D(2025, 1, 26), True),
        (D(2025, 2, 8), True),
        (D(2025, 9, 28), True),
        (D(2025, 10, 1), False),
        (D(2025, 10, 8), False),
        (D(2025, 10, 9), True),
        (D(2025, 10, 11), True),
        (D(2026, 2, 23), False),
        (D(2026, 2, 28), True),
        (D(2026, 7, 4), False),
        (D(2026, 7, 6), True),
    ],
)
def test_days_are_worked_as_the_state_council_said(day: D, worked: bool) -> None:
    assert CALENDAR.is_working_day(day) is worked


@pytest.mark.parametrize(
    ("start", "n", "end"),
    [
        # Thursday 8 February 2024; then the 9th, and after eight days off Sunday the 18th is made up.
        (D(2024, 2, 8), 1, D(2024, 2, 9)),
        (D(2024, 2, 8), 2, D(2024, 2, 18)),
        (D(2024, 2, 8), 3, D(2024, 2, 19)),
        # An event on a day off: the first working day after it is the first that counts.
        (D(2025, 10, 3), 1, D(2025, 10, 9)),
        (D(2025, 10, 3), 5, D(2025, 10, 14)),
        (D(2026, 7, 3), 3, D(2026, 7, 8)),
    ],
)
def test_a_limit_in_working_days_ends_where_a_hand_counts_it(start: D, n: int, end: D) -> None:
    assert CALENDAR.add_working_days(start, n) == end
    assert CALENDAR.working_days_between(start, end) == n


def test_a_limit_in_natural_days_moves_off_a_holiday() -> None:
    # Ten days after 24 September 2025 is 4 October; work begins again on the 9th (民法典 203).
    assert CALENDAR.due_in_days(D(2025, 9, 24), 10) == D(2025, 10, 9)
    assert CALENDAR.due_in_days(D(2025, 9, 16), 10) == D(2025, 9, 26)


def test_a_limit_in_months_ends_on_the_same_day_or_at_the_end_of_the_month() -> None:
    assert CALENDAR.due_in_months(D(2024, 3, 15), 12) == D(2025, 3, 17)  # a Saturday, so Monday
    assert CALENDAR.due_in_months(D(2023, 11, 30), 3) == D(2024, 2, 29)
    assert CALENDAR.due_in_months(D(2025, 7, 31), 2) == D(2025, 9, 30)


@settings(deadline=None)
@given(start=within, n=st.integers(1, 250))
def test_counting_undoes_adding_and_ends_on_a_working_day(start: D, n: int) -> None:
    end = CALENDAR.add_working_days(start, n)
    assert CALENDAR.is_working_day(end)
    assert CALENDAR.working_days_between(start, end) == n
    assert CALENDAR.working_days_between(end, start) == -n
    assert CALENDAR.working_days_between(start, end - dt.timedelta(days=1)) == n - 1


@settings(deadline=None)
@given(start=within, first=st.integers(1, 60), second=st.integers(1, 60))
def test_one_limit_after_another_is_both_together(start: D, first: int, second: int) -> None:
    between = CALENDAR.add_working_days(start, first)
    assert CALENDAR.add_working_days(between, second) == CALENDAR.add_working_days(start, first + second)


@settings(deadline=None)
@given(rows=st.lists(st.tuples(within, st.integers(1, 90)), min_size=1, max_size=20))
def test_columns_count_as_single_days_do(rows: list[tuple[D, int]]) -> None:
    frame = pl.DataFrame(rows, schema={"start": pl.Date, "n": pl.Int64}, orient="row")
    got = frame.select(
        end=CALENDAR.adding_working_days(pl.col("start"), pl.col("n")),
        next=CALENDAR.next_working_days(pl.col("start")),
        worked=CALENDAR.is_working_days(pl.col("start")),
    ).with_columns(frame["start"], back=CALENDAR.counting_working_days(pl.lit(frame["start"]), pl.col("end")))
    for (start, n), row in zip(rows, got.iter_rows(named=True), strict=True):
        assert row["end"] == CALENDAR.add_working_days(start, n)
        assert row["next"] == CALENDAR.next_working_day(start)
        assert row["worked"] == CALENDAR.is_working_day(start)
        assert row["back"] == n


def test_past_the_calendar_one_day_is_an_error_that_names_the_year_and_the_mend() -> None:
    with pytest.raises(CalendarError, match=r"2027.*calendar_day") as caught:
        CALENDAR.add_working_days(D(2026, 12, 29), 10)
    assert caught.value.year == 2027
    with pytest.raises(CalendarError, match="2003"):
        CALENDAR.is_working_day(D(2003, 12, 31))
    with pytest.raises(CalendarError, match="2027"):
        CALENDAR.working_days_between(D(2026, 12, 1), D(2027, 1, 4))


def test_past_the_calendar_a_column_is_null_and_the_years_are_named() -> None:
    frame = pl.DataFrame({"start": [D(2026, 12, 1), D(2026, 12, 29), D(2027, 3, 1), None]})
    got = frame.select(CALENDAR.adding_working_days(pl.col("start"), 10)).to_series().to_list()
    assert got == [D(2026, 12, 15), None, None, None]
    assert CALENDAR.missing_years(frame["start"]) == [2027]


def test_loaded_days_rule_over_shipped_ones_and_carry_on_after_them() -> None:
    own = pl.concat([days((D(2026, 12, 31), False)), year(2027)])
    calendar = WorkingCalendar.of(own)
    assert not calendar.is_working_day(D(2026, 12, 31))
    assert calendar.add_working_days(D(2026, 12, 30), 1) == D(2027, 1, 1)
    assert calendar.missing_years(pl.Series([D(2027, 5, 1), D(2028, 1, 1)])) == [2028]


def test_nothing_is_counted_across_a_gap() -> None:
    calendar = WorkingCalendar.of(year(2028))
    assert calendar.add_working_days(D(2028, 1, 2), 1) == D(2028, 1, 3)
    with pytest.raises(CalendarError, match="2027"):
        calendar.add_working_days(D(2026, 12, 31), 1)
    with pytest.raises(CalendarError, match="2027"):
        calendar.working_days_between(D(2026, 12, 31), D(2028, 1, 3))
    frame = pl.DataFrame({"a": [D(2026, 12, 31)], "b": [D(2028, 1, 3)]})
    assert frame.select(calendar.counting_working_days(pl.col("a"), pl.col("b"))).item() is None
    assert frame.select(calendar.adding_working_days(pl.col("a"), 1)).item() is None


def test_shipped_days_are_named_in_chinese_and_complete() -> None:
    frame = shipped_days(2024, 2025)
    assert frame.height == 366 + 365
    named = dict(frame.select("date", "holiday_name").iter_rows())
    assert named[D(2024, 2, 10)] == "春节"
    assert named[D(2025, 10, 6)] in ("国庆节", "中秋节")
    assert named[D(2024, 2, 4)] is None
    # Working days of 2024 and 2025 by the notices: 251 and 248.
    assert frame.group_by(pl.col("date").dt.year()).agg(pl.col("is_workday").sum()).sort("date").rows() == [
        (2024, 251),
        (2025, 248),
    ]
