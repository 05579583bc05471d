"""Which items of a bill carry most of the money, in rows made by hand."""

from typing import Any

import pytest

from features.derive.bill_items import main_items
from tests.contracts import source


def main(*amounts: float | None, **columns: Any) -> list[str]:
    """Return the main items, Q0 first, of a bill with such amounts."""
    rows = [
        {
            "boq_item_id": f"Q{place}",
            "lot_id": "L",
            "tender_quantity": 2,
            "control_unit_price": None if amount is None else amount / 2,
            "is_provisional": False,
            **columns,
        }
        for place, amount in enumerate(amounts)
    ]
    straight, turned = (
        main_items(source({"boq_item": some})).collect().get_column("boq_item_id").sort().to_list()
        for some in (rows, rows[::-1])
    )
    assert straight == turned
    return straight


@pytest.mark.parametrize(
    ("amounts", "items"),
    [
        ((10, 50, 30, 10), ["Q1", "Q2"]),  # 80 of 100 exactly
        ((11, 49, 30, 10), ["Q0", "Q1", "Q2"]),
        ((100,), ["Q0"]),
        ((25, 25, 25, 25), ["Q0", "Q1", "Q2", "Q3"]),
        ((90, 10, None, 0), ["Q0"]),
        ((None, 0), []),
    ],
)
def test_they_are_the_fewest_that_cover_eighty_percent(amounts: tuple[float | None, ...], items: list[str]) -> None:
    assert main(*amounts) == items


def test_what_the_source_says_stands() -> None:
    assert main(10, 50, 30, 10, is_main_item=True) == ["Q0", "Q1", "Q2", "Q3"]
    assert main(10, 50, 30, 10, is_main_item=False) == []
