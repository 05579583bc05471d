"""Writes frames as files in the contract's shape, the same bytes every time."""

import gzip
import io
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from features.tables.contract import SOURCE_TABLES

GZIP_ABOVE_BYTES = 300_000


def write_contract_files(tables: Mapping[str, pl.DataFrame], folder: Path) -> list[Path]:
    """Write one CSV file a table, gzipped above 300 kB, each proved against the contract first.

    The gzip header carries neither name nor time, so equal tables give equal bytes.

    Args:
        tables: frames by table name; columns of the contract that a frame leaves out are null and are not written.
        folder: made when absent; files of the same tables from an earlier run are replaced.

    Returns:
        The files written, in the contract's order.

    Raises:
        dataframely.exc.ValidationError: a frame does not keep the contract.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name, table in SOURCE_TABLES.items():
        if name not in tables:
            continue
        frame = tables[name]
        empty = table.create_empty()
        nulls = [pl.lit(None, dtype=empty.schema[column]).alias(column) for column in empty.columns]
        whole = frame.select(
            [column for column in nulls if column.meta.output_name() not in frame.columns] + [pl.all()]
        )
        valid = table.validate(whole.select(empty.columns), cast=True)
        text = io.BytesIO()
        valid.select([column for column in empty.columns if column in frame.columns]).with_columns(
            pl.selectors.datetime().dt.strftime("%Y-%m-%dT%H:%M:%S%:z")
        ).write_csv(text)
        content = text.getvalue()
        for old in (folder / f"{name}.csv", folder / f"{name}.csv.gz"):
            old.unlink(missing_ok=True)
        if len(content) > GZIP_ABOVE_BYTES:
            path = folder / f"{name}.csv.gz"
            path.write_bytes(gzip.compress(content, compresslevel=9, mtime=0))
        else:
            path = folder / f"{name}.csv"
            path.write_bytes(content)
        written.append(path)
    return written
