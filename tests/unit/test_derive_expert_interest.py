"""Members of committees with an interest in a bidder, in worlds made by hand."""

import datetime as dt
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.derive.expert_interest import TIES, MemberTie
from tests.panels import add, seat, source_of
from tests.worlds import AFTER, AS_OF, Offer, World, days_ago

OPENING = days_ago(100)  # 2025-03-22
DAY = OPENING.date()
FIRST = dt.date(DAY.year - 3, DAY.month, DAY.day)
ONE_DAY = dt.timedelta(days=1)


def derived(world: World, **about: Any) -> pl.DataFrame:
    frame = MemberTie.derive(source_of(world, **about), AS_OF, tie_months=36).collect()
    return pl.DataFrame(MemberTie.validate(frame))


def tie(world: World, org: str = "A", person: str = "E", **about: Any) -> dict[str, Any]:
    return derived(world, **about).row(
        by_predicate=(pl.col("org_id") == org) & (pl.col("person_id") == person), named=True
    )


def signs(world: World, org: str = "A", person: str = "E", **about: Any) -> set[str]:
    found = tie(world, org, person, **about)
    return {name for name in TIES if found[name]}


def met(*bids: Offer | str, opening: dt.datetime = OPENING, **tender: Any) -> World:
    """Return a tender of T for which E came and A bid, or those given."""
    world = World()
    world.lot("1", bids=bids or ("A",), opening=opening, tender=tender)
    world.group(None, "A", "T", "H")
    seat(world, "1", "E")
    return world


def serve(world: World, org: str = "A", person: str = "E", role: str = "employee", **about: Any) -> None:
    add(world, "org_person", org_id=org, person_id=person, role=role, **about)


def insure(world: World, month: str, org: str = "A", person: str = "E") -> None:
    add(world, "social_insurance", org_id=org, person_id=person, month=month)


def hold(world: World, org: str, ratio: float = 0.01, **about: Any) -> None:
    add(world, "shareholding", org_id=org, ratio=ratio, **about)


def relate(world: World, one: str, other: str, **about: Any) -> None:
    row = {"person_a_id": one, "person_b_id": other, "relation_type": "spouse", "basis": "registry"}
    add(world, "person_relation", **row, **about)


def employ(world: World, org: str | None, person: str = "E") -> None:
    add(world, "expert", person_id=person, employer_org_id=org, status="active")


def in_group(world: World, *orgs: str) -> None:
    world.rows["organisation"] = [row for row in world.rows["organisation"] if row["org_id"] not in orgs]
    world.group("G", *orgs)


# Who meets.


def test_every_member_meets_every_bidder_of_the_tender() -> None:
    world = met("A", "A", Offer("B", 1, "disqualified"), Offer("C", 1, "withdrawn"))
    world.rows["bid"][0] |= {"is_consortium": True, "consortium_org_ids": '["A", "D"]'}
    seat(world, "1", "R", member_role="owner_rep")

    pairs = set(derived(world).select("person_id", "org_id").rows())
    assert pairs == {("E", "A"), ("E", "B"), ("R", "A"), ("R", "B")}


def test_seats_not_drawn_and_tenders_not_opened_are_no_meeting() -> None:
    world = met()
    seat(world, "1", "X", drawn_at=None)
    seat(world, "1", "Y", drawn_at=AFTER)
    world.lot("later", bids=["Z"], opening=AFTER)
    seat(world, "later", "E", drawn_at=days_ago(1))

    assert derived(world).select("person_id", "org_id").rows() == [("E", "A")]


@pytest.mark.parametrize("attended", [True, False, None])
def test_whether_a_member_came_is_told(attended: bool | None) -> None:
    world = met()
    world.rows["committee_draw"][0]["attended"] = attended

    assert tie(world)["attended"] is attended


def test_of_two_seats_the_one_in_which_a_member_came_counts() -> None:
    world = met()
    seat(world, "1", "E", draw_id="again", attended=False)

    assert tie(world)["attended"]
    assert derived(world).height == 1


def test_whether_the_draw_avoided_the_bidder_is_told() -> None:
    world = met("A", "B")
    world.rows["committee_draw"][0]["avoided_org_ids"] = '["B", "C"]'

    assert (tie(world)["avoided"], tie(world, "B")["avoided"]) == (False, True)


def test_nothing_in_common() -> None:
    assert signs(met()) == set()
    assert (tie(met())["evidence"], tie(met())["joined"]) == ("[]", False)


# Service and insurance.


@pytest.mark.parametrize("role", ["employee", "director", "legal_rep", "agent", "actual_controller"])
def test_whoever_served_at_the_bidder_is_tied(role: str) -> None:
    world = met()
    serve(world, role=role)

    assert signs(world) == {"service"}
    assert tie(world)["joined"]
    assert '"org_person"' in tie(world)["evidence"]
    assert "D-1-E" in tie(world)["evidence"]


@pytest.mark.parametrize(
    ("dates", "tied"),
    [
        ({"end_date": FIRST}, True),
        ({"end_date": FIRST - ONE_DAY}, False),
        ({"start_date": DAY}, True),
        ({"start_date": DAY + ONE_DAY}, False),
        ({"start_date": DAY, "end_date": DAY}, True),
    ],
)
def test_service_counts_within_the_months_before_the_opening(dates: dict[str, Any], tied: bool) -> None:
    world = met()
    serve(world, **dates)
    held = met()
    hold(held, "A", holder_person_id="E", **dates)

    assert signs(world) == ({"service"} if tied else set())
    assert signs(held) == ({"holder"} if tied else set())
    assert tie(world)["joined"]


@pytest.mark.parametrize(
    ("month", "tied"), [("2025-03", True), ("2022-03", True), ("2022-02", False), ("2025-04", False)]
)
def test_months_of_insurance_count_one_by_one(month: str, tied: bool) -> None:
    world = met()
    insure(world, month)

    assert signs(world) == ({"service"} if tied else set())
    assert tie(world)["joined"]


def test_of_many_months_the_last_is_shown() -> None:
    world = met()
    for month in ("2024-01", "2024-02", "2024-03"):
        insure(world, month)

    assert tie(world)["evidence"].count('"social_insurance"') == 1
    assert "social_insurance-0002" in tie(world)["evidence"]


def test_where_the_door_is_shut_insurance_and_relations_are_not_compared() -> None:
    world = met()
    insure(world, "2025-03")
    serve(world, person="boss", role="director")
    relate(world, "E", "boss")

    assert signs(world) == {"service", "relation"}
    assert signs(world, door_open=False) == set()
    assert not tie(world, door_open=False)["joined"]


def test_a_tie_to_a_firm_of_the_control_group_counts() -> None:
    world = met()
    in_group(world, "A", "H")
    serve(world, "H")

    assert signs(world) == {"service"}
    serve(alone := met(), "H")
    assert signs(alone) == set()


def test_a_named_legal_representative_serves() -> None:
    world = met()
    world.rows["organisation"][0]["legal_rep_person_id"] = "E"

    assert signs(world) == {"service"}


# Shares.


def test_any_share_of_the_bidder_or_its_group_counts() -> None:
    world = met()
    in_group(world, "A", "H")
    hold(world, "H", holder_person_id="E")

    assert signs(world) == {"holder"}


# Relations.


@pytest.mark.parametrize("role", ["legal_rep", "director", "manager"])
def test_a_relation_to_an_executive_counts_in_either_direction(role: str) -> None:
    for ends in (("E", "boss"), ("boss", "E")):
        world = met()
        serve(world, person="boss", role=role)
        relate(world, *ends)
        assert signs(world) == {"relation"}
        assert "spouse" not in tie(world)["evidence"]


@pytest.mark.parametrize(
    ("served", "related"),
    [
        ({"role": "finance"}, {}),
        ({"org": "H"}, {}),
        ({"end_date": DAY - ONE_DAY}, {}),
        ({"start_date": DAY + ONE_DAY}, {}),
        ({}, {"valid_from": DAY + ONE_DAY}),
    ],
)
def test_relations_that_do_not_count(served: dict[str, Any], related: dict[str, Any]) -> None:
    world = met()
    serve(world, **{"person": "boss", "role": "director", **served})
    relate(world, "E", "boss", **related)

    assert signs(world) == set()


# The employer.


def test_the_experts_employer_is_the_bidder_or_of_its_group() -> None:
    world = met()
    employ(world, "A")
    assert signs(world) == {"employer"}
    assert '"expert"' in tie(world)["evidence"]

    world = met()
    in_group(world, "A", "H")
    employ(world, "H")
    assert signs(world) == {"employer"}


@pytest.mark.parametrize(("ratio", "tied"), [(0.51, True), (0.5, False)])
def test_the_experts_employer_is_the_majority_holder_of_the_bidder(ratio: float, tied: bool) -> None:
    world = met()
    employ(world, "H")
    hold(world, "A", ratio, holder_org_id="H")

    assert signs(world) == ({"employer"} if tied else set())


def test_a_holding_of_another_day_makes_no_parent() -> None:
    world = met()
    employ(world, "H")
    hold(world, "A", 0.9, holder_org_id="H", end_date=DAY - ONE_DAY)
    hold(world, "A", 0.9, holder_org_id="H", start_date=DAY + ONE_DAY)

    assert signs(world) == set()


@pytest.mark.parametrize(
    ("regime", "role", "tied"),
    [
        ("gov_procurement_law", "expert", True),
        ("tendering_law", "expert", False),
        ("gov_procurement_law", "owner_rep", False),
    ],
)
def test_an_expert_of_the_tenderer_counts_in_government_procurement(regime: str, role: str, tied: bool) -> None:
    world = met(law_regime=regime)
    world.rows["committee_draw"][0]["member_role"] = role
    employ(world, "T")

    assert signs(world) == ({"purchaser"} if tied else set())


def test_no_employer_ties_nobody() -> None:
    world = met(law_regime="gov_procurement_law")
    world.rows["tender"][0]["tenderer_org_id"] = None
    employ(world, None)

    assert signs(world) == set()


def test_a_representative_with_an_interest_in_a_bidder_is_tied() -> None:
    world = met()
    seat(world, "1", "R", member_role="owner_rep")
    serve(world, person="R")

    assert signs(world, person="R") == {"service"}


# All together.


def busy() -> World:
    world = met("A", "B")
    serve(world, role="director", start_date=FIRST)
    serve(world, "B", "boss", "manager")
    relate(world, "boss", "E")
    hold(world, "B", holder_person_id="E")
    employ(world, "A")
    for month in ("2024-12", "2025-01"):
        insure(world, month, "B")
    return world


def test_rows_after_the_moment_change_nothing() -> None:
    world = busy()
    world.lot("later", bids=["A", "C"], opening=AFTER)
    seat(world, "later", "E", "X", drawn_at=AFTER)
    insure(world, "2025-07", "A")
    serve(world, "B", start_date=AFTER.date())
    hold(world, "A", holder_person_id="E", start_date=AFTER.date())
    relate(world, "E", "boss", valid_from=AFTER.date())
    add(world, "expert", person_id="E", employer_org_id="B", status="active", entered_at=AFTER.date())

    assert_frame_equal(derived(world), derived(busy()))


def test_the_order_of_rows_changes_nothing() -> None:
    assert signs(busy()) == {"service", "employer"}
    assert signs(busy(), "B") == {"service", "relation", "holder"}
    assert_frame_equal(derived(busy(), reverse=True), derived(busy()), check_row_order=True)


def test_no_sensitive_value_stands_in_the_result() -> None:
    frame = derived(busy())

    assert not any("boss" in text or "spouse" in text for text in frame.get_column("evidence"))
