"""Building and scoring survive kill -9 at any moment: the same command then completes, nothing lost or doubled."""

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from features.tables.columns import Table
from features.tables.results import IndicatorValue, SmokeIndex
from features.tables.store import TableStore
from features.tables.versions import current
from tests.killing import ROOT, killed_after

AS_OF = "2015-12-31"
MOMENTS = (0.3, 0.5, 0.65, 0.75, 0.8, 0.85, 0.9, 0.95)
"""When to kill, as parts of the time that the undisturbed command took; most near the end, where it writes."""


def smoke(home: Path, *arguments: str) -> list[str]:
    return [sys.executable, "smoke.py", *arguments, "--as-of", AS_OF, "--home", str(home)]


def undisturbed(command: Sequence[str]) -> float:
    started = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return time.monotonic() - started


def content(home: Path, table: type[Table]) -> pl.DataFrame:
    store = TableStore(home)
    versions = store.versions(table)
    in_force = current(versions, table).select(table.column_names()).collect()
    assert versions.collect().height == in_force.height, "a row was stored twice"
    return in_force.sort(table.key())


@pytest.mark.parametrize(
    ("arguments", "table"),
    [(["build"], IndicatorValue), (["score", "--out", "scores.parquet"], SmokeIndex)],
    ids=["build", "score"],
)
def test_a_killed_run_is_completed_by_the_same_command(
    tsuchiura_home: Path, tmp_path: Path, arguments: list[str], table: type[Table]
) -> None:
    whole, torn = (Path(shutil.copytree(tsuchiura_home, tmp_path / name)) for name in ("whole", "torn"))
    files = [str(tmp_path / f"{home.name}.parquet") for home in (whole, torn)]
    commands = [
        smoke(home, *[file if part == "scores.parquet" else part for part in arguments])
        for home, file in zip((whole, torn), files, strict=True)
    ]
    seconds = undisturbed(commands[0])

    n_killed = sum(killed_after(part * seconds, commands[1]) for part in MOMENTS)
    undisturbed(commands[1])

    assert n_killed, "every run ended before it was killed"
    assert content(torn, table).equals(content(whole, table))
    if arguments[0] == "score":
        assert pl.read_parquet(files[1]).equals(pl.read_parquet(files[0]))
        assert {path.name for path in tmp_path.iterdir()} == {"whole", "torn", "whole.parquet", "torn.parquet"}
