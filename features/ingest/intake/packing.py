"""Rows that share no memory with the rows they were taken from."""

import io

import polars as pl

PACKED_BELOW_ROWS = 10_000


def packed(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows that may be held for long: a few rows of text hold on to all the text of their batch (polars 2.1).

    Filtered, gathered, sorted, copied in memory: the text stays where it was, and with it whatever lies beside it. Only
    writing it out takes it apart. Many rows are most of their batch and stay as they are.
    """
    if rows.height >= PACKED_BELOW_ROWS:
        return rows
    with io.BytesIO() as written:
        rows.write_ipc(written)
        written.seek(0)
        return pl.read_ipc(written)
