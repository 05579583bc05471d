"""Kinds of column of the data contract, each carrying what a reader must know about it.

Every column of a table is made by one of these functions, so that unit, Chinese label, personal-data class and
source system sit in its metadata. ``tests/unit/test_data_model.py`` holds each against ``model/data-model.csv``.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import dataframely as dy

ZONE = "Asia/Shanghai"
MONEY_MAX = 10**13
"""CNY. Ten trillion: above every public work, below what a slipped unit (分, 元 for 万元) produces."""
FIRST_DAY = dt.date(1949, 10, 1)
LAST_DAY = dt.date(2199, 12, 31)
FIRST_MOMENT = dt.datetime(1949, 10, 1, tzinfo=ZoneInfo(ZONE))
LAST_MOMENT = dt.datetime(2199, 12, 31, tzinfo=ZoneInfo(ZONE))


class Table(dy.Schema):
    """A table of the data contract.

    Attributes:
        NAME: the table's name in the data model.
        EVENT: the column whose instant decides whether a row counts as of a moment; None for reference tables.
    """

    NAME: ClassVar[str] = ""
    EVENT: ClassVar[str | None] = None

    @classmethod
    def key(cls) -> str:
        """Return the name of the primary-key column."""
        return cls.primary_key()[0]


def _about(label: str, source: str, *, unit: str = "", personal: str = "none", references: str = "") -> dict[str, Any]:
    return {
        "label_zh": label,
        "unit": unit,
        "personal_data_class": personal,
        "source_system": source,
        "references": references,
    }


def text(
    label: str,
    source: str,
    *,
    nullable: bool = False,
    key: bool = False,
    unique: bool = False,
    personal: str = "none",
    references: str = "",
) -> dy.String:
    """Free text or an identifier; keys and references are at most 200 characters and never empty."""
    identifier = key or unique or bool(references)
    return dy.String(
        nullable=nullable,
        primary_key=key,
        min_length=1 if identifier or not nullable else None,
        max_length=200 if identifier else None,
        metadata={**_about(label, source, personal=personal, references=references), "unique": unique},
    )


def enum(label: str, source: str, values: Sequence[str], *, nullable: bool = False) -> dy.Enum:
    """One of a closed list of words; an unknown word is refused, never folded into another."""
    return dy.Enum(values, nullable=nullable, metadata=_about(label, source))


def money(label: str, source: str, *, nullable: bool = False) -> dy.Decimal:
    """An amount in the currency of its lot (CNY where none is named), two decimals, 0 to ten trillion."""
    return dy.Decimal(18, 2, nullable=nullable, min=0, max=MONEY_MAX, metadata=_about(label, source, unit="CNY"))


def integer(
    label: str, source: str, *, unit: str = "", nullable: bool = False, low: int = 0, high: int = 10**9
) -> dy.Int64:
    """A whole number within bounds."""
    return dy.Int64(nullable=nullable, min=low, max=high, metadata=_about(label, source, unit=unit))


def number(
    label: str,
    source: str,
    *,
    unit: str = "",
    nullable: bool = False,
    low: float | None = None,
    high: float | None = None,
) -> dy.Float64:
    """A ratio, score or coordinate within bounds; never an amount of money. Infinite and NaN are refused."""
    return dy.Float64(
        nullable=nullable,
        min=low,
        max=high,
        allow_inf=False,
        allow_nan=False,
        metadata=_about(label, source, unit=unit),
    )


def flag(label: str, source: str, *, nullable: bool = False) -> dy.Bool:
    """Yes or no."""
    return dy.Bool(nullable=nullable, metadata=_about(label, source))


def day(label: str, source: str, *, nullable: bool = False) -> dy.Date:
    """A calendar day without zone; it counts from 24:00 of that day, Asia/Shanghai."""
    return dy.Date(nullable=nullable, min=FIRST_DAY, max=LAST_DAY, metadata=_about(label, source))


def moment(label: str, source: str, *, nullable: bool = False) -> dy.Datetime:
    """An instant, Asia/Shanghai, microseconds."""
    return dy.Datetime(
        nullable=nullable,
        min=FIRST_MOMENT,
        max=LAST_MOMENT,
        time_zone=ZONE,
        time_unit="us",
        metadata=_about(label, source),
    )


def json(label: str, source: str, *, nullable: bool = False) -> dy.String:
    """A JSON text."""
    return dy.String(nullable=nullable, metadata={**_about(label, source), "json": True})
