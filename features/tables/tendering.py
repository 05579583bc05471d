"""Tendering and procurement: procedures, lots, bids and awards."""

from features.tables.columns import WITH_ROW, Table, enum, flag, integer, json, moment, money, number, text

JUDGED = "tender_id.evaluation_end_at | tender_id.evaluation_report_at | tender_id.opening_at"
"""The results of an evaluation are known once it has ended; where nothing says when, from the opening."""
LAST_STEP = (
    "tender_report_at | evaluation_report_at | evaluation_end_at | evaluation_start_at | opening_at"
    " | notice_published_at | intention_published_at"
)
"""The state of a procedure is known from its latest dated step."""


class Tender(Table):
    """One competitive procedure (tender, or government-procurement procedure).

    A direct award is a row with method direct_award.
    """

    NAME = "tender"
    EVENT = "opening_at"
    KNOWN_FROM = ("intention_published_at", "notice_published_at", "opening_at")
    UNDATED_IS_PAST = True

    tender_id = text("招标/采购编号", "S01+S06", key=True)
    project_id = text("项目", "S01+S06", references="project.project_id")
    tender_no = text("公告编号", "S01+S06")
    title = text("标题", "S01+S06")
    tenderer_org_id = text("招标人/采购人", "S01+S06", references="organisation.org_id", nullable=True)
    agency_org_id = text("代理机构", "S01+S06", references="organisation.org_id", nullable=True)
    law_regime = enum("适用法律", "S01+S06", ["tendering_law", "gov_procurement_law", "neither", "unknown"])
    object_type = enum(
        "标的类型", "S01+S06", ["works", "goods", "services", "survey", "design", "supervision", "epc"], nullable=True
    )
    method = enum(
        "方式",
        "S01+S06",
        [
            "public_tender",
            "invited_tender",
            "competitive_negotiation",
            "competitive_consultation",
            "inquiry",
            "single_source",
            "direct_award",
            "framework",
            "unknown",
        ],
    )
    exemption_reason = text("不招标/变更方式理由", "S01+S06", nullable=True)
    evaluation_method = enum(
        "评标办法",
        "S01+S06",
        [
            "lowest_evaluated",
            "comprehensive",
            "reasonable_low_price",
            "average_benchmark",
            "random_draw",
            "other",
            "unknown",
        ],
    )
    benchmark_rule = json("评标基准价规则", "S01+S06", nullable=True)
    price_weight = number("价格分权重", "S01+S06", unit="ratio", low=0, high=1, nullable=True)
    subjective_weight = number("主观分权重", "S01+S06", unit="ratio", low=0, high=1, nullable=True)
    estimate_price = money("估算价/标底", "S01+S06", nullable=True)
    estimate_published = flag("标底是否公开", "S01+S06", nullable=True)
    control_price_total = money("最高投标限价合计", "S01+S06", nullable=True)
    bond_required_amount = money("要求保证金", "S01+S06", nullable=True)
    intention_published_at = moment("采购意向公开时间", "S06", nullable=True)
    notice_published_at = moment("公告发布时间", "S01+S06", nullable=True)
    notice_media_count = integer(
        "法定媒介发布数", "S01+S06", known_from="notice_published_at | opening_at", nullable=True
    )
    doc_sale_start_at = moment("文件发售开始", "S01+S06", known_from=WITH_ROW, nullable=True)
    doc_sale_end_at = moment("文件发售截止", "S01+S06", known_from=WITH_ROW, nullable=True)
    last_clarification_at = moment("末次澄清修改时间", "S01+S06", nullable=True)
    clarification_material = flag("澄清是否影响编制", "S01+S06", known_from="last_clarification_at", nullable=True)
    n_clarifications = integer(
        "澄清次数", "S01+S06", known_from="last_clarification_at | notice_published_at | opening_at", nullable=True
    )
    bid_deadline_at = moment("投标截止", "S01+S06", known_from=WITH_ROW, nullable=True)
    opening_at = moment("开标时间", "S01+S06", known_from=WITH_ROW, nullable=True)
    evaluation_start_at = moment("评标开始", "S01+S06", nullable=True)
    evaluation_end_at = moment("评标结束", "S01+S06", nullable=True)
    evaluation_report_at = moment("评标报告提交", "S01+S06", nullable=True)
    tender_report_at = moment("招投标情况书面报告时间", "S01+S06", nullable=True)
    retender_of_tender_id = text("重新招标来源", "S01+S06", references="tender.tender_id", nullable=True)
    allows_consortium = flag("接受联合体", "S01+S06", nullable=True)
    is_electronic = flag("电子招投标", "S01+S06", nullable=True)
    status = enum(
        "状态",
        "S01+S06",
        ["planned", "published", "opened", "evaluated", "publicised", "awarded", "failed", "terminated", "contracted"],
        known_from=LAST_STEP,
    )


class Lot(Table):
    """One lot (标段) or package (包) of a procedure; procedures without lots have exactly one row."""

    NAME = "lot"
    EVENT = "tender_id.opening_at"
    KNOWN_FROM = ("tender_id.intention_published_at", "tender_id.notice_published_at", "tender_id.opening_at")
    UNDATED_IS_PAST = True

    lot_id = text("标段编号", "S01+S06", key=True)
    tender_id = text("招标活动", "S01+S06", references="tender.tender_id")
    project_id = text("项目", "S01+S06", references="project.project_id")
    lot_no = text("标段号", "S01+S06")
    name = text("标段名称", "S01+S06")
    scope_text = text("标段内容", "S01+S06", nullable=True)
    category_code = text("专业/品目类别", "S01+S06", nullable=True)
    currency = text("币种", "S01+S06", nullable=True)
    bids_complete = flag("投标是否完整公布", "S01+S06", nullable=True)
    control_price = money("最高投标限价", "S01+S06", nullable=True)
    estimate_price = money("合同估算价", "S01+S06", nullable=True)
    longitude = number("经度", "P00", unit="deg", low=-180, high=180, nullable=True)
    latitude = number("纬度", "P00", unit="deg", low=-90, high=90, nullable=True)
    planned_duration_days = integer("计划工期", "S01+S06", unit="day", nullable=True)
    required_qual_code = text("要求资质", "S01+S06", nullable=True)
    required_pm_grade = text("要求项目经理资格", "S01+S06", nullable=True)
    unit_works_code = text("单位工程编码", "S03", nullable=True)
    status = enum(
        "状态",
        "S01+S06",
        ["open", "awarded", "failed", "terminated"],
        known_from=JUDGED,
    )


class TenderClause(Table):
    """One qualification, scoring, technical or contract clause extracted from the tender document."""

    NAME = "tender_clause"
    EVENT = "tender_id.notice_published_at | tender_id.opening_at"

    clause_id = text("条款编号", "S01+S06", key=True)
    tender_id = text("招标活动", "S01+S06", references="tender.tender_id")
    lot_id = text("标段", "S01+S06", references="lot.lot_id", nullable=True)
    clause_type = enum("条款类型", "S01+S06", ["qualification", "scoring", "technical", "commercial", "contract"])
    text = text("条款原文", "S01+S06")
    max_score = number("满分", "S01+S06", unit="point", low=0, high=1000, nullable=True)
    is_subjective = flag("是否主观分", "S01+S06", nullable=True)
    restrictive_flag = enum(
        "限制竞争类型",
        "D00",
        ["none", "locality", "brand", "firm_size", "ownership", "specific_award", "irrelevant_condition", "other"],
    )
    eligible_pool_n = integer("满足条件企业数", "D00", nullable=True)


class Bid(Table):
    """One bid of one bidder (or consortium) for one lot.

    Responses in negotiation, consultation and inquiry are bids too.
    """

    NAME = "bid"
    EVENT = "tender_id.opening_at"

    bid_id = text("投标编号", "S01+S06", key=True)
    lot_id = text("标段", "S01+S06", references="lot.lot_id")
    tender_id = text("招标活动", "S01+S06", references="tender.tender_id")
    bidder_org_id = text("投标人", "S01+S06", references="organisation.org_id")
    is_consortium = flag("是否联合体", "S01+S06")
    consortium_org_ids = json("联合体成员", "S01+S06", nullable=True)
    bid_price = money("投标报价", "S01+S06", nullable=True)
    submitted_at = moment("递交时间", "S01+S06", nullable=True)
    upload_ip = text("上传IP", "S01+S06", personal="personal", nullable=True)
    decrypt_ip = text("解密IP", "S01+S06", personal="personal", nullable=True)
    ca_cert_no = text("CA证书序列号", "S01+S06", nullable=True)
    status = enum(
        "投标状态",
        "S01+S06",
        ["withdrawn", "rejected", "submitted", "disqualified", "valid", "candidate", "awarded", "abandoned"],
        known_from=JUDGED,
    )
    disqualify_reason = enum(
        "否决原因",
        "S01+S06",
        [
            "price_over_limit",
            "below_cost",
            "bond",
            "signature",
            "qualification",
            "non_responsive",
            "collusion",
            "false_material",
            "other",
        ],
        known_from=JUDGED,
        nullable=True,
    )
    total_score = number(
        "总得分",
        "S01+S06",
        unit="point",
        low=0,
        high=1000,
        known_from=JUDGED,
        nullable=True,
    )
    price_score = number(
        "价格得分",
        "S01+S06",
        unit="point",
        low=0,
        high=1000,
        known_from=JUDGED,
        nullable=True,
    )
    rank = integer(
        "名次",
        "S01+S06",
        known_from=JUDGED,
        nullable=True,
    )
    offered_duration_days = integer("承诺工期", "S01+S06", unit="day", nullable=True)
    pm_person_id = text("拟派项目负责人", "S01+S06", references="person.person_id", personal="personal", nullable=True)
    tech_lead_person_id = text(
        "拟派技术负责人", "S01+S06", references="person.person_id", personal="personal", nullable=True
    )
    agent_person_id = text("授权委托人", "S01+S06", references="person.person_id", personal="personal", nullable=True)
    contact_person_id = text("联系人", "S01+S06", references="person.person_id", personal="personal", nullable=True)
    contact_phone_hash = text("联系电话(哈希)", "S01+S06", personal="personal", nullable=True)
    contact_email_hash = text("联系邮箱(哈希)", "S01+S06", personal="personal", nullable=True)


class Award(Table):
    """Candidates and the award of one lot. One row per ranked candidate."""

    NAME = "award"
    EVENT = "notice_issued_at | result_published_at | publicity_end_at | publicity_start_at"

    award_id = text("结果编号", "S01+S06", key=True)
    lot_id = text("标段", "S01+S06", references="lot.lot_id")
    bid_id = text("投标", "S01+S06", references="bid.bid_id", nullable=True)
    org_id = text("候选/中标单位", "S01+S06", references="organisation.org_id")
    candidate_rank = integer("候选名次", "S01+S06", nullable=True)
    amount = money("中标金额", "S01+S06", nullable=True)
    publicity_start_at = moment("公示开始", "S01+S06", nullable=True)
    publicity_end_at = moment("公示结束", "S01+S06", known_from=WITH_ROW, nullable=True)
    notice_issued_at = moment("中标通知书时间", "S01+S06", nullable=True)
    result_published_at = moment("结果公告时间", "S01+S06", nullable=True)
    status = enum("状态", "S01+S06", ["candidate", "awarded", "abandoned", "disqualified", "invalidated"])
    abandon_reason = text("放弃原因", "S01+S06", nullable=True)
