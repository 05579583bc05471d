"""The command ``smoke fetch``."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from filelock import FileLock, Timeout

from features.clock import now
from features.errors import StoreError
from features.ingest.feed import source
from features.ingest.fetch.connections import Connection, connection
from features.ingest.fetch.cursors import Cursors
from features.ingest.fetch.landing import FetchError, Landing
from features.ingest.fetch.rest import fetch_rest
from features.ingest.fetch.views import fetch_view

Home = Annotated[Path, typer.Option(envvar="SMOKE_HOME", help="where all state lives")]
Output = Annotated[Literal["table", "json"], typer.Option("--format", help="how to print the counts")]


@dataclass(frozen=True)
class Fetched:
    """What one feed brought.

    Attributes:
        feed: its name.
        records: how many landed.
        error: why it broke off; None when it did not.
    """

    feed: str
    records: int
    error: FetchError | None = None


def fetch(
    code: Annotated[str, typer.Argument(metavar="SOURCE", help="a code of smoke sources list")],
    home: Home = Path(".smoke"),
    output: Output = "table",
) -> None:
    """Pull what is new from a source's REST interface or SQL views into the landing folder, for smoke ingest SOURCE.

    Where the source is, and which of its feeds are fetched, stands in connections.yaml in the home; secrets are named
    there by environment variable only. A feed that cannot be fetched holds up no other; the exit code is 1 then.

    Example: smoke fetch S07 && smoke ingest S07
    """
    started = time.monotonic()
    source(code)
    fetched = fetch_source(home, connection(home, code))
    seconds = round(time.monotonic() - started, 3)
    if output == "json":
        counts = {one.feed: one.records for one in fetched}
        errors = [one.error for one in fetched if one.error]
        whole = {
            "source": code,
            "records": sum(counts.values()),
            "seconds": seconds,
            "feeds": counts,
            "problems": [{"feed": error.feed, "message": error.what, "mend": error.mend} for error in errors],
        }
        typer.echo(json.dumps(whole, ensure_ascii=False))
    else:
        for one in fetched:
            typer.echo(f"{code}/{one.feed}  {one.records:,} records")
    for one in fetched:
        if one.error:
            typer.echo(str(one.error), err=True)
    if any(one.error for one in fetched):
        raise typer.Exit(1)


def fetch_source(home: Path, of: Connection) -> list[Fetched]:
    """Fetch the feeds that a connection names, one after the other.

    Raises:
        StoreError: another process is fetching the same source.
    """
    landing, cursors = Landing(home, of.source, now()), Cursors(home, of.source)
    cursors.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with FileLock(cursors.file.with_suffix(".lock"), timeout=5):
            landing.clear_partial()
            return [_fetched(of, name, landing, cursors) for name in of.feeds]
    except Timeout as error:
        message = f"{of.source} is being fetched by another process. Wait until it has ended, then run again."
        raise StoreError(message) from error


def _fetched(of: Connection, name: str, landing: Landing, cursors: Cursors) -> Fetched:
    pull = fetch_rest if of.kind == "rest" else fetch_view
    try:
        return Fetched(name, pull(source(of.source).feed(name), of, landing, cursors))
    except FetchError as error:
        return Fetched(name, 0, error)
