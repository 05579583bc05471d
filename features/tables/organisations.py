"""Organisations and people."""

from features.tables.columns import WITH_ROW, Table, day, enum, flag, integer, money, number, text, year_month


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
        "所有制", "S11", ["soe", "private", "collective", "foreign", "institution", "government"], nullable=True
    )
    legal_rep_person_id = text("法定代表人", "S11", references="person.person_id", personal="personal", nullable=True)
    registered_capital = money("注册资本", "S11", nullable=True)
    established_date = day("成立日期", "S11", known_from=WITH_ROW, nullable=True)
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


class OrgChange(Table):
    """One registered change."""

    NAME = "org_change"
    EVENT = "changed_at"

    change_id = text("变更编号", "S11", key=True)
    org_id = text("单位", "S11", references="organisation.org_id")
    change_type = enum(
        "变更类型", "S11", ["legal_rep", "shareholder", "address", "name", "capital", "scope", "executive"]
    )
    before_value = text("变更前", "S11", personal="personal", nullable=True)
    after_value = text("变更后", "S11", personal="personal", nullable=True)
    changed_at = day("变更日期", "S11")


class Person(Table):
    """Any natural person in the data: representatives, personnel, experts, officials."""

    NAME = "person"

    person_id = text("人员编号", "P00", key=True, personal="personal")
    name = text("姓名", "P00", personal="personal")
    id_no_hash = text("身份证号(哈希)", "P00", unique=True, personal="personal")
    id_no_enc = text("身份证号(密文)", "P00", personal="sensitive", nullable=True)
    phone_hash = text("手机号(哈希)", "P00", personal="personal", nullable=True)
    employer_org_id = text("现工作单位", "S10", references="organisation.org_id", personal="personal", nullable=True)
    is_public_official = flag("是否公职人员", "R03", personal="sensitive", nullable=True)
    face_template_ref = text("人脸模板引用", "P00", personal="sensitive", nullable=True)


class OrgPerson(Table):
    """A person's role at an organisation over time."""

    NAME = "org_person"
    EVENT = "start_date"
    UNDATED_IS_PAST = True

    org_person_id = text("关系编号", "S11", key=True)
    org_id = text("单位", "S11", references="organisation.org_id")
    person_id = text("人员", "S11", references="person.person_id", personal="personal")
    role = enum(
        "角色",
        "S11",
        [
            "legal_rep",
            "director",
            "board_supervisor",
            "manager",
            "finance",
            "contact",
            "agent",
            "employee",
            "actual_controller",
            "owner_staff",
        ],
    )
    start_date = day("起", "S11", nullable=True)
    end_date = day("止", "S11", nullable=True)


class Shareholding(Table):
    """One direct holding."""

    NAME = "shareholding"
    EVENT = "start_date"
    UNDATED_IS_PAST = True

    holding_id = text("持股编号", "S11", key=True)
    org_id = text("被持股单位", "S11", references="organisation.org_id")
    holder_org_id = text("股东单位", "S11", references="organisation.org_id", nullable=True)
    holder_person_id = text("股东个人", "S11", references="person.person_id", personal="personal", nullable=True)
    ratio = number("持股比例", "S11", unit="ratio", low=0, high=1)
    start_date = day("起", "S11", nullable=True)
    end_date = day("止", "S11", nullable=True)


class PersonRelation(Table):
    """Declared or verified ties between two persons.

    Restricted to discipline roles; other roles only see a yes/no indicator.
    """

    NAME = "person_relation"
    EVENT = "valid_from"
    UNDATED_IS_PAST = True

    relation_id = text("关系编号", "R03", key=True)
    person_a_id = text("人员A", "R03", references="person.person_id", personal="sensitive")
    person_b_id = text("人员B", "R03", references="person.person_id", personal="sensitive")
    relation_type = enum(
        "关系类型",
        "R03",
        ["spouse", "lineal", "collateral", "affinity", "former_colleague", "other"],
        personal="sensitive",
    )
    basis = enum("依据", "R03", ["self_declared", "registry", "verified_case"])
    valid_from = day("起", "R03", nullable=True)


class Qualification(Table):
    """One qualification of an organisation."""

    NAME = "qualification"

    qual_id = text("资质编号", "S03+S09", key=True)
    org_id = text("单位", "S03+S09", references="organisation.org_id")
    qual_code = text("资质类别", "S03+S09")
    grade = text("等级", "S03+S09")
    valid_until = day("有效期至", "S03+S09", known_from=WITH_ROW, nullable=True)
    status = enum("状态", "S03+S09", ["valid", "expired", "revoked"])


class PersonCertificate(Table):
    """One registration or certificate of a person."""

    NAME = "person_certificate"

    cert_id = text("证书编号", "S03+S09", key=True, personal="personal")
    person_id = text("人员", "S03+S09", references="person.person_id", personal="personal")
    cert_type = enum(
        "证书类型",
        "S03+S09",
        [
            "constructor_1",
            "constructor_2",
            "supervising_engineer",
            "cost_engineer",
            "safety_a",
            "safety_b",
            "safety_c",
            "senior_title",
            "other",
        ],
    )
    specialty = text("专业", "S03+S09", nullable=True)
    reg_org_id = text("注册单位", "S03+S09", references="organisation.org_id", personal="personal", nullable=True)
    valid_until = day("有效期至", "S03+S09", known_from=WITH_ROW, nullable=True)


class SocialInsurance(Table):
    """One person's insured employer in one month."""

    NAME = "social_insurance"
    EVENT = "month"

    si_id = text("记录编号", "S10", key=True)
    person_id = text("人员", "S10", references="person.person_id", personal="sensitive")
    org_id = text("缴费单位", "S10", references="organisation.org_id", personal="personal")
    month = year_month("月份", "S10")
