"""What the centre has configured, dated, from the table ``param``: parameters, lists of generic values, settings.

A row is one change of one key: ``SI-034.c_min`` is a parameter, ``SETTING.gp_open_limit`` a setting, and every row
``LIST.ip_whitelist.<anything>`` an entry of a list. It counts from ``valid_from`` to ``valid_to``, once somebody else
than who proposed it has approved it; of several changes of one key the latest that has not ended counts, so that after
a temporary one the earlier value is back. An empty list excludes nothing (rulings G25).
"""

import datetime as dt

import polars as pl

from features.tables.reference import Param
from features.tables.source import SourceTables

LIST, SETTING = "LIST.", "SETTING."
NOTHING = "none"
"""The default of what is not configured: settings and entries of lists."""


def listed(source: SourceTables, name: str, at: dt.datetime) -> pl.Series:
    """Return the values of a list that are in force at a moment: trimmed, lower case, sorted, each once.

    Args:
        source: the tables.
        name: such as ``ip_whitelist``, ``boilerplate_author``, ``intermediary_accounts``.
        at: the moment.
    """
    rows = in_force(source[Param], at).filter(pl.col("param_key").str.starts_with(f"{LIST}{name}."))
    value = pl.col("current_value").str.strip_chars().str.to_lowercase()
    return rows.select(value=value).unique().sort("value").collect().to_series()


def setting(source: SourceTables, name: str, at: dt.datetime) -> str | None:
    """Return the value of a setting in force at a moment; null when it is not configured."""
    rows = in_force(source[Param], at).filter(pl.col("param_key") == f"{SETTING}{name}")
    found = rows.select("current_value").collect().to_series()
    return None if found.is_empty() else str(found[0])


def in_force(changes: pl.LazyFrame, at: dt.datetime) -> pl.LazyFrame:
    """Return of the changes of each key the latest that counts at a moment.

    Args:
        changes: rows of ``param``, every change.
        at: the moment.
    """
    started = (pl.col("valid_from") <= at).fill_null(value=False)
    ended = (pl.col("valid_to") <= at).fill_null(value=False)
    return (
        changes.filter(Param.approved(), started, ~ended, pl.col("scope_region_code").is_null())
        .sort("valid_from", "changed_at", "current_value")
        .unique("param_key", keep="last", maintain_order=True)
        .sort("param_key")
    )
