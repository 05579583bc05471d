"""Writing a frame where a command was asked to: a file, whole or not at all, or standard output."""

import shutil
from enum import StrEnum
from pathlib import Path

import polars as pl
import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as Grid

from features.errors import InputError

ON_SCREEN = 100
LINE = 160
"""Characters of a line of a table; a wider terminal is filled."""


class Format(StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


def output_format(out: Path | None, format: Format | None = None) -> Format:  # noqa: A002
    """Return the format in which a frame will be written; asked first, so that no work is done in vain.

    Args:
        out: the file; None is standard output.
        format: None: what the file's ending says; a table on standard output.

    Raises:
        InputError: the format does not fit the place, or the place cannot be written.
    """
    files = {Format.JSON, Format.CSV, Format.PARQUET}
    if out is None:
        if format is Format.PARQUET:
            raise InputError("Parquet cannot go to the terminal.", field="--format", mend="say csv or json.")
        return format or Format.TABLE
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise InputError(f"{out} cannot be written.", field="--out", mend="name a file in a folder that exists.")
    if format is Format.TABLE:
        raise InputError("A table is for the terminal.", field="--format", mend="say json, csv or parquet.")
    ending = out.suffix.removeprefix(".")
    if format is None and ending not in files:
        mend = f"end the name in one of {', '.join(sorted(files))}, or give --format."
        raise InputError(f"{out} does not tell its format.", field="--out", mend=mend)
    return format or Format(ending)


def write_frame(frame: pl.DataFrame, out: Path | None, format: Format | None = None) -> None:  # noqa: A002
    """Write a frame to a file or, without one, to standard output.

    Raises:
        InputError: as ``output_format``.
    """
    chosen = output_format(out, format)
    if out is None:
        typer.echo(_text(frame, chosen).rstrip("\n"))
        return
    fresh = out.with_name(f".{out.name}.partial")
    if chosen is Format.PARQUET:
        frame.write_parquet(fresh)
    else:
        fresh.write_text(_text(frame, chosen), encoding="utf-8")
    fresh.replace(out)
    typer.echo(f"{out}: {frame.height} rows", err=True)


def print_whole(grid: Grid) -> None:
    """Print a grid of figures as wide as it is: a narrow terminal breaks its lines, and no figure loses its end."""
    console = Console()
    for column in grid.columns:
        column.no_wrap = True
    console.width = max(console.width, Measurement.get(console, console.options.update_width(1000), grid).maximum)
    console.print(grid)


def _text(frame: pl.DataFrame, format: Format) -> str:  # noqa: A002
    if format is Format.CSV:
        return frame.write_csv()
    if format is Format.JSON:
        return frame.write_json()
    to_the_second = pl.selectors.datetime().dt.to_string("%Y-%m-%d %H:%M:%S")
    width = max(LINE, shutil.get_terminal_size((LINE, 0)).columns)
    with pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_width_chars=width,
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        fmt_str_lengths=60,
    ):
        more = f"\n{ON_SCREEN} of {frame.height:,} rows; --format csv gives all." if frame.height > ON_SCREEN else ""
        return str(frame.head(ON_SCREEN).with_columns(to_the_second)) + more
