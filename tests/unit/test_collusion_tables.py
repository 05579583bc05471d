"""Labelled auctions of research become tables of the contract (made-up rows; the real ones are not shipped)."""

import datetime as dt
import gzip
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from experiments.collusion.tables import contract_tables
from experiments.contract_files import write_contract_files

HEADER = (
    *("market", "tender_id", "date", "bidder_id", "bid"),
    *("currency", "reserve_price", "winner", "n_bids_stated", "label_tender"),
)


def bids(*rows: str) -> pl.DataFrame:
    cells = [[cell or None for cell in row.split(",")] for row in rows]
    return pl.DataFrame(cells, schema=dict.fromkeys(HEADER, pl.String), orient="row")


def test_ohio_prices_are_scaled_so_that_two_decimals_hold_them() -> None:
    tables = contract_tables(
        bids("america,america-1,1984,f1,0.1215,USD,,1,2,1", "america,america-1,1984,f2,0.132,USD,,0,2,1")
    )

    assert tables["bid"].get_column("bid_price").to_list() == [Decimal("1215.00"), Decimal("1320.00")]


@pytest.mark.parametrize(
    ("market", "date", "expected"),
    [
        ("japan", "2003-04-17", dt.date(2003, 4, 17)),
        ("america", "1984", dt.date(1984, 12, 31)),
        ("swiss_gr_sg", "3", dt.date(2004, 12, 31)),
        ("italy", "", dt.date(2001, 12, 31)),
    ],
)
def test_an_opening_is_the_end_of_what_the_source_dates(market: str, date: str, expected: dt.date) -> None:
    tables = contract_tables(bids(f"{market},t-1,{date},f1,100,CHF,,1,1,0"))

    opening = tables["tender"].item(0, "opening_at")
    assert (opening.date(), opening.hour, opening.second) == (expected, 23, 59)


def test_bidders_without_ids_never_join() -> None:
    tables = contract_tables(
        bids("swiss_ticino,t-1,1999-01-29,,100,CHF,,1,1,0", "swiss_ticino,t-2,1999-01-29,,100,CHF,,1,1,0")
    )

    assert tables["bid"].get_column("bidder_org_id").n_unique() == 2


def test_a_tender_with_fewer_rows_than_stated_is_incomplete_and_labels_follow_it() -> None:
    tables = contract_tables(bids("america,a-1,1984,f1,0.12,USD,,1,2,1", "america,a-2,1984,f1,0.12,USD,,1,1,0"))

    assert tables["lot"].get_column("bids_complete").to_list() == [False, True]
    assert tables["label_feedback"].get_column("label").to_list() == ["confirmed", "cleared"]


def test_a_market_that_is_not_described_is_refused() -> None:
    with pytest.raises(ValueError, match="describe them"):
        contract_tables(bids("atlantis,t-1,1999,f1,100,EUR,,1,1,0"))


def test_files_of_equal_tables_are_equal_bytes_and_large_ones_are_packed(tmp_path: Path) -> None:
    rows = [f"italy,t-{number},,f{number},{number}.5,EUR,,1,1,0" for number in range(1, 4000)]
    tables = contract_tables(bids(*rows))

    first = write_contract_files(tables, tmp_path / "a")
    second = write_contract_files(tables, tmp_path / "b")

    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    tender = next(path for path in first if path.name.startswith("tender"))
    assert gzip.decompress(tender.read_bytes()).startswith(b"tender_id,")
