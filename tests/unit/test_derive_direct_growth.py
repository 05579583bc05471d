"""What is added to contracts, and provisional items, in rows made by hand."""

import json
from typing import Any

import pytest

from features.derive.direct_growth import DirectContract, ProvisionalSum
from tests.contracts import AS_OF, Rows, at, both, contract, derived

LIMITS: dict[str, Any] = {"tl_works": 4_000_000, "tl_goods": 2_000_000, "tl_services": 1_000_000}


# SI-080: contracts that grow.


def derived_all(*rows: Rows) -> dict[str, dict[str, Any]]:
    return derived(DirectContract, both(*rows), **LIMITS, months_n=18)


def change(change_id: str = "G", amount: float = 500_000, **columns: Any) -> Rows:
    row = {
        "change_id": change_id,
        "contract_id": "C",
        "change_type": "design_change",
        "amount_delta": amount,
        "proposed_at": at("2026-02-01"),
        "approved_at": at("2026-03-01"),
        "status": "approved",
        **columns,
    }
    return {"contract_change": [row]}


def supplement(key: str = "S", amount: float | None = 700_000, **columns: Any) -> Rows:
    about = {"supplement_of_contract_id": "C", "signed_at": at("2026-04-01"), "amount": amount}
    return {"contract": [contract(key, **{**about, **columns})]}


BASE: Rows = {"contract": [contract()]}


def added(*rows: Rows) -> tuple[int, float]:
    row = derived_all(BASE, *rows)["C"]
    return row["n_additions"], float(row["added"])


def test_a_contract_with_nothing_added() -> None:
    row = derived_all(BASE)["C"]

    assert (row["subject_id"], row["tendered"], row["amount"], row["limit"]) == ("P", False, 1_000_000, 4_000_000)
    assert (row["n_additions"], row["added"]) == (0, 0)


def test_changes_and_supplements_are_summed_either_sign() -> None:
    assert added(change(), change("H", -200_000, status="executed"), supplement()) == (3, 1_000_000)


def test_a_supplement_is_no_contract_of_its_own() -> None:
    assert derived_all(BASE, supplement()).keys() == {"C"}


@pytest.mark.parametrize(
    "rows",
    [
        change(status="rejected"),
        change(status="proposed", approved_at=None),
        change(approved_at=at("2026-07-01", 0)),
        change(approved_at=at("2025-12-01")),
        change(approved_at=contract()["signed_at"]),
        change(contract_id="D"),
        supplement(status="draft"),
        supplement(party_b_org_id="V"),
        supplement(party_a_org_id="T2"),
        supplement(supplement_of_contract_id="D"),
        supplement(signed_at=at("2026-07-01", 0)),
        supplement(amount=None),
    ],
)
def test_what_is_not_added(rows: Rows) -> None:
    assert added(rows) == (0, 0)


@pytest.mark.parametrize(("hour", "n"), [(10, 1), (11, 0)])
def test_additions_count_for_so_many_calendar_months(hour: int, n: int) -> None:
    old = {"contract": [contract(signed_at=at("2024-08-31", 10))]}
    rows = both(old, change(approved_at=at("2026-02-28", hour)))

    assert derived(DirectContract, rows, **LIMITS, months_n=18)["C"]["n_additions"] == n


def test_a_change_approved_by_then_and_carried_out_later_counts() -> None:
    assert added(change(status="executed", executed_at=at("2026-08-01"))) == (1, 500_000)


def test_a_tendered_contract_is_told() -> None:
    tender = {"tender_id": "N", "project_id": "P", "method": "invited_tender", "opening_at": at("2025-12-01")}
    rows = {"contract": [contract(tender_id="N")], "tender": [tender]}

    assert derived_all(rows)["C"]["tendered"]


def test_the_evidence_is_the_contract_and_what_was_added() -> None:
    row = derived_all(BASE, change(), supplement(), change("X", status="rejected"))["C"]

    assert [one["key"] for one in json.loads(row["evidence"])] == ["C", "S", "G"]


# SI-084: provisional items.


def item(key: str = "I", **columns: Any) -> Rows:
    row = {
        "boq_item_id": key,
        "lot_id": "L",
        "item_code": "01",
        "item_name": "电梯采购及安装",
        "unit": "项",
        "tender_quantity": 2.0,
        "control_unit_price": 2_000_000,
        "is_provisional": True,
        **columns,
    }
    return {"boq_item": [row]}


def measured(**columns: Any) -> Rows:
    row = {
        "measurement_id": "M",
        "contract_id": "C",
        "boq_item_id": "I",
        "period": "2026-03",
        "claimed_qty": 1.0,
        "submitted_at": at("2026-04-01"),
        **columns,
    }
    return {"quantity_measurement": [row]}


def later_tender(title: str = "电梯采购及安装", **columns: Any) -> Rows:
    row = {
        "tender_id": "N2",
        "project_id": "P",
        "title": title,
        "method": "public_tender",
        "notice_published_at": at("2026-02-01"),
        **columns,
    }
    return {"tender": [row]}


def provisional(*rows: Rows) -> tuple[int, int]:
    found = derived(ProvisionalSum, both({"contract": [contract(provisional_amount=10)]}, *rows), **LIMITS)["C"]
    assert (found["subject_id"], found["amount"], found["provisional_amount"]) == ("P", 1_000_000, 10)
    return found["n_items"], found["n_untendered"]


def test_a_large_provisional_item_that_was_built_without_a_tender_of_its_own() -> None:
    assert provisional(item(), measured()) == (1, 1)


@pytest.mark.parametrize(
    "columns",
    [{"is_provisional": False}, {"control_unit_price": 1_999_999.99}, {"control_unit_price": None}, {"lot_id": "L2"}],
)
def test_what_is_no_large_provisional_item(columns: dict[str, Any]) -> None:
    assert provisional(item(**columns), measured()) == (0, 0)


@pytest.mark.parametrize(
    ("columns", "built"),
    [
        ({"approved_qty": 1.0, "owner_approved_at": at("2026-04-10")}, 1),
        ({"approved_qty": 0.0, "owner_approved_at": at("2026-04-10")}, 0),
        ({"approved_qty": 0.0, "owner_approved_at": at("2026-07-10")}, 1),  # not known yet
        ({"claimed_qty": 0.0}, 0),
        ({"submitted_at": at("2026-07-01", 0)}, 0),
        ({"contract_id": "D"}, 0),
        ({"boq_item_id": None}, 0),
    ],
)
def test_a_measured_quantity_tells_that_it_was_built(columns: dict[str, Any], built: int) -> None:
    assert provisional(item(), measured(**columns)) == (1, built)


@pytest.mark.parametrize(
    ("rows", "untendered"),
    [
        (later_tender(), 0),
        (later_tender("电梯采购及安装二期"), 0),
        (later_tender("学校食堂"), 1),
        (later_tender(project_id="P2"), 1),
        (later_tender(notice_published_at=at("2026-01-09")), 1),
        (later_tender(notice_published_at=None, opening_at=at("2026-03-01")), 0),
        (later_tender(notice_published_at=at("2026-07-01", 0)), 1),
        (both(later_tender("招标"), {"lot": [{"lot_id": "L2", "tender_id": "N2", "name": "电梯采购及安装"}]}), 0),
        (
            both(
                later_tender("招标"),
                {"lot": [{"lot_id": "L2", "tender_id": "N2", "name": "一", "scope_text": "电梯采购及安装"}]},
            ),
            0,
        ),
    ],
)
def test_a_later_tender_of_the_project_that_names_it_is_its_own(rows: Rows, untendered: int) -> None:
    assert provisional(item(), measured(), rows) == (1, untendered)


def test_the_evidence_is_the_contract_and_its_untendered_items() -> None:
    rows = both({"contract": [contract()]}, item(), item("J"), measured())
    found = derived(ProvisionalSum, rows, AS_OF, **LIMITS)["C"]

    assert [one["key"] for one in json.loads(found["evidence"])] == ["C", "I"]
