"""What ties an agency to those in its tenders, in worlds made by hand."""

import datetime as dt
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.derive.agency_interest import AgencyTie
from features.tables.contract import SOURCE_TABLES
from features.tables.reference import Param
from features.tables.source import SourceTables
from tests.worlds import AFTER, AS_OF, Offer, World, configured, days_ago

OPENING = days_ago(100)
DAY = OPENING.date()
SENSITIVE = ("social_insurance", "person_relation")


def source_of(world: World, *, door_open: bool = True) -> SourceTables:
    """Return a world as a run sees it that may read the sensitive columns, or may not."""
    frames = {name: frame.lazy() for name, frame in world.frames().items()}
    shown = {name: frame.select(SOURCE_TABLES[name].public_columns()) for name, frame in frames.items()}
    return SourceTables(shown, {name: frames[name] for name in SENSITIVE if name in frames} if door_open else {})


def derived(world: World, *, door_open: bool = True) -> pl.DataFrame:
    frame = AgencyTie.derive(source_of(world, door_open=door_open), AS_OF, tie_months=36).collect()
    return pl.DataFrame(AgencyTie.validate(frame))


def tie(world: World, org: str = "A", **about: Any) -> dict[str, Any]:
    frame = derived(world, **about).filter(agency_org_id="G", org_id=org)
    return frame.row(0, named=True)


def signs(world: World, org: str = "A") -> set[str]:
    found = tie(world, org)
    return {name for name in ("control", "person", "relation") if found[name]}


def world_of(*bids: Offer | str, opening: dt.datetime = OPENING, name: str = "1", **tender: Any) -> World:
    """Return a tender of T run by G in which A bid, or those given."""
    world = World()
    world.lot(name, bids=bids or ("A",), opening=opening, tender={"agency_org_id": "G", **tender})
    world.group(None, "G", "A", "T")
    return world


def add(world: World, table: str, **row: Any) -> None:
    """Add a row; its key and what the contract asks for are made up."""
    rows = world.rows[table]
    rows.append({SOURCE_TABLES[table].key(): f"{table}-{len(rows)}", **row})


def hold(world: World, org: str, holder: str, ratio: float, **about: Any) -> None:
    add(world, "shareholding", org_id=org, holder_org_id=holder, ratio=ratio, **about)


def serve(world: World, person: str, *orgs: str, role: str = "finance", **about: Any) -> None:
    for org in orgs:
        add(world, "org_person", org_id=org, person_id=person, role=role, **about)


def insure(world: World, person: str, org: str, *months: str) -> None:
    for month in months:
        add(world, "social_insurance", org_id=org, person_id=person, month=month)


def describe(world: World, org: str, **about: Any) -> None:
    row = next(row for row in world.rows["organisation"] if row["org_id"] == org)
    row.update(about)


# Who meets.


def test_the_tenderer_each_bidder_and_each_member_of_its_consortium_meet_the_agency() -> None:
    world = world_of("A", Offer("B", 1, "disqualified"), Offer("C", 1, "withdrawn"), "G")
    world.rows["bid"][0] |= {"is_consortium": True, "consortium_org_ids": '["A", "D"]'}
    world.rows["bid"][2] |= {"is_consortium": True, "consortium_org_ids": '["C", "E"]'}

    assert derived(world).get_column("org_id").to_list() == ["A", "B", "D", "T"]


def test_a_pair_counts_the_tenders_in_which_it_met() -> None:
    world = world_of()
    world.lot("2", bids=["A", "A"], tender={"agency_org_id": "G"})
    world.lot("own", bids=["A"])
    world.lot("later", bids=["A", "Z"], opening=AFTER, tender={"agency_org_id": "G"})

    assert tie(world)["n_tenders"] == 2
    assert "Z" not in derived(world).get_column("org_id").to_list()


def test_nothing_in_common() -> None:
    found = tie(world_of())

    assert (found["control"], found["person"], found["relation"], found["affiliation_score"]) == (
        *(False,) * 3,
        0.0,
    )
    assert found["evidence"] == "[]"


# Control, on the day of opening.


def chain(*links: tuple[str, str], ratio: float = 0.51, **about: Any) -> World:
    world = world_of()
    for org, holder in links:
        hold(world, org, holder, ratio, **about)
    return world


UP_4 = [("A", "1"), ("1", "2"), ("2", "3"), ("3", "4")]


@pytest.mark.parametrize(
    "links",
    [
        [("A", "G")],
        [("G", "A")],
        [("A", "1"), ("1", "G")],
        [("A", "H"), ("G", "H")],
        [("A", "1"), ("1", "H"), ("G", "H")],
        [*UP_4[:3], ("3", "G")],
        [*UP_4, ("G", "4")],
    ],
)
def test_one_controls_the_other_or_one_hand_both_in_at_most_four_steps(links: list[tuple[str, str]]) -> None:
    assert signs(chain(*links)) == {"control"}


@pytest.mark.parametrize("links", [[*UP_4, ("4", "G")], [("A", "1"), ("G", "2")], [("1", "A"), ("1", "G")]])
def test_five_steps_or_no_common_hand_are_no_control(links: list[tuple[str, str]]) -> None:
    assert signs(chain(*links)) == set()


def test_a_half_is_no_control() -> None:
    assert signs(chain(("A", "G"), ratio=0.5)) == set()


def test_a_natural_person_controls_too() -> None:
    world = world_of()
    for org in "AG":
        add(world, "shareholding", org_id=org, holder_person_id="P", ratio=0.6)
    assert signs(world) == {"control"}


def test_government_is_no_hand() -> None:
    world = chain(("A", "S"), ("G", "S"))
    world.group(None, "S")
    describe(world, "S", org_type="government")
    assert signs(world) == set()

    serve(world, "P", "A", "G")  # even where the pair is looked at for another reason
    assert signs(world) == {"person"}


@pytest.mark.parametrize(
    ("dates", "holds"),
    [
        ({"start_date": DAY}, True),
        ({"end_date": DAY}, True),
        ({"start_date": DAY + dt.timedelta(days=1)}, False),
        ({"end_date": DAY - dt.timedelta(days=1)}, False),
    ],
)
def test_control_is_that_of_the_day_of_opening(dates: dict[str, Any], holds: bool) -> None:
    assert signs(chain(("A", "G"), **dates)) == ({"control"} if holds else set())


def test_of_two_openings_the_one_that_ties_stands() -> None:
    world = chain(("A", "G"), end_date=DAY)
    world.lot("2", bids=["A"], opening=days_ago(50), tender={"agency_org_id": "G"})

    found = tie(world)

    assert (found["control"], found["n_tenders"]) == (True, 2)
    assert '"key":"N-1"' in found["evidence"]
    assert '"key":"N-2"' not in found["evidence"]


def test_control_counts_only_between_its_first_and_last_day() -> None:
    world = world_of(opening=days_ago(300))
    for days in (200, 100):
        world.lot(f"{days}", bids=["A"], opening=days_ago(days), tender={"agency_org_id": "G"})
    hold(world, "A", "G", 0.6, start_date=days_ago(250).date(), end_date=days_ago(150).date())

    assert '"key":"N-200"' in tie(world)["evidence"]
    world.rows["tender"].pop(1)
    assert signs(world) == set()


def test_one_legal_representative_ties_two_and_is_a_person_at_both() -> None:
    world = world_of()
    describe(world, "A", legal_rep_person_id="P")
    describe(world, "G", legal_rep_person_id="P")
    assert signs(world) == {"control", "person"}

    hold(world, "B", "A", 0.6)  # a subsidiary has a representative of its own
    world.bids("1", "B")
    assert signs(world, "B") == set()


def test_most_of_two_boards_in_common() -> None:
    world = world_of()
    serve(world, "P", "A", "G", role="director")
    assert signs(world) == {"control", "person"}

    serve(world, "Q", "A", role="manager")
    assert signs(world) == {"person"}


# People at both ends.


FIRST = DAY.replace(year=DAY.year - 3)


@pytest.mark.parametrize(
    ("dates", "counts"),
    [
        ({}, True),
        ({"start_date": DAY}, True),
        ({"start_date": DAY + dt.timedelta(days=1)}, False),
        ({"end_date": FIRST}, True),
        ({"end_date": FIRST - dt.timedelta(days=1)}, False),
    ],
)
def test_a_person_counts_who_served_at_both_in_the_months_before_the_opening(
    dates: dict[str, dt.date], counts: bool
) -> None:
    world = world_of()
    serve(world, "P", "G")
    serve(world, "P", "A", role="employee", **dates)

    assert signs(world) == ({"person"} if counts else set())


def test_a_person_counts_who_was_insured_at_both_or_served_at_one() -> None:
    insured = world_of()
    insure(insured, "P", "A", "2023-01")
    insure(insured, "P", "G", "2024-06", "2024-07")
    served = world_of()
    insure(served, "P", "A", "2023-01")
    serve(served, "P", "G")

    assert signs(insured) == signs(served) == {"person"}
    assert "2024-07" not in tie(insured)["evidence"]
    assert tie(insured)["evidence"].count('"table":"social_insurance"') == 2


@pytest.mark.parametrize("month", ["2022-02", "2025-04"])
def test_a_month_outside_the_window_does_not_count(month: str) -> None:
    world = world_of()  # opened on 2025-03-22
    insure(world, "P", "A", month)
    serve(world, "P", "G")

    assert signs(world) == set()


def test_a_month_that_has_not_ended_is_not_known() -> None:
    world = world_of(opening=AS_OF - dt.timedelta(hours=1))
    insure(world, "P", "A", f"{AS_OF:%Y-%m}")
    serve(world, "P", "G")
    assert signs(world) == set()


def test_where_the_door_is_shut_nobody_insured_is_compared() -> None:
    world = world_of()
    insure(world, "P", "A", "2024-06")
    insure(world, "P", "G", "2024-06")

    assert not tie(world, door_open=False)["person"]


def test_no_person_and_no_value_stands_in_the_result() -> None:
    world = world_of()
    for org in "AG":
        insure(world, "SECRET", org, "2024-06")
        describe(world, org, phone_hash="SECRET", address_norm="SECRET")

    assert "SECRET" not in derived(world).write_csv()


# Relations of executives.


def related(
    role: str = "director", a: str = "P", b: str = "Q", valid_from: dt.date | None = None, **dates: Any
) -> World:
    world = world_of()
    serve(world, "P", "A", role=role, **dates)
    serve(world, "Q", "G", role="manager")
    add(
        world,
        "person_relation",
        person_a_id=a,
        person_b_id=b,
        relation_type="other",
        basis="registry",
        valid_from=valid_from,
    )
    return world


def test_executives_may_be_related_in_either_direction() -> None:
    assert signs(related()) == signs(related(a="Q", b="P")) == {"relation"}


def test_a_named_legal_representative_is_an_executive() -> None:
    world = related(role="employee")
    describe(world, "A", legal_rep_person_id="P")

    assert signs(world) == {"relation"}


@pytest.mark.parametrize(
    "about",
    [
        {"role": "employee"},
        {"end_date": DAY - dt.timedelta(days=1)},
        {"start_date": DAY + dt.timedelta(days=1)},
        {"valid_from": DAY + dt.timedelta(days=1)},
        {"b": "R"},
    ],
)
def test_relations_that_do_not_count(about: dict[str, Any]) -> None:
    assert signs(related(**about)) == set()


def test_a_relation_is_named_by_its_key_alone() -> None:
    found = tie(related())["evidence"]

    assert '{"table":"person_relation","key":"person_relation-0","fields":{"tie":"relation"}}' in found


# Addresses, contacts and holders.


def score(world: World) -> float:
    return float(tie(world)["affiliation_score"])


def alike(**values: str) -> World:
    world = world_of()
    for org in "AG":
        describe(world, org, **values)
    return world


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"address_norm": "X"}, 0.3),
        ({"phone_hash": "X"}, 0.25),
        ({"email_hash": "X"}, 0.25),
        ({"phone_hash": "X", "email_hash": "Y"}, 0.25),
        ({"address_norm": "X", "email_hash": "Y"}, 0.55),
        ({"address_norm": " "}, 0.0),
    ],
)
def test_an_address_and_a_contact_add_up(values: dict[str, str], expected: float) -> None:
    assert score(alike(**values)) == pytest.approx(expected)


def test_a_value_of_more_than_twenty_firms_is_an_agents() -> None:
    world = alike(address_norm="X")
    for place in range(18):
        world.rows["organisation"].append({"org_id": f"O{place}", "name": "O", "address_norm": "X"})
    assert score(world) == pytest.approx(0.3)

    world.rows["organisation"].append({"org_id": "O18", "name": "O", "address_norm": "X"})
    assert score(world) == 0.0


def test_generic_values_of_the_lists_say_nothing() -> None:
    world = alike(address_norm="Hall X", phone_hash="Y", email_hash="Z")
    rows = [
        configured(f"LIST.{name}.1", value)
        for name, value in (("boilerplate_address", "hall x"), ("boilerplate_phone", "y"))
    ]
    source = source_of(world)
    schema = {name: column.dtype for name, column in Param.columns().items()}
    listed = SourceTables({**source.frames, Param.NAME: pl.LazyFrame(rows, schema=schema)}, source.opened)

    found = AgencyTie.derive(listed, AS_OF, tie_months=36).filter(org_id="A").collect()

    assert found.get_column("affiliation_score").to_list() == [0.25]


def test_a_common_holder_of_a_tenth_of_both_adds_a_little() -> None:
    world = alike(phone_hash="X")
    hold(world, "A", "H", 0.1)
    hold(world, "G", "H", 0.05)
    assert score(world) == pytest.approx(0.25)

    hold(world, "G", "H", 0.05, end_date=DAY)
    assert score(world) == pytest.approx(0.4)

    hold(world, "A", "H", 0.5)
    hold(world, "G", "H", 0.5)
    assert (score(world), tie(world)["control"]) == (pytest.approx(0.25), True)


def test_a_holding_of_another_day_does_not_count() -> None:
    world = world_of()
    hold(world, "A", "H", 0.3)
    hold(world, "G", "H", 0.3, end_date=DAY - dt.timedelta(days=1))

    assert score(world) == 0.0


# What is known, and when.


@pytest.mark.parametrize("end", ["A", "G"])
@pytest.mark.parametrize("of_end", ["representative", "holding", "person"])
def test_both_ends_must_be_in_the_register(end: str, of_end: str) -> None:
    world = world_of()
    serve(world, "P", "A" if end == "G" else "G")
    assert not tie(world)["registered"]

    if of_end == "representative":
        describe(world, end, legal_rep_person_id="Q")
    elif of_end == "holding":
        hold(world, end, "H", 0.01)
    else:
        serve(world, "Q", end)
    assert tie(world)["registered"]


def busy() -> World:
    world = related()
    insure(world, "R", "A", "2024-06", "2024-07")
    insure(world, "R", "G", "2024-01")
    hold(world, "T", "G", 0.6)
    for org in "AG":
        describe(world, org, address_norm="X", phone_hash="Y")
    return world


def test_rows_after_the_moment_change_nothing() -> None:
    world = busy()
    later = AFTER.date()
    serve(world, "S", "A", "T", "G", role="director", start_date=later)
    hold(world, "A", "G", 0.9, start_date=later)
    insure(world, "S", "T", "2025-07")
    add(
        world,
        "person_relation",
        person_a_id="P",
        person_b_id="P",
        relation_type="other",
        basis="registry",
        valid_from=later,
    )
    world.lot("later", bids=["A", "B"], opening=AFTER, tender={"agency_org_id": "G"})

    assert_frame_equal(derived(world), derived(busy()))


def test_the_order_of_rows_changes_nothing() -> None:
    straight = source_of(busy())
    turned = SourceTables(
        {name: frame.reverse() for name, frame in straight.frames.items()},
        {name: frame.reverse() for name, frame in straight.opened.items()},
    )

    assert_frame_equal(AgencyTie.derive(turned, AS_OF, tie_months=36).collect(), derived(busy()))


def test_two_organisations_that_run_each_others_tenders_share_one_subject() -> None:
    world = world_of()
    world.lot("2", bids=["G"], tender={"agency_org_id": "A"})

    found = derived(world).filter(pl.col("subject_id") == "organisation:A~organisation:G")

    assert found.select("agency_org_id", "org_id").rows() == [("A", "G"), ("G", "A")]
