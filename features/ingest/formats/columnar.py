"""Parquet."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from features.ingest.formats.chunks import CHUNK_ROWS, Chunk, FileError, headings, placed


def read_columnar(path: Path) -> Iterator[Chunk]:
    """Yield the rows of a Parquet file in their stored types. Places count records.

    Raises:
        FileError: the file is no Parquet, or is cut off.
    """
    before = 0
    try:
        with pq.ParquetFile(path) as file:
            delivered = list(file.schema_arrow.names)
            names = headings(path, delivered)
            renamed = dict(zip(delivered, names, strict=True))
            for batch in file.iter_batches(batch_size=CHUNK_ROWS):
                rows = cast(pl.DataFrame, pl.from_arrow(pa.Table.from_batches([batch]))).rename(renamed)
                numbers = pl.Series(range(before + 1, before + rows.height + 1), dtype=pl.Int64)
                yield Chunk(rows, placed(path, numbers))
                before += rows.height
            if not before:
                empty = cast(pl.DataFrame, pl.from_arrow(file.schema_arrow.empty_table())).rename(renamed)
                yield Chunk(empty, pl.Series(dtype=pl.String))
    except (pa.ArrowException, OSError) as error:
        what = f"The file is no Parquet, or is damaged after record {before:,}."
        raise FileError(path.name, what, "write and transfer it again; what is loaded stays.") from error
