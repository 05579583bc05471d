"""Whom a bid promised, who came, for whom they work and where else they are booked, in rows made by hand."""

from typing import Any

import pytest

from features.derive.site_team import ManagerBooking, TeamEmployment, TeamSwap
from features.tables.source import SourceTables
from tests.contracts import AS_OF, Rows, at, both, contract, day, derived, source, won_by

MONTHS = ("2026-04", "2026-05", "2026-06")


def post(kp_id: str, person: str, position: str = "project_manager", **columns: Any) -> Rows:
    row = {
        "kp_id": kp_id,
        "contract_id": "C",
        "person_id": person,
        "position": position,
        "source": "actual",
        **columns,
    }
    return {"key_personnel": [row]}


# SI-038: for whom they work.


def insured(person: str, org: str, months: tuple[str, ...] = MONTHS) -> Rows:
    rows = [{"si_id": f"{person}{org}{m}", "person_id": person, "org_id": org, "month": m} for m in months]
    return {"social_insurance": rows}


def certified(person: str, org: str | None) -> Rows:
    return {"person_certificate": [{"cert_id": f"{person}{org}", "person_id": person, "reg_org_id": org}]}


def employment(*rows: Rows) -> dict[str, Any]:
    return derived(TeamEmployment, both({"contract": [contract()]}, *rows), si_months=3)["C"]


def counts(*rows: Rows) -> tuple[int, int, int]:
    found = employment(*rows)
    return (found["n_insured"], found["n_known"], found["n_foreign"])


MANAGER, LEAD = post("K1", "p1"), post("K2", "p2", "tech_lead")


def test_who_is_insured_elsewhere_all_the_time_is_foreign() -> None:
    found = employment(MANAGER, LEAD, insured("p1", "W"), insured("p2", "X"))

    assert (found["n_insured"], found["n_known"], found["n_foreign"]) == (2, 2, 1)
    assert not found["is_manager_foreign"]
    assert '"key":"K2"' in found["evidence"]
    assert '"key":"K1"' not in found["evidence"]


def test_the_manager_is_told_apart() -> None:
    assert employment(MANAGER, LEAD, insured("p1", "X"), insured("p2", "W"))["is_manager_foreign"]


@pytest.mark.parametrize(
    ("rows", "counted"),
    [
        ([insured("p1", "X", MONTHS[:2]), insured("p1", "W", MONTHS[2:])], (1, 1, 0)),  # came over in June
        ([insured("p1", "X"), insured("p1", "W", MONTHS[:1])], (1, 1, 0)),  # two employers
        ([insured("p1", "X", MONTHS[:2])], (0, 0, 0)),  # June is not known
        ([insured("p1", "W", MONTHS[:1])], (1, 1, 0)),
        ([insured("p1", "X", ("2026-03", *MONTHS[:2]))], (0, 0, 0)),
        ([insured("p1", "X", MONTHS[:2]), insured("p1", "Y", MONTHS[2:])], (1, 1, 1)),
        ([certified("p1", "X")], (0, 1, 1)),
        ([certified("p1", "W")], (0, 1, 0)),
        ([certified("p1", None)], (0, 0, 0)),
        ([certified("p1", "X"), certified("p1", "W")], (0, 1, 0)),
        ([insured("p1", "W"), certified("p1", "X")], (1, 1, 1)),
        ([insured("p1", "X"), certified("p1", "W")], (1, 1, 1)),
        ([insured("p9", "X")], (0, 0, 0)),
    ],
)
def test_what_insurance_and_certificates_say(rows: list[Rows], counted: tuple[int, int, int]) -> None:
    assert counts(MANAGER, *rows) == counted


def test_consortium_members_employ_lawfully() -> None:
    assert counts(MANAGER, insured("p1", "M"), won_by(members='["M"]')) == (1, 1, 0)
    assert counts(MANAGER, insured("p1", "M"), won_by("OTHER", '["M"]')) == (1, 1, 1)


def test_a_person_with_two_posts_is_one_person() -> None:
    assert counts(MANAGER, post("K2", "p1", "safety_lead"), insured("p1", "X")) == (1, 1, 1)


@pytest.mark.parametrize(
    "columns",
    [
        {"position": "owner_rep"},
        {"source": "contract"},
        {"source": "bid"},
        {"assigned_from": day("2026-07-01")},
        {"assigned_to": day("2026-06-20")},
        {"contract_id": "C2"},
    ],
)
def test_people_who_do_not_count(columns: dict[str, Any]) -> None:
    odd = post("K9", "p9", **{"position": "tech_lead", **columns})

    assert counts(MANAGER, odd, insured("p1", "W"), insured("p9", "X")) == (1, 1, 0)


def test_who_leaves_later_is_still_there() -> None:
    assert counts(post("K1", "p1", assigned_to=day("2026-07-20")), insured("p1", "X")) == (1, 1, 1)


def test_when_all_have_left_that_is_said() -> None:
    assert employment(post("K1", "p1", assigned_to=day("2026-06-20")))["has_left"]
    assert not employment(MANAGER)["has_left"]
    assert not employment()["has_left"]


def test_a_shut_door_shows_no_insurance() -> None:
    rows = both({"contract": [contract()]}, MANAGER, insured("p1", "X"))
    found = TeamEmployment.derive(SourceTables(source(rows).frames), AS_OF, si_months=3).collect().row(0, named=True)

    assert (found["n_insured"], found["n_foreign"]) == (0, 0)


# SI-039: who came.


def promised(person: str, position: str = "project_manager") -> Rows:
    return post(f"B-{position}", person, position, source="bid")


STARTED: Rows = {"project": [{"project_id": "P", "actual_start_date": day("2026-02-01")}]}


def swap(*rows: Rows) -> dict[str, Any]:
    return derived(TeamSwap, both({"contract": [contract()]}, STARTED, *rows), swap_days=90)["C"]


def test_positions_with_another_person_are_swapped() -> None:
    found = swap(promised("p1"), promised("p2", "tech_lead"), post("K1", "p1"), post("K2", "x", "tech_lead"))

    assert (found["n_promised"], found["n_swapped"], found["is_manager_swapped"]) == (2, 1, False)
    assert (found["has_started"], found["n_actual"]) == (True, 2)
    assert '"key":"K2"' in found["evidence"]


@pytest.mark.parametrize(
    ("start", "swapped"),
    [
        (None, True),
        (day("2026-05-02"), True),  # 90 days after the start
        (day("2026-05-03"), False),
        (day("2026-01-05"), True),
    ],
)
def test_who_came_within_the_days_counts(start: Any, swapped: bool) -> None:
    assert swap(promised("p1"), post("K1", "x", assigned_from=start))["is_manager_swapped"] is swapped


def test_a_later_successor_of_the_promised_one_is_a_swap_too() -> None:
    assert swap(promised("p1"), post("K1", "p1"), post("K2", "x", assigned_from=day("2026-04-01")))["n_swapped"] == 1


def test_a_position_left_empty_or_never_promised_is_not_swapped() -> None:
    assert swap(promised("p1"))["n_swapped"] == 0
    assert swap(promised("p1"), post("K2", "x", "safety_lead"))["n_swapped"] == 0


def test_each_of_two_promised_for_one_position_may_come() -> None:
    two = both(promised("p1", "safety_lead"), post("B2", "p2", "safety_lead", source="bid"))

    assert swap(two, post("K1", "p2", "safety_lead"))["n_swapped"] == 0
    assert swap(two, post("K1", "x", "safety_lead"))["n_promised"] == 1


def test_what_the_register_does_not_name_is_taken_from_the_winning_bid() -> None:
    bid = won_by(pm_person_id="p1", tech_lead_person_id="p2")

    assert swap(bid, post("K1", "x"), post("K2", "p2", "tech_lead"))["n_swapped"] == 1
    assert swap(bid)["n_promised"] == 2
    assert swap(bid, promised("x"), post("K1", "x"))["n_swapped"] == 0
    assert swap(won_by("OTHER", pm_person_id="p1"))["n_promised"] == 0


def replaced(approved: str | None, effective: str = "2026-03-01", position: str = "project_manager") -> Rows:
    row = {
        "replacement_id": "H",
        "contract_id": "C",
        "position": position,
        "effective_at": day(effective),
        "approved_at": approved and at(approved),
    }
    return {"personnel_replacement": [row]}


@pytest.mark.parametrize(
    ("row", "approved"),
    [
        (replaced("2026-02-20"), True),
        (replaced("2026-06-20"), True),
        (replaced("2026-07-01"), False),
        (replaced(None), False),
        (replaced("2026-02-20", "2026-06-01"), False),  # of a later change
        (replaced("2026-02-20", position="tech_lead"), False),
    ],
)
def test_an_approved_replacement_of_the_manager(row: Rows, approved: bool) -> None:
    assert swap(promised("p1"), post("K1", "x"), row)["is_manager_approved"] is approved


@pytest.mark.parametrize("start", [None, day("2026-07-01")])
def test_before_the_start_nothing_is_swapped(start: Any) -> None:
    rows = both({"contract": [contract()]}, promised("p1"), post("K1", "x"))
    rows["project"] = [{"project_id": "P", "actual_start_date": start}]
    found = derived(TeamSwap, rows, swap_days=90)["C"]

    assert (found["has_started"], found["n_swapped"]) == (False, 0)


# SI-046: where else they are booked.


def lot(lot_id: str, project: str, works: str | None = None) -> dict[str, Any]:
    return {"lot_id": lot_id, "tender_id": "N", "project_id": project, "unit_works_code": works}


def managed(*contracts: dict[str, Any], lots: tuple[dict[str, Any], ...] = ()) -> Rows:
    """Return contracts of which p1 is the project manager."""
    posts = [post(f"K{one['contract_id']}", "p1", contract_id=one["contract_id"]) for one in contracts]
    return both({"contract": [*contracts], "lot": [*lots]}, *posts)


def other(number: int, **columns: Any) -> dict[str, Any]:
    return contract(f"C{number}", **{"project_id": f"P{number}", "lot_id": f"L{number}", **columns})


def booking(*rows: Rows, person: str = "p1") -> dict[str, Any]:
    return derived(ManagerBooking, both(*rows), key="subject_id", stop_days=120)[person]


def test_performing_contracts_of_different_works_count() -> None:
    found = booking(managed(contract(), other(2)))

    assert (found["n_works"], found["n_contracts"], found["has_contract"]) == (2, 2, True)
    assert '"table":"contract","key":"C2"' in found["evidence"]


@pytest.mark.parametrize(
    "columns",
    [
        {"status": "signed"},
        {"status": "completed"},
        {"status": "suspended"},
        {"signed_at": at("2026-07-01")},
    ],
)
def test_only_contracts_being_performed_count(columns: dict[str, Any]) -> None:
    assert booking(managed(contract(), other(2, **columns)))["n_works"] == 1


def test_contracts_of_one_project_count_once() -> None:
    found = booking(managed(contract(), other(2, project_id="P")))

    assert (found["n_works"], found["n_contracts"]) == (1, 2)


def test_lots_of_one_works_count_once_step_by_step() -> None:
    lots = (lot("L", "P", "U1"), lot("L2", "P2", "U1"), lot("L3", "P2", "U2"), lot("L4", "P4", "U2"), lot("L5", "P5"))
    chain = managed(contract(), other(2), other(3, project_id="P2"), other(4), other(5), lots=lots)

    assert booking(chain)["n_works"] == 2


def test_works_without_a_code_are_not_one_works() -> None:
    assert booking(managed(contract(), other(2), lots=(lot("L", "P"), lot("L2", "P2"))))["n_works"] == 2


def test_other_peoples_works_do_not_join_mine() -> None:
    lots = (lot("L", "P", "U1"), lot("L2", "P2", "U2"), lot("L3", "P3", "U1"), lot("L4", "P3", "U2"))
    theirs = [post(f"T{number}", "p2", contract_id=f"C{number}") for number in (3, 4)]
    mine = managed(contract(), other(2), lots=lots)
    mine["contract"] += [other(3), other(4, project_id="P3")]

    assert booking(mine, *theirs)["n_works"] == 2
    assert booking(mine, *theirs, person="p2")["n_works"] == 1


@pytest.mark.parametrize(
    ("columns", "counts"),
    [
        ({"source": "contract"}, True),
        ({"source": "bid"}, False),
        ({"position": "tech_lead"}, False),
        ({"assigned_to": day("2026-06-20")}, False),
        ({"assigned_to": day("2026-07-20")}, True),
        ({"assigned_from": day("2026-07-01")}, False),
    ],
)
def test_who_is_project_manager(columns: dict[str, Any], counts: bool) -> None:
    rows = managed(contract(), other(2))
    rows["key_personnel"][1].update(columns)

    assert booking(rows)["n_works"] == (2 if counts else 1)


def test_a_manager_who_has_left_is_not_held_by_the_name_in_the_contract() -> None:
    rows = managed(contract(), other(2))
    rows["key_personnel"][1]["assigned_to"] = day("2026-06-20")

    assert booking(rows, post("N", "p1", contract_id="C2", source="contract"))["n_works"] == 1


def stopped(first: str, resumed: str | None = None) -> Rows:
    row = {"suspension_id": "S", "project_id": "P2", "from_date": day(first), "to_date": resumed and day(resumed)}
    return {"suspension": [row]}


@pytest.mark.parametrize(
    ("stop", "n_works"),
    [
        (stopped("2026-03-01"), 1),  # 121 days
        (stopped("2026-03-02"), 2),  # 120 days are not more than 120
        (stopped("2026-01-01", "2026-06-01"), 2),  # goes on again
        (stopped("2026-01-01", "2026-07-05"), 1),  # not yet
    ],
)
def test_works_stopped_for_long_do_not_count(stop: Rows, n_works: int) -> None:
    assert booking(managed(contract(), other(2)), stop)["n_works"] == n_works


def won(**bid: Any) -> Rows:
    """Return lot L7 of project P7, won with p1 as its manager in March."""
    rows = won_by(pm_person_id="p1", **bid)
    for name in ("lot", "bid", "award"):
        rows[name][0]["lot_id"] = "L7"
    rows["lot"][0]["project_id"] = "P7"
    rows["award"][0]["notice_issued_at"] = at("2026-03-01")
    return rows


def test_a_lot_won_while_booked_counts_until_its_contract_is_signed() -> None:
    found = booking(managed(contract()), won())

    assert (found["n_works"], found["n_contracts"]) == (2, 2)
    assert '"table":"award","key":"A"' in found["evidence"]
    signed = contract("C7", project_id="P7", lot_id="L7", status="completed")
    assert booking(managed(contract()), won(), {"contract": [signed]})["n_works"] == 1


def test_a_lot_won_before_the_booking_or_later_or_of_the_same_project_does_not_count() -> None:
    assert booking(managed(contract(signed_at=at("2026-03-02"))), won())["n_works"] == 1
    assert booking(managed(contract(status="completed")), won())["n_works"] == 0
    assert booking(managed(contract(project_id="P7")), won())["n_works"] == 1
    later = won()
    later["award"][0]["notice_issued_at"] = at("2026-07-01")
    assert booking(managed(contract()), later)["n_works"] == 1


def test_who_only_stands_in_a_winning_bid_has_no_contract() -> None:
    found = booking(won())

    assert (found["has_contract"], found["n_works"]) == (False, 0)


def test_later_rows_change_nothing() -> None:
    rows = both(
        managed(contract(), other(2)), insured("p1", "X"), promised("p2"), STARTED, won(), replaced("2026-02-20")
    )
    later = both(
        managed(other(8, signed_at=at("2026-07-01"))),
        insured("p1", "W", ("2026-07",)),
        post("K9", "p1", contract_id="C", assigned_from=day("2026-07-01")),
        stopped("2026-07-01"),
    )
    later["key_personnel"][0]["assigned_from"] = day("2026-07-01")

    assert derived(TeamEmployment, both(rows, later), si_months=3) == derived(TeamEmployment, rows, si_months=3)
    assert derived(TeamSwap, both(rows, later), swap_days=90) == derived(TeamSwap, rows, swap_days=90)
    assert booking(rows, later) == booking(rows)
