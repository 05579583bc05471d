"""What the contract says of tables and columns, as rows, for the ``tables`` command and the data dictionary."""

from collections.abc import Mapping
from functools import cache

import dataframely as dy

from features.tables.as_of import known_from
from features.tables.columns import Table
from features.tables.contract import ALL_TABLES, carried, data_model, words_zh

KINDS: Mapping[type[dy.Column], str] = {
    dy.String: "string",
    dy.Enum: "enum",
    dy.Decimal: "decimal",
    dy.Int64: "int",
    dy.Float64: "float",
    dy.Bool: "bool",
    dy.Date: "date",
    dy.Datetime: "datetime",
}
"""The data model's word for each kind of column; text that holds JSON is ``json``."""
Row = dict[str, str | int]


def table_rows() -> list[Row]:
    """Return one row a table, in the order of the data model: name, group, store, labels, columns, sources, event."""
    order = {row["table"]: place for place, row in enumerate(data_model())}
    return [table_row(table) for table in sorted(ALL_TABLES.values(), key=lambda table: order[table.NAME])]


def table_row(table: type[Table]) -> Row:
    """Return what the contract says of a table as a whole.

    ``known_from`` is the instant that makes a row known, the earliest of several; ``undated`` says what becomes of rows
    without it, where some may be.
    """
    known = ", ".join(table.KNOWN_FROM) or table.EVENT or ""
    return {
        "table": table.NAME,
        "group": table.GROUP,
        "store": table.STORE,
        "label_zh": table.LABEL_ZH,
        "columns": len(table.columns()),
        "sources": "+".join(sources(table)),
        "event": table.EVENT or "",
        "known_from": known,
        "undated": ("counts" if table.UNDATED_IS_PAST else "does not count") if known else "",
        "description": table.DESCRIPTION,
    }


def column_rows(table: type[Table]) -> list[Row]:
    """Return one row a column: label, type, unit, null, key, references, source, class, bounds, values, known_from."""
    known = known_from(table)
    return [
        {
            "column": name,
            "label_zh": table.about(name)["label_zh"],
            "type": "json" if table.about(name).get("json") else KINDS[type(column)],
            "unit": table.about(name)["unit"],
            "nullable": "yes" if column.nullable else "no",
            "key": key_of(table, name),
            "references": table.about(name)["references"],
            "source_system": table.about(name)["source_system"],
            "personal_data_class": table.about(name)["personal_data_class"],
            "bounds": bounds(column),
            "values": ";".join(f"{value}={word}" for value, word in words(table, name).items()),
            "known_from": known.get(name, ""),
            "description": _descriptions()[table.NAME, name],
        }
        for name, column in table.columns().items()
    ]


def key_of(table: type[Table], column: str) -> str:
    """Return PK, UK (unique), FK or nothing."""
    about = table.about(column)
    if table.columns()[column].primary_key:
        return "PK"
    return "UK" if about.get("unique") else "FK" if about["references"] else ""


def words(table: type[Table], column: str) -> Mapping[str, str]:
    """Return the values of a closed list, each with its Chinese word; nothing for other columns."""
    return words_zh().get((table.NAME, column), {})


def sources(table: type[Table]) -> list[str]:
    """Return the codes of the sources that columns of a table come from, in the order of ``model/sources.csv``."""
    named = {code for name in table.columns() for code in table.about(name)["source_system"].split("+")}
    return [row["code"] for row in carried("sources.csv") if row["code"] in named]


def bounds(column: dy.Column) -> str:
    """Return between what values of a column lie, or what form they have; nothing where anything goes."""
    if isinstance(column, dy.Decimal | dy.Int64 | dy.Float64):
        return "" if column.min is None or column.max is None else f"{column.min}..{column.max}"
    if isinstance(column, dy.Date | dy.Datetime):
        return f"{column.min:%Y-%m-%d}..{column.max:%Y-%m-%d}"
    if isinstance(column, dy.String) and column.regex:
        return "1950-01..2199-12"
    if isinstance(column, dy.String) and column.max_length:
        return f"{column.min_length}..{column.max_length} bytes"
    return ""


@cache
def _descriptions() -> Mapping[tuple[str, str], str]:
    return {(row["table"], row["column"]): row["description_en"] for row in data_model()}
