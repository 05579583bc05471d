"""Rows sent with a request: JSON in the contract's shape, checked cell by cell, into typed frames."""

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import dataframely as dy
import msgspec
import polars as pl

from features.clock import parse_moment
from features.errors import InputError
from features.tables.columns import FIRST_DAY, FIRST_MOMENT, LAST_DAY, LAST_MOMENT, Table
from features.tables.contract import FACT_TABLES
from features.tables.source import SourceTables
from serving.problems import problem

Row = Mapping[str, Any]
PARENTS = {"lot": ("tender",), "bid": ("lot", "tender"), "award": ("lot",)}
"""References that a scored lot stands on; a row that points nowhere would silently count for nothing."""
SHOWN = 60
_JSON = msgspec.json.Encoder(order="sorted", decimal_format="number")


class _Refused(Exception):  # noqa: N818
    """A cell is refused; carries what was expected in Chinese and in English."""


def record_frames(records: Mapping[str, Sequence[Row]]) -> dict[str, pl.DataFrame]:
    """Check rows against the data contract and return one frame a table.

    Money is a decimal string or a number of at most two decimals; a time without zone is Asia/Shanghai, a bare date
    counts to its end; blank strings are null; nullable columns may be left out.

    Args:
        records: rows by table name.

    Returns:
        Frames with the contract's columns, by table name; tables without rows are left out.

    Raises:
        ProblemError: the first cell at fault, by its path (``records.bid[2].bid_price``).
    """
    frames: dict[str, pl.DataFrame] = {}
    for name, rows in records.items():
        if name not in FACT_TABLES:
            raise problem(
                "invalid-record",
                field=f"records.{_short(name)}",
                detail=f"数据标准中没有数据表 {_short(name)!r}。",
                detail_en=f"The data contract has no source table {_short(name)!r}.",
                mend=f"可用的数据表：{'、'.join(FACT_TABLES)}。",
                mend_en=f"use one of {', '.join(FACT_TABLES)}.",
            )
        if rows:
            frames[name] = _frame(FACT_TABLES[name], rows)
    return frames


def check_references(frames: Mapping[str, pl.DataFrame], tables: SourceTables) -> None:
    """Check that lots, bids and awards point at tenders and lots that are sent along or stored.

    Args:
        frames: the rows sent.
        tables: the stored tables with the rows sent on top.

    Raises:
        ProblemError: the first reference that leads nowhere.
    """
    for name, parents in PARENTS.items():
        if name not in frames:
            continue
        for parent in parents:
            column = f"{parent}_id"
            sent = frames[name].with_row_index("_row")
            known = tables[FACT_TABLES[parent]].select(column)
            lost = sent.lazy().join(known, on=column, how="anti").sort("_row").select("_row", column).head(1).collect()
            for row, key in lost.iter_rows():
                raise problem(
                    "invalid-record",
                    field=f"records.{name}[{row}].{column}",
                    detail=f"所引用的 {_short(key)!r} 既不在已入库的 {parent} 表中，也不在本次请求中。",
                    detail_en=f"{_short(key)!r} is neither stored in table {parent} nor sent with the request.",
                    mend=f"请在 records.{parent} 中一并提供该行，或先将其入库。",
                    mend_en=f"send that row in records.{parent}, or load it first.",
                )


def _frame(table: type[Table], rows: Sequence[Row]) -> pl.DataFrame:
    columns = table.columns()
    typed: dict[str, list[Any]] = {name: [] for name in columns}
    first: dict[object, int] = {}
    for place, row in enumerate(rows):
        path = f"records.{table.NAME}[{place}]"
        for name in row:
            if name not in columns:
                raise problem(
                    "invalid-record",
                    field=f"{path}.{_short(name)}",
                    detail=f"数据表 {table.NAME} 没有字段 {_short(name)!r}。",
                    detail_en=f"Table {table.NAME} has no column {_short(name)!r}.",
                    mend="请删除该字段，或改用数据标准中的字段名。",
                    mend_en="leave it out, or use the contract's name of the column.",
                )
        for name, column in columns.items():
            typed[name].append(_cell(row.get(name), column, f"{path}.{name}"))
        key: object = typed[table.key()][-1]
        if key in first:
            raise problem(
                "invalid-record",
                field=f"{path}.{table.key()}",
                detail=f"主键 {_short(str(key))!r} 与第 {first[key]} 行（从 0 起）重复。",
                detail_en=f"The key {_short(str(key))!r} was given in row {first[key]} already.",
                mend="同一主键只保留一行。",
                mend_en="keep one row a key.",
            )
        first[key] = place
    return pl.DataFrame(typed, schema={name: column.dtype for name, column in columns.items()})


def _cell(value: object, column: dy.Column, path: str) -> object:
    if isinstance(value, str) and not value.strip():
        value = None
    if value is None:
        if column.nullable:
            return None
        _refuse(value, column, path, "该字段必填。", "this column must not be null: give a value.")
    try:
        return _typed(value, column)
    except _Refused as refused:
        zh, en = refused.args
        _refuse(value, column, path, zh, en)


def _refuse(value: object, column: dy.Column, path: str, zh: str, en: str) -> NoReturn:
    """Raise the problem of one cell; what a personal column holds is never repeated."""
    about = column.metadata or {}
    personal = about.get("personal_data_class", "none") != "none"
    shown = "***" if personal else _short("null" if value is None else str(value))
    label = about.get("label_zh", "")
    raise problem(
        "invalid-record",
        field=path,
        detail=f"{label}的值 {shown} 不符合数据标准。",
        detail_en=f"The value {shown} does not fit the data contract.",
        mend=zh,
        mend_en=en,
    )


def _typed(value: object, column: dy.Column) -> object:
    match column:
        case dy.Decimal():
            return _money(value, column)
        case dy.Int64():
            return _whole(value, column)
        case dy.Float64():
            return _real(value, column)
        case dy.Bool():
            if not isinstance(value, bool):
                raise _Refused("请填 true 或 false。", "give true or false.")
            return value
        case dy.Date():
            return _day(value)
        case dy.Datetime():
            return _moment(value)
        case dy.Enum():
            words = column.dtype.categories.to_list()  # type: ignore[union-attr]
            if not isinstance(value, str) or value not in words:
                raise _Refused(f"取值只能是：{'、'.join(words)}。", f"use one of {', '.join(words)}.")
            return value
        case _:
            return _text(value, column)


def _text(value: object, column: dy.Column) -> str:
    if (column.metadata or {}).get("json"):
        if not isinstance(value, str):
            return _JSON.encode(value).decode()
        try:
            msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _Refused("请填有效的 JSON。", "give valid JSON.") from None
        return value
    longest = getattr(column, "max_length", None)
    if not isinstance(value, str):
        raise _Refused("请填字符串。", "give a string.")
    if longest is not None and len(value) > longest:
        raise _Refused(f"不得超过 {longest} 个字符。", f"use at most {longest} characters.")
    return value


def _number(value: object) -> Decimal:
    """Read a number or a decimal string; a bool is none."""
    refused = _Refused("请填数字，如 1234567.89。", "give a number such as 1234567.89.")
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise refused
    if isinstance(value, int) and value.bit_length() > 256:
        raise refused
    try:
        number = Decimal(value.strip() if isinstance(value, str) else str(value))
    except InvalidOperation:
        raise refused from None
    if not number.is_finite():
        raise refused
    return number


def _bounded(number: Decimal, column: dy.Decimal | dy.Int64 | dy.Float64) -> None:
    low, high = column.min, column.max
    if (low is not None and number < Decimal(str(low))) or (high is not None and number > Decimal(str(high))):
        raise _Refused(
            f"应在 {'' if low is None else low} 至 {'' if high is None else high} 之间，请核对单位（元、万元）。",
            f"must lie between {low} and {high}; check the unit (元 or 万元).",
        )


def _money(value: object, column: dy.Decimal) -> Decimal:
    number = _number(value)
    _bounded(number, column)
    # Bounds come first: only then is writing the number out in full harmless.
    if number.as_tuple().exponent < -1000 or number != round(number, 2):  # type: ignore[operator]
        raise _Refused(
            "金额最多两位小数，请四舍五入后以字符串填写。",
            "money has at most two decimals: round it and send it as a string.",
        )
    return round(number, 2)


def _whole(value: object, column: dy.Int64) -> int:
    number = _number(value)
    _bounded(number, column)
    if number != number.to_integral_value():
        raise _Refused("请填整数。", "give a whole number.")
    return int(number)


def _real(value: object, column: dy.Float64) -> float:
    number = _number(value)
    _bounded(number, column)
    real = float(number)
    if real in (float("inf"), float("-inf")):
        raise _Refused("数值过大。", "the number is too large.")
    return real


def _day(value: object) -> dt.date:
    refused = _Refused("请填日期，如 2026-06-30。", "give a date such as 2026-06-30.")
    if not isinstance(value, str):
        raise refused
    try:
        day = dt.date.fromisoformat(value.strip())
    except ValueError:
        raise refused from None
    if not FIRST_DAY <= day <= LAST_DAY:
        raise refused
    return day


def _moment(value: object) -> dt.datetime:
    refused = _Refused(
        "请填时间，如 2026-06-30T09:30:00+08:00，年份在 1949 至 2199 之间。",
        "give a time such as 2026-06-30T09:30:00+08:00, between 1949 and 2199.",
    )
    if not isinstance(value, str):
        raise refused
    try:
        moment = parse_moment(value)
    except (InputError, OverflowError):
        raise refused from None
    if not FIRST_MOMENT <= moment <= LAST_MOMENT:
        raise refused
    return moment


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
