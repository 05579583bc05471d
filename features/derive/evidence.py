"""Evidence: the keys and values of the rows that a result stands on, as JSON."""

from collections.abc import Sequence

import polars as pl


def rows_as_evidence(table: str | pl.Expr, key: str, fields: Sequence[str], *, where: pl.Expr | None = None) -> pl.Expr:
    """Aggregate the rows of one subject into a JSON list of ``{"table", "key", "fields"}``, sorted by key.

    Args:
        table: the source table's name; a column where rows come from several.
        key: the column that holds its primary key.
        fields: columns shown with each row; money and instants are written as text.
        where: leave out rows for which this is false.
    """
    shown = pl.struct(
        (table if isinstance(table, pl.Expr) else pl.lit(table)).alias("table"),
        pl.col(key).alias("key"),
        pl.struct(*[pl.col(name).cast(pl.String) for name in fields]).alias("fields"),
    ).struct.json_encode()
    if where is not None:
        shown = shown.filter(where)
    return pl.format("[{}]", shown.sort().str.join(","))


def joined_evidence(*lists: pl.Expr) -> pl.Expr:
    """Join lists of rows as ``rows_as_evidence`` makes them to one; null is a list without rows."""
    rows = [one.str.strip_prefix("[").str.strip_suffix("]") for one in lists]
    filled = pl.concat_list(pl.when(one != "").then(one) for one in rows)
    return pl.format("[{}]", filled.list.drop_nulls().list.join(","))
