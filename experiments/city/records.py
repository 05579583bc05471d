"""When things get known: days become office hours, rows of the future go, and each row gets its 更新时间."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from experiments.city.facts import CITY_END

Days = npt.NDArray[np.datetime64]
Numbers = npt.NDArray[np.float64]

DAY = np.timedelta64(1, "D")
END_DAY = np.datetime64(CITY_END, "D")


def days_after(day: Days, low: float, high: float, rng: np.random.Generator) -> Days:
    """Return days that lie between ``low`` and ``high`` days after those given."""
    return day + rng.uniform(low, high, len(day)).astype("timedelta64[D]")


def office_hours(day: Days, rng: np.random.Generator) -> Days:
    """Return a moment between 9 and 17 o'clock of each day; what falls on a weekend is done on Monday."""
    weekday = (day.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 0 = Monday
    shift = np.where(weekday == 5, 2, np.where(weekday == 6, 1, 0)).astype("timedelta64[D]")
    seconds = rng.integers(9 * 3600, 17 * 3600, len(day)).astype("timedelta64[s]")
    return (day.astype("datetime64[D]") + shift).astype("datetime64[us]") + seconds


def money(amount: Numbers) -> Numbers:
    """Return amounts of CNY to the cent."""
    return np.round(amount, 2)


def known(frame: pl.DataFrame, event: str, later: Mapping[str, Sequence[str]] | None = None) -> pl.DataFrame:
    """Leave out what happens at or after the end of the city.

    Args:
        frame: rows with days or moments, some of them still to come.
        event: the row exists from this day or moment on.
        later: what becomes known after the row does: day or moment -> columns known together with it.

    Returns:
        The rows that exist, without the values that are not known yet.
    """
    frame = frame.filter(pl.col(event) < CITY_END)
    for moment, columns in (later or {}).items():
        come = pl.col(moment) < CITY_END
        frame = frame.with_columns(pl.when(come).then(pl.col(name)).alias(name) for name in (*columns, moment))
    return frame


def stamped(
    frame: pl.DataFrame, rng: np.random.Generator, *, after: Sequence[str], hours: tuple[float, float] = (1, 60)
) -> pl.DataFrame:
    """Add ``updated_at``: hours after the last of the given days (24:00) and moments, within the city's time."""
    end = pl.lit(CITY_END).dt.offset_by("-1s")
    return _stamped(frame, rng, after, hours).with_columns(pl.min_horizontal("updated_at", end))


def restamped(
    frame: pl.DataFrame, rng: np.random.Generator, *, after: Sequence[str], hours: tuple[float, float]
) -> pl.DataFrame:
    """Add ``updated_at`` to later versions of rows; those that would be written after the end are left out.

    The hours must lie beyond those of the version before.
    """
    return _stamped(frame, rng, after, hours).filter(pl.col("updated_at") < pl.lit(CITY_END).dt.offset_by("-1s"))


def _stamped(
    frame: pl.DataFrame, rng: np.random.Generator, after: Sequence[str], hours: tuple[float, float]
) -> pl.DataFrame:
    instants = [
        pl.col(name).dt.offset_by("1d").cast(pl.Datetime("us"))
        if frame.schema[name] == pl.Date
        else pl.col(name).cast(pl.Datetime("us"))
        for name in after
    ]
    lag = pl.Series(rng.uniform(hours[0] * 3600, hours[1] * 3600, len(frame)).astype(np.int64))
    latest = pl.max_horizontal(*instants) + pl.duration(seconds=pl.lit(lag))
    return frame.with_columns(latest.cast(pl.Datetime("us")).alias("updated_at"))


def sequence(frame: pl.DataFrame, prefix: str, parent: str, digits: int = 3) -> pl.Series:
    """Return ids: prefix, id of the parent, and the row's number within that parent."""
    number = pl.int_range(1, pl.len() + 1).over(parent).cast(pl.String).str.zfill(digits)
    return frame.select(pl.lit(prefix) + pl.col(parent) + pl.lit("-") + number).to_series()
