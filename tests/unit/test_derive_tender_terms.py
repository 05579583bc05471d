"""Clauses and whether the winner meets them, in rows made by hand."""

import json
from typing import Any

import pytest

from features.derive.tender_terms import LotTerms
from tests.contracts import Rows, at, both, day, derived, won_by


def clause(key: str, kind: str = "qualification", pool: int | None = None, **columns: Any) -> dict[str, Any]:
    return {
        "clause_id": key,
        "tender_id": "N",
        "clause_type": kind,
        "text": "条款",
        "restrictive_flag": "none",
        "eligible_pool_n": pool,
        **columns,
    }


def terms(*clauses: dict[str, Any], **rows: Any) -> dict[str, Any]:
    return derived(LotTerms, both(won_by(), {"tender_clause": [*clauses]}, rows), key="subject_id")["L"]


def test_the_smallest_pool_of_the_qualification_clauses() -> None:
    row = terms(clause("1", pool=9), clause("2", pool=4), clause("3"), clause("4", "technical", 1))

    assert (row["n_clauses"], row["pool"], row["n_restrictive"], row["sole_share"]) == (4, 4, 0, 0.0)
    assert [one["key"] for one in json.loads(row["evidence"])] == ["2", "4"]


def test_restrictive_clauses_of_any_type_are_counted() -> None:
    row = terms(clause("1"), clause("2", restrictive_flag="brand"), clause("3", "scoring", restrictive_flag="locality"))

    assert (row["pool"], row["n_restrictive"]) == (None, 2)
    assert [one["key"] for one in json.loads(row["evidence"])] == ["2", "3"]


@pytest.mark.parametrize(
    ("pools", "share"), [([1, 20], 0.25), ([1, 1], 1.0), ([2, 20], 0.0), ([None, 20], 0.0), ([1, None], 0.25)]
)
def test_the_share_of_points_on_clauses_that_one_firm_meets(pools: list[int | None], share: float) -> None:
    points = [clause(str(n), "scoring", pool, max_score=10.0 + 20 * n) for n, pool in enumerate(pools)]

    assert terms(*points, clause("q", pool=1))["sole_share"] == pytest.approx(share)


def test_a_lot_without_clauses_is_there() -> None:
    row = terms()

    assert (row["n_clauses"], row["pool"], row["sole_share"], row["evidence"]) == (0, None, 0.0, "[]")


def test_clauses_of_another_lot_or_tender_do_not_count() -> None:
    others = [clause("1", pool=1, lot_id="L2"), clause("2", pool=2, tender_id="N2"), clause("3", pool=3, lot_id="L")]

    assert (terms(*others)["n_clauses"], terms(*others)["pool"]) == (1, 3)


def qualification(**columns: Any) -> list[dict[str, Any]]:
    return [{"qual_id": "Z", "org_id": "W", "qual_code": "Q", "grade": "一级", "status": "valid", **columns}]


REQUIRED: Rows = {"lot": [{"lot_id": "L", "tender_id": "N", "project_id": "P", "required_qual_code": "Q"}]}


def qualified(*rows: Rows) -> bool:
    world = won_by()
    world["lot"] = REQUIRED["lot"]
    row = derived(LotTerms, both(world, *rows), key="subject_id")["L"]
    assert row["awarded"]
    return row["winner_qualified"]


@pytest.mark.parametrize(
    ("columns", "yes"),
    [
        ({}, True),
        ({"valid_until": day("2025-12-01")}, True),
        ({"valid_until": day("2025-11-30")}, False),
        ({"status": "expired", "valid_until": day("2026-03-01")}, True),  # valid on the day of opening
        ({"status": "expired"}, False),
        ({"status": "revoked", "valid_until": day("2028-01-01")}, False),
        ({"org_id": "V"}, False),
        ({"qual_code": "Q2"}, False),
    ],
)
def test_the_winner_had_the_required_qualification_on_the_day_of_opening(columns: dict[str, Any], yes: bool) -> None:
    assert qualified({"qualification": qualification(**columns)}) is yes


def test_nothing_required_is_met_by_everybody() -> None:
    assert terms()["winner_qualified"]


def test_before_the_award_nobody_has_won() -> None:
    world = won_by()
    world["award"][0]["notice_issued_at"] = at("2026-07-01", 0)
    row = derived(LotTerms, world, key="subject_id")["L"]

    assert (row["awarded"], row["winner_qualified"]) == (False, False)


@pytest.mark.parametrize(("column", "value"), [("status", "withdrawn"), ("lot_id", "L2")])
def test_lots_without_a_bid_are_left_out(column: str, value: str) -> None:
    world = won_by()
    world["bid"][0][column] = value

    assert derived(LotTerms, world, key="subject_id") == {}


def test_lots_opened_later_are_left_out() -> None:
    world = won_by()
    world["tender"][0]["opening_at"] = at("2026-07-01", 0)

    assert derived(LotTerms, world, key="subject_id") == {}
