"""The tables as a computation sees them: read where asked for, once, and without sensitive columns."""

from pathlib import Path

import polars as pl

from features.tables.columns import Table
from features.tables.contract import FACT_TABLES
from features.tables.money import Payment
from features.tables.organisations import Organisation, Person
from features.tables.source import SourceTables, read_source_tables
from features.tables.store import TableStore
from features.tables.tendering import Bid, Lot


def watched(table: type[Table], read: list[str], *keys: str) -> pl.LazyFrame:
    """Return a frame that notes when its rows are read."""

    def noted(rows: pl.DataFrame) -> pl.DataFrame:
        read.append(table.NAME)
        return rows

    schema = {name: table.columns()[name].dtype for name in table.public_columns()}
    rows = pl.LazyFrame([{table.key(): key} for key in keys], schema=schema)
    return rows.map_batches(noted, schema=schema)  # pyright: ignore[reportArgumentType]


def test_held_tables_are_read_when_asked_for_and_once() -> None:
    read: list[str] = []
    tables = SourceTables({table.NAME: watched(table, read, "1") for table in (Lot, Bid, Payment)}).collected()

    assert read == []
    assert [tables[Bid].collect().height for _ in range(3)] == [1, 1, 1]
    assert tables.collected()[Bid].collect().height == 1
    assert read == ["bid"]


def test_rows_laid_on_top_replace_those_of_their_key_and_read_no_other_table() -> None:
    read: list[str] = []
    tables = SourceTables({table.NAME: watched(table, read, "1", "2") for table in (Lot, Bid)}).collected()
    schema = {name: column.dtype for name, column in Bid.columns().items()}
    rows = pl.DataFrame([{"bid_id": "2", "lot_id": "L"}, {"bid_id": "3", "lot_id": "L"}], schema=schema)

    laid = tables.overlaid({"bid": rows}).collected()

    assert laid[Bid].select("bid_id", "lot_id").sort("bid_id").collect().rows() == [("1", None), ("2", "L"), ("3", "L")]
    assert read == ["bid"]
    assert laid[Lot].collect().height == 2


def test_sensitive_columns_of_rows_laid_on_top_are_left_out() -> None:
    schema = {name: column.dtype for name, column in Person.columns().items()}
    rows = pl.DataFrame([{"person_id": "p1", "name": "n", "id_no_hash": "h", "id_no_enc": "secret"}], schema=schema)

    person = SourceTables({}).overlaid({"person": rows})[Person].collect()

    assert person.columns == Person.public_columns()
    assert person.get_column("person_id").to_list() == ["p1"]


def test_a_home_without_tables_gives_empty_frames_of_what_measurements_rest_on(tmp_path: Path) -> None:
    tables = read_source_tables(TableStore(tmp_path))

    assert set(tables.frames) == {*FACT_TABLES, "param"}
    for table in (Organisation, Person, Payment):
        assert tables[table].collect().schema == SourceTables({})[table].collect().schema
        assert tables[table].collect_schema().names() == table.public_columns()
