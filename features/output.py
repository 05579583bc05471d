"""Writing a frame where a command was asked to: a file, whole or not at all, or standard output."""

from enum import StrEnum
from pathlib import Path

import polars as pl
import typer

from features.errors import InputError


class Format(StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


def write_frame(frame: pl.DataFrame, out: Path | None, format: Format | None = None) -> None:  # noqa: A002
    """Write a frame.

    Args:
        frame: the rows.
        out: the file; None is standard output.
        format: None: what the file's ending says (Parquet where it says nothing), a table on standard output.

    Raises:
        InputError: the format does not fit the place.
    """
    ending = out.suffix.removeprefix(".") if out else ""
    chosen = format or (Format(ending) if ending in set(Format) else Format.PARQUET if out else Format.TABLE)
    if out is None:
        if chosen is Format.PARQUET:
            raise InputError("Parquet cannot go to the terminal.", field="--out", mend="name a file with --out.")
        typer.echo(_text(frame, chosen).rstrip("\n"))
        return
    if chosen is Format.TABLE:
        raise InputError("A table is for the terminal.", field="--format", mend="say json, csv or parquet.")
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = out.with_name(f".{out.name}.partial")
    if chosen is Format.PARQUET:
        frame.write_parquet(fresh)
    else:
        fresh.write_text(_text(frame, chosen), encoding="utf-8")
    fresh.replace(out)
    typer.echo(f"{out}: {frame.height} rows", err=True)


def _text(frame: pl.DataFrame, format: Format) -> str:  # noqa: A002
    if format is Format.CSV:
        return frame.write_csv()
    if format is Format.JSON:
        return frame.write_json()
    with pl.Config(tbl_rows=100, tbl_cols=-1, tbl_width_chars=160, tbl_hide_dataframe_shape=True, fmt_str_lengths=60):
        return str(frame)
