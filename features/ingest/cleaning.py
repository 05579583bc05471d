"""Cleaning of text, names and amounts as they come in Chinese notices. Nothing is guessed."""

import datetime as dt
import math
import re
import unicodedata
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache

from stdnum.cn.uscc import calc_check_digit

from features.clock import existing
from features.tables.columns import MONEY_MAX

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]"
)
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u3164\uffa0]+")
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_BLANK_BY_HAN = re.compile(f"(?<=[{_HAN}\u3000-\u303f]) (?=[{_HAN}\u3000-\u303f])")
_BLANK_BY_HAN_OR_MARK = re.compile(rf"(?<=[{_HAN}()、,;:·.\-]) (?=[{_HAN}()])|(?<=[{_HAN}()]) (?=[{_HAN}()、,;:·.\-])")
_LOOSE_ENDS = re.compile(r"^[\s,;:、。.·]+|[\s,;:、。·]+$")

CENT = Decimal("0.01")
_UNITS: dict[str, Decimal] = {
    "": Decimal(1),
    "元": Decimal(1),
    "圆": Decimal(1),
    "元整": Decimal(1),
    "圆整": Decimal(1),
    "元人民币": Decimal(1),
    "千元": Decimal(1000),
    "万": Decimal(10_000),
    "万元": Decimal(10_000),
    "万元整": Decimal(10_000),
    "万元人民币": Decimal(10_000),
    "百万元": Decimal(1_000_000),
    "千万元": Decimal(10_000_000),
    "亿": Decimal(100_000_000),
    "亿元": Decimal(100_000_000),
    "亿元整": Decimal(100_000_000),
}
_NUMBER = r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_AMOUNT = re.compile(rf"(?:人民币|RMB|CNY)?[:]?[¥￥]?({_NUMBER})([^\d.,]*)")
_RATE = re.compile(rf"[^\d]*?({_NUMBER})([%‰])[^\d%‰]*")
_RATE_WORDS = re.compile(r"[%‰]|下浮|上浮|费率|折扣|优惠率|让利|\d折")
_HAN_NUMERALS = re.compile(r"[零〇一二三四五六七八九壹贰叁肆伍陆柒捌玖拾佰仟]")
_SCIENTIFIC = re.compile(r"[+-]?\d+(?:\.\d+)?[eE][+-]?\d+")
_USCC = re.compile(r"[0-9A-HJ-NPQRTUWXY]{2}[0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}")


@dataclass(frozen=True)
class Money:
    """An amount of money, two decimals, in the currency of the record."""

    amount: Decimal


@dataclass(frozen=True)
class Rate:
    """A rate where an amount was expected (下浮率 12%, 费率 1.2‰).

    Attributes:
        ratio: the rate as a fraction, None when its figure could not be read.
        text: as delivered, cleaned.
    """

    ratio: Decimal | None
    text: str


@dataclass(frozen=True)
class Problem:
    """Why a value is not taken.

    Attributes:
        reason: a stable code.
        message: what was found, for a person.
        mend: what the sender can do.
    """

    reason: str
    message: str
    mend: str


def clean_text(text: str | None) -> str | None:
    """Return text in one form: NFKC (full-width letters, digits and brackets become half-width), single blanks.

    Zero-width characters go; control characters and ideographic blanks count as blanks; blanks between two Han
    characters go altogether. Text with nothing left is None.
    """
    return _clean_text(text) if text else None


def clean_name(name: str | None) -> str | None:
    """Return the name of an organisation in the one form that names are compared in.

    As ``clean_text``; blanks beside Han characters and brackets go as well, and stray punctuation at both ends.
    Two names that differ only in such things are one name; nothing else about a name is changed.
    """
    return _clean_name(name) if name else None


def read_money(value: object, unit_hint: str | None = None) -> Money | Rate | Problem:
    """Read an amount of money from a number or from text.

    Args:
        value: a number, or text such as ``1,234.5万元`` or ``¥20797381.58 元``.
        unit_hint: the unit of a value that names none (a column headed 万元).

    Returns:
        The amount, rounded half up to whole cents, a rate, or the problem. Amounts in Han numerals, unit prices,
        several amounts in one text and digits that a spreadsheet shortened are problems: they are never guessed.
    """
    if isinstance(value, bool) or value is None:
        return Problem("not_a_number", f"{value!r} is not an amount.", "give a number, such as 1234567.89.")
    if isinstance(value, int | float | Decimal):
        return _from_number(value, unit_hint)
    if isinstance(value, str):
        return _from_text(value, unit_hint)
    return Problem("not_a_number", f"A {type(value).__name__} is not an amount.", "give a number, such as 1234567.89.")


def read_uscc(text: str | None) -> str | None:
    """Return a Chinese unified social credit code if the text is one and its check character is right, else None.

    Source: GB 32100-2015. The check is python-stdnum's; its pattern is not, since it refuses codes that begin with a
    letter, such as those of rural collectives (N2...).
    """
    if not text or len(text) < 18:
        return None
    code = (clean_text(text) or "").replace(" ", "").upper()
    if len(code) != 18 or not _USCC.fullmatch(code):
        return None
    return code if calc_check_digit(code[:17]) == code[17] else None


def read_moment(text: str | None, zone: dt.tzinfo) -> dt.datetime | Problem | None:
    """Read an RFC 3339 date-time; None for nothing, a problem for what is no date.

    Args:
        text: such as ``2025-06-13T00:00:00Z``; a bare date is its last microsecond, a time without zone is in ``zone``.
        zone: the zone to return.
    """
    if not text or not text.strip():
        return None
    text = text.strip()
    try:
        if len(text) == 10:
            return dt.datetime.combine(dt.date.fromisoformat(text), dt.time.max, tzinfo=zone)
        moment = dt.datetime.fromisoformat(text)
        moment = existing(moment.replace(tzinfo=zone)) if moment.tzinfo is None else moment.astimezone(zone)
    except (ValueError, OverflowError):
        return Problem(
            "not_a_date", f"{text[:40]!r} is not a date-time.", "give RFC 3339, as 2026-06-30T09:00:00+08:00."
        )
    if not 1949 < moment.year < 2199:
        return Problem("date_out_of_bounds", f"{text[:40]!r} is outside 1950 to 2198.", "give the true year.")
    return moment


def _from_number(value: float | Decimal, unit_hint: str | None) -> Money | Rate | Problem:
    if not (math.isfinite(value) if isinstance(value, float) else Decimal(value).is_finite()):
        return Problem("not_a_number", f"{value!r} is not an amount.", "give a number, or leave the value out.")
    if abs(value) > MONEY_MAX:
        return _too_large(str(value) if abs(value) < 10**30 else "The amount")
    unit = _UNITS.get(unit_hint or "")
    if unit is None:
        return _unknown_unit(unit_hint or "")
    return _bounded(Decimal(repr(value)) if isinstance(value, float) else Decimal(value), unit)


def _from_text(value: str, unit_hint: str | None) -> Money | Rate | Problem:
    text = (clean_text(value) or "").replace(" ", "")
    if not text:
        return Problem("blank", "The amount is blank.", "give a number, or leave the value out.")
    if _RATE_WORDS.search(text):
        rate = _RATE.fullmatch(text)
        scale = {"%": Decimal(100), "‰": Decimal(1000)}
        ratio = Decimal(rate[1].replace(",", "")) / scale[rate[2]] if rate else None
        return Rate(ratio, text[:200])
    if _SCIENTIFIC.fullmatch(text):
        return Problem(
            "shortened_number",
            f"{text[:40]} is a number a spreadsheet has shortened; its last digits are lost.",
            "export the column with all its digits.",
        )
    if "/" in text or "每" in text:
        return Problem(
            "unit_price", f"{text[:40]} is a price per unit, not an amount.", "give the total, or leave the value out."
        )
    found = _AMOUNT.fullmatch(text)
    if found is None:
        if _HAN_NUMERALS.search(text) and not re.search(r"\d", text):
            return Problem(
                "han_numerals", f"{text[:40]} is written in Han numerals.", "give the amount in figures as well."
            )
        return Problem("not_a_number", f"{text[:40]!r} is not one amount.", "give one number, such as 1234567.89.")
    unit = found[2].strip("()。;:") or (unit_hint or "")
    if unit not in _UNITS:
        return _unknown_unit(unit)
    try:
        number = Decimal(found[1].replace(",", ""))
    except InvalidOperation:
        return Problem("not_a_number", f"{text[:40]!r} is not an amount.", "give one number, such as 1234567.89.")
    return _bounded(number, _UNITS[unit])


def _bounded(number: Decimal, unit: Decimal) -> Money | Problem:
    if not number.is_finite():
        return Problem("not_a_number", f"{number} is not an amount.", "give a number, or leave the value out.")
    amount = number * unit if unit != 1 else number
    if amount < 0:
        return Problem("negative_amount", f"{number} is below zero.", "give the amount without sign, or leave it out.")
    if amount > MONEY_MAX:
        return _too_large(str(number))
    return Money(amount.quantize(CENT, rounding=ROUND_HALF_UP))


def _too_large(text: str) -> Problem:
    return Problem(
        "amount_too_large",
        f"{text[:40]} is above ten trillion, more than any public work costs.",
        "check the unit and the digits.",
    )


def _unknown_unit(unit: str) -> Problem:
    return Problem(
        "unknown_unit", f"{unit[:20]!r} is no unit of money known here.", "give the amount in 元, 万元 or 亿元."
    )


@lru_cache(maxsize=100_000)
def _clean_text(text: str) -> str | None:
    if text.isascii() and text.isalnum():
        return text
    cleaned = _BLANKS.sub(" ", _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))).strip()
    return _BLANK_BY_HAN.sub("", cleaned) or None


@lru_cache(maxsize=100_000)
def _clean_name(name: str) -> str | None:
    cleaned = _clean_text(name)
    if cleaned is None:
        return None
    return _LOOSE_ENDS.sub("", _BLANK_BY_HAN_OR_MARK.sub("", cleaned)) or None
