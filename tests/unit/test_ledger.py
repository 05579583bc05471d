"""The books of intake: counted at both ends, by day, in records and in money."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from features.clock import SHANGHAI
from features.ingest.books.ledger import AMOUNT_OF, FATES, Books, Tally, read_ledger
from features.ingest.books.quality import by_feed, fates, latest, recounted, rules, stored
from features.tables.columns import Table
from features.tables.contract import SOURCE_TABLES, data_model
from features.tables.organisations import Organisation
from features.tables.store import TableStore
from features.tables.tendering import Bid
from features.tables.versions import stored_schema

DAY = dt.date(2026, 3, 1)
RUN = dt.datetime(2026, 4, 1, 8, tzinfo=SHANGHAI)
NOTHING_PURGED = pl.DataFrame(
    schema={
        "source": pl.String,
        "table": pl.String,
        "loaded_at": pl.Datetime("us", "Asia/Shanghai"),
        "day": pl.Date,
        "purged": pl.Int64,
    }
)


def bids(*rows: tuple[int, str | None]) -> pl.DataFrame:
    """Rows of a bid feed: days after 1 March, price."""
    moments = [dt.datetime(2026, 3, 1, 23, 59, tzinfo=SHANGHAI) + dt.timedelta(days=days) for days, _ in rows]
    schema = {"valid_from_ts": pl.Datetime("us", "Asia/Shanghai"), "bid_price": pl.Decimal(18, 2)}
    prices = [None if price is None else Decimal(price) for _, price in rows]
    return pl.DataFrame({"valid_from_ts": moments, "bid_price": prices}, schema=schema)


def recorded(
    home: Path, *counted: tuple[str, pl.DataFrame], table: type[Table] = Bid, at: dt.datetime = RUN
) -> pl.DataFrame:
    """Keep the books of one run of S01 and return the ledger."""
    books = Books(home, "r1", at)
    page = books.page("S01", f"S01/{table.NAME}", table, automatic=True)
    for fate, rows in counted:
        page.add(fate, rows)
    books.close()
    return read_ledger(home)


def test_records_and_money_are_summed_by_the_day_in_shanghai(tmp_path: Path) -> None:
    counted = [
        ("delivered", bids((0, "10.10"), (0, "0.20"), (1, None))),
        ("loaded", bids((0, "10.10"), (1, None))),
        ("quarantined", bids((0, "0.20"))),
    ]

    days = fates(recorded(tmp_path, *counted))

    assert days.select("day", "delivered", "loaded", "quarantined", "delivered_cny", "accounted_cny").rows() == [
        (DAY, 2, 1, 1, Decimal("10.30"), Decimal("10.30")),
        (dt.date(2026, 3, 2), 1, 1, 0, Decimal("0.00"), Decimal("0.00")),
    ]
    assert by_feed(days).get_column("days_off").to_list() == [0]


def test_a_record_or_an_amount_that_went_missing_is_seen(tmp_path: Path) -> None:
    counted = [
        ("delivered", bids((0, "10.10"), (1, "5.00"), (2, "7.00"))),
        ("loaded", bids((0, "10.10"), (2, "7000.00"))),
    ]

    days = fates(recorded(tmp_path, *counted))

    assert days.get_column("missing").to_list() == [0, 1, 0]
    assert days.get_column("missing_cny").to_list() == [Decimal("0.00"), Decimal("5.00"), Decimal("-6993.00")]
    assert by_feed(days).get_column("days_off").to_list() == [2]


def test_records_without_a_date_are_counted_under_no_day(tmp_path: Path) -> None:
    raw = pl.DataFrame({"line": ["not to be read", "nor this"]})
    counted = [("delivered", raw), ("quarantined", raw)]

    assert fates(recorded(tmp_path, *counted)).select("day", "delivered", "quarantined", "missing").rows() == [
        (None, 2, 2, 0)
    ]


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10**6), st.sampled_from(FATES)), max_size=6), max_size=130
    )
)
def test_chunks_do_not_matter(chunks: list[list[tuple[int, int, str]]]) -> None:
    one, many = Tally(Bid), Tally(Bid)
    for chunk in chunks:
        for fate in FATES:
            many.add(fate, bids(*[(day, f"{cents // 100}.{cents % 100:02}") for day, cents, f in chunk if f == fate]))
    rows = [row for chunk in chunks for row in chunk]
    for fate in FATES:
        one.add(fate, bids(*[(day, f"{cents // 100}.{cents % 100:02}") for day, cents, f in rows if f == fate]))

    assert many.frame().equals(one.frame())


def test_a_feed_that_delivered_nothing_leaves_its_mark(tmp_path: Path) -> None:
    ledger = recorded(tmp_path)
    assert ledger.select("source", "table", "fate", "records").rows() == [("S01", "bid", "delivered", 0)]


def versions(*rows: tuple[str, int, str], loaded_at: dt.datetime = RUN, code: str = "S01") -> pl.DataFrame:
    """Stored versions of bids: id, days after 1 March, price."""
    schema = stored_schema(Bid)
    frame = pl.DataFrame(
        [
            {
                "bid_id": bid,
                "lot_id": "L",
                "tender_id": "T",
                "bidder_org_id": "O",
                "status": "valid",
                "is_consortium": False,
                "bid_price": Decimal(price),
                "loaded_at": loaded_at,
                "valid_from_ts": dt.datetime(2026, 3, 1, 9, tzinfo=SHANGHAI) + dt.timedelta(days=days),
                "source_code": code,
                "source_record_id": bid,
                "retracted": False,
            }
            for bid, days, price in rows
        ],
        schema_overrides={name: dtype for name, dtype in schema.items() if name in ("status",)},
    )
    present = {name: dtype for name, dtype in schema.items() if name in frame.columns}
    missing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in schema.items() if name not in frame.columns]
    return frame.cast(present).with_columns(missing).select(*schema)  # type: ignore[arg-type]


def test_the_tables_counted_anew_agree_with_the_books(tmp_path: Path) -> None:
    store = TableStore(tmp_path)
    store.append(Bid, versions(("A", 0, "10.00"), ("B", 0, "2.50"), ("C", 1, "1.00")))
    counted = [
        ("delivered", bids((0, "10.00"), (0, "2.50"), (1, "1.00"), (1, "9.00"))),
        ("loaded", bids((0, "10.00"), (0, "2.50"), (1, "1.00"))),
        ("unchanged", bids((1, "9.00"))),
    ]
    ledger = recorded(tmp_path, *counted)

    rows = stored(store, ledger, NOTHING_PURGED)

    assert rows.select("day", "booked", "found", "missing", "missing_cny").rows() == [
        (DAY, 2, 2, 0, Decimal("0.00")),
        (dt.date(2026, 3, 2), 1, 1, 0, Decimal("0.00")),
    ]


def test_a_lost_or_doubled_version_and_a_changed_amount_are_seen(tmp_path: Path) -> None:
    store = TableStore(tmp_path)
    store.append(Bid, versions(("A", 0, "10.00"), ("A", 0, "10.00"), ("C", 1, "100.00"), ("X", 3, "1.00")))
    counted = [
        ("loaded", bids((0, "10.00"), (1, "1.00"), (2, "4.00"))),
    ]

    rows = stored(store, recorded(tmp_path, *counted), NOTHING_PURGED)

    assert rows.select("booked", "found", "missing_cny").rows() == [
        (1, 2, Decimal("-10.00")),
        (1, 1, Decimal("-99.00")),
        (1, 0, Decimal("4.00")),
        (0, 1, Decimal("-1.00")),
    ]


def test_what_other_runs_and_sources_stored_is_not_this_runs_affair(tmp_path: Path) -> None:
    store = TableStore(tmp_path)
    store.append(Bid, versions(("A", 0, "1.00")))
    store.append(Bid, versions(("B", 0, "2.00"), loaded_at=RUN + dt.timedelta(days=1)))
    store.append(Bid, versions(("C", 0, "4.00"), code="S06"))
    counted = [
        ("loaded", bids((0, "1.00"))),
    ]

    assert recounted(store, recorded(tmp_path, *counted)).get_column("found_cny").to_list() == [Decimal("1.00")]


def test_purged_records_are_taken_off_the_books(tmp_path: Path) -> None:
    ledger = recorded(tmp_path, ("loaded", bids((0, "0")).select("valid_from_ts")), table=Organisation)
    purged = pl.DataFrame(
        {"source": ["S01"], "table": ["organisation"], "loaded_at": [RUN], "day": [DAY], "purged": [1]},
        schema=NOTHING_PURGED.schema,
    )
    rows = stored(TableStore(tmp_path), ledger, purged)
    assert rows.select("booked", "found", "missing").rows() == [(0, 0, 0)]


def test_rows_stored_late_or_as_older_versions_are_found_and_rows_without_a_date_count_from_their_load(
    tmp_path: Path,
) -> None:
    store = TableStore(tmp_path)
    undated = versions(("C", 0, "4.00")).with_columns(valid_from_ts=pl.col("loaded_at"))
    store.append(Bid, pl.concat([versions(("A", 0, "1.00"), ("B", 0, "2.00")), undated]))
    ledger = recorded(
        tmp_path,
        ("superseded", bids((0, "1.00"))),
        ("released", bids((0, "2.00"))),
        ("loaded", bids((0, "4.00")).drop("valid_from_ts")),
    )
    assert stored(store, ledger, NOTHING_PURGED).select("booked", "found", "missing_cny").rows() == [
        (2, 2, Decimal("0.00")),
        (1, 1, Decimal("0.00")),
    ]


def test_rows_that_name_their_own_source_are_booked_under_it(tmp_path: Path) -> None:
    both = bids((0, "1.00"), (0, "2.00")).with_columns(source_code=pl.Series(["S06", None]))
    ledger = recorded(tmp_path, ("delivered", both))
    assert dict(ledger.select("source", "amount").iter_rows()) == {"S01": Decimal("2.00"), "S06": Decimal("1.00")}


def test_rules_are_counted_with_their_share_of_the_distinct_records_that_came(tmp_path: Path) -> None:
    eight = bids(*[(0, "1.00")] * 8)
    first = [("delivered", eight), ("loaded", eight.head(5)), ("superseded", eight.head(1)), ("quarantined", eight[6:])]
    entry = {"source": "S01", "table": "bid", "level": "row", "mend": "state the price in 元", "value": ""}
    entries = pl.DataFrame(
        [
            {
                **entry,
                "record": "b:1",
                "field": "bid_price",
                "reason": "negative_amount",
                "value": "-1",
                "state": "open",
            },
            {
                **entry,
                "record": "b:2",
                "field": "bid_price",
                "reason": "negative_amount",
                "value": "-2",
                "state": "open",
            },
            {**entry, "record": "b:2", "field": "bids[3].lot_id", "reason": "unknown_reference", "state": "open"},
            {**entry, "record": "b:3", "field": "rank", "reason": "unusable_value", "level": "value", "state": "open"},
        ]
    )
    expected = [
        ("bid_price", 2, 0, 0.25, "-1 | -2"),
        ("bids[].lot_id", 1, 0, 0.125, ""),
        ("rank", 1, 0, 0.125, ""),
    ]
    ledger = recorded(tmp_path, *first)
    columns = ["field", "open", "settled", "share", "samples"]
    assert sorted(rules(entries, ledger).select(columns).rows()) == expected

    ledger = recorded(tmp_path, ("delivered", eight), ("unchanged", eight.head(6)), ("quarantined", eight[6:]))
    assert sorted(rules(entries, ledger).select(columns).rows()) == expected

    ledger = recorded(tmp_path, ("delivered", eight.clear()), ("released", eight.head(1)))
    settled = pl.when(pl.col("record") == "b:1").then(pl.lit("replayed")).otherwise("state").alias("state")
    released = rules(entries.with_columns(settled), ledger).filter(field="bid_price")
    assert released.select(columns).rows() == [("bid_price", 1, 1, 0.25, "-1 | -2")]


def test_rules_of_a_feed_that_stopped_have_no_share(tmp_path: Path) -> None:
    entry = {"source": "S01", "table": "bid", "level": "value", "field": "rank", "reason": "r", "record": "b:1"}
    entries = pl.DataFrame([{**entry, "mend": "", "value": "", "state": "open"}])
    ledger = recorded(tmp_path, ("delivered", bids((0, None))), ("stopped", bids((0, None))))

    assert rules(entries, ledger).get_column("share").to_list() == [None]


def test_what_one_run_lost_and_another_found_does_not_add_up(tmp_path: Path) -> None:
    recorded(tmp_path, ("delivered", bids((0, "1.00"), (0, "1.00"))), ("loaded", bids((0, "1.00"))))
    one = bids((0, "1.00"))
    ledger = recorded(tmp_path, ("delivered", one), ("loaded", one), ("unchanged", one), at=RUN + dt.timedelta(hours=1))

    days = fates(ledger)

    assert days.get_column("missing").to_list() == [1, -1]
    assert by_feed(days).select("delivered", "days_off").rows() == [(3, 1)]
    assert latest(days).get_column("loaded_at").to_list() == [RUN + dt.timedelta(hours=1)]


def test_the_money_of_a_table_is_a_money_column_of_the_data_model() -> None:
    money = {(row["table"], row["column"]) for row in data_model() if row["type"] == "decimal"}
    assert set(AMOUNT_OF.items()) <= money
    uncounted = {table for table, _ in money if table in SOURCE_TABLES} - set(AMOUNT_OF)
    assert uncounted <= {"disposition", "case_record"}, uncounted
