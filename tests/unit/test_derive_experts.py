"""Whom experts meet on panels, in worlds made by hand."""

import datetime as dt
from math import comb
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.build import indicator_values
from features.derive.derived import Derived
from features.derive.experts import DrawFrequency, ExpertWinRate, RecurrentPanel
from tests.panels import add, seat, source_of
from tests.worlds import AFTER, AS_OF, Offer, Win, World, days_ago

PARAMS: dict[type[Derived], dict[str, int]] = {
    ExpertWinRate: {"window_months": 36},
    DrawFrequency: {"window_months": 24, "pool_mult": 3},
    RecurrentPanel: {"window_months": 24, "set_k": 3, "c_min": 3},
}
TABLES = pytest.mark.parametrize("table", list(PARAMS))
LATER = AS_OF + dt.timedelta(seconds=1)


def derived(table: type[Derived], world: World, **about: Any) -> pl.DataFrame:
    frame = table.derive(source_of(world, **about), AS_OF, **PARAMS[table]).collect()
    return pl.DataFrame(table.validate(frame))


def pair(person: str, org: str) -> str:
    return f"organisation:{org}~person:{person}"


def value(world: World, indicator_id: str, subject: str) -> dict[str, Any]:
    values = indicator_values(source_of(world), AS_OF)
    return values.filter(indicator_id=indicator_id, subject_id=subject).row(0, named=True)


# SI-067: wins before an expert.


def contest(world: World, name: str, *bidders: str, experts: tuple[str, ...] = ("E",), **lot: Any) -> None:
    """Add a lot that opened 600 days ago, won by the first bidder; the experts came."""
    columns: dict[str, Any] = {"wins": bidders[:1], "opening": days_ago(600), **lot}
    world.lot(name, bids=bidders, **columns)
    seat(world, name, *experts)


def panels() -> World:
    """Return a world where A won two of three panels with E, and one of two without."""
    world = World()
    contest(world, "1", "A", "B")
    contest(world, "2", "A", "C", experts=("E", "X"))
    contest(world, "3", "B", "A")
    contest(world, "4", "A", "B", experts=("X",))
    contest(world, "5", "C", "A", experts=("X",))
    return world


def rate(world: World, person: str = "E", org: str = "A") -> tuple[int, ...]:
    row = derived(ExpertWinRate, world).row(by_predicate=pl.col("subject_id") == pair(person, org), named=True)
    return (row["n_wins"], row["n_panels"], row["n_wins_elsewhere"], row["n_panels_elsewhere"])


def test_panels_and_wins_with_an_expert_and_without() -> None:
    assert rate(panels()) == (2, 3, 1, 2)
    assert rate(panels(), "X") == (2, 3, 1, 2)
    assert rate(panels(), "E", "C") == (0, 1, 1, 1)


def test_a_tender_of_two_lots_is_one_panel_won_when_one_lot_is() -> None:
    world = panels()
    world.lot("1b", bids=["A", "B"], wins=["B"], opening=days_ago(600))
    world.rows["lot"][-1]["tender_id"] = "N-1"

    assert rate(world) == (2, 3, 1, 2)
    assert rate(world, "E", "B") == (2, 2, 0, 1)


def test_a_group_counts_once_a_panel() -> None:
    world = panels()
    world.group("G", "A", "B")

    assert rate(world) == (3, 3, 1, 2)


@pytest.mark.parametrize(
    "about", [{"attended": False}, {"attended": None}, {"member_role": "owner_rep"}, {"drawn_at": None}]
)
def test_only_experts_who_are_known_to_have_come_sit(about: dict[str, Any]) -> None:
    world = panels()
    seat(world, "4", "E", **about)

    assert rate(world) == (2, 3, 1, 2)


def test_a_panel_of_which_nobody_is_known_is_left_out() -> None:
    world = panels()
    contest(world, "6", "A", "B", experts=())

    assert rate(world) == (2, 3, 1, 2)


def test_two_seats_of_one_expert_are_one() -> None:
    world = panels()
    seat(world, "1", "E", draw_id="again")

    assert rate(world) == (2, 3, 1, 2)


@pytest.mark.parametrize(
    "other", [{"category_code": "Z.9"}, {"city": "9999"}, {"currency": "USD"}, {"tender": {"object_type": "goods"}}]
)
def test_panels_of_other_markets_do_not_count_elsewhere(other: dict[str, Any]) -> None:
    world = panels()
    contest(world, "6", "A", "B", experts=("X",), **other)
    assert rate(world) == (2, 3, 1, 2)

    contest(world, "7", "A", "B", **other)
    assert rate(world) == (3, 4, 2, 3)


def test_a_panel_in_two_markets_counts_once_elsewhere() -> None:
    world = panels()
    world.lot("4b", bids=["A"], wins=["A"], opening=days_ago(600), category_code="Z.9")
    world.rows["lot"][-1]["tender_id"] = "N-4"
    assert rate(world) == (2, 3, 1, 2)

    contest(world, "6", "A", category_code="Z.9")
    assert rate(world) == (3, 4, 1, 2)


@pytest.mark.parametrize(
    "lot",
    [
        {"wins": ()},
        {"wins": [Win("A", at=LATER)]},
        {"tender": {"method": "direct_award"}},
        {"opening": days_ago(1096)},
        {"opening": AFTER, "wins": [Win("A", at=days_ago(1))]},
    ],
)
def test_tenders_that_do_not_count_for_win_rates(lot: dict[str, Any]) -> None:
    world = panels()
    contest(world, "6", "A", "B", **lot)
    contest(world, "7", "A", "B", experts=("X",), **lot)

    assert rate(world) == (2, 3, 1, 2)


def test_lots_whose_bids_are_not_all_published_are_only_seen() -> None:
    world = panels()
    contest(world, "6", "A", "B", bids_complete=False)

    row = derived(ExpertWinRate, world).row(by_predicate=pl.col("subject_id") == pair("E", "A"), named=True)
    assert (row["n_panels"], row["n_panels_all"]) == (3, 4)
    assert value(world, "SI-067", pair("E", "A"))["null_reason"] == "missing_source"


def test_an_expert_whose_bidder_always_wins_fires_in_a_whole_run() -> None:
    world = World()
    for place in range(5):
        contest(world, f"with{place}", "A", "B")
        contest(world, f"without{place}", "B", "A", experts=("X",))

    found = value(world, "SI-067", pair("E", "A"))

    assert found["raw_value"] == pytest.approx(4.225490200)  # p0 = 1/7, p = 7^-5
    assert found["triggered"]
    assert '"committee_draw"' in found["evidence"]
    assert '"award"' in found["evidence"]
    assert not value(world, "SI-067", pair("E", "B"))["triggered"]


# SI-071: draws.


def draws(world: World, person: str = "E", org: str = "T", role: str = "tenderer") -> dict[str, Any]:
    return derived(DrawFrequency, world).row(
        by_predicate=(pl.col("subject_id") == pair(person, org)) & (pl.col("role") == role), named=True
    )


def lots(world: World, *names: str, **about: Any) -> None:
    for name in names:
        columns: dict[str, Any] = {"opening": days_ago(300), "tender": {"agency_org_id": "G"}, **about}
        world.lot(name, **columns)


def expert(world: World, person: str, *codes: str, entered_at: dt.date | None = None) -> None:
    text = "[" + ", ".join(f'"{code}"' for code in codes) + "]" if codes else None
    add(world, "expert", person_id=person, specialty_codes=text, entered_at=entered_at, status="active")


def drawn() -> World:
    """Return three tenders of T with two seats each out of 10, 20 and 40; E was drawn for the first two."""
    world = World()
    lots(world, "1", "2", "3")
    seat(world, "1", "E", "X", pool_size=10)
    seat(world, "2", "E", "Y", pool_size=20)
    seat(world, "3", "X", "Y", pool_size=40)
    return world


def test_draws_and_their_expectation_for_tenderer_and_agency() -> None:
    for org, role in (("T", "tenderer"), ("G", "agency")):
        found = draws(drawn(), org=org, role=role)
        assert (found["n_draws"], found["small_share"], found["pool_missing_share"]) == (2, 0.0, 0.0)
        assert found["n_expected"] == pytest.approx(0.2 + 0.1 + 0.05)


def test_draws_of_another_tenderer_are_its_own() -> None:
    world = drawn()
    lots(world, "other", tenderer="U", tender={})
    seat(world, "other", "E", pool_size=5)

    assert draws(world)["n_draws"] == 2
    assert draws(world, org="U")["n_expected"] == pytest.approx(0.2)


@pytest.mark.parametrize("about", [{"response": "declined", "attended": False}, {"attended": None}])
def test_a_draw_counts_whether_answered_or_not(about: dict[str, Any]) -> None:
    world = drawn()
    seat(world, "3", "E", pool_size=40, **about)

    assert draws(world)["n_draws"] == 3


@pytest.mark.parametrize(
    "about",
    [
        {"draw_method": "direct_designation"},
        {"member_role": "owner_rep", "draw_method": "owner_appointed"},
        {"drawn_at": None},
        {"drawn_at": LATER},
        {"drawn_at": days_ago(731)},
    ],
)
def test_seats_that_are_no_draws(about: dict[str, Any]) -> None:
    world = drawn()
    seat(world, "3", "E", pool_size=1, **about)

    found = draws(world)
    assert found["n_draws"] == 2
    assert found["n_expected"] == pytest.approx(0.35)


@pytest.mark.parametrize(
    ("own", "others", "eligible"),
    [((), ("a",), True), (("a",), (), True), (("a", "b"), ("b", "c"), True), (("a",), ("b",), False)],
)
def test_who_shares_no_specialty_with_those_drawn_could_not_be_drawn(
    own: tuple[str, ...], others: tuple[str, ...], eligible: bool
) -> None:
    world = drawn()
    expert(world, "E", *own)
    expert(world, "X", *others)

    assert draws(world)["n_expected"] == pytest.approx(0.35 if eligible else 0.3)


@pytest.mark.parametrize(("days", "eligible"), [(1, True), (0, False), (-1, False)])
def test_who_entered_the_pool_on_the_day_of_a_draw_or_later_could_not_be_drawn(days: int, eligible: bool) -> None:
    world = drawn()
    for row in world.rows["committee_draw"][:4]:
        row["drawn_at"] = days_ago(200)
    expert(world, "E", "a", entered_at=days_ago(301 + days).date())
    expert(world, "X", "a")

    assert draws(world)["n_expected"] == pytest.approx(0.35 if eligible else 0.3)


def test_a_missing_size_of_pool_is_the_median_of_the_others() -> None:
    world = drawn()
    for row in world.rows["committee_draw"][:2]:
        row["pool_size"] = None

    found = draws(world)
    assert found["pool_missing_share"] == pytest.approx(1 / 3)
    assert found["n_expected"] == pytest.approx(2 / 30 + 0.1 + 0.05)
    assert value(world, "SI-071", pair("E", "T"))["null_reason"] == "missing_source"


def test_a_pool_of_nobody_is_a_missing_size() -> None:
    world = drawn()
    for row in world.rows["committee_draw"]:
        row["pool_size"] = 0

    found = draws(world)
    assert (found["pool_missing_share"], found["n_expected"]) == (1.0, 0.0)


def test_a_pool_is_small_below_three_times_the_seats_that_were_not_replaced() -> None:
    world = World()
    lots(world, "1", "2")
    seat(world, "1", "E", "X", pool_size=6)
    seat(world, "2", "E", "X", pool_size=5)
    assert draws(world)["small_share"] == 0.5

    seat(world, "1", "gone", pool_size=6, replaced_by_draw_id="D-1-X")
    assert draws(world)["small_share"] == 0.5
    seat(world, "1", "came", pool_size=6)
    assert draws(world)["small_share"] == 1.0


def test_the_smallest_pool_of_a_tender_decides() -> None:
    world = World()
    lots(world, "1")
    seat(world, "1", "E", pool_size=60)
    seat(world, "1", "X", pool_size=5)

    assert draws(world)["small_share"] == 1.0


# SI-072: the same others.


def sitting(n_together: int, n_alone: int = 0, pool: int = 10) -> World:
    """Return panels of A, B, C and one more, and panels of A with others."""
    world = World()
    for place in range(n_together):
        lots(world, f"t{place}")
        seat(world, f"t{place}", "A", "B", "C", f"X{place}", pool_size=pool)
    for place in range(n_alone):
        lots(world, f"a{place}")
        seat(world, f"a{place}", "A", f"Y{place}", f"Z{place}", pool_size=pool)
    return world


def recurrent(world: World, person: str = "A") -> dict[str, Any]:
    return derived(RecurrentPanel, world).row(by_predicate=pl.col("subject_id") == person, named=True)


def test_the_most_frequent_set_and_what_chance_expects_of_any() -> None:
    found = recurrent(sitting(3, 2))

    assert (found["n_panels"], found["n_sized"], found["n_together"], found["members"]) == (5, 5, 3, "A,B,C")
    assert found["n_expected"] == pytest.approx(3 * comb(4, 3) / comb(10, 3) + 2 * 1 / comb(10, 3))
    assert found["evidence"].count('"committee_draw"') == 9


def test_who_sat_with_others_each_time_has_no_set() -> None:
    found = recurrent(sitting(3), "X0")

    assert (found["n_panels"], found["n_together"], found["members"]) == (1, 0, None)


def test_sets_that_sat_together_twice_are_not_searched() -> None:
    assert recurrent(sitting(2, 3))["n_together"] == 0


def test_of_two_sets_the_more_frequent_stands() -> None:
    world = sitting(3)
    for place in range(4):
        lots(world, f"more{place}")
        seat(world, f"more{place}", "A", "P", "Q")

    assert recurrent(world)["members"] == "A,P,Q"
    assert recurrent(world, "B")["members"] == "A,B,C"


@pytest.mark.parametrize("about", [{"attended": False}, {"attended": None}, {"member_role": "owner_rep"}])
def test_only_experts_who_came_sit_together(about: dict[str, Any]) -> None:
    world = sitting(2)
    lots(world, "3")
    seat(world, "3", "A", "B")
    seat(world, "3", "C", **about)

    assert recurrent(world)["n_together"] == 0


@pytest.mark.parametrize("drawn_at", [None, LATER, days_ago(731)])
def test_panels_of_other_times_do_not_count(drawn_at: dt.datetime | None) -> None:
    world = sitting(2)
    lots(world, "3")
    seat(world, "3", "A", "B", "C", drawn_at=drawn_at)

    assert recurrent(world)["n_panels"] == 2
    assert recurrent(world)["n_together"] == 0


def test_panels_without_size_of_pool_are_left_out_of_both_counts() -> None:
    world = sitting(4)
    for row in world.rows["committee_draw"][:4]:
        row["pool_size"] = None

    found = recurrent(world)
    assert (found["n_panels"], found["n_sized"], found["n_together"]) == (4, 3, 3)
    assert found["n_expected"] == pytest.approx(3 * comb(4, 3) / comb(10, 3))


def test_the_smallest_pool_of_a_panel_counts_and_a_pool_that_all_sit_is_a_certainty() -> None:
    world = sitting(3)
    world.rows["committee_draw"][0]["pool_size"] = 5
    world.rows["committee_draw"][4]["pool_size"] = 3

    assert recurrent(world)["n_expected"] == pytest.approx(comb(4, 3) / comb(5, 3) + 1 + comb(4, 3) / comb(10, 3))


def test_a_standing_panel_fires_in_a_whole_run() -> None:
    world = sitting(5, pool=40)
    lots(world, "long ago", opening=days_ago(600))
    seat(world, "long ago", "Z")

    found = value(world, "SI-072", "B")

    expected = 5 * comb(4, 3) / comb(40, 3)
    assert 2 ** found["raw_value"] == pytest.approx(5 / expected)
    assert found["triggered"]


# All three.


def busy() -> World:
    world = panels()
    for place in range(4):
        contest(world, f"more{place}", "A", "B", experts=("E", "X", "Y", "Z"), opening=days_ago(300 + place))
        seat(world, f"more{place}", "R", member_role="owner_rep", draw_method="owner_appointed")
    expert(world, "E", "a", "b")
    expert(world, "X", "b")
    return world


@TABLES
def test_rows_after_the_moment_change_nothing(table: type[Derived]) -> None:
    world = busy()
    contest(world, "later", "A", "B", experts=("E", "X", "Y"), opening=AFTER + dt.timedelta(days=2))
    world.lot("undated", bids=["A"], wins=["A"], opening=days_ago(600), tender={"opening_at": None})
    expert(world, "X", "c", entered_at=AS_OF.date())

    assert_frame_equal(derived(table, world), derived(table, busy()))


def test_who_came_is_not_known_before_the_evaluation_began() -> None:
    world = busy()
    world.lot("opened", bids=["A"], wins=["A"], opening=days_ago(1), tender={"evaluation_start_at": AFTER})
    seat(world, "opened", "E", "X", "Y")

    assert_frame_equal(derived(ExpertWinRate, world), derived(ExpertWinRate, busy()))
    assert recurrent(world, "E")["n_panels"] == recurrent(busy(), "E")["n_panels"]


@TABLES
def test_the_order_of_rows_changes_nothing(table: type[Derived]) -> None:
    assert derived(table, busy()).height > 2
    assert_frame_equal(
        derived(table, busy(), reverse=True), derived(table, busy()), check_row_order=True, check_exact=True
    )


@TABLES
def test_history_shorter_than_half_the_window_is_said(table: type[Derived]) -> None:
    half = (AS_OF - AS_OF.replace(year=2025 - PARAMS[table]["window_months"] // 12)) / 2

    for moment, short in ((AS_OF - half, False), (AS_OF - half + dt.timedelta(seconds=1), True)):
        world = World()
        world.lot("1", bids=["A"], wins=["A"], opening=moment)
        seat(world, "1", "E", drawn_at=moment)
        assert derived(table, world).get_column("short_history").to_list()[0] is short


def test_an_offer_that_was_rejected_is_no_bid_before_an_expert() -> None:
    world = panels()
    world.bids("1", Offer("Z", 1, "rejected"))

    assert pair("E", "Z") not in derived(ExpertWinRate, world).get_column("subject_id")
