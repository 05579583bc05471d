"""Pair ids: two ends with their kind, sorted, so that a pair has one id whichever comes first (rulings G17)."""

import polars as pl


def pair_id(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    """Return the id of a pair of ends, as ``end`` makes them."""
    return pl.concat_str(pl.min_horizontal(left, right), pl.lit("~"), pl.max_horizontal(left, right))


def end(kind: str, key: pl.Expr) -> pl.Expr:
    """Return one end of a pair: ``bid``, ``organisation`` or ``person``, and its id."""
    return pl.concat_str(pl.lit(f"{kind}:"), key)


def organisation_pair(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    """Return the id of a pair of organisations."""
    return pair_id(end("organisation", left), end("organisation", right))


def bid_pair(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    """Return the id of a pair of bids."""
    return pair_id(end("bid", left), end("bid", right))


def person_and_organisation(person: pl.Expr, organisation: pl.Expr) -> pl.Expr:
    """Return the id of a pair of a person and an organisation."""
    return pair_id(end("person", person), end("organisation", organisation))
