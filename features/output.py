"""Writing a frame where a command was asked to: a file, whole or not at all, or standard output.

On standard output a frame is a table where the terminal is wide enough for it, with long texts folded between words,
and else a block of ``field  value`` lines a row. No cell is ever cut, nor a word broken: an id can be copied. Where the
output is no terminal, and ``COLUMNS`` does not say otherwise, it is one line a row, however long.
"""

import datetime as dt
import io
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import polars as pl
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from features.errors import InputError

ON_SCREEN = 100
"""Rows of a frame that are printed as a table."""
BOUNDLESS = 1_000_000
"""Characters of a line where the output is no terminal."""
FOLDS = (BOUNDLESS, 60, 40, 24)
"""Widths at which texts are folded, the first that lets the table fit."""


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


def on_screen(frame: pl.DataFrame) -> str:
    """Return a frame as a table, or as blocks where the terminal is too narrow for one."""
    width = shutil.get_terminal_size((BOUNDLESS, 0)).columns
    rows = [[_cell(value) for value in row] for row in frame.iter_rows()]
    for fold in FOLDS if rows else FOLDS[:1]:
        table = whole(_grid(frame.schema, rows, fold))
        if not rows or max(map(cell_len, table.splitlines())) <= width:
            return table
    return "\n\n".join(_block(frame.columns, row) for row in rows)


def print_block(row: Mapping[str, object]) -> None:
    """Print one row, a line a field."""
    typer.echo(_block(list(row), [_cell(value) for value in row.values()]))


def print_whole(grid: Grid) -> None:
    """Print a grid of figures as wide as it is: a narrow terminal breaks its lines, and no figure loses its end."""
    typer.echo(whole(grid))


def plain_grid(*headings: str) -> Grid:
    """Return an empty grid in the looks of all tables."""
    return Grid(*headings, box=None, pad_edge=False, padding=(0, 2, 0, 0))


def whole(grid: Grid) -> str:
    """Return a grid as text, as wide as it is."""
    text = io.StringIO()
    Console(file=text, width=BOUNDLESS, color_system=None).print(grid)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _grid(schema: pl.Schema, rows: Sequence[Sequence[str]], fold: int) -> Grid:
    grid = plain_grid()
    for name, dtype in schema.items():
        grid.add_column(name, justify="right" if dtype.is_numeric() else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*[Text(_folded(cell, fold)) for cell in row])
    return grid


def _folded(cell: str, width: int) -> str:
    """Return a text in lines of so many characters, broken between words only."""
    if len(cell) <= width:
        return cell
    lines = [textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) for line in cell.splitlines()]
    return "\n".join(part for line in lines for part in line)


def _block(names: Sequence[str], cells: Sequence[str]) -> str:
    width = max(map(cell_len, names)) + 2
    return "\n".join(_line(name, cell, width) for name, cell in zip(names, cells, strict=True))


def _line(name: str, cell: str, width: int) -> str:
    """Return a field and its value; further lines of the value stand below its first."""
    return (name.ljust(width) + cell.replace("\n", "\n" + " " * width)).rstrip()


def _cell(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, dt.datetime) else str(value)


def _text(frame: pl.DataFrame, format: Format) -> str:  # noqa: A002
    if format is Format.CSV:
        return frame.write_csv()
    if format is Format.JSON:
        return frame.write_json()
    more = f"\n{ON_SCREEN} of {frame.height:,} rows; --format csv gives all." if frame.height > ON_SCREEN else ""
    return on_screen(frame.head(ON_SCREEN)) + more
