"""Taking data off the disk: out of a Delta table, out of its older files, and out of its log.

Delta Lake keeps what was replaced: files of older versions until a vacuum, and the least and greatest value of every
column in its log. ``forget`` removes both, so that after it the bytes are gone from the folder. Each function may be
killed at any moment and called again. Hold the store's ``writing()`` lock.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from deltalake import DeltaTable

from features.tables import delta
from features.tables.columns import ZONE, Table
from features.tables.delta import is_table
from features.tables.retention import PROJECT_ACCEPTED, accepted_before, rules

_LOG_RETENTION = "delta.logRetentionDuration"
_AT_ONCE = "interval 0 days"
LOG: Mapping[str, pl.DataType] = {
    "run_id": pl.String(),
    "state": pl.String(),
    "at": pl.Datetime("us", ZONE),
    "by": pl.String(),
    "horizon": pl.Datetime("us", ZONE),
    "rule": pl.String(),
    "table": pl.String(),
    "columns": pl.String(),
    "rows": pl.Int64(),
    "oldest": pl.Datetime("us", ZONE),
    "newest": pl.Datetime("us", ZONE),
    "basis": pl.String(),
    "parts": pl.String(),
}


def before(column: str, horizon: dt.datetime) -> str:
    """Return the condition that an instant lies before a moment, as Delta tables take it."""
    return f"{column} < '{horizon.astimezone(dt.UTC).isoformat()}'"


def among(column: str, values: Sequence[str]) -> str:
    """Return the condition that a text is one of some values."""
    return f"{column} IN ({', '.join(_quoted(value) for value in values)})"


def clear_columns(path: Path, columns: Sequence[str], condition: str) -> None:
    """Set columns null in the rows of a Delta table that meet a condition; only files with such rows are rewritten."""
    if is_table(path):
        held = " OR ".join(f"{name} IS NOT NULL" for name in columns)
        DeltaTable(path).update(updates=dict.fromkeys(columns, "NULL"), predicate=f"({condition}) AND ({held})")


def delete_rows(path: Path, condition: str) -> None:
    """Delete the rows of a Delta table that meet a condition."""
    if is_table(path):
        DeltaTable(path).delete(condition)


def delete_keys(path: Path, keys: pl.Series) -> None:
    """Delete the rows of a Delta table whose key is one of a series that has the key's name."""
    if is_table(path) and not keys.is_empty():
        name = keys.name
        merger = DeltaTable(path).merge(
            keys.unique().to_frame().to_arrow(), f"t.{name} = s.{name}", source_alias="s", target_alias="t"
        )
        merger.when_matched_delete().execute()


def forget(path: Path) -> None:
    """Remove the files that a Delta table no longer refers to, and what its log says about them."""
    if not is_table(path):
        return
    delta.vacuum(path, 0)
    table = DeltaTable(path)
    if table.metadata().configuration.get(_LOG_RETENTION) != _AT_ONCE:
        table.alter.set_table_properties({_LOG_RETENTION: _AT_ONCE})
    table = DeltaTable(path)
    table.create_checkpoint()
    table.cleanup_metadata()


@dataclass(frozen=True)
class RetentionLog:
    """What retention has done in one home: append-only, two rows a purge (begun, done)."""

    home: Path

    def add(self, **entry: object) -> None:
        """Write one row in one commit; columns as ``LOG``."""
        delta.append(self.home / "retention_log", pl.DataFrame([entry], schema=dict(LOG)), LOG)

    def read(self) -> pl.DataFrame:
        """Return all rows, oldest first."""
        return delta.scan(self.home / "retention_log", LOG).collect().sort("at", maintain_order=True)

    def unfinished(self) -> pl.DataFrame:
        """Return the purges that were begun and not done: what a killed run left behind."""
        rows = self.read()
        done = rows.filter(pl.col("state") == "done")
        return rows.filter(pl.col("state") == "begun").join(done, on=["run_id", "rule", "table"], how="anti")


def purged_projects(home: Path, table: type[Table], acceptances: pl.LazyFrame) -> pl.Series:
    """Return the projects whose rows of a table retention has deleted: a delivery of such rows changes nothing.

    Only what a purge has dealt with counts, not what is due: so before a purge the order of deliveries does not matter,
    and after it nothing comes back.

    Args:
        home: where the log of retention is.
        table: the table; one without a rule counted from acceptance gives no project.
        acceptances: the table ``acceptance`` as it stands.

    Returns:
        Project ids, sorted.
    """
    names = [rule.rule for rule in rules() if rule.clock == PROJECT_ACCEPTED and table.NAME in rule.tables]
    log = RetentionLog(home).read() if names else pl.DataFrame(schema=dict(LOG))
    horizon = log.filter(pl.col("rule").is_in(names), pl.col("table") == table.NAME).get_column("horizon").max()
    if not isinstance(horizon, dt.datetime):
        return pl.Series("project_id", dtype=pl.String)
    return accepted_before(acceptances, horizon)


def purged(log: pl.DataFrame) -> pl.DataFrame:
    """Return how many stored records retention has deleted, by source, table, loaded_at and record day.

    Args:
        log: the retention log.

    Returns:
        source, table, loaded_at, day, purged.
    """
    part = pl.Struct({"source": pl.String, "loaded_at": pl.String, "day": pl.Date, "purged": pl.Int64})
    return (
        log.filter(pl.col("state") == "begun", pl.col("parts").is_not_null())
        .select("table", pl.col("parts").str.json_decode(pl.List(part)))
        .explode("parts")
        .drop_nulls("parts")
        .unnest("parts")
        .with_columns(
            pl.col("loaded_at").str.to_datetime("%+", time_unit="us", time_zone="UTC").dt.convert_time_zone(ZONE)
        )
        .group_by("source", "table", "loaded_at", "day")
        .agg(pl.col("purged").sum())
    )


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
