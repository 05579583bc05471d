"""Procurement orders and emergency works."""

from features.tables.columns import WITH_ROW, Table, day, enum, flag, integer, moment, money, text


class ProcurementOrder(Table):
    """One procurement plan line and its order."""

    NAME = "procurement_order"
    EVENT = "ordered_at"
    KNOWN_FROM = ("plan_filed_at", "single_source_publicity_start_at", "ordered_at")

    order_id = text("采购单编号", "S06", key=True)
    project_id = text("项目", "S06", references="project.project_id")
    tender_id = text("采购活动", "S06", references="tender.tender_id", nullable=True)
    contract_id = text("合同", "S06", references="contract.contract_id", known_from="ordered_at", nullable=True)
    plan_no = text("采购实施计划号", "S06", nullable=True)
    plan_filed_at = moment("计划备案时间", "S06", nullable=True)
    budget_amount = money("采购预算", "S06")
    category_code = text("品目", "S06")
    method = enum(
        "采购方式",
        "S06",
        [
            "public_tender",
            "invited_tender",
            "competitive_negotiation",
            "competitive_consultation",
            "inquiry",
            "single_source",
            "direct_award",
            "framework",
        ],
    )
    single_source_publicity_start_at = moment("单一来源公示开始", "S06", nullable=True)
    single_source_publicity_end_at = moment(
        "单一来源公示结束", "S06", known_from="single_source_publicity_start_at", nullable=True
    )
    supplier_org_id = text("供应商", "S06", references="organisation.org_id", known_from="ordered_at", nullable=True)
    amount = money("成交金额", "S06", known_from="ordered_at", nullable=True)
    ordered_at = moment("成交时间", "S06", nullable=True)


class ReservePoolMember(Table):
    """One organisation's membership of an emergency reserve pool."""

    NAME = "reserve_pool_member"
    EVENT = "valid_from"

    pool_member_id = text("入库编号", "P00", key=True)
    org_id = text("单位", "P00", references="organisation.org_id")
    pool_category = enum("类别", "P00", ["survey", "design", "works", "supervision"])
    dept_id = text("建库部门", "P00", references="department.dept_id")
    valid_from = day("起", "P00")
    valid_to = day("止", "P00", known_from=WITH_ROW, nullable=True)


class EmergencyProject(Table):
    """Extra facts of an emergency project. One row per emergency project."""

    NAME = "emergency_project"
    EVENT = "event_at"

    emergency_id = text("抢险编号", "P00", key=True)
    project_id = text("项目", "P00", references="project.project_id")
    event_type = enum("突发事件类型", "P00", ["natural_disaster", "accident", "public_health", "social_security"])
    event_at = moment("事件发生时间", "P00")
    hazard_statement = text("险情说明", "P00", nullable=True)
    limited_to_hazard = flag("限于排除险情", "P00", nullable=True)
    site_verified_at = moment("现场核查时间", "P00", nullable=True)
    verify_dept_id = text(
        "核查部门", "P00", references="department.dept_id", known_from="site_verified_at", nullable=True
    )
    evidence_count = integer("险情影像数", "P00", nullable=True)
    requested_at = moment("申请时间", "P00", nullable=True)
    confirmed_at = moment("确定时间", "P00", nullable=True)
    confirm_dept_id = text("确定机关", "P00", references="department.dept_id", known_from="confirmed_at", nullable=True)
    confirm_doc_no = text("确定文号", "P00", known_from="confirmed_at", nullable=True)
    contractor_source = enum(
        "承包单位来源",
        "P00",
        ["pool_random", "pool_designated", "outside_pool"],
        known_from="contractor_selected_at",
        nullable=True,
    )
    outside_pool_reason = text("库外确定理由", "P00", known_from="contractor_selected_at", nullable=True)
    contractor_org_id = text(
        "承包单位", "P00", references="organisation.org_id", known_from="contractor_selected_at", nullable=True
    )
    contractor_selected_at = moment("确定承包单位时间", "P00", nullable=True)
    selection_published_at = moment("承包单位公开时间", "P00", nullable=True)
    works_started_at = moment("实施开始", "P00", nullable=True)
    contract_id = text(
        "合同",
        "P00",
        references="contract.contract_id",
        known_from="contract_id.signed_at | contractor_selected_at",
        nullable=True,
    )
