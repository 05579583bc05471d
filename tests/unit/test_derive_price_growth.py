"""How the price of a contract grew, in rows made by hand."""

import datetime as dt
from typing import Any

import numpy as np
import pytest

from features.derive.price_growth import BillGain, GrownContract, MeasuredMonths, SettlementCuts
from tests.contracts import Rows, at, both, contract, derived, won_by

SIGNED: Rows = {"contract": [contract()]}


def changed(amount: float, approved: str = "2026-03-01", **columns: Any) -> Rows:
    row = {
        "change_id": f"{amount} {approved}",
        "contract_id": "C",
        "change_type": "design_change",
        "amount_delta": amount,
        "proposed_at": at("2026-01-20"),
        "approved_at": at(approved),
        "status": "approved",
        **columns,
    }
    return {"contract_change": [row]}


def settled(amount: float, reviewed: str = "2026-05-01", submitted: float | None = None, **columns: Any) -> Rows:
    row = {
        "settlement_id": f"{columns} {amount} {reviewed}",
        "contract_id": "C",
        "submitted_amount": submitted,
        "submitted_at": at("2025-01-01"),
        "reviewed_amount": amount,
        "reviewed_at": at(reviewed),
        **columns,
    }
    return {"settlement_audit": [row]}


# SI-054: the award and the end.


def lot(
    name: str = "L",
    *,
    awarded: float | None = 950,
    control: float | None = 1000,
    opened: str = "2025-12-01",
    **tender: Any,
) -> Rows:
    """Return a lot with one valid bid, won by it."""
    key = "" if name == "L" else f"-{name}"
    return {
        "tender": [
            {
                "tender_id": f"N{key}",
                "project_id": "P",
                "object_type": "works",
                "method": "public_tender",
                "evaluation_method": "comprehensive",
                "opening_at": at(opened),
                **tender,
            }
        ],
        "lot": [{"lot_id": name, "tender_id": f"N{key}", "project_id": "P", "control_price": control}],
        "bid": [{"bid_id": f"B{key}", "lot_id": name, "tender_id": f"N{key}", "bidder_org_id": "W", "status": "valid"}],
        "award": [
            {
                "award_id": f"A{key}",
                "lot_id": name,
                "org_id": "W",
                "amount": awarded,
                "status": "awarded",
                "notice_issued_at": at(opened) + dt.timedelta(days=20),
            }
        ],
    }


def grown(*parts: Rows) -> dict[str, Any]:
    return derived(GrownContract, both(SIGNED, *parts))["C"]


def peers(n: int = 30, opened: str = "2025-06-01", **tender: Any) -> Rows:
    """Return lots with contracts, with discounts of 0.1, 0.2, 0.3 ... percent."""
    lots = [lot(f"peer{place}", awarded=1000 - place, opened=opened, **tender) for place in range(1, n + 1)]
    contracts: Rows = {"contract": [contract(f"D{place}", lot_id=f"peer{place}") for place in range(1, n + 1)]}
    return both(contracts, *lots)


def test_the_discount_is_what_all_awards_of_the_lot_saved() -> None:
    second = {"award": [{**lot()["award"][0], "award_id": "A2", "org_id": "V", "amount": 20}]}

    assert grown(lot())["discount"] == pytest.approx(0.05)
    assert grown(lot(), second)["discount"] == pytest.approx(0.03)


@pytest.mark.parametrize(
    "world",
    [
        {},
        lot(awarded=None),
        lot(control=None),
        lot(control=0),
        both(lot(), {"award": [{**lot(awarded=None)["award"][0], "award_id": "A2"}]}),
    ],
)
def test_without_control_price_or_an_award_there_is_no_discount(world: Rows) -> None:
    assert grown(world)["discount"] is None


def test_an_award_known_later_is_not_known() -> None:
    late = lot()
    late["award"][0]["notice_issued_at"] = at("2026-07-01")

    assert grown(late)["discount"] is None


def test_changes_and_price_adjustments_are_summed_apart() -> None:
    found = grown(
        lot(),
        changed(100),
        changed(-30),
        changed(7, change_type="price_adjustment"),
        changed(1, status="rejected"),
        changed(2, "2026-07-01"),
    )

    assert (found["change_amount"], found["adjustment_amount"]) == (70, 7)
    assert found["evidence"].count('"table":"contract_change"') == 3


def test_the_latest_review_stands() -> None:
    found = grown(lot(), settled(1100, "2026-04-01"), settled(1200, "2026-05-01"), settled(1300, "2026-07-01"))

    assert found["reviewed_amount"] == 1200
    assert '"table":"award"' in found["evidence"]
    assert found["evidence"].count('"table":"settlement_audit"') == 1


@pytest.mark.parametrize(
    ("tender", "is_uncontested"),
    [
        ({}, False),
        ({"method": "direct_award"}, True),
        ({"method": "single_source"}, True),
        ({"evaluation_method": "random_draw"}, True),
        ({"method": "inquiry"}, False),
    ],
)
def test_direct_awards_and_random_draws_know_no_contest(tender: dict[str, Any], is_uncontested: bool) -> None:
    assert grown(lot(**tender))["is_uncontested"] is is_uncontested


def test_thirty_earlier_lots_are_peers() -> None:
    found = grown(lot(), peers(30))
    discounts = [place / 1000 for place in range(1, 31)]

    assert found["peer_n"] == 30
    assert found["peer_median"] == pytest.approx(np.quantile(discounts, 0.5))
    assert found["peer_p75"] == pytest.approx(np.quantile(discounts, 0.75))
    assert found["peer_p90"] == pytest.approx(np.quantile(discounts, 0.9))


@pytest.mark.parametrize(
    "others",
    [
        peers(29),
        peers(30, "2025-12-01"),  # at the same instant
        peers(30, "2022-11-30"),  # more than 36 months before
        peers(30, evaluation_method="average_benchmark"),
        peers(30, object_type="goods"),
        peers(30, method="direct_award"),
    ],
)
def test_fewer_or_other_lots_are_none(others: Rows) -> None:
    found = grown(lot(), others)

    assert found["peer_median"] is found["peer_p75"] is found["peer_p90"] is found["peer_n"] is None


def test_a_peer_has_a_contract_and_a_discount_itself() -> None:
    lots = peers(30)
    one = lots["contract"].pop()
    assert grown(lot(), lots)["peer_n"] is None

    lots["contract"].append(one)
    lots["lot"][0]["control_price"] = None
    assert grown(lot(), lots)["peer_n"] is None


def test_two_contracts_of_a_lot_are_one_peer() -> None:
    lots = peers(29)
    lots["contract"].append(contract("more", lot_id="peer1"))

    assert grown(lot(), lots)["peer_n"] is None


def test_a_lot_with_more_bids_has_other_peers() -> None:
    more = [
        {"bid_id": f"B{place}", "lot_id": "L", "tender_id": "N", "bidder_org_id": f"O{place}", "status": "valid"}
        for place in range(2)
    ]

    assert grown(lot(), peers(30), {"bid": more})["peer_n"] is None
    assert grown(lot(), peers(30), {"bid": more[:1]})["peer_n"] == 30


# SI-055: prices and quantities.


def item(number: int, quantity: float = 10, **columns: Any) -> Rows:
    row = {
        "boq_item_id": f"Q{number}",
        "lot_id": "L",
        "tender_quantity": quantity,
        "control_unit_price": 100,
        "is_provisional": False,
        **columns,
    }
    return {"boq_item": [row]}


def price(bid_id: str, number: int, unit_price: float) -> Rows:
    return {
        "bid_item_price": [
            {
                "bid_item_id": f"{bid_id} {number}",
                "bid_id": bid_id,
                "boq_item_id": f"Q{number}",
                "unit_price": unit_price,
            }
        ]
    }


def measured(
    number: int | None, cumulative: float | None, period: str = "2026-03", amount: float | None = 100, **columns: Any
) -> Rows:
    row = {
        "measurement_id": f"{number} {period} {columns}",
        "contract_id": "C",
        "boq_item_id": None if number is None else f"Q{number}",
        "period": period,
        "cumulative_qty": cumulative,
        "amount": amount,
        "submitted_at": at("2026-02-01"),
        "owner_approved_at": at(f"{period}-28"),
        **columns,
    }
    return {"quantity_measurement": [row]}


def bids(*others: str, status: str = "valid") -> Rows:
    """Return the winning bid B of lot L and others."""
    rows = [
        {"bid_id": bid_id, "lot_id": "L", "tender_id": "N", "bidder_org_id": f"O{bid_id}", "status": status}
        for bid_id in others
    ]
    return both(won_by(), {"bid": rows})


def gain(*parts: Rows, **columns: Any) -> dict[str, Any]:
    return derived(BillGain, both({"contract": [contract(**columns)]}, *parts))["C"]


def test_growth_is_weighed_by_the_price_above_the_median_of_the_valid_bids() -> None:
    found = gain(
        bids("B2", "B3"),
        *[item(1), price("B", 1, 120), price("B2", 1, 90), price("B3", 1, 100), measured(1, 15)],
        *[item(2), price("B", 2, 80), price("B2", 2, 100), price("B3", 2, 110), measured(2, 4)],
        *[item(3), price("B", 3, 100), price("B2", 3, 90), price("B3", 3, 110), measured(3, 99)],
        *[item(4), price("B", 4, 150), price("B2", 4, 90), price("B3", 4, 110)],
    )

    # (15 - 10) * (120 - 100) + (4 - 10) * (80 - 100); the third is at the median, the fourth not measured
    assert found["gain_amount"] == pytest.approx(100 + 120)
    assert (found["n_items"], found["n_contributing"], found["has_prices"]) == (3, 2, True)
    assert found["evidence"].count('"table":"boq_item"') == 2


def test_bids_that_are_not_valid_are_no_reference() -> None:
    found = gain(bids("B2", status="disqualified"), item(1), price("B", 1, 120), price("B2", 1, 20), measured(1, 15))

    assert found["gain_amount"] == 0


def test_without_a_valid_price_the_control_price_is_cut_as_the_whole_was() -> None:
    world = bids()
    world["bid"][0]["status"] = "disqualified"
    world["lot"][0]["control_price"] = 2000
    world["award"][0]["amount"] = 1800

    found = gain(world, item(1, control_unit_price=100), price("B", 1, 120), measured(1, 15))

    assert found["gain_amount"] == pytest.approx(5 * (120 - 90))


def test_the_latest_quantity_that_the_owner_has_approved_counts() -> None:
    world = both(bids("B2"), item(1), price("B", 1, 120), price("B2", 1, 80))
    later = measured(1, 30, "2026-05", owner_approved_at=at("2026-07-01"))
    unapproved = measured(1, 40, "2026-06", owner_approved_at=None)

    found = gain(world, measured(1, 15, "2026-03"), measured(1, 18, "2026-04"), later, unapproved)

    assert found["gain_amount"] == pytest.approx(8 * 20)
    assert gain(world, later)["n_items"] == 0


def test_prices_of_another_bid_are_not_the_winners() -> None:
    found = gain(bids("B2"), item(1), price("B2", 1, 80), measured(1, 15))

    assert (found["has_prices"], found["n_items"], found["n_contributing"]) == (False, 1, 0)


def test_the_ten_items_that_matter_most_are_shown() -> None:
    parts = [both(item(n), price("B", n, 100 + n), price("B2", n, 100 - n), measured(n, 15)) for n in range(1, 13)]
    found = gain(bids("B2"), *parts)

    assert found["n_contributing"] == 12
    assert found["evidence"].count('"table":"boq_item"') == 10
    assert '"key":"Q12"' in found["evidence"]
    assert '"key":"Q2"' not in found["evidence"]


# SI-056: months and main items.


def months(*parts: Rows) -> dict[str, Any]:
    return derived(MeasuredMonths, both(SIGNED, *parts), over_ratio=1.15)["C"]


def test_the_highest_month_is_set_against_the_median_of_the_others() -> None:
    found = months(
        measured(1, 1, "2026-01", 60),
        measured(2, 1, "2026-01", 40),
        measured(1, 2, "2026-02", 500),
        measured(1, 3, "2026-03", 300),
        measured(1, 4, "2026-04", 200),
    )

    assert (found["n_months"], found["highest_amount"], found["median_other_amount"]) == (4, 500, 200)
    assert found["evidence"].count('"table":"quantity_measurement"') == 1


def test_of_two_equal_months_one_is_another() -> None:
    found = months(measured(1, 1, "2026-01", 500), measured(1, 2, "2026-02", 500))

    assert (found["highest_amount"], found["median_other_amount"]) == (500, 500)


def test_measurements_that_the_owner_approves_later_or_without_amount_are_no_months() -> None:
    found = months(
        measured(1, 1, "2026-01"),
        measured(1, 2, "2026-02", owner_approved_at=at("2026-07-01")),
        measured(1, 3, "2026-03", owner_approved_at=None),
        measured(1, 4, "2026-04", amount=None),
    )

    assert found["n_months"] == 1


MAIN = {"is_main_item": True}


def test_main_items_measured_well_beyond_the_bill_are_counted() -> None:
    found = months(
        *[item(number, **MAIN) for number in (1, 2, 3)],
        *[item(4, is_main_item=False), item(5, lot_id="other", **MAIN), item(6, 0, **MAIN)],
        *[measured(1, 11.5), measured(2, 11.49), measured(4, 90), measured(5, 90), measured(6, 90)],
    )

    assert (found["n_main_items"], found["n_over"]) == (3, 1)
    assert found["evidence"].count('"table":"boq_item"') == 1


def test_an_approved_change_explains_a_quantity() -> None:
    world = both(item(1, **MAIN), measured(1, 9, "2026-02", change_id="G"), measured(1, 20, "2026-03"))

    assert months(world)["n_over"] == 1
    assert months(world, changed(5, change_id="G"))["n_over"] == 0
    assert months(world, changed(5, change_id="G", status="rejected"))["n_over"] == 1
    assert months(world, changed(5, "2026-07-02", change_id="G"))["n_over"] == 1


def test_a_contract_without_a_bill_has_no_main_items() -> None:
    found = months(measured(None, 50))

    assert (found["n_months"], found["n_main_items"], found["n_over"]) == (1, 0, 0)


# SI-057: what reviews cut.


def reviews(*cuts: float, org: str, reviewer: str | None = None, reviewed: str = "2026-05-01") -> Rows:
    """Return contracts of a firm of which a review cut so many percent of 100 CNY."""
    names = [f"{org} {reviewed} {place}" for place in range(len(cuts))]
    return both(
        {"contract": [contract(name, party_b_org_id=org) for name in names]},
        *[
            settled(100 - cut, reviewed, 100, contract_id=name, reviewer_org_id=reviewer)
            for name, cut in zip(names, cuts, strict=True)
        ],
    )


LONG_AGO = reviews(0, org="old", reviewed="2023-01-01")


def cuts(*parts: Rows, key: str = "subject_id", n_min: int = 2) -> dict[str, dict[str, Any]]:
    return derived(SettlementCuts, both(LONG_AGO, *parts), key=key, n_min=n_min, window_months=36)


def test_a_firm_is_set_against_the_others_with_enough_contracts() -> None:
    found = cuts(
        reviews(20, 10, 12, org="W"),
        reviews(4, 4, org="A"),
        reviews(6, 6, org="B"),
        reviews(9, 9, org="D"),
        reviews(50, org="few"),
    )

    w = found["W"]
    assert (w["role"], w["n_contracts"], w["n_peers"]) == ("contractor", 3, 3)
    assert (w["median_cut"], w["highest_cut"]) == (pytest.approx(0.12), pytest.approx(0.2))
    assert (w["peer_median"], w["peer_mad"]) == (pytest.approx(0.06), pytest.approx(0.02))
    assert w["evidence"].count('"table":"settlement_audit"') == 3
    assert (found["A"]["peer_median"], found["A"]["peer_mad"]) == (pytest.approx(0.09), pytest.approx(0.03))
    assert (found["few"]["n_peers"], found["few"]["peer_median"]) == (0, None)


def test_one_alone_has_no_peers() -> None:
    w = cuts(reviews(5, 5, org="W"))["W"]

    assert (w["n_peers"], w["peer_median"], w["peer_mad"]) == (0, None, None)


def test_reviewers_are_compared_with_reviewers() -> None:
    found = cuts(reviews(5, 5, org="W", reviewer="R"), reviews(7, 7, org="W2", reviewer="R2"), reviews(1, 1, org="W3"))

    assert (found["R"]["role"], found["R"]["median_cut"], found["R"]["peer_median"]) == (
        "reviewer",
        pytest.approx(0.05),
        pytest.approx(0.07),
    )
    assert found["R"]["n_peers"] == 1
    assert found["W"]["n_peers"] == 2


def test_the_latest_review_of_a_contract_counts_in_the_window() -> None:
    again = reviews(30, org="W")
    again["settlement_audit"][0] |= {"settlement_id": "first", "reviewed_at": at("2026-01-01")}
    found = cuts(
        reviews(5, org="W"),
        {"settlement_audit": again["settlement_audit"]},
        reviews(40, org="W", reviewed="2023-06-30"),
        reviews(50, org="W", reviewed="2026-07-01"),
    )

    assert (found["W"]["n_contracts"], found["W"]["median_cut"]) == (1, pytest.approx(0.05))


def test_nothing_submitted_cannot_be_cut() -> None:
    none = settled(90, contract_id="C", submitted=None)
    nothing = settled(90, contract_id="D", submitted=0)

    assert cuts({"contract": [contract("C"), contract("D")]}, none, nothing) == {}


def test_history_is_short_below_half_of_the_window() -> None:
    young = derived(SettlementCuts, reviews(5, 5, org="W"), key="subject_id", n_min=2, window_months=36)

    assert young["W"]["short_history"] is True
    assert cuts(reviews(5, 5, org="W"))["W"]["short_history"] is False
