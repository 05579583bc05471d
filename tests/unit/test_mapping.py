"""Records of every source become rows of the contract; the files are written here literally, by hand."""

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from features.ingest.feed import MomentStyle, source
from features.ingest.formats.chunks import joined
from features.ingest.formats.reading import read_file
from features.ingest.identity.resolving import Known, hashed
from features.ingest.keys import Keys
from features.ingest.mapping.mapper import Mapped, Mapper
from features.ingest.mapping.records import delivered_again
from features.ingest.mapping.values import moment
from tests.check_digits import credit_code, identity_number

KEYS = Keys(hmac=bytes(range(32)), data=bytes(range(64, 128)))
SHANGHAI = ZoneInfo("Asia/Shanghai")


BUILDER, OTHER, ID_NO = (
    credit_code("91511300MA6293UB5"),
    credit_code("91511302MA62T0NQ0"),
    identity_number("51130219800307001"),
)


def _map(tmp_path: Path, code: str, feed: str, text: str, *, encoding: str = "utf-8") -> list[Mapped]:
    declared = source(code).feed(feed)
    mapper = Mapper(declared, KEYS, Known(code))
    path = tmp_path / f"{feed}-202403.{declared.style.format}"
    path.write_bytes(text.encode(encoding))
    return [
        mapper.map(chunk)
        for chunk in read_file(path, declared.style.format, declared.style.encoding, mapper.wanted)
        if chunk.rows.height or chunk.broken
    ]


def _rows(found: list[Mapped]) -> list[dict[str, Any]]:
    return [row for one in found for row in one.batch.rows.to_dicts()]


def _failures(found: list[Mapped]) -> list[tuple[int, str, str, str]]:
    return [row for one in found for row in one.batch.failures.select("row", "field", "reason", "level").rows()]


BID_HEADINGS = (
    "投标编号,标段编号,招标/采购编号,投标人名称,投标人统一社会信用代码,是否联合体,联合体成员,投标报价(元),递交时间,上传IP,解密IP,"
    "CA证书序列号,投标状态,否决原因,总得分,价格得分,名次,承诺工期,拟派项目负责人姓名,拟派项目负责人身份证号,"
    "拟派技术负责人姓名,拟派技术负责人身份证号,授权委托人姓名,授权委托人身份证号,联系人姓名,联系人身份证号,联系电话,联系邮箱,更新时间"
)


def _bid(**cells: str) -> str:
    given = {
        "投标编号": "B1",
        "标段编号": "L1",
        "招标/采购编号": "T1",
        "投标人名称": "南充某建筑有限公司",
        "投标人统一社会信用代码": BUILDER,
        "是否联合体": "否",
        "投标报价(元)": "1234567.8",
        "递交时间": "2024-03-05 09:00:00",
        "投标状态": "已递交",
        "更新时间": "2024-03-05 14:30:05",
    }
    return ",".join({**dict.fromkeys(BID_HEADINGS.split(","), ""), **given, **cells}.values())


def _bids(*rows: str) -> str:
    return "\n".join([BID_HEADINGS, *rows, ""])


def test_a_bid_in_gb18030_becomes_a_row(tmp_path: Path) -> None:
    text = _bids(
        _bid(
            联系电话="139 8888-7777",
            拟派项目负责人姓名=" 张三 ",
            拟派项目负责人身份证号=ID_NO,
            联合体成员=f"{OTHER}；{BUILDER}",
            是否联合体="是",
        )
    )

    found = _map(tmp_path, "S01", "bid", text, encoding="gb18030")

    row = _rows(found)[0]
    assert row["bid_id"] == row["source_record_id"] == "B1"
    assert (row["lot_id"], row["tender_id"], row["bidder_org_id"]) == ("L1", "T1", BUILDER)
    assert row["bid_price"] == Decimal("1234567.80")
    assert row["is_consortium"] is True
    assert row["consortium_org_ids"] == json.dumps([OTHER, BUILDER], separators=(",", ":"))
    assert row["submitted_at"] == dt.datetime(2024, 3, 5, 9, tzinfo=SHANGHAI)
    assert row["valid_from_ts"] == dt.datetime(2024, 3, 5, 14, 30, 5, tzinfo=SHANGHAI)
    assert row["status"] == "submitted"
    assert row["contact_phone_hash"] == hashed(pl.Series(["13988887777"]), "phone", KEYS)[0]
    assert row["pm_person_id"].startswith("p")
    assert len(row["pm_person_id"]) == 21
    assert row["agent_person_id"] is None
    assert _failures(found) == []
    known = found[0].batch.introduced
    assert known["organisation"].to_dicts() == [{"org_id": BUILDER, "uscc": BUILDER, "name": "南充某建筑有限公司"}]
    person = known["person"].to_dicts()[0]
    assert person["person_id"] == row["pm_person_id"] == "p" + person["id_no_hash"][:20]
    assert person["name"] == "张三"


def test_what_does_not_read_is_named_and_its_row_stays(tmp_path: Path) -> None:
    text = _bids(
        _bid(),
        _bid(**{"投标报价(元)": "123.456"}),
        _bid(递交时间="2024-02-30 10:00:00"),
        _bid(投标状态="优秀"),
        _bid(名次="一"),
        _bid(更新时间="昨天"),
        _bid(联系电话="138****0000"),
    )

    found = _map(tmp_path, "S01", "bid", text, encoding="gb18030")

    assert _failures(found) == [
        (1, "bid_price", "not_an_amount", "row"),
        (2, "submitted_at", "not_a_moment", "row"),
        (3, "status", "unknown_word", "row"),
        (4, "rank", "not_a_whole_number", "row"),
        (5, "valid_from_ts", "not_a_moment", "row"),
        (6, "contact_phone_hash", "unusable_value", "value"),
    ]
    assert found[0].batch.rows.height == 7
    shown = found[0].batch.failures.filter(pl.col("field") == "status").row(0, named=True)
    assert shown["value"] == "优秀"
    assert "投标状态" in shown["message"]
    phone = found[0].batch.failures.filter(pl.col("field") == "contact_phone_hash").row(0, named=True)
    assert "138" not in str(phone)


def test_identities_that_do_not_resolve_refuse_the_row_only_where_the_contract_demands_them(tmp_path: Path) -> None:
    wrong = BUILDER[:-1] + ("0" if BUILDER[-1] != "0" else "1")
    text = _bids(
        _bid(投标人统一社会信用代码=wrong),
        _bid(拟派项目负责人姓名="张三", 拟派项目负责人身份证号="511302198003070011"),
        _bid(联合体成员=f"{BUILDER};{wrong}"),
    )

    found = _map(tmp_path, "S01", "bid", text, encoding="gb18030")

    assert sorted(_failures(found)) == [
        (0, "bidder_org_id", "unresolved_organisation", "row"),
        (1, "pm_person_id", "unresolved_person", "value"),
        (2, "consortium_org_ids", "unresolved_organisation", "value"),
    ]
    assert {kind: part.height for kind, part in found[0].unresolved.items()} == {"organisation": 1, "person": 1}
    assert found[0].unresolved["organisation"].row(0, named=True)["record"] == "B1"
    assert "511302198003070011" not in str(found[0].batch.failures.to_dicts())


def test_kept_records_come_back_mended(tmp_path: Path) -> None:
    text = _bids(_bid(投标状态="优秀", 拟派项目负责人姓名="张三", 拟派项目负责人身份证号=ID_NO))
    batch = _map(tmp_path, "S01", "bid", text, encoding="gb18030")[0].batch

    kept = batch.raw([0])[0]

    assert json.loads(kept)["投标状态"] == "优秀"
    again = delivered_again([kept.replace("优秀", "已递交")], ["bid-202403.csv:1"])
    mended = Mapper(source("S01").feed("bid"), KEYS, Known("S01")).map(again).batch
    assert mended.failures.is_empty()
    same = [name for name in batch.rows.columns if name != "status"]
    assert mended.rows.select(same).equals(batch.rows.select(same))
    assert mended.places.to_list() == ["bid-202403.csv:1"]


def test_rows_with_a_wrong_number_of_cells_are_rows_that_are_refused(tmp_path: Path) -> None:
    found = _map(tmp_path, "S01", "bid", _bids(_bid(), "B2,L1,T1"), encoding="gb18030")

    last = found[-1].batch
    assert sum(one.batch.rows.height for one in found) == 2
    assert last.places.to_list()[-1] == "bid-202403.csv:2"
    assert ("wrong_cell_count", "row") in [(reason, level) for *_, reason, level in _failures(found)]
    kept = last.raw([last.rows.height - 1])[0]
    assert json.loads(json.loads(kept)["unreadable"])["cells"] == ["B2", "L1", "T1"]


def _payment(paid: str, day: str, supervised: str, kind: str) -> str:
    headings = (
        "拨付编号,投资项目统一代码,合同编号,款项类型,对应计量周期,申请金额(元),批准金额(元),支付金额(元),本次扣回预付款(元),"
        "申请时间,批准时间,支付时间,付款单位名称,付款单位统一社会信用代码,收款单位名称,收款单位统一社会信用代码,"
        "收款个人姓名,收款个人身份证号,收款账户,总监签字,凭证号,更新时间"
    )
    cells = (
        f"P1,2301-511302-04-01-123456,C1,{kind},2024-02,100,100,{paid},,{day},,,甲方,{BUILDER},乙方,{OTHER},,,"
        f"6222 0000 1111,{supervised},V1,20240305143000"
    )
    return f"{headings}\n{cells}\n"


def test_the_treasury_writes_numbers_for_words_and_compact_days(tmp_path: Path) -> None:
    found = _map(tmp_path, "S07", "payment", _payment("99.10", "20240229235959", "1", "02"))

    row = _rows(found)[0]
    assert _failures(found) == []
    assert row["project_id"] == "project_code:2301-511302-04-01-123456"
    assert row["payment_type"] == "progress"
    assert row["supervisor_signed"] is True
    assert row["paid_amount"] == Decimal("99.10")
    assert row["applied_at"] == dt.datetime(2024, 2, 29, 23, 59, 59, tzinfo=SHANGHAI)
    assert row["payee_account_hash"] == hashed(pl.Series(["622200001111"]), "account", KEYS)[0]


def test_a_compact_day_that_is_none_is_refused(tmp_path: Path) -> None:
    found = _map(tmp_path, "S07", "payment", _payment("99.10", "20240230000000", "2", "77"))

    assert _failures(found) == [
        (0, "payment_type", "unknown_word", "row"),
        (0, "applied_at", "not_a_moment", "row"),
        (0, "supervisor_signed", "not_yes_or_no", "row"),
    ]


@pytest.mark.parametrize(
    ("style", "written", "taken"),
    [
        ("dash", "2023-10-23 11:27:50", ["2023-10-23", "2023-10-23 11:27", "2023-10-23 11:27:50"]),
        ("slash", "2023/3/5 9:05:50", ["2023/3/5", "2023/3/5 9:05", "2023/3/5 9:05:50"]),
        ("slash", "2023/03/05 09:05", ["2023/03/05", "2023/03/05 09:05"]),
        ("han", "2023年3月5日 9:05:50", ["2023年3月5日", "2023年3月5日 9:05", "2023年3月5日 9:05:50"]),
        ("compact", "20231023112750", ["20231023", "20231023112750"]),
        ("iso", "2023-10-23T11:27:50+08:00", ["2023-10-23", "2023-10-23T11:27:50+08", "2023-10-23T11:27:50+08:00"]),
        ("iso", "2023-10-23T11:27:50.1Z", ["2023-10-23", "2023-10-23T11:27:50.1Z"]),
    ],
)
def test_a_moment_that_is_cut_is_read_only_where_what_is_left_has_a_whole_shape(
    style: MomentStyle, written: str, taken: list[str]
) -> None:
    cells = pl.DataFrame({"cell": [written[:end] for end in range(1, len(written) + 1)]})

    read = cells.filter(moment(pl.col("cell"), pl.String(), style).is_not_null())

    assert read.get_column("cell").to_list() == taken


def test_a_day_with_dashes_has_all_its_figures(tmp_path: Path) -> None:
    headings = "专家编号,人员姓名,人员身份证号,专业类别,工作单位名称,工作单位统一社会信用代码,入库日期,状态,更新时间"
    rows = [f"E{day},王五,{ID_NO},A01,,,{day},在库,2024-03-05 14:30:00" for day in ("2020-01-12", "2020-01-1")]

    found = _map(tmp_path, "S01", "expert", "\n".join([headings, *rows, ""]), encoding="gb18030")

    assert [failure[0] for failure in _failures(found) if failure[2] == "not_a_day"] == [1]


def test_the_approval_platform_writes_xml_with_wan_yuan(tmp_path: Path) -> None:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><deliveries source="S05" feed="project"><record>'
        "<投资项目统一代码>2301-511302-04-01-123456</投资项目统一代码><项目名称>某路</项目名称><行业领域>市政</行业领域>"
        "<所属区划>511302</所属区划><项目层级>县级</项目层级><项目业主建设单位名称>甲</项目业主建设单位名称>"
        f"<项目业主建设单位统一社会信用代码>{BUILDER}</项目业主建设单位统一社会信用代码><行业主管部门编码>D1</行业主管部门编码>"
        "<上级打捆项目>2301-511302-04-01-000001</上级打捆项目><资金来源>财政预算资金</资金来源><政府资金占比>0.35</政府资金占比>"
        "<可研投资估算万元>1234.567891</可研投资估算万元><批复概算万元>0.01</批复概算万元><建设内容/>"
        "<计划开工>2024-03-05</计划开工><计划竣工>2024-02-30</计划竣工><更新时间>2024-03-05 14:30:00</更新时间>"
        "</record></deliveries>"
    )

    found = _map(tmp_path, "S05", "project", text)

    row = _rows(found)[0]
    assert row["project_id"] == "project_code:2301-511302-04-01-123456"
    assert row["project_code"] == row["project_id"].removeprefix("project_code:")
    assert row["parent_project_id"] == "project_code:2301-511302-04-01-000001"
    assert row["owner_org_id"] == BUILDER
    assert row["estimate_amount"] == Decimal("12345678.91")
    assert row["budget_estimate_amount"] == Decimal("100.00")
    assert row["gov_fund_ratio"] == 0.35
    assert row["competent_dept_id"] == "D1"
    assert row["planned_start_date"] == dt.date(2024, 3, 5)
    assert ("planned_finish_date", "not_a_day") in [failure[1:3] for failure in _failures(found)]


def test_the_smart_site_writes_milliseconds_and_percent(tmp_path: Path) -> None:
    record = {
        **{"月报编号": "M1", "投资项目统一代码": "X", "合同编号": "C1", "月份": "2024-02", "计划累计进度(%)": 7.3},
        **{"实际累计进度(%)": "55.1", "累计完成产值(元)": 1234567.89, "报送时间": 1709620200000, "监理确认": "是"},
        **{"影像数": 3, "滞后原因": None, "更新时间": 1709620200001},
    }

    found = _map(tmp_path, "S02", "progress_report", json.dumps(record, ensure_ascii=False) + "\n")

    row = _rows(found)[0]
    assert _failures(found) == []
    assert (row["planned_pct"], row["actual_pct"]) == (0.073, 0.551)
    assert row["completed_value"] == Decimal("1234567.89")
    assert row["reported_at"] == dt.datetime(2024, 3, 5, 14, 30, tzinfo=SHANGHAI)
    assert row["valid_from_ts"] == dt.datetime(2024, 3, 5, 14, 30, 0, 1000, tzinfo=SHANGHAI)


def test_procurement_writes_the_contracts_own_values_and_zones(tmp_path: Path) -> None:
    record = {"合同编号": "C1", "合同公告时间": "2024-03-05T06:30:00Z", "更新时间": "2024-03-05T14:30:00+08:00"}

    found = _map(tmp_path, "S06", "contract_notice", json.dumps(record, ensure_ascii=False) + "\n")

    row = _rows(found)[0]
    assert row["published_at"] == row["valid_from_ts"] == dt.datetime(2024, 3, 5, 14, 30, tzinfo=SHANGHAI)


@pytest.mark.parametrize("written", ["2024/3/5", "2024/03/05"])
def test_the_transport_bureau_writes_slashes_and_loses_seconds(tmp_path: Path, written: str) -> None:
    text = (
        "分包编号,合同编号,分包单位名称,分包单位统一社会信用代码,分包内容,分包金额(元),是否劳务分包,是否主体结构,业主是否同意,"
        f"分包层级,签订时间,更新时间\nS1,C1,某公司,{BUILDER},土方,5,是,否,,1,{written} 9:05,{written} 14:30:05\n"
    )

    found = _map(tmp_path, "S09", "subcontract", text, encoding="gb18030")

    row = _rows(found)[0]
    assert _failures(found) == []
    assert row["signed_at"] == dt.datetime(2024, 3, 5, 9, 5, tzinfo=SHANGHAI)
    assert row["valid_from_ts"] == dt.datetime(2024, 3, 5, 14, 30, 5, tzinfo=SHANGHAI)


def test_secret_projects_are_refused_and_nothing_of_them_is_kept(tmp_path: Path) -> None:
    record = {"平台项目编号": "NC1", "项目名称": "某库", "涉密等级": "秘密", "更新时间": "2024-03-05T14:30:00+08:00"}
    declared = source("P00").feed("project")
    words = next(rule.words for rule in Mapper(declared, KEYS, Known("P00")).rules if rule.column == "secrecy_level")
    record["涉密等级"] = next(word for word, value in words.items() if value == "secret")

    batch = _map(tmp_path, "P00", "project", json.dumps(record, ensure_ascii=False) + "\n")[0].batch

    assert "secret_project" in batch.failures.get_column("reason").to_list()
    assert json.loads(batch.raw([0])[0]) == {"平台项目编号": "NC1"}


def test_persons_of_the_platform_carry_hash_and_encryptedidentity_number(tmp_path: Path) -> None:
    record = {
        "姓名": "李四",
        "身份证号": ID_NO.lower(),
        "手机号": "+86 139 8888 7777",
        "更新时间": "2024-03-05T14:30:00+08:00",
    }

    row = _rows(_map(tmp_path, "P00", "person", json.dumps(record, ensure_ascii=False) + "\n"))[0]

    assert row["person_id"] == "p" + row["id_no_hash"][:20]
    assert row["id_no_enc"]
    assert row["name"] == "李四"
    assert row["source_record_id"] == row["person_id"]
    assert ID_NO not in str(row)


def test_lists_and_objects_come_as_json_or_joined(tmp_path: Path) -> None:
    headings = "专家编号,人员姓名,人员身份证号,专业类别,工作单位名称,工作单位统一社会信用代码,入库日期,状态,更新时间"
    rows = [
        f"E1,王五,{ID_NO},A01;A02； B03,,,2020-01-02,在库,2024-03-05 14:30:00",
        f'E2,王五,{ID_NO},"[""A01""]",,,2020-01-02,在库,2024-03-05 14:30:00',
    ]

    found = _rows(_map(tmp_path, "S01", "expert", "\n".join([headings, *rows, ""]), encoding="gb18030"))

    assert [json.loads(row["specialty_codes"]) for row in found] == [["A01", "A02", "B03"], ["A01"]]


def test_a_column_of_nothing_but_nulls_is_read_as_text(tmp_path: Path) -> None:
    declared = source("P00").feed("attendance")
    mapper = Mapper(declared, KEYS, Known("P00"))
    path = tmp_path / "attendance-202403.parquet"
    pl.DataFrame({name: pl.Series([None, None], dtype=pl.Null) for name in mapper.wanted}).write_parquet(path)

    found = [mapper.map(chunk) for chunk in joined(read_file(path, "parquet", "utf-8", mapper.wanted))]

    assert sum(one.batch.rows.height for one in found) == 2
