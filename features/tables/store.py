"""Tables on disk: append-only Delta Lake, every row a version, any past state readable.

A table keeps the contract's columns and these technical ones:

* ``loaded_at``: when this version entered the platform. Replay filters on it, never on Delta versions, so that
  compaction and vacuum change no answer.
* ``valid_from_ts``: from when the version counts; equal to ``loaded_at`` unless the source says otherwise.
* ``source_code``, ``source_record_id``: the system and the record (an OCDS ocid, a file row) it came from.
* ``retracted``: the source took the row back with this version.

``valid_to_ts`` is not stored: it is the next version's ``valid_from_ts``, derived on reading.
"""

import datetime as dt
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from deltalake import DeltaTable, write_deltalake
from filelock import FileLock, Timeout

from features.clock import now
from features.errors import StoreError
from features.tables.columns import ZONE, Table
from features.tables.delta import check_folder, is_table, scan

TECHNICAL: Mapping[str, pl.DataType] = {
    "loaded_at": pl.Datetime("us", ZONE),
    "valid_from_ts": pl.Datetime("us", ZONE),
    "source_code": pl.String(),
    "source_record_id": pl.String(),
    "retracted": pl.Boolean(),
}
COMPACT_ABOVE_FILES = 60


@dataclass(frozen=True)
class Upserted:
    """Rows of one append: new keys, changed keys, keys taken back, and rows that were already there."""

    new: int = 0
    changed: int = 0
    retracted: int = 0
    unchanged: int = 0

    def __add__(self, other: "Upserted") -> "Upserted":
        return Upserted(
            self.new + other.new,
            self.changed + other.changed,
            self.retracted + other.retracted,
            self.unchanged + other.unchanged,
        )


@dataclass(frozen=True)
class TableStore:
    """The tables under ``home/tables``, one Delta table each."""

    home: Path

    def path(self, table: type[Table]) -> Path:
        """Return the folder of a table."""
        return self.home / "tables" / table.NAME

    def exists(self, table: type[Table]) -> bool:
        """Tell whether anything was ever loaded into the table."""
        return is_table(self.path(table))

    def version(self, table: type[Table]) -> int:
        """Return the Delta version of a table, -1 when it does not exist."""
        return DeltaTable(self.path(table)).version() if self.exists(table) else -1

    def append(self, table: type[Table], versions: pl.DataFrame) -> None:
        """Append row versions in one atomic commit.

        Args:
            table: the table.
            versions: the contract's columns plus the technical ones, in any order.
        """
        if versions.is_empty():
            return
        path = self.path(table)
        path.mkdir(parents=True, exist_ok=True)
        stored = versions.select(*stored_schema(table)).cast(_on_disk(stored_schema(table)))  # type: ignore[arg-type]
        write_deltalake(path, stored.to_arrow(), mode="append")

    def versions(self, table: type[Table]) -> pl.LazyFrame:
        """Return every stored version of every row: the contract's columns plus the technical ones."""
        schema = stored_schema(table)
        return scan(self.path(table), schema).select([_restore(name, dtype) for name, dtype in schema.items()])

    def read(self, table: type[Table], known_at: dt.datetime | None = None) -> pl.LazyFrame:
        """Return the rows that are in force, as they were known at a moment.

        Args:
            table: the table.
            known_at: leave out every version loaded, or in force, only later; None is the present moment
                (rulings G1).

        Returns:
            One row a key, the contract's columns.
        """
        versions = self.versions(table)
        if known_at is None:
            versions = versions.filter(pl.col("valid_from_ts") <= pl.max_horizontal(pl.lit(now()), "loaded_at"))
        else:
            versions = versions.filter(pl.col("loaded_at") <= known_at, pl.col("valid_from_ts") <= known_at)
        return current(versions, table).select(table.column_names())

    def compact(self, table: type[Table]) -> None:
        """Merge small files; no answer changes, since replay never reads Delta versions."""
        if self.exists(table):
            DeltaTable(self.path(table)).optimize.compact()

    def vacuum(self, table: type[Table]) -> None:
        """Remove files that compaction left behind."""
        if self.exists(table):
            DeltaTable(self.path(table)).vacuum(
                retention_hours=0, enforce_retention_duration=False, dry_run=False, full=True
            )

    @contextmanager
    def writing(self) -> Generator[None]:
        """Hold the one writer's lock of this home; it falls with the process, killed or not.

        Raises:
            StoreError: another process is loading into the same home, or no table can be kept there.
        """
        check_folder(self.home)
        self.home.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.home / ".writing.lock")
        try:
            lock.acquire(timeout=5)
        except Timeout as error:
            message = f"{self.home} is being written by another process. Wait until it has ended, then run again."
            raise StoreError(message) from error
        try:
            yield
        finally:
            lock.release()


@dataclass
class TableWriter:
    """Writes rows of one table as versions: what is stored already is not stored twice.

    The keys and contents of the rows in force are held as hashes (40 bytes a row), read once when the writer is
    made; the table itself is never held in memory.
    """

    store: TableStore
    table: type[Table]
    loaded_at: dt.datetime
    source_code: str
    _known: pl.DataFrame = field(init=False)

    def __post_init__(self) -> None:
        # Rows are hashed before the versions are sorted, so that no whole row is held.
        key = self.table.key()
        hashed = self.store.versions(self.table).select(
            key, "valid_from_ts", "loaded_at", "retracted", *_hashes(self.table)
        )
        in_force = current(hashed, self.table)
        self._known = in_force.select("_key1", "_key2", "_row", "_record").collect(engine="streaming")

    def upsert(self, rows: pl.DataFrame, *, complete_records: pl.Series | None = None) -> Upserted:
        """Append the rows that are new or changed, and take back what complete records no longer hold.

        Args:
            rows: validated rows of the table plus ``source_record_id`` and, optionally, ``valid_from_ts``; at most
                one row a key.
            complete_records: ids of source records delivered whole; rows in force that came from them and are not
                in ``rows`` are retracted.

        Raises:
            StoreError: two rows share a key.
        """
        key = self.table.key()
        if rows.get_column(key).is_duplicated().any():
            twice = rows.filter(pl.col(key).is_duplicated()).get_column(key)[0]
            message = f"Two rows of {self.table.NAME} share the key {twice!r} in one delivery; keep one of them."
            raise StoreError(message)
        hashed = rows.with_columns(*_hashes(self.table))
        compared = hashed.join(self._known.select("_key1", "_key2", _stored="_row"), on=["_key1", "_key2"], how="left")
        fresh = compared.filter(pl.col("_stored").is_null() | (pl.col("_stored") != pl.col("_row")))
        new = fresh.get_column("_stored").null_count()
        gone = self._gone(hashed, complete_records)
        versions = fresh.with_columns(
            loaded_at=pl.lit(self.loaded_at).cast(TECHNICAL["loaded_at"]),
            valid_from_ts=_valid_from(fresh, self.loaded_at),
            source_code=pl.lit(self.source_code),
            retracted=pl.lit(False),
        ).select(*stored_schema(self.table))
        self.store.append(self.table, pl.concat([versions, gone]) if gone.height else versions)
        self._remember(fresh, gone)
        return Upserted(new, fresh.height - new, gone.height, rows.height - fresh.height)

    def _gone(self, hashed: pl.DataFrame, complete_records: pl.Series | None) -> pl.DataFrame:
        """Return retracting versions of the rows that complete records no longer hold."""
        nothing = pl.DataFrame(schema=stored_schema(self.table))
        if complete_records is None or complete_records.is_empty():
            return nothing
        records = pl.DataFrame({"_record": complete_records.unique().hash(seed=3)})
        lost = self._known.join(records, on="_record", how="semi").join(hashed, on=["_key1", "_key2"], how="anti")
        if lost.is_empty():
            return nothing
        in_force = current(self.store.versions(self.table), self.table)
        key1 = _hashes(self.table)[0]
        return (
            in_force.filter(key1.is_in(lost.get_column("_key1").implode()))
            .collect()
            .with_columns(
                loaded_at=pl.lit(self.loaded_at).cast(TECHNICAL["loaded_at"]),
                valid_from_ts=pl.lit(self.loaded_at).cast(TECHNICAL["valid_from_ts"]),
                source_code=pl.lit(self.source_code),
                retracted=pl.lit(True),
            )
            .select(*stored_schema(self.table))
        )

    def _remember(self, fresh: pl.DataFrame, gone: pl.DataFrame) -> None:
        if fresh.is_empty() and gone.is_empty():
            return
        columns = self._known.columns
        touched = pl.concat([fresh.select("_key1", "_key2"), gone.select(*_hashes(self.table)[:2])])
        kept = self._known.join(touched, on=["_key1", "_key2"], how="anti")
        self._known = pl.concat([kept, fresh.select(columns)])


def stored_schema(table: type[Table]) -> dict[str, pl.DataType]:
    """Return the names and types of a stored table: the contract's columns, then the technical ones."""
    return {name: column.dtype for name, column in table.columns().items()} | dict(TECHNICAL)  # type: ignore[dict-item]


def current(versions: pl.LazyFrame, table: type[Table]) -> pl.LazyFrame:
    """Return the version of each key that is in force among those given, with its technical columns."""
    return (
        versions.sort("valid_from_ts", "loaded_at", maintain_order=True)
        .unique(subset=[table.key()], keep="last", maintain_order=True)
        .filter(~pl.col("retracted"))
    )


def _valid_from(rows: pl.DataFrame, loaded_at: dt.datetime) -> pl.Expr:
    default = pl.lit(loaded_at).cast(TECHNICAL["valid_from_ts"])
    return pl.coalesce("valid_from_ts", default) if "valid_from_ts" in rows.columns else default


def _hashes(table: type[Table]) -> list[pl.Expr]:
    """Two hashes of the key (128 bits: no two keys meet by chance), one of the content, one of the record."""
    key = pl.col(table.key())
    content = pl.struct(pl.col(table.column_names()).cast(pl.String))
    return [
        key.hash(seed=1).alias("_key1"),
        key.hash(seed=2).alias("_key2"),
        content.hash(seed=5).alias("_row"),
        pl.col("source_record_id").hash(seed=3).alias("_record"),
    ]


def _on_disk(schema: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
    """Delta knows neither enums nor zones other than UTC."""
    return {name: _disk_type(dtype) for name, dtype in schema.items()}


def _disk_type(dtype: pl.DataType) -> pl.DataType:
    if isinstance(dtype, pl.Enum):
        return pl.String()
    if isinstance(dtype, pl.Datetime):
        return pl.Datetime("us", "UTC")
    return dtype


def _restore(name: str, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Datetime):
        return pl.col(name).dt.convert_time_zone(ZONE)
    return pl.col(name).cast(dtype)
