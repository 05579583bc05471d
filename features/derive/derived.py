"""The base of derived tables."""

import datetime as dt
import inspect
from typing import Any

import dataframely as dy
import polars as pl

from features.tables.source import SourceTables


class Derived(dy.Schema):
    """A table computed from source tables as of a moment; its schema and its derivation stand together."""

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, **params: Any) -> pl.LazyFrame:  # noqa: ANN401
        """Compute the table from rows whose event is at or before ``as_of``."""
        raise TypeError(f"{cls.__name__} does not say how it is derived.")

    @classmethod
    def parameters(cls) -> set[str]:
        """Return the names of the indicator parameters that the derivation takes."""
        return set(inspect.signature(cls.derive).parameters) - {"source", "as_of"}
