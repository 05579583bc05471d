"""Laws that hold for every indicator, over a simulated city with all its sources: what a moment says stands.

The random worlds of ``test_indicator_laws`` know bids and awards only; here sites, money and people come too.
"""

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from experiments.city.__main__ import main as simulate
from features.build import indicator_values
from features.clock import SHANGHAI
from features.indicators.built import indicators
from features.ingest.deliveries import folders, ingest
from features.ingest.keys import Keys
from features.tables.as_of import known_as_of, parents_of
from features.tables.contract import FACT_TABLES
from features.tables.source import SourceTables, read_source_tables
from features.tables.store import TableStore

ROOT = Path(__file__).parents[2]
PROJECTS = 120
KEYS = Keys(bytes(range(64)), bytes(range(64, 128)))
LOADED = dt.datetime(2026, 6, 1, tzinfo=SHANGHAI)
MIDWAY = dt.datetime(2025, 3, 31, 23, 59, 59, 999999, SHANGHAI)
LAST = dt.datetime(2026, 3, 31, 23, 59, 59, 999999, SHANGHAI)
Frames = Mapping[str, pl.DataFrame]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("city")
    simulate(["--projects", str(PROJECTS), "--seed", "8", "--out", str(folder)])
    ingest(folder / "home", folders("all", folder / "deliveries"), keys=KEYS, loaded_at=LOADED)
    return folder / "home"


@pytest.fixture(scope="module")
def frames(home: Path) -> Frames:
    """All tables with rows, sensitive columns among them."""
    source = read_source_tables(TableStore(home), run="laws")
    found = {name: source.with_sensitive(table).collect() for name, table in FACT_TABLES.items()}
    return {name: frame for name, frame in found.items() if frame.height}


def source_of(frames: Frames) -> SourceTables:
    tables = {name: FACT_TABLES[name] for name in frames}
    public = {name: frames[name].lazy().select(table.public_columns()) for name, table in tables.items()}
    return SourceTables(public, {name: frame.lazy() for name, frame in frames.items()})


def values(frames: Frames, as_of: dt.datetime = MIDWAY) -> pl.DataFrame:
    return indicator_values(source_of(frames), as_of)


@pytest.fixture(scope="module")
def midway(frames: Frames) -> pl.DataFrame:
    return values(frames)


def assert_same(left: pl.DataFrame, right: pl.DataFrame) -> None:
    """Hold two results equal, bit for bit, and name the indicators that differ."""
    keys = ["indicator_id", "subject_id"]
    columns = ["assessable", "null_reason", "raw_value", "triggered", "intensity", "peer_percentile", "support_n"]
    told = left.select(*keys, *columns, "evidence").join(
        right.select(*keys, *columns, "evidence"), on=[*keys, *columns, "evidence"], how="anti", nulls_equal=True
    )
    differing = told.group_by("indicator_id").agg(pl.len(), pl.first("subject_id")).sort("indicator_id")
    assert differing.is_empty(), differing.to_dicts()
    assert_frame_equal(left, right, check_exact=True)


def test_the_city_tells_something_of_nearly_every_indicator(midway: pl.DataFrame, frames: Frames) -> None:
    both = pl.concat([midway, values(frames, LAST)])
    measured = set(both.get_column("indicator_id"))
    judged = set(both.filter("assessable").get_column("indicator_id"))

    assert len(judged) > 0.5 * len(indicators())
    assert len(measured) > 0.8 * len(indicators())


def test_what_became_known_later_changes_nothing(frames: Frames, midway: pl.DataFrame) -> None:
    """Rows and columns that the data model dates later are taken away, and the answers stay."""
    lazy = {name: frame.lazy() for name, frame in frames.items()}
    then = {name: known_as_of(lazy[name], FACT_TABLES[name], MIDWAY, parents(name, lazy)).collect() for name in frames}

    assert sum(frame.height for frame in then.values()) < sum(frame.height for frame in frames.values())
    assert_same(midway, values(then))


def parents(name: str, lazy: Mapping[str, pl.LazyFrame]) -> dict[str, pl.LazyFrame]:
    wanted = parents_of(FACT_TABLES[name])
    return {one: lazy.get(one, FACT_TABLES[one].create_empty(lazy=True)) for one in wanted}


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_rows_does_not_matter(frames: Frames, midway: pl.DataFrame, seed: int) -> None:
    shuffled = {name: frame.sample(fraction=1, shuffle=True, seed=seed) for name, frame in frames.items()}

    assert_same(midway, values(shuffled))


def test_rows_given_again_on_top_change_nothing(frames: Frames, midway: pl.DataFrame) -> None:
    assert_same(midway, indicator_values(source_of(frames).overlaid(frames), MIDWAY))


PROGRAM = """
import sys
from pathlib import Path
import polars as pl
from features.build import indicator_values
from features.clock import parse_moment
from features.tables.source import read_source_tables
from features.tables.store import TableStore
assert pl.thread_pool_size() == int(sys.argv[3])
source = read_source_tables(TableStore(Path(sys.argv[1])), run="laws")
indicator_values(source, parse_moment(sys.argv[4])).write_ipc(sys.argv[2])
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_does_not_matter(home: Path, midway: pl.DataFrame, tmp_path: Path, threads: int) -> None:
    written = tmp_path / "values.arrow"
    arguments = [str(home), str(written), str(threads), MIDWAY.isoformat()]
    environment = {**os.environ, "POLARS_MAX_THREADS": str(threads)}
    subprocess.run([sys.executable, "-c", PROGRAM, *arguments], check=True, cwd=ROOT, env=environment, timeout=300)

    assert_same(midway, pl.read_ipc(written))


def test_no_sensitive_value_stands_in_what_indicators_say(frames: Frames, midway: pl.DataFrame) -> None:
    told = " ".join(midway.get_column("evidence")) + " ".join(midway.get_column("subject_id"))
    for name, frame in frames.items():
        for column in FACT_TABLES[name].sensitive_columns():
            if frame.schema[column] == pl.String and (column.endswith(("_hash", "_enc"))):
                shown = [value for value in frame.get_column(column).drop_nulls().unique().head(300) if value in told]
                assert not shown, (name, column)
