"""The intake, rule by rule: what becomes of rows, what waits, what is kept and how."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
import pytest

from features.clock import SHANGHAI
from features.errors import InputError
from features.ingest.intake.run import MAPPING_FAILURES, Counts, Derive, Finished, Intake, MappedBatch, Plausible
from features.ingest.quarantine.entries import MASK, Quarantine
from features.ingest.quarantine.sealing import Seal
from features.tables.columns import Table
from features.tables.contracts import Contract
from features.tables.money import Payment
from features.tables.organisations import Organisation, Person
from features.tables.projects import Project
from features.tables.reference import Region
from features.tables.site import Attendance, KeyPersonnel
from features.tables.store import TableStore
from features.tables.tendering import Tender

NOW = dt.datetime(2026, 7, 1, 12, tzinfo=SHANGHAI)
SEAL = Seal(bytes(range(64)))
Cells = Mapping[str, str | None]
Rows = Sequence[Cells]


def batch(
    rows: Rows, failures: Sequence[Mapping[str, object]] = (), introduced: Mapping[str, pl.DataFrame] | None = None
) -> MappedBatch:
    names = list(dict.fromkeys(name for row in rows for name in row))
    frame = pl.DataFrame([dict(row) for row in rows], schema=dict.fromkeys(names, pl.String))
    failed = pl.DataFrame([dict(one) for one in failures], schema=dict(MAPPING_FAILURES))
    places = pl.Series([f"file:{number}" for number in range(1, len(rows) + 1)])
    return MappedBatch(frame, places, lambda asked: [f"delivered {place}" for place in asked], failed, introduced or {})


class Door:
    """Hands rows to one home, a run a call."""

    def __init__(self, home: Path, seal: Seal | None = SEAL) -> None:
        self.store = TableStore(home)
        self.quarantine = Quarantine(home, seal)
        self.seal = seal
        self.days = 0

    def take(
        self,
        table: type[Table],
        rows: Rows | MappedBatch,
        source: str = "P00",
        *,
        derive: Derive | None = None,
        plausible: dict[str, Plausible] | None = None,
        known: dict[str, Derive] | None = None,
        seen: Counter[str] | None = None,
    ) -> Finished:
        self.days += 1
        given = rows if isinstance(rows, MappedBatch) else batch(rows)

        def watch(fate: str, frame: pl.DataFrame) -> None:
            if seen is not None:
                seen[fate] += frame.height

        with self.store.writing():
            intake = Intake(self.store, NOW + dt.timedelta(days=self.days), self.seal, known or {})
            feed = f"{source}/{table.NAME}"
            intake.take(table, [given], source_code=source, feed=feed, derive=derive, plausible=plausible, watch=watch)
            return intake.finish()

    def count(self, table: type[Table], rows: Rows | MappedBatch, source: str = "P00") -> Counts:
        return self.take(table, rows, source).feeds[f"{source}/{table.NAME}"]

    def reasons(self) -> list[tuple[str, str, str]]:
        return self.quarantine.list().sort("record").select("level", "field", "reason").rows()

    def values(self, table: type[Table], column: str) -> list[object]:
        return self.store.read(table, incomplete=True).sort(table.key()).collect().get_column(column).to_list()


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path / "home")


@pytest.fixture
def site(door: Door) -> Door:
    """A project with a contract and a key person."""
    door.take(Region, [{"region_code": "R1", "name": "市", "level": "city"}])
    door.take(Organisation, [{"org_id": "O1", "name": "甲"}], "S11")
    door.take(Person, [{"person_id": "H1", "name": "张三", "id_no_hash": "h1"}])
    door.take(Project, [{"project_id": "P1", "project_code": "C1", "budget_estimate_amount": "1000000"}])
    door.take(Contract, [{"contract_id": "K1", "project_id": "P1", "amount": "500000"}])
    door.take(KeyPersonnel, [{"kp_id": "KP1", "project_id": "P1", "contract_id": "K1", "person_id": "H1"}])
    return door


# -- versions ----------------------------------------------------------------------------------------------------


def named(name: str, day: int | None = None, key: str = "O1") -> dict[str, str]:
    return {"org_id": key, "name": name} | ({} if day is None else {"valid_from_ts": f"2026-01-{day:02}"})


def test_an_undated_row_is_unchanged_when_it_says_what_is_in_force_of_its_source(door: Door) -> None:
    assert door.count(Organisation, [named("甲")]) == Counts(1, 1)
    assert door.count(Organisation, [named("甲")]) == Counts(1, 0, 1)
    assert door.count(Organisation, [named("乙")]) == Counts(1, 1)
    assert door.count(Organisation, [named("甲")]) == Counts(1, 1)
    assert door.count(Organisation, [named("甲")], "S11") == Counts(1, 1)


def test_two_undated_rows_of_a_key_that_differ_are_both_refused(door: Door) -> None:
    assert door.count(Organisation, [named("甲"), named("乙"), named("丙", key="O2")]) == Counts(3, 1, 0, 0, 2)
    assert door.reasons() == [("row", "org_id", "conflicting_duplicate")] * 2


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_versions_of_one_instant_the_same_stands_whichever_comes_first(
    door: Door, order: tuple[int, int]
) -> None:
    rows = [named("甲", 1), named("乙", 1)]
    for number in order:
        door.take(Organisation, [rows[number]])

    other = Door(door.store.home.with_name("other"))
    assert other.count(Organisation, rows) == Counts(2, 1, 0, 0, 1)
    assert door.values(Organisation, "name") == other.values(Organisation, "name")
    assert door.reasons() == other.reasons() == [("row", "org_id", "conflicting_duplicate")]
    stands = door.values(Organisation, "name")[0]
    kept = [json.loads(str(entry)) for entry in door.quarantine.pending_raw(None).get_column("raw")]
    assert [row["name"] for row in kept] == [name for name in ("甲", "乙") if name != stands]


def test_a_version_that_gives_way_is_told_by_record_instant_and_key(tmp_path: Path) -> None:
    told: set[tuple[str, str]] = set()
    for names in ("甲乙", "乙甲"):
        door = Door(tmp_path / names)
        for name in names:
            door.take(Organisation, [named(name, 1, key="局(2024)1") | {"source_record_id": "局(2024)1"}])
        told.update(door.quarantine.list().select("record", "place").rows())

    assert told == {
        ("局(2024)1:20260101235959 (局(2024)1)", "局(2024)1:20260101235959"),
        ("file:1 (局(2024)1)", "file:1"),
    }


def test_dated_and_undated_rows_meet(door: Door) -> None:
    assert door.count(Organisation, [named("甲", 1), named("甲")]) == Counts(2, 1, 1)
    assert door.count(Organisation, [named("乙", 2), named("丙")]) == Counts(2, 1, 0, 1)
    assert door.values(Organisation, "name") == ["丙"]


def test_rows_may_name_their_own_source(door: Door) -> None:
    door.take(Organisation, [named("甲") | {"source_code": "S04"}, named("乙", key="O2")], "S11")

    assert door.store.versions(Organisation).collect().sort("org_id").get_column("source_code").to_list() == [
        "S04",
        "S11",
    ]


def test_what_becomes_of_every_row_is_told_once(door: Door) -> None:
    seen = Counter[str]()
    rows = [named("甲", 1), named("甲", 1), named("乙", 2), {**named("", 3), "org_id": None}]
    waiting = {"org_id": "O9", "name": "丙", "region_code": "R1", "valid_from_ts": "2026-01-01"}
    door.take(Organisation, [*rows, waiting], seen=seen)
    assert seen == {"delivered": 5, "loaded": 1, "superseded": 1, "unchanged": 1, "quarantined": 2}

    door.take(Region, [{"region_code": "R1", "name": "市", "level": "city"}])
    assert door.values(Organisation, "name") == ["乙", "丙"]


# -- what is refused ---------------------------------------------------------------------------------------------


def test_a_value_that_the_mapping_refuses_is_null_and_its_row_loads(door: Door) -> None:
    failure = {"row": 0, "field": "ownership", "reason": "unknown_code", "level": "value", "value": "99"}
    rows = [{"org_id": "O1", "name": "甲", "ownership": "soe"}]

    assert door.count(Organisation, batch(rows, failures=[failure])) == Counts(1, 1)
    assert door.values(Organisation, "ownership") == [None]
    entry = door.quarantine.list().row(0, named=True)
    assert (entry["level"], entry["value"], entry["feed"], entry["source_code"]) == (
        "value",
        "99",
        "P00/organisation",
        "P00",
    )


def test_a_row_that_the_mapping_refuses_is_kept_as_delivered(door: Door) -> None:
    failure = {
        "row": 1,
        "field": "统一社会信用代码",
        "reason": "not_a_code",
        "level": "row",
        "value": "123",
        "mend": "问来源",
    }

    assert door.count(Organisation, batch([named("甲"), named("乙", key="O2")], failures=[failure])) == Counts(
        2, 1, 0, 0, 1
    )
    entry = door.quarantine.show(str(door.quarantine.list().get_column("id")[0]))
    assert (entry["raw"], entry["value"], entry["mend"]) == ("delivered 1", MASK, "问来源")


def test_a_part_of_a_row_may_lack_what_others_deliver_but_not_what_it_brings_itself(door: Door) -> None:
    assert door.count(Organisation, [{"org_id": "O1", "credit_grade": "A"}], "S04") == Counts(1, 1)
    assert door.count(Organisation, [{"org_id": "O1", "name": None}], "S11") == Counts(1, 0, 0, 0, 1)
    assert door.reasons() == [("row", "name", "missing_value")]


def test_an_event_later_than_its_record_is_refused(site: Door) -> None:
    punch = PUNCH | {"in_geofence": "true"}
    early = punch | {"valid_from_ts": "2026-07-01T08:49:59+08:00"}
    skewed = punch | {"attendance_id": "A2", "valid_from_ts": "2026-07-01T08:50:00+08:00"}

    assert site.count(Attendance, [early, skewed]) == Counts(2, 1, 0, 0, 1)
    assert site.reasons() == [("row", "punched_at", "after_its_record")]


def test_an_amount_out_of_proportion_to_the_parent_s_is_refused(site: Door) -> None:
    check = {"paid_amount": Plausible("contract_id", "amount", 0.0001, 5)}
    amounts = ["100000", "1000000000", "10", "0", None]
    payments = [
        {"payment_id": f"Y{n}", "contract_id": "K1", "project_id": "P1", "paid_amount": amount}
        for n, amount in enumerate(amounts)
    ]

    counts = site.take(Payment, payments, plausible=check).feeds["P00/payment"]

    assert counts == Counts(5, 3, 0, 0, 2)
    assert site.reasons() == [("row", "paid_amount", "unit_suspected")] * 2
    entry = site.quarantine.list().sort("record").row(0, named=True)
    assert entry["value"] == "1000000000.00"
    assert entry["message"] == (
        "paid_amount is 1000000000.00, 2000.0 times the amount of its contract_id (500000.00); "
        "0.0001 to 5 times is plausible."
    )


def test_a_row_that_waits_names_what_it_refers_to_unless_that_is_personal(site: Door) -> None:
    site.count(KeyPersonnel, [{"kp_id": "KP2", "project_id": "P9", "contract_id": "K1", "person_id": "H1"}])
    site.count(Organisation, [{"org_id": "O2", "name": "乙", "legal_rep_person_id": "H9"}], "S11")
    site.count(Tender, [{"tender_id": "T1", "project_id": "project_code:C9", "title": "x"}], "S01")

    waiting = site.quarantine.list().sort("table")

    assert waiting.select("table", "field", "value").rows() == [
        ("key_personnel", "project_id", "P9"),
        ("organisation", "legal_rep_person_id", MASK),
        ("tender", "project_id", "project_code:C9"),
    ]


# -- references --------------------------------------------------------------------------------------------------


def test_a_key_or_reference_may_be_written_by_a_unique_value(site: Door) -> None:
    part = {"project_id": "project_code:C1", "name": "道路"}
    tender = {"tender_id": "T1", "project_id": "project_code:C1", "title": "道路施工"}

    assert site.count(Project, [part, part | {"project_id": "project_code:C7"}], "S05") == Counts(2, 1, 0, 0, 1)
    assert site.count(Tender, [tender], "S01") == Counts(1, 1)
    assert (site.values(Project, "name"), site.values(Tender, "project_id")) == (["道路"], ["P1"])
    assert site.take(Project, [{"project_id": "P7", "project_code": "C7"}]).released == {"S05/project": 1}
    assert site.values(Project, "name") == ["道路", "道路"]


def test_rows_that_wait_for_one_another_in_a_ring_are_released_together(door: Door) -> None:
    door.take(Organisation, [{"org_id": "O1", "name": "甲", "legal_rep_person_id": "H1"}], "S11")
    assert door.reasons() == [("row", "legal_rep_person_id", "unknown_reference")]

    person = {"person_id": "H1", "name": "张三", "id_no_hash": "h", "employer_org_id": "O1"}
    finished = door.take(Person, [person], "S10")

    assert finished == Finished({"S10/person": Counts(1, 1)}, {"S11/organisation": 1})
    assert door.quarantine.list().is_empty()


def test_a_chain_within_a_table_loads_in_any_order_and_stops_where_it_is_broken(door: Door) -> None:
    chain = [
        {"region_code": f"R{n}", "name": "区", "level": "county", "parent_region_code": f"R{n + 1}" if n != 3 else None}
        for n in range(8)
    ]

    assert door.count(Region, chain) == Counts(8, 4, 0, 0, 4)
    last = {"region_code": "R8", "name": "区", "level": "county"}
    assert door.take(Region, [last]).released == {"P00/region": 4}


def test_what_a_batch_introduces_is_known_at_once_and_yields_to_whom_it_concerns(door: Door) -> None:
    rows = pl.DataFrame({"org_id": ["O5", "O6"], "name": ["某公司", "另一公司"]})
    introduced = {"organisation": rows}
    person = {"person_id": "H1", "name": "张三", "id_no_hash": "h", "employer_org_id": "O5"}

    assert door.count(Person, batch([person], introduced=introduced), "S10") == Counts(1, 1)
    assert door.values(Organisation, "name") == ["某公司", "另一公司"]
    before = door.store.version(Organisation)
    assert door.count(Person, batch([person], introduced=introduced), "S10") == Counts(1, 0, 1)
    assert door.store.version(Organisation) == before
    door.take(Organisation, [named("正名", 1, "O5")], "S11")
    assert door.values(Organisation, "name") == ["正名", "另一公司"]


# -- completion --------------------------------------------------------------------------------------------------

PUNCH = {
    "attendance_id": "A1",
    "project_id": "P1",
    "kp_id": "KP1",
    "person_id": "H1",
    "punched_at": "2026-07-01T09:00:00+08:00",
    "longitude": "106.1",
    "latitude": "30.8",
    "method": "card",
    "is_makeup": "false",
}


def fenced(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(in_geofence=pl.col("longitude") > 106)


def test_rows_are_completed_before_their_required_columns_are_checked(site: Door) -> None:
    unplaced = PUNCH | {"attendance_id": "A2", "longitude": None}

    counts = site.take(Attendance, [PUNCH, unplaced], derive=fenced).feeds["P00/attendance"]

    assert counts == Counts(2, 1, 0, 0, 1)
    assert site.reasons() == [("row", "in_geofence", "missing_value")]
    assert site.values(Attendance, "in_geofence") == [True]


def test_rows_that_waited_since_an_earlier_run_are_completed_too(site: Door) -> None:
    site.take(Attendance, [PUNCH | {"kp_id": "KP9"}], derive=fenced)
    post = {"kp_id": "KP9", "project_id": "P1", "contract_id": "K1", "person_id": "H1"}

    assert site.take(KeyPersonnel, [post], known={"P00/attendance": fenced}).released == {"P00/attendance": 1}
    assert site.values(Attendance, "in_geofence") == [True]


def test_values_whose_time_is_over_are_never_stored_and_make_no_row_another(site: Door) -> None:
    old = PUNCH | {"attendance_id": "A0", "punched_at": "2026-05-01T09:00:00+08:00", "in_geofence": "true"}
    young = PUNCH | {"in_geofence": "true"}

    site.take(Attendance, [old, young])

    stored = site.store.read_sensitive(Attendance).sort("attendance_id").collect()
    assert stored.get_column("longitude").to_list() == [None, 106.1]
    site.days = 60
    assert site.count(Attendance, [old, young]) == Counts(2, 0, 2)


# -- what is kept ------------------------------------------------------------------------------------------------

SECRET = {"org_id": "O1", "name": "甲", "legal_rep_person_id": "p-secret", "region_code": "R1"}


def bytes_of(home: Path) -> bytes:
    frames = [pl.read_parquet(path) for path in (home / "quarantine" / "entries").glob("*.parquet")]
    return pl.concat(frames).write_csv().encode()


def test_records_in_quarantine_are_sealed_and_open_under_the_key_alone(door: Door) -> None:
    door.take(Organisation, [SECRET])

    assert b"p-secret" not in bytes_of(door.store.home)
    [entry] = door.quarantine.pending_raw(None).to_dicts()
    assert json.loads(entry["raw"])["legal_rep_person_id"] == "p-secret"
    assert Quarantine(door.store.home).pending_raw(None).is_empty()
    with pytest.raises(InputError, match="another key"):
        Quarantine(door.store.home, Seal(bytes(range(1, 65)))).pending_raw(None)


def test_without_a_key_a_record_loses_its_personal_cells_and_cannot_be_judged_again(tmp_path: Path) -> None:
    door = Door(tmp_path / "home", seal=None)
    door.take(Organisation, [SECRET, SECRET | {"org_id": "O2", "legal_rep_person_id": None}])
    door.take(Organisation, batch([{"org_id": "O3", "name": None}]))

    assert b"p-secret" not in bytes_of(door.store.home)
    assert b"delivered" not in bytes_of(door.store.home)
    assert [json.loads(raw)["org_id"] for raw in door.quarantine.pending_raw(None).get_column("raw")] == ["O2"]


def test_the_same_refusals_are_kept_once_and_settled_ones_open_again(door: Door) -> None:
    for _ in range(2):
        door.take(Organisation, [SECRET])
        assert door.quarantine.list().height == 1
    door.quarantine.mark_replayed(door.quarantine.list().get_column("id"), NOW + dt.timedelta(days=door.days))
    assert door.quarantine.list().is_empty()

    door.take(Organisation, [SECRET])

    assert door.quarantine.list().height == 1


def unit_mixed_up(**cells: str) -> dict[str, str]:
    return {"payment_id": "Y1", "contract_id": "K9", "project_id": "P1", "paid_amount": "1000000000"} | cells


CHECK = {"paid_amount": Plausible("contract_id", "amount", 0.0001, 5)}


@pytest.mark.parametrize("waits", [True, False])
def test_a_row_is_refused_as_one_entry_whether_it_waited_or_not(site: Door, waits: bool) -> None:
    contract = [{"contract_id": "K9", "project_id": "P1", "amount": "500000"}]
    if waits:
        site.take(Payment, [unit_mixed_up()], plausible=CHECK)
    site.take(Contract, contract)
    site.take(Payment, [unit_mixed_up()], plausible=CHECK)
    site.take(Payment, [unit_mixed_up(), unit_mixed_up(payment_id="Y2", paid_amount="1")], plausible=CHECK)

    entries = site.quarantine.list(state=None).filter(pl.col("reason") == "unit_suspected").sort("key")
    assert entries.select("key", "state", "in_shape").rows() == [("Y1", "open", True), ("Y2", "open", True)]


def test_a_row_that_waits_for_less_than_before_is_one_entry(site: Door) -> None:
    waiting = unit_mixed_up(project_id="P9")
    site.take(Payment, [waiting])
    site.take(Contract, [{"contract_id": "K9", "project_id": "P1", "amount": "500000"}])
    site.take(Payment, [waiting])

    assert site.quarantine.list().select("key", "waiting").rows() == [("Y1", True)]


def test_an_empty_cell_is_left_out_of_a_kept_row_and_text_that_looks_like_one_is_not(site: Door) -> None:
    text = 'a "payee":null,b'
    site.take(Tender, [{"tender_id": "T8", "project_id": "P9", "title": text, "agency_org_id": None}], "S01")

    kept = json.loads(str(site.quarantine.pending_raw(None).get_column("raw")[0]))
    assert kept == {"tender_id": "T8", "project_id": "P9", "title": text, "source_code": "S01"}


# -- what is no open work any more -------------------------------------------------------------------------------

UNREAD = {"row": 0, "field": "name", "reason": "missing_value", "level": "row"}


def refused(day: int, level: str = "row") -> MappedBatch:
    return batch([named("甲", day)], failures=[UNREAD | {"level": level}])


@pytest.mark.parametrize("refused_first", [True, False])
@pytest.mark.parametrize(
    ("level", "day", "state"),
    [
        ("row", 1, "open"),
        ("row", 2, "superseded"),
        ("row", 3, "superseded"),
        ("value", 2, "open"),
        ("value", 3, "superseded"),
    ],
)
def test_a_refusal_is_settled_once_its_source_has_the_row_taken_as_it_was_or_newer(
    door: Door, level: str, day: int, state: str, refused_first: bool
) -> None:
    taken = [named("乙", day)]
    deliveries = [refused(2, level), taken] if refused_first else [taken, refused(2, level)]
    for delivery in [*deliveries, taken]:
        door.take(Organisation, delivery, "S11")

    assert door.quarantine.list(state=None).filter(reason="missing_value").get_column("state").to_list() == [state]


def test_a_superseded_refusal_stays_settled_when_it_is_delivered_once_more(door: Door) -> None:
    for _ in range(2):
        door.take(Organisation, refused(2), "S11")
        door.take(Organisation, [named("甲", 3)], "S11")

    assert door.quarantine.list().is_empty()
    assert door.quarantine.list(state="superseded").height == 1


def test_neither_another_source_nor_a_conflict_settles_a_refusal(door: Door) -> None:
    door.take(Organisation, refused(2), "S11")
    door.take(Organisation, [named("甲", 3)], "P00")
    door.take(Organisation, [named("甲", 2, "O2")], "P00")
    door.take(Organisation, [named("乙", 2, "O2")], "P00")
    door.take(Organisation, [named("丙", 4, "O2")], "P00")

    entries = door.quarantine.list().sort("key").select("key", "reason").rows()
    assert entries == [("O1", "missing_value"), ("O2", "conflicting_duplicate")]


def test_a_row_with_a_source_of_its_own_is_settled_by_that_source_alone(door: Door) -> None:
    own = batch([named("甲", 2) | {"source_code": "S04"}], failures=[UNREAD])
    door.take(Organisation, own, "S11")
    door.take(Organisation, [named("乙", 3)], "S11")
    assert door.quarantine.list().get_column("source_code").to_list() == ["S04"]

    door.take(Organisation, [named("乙", 3) | {"source_code": "S04"}], "S11")
    assert door.quarantine.list().is_empty()


UNREADABLE = {"row": 0, "field": "", "reason": "unfinished_record", "level": "row"}


@pytest.mark.parametrize("taken", ["loaded", "unchanged", "superseded"])
def test_a_record_that_could_not_be_read_is_settled_by_one_taken_at_its_place(door: Door, taken: str) -> None:
    days = {"loaded": [], "unchanged": [2], "superseded": [3]}[taken]
    door.take(Organisation, [named("甲", day) for day in days], "S11")
    door.take(Organisation, batch([{"org_id": None}], failures=[UNREADABLE]), "S11")
    door.take(Organisation, [named("甲", 1)], "P00")
    door.take(Organisation, [named("甲", 1) | {"org_id": None}], "S11")
    assert "unfinished_record" in [reason for _, _, reason in door.reasons()]

    finished = door.take(Organisation, [named("甲", 2)], "S11")

    assert getattr(finished.feeds["S11/organisation"], taken) == 1
    assert door.quarantine.list().is_empty()


def undated(name: str = "甲") -> MappedBatch:
    return batch([named(name)], failures=[UNREAD])


def test_an_undated_refusal_is_settled_once_its_key_is_taken_later_even_unchanged(door: Door) -> None:
    door.take(Organisation, [named("甲")], "S11")
    door.take(Organisation, undated(), "S11")
    door.take(Organisation, [named("乙", key="O2")], "S11")
    door.take(Organisation, [named("甲")], "P00")
    assert door.reasons() == [("row", "name", "missing_value")]

    assert door.count(Organisation, [named("甲")], "S11") == Counts(1, 0, 1)
    assert door.quarantine.list(state="superseded").height == 1

    door.take(Organisation, undated(), "S11")
    assert door.reasons() == [("row", "name", "missing_value")]


def test_a_refusal_that_comes_with_a_row_of_its_key_that_is_taken_stays_open(door: Door) -> None:
    for _ in range(2):
        door.take(Organisation, batch([named("甲"), named("乙")], failures=[UNREAD]), "S11")
        assert door.reasons() == [("row", "name", "missing_value")]


REGION = {"region_code": "R1", "name": "市", "level": "city"}


@pytest.mark.parametrize("waits_first", [True, False])
def test_a_waiting_row_of_which_a_newer_one_is_stored_is_no_open_work_but_still_history(
    door: Door, waits_first: bool
) -> None:
    deliveries = [[named("甲", 1) | {"region_code": "R1"}], [named("乙", 2)]]
    for rows in deliveries if waits_first else deliveries[::-1]:
        door.take(Organisation, rows, "S11")
    assert door.quarantine.list(state="superseded").get_column("waiting").to_list() == [True]

    assert door.take(Region, [REGION]).released == {"S11/organisation": 1}
    assert door.values(Organisation, "name") == ["乙"]
    assert door.store.versions(Organisation).collect().height == 2
    assert door.quarantine.list(state="replayed").height == 1


def test_an_undated_row_that_waits_gives_way_to_the_next_of_its_key(door: Door) -> None:
    door.take(Organisation, [named("甲") | {"region_code": "R1"}], "S11")
    door.take(Organisation, [named("乙")], "S11")
    assert door.quarantine.list().is_empty()

    assert door.take(Region, [REGION]).released == {}
    assert door.values(Organisation, "name") == ["乙"]


def test_a_row_that_waits_tells_what_it_lacks_now(site: Door) -> None:
    site.take(Payment, [unit_mixed_up(project_id="P9")])
    site.take(Project, [{"project_id": "P9", "project_code": "C9"}])

    [entry] = site.quarantine.list().to_dicts()
    assert (entry["field"], entry["value"], entry["mend"]) == (
        "contract_id",
        "K9",
        "deliver that row of contract as well, or correct the id.",
    )
    states = site.quarantine.folder / "states"
    before = len(list(states.glob("*.parquet")))
    site.take(Region, [REGION])
    assert len(list(states.glob("*.parquet"))) == before


def test_a_row_that_lacks_one_of_its_own_table_as_well_tells_it_at_last(site: Door) -> None:
    tender = {"tender_id": "T8", "project_id": "P9", "title": "x", "retender_of_tender_id": "T7"}
    site.take(Tender, [tender], "S01")
    site.take(Project, [{"project_id": "P9", "project_code": "C9"}])

    assert site.quarantine.list().select("field", "value").rows() == [("retender_of_tender_id", "T7")]


def test_a_waiting_row_stays_settled_when_it_comes_to_lack_something_else_in_the_same_load(door: Door) -> None:
    door.take(Organisation, [named("甲", 1) | {"region_code": "R1", "legal_rep_person_id": "H9"}], "S11")
    assert door.reasons() == [("row", "legal_rep_person_id", "unknown_reference")]
    person = pl.DataFrame({"person_id": ["H9"], "name": ["张三"], "id_no_hash": ["h9"]})

    door.take(Organisation, batch([named("乙", 2)], introduced={"person": person}), "S11")

    assert door.quarantine.list(state=None).get_column("state").to_list() == ["superseded"]
