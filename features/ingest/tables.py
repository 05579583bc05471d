"""Files in the contract's shape, one a table, through the intake; and rows of quarantine, judged again."""

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from features.errors import InputError
from features.ingest.books.ledger import Books, noting_replay
from features.ingest.demands import derives, plausibles
from features.ingest.intake.run import MAPPING_FAILURES, Counts, Intake, MappedBatch
from features.ingest.quarantine.refusals import shape
from features.ingest.quarantine.sealing import Seal
from features.ingest.table_files import Batch, FileProblem, TableFile, find_files
from features.tables.columns import Table
from features.tables.contract import SOURCE_TABLES
from features.tables.store import TableStore

SOURCE = "tables"
Progress = Callable[[str, int], None]


@dataclass
class Loaded:
    """What became of a delivery: counts by table, rows of earlier deliveries released, files that were not read."""

    tables: dict[str, Counts] = field(default_factory=dict[str, Counts])
    released: int = 0
    problems: list[FileProblem] = field(default_factory=list[FileProblem])

    @property
    def total(self) -> Counts:
        """Return the counts of all tables together."""
        return sum(self.tables.values(), Counts())


def load_tables(
    home: Path,
    folder: Path,
    *,
    loaded_at: dt.datetime,
    source_code: str | None = None,
    seal: Seal | None = None,
    progress: Progress | None = None,
) -> Loaded:
    """Load every readable file of a folder, parents before children.

    Args:
        home: where the tables and the quarantine are.
        folder: files named after tables: ``bid.csv``, ``bid.csv.gz`` or ``bid.parquet``.
        loaded_at: the moment of the load.
        source_code: the source system that the rows are from, where they do not say it themselves; None: the first of
            those that the table's key may come from.
        seal: closes records that go to quarantine; without it they lose their personal cells.
        progress: called with the table's name and the number of rows just dealt with.

    Raises:
        InputError: the folder does not exist or holds no file of a table.
        StoreError: another process is writing into the same home.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.", field="DIR", mend="give the folder of the delivered files.")
    files, problems = find_files(folder)
    if not files and not problems:
        raise InputError(
            f"{folder} holds no file of a table.",
            field="DIR",
            mend=f"name the files after the tables ({', '.join(SOURCE_TABLES)}), ending .parquet, .csv or .csv.gz.",
        )
    store = TableStore(home)
    with store.writing():
        books = Books(home, uuid.uuid4().hex, loaded_at)
        intake = Intake(store, loaded_at, seal, derives(store), plausibles(), books.watching)
        for file in files:
            source, feed = source_code or default_source(file.table), _feed(file.table)
            page = books.page(source, feed, file.table, automatic=False)
            batches = _batches(file, progress or _silent)
            intake.take(file.table, batches, source_code=source, feed=feed, whole=True, watch=page.add)
        finished = intake.finish()
        books.close()
    tables = {file.table.NAME: finished.feeds[_feed(file.table)] for file in files}
    return Loaded(tables, sum(finished.released.values()), problems)


def replay_rows(
    home: Path,
    entries: pl.DataFrame,
    *,
    loaded_at: dt.datetime,
    source_code: str | None = None,
    seal: Seal | None = None,
) -> tuple[Loaded, list[str]]:
    """Judge quarantined rows in the contract's shape again, and all rows that wait for what they refer to.

    Args:
        home: where the tables and the quarantine are.
        entries: as ``Quarantine.pending_raw`` returns them, with ``raw`` mended or not.
        loaded_at: the moment of the load.
        source_code: the source system of rows of which it is not known.
        seal: as for ``load_tables``.

    Returns:
        The counts by table, and the ids of the entries whose rows have now been taken.
    """
    store = TableStore(home)
    result, refused = Loaded(), set[str]()
    books = Books(home, uuid.uuid4().hex, loaded_at)
    judged = entries.filter(~pl.col("waiting"))
    with store.writing():
        intake = Intake(store, loaded_at, seal, derives(store), plausibles(), books.watching)
        for name, table in SOURCE_TABLES.items():
            mine = judged.filter(pl.col("table") == name).unique(["place", "raw"], maintain_order=True)
            for (source,), rows in mine.partition_by("source_code", as_dict=True).items():
                given = source_code or (str(source) if source else default_source(table))
                batches = _raw_batches(rows, table)
                page = books.page(given, _feed(table), table, automatic=False)
                intake.take(
                    table, batches, source_code=given, feed=_feed(table), whole=True, watch=noting_replay(page, refused)
                )
        finished = intake.finish()
        books.close()
        taken = judged.filter(~pl.col("place").is_in(sorted(refused))).get_column("id").to_list()
        intake.quarantine.mark_replayed(taken, loaded_at)
        waited = entries.filter("waiting").get_column("id")
        still = intake.quarantine.list(source=None).get_column("id")
        taken += waited.filter(~waited.is_in(still.implode())).to_list()
    result.tables = {
        name: finished.feeds[_feed(table)] for name, table in SOURCE_TABLES.items() if _feed(table) in finished.feeds
    }
    result.released = sum(finished.released.values())
    return result, taken


def default_source(table: type[Table]) -> str:
    """Return the first of the sources that may deliver the key of a table."""
    return str(table.about(table.key())["source_system"]).split("+")[0]


def _silent(_table: str, _rows: int) -> None:
    """Report nothing."""


def _feed(table: type[Table]) -> str:
    return f"{SOURCE}/{table.NAME}"


def _batches(file: TableFile, progress: Progress) -> Iterator[MappedBatch]:
    for batch in file.batches():
        yield _mapped(batch)
        progress(file.table.NAME, batch.rows.height)


def _mapped(batch: Batch) -> MappedBatch:
    """Return a batch for the intake; a row with too few or too many cells, or one that is cut, fails as a whole."""

    def raw(places: Sequence[int]) -> list[str]:
        if batch.raw is not None:
            return [batch.raw[place] for place in places]
        return [_raw(batch.rows.row(place, named=True), batch.uneven.get(place)) for place in places]

    uneven = pl.DataFrame({"row": list(batch.uneven)}, schema={"row": pl.UInt32})
    cut = pl.col("row").eq_missing(pl.lit(batch.cut, dtype=pl.UInt32))
    reason = pl.when(cut).then(pl.lit("unfinished_record")).otherwise(pl.lit("wrong_cell_count"))
    uneven = uneven.with_columns(field=pl.lit(""), reason=reason, level=pl.lit("row"))
    absent = [
        pl.lit(None, dtype=dtype).alias(name) for name, dtype in MAPPING_FAILURES.items() if name not in uneven.columns
    ]
    return MappedBatch(batch.rows, batch.places, raw, uneven.with_columns(absent))


def _raw(delivered: dict[str, Any], uneven: list[str] | None) -> str:
    content = {"heading": list(delivered), "cells": uneven} if uneven is not None else delivered
    return json.dumps(content, ensure_ascii=False, default=str)


def _raw_batches(entries: pl.DataFrame, table: type[Table]) -> Iterator[MappedBatch]:
    """Yield quarantined rows, one batch; their cells are text again."""
    raws = entries.get_column("raw").to_list()
    rows: list[dict[str, str | None]] = []
    uneven: dict[int, list[str]] = {}
    for place, raw in enumerate(raws):
        cells: dict[str, Any] = json.loads(raw)
        if isinstance(cells.get("cells"), list):
            uneven[place] = cells["cells"]
            # Under the key that it was refused with before, so that no second entry comes to be.
            cells = dict(zip(cells.get("heading", []), cells["cells"], strict=False))
        rows.append({name: None if cell is None else str(cell) for name, cell in cells.items()})
    names = shape(table)
    frame = pl.DataFrame(
        [{name: row.get(name) for name in names} for row in rows], schema=dict.fromkeys(names, pl.String)
    )
    yield _mapped(Batch(frame, entries.get_column("place"), uneven, raws))
