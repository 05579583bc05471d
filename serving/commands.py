"""Commands: score, explain, serve."""

import datetime as dt
import os
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import polars as pl
import typer
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from features.clock import now, parse_moment
from features.commands import loaded_store
from features.errors import InputError
from features.output import Format, output_format, write_frame
from features.tables.results import SmokeIndex
from features.tables.source import read_source_tables
from features.tables.store import TableStore, TableWriter
from serving.messages import Evidence, Explanation, ScoreRequest, Subject
from serving.scoring import DEFAULT_TYPES, Scorer, champion, score_all
from serving.settings import Settings, settings_from

TYPES = ("lot", "project", "organisation", "person", "pair")
SHOWN_ROWS = 5

Home = Annotated[Path | None, typer.Option(help="Folder with all state; default SMOKE_HOME or .smoke.")]
AsOf = Annotated[str, typer.Option("--as-of", help="Date (counts to its end) or time.")]


class Shown(StrEnum):
    """How an explanation is printed."""

    TABLE = "table"
    JSON = "json"


def score(
    as_of: AsOf,
    out: Annotated[Path | None, typer.Option(help="File to write; .parquet, .csv or .json tells the format.")] = None,
    types: Annotated[str, typer.Option(help="Kinds of subject, comma-separated.")] = ",".join(DEFAULT_TYPES),
    known_at: Annotated[str | None, typer.Option(help="Only rows loaded up to this moment.")] = None,
    format: Annotated[Format | None, typer.Option(help="Default: the file's ending, else a table.")] = None,  # noqa: A002
    home: Home = None,
) -> None:
    """Score all subjects and keep the index in the table smoke_index, unless --known-at replays a past state.

    Example: smoke score --as-of 2026-06-30 --out scores.parquet.
    """
    settings = _settings(home)
    moment = parse_moment(as_of)
    known = None if known_at is None else parse_moment(known_at, field="known_at")
    wanted = _types(types)
    output_format(out, format)
    store = loaded_store(settings.home)
    with Console(stderr=True).status("计算冒烟指数…"):
        if known is not None:
            index = score_all(read_source_tables(store, known, run="score"), moment, champion(settings), wanted)
        else:
            # What is read and what is kept belong together: no load comes between.
            with store.writing():
                index = score_all(read_source_tables(store, run="score"), moment, champion(settings), wanted)
                _keep(store, index, moment, wanted)
    write_frame(index.sort("score", descending=True, nulls_last=True, maintain_order=True), out, format)


def _types(text: str) -> list[str]:
    wanted = text.split(",")
    unknown = [one for one in wanted if one not in TYPES]
    if unknown:
        raise InputError(f"{unknown[0]!r} is no kind of subject.", field="--types", mend=f"use {', '.join(TYPES)}.")
    return wanted


def _keep(store: TableStore, index: pl.DataFrame, moment: dt.datetime, types: Sequence[str]) -> None:
    """Store an index in ``smoke_index``: what is there already stays, what differs or is gone is a version."""
    runs = {kind: f"{moment.isoformat()}/{kind}" for kind in types}
    rows = index.with_columns(source_record_id=pl.col("subject_type").cast(pl.String).replace_strict(runs))
    TableWriter(store, SmokeIndex, now(), "D00").upsert(rows, complete_records=pl.Series(list(runs.values())))


def explain(
    subject: Annotated[str, typer.Argument(help="Kind and id, such as lot:L1.")],
    as_of: Annotated[str | None, typer.Option("--as-of", help="Date or time; default today.")] = None,
    format: Annotated[Shown, typer.Option(help="How to print.")] = Shown.TABLE,  # noqa: A002
    home: Home = None,
) -> None:
    """Explain one score. Example: smoke explain lot:L1 --as-of 2026-06-30."""
    kind, _, id_ = subject.partition(":")
    if kind == "organisation" and "~" in id_:
        kind, id_ = "pair", subject
    if kind not in TYPES or not id_:
        raise InputError(f"{subject!r} is no subject.", field="SUBJECT", mend="write kind and id, such as lot:L1.")
    request = ScoreRequest(as_of=as_of, subjects=[Subject(kind, id_)])
    answer = Scorer(_settings(home)).explain(request)
    if format is Shown.JSON:
        typer.echo(msgspec.json.format(msgspec.json.encode(answer.results[0])).decode())
    else:
        _show(answer.results[0], answer.as_of)


def serve(
    host: Annotated[str | None, typer.Option(help="Default SMOKE_HOST or 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Default SMOKE_PORT or 3000.")] = None,
    home: Home = None,
) -> None:
    """Serve the API. Example: smoke serve --port 3000."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")
    import uvicorn

    settings = _settings(home)
    os.environ["SMOKE_HOME"] = str(settings.home)
    address = (host or settings.host, settings.port if port is None else port)
    check_address(*address)
    uvicorn.run("serving.app:app", host=address[0], port=address[1])


def check_address(host: str, port: int) -> None:
    """Make sure that the address can be listened on, so that a taken port is one line.

    Raises:
        InputError: it cannot.
    """
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the port must lie between 0 and 65535"
        raise InputError(
            f"{host}:{port} cannot be listened on: {reason}.", field="--port", mend="give another --port or --host."
        ) from error


def _settings(home: Path | None) -> Settings:
    settings = settings_from(os.environ)
    return settings if home is None else replace(settings, home=home)


def _show(one: Explanation, as_of: str) -> None:
    """Print an explanation for an officer."""
    console = Console()
    text = "无法评估" if one.score is None else f"{one.score:.1f}"
    console.print(f"{one.type}:{one.id}  时点 {as_of}", markup=False)
    console.print(f"冒烟指数 {text}　等级 {one.level_zh}　可评估覆盖率 {one.coverage or 0:.0%}", markup=False)
    if one.contributions:
        table = _table("分值", "说明", "法律依据", "证据")
        for line in one.contributions:
            said = f"{line.id} {line.sentence_zh}"
            table.add_row(*_cells(f"{line.points:+.2f}", said, "\n".join(line.law), _rows(line.evidence)))
        console.print(table)
    if one.counterfactual:
        console.print(one.counterfactual.sentence_zh, markup=False)
    alike: dict[tuple[str, str, str], list[str]] = {}
    for item in one.not_assessable:
        if item.evidence:
            key = (item.reason_zh, "\n".join(item.law), _rows(item.evidence))
            alike.setdefault(key, []).append(f"{item.id} {item.name_zh}")
    if alike:
        table = _table("无法评估的指标", "原因", "法律依据", "所见数据")
        for key, names in alike.items():
            table.add_row(*_cells("\n".join(names), *key))
        console.print(table)
    reasons = Counter(item.reason_zh for item in one.not_assessable)
    counted = "；".join(f"{reason} {n} 项" for reason, n in reasons.most_common())
    console.print(f"{len(one.not_assessable)} 项指标无法评估（缺数据不代表无风险）：{counted}。", markup=False)


def _table(*headings: str) -> RichTable:
    table = RichTable()
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _cells(*texts: str) -> list[Text]:
    return [Text(text) for text in texts]


def _rows(evidence: Sequence[Evidence]) -> str:
    """Name the source rows, the first five of them; the value's own row is no source."""
    rows = [f"{row.table} {row.key}" for row in evidence if row.table != "indicator_value"]
    more = [f"共 {len(rows)} 行"] if len(rows) > SHOWN_ROWS else []
    return "\n".join([*rows[:SHOWN_ROWS], *more])
