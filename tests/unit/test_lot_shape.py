"""The shape of a lot's prices, by numbers worked by hand."""

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from features.clock import SHANGHAI
from features.derive.lot_shape import LotShape
from features.tables.contract import SOURCE_TABLES
from features.tables.source import SourceTables

OPENED = dt.datetime(2026, 3, 1, 10, tzinfo=SHANGHAI)
AS_OF = dt.datetime(2026, 6, 30, 23, 59, tzinfo=SHANGHAI)


def source(prices: list[str | None], **given: Any) -> SourceTables:
    """One lot with a bid for each price; ``given``: method, evaluation_method, control, complete, status, won."""
    status = given.get("status", ["valid"] * len(prices))
    rows: dict[str, list[dict[str, Any]]] = {
        "project": [{"project_id": "P", "region_code": "A100"}],
        "tender": [
            {
                "tender_id": "T",
                "project_id": "P",
                "object_type": "works",
                "method": given.get("method", "public_tender"),
                "evaluation_method": given.get("evaluation_method", "lowest_evaluated"),
                "opening_at": given.get("opening_at", OPENED),
            }
        ],
        "lot": [
            {
                "lot_id": "L",
                "tender_id": "T",
                "project_id": "P",
                "control_price": Decimal(given["control"]) if "control" in given else None,
                "bids_complete": given.get("complete", True),
            }
        ],
        "bid": [
            {
                "bid_id": f"B{place}",
                "lot_id": "L",
                "tender_id": "T",
                "bidder_org_id": f"O{place}",
                "bid_price": None if price is None else Decimal(price),
                "status": status[place],
            }
            for place, price in enumerate(prices)
        ],
    }
    if "won" in given:
        rows["award"] = [
            {
                "award_id": "A",
                "lot_id": "L",
                "bid_id": f"B{given['won']}",
                "org_id": f"O{given['won']}",
                "status": "awarded",
                "result_published_at": given.get("published_at", OPENED),
            }
        ]
    return SourceTables(
        {
            name: pl.DataFrame(
                [{column: row.get(column) for column in table.column_names()} for row in rows.get(name, [])],
                schema={column: field.dtype for column, field in table.columns().items()},  # type: ignore[misc]
                orient="row",
            ).lazy()
            for name, table in SOURCE_TABLES.items()
        }
    )


def shape(prices: list[str | None], as_of: dt.datetime = AS_OF, **given: Any) -> dict[str, Any]:
    (row,) = LotShape.derive(source(prices, **given), as_of).collect().to_dicts()
    return row


def test_the_quantities_of_four_prices() -> None:
    got = shape(["130", "100", "110", "101"], control="125", won=2)

    # sorted 100, 101, 110, 130: mean 110.25, median 105.5, gaps 1, 9, 20 (mean 10), losing 101, 110, 130
    losing_mean = 341 / 3
    losing_sd = math.sqrt(sum((price - losing_mean) ** 2 for price in (101, 110, 130)) / 2)
    gap_sd = math.sqrt((81 + 1 + 100) / 2)
    assert {name: value for name, value in got.items() if name != "lot_id"} == pytest.approx(
        {
            "n_bids_log": math.log(4),
            "second_gap_to_mean_gap": 0.1,
            "second_gap_to_losing_gap": 1 / 14.5,
            "second_gap_to_range": 1 / 30,
            "second_gap_to_third": 0.1,
            "lowest_below_mean": 10.25 / 110.25,
            "second_below_mean": 9.25 / 110.25,
            "losing_cv": losing_sd / losing_mean,
            "near_lowest_1pct": 0.5,
            "near_lowest_2pct": 0.5,
            "near_lowest_5pct": 0.5,
            "highest_to_median": 130 / 105.5,
            "lowest_to_median": 100 / 105.5,
            "equal_share": 0.0,
            "gap_cv": gap_sd / 10,
            "lowest_to_control": 0.8,
            "mean_to_control": 110.25 / 125,
            "winner_rank": 2 / 3,
            "winner_above_lowest": 0.1,
        }
    )


def test_equal_prices_have_no_gaps_to_compare() -> None:
    got = shape(["100", "100", "100"])

    undefined = {"second_gap_to_mean_gap", "second_gap_to_losing_gap", "second_gap_to_range", "second_gap_to_third"}
    assert {name for name in (*undefined, "gap_cv") if got[name] is None} == {*undefined, "gap_cv"}
    assert (got["equal_share"], got["losing_cv"], got["near_lowest_1pct"]) == (pytest.approx(2 / 3), 0, 1)


def test_a_scale_changes_nothing() -> None:
    small, large = shape(["100", "101", "110"], won=0), shape(["100000", "101000", "110000"], won=0)

    assert small == pytest.approx(large)


@pytest.mark.parametrize(
    ("prices", "given"),
    [
        (["100", "101"], {}),
        (["100", "101", None], {}),
        (["100", "101", "0"], {}),
        (["100", "101", "102"], {"complete": False}),
        (["100", "101", "102"], {"method": "single_source"}),
        (["100", "101", "102"], {"evaluation_method": "random_draw"}),
        (["100", "101", "102"], {"status": ["valid", "valid", "disqualified"]}),
    ],
    ids=["two bids", "a price missing", "a price of nothing", "incomplete", "direct", "drawn", "two valid"],
)
def test_prices_without_a_shape_are_null_throughout(prices: list[str | None], given: dict[str, Any]) -> None:
    got = shape(prices, **given)

    assert {value for name, value in got.items() if name != "lot_id"} == {None}


def test_what_is_not_known_at_the_moment_is_null() -> None:
    later = AS_OF + dt.timedelta(days=1)

    before = shape(["100", "101", "110"], won=1, published_at=later)
    assert (before["winner_rank"], before["lowest_to_control"]) == (None, None)
    assert LotShape.derive(source(["100", "101", "110"], opening_at=later), AS_OF).collect().is_empty()


def test_the_result_keeps_its_schema_and_does_not_depend_on_the_order_of_bids() -> None:
    frame = LotShape.derive(source(["100", "101", "110", "130"]), AS_OF).collect()

    assert LotShape.is_valid(frame)
    assert frame.equals(LotShape.derive(source(["130", "110", "101", "100"]), AS_OF).collect())
