"""Other methods where an open tender is due, and emergencies, in rows made by hand."""

import json
from typing import Any

import pytest

from features.derive.avoidance import EmergencyRoute, OtherMethods
from tests.contracts import Rows, at, both, contract, derived

# SI-082: other methods.


def large(key: str, **columns: Any) -> dict[str, Any]:
    """Return a works contract above the limit, without a tender."""
    return contract(key, **{"lot_id": None, "amount": 5_000_000, **columns})


def project(project_id: str = "P", **columns: Any) -> dict[str, Any]:
    return {"project_id": project_id, "name": "某项目", "owner_org_id": "T", "region_code": "511302", **columns}


def tender(method: str = "public_tender", tender_id: str = "N", **columns: Any) -> dict[str, Any]:
    return {"tender_id": tender_id, "project_id": "P", "method": method, "opening_at": at("2025-12-01"), **columns}


def methods(*rows: Rows) -> dict[str, dict[str, Any]]:
    return derived(OtherMethods, both({"project": [project()]}, *rows), key="subject_id", window_months=24)


def counts(*rows: Rows) -> tuple[int, int, int]:
    row = methods(*rows)["T"]
    return row["n_contracts"], row["n_other"], row["n_unapproved"]


def test_the_share_of_value_not_publicly_tendered() -> None:
    rows = {"contract": [large("A"), large("B", amount=15_000_000, tender_id="N")], "tender": [tender()]}
    row = methods(rows)["T"]

    assert (row["n_contracts"], row["n_other"], row["n_unapproved"], row["other_share"]) == (2, 1, 1, 0.25)
    assert (row["n_peers"], row["peer_share"]) == (0, None)
    assert [one["key"] for one in json.loads(row["evidence"])] == ["A"]


@pytest.mark.parametrize(
    "method", ["invited_tender", "inquiry", "single_source", "direct_award", "framework", "competitive_negotiation"]
)
def test_every_method_but_a_public_tender_is_another(method: str) -> None:
    assert counts({"contract": [large("A", tender_id="N")], "tender": [tender(method)]}) == (1, 1, 1)


@pytest.mark.parametrize(
    ("amount", "mandatory", "due"),
    [
        (4_000_000, False, True),
        (3_999_999.99, False, False),
        (3_999_999.99, None, False),
        (3_999_999.99, True, True),
        (None, True, True),
        (None, None, False),
    ],
)
def test_an_open_tender_is_due_in_mandatory_projects_and_from_the_limit_on(
    amount: float | None, mandatory: bool | None, due: bool
) -> None:
    rows = {
        "contract": [large("A", amount=amount, project_id="P2")],
        "project": [project("P2", mandatory_tender=mandatory)],
    }

    assert bool(methods(rows)) is due


def test_an_unknown_amount_counts_but_has_no_share() -> None:
    rows = {"contract": [large("A", amount=None, project_id="P2")], "project": [project("P2", mandatory_tender=True)]}
    row = methods(rows)["T"]

    assert (row["n_contracts"], row["n_unapproved"], row["other_share"]) == (1, 1, None)


def test_orders_without_a_contract_count() -> None:
    order = {
        "order_id": "O",
        "project_id": "P",
        "category_code": "A02.01",
        "method": "inquiry",
        "amount": 2_000_000,
        "ordered_at": at("2026-02-01"),
    }

    assert counts({"procurement_order": [order]}) == (1, 1, 1)


@pytest.mark.parametrize(
    ("signed", "n"), [(at("2024-07-01", 0), 1), (at("2024-06-30", 23), 0), (at("2026-07-01", 0), 0)]
)
def test_the_window_runs_on_signing(signed: Any, n: int) -> None:
    assert len(methods({"contract": [large("A", signed_at=signed)]})) == n


def approval(kind: str, method: str | None = None, **columns: Any) -> Rows:
    row = {
        "approval_id": "X",
        "project_id": "P",
        "approval_type": kind,
        "approved_method": method,
        "status": "approved",
        "approved_at": at("2026-01-01"),
        **columns,
    }
    return {"approval": [row]}


@pytest.mark.parametrize(
    ("rows", "method", "unapproved"),
    [
        (approval("no_tender_approval"), None, 0),
        (approval("no_tender_approval", "no_tender"), None, 0),
        (approval("no_tender_approval", "no_tender"), "direct_award", 0),
        (approval("no_tender_approval", "no_tender"), "inquiry", 1),
        (approval("method_change"), "inquiry", 0),
        (approval("method_change", "inquiry"), "inquiry", 0),
        (approval("method_change", "single_source"), "inquiry", 1),
        (approval("tender_scheme", "invited_tender"), "invited_tender", 0),
        (approval("tender_scheme", "public_tender"), "invited_tender", 1),
        (approval("tender_scheme"), "invited_tender", 1),
        (approval("feasibility"), None, 1),
        (approval("no_tender_approval", status="pending"), None, 1),
        (approval("no_tender_approval", status="expired"), None, 0),
        (approval("no_tender_approval", approved_at=at("2026-07-01", 0)), None, 1),
        (approval("no_tender_approval", approved_at=None, applied_at=at("2026-01-01")), None, 1),
        (approval("no_tender_approval", project_id="P2"), None, 1),
        (approval("no_tender_approval", contract_id="A"), None, 0),
        (approval("no_tender_approval", contract_id="B"), None, 1),
        (approval("no_tender_approval", lot_id="L"), None, 1),
    ],
)
def test_an_approval_allows_what_it_names(rows: Rows, method: str | None, unapproved: int) -> None:
    named = {} if method is None else {"tender": [tender(method)]}

    assert counts({"contract": [large("A", tender_id="N")]}, rows, named) == (1, 1, unapproved)


def owner(org: str, others: int, n: int = 4, city: str = "511302") -> Rows:
    """Return n equal contracts of an owner in a project of its own, of which some were not tendered."""
    contracts = [
        large(f"{org}{k}", party_a_org_id=org, project_id=f"P-{org}", tender_id=None if k < others else "N")
        for k in range(n)
    ]
    return {"contract": contracts, "project": [project(f"P-{org}", owner_org_id=org, region_code=city)]}


def test_peers_are_other_owners_of_the_city_with_enough_contracts() -> None:
    rows = [
        owner("T", 2),
        owner("A", 0),
        owner("B", 1),
        owner("C", 4),
        owner("D", 3, n=3),
        owner("E", 4, city="510700"),
    ]
    found = methods(*rows, {"tender": [tender()]})

    assert {key: (row["n_peers"], row["peer_share"]) for key, row in found.items()} == {
        "T": (3, 0.25),  # 0, 0.25, 1
        "A": (3, 0.5),
        "B": (3, 0.5),
        "C": (3, 0.25),
        "D": (4, 0.375),  # 0, 0.25, 0.5, 1
        "E": (0, None),
    }


def test_an_owner_in_two_cities_has_the_peers_of_both() -> None:
    elsewhere = {
        "contract": [large("T9", project_id="P-T9")],
        "project": [project("P-T9", owner_org_id="T", region_code="510700")],
    }
    found = methods(owner("T", 0), elsewhere, owner("A", 4), owner("E", 4, city="510700"), {"tender": [tender()]})

    assert (found["T"]["n_peers"], found["A"]["n_peers"], found["E"]["n_peers"]) == (2, 1, 1)


@pytest.mark.parametrize(("first", "short"), [("2025-06-30", False), ("2025-07-02", True)])
def test_history_shorter_than_half_the_window_is_said(first: str, short: bool) -> None:
    rows = {"contract": [contract("old", amount=1, signed_at=at(first, 23)), large("A")]}

    assert methods(rows)["T"]["short_history"] is short


# SI-083: emergencies.


def emergency(**columns: Any) -> Rows:
    row = {
        "emergency_id": "Q",
        "project_id": "P",
        "event_type": "natural_disaster",
        "event_at": at("2026-03-01", 23),
        "limited_to_hazard": True,
        "evidence_count": 5,
        "confirmed_at": at("2026-03-05", 9),
        "contractor_source": "pool_random",
        "contractor_selected_at": at("2026-03-06"),
        "works_started_at": at("2026-04-01", 1),
        **columns,
    }
    return {"emergency_project": [row], "project": [project(project_type="emergency")]}


def route(*rows: Rows) -> dict[str, Any]:
    return derived(EmergencyRoute, both(*rows), key="subject_id")["P"]


def test_what_is_known_of_an_emergency() -> None:
    row = route(emergency(), {"contract": [contract(amount=900_000), contract("B", amount=1_000_000)]})

    assert (row["emergency_id"], row["days_to_start"], row["is_late"], row["is_chosen"]) == ("Q", 31, False, False)
    assert (row["is_beyond_hazard"], row["evidence_count"], row["amount"]) == (False, 5, 1_000_000)
    assert [one["key"] for one in json.loads(row["evidence"])] == ["Q"]


@pytest.mark.parametrize(
    ("columns", "name", "value"),
    [
        ({"works_started_at": None}, "days_to_start", None),
        ({"works_started_at": at("2026-07-01", 0)}, "days_to_start", None),
        ({"confirmed_at": at("2026-04-01", 2)}, "is_late", True),
        ({"confirmed_at": at("2026-04-01", 1)}, "is_late", False),
        ({"confirmed_at": None}, "is_late", True),
        ({"confirmed_at": at("2026-07-01", 0)}, "is_late", True),  # not yet, though works began
        ({"confirmed_at": None, "works_started_at": None}, "is_late", None),
        ({"limited_to_hazard": False}, "is_beyond_hazard", True),
        ({"limited_to_hazard": None}, "is_beyond_hazard", None),
        ({"contractor_source": "pool_designated"}, "is_chosen", True),
        ({"contractor_source": "outside_pool"}, "is_chosen", True),
        ({"contractor_source": None}, "is_chosen", None),
        ({"contractor_source": "outside_pool", "contractor_selected_at": at("2026-07-01", 0)}, "is_chosen", None),
        ({"evidence_count": None}, "evidence_count", None),
    ],
)
def test_each_fact_is_yes_no_or_unknown(columns: dict[str, Any], name: str, value: Any) -> None:
    assert route(emergency(**columns))[name] == value


def test_a_contract_signed_later_has_no_amount_yet() -> None:
    assert route(emergency(), {"contract": [contract(signed_at=at("2026-07-01", 0))]})["amount"] is None


@pytest.mark.parametrize(
    "rows",
    [
        {"project": [project(project_type="emergency")]},
        emergency(event_at=at("2026-07-01", 0)),
    ],
)
def test_an_emergency_project_of_which_nothing_tells_is_there(rows: Rows) -> None:
    row = route(rows)

    assert (row["emergency_id"], row["days_to_start"], row["evidence"]) == (None, None, "[]")


def test_other_projects_and_projects_of_later_are_not() -> None:
    rows = {
        "project": [project(project_type="tender"), project("P2", project_type="emergency", online_at=at("2026-07-01"))]
    }

    assert derived(EmergencyRoute, rows, key="subject_id") == {}
