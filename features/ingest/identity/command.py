"""The command ``smoke identities``: what could not be told, and what people decided about it."""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
import typer

from features.clock import now
from features.errors import InputError
from features.ingest.cleaning import read_uscc
from features.ingest.identity.candidates import Candidate, as_json
from features.ingest.identity.resolving import REASONS, shown_name
from features.ingest.identity.work_items import WorkItems, proposals
from features.output import Format, print_block, write_frame
from features.tables.door import Look
from features.tables.organisations import Organisation, Person
from features.tables.store import TableStore

Home = Annotated[Path, typer.Option(envvar="SMOKE_HOME", help="where all state lives")]
Output = Annotated[Format | None, typer.Option("--format", help="table for people; json or csv for programs")]
Item = Annotated[str, typer.Argument(metavar="ID", help="an id of smoke identities list")]
User = Annotated[str, typer.Option("--as", help="who decides")]
Because = Annotated[str, typer.Option(help="why, for those who come after")]
Reader = Annotated[str | None, typer.Option("--as", help="who wants to see the names of persons; with --purpose")]
Purpose = Annotated[str | None, typer.Option(help="what for; the look is logged, see smoke access list")]
KindOption = Annotated[
    Literal["organisation", "person", "name_conflict"] | None, typer.Option(help="only items of one kind")
]

_ON_SCREEN = ("item_id", "kind", "source", "given", "name", "records", "candidate", "score", "state")
_STORED_PERSON = "take an id from the candidates of `smoke identities show`; a person must be stored before."
_STORED_OR_CODE = "take an id from the candidates of `smoke identities show`, or give a valid 18-character credit code."

identities_app = typer.Typer(
    help="Unresolved identities: list, show, decide, dismiss.\n\nExample: smoke identities list --kind organisation",
    no_args_is_help=True,
)


@identities_app.command("list")
def list_items(
    home: Home = Path(".smoke"),
    kind: KindOption = None,
    source: Annotated[str | None, typer.Option(help="only items of one source system")] = None,
    state: Annotated[Literal["open", "decided", "dismissed", "all"], typer.Option(help="which items")] = "open",
    limit: Annotated[int, typer.Option(min=1, help="print only so many")] = 50,
    reader: Reader = None,
    purpose: Purpose = None,
    output: Output = None,
) -> None:
    """List codes and names of which it is not known whom they mean, those that most records wait for first.

    Identity numbers are masked, and names of persons unless --as and --purpose are given. The candidate is the
    likeliest organisation or person by what is stored now.

    Example: smoke identities list --kind organisation
    """
    look = Look.stated(reader, purpose)
    items = WorkItems(home).items(kind=kind, source=source, state=None if state == "all" else state)
    shown = items.head(limit)
    shown, found = _fit_to_show(home, look, shown, proposals(TableStore(home), shown))
    best = [found.get(item, [])[:1] for item in shown.get_column("item_id")]
    rows = shown.drop("neighbours").with_columns(
        candidate=pl.Series([f"{one[0].id} {one[0].name}" if one else None for one in best], dtype=pl.String),
        score=pl.Series([one[0].score if one else None for one in best], dtype=pl.Float64),
    )
    table = output in (None, Format.TABLE)
    write_frame(rows.select(_ON_SCREEN) if table else rows, None, output)
    if table:
        typer.echo(f"{shown.height:,} of {items.height:,} items; smoke identities show ID shows one whole.")


@identities_app.command()
def show(
    item: Item,
    home: Home = Path(".smoke"),
    reader: Reader = None,
    purpose: Purpose = None,
    output: Output = None,
) -> None:
    """Show one item with all its candidates and what speaks for each.

    Names of persons are masked unless --as and --purpose are given.

    Example: smoke identities show 3f1c9a60b2d4e871 --as wang --purpose 核对身份
    """
    look = Look.stated(reader, purpose)
    one = WorkItems(home).item(item)
    shown, found = _fit_to_show(home, look, one, proposals(TableStore(home), one))
    row, candidates = shown.row(0, named=True), found.get(item, [])
    if output is Format.JSON:
        plain = {name: str(value) if isinstance(value, dt.datetime) else value for name, value in row.items()}
        typer.echo(json.dumps({**plain, "candidates": [vars(one) for one in candidates]}, ensure_ascii=False))
        return
    reason = str(row["reason"] or "")
    facts = {**row, "reason": REASONS.get(reason, reason)}
    if output is Format.CSV:
        told = [(name, None if value is None else str(value)) for name, value in facts.items()]
        write_frame(pl.DataFrame(told, schema=["field", "value"], orient="row"), None, output)
    else:
        print_block({name: value for name, value in facts.items() if name != "neighbours"})
        typer.echo("")
    names = {"id": pl.String(), "name": pl.String(), "score": pl.Float64(), "why": pl.String()}
    write_frame(pl.DataFrame([vars(one) for one in candidates], schema=names), None, output)


@identities_app.command()
def decide(
    item: Item,
    chosen: Annotated[str, typer.Option("--id", help="the organisation or person that is meant")],
    user: User,
    because: Because,
    home: Home = Path(".smoke"),
) -> None:
    """Say whom a code and name of one source mean. It holds for replays and all later deliveries of that source.

    An organisation is named by its credit code, also one that is not stored yet; a person must be stored.

    Example: smoke identities decide 3f1c9a60b2d4e871 --id 91511300MA62960B0Y --as wang --because 核对营业执照
    """
    row, candidates = _with_candidates(home, item)
    _refuse_unknown(home, str(row["about"]), chosen)
    _settle(home, item, "decided", chosen, user, because, candidates)
    typer.echo(f"{item}: {chosen}. It is used when the records are judged again: by a replay or their next delivery.")


@identities_app.command()
def dismiss(item: Item, user: User, because: Because, home: Home = Path(".smoke")) -> None:
    """Take an item off the list without naming anyone; its records stay where they are.

    Example: smoke identities dismiss 3f1c9a60b2d4e871 --as wang --because 境外单位,无统一社会信用代码
    """
    _, candidates = _with_candidates(home, item)
    _settle(home, item, "dismissed", None, user, because, candidates)
    typer.echo(f"{item}: dismissed.")


def _settle(
    home: Path,
    item: str,
    state: Literal["decided", "dismissed"],
    chosen: str | None,
    user: str,
    because: str,
    candidates: Sequence[Candidate],
) -> None:
    with TableStore(home).writing():
        WorkItems(home).settle(item, state, chosen, by=user, because=because, candidates=as_json(candidates), at=now())


def _fit_to_show(
    home: Path, look: Look | None, items: pl.DataFrame, found: dict[str, list[Candidate]]
) -> tuple[pl.DataFrame, dict[str, list[Candidate]]]:
    """Return items and candidates with the names of persons masked, or whole once the look at them is logged."""
    person = pl.col("about") == "person"
    persons = items.filter(person).get_column("item_id")
    if persons.is_empty():
        return items, found
    if look is not None:
        look.note(TableStore(home), Person, ["name"], subject=persons.item() if items.height == 1 else None)
        return items, found
    name = pl.col("name").map_elements(shown_name, pl.String)
    masked = {item: [replace(one, name=shown_name(one.name)) for one in found.get(item, [])] for item in persons}
    return items.with_columns(pl.when(person).then(name).otherwise("name").alias("name")), found | masked


def _with_candidates(home: Path, item: str) -> tuple[dict[str, object], list[Candidate]]:
    found = WorkItems(home).item(item)
    return found.row(0, named=True), proposals(TableStore(home), found).get(item, [])


def _refuse_unknown(home: Path, about: str, chosen: str) -> None:
    """Make sure that an id means somebody; what was given may be an identity number, so it is not repeated."""
    person = about == "person"
    table, mend = (Person, _STORED_PERSON) if person else (Organisation, _STORED_OR_CODE)
    stored = TableStore(home).versions(table).filter(pl.col(table.key()) == chosen).head(1).collect()
    if stored.is_empty() and (person or read_uscc(chosen) != chosen):
        raise InputError(f"--id names no {about} that could be meant.", field="--id", mend=mend)
