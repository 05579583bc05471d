"""Fetches a feed from a view in a database: rows by cursor, in batches, as Parquet."""

import os
import re
import time
from collections.abc import Iterator
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from features.errors import InputError
from features.ingest.feed import Feed
from features.ingest.fetch.connections import Connection, FeedConnection
from features.ingest.fetch.cursors import Cursors, Value, earlier
from features.ingest.fetch.landing import FetchError, Landing


def fetch_view(feed: Feed, of: Connection, landing: Landing, cursors: Cursors) -> int:
    """Land what a view has that is new since the cursor, oldest first, a Parquet file a batch.

    The cursor moves on with every file, so a fetch that breaks off goes on where it was. A connection that breaks is
    made again, waiting longer each time.

    Returns:
        The number of rows.

    Raises:
        FetchError: the database does not answer, or the view is not what was agreed.
    """
    how, count = of.feeds[feed.name], 0
    engine = sa.create_engine(_url(of), **_options(of))
    try:
        for attempt in range(of.retries + 1):
            try:
                for rows in _batches(engine, how, feed, cursors.get(feed.name)):
                    with landing.file(feed.name, ".parquet") as out:
                        rows.write_parquet(out)
                    count += rows.height
                    _advance(cursors, feed, rows.get_column(how.cursor or feed.version))
                break
            except OperationalError as error:
                if attempt == of.retries:
                    mend = "see that the database runs and lets us in; then fetch again."
                    what = f"The database does not answer ({type(error.orig).__name__})."
                    raise FetchError(feed.code, what, mend) from error
                time.sleep(min(60.0, of.backoff_s * 2**attempt))
    except SQLAlchemyError as error:
        mend = "have the source give the view back as it was, or correct `resource` and `cursor` in the connections."
        what = f"The view {how.resource!r} is not what was agreed ({type(getattr(error, 'orig', error)).__name__})."
        raise FetchError(feed.code, what, mend) from error
    finally:
        engine.dispose()
    return count


def _batches(engine: sa.Engine, how: FeedConnection, feed: Feed, since: Value | None) -> Iterator[pl.DataFrame]:
    schema, _, view = how.resource.rpartition(".")
    cursor: sa.ColumnClause[Any] = sa.column(how.cursor or feed.version)
    query = sa.select(sa.text("*")).select_from(sa.table(view, schema=schema or None)).order_by(cursor)
    if since is not None:
        query = query.where(cursor >= earlier(since, how.overlap_min))
    with (
        engine.connect().execution_options(stream_results=True, max_row_buffer=how.page_size) as connection,
        connection.execute(query) as result,
    ):
        names = list(result.keys())
        for rows in result.partitions(how.page_size):
            yield pl.DataFrame([tuple(row) for row in rows], schema=names, orient="row", infer_schema_length=None)


def _advance(cursors: Cursors, feed: Feed, values: pl.Series) -> None:
    newest: Any = values.max()
    if newest is not None:
        cursors.put(feed.name, newest)


def _url(of: Connection) -> str:
    """Return the address, with environment variables in the place of their names."""

    def value(name: re.Match[str]) -> str:
        found = os.environ.get(name[1])
        if not found:
            mend = f"set the environment variable for {of.source}."
            raise InputError(f"{name[1]} is not set.", field=name[1], mend=mend)
        return found

    return re.sub(r"\{(\w+)\}", value, of.url)


def _options(of: Connection) -> dict[str, Any]:
    return {"connect_args": {"connect_timeout": max(2, int(of.timeout_s))}} if of.url.startswith("postgresql") else {}
