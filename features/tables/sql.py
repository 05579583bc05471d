"""The tables that people work on (users, parameters, warnings, dispositions): the same versions, in SQL.

SQLite with a write-ahead log where nothing else is said, PostgreSQL by its URL. Moments are ``timestamptz`` there and
text in SQLite, money is ``numeric(18,2)`` there and text in SQLite: it has neither.
"""

import datetime as dt
import os
import sqlite3
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.pool import NullPool

from features.tables.columns import ZONE

URL = "SMOKE_DATABASE_URL"
INSERTED_AT_ONCE = 10_000
_FORMAT = "%Y-%m-%d %H:%M:%S.%f"


def database_url(home: Path) -> str:
    """Return where the SQL tables of a home are: ``SMOKE_DATABASE_URL``, else ``cases.sqlite`` in the home."""
    return os.environ.get(URL) or f"sqlite:///{home / 'cases.sqlite'}"


def exists(url: str, name: str) -> bool:
    """Tell whether anything was ever put into a table."""
    if _absent(url):
        return False
    return sa.inspect(_engine(url)).has_table(name)


def append(url: str, name: str, rows: pl.DataFrame, schema: Mapping[str, pl.DataType], key: str) -> None:
    """Append rows in one transaction, the columns of the schema; the table is made when it is not there yet."""
    if rows.is_empty():
        return
    table = _table(name, schema, key)
    with _engine(url).begin() as connection:
        table.create(connection, checkfirst=True)
        stored = (
            rows.select(*schema)
            .cast({pl.Enum: pl.String})
            .with_columns(pl.selectors.datetime().dt.convert_time_zone("UTC"))
        )
        for part in stored.iter_slices(INSERTED_AT_ONCE):
            connection.execute(table.insert(), part.to_dicts())


def read(url: str, name: str, schema: Mapping[str, pl.DataType], key: str) -> pl.DataFrame:
    """Return all rows of a table in the order in which they came; none where there is no table."""
    if not exists(url, name):
        return pl.DataFrame(schema=schema)
    table = _table(name, schema, key)
    wanted = sa.select(*[table.c[column] for column in schema]).order_by(table.c.version_id)
    with _engine(url).connect() as connection:
        rows = [tuple(row) for row in connection.execute(wanted)]
    given = {n: pl.Datetime("us", "UTC") if isinstance(t, pl.Datetime) else t for n, t in schema.items()}
    frame = pl.DataFrame(rows, schema=given, orient="row")
    return frame.with_columns(pl.selectors.datetime().dt.convert_time_zone(ZONE))


def count(url: str, name: str) -> int:
    """Return how many versions a table holds."""
    with _engine(url).connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(sa.table(name))).scalar_one()


def delete_before(
    url: str, name: str, schema: Mapping[str, pl.DataType], key: str, column: str, moment: dt.datetime
) -> None:
    """Delete the rows whose instant lies before a moment, and give the room they took back, so that no byte is left."""
    if not exists(url, name):
        return
    table, engine = _table(name, schema, key), _engine(url)
    with engine.begin() as connection:
        connection.execute(table.delete().where(table.c[column] < moment.astimezone(dt.UTC)))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("VACUUM")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            connection.exec_driver_sql(f'VACUUM "{name}"')


class _Moment(sa.types.TypeDecorator[dt.datetime]):
    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(sa.String(26) if dialect.name == "sqlite" else sa.DateTime(timezone=True))

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | str | None:
        return value.strftime(_FORMAT) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: dt.datetime | str | None, dialect: Dialect) -> dt.datetime | None:
        return dt.datetime.strptime(value, _FORMAT).replace(tzinfo=dt.UTC) if isinstance(value, str) else value


class _Money(sa.types.TypeDecorator[Decimal]):
    impl = sa.Numeric(18, 2)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(sa.String(20) if dialect.name == "sqlite" else sa.Numeric(18, 2))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Decimal | str | None:
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Decimal | str | None, dialect: Dialect) -> Decimal | None:
        return Decimal(value) if isinstance(value, str) else value


def _table(name: str, schema: Mapping[str, pl.DataType], key: str) -> sa.Table:
    identity = sa.Column("version_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True)
    columns = [sa.Column(column, _type(dtype), index=column == key) for column, dtype in schema.items()]
    return sa.Table(name, sa.MetaData(), identity, *columns)


def _type(dtype: pl.DataType) -> sa.types.TypeEngine[Any]:
    types: dict[type[pl.DataType], sa.types.TypeEngine[Any]] = {
        pl.Datetime: _Moment(),
        pl.Decimal: _Money(),
        pl.Date: sa.Date(),
        pl.Boolean: sa.Boolean(),
        pl.Int64: sa.BigInteger(),
        pl.Float64: sa.Double(),
    }
    return types.get(type(dtype), sa.Text())


def _absent(url: str) -> bool:
    database = sa.make_url(url).database
    return url.startswith("sqlite:") and database is not None and not Path(database).exists()


@lru_cache(maxsize=8)
def _engine(url: str) -> sa.Engine:
    engine = sa.create_engine(url, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _with_write_ahead_log)
    return engine


def _with_write_ahead_log(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA busy_timeout=5000")
