"""Which refusals that tell no version of a row are no open work any more, since a later load has taken the record."""

from dataclasses import dataclass, field, replace

import polars as pl

from features.ingest.intake import checks
from features.ingest.intake.decide import LOADED, SUPERSEDED, UNCHANGED
from features.ingest.intake.known import KEY_SEED, Known
from features.ingest.intake.settling import RECORD, Feed
from features.ingest.intake.superseded import CONTESTED
from features.ingest.quarantine.entries import Quarantine

_TAKEN = (LOADED, UNCHANGED, SUPERSEDED)


@dataclass
class TakenAgain:
    """Holds what a run takes against the open entries of its feeds: by source and key, without key by place.

    Only hashes are compared. What waited since an earlier run is no later delivery and settles nothing.
    """

    quarantine: Quarantine
    known: Known
    _open: pl.DataFrame | None = field(default=None, init=False)
    _settled: list[pl.Series] = field(default_factory=list[pl.Series], init=False)

    def watching(self, feed: Feed) -> Feed:
        """Return a feed of which is noted what is taken; as it is when it has no such entry."""
        if self._open is None:
            self._open = self.quarantine.undated().filter(~pl.col("reason").is_in(CONTESTED))
        mine = self._open.filter(pl.col("feed") == feed.name)
        if mine.is_empty():
            return feed
        key = feed.table.key()
        named = checks.resolved(mine.rename({"key": key}), feed.table, self.known)
        marks = named.select("id", mark=pl.when(pl.col(key).is_null()).then(_hash("place")).otherwise(_of_key(key)))

        def watch(fate: str, rows: pl.DataFrame) -> None:
            feed.watch(fate, rows)
            if fate in _TAKEN:
                taken = pl.concat([rows.select(mark=_hash(RECORD)), rows.select(mark=_of_key(key))])
                self._settled.append(marks.join(taken, on="mark", how="semi").get_column("id"))

        return replace(feed, watch=watch)

    def settled(self) -> pl.Series:
        """Return, once, the ids of the entries whose record was taken and not refused in this run as well."""
        ids = pl.concat([pl.Series("id", dtype=pl.String), *self._settled]).unique()
        self._settled.clear()
        return ids.filter(~self.quarantine.refused(ids))


def _hash(column: str) -> pl.Expr:
    return pl.col(column).hash(KEY_SEED)


def _of_key(key: str) -> pl.Expr:
    return pl.concat_str("source_code", pl.col(key).cast(pl.String), separator="\x1f").hash(KEY_SEED)
