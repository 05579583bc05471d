"""Control groups against the letter of SI-020, worked out pair by pair, and the laws that they keep."""

import datetime as dt
import random
from collections import defaultdict
from itertools import combinations
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.clock import SHANGHAI
from features.derive.control_groups import ControlGroup, control_edges, write_control_groups
from features.tables.columns import Table
from features.tables.organisations import Organisation, OrgPerson, Shareholding
from features.tables.source import SourceTables
from features.tables.store import TableStore, TableWriter
from tests.worlds import law, seeds

DAY = dt.date(2025, 6, 30)
AS_OF = dt.datetime(2025, 6, 30, 10, tzinfo=SHANGHAI)
Row = dict[str, Any]
Rows = dict[type[Table], list[Row]]


def firm(org_id: str, **columns: Any) -> Row:
    return {"org_id": org_id, "name": org_id, "org_type": "contractor", "reg_status": "active", **columns}


def holding(org_id: str, holder: str, ratio: float, **dates: dt.date) -> Row:
    column = "holder_org_id" if holder.startswith("O") else "holder_person_id"
    return {"org_id": org_id, column: holder, "ratio": ratio, **dates}


def role(org_id: str, person_id: str, name: str, **dates: dt.date) -> Row:
    return {"org_id": org_id, "person_id": person_id, "role": name, **dates}


def rows(firms: list[Row], holdings: list[Row] = [], roles: list[Row] = []) -> Rows:  # noqa: B006
    return {
        Organisation: firms,
        Shareholding: [{"holding_id": f"H{place}", **row} for place, row in enumerate(holdings)],
        OrgPerson: [{"org_person_id": f"R{place}", **row} for place, row in enumerate(roles)],
    }


def source(world: Rows, seed: int = 0) -> SourceTables:
    frames: dict[str, pl.LazyFrame] = {}
    for table, content in world.items():
        schema = {name: column.dtype for name, column in table.columns().items()}
        mixed = random.Random(seed).sample(content, len(content))
        frames[table.NAME] = pl.DataFrame(mixed, schema=schema).lazy()
    return SourceTables(frames)


def groups(world: Rows, as_of: dt.datetime = AS_OF, seed: int = 0) -> dict[str, str | None]:
    found = ControlGroup.derive(source(world, seed), as_of).select("org_id", "group_id").collect()
    return dict(found.iter_rows())


def random_rows(seed: int) -> Rows:
    chance = random.Random(seed)
    firms = [f"O{number}" for number in range(8)]
    people = [f"p{number}" for number in range(5)]

    def dates() -> dict[str, dt.date]:
        near = [DAY + dt.timedelta(days=days) for days in (-900, -1, 0, 1)]
        return {name: chance.choice(near) for name in ("start_date", "end_date") if chance.random() < 0.3}

    kinds = {"org_type": ["contractor"] * 6 + ["government"], "ownership": [None, "private", "soe", "government"]}
    return rows(
        [
            firm(
                one,
                org_type=chance.choice(kinds["org_type"]),
                ownership=chance.choice(kinds["ownership"]) if chance.random() < 0.4 else None,
                legal_rep_person_id=chance.choice(people) if chance.random() < 0.3 else None,
            )
            for one in firms
        ],
        [
            holding(
                chance.choice(firms),
                chance.choice(firms + people),
                chance.choice([0.1, 0.25, 0.3, 0.5, 0.51]),
                **dates(),
            )
            for _ in range(chance.randrange(4, 18))
        ],
        [
            role(
                chance.choice(firms),
                chance.choice(people),
                chance.choice(["legal_rep", "actual_controller", "director", "manager", "finance"]),
                **dates(),
            )
            for _ in range(chance.randrange(4, 18))
        ],
    )


def by_the_letter(world: Rows) -> dict[str, str | None]:
    """SI-020 as it is written: tie each pair by each rule, then close step by step."""

    def valid(row: Row) -> bool:
        return (row.get("start_date") or DAY) <= DAY <= (row.get("end_date") or DAY)

    firms = {row["org_id"]: row for row in world[Organisation]}
    public = {one for one, row in firms.items() if "government" in (row.get("org_type"), row.get("ownership"))}
    share: dict[tuple[str, str], int] = defaultdict(int)
    for row in filter(valid, world[Shareholding]):
        share[row.get("holder_org_id") or row["holder_person_id"], row["org_id"]] += round(row["ratio"] * 100)
    controls = {pair for pair, percent in share.items() if percent > 50}
    controls |= {
        (row["person_id"], row["org_id"])
        for row in filter(valid, world[OrgPerson])
        if row["role"] == "actual_controller"
    }
    chiefs: dict[str, set[str]] = {}
    board: dict[str, set[str]] = defaultdict(set)
    for row in world[OrgPerson]:
        if row["role"] == "legal_rep":
            chiefs.setdefault(row["org_id"], set()).update({row["person_id"]} if valid(row) else set())
        if row["role"] in ("director", "manager") and valid(row):
            board[row["org_id"]].add(row["person_id"])
    for one, row in firms.items():
        chiefs.setdefault(one, {row["legal_rep_person_id"]} if row.get("legal_rep_person_id") else set())

    def tied(one: str, other: str) -> bool:
        both = board[one] & board[other]
        return bool(
            (one, other) in controls
            or (other, one) in controls
            or {hand for hand, of in controls if of == one} & {hand for hand, of in controls if of == other} - public
            or chiefs[one] & chiefs[other]
            or (len(both) * 2 > len(board[one]) and len(both) * 2 > len(board[other]))
        )

    near = {one: {one} for one in firms}
    for one, other in combinations(sorted(firms.keys() - public), 2):
        if tied(one, other):
            near[one].add(other)
            near[other].add(one)
    for middle in firms:
        for one in firms:
            if middle in near[one]:
                near[one] |= near[middle]
    return {one: min(members) if len(members) > 1 else None for one, members in near.items()}


@pytest.mark.parametrize("seed", range(60))
def test_groups_are_those_of_the_letter(seed: int) -> None:
    world = random_rows(seed)

    assert groups(world) == by_the_letter(world)


def test_the_random_worlds_have_groups_to_find() -> None:
    found = [by_the_letter(random_rows(seed)) for seed in range(60)]

    assert sum(any(one.values()) for one in found) > 40
    assert any(len({group for group in one.values() if group}) > 1 for one in found)


@law
@given(seed=seeds, order=seeds)
def test_the_order_of_rows_does_not_matter(seed: int, order: int) -> None:
    world = random_rows(seed)

    assert groups(world, seed=order) == groups(world)


@law
@given(seed=seeds, pair=st.permutations([f"O{number}" for number in range(8)]))
def test_another_edge_merges_groups_and_parts_none(seed: int, pair: list[str]) -> None:
    before = random_rows(seed)
    more = [holding(pair[0], pair[1], 0.6)]
    after = rows(before[Organisation], before[Shareholding] + more, before[OrgPerson])

    old, new = groups(before), groups(after)

    for one, other in combinations(old, 2):
        if old[one] is not None and old[one] == old[other]:
            assert new[one] == new[other] is not None


@law
@given(seed=seeds)
def test_the_smallest_member_names_the_group(seed: int) -> None:
    found = groups(random_rows(seed))

    members: dict[str, list[str]] = defaultdict(list)
    for one, group in found.items():
        if group is not None:
            members[group].append(one)
    assert all(group == min(ones) and len(ones) > 1 for group, ones in members.items())


@pytest.mark.parametrize(
    ("start", "end", "together"),
    [
        (None, None, True),
        (DAY, DAY, True),
        (DAY + dt.timedelta(days=1), None, False),
        (None, DAY - dt.timedelta(days=1), False),
        (None, DAY, True),
    ],
)
def test_an_edge_counts_from_its_first_day_to_its_last(
    start: dt.date | None, end: dt.date | None, together: bool
) -> None:
    dates = {name: day for name, day in (("start_date", start), ("end_date", end)) if day}
    world = rows([firm("O1"), firm("O2")], [holding("O2", "O1", 0.6, **dates)])

    assert groups(world) == ({"O1": "O1", "O2": "O1"} if together else {"O1": None, "O2": None})


@pytest.mark.parametrize(
    ("ratios", "together"), [((0.5,), False), ((0.3, 0.2), False), ((0.1, 0.2, 0.2), False), ((0.3, 0.21), True)]
)
def test_holdings_of_one_holder_are_summed_and_a_half_is_no_control(ratios: tuple[float, ...], together: bool) -> None:
    world = rows([firm("O1"), firm("O2")], [holding("O2", "O1", ratio) for ratio in ratios])

    assert (groups(world)["O2"] == "O1") is together


def test_each_step_of_a_chain_stands_by_itself() -> None:
    world = rows([firm(f"O{n}") for n in range(7)], [holding(f"O{n + 1}", f"O{n}", 0.51) for n in range(6)])

    assert set(groups(world).values()) == {"O0"}


@pytest.mark.parametrize("public", [{"org_type": "government"}, {"ownership": "government"}])
def test_firms_of_one_government_body_are_no_group(public: Row) -> None:
    held = [holding("O1", "O0", 1.0), holding("O2", "O0", 1.0)]
    world = rows([firm("O0", **{"org_type": "owner", **public}), firm("O1"), firm("O2")], held)

    assert set(groups(world).values()) == {None}
    state_firm = rows([firm("O0", ownership="soe"), firm("O1"), firm("O2")], held)
    assert set(groups(state_firm).values()) == {"O0"}


def test_who_represents_one_firm_and_owns_another_ties_them_not() -> None:
    world = rows([firm("O1", legal_rep_person_id="p1"), firm("O2")], [holding("O2", "p1", 0.9)])

    assert set(groups(world).values()) == {None}


def test_an_edge_says_what_it_stands_on() -> None:
    world = rows(
        [firm("O1", legal_rep_person_id="p1"), firm("O2"), firm("O3")],
        [holding("O2", "O1", 0.6)],
        [role("O3", "p2", "actual_controller")],
    )

    assert control_edges(source(world), AS_OF).rows() == [
        ("O1", "legal_rep:p1", "legal_rep"),
        ("O2", "O1", "holding"),
        ("O3", "controller:p2", "actual_controller"),
    ]


def test_groups_are_the_platforms_own_part_and_change_only_when_they_do(tmp_path: Any) -> None:
    store = TableStore(tmp_path)
    world = rows(
        [firm("O1"), firm("O2"), firm("O3")],
        [holding("O2", "O1", 0.6, end_date=DAY), holding("O3", "O1", 0.2)],
    )
    for table, content in source(world).frames.items():
        declared = {one.NAME: one for one in world}[table]
        frame = content.collect().with_columns(source_record_id=pl.lit("r"))
        TableWriter(store, declared, AS_OF, "S11").upsert(frame)

    assert write_control_groups(store, AS_OF) == 2
    assert write_control_groups(store, AS_OF + dt.timedelta(hours=1)) == 0
    kept = store.read(Organisation).sort("org_id").select("org_id", "name", "group_id").collect()
    assert kept.rows() == [("O1", "O1", "O1"), ("O2", "O2", "O1"), ("O3", "O3", None)]

    next_day = AS_OF + dt.timedelta(days=1)
    assert write_control_groups(store, next_day) == 2
    assert store.read(Organisation).collect().get_column("group_id").to_list() == [None] * 3
    replayed = store.read(Organisation, known_at=AS_OF).sort("org_id").collect()
    assert replayed.get_column("group_id").to_list() == ["O1", "O1", None]
