"""Corporate groups of the simulated city, as the product finds them in what the register of companies says."""

import datetime as dt
from functools import cache

import polars as pl
import pytest

from experiments.city.city import blocks
from experiments.city.facts import CITY_END, Facts, Population
from experiments.city.population import population
from experiments.city.registry import registry
from features.clock import SHANGHAI
from features.derive.control_groups import ControlGroup
from features.tables.organisations import Organisation, OrgPerson, Shareholding
from features.tables.source import SourceTables

SEEDS = (1, 11)
PROJECTS = 2058


@cache
def people(seed: int) -> Population:
    return population(seed, PROJECTS)


@cache
def facts(seed: int) -> Facts:
    parts = list(blocks(people(seed), seed, PROJECTS))
    wanted = ("tender", "bid", "truth_lots")
    return {name: pl.concat([part[name] for part in parts]) for name in wanted} | registry(people(seed))


def newest(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    return rows.sort("updated_at").unique(key, keep="last", maintain_order=True)


def named(number: str) -> pl.Expr:
    return (pl.col(number) + 100_000_000).cast(pl.String).alias(number[:-3] + "_id")


@cache
def control(seed: int, day: dt.date) -> pl.DataFrame:
    """Return what the product makes of the register on a day: org_no, group (null = alone), n_members."""
    made = registry(people(seed))
    source = SourceTables(
        {
            Organisation.NAME: newest(made["organisation"], "org_no")
            .select(named("org_no"), named("legal_rep_person_no"), "org_type", "ownership")
            .lazy(),
            Shareholding.NAME: newest(made["shareholding"], "holding_id")
            .select(
                named("org_no"),
                named("holder_org_no"),
                named("holder_person_no"),
                "ratio",
                "start_date",
                "end_date",
            )
            .lazy(),
            OrgPerson.NAME: made["org_person"]
            .select(named("org_no"), named("person_no"), "role", "start_date", "end_date")
            .lazy(),
        }
    )
    found = ControlGroup.derive(source, dt.datetime.combine(day, dt.time(9), SHANGHAI)).collect()
    return found.select(
        (pl.col("org_id").cast(pl.Int32) - 100_000_000).alias("org_no"), pl.col("group_id").alias("group"), "n_members"
    )


def share(seed: int, day: dt.date, kinds: list[str]) -> float:
    rows = people(seed).organisations.select("org_no", "org_type").join(control(seed, day), on="org_no")
    return float(rows.filter(pl.col("org_type").is_in(kinds))["group"].is_not_null().to_numpy().mean())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("day", [dt.date(2023, 1, 2), dt.date(2025, 12, 31)])
def test_a_known_share_of_firms_belongs_to_a_control_group(seed: int, day: dt.date) -> None:
    assert 0.12 <= share(seed, day, ["contractor"]) <= 0.18
    assert 0.06 <= share(seed, day, ["supplier"]) <= 0.10
    assert 0.04 <= share(seed, day, ["agency", "cost_consultant"]) <= 0.12


@pytest.mark.parametrize("seed", SEEDS)
def test_groups_are_small_but_for_a_few_and_the_state_ties_nobody(seed: int) -> None:
    sizes = control(seed, dt.date(2024, 6, 1)).drop_nulls("group").unique("group")["n_members"]
    bureaus = people(seed).organisations.filter(pl.col("ownership") == "government")["org_no"]
    shares = people(seed).shareholdings.filter(pl.col("holder_org_no").is_in(bureaus.implode()))

    assert (sizes <= 3).to_numpy().mean() > 0.7
    assert 2 <= int((sizes >= 5).sum()) <= 20
    assert sizes.max() <= 12  # type: ignore[operator]
    assert len(shares) > 50
    assert not control(seed, dt.date(2024, 6, 1)).drop_nulls("group")["org_no"].is_in(bureaus.implode()).any()


def test_every_way_to_hold_a_firm_occurs_and_only_some_of_them_show() -> None:
    ties, found = people(1).ties, control(1, dt.date(2024, 6, 1))
    group = dict(found.select("org_no", "group").iter_rows())
    kept = ties.filter(pl.col("fate") == "kept")
    together = kept.with_columns(
        pl.struct("org_no", "head_no")
        .map_elements(
            lambda tie: group[tie["org_no"]] is not None and group[tie["org_no"]] == group[tie["head_no"]],
            return_dtype=pl.Boolean,
        )
        .alias("seen")
    )
    seen = dict(together.group_by("hand").agg(pl.col("seen").mean()).iter_rows())
    chains = kept.filter(pl.col("hand") == "company")

    assert {hand: seen[hand] for hand in ("company", "person", "legal_rep", "controller", "board")} == dict.fromkeys(
        ("company", "person", "legal_rep", "controller", "board"), 1.0
    )
    assert seen["relative"] == seen["joint"] == 0.0
    assert chains["head_no"].is_in(chains["org_no"].implode()).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_shares_of_a_firm_are_never_more_than_the_whole_on_any_day(seed: int) -> None:
    rows = people(seed).shareholdings
    for day in (dt.date(2023, 1, 1), dt.date(2024, 6, 1), dt.date(2026, 1, 1)):
        valid = rows.filter(
            (pl.col("since").is_null() | (pl.col("since") <= day))
            & (pl.col("until").is_null() | (day <= pl.col("until")))
        )
        whole = valid.group_by("org_no").agg(pl.col("ratio").sum().round(9))["ratio"]
        assert whole.is_between(0.001, 1.0).all()
        assert (whole > 0.98).to_numpy().mean() > 0.95


def test_a_firm_that_changes_hands_leaves_one_group_on_a_day_and_the_register_tells_it_after() -> None:
    made, ties = registry(people(1)), people(1).ties.filter(pl.col("fate") != "kept")
    sales = made["org_change"].filter(pl.col("change_type") == "shareholder")

    assert len(ties) >= 5
    assert set(ties["fate"]) == {"sold", "bought"}
    assert sorted(sales["org_no"]) == sorted(ties["org_no"])
    assert (sales["updated_at"].dt.date() > sales["changed_at"]).all()
    assert (sales["updated_at"] < CITY_END).all()
    assert (sales["before_value"] != sales["after_value"]).all()
    ended = made["shareholding"].filter(pl.col("end_date").is_not_null())
    open_before = made["shareholding"].filter(pl.col("holding_id").is_in(ended["holding_id"].implode()))
    assert open_before["end_date"].null_count() == len(ended)
    for org, head, fate, day in ties.select("org_no", "head_no", "fate", "handed_on").iter_rows():
        before, after = (
            dict(control(1, moment).rows_by_key("org_no").items()) for moment in (day, day + dt.timedelta(1))
        )
        same = [side[org][0][0] is not None and side[org][0][0] == side[head][0][0] for side in (before, after)]
        assert same == ([True, False] if fate == "sold" else [False, True])


def meetings(seed: int) -> pl.DataFrame:
    """Return the lots in which two bidders stood under one control on the deadline, with the truth of the lot."""
    made = facts(seed)
    tender = newest(made["tender"], "tender_id").select("tender_id", "tenderer_org_no", "bid_deadline_at")
    bids = made["bid"].join(tender, on="tender_id").select("lot_id", "bidder_org_no", "bid_deadline_at")
    org = people(seed).organisations.select("org_no", "hand", "hand_after", "handed_on")
    bids = bids.join(org, left_on="bidder_org_no", right_on="org_no").with_columns(
        pl.when((pl.col("bid_deadline_at").dt.date() <= pl.col("handed_on")).fill_null(value=True))
        .then("hand")
        .otherwise("hand_after")
        .alias("now")
    )
    met = bids.group_by("lot_id", "now").len().filter(pl.col("len") > 1)
    return met.join(made["truth_lots"].drop_nulls("lot_id"), on="lot_id", how="left")


@pytest.mark.parametrize("seed", SEEDS)
def test_who_stands_under_one_hand_does_not_bid_for_one_lot_but_for_rings_and_oversights(seed: int) -> None:
    rows = meetings(seed)

    assert set(rows.filter(pl.col("scheme").is_null())["look_alike"]) == {"sister_firms"}
    assert set(rows.drop_nulls("scheme").select("scheme", "skill").iter_rows()) <= {("one_hand", "clumsy")}


def test_clumsy_rings_use_sister_firms() -> None:
    rings = [meetings(seed).filter(pl.col("scheme") == "one_hand") for seed in SEEDS]

    assert sum(map(len, rings)) >= 3


@pytest.mark.parametrize("seed", SEEDS)
def test_sisters_who_bid_unawares_are_both_thrown_out_and_the_product_can_see_why(seed: int) -> None:
    lots = facts(seed)["truth_lots"].filter(pl.col("look_alike") == "sister_firms")
    groups = people(seed).groups.select("group_no", "member_nos")
    bids = facts(seed)["bid"].join(lots.select("lot_id", "group_no"), on="lot_id").join(groups, on="group_no")
    sisters = bids.filter(pl.col("bidder_org_no").is_in(pl.col("member_nos")))
    seen = control(seed, dt.date(2024, 6, 1))
    together = sisters.join(seen, left_on="bidder_org_no", right_on="org_no").group_by("lot_id")

    assert len(lots) >= 3
    assert len(sisters) == 2 * len(lots)
    decided = sisters.filter(pl.col("status") != "submitted")
    assert set(decided["status"]) == {"disqualified"}
    assert set(decided["disqualify_reason"]) <= {"qualification", "price_over_limit"}
    agreed = together.agg(pl.col("group").n_unique().alias("n"), pl.col("group").null_count().alias("none"))
    assert agreed.filter((pl.col("n") != 1) | (pl.col("none") > 0)).is_empty()
    assert lots["came_off"].sum() == 0


def test_a_firm_does_not_bid_for_works_of_its_own_parent() -> None:
    tender = newest(facts(1)["tender"], "tender_id").select("tender_id", "tenderer_org_no")
    hand = people(1).organisations.select("org_no", "hand")
    rows = facts(1)["bid"].join(tender, on="tender_id").join(hand, left_on="bidder_org_no", right_on="org_no")
    rows = rows.join(hand.rename({"hand": "theirs"}), left_on="tenderer_org_no", right_on="org_no")
    investors = people(1).organisations.filter(pl.col("org_type") == "owner")["org_no"].implode()

    assert people(1).ties["head_no"].is_in(investors).any()
    assert rows.filter(pl.col("hand") == pl.col("theirs")).is_empty()
