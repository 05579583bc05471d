"""Who gave up a winning bid, and who won instead (rulings SI-036)."""

import datetime as dt
import json
from typing import Any

import pytest

from features.derive.withdrawals import Withdrawal
from features.tables.source import SourceTables
from tests.worlds import AFTER, AS_OF, Offer, Win, World, days_ago, shuffled


def result(
    made: World, lot_id: str, org: str, rank: int | None, status: str, amount: float | None = 100, **said: Any
) -> None:
    made.wins(lot_id, Win(org, amount, status=status), opening=days_ago(100))
    made.rows["award"][-1] |= {"candidate_rank": rank, **said}


def world(*results: tuple[str, int | None, str, float | None], bids: Any = ("A", "B", "C")) -> World:
    """Return a lot with results, in data that are old enough for the window."""
    made = World()
    made.lot("L0", bids=["Z"], wins=["Z"], opening=days_ago(900))
    made.rows["award"][-1]["candidate_rank"] = 1
    made.lot("L1", bids=bids)
    for org, rank, status, amount in results:
        result(made, "L1", org, rank, status, amount)
    return made


def rows(made: World, window_months: int = 36) -> list[dict[str, Any]]:
    found = Withdrawal.derive(made.source(), AS_OF, window_months).collect()
    Withdrawal.validate(found)
    return [row for row in found.iter_rows(named=True) if row["subject_id"] == "L1"]


def row(made: World) -> dict[str, Any]:
    (only,) = rows(made)
    return only


ABANDONED = ("A", 1, "abandoned", 100.0)
WON = ("B", 2, "awarded", 101.0)


def test_the_first_candidate_gave_up_and_a_dearer_one_won() -> None:
    found = row(world(ABANDONED, WON))

    assert (found["happened"], found["linked"], found["n_abandoned"], found["n_candidates"]) == (True, False, 1, 2)
    assert [one["table"] for one in json.loads(found["evidence"])] == ["award", "award"]


@pytest.mark.parametrize(
    "results",
    [
        (ABANDONED, ("B", 2, "awarded", 100.0)),
        (ABANDONED, ("B", 1, "awarded", 101.0)),
        (("A", 2, "abandoned", 100.0), ("C", 1, "candidate", 90.0), ("B", 3, "awarded", 101.0)),
        (("A", 1, "disqualified", 100.0), WON),
        (("A", 1, "awarded", 100.0), ("B", 2, "candidate", 101.0)),
    ],
)
def test_no_dearer_winner_of_a_later_rank_or_no_first_candidate_is_clear(results: Any) -> None:
    found = row(world(*results))

    assert (found["happened"], found["known"]) == (False, True)


@pytest.mark.parametrize("status", ["withdrawn", "rejected"])
@pytest.mark.parametrize(("price", "expected"), [(99.99, True), (100, False), (None, False)])
def test_a_cheaper_bid_withdrawn_or_not_decrypted_counts(status: str, price: float | None, expected: bool) -> None:
    made = world(("B", 1, "awarded", 100.0), bids=(Offer("A", price, status), Offer("B", 100)))

    assert row(made)["happened"] is expected


def test_who_withdrew_one_bid_and_won_with_another_gave_nothing_up() -> None:
    made = world(("B", 1, "awarded", 100.0), bids=(Offer("B", 90, "withdrawn"), Offer("B", 100)))

    assert not row(made)["happened"]


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ((("A", None, "abandoned", 100.0), WON), False),
        ((ABANDONED, ("B", None, "awarded", 101.0)), False),
        ((WON,), False),
        ((("A", 1, "abandoned", None), WON), False),
        ((("A", 1, "candidate", None), ("B", 2, "awarded", None)), True),
    ],
)
def test_without_ranks_or_the_prices_to_compare_nothing_is_known(results: Any, expected: bool) -> None:
    made = world(*results, bids=(Offer("A", None), Offer("B", None)))

    assert (row(made)["known"], row(made)["happened"]) == (expected, False)


def test_rank_and_price_of_the_bid_fill_in() -> None:
    made = world(("A", None, "abandoned", None), ("B", None, "awarded", None), bids=(Offer("A", 90), Offer("B", 95)))
    for rank, bid in enumerate(made.rows["bid"][1:], start=1):
        bid["rank"] = rank

    assert row(made)["happened"]


@pytest.mark.parametrize(
    ("opened", "status", "expected"),
    [(300, "abandoned", 2), (1200, "abandoned", 1), (300, "candidate", 1)],
)
def test_lots_that_it_abandoned_within_the_window_are_counted(opened: float, status: str, expected: int) -> None:
    made = world(ABANDONED, WON)
    made.lot("L2", bids=["A", "B"], opening=days_ago(opened))
    for _ in range(2):
        result(made, "L2", "A", 3, status, notice_issued_at=days_ago(opened - 10))

    assert row(made)["n_abandoned"] == expected


@pytest.mark.parametrize(("ratio", "expected"), [(0.6, True), (0.4, False)])
def test_control_links_who_gave_up_to_the_winner(ratio: float, expected: bool) -> None:
    made = world(ABANDONED, WON)
    made.rows["shareholding"].append({"holding_id": "H", "org_id": "A", "holder_org_id": "B", "ratio": ratio})

    assert row(made)["linked"] is expected


@pytest.mark.parametrize(("column", "expected"), [("address_norm", True), ("phone_hash", False)])
def test_a_weak_affiliation_of_three_tenths_links(column: str, expected: bool) -> None:
    made = world(("B", 1, "awarded", 100.0), bids=(Offer("A", 90, "withdrawn"), Offer("B", 100)))
    made.rows["organisation"] += [{"org_id": org, "name": org, column: "v"} for org in "AB"]

    assert row(made)["linked"] is expected


def test_undecided_and_unopened_lots_and_undated_results_are_left_out() -> None:
    assert rows(world(ABANDONED)) == []
    made = world(ABANDONED, WON)
    made.rows["award"][-1]["notice_issued_at"] = AFTER
    assert rows(made) == []
    made = world(ABANDONED, WON)
    made.rows["award"][-2]["notice_issued_at"] = None
    assert not row(made)["happened"]


def test_a_young_platform_has_no_window() -> None:
    made = world(ABANDONED, WON)

    assert not row(made)["short_history"]
    assert rows(made, window_months=72)[0]["short_history"]


def test_later_rows_and_the_order_of_rows_change_nothing() -> None:
    made = world(ABANDONED, WON, ("C", 3, "candidate", 103.0))
    before = Withdrawal.derive(made.source(), AS_OF, 36).collect().sort("subject_id")
    mixed = SourceTables({name: frame.lazy() for name, frame in shuffled(made.frames(), 2).items()})
    assert Withdrawal.derive(mixed, AS_OF, 36).collect().sort("subject_id").equals(before)

    made.lot("L3", bids=["A", "B"], opening=AFTER)
    for lot_id in ("L1", "L3"):
        result(made, lot_id, "A", 1, "abandoned", 50, notice_issued_at=AFTER)
        result(made, lot_id, "C", 2, "awarded", 500, notice_issued_at=AFTER + dt.timedelta(days=1))
    dated = {"start_date": AFTER.date()}
    made.rows["shareholding"].append({"holding_id": "H", "org_id": "A", "holder_org_id": "B", "ratio": 0.9, **dated})

    assert Withdrawal.derive(made.source(), AS_OF, 36).collect().sort("subject_id").equals(before)
