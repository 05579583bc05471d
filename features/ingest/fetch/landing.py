"""Where fetched records land: files that the feeds read, put there whole."""

import datetime as dt
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from features.errors import SmokeError
from features.ingest.feed import FETCHED

PARTIAL = ".partial"


class FetchError(SmokeError):
    """A feed could not be fetched; what landed before stays, and the next fetch goes on there.

    Attributes:
        feed: the feed, such as ``S01/bid``.
        what: what went wrong.
        mend: what can be done.
    """

    def __init__(self, feed: str, what: str, mend: str) -> None:
        super().__init__(f"{feed}: {what} Mend: {mend}")
        self.feed = feed
        self.what = what
        self.mend = mend


@dataclass
class Landing:
    """The landing folder of one source, in one fetch.

    Attributes:
        home: where all state lives.
        source: the source's code.
        moment: of the fetch; it orders the files.
    """

    home: Path
    source: str
    moment: dt.datetime
    _number: int = field(default=0, init=False)

    @property
    def folder(self) -> Path:
        """Return the folder."""
        return self.home / "landing" / self.source

    def clear_partial(self) -> None:
        """Remove what a fetch that was killed has left unfinished."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in self.folder.glob(f"*{PARTIAL}"):
            path.unlink()

    @contextmanager
    def file(self, feed: str, ending: str) -> Generator[BinaryIO]:
        """Yield a file that lands when all is written to it, and never otherwise; nor does an empty one.

        Args:
            feed: the feed's name.
            ending: ``.jsonl`` or ``.parquet``.
        """
        self._number += 1
        name = f"{feed}{FETCHED}{self.moment:%Y%m%d%H%M%S%f}-{self._number:06}{ending}"
        fresh = self.folder / f"{name}{PARTIAL}"
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            if fresh.stat().st_size:
                fresh.replace(self.folder / name)
        finally:
            fresh.unlink(missing_ok=True)
