"""The dictionary: what the contract says of itself, on the terminal, as rows and as a page."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
import yaml

from features.tables.contract import ALL_TABLES, carried, data_model
from features.tables.dictionary_page import GROUPS_ZH, dictionary_page
from features.tables.listing import column_rows, table_rows
from smoke import run

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "data-dictionary.html"


def test_all_tables_are_listed_in_the_order_of_the_data_model() -> None:
    listed = table_rows()

    assert [row["table"] for row in listed] == [row["table"] for row in carried("data-model-tables.csv")]
    for row, said in zip(listed, carried("data-model-tables.csv"), strict=True):
        assert {name: said[name] for name in ("group", "store", "label_zh")}.items() <= row.items()
        assert row["description"] == said["description_en"]
    assert sum(int(row["columns"]) for row in listed) == len(data_model())


def test_columns_are_listed_as_the_data_model_has_them() -> None:
    model = data_model()
    same = ("column", "label_zh", "type", "unit", "nullable", "key", "references", "source_system")

    listed = [row for name in dict.fromkeys(row["table"] for row in model) for row in column_rows(ALL_TABLES[name])]

    assert [[row[name] for name in same] for row in listed] == [[row[name] for name in same] for row in model]
    words = [";".join(pair.split("=")[0] for pair in str(row["values"]).split(";")) for row in listed]
    assert words == [row["enum_values"] for row in model]


@pytest.mark.parametrize(
    ("table", "column", "what", "expected"),
    [
        ("committee_draw", "replace_reason", "known_from", "replaced_by_draw_id.drawn_at"),
        ("payment", "paid_at", "known_from", "paid_at"),
        ("tender", "bid_deadline_at", "known_from", ""),
        ("contract_change", "amount_delta", "bounds", "-10000000000000..10000000000000"),
        ("video_day", "online_minutes", "bounds", "0..1440"),
        ("market_price", "month", "bounds", "1950-01..2199-12"),
        ("region", "level", "values", "city=地级市;county=县（市、区）;township=乡镇（街道）"),
        ("indicator_value", "raw_value", "bounds", ""),
    ],
)
def test_a_column_says(table: str, column: str, what: str, expected: str) -> None:
    [row] = [row for row in column_rows(ALL_TABLES[table]) if row["column"] == column]

    assert row[what] == expected


def test_every_source_code_has_a_name_and_the_feeds_use_it() -> None:
    names = {row["code"]: row["label_zh"] for row in carried("sources.csv")}
    used = {code for row in data_model() for code in row["source_system"].split("+")}

    assert used <= set(names)
    for feed in sorted((ROOT / "features" / "ingest" / "feeds").glob("*.yaml")):
        said = yaml.safe_load(feed.read_text(encoding="utf-8"))
        assert said["name_zh"] == names[said["code"]]


def test_the_page_in_docs_is_the_one_that_the_contract_gives(tmp_path: Path) -> None:
    assert run(["tables", "html", "--out", str(tmp_path / "page.html")]) == 0

    assert (tmp_path / "page.html").read_bytes() == PAGE.read_bytes()


def test_the_page_has_every_column_and_asks_nobody_for_anything() -> None:
    page = dictionary_page()
    anchors = set(re.findall(r'id="([a-z_.0-9]+)"', page))
    links = set(re.findall(r'href="([^"]*)"', page))

    assert {f"{row['table']}.{row['column']}" for row in data_model()} <= anchors
    assert links == {f"#{name}" for name in ALL_TABLES}
    assert not re.search(r"https?://|src=|url\(|@import|fetch\(", page)
    assert {table.GROUP for table in ALL_TABLES.values()} == set(GROUPS_ZH)


def test_list_prints_one_line_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tables", "list", "--format", "csv"]) == 0
    listed = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert run(["tables", "list"]) == 0
    printed = capsys.readouterr().out

    assert len(listed) == 73
    assert [row["table"] for row in listed] == [row["table"] for row in table_rows()]
    assert all(re.search(rf"^{name} ", printed, re.MULTILINE) for name in ALL_TABLES)


def test_show_prints_the_columns_of_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tables", "show", "payment", "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert run(["tables", "show", "payment"]) == 0
    printed = capsys.readouterr().out

    assert listed == column_rows(ALL_TABLES["payment"])
    assert all(part in printed for part in ("资金拨付", "paid_at", "progress=进度款", "sensitive", "decimal CNY"))


def test_a_table_that_is_not_there_is_named_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tables", "show", "payments"]) == 1

    assert "'payments'. Mend: say payment." in capsys.readouterr().err
