"""A small delivery of several sources, full of planted personal values, with rows that load, wait and are refused."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tests.check_digits import credit_code, identity_number

CHANGED, CHANGED_ISO = "2026-01-01 08:00:00", "2026-01-01T08:00:00+08:00"
Row = Mapping[str, object]


@dataclass(frozen=True)
class Planted:
    """Values that stand nowhere but in the delivery, each unlike anything else."""

    number: str = identity_number("51132319871123456")
    slipped: str = "511323198709234569"
    old_number: str = "511323871123456"
    other_number: str = identity_number("51138119930704218")
    phone: str = "13981746205"
    account: str = "6228480469913570246"
    email: str = "li.zhen.7731@example.cn"
    longitude: float = 106.1374915
    latitude: float = 30.8261739

    def texts(self) -> list[str]:
        """Return the values as a search looks for them."""
        return [str(value) for value in vars(self).values()]


PLANTED = Planted()
FIRM, OTHER_FIRM = credit_code("91511300MA62960B0"), credit_code("91511300MA6KT77X0")
BID = (
    "投标编号 标段编号 招标/采购编号 投标人名称 投标人统一社会信用代码 是否联合体 联合体成员 投标报价(元) 递交时间 "
    "上传IP 解密IP CA证书序列号 投标状态 否决原因 总得分 价格得分 名次 承诺工期 拟派项目负责人姓名 "
    "拟派项目负责人身份证号 拟派技术负责人姓名 拟派技术负责人身份证号 授权委托人姓名 授权委托人身份证号 "
    "联系人姓名 联系人身份证号 联系电话 联系邮箱 更新时间"
)
BOND = (
    "保证金编号 投标编号 标段编号 形式 金额(元) 付款单位名称 付款单位统一社会信用代码 付款账户 付款银行网点 "
    "是否基本账户 保函出具机构名称 保函出具机构统一社会信用代码 保函编号 保函费付款账户 缴纳时间 退还时间 退还账户 "
    "更新时间"
)


def deliver(folder: Path, planted: Planted = PLANTED) -> None:
    """Write the delivery: folders P00, S01, S10 and S11 of a folder."""
    person = {"姓名": "李真", "更新时间": CHANGED_ISO}
    _lines(
        folder / "P00" / "person-202601.jsonl",
        [
            {**person, "身份证号": planted.number, "手机号": planted.phone},
            {**person, "身份证号": planted.slipped, "手机号": planted.phone},
            {**person, "身份证号": planted.old_number, "手机号": f"+86 {planted.phone}", "姓名": "李 真"},
            {**person, "身份证号": planted.other_number, "手机号": "138****0000", "姓名": "王强"},
            {**person, "身份证号": planted.number, "更新时间": "昨天"},
        ],
    )
    profile = {"单位类型": "施工单位", "更新时间": CHANGED_ISO}
    _lines(
        folder / "P00" / "org_profile-202601.jsonl",
        [
            {**profile, "单位名称": "某公司", "统一社会信用代码": FIRM, "基本账户": planted.account},
            {**profile, "单位名称": "李真", "统一社会信用代码": planted.number, "基本账户": planted.account},
        ],
    )
    punch = {
        "平台项目编号": "P1", "岗位编号": "K1", "打卡时间": _moment("2026-01-01 07:30:00"),
        "方式": "手机人脸打卡", "活体检测通过": True, "设备标识": "D1", "是否补卡": False,
        "更新时间": _moment(CHANGED), "人员姓名": "李真",
    }  # fmt: skip
    (folder / "P00").mkdir(parents=True, exist_ok=True)
    pl.DataFrame(
        [
            {
                **punch,
                "打卡编号": "A1",
                "人员身份证号": planted.number,
                "经度": planted.longitude,
                "纬度": planted.latitude,
            },
            {
                **punch,
                "打卡编号": "A2",
                "人员身份证号": planted.slipped,
                "经度": planted.longitude,
                "纬度": 930.8261739,
            },
        ]
    ).write_parquet(folder / "P00" / "attendance-202601.parquet")
    firm = {"登记状态": "存续", "更新时间": CHANGED, "企业电话": planted.phone, "企业邮箱": planted.email}
    chief = {"法定代表人姓名": "李真", "法定代表人身份证号": planted.number}
    firms: list[Row] = [
        {**firm, **chief, "单位名称": "某公司", "统一社会信用代码": FIRM},
        {
            **firm,
            **chief,
            "单位名称": "另一公司",
            "统一社会信用代码": OTHER_FIRM,
            "法定代表人身份证号": planted.slipped,
        },
        {**firm, **chief, "单位名称": "李真", "统一社会信用代码": planted.other_number},
        {**firm, **chief, "单位名称": "李真经营部", "统一社会信用代码": planted.phone, "注册资本(元)": planted.account},
    ]
    (folder / "S11").mkdir(parents=True, exist_ok=True)
    text = json.dumps({"total": len(firms), "data": firms}, ensure_ascii=False)
    (folder / "S11" / "organisation-202601.json").write_text(text, encoding="utf-8")
    insured = {
        "缴费单位名称": "某公司",
        "缴费单位统一社会信用代码": FIRM,
        "月份": "2026-01",
        "更新时间": _moment(CHANGED),
    }
    (folder / "S10").mkdir(parents=True, exist_ok=True)
    pl.DataFrame(
        [
            {**insured, "记录编号": "1", "人员姓名": "李真", "人员身份证号": planted.number},
            {**insured, "记录编号": "2", "人员姓名": "李真", "人员身份证号": planted.slipped},
            {**insured, "记录编号": "3", "人员姓名": planted.number, "人员身份证号": None},
        ]
    ).write_parquet(folder / "S10" / "social_insurance-202601.parquet")
    bond = {
        "标段编号": "L1",
        "投标编号": "B1",
        "形式": "转账",
        "付款单位名称": "某公司",
        "付款单位统一社会信用代码": FIRM,
        "更新时间": CHANGED,
    }
    _sheet(
        folder / "S01" / "bond_payment-202601.csv",
        BOND,
        [
            {**bond, "保证金编号": "1", "金额(元)": "50000", "付款账户": planted.account, "退还账户": planted.account},
            {
                **bond,
                "保证金编号": "2",
                "金额(元)": "伍万",
                "付款账户": planted.account,
                "付款单位统一社会信用代码": planted.number,
            },
        ],
    )
    bid = {
        "标段编号": "L1", "招标/采购编号": "T1", "是否联合体": "否", "投标状态": "已递交",
        "更新时间": CHANGED, "递交时间": CHANGED, "授权委托人姓名": "李真", "授权委托人身份证号": planted.number,
        "联系电话": planted.phone, "联系邮箱": planted.email,
    }  # fmt: skip
    _sheet(
        folder / "S01" / "bid-202601.csv",
        BID,
        [
            {
                **bid,
                "投标编号": "B1",
                "投标人名称": "某公司",
                "投标人统一社会信用代码": FIRM,
                "投标报价(元)": "1234567.8",
            },
            {
                **bid,
                "投标编号": "B2",
                "投标人名称": "李真",
                "投标人统一社会信用代码": planted.slipped,
                "投标报价(元)": "一百",
            },
            {
                **bid,
                "投标编号": "B3",
                "投标人名称": "某公司",
                "投标人统一社会信用代码": "",
                "投标报价(元)": "1234567.8",
            },
        ],
    )


def _moment(text: str) -> object:
    return pl.Series([text]).str.to_datetime("%Y-%m-%d %H:%M:%S").item()


def _lines(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _sheet(path: Path, headings: str, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, headings.split())
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode("gb18030"))
