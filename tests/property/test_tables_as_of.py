"""What a moment saw of a table, for all tables: as a row-by-row reading of the declarations says, and deaf to later."""

import datetime as dt
import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from features.clock import SHANGHAI, parse_moment
from features.tables.as_of import known_as_of, known_from, parents_of, paths
from features.tables.columns import ITSELF, Table
from features.tables.contract import ALL_TABLES

AS_OF = parse_moment("2025-06-30")
TICK = dt.timedelta(microseconds=1)
MOMENTS = (AS_OF - dt.timedelta(days=400), AS_OF - TICK, AS_OF)
LATER_MOMENTS = (AS_OF + TICK, AS_OF + dt.timedelta(days=9))
DAYS = tuple(dt.date(2025, month, day) for month, day in ((1, 31), (6, 28), (6, 29)))
LATER_DAYS = (dt.date(2025, 6, 30), dt.date(2025, 7, 1))
MONTHS = ("2024-12", "2025-05", "2025-06")
LATER_MONTHS = ("2025-07", "2026-01")
N_ROWS = 25

Row = dict[str, Any]
Rows = Mapping[str, list[Row]]
TABLES = pytest.mark.parametrize("table", ALL_TABLES.values(), ids=ALL_TABLES.keys())
SEEDS = pytest.mark.parametrize("seed", range(2))


def pools(column: dy.Column) -> tuple[Sequence[Any], Sequence[Any]]:
    """Return the values of an instant that have come by ``AS_OF``, and those that come later."""
    if isinstance(column, dy.Datetime):
        return MOMENTS, LATER_MOMENTS
    if isinstance(column, dy.Date):
        return DAYS, LATER_DAYS
    if isinstance(column, dy.String) and column.regex:
        return MONTHS, LATER_MONTHS
    return (), ()


@cache
def drawn(name: str) -> list[Row]:
    return pl.DataFrame(ALL_TABLES[name].sample(N_ROWS, generator=dy.random.Generator(1))).rows(named=True)


def world(table: type[Table], seed: int) -> Rows:
    """Return rows of a table and of those that date it: any value, and instants around the moment."""
    chance = random.Random(seed)
    names = sorted({table.NAME, *parents_of(table)})
    made = {name: [dict(row) for row in drawn(name)] for name in names}
    for name in names:
        for row in made[name]:
            redrawn(row, ALL_TABLES[name], made, chance)
    return made


def redrawn(row: Row, table: type[Table], made: Rows, chance: random.Random) -> None:
    """Draw the instants of a row, and its references to rows that are here, anew."""
    for name, column in table.columns().items():
        sooner, later = pools(column)
        parent = table.about(name)["references"].split(".")[0]
        if sooner and not column.primary_key:
            row[name] = chance.choice([*sooner, *later, *([None] if column.nullable else [])])
        elif parent in made and chance.random() < 0.9:
            row[name] = chance.choice(made[parent])[ALL_TABLES[parent].key()]


def frames(rows: Rows) -> dict[str, pl.LazyFrame]:
    return {
        name: pl.LazyFrame(some, schema={column: kind.dtype for column, kind in ALL_TABLES[name].columns().items()})
        for name, some in rows.items()
    }


def seen(table: type[Table], rows: Rows) -> list[Row]:
    parents = frames(rows)
    return known_as_of(parents[table.NAME], table, AS_OF, parents).collect().rows(named=True)


def instant(row: Row | None, table: type[Table], stated: str, rows: Rows) -> dt.datetime | None:
    """Follow the alternatives of an instant, one row at a time."""
    for path in paths(stated):
        here, there = row, table
        *steps, last = path.split(".")
        for step in steps:
            key = None if here is None else here[step]
            there = ALL_TABLES[there.about(step)["references"].split(".")[0]]
            here = next((one for one in rows[there.NAME] if one[there.key()] == key), None)
        value = None if here is None else here[last]
        if isinstance(value, str):
            year, month = map(int, value.split("-"))
            return dt.datetime(year + month // 12, month % 12 + 1, 1, tzinfo=SHANGHAI) - TICK
        if isinstance(value, dt.datetime):
            return value
        if value is not None:
            return dt.datetime.combine(value + dt.timedelta(days=1), dt.time(), tzinfo=SHANGHAI)
    return None


def counts(row: Row, table: type[Table], rows: Rows) -> bool:
    stated = table.KNOWN_FROM or ([table.EVENT] if table.EVENT else [])
    found = [moment for one in stated if (moment := instant(row, table, one, rows)) is not None]
    return not stated or (min(found) <= AS_OF if found else table.UNDATED_IS_PAST)


def is_known(row: Row, table: type[Table], column: str, rows: Rows) -> bool:
    stated = known_from(table).get(column)
    moment = None if stated is None else instant(row, table, stated, rows)
    return stated is None or (moment is not None and moment <= AS_OF)


@SEEDS
@TABLES
def test_every_row_shows_what_its_declarations_say(table: type[Table], seed: int) -> None:
    rows = world(table, seed)

    expected = [
        {name: value if is_known(row, table, name, rows) else None for name, value in row.items()}
        for row in rows[table.NAME]
        if counts(row, table, rows)
    ]

    assert seen(table, rows) == expected


@SEEDS
@TABLES
def test_later_rows_and_later_facts_change_nothing(table: type[Table], seed: int) -> None:
    rows = world(table, seed)
    before = seen(table, rows)
    chance = random.Random(seed)

    changed = {name: [dict(row) for row in some] for name, some in rows.items()}
    for name, some in changed.items():
        for row, old in zip(some, rows[name], strict=True):
            postpone(row, old, ALL_TABLES[name], rows, chance, shown=name == table.NAME)
    changed[table.NAME] += later_rows(table, changed, seed)

    assert seen(table, changed) == before


def postpone(row: Row, old: Row, table: type[Table], rows: Rows, chance: random.Random, *, shown: bool) -> None:
    """Change what lies ahead: instants to come move, facts not known yet become other ones."""
    other = chance.choice(rows[table.NAME])
    for name, column in table.columns().items():
        said = table.about(name)
        _, later = pools(column)
        if later and old[name] in later:
            # What is announced is known in its own table, and dates others no less when it is put off.
            if said["known_from"] == ITSELF or not shown:
                row[name] = chance.choice(later)
        elif not later and not said["references"] and not is_known(old, table, name, rows):
            row[name] = other[name]


def later_rows(table: type[Table], rows: Rows, seed: int) -> list[Row]:
    """Return rows that nothing makes known by the moment; none where the table is known at all times."""
    if table.EVENT is None:
        return []
    found: list[Row] = []
    for row in world(table, seed + 100)[table.NAME]:
        row[table.key()] = f"later {row[table.key()]}"
        for name, column in table.columns().items():
            sooner, later = pools(column)
            row[name] = later[0] if sooner else row[name]
        if not counts(row, table, rows):
            found.append(row)
    return found
