"""Site: key people, attendance, progress, inspections and cameras."""

from features.tables.columns import WITH_ROW, Table, day, enum, flag, integer, moment, money, number, text, year_month

POSITIONS = [
    "project_manager",
    "tech_lead",
    "quality_lead",
    "safety_lead",
    "chief_supervisor",
    "supervisor_rep",
    "owner_rep",
    "labour_manager",
]


class KeyPersonnel(Table):
    """One person assigned to one key position of a contract, by source (bid promise, contract, actual)."""

    NAME = "key_personnel"
    EVENT = "assigned_from"
    UNDATED_IS_PAST = True

    kp_id = text("岗位编号", "P00", key=True)
    contract_id = text("合同", "P00", references="contract.contract_id")
    project_id = text("项目", "P00", references="project.project_id")
    org_id = text("派出单位", "P00", references="organisation.org_id")
    person_id = text("人员", "P00", references="person.person_id", personal="personal")
    position = enum("岗位", "P00", POSITIONS)
    source = enum("来源", "P00", ["bid", "contract", "actual"])
    cert_grade = text("资格等级", "P00", nullable=True)
    assigned_from = day("到岗日期", "P00", nullable=True)
    assigned_to = day("离岗日期", "P00", nullable=True)
    required_days_per_month = integer("月应到岗天数", "P00", unit="day", high=31, nullable=True)


class PersonnelReplacement(Table):
    """One replacement of a key person."""

    NAME = "personnel_replacement"
    EVENT = "effective_at"
    KNOWN_FROM = ("applied_at", "effective_at")

    replacement_id = text("更换编号", "P00", key=True)
    contract_id = text("合同", "P00", references="contract.contract_id")
    project_id = text("项目", "P00", references="project.project_id")
    position = enum("岗位", "P00", POSITIONS)
    out_person_id = text("原人员", "P00", references="person.person_id", personal="personal")
    in_person_id = text("新人员", "P00", references="person.person_id", personal="personal")
    reason_code = enum(
        "原因",
        "P00",
        ["contract_terminated", "owner_agreed", "force_majeure", "illness", "resignation", "punished", "other"],
    )
    effective_at = day("实际更换日", "P00")
    applied_at = moment("申请时间", "P00", nullable=True)
    approved_at = moment("批准时间", "P00", nullable=True)
    in_cert_not_lower = flag("资格不低于投标承诺", "P00", nullable=True)


class Attendance(Table):
    """One punch of a key person."""

    NAME = "attendance"
    EVENT = "punched_at"

    attendance_id = text("打卡编号", "P00", key=True)
    project_id = text("项目", "P00", references="project.project_id")
    kp_id = text("岗位", "P00", references="key_personnel.kp_id")
    person_id = text("人员", "P00", references="person.person_id", personal="personal")
    punched_at = moment("打卡时间", "P00", personal="sensitive")
    longitude = number("经度", "P00", unit="deg", low=-180, high=180, personal="sensitive", nullable=True)
    latitude = number("纬度", "P00", unit="deg", low=-90, high=90, personal="sensitive", nullable=True)
    distance_to_site_m = number("距工地距离", "D00", unit="m", low=0, high=20_100_000, nullable=True)
    in_geofence = flag("是否在围栏内", "D00")
    method = enum("方式", "P00", ["face_gate", "app_face", "card", "manual"])
    liveness_pass = flag("活体检测通过", "P00", nullable=True)
    device_id = text("设备标识", "P00", personal="personal", nullable=True)
    is_makeup = flag("是否补卡", "P00")


class LeaveRecord(Table):
    """Approved leave of a key person."""

    NAME = "leave_record"
    EVENT = "start_date"

    leave_id = text("请假编号", "P00", key=True)
    kp_id = text("岗位", "P00", references="key_personnel.kp_id")
    start_date = day("起", "P00")
    end_date = day("止", "P00", known_from=WITH_ROW)
    approved = flag("是否批准", "P00")


class ProgressReport(Table):
    """Planned and actual progress of one contract in one month."""

    NAME = "progress_report"
    EVENT = "reported_at | period"

    progress_id = text("月报编号", "S02+S09", key=True)
    project_id = text("项目", "S02+S09", references="project.project_id")
    contract_id = text("合同", "S02+S09", references="contract.contract_id")
    period = year_month("月份", "S02+S09")
    planned_pct = number("计划累计进度", "S02+S09", unit="ratio", low=0, high=1)
    actual_pct = number("实际累计进度", "S02+S09", unit="ratio", low=0, high=1)
    completed_value = money("累计完成产值", "S02+S09", nullable=True)
    reported_at = moment("报送时间", "S02+S09", nullable=True)
    supervisor_confirmed = flag("监理确认", "S02+S09", nullable=True)
    image_count = integer("影像数", "S02+S09", nullable=True)
    delay_reason = text("滞后原因", "S02+S09", nullable=True)


class Suspension(Table):
    """One stoppage of works."""

    NAME = "suspension"
    EVENT = "from_date"
    KNOWN_FROM = ("reported_at", "from_date")

    suspension_id = text("停工编号", "S02", key=True)
    project_id = text("项目", "S02", references="project.project_id")
    from_date = day("停工日", "S02")
    to_date = day("复工日", "S02", nullable=True)
    reason = text("原因", "S02", nullable=True)
    reported_at = moment("报告时间", "S02", nullable=True)


class SiteInspection(Table):
    """One inspection with its findings."""

    NAME = "site_inspection"
    EVENT = "inspected_at"

    inspection_id = text("检查编号", "S03+S09", key=True)
    project_id = text("项目", "S03+S09", references="project.project_id")
    contract_id = text("合同", "S03+S09", references="contract.contract_id", nullable=True)
    inspected_at = moment("检查时间", "S03+S09")
    dept_id = text("检查部门", "S03+S09", references="department.dept_id")
    inspection_type = enum("检查类型", "S03+S09", ["quality", "safety", "market_behaviour", "wage", "joint", "random"])
    issue_count = integer("问题数", "S03+S09")
    serious_issue_count = integer("严重问题数", "S03+S09")
    actual_builder_org_id = text("现场实际施工单位", "S03+S09", references="organisation.org_id", nullable=True)
    actual_manager_person_id = text(
        "现场实际负责人", "S03+S09", references="person.person_id", personal="personal", nullable=True
    )
    rectify_due_at = moment("整改期限", "S03+S09", known_from=WITH_ROW, nullable=True)
    rectified_at = moment("整改完成", "S03+S09", nullable=True)


class VideoDevice(Table):
    """One camera on a site."""

    NAME = "video_device"
    EVENT = "installed_at"
    UNDATED_IS_PAST = True

    device_id = text("设备编号", "S02", key=True)
    project_id = text("项目", "S02", references="project.project_id")
    coverage = enum("点位", "S02", ["gate", "main_area", "tower_crane", "office", "other"])
    installed_at = day("安装日期", "S02", nullable=True)
    removed_at = day("拆除日期", "S02", nullable=True)
    last_heartbeat_at = moment("最近心跳", "S02", nullable=True)


class VideoDay(Table):
    """Online minutes of one device in one day."""

    NAME = "video_day"
    EVENT = "date"

    video_day_id = text("记录编号", "S02", key=True)
    device_id = text("设备", "S02", references="video_device.device_id")
    date = day("日期", "S02")
    online_minutes = integer("在线分钟", "S02", unit="min", high=1440)
    obstructed_minutes = integer("遮挡分钟", "S02", unit="min", high=1440, nullable=True)
