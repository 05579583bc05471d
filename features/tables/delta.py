"""Reading a Delta table wherever its folder lies."""

from pathlib import Path

import polars as pl
from deltalake import DeltaTable

from features.errors import StoreError

UNUSABLE = "%[]"
"""Characters of a folder's name that Delta Lake takes for something else."""


def is_table(path: Path) -> bool:
    """Tell whether anything was ever committed to a table."""
    return (path / "_delta_log").is_dir()


def scan(path: Path) -> pl.LazyFrame | None:
    """Return the rows of a table's latest version; None where it holds no file.

    The files are named by the log and read as they are called: polars' own reader of Delta tables looks for them under
    percent-encoded names, and finds none in a folder with Chinese characters or blanks.
    """
    files = pl.DataFrame(DeltaTable(path).get_add_actions(flatten=True)).get_column("path").sort().to_list()
    return pl.scan_parquet([path / name for name in files], glob=False) if files else None


def check_folder(path: Path) -> None:
    """Refuse a folder in which tables cannot be kept.

    Raises:
        StoreError: its path has a character that Delta Lake cannot bear.
    """
    found = sorted({character for character in str(path.absolute()) if character in UNUSABLE})
    if found:
        message = f"{path} has {' and '.join(found)} in its path, where no table can be kept. Choose another folder."
        raise StoreError(message)
