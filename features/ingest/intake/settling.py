"""Typed rows become versions: staged by bucket of their key, decided against what is stored, appended, counted."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from features.ingest.hash_set import HashSet
from features.ingest.intake import checks, whole_delivery
from features.ingest.intake.checks import PLACE
from features.ingest.intake.decide import CONFLICT, LOADED, STORED, SUPERSEDED, UNCHANGED, decide
from features.ingest.intake.known import Known, key_hash
from features.ingest.intake.packing import packed
from features.ingest.intake.staging import Staged
from features.ingest.intake.stored_index import StoredIndex
from features.ingest.mapped import Counts, Derive, Plausible
from features.ingest.quarantine import refusals
from features.ingest.quarantine.entries import WANT, Quarantine
from features.ingest.quarantine.sealing import Seal
from features.tables.columns import Table
from features.tables.completion import Acceptance
from features.tables.purge import purged_projects
from features.tables.retention import without_expired_values
from features.tables.store import TableStore
from features.tables.versions import CONTENT, SENSITIVE, TECHNICAL, hashes

Watch = Callable[[str, pl.DataFrame], None]
"""Called with ``delivered``, a fate of ``Counts`` or ``released``, and typed rows of which that is true."""

ROW, RECORD, WAITS, FEED = "_row", "_record", "_waits", "_feed"
"""Of a staged row: its number in the delivery, where it stood, the column for which it waits, its feed."""
_REFUSED_AT_ONCE = 50_000
_REFUSED_BYTES = 64 << 20


def ignored(_fate: str, _rows: pl.DataFrame) -> None:
    """Watch nothing."""


Watching = Callable[[str, str, type[Table]], Watch]
"""Gives who watches a feed, by its name, source system and table."""


def ignoring(_feed: str, _source_code: str, _table: type[Table]) -> Watch:
    """Watch no feed."""
    return ignored


@dataclass(frozen=True)
class Feed:
    """Where rows come from, and what is asked of them beyond the contract.

    Attributes:
        name: such as ``S01/bid``.
        table: where they go.
        source_code: the source system of rows that name none.
        derive: completes rows before required columns are checked.
        plausible: amounts to hold against the parent's.
        whole: every required column must be there.
        watch: told what becomes of rows.
    """

    name: str
    table: type[Table]
    source_code: str
    derive: Derive | None = None
    plausible: Mapping[str, Plausible] = field(default_factory=dict[str, Plausible])
    whole: bool = False
    watch: Watch = ignored


@dataclass
class Delivery:
    """Rows of one feed on their way: what is staged, and what became of the rest."""

    feed: Feed
    staged: Staged
    counts: Counts = field(default_factory=Counts)
    n_rows: int = 0

    def count(self, fate: str, rows: pl.DataFrame) -> None:
        """Count rows under a fate."""
        if rows.height:
            self.counts = replace(self.counts, **{fate: getattr(self.counts, fate) + rows.height})
            self.feed.watch(fate, rows)


@dataclass
class Settling:
    """What one run does with typed rows, whichever way they came.

    Attributes:
        store: the tables.
        quarantine: what is refused.
        loaded_at: the moment of the run.
        seal: closes records that are kept.
        known: what the tables hold.
        waiting: rows that wait, by table.
        touched: the tables that were written.
    """

    store: TableStore
    quarantine: Quarantine
    loaded_at: dt.datetime
    seal: Seal | None
    known: Known = field(init=False)
    waiting: dict[str, Staged] = field(default_factory=dict[str, Staged], init=False)
    touched: dict[str, type[Table]] = field(default_factory=dict[str, type[Table]], init=False)
    _n_staged: int = field(default=0, init=False)
    _refused: list[pl.DataFrame] = field(default_factory=list[pl.DataFrame], init=False)
    _mentioned: dict[tuple[str, str], HashSet] = field(default_factory=dict[tuple[str, str], HashSet], init=False)
    _past: dict[str, pl.Series] = field(default_factory=dict[str, pl.Series], init=False)

    def __post_init__(self) -> None:
        self.known = Known(self.store)

    def delivery(self, feed: Feed) -> Delivery:
        """Return an empty delivery of a feed."""
        return Delivery(feed, self.staged(feed.table))

    def complete(self, feed: Feed, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Complete rows whose references are known; return those that can be stored, and the failures of the others."""
        table = feed.table
        if feed.derive is not None:
            rows = feed.derive(rows)
            rows = rows.cast({n: c.dtype for n, c in table.columns().items() if n in rows.columns})  # type: ignore[misc]
        derived = [] if feed.derive is None else [name for name in _derived(table) if name in rows.columns]
        failures = pl.concat(
            [
                checks.missing(rows, table, derived),
                checks.after_their_record(rows, table),
                checks.implausible(rows, table, feed.plausible, self.known),
            ]
        )
        return without_rows(rows, failures), failures

    def missing(self, feed: Feed, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the required columns that delivered rows lack: of the whole table, or of the columns they bring.

        What the platform derives is for ``complete`` to judge.
        """
        table = feed.table
        derived = [] if feed.derive is None else _derived(table)
        wanted = table.column_names() if feed.whole else [table.key(), *rows.columns]
        return checks.missing(rows, table, [name for name in wanted if name not in derived])

    def staged(self, table: type[Table]) -> Staged:
        """Return a place for rows of a table."""
        return Staged(self._folder(), table.key())

    def stage(self, delivery: Delivery, rows: pl.DataFrame) -> None:
        """Take rows that can be stored. What retention has deleted changes nothing and goes no further."""
        table = delivery.feed.table
        past = self._purged(table)
        if past.len():
            over = pl.col("project_id").is_in(past.implode()).fill_null(value=False)
            delivery.count("unchanged", rows.filter(over))
            rows = rows.filter(~over)
        if rows.is_empty():
            return
        rows = without_expired_values(rows, table, self.loaded_at)
        numbers = pl.int_range(delivery.n_rows, delivery.n_rows + rows.height, dtype=pl.UInt32, eager=True)
        delivery.n_rows += rows.height
        none = pl.lit(0, dtype=pl.Int64).alias(SENSITIVE)
        delivery.staged.add(
            rows.with_columns(none).with_columns(numbers.alias(ROW), *hashes(rows, table)).drop(PLACE, strict=False)
        )

    def wait(self, feed: Feed, rows: pl.DataFrame, failures: pl.DataFrame) -> None:
        """Let rows wait for what they refer to."""
        first = failures.unique("row", keep="first", maintain_order=True).select(pl.col("row").alias(PLACE), "field")
        rows = rows.join(first.rename({"field": WAITS}), on=PLACE, how="inner").drop(PLACE)
        self._wait(feed, rows)

    def settle(self, delivery: Delivery, *, referring: bool = True) -> None:
        """Decide and store what is staged.

        Args:
            delivery: the rows.
            referring: whether references within the table are still to be held over the whole delivery.
        """
        table, staged = delivery.feed.table, delivery.staged
        if not staged.height:
            return
        index = StoredIndex(self.store, table, self._folder())
        left_out = self._over_delivery(delivery, index, referring=referring)
        for group in staged.groups():
            rows = staged.read(group)
            if left_out.len():
                rows = rows.filter(~pl.col(ROW).is_in(left_out.implode()))
            if rows.height:
                self._decide(delivery, rows, index.of(group, rows))
        staged.clear()
        index.clear()
        self.write_refused()

    def refuse(self, feed: Feed, failures: pl.DataFrame, rows: pl.DataFrame, *, in_shape: bool, waiting: bool) -> None:
        """Put rows into quarantine.

        Args:
            feed: where they are from.
            failures: columns of ``MAPPING_FAILURES``.
            rows: ``row``, ``place``, ``key``, ``source_code``, ``valid_from_ts`` and ``raw`` of each.
            in_shape: whether the raw records are in the contract's shape.
            waiting: whether they only wait.
        """
        raw, encoding = refusals.kept(rows.get_column("raw").to_list(), feed.table, self.seal, in_shape=in_shape)
        kept = rows.with_columns(pl.Series("raw", raw, dtype=pl.String), raw_encoding=pl.lit(encoding))
        entries = refusals.entries(
            failures,
            kept,
            feed.table,
            feed=feed.name,
            source_code=feed.source_code,
            in_shape=in_shape,
            waiting=waiting,
        )
        self._refused.append(packed(entries))
        size = sum(int(held.estimated_size()) for held in self._refused)
        if size >= _REFUSED_BYTES or sum(held.height for held in self._refused) >= _REFUSED_AT_ONCE:
            self.write_refused()

    def write_refused(self) -> None:
        """Write what was refused so far, in one commit.

        What a killed run had not written, the next one refuses again. So this comes before anything that would keep
        it from doing so: an entry of an earlier run settled, a displacing version stored.
        """
        if self._refused:
            self.quarantine.add_frame(pl.concat(self._refused, how="vertical_relaxed"), self.loaded_at)
            self._refused = []

    def refuse_completed(self, delivery: Delivery, rows: pl.DataFrame, failures: pl.DataFrame) -> None:
        """Put rows that fail in ``complete`` into quarantine.

        What is wrong with them depends on other rows, so they may fail at once or after they have waited; either way
        they are kept in the contract's shape, as one and the same entry.
        """
        refused = rows.filter(pl.col(PLACE).is_in(failures["row"].implode()))
        if refused.height:
            records = typed_records(refused, delivery.feed.table).with_columns(row=refused[PLACE])
            self.refuse(delivery.feed, failures, records, in_shape=True, waiting=False)
            delivery.count("quarantined", refused)

    def refuse_typed(self, feed: Feed, rows: pl.DataFrame, column: str | None, reason: str, *, waiting: bool) -> None:
        """Put typed rows into quarantine for one reason, as records in the contract's shape.

        Args:
            feed: where they are from.
            rows: typed, with the place where each stood.
            column: the column at fault; None for the one that each row names itself.
            reason: a key of ``table_cells.REASONS``.
            waiting: whether they only wait.
        """
        for part in rows.iter_slices(_REFUSED_AT_ONCE):
            failures = _failing(part, column, reason)
            info = typed_records(part, feed.table).with_columns(failures["row"])
            self.refuse(feed, failures, info, in_shape=True, waiting=waiting)

    def tell_wants(self, feed: Feed, rows: pl.DataFrame, ids: pl.Series) -> None:
        """Note in the open entries of waiting rows what they wait for now.

        Args:
            feed: where they are from.
            rows: typed, each with the column for which it waits.
            ids: of their entries.
        """
        failures = _failing(rows, None, "unknown_reference")
        none = {name: pl.lit(None, dtype=pl.String) for name in ("raw", "raw_encoding")}
        info = named(rows, feed.table).with_columns(failures["row"], **none)
        about = {"feed": feed.name, "source_code": feed.source_code}
        entries = refusals.entries(failures, info, feed.table, **about, in_shape=True, waiting=True)
        self.quarantine.tell_wants(entries.select(ids.alias("id"), *WANT), self.loaded_at)

    def unmentioned(self, table: type[Table], source_code: str, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows, each once, that no feed of a source has mentioned in this run."""
        seen = self._mentioned.setdefault((table.NAME, source_code), HashSet.of(pl.Series(dtype=pl.UInt64)))
        rows = rows.unique(maintain_order=True)
        hashed = rows.hash_rows()
        fresh = rows.filter(~seen.holds(hashed))
        seen.add(hashed)
        return fresh

    def introduce(self, delivery: Delivery) -> None:
        """Store rows that a feed only mentions; of two that differ the greater stands, and nothing is counted."""
        feed = delivery.feed
        index = StoredIndex(self.store, feed.table, self._folder())
        for group in delivery.staged.groups():
            given = delivery.staged.read(group)
            fates = decide(_versions(given, feed.table), index.of(group, given), self.loaded_at)
            wanted = fates.filter(pl.col("fate").is_in(STORED)).select(ROW)
            self._append(feed.table, given.join(wanted, on=ROW, how="semi", maintain_order="left"))
        delivery.staged.clear()
        index.clear()

    def _decide(self, delivery: Delivery, rows: pl.DataFrame, stored: pl.DataFrame) -> None:
        feed = delivery.feed
        fates = decide(_versions(rows, feed.table), stored, self.loaded_at)
        rows = rows.join(fates, on=ROW, how="left", maintain_order="left")
        conflicting = rows.filter(pl.col("fate") == CONFLICT)
        self.refuse_typed(feed, conflicting, feed.table.key(), "conflicting_duplicate", waiting=False)
        self._note_displaced(feed, rows.filter("displaced"))
        self._append(feed.table, rows.filter(pl.col("fate").is_in(STORED)))
        delivery.count("quarantined", conflicting)
        for fate in (LOADED, UNCHANGED, SUPERSEDED):
            delivery.count(fate, rows.filter(pl.col("fate") == fate))

    def _append(self, table: type[Table], rows: pl.DataFrame) -> None:
        if rows.is_empty():
            return
        moment = pl.lit(self.loaded_at).cast(TECHNICAL["loaded_at"])
        self.store.append(
            table,
            rows.with_columns(
                loaded_at=moment,
                valid_from_ts=pl.col("valid_from_ts").fill_null(moment),
                source_record_id=pl.coalesce("source_record_id", RECORD),
                retracted=pl.lit(value=False),
            ),
        )
        self.touched[table.NAME] = table
        self.known.add(table, rows.get_column(table.key()))

    def _note_displaced(self, feed: Feed, rows: pl.DataFrame) -> None:
        """Note in quarantine the stored versions that give way to one valid from the same instant.

        Where they stood is not known any more: they go by their record in the source, and that instant.
        """
        if rows.is_empty():
            return
        key = feed.table.key()
        at = [key, "source_code", "valid_from_ts"]
        stored = self.store.versions(feed.table).filter(~pl.col("retracted"))
        beside = stored.join(rows.lazy().select(at), on=at, how="semi")
        instant = pl.col("valid_from_ts").dt.to_string("%Y%m%d%H%M%S")
        lesser = beside.join(rows.lazy().select(*at, CONTENT), on=[*at, CONTENT], how="anti").collect()
        self.refuse_typed(
            feed,
            lesser.with_columns(pl.concat_str("source_record_id", pl.lit(":"), instant).alias(RECORD)),
            key,
            "conflicting_duplicate",
            waiting=False,
        )
        self.write_refused()

    def _over_delivery(self, delivery: Delivery, index: StoredIndex, *, referring: bool) -> pl.Series:
        """Refuse what is not unique and let wait what refers to nothing within its table; return the rows."""
        table = delivery.feed.table
        unique = [name for name in checks.unique_columns(table) if name in table.public_columns()]
        own = [name for name, parent in checks.references(table).items() if parent is table and referring]
        if not unique and not own:
            return pl.Series(dtype=pl.UInt32)
        marks = pl.concat(
            [
                self._marks(rows, index.of(group, rows), table, [*unique, *own])
                for group in delivery.staged.groups()
                if (rows := delivery.staged.read(group)).height
            ]
        )
        out = [pl.Series(dtype=pl.UInt32)]
        for column in unique:
            stored = self.store.read(table, incomplete=True).filter(pl.col(column).is_not_null())
            held = stored.select(_key=key_hash(table.key()), value=key_hash(column)).collect()
            out.append(whole_delivery.not_unique(marks, column, held))
            marks = marks.filter(~pl.col(ROW).is_in(out[-1].implode()))
            self._leave_out(delivery, out[-1], column, "not_unique")
        loose = whole_delivery.loose(marks, table, own)
        self._leave_out(delivery, loose, None, "unknown_reference")
        return pl.concat([*out, loose])

    def _marks(
        self, rows: pl.DataFrame, stored: pl.DataFrame, table: type[Table], columns: Sequence[str]
    ) -> pl.DataFrame:
        fates = decide(_versions(rows, table), stored, self.loaded_at)
        return whole_delivery.marks(rows.join(fates, on=ROW), table, columns, self.known)

    def _leave_out(self, delivery: Delivery, numbers: pl.Series, column: str | None, reason: str) -> None:
        if not numbers.len():
            return
        feed, table = delivery.feed, delivery.feed.table
        own = [name for name, parent in checks.references(table).items() if parent is table]
        for rows in delivery.staged.frames():
            found = rows.filter(pl.col(ROW).is_in(numbers.implode()))
            if column is None:
                names = [
                    pl.when(pl.col(name).is_not_null()).then(pl.lit(name)) for name in own if name in found.columns
                ]
                self._wait(feed, found.drop(ROW, CONTENT, SENSITIVE).with_columns(pl.coalesce(*names).alias(WAITS)))
            else:
                self.refuse_typed(feed, found, column, reason, waiting=False)
                delivery.count("quarantined", found)

    def _wait(self, feed: Feed, rows: pl.DataFrame) -> None:
        if rows.is_empty():
            return
        table = feed.table
        if table.NAME not in self.waiting:
            self.waiting[table.NAME] = self.staged(table)
        self.waiting[table.NAME].add(checks.as_delivered(rows).with_columns(pl.lit(feed.name).alias(FEED)))

    def _purged(self, table: type[Table]) -> pl.Series:
        if table.NAME not in self._past:
            self._past[table.NAME] = purged_projects(self.store.home, table, self.store.read(Acceptance))
        return self._past[table.NAME]

    def _folder(self) -> Path:
        self._n_staged += 1
        return self.store.home / "staging" / str(self._n_staged)


def with_origin(rows: pl.DataFrame, feed: Feed, places: pl.Series) -> pl.DataFrame:
    """Return typed rows with their number in the batch, where they stood, and the technical columns they may lack."""
    given: dict[str, pl.Expr] = {
        feed.table.key(): pl.lit(None, dtype=feed.table.columns()[feed.table.key()].dtype),
        "source_record_id": pl.lit(None, dtype=pl.String),
        "valid_from_ts": pl.lit(None, dtype=TECHNICAL["valid_from_ts"]),
        "source_code": pl.lit(None, dtype=pl.String),
    }
    absent = [value.alias(name) for name, value in given.items() if name not in rows.columns]
    return rows.with_columns(absent).with_columns(
        pl.int_range(rows.height, dtype=pl.UInt32, eager=True).alias(PLACE),
        places.cast(pl.String).alias(RECORD),
        pl.col("source_code").fill_null(feed.source_code),
    )


def without_rows(rows: pl.DataFrame, failures: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that do not fail."""
    if failures.is_empty():
        return rows
    return rows.filter(~pl.col(PLACE).is_in(failures.get_column("row").implode()))


def typed_records(rows: pl.DataFrame, table: type[Table]) -> pl.DataFrame:
    """Return place, key, source, version and raw of typed rows, raw in the contract's shape."""
    raw = pl.Series("raw", refusals.as_text(rows, refusals.shape(table)), dtype=pl.String)
    return named(rows, table).with_columns(raw)


def named(rows: pl.DataFrame, table: type[Table]) -> pl.DataFrame:
    """Return by what the entries of typed rows name them: place, key, source_code, valid_from_ts."""
    return rows.select("valid_from_ts", "source_code", place=RECORD, key=pl.col(table.key()).cast(pl.String))


def _failing(rows: pl.DataFrame, column: str | None, reason: str) -> pl.DataFrame:
    """Return the failures of typed rows at one column; None for the one that each waits for."""
    fields = rows.get_column(WAITS) if column is None else pl.repeat(column, rows.height, eager=True)
    numbers = pl.int_range(rows.height, dtype=pl.UInt32, eager=True)
    failures = pl.DataFrame({"row": numbers, "field": fields, "value": _standing(rows, fields)})
    return checks.levelled(failures.with_columns(reason=pl.lit(reason)))


def _standing(rows: pl.DataFrame, columns: pl.Series) -> pl.Series:
    """Return what stands in the column that is named for each row."""
    cells = [pl.when(columns == name).then(pl.col(name).cast(pl.String)) for name in columns.unique().sort()]
    return rows.select(pl.coalesce(cells)).to_series()


def _derived(table: type[Table]) -> list[str]:
    """Return the columns that the platform derives itself."""
    return [name for name in table.column_names() if table.about(name)["source_system"] == "D00"]


def _versions(rows: pl.DataFrame, table: type[Table]) -> pl.DataFrame:
    return rows.select(ROW, "source_code", "valid_from_ts", CONTENT, SENSITIVE, _key=table.key())
