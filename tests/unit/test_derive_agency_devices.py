"""Which traces of bids are the agency's own, in worlds made by hand."""

import datetime as dt
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.build import indicator_values
from features.derive.agency_devices import SIGNS, AgencyDevice
from features.tables.reference import Param
from features.tables.source import SourceTables
from tests.worlds import AFTER, AS_OF, Offer, World, configured, days_ago

FIRST = AS_OF.replace(year=AS_OF.year - 2)
OLD, SOON_OLD = FIRST, FIRST + dt.timedelta(microseconds=1)


def tender(world: World, name: str, *bids: Offer | str, opening: dt.datetime | None = None, **about: Any) -> None:
    """Add a tender run by G that opened 400 days ago and was announced 30 days before."""
    opening = opening or days_ago(400)
    stated = {"agency_org_id": "G", "notice_published_at": opening - dt.timedelta(days=30), **about}
    world.lot(name, bids=bids, opening=opening, tender=stated)


def document(world: World, name: str, org: str = "G", **values: str) -> None:
    """Add the traces of a tender document."""
    rows = world.rows["tender_doc_fingerprint"]
    rows.append({"tdf_id": f"D{len(rows)}", "tender_id": f"N-{name}", "org_id": org, **values})


def file(world: World, bidder: str = "A", number: int = 0, /, **values: str) -> None:
    """Add a file of a bidder's bid, or the address from which the bid came."""
    bid = [row for row in world.rows["bid"] if row["bidder_org_id"] == bidder][number]
    if "ip_address" in values:
        bid["upload_ip"] = values.pop("ip_address")
    if values:
        rows = world.rows["bid_document_fingerprint"]
        about = {"fingerprint_id": f"F{len(rows)}", "bid_id": bid["bid_id"], "file_kind": "whole", "file_hash": "h"}
        rows.append({**about, **values})


def derived(source: SourceTables) -> pl.DataFrame:
    frame = AgencyDevice.derive(source, AS_OF, window_months=24).collect()
    return pl.DataFrame(AgencyDevice.validate(frame))


def row(world: World, bidder: str = "A") -> dict[str, Any]:
    return derived(world.source()).filter(agency_org_id="G", bidder_org_id=bidder).row(0, named=True)


def signs(world: World, bidder: str = "A") -> set[str]:
    found = row(world, bidder)
    return {name for name in SIGNS if found[name]}


def meeting(theirs: dict[str, str], own: dict[str, str]) -> World:
    """Return a tender of G in which A bid, with traces of both."""
    world = World()
    tender(world, "1", "A")
    document(world, "1", **own)
    file(world, **theirs)
    return world


NAMES = {"author": "Li", "last_modified_by": "Wu"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"machine_code": "AB12"}, {"machine_code"}),
        ({"mac_address": "AB12"}, {"mac_address"}),
        ({"ip_address": "10.0.0.1"}, {"ip_address"}),
        (NAMES, {"names"}),
        ({"author": "Li"}, set[str]()),
        ({"last_modified_by": "Wu"}, set[str]()),
    ],
)
def test_a_machine_a_card_an_address_or_both_names_tell(values: dict[str, str], expected: set[str]) -> None:
    assert signs(meeting(values, values)) == expected


def test_other_values_and_values_of_another_kind_tell_nothing() -> None:
    assert signs(meeting({"machine_code": "AB12"}, {"machine_code": "AB13"})) == set()
    assert signs(meeting({"machine_code": "AB12"}, {"mac_address": "AB12"})) == set()
    assert signs(meeting(NAMES, {"author": "Wu", "last_modified_by": "Li"})) == set()


def test_names_may_stand_in_different_files() -> None:
    world = meeting({"author": "Li"}, NAMES)
    file(world, last_modified_by="Wu")

    assert signs(world) == {"names"}


@pytest.mark.parametrize(
    ("theirs", "own"),
    [
        ({"mac_address": "aa-bb-cc"}, {"mac_address": "AA:BB.CC "}),
        ({"ip_address": "::ffff:10.0.0.1"}, {"ip_address": "10.0.0.1"}),
        ({"ip_address": "2001:db8:0::1"}, {"ip_address": "2001:DB8::1"}),
        ({"author": " Li", "last_modified_by": "Wu "}, NAMES),
    ],
)
def test_one_value_may_be_written_in_several_ways(theirs: dict[str, str], own: dict[str, str]) -> None:
    assert signs(meeting(theirs, own)) != set()


@pytest.mark.parametrize(
    "value",
    [{"machine_code": "0000"}, {"mac_address": "FF:FF"}, {"machine_code": " "}, {"ip_address": "none"}, {"author": ""}],
)
def test_values_that_say_nothing_are_not_there(value: dict[str, str]) -> None:
    world = meeting(value, value)

    assert signs(world) == set()
    assert not row(world)["comparable"]


def test_what_the_centre_has_listed_tells_nothing() -> None:
    values = {"machine_code": "AB-12", "mac_address": "CD", "ip_address": "10.0.0.9", **NAMES}
    lists = {"machine_whitelist": "ab-12", "ip_whitelist": "10.0.0.0/24", "boilerplate_author": "LI"}
    rows = [configured(f"LIST.{name}.1", value) for name, value in lists.items()]
    schema = {name: column.dtype for name, column in Param.columns().items()}
    frames = meeting(values, values).source().frames

    found = derived(SourceTables({**frames, Param.NAME: pl.LazyFrame(rows, schema=schema)})).row(0, named=True)

    assert {name for name in SIGNS if found[name]} == {"mac_address"}


@pytest.mark.parametrize(
    ("theirs", "own", "known"),
    [
        ({"machine_code": "A"}, {"machine_code": "B"}, True),
        ({"machine_code": "A"}, {"mac_address": "B"}, False),
        (NAMES, {"author": "X", "last_modified_by": "Y"}, True),
        (NAMES, {"author": "X"}, False),
        ({"machine_code": "A"}, {}, False),
        ({}, {"machine_code": "A"}, False),
    ],
)
def test_a_pair_is_comparable_if_both_carry_what_could_tell(
    theirs: dict[str, str], own: dict[str, str], known: bool
) -> None:
    assert row(meeting(theirs, own))["comparable"] is known


# Whose documents, and when.


def test_documents_of_other_tenders_of_the_agency_count() -> None:
    world = meeting({"machine_code": "A"}, {})
    tender(world, "2", opening=days_ago(20))
    document(world, "2", machine_code="A")
    assert signs(world) == {"machine_code"}


def test_documents_that_the_tenderer_made_are_not_the_agencys() -> None:
    world = meeting({"machine_code": "A"}, {})
    document(world, "1", org="T", machine_code="A")

    assert signs(world) == set()


@pytest.mark.parametrize(("notice", "counts"), [(OLD, False), (SOON_OLD, True), (AFTER, False)])
def test_documents_of_other_tenders_count_within_the_window_by_their_notice(notice: dt.datetime, counts: bool) -> None:
    world = meeting({"machine_code": "A"}, {})
    tender(world, "2", opening=AFTER, notice_published_at=notice)
    document(world, "2", machine_code="A")

    assert signs(world) == ({"machine_code"} if counts else set())
    assert row(world)["comparable"] is counts


def test_without_a_notice_the_opening_dates_a_document() -> None:
    world = meeting({"machine_code": "A"}, {})
    tender(world, "2", opening=SOON_OLD, notice_published_at=None)
    document(world, "2", machine_code="A")
    assert signs(world) == {"machine_code"}


def test_documents_of_the_tender_itself_always_count() -> None:
    world = World()
    tender(world, "1", "A", opening=days_ago(2000))
    document(world, "1", machine_code="A")
    file(world, machine_code="A")

    assert signs(world) == {"machine_code"}


def test_bids_are_those_not_withdrawn_of_opened_tenders_with_an_agency() -> None:
    world = World()
    tender(world, "1", "A", Offer("B", 1, "withdrawn"), Offer("C", 1, "disqualified"), "G")
    tender(world, "2", "D", opening=AFTER)
    tender(world, "3", "E", agency_org_id=None)

    assert derived(world.source()).get_column("bidder_org_id").to_list() == ["A", "C"]


def test_of_several_tenders_the_one_with_most_in_common_stands() -> None:
    world = meeting({"machine_code": "A"}, {"machine_code": "A", "mac_address": "B"})
    tender(world, "2", "A", opening=days_ago(300))
    file(world, "A", 1, machine_code="A", mac_address="B")
    tender(world, "3", "A", opening=days_ago(200))

    found = row(world)

    assert signs(world) == {"machine_code", "mac_address"}
    assert found["n_tenders"] == 3
    assert '"key":"F1","fields":{"tender_id":"N-2","same":"mac_address machine_code"}' in found["evidence"]
    assert '"key":"F0"' not in found["evidence"]
    assert '{"table":"tender_doc_fingerprint","key":"D0"' in found["evidence"]


def test_history_shorter_than_half_the_window_is_said() -> None:
    half = (AS_OF - FIRST) / 2
    for notice, short in ((AS_OF - half, False), (AS_OF - half + dt.timedelta(seconds=1), True)):
        world = World()
        tender(world, "1", "A", opening=days_ago(1), notice_published_at=notice)
        document(world, "1", machine_code="A")
        assert row(world)["short_history"] is short


def test_an_agency_without_documents_is_not_assessable_for_want_of_them() -> None:
    world = World()
    tender(world, "1", "A")
    file(world, machine_code="A")

    found = indicator_values(world.source(), AS_OF).filter(indicator_id="SI-063")

    assert found.get_column("null_reason").to_list() == ["missing_source"]


def busy() -> World:
    world = meeting({"machine_code": "A", "ip_address": "10.0.0.1"}, {"machine_code": "A", "ip_address": "10.0.0.1"})
    tender(world, "2", "A", "B", opening=days_ago(300))
    document(world, "2", **NAMES)
    file(world, "B", **NAMES)
    return world


def test_rows_after_the_moment_change_nothing() -> None:
    world = busy()
    tender(world, "later", "A", "Z", opening=AFTER, notice_published_at=AFTER)
    document(world, "later", machine_code="B", mac_address="C")
    file(world, "A", 2, machine_code="B")

    assert_frame_equal(derived(world.source()), derived(busy().source()))


def test_the_order_of_rows_changes_nothing() -> None:
    turned = {name: frame.reverse().lazy() for name, frame in busy().frames().items()}

    assert_frame_equal(derived(SourceTables(turned)), derived(busy().source()))
