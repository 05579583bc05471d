"""Regular prices of one lot: equal ones, progressions, one ratio item by item (rulings SI-029)."""

from typing import Any

import polars as pl
import pytest

from features.derive.price_steps import RegularPrices, longest_progression
from features.tables.source import SourceTables
from tests.unit.test_derive_unit_prices import price_items
from tests.worlds import AFTER, AS_OF, Offer, World, shuffled


def derived(source: SourceTables, items_min: int = 3) -> pl.DataFrame:
    found = RegularPrices.derive(source, AS_OF, k_min=4, prog_cv=0.02, ratio_dp=4, items_min=items_min)
    return pl.DataFrame(RegularPrices.validate(found.collect())).sort("subject_id")


def lot(*offers: Offer, **columns: Any) -> dict[str, Any]:
    made = World()
    made.lot("L1", bids=offers, **columns)
    return derived(made.source()).row(0, named=True)


@pytest.mark.parametrize(
    ("prices", "least", "expected"),
    [
        ([100, 110, 120, 130], 4, 4),
        ([100, 110, 120, 131], 4, 0),  # 131 is 1 away from 130, more than 2 percent of the step of 10
        ([1000, 1100, 1200, 1302], 4, 4),  # exactly 2 percent of the step away; steps 100, 100, 102: cv 1.1 percent
        ([100, 103, 110, 116, 120, 130], 4, 4),  # others between are left out
        ([1000, 1100, 1210, 1331], 4, 4),  # each a tenth above the one before
        ([100, 110, 120], 4, 0),
        ([100, 110, 120, 130], 5, 0),
        ([], 4, 0),
        ([100, 200, 300, 400, 500, 600], 3.6, 6),
    ],
)
def test_a_progression_repeats_its_first_step(prices: list[int], least: float, expected: int) -> None:
    assert longest_progression(prices, 0.02, least=least) == expected


def test_what_joined_last_is_dropped_until_the_steps_are_steady() -> None:
    # From 1000 and 1100 each next price is within 33 of its place; the steps 100, 67, 67, 133 have a cv of 0.344.
    assert longest_progression([1000, 1100, 1167, 1234, 1367], 0.33, least=3) == 4
    assert longest_progression([1000, 1100, 1167, 1234, 1367], 0.345, least=3) == 5


def test_of_two_prices_equally_near_the_lower_joins() -> None:
    # After 1000, 1100, 1200 the next place is 1300: 1299 and 1301 are equally near; only 1299 leads on to 1400 - 1.
    assert longest_progression([1000, 1100, 1200, 1299, 1301, 1399], 0.02, least=5) == 5


def test_equal_prices_of_two_bidders_below_the_control_price() -> None:
    assert lot(Offer("A", 90), Offer("B", 90), control_price=100)["equal"]
    assert lot(Offer("A", 90), Offer("B", 90), control_price=None)["equal"]
    assert not lot(Offer("A", 100), Offer("B", 100), control_price=100)["equal"]
    assert not lot(Offer("A", 90), Offer("B", 90.01))["equal"]


def test_a_bidder_equals_not_itself_and_a_withdrawn_bid_nobody() -> None:
    assert not lot(Offer("A", 90), Offer("A", 90))["equal"]
    assert not lot(Offer("A", 90), Offer("B", 90, "withdrawn"))["equal"]
    assert lot(Offer("A", 90), Offer("B", 90, "disqualified"))["equal"]


def test_bids_without_price_and_a_price_of_zero_count_nowhere() -> None:
    found = lot(*[Offer(f"F{n}", price) for n, price in enumerate([100, 110, 120, 130, None, 0, 0])])

    assert (found["n_prices"], found["k"], found["equal"]) == (4, 4, False)


@pytest.mark.parametrize(("others", "expected"), [(0, 4), (2, 4), (3, 0)])
def test_a_progression_must_hold_six_in_ten_of_the_priced_bids(others: int, expected: int) -> None:
    prices = [1000.0, 1100.0, 1200.0, 1300.0, *[1017.0, 1456.0, 1033.0][:others]]

    assert lot(*[Offer(f"F{n}", price) for n, price in enumerate(prices)])["k"] == expected


def test_equal_prices_are_one_price_of_a_progression_and_two_of_the_bids() -> None:
    found = lot(*[Offer(f"F{n}", price) for n, price in enumerate([100, 110, 120, 130, 130])])

    assert (found["n_prices"], found["k"]) == (5, 4)


@pytest.mark.parametrize(
    ("method", "rule", "expected"),
    [
        ("public_tender", "lowest_evaluated", True),
        ("public_tender", "random_draw", False),
        ("single_source", "lowest_evaluated", False),
        ("direct_award", "lowest_evaluated", False),
    ],
)
def test_where_prices_do_not_decide_nothing_competes(method: str, rule: str, expected: bool) -> None:
    assert lot(Offer("A"), tender={"method": method, "evaluation_method": rule})["competes"] is expected


def test_the_strongest_pair_with_enough_items_stands_for_the_lot() -> None:
    made = World()
    made.lot("L1", bids=[Offer("A", 1), Offer("B", 2), Offer("C", 3)])
    price_items(made, {"A": [110, 220, 330, 40], "B": [100, 200, 300, 50], "C": [55, None, None, None]})

    found = derived(made.source()).row(0, named=True)

    assert (found["modal_share"], found["modal_ratio"], found["n_items"]) == (0.75, 1.1, 4)
    assert found["modal_pair"] == "B-L1-0000~B-L1-0001"
    few = derived(made.source(), items_min=5).row(0, named=True)
    assert (few["modal_share"], few["modal_pair"], few["n_items"]) == (None, None, 4)


def test_later_rows_and_the_order_of_rows_change_nothing() -> None:
    made = World()
    made.lot("L1", bids=[Offer("A", 100), Offer("B", 110), Offer("C", 110), Offer("D", 121)])
    price_items(made, {"A": [110, 220, 330], "B": [100, 200, 300]})
    before = derived(made.source())
    mixed = shuffled(made.frames(), 5)
    assert derived(SourceTables({name: frame.lazy() for name, frame in mixed.items()})).equals(before)

    made.lot("L2", bids=[Offer("A", 100), Offer("B", 100)], opening=AFTER)
    price_items(made, {"A": [110, 220, 330], "B": [100, 200, 300]}, lot_id="L2")

    assert derived(made.source()).equals(before)
