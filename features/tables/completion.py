"""Completion: acceptance, settlement and audit."""

from features.tables.columns import Table, enum, moment, money, text


class Acceptance(Table):
    """One acceptance (hidden works, section, completion, procurement)."""

    NAME = "acceptance"
    EVENT = "accepted_at"
    KNOWN_FROM = ("accepted_at", "in_use_at", "filed_at")

    acceptance_id = text("验收编号", "S03+S09+S06", key=True)
    project_id = text("项目", "S03+S09+S06", references="project.project_id")
    contract_id = text("合同", "S03+S09+S06", references="contract.contract_id", nullable=True)
    accept_type = enum(
        "验收类型", "S03+S09+S06", ["hidden_works", "section", "completion", "procurement", "fire", "archive"]
    )
    accepted_at = moment("验收时间", "S03+S09+S06", nullable=True)
    result = enum("结论", "S03+S09+S06", ["pass", "conditional", "fail"], known_from="accepted_at", nullable=True)
    in_use_at = moment("投入使用时间", "S03+S09+S06", nullable=True)
    filed_at = moment("备案时间", "S03+S09+S06", nullable=True)
    archive_transferred_at = moment("档案移交时间", "S03+S09+S06", nullable=True)


class SettlementAudit(Table):
    """Settlement, review, audit and final account of one contract."""

    NAME = "settlement_audit"
    EVENT = "reviewed_at"
    KNOWN_FROM = ("submitted_at", "reviewed_at", "audited_at", "final_account_at")

    settlement_id = text("结算编号", "S12+S07", key=True)
    project_id = text("项目", "S12+S07", references="project.project_id")
    contract_id = text("合同", "S12+S07", references="contract.contract_id")
    submitted_amount = money("送审金额", "S12+S07", known_from="submitted_at", nullable=True)
    submitted_at = moment("送审时间", "S12+S07", nullable=True)
    reviewer_org_id = text("审核单位", "S12+S07", references="organisation.org_id", nullable=True)
    reviewed_amount = money("审定金额", "S12+S07", known_from="reviewed_at", nullable=True)
    reviewed_at = moment("审定时间", "S12+S07", nullable=True)
    audit_amount = money("审计认定金额", "S12+S07", known_from="audited_at", nullable=True)
    audited_at = moment("审计时间", "S12+S07", nullable=True)
    final_account_at = moment("竣工财务决算编报时间", "S12+S07", nullable=True)
    final_account_approved_at = moment("决算批复时间", "S12+S07", nullable=True)
    surplus_returned_amount = money("结余缴回", "S12+S07", known_from="final_account_approved_at", nullable=True)
