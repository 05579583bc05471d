"""The parameters of indicators at a moment: the catalogue's, and over them what the centre has approved."""

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

import polars as pl

from features.assessment.declare import Entry, Indicator
from features.derive.configured import in_force
from features.errors import CatalogueError
from features.tables.reference import Param
from features.tables.source import SourceTables

_PARTS = frozenset({"share", "pct", "ratio", "rate", "p", "q"})


def as_configured(found: Iterable[Indicator], source: SourceTables, at: dt.datetime) -> tuple[Indicator, ...]:
    """Return indicators with the parameters that are in force at a moment.

    Raises:
        CatalogueError: a stored value does not read as its parameter.
    """
    changes = changed(source[Param], at)
    return tuple(replace(one, entry=with_changes(one.entry, changes)) for one in found)


def changed(changes: pl.LazyFrame, at: dt.datetime) -> dict[str, str]:
    """Return the values in force at a moment by key, such as ``SI-034.c_min``; what was never changed is left out."""
    return dict(in_force(changes, at).select("param_key", "current_value").collect().iter_rows())


def with_changes(entry: Entry, changes: Mapping[str, str]) -> Entry:
    """Return an entry with changed parameters.

    Raises:
        CatalogueError: a value does not read as the parameter.
    """
    own = {name: changes.get(f"{entry.id}.{name}") for name in entry.params}
    read = {name: read_value(entry, name, text) for name, text in own.items() if text is not None}
    return replace(entry, params={**entry.params, **read}) if read else entry


def read_value(entry: Entry, name: str, text: str) -> float | str:
    """Read the value of a parameter, of the kind of its default and within its bounds.

    Raises:
        CatalogueError: the text is no such value.
    """
    default = entry.params[name]
    if isinstance(default, str):
        return text
    least, most = _bounds(name, default)
    try:
        value = int(text) if isinstance(default, int) else float(text)
    except ValueError:
        value = math.nan
    if math.isfinite(value) and least <= value <= most:
        return value
    key = f"{entry.id}.{name}"
    message = (
        f"{key} is {text!r}, not {expected(entry, name)}. Mend: deliver a changed row of {key} with the same "
        f"valid_from; or, for moments from now on, smoke parameters propose {key} VALUE, and let somebody else approve."
    )
    raise CatalogueError(message)


def expected(entry: Entry, name: str) -> str:
    """Return what may stand for a parameter, such as ``a number from 0 to 1, such as 0.05``."""
    default = entry.params[name]
    if isinstance(default, str):
        return f"text such as {default}"
    kind = "a whole number" if isinstance(default, int) else "a number"
    least, most = _bounds(name, default)
    bounds = f" from {least:g} to {most:g}" if math.isfinite(most) else f" from {least:g}" if least == 0 else ""
    return f"{kind}{bounds}, such as {default}"


def _bounds(name: str, default: float) -> tuple[float, float]:
    """Return the least and the greatest value of a parameter.

    What is not negative by default is a count, a span, an amount or a part, of which none is ever negative. Shares,
    percentiles and probabilities end at 1; other ratios and rates do only where their default does, since some are
    quotients of two amounts. Growth, gaps and the like may well exceed 1, whatever their default.
    """
    least = 0 if default >= 0 else -math.inf
    most = 1 if 0 <= default <= 1 and not _PARTS.isdisjoint(name.split("_")) else math.inf
    return least, most
