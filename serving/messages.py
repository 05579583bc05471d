"""Requests and answers of the scoring addresses, as architecture.md section 6 fixes them."""

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from serving.problems import Problem, ProblemError, problem

SubjectType = Literal["lot", "project", "organisation", "person", "pair"]


class Subject(Struct, forbid_unknown_fields=True, frozen=True):
    """What is to be scored: its kind and its id."""

    type: SubjectType
    id: Annotated[str, Meta(min_length=1, max_length=500)]


class ScoreRequest(Struct, forbid_unknown_fields=True):
    """A request to score or to explain.

    Attributes:
        as_of: date or time; a bare date counts to its end, a time without zone is Asia/Shanghai; default: today.
        subjects: what to score; may be left out when ``records`` holds lots, which are then scored.
        records: rows in the contract's shape by table, laid over the stored ones for this request only.
    """

    as_of: str | None = None
    subjects: list[Subject] | None = None
    records: dict[str, list[dict[str, Any]]] | None = None


class Result(Struct):
    """The index of one subject; all numbers are null when nothing about it is assessable, never 0.

    Attributes:
        type: its kind.
        id: its id.
        score: 0..100.
        level: red, orange, yellow, blue or none.
        level_zh: the words an officer reads; 资料不足 when coverage is below the minimum.
        rule_score: 0..100.
        model_score: 0..100, null where no model answers.
        coverage: weight of the assessable indicators over the applicable ones.
        problem: why there is no answer for this subject.
    """

    type: str
    id: str
    score: float | None
    level: str | None
    level_zh: str | None
    rule_score: float | None
    model_score: float | None
    coverage: float | None
    problem: Problem | UnsetType = UNSET


class ScoreResponse(Struct):
    """Scores, in the order of the subjects asked for."""

    as_of: str
    model_version: str | None
    results: list[Result]


class Evidence(Struct):
    """A row that a contribution stands on."""

    table: str
    key: str
    fields: dict[str, Any] | None


class Contribution(Struct):
    """One line of a score; the points of a subject's lines sum to its score.

    Attributes:
        kind: indicator, feature, base, calibration, weight, cap or floor.
        id: the indicator's or feature's id.
        points: its share of the score.
        raw_value: the measured quantity.
        peer_percentile: its place among its peers, 0..1.
        sentence_zh: what an officer reads.
        law: articles.
        evidence: the rows it stands on.
        loss_if_absent: the score less the score without this line; another number than ``points``.
        triggered: whether the indicator's rule fired.
    """

    kind: str
    id: str
    points: float
    raw_value: float | None
    peer_percentile: float | None
    sentence_zh: str
    law: list[str]
    evidence: list[Evidence]
    loss_if_absent: float | None
    triggered: bool | None


class NotAssessable(Struct):
    """An indicator that could not be judged, why, under which law it stands, and the rows that were seen."""

    id: str
    null_reason: str
    name_zh: str
    reason_zh: str
    law: list[str]
    evidence: list[Evidence]


class Counterfactual(Struct):
    """What the score would be without the one indicator that weighs most."""

    id: str
    name_zh: str
    score: float
    sentence_zh: str


class Explanation(Result, kw_only=True):
    """The index of one subject with all that it is made of."""

    contributions: list[Contribution] = []
    not_assessable: list[NotAssessable] = []
    counterfactual: Counterfactual | None = None


class ExplainResponse(Struct):
    """Explanations, in the order of the subjects asked for."""

    as_of: str
    model_version: str | None
    results: list[Explanation]


_decoder = msgspec.json.Decoder(ScoreRequest, float_hook=Decimal)


def decoded(body: bytes) -> ScoreRequest:
    """Read a request.

    Raises:
        ProblemError: it is no JSON, not UTF-8, nested too deeply, or not in the shape of a request.
    """
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _misshapen(str(error)) from error
    except UnicodeDecodeError as error:
        raise problem(
            "invalid-json",
            detail="请求内容不是 UTF-8 编码。",
            detail_en="The body is not UTF-8.",
            mend="请以 UTF-8 编码发送（不是 GBK 或 GB18030）。",
            mend_en="send it in UTF-8, not GBK or GB18030.",
        ) from error
    except RecursionError as error:
        raise problem(
            "invalid-json",
            detail="JSON 嵌套过深。",
            detail_en="The JSON is nested too deeply.",
            mend="请按接口文档 /docs.json 的结构发送。",
            mend_en="send the shape that /docs.json describes.",
        ) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise problem(
            "invalid-json",
            detail="请求内容无法按 JSON 解析（可能不完整，或含 NaN、Infinity）。",
            detail_en=f"The body is no JSON: {error}.",
            mend="请检查引号、逗号与括号；没有值时填 null。",
            mend_en="check quotes, commas and brackets; use null where there is no value.",
        ) from error


def _misshapen(message: str) -> ProblemError:
    what, _, path = message.partition(" - at `")
    field = path.rstrip("`").removeprefix("$").removeprefix(".")
    if "unknown field" in what:
        field = f"{field}.{what.split('`')[1]}".removeprefix(".")
    return problem(
        "invalid-request",
        detail=f"字段 {field or '（整个请求）'} 不符合要求。",
        detail_en=f"{what}.",
        field=field,
        mend="请按接口文档 /docs.json 的结构发送。",
        mend_en="send the shape that /docs.json describes.",
    )
