"""What foreign data could not be taken: kept with the reason and the mend, listed, and fed back later.

Two append-only Delta tables under ``home/quarantine``: ``entries`` (one row a rejection, never changed) and
``states`` (one row each time an entry is settled or turns up again). Both are written in atomic commits, so a
killed run leaves them readable, and the same rejection found again is stored once.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl
from deltalake import write_deltalake

from features.clock import now
from features.errors import InputError
from features.tables.columns import ZONE
from features.tables.contract import SOURCE_TABLES
from features.tables.delta import scan

Level = Literal["release", "row", "value"]

VALUE_MAX = 200
"""Characters of a refused value that are shown."""
RAW_MAX = 1_000_000
"""Characters of a refused record that are kept; a longer one is cut and cannot be replayed from here."""
MASK = "(personal data, not shown)"

ENTRY_SCHEMA: dict[str, pl.DataType] = {
    "id": pl.String(),
    "source": pl.String(),
    "file": pl.String(),
    "record": pl.String(),
    "table": pl.String(),
    "level": pl.String(),
    "field": pl.String(),
    "value": pl.String(),
    "reason": pl.String(),
    "message": pl.String(),
    "mend": pl.String(),
    "raw": pl.String(),
    "raw_encoding": pl.String(),
    "raw_complete": pl.Boolean(),
    "loaded_at": pl.Datetime("us", ZONE),
}
STATE_SCHEMA: dict[str, pl.DataType] = {
    "id": pl.String(),
    "state": pl.String(),
    "at": pl.Datetime("us", ZONE),
}


@dataclass(frozen=True)
class Rejection:
    """One thing that was not taken.

    Attributes:
        source: the adapter, such as ``ocds`` or ``tables``.
        file: the name of the delivered file, without folders.
        record: the record's id in the source, or where it stood (``line 12``, ``releases[3]``).
        table: the table it would have gone to; empty for a record that could not be read at all.
        level: ``release`` (the whole record), ``row`` (one child row) or ``value`` (the row loads, this value is null).
        field: the path or column at fault.
        value: what stood there; cut to 200 characters, masked when the column holds personal data.
        reason: a stable code, such as ``not_utf8`` or ``negative_amount``.
        message: what was expected and found, in a sentence without personal data.
        mend: what the sender or the operator can do.
        raw: the record as delivered (JSON text, a CSV row as JSON), so that replay needs no source file.
        raw_encoding: ``text``, or ``base64`` for bytes that are not valid text.
    """

    source: str
    file: str
    record: str
    table: str
    level: Level
    field: str
    value: str
    reason: str
    message: str
    mend: str
    raw: str
    raw_encoding: Literal["text", "base64"] = "text"

    @property
    def id(self) -> str:
        """Return 16 hex digits that depend on what was refused, not on the file's name or the time."""
        parts = (self.source, self.record, self.table, self.level, self.field, self.raw)
        return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass
class Quarantine:
    """The quarantine of one home. Hold the store's ``writing()`` lock around ``add`` and ``mark_replayed``."""

    home: Path
    _known: set[str] | None = field(default=None, init=False, repr=False)
    _settled: set[str] = field(default_factory=set[str], init=False, repr=False)

    @property
    def folder(self) -> Path:
        """Return the folder both tables live in."""
        return self.home / "quarantine"

    def add(self, rejections: Iterable[Rejection], loaded_at: dt.datetime) -> int:
        """Store rejections that are not stored yet; one that was settled and turns up again is open again.

        Args:
            rejections: any number; the same content may occur twice.
            loaded_at: the moment of the load that refused them.

        Returns:
            How many were new.
        """
        known, settled = self._ids()
        fresh: dict[str, Rejection] = {}
        reopened: set[str] = set()
        for rejection in rejections:
            identity = rejection.id
            if identity in settled:
                reopened.add(identity)
            elif identity not in known:
                fresh.setdefault(identity, rejection)
        if fresh:
            self._append("entries", _entries(fresh, loaded_at))
            known.update(fresh)
        if reopened:
            self._append("states", _states(sorted(reopened), "open", loaded_at))
            settled.difference_update(reopened)
        return len(fresh)

    def list(
        self, *, source: str | None = None, state: Literal["open", "replayed"] | None = "open", file: str | None = None
    ) -> pl.DataFrame:
        """Return the entries, oldest first, without their raw text.

        Args:
            source: only this adapter's.
            state: ``open``, ``replayed``, or None for both.
            file: only entries of this delivered file.

        Returns:
            One row an entry: the columns of ``ENTRY_SCHEMA`` but ``raw``, plus ``state``.
        """
        frame = self._with_state()
        if source is not None:
            frame = frame.filter(pl.col("source") == source)
        if state is not None:
            frame = frame.filter(pl.col("state") == state)
        if file is not None:
            frame = frame.filter(pl.col("file") == file)
        return frame.drop("raw").sort("loaded_at", "file", "record", "id").collect()

    def show(self, entry_id: str) -> dict[str, object]:
        """Return one entry whole, with its raw text and its state.

        Raises:
            InputError: no entry has this id.
        """
        found = self._with_state().filter(pl.col("id") == entry_id).collect()
        if found.is_empty():
            raise InputError(
                f"No quarantine entry has the id {entry_id!r}.",
                field="id",
                mend="take an id from `smoke quarantine list`.",
            )
        return found.row(0, named=True)

    def pending_raw(self, source: str, ids: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the open entries of one source whose raw text is complete, for replay.

        Args:
            source: the adapter.
            ids: only these entries; None for all.

        Returns:
            Columns id, record, table, level, field, file, raw, raw_encoding, oldest first.
        """
        frame = self._with_state().filter(pl.col("source") == source, pl.col("state") == "open", pl.col("raw_complete"))
        if ids is not None:
            frame = frame.filter(pl.col("id").is_in(list(ids)))
        return (
            frame.sort("loaded_at", "file", "record", "id")
            .select("id", "record", "table", "level", "field", "file", "raw", "raw_encoding")
            .collect()
        )

    def mark_replayed(self, ids: Iterable[str], at: dt.datetime | None = None) -> None:
        """Settle entries that have now been taken (or dropped knowingly)."""
        wanted = sorted(set(ids))
        if wanted:
            self._append("states", _states(wanted, "replayed", at or now()))
            self._settled.update(wanted)

    def _with_state(self) -> pl.LazyFrame:
        latest = (
            self._read("states", STATE_SCHEMA)
            .sort("at", maintain_order=True)
            .unique(subset="id", keep="last", maintain_order=True)
            .select("id", "state")
        )
        entries = self._read("entries", ENTRY_SCHEMA).unique(subset="id", keep="first", maintain_order=True)
        return entries.join(latest, on="id", how="left").with_columns(pl.col("state").fill_null("open"))

    def _ids(self) -> tuple[set[str], set[str]]:
        if self._known is None:
            states = self._with_state().select("id", "state").collect()
            self._known = set(states.get_column("id"))
            self._settled = set(states.filter(pl.col("state") == "replayed").get_column("id"))
        return self._known, self._settled

    def _read(self, name: str, schema: dict[str, pl.DataType]) -> pl.LazyFrame:
        path = self.folder / name
        moments = [
            pl.col(n).dt.convert_time_zone(ZONE) for n, dtype in schema.items() if isinstance(dtype, pl.Datetime)
        ]
        return scan(path, schema).with_columns(moments).select(*schema)

    def _append(self, name: str, rows: pl.DataFrame) -> None:
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        stored = rows.with_columns(pl.selectors.datetime().dt.convert_time_zone("UTC"))
        write_deltalake(path, stored.to_arrow(), mode="append")


def masked(table: str, column: str, value: str) -> str:
    """Return a value fit for a message or a list: short, and hidden when its column holds personal data.

    Args:
        table: a source table's name, or empty.
        column: the column; for a path such as ``bids.details[2].value`` nothing is known and nothing is hidden.
        value: the value as text.
    """
    declared = SOURCE_TABLES.get(table)
    if declared is not None and column in declared.columns():
        about = declared.columns()[column].metadata or {}
        if value and about.get("personal_data_class", "none") != "none":
            return MASK
    return value if len(value) <= VALUE_MAX else value[: VALUE_MAX - 1] + "…"


def _entries(rejections: dict[str, Rejection], loaded_at: dt.datetime) -> pl.DataFrame:
    rows = [
        {
            "id": identity,
            "source": r.source,
            "file": r.file,
            "record": r.record,
            "table": r.table,
            "level": r.level,
            "field": r.field,
            "value": masked(r.table, r.field, r.value),
            "reason": r.reason,
            "message": r.message,
            "mend": r.mend,
            "raw": r.raw[:RAW_MAX],
            "raw_encoding": r.raw_encoding,
            "raw_complete": len(r.raw) <= RAW_MAX,
            "loaded_at": loaded_at,
        }
        for identity, r in rejections.items()
    ]
    return pl.DataFrame(rows, schema=ENTRY_SCHEMA)


def _states(ids: Sequence[str], state: str, at: dt.datetime) -> pl.DataFrame:
    return pl.DataFrame({"id": ids, "state": [state] * len(ids), "at": [at] * len(ids)}, schema=STATE_SCHEMA)
