"""How far each feed has been fetched: one small file a source, replaced whole, so that a kill leaves old or new.

A cursor is written only after the records up to it have landed. Whatever happens in between, the next fetch asks for
some records again; they are loaded as unchanged.
"""

import datetime as dt
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Value = dt.datetime | int | str


@dataclass(frozen=True)
class Cursors:
    """The cursors of one source.

    Attributes:
        home: where all state lives.
        source: the source's code.
    """

    home: Path
    source: str

    @property
    def file(self) -> Path:
        """Return the file that they are kept in."""
        return self.home / "fetch" / f"{self.source}.json"

    def get(self, feed: str) -> Value | None:
        """Return where the next fetch of a feed goes on; None for the beginning."""
        said = self._read().get(feed)
        if said is None:
            return None
        return dt.datetime.fromisoformat(said["moment"]) if "moment" in said else said["value"]

    def put(self, feed: str, value: Value) -> None:
        """Keep where the next fetch of a feed goes on."""
        said = {"moment": value.isoformat()} if isinstance(value, dt.datetime) else {"value": value}
        replace_whole(self.file, json.dumps({**self._read(), feed: said}, indent=1).encode())

    def _read(self) -> dict[str, Any]:
        return json.loads(self.file.read_bytes()) if self.file.exists() else {}


def replace_whole(file: Path, content: bytes) -> None:
    """Write a file so that whoever reads it finds the old content or the new, even after a kill or a power cut."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_name(f"{file.name}.partial")
    with fresh.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)


def earlier(value: Value, minutes: int) -> Value:
    """Return a cursor some minutes back, if it is a moment: so that what was written late comes again."""
    return value - dt.timedelta(minutes=minutes) if isinstance(value, dt.datetime) else value
