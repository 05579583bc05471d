"""Laws of the intake: the order of rows and the cut of deliveries do not matter, and nothing is lost or doubled."""

import datetime as dt
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from features.clock import SHANGHAI
from features.ingest.intake import staging
from features.ingest.intake.run import Counts, Intake, MappedBatch
from features.ingest.quarantine.entries import Quarantine
from features.ingest.quarantine.sealing import Seal
from features.tables.columns import Table
from features.tables.contract import ALL_TABLES
from features.tables.organisations import Organisation, Person
from features.tables.projects import Project
from features.tables.reference import Region
from features.tables.store import TableStore
from features.tables.tendering import Lot, Tender

FIRST = dt.datetime(2026, 7, 1, tzinfo=SHANGHAI)
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
"""Without shrinking: every example writes real tables, a minute for a failure is better than an hour."""
SEAL = Seal(bytes(range(64)))
TABLES: tuple[type[Table], ...] = (Region, Organisation, Person, Project, Tender, Lot)


@dataclass(frozen=True)
class Record:
    """A delivered record: where it belongs, who says it, and its cells."""

    table: str
    source: str
    cells: tuple[tuple[str, str | None], ...]
    place: int

    @property
    def feed(self) -> str:
        return f"{self.source}/{self.table}"


def record(table: str, source: str, day: int, cells: dict[str, str | None]) -> Record:
    dated = {**cells, "valid_from_ts": f"2026-0{day}-01T00:00:00+08:00"}
    return Record(table, source, tuple(dated.items()), 0)


def pick(*names: str) -> st.SearchStrategy[str]:
    return st.sampled_from(names)


DAY = st.integers(1, 4)
SOME_NAME = pick("甲", "乙", "丙")
REGIONS = st.builds(
    lambda key, day, name, parent: record(
        "region", "P00", day, {"region_code": key, "name": name, "level": "county", "parent_region_code": parent}
    ),
    pick("R1", "R2", "R3"), DAY, SOME_NAME, st.one_of(st.none(), pick("R1", "R2", "R9")),
)  # fmt: skip
ORGANISATIONS = st.builds(
    lambda key, day, name, person: record(
        "organisation", "S11", day, {"org_id": key, "name": name, "legal_rep_person_id": person}
    ),
    pick("O1", "O2"), DAY, SOME_NAME, st.one_of(st.none(), pick("H1", "H2")),
)  # fmt: skip
GRADES = st.builds(
    lambda key, day, source, grade: record("organisation", source, day, {"org_id": key, "credit_grade": grade}),
    pick("O1", "O2", "O3"), DAY, pick("S04", "S09"), pick("A", "B"),
)  # fmt: skip
PERSONS = st.builds(
    lambda key, day, name, org, official: record(
        "person",
        "S10",
        day,
        {
            "person_id": key,
            "name": name,
            "id_no_hash": f"hash of {key}",
            "employer_org_id": org,
            "is_public_official": official,
        },
    ),
    pick("H1", "H2"), DAY, SOME_NAME, st.one_of(st.none(), pick("O1", "O2")), pick("true", "false"),
)  # fmt: skip
PROJECTS = st.builds(
    lambda number, day, region, status, parent: record(
        "project",
        "P00",
        day,
        {
            "project_id": f"P{number}",
            "project_code": f"C{number}",
            "project_type": "tender",
            "secrecy_level": "none",
            "status": status,
            "region_code": region,
            "parent_project_id": parent,
        },
    ),
    st.integers(1, 3), DAY, pick("R1", "R2", "R8"), pick("planned", "approved"), st.one_of(st.none(), pick("P1", "P2")),
)  # fmt: skip
APPROVED = st.builds(
    lambda number, day, name, owner: record(
        "project",
        "S05",
        day,
        {
            "project_id": f"project_code:C{number}",
            "name": name,
            "sector": "water",
            "region_code": "R1",
            "admin_level": "city",
            "funding_source": "budget",
            "owner_org_id": owner,
        },
    ),
    st.integers(1, 4), DAY, SOME_NAME, st.one_of(st.none(), pick("O1", "O3")),
)  # fmt: skip
TENDERS = st.builds(
    lambda key, day, number, title, again: record(
        "tender",
        "S01",
        day,
        {
            "tender_id": key,
            "project_id": f"project_code:C{number}",
            "title": title,
            "tenderer_org_id": "O1",
            "retender_of_tender_id": again,
        },
    ),
    pick("T1", "T2", "T3"), DAY, st.integers(1, 3), SOME_NAME, st.one_of(st.none(), pick("T1", "T2", "T3")),
)  # fmt: skip
LOTS = st.builds(
    lambda key, day, tender, name: record(
        "lot", "S01", day, {"lot_id": key, "tender_id": tender, "project_id": "P1", "lot_no": "1", "name": name}
    ),
    pick("L1", "L2"), DAY, pick("T1", "T2", "T3"), SOME_NAME,
)  # fmt: skip
RECORDS = st.lists(
    st.one_of(REGIONS, ORGANISATIONS, GRADES, PERSONS, PROJECTS, APPROVED, TENDERS, LOTS), min_size=1, max_size=40
).map(lambda found: [Record(one.table, one.source, one.cells, place) for place, one in enumerate(found)])


def batches(records: Sequence[Record], size: int) -> Iterable[MappedBatch]:
    for start in range(0, len(records), size):
        part = records[start : start + size]
        names = list(dict.fromkeys(name for one in part for name, _ in one.cells))
        rows = pl.DataFrame([dict(one.cells) for one in part], schema=dict.fromkeys(names, pl.String))
        places = pl.Series([f"file:{one.place}" for one in part])
        yield MappedBatch(rows, places, lambda asked, part=part: [str(part[place].cells) for place in asked])


def deliver(home: Path, records: Sequence[Record], at: dt.datetime, size: int) -> Counts:
    """One run: each feed once, in the order in which its first record comes."""
    store = TableStore(home)
    with store.writing():
        intake = Intake(store, at, SEAL)
        for feed in dict.fromkeys(one.feed for one in records):
            mine = [one for one in records if one.feed == feed]
            intake.take(ALL_TABLES[mine[0].table], batches(mine, size), source_code=mine[0].source, feed=feed)
        finished = intake.finish()
    for counts in finished.feeds.values():
        assert counts.read == counts.loaded + counts.unchanged + counts.superseded + counts.quarantined
    total = sum(finished.feeds.values(), Counts())
    assert total.read == len(records)
    return total


def tables(home: Path, known_at: dt.datetime | None = None) -> dict[str, list[tuple[object, ...]]]:
    """The rows of all tables, complete or not, sensitive columns among them."""
    store = TableStore(home)
    rows = {table.NAME: store.read(table, known_at, incomplete=True).collect().rows() for table in TABLES}
    rows["sensitive"] = store.read_sensitive(Person, known_at).collect().rows()
    return {name: sorted(found, key=str) for name, found in rows.items()}


def standing(home: Path) -> dict[str, set[tuple[object, ...]]]:
    """The versions that count: of those valid from the same instant the one with the greatest content."""
    store = TableStore(home)
    at = ["source_code", "valid_from_ts"]
    return {
        table.NAME: set(
            store.versions(table, sensitive=True)
            .sort("content_hash", "sensitive_hash")
            .unique([table.key(), *at], keep="last")
            .select(table.key(), *at, "content_hash", "sensitive_hash")
            .collect()
            .rows()
        )
        for table in TABLES
    }


def test_records_of_every_kind_load_when_their_parents_are_there(tmp_path: Path) -> None:
    region = {"region_code": "R1", "name": "甲", "level": "county", "parent_region_code": None}
    counts = deliver(
        tmp_path / "home",
        [
            record(
                "lot", "S01", 1, {"lot_id": "L1", "tender_id": "T1", "project_id": "P1", "lot_no": "1", "name": "甲"}
            ),
            record("tender", "S01", 1, {"tender_id": "T1", "project_id": "project_code:C1", "title": "甲"}),
            record("project", "S05", 1, {"project_id": "project_code:C1", "name": "甲", "sector": "water"}),
            record("project", "P00", 1, {"project_id": "P1", "project_code": "C1", "status": "planned"}),
            record("person", "S10", 1, {"person_id": "H1", "name": "甲", "id_no_hash": "h", "employer_org_id": "O1"}),
            record("organisation", "S11", 1, {"org_id": "O1", "name": "甲", "legal_rep_person_id": "H1"}),
            record("region", "P00", 1, region),
        ],
        FIRST,
        10,
    )

    assert counts == Counts(7, 7)


def n_versions(home: Path) -> dict[str, int]:
    return {table.NAME: TableStore(home).version(table) for table in TABLES}


def waiting(home: Path) -> list[str]:
    entries = Quarantine(home).list().filter(pl.col("reason") == "unknown_reference")
    return entries.get_column("record").sort().to_list()


@settings(max_examples=40, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RECORDS, st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 50))
def test_order_and_cut_of_deliveries_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record], seed: int, n_runs: int, size: int
) -> None:
    homes = [tmp_path_factory.mktemp("whole") / "home", tmp_path_factory.mktemp("cut") / "home"]
    shuffled = random.Random(seed).sample(records, len(records))
    deliver(homes[0], records, FIRST, 1000)
    for run in range(n_runs):
        deliver(homes[1], shuffled[run::n_runs], FIRST + dt.timedelta(days=run), size)

    assert tables(homes[1]) == tables(homes[0])
    assert standing(homes[1]) == standing(homes[0])
    assert waiting(homes[1]) == waiting(homes[0])
    for home in homes:
        reasons = set(Quarantine(home).list(state=None).get_column("reason"))
        assert reasons <= {"unknown_reference", "conflicting_duplicate"}


@settings(max_examples=20, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RECORDS, st.integers(1, 4))
def test_a_second_delivery_changes_nothing_and_any_past_state_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record], n_runs: int
) -> None:
    home = tmp_path_factory.mktemp("one") / "home"
    moments = [FIRST + dt.timedelta(days=run) for run in range(n_runs)]
    backups: list[dict[str, list[tuple[object, ...]]]] = []
    for run, moment in enumerate(moments):
        deliver(home, records[run::n_runs], moment, 7)
        backups.append(tables(home))
    before, entries, open_ = n_versions(home), Quarantine(home).list(state=None).height, waiting(home)

    again = deliver(home, records, FIRST + dt.timedelta(days=9), 11)

    assert again.loaded == again.superseded == 0
    assert n_versions(home) == before
    assert Quarantine(home).list(state=None).height <= entries + again.quarantined
    assert waiting(home) == open_
    assert [tables(home, moment) for moment in moments] == backups


@settings(max_examples=15, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RECORDS)
def test_rows_on_disk_are_decided_as_rows_in_memory(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record]
) -> None:
    homes = [tmp_path_factory.mktemp("memory") / "home", tmp_path_factory.mktemp("disk") / "home"]
    deliver(homes[0], records, FIRST, 1000)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(staging, "HELD_ROWS", 2)
        patched.setattr(staging, "GROUP_ROWS", 3)
        counts = deliver(homes[1], records, FIRST, 3)

    assert counts.read == len(records)
    assert tables(homes[1]) == tables(homes[0])
    assert standing(homes[1]) == standing(homes[0])
    assert waiting(homes[1]) == waiting(homes[0])
    assert not (homes[1] / "staging").exists()
