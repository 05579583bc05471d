"""Loads files in the contract's shape: one file a table, every row accounted for.

Each file is read twice. The first reading judges every row and keeps 60 bytes of it, so that duplicate keys,
references and unique values are decided over the whole file, whatever the order of its rows; the second loads.
"""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl

from features.errors import InputError
from features.ingest.quarantine import Quarantine, Rejection, masked
from features.ingest.table_cells import FAILURES, REASONS, Cells, read_cells
from features.ingest.table_files import Batch, FileProblem, find_files
from features.tables.columns import ZONE, Table
from features.tables.contract import SOURCE_TABLES
from features.tables.store import TableStore, TableWriter, current

SOURCE = "tables"
LOAD, TWIN, OLDER, REFUSED = range(4)
"""What becomes of a row: loaded, the same as another of the file, older than another version, quarantined."""

Batches = Callable[[], Iterator[Batch]]


@dataclass(frozen=True)
class Counts:
    """Rows of a delivery; ``read = loaded + unchanged + superseded + quarantined`` holds always."""

    read: int = 0
    loaded: int = 0
    unchanged: int = 0
    superseded: int = 0
    quarantined: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.read + other.read,
            self.loaded + other.loaded,
            self.unchanged + other.unchanged,
            self.superseded + other.superseded,
            self.quarantined + other.quarantined,
        )


@dataclass
class Loaded:
    """What became of a delivery: counts by table, and files that were not read."""

    tables: dict[str, Counts] = field(default_factory=dict[str, Counts])
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
    source_code: str = "S01",
    progress: Callable[[str, int], None] | None = None,
) -> Loaded:
    """Load every readable file of a folder, parents before children.

    Args:
        home: where the tables and the quarantine are.
        folder: files named after tables: ``bid.csv``, ``bid.csv.gz`` or ``bid.parquet``.
        loaded_at: the moment of the load.
        source_code: the source system that the rows are from.
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
    result = Loaded(problems=problems)
    store = TableStore(home)
    with store.writing():
        loading = _Loading(store, Quarantine(home), loaded_at, source_code, progress or _silent)
        for file in files:
            result.tables[file.table.NAME] = loading.load(file.table, file.batches)
    return result


def replay_rows(
    home: Path, entries: pl.DataFrame, *, loaded_at: dt.datetime, source_code: str = "S01"
) -> tuple[Loaded, list[str]]:
    """Feed quarantined rows back through the same judgement.

    Args:
        home: where the tables and the quarantine are.
        entries: columns id, table, file, record and raw, as ``Quarantine.pending_raw("tables")`` returns them, with
            ``raw`` mended or not.
        loaded_at: the moment of the load.
        source_code: the source system that the rows are from.

    Returns:
        The counts by table, and the ids of the entries whose rows have now been taken.
    """
    result, taken = Loaded(), list[str]()
    store = TableStore(home)
    with store.writing():
        loading = _Loading(store, Quarantine(home), loaded_at, source_code, _silent)
        placed = entries.with_columns(place=pl.col("record").str.replace(r" \(.*\)$", ""))
        for name, table in SOURCE_TABLES.items():
            mine = placed.filter(pl.col("table") == name).unique(["place", "raw"], maintain_order=True)
            if mine.is_empty():
                continue
            refused: set[str] = set()
            result.tables[name] = loading.load(table, lambda rows=mine, of=table: _raw_batches(rows, of), refused)
            same = placed.filter(pl.col("table") == name, ~pl.col("place").is_in(sorted(refused)))
            taken += same.get_column("id").to_list()
        loading.quarantine.mark_replayed(taken, loaded_at)
    return result, taken


@dataclass
class _Loading:
    """One load into one home; parents' keys are read once."""

    store: TableStore
    quarantine: Quarantine
    loaded_at: dt.datetime
    source_code: str
    progress: Callable[[str, int], None]
    _keys: dict[str, pl.Series] = field(default_factory=dict[str, pl.Series], init=False)

    def load(self, table: type[Table], batches: Batches, refused: set[str] | None = None) -> Counts:
        """Judge and load one file; the records that were refused are added to ``refused``."""
        decided = self._decide(table, batches)
        writer = TableWriter(self.store, table, self.loaded_at, self.source_code)
        counts, start = Counts(), 0
        for batch in batches():
            height = batch.rows.height
            fate = decided.fate.slice(start, height)
            cells = read_cells(batch.rows, table)
            rejections = _rejections(batch, table, self._failures(batch, cells, table, start, decided), cells.rows)
            self.quarantine.add(rejections, self.loaded_at)
            if refused is not None:
                refused.update(batch.places[place] for place in (fate == REFUSED).arg_true())
            upserted = writer.upsert(_with_record(cells.rows, batch.places).filter(fate == LOAD))
            twins, older, bad = (int((fate == kind).sum()) for kind in (TWIN, OLDER, REFUSED))
            counts += Counts(height, upserted.new + upserted.changed, upserted.unchanged + twins, older, bad)
            start += height
            self.progress(table.NAME, height)
        self._keys.pop(table.NAME, None)
        return counts

    def _failures(
        self, batch: Batch, cells: Cells, table: type[Table], start: int, decided: "_Decided"
    ) -> pl.DataFrame:
        """Return row (in the batch), field and reason of everything refused in a batch."""
        own = self._own_failures(batch, cells, table)
        over_file = decided.failures.filter(pl.col("row").is_between(start, start + batch.rows.height - 1))
        return pl.concat([own, over_file.with_columns((pl.col("row") - start).cast(pl.UInt32))])

    def _own_failures(self, batch: Batch, cells: Cells, table: type[Table]) -> pl.DataFrame:
        """Return what is wrong with rows by themselves, and references to tables loaded before."""
        uneven = list(batch.uneven)
        found = [cells.failures.filter(~pl.col("row").is_in(uneven)), _failure(uneven, "", "wrong_cell_count")]
        for column, parent in _references(table).items():
            if parent is not table and column in batch.rows.columns:
                value = cells.rows.get_column(column)
                dangling = value.is_not_null() & ~value.hash(1).is_in(self._known_keys(parent).implode())
                rows = dangling.arg_true()
                found.append(_failure(rows.filter(~rows.is_in(uneven)), column, "unknown_reference"))
        return pl.concat(found)

    def _known_keys(self, table: type[Table]) -> pl.Series:
        if table.NAME not in self._keys:
            keys = self.store.read(table).select(pl.col(table.key()).hash(1)).collect(engine="streaming")
            self._keys[table.NAME] = keys.to_series()
        return self._keys[table.NAME]

    def _decide(self, table: type[Table], batches: Batches) -> "_Decided":
        marks: list[pl.DataFrame] = []
        for batch in batches():
            cells = read_cells(batch.rows, table)
            bad = self._own_failures(batch, cells, table).get_column("row").unique()
            place = pl.int_range(pl.len(), dtype=pl.UInt32)
            marks.append(cells.rows.select(*_marks(cells.rows, table), ok=~place.is_in(bad.implode())))
        if not marks:
            return _Decided(pl.Series(dtype=pl.Int8), pl.DataFrame(schema=FAILURES))
        rows = pl.concat(marks).with_row_index("row").with_columns(pl.col("valid_from").fill_null(self.loaded_at))
        rows = _versions(rows, self._stored_versions(table, rows))
        failures = [_failure(rows.filter(fate=_CONFLICT).get_column("row"), table.key(), "conflicting_duplicate")]
        rows = rows.with_columns(fate=pl.when(pl.col("fate") == _CONFLICT).then(REFUSED).otherwise("fate"))
        for column in _unique(table):
            clashing = _clashing(rows, column, self._stored_values(table, column))
            rows, refused = _refuse(rows, clashing)
            failures.append(_failure(refused, column, "not_unique"))
        of_itself = [name for name, parent in _references(table).items() if parent is table]
        dangling: list[pl.DataFrame] = []
        if of_itself:
            rows, dangling = _without_dangling(rows, of_itself, self._known_keys(table))
        return _Decided(rows.sort("row").get_column("fate").cast(pl.Int8), pl.concat([*failures, *dangling]))

    def _stored_versions(self, table: type[Table], rows: pl.DataFrame) -> pl.DataFrame:
        """Return key and valid_from_ts of the stored rows, where the delivery dates any of its own."""
        if rows.filter(pl.col("valid_from") != self.loaded_at).is_empty():
            return pl.DataFrame(schema={"key": pl.UInt64, "stored_from": pl.Datetime("us", ZONE)})
        stored = current(self.store.versions(table), table)
        return stored.select(key=pl.col(table.key()).hash(1), stored_from="valid_from_ts").collect()

    def _stored_values(self, table: type[Table], column: str) -> pl.DataFrame:
        stored = self.store.read(table).filter(pl.col(column).is_not_null())
        return stored.select(key=pl.col(table.key()).hash(1), value=pl.col(column).hash(1)).collect()


@dataclass(frozen=True)
class _Decided:
    """The fate of every row of a file in its order, and what only the whole file could tell."""

    fate: pl.Series
    failures: pl.DataFrame


_CONFLICT = 9


def _silent(_table: str, _rows: int) -> None:
    """Report nothing."""


def _references(table: type[Table]) -> dict[str, type[Table]]:
    """Return the columns that refer to a table of this contract, with the table."""
    found = {name: (column.metadata or {}).get("references", "").split(".")[0] for name, column in _columns(table)}
    return {name: SOURCE_TABLES[parent] for name, parent in found.items() if parent in SOURCE_TABLES}


def _unique(table: type[Table]) -> list[str]:
    return [name for name, column in _columns(table) if (column.metadata or {}).get("unique")]


def _columns(table: type[Table]) -> Iterable[tuple[str, dy.Column]]:
    return table.columns().items()


def _failure(rows: pl.Series | Sequence[int], field: str, reason: str) -> pl.DataFrame:
    series = pl.Series("row", rows, dtype=pl.UInt32)
    return series.to_frame().with_columns(field=pl.lit(field), reason=pl.lit(reason))


def _marks(rows: pl.DataFrame, table: type[Table]) -> list[pl.Expr]:
    content = pl.struct(pl.col(table.column_names()).cast(pl.String))
    dated = pl.col("valid_from_ts") if "valid_from_ts" in rows.columns else pl.lit(None, dtype=pl.Datetime("us", ZONE))
    of_itself = [name for name, parent in _references(table).items() if parent is table]
    return [
        pl.col(table.key()).hash(1).alias("key"),
        pl.col(table.key()).hash(2).alias("key2"),
        content.hash(5).alias("content"),
        dated.alias("valid_from"),
        *[
            pl.when(pl.col(name).is_not_null()).then(pl.col(name).hash(1)).alias(f"value:{name}")
            for name in dict.fromkeys([*_unique(table), *of_itself])
        ],
    ]


def _versions(rows: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Add ``fate``: of the good rows of one key the newest loads, its twins and its older versions do not."""
    of_key = ["key", "key2"]
    good = rows.filter("ok").select("row", *of_key, "content", "valid_from")
    alone = good.select(pl.struct(of_key).is_unique()).to_series()
    fates = pl.concat([good.filter(alone).select("row", fate=pl.lit(LOAD)), _among_versions(good.filter(~alone))])
    older = good.join(stored, on="key").filter(pl.col("stored_from") > pl.col("valid_from").max().over(of_key))
    superseded = pl.col("row").is_in(older.get_column("row").implode())
    return rows.join(fates, on="row", how="left", maintain_order="left").with_columns(
        fate=pl.when(superseded).then(OLDER).otherwise(pl.col("fate").fill_null(REFUSED))
    )


def _among_versions(good: pl.DataFrame) -> pl.DataFrame:
    """Return row and fate of rows whose key occurs more than once."""
    of_key = ["key", "key2"]
    at_top = pl.col("valid_from") == pl.col("valid_from").max().over(of_key)
    differs = pl.col("content").filter(at_top).n_unique().over(of_key) > 1
    first = pl.col("row") == pl.col("row").filter(at_top).min().over(of_key)
    fate = pl.when(~at_top).then(OLDER).when(differs).then(_CONFLICT).when(first).then(LOAD).otherwise(TWIN)
    return good.select("row", fate=fate)


def _clashing(rows: pl.DataFrame, column: str, stored: pl.DataFrame) -> pl.Series:
    """Return rows whose unique value stands under another key too, delivered or stored."""
    loading = rows.filter(pl.col("fate") == LOAD, pl.col(f"value:{column}").is_not_null())
    loading = loading.select("row", "key", value=f"value:{column}")
    delivered_keys = rows.filter(pl.col("fate") == LOAD).get_column("key")
    kept = stored.filter(~pl.col("key").is_in(delivered_keys.implode()))
    among = loading.filter(pl.col("key").n_unique().over("value") > 1)
    against = loading.join(kept, on="value", how="semi")
    return pl.concat([among, against]).get_column("row").unique().sort()


def _refuse(rows: pl.DataFrame, which: pl.Series) -> tuple[pl.DataFrame, pl.Series]:
    """Refuse rows and the twins of their keys; return the frame and all rows that this refused."""
    keys = rows.filter(pl.col("row").is_in(which.implode())).get_column("key")
    hit = pl.col("fate").is_in([LOAD, TWIN]) & pl.col("key").is_in(keys.implode())
    refused = rows.filter(hit).get_column("row")
    return rows.with_columns(fate=pl.when(hit).then(REFUSED).otherwise("fate")), refused


def _without_dangling(
    rows: pl.DataFrame, columns: Sequence[str], stored: pl.Series
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Refuse rows that refer to a row of their own table which is neither stored nor loading, until none is left."""
    failures: list[pl.DataFrame] = []
    found = True
    while found:
        found = False
        for column in columns:
            value = pl.col(f"value:{column}")
            known = pl.concat([stored, rows.filter(pl.col("fate") == LOAD).get_column("key")])
            dangling = rows.filter(
                pl.col("fate").is_in([LOAD, TWIN]), value.is_not_null(), ~value.is_in(known.implode())
            )
            if dangling.height:
                found = True
                rows, refused = _refuse(rows, dangling.get_column("row"))
                failures.append(_failure(refused, column, "unknown_reference"))
    return rows, failures


def _with_record(rows: pl.DataFrame, places: list[str]) -> pl.DataFrame:
    place = pl.Series("source_record_id", places)
    if "source_record_id" in rows.columns:
        return rows.with_columns(pl.coalesce("source_record_id", place))
    return rows.with_columns(place)


def _rejections(batch: Batch, table: type[Table], failures: pl.DataFrame, typed: pl.DataFrame) -> Iterator[Rejection]:
    keys = typed.get_column(table.key())
    for place, name, reason in failures.sort("row", maintain_order=True).iter_rows():
        delivered = batch.rows.row(place, named=True)
        value = delivered.get(name)
        key = keys[place]
        yield Rejection(
            source=SOURCE,
            file=batch.places[place].rpartition(":")[0],
            record=f"{batch.places[place]} ({key})" if key else batch.places[place],
            table=table.NAME,
            level="row",
            field=name,
            value="" if value is None else masked(table.NAME, name, str(value)),
            reason=reason,
            message=_fill(REASONS[reason].message, table, name),
            mend=_fill(REASONS[reason].mend, table, name),
            raw=batch.raw[place] if batch.raw is not None else _raw(delivered, batch.uneven.get(place)),
        )


def _raw(delivered: dict[str, Any], uneven: list[str] | None) -> str:
    content = {"heading": list(delivered), "cells": uneven} if uneven is not None else delivered
    return json.dumps(content, ensure_ascii=False, default=str)


def _fill(text: str, table: type[Table], name: str) -> str:
    column = table.columns().get(name)
    about: dict[str, Any] = (column.metadata or {}) if column is not None else {}
    words = ", ".join(column.categories) if isinstance(column, dy.Enum) else ""
    low, high = getattr(column, "min", None), getattr(column, "max", None)
    return text.format(
        field=name, words=words, parent=about.get("references", "").split(".")[0], bounds=f"{low} to {high}"
    )


def _raw_batches(entries: pl.DataFrame, table: type[Table]) -> Iterator[Batch]:
    """Yield quarantined rows, one batch; their cells are text again."""
    raws = entries.get_column("raw").to_list()
    rows: list[dict[str, str | None]] = []
    uneven: dict[int, list[str]] = {}
    for place, raw in enumerate(raws):
        cells: dict[str, Any] = json.loads(raw)
        if isinstance(cells.get("cells"), list):
            uneven[place] = cells["cells"]
        rows.append({name: None if cell is None else str(cell) for name, cell in cells.items()})
    names = [*table.column_names(), "source_record_id", "valid_from_ts"]
    frame = pl.DataFrame(
        [{name: row.get(name) for name in names} for row in rows], schema=dict.fromkeys(names, pl.String)
    )
    yield Batch(frame, entries.get_column("place").to_list(), uneven, raws)
