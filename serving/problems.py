"""Problem documents (RFC 9457): what was wrong with a request, in Chinese with English beside it, and the mend."""

import msgspec
from msgspec import UNSET, Struct, UnsetType

from features.errors import InputError, SmokeError

MEDIA_TYPE = "application/problem+json"
_PREFIX = "urn:smoke-index:problem:"

TITLES = {
    "invalid-json": (400, "请求内容不是有效的 JSON"),
    "invalid-request": (400, "请求格式不符合要求"),
    "invalid-record": (400, "数据行不符合数据标准"),
    "invalid-moment": (400, "时点无法识别"),
    "unknown-subject": (404, "未找到评分对象"),
    "not-found": (404, "没有这个地址"),
    "method-not-allowed": (405, "不支持这种请求方法"),
    "too-large": (413, "请求内容过大"),
    "unsupported-media-type": (415, "请求内容类型不受支持"),
    "not-ready": (503, "服务尚未就绪"),
    "internal": (500, "服务内部错误"),
}
"""Status and Chinese title of each kind of problem."""


class Problem(Struct, omit_defaults=True):
    """One problem document.

    Attributes:
        type: a stable URN of the kind of problem.
        title: the kind, in Chinese.
        status: the HTTP status.
        detail: what was found, in Chinese.
        detail_en: the same in English.
        field: the field at fault, such as ``records.bid[2].bid_price``.
        mend: what the sender can do, in Chinese.
        mend_en: the same in English.
    """

    type: str
    title: str
    status: int
    detail: str
    detail_en: str
    field: str | UnsetType = UNSET
    mend: str | UnsetType = UNSET
    mend_en: str | UnsetType = UNSET


class ProblemError(SmokeError):
    """A request cannot be answered; carries the problem document that says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail_en + ("" if problem.mend_en is UNSET else f" Mend: {problem.mend_en}"))
        self.problem = problem


def problem(
    kind: str, *, detail: str, detail_en: str, field: str = "", mend: str = "", mend_en: str = ""
) -> ProblemError:
    """Return the error that carries a problem document of a kind named in ``TITLES``."""
    status, title = TITLES[kind]
    return ProblemError(
        Problem(
            type=_PREFIX + kind,
            title=title,
            status=status,
            detail=detail,
            detail_en=detail_en,
            field=field or UNSET,
            mend=mend or UNSET,
            mend_en=mend_en or UNSET,
        )
    )


def from_input_error(error: InputError) -> ProblemError:
    """Return an unreadable moment, the one input that the shared code refuses itself, as a problem."""
    return problem(
        "invalid-moment",
        detail="给出的不是日期或时间。",
        detail_en=str(error).split(" Mend:")[0],
        field=error.field,
        mend="请给出日期（如 2026-06-30）或带时区的时间（如 2026-06-30T23:59:59+08:00）。",
        mend_en=error.mend,
    )


def encoded(one: Problem) -> bytes:
    """Return a problem document as JSON."""
    return msgspec.json.encode(one)
