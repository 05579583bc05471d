"""The declarations of the sources cover the data contract, and follow its headings."""

import csv
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from features.ingest.feed import Feed, FeedError, read_source, source, sources
from features.ingest.intake.checks import references
from features.ingest.mapping.cells import cell_rules, personal_headings, public_headings, xml_name
from features.ingest.sources_command import mapping_table
from tests.check_digits import identity_number

MODEL = Path(__file__).parents[2] / "features" / "tables" / "model" / "data-model.csv"
FEEDS = [feed for one in sources().values() for feed in one.feeds]
IDENTITY = {"organisation": {"org_id", "uscc", "name"}, "person": {"person_id", "name", "id_no_hash", "id_no_enc"}}
"""Records of an organisation or a person carry its name and number, whoever delivers them."""
PARTS = {
    ("P00", "lot_place"): {"lot_id", "longitude", "latitude"},
    ("P00", "org_profile"): {"org_type", "basic_account_hash"},
    ("S02", "site_project"): {"project_id", "actual_start_date", "actual_finish_date"},
    ("S05", "budget_plan"): {"allocation_id", "plan_amount"},
    ("S06", "contract_notice"): {"contract_id", "published_at"},
}
"""Feeds that carry part of a row, as the interface says."""
MORE = {
    ("P00", "project"): {
        *("project_code", "name", "sector", "region_code", "admin_level", "owner_org_id", "funding_source"),
    },
    ("P00", "contract"): {"doc_consistency", "deviation_items"},
    ("S01", "bid_document_fingerprint"): {"simhash", "typo_set", "image_phash_set", "foreign_name_hits"},
    ("S01", "bid_doc_pair"): {
        *("lot_id", "bid_a_id", "bid_b_id", "text_similarity", "max_common_passage_chars"),
        *("shared_typos", "shared_images", "computed_at"),
    },
    ("R01", "material_purchase"): {"contract_id", "owner_supplied"},
}
"""Columns that a source delivers though the contract ascribes them to another, or to the platform."""
LESS = {
    ("P00", "project"): {"geofence_json"},
    ("P00", "person"): {"face_template_ref"},
}
"""Columns that the contract ascribes to a source and no interface of it carries."""


@cache
def _model() -> dict[str, list[dict[str, str]]]:
    rows: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(MODEL.read_text(encoding="utf-8").splitlines()):
        rows.setdefault(row["table"], []).append(row)
    return rows


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.code)
def test_a_feed_covers_exactly_the_columns_that_the_contract_ascribes_to_its_source(feed: Feed) -> None:
    columns = _model()[feed.table.NAME]
    where = (feed.source, feed.name)
    ascribed = {row["column"] for row in columns if feed.source in row["source_system"].split("+")}
    expected = PARTS.get(where, (ascribed | MORE.get(where, set())) - LESS.get(where, set()))

    covered = {rule.column for rule in cell_rules(feed)}

    assert covered == expected | {columns[0]["column"]} | IDENTITY.get(feed.table.NAME, set())


def test_every_source_of_the_city_is_declared_and_the_restricted_ones_are_off() -> None:
    assert set(sources()) == {"P00", *(f"S{n:02}" for n in range(1, 13)), "R01", "R02", "R03"}
    assert {one.code for one in sources().values() if not one.enabled} == {"R01", "R02", "R03"}


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.code)
def test_headings_are_distinct_but_for_what_one_cell_is_made_into(feed: Feed) -> None:
    rules = [rule for rule in cell_rules(feed) if rule.column not in ("uscc", "name", "id_no_hash", "id_no_enc")]
    counted = Counter(name for rule in rules for name in rule.headings)
    twice = {name for name, count in counted.items() if count > 1}

    assert twice <= ({"投资项目统一代码"} if feed.code == "S05/project" else set())
    if feed.style.format == "xml":
        assert len({xml_name(name) for name in counted}) == len(counted)


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.code)
def test_every_word_of_a_closed_list_has_one_value(feed: Feed) -> None:
    for rule in cell_rules(feed):
        row = next(one for one in _model()[feed.table.NAME] if one["column"] == rule.column)
        if row["type"] == "enum":
            assert list(rule.words.values()) == row["enum_values"].split(";")


@pytest.mark.parametrize(
    ("code", "feed", "column", "headings", "transform"),
    [
        ("S01", "tender", "project_id", ["投资项目统一代码"], "project_code"),
        ("S01", "tender", "tenderer_org_id", ["招标人/采购人名称", "招标人/采购人统一社会信用代码"], "organisation"),
        ("S01", "tender", "retender_of_tender_id", ["重新招标来源"], "text"),
        ("S01", "tender", "price_weight", ["价格分权重"], "number"),
        ("S01", "tender", "control_price_total", ["最高投标限价合计(元)"], "yuan"),
        ("S01", "bid", "lot_id", ["标段编号"], "text"),
        ("S01", "bid", "contact_phone_hash", ["联系电话"], "phone"),
        ("S01", "bid", "contact_email_hash", ["联系邮箱"], "email"),
        ("S01", "bid_doc_pair", "bid_b_id", ["投标B"], "text"),
        ("S01", "committee_draw", "replaced_by_draw_id", ["替换为"], "text"),
        ("S01", "committee_draw", "avoided_org_ids", ["回避单位"], "organisations"),
        ("S01", "evaluation_score", "draw_id", ["抽取编号"], "text"),
        ("S02", "progress_report", "actual_pct", ["实际累计进度(%)"], "percent"),
        ("S02", "site_project", "project_id", ["投资项目统一代码"], "project_code"),
        ("S03", "permit", "authority_dept_id", ["批准部门编码"], "text"),
        ("S05", "project", "parent_project_id", ["上级/打捆项目"], "project_code"),
        ("S05", "project", "region_code", ["所属区划"], "text"),
        ("S05", "approval", "approved_amount", ["批准金额(万元)"], "wan_yuan"),
        ("S07", "payment", "payee_account_hash", ["收款账户"], "account"),
        ("S10", "employment", "id_no_enc", ["姓名", "身份证号"], "id_no_enc"),
        ("S11", "shareholding", "ratio", ["持股比例(%)"], "percent"),
        ("S11", "organisation", "org_id", ["单位名称", "统一社会信用代码"], "organisation"),
        ("P00", "project", "project_id", ["平台项目编号"], "text"),
        ("P00", "attendance", "project_id", ["平台项目编号"], "text"),
        ("P00", "contract", "supplement_of_contract_id", ["所补充合同"], "text"),
        ("P00", "contract", "doc_consistency", ["与招投标文件一致度(%)"], "percent"),
        ("P00", "person", "phone_hash", ["手机号"], "phone"),
        ("P00", "quantity_measurement", "change_id", ["变更编号"], "text"),
    ],
)
def test_headings_follow_the_rule(code: str, feed: str, column: str, headings: list[str], transform: str) -> None:
    rule = next(one for one in cell_rules(source(code).feed(feed)) if one.column == column)

    assert (list(rule.headings), rule.transform) == (headings, transform)


def test_words_are_chinese_or_numbers_or_the_contracts_own() -> None:
    def words(code: str, feed: str, column: str) -> dict[str, str]:
        return dict(next(one for one in cell_rules(source(code).feed(feed)) if one.column == column).words)

    assert words("S01", "award", "status")
    assert words("S07", "payment", "payment_type")["02"] == "progress"
    assert words("S06", "award", "status") == {value: value for value in words("S06", "award", "status")}
    assert words("S01", "bid", "status")["中标"] == "awarded"


def test_personal_headings_are_those_of_persons_and_their_traces() -> None:
    found = personal_headings(source("S01").feed("bid"))

    assert {"拟派项目负责人姓名", "拟派项目负责人身份证号", "联系电话", "上传IP"} <= found
    assert not {"投标人名称", "投标报价(元)", "投标编号"} & found


def test_headings_that_are_declared_and_hold_nothing_personal_are_public() -> None:
    record = {"投标编号": "B1", "投标人名称": "某公司", "投标人统一社会信用代码": "", "联系电话": "1", "备注": "x"}
    assert public_headings(source("S01").feed("bid"), record) == {"投标编号", "投标人名称", "投标人统一社会信用代码"}

    sole = record | {"投标人名称": "李真", "投标人统一社会信用代码": identity_number("51130219800307001")}
    assert public_headings(source("S01").feed("bid"), sole) == {"投标编号"}

    written = {"批复概算万元": "1", "更新时间": "2024-03-05 14:30:00", "联系人": "李真"}
    assert public_headings(source("S05").feed("project"), written) == {"批复概算万元", "更新时间"}


def test_amounts_that_are_compared_are_nothing_personal_since_messages_show_them() -> None:
    for feed in FEEDS:
        for column, check in feed.plausible.items():
            parent = references(feed.table)[check.reference]
            classes = {
                feed.table.about(column)["personal_data_class"],
                parent.about(check.amount)["personal_data_class"],
            }
            assert classes == {"none"}, feed.code


def test_the_effective_mapping_is_shown() -> None:
    shown = mapping_table(source("S07").feed("payment"))

    row = next(one for one in shown.to_dicts() if one["column"] == "payment.payment_type")
    assert row["heading"] == "款项类型"
    assert row["codes"].startswith("01 = prepayment; 02 = progress")
    assert shown.to_dicts()[-1] == {
        "heading": "更新时间",
        "column": "valid_from_ts",
        "transform": "moment",
        "codes": "",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("code: S99\nformat: csv\nfeeds: [{name: bid, columns: [bid_id, colour]}]", "bid has no column colour"),
        ("code: S99\nformat: csv\nfeeds: [{name: bid, columns: [bid_price]}]", "its key bid_id is not among"),
        ("code: S99\nformat: csv\nfeeds: [{name: bids, columns: [bid_id]}]", "no table 'bids'"),
        ("code: S99\nformat: doc\nfeeds: [{name: bid, columns: [bid_id]}]", "format: 'doc'"),
        ("code: S99\nformat: csv\nfeeds: [{name: bid, columns: [bid_id], colour: red}]", "not understood: colour"),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(text: str, says: str) -> None:
    with pytest.raises(FeedError) as refused:
        read_source(text, "S99.yaml")

    assert says in str(refused.value)


def test_exceptions_of_a_declaration_hold() -> None:
    text = """
code: S99
format: csv
feeds:
  - name: award
    columns: [award_id, lot_id, org_id, status]
    headings: {lot_id: 标包号, org_id: [单位, 代码]}
    codes: {status: {A: awarded}}
"""
    rules = {rule.column: rule for rule in cell_rules(read_source(text, "S99.yaml").feeds[0])}

    assert rules["lot_id"].headings == ("标包号",)
    assert rules["org_id"].headings == ("单位", "代码")
    assert dict(rules["status"].words) == {"A": "awarded"}


def test_files_of_a_feed_are_told_by_name_and_ending(tmp_path: Path) -> None:
    for name in ("bid-202403.csv", "bid-202403-2.csv.gz", "bid.csv", "bid-202403.jsonl", "bid_item_price-202403.csv"):
        (tmp_path / name).touch()

    found = [path.name for path in source("S01").feed("bid").files(tmp_path)]

    assert found == ["bid-202403-2.csv.gz", "bid-202403.csv", "bid.csv"]
