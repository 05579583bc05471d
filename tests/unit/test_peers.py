"""Who a lot is compared with, and how it stands among them, by counting."""

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

from features.build import indicator_values
from features.clock import SHANGHAI
from features.derive.peers import PeerRule, n_bin, with_peers
from features.tables.results import IndicatorValue
from tests.worlds import AS_OF, Offer, World, days_ago

RULE = PeerRule(always=("kind",), steps=(("category", "city"), ("category",), ()), at="at")
NOW = dt.datetime(2025, 6, 1, 10, tzinfo=SHANGHAI)


def lots(*rows: tuple[float | None, float], kind: str = "works", category: str | None = "A", city: str | None = "X"):
    """Return one lot a value, opened so many days before now."""
    return pl.DataFrame(
        {
            "subject_id": [f"{kind}{category}{city}{place}" for place in range(len(rows))],
            "raw_value": [value for value, _ in rows],
            "at": [NOW - dt.timedelta(days=days) for _, days in rows],
            "kind": kind,
            "category": category,
            "city": city,
        },
        schema_overrides={
            "raw_value": pl.Float64,
            "at": pl.Datetime("us", "Asia/Shanghai"),
            "category": pl.String,
            "city": pl.String,
        },
    )


def judged(*frames: pl.DataFrame, peer_min: int = 2, window_months: int = 12) -> dict[str, object]:
    """Compare all, and return what is said of the first row of the first frame."""
    compared = with_peers(pl.concat(frames), RULE, peer_min=peer_min, window_months=window_months)
    return compared.row(0, named=True)


def test_percentile_is_the_share_below_and_half_of_the_ties() -> None:
    found = judged(lots((5.0, 0), (1.0, 1), (2.0, 2), (5.0, 3), (5.0, 4), (9.0, 5)))

    assert found["peer_n"] == 5
    assert found["peer_percentile"] == pytest.approx((2 + 2 / 2) / 5)
    assert found["peer_step"] == 1


def test_other_quantiles_are_told_when_asked() -> None:
    rows = lots((5.0, 0), (1.0, 1), (2.0, 2), (4.0, 3))
    compared = with_peers(rows, RULE, peer_min=2, window_months=12, quantiles={"peer_p90": 0.9})

    assert compared.row(0, named=True)["peer_p90"] == pytest.approx(2 + 0.8 * 2)
    assert "peer_q1" not in compared.columns


def test_values_that_differ_by_rounding_noise_are_ties() -> None:
    found = judged(lots((0.02, 0), (0.02 + 1e-12, 1), (0.02 - 1e-12, 2), (-0.0, 3), (0.0, 4)))

    assert found["peer_percentile"] == pytest.approx((2 + 2 / 2) / 4)


def test_zero_and_minus_zero_are_ties() -> None:
    assert judged(lots((0.0, 0), (-0.0, 1), (-1e-12, 2)))["peer_percentile"] == 0.5


def test_quartiles_are_of_type_seven() -> None:
    values = [0.4, 0.1, 0.9, 0.35, 0.2, 0.6]
    found = judged(lots((0.5, 0), *[(value, 1.0 + place) for place, value in enumerate(values)]))

    assert [found["peer_q1"], found["peer_q3"]] == pytest.approx(np.quantile(values, [0.25, 0.75]).tolist())


def test_neither_itself_nor_the_same_instant_nor_later_lots_are_peers() -> None:
    found = judged(lots((5.0, 0), (1.0, 0), (1.0, -1), (6.0, 0.00001), (6.0, 2)))

    assert found["peer_n"] == 2
    assert found["peer_percentile"] == 0.0


def test_the_window_is_calendar_months_and_open_at_its_far_end() -> None:
    far = (NOW - dt.datetime(2024, 6, 1, 10, tzinfo=SHANGHAI)) / dt.timedelta(days=1)

    assert judged(lots((5.0, 0), (1.0, 1), (1.0, far)), peer_min=1)["peer_n"] == 1
    assert judged(lots((5.0, 0), (1.0, 1), (1.0, far - 0.001)), peer_min=1)["peer_n"] == 2


def test_a_lot_without_a_value_is_no_peer_and_gets_no_percentile() -> None:
    found = judged(lots((5.0, 0), (1.0, 1), (None, 2)))

    assert found["peer_percentile"] is None
    assert judged(lots((None, 0), (1.0, 1), (1.0, 2)))["peer_percentile"] is None


def test_exactly_as_many_as_needed_are_enough_and_one_fewer_drops_the_city_then_the_category() -> None:
    here = lots((5.0, 0), (9.0, 1), (9.0, 2))
    other_city = lots((1.0, 1), city="Y")
    other_category = lots((1.0, 1), (1.0, 2), category="B")

    strict = judged(here, other_city, other_category, peer_min=2)
    wider = judged(here, other_city, other_category, peer_min=3)
    widest = judged(here, other_city, other_category, peer_min=4)
    nobody = judged(here, other_city, other_category, peer_min=6)

    assert (strict["peer_step"], strict["peer_n"], strict["peer_percentile"]) == (1, 2, 0.0)
    assert (wider["peer_step"], wider["peer_n"], wider["peer_percentile"]) == (2, 3, pytest.approx(1 / 3))
    assert (widest["peer_step"], widest["peer_n"], widest["peer_percentile"]) == (3, 5, pytest.approx(3 / 5))
    assert (nobody["peer_step"], nobody["peer_n"], nobody["peer_percentile"]) == (None, None, None)


def test_what_always_holds_is_never_dropped() -> None:
    assert judged(lots((5.0, 0)), lots((1.0, 1), (1.0, 2), kind="goods"))["peer_percentile"] is None


def test_an_unknown_city_equals_an_unknown_city() -> None:
    found = judged(lots((5.0, 0), (1.0, 1), (9.0, 2), city=None), lots((1.0, 1), city="X"))

    assert (found["peer_step"], found["peer_n"]) == (1, 2)


@pytest.mark.parametrize(
    ("n", "bin_"),
    [(0, None), (1, "1-2"), (2, "1-2"), (3, "3"), (4, "4-5"), (5, "4-5"), (6, "6-9"), (9, "6-9"), (10, "10+")],
)
def test_numbers_of_bids_are_binned(n: int, bin_: str | None) -> None:
    assert pl.select(n_bin(pl.lit(n))).item() == bin_


# The same through a whole run.


def cv_of(world: World, lot_id: str) -> dict[str, object]:
    values = indicator_values(world.source(), AS_OF).filter(
        IndicatorValue.indicator_id.col == "SI-022", pl.col("subject_id") == lot_id
    )
    result = values.get_column("evidence").str.json_path_match("$[0].fields.peer_step").item()
    return {**values.row(0, named=True), "peer_step": result}


def prices(*amounts: float) -> list[Offer]:
    return [Offer(f"F{place}", amount) for place, amount in enumerate(amounts)]


def world_of(n_here: int, n_city: int, n_elsewhere: int, **columns: Any) -> World:
    """Return a lot of three prices and its possible peers: alike, of another city, of another category."""
    world = World()
    world.lot("L", bids=prices(98, 100, 102), opening=days_ago(1))
    for place in range(n_here):
        world.lot(f"here{place}", bids=prices(90, 100, 110), opening=days_ago(2 + place), **columns)
    for place in range(n_city):
        world.lot(f"city{place}", bids=prices(99, 100, 101), opening=days_ago(2 + place), city="9999")
    for place in range(n_elsewhere):
        world.lot(f"else{place}", bids=prices(98, 100, 102), opening=days_ago(2 + place), category_code="Z.9")
    return world


@pytest.mark.parametrize(
    ("n_here", "n_city", "n_elsewhere", "step", "percentile"),
    [
        (30, 5, 5, "1", 0.0),  # all peers scatter more
        (29, 5, 5, "3", 5 / 34),  # the five of the other city scatter less
        (20, 5, 10, "4", (5 + 10 / 2) / 35),  # ten of the other category are alike
    ],
)
def test_peers_of_a_lot_drop_the_city_then_the_category(
    n_here: int, n_city: int, n_elsewhere: int, step: str, percentile: float
) -> None:
    found = cv_of(world_of(n_here, n_city, n_elsewhere), "L")

    # Grades are unknown throughout, and unknown equals unknown: dropping the grade, step 2, never helps.
    assert found["peer_step"] == step
    assert found["peer_percentile"] == pytest.approx(percentile)
    assert found["triggered"] is (percentile <= 0.05)


def test_peers_of_another_grade_are_found_once_the_grade_is_dropped() -> None:
    assert cv_of(world_of(30, 0, 0, required_qual_code="Q1"), "L")["peer_step"] == "2"


def test_twenty_nine_peers_are_too_few() -> None:
    found = cv_of(world_of(20, 4, 5), "L")

    assert found["null_reason"] == "too_few_observations"
    assert found["raw_value"] is None


@pytest.mark.parametrize(
    "columns",
    [
        {"currency": "USD"},
        {"tender": {"object_type": "goods"}},
        {"tender": {"evaluation_method": "comprehensive"}},
        {"bids_complete": False},
        {"tender": {"method": "direct_award"}},
    ],
)
def test_lots_of_another_currency_type_or_rule_or_without_a_value_are_no_peers(columns: dict[str, Any]) -> None:
    assert cv_of(world_of(30, 0, 0, **columns), "L")["null_reason"] == "too_few_observations"


def test_lots_with_another_number_of_bids_are_no_peers() -> None:
    world = world_of(29, 0, 0)
    world.lot("four", bids=prices(90, 95, 100, 105), opening=days_ago(40))
    assert cv_of(world, "L")["null_reason"] == "too_few_observations"

    world.lot("disqualified", bids=[*prices(90, 95, 100), Offer("F9", 1, "disqualified")], opening=days_ago(41))
    assert cv_of(world, "L")["null_reason"] is None
