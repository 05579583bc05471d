"""Which values count for whom, in a world of three lots made by hand."""

import datetime as dt
from typing import Any

import polars as pl
import pytest

from features.clock import SHANGHAI
from features.derive.subject_links import DAYS_A_MONTH, subject_links
from features.tables.columns import Table
from features.tables.contract import SOURCE_TABLES
from features.tables.source import SourceTables

AS_OF = dt.datetime(2026, 6, 30, tzinfo=SHANGHAI)
OPENED = dt.datetime(2026, 5, 1, 9, 0, tzinfo=SHANGHAI)


def rows(name: str, *stated: dict[str, Any]) -> pl.LazyFrame:
    table: type[Table] = SOURCE_TABLES[name]
    return pl.DataFrame(list(stated), schema={n: c.dtype for n, c in table.columns().items()}).lazy()


def bid(lot: str, org: str, status: str = "valid") -> dict[str, Any]:
    return {"bid_id": f"{lot}/{org}", "lot_id": lot, "tender_id": f"T{lot}", "bidder_org_id": org, "status": status}


def award(lot: str, org: str, at: dt.datetime = OPENED) -> dict[str, Any]:
    return {"award_id": f"{lot}/{org}!", "lot_id": lot, "org_id": org, "status": "awarded", "notice_issued_at": at}


def world(opening: dt.datetime | None = OPENED) -> SourceTables:
    """Lot 1: A, B and the sisters C1, C2 bid, D withdrew, A won; lot 2 is opened later; lot 3 has an award alone."""
    later = AS_OF + dt.timedelta(days=1)
    openings = {"1": opening, "2": later, "3": OPENED}
    tenders = [
        {
            "tender_id": f"T{lot}",
            "project_id": f"P{lot}",
            "tenderer_org_id": "T",
            "agency_org_id": "G",
            "opening_at": at,
        }
        for lot, at in openings.items()
    ]
    frames = {
        "project": rows("project", *[{"project_id": f"P{lot}"} for lot in openings]),
        "tender": rows("tender", *tenders),
        "lot": rows(
            "lot", *[{"lot_id": lot, "tender_id": f"T{lot}", "project_id": f"P{lot}"} for lot in openings]
        ),
        "bid": rows(
            "bid", *[bid("1", org) for org in ("A", "B", "C1", "C2")], bid("1", "D", "withdrawn"), bid("2", "A")
        ),
        "award": rows("award", award("1", "A"), award("3", "C2"), award("2", "B", later)),
        "organisation": rows(
            "organisation", *[{"org_id": org, "group_id": "C" if org[0] == "C" else None} for org in ("A", "C1", "C2")]
        ),
    }  # fmt: skip
    return SourceTables(frames)


def of(links: pl.DataFrame, subject_type: str, subject_id: str) -> set[tuple[str, str, str]]:
    mine = links.filter(subject_type=subject_type, subject_id=subject_id)
    return set(mine.select("of_type", "of_id", "role").iter_rows())


def pair(left: str, right: str) -> str:
    return f"organisation:{left}~organisation:{right}"


LOT_1 = {
    ("lot", "1", "self"),
    *[("bid", f"1/{org}", "bid") for org in ("A", "B", "C1", "C2")],
    *[("pair", pair(*ends), "bidders") for ends in (("A", "B"), ("A", "C1"), ("A", "C2"), ("B", "C1"), ("B", "C2"))],
    ("pair", pair("A", "T"), "winner"),
}


def test_a_lot_takes_its_own_values_its_bids_its_bidders_pairs_and_the_pair_with_its_winner() -> None:
    assert of(subject_links(world(), AS_OF), "lot", "1") == LOT_1


def test_a_project_takes_those_of_its_lots_and_its_own() -> None:
    assert of(subject_links(world(), AS_OF), "project", "P1") == LOT_1 | {("project", "P1", "self")}


def test_an_organisation_takes_its_own_its_ties_and_the_lots_it_took_part_in() -> None:
    assert of(subject_links(world(), AS_OF), "organisation", "B") == {
        ("organisation", "B", "self"),
        ("lot", "1", "bidder"),
        ("bid", "1/B", "bid"),
        *[("pair", pair(*ends), "tie") for ends in (("A", "B"), ("B", "C1"), ("B", "C2"), ("B", "T"))],
    }


def test_tenderer_and_agency_take_part_too_and_a_winner_without_a_bid_counts_as_a_bidder() -> None:
    links = subject_links(world(), AS_OF)

    assert ("lot", "1", "agency") in of(links, "organisation", "G")
    assert {("lot", "1", "tenderer"), ("lot", "3", "tenderer")} <= of(links, "organisation", "T")
    assert ("lot", "3", "bidder") in of(links, "organisation", "C2")


def test_the_tie_of_a_winner_with_a_group_is_that_of_the_group_and_borne_by_the_winner() -> None:
    links = subject_links(world(), AS_OF)

    assert ("pair", pair("C1", "T"), "tie") in of(links, "organisation", "C2")
    assert ("pair", pair("C1", "T"), "winner") in of(links, "lot", "3")


def test_what_was_withdrawn_or_opens_later_counts_for_nobody() -> None:
    links = subject_links(world(), AS_OF)

    assert links.filter(pl.col("subject_id").is_in(["D", "2", "P2"]) | pl.col("of_id").is_in(["2", "2/A"])).is_empty()


@pytest.mark.parametrize(("subject", "role"), [("A", "bidder"), ("A", "bid"), ("T", "tenderer"), ("G", "agency")])
def test_lots_and_bids_of_an_organisation_carry_their_age(subject: str, role: str) -> None:
    links = subject_links(world(), AS_OF)
    age = links.filter(
        subject_type="organisation", subject_id=subject, role=role, of_id="1" if role != "bid" else "1/A"
    )

    assert age["age_months"].to_list() == pytest.approx([(AS_OF - OPENED) / dt.timedelta(days=DAYS_A_MONTH)])


def test_a_lot_without_an_opening_is_known_by_its_award_alone() -> None:
    links = subject_links(world(opening=None), AS_OF)

    assert of(links, "lot", "1") == {("lot", "1", "self"), ("pair", pair("A", "T"), "winner")}
    assert of(links, "organisation", "B") == set()
    assert {("lot", "1", "bidder"), ("pair", pair("A", "T"), "tie")} <= of(links, "organisation", "A")
    assert of(links, "pair", pair("A", "T")) == {("pair", pair("A", "T"), "self")}


def test_a_tenderer_whose_lot_drew_no_bid_is_linked_though_the_lot_is_not() -> None:
    full = world()
    links = subject_links(SourceTables({**full.frames, "bid": rows("bid"), "award": rows("award")}), AS_OF)

    assert of(links, "lot", "1") == set()
    assert ("organisation", "T", "self") in of(links, "organisation", "T")
