"""Lag, shares and gaps of sources."""

import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import pytest

from features.clock import SHANGHAI
from features.ingest.books.ledger import SCHEMA
from features.ingest.books.source_health import gaps, health
from features.working_days import WorkingCalendar

CALENDAR = WorkingCalendar.of()
FIRST, LAST = dt.date(2024, 1, 1), dt.date(2024, 12, 31)
RUN = dt.datetime(2025, 1, 2, 6, tzinfo=SHANGHAI)


def ledger(rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    base = {"run_id": "r", "loaded_at": RUN, "source": "S02", "feed": "f", "table": "video_day", "automatic": True}
    whole = [{**base, "fate": "delivered", "day": None, "records": 1, "amount": 0, **row} for row in rows]
    return pl.DataFrame(whole, schema=dict(SCHEMA))


def spoken(share_worked: float, share_off: float, *silent: tuple[dt.date, dt.date], seed: int = 1) -> pl.DataFrame:
    """A feed that speaks on a share of working days and of days off, and is out from one day to another."""
    chance = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for day in pl.date_range(FIRST, LAST, eager=True):
        share = share_worked if CALENDAR.is_working_day(day) else share_off
        if chance.random() < share and not any(start <= day <= end for start, end in silent):
            rows.append({"day": day})
    return ledger(rows)


WEEK = (dt.date(2024, 6, 10), dt.date(2024, 6, 16))


@pytest.mark.parametrize(("worked", "off"), [(1.0, 1.0), (1.0, 0.0), (0.95, 0.3), (0.9, 0.9)])
def test_a_source_that_is_out_for_a_week_is_missed(worked: float, off: float) -> None:
    found = gaps(spoken(worked, off, WEEK), CALENDAR)
    assert found.height == 1
    # Days off on which the feed is silent anyway may lengthen the stretch.
    assert found["first_day"][0] <= WEEK[0]
    assert found["last_day"][0] >= WEEK[1] - dt.timedelta(days=2)
    assert found["days"][0] == (found["last_day"][0] - found["first_day"][0]).days + 1


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("worked", "off"), [(1.0, 0.0), (0.9, 0.05), (0.5, 0.1), (0.2, 0.2), (0.04, 0.0)])
def test_a_feed_that_keeps_its_habit_is_not_missed_not_even_over_the_spring_festival(
    worked: float, off: float, seed: int
) -> None:
    assert gaps(spoken(worked, off, seed=seed), CALENDAR).is_empty()


def test_a_monthly_feed_is_not_missed_between_its_days() -> None:
    assert gaps(ledger([{"day": dt.date(2024, month, 5)} for month in range(1, 13)]), CALENDAR).is_empty()


def test_a_feed_that_speaks_in_the_first_days_of_each_month_is_not_missed_in_the_last_ones() -> None:
    days = [day for day in pl.date_range(FIRST, LAST, eager=True) if day.day <= 20]
    assert gaps(ledger([{"day": day} for day in days]), CALENDAR).is_empty()
    away = [day for day in days if day.month != 7]
    found = gaps(ledger([{"day": day} for day in away]), CALENDAR)
    assert found.select("first_day", "last_day").rows() == [(dt.date(2024, 6, 21), dt.date(2024, 7, 31))]


def test_two_feeds_are_judged_apart_and_an_empty_ledger_has_no_gap() -> None:
    other = spoken(1.0, 1.0).with_columns(feed=pl.lit("g"))
    found = gaps(pl.concat([spoken(1.0, 1.0, WEEK), other]), CALENDAR)
    assert found.select("feed", "first_day", "last_day", "days").rows() == [("f", *WEEK, 7)]
    assert gaps(ledger([]), CALENDAR).is_empty()


def test_lag_and_counts_are_those_of_the_latest_run() -> None:
    before = RUN - dt.timedelta(days=1)
    rows: list[dict[str, object]] = [
        {"run_id": "q", "loaded_at": before, "fate": "delivered", "records": 100},
        {"run_id": "q", "loaded_at": before, "fate": "loaded", "records": 100},
        {"fate": "delivered", "records": 10},
        {"fate": "loaded", "records": 6},
        {"fate": "unchanged", "records": 3},
        {"fate": "quarantined", "records": 1},
    ]
    at = RUN + dt.timedelta(hours=25)
    expected = {("S02", "video_day"): 1440, ("S02", "suspension"): 60}

    state = health(ledger(rows), expected, at).rows_by_key("table", named=True, unique=True)

    assert state["video_day"] == {
        "source": "S02",
        "last_success_at": RUN,
        "expected_interval_min": 1440,
        "lag_min": 1500,
        "late": True,
        "received": 10,
        "taken": 9,
        "rejected": 1,
        "auto_ratio": 1.0,
    }
    assert state["suspension"]["last_success_at"] is None
    assert state["suspension"]["late"]


def test_a_stopped_run_is_no_success_and_an_undeclared_source_is_never_late() -> None:
    stopped = {"run_id": "s", "loaded_at": RUN + dt.timedelta(days=1), "fate": "stopped", "records": 5}
    read = {**stopped, "fate": "delivered"}
    state = health(ledger([{}, read, stopped]), {}, RUN + dt.timedelta(days=9)).row(0, named=True)
    assert state["last_success_at"] == RUN
    assert state["rejected"] == 5
    assert state["late"] is None


def test_rows_let_out_of_quarantine_are_no_sign_that_a_source_came() -> None:
    later = {"run_id": "s", "loaded_at": RUN + dt.timedelta(days=1), "fate": "released", "records": 5}
    state = health(ledger([{}, later]), {}, RUN).row(0, named=True)
    assert (state["last_success_at"], state["received"]) == (RUN, 1)


def test_the_automatic_share_is_of_all_records_of_the_table() -> None:
    by_hand = {"source": "P00", "automatic": False, "records": 1}
    state = health(ledger([{"records": 3}, by_hand]), {}, RUN)
    assert state.get_column("auto_ratio").to_list() == [0.75, 0.75]
