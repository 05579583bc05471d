"""What is counted of a tenderer and its winners, in worlds made by hand."""

import datetime as dt
from typing import Any

import polars as pl
import pytest

from features.build import indicator_values
from features.derive.derived import Derived
from features.derive.tenderers import TendererAward, TendererCompetition, TendererWinRate, WinningRun
from tests.worlds import AS_OF, Offer, Win, World, days_ago


def derived(table: type[Derived], world: World, as_of: dt.datetime = AS_OF, **params: int) -> dict[str, dict[str, Any]]:
    """Derive a table, check it against its schema, and return its rows by subject."""
    frame = table.validate(table.derive(world.source(), as_of, **params).collect())
    rows = {row["subject_id"]: row for row in pl.DataFrame(frame).iter_rows(named=True)}
    assert len(rows) == frame.height
    return rows


def pair(left: str, right: str) -> str:
    return f"organisation:{min(left, right)}~organisation:{max(left, right)}"


def value(world: World, indicator_id: str, subject: str) -> dict[str, Any]:
    values = indicator_values(world.source(), AS_OF).filter(
        pl.col("indicator_id") == indicator_id, pl.col("subject_id") == subject
    )
    return values.row(0, named=True)


# SI-001: awards in money.


def awards(world: World) -> dict[str, dict[str, Any]]:
    return derived(TendererAward, world, window_months=36)


def buying(*wins: Win, **lot: Any) -> World:
    """Return a tenderer that awards one lot a year ago to each of the winners."""
    world = World()
    for place, win in enumerate(wins):
        world.lot(f"L{place}", wins=[win], opening=days_ago(600), **lot)
    return world


def test_money_and_lots_of_a_winner_are_set_against_those_of_the_tenderer() -> None:
    world = buying(Win("A", 300), Win("A", 100), Win("B", 600))

    a = awards(world)[pair("T", "A")]

    assert (a["amount"], a["total_amount"], a["n_wins"], a["n_awards"], a["null_amount_ratio"]) == (400, 1000, 2, 3, 0)


def test_members_of_one_group_are_one_winner_written_as_the_smallest_of_all_members() -> None:
    world = buying(Win("B", 300), Win("C", 100), Win("D", 600))
    world.group("G", "A", "B", "C")

    found = awards(world)

    assert found.keys() == {pair("T", "A"), pair("T", "D")}
    assert (found[pair("T", "A")]["n_wins"], found[pair("T", "A")]["amount"]) == (2, 400)


def test_a_lot_won_by_two_members_of_a_group_counts_once() -> None:
    world = World()
    world.lot("L", wins=[Win("B", 300), Win("C", 100)])
    world.group("G", "B", "C")

    found = awards(world)[pair("T", "B")]

    assert (found["n_wins"], found["n_awards"], found["amount"]) == (1, 1, 400)


def test_direct_awards_count_and_frameworks_do_not() -> None:
    world = buying(Win("A", 100), tender={"method": "direct_award"})
    world.lot("F", wins=[Win("A", 900)], tender={"method": "framework"})

    assert awards(world)[pair("T", "A")]["total_amount"] == 100


def test_currencies_are_kept_apart() -> None:
    world = World()
    for place in range(5):
        world.lot(f"cny{place}", wins=[Win("A" if place < 3 else "B", 100)], opening=days_ago(600))
        world.lot(f"usd{place}", wins=[Win("B", 10**6)], opening=days_ago(600), currency="USD")

    frame = TendererAward.derive(world.source(), AS_OF, window_months=36).collect()
    rows = frame.sort("subject_id", "currency").select("subject_id", "currency", "amount", "total_amount").rows()

    assert [(subject[-1], cur, int(one), int(all_)) for subject, cur, one, all_ in rows if "~" in subject] == [
        ("T", "CNY", 300, 500),
        ("T", "CNY", 200, 500),
        ("T", "USD", 5 * 10**6, 5 * 10**6),
    ]
    assert value(world, "SI-001", pair("T", "A"))["raw_value"] == pytest.approx(0.6)
    assert value(world, "SI-001", pair("T", "B"))["raw_value"] == 1.0


def test_no_currency_is_yuan() -> None:
    world = buying(Win("A", 100))
    world.lot("L", wins=[Win("A", 50)], currency=None)

    assert awards(world)[pair("T", "A")]["amount"] == 150


def test_a_missing_amount_stays_in_the_counts_and_out_of_the_sums() -> None:
    found = awards(buying(Win("A", None), Win("A", 100), Win("B", 100), Win("B", 100), Win("B", 100)))

    a = found[pair("T", "A")]
    assert (a["amount"], a["total_amount"], a["n_wins"], a["n_awards"], a["null_amount_ratio"]) == (100, 400, 2, 5, 0.2)


def test_one_missing_amount_in_five_is_judged_and_two_are_not() -> None:
    enough = buying(Win("A", None), *[Win("A", 100)] * 4)
    too_many = buying(*[Win("A", None)] * 2, *[Win("A", 100)] * 3)

    assert value(enough, "SI-001", pair("T", "A"))["raw_value"] == 1.0
    assert value(too_many, "SI-001", pair("T", "A"))["null_reason"] == "missing_source"


@pytest.mark.parametrize(
    ("moment", "counts"),
    [
        (dt.timedelta(0), True),
        (dt.timedelta(microseconds=1), False),
        (dt.datetime(2022, 6, 30, 23, 59, 59, tzinfo=AS_OF.tzinfo) - AS_OF, False),
        (dt.datetime(2022, 6, 30, 23, 59, 59, 1, tzinfo=AS_OF.tzinfo) - AS_OF, True),
    ],
)
def test_the_window_runs_on_the_moment_of_the_award(moment: dt.timedelta, counts: bool) -> None:
    assert bool(awards(buying(Win("A", 100, AS_OF + moment)))) is counts


def test_the_notice_decides_when_an_award_is_known_before_any_publicity() -> None:
    world = buying(Win("A", 100, AS_OF + dt.timedelta(days=1)))
    world.rows["award"][0]["publicity_start_at"] = days_ago(10)

    assert awards(world) == {}


@pytest.mark.parametrize("status", ["candidate", "abandoned", "disqualified", "invalidated"])
def test_only_awarded_rows_are_awards(status: str) -> None:
    assert awards(buying(Win("A", 100, status=status))) == {}


def test_history_shorter_than_half_the_window_is_said() -> None:
    half = (AS_OF - dt.datetime(2022, 6, 30, 23, 59, 59, tzinfo=AS_OF.tzinfo)) / 2

    assert not awards(buying(Win("A", 100, AS_OF - half)))[pair("T", "A")]["short_history"]
    late = AS_OF - half + dt.timedelta(seconds=1)
    assert awards(buying(Win("A", 100, late)))[pair("T", "A")]["short_history"]


# SI-002: win rates.


def win_rate(world: World, winner: str = "A", tenderer: str = "T") -> tuple[int, int, int, int]:
    row = derived(TendererWinRate, world, window_months=36)[pair(tenderer, winner)]
    return (row["n_wins"], row["n_bids"], row["n_wins_elsewhere"], row["n_bids_elsewhere"])


def contest(world: World, name: str, winner: str, *others: str, **lot: Any) -> None:
    lot.setdefault("opening", days_ago(600))
    world.lot(name, bids=[winner, *others], wins=[winner], **lot)


def rates() -> World:
    """Return a world where A won two of three at T, and one of two at U."""
    world = World()
    contest(world, "1", "A", "B")
    contest(world, "2", "A", "C")
    contest(world, "3", "B", "A")
    contest(world, "4", "A", "B", tenderer="U")
    contest(world, "5", "C", "A", tenderer="U")
    return world


def test_wins_and_bids_here_and_elsewhere() -> None:
    assert win_rate(rates()) == (2, 3, 1, 2)
    assert win_rate(rates(), tenderer="U") == (1, 2, 2, 3)
    assert win_rate(rates(), "C") == (0, 1, 1, 1)


def test_a_group_counts_once_a_lot_and_wins_when_any_member_does() -> None:
    world = rates()
    world.group("G", "A", "B")

    assert win_rate(world) == (3, 3, 1, 2)


def test_elsewhere_is_only_where_the_group_also_bid_here() -> None:
    world = rates()
    contest(world, "6", "A", "B", tenderer="U", category_code="Z.9")
    contest(world, "7", "A", "B", tenderer="U", city="9999")
    contest(world, "8", "A", "B", tenderer="U", currency="USD")
    contest(world, "9", "A", "B", tenderer="U", tender={"object_type": "goods"})
    assert win_rate(world) == (2, 3, 1, 2)

    contest(world, "10", "A", "B", category_code="Z.9.1")
    assert win_rate(world) == (3, 4, 2, 3)


def test_thirty_lots_of_one_grade_are_a_market_of_their_own_and_twenty_nine_are_not() -> None:
    world = World()
    contest(world, "here", "A", "B", required_qual_code="Q")
    contest(world, "plain", "A", "B", tenderer="U")
    for place in range(28):
        contest(world, f"q{place}", "C", "D", tenderer="U", required_qual_code="Q")
    assert win_rate(world) == (1, 1, 1, 1)

    contest(world, "q28", "C", "D", tenderer="U", required_qual_code="Q")
    assert win_rate(world) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    ("status", "n_bids"),
    [("valid", 1), ("candidate", 1), ("awarded", 1), ("abandoned", 1)]
    + [(status, 0) for status in ("withdrawn", "rejected", "submitted", "disqualified")],
)
def test_only_valid_bids_count_and_need_no_price(status: str, n_bids: int) -> None:
    world = World()
    world.lot("L", bids=["B", Offer("A", None, status)], wins=["B"])

    rows = derived(TendererWinRate, world, window_months=36)

    assert (pair("T", "A") in rows) is bool(n_bids)
    assert win_rate(world, "B") == (1, 1, 0, 0)


def test_a_winner_without_a_bid_row_bid_validly() -> None:
    world = World()
    world.lot("L", bids=["B"], wins=["A"])

    assert win_rate(world) == (1, 1, 0, 0)


ODD: dict[str, dict[str, Any]] = {
    "no bid": {"bids": [], "wins": ["A"]},
    "withdrawn": {"bids": [Offer("A", 1, "withdrawn")], "wins": ["A"]},
    "undecided": {"bids": ["A", "B"], "wins": []},
    "decided later": {"bids": ["A", "B"], "wins": [Win("A", at=AS_OF + dt.timedelta(seconds=1))]},
    "direct": {"bids": ["A", "B"], "wins": ["A"], "tender": {"method": "direct_award"}},
    "framework": {"bids": ["A", "B"], "wins": ["A"], "tender": {"method": "framework"}},
    "no tenderer": {"bids": ["A", "B"], "wins": ["A"], "tenderer": None},
    "too old": {"bids": ["A", "B"], "wins": ["A"], "opening": days_ago(1096)},
    "not opened": {
        "bids": ["A", "B"],
        "wins": [Win("A", at=days_ago(1))],
        "opening": AS_OF + dt.timedelta(seconds=1),
    },
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_lots_that_do_not_count_for_win_rates(odd: dict[str, Any]) -> None:
    world = rates()
    world.lot("odd", **odd)
    elsewhere: dict[str, Any] = {"tenderer": "U", **odd}
    world.lot("odd elsewhere", **elsewhere)

    assert win_rate(world) == (2, 3, 1, 2)


def test_lots_whose_bids_are_not_all_published_count_only_as_seen() -> None:
    world = rates()
    contest(world, "6", "A", bids_complete=False)
    contest(world, "7", "A", tenderer="U", bids_complete=False)
    contest(world, "8", "Z", bids_complete=False)

    rows = derived(TendererWinRate, world, window_months=36)

    assert win_rate(world) == (2, 3, 1, 2)
    assert (rows[pair("T", "A")]["n_bids_all"], rows[pair("T", "A")]["n_bids_elsewhere_all"]) == (4, 3)
    assert (rows[pair("T", "Z")]["n_bids"], rows[pair("T", "Z")]["n_bids_all"]) == (0, 1)


def test_a_favourite_fires_in_a_whole_run() -> None:
    world = World()
    for place in range(6):
        contest(world, f"here{place}", "A", "B", "C")
        contest(world, f"else{place}", "BC"[place % 2], "A", tenderer="U")

    # p0 = 1/8 and p = (1/8)^6; of the three pairs at T and three at U it is the smallest by far.
    found = value(world, "SI-002", pair("T", "A"))
    assert found["raw_value"] == pytest.approx(5.41853991)
    assert found["triggered"]
    assert value(world, "SI-002", pair("T", "B"))["raw_value"] == 0.0


# SI-003: runs.


def runs(world: World) -> dict[str, dict[str, Any]]:
    return derived(WinningRun, world, window_months=36)


def series(*winners: str, step: float = 10, **lot: Any) -> World:
    """Return lots of one tenderer, so many days apart, each contested by Z."""
    world = World()
    for place, winner in enumerate(winners):
        contest(world, f"L{place}", winner, "Z", opening=days_ago(600 - step * place), **lot)
    return world


def test_the_longest_run_of_consecutive_events_counts() -> None:
    found = runs(series("A", "A", "B", "A", "A", "A", "B"))

    a, b = found[pair("T", "A")], found[pair("T", "B")]
    assert (a["n_events"], a["run"], a["contested"]) == (7, 3, True)
    assert (b["run"], b["contested"]) == (1, True)


def test_lots_within_three_days_of_the_first_are_one_event() -> None:
    # Days 0, 3 and 4: the second joins the first, the third is four days after it and one after the second.
    world = World()
    for name, day in (("1", 600), ("2", 597), ("3", 596)):
        contest(world, name, "A", "Z", opening=days_ago(day))

    assert (runs(world)[pair("T", "A")]["n_events"], runs(world)[pair("T", "A")]["run"]) == (2, 2)


def test_an_event_is_won_by_everyone_who_won_a_lot_of_it() -> None:
    world = series("A", "A", "A")
    contest(world, "same day", "B", "Z", opening=days_ago(590))

    found = runs(world)
    assert (found[pair("T", "A")]["n_events"], found[pair("T", "A")]["run"]) == (3, 3)
    assert found[pair("T", "B")]["run"] == 1


def test_days_are_counted_by_the_calendar_and_not_by_hours() -> None:
    world = World()
    contest(world, "1", "A", "Z", opening=days_ago(600).replace(hour=23))
    contest(world, "2", "A", "Z", opening=days_ago(596).replace(hour=1))

    assert runs(world)[pair("T", "A")]["n_events"] == 2


def test_types_and_categories_are_series_of_their_own() -> None:
    world = series("A", "A")
    contest(world, "goods", "C", "Z", opening=days_ago(595), tender={"object_type": "goods"})
    contest(world, "other", "B", "Z", opening=days_ago(595), category_code="B.1")
    contest(world, "same", "A", "Z", opening=days_ago(500), category_code="A-1/7")

    assert (runs(world)[pair("T", "A")]["n_events"], runs(world)[pair("T", "A")]["run"]) == (3, 3)


def test_sisters_win_one_run() -> None:
    world = series("A", "B", "A")
    world.group("G", "A", "B")

    assert runs(world)[pair("T", "A")]["run"] == 3


def test_direct_and_undecided_lots_are_no_events() -> None:
    world = series("A", "A")
    contest(world, "direct", "B", "Z", opening=days_ago(595), tender={"method": "single_source"})
    world.lot("undecided", bids=["B", "Z"], opening=days_ago(595))

    assert runs(world)[pair("T", "A")]["run"] == 2
    assert runs(world)[pair("T", "A")]["n_events"] == 2


def alone(world: World, name: str, day: float, **lot: Any) -> None:
    contest(world, name, "A", opening=days_ago(day), **lot)


def test_a_run_is_contested_only_if_somebody_else_bid_validly_in_every_event() -> None:
    world = series("A", "A")
    alone(world, "alone", 400)

    assert (runs(world)[pair("T", "A")]["run"], runs(world)[pair("T", "A")]["contested"]) == (3, False)


def test_a_sister_or_an_invalid_bid_contests_nothing() -> None:
    world = World()
    world.lot("1", bids=["A", "B", Offer("C", 1, "disqualified")], wins=["A"], opening=days_ago(600))
    world.group("G", "A", "B")

    assert runs(world)[pair("T", "A")]["contested"] is False


def test_one_contested_lot_of_an_event_is_enough() -> None:
    world = series("A", "A")
    alone(world, "alone", 590)

    assert (runs(world)[pair("T", "A")]["run"], runs(world)[pair("T", "A")]["contested"]) == (2, True)


def test_of_two_longest_runs_the_contested_one_speaks() -> None:
    world = World()
    alone(world, "1", 600)
    contest(world, "2", "B", "Z", opening=days_ago(590))
    contest(world, "3", "A", "Z", opening=days_ago(580))

    assert (runs(world)[pair("T", "A")]["run"], runs(world)[pair("T", "A")]["contested"]) == (1, True)


@pytest.mark.parametrize("lot", [{"bids": ["A"], "bids_complete": False}, {"bids": []}])
def test_unpublished_bids_leave_open_whether_a_run_was_contested(lot: dict[str, Any]) -> None:
    world = series("A", "A", "B")
    world.lot("hidden", wins=["A"], opening=days_ago(610), **lot)

    assert (runs(world)[pair("T", "A")]["run"], runs(world)[pair("T", "A")]["contested"]) == (3, None)
    assert value(world, "SI-003", pair("T", "A"))["null_reason"] == "missing_source"


def test_a_rival_seen_among_incomplete_bids_settles_it() -> None:
    world = series("A", "A", "B")
    contest(world, "candidates", "A", "Z", opening=days_ago(610), bids_complete=False)

    assert runs(world)[pair("T", "A")]["contested"] is True
    assert value(world, "SI-003", pair("T", "A"))["triggered"]


# SI-007: competition.


def competition(world: World) -> dict[str, dict[str, Any]]:
    return derived(TendererCompetition, world, window_months=24, n_low=3, n_min=8)


def buy(world: World, tenderer: str, *n_bids: int, **lot: Any) -> None:
    """Add a lot for each number of bidders."""
    lot.setdefault("opening", days_ago(400))
    for n in n_bids:
        name = f"{tenderer}-{len(world.rows['lot'])}"
        bids = [Offer(f"F{place}") for place in range(n)]
        world.lot(name, bids=bids, tenderer=tenderer, **lot)


def test_lots_with_at_most_three_valid_bidders_are_low() -> None:
    world = World()
    buy(world, "T", 3, 4, 0, 2)
    world.lot("invalid", bids=["A", "B", "C", Offer("D", 1, "rejected")])
    world.lot("winner unseen", bids=["A", "B", "C"], wins=["D"])

    found = competition(world)["T"]
    assert (found["n_lots"], found["low_ratio"]) == (6, pytest.approx(4 / 6))


def test_the_median_of_peers_of_the_same_city_and_a_common_category_is_taken_away() -> None:
    world = World()
    buy(world, "T", *[1] * 8)
    for number in range(5):
        buy(world, f"P{number}", *[1] * number, *[9] * (8 - number))
    buy(world, "few", *[9] * 7)
    buy(world, "far", *[9] * 8, city="9999")
    buy(world, "other", *[9] * 8, category_code="Z.9")
    buy(world, "abroad", *[9] * 4, city="9999")
    buy(world, "abroad", *[9] * 4, category_code="Z.9")

    found = competition(world)["T"]

    # "abroad" shares the city in some lots and the category in others.
    assert found["n_peers"] == 6
    assert found["peer_low_ratio"] == pytest.approx((1 / 8 + 2 / 8) / 2)
    assert value(world, "SI-007", "T")["raw_value"] == pytest.approx(1 - 3 / 16)
    assert value(world, "SI-007", "T")["triggered"]


def test_four_peers_are_too_few_in_a_whole_run() -> None:
    world = World()
    for tenderer in ("T", "P1", "P2", "P3", "P4"):
        buy(world, tenderer, *[1] * 8)

    assert value(world, "SI-007", "T")["null_reason"] == "too_few_observations"


@pytest.mark.parametrize(
    "lot",
    [
        {"tender": {"method": "direct_award"}},
        {"opening": days_ago(731)},
        {"opening": AS_OF + dt.timedelta(seconds=1)},
        {"tender": {"opening_at": None}},
    ],
)
def test_lots_that_do_not_count_for_competition(lot: dict[str, Any]) -> None:
    world = World()
    buy(world, "T", 5)
    buy(world, "T", 1, **lot)

    assert (competition(world)["T"]["n_lots"], competition(world)["T"]["n_lots_all"]) == (1, 1)


def test_lots_whose_bids_are_not_all_published_only_count_as_seen() -> None:
    world = World()
    buy(world, "T", *[5] * 7)
    buy(world, "T", 3, bids_complete=False)

    found = competition(world)["T"]
    assert (found["n_lots"], found["n_lots_all"], found["low_ratio"]) == (7, 8, 0.0)
    assert value(world, "SI-007", "T")["null_reason"] == "missing_source"
