"""How well each source is connected: when it last came, what it brought, and the days it stayed away.

A gap is found by the feed's own rhythm. Take a stretch of days without a record. How often does this feed have records
on working days, and how often on days off, in the eight weeks before and after? The stretch is a gap if a feed of that
habit would stay away this long by chance in fewer than one case in ten thousand, and if it is three times as long as
nine in ten of the feed's other stretches: some feeds speak in bursts, or in the first half of each month. So a feed
that speaks every day is missed after three days, one that rests on weekends after a week, one that rests on holidays
is not missed over the Spring Festival, and one that speaks once a month is never missed for a week.
"""

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
import polars as pl

from features.ingest.books.ledger import DELIVERED, read_ledger
from features.ingest.feed import sources
from features.tables.columns import ZONE
from features.tables.reference import SourceSync
from features.tables.store import TableStore
from features.working_days import WorkingCalendar

AROUND_DAYS = 56
"""Days before and after a stretch from which the habit of a feed is taken."""
HABIT_DAYS = 10
"""Days with records around a stretch below which a feed has no habit to break."""
CHANCE = 1e-4
USUAL, TIMES_USUAL = 0.9, 3
"""A gap is so many times as long as this share of the feed's other silent stretches."""
GAPS: Mapping[str, pl.DataType] = {
    "source": pl.String(),
    "feed": pl.String(),
    "table": pl.String(),
    "first_day": pl.Date(),
    "last_day": pl.Date(),
    "days": pl.Int64(),
}
_BY_FATE = {
    "received": [DELIVERED],
    "taken": ["loaded", "unchanged", "superseded"],
    "rejected": ["quarantined", "stopped"],
}


def expected_intervals() -> Mapping[tuple[str, str], int]:
    """Return the minutes between two deliveries that the feeds declare, by source and table; the shortest counts."""
    found: dict[tuple[str, str], int] = {}
    for source in sources().values():
        for feed in source.feeds if source.enabled else ():
            pair, minutes = (source.code, feed.table.NAME), feed.style.expected_interval_min
            found[pair] = min(minutes, found.get(pair, minutes))
    return found


def health(ledger: pl.DataFrame, expected: Mapping[tuple[str, str], int], at: dt.datetime) -> pl.DataFrame:
    """Return the state of each source and table.

    Args:
        ledger: the ledger, as ``read_ledger`` returns it.
        expected: minutes between two deliveries, by source and table, as the feeds declare them.
        at: the present moment, against which the lag is taken.

    Returns:
        One row a source and table: last_success_at (the last run that was not stopped, null when none), the interval
        expected and the lag (min), late (lag longer than expected; null where no interval is declared), received,
        taken and rejected (records of the latest run), auto_ratio (records of the table that declared interfaces
        delivered over all records of the table, all sources and runs; null when there is none).
    """
    by = ["source", "table"]
    ran = ledger.group_by(*by, "run_id", "loaded_at").agg(
        delivered=(pl.col("fate") == DELIVERED).any(),
        stopped=(pl.col("fate") == "stopped").any(),
        **{name: pl.col("records").filter(pl.col("fate").is_in(fates)).sum() for name, fates in _BY_FATE.items()},
    )
    ran = ran.filter("delivered")
    success = ran.filter(~pl.col("stopped")).group_by(by).agg(last_success_at=pl.col("loaded_at").max())
    latest = ran.sort("loaded_at", "run_id").group_by(by).last().select(*by, *_BY_FATE)
    delivered = ledger.filter(pl.col("fate") == DELIVERED)
    automatic = delivered.group_by("table").agg(
        auto_ratio=pl.when(pl.col("records").sum() > 0).then(
            pl.col("records").filter("automatic").sum() / pl.col("records").sum()
        )
    )
    intervals = pl.DataFrame(
        [{"source": source, "table": table, "expected_interval_min": n} for (source, table), n in expected.items()],
        schema={"source": pl.String, "table": pl.String, "expected_interval_min": pl.Int64},
    )
    lag = (pl.lit(at).dt.convert_time_zone(ZONE) - pl.col("last_success_at")).dt.total_minutes()
    return (
        intervals.join(latest, on=by, how="full", coalesce=True)
        .join(success, on=by, how="left")
        .join(automatic, on="table", how="left")
        .with_columns(pl.col(*_BY_FATE).fill_null(0), lag_min=lag)
        .with_columns(late=pl.col("lag_min").fill_null(2**40) > pl.col("expected_interval_min"))
        .select(*by, "last_success_at", "expected_interval_min", "lag_min", "late", *_BY_FATE, "auto_ratio")
        .sort(by)
    )


def record_sync(store: TableStore, at: dt.datetime) -> None:
    """Write the state of every declared source into ``source_sync``; the last act of a load, after its books.

    Args:
        store: the tables.
        at: the moment of the load.
    """
    state = health(read_ledger(store.home), expected_intervals(), at)
    store.append(SourceSync, sync_versions(state, at))


def sync_versions(state: pl.DataFrame, at: dt.datetime) -> pl.DataFrame:
    """Return the rows of the table ``source_sync`` that say what ``health`` found; pairs that no feed declares are not.

    Args:
        state: as ``health`` returns it.
        at: the moment of the load that this ends.
    """
    return state.drop_nulls("expected_interval_min").select(
        sync_id=pl.concat_str("source", pl.lit(":"), "table"),
        source_code="source",
        table_name="table",
        last_success_at="last_success_at",
        expected_interval_min="expected_interval_min",
        rows_received="received",
        rows_rejected="rejected",
        auto_ratio="auto_ratio",
        loaded_at=pl.lit(at).dt.convert_time_zone(ZONE),
        valid_from_ts=pl.lit(at).dt.convert_time_zone(ZONE),
        source_record_id=pl.concat_str("source", pl.lit(":"), "table"),
        retracted=pl.lit(value=False),
    )


def gaps(ledger: pl.DataFrame, calendar: WorkingCalendar) -> pl.DataFrame:
    """Return the stretches of days on which a feed stayed away against its own rhythm.

    Args:
        ledger: the ledger; the record days of what was delivered count.
        calendar: tells working days from days off; past it, Monday to Friday are taken for working days, which here
            decides nothing but which days are compared.

    Returns:
        One row a gap: source, feed, table, first and last day, days.
    """
    days = ledger.filter(pl.col("fate") == DELIVERED, pl.col("day").is_not_null(), pl.col("records") > 0)
    found = [
        {
            "source": source,
            "feed": feed,
            "table": table,
            "first_day": first,
            "last_day": last,
            "days": (last - first).days + 1,
        }
        for (source, feed, table), own in days.group_by("source", "feed", "table")
        for first, last in _stretches(own.get_column("day").unique().sort(), calendar)
    ]
    return pl.DataFrame(found, schema=dict(GAPS)).sort("source", "feed", "table", "first_day")


def _stretches(spoken: pl.Series, calendar: WorkingCalendar) -> Iterator[tuple[dt.date, dt.date]]:
    """Yield first and last day of the gaps between the days on which one feed had records."""
    first: dt.date = spoken[0]
    every = pl.date_range(first, spoken[-1], eager=True).alias("day").to_frame()
    worked = calendar.is_working_days(pl.col("day")).fill_null(pl.col("day").dt.weekday() <= 5)
    marked = every.select(worked.alias("worked"), spoke=pl.col("day").is_in(spoken.implode()))
    kinds, spoke = marked.get_column("worked").to_list(), marked.get_column("spoke").to_list()
    grouped = groupby(range(len(spoke)), key=lambda place: spoke[place])
    silent = [(run[0], run[-1]) for said, places in grouped if not said and (run := list(places))]
    lengths = [end - start + 1 for start, end in silent]
    for number, (start, end) in enumerate(silent):
        others = lengths[:number] + lengths[number + 1 :]
        usual = float(np.quantile(others, USUAL)) if others else 0.0
        if lengths[number] >= TIMES_USUAL * usual and _chance(kinds, spoke, start, end) < CHANCE:
            yield first + dt.timedelta(days=start), first + dt.timedelta(days=end)


def _chance(kinds: Sequence[bool], spoke: Sequence[bool], start: int, end: int) -> float:
    """Return how likely a feed of this habit is to stay away from one place to another, both included."""
    around = [*range(max(0, start - AROUND_DAYS), start), *range(end + 1, min(len(spoke), end + 1 + AROUND_DAYS))]
    if sum(spoke[place] for place in around) < HABIT_DAYS:
        return 1.0
    log = 0.0
    for kind in (True, False):
        own = [spoke[place] for place in around if kinds[place] is kind]
        silent = sum(kinds[place] is kind for place in range(start, end + 1))
        # One more day than were seen: a habit without an exception so far is not a law.
        log += silent * math.log(1 - sum(own) / (len(own) + 1))
    return math.exp(log)
