"""Who builds on a site, in rows made by hand."""

from typing import Any

import pytest

from features.derive.builders import SiteBuilder
from tests.contracts import Rows, at, both, contract, day, derived, won_by


def found(rows: Rows, project: str = "P") -> dict[str, Any]:
    return derived(SiteBuilder, rows, key="subject_id", days_n=30)[project]


def inspected(builder: str | None, when: str = "2026-06-20", number: int = 0) -> Rows:
    row = {
        "inspection_id": f"I{number}",
        "project_id": "P",
        "inspected_at": at(when),
        "actual_builder_org_id": builder,
    }
    return both({"contract": [contract()]}, {"site_inspection": [row]})


def heads(*days: tuple[str, int | None, int]) -> Rows:
    rows = [
        {
            "worker_day_id": f"D{place}",
            "project_id": "P",
            "date": day(date),
            "workers_of_contractor": own,
            "workers_registered": registered,
            "workers_present": 0,
        }
        for place, (date, own, registered) in enumerate(days)
    ]
    return {"contract": [contract()], "worker_day": rows}


def sub(org: str, signed: str | None) -> Rows:
    row = {"subcontract_id": org, "contract_id": "C", "sub_org_id": org, "signed_at": signed and at(signed)}
    return {"subcontract": [row]}


def test_a_builder_who_is_nobody_of_the_contract_is_an_outsider() -> None:
    site = found(inspected("X"))

    assert (site["n_outsiders"], site["n_recent"], site["own_ratio"]) == (1, 1, None)
    assert '"key":"I0"' in site["evidence"]


@pytest.mark.parametrize(
    ("rows", "builder", "outsiders"),
    [
        ({}, "W", 0),
        (won_by(members='["M"]'), "M", 0),
        (won_by("OTHER", '["M"]'), "M", 1),
        (sub("S", "2026-02-01"), "S", 0),
        (sub("S", "2026-07-01"), "S", 1),
        (sub("S", None), "S", 1),
        ({"contract": [contract("C2", party_b_org_id="W2")]}, "W2", 0),
        ({"contract": [contract("C2", party_b_org_id="W2", project_id="P2")]}, "W2", 1),
        ({}, None, 0),
    ],
)
def test_who_may_build(rows: Rows, builder: str | None, outsiders: int) -> None:
    assert found(both(inspected(builder), rows))["n_outsiders"] == outsiders


def test_an_outsider_counts_whenever_found_and_the_contractor_only_of_late() -> None:
    assert found(inspected("X", "2026-01-20"))["n_outsiders"] == 1
    assert found(inspected("W", "2026-05-01"))["n_recent"] == 0  # 60 days before 30 June
    assert found(inspected("W", "2026-05-02"))["n_recent"] == 1
    assert found(inspected(None))["n_recent"] == 0


def test_the_ratio_is_the_mean_of_the_days() -> None:
    site = found(heads(("2026-06-10", 10, 20), ("2026-06-11", 20, 20)))

    assert (site["n_days"], site["own_ratio"]) == (2, 0.75)


@pytest.mark.parametrize(
    "odd",
    [("2026-06-12", None, 20), ("2026-06-12", 0, 0), ("2026-05-31", 0, 20), ("2026-07-01", 0, 20)],
    ids=["contractor's not counted", "nobody registered", "30 days ago", "later"],
)
def test_days_that_do_not_count(odd: tuple[str, int | None, int]) -> None:
    site = found(heads(("2026-06-01", 20, 20), odd))

    assert (site["n_days"], site["own_ratio"]) == (1, 1.0)


def test_later_rows_change_nothing() -> None:
    rows = both(heads(("2026-06-10", 10, 20)), inspected("W"))
    later = both(inspected("X", "2026-07-01", 9), sub("W", "2026-07-01"), heads(("2026-07-01", 0, 20)))
    later["contract"] = [contract("C9", signed_at=at("2026-07-01"), project_id="P9")]
    later["worker_day"][0]["worker_day_id"] = "D9"

    assert found(both(rows, later)) == found(rows)


def test_every_project_with_a_signed_contract_has_a_row() -> None:
    site = found({"contract": [contract(), contract("C2")]})

    assert (site["n_outsiders"], site["n_recent"], site["n_days"], site["own_ratio"]) == (0, 0, 0, None)
    assert site["evidence"] == "[]"
