"""A lot's benchmark with and without the losing bids of the winner's friends (rulings SI-032)."""

import json
from typing import Any

import numpy as np
import pytest

from features.derive.benchmark import BenchmarkGroup, benchmark, price_scores
from features.tables.source import SourceTables
from tests.worlds import AFTER, AS_OF, Offer, Win, World, shuffled

MEAN = '{"type": "mean", "k": 1.0, "trim": 0}'
PRICES = {"A": 100.0, "B": 120.0, "C": 120.0, "D": 90.0, "E": 95.0}


def lot(
    made: World,
    lot_id: str = "L1",
    *,
    prices: dict[str, float] = PRICES,
    rule: str | None = MEAN,
    method: str = "average_benchmark",
    marks: dict[str, float] | None = None,
    wins: Any = ("A",),
    **columns: Any,
) -> None:
    """Add a lot with points of 100 less one for each hundredth that a price is away from the mean, plus marks."""
    tender = {"evaluation_method": method, "benchmark_rule": rule}
    made.lot(lot_id, bids=[Offer(org, price) for org, price in prices.items()], wins=wins, tender=tender, **columns)
    mean = sum(prices.values()) / len(prices)
    for bid in made.rows["bid"]:
        if bid["lot_id"] == lot_id:
            points = 100 - 100 * abs(float(bid["bid_price"]) / mean - 1)
            bid |= {"price_score": points, "total_score": points + (marks or {}).get(bid["bidder_org_id"], 0.0)}


def friends(made: World, *orgs: str, address: str = "v") -> None:
    made.rows["organisation"] += [{"org_id": org, "name": org, "address_norm": address} for org in orgs]


def world(*orgs: str, **said: Any) -> World:
    made = World()
    lot(made, **said)
    friends(made, *orgs)
    return made


def rows(made: World, g_min: int = 3) -> list[dict[str, Any]]:
    found = BenchmarkGroup.derive(made.source(), AS_OF, g_min).collect()
    BenchmarkGroup.validate(found)
    return list(found.iter_rows(named=True))


def row(made: World) -> dict[str, Any]:
    (only,) = rows(made)
    return only


def test_without_its_friends_the_winner_would_not_be_first() -> None:
    found = row(world("A", "B", "C"))

    # The mean falls from 105 to 95: D, at 90, comes to 94.737 points, E to 92.857 and A, at 100, to 90.226.
    assert found["shift"] == pytest.approx(10 / 105, abs=1e-12)
    assert (found["flip"], found["n_group"], found["n_valid"]) == (True, 3, 5)
    assert (found["by_mean"], found["linked"], found["known"]) == (True, True, True)
    shown = {bid["key"]: bid["fields"]["in_group"] for bid in json.loads(found["evidence"])}
    assert list(shown.values()) == ["true", "true", "true", "false", "false"]


def test_other_points_stay() -> None:
    found = row(world("A", "B", "C", marks={"A": 4.52}))

    assert found["flip"] is False  # 90.226 + 4.52 is more than 94.737
    assert row(world("A", "B", "C", marks={"A": 4.51}))["flip"] is True


def test_who_was_not_first_by_points_loses_no_first_place() -> None:
    assert row(world("A", "B", "C", marks={"E": 10.0}))["flip"] is False


def test_a_group_is_what_hangs_together_over_others() -> None:
    made = world("A", "B")
    made.rows["organisation"].append({"org_id": "C", "name": "C"})
    made.rows["shareholding"].append({"holding_id": "H", "org_id": "C", "holder_org_id": "B", "ratio": 0.6})

    assert row(made)["n_group"] == 3


def test_bids_sent_from_one_address_hang_together() -> None:
    made = world()
    for bid in made.rows["bid"][:3]:
        bid["upload_ip"] = "61.139.2.69"

    assert row(made)["n_group"] == 3


def test_two_friends_are_no_group_and_a_group_without_the_winner_moves_nothing() -> None:
    assert row(world("A", "B"))["linked"] is False

    found = row(world("B", "C", "D"))
    assert (found["linked"], found["n_group"], found["shift"], found["flip"]) == (True, 0, 0.0, False)


def test_each_winner_has_a_row() -> None:
    made = world("A", "B", "C", wins=("A", "D"))

    assert sorted((one["n_group"], one["shift"] > 0) for one in rows(made)) == [(3, True)]
    friends(made, "D", "E", address="w")
    assert sorted(one["n_group"] for one in rows(made, g_min=2)) == [2, 3]


@pytest.mark.parametrize(
    ("rule", "method", "expected"),
    [
        (None, "average_benchmark", (True, False)),
        (None, "reasonable_low_price", (True, False)),
        (None, "lowest_evaluated", (False, False)),
        ('{"type": "lowest"}', "comprehensive", (False, False)),
        (MEAN, "comprehensive", (True, True)),
        ('{"type": "random_k", "trim": 0}', "average_benchmark", (True, False)),
        ('{"type": "random_k", "k": 0.97}', "average_benchmark", (True, True)),
        ('{"type": "mean_times_k"}', "average_benchmark", (True, False)),
        ('{"type": "trimmed_mean"}', "average_benchmark", (True, False)),
        ('{"type": "trimmed_mean", "trim": 1}', "average_benchmark", (True, True)),
        ('{"type": "mean", "weight_control_price": 0.5}', "average_benchmark", (True, False)),
    ],
)
def test_the_rule_must_be_a_mean_and_complete(rule: str | None, method: str, expected: tuple[bool, bool]) -> None:
    found = row(world("A", "B", "C", rule=rule, method=method, control_price=None))

    assert (found["by_mean"], found["known"]) == expected
    assert (found["shift"] is None) is (expected != (True, True))


@pytest.mark.parametrize("column", ["bid_price", "price_score", "total_score"])
def test_all_valid_bids_must_have_price_and_points(column: str) -> None:
    made = world("A", "B", "C")
    made.rows["bid"][-1][column] = None

    assert row(made)["known"] is False
    made.rows["bid"][-1]["status"] = "disqualified"
    assert row(made)["known"] is True


def test_undecided_lots_are_left_out() -> None:
    assert rows(world("A", "B", "C", wins=())) == []
    assert rows(world("A", "B", "C", wins=(Win("A", at=AFTER),))) == []


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ((1.0, 0, 0.0, 0.0), 100.0),
        ((0.97, 0, 0.0, 0.0), 97.0),
        ((1.0, 1, 0.0, 0.0), 90.0),
        ((1.0, 2, 0.0, 0.0), 100.0),  # nothing would be left
        ((0.9, 0, 0.25, 120.0), 94.5),
    ],
)
def test_the_benchmark_is_the_factor_of_a_mean_with_the_control_price(rule: Any, expected: float) -> None:
    assert benchmark(np.array([80.0, 85.0, 95.0, 140.0]), *rule) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("distance", "expected"), [(-0.1, 90.0), (-0.05, 95.0), (0.0, 100.0), (-0.3, 70.0), (0.2, 60.0), (0.05, 90.0)]
)
def test_points_are_read_off_straight_lines_and_the_ends_extended(distance: float, expected: float) -> None:
    known, points = np.array([0.1, -0.2, 0.0, 0.0]), np.array([80.0, 80.0, 100.0, 100.0])

    assert price_scores(np.array([distance]), known, points)[0] == pytest.approx(expected, abs=1e-9)


def test_one_known_price_gives_its_points_to_all() -> None:
    assert price_scores(np.array([-0.5, 0.5]), np.array([0.1]), np.array([80.0])).tolist() == [80.0, 80.0]


def test_later_rows_and_the_order_of_rows_change_nothing() -> None:
    made = world("A", "B", "C", "D")
    before = BenchmarkGroup.derive(made.source(), AS_OF, 3).collect()
    mixed = SourceTables({name: frame.lazy() for name, frame in shuffled(made.frames(), 4).items()})
    assert BenchmarkGroup.derive(mixed, AS_OF, 3).collect().equals(before)

    lot(made, "L2", opening=AFTER)
    dated = {"start_date": AFTER.date()}
    made.rows["shareholding"].append({"holding_id": "H", "org_id": "E", "holder_org_id": "A", "ratio": 0.6, **dated})
    made.wins("L1", Win("E", at=AFTER), opening=AFTER)

    assert BenchmarkGroup.derive(made.source(), AS_OF, 3).collect().equals(before)
