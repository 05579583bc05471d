"""How much two short texts are alike: Dice of their sets of character bigrams (rulings SI-077)."""

import polars as pl

STRUCK_OUT = r"[\d\s\p{P}\p{S}第一二三四五六七八九十标段包期]"
"""Digits, spaces, marks, and what only numbers lots."""


def bigrams(text: pl.Expr) -> pl.Expr:
    """Return the set of bigrams of a text without what only numbers it."""
    letters = text.str.replace_all(STRUCK_OUT, "").str.extract_all(r"(?s).")
    pairs = pl.concat_str(pl.element(), pl.element().shift(-1))
    return letters.list.eval(pairs).list.drop_nulls().list.unique(maintain_order=True)


def dice(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    """Return the likeness of two sets of bigrams, 0..1, rounded as comparisons are (rulings G13); 0 without any."""
    size = left.list.len() + right.list.len()
    common = left.list.set_intersection(right).list.len()
    return pl.when(size > 0).then((2 * common / size).round(9)).otherwise(0.0)
