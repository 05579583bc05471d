"""Winners as the register knows them, in rows made by hand."""

from typing import Any

import pytest

from features.derive.shells import LotWinner
from tests.contracts import AS_OF, Rows, at, both, contract, day, derived, won_by


def firm(org: str = "W", **columns: Any) -> Rows:
    return {"organisation": [{"org_id": org, "name": org, **columns}]}


def winners(*rows: Rows, as_of: Any = AS_OF) -> dict[str, dict[str, Any]]:
    return derived(LotWinner, both(*rows), as_of, key="lot_id", chg_days=90, window_months=24)


def winner(*rows: Rows) -> dict[str, Any]:
    """Return the winner W of lot L, which opened on 1 December and was awarded on 20 December 2025."""
    return winners(won_by(), *rows)["L"]


def test_age_staff_and_capital_come_from_the_register() -> None:
    found = winner(firm(established_date=day("2025-06-04"), insured_count=5, registered_capital=1000))

    assert (found["subject_id"], found["age_days"], found["insured_count"]) == ("W", 180, 5)
    assert found["registered_capital"] == 1000
    assert '"table":"organisation","key":"W"' in found["evidence"]
    assert '"table":"award","key":"A"' in found["evidence"]


def test_who_was_founded_after_the_opening_has_a_negative_age() -> None:
    assert winner(firm(established_date=day("2025-12-05")))["age_days"] == -4


def test_what_is_not_known_is_null() -> None:
    found = winner()

    assert [found[name] for name in ("age_days", "insured_count", "registered_capital", "n_at_address")] == [None] * 4
    assert found["amount"] is None


def test_the_contract_says_the_amount_and_before_it_the_award() -> None:
    rows = won_by()
    rows["award"][0]["amount"] = 700
    assert winners(rows)["L"]["amount"] == 700
    assert winners(rows, {"contract": [contract(signed_at=at("2026-07-01"))]})["L"]["amount"] == 700
    assert winners(rows, {"contract": [contract(amount=900)]})["L"]["amount"] == 900
    assert winners(rows, {"contract": [contract(amount=900, party_b_org_id="X")]})["L"]["amount"] == 700
    rows["lot"][0]["currency"] = "USD"
    assert winners(rows)["L"]["amount"] is None


@pytest.mark.parametrize(
    ("change", "when", "counts"),
    [
        ("legal_rep", "2025-09-21", 1),  # 90 days before the award
        ("legal_rep", "2025-09-20", 0),
        ("shareholder", "2026-03-20", 1),  # 90 days after it
        ("shareholder", "2026-03-21", 0),
        ("name", "2025-12-20", 1),
        ("address", "2025-12-20", 0),
        ("capital", "2025-12-20", 0),
    ],
)
def test_changes_near_the_award(change: str, when: str, counts: int) -> None:
    row = {"change_id": "V", "org_id": "W", "change_type": change, "changed_at": day(when)}
    found = winner({"org_change": [row]})

    assert found["n_changes"] == counts
    assert ('"table":"org_change"' in found["evidence"]) is bool(counts)
    assert winner({"org_change": [{**row, "org_id": "X"}]})["n_changes"] == 0


def bids(org: str, opening: str, status: str = "valid") -> Rows:
    """Return a bid for lot L2 of another tender."""
    return {
        "tender": [{"tender_id": "N2", "project_id": "P", "method": "public_tender", "opening_at": at(opening)}],
        "lot": [{"lot_id": "L2", "tender_id": "N2", "project_id": "P"}],
        "bid": [{"bid_id": "B2", "lot_id": "L2", "tender_id": "N2", "bidder_org_id": org, "status": status}],
    }


@pytest.mark.parametrize(
    ("rows", "n"),
    [
        ({}, 0),
        (bids("W", "2026-05-01"), 1),
        (bids("W", "2026-05-01", "disqualified"), 1),
        (bids("W", "2026-05-01", "withdrawn"), 0),
        (bids("X", "2026-05-01"), 0),
        (bids("W", "2026-07-01"), 0),  # not opened yet
        (bids("W", "2024-06-30"), 0),  # before the window
        (bids("W", "2024-07-01"), 1),
    ],
)
def test_bids_for_other_lots_of_the_window(rows: Rows, n: int) -> None:
    assert winner(rows)["n_other_bids"] == n


def test_a_lot_won_without_a_bid_row_is_a_bid_too() -> None:
    rows = bids("X", "2026-05-01")
    rows["award"] = [
        {"award_id": "A2", "lot_id": "L2", "org_id": "W", "status": "awarded", "notice_issued_at": at("2026-05-20")}
    ]
    found = winners(won_by(), rows)

    assert (found["L"]["n_other_bids"], found["L2"]["n_other_bids"]) == (1, 1)


def test_a_lot_before_the_window_is_not_among_its_own_others() -> None:
    rows = won_by()
    rows["tender"][0]["opening_at"] = at("2023-12-01")
    rows["award"][0]["notice_issued_at"] = at("2023-12-20")

    assert winners(rows)["L"]["n_other_bids"] == 0
    assert winners(rows, bids("W", "2026-05-01"))["L"]["n_other_bids"] == 1


def test_firms_at_one_address_are_counted_trimmed_and_folded() -> None:
    there = [firm(org, address_norm=text) for org, text in (("W", "A Road 1"), ("X", " a road 1 "), ("Y", "B Road"))]

    assert winner(*there)["n_at_address"] == 2
    assert winner(firm(address_norm=" "), firm("X", address_norm=" "))["n_at_address"] is None


def test_half_of_the_window_must_be_covered() -> None:
    assert winner()["short_history"]  # the first opening was seven months ago
    assert not winner(bids("X", "2025-06-30"))["short_history"]


def test_candidates_and_later_awards_have_no_row() -> None:
    rows = won_by()
    rows["award"][0]["status"] = "candidate"
    assert winners(rows) == {}
    rows["award"][0].update(status="awarded", notice_issued_at=at("2026-07-01"))
    assert winners(rows) == {}


def test_later_rows_change_nothing() -> None:
    rows = both(won_by(), firm(established_date=day("2025-06-04")), bids("X", "2025-06-01"))
    later = both(
        {"contract": [contract(amount=9, signed_at=at("2026-07-01"))]},
        {"org_change": [{"change_id": "V", "org_id": "W", "change_type": "name", "changed_at": day("2026-07-01")}]},
    )
    later["award"] = [{**rows["award"][0], "award_id": "A9", "amount": 5, "notice_issued_at": at("2026-07-01")}]

    assert winners(rows, later) == winners(rows)
