"""Fetches a feed from a REST interface with pages, through dlt's REST client (docs/adr/0012)."""

import datetime as dt
import json
import os
from collections.abc import Iterator
from typing import Any, cast

import polars as pl
from dlt.sources.helpers.requests import Client
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import BasePaginator, JSONLinkPaginator, PageNumberPaginator
from requests import Response, Session
from requests.exceptions import RequestException

from features.errors import InputError
from features.ingest.feed import Feed
from features.ingest.fetch.connections import Connection, FeedConnection
from features.ingest.fetch.cursors import Cursors, Value, earlier
from features.ingest.fetch.landing import FetchError, Landing
from features.ingest.mapping.values import moment
from features.tables.columns import ZONE

_WRITTEN = {
    "dash": "%Y-%m-%d %H:%M:%S",
    "slash": "%Y/%m/%d %H:%M:%S",
    "han": "%Y年%m月%d日 %H:%M:%S",
    "compact": "%Y%m%d%H%M%S",
}


def fetch_rest(feed: Feed, of: Connection, landing: Landing, cursors: Cursors) -> int:
    """Land what a resource has that is new since the cursor, page by page, as one file of JSON lines.

    The file lands when the last page is there: a fetch that breaks off leaves nothing, and is repeated whole. A request
    that fails, is cut off or answers 429 or 5xx is tried again, waiting longer each time.

    Returns:
        The number of records.

    Raises:
        FetchError: the interface does not answer as agreed.
    """
    how = of.feeds[feed.name]
    since = cursors.get(feed.name)
    count, newest = 0, since
    try:
        with landing.file(feed.name, ".jsonl") as out, _session(of) as session:
            for page in _pages(session, feed, of, how, since):
                for record in page:
                    out.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
                count += len(page)
                newest = _newer(newest, _newest(page, feed, how))
    except RequestException as error:
        mend = "see that the interface runs and the token holds; then fetch again."
        raise FetchError(feed.code, _said(error), mend) from error
    if newest is not None:
        cursors.put(feed.name, newest)
    return count


def _session(of: Connection) -> Session:
    """Return a session that tries again what failed, waiting longer each time."""
    return Client(
        request_timeout=of.timeout_s,
        raise_for_status=False,
        request_max_attempts=of.retries + 1,
        request_backoff_factor=of.backoff_s,
        request_max_retry_delay=60,
    ).session


def _pages(
    session: Session, feed: Feed, of: Connection, how: FeedConnection, since: Value | None
) -> Iterator[list[dict[str, Any]]]:
    auth = BearerTokenAuth(cast(Any, _secret(of.token_env))) if of.token_env else None
    client = RESTClient(of.url, auth=auth, session=session)
    params: dict[str, Any] = {how.size_param: how.page_size}
    if since is not None:
        params[how.cursor_param] = _as_param(earlier(since, how.overlap_min), feed)
    selector = how.data or "$"
    pages = client.paginate(
        how.resource,
        params=params,
        paginator=_paginator(how),
        data_selector=selector,
        hooks={"response": [_whole_or_refused]},
    )
    for page in pages:
        records = list(cast(Any, page))
        if not records and how.data and not _has(page.response.json(), how.data):
            mend = f"correct `data` of {feed.code} in the connections."
            raise FetchError(feed.code, f"The answer has nothing under {how.data!r}.", mend)
        if not all(isinstance(record, dict) for record in records):
            mend = f"correct `data` of {feed.code} in the connections."
            raise FetchError(feed.code, f"What stands under {how.data or 'the answer'!r} are no records.", mend)
        yield records


def _whole_or_refused(response: Response, *_args: object, **_more: object) -> None:
    """Read an answer whole, also a refusal, so that its connection is free again; raise for a refusal."""
    response.content  # noqa: B018 - reading it is the point
    response.raise_for_status()


def _paginator(how: FeedConnection) -> BasePaginator:
    if how.paging == "link":
        return JSONLinkPaginator(next_url_path=how.next_link)
    return PageNumberPaginator(base_page=1, page_param=how.page_param, total_path=None, stop_after_empty_page=True)


def _newest(page: list[dict[str, Any]], feed: Feed, how: FeedConnection) -> Value | None:
    """Return the greatest cursor of a page: the moment under the cursor's heading, or a number."""
    given = [record.get(how.cursor or feed.version) for record in page]
    if how.cursor_kind == "number":
        return max((int(one) for one in given if one is not None), default=None)
    cells = pl.Series("at", [None if one is None else str(one) for one in given], dtype=pl.String)
    read = cells.to_frame().select(moment(pl.col("at"), pl.String(), feed.style.moments)).to_series()
    return cast(dt.datetime | None, read.max())


def _newer(one: Value | None, other: Value | None) -> Value | None:
    return max((found for found in (one, other) if found is not None), default=None)  # type: ignore[type-var]


def _as_param(since: Value, feed: Feed) -> str:
    """Return a cursor as the source writes it."""
    if not isinstance(since, dt.datetime):
        return str(since)
    style = feed.style.moments
    if style == "epoch_ms":
        return str(int(since.timestamp() * 1000))
    local = since.astimezone(dt.timezone(dt.timedelta(hours=8), ZONE))
    return local.isoformat(timespec="seconds") if style == "iso" else f"{local:{_WRITTEN[style]}}"


def _has(answer: object, path: str) -> bool:
    for name in path.split("."):
        if not isinstance(answer, dict) or name not in answer:
            return False
        answer = cast(dict[str, object], answer)[name]
    return True


def _secret(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise InputError(f"{name} is not set.", field=name, mend="set the environment variable to the token.")
    return value


def _said(error: RequestException) -> str:
    """Return what happened, without the address: its query may hold what is nobody's business."""
    response = error.response
    return f"The interface answered {response.status_code}." if response is not None else f"{type(error).__name__}."
