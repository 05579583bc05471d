"""The stored versions of delivered keys, as far as deciding needs them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from features.ingest.intake.staging import Staged
from features.tables.columns import Table
from features.tables.store import TableStore
from features.tables.versions import SENSITIVE, VERSION

_AT_ONCE = 200_000


@dataclass
class StoredIndex:
    """The stored versions of delivered keys: looked up where the rows lie in memory, else cut into the same buckets."""

    store: TableStore
    table: type[Table]
    folder: Path
    _staged: list[Staged] = field(default_factory=list[Staged], init=False)

    def of(self, group: Sequence[int], rows: pl.DataFrame) -> pl.DataFrame:
        """Return the stored versions of the keys of a group."""
        key = self.table.key()
        if not group:
            keys = rows.lazy().select(key).unique()
            frames = [part.join(keys, on=key, how="semi").collect(engine="streaming") for part in self._parts()]
        else:
            frames = [staged.read(group) for staged in self._filled()]
        if frames[0].is_empty():
            frames[0] = self._parts()[0].head(0).collect()
        versions = frames[0]
        if len(frames) > 1 and frames[1].height:
            versions = versions.join(frames[1], on=[key, *VERSION], how="left")
        else:
            versions = versions.with_columns(pl.lit(None, dtype=pl.Int64).alias(SENSITIVE))
        return versions.rename({key: "_key"}).with_columns(pl.col(SENSITIVE).fill_null(0))

    def clear(self) -> None:
        """Remove what lies on disk."""
        for staged in self._staged:
            staged.clear()

    def _filled(self) -> list[Staged]:
        if not self._staged:
            for place, frames in enumerate(self.store.index_parts(self.table, _AT_ONCE)):
                staged = Staged(self.folder / str(place), self.table.key())
                for frame in frames:
                    staged.add(frame)
                self._staged.append(staged)
        return self._staged

    def _parts(self) -> list[pl.LazyFrame]:
        return self.store.index(self.table)
