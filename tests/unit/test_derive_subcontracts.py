"""What is handed on and to whom, in rows made by hand."""

from typing import Any

import pytest

from features.build import indicator_values
from features.derive.subcontracts import RIGGING, SubcontractBack, SubcontractShare
from features.indicators.catalogue import specification
from tests import worlds
from tests.contracts import AS_OF, Rows, at, both, contract, derived, won_by


def sub(org: str, amount: float = 100, **columns: Any) -> Rows:
    row = {
        "subcontract_id": f"S-{org}-{amount}",
        "contract_id": "C",
        "sub_org_id": org,
        "amount": amount,
        "is_labour": False,
        "is_main_structure": False,
        "owner_consented": True,
        "tier": 1,
        "signed_at": at("2026-02-10"),
        **columns,
    }
    return {"subcontract": [row]}


LATER = {"signed_at": at("2026-07-01", 0)}

# SI-043: to whom that lost.


def bid(bid_id: str, org: str, lot: str = "L", status: str = "valid") -> dict[str, Any]:
    return {"bid_id": bid_id, "lot_id": lot, "tender_id": "N", "bidder_org_id": org, "status": status}


def tender(*bids: dict[str, Any]) -> Rows:
    """Return contract C of lot L, which W won, and the bids of others."""
    return both({"contract": [contract()]}, won_by(), {"bid": [*bids]})


def second_lot(winner: str) -> Rows:
    """Return a second lot of the tender with its award."""
    award = {"award_id": "A2", "lot_id": "L2", "org_id": winner, "status": "awarded"}
    return {
        "lot": [{"lot_id": "L2", "tender_id": "N", "project_id": "P"}],
        "award": [{**award, "notice_issued_at": at("2025-12-20")}],
    }


def group(group_id: str, *orgs: str) -> Rows:
    return {"organisation": [{"org_id": org, "name": org, "group_id": group_id} for org in orgs]}


def back(*rows: Rows) -> dict[str, Any]:
    return derived(SubcontractBack, both(*rows))["C"]


def test_subcontracts_with_losing_bidders_are_summed() -> None:
    found = back(tender(bid("B1", "X"), bid("B2", "Y")), sub("X", 100), sub("Y", 50), sub("Z", 900))

    assert (found["subject_id"], found["n_subcontracts"], found["n_back"], found["back_amount"]) == ("L", 3, 2, 150)
    assert (found["contract_amount"], found["bids_complete"], found["is_rigged"]) == (1_000_000, True, False)
    assert '"key":"S-Z-900"' not in found["evidence"]


@pytest.mark.parametrize(
    ("rows", "sub_org", "n_back"),
    [
        (group("G", "X", "X2"), "X2", 1),  # a sister of the loser
        (group("G", "W", "X"), "X", 0),  # a sister of the winner
        (group("G", "W", "W2"), "W2", 0),
        ({}, "Z", 0),
    ],
)
def test_control_groups_count(rows: Rows, sub_org: str, n_back: int) -> None:
    assert back(tender(bid("B1", "X")), rows, sub(sub_org))["n_back"] == n_back


@pytest.mark.parametrize(
    ("status", "n_back"), [("withdrawn", 0), ("rejected", 1), ("disqualified", 1), ("candidate", 1)]
)
def test_every_bid_but_a_withdrawn_one_can_lose(status: str, n_back: int) -> None:
    assert back(tender(bid("B1", "X", status=status)), sub("X"))["n_back"] == n_back


def test_who_lost_another_lot_of_the_tender_counts_and_who_won_it_does_not() -> None:
    two_lots = both(tender(bid("B1", "X", "L2"), bid("B2", "Y", "L2")), second_lot("Y"))

    assert back(two_lots, sub("X"))["n_back"] == 1
    assert back(two_lots, sub("Y"))["n_back"] == 0


def test_a_lot_that_is_not_decided_has_no_loser() -> None:
    open_lot = both(tender(bid("B1", "X", "L2")), {"lot": second_lot("Y")["lot"]})

    assert back(open_lot, sub("X"))["n_back"] == 0


def test_the_winner_who_lost_another_lot_does_not_subcontract_to_a_loser() -> None:
    rows = both(tender(bid("B1", "W", "L2")), second_lot("Y"), group("G", "W", "W2"))

    assert back(rows, sub("W2"))["n_back"] == 0


def test_bids_that_are_not_all_published_are_told() -> None:
    rows = both(tender(), second_lot("Y"))
    rows["lot"][1]["bids_complete"] = False

    assert not back(rows, sub("X"))["bids_complete"]


@pytest.mark.parametrize("columns", [{"lot_id": None}, {"lot_id": "L9"}, {"signed_at": at("2026-07-01")}])
def test_only_signed_contracts_of_opened_lots_with_bids_have_a_row(columns: dict[str, Any]) -> None:
    assert derived(SubcontractBack, both({"contract": [contract(**columns)]}, won_by())) == {}


def test_a_lot_not_opened_has_no_row() -> None:
    rows = tender()
    rows["tender"][0]["opening_at"] = at("2026-07-01")

    assert derived(SubcontractBack, rows) == {}


def fired(subject_id: str, indicator_id: str = "SI-010", **columns: Any) -> Rows:
    row = {
        "value_id": subject_id,
        "indicator_id": indicator_id,
        "subject_id": subject_id,
        "as_of": AS_OF,
        "triggered": True,
        **columns,
    }
    return {"indicator_value": [row]}


@pytest.mark.parametrize(
    ("value", "rigged"),
    [
        (fired("L", "SI-025"), True),
        (fired("L2", "SI-025"), True),
        (fired("bid:B~bid:B1"), True),
        (fired("bid:B1~bid:B2"), True),
        (fired("organisation:W~organisation:X", "SI-020"), True),
        (fired("organisation:W~organisation:Y", "SI-020"), False),  # they met in no lot of the tender
        (fired("L9", "SI-025"), False),
        (fired("L", "SI-022"), False),  # severity 3
        (fired("L", "SI-025", triggered=False), False),
        (fired("L", "SI-025", as_of=at("2026-05-01")), False),
    ],
)
def test_signs_of_rigging_in_the_tender(value: Rows, rigged: bool) -> None:
    rows = both(tender(bid("B1", "X"), bid("B2", "Z"), bid("B3", "Y", "L2"), bid("B4", "X", "L2")), second_lot("Y"))

    assert back(rows, sub("X"), value)["is_rigged"] is rigged
    assert not back(rows, value)["is_rigged"]  # without a subcontract there is nothing to add to


def test_the_signs_are_those_of_severity_four_and_five() -> None:
    severe = {one["id"] for one in specification() if one["analysis"] == "bid_rigging" and int(one["severity"]) >= 4}

    assert set(RIGGING) == severe


def test_what_fired_in_the_tender_adds_to_the_value_in_a_whole_run() -> None:
    world = worlds.World()
    for place in range(30):
        near = 101 + place / 100
        world.lot(f"peer{place}", bids=[worlds.Offer(f"X{rank}", 100 + rank * near / 50) for rank in range(4)])
    set_apart = [worlds.Offer("W", 80), worlds.Offer("X", 100), worlds.Offer("Y", 100.2), worlds.Offer("Z", 100.5)]
    world.lot("L", bids=set_apart, wins=["W"], opening=worlds.days_ago(50))
    world.rows["contract"].append(contract(signed_at=worlds.days_ago(30)))
    world.rows["subcontract"] += sub("X", 100_000, signed_at=worlds.days_ago(20))["subcontract"]

    values = indicator_values(world.source(), worlds.AS_OF)
    found = {row["indicator_id"]: row for row in values.filter(subject_id="L").iter_rows(named=True)}

    assert found["SI-025"]["triggered"]
    assert found["SI-043"]["raw_value"] == pytest.approx(0.1 + 0.3)


# SI-044: how much.


def share(*rows: Rows) -> dict[str, Any]:
    return derived(SubcontractShare, both({"contract": [contract()]}, *rows))["C"]


def counted(*rows: Rows) -> tuple[int, int, int, int]:
    found = share(*rows)
    return (
        int(found["first_tier_amount"]),
        found["n_main_structure"],
        found["n_resold"],
        found["n_without_consent"],
    )


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (sub("X"), (100, 0, 0, 0)),
        (sub("X", is_labour=True), (0, 0, 0, 0)),
        (sub("X", is_main_structure=True), (100, 1, 0, 0)),
        (sub("X", is_main_structure=True, is_labour=True), (0, 0, 0, 0)),
        (sub("X", tier=2), (0, 0, 1, 0)),
        (sub("X", tier=2, is_labour=True), (0, 0, 0, 0)),
        (sub("X", owner_consented=False), (100, 0, 0, 1)),
        (sub("X", owner_consented=False, is_labour=True), (0, 0, 0, 1)),
        (sub("X", owner_consented=None), (100, 0, 0, 0)),
    ],
)
def test_what_counts_and_what_is_a_breach(row: Rows, found: tuple[int, int, int, int]) -> None:
    assert counted(row) == found
    assert ('"key":"S-X-100"' in share(row)["evidence"]) is any(found)


def test_subcontracts_of_a_contract_are_summed() -> None:
    found = share(sub("X", 100), sub("Y", 50), sub("Z", 7, contract_id="C2"))

    assert (found["subject_id"], found["n_subcontracts"], found["first_tier_amount"]) == ("P", 2, 150)


@pytest.mark.parametrize("columns", [LATER, {"signed_at": None}])
def test_subcontracts_signed_later_or_undated_do_not_count(columns: dict[str, Any]) -> None:
    assert share(sub("X", **columns))["n_subcontracts"] == 0
    assert back(tender(bid("B1", "X")), sub("X", **columns))["n_subcontracts"] == 0


def test_later_rows_change_nothing() -> None:
    rows = both(tender(bid("B1", "X")), sub("X"))
    later = both(
        sub("Y", 5, is_main_structure=True, **LATER),
        {"contract": [contract("C9", signed_at=at("2026-07-01"))]},
        {"award": [{"award_id": "A9", "lot_id": "L", "org_id": "X", "status": "awarded", "notice_issued_at": AS_OF}]},
    )
    later["award"][0]["notice_issued_at"] = at("2026-07-01")

    for table in (SubcontractBack, SubcontractShare):
        assert derived(table, both(rows, later)) == derived(table, rows)
