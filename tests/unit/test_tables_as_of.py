"""What a moment saw of a table, case by case."""

import datetime as dt
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from features.clock import SHANGHAI, parse_moment
from features.tables.as_of import known_as_of, known_from, parents_of, paths
from features.tables.columns import MONTH, Table
from features.tables.contract import ALL_TABLES
from features.tables.contracts import ContractChange
from features.tables.credit import Sanction
from features.tables.documents import BidDocumentFingerprint
from features.tables.evaluation import CommitteeDraw
from features.tables.money import MarketPrice, Payment, WageAccount
from features.tables.organisations import Organisation
from features.tables.site import Attendance, ProgressReport
from features.tables.tendering import Award, Bid, Tender

AS_OF = parse_moment("2025-06-30")
TABLES = pytest.mark.parametrize("table", ALL_TABLES.values(), ids=ALL_TABLES.keys())


def at(day: str, hour: int = 9) -> dt.datetime:
    return dt.datetime.combine(dt.date.fromisoformat(day), dt.time(hour), tzinfo=SHANGHAI)


def rows(table: type[Table], *given: dict[str, Any]) -> pl.LazyFrame:
    schema = {name: column.dtype for name, column in table.columns().items()}
    return pl.LazyFrame([*given], schema=schema)


def seen(table: type[Table], *given: dict[str, Any], as_of: dt.datetime = AS_OF, **parents: pl.LazyFrame) -> list[Any]:
    known = known_as_of(rows(table, *given), table, as_of, parents).collect()
    assert known.columns == table.column_names()
    return known.rows(named=True)


@TABLES
def test_every_instant_leads_to_a_day_a_moment_or_a_month(table: type[Table]) -> None:
    stated = [*table.KNOWN_FROM, *known_from(table).values(), *([table.EVENT] if table.EVENT else [])]
    for path in (path for instant in stated for path in paths(instant)):
        there = table
        *steps, last = path.split(".")
        for step in steps:
            there = ALL_TABLES[there.about(step)["references"].split(".")[0]]
        column = there.columns()[last]
        assert isinstance(column, dy.Date | dy.Datetime) or (isinstance(column, dy.String) and column.regex == MONTH)


def test_the_tables_that_date_others_are_few() -> None:
    leading = {parent for table in ALL_TABLES.values() for parent in parents_of(table)}

    assert leading == {"tender", "lot", "bid", "committee_draw", "contract"}


def test_a_bid_is_known_at_the_opening_and_its_result_once_the_evaluation_has_ended() -> None:
    tenders = rows(
        Tender,
        {"tender_id": "past", "opening_at": at("2025-05-01"), "evaluation_end_at": at("2025-05-02")},
        {"tender_id": "judging", "opening_at": at("2025-06-30"), "evaluation_end_at": at("2025-07-01")},
        {"tender_id": "undated", "opening_at": at("2025-06-30")},
        {"tender_id": "later", "opening_at": at("2025-07-01")},
        {"tender_id": "never"},
    )
    bids = [
        {"bid_id": name, "tender_id": name, "bid_price": 1, "status": "awarded", "rank": 1, "total_score": 90.0}
        for name in ("past", "judging", "undated", "later", "never", "unknown tender")
    ]

    known = seen(Bid, *bids, tender=tenders)

    shown = [(one["bid_id"], one["status"], one["rank"], one["total_score"], one["bid_price"]) for one in known]
    assert shown == [
        ("past", "awarded", 1, 90.0, 1),
        ("judging", None, None, None, 1),
        ("undated", "awarded", 1, 90.0, 1),
    ]


def test_what_hangs_on_a_bid_is_dated_over_two_references() -> None:
    bids = rows(Bid, {"bid_id": "B1", "tender_id": "T1"}, {"bid_id": "B2", "tender_id": "T2"})
    tenders = rows(
        Tender,
        {"tender_id": "T1", "opening_at": at("2025-06-01")},
        {"tender_id": "T2", "opening_at": at("2025-07-01")},
    )
    files = [{"fingerprint_id": f"F{n}", "bid_id": f"B{n}", "doc_created_at": at("2026-01-01")} for n in (1, 2)]

    known = seen(BidDocumentFingerprint, *files, bid=bids, tender=tenders)

    # What a wrong clock wrote into a file is known with the file.
    assert [(one["fingerprint_id"], one["doc_created_at"]) for one in known] == [("F1", at("2026-01-01"))]


def test_an_award_is_dated_by_the_first_of_its_instants_that_is_stated() -> None:
    known = seen(
        Award,
        {"award_id": "early", "publicity_start_at": at("2025-06-01"), "publicity_end_at": at("2025-06-04")},
        {"award_id": "late notice", "notice_issued_at": at("2025-07-02"), "publicity_start_at": at("2025-06-01")},
        {"award_id": "undated"},
    )

    assert [one["award_id"] for one in known] == ["early"]


def test_a_payment_is_known_from_its_application_and_its_amount_from_its_day() -> None:
    given = {"payment_id": "P", "applied_amount": 5, "applied_at": at("2025-06-01"), "paid_at": at("2025-07-01")}

    before, after = (
        seen(Payment, {**given, "paid_amount": 4}, as_of=moment)[0] for moment in (AS_OF, at("2025-07-01"))
    )

    assert (before["applied_amount"], before["paid_amount"], before["paid_at"]) == (5, None, None)
    assert (after["applied_amount"], after["paid_amount"], after["paid_at"]) == (5, 4, at("2025-07-01"))
    assert seen(Payment, {**given, "applied_at": at("2025-07-01"), "paid_at": None}) == []


def test_a_change_that_was_carried_out_before_its_approval_shows_as_not_approved() -> None:
    [change] = seen(
        ContractChange,
        {
            "change_id": "C",
            "proposed_at": at("2025-05-01"),
            "executed_at": at("2025-06-01"),
            "approved_at": at("2025-08-01"),
            "approval_id": "A",
            "status": "executed",
        },
    )

    assert (change["executed_at"], change["approved_at"], change["approval_id"]) == (at("2025-06-01"), None, None)


def test_a_day_counts_from_its_end_and_a_month_from_its_last_microsecond() -> None:
    sanctions = [{"sanction_id": day, "decided_at": dt.date.fromisoformat(day)} for day in ("2025-06-29", "2025-06-30")]
    prices = [{"price_id": month, "month": month} for month in ("2025-05", "2025-06", "2025-07")]
    tick = dt.timedelta(microseconds=1)

    assert [one["sanction_id"] for one in seen(Sanction, *sanctions)] == ["2025-06-29"]
    assert len(seen(Sanction, *sanctions, as_of=AS_OF + tick)) == 2
    assert [one["price_id"] for one in seen(MarketPrice, *prices)] == ["2025-05", "2025-06"]
    assert [one["price_id"] for one in seen(MarketPrice, *prices, as_of=AS_OF - tick)] == ["2025-05"]


def test_undated_rows_count_where_the_table_says_so() -> None:
    assert len(seen(WageAccount, {"wage_account_id": "W"})) == 1
    assert len(seen(Tender, {"tender_id": "T", "status": "awarded"})) == 1
    assert seen(Tender, {"tender_id": "T", "status": "awarded"})[0]["status"] is None
    assert seen(ProgressReport, {"progress_id": "M", "period": "2025-07"}) == []
    assert len(seen(ProgressReport, {"progress_id": "M", "period": "2025-06"})) == 1


def test_a_seat_is_refilled_once_its_successor_is_drawn() -> None:
    seats = [
        {"draw_id": "D1", "drawn_at": at("2025-06-01"), "replaced_by_draw_id": "D2", "replace_reason": "ill"},
        {"draw_id": "D2", "drawn_at": at("2025-07-01")},
    ]

    [first] = seen(CommitteeDraw, *seats, committee_draw=rows(CommitteeDraw, *seats), tender=rows(Tender))

    assert (first["draw_id"], first["replaced_by_draw_id"], first["replace_reason"]) == ("D1", None, None)


def test_reference_tables_are_known_at_all_times() -> None:
    given = {"org_id": "O", "name": "n", "established_date": dt.date(2030, 1, 1)}

    assert seen(Organisation, given, as_of=at("1990-01-01"))[0]["established_date"] == dt.date(2030, 1, 1)


def test_some_columns_are_enough_if_those_that_date_the_table_are_among_them() -> None:
    frame = rows(Payment, {"payment_id": "P", "applied_at": at("2025-06-01")}).select("payment_id", "applied_at")

    assert known_as_of(frame, Payment, AS_OF).collect().columns == ["payment_id", "applied_at"]


@pytest.mark.parametrize(
    ("table", "frame", "words"),
    [
        (Attendance, rows(Attendance).drop(Attendance.sensitive_columns()), "attendance.punched_at dates"),
        (Bid, rows(Bid), "give tender among the parents"),
    ],
    ids=["column", "parent"],
)
def test_what_dates_a_table_and_is_missing_is_named(table: type[Table], frame: pl.LazyFrame, words: str) -> None:
    with pytest.raises(LookupError, match=words):
        known_as_of(frame, table, AS_OF)
