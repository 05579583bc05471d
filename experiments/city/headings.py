"""What stands in the first row of a feed's files: the Chinese headings, and what each cell holds."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import features.tables
from experiments.city.facts import contract_columns, fact_name
from experiments.city.feeds import PERCENT, TEN_THOUSANDS, Feed

UPDATED_AT = "更新时间"
Role = Literal["name", "code", "person_name", "id_no", "project_code", "parent", "value"]


@dataclass(frozen=True)
class Heading:
    """One column of a feed's files.

    Attributes:
        name: the heading.
        fact: the column of the facts that it is made of.
        column: the column of the contract.
        role: name or credit code of an organisation, name or identity number of a person, code of a project, id of
            another parent, or a value of its own.
        type: of the contract's column.
        unit: of the contract's column.
        key: whether it tells records apart.
        required: whether the contract demands it.
        parent: the table that it refers to, or empty.
    """

    name: str
    fact: str
    column: str
    role: Role
    type: str
    unit: str
    key: bool
    required: bool
    parent: str


@cache
def headings(feed: Feed) -> tuple[Heading, ...]:
    """Return the headings of a feed, 更新时间 apart, in the order of its files."""
    columns = {row["column"]: row for row in contract_columns(feed.table)}
    return tuple(h for name in feed.columns for h in _of_column(feed, columns[name]))


@cache
def record_heading(feed: Feed) -> str:
    """Return the heading whose value names a record in the list of planted dirt."""
    keys = [h for h in headings(feed) if h.key]
    return keys[-1].name


def _of_column(feed: Feed, row: dict[str, str]) -> list[Heading]:
    parent = row["references"].split(".")[0]
    key = row["key"] == "PK"
    label = row["label_zh"].removesuffix("(哈希)").removesuffix("(密文)")

    def one(name: str, role: Role = "value", *, is_key: bool = key) -> Heading:
        required = row["nullable"] == "no" and role not in ("name", "person_name") and not _relaxed(row)
        fact = fact_name(feed.table, row)
        return Heading(name, fact, row["column"], role, row["type"], row["unit"], is_key, required, parent)

    if feed.table == "organisation" and row["column"] in ("org_id", "uscc", "name"):
        # The register writes one record a unit: its name and its code stand for key, code and name.
        return [one("单位名称", "name", is_key=False), one("统一社会信用代码", "code")] if key else []
    if feed.table == "person" and row["column"] in ("person_id", "id_no_hash", "name"):
        return [one("姓名", "person_name", is_key=False), one("身份证号", "id_no")] if key else []
    if feed.table == "project" and key and feed.source != "P00":
        return [one("投资项目统一代码", "project_code")]
    if feed.table == "project" and row["column"] == "project_code":
        return [one(label)] if feed.source == "P00" else []
    if parent in ("organisation", "person") and row["type"] != "json":
        two: tuple[Role, Role] = ("name", "code") if parent == "organisation" else ("person_name", "id_no")
        tails = ("名称", "统一社会信用代码") if parent == "organisation" else ("姓名", "身份证号")
        return [one(label + tail, role) for tail, role in zip(tails, two, strict=True)]
    if parent == "department":
        return [one(f"{label}编码", "parent")]
    if parent == "project" and feed.source != "P00":
        return [one(label if feed.table == "project" else "投资项目统一代码", "project_code")]
    if parent and parent != "region":
        twice = sum(r["references"].split(".")[0] == parent for r in contract_columns(feed.table)) > 1
        own = twice or parent == feed.table
        return [one(label if own else contract_columns(parent)[0]["label_zh"], "parent")]
    return [one(_with_unit(feed, row, label), "parent" if parent else "value")]


def _with_unit(feed: Feed, row: dict[str, str], label: str) -> str:
    if row["type"] == "decimal":
        return f"{label}({'万元' if feed.source in TEN_THOUSANDS else '元'})"
    if row["unit"] == "ratio" and feed.source in PERCENT:
        return f"{label}(%)"
    return label


@cache
def words(feed: Feed, column: str) -> dict[str, str]:
    """Return how a source writes the values of a closed list: Chinese words, codes (S07) or our own values (S06)."""
    row = next(r for r in contract_columns(feed.table) if r["column"] == column)
    values = row["enum_values"].split(";")
    if feed.source == "S06":
        return {value: value for value in values}
    if feed.source == "S07":
        return {value: f"{place:02}" for place, value in enumerate(values, start=1)}
    return {value: _chinese()[feed.table, column, value] for value in values}


def _relaxed(row: dict[str, str]) -> bool:
    return (row["table"], row["column"]) in _relaxations()


@cache
def _relaxations() -> frozenset[tuple[str, str]]:
    path = Path(features.tables.__path__[0]) / "model" / "relaxed.csv"
    with path.open(encoding="utf-8", newline="") as lines:
        return frozenset((r["table"], r["column"]) for r in csv.DictReader(lines))


@cache
def _chinese() -> dict[tuple[str, str, str], str]:
    path = Path(features.tables.__path__[0]) / "model" / "words_zh.csv"
    with path.open(encoding="utf-8", newline="") as lines:
        return {(r["table"], r["column"], r["value"]): r["label_zh"] for r in csv.DictReader(lines)}
