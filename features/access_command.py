"""The command ``smoke access``: who read sensitive columns."""

from pathlib import Path
from typing import Annotated, Literal

import polars as pl
import typer

from features.clock import parse_start
from features.output import Format, write_frame
from features.tables.reference import AccessLog
from features.tables.store import TableStore

access_app = typer.Typer(
    help="Who read sensitive columns.\n\nExample: smoke access list --since 2026-06-01", no_args_is_help=True
)


@access_app.callback()
def access() -> None:
    """The log of the door to sensitive columns."""


@access_app.command("list")
def list_accesses(
    home: Annotated[Path, typer.Option(envvar="SMOKE_HOME", help="where all state lives")] = Path(".smoke"),
    user: Annotated[str | None, typer.Option(help="only this account")] = None,
    table: Annotated[str | None, typer.Option(help="only this table")] = None,
    since: Annotated[str | None, typer.Option(help="only from this day or moment on")] = None,
    output: Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="table, json or csv")] = "table",
) -> None:
    """List the reads of sensitive columns, latest first: who, when, which table, subject and columns, and why.

    Example: smoke access list --since 2026-06-01
    """
    rows = TableStore(home).read(AccessLog)
    if user is not None:
        rows = rows.filter(pl.col("user_id") == user)
    if table is not None:
        rows = rows.filter(pl.col("table_name") == table)
    if since is not None:
        rows = rows.filter(pl.col("accessed_at") >= parse_start(since, field="since"))
    columns = ["accessed_at", "user_id", "table_name", "subject_id", "fields_read", "purpose"]
    write_frame(rows.sort("accessed_at", "log_id", descending=True).select(columns).collect(), None, Format(output))
