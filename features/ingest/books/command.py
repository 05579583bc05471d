"""The command ``smoke quality``: sources, rules, books and incomplete rows."""

from pathlib import Path
from typing import Annotated, Literal

import polars as pl
import typer

from features.clock import now
from features.errors import StoreError
from features.ingest.books.ledger import read_ledger
from features.ingest.books.quality import by_feed, fates, incomplete, latest, rules, stored
from features.ingest.books.source_health import expected_intervals, gaps, health
from features.ingest.quarantine.entries import Quarantine
from features.output import Format, write_frame
from features.tables.contract import SOURCE_TABLES
from features.tables.purge import RetentionLog, purged
from features.tables.reference import CalendarDay
from features.tables.store import TableStore
from features.working_days import WorkingCalendar

Home = Annotated[Path, typer.Option(envvar="SMOKE_HOME", help="where all state lives")]
Output = Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="table for people, json or csv")]
_ADDED_UP = (pl.col("missing") == 0) & (pl.col("missing_cny") == 0)

quality_app = typer.Typer(
    help="Whether sources come, records fit, and the books add up.\n\nExample: smoke quality reconcile --differences",
    no_args_is_help=True,
)


@quality_app.command()
def sources(home: Home = Path(".smoke"), output: Output = "table") -> None:
    """Show each source and table: last success, lag, records of the latest run, automatic share, gaps.

    A gap is a stretch of days without records that the feed's own rhythm on working days and days off makes
    incredible (less than one chance in ten thousand).

    Example: smoke quality sources --format csv
    """
    ledger, store = read_ledger(home), TableStore(home)
    calendar = WorkingCalendar.of(store.read(CalendarDay).collect())
    stretch = pl.concat_str("first_day", pl.lit(".."), "last_day", pl.lit(" ("), "days", pl.lit(" d)"))
    silent = gaps(ledger, calendar).group_by("source", "table").agg(gaps=stretch.sort_by("first_day").str.join("; "))
    state = health(ledger, expected_intervals(), now()).join(silent, on=["source", "table"], how="left")
    write_frame(state.sort("source", "table"), None, Format(output))


@quality_app.command("rules")
def show_rules(home: Home = Path(".smoke"), output: Output = "table") -> None:
    """Count the quarantine by source, table and rule; personal data are hidden.

    share is the part of the distinct records that came, stored or refused, so a second delivery of them changes it not.

    Example: smoke quality rules
    """
    write_frame(rules(Quarantine(home).list(state=None), read_ledger(home)), None, Format(output))


@quality_app.command()
def reconcile(
    home: Home = Path(".smoke"),
    by: Annotated[
        Literal["feed", "day", "run"],
        typer.Option(help="feeds; feeds by record day; or runs by record day, held against the tables counted anew"),
    ] = "feed",
    only_latest: Annotated[bool, typer.Option("--latest", help="only the latest delivery of each feed")] = False,
    differences: Annotated[bool, typer.Option("--differences", help="only where something is missing")] = False,
    output: Output = "table",
) -> None:
    """Hold what was delivered against what became of it, and the books against the stored tables.

    Records and money, by source, feed and record day, of all runs. Any difference, shown or not, is named and ends the
    command with exit code 1.

    Example: smoke quality reconcile --by day --differences
    """
    ledger = read_ledger(home)
    days = fates(ledger)
    runs = stored(TableStore(home), ledger, purged(RetentionLog(home).read()))
    shown, of_runs = days, runs
    if only_latest:
        shown = days.join(latest(days), on=["source", "feed", "table", "loaded_at"], how="semi")
        of_runs = runs.join(latest(days), on=["source", "table", "loaded_at"], how="semi")
    told = {"feed": by_feed(shown), "day": shown, "run": of_runs}[by]
    off = pl.col("days_off") > 0 if by == "feed" else ~_ADDED_UP
    write_frame(told.filter(off) if differences else told, None, Format(output))
    unaccounted, disagreeing = days.filter(~_ADDED_UP).height, runs.filter(~_ADDED_UP).height
    if unaccounted or disagreeing:
        raise StoreError(
            f"{unaccounted} feed days of runs do not add up, and {disagreeing} run days differ from the tables. "
            "Mend: see smoke quality reconcile --by day --differences and --by run --differences."
        )


@quality_app.command("incomplete")
def show_incomplete(home: Home = Path(".smoke"), output: Output = "table") -> None:
    """Count the rows that wait for a part which another source must deliver.

    Example: smoke quality incomplete
    """
    write_frame(incomplete(TableStore(home), SOURCE_TABLES.values()), None, Format(output))
