"""Rows that share no memory with the rows they were taken from."""

import io

import polars as pl


def packed(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows that may be held for long: a few rows of text hold on to all the text of their batch (polars 2.1).

    Filtered, gathered, sorted, copied in memory: the text stays where it was, and with it whatever lies beside it. Only
    writing it out takes it apart. Rows that are most of what they hold on to stay as they are.
    """
    texts = [one for one in rows if one.dtype == pl.String]
    if held_bytes(texts) <= 2 * sum(one.estimated_size() for one in texts) + 1024:
        return rows
    with io.BytesIO() as written:
        rows.write_ipc(written)
        written.seek(0)
        return pl.read_ipc(written)


def held_bytes(texts: list[pl.Series]) -> int:
    """Return the bytes of memory that columns of text keep from being freed, those beside their own included."""
    return sum(one.to_arrow(compat_level=pl.CompatLevel.newest()).get_total_buffer_size() for one in texts)
