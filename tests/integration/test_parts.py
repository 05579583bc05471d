"""Rows that several sources deliver in parts, and the columns that are kept apart."""

import datetime as dt
import itertools
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from features.clock import SHANGHAI
from features.tables.columns import Table
from features.tables.contract import ALL_TABLES
from features.tables.disposition import AccountabilityRecord
from features.tables.organisations import Person
from features.tables.projects import Project
from features.tables.site import Attendance
from features.tables.store import TableStore, TableWriter, Upserted

DAYS = [dt.datetime(2026, 1, day, 12, tzinfo=SHANGHAI) for day in range(1, 9)]
POSTGRES = os.environ.get("SMOKE_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/test")


def part(table: type[Table], **cells: object) -> pl.DataFrame:
    known = table.columns()
    rows = pl.DataFrame({name: [cell] for name, cell in cells.items()})
    return rows.select(pl.col(name).cast(known[name].dtype) for name in rows.columns if name in known)


def put(
    store: TableStore, table: type[Table], source: str, at: dt.datetime, rows: pl.DataFrame, **more: object
) -> None:
    versions = rows.with_columns(
        loaded_at=pl.lit(at),
        valid_from_ts=pl.lit(more.get("valid_from", at)),
        source_code=pl.lit(source),
        source_record_id=pl.lit("record"),
        retracted=pl.lit(more.get("retracted", False)),
    )
    with store.writing():
        store.append(table, versions)


def project(store: TableStore, known_at: dt.datetime | None = None, *, incomplete: bool = False) -> dict[str, object]:
    rows = store.read(Project, known_at, incomplete=incomplete).collect()
    return rows.row(0, named=True) if rows.height else {}


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(tmp_path / "home")


PLATFORM = part(Project, project_id="P1", status="under_construction", secrecy_level="none", project_type="tender")
APPROVAL = part(Project, project_id="P1", project_code="C1", name="道路", admin_level="city")
SITE = part(Project, project_id="P1", actual_start_date=dt.date(2026, 1, 5))


def test_a_row_is_put_together_from_the_parts_of_its_sources(store: TableStore) -> None:
    put(store, Project, "S02", DAYS[0], SITE)
    put(store, Project, "P00", DAYS[1], PLATFORM)
    assert project(store) == {}
    assert project(store, incomplete=True)["status"] == "under_construction"

    put(store, Project, "S05", DAYS[2], APPROVAL)

    found = project(store)
    assert (found["name"], found["status"], found["actual_start_date"]) == (
        "道路",
        "under_construction",
        dt.date(2026, 1, 5),
    )
    assert project(store, DAYS[1]) == {}


def test_a_column_is_taken_from_the_source_entitled_to_it_though_another_is_newer(store: TableStore) -> None:
    put(store, Project, "S05", DAYS[0], APPROVAL)
    put(
        store,
        Project,
        "P00",
        DAYS[1],
        PLATFORM.with_columns(name=pl.lit("旧称"), actual_finish_date=dt.date(2026, 3, 1)),
    )

    assert project(store)["name"] == "道路"
    assert project(store)["actual_finish_date"] == dt.date(2026, 3, 1)


def test_of_the_sources_that_are_not_entitled_the_newest_part_counts(store: TableStore) -> None:
    put(store, Project, "P00", DAYS[0], PLATFORM)
    for source, name, valid_from in [("S07", "甲", DAYS[3]), ("S02", "乙", DAYS[5]), ("S03", "丙", DAYS[4])]:
        put(store, Project, source, DAYS[6], part(Project, project_id="P1", name=name), valid_from=valid_from)

    assert project(store)["name"] == "乙"


def test_a_source_takes_back_its_part_alone(store: TableStore) -> None:
    put(store, Project, "P00", DAYS[0], PLATFORM)
    put(store, Project, "S05", DAYS[0], APPROVAL)
    put(store, Project, "S02", DAYS[1], SITE)
    put(store, Project, "S02", DAYS[2], SITE, retracted=True)

    assert project(store)["actual_start_date"] is None
    assert project(store, DAYS[1])["actual_start_date"] == dt.date(2026, 1, 5)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_order_in_which_parts_and_versions_arrive_does_not_matter(tmp_path: Path, order: tuple[int, ...]) -> None:
    store = TableStore(tmp_path / "home")
    same_instant = [APPROVAL.with_columns(name=pl.lit(name)) for name in ("甲", "乙")]
    arrivals = [("P00", PLATFORM), ("S02", SITE), *[("S05", rows) for rows in same_instant]]
    for place, number in enumerate(order):
        source, rows = arrivals[number]
        put(store, Project, source, DAYS[place], rows, valid_from=DAYS[0])

    expected = TableStore(tmp_path / "other")
    for source, rows in arrivals:
        put(expected, Project, source, DAYS[4], rows, valid_from=DAYS[0])
    assert project(store) == project(expected)


def test_sensitive_columns_lie_apart_and_are_read_only_by_asking_for_them(store: TableStore) -> None:
    official = part(Person, person_id="H1", name="张三", id_no_hash="h1", is_public_official=True, id_no_enc="secret")
    put(store, Person, "S10", DAYS[0], official)

    assert set(store.read(Person).collect_schema().names()).isdisjoint(Person.sensitive_columns())
    assert store.read_sensitive(Person).select("id_no_enc", "is_public_official").collect().row(0) == ("secret", True)
    in_table = pl.read_parquet(store.path(Person) / "*.parquet")
    assert set(in_table.columns).isdisjoint(Person.sensitive_columns())
    assert store.sensitive_path(Person).parent.stat().st_mode & 0o077 == 0


def test_a_change_of_a_sensitive_column_alone_is_a_new_version(store: TableStore) -> None:
    rows = part(Person, person_id="H1", name="张三", id_no_hash="h1", is_public_official=False)

    def write(at: dt.datetime, frame: pl.DataFrame) -> Upserted:
        whole = frame.with_columns(pl.lit(None).alias(n) for n in Person.column_names() if n not in frame.columns)
        with store.writing():
            return TableWriter(store, Person, at, "S10").upsert(whole.with_columns(source_record_id=pl.lit("r")))

    assert write(DAYS[0], rows) == Upserted(new=1)
    assert write(DAYS[1], rows) == Upserted(unchanged=1)
    assert write(DAYS[2], rows.with_columns(is_public_official=pl.lit(value=True))) == Upserted(changed=1)
    read = [store.read_sensitive(Person, at).collect().get_column("is_public_official").item() for at in DAYS[1:3]]
    assert read == [False, True]


def test_sensitive_parts_without_a_row_are_never_read(store: TableStore) -> None:
    put(store, Person, "S10", DAYS[0], part(Person, person_id="H1", name="张三", id_no_hash="h1", id_no_enc="one"))
    torn = TableStore(store.home.with_name("torn"))
    put(torn, Person, "S10", DAYS[0], part(Person, person_id="H1", name="张三", id_no_hash="h1"))
    store.sensitive_path(Person).parent.rename(torn.home / "sensitive")
    put(torn, Person, "S10", DAYS[1], part(Person, person_id="H2", name="李四", id_no_hash="h2", id_no_enc="two"))

    assert torn.versions(Person, sensitive=True).collect().height == 2
    assert torn.read_sensitive(Person).collect().height == 2


def test_a_purged_column_is_no_part_of_what_a_row_says(store: TableStore) -> None:
    punch = part(
        Attendance, attendance_id="A1", project_id="P1", kp_id="K1", person_id="H1", punched_at=DAYS[0],
        longitude=106.1, latitude=30.8, in_geofence=True, method="card", is_makeup=False,
    )  # fmt: skip
    put(store, Attendance, "P00", DAYS[1], punch)
    put(store, Attendance, "P00", DAYS[2], punch.with_columns(longitude=None, latitude=None))

    hashes = store.versions(Attendance, sensitive=True).select("content_hash", "sensitive_hash").collect()
    assert hashes.unique().height == 1


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | None]:
    """An empty database: SQLite in the home, or a schema of its own in PostgreSQL."""
    if request.param == "sqlite":
        yield None
        return
    engine = sa.create_engine(POSTGRES, poolclass=NullPool)
    try:
        engine.connect().close()
    except OperationalError as error:
        if os.environ.get("SMOKE_REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(f"no PostgreSQL answers: {error.orig}")
    schema = f"smoke_{uuid.uuid4().hex[:12]}"
    with engine.begin() as connection:
        connection.exec_driver_sql(f'CREATE SCHEMA "{schema}"')
    yield f"{POSTGRES}?options=-csearch_path%3D{schema}"
    with engine.begin() as connection:
        connection.exec_driver_sql(f'DROP SCHEMA "{schema}" CASCADE')


SQL_TABLES = ["user_account", "param", "warning", "disposition", "accountability_record", "joint_inspection"]


@pytest.mark.parametrize("name", SQL_TABLES)
def test_sql_tables_give_back_what_was_put_into_them(database: str | None, tmp_path: Path, name: str) -> None:
    store, table = TableStore(tmp_path / "home", database), ALL_TABLES[name]
    rows = table.sample(20)
    given = rows.with_columns(source_record_id=pl.lit("r"))
    assert not store.exists(table)

    with store.writing():
        first = TableWriter(store, table, DAYS[0], "P00").upsert(given)
        again = TableWriter(store, table, DAYS[1], "P00").upsert(given)

    assert (first.new, again.unchanged, store.version(table)) == (20, 20, 20)
    kept = store.read_sensitive(table).sort(table.key()).collect()
    assert kept.equals(rows.select(kept.columns).sort(table.key()))
    assert store.read(table).collect_schema().names() == table.public_columns()
    assert table.STORE == "sql"


def test_sql_tables_replay_and_compose_as_the_others_do(database: str | None, tmp_path: Path) -> None:
    store = TableStore(tmp_path / "home", database)
    rows = AccountabilityRecord.sample(1)
    changed = rows.with_columns(pl.lit("P9").alias("person_id"))
    put(store, AccountabilityRecord, "P00", DAYS[0], rows)
    put(store, AccountabilityRecord, "P00", DAYS[1], changed)
    put(store, AccountabilityRecord, "P00", DAYS[2], changed, retracted=True)

    def person(at: dt.datetime) -> list[object]:
        return store.read_sensitive(AccountabilityRecord, at).collect().get_column("person_id").to_list()

    assert person(DAYS[0]) == rows.get_column("person_id").to_list()
    assert (person(DAYS[1]), person(DAYS[2])) == (["P9"], [])
