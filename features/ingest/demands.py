"""What declared feeds ask of their rows beyond the contract, also of rows that have waited since an earlier run."""

from collections.abc import Iterator, Mapping

from features.ingest.clauses import classified
from features.ingest.feed import Feed, sources
from features.ingest.mapped import Derive, Plausible
from features.ingest.punches import Punches
from features.tables.store import TableStore


def derives(store: TableStore) -> dict[str, Derive]:
    """Return what completes the rows of a feed while they are taken in, by feed."""
    completing: dict[str, Derive] = {"attendance": Punches(store), "tender_clause": classified}
    return {feed.code: completing[feed.table.NAME] for feed in _feeds() if feed.table.NAME in completing}


def plausibles() -> dict[str, Mapping[str, Plausible]]:
    """Return the amounts to hold against the parent's, by feed."""
    return {feed.code: feed.plausible for feed in _feeds() if feed.plausible}


def _feeds() -> Iterator[Feed]:
    return (feed for source in sources().values() for feed in source.feeds)
