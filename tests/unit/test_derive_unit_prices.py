"""Unit prices of the bids of one lot: ratios, equalities, first digits (rulings SI-029 (b), SI-030, SI-031)."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from features.derive.unit_prices import EqualItems, ItemDigits, modal_ratios, priced_items
from features.tables.source import SourceTables
from tests.worlds import AFTER, AS_OF, Offer, World, days_ago, shuffled


def price_items(
    made: World,
    prices: Mapping[str, Sequence[float | None]],
    *,
    lot_id: str = "L1",
    control: Sequence[float | None] | None = None,
    provisional: Sequence[int] = (),
) -> None:
    """Add a bill of quantities and the unit prices of bidders; items without a price of a bidder are left out."""
    bids = {row["bidder_org_id"]: row["bid_id"] for row in made.rows["bid"] if row["lot_id"] == lot_id}
    for place in range(max(len(row) for row in prices.values())):
        item = f"{lot_id}-Q{place:03}"
        limit = None if control is None else control[place]
        made.rows["boq_item"].append(
            {
                "boq_item_id": item,
                "lot_id": lot_id,
                "item_code": f"C{place}",
                "item_name": item,
                "unit": "m",
                "tender_quantity": 1.0,
                "control_unit_price": None if limit is None else Decimal(f"{limit:.2f}"),
                "is_provisional": place in provisional,
            }
        )
        for org, row in prices.items():
            if (price := row[place]) is not None:
                money = Decimal(f"{price:.2f}")
                made.rows["bid_item_price"].append(
                    {
                        "bid_item_id": f"{bids[org]}-{item}",
                        "bid_id": bids[org],
                        "boq_item_id": item,
                        "unit_price": money,
                        "amount": money,
                    }
                )


def lot(prices: Mapping[str, Sequence[float | None]], **said: Any) -> World:
    made = World()
    made.lot("L1", bids=sorted(prices))
    price_items(made, prices, **said)
    return made


def ratio(made: World, dp: int = 4) -> dict[str, Any]:
    found = modal_ratios(priced_items(made.source(), AS_OF), dp)
    assert found.height == 1
    return found.row(0, named=True)


def equal(made: World, *, tol: float = 0.005, common: float = 0.5) -> dict[str, tuple[int, int]]:
    """Return eligible and equal items of each pair of bidders."""
    found = pl.DataFrame(EqualItems.validate(EqualItems.derive(made.source(), AS_OF, tol, common).collect()))
    orgs = {row["bid_id"]: row["bidder_org_id"] for row in made.rows["bid"]}
    ends = [[end.removeprefix("bid:") for end in one.split("~")] for one in found.get_column("subject_id")]
    names = ["".join(orgs[end] for end in pair) for pair in ends]
    return dict(zip(names, found.select("n_eligible", "n_same").rows(), strict=True))


def digits(made: World, items_min: int = 1) -> dict[str, dict[str, Any]]:
    found = pl.DataFrame(ItemDigits.validate(ItemDigits.derive(made.source(), AS_OF, items_min).collect()))
    orgs = {row["bid_id"]: row["bidder_org_id"] for row in made.rows["bid"]}
    return {orgs[row["subject_id"]]: row for row in found.iter_rows(named=True)}


def test_the_smaller_bid_id_stands_over_the_larger() -> None:
    found = ratio(lot({"A": [97, 194, 300, 40], "B": [100, 200, 400, 50]}))

    assert (found["n_items"], found["n_modal"], found["ratio"]) == (4, 2, 0.97)


def test_a_ratio_of_one_is_never_the_mode_but_counts_below_the_line() -> None:
    found = ratio(lot({"A": [10, 20, 30, 11], "B": [10, 20, 30, 10]}))

    assert (found["n_items"], found["n_modal"], found["ratio"]) == (4, 1, 1.1)
    alike = ratio(lot({"A": [10, 20], "B": [10, 20]}))
    assert (alike["n_items"], alike["n_modal"], alike["ratio"]) == (2, 0, None)


def test_ratios_are_rounded() -> None:
    made = lot({"A": [33333, 66667, 50000], "B": [100000, 200000, 150000]})

    assert ratio(made)["n_modal"] == 3
    assert ratio(made, dp=6)["n_modal"] == 1  # 0.333330, 0.333335, 0.333333


def test_provisional_items_and_prices_not_above_zero_are_left_out() -> None:
    made = lot({"A": [11, 22, 33, 0, -5], "B": [10, 20, 30, 10, 10]}, provisional=[2])

    assert ratio(made)["n_items"] == 2


def test_items_at_which_both_follow_their_usual_discount_are_left_out() -> None:
    control = [100.0, 200.0, 300.0, 400.0]
    # A gives 0.9 of the control price, B 0.8; at the last item B does not.
    made = lot({"A": [90, 180, 270, 360], "B": [80, 160, 240, 390]}, control=control)

    found = ratio(made)

    assert (found["n_items"], found["ratio"]) == (1, 0.9231)


def test_of_usual_discounts_equally_frequent_the_smallest_is_taken() -> None:
    made = lot({"A": [90, 160], "B": [90, 160]}, control=[100.0, 200.0])  # 0.9 and 0.8, each once

    assert ratio(made)["n_items"] == 1


def test_without_control_price_an_item_follows_no_discount() -> None:
    assert ratio(lot({"A": [90, 180], "B": [80, 160]}, control=[None, 0.0]))["n_items"] == 2


CONTROL = [1000.0] * 6


def test_equal_prices_of_eligible_items_are_counted() -> None:
    made = lot({"A": [1, 2, 3, 4, 5, 6], "B": [1, 2, 3.01, 9, 9, 9]}, control=CONTROL)

    assert equal(made) == {"AB": (6, 2)}
    assert equal(made, tol=0.02) == {"AB": (6, 3)}


def test_items_without_control_price_provisional_ones_and_the_control_price_itself_are_out() -> None:
    control = [None, 0.0, 3.0, 1000.0, 1000.0, 1000.0]
    made = lot({"A": [1, 2, 3, 4, 5, 0], "B": [1, 2, 9, 4, 5, 7]}, control=control, provisional=[3])

    assert equal(made) == {"AB": (1, 1)}


def test_a_price_that_half_of_the_other_bids_use_is_out() -> None:
    rows = {"A": [5, 5], "B": [5, 5], "C": [5, 6], "D": [7, 7]}
    found = equal(lot(rows, control=CONTROL[:2]))

    # Item 1: of the two others C uses 5, half: out. Item 2: nobody else uses 5.
    assert found["AB"] == (1, 1)
    # Of A and C: item 1 out (B uses 5); at item 2 A's price is B's, one of the two others: out.
    assert found["AC"] == (0, 0)
    # Of C and D: item 1 out (A and B use C's price); item 2: nobody else uses 6 or 7.
    assert found["CD"] == (1, 0)


def test_with_no_other_bid_nothing_is_common() -> None:
    assert equal(lot({"A": [5], "B": [5]}, control=CONTROL[:1])) == {"AB": (1, 1)}


def test_only_others_that_price_the_item_are_asked() -> None:
    made = lot({"A": [5, 1], "B": [5, 2], "C": [None, 3], "D": [6, 4]}, control=CONTROL[:2])

    assert equal(made)["AB"] == (2, 1)
    assert equal(made, common=1.0)["AB"] == (2, 1)


@pytest.mark.parametrize(
    ("region", "month", "price", "expected"),
    [
        ("511302", "2025-03", 5.0, 0),  # opened on 22 March 2025 in the city 5113
        ("511399", "2025-01", 5.0, 0),
        ("511302", "2024-12", 5.0, 1),
        ("511302", "2025-04", 5.0, 1),
        ("510702", "2025-03", 5.0, 1),
        ("511302", "2025-03", 5.01, 1),
    ],
)
def test_a_published_price_of_the_city_and_the_last_months_is_out(
    region: str, month: str, price: float, expected: int
) -> None:
    made = lot({"A": [5], "B": [5]}, control=CONTROL[:1])
    made.rows["market_price"].append(
        {"price_id": "M", "item_code": "C0", "region_code": region, "month": month, "unit_price": Decimal(str(price))}
    )

    assert equal(made) == {"AB": (expected, expected)}


def test_a_month_that_is_not_over_has_no_published_prices_yet() -> None:
    made = World()
    made.lot("L1", bids=["A", "B"], opening=days_ago(1))
    price_items(made, {"A": [5], "B": [5]}, control=CONTROL[:1])
    made.rows["market_price"].append(
        {"price_id": "M", "item_code": "C0", "region_code": "511302", "month": "2025-06", "unit_price": Decimal(5)}
    )

    assert equal(made) == {"AB": (1, 1)}


def test_bids_of_one_bidder_are_no_pair_and_a_bid_without_unit_prices_is_said_to_have_none() -> None:
    made = World()
    made.lot("L1", bids=["A", "B", "A"])
    price_items(made, {"A": [5], "B": [5]}, control=CONTROL[:1])

    found = EqualItems.derive(made.source(), AS_OF, 0.005, 0.5).collect().sort("subject_id")

    assert found.select("subject_id", "priced").rows() == [
        ("bid:B-L1-0000~bid:B-L1-0001", False),
        ("bid:B-L1-0001~bid:B-L1-0002", True),
    ]
    assert found.item(1, "evidence").count('"table"') == 3


def test_first_digits_are_set_against_the_law_and_chance() -> None:
    made = lot({"A": [1, 19.99, 123, 2, 30, 400, 5, 67, 7.5, 89]})

    found = digits(made)["A"]

    law = [math.log10(1 + 1 / d) for d in range(1, 10)]
    shares = [0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.0]
    mad = sum(abs(share - p) for share, p in zip(shares, law, strict=True)) / 9
    chance = math.sqrt(2 / math.pi) * sum(math.sqrt(p * (1 - p) / 10) for p in law) / 9
    assert found["n_items"] == 10
    assert found["excess"] == pytest.approx(mad - chance, abs=1e-12)


@pytest.mark.parametrize(("n", "expected"), [(300, 0.0136), (1000, 0.0074)])
def test_what_chance_gives_is_what_the_specification_names(n: int, expected: float) -> None:
    # All prices begin with 1: the mean distance is 2 * (1 - log10(2)) / 9.
    found = digits(lot({"A": [1.0] * n}))["A"]

    assert 2 * (1 - math.log10(2)) / 9 - found["excess"] == pytest.approx(expected, abs=5e-5)


def test_prices_below_one_and_at_the_control_price_do_not_count() -> None:
    made = lot({"A": [0.99, 1, 20, 30]}, control=[None, None, 20.0, 31.0])

    assert digits(made)["A"]["n_items"] == 2


def test_the_median_of_the_lot_is_over_assessable_bids() -> None:
    made = lot({"A": [1, 1, 1], "B": [1, 2, 3], "C": [9, None, None], "D": [None] * 3})
    found = digits(made, items_min=3)

    middle = (found["A"]["excess"] + found["B"]["excess"]) / 2
    assert {round(found[org]["lot_excess"] - middle, 12) for org in "ABC"} == {0.0}
    assert [found[org]["priced"] for org in "ABCD"] == [True, True, True, False]


def test_prices_of_another_lots_item_and_of_withdrawn_bids_do_not_count() -> None:
    made = World()
    made.lot("L1", bids=["A", "B", Offer("C", status="withdrawn")])
    made.lot("L2", bids=["D"])
    price_items(made, {"A": [1, 2], "B": [1, 2], "C": [1, 2]})
    made.rows["bid_item_price"][0]["boq_item_id"] = "L2-Q000"
    price_items(made, {"D": [1]}, lot_id="L2")

    found = digits(made)

    assert {org: row["n_items"] for org, row in found.items()} == {"A": 1, "B": 2, "D": 1}


@pytest.mark.parametrize("table", [EqualItems, ItemDigits])
def test_later_rows_and_the_order_of_rows_change_nothing(table: Any) -> None:
    params = (0.005, 0.5) if table is EqualItems else (1,)
    made = lot({"A": [5, 6, 7.5], "B": [5, 6, 8], "C": [5, 1, 1]}, control=CONTROL[:3])

    def derived(source: SourceTables) -> pl.DataFrame:
        return table.derive(source, AS_OF, *params).collect().sort("subject_id")

    before = derived(made.source())
    mixed = shuffled(made.frames(), 5)
    assert derived(SourceTables({name: frame.lazy() for name, frame in mixed.items()})).equals(before)

    made.lot("L2", bids=["A", "B"], opening=AFTER)
    price_items(made, {"A": [5], "B": [5]}, lot_id="L2", control=CONTROL[:1])
    made.rows["market_price"].append(
        {"price_id": "M", "item_code": "C0", "region_code": "511302", "month": "2025-07", "unit_price": Decimal(5)}
    )

    assert derived(made.source()).equals(before)
