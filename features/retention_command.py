"""The command ``smoke retention``: the rules, what is due, and the purge."""

import getpass
import os
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
import typer

from features import retention_run
from features.clock import now, parse_moment
from features.errors import InputError
from features.ingest.keys import DATA_KEY, KEY_FILE, load_keys
from features.ingest.quarantine.sealing import Seal
from features.output import Format, write_frame
from features.tables.purge import RetentionLog
from features.tables.retention import rules

Home = Annotated[Path, typer.Option(envvar="SMOKE_HOME", help="where all state lives")]
Output = Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="table for people, json or csv")]
_SHOWN = ["state", "at", "by", "rule", "table", "columns", "horizon", "rows", "oldest", "newest", "basis", "run_id"]

retention_app = typer.Typer(
    help="How long what is kept, and taking away what is over.\n\nExample: smoke retention run --dry-run",
    no_args_is_help=True,
)


@retention_app.command("list")
def list_rules(output: Output = "table") -> None:
    """List the rules: what is purged or kept, how long, from when, and by which law.

    Example: smoke retention list
    """
    rows = [
        {
            "rule": rule.rule,
            "action": rule.action,
            "tables": ";".join(rule.tables),
            "columns": ";".join(rule.columns),
            "clock": rule.clock,
            "days": rule.days,
            "months": rule.months,
            "basis": rule.basis,
            "reason_zh": rule.reason_zh,
        }
        for rule in rules()
    ]
    write_frame(pl.DataFrame(rows), None, Format(output))


@retention_app.command()
def run(
    home: Home = Path(".smoke"),
    as_of: Annotated[str | None, typer.Option(help="the day from which ages are counted; default: now")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what is due")] = False,
    by: Annotated[str | None, typer.Option(help="who runs it; default: the account of this machine")] = None,
    output: Output = "table",
) -> None:
    """Purge what its time is over for, from tables, quarantine and what a killed load left behind.

    The bytes are gone afterwards, older files of the tables included. Every purge is logged before and after. A run
    that was killed is finished by the next.

    Example: smoke retention run --dry-run
    """
    if not home.is_dir():
        raise InputError(f"There is no folder {home}.", field="--home", mend="name the folder where the tables are.")
    at = now() if as_of is None else parse_moment(as_of)
    if as_of is not None and len(as_of.strip()) == 10:
        at = at.replace(hour=0, minute=0, second=0, microsecond=0)
    seal = Seal(load_keys(home, os.environ).data) if any(map(os.environ.get, (DATA_KEY, KEY_FILE))) else None
    if dry_run:
        done = retention_run.due(home, at, seal)
    else:
        done = retention_run.run(home, at=at, by=by or getpass.getuser(), seal=seal)
    write_frame(done.select(_SHOWN), None, Format(output))


@retention_app.command()
def log(home: Home = Path(".smoke"), output: Output = "table") -> None:
    """Show what has been purged: what, how many rows, of which days, by which rule, when and by whom.

    Example: smoke retention log --format csv
    """
    write_frame(RetentionLog(home).read().select(_SHOWN), None, Format(output))
