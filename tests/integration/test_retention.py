"""Retention: what its time is over for is gone from the disk, nothing else is, and the log says so."""

import datetime as dt
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from features.clock import SHANGHAI, now
from features.errors import CatalogueError, InputError
from features.ingest.intake.run import Counts, Intake, MappedBatch
from features.ingest.quarantine.entries import ENTRY_SCHEMA, GIVEN, SEALED, Quarantine, Rejection
from features.ingest.quarantine.sealing import Seal
from features.retention_run import due, run
from features.tables.columns import Table
from features.tables.completion import Acceptance
from features.tables.contract import ALL_TABLES
from features.tables.organisations import Person
from features.tables.projects import Project
from features.tables.purge import RetentionLog, purged, purged_projects
from features.tables.reference import AccessLog
from features.tables.results import SmokeIndex
from features.tables.retention import checked, purged_columns, rules, without_expired_values
from features.tables.site import Attendance, KeyPersonnel
from features.tables.store import TableStore
from tests.killing import killed_in

ROOT = Path(__file__).parents[2]
AT = dt.datetime(2026, 7, 1, 3, tzinfo=SHANGHAI)
OLD, LIMIT = AT - dt.timedelta(days=45), AT - dt.timedelta(days=30)
OLD_LONGITUDE, YOUNG_LONGITUDE = 106.110611, 106.920692
KILLS = 10


def put(store: TableStore, table: type[Table], *rows: dict[str, Any], loaded_at: dt.datetime = OLD) -> None:
    technical = {"loaded_at": loaded_at, "valid_from_ts": loaded_at, "retracted": False, "source_record_id": "r"}
    whole = [
        {**technical, "source_code": table.about(table.key())["source_system"].split("+")[0], **row} for row in rows
    ]
    store.append(table, pl.DataFrame(whole, infer_schema_length=None))


def punch(number: int, at: dt.datetime, longitude: float, project: str = "P1") -> dict[str, Any]:
    return {
        "attendance_id": f"A{number:06}",
        "project_id": project,
        "kp_id": "K1",
        "person_id": "p1",
        "punched_at": at,
        "longitude": longitude,
        "latitude": 30.8 + number / 10**6,
        "distance_to_site_m": 12.5,
        "in_geofence": True,
        "method": "card",
        "is_makeup": False,
        "valid_from_ts": at,
    }


def refused(number: int, record: dict[str, Any] | str) -> Rejection:
    return Rejection(
        source="P00",
        file="attendance-202605.parquet",
        record=f"attendance-202605.parquet:{number}",
        table="attendance",
        level="row",
        field="method",
        value="",
        reason="unknown_word",
        message="",
        mend="",
        raw=record if isinstance(record, str) else json.dumps(record, ensure_ascii=False),
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Punches of 45, of exactly 30 and of 3 days ago, several files of each; one refused record of each age."""
    home = tmp_path / "数据 home"
    store = TableStore(home)
    for number in range(3):
        put(store, Attendance, punch(number, OLD, OLD_LONGITUDE), punch(10 + number, LIMIT, 106.303))
        put(store, Attendance, punch(20 + number, AT - dt.timedelta(days=3), YOUNG_LONGITUDE))
    young = {"打卡时间": "2026-06-28 08:00:00", "经度": YOUNG_LONGITUDE, "纬度": 30.5}
    old = {"打卡时间": OLD.isoformat(), "平台项目编号": "P1", "经度": OLD_LONGITUDE, "纬度": 30.5, "方式": "?"}
    Quarantine(home).add([refused(1, old), refused(2, young), refused(3, f"no json {OLD_LONGITUDE}")], OLD)
    return home


def coordinates(home: Path) -> dict[str, tuple[float | None, float | None]]:
    rows = TableStore(home).read_sensitive(Attendance).collect()
    return {key: (x, y) for key, x, y in rows.select("attendance_id", "longitude", "latitude").iter_rows()}


def files_with(home: Path, value: float) -> list[str]:
    """Return the files below a home in which a number stands: as text, as eight bytes, or in a Parquet column."""
    patterns = (str(value).encode(), struct.pack("<d", value))
    found: list[str] = []
    for path in home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            parquet = path.suffix == ".parquet" and str(value) in pl.read_parquet(path).write_json()
            if parquet or any(pattern in content for pattern in patterns):
                found.append(path.name)
    return found


def test_the_search_finds_the_coordinates_before_the_purge(home: Path) -> None:
    assert len(files_with(home, OLD_LONGITUDE)) >= 2


def test_coordinates_older_than_thirty_days_are_gone_from_the_disk_and_the_rest_stays(home: Path) -> None:
    before = TableStore(home).read(Attendance).sort("attendance_id").collect()

    run(home, at=AT, by="u1")

    assert files_with(home, OLD_LONGITUDE) == []
    assert files_with(home, YOUNG_LONGITUDE) != []
    found = coordinates(home)
    assert [found[f"A{n:06}"] for n in range(3)] == [(None, None)] * 3
    assert all(x is not None and y is not None for key, (x, y) in found.items() if key >= "A000010")
    assert len(found) == 9
    # What was derived from them stays, to the row.
    assert TableStore(home).read(Attendance).sort("attendance_id").collect().equals(before)


def test_refused_records_lose_the_values_and_can_still_be_replayed(home: Path) -> None:
    run(home, at=AT, by="u1")

    entries = {row["record"][-1]: Quarantine(home).show(row["id"]) for row in Quarantine(home).list().to_dicts()}
    assert json.loads(str(entries["1"]["raw"])) == {"打卡时间": OLD.isoformat(), "平台项目编号": "P1", "方式": "?"}
    assert entries["1"]["raw_complete"] is True
    assert json.loads(str(entries["2"]["raw"]))["经度"] == YOUNG_LONGITUDE
    assert (entries["3"]["raw"], entries["3"]["raw_complete"]) == ("", False)


def test_sealed_records_are_parted_under_their_key_and_never_dropped_without_it(home: Path) -> None:
    seal = Seal(bytes(range(64)))
    record = json.dumps({"longitude": str(OLD_LONGITUDE), "latitude": "30.5", "method": "card", "punched_at": str(OLD)})
    closed = seal.close([record])[0]
    sealed = {"raw": closed, "raw_encoding": SEALED, "waiting": True, "feed": "P00/attendance"}
    entry = {**asdict(refused(4, "")), **sealed, "source_code": "P00", "in_shape": True}
    quarantine = Quarantine(home, seal)
    quarantine.add_frame(pl.DataFrame([entry], schema=ENTRY_SCHEMA).select(*GIVEN), OLD)

    with pytest.raises(InputError, match="SMOKE_DATA_KEY"):
        run(home, at=AT, by="u1")
    run(home, at=AT, by="u1", seal=seal)

    (kept,) = quarantine.waiting("attendance")
    assert json.loads(kept.get_column("raw")[0]) == {"method": "card", "punched_at": str(OLD)}
    assert closed not in "".join(path.read_text(errors="ignore") for path in home.rglob("*") if path.is_file())


def test_the_log_says_what_went_and_a_second_run_finds_nothing(home: Path) -> None:
    first = run(home, at=AT, by="u1").filter(rule="punch_coordinates")
    assert first.select("table", "columns", "rows", "oldest", "newest", "by", "basis").rows() == [
        ("attendance", "longitude;latitude", 3, midnight(OLD), midnight(OLD), "u1", "个人信息保护法 6、19"),
        ("quarantine/attendance", "longitude;latitude", 2, midnight(OLD), midnight(OLD), "u1", "个人信息保护法 6、19"),
        ("landing/attendance", "longitude;latitude", 0, None, None, "u1", "个人信息保护法 6、19"),
    ]
    stamp = state(home)
    assert run(home, at=AT, by="u2").get_column("rows").sum() == 0
    assert state(home) == stamp
    assert set(RetentionLog(home).read().get_column("by")) == {"u1", "u2"}


def test_fetched_files_that_nobody_loaded_and_staged_rows_of_killed_loads_go(home: Path) -> None:
    landing = home / "landing" / "P00"
    landing.mkdir(parents=True)
    for name, fetched in (("attendance-a.parquet", OLD), ("attendance-b.parquet", AT), ("region-a.jsonl", OLD)):
        (landing / name).write_text("left", "utf-8")
        os.utime(landing / name, (fetched.timestamp(), fetched.timestamp()))
    (home / "staging" / "1").mkdir(parents=True)

    done = run(home, at=AT, by="u1")

    assert {path.name for path in landing.iterdir()} == {"attendance-b.parquet", "region-a.jsonl"}
    assert done.filter(table="landing/attendance").get_column("rows").to_list() == [1]
    assert not (home / "staging").exists()


def test_a_dry_run_counts_and_touches_nothing(home: Path) -> None:
    stamp = state(home)
    told = due(home, AT)
    assert told.filter(rule="punch_coordinates").get_column("rows").to_list() == [3, 2, 0]
    assert state(home) == stamp
    assert RetentionLog(home).read().is_empty()


def test_nothing_is_purged_as_of_a_day_that_has_not_come(home: Path) -> None:
    with pytest.raises(InputError, match="has not come"):
        run(home, at=dt.datetime(2199, 1, 1, tzinfo=SHANGHAI), by="u1")


def test_punches_go_a_year_after_acceptance_with_their_sensitive_part_and_the_books_know(home: Path) -> None:
    store = TableStore(home)
    accepted = {"accept_type": "completion", "result": "pass", "accepted_at": AT - dt.timedelta(days=400)}
    put(store, Attendance, punch(50, AT - dt.timedelta(days=500), 106.7, "P2"), punch(51, OLD, 106.7, "P3"))
    put(
        store,
        Acceptance,
        {"acceptance_id": "1", "project_id": "P2", **accepted},
        {"acceptance_id": "2", "project_id": "P3", **accepted, "accepted_at": AT - dt.timedelta(days=360)},
        {"acceptance_id": "3", "project_id": "P1", **accepted, "result": "fail"},
        {"acceptance_id": "4", "project_id": "P1", **accepted, "accept_type": "section"},
    )
    Quarantine(home).add([refused(9, {"平台项目编号": "P2", "姓名": "张三"})], OLD)

    done = run(home, at=AT, by="u1").filter(rule="punches")

    assert done.get_column("rows").to_list() == [1, 1]
    left = set(coordinates(home))
    assert "A000050" not in left and {"A000051", "A000000", "A000020"} <= left
    assert "A000050" not in pl.concat(
        [
            pl.read_parquet(path, columns=["attendance_id"])
            for path in store.sensitive_path(Attendance).glob("*.parquet")
        ]
    ).get_column("attendance_id")
    assert not any("张三".encode() in path.read_bytes() for path in home.rglob("*") if path.is_file())
    parts = purged(RetentionLog(home).read())
    record_day = (AT - dt.timedelta(days=500)).date()
    assert parts.select("source", "table", "day", "purged").rows() == [("P00", "attendance", record_day, 1)]
    assert purged_projects(home, Attendance, store.read(Acceptance)).to_list() == ["P2"]
    assert purged_projects(home, KeyPersonnel, store.read(Acceptance)).is_empty()


def test_results_go_after_ten_years_and_access_logs_after_three(tmp_path: Path) -> None:
    store = TableStore(tmp_path / "home")
    years = {n: AT.replace(year=AT.year - n) for n in range(12)}
    index = {"subject_type": "lot", "run_id": "r", "score": 1.0, "level": "low"}
    for n in (1, 9, 11):
        put(store, SmokeIndex, {"index_id": f"I{n}", "subject_id": "L", "as_of": years[n], **index})
    for n in (1, 2, 4):
        line = {"user_id": f"someone-{n}", "table_name": "person", "purpose": "why", "fields_read": "[]"}
        put(store, AccessLog, {"log_id": f"L{n}", "accessed_at": years[n], **line})

    run(store.home, at=AT, by="u1")

    assert set(store.versions(SmokeIndex).select("index_id").collect().to_series()) == {"I1", "I9"}
    assert set(store.versions(AccessLog).select("log_id").collect().to_series()) == {"L1", "L2"}
    contents = [path.read_bytes() for path in store.home.glob("cases.sqlite*")]
    assert not any(b"someone-4" in content for content in contents)
    assert any(b"someone-2" in content for content in contents)


def test_values_whose_time_is_over_are_never_stored(home: Path) -> None:
    rows = pl.DataFrame([punch(1, OLD, 106.1), punch(2, LIMIT, 106.2), punch(3, AT, 106.3)])
    kept = without_expired_values(rows, Attendance, AT)
    assert kept.get_column("longitude").to_list() == [None, 106.2, 106.3]
    assert kept.drop("longitude", "latitude").equals(rows.drop("longitude", "latitude"))
    assert purged_columns(Attendance) == ["longitude", "latitude"]
    undated = without_expired_values(rows.drop("punched_at"), Attendance, AT)
    assert undated.get_column("latitude").null_count() == 3


def test_the_same_delivery_loaded_again_brings_nothing_back_and_changes_nothing(tmp_path: Path) -> None:
    store, at = TableStore(tmp_path / "home"), now()
    old, young = at - dt.timedelta(days=45), at - dt.timedelta(days=2)
    put(store, Project, {"project_id": "P1"}, {"project_id": "P2"})
    put(store, KeyPersonnel, {"kp_id": "K1"})
    put(store, Person, {"person_id": "p1"})
    punches = [punch(1, old, OLD_LONGITUDE), punch(2, young, YOUNG_LONGITUDE), punch(3, old, OLD_LONGITUDE, "P2")]
    loads = iter([old, at, at])

    def loaded() -> Counts:
        batch = MappedBatch(pl.DataFrame(punches), pl.Series([f"f:{n}" for n in range(3)]), lambda _: [])
        with store.writing():
            intake = Intake(store, next(loads))
            intake.take(Attendance, [batch], source_code="P00", feed="P00/attendance")
            return intake.finish().feeds["P00/attendance"]

    # What is due and not purged is no deletion yet: whether the acceptance comes first does not matter.
    accepted = {"acceptance_id": "1", "project_id": "P2", "accept_type": "completion", "result": "pass"}
    put(store, Acceptance, {**accepted, "accepted_at": at - dt.timedelta(days=400)})
    assert loaded() == Counts(read=3, loaded=3)
    assert set(coordinates(store.home)) == {"A000001", "A000002", "A000003"}
    assert coordinates(store.home)["A000001"] != (None, None)

    run(store.home, at=at, by="u1")

    assert set(coordinates(store.home)) == {"A000001", "A000002"}
    assert loaded() == Counts(read=3, unchanged=3)
    assert set(coordinates(store.home)) == {"A000001", "A000002"}
    assert files_with(store.home, OLD_LONGITUDE) == []

    # A first delivery that comes too late is stored without what is over.
    punches.append(punch(4, old, OLD_LONGITUDE))
    punches.pop(0)
    assert loaded() == Counts(read=3, loaded=1, unchanged=2)
    assert coordinates(store.home)["A000004"] == (None, None)
    assert files_with(store.home, OLD_LONGITUDE) == []


@pytest.fixture
def postgres(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database of its own on the PostgreSQL server that tests are given, named as the home's SQL tables."""
    address = os.environ.get("SMOKE_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/test")
    server, name = sa.create_engine(address, isolation_level="AUTOCOMMIT"), f"retention_{uuid.uuid4().hex[:12]}"
    try:
        with server.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
    except OperationalError:
        if os.environ.get("SMOKE_REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(f"no PostgreSQL answers at {address}")
    url = sa.make_url(address).set(database=name).render_as_string(hide_password=False)
    monkeypatch.setenv("SMOKE_DATABASE_URL", url)
    yield url
    with server.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    server.dispose()


def test_access_logs_go_from_postgresql_too(tmp_path: Path, postgres: str) -> None:
    store = TableStore(tmp_path / "home")
    assert store.url == postgres
    for days in (1090, 1100):
        line = {"user_id": "someone", "table_name": "person", "purpose": "why", "fields_read": "[]"}
        put(store, AccessLog, {"log_id": f"L{days}", "accessed_at": AT - dt.timedelta(days=days), **line})

    run(store.home, at=AT, by="u1")

    assert store.versions(AccessLog).select("log_id").collect().to_series().to_list() == ["L1090"]


def test_procurement_documents_are_kept_fifteen_years() -> None:
    keep = next(rule for rule in rules() if rule.rule == "procurement_documents")
    assert keep.action == "keep"
    assert keep.horizon(AT).year == AT.year - 15
    for table in ("bid", "award", "contract", "evaluation_score", "procurement_order", "complaint"):
        assert table in keep.tables
    early = replace(keep, rule="mistake", action="purge", tables=("bid",), clock="submitted_at", months=120)
    with pytest.raises(CatalogueError, match="政府采购法 42"):
        checked([*rules(), early])
    assert len(checked([*rules(), replace(early, months=181)])) == len(rules()) + 1


def test_every_rule_names_tables_columns_and_clocks_that_exist() -> None:
    for rule in rules():
        for name in rule.tables:
            assert set(rule.columns) <= set(ALL_TABLES[name].column_names())
            if rule.action == "purge" and rule.clock != "project_accepted":
                assert rule.clock_of(ALL_TABLES[name])
            # A clock beside the purged columns, so that one scan finds what is due.
            if rule.columns:
                assert {rule.clock, *rule.columns} <= set(ALL_TABLES[name].sensitive_columns())


def test_a_run_killed_at_any_moment_is_finished_by_the_next(home: Path, tmp_path: Path) -> None:
    chance, at_work, left_begun = random.Random(20260701), 0, 0
    for attempt in range(KILLS):
        copy = tmp_path / f"copy {attempt}" / "home"
        shutil.copytree(home, copy)
        for _ in range(1 + attempt % 2):
            at_work += killed_once_written(copy, chance.randint(2, 30), chance.random() * 0.02)
        left_begun += RetentionLog(copy).unfinished().height

        run(copy, at=AT, by="the last")

        assert files_with(copy, OLD_LONGITUDE) == []
        assert RetentionLog(copy).unfinished().is_empty()
        done = RetentionLog(copy).read().filter(state="done", rule="punch_coordinates", table="attendance")
        assert done.get_column("rows").sum() == 3
        found = coordinates(copy)
        assert len(found) == 9
        assert sum(x is None for x, _ in found.values()) == 3
    assert at_work >= KILLS // 2
    assert left_begun >= 1


def midnight(moment: dt.datetime) -> dt.datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def state(home: Path) -> list[tuple[str, int]]:
    """Return names and sizes of all files but the log of retention."""
    kept = [path for path in home.rglob("*") if path.is_file() and "retention_log" not in path.parts]
    return sorted((str(path.relative_to(home)), path.stat().st_size) for path in kept if path.name != ".writing.lock")


def killed_once_written(home: Path, changes: int, pause: float) -> bool:
    """Start a run, kill it a moment after so many files have come or gone; tell whether it was at work."""
    code = (
        "import sys, datetime as dt, pathlib; from features.retention_run import run\n"
        "print('ready', flush=True)\n"
        "run(pathlib.Path(sys.argv[1]), at=dt.datetime.fromisoformat(sys.argv[2]), by='killed')"
    )
    arguments = [sys.executable, "-c", code, str(home), AT.isoformat()]
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdout.close()
    seen, changed, limit = names(home), 0, time.monotonic() + 60
    while process.poll() is None and changed < changes and time.monotonic() < limit:
        fresh = names(home)
        changed += len(fresh ^ seen)
        seen = fresh
        time.sleep(0.001)
    return killed_in(pause, process)


def names(home: Path) -> set[str]:
    return {str(path) for path in home.rglob("*")}
