"""Delivered cells and files become rows of the contract, or are named with their reason."""

import csv
import datetime as dt
import gzip
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from features.clock import SHANGHAI
from features.ingest import table_files
from features.ingest.table_cells import read_cells
from features.ingest.table_files import BATCH_ROWS, find_files
from features.tables.columns import Table
from features.tables.organisations import Organisation
from features.tables.reference import Region
from features.tables.tendering import Award, Bid, Tender


def cell(table: type[Table], column: str, value: object) -> object:
    return read_cells(pl.DataFrame({column: [value]}), table).rows.item(0, column)


def reasons(table: type[Table], column: str, value: object) -> list[str]:
    failures = read_cells(pl.DataFrame({column: [value]}), table).failures
    return failures.filter(pl.col("field") == column).get_column("reason").to_list()


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1234567.89", Decimal("1234567.89")),
        ("9007199254740.99", Decimal("9007199254740.99")),
        ("0.1", Decimal("0.10")),
        (" 5.5000 ", Decimal("5.50")),
        ("10000000000000", Decimal("10000000000000.00")),
    ],
)
def test_money_is_read_from_text_exactly(text: str, amount: Decimal) -> None:
    assert cell(Bid, "bid_price", text) == amount
    assert reasons(Bid, "bid_price", text) == []


@pytest.mark.parametrize("text", ["1,234.5", "12.345", "五万", "5万元", "1e6", "nan", "99999999999999999"])
def test_what_is_no_amount_is_refused_and_never_rounded(text: str) -> None:
    assert reasons(Bid, "bid_price", text) == ["not_an_amount"]


def test_an_amount_out_of_bounds_is_refused() -> None:
    assert reasons(Bid, "bid_price", "-1") == ["out_of_bounds"]
    assert reasons(Bid, "bid_price", "10000000000000.01") == ["out_of_bounds"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-06-30T09:00:00+08:00", dt.datetime(2026, 6, 30, 9, tzinfo=SHANGHAI)),
        ("2026-06-30T01:00:00Z", dt.datetime(2026, 6, 30, 9, tzinfo=SHANGHAI)),
        ("2026-06-29T20:00:00-05:00", dt.datetime(2026, 6, 30, 9, tzinfo=SHANGHAI)),
        ("2026-06-30 09:00", dt.datetime(2026, 6, 30, 9, tzinfo=SHANGHAI)),
        ("2026-06-30T09:00:00.123456", dt.datetime(2026, 6, 30, 9, 0, 0, 123456, tzinfo=SHANGHAI)),
        ("2026-06-30", dt.datetime(2026, 6, 30, 23, 59, 59, 999999, tzinfo=SHANGHAI)),
        (dt.datetime(2026, 6, 30, 9), dt.datetime(2026, 6, 30, 9, tzinfo=SHANGHAI)),  # noqa: DTZ001
        (dt.datetime(2026, 6, 30, 1, tzinfo=dt.UTC), dt.datetime(2026, 6, 30, 9, tzinfo=SHANGHAI)),
    ],
)
def test_a_moment_without_zone_is_shanghai_and_a_bare_date_ends_its_day(text: object, moment: dt.datetime) -> None:
    assert cell(Tender, "opening_at", text) == moment
    assert reasons(Tender, "opening_at", text) == []


@pytest.mark.parametrize("text", ["30.06.2026", "2026-13-01", "2026-02-30T09:00:00", "soon", "2026-06-30T25:00:00"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    assert reasons(Tender, "opening_at", text) == ["not_a_moment"]


def test_a_moment_before_the_first_day_is_out_of_bounds() -> None:
    assert reasons(Tender, "opening_at", "1900-01-01T00:00:00") == ["out_of_bounds"]


@pytest.mark.parametrize(("text", "flag"), [("true", True), ("FALSE", False), ("1", True), ("0", False)])
def test_yes_and_no_are_read(text: str, *, flag: bool) -> None:
    assert cell(Bid, "is_consortium", text) is flag


@pytest.mark.parametrize(
    ("table", "column", "value", "reason"),
    [
        (Bid, "is_consortium", "yes", "not_yes_or_no"),
        (Bid, "status", "won", "unknown_word"),
        (Bid, "rank", "1.5", "not_a_whole_number"),
        (Bid, "total_score", "high", "not_a_number"),
        (Bid, "total_score", "1001", "out_of_bounds"),
        (Bid, "total_score", float("inf"), "out_of_bounds"),
        (Bid, "consortium_org_ids", "[a", "not_json"),
        (Bid, "bid_id", " ", "missing_value"),
        (Bid, "bid_id", "x" * 201, "too_long"),
        (Bid, "bid_id", 17, "not_text"),
        (Organisation, "established_date", "2026-02-30", "not_a_day"),
    ],
)
def test_a_cell_that_does_not_fit_is_named_with_one_reason(
    table: type[Table], column: str, value: object, reason: str
) -> None:
    assert reasons(table, column, value) == [reason]


def test_blank_text_is_null_and_whole_numbers_may_end_in_point_zero() -> None:
    assert cell(Award, "abandon_reason", "  ") is None
    assert cell(Award, "candidate_rank", "2.0") == 2


def found(folder: Path, name: str, content: bytes) -> tuple[list[str], list[str]]:
    (folder / name).write_bytes(content)
    files, problems = find_files(folder)
    return [file.path.name for file in files], [f"{p.file}: {p.message} {p.mend}" for p in problems]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("bids.csv", b"bid_id\n", "rename it to bid.csv"),
        ("bid.xlsx", b"", "TABLE.csv"),
        ("region.csv", b"region_code,nam,level\n", "nam may be name"),
        ("region.csv", b"region_code,name\n", "needs the column level"),
        ("region.csv", b"region_code,name,name,level\n", "stand twice"),
        ("region.csv", b"", "no heading"),
        ("region.csv", "region_code,name,level\nR1,南充市,city\n".encode("gb18030"), "GB18030"),
        ("region.csv", "region_code,name,level\n".encode("utf-16"), "UTF-16"),
        ("region.csv", b'region_code,name,level\nR1,"Nan', "not CSV"),
        ("region.csv.gz", gzip.compress(b"region_code,name,level\n" * 50)[:-12], "cut off"),
        ("region.parquet", b"PAR1", "not Parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_mend(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    files, problems = found(tmp_path, name, content)

    assert files == []
    assert len(problems) == 1
    assert name in problems[0]
    assert said in problems[0]


def test_a_byte_order_mark_and_notes_beside_the_files_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("notes", encoding="utf-8")

    assert found(tmp_path, "region.csv", b"\xef\xbb\xbfregion_code,name,level\n") == (["region.csv"], [])


def test_a_table_delivered_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "region.csv").write_text("region_code,name,level\n", encoding="utf-8")
    Region.create_empty().write_parquet(tmp_path / "region.parquet")

    files, problems = find_files(tmp_path)

    assert files == []
    assert "more than once" in problems[0].message


def test_rows_come_in_batches_that_know_their_lines(tmp_path: Path) -> None:
    lines = ["region_code,name,level", '1,"two\nlines",city', "", "2,short", *["3,c,city"] * BATCH_ROWS]
    (tmp_path / "region.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")

    (file,), _ = find_files(tmp_path)
    batches = list(file.batches())

    assert [batch.rows.height for batch in batches] == [BATCH_ROWS, 2]
    assert batches[0].places[:3].to_list() == ["region.csv:2", "region.csv:5", "region.csv:6"]
    assert dict(batches[0].uneven) == {1: ["2", "short"]}


@pytest.mark.parametrize("name", ["region.csv", "region.csv.gz"])
@pytest.mark.parametrize(
    ("last", "uneven", "cut"),
    [("2,b,ci", {1: ["2", "b", "ci"]}, 1), ('2,"b",ci', {1: ["2", "b", "ci"]}, 1), ("2,b", {1: ["2", "b"]}, None)],
)
def test_the_last_row_of_a_file_that_ends_within_its_line_is_kept_apart(
    tmp_path: Path, name: str, last: str, uneven: dict[int, list[str]], cut: int | None
) -> None:
    raw = f"region_code,name,level\n1,a,city\n{last}".encode()
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)

    (batch,) = find_files(tmp_path)[0][0].batches()

    assert (dict(batch.uneven), batch.cut) == (uneven, cut)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("block", [1, 7, 1000])
def test_lines_without_quotes_are_read_as_the_csv_module_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, block: int
) -> None:
    lines = [
        "region_code,name,level",
        "1,甲,city",
        "",
        "2,short",
        "3,c,city,more",
        " ,, ",
        "4,d,city",
        '5,"e,f",city',
        "6,g,",
    ]
    (tmp_path / "region.csv").write_bytes(ending.join([*lines, ""]).encode())
    monkeypatch.setattr(table_files, "BLOCK_CHARACTERS", block)
    monkeypatch.setattr(table_files, "BATCH_ROWS", 2)
    with (tmp_path / "region.csv").open(newline="", encoding="utf-8") as file:
        expected = [row for row in csv.reader(file) if row][1:]

    (found,), _ = find_files(tmp_path)
    batches = list(found.batches())

    rows = [list(row) for batch in batches for row in batch.rows.iter_rows()]
    assert rows == [[*row[:3], *[""] * (3 - len(row))] for row in expected]
    assert pl.concat([batch.places for batch in batches]).to_list() == [
        f"region.csv:{n}" for n in (2, 4, 5, 6, 7, 8, 9)
    ]
    assert [cells for batch in batches for cells in batch.uneven.values()] == [
        ["2", "short"],
        ["3", "c", "city", "more"],
    ]
