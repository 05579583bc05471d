"""Projects and approvals."""

from features.tables.columns import Table, day, enum, flag, integer, json, moment, money, number, text


class Project(Table):
    """One government-investment construction project, from approval to last payment."""

    NAME = "project"
    EVENT = "online_at"

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
        "资金来源",
        "S05",
        ["budget", "special_bond", "soe", "superior_transfer", "mixed", "loan"],
        nullable=True,
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
    planned_start_date = day("计划开工", "S05", nullable=True)
    planned_finish_date = day("计划竣工", "S05", nullable=True)
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
