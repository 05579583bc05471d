"""From a release to rows of the contract: what is taken, what stays null, what is refused and why."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.clock import SHANGHAI
from features.errors import InputError
from features.ingest.ocds.files import encode
from features.ingest.ocds.mapping import map_process
from features.ingest.ocds.merge import Release, changes_nothing, content_hash, state
from features.ingest.ocds.parts import ProcessError, Row, Rows, consortium_members, process_id
from features.ingest.ocds.publishers import Publisher, publishers
from features.ingest.ocds.release import typed
from features.tables.contract import SOURCE_TABLES

OCID = "ocds-abc123-1"
PUBLISHER = Publisher("ocds-abc123")
CNY = {"amount": 1000, "currency": "CNY"}


def release(**parts: Any) -> dict[str, Any]:
    tender = {"id": "T1", "title": "道路工程", "mainProcurementCategory": "works", **parts.pop("tender", {})}
    return {"ocid": OCID, "id": "1", "date": "2026-01-05T09:00:00+08:00", "tender": tender, **parts}


def bid(number: object, name: str = "", amount: object = None, **parts: Any) -> dict[str, Any]:
    party = {"id": name or f"P{number}", "name": name or f"P{number}公司"}
    value = {} if amount is None else {"value": {"amount": amount, "currency": parts.pop("currency", "CNY")}}
    return {"id": number, "status": "valid", "tenderers": [party], **value, **parts}


def mapped(content: dict[str, Any], publisher: Publisher = PUBLISHER) -> Rows:
    rows = Rows()
    map_process(typed(encode(content)), publisher, rows)
    return rows


def of_bids(*bids: dict[str, Any], publisher: Publisher = PUBLISHER, **parts: Any) -> Rows:
    return mapped(release(bids={"details": list(bids)}, **parts), publisher)


def only(rows: Rows, table: str) -> Row:
    [row] = rows.tables[table]
    return row


def column(rows: Rows, table: str, name: str) -> list[Any]:
    return [row[name] for row in rows.tables[table]]


def refusals(rows: Rows) -> list[tuple[str, str, str]]:
    return [(one.level, one.field, one.reason) for one in rows.rejections]


def check(rows: Rows) -> None:
    """Hold all rows against the contract, and the references between them."""
    frames = {name: list(found) for name, found in rows.tables.items()}
    frames |= {"organisation": list(rows.organisations.values()), "region": list(rows.regions.values())}
    keys: dict[str, set[str]] = {}
    for name, found in frames.items():
        table = SOURCE_TABLES[name]
        schema = {column: kind.dtype for column, kind in table.columns().items()}
        table.validate(pl.DataFrame([{key: row.get(key) for key in schema} for row in found], schema=schema))
        keys[name] = {row[table.key()] for row in found}
    for name, found in frames.items():
        for place, kind in SOURCE_TABLES[name].columns().items():
            parent = (kind.metadata or {}).get("references", "").split(".")[0]
            if parent in keys:
                assert {row[place] for row in found if row.get(place) is not None} <= keys[parent]


# -- the procedure ---------------------------------------------------------------------------------------------


def test_a_release_without_lots_is_one_project_one_tender_one_lot() -> None:
    rows = of_bids(bid(1, amount=1000), tender={"value": CNY, "tenderPeriod": {"endDate": "2026-01-04"}})

    check(rows)
    assert (only(rows, "project")["project_id"], only(rows, "tender")["tender_id"], only(rows, "lot")["lot_id"]) == (
        OCID,
        OCID,
        OCID,
    )
    assert only(rows, "tender")["opening_at"] == dt.datetime(2026, 1, 4, 23, 59, 59, 999999, SHANGHAI)
    assert only(rows, "tender")["estimate_price"] == only(rows, "lot")["estimate_price"] == Decimal("1000.00")
    assert only(rows, "lot")["currency"] == "CNY"
    assert only(rows, "tender")["method"] == "unknown"
    assert only(rows, "lot")["bids_complete"] is None


def test_the_category_is_that_of_the_release_else_what_is_declared_and_never_guessed() -> None:
    without = release(tender={"mainProcurementCategory": None})

    assert only(mapped(without), "tender")["object_type"] is None
    assert only(mapped(without, Publisher("x", object_type="goods")), "tender")["object_type"] == "goods"
    rows = mapped(release(tender={"mainProcurementCategory": "roadworks"}), Publisher("x", object_type="goods"))
    assert only(rows, "tender")["object_type"] is None
    assert refusals(rows) == [("value", "tender.mainProcurementCategory", "unknown_word")]


@pytest.mark.parametrize("ocid", ["", " \u200b", "x" * 121])
def test_an_ocid_must_be_usable_as_a_key(ocid: str) -> None:
    with pytest.raises(ProcessError, match="the ocid is"):
        process_id(ocid)


def test_parts_of_two_processes_never_share_an_id() -> None:
    assert process_id("a/b") == "a%2Fb"
    assert process_id(" a~b　") == "a%7Eb"


def test_scalars_of_the_wrong_shape_are_set_aside_one_by_one() -> None:
    rows = mapped(release(tender={"value": "5万元", "title": 7, "numberOfTenderers": "x"}))

    check(rows)
    assert sorted(refusals(rows)) == [
        ("value", "tender.numberOfTenderers", "wrong_shape"),
        ("value", "tender.title", "wrong_shape"),
        ("value", "tender.value", "wrong_shape"),
    ]
    assert only(rows, "tender")["title"] == "T1"


# -- lots --------------------------------------------------------------------------------------------------------


def test_bids_and_awards_go_to_their_lots_each_in_its_currency() -> None:
    lots = [
        {"id": "A", "value": {"amount": 5, "currency": "CNY"}},
        {"id": "B", "value": {"amount": 6, "currency": "USD"}},
    ]
    bids = [
        bid(1, "甲公司", 4, relatedLots=["A"]),
        bid(2, "乙公司", 5, relatedLots=["B"], currency="USD"),
        bid(3, "丙公司", 5, relatedLots=["B"], currency="EUR"),
        bid(4, "丁公司", 5),
    ]
    awards = [{"id": "W", "status": "active", "suppliers": [{"id": "乙公司"}], "relatedLots": ["B"], "value": CNY}]
    rows = of_bids(*bids, tender={"lots": lots}, awards=awards)

    check(rows)
    assert column(rows, "lot", "currency") == ["CNY", "USD"]
    assert [(row["lot_id"], row["bid_price"], row["status"]) for row in rows.tables["bid"]] == [
        (f"{OCID}/A", Decimal("4.00"), "valid"),
        (f"{OCID}/B", Decimal("5.00"), "awarded"),
    ]
    assert (only(rows, "award")["bid_id"], only(rows, "award")["amount"]) == (f"{OCID}/bid/2", None)
    assert column(rows, "lot", "status") == ["open", "awarded"]
    assert sorted(refusals(rows)) == [
        ("row", "bids.details[2].value", "currency_differs"),
        ("row", "bids.details[3].relatedLots", "unknown_lot"),
        ("value", "awards[0].value", "currency_differs"),
    ]


def test_one_bid_for_several_lots_is_a_row_each_without_a_price() -> None:
    awards = [{"id": "W", "status": "active", "relatedBid": 1}]
    contracts = [{"id": "C", "awardID": "W", "value": CNY, "dateSigned": "2026-02-01"}]
    rows = of_bids(
        bid(1, "甲公司", 9, relatedLots=["A", "B"]),
        tender={"lots": [{"id": "A"}, {"id": "B"}]},
        awards=awards,
        contracts=contracts,
        buyer={"id": "业主"},
    )

    check(rows)
    assert column(rows, "bid", "bid_id") == [f"{OCID}/bid/1/A", f"{OCID}/bid/1/B"]
    assert column(rows, "bid", "bid_price") == [None, None]
    assert column(rows, "award", "bid_id") == [f"{OCID}/bid/1/A", f"{OCID}/bid/1/B"]
    assert (only(rows, "contract")["lot_id"], only(rows, "contract")["amount"]) == (None, Decimal("1000.00"))
    assert {reason for _, _, reason in refusals(rows)} == {"shared_price"}


def test_ids_that_differ_only_in_blanks_or_width_are_one_id() -> None:
    rows = of_bids(
        bid("1", "甲公司", relatedLots=["Ａ"]),
        bid(" １", "乙公司", relatedLots=["A"]),
        tender={"lots": [{"id": "A "}, {"id": "Ａ"}, {"id": 2}, {}]},
    )

    check(rows)
    assert column(rows, "lot", "lot_no")[:2] == ["A", "2"]
    assert column(rows, "lot", "lot_no")[2].startswith("unnamed-")
    assert sorted(reason for _, _, reason in refusals(rows)) == ["duplicate_id", "duplicate_id"]


@pytest.mark.parametrize(
    ("publisher", "stated", "complete"),
    [(None, None, None), (None, 2, True), (None, 3, False), ("ranked_candidates", 2, False), ("all", 5, True)],
)
def test_bids_are_complete_only_when_something_says_so(publisher: Any, stated: int | None, complete: bool) -> None:
    rows = of_bids(
        bid(1), bid(2), publisher=Publisher("x", bids_published=publisher), tender={"numberOfTenderers": stated}
    )

    assert only(rows, "lot")["bids_complete"] is complete
    assert set(column(rows, "bid", "status")) == {"candidate" if publisher == "ranked_candidates" else "valid"}


# -- bids --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "accepted"}, "unknown_word"),
        ({"tenderers": []}, "no_tenderer"),
        ({"tenderers": [{"name": " \u3000"}]}, "no_tenderer"),
        ({"relatedLots": ["X"]}, "unknown_lot"),
        ({"value": 5}, "wrong_shape"),
        ({"tenderers": "甲"}, "wrong_shape"),
    ],
)
def test_a_bad_bid_is_refused_and_the_good_one_stays(changes: dict[str, Any], reason: str) -> None:
    rows = of_bids({**bid(1), **changes}, bid(2), tender={"lots": [{"id": "A"}]})

    check(rows)
    assert column(rows, "bid", "bid_id") == [f"{OCID}/bid/2"]
    assert [(level, found) for level, _, found in refusals(rows)] == [("row", reason)]


def test_parts_without_an_id_are_named_by_what_they_say() -> None:
    bids = [{**bid(1, "甲公司"), "id": None}, {**bid(2, "乙公司"), "id": "　"}, {**bid(3, "甲公司"), "id": None}]
    winner = {"status": "active", "suppliers": [{"id": "甲公司", "name": "甲公司"}]}
    rows, again = (of_bids(*some, awards=[winner]) for some in (bids, [bids[1], bids[0], bids[2]]))

    check(rows)
    assert sorted(column(rows, "bid", "bid_id")) == sorted(column(again, "bid", "bid_id"))
    assert all(one.startswith(f"{OCID}/bid/unnamed-") for one in column(rows, "bid", "bid_id"))
    assert only(rows, "award")["bid_id"] in column(rows, "bid", "bid_id")
    assert [(level, found) for level, _, found in refusals(rows)] == [("row", "duplicate_id")]


@pytest.mark.parametrize(
    ("amount", "price", "reason"),
    [
        ("123.45万元", "1234500.00", None),
        ("￥１，２３４．５０ 元", "1234.50", None),
        (1234.565, "1234.57", None),
        ("下浮率 12%", None, "rate"),
        ("0.85折", None, "rate"),
        (-1, None, "negative_amount"),
        ("NaN", None, "not_a_number"),
        (1e15, None, "amount_too_large"),
        ("壹佰万元整", None, "han_numerals"),
        ("", None, "blank"),
    ],
)
def test_amounts_are_read_or_refused_never_guessed(amount: object, price: str | None, reason: str | None) -> None:
    rows = of_bids(bid(1, amount=amount))

    check(rows)
    assert only(rows, "bid")["bid_price"] == (Decimal(price) if price else None)
    assert refusals(rows) == ([("value", "bids.details[0].value", reason)] if reason else [])


def test_a_price_in_ten_thousands_among_prices_in_yuan_is_taken_out() -> None:
    rows = of_bids(bid(1, amount=12_300_000), bid(2, amount=1250), bid(3, amount=12_600_000))

    assert column(rows, "bid", "bid_price") == [Decimal("12300000.00"), None, Decimal("12600000.00")]
    assert refusals(rows) == [("value", "bids.details[1].value", "unit_slip")]


def test_bids_in_several_currencies_without_a_lot_currency_have_no_price() -> None:
    rows = of_bids(bid(1, amount=5), bid(2, amount=6, currency="USD"))

    assert column(rows, "bid", "bid_price") == [None, None]
    assert {reason for _, _, reason in refusals(rows)} == {"currency_unknown"}


# -- organisations -----------------------------------------------------------------------------------------------


def test_dirty_names_of_one_organisation_are_one_organisation() -> None:
    names = ["宜昌（湖北）建设有限公司", " 宜昌(湖北)建设有限公司", "宜昌\u200b（湖北）建设 有限公司　"]
    rows = of_bids(*[bid(number, name) for number, name in enumerate(names)])

    assert len(set(column(rows, "bid", "bidder_org_id"))) == 1
    assert [row["name"] for row in rows.organisations.values()] == ["宜昌(湖北)建设有限公司"]


def test_names_alone_never_join_across_publishers_and_credit_codes_do() -> None:
    code = "91420500MA4896XH81"
    coded = bid(2, "乙公司") | {"tenderers": [{"id": "P", "name": "乙公司", "identifier": {"id": code}}]}
    rows = Rows()
    for publisher in (PUBLISHER, Publisher("other")):
        map_process(typed(encode(release(bids={"details": [bid(1, "甲公司"), coded]}))), publisher, rows)

    named, by_code = rows.tables["bid"][0::2], rows.tables["bid"][1::2]
    assert len({row["bidder_org_id"] for row in named}) == 2
    assert {row["bidder_org_id"] for row in by_code} == {code}


def test_a_party_is_named_where_the_release_names_it() -> None:
    parties = [{"id": "P1", "name": "甲公司", "roles": ["tenderer"]}, {"id": "B", "name": "业主", "roles": ["buyer"]}]
    rows = of_bids(bid(1) | {"tenderers": [{"id": "P1"}]}, parties=parties)

    assert sorted(row["name"] for row in rows.organisations.values()) == ["业主", "甲公司"]
    assert only(rows, "project")["owner_org_id"] in rows.organisations


def test_a_consortium_is_one_bid_of_its_leader_with_all_members() -> None:
    parties = [{"id": "甲公司", "name": "甲公司"}, {"id": "乙公司", "name": "乙公司"}]
    rows = of_bids(
        bid(1) | {"tenderers": parties},
        bid(2, "甲公司、乙公司联合体"),
        bid(3, "丙公司"),
        bid(4, "丁某联合体"),
        awards=[{"id": "W", "status": "active", "suppliers": [{"id": "乙公司、丙公司联合体"}]}],
    )

    check(rows)
    assert column(rows, "bid", "is_consortium") == [True, True, False, True]
    first, second = (json.loads(row["consortium_org_ids"]) for row in rows.tables["bid"][:2])
    assert first == second
    assert [rows.organisations[org]["name"] for org in first] == ["甲公司", "乙公司"]
    assert rows.tables["bid"][0]["bidder_org_id"] == rows.tables["bid"][1]["bidder_org_id"] == first[0]
    assert rows.organisations[rows.tables["bid"][3]["bidder_org_id"]]["name"] == "丁某联合体"


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("甲建设有限公司、乙设计院联合体", ["甲建设有限公司", "乙设计院"]),
        ("甲建设有限公司(牵头人)、乙大学(成员)", ["甲建设有限公司", "乙大学"]),
        ("联合体:甲公司,乙公司", ["甲公司", "乙公司"]),
        ("甲公司", []),
        ("年产10万吨磷酸、65万吨磷铵公司", []),
        ("甲公司、甲公司", []),
    ],
)
def test_only_names_that_are_clearly_several_are_taken_apart(name: str, members: list[str]) -> None:
    assert list(consortium_members(name)) == members


# -- awards and contracts ----------------------------------------------------------------------------------------


def test_an_award_names_its_bid_and_settles_the_states() -> None:
    rows = of_bids(
        bid(1, "甲公司", 100),
        bid(2, "乙公司", 90),
        awards=[
            {"id": "W", "status": "active", "date": "2026-01-09", "suppliers": [{"id": "乙公司"}], "value": CNY},
            {"id": "X", "status": "unsuccessful"},
            {"id": "Y", "status": "won", "suppliers": [{"id": "甲公司"}]},
            {"id": "Z", "status": "pending"},
        ],
        contracts=[{"id": "C", "awardID": "W", "dateSigned": "2026-02-01"}, {"id": "D", "awardID": "none"}],
        buyer={"id": "业主"},
    )

    check(rows)
    assert only(rows, "award")["bid_id"] == f"{OCID}/bid/2"
    assert column(rows, "bid", "status") == ["valid", "awarded"]
    assert only(rows, "lot")["status"] == "awarded"
    assert only(rows, "contract")["status"] == "signed"
    assert only(rows, "tender")["status"] == only(rows, "project")["status"] == "contracted"
    assert sorted(refusals(rows)) == [
        ("row", "awards[2].status", "unknown_word"),
        ("row", "awards[3].suppliers", "no_supplier"),
        ("row", "contracts[1].awardID", "no_supplier"),
    ]


# -- laws --------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["", " ", "A", "Ａ", "a/b", "~", "甲公司", "甲公司、乙公司联合体", "x" * 250, "\x00", "2026-01-01"]
)
SCALARS = st.none() | st.booleans() | st.integers(-5, 10**14) | st.floats() | WORDS
SHAPES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2))


def shaped(**fields: Any) -> st.SearchStrategy[Any]:
    usual = st.fixed_dictionaries({}, optional=fields)
    return st.one_of(usual, usual, usual, usual, SHAPES)


VALUE = shaped(amount=SCALARS, currency=st.sampled_from(["CNY", "usd", None, 5]))
IDS = st.sampled_from(["1", 1, " 1", "A", "B", None, "x" * 250, "a/b", "1/A"])
PARTY = shaped(id=IDS, name=WORDS, roles=st.just(["buyer"]), identifier=shaped(id=WORDS))
LOTS = st.lists(IDS, max_size=2)
STATUS = st.sampled_from(["valid", "active", "pending", "cancelled", "unsuccessful", "x", None])
RELEASE = st.fixed_dictionaries(
    {"ocid": st.sampled_from(["o-1", "o/1", "~"])},
    optional={
        "parties": st.lists(PARTY, max_size=3),
        "buyer": PARTY,
        "tender": shaped(
            mainProcurementCategory=st.sampled_from(["works", "goods", "x"]),
            title=WORDS,
            id=IDS,
            status=STATUS,
            value=VALUE,
            lots=st.lists(shaped(id=IDS, value=VALUE, status=STATUS), max_size=3),
            items=st.lists(shaped(id=IDS, classification=shaped(id=IDS, scheme=WORDS), relatedLot=IDS), max_size=2),
            tenderPeriod=shaped(endDate=WORDS),
            numberOfTenderers=SCALARS,
        ),
        "bids": shaped(
            details=st.lists(
                shaped(
                    id=IDS,
                    status=STATUS,
                    date=WORDS,
                    value=VALUE,
                    tenderers=st.lists(PARTY, max_size=2),
                    relatedLots=LOTS,
                ),
                max_size=4,
            )
        ),
        "awards": st.lists(
            shaped(
                id=IDS,
                status=STATUS,
                date=WORDS,
                value=VALUE,
                suppliers=st.lists(PARTY, max_size=2),
                relatedLots=LOTS,
                relatedBid=IDS,
            ),
            max_size=3,
        ),
        "contracts": st.lists(shaped(id=IDS, awardID=IDS, status=STATUS, value=VALUE, dateSigned=WORDS), max_size=3),
    },
)


@settings(max_examples=120, deadline=None)
@given(RELEASE)
def test_whatever_a_release_holds_its_rows_fit_the_contract(content: dict[str, Any]) -> None:
    try:
        rows = mapped(content, Publisher("x", object_type="works"))
    except ProcessError:
        return
    check(rows)


@given(st.lists(st.sampled_from([(1, 5, "A"), (2, 6, "B"), (3, 7, "A"), (4, 8, "C")]), unique=True, min_size=1))
def test_the_order_of_bids_changes_no_row(bids: list[tuple[int, int, str]]) -> None:
    given = [bid(number, f"{name}公司", amount) for number, amount, name in bids]

    forward, backward = of_bids(*given), of_bids(*given[::-1])

    assert sorted(forward.tables["bid"], key=str) == sorted(backward.tables["bid"], key=str)
    assert forward.organisations == backward.organisations


# -- merging -----------------------------------------------------------------------------------------------------


def dated(day: int, *, compiled: bool = False, **parts: Any) -> Release:
    content = {"ocid": OCID, "id": str(day), "date": f"2026-01-{day:02}T00:00:00Z", **parts}
    text = encode(content)
    moment = dt.datetime(2026, 1, day, tzinfo=dt.UTC)
    return Release(OCID, str(day), moment, content_hash(text, PUBLISHER), compiled, text)


def bid_ids(*releases: Release) -> list[str]:
    content = json.loads(state(releases))
    return [one["id"] for one in content.get("bids", {}).get("details", [])]


def with_bids(*ids: str) -> dict[str, Any]:
    return {"details": [{"id": one} for one in ids]}


def test_partial_releases_add_up_by_date_whatever_the_order_of_their_loading() -> None:
    first, second = dated(1, bids=with_bids("a"), tender={"title": "old"}), dated(2, bids=with_bids("b"))
    third = dated(3, tender={"title": "new"})

    assert state([first, second, third]) == state([third, first, second])
    assert bid_ids(third, first, second) == ["a", "b"]
    assert json.loads(state([third, first]))["tender"] == {"title": "new"}


def test_a_compiled_release_replaces_what_came_before_it() -> None:
    parts = [dated(1, bids=with_bids("a")), dated(3, bids=with_bids("c"))]

    assert bid_ids(*parts, dated(2, compiled=True, bids=with_bids("b"))) == ["b", "c"]
    assert bid_ids(*parts, dated(4, compiled=True, bids=with_bids("b"))) == ["b"]


def test_a_corrected_winner_replaces_the_wrong_one() -> None:
    wrong = dated(1, awards=[{"id": "1", "suppliers": [{"id": "A"}]}])
    right = dated(2, awards=[{"id": "1", "suppliers": [{"id": "B"}]}])

    assert json.loads(state([wrong, right]))["awards"][0]["suppliers"] == [{"id": "B"}]


def test_only_what_a_compiled_release_overrides_changes_nothing() -> None:
    base = dated(5, compiled=True)

    assert changes_nothing(dated(4, compiled=True), [base])
    assert changes_nothing(dated(5), [base])
    assert not changes_nothing(dated(5, compiled=True, x=1), [base])
    assert not changes_nothing(dated(6), [base])
    assert not changes_nothing(dated(1), [dated(3)])


def test_releases_that_contradict_each_other_in_shape_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="cannot be merged"):
        state(
            [
                dated(1, tender={"lots": [{"id": "1"}]}),
                dated(2, tender={"lots": {"x": 1}}),
                dated(3, tender=[{"id": 1}]),
            ]
        )


# -- publishers --------------------------------------------------------------------------------------------------


def test_declared_facts_hold_for_the_publishers_ocids_and_the_command_overrides_them() -> None:
    assert publishers().of("ocds-yichang-1").bids_published == "ranked_candidates"
    assert publishers().of("ocds-yichang-1").region_name == "宜昌市"
    given = publishers(bids_published="all", region_code="420100", object_type="works").of("ocds-yichang-1")
    assert (given.bids_published, given.region_code, given.region_name) == ("all", "420100", None)
    assert publishers().of("ocds-abc123-000-1").scope == "ocds-abc123"


def test_a_declaration_that_changes_makes_the_content_another() -> None:
    assert content_hash(b"{}", PUBLISHER) != content_hash(b"{}", Publisher("ocds-abc123", bids_published="all"))


@pytest.mark.parametrize("given", [{"region_code": "Yichang"}, {"object_type": "roads"}])
def test_words_that_are_not_known_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="Mend"):
        publishers(**given)
