"""Bidders that always meet, the cliques they form, and how wins go round (rulings SI-034, SI-035)."""

import hashlib
import itertools
import math
from typing import Any

import polars as pl
import pytest

from features.assessment.evaluate import compare, judge, measure
from features.derive.bidders import CoBidding
from features.derive.cliques import CliqueRotation, alternation, clique_id, cliques, cobidding_ties, evenness
from features.derive.linked_bidders import linked, linked_bids
from features.indicators.built import indicators
from features.tables.source import SourceTables
from tests.worlds import AFTER, AS_OF, Offer, Win, World, days_ago, random_world, shuffled

RING = ("R1", "R2", "R3")


def crowd(wins: str = "123123123123", *, ring: tuple[str, ...] = RING, others: int = 30) -> World:
    """Return a market in which a ring meets once for each digit (its winner; 0: a stranger) and strangers elsewhere."""
    made = World()
    made.lot("old", bids=["X0", "X1"], wins=["X0"], opening=days_ago(900))
    for number, winner in enumerate(wins):
        name = "S" if winner == "0" else ring[int(winner) - 1]
        made.lot(f"L{number:02}", bids=[*ring, "S"], wins=[name], opening=days_ago(400 - number))
    for number in range(others):
        made.lot(f"M{number:02}", bids=[f"X{number}", f"Y{number}"], wins=[f"X{number}"], opening=days_ago(300))
    return made


def ties(*pairs: str) -> pl.DataFrame:
    return pl.DataFrame([tuple(pair) for pair in pairs], schema=["org_id_1", "org_id_2"], orient="row")


def rotation(made: World, window_months: int = 36) -> pl.DataFrame:
    found = CliqueRotation.derive(made.source(), AS_OF, window_months, 3, 1000).collect()
    return pl.DataFrame(CliqueRotation.validate(found))


def ring_of(made: World) -> dict[str, Any]:
    (only,) = rotation(made).filter(pl.col("subject_id").str.starts_with("clique:")).iter_rows(named=True)
    return only


@pytest.mark.parametrize("seed", [3, 11])
def test_ties_are_the_pairs_for_which_co_bidding_fires(seed: int) -> None:
    source = random_world(seed, 200).source()
    one = next(one for one in indicators() if one.entry.id == "SI-034")
    rows = CoBidding.derive(source, AS_OF, **one.derive_params()).collect()
    judged = judge(compare(measure(rows.lazy(), one).collect(), one).lazy(), one).collect()
    fired = judged.filter("triggered").get_column("subject_id").to_list()

    found = cobidding_ties(source, AS_OF)

    assert [f"organisation:{a}~organisation:{b}" for a, b in found.iter_rows()] == fired


def test_a_ring_is_tied_and_strangers_are_not() -> None:
    found = set(cobidding_ties(crowd().source(), AS_OF).iter_rows())

    assert found == {(a, b) for a, b in itertools.combinations(sorted([*RING, "S"]), 2)}


def test_organisations_of_one_group_are_not_tied_by_meeting() -> None:
    made = crowd()
    made.group("G", *RING)

    assert set(cobidding_ties(made.source(), AS_OF).iter_rows()) == {("R1", "S"), ("R2", "S"), ("R3", "S")}


def test_communities_of_enough_members_are_cliques() -> None:
    found = cliques(ties("AB", "BC", "AC", "DE", "FG", "GH", "FH"), 3)

    assert found.get_column("org_id").to_list() == ["A", "B", "C", "F", "G", "H"]
    assert set(found.get_column("clique_id")) == {clique_id("ABC"), clique_id("FGH")}
    assert cliques(ties("DE"), 3).is_empty()
    assert cliques(ties(), 3).is_empty()


def test_two_groups_with_one_bridge_are_two_cliques_whatever_the_order() -> None:
    pairs = [a + b for part in ("ABCD", "EFGH") for a, b in itertools.combinations(part, 2)] + ["DE"]

    found = cliques(ties(*pairs), 3)

    assert set(found.get_column("clique_id")) == {clique_id("ABCD"), clique_id("EFGH")}
    assert cliques(ties(*reversed(pairs)), 3).equals(found)


def test_a_clique_is_named_by_its_members() -> None:
    assert clique_id(["O1", "O2"]) == "clique:" + hashlib.sha256(b"O1,O2").hexdigest()[:16]


@pytest.mark.parametrize(
    ("sequence", "n", "expected"),
    [("", 3, 0.0), ("AAAA", 3, 0.0), ("ABC", 3, 1.0), ("AABB", 4, 0.5), ("AAAB", 2, 0.8112781245)],
)
def test_evenness_is_the_entropy_of_wins_over_members(sequence: str, n: int, expected: float) -> None:
    assert evenness(list(sequence), n) == pytest.approx(expected, abs=1e-9)


def test_alternation_is_near_the_share_of_orders_with_fewer_runs() -> None:
    # Of the orders of AAABBB those with 6 runs are 2 of 20; all others have fewer.
    orders = set(itertools.permutations("AAABBB"))
    fewer = sum(1 + sum(a != b for a, b in itertools.pairwise(one)) < 6 for one in orders) / len(orders)
    assert (fewer, len(orders)) == (0.9, 20)

    assert alternation(list("ABABAB"), 4000, "x") == pytest.approx(fewer, abs=0.02)
    assert alternation(list("AAABBB"), 1000, "x") == 0.0
    assert alternation(list("AAAA"), 1000, "x") == 0.0
    assert alternation(["A"], 1000, "x") == alternation([], 1000, "x") == 0.0


def test_chance_is_fixed_by_the_subject() -> None:
    once = alternation(list("ABABBACA"), 1000, "SI-035:clique:1")

    assert once == alternation(list("ABABBACA"), 1000, "SI-035:clique:1")
    assert 0 < once < 1


def test_a_clique_and_each_member_are_told_of_its_wins() -> None:
    made = crowd("123012301230", ring=RING)
    found = rotation(made)
    ring = ring_of(made)

    # S always bids with the ring: it is a member and wins its turn.
    assert (ring["n_members"], ring["n_lots"], ring["win_ratio"]) == (4, 12, 1.0)
    assert ring["evenness"] == pytest.approx(1.0)
    assert 0.8 < ring["alternation"] < 1
    members = found.filter(clique_id=ring["subject_id"]).get_column("subject_id").to_list()
    assert members == ["R1", "R2", "R3", "S", ring["subject_id"]]
    assert found.filter(clique_id=ring["subject_id"]).select("n_lots", "alternation", "evidence").unique().height == 1
    assert found.filter(subject_id="X5").select("clique_id", "n_lots").row(0) == (None, 0)


def test_lots_that_others_won_are_lots_of_the_clique_and_no_symbols() -> None:
    made = crowd("123123123123")
    for number in range(4):
        made.lot(f"N{number}", bids=["R1", "R2", f"Q{number}"], wins=[f"Q{number}"], opening=days_ago(200 + number))
    made.lot("N9", bids=["R1", "Q0"], wins=["R1"])

    ring = ring_of(made)

    assert (ring["n_lots"], ring["win_ratio"]) == (16, 0.75)
    wins = [4 / 12] * 3
    assert ring["evenness"] == pytest.approx(-sum(w * math.log(w) for w in wins) / math.log(4))


def test_undecided_withdrawn_and_unpublished_bids_make_no_lots() -> None:
    made = crowd("123123123123")
    made.lot("N1", bids=["R1", "R2"])
    made.lot("N2", bids=["R1", Offer("R2", status="withdrawn")], wins=["R1"])
    made.lot("N3", bids=["R1", "R2"], wins=["R1"], bids_complete=False)
    made.lot("N4", bids=["R1", "R2"], wins=[Win("R1", at=AFTER)])

    assert ring_of(made)["n_lots"] == 12


def test_a_winner_without_a_bid_row_was_there() -> None:
    made = crowd("123123123123")
    made.lot("N1", bids=["R1"], wins=["R2"])

    assert ring_of(made)["n_lots"] == 13


def test_a_young_platform_has_no_window() -> None:
    assert rotation(crowd(), window_months=72).get_column("short_history").all()
    assert not rotation(crowd()).get_column("short_history").any()


def test_meeting_always_links_and_so_do_bids_from_one_address() -> None:
    made = crowd()
    pairs = pl.LazyFrame({"org_id_1": ["R1", "R1"], "org_id_2": ["R2", "X1"], "day": [days_ago(100).date()] * 2})
    assert linked(made.source(), pairs, AS_OF).select("org_id_1", "org_id_2").collect().rows() == [("R1", "R2")]

    bids = [row for row in made.rows["bid"] if row["lot_id"] in ("M03", "M04")]
    assert linked_bids(made.source(), AS_OF).collect().height == 12 * 6
    for row in bids:
        row["upload_ip"] = "61.139.2.69"
    found = set(linked_bids(made.source(), AS_OF).collect().iter_rows())
    assert len(found) == 12 * 6 + 2
    assert (bids[0]["bid_id"], bids[1]["bid_id"]) in found


def test_later_rows_and_the_order_of_rows_change_nothing() -> None:
    made = crowd("1231021302")
    before = rotation(made)
    mixed = SourceTables({name: frame.lazy() for name, frame in shuffled(made.frames(), 4).items()})
    assert CliqueRotation.derive(mixed, AS_OF, 36, 3, 1000).collect().equals(before)

    for number in range(9):
        made.lot(f"Z{number}", bids=["R1", "R2", "X1"], wins=["R1"], opening=AFTER)
    made.wins("L00", Win("R2", at=AFTER), opening=AFTER)

    assert rotation(made).equals(before)
