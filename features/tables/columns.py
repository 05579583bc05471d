"""Kinds of column of the data contract, each carrying what a reader must know about it.

Every column of a table is made by one of these functions, so that unit, Chinese label, personal-data class, source
system and the instant it is known from sit in its metadata. ``tests/unit/test_data_model.py`` holds each against
``model/data-model.csv``.
"""

import csv
import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar, Literal, TypedDict, Unpack
from zoneinfo import ZoneInfo

import dataframely as dy

ZONE = "Asia/Shanghai"
MONEY_MAX = 10**13
"""CNY. Ten trillion: above every public work, below what a slipped unit (分, 元 for 万元) produces."""
QUANTITY_MAX = 10**12
"""In the unit of a bill of quantities: above every real quantity."""
FIRST_DAY = dt.date(1949, 10, 1)
LAST_DAY = dt.date(2199, 12, 31)
FIRST_MOMENT = dt.datetime(1949, 10, 1, tzinfo=ZoneInfo(ZONE))
LAST_MOMENT = dt.datetime(2199, 12, 31, tzinfo=ZoneInfo(ZONE))
MONTH = r"^(19[5-9]\d|20\d\d|21\d\d)-(0[1-9]|1[0-2])$"
ITSELF = "itself"
"""``known_from`` of an instant that is known once it has come, such as a payment's; what days and moments are."""
WITH_ROW = ""
"""``known_from`` of what is known as soon as its row is, such as a deadline; what all other columns are."""
OF_TABLE = {"GROUP": "group", "STORE": "store", "LABEL_ZH": "label_zh", "DESCRIPTION": "description_en"}
"""Attributes of a table that ``model/data-model-tables.csv`` states, and their headings there."""


class About(TypedDict, total=False):
    """What any column may say of itself.

    Attributes:
        personal: the class of personal data: none, personal or sensitive.
        references: the key that it refers to, as table.column.
        known_from: the instant before which the column is not known, written as ``Table.EVENT`` is.
    """

    personal: Literal["none", "personal", "sensitive"]
    references: str
    known_from: str


class Table(dy.Schema):
    """A table of the data contract.

    An instant is the name of a column (a moment; a day, which counts from its 24:00; a month, which counts from its
    end), or leads to one through references, as ``bid_id.tender_id.opening_at`` does. ``a | b`` is the first of them
    that is not null.

    Attributes:
        NAME: the table's name in the data model.
        EVENT: the instant at which what the row tells of happened: windows and counts run on it (rulings G2); None for
            reference tables, which are known at all times.
        KNOWN_FROM: where rows are known before their event (a payment is applied for, then paid): the instants of
            which the earliest makes the row known. Empty: the event does.
        UNDATED_IS_PAST: a row without any of these instants counts as known; otherwise it does not count.
        GROUP, STORE, LABEL_ZH, DESCRIPTION: the table's subject group, where it is kept (delta or sql), its Chinese
            name and what a row is, as ``model/data-model-tables.csv`` says.
    """

    NAME: ClassVar[str] = ""
    EVENT: ClassVar[str | None] = None
    KNOWN_FROM: ClassVar[tuple[str, ...]] = ()
    UNDATED_IS_PAST: ClassVar[bool] = False
    GROUP: ClassVar[str]
    STORE: ClassVar[str]
    LABEL_ZH: ClassVar[str]
    DESCRIPTION: ClassVar[str]

    def __init_subclass__(cls, **options: object) -> None:
        """Take over what the data model says of the table as a whole."""
        super().__init_subclass__(**options)
        said = _tables()[cls.NAME]
        for attribute, heading in OF_TABLE.items():
            setattr(cls, attribute, said[heading])

    @classmethod
    def key(cls) -> str:
        """Return the name of the primary-key column."""
        return cls.primary_key()[0]

    @classmethod
    def about(cls, column: str) -> dict[str, Any]:
        """Return the metadata of a column."""
        return cls.columns()[column].metadata or {}

    @classmethod
    def sensitive_columns(cls) -> list[str]:
        """Return the columns that are kept apart and read through the audited door only."""
        return [name for name in cls.column_names() if cls.about(name)["personal_data_class"] == "sensitive"]

    @classmethod
    def public_columns(cls) -> list[str]:
        """Return the columns that computations see: all but the sensitive ones."""
        return [name for name in cls.column_names() if cls.about(name)["personal_data_class"] != "sensitive"]


@cache
def _tables() -> Mapping[str, Mapping[str, str]]:
    text = (files("features.tables") / "model" / "data-model-tables.csv").read_text(encoding="utf-8")
    return {row["table"]: row for row in csv.DictReader(text.splitlines())}


def _about(label: str, source: str, said: About, *, unit: str = "", known_from: str = WITH_ROW) -> dict[str, Any]:
    return {
        "label_zh": label,
        "unit": unit,
        "personal_data_class": said.get("personal", "none"),
        "source_system": source,
        "references": said.get("references", ""),
        "known_from": said.get("known_from", known_from),
    }


def text(
    label: str,
    source: str,
    *,
    nullable: bool = False,
    key: bool = False,
    unique: bool = False,
    **said: Unpack[About],
) -> dy.String:
    """Free text or an identifier; keys and references are at most 200 bytes and never empty."""
    identifier = key or unique or "references" in said
    return dy.String(
        nullable=nullable,
        primary_key=key,
        min_length=1 if identifier or not nullable else None,
        max_length=200 if identifier else None,
        metadata={**_about(label, source, said), "unique": unique},
    )


def enum(label: str, source: str, values: Sequence[str], *, nullable: bool = False, **said: Unpack[About]) -> dy.Enum:
    """One of a closed list of words; an unknown word is refused, never folded into another."""
    return dy.Enum(values, nullable=nullable, metadata=_about(label, source, said))


def money(
    label: str, source: str, *, signed: bool = False, nullable: bool = False, **said: Unpack[About]
) -> dy.Decimal:
    """An amount in the currency of its lot (CNY where none is named), two decimals, up to ten trillion.

    Args:
        label: its Chinese name.
        source: the source systems.
        signed: it may be below zero: a difference, a refund, a reversal.
        nullable: it may be missing.
        said: what any column may say of itself.
    """
    low = -MONEY_MAX if signed else 0
    return dy.Decimal(
        18, 2, nullable=nullable, min=low, max=MONEY_MAX, metadata=_about(label, source, said, unit="CNY")
    )


def integer(
    label: str,
    source: str,
    *,
    unit: str = "",
    nullable: bool = False,
    low: int = 0,
    high: int = 10**9,
    **said: Unpack[About],
) -> dy.Int64:
    """A whole number within bounds."""
    return dy.Int64(nullable=nullable, min=low, max=high, metadata=_about(label, source, said, unit=unit))


def number(
    label: str,
    source: str,
    *,
    unit: str = "",
    nullable: bool = False,
    low: float | None = None,
    high: float | None = None,
    **said: Unpack[About],
) -> dy.Float64:
    """A ratio, score or coordinate within bounds; never an amount of money. Infinite and NaN are refused."""
    return dy.Float64(
        nullable=nullable,
        min=low,
        max=high,
        allow_inf=False,
        allow_nan=False,
        metadata=_about(label, source, said, unit=unit),
    )


def flag(label: str, source: str, *, nullable: bool = False, **said: Unpack[About]) -> dy.Bool:
    """Yes or no."""
    return dy.Bool(nullable=nullable, metadata=_about(label, source, said))


def day(label: str, source: str, *, nullable: bool = False, key: bool = False, **said: Unpack[About]) -> dy.Date:
    """A calendar day without zone; it counts from 24:00 of that day, Asia/Shanghai."""
    about = _about(label, source, said, known_from=ITSELF)
    return dy.Date(nullable=nullable, primary_key=key, min=FIRST_DAY, max=LAST_DAY, metadata=about)


def moment(label: str, source: str, *, nullable: bool = False, **said: Unpack[About]) -> dy.Datetime:
    """An instant, Asia/Shanghai, microseconds."""
    return dy.Datetime(
        nullable=nullable,
        min=FIRST_MOMENT,
        max=LAST_MOMENT,
        time_zone=ZONE,
        time_unit="us",
        metadata=_about(label, source, said, known_from=ITSELF),
    )


def year_month(label: str, source: str, *, nullable: bool = False, **said: Unpack[About]) -> dy.String:
    """A month as YYYY-MM, 1950 to 2199; it counts from its end, Asia/Shanghai."""
    about = _about(label, source, said, unit="YYYY-MM")
    return dy.String(nullable=nullable, regex=MONTH, metadata=about)


def json(label: str, source: str, *, nullable: bool = False, **said: Unpack[About]) -> dy.String:
    """A JSON text."""
    return dy.String(nullable=nullable, metadata={**_about(label, source, said), "json": True})
