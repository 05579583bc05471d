"""Loads OCDS releases: archived as delivered, merged by process, mapped to rows of the contract.

A batch is committed in this order: the quarantine, the rows (parents first), the archive. A release counts as loaded
once it is archived, so a load that is killed does its last batch again, and every step of it changes nothing twice.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import polars as pl

from features.clock import SHANGHAI
from features.ingest.cleaning import Problem, read_moment
from features.ingest.mapped import Counts
from features.ingest.ocds.files import SOURCE, Delivery, Piece, RawRelease, decode, refused_release, taken_apart
from features.ingest.ocds.mapping import map_process
from features.ingest.ocds.merge import Archive, Release, changes_nothing, content_hash, state
from features.ingest.ocds.parts import ProcessError, Row, Rows, process_id
from features.ingest.ocds.publishers import Publishers
from features.ingest.ocds.release import typed
from features.ingest.quarantine.entries import Quarantine, Rejection
from features.tables.columns import Table
from features.tables.contract import SOURCE_TABLES
from features.tables.organisations import Organisation
from features.tables.reference import Region
from features.tables.store import TableStore, TableWriter
from features.tables.versions import current

BATCH_RELEASES = 5_000
BATCH_BYTES = 16 << 20
Fate = Literal["loaded", "unchanged", "superseded", "quarantined"]


@dataclass(frozen=True)
class Loaded:
    """What became of a delivery.

    Attributes:
        counts: releases.
        rows: children, such as bids, that were refused while their release loaded.
        values: fields that were refused while their row loaded.
    """

    counts: Counts
    rows: int
    values: int


def load_ocds(
    home: Path, delivery: Delivery, publishers: Publishers, *, loaded_at: dt.datetime, source_code: str = "S01"
) -> Loaded:
    """Load a file of releases, records or packages.

    Args:
        home: where the tables, the archive and the quarantine are.
        delivery: the file.
        publishers: what is declared about the publishers.
        loaded_at: the moment of the load.
        source_code: the source system that the rows are from.

    Raises:
        InputError: the file cannot be read at all.
        StoreError: another process is writing into the same home.
    """
    store = TableStore(home)
    fates = Counter[Fate]()
    with store.writing():
        loading = _Loading(store, publishers, loaded_at, source_code)
        for batch in _batches(delivery.releases()):
            fates.update(loading.load(batch))
    return loading.loaded(fates)


def replay_ocds(
    home: Path, entries: pl.DataFrame, publishers: Publishers, *, loaded_at: dt.datetime, source_code: str = "S01"
) -> tuple[Loaded, list[str]]:
    """Judge quarantined releases, rows and values again.

    A release goes through the whole load. For a row or a value its process is mapped anew from the archive: the
    entry is settled when what was refused is taken now, or is no longer part of the process.

    Args:
        home: where the tables, the archive and the quarantine are.
        entries: columns id, record, level, file, raw and raw_encoding, as ``Quarantine.pending_raw("ocds")`` returns
            them, with ``raw`` mended or not.
        publishers: what is declared about the publishers.
        loaded_at: the moment of the load.
        source_code: the source system that the rows are from.

    Returns:
        What became of the releases, and the ids of the entries that are settled.
    """
    store = TableStore(home)
    kept = [(entry["id"], piece) for entry in entries.iter_rows(named=True) for piece in _kept(entry)]
    parts = entries.filter(pl.col("level") != "release")
    with store.writing():
        loading = _Loading(store, publishers, loaded_at, source_code)
        fates: list[Fate] = [fate for batch in _batches(piece for _, piece in kept) for fate in loading.load(batch)]
        refused = {entry for (entry, _), fate in zip(kept, fates, strict=True) if fate == "quarantined"}
        taken = list(dict.fromkeys(entry for entry, _ in kept if entry not in refused))
        mapped, still = loading.map_again(parts.get_column("record").unique(maintain_order=True).to_list())
        settled = pl.col("record").is_in(sorted(mapped)) & ~pl.col("id").is_in(sorted(still))
        taken += parts.filter(settled).get_column("id").to_list()
        loading.quarantine.mark_replayed(taken, loaded_at)
    return loading.loaded(Counter(fates)), taken


@dataclass
class _Loading:
    """One load into one home: what is stored is looked up once, and then followed.

    Attributes:
        store: the tables.
        publishers: what is declared.
        loaded_at: the moment of the next batch.
        source_code: the source system that the rows are from.
        quarantine: what is not taken.
        archive: releases that are.
        open: ids of the open entries of quarantine below the release, by process.
        refused: how many children and fields were refused, by process and level, in the processes of this load.
    """

    store: TableStore
    publishers: Publishers
    loaded_at: dt.datetime
    source_code: str
    quarantine: Quarantine = field(init=False)
    archive: Archive = field(init=False)
    open: dict[str, set[str]] = field(default_factory=dict[str, set[str]], init=False)
    refused: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]], init=False)
    _writers: dict[str, TableWriter] = field(default_factory=dict[str, TableWriter], init=False)
    _org_ids: dict[str, str] = field(default_factory=dict[str, str], init=False)
    _owners: dict[str, str | None] = field(default_factory=dict[str, "str | None"], init=False)

    def __post_init__(self) -> None:
        self.quarantine = Quarantine(self.store.home)
        self.archive = Archive(self.store.home)
        entries = self.quarantine.list(source=SOURCE).filter(pl.col("level") != "release")
        for entry, ocid in entries.select("id", "record").iter_rows():
            self.open.setdefault(ocid, set()).add(entry)
        coded = current(self.store.versions(Organisation), Organisation).filter(pl.col("uscc").is_not_null())
        for code, org_id, source in coded.select("uscc", "org_id", "source_record_id").collect().iter_rows():
            self._org_ids[code], self._owners[org_id] = org_id, source

    def loaded(self, fates: Counter[Fate]) -> Loaded:
        """Return the counts: every release read has one fate."""
        counts = {fate: fates[fate] for fate in ("loaded", "unchanged", "superseded", "quarantined")}
        refused = sum(self.refused.values(), Counter[str]())
        return Loaded(Counts(read=fates.total(), **counts), refused["row"], refused["value"])

    def load(self, pieces: Sequence[Piece]) -> list[Fate]:
        """Load a batch of releases and rejections; return the fate of each, in their order."""
        batch = _Batch(self.publishers, ["quarantined"] * len(pieces), Rows(org_ids=self._org_ids))
        fresh = self._fresh(batch, [self._read(piece) for piece in pieces])
        known = self.archive.releases_of(release.ocid for release in fresh.values())
        processes: dict[str, dict[int, Release]] = {}
        for place, release in fresh.items():
            processes.setdefault(release.ocid, {})[place] = release
        for ocid, releases in processes.items():
            batch.settle(known.get(ocid, []), releases)
        batch.refuse()
        self.quarantine.add([*batch.refused.values(), *batch.rows.rejections], self.loaded_at)
        self._write(batch.rows)
        self.archive.add(batch.accepted, self.loaded_at)
        self.quarantine.mark_replayed(self._settled(batch.rows), self.loaded_at)
        return batch.fates

    def _settled(self, rows: Rows) -> set[str]:
        """Note what is refused in the processes mapped; return the open entries that are part of them no longer."""
        refused: dict[str, list[Rejection]] = {row["source_record_id"]: [] for row in rows.tables["project"]}
        for rejection in rows.rejections:
            refused[rejection.record].append(rejection)
        gone = set[str]()
        for ocid, found in refused.items():
            ids = {rejection.id for rejection in found}
            gone |= self.open.pop(ocid, set()) - ids
            self.refused.pop(ocid, None)
            if found:
                self.open[ocid] = ids
                self.refused[ocid] = Counter({rejection.id: rejection.level for rejection in found}.values())
        return gone

    def map_again(self, ocids: Sequence[str]) -> tuple[set[str], set[str]]:
        """Map processes anew from the archive; return those that could be, and the ids of what is refused in them."""
        mapped: set[str] = set()
        still: set[str] = set()
        for start in range(0, len(ocids), BATCH_RELEASES):
            rows = Rows(org_ids=self._org_ids)
            for ocid, releases in self.archive.releases_of(ocids[start : start + BATCH_RELEASES]).items():
                if _map(releases, self.publishers, rows) is None:
                    mapped.add(ocid)
            self._write(rows)
            still.update(rejection.id for rejection in rows.rejections)
        return mapped, still

    def _read(self, piece: Piece) -> Release | Rejection:
        if isinstance(piece, Rejection):
            return piece
        try:
            release = typed(piece.text).release
            ocid = process_id(release.ocid)
        except msgspec.ValidationError as error:
            mend = "give a release the shape of the OCDS schema, with its ocid."
            return refused_release(piece.file, piece.record, piece.text, "wrong_shape", f"{error}", mend)
        except ProcessError as error:
            return _refused(piece, error)
        date = read_moment(release.date, SHANGHAI)
        if isinstance(date, Problem):
            return refused_release(
                piece.file, piece.record, piece.text, date.reason, date.message, date.mend, path="date"
            )
        content = content_hash(piece.text, self.publishers.of(ocid))
        release_id = "" if release.id is None else str(release.id)
        date = date or self.loaded_at
        return Release(ocid, release_id, date, content, piece.compiled, piece.text, piece.record, piece.file)

    def _fresh(self, batch: "_Batch", read: Sequence[Release | Rejection]) -> dict[int, Release]:
        """Return the releases that are not known, by place; note the fate of the others."""
        fresh: dict[int, Release] = {}
        first: dict[str, int] = {}
        contents = ["" if isinstance(one, Rejection) else one.content for one in read]
        for place, (one, held) in enumerate(zip(read, self.archive.holds(contents), strict=True)):
            if isinstance(one, Rejection):
                batch.refused[place] = one
            elif held:
                batch.fates[place] = "unchanged"
            elif one.content in first:
                batch.twins[place] = (first[one.content], one)
            else:
                first[one.content] = place
                fresh[place] = one
        return fresh

    def _write(self, rows: Rows) -> None:
        processes = [row["source_record_id"] for row in rows.tables["project"]]
        if not processes:
            return
        complete = pl.Series("source_record_id", processes)
        self._upsert(Region, self._new_regions(rows.regions), None)
        self._upsert(Organisation, self._own_organisations(rows.organisations), None)
        for name, found in rows.tables.items():
            self._upsert(SOURCE_TABLES[name], found, complete)
        # Two batches may hold versions of one row: each is a moment of its own, so that the later one is in force.
        self.loaded_at += dt.timedelta(microseconds=1)

    def _upsert(self, table: type[Table], rows: Sequence[Row], complete: pl.Series | None) -> None:
        if not rows and not self.store.exists(table):
            return
        if table.NAME not in self._writers:
            self._writers[table.NAME] = TableWriter(self.store, table, self.loaded_at, self.source_code)
        self._writers[table.NAME].loaded_at = self.loaded_at
        self._writers[table.NAME].upsert(_frame(table, rows), complete_records=complete)

    def _new_regions(self, regions: dict[str, Row]) -> list[Row]:
        """Leave out regions of which only the code is known here and that another source has named."""
        nameless = [code for code, row in regions.items() if row["name"] == code]
        if not nameless:
            return list(regions.values())
        stored = self.store.read(Region).filter(pl.col("region_code").is_in(nameless)).collect()
        named = set(stored.get_column("region_code"))
        return [row for code, row in regions.items() if code not in named]

    def _own_organisations(self, organisations: dict[str, Row]) -> list[Row]:
        """Leave out organisations, known by their credit code, that another source or publisher has delivered."""
        own: list[Row] = []
        for org_id, row in organisations.items():
            source = row["source_record_id"]
            if row["uscc"] is None or self._owners.setdefault(org_id, source) == source:
                own.append(row)
        return own


@dataclass
class _Batch:
    """A batch on its way.

    Attributes:
        publishers: what is declared.
        fates: by place.
        rows: of all its processes.
        refused: whole releases, by place.
        accepted: releases to archive, in their order.
        twins: releases that occur a second time: where the first one is, and the release.
        apart: releases that cannot be added to their process, and why.
    """

    publishers: Publishers
    fates: list[Fate]
    rows: Rows
    refused: dict[int, Rejection] = field(default_factory=dict[int, Rejection])
    accepted: list[Release] = field(default_factory=list[Release])
    twins: dict[int, tuple[int, Release]] = field(default_factory=dict[int, tuple[int, Release]])
    apart: dict[int, tuple[Release, ProcessError]] = field(default_factory=dict[int, tuple[Release, ProcessError]])

    def settle(self, known: Sequence[Release], fresh: dict[int, Release]) -> None:
        """Add the releases of one process, together; if they do not go together, those that can be added."""
        if self._add(known, fresh) is None:
            return
        taken: dict[int, Release] = {}
        left = dict(fresh)
        found = True
        while found:
            found = False
            for place, release in list(left.items()):
                error = _map([*known, *taken.values(), release], self.publishers, Rows())
                if error is None:
                    taken[place] = left.pop(place)
                    self.apart.pop(place, None)
                    found = True
                else:
                    self.apart[place] = (release, error)
        self._add(known, taken)

    def refuse(self) -> None:
        """Refuse what stands apart; a second copy shares the fate of the first."""
        for place, (release, error) in self.apart.items():
            self.refused[place] = _refused(release, error)
        for place, (first, release) in self.twins.items():
            if first in self.refused:
                self.refused[place] = replace(self.refused[first], record=release.record, file=release.file)
            else:
                self.fates[place] = "unchanged"

    def _add(self, known: Sequence[Release], fresh: dict[int, Release]) -> ProcessError | None:
        fates: dict[int, Fate] = {}
        releases = list(known)
        for place, release in fresh.items():
            fates[place] = "superseded" if changes_nothing(release, releases) else "loaded"
            releases.append(release)
        if "loaded" in fates.values():
            error = _map(releases, self.publishers, self.rows)
            if error is not None:
                return error
        for place, fate in fates.items():
            self.fates[place] = fate
        self.accepted.extend(fresh.values())
        return None


def _map(releases: Sequence[Release], publishers: Publishers, rows: Rows) -> ProcessError | None:
    """Add the rows of a process that its releases add up to; return why it has none, if so."""
    latest = releases[-1]
    try:
        map_process(typed(state(releases)), publishers.of(latest.ocid), rows, file=latest.file)
    except ProcessError as error:
        return error
    except (ValueError, msgspec.ValidationError) as error:
        return ProcessError("not_mergeable", str(error), "", "give a compiled release of the process.")
    return None


def _refused(release: Release | RawRelease, error: ProcessError) -> Rejection:
    return refused_release(
        release.file, release.record, release.text, error.reason, f"{error}.", error.mend, path=error.path
    )


def _kept(entry: dict[str, Any]) -> Iterator[Piece]:
    """Return the releases in a quarantined piece of a file; bytes that were no text stay refused."""
    if entry["level"] != "release":
        return
    file, record, raw = entry["file"], entry["record"], entry["raw"].encode()
    if entry["raw_encoding"] != "text":
        return
    try:
        yield from taken_apart(decode(raw), file, record)
    except ValueError as error:
        mend = "give the record again with --mended."
        yield refused_release(file, record, raw, "not_json", f"{record} is not JSON: {error}.", mend)


def _batches(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Cut a stream into batches of bounded number and size."""
    batch: list[Piece] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += _size(piece)
        if len(batch) >= BATCH_RELEASES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _size(piece: Piece) -> int:
    return len(piece.raw if isinstance(piece, Rejection) else piece.text)


def _frame(table: type[Table], rows: Sequence[Row]) -> pl.DataFrame:
    schema = {name: column.dtype for name, column in table.columns().items()} | {"source_record_id": pl.String()}
    given = rows[0].keys() if rows else ()
    empty = pl.Series([None] * len(rows))
    return pl.DataFrame(
        [
            pl.Series(name, [row[name] for row in rows], dtype) if name in given else empty.cast(dtype).alias(name)
            for name, dtype in schema.items()
        ]
    )
