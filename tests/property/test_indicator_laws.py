"""Laws that hold for every indicator, over small random worlds and over the shipped auctions."""

import datetime as dt
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from polars.testing import assert_frame_equal

from features.build import indicator_values
from features.clock import parse_moment
from features.indicators.built import indicators
from features.ingest.tables import load_tables
from features.tables.contract import SOURCE_TABLES
from features.tables.source import SourceTables, read_source_tables
from features.tables.store import TableStore, TableWriter
from tests.worlds import (
    AS_OF,
    N_TENDERERS,
    Frames,
    Offer,
    World,
    later_rows,
    law,
    random_world,
    seeds,
    shuffled,
    with_rows,
    worlds,
)

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "experiments" / "tsuchiura" / "tables"
HALFWAY = parse_moment("2011-12-31")
LAST = parse_moment("2015-12-31")
GROUPED = ("SI-001", "SI-002", "SI-003")
"""Pairs of a tenderer with a control group, which is written as its smallest member (rulings G7)."""
OF_BIDS = (
    *("SI-001", "SI-002", "SI-003", "SI-007"),
    *(f"SI-0{number}" for number in range(22, 29)),
    *("SI-033", "SI-034"),
)
"""Of these the random worlds have values, and they count no bid that was taken back; ``test_city_laws`` has all."""
IDS = ("org_id", "bidder_org_id", "tenderer_org_id", "owner_org_id", "lot_id", "tender_id", "bid_id", "award_id")


def source_of(frames: Frames) -> SourceTables:
    return SourceTables({name: frame.lazy() for name, frame in frames.items()})


def values(frames: Frames, as_of: dt.datetime = AS_OF) -> pl.DataFrame:
    return indicator_values(source_of(frames), as_of, wanted=OF_BIDS)


def all_values(frames: Frames) -> pl.DataFrame:
    return indicator_values(source_of(frames), AS_OF)


def assert_same(left: pl.DataFrame, right: pl.DataFrame) -> None:
    """Hold two results equal, bit for bit."""
    assert_frame_equal(left, right, check_exact=True)


@pytest.fixture(scope="module")
def shipped(tsuchiura_home: Path) -> Frames:
    source = read_source_tables(TableStore(tsuchiura_home))
    frames = {name: source[table].collect() for name, table in SOURCE_TABLES.items()}
    return {name: frame for name, frame in frames.items() if not frame.is_empty()}


@pytest.fixture(scope="module")
def shipped_values(shipped: Frames) -> pl.DataFrame:
    return values(shipped, LAST)


def test_the_random_worlds_are_not_empty_of_what_the_laws_are_about() -> None:
    found = pl.concat([all_values(random_world(seed, 90).frames()) for seed in range(6)])
    assessed = found.filter("assessable").get_column("indicator_id").unique().sort().to_list()

    assert set(OF_BIDS) <= set(assessed) <= {one.entry.id for one in indicators()}
    assert found.filter("triggered").get_column("indicator_id").n_unique() > 8


# Nothing that happens later changes an earlier answer.


@law
@given(world=worlds, seed=seeds)
def test_rows_whose_event_is_later_change_nothing(world: World, seed: int) -> None:
    frames = world.frames()

    assert_same(all_values(frames), all_values(with_rows(frames, later_rows(seed, frames))))


def test_later_auctions_change_nothing_about_earlier_ones(shipped: Frames) -> None:
    tender = shipped["tender"].filter(pl.col("opening_at") <= HALFWAY)
    lot = shipped["lot"].join(tender, on="tender_id", how="semi")
    earlier = {
        **shipped,
        "tender": tender,
        "lot": lot,
        "bid": shipped["bid"].join(lot, on="lot_id", how="semi"),
        "award": shipped["award"].filter(pl.col("result_published_at") <= HALFWAY),
    }

    assert 0 < tender.height < shipped["tender"].height
    assert_same(values(shipped, HALFWAY), values(earlier, HALFWAY))


# The order of rows says nothing.


@law
@given(world=worlds, seed=seeds)
def test_the_order_of_rows_does_not_matter(world: World, seed: int) -> None:
    frames = world.frames()

    assert_same(all_values(frames), all_values(shuffled(frames, seed)))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_the_shipped_rows_does_not_matter(
    shipped: Frames, shipped_values: pl.DataFrame, seed: int
) -> None:
    assert_same(shipped_values, values(shuffled(shipped, seed), LAST))


# Identifiers are names and nothing more.


def new_names(frames: Frames, seed: int) -> dict[str, str]:
    """Give every identifier a new one that sorts differently."""
    old = sorted({value for _, column in identifiers(frames) for value in column.drop_nulls()})
    numbers = random.Random(seed).sample(range(10 * len(old)), k=len(old))
    return {one: f"x{number:07}" for one, number in zip(old, numbers, strict=True)}


def identifiers(frames: Frames) -> Iterator[tuple[str, pl.Series]]:
    for frame in frames.values():
        for column in frame.iter_columns():
            if column.name in IDS:
                yield column.name, column


def renamed(frames: Frames, names: Mapping[str, str]) -> Frames:
    return {
        name: frame.with_columns(
            pl.col(column).replace_strict(names, default=None, return_dtype=pl.String)
            for column in frame.columns
            if column in IDS
        )
        for name, frame in frames.items()
    }


def group_names(frames: Frames, names: Mapping[str, str]) -> dict[str, str]:
    """Map the smallest member of each control group to the new name that is now the smallest."""
    members: dict[str, list[str]] = {}
    for org, group in frames["organisation"].select("org_id", "group_id").iter_rows():
        members.setdefault(group or org, []).append(org)
    return {min(orgs): min(names[org] for org in orgs) for orgs in members.values()}


def renamed_subject(indicator_id: str, subject: str, names: Mapping[str, str], groups: Mapping[str, str]) -> str:
    if "~" not in subject:
        return names[subject]
    parts = [part.removeprefix("organisation:") for part in subject.split("~")]
    named = [(groups.get(part, names[part]) if indicator_id in GROUPED else names[part]) for part in parts]
    return "~".join(f"organisation:{part}" for part in sorted(named))


def told(indicator_id: str, evidence: str, rename: Callable[[str], str]) -> list[str]:
    """Return evidence in an order of its own, its identifiers renamed; of the result itself only the fields."""
    result, *rows = json.loads(evidence)
    lines = [json.dumps({**row, "key": rename(row["key"]), "fields": _each(row["fields"], rename)}) for row in rows]
    fields: dict[str, Any] = result["fields"]
    if "n_1" in fields:  # of two bidders the one whose name sorts first comes first
        fields["n_1"], fields["n_2"] = sorted([fields["n_1"], fields["n_2"]])
    return [indicator_id, json.dumps(fields), *sorted(lines)]


def _each(fields: Mapping[str, Any], rename: Callable[[str], str]) -> dict[str, Any]:
    return {name: rename(value) if name in IDS else value for name, value in fields.items()}


def assert_only_renamed(frames: Frames, seed: int, as_of: dt.datetime) -> None:
    names = new_names(frames, seed)
    groups = group_names(frames, names)
    before, after = values(frames, as_of), values(renamed(frames, names), as_of)
    told_columns = ["indicator_id", "subject_id", "told"]
    expected = before.with_columns(
        subject_id=pl.struct("indicator_id", "subject_id").map_elements(
            lambda row: renamed_subject(row["indicator_id"], row["subject_id"], names, groups), pl.String
        ),
        told=pl.struct("indicator_id", "evidence").map_elements(
            lambda row: told(row["indicator_id"], row["evidence"], names.__getitem__), pl.List(pl.String)
        ),
    ).drop("value_id", "evidence")
    found = after.with_columns(
        told=pl.struct("indicator_id", "evidence").map_elements(
            lambda row: told(row["indicator_id"], row["evidence"], str), pl.List(pl.String)
        )
    ).drop("value_id", "evidence")

    assert_same(expected.sort(told_columns), found.sort(told_columns))


@law
@given(world=worlds, seed=seeds)
def test_new_identifiers_only_rename_the_results(world: World, seed: int) -> None:
    assert_only_renamed(world.frames(), seed, AS_OF)


def test_new_identifiers_only_rename_the_results_of_the_shipped_auctions(shipped: Frames) -> None:
    assert_only_renamed(shipped, 7, LAST)


# What is delivered twice counts once.


@law
@given(world=worlds)
def test_rows_given_again_on_top_change_nothing(world: World) -> None:
    frames = world.frames()
    source = world.source()

    assert_same(values(frames), indicator_values(source.overlaid(frames), AS_OF, wanted=OF_BIDS))


def stored_twice(home: Path, frames: Frames) -> SourceTables:
    for hour in (1, 2):
        for name, frame in frames.items():
            table = SOURCE_TABLES[name]
            at = AS_OF + dt.timedelta(hours=hour)
            writer = TableWriter(TableStore(home), table, at, "S01")
            written = writer.upsert(frame.with_columns(source_record_id=pl.col(table.key())))
            assert written.unchanged == (frame.height if hour == 2 else 0)
    return read_source_tables(TableStore(home))


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_a_world_stored_twice_is_the_world(tmp_path: Path, seed: int) -> None:
    frames = random_world(seed, 40).frames()

    assert_same(values(frames), indicator_values(stored_twice(tmp_path, frames), AS_OF, wanted=OF_BIDS))


def test_the_shipped_auctions_loaded_twice_are_loaded_once(tmp_path: Path, shipped_values: pl.DataFrame) -> None:
    for day in (1, 2):
        load_tables(tmp_path, TABLES, loaded_at=parse_moment(f"2026-01-0{day}"), source_code="S01")

    assert_same(shipped_values, indicator_values(read_source_tables(TableStore(tmp_path)), LAST, wanted=OF_BIDS))


# A bid that was taken back is no bid.


@law
@given(world=worlds, seed=seeds)
def test_a_withdrawn_bid_changes_nothing(world: World, seed: int) -> None:
    frames = world.frames()
    chance = random.Random(seed)
    added = World()
    for lot in chance.sample(frames["lot"].get_column("lot_id").to_list(), k=10):
        added.bids(lot, Offer(f"F{chance.randrange(14):02}", chance.uniform(1, 1e7), "withdrawn"))

    assert_same(values(frames), values(with_rows(frames, added)))


@law
@given(world=worlds, seed=seeds)
def test_a_bid_that_is_withdrawn_is_as_good_as_none(world: World, seed: int) -> None:
    frames = world.frames()
    bid = frames["bid"]
    taken_back = bid.sample(fraction=0.1, seed=seed).get_column("bid_id").implode()
    withdrawn = pl.when(pl.col("bid_id").is_in(taken_back)).then(pl.lit("withdrawn")).otherwise(pl.col("status"))
    without = {**frames, "bid": bid.filter(~pl.col("bid_id").is_in(taken_back))}
    dtype = bid.schema["status"]
    said = {**frames, "bid": bid.with_columns(status=withdrawn.cast(pl.String).cast(dtype))}

    assert_same(values(without), values(said))


def test_withdrawn_bids_change_nothing_about_the_shipped_auctions(
    shipped: Frames, shipped_values: pl.DataFrame
) -> None:
    again = shipped["bid"].gather_every(7)
    taken_back = again.with_columns(
        bid_id=pl.col("bid_id") + "/withdrawn", status=pl.lit("withdrawn").cast(again.schema["status"])
    )

    assert_same(shipped_values, values({**shipped, "bid": pl.concat([shipped["bid"], taken_back])}, LAST))


# The machine says nothing either.

PROGRAM = """
import sys
from pathlib import Path
import polars as pl
from features.build import indicator_values
from features.clock import parse_moment
from features.tables.source import read_source_tables
from features.tables.store import TableStore
assert pl.thread_pool_size() == int(sys.argv[3])
source = read_source_tables(TableStore(Path(sys.argv[1])))
wanted = sys.argv[4].split(",")
indicator_values(source, parse_moment("2015-12-31"), wanted=wanted).write_ipc(sys.argv[2])
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_does_not_matter(
    tsuchiura_home: Path, shipped_values: pl.DataFrame, tmp_path: Path, threads: int
) -> None:
    written = tmp_path / "values.arrow"
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tsuchiura_home), str(written), str(threads), ",".join(OF_BIDS)],
        check=True,
        cwd=ROOT,
        env={**os.environ, "POLARS_MAX_THREADS": str(threads)},
        timeout=120,
    )

    assert_same(shipped_values, pl.read_ipc(written))


def test_tenderers_of_random_worlds_are_no_bidders() -> None:
    """The laws about names rest on it: a pair then has one tenderer."""
    bidders = {offer for world in [random_world(1, 60)] for offer in world.frames()["bid"].get_column("bidder_org_id")}

    assert bidders.isdisjoint({f"T{number}" for number in range(N_TENDERERS)})
