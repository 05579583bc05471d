"""Warnings and their disposition."""

from features.tables.columns import WITH_ROW, Table, enum, integer, json, moment, money, text, year_month


class RaisedWarning(Table):
    """One warning raised by a rule, an indicator, an inspection or a person."""

    NAME = "warning"
    EVENT = "triggered_at"

    warning_id = text("预警编号", "D00", key=True)
    point_code = text("点位/指标", "D00")
    warning_source = enum("来源", "D00", ["rule", "smoke", "inspection", "complaint", "manual"])
    project_id = text("项目", "D00", references="project.project_id", nullable=True)
    subject_type = enum(
        "对象类型",
        "D00",
        ["project", "lot", "bid", "organisation", "person", "pair", "contract", "payment", "disposition"],
    )
    subject_id = text("对象编号", "D00")
    level = enum("等级", "D00", ["red", "orange", "yellow"])
    triggered_at = moment("触发时间", "D00")
    evidence = json("证据", "D00")
    param_snapshot = json("参数快照", "D00")
    responsible_dept_id = text("责任部门", "D00", references="department.dept_id", nullable=True)
    status = enum(
        "状态",
        "P00",
        [
            "raised",
            "suppressed",
            "dispatched",
            "acknowledged",
            "rectifying",
            "submitted",
            "review",
            "returned",
            "closed",
            "escalated",
            "transferred",
            "withdrawn",
        ],
        known_from="closed_at | acknowledged_at | dispatched_at | triggered_at",
    )
    dispatched_at = moment("推送时间", "P00", nullable=True)
    acknowledged_at = moment("签收时间", "P00", nullable=True)
    due_at = moment("整改期限", "P00", known_from="dispatched_at", nullable=True)
    closed_at = moment("办结时间", "P00", nullable=True)
    dedupe_key = text("去重键", "D00")
    recurrence_no = integer("复发次数", "D00")
    suppress_reason = text("抑制理由", "P00", nullable=True)


class Disposition(Table):
    """Handling of one warning along one of four routes."""

    NAME = "disposition"
    EVENT = "opened_at"

    disposition_id = text("处置编号", "P00", key=True)
    warning_id = text("预警", "P00", references="warning.warning_id")
    route = enum("处置路径", "P00", ["rectification", "admin_enforcement", "public_security", "discipline"])
    state = enum(
        "状态",
        "P00",
        ["open", "accepted", "in_progress", "submitted", "under_review", "returned", "done", "transferred", "rejected"],
        known_from="closed_at | submitted_at | opened_at",
    )
    handler_dept_id = text("办理部门", "P00", references="department.dept_id")
    opened_at = moment("开始时间", "P00")
    due_at = moment("期限", "P00", known_from=WITH_ROW, nullable=True)
    extended_count = integer("延期次数", "P00")
    submitted_at = moment("提交时间", "P00", nullable=True)
    evidence_count = integer("整改材料数", "P00", known_from="submitted_at", nullable=True)
    closed_at = moment("办结时间", "P00", nullable=True)
    outcome = enum(
        "结果",
        "P00",
        [
            "rectified",
            "not_established",
            "penalised",
            "case_filed",
            "case_not_filed",
            "disciplined",
            "convicted",
            "returned",
        ],
        known_from="closed_at",
        nullable=True,
    )
    amount_recovered = money("挽回金额", "P00", known_from="closed_at", nullable=True)
    reviewer_user_id = text("复核人", "P00", references="user_account.user_id", nullable=True)


class DispositionAction(Table):
    """Append-only log of every step."""

    NAME = "disposition_action"
    EVENT = "acted_at"

    action_id = text("操作编号", "P00", key=True)
    disposition_id = text("处置", "P00", references="disposition.disposition_id")
    actor_user_id = text("操作人", "P00", references="user_account.user_id")
    action = enum(
        "动作",
        "P00",
        [
            "open",
            "dispatch",
            "acknowledge",
            "request_extension",
            "grant_extension",
            "submit",
            "approve",
            "return_back",
            "escalate",
            "transfer",
            "issue_document",
            "close",
            "reopen",
            "comment",
        ],
    )
    from_state = text("原状态", "P00", nullable=True)
    to_state = text("新状态", "P00", nullable=True)
    acted_at = moment("时间", "P00")
    comment = text("说明", "P00", nullable=True)
    prev_hash = text("前序哈希", "D00")


class IssuedDocument(Table):
    """One document issued in the loop."""

    NAME = "issued_document"
    EVENT = "issued_at"

    document_id = text("文书编号", "P00", key=True)
    disposition_id = text("处置", "P00", references="disposition.disposition_id", nullable=True)
    project_id = text("项目", "P00", references="project.project_id", nullable=True)
    doc_type = enum(
        "文书类型",
        "P00",
        [
            "rectification_notice",
            "supervision_suggestion",
            "interview_notice",
            "transfer_letter",
            "disciplinary_suggestion",
            "supervise_notice",
            "joint_inspection_notice",
            "feedback_letter",
        ],
    )
    doc_no = text("文号", "P00")
    issuer_dept_id = text("发文部门", "P00", references="department.dept_id")
    recipient_dept_id = text("收文部门", "P00", references="department.dept_id", nullable=True)
    recipient_org_id = text("收文单位", "P00", references="organisation.org_id", nullable=True)
    issued_at = moment("发文时间", "P00")
    due_at = moment("回复期限", "P00", known_from=WITH_ROW, nullable=True)
    received_at = moment("签收时间", "P00", nullable=True)
    feedback_at = moment("反馈时间", "P00", nullable=True)
    feedback_result = enum(
        "反馈结果", "P00", ["accepted", "partly_accepted", "not_accepted"], known_from="feedback_at", nullable=True
    )


class CaseRecord(Table):
    """A case opened after a transfer."""

    NAME = "case_record"
    EVENT = "transferred_at"
    KNOWN_FROM = ("approved_transfer_at", "transferred_at")

    case_id = text("案件编号", "P00", key=True)
    disposition_id = text("处置", "P00", references="disposition.disposition_id")
    case_type = enum("案件类型", "P00", ["administrative", "criminal", "disciplinary"])
    receiving_dept_id = text("受理机关", "P00", references="department.dept_id")
    approved_transfer_at = moment("批准移送时间", "P00", nullable=True)
    transferred_at = moment("移送时间", "P00")
    decided_at = moment("立案决定时间", "P00", nullable=True)
    decision = enum("决定", "P00", ["filed", "not_filed", "returned"], known_from="decided_at", nullable=True)
    coercive_measure_count = integer(
        "采取强制措施人数", "P00", unit="person", high=1_000_000, known_from="decided_at", nullable=True
    )
    convicted_count = integer("判决人数", "P00", unit="person", high=1_000_000, known_from="closed_at", nullable=True)
    disciplined_count = integer(
        "处分处理人数", "P00", unit="person", high=1_000_000, known_from="closed_at", nullable=True
    )
    fine_amount = money("罚没金额", "P00", known_from="closed_at", nullable=True)
    closed_at = moment("结案时间", "P00", nullable=True)


class JointInspection(Table):
    """One joint inspection of a subject or a project."""

    NAME = "joint_inspection"
    EVENT = "started_at"

    joint_id = text("联合检查编号", "P00", key=True)
    mode = enum("方式", "P00", ["one_check_deep_exam", "full_process_loop"])
    subject_org_id = text("对象单位", "P00", references="organisation.org_id", nullable=True)
    project_id = text("项目", "P00", references="project.project_id", nullable=True)
    lead_dept_id = text("牵头部门", "P00", references="department.dept_id")
    member_dept_ids = json("参加部门", "P00")
    started_at = moment("开始", "P00")
    ended_at = moment("结束", "P00", nullable=True)
    issues_found = integer("发现问题数", "P00", known_from="ended_at", nullable=True)
    issues_rectified = integer("已整改数", "P00", known_from="ended_at", nullable=True)


class AccountabilityRecord(Table):
    """Duty, performance, supervision and accountability facts per department."""

    NAME = "accountability_record"
    EVENT = "recorded_at"

    record_id = text("记录编号", "P00", key=True)
    record_type = enum("类型", "P00", ["duty", "performance", "supervision", "accountability"])
    dept_id = text("部门", "P00", references="department.dept_id")
    person_id = text("人员", "P00", references="person.person_id", personal="sensitive", nullable=True)
    warning_id = text("预警", "P00", references="warning.warning_id", nullable=True)
    measure = enum(
        "措施",
        "P00",
        ["reminder", "interview", "circular", "admonition", "disciplinary", "administrative", "other"],
        nullable=True,
    )
    period = year_month("期间", "P00", nullable=True)
    recorded_at = moment("时间", "P00")
    detail = json("内容", "P00", nullable=True)
