"""The command ``smoke parameters``: what is configured, and changing it by two people."""

from pathlib import Path
from typing import Annotated, Literal

import polars as pl
import typer

from features.clock import now, parse_start
from features.output import Format, write_frame
from features.parameters import approve as approve_change
from features.parameters import changes
from features.parameters import propose as propose_change
from features.tables.store import TableStore

Home = Annotated[Path, typer.Option(envvar="SMOKE_HOME", help="where all state lives")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="SI-034.c_min, SETTING.<name> or LIST.<list>")]
User = Annotated[str, typer.Option("--as", help="who does it")]
_SHOWN = ["param_key", "current_value", "default_value", "valid_from", "valid_to", "state", "changed_by", "approved_by"]

parameters_app = typer.Typer(
    help="Parameters, lists and settings: list, propose, approve.\n\nExample: smoke parameters list",
    no_args_is_help=True,
)


@parameters_app.command("list")
def list_changes(
    home: Home = Path(".smoke"),
    state: Annotated[Literal["approved", "proposed", "all"], typer.Option(help="which changes")] = "all",
    output: Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="table, json or csv")] = "table",
) -> None:
    """List the changes made to parameters, lists and settings, oldest first; what nobody changed has its default.

    Example: smoke parameters list --state proposed
    """
    found = changes(TableStore(home))
    rows = found if state == "all" else found.filter(pl.col("state") == state)
    shown = [*_SHOWN, "reason"]
    write_frame(rows.select(shown), None, Format(output))


@parameters_app.command()
def propose(
    key: Key,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="the new value, or the entry of a list")],
    user: User,
    because: Annotated[str, typer.Option(help="why, for those who come after")],
    since: Annotated[str | None, typer.Option("--from", help="the day from which it counts; default: its approval")] = (
        None
    ),
    until: Annotated[str | None, typer.Option(help="the day from which it counts no more")] = None,
    home: Home = Path(".smoke"),
) -> None:
    """Propose a change. It counts once somebody else has approved it, for moments after that, never for earlier ones.

    Example: smoke parameters propose SI-034.c_min 6 --from 2026-12-01 --as wang --because 区县市场较小
    """
    store, moment = TableStore(home), now()
    first = moment if since is None else parse_start(since, field="--from")
    last = None if until is None else parse_start(until, field="--until")
    with store.writing():
        stored = propose_change(store, key, value, by=user, because=because, valid_from=first, valid_to=last, at=moment)
    typer.echo(f"{stored} = {value}: proposed. It waits for: smoke parameters approve {stored} --as SOMEBODY_ELSE")


@parameters_app.command()
def approve(key: Key, user: User, home: Home = Path(".smoke")) -> None:
    """Approve the latest proposal of a key; it must be somebody else's.

    Example: smoke parameters approve SI-034.c_min --as li
    """
    store = TableStore(home)
    with store.writing():
        counts_from = approve_change(store, key, by=user, at=now())
    typer.echo(f"{key}: approved, counts from {counts_from:%Y-%m-%d %H:%M:%S}.")
