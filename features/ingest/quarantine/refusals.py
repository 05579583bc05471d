"""From failures to entries of quarantine: what was refused, why, and the record itself, fit to be kept."""

import json
from collections.abc import Sequence
from typing import Any

import dataframely as dy
import polars as pl

from features.ingest.identity.resolving import without_personal_numbers
from features.ingest.quarantine.entries import GIVEN, MASK, SEALED, VALUE_MAX
from features.ingest.quarantine.sealing import Seal
from features.ingest.table_cells import REASONS
from features.ingest.table_files import USED_TECHNICAL
from features.tables.columns import Table

_EMPTY_CELL = r'"\w+":null,?'
"""Within a text a quote would stand behind a backslash, so this is a cell and nothing else."""
_UNSPECIFIC = ("The record was refused: {reason}.", "correct it at the source.")


def shape(table: type[Table]) -> list[str]:
    """Return the cells of a record in the contract's shape: the table's columns and the technical ones it gives."""
    return list(dict.fromkeys([*table.column_names(), *USED_TECHNICAL]))


def entries(
    failures: pl.DataFrame,
    rows: pl.DataFrame,
    table: type[Table],
    *,
    feed: str,
    source_code: str,
    in_shape: bool,
    waiting: bool,
) -> pl.DataFrame:
    """Return entries of quarantine.

    Args:
        failures: columns of ``MAPPING_FAILURES``.
        rows: a row each that fails: ``row``, ``place``, ``key``, ``source_code``, ``valid_from_ts``, ``raw``,
            ``raw_encoding``.
        table: the table.
        feed: such as ``S01/bid``; what stands before the stroke is the source of the entry.
        source_code: the source system of rows that name none.
        in_shape: whether the raw records are in the contract's shape.
        waiting: whether the rows only wait.

    Returns:
        Columns ``GIVEN``.
    """
    said = _sentences(failures.select("field", "reason").unique(), table)
    columns = table.columns()
    shown = [name for name in columns if table.about(name)["personal_data_class"] == "none"]
    value = pl.col("value").fill_null("").map_elements(without_personal_numbers, return_dtype=pl.String)
    cut = pl.when(value.str.len_chars() <= VALUE_MAX).then(value).otherwise(value.str.slice(0, VALUE_MAX - 1) + "…")
    hidden = (value != "") & (pl.col("field") != "") & ~pl.col("field").is_in(shown)
    place = pl.col("place").str
    key = pl.col("key").map_elements(without_personal_numbers, return_dtype=pl.String)
    named = pl.when(key.is_null()).then("place").otherwise(pl.concat_str("place", pl.lit(" ("), key, pl.lit(")")))
    return (
        failures.join(rows, on="row", how="left", maintain_order="left")
        .join(said, on=["field", "reason"], how="left", maintain_order="left")
        .select(
            source=pl.lit(feed.partition("/")[0]),
            file=pl.when(place.contains(":")).then(place.replace(r":[^:]*$", "")).otherwise("place"),
            record=named,
            table=pl.lit(table.NAME),
            level="level",
            field="field",
            value=pl.when(hidden).then(pl.lit(MASK)).otherwise(cut),
            reason="reason",
            message=pl.coalesce("message", "said"),
            mend=pl.coalesce("mend", "mends"),
            raw="raw",
            raw_encoding="raw_encoding",
            feed=pl.lit(feed),
            source_code=pl.col("source_code").fill_null(source_code),
            place="place",
            key=key,
            valid_from_ts="valid_from_ts",
            in_shape=pl.lit(in_shape),
            waiting=pl.lit(waiting),
        )
        .select(*GIVEN)
    )


def kept(records: Sequence[str], table: type[Table], seal: Seal | None, *, in_shape: bool) -> tuple[list[str], str]:
    """Return records as they may be kept, and their encoding: sealed where there is a key.

    Without a key, a record loses its personal cells when it is in the contract's shape, and everything when it is not
    and the table has personal columns: then it cannot be judged again from here, and must be delivered again.
    """
    if seal is not None:
        return seal.close(records), SEALED
    personal = [name for name in table.column_names() if table.about(name)["personal_data_class"] != "none"]
    if not personal:
        return list(records), "text"
    return [_without(record, personal) if in_shape else MASK for record in records], "text"


def as_text(rows: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return typed rows as JSON in the contract's shape, all cells text, as ``read_cells`` reads them.

    Empty cells are left out, so that a row reads the same whatever rows stand beside it.
    """
    cells = [_cell(name, rows.schema[name]) for name in columns if name in rows.columns]
    given = pl.struct(cells).struct.json_encode().str.replace_all(_EMPTY_CELL, "").str.replace(r",\}$", "}")
    return rows.select(given).to_series().to_list()


def from_text(records: pl.Series, columns: Sequence[str]) -> pl.DataFrame:
    """Return the cells of JSON records as text; columns in which no record has a cell are left out."""
    cells = records.str.json_decode(pl.Struct(dict.fromkeys(columns, pl.String))).struct.unnest()
    return cells.select(column for column in cells if column.null_count() < cells.height)


def _cell(name: str, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Datetime):
        return pl.col(name).dt.to_string("%Y-%m-%dT%H:%M:%S%.6f%:z").alias(name)
    return pl.col(name).cast(pl.String)


def _without(record: str, personal: Sequence[str]) -> str:
    content: Any = json.loads(record)
    if not isinstance(content, dict):
        return MASK
    hidden = {name: MASK for name in personal if content.get(name)}  # type: ignore[reportUnknownMemberType]
    if isinstance(content.get("cells"), list):  # type: ignore[reportUnknownMemberType]
        return MASK
    return json.dumps({**content, **hidden}, ensure_ascii=False) if hidden else record


def _sentences(pairs: pl.DataFrame, table: type[Table]) -> pl.DataFrame:
    said = [_sentence(name, reason, table) for name, reason in pairs.iter_rows()]
    schema = {"said": pl.String(), "mends": pl.String()}
    return pairs.hstack(pl.DataFrame(said, schema=schema, orient="row"))


def _sentence(name: str, reason: str, table: type[Table]) -> tuple[str, str]:
    known = REASONS.get(reason)
    message, mend = (known.message, known.mend) if known else _UNSPECIFIC
    column = table.columns().get(name)
    about: dict[str, Any] = (column.metadata or {}) if column is not None else {}
    told = {
        "field": name,
        "reason": reason,
        "words": ", ".join(column.categories) if isinstance(column, dy.Enum) else "",
        "parent": about.get("references", "").split(".")[0] or table.NAME,
        "bounds": f"{getattr(column, 'min', None)} to {getattr(column, 'max', None)}",
    }
    return message.format(**told), mend.format(**told)
