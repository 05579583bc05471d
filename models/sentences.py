"""What an officer reads: one Chinese sentence for each line of a score, in the subject's own numbers."""

import json
from collections.abc import Mapping
from typing import Any

from features.assessment.declare import Entry

TYPE_ZH = {"lot": "标段", "project": "项目", "organisation": "单位", "person": "人员", "pair": "关联对", "bid": "投标"}
FEATURE_ZH = {
    "n_bids_log": "有效报价数的自然对数",
    "second_gap_to_mean_gap": "最低两价之差/相邻报价的平均间隔（倍）",
    "second_gap_to_losing_gap": "最低两价之差/未中标报价的平均间隔（倍）",
    "second_gap_to_range": "最低两价之差/最高价与最低价之差（比值）",
    "second_gap_to_third": "最低两价之差/第三低价与最低价之差（比值）",
    "lowest_below_mean": "最低价低于平均价的幅度（比值）",
    "second_below_mean": "次低价低于平均价的幅度（比值）",
    "losing_cv": "除最低价外报价的变异系数（比值）",
    "near_lowest_1pct": "与最低价相差 1% 以内的报价占比（比值）",
    "near_lowest_2pct": "与最低价相差 2% 以内的报价占比（比值）",
    "near_lowest_5pct": "与最低价相差 5% 以内的报价占比（比值）",
    "highest_to_median": "最高价/报价中位数（比值）",
    "lowest_to_median": "最低价/报价中位数（比值）",
    "equal_share": "与其他报价相同的报价占比（比值）",
    "gap_cv": "相邻报价间隔的变异系数（比值）",
    "lowest_to_control": "最低价/最高投标限价（比值）",
    "mean_to_control": "平均价/最高投标限价（比值）",
    "winner_rank": "低于中标价的报价占比（比值）",
    "winner_above_lowest": "中标价高出最低价的幅度（比值）",
}
"""Names of the columns of ``LotShape``, with their unit."""
LINE_ZH = {
    ("base", "model"): "模型的基准概率：全部训练标段的平均输出按本市场校准曲线换算，作为各特征分值的起点",
    ("calibration", "model"): "概率校准中不能归于单个特征的部分",
    ("weight", "rule"): "规则分按权重折算时扣除的部分",
    ("weight", "model"): "模型分按权重折算时扣除的部分",
    ("cap", "100"): "总分以 100 分为上限，超出的部分扣除",
    ("floor", "sev5_floor"): "最高严重度的事实已经人工核实，总分提至下限",
}


REASON_ZH = {
    "missing_source": "资料缺失：所需数据未接入或未完整公布",
    "too_few_observations": "样本不足：观测数或历史时长不够",
    "not_applicable": "不适用于该对象",
    "not_due": "尚未到期",
    "no_value": "该对象没有可供判断的数据",
    "not_built": "指标尚未建成",
}
"""Why an indicator could not be judged, in the words of an officer."""


def sentence_zh(line: Mapping[str, Any], entries: Mapping[str, Entry]) -> str:
    """Say one line of a score.

    Args:
        line: a row of the frame of contributions.
        entries: the catalogue by id.
    """
    if line["kind"] == "indicator":
        return _indicator(line, entries[line["id"]])
    if line["kind"] == "feature":
        return _feature(line, entries)
    return LINE_ZH[line["kind"], line["id"]] + "。"


def _indicator(line: Mapping[str, Any], entry: Entry) -> str:
    parts = [f"{entry.name_zh}{_origin(line)}：{entry.raw_zh}为 {entry.raw_format.format(line['raw_value'])}"]
    if line["peer_percentile"] is not None:
        parts.append(f"处于{_peers(line)}的第 {100 * line['peer_percentile']:.1f} 百分位（由低到高）")
    parts.append(f"依据 {line['support_n']} {entry.support_zh}")
    verdict = "已触发" if line["triggered"] else "未触发"
    return "，".join(parts) + f"；{verdict}，触发规则：{entry.rule_zh}。"


def _origin(line: Mapping[str, Any]) -> str:
    """Say where the value was measured, if on another subject than the scored one, and how long ago."""
    if (line["of_type"], line["of_id"]) == (line["subject_type"], line["subject_id"]):
        return ""
    age = f"，距今 {line['age_months']:.0f} 个月，按时间衰减" if line["age_months"] else ""
    return f"（测自{TYPE_ZH[line['of_type']]} {line['of_id']}{age}）"


def _peers(line: Mapping[str, Any]) -> str:
    """Say how many peers the percentile stands on; the evidence row of the value itself has the number."""
    for row in json.loads(line["evidence"] or "[]"):
        n = (row["fields"] or {}).get("peer_n") if row["table"] == "indicator_value" else None
        if n is not None:
            return f" {n} 个同类标段"
    return "同类标段"


def _feature(line: Mapping[str, Any], entries: Mapping[str, Entry]) -> str:
    """Say a model's feature; a null is a fact that the trees use, never a zero."""
    raw = line["raw_value"]
    if line["id"] in entries:
        entry = entries[line["id"]]
        name, shown = entry.raw_zh, None if raw is None else entry.raw_format.format(raw)
    else:
        name, shown = FEATURE_ZH[line["id"]], None if raw is None else f"{raw:.4g}"
    direction = "推高" if line["points"] > 0 else "压低" if line["points"] < 0 else "未改变"
    return f"模型特征“{name}”{'无数据' if shown is None else f'为 {shown}'}，{direction}模型给出的概率。"
