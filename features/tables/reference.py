"""Reference and administration."""

import polars as pl

from features.tables.columns import WITH_ROW, Table, day, enum, flag, integer, json, moment, number, text


class Region(Table):
    """Administrative divisions (city, county). One row per code."""

    NAME = "region"

    region_code = text("区划代码", "P00", key=True)
    name = text("区划名称", "P00")
    level = enum("层级", "P00", ["city", "county", "township"])
    parent_region_code = text("上级区划", "P00", references="region.region_code", nullable=True)


class Department(Table):
    """Government departments and bodies that supervise, handle or receive. One row per department per region."""

    NAME = "department"

    dept_id = text("部门编号", "P00", key=True)
    name = text("部门名称", "P00")
    dept_kind = enum(
        "部门类别",
        "P00",
        [
            "ndrc",
            "finance",
            "housing",
            "transport",
            "water",
            "natural_resources",
            "hrss",
            "audit",
            "market_reg",
            "public_security",
            "discipline",
            "gov_service",
            "optimisation_office",
            "emergency_mgmt",
            "agriculture",
            "education",
            "health",
            "ecology",
            "gov",
            "sasac",
            "procuratorate",
            "court",
            "other",
        ],
    )
    admin_level = enum("层级", "P00", ["city", "county"])
    region_code = text("区划", "P00", references="region.region_code")
    parent_dept_id = text("上级部门", "P00", references="department.dept_id", nullable=True)


class CalendarDay(Table):
    """Working-day calendar used by every deadline computed in working days."""

    NAME = "calendar_day"

    date = day("日期", "P00", key=True)
    is_workday = flag("是否工作日", "P00")
    holiday_name = text("节假日名称", "P00", nullable=True)


class UserAccount(Table):
    """People who log in, with role and region scope."""

    NAME = "user_account"

    user_id = text("账号编号", "P00", key=True)
    person_id = text("人员", "P00", references="person.person_id", personal="personal", nullable=True)
    dept_id = text("所属部门", "P00", references="department.dept_id", nullable=True)
    org_id = text("所属单位", "P00", references="organisation.org_id", nullable=True)
    role_code = enum(
        "角色",
        "P00",
        [
            "centre_city",
            "centre_county",
            "dept_city",
            "dept_county",
            "discipline_city",
            "discipline_county",
            "public_security",
            "audit_viewer",
            "leader",
            "owner",
            "contractor",
            "public",
            "sysadmin",
            "data_steward",
            "model_engineer",
        ],
    )
    region_scope = text("区划范围", "P00", references="region.region_code")
    mfa_enabled = flag("是否双因素", "P00")
    status = enum("状态", "P00", ["active", "locked", "closed"])


class AccessLog(Table):
    """Every read of sensitive columns and every export."""

    NAME = "access_log"
    EVENT = "accessed_at"

    log_id = text("日志编号", "P00", key=True)
    user_id = text("账号", "P00", references="user_account.user_id")
    accessed_at = moment("访问时间", "P00")
    table_name = text("表", "P00")
    subject_id = text("对象", "P00", nullable=True)
    purpose = text("用途", "P00")
    fields_read = json("读取字段", "P00")


class SourceSync(Table):
    """Health of each connected source; drives coverage and the share of automatically connected data."""

    NAME = "source_sync"
    EVENT = "last_success_at"
    UNDATED_IS_PAST = True

    sync_id = text("对接编号", "P00", key=True)
    source_code = text("来源系统", "P00")
    table_name = text("目标表", "P00")
    last_success_at = moment("最近成功时间", "P00", nullable=True)
    expected_interval_min = integer("应同步间隔", "P00", unit="min", low=1, high=600000)
    rows_received = integer("收到行数", "P00", unit="row")
    rows_rejected = integer("拒收行数", "P00", unit="row")
    auto_ratio = number("自动对接比例", "D00", unit="ratio", low=0, high=1, nullable=True)


def user_name(given: str) -> str:
    """Return a user's name in the form in which two are compared: ``" Li"`` is ``"li"``."""
    return given.strip().casefold()


class Param(Table):
    """Current value of every named parameter in the indicator, warning and supervision-point catalogues."""

    NAME = "param"
    EVENT = "valid_from"
    UNDATED_IS_PAST = True

    param_key = text("参数键", "P00", key=True)
    default_value = text("默认值", "P00")
    current_value = text("当前值", "P00")
    scope_region_code = text("适用区划", "P00", references="region.region_code", nullable=True)
    basis = text("依据", "P00", nullable=True)
    changed_by = text("修改人", "P00", references="user_account.user_id", nullable=True)
    changed_at = moment("修改时间", "P00", known_from=WITH_ROW, nullable=True)
    valid_from = moment("生效时间", "P00", nullable=True)
    valid_to = moment("失效时间", "P00", known_from=WITH_ROW, nullable=True)
    reason = text("变更理由", "P00", nullable=True)
    approved_by = text("批准人", "P00", references="user_account.user_id", nullable=True)

    @classmethod
    def approved(cls) -> pl.Expr:
        """Return whether somebody else than who proposed a change has approved it."""
        proposed, approved = (
            pl.col(name).map_elements(user_name, return_dtype=pl.String) for name in ("changed_by", "approved_by")
        )
        return ((approved != proposed) & (approved != "")).fill_null(value=False)
