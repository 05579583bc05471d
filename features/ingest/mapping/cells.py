"""Which headings make up each column of a feed, and how: what follows from its declaration and the contract."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import dataframely as dy

from features.ingest.feed import Feed
from features.ingest.formats.chunks import heading
from features.ingest.identity.resolving import without_personal_numbers
from features.tables.columns import Table
from features.tables.contract import ALL_TABLES

Transform = Literal[
    "text", "whole", "number", "percent", "yuan", "wan_yuan", "flag", "day", "moment", "word", "json",
    "organisation", "organisations", "person", "id_no_hash", "id_no_enc", "project_code",
    "phone", "account", "email",
]  # fmt: skip
PROJECT_CODE = "投资项目统一代码"
_SEALED = re.compile(r"\((哈希|密文)\)$")
_NOT_IN_XML_NAMES = re.compile(r"[^\w.\-·]")


@dataclass(frozen=True)
class CellRule:
    """How one column comes out of a delivered record.

    Attributes:
        column: of the table.
        headings: the delivered cells that it is made of; two for an organisation (name, credit code) and a person
            (name, identity number).
        transform: what is done with them.
        words: for closed lists, delivered word to value.
        required: the contract demands a value.
        personal: the cells hold personal data.
    """

    column: str
    headings: tuple[str, ...]
    transform: Transform
    words: Mapping[str, str]
    required: bool
    personal: bool

    @property
    def made_of(self) -> str:
        """Return the heading whose cell is the value, or identifies it."""
        return self.headings[-1]


def cell_rules(feed: Feed) -> tuple[CellRule, ...]:
    """Return the effective mapping of a feed, in the order of the table's columns.

    Records of an organisation or a person always carry its name, whatever else the feed is about.
    """
    identity = {"organisation": ("org_id", "uscc", "name"), "person": ("person_id", "name", "id_no_hash", "id_no_enc")}
    carried = {*feed.columns, *identity.get(feed.table.NAME, ())}
    return tuple(_rule(feed, name) for name in feed.table.column_names() if name in carried)


def personal_headings(feed: Feed) -> frozenset[str]:
    """Return the headings of a feed whose cells hold personal data."""
    return frozenset(name for rule in cell_rules(feed) if rule.personal for name in rule.headings)


def public_headings(feed: Feed, record: Mapping[str, object]) -> frozenset[str]:
    """Return the headings under which a kept record of a feed holds no personal data.

    A unit that is given by a person's number is that person, by name too.
    """
    form = xml_name if feed.style.format == "xml" else heading
    rules, cells = cell_rules(feed), {form(name): str(cell) for name, cell in record.items()}
    people = {
        name
        for rule in rules
        if rule.transform == "organisation" and _is_a_person(cells.get(form(heading(rule.made_of)), ""))
        for name in rule.headings
    }
    declared = {feed.version, *(name for rule in rules for name in rule.headings)}
    public = {form(heading(name)) for name in declared - personal_headings(feed) - people}
    return frozenset(name for name in record if form(name) in public)


def has_key(feed: Feed, record: Mapping[str, object]) -> bool:
    """Tell whether a kept record of a feed has a cell that the key of its row is made of."""
    form = xml_name if feed.style.format == "xml" else heading
    named = {
        form(heading(name)) for rule in cell_rules(feed) if rule.column == feed.table.key() for name in rule.headings
    }
    return not named or any(cell not in (None, "") and form(name) in named for name, cell in record.items())


def _is_a_person(code: str) -> bool:
    return without_personal_numbers(code) != code


def _rule(feed: Feed, name: str) -> CellRule:
    column = feed.table.columns()[name]
    transform = _transform(feed, name, column)
    about = column.metadata or {}
    return CellRule(
        column=name,
        headings=feed.headings.get(name) or _headings(feed, name, transform),
        transform=transform,
        words=_words(feed, name, column),
        required=not column.nullable,
        personal=about["personal_data_class"] != "none" or transform in ("phone", "account", "email", "person"),
    )


def _transform(feed: Feed, name: str, column: dy.Column) -> Transform:
    about = column.metadata or {}
    parent = str(about.get("references", "")).split(".")[0]
    label = str(about["label_zh"])
    if about.get("json"):
        return "organisations" if name.endswith("org_ids") else "json"
    if parent == "organisation" or (feed.table.NAME == "organisation" and name in ("org_id", "uscc")):
        return "organisation"
    if parent == "person" or (feed.table.NAME == "person" and name == "person_id"):
        return "person"
    if name in ("id_no_hash", "id_no_enc"):
        return name
    if label.endswith("(哈希)"):
        return "phone" if "phone" in name else "email" if "email" in name else "account"
    if feed.style.projects == "code" and (
        parent == "project" or (feed.table.NAME == "project" and name == "project_id")
    ):
        return "project_code"
    ratio = about.get("unit") == "ratio" and feed.style.ratios == "percent"
    kinds: dict[type[dy.Column], Transform] = {
        dy.Enum: "word",
        dy.Decimal: "wan_yuan" if feed.style.money == "万元" else "yuan",
        dy.Int64: "whole",
        dy.Float64: "percent" if ratio else "number",
        dy.Bool: "flag",
        dy.Date: "day",
        dy.Datetime: "moment",
    }
    return kinds.get(type(column), "text")


def _headings(feed: Feed, name: str, transform: Transform) -> tuple[str, ...]:
    table = feed.table
    about = table.columns()[name].metadata or {}
    label = _SEALED.sub("", str(about["label_zh"]))
    parent = ALL_TABLES.get(str(about.get("references", "")).split(".")[0])
    if table.NAME == "organisation" and transform == "organisation":
        return ("单位名称", "统一社会信用代码")
    if table.NAME == "person" and transform in ("person", "id_no_hash", "id_no_enc"):
        return ("姓名", "身份证号")
    if transform == "organisation":
        return (f"{label}名称", f"{label}统一社会信用代码")
    if transform == "person":
        return (f"{label}姓名", f"{label}身份证号")
    if transform in ("yuan", "wan_yuan"):
        return (f"{label}({feed.style.money})",)
    if transform == "percent":
        return (f"{label}(%)",)
    if name == table.key() and transform == "project_code":
        return (PROJECT_CODE,)
    if parent is None or parent.NAME == "region":
        return (label,)
    if parent.NAME == "department":
        return (f"{label}编码",)
    if parent is table or _times(table, parent) > 1:
        return (label,)
    key_label = str((parent.columns()[parent.key()].metadata or {})["label_zh"])
    return (PROJECT_CODE if transform == "project_code" else key_label,)


def _times(table: type[Table], parent: type[Table]) -> int:
    """Return how many columns of a table refer to a parent."""
    references = [str((column.metadata or {}).get("references", "")) for column in table.columns().values()]
    return sum(one.split(".")[0] == parent.NAME for one in references)


def _words(feed: Feed, name: str, column: dy.Column) -> Mapping[str, str]:
    if not isinstance(column, dy.Enum):
        return {}
    if name in feed.words:
        return {heading(word): value for word, value in feed.words[name].items()}
    values = [str(value) for value in column.categories]
    if feed.style.words == "values":
        return {value: value for value in values}
    if feed.style.words == "numbers":
        return {f"{place:02}": value for place, value in enumerate(values, 1)}
    return {heading(_chinese()[feed.table.NAME, name, value]): value for value in values}


@cache
def _chinese() -> Mapping[tuple[str, str, str], str]:
    text = (files("features.tables") / "model" / "words_zh.csv").read_text(encoding="utf-8")
    return {(row["table"], row["column"], row["value"]): row["label_zh"] for row in csv.DictReader(text.splitlines())}


def xml_name(name: str) -> str:
    """Return a heading as the name of an XML element: without the characters that such a name cannot have."""
    return _NOT_IN_XML_NAMES.sub("", name)
