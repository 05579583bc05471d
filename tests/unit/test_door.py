"""Sensitive columns: one door, a stated purpose, a line in the log before the read, and nobody who is not named."""

import ast
import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features.clock import SHANGHAI
from features.errors import InputError, StoreError
from features.tables.columns import Table
from features.tables.contract import ALL_TABLES
from features.tables.credit import Complaint
from features.tables.documents import BondPayment
from features.tables.door import ROLES, AccessDeniedError, Door, access_rules
from features.tables.organisations import Person, PersonRelation
from features.tables.reference import AccessLog
from features.tables.source import SourceTables, read_source_tables
from features.tables.store import TableStore

ROOT = Path(__file__).parents[2]
LOADED = dt.datetime(2026, 1, 5, 12, tzinfo=SHANGHAI)


def put(store: TableStore, table: type[Table], *rows: dict[str, Any]) -> None:
    technical = {"loaded_at": LOADED, "valid_from_ts": LOADED, "source_record_id": "r", "retracted": False}
    whole = [
        {**technical, "source_code": table.about(table.key())["source_system"].split("+")[0], **row} for row in rows
    ]
    store.append(table, pl.DataFrame(whole, infer_schema_length=None))


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    store = TableStore(tmp_path / "home")
    bond = {"bid_id": "B1", "lot_id": "L1", "form": "transfer", "amount": 1}
    put(store, BondPayment, {"bond_id": "1", **bond, "payer_account_hash": "hash-1"}, {"bond_id": "2", **bond})
    put(
        store,
        PersonRelation,
        {"relation_id": "1", "person_a_id": "pa", "person_b_id": "pb", "relation_type": "spouse", "basis": "registry"},
    )
    complaint = {"complaint_type": "report", "received_at": LOADED}
    put(
        store,
        Complaint,
        {"complaint_id": "1", "complainant_person_id": "p1", "handler_dept_id": "D1", **complaint},
        {"complaint_id": "2", "complainant_person_id": "p2", "handler_dept_id": "D2", **complaint},
        {"complaint_id": "3", "complainant_person_id": "p3", **complaint},
    )
    return store


def centre(store: TableStore, purpose: str = "disposition W-1") -> Door:
    return Door(store, "u1", purpose, "centre_city")


def log(store: TableStore) -> list[dict[str, Any]]:
    return store.read(AccessLog).sort("accessed_at").collect().to_dicts()


def test_a_read_gives_the_values_and_leaves_who_when_what_and_why(store: TableStore) -> None:
    before = dt.datetime.now(SHANGHAI)
    rows = centre(store).read(BondPayment, ["bond_id", "payer_account_hash"], subject="B1").sort("bond_id").collect()

    assert rows.rows() == [("1", "hash-1"), ("2", None)]
    (line,) = log(store)
    assert before <= line["accessed_at"] <= dt.datetime.now(SHANGHAI)
    assert (line["user_id"], line["table_name"], line["subject_id"], line["purpose"]) == (
        "u1",
        "bond_payment",
        "B1",
        "disposition W-1",
    )
    assert json.loads(line["fields_read"]) == ["payer_account_hash"]


def test_the_log_is_on_the_disk_before_anything_is_read(store: TableStore, monkeypatch: pytest.MonkeyPatch) -> None:
    lines_at_read: list[int] = []
    read = TableStore.read_sensitive

    def watched(self: TableStore, *arguments: Any) -> pl.LazyFrame:
        lines_at_read.append(len(log(TableStore(self.home))))
        return read(self, *arguments)

    monkeypatch.setattr(TableStore, "read_sensitive", watched)
    centre(store).read(BondPayment)
    assert lines_at_read == [1]


def test_nothing_is_read_when_the_log_cannot_be_written(store: TableStore, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(TableStore, "read_sensitive", lambda *_: read.append("read"))
    nowhere = replace(store, database=f"sqlite:///{store.home}/no such folder/cases.sqlite")
    with pytest.raises(StoreError, match="nothing was read"):
        centre(nowhere).read(BondPayment)
    assert read == []


def test_what_is_not_sensitive_is_read_without_a_line(store: TableStore) -> None:
    assert centre(store).read(BondPayment, ["bond_id", "amount"]).collect().height == 2
    assert log(store) == []


def test_a_filter_on_a_sensitive_column_is_a_read_of_it(store: TableStore) -> None:
    found = centre(store).read(BondPayment, ["bond_id"], where=pl.col("payer_account_hash") == "hash-1").collect()
    assert found.rows() == [("1",)]
    assert json.loads(log(store)[0]["fields_read"]) == ["payer_account_hash"]


def test_people_are_logged_at_every_read_and_a_run_once_a_table(store: TableStore) -> None:
    person = centre(store)
    run = Door(store, "system:build-7", "indicator run build-7", "system")
    for door in (person, person, run, run):
        door.read(BondPayment, ["bond_id", "payer_account_hash"])
    run.read(PersonRelation)

    assert [(line["user_id"], line["table_name"]) for line in log(store)] == [
        ("u1", "bond_payment"),
        ("u1", "bond_payment"),
        ("system:build-7", "bond_payment"),
        ("system:build-7", "person_relation"),
    ]


@pytest.mark.parametrize("purpose", ["", "  ", "\n"])
def test_a_purpose_is_mandatory(store: TableStore, purpose: str) -> None:
    with pytest.raises(InputError, match="purpose"):
        centre(store, purpose)


@pytest.mark.parametrize(
    ("user", "role"), [("", "centre_city"), ("u1", "nobody"), ("u1", "system"), ("system:x", "centre_city")]
)
def test_a_reader_is_a_person_with_a_role_or_a_run(store: TableStore, user: str, role: str) -> None:
    with pytest.raises(InputError):
        Door(store, user, "why", role)


@pytest.mark.parametrize("role", sorted(ROLES - {"discipline_city", "discipline_county", "system"}))
def test_ties_of_officials_are_for_discipline_roles(store: TableStore, role: str) -> None:
    door = Door(store, "u1", "case 7", role)
    for table, column in (
        (PersonRelation, "person_a_id"),
        (PersonRelation, "relation_type"),
        (Person, "is_public_official"),
    ):
        with pytest.raises(AccessDeniedError, match=column):
            door.read(table, [table.key(), column])
        with pytest.raises(AccessDeniedError, match=column):
            door.read(table, [table.key()], where=pl.col(column).is_not_null())
    assert log(store) == []
    # Without naming columns a reader gets what is theirs: here, that a tie is declared, not with whom.
    assert "person_a_id" not in door.read(PersonRelation).collect_schema().names()


def test_discipline_reads_ties(store: TableStore) -> None:
    rows = Door(store, "u9", "case 7", "discipline_county").read(PersonRelation).collect()
    assert rows.select("person_a_id", "person_b_id", "relation_type").rows() == [("pa", "pb", "spouse")]


def test_complainants_are_for_the_handling_department(store: TableStore) -> None:
    columns = ["complaint_id", "complainant_person_id"]

    def seen(dept_id: str | None) -> list[tuple[str, str | None]]:
        door = Door(store, "u2", "complaint", "dept_county", dept_id)
        return door.read(Complaint, columns).sort("complaint_id").collect().rows()

    assert seen("D1") == [("1", "p1"), ("2", None), ("3", None)]
    assert seen(None) == [("1", None), ("2", None), ("3", None)]
    # Nor by asking for a person of another department's complaint.
    door = Door(store, "u2", "complaint", "dept_city", "D1")
    assert door.read(Complaint, columns, where=pl.col("complainant_person_id") == "p2").collect().is_empty()
    with pytest.raises(AccessDeniedError):
        centre(store).read(Complaint, columns)


@pytest.mark.parametrize(
    "role", ["sysadmin", "leader", "owner", "contractor", "public", "model_engineer", "data_steward"]
)
def test_a_role_that_no_line_names_reads_nothing_sensitive(store: TableStore, role: str) -> None:
    for table in ALL_TABLES.values():
        for column in table.sensitive_columns():
            with pytest.raises(AccessDeniedError):
                Door(store, "u3", "curious", role).read(table, [column])


def test_the_grants_name_columns_that_are_sensitive_and_roles_that_exist() -> None:
    for (name, column), grant in access_rules().items():
        assert grant.roles <= ROLES
        if name != "*":
            assert column == "*" or column in ALL_TABLES[name].sensitive_columns()
            assert not grant.only_rows_of or grant.only_rows_of in ALL_TABLES[name].column_names()


def test_nothing_but_the_door_and_the_store_itself_reads_sensitive_columns() -> None:
    """``read_sensitive`` is called by the door alone; versions with sensitive columns by store and intake alone."""
    allowed = {
        "read_sensitive": {"features/tables/door.py"},
        "versions": {"features/tables/store.py", "features/ingest/intake/run.py"},
    }
    calls: dict[str, set[str]] = {"read_sensitive": set(), "versions": set()}
    for folder in ("features", "models", "training", "serving"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                openly = any(keyword.arg == "sensitive" for keyword in node.keywords)
                if node.func.attr == "read_sensitive" or (node.func.attr == "versions" and openly):
                    calls[node.func.attr].add(path.relative_to(ROOT).as_posix())
    assert calls["read_sensitive"] == allowed["read_sensitive"]
    assert calls["versions"] <= allowed["versions"]


def test_a_run_compares_sensitive_values_and_leaves_one_line_a_table_that_it_looks_at(store: TableStore) -> None:
    source = read_source_tables(store, run="build-1").collected()
    assert store.read(AccessLog).collect().is_empty()

    for _ in range(2):
        bonds = source.with_sensitive(BondPayment).sort("bond_id").collect()
        assert bonds.get_column("payer_account_hash").to_list() == ["hash-1", None]
    assert source.with_sensitive(Complaint).collect().get_column("complainant_person_id").to_list() == [None] * 3

    assert source[BondPayment].collect_schema().names() == BondPayment.public_columns()
    logged = store.read(AccessLog).collect()
    assert logged.select("user_id", "table_name").rows() == [("system:build-1", "bond_payment")]


def test_without_a_run_the_door_is_shut_and_every_sensitive_value_is_unknown(store: TableStore) -> None:
    bonds = read_source_tables(store).with_sensitive(BondPayment).collect()

    assert (bonds.height, bonds.get_column("payer_account_hash").null_count()) == (2, 2)
    assert store.read(AccessLog).collect().is_empty()


def test_rows_laid_on_top_bring_their_own_sensitive_values(store: TableStore) -> None:
    rows = pl.DataFrame([{"bond_id": "2", "bid_id": "B9", "payer_account_hash": "hash-2"}])

    for source in (read_source_tables(store, run="online").collected(), SourceTables({})):
        laid = source.overlaid({"bond_payment": rows}).collected()
        bonds = laid.with_sensitive(BondPayment).sort("bond_id").collect()
        assert bonds.select("bond_id", "bid_id", "payer_account_hash").rows()[-1] == ("2", "B9", "hash-2")
        assert bonds.height == laid[BondPayment].collect().height
