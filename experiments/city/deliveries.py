"""Facts become records as a source would write them: its headings, units, dates and code lists.

Nothing here knows files; what comes out is a frame with the headings of the feed, in the types that the format has
(JSON and Parquet know numbers), and one column more, :data:`MONTH`, the month of the delivery that carries the record.
"""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from experiments.city.facts import Facts, Population, fact_schema
from experiments.city.feeds import DATE, MOMENT, PERCENT, TEN_THOUSANDS, UPDATED, Feed
from experiments.city.headings import UPDATED_AT, Heading, headings, words
from experiments.city.people import project_codes

MONTH = "_month"
_BEIJING_MS = 8 * 3600 * 1000


@dataclass(frozen=True)
class Directory:
    """Names and numbers by which the sources know units, people and projects.

    Attributes:
        org_names: by org_no.
        org_codes: unified social credit codes by org_no.
        person_names: by person_no.
        id_nos: identity numbers by person_no.
        project_codes: project_id, project_code; of the projects at hand.
    """

    org_names: pl.Series
    org_codes: pl.Series
    person_names: pl.Series
    id_nos: pl.Series
    project_codes: pl.DataFrame

    @classmethod
    def of(cls, population: Population, facts: Facts) -> "Directory":
        """Return the directory of a population and of the projects of a block."""
        codes = project_codes(facts.get("project", pl.DataFrame(schema=fact_schema("project"))))
        people, units = population.persons, population.organisations
        return cls(units["name"], units["uscc"], people["name"], people["id_no"], codes)


def shape(feed: Feed, facts: pl.DataFrame, directory: Directory) -> pl.DataFrame:
    """Write facts the way a source does.

    A record of a source that knows projects by their national code is left out while the project has none.

    Args:
        feed: the feed that delivers them.
        facts: rows of the feed's table, in the columns of :func:`experiments.city.facts.fact_schema`.
        directory: names and codes of units, people and projects.

    Returns:
        One row a record: the headings of the feed, 更新时间, and :data:`MONTH` (as 202403).
    """
    if feed.keeps:
        # Part of a row: delivered when it is known, and again only when it differs.
        parts = list(dict.fromkeys(h.fact for h in headings(feed)))
        facts = facts.drop_nulls(list(feed.keeps)).unique(parts, keep="first", maintain_order=True)
    cells: list[pl.Series] = []
    for heading in headings(feed):
        cells.append(_cells(feed, heading, facts, directory).alias(heading.name))
    updated = facts["updated_at"]
    month = updated.dt.year().cast(pl.Int32) * 100 + updated.dt.month()
    cells += [_moment(feed, updated, UPDATED).alias(UPDATED_AT), month.alias(MONTH)]
    records = pl.DataFrame(cells)
    for heading in headings(feed):
        if heading.role == "project_code" and heading.required:
            records = records.filter(pl.col(heading.name).is_not_null())
    return records


def _cells(feed: Feed, heading: Heading, facts: pl.DataFrame, directory: Directory) -> pl.Series:
    values = facts[heading.fact]
    match heading.role:
        case "name":
            return directory.org_names.gather(values)
        case "code":
            return directory.org_codes.gather(values)
        case "person_name":
            return directory.person_names.gather(values)
        case "id_no":
            return directory.id_nos.gather(values)
        case "project_code":
            ids = facts.select(project_id=pl.col(heading.fact))
            return ids.join(directory.project_codes, on="project_id", how="left", maintain_order="left")["project_code"]
        case "parent":
            return values
        case "value":
            return _value(feed, heading, values, directory)


def _value(feed: Feed, heading: Heading, values: pl.Series, directory: Directory) -> pl.Series:
    match heading.type:
        case "bool":
            yes, no = ("1", "0") if feed.source == "S07" else ("是", "否")
            return values.replace_strict({True: yes, False: no}, return_dtype=pl.String)
        case "enum":
            return values.replace_strict(words(feed, heading.column), return_dtype=pl.String)
        case "decimal":
            return _money(feed, values)
        case "float" if heading.unit == "ratio" and feed.source in PERCENT:
            return (values * 100).round(4)
        case "date" if feed.format != "parquet":
            return values.dt.strftime(DATE[feed.source])
        case "datetime":
            return _moment(feed, values, MOMENT)
        case "json" if isinstance(values.dtype, pl.List):
            return _list(feed, values, directory)
        case _:
            return values


def _money(feed: Feed, values: pl.Series) -> pl.Series:
    if feed.source in TEN_THOUSANDS:
        return (values / 10_000).round(6).cast(pl.Decimal(18, 6))
    if feed.format in ("json", "jsonl"):
        return values.round(2)
    return values.round(2).cast(pl.Decimal(18, 2))


def _moment(feed: Feed, values: pl.Series, styles: dict[str, str]) -> pl.Series:
    if feed.format == "parquet":
        return values
    if feed.source == "S02":
        return values.dt.epoch("ms") - _BEIJING_MS
    return values.dt.strftime(styles[feed.source])


def _list(feed: Feed, values: pl.Series, directory: Directory) -> pl.Series:
    inner = values.dtype.inner  # pyright: ignore[reportAttributeAccessIssue] - the caller knows it for a list
    if inner == pl.Int32:
        values = _by_row(values, directory.org_codes.gather)
    elif isinstance(inner, pl.Struct):
        values = _by_row(values, lambda hits: _hits(hits, directory))
    return values if feed.format in ("json", "jsonl") else values.cast(pl.List(pl.String)).list.join(";")


def _hits(hits: pl.Series, directory: Directory) -> pl.Series:
    """Return names found in a bid file with the unit's code in place of its number."""
    fields = hits.struct.unnest()
    org = directory.org_codes.gather(fields["org_no"]).alias("org")
    return fields.select("kind", "value", org, "place").to_struct(hits.name)


def _by_row(lists: pl.Series, change: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Change the items of all lists at once and put them back; an empty list stays empty, null stays null."""
    table = pl.DataFrame({"row": pl.int_range(len(lists), eager=True), "item": lists})
    filled = table.filter(pl.col("item").list.len() > 0).explode("item")
    changed = filled.select("row", change(filled["item"]).alias("item"))
    changed = changed.group_by("row", maintain_order=True).agg("item")
    joined = table.rename({"item": "was"}).join(changed, on="row", how="left", maintain_order="left")
    empty = pl.lit([], dtype=changed.schema["item"])
    return joined.select(
        pl.when(pl.col("item").is_null() & pl.col("was").is_not_null()).then(empty).otherwise("item")
    ).to_series()
