"""Delivered files, written literally here, are read whole, and what is wrong with them is named."""

import gzip
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from features.ingest.formats import chunks, delimited, jsons, xml_records
from features.ingest.formats.chunks import Broken, FileError
from features.ingest.formats.reading import Format, read_file

Read = tuple[list[dict[str, str | None]], list[str], list[Broken]]


def _read(path: Path, kind: Format, encoding: str = "utf-8", wanted: Sequence[str] = ()) -> Read:
    rows: list[dict[str, str | None]] = []
    places: list[str] = []
    broken: list[Broken] = []
    for chunk in read_file(path, kind, encoding, wanted):
        assert chunk.rows.height == len(chunk.places)
        rows += chunk.rows.to_dicts()
        places += chunk.places.to_list()
        broken += chunk.broken
    return rows, places, broken


def _until_fault(path: Path, kind: Format, encoding: str = "utf-8") -> tuple[int, list[Broken], FileError]:
    """Return how many rows and broken records came before the fault, and the fault."""
    rows, broken = 0, list[Broken]()
    with pytest.raises(FileError) as found:
        for chunk in read_file(path, kind, encoding, ()):
            rows += chunk.rows.height
            broken += chunk.broken
    return rows, broken, found.value


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_csv_keeps_quoted_line_breaks_quotes_and_rare_characters(tmp_path: Path, encoding: str, ending: str) -> None:
    text = '编号, 名称(元),备注\r\n1,"第一\n标段","他说""好"""\r\n\r\n2,㐂𠮷,\r\n'
    raw = text.encode(encoding)
    path = tmp_path / f"lot-202403{ending}"
    path.write_bytes(gzip.compress(raw) if ending.endswith("gz") else raw)

    rows, places, broken = _read(path, "csv", "gb18030" if encoding == "gb18030" else "utf-8")

    assert rows == [
        {"编号": "1", "名称(元)": "第一\n标段", "备注": '他说"好"'},
        {"编号": "2", "名称(元)": "㐂𠮷", "备注": None},
    ]
    assert places == [f"lot-202403{ending}:1", f"lot-202403{ending}:2"]
    assert broken == []


def test_full_width_headings_are_the_half_width_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("金额（元）,编号\n5,1\n", encoding="utf-8")

    assert _read(path, "csv")[0] == [{"金额(元)": "5", "编号": "1"}]


def test_rows_with_too_few_or_too_many_cells_are_kept_apart_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('a,b\n1,2\n3\n"4,\n4",5,6\n7,8\n9', encoding="utf-8")

    rows, places, broken = _read(path, "csv")

    assert rows == [{"a": "1", "b": "2"}, {"a": "7", "b": "8"}]
    assert places == ["a.csv:1", "a.csv:4"]
    assert [(one.place, json.loads(one.raw)["cells"]) for one in broken] == [
        ("a.csv:2", ["3"]),
        ("a.csv:3", ["4,\n4", "5", "6"]),
        ("a.csv:5", ["9"]),
    ]
    assert {one.reason for one in broken} == {"wrong_cell_count"}


def test_numbers_of_csv_records_go_on_from_block_to_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "CHUNK_BYTES", 64)
    path = tmp_path / "a.csv"
    lines = [f"{n},x" if n % 7 else f"{n}" for n in range(1, 101)]
    path.write_text("\n".join(["n,b", *lines, ""]), encoding="utf-8")

    rows, places, broken = _read(path, "csv")

    assert places == [f"a.csv:{row['n']}" for row in rows]
    assert [one.place for one in broken] == [f"a.csv:{n}" for n in range(7, 100, 7)]
    assert len(rows) + len(broken) == 100


def test_a_csv_file_of_which_no_row_is_whole_loses_none(tmp_path: Path) -> None:
    path = tmp_path / "bid-202403.csv"
    path.write_text("a,b\n" + "1,2,\n" * 500, encoding="utf-8")

    found = list(read_file(path, "csv", "utf-8", ()))

    assert sum(chunk.rows.height for chunk in found) == 0
    assert [one.place for chunk in found for one in chunk.broken] == [f"{path.name}:{n}" for n in range(1, 501)]


@pytest.mark.parametrize("block", [16, 1 << 23])
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_the_last_record_of_a_csv_file_without_line_end_is_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, block: int
) -> None:
    monkeypatch.setattr(delimited, "CHUNK_BYTES", block)
    path = tmp_path / f"a{ending}"
    raw = b'a,b\n1,\n2,"x\ny"\n3,2023-10-23 11:2'
    path.write_bytes(gzip.compress(raw) if ending.endswith("gz") else raw)

    rows, places, broken = _read(path, "csv")

    assert rows == [{"a": "1", "b": None}, {"a": "2", "b": "x\ny"}]
    assert places == [f"a{ending}:1", f"a{ending}:2"]
    assert [(one.place, one.reason) for one in broken] == [(f"a{ending}:3", "unfinished_record")]
    assert json.loads(broken[0].raw) == {"heading": ["a", "b"], "cells": ["3", "2023-10-23 11:2"]}


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "a,b\r\n1,2\r\n", "a,b\r\n1,2\r", "a,b\n1,2\n\n"])
def test_a_csv_file_whose_last_line_has_an_end_is_whole(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode())

    assert _read(tmp_path / "a.csv", "csv") == ([{"a": "1", "b": "2"}], ["a.csv:1"], [])


def test_a_last_record_that_is_broken_takes_no_other_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "CHUNK_ROWS", 2)
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3,4\n5,6\n7", encoding="utf-8")

    rows, _, broken = _read(tmp_path / "a.csv", "csv")

    assert [row["a"] for row in rows] == ["1", "3", "5"]
    assert [(one.place, one.reason) for one in broken] == [("a.csv:4", "wrong_cell_count")]


def test_a_last_json_line_without_line_end_is_a_record_when_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "whole.jsonl").write_text('{"a": "1"}\n{"a": "2"}', encoding="utf-8")
    (tmp_path / "cut.jsonl").write_text('{"a": "1"}\n{"a": "2"', encoding="utf-8")

    assert _read(tmp_path / "whole.jsonl", "jsonl", wanted=["a"])[1:] == (["whole.jsonl:1", "whole.jsonl:2"], [])
    cut = _read(tmp_path / "cut.jsonl", "jsonl", wanted=["a"])
    assert (cut[1], [one.place for one in cut[2]]) == (["cut.jsonl:1"], ["cut.jsonl:2"])


def test_joined_chunks_end_at_records_that_are_none_and_at_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 10)
    monkeypatch.setattr(chunks, "JOINED_BYTES", 1000)
    nothing = pl.DataFrame(schema={"a": pl.String}), pl.Series(dtype=pl.String)
    broken = [chunks.Chunk(*nothing, (Broken("p", "not_json", "x"),) * 6) for _ in range(4)]
    wide = [chunks.Chunk(pl.DataFrame({"a": ["x" * 600]}), pl.Series(["p"])) for _ in range(3)]

    assert [len(one.broken) for one in chunks.joined(broken)] == [6] * 4
    assert [one.rows.height for one in chunks.joined(wide)] == [1] * 3


def test_a_csv_file_in_another_encoding_names_both(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("编号,名称\n1,南充\n".encode("gb18030"))

    rows, _, fault = _until_fault(path, "csv", "utf-8")

    assert rows == 0
    assert "not UTF-8" in fault.what
    assert "looks like GB18030" in fault.what


def test_bytes_that_no_encoding_has_stop_the_file_after_what_came_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "CHUNK_BYTES", 256)
    for encoding, bad in (("gb18030", b"\x81\x20"), ("utf-8", b"\xff")):
        path = tmp_path / f"{encoding}.csv"
        head = "编号,名称\n" + "".join(f"{n},南充\n" for n in range(3000))
        path.write_bytes(head.encode(encoding) + b"3000," + bad + b"\n")

        rows, _, fault = _until_fault(path, "csv", encoding)

        assert 2000 < rows <= 3000
        assert f"not {encoding.upper()} after record {rows}" in fault.what


def test_an_empty_csv_file_and_one_with_a_repeated_heading_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "twice.csv").write_text("a,b,a\n1,2,3\n", encoding="utf-8")

    assert "no heading" in _until_fault(tmp_path / "empty.csv", "csv")[2].what
    assert "stand twice: 'a'" in _until_fault(tmp_path / "twice.csv", "csv")[2].what


def test_a_heading_alone_tells_the_headings(tmp_path: Path) -> None:
    for text in ("a,b\n", "a,b"):
        (tmp_path / "a.csv").write_text(text, encoding="utf-8")

        found = list(read_file(tmp_path / "a.csv", "csv", "utf-8", ()))

        assert [chunk.rows.columns for chunk in found][-1:] == [["a", "b"]]
        assert [len(chunk.broken) for chunk in found] == [0]


def test_a_packed_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    whole = gzip.compress(("a,b\n" + "1,2\n" * 9000).encode())
    (tmp_path / "a.csv.gz").write_bytes(whole[:-20])
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"a":1}\n' * 9000)[:-20])

    assert "packed file is damaged or cut off" in _until_fault(tmp_path / "a.csv.gz", "csv")[2].what
    assert "packed file is damaged or cut off" in _until_fault(tmp_path / "a.jsonl.gz", "jsonl")[2].what


def test_json_lines_give_text_as_it_is_and_everything_else_as_json(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [
        '{"编号":"1","额":12.5,"是":true,"项":["甲","乙"],"则":{"k":0.05},"空":null}',
        "",
        '{"编号":"2","额":9876543210.12,"新":"x"}',
    ]
    path.write_bytes(b"\xef\xbb\xbf" + "\n".join([*lines, ""]).encode())

    rows, places, broken = _read(path, "jsonl", wanted=["编号", "额", "缺"])

    assert rows[0] == {
        **{"编号": "1", "额": "12.5", "是": "true", "项": '["甲", "乙"]', "则": '{"k": 0.05}'},
        **dict.fromkeys(["空", "新", "缺"]),
    }
    assert rows[1]["额"] == "9876543210.12"
    assert rows[1]["新"] == "x"
    assert places == ["a.jsonl:1", "a.jsonl:3"]
    assert broken == []


def test_json_lines_that_are_no_objects_cost_themselves_only(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a":1}\n{"a":2\n[3]\n{"a":4} {"a":5}\n{"a":6}\n{"a":', encoding="utf-8")

    rows, places, broken = _read(path, "jsonl", wanted=["a"])

    assert rows == [{"a": "1"}, {"a": "6"}]
    assert places == ["a.jsonl:1", "a.jsonl:5"]
    assert [(one.place, one.reason) for one in broken] == [(f"a.jsonl:{n}", "not_json") for n in (2, 3, 4, 6)]


def test_json_lines_are_read_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsons, "CHUNK_BYTES", 50)
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"n": n, "t": "南充" * 9}, ensure_ascii=False) for n in range(40)), "utf-8")

    rows, places, _ = _read(path, "jsonl", wanted=["n"])

    assert [row["n"] for row in rows] == [str(n) for n in range(40)]
    assert places[-1] == "a.jsonl:40"


def test_json_in_gb18030_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"a":"南充"}\n'.encode("gb18030"))

    assert "not UTF-8" in _until_fault(path, "jsonl")[2].what


@pytest.mark.parametrize(
    "text", ['{"total": 2, "data": [%s]}', "[%s]", '{"data": [%s], "total": 2, "tail": {"a": [1]}}']
)
def test_one_json_document_gives_its_records(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text % '{"a": "x\\ny",\n "b": [1, {"c": 2}]}\n,{"a": "z"}', encoding="utf-8")

    rows, places, broken = _read(path, "json", wanted=["a", "b"])

    assert rows == [{"a": "x\ny", "b": '[1, {"c": 2}]'}, {"a": "z", "b": None}]
    assert places == ["a.json:1", "a.json:2"]
    assert broken == []


def test_a_json_document_without_records_is_empty_and_one_without_a_list_is_named(tmp_path: Path) -> None:
    (tmp_path / "none.json").write_text('{"total": 0, "data": []}', encoding="utf-8")
    (tmp_path / "error.json").write_text('{"error": "login"}', encoding="utf-8")

    assert _read(tmp_path / "none.json", "json", wanted=["a"]) == ([], [], [])
    assert "no JSON with a list" in _until_fault(tmp_path / "error.json", "json")[2].what


def test_a_json_document_that_is_cut_off_gives_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"total": 3, "data": [{"a": 1}, {"a": 2}, {"a": "thr', encoding="utf-8")

    rows, broken, fault = _until_fault(path, "json")

    assert rows == 2
    assert [(one.place, one.reason, one.raw) for one in broken] == [("a.json:3", "unfinished_record", '{"a": "thr')]
    assert "cut off" in fault.what


def test_xlsx_gives_text_and_rows_of_the_sheet(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("数据")
        for column, text in enumerate([" 编号 ", "金额（元）", "备注"]):
            sheet.write_string(0, column, text)
        sheet.write_string(1, 0, "0012")
        sheet.write_number(1, 1, 1234567.89)
        sheet.write_string(3, 0, "0013")
        sheet.write_string(3, 2, "两\n行")

    rows, places, _ = _read(path, "xlsx")

    assert rows == [
        {"编号": "0012", "金额(元)": "1234567.89", "备注": None},
        {"编号": "0013", "金额(元)": None, "备注": "两\n行"},
    ]
    assert places == ["a.xlsx:2", "a.xlsx:4"]


def test_what_is_no_workbook_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet().write_string(0, 0, "a")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with zipfile.ZipFile(tmp_path / "b.xlsx", "w") as packed:
        packed.writestr("x", "y")

    for name in ("a.xlsx", "b.xlsx"):
        assert "no XLSX workbook" in _until_fault(tmp_path / name, "xlsx")[2].what


def test_xml_gives_its_records(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(
        '<?xml version="1.0" encoding="GB18030"?>\n<deliveries source="S05" feed="project">'
        "<record><编号>1</编号><批准金额万元>12.5</批准金额万元><备注/></record>\n"
        "<record><编号>2</编号><建设内容><![CDATA[a<b]]></建设内容></record></deliveries>",
        encoding="gb18030",
    )

    rows, places, _ = _read(path, "xml")

    assert rows == [
        {"编号": "1", "批准金额万元": "12.5", "备注": None, "建设内容": None},
        {"编号": "2", "批准金额万元": None, "备注": None, "建设内容": "a<b"},
    ]
    assert places == ["a.xml:1", "a.xml:2"]


def test_xml_that_is_cut_off_gives_what_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_records, "CHUNK_ROWS", 2)
    path = tmp_path / "a.xml"
    path.write_text("<deliveries>" + "<record><a>1</a></record>" * 5 + "<record><a>", encoding="utf-8")

    rows, _, fault = _until_fault(path, "xml")

    assert rows == 5
    assert "After 5 records" in fault.what


@pytest.mark.parametrize(
    "entity",
    ['<!ENTITY x "lol"><!ENTITY y "&x;&x;&x;&x;">', '<!ENTITY y SYSTEM "file:///etc/hostname">'],
)
def test_xml_with_entities_is_refused(tmp_path: Path, entity: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(
        f"<!DOCTYPE deliveries [{entity}]><deliveries><record><a>&y;</a></record></deliveries>", encoding="utf-8"
    )

    rows, _, fault = _until_fault(path, "xml")

    assert rows == 0
    assert "document type" in fault.what


def test_parquet_gives_stored_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("features.ingest.formats.columnar.CHUNK_ROWS", 3)
    stored = pl.DataFrame({"编号": [str(n) for n in range(7)], "日期": pl.Series(["2024-03-05"] * 7).str.to_date()})
    stored.write_parquet(tmp_path / "a.parquet")

    found = list(read_file(tmp_path / "a.parquet", "parquet", "utf-8", ()))

    assert pl.concat([chunk.rows for chunk in found]).equals(stored)
    assert [place for chunk in found for place in chunk.places][-1] == "a.parquet:7"


def test_a_parquet_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"a": list(range(1000))}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-10])

    assert "no Parquet" in _until_fault(path, "parquet")[2].what


def test_places_are_made_of_the_file_and_a_number() -> None:
    assert chunks.placed(Path("/x/bid.csv"), pl.Series([3, 5])).to_list() == ["bid.csv:3", "bid.csv:5"]
