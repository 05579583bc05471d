"""Commands: build, export, indicators."""

import csv
import hashlib
import io
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.console import Console

from features.assessment.declare import Entry
from features.build import indicator_values
from features.clock import now, parse_moment
from features.errors import InputError
from features.indicators.catalogue import entries
from features.tables.contract import ALL_TABLES, SOURCE_TABLES
from features.tables.results import IndicatorValue
from features.tables.source import read_source_tables
from features.tables.store import TableStore, stored_schema

Home = Annotated[Path, typer.Option(envvar="SMOKE_HOME", help="Folder with all state.")]
AsOf = Annotated[str, typer.Option("--as-of", help="Date (counts to its end) or time.")]
LIST_COLUMNS = ("id", "code", "name_zh", "analysis", "severity", "state")

indicators_app = typer.Typer(no_args_is_help=True, help="List or show the 84 indicators.")


class ListFormat(StrEnum):
    """How a list is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def build(as_of: AsOf, home: Home = Path(".smoke")) -> None:
    """Evaluate all built indicators and keep their values. Example: smoke build --as-of 2026-06-30."""
    store = TableStore(home)
    moment = parse_moment(as_of)
    run_id = run_name(store, moment.isoformat())
    with store.writing(), Console(stderr=True).status("计算冒烟指标…"):
        if _has_run(store, run_id):
            typer.echo(f"run {run_id} is already built: the tables have not changed since")
            return
        values = indicator_values(read_source_tables(store), moment, run_id=run_id)
        at = now()
        store.append(
            IndicatorValue,
            values.with_columns(
                loaded_at=pl.lit(at),
                valid_from_ts=pl.lit(at),
                source_code=pl.lit("D00"),
                source_record_id=pl.lit(run_id),
                retracted=pl.lit(value=False),
            ).select(*stored_schema(IndicatorValue)),
        )
    n_fired = values.get_column("triggered").sum()
    typer.echo(f"run {run_id}: {values.height} values, {n_fired} fired")


def run_name(store: TableStore, moment: str) -> str:
    """Return the name of a run: equal for equal moment, tables and catalogue, so that a repeated build is one run."""
    versions = [store.version(table) for table in SOURCE_TABLES.values()]
    catalogue = [(entry.id, entry.version) for entry in entries()]
    return hashlib.sha256(json.dumps([moment, versions, catalogue]).encode()).hexdigest()[:16]


def _has_run(store: TableStore, run_id: str) -> bool:
    return not store.versions(IndicatorValue).filter(pl.col("run_id") == run_id).head(1).collect().is_empty()


def export(
    table: Annotated[str, typer.Argument(help="Name of the table, such as indicator_value.")],
    out: Annotated[Path, typer.Option(help="File to write: .parquet or .csv.")],
    as_of: Annotated[str | None, typer.Option("--as-of", help="For results: the moment they were built for.")] = None,
    home: Home = Path(".smoke"),
) -> None:
    """Write the rows in force of one table. Example: smoke export bid --out bid.parquet."""
    if table not in ALL_TABLES:
        raise InputError(f"There is no table {table!r}.", field="TABLE", mend=f"name one of {', '.join(ALL_TABLES)}.")
    if out.suffix not in (".parquet", ".csv"):
        raise InputError(f"{out} has no known ending.", field="--out", mend="end the name in .parquet or .csv.")
    schema, store = ALL_TABLES[table], TableStore(home)
    rows = latest_run(store.versions(schema), as_of) if schema is IndicatorValue else store.read(schema)
    frame = rows.select(schema.column_names()).sort(schema.key()).collect()
    partial = out.with_name(f".{out.name}.partial")
    frame.write_parquet(partial) if out.suffix == ".parquet" else frame.write_csv(partial)
    partial.replace(out)
    typer.echo(f"{frame.height} rows of {table} in {out}")


def latest_run(versions: pl.LazyFrame, as_of: str | None) -> pl.LazyFrame:
    """Return the values of the run loaded last, for a moment if one is given."""
    if as_of is not None:
        versions = versions.filter(pl.col("as_of") == parse_moment(as_of))
    return versions.filter(pl.col("loaded_at") == pl.col("loaded_at").max())


@indicators_app.command("list")
def list_indicators(
    format: Annotated[ListFormat, typer.Option(help="How to print.")] = ListFormat.TABLE,  # noqa: A002
) -> None:
    """List all 84, built or planned. Example: smoke indicators list --format csv."""
    rows = [{name: getattr(entry, name) for name in LIST_COLUMNS} for entry in entries()]
    if format is ListFormat.JSON:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    text = io.StringIO()
    separator = "," if format is ListFormat.CSV else "\t"
    writer = csv.DictWriter(text, LIST_COLUMNS, delimiter=separator, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    typer.echo(text.getvalue(), nl=False)


@indicators_app.command("show")
def show_indicator(id: Annotated[str, typer.Argument(help="Such as SI-022.")]) -> None:  # noqa: A002
    """Show one indicator's texts, law and parameters. Example: smoke indicators show SI-034."""
    found = next((entry for entry in entries() if entry.id == id), None)
    if found is None:
        raise InputError(f"There is no indicator {id!r}.", field="ID", mend="name one of SI-001 to SI-084.")
    typer.echo(_described(found))


def _described(entry: Entry) -> str:
    lines = [
        f"{entry.id} {entry.name_zh} ({entry.name_en})",
        f"状态 state: {entry.state}, version {entry.version}",
        f"分析 analysis: {entry.analysis_zh}; 对象 subject: {entry.subject_level} {entry.pair_of}",
        f"严重度 severity: {entry.severity}; 指标族 family: {entry.family}",
        f"依据 law: {'；'.join(entry.law)}",
        f"参数 parameters: {json.dumps(dict(entry.params), ensure_ascii=False)}",
        f"注意 caution: {entry.caution}",
    ]
    return "\n".join(lines)
