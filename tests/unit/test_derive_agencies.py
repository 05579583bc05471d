"""What is counted of an agency, its tenderers and its winners, in worlds made by hand."""

import datetime as dt
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.derive.agencies import AgencyShare, AgencyTriangle, AgencyWinRate
from features.derive.derived import Derived
from features.tables.source import SourceTables
from tests.worlds import AFTER, AS_OF, Offer, Win, World, days_ago

LATER = AS_OF + dt.timedelta(seconds=1)
WINDOW = 36
TABLES = pytest.mark.parametrize("table", [AgencyWinRate, AgencyShare, AgencyTriangle])


def derived(table: type[Derived], world: World) -> pl.DataFrame:
    """Derive a table and check it against its schema."""
    return pl.DataFrame(table.validate(table.derive(world.source(), AS_OF, window_months=WINDOW).collect()))


def rows(table: type[Derived], world: World) -> dict[str, dict[str, Any]]:
    frame = derived(table, world)
    found = {row["subject_id"]: row for row in frame.iter_rows(named=True)}
    assert len(found) == frame.height
    return found


def pair(left: str, right: str) -> str:
    return f"organisation:{min(left, right)}~organisation:{max(left, right)}"


def contest(
    world: World, name: str, winner: str, *others: str, agency: str | None = "G", tenderer: str = "T", **lot: Any
) -> None:
    """Add a decided lot that opened 600 days ago, won by the first bidder."""
    lot = {"opening": days_ago(600), "wins": [winner], **lot}
    tender = {"agency_org_id": agency, **lot.pop("tender", {})}
    world.lot(name, bids=[winner, *others], tenderer=tenderer, tender=tender, **lot)


def rates() -> World:
    """Return a world where A won two of three under G, and one of two under H."""
    world = World()
    contest(world, "1", "A", "B")
    contest(world, "2", "A", "C", tenderer="U")
    contest(world, "3", "B", "A")
    contest(world, "4", "A", "B", agency="H")
    contest(world, "5", "C", "A", agency="H")
    return world


@TABLES
def test_rows_after_the_moment_change_nothing(table: type[Derived]) -> None:
    world = rates()
    contest(world, "later", "A", "Z", opening=LATER)
    if table is not AgencyShare:  # which counts tenders, decided or not
        contest(world, "decided later", "A", wins=[Win("A", at=AFTER)])

    assert_frame_equal(derived(table, world), derived(table, rates()))


@TABLES
def test_the_order_of_rows_changes_nothing(table: type[Derived]) -> None:
    frames = rates().frames()
    turned = SourceTables({name: frame.reverse().lazy() for name, frame in frames.items()})

    assert_frame_equal(
        table.derive(turned, AS_OF, window_months=WINDOW).collect(), derived(table, rates()), check_row_order=True
    )


@TABLES
def test_history_shorter_than_half_the_window_is_said(table: type[Derived]) -> None:
    half = (AS_OF - dt.datetime(2022, 6, 30, 23, 59, 59, tzinfo=AS_OF.tzinfo)) / 2

    for opening, short in ((AS_OF - half, False), (AS_OF - half + dt.timedelta(seconds=1), True)):
        world = World()
        contest(world, "L", "A", "B", opening=opening)
        assert derived(table, world).get_column("short_history").unique().to_list() == [short]


@TABLES
def test_the_window_runs_on_the_opening(table: type[Derived]) -> None:
    first = dt.datetime(2022, 6, 30, 23, 59, 59, tzinfo=AS_OF.tzinfo)
    world = World()
    contest(world, "too old", "A", opening=first, wins=[Win("A", at=days_ago(10))])
    assert derived(table, world).is_empty()

    contest(world, "old", "A", opening=first + dt.timedelta(microseconds=1))
    assert derived(table, world).height == 1


# SI-059: win rates.


def win_rate(world: World, winner: str = "A", agency: str = "G") -> tuple[int, int, int, int]:
    row = rows(AgencyWinRate, world)[pair(agency, winner)]
    return (row["n_wins"], row["n_bids"], row["n_wins_elsewhere"], row["n_bids_elsewhere"])


def test_wins_and_bids_under_the_agency_and_under_others() -> None:
    assert win_rate(rates()) == (2, 3, 1, 2)
    assert win_rate(rates(), agency="H") == (1, 2, 2, 3)
    assert win_rate(rates(), "C") == (0, 1, 1, 1)


def test_a_tender_without_agency_is_not_under_others() -> None:
    world = rates()
    contest(world, "6", "A", "B", agency=None)

    assert win_rate(world) == (2, 3, 1, 2)
    assert pair("T", "A") not in rows(AgencyWinRate, world)


def test_a_tender_without_agency_still_helps_to_make_a_market() -> None:
    world = World()
    contest(world, "here", "A", "B", required_qual_code="Q")
    contest(world, "plain", "A", "B", agency="H")
    for place in range(29):
        contest(world, f"q{place}", "C", "D", agency=None, required_qual_code="Q")

    assert win_rate(world) == (1, 1, 0, 0)


def test_others_count_only_in_markets_where_the_group_bid_under_the_agency() -> None:
    world = rates()
    contest(world, "6", "A", "B", agency="H", category_code="Z.9")
    contest(world, "7", "A", "B", agency="H", city="9999")
    assert win_rate(world) == (2, 3, 1, 2)

    contest(world, "8", "A", "B", category_code="Z.9")
    assert win_rate(world) == (3, 4, 2, 3)


def test_a_group_counts_once_a_lot_and_an_agency_is_never_grouped() -> None:
    world = rates()
    world.group("W", "A", "B")
    world.group("S", "G", "H")

    assert win_rate(world) == (3, 3, 1, 2)


def test_only_valid_bids_in_decided_competitive_lots_count() -> None:
    world = rates()
    world.lot("6", bids=["B", Offer("A", 1, "disqualified")], wins=["B"], tender={"agency_org_id": "G"})
    world.lot("7", bids=["A", "B"], tender={"agency_org_id": "G"})
    contest(world, "8", "A", "B", tender={"method": "direct_award"})

    assert win_rate(world) == (2, 3, 1, 2)


def test_lots_whose_bids_are_not_all_published_count_only_as_seen() -> None:
    world = rates()
    contest(world, "6", "A", bids_complete=False)
    contest(world, "7", "A", agency="H", bids_complete=False)

    row = rows(AgencyWinRate, world)[pair("G", "A")]

    assert win_rate(world) == (2, 3, 1, 2)
    assert (row["n_bids_all"], row["n_bids_elsewhere_all"]) == (4, 3)


# SI-060: one agency for all tenders.


def share(world: World, tenderer: str = "T", agency: str = "G") -> tuple[int, int, int]:
    row = rows(AgencyShare, world)[pair(tenderer, agency)]
    return (row["n_run"], row["n_tenders"], row["n_agencies"])


def test_tenders_run_by_the_agency_are_set_against_all_of_the_tenderer() -> None:
    assert share(rates()) == (2, 4, 2)
    assert share(rates(), agency="H") == (2, 4, 2)
    assert share(rates(), tenderer="U") == (1, 1, 2)


def test_tenders_that_the_tenderer_ran_itself_count_as_its_tenders() -> None:
    world = rates()
    contest(world, "6", "A", agency=None)
    contest(world, "7", "A", agency="T")

    assert share(world) == (2, 6, 3)
    assert pair("T", "T") not in rows(AgencyShare, world)


def test_a_tender_of_several_lots_counts_once_whatever_its_method_and_outcome() -> None:
    world = rates()
    contest(world, "6", "A", tender={"method": "direct_award"})
    world.lot("7", tender={"agency_org_id": "G", "status": "failed"})
    world.rows["lot"].append({**world.rows["lot"][0], "lot_id": "1b", "lot_no": "2"})

    assert share(world) == (4, 6, 2)


def test_agencies_count_where_the_tenderer_is_active_in_any_of_its_cities() -> None:
    world = rates()
    contest(world, "6", "A", agency="I", tenderer="V", city="9999")
    contest(world, "7", "A", agency="J", tenderer="V", city=None)
    assert share(world) == (2, 4, 2)
    assert share(world, "V", "J") == (1, 2, 2)

    contest(world, "8", "A", city="9999")
    assert share(world) == (3, 5, 3)


def test_two_organisations_that_run_each_others_tenders_share_one_subject() -> None:
    world = rates()
    contest(world, "6", "A", agency="T", tenderer="G")

    found = derived(AgencyShare, world).filter(pl.col("subject_id") == pair("T", "G"))

    assert found.select("tenderer_org_id", "n_run", "n_tenders").rows() == [("G", 1, 1), ("T", 2, 4)]


# SI-061: triangles.


def triangle(world: World, winner: str = "A", agency: str = "G") -> tuple[int, int, int, int]:
    row = rows(AgencyTriangle, world)[pair(agency, winner)]
    return (row["n_met"], row["n_agency"], row["n_winner"], row["n_tenders"])


def of_one_tenderer() -> World:
    """Return a world where T held four tenders: A won two under G and one under H, B one under G."""
    world = World()
    for name, winner, agency in (("1", "A", "G"), ("2", "A", "G"), ("3", "B", "G"), ("4", "A", "H")):
        contest(world, name, winner, "Z", agency=agency)
    return world


def test_meetings_of_three_are_counted_beside_each_two() -> None:
    assert triangle(of_one_tenderer()) == (2, 3, 3, 4)
    assert triangle(of_one_tenderer(), agency="H") == (1, 1, 3, 4)
    assert triangle(of_one_tenderer(), "B") == (1, 3, 1, 4)


def test_each_tenderer_is_a_row_of_its_own() -> None:
    world = of_one_tenderer()
    contest(world, "5", "A", tenderer="U")

    found = derived(AgencyTriangle, world).filter(pl.col("subject_id") == pair("G", "A"))

    assert found.select("tenderer_org_id", "n_met", "n_tenders").rows() == [("T", 2, 4), ("U", 1, 1)]


def test_a_tender_counts_once_for_each_winning_group() -> None:
    world = of_one_tenderer()
    world.rows["lot"].append({**world.rows["lot"][0], "lot_id": "1b", "lot_no": "2"})
    world.bids("1b", "A", "B")
    world.wins("1b", Win("A"), Win("B"), opening=days_ago(600))

    assert triangle(world) == (2, 3, 3, 4)
    assert triangle(world, "B") == (2, 3, 2, 4)

    world.group("W", "A", "B")
    assert triangle(world) == (3, 3, 4, 4)


def test_tenders_without_agency_undecided_or_not_competitive_do_not_count() -> None:
    world = of_one_tenderer()
    contest(world, "5", "A", agency=None)
    contest(world, "6", "A", wins=[])
    contest(world, "7", "A", tender={"method": "single_source"})

    assert triangle(world) == (2, 3, 3, 4)
