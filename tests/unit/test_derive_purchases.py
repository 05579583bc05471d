"""What counts as a purchase, how it was awarded, and which limit it has, in rows made by hand."""

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from features.derive.likeness import bigrams, dice
from features.derive.places import great_circle_m
from features.derive.purchases import contracts_awarded, purchases
from features.derive.tender_limits import TenderLimits
from features.indicators.catalogue import specification
from tests.contracts import AS_OF, Rows, at, both, contract, source
from tests.worlds import configured


def order(order_id: str = "O", **columns: Any) -> dict[str, Any]:
    """Return an order of project P for goods, without a contract."""
    return {
        "order_id": order_id,
        "project_id": "P",
        "category_code": "A02.01.01",
        "method": "direct_award",
        "supplier_org_id": "S",
        "amount": 100_000,
        "ordered_at": at("2026-02-01"),
        **columns,
    }


def tender(tender_id: str = "N", **columns: Any) -> dict[str, Any]:
    return {
        "tender_id": tender_id,
        "project_id": "P",
        "title": "某工程招标",
        "tenderer_org_id": "T",
        "law_regime": "tendering_law",
        "object_type": "works",
        "method": "public_tender",
        "opening_at": at("2025-12-01"),
        **columns,
    }


def lot(lot_id: str = "L", **columns: Any) -> dict[str, Any]:
    return {"lot_id": lot_id, "tender_id": "N", "project_id": "P", "name": "某工程一标段", **columns}


def gp_limit(amount: str) -> Rows:
    return {"param": [configured("SETTING.gp_open_limit", amount)]}


def bought(*rows: Rows) -> dict[str, dict[str, Any]]:
    frame = purchases(source(both(*rows)), AS_OF, TenderLimits()).collect()
    return {row["key"]: row for row in frame.iter_rows(named=True)}


def only(*rows: Rows) -> dict[str, Any]:
    (row,) = bought(*rows).values()
    return row


def test_the_limits_are_those_of_the_specification() -> None:
    params = next(row["params"] for row in specification() if row["id"] == "SI-077")

    assert '"tl_works": 4000000, "tl_goods": 2000000, "tl_services": 1000000' in params
    assert TenderLimits() == TenderLimits(4_000_000, 2_000_000, 1_000_000)


@pytest.mark.parametrize(
    ("contract_type", "limit"),
    [
        ("works", 4_000_000),
        ("epc", 4_000_000),
        ("goods", 2_000_000),
        ("services", 1_000_000),
        ("survey", 1_000_000),
        ("cost_consulting", 1_000_000),
        (None, None),
    ],
)
def test_the_type_decides_the_limit(contract_type: str | None, limit: int | None) -> None:
    assert only({"contract": [contract(contract_type=contract_type)]})["limit"] == limit


def test_a_contract_without_type_has_that_of_its_tender() -> None:
    rows = {"contract": [contract(contract_type=None)], "lot": [lot()], "tender": [tender(object_type="goods")]}

    assert (only(rows)["object_type"], only(rows)["limit"]) == ("goods", 2_000_000)


@pytest.mark.parametrize(("amount", "below"), [(3_999_999, True), (4_000_000, False), (None, None)])
def test_the_limit_itself_is_not_below_it(amount: int | None, below: bool | None) -> None:
    assert only({"contract": [contract(amount=amount)]})["below_limit"] is below


def test_an_amount_in_another_currency_is_not_compared() -> None:
    foreign = only({"contract": [contract()], "lot": [lot(currency="USD")], "tender": [tender()]})

    assert foreign["amount"] is None
    assert foreign["below_limit"] is None


@pytest.mark.parametrize(
    ("columns", "counts"),
    [
        ({}, True),
        ({"status": "completed"}, True),
        ({"status": "draft"}, False),
        ({"status": "terminated"}, False),
        ({"supplement_of_contract_id": "C0"}, False),
        ({"signed_at": AS_OF}, True),
        ({"signed_at": at("2026-07-01", 0)}, False),
        ({"signed_at": None}, False),
    ],
)
def test_contracts_signed_by_then_that_stand_for_themselves_count(columns: dict[str, Any], counts: bool) -> None:
    assert bool(bought({"contract": [contract(**columns)]})) is counts


def test_supplements_and_terminated_contracts_are_contracts_awarded() -> None:
    rows = [
        contract("A", supplement_of_contract_id="B"),
        contract("B", status="terminated"),
        contract("D", status="draft"),
    ]
    found = contracts_awarded(source({"contract": rows}), AS_OF, TenderLimits()).collect()

    assert sorted(found.get_column("contract_id")) == ["A", "B"]


@pytest.mark.parametrize(
    ("method", "tendered"),
    [
        ("public_tender", True),
        ("invited_tender", True),
        ("inquiry", False),
        ("single_source", False),
        ("direct_award", False),
        ("framework", False),
        ("unknown", False),
    ],
)
def test_public_and_invited_tenders_are_tenders(method: str, tendered: bool) -> None:
    found = only({"contract": [contract()], "lot": [lot()], "tender": [tender(method=method)]})

    assert (found["method"], found["tendered"]) == (method, tendered)


def test_a_contract_names_its_tender_itself_or_through_its_lot_or_its_order() -> None:
    by_itself = {"contract": [contract(lot_id=None, tender_id="N")], "tender": [tender()]}
    by_order = {"contract": [contract(lot_id=None)], "procurement_order": [order(contract_id="C", tender_id="N")]}

    assert only(by_itself)["method"] == "public_tender"
    assert only(both(by_order, {"tender": [tender(method="inquiry")]}))["method"] == "inquiry"


def test_a_contract_without_tender_has_the_method_of_its_order_or_none() -> None:
    alone = {"contract": [contract(lot_id=None)]}

    assert only(alone)["method"] is None
    assert not only(alone)["tendered"]
    assert only(alone, {"procurement_order": [order(contract_id="C", method="framework")]})["method"] == "framework"


def test_a_tender_of_later_is_not_known() -> None:
    later = tender(opening_at=at("2026-07-02"), notice_published_at=at("2026-07-01", 0))

    assert only({"contract": [contract()], "lot": [lot()], "tender": [later]})["method"] is None


def test_an_order_with_a_contract_counts_as_the_contract() -> None:
    rows = {"contract": [contract(lot_id=None)], "procurement_order": [order(contract_id="C"), order("O2")]}

    assert sorted(bought(rows, {"project": [project()]})) == ["C", "O2"]


@pytest.mark.parametrize(
    ("category", "object_type", "limit"),
    [("A02", "goods", 2_000_000), ("B01", "works", 4_000_000), ("C10", "services", 1_000_000), ("X1", None, None)],
)
def test_the_category_tells_the_type_of_an_order(category: str, object_type: str | None, limit: int | None) -> None:
    found = only({"procurement_order": [order(category_code=category)], "project": [project()]})

    assert (found["object_type"], found["limit"]) == (object_type, limit)


def project(project_id: str = "P", **columns: Any) -> dict[str, Any]:
    return {"project_id": project_id, "name": "某项目", "owner_org_id": "T", **columns}


def test_the_owner_of_an_order_is_the_tenderer_else_the_owner_of_the_project() -> None:
    by_tender = {"procurement_order": [order(tender_id="N")], "tender": [tender(tenderer_org_id="T2")]}

    assert only(by_tender, {"project": [project()]})["owner_org_id"] == "T2"
    assert only({"procurement_order": [order()], "project": [project()]})["owner_org_id"] == "T"
    assert bought({"procurement_order": [order()]}) == {}


@pytest.mark.parametrize("ordered_at", [None, at("2026-07-01", 0)])
def test_orders_not_placed_by_then_do_not_count(ordered_at: Any) -> None:
    assert bought({"procurement_order": [order(ordered_at=ordered_at)], "project": [project()]}) == {}


def test_the_configured_limit_is_that_of_the_procurement_law() -> None:
    under_law = {"contract": [contract()], "lot": [lot()], "tender": [tender(law_regime="gov_procurement_law")]}
    by_order = {"contract": [contract(lot_id=None)], "procurement_order": [order(contract_id="C")]}
    an_order = {"procurement_order": [order()], "project": [project()]}
    other = {"contract": [contract()], "lot": [lot()], "tender": [tender()]}

    assert [only(rows, gp_limit("2500000.50"))["limit"] for rows in (under_law, by_order, an_order, other)] == [
        *[Decimal("2500000.50")] * 3,
        4_000_000,
    ]
    assert only(under_law)["limit"] == 4_000_000


def test_the_category_is_that_of_the_lot_else_of_the_order() -> None:
    by_lot = {"contract": [contract()], "lot": [lot(category_code="B01.02.03")], "tender": [tender()]}
    by_order = {"contract": [contract(lot_id=None)], "procurement_order": [order(contract_id="C")]}

    assert (only(by_lot)["category"], only(by_order)["category"]) == ("B01.02", "A02.01")
    assert only({"contract": [contract(lot_id=None)]})["category"] is None


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ({"lot": [lot(scope_text="修路")], "tender": [tender()]}, "修路"),
        ({"lot": [lot(scope_text=" ")], "tender": [tender()]}, "某工程一标段"),
        ({"contract": [contract(lot_id=None, tender_id="N")], "tender": [tender()]}, "某工程招标"),
        ({"project": [project()]}, "某项目"),
        ({}, None),
    ],
)
def test_what_describes_a_contract(rows: Rows, text: str | None) -> None:
    assert (
        only({"contract": [contract()]} | {**rows, "contract": rows.get("contract", [contract()])})["described"] == text
    )


def alike(left: str | None, right: str | None) -> float:
    frame = pl.DataFrame({"left": [left], "right": [right]}, schema={"left": pl.String, "right": pl.String})
    return frame.select(dice(bigrams(pl.col("left")), bigrams(pl.col("right")))).item()


@pytest.mark.parametrize(
    ("left", "right", "likeness"),
    [
        ("道路工程", "道路工程", 1.0),
        ("道路工程第一标段", "道路工程（二标段）", 1.0),
        ("道路工程 2026年3期", "道路工程 2025年1期", 1.0),
        ("道路工程", "道路绿化", 1 / 3),  # one of three pairs
        ("道路工程", "学校食堂", 0.0),
        ("道路道路", "道路道路道路", 1.0),  # sets
        ("路", "路", 0.0),  # no pair
        ("第一标段", "第一标段", 0.0),
        (None, "道路", 0.0),
        (None, None, 0.0),
    ],
)
def test_likeness_is_dice_of_the_sets_of_bigrams(left: str | None, right: str | None, likeness: float) -> None:
    assert alike(left, right) == pytest.approx(likeness, abs=1e-9)
    assert alike(right, left) == pytest.approx(likeness, abs=1e-9)


def test_a_degree_of_latitude_and_one_of_longitude_at_sixty_degrees() -> None:
    places = pl.DataFrame({"a": [106.0, 106.0], "b": [30.0, 60.0], "c": [106.0, 107.0], "d": [31.0, 60.0]})
    metres = places.select(m=great_circle_m(*(pl.col(name) for name in "abcd"))).get_column("m")

    assert metres[0] == pytest.approx(6_371_008.8 * 3.141592653589793 / 180)
    assert metres[1] == pytest.approx(metres[0] / 2, rel=1e-4)
