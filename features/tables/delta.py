"""Reading a Delta table wherever its folder lies."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
from deltalake import DeltaTable

from features.errors import StoreError

UNUSABLE = "%[]"
"""Characters of a folder's name that Delta Lake takes for something else."""


def is_table(path: Path) -> bool:
    """Tell whether anything was ever committed to a table."""
    return (path / "_delta_log").is_dir()


def scan(path: Path, schema: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    """Return the rows of a table's latest version; no rows of the schema where there is no table, or no file in it.

    The files are named by the log and read as they are called: polars' own reader of Delta tables looks for them under
    percent-encoded names, and finds none in a folder with Chinese characters or blanks.
    """
    actions = pl.DataFrame(DeltaTable(path).get_add_actions(flatten=True)) if is_table(path) else pl.DataFrame()
    if actions.is_empty():
        return pl.LazyFrame(schema=schema)
    return pl.scan_parquet([path / name for name in actions.get_column("path").sort()], glob=False)


def check_folder(path: Path) -> None:
    """Refuse a folder in which tables cannot be kept.

    Raises:
        StoreError: its path has a character that Delta Lake cannot bear.
    """
    found = sorted({character for character in str(path.absolute()) if character in UNUSABLE})
    if found:
        message = f"{path} has {' and '.join(found)} in its path, where no table can be kept. Choose another folder."
        raise StoreError(message)
