"""How evaluations ran, in worlds made by hand."""

import datetime as dt
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.build import indicator_values
from features.derive.evaluation_process import EvaluationRun
from tests.panels import add, mark, rank, seat, source_of
from tests.worlds import AFTER, AS_OF, Offer, World, days_ago

START = days_ago(100)


def derived(world: World, **about: Any) -> pl.DataFrame:
    return pl.DataFrame(EvaluationRun.validate(EvaluationRun.derive(source_of(world, **about), AS_OF).collect()))


def run(world: World, lot_id: str = "L") -> dict[str, Any]:
    return derived(world).row(by_predicate=pl.col("lot_id") == lot_id, named=True)


def evaluated(*bids: Offer | str, minutes: float | None = 90, name: str = "L", **lot: Any) -> World:
    """Return a lot whose evaluation began at its opening 100 days ago."""
    world = World()
    end = None if minutes is None else START + dt.timedelta(minutes=minutes)
    tender = {"evaluation_start_at": START, "evaluation_end_at": end, **lot.pop("tender", {})}
    world.lot(name, bids=bids or ("A", "B"), tender=tender, **lot)
    return world


def pages(world: World, bid: int, *counts: int | None) -> None:
    """Add files of a bid with so many pages each."""
    for count in counts:
        bid_id = world.rows["bid"][bid]["bid_id"]
        add(world, "bid_document_fingerprint", bid_id=bid_id, file_kind="whole", file_hash="h", page_count=count)


# How fast.


def test_minutes_bids_and_pages() -> None:
    world = evaluated("A", "B", "C")
    pages(world, 0, 100, 50)
    pages(world, 1, 250, None)

    found = run(world)
    assert (found["minutes"], found["n_valid"], found["mean_pages"]) == (90.0, 3, 200.0)


@pytest.mark.parametrize(
    ("status", "n_valid"), [("abandoned", 2), ("disqualified", 1), ("rejected", 1), ("withdrawn", 1)]
)
def test_only_valid_bids_and_their_pages_count(status: str, n_valid: int) -> None:
    world = evaluated("A", Offer("B", 1, status))
    pages(world, 0, 100)
    pages(world, 1, 300)

    found = run(world)
    assert (found["n_valid"], found["mean_pages"]) == (n_valid, 200.0 if n_valid == 2 else 100.0)


@pytest.mark.parametrize("minutes", [None, -1])
def test_without_an_end_after_the_start_there_is_no_time(minutes: float | None) -> None:
    assert run(evaluated(minutes=minutes))["minutes"] is None


def test_an_evaluation_that_has_not_ended_or_begun_has_no_time() -> None:
    for times in ({"evaluation_end_at": AFTER}, {"evaluation_start_at": AFTER, "evaluation_end_at": AFTER}):
        found = run(evaluated(tender=times))
        assert found["minutes"] is None
        assert "2025-07" not in found["evidence"]


def test_no_page_counts_are_no_pages() -> None:
    world = evaluated()
    pages(world, 0, None)

    assert run(world)["mean_pages"] is None


def test_every_opened_lot_with_a_bid_has_a_row() -> None:
    world = evaluated()
    world.lot("direct", bids=["A"], tender={"method": "direct_award"})
    world.lot("empty", wins=["A"])
    world.lot("withdrawn", bids=[Offer("A", 1, "withdrawn")])
    world.lot("later", bids=["A"], opening=AFTER)

    assert derived(world).get_column("lot_id").to_list() == ["L", "direct"]


# Which marks were changed.


def marked(*totals: float | None) -> World:
    """Return a lot where the two members gave A 80 and 70, and B 70 and 70."""
    world = evaluated()
    seat(world, "L", "1", "2")
    mark(world, "L", {"1": [80, 70], "2": [70, 70]})
    rank(world, "L", *(totals or (85, 80)))
    return world


def revise(world: World, score: int, before: float) -> None:
    world.rows["evaluation_score"][score]["revised_from"] = before


def test_changed_marks_are_counted() -> None:
    world = marked()
    mark(world, "L", {"1": [5, 5]}, factor="F2", is_subjective=False, revised_from=1)
    assert (run(world)["n_cells"], run(world)["n_revised"], run(world)["flipped"]) == (4, 0, False)

    revise(world, 0, 79)
    assert (run(world)["n_cells"], run(world)["n_revised"], run(world)["flipped"]) == (4, 1, False)
    assert '"revised_from":"79.0"' in run(world)["evidence"]


def test_a_flip_is_another_first_bid_with_the_marks_before_revision() -> None:
    world = marked()
    revise(world, 0, 70)  # A had 5 points less in the mean: a tie
    assert not run(world)["flipped"]

    revise(world, 0, 69.9)
    assert run(world)["flipped"]


def test_changed_marks_of_a_rival_may_flip_too() -> None:
    world = marked()
    revise(world, 1, 81)  # B had 5.5 points more

    assert run(world)["flipped"]


def test_without_total_scores_nothing_flips() -> None:
    world = marked(85, None)
    revise(world, 0, 0)

    assert (run(world)["n_revised"], run(world)["flipped"]) == (1, False)


def test_changes_are_not_known_before_the_evaluation_has_ended() -> None:
    world = marked()
    revise(world, 0, 0)
    for score in world.rows["evaluation_score"]:
        score["scored_at"] = START
    world.rows["tender"][0]["evaluation_end_at"] = AFTER

    assert (run(world)["n_cells"], run(world)["n_revised"], run(world)["flipped"]) == (4, 0, False)


# In a whole run.


def test_a_rushed_evaluation_fires_among_thirty_peers() -> None:
    world = World()
    for place in range(31):
        start = days_ago(400 - place)
        minutes = 100 + place % 3 if place < 30 else 5
        world.lot(
            f"P{place:02}",
            bids=["A", "B", "C"],
            opening=start,
            tender={"evaluation_start_at": start, "evaluation_end_at": start + dt.timedelta(minutes=minutes)},
        )
        pages(world, 3 * place, 100)

    values = indicator_values(source_of(world), AS_OF).filter(indicator_id="SI-075")

    assert values.filter("triggered").get_column("subject_id").to_list() == ["P30"]
    assert values.get_column("null_reason").value_counts().filter(null_reason="too_few_observations")["count"][0] == 30


def busy() -> World:
    world = marked()
    revise(world, 0, 60)
    pages(world, 0, 10, 20, 33)
    pages(world, 1, 7)
    world.lot("M", bids=["A", "B"], opening=days_ago(50))
    return world


def test_rows_after_the_moment_change_nothing() -> None:
    world = busy()
    world.lot("later", bids=["A", "B"], opening=AFTER)
    pages(world, -1, 99)
    mark(world, "L", {"1": [1, 99]}, factor="late", scored_at=AFTER)

    assert_frame_equal(derived(world), derived(busy()))


def test_the_order_of_rows_changes_nothing() -> None:
    assert_frame_equal(derived(busy(), reverse=True), derived(busy()), check_row_order=True, check_exact=True)
