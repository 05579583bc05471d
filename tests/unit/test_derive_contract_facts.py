"""Who holds a contract and who bid for it, in rows made by hand."""

from typing import Any

import pytest

from features.derive.contract_facts import (
    approved_changes,
    contract_bids,
    contract_parties,
    known_progress,
    payments_made,
    signed_contracts,
)
from features.tables.money import Payment
from tests.contracts import AS_OF, Rows, at, both, contract, source, won_by


def parties(rows: Rows) -> set[str]:
    return set(contract_parties(source(rows), AS_OF).collect().get_column("org_id"))


def of(rows: Rows, **columns: Any) -> Rows:
    return both(rows, {"contract": [contract(**columns)]})


@pytest.mark.parametrize(
    ("columns", "counts"),
    [
        ({}, True),
        ({"signed_at": AS_OF}, True),
        ({"signed_at": at("2026-07-01", 0)}, False),
        ({"signed_at": None}, False),
        ({"status": "draft"}, False),
        ({"status": "terminated"}, True),
    ],
)
def test_a_contract_counts_once_it_is_signed(columns: dict[str, Any], counts: bool) -> None:
    found = signed_contracts(source({"contract": [contract(**columns)]}), AS_OF).collect()

    assert bool(found.height) is counts


def test_the_members_of_the_winning_bid_are_parties() -> None:
    assert parties(of(won_by(members='["W","M1","M2"]'))) == {"W", "M1", "M2"}


def test_a_contract_signed_by_a_member_has_the_others_as_parties_too() -> None:
    assert parties(of(won_by("LEAD", '["W"]'))) == {"W", "LEAD"}


def test_the_members_of_somebody_elses_bid_are_no_parties() -> None:
    assert parties(of(won_by("OTHER", '["M1"]'))) == {"W"}


@pytest.mark.parametrize("members", [None, "[]", "{}", "null"])
def test_a_bid_without_members_stands_alone(members: str | None) -> None:
    assert parties(of(won_by(members=members))) == {"W"}


def test_a_lot_that_is_not_awarded_yet_has_no_winning_bid() -> None:
    rows = of(won_by(members='["M1"]'))
    rows["award"][0]["notice_issued_at"] = at("2026-07-01")

    assert parties(rows) == {"W"}


def test_an_award_without_a_bid_means_the_bid_of_the_winner_that_was_not_withdrawn() -> None:
    rows = of(won_by())
    rows["award"][0]["bid_id"] = None
    rows["bid"].append({**rows["bid"][0], "bid_id": "B2", "status": "withdrawn"})

    assert contract_bids(source(rows), AS_OF).collect().rows() == [("C", "B")]


def test_progress_is_known_once_it_is_reported_and_an_undated_report_at_the_end_of_its_month() -> None:
    def report(period: str, pct: float, reported: str | None) -> dict[str, Any]:
        return {
            "progress_id": f"{period}{pct}",
            "contract_id": "C",
            "period": period,
            "actual_pct": pct,
            "reported_at": reported and at(reported),
        }

    rows = [
        report("2026-04", 0.4, "2026-05-04"),
        report("2026-04", 0.3, "2026-05-03"),
        report("2026-05", 0.5, None),
        report("2026-06", 0.6, "2026-07-01"),
    ]
    known = known_progress(source({"progress_report": rows}), AS_OF).sort("period").collect()

    assert known.select("period", "actual_pct").rows() == [("2026-04", 0.4), ("2026-05", 0.5)]


@pytest.mark.parametrize(
    ("columns", "counts"),
    [
        ({}, True),
        ({"approved_at": AS_OF}, True),
        ({"approved_at": at("2026-07-01", 0)}, False),
        ({"approved_at": None, "status": "executed", "executed_at": at("2026-04-01")}, False),
        ({"status": "executed", "executed_at": at("2026-05-01")}, True),
        ({"status": "executed", "executed_at": at("2026-07-01")}, True),  # what came later is not known
        ({"status": "rejected"}, False),
        ({"status": "proposed"}, False),
    ],
)
def test_a_change_counts_from_its_approval(columns: dict[str, Any], counts: bool) -> None:
    row = {
        "change_id": "G",
        "contract_id": "C",
        "amount_delta": 5,
        "proposed_at": at("2026-03-01"),
        "approved_at": at("2026-04-01"),
        "status": "approved",
        **columns,
    }
    found = approved_changes(source({"contract_change": [row]}), AS_OF).collect()

    assert bool(found.height) is counts


@pytest.mark.parametrize(
    ("columns", "counts"),
    [
        ({}, True),
        ({"paid_at": AS_OF}, True),
        ({"paid_at": at("2026-07-01", 0)}, False),
        ({"paid_at": None}, False),
        ({"paid_amount": 0}, False),
        ({"paid_amount": -5}, False),
        ({"paid_amount": None}, False),
    ],
)
def test_a_payment_counts_once_it_is_made(columns: dict[str, Any], counts: bool) -> None:
    row = {
        "payment_id": "Z",
        "paid_amount": 5,
        "applied_at": at("2026-03-01"),
        "paid_at": at("2026-04-01"),
        **columns,
    }
    found = payments_made(source({"payment": [row]})[Payment], AS_OF).collect()

    assert bool(found.height) is counts
