"""The money for labour of a project, in rows made by hand."""

from typing import Any

import pytest

from features.derive.wages import LabourMoney
from tests.contracts import Rows, at, both, contract, day, derived


def wages(month: str, account: str = "G", **columns: Any) -> Rows:
    row = {
        "wage_payment_id": f"{account} {month}",
        "wage_account_id": account,
        "project_id": "P",
        "month": month,
        "labour_fee_due": 100,
        "labour_fee_transferred": 90,
        "workers_due": 10,
        "workers_paid": 10,
        "wage_due": 90,
        "wage_paid": 80,
        **columns,
    }
    return {"wage_payment": [row]}


def present(on: str, workers: int, **columns: Any) -> Rows:
    row = {
        "worker_day_id": f"{on} {workers}",
        "project_id": "P",
        "date": day(on),
        "workers_registered": 99,
        "workers_present": workers,
        **columns,
    }
    return {"worker_day": [row]}


def labour(*parts: Rows) -> dict[str, Any]:
    rows = both({"contract": [contract("C"), contract("D")]}, *parts)
    return derived(LabourMoney, rows, key="subject_id", months_n=3)["P"]


def test_the_accounts_of_the_last_complete_months_are_summed() -> None:
    found = labour(
        wages("2026-03"),
        wages("2026-04"),
        wages("2026-05", workers_paid=4),
        wages("2026-06"),
        wages("2026-06", "H", workers_paid=6),
        wages("2026-07"),
    )

    assert found["n_months"] == 3
    assert (found["due_amount"], found["transferred_amount"], found["wage_amount"]) == (400, 360, 320)
    assert found["workers_paid"] == pytest.approx(30 / 3)
    assert found["evidence"].count('"table":"wage_payment"') == 4


def test_workers_present_are_the_mean_of_the_recorded_days() -> None:
    found = labour(
        present("2026-03-31", 1000), present("2026-04-01", 10), present("2026-06-29", 20), present("2026-07-01", 1000)
    )

    assert found["workers_present"] == 15
    assert found["n_months"] == 0


def test_without_records_nothing_is_said_of_heads() -> None:
    found = labour(wages("2026-06"))

    assert (found["n_months"], found["workers_paid"], found["workers_present"]) == (1, 10, None)


def test_a_transfer_made_later_is_not_known_and_one_never_made_is_nothing() -> None:
    later = wages("2026-06", transferred_at=at("2026-07-10"))
    in_time = wages("2026-05", transferred_at=at("2026-06-10"))
    never = wages("2026-04", labour_fee_transferred=0, wage_paid=0)

    found = labour(later, in_time, never)

    assert (found["n_months"], found["due_amount"], found["transferred_amount"]) == (2, 200, 90)


def test_other_projects_do_not_count() -> None:
    found = labour(wages("2026-06", project_id="Q"), present("2026-06-01", 5, project_id="Q"))

    assert (found["n_months"], found["workers_present"], found["evidence"]) == (0, None, "[]")


def test_only_projects_with_a_signed_contract_have_a_row() -> None:
    rows = both({"contract": [contract(status="draft")]}, wages("2026-06"))

    assert derived(LabourMoney, rows, key="subject_id", months_n=3) == {}
