"""Judges refused records of sources again, as they were delivered or mended, without reading the source."""

import datetime as dt
import json
import uuid
from pathlib import Path

import polars as pl

from features.ingest.books.ledger import Books, noting_replay
from features.ingest.demands import derives, plausibles
from features.ingest.feed import Feed, sources
from features.ingest.identity.work_items import read_known
from features.ingest.intake.run import Intake
from features.ingest.keys import Keys
from features.ingest.mapped import MappedBatch
from features.ingest.mapping.mapper import JUST_AFTER, Mapped, Mapper
from features.ingest.mapping.records import delivered_again
from features.ingest.quarantine.refusals import shape
from features.ingest.quarantine.sealing import Seal
from features.tables.columns import Table
from features.tables.contract import ALL_TABLES
from features.tables.store import TableStore


def replay_feed_records(home: Path, entries: pl.DataFrame, *, keys: Keys, loaded_at: dt.datetime) -> list[str]:
    """Map quarantined records of sources again and load what fits now, after a decision or a mend.

    Args:
        home: where the tables and the quarantine are.
        entries: as ``Quarantine.pending_raw`` returns them, opened, with ``raw`` mended or not.
        keys: of hashes and encryption.
        loaded_at: the moment of the load.

    Returns:
        The ids of the entries that are settled: the row is taken, and so is the value where only that was refused.
    """
    store, books = TableStore(home), Books(home, uuid.uuid4().hex, loaded_at)
    settled: list[str] = []
    with store.writing():
        intake = Intake(store, loaded_at, Seal(keys.data), derives(store), plausibles(), books.watching)
        refused: dict[str, set[str]] = {}
        for feed in _feeds(entries):
            own = entries.filter(pl.col("feed") == feed.code)
            page = books.page(feed.source, feed.code, feed.table, automatic=feed.automatic)
            mapper = Mapper(feed, keys, read_known(store, feed.source))
            (mended, wrong), kept = _mended(mapper, own.filter(~pl.col("in_shape"))), own.filter("in_shape")
            batches = [mended, _typed(feed.table, kept)] if kept.height else [mended]
            again = refused.setdefault(feed.code, set())
            intake.take(
                feed.table,
                batches,
                source_code=feed.source,
                feed=feed.code,
                watch=noting_replay(page, again),
            )
            settled += own.join(wrong, on=wrong.columns, how="anti").get_column("id").to_list()
        intake.finish()
        books.close()
        again = [f"{code} {place}" for code, places in refused.items() for place in places]
        untaken = entries.filter(pl.concat_str("feed", "place", separator=" ").is_in(again))
        taken = sorted(set(settled) - set(untaken.get_column("id")))
        intake.quarantine.mark_replayed(taken, loaded_at)
    return taken


def _feeds(entries: pl.DataFrame) -> list[Feed]:
    """Return the feeds that entries are of, parents before children; feeds that are declared no more are left out."""
    named = set(entries.get_column("feed"))
    found = [feed for source in sources().values() for feed in source.feeds if feed.code in named]
    return sorted(found, key=lambda feed: list(ALL_TABLES).index(feed.table.NAME))


def _mended(mapper: Mapper, entries: pl.DataFrame) -> tuple[MappedBatch, pl.DataFrame]:
    """Map each record once; one that was loaded without a value counts just after the version it mends.

    Returns:
        The records, but for those that are loaded already and bring nothing: of which no value is mended, or only some
        are where no decision tells them (what is mended one by one would not add up). And what is wrong still: place,
        raw, field.
    """
    by = ["place", "raw"]
    records = entries.group_by(by, maintain_order=True).agg("field", loaded=(pl.col("level") == "value").all())
    mapped = _mapped(mapper, records)
    wrong = _wrong(records, mapped.batch)
    mended = records.explode("field").join(wrong, on=[*by, "field"], how="anti").select(by).unique()
    told = records.with_columns(
        n_decided=mapped.decided,
        brings=pl.struct(by).is_in(mended.to_struct().implode()),
        whole=~pl.struct(by).is_in(wrong.select(by).to_struct().implode()),
    )
    chosen = told.filter(~pl.col("loaded") | (pl.col("brings") & (pl.col("whole") | (pl.col("n_decided") > 0))))
    batch = _mapped(mapper, chosen).batch
    # What a decision tells counts later by itself.
    late = pl.lit(chosen["loaded"] & (chosen["n_decided"] == 0))
    later = pl.when(late).then(pl.col("valid_from_ts") + JUST_AFTER).otherwise("valid_from_ts")
    rows, raws = batch.rows.with_columns(valid_from_ts=later), chosen.get_column("raw")
    # The same text is refused again under the same id, so that no second entry comes to be.
    kept = MappedBatch(rows, batch.places, lambda at: raws.gather(list(at)).to_list(), batch.failures, batch.introduced)
    return kept, wrong


def _mapped(mapper: Mapper, records: pl.DataFrame) -> Mapped:
    return mapper.map(delivered_again(records["raw"].to_list(), records["place"].to_list()))


def _wrong(records: pl.DataFrame, batch: MappedBatch) -> pl.DataFrame:
    """Return what is wrong with mapped records: place, raw, field."""
    found = records.select("place", "raw")[batch.failures.get_column("row")]
    return found.with_columns(batch.failures.get_column("field"))


def _typed(table: type[Table], entries: pl.DataFrame) -> MappedBatch:
    """Return records that are kept in the contract's shape: they were refused once they had been mapped."""
    rows = entries.unique(["place", "raw"], maintain_order=True)
    raws = rows.get_column("raw").to_list()
    kept = {table.key()}.union(*map(json.loads, raws))
    # Empty cells stay, so that what is refused again is the same text, and no second entry comes to be.
    given = pl.Struct({name: pl.String for name in shape(table) if name in kept})
    cells = rows.get_column("raw").str.json_decode(given).struct.unnest()
    return MappedBatch(cells, rows.get_column("place"), lambda at: [raws[one] for one in at])
