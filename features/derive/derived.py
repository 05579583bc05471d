"""The base of derived tables."""

import inspect
from collections.abc import Callable
from typing import ClassVar

import dataframely as dy
import polars as pl


class Derived(dy.Schema):
    """A table computed from source tables as of a moment; its schema and its derivation stand together.

    Attributes:
        derive: computes the table from rows whose event is at or before a moment; every derived table states it as a
            class method ``derive(source, as_of, ...)``, whose further arguments are parameters of its indicators.
        READS_VALUES: the indicators of which it reads what fired at the same moment, from the table
            ``indicator_value``; they read none themselves.
    """

    derive: ClassVar[Callable[..., pl.LazyFrame]]
    READS_VALUES: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def parameters(cls) -> set[str]:
        """Return the names of the indicator parameters that the derivation takes."""
        return set(inspect.signature(cls.derive).parameters) - {"source", "as_of"}
