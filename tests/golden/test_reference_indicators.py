"""Six indicators against a second implementation in plain loops, over the shipped auctions and random worlds."""

import csv
import datetime as dt
import gzip
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features.build import indicator_values
from features.clock import parse_moment
from features.tables.source import read_source_tables
from features.tables.store import TableStore
from tests.golden.reference_indicators import REFERENCE, Answer, Rows, World
from tests.worlds import AS_OF, days_ago, random_world

TABLES = Path(__file__).parents[2] / "experiments" / "tsuchiura" / "tables"
NAMES = ("organisation", "project", "tender", "lot", "bid", "award")
EACH = pytest.mark.parametrize("indicator_id", REFERENCE)


def delivered(name: str) -> list[dict[str, Any]]:
    """Read a shipped file as rows of plain values."""
    (path,) = TABLES.glob(f"{name}.csv*")
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [
        {column: _value(column, text) for column, text in row.items()}
        for row in csv.DictReader(data.decode("utf-8").splitlines())
    ]


def _value(column: str, text: str) -> object:
    if text == "":
        return None
    if column.endswith("_at"):
        return dt.datetime.fromisoformat(text)
    if column in ("amount", "bid_price"):
        return Decimal(text)
    return text == "true" if column == "bids_complete" else text


def agrees(row: dict[str, Any], answer: Answer) -> bool:
    return (
        row["null_reason"] == answer.null_reason
        and row["assessable"] is (answer.null_reason is None)
        and row["support_n"] == answer.support_n
        and row["triggered"] is answer.triggered
        and row["raw_value"] == (None if answer.raw_value is None else pytest.approx(answer.raw_value, abs=1e-9))
        and row["intensity"] == (None if answer.intensity is None else pytest.approx(answer.intensity, abs=1e-9))
    )


def compare(rows: Rows, as_of: dt.datetime, values: pl.DataFrame, indicator_id: str) -> Counter[str]:
    """Hold every subject against the reference; return how many were judged how."""
    expected = REFERENCE[indicator_id](World(rows, as_of))
    found = values.filter(pl.col("indicator_id") == indicator_id)
    got = {row["subject_id"]: row for row in found.iter_rows(named=True)}
    assert got.keys() == expected.keys()
    for subject, answers in expected.items():
        assert any(agrees(got[subject], answer) for answer in answers), (subject, answers, got[subject])
    return Counter(row["null_reason"] or ("fired" if row["triggered"] else "clear") for row in got.values())


@pytest.fixture(scope="module")
def shipped() -> Rows:
    return {name: delivered(name) for name in NAMES}


@pytest.fixture(scope="module", params=["2015-12-31", "2012-06-30", "2008-07-01"])
def shipped_values(request: pytest.FixtureRequest, tsuchiura_home: Path) -> tuple[dt.datetime, pl.DataFrame]:
    as_of = parse_moment(request.param)
    return as_of, indicator_values(read_source_tables(TableStore(tsuchiura_home)), as_of)


@pytest.fixture(scope="module")
def world_values() -> list[tuple[Rows, dt.datetime, pl.DataFrame]]:
    """Six worlds of sixty lots, six larger ones, and two as they were when data covered less than half a window."""
    worlds = [(random_world(seed, 60 if seed % 2 else 150), AS_OF) for seed in range(100, 112)]
    worlds += [(random_world(seed, 150), days_ago(800)) for seed in (112, 113)]
    return [(world.rows, as_of, indicator_values(world.source(), as_of)) for world, as_of in worlds]


@EACH
def test_the_shipped_auctions_give_what_plain_loops_give(
    shipped: Rows, shipped_values: tuple[dt.datetime, pl.DataFrame], indicator_id: str
) -> None:
    assert compare(shipped, *shipped_values, indicator_id)


@EACH
def test_random_worlds_give_what_plain_loops_give(
    world_values: list[tuple[Rows, dt.datetime, pl.DataFrame]], indicator_id: str
) -> None:
    judged: Counter[str] = Counter()
    for rows, as_of, values in world_values:
        judged += compare(rows, as_of, values, indicator_id)

    assert judged.keys() >= {"fired", "clear", "too_few_observations"}
    assert judged["fired"] >= 3
    assert judged["clear"] >= 30
