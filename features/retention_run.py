"""Applying the retention rules to one home: what is due, taking it away, and saying so in the log.

A purge is two rows of the log: ``begun``, with all that is about to go, before the first byte is touched, and ``done``
after the last is gone. A run that finds a purge begun and not done finishes that first, so a kill loses nothing.
"""

import datetime as dt
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from features.clock import now
from features.errors import InputError
from features.ingest.intake.staging import clear
from features.ingest.quarantine.redaction import expired_records, expired_values, landed, redact
from features.ingest.quarantine.sealing import Seal
from features.tables import sql
from features.tables.columns import ZONE, Table
from features.tables.completion import Acceptance
from features.tables.contract import ALL_TABLES
from features.tables.delta import is_table, scan
from features.tables.purge import LOG, RetentionLog, among, before, clear_columns, delete_keys, delete_rows, forget
from features.tables.retention import PROJECT_ACCEPTED, Rule, accepted_before, rules
from features.tables.store import TableStore
from features.tables.versions import public_schema

PROJECTS_AT_ONCE = 200
Where = Literal["tables", "quarantine", "landing"]


@dataclass(frozen=True)
class Due:
    """What a rule would take from one place.

    Attributes:
        rows: stored versions, entries of the quarantine, or fetched files.
        oldest: the day of the earliest of their clocks (of ``valid_from_ts`` or the load where the clock is not there).
        newest: the day of the latest.
        parts: deleted versions by source, loaded_at and record day, so that the books of intake still add up.
    """

    rows: int
    oldest: dt.datetime | None = None
    newest: dt.datetime | None = None
    parts: str | None = None


@dataclass(frozen=True)
class Task:
    """One rule applied as of a moment to a table of a home, to its refused records, or to fetched files of it."""

    store: TableStore
    rule: Rule
    table: type[Table]
    where: Where
    horizon: dt.datetime
    seal: Seal | None

    @property
    def place(self) -> str:
        """Return what the log calls it."""
        return self.table.NAME if self.where == "tables" else f"{self.where}/{self.table.NAME}"

    def due(self) -> Due:
        """Count what is to go."""
        if self.where == "landing":
            return _counted(landed(self.store.home, self.table, self.horizon).lazy(), "loaded_at")
        if self.where == "quarantine":
            return _counted(self._entries().lazy(), "loaded_at")
        if self.rule.clock == PROJECT_ACCEPTED:
            return _counted(self._of_accepted_projects(self._projects()), "valid_from_ts", parts=True)
        clock = self.rule.clock_of(self.table)
        if not self.rule.columns:
            return _counted(self.store.versions(self.table).filter(pl.col(clock) < self.horizon), clock)
        if not is_table(self._path()):
            return Due(0)
        columns = self.table.columns()
        rows = scan(self._path(), {name: columns[name].dtype for name in (clock, *self.rule.columns)})
        held = pl.any_horizontal(pl.col(name).is_not_null() for name in self.rule.columns)
        return _counted(rows.filter(pl.col(clock) < self.horizon, held), clock)

    def take(self) -> None:
        """Take away what is due and its traces on the disk; what is gone already is left alone."""
        if self.where == "landing":
            for path in landed(self.store.home, self.table, self.horizon).get_column("path"):
                Path(path).unlink(missing_ok=True)
            return
        if self.where == "quarantine":
            redact(self.store.home, self._entries())
            return
        if self.rule.clock == PROJECT_ACCEPTED:
            self._delete_by_project()
        elif self.rule.columns:
            clear_columns(self._path(), self.rule.columns, before(self.rule.clock_of(self.table), self.horizon))
        elif self.table.STORE == "sql":
            schema, clock = public_schema(self.table), self.rule.clock_of(self.table)
            sql.delete_before(self.store.url, self.table.NAME, schema, self.table.key(), clock, self.horizon)
        else:
            delete_rows(self.store.path(self.table), before(self.rule.clock_of(self.table), self.horizon))
        for path in (self.store.path(self.table), self.store.sensitive_path(self.table)):
            forget(path)

    def entry(self, due: Due) -> dict[str, object]:
        """Return the row of the log, without state, moment and person."""
        return {
            "rule": self.rule.rule,
            "table": self.place,
            "columns": ";".join(self.rule.columns),
            "horizon": self.horizon,
            "basis": self.rule.basis,
            "rows": due.rows,
            "oldest": due.oldest,
            "newest": due.newest,
            "parts": due.parts,
        }

    def _projects(self) -> pl.Series:
        return accepted_before(self.store.read(Acceptance), self.horizon)

    def _entries(self) -> pl.DataFrame:
        if self.rule.clock == PROJECT_ACCEPTED:
            return expired_records(self.store.home, self.table, self._projects(), self.horizon, self.seal)
        clock = self.rule.clock_of(self.table)
        return expired_values(self.store.home, self.table, self.rule.columns, clock, self.horizon, self.seal)

    def _of_accepted_projects(self, projects: pl.Series) -> pl.LazyFrame:
        return self.store.versions(self.table).filter(pl.col("project_id").is_in(projects.implode()))

    def _delete_by_project(self) -> None:
        """Delete the rows of projects: the sensitive parts first, which are found through the others."""
        projects, key = self._projects(), self.table.key()
        for start in range(0, len(projects), PROJECTS_AT_ONCE):
            some = projects.slice(start, PROJECTS_AT_ONCE)
            keys = self._of_accepted_projects(some).select(key).unique().collect(engine="streaming").get_column(key)
            if not keys.is_empty():
                delete_keys(self.store.sensitive_path(self.table), keys)
                delete_rows(self.store.path(self.table), among("project_id", some.to_list()))

    def _path(self) -> Path:
        sensitive = set(self.rule.columns) <= set(self.table.sensitive_columns())
        return self.store.sensitive_path(self.table) if sensitive else self.store.path(self.table)


def due(home: Path, at: dt.datetime, seal: Seal | None = None) -> pl.DataFrame:
    """Return what a run would take away: one row a rule and place, the columns of the log, state ``due``."""
    told = [{**task.entry(task.due()), "state": "due", "at": now()} for task in _tasks(TableStore(home), at, seal)]
    return pl.DataFrame(told, schema=dict(LOG))


def run(home: Path, *, at: dt.datetime, by: str, seal: Seal | None = None) -> pl.DataFrame:
    """Apply every rule as of a moment, and finish what a killed run began.

    Args:
        home: where all state lives.
        at: the moment from which ages are counted.
        by: who runs it, for the log.
        seal: opens the sealed records of the quarantine.

    Returns:
        One row a rule and place that this run dealt with: the columns of the log, state ``done``.

    Raises:
        InputError: the moment has not come yet, or records are sealed and no key is given.
        StoreError: another process is writing into the same home.
    """
    if at > now():
        raise InputError(f"{at.isoformat()} has not come yet.", field="as_of", mend="purge as of today or earlier.")
    store, log, run_id = TableStore(home), RetentionLog(home), uuid.uuid4().hex[:12]
    with store.writing():
        clear(home)
        left = log.unfinished()
        for entry in left.iter_rows(named=True):
            _begun(store, entry, seal).take()
            log.add(**{**entry, "state": "done", "at": now(), "by": by})
        for task in _tasks(store, at, seal):
            found = task.due()
            entry = {**task.entry(found), "run_id": run_id, "by": by}
            if found.rows:
                log.add(**entry, state="begun", at=now())
                task.take()
            log.add(**entry, state="done", at=now())
    dealt = [run_id, *left.get_column("run_id")]
    return log.read().filter(pl.col("run_id").is_in(dealt), pl.col("state") == "done")


def _tasks(store: TableStore, at: dt.datetime, seal: Seal | None) -> Iterator[Task]:
    for rule in rules():
        if rule.action == "purge":
            for name in rule.tables:
                places: list[Where] = ["tables"]
                if rule.columns or rule.clock == PROJECT_ACCEPTED:
                    places.append("quarantine")
                if rule.columns:
                    places.append("landing")
                for where in places:
                    yield Task(store, rule, ALL_TABLES[name], where, rule.horizon(at), seal)


def _begun(store: TableStore, entry: dict[str, Any], seal: Seal | None) -> Task:
    """Return the task that a row of the log tells of."""
    folder, _, name = str(entry["table"]).rpartition("/")
    where: Where = "quarantine" if folder == "quarantine" else "landing" if folder else "tables"
    rule = next(rule for rule in rules() if rule.rule == entry["rule"])
    return Task(store, rule, ALL_TABLES[name], where, entry["horizon"], seal)


def _counted(rows: pl.LazyFrame, clock: str, *, parts: bool = False) -> Due:
    day = pl.col(clock).dt.convert_time_zone(ZONE).dt.truncate("1d")
    one = rows.select(pl.len().alias("rows"), day.min().alias("oldest"), day.max().alias("newest"))
    row = one.collect(engine="streaming").row(0, named=True)
    if not parts or not row["rows"]:
        return Due(**row)
    record_day = pl.col("valid_from_ts").dt.convert_time_zone(ZONE).dt.date()
    by = rows.group_by(source="source_code", loaded_at="loaded_at", day=record_day).agg(purged=pl.len())
    found = by.sort("source", "loaded_at", "day").collect(engine="streaming").to_dicts()
    return Due(**row, parts=json.dumps(found, default=lambda value: value.isoformat()))
