"""How often firms bid, win, lose and meet, in worlds made by hand."""

import datetime as dt
from typing import Any

import polars as pl
import pytest

from features.build import indicator_values
from features.derive.bidders import BidderRecord, CoBidding, longest_runs
from tests.worlds import AS_OF, Offer, Win, World, days_ago


def records(world: World) -> dict[str, dict[str, Any]]:
    frame = BidderRecord.validate(BidderRecord.derive(world.source(), AS_OF, window_months=36).collect())
    return {row["subject_id"]: row for row in pl.DataFrame(frame).iter_rows(named=True)}


def meetings(world: World, *, c_min: int = 1, lots_min: int = 1) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the rows of pairs, by the two names; of one market only."""
    frame = CoBidding.derive(world.source(), AS_OF, window_months=36, c_min=c_min, lots_min=lots_min).collect()
    rows = {
        (row["org_id_1"], row["org_id_2"]): row for row in pl.DataFrame(CoBidding.validate(frame)).iter_rows(named=True)
    }
    assert len(rows) == frame.height
    return rows


def value(world: World, indicator_id: str, subject: str) -> dict[str, Any]:
    values = indicator_values(world.source(), AS_OF).filter(
        pl.col("indicator_id") == indicator_id, pl.col("subject_id") == subject
    )
    return values.row(0, named=True)


def lost_to(winner: str, own: float | None = 110.0, winning: float | None = 100.0) -> dict[str, Any]:
    """Return bids and award of a lot that A lost."""
    return {"bids": [Offer("A", own), Offer(winner, winning)], "wins": [Win(winner, 90)]}


# SI-033: the record of one firm.


def test_bids_wins_and_the_group_most_was_lost_to() -> None:
    world = World()
    world.lot("1", **lost_to("B1"))
    world.lot("2", **lost_to("B2"))
    world.lot("3", **lost_to("C"))
    world.lot("4", bids=["A", "C"], wins=["A"])
    world.group("G", "B1", "B2")

    a = records(world)["A"]

    assert (a["n_bids"], a["n_wins"], a["top_share"]) == (4, 1, pytest.approx(2 / 3))


def test_a_lot_won_by_a_sister_is_lost_and_its_group_can_be_the_top_group() -> None:
    world = World()
    world.lot("1", **lost_to("B"))
    world.group("G", "A", "B")

    a = records(world)["A"]

    assert (a["n_bids"], a["n_wins"], a["top_share"]) == (1, 0, 1.0)


def test_a_lot_with_two_winners_is_lost_to_both_and_to_one_group_once() -> None:
    world = World()
    world.lot("1", bids=["A"], wins=["B", "C"])
    world.lot("2", bids=["A"], wins=["D"])
    world.group("G", "B", "C")

    assert records(world)["A"]["top_share"] == 0.5


def test_two_bids_of_a_firm_for_one_lot_are_one() -> None:
    world = World()
    world.lot("1", bids=[Offer("A", 120), Offer("A", 110), Offer("B", 100)], wins=["B"])

    assert (records(world)["A"]["n_bids"], records(world)["A"]["gap"]) == (1, pytest.approx(0.1))


def test_one_who_never_lost_has_lost_to_nobody() -> None:
    world = World()
    world.lot("1", bids=["A", "B"], wins=["A"])

    assert (records(world)["A"]["top_share"], records(world)["A"]["gap"]) == (0.0, 0.0)


def test_a_winner_without_a_bid_row_bid_and_won() -> None:
    world = World()
    world.lot("1", bids=["B"], wins=["A"])

    assert (records(world)["A"]["n_bids"], records(world)["A"]["n_wins"]) == (1, 1)


def test_every_bid_but_a_withdrawn_one_counts_and_the_disqualified_are_told_apart() -> None:
    world = World()
    for status in ("withdrawn", "rejected", "submitted", "disqualified"):
        world.lot(status, bids=[Offer("A", 110, status), "B"], wins=["B"])

    a = records(world)["A"]

    assert (a["n_bids"], a["disqualified_share"]) == (3, pytest.approx(1 / 3))


def test_the_gap_is_the_median_over_lost_lots_where_price_decides() -> None:
    world = World()
    for name, own in (("1", 104.0), ("2", 110.0), ("3", 130.0)):
        world.lot(name, **lost_to("B", own))
    world.lot("4", **lost_to("B", 108.0), tender={"evaluation_method": "comprehensive"})
    world.lot("average", **lost_to("B", 900.0), tender={"evaluation_method": "average_benchmark"})
    world.lot("won", bids=[Offer("A", 900), "B"], wins=["A"])

    assert records(world)["A"]["gap"] == pytest.approx((0.08 + 0.10) / 2)


@pytest.mark.parametrize(
    ("bids", "wins", "gap"),
    [
        ([Offer("A", 120)], [Win("B", 100)], 0.2),  # no bid row of the winner: the award's amount
        ([Offer("A", 120), Offer("B", None)], [Win("B", 80)], 0.5),
        ([Offer("A", 120), Offer("B", 0)], [Win("B", 80)], 0.5),
        ([Offer("A", 120), Offer("B", 60, "disqualified")], [Win("B", 80)], 0.5),
        ([Offer("A", 120), Offer("B", 100), Offer("C", 96)], [Win("B", 1), Win("C", 1)], 0.25),  # the lowest winner
        ([Offer("A", None), Offer("B", 100)], [Win("B", 100)], 0.0),  # no price, no gap
        ([Offer("A", 120, "disqualified"), Offer("B", 100)], [Win("B", 100)], 0.0),
        ([Offer("A", 120)], [Win("B", None)], 0.0),
        ([Offer("A", 80), Offer("B", 100)], [Win("B", 100)], -0.2),
    ],
)
def test_what_a_losing_price_is_compared_with(bids: list[Offer], wins: list[Win], gap: float) -> None:
    world = World()
    world.lot("L", bids=bids, wins=wins)

    assert records(world)["A"]["gap"] == pytest.approx(gap)


def test_lots_whose_bids_are_not_all_published_are_counted_apart() -> None:
    world = World()
    world.lot("1", **lost_to("B"))
    world.lot("2", **lost_to("C"), bids_complete=False)
    world.lot("3", **lost_to("C"), bids_complete=None)

    a = records(world)["A"]

    assert (a["n_bids"], a["n_incomplete"], a["top_share"]) == (2, 1, 0.5)


ODD: dict[str, dict[str, Any]] = {
    "undecided": {"bids": ["A", "B"]},
    "decided later": {"bids": ["A", "B"], "wins": [Win("B", at=AS_OF + dt.timedelta(seconds=1))]},
    "not opened": {"bids": ["A", "B"], "wins": [Win("B", at=AS_OF)], "opening": AS_OF + dt.timedelta(seconds=1)},
    "too old": {"bids": ["A", "B"], "wins": ["B"], "opening": days_ago(1096)},
    "direct": {"bids": ["A", "B"], "wins": ["B"], "tender": {"method": "single_source"}},
    "without opening": {"bids": ["A", "B"], "wins": [Win("B", at=AS_OF)], "tender": {"opening_at": None}},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_lots_that_do_not_count_for_a_record(odd: dict[str, Any]) -> None:
    world = World()
    world.lot("1", **lost_to("B"))
    world.lot("odd", **odd)

    assert records(world)["A"]["n_bids"] == 1


def test_a_habitual_loser_fires_in_a_whole_run() -> None:
    world = World()
    for place in range(20):
        winner = "B" if place < 12 else f"C{place}"
        world.lot(f"L{place}", **lost_to(winner, 106.0), opening=days_ago(700 - place))

    found = value(world, "SI-033", "A")

    # No win, 12 of 20 lost to B, 6 percent above the winner: 0.35 + 0.35 + 0.15 / 3.
    assert found["raw_value"] == pytest.approx(0.75)
    assert found["triggered"]
    assert value(world, "SI-033", "B")["null_reason"] == "too_few_observations"


# SI-034: two firms.


def counts(world: World, left: str = "A", right: str = "B") -> tuple[int, int, int, int]:
    row = meetings(world)[left, right]
    return (row["n_lots"], row["n_1"], row["n_2"], row["n_both"])


def meeting() -> World:
    world = World()
    world.lot("1", bids=["A", "B"])
    world.lot("2", bids=["A", "B", "C"])
    world.lot("3", bids=["A"])
    world.lot("4", bids=["C"], wins=["B"])
    return world


def test_lots_of_the_market_of_each_and_of_both_are_counted_decided_or_not() -> None:
    assert counts(meeting()) == (4, 3, 3, 2)
    assert counts(meeting(), "B", "C") == (4, 3, 2, 2)


def test_a_firm_that_bids_twice_is_there_once() -> None:
    world = meeting()
    world.bids("1", "A", "B")

    assert counts(world) == (4, 3, 3, 2)


def test_sisters_are_no_pair_and_each_counts_for_itself() -> None:
    world = meeting()
    world.group("G", "A", "B")

    found = meetings(world)
    assert found.keys() == {("A", "C"), ("B", "C")}
    assert (found["A", "C"]["n_1"], found["B", "C"]["n_1"]) == (3, 3)


@pytest.mark.parametrize("status", ["withdrawn", "disqualified", "rejected"])
def test_only_a_withdrawn_bid_is_no_meeting(status: str) -> None:
    world = meeting()
    world.bids("3", Offer("B", 1, status))

    assert counts(world) == ((4, 3, 3, 2) if status == "withdrawn" else (4, 3, 4, 3))


@pytest.mark.parametrize("name", ["not opened", "too old", "direct", "without opening"])
def test_lots_that_do_not_count_for_meetings(name: str) -> None:
    world = meeting()
    world.lot("odd", **ODD[name])

    assert counts(world) == (4, 3, 3, 2)


def test_a_lot_without_bids_is_not_in_the_market() -> None:
    world = meeting()
    world.lot("empty", wins=["A", "B"])

    assert counts(world) == (4, 3, 3, 2)


@pytest.mark.parametrize(
    "other", [{"category_code": "Z.9"}, {"city": "9999"}, {"currency": "USD"}, {"tender": {"object_type": "goods"}}]
)
def test_markets_and_currencies_are_kept_apart(other: dict[str, Any]) -> None:
    world = meeting()
    world.lot("other", bids=["A", "B"], **other)

    frame = CoBidding.derive(world.source(), AS_OF, window_months=36, c_min=1, lots_min=1).collect()
    rows = frame.filter(org_id_1="A", org_id_2="B").sort("n_lots").select("n_lots", "n_1", "n_2", "n_both").rows()

    assert rows == [(1, 1, 1, 1), (4, 3, 3, 2)]


def test_thirty_lots_of_one_grade_are_a_market_of_their_own() -> None:
    world = World()
    for place in range(30):
        world.lot(f"q{place}", bids=["A", "B"], required_qual_code="Q")
    world.lot("plain", bids=["A", "C"])

    assert counts(world) == (30, 30, 30, 30)
    assert counts(world, "A", "C") == (1, 1, 1, 1)


def test_twenty_nine_lots_of_one_grade_stay_with_the_rest() -> None:
    world = World()
    for place in range(29):
        world.lot(f"q{place}", bids=["A", "B"], required_qual_code="Q")
    world.lot("plain", bids=["A", "C"])

    assert counts(world) == (30, 30, 29, 29)


def test_pairs_seen_only_where_bids_are_not_all_published_are_there_without_counts() -> None:
    world = meeting()
    world.lot("5", bids=["A", "B"], bids_complete=False)
    world.lot("6", bids=["A", "Z"], bids_complete=False)

    found = meetings(world)

    assert counts(world) == (4, 3, 3, 2)
    assert not found["A", "B"]["only_incomplete"]
    assert found["A", "Z"]["only_incomplete"]
    assert value(world, "SI-034", "organisation:A~organisation:Z")["null_reason"] == "missing_source"


def test_the_family_is_all_pairs_that_could_be_judged_also_those_that_never_met() -> None:
    world = World()
    for place in range(4):
        world.lot(f"1{place}", bids=["A", "B"])
        world.lot(f"2{place}", bids=["C", "D"])
    world.lot("once", bids=["A", "E"])
    world.group("G", "C", "D")

    # A, B, C and D bid for four lots: six pairs less the sisters C and D, of which only A and B met.
    assert meetings(world, c_min=4)["A", "B"]["n_tests"] == 5
    assert meetings(world, c_min=5)["A", "B"]["n_tests"] == 0
    assert meetings(world, c_min=4, lots_min=10)["A", "B"]["n_tests"] == 0


def ring(n_alone: int) -> World:
    """Return thirty-nine lots and more where A and B meet ten times and bid nowhere else."""
    world = World()
    for place in range(10):
        world.lot(f"both{place}", bids=["A", "B", f"X{place}"], opening=days_ago(700))
    for place in range(n_alone):
        world.lot(f"alone{place}", bids=[f"X{place % 10}"], opening=days_ago(600))
    return world


def test_two_who_always_meet_fire_in_a_whole_run() -> None:
    found = value(ring(30), "SI-034", "organisation:A~organisation:B")

    assert found["raw_value"] == pytest.approx(10 * 40 / 100)
    assert found["triggered"]
    assert found["support_n"] == 10


def test_a_market_of_twenty_nine_lots_is_too_small_in_a_whole_run() -> None:
    assert value(ring(19), "SI-034", "organisation:A~organisation:B")["null_reason"] == "too_few_observations"
    assert value(ring(20), "SI-034", "organisation:A~organisation:B")["null_reason"] is None


# Runs of numbers.


@pytest.mark.parametrize(
    ("hits", "longest"),
    [([], []), ([4], [[4]]), ([1, 2, 5, 6, 9], [[1, 2], [5, 6]]), ([0, 1, 2, 4], [[0, 1, 2]]), ([1, 3], [[1], [3]])],
)
def test_longest_runs(hits: list[int], longest: list[list[int]]) -> None:
    assert longest_runs(hits) == longest
