"""Organisations and people."""

from features.tables.columns import Table, day, enum, flag, integer, money, text


class Organisation(Table):
    """Any legal person: owner, bidder, agency, supervisor, supplier, bank."""

    NAME = "organisation"

    org_id = text("单位编号", "S11", key=True)
    uscc = text("统一社会信用代码", "S11", unique=True, nullable=True)
    name = text("单位名称", "S11")
    org_type = enum(
        "单位类型",
        "P00",
        [
            "owner",
            "contractor",
            "supplier",
            "agency",
            "supervisor",
            "designer",
            "surveyor",
            "cost_consultant",
            "inspector",
            "government",
            "bank",
            "insurer",
            "labour",
            "other",
        ],
        nullable=True,
    )
    ownership = enum(
        "所有制",
        "S11",
        ["soe", "private", "collective", "foreign", "institution", "government"],
        nullable=True,
    )
    legal_rep_person_id = text("法定代表人", "S11", references="person.person_id", personal="personal", nullable=True)
    registered_capital = money("注册资本", "S11", nullable=True)
    established_date = day("成立日期", "S11", nullable=True)
    region_code = text("注册地", "S11", references="region.region_code", nullable=True)
    address_norm = text("标准化地址", "S11", nullable=True)
    phone_hash = text("企业电话(哈希)", "S11", personal="personal", nullable=True)
    email_hash = text("企业邮箱(哈希)", "S11", personal="personal", nullable=True)
    insured_count = integer("参保人数", "S11", unit="person", nullable=True)
    basic_account_hash = text("基本账户(哈希)", "P00", nullable=True)
    reg_status = enum("登记状态", "S11", ["active", "deregistered", "revoked", "abnormal"], nullable=True)
    is_sme = flag("是否中小企业", "S11", nullable=True)
    credit_grade = text("信用等级", "S04+S09", nullable=True)
    group_id = text("企业集团/控制簇", "D00", nullable=True)
