"""What stands in the files of the simulated city, read back without the code that wrote it."""

import csv
import datetime as dt
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pyarrow.parquet as pq
import pytest

from experiments.city.deliveries import MONTH, Directory, shape
from experiments.city.dirt import ENOUGH, RATES, Dirt
from experiments.city.facts import fact_schema, shaped
from experiments.city.feeds import FEEDS, Feed
from experiments.city.headings import UPDATED_AT, headings, record_heading
from experiments.city.shelf import SHEET_ROWS, Shelf
from experiments.city.spoil import ways

AT = dt.datetime(2024, 3, 5, 14, 30, 5)  # noqa: DTZ001 - the sources know no zone
DIRECTORY = Directory(
    org_names=pl.Series(["南充甲建设有限公司", "乙<水利>&公司"]),
    org_codes=pl.Series(["91511300MA0000000A", "91511300MA0000001B"]),
    person_names=pl.Series(["张三", "李四"]),
    id_nos=pl.Series(["511302196801010011", "511302199912310022"]),
    project_codes=pl.DataFrame({"project_id": ["NC00000001"], "project_code": ["2301-511302-04-01-000001"]}),
)


def feed_named(folder: str) -> Feed:
    return next(f for f in FEEDS if f.folder == folder)


def written(tmp_path: Path, folder: str, **cells: object) -> Path:
    """Write one record of a feed and return the file."""
    feed = feed_named(folder)
    rows = pl.DataFrame({name: [cell] for name, cell in (cells | {"updated_at": AT}).items()})
    shelf = Shelf(tmp_path)
    records = shape(feed, shaped(feed.table, rows, pl.Schema({**fact_schema(feed.table), **EXTRA})), DIRECTORY)
    for (month,), part in records.partition_by(MONTH, as_dict=True, include_key=False).items():
        shelf.append(feed, int(str(month)), part)
    (file,) = shelf.close()
    return tmp_path / file


EXTRA = {"doc_consistency": pl.Float64, "deviation_items": pl.List(pl.String)}
PAYMENT = {
    "payment_id": "ZF1",
    "project_id": "NC00000001",
    "contract_id": "HT1",
    "payment_type": "prepayment",
    "measurement_period": "2024-02",
    "applied_amount": 1234567.8,
    "paid_amount": 0.1,
    "applied_at": AT.replace(day=1, hour=9, minute=5, second=7),
    "payer_org_no": 0,
    "payee_org_no": 1,
    "payee_account": "6217000000000000001",
    "supervisor_signed": True,
}


def test_treasury_writes_codes_and_dates_without_separators(tmp_path: Path) -> None:
    file = written(tmp_path, "S07/payment", **PAYMENT)

    (record,) = csv.DictReader(io.StringIO(file.read_bytes().decode("utf-8")))
    assert file.name == "payment-202403.csv"
    assert record["款项类型"] == "01"  # prepayment is the first of the contract's list
    assert record["申请金额(元)"] == "1234567.80"
    assert record["支付金额(元)"] == "0.10"
    assert record["申请时间"] == "20240301090507"
    assert record["更新时间"] == "20240305143005"
    assert record["总监签字"] == "1"
    assert record["收款单位统一社会信用代码"] == "91511300MA0000001B"
    assert record["投资项目统一代码"] == "2301-511302-04-01-000001"
    assert record["收款个人姓名"] == ""


def test_trading_network_writes_gb18030(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "S01/bid",
        bid_id="TB1",
        lot_id="BD1",
        tender_id="ZB1",
        bidder_org_no=0,
        is_consortium=True,
        consortium_org_nos=[0, 1],
        bid_price=9_999_999.99,
        submitted_at=AT,
        status="valid",
        pm_person_no=1,
    )

    with pytest.raises(UnicodeDecodeError):
        file.read_bytes().decode("utf-8")
    (record,) = csv.DictReader(io.StringIO(file.read_bytes().decode("gb18030")))
    assert record["投标人名称"] == "南充甲建设有限公司"
    assert record["联合体成员"] == "91511300MA0000000A;91511300MA0000001B"
    assert record["是否联合体"] == "是"
    assert record["投标报价(元)"] == "9999999.99"
    assert record["递交时间"] == "2024-03-05 14:30:05"
    assert record["拟派项目负责人身份证号"] == "511302199912310022"


def test_smart_site_writes_milliseconds_and_percent(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "S02/progress_report",
        progress_id="JD1",
        project_id="NC00000001",
        contract_id="HT1",
        period="2024-02",
        planned_pct=0.5,
        actual_pct=0.4321,
        completed_value=1e7,
        reported_at=AT,
    )

    (record,) = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    shanghai = dt.timezone(dt.timedelta(hours=8))
    assert record["更新时间"] == int(AT.replace(tzinfo=shanghai).timestamp() * 1000)
    assert record["实际累计进度(%)"] == 43.21
    assert record["累计完成产值(元)"] == 10_000_000
    assert record["滞后原因"] is None


def test_approval_platform_writes_ten_thousands_in_xml_without_illegal_names(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "S05/project",
        project_id="NC00000001",
        name="甲&乙<路>",
        sector="water",
        region_code="511302",
        admin_level="county",
        owner_org_no=1,
        funding_source="budget",
        estimate_amount=12_345_678.9,
        planned_start_date=dt.date(2024, 4, 1),
    )

    root = ElementTree.fromstring(file.read_bytes())
    (record,) = root
    assert root.attrib == {"source": "S05", "feed": "project"}
    assert record.findtext("可研投资估算万元") == "1234.567890"
    assert record.findtext("项目业主建设单位名称") == "乙<水利>&公司"
    assert record.findtext("项目名称") == "甲&乙<路>"
    assert record.findtext("投资项目统一代码") == "2301-511302-04-01-000001"
    assert record.findtext("计划开工") == "2024-04-01"
    assert record.findtext("行业领域") == "水利"


def test_audit_writes_a_sheet_of_text(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "S12/settlement_audit",
        settlement_id="JS1",
        project_id="NC00000001",
        contract_id="HT1",
        submitted_amount=10_000.0,
        submitted_at=AT,
        reviewer_org_no=0,
    )

    sheet = pl.read_excel(file, infer_schema_length=0)
    (record,) = sheet.rows(named=True)
    assert record["送审金额(万元)"] == "1.000000"
    assert record["送审时间"] == "2024年3月5日 14:30"
    assert record["更新时间"] == "2024年3月5日 14:30:05"
    assert record["审定金额(万元)"] is None


def test_registry_writes_one_document_with_percent(tmp_path: Path) -> None:
    file = written(tmp_path, "S11/shareholding", holding_id="GQ1", org_no=0, holder_person_no=0, ratio=0.125)

    document = json.loads(file.read_text(encoding="utf-8"))
    assert document["total"] == 1
    (record,) = document["data"]
    assert record["持股比例(%)"] == 12.5
    assert record["股东个人姓名"] == "张三"
    assert record["股东单位名称"] is None


def test_insurance_keeps_native_types_in_parquet(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "S10/wage_account",
        wage_account_id="ZH1",
        project_id="NC00000001",
        contract_id="HT1",
        org_no=0,
        opened_at=dt.date(2024, 3, 1),
        bond_amount=25.5,
        bond_form="deposit",
        realname_system_on=False,
    )

    (record,) = pq.read_table(file).to_pylist()
    assert record["开立日期"] == dt.date(2024, 3, 1)
    assert record["更新时间"] == AT
    assert str(record["工资保证金(元)"]) == "25.50"
    assert record["实名制是否启用"] == "否"


def test_traffic_department_loses_the_seconds(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "S09/site_inspection",
        inspection_id="JC1",
        project_id="NC00000001",
        inspected_at=AT,
        dept_id="511300-water",
        inspection_type="random",
        issue_count=2,
        serious_issue_count=0,
    )

    (record,) = csv.DictReader(io.StringIO(file.read_bytes().decode("gb18030")))
    assert record["检查时间"] == "2024/3/5 14:30"
    assert record["更新时间"] == "2024/3/5 14:30:05"
    assert record["检查部门编码"] == "511300-water"


def test_platform_writes_percent_and_zone(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "P00/contract",
        contract_id="HT1",
        project_id="NC00000001",
        contract_type="works",
        party_a_org_no=0,
        party_b_org_no=1,
        sign_method="online",
        signed_at=AT,
        amount=5e6,
        prepay_ratio=0.1,
        status="signed",
        doc_consistency=0.97,
        deviation_items=["工期"],
    )

    record = json.loads(file.read_text(encoding="utf-8"))
    assert record["平台项目编号"] == "NC00000001"
    assert record["预付款比例(%)"] == 10.0
    assert record["与招投标文件一致度(%)"] == 97.0
    assert record["不一致条款"] == ["工期"]
    assert record["签订时间"] == "2024-03-05T14:30:05+08:00"


def test_a_project_without_national_code_is_unknown_to_the_treasury() -> None:
    rows = shaped(
        "payment", pl.DataFrame({k: [v] for k, v in (PAYMENT | {"project_id": "NC9", "updated_at": AT}).items()})
    )

    assert shape(feed_named("S07/payment"), rows, DIRECTORY).is_empty()


def test_the_rows_of_all_blocks_stand_under_one_line_of_headings(tmp_path: Path) -> None:
    feed, shelf = feed_named("S03/market_price"), Shelf(tmp_path)
    for price in ("1", "2", "3"):
        cells = {h.name: [price] for h in headings(feed)} | {UPDATED_AT: ["x"]}
        shelf.append(feed, 202403, pl.DataFrame(cells))

    files = shelf.close()

    assert files == {"S03/market_price-202403.xlsx": 3}
    sheet = pl.read_excel(tmp_path / "S03/market_price-202403.xlsx", infer_schema_length=0)
    assert sheet["单价(元)"].to_list() == ["1", "2", "3"]
    assert not list(tmp_path.rglob("*.arrows"))


def test_a_month_of_more_rows_than_a_sheet_holds_goes_to_several_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.city.shelf.SHEET_ROWS", 2)
    feed, shelf = feed_named("S03/unit_works"), Shelf(tmp_path)
    shelf.append(
        feed, 202403, pl.DataFrame({"标段编号": list("abcde"), "单位工程编码": list("vwxyz"), UPDATED_AT: ["t"] * 5})
    )

    files = shelf.close()

    assert SHEET_ROWS == 1_000_000
    assert list(files.values()) == [2, 2, 1]
    read = [pl.read_excel(tmp_path / name, infer_schema_length=0)["标段编号"].to_list() for name in sorted(files)]
    assert read == [["a", "b"], ["c", "d"], ["e"]]


@pytest.mark.parametrize("feed", FEEDS, ids=lambda f: f.folder)
def test_headings_of_a_feed_are_unique_and_name_its_record(feed: Feed) -> None:
    names = [h.name for h in headings(feed)]

    assert len(set(names)) == len(names)
    assert record_heading(feed) in names
    assert UPDATED_AT not in names


def test_every_source_delivers_and_every_kind_of_dirt_has_a_feed() -> None:
    assert {f.source for f in FEEDS} == {f"S{n:02}" for n in range(1, 13)} | {"P00"}
    assert all(any(ways(feed, kind) for feed in FEEDS) for kind in RATES)


PAYMENTS = shaped(
    "payment",
    pl.DataFrame({name: [cell] * 1000 for name, cell in PAYMENT.items() if name != "payment_id"}).with_columns(
        payment_id="ZF" + pl.int_range(1000).cast(pl.String), updated_at=pl.lit(AT)
    ),
)


def test_clean_deliveries_are_the_facts() -> None:
    feed = feed_named("S07/payment")
    records = shape(feed, PAYMENTS, DIRECTORY)

    (frame,), cases = Dirt(1, enabled=False).plant(feed, records)

    assert frame.equals(records)
    assert cases.is_empty()


def test_every_spoilt_record_is_listed_and_every_other_is_as_it_was() -> None:
    feed = feed_named("S07/payment")
    records = shape(feed, PAYMENTS, DIRECTORY)

    frames, cases = Dirt(1).plant(feed, records)

    assert len(records) > ENOUGH
    text = [f.select(pl.all().cast(pl.String)) for f in frames]
    delivered = pl.concat(text)
    listed = cases.select(pl.col(MONTH).cast(pl.String), 拨付编号="record_id", 更新时间="updated_at")
    strange = delivered.join(
        records.select(pl.all().cast(pl.String)), on=delivered.columns, how="anti", nulls_equal=True
    )
    assert strange.join(listed, on=[MONTH, "拨付编号", "更新时间"], how="anti").is_empty()
    assert listed.join(delivered, on=[MONTH, "拨付编号", "更新时间"], how="anti").is_empty()
    untouched = records.filter(~pl.col("拨付编号").is_in(cases["record_id"].implode()))
    assert (
        untouched.select(pl.all().cast(pl.String))
        .join(text[0], on=text[0].columns, how="anti", nulls_equal=True)
        .is_empty()
    )


def test_a_payment_in_the_wrong_unit_is_ten_thousand_times_the_right_one() -> None:
    feed = feed_named("S07/payment")
    frames, cases = Dirt(1).plant(feed, shape(feed, PAYMENTS, DIRECTORY))

    mixed = cases.filter(pl.col("kind") == "unit_mixup")
    spoilt = pl.concat([f.select(pl.all().cast(pl.String)) for f in frames])
    amounts = spoilt.join(
        mixed.select(拨付编号="record_id", 更新时间="updated_at"), on=["拨付编号", "更新时间"], how="semi"
    )["申请金额(元)"]
    assert len(mixed) >= 2
    assert set(amounts.cast(pl.Float64)) == {12_345_678_000.0}
    assert set(mixed["expected_end"]) == {"quarantined"}
    assert set(mixed["expected_reason"]) == {"unit_suspected"}


def test_the_correction_comes_after_what_it_corrects() -> None:
    feed = feed_named("S07/payment")
    _, cases = Dirt(1).plant(feed, shape(feed, PAYMENTS, DIRECTORY))

    for kind in ("correction", "late"):
        old, new = (cases.filter(pl.col("kind") == name) for name in (kind, f"{kind}_newer"))
        pairs = old.join(new, on="record_id")
        assert len(pairs) == len(old) == len(new) > 0
        assert (pairs["updated_at"] < pairs["updated_at_right"]).all()
        assert set(old["expected_end"]) == {"superseded"}
        if kind == "late":
            assert (pairs[MONTH] > pairs[f"{MONTH}_right"]).all()
