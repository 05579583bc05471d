"""The command ``smoke analyse``."""

import json
import os
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.console import Console

from features.clock import parse_moment
from features.commands import loaded_store
from features.errors import InputError
from features.output import Format, output_format, write_frame
from features.tables.source import read_source_tables
from serving.analyses import QUESTIONS, Analysis
from serving.analyses import analyse as answer
from serving.settings import settings_from


def analyse(
    name: Annotated[str, typer.Argument(metavar="ANALYSIS", help=", ".join(QUESTIONS))],
    as_of: Annotated[str, typer.Option("--as-of", help="date (counts to its end) or time; nothing later counts")],
    region: Annotated[str | None, typer.Option(help="a division, GB/T 2260, with all below it")] = None,
    since: Annotated[str | None, typer.Option("--from", help="only subjects with something from this day on")] = None,
    known_at: Annotated[str | None, typer.Option(help="only rows loaded up to this moment")] = None,
    top: Annotated[int, typer.Option(min=1, help="show only so many")] = 20,
    out: Annotated[Path | None, typer.Option(help="file for all subjects: .parquet, .csv or .json")] = None,
    output: Annotated[Format | None, typer.Option("--format", help="table for people; json or csv")] = None,
    home: Annotated[Path | None, typer.Option(help="where all state lives; default: SMOKE_HOME or .smoke")] = None,
) -> None:
    """Answer one of the seven analyses: subjects ranked, what fired, money at stake, coverage.

    The score is of this analysis alone. A subject without score could not be judged; that is not a clean one.

    Example: smoke analyse bid_rigging --region 511302 --as-of 2026-06-30
    """
    if name not in QUESTIONS:
        mend = f"name one of {', '.join(QUESTIONS)}."
        raise InputError(f"There is no analysis {name!r}.", field="ANALYSIS", mend=mend)
    chosen = output_format(out, output)
    store = loaded_store(settings_from(os.environ).home if home is None else home)
    known = None if known_at is None else parse_moment(known_at, field="known_at")
    start = (
        None if since is None else parse_moment(since, field="from").replace(hour=0, minute=0, second=0, microsecond=0)
    )
    with Console(stderr=True).status("分析中…"):
        source = read_source_tables(store, known, run="analyse")
        found = answer(source, name, parse_moment(as_of), region=region, since=start)
    if out is None and chosen is Format.JSON:
        typer.echo(_document(found, top))
        return
    if chosen is Format.TABLE:
        typer.echo(f"{found.question.name_zh}：{found.question.question_zh}")
    plain = found.subjects.with_columns(pl.col("triggered", "region_codes").list.join(" "))
    write_frame(plain if out is not None else plain.head(top), out, chosen)
    if chosen is Format.TABLE:
        typer.echo(_counted(found))


def _counted(found: Analysis) -> str:
    subjects = found.subjects
    judged = subjects.get_column("score").count()
    fired = subjects.get_column("triggered").count()
    return (
        f"对象 {subjects.height:,} 个，可评估 {judged:,} 个，有指标触发 {fired:,} 个；"
        f"其余 {subjects.height - judged:,} 个资料不足，不等于没有风险。金额单位：元（CNY）。"
    )


def _document(found: Analysis, top: int) -> str:
    """Return the first subjects with their lines and evidence rows as JSON."""
    shown = found.subjects.head(top)
    lines: dict[tuple[str, str], list[dict[str, object]]] = {}
    for row in found.lines.join(shown, on=["subject_type", "subject_id"], how="semi").iter_rows(named=True):
        line = {name: row[name] for name in ("id", "points", "raw_value", "peer_percentile", "triggered", "support_n")}
        evidence = json.loads(row["evidence"]) if row["evidence"] else []
        lines.setdefault((row["subject_type"], row["subject_id"]), []).append({**line, "evidence": evidence})
    subjects = [
        {**row, "lines": lines.get((row["subject_type"], row["subject_id"]), [])} for row in shown.iter_rows(named=True)
    ]
    answer = {**vars(found.question), "n_subjects": found.subjects.height, "subjects": subjects}
    return json.dumps(answer, ensure_ascii=False, default=str)
