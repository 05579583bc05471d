"""People of a tenderer and of its winner, in rows made by hand."""

import json
from typing import Any

import polars as pl
import pytest

from features.derive.owner_ties import OwnerTie
from features.tables.organisations import PersonRelation
from features.tables.source import SourceTables
from tests.contracts import AS_OF, Rows, at, both, day, derived, source, won_by
from tests.worlds import configured

# The award of lot L to W was known on 2025-12-20 at ten; the 36 months before it begin on 2022-12-20.


SEATED = at("2025-11-30")


def world(*rows: Rows, **bid: Any) -> Rows:
    """Return an award of tenderer T to W, whose legal representative is known, and further rows."""
    base = won_by(**bid)
    base["tender"][0]["tenderer_org_id"] = "T"
    return both(base, {"organisation": [{"org_id": "W", "name": "W", "legal_rep_person_id": "boss"}]}, *rows)


def ties(*rows: Rows, **bid: Any) -> dict[str, Any]:
    return derived(OwnerTie, world(*rows, **bid), key="award_id", tie_months=36)["A"]


def kinds(*rows: Rows, **bid: Any) -> set[str]:
    row = ties(*rows, **bid)
    return {name for name in ("person", "relation", "phone") if row[name]}


def role(person: str, kind: str, org: str, **columns: Any) -> Rows:
    return {
        "org_person": [
            {"org_person_id": f"{person}-{kind}-{org}", "org_id": org, "person_id": person, "role": kind, **columns}
        ]
    }


def staff(person: str = "p", **columns: Any) -> Rows:
    return role(person, "owner_staff", "T", **columns)


def manager(person: str = "p", **columns: Any) -> Rows:
    return role(person, "manager", "W", **columns)


def seat(tender_id: str, member_role: str, drawn_at: Any = SEATED) -> Rows:
    row = {"draw_id": "D", "tender_id": tender_id, "person_id": "p", "member_role": member_role, "drawn_at": drawn_at}
    return {"committee_draw": [row]}


def post(project_id: str, position: str) -> Rows:
    return {"key_personnel": [{"kp_id": "K", "project_id": project_id, "person_id": "p", "position": position}]}


def relation(left: str, right: str, **columns: Any) -> Rows:
    row = {
        "relation_id": "R",
        "person_a_id": left,
        "person_b_id": right,
        "relation_type": "spouse",
        "basis": "registry",
    }
    return {"person_relation": [{**row, **columns}]}


def test_nobody_in_common() -> None:
    row = ties(staff(), manager("q"))

    assert (row["subject_id"], row["tenderer_org_id"], row["winner_org_id"]) == (
        "organisation:T~organisation:W",
        "T",
        "W",
    )
    assert (row["n_people"], row["winner_known"], row["evidence"]) == (1, True, "[]")
    assert kinds(staff(), manager("q")) == set()


@pytest.mark.parametrize(
    "own",
    [
        staff(),
        seat("N", "owner_rep"),
        post("P", "owner_rep"),
    ],
)
def test_staff_committee_and_site_representatives_are_of_the_tenderer(own: Rows) -> None:
    assert kinds(own, manager()) == {"person"}


@pytest.mark.parametrize(
    "own",
    [
        role("p", "employee", "T"),
        role("p", "owner_staff", "T2"),
        seat("N", "expert"),
        seat("N2", "owner_rep"),
        seat("N", "owner_rep", None),
        post("P", "project_manager"),
        post("P2", "owner_rep"),
    ],
)
def test_who_is_not_of_the_tenderer(own: Rows) -> None:
    row = ties(own, manager())

    assert (row["n_people"], row["person"]) == (0, False)


@pytest.mark.parametrize(
    ("theirs", "found"),
    [
        (role("p", "legal_rep", "W"), True),
        (role("p", "director", "W"), True),
        (role("p", "board_supervisor", "W"), True),
        (manager(), True),
        (role("p", "finance", "W"), False),
        (role("p", "manager", "W2"), False),
        ({"shareholding": [{"holding_id": "H", "org_id": "W", "holder_person_id": "p", "ratio": 0.01}]}, True),
        ({"shareholding": [{"holding_id": "H", "org_id": "V", "holder_person_id": "p", "ratio": 0.9}]}, False),
    ],
)
def test_who_is_of_the_winner(theirs: Rows, found: bool) -> None:
    assert ("person" in kinds(staff(), theirs)) is found


def test_the_named_legal_representative_counts_unless_dated_ones_are_known() -> None:
    assert kinds(staff("boss")) == {"person"}
    assert kinds(staff("boss"), role("other", "legal_rep", "W")) == set()


def test_the_winner_is_the_legal_person_not_its_group() -> None:
    sisters = {"organisation": [{"org_id": "V", "name": "V", "group_id": "G", "legal_rep_person_id": "p"}]}

    assert kinds(staff(), sisters) == set()


@pytest.mark.parametrize(
    ("columns", "meets"),
    [
        ({}, True),
        ({"end_date": day("2022-12-20")}, True),
        ({"end_date": day("2022-12-19")}, False),
        ({"start_date": day("2025-12-20")}, True),
        ({"start_date": day("2025-12-21")}, False),
    ],
)
def test_both_sides_meet_the_months_before_the_award(columns: dict[str, Any], meets: bool) -> None:
    assert ("person" in kinds(staff(**columns), manager())) is meets
    assert ("person" in kinds(staff(), manager(**columns))) is meets
    holding = {"holding_id": "H", "org_id": "W", "holder_person_id": "p", "ratio": 0.1, **columns}
    assert ("person" in kinds(staff(), {"shareholding": [holding]})) is meets


def test_the_two_need_not_have_served_at_the_same_time() -> None:
    assert kinds(staff(end_date=day("2023-06-01")), manager(start_date=day("2025-01-01"))) == {"person"}


@pytest.mark.parametrize(
    ("month", "found"), [("2022-11", False), ("2022-12", True), ("2025-11", True), ("2025-12", False)]
)
def test_who_was_insured_by_the_winner_counts_month_by_month(month: str, found: bool) -> None:
    insured = {"social_insurance": [{"si_id": "S", "person_id": "p", "org_id": "W", "month": month}]}

    assert ("person" in kinds(staff(), insured)) is found


@pytest.mark.parametrize(("left", "right"), [("p", "q"), ("q", "p")])
def test_a_relation_in_either_direction(left: str, right: str) -> None:
    assert kinds(staff(), manager("q"), relation(left, right, relation_type="other")) == {"relation"}


@pytest.mark.parametrize(("began", "found"), [(None, True), (day("2025-12-20"), True), (day("2025-12-21"), False)])
def test_a_relation_counts_from_its_day(began: Any, found: bool) -> None:
    assert ("relation" in kinds(staff(), manager("q"), relation("p", "q", valid_from=began))) is found


def test_relations_with_others_say_nothing() -> None:
    assert kinds(staff(), manager("q"), relation("p", "r")) == set()


def test_relations_that_may_not_be_read_are_skipped_and_marked() -> None:
    rows = world(staff(), manager("q"), relation("p", "q"))
    open_, shut = source(rows), source(rows)
    shut = SourceTables(shut.frames, {name: rows for name, rows in shut.opened.items() if name != PersonRelation.NAME})
    told = [OwnerTie.derive(one, AS_OF, tie_months=36).collect().row(0, named=True) for one in (open_, shut)]

    assert [(row["relations_read"], row["relation"]) for row in told] == [(True, True), (False, False)]


PHONES: Rows = {"person": [{"person_id": "p", "name": "p", "id_no_hash": "i", "phone_hash": "h"}]}


@pytest.mark.parametrize(("phone", "found"), [("h", True), ("g", False), (None, False)])
def test_the_telephone_of_the_awarded_bid(phone: str | None, found: bool) -> None:
    assert ("phone" in kinds(staff(), PHONES, contact_phone_hash=phone)) is found


def test_the_telephone_of_a_losing_bid_says_nothing() -> None:
    losing = {"bid_id": "B2", "lot_id": "L", "tender_id": "N", "bidder_org_id": "V", "contact_phone_hash": "h"}

    assert kinds(staff(), PHONES, {"bid": [{**losing, "status": "valid"}]}) == set()


def test_a_generic_telephone_says_nothing() -> None:
    generic = {"param": [configured("LIST.boilerplate_phone.1", "h")]}

    assert kinds(staff(), PHONES, generic, contact_phone_hash="h") == set()


@pytest.mark.parametrize(
    ("rows", "known"),
    [
        ({}, False),
        ({"org_person": [{"org_person_id": "1", "org_id": "W", "person_id": "q", "role": "employee"}]}, True),
        ({"shareholding": [{"holding_id": "H", "org_id": "W", "holder_org_id": "X", "ratio": 0.5}]}, True),
        ({"social_insurance": [{"si_id": "S", "person_id": "q", "org_id": "W", "month": "2026-06"}]}, True),
        ({"social_insurance": [{"si_id": "S", "person_id": "q", "org_id": "W", "month": "2026-07"}]}, False),
    ],
)
def test_what_makes_a_winner_known(rows: Rows, known: bool) -> None:
    base = won_by()
    base["tender"][0]["tenderer_org_id"] = "T"

    assert derived(OwnerTie, both(base, rows), key="award_id", tie_months=36)["A"]["winner_known"] is known


def test_awards_of_later_and_without_tenderer_are_left_out() -> None:
    later = world()
    later["award"][0]["notice_issued_at"] = at("2026-07-01", 0)

    assert derived(OwnerTie, later, key="award_id", tie_months=36) == {}
    assert derived(OwnerTie, won_by(), key="award_id", tie_months=36) == {}


def test_evidence_names_rows_and_never_persons() -> None:
    rows = world(
        staff("person-one"),
        manager("person-two"),
        {"social_insurance": [{"si_id": "S", "person_id": "person-one", "org_id": "W", "month": "2025-11"}]},
        relation("person-one", "person-two"),
        {"person": [{"person_id": "person-one", "name": "n", "id_no_hash": "i", "phone_hash": "hash"}]},
        contact_phone_hash="hash",
    )
    # Keys are the source's own; here they name nobody.
    for row, key in zip(rows["org_person"], ("1", "2"), strict=True):
        row["org_person_id"] = key
    frame = OwnerTie.derive(source(rows), AS_OF, tie_months=36).collect()
    shown = json.loads(frame.get_column("evidence")[0])

    assert {(row["table"], row["key"]) for row in shown} == {
        ("award", "A"),
        ("org_person", "1"),
        ("org_person", "2"),
        ("social_insurance", "S"),
        ("person_relation", "R"),
        ("bid", "B"),
    }
    text = json.dumps(frame.select(pl.all().cast(pl.String)).to_dicts())
    assert not any(value in text for value in ("person-one", "person-two", "hash", "spouse"))
