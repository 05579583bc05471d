"""The simulated city's tendering: its facts keep the contract, the law and what its defaults promise."""

from collections.abc import Iterator
from functools import cache

import numpy as np
import polars as pl
import pytest
from stdnum.cn import ric, uscc

from experiments.city import labels, truth
from experiments.city.city import blocks
from experiments.city.defaults import LOOK_ALIKES, SCHEMES, TOUCHED
from experiments.city.facts import (
    AWARD_PLAN,
    CITY_END,
    EXECUTION_LOOK_ALIKES,
    EXECUTION_SCHEMES,
    REGISTRY,
    TENDERING,
    Facts,
    Population,
    allowed_values,
    contract_columns,
    fact_name,
    fact_schema,
)
from experiments.city.population import population
from experiments.city.registry import registry

SEED, PROJECTS = 11, 2058
PLANNED_AHEAD = {"bid_deadline_at", "doc_sale_end_at"}
"""Announced before they come."""


@cache
def people() -> Population:
    return population(SEED, PROJECTS)


@cache
def facts() -> Facts:
    parts = list(blocks(people(), SEED, PROJECTS))
    whole = {name: pl.concat([part[name] for part in parts]) for name in parts[0]}
    return whole | registry(people())


def newest(table: str) -> pl.DataFrame:
    key = fact_name(table, contract_columns(table)[0])
    return facts()[table].sort("updated_at").unique(key, keep="last", maintain_order=True)


def references() -> Iterator[tuple[str, str, str, str]]:
    for table in (*TENDERING, *REGISTRY):
        for column in contract_columns(table):
            parent, _, key = column["references"].partition(".")
            name = fact_name(table, column)
            if parent in (*TENDERING, *REGISTRY) and name in fact_schema(table):
                target = next(c for c in contract_columns(parent) if c["column"] == key)
                yield table, name, parent, fact_name(parent, target)


@pytest.mark.parametrize("table", [*TENDERING, *REGISTRY])
def test_a_table_has_the_contracts_columns_words_and_needed_values(table: str) -> None:
    frame = facts()[table]
    words = allowed_values(table)

    assert frame.schema == fact_schema(table)
    assert len(frame) > 0
    for column in contract_columns(table):
        name = fact_name(table, column)
        if name not in frame.columns:
            continue
        if column["nullable"] == "no":
            assert frame[name].null_count() == 0, name
        if column["column"] in words:
            assert set(frame[name].drop_nulls()) <= set(words[column["column"]]), name


@pytest.mark.parametrize("table", [*TENDERING, *REGISTRY])
def test_nothing_is_written_twice_or_after_the_last_day(table: str) -> None:
    frame = facts()[table]
    key = fact_name(table, contract_columns(table)[0])
    moments = [n for n, kind in frame.schema.items() if kind == pl.Datetime("us") and n not in PLANNED_AHEAD]

    assert not frame.select(key, "updated_at").is_duplicated().any()
    for name in moments:
        assert frame.filter(pl.col(name) >= CITY_END).is_empty(), name
        assert frame.filter(pl.col(name) > pl.col("updated_at")).is_empty(), name


@pytest.mark.parametrize(("table", "column", "parent", "key"), list(references()))
def test_every_reference_leads_to_its_parent(table: str, column: str, parent: str, key: str) -> None:
    known = facts()[parent][key].unique().implode()

    assert facts()[table].filter(~pl.col(column).is_in(known) & pl.col(column).is_not_null()).is_empty()


def test_codes_are_valid_and_nobody_shares_one() -> None:
    codes, numbers = people().organisations["uscc"], people().persons["id_no"]

    assert codes.n_unique() == len(codes)
    assert numbers.n_unique() == len(numbers)
    assert all(uscc.is_valid(code) for code in codes.gather_every(7))
    assert all(ric.calc_check_digit(number) == number[17] for number in numbers.gather_every(29))


def units() -> int:
    """Return the pieces of work of the city: lots that were opened or given, and works without a lot."""
    lots = newest("lot").filter(~pl.col("tender_id").str.ends_with("F"))
    return len(lots) + len(facts()["award_plan"].filter(pl.col("lot_id").is_null()))


def test_misbehaviour_has_its_share_and_a_third_of_it_is_careful() -> None:
    rows = facts()["truth_lots"]
    touched = rows.filter(pl.col("scheme").is_not_null())
    alike = rows.filter(pl.col("look_alike").is_not_null())
    skills = dict(touched["skill"].value_counts(normalize=True).iter_rows())

    assert len(touched) / units() == pytest.approx(TOUCHED, abs=0.015)
    assert len(alike) / units() == pytest.approx(0.10, abs=0.02)
    assert skills["careful"] == pytest.approx(1 / 3, abs=0.12)
    assert set(skills) == {"clumsy", "practised", "careful"}
    assert set(touched["scheme"]) <= set(SCHEMES)
    assert set(alike["look_alike"]) <= set(LOOK_ALIKES)


def test_every_analysis_has_several_schemes_each_with_a_group_of_its_own() -> None:
    wrong = people().groups.filter(~pl.col("honest"))
    alike = people().groups.filter("honest")

    kinds = wrong.group_by("analysis").agg(pl.col("kind").n_unique())
    assert dict(kinds.iter_rows()).keys() == {kind.analysis for kind in SCHEMES.values()}
    assert len(kinds) == 7
    assert (kinds["kind"] >= 3).all()
    assert set(wrong["kind"]) == set(SCHEMES)
    assert set(alike["kind"]) == set(LOOK_ALIKES)
    assert (alike.group_by("analysis").agg(pl.col("kind").n_unique())["kind"] >= 2).all()


def test_works_tenders_wait_twenty_days_but_for_a_few() -> None:
    rows = newest("tender").filter((pl.col("law_regime") == "tendering_law") & (pl.col("method") == "public_tender"))
    days = (rows["bid_deadline_at"] - rows["notice_published_at"]).dt.total_days()

    assert (days >= 19).to_numpy().mean() > 0.95
    assert (days >= 10).all()
    assert (days < 19).any()


def test_a_lots_dates_follow_each_other() -> None:
    rows = newest("tender").filter(pl.col("evaluation_report_at").is_not_null())
    bids = facts()["bid"].join(newest("tender").select("tender_id", "bid_deadline_at"), on="tender_id")
    awards = facts()["award"]

    assert rows.filter(pl.col("evaluation_start_at") < pl.col("opening_at")).is_empty()
    assert rows.filter(pl.col("evaluation_end_at") <= pl.col("evaluation_start_at")).is_empty()
    assert bids.filter(pl.col("submitted_at") >= pl.col("bid_deadline_at")).is_empty()
    assert awards.filter(pl.col("publicity_end_at") < pl.col("publicity_start_at")).is_empty()
    assert awards.filter(pl.col("notice_issued_at") < pl.col("publicity_end_at")).is_empty()


def test_one_bid_a_lot_wins_and_it_is_a_good_one() -> None:
    bids = facts()["bid"].join(newest("tender").select("tender_id", "evaluation_method"), on="tender_id")
    valid = bids.filter(pl.col("status").is_in(["valid", "candidate", "awarded"]))
    cheapest = valid.filter(pl.col("evaluation_method") == "lowest_evaluated")
    cheapest = cheapest.filter((pl.col("status") == "awarded").any().over("lot_id"))

    assert bids.filter(pl.col("status") == "awarded")["lot_id"].is_unique().all()
    low = cheapest.group_by("lot_id").agg(
        pl.col("bid_price").min().alias("low"),
        pl.col("bid_price").filter(pl.col("status") == "awarded").first().alias("won"),
    )
    assert low.filter(pl.col("won") != pl.col("low")).is_empty()


def test_bids_keep_below_the_ceiling_or_are_rejected_for_it() -> None:
    bids = facts()["bid"].join(newest("lot").select("lot_id", "control_price"), on="lot_id")
    over = bids.filter((pl.col("bid_price") > pl.col("control_price")) & (pl.col("status") != "submitted"))

    assert set(over["disqualify_reason"]) == {"price_over_limit"}
    assert (bids["bid_price"] > bids["control_price"] * 0.5).all()


def test_a_priced_bill_sums_to_its_bid() -> None:
    items = facts()["bid_item_price"].group_by("bid_id").agg(pl.col("amount").sum())
    rows = items.join(facts()["bid"], on="bid_id")
    share = rows["amount"] / rows["bid_price"]

    assert len(rows) > 1000
    assert ((share - 0.94).abs() < 0.01).to_numpy().mean() > 0.98


def test_marks_add_up_to_the_total_of_the_bid() -> None:
    marks = facts()["evaluation_score"]
    seats = marks.group_by("bid_id").agg(pl.col("score").sum() / pl.col("draw_id").n_unique())
    rows = seats.join(facts()["bid"].filter(pl.col("total_score").is_not_null()), on="bid_id")

    assert len(rows) > 500
    assert (rows["score"] + rows["price_score"] - rows["total_score"]).abs().max() < 0.02  # type: ignore[operator]
    assert marks.filter(pl.col("score") > pl.col("max_score") + 1e-9).is_empty()


def pairs_with_the_same(column: str) -> pl.DataFrame:
    """Return the lots in which two bidders' files carry one value, with the truth of the lot."""
    files = facts()["bid_document_fingerprint"].join(
        facts()["bid"].select("bid_id", "lot_id", "bidder_org_no"), on="bid_id"
    )
    shared = (
        files.filter(pl.col(column).is_not_null()).group_by("lot_id", column).agg(pl.col("bidder_org_no").n_unique())
    )
    lots = shared.filter(pl.col("bidder_org_no") > 1).select("lot_id").unique()
    return lots.join(facts()["truth_lots"].filter(pl.col("lot_id").is_not_null()), on="lot_id", how="left")


def test_careful_groups_leave_no_trace_in_files_and_clumsy_rings_do() -> None:
    machines, locks = pairs_with_the_same("machine_code"), pairs_with_the_same("pricing_lock_no")
    clumsy = facts()["truth_lots"].filter(
        pl.col("scheme").is_in(["one_hand", "cover_for_hire"]) & (pl.col("skill") == "clumsy")
    )

    assert machines.filter(pl.col("skill") == "careful").is_empty()
    assert locks.filter(pl.col("skill") == "careful").is_empty()
    assert not clumsy.is_empty()
    assert clumsy.filter(~pl.col("lot_id").is_in(machines["lot_id"].implode())).is_empty()


def test_honest_strangers_share_a_computer_only_at_a_print_shop() -> None:
    machines = pairs_with_the_same("machine_code").filter(pl.col("scheme").is_null())

    assert not machines.is_empty()
    assert set(machines["look_alike"]) == {"print_shop"}


def test_rings_take_turns_and_their_covers_lose() -> None:
    rings = people().groups.filter(pl.col("kind") == "rotating_ring")
    lots = facts()["truth_lots"].filter(pl.col("scheme") == "rotating_ring")
    bids = facts()["bid"].join(lots.select("lot_id", "group_no"), on="lot_id")
    bids = bids.join(rings.select("group_no", "member_nos"), on="group_no")
    members = bids.filter(pl.col("bidder_org_no").is_in(pl.col("member_nos")))
    winners = members.filter(pl.col("status") == "awarded")

    assert (members.group_by("lot_id").len()["len"] >= 3).all()
    assert len(winners) / len(lots) > 0.5
    assert winners["bidder_org_no"].n_unique() >= 3


def test_the_plan_of_contracts_carries_what_execution_needs() -> None:
    plan = facts()["award_plan"]
    built = plan.filter(pl.col("scheme").is_in(["licence_lending", "works_transfer"]))

    assert plan.schema == AWARD_PLAN
    assert plan["plan_id"].is_unique().all()
    assert set(plan["scheme"].drop_nulls()) <= set(EXECUTION_SCHEMES)
    assert set(plan["look_alike"].drop_nulls()) <= set(EXECUTION_LOOK_ALIKES)
    assert plan.filter(pl.col("contract_due_at") <= pl.col("awarded_at")).is_empty()
    assert not built.is_empty()
    assert built.filter(pl.col("real_builder_org_no") == pl.col("winner_org_no")).is_empty()
    assert plan.filter(pl.col("scheme").is_not_null())["intensity"].is_between(0.19, 1).all()


def test_the_careful_abuser_of_an_emergency_has_his_papers_in_order() -> None:
    parts = [block for seed in (1, 2, 3) for block in blocks(population(seed, 1000), seed, 1000)]
    rows = pl.concat([part["emergency_project"].join(part["truth_lots"], on="project_id") for part in parts])
    careful = rows.filter((pl.col("scheme") == "emergency_abuse") & (pl.col("skill") == "careful"))
    clumsy = rows.filter((pl.col("scheme") == "emergency_abuse") & (pl.col("skill") == "clumsy"))
    start = pl.col("works_started_at")

    assert not careful.is_empty() and not clumsy.is_empty()
    assert careful.filter((pl.col("confirmed_at") > start) | (pl.col("evidence_count") < 3)).is_empty()
    assert clumsy.filter(pl.col("confirmed_at") < start).is_empty()


def test_labels_are_few_late_and_name_subjects_as_the_product_does() -> None:
    made = labels.feedback(people(), facts()["truth_lots"])
    rows, touched = made["label_feedback"], facts()["truth_lots"].filter(pl.col("scheme").is_not_null())
    found = rows.filter((pl.col("subject_type") == "lot") & (pl.col("label") != "cleared"))
    cleared = rows.filter(pl.col("label") == "cleared")
    when = found.join(touched, left_on="subject_id", right_on="lot_id")

    assert rows.schema == fact_schema("label_feedback")
    assert 0 < len(found) <= len(touched) * 0.05
    assert len(when) == len(found)
    assert ((when["labelled_at"] - when["at"]).dt.total_days() >= 180).all()
    assert not cleared.is_empty()
    assert cleared.join(touched, left_on="subject_id", right_on="lot_id").is_empty()
    codes = set(people().organisations["uscc"])
    assert set(rows.filter(pl.col("subject_type") == "organisation")["subject_id"]) <= codes
    assert made["sanction"].schema == fact_schema("sanction")


def test_the_truth_names_groups_pairs_and_rings_behind_the_lots() -> None:
    behind = truth.behind(people(), facts()["truth_lots"])
    ring = behind["rings"].row(0, named=True)

    assert ring["ring_id"] == truth.clique_id(sorted(ring["org_ids"], reverse=True))
    assert behind["pairs"]["pair_id"].str.contains(r"^organisation:\w{18}~organisation:\w{18}$").all()
    assert set(behind["organisations"]["org_id"]) <= set(people().organisations["uscc"])
    gained = behind["groups"].filter(~pl.col("honest"))["gain_cny"]
    assert (gained > 0).to_numpy().mean() > 0.6
    assert np.isfinite(gained.to_numpy()).all()
