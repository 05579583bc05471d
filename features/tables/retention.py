"""How long what is kept: the rules of ``model/retention.csv``, and what they mean for a frame of rows.

A rule either purges (columns become null, or rows go, once their time is over) or keeps (nothing of these tables may
be purged before its time). ``features/tables/purge.py`` takes the bytes off the disk.
"""

import csv
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import polars as pl

from features.clock import SHANGHAI, months_before
from features.errors import CatalogueError
from features.tables.columns import Table

PROJECT_ACCEPTED = "project_accepted"
"""The clock of rows that are counted from the completion acceptance of their project."""


@dataclass(frozen=True)
class Rule:
    """How long one kind of data is kept.

    Attributes:
        rule: its name.
        action: ``purge`` when its time is over, or ``keep`` at least so long.
        tables: the tables it is about.
        columns: the columns that are purged; empty: the whole rows.
        clock: the column whose instant starts the time (``a|b``: whichever the table has), or ``project_accepted``.
        days: how long, in calendar days.
        months: and in calendar months.
        basis: the law and article.
        reason_zh: what an officer reads.
    """

    rule: str
    action: Literal["purge", "keep"]
    tables: tuple[str, ...]
    columns: tuple[str, ...]
    clock: str
    days: int
    months: int
    basis: str
    reason_zh: str

    def horizon(self, at: dt.datetime) -> dt.datetime:
        """Return the moment before which time is over, seen from another."""
        return months_before(at.astimezone(SHANGHAI), self.months) - dt.timedelta(days=self.days)

    def clock_of(self, table: type[Table]) -> str:
        """Return the column of a table that starts the time.

        Raises:
            CatalogueError: the table has none of them.
        """
        found = next((name for name in self.clock.split("|") if name in table.column_names()), None)
        if found is None:
            raise CatalogueError(f"Retention rule {self.rule}: {table.NAME} has no column {self.clock}.")
        return found


@cache
def rules() -> tuple[Rule, ...]:
    """Return the rules as declared, in the order in which they are applied.

    Raises:
        CatalogueError: two rules contradict one another.
    """
    text = (files("features.tables") / "model" / "retention.csv").read_text(encoding="utf-8")
    return checked([_rule(row) for row in csv.DictReader(text.splitlines())])


def checked(declared: Sequence[Rule]) -> tuple[Rule, ...]:
    """Return rules of which none purges what another keeps.

    Raises:
        CatalogueError: a purge is due before the time that a law keeps the table for.
    """
    kept = {table: rule for rule in declared if rule.action == "keep" for table in rule.tables}
    for rule in declared:
        for table in rule.tables:
            guard = kept.get(table)
            if rule.action == "purge" and guard is not None and _days(rule) < _days(guard):
                raise CatalogueError(
                    f"Retention rule {rule.rule} would purge {table} after {_days(rule)} days, but {guard.basis} keeps "
                    f"it for {_days(guard)}. Mend: lengthen {rule.rule}, or take {table} out of it."
                )
    return tuple(declared)


def purged_columns(table: type[Table]) -> list[str]:
    """Return the columns of a table that are purged while the row stays.

    They are no part of a row's identity: a row delivered again after the purge, with them, is unchanged.
    """
    return [name for rule in _column_rules(table) for name in rule.columns]


def without_expired_values(rows: pl.DataFrame, table: type[Table], at: dt.datetime) -> pl.DataFrame:
    """Return rows without the values whose time is over already, so that they are never stored.

    Args:
        rows: typed rows of the table, any of its columns.
        table: the table.
        at: the present moment. A row whose clock is null keeps nothing: its age is not known.
    """
    for rule in _column_rules(table):
        names = [name for name in rule.columns if name in rows.columns]
        clock = rule.clock_of(table)
        if not names:
            continue
        young = pl.col(clock) >= rule.horizon(at) if clock in rows.columns else pl.lit(value=False)
        rows = rows.with_columns(pl.when(young).then(pl.col(name)).alias(name) for name in names)
    return rows


def accepted_before(acceptances: pl.LazyFrame, horizon: dt.datetime) -> pl.Series:
    """Return the projects whose latest completion acceptance that did not fail is older than a moment."""
    passed = acceptances.filter(
        pl.col("accept_type") == "completion", pl.col("result").is_in(["pass", "conditional"])
    ).drop_nulls("accepted_at")
    latest = passed.group_by("project_id").agg(pl.col("accepted_at").max())
    return latest.filter(pl.col("accepted_at") < horizon).sort("project_id").collect().get_column("project_id")


def _column_rules(table: type[Table]) -> list[Rule]:
    return [rule for rule in rules() if rule.action == "purge" and table.NAME in rule.tables and rule.columns]


def _days(rule: Rule) -> int:
    return rule.days + rule.months * 365 // 12


def _rule(row: dict[str, str]) -> Rule:
    return Rule(
        rule=row["rule"],
        action="keep" if row["action"] == "keep" else "purge",
        tables=tuple(row["tables"].split(";")),
        columns=tuple(filter(None, row["columns"].split(";"))),
        clock=row["clock"],
        days=int(row["days"] or 0),
        months=int(row["months"] or 0),
        basis=row["basis"],
        reason_zh=row["reason_zh"],
    )
