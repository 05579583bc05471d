"""The money of a contract against its works, in rows made by hand."""

import datetime as dt
from typing import Any

import pytest

from features.clock import parse_moment
from features.derive.contract_money import PaidProgress, Prepayment, YearEndPayments
from tests.contracts import AS_OF, Rows, at, both, contract, derived


def paid(amount: float | None = 100, on: str = "2026-03-10", **columns: Any) -> Rows:
    """Return a progress payment of contract C, applied for in January."""
    key = f"{on} {amount} {columns}"
    row = {
        "payment_id": key,
        "project_id": "P",
        "contract_id": "C",
        "payment_type": "progress",
        "paid_amount": amount,
        "applied_at": at("2023-01-05"),
        "paid_at": at(on),
        **columns,
    }
    return {"payment": [row]}


def reported(period: str, value: float | None = 500, pct: float = 0.5, **columns: Any) -> Rows:
    row = {
        "progress_id": f"{period} {value} {columns}",
        "project_id": "P",
        "contract_id": "C",
        "period": period,
        "completed_value": value,
        "actual_pct": pct,
        **columns,
    }
    return {"progress_report": [row]}


def changed(amount: float, approved: str | None, status: str = "approved", **columns: Any) -> Rows:
    row = {
        "change_id": f"{amount} {approved} {status}",
        "contract_id": "C",
        "change_type": "design_change",
        "amount_delta": amount,
        "proposed_at": at("2026-01-20"),
        "approved_at": None if approved is None else at(approved),
        "status": status,
        **columns,
    }
    return {"contract_change": [row]}


SIGNED: Rows = {"contract": [contract()]}


# SI-048: payments and progress.


def progress(*parts: Rows) -> dict[str, Any]:
    return derived(PaidProgress, both(SIGNED, *parts))["C"]


def test_money_and_value_stand_at_the_end_of_the_latest_reported_month_and_of_the_one_before() -> None:
    found = progress(
        reported("2026-05", 500),
        reported("2026-06", 700),
        paid(300, "2026-03-10"),
        paid(50, "2026-05-31", payment_type="change"),
        paid(20, "2026-06-01"),
    )

    assert (found["n_reported"], found["month"]) == (2, "2026-06")
    assert (found["paid_amount"], found["completed_value"]) == (370, 700)
    assert (found["paid_amount_before"], found["completed_value_before"]) == (350, 500)
    assert found["total_amount"] == found["total_amount_before"] == 1_000_000


def test_without_a_report_of_the_month_before_nothing_is_said_of_it() -> None:
    found = progress(reported("2026-04"), reported("2026-06"), paid())

    assert (found["n_reported"], found["month"]) == (2, "2026-06")
    assert found["paid_amount_before"] is found["completed_value_before"] is found["total_amount_before"] is None


def test_the_latest_report_may_be_of_an_earlier_month() -> None:
    found = progress(reported("2026-04"), reported("2026-05"), paid(30, "2026-05-20"), paid(40, "2026-06-20"))

    assert (found["n_reported"], found["month"], found["paid_amount"]) == (2, "2026-05", 30)


@pytest.mark.parametrize(
    "report",
    [
        reported("2026-03"),  # four months back
        reported("2026-07"),
        reported("2026-06", None),
        reported("2026-06", reported_at=at("2026-07-01", 0)),
    ],
)
def test_a_month_without_a_value_known_by_then_is_not_reported(report: Rows) -> None:
    found = progress(report, reported("2026-05"))

    assert (found["n_reported"], found["month"]) == (1, "2026-05")


def test_only_complete_months_count() -> None:
    rows = both(SIGNED, reported("2026-05", reported_at=at("2026-05-28")))

    assert derived(PaidProgress, rows, parse_moment("2026-05-30"))["C"]["n_reported"] == 0
    assert derived(PaidProgress, rows, parse_moment("2026-05-31"))["C"]["n_reported"] == 1


def test_of_two_reports_of_a_month_the_further_stands() -> None:
    found = progress(reported("2026-06", 500), reported("2026-06", 600))

    assert (found["n_reported"], found["completed_value"]) == (1, 600)


@pytest.mark.parametrize("kind", ["labour", "settlement", "retention_release", "emergency", "other"])
def test_other_payments_are_not_for_progress(kind: str) -> None:
    assert progress(reported("2026-06"), paid(100, payment_type=kind))["paid_amount"] == 0


@pytest.mark.parametrize("amount", [-100, 0, None])
def test_refunds_and_missing_amounts_do_not_count(amount: float | None) -> None:
    assert progress(reported("2026-06"), paid(100), paid(amount, "2026-04-01"))["paid_amount"] == 100


def test_prepayment_counts_as_far_as_it_was_not_deducted() -> None:
    prepaid = paid(200, "2026-02-01", payment_type="prepayment")
    deducted = paid(100, "2026-05-10", prepay_offset_amount=80)

    assert progress(reported("2026-06"), prepaid)["unoffset_amount"] == 200
    assert progress(reported("2026-06"), prepaid, deducted)["unoffset_amount"] == 120
    assert progress(reported("2026-05"), reported("2026-04"), prepaid, deducted)["unoffset_amount_before"] == 200


def test_more_deducted_than_prepaid_is_nothing_left() -> None:
    assert progress(reported("2026-06"), paid(100, prepay_offset_amount=80))["unoffset_amount"] == 0


def test_changes_count_from_the_month_in_which_they_were_approved() -> None:
    found = progress(
        reported("2026-05"),
        reported("2026-06"),
        changed(1000, "2026-05-03"),
        changed(-400, "2026-06-03", "executed"),
        changed(7, "2026-06-04", "rejected"),
        changed(8, None, "proposed"),
        changed(9, "2026-07-04"),
    )

    assert (found["total_amount_before"], found["total_amount"]) == (1_001_000, 1_000_600)


def test_a_change_carried_out_later_was_approved_before() -> None:
    later = changed(1000, "2026-05-03", "executed", executed_at=at("2026-07-10"))

    assert progress(reported("2026-06"), later)["total_amount"] == 1_001_000


def test_a_contract_without_an_amount_has_no_total() -> None:
    rows = both({"contract": [contract(amount=None)]}, reported("2026-06"))

    assert derived(PaidProgress, rows)["C"]["total_amount"] is None


def test_the_payments_and_the_reports_of_the_months_are_shown() -> None:
    found = progress(reported("2026-06"), paid(100), paid(7, "2026-07-02"), paid(9, payment_type="labour"))

    assert found["evidence"].count('"table":"progress_report"') == 1
    assert found["evidence"].count('"table":"payment"') == 1


def test_every_signed_contract_has_a_row_and_no_draft() -> None:
    rows: Rows = {"contract": [contract("C"), contract("D", status="draft"), contract("E", signed_at=None)]}

    assert set(derived(PaidProgress, rows)) == {"C"}
    assert derived(PaidProgress, rows)["C"]["subject_id"] == "P"


# SI-053: prepayments.


def prepayment(*parts: Rows, **columns: Any) -> dict[str, Any]:
    return derived(Prepayment, both({"contract": [contract(**columns)]}, *parts))["C"]


def test_prepayments_and_deductions_are_summed() -> None:
    found = prepayment(
        paid(200, payment_type="prepayment"),
        paid(100, "2026-04-01", payment_type="prepayment"),
        paid(50, "2026-05-01", prepay_offset_amount=40),
        paid(50, "2026-06-01", payment_type="settlement", prepay_offset_amount=30),
        paid(50, "2026-06-02"),
        provisional_amount=1000,
    )

    assert (found["n_prepayments"], found["prepaid_amount"], found["offset_amount"]) == (2, 300, 70)
    assert (found["contract_amount"], found["provisional_amount"]) == (1_000_000, 1000)
    assert found["evidence"].count('"table":"payment"') == 4


def test_the_latest_report_with_a_value_tells_how_far_the_works_are() -> None:
    found = prepayment(
        paid(200, payment_type="prepayment"),
        reported("2026-03", 300),
        reported("2026-04", 400),
        reported("2026-05", None),
    )

    assert found["completed_value"] == 400


def test_what_is_paid_deducted_or_reported_later_is_not_known() -> None:
    found = prepayment(
        paid(200, payment_type="prepayment"),
        paid(100, "2026-07-01", payment_type="prepayment"),
        paid(50, "2026-07-02", prepay_offset_amount=40),
        reported("2026-06", 900, reported_at=at("2026-07-03")),
    )

    assert (found["n_prepayments"], found["offset_amount"], found["completed_value"]) == (1, 0, None)


def test_without_prepayment_there_is_nothing() -> None:
    found = prepayment(paid(100))

    assert (found["n_prepayments"], found["prepaid_amount"], found["evidence"]) == (0, 0, "[]")


# SI-050: the end of the year.

OLD = contract(signed_at=at("2024-03-01"))


def year_end(
    *parts: Rows, as_of: dt.datetime = AS_OF, contracts: tuple[dict[str, Any], ...] = (OLD,)
) -> dict[str, Any]:
    rows = both({"contract": list(contracts)}, *parts)
    return derived(YearEndPayments, rows, as_of, key="subject_id", rush_days=15)["P"]


def test_the_last_fifteen_days_are_those_from_the_seventeenth_of_december_on() -> None:
    found = year_end(
        paid(1, "2024-12-31"),
        paid(10, "2025-01-01"),
        paid(100, "2025-12-16"),
        paid(1000, "2025-12-17"),
        paid(10000, "2025-12-31"),
        paid(5, "2026-01-01"),
    )

    assert (found["year"], found["n_payments"]) == (2025, 4)
    assert (found["year_amount"], found["rush_amount"]) == (11110, 11000)


def test_the_edges_are_those_of_the_calendar_in_shanghai() -> None:
    eve = at("2025-12-17", 0)
    found = year_end(
        paid(1, paid_at=eve - dt.timedelta(microseconds=1)),
        paid(10, paid_at=eve),
        paid(100, paid_at=at("2026-01-01", 0) - dt.timedelta(microseconds=1)),
        paid(1000, paid_at=at("2026-01-01", 0)),
    )

    assert (found["year_amount"], found["rush_amount"]) == (111, 110)


@pytest.mark.parametrize(("as_of", "year"), [("2025-12-30", 2024), ("2025-12-31", 2025), ("2026-01-01", 2025)])
def test_the_year_is_the_last_one_that_has_ended(as_of: str, year: int) -> None:
    assert year_end(as_of=parse_moment(as_of))["year"] == year


def test_payments_of_any_type_count_also_without_a_contract_and_no_refunds() -> None:
    found = year_end(
        paid(1, "2025-12-20", payment_type="labour"),
        paid(10, "2025-12-20", contract_id=None),
        paid(-100, "2025-12-20"),
        paid(1000, "2025-12-20", project_id="Q"),
    )

    assert (found["n_payments"], found["rush_amount"]) == (2, 11)


def test_december_gives_its_last_days_their_share_of_its_progress() -> None:
    found = year_end(
        reported("2024-12", pct=0.1),
        reported("2025-11", pct=0.5),
        reported("2025-12", pct=0.81),
        reported("2026-02", pct=1),
    )

    assert found["year_gain"] == pytest.approx(0.71)
    assert found["rush_gain"] == pytest.approx(0.31 * 15 / 31)


def test_without_a_report_of_december_it_brought_nothing() -> None:
    found = year_end(reported("2025-06", pct=0.4))

    assert (found["year_gain"], found["rush_gain"]) == (pytest.approx(0.4), 0.0)


def test_works_that_were_done_before_the_year_gained_nothing_in_it() -> None:
    found = year_end(reported("2024-11", pct=1.0))

    assert (found["year_gain"], found["rush_gain"]) == (0.0, 0.0)


def test_the_contracts_of_a_project_gain_together() -> None:
    second = contract("D", signed_at=at("2025-03-01"))
    found = year_end(
        reported("2025-12", pct=0.31), reported("2025-06", pct=0.4, contract_id="D"), contracts=(OLD, second)
    )

    assert (found["year_gain"], found["rush_gain"]) == (pytest.approx(0.71), pytest.approx(0.15))


@pytest.mark.parametrize(
    "report",
    [{}, reported("2026-01"), reported("2025-12", reported_at=at("2026-07-01")), reported("2025-12", contract_id="X")],
)
def test_without_a_report_known_of_the_time_nothing_is_said_of_progress(report: Rows) -> None:
    found = year_end(report)

    assert found["year_gain"] is found["rush_gain"] is None


@pytest.mark.parametrize(("signed", "is_begun"), [("2025-12-31", True), ("2026-01-01", False)])
def test_a_project_begins_with_its_first_contract(signed: str, is_begun: bool) -> None:
    assert year_end(contracts=(contract(signed_at=at(signed)),))["is_begun"] is is_begun


def test_the_payments_of_the_last_days_are_shown() -> None:
    found = year_end(paid(1, "2025-05-20"), paid(10, "2025-12-20"))

    assert found["evidence"].count('"table":"payment"') == 1
