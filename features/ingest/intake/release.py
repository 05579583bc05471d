"""Rows that wait for what they refer to are tried again, of this run and of earlier ones, until nothing more moves.

Rows may wait for one another, over several tables and in a ring (an organisation for its representative, the person for
the organisation): what refers only to rows that are stored, or released with it, is released.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from features.ingest.intake import checks
from features.ingest.intake.checks import PLACE
from features.ingest.intake.decide import STORED, dangling
from features.ingest.intake.known import key_hash
from features.ingest.intake.settling import (
    FEED,
    RECORD,
    WAITS,
    Delivery,
    Feed,
    Settling,
    Watch,
    Watching,
    with_origin,
    without_rows,
)
from features.ingest.intake.staging import Staged
from features.ingest.mapped import Counts, Derive, Plausible
from features.ingest.quarantine import refusals
from features.ingest.table_cells import read_cells
from features.tables.columns import Table
from features.tables.contract import ALL_TABLES

ENTRY, NUMBER = "_entry", "_number"
"""Of a waiting row: its entry in quarantine, null when it came with this run; its number among those that wait."""
_TOLD = "_told"
"""The column for which the open entry of a row of an earlier run says that it waits."""


def release(
    settling: Settling,
    feeds: Mapping[str, Feed],
    derive: Mapping[str, Derive],
    plausible: Mapping[str, Mapping[str, Plausible]],
    watching: Watching,
) -> tuple[dict[str, Counts], dict[str, int]]:
    """Release what can be; put into quarantine what came with this run and still waits.

    Args:
        settling: the run.
        feeds: the feeds of this run.
        derive: by feed, for those of earlier runs.
        plausible: likewise.
        watching: who is told, for feeds of earlier runs.

    Returns:
        By feed, what became of the rows of this run that waited (``read`` is 0: they were counted when read), and how
        many rows of earlier runs have been taken.
    """
    waiting = _Waiting(settling, dict(feeds), derive, plausible, watching)
    waiting.gather()
    while waiting.round():
        pass
    waiting.keep()
    return waiting.became, waiting.released


@dataclass
class _Leaving:
    """Rows of one feed that leave: of this run, or of earlier ones, whose entries are settled then."""

    delivery: Delivery
    earlier: bool
    entries: list[pl.Series] = field(default_factory=list[pl.Series])


@dataclass
class _Waiting:
    settling: Settling
    feeds: dict[str, Feed]
    derive: Mapping[str, Derive]
    plausible: Mapping[str, Mapping[str, Plausible]]
    watching: Watching
    became: dict[str, Counts] = field(default_factory=dict[str, Counts], init=False)
    released: dict[str, int] = field(default_factory=dict[str, int], init=False)
    _rows: dict[str, Staged] = field(default_factory=dict[str, Staged], init=False)
    _n: int = field(default=0, init=False)

    def gather(self) -> None:
        """Put together what waits since this run and since earlier ones."""
        for name in list(self.settling.waiting):
            staged = self.settling.waiting.pop(name)
            for rows in staged.frames():
                self._hold(ALL_TABLES[name], rows.with_columns(pl.lit(None, dtype=pl.String).alias(ENTRY)))
            staged.clear()
        self.settling.write_refused()
        for name in self.settling.quarantine.tables_waiting():
            for entries in self.settling.quarantine.waiting(name):
                self._hold(ALL_TABLES[name], _from_quarantine(ALL_TABLES[name], entries))

    def round(self) -> bool:
        """Release the rows that refer to nothing unknown, parents before children; tell whether there were any."""
        marks = {name: self._marks(ALL_TABLES[name]) for name in self._rows}
        referring = {
            name: {column: parent.NAME for column, parent in checks.references(ALL_TABLES[name]).items()}
            for name in marks
        }
        lost = dangling(marks, referring)
        going = {name: marks[name].filter(~pl.col("_row").is_in(lost[name].implode()))["_row"] for name in marks}
        wanted = [name for name in ALL_TABLES if name in going and going[name].len()]
        return sum(self._release(name, going[name], wanted[place:]) for place, name in enumerate(wanted)) > 0

    def keep(self) -> None:
        """Put into quarantine what came with this run and waits on, and note for what all waits by now."""
        for staged in self._rows.values():
            for rows in staged.frames():
                for feed, part in self._by_feed(rows):
                    wanting = self._wanting(feed, part)
                    fresh = wanting.filter(pl.col(ENTRY).is_null())
                    if fresh.height:
                        self._keep(feed, fresh)
                    moved = wanting.filter(pl.col(WAITS) != pl.col(_TOLD))
                    if moved.height:
                        self.settling.tell_wants(feed, moved, moved.get_column(ENTRY))
            staged.clear()
        self.settling.write_refused()

    def _keep(self, feed: Feed, rows: pl.DataFrame) -> None:
        self.settling.refuse_typed(feed, rows, None, "unknown_reference", waiting=True)
        self.became[feed.name] = self.became.get(feed.name, Counts()) + Counts(quarantined=rows.height)
        feed.watch("quarantined", rows)

    def _wanting(self, feed: Feed, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows with the first column whose row is not stored, and the one that the open entry tells."""
        known = self.settling.known
        rows = _numbered(rows)
        found = checks.resolved(rows, feed.table, known)
        unknown = [
            checks.unknown(found, feed.table, known, own=True),
            checks.untold(found, feed.table, feed.plausible, known),
        ]
        first = pl.concat(unknown).unique("row", keep="first", maintain_order=True)
        told = rows.join(first.select(pl.col("row").alias(PLACE), _first="field"), on=PLACE, how="left")
        earlier = pl.when(pl.col(ENTRY).is_not_null()).then(WAITS)
        return told.with_columns(pl.coalesce("_first", WAITS).alias(WAITS), earlier.alias(_TOLD)).drop("_first", PLACE)

    def _release(self, name: str, numbers: pl.Series, later: Sequence[str]) -> int:
        """Complete and store rows of a table; return how many left."""
        held, table, known = self._rows[name], ALL_TABLES[name], self.settling.known
        self._rows[name] = self.settling.staged(table)
        leaving: dict[tuple[str, str, bool], _Leaving] = {}
        # Rows of tables that come later in this round are trusted; a parent that came before may have been refused.
        trusted = [column for column, parent in checks.references(table).items() if parent.NAME in later]
        for rows in held.frames():
            going = pl.col(NUMBER).is_in(numbers.implode())
            self._rows[name].add(rows.filter(~going))
            rows = _numbered(checks.resolved(rows.filter(going), table, known))
            unknown = checks.unknown(rows, table, known).filter(~pl.col("field").is_in(trusted))
            self._hold_on(name, rows.filter(pl.col(PLACE).is_in(unknown["row"].implode())))
            for feed, part in self._by_feed(without_rows(rows, unknown)):
                untold = checks.untold(part, feed.table, feed.plausible, known)
                self._hold_on(name, part.filter(pl.col(PLACE).is_in(untold["row"].implode())))
                part = without_rows(part, untold)
                for earlier in (False, True):
                    chosen = part.filter(pl.col(ENTRY).is_not_null() if earlier else pl.col(ENTRY).is_null())
                    if chosen.height:
                        place = (feed.name, feed.source_code, earlier)
                        if place not in leaving:
                            leaving[place] = self._leaving(feed, earlier=earlier)
                        self._complete(leaving[place], chosen)
        held.clear()
        return sum(self._settle(one) for one in leaving.values())

    def _hold_on(self, name: str, rows: pl.DataFrame) -> None:
        self._rows[name].add(checks.as_delivered(rows).drop(PLACE))

    def _leaving(self, feed: Feed, *, earlier: bool) -> _Leaving:
        of = replace(feed, watch=_released_by(feed)) if earlier else feed
        return _Leaving(self.settling.delivery(of), earlier)

    def _complete(self, leaving: _Leaving, rows: pl.DataFrame) -> None:
        delivery = leaving.delivery
        leaving.entries.append(rows.get_column(ENTRY))
        given = _numbered(rows.drop(ENTRY, NUMBER, WAITS, FEED))
        good, failures = self.settling.complete(delivery.feed, given)
        self.settling.stage(delivery, good)
        self.settling.refuse_completed(delivery, given, failures)

    def _settle(self, leaving: _Leaving) -> int:
        delivery = leaving.delivery
        self.settling.settle(delivery, referring=False)
        name, counts = delivery.feed.name, delivery.counts
        entries = pl.concat(leaving.entries)
        if leaving.earlier:
            taken = counts.loaded + counts.unchanged + counts.superseded
            self.released[name] = self.released.get(name, 0) + taken
            self.settling.write_refused()
            self.settling.quarantine.mark_replayed(entries, self.settling.loaded_at)
        else:
            self.became[name] = self.became.get(name, Counts()) + counts
        return entries.len()

    def _marks(self, table: type[Table]) -> pl.DataFrame:
        """Return number, hash of the key and hashes of the unknown references of the rows whose key is known."""
        known, references = self.settling.known, checks.references(table)
        schema = {"_row": pl.UInt32(), "_key": pl.UInt64()} | {f"ref:{column}": pl.UInt64() for column in references}
        marks = [pl.DataFrame(schema=schema)]
        for held in self._rows[table.NAME].frames():
            rows = checks.resolved(held, table, known)
            rows = rows.filter(~checks.unresolved_keys(rows, table))
            columns = [rows[NUMBER].alias("_row"), rows.select(key_hash(table.key())).to_series().alias("_key")]
            for column, parent in references.items():
                if column in rows.columns:
                    hashed = rows.select(pl.when(pl.col(column).is_not_null()).then(key_hash(column))).to_series()
                    stored = known.keys(parent).holds(hashed.fill_null(0))
                    columns.append(hashed.zip_with(~stored, pl.Series([None], dtype=pl.UInt64)).alias(f"ref:{column}"))
            marks.append(pl.DataFrame(columns))
        return pl.concat(marks, how="diagonal")

    def _by_feed(self, rows: pl.DataFrame) -> list[tuple[Feed, pl.DataFrame]]:
        parts = rows.partition_by([FEED, "source_code"], as_dict=True) if rows.height else {}
        return [(self._feed(str(name), str(source)), part) for (name, source), part in parts.items()]

    def _feed(self, name: str, source_code: str) -> Feed:
        return replace(self.feeds[name], source_code=source_code)

    def _hold(self, table: type[Table], rows: pl.DataFrame) -> None:
        for (name, source), _ in rows.select(FEED, "source_code").unique().group_by(FEED, "source_code"):
            if name not in self.feeds:
                feed, code = str(name), str(source)
                asked = (self.derive.get(feed), self.plausible.get(feed, {}))
                self.feeds[feed] = Feed(feed, table, code, *asked, watch=self.watching(feed, code, table))
        numbers = pl.int_range(self._n, self._n + rows.height, dtype=pl.UInt32, eager=True)
        self._n += rows.height
        if table.NAME not in self._rows:
            self._rows[table.NAME] = self.settling.staged(table)
        self._rows[table.NAME].add(rows.with_columns(numbers.alias(NUMBER)))


def _from_quarantine(table: type[Table], entries: pl.DataFrame) -> pl.DataFrame:
    """Return the typed rows of entries; what fits the contract no longer waits on."""
    cells = read_cells(refusals.from_text(entries.get_column("raw"), refusals.shape(table)), table, whole=False)
    origin = entries.select(
        pl.col("id").alias(ENTRY),
        pl.col("feed").alias(FEED),
        pl.col("source_code").alias("_source"),
        pl.col("place").alias(RECORD),
        pl.when(pl.col("state") == "open").then("field").alias(WAITS),
    )
    feed = Feed("", table, "")
    rows = with_origin(cells.rows, feed, origin.get_column(RECORD)).hstack(origin.drop(RECORD))
    rows = rows.with_columns(pl.col("_source").alias("source_code"))
    return without_rows(rows, checks.levelled(cells.failures)).drop("_source", PLACE)


def _numbered(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias(PLACE))


def _released_by(feed: Feed) -> Watch:
    def watch(fate: str, rows: pl.DataFrame) -> None:
        if fate in STORED:
            feed.watch("released", rows)

    return watch
