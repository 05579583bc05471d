"""Delta tables wherever their folder lies: reading, appending in one commit, merging files."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

from features.errors import StoreError
from features.tables.columns import ZONE

UNUSABLE = "%[]"
"""Characters of a folder's name that Delta Lake takes for something else."""
KEPT_HOURS = 24
"""How long files that compaction has replaced stay for those who still read them."""
COMPACTED_BYTES = 128 << 20
COMPACT_ABOVE_FILES = 60


def is_table(path: Path) -> bool:
    """Tell whether anything was ever committed to a table."""
    return (path / "_delta_log").is_dir()


def scan(path: Path, schema: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    """Return the rows of a table's latest version; no rows of the schema where there is no table, or no file in it.

    The files are named by the log and read as they are called: polars' own reader of Delta tables looks for them under
    percent-encoded names, and finds none in a folder with Chinese characters or blanks. A column that the table did
    not have yet when a file was written is null there.
    """
    files = _files(path)
    if files.is_empty():
        return pl.LazyFrame(schema=schema)
    stored = pl.scan_parquet(
        [path / name for name in files.get_column("path").sort()],
        glob=False,
        schema=_on_disk(schema),
        missing_columns="insert",
        extra_columns="ignore",
    )
    return stored.select([_restore(name, dtype) for name, dtype in schema.items()])


def stream(path: Path, schema: Mapping[str, pl.DataType], at_once: int) -> Iterator[pl.DataFrame]:
    """Yield what ``scan`` returns, so many rows at a time and file by file: memory is that of one group of rows."""
    files = _files(path)
    for name in files.get_column("path").sort() if files.height else ():
        with pq.ParquetFile(path / name) as file:
            held = [column for column in schema if column in file.schema_arrow.names]
            for batch in file.iter_batches(at_once, columns=held):
                rows = pl.DataFrame(pl.from_arrow(batch))
                rows = rows.with_columns(
                    pl.lit(None, dtype=_disk_type(t)).alias(n) for n, t in schema.items() if n not in held
                )
                yield rows.select([_restore(column, dtype) for column, dtype in schema.items()])


def append(path: Path, rows: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> None:
    """Append rows in one atomic commit, the columns of the schema; columns new to the table are added to it."""
    if rows.is_empty():
        return
    path.mkdir(parents=True, exist_ok=True)
    stored = rows.select(*schema).cast(_on_disk(schema))  # type: ignore[arg-type]
    write_deltalake(path, stored.to_arrow(), mode="append", schema_mode="merge")


def n_files(path: Path) -> int:
    """Return how many data files a table consists of."""
    return _files(path).height


def tidy(path: Path) -> None:
    """Merge the files of a table once they are many, and remove those that a day ago were merged or torn."""
    if is_table(path) and n_files(path) > COMPACT_ABOVE_FILES:
        compact(path)
        vacuum(path, KEPT_HOURS)


def compact(path: Path) -> None:
    """Merge small files; what is read stays the same."""
    if is_table(path):
        DeltaTable(path).optimize.compact(target_size=COMPACTED_BYTES, max_concurrent_tasks=1)


def vacuum(path: Path, hours: int) -> None:
    """Remove files that belong to the table no longer, or never did because a load was killed, once they are so old."""
    if is_table(path):
        DeltaTable(path).vacuum(retention_hours=hours, enforce_retention_duration=False, dry_run=False, full=True)


def check_folder(path: Path) -> None:
    """Refuse a folder in which tables cannot be kept.

    Raises:
        StoreError: its path has a character that Delta Lake cannot bear.
    """
    found = sorted({character for character in str(path.absolute()) if character in UNUSABLE})
    if found:
        message = f"{path} has {' and '.join(found)} in its path, where no table can be kept. Choose another folder."
        raise StoreError(message)


def _files(path: Path) -> pl.DataFrame:
    return pl.DataFrame(DeltaTable(path).get_add_actions(flatten=True)) if is_table(path) else pl.DataFrame()


def _on_disk(schema: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
    """Delta knows neither enums nor zones other than UTC."""
    return {name: _disk_type(dtype) for name, dtype in schema.items()}


def _disk_type(dtype: pl.DataType) -> pl.DataType:
    if isinstance(dtype, pl.Enum):
        return pl.String()
    if isinstance(dtype, pl.Datetime):
        return pl.Datetime("us", "UTC")
    return dtype


def _restore(name: str, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Datetime):
        return pl.col(name).dt.convert_time_zone(ZONE)
    return pl.col(name).cast(dtype)
