"""Commands: build, export, indicators."""

import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.console import Console

from features.assessment.declare import Entry
from features.assessment.parameters import with_changes
from features.build import indicator_values
from features.clock import now, parse_moment
from features.derive.configured import in_force
from features.errors import InputError
from features.indicators.catalogue import entries, entries_by_id
from features.output import Format, output_format, write_frame
from features.tables.columns import Table
from features.tables.contract import ALL_TABLES, FACT_TABLES, RESULT_TABLES
from features.tables.door import Look
from features.tables.reference import Param
from features.tables.results import IndicatorValue
from features.tables.source import read_source_tables
from features.tables.store import TableStore, stored_schema

Home = Annotated[Path, typer.Option(envvar="SMOKE_HOME", help="Folder with all state.")]
AsOf = Annotated[str, typer.Option("--as-of", help="Date (counts to its end) or time.")]
LIST_COLUMNS = ("id", "code", "name_zh", "analysis", "severity", "state")

indicators_app = typer.Typer(
    no_args_is_help=True, help="List, show or run the 84 indicators.\n\nExample: smoke indicators show SI-022"
)


KnownAt = Annotated[str | None, typer.Option(help="Only rows loaded up to this moment.")]
Formatted = Annotated[Format | None, typer.Option(help="Default: the file's ending, else a table.")]


def build(as_of: AsOf, home: Home = Path(".smoke")) -> None:
    """Evaluate all built indicators and keep their values; indicators run --known-at replays without keeping.

    Example: smoke build --as-of 2026-06-30
    """
    store = loaded_store(home)
    moment = parse_moment(as_of)
    run_id = run_name(store, moment.isoformat())
    with store.writing(), Console(stderr=True).status("计算冒烟指标…"):
        if _has_run(store, run_id):
            typer.echo(f"run {run_id} is already built: the tables have not changed since")
            return
        values = indicator_values(read_source_tables(store, run=run_id), moment, run_id=run_id)
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


def _known(known_at: str | None) -> dt.datetime | None:
    return None if known_at is None else parse_moment(known_at, field="known_at")


def loaded_store(home: Path) -> TableStore:
    """Return the tables of a home.

    Raises:
        InputError: nothing was ever loaded there.
    """
    store = TableStore(home)
    if not any(store.exists(table) for table in FACT_TABLES.values()):
        raise InputError(f"{home} holds no tables.", field="--home", mend="load data with smoke ingest, or mend it.")
    return store


def run_name(store: TableStore, moment: str) -> str:
    """Return the name of a run: equal for equal moment, tables and catalogue, so that a repeated build is one run."""
    versions = [store.version(table) for table in (*FACT_TABLES.values(), Param)]
    catalogue = [(entry.id, entry.version) for entry in entries()]
    return hashlib.sha256(json.dumps([moment, versions, catalogue]).encode()).hexdigest()[:16]


def _has_run(store: TableStore, run_id: str) -> bool:
    return not store.versions(IndicatorValue).filter(pl.col("run_id") == run_id).head(1).collect().is_empty()


def export(
    table: Annotated[str, typer.Argument(help="Name of the table, such as indicator_value.")],
    out: Annotated[Path | None, typer.Option(help="File to write: .parquet, .csv or .json.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="For results: the moment they were built for.")] = None,
    known_at: KnownAt = None,
    format: Formatted = None,  # noqa: A002
    reader: Annotated[str | None, typer.Option("--as", help="Who wants the personal values; with --purpose.")] = None,
    purpose: Annotated[str | None, typer.Option(help="What for; it is logged, see smoke access list.")] = None,
    home: Home = Path(".smoke"),
) -> None:
    """Write the rows in force of one table; of indicator_value those of the latest build.

    Sensitive columns are never written. Names, addresses of machines and the like are left empty unless --as and
    --purpose are given.

    Example: smoke export bid --out bid.parquet
    """
    look = Look.stated(reader, purpose)
    if table not in ALL_TABLES:
        raise InputError(f"There is no table {table!r}.", field="TABLE", mend=f"name one of {', '.join(ALL_TABLES)}.")
    schema, store, known = ALL_TABLES[table], loaded_store(home), _known(known_at)
    if table not in RESULT_TABLES and as_of is not None:
        raise InputError(f"{table} holds no results.", field="--as-of", mend="leave it out, or give --known-at.")
    if schema is IndicatorValue:
        versions = store.versions(schema)
        rows = latest_run(versions if known is None else versions.filter(pl.col("loaded_at") <= known), as_of)
    else:
        rows = store.read(schema, known)
        rows = rows if as_of is None else rows.filter(pl.col(schema.EVENT or "as_of") == parse_moment(as_of))
    plain, chosen = personal_values(schema), output_format(out, format)
    if look is not None and plain:
        look.note(store, schema, plain, subject=None)
    elif plain:
        rows = rows.with_columns(pl.lit(None, dtype=schema.columns()[name].dtype).alias(name) for name in plain)
        typer.echo(f"left empty, as personal: {', '.join(plain)}; --as and --purpose show them", err=True)
    write_frame(rows.select(schema.public_columns()).sort(schema.key()).collect(), out, chosen)


def personal_values(table: type[Table]) -> list[str]:
    """Return the columns of a table that tell of persons in clear; their ids and hashes do not."""
    told = [name for name in table.public_columns() if table.about(name)["personal_data_class"] != "none"]
    return [name for name in told if not name.endswith(("_id", "_hash"))]


def latest_run(versions: pl.LazyFrame, as_of: str | None) -> pl.LazyFrame:
    """Return the values of the run loaded last, for a moment if one is given."""
    if as_of is not None:
        versions = versions.filter(pl.col("as_of") == parse_moment(as_of))
    return versions.filter(pl.col("loaded_at") == pl.col("loaded_at").max())


@indicators_app.command("list")
def list_indicators(format: Formatted = None) -> None:  # noqa: A002
    """List all 84, built or planned. Example: smoke indicators list --format csv."""
    rows = [{name: getattr(entry, name) for name in LIST_COLUMNS} for entry in entries()]
    write_frame(pl.DataFrame(rows), None, format)


@indicators_app.command("run")
def run_indicators(
    as_of: AsOf,
    known_at: KnownAt = None,
    id: Annotated[str | None, typer.Option(help="One indicator, such as SI-022.")] = None,  # noqa: A002
    out: Annotated[Path | None, typer.Option(help="File for the values; without it, counts are printed.")] = None,
    format: Formatted = None,  # noqa: A002
    home: Home = Path(".smoke"),
) -> None:
    """Evaluate without keeping anything. Example: smoke indicators run --as-of 2026-06-30 --id SI-022."""
    if id is not None and _entry(id).state != "built":
        raise InputError(f"{id} is planned, not yet built.", field="--id", mend="see smoke indicators list.")
    with Console(stderr=True).status("计算冒烟指标…"):
        source = read_source_tables(loaded_store(home), _known(known_at), run="indicators")
        values = indicator_values(source, parse_moment(as_of))
    wanted = values if id is None else values.filter(pl.col("indicator_id") == id)
    write_frame(counts(wanted) if out is None else wanted, out, format)


def counts(values: pl.DataFrame) -> pl.DataFrame:
    """Count the three answers of each indicator.

    Returns:
        One row an indicator: id, name_zh, subjects, fired, clear, not_assessable.
    """
    names = {id_: entry.name_zh for id_, entry in entries_by_id().items()}
    fired = pl.col("triggered").fill_null(value=False)
    return (
        values.group_by(id="indicator_id")
        .agg(
            subjects=pl.len(),
            fired=fired.sum(),
            clear=(pl.col("assessable") & ~fired).sum(),
            not_assessable=(~pl.col("assessable")).sum(),
        )
        .with_columns(name_zh=pl.col("id").replace_strict(names, return_dtype=pl.String))
        .select("id", "name_zh", "subjects", "fired", "clear", "not_assessable")
        .sort("id")
    )


@indicators_app.command("show")
def show_indicator(
    id: Annotated[str, typer.Argument(help="Such as SI-022.")],  # noqa: A002
    as_of: Annotated[str | None, typer.Option("--as-of", help="The moment whose parameters count; default: now.")] = (
        None
    ),
    home: Home = Path(".smoke"),
) -> None:
    """Show one indicator's texts, law and parameters, and who changed these. Example: smoke indicators show SI-034."""
    entry, moment = _entry(id), now() if as_of is None else parse_moment(as_of)
    changes = in_force(read_source_tables(TableStore(home))[Param], moment)
    own = changes.filter(pl.col("param_key").str.starts_with(f"{id}.")).collect()
    typer.echo(_described(with_changes(entry, dict(own.select("param_key", "current_value").iter_rows()))))
    for change in own.iter_rows(named=True):
        typer.echo(_CHANGED.format(**change))


_CHANGED = (
    "变更 changed: {param_key} {default_value} -> {current_value}, 自 from {valid_from:%Y-%m-%d}, "
    "提出 proposed {changed_by}, 批准 approved {approved_by}: {reason}"
)


def _entry(id: str) -> Entry:  # noqa: A002
    found = entries_by_id().get(id)
    if found is None:
        raise InputError(f"There is no indicator {id!r}.", field="ID", mend="name one of SI-001 to SI-084.")
    return found


def _described(entry: Entry) -> str:
    lines = [
        f"{entry.id} {entry.name_zh} ({entry.name_en})",
        f"状态 state: {entry.state}, version {entry.version}",
        f"分析 analysis: {entry.analysis_zh}; 对象 subject: {entry.subject_level} {entry.pair_of}",
        f"严重度 severity: {entry.severity}; 指标族 family: {entry.family}",
        f"依据 law: {'；'.join(entry.law)}",
        *([f"原始值 raw value: {entry.raw_zh}", f"触发 rule: {entry.rule_zh}"] if entry.state == "built" else []),
        f"参数 parameters: {json.dumps(dict(entry.params), ensure_ascii=False)}",
        f"注意 caution: {entry.caution}",
    ]
    return "\n".join(lines)
