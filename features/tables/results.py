"""Supervision results, the index, and the outcomes it learns from."""

from features.tables.columns import WITH_ROW, Table, enum, flag, integer, json, moment, number, text

SUBJECT_TYPES = ["project", "lot", "bid", "organisation", "person", "pair", "ring"]


class LabelFeedback(Table):
    """A confirmed or cleared outcome for a subject, used for training and for precision reports."""

    NAME = "label_feedback"
    EVENT = "labelled_at"

    label_id = text("标签编号", "P00", key=True)
    subject_type = enum("对象类型", "P00", SUBJECT_TYPES)
    subject_id = text("对象编号", "P00")
    analysis = text("分析类别", "P00")
    label = enum("结论", "P00", ["confirmed", "suspected", "cleared", "unknown"])
    label_source = enum("来源", "P00", ["court", "penalty", "discipline", "audit", "police", "rectified", "reviewer"])
    labelled_at = moment("时间", "P00")
    weight = number("权重", "P00", unit="0..1", low=0, high=1, nullable=True)
    disposition_id = text("处置", "P00", references="disposition.disposition_id", nullable=True)


class IndicatorValue(Table):
    """Value of one smoke indicator for one subject at one time."""

    NAME = "indicator_value"
    EVENT = "as_of"

    value_id = text("值编号", "D00", key=True)
    indicator_id = text("指标", "D00")
    subject_type = enum("对象类型", "D00", SUBJECT_TYPES)
    subject_id = text("对象编号", "D00")
    as_of = moment("时点", "D00")
    raw_value = number("原始值", "D00", nullable=True)
    intensity = number("强度", "D00", unit="0..1", low=0, high=1, nullable=True)
    triggered = flag("是否触发", "D00", nullable=True)
    assessable = flag("是否可评估", "D00")
    null_reason = enum(
        "不可评估原因", "D00", ["too_few_observations", "missing_source", "not_applicable", "not_due"], nullable=True
    )
    support_n = integer("样本量", "D00", nullable=True)
    peer_percentile = number("同类百分位", "D00", unit="0..1", low=0, high=1, nullable=True)
    evidence = json("证据", "D00")
    param_snapshot = json("参数快照", "D00")
    run_id = text("批次", "D00")


class SmokeIndex(Table):
    """Index of one subject at one time, with explanation."""

    NAME = "smoke_index"
    EVENT = "as_of"

    index_id = text("指数编号", "D00", key=True)
    subject_type = enum("对象类型", "D00", SUBJECT_TYPES)
    subject_id = text("对象编号", "D00")
    as_of = moment("时点", "D00")
    score = number("冒烟指数", "D00", unit="0..100", low=0, high=100, nullable=True)
    level = enum("等级", "D00", ["red", "orange", "yellow", "blue", "none"])
    rule_score = number("规则分", "D00", unit="0..100", low=0, high=100, nullable=True)
    model_score = number("模型分", "D00", unit="0..100", low=0, high=100, nullable=True)
    coverage = number("可评估覆盖率", "D00", unit="ratio", low=0, high=1)
    top_contributions = json("主要贡献", "D00")
    model_version_id = text("模型版本", "D00", references="model_version.model_version_id", nullable=True)


class SupervisionPointResult(Table):
    """State of one supervision point for one project or procedure."""

    NAME = "supervision_point_result"
    EVENT = "evaluated_at"

    result_id = text("结果编号", "D00", key=True)
    point_id = text("监管点", "D00")
    project_id = text("项目", "D00", references="project.project_id")
    tender_id = text("招标活动", "D00", references="tender.tender_id", nullable=True)
    contract_id = text("合同", "D00", references="contract.contract_id", nullable=True)
    status = enum(
        "状态",
        "D00",
        ["not_due", "due", "satisfied", "unsatisfied", "overdue", "waived", "not_applicable", "not_assessable"],
    )
    due_at = moment("应完成时间", "D00", known_from=WITH_ROW, nullable=True)
    satisfied_at = moment("完成时间", "D00", nullable=True)
    evidence = json("证据", "D00", nullable=True)
    waive_reason = text("豁免理由", "P00", nullable=True)
    evaluated_at = moment("评估时间", "D00")


class ModelVersion(Table):
    """A trained model with its data and metrics."""

    NAME = "model_version"
    EVENT = "trained_at"

    model_version_id = text("版本编号", "D00", key=True)
    analysis = text("分析类别", "D00")
    trained_at = moment("训练时间", "D00")
    data_snapshot = text("数据快照", "D00")
    metrics = json("指标", "D00")
    approved_by = text("批准人", "P00", references="user_account.user_id", nullable=True)
    status = enum("状态", "D00", ["candidate", "active", "retired"])
