"""Projects and approvals."""

from features.tables.columns import WITH_ROW, Table, day, enum, flag, integer, json, moment, money, number, text


class Project(Table):
    """One government-investment construction project, from approval to last payment."""

    NAME = "project"
    EVENT = "online_at"
    UNDATED_IS_PAST = True

    project_id = text("平台项目编号", "P00", key=True)
    project_code = text("投资项目统一代码", "S05", unique=True, nullable=True)
    name = text("项目名称", "S05")
    project_type = enum("三类项目", "P00", ["tender", "procurement", "emergency"], nullable=True)
    sector = enum(
        "行业领域",
        "S05",
        [
            "housing",
            "municipal",
            "highway",
            "water",
            "land",
            "education",
            "health",
            "agriculture",
            "ecology",
            "culture",
            "park",
            "other",
        ],
        nullable=True,
    )
    region_code = text("所属区划", "S05", references="region.region_code", nullable=True)
    admin_level = enum("项目层级", "S05", ["city", "county"], nullable=True)
    owner_org_id = text("项目业主/建设单位", "S05", references="organisation.org_id", nullable=True)
    competent_dept_id = text("行业主管部门", "S05", references="department.dept_id", nullable=True)
    parent_project_id = text("上级/打捆项目", "S05", references="project.project_id", nullable=True)
    funding_source = enum(
        "资金来源", "S05", ["budget", "special_bond", "soe", "superior_transfer", "mixed", "loan"], nullable=True
    )
    gov_fund_ratio = number("政府资金占比", "S05", unit="ratio", low=0, high=1, nullable=True)
    mandatory_tender = flag("依法必须招标", "P00", nullable=True)
    estimate_amount = money("可研投资估算", "S05", nullable=True)
    budget_estimate_amount = money("批复概算", "S05", nullable=True)
    content_summary = text("建设内容", "S05", nullable=True)
    longitude = number("经度", "P00", unit="deg", low=-180, high=180, nullable=True)
    latitude = number("纬度", "P00", unit="deg", low=-90, high=90, nullable=True)
    geofence_radius_m = integer("电子围栏半径", "P00", unit="m", nullable=True)
    geofence_json = json("电子围栏", "P00", nullable=True)
    planned_start_date = day("计划开工", "S05", known_from=WITH_ROW, nullable=True)
    planned_finish_date = day("计划竣工", "S05", known_from=WITH_ROW, nullable=True)
    actual_start_date = day("实际开工", "S02", nullable=True)
    actual_finish_date = day("实际竣工", "S02", nullable=True)
    status = enum(
        "项目状态",
        "P00",
        [
            "planned",
            "approved",
            "tendering",
            "contracted",
            "under_construction",
            "suspended",
            "completed",
            "accepted",
            "settled",
            "paid_off",
            "terminated",
        ],
    )
    online_at = moment("上线时间", "P00", nullable=True)
    secrecy_level = enum("涉密等级", "P00", ["none", "internal", "secret"])


class Approval(Table):
    """One permit, approval, filing or review decision of a project."""

    NAME = "approval"
    EVENT = "approved_at"
    KNOWN_FROM = ("applied_at", "approved_at")

    approval_id = text("手续编号", "P00", key=True)
    project_id = text("项目", "S05+S03+S08", references="project.project_id")
    lot_id = text("标段", "S03", references="lot.lot_id", nullable=True)
    contract_id = text("合同", "S03", references="contract.contract_id", nullable=True)
    approval_type = enum(
        "手续类型",
        "S05+S03+S08",
        [
            "proposal",
            "feasibility",
            "preliminary_design",
            "land_preview",
            "land_use",
            "planning_permit",
            "environmental",
            "fund_proof",
            "tender_scheme",
            "control_price_review",
            "fair_competition_review",
            "drawing_review",
            "construction_permit",
            "quality_supervision",
            "safety_measures",
            "estimate_adjustment",
            "change_approval",
            "method_change",
            "no_tender_approval",
            "emergency_confirmation",
            "stop_work",
            "other",
        ],
    )
    doc_no = text("文号", "S05+S03+S08", known_from="approved_at", nullable=True)
    authority_dept_id = text("批准部门", "S05+S03+S08", references="department.dept_id")
    applied_at = moment("申请时间", "S05+S03+S08", nullable=True)
    approved_at = moment("批准时间", "S05+S03+S08", nullable=True)
    valid_until = day("有效期至", "S05+S03+S08", known_from="approved_at", nullable=True)
    approved_amount = money("批准金额", "S05+S03+S08", known_from="approved_at", nullable=True)
    approved_method = enum(
        "核准招标/采购方式",
        "S05+S03+S08",
        [
            "public_tender",
            "invited_tender",
            "no_tender",
            "competitive_negotiation",
            "competitive_consultation",
            "inquiry",
            "single_source",
            "framework",
        ],
        known_from="approved_at",
        nullable=True,
    )
    approved_org_form = enum("核准组织形式", "S05+S03+S08", ["self", "agency"], known_from="approved_at", nullable=True)
    approved_scope = text("核准范围", "S05+S03+S08", known_from="approved_at", nullable=True)
    status = enum(
        "状态",
        "S05+S03+S08",
        ["pending", "approved", "rejected", "expired", "withdrawn"],
        known_from="approved_at | applied_at",
    )
    file_hash = text("文件哈希", "P00", known_from="approved_at", nullable=True)


class BudgetAllocation(Table):
    """Annual investment plan lines and budget quotas per project and year."""

    NAME = "budget_allocation"
    EVENT = "issued_at"

    allocation_id = text("指标编号", "S07", key=True)
    project_id = text("项目", "S07", references="project.project_id")
    fiscal_year = integer("预算年度", "S07", unit="year", low=1949, high=2199)
    plan_amount = money("年度投资计划额", "S05", nullable=True)
    budget_amount = money("预算安排额", "S07")
    fund_type = enum(
        "资金性质", "S07", ["general_budget", "gov_fund", "special_bond", "superior_transfer", "soe_capital", "other"]
    )
    doc_no = text("文号", "S07", nullable=True)
    issued_at = moment("下达时间", "S07")
