"""First and later contracts, incumbents and disqualified rivals, in worlds made by hand."""

import json
from typing import Any

import polars as pl
import pytest

from features.derive.derived import Derived
from features.derive.tenderer_history import ContractGrowth, DisqualifiedRivals, IncumbentRecord
from features.tables.source import SourceTables
from tests.contracts import AS_OF as SIGNED_BY
from tests.contracts import Rows, at, both, contract
from tests.contracts import derived as derived_rows
from tests.worlds import AS_OF, Offer, Win, World, days_ago

# SI-004: growth.


def grown(*rows: Rows) -> dict[str, dict[str, Any]]:
    return derived_rows(
        ContractGrowth, both(*rows), SIGNED_BY, key="supplier_org_id", window_months=60, follow_months=24
    )


def signed(*when: tuple[str, float | None], org: str = "W", **columns: Any) -> Rows:
    """Return contracts of T with W without tender, signed on the days and for the amounts given."""
    rows = [
        contract(f"{org}-{one}", party_b_org_id=org, signed_at=at(one), amount=amount, lot_id=None, **columns)
        for one, amount in when
    ]
    return {"contract": rows}


def growth(*rows: Rows) -> tuple[Any, ...]:
    row = grown(*rows)["W"]
    return row["first_amount"], row["n_later"], row["largest_amount"]


def test_the_largest_contract_that_followed_the_first() -> None:
    row = grown(signed(("2024-01-10", 100), ("2024-06-01", 700), ("2025-01-01", 300)))["W"]

    assert (row["subject_id"], row["tenderer_org_id"]) == ("organisation:T~organisation:W", "T")
    assert (row["first_amount"], row["first_method"], row["first_below_limit"]) == (100, None, True)
    assert (row["n_later"], row["largest_amount"]) == (2, 700)
    assert len(json.loads(row["evidence"])) == 3


@pytest.mark.parametrize(("last", "n"), [("2026-01-10", 1), ("2026-01-11", 0)])
def test_what_follows_counts_for_so_many_months(last: str, n: int) -> None:
    assert growth(signed(("2024-01-10", 100), (last, 700)))[1] == n


@pytest.mark.parametrize(
    ("before", "first"),
    [("2020-01-11", 1), ("2020-01-10", 100)],  # exactly 60 months before lies outside
)
def test_the_first_is_the_latest_that_had_none_in_the_months_before(before: str, first: int) -> None:
    assert growth(signed((before, 1), ("2025-01-10", 100), ("2025-02-01", 700)))[0] == first


def test_supplements_drafts_and_contracts_of_later_do_not_count() -> None:
    rows = [
        signed(("2024-01-10", 100)),
        signed(("2024-02-10", 800), supplement_of_contract_id="W-2024-01-10"),
        signed(("2024-03-10", 800), status="draft"),
        signed(("2026-07-01", 800)),
    ]

    assert growth(*rows) == (100, 0, None)


def test_a_terminated_contract_was_a_contract() -> None:
    assert growth(signed(("2024-01-10", 100)), signed(("2024-02-10", 800), status="terminated"))[1] == 1


def test_a_control_group_is_one_supplier() -> None:
    orgs = {"organisation": [{"org_id": key, "name": key, "group_id": "G"} for key in ("V", "W")]}
    found = grown(signed(("2024-01-10", 100)), signed(("2024-02-10", 800), org="V"), orgs)

    assert {key: (row["first_amount"], row["largest_amount"]) for key, row in found.items()} == {"V": (100, 800)}


def test_contracts_of_one_moment_follow_none_of_each_other() -> None:
    rows = [signed(("2024-01-10", 500)), {"contract": [contract("A", signed_at=at("2024-01-10"), amount=100)]}]

    assert growth(*rows) == (100, 0, None)  # the first by its id


def test_missing_amounts_stay_missing() -> None:
    assert growth(signed(("2024-01-10", None), ("2024-02-10", None))) == (None, 1, None)
    assert growth(signed(("2024-01-10", 100), ("2024-02-10", None), ("2024-03-10", 5))) == (100, 2, 5)


def test_how_the_first_contract_was_awarded() -> None:
    tender = {"tender_id": "N", "project_id": "P", "method": "public_tender", "opening_at": at("2023-12-01")}
    row = grown(signed(("2024-01-10", 5_000_000), tender_id="N"), {"tender": [tender]})["W"]

    assert (row["first_method"], row["first_below_limit"]) == ("public_tender", False)


@pytest.mark.parametrize(("first", "short"), [("2021-06-30", False), ("2021-07-01", True)])
def test_history_is_that_of_the_tenderer(first: str, short: bool) -> None:
    rows = [signed((first, 1), org="X"), signed(("2025-01-10", 100))]

    assert grown(*rows)["W"]["short_history"] is short


# SI-005 and SI-009: lots.


def derived(table: type[Derived], world: World, as_of: Any = AS_OF) -> dict[str, dict[str, Any]]:
    """Derive a table, in either order of the rows, and return its rows by subject."""
    frames = world.frames()
    turned = SourceTables({name: rows.reverse().lazy() for name, rows in frames.items()})
    frame = table.derive(world.source(), as_of, window_months=36).collect()
    assert frame.equals(table.derive(turned, as_of, window_months=36).collect())
    checked = pl.DataFrame(table.validate(frame))
    found = {row["subject_id"]: row for row in checked.iter_rows(named=True)}
    assert len(found) == checked.height
    return found


def contest(world: World, name: str, winner: str, *others: str | Offer, days: float = 100, **columns: Any) -> None:
    world.lot(name, bids=[winner, *others], wins=[winner], opening=days_ago(days), **columns)


def incumbency(world: World) -> tuple[int, int, int, float | None]:
    row = derived(IncumbentRecord, world)["T"]
    return row["n_lots"], row["n_lots_all"], row["n_won"], row["chance"]


def sequel(**columns: Any) -> World:
    """Return a lot that A won, and a later one with A, B and C that A won too."""
    world = World()
    contest(world, "1", "A", "B", days=300)
    contest(world, "2", "A", "B", "C", days=200, **columns)
    return world


def test_the_winner_of_the_lot_before_is_the_incumbent() -> None:
    world = sequel()
    contest(world, "3", "B", "A", days=100)  # A was the incumbent
    contest(world, "4", "C", "A", days=50)  # B was, and did not bid

    assert incumbency(world) == (2, 2, 1, pytest.approx((1 / 3 + 1 / 2) / 2))
    evidence = json.loads(derived(IncumbentRecord, world)["T"]["evidence"])
    assert {row["fields"]["lot_id"] for row in evidence} == {"2", "3"}


def test_a_first_lot_has_no_incumbent() -> None:
    world = World()
    contest(world, "1", "A", "B")

    assert incumbency(world) == (0, 0, 0, None)


@pytest.mark.parametrize(
    "columns", [{"category_code": "B.9"}, {"category_code": None}, {"tender": {"method": "direct_award"}}]
)
def test_another_category_has_no_incumbent_and_a_direct_award_is_not_counted(columns: dict[str, Any]) -> None:
    assert incumbency(sequel(**columns))[0] == 0


def test_two_levels_of_the_category_count_whatever_is_bought_and_wherever() -> None:
    assert incumbency(sequel(category_code="A.1.7", city="9999", tender={"object_type": "goods"}))[0] == 1


def test_a_direct_award_before_makes_an_incumbent() -> None:
    world = World()
    world.lot("1", wins=["A"], opening=days_ago(300), tender={"method": "direct_award"})
    contest(world, "2", "A", "B", days=200)

    assert incumbency(world) == (1, 1, 1, 0.5)


def test_lots_of_one_day_have_the_same_incumbent() -> None:
    world = sequel()
    contest(world, "3", "B", "A", days=200)

    assert incumbency(world) == (2, 2, 1, pytest.approx((1 / 3 + 1 / 2) / 2))


def test_all_winners_of_the_last_moment_are_incumbents() -> None:
    world = World()
    contest(world, "1", "A", "B", days=300)
    contest(world, "2", "B", "A", days=300)
    contest(world, "3", "B", "C", days=200)

    assert incumbency(world)[:3] == (1, 1, 1)


def test_other_tenderers_and_undecided_lots_before_make_no_incumbent() -> None:
    world = World()
    contest(world, "1", "B", "A", days=400)
    contest(world, "2", "A", "B", days=300, tenderer="U")
    world.lot("3", bids=["A"], opening=days_ago(250))
    world.lot("4", bids=["A", "B"], wins=[Win("A", at=AS_OF.replace(year=2026))], opening=days_ago(240))
    contest(world, "5", "A", "C", days=200)

    assert incumbency(world) == (0, 0, 0, None)


def test_a_group_is_one_incumbent_and_one_bidder() -> None:
    world = World()
    world.group("G", "A", "B")
    contest(world, "1", "A", "C", days=300)
    contest(world, "2", "B", "A", "C", days=200)

    assert incumbency(world) == (1, 1, 1, 0.5)


def test_an_incumbent_whose_bid_was_disqualified_did_not_bid_validly() -> None:
    world = World()
    contest(world, "1", "A", "B", days=300)
    contest(world, "2", "B", Offer("A", status="disqualified"), days=200)

    assert incumbency(world) == (0, 0, 0, None)


def test_lots_whose_bids_are_not_all_published_are_counted_apart() -> None:
    assert incumbency(sequel(bids_complete=False)) == (0, 1, 0, None)


def test_a_lot_opened_later_changes_nothing() -> None:
    world = sequel()
    before = incumbency(world)
    contest(world, "9", "A", "B", days=-10)

    assert incumbency(world) == before


def rivals(world: World, winner: str = "A") -> tuple[int, int, int, float | None, int]:
    row = derived(DisqualifiedRivals, world)[f"organisation:{winner}~organisation:T"]
    return row["n_wins"], row["n_wins_all"], row["n_contested"], row["disqualified_share"], row["n_cleared"]


def out(org: str, price: float | None = 100.0) -> Offer:
    return Offer(org, price, "disqualified")


def test_the_mean_share_of_rivals_disqualified() -> None:
    world = World()
    contest(world, "1", "A", out("B", 200), "C")
    contest(world, "2", "A", out("B", 200), out("C", 200), "D", "E")
    contest(world, "3", "A", "B")

    assert rivals(world) == (3, 3, 3, pytest.approx((1 / 2 + 1 / 2 + 0) / 3), 0)
    evidence = json.loads(derived(DisqualifiedRivals, world)["organisation:A~organisation:T"]["evidence"])
    assert len(evidence) == 6


@pytest.mark.parametrize(
    ("offers", "method", "cleared"),
    [
        ([out("B", 200), out("C", 200)], "comprehensive", 1),  # everybody is out
        ([out("B", 90), Offer("C", 200)], "lowest_evaluated", 1),  # the lowest is out
        ([out("B", 90), Offer("C", 200)], "comprehensive", 0),
        ([out("B", 110), Offer("C", 200)], "lowest_evaluated", 0),  # the winner was the lowest
        ([out("B", 90), Offer("C", 90)], "lowest_evaluated", 0),  # another lowest stands
        ([out("B", 0), Offer("C", 200)], "lowest_evaluated", 0),  # no price
        ([out("B", None), Offer("C", 200)], "lowest_evaluated", 0),
        ([Offer("B", 90, "rejected"), Offer("C", 200)], "lowest_evaluated", 0),
        ([Offer("B", 90, "withdrawn"), out("C", 200)], "comprehensive", 1),
    ],
)
def test_when_a_lot_was_cleared_of_rivals(offers: list[Offer], method: str, cleared: int) -> None:
    world = World()
    contest(world, "1", "A", *offers, tender={"evaluation_method": method})

    assert rivals(world)[4] == cleared


def test_lots_without_rivals_are_left_out_of_the_mean_and_stay_wins() -> None:
    world = World()
    contest(world, "1", "A", out("B", 200))
    contest(world, "2", "A")
    world.lot("3", wins=["A"], tender={"method": "direct_award"})

    assert rivals(world) == (3, 3, 1, 1.0, 1)


def test_the_winners_group_is_no_rival_and_one_winner() -> None:
    world = World()
    world.group("G", "A", "B")
    contest(world, "1", "B", out("A", 200), "C")
    contest(world, "2", "A", "C")

    assert rivals(world) == (2, 2, 2, 0.0, 0)


def test_wins_whose_bids_are_not_all_published_are_counted_apart() -> None:
    world = World()
    contest(world, "1", "A", out("B", 200), bids_complete=False)

    assert rivals(world) == (0, 1, 0, None, 0)


@pytest.mark.parametrize(("days", "n"), [(-1, 0), (0.5, 1), (1090, 1), (1100, 0)])
def test_the_window_runs_on_the_award(days: float, n: int) -> None:
    world = World()
    world.lot("1", bids=["A", "B"], wins=[Win("A", at=days_ago(days))], opening=days_ago(1200))

    assert len(derived(DisqualifiedRivals, world)) == n
