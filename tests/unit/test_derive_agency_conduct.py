"""What is counted of how an agency runs tenders, in worlds made by hand."""

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.build import indicator_values
from features.derive.agency_conduct import AgencyDisqualification, AgencyIrregularity, ReferenceHit
from features.derive.derived import Derived
from features.tables.source import SourceTables
from tests.worlds import AFTER, AS_OF, Offer, Win, World, days_ago

PARAMS: dict[type[Derived], dict[str, Any]] = {
    AgencyDisqualification: {"window_months": 24, "bids_min": 4},
    AgencyIrregularity: {"window_months": 24, "clar_days": 15, "n_min": 1},
    ReferenceHit: {"window_months": 36, "leak_eps": 0.003},
}
TABLES = pytest.mark.parametrize("table", PARAMS)
OUT = "disqualified"


def derived(table: type[Derived], source: SourceTables) -> pl.DataFrame:
    """Derive a table and check it against its schema."""
    return pl.DataFrame(table.validate(table.derive(source, AS_OF, **PARAMS[table]).collect()))


def row(table: type[Derived], world: World, subject: str = "G", **about: str) -> dict[str, Any]:
    found = derived(table, world.source()).filter(pl.col("subject_id") == subject, **about)
    return found.row(0, named=True)


def value(world: World, indicator_id: str, subject: str = "G") -> dict[str, Any]:
    values = indicator_values(world.source(), AS_OF).filter(
        pl.col("indicator_id") == indicator_id, pl.col("subject_id") == subject
    )
    return values.row(0, named=True)


def lot(world: World, name: str, agency: str | None = "G", **about: Any) -> None:
    """Add a lot of an agency that opened 400 days ago."""
    tender = {"agency_org_id": agency, **about.pop("tender", {})}
    stated: dict[str, Any] = {"opening": days_ago(400), **about}
    world.lot(name, tender=tender, **stated)


def secret(world: World, name: str, price: float, agency: str | None = "G", **about: Any) -> None:
    """Add a lot with an unpublished estimate of 1000 that A won at a price."""
    tender = {"estimate_published": False, **about.pop("tender", {})}
    stated = {"estimate_price": Decimal(1000), **about}
    lot(
        world, name, agency, bids=[Offer("A", price), Offer("B", 2000)], wins=[Win("A", price)], tender=tender, **stated
    )


def busy() -> World:
    """Return a world with something for each of the tables to count."""
    world = World()
    secret(world, "1", 1001, tender={"n_clarifications": 1, "last_clarification_at": None, "status": "failed"})
    secret(world, "2", 900, agency="H", tender={"n_clarifications": 0})
    lot(world, "3", bids=["A", Offer("B", 1, OUT), "C", "D"], tender={"n_clarifications": 0})
    return world


@TABLES
def test_rows_after_the_moment_change_nothing(table: type[Derived]) -> None:
    world = busy()
    lot(world, "later", opening=AFTER, bids=[Offer("A", 1, OUT)], tender={"n_clarifications": 3})
    secret(world, "opened later", 1000, opening=AFTER)

    assert_frame_equal(derived(table, world.source()), derived(table, busy().source()))


@TABLES
def test_the_order_of_rows_changes_nothing(table: type[Derived]) -> None:
    turned = {name: frame.reverse().lazy() for name, frame in busy().frames().items()}

    assert_frame_equal(derived(table, SourceTables(turned)), derived(table, busy().source()))


@TABLES
def test_history_shorter_than_half_the_window_is_said(table: type[Derived]) -> None:
    months = PARAMS[table]["window_months"]
    half = (AS_OF - AS_OF.replace(year=AS_OF.year - months // 12)) / 2

    for opening, short in ((AS_OF - half, False), (AS_OF - half + dt.timedelta(seconds=1), True)):
        world = World()
        secret(world, "1", 1000, opening=opening)
        assert row(table, world)["short_history"] is short


@TABLES
def test_the_window_runs_on_the_opening_and_a_lot_without_agency_is_nobodys(table: type[Derived]) -> None:
    world = World()
    first = AS_OF.replace(year=AS_OF.year - PARAMS[table]["window_months"] // 12)
    secret(world, "too old", 1000, opening=first)
    secret(world, "own", 1000, agency=None)

    assert "G" not in derived(table, world.source()).get_column("subject_id").to_list()


# SI-064: disqualification.


def test_bids_and_lots_of_an_agency_are_counted() -> None:
    world = World()
    lot(world, "1", bids=["A", "B", Offer("C", 1, OUT), Offer("D", 1, "withdrawn")])
    lot(world, "2", bids=["A", Offer("B", 1, "rejected"), "C", "D", "E", Offer("F", 1, OUT)])
    lot(world, "3", bids=["A", "B"], tender={"method": "single_source"})
    lot(world, "empty")

    found = row(AgencyDisqualification, world)

    assert (found["n_bids"], found["n_disqualified"], found["n_lots"], found["n_lots_left_few"]) == (11, 2, 3, 1)


def test_lots_whose_bids_are_not_all_published_count_only_as_seen() -> None:
    world = World()
    lot(world, "1", bids=["A", Offer("B", 1, OUT)])
    lot(world, "2", bids=["A", Offer("B", 1, OUT)], bids_complete=False)

    found = row(AgencyDisqualification, world)

    assert (found["n_bids"], found["n_disqualified"], found["n_lots"], found["n_bids_all"]) == (2, 1, 1, 4)
    assert found["evidence"].count('"table":"bid"') == 1


def test_the_fence_is_made_of_the_agencies_with_enough_bids_itself_included() -> None:
    world = World()
    for place in range(8):  # rates 0, 0, 0, 0, 1/4, 1/4, 1/2, 1
        out = [0, 0, 0, 0, 1, 1, 2, 4][place]
        lot(world, str(place), agency=f"G{place}", bids=[*"ABCD"[out:], *[Offer(f"X{i}", 1, OUT) for i in range(out)]])
    lot(world, "few", agency="Z", bids=[Offer("A", 1, OUT)] * 3)

    found = row(AgencyDisqualification, world, "G7")

    # Quartiles of type 7: positions 1.75 and 5.25, so 0 and 1/4 + 1/4 * 1/4.
    assert found["n_agencies"] == 8
    assert found["fence"] == pytest.approx(0.3125 + 1.5 * 0.3125)
    assert row(AgencyDisqualification, world, "Z")["fence"] == found["fence"]


def test_no_agency_with_enough_bids_makes_no_fence() -> None:
    world = World()
    lot(world, "1", bids=["A", "B", "C"])

    found = row(AgencyDisqualification, world)

    assert (found["n_agencies"], found["fence"]) == (0, None)


def test_an_agency_that_throws_out_most_bids_fires_in_a_whole_run() -> None:
    world = World()
    for place in range(9):
        for number in range(10):
            out = [Offer("Y", 1, OUT)] * (4 if place == 0 else number < place % 4)
            lot(world, f"{place}-{number}", agency=f"G{place}", bids=["A", "B", "C", "D", "E", *out])

    found = value(world, "SI-064", "G0")

    assert found["raw_value"] == pytest.approx(40 / 90)
    assert found["triggered"]
    assert not value(world, "SI-064", "G1")["triggered"]


# SI-065: corrections and failures.


def irregularity(**tender: Any) -> tuple[float | None, int, int]:
    """Return irr, and of how many of how many tenders, of an agency with one tender."""
    world = World()
    lot(world, "1", tender={"n_clarifications": 0, "bid_deadline_at": DEADLINE, **tender})
    found = row(AgencyIrregularity, world)
    return (found["irregularity"], found["n_tenders"], found["n_tenders_all"])


DEADLINE = days_ago(400).replace(hour=9)
IN_TIME = DEADLINE - dt.timedelta(days=15)


def late_on(moment: dt.datetime, **tender: Any) -> dict[str, Any]:
    return {"n_clarifications": 0, "last_clarification_at": moment, **tender}


@pytest.mark.parametrize(
    ("tender", "expected"),
    [
        ({}, 0.0),
        ({"n_clarifications": 1, "last_clarification_at": IN_TIME}, 0.1),
        ({"n_clarifications": 3, "last_clarification_at": IN_TIME}, 0.3),
        ({"n_clarifications": 9, "last_clarification_at": IN_TIME}, 0.3),
        ({"status": "failed"}, 0.3),
        ({"retender_of_tender_id": "N-0"}, 0.3),
        ({"status": "terminated"}, 0.0),
        ({"n_clarifications": 3, "last_clarification_at": DEADLINE, "status": "failed"}, 1.0),
    ],
)
def test_a_tender_is_rated(tender: dict[str, Any], expected: float) -> None:
    assert irregularity(**tender) == (pytest.approx(expected), 1, 1)


@pytest.mark.parametrize(
    ("tender", "late"),
    [
        (late_on(IN_TIME.replace(hour=23)), False),  # fifteen calendar days, whatever the hour
        (late_on((IN_TIME + dt.timedelta(days=1)).replace(hour=0)), True),
        (late_on(DEADLINE + dt.timedelta(days=1)), True),
        (late_on(DEADLINE, clarification_material=True), True),
        (late_on(DEADLINE, clarification_material=None), True),
        (late_on(DEADLINE, clarification_material=False), False),
    ],
)
def test_a_clarification_is_late_against_the_final_deadline(tender: dict[str, Any], late: bool) -> None:
    assert irregularity(**tender)[0] == pytest.approx(0.4 * late)


@pytest.mark.parametrize(
    "tender",
    [
        {"n_clarifications": None},
        {"n_clarifications": 1, "last_clarification_at": None},
        {"n_clarifications": 1, "last_clarification_at": IN_TIME, "bid_deadline_at": None},
        {"n_clarifications": 1, "last_clarification_at": AFTER},
    ],
)
def test_a_tender_of_which_not_all_is_known_counts_only_as_seen(tender: dict[str, Any]) -> None:
    assert irregularity(**tender) == (None, 0, 1)


def test_that_a_tender_failed_after_the_moment_is_not_known() -> None:
    assert irregularity(status="failed", evaluation_end_at=AFTER)[0] == 0.0


def test_an_agency_is_set_against_those_with_enough_tenders_itself_included() -> None:
    world = World()
    for place, clarifications in enumerate((0, 0, 1, 3)):
        about = {"n_clarifications": clarifications, "last_clarification_at": IN_TIME, "bid_deadline_at": DEADLINE}
        lot(world, str(place), agency=f"G{place}", tender=about)
    lot(world, "unknown", agency="Z")

    found = row(AgencyIrregularity, world, "G3")

    # irr is 0, 0, 0.1, 0.3: median 0.05, deviations 0.05, 0.05, 0.05, 0.25.
    assert (found["median"], found["mad"]) == (pytest.approx(0.05), pytest.approx(0.05))
    assert row(AgencyIrregularity, world, "Z")["irregularity"] is None


# SI-066: secret references.


def hits(world: World, subject: str = "G", role: str = "agency") -> tuple[int, int, int, int]:
    found = row(ReferenceHit, world, subject, role=role)
    return (found["n_near"], found["n_lots"], found["n_near_market"], found["n_lots_market"])


def references() -> World:
    """Return a world where winners came near one of two secret estimates under G and one of three elsewhere."""
    world = World()
    for name, price, agency in (("1", 1003, "G"), ("2", 1003.01, "G"), ("3", 997, "H"), ("4", 996.99, "H")):
        secret(world, name, price, agency)
    secret(world, "5", 1100, agency=None, tender={"tenderer_org_id": "U"})
    return world


def test_winners_near_a_secret_estimate_are_counted_here_and_in_the_market() -> None:
    assert hits(references()) == (1, 2, 1, 3)
    assert hits(references(), "H") == (1, 2, 1, 3)
    assert hits(references(), "T", "tenderer") == (2, 4, 0, 1)
    assert hits(references(), "U", "tenderer") == (0, 1, 2, 4)


def test_only_lots_of_the_same_markets_are_compared() -> None:
    world = references()
    secret(world, "6", 1000, "H", category_code="Z.9")
    secret(world, "7", 1000, "H", city="9999")

    assert hits(world) == (1, 2, 1, 3)


@pytest.mark.parametrize("published", [True, None])
def test_an_estimate_counts_only_if_it_is_known_to_be_unpublished(published: bool | None) -> None:
    world = references()
    secret(world, "6", 1000, tender={"estimate_published": published})

    assert hits(world) == (1, 2, 1, 3)


def test_a_tenders_estimate_is_that_of_its_only_lot() -> None:
    world = references()
    secret(world, "6", 500, tender={"estimate_price": Decimal(500)}, estimate_price=None)
    assert hits(world) == (2, 3, 1, 3)

    world.rows["lot"].append({**world.rows["lot"][-1], "lot_id": "6b", "lot_no": "2"})
    assert hits(world) == (1, 2, 1, 3)


def test_undecided_and_direct_lots_do_not_count() -> None:
    world = references()
    lot(world, "6", bids=["A", "B"], estimate_price=Decimal(100), tender={"estimate_published": False})
    secret(world, "7", 1000, tender={"method": "direct_award"})
    secret(world, "decided later", 1000)
    world.rows["award"][-1]["notice_issued_at"] = AFTER

    assert hits(world) == (1, 2, 1, 3)


def test_an_organisation_without_any_secret_reference_is_told_so() -> None:
    world = references()
    lot(world, "6", agency="J", bids=["A", "B"], wins=["A"])

    assert hits(world, "J") == (0, 0, 0, 0)
    assert value(world, "SI-066", "J")["null_reason"] == "too_few_observations"


@pytest.mark.parametrize(
    ("bid", "amount", "near"),
    [(1000, 900, True), (900, 1000, False), (None, 1000, True), (None, None, None)],
)
def test_the_price_that_was_bid_counts_and_else_the_amount_awarded(
    bid: float | None, amount: float | None, near: bool | None
) -> None:
    world = World()
    lot(
        world,
        "1",
        bids=[Offer("A", bid), Offer("B", 2000)],
        wins=[Win("A", amount)],
        estimate_price=Decimal(1000),
        tender={"estimate_published": False},
    )

    assert hits(world)[:2] == (int(near is True), int(near is not None))


def test_the_bid_that_the_award_names_is_its_price() -> None:
    world = World()
    secret(world, "1", 1000)
    world.rows["award"][-1]["bid_id"] = next(bid["bid_id"] for bid in world.rows["bid"] if bid["bidder_org_id"] == "B")

    assert hits(world)[:2] == (0, 1)


DRAWN = '{"type": "random_k", "k": 0.9}'


def benchmark(rule: str, winner: float = 990, **about: Any) -> tuple[int, int]:
    """Return hits and lots where 990, 1100 and 1210 were bid, so that their mean is 1100."""
    world = World()
    bids = [Offer("A", winner), Offer("B", 1100), Offer("C", 1210 + 990 - winner), Offer("D", 5, OUT)]
    lot(world, "1", bids=bids, wins=[Win("A", winner)], tender={"benchmark_rule": rule}, **about)
    return hits(world)[:2]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (DRAWN, (1, 1)),  # 0.9 * 1100 = 990
        ('{"type": "random_k", "k": 0.95}', (0, 1)),
        ('{"type": "random_k"}', (0, 0)),
        ('{"type": "mean_times_k", "k": 0.9}', (0, 0)),
        ('{"type": "random_k", "k": 0.9, "trim": 1}', (1, 1)),
        ('{"type": "random_k", "k": 0.9, "trim": 2}', (0, 0)),
        ('{"type": "random_k", "k": 0.9, "weight_control_price": 0.5}', (0, 1)),  # 0.9 * (0.5 * 1300 + 0.5 * 1100)
    ],
)
def test_a_benchmark_counts_when_its_factor_was_drawn_and_recorded(rule: str, expected: tuple[int, int]) -> None:
    assert benchmark(rule, control_price=Decimal(1300)) == expected


def test_a_benchmark_needs_every_valid_price_and_the_control_price_that_weighs_in() -> None:
    assert benchmark(DRAWN, bids_complete=False) == (0, 0)
    assert benchmark('{"type": "random_k", "k": 0.9, "weight_control_price": 0.5}') == (0, 0)

    world = World()
    lot(world, "1", bids=[Offer("A", 990), Offer("B", None)], wins=["A"], tender={"benchmark_rule": DRAWN})
    assert hits(world)[:2] == (0, 0)


def test_a_leak_fires_in_a_whole_run() -> None:
    world = World()
    for place in range(8):
        secret(world, f"here{place}", 1000 if place < 5 else 900, opening=days_ago(600))
        secret(world, f"else{place}", 900, "H", tender={"tenderer_org_id": "U"})

    found = value(world, "SI-066")

    assert found["raw_value"] == pytest.approx(5 / 8)
    assert found["triggered"]
