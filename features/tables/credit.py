"""Complaints and credit."""

from features.tables.columns import WITH_ROW, Table, day, enum, moment, money, text


class Complaint(Table):
    """One objection, query, complaint or report."""

    NAME = "complaint"
    EVENT = "received_at"

    complaint_id = text("投诉编号", "S01+S06", key=True)
    project_id = text("项目", "S01+S06", references="project.project_id", nullable=True)
    tender_id = text("招标活动", "S01+S06", references="tender.tender_id", nullable=True)
    complaint_type = enum("类型", "S01+S06", ["objection", "gp_query", "complaint", "report", "wage"])
    complainant_org_id = text(
        "投诉单位", "S01+S06", references="organisation.org_id", personal="personal", nullable=True
    )
    complainant_person_id = text(
        "投诉人", "S01+S06", references="person.person_id", personal="sensitive", nullable=True
    )
    respondent_org_id = text("被投诉单位", "S01+S06", references="organisation.org_id", nullable=True)
    received_at = moment("收到时间", "S01+S06")
    accepted_at = moment("受理时间", "S01+S06", nullable=True)
    handler_dept_id = text(
        "处理部门", "S01+S06", references="department.dept_id", known_from="accepted_at", nullable=True
    )
    replied_at = moment("答复/处理时间", "S01+S06", nullable=True)
    result = enum(
        "结果",
        "S01+S06",
        ["upheld", "partly_upheld", "rejected", "withdrawn", "pending"],
        known_from="replied_at | received_at",
        nullable=True,
    )


class Sanction(Table):
    """One penalty, debarment, blacklist entry, judgment or disciplinary decision."""

    NAME = "sanction"
    EVENT = "decided_at"

    sanction_id = text("处罚编号", "S04+S03+S06+S09", key=True)
    org_id = text("单位", "S04+S03+S06+S09", references="organisation.org_id", nullable=True)
    person_id = text("个人", "S04+S03+S06+S09", references="person.person_id", personal="sensitive", nullable=True)
    sanction_type = enum(
        "类型",
        "S04+S03+S06+S09",
        ["penalty", "debarment", "blacklist", "credit_deduction", "criminal", "disciplinary", "wage_blacklist"],
    )
    reason_code = enum(
        "原因",
        "S04+S03+S06+S09",
        ["collusion", "false_material", "illegal_subcontract", "wage_arrears", "bribery", "quality_safety", "other"],
    )
    authority_dept_id = text("决定机关", "S04+S03+S06+S09", references="department.dept_id", nullable=True)
    doc_no = text("文号", "S04+S03+S06+S09", nullable=True)
    decided_at = day("决定日期", "S04+S03+S06+S09")
    valid_from = day("限制起", "S04+S03+S06+S09", known_from=WITH_ROW, nullable=True)
    valid_to = day("限制止", "S04+S03+S06+S09", known_from=WITH_ROW, nullable=True)
    fine_amount = money("罚款", "S04+S03+S06+S09", nullable=True)
