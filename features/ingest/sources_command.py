"""The commands ``smoke sources`` and ``smoke ingest SOURCE``."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table as Grid

from features.clock import now
from features.errors import InputError
from features.ingest.deliveries import FeedOutcome, Ingested, folders, ingest
from features.ingest.feed import Feed, Source, source, sources
from features.ingest.fetch.connections import switched_on
from features.ingest.keys import load_keys
from features.ingest.mapped import Counts
from features.ingest.mapping.cells import cell_rules
from features.ingest.quarantine.notice import point_to_refused
from features.output import Format, plain_grid, print_whole, write_frame

ALL = "all"
LANDING = "landing"
Home = Annotated[Path, typer.Option(envvar="SMOKE_HOME", help="where all state lives")]
Delivered = Annotated[
    Path | None,
    typer.Argument(metavar="PATH", help="folder of files; default: what smoke fetch has landed"),
]
Output = Annotated[Literal["table", "json"], typer.Option("--format", help="how to print the counts")]
Listed = Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="table for people, json or csv")]

sources_app = typer.Typer(
    help="The source systems: list them, show how a feed is mapped.\n\nExample: smoke sources show S01 bid",
    no_args_is_help=True,
)


def add_ingest_commands(app: typer.Typer) -> None:
    """Add ``ingest S01``, ..., and ``ingest all``."""
    declared = sorted(Path(str(entry)).stem for entry in (files("features.ingest") / "feeds").iterdir())
    for code in [*declared, ALL]:
        what = "all sources: a folder with one folder a source" if code == ALL else f"what the source {code} delivers"
        landing = LANDING if code == ALL else f"{LANDING}/{code}"
        example = "/deliveries" if code == ALL else f"/deliveries/{code}"
        app.command(code, help=_HELP.format(what=what, code=code, landing=landing, example=example))(_command(code))


_HELP = """Load {what}.

Without PATH it is $SMOKE_HOME/{landing}, where smoke fetch puts files; what is loaded is removed from there.

Each record is loaded, unchanged, superseded (older than what is in force, and kept) or quarantined; see smoke
quarantine list. A feed whose interface has changed is stopped before anything of it is loaded, and a file that cannot
be read is named; everything else loads, and the exit code is 1.

Example: smoke ingest {code} {example}
"""


@sources_app.command("list")
def list_sources(home: Home = Path(".smoke"), output: Listed = "table") -> None:
    """List the sources and their feeds.

    Example: smoke sources list
    """
    rows = [
        {
            "source": one.code,
            "name": one.name_zh,
            "on": switched_on(home, one),
            "feed": feed.name,
            "table": feed.table.NAME,
            "format": feed.style.format + (f" {feed.style.encoding}" if feed.style.format == "csv" else ""),
            "expected_interval_min": feed.style.expected_interval_min,
        }
        for one in sources().values()
        for feed in one.feeds
    ]
    write_frame(pl.DataFrame(rows), None, Format(output))


@sources_app.command()
def show(
    code: Annotated[str, typer.Argument(metavar="SOURCE", help="a code of smoke sources list")],
    feed: Annotated[str, typer.Argument(metavar="FEED", help="one of its feeds")],
    output: Listed = "table",
) -> None:
    """Show how the columns of a feed are made: headings, transformation, words.

    Example: smoke sources show S01 bid
    """
    write_frame(mapping_table(source(code).feed(feed)), None, Format(output))


def mapping_table(feed: Feed) -> pl.DataFrame:
    """Return the effective mapping of a feed: heading, column, transform, codes, one row a column."""
    rules = [
        {
            "heading": " + ".join(rule.headings),
            "column": f"{feed.table.NAME}.{rule.column}",
            "transform": rule.transform,
            "codes": "; ".join(f"{word} = {value}" for word, value in rule.words.items()),
        }
        for rule in cell_rules(feed)
    ]
    version = {"heading": feed.version, "column": "valid_from_ts", "transform": "moment", "codes": ""}
    return pl.DataFrame([*rules, version])


def _command(code: str) -> Callable[..., None]:
    def command(path: Delivered = None, home: Home = Path(".smoke"), output: Output = "table") -> None:
        _ingest(code, path, home, output)

    return command


def _ingest(code: str, path: Path | None, home: Path, output: Literal["table", "json"]) -> None:
    started = time.monotonic()
    landing = home / LANDING if code == ALL else home / LANDING / code
    delivered = [one for one in folders(code, path or landing) if _may_load(code, one[0], home)]
    keys = load_keys(home, os.environ)
    with _shown() as bar:
        done = ingest(home, delivered, keys=keys, loaded_at=now(), progress=_advancing(bar))
    if path is None:
        _clear(done)
    seconds = round(time.monotonic() - started, 3)
    if output == "json":
        typer.echo(json.dumps(_as_json(code, done, seconds), ensure_ascii=False))
    else:
        print_whole(_as_grid(done))
        point_to_refused(done.counts().quarantined)
    for one in done.feeds:
        if one.unexpected:
            names = ", ".join(sorted(one.unexpected))
            typer.echo(f"{one.feed.code}: headings that nobody reads: {names}.", err=True)
    for problem in done.problems:
        typer.echo(f"{problem.feed}, {problem.file}: {problem.message} Mend: {problem.mend}", err=True)
    if done.problems:
        raise typer.Exit(1)


def _may_load(code: str, one: Source, home: Path) -> bool:
    if switched_on(home, one):
        return True
    if code != ALL:
        mend = f"put `{code}: {{enabled: true}}` into {home / 'connections.yaml'}, once the agreement is signed."
        raise InputError(f"{code} ({one.name_zh}) is switched off: it is restricted.", field="SOURCE", mend=mend)
    typer.echo(f"{one.code} ({one.name_zh}) is switched off and passed over.", err=True)
    return False


def _clear(done: Ingested) -> None:
    """Remove landed files that are loaded: they hold personal data in clear, and what was refused is kept.

    Those that were read, no others: what lands during a load is for the next one.
    """
    kept = {(problem.feed.partition("/")[0], problem.file) for problem in done.problems}
    for one in done.feeds:
        for path in one.files if not one.stopped else ():
            if (one.feed.source, path.name) not in kept:
                path.unlink()


def _shown() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("file {task.fields[file]}"),
        TextColumn("{task.completed:,.0f} records"),
        TextColumn("{task.fields[speed]:,.0f}/s"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )


def _advancing(bar: Progress) -> Callable[[Feed, int, int], None]:
    tasks: dict[str, Any] = {}
    since: dict[str, float] = {}

    def advance(feed: Feed, records: int, file: int) -> None:
        if feed.code not in tasks:
            for task in tasks.values():
                bar.update(task, visible=False)
            since[feed.code] = time.monotonic()
            tasks[feed.code] = bar.add_task(feed.code, total=None, file=0, speed=0.0)
        task = tasks[feed.code]
        bar.update(task, advance=records, file=file)
        passed = max(time.monotonic() - since[feed.code], 0.001)
        bar.update(task, speed=bar.tasks[task].completed / passed)

    return advance


def _as_json(code: str, done: Ingested, seconds: float) -> dict[str, object]:
    codes = list(dict.fromkeys(one.feed.source for one in done.feeds))
    by_source = {one: {**asdict(done.counts(one)), "feeds": _feeds(done.feeds, one)} for one in codes}
    parts: Mapping[str, object] = {"sources": by_source} if code == ALL else {"feeds": _feeds(done.feeds, code)}
    return {
        "source": code,
        **asdict(done.counts()),
        "released": sum(done.released.values()),
        "seconds": seconds,
        **parts,
        "problems": [asdict(problem) for problem in done.problems],
    }


def _feeds(outcomes: Iterable[FeedOutcome], code: str) -> dict[str, object]:
    return {
        one.feed.name: {
            **asdict(one.counts),
            "table": one.feed.table.NAME,
            "files": len(one.files),
            "stopped": one.stopped,
            "unexpected": sorted(one.unexpected),
            "seconds": round(one.seconds, 3),
        }
        for one in outcomes
        if one.feed.source == code
    }


def _as_grid(done: Ingested) -> Grid:
    grid = plain_grid("feed", "files", *asdict(Counts()), "seconds")
    for column in grid.columns:
        column.justify = "left" if column.header == "feed" else "right"
    for one in done.feeds:
        counts = ["stopped", "", "", "", ""] if one.stopped else [f"{n:,}" for n in asdict(one.counts).values()]
        grid.add_row(one.feed.code, str(len(one.files)), *counts, f"{one.seconds:.1f}")
    total = [f"{n:,}" for n in asdict(done.counts()).values()]
    seconds = sum(one.seconds for one in done.feeds)
    grid.add_row("all", str(sum(len(one.files) for one in done.feeds)), *total, f"{seconds:.1f}")
    return grid
