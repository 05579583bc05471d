"""Tables on disk: versions of rows, replay, compaction, one writer."""

import datetime as dt
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from features.clock import SHANGHAI
from features.errors import StoreError
from features.tables.organisations import Organisation
from features.tables.store import TableStore, TableWriter, Upserted

ROOT = Path(__file__).parents[2]
DAYS = [dt.datetime(2026, 1, day, 12, tzinfo=SHANGHAI) for day in (1, 2, 3, 4)]


def organisations(*named: tuple[str, str], record: str = "file row 1") -> pl.DataFrame:
    schema = {name: column.dtype for name, column in Organisation.columns().items()}
    rows = pl.DataFrame([{"org_id": org, "name": name} for org, name in named], schema=schema)
    return rows.with_columns(source_record_id=pl.lit(record))


def load(store: TableStore, at: dt.datetime, rows: pl.DataFrame, records: list[str] | None = None) -> Upserted:
    with store.writing():
        writer = TableWriter(store, Organisation, at, "S01")
        complete = None if records is None else pl.Series(records)
        return writer.upsert(rows, complete_records=complete)


def names(store: TableStore, known_at: dt.datetime | None = None) -> dict[str, str]:
    return dict(store.read(Organisation, known_at).select("org_id", "name").sort("org_id").collect().iter_rows())


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    """A is loaded, corrected, then taken back by its record; B comes with the correction."""
    store = TableStore(tmp_path / "home")
    load(store, DAYS[0], organisations(("A", "甲公司")))
    load(store, DAYS[1], organisations(("A", "甲有限公司"), ("B", "乙公司")))
    load(store, DAYS[2], organisations(("B", "乙公司")), records=["file row 1"])
    return store


PAST = [
    (DAYS[0] - dt.timedelta(microseconds=1), {}),
    (DAYS[0], {"A": "甲公司"}),
    (DAYS[1], {"A": "甲有限公司", "B": "乙公司"}),
    (DAYS[2], {"B": "乙公司"}),
    (None, {"B": "乙公司"}),
]


@pytest.mark.parametrize(("known_at", "expected"), PAST)
def test_any_past_state_is_read_as_it_was_known(
    store: TableStore, known_at: dt.datetime | None, expected: dict[str, str]
) -> None:
    assert names(store, known_at) == expected


def test_replay_survives_compaction_and_vacuum(store: TableStore) -> None:
    def data_files() -> int:
        return len(list(store.path(Organisation).glob("*.parquet")))

    before = data_files()
    store.compact(Organisation)
    store.vacuum(Organisation)

    assert data_files() == 1 < before
    assert [names(store, known_at) for known_at, _ in PAST] == [expected for _, expected in PAST]


def test_rows_that_are_there_already_are_not_stored_again(store: TableStore) -> None:
    version = store.version(Organisation)

    assert load(store, DAYS[3], organisations(("B", "乙公司"))) == Upserted(unchanged=1)
    assert store.version(Organisation) == version


def test_a_row_that_was_taken_back_can_come_again(store: TableStore) -> None:
    assert load(store, DAYS[3], organisations(("A", "甲公司"))).new == 1
    assert names(store) == {"A": "甲公司", "B": "乙公司"}
    assert names(store, DAYS[2]) == {"B": "乙公司"}


def test_two_rows_of_one_key_in_a_delivery_are_refused(store: TableStore) -> None:
    with pytest.raises(StoreError, match="'C'"):
        load(store, DAYS[3], organisations(("C", "丙"), ("C", "丁")))


def test_a_second_writer_is_told_to_wait_and_a_killed_one_holds_nothing(store: TableStore) -> None:
    code = (
        "import sys, time, pathlib; from features.tables.store import TableStore\n"
        "with TableStore(pathlib.Path(sys.argv[1])).writing(): print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(store.home)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(StoreError, match="being written by another process"), store.writing():
        pass
    other.kill()
    other.wait()
    other.stdout.close()
    with store.writing():
        pass


@pytest.mark.parametrize("name", ["数据 目录", "a b", "x#y", "x?y", "a+b&c"])
def test_a_home_may_lie_in_any_folder(tmp_path: Path, name: str) -> None:
    store = TableStore(tmp_path / name / "home")
    load(store, DAYS[0], organisations(("A", "甲公司")))
    load(store, DAYS[1], organisations(("B", "乙公司")))
    store.compact(Organisation)
    store.vacuum(Organisation)

    assert names(store) == {"A": "甲公司", "B": "乙公司"}


@pytest.mark.parametrize("name", ["p%20q", "x[1]"])
def test_a_folder_that_tables_cannot_be_kept_in_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="in its path"), TableStore(tmp_path / name).writing():
        pass


def test_a_version_that_counts_only_later_is_not_in_force_yet(store: TableStore) -> None:
    later = dt.datetime(2199, 1, 1, tzinfo=SHANGHAI)
    load(store, DAYS[3], organisations(("B", "乙集团")).with_columns(valid_from_ts=pl.lit(later)))

    assert names(store) == {"B": "乙公司"}
    assert names(store, later) == {"B": "乙集团"}
