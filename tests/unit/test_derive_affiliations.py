"""Ties between bidders of one lot: control and weak affiliation, on the day of the opening (rulings SI-020, SI-021)."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import polars as pl
import pytest

from features.derive.affiliations import CommonControl, WeakAffiliation
from features.tables.source import SourceTables
from tests.worlds import AS_OF, World, days_ago, shuffled

OPENED = days_ago(100)
DAY = OPENED.date()
NEXT = dt.timedelta(days=1)


def world(*orgs: str, **columns: Any) -> World:
    """Return a world in which some organisations bid for one lot; what is said of an organisation is registered."""
    made = World()
    made.lot("L1", bids=orgs or ["A", "B"], opening=OPENED)
    register(made, *(orgs or ["A", "B"]), **columns)
    return made


def register(made: World, *orgs: str, **columns: Any) -> None:
    made.rows["organisation"] += [{"org_id": org, "name": org, **columns} for org in orgs]


def hold(made: World, org: str, holder: str, ratio: float, **dates: dt.date) -> None:
    column = "holder_person_id" if holder.startswith("p") else "holder_org_id"
    row = {"holding_id": f"H{len(made.rows['shareholding'])}", "org_id": org, column: holder, "ratio": ratio}
    made.rows["shareholding"].append(row | dates)


def serve(made: World, person: str, role: str, *orgs: str, **dates: dt.date) -> None:
    for org in orgs:
        key = f"R{len(made.rows['org_person'])}"
        row = {"org_person_id": key, "org_id": org, "person_id": person, "role": role}
        made.rows["org_person"].append(row | dates)


def insure(made: World, person: str, org: str, *months: str) -> None:
    for month in months:
        key = f"S{len(made.rows['social_insurance'])}"
        made.rows["social_insurance"].append({"si_id": key, "person_id": person, "org_id": org, "month": month})


def opened(frames: Mapping[str, pl.DataFrame]) -> SourceTables:
    lazy = {name: frame.lazy() for name, frame in frames.items()}
    return SourceTables(lazy, lazy)


def control(made: World, as_of: dt.datetime = AS_OF, *, ratio: float = 0.5, depth: int = 4) -> dict[str, str]:
    """Return how each pair of bidders is tied, by pair; empty: not."""
    found = CommonControl.derive(opened(made.frames()), as_of, ratio, depth).collect()
    return dict(found.select(pl.col("org_id_1") + pl.col("org_id_2"), "ties").iter_rows())


def weak(made: World, as_of: dt.datetime = AS_OF) -> dict[str, Any]:
    """Return the one row of the pair."""
    found = WeakAffiliation.derive(opened(made.frames()), as_of, 36, 0.1).collect()
    assert found.height == 1
    return found.row(0, named=True)


def shared(made: World, as_of: dt.datetime = AS_OF) -> set[str]:
    return {name.removeprefix("same_") for name, said in weak(made, as_of).items() if said and name.startswith("same")}


def test_bidders_of_one_lot_are_pairs_once_a_day_and_withdrawn_bids_are_none() -> None:
    made = World()
    made.lot("L1", bids=["A", "B"], opening=OPENED)
    made.lot("L2", bids=["B", "A"], opening=OPENED + dt.timedelta(hours=2))
    made.lot("L3", bids=["B", "A"], opening=OPENED + NEXT)
    made.bids("L1", *[])
    made.rows["bid"].append(made.rows["bid"][0] | {"bid_id": "gone", "bidder_org_id": "C", "status": "withdrawn"})

    found = CommonControl.derive(opened(made.frames()), AS_OF, 0.5, 4).collect()

    assert sorted(found.select("subject_id", "n_lots").rows()) == [
        ("organisation:A~organisation:B", 1),
        ("organisation:A~organisation:B", 2),
    ]


@pytest.mark.parametrize(("table", "params"), [(CommonControl, (0.5, 4)), (WeakAffiliation, (36, 0.1))])
def test_the_days_of_a_pair_stand_latest_first(table: Any, params: tuple[float, float]) -> None:
    made = World()
    for day in range(1, 7):
        for lot in range(day):
            made.lot(f"L{day}-{lot}", bids=["A", "B"], opening=OPENED + day * NEXT)

    found = table.derive(opened(shuffled(made.frames(), 3)), AS_OF, *params).collect()

    assert found.get_column("n_lots").to_list() == [6, 5, 4, 3, 2, 1]


def test_members_of_a_consortium_are_bidders_but_no_pair_among_themselves() -> None:
    made = world("A", "B")
    made.rows["bid"][0]["consortium_org_ids"] = json.dumps(["A", "M"])
    hold(made, "M", "B", 0.6)
    hold(made, "M", "A", 0.4)

    assert control(made) == {"AB": "", "BM": "chain"}


def test_who_bids_alone_and_in_a_consortium_is_no_pair_with_its_partners() -> None:
    made = world("A", "M")
    made.rows["bid"][0]["consortium_org_ids"] = json.dumps(["A", "M"])

    assert control(made) == {}


@pytest.mark.parametrize(
    ("person", "expected"), [({"A": "p1", "B": "p1"}, "legal_rep"), ({"A": "p1", "B": "p2"}, ""), ({"A": "p1"}, "")]
)
def test_one_legal_representative_of_both_ties(person: dict[str, str], expected: str) -> None:
    made = world("A", "B")
    for row in made.rows["organisation"]:
        row["legal_rep_person_id"] = person.get(row["org_id"])

    assert control(made) == {"AB": expected}


@pytest.mark.parametrize(
    ("ratios", "expected"), [([0.51], "chain"), ([0.5], ""), ([0.3, 0.21], "chain"), ([0.3, 0.2], "")]
)
def test_more_than_half_controls_and_holdings_of_one_holder_are_summed(ratios: list[float], expected: str) -> None:
    made = world("A", "B")
    for ratio in ratios:
        hold(made, "B", "A", ratio)

    assert control(made) == {"AB": expected}


def test_a_chain_of_four_steps_ties_and_one_of_five_does_not() -> None:
    made = world("A", "B", "C")
    register(made, "X1", "X2", "X3")
    for below, above in [("A", "X1"), ("X1", "X2"), ("X2", "X3"), ("X3", "B"), ("B", "C")]:
        hold(made, below, above, 0.51)

    assert control(made) == {"AB": "chain", "AC": "", "BC": "chain"}
    assert control(made, depth=5)["AC"] == "chain"
    assert control(made, depth=3)["AB"] == ""


@pytest.mark.parametrize("hand", ["X", "p1"])
def test_a_hand_above_both_ties(hand: str) -> None:
    made = world("A", "B")
    register(made, "X", "Y")
    hold(made, "A", hand, 0.6)
    hold(made, "Y", hand, 0.6)
    hold(made, "B", "Y", 0.6)

    assert control(made) == {"AB": "common_controller"}


def test_an_actual_controller_is_a_step_as_a_majority_is() -> None:
    made = world("A", "B")
    serve(made, "p1", "actual_controller", "A")
    hold(made, "B", "p1", 0.7)

    assert control(made) == {"AB": "common_controller"}


def test_who_represents_one_and_controls_the_other_ties_them_not() -> None:
    made = world("A", "B")
    serve(made, "p1", "legal_rep", "A")
    hold(made, "B", "p1", 0.7)

    assert control(made) == {"AB": ""}


@pytest.mark.parametrize("public", [{"org_type": "government"}, {"ownership": "government"}])
def test_the_state_is_no_hand(public: dict[str, str]) -> None:
    made = world("A", "B")
    register(made, "X", **public)
    hold(made, "A", "X", 1.0)
    hold(made, "B", "X", 1.0)

    assert control(made) == {"AB": ""}


@pytest.mark.parametrize(("extra", "expected"), [(0, "board"), (1, "")])
def test_boards_tie_when_most_of_each_serve_both(extra: int, expected: str) -> None:
    made = world("A", "B")
    serve(made, "p1", "director", "A", "B")
    serve(made, "p2", "manager", "A", "B")
    serve(made, "p3", "director", "A")
    for number in range(extra):
        serve(made, f"q{number}", "director", "A")

    assert control(made) == {"AB": expected}


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ({"start_date": DAY, "end_date": DAY}, "chain"),
        ({"start_date": DAY + NEXT}, ""),
        ({"end_date": DAY - NEXT}, ""),
    ],
)
def test_a_holding_counts_on_the_day_of_the_opening(dates: dict[str, dt.date], expected: str) -> None:
    made = world("A", "B")
    hold(made, "B", "A", 0.6, **dates)

    assert control(made) == {"AB": expected}


def test_what_begins_on_a_day_is_known_from_its_end() -> None:
    made = World()
    made.lot("L1", bids=["A", "B"], opening=AS_OF)
    hold(made, "A", "p1", 0.6, start_date=AS_OF.date())
    hold(made, "B", "p1", 0.2, start_date=AS_OF.date())
    serve(made, "p1", "actual_controller", "B", start_date=AS_OF.date())
    serve(made, "p1", "director", "A", "B", start_date=AS_OF.date())

    tied = CommonControl.derive(opened(made.frames()), AS_OF, 0.5, 4).collect()

    assert tied.select("ties", "known").rows() == [("", False)]
    assert not any(weak(made)[f"{said}_{way}"] for said in ("same", "known") for way in ("people", "holder"))
    assert control(made, AS_OF + NEXT) == {"AB": "board,common_controller"}
    assert shared(made, AS_OF + NEXT) == {"people"}


@pytest.mark.parametrize("said", ["holder", "person", "representative"])
def test_a_firm_of_which_the_register_says_nothing_is_unknown(said: str) -> None:
    made = world("A", "B", "C")
    made.rows["organisation"][2]["legal_rep_person_id"] = "p9"
    if said == "holder":
        hold(made, "A", "p1", 0.1)
    elif said == "person":
        serve(made, "p1", "finance", "A")
    else:
        made.rows["organisation"][0]["legal_rep_person_id"] = "p1"
    hold(made, "B", "p1", 0.1, start_date=AS_OF.date() + NEXT)

    found = CommonControl.derive(opened(made.frames()), AS_OF, 0.5, 4).collect()

    assert dict(found.select("subject_id", "known").iter_rows()) == {
        "organisation:A~organisation:B": False,
        "organisation:A~organisation:C": True,
        "organisation:B~organisation:C": False,
    }


def test_the_group_of_an_organisation_is_never_read() -> None:
    assert control(world("A", "B", group_id="G")) == {"AB": ""}


def test_what_ties_stands_in_the_evidence() -> None:
    made = world("A", "B")
    register(made, "X")
    hold(made, "A", "X", 0.6)
    hold(made, "X", "p1", 0.6)
    serve(made, "p1", "actual_controller", "B")
    serve(made, "p2", "finance", "B")

    found = CommonControl.derive(opened(made.frames()), AS_OF, 0.5, 4).collect()
    rows = json.loads(found.item(0, "evidence"))

    assert {(row["table"], row["key"]) for row in rows} == {
        ("bid", "B-L1-0000"),
        ("bid", "B-L1-0001"),
        ("shareholding", "H0"),
        ("shareholding", "H1"),
        ("org_person", "R0"),
    }


@pytest.mark.parametrize(
    ("column", "way"), [("address_norm", "address"), ("phone_hash", "contact"), ("email_hash", "contact")]
)
def test_registered_values_are_compared_like_with_like(column: str, way: str) -> None:
    made = world("A", "B", **{column: "v"})
    assert shared(made) == {way}
    assert weak(made)[f"known_{way}"]

    made.rows["organisation"][1][column] = "w"
    assert shared(made) == set()

    for row in made.rows["organisation"]:
        row[column] = " "
    assert shared(made) == set()
    assert not weak(made)[f"known_{way}"]


def test_a_phone_is_not_compared_with_a_mail_address() -> None:
    made = world("A", "B")
    made.rows["organisation"][0]["phone_hash"] = "v"
    made.rows["organisation"][1]["email_hash"] = "v"

    assert shared(made) == set()
    assert not weak(made)["known_contact"]


@pytest.mark.parametrize(("firms", "expected"), [(20, {"address"}), (21, set[str]())])
def test_a_value_of_more_than_twenty_firms_says_nothing(firms: int, expected: set[str]) -> None:
    made = world("A", "B", address_norm="v")
    register(made, *[f"C{number}" for number in range(firms - 2)], address_norm="v")

    assert shared(made) == expected
    assert weak(made)["known_address"] is bool(expected)


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ({}, {"people"}),
        ({"end_date": dt.date(2022, 3, 22)}, {"people"}),
        ({"end_date": dt.date(2022, 3, 21)}, set[str]()),
        ({"start_date": DAY}, {"people"}),
        ({"start_date": DAY + NEXT}, set[str]()),
    ],
)
def test_somebody_managed_both_within_the_months_before(dates: dict[str, dt.date], expected: set[str]) -> None:
    assert dt.date(2025, 3, 22) == DAY
    made = world("A", "B")
    serve(made, "p1", "director", "A")
    serve(made, "p1", "legal_rep", "B", **dates)

    assert shared(made) == expected


@pytest.mark.parametrize("role", ["finance", "employee", "agent", "board_supervisor"])
def test_other_roles_do_not_count(role: str) -> None:
    made = world("A", "B")
    serve(made, "p1", role, "A", "B")

    assert shared(made) == set()
    assert not weak(made)["known_people"]


def test_the_representative_that_an_organisation_names_counts_where_none_is_dated() -> None:
    made = world("A", "B", legal_rep_person_id="p1")
    assert shared(made) == {"people"}

    serve(made, "p2", "legal_rep", "A")
    assert shared(made) == set()


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(0.1, 0.1, {"holder"}), (0.1, 0.09, set[str]()), (0.9, 0.1, {"holder"}), (0.6, 0.6, set[str]())],
)
def test_a_holder_of_a_part_of_both_counts_unless_it_controls_both(
    first: float, second: float, expected: set[str]
) -> None:
    made = world("A", "B")
    hold(made, "A", "X", first)
    hold(made, "B", "X", second)

    assert shared(made) == expected


@pytest.mark.parametrize(
    ("of_a", "of_b", "expected"),
    [
        (["2025-01"], ["2025-02"], {"insured"}),
        (["2025-01"], ["2025-01"], set[str]()),
        (["2025-01", "2025-02"], ["2025-01"], {"insured"}),
        (["2025-01"], ["2025-03"], set[str]()),
        (["2022-02"], ["2025-02"], set[str]()),
        (["2022-03"], ["2025-02"], {"insured"}),
    ],
)
def test_somebody_was_insured_by_both_in_different_complete_months(
    of_a: list[str], of_b: list[str], expected: set[str]
) -> None:
    made = world("A", "B")
    insure(made, "p1", "A", *of_a)
    insure(made, "p1", "B", *of_b)
    insure(made, "p2", "B", "2025-01")

    assert shared(made) == expected
    assert "p1" not in weak(made)["evidence"]


def test_where_the_door_is_shut_insurance_is_not_known() -> None:
    made = world("A", "B")
    insure(made, "p1", "A", "2025-01")
    insure(made, "p1", "B", "2025-02")

    found = WeakAffiliation.derive(made.source(), AS_OF, 36, 0.1).collect()

    assert found.select("same_insured", "known_insured").row(0) == (False, False)


def crowded() -> World:
    made = world("A", "B", "C", address_norm="v", phone_hash="w")
    register(made, "X", "Y")
    hold(made, "A", "X", 0.3)
    hold(made, "A", "X", 0.3)
    hold(made, "B", "Y", 0.6)
    hold(made, "Y", "X", 0.6)
    hold(made, "C", "X", 0.2)
    serve(made, "p1", "director", "A", "B")
    serve(made, "p2", "legal_rep", "B", "C")
    insure(made, "p3", "A", "2025-01")
    insure(made, "p3", "C", "2025-02")
    return made


def later(made: World) -> World:
    after = AS_OF.date() + NEXT
    made.lot("L9", bids=["A", "B", "X"], opening=AS_OF + NEXT)
    hold(made, "C", "A", 0.9, start_date=after)
    serve(made, "p1", "legal_rep", "C", start_date=after)
    serve(made, "p1", "actual_controller", "C", start_date=after)
    insure(made, "p3", "B", "2025-07", "2025-08")
    return made


@pytest.mark.parametrize(("table", "params"), [(CommonControl, (0.5, 4)), (WeakAffiliation, (36, 0.1))])
def test_later_rows_and_the_order_of_rows_change_nothing(table: Any, params: tuple[float, float]) -> None:
    before = table.derive(opened(crowded().frames()), AS_OF, *params).collect().sort("subject_id")
    after = table.derive(opened(later(crowded()).frames()), AS_OF, *params).collect().sort("subject_id")
    mixed = table.derive(opened(shuffled(crowded().frames(), 3)), AS_OF, *params).collect().sort("subject_id")

    assert before.height == 3
    assert after.equals(before)
    assert mixed.equals(before)
    table.validate(before)
