"""Moments: parsing ``as_of``, and the one time zone of the edges."""

import datetime as dt
from zoneinfo import ZoneInfo

from features.errors import InputError

SHANGHAI = ZoneInfo("Asia/Shanghai")


def now() -> dt.datetime:
    """Return the present moment in Asia/Shanghai."""
    return dt.datetime.now(SHANGHAI)


def parse_moment(text: str, *, field: str = "as_of") -> dt.datetime:
    """Read an ISO 8601 date or date-time; a bare date is the last microsecond of that day.

    A time without a zone is Asia/Shanghai (rulings G2); one that the clocks skipped there is an hour later.

    Raises:
        InputError: the text is neither a date nor a date-time.
    """
    text = text.strip()
    try:
        if len(text) == 10:
            day = dt.date.fromisoformat(text)
            return dt.datetime.combine(day, dt.time.max, tzinfo=SHANGHAI)
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{field} is {text!r}, which is not a date.",
            field=field,
            mend="give a date such as 2026-06-30, or a time such as 2026-06-30T23:59:59+08:00.",
        ) from error
    return existing(moment.replace(tzinfo=SHANGHAI)) if moment.tzinfo is None else moment.astimezone(SHANGHAI)


def parse_start(text: str, *, field: str) -> dt.datetime:
    """Read a moment from which something counts: as ``parse_moment``, but a bare date is the first moment of that day.

    Raises:
        InputError: the text is neither a date nor a date-time.
    """
    moment = parse_moment(text, field=field)
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) if len(text.strip()) == 10 else moment


def existing(moment: dt.datetime) -> dt.datetime:
    """Return a moment as its zone's clocks showed it: what they skipped for daylight saving is an hour later.

    China had daylight saving from 1986 to 1991.
    """
    return moment.astimezone(dt.UTC).astimezone(moment.tzinfo)


def months_before(moment: dt.datetime, months: int) -> dt.datetime:
    """Return the moment a number of calendar months earlier, month ends clamped (rulings G3)."""
    index = moment.year * 12 + moment.month - 1 - months
    year, month = divmod(index, 12)
    month += 1
    next_month = dt.date(year + (month == 12), month % 12 + 1, 1)
    last_day = (next_month - dt.timedelta(days=1)).day
    return existing(moment.replace(year=year, month=month, day=min(moment.day, last_day)))
