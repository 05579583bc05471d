"""The parameters of indicators at a moment: the catalogue's, and over them what the centre has approved."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import replace

import polars as pl

from features.assessment.declare import Entry, Indicator
from features.derive.configured import in_force
from features.errors import CatalogueError
from features.tables.reference import Param
from features.tables.source import SourceTables


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


def read_value(entry: Entry, name: str, text: str) -> float:
    """Read the value of a parameter, of the kind of its default.

    Raises:
        CatalogueError: the text is no such number.
    """
    default = entry.params[name]
    try:
        return int(text) if isinstance(default, int) else float(text)
    except ValueError as error:
        kind = "a whole number" if isinstance(default, int) else "a number"
        message = f"{entry.id}.{name} is {text!r}, which is not {kind} such as {default}. Mend: change it anew."
        raise CatalogueError(message) from error
