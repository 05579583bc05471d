"""Who paid and uploaded together, in worlds made by hand."""

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from features.build import indicator_values
from features.derive.bid_timing import TimingCluster
from features.tables.source import SourceTables
from tests.worlds import AFTER, AS_OF, Frames, Offer, World, days_ago, shuffled

OPENING = days_ago(100)
DEADLINE = OPENING - dt.timedelta(minutes=30)
PARAMS = {"bond_gap_min": 10, "upload_gap_min": 10, "closing_hours": 2, "window_months": 24}
EVENING = DEADLINE - dt.timedelta(hours=14)


def derived(frames: Frames, as_of: dt.datetime = AS_OF) -> pl.DataFrame:
    source = SourceTables({name: frame.lazy() for name, frame in frames.items()})
    return pl.DataFrame(TimingCluster.validate(TimingCluster.derive(source, as_of, **PARAMS).collect())).sort(
        "subject_id"
    )


def row(world: World, lot: str = "L") -> dict[str, Any]:
    return derived(world.frames()).row(by_predicate=pl.col("subject_id") == lot, named=True)


def minutes(*after: float) -> list[dt.datetime]:
    """Return instants so many minutes after an evening before the deadline."""
    return [EVENING + dt.timedelta(minutes=one) for one in after]


def uploads(
    *at: dt.datetime | None,
    bidders: str = "ABCDEFGH",
    deadline: dt.datetime | None = DEADLINE,
    bids_complete: bool | None = True,
) -> World:
    """Return a world of one lot, with a bid uploaded at each moment, and an old lot that makes the history long."""
    world = World()
    add(world, "L", *at, bidders=bidders, deadline=deadline, bids_complete=bids_complete)
    world.lot("old", bids=["X"], opening=days_ago(700))
    return world


def add(
    world: World,
    lot: str,
    *at: dt.datetime | None,
    bidders: str = "ABCDEFGH",
    opening: dt.datetime = OPENING,
    deadline: dt.datetime | None = DEADLINE,
    bids_complete: bool | None = True,
) -> None:
    tender = {"bid_deadline_at": deadline}
    world.lot(lot, bids=list(bidders[: len(at)]), opening=opening, tender=tender, bids_complete=bids_complete)
    for bid, moment in zip(world.rows["bid"][-len(at) :], at, strict=True):
        bid["submitted_at"] = moment


def bonds(*columns: dict[str, Any], bidders: str = "ABCDEFGH") -> World:
    """Return a world of one lot, each bid with a bond."""
    world = uploads(*[None] * len(columns), bidders=bidders)
    for number, one in enumerate(columns):
        key = {"bond_id": f"G{number}", "bid_id": world.rows["bid"][number]["bid_id"], "lot_id": "L"}
        world.rows["bond_payment"].append({**key, "form": "transfer", "amount": 1, **one})
    return world


def paid(*after: float, bank: str | None = "branch") -> list[dict[str, Any]]:
    return [{"paid_at": moment, "payer_bank": bank} for moment in minutes(*after)]


def guarantees(*numbers: str | None, issuer: str | None = "bank") -> list[dict[str, Any]]:
    return [{"guarantee_no": number, "guarantee_issuer_org_id": issuer} for number in numbers]


# Uploads.


@pytest.mark.parametrize(
    ("after", "together"),
    [
        ([0, 5, 10], 3),  # the gap itself counts
        ([0, 5, 10.001], 2),
        ([0, 30, 60], 0),
        ([0, 0, 0, 0], 4),
        ([0, 9, 18, 27], 2),  # neighbours do not make a chain
        ([0, 60, 61, 62, 200, 201], 3),
        ([5], 0),
    ],
)
def test_the_largest_set_lies_within_the_gap(after: list[float], together: int) -> None:
    found = row(uploads(*minutes(*after)))

    assert (found["g_uploads"], found["g_bonds"]) == (together, 0)
    assert (found["n_submitted"], found["n_timed"]) == (len(after), len(after))


def test_a_bidder_counts_once_in_a_set() -> None:
    assert row(uploads(*minutes(0, 1, 2), bidders="AAB"))["g_uploads"] == 2
    assert row(uploads(*minutes(0, 1, 2), bidders="AAA"))["g_uploads"] == 0


def test_uploads_of_the_closing_hours_do_not_count_and_two_hours_before_do() -> None:
    before = DEADLINE - dt.timedelta(hours=2)

    assert row(uploads(before, before, before))["g_uploads"] == 3
    late = before + dt.timedelta(microseconds=1)
    found = row(uploads(before, late, late, DEADLINE))
    assert (found["g_uploads"], found["n_timed"]) == (0, 4)


def test_without_a_deadline_or_a_time_uploads_cannot_be_compared() -> None:
    found = row(uploads(*minutes(0, 1), deadline=None))
    assert (found["g_uploads"], found["n_timed"]) == (0, 0)

    assert row(uploads(EVENING, None, EVENING))["n_timed"] == 2


def test_withdrawn_bids_and_lots_not_opened_do_not_count() -> None:
    world = uploads(*minutes(0, 1, 2))
    world.rows["bid"][2]["status"] = "withdrawn"
    add(world, "later", *minutes(0, 1, 2), opening=AFTER)

    assert (row(world)["g_uploads"], row(world)["n_submitted"]) == (2, 2)
    assert set(derived(world.frames()).get_column("subject_id")) == {"L", "old"}


# Bonds.


def test_bonds_paid_within_the_gap_at_one_branch_are_a_set() -> None:
    found = row(bonds(*paid(0, 5, 10), *paid(3, 4, bank="elsewhere")))

    assert (found["g_bonds"], found["g_uploads"], found["n_timed"]) == (3, 0, 5)


def test_no_branch_is_not_one_branch() -> None:
    found = row(bonds(*paid(0, 1, bank=None), *paid(0, 1, bank=" ")))

    assert (found["g_bonds"], found["n_timed"]) == (0, 0)


@pytest.mark.parametrize(
    ("numbers", "together"),
    [
        (["BH0009", "BH0010", "BH0011"], 3),
        (["9", "10"], 2),
        (["BH-2024-7", "BH-2024-9"], 0),
        (["BH1", "BH2", "BH4", "BH5", "BH6"], 3),
        (["BH7", "BH7"], 0),
        (["AH1", "BH2"], 0),
        (["BH1X", "BH2X"], 0),
        (["123456789012345678901", "123456789012345678902"], 2),
        ([None, None], 0),
    ],
)
def test_guarantees_whose_last_digits_step_by_one_are_a_set(numbers: list[str | None], together: int) -> None:
    assert row(bonds(*guarantees(*numbers)))["g_bonds"] == together


def test_guarantees_of_two_issuers_or_of_none_are_not_consecutive() -> None:
    assert row(bonds(*guarantees("BH1", issuer="x"), *guarantees("BH2", issuer="y")))["g_bonds"] == 0
    found = row(bonds(*guarantees("BH1", "BH2", issuer=None)))
    assert (found["g_bonds"], found["n_timed"]) == (0, 0)


def test_payments_after_the_moment_are_not_known() -> None:
    world = bonds(*paid(0, 1), {"paid_at": AFTER, "payer_bank": "branch"})

    assert row(world)["n_timed"] == 2


# Repeats.


def repeats(
    *earlier: Sequence[dt.datetime | None] | None, bidders: str = "ABC", days: float = 200, **columns: Any
) -> int:
    """Count repeats of A before B before C, whose uploads in an earlier lot are given."""
    world = uploads(*minutes(0, 1, 2))
    for number, at in enumerate(earlier):
        opening = days_ago(days) + dt.timedelta(hours=number)
        add(world, f"E{number}", *(at or minutes(0, 50, 100)), bidders=bidders, opening=opening)
    return row(world)["n_repeats"]


def test_earlier_lots_with_the_same_set_in_the_same_order_are_counted() -> None:
    assert repeats(None, None) == 2


def test_others_may_come_between_but_none_may_be_absent() -> None:
    assert repeats(minutes(0, 1, 2, 3, 4), bidders="AXBYC") == 1
    assert repeats(minutes(0, 1), bidders="AB") == 0
    assert repeats([EVENING, None, EVENING], bidders="ABC") == 0


def test_another_order_is_no_repeat() -> None:
    assert repeats(minutes(2, 1, 3)) == 0


@pytest.mark.parametrize(("days", "found"), [(100, 0), (99, 0), (729, 1), (731, 0)])
def test_earlier_lots_opened_before_this_one_within_the_window(days: float, found: int) -> None:
    assert repeats(None, days=days) == found  # the window began on 30 June 2023


def test_the_earliest_of_equal_sets_is_looked_for() -> None:
    world = uploads(*minutes(0, 1, 300, 301))
    add(world, "E", *minutes(0, 1), bidders="CD", opening=days_ago(200))
    add(world, "F", *minutes(1, 0), bidders="BA", opening=days_ago(201))

    assert row(world)["n_repeats"] == 1


def test_a_set_of_payers_is_looked_for_in_its_order_of_upload() -> None:
    world = bonds(*paid(0, 1))
    for bid, moment in zip(world.rows["bid"], minutes(400, 100), strict=False):
        bid["submitted_at"] = moment
    add(world, "E", *minutes(9, 0), bidders="AB", opening=days_ago(200))
    add(world, "F", *minutes(0, 9), bidders="AB", opening=days_ago(201))

    assert row(world)["n_repeats"] == 1


# What else is said.


def test_evidence_names_bids_and_bonds_of_the_larger_set() -> None:
    world = bonds(*paid(0, 1, 100))
    world.rows["bid"][1]["submitted_at"] = EVENING

    shown = [(one["table"], one["key"]) for one in json.loads(row(world)["evidence"])]

    assert shown == [("bid", "B-L-0001"), ("bond_payment", "G0"), ("bond_payment", "G1")]
    assert row(uploads(*minutes(0, 100)))["evidence"] == "[]"


def test_history_is_short_when_less_than_half_of_the_window_is_covered() -> None:
    world = uploads(*minutes(0, 1))
    assert not row(world)["short_history"]

    world.rows["tender"][-1]["opening_at"] = days_ago(300)
    assert row(world)["short_history"]


def test_unpublished_bids_are_told() -> None:
    assert row(uploads(*minutes(0, 1), bids_complete=None))["bids_complete"]
    assert not row(uploads(*minutes(0, 1), bids_complete=False))["bids_complete"]


def test_a_ring_fires_in_a_whole_run() -> None:
    world = uploads(*minutes(0, 4, 8, 300))
    values = indicator_values(world.source(), AS_OF).filter(pl.col("indicator_id") == "SI-019")

    found = values.row(by_predicate=pl.col("subject_id") == "L", named=True)

    assert (found["raw_value"], found["triggered"]) == (0.75, True)
    assert values.row(by_predicate=pl.col("subject_id") == "old", named=True)["null_reason"] == "missing_source"


def busy() -> World:
    world = bonds(*paid(0, 1, 2), *guarantees("BH1", "BH2"))
    for bid, moment in zip(world.rows["bid"], minutes(0, 1, 2, 300, 301), strict=False):
        bid["submitted_at"] = moment
    add(world, "E", *minutes(0, 1, 2), opening=days_ago(200))
    return world


def test_rows_known_later_change_nothing() -> None:
    world = busy()
    before = derived(world.frames())
    add(world, "later", *minutes(0, 1, 2), opening=AFTER)
    world.bids("E", Offer("Z", status="withdrawn"))
    world.rows["bid"][-1]["submitted_at"] = EVENING
    key = {"bond_id": "G9", "bid_id": world.rows["bid"][4]["bid_id"], "lot_id": "L", "form": "transfer", "amount": 1}
    world.rows["bond_payment"].append({**key, "paid_at": AFTER, "payer_bank": "branch"})

    assert derived(world.frames()).equals(before)


def test_the_order_of_rows_changes_nothing() -> None:
    frames = busy().frames()

    assert derived(shuffled(frames, seed=2)).equals(derived(frames))
