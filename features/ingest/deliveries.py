"""Loads what source systems deliver: the files of every feed, parents before children, one run into one home."""

import datetime as dt
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from features.derive.control_groups import write_control_groups
from features.errors import InputError
from features.ingest.books.ledger import DELIVERED, Books
from features.ingest.books.source_health import record_sync
from features.ingest.demands import derives, plausibles
from features.ingest.feed import Feed, Source, sources
from features.ingest.formats.chunks import Chunk, FileError, joined
from features.ingest.formats.reading import read_file
from features.ingest.identity.resolving import Kind
from features.ingest.identity.work_items import WorkItems, read_known, sightings
from features.ingest.intake.run import Intake
from features.ingest.keys import Keys
from features.ingest.mapped import Counts, MappedBatch
from features.ingest.mapping.guard import FeedStoppedError, FileGuard
from features.ingest.mapping.mapper import SPARSE, Mapped, Mapper
from features.ingest.quarantine.sealing import Seal
from features.tables.contract import ALL_TABLES
from features.tables.store import TableStore

STOPPED = "stopped"
NOT_DATA = (".md", ".txt", ".partial")

Progress = Callable[[Feed, int, int], None]
"""Called with a feed, the number of records just read, and that of the file they are from."""


@dataclass(frozen=True)
class Problem:
    """What somebody has to look at; everything else was loaded.

    Attributes:
        feed: the feed, such as ``S01/bid``, or the source for a file that no feed reads.
        file: the file.
        message: what is wrong.
        mend: what can be done.
    """

    feed: str
    file: str
    message: str
    mend: str


@dataclass
class FeedOutcome:
    """What became of one feed.

    Attributes:
        feed: the feed.
        files: what it delivered.
        counts: of records.
        stopped: whether its interface was found changed; its records are in no count.
        seconds: from its first file to its last.
        unexpected: headings that nobody asked for.
    """

    feed: Feed
    files: Sequence[Path]
    counts: Counts = field(default_factory=Counts)
    stopped: bool = False
    seconds: float = 0.0
    unexpected: set[str] = field(default_factory=set[str])


@dataclass
class Ingested:
    """What became of a run: its feeds in the order in which they were loaded, and its problems."""

    feeds: list[FeedOutcome] = field(default_factory=list[FeedOutcome])
    problems: list[Problem] = field(default_factory=list[Problem])
    released: Mapping[str, int] = field(default_factory=dict[str, int])

    def counts(self, source: str | None = None) -> Counts:
        """Return the counts of all feeds, or of one source's."""
        chosen = [one.counts for one in self.feeds if source in (None, one.feed.source)]
        return sum(chosen, Counts())


def folders(of: str, path: Path) -> list[tuple[Source, Path]]:
    """Return the sources to load and their folders.

    Args:
        of: a source's code, or ``all``: a folder with one folder a source.
        path: the folder.

    Raises:
        InputError: there is no such folder, or it holds no source.
    """
    if not path.is_dir():
        raise InputError(f"There is no folder {path}.", field="PATH", mend="give the folder of the delivered files.")
    if of != "all":
        return [(sources()[of], path)] if of in sources() else []
    found = [(source, path / code) for code, source in sources().items() if (path / code).is_dir()]
    if not found:
        mend = f"name its folders after the sources: {', '.join(sources())}."
        raise InputError(f"{path} holds no folder of a source.", field="PATH", mend=mend)
    return found


def ingest(
    home: Path,
    delivered: Sequence[tuple[Source, Path]],
    *,
    keys: Keys,
    loaded_at: dt.datetime,
    progress: Progress | None = None,
) -> Ingested:
    """Load the folders of sources; a feed that cannot be loaded holds up no other.

    Args:
        home: where all state lives.
        delivered: sources and their folders.
        keys: of hashes and encryption.
        loaded_at: the moment of the run.
        progress: told of records as they are read.

    Raises:
        StoreError: another process is writing into the same home.
    """
    outcome, store = Ingested(), TableStore(home)
    work = [(feed, feed.files(folder)) for source, folder in delivered for feed in source.feeds]
    outcome.problems += [one for source, folder in delivered for one in _unread(source, folder, work)]
    order = list(ALL_TABLES)
    with store.writing():
        books = Books(home, uuid.uuid4().hex, loaded_at)
        intake = Intake(store, loaded_at, Seal(keys.data), derives(store), plausibles(), books.watching)
        run = _Run(store, intake, books, keys, outcome, progress or _silent)
        for feed, files in sorted(work, key=lambda one: (order.index(one[0].table.NAME), one[0].source != "P00")):
            if files:
                run.load(feed, files)
        run.conclude(loaded_at)
    return outcome


def _silent(_feed: Feed, _records: int, _files: int) -> None:
    """Show no progress."""


def _unread(source: Source, folder: Path, work: Sequence[tuple[Feed, list[Path]]]) -> list[Problem]:
    """Return the files of a folder that no feed of its source reads."""
    read = {path for feed, files in work if feed.source == source.code for path in files}
    return [
        Problem(source.code, path.name, "No feed of this source reads the file.", _MEND_NAME.format(source=source.code))
        for path in sorted(folder.iterdir())
        if path not in read and not path.name.startswith(".") and path.suffix not in NOT_DATA
    ]


_MEND_NAME = "name it <feed>-<month>.<ending>; smoke sources show {source} lists the feeds and their formats."


@dataclass
class _Run:
    """One run into one home."""

    store: TableStore
    intake: Intake
    books: Books
    keys: Keys
    outcome: Ingested
    progress: Progress
    _seen: list[pl.DataFrame] = field(default_factory=list[pl.DataFrame], init=False)

    def load(self, feed: Feed, files: Sequence[Path]) -> None:
        """Load the files of a feed, once they have been found to be what was agreed."""
        started, outcome = time.monotonic(), FeedOutcome(feed, files)
        self.outcome.feeds.append(outcome)
        page = self.books.page(feed.source, feed.code, feed.table, automatic=feed.automatic)
        mapper = Mapper(feed, self.keys, read_known(self.store, feed.source))
        try:
            outcome.unexpected = examine(mapper, files)
        except FeedStoppedError as stop:
            outcome.stopped = True
            self.outcome.problems.append(Problem(feed.code, stop.file, stop.what, stop.mend))
            for chunk in joined(chunk for _, chunk in _readable(mapper, files)):
                rows = mapper.judge(chunk)[1]
                page.add(DELIVERED, rows)
                page.add(STOPPED, rows)
        else:
            self.intake.take(
                feed.table,
                self._batches(mapper, files),
                source_code=feed.source,
                feed=feed.code,
                watch=page.add,
            )
        outcome.seconds = time.monotonic() - started

    def conclude(self, loaded_at: dt.datetime) -> None:
        """Try what waits, keep the books, and note who could not be told."""
        finished = self.intake.finish()
        self.outcome.released = finished.released
        for one in self.outcome.feeds:
            one.counts = finished.feeds.get(one.feed.code, Counts())
        if self._seen:
            WorkItems(self.store.home).add(pl.concat(self._seen), loaded_at)
        self.books.close()
        # Always, whatever this run loaded: an earlier one may have been killed before it came to the groups.
        write_control_groups(self.store, loaded_at)
        record_sync(self.store, loaded_at)

    def _batches(self, mapper: Mapper, files: Sequence[Path]) -> Iterator[MappedBatch]:
        for chunk in joined(self._chunks(mapper, files)):
            mapped = mapper.map(chunk)
            self._seen += _sightings(mapper.feed, mapped, self.keys)
            yield mapped.batch

    def _chunks(self, mapper: Mapper, files: Sequence[Path]) -> Iterator[Chunk]:
        feed = mapper.feed
        for number, path in enumerate(files, 1):
            try:
                for chunk in read_file(path, feed.format_of(path), feed.style.encoding, mapper.wanted):
                    self.progress(feed, chunk.rows.height + len(chunk.broken), number)
                    yield chunk
            except FileError as error:
                self.outcome.problems.append(Problem(feed.code, error.file, error.what, error.mend))


def examine(mapper: Mapper, files: Sequence[Path]) -> set[str]:
    """Read the files of a feed once to see whether its interface has changed, before anything of it is loaded.

    Args:
        mapper: of the feed.
        files: its files; one that cannot be read is judged by what can.

    Returns:
        The headings that nobody asked for.

    Raises:
        FeedStoppedError: the interface has changed.
    """
    feed, expected = mapper.feed, mapper.expected()
    sparse = {path.name: feed.format_of(path) in SPARSE for path in files}
    guards = {path.name: FileGuard(feed.code, path.name, expected) for path in files}
    unexpected: set[str] = set()

    def met() -> Iterator[Chunk]:
        for path, chunk in _readable(mapper, files):
            present, more = mapper.headings(chunk)
            unexpected.update(more)
            if not sparse[path.name]:
                guards[path.name].meet(present, more)
            yield chunk

    for chunk in joined(met()):
        for judged in mapper.judge(chunk)[0]:
            guards[judged.file].watch(judged)
    for name, guard in guards.items():
        guard.conclude(optional_when_absent=sparse[name])
    return unexpected


def _readable(mapper: Mapper, files: Sequence[Path]) -> Iterator[tuple[Path, Chunk]]:
    """Yield what can be read of files; what cannot is named when they are loaded."""
    feed = mapper.feed
    for path in files:
        with suppress(FileError):
            for chunk in read_file(path, feed.format_of(path), feed.style.encoding, mapper.wanted):
                yield path, chunk


def _sightings(feed: Feed, mapped: Mapped, keys: Keys) -> list[pl.DataFrame]:
    kinds: tuple[Kind, ...] = ("organisation", "person")
    return [
        sightings(kind, feed.source, feed.code, mapped.unresolved[kind], keys=keys)
        for kind in kinds
        if kind in mapped.unresolved
    ]
