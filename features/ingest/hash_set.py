"""Sets of 64-bit hashes, eight bytes each: a look-up costs by what is asked, not by what is held."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
_MERGED_ABOVE = 1_000_000


@dataclass
class HashSet:
    """Hashes that can be asked for and added to."""

    _sorted: Hashes
    _fresh: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))

    @classmethod
    def of(cls, hashes: pl.Series) -> "HashSet":
        """Make a set of hashes."""
        return cls(np.unique(hashes.to_numpy()))

    def holds(self, hashes: pl.Series) -> pl.Series:
        """Tell of each hash whether it is in the set."""
        distinct, place = np.unique(hashes.to_numpy(), return_inverse=True)
        return pl.Series((_within(self._sorted, distinct) | _within(self._fresh, distinct))[place])

    def add(self, hashes: pl.Series) -> None:
        """Add hashes; those that are in the set already cost a look-up and no sorting."""
        new = hashes.filter(~self.holds(hashes))
        if new.is_empty():
            return
        self._fresh = np.union1d(self._fresh, new.to_numpy())
        if len(self._fresh) > max(_MERGED_ABOVE, len(self._sorted) // 8):
            self._sorted = np.union1d(self._sorted, self._fresh)
            self._fresh = np.empty(0, np.uint64)

    def remove(self, hashes: pl.Series) -> None:
        """Take hashes out."""
        self._sorted = np.setdiff1d(self._sorted, hashes.to_numpy())
        self._fresh = np.setdiff1d(self._fresh, hashes.to_numpy())


def _within(known: Hashes, asked: Hashes) -> NDArray[np.bool_]:
    if not len(known):
        return np.zeros(len(asked), np.bool_)
    place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    found: Any = known[place] == asked
    return found
