"""``smoke access`` and ``smoke retention`` on a terminal."""

import csv
import datetime as dt
import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import smoke
from features.clock import SHANGHAI, now
from features.tables.credit import Complaint
from features.tables.door import Door
from features.tables.organisations import Person
from features.tables.site import Attendance
from features.tables.store import TableStore

LOADED = now() - dt.timedelta(days=60)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A punch of 60 days ago and a complaint, read by two people."""
    store = TableStore(tmp_path)
    technical = {"loaded_at": LOADED, "valid_from_ts": LOADED, "source_record_id": "r", "retracted": False}
    punch = {"attendance_id": "A1", "project_id": "P", "kp_id": "K", "person_id": "p", "punched_at": LOADED}
    derived = {"longitude": 106.1, "latitude": 30.8, "in_geofence": True, "method": "card", "is_makeup": False}
    store.append(Attendance, pl.DataFrame([{**technical, "source_code": "P00", **punch, **derived}]))
    complaint = {"complaint_id": "1", "complaint_type": "report", "received_at": LOADED, "handler_dept_id": "D1"}
    store.append(Complaint, pl.DataFrame([{**technical, "source_code": "S01", **complaint}]))
    Door(store, "wang", "disposition W-7", "centre_city").read(Attendance, ["punched_at"], subject="p")
    Door(store, "li", "complaint 1", "dept_city", "D1").read(Complaint)
    return tmp_path


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> list[dict[str, str]]:
        capsys.readouterr()
        assert smoke.run([*arguments, "--format", "csv"]) == 0
        return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    return run


def test_the_access_log_is_listed_latest_first_and_by_user_table_and_day(home: Path, told: Any) -> None:
    rows = told("access", "list", "--home", str(home))
    assert [(row["user_id"], row["table_name"], row["purpose"]) for row in rows] == [
        ("li", "complaint", "complaint 1"),
        ("wang", "attendance", "disposition W-7"),
    ]
    assert rows[1]["subject_id"] == "p"
    assert rows[1]["fields_read"] == '["punched_at"]'
    today = now().astimezone(SHANGHAI).date()
    assert len(told("access", "list", "--home", str(home), "--user", "wang")) == 1
    assert len(told("access", "list", "--home", str(home), "--table", "complaint", "--since", str(today))) == 1
    assert told("access", "list", "--home", str(home), "--since", str(today + dt.timedelta(days=1))) == []


def test_retention_is_shown_tried_run_and_logged(home: Path, told: Any) -> None:
    assert {row["rule"] for row in told("retention", "list")} >= {
        "punch_coordinates",
        "punches",
        "procurement_documents",
    }
    due = told("retention", "run", "--dry-run", "--home", str(home))
    assert [(row["table"], row["rows"]) for row in due if row["rows"] != "0"] == [("attendance", "1")]
    assert told("retention", "log", "--home", str(home)) == []

    told("retention", "run", "--by", "zhang", "--home", str(home))

    logged = [row for row in told("retention", "log", "--home", str(home)) if row["rows"] != "0"]
    assert [(row["state"], row["by"], row["rule"]) for row in logged] == [
        ("begun", "zhang", "punch_coordinates"),
        ("done", "zhang", "punch_coordinates"),
    ]
    due = told("retention", "run", "--dry-run", "--home", str(home), "--as-of", str(now().date()))
    assert {row["rows"] for row in due} == {"0"}


@pytest.mark.parametrize(
    "arguments", [["--as-of", "2199-01-01"], ["--as-of", "yesterday"], ["--home", "/no/such/home"]]
)
def test_a_clumsy_purge_is_refused(home: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.run(["retention", "run", "--home", str(home), *arguments]) == 1
    assert "Mend:" in capsys.readouterr().err


def test_an_export_leaves_names_of_persons_empty_unless_somebody_says_what_for(
    home: Path, told: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    technical = {"loaded_at": LOADED, "valid_from_ts": LOADED, "source_record_id": "r", "retracted": False}
    person = {"person_id": "p", "name": "张三", "id_no_hash": "h"}
    TableStore(home).append(Person, pl.DataFrame([{**technical, "source_code": "P00", **person}]))
    n_lines = len(told("access", "list", "--home", str(home)))

    (row,) = told("export", "person", "--home", str(home))
    assert (row["person_id"], row["name"], row["id_no_hash"]) == ("p", "", "h")
    assert len(told("access", "list", "--home", str(home))) == n_lines
    assert smoke.run(["export", "person", "--home", str(home), "--as", "wang"]) == 1
    assert "--purpose" in capsys.readouterr().err

    (row,) = told("export", "person", "--home", str(home), "--as", "wang", "--purpose", "核对身份")
    assert row["name"] == "张三"
    line = told("access", "list", "--home", str(home))[0]
    assert (line["user_id"], line["table_name"], line["fields_read"]) == ("wang", "person", '["name"]')
