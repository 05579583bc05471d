"""The command ``smoke ingest tables``."""

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table as Grid

from features.clock import now
from features.ingest.quarantine.notice import point_to_refused
from features.ingest.quarantine.sealing import seal_of
from features.ingest.table_files import FileProblem
from features.ingest.tables import SOURCE, Counts, Loaded, load_tables
from features.output import plain_grid, print_whole


def tables(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder with one file a table")],
    home: Annotated[Path, typer.Option(envvar="SMOKE_HOME", help="where all state lives")] = Path(".smoke"),
    source_code: Annotated[
        str | None, typer.Option(help="the source system of the rows; default: the first that delivers the table's key")
    ] = None,
    output: Annotated[Literal["table", "json"], typer.Option("--format", help="how to print the counts")] = "table",
) -> None:
    """Load files in the contract's shape: TABLE.parquet, TABLE.csv or TABLE.csv.gz, UTF-8.

    Columns that may be null can be left out. Blank cells are null; times without a zone are Asia/Shanghai. Three
    technical columns are used when present: source_record_id, source_code, and valid_from_ts, from when a row counts;
    rows older than what is in force are stored too. A column loaded_at is ignored: the moment of this load counts.

    Rows that do not fit go to quarantine, the others load; see smoke quarantine list. Rows that refer to what has not
    come yet wait there and load by themselves once it has. A file that cannot be read, or whose columns are wrong, is
    named with its mend and ends the command with exit code 1, after the others have loaded.

    Example: smoke ingest tables experiments/tsuchiura/tables
    """
    started = time.monotonic()
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed:,.0f} rows"),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    ) as bar:
        task = bar.add_task("reading", total=None)

        def advance(table: str, rows: int) -> None:
            bar.update(task, description=table, advance=rows)

        loaded = load_tables(
            home,
            folder,
            loaded_at=now(),
            source_code=source_code,
            seal=seal_of(home, os.environ),
            progress=advance,
        )
    seconds = round(time.monotonic() - started, 3)
    if output == "json":
        typer.echo(json.dumps(_as_json(loaded, seconds), ensure_ascii=False))
    else:
        print_whole(_as_grid(loaded))
        if loaded.released:
            typer.echo(f"{loaded.released:,} rows that had waited since earlier loads have been taken.")
        point_to_refused(loaded.total.quarantined)
    for problem in loaded.problems:
        typer.echo(f"{problem.file}: {problem.message} Mend: {problem.mend}", err=True)
    if loaded.problems:
        raise typer.Exit(1)


def _as_json(loaded: Loaded, seconds: float) -> dict[str, object]:
    return {
        "source": SOURCE,
        **asdict(loaded.total),
        "released": loaded.released,
        "seconds": seconds,
        "tables": {name: asdict(counts) for name, counts in loaded.tables.items()},
        "problems": [_problem(problem) for problem in loaded.problems],
    }


def _problem(problem: FileProblem) -> dict[str, str]:
    return {"file": problem.file, "message": problem.message, "mend": problem.mend}


def _as_grid(loaded: Loaded) -> Grid:
    grid = plain_grid("table", *asdict(Counts()))
    for column in grid.columns[1:]:
        column.justify = "right"
    for name, counts in [*loaded.tables.items(), ("all", loaded.total)]:
        grid.add_row(name, *[f"{number:,}" for number in asdict(counts).values()])
    return grid
