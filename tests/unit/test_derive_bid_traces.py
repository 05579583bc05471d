"""What two rival bids have in common, in worlds made by hand."""

import datetime as dt
import json
from typing import Any

import polars as pl
import pytest

from features.derive.bid_pairs import BidPair
from features.derive.bid_traces import (
    AddressPair,
    AuthorPair,
    BondPair,
    CreationIdPair,
    MachinePair,
    MixedPair,
    PeoplePair,
    PricingLockPair,
    TextPair,
)
from features.tables.contract import ALL_TABLES
from features.tables.source import SourceTables
from tests.worlds import AFTER, AS_OF, Frames, Offer, World, days_ago, shuffled

ONE, TWO, THREE = "B-L-0000", "B-L-0001", "B-L-0002"
BOTH = f"bid:{ONE}~bid:{TWO}"
PARAMS: dict[type[BidPair], dict[str, Any]] = {
    AddressPair: {"ip_prefix_v6": 64},
    AuthorPair: {"created_gap_min": 10},
}
TABLES: list[type[BidPair]] = [
    MachinePair,
    CreationIdPair,
    PricingLockPair,
    AddressPair,
    AuthorPair,
    TextPair,
    MixedPair,
    PeoplePair,
    BondPair,
]


def opened(frames: Frames) -> SourceTables:
    """Return tables whose sensitive columns are behind the door, which is open."""
    everything = {name: frame.lazy() for name, frame in frames.items()}
    public = {name: frame.select(ALL_TABLES[name].public_columns()) for name, frame in everything.items()}
    return SourceTables(public, everything)


def derived(table: type[BidPair], source: SourceTables, as_of: dt.datetime = AS_OF) -> pl.DataFrame:
    rows = table.derive(source, as_of, **PARAMS.get(table, {})).collect()
    return pl.DataFrame(table.validate(rows)).sort("subject_id", "evidence")


def pair(table: type[BidPair], world: World, subject: str = BOTH) -> dict[str, Any]:
    """Return the row of a pair."""
    rows = derived(table, opened(world.frames())).filter(pl.col("subject_id") == subject)
    return rows.row(0, named=True)


def said(row: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the evidence of a pair: table, key, what is the same."""
    return [(one["table"], one["key"], one["fields"]["same"]) for one in json.loads(row["evidence"])]


def lot(*bidders: Offer | str, **columns: Any) -> World:
    """Return a world of one lot with bids of A and B, if nothing else is said."""
    world = World()
    world.lot("L", bids=bidders or ("A", "B"), **columns)
    return world


def of_bid(world: World, place: int, **columns: Any) -> None:
    world.rows["bid"][place].update(columns)


def file(world: World, bid: str, kind: str = "technical", **columns: Any) -> None:
    """Add a file of a bid."""
    rows = world.rows["bid_document_fingerprint"]
    hash_ = f"h{len(rows)}"
    rows.append({"fingerprint_id": f"F{len(rows)}", "bid_id": bid, "file_kind": kind, "file_hash": hash_, **columns})


def files(*values: tuple[str, dict[str, Any]], bidders: tuple[Offer | str, ...] = ()) -> World:
    """Return a world of one lot with files."""
    world = lot(*bidders)
    for bid, columns in values:
        file(world, bid, **columns)
    return world


def listed(world: World, name: str, *entries: str) -> World:
    for number, entry in enumerate(entries):
        world.configure(f"LIST.{name}.{number}", entry)
    return world


# Which pairs there are.


def test_each_two_bids_of_different_bidders_of_an_opened_lot_are_a_pair() -> None:
    world = lot("A", "B", "A", Offer("C", status="withdrawn"), Offer("D", status="rejected"))
    world.lot("later", bids=["A", "B"], opening=AFTER)
    world.lot("undated", bids=["A", "B"], tender={"opening_at": None})

    found = derived(CreationIdPair, opened(world.frames()))

    pairs = [(0, 1), (0, 4), (1, 2), (1, 4), (2, 4)]
    assert found.get_column("subject_id").to_list() == [f"bid:B-L-{a:04}~bid:B-L-{b:04}" for a, b in pairs]
    assert set(found.get_column("lot_id")) == {"L"}


@pytest.mark.parametrize("table", TABLES)
def test_a_pair_of_which_nothing_is_known_is_a_row(table: type[BidPair]) -> None:
    row = pair(table, lot())

    assert row["evidence"] == "[]"
    assert not any(value for name, value in row.items() if name.endswith(("known", "same")))


# SI-010: computers.

MACHINE = "4C4C-4544-0042"
HARDWARE = {"mac_address": "00:1A:2B:3C:4D:5E", "cpu_serial": "BFEB", "disk_serial": "WD-1", "mainboard_serial": "M1"}


def machines(one: dict[str, Any], two: dict[str, Any], *generic: str) -> dict[str, Any]:
    return pair(MachinePair, listed(files((ONE, one), (TWO, two)), "machine_whitelist", *generic))


def test_one_machine_code_on_any_file_of_both_is_found_with_the_files_that_carry_it() -> None:
    world = files((ONE, {"machine_code": "X"}), (ONE, {"machine_code": MACHINE}), (TWO, {"machine_code": "Y"}))
    file(world, TWO, "boq", machine_code=MACHINE)

    row = pair(MachinePair, world)

    assert (row["machine_known"], row["machine_same"], row["n_hardware_same"]) == (True, True, 0)
    assert said(row) == [
        ("bid_document_fingerprint", "F1", f"machine_code={MACHINE}"),
        ("bid_document_fingerprint", "F3", f"machine_code={MACHINE}"),
    ]


def test_separators_blanks_and_case_do_not_matter() -> None:
    row = machines({"machine_code": "4c4c 4544.0042"}, {"machine_code": "4C4C-4544:0042"})

    assert row["machine_same"]


def test_hardware_is_compared_attribute_by_attribute_over_all_files() -> None:
    world = files((ONE, {"mac_address": "00-1A", "cpu_serial": "X"}), (ONE, {"disk_serial": "D"}))
    file(world, TWO, mac_address="00:1a", disk_serial="d", mainboard_serial="X")

    row = pair(MachinePair, world)

    assert (row["n_hardware_known"], row["n_hardware_same"], row["machine_known"]) == (2, 2, False)
    assert row["n_values"] == 6


@pytest.mark.parametrize("nothing", ["", " ", "0000-0000", "FF:FF:FF", "-", None])
def test_values_that_say_nothing_are_not_known(nothing: str | None) -> None:
    row = machines({"machine_code": nothing, **HARDWARE}, {"machine_code": nothing, **HARDWARE, "cpu_serial": nothing})

    assert (row["machine_known"], row["machine_same"]) == (False, False)
    assert (row["n_hardware_known"], row["n_hardware_same"]) == (3, 3)


def test_values_of_the_whitelist_say_nothing_however_they_are_written() -> None:
    row = machines({"machine_code": MACHINE, **HARDWARE}, {"machine_code": MACHINE, **HARDWARE}, "4c4c45440042", "Wd 1")

    assert (row["machine_known"], row["machine_same"], row["n_hardware_same"]) == (False, False, 3)


def test_bids_of_one_control_group_are_no_pair_here() -> None:
    world = files((ONE, {"machine_code": MACHINE}), (TWO, {"machine_code": MACHINE}))
    world.group("G", "A", "B")

    assert derived(MachinePair, opened(world.frames())).is_empty()
    assert derived(CreationIdPair, opened(world.frames())).height == 1


def test_evidence_shows_no_personal_value() -> None:
    row = machines(HARDWARE, HARDWARE)

    assert said(row)[0] == (
        "bid_document_fingerprint",
        "F0",
        "cpu_serial=BFEB, disk_serial=WD-1, mac_address, mainboard_serial=M1",
    )


# SI-011, SI-012: creation ids and locks.

COMMON = [
    (CreationIdPair, "file_creation_id", "boilerplate_creation_id"),
    (PricingLockPair, "pricing_lock_no", "boilerplate_pricing_lock"),
]


@pytest.mark.parametrize(("table", "column", "generic"), COMMON)
def test_a_common_id_is_one_that_both_carry_in_any_file(table: type[BidPair], column: str, generic: str) -> None:
    world = files((ONE, {column: "X"}), (TWO, {column: "Y"}), (THREE, {column: None}), bidders=("A", "B", "C"))
    file(world, TWO, "boq", **{column: "X "})

    assert (pair(table, world)["known"], pair(table, world)["same"], pair(table, world)["n_values"]) == (True, True, 3)
    assert [key for _, key, _ in said(pair(table, world))] == ["F0", "F3"]
    other = pair(table, world, f"bid:{ONE}~bid:{THREE}")
    assert (other["known"], other["same"]) == (False, False)
    listed(world, generic, "x")
    assert (pair(table, world)["known"], pair(table, world)["same"]) == (False, False)


# SI-013: addresses.


def addresses(one: dict[str, Any], two: dict[str, Any], *generic: str) -> dict[str, Any]:
    world = lot()
    of_bid(world, 0, **one)
    of_bid(world, 1, **two)
    return pair(AddressPair, listed(world, "ip_whitelist", *generic))


def download(world: World, org: str, address: str, at: dt.datetime | None = None) -> None:
    rows = world.rows["doc_download"]
    moment = days_ago(120) if at is None else at
    row = {"download_id": f"D{len(rows)}", "tender_id": "N-L", "org_id": org, "downloaded_at": moment}
    rows.append({**row, "ip_address": address})


def test_events_agree_like_with_like_and_any_with_any() -> None:
    like = addresses(
        {"upload_ip": "1.1.1.1", "decrypt_ip": "2.2.2.2"}, {"upload_ip": "1.1.1.1", "decrypt_ip": "3.3.3.3"}
    )
    crossed = addresses({"upload_ip": "1.1.1.1"}, {"decrypt_ip": "1.1.1.1"})
    none = addresses({"upload_ip": "1.1.1.1"}, {"upload_ip": "1.1.1.2"})

    assert (like["n_types_same"], like["same"], like["n_values"]) == (1, True, 4)
    assert (crossed["n_types_same"], crossed["same"], crossed["known"]) == (0, True, True)
    assert (none["n_types_same"], none["same"], none["known"]) == (0, False, True)
    assert said(crossed) == [("bid", ONE, "upload_ip"), ("bid", TWO, "decrypt_ip")]


def test_downloads_count_up_to_the_moment_also_of_members_of_a_consortium() -> None:
    world = lot()
    of_bid(world, 1, is_consortium=True, consortium_org_ids='["B", "M"]')
    download(world, "A", "1.1.1.1")
    download(world, "B", "1.1.1.1", AFTER)
    download(world, "C", "1.1.1.1")
    assert (pair(AddressPair, world)["known"], pair(AddressPair, world)["same"]) == (False, False)

    download(world, "M", "1.1.1.1")

    row = pair(AddressPair, world)
    assert (row["known"], row["n_types_same"]) == (True, 1)
    assert said(row) == [("doc_download", "D0", "ip_address"), ("doc_download", "D3", "ip_address")]


def test_a_row_that_counts_for_both_bids_stands_under_the_smaller_one() -> None:
    world = lot()
    of_bid(world, 1, is_consortium=True, consortium_org_ids='["B", "A"]')
    download(world, "A", "1.1.1.1")

    for seed in range(8):
        found = derived(AddressPair, opened(shuffled(world.frames(), seed=seed)))
        rows = [row["fields"]["bid_id"] for row in json.loads(found.item(0, "evidence"))]
        assert rows == [ONE]


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("2001:db8:1:2::1", "2001:0DB8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:1.2.3.4", "1.2.3.4", True),
        ("1.2.3.4", " 1.2.3.4 ", True),
    ],
)
def test_ipv6_is_compared_by_prefix_and_mapped_ipv4_is_ipv4(one: str, two: str, same: bool) -> None:
    assert addresses({"upload_ip": one}, {"upload_ip": two})["same"] is same


@pytest.mark.parametrize("generic", ["10.1.2.3", "10.1.0.0/16", "::/0"])
def test_addresses_of_the_whitelist_and_texts_that_are_none_say_nothing(generic: str) -> None:
    ends = {"upload_ip": "10.1.2.3", "decrypt_ip": "unknown"}
    row = addresses(ends, ends, generic)

    assert (row["known"], row["same"]) == ((True, True) if generic == "::/0" else (False, False))


# SI-014: authors.


def authors(one: dict[str, Any], two: dict[str, Any], *generic: str) -> dict[str, Any]:
    world = listed(files((ONE, one), (TWO, two)), "boilerplate_author", *generic)
    world.group(None, "A", "B", "C")
    return pair(AuthorPair, world)


def flags(row: dict[str, Any]) -> set[str]:
    return {name for name, value in row.items() if value is True}


def test_author_and_last_editor_are_compared_like_with_like() -> None:
    row = authors({"author": "Li", "last_modified_by": "Wu"}, {"author": "Wu", "last_modified_by": "Wu"})

    assert flags(row) == {"author_known", "modified_by_known", "modified_by_same"}
    assert said(row) == [("bid_document_fingerprint", f"F{one}", "last_modified_by") for one in (0, 1)]


@pytest.mark.parametrize(
    ("one", "two", "found"),
    [
        ("B", None, {"company_same"}),  # the rival
        ("Third", "Third", {"company_known", "company_same"}),
        ("A", "B", {"company_known"}),  # each its own
        ("A", "A", {"company_known", "company_same"}),  # the second names the first
        ("C", "B", {"company_known"}),
        (None, None, set[str]()),
    ],
)
def test_a_company_property_is_the_rival_or_a_common_third_firm(
    one: str | None, two: str | None, found: set[str]
) -> None:
    assert flags(authors({"company": one}, {"company": two})) == found


def test_rivals_of_one_name_do_not_make_a_common_company() -> None:
    world = files((ONE, {"author": "Li"}), (TWO, {"author": "Wu"}))
    world.rows["organisation"] = [{"org_id": org, "name": "same name"} for org in ("A", "B")]

    assert flags(pair(AuthorPair, world)) == {"author_known"}


@pytest.mark.parametrize(("minutes", "together"), [(0, True), (10, True), (-10, True), (10.0001, False), (-600, False)])
def test_files_created_within_the_gap_are_together(minutes: float, together: bool) -> None:
    world = files((ONE, {"doc_created_at": days_ago(200)}), (ONE, {"doc_created_at": days_ago(150)}))
    file(world, TWO, doc_created_at=days_ago(150) + dt.timedelta(minutes=minutes))

    row = pair(AuthorPair, world)

    assert (row["created_known"], row["created_together"]) == (True, together)
    assert [key for _, key, _ in said(row)] == (["F1", "F2"] if together else [])


def test_generic_values_say_nothing_however_they_are_written() -> None:
    ends = {"author": " ADMIN", "last_modified_by": "微软用户", "company": "PC"}

    assert flags(authors(ends, ends, "admin", "微软用户", "pc")) == set()


@pytest.mark.parametrize(("others", "usable"), [(8, True), (9, False)])
def test_an_author_seen_with_more_than_ten_bidders_anywhere_is_a_vendor(others: int, usable: bool) -> None:
    world = files((ONE, {"author": "V", "last_modified_by": "V"}), (TWO, {"author": "V", "last_modified_by": "V"}))
    for place in range(others):
        status = "withdrawn" if place == 0 else "valid"
        world.lot(f"M{place}", bids=[Offer(f"C{place}", status=status), "A"])
        file(world, world.rows["bid"][-2]["bid_id"], author="V")
    world.lot("later", bids=["late"], opening=AFTER)
    file(world, world.rows["bid"][-1]["bid_id"], author="V")

    row = pair(AuthorPair, world)

    assert (row["author_known"], row["author_same"]) == (usable, usable)
    assert row["modified_by_same"]


# SI-015: texts.


def compared(world: World, one: str = ONE, two: str = TWO, **columns: Any) -> None:
    rows = world.rows["bid_doc_pair"]
    row = {"pair_id": f"C{len(rows)}", "lot_id": "L", "bid_a_id": one, "bid_b_id": two, "computed_at": days_ago(99)}
    rows.append({**row, **columns})


def test_a_comparison_is_found_whichever_bid_comes_first() -> None:
    world = lot()
    compared(world, TWO, ONE, text_similarity=0.7, shared_typos=2, shared_images=1, max_common_passage_chars=300)

    row = pair(TextPair, world)

    assert (row["text_similarity"], row["shared_typos"], row["shared_images"]) == (0.7, 2, 1)
    assert row["max_common_passage_chars"] == 300
    assert [one["key"] for one in json.loads(row["evidence"])] == ["C0"]


def test_comparisons_of_later_of_withdrawn_bids_and_of_other_lots_do_not_count() -> None:
    world = lot("A", "B", Offer("C", status="withdrawn"))
    compared(world, text_similarity=0.9, computed_at=AFTER)
    compared(world, ONE, THREE, text_similarity=0.9)
    compared(world, ONE, "B-elsewhere", text_similarity=0.9)

    found = derived(TextPair, opened(world.frames()))

    assert found.select("subject_id", "text_similarity").rows() == [(BOTH, None)]


def test_every_comparison_of_a_pair_is_a_row() -> None:
    world = lot()
    for value in (0.3, 0.9):
        compared(world, text_similarity=value)

    assert derived(TextPair, opened(world.frames())).get_column("text_similarity").to_list() == [0.3, 0.9]


@pytest.mark.parametrize(
    ("one", "two", "known", "pages"),
    [
        ([("technical", 30), ("whole", 10), ("boq", 500)], [("whole", 50)], True, 40),
        ([("technical", 30), ("whole", None)], [("whole", 50)], True, 30),
        ([("technical", None)], [("technical", 50)], False, 50),
        ([("boq", 500)], [("price", 500)], False, None),
    ],
)
def test_pages_are_those_of_technical_and_whole_files(
    one: list[tuple[str, int | None]], two: list[tuple[str, int | None]], known: bool, pages: int | None
) -> None:
    world = lot()
    for bid, parts in ((ONE, one), (TWO, two)):
        for kind, count in parts:
            file(world, bid, kind, page_count=count)

    row = pair(TextPair, world)

    assert (row["pages_known"], row["pages"]) == (known, pages)


# SI-016: foreign names.


def mixed(*hits: dict[str, Any] | str | None, other: str | None = "[]") -> dict[str, Any]:
    text = hits[0] if hits and not isinstance(hits[0], dict) else json.dumps(list(hits))
    world = files((ONE, {"foreign_name_hits": text}), (TWO, {"foreign_name_hits": other}))
    world.rows["organisation"] = [
        {"org_id": "A", "name": "甲公司", "uscc": "9151A"},
        {"org_id": "B", "name": "乙公司", "uscc": "9151B"},
        {"org_id": "C", "name": "丙公司", "uscc": "9151C"},
    ]
    return pair(MixedPair, world)


def hit(value: str | None = "x", org_id: str | None = None, place: str | None = "header") -> dict[str, Any]:
    return {"kind": "name", "value": value, "org_id": org_id, "place": place}


@pytest.mark.parametrize("place", ["header", "seal", "signature", "commitment"])
def test_the_rival_named_in_a_telling_place_is_found(place: str) -> None:
    row = mixed(hit("乙公司项目部", "B", place))

    assert (row["known"], row["same"]) == (True, True)
    assert said(row) == [("bid_document_fingerprint", "F0", "foreign_name_hits=B")]


@pytest.mark.parametrize("value", ["乙公司", " 乙公司 ", "9151B"])
def test_the_rival_is_known_by_name_and_credit_code_where_no_organisation_was_matched(value: str) -> None:
    assert mixed(hit(value))["same"]


@pytest.mark.parametrize(
    "harmless",
    [
        hit("乙公司", "B", "body"),
        hit("乙公司", "B", None),
        hit("丙公司", "C"),
        hit("甲公司", "A"),
        hit("乙公司第一分公司"),
        hit(None, None),
    ],
)
def test_lawful_places_third_firms_and_ones_own_name_are_no_mixing(harmless: dict[str, Any]) -> None:
    row = mixed(harmless)

    assert (row["known"], row["same"]) == (True, False)


def test_either_direction_is_enough_although_the_other_was_not_read() -> None:
    assert mixed(None, other=json.dumps([hit(org_id="A")]))["same"]
    assert not mixed(None)["known"]
    assert not mixed("[]", other=None)["known"]


@pytest.mark.parametrize("odd", ['{"org_id": "B"}', '[{"org_id": 7, "place": "seal"}]', "[{"])
def test_what_is_no_list_of_hits_names_nobody(odd: str) -> None:
    assert not mixed(odd)["same"]


# SI-017: people.


def people(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    world = lot()
    of_bid(world, 0, **one)
    of_bid(world, 1, **two)
    return pair(PeoplePair, world)


@pytest.mark.parametrize(
    ("one", "two", "found"),
    [
        ({"pm_person_id": "P1"}, {"contact_person_id": "P1"}, {"known", "person_same"}),
        ({"pm_person_id": "P1"}, {"pm_person_id": "P2"}, {"known"}),
        ({"tech_lead_person_id": "P1"}, {"agent_person_id": "P1"}, {"known", "person_same"}),
        ({"contact_phone_hash": "x"}, {"contact_phone_hash": "x"}, {"known", "phone_same"}),
        ({"contact_email_hash": "x"}, {"contact_email_hash": "x"}, {"known", "email_same"}),
        ({"contact_phone_hash": "x"}, {"contact_email_hash": "x"}, set[str]()),
        ({"contact_phone_hash": "x"}, {"pm_person_id": "P1"}, set[str]()),
        ({"pm_person_id": "P1"}, {}, set[str]()),
    ],
)
def test_people_are_compared_in_any_role_contacts_like_with_like(
    one: dict[str, Any], two: dict[str, Any], found: set[str]
) -> None:
    assert flags(people(one, two)) == found


def test_phones_of_the_list_say_nothing() -> None:
    world = lot()
    for place in (0, 1):
        of_bid(world, place, contact_phone_hash="ab")

    assert flags(pair(PeoplePair, listed(world, "boilerplate_phone", "AB"))) == set()


def test_evidence_of_people_names_columns_and_no_hash() -> None:
    row = people(
        {"pm_person_id": "P1", "contact_phone_hash": "x"}, {"agent_person_id": "P1", "contact_phone_hash": "x"}
    )

    assert said(row) == [
        ("bid", ONE, "contact_phone_hash, pm_person_id"),
        ("bid", TWO, "agent_person_id, contact_phone_hash"),
    ]


def insured(role: str, org: str, month: str, opening: dt.datetime | None = None) -> World:
    world = lot(opening=opening or days_ago(100))  # opened on 22 March 2025
    of_bid(world, 0, **{role: "P1"})
    row = {"si_id": "S1", "person_id": "P1", "org_id": org, "month": month}
    world.rows["social_insurance"].append(row)
    return world


@pytest.mark.parametrize(
    ("role", "org", "month", "found"),
    [
        ("agent_person_id", "B", "2025-03", True),
        ("pm_person_id", "B", "2025-03", True),
        ("tech_lead_person_id", "B", "2025-03", False),
        ("agent_person_id", "A", "2025-03", False),
        ("agent_person_id", "C", "2025-03", False),
        ("agent_person_id", "B", "2025-02", False),
        ("agent_person_id", "B", "2025-04", False),
    ],
)
def test_agent_or_manager_insured_by_the_rival_in_the_month_of_opening(
    role: str, org: str, month: str, found: bool
) -> None:
    row = pair(PeoplePair, insured(role, org, month))

    assert row["insured_by_rival"] is found
    assert said(row) == ([("social_insurance", "S1", "org_id")] if found else [])


def test_one_third_employer_is_no_rival() -> None:
    world = insured("agent_person_id", "C", "2025-03")
    of_bid(world, 1, agent_person_id="P2")
    world.rows["social_insurance"].append({"si_id": "S2", "person_id": "P2", "org_id": "C", "month": "2025-03"})

    assert flags(pair(PeoplePair, world)) == {"known"}


def test_a_month_that_is_not_over_is_not_known() -> None:
    world = insured("agent_person_id", "B", "2025-06", opening=days_ago(10))

    assert not pair(PeoplePair, world)["insured_by_rival"]  # a second before its end
    rows = derived(PeoplePair, opened(world.frames()), AS_OF + dt.timedelta(seconds=1))
    assert rows.get_column("insured_by_rival").to_list() == [True]


# SI-018: bonds.


def bond(world: World, bid: str, **columns: Any) -> None:
    rows = world.rows["bond_payment"]
    row = {"bond_id": f"G{len(rows)}", "bid_id": bid, "lot_id": "L", "form": "transfer", "amount": 1}
    rows.append({**row, "returned_at": days_ago(50), **columns})


def bonds(one: dict[str, Any], two: dict[str, Any] | None = None) -> World:
    world = lot()
    world.group(None, "A", "B", "C")
    world.rows["organisation"] += [
        {"org_id": "bank", "name": "bank", "org_type": "bank"},
        {"org_id": "insurer", "name": "insurer", "org_type": "insurer"},
    ]
    bond(world, ONE, **one)
    if two is not None:
        bond(world, TWO, **two)
    return world


PURSES: dict[str, tuple[dict[str, Any], dict[str, Any] | None, tuple[bool, bool]]] = {
    "one account": ({"payer_account_hash": "x"}, {"payer_account_hash": "x"}, (True, True)),
    "one fee account": ({"guarantee_fee_account_hash": "x"}, {"guarantee_fee_account_hash": "x"}, (True, True)),
    "one account for returns": ({"return_account_hash": "x"}, {"return_account_hash": "x"}, (True, True)),
    "unlike accounts": ({"payer_account_hash": "x"}, {"return_account_hash": "x"}, (True, False)),
    "one payer": ({"payer_org_id": "C"}, {"payer_org_id": "C"}, (True, True)),
    "each pays": ({"payer_org_id": "A"}, {"payer_org_id": "B"}, (True, False)),
    "the rival pays": ({"payer_org_id": "B"}, None, (False, True)),
    "no second bond": ({"payer_org_id": "A"}, None, (False, False)),
    "a bank pays": ({"payer_org_id": "bank"}, {"payer_org_id": "bank"}, (False, False)),
    "an insurer pays": ({"payer_org_id": "insurer"}, {"payer_org_id": "insurer"}, (False, False)),
    "the issuer pays": (
        {"payer_org_id": "C", "guarantee_issuer_org_id": "C"},
        {"payer_org_id": "C", "guarantee_issuer_org_id": "C"},
        (False, False),
    ),
    "another issues": (
        {"payer_org_id": "C", "guarantee_issuer_org_id": "bank"},
        {"payer_org_id": "C", "guarantee_issuer_org_id": "bank"},
        (True, True),
    ),
    "an intermediary": ({"payer_account_hash": "Between"}, {"payer_account_hash": "Between"}, (False, False)),
    "not yet returned": (
        {"return_account_hash": "x", "returned_at": AFTER},
        {"return_account_hash": "x", "returned_at": None},
        (False, False),
    ),
}


@pytest.mark.parametrize(("one", "two", "found"), PURSES.values(), ids=PURSES)
def test_what_makes_one_purse(one: dict[str, Any], two: dict[str, Any] | None, found: tuple[bool, bool]) -> None:
    row = pair(BondPair, listed(bonds(one, two), "intermediary_accounts", "between"))

    assert (row["known"], row["same"]) == found


def test_evidence_of_bonds_shows_no_account() -> None:
    ends = {"payer_account_hash": "secret", "payer_org_id": "C"}
    row = pair(BondPair, bonds(ends, ends))

    assert said(row) == [("bond_payment", key, "payer_account_hash, payer_org_id=C") for key in ("G0", "G1")]
    assert "secret" not in str(row)


def test_without_the_door_only_payers_are_known() -> None:
    world = bonds({"payer_account_hash": "x"}, {"payer_account_hash": "x"})

    assert derived(BondPair, world.source()).select("known", "same").rows() == [(False, False)]


# All of them.


def busy() -> World:
    """Return a world in which two of three bids share everything."""
    world = lot("A", "B", "C")
    world.group(None, "A", "B", "C")
    for place, bid in enumerate((ONE, TWO, THREE)):
        mark = "same" if place < 2 else "other"
        traces = dict.fromkeys(("machine_code", "file_creation_id", "pricing_lock_no", "author", "company"), mark)
        file(
            world,
            bid,
            page_count=30,
            doc_created_at=days_ago(130 + 10 * (place // 2)),
            foreign_name_hits="[]",
            **traces,
        )
        people = {"pm_person_id": f"P-{mark}", "contact_phone_hash": f"T-{mark}"}
        of_bid(world, place, upload_ip=f"1.1.1.{place // 2}", **people)
        bond(world, bid, payer_account_hash=mark, payer_org_id="ABC"[place])
    world.rows["bid_document_fingerprint"][0]["foreign_name_hits"] = json.dumps([hit(org_id="B")])
    compared(world, text_similarity=0.9)
    return world


@pytest.mark.parametrize("table", TABLES)
def test_rows_known_later_change_nothing(table: type[BidPair]) -> None:
    world = busy()
    before = derived(table, opened(world.frames()))
    world.lot("later", bids=["A", "B", "C"], opening=AFTER)
    for bid in world.rows["bid"][-3:]:
        file(world, bid["bid_id"], machine_code="same", author="same", file_creation_id="same")
        bond(world, bid["bid_id"], payer_account_hash="same")
    download(world, "C", "1.1.1.0", AFTER)
    compared(world, ONE, THREE, text_similarity=1.0, computed_at=AFTER)
    bond(world, THREE, return_account_hash="same", returned_at=AFTER)
    bond(world, ONE, return_account_hash="same", returned_at=AFTER)

    assert derived(table, opened(world.frames())).equals(before)
    assert before.height == 3


@pytest.mark.parametrize("table", TABLES)
def test_the_order_of_rows_changes_nothing(table: type[BidPair]) -> None:
    world = busy()
    file(world, ONE, "boq", machine_code="same", author="same", file_creation_id="same", pricing_lock_no="same")

    assert derived(table, opened(shuffled(world.frames(), seed=3))).equals(derived(table, opened(world.frames())))
