"""What schemes do, on one lot, by hand."""

import numpy as np
import polars as pl
import pytest

from experiments.city.city import blocks
from experiments.city.defaults import LIMIT_WORKS
from experiments.city.population import population
from experiments.city.schemes import Role, agencies, experts, rigging
from experiments.city.schemes.answers import best_answer

LOWEST, MEAN = ("lowest_evaluated", "", 1.0), ("average_benchmark", "mean", 1.0)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_the_best_answer_to_a_mean_is_that_mean() -> None:
    assert best_answer("average_benchmark", "mean", 1.0, np.array([90.0, 96.0, 99.0])) == pytest.approx(95.0)


def test_the_best_answer_to_a_scaled_mean_is_its_own_part_of_the_mean() -> None:
    price = best_answer("average_benchmark", "mean_times_k", 0.97, np.array([90.0, 96.0, 99.0]))

    assert price == pytest.approx(0.97 * (90 + 96 + 99 + price) / 4)


def test_a_trimmed_mean_leaves_the_ends_out() -> None:
    price = best_answer("reasonable_low_price", "trimmed_mean", 1.0, np.array([50.0, 90.0, 94.0, 120.0]))

    assert price == pytest.approx(92.0)


def test_the_best_answer_to_lowest_prices_is_just_below_them() -> None:
    assert 0.99 * 88 < best_answer(*LOWEST, np.array([88.0, 95.0])) < 88.0


@pytest.mark.parametrize("skill", ["clumsy", "practised", "careful"])
def test_covers_stay_behind_the_lead_where_the_lowest_wins(skill: str) -> None:
    role = np.array([Role.LEAD, Role.COVER, Role.COVER, Role.COVER])
    price = rigging.prices("one_hand", skill, LOWEST, 1e7, np.full(4, 9e6), role, rng())

    assert price.argmin() == 0
    assert 0.9e7 <= price[0] <= 1e7
    assert (price <= 1e7).all()


def test_clumsy_covers_differ_by_one_step_and_careful_ones_do_not() -> None:
    role = np.array([Role.LEAD, *[Role.COVER] * 4])
    steps = {
        skill: np.diff(np.sort(rigging.prices("one_hand", skill, LOWEST, 1e7, np.full(5, 9e6), role, rng()))[:4])
        for skill in ("clumsy", "careful")
    }

    assert steps["clumsy"].std() < 0.01 * steps["clumsy"].mean()
    assert steps["careful"].std() > 0.3 * steps["careful"].mean()


def test_a_benchmark_ring_pulls_the_mean_up_and_meets_it() -> None:
    role = np.array([Role.LEAD, *[Role.STEER] * 5, Role.HONEST])
    honest = np.array([9.3e6] * 7)
    price = rigging.prices("benchmark_ring", "practised", MEAN, 1e7, honest, role, rng())

    assert price.mean() > honest.mean()
    assert np.abs(price / price.mean() - 1).argmin() == 0


def test_careful_rings_write_each_at_its_own_desk() -> None:
    org, role = np.array([3, 5, 8]), np.array([Role.LEAD, Role.COVER, Role.HONEST])

    assert rigging.hands("one_hand", "careful", org, role, 3).tolist() == [3, 5, 8]
    assert rigging.hands("one_hand", "clumsy", org, role, 3).tolist() == [3, 3, 8]


def test_an_agency_throws_out_the_honest_ones_ahead_of_its_firm() -> None:
    rank, role = np.array([1, 2, 3, 4]), np.array([Role.HONEST, Role.HONEST, Role.LEAD, Role.HONEST])
    out, reasons = agencies.thrown_out("clumsy", rank, role, rng())

    assert out.tolist() == [0, 1]
    assert reasons == ["non_responsive", "non_responsive"]


def test_only_bought_members_lift_and_the_careful_lift_less() -> None:
    members = np.array([4, 9, -1])

    assert experts.bias("captive_expert", "clumsy", members, [9, 30]).tolist() == [0.0, experts.LIFT["clumsy"], 0.0]
    assert experts.LIFT["careful"] < experts.LIFT["practised"] < experts.LIFT["clumsy"]


def test_split_works_stay_below_the_limit_each_and_pass_it_together() -> None:
    parts = [block for seed in (1, 2, 3) for block in blocks(population(seed, 1500), seed, 1500)]
    plan = pl.concat(
        [p["award_plan"].join(p["truth_lots"].filter(pl.col("scheme") == "split_works"), on="plan_id") for p in parts]
    )
    whole = plan.group_by("project_id").agg(pl.col("award_amount").sum(), pl.len(), pl.col("winner_org_no").n_unique())

    assert not plan.is_empty()
    assert (plan["award_amount"] < LIMIT_WORKS).all()
    assert (whole.filter(pl.col("len") == 3)["award_amount"] > LIMIT_WORKS).all()
    assert plan["tender_id"].null_count() == len(plan)


def test_a_leaked_price_lands_near_the_drawn_benchmark() -> None:
    parts = [block for seed in (1, 2) for block in blocks(population(seed, 1500), seed, 1500)]
    bids = pl.concat(
        [p["bid"].join(p["truth_lots"].filter(pl.col("scheme") == "leaked_price"), on="lot_id") for p in parts]
    )
    won = bids.filter((pl.col("status") == "awarded").any().over("lot_id"))
    told = won.group_by("lot_id").agg(pl.col("came_off").first())

    assert len(told) >= 3
    assert told["came_off"].to_numpy().mean() > 0.6
