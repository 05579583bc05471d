"""Clusters of purchases below the limit, and purchases near it, in rows made by hand."""

import json
from typing import Any

import pytest

from features.derive.split_items import DAYS_N, SIM_MIN, AdjacentWorks, LimitBunching, SplitProject, SplitSupplier
from features.indicators.catalogue import specification
from tests.contracts import AS_OF, Rows, at, both, contract, day, derived, source

LIMITS: dict[str, Any] = {"tl_works": 4_000_000, "tl_goods": 2_000_000, "tl_services": 1_000_000}
ALIKE: dict[str, Any] = {**LIMITS, "sim_min": 0.8, "days_n": 180}
NEAR: dict[str, Any] = {**LIMITS, "dist_m": 500, "days_n": 180}


def piece(key: str, amount: float = 2_500_000, **columns: Any) -> dict[str, Any]:
    """Return a works contract of owner T without lot and tender, in a project of its own."""
    return contract(key, **{"project_id": f"P-{key}", "lot_id": None, "amount": amount, **columns})


def project(key: str, name: str = "村道硬化工程", **columns: Any) -> dict[str, Any]:
    return {"project_id": f"P-{key}", "name": name, "owner_org_id": "T", **columns}


def world(*pieces: dict[str, Any], name: str = "村道硬化工程") -> Rows:
    """Return contracts whose projects are called alike."""
    return {"contract": [*pieces], "project": [project(one["contract_id"], name) for one in pieces]}


def clusters(*rows: Rows, **params: Any) -> dict[str, tuple[float, int]]:
    """Return sum and number of items of the cluster of each project that is in one."""
    found = derived(SplitProject, both(*rows), key="subject_id", **{**ALIKE, **params})
    return {key: (float(row["total"]), row["n_items"]) for key, row in found.items() if row["n_items"]}


def test_the_parameters_without_a_place_in_the_file_are_those_of_the_specification() -> None:
    params = json.loads(next(row["params"] for row in specification() if row["id"] == "SI-077"))

    assert (params["sim_min"], params["days_n"]) == (SIM_MIN, DAYS_N)


# SI-077: like purchases.


def test_like_pieces_that_reach_the_limit_together_are_a_cluster_of_each_project() -> None:
    found = derived(SplitProject, world(piece("A"), piece("B")), key="subject_id", **ALIKE)

    assert found.keys() == {"P-A", "P-B"}
    assert found["P-A"] == {**found["P-B"], "subject_id": "P-A"}
    one = found["P-A"]
    assert (one["owner_org_id"], one["n_purchases"], one["total"], one["limit"], one["n_items"]) == (
        "T", 2, 5_000_000, 4_000_000, 2,
    )  # fmt: skip
    assert [row["key"] for row in json.loads(one["evidence"])] == ["A", "B"]


def test_a_project_in_no_cluster_is_there_without_one() -> None:
    found = derived(SplitProject, world(piece("A"), piece("B", 1_000_000)), key="subject_id", **ALIKE)

    assert {key: (row["total"], row["n_items"], row["n_purchases"], row["evidence"]) for key, row in found.items()} == {
        "P-A": (None, 0, 2, "[]"),
        "P-B": (None, 0, 2, "[]"),
    }


@pytest.mark.parametrize(("second", "n"), [(1_500_000, 2), (1_499_999.99, 0)])
def test_the_sum_must_reach_the_limit(second: float, n: int) -> None:
    assert len(clusters(world(piece("A"), piece("B", second)))) == n


@pytest.mark.parametrize(
    "columns",
    [
        {"amount": 4_000_000},
        {"party_a_org_id": "T2"},
        {"contract_type": "goods"},
        {"status": "terminated"},
        {"status": "draft"},
        {"supplement_of_contract_id": "A"},
        {"amount": None},
        {"contract_type": None},
        {"signed_at": at("2026-07-01", 0)},
    ],
)
def test_what_is_no_item_of_the_same_kind_makes_no_cluster(columns: dict[str, Any]) -> None:
    assert clusters(world(piece("A"), piece("B", **columns))) == {}


@pytest.mark.parametrize(
    ("method", "n"), [("public_tender", 0), ("invited_tender", 0), ("inquiry", 2), ("direct_award", 2), ("unknown", 2)]
)
def test_only_what_was_neither_publicly_tendered_nor_by_invitation_is_an_item(method: str, n: int) -> None:
    tender = {"tender_id": "N", "project_id": "P-B", "title": "村道硬化工程", "method": method}
    rows = world(piece("A"), piece("B", tender_id="N"))

    assert len(clusters(rows, {"tender": [{**tender, "opening_at": at("2025-12-01")}]})) == n


@pytest.mark.parametrize(("other", "n"), [("B01.01.99", 2), ("B01.02.01", 0)])
def test_two_levels_of_the_category_must_agree(other: str, n: int) -> None:
    tender = {"tender_id": "N", "project_id": "P", "title": "村道", "method": "direct_award"}
    lots = [
        {"lot_id": key, "tender_id": "N", "project_id": "P", "name": "村道硬化工程", "category_code": code}
        for key, code in (("A", "B01.01.01"), ("B", other))
    ]
    rows = world(piece("A", lot_id="A"), piece("B", lot_id="B"))

    assert len(clusters(rows, {"lot": lots, "tender": [{**tender, "opening_at": at("2025-12-01")}]})) == n


@pytest.mark.parametrize(("later", "n"), [("2026-01-01", 2), ("2026-01-02", 0)])
def test_pieces_are_signed_within_the_days(later: str, n: int) -> None:
    # From 2025-07-05 to 2026-01-01 are 180 days.
    rows = world(piece("A", signed_at=at("2025-07-05", 23)), piece("B", signed_at=at(later)))

    assert len(clusters(rows)) == n


@pytest.mark.parametrize(("name", "n"), [("第二标段村道硬化工程", 2), ("村道硬化", 0), ("学校食堂采购", 0)])
def test_projects_called_alike_are_like(name: str, n: int) -> None:
    rows = {"contract": [piece("A"), piece("B")], "project": [project("A"), project("B", name)]}

    assert len(clusters(rows)) == n


@pytest.mark.parametrize(("sim_min", "n"), [(0.75, 2), (0.750000001, 0)])
def test_likeness_counts_from_the_threshold_on(sim_min: float, n: int) -> None:
    rows = {"contract": [piece("A"), piece("B")], "project": [project("A"), project("B", "村道硬化")]}

    assert len(clusters(rows, sim_min=sim_min)) == n  # 2 * 3 / (5 + 3)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"parent_project_id": "X"}, {"parent_project_id": "X"}),
        ({"parent_project_id": "P-B"}, {}),
        ({}, {"parent_project_id": "P-A"}),
    ],
)
def test_projects_of_one_parent_or_one_the_parent_of_the_other_are_like(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    rows = {
        "contract": [piece("A"), piece("B")],
        "project": [project("A", "甲桥", **first), project("B", "乙校", **second)],
    }

    assert len(clusters(rows)) == 2


def test_one_project_is_like_itself_whatever_it_is_called() -> None:
    rows = {"contract": [piece("A", project_id="P"), piece("B", project_id="P")]}

    assert clusters(rows) == {"P": (5_000_000, 2)}


def test_a_cluster_is_linked_step_by_step_also_through_what_lies_outside_its_days() -> None:
    names = {"A": "甲村道路硬化工程", "B": "甲村道路硬化", "C": "村道路硬化"}
    rows = {
        "contract": [
            piece("A"),
            piece("B", 100_000, signed_at=at("2024-01-10")),
            piece("C"),
        ],
        "project": [project(key, name) for key, name in names.items()],
    }

    # A and C are only 8/11 alike; B, of two years before, is like both.
    assert clusters(rows) == {"P-A": (5_000_000, 2), "P-C": (5_000_000, 2)}


def in_turn(*pieces: tuple[str, float, str]) -> list[tuple[str, int, int]]:
    """Return project, sum and items of the clusters of pieces signed on the days given."""
    rows = world(*[piece(key, amount, signed_at=at(signed)) for key, amount, signed in pieces])
    found = SplitProject.derive(source(rows), AS_OF, **ALIKE).collect()
    return [(row["subject_id"], int(row["total"]), row["n_items"]) for row in found.iter_rows(named=True)]


def test_every_first_day_starts_a_cluster_of_its_own_and_the_strongest_stays() -> None:
    a, b, c = ("A", 3_000_000, "2025-08-01"), ("B", 3_000_000, "2025-12-01"), ("C", 3_500_000, "2026-05-01")

    assert in_turn(a, b, c) == [("P-A", 6_000_000, 2), ("P-B", 6_500_000, 2), ("P-C", 6_500_000, 2)]


def test_a_larger_sum_does_not_hide_more_items() -> None:
    a, b, c, d = (
        ("A", 3_900_000, "2025-08-01"),
        ("B", 2_000_000, "2025-12-01"),
        ("C", 1_000_000, "2026-03-01"),
        ("D", 1_200_000, "2026-04-01"),
    )

    assert [row for row in in_turn(a, b, c, d) if row[0] == "P-B"] == [("P-B", 5_900_000, 2), ("P-B", 4_200_000, 3)]


def test_orders_are_items_too() -> None:
    orders = [
        {
            "order_id": key,
            "project_id": f"P-{key}",
            "category_code": "A02.01.01",
            "method": "framework",
            "supplier_org_id": "S",
            "amount": 1_200_000,
            "ordered_at": at("2026-02-01"),
        }
        for key in ("A", "B")
    ]

    assert clusters({"procurement_order": orders, "project": [project("A"), project("B")]}) == {
        "P-A": (2_400_000, 2),
        "P-B": (2_400_000, 2),
    }


def test_rows_signed_later_change_nothing() -> None:
    rows = world(piece("A"), piece("B"))
    later = world(piece("C", signed_at=at("2026-07-01", 0)))

    assert clusters(rows, later) == clusters(rows)


def test_nothing_bought_gives_no_rows() -> None:
    assert derived(SplitProject, {}, key="subject_id", **ALIKE) == {}
    assert derived(SplitSupplier, {}, key="subject_id") == {}
    assert derived(AdjacentWorks, {}, key="subject_id", **NEAR) == {}


# SI-078: who holds the pieces.


def holders(*rows: Rows) -> dict[str, tuple[float | None, int]]:
    found = derived(SplitSupplier, both(*rows), key="supplier_org_id")
    return {key: (None if row["held"] is None else float(row["held"]), row["n_items"]) for key, row in found.items()}


def org(key: str, **columns: Any) -> dict[str, Any]:
    return {"org_id": key, "name": key, **columns}


def test_what_each_supplier_holds_of_a_cluster() -> None:
    rows = world(piece("A"), piece("B", 3_000_000), piece("C", 1_000_000, party_b_org_id="V"))

    assert holders(rows) == {"W": (5_500_000, 3), "V": (1_000_000, 3)}
    row = derived(SplitSupplier, rows, key="supplier_org_id")["V"]
    assert (row["subject_id"], row["owner_org_id"], row["total"]) == ("organisation:T~organisation:V", "T", 6_500_000)
    assert [one["key"] for one in json.loads(row["evidence"])] == ["A", "B", "C"]


def test_a_control_group_is_one_supplier() -> None:
    rows = world(piece("A"), piece("B", party_b_org_id="V"))
    grouped = {"organisation": [org(key, group_id="G") for key in ("U", "V", "W")]}

    assert holders(rows, grouped) == {"U": (5_000_000, 2)}


@pytest.mark.parametrize(
    ("ties", "held"), [({"address_norm": "街1号"}, 5_000_000), ({"phone_hash": "h"}, 2_500_000), ({}, 2_500_000)]
)
def test_a_weak_affiliation_of_at_least_three_tenths_counts_as_one(ties: dict[str, Any], held: int) -> None:
    rows = world(piece("A"), piece("B", party_b_org_id="V"))

    assert holders(rows, {"organisation": [org("V", **ties), org("W", **ties)]}) == {"V": (held, 2), "W": (held, 2)}


def test_of_several_clusters_the_one_of_which_a_supplier_holds_most_stands() -> None:
    rows = world(
        piece("A", 3_000_000, signed_at=at("2025-08-01")),
        piece("B", 3_000_000, signed_at=at("2025-12-01"), party_b_org_id="V"),
        piece("C", 2_000_000, signed_at=at("2026-05-01")),
    )

    assert holders(rows) == {"W": (3_000_000, 2), "V": (3_000_000, 2)}
    found = derived(SplitSupplier, rows, key="supplier_org_id")
    assert {key: row["total"] for key, row in found.items()} == {"W": 6_000_000, "V": 5_000_000}


def test_a_supplier_of_an_owner_without_clusters_is_told_apart_from_one_in_none() -> None:
    rows = world(piece("A"), piece("B"), piece("C", 100, contract_type="goods", party_b_org_id="V"))
    elsewhere = {"contract": [piece("D", party_a_org_id="T2", party_b_org_id="X")]}

    assert holders(rows, elsewhere) == {"W": (5_000_000, 2), "X": (None, 0)}


def test_an_order_without_supplier_is_held_by_nobody() -> None:
    order = {"project_id": "P", "category_code": "A02.01", "method": "direct_award", "ordered_at": at("2026-02-01")}
    orders = [
        {**order, "order_id": "A", "amount": 1_500_000, "supplier_org_id": "S"},
        {**order, "order_id": "B", "amount": 1_500_000},
    ]
    rows = {"procurement_order": orders, "project": [{"project_id": "P", "name": "采购", "owner_org_id": "T"}]}

    found = derived(SplitSupplier, rows, key="supplier_org_id")
    assert {key: (row["held"], row["total"]) for key, row in found.items()} == {"S": (1_500_000, 3_000_000)}


# SI-079: neighbouring works.

PLACE: dict[str, Any] = {"longitude": 106.0, "latitude": 30.8, "sector": "municipal"}
DATES: dict[str, Any] = {"actual_start_date": day("2026-01-20"), "actual_finish_date": day("2026-04-20")}
METRE = 360 / (2 * 3.141592653589793 * 6_371_008.8)
"""Degrees of latitude of one metre."""


def site(key: str, **columns: Any) -> dict[str, Any]:
    return project(key, f"{key}处工程", **{**PLACE, **DATES, **columns})


def neighbours(*rows: Rows) -> dict[str, tuple[int, int]]:
    found = derived(AdjacentWorks, both(*rows), key="subject_id", **NEAR)
    return {key: (row["n_items"], row["n_unplaced"]) for key, row in found.items()}


def two(second: dict[str, Any], **piece_columns: Any) -> Rows:
    """Return two works contracts and their sites, of which the second is as said."""
    return {"contract": [piece("A"), piece("B", **piece_columns)], "project": [site("A"), site("B", **second)]}


def test_works_near_in_place_and_time_are_a_cluster() -> None:
    found = derived(AdjacentWorks, two({}), key="subject_id", **NEAR)

    assert {key: (row["total"], row["limit"], row["n_items"]) for key, row in found.items()} == {
        "P-A": (5_000_000, 4_000_000, 2),
        "P-B": (5_000_000, 4_000_000, 2),
    }


@pytest.mark.parametrize(("metres", "n"), [(499.999, 2), (500.001, 0)])
def test_the_distance_counts_up_to_the_threshold(metres: float, n: int) -> None:
    assert neighbours(two({"latitude": 30.8 + metres * METRE}))["P-A"] == (n, 0)


@pytest.mark.parametrize(
    "columns",
    [
        {"sector": "water"},
        {"sector": None},
        {"actual_start_date": None},
        {"actual_finish_date": None},
        {"actual_finish_date": day("2026-07-01")},  # not known yet
        {"actual_start_date": day("2026-04-21"), "actual_finish_date": day("2026-05-20")},
    ],
)
def test_another_sector_or_another_time_is_no_neighbour(columns: dict[str, Any]) -> None:
    assert neighbours(two(columns)) == {"P-A": (0, 0), "P-B": (0, 0)}


def test_works_that_meet_on_one_day_overlap() -> None:
    dates = {"actual_start_date": day("2026-04-20"), "actual_finish_date": day("2026-05-20")}

    assert neighbours(two(dates))["P-B"] == (2, 0)


@pytest.mark.parametrize(
    "columns",
    [
        {"signed_at": at("2025-07-13")},
        {"party_a_org_id": "T2"},
        {"contract_type": "epc"},
        {"contract_type": "services", "amount": 900_000},
        {"amount": 1_000_000},
        {"amount": 4_000_000},
    ],
)
def test_what_was_signed_apart_or_is_no_small_works_contract_is_no_neighbour(columns: dict[str, Any]) -> None:
    assert neighbours(two({}, **columns))["P-A"] == (0, 0)


def test_the_place_of_the_lot_comes_before_that_of_the_project() -> None:
    tender = {"tender_id": "N", "project_id": "P-B", "title": "工程", "method": "direct_award"}
    rows = both(
        two({"latitude": 31.8}, lot_id="L"),
        {
            "tender": [{**tender, "opening_at": at("2025-12-01")}],
            "lot": [
                {
                    "lot_id": "L",
                    "tender_id": "N",
                    "project_id": "P-B",
                    "name": "B",
                    "longitude": 106.0,
                    "latitude": 30.8,
                }
            ],
        },
    )

    assert neighbours(rows)["P-B"] == (2, 0)


def test_contracts_without_a_place_are_counted_when_they_could_be_neighbours() -> None:
    assert neighbours(two({"longitude": None})) == {"P-A": (0, 0), "P-B": (0, 1)}
    assert neighbours(two({"longitude": None}, amount=5_000_000)) == {"P-A": (0, 0), "P-B": (0, 0)}


def test_orders_are_no_works_contracts() -> None:
    order = {
        "order_id": "O",
        "project_id": "P-B",
        "category_code": "B01.01",
        "method": "direct_award",
        "amount": 2_500_000,
        "ordered_at": at("2026-02-01"),
    }
    rows = {"contract": [piece("A")], "project": [site("A"), site("B")], "procurement_order": [order]}

    assert neighbours(rows) == {"P-A": (0, 0)}


# SI-076: near the limit.


def near(*rows: Rows, band: float = 0.1) -> dict[str, tuple[int, int]]:
    found = derived(LimitBunching, both(*rows), key="subject_id", **LIMITS, band=band, window_months=24)
    return {key: (row["n_below"], row["n_above"]) for key, row in found.items()}


@pytest.mark.parametrize(
    ("amount", "counts"),
    [
        (3_599_999.99, (0, 0)),
        (3_600_000, (1, 0)),
        (3_999_999.99, (1, 0)),
        (4_000_000, (0, 1)),
        (4_399_999.99, (0, 1)),
        (4_400_000, (0, 0)),
        (None, (0, 0)),
    ],
)
def test_the_band_holds_its_lower_ends(amount: float | None, counts: tuple[int, int]) -> None:
    assert near({"contract": [contract(amount=amount)]}) == {"T": counts}


def test_types_are_counted_together_each_by_its_own_limit() -> None:
    rows = [
        contract("A", amount=3_900_000),
        contract("B", amount=1_900_000, contract_type="goods"),
        contract("C", amount=1_050_000, contract_type="design"),
        contract("D", amount=950_000, contract_type=None),
    ]

    assert near({"contract": rows}) == {"T": (2, 1)}


def test_tendered_contracts_count_and_orders_without_a_contract() -> None:
    order = {
        "project_id": "P",
        "category_code": "A02.01",
        "method": "public_tender",
        "amount": 1_900_000,
        "ordered_at": at("2026-02-01"),
    }
    rows = {
        "contract": [contract(amount=3_900_000, tender_id="N")],
        "tender": [{"tender_id": "N", "project_id": "P", "method": "public_tender", "opening_at": at("2025-12-01")}],
        "project": [{"project_id": "P", "name": "P", "owner_org_id": "T"}],
        "procurement_order": [{**order, "order_id": "O1"}, {**order, "order_id": "O2", "contract_id": "C"}],
    }

    assert near(rows) == {"T": (2, 0)}


@pytest.mark.parametrize(
    ("signed", "counts"), [(at("2024-07-01", 0), True), (at("2024-06-30", 23), False), (at("2026-07-01", 0), False)]
)
def test_the_window_runs_on_the_day_of_signing(signed: Any, counts: bool) -> None:
    assert (near({"contract": [contract(amount=3_900_000, signed_at=signed)]}) == {"T": (1, 0)}) is counts


@pytest.mark.parametrize(("n_below", "n_above", "p_ref"), [(3, 1, 0.75), (1, 3, 0.5), (0, 0, None)])
def test_the_reference_is_the_share_of_all_owners_at_least_a_half(
    n_below: int, n_above: int, p_ref: float | None
) -> None:
    rows = [
        *[contract(f"B{n}", amount=3_900_000, party_a_org_id=f"T{n}") for n in range(n_below)],
        *[contract(f"A{n}", amount=4_100_000, party_a_org_id="T") for n in range(n_above)],
        contract("far", amount=10_000_000),
    ]
    found = derived(LimitBunching, {"contract": rows}, key="subject_id", **LIMITS, band=0.1, window_months=24)

    assert {row["p_ref"] for row in found.values()} == {p_ref}


@pytest.mark.parametrize(("first", "short"), [("2025-06-30", False), ("2025-07-02", True)])
def test_history_shorter_than_half_the_window_is_said(first: str, short: bool) -> None:
    rows = {"contract": [contract("A", signed_at=at(first, 23), party_a_org_id="T2"), contract("B")]}
    found = derived(LimitBunching, rows, key="subject_id", **LIMITS, band=0.1, window_months=24)

    assert {row["short_history"] for row in found.values()} == {short}


def test_the_evidence_is_what_lies_near_the_limit() -> None:
    rows = {"contract": [contract("A", amount=3_900_000), contract("B", amount=1_000_000)]}
    found = derived(LimitBunching, rows, key="subject_id", **LIMITS, band=0.1, window_months=24)

    assert [row["key"] for row in json.loads(found["T"]["evidence"])] == ["A"]
