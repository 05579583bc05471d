"""Every declared table agrees, column by column, with the carried data model."""

import csv
import re
from pathlib import Path

import dataframely as dy
import polars as pl
import pytest

from features.tables.columns import Table
from features.tables.contract import (
    ALL_TABLES,
    FACT_TABLES,
    LATER_PARENTS,
    RESULT_TABLES,
    carried,
    data_model,
    words_zh,
)
from features.tables.versions import TECHNICAL
from tests.shared_data import at_hand

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "features" / "tables" / "model"
TYPES: dict[type[dy.Column], str] = {
    dy.String: "string",
    dy.Enum: "enum",
    dy.Decimal: "decimal",
    dy.Int64: "int",
    dy.Float64: "float",
    dy.Bool: "bool",
    dy.Date: "date",
    dy.Datetime: "datetime",
}
TABLES = pytest.mark.parametrize("table", ALL_TABLES.values(), ids=ALL_TABLES.keys())


def described(table: type[Table]) -> dict[str, dict[str, str]]:
    return {row["column"]: row for row in data_model() if row["table"] == table.NAME}


def declared(column: dy.Column) -> dict[str, str]:
    about = column.metadata or {}
    kind = TYPES[type(column)]
    if column.primary_key:
        key = "PK"
    elif about.get("unique"):
        key = "UK"
    else:
        key = "FK" if about["references"] else ""
    return {
        "type": "json" if about.get("json") else kind,
        "unit": about["unit"],
        "nullable": "yes" if column.nullable else "no",
        "key": key,
        "references": about["references"],
        "source_system": about["source_system"],
        "personal_data_class": about["personal_data_class"],
        "label_zh": about["label_zh"],
        "enum_values": ";".join(column.categories) if isinstance(column, dy.Enum) else "",
    }


def relaxed() -> set[tuple[str, str]]:
    with (MODEL / "relaxed.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert all(row["reason"] for row in rows)
    return {(row["table"], row["column"]) for row in rows}


@TABLES
def test_columns_stand_in_the_order_of_the_data_model(table: type[Table]) -> None:
    assert table.column_names() == list(described(table))


@TABLES
def test_a_column_is_what_the_data_model_says(table: type[Table]) -> None:
    model = described(table)
    got = {name: declared(column) for name, column in table.columns().items()}

    assert got == {name: {what: model[name][what] for what in about} for name, about in got.items()}


@TABLES
def test_a_table_has_one_key(table: type[Table]) -> None:
    assert table.primary_key() == [table.column_names()[0]]


def test_no_column_takes_the_name_of_a_technical_one() -> None:
    taken = {(name, column) for name, table in ALL_TABLES.items() for column in set(table.columns()) & set(TECHNICAL)}

    # A row about a source is that source's own version: both names mean the one value.
    assert taken == {("source_sync", "source_code")}


@TABLES
def test_amounts_counts_and_times_are_bounded(table: type[Table]) -> None:
    for name, column in table.columns().items():
        if isinstance(column, dy.Decimal | dy.Int64 | dy.Date | dy.Datetime):
            assert column.min is not None, name
            assert column.max is not None, name
        if isinstance(column, dy.Float64):
            assert not column.allow_inf, name
            assert not column.allow_nan, name
        if isinstance(column, dy.String) and (column.primary_key or (column.metadata or {})["references"]):
            assert column.max_length, name
            assert column.min_length, name


@TABLES
def test_a_row_drawn_from_the_contract_keeps_it(table: type[Table]) -> None:
    rows = table.sample(5)

    assert isinstance(rows, pl.DataFrame)
    assert table.is_valid(rows)


def test_a_credit_code_is_unique() -> None:
    assert described(ALL_TABLES["organisation"])["uscc"]["key"] == "UK"


def test_references_lead_to_the_key_of_a_table() -> None:
    keys = {f"{row['table']}.{row['column']}" for row in data_model() if row["key"] == "PK"}

    assert {row["references"] for row in data_model() if row["references"]} <= keys


def test_the_decisions_on_null_name_the_listed_columns_and_they_may_be_null() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))
    text = "\n".join(page.read_text(encoding="utf-8") for page in decisions)
    named = [tuple(found.split(".")) for found in re.findall(r"^- `([a-z_]+\.[a-z_]+)`:", text, flags=re.MULTILINE)]

    assert sorted(named) == sorted(relaxed())
    assert all(ALL_TABLES[table].columns()[column].nullable for table, column in relaxed())


@pytest.mark.real_data
def test_the_listed_columns_are_the_whole_difference_to_the_data_model() -> None:
    original = at_hand("../design/data-model.csv")
    with original.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    strict = {(row["table"], row["column"]): row for row in rows}
    ours = {(row["table"], row["column"]): row for row in data_model()}

    assert list(ours) == list(strict)
    changed = {where for where, row in ours.items() if row != strict[where]}
    assert changed == relaxed()
    assert all(ours[where] == {**strict[where], "nullable": "yes"} for where in changed)


def test_all_73_tables_are_declared_and_stand_parents_before_children() -> None:
    place = {name: at for at, name in enumerate(ALL_TABLES)}
    later = {
        (name, column)
        for name, table in ALL_TABLES.items()
        for column in table.columns()
        if (parent := table.about(column)["references"].split(".")[0]) and place[parent] > place[name]
    }

    assert set(ALL_TABLES) == {row["table"] for row in carried("data-model-tables.csv")}
    assert later == LATER_PARENTS


def test_a_table_takes_group_store_and_names_from_the_data_model() -> None:
    for row in carried("data-model-tables.csv"):
        table = ALL_TABLES[row["table"]]
        got = (table.GROUP, table.STORE, table.LABEL_ZH, table.DESCRIPTION)
        assert got == (row["group"], row["store"], row["label_zh"], row["description_en"])


def test_measurements_rest_on_tables_that_no_run_of_them_changes() -> None:
    left_out = {name for name, table in ALL_TABLES.items() if name not in FACT_TABLES and table.STORE == "delta"}

    assert left_out == {*RESULT_TABLES, "source_sync", "model_version"}
    assert all(table.STORE == "delta" for table in FACT_TABLES.values())


def test_every_word_of_every_closed_list_has_a_chinese_word_of_its_own() -> None:
    lists = {(row["table"], row["column"]): row["enum_values"] for row in data_model() if row["type"] == "enum"}

    assert {where: ";".join(words) for where, words in words_zh().items()} == lists
    for words in words_zh().values():
        assert all(words.values())
        assert len(set(words.values())) == len(words)
    # 584 rows are 584 words: no value stands twice in the list.
    assert len(carried("words_zh.csv")) == sum(len(words) for words in words_zh().values())


@TABLES
def test_sensitive_columns_are_told_apart_and_never_the_key(table: type[Table]) -> None:
    sensitive = {name for name, row in described(table).items() if row["personal_data_class"] == "sensitive"}

    assert set(table.sensitive_columns()) == sensitive
    assert [name for name in table.column_names() if name not in sensitive] == table.public_columns()
    assert table.key() in table.public_columns()


def test_amounts_that_may_be_turned_around_are_signed_and_no_others() -> None:
    signed = {
        f"{name}.{column}"
        for name, table in ALL_TABLES.items()
        for column, kind in table.columns().items()
        if isinstance(kind, dy.Decimal) and kind.min is not None and kind.min < 0
    }

    assert signed == {
        *("contract_change.amount_delta", "quantity_measurement.amount", "material_purchase.amount"),
        *("bid_item_price.unit_price", "bid_item_price.amount", "fund_flow.amount"),
        *("payment.applied_amount", "payment.approved_amount", "payment.paid_amount"),
    }


@pytest.mark.real_data
def test_the_list_of_tables_is_the_data_models_own() -> None:
    original = at_hand("../design/data-model-tables.csv")

    assert (MODEL / "data-model-tables.csv").read_bytes() == original.read_bytes()
