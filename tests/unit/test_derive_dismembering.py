"""Contractors of unit works, in rows made by hand."""

import json
from typing import Any

import pytest

from features.derive.dismembering import UnitWorks
from tests.contracts import Rows, at, both, contract, derived

EXCLUDED = "lift;fire;greening;weak_current"


def lot(lot_id: str, name: str = "主体", **columns: Any) -> dict[str, Any]:
    return {"lot_id": lot_id, "tender_id": "N", "project_id": "P", "name": name, "unit_works_code": "DW-1", **columns}


def works(key: str, org: str, **columns: Any) -> dict[str, Any]:
    """Return a works contract of the lot of its own name."""
    return contract(key, **{"lot_id": key, "party_b_org_id": org, **columns})


def units(*rows: Rows) -> dict[str | None, tuple[bool, int, int]]:
    found = derived(UnitWorks, both(*rows), key="unit", trades_excluded=EXCLUDED)
    return {key: (row["is_coded"], row["n_contracts"], row["n_contractors"]) for key, row in found.items()}


TWO: Rows = {"contract": [works("A", "W"), works("B", "V")], "lot": [lot("A"), lot("B")]}


def test_contractors_of_one_unit_works_are_counted() -> None:
    row = derived(UnitWorks, TWO, key="unit", trades_excluded=EXCLUDED)["DW-1"]

    assert (row["subject_id"], row["is_coded"], row["n_contracts"], row["n_contractors"]) == ("P", True, 2, 2)
    assert [one["key"] for one in json.loads(row["evidence"])] == ["A", "B"]


def test_one_contractor_of_two_lots_is_one() -> None:
    assert units({**TWO, "contract": [works("A", "W"), works("B", "W")]}) == {"DW-1": (True, 2, 1)}


def test_members_of_a_control_group_are_one() -> None:
    orgs = {"organisation": [{"org_id": key, "name": key, "group_id": "G"} for key in ("V", "W")]}

    assert units(TWO, orgs) == {"DW-1": (True, 2, 1)}


@pytest.mark.parametrize(
    ("name", "n"),
    [
        ("电梯安装工程", 1),
        ("消防工程", 1),
        ("园林绿化工程", 1),
        ("弱电智能化", 1),
        ("钢结构", 2),
    ],
)
def test_trades_that_may_be_let_apart_are_left_out(name: str, n: int) -> None:
    assert units({**TWO, "lot": [lot("A"), lot("B", name)]}) == {"DW-1": (True, 2, n)}


def test_the_trades_are_a_parameter() -> None:
    rows = {**TWO, "lot": [lot("A"), lot("B", "电梯安装工程")]}

    assert derived(UnitWorks, rows, key="unit", trades_excluded="fire")["DW-1"]["n_contractors"] == 2


@pytest.mark.parametrize(
    "columns",
    [
        {"contract_type": "goods"},
        {"contract_type": "epc"},
        {"status": "draft"},
        {"status": "terminated"},
        {"signed_at": at("2026-07-01", 0)},
    ],
)
def test_only_works_contracts_in_force_count(columns: dict[str, Any]) -> None:
    assert units({**TWO, "contract": [works("A", "W"), works("B", "V", **columns)]}) == {"DW-1": (True, 1, 1)}


def test_unit_works_are_counted_apart() -> None:
    assert units({**TWO, "lot": [lot("A"), lot("B", unit_works_code="DW-2")]}) == {
        "DW-1": (True, 1, 1),
        "DW-2": (True, 1, 1),
    }


NO_CODE: Rows = {**TWO, "lot": [lot(key, unit_works_code=None) for key in ("A", "B")]}


def permit(key: str = "X", **columns: Any) -> dict[str, Any]:
    return {
        "approval_id": key,
        "project_id": "P",
        "approval_type": "construction_permit",
        "status": "approved",
        "approved_at": at("2026-01-20"),
        **columns,
    }


def test_without_a_code_the_one_permit_of_the_project_stands_for_it() -> None:
    assert units(NO_CODE, {"approval": [permit()]}) == {"X": (False, 2, 2)}


@pytest.mark.parametrize(
    "approvals",
    [
        [],
        [permit(), permit("Y")],
        [permit(approval_type="drawing_review")],
        [permit(status="rejected")],
        [permit(approved_at=at("2026-07-01", 0))],
        [permit(approved_at=None, applied_at=at("2026-01-01"))],
        [permit(project_id="P2")],
        [permit(lot_id="Z")],
        [permit(contract_id="Z")],
    ],
)
def test_otherwise_nothing_tells_the_unit_works(approvals: list[dict[str, Any]]) -> None:
    assert units(NO_CODE, {"approval": approvals}) == {None: (False, 2, 2)}


def test_permits_of_single_contracts_do_not_join_them() -> None:
    assert units(NO_CODE, {"approval": [permit(contract_id="A"), permit("Y", lot_id="B")]}) == {
        "X": (False, 1, 1),
        "Y": (False, 1, 1),
    }


def test_a_contract_without_lot_has_neither_code_nor_trade() -> None:
    assert units({"contract": [works("A", "W", lot_id=None)]}) == {None: (False, 1, 1)}
