"""Clauses of tender documents that restrict competition, found by words and phrases with their legal source."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, cast

import polars as pl
import yaml

from features.ingest.cleaning import clean_text
from features.tables.tendering import TenderClause


@dataclass(frozen=True)
class RestrictiveTerms:
    """What one kind of restriction is written like.

    Attributes:
        kind: a value of ``tender_clause.restrictive_flag``.
        law: the provisions that forbid it.
        patterns: regular expressions, any of which tells it.
        unless: regular expressions that say the opposite of it (``不得限定品牌``) or make it lawful.
    """

    kind: str
    law: tuple[str, ...]
    patterns: tuple[str, ...]
    unless: tuple[str, ...]


@cache
def restrictive_terms() -> tuple[RestrictiveTerms, ...]:
    """Return the dictionary, the more telling kinds first."""
    text = (files("features.ingest") / "restrictive_terms.yaml").read_text(encoding="utf-8")
    said = cast(list[dict[str, Any]], yaml.safe_load(text)["terms"])
    return tuple(
        RestrictiveTerms(one["kind"], tuple(one["law"]), tuple(one["patterns"]), tuple(one.get("unless", ())))
        for one in said
    )


def restrictive_flag(text: pl.Series) -> pl.Series:
    """Return the kind of restriction of each clause, ``none`` where no term of the dictionary is found.

    A finding is a hint for a reviewer; a clause without one may still restrict.
    """
    clause = pl.col("clause")
    flag = pl.lit("none")
    for one in reversed(restrictive_terms()):
        said = clause.str.contains("|".join(one.patterns))
        denied = clause.str.contains("|".join(one.unless)) if one.unless else pl.lit(False)
        flag = pl.when(said & ~denied).then(pl.lit(one.kind)).otherwise(flag)
    return _plain(text).to_frame("clause").select(restrictive_flag=flag).to_series()


def classified(rows: pl.DataFrame) -> pl.DataFrame:
    """Return clauses with their flag; one that was delivered, or set by a reviewer, stands."""
    found = restrictive_flag(rows.get_column("text"))
    if "restrictive_flag" in rows.columns:
        given = rows.get_column("restrictive_flag").cast(pl.String)
        found = given.fill_null(found) if given.null_count() < len(given) else found
    return rows.with_columns(found.cast(TenderClause.columns()["restrictive_flag"].dtype).alias("restrictive_flag"))


def _plain(text: pl.Series) -> pl.Series:
    """Return clauses half-width and without blanks, as the patterns are written."""
    unique = text.unique().drop_nulls().to_list()
    plain = [(clean_text(one) or "").replace(" ", "") for one in unique]
    return text.replace_strict(unique, plain, default=None, return_dtype=pl.String).fill_null("")
