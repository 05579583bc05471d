"""Where the source systems are: ``connections.yaml`` in the home, outside the repository, without secrets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from features.errors import InputError
from features.ingest.feed import Source, sources

FILE = "connections.yaml"
Kind = Literal["rest", "sql"]


@dataclass(frozen=True)
class FeedConnection:
    """How one feed is fetched.

    Attributes:
        resource: path of the resource under the base URL, or name of the view (``schema.view``).
        cursor: heading that grows with every change, from whose greatest value the next fetch goes on; empty: the
            feed's version heading.
        cursor_kind: a moment, written in the feed's style, or a number.
        overlap_min: how far before the cursor a fetch starts, so that what was written late is not missed.
        page_size: records a page, or rows a batch.
        cursor_param: REST: query parameter that takes the cursor.
        data: REST: path of the list of records in the answer; empty: the answer itself.
        paging: REST: by page number until a page is empty, or by a link to the next page.
        page_param: REST: query parameter of the page number.
        size_param: REST: query parameter of the page size.
        next_link: REST: path of the link in the answer.
    """

    resource: str
    cursor: str = ""
    cursor_kind: Literal["moment", "number"] = "moment"
    overlap_min: int = 1440
    page_size: int = 1000
    cursor_param: str = "updated_since"
    data: str = "data"
    paging: Literal["page", "link"] = "page"
    page_param: str = "page"
    size_param: str = "size"
    next_link: str = "next"


@dataclass(frozen=True)
class Connection:
    """How a source is reached.

    Attributes:
        source: its code.
        kind: REST interface, or views in a database.
        url: base URL, or SQLAlchemy URL in which ``{NAME}`` stands for an environment variable.
        token_env: REST: the environment variable with the bearer token.
        timeout_s: seconds to wait for an answer.
        retries: how often a failed request is tried again.
        backoff_s: seconds to wait before the first time; twice as long each time after.
        feeds: by feed name.
    """

    source: str
    kind: Kind
    url: str
    token_env: str = ""
    timeout_s: float = 60
    retries: int = 5
    backoff_s: float = 1
    feeds: Mapping[str, FeedConnection] = field(default_factory=dict[str, FeedConnection])


def connection(home: Path, code: str) -> Connection:
    """Return how a source is reached.

    Raises:
        InputError: nothing is said of it, or what is said does not fit.
    """
    said = dict(_read(home).get(code, {}))
    said.pop("enabled", None)
    if not said:
        mend = f"say kind, url and feeds of {code} in it; docs/connect.md has an example."
        raise InputError(f"{home / FILE} says nothing of {code}.", field=code, mend=mend)
    known = sources()[code]
    try:
        feeds = {name: FeedConnection(**one) for name, one in cast(dict[str, Any], said.pop("feeds")).items()}
        found = Connection(code, feeds=feeds, **said)
    except (TypeError, KeyError) as error:
        raise InputError(f"{home / FILE}: {code} is not understood: {error}.", field=code, mend=_MEND) from error
    unknown = set(feeds) - {feed.name for feed in known.feeds}
    if unknown or found.kind not in ("rest", "sql"):
        what = f"feed {min(unknown)!r}" if unknown else f"kind {found.kind!r}"
        raise InputError(f"{home / FILE}: {code} has no {what}.", field=code, mend=_MEND)
    return found


def switched_on(home: Path, source: Source) -> bool:
    """Tell whether a source may be loaded: by its declaration, or because the home's connections say so."""
    return source.enabled or bool(_read(home).get(source.code, {}).get("enabled", False))


_MEND = "give kind (rest or sql), url and feeds; of each feed resource and cursor."


def _read(home: Path) -> Mapping[str, Mapping[str, Any]]:
    file = home / FILE
    if not file.exists():
        return {}
    try:
        said: object = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is no YAML.", field=FILE, mend="correct it.") from error
    if not isinstance(said, dict):
        raise InputError(f"{file} names no source.", field=FILE, mend=_MEND)
    return cast(Mapping[str, Mapping[str, Any]], said)
