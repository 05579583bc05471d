"""``smoke quality``: what it tells of a home with a ledger, a quarantine and tables."""

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import smoke
from features.clock import SHANGHAI
from features.ingest.books.ledger import Books, read_ledger
from features.ingest.books.source_health import expected_intervals, record_sync
from features.ingest.mapped import Counts
from features.ingest.quarantine.entries import Quarantine, Rejection
from features.ingest.tables import load_tables
from features.tables.money import Payment
from features.tables.projects import Project
from features.tables.reference import SourceSync
from features.tables.store import TableStore

RUN = dt.datetime(2026, 4, 1, 8, tzinfo=SHANGHAI)
RECORD = dt.datetime(2026, 3, 2, 17, tzinfo=SHANGHAI)
Json = Callable[..., list[dict[str, Any]]]


def payment(number: int, paid: str) -> dict[str, Any]:
    return {
        "payment_id": f"P{number}",
        "project_id": "1",
        "payment_type": "progress",
        "applied_amount": Decimal(paid),
        "paid_amount": Decimal(paid),
        "applied_at": RECORD,
        "payer_org_id": "O",
        "payee_account_hash": "secret-hash",
        "loaded_at": RUN,
        "valid_from_ts": RECORD,
        "source_code": "S07",
        "source_record_id": str(number),
        "retracted": False,
    }


def load(home: Path, *, booked: int = 3) -> None:
    """Three payments are stored, one is refused; the books say so of as many as are asked."""
    rows = pl.DataFrame([payment(number, "100.50") for number in range(4)])
    TableStore(home).append(Payment, rows.head(3))
    books = Books(home, "run", RUN)
    page = books.page("S07", "S07/payment", Payment, automatic=True)
    page.add("delivered", rows)
    page.add("loaded", rows.head(booked))
    page.add("quarantined", rows.tail(1))
    books.close()
    refused = Rejection(
        source="S07", file="payment-202603.csv", record="payment-202603.csv:4", table="payment", level="row",
        field="payee_account_hash", value="6222020200012345678", reason="unknown_word", message="m", mend="mend it",
        raw="{}",
    )  # fmt: skip
    Quarantine(home).add([refused], RUN)
    record_sync(TableStore(home), RUN)


@pytest.fixture
def asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Json:
    def run(*arguments: str, expect: int = 0) -> list[dict[str, Any]]:
        capsys.readouterr()
        code = smoke.run(["quality", *arguments, "--home", str(tmp_path), "--format", "json"])
        said = capsys.readouterr()
        assert code == expect, said.err
        return json.loads(said.out)

    return run


def test_books_that_add_up_end_well(tmp_path: Path, asked: Json) -> None:
    load(tmp_path)
    (feed,) = asked("reconcile")
    assert (feed["delivered"], feed["loaded"], feed["quarantined"], feed["days_off"]) == (4, 3, 1, 0)
    assert Decimal(feed["delivered_cny"]) == Decimal(feed["accounted_cny"]) == Decimal("402.00")
    (day,) = asked("reconcile", "--by", "day")
    assert (day["day"], day["missing"]) == ("2026-03-02", 0)
    (run,) = asked("reconcile", "--by", "run")
    assert (run["booked"], run["found"], run["missing"]) == (3, 3, 0)
    assert asked("reconcile", "--differences") == []


def test_the_latest_delivery_is_told_from_all_of_them(tmp_path: Path, asked: Json) -> None:
    load(tmp_path)
    books = Books(tmp_path, "again", RUN + dt.timedelta(days=1))
    rows = pl.DataFrame([payment(number, "100.50") for number in range(3)])
    page = books.page("S07", "S07/payment", Payment, automatic=True)
    page.add("delivered", rows)
    page.add("unchanged", rows)
    books.close()

    def delivered(*arguments: str) -> list[tuple[int, int]]:
        return [(row["delivered"], row["unchanged"]) for row in asked("reconcile", *arguments)]

    assert delivered() == [(7, 3)]
    assert delivered("--latest") == delivered("--latest", "--by", "day") == [(3, 3)]
    assert delivered("--by", "day") == [(4, 0), (3, 3)]
    assert asked("reconcile", "--latest", "--by", "run") == []
    (rule,) = asked("rules")
    assert rule["share"] == 0.25


def test_a_difference_is_shown_and_ends_with_exit_code_1(tmp_path: Path, asked: Json) -> None:
    load(tmp_path, booked=2)
    (day,) = asked("reconcile", "--by", "day", "--differences", expect=1)
    assert (day["missing"], Decimal(day["missing_cny"])) == (1, Decimal("100.50"))
    (run,) = asked("reconcile", "--by", "run", "--differences", expect=1)
    assert (run["missing"], Decimal(run["missing_cny"])) == (-1, Decimal("-100.50"))


def test_rules_are_counted_and_personal_data_hidden(
    tmp_path: Path, asked: Json, capsys: pytest.CaptureFixture[str]
) -> None:
    load(tmp_path)
    (rule,) = asked("rules")
    assert (rule["table"], rule["field"], rule["reason"], rule["open"]) == (
        "payment",
        "payee_account_hash",
        "unknown_word",
        1,
    )
    assert rule["share"] == 0.25
    for output in ("table", "csv"):
        assert smoke.run(["quality", "rules", "--home", str(tmp_path), "--format", output]) == 0
    assert "6222020200012345678" not in capsys.readouterr().out + json.dumps(rule)


def test_sources_tell_success_lag_and_counts_and_name_those_that_never_came(tmp_path: Path, asked: Json) -> None:
    load(tmp_path)
    states = {(row["source"], row["table"]): row for row in asked("sources")}
    assert set(states) == set(expected_intervals())
    came = states["S07", "payment"]
    assert (came["received"], came["taken"], came["rejected"], came["auto_ratio"]) == (4, 3, 1, 1.0)
    assert came["late"] is True
    assert states["S01", "bid"]["last_success_at"] is None


def test_the_state_of_sources_is_a_table_too(tmp_path: Path) -> None:
    load(tmp_path)
    rows = TableStore(tmp_path).read(SourceSync).collect().rows_by_key("sync_id", named=True, unique=True)
    assert rows["S07:payment"]["rows_received"] == 4
    assert rows["S07:payment"]["rows_rejected"] == 1
    assert rows["S07:payment"]["source_code"] == "S07"
    assert rows["S07:payment"]["last_success_at"] == RUN
    assert rows["S01:bid"]["last_success_at"] is None
    assert set(rows) == {f"{source}:{table}" for source, table in expected_intervals()}


def test_rows_that_wait_for_another_source_are_named_with_it(tmp_path: Path, asked: Json) -> None:
    part = {"project_id": "NC1", "loaded_at": RUN, "valid_from_ts": RUN, "source_record_id": "1", "retracted": False}
    TableStore(tmp_path).append(Project, pl.DataFrame([{**part, "source_code": "P00", "status": "planned"}]))

    missing = {row["column"]: row for row in asked("incomplete")}

    assert missing["name"]["waits_for"] == "S05"
    assert missing["name"]["example"] == "NC1"
    assert (missing["name"]["rows"], missing["name"]["share"]) == (1, 1.0)
    assert "status" not in missing


def test_files_in_the_contracts_shape_keep_books_also_of_rows_that_wait_and_are_released_later(
    tmp_path: Path, asked: Json
) -> None:
    def deliver(number: int, *rows: str) -> Counts:
        folder = tmp_path / f"delivery {number}"
        folder.mkdir()
        (folder / "region.csv").write_text("\n".join(["region_code,name,level,parent_region_code", *rows, ""]), "utf-8")
        return load_tables(tmp_path, folder, loaded_at=RUN + dt.timedelta(hours=number)).total

    children = ("511302,顺庆区,county,511300", "511303,高坪区,county,511300", "511399,,county,", "511399,x,village,")
    assert deliver(1, *children) == Counts(read=4, quarantined=4)
    assert [feed["quarantined"] for feed in asked("reconcile")] == [4]

    assert deliver(2, "511300,南充市,city,", "511300,南充市,city,") == Counts(read=2, loaded=1, unchanged=1)
    ledger = read_ledger(tmp_path).filter(loaded_at=RUN + dt.timedelta(hours=2)).group_by("fate").agg(pl.sum("records"))
    assert dict(ledger.iter_rows()) == {"delivered": 2, "loaded": 1, "unchanged": 1, "released": 2}
    (run,) = asked("reconcile", "--by", "run")
    assert (run["booked"], run["found"], run["source"]) == (3, 3, "P00")
    assert asked("reconcile", "--differences") == []


def test_an_empty_home_has_nothing_to_tell(asked: Json) -> None:
    assert asked("reconcile") == asked("rules") == asked("incomplete") == []
    assert len(asked("sources")) == len(expected_intervals())
