"""Delivered cells become values of the contract; what does not is named by column and reason."""

from dataclasses import dataclass

import dataframely as dy
import msgspec
import polars as pl

from features.tables.columns import ZONE, Table

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
AMOUNT = r"^[+-]?\d{1,16}(\.\d{0,2}0*)?$"
WHOLE = r"^[+-]?\d{1,18}(\.0*)?$"
DAY = r"^\d{4}-\d{2}-\d{2}$"
MOMENT = r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(\.\d{1,9})?\s*(Z|z|[+-]\d{2}:?\d{2})?)?$"


@dataclass(frozen=True)
class Reason:
    """Why a value is refused.

    Attributes:
        message: what was expected; ``{field}`` is the column. The value itself is never part of it.
        mend: what the sender can do.
    """

    message: str
    mend: str


REASONS: dict[str, Reason] = {
    "wrong_cell_count": Reason(
        "The row has fewer or more cells than the heading; the file may be cut off here.",
        "quote cells that hold commas or line breaks, or transfer the file again.",
    ),
    "unfinished_record": Reason(
        "The file ends within this row, or may: the last line of a CSV file has a line end too.",
        "end the file with a line end, or transfer it again.",
    ),
    "missing_value": Reason("{field} is empty and must not be.", "give its value."),
    "not_text": Reason("{field} is no text.", "write the column as text."),
    "not_an_amount": Reason(
        "{field} is no amount: figures with at most two decimals, without unit or thousands separator.",
        "give the amount in the lot's currency, such as 1234567.89.",
    ),
    "not_a_whole_number": Reason("{field} is no whole number.", "give figures only."),
    "not_a_number": Reason("{field} is no number.", "give figures with a decimal point."),
    "not_yes_or_no": Reason("{field} is neither yes nor no.", "give true or false, 1 or 0."),
    "not_a_day": Reason("{field} is no calendar day.", "give it as 2026-06-30."),
    "not_a_month": Reason("{field} is no month.", "give it as 2026-06."),
    "not_a_moment": Reason("{field} is no date-time.", "give it as 2026-06-30T09:00:00+08:00."),
    "unknown_word": Reason("{field} is none of the words of the contract.", "use one of {words}."),
    "not_json": Reason("{field} is no JSON.", "write it as JSON text."),
    "out_of_bounds": Reason("{field} is outside its bounds.", "check unit and figures; bounds: {bounds}."),
    "too_long": Reason("{field} is longer than 200 bytes.", "shorten it, the same in all tables."),
    "unknown_reference": Reason(
        "{field} names a row of {parent} that is neither stored nor taken from this delivery.",
        "deliver that row of {parent} as well, or correct the id.",
    ),
    "after_its_record": Reason(
        "{field} is later than the moment at which the source says that it recorded it.",
        "check the source's clock, and {field}.",
    ),
    "unit_suspected": Reason(
        "{field} is out of all proportion to the amount of what it belongs to.",
        "check its unit: 元 and 万元 may be mixed up.",
    ),
    "not_unique": Reason("{field} stands in rows of other keys too.", "correct it, or give one key to one thing."),
    "conflicting_duplicate": Reason(
        "Rows share the key, the source and the moment from which they count, and differ.",
        "keep one of them, or date the newer one later (valid_from_ts).",
    ),
}
_BOUNDS = {"min": "out_of_bounds", "max": "out_of_bounds", "inf": "out_of_bounds", "nan": "out_of_bounds",
           "min_length": "missing_value", "max_length": "too_long", "nullability": "missing_value",
           "regex": "not_a_month"}  # fmt: skip


@dataclass(frozen=True)
class Cells:
    """A batch after reading its cells.

    Attributes:
        rows: the contract's columns typed, then source_record_id and valid_from_ts where delivered.
        failures: columns row (place in the batch), field, reason; one row a failing column.
    """

    rows: pl.DataFrame
    failures: pl.DataFrame


FAILURES = {"row": pl.UInt32(), "field": pl.String(), "reason": pl.String()}


def read_cells(raw: pl.DataFrame, table: type[Table], *, whole: bool = True) -> Cells:
    """Cast delivered rows to the contract and name every cell that does not fit.

    Blank text is null; a column that is not delivered is null; a moment without zone is Asia/Shanghai, and a bare
    date in a moment's column is the last microsecond of that day.

    Args:
        raw: text from CSV, or the types of a Parquet file.
        table: the table.
        whole: columns that are not delivered are null, and null is refused where the contract refuses it; else only
            the columns delivered are given back, and what is missing is for others to judge.
    """
    named = raw.select(pl.all().name.prefix("raw:"))
    typed: list[pl.Expr] = []
    for name, column in table.columns().items():
        dtype = raw.schema.get(name)
        if dtype is not None:
            typed.append(_typed(pl.col(f"raw:{name}"), dtype, column).alias(name))
        elif whole:
            typed.append(pl.lit(None, dtype=column.dtype).alias(name))
    if "source_record_id" in raw.columns:
        typed.append(_blank_is_null(pl.col("raw:source_record_id").cast(pl.String)).alias("source_record_id"))
    if "source_code" in raw.columns and "source_code" not in table.column_names():
        typed.append(_blank_is_null(pl.col("raw:source_code").cast(pl.String)).alias("source_code"))
    if "valid_from_ts" in raw.columns:
        typed.append(_moment(pl.col("raw:valid_from_ts"), raw.schema["valid_from_ts"]).alias("valid_from_ts"))
    rows = named.select(*typed) if raw.width else pl.DataFrame(schema=table.create_empty().schema)
    return Cells(rows, _failures(named.hstack(rows), table, whole=whole))


def _failures(both: pl.DataFrame, table: type[Table], *, whole: bool) -> pl.DataFrame:
    masks: list[pl.Expr] = []
    for name, column in table.columns().items():
        if name not in both.columns:
            continue
        raw = f"raw:{name}"
        given = _given(pl.col(raw), both.schema[raw]) if raw in both.columns else pl.lit(False)
        masks.append((given & pl.col(name).is_null()).alias(f"{name}|{_reason(column)}"))
        for rule, holds in column.validation_rules(pl.col(name)).items():
            if rule == "nullability" and not whole:
                continue
            broken = ~holds.fill_null(True) if rule != "nullability" else pl.col(name).is_null() & ~given
            masks.append(broken.alias(f"{name}|{_BOUNDS[rule]}|{rule}"))
        if (column.metadata or {}).get("json"):
            wrong = pl.col(name).map_elements(_is_no_json, return_dtype=pl.Boolean).fill_null(False)
            masks.append(wrong.alias(f"{name}|not_json|"))
    if "valid_from_ts" in both.columns:
        given = _given(pl.col("raw:valid_from_ts"), both.schema["raw:valid_from_ts"])
        masks.append((given & pl.col("valid_from_ts").is_null()).alias("valid_from_ts|not_a_moment"))
    judged = both.select(*masks)
    found = [
        pl.DataFrame({"row": rows.cast(pl.UInt32)}).with_columns(
            field=pl.lit(mask.name.split("|")[0]), reason=pl.lit(mask.name.split("|")[1])
        )
        for mask in judged
        if (rows := mask.arg_true()).len()
    ]
    return pl.concat(found).unique(maintain_order=True) if found else pl.DataFrame(schema=FAILURES)


def _given(raw: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    return (_blank_is_null(raw) if dtype == pl.String else raw).is_not_null()


def _blank_is_null(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.strip_chars() != "").then(text)


def _reason(column: dy.Column) -> str:
    reasons: dict[type[dy.Column], str] = {
        dy.Enum: "unknown_word",
        dy.Decimal: "not_an_amount",
        dy.Int64: "not_a_whole_number",
        dy.Float64: "not_a_number",
        dy.Bool: "not_yes_or_no",
        dy.Date: "not_a_day",
        dy.Datetime: "not_a_moment",
    }
    return reasons.get(type(column), "not_text")


def _typed(raw: pl.Expr, dtype: pl.DataType, column: dy.Column) -> pl.Expr:
    if dtype == column.dtype and not isinstance(column, dy.String):
        return raw
    if isinstance(column, dy.Datetime):
        return _moment(raw, dtype)
    if isinstance(column, dy.Date):
        if dtype == pl.Date:
            return raw
        text = _as_text(raw, dtype)
        return pl.when(text.str.contains(DAY)).then(text).str.to_date("%Y-%m-%d", strict=False)
    if isinstance(column, dy.Bool):
        return raw if dtype == pl.Boolean else _yes_or_no(_as_text(raw, dtype))
    if isinstance(column, dy.String):
        return _blank_is_null(raw.cast(pl.String)) if _is_text(dtype) else pl.lit(None, dtype=pl.String)
    text = _as_text(raw, dtype)
    if isinstance(column, dy.Enum):
        return text.cast(column.dtype, strict=False)
    if isinstance(column, dy.Decimal):
        return pl.when(text.str.contains(AMOUNT)).then(text).cast(column.dtype, strict=False)
    if isinstance(column, dy.Int64):
        whole = pl.when(text.str.contains(WHOLE)).then(text.str.replace(r"\.0*$", ""))
        return whole.cast(pl.Int64, strict=False)
    if dtype.is_float():
        return raw.cast(pl.Float64)
    return pl.when(text.str.contains(NUMBER)).then(text).cast(pl.Float64, strict=False)


def _is_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.String | pl.Categorical | pl.Enum)


def _as_text(raw: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return a cell as text without blanks around it; what cannot be text is null."""
    if dtype.is_nested() or dtype == pl.Binary:
        return pl.lit(None, dtype=pl.String)
    return _blank_is_null(raw.cast(pl.String).str.strip_chars())


def _yes_or_no(text: pl.Expr) -> pl.Expr:
    word = text.str.to_lowercase()
    return pl.when(word.is_in(["true", "1"])).then(True).when(word.is_in(["false", "0"])).then(False)


def _moment(raw: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Datetime):
        microseconds = raw.dt.cast_time_unit("us")
        if dtype.time_zone is None:
            return microseconds.dt.replace_time_zone(ZONE, ambiguous="earliest", non_existent="null")
        return microseconds.dt.convert_time_zone(ZONE)
    text = _as_text(raw, dtype)
    part = [text.str.extract(MOMENT, group) for group in range(1, 6)]
    clock = part[1] + part[2].fill_null(":00") + part[3].fill_null("")
    naive = (part[0] + " " + clock.fill_null("23:59:59.999999")).str.to_datetime(
        "%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False
    )
    zone = part[4].str.to_uppercase().str.replace("Z", "+0000").str.replace(":", "", literal=True)
    minutes = zone.str.slice(1, 2).cast(pl.Int64) * 60 + zone.str.slice(3, 2).cast(pl.Int64)
    minutes = pl.when(zone.str.starts_with("-")).then(-minutes).otherwise(minutes)
    zoned = (naive - pl.duration(minutes=minutes)).dt.replace_time_zone("UTC").dt.convert_time_zone(ZONE)
    local = naive.dt.replace_time_zone(ZONE, ambiguous="earliest", non_existent="null")
    return pl.when(zone.is_null()).then(local).otherwise(zoned)


def _is_no_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return True
    return False
