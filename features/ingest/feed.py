"""The declarations of the source systems: what each delivers, and how it comes to be the contract's columns.

A file ``feeds/S01.yaml`` names a source, how it writes days, moments, money, ratios and words, and its feeds: the table
and the columns that a feed carries. Everything else follows from the data contract (``feed_cells``), unless a feed says
otherwise; ``smoke sources show S01 bid`` prints what follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, cast, get_args

import yaml

from features.errors import SmokeError
from features.ingest.formats.reading import ENDINGS, Format
from features.ingest.mapped import Plausible
from features.tables.columns import Table
from features.tables.contract import SOURCE_TABLES

Encoding = Literal["utf-8", "gb18030"]
DateStyle = Literal["dash", "slash", "han", "compact"]
MomentStyle = Literal["dash", "iso", "slash", "han", "compact", "epoch_ms"]
MoneyUnit = Literal["元", "万元"]
Ratios = Literal["fraction", "percent"]
Words = Literal["chinese", "values", "numbers"]
Projects = Literal["code", "id"]
VERSION = "更新时间"
FETCHED = "-fetched-"
"""What follows the feed in the name of a fetched file, whatever the format in which the source delivers files."""


class FeedError(SmokeError):
    """A declaration of a source does not fit the data contract."""


@dataclass(frozen=True)
class Style:
    """How a source writes things; a feed may differ from its source.

    Attributes:
        format: of the files.
        encoding: of CSV.
        dates: 2024-03-05 (dash), 2024/3/5 (slash), 2024年3月5日 (han), 20240305 (compact).
        moments: the same with a time; iso with T and zone; epoch_ms. Without a zone they are Asia/Shanghai.
        money: the unit of amounts, which their headings name.
        ratios: fraction (0.1), or percent (10) with (%) in the heading.
        words: Chinese words of ``words_zh.csv``; the contract's own values; or numbers 01, 02 in the contract's order.
        projects: by the national project code, or by the platform's id.
        expected_interval_min: minutes between two deliveries.
    """

    format: Format
    encoding: Encoding = "utf-8"
    dates: DateStyle = "dash"
    moments: MomentStyle = "dash"
    money: MoneyUnit = "元"
    ratios: Ratios = "fraction"
    words: Words = "chinese"
    projects: Projects = "code"
    expected_interval_min: int = 1440


@dataclass(frozen=True)
class Feed:
    """One kind of record of a source.

    Attributes:
        source: the source's code.
        name: of the feed; its files are ``<name>-<anything>.<ending of the format>``, or fetched ones.
        table: where its records go.
        columns: of the table, that it carries.
        style: how it writes things.
        version: the heading that tells the newer of two records.
        headings: for columns whose headings do not follow the rule, theirs.
        words: for columns whose words do not follow the rule, word to value (`codes:` in the declaration).
        plausible: amounts to hold against the parent's, lest 元 and 万元 were mixed up.
        automatic: whether it comes through an interface, not from a person's hand.
    """

    source: str
    name: str
    table: type[Table]
    columns: tuple[str, ...]
    style: Style
    version: str = VERSION
    headings: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    plausible: Mapping[str, Plausible] = field(default_factory=dict[str, Plausible])
    automatic: bool = True

    @property
    def code(self) -> str:
        """Return the name that quarantine, ledger and messages give it, such as ``S01/bid``."""
        return f"{self.source}/{self.name}"

    def files(self, folder: Path) -> list[Path]:
        """Return its files in a folder, oldest name first: delivered ones, and those that were fetched."""
        return sorted(path for path in folder.iterdir() if self._reads(path.name) and path.is_file())

    def format_of(self, path: Path) -> Format:
        """Return the format of one of its files."""
        if path.name.startswith(f"{self.name}{FETCHED}"):
            return "parquet" if path.suffix == ".parquet" else "jsonl"
        return self.style.format

    def _reads(self, name: str) -> bool:
        if name.startswith(f"{self.name}{FETCHED}"):
            return name.endswith((".jsonl", ".parquet"))
        named = name.startswith(f"{self.name}-") or name.split(".")[0] == self.name
        return named and name.endswith(ENDINGS[self.style.format])


@dataclass(frozen=True)
class Source:
    """A source system: its code, its Chinese name, whether it is switched on, and its feeds."""

    code: str
    name_zh: str
    enabled: bool
    feeds: tuple[Feed, ...]

    def feed(self, name: str) -> Feed:
        """Return a feed by name.

        Raises:
            FeedError: it has no such feed.
        """
        for one in self.feeds:
            if one.name == name:
                return one
        message = f"{self.code} has no feed {name!r}. Mend: take one of {', '.join(f.name for f in self.feeds)}."
        raise FeedError(message)


@cache
def sources() -> Mapping[str, Source]:
    """Return all declared sources by code."""
    folder = files("features.ingest") / "feeds"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    declared = [read_source((folder / name).read_text(encoding="utf-8"), name) for name in names]
    return {source.code: source for source in declared}


def source(code: str) -> Source:
    """Return a source by its code.

    Raises:
        FeedError: no source has it.
    """
    found = sources().get(code)
    if found is None:
        raise FeedError(f"There is no source {code!r}. Mend: take one of {', '.join(sources())}.")
    return found


def read_source(text: str, name: str) -> Source:
    """Read one declaration.

    Args:
        text: YAML.
        name: of the file, for messages.

    Raises:
        FeedError: it does not fit: an unknown key, table, column or style.
    """
    said = cast(dict[str, Any], yaml.safe_load(text))
    code = str(said.pop("code", ""))
    name_zh, enabled = str(said.pop("name_zh", "")), bool(said.pop("enabled", True))
    listed = cast(list[dict[str, Any]], said.pop("feeds", []))
    return Source(code, name_zh, enabled, tuple(_feed(code, said, dict(one), name) for one in listed))


def _feed(source: str, shared: Mapping[str, Any], said: dict[str, Any], file: str) -> Feed:
    where = f"{file}, feed {said.get('name')!r}"
    own = {key: said.pop(key) for key in list(said) if key in Style.__dataclass_fields__}
    style = _style({**shared, **own}, where)
    name = str(said.pop("name"))
    table_name = str(said.pop("table", name))
    table = SOURCE_TABLES.get(table_name)
    if table is None:
        raise FeedError(f"{where}: the data contract has no table {table_name!r} that sources deliver.")
    columns = tuple(cast(list[str], said.pop("columns", [])))
    headings = {
        column: (one,) if isinstance(one, str) else tuple(cast(list[str], one))
        for column, one in cast(dict[str, Any], said.pop("headings", {})).items()
    }
    words = {
        column: {str(word): str(value) for word, value in pairs.items()}
        for column, pairs in cast(dict[str, dict[Any, Any]], said.pop("codes", {})).items()
    }
    plausible = {
        column: Plausible(**check)
        for column, check in cast(dict[str, dict[str, Any]], said.pop("plausible", {})).items()
    }
    referring = [check.reference for check in plausible.values()]
    unknown = [one for one in (*columns, *headings, *words, *plausible, *referring) if one not in table.column_names()]
    if unknown or table.key() not in columns:
        missing = "" if table.key() in columns else f"its key {table.key()} is not among the columns"
        raise FeedError(f"{where}: {', '.join([*(f'{table.NAME} has no column {c}' for c in unknown), missing])}.")
    rest = {key: said.pop(key) for key in ("version", "automatic") if key in said}
    if said:
        raise FeedError(f"{where}: not understood: {', '.join(said)}.")
    return Feed(source, name, table, columns, style, headings=headings, words=words, plausible=plausible, **rest)


def _style(said: Mapping[str, Any], where: str) -> Style:
    allowed: dict[str, tuple[str, ...]] = {
        "format": get_args(Format),
        "encoding": get_args(Encoding),
        "dates": get_args(DateStyle),
        "moments": get_args(MomentStyle),
        "money": get_args(MoneyUnit),
        "ratios": get_args(Ratios),
        "words": get_args(Words),
        "projects": get_args(Projects),
    }
    for key, value in said.items():
        if key not in Style.__dataclass_fields__ or (key in allowed and value not in allowed[key]):
            options = f"; it is one of {', '.join(allowed[key])}" if key in allowed else ""
            raise FeedError(f"{where}: {key}: {value!r} is not understood{options}.")
    return Style(**said)
