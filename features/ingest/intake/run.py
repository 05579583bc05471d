"""The one way into the tables: every door hands over batches of mapped rows, and each row gets a fate.

A batch is judged by itself (cells, references, required columns); what is good is staged by bucket of its key, and
each bucket is decided against the versions stored and appended in one commit, what the batches introduce first. So
memory is bounded, the cost is linear in what is delivered and stored, and neither the order of rows nor the cut of
batches matters. A row whose parent is unknown waits; ``finish`` tries again whatever waits, until nothing more moves::

    with store.writing():
        intake = Intake(store, loaded_at=now(), seal=Seal(keys.data))
        intake.take(Bid, batches, source_code="S01", feed="S01/bid")
        intake.finish()
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from features.ingest.intake import checks, staging
from features.ingest.intake.again import TakenAgain
from features.ingest.intake.checks import PLACE
from features.ingest.intake.known import key_hash
from features.ingest.intake.release import release
from features.ingest.intake.settling import (
    Delivery,
    Feed,
    Settling,
    Watch,
    Watching,
    ignored,
    ignoring,
    named,
    with_origin,
    without_rows,
)
from features.ingest.intake.superseded import superseded
from features.ingest.mapped import MAPPING_FAILURES, Counts, Derive, Finished, MappedBatch, Plausible
from features.ingest.quarantine.entries import Quarantine
from features.ingest.quarantine.sealing import Seal
from features.ingest.table_cells import read_cells
from features.tables.columns import FIRST_MOMENT, Table
from features.tables.contract import ALL_TABLES
from features.tables.store import TableStore
from features.tables.versions import TECHNICAL

__all__ = ["MAPPING_FAILURES", "Counts", "Derive", "Finished", "Intake", "MappedBatch", "Plausible", "Watch"]


@dataclass
class Intake:
    """One run into one home; hold the store's ``writing()`` around it.

    Attributes:
        store: the tables.
        loaded_at: the moment of the run.
        seal: closes the records that go to quarantine; without it they lose their personal cells.
        derive: by feed, what completes rows before required columns are checked; ``take`` may give its own, but
            rows that waited since an earlier run know only this.
        plausible: by feed, amounts to hold against the parent's; likewise.
        watching: by feed, source system and table, who is told of rows that an earlier run left waiting and this one
            stores, where their feed is not of this run.
    """

    store: TableStore
    loaded_at: dt.datetime
    seal: Seal | None = None
    derive: Mapping[str, Derive] = field(default_factory=dict[str, Derive])
    plausible: Mapping[str, Mapping[str, Plausible]] = field(default_factory=dict[str, Mapping[str, Plausible]])
    watching: Watching = ignoring
    quarantine: Quarantine = field(init=False)
    _settling: Settling = field(init=False)
    _again: TakenAgain = field(init=False)
    _feeds: dict[str, Feed] = field(default_factory=dict[str, Feed], init=False)
    _counts: dict[str, Counts] = field(default_factory=dict[str, Counts], init=False)

    def __post_init__(self) -> None:
        staging.clear(self.store.home)
        self.quarantine = Quarantine(self.store.home, self.seal)
        self._settling = Settling(self.store, self.quarantine, self.loaded_at, self.seal)
        self._again = TakenAgain(self.quarantine, self._settling.known)

    def take(
        self,
        table: type[Table],
        batches: Iterable[MappedBatch],
        *,
        source_code: str,
        feed: str,
        derive: Derive | None = None,
        plausible: Mapping[str, Plausible] | None = None,
        whole: bool = False,
        watch: Watch = ignored,
    ) -> Counts:
        """Judge, decide and store the rows of one feed.

        Args:
            table: where they go.
            batches: the delivery, read once.
            source_code: the source system of rows that name none themselves.
            feed: its name, such as ``S01/bid``; what stands before the stroke is the adapter.
            derive: completes rows before required columns are checked.
            plausible: amounts to hold against the parent's, by column.
            whole: the rows are whole rows of the table, so every required column must be there; else they may be parts.
            watch: told of every row what became of it, once that is certain: rows that wait, by ``finish``.

        Returns:
            The counts so far: rows that wait count as quarantined until ``finish`` has tried them.
        """
        completing = derive or self.derive.get(feed)
        checked = self.plausible.get(feed, {}) if plausible is None else plausible
        self._feeds[feed] = self._again.watching(Feed(feed, table, source_code, completing, checked, whole, watch))
        delivery = self._settling.delivery(self._feeds[feed])
        introduced = _Introduced(self._settling, delivery.feed)
        n_read = 0
        for batch in batches:
            introduced.add(batch.introduced)
            self._judge(delivery, batch)
            n_read += batch.rows.height
        introduced.store()
        self._settling.settle(delivery)
        counts = Counts(read=n_read) + delivery.counts
        done = counts.loaded + counts.unchanged + counts.superseded + counts.quarantined
        self._counts[feed] = self._counts.get(feed, Counts()) + counts
        return counts + Counts(quarantined=n_read - done)

    def finish(self) -> Finished:
        """Try again whatever waits, of this run and of earlier ones, then keep in quarantine what still does.

        Entries whose record is stored by now, as it was or newer, are settled; those that tell no version, when this
        run has taken it. Tables and quarantine that have come to
        consist of many files are merged.
        """
        self._settle_taken_again()  # Of undated rows of a key the latest delivered counts, so the others wait no more.
        became, released = release(self._settling, self._feeds, self.derive, self.plausible, self.watching)
        for feed, counts in became.items():
            self._counts[feed] += counts
        self._settle_taken_again()
        self._settle_superseded()
        for table in self._settling.touched.values():
            self.store.tidy(table)
        self.quarantine.tidy()
        staging.clear(self.store.home)
        return Finished(dict(self._counts), released)

    def _settle_taken_again(self) -> None:
        self._settling.write_refused()
        self.quarantine.mark_superseded(self._again.settled(), self.loaded_at)

    def _settle_superseded(self) -> None:
        loaded = {feed.table.NAME: feed.table for feed in self._feeds.values()} | self._settling.touched
        for name, table in loaded.items():
            entries, versions = self.quarantine.dated(name), self.store.versions(table)
            settled = superseded(entries, versions, table, self._settling.known)
            self.quarantine.mark_superseded(settled, self.loaded_at)

    def _judge(self, delivery: Delivery, batch: MappedBatch) -> None:
        """Judge a batch by itself: stage what is good, let wait what misses a parent, refuse the rest."""
        feed, settling = delivery.feed, self._settling
        cells = read_cells(batch.rows, feed.table, whole=False)
        failures = pl.concat([checks.levelled(cells.failures), checks.levelled(batch.failures)])
        read = _blanked(with_origin(cells.rows, feed, batch.places), failures)
        feed.watch("delivered", read)
        missing = settling.missing(feed, read).join(failures, on=["row", "field"], how="anti")
        failures = _whole_first(pl.concat([failures, missing]))
        rows = without_rows(read, _refusing(failures))
        rows = checks.resolved(rows, feed.table, settling.known)
        unknown = checks.unknown(rows, feed.table, settling.known)
        untold = checks.untold(without_rows(rows, unknown), feed.table, feed.plausible, settling.known)
        unknown = pl.concat([unknown, untold])
        settling.wait(feed, rows, unknown)
        known = without_rows(rows, unknown)
        good, incomplete = settling.complete(feed, known)
        settling.stage(delivery, good)
        settling.refuse_completed(delivery, known, incomplete)
        refused = _refusing(failures).get_column("row").unique()
        delivery.count("quarantined", read.filter(pl.col(PLACE).is_in(refused.implode())))
        if failures.height:
            at = failures.get_column("row").unique().sort()
            shown = named(read, feed.table).with_columns(row=read[PLACE])
            info = pl.DataFrame({"row": at, "raw": pl.Series(batch.raw(at.to_list()), dtype=pl.String)})
            told = _with_values(failures, batch.rows)
            settling.refuse(feed, told, info.join(shown, on="row", how="left"), in_shape=feed.whole, waiting=False)


@dataclass
class _Introduced:
    """Rows that a feed mentions: known from the batch on that brings them, stored before what refers to them."""

    settling: Settling
    feed: Feed
    _deliveries: dict[str, Delivery] = field(default_factory=dict[str, Delivery], init=False)

    def add(self, introduced: Mapping[str, pl.DataFrame]) -> None:
        """Take the rows of a batch; what does not fit the contract introduces nothing."""
        for name, given in introduced.items():
            table = ALL_TABLES[name]
            fresh = self.settling.unmentioned(table, self.feed.source_code, given)
            if fresh.is_empty():
                continue
            if name not in self._deliveries:
                self._deliveries[name] = self.settling.delivery(Feed(self.feed.name, table, self.feed.source_code))
            cells = read_cells(fresh, table, whole=False)
            known = with_origin(cells.rows, self.feed, pl.repeat(self.feed.name, cells.rows.height, eager=True))
            rows = without_rows(known, checks.levelled(cells.failures)).filter(pl.col(table.key()).is_not_null())
            from_the_first = pl.lit(FIRST_MOMENT).cast(TECHNICAL["valid_from_ts"])
            self.settling.stage(self._deliveries[name], rows.with_columns(valid_from_ts=from_the_first))
            self.settling.known.keys(table).add(rows.select(key_hash(table.key())).to_series())

    def store(self) -> None:
        """Store what was mentioned, parents before children."""
        for name in [one for one in ALL_TABLES if one in self._deliveries]:
            self.settling.introduce(self._deliveries[name])


def _refusing(failures: pl.DataFrame) -> pl.DataFrame:
    return failures.filter(pl.col("level") == "row")


def _whole_first(failures: pl.DataFrame) -> pl.DataFrame:
    """Leave out what is wrong with columns of rows that are wrong as a whole (no column named)."""
    as_whole = failures.filter(pl.col("field") == "").get_column("row")
    return failures.filter((pl.col("field") == "") | ~pl.col("row").is_in(as_whole.implode()))


def _blanked(rows: pl.DataFrame, failures: pl.DataFrame) -> pl.DataFrame:
    """Return rows with null where a value alone is refused."""
    values = failures.filter(pl.col("level") == "value", pl.col("field").is_in(rows.columns))
    for (name,), part in values.partition_by("field", as_dict=True).items():
        refused = pl.col(PLACE).is_in(part.get_column("row").implode())
        rows = rows.with_columns(pl.when(~refused).then(pl.col(str(name))).alias(str(name)))
    return rows


def _with_values(failures: pl.DataFrame, delivered: pl.DataFrame) -> pl.DataFrame:
    """Return failures with the value that stood in the column, where the mapping has not said it."""
    parts = [failures.filter(~pl.col("field").is_in(delivered.columns))]
    for (name,), part in (
        failures.filter(pl.col("field").is_in(delivered.columns)).partition_by("field", as_dict=True).items()
    ):
        cells = delivered.get_column(str(name)).gather(part.get_column("row"))
        text = (
            cells.cast(pl.String, strict=False)
            if not cells.dtype.is_nested()
            else pl.repeat(None, len(cells), eager=True, dtype=pl.String)
        )
        parts.append(part.with_columns(value=pl.coalesce("value", text)))
    return pl.concat(parts).sort("row", maintain_order=True)
