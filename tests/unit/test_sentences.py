"""The Chinese sentences: every line that a score can have is said, with its numbers and units."""

import json
from typing import Any

import pytest

from features.indicators.catalogue import entries
from models.index import CONTRIBUTION
from models.lot_features import feature_list
from models.sentences import FEATURE_ZH, LINE_ZH, sentence_zh

CATALOGUE = {entry.id: entry for entry in entries()}
BUILT = [entry for entry in entries() if entry.state == "built"]


def line(**facts: Any) -> dict[str, Any]:
    subject = {"subject_type": "lot", "subject_id": "L1", "of_type": "lot", "of_id": "L1"}
    return dict.fromkeys(CONTRIBUTION) | subject | {"points": 1.0, "age_months": 0.0} | facts


@pytest.mark.parametrize("entry", BUILT, ids=lambda entry: entry.id)
def test_every_built_indicator_says_what_it_measured_and_its_rule(entry: Any) -> None:
    said = sentence_zh(
        line(kind="indicator", id=entry.id, raw_value=0.5, support_n=7, triggered=True, peer_percentile=None), CATALOGUE
    )

    assert said.startswith(entry.name_zh)
    assert entry.raw_format.format(0.5) in said
    assert f"7 {entry.support_zh}" in said
    assert "{" not in said
    assert entry.rule_zh in said


def test_numbers_carry_unit_peers_and_support() -> None:
    evidence = json.dumps([{"table": "indicator_value", "key": "SI-022:L1", "fields": {"peer_n": 43}}])
    facts = {"raw_value": 0.0021, "support_n": 6, "triggered": True, "peer_percentile": 0.015, "evidence": evidence}

    assert sentence_zh(line(kind="indicator", id="SI-022", **facts), CATALOGUE) == (
        "报价离散系数过低：有效报价的变异系数（样本标准差/平均值）为 0.21%，"
        "处于 43 个同类标段的第 1.5 百分位（由低到高），依据 6 个有效报价；"
        "已触发，触发规则：变异系数不超过 2%，且处于同类标段最低的 5% 以内。"
    )


def test_a_value_from_elsewhere_says_from_where_and_how_old() -> None:
    facts = {"raw_value": 0.5, "support_n": 6, "triggered": False, "subject_type": "organisation", "subject_id": "O"}
    said = sentence_zh(line(kind="indicator", id="SI-022", age_months=7.6, **facts), CATALOGUE)

    assert said.startswith("报价离散系数过低（测自标段 L1，距今 8 个月，按时间衰减）：")
    assert "未触发" in said


@pytest.mark.parametrize("feature", feature_list(), ids=lambda feature: feature.id)
def test_every_feature_of_the_model_has_a_name(feature: Any) -> None:
    name = CATALOGUE[feature.id].raw_zh if feature.id in CATALOGUE else FEATURE_ZH[feature.id]

    assert name in sentence_zh(line(kind="feature", id=feature.id, raw_value=0.25), CATALOGUE)


def test_a_feature_without_a_value_is_said_to_have_none() -> None:
    assert "无数据" in sentence_zh(line(kind="feature", id="winner_rank", raw_value=None, points=-2.0), CATALOGUE)


@pytest.mark.parametrize(("kind", "id_"), LINE_ZH)
def test_the_other_lines_have_their_words(kind: str, id_: str) -> None:
    assert sentence_zh(line(kind=kind, id=id_), CATALOGUE) == LINE_ZH[kind, id_] + "。"
