"""The command ``smoke calendar``: working days in the contract's shape."""

from pathlib import Path
from typing import Annotated

import typer

from features.errors import InputError
from features.output import write_frame
from features.working_days import SHIPPED_YEARS, shipped_days

calendar_app = typer.Typer(
    help="The working-day calendar.\n\nExample: smoke calendar export --from 2023 --to 2026 --out DIR/calendar_day.csv",
    no_args_is_help=True,
)


@calendar_app.callback()
def calendar() -> None:
    """The working-day calendar that deadlines are counted in."""


@calendar_app.command()
def export(
    first: Annotated[int, typer.Option("--from", help="the first year")] = SHIPPED_YEARS.start,
    last: Annotated[int, typer.Option("--to", help="the last year")] = SHIPPED_YEARS[-1],
    out: Annotated[Path | None, typer.Option(help="a .csv or .parquet file; default: the terminal")] = None,
) -> None:
    """Write the shipped working days as rows of the table calendar_day, for correction and smoke ingest tables.

    Days of the table rule over the shipped ones, day by day; so a year that is not shipped yet is loaded this way.

    Example: smoke calendar export --from 2023 --to 2026 --out DIR/calendar_day.csv
    """
    if last < first:
        raise InputError(f"{first} is after {last}.", field="--from", mend="give the earlier year first.")
    write_frame(shipped_days(first, last), out)
