"""Commands: tables list, tables show, tables html."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from features.errors import InputError
from features.output import Format, output_format, write_frame
from features.tables.columns import Table
from features.tables.contract import ALL_TABLES
from features.tables.dictionary_page import dictionary_page
from features.tables.listing import Row, column_rows, table_row, table_rows

LISTED = ("table", "label_zh", "group", "store", "columns", "sources", "event")

tables_app = typer.Typer(
    no_args_is_help=True,
    help="List and show the 73 tables, or write the data dictionary.\n\nExample: smoke tables show bid",
)
Formatted = Annotated[Format | None, typer.Option(help="table (default), json or csv.")]


@tables_app.command("list")
def list_tables(format: Formatted = None) -> None:  # noqa: A002
    """List the 73 tables in the order of the data model. Example: smoke tables list --format csv."""
    rows = pl.DataFrame(table_rows())
    write_frame(rows.select(LISTED) if output_format(None, format) is Format.TABLE else rows, None, format)


@tables_app.command("show")
def show_table(
    table: Annotated[str, typer.Argument(help="Name of the table, such as bid.")],
    format: Formatted = None,  # noqa: A002
) -> None:
    """Show the columns of one table: type, unit, key, source, class, bounds, values, and when they become known.

    Example: smoke tables show bid
    """
    declared = _named(table)
    if output_format(None, format) is not Format.TABLE:
        write_frame(pl.DataFrame(column_rows(declared)), None, format)
        return
    about = table_row(declared)
    typer.echo(f"{about['table']} {about['label_zh']}（{about['group']}, {about['store']}）")
    typer.echo(f"{about['description']}")
    if about["event"]:
        typer.echo(f"event: {about['event']}; row known from: {about['known_from']}; undated: {about['undated']}")
    write_frame(pl.DataFrame([_shown(row) for row in column_rows(declared)]), None)


@tables_app.command("html")
def write_page(
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("docs/data-dictionary.html"),
) -> None:
    """Write the data dictionary as one HTML page. Example: smoke tables html --out docs/data-dictionary.html."""
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise InputError(f"{out} cannot be written.", field="--out", mend="name a file in a folder that exists.")
    out.write_text(dictionary_page(), encoding="utf-8", newline="\n")
    typer.echo(f"{out}: {len(ALL_TABLES)} tables", err=True)


def _named(name: str) -> type[Table]:
    if name not in ALL_TABLES:
        near = get_close_matches(name, ALL_TABLES, n=1)
        mend = f"say {near[0]}." if near else "see smoke tables list."
        raise InputError(f"There is no table {name!r}.", field="TABLE", mend=mend)
    return ALL_TABLES[name]


def _shown(row: Row) -> Row:
    """Return a column's row for the eye: what belongs together in one cell."""
    values = str(row["values"]).replace(";", "  ")
    key = " ".join(part for part in (str(row["key"]), str(row["references"])) if part)
    return {
        "column": row["column"],
        "label_zh": row["label_zh"],
        "type": " ".join(part for part in (str(row["type"]), str(row["unit"])) if part),
        "null": row["nullable"],
        "key": key,
        "source": row["source_system"],
        "class": row["personal_data_class"],
        "values": "\n".join(part for part in (values, str(row["bounds"]), str(row["description"])) if part),
        "known_from": row["known_from"],
    }
