"""The tables of one home: append-only, every row a version, any past state readable.

``Table.STORE`` says where a table is kept: a Delta table under ``home/tables``, or SQL (``features.tables.sql``).
Sensitive columns are never kept in the table itself but apart, under ``home/sensitive``, and come back only from
``read_sensitive``, which ``features.tables.door`` alone may call.
"""

import datetime as dt
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from deltalake import DeltaTable
from filelock import FileLock, Timeout

from features.clock import now
from features.errors import StoreError
from features.tables import delta, sql
from features.tables.columns import Table
from features.tables.versions import (
    CONTENT,
    SENSITIVE,
    TECHNICAL,
    VERSION,
    complete,
    current,
    hashes,
    in_force,
    public_schema,
    sensitive_schema,
    stored_schema,
)


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
    """The tables of one home.

    Attributes:
        home: the folder of all state.
        database: URL of the SQL tables; None for ``SMOKE_DATABASE_URL``, else SQLite in the home.
    """

    home: Path
    database: str | None = None

    def path(self, table: type[Table]) -> Path:
        """Return the folder of a Delta table."""
        return self.home / "tables" / table.NAME

    def sensitive_path(self, table: type[Table]) -> Path:
        """Return the folder of the sensitive columns of a Delta table."""
        return self.home / "sensitive" / table.NAME

    @property
    def url(self) -> str:
        """Return where the SQL tables are."""
        return self.database or sql.database_url(self.home)

    def exists(self, table: type[Table]) -> bool:
        """Tell whether anything was ever loaded into the table."""
        return sql.exists(self.url, table.NAME) if table.STORE == "sql" else delta.is_table(self.path(table))

    def version(self, table: type[Table]) -> int:
        """Return a number that changes with the table, -1 when it does not exist: Delta's, or of versions in SQL."""
        if not self.exists(table):
            return -1
        return sql.count(self.url, table.NAME) if table.STORE == "sql" else DeltaTable(self.path(table)).version()

    def append(self, table: type[Table], versions: pl.DataFrame) -> None:
        """Append row versions: the sensitive parts first, then the rows, each in one atomic commit.

        A process that is killed in between leaves sensitive parts of no row, which are never read.

        Args:
            table: the table.
            versions: the technical columns and any of the contract's, in any order; hashes are added where absent.
        """
        if versions.is_empty():
            return
        if CONTENT not in versions.columns:
            versions = versions.with_columns(hashes(versions, table))
        absent = [name for name in table.column_names() if name not in versions.columns]
        versions = versions.with_columns(pl.lit(None).alias(name) for name in absent)
        apart = table.sensitive_columns()
        if apart:
            given = versions.filter(pl.any_horizontal(pl.col(apart).is_not_null()))
            self._append(table, given, sensitive=True)
        self._append(table, versions, sensitive=False)

    def versions(self, table: type[Table], *, sensitive: bool = False) -> pl.LazyFrame:
        """Return every stored version of every row, with the technical columns and the hashes.

        Args:
            table: the table.
            sensitive: with the sensitive columns; only for the intake and the audited door.
        """
        public = self._scan(table, sensitive=False)
        if not sensitive:
            return public
        if not table.sensitive_columns():
            return public.with_columns(pl.lit(0, dtype=pl.Int64).alias(SENSITIVE))
        parts = self._scan(table, sensitive=True).drop("source_record_id")
        joined = public.join(parts, on=[table.key(), *VERSION], how="left", maintain_order="left")
        return joined.with_columns(pl.col(SENSITIVE).fill_null(0))

    def index(self, table: type[Table]) -> list[pl.LazyFrame]:
        """Return what tells the versions of a table apart: key, ``VERSION`` and retracted.

        Where the table has sensitive columns, key, ``VERSION`` and the hash of these come second. They are to be joined
        bucket by bucket: together they may be more than memory holds.
        """
        return [self._scan(table, sensitive=part).select(*schema) for part, schema in self._index(table)]

    def index_parts(self, table: type[Table], at_once: int) -> list[Iterator[pl.DataFrame]]:
        """Return what ``index`` does, so many rows at a time."""
        if table.STORE == "sql":
            return [iter([frame.collect()]) for frame in self.index(table)]
        paths = {False: self.path(table), True: self.sensitive_path(table)}
        return [delta.stream(paths[part], schema, at_once) for part, schema in self._index(table)]

    def _index(self, table: type[Table]) -> list[tuple[bool, dict[str, pl.DataType]]]:
        """Return which parts have an index, and the columns of each."""
        wanted = [(False, [table.key(), *VERSION, "retracted"])]
        if table.sensitive_columns():
            wanted.append((True, [table.key(), *VERSION, SENSITIVE]))
        return [(part, {name: _schema(table, sensitive=part)[name] for name in names}) for part, names in wanted]

    def read(
        self, table: type[Table], known_at: dt.datetime | None = None, *, incomplete: bool = False
    ) -> pl.LazyFrame:
        """Return the rows that are in force, as they were known at a moment.

        Args:
            table: the table.
            known_at: leave out every version loaded, or in force, only later; None is the present moment
                (rulings G1).
            incomplete: also rows that lack a required column, because a source has not delivered its part yet.

        Returns:
            One row a key, the contract's columns without the sensitive ones.
        """
        return self._in_force(table, self.versions(table), table.public_columns(), known_at, incomplete=incomplete)

    def read_sensitive(self, table: type[Table], known_at: dt.datetime | None = None) -> pl.LazyFrame:
        """Return what ``read`` returns with the sensitive columns; only the audited door may call this."""
        versions = self.versions(table, sensitive=True)
        return self._in_force(table, versions, table.column_names(), known_at, incomplete=False)

    def _in_force(
        self,
        table: type[Table],
        versions: pl.LazyFrame,
        columns: list[str],
        known_at: dt.datetime | None,
        *,
        incomplete: bool,
    ) -> pl.LazyFrame:
        if known_at is None:
            versions = versions.filter(pl.col("valid_from_ts") <= pl.max_horizontal(pl.lit(now()), "loaded_at"))
        else:
            versions = versions.filter(pl.col("loaded_at") <= known_at, pl.col("valid_from_ts") <= known_at)
        rows = in_force(versions, table, columns)
        return rows if incomplete else complete(rows, table, columns)

    def tidy(self, table: type[Table]) -> None:
        """Merge the files of a table once they are many, and remove those that a day ago were merged or torn."""
        for path in (self.path(table), self.sensitive_path(table)):
            delta.tidy(path)

    def compact(self, table: type[Table]) -> None:
        """Merge small files; no answer changes, since replay never reads Delta versions."""
        delta.compact(self.path(table))
        delta.compact(self.sensitive_path(table))

    def vacuum(self, table: type[Table]) -> None:
        """Remove files that compaction left behind, at once: nobody may be reading."""
        delta.vacuum(self.path(table), 0)
        delta.vacuum(self.sensitive_path(table), 0)

    @contextmanager
    def writing(self) -> Generator[None]:
        """Hold the one writer's lock of this home; it falls with the process, killed or not.

        Raises:
            StoreError: another process is loading into the same home, or no table can be kept there.
        """
        delta.check_folder(self.home)
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

    def _scan(self, table: type[Table], *, sensitive: bool) -> pl.LazyFrame:
        schema = _schema(table, sensitive=sensitive)
        if table.STORE == "sql":
            return sql.read(self.url, _sql_name(table, sensitive=sensitive), schema, table.key()).lazy()
        return delta.scan(self.sensitive_path(table) if sensitive else self.path(table), schema)

    def _append(self, table: type[Table], rows: pl.DataFrame, *, sensitive: bool) -> None:
        schema = _schema(table, sensitive=sensitive)
        if table.STORE == "sql":
            sql.append(self.url, _sql_name(table, sensitive=sensitive), rows, schema, table.key())
            return
        path = self.sensitive_path(table) if sensitive else self.path(table)
        if sensitive:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        delta.append(path, rows, schema)


@dataclass
class TableWriter:
    """Writes whole rows of one table and source as versions: what is stored already is not stored twice.

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
        names = [key, "source_code", "valid_from_ts", "loaded_at", "retracted", CONTENT, SENSITIVE]
        versions = self._own_versions()
        hashed = versions.select(*names, *_hashes(self.table))
        in_force = current(hashed, self.table)
        self._known = in_force.select("_key1", "_key2", CONTENT, SENSITIVE, "_record").collect(engine="streaming")

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
        hashed = rows.with_columns(*_hashes(self.table), pl.lit(0, dtype=pl.Int64).alias(SENSITIVE))
        hashed = hashed.with_columns(hashes(rows, self.table))
        known = self._known.select("_key1", "_key2", _content=CONTENT, _sensitive=SENSITIVE)
        compared = hashed.join(known, on=["_key1", "_key2"], how="left")
        same = (pl.col("_content") == pl.col(CONTENT)) & (pl.col("_sensitive") == pl.col(SENSITIVE))
        fresh = compared.filter(~same.fill_null(False))
        new = fresh.get_column("_content").null_count()
        gone = self._gone(hashed, complete_records)
        versions = fresh.with_columns(
            loaded_at=pl.lit(self.loaded_at).cast(TECHNICAL["loaded_at"]),
            valid_from_ts=_valid_from(fresh, self.loaded_at),
            retracted=pl.lit(False),
            **({} if self._names_sources else {"source_code": pl.lit(self.source_code)}),
        ).select(*stored_schema(self.table))
        self.store.append(self.table, pl.concat([versions, gone]) if gone.height else versions)
        self._remember(fresh, gone)
        return Upserted(new, fresh.height - new, gone.height, rows.height - fresh.height)

    @property
    def _names_sources(self) -> bool:
        """Tell whether the contract itself says of each row which source it is about (``source_sync``)."""
        return "source_code" in self.table.column_names()

    def _own_versions(self) -> pl.LazyFrame:
        versions = self.store.versions(self.table, sensitive=True)
        return versions if self._names_sources else versions.filter(pl.col("source_code") == self.source_code)

    def _gone(self, hashed: pl.DataFrame, complete_records: pl.Series | None) -> pl.DataFrame:
        """Return retracting versions of the rows that complete records no longer hold."""
        nothing = pl.DataFrame(schema=stored_schema(self.table))
        if complete_records is None or complete_records.is_empty():
            return nothing
        records = pl.DataFrame({"_record": complete_records.unique().hash(seed=3)})
        lost = self._known.join(records, on="_record", how="semi").join(hashed, on=["_key1", "_key2"], how="anti")
        if lost.is_empty():
            return nothing
        own = self._own_versions()
        key1 = _hashes(self.table)[0]
        return (
            current(own, self.table)
            .filter(key1.is_in(lost.get_column("_key1").implode()))
            .collect()
            .with_columns(
                loaded_at=pl.lit(self.loaded_at).cast(TECHNICAL["loaded_at"]),
                valid_from_ts=pl.lit(self.loaded_at).cast(TECHNICAL["valid_from_ts"]),
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


def _schema(table: type[Table], *, sensitive: bool) -> Mapping[str, pl.DataType]:
    return sensitive_schema(table) if sensitive else public_schema(table)


def _sql_name(table: type[Table], *, sensitive: bool) -> str:
    return f"sensitive_{table.NAME}" if sensitive else table.NAME


def _valid_from(rows: pl.DataFrame, loaded_at: dt.datetime) -> pl.Expr:
    default = pl.lit(loaded_at).cast(TECHNICAL["valid_from_ts"])
    return pl.coalesce("valid_from_ts", default) if "valid_from_ts" in rows.columns else default


def _hashes(table: type[Table]) -> list[pl.Expr]:
    """Two hashes of the key (128 bits: no two keys meet by chance), and one of the record."""
    key = pl.col(table.key())
    return [
        key.hash(seed=1).alias("_key1"),
        key.hash(seed=2).alias("_key2"),
        pl.col("source_record_id").hash(seed=3).alias("_record"),
    ]
