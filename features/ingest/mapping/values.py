"""Delivered cells become values: days, moments, amounts, ratios, yes and no, words, lists.

No money passes through floats, and nothing is guessed: what does not read is null here, and named by ``mapping``.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec
import polars as pl

from features.ingest.feed import Feed
from features.ingest.mapping.cells import CellRule, Transform
from features.ingest.table_cells import AMOUNT, NUMBER, WHOLE
from features.tables.columns import ZONE

WAN_AMOUNT = r"^[+-]?\d{1,12}(\.\d{0,6}0*)?$"
"""An amount in 万元: six decimals are cents."""
MILLISECONDS = r"^-?\d{1,15}$"
_YES, _NO = ("是", "1", "true"), ("否", "0", "false")
_DAYS: Mapping[str, str] = {
    "dash": "%Y-%m-%d",
    "slash": "%Y/%m/%d",
    "han": "%Y年%m月%d日",
    "compact": "%Y%m%d",
    "iso": "%Y-%m-%d",
}
_TIMES: Mapping[str, tuple[str, ...]] = {
    "dash": ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"),
    "slash": ("%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S"),
    "han": ("%Y年%m月%d日 %H:%M", "%Y年%m月%d日 %H:%M:%S"),
    "compact": ("%Y%m%d%H%M%S",),
}
_DAY_SHAPES: Mapping[str, str] = {
    "dash": r"\d{4}-\d{2}-\d{2}",
    "slash": r"\d{4}/\d{1,2}/\d{1,2}",
    "han": r"\d{4}年\d{1,2}月\d{1,2}日",
    "compact": r"\d{8}",
    "iso": r"\d{4}-\d{2}-\d{2}",
}
_CLOCK_SHAPES: Mapping[str, str] = {
    "dash": r" \d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?",
    "slash": r" \d{1,2}:\d{2}(:\d{2})?",
    "han": r" \d{1,2}:\d{2}(:\d{2})?",
    "compact": r"\d{6}",
    "iso": r"T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|z|[+-]\d{2}(:?\d{2})?)",
}
"""What a day and the time after it look like, whole: parsing alone takes 11:2 for two past eleven, and it may be the
rest of 11:27. Only slash and han leave leading zeros out, and never those of minutes and seconds."""
SHOWN: Mapping[str, tuple[str, str]] = {
    "dash": ("2024-03-05", "2024-03-05 14:30:00"),
    "slash": ("2024/3/5", "2024/3/5 14:30"),
    "han": ("2024年3月5日", "2024年3月5日 14:30"),
    "compact": ("20240305", "20240305143000"),
    "iso": ("2024-03-05", "2024-03-05T14:30:00+08:00"),
    "epoch_ms": ("2024-03-05", "1709620200000"),
}
"""A day and a moment in each style, for messages."""

Reason = Literal[
    "not_a_whole_number", "not_a_number", "not_an_amount", "not_yes_or_no", "not_a_day", "not_a_moment", "unknown_word"
]
REASON_OF: Mapping[Transform, Reason] = {
    "whole": "not_a_whole_number",
    "number": "not_a_number",
    "percent": "not_a_number",
    "yuan": "not_an_amount",
    "wan_yuan": "not_an_amount",
    "flag": "not_yes_or_no",
    "day": "not_a_day",
    "moment": "not_a_moment",
    "word": "unknown_word",
}
"""Transforms that a cell can fail, and the code of the failure."""


def tidied(delivered: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return a cell with blanks around text gone and blank text null; lists of text are joined by ``;``."""
    if dtype == pl.Null:
        return delivered.cast(pl.String)
    if dtype == pl.String:
        text = delivered.str.strip_chars()
        return pl.when(text != "").then(text)
    if dtype == pl.List(pl.String):
        return delivered.list.join(";")
    return delivered


def half_width(cells: pl.Series) -> pl.Series:
    """Return figures and words half-width (１２３ is 123), as they are compared and read."""
    if cells.dtype != pl.String or not (cells.str.len_bytes() != cells.str.len_chars()).any():
        return cells
    return cells.str.normalize("NFKC")


def value(cell: pl.Expr, dtype: pl.DataType, rule: CellRule, feed: Feed) -> pl.Expr:
    """Return the value of a column from its tidied cell; null where there is none or it does not read.

    Args:
        cell: the cell.
        dtype: its type: text, or the stored type of a Parquet file.
        rule: what the column is.
        feed: how days and moments are written.
    """
    text = cell if dtype == pl.String else cell.cast(pl.String)
    match rule.transform:
        case "whole":
            return pl.when(text.str.contains(WHOLE)).then(text.str.replace(r"\.0*$", "")).cast(pl.Int64, strict=False)
        case "number":
            plain = pl.when(text.str.contains(NUMBER)).then(text).cast(pl.Float64, strict=False)
            return cell.cast(pl.Float64) if dtype.is_float() else plain
        case "percent":
            plain = text.str.strip_suffix("%")
            return pl.when(plain.str.contains(AMOUNT_LIKE)).then(plain + "e-2").cast(pl.Float64, strict=False)
        case "yuan":
            return pl.when(text.str.contains(AMOUNT)).then(text).cast(pl.Decimal(18, 2), strict=False)
        case "wan_yuan":
            return pl.when(text.str.contains(WAN_AMOUNT)).then(text + "e4").cast(pl.Decimal(18, 2), strict=False)
        case "flag":
            yes = pl.when(text.is_in(_YES)).then(True).when(text.is_in(_NO)).then(False)
            return cell if dtype == pl.Boolean else yes
        case "day":
            return _day(cell, dtype, feed)
        case "moment":
            return moment(cell, dtype, feed.style.moments)
        case "word":
            return text.replace_strict(rule.words, default=None, return_dtype=pl.String)
        case _:
            return text


AMOUNT_LIKE = r"^[+-]?(\d+\.?\d*|\.\d+)$"
"""Figures without exponent, to which one can be added: 7.3 percent is 7.3e-2, exactly read."""


def _day(cell: pl.Expr, dtype: pl.DataType, feed: Feed) -> pl.Expr:
    if dtype == pl.Date:
        return cell
    if isinstance(dtype, pl.Datetime):
        return cell.dt.date()
    text = cell.cast(pl.String)
    read = _parsed_day(text, feed.style.dates)
    if feed.style.format == "xlsx":  # a cell of the workbook's own date type
        read = pl.coalesce(read, _parsed_day(text.str.strip_suffix(" 00:00:00"), "dash"))
    return read


def _parsed_day(text: pl.Expr, style: str) -> pl.Expr:
    return _shaped(text, _DAY_SHAPES[style]).str.to_date(_DAYS[style], strict=False)


def _shaped(text: pl.Expr, shape: str) -> pl.Expr:
    return pl.when(text.str.contains(f"^{shape}$")).then(text)


def moment(cell: pl.Expr, dtype: pl.DataType, style: str) -> pl.Expr:
    """Return an instant, Asia/Shanghai, microseconds; a bare day is its last microsecond (data-model.md section 2)."""
    if isinstance(dtype, pl.Datetime):
        exact = cell.dt.cast_time_unit("us")
        return exact.dt.convert_time_zone(ZONE) if dtype.time_zone else _local(exact)
    if dtype == pl.Date:
        return _end_of(cell)
    text = cell.cast(pl.String)
    if style == "epoch_ms":
        count = pl.when(text.str.contains(MILLISECONDS)).then(text).cast(pl.Int64, strict=False)
        instant = count.cast(pl.Datetime("ms")).dt.cast_time_unit("us").dt.replace_time_zone("UTC")
        return instant.dt.convert_time_zone(ZONE)
    shaped, day = _shaped(text, _DAY_SHAPES[style] + _CLOCK_SHAPES[style]), _end_of(_parsed_day(text, style))
    if style == "iso":
        zoned = shaped.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", time_zone="UTC", strict=False)
        return pl.coalesce(zoned.dt.convert_time_zone(ZONE), day)
    times = [shaped.str.to_datetime(one, time_unit="us", strict=False) for one in _TIMES[style]]
    return pl.coalesce(_local(pl.coalesce(times)), day)


def _local(naive: pl.Expr) -> pl.Expr:
    return naive.dt.replace_time_zone(ZONE, ambiguous="earliest", non_existent="null")


def _end_of(day: pl.Expr) -> pl.Expr:
    return _local(day.cast(pl.Datetime("us")) + pl.duration(days=1) - pl.duration(microseconds=1))


def json_texts(cells: pl.Series) -> pl.Series:
    """Return JSON texts: what is JSON already as it is, anything else as a list of its parts between ``;``."""
    unique = cells.unique().drop_nulls().to_list()
    return cells.replace_strict(unique, [_json(text) for text in unique], default=None, return_dtype=pl.String)


def parts(text: str) -> list[str]:
    """Return the items of a list, delivered as a JSON array of texts or joined by ``;``."""
    if text.startswith("["):
        try:
            return msgspec.json.decode(text, type=list[str])
        except msgspec.DecodeError:
            return [text]
    return [part.strip() for part in text.replace("；", ";").split(";") if part.strip()]


def _json(text: str) -> str:
    return text if text[:1] in "[{" else msgspec.json.encode(parts(text)).decode()
