"""The commands ``smoke ingest ocds`` and ``smoke quarantine``; ``smoke ingest tables`` has a module of its own."""

import csv
import io
import json
import os
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import polars as pl
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from features.clock import now
from features.errors import InputError
from features.ingest.feed import Feed, sources
from features.ingest.identity.resolving import without_personal_numbers
from features.ingest.keys import KEY_FILE, load_keys
from features.ingest.mapping.cells import has_key, public_headings
from features.ingest.ocds.files import SOURCE as OCDS
from features.ingest.ocds.files import Delivery
from features.ingest.ocds.loading import Loaded, load_ocds, replay_ocds
from features.ingest.ocds.publishers import BidsPublished, publishers
from features.ingest.quarantine.entries import ENTRY_SCHEMA, MASK, SEALED, Quarantine, masked
from features.ingest.quarantine.notice import point_to_refused
from features.ingest.quarantine.sealing import seal_of
from features.ingest.replay_feeds import replay_feed_records
from features.ingest.sources_command import add_ingest_commands
from features.ingest.tables import SOURCE as TABLES
from features.ingest.tables import replay_rows
from features.ingest.tables_command import tables
from features.output import on_screen, print_block
from features.tables.contract import SOURCE_TABLES

Format = Literal["table", "json", "csv"]
Home = Annotated[Path, typer.Option(envvar="SMOKE_HOME", help="where all state lives")]
Output = Annotated[Format, typer.Option("--format", help="table for people, json or csv for programs")]
SourceCode = Annotated[str, typer.Option(help="the source system that the rows are from")]
Bids = Annotated[
    BidsPublished | None,
    typer.Option(help="whether the releases hold all bids or only the ranked ones; default: as declared"),
]
RegionCode = Annotated[str | None, typer.Option("--region", help="the division of the procedures, GB/T 2260")]
ObjectType = Annotated[str | None, typer.Option(help="the object type of releases that name none: works, goods, ...")]

FEEDS = "feeds"
"""Entries of declared feeds, whatever the source."""
_LISTED = ("id", "loaded_at", "source", "file", "record", "table", "level", "field", "value", "reason", "message")
_ON_SCREEN = ("id", "record", "table", "field", "value", "reason", "mend")
_PERSONAL_KEYS = frozenset({"contactPoint", "contactPoints"})

ingest_app = typer.Typer(help="Load a delivery.\n\nExample: smoke ingest all DIR", no_args_is_help=True)
quarantine_app = typer.Typer(
    help="What could not be taken: list, show and replay.\n\nExample: smoke quarantine list --summary",
    no_args_is_help=True,
)
ingest_app.command()(tables)
add_ingest_commands(ingest_app)


@ingest_app.command()
def ocds(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="releases, records or packages: JSON, JSON lines, gzip")],
    home: Home = Path(".smoke"),
    bids_published: Bids = None,
    region: RegionCode = None,
    object_type: ObjectType = None,
    source_code: SourceCode = "S01",
    output: Output = "table",
) -> None:
    """Load OCDS releases: packages, records, compiled or single releases; JSON or JSON lines, plain or gzip.

    Releases of one process are merged by date with those loaded before. A release that is known already is unchanged,
    one that a later compiled release overrides is superseded. A release that cannot be read goes to quarantine; of
    one that loads, single bids, awards or values may, see smoke quarantine list.

    Example: smoke ingest ocds releases.jsonl --region 420500 --bids-published all
    """
    started = time.monotonic()
    declared = publishers(bids_published=bids_published, region_code=region, object_type=object_type)
    with _reading(file) as delivery:
        loaded = load_ocds(home, delivery, declared, loaded_at=now(), source_code=source_code)
    _print_one({"source": OCDS, **_counts(loaded), "seconds": round(time.monotonic() - started, 3)}, output)
    if output == "table":
        point_to_refused(loaded.counts.quarantined + loaded.rows + loaded.values)


@quarantine_app.command("list")
def list_entries(
    home: Home = Path(".smoke"),
    source: Annotated[str | None, typer.Option(help="only entries of this adapter: ocds, tables, S01, ...")] = None,
    state: Annotated[Literal["open", "replayed", "superseded", "all"], typer.Option(help="which entries")] = "open",
    summary: Annotated[bool, typer.Option("--summary", help="count entries by table, field and reason")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="print only the oldest entries")] = None,
    output: Output = "table",
) -> None:
    """List what could not be taken, oldest first, with the reason and the mend. Personal data are not shown.

    An entry is open until its record is taken: replayed from here, or delivered again (superseded). Of a row that waits
    for others, field and value name the first that it lacked at the last load.

    Example: smoke quarantine list --summary
    """
    found = Quarantine(home).list(source=source, state=None if state == "all" else state)
    if summary:
        by = ["source", "table", "level", "field", "reason", "mend"]
        counted = found.with_columns(pl.col("field").str.replace_all(r"\[.*?\]", "[]")).group_by(by).len("count")
        most_first = counted.sort("count", *by, descending=[True, *[False] * len(by)])
        _print_rows(most_first.to_dicts(), output, most_first.columns)
        return
    shown = found if limit is None else found.head(limit)
    columns = _ON_SCREEN if output == "table" else (*_LISTED, "mend", "state")
    _print_rows([_plain(row) for row in shown.select(columns).iter_rows(named=True)], output, columns)
    if output == "table":
        typer.echo(f"{shown.height:,} of {found.height:,} entries; smoke quarantine show ID shows one whole.")


@quarantine_app.command()
def show(
    entry: Annotated[str, typer.Argument(metavar="ID", help="an id of smoke quarantine list")],
    home: Home = Path(".smoke"),
    output: Output = "table",
) -> None:
    """Show one entry with the record as delivered. Personal data are not shown.

    Example: smoke quarantine show 3f1c9a60b2d4e871
    """
    found = _plain(Quarantine(home, seal_of(home, os.environ)).show(entry))
    table, raw = str(found["table"]), str(found["raw"])
    as_contract = found["source"] == OCDS or found["in_shape"]
    hidden = _without_personal_data(table, raw) if as_contract else _only_public_cells(table, str(found["feed"]), raw)
    found["raw"] = without_personal_numbers(hidden)
    _print_one(found, output)


@quarantine_app.command()
def replay(
    ids: Annotated[list[str] | None, typer.Option("--id", help="an entry; can be given several times")] = None,
    every: Annotated[bool, typer.Option("--all", help="all open entries")] = False,
    mended: Annotated[Path | None, typer.Option(help="the record of the one --id, mended: JSON")] = None,
    home: Home = Path(".smoke"),
    bids_published: Bids = None,
    region: RegionCode = None,
    object_type: ObjectType = None,
    source_code: Annotated[str | None, typer.Option(help="the source of entries that do not name theirs")] = None,
    output: Output = "table",
) -> None:
    """Judge open entries again, after a mend: of a declaration, of the rows they refer to, or of the record itself.

    Releases and rows that are taken now are loaded. A refused bid, award or value of an OCDS release is settled when
    the process, as it stands in the archive now, holds nothing that is refused there. Rows that wait for what they
    refer to are tried by every load, and here. Sealed records need the key that they were loaded under.

    Example: smoke quarantine replay --all --object-type works
    """
    if bool(ids) == every:
        raise InputError("Which entries is not said.", field="id", mend="give --id ID or --all.")
    seal = seal_of(home, os.environ)
    started, moment, quarantine = time.monotonic(), now(), Quarantine(home, seal)
    if seal is None and mended is None:
        _refuse_sealed(quarantine, ids)
    pending = _pending(quarantine, ids) if mended is None else _mended(quarantine, ids or [], mended)
    absent = set(ids or []).difference(*[entries.get_column("id") for entries in pending.values()])
    if absent:
        raise InputError(
            f"No entry that is open, and kept whole, has the id {min(absent)!r}.",
            field="id",
            mend="take an id from smoke quarantine list, or give the record with --mended.",
        )
    declared = publishers(bids_published=bids_published, region_code=region, object_type=object_type)
    of_sources = pending[FEEDS]
    taken = {
        FEEDS: replay_feed_records(home, of_sources, keys=load_keys(home, os.environ), loaded_at=moment)
        if of_sources.height
        else [],
        OCDS: replay_ocds(home, pending[OCDS], declared, loaded_at=moment, source_code=source_code or "S01")[1],
        TABLES: replay_rows(home, pending[TABLES], loaded_at=moment, source_code=source_code, seal=seal)[1],
    }
    counts = {"replayed": sum(map(len, pending.values())), "taken": sum(map(len, taken.values()))}
    row = {**counts, "refused": counts["replayed"] - counts["taken"], "seconds": round(time.monotonic() - started, 3)}
    _print_one(row, output)


@contextmanager
def _reading(file: Path) -> Generator[Delivery]:
    """Yield a delivery whose reading is shown on a terminal."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    ) as bar:
        task = bar.add_task(file.name, total=file.stat().st_size if file.is_file() else None)
        yield Delivery(file, on_bytes=lambda read: bar.update(task, completed=read))


def _counts(loaded: Loaded) -> dict[str, int]:
    return {**asdict(loaded.counts), "rows_quarantined": loaded.rows, "values_quarantined": loaded.values}


def _refuse_sealed(quarantine: Quarantine, ids: Sequence[str] | None) -> None:
    """Say so where entries cannot be opened without the key, rather than pass them over."""
    sealed = quarantine.list().filter(pl.col("raw_encoding") == SEALED)
    count = sealed.filter(pl.col("id").is_in(ids)).height if ids else sealed.height
    if count:
        mend = "set SMOKE_KEY_FILE to the keys that they were loaded under."
        raise InputError(f"{count:,} open entries are sealed.", field=KEY_FILE, mend=mend)


def _pending(quarantine: Quarantine, ids: Sequence[str] | None) -> dict[str, pl.DataFrame]:
    """Return the open entries: of OCDS, of whole tables and rows of any source that wait, and of feeds."""
    entries = quarantine.pending_raw(None, ids)
    of_ocds = pl.col("source") == OCDS
    of_tables = (pl.col("source") == TABLES) | (pl.col("waiting") & ~of_ocds)
    return {
        OCDS: entries.filter(of_ocds),
        TABLES: entries.filter(of_tables),
        FEEDS: entries.filter(~of_ocds & ~of_tables),
    }


def _mended(quarantine: Quarantine, ids: Sequence[str], mended: Path) -> dict[str, pl.DataFrame]:
    """Return the one entry with the record of a file in place of the one it was refused for, by source."""
    if len(ids) != 1:
        raise InputError("--mended is for one entry.", field="mended", mend="give one --id with it.")
    entry = quarantine.show(ids[0])
    if entry["source"] == OCDS and entry["level"] != "release":
        raise InputError(
            f"{ids[0]} is a part of the release of {entry['record']}.",
            field="mended",
            mend="load the release again, mended, with smoke ingest ocds.",
        )
    if not mended.is_file():
        mend = "name the file that holds the mended record."
        raise InputError(f"There is no file {mended}.", field="mended", mend=mend)
    try:
        text = mended.read_text(encoding="utf-8")
        record: object = json.loads(text)
    except ValueError as error:
        mend = "give the record as JSON."
        raise InputError(f"{mended} is no JSON file in UTF-8.", field="mended", mend=mend) from error
    if not isinstance(record, dict) or not _has_key(entry, cast(dict[str, object], record)):
        mend = "give the whole record as a JSON object, its key among its cells."
        raise InputError(f"{mended} holds no record with a key.", field="mended", mend=mend)
    given = {**entry, "raw": text, "raw_encoding": "text", "waiting": False}
    one = pl.DataFrame([given], schema_overrides=ENTRY_SCHEMA)
    taken = one if entry["state"] == "open" else one.clear()
    kind = entry["source"] if entry["source"] in (OCDS, TABLES) else FEEDS
    return {name: taken if name == kind else one.clear() for name in (OCDS, TABLES, FEEDS)}


def _has_key(entry: Mapping[str, Any], record: Mapping[str, object]) -> bool:
    """Tell whether a mended record says which row it is; of a release the load itself tells what it lacks."""
    if entry["source"] == OCDS:
        return bool(record)
    if entry["in_shape"] or entry["source"] == TABLES:
        # A row with too few or too many cells is kept as a list of them.
        return "cells" in record or bool(record.get(SOURCE_TABLES[entry["table"]].key()))
    return all(has_key(feed, record) for feed in _declared(str(entry["feed"])))


def _without_personal_data(table: str, raw: str) -> str:
    """Hide the cells of personal columns, and the contact points of parties."""
    try:
        content: object = json.loads(raw)
    except ValueError:
        return raw
    return json.dumps(_hidden(content, table), ensure_ascii=False)


def _only_public_cells(table: str, feed: str, raw: str) -> str:
    """Hide all cells of a record but those whose heading the feed declares, or whose column has no personal data."""
    try:
        content: object = json.loads(raw)
    except ValueError:
        return MASK
    if not isinstance(content, dict) or table not in SOURCE_TABLES:
        return MASK
    of, cells = SOURCE_TABLES[table], cast(dict[str, object], content)
    public = {name for name in of.column_names() if of.about(name)["personal_data_class"] == "none"}
    public.update(*(public_headings(one, cells) for one in _declared(feed)))
    return json.dumps({name: cell if name in public else MASK for name, cell in cells.items()}, ensure_ascii=False)


def _declared(code: str) -> list[Feed]:
    return [feed for one in sources().values() for feed in one.feeds if feed.code == code]


def _hidden(content: object, table: str) -> object:
    if isinstance(content, list):
        return [_hidden(one, table) for one in cast(list[object], content)]
    if not isinstance(content, dict):
        return content
    record = cast(dict[str, object], content)
    heading, cells = record.get("heading"), record.get("cells")
    if isinstance(cells, list):
        names, row = cast(list[object], heading if isinstance(heading, list) else []), cast(list[object], cells)
        # Which column a cell belongs to is only known where no cell is missing or too many.
        shown = [_hidden({str(name): cell}, table) for name, cell in zip(names, row, strict=False)]
        hidden = [next(iter(cast(dict[str, object], one).values())) for one in shown]
        return {**record, "cells": hidden if len(names) == len(row) else [MASK] * len(row)}
    found: dict[str, object] = {}
    for name, value in record.items():
        if name in _PERSONAL_KEYS or (isinstance(value, str) and masked(table, name, value) == MASK):
            found[name] = MASK
        else:
            found[name] = _hidden(value, table)
    return found


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}


def _print_one(row: Mapping[str, Any], output: Format) -> None:
    """Print one row: a line a column, a JSON object, or CSV."""
    if output == "json":
        typer.echo(json.dumps(row, ensure_ascii=False))
    elif output == "csv":
        _print_rows([row], output)
    else:
        print_block({name: f"{value:,}" if type(value) is int else value for name, value in row.items()})


def _print_rows(rows: Sequence[Mapping[str, Any]], output: Format, columns: Sequence[str] = ()) -> None:
    """Print rows: for people, as a JSON array, or CSV.

    Args:
        rows: all with the same columns.
        output: how.
        columns: the heading, should there be no row.
    """
    names = list(rows[0]) if rows else list(columns)
    if output == "json":
        typer.echo(json.dumps(rows, ensure_ascii=False))
    elif output == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        typer.echo(text.getvalue(), nl=False)
    else:
        typer.echo(on_screen(pl.DataFrame(rows, schema=names, infer_schema_length=None)))
