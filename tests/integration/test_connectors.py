"""Deliveries of sources, written literally, go through the commands: loaded, stopped, refused, mended, again."""

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter

import smoke
from features.ingest import sources_command
from features.ingest.deliveries import ingest
from features.ingest.identity.work_items import WorkItems
from features.ingest.quarantine.entries import Quarantine
from features.ingest.quarantine.sealing import Seal
from features.tables.columns import Table
from features.tables.contracts import Contract
from features.tables.organisations import Organisation, Person
from features.tables.projects import Approval, Project
from features.tables.reference import Department, Region
from features.tables.site import Attendance, KeyPersonnel
from features.tables.store import TableStore
from features.tables.tendering import Lot, Tender, TenderClause
from tests.check_digits import credit_code, identity_number

KEYS = {"SMOKE_HMAC_KEY": bytes(range(32)).hex(), "SMOKE_DATA_KEY": bytes(range(64, 128)).hex()}
AT = "2024-03-05T14:30:00+08:00"
PROJECT = "2301-511302-04-01-123456"


OWNER, BUILDER = credit_code("11511300MB1234567"), credit_code("91511300MA6293UB5")
MANAGER = identity_number("51130219800307001")


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def city(tmp_path: Path) -> Path:
    """A small delivery of the platform, the approval platform, the land bureau and the trading centre."""
    _json_lines(
        tmp_path / "P00" / "region-202403.jsonl",
        {"区划代码": "511300", "区划名称": "南充市", "层级": "地级市"},
        {"区划代码": "511302", "区划名称": "顺庆区", "层级": "县（市、区）", "上级区划": "511300"},
    )
    _json_lines(
        tmp_path / "P00" / "department-202403.jsonl",
        {"部门编号": "D1", "部门名称": "某局", "部门类别": "发展改革", "层级": "市级", "区划": "511300"},
    )
    _json_lines(
        tmp_path / "P00" / "project-202403.jsonl",
        {
            **{"平台项目编号": "NC1", "投资项目统一代码": PROJECT, "项目名称": "某路", "三类项目": "招标建设项目"},
            **{
                "行业领域": "市政",
                "所属区划": "511302",
                "项目层级": "县级",
                "涉密等级": "不涉密",
                "资金来源": "财政预算资金",
            },
            **{"依法必须招标": "是", "经度": 106.1, "纬度": 30.8, "电子围栏半径": 300, "项目状态": "在建"},
        },
    )
    (tmp_path / "S05").mkdir()
    (tmp_path / "S05" / "project-202403.xml").write_text(
        '<deliveries source="S05" feed="project"><record>'
        f"<投资项目统一代码>{PROJECT}</投资项目统一代码><项目名称>某路改造</项目名称><行业领域>市政</行业领域>"
        "<所属区划>511302</所属区划><项目层级>县级</项目层级><项目业主建设单位名称>某局</项目业主建设单位名称>"
        f"<项目业主建设单位统一社会信用代码>{OWNER}</项目业主建设单位统一社会信用代码><行业主管部门编码>D1</行业主管部门编码>"
        "<资金来源>财政预算资金</资金来源><批复概算万元>1200.5</批复概算万元><计划开工>2024-03-05</计划开工>"
        "<更新时间>2024-03-05 10:00:00</更新时间></record></deliveries>",
        encoding="utf-8",
    )
    _workbook(
        tmp_path / "S08" / "approval-202403.xlsx",
        {
            **{
                "手续编号": "A1",
                "投资项目统一代码": PROJECT,
                "手续类型": "建设用地规划许可",
                "文号": "南自然〔2024〕1号",
            },
            **{"批准部门编码": "D1", "申请时间": "2024年3月1日 09:05", "批准时间": "2024年3月4日 16:00"},
            **{"有效期至": "2026年3月4日", "批准金额(万元)": "12.3456", "核准招标/采购方式": "", "核准组织形式": ""},
            **{"核准范围": "", "状态": "已批准", "更新时间": "2024年3月4日 16:00:01"},
        },
    )
    _tenders(tmp_path, _tender("T1"))
    return tmp_path


def _json_lines(path: Path, *records: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"更新时间": AT, **record}, ensure_ascii=False) for record in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _workbook(path: Path, *records: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        for row, cells in enumerate([list(records[0]), *[list(record.values()) for record in records]]):
            for column, cell in enumerate(cells):
                sheet.write_string(row, column, cell)


TENDER = (
    "招标/采购编号,投资项目统一代码,公告编号,标题,招标人/采购人名称,招标人/采购人统一社会信用代码,代理机构名称,"
    "代理机构统一社会信用代码,适用法律,标的类型,方式,不招标/变更方式理由,评标办法,评标基准价规则,价格分权重,主观分权重,"
    "估算价/标底(元),标底是否公开,最高投标限价合计(元),要求保证金(元),公告发布时间,法定媒介发布数,文件发售开始,文件发售截止,"
    "末次澄清修改时间,澄清是否影响编制,澄清次数,投标截止,开标时间,评标开始,评标结束,评标报告提交,招投标情况书面报告时间,"
    "重新招标来源,接受联合体,电子招投标,状态,更新时间"
)


def _tender(tender: str, **cells: str) -> str:
    given = {
        **{"招标/采购编号": tender, "投资项目统一代码": PROJECT, "公告编号": f"N{tender}", "标题": "某路施工"},
        **{
            "招标人/采购人名称": "某局",
            "招标人/采购人统一社会信用代码": OWNER,
            "适用法律": "招标投标法",
            "标的类型": "工程",
        },
        **{"方式": "公开招标", "评标办法": "综合评估法", "电子招投标": "是", "状态": "已发布公告"},
        **{
            "最高投标限价合计(元)": "10000000",
            "公告发布时间": "2024-03-01 09:00:00",
            "更新时间": "2024-03-05 14:30:05",
        },
    }
    return ",".join({**dict.fromkeys(TENDER.split(","), ""), **given, **cells}.values())


def _given(tender: str) -> dict[str, str]:
    return dict(zip(TENDER.split(","), tender.split(","), strict=True))


def _tenders(folder: Path, *rows: str, heading: str = TENDER, name: str = "tender-202403.csv") -> Path:
    path = folder / "S01" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes("\n".join([heading, *rows, ""]).encode("gb18030"))
    return path


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any], str]:
    code = smoke.run(list(arguments))
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out.startswith("{") else {}, said.err


def _ingest(capsys: pytest.CaptureFixture[str], code: str, path: Path, home: Path) -> tuple[int, dict[str, Any], str]:
    return _run(capsys, "ingest", code, str(path), "--home", str(home), "--format", "json")


def _words(table: type[Table], column: str, value: str) -> str:
    rows = pl.read_csv(Path(smoke.__file__).parent / "features" / "tables" / "model" / "words_zh.csv")
    of = rows.filter(pl.col("table") == table.NAME, pl.col("column") == column, pl.col("value") == value)
    return str(of.item(0, "label_zh"))


def _row(home: Path, table: type[Table]) -> dict[str, Any]:
    return TableStore(home).read(table, incomplete=True).collect().row(0, named=True)


def test_the_words_that_these_deliveries_use_are_those_of_the_contract() -> None:
    assert _words(Region, "level", "county") == "县（市、区）"
    assert _words(Department, "dept_kind", "ndrc") == "发展改革"
    assert _words(Project, "project_type", "tender") == "招标建设项目"
    assert _words(Project, "status", "under_construction") == "在建"
    assert _words(Approval, "approval_type", "land_use") == "建设用地规划许可"
    assert _words(Approval, "status", "approved") == "已批准"
    assert _words(Tender, "law_regime", "tendering_law") == "招标投标法"
    assert _words(Tender, "evaluation_method", "comprehensive") == "综合评估法"


def test_sources_together_make_one_project(city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    code, said, err = _ingest(capsys, "all", city, home)

    assert (code, err) == (0, "")
    assert said["read"] == said["loaded"] == 7
    assert said["sources"]["S05"]["feeds"]["project"]["loaded"] == 1
    project = _row(home, Project)
    assert (project["project_id"], project["project_code"]) == ("NC1", PROJECT)
    assert project["name"] == "某路改造"
    assert str(project["budget_estimate_amount"]) == "12005000.00"
    assert project["owner_org_id"] == OWNER
    approval = _row(home, Approval)
    assert (approval["project_id"], str(approval["approved_amount"])) == ("NC1", "123456.00")
    assert str(approval["applied_at"]) == "2024-03-01 09:05:00+08:00"
    assert _row(home, Tender)["project_id"] == "NC1"
    assert _row(home, Organisation) == {**_row(home, Organisation), "org_id": OWNER, "uscc": OWNER, "name": "某局"}


def test_the_same_again_changes_nothing(city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    _ingest(capsys, "all", city, home)
    before = {table: TableStore(home).versions(table).collect() for table in (Project, Tender, Approval, Organisation)}

    code, said, _ = _ingest(capsys, "all", city, home)

    assert (code, said["unchanged"], said["loaded"]) == (0, 7, 0)
    for table, versions in before.items():
        assert TableStore(home).versions(table).collect().equals(versions)


def test_the_printed_figures_sum_up_and_are_whole_on_a_narrow_terminal(
    city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")

    assert smoke.run(["ingest", "all", str(city), "--home", str(tmp_path / "home")]) == 0

    heading, *feeds, total = (line.split() for line in capsys.readouterr().out.splitlines())
    assert {len(line) for line in (heading, *feeds, total)} == {len(heading)}
    for place, name in enumerate(heading[1:-1], 1):
        assert int(total[place]) == sum(int(feed[place]) for feed in feeds), name


def test_a_file_that_lands_during_a_load_is_left_for_the_next(
    city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    landed = tmp_path / "home" / "landing" / "P00"
    shutil.copytree(city / "P00", landed)
    late = landed / "region-202404.jsonl"

    def while_more_lands(*given: Any, **named: Any) -> Any:
        done = ingest(*given, **named)
        _json_lines(late, {"区划代码": "511303", "区划名称": "高坪区", "层级": "县（市、区）", "上级区划": "511300"})
        return done

    monkeypatch.setattr(sources_command, "ingest", while_more_lands)

    assert smoke.run(["ingest", "P00", "--home", str(tmp_path / "home")]) == 0

    assert list(landed.iterdir()) == [late]


def test_a_project_that_comes_after_its_tenders_releases_them(
    city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"

    _, first, _ = _ingest(capsys, "S01", city / "S01", home)
    _, second, _ = _ingest(capsys, "P00", city / "P00", home)

    assert (first["loaded"], first["quarantined"]) == (0, 1)
    assert second["released"] == 1
    assert _row(home, Tender)["project_id"] == "NC1"


def test_a_missing_heading_stops_that_feed_only(city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    _tenders(city, _tender("T1"), heading=TENDER.replace("最高投标限价合计(元)", "最高投标限价合计(万元)"))

    code, said, err = _ingest(capsys, "all", city, home)

    assert code == 1
    assert said["sources"]["S01"]["feeds"]["tender"]["stopped"] is True
    assert said["read"] == said["loaded"] == 6
    assert len(said["problems"]) == 1
    assert said["problems"][0]["feed"] == "S01/tender"
    assert said["problems"][0]["file"] == "tender-202403.csv"
    assert "'最高投标限价合计(元)'" in err
    assert "最高投标限价合计(万元)" in err
    assert TableStore(home).read(Tender, incomplete=True).collect().is_empty()
    assert Quarantine(home, Seal(bytes(range(64, 128)))).list().is_empty()


@pytest.mark.parametrize(
    ("heading", "cell"), [("公告发布时间", "三月五日"), ("状态", "流转中"), ("最高投标限价合计(元)", "一千万元")]
)
def test_a_column_that_no_longer_reads_stops_the_feed_even_in_the_last_file(
    city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], heading: str, cell: str
) -> None:
    home = tmp_path / "home"
    rows = [_tender(f"U{n}", **({heading: cell} if n < 20 else {})) for n in range(100)]
    _tenders(city, *rows, name="tender-202404.csv")

    code, said, err = _ingest(capsys, "S01", city / "S01", home)

    assert code == 1
    assert said["read"] == 0
    assert "tender-202404.csv" in err
    assert "20 of" in err
    assert f"'{heading}'" in err
    if heading == "状态":
        assert "'流转中' 20 times" in err
    assert not TableStore(home).exists(Tender)


def test_some_bad_cells_are_rows_in_quarantine(city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    _ingest(capsys, "all", city, home)
    rows = [_tender(f"U{n}", **({"状态": "流转中"} if n < 19 else {})) for n in range(40)]
    _tenders(city, *rows, name="tender-202404.csv")

    code, said, _ = _ingest(capsys, "S01", city / "S01", home)

    assert code == 0
    assert (said["read"], said["loaded"], said["unchanged"], said["quarantined"]) == (41, 21, 1, 19)


def test_a_load_points_to_what_it_refused(city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["ingest", "all", str(city), "--home", str(tmp_path / "home")]
    assert smoke.run(arguments) == 0
    assert "smoke quarantine" not in capsys.readouterr().out
    _tenders(city, *[_tender(f"U{n}", **({"状态": "流转中"} if n < 2 else {})) for n in range(40)])

    assert smoke.run(arguments) == 0

    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("2 quarantined: ")
    assert "smoke quarantine list" in last
    assert "smoke quality rules" in last


@pytest.mark.parametrize(("code", "landing"), [("all", "$SMOKE_HOME/landing,"), ("S07", "$SMOKE_HOME/landing/S07,")])
def test_the_help_says_what_is_loaded_without_a_path(
    code: str, landing: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    assert smoke.run(["ingest", code, "--help"]) == 0

    assert f"Without PATH it is {landing}" in capsys.readouterr().out


def test_files_that_cannot_be_read_or_belong_to_nobody_are_named_and_the_others_load(
    city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    (city / "S08" / "approval-202404.xlsx").write_bytes(b"PK\x03\x04 cut off")
    (city / "S01" / "tenders.csv").write_text("x", encoding="utf-8")
    truncated = (city / "S05" / "project-202403.xml").read_bytes()
    (city / "S05" / "project-202404.xml").write_bytes(truncated[:-60])

    code, said, err = _ingest(capsys, "all", city, home)

    assert code == 1
    assert said["loaded"] == 7
    assert sorted(one["file"] for one in said["problems"]) == [
        "approval-202404.xlsx",
        "project-202404.xml",
        "tenders.csv",
    ]
    assert "no XLSX workbook" in err
    assert "No feed of this source reads the file" in err


def test_headings_that_nobody_reads_are_told_and_stop_nothing(
    city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _tenders(city, _tender("T1") + ",x", heading=TENDER + ",新列")

    code, said, err = _ingest(capsys, "all", city, tmp_path / "home")

    assert code == 0
    assert said["sources"]["S01"]["feeds"]["tender"]["unexpected"] == ["新列"]
    assert "S01/tender: headings that nobody reads: 新列." in err


def test_a_refused_record_is_mended_and_taken_without_its_source(
    city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    _tenders(city, _tender("T1", 状态="流转中"))
    _ingest(capsys, "all", city, home)
    entry = Quarantine(home, Seal(bytes(range(64, 128)))).pending_raw("S01").row(0, named=True)
    assert json.loads(entry["raw"])["状态"] == "流转中"
    for path in (city / "S01").iterdir():
        path.unlink()

    code, unmended, _ = _run(capsys, "quarantine", "replay", "--all", "--home", str(home), "--format", "json")
    assert (code, unmended["replayed"], unmended["taken"]) == (0, 1, 0)
    mended = tmp_path / "mended.json"
    mended.write_text(
        json.dumps({**json.loads(entry["raw"]), "状态": "已发布公告"}, ensure_ascii=False), encoding="utf-8"
    )
    arguments = ["--id", str(entry["id"]), "--mended", str(mended), "--home", str(home), "--format", "json"]
    code, said, _ = _run(capsys, "quarantine", "replay", *arguments)

    assert (code, said["replayed"], said["taken"]) == (0, 1, 1)
    assert _row(home, Tender)["status"] == "published"
    assert Quarantine(home).list().is_empty()


def test_a_refused_record_is_shown_under_the_headings_of_its_feed(
    city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    department = {"部门编号": "D2", "部门类别": "发展改革", "层级": "市级", "区划": "511300"}
    for month, name in (("202404", "另一局"), ("202405", "某局")):
        _json_lines(city / "P00" / f"department-{month}.jsonl", {**department, "部门名称": name, "经办": "李真"})
    _tenders(city, _tender("T1", 状态="流转中"))
    _ingest(capsys, "all", city, home)

    shown: dict[str, Any] = {}
    for entry, reason in Quarantine(home).list().select("id", "reason").rows():
        _, said, _ = _run(capsys, "quarantine", "show", entry, "--home", str(home), "--format", "json")
        shown[reason] = json.loads(said["raw"])

    assert shown["unknown_word"] == {name: cell for name, cell in _given(_tender("T1", 状态="流转中")).items() if cell}
    assert shown["conflicting_duplicate"]["dept_id"] == "D2"


def test_the_last_record_of_a_file_without_line_end_is_refused_and_comes_in_mended(
    city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    path = _tenders(city, _tender("T1"), _tender("T2"))
    path.write_bytes(path.read_bytes()[:-2])
    code, said, _ = _ingest(capsys, "all", city, home)
    assert (code, said["sources"]["S01"]["loaded"], said["sources"]["S01"]["quarantined"]) == (0, 1, 1)
    entry = Quarantine(home).list().row(0, named=True)
    assert (entry["record"], entry["level"], entry["reason"]) == ("tender-202403.csv:2", "row", "unfinished_record")

    _, unmended, _ = _run(capsys, "quarantine", "replay", "--all", "--home", str(home), "--format", "json")
    assert (unmended["replayed"], unmended["taken"]) == (1, 0)
    assert Quarantine(home).list().select("id", "field").rows() == [(entry["id"], "")]
    mended = tmp_path / "mended.json"
    mended.write_text(json.dumps(_given(_tender("T2")), ensure_ascii=False), encoding="utf-8")
    arguments = ["--id", str(entry["id"]), "--mended", str(mended), "--home", str(home), "--format", "json"]
    _, taken, _ = _run(capsys, "quarantine", "replay", *arguments)

    assert (taken["replayed"], taken["taken"]) == (1, 1)
    assert TableStore(home).read(Tender, incomplete=True).collect().height == 2


@pytest.mark.parametrize("text", ["5", "null", "[]", '"x"', "{}", '{"x": "1"}'])
def test_a_mended_record_that_is_none_is_one_clear_line_and_leaves_the_entry_alone(
    city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    home, mended = tmp_path / "home", tmp_path / "mended.json"
    _tenders(city, _tender("T1", 状态="流转中"))
    _ingest(capsys, "S01", city / "S01", home)
    before = Quarantine(home).list(state=None)
    mended.write_text(text, encoding="utf-8")

    code, _, error = _run(
        capsys, "quarantine", "replay", "--id", str(before["id"][0]), "--mended", str(mended), "--home", str(home)
    )

    assert code == 1
    assert "mended.json" in error
    assert "its key among its cells" in error
    assert Quarantine(home).list(state=None).equals(before)


def test_replay_of_what_was_refused_after_it_was_mapped_refuses_the_same_and_nothing_else(
    city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    department = {"部门编号": "D(2)1", "部门类别": "发展改革", "层级": "市级", "区划": "511300"}
    for month, name in (("202404", "另一局"), ("202405", "某局")):
        _json_lines(city / "P00" / f"department-{month}.jsonl", {**department, "部门名称": name})
        _ingest(capsys, "all", city, home)
    before = Quarantine(home).list().select("id", "record", "reason")
    assert set(before["reason"]) == {"conflicting_duplicate"}

    code, said, _ = _run(capsys, "quarantine", "replay", "--all", "--home", str(home), "--format", "json")

    assert (code, said["replayed"], said["taken"]) == (0, before.height, 0)
    assert Quarantine(home).list().select("id", "record", "reason").equals(before)
    for name in KEYS:
        monkeypatch.delenv(name)
    code, _, error = _run(capsys, "quarantine", "replay", "--all", "--home", str(home))
    assert code == 1
    assert "sealed" in error


def test_a_value_that_a_person_has_decided_upon_is_filled_in_by_replay(
    city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    named_only = {"代理机构名称": "某咨询公司", "代理机构统一社会信用代码": ""}
    _tenders(city, _tender("T1", **named_only))
    _ingest(capsys, "all", city, home)
    assert _row(home, Tender)["agency_org_id"] is None
    _, unmended, _ = _run(capsys, "quarantine", "replay", "--all", "--home", str(home), "--format", "json")
    assert (unmended["replayed"], unmended["taken"]) == (1, 0)
    assert TableStore(home).versions(Tender).collect().height == 1
    code, _, _ = _run(capsys, "identities", "list", "--home", str(home))
    assert code == 0
    items = _items(home)
    assert [(row["kind"], row["name"], row["reason"]) for row in items] == [
        ("organisation", "某咨询公司", "missing_code")
    ]

    decided = ["--id", OWNER, "--as", "tester", "--because", "known", "--home", str(home)]
    assert smoke.run(["identities", "decide", str(items[0]["item_id"]), *decided]) == 0
    capsys.readouterr()
    _, said, _ = _run(capsys, "quarantine", "replay", "--all", "--home", str(home), "--format", "json")

    assert (said["replayed"], said["taken"]) == (1, 1)
    assert _row(home, Tender)["agency_org_id"] == OWNER
    assert TableStore(home).versions(Tender).collect().height == 2
    assert Quarantine(home).list().is_empty()


def _decide(home: Path, given: str, capsys: pytest.CaptureFixture[str]) -> None:
    (item,) = [row for row in _items(home) if given in (row["given"], row["name"])]
    decided = ["--id", OWNER, "--as", "tester", "--because", "known", "--home", str(home)]
    assert smoke.run(["identities", "decide", str(item["item_id"]), *decided]) == 0
    capsys.readouterr()


def _tender_of_unknown_agency(**more: str) -> str:
    unknown = {"代理机构名称": "某咨询公司", "代理机构统一社会信用代码": ""}
    return _tender("T1", **unknown, **more)


@pytest.mark.parametrize("replayed_between", [True, False])
def test_a_decision_is_used_by_the_next_delivery_and_contradicts_nothing(
    city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], replayed_between: bool
) -> None:
    home = tmp_path / "home"
    _tenders(city, _tender_of_unknown_agency())
    _ingest(capsys, "all", city, home)
    assert Quarantine(home).list().height == 1
    _decide(home, "某咨询公司", capsys)
    if replayed_between:
        _run(capsys, "quarantine", "replay", "--all", "--home", str(home))

    for loaded in (0 if replayed_between else 1, 0):
        _, said, _ = _ingest(capsys, "all", city, home)
        assert said["sources"]["S01"]["loaded"] == loaded

    assert _row(home, Tender)["agency_org_id"] == OWNER
    assert Quarantine(home).list().is_empty()
    assert "conflicting_duplicate" not in set(Quarantine(home).list(state=None)["reason"])


def _items(home: Path) -> list[dict[str, Any]]:
    return WorkItems(home).items(state="open").to_dicts()


def test_clauses_and_punches_are_completed_on_the_way(
    city: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    clauses = "条款编号,招标/采购编号,标段编号,条款类型,条款原文,满分,是否主观分,更新时间"
    rows = [
        "C1,T1,,资格条件,投标人工商注册地须在南充市内,,,2024-03-05 14:30:05",
        "C2,T1,,资格条件,具有市政公用工程施工总承包二级及以上资质,,,2024-03-05 14:30:05",
    ]
    kind = _words(TenderClause, "clause_type", "qualification")
    text = "\n".join([clauses, *rows, ""]).replace("资格条件", kind)
    (city / "S01" / "tender_clause-202403.csv").write_bytes(text.encode("gb18030"))
    _contract_and_crew(city)
    stamp = pl.Series(["2024-03-05 08:00:00"] * 3).str.to_datetime(time_unit="us")
    pl.DataFrame(
        {
            "打卡编号": ["K1", "K2", "K3"],
            "平台项目编号": ["NC1"] * 3,
            "岗位编号": ["KP1"] * 3,
            "人员姓名": ["张三"] * 3,
            "人员身份证号": [MANAGER] * 3,
            "打卡时间": stamp,
            "经度": [106.1, 106.2, None],
            "纬度": [30.801, 30.8, None],
            "方式": [_words(Attendance, "method", one) for one in ("app_face", "app_face", "face_gate")],
            "活体检测通过": ["是", "是", None],
            "设备标识": ["d1", "d1", "g1"],
            "是否补卡": ["否"] * 3,
            "更新时间": stamp,
        }
    ).write_parquet(city / "P00" / "attendance-202403.parquet")

    code, said, err = _ingest(capsys, "all", city, home)

    assert (code, err, said["quarantined"]) == (0, "", 0)
    flags = TableStore(home).read(TenderClause).collect().sort("clause_id").get_column("restrictive_flag").to_list()
    assert flags == ["locality", "none"]
    punches = TableStore(home).read(Attendance, incomplete=True).collect().sort("attendance_id")
    assert punches.get_column("in_geofence").to_list() == [True, False, True]
    # A thousandth of a degree north: 111.2 m; a tenth of a degree east at 30.8 degrees: 9,551 m.
    assert punches.get_column("distance_to_site_m").to_list() == [
        pytest.approx(111.2, abs=0.1),
        pytest.approx(9551.3, abs=1),
        None,
    ]
    person = _row(home, Person)
    assert (person["name"], person["person_id"]) == ("张三", "p" + person["id_no_hash"][:20])


def _contract_and_crew(city: Path) -> None:
    contract = {
        **{
            "合同编号": "H1",
            "平台项目编号": "NC1",
            "合同类型": "施工",
            "发包人名称": "某局",
            "发包人统一社会信用代码": OWNER,
        },
        **{"承包人名称": "某建筑公司", "承包人统一社会信用代码": BUILDER, "签订方式": "线上", "合同金额(元)": 9000000},
        "状态": "履行中",
    }
    crew = {
        **{"岗位编号": "KP1", "合同编号": "H1", "平台项目编号": "NC1", "派出单位名称": "某建筑公司"},
        **{"派出单位统一社会信用代码": BUILDER, "人员姓名": "张三", "人员身份证号": MANAGER},
    }
    contract |= {
        "合同类型": _words(Contract, "contract_type", "works"),
        "签订方式": _words(Contract, "sign_method", "online"),
        "状态": _words(Contract, "status", "performing"),
    }
    crew |= {
        "岗位": _words(KeyPersonnel, "position", "project_manager"),
        "来源": _words(KeyPersonnel, "source", "contract"),
    }
    _json_lines(city / "P00" / "contract-202403.jsonl", contract)
    _json_lines(city / "P00" / "key_personnel-202403.jsonl", crew)


def test_restricted_sources_are_off_until_the_home_says_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, folder = tmp_path / "home", tmp_path / "R02"
    folder.mkdir()

    assert smoke.run(["ingest", "R02", str(folder), "--home", str(home)]) == 1
    assert "switched off" in capsys.readouterr().err
    home.mkdir()
    (home / "connections.yaml").write_text("R02: {enabled: true}", encoding="utf-8")

    assert smoke.run(["ingest", "R02", str(folder), "--home", str(home)]) == 0


def test_without_keys_nothing_is_loaded(
    city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SMOKE_HMAC_KEY")

    assert smoke.run(["ingest", "all", str(city), "--home", str(tmp_path / "home")]) == 1
    assert "SMOKE_HMAC_KEY is not given" in capsys.readouterr().err
    assert not TableStore(tmp_path / "home").exists(Lot)


def test_sources_are_listed_and_mappings_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.run(["sources", "list", "--format", "csv"]) == 0
    listed = capsys.readouterr().out
    assert "S01,公共资源交易网,true,bid,bid,csv gb18030,60" in listed
    assert "R02,银行流水,false,fund_flow" in listed

    assert smoke.run(["sources", "show", "S07", "payment", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    row = next(one for one in shown if one["column"] == "payment.payment_type")
    assert row["heading"] == "款项类型"
    assert row["transform"] == "word"
    assert "02 = progress" in row["codes"]

    assert smoke.run(["sources", "show", "S07", "bids"]) == 1
    assert "S07 has no feed 'bids'" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.run(["ingest", "S01", str(tmp_path / "none"), "--home", str(tmp_path / "home")]) == 1
    assert "There is no folder" in capsys.readouterr().err
    assert smoke.run(["ingest", "all", str(tmp_path), "--home", str(tmp_path / "home")]) == 1
    assert "holds no folder of a source" in capsys.readouterr().err
