"""The command ``smoke keys``."""

from pathlib import Path
from typing import Annotated

import typer

from features.ingest.keys import KEY_FILE, new_key_file

keys_app = typer.Typer(
    help="The keys that personal data stand under.\n\nExample: smoke keys new --out ~/.config/smoke-index/keys.env",
    no_args_is_help=True,
)


@keys_app.callback()
def _group() -> None:
    """Hold the name of a group that has one command."""


@keys_app.command()
def new(
    out: Annotated[Path, typer.Option(help="the file to write; outside the checkout and outside SMOKE_HOME")],
) -> None:
    """Write a file with fresh random keys, readable by its owner only, and say how to use it. No key is shown.

    Keep a copy in a safe place: without the keys no stored identity can be compared or read any more.

    Example: smoke keys new --out ~/.config/smoke-index/keys.env
    """
    new_key_file(out)
    typer.echo(f"export {KEY_FILE}={out.absolute()}")
