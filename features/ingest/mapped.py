"""What a door hands to the intake, and what the intake answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import polars as pl

MAPPING_FAILURES: Mapping[str, pl.DataType] = MappingProxyType(
    {
        "row": pl.UInt32(),
        "field": pl.String(),
        "reason": pl.String(),
        "level": pl.String(),
        "value": pl.String(),
        "message": pl.String(),
        "mend": pl.String(),
    }
)
"""What was found wrong: place in the batch, column or heading, stable code; ``level`` is ``row`` (the row is refused)
or ``value`` (it loads with null there). ``value`` is what stood there; it is shown only where ``field`` is a column
without personal data. ``message`` and ``mend`` are sentences without personal data; null takes those that
``table_cells.REASONS`` has for the reason."""

Derive = Callable[[pl.DataFrame], pl.DataFrame]
"""Adds or fills columns of typed rows whose references are known, before required columns are checked. Columns and
rows stay otherwise as they are, in their order."""


@dataclass(frozen=True)
class MappedBatch:
    """Some records of a delivery in the contract's shape, at best 20,000 to 200,000 of them.

    Attributes:
        rows: columns of the table, any of them with the key among them, as text or typed; optionally
            ``source_record_id``, ``valid_from_ts`` (when the source changed the record) and ``source_code``. A key or
            reference may be written ``<unique column>:<value>``, such as ``project_code:2301-511302-04-01-123456``.
        places: where each row stands, such as ``bid-202403.csv:12``.
        raw: gives the records at these places in the batch as delivered; asked only for rows that are refused.
        failures: what the mapping itself found, columns of ``MAPPING_FAILURES``.
        introduced: by table name (organisation, person), rows to make known because this batch mentions them; they
            count only where no entitled source says more.
    """

    rows: pl.DataFrame
    places: pl.Series
    raw: Callable[[Sequence[int]], list[str]]
    failures: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=dict(MAPPING_FAILURES)))
    introduced: Mapping[str, pl.DataFrame] = field(default_factory=dict[str, pl.DataFrame])


@dataclass(frozen=True)
class Plausible:
    """An amount that must stand in a sane ratio to one of the parent's, or 元 and 万元 were mixed up.

    Attributes:
        reference: the column that names the parent.
        amount: the parent's column to compare with.
        low: the least ratio of the value to the parent's.
        high: the greatest.
    """

    reference: str
    amount: str
    low: float
    high: float


@dataclass(frozen=True)
class Counts:
    """Rows of a delivery; ``read = loaded + unchanged + superseded + quarantined`` holds always.

    ``superseded`` rows are stored too: they are older than what is in force.
    """

    read: int = 0
    loaded: int = 0
    unchanged: int = 0
    superseded: int = 0
    quarantined: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.read + other.read,
            self.loaded + other.loaded,
            self.unchanged + other.unchanged,
            self.superseded + other.superseded,
            self.quarantined + other.quarantined,
        )


@dataclass(frozen=True)
class Finished:
    """What became of a whole run.

    Attributes:
        feeds: counts by feed; rows that waited for a parent and were released in this run count as what they became.
        released: rows of earlier runs that waited and have been taken now, by feed; they are in no count.
    """

    feeds: Mapping[str, Counts]
    released: Mapping[str, int]
