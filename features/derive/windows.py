"""Windows that count back from the moment of scoring (rulings G3, G4)."""

import datetime as dt

import polars as pl

from features.clock import SHANGHAI, months_before


def in_window(moment: pl.Expr, as_of: dt.datetime, window_months: int) -> pl.Expr:
    """Tell whether an instant lies in (as_of - months, as_of] (rulings G3)."""
    return (moment > months_before(as_of, window_months)) & (moment <= as_of)


def short_history(first_event: dt.datetime | None, as_of: dt.datetime, window_months: int) -> bool:
    """Tell whether the platform's data cover less than half of the window (rulings G4)."""
    if first_event is None:
        return True
    return (as_of - first_event) < (as_of - months_before(as_of, window_months)) / 2


def complete_months(as_of: dt.datetime, n: int) -> list[str]:
    """Return the last ``n`` months whose last microsecond is at or before a moment, oldest first, as 2026-05."""
    after = as_of.astimezone(SHANGHAI) + dt.timedelta(microseconds=1)
    months = [after.year * 12 + after.month - 1 - back for back in range(n, 0, -1)]
    return [f"{year:04}-{month + 1:02}" for year, month in (divmod(one, 12) for one in months)]
