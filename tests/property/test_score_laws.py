"""Laws that hold for the index, over small random worlds: what it rests on, and what must not matter to it."""

import json
import random
from datetime import datetime

import polars as pl
import pytest
from hypothesis import given
from polars.testing import assert_frame_equal

from features.tables.contract import SOURCE_TABLES
from features.tables.source import SourceTables
from models.index import Scored
from models.lot_features import measured_lots
from serving.records import check_references, record_frames
from serving.scoring import DEFAULT_TYPES, run_as_of
from tests.worlds import AS_OF, Frames, World, later_rows, law, seeds, shuffled, with_rows, worlds

TYPES = (*DEFAULT_TYPES, "pair")
ONE_LOT = {"project": "project_id", "tender": "tender_id", "lot": "lot_id", "bid": "lot_id", "award": "lot_id"}


def source_of(frames: Frames) -> SourceTables:
    return SourceTables({name: frame.lazy() for name, frame in frames.items()})


def scored(source: SourceTables) -> Scored:
    run = run_as_of(source, AS_OF, None)
    return run.scored(run.linked(TYPES))


def assert_same(left: Scored, right: Scored) -> None:
    """Hold index, contributions and what was not judged equal, bit for bit."""
    assert_frame_equal(left.index, right.index, check_exact=True)
    assert_frame_equal(left.contributions, right.contributions, check_exact=True)
    assert_frame_equal(left.without_value, right.without_value, check_exact=True)


@law
@given(world=worlds, seed=seeds)
def test_rows_whose_event_is_later_change_no_score(world: World, seed: int) -> None:
    frames = world.frames()

    assert_same(scored(source_of(frames)), scored(source_of(with_rows(frames, later_rows(seed, frames)))))


@law
@given(world=worlds, seed=seeds)
def test_the_order_of_rows_does_not_matter(world: World, seed: int) -> None:
    frames = world.frames()

    assert_same(scored(source_of(frames)), scored(source_of(shuffled(frames, seed))))


@law
@given(world=worlds, seed=seeds)
def test_what_the_model_reads_does_not_depend_on_the_order_of_rows(world: World, seed: int) -> None:
    frames = world.frames()
    lots = measured_lots(source_of(frames), AS_OF)

    assert_frame_equal(lots, measured_lots(source_of(shuffled(frames, seed)), AS_OF), check_exact=True)


@law
@given(world=worlds, seed=seeds)
def test_lots_sent_as_json_score_exactly_as_in_the_tables(world: World, seed: int) -> None:
    frames = world.frames()
    lots = random.Random(seed).sample(frames["lot"].get_column("lot_id").to_list(), k=3)
    sent, stored = dict[str, pl.DataFrame](), dict(frames)
    for name, key in ONE_LOT.items():
        if name in frames:
            of_lots = pl.col(key).is_in(_keys(key, lots))
            sent[name], stored[name] = frames[name].filter(of_lots), frames[name].filter(~of_lots)

    records = record_frames(json.loads(json.dumps({name: _as_json(frame) for name, frame in sent.items()})))
    online = source_of(stored).overlaid(records)
    check_references(records, online)

    assert_same(scored(source_of(frames)), scored(online))


def _keys(key: str, lots: list[str]) -> list[str]:
    """The ids of the worlds' rows that belong to lots."""
    before = {"project_id": "P-", "tender_id": "N-", "lot_id": ""}[key]
    return [f"{before}{lot}" for lot in lots]


def _as_json(frame: pl.DataFrame) -> list[dict[str, object]]:
    """Rows as a client writes them: money as text, moments in RFC 3339, nulls left out."""
    rows = frame.iter_rows(named=True)
    return [{name: _cell(cell) for name, cell in row.items() if cell is not None} for row in rows]


def _cell(cell: object) -> object:
    if isinstance(cell, datetime):
        return cell.isoformat()
    return cell if isinstance(cell, bool | int) else str(cell)


@law
@given(world=worlds)
def test_every_score_adds_up_and_stands_on_rows_that_exist(world: World) -> None:
    frames = world.frames()
    result = scored(source_of(frames))
    index, lines = result.index, result.contributions

    sums = dict(lines.group_by(pl.concat_str("subject_type", "subject_id")).agg(pl.col("points").sum()).iter_rows())
    for row in index.iter_rows(named=True):
        assert sums.get(row["subject_type"] + row["subject_id"], 0.0) == pytest.approx(row["score"] or 0.0, abs=1e-9)
        assert (row["score"] is None) == (row["coverage"] == 0)
        assert row["score"] is None or 0 <= row["score"] <= 100
        assert row["level"] == "none"
    keys = {name: set(frame.get_column(SOURCE_TABLES[name].key())) for name, frame in frames.items()}
    for evidence in lines.filter(pl.col("points") > 0).get_column("evidence"):
        rows = [one for one in json.loads(evidence) if one["table"] != "indicator_value"]
        assert rows
        assert all(one["key"] in keys[one["table"]] for one in rows)
