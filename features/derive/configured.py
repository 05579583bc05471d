"""What the centre has configured: lists of generic values and single settings, dated, from the table ``param``.

An entry of a list is a row ``LIST.<list>.<anything>`` whose current value is the entry; a setting is a row
``SETTING.<name>``. An empty list excludes nothing (rulings G25).
"""

import datetime as dt

import polars as pl

from features.tables.reference import Param
from features.tables.source import SourceTables


def listed(source: SourceTables, name: str, at: dt.datetime) -> pl.Series:
    """Return the values of a list that are in force at a moment: trimmed, lower case, sorted, each once.

    Args:
        source: the tables.
        name: such as ``ip_whitelist``, ``boilerplate_author``, ``intermediary_accounts``.
        at: the moment.
    """
    rows = _in_force(source, at).filter(pl.col("param_key").str.starts_with(f"LIST.{name}."))
    value = pl.col("current_value").str.strip_chars().str.to_lowercase()
    return rows.select(value=value).unique().sort("value").collect().to_series()


def setting(source: SourceTables, name: str, at: dt.datetime) -> str | None:
    """Return the value of a setting in force at a moment; null when it is not configured."""
    rows = _in_force(source, at).filter(pl.col("param_key") == f"SETTING.{name}")
    found = rows.sort("valid_from").select("current_value").collect().to_series()
    return None if found.is_empty() else str(found[-1])


def _in_force(source: SourceTables, at: dt.datetime) -> pl.LazyFrame:
    started = (pl.col("valid_from") <= at).fill_null(value=True)
    ended = (pl.col("valid_to") <= at).fill_null(value=False)
    return source[Param].filter(started & ~ended, pl.col("scope_region_code").is_null())
