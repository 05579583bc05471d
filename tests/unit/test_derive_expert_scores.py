"""How members of committees mark, in worlds made by hand."""

import datetime as dt
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.build import indicator_values
from features.derive.derived import Derived
from features.derive.expert_scores import ExpertScoreBias, MemberMargin, RepresentativeMargin, ScoringPair
from tests.panels import mark, rank, seat, source_of
from tests.worlds import AFTER, AS_OF, Offer, Win, World, days_ago

PARAMS: dict[type[Derived], dict[str, int]] = {
    ExpertScoreBias: {"window_months": 36},
    MemberMargin: {},
    ScoringPair: {},
    RepresentativeMargin: {"window_months": 36},
}
TABLES = pytest.mark.parametrize("table", list(PARAMS))
OPENING = days_ago(600)


def derived(table: type[Derived], world: World, **about: Any) -> pl.DataFrame:
    frame = table.derive(source_of(world, **about), AS_OF, **PARAMS[table]).collect()
    return pl.DataFrame(table.validate(frame))


def row(table: type[Derived], world: World, subject: str) -> dict[str, Any]:
    return derived(table, world).row(by_predicate=pl.col("subject_id") == subject, named=True)


def value(world: World, indicator_id: str, subject: str) -> dict[str, Any]:
    values = indicator_values(source_of(world), AS_OF)
    return values.filter(indicator_id=indicator_id, subject_id=subject).row(0, named=True)


def panel(world: World, name: str, marks: dict[str, list[float | None]], *bidders: str, **lot: Any) -> None:
    """Add a lot that opened 600 days ago, whose bids the people marked out of 100."""
    columns: dict[str, Any] = {"opening": OPENING, **lot}
    world.lot(name, bids=bidders or ("A", "B"), **columns)
    seat(world, name, *marks)
    mark(world, name, marks)


# SI-068: who is marked higher.


FAVOUR: dict[str, list[float | None]] = {"E": [90, 60], "X": [70, 60], "Y": [70, 60], "Z": [70, 60]}
"""E gives A 20 points more than the others and B as many: r = 0.2 - 0.1."""


def bias(world: World, person: str = "E", org: str = "A") -> dict[str, Any]:
    return row(ExpertScoreBias, world, f"organisation:{org}~person:{person}")


def biased(n: int = 1, **lot: Any) -> World:
    world = World()
    for place in range(n):
        panel(world, str(place), FAVOUR, **lot)
    return world


def test_a_favour_is_what_others_do_not_give_less_what_all_bidders_get() -> None:
    assert bias(biased())["mean_r"] == pytest.approx(0.1)
    assert bias(biased(), org="B")["mean_r"] == pytest.approx(-0.1)
    assert bias(biased(), "X")["mean_r"] == pytest.approx(-0.2 / 3 / 2)


def test_who_is_lenient_with_all_favours_nobody() -> None:
    world = World()
    panel(world, "1", {"E": [90, 80], "X": [70, 60], "Y": [70, 60], "Z": [70, 60]})

    assert bias(world)["mean_r"] == pytest.approx(0.0)


def test_points_of_several_factors_are_one_share_and_objective_points_do_not_count() -> None:
    world = biased()
    mark(world, "0", {person: [50, 50] for person in FAVOUR}, factor="F2")
    mark(world, "0", {"E": [100, 0]}, factor="F3", is_subjective=False)

    assert bias(world)["mean_r"] == pytest.approx(0.05)


def test_the_t_of_equal_favours_has_a_floor_and_a_cap() -> None:
    found = bias(biased(3))

    assert (found["n_panels"], found["t"]) == (3, 10.0)
    assert bias(biased(3), org="B")["t"] == -10.0


def test_the_t_of_scattered_favours() -> None:
    world = biased(2)
    panel(world, "less", {**FAVOUR, "E": [70, 60]})

    found = bias(world)  # r: 0.1, 0.1 and 0
    assert found["mean_r"] == pytest.approx(0.2 / 3)
    assert found["t"] == pytest.approx(2.0)  # sd 0.1/sqrt(3), so t = (0.2/3)/(0.1/3)


def test_nothing_but_equal_marks_is_a_t_of_0() -> None:
    world = World()
    for place in range(3):
        panel(world, str(place), {person: [70, 60] for person in FAVOUR})

    assert (bias(world)["mean_r"], bias(world)["t"]) == (pytest.approx(0.0), 0.0)


def test_a_panel_counts_with_three_other_members_and_a_representative_is_one() -> None:
    world = World()
    world.lot("1", bids=["A", "B"], opening=OPENING)
    seat(world, "1", "E", "X", "Y")
    mark(world, "1", {person: FAVOUR[person] for person in "EXY"})
    assert (bias(world)["n_panels"], bias(world)["mean_r"]) == (0, None)

    seat(world, "1", "Z", member_role="owner_rep")
    mark(world, "1", {"Z": FAVOUR["Z"]})
    assert bias(world)["n_panels"] == 1
    assert "organisation:A~person:Z" not in derived(ExpertScoreBias, world).get_column("subject_id")


def test_two_lots_of_one_tender_are_one_panel() -> None:
    world = biased()
    world.lot("0b", bids=["A", "B"], opening=OPENING)
    world.rows["lot"][-1]["tender_id"] = "N-0"
    for bid in world.rows["bid"][-2:]:
        bid["tender_id"] = "N-0"
    mark(world, "0b", {**FAVOUR, "E": [70, 60]}, tender_of="0")

    found = bias(world)
    assert (found["n_panels"], found["mean_r"]) == (1, pytest.approx(0.05))


def test_bids_of_one_group_are_one_bidder() -> None:
    world = World()
    panel(world, "1", {"E": [90, 60, 60], "X": [70, 60, 60], "Y": [70, 60, 60], "Z": [70, 60, 60]}, "A", "B", "C")
    world.group("G", "A", "B")

    found = bias(world)  # 0.2, 0 and 0 less their mean; A and B together
    assert (found["n_panels"], found["mean_r"]) == (1, pytest.approx(0.1 - 0.2 / 3))
    assert "organisation:B~person:E" not in derived(ExpertScoreBias, world).get_column("subject_id")


@pytest.mark.parametrize("lot", [{"opening": days_ago(1096)}, {"opening": AFTER}])
def test_panels_outside_the_window_do_not_count(lot: dict[str, Any]) -> None:
    world = biased()
    panel(world, "odd", {**FAVOUR, "E": [0, 60]}, **lot)

    assert bias(world)["mean_r"] == pytest.approx(0.1)


def test_a_withdrawn_bid_is_no_bid() -> None:
    world = World()
    panel(world, "1", {person: [*marks, 0.0] for person, marks in FAVOUR.items()}, "A", "B", "C")
    world.rows["bid"][2]["status"] = "withdrawn"

    assert bias(world)["mean_r"] == pytest.approx(0.1)


def test_an_expert_who_favours_fires_in_a_whole_run() -> None:
    found = value(biased(3), "SI-068", "organisation:A~person:E")

    assert found["triggered"]
    assert found["raw_value"] == pytest.approx(0.1)
    assert '"own_share":"0.9"' in found["evidence"]


# SI-069: whose marks decide.


CLOSE: dict[str, list[float | None]] = {"1": [60, 20], "2": [50, 50], "3": [50, 50], "4": [50, 52], "5": [50, 48]}
"""Means 52 and 44: with objective points of 30 and 36, A leads by 2, and without member 1 trails by 6."""


def deciding(marks: dict[str, list[float | None]] = CLOSE, *totals: float | None) -> World:
    world = World()
    panel(world, "L", marks)
    rank(world, "L", *(totals or (82, 80)))
    return world


def members(world: World) -> dict[str, dict[str, Any]]:
    frame = derived(MemberMargin, world).filter(pl.col("person_id").is_not_null())
    return {one["person_id"]: one for one in frame.iter_rows(named=True)}


def pivotal(world: World) -> set[str]:
    return {person for person, one in members(world).items() if one["pivotal"]}


def test_a_member_decides_when_another_bid_would_be_first_without_it() -> None:
    found = members(deciding())

    assert {person for person, one in found.items() if one["pivotal"]} == {"1"}
    assert [one["margin"] for one in found.values()] == [40, 0, 0, -2, 2]
    assert (found["1"]["others_median"], found["1"]["others_mad"]) == (0.0, 1.0)
    assert (found["4"]["others_median"], found["4"]["others_mad"]) == (1.0, 1.0)
    assert (found["1"]["n_members"], found["1"]["subjective_points"]) == (5, 100.0)


def test_a_tie_without_a_member_leaves_the_winner_first() -> None:
    # Without member 1 the means are 50 and 50; a lead of 8 through judgement is then 0.
    assert pivotal(deciding(CLOSE, 88, 80)) == set()
    assert pivotal(deciding(CLOSE, 87.99, 80)) == {"1"}


def test_a_third_bid_may_take_the_first_place() -> None:
    marks = {person: [*given, given[0]] for person, given in CLOSE.items()}
    marks["1"] = [60, 20, 20]
    world = World()
    panel(world, "L", marks, "A", "B", "C")
    rank(world, "L", 82, 70, 79)

    assert pivotal(world) == {"1"}
    assert members(world)["1"]["margin"] == 40  # over C, the runner-up


def test_equal_totals_are_ranked_as_recorded() -> None:
    world = deciding(CLOSE, 80, 80)
    rank(world, "L", 80, 80, ranks=[2, 1])

    assert members(world)["1"]["margin"] == -40


def test_a_member_without_marks_for_both_is_no_member_of_the_comparison() -> None:
    found = members(deciding({**CLOSE, "6": [90, None]}))

    assert set(found) == set("12345")
    assert found["1"]["n_members"] == 5


@pytest.mark.parametrize(("status", "judged"), [("abandoned", True), ("disqualified", False), ("rejected", False)])
def test_only_valid_bids_are_ranked(status: str, judged: bool) -> None:
    world = World()
    marks: dict[str, list[float | None]] = {person: [99.0, *given] for person, given in CLOSE.items()}
    panel(world, "L", marks, "Z", "A", "B")
    rank(world, "L", 99, 82, 80)
    world.rows["bid"][0]["status"] = status

    assert members(world)["1"]["margin"] == (39 if judged else 40)


def test_without_total_scores_nobody_is_first() -> None:
    found = row(MemberMargin, deciding(CLOSE, 80, None), "L")

    assert (found["unranked"], found["n_members"], found["draw_id"]) == (True, 0, None)
    assert value(deciding(CLOSE, 80, None), "SI-069", "L")["null_reason"] == "missing_source"


def test_a_lot_without_marks_has_a_row_and_one_without_bids_has_none() -> None:
    world = deciding()
    world.lot("plain", bids=["A"])
    world.lot("empty", wins=["A"])
    world.lot("later", bids=["A"], opening=AFTER)
    world.lot("withdrawn", bids=[Offer("A", 1, "withdrawn")])

    for table in (MemberMargin, ScoringPair):
        assert set(derived(table, world).get_column("subject_id")) == {"L", "plain"}
    assert value(world, "SI-069", "plain")["null_reason"] == "too_few_observations"


def test_scores_are_not_known_before_the_evaluation_has_ended() -> None:
    world = deciding()
    world.rows["tender"][0]["evaluation_end_at"] = AFTER

    assert members(world) == {}
    assert not row(MemberMargin, world, "L")["unranked"]


def test_the_member_whose_marks_decide_fires_in_a_whole_run() -> None:
    found = value(deciding(), "SI-069", "L")

    assert found["raw_value"] == 10.0  # (40 - 0)/1.4826
    assert found["triggered"]
    assert "D-L-1" in found["evidence"]


# SI-070: whose marks are alike.


def pairs(world: World) -> dict[tuple[str, str], tuple[int, int]]:
    frame = derived(ScoringPair, world).filter(pl.col("draw_id_1").is_not_null())
    return {
        (one["draw_id_1"][-1], one["draw_id_2"][-1]): (one["n_cells"], one["n_equal"])
        for one in frame.iter_rows(named=True)
    }


def test_equal_marks_are_counted_two_by_two() -> None:
    world = World()
    panel(world, "L", {"1": [70, 60], "2": [70, 61], "3": [71, 60]})

    assert pairs(world) == {("1", "2"): (2, 1), ("1", "3"): (2, 1), ("2", "3"): (2, 0)}


def test_each_bid_and_factor_is_a_cell() -> None:
    world = World()
    panel(world, "L", {"1": [70, 60], "2": [70, 60], "3": [71, 61]})
    mark(world, "L", {"1": [5, 5], "2": [5, 6], "3": [7, 7]}, factor="F2", full=10)
    mark(world, "L", {"1": [5, 5], "2": [5, 5], "3": [7, 7]}, factor="F3", is_subjective=False)

    assert pairs(world)["1", "2"] == (4, 3)


def test_where_all_agree_and_where_marks_are_full_or_zero_nothing_is_said() -> None:
    world = World()
    panel(world, "L", {"1": [70, 100, 0, 60], "2": [70, 100, 0, 60], "3": [70, 50, 50, 61]}, *"ABCD")

    assert pairs(world) == {("1", "2"): (1, 1), ("1", "3"): (1, 0), ("2", "3"): (1, 0)}


def test_a_bid_that_one_did_not_mark_is_no_cell() -> None:
    world = World()
    panel(world, "L", {"1": [70, 60], "2": [70, None], "3": [71, 60]})

    assert pairs(world)["1", "2"] == (1, 1)


def test_a_mark_given_twice_is_left_out() -> None:
    world = World()
    panel(world, "L", {"1": [70, 60], "2": [70, 61], "3": [71, 60]})
    mark(world, "L", {"1": [75, None]})

    assert pairs(world)["1", "2"] == (1, 0)


def test_marks_of_two_lots_are_not_mixed() -> None:
    world = World()
    panel(world, "L", {"1": [70, 60], "2": [70, 61], "3": [71, 60]})
    panel(world, "M", {"1": [70, 60], "2": [71, 61], "3": [71, 60]})

    assert derived(ScoringPair, world).filter(subject_id="L", draw_id_1="D-L-1", draw_id_2="D-L-2").height == 1
    assert derived(ScoringPair, world).height == 6


def test_two_of_one_mind_fire_in_a_whole_run() -> None:
    world = World()
    own = [float(number) for number in range(50, 66)]
    others = [number + 7 for number in own]
    panel(world, "L", {"1": list(own), "2": list(own), "3": list(others)}, *(f"O{number:02}" for number in range(16)))

    found = value(world, "SI-070", "L")

    assert (found["raw_value"], found["triggered"], found["support_n"]) == (1.0, True, 16)
    assert "D-L-2" in found["evidence"]
    assert '"correlation":1.0' in found["evidence"]


# SI-074: the tenderer's own representative.


STEERED: dict[str, list[float | None]] = {"X": [70, 60], "Y": [72, 62], "R": [90, 50]}
"""Experts see A 10 points ahead, the representative 40: g = 0.3."""


def steered(n: int = 1, marks: dict[str, list[float | None]] = STEERED, **lot: Any) -> World:
    world = World()
    for place in range(n):
        name = f"S{place}"
        columns: dict[str, Any] = {"wins": ["A"], "opening": OPENING, **lot}
        world.lot(name, bids=["A", "B"], **columns)
        seat(world, name, "X", "Y")
        seat(world, name, "R", member_role="owner_rep", draw_method="owner_appointed")
        mark(world, name, marks)
        rank(world, name, 80, 70)
    return world


def margin(world: World, org: str = "A", tenderer: str = "T") -> dict[str, Any]:
    left, right = sorted([tenderer, org])
    return row(RepresentativeMargin, world, f"organisation:{left}~organisation:{right}")


def test_the_representatives_margin_less_the_experts() -> None:
    found = margin(steered(2))

    assert (found["n_panels"], found["n_wins"]) == (2, 2)
    assert found["mean_g"] == pytest.approx(0.3)


def test_a_loser_is_set_against_the_best_other_bid() -> None:
    world = steered()
    world.bids("S0", "C")
    world.rows["bid"][-1].update(total_score=60)
    mark(world, "S0", {"X": [None, None, 50], "Y": [None, None, 50], "R": [None, None, 60]})

    assert margin(world, "B")["mean_g"] == pytest.approx(-0.4 + 0.1)
    assert margin(world, "C")["mean_g"] == pytest.approx((0.6 - 0.9) - (0.5 - 0.71))
    assert margin(world, "A")["mean_g"] == pytest.approx(0.3)  # over B, the second
    assert (margin(world, "B")["n_panels"], margin(world, "B")["n_wins"]) == (1, 0)


def test_bids_of_the_own_group_are_no_rivals_and_its_best_bid_counts() -> None:
    world = steered()
    world.bids("S0", "C")
    world.rows["bid"][-1].update(total_score=60)
    mark(world, "S0", {"X": [None, None, 50], "Y": [None, None, 50], "R": [None, None, 60]})
    world.group("G", "A", "B")

    found = margin(world)
    assert found["mean_g"] == pytest.approx((0.9 - 0.6) - (0.71 - 0.5))
    assert found["n_panels"] == 1


def test_panels_without_marks_of_a_representative_or_of_experts_do_not_count() -> None:
    world = steered(1, {**STEERED, "R": [None, None]})
    assert margin(world)["n_panels"] == 0
    assert value(world, "SI-074", "organisation:A~organisation:T")["null_reason"] == "missing_source"

    assert margin(steered(1, {"X": [None, None], "Y": [None, None], "R": [90, 50]}))["n_panels"] == 0


@pytest.mark.parametrize(
    "lot",
    [
        {"wins": []},
        {"wins": [Win("A", at=AFTER)]},
        {"tender": {"method": "single_source"}},
        {"opening": days_ago(1096)},
        {"opening": AFTER, "wins": [Win("A", at=days_ago(1))]},
        {"tenderer": None},
    ],
)
def test_only_decided_competitive_tenders_of_the_window_count(lot: dict[str, Any]) -> None:
    assert derived(RepresentativeMargin, steered(1, **lot)).is_empty()


def test_lots_whose_bids_are_not_all_published_are_only_seen() -> None:
    assert margin(steered(1, bids_complete=False))["n_panels"] == 0


def test_a_bidder_without_total_score_is_not_ranked() -> None:
    world = steered()
    rank(world, "S0", 80, None)

    assert margin(world)["n_panels"] == 0


def test_tenderers_are_kept_apart() -> None:
    world = steered()
    world.rows["tender"][0]["tenderer_org_id"] = "U"

    assert margin(world, tenderer="U")["n_panels"] == 1


def test_a_representative_who_steers_fires_in_a_whole_run() -> None:
    found = value(steered(2), "SI-074", "organisation:A~organisation:T")

    assert found["raw_value"] == pytest.approx(0.3)
    assert found["triggered"]
    assert '"rep_margin":"0.4"' in found["evidence"]


# All four.


def busy() -> World:
    world = steered(3)
    for place in range(3):
        panel(world, f"p{place}", {**FAVOUR, "V": [71, 59.5], "W": [70.3, 61]}, opening=days_ago(500 + place))
        rank(world, f"p{place}", 82, 81)
    return world


@TABLES
def test_rows_after_the_moment_change_nothing(table: type[Derived]) -> None:
    world = busy()
    panel(world, "later", FAVOUR, opening=AFTER + dt.timedelta(days=2), wins=[Win("A", at=days_ago(1))])
    mark(world, "p0", {"E": [1, 99]}, factor="late", scored_at=AFTER)
    seat(world, "p1", "late", drawn_at=AFTER)

    assert_frame_equal(derived(table, world), derived(table, busy()))


@TABLES
def test_the_order_of_rows_changes_nothing(table: type[Derived]) -> None:
    assert derived(table, busy()).height > 1
    assert_frame_equal(
        derived(table, busy(), reverse=True), derived(table, busy()), check_row_order=True, check_exact=True
    )


@pytest.mark.parametrize("table", [ExpertScoreBias, RepresentativeMargin])
def test_history_shorter_than_half_the_window_is_said(table: type[Derived]) -> None:
    half = (AS_OF - AS_OF.replace(year=2022)) / 2

    for moment, short in ((AS_OF - half, False), (AS_OF - half + dt.timedelta(seconds=1), True)):
        found = derived(table, steered(1, opening=moment))
        assert found.get_column("short_history").to_list()[0] is short
