"""What foreign data could not be taken: kept with the reason and the mend, listed, and fed back later.

Two append-only Delta tables under ``home/quarantine``: ``entries`` (one row a rejection, never changed) and ``states``
(one row each time an entry is settled, turns up again or waits for something else). Both are written in atomic commits,
so a killed run leaves them readable, and the same rejection found again is stored once. Entries come as frames: a
million rows that wait for their parents are no million objects. Records that hold personal data are sealed
(``features.ingest.quarantine.sealing``).
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from features.clock import now
from features.errors import InputError
from features.ingest.hash_set import HashSet
from features.ingest.quarantine.sealing import Seal
from features.tables import delta
from features.tables.columns import ZONE
from features.tables.contract import SOURCE_TABLES

Level = Literal["release", "row", "value"]

VALUE_MAX = 200
"""Characters of a refused value that are shown."""
RAW_MAX = 1_000_000
"""Characters of a refused record that are kept; a longer one is cut and cannot be replayed from here."""
MASK = "(personal data, not shown)"
"""A record in which it stands has lost something and cannot be judged again from here."""
SEALED = "sealed"
_AT_ONCE = 20_000

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
    "feed": pl.String(),
    "source_code": pl.String(),
    "place": pl.String(),
    "key": pl.String(),
    "valid_from_ts": pl.Datetime("us", ZONE),
    "in_shape": pl.Boolean(),
    "waiting": pl.Boolean(),
}
"""``place``, ``key``, ``valid_from_ts``: where the record stood, the key of its row and when that version counts from,
as far as they could be read. ``in_shape``: its raw text is in the contract's shape, not in the source's. ``waiting``:
nothing is wrong with the row but that what it refers to has not come; every load tries it again."""
GIVEN = tuple(name for name in ENTRY_SCHEMA if name not in ("id", "raw_complete", "loaded_at"))
"""The columns of ``ENTRY_SCHEMA`` that come with a refusal."""
State = Literal["open", "replayed", "superseded"]
"""``superseded``: the record has come again since, and a version as new or newer is stored; an entry that tells no
version: a later load has taken a record of its key, or at its place. A dated row that waits is tried on all the same,
since it is part of the history."""
WANT = ("field", "value", "message", "mend")
"""What an open entry of a waiting row tells: the first column whose row is not stored, as the last load found it."""
STATE_SCHEMA: dict[str, pl.DataType] = {
    "id": pl.String(),
    "state": pl.String(),
    "at": pl.Datetime("us", ZONE),
    **dict.fromkeys(WANT, pl.String()),
}
_SETTLING = pl.Enum(["open", "superseded", "replayed"])
"""Of two states of one moment the later of these counts."""


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
        return _identity("\x1f".join((self.source, self.record, self.table, self.level, self.field, self.raw)))


@dataclass
class Quarantine:
    """The quarantine of one home. Hold the store's ``writing()`` lock around ``add`` and ``mark_replayed``."""

    home: Path
    seal: Seal | None = None
    _known: HashSet | None = field(default=None, init=False, repr=False)
    _settled: HashSet = field(default_factory=lambda: HashSet.of(_numbers([])), init=False, repr=False)
    _refused: HashSet = field(default_factory=lambda: HashSet.of(_numbers([])), init=False, repr=False)

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
        given = list(rejections)
        parts = (given[start : start + _AT_ONCE] for start in range(0, len(given), _AT_ONCE))
        return sum(self.add_frame(_given(part), loaded_at) for part in parts)

    def add_frame(self, entries: pl.DataFrame, loaded_at: dt.datetime) -> int:
        """Store entries that are not stored yet, as ``add`` does.

        Args:
            entries: columns ``GIVEN``; ``raw`` sealed where ``raw_encoding`` says so, ``value`` fit to be shown.
            loaded_at: the moment of the load that refused them.

        Returns:
            How many were new.
        """
        if entries.is_empty():
            return 0
        known = self._ids()
        entries = entries.with_columns(id=_identities(entries)).unique("id", keep="first", maintain_order=True)
        numbers = _numbers(entries.get_column("id"))
        self._refused.add(numbers)
        reopened, fresh = entries.filter(self._settled.holds(numbers)), entries.filter(~known.holds(numbers))
        if fresh.height:
            whole = (pl.col("raw").str.len_chars() <= RAW_MAX) & ~pl.col("raw").str.contains(MASK, literal=True)
            stored = fresh.with_columns(
                raw=pl.col("raw").str.slice(0, RAW_MAX), raw_complete=whole, loaded_at=pl.lit(loaded_at)
            )
            self._append("entries", stored, ENTRY_SCHEMA)
            known.add(_numbers(fresh.get_column("id")))
        if reopened.height:
            wanting = pl.when("waiting").then(pl.col(*WANT))
            told = reopened.sort("id").select("id", wanting)
            self._append("states", _states(told, "open", loaded_at), STATE_SCHEMA)
            self._settled.remove(_numbers(reopened.get_column("id")))
        return fresh.height

    def list(self, *, source: str | None = None, state: State | None = "open", file: str | None = None) -> pl.DataFrame:
        """Return the entries, oldest first, without their raw text.

        Args:
            source: only this adapter's.
            state: of these, or None for all.
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
        return frame.drop("raw").sort("loaded_at", "file", "record", "id").collect(engine="streaming")

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
        entry = found.row(0, named=True)
        if entry["raw_encoding"] == SEALED:
            entry["raw"] = self.seal.open([entry["raw"]])[0] if self.seal else f"({SEALED}: set the data key)"
        return entry

    def pending_raw(self, source: str | None, ids: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the open entries whose raw text is complete, for replay.

        Args:
            source: only this adapter's; None for all.
            ids: only these entries; None for all.

        Returns:
            Columns id, source, record, table, level, field, file, raw, raw_encoding, feed, source_code, place,
            in_shape and waiting, oldest first; what is sealed is opened, or left out where the key is not given.
        """
        frame = self._with_state().filter(pl.col("state") == "open", pl.col("raw_complete"))
        if source is not None:
            frame = frame.filter(pl.col("source") == source)
        if ids is not None:
            frame = frame.filter(pl.col("id").is_in(list(ids)))
        columns = ("id", "source", "record", "table", "level", "field", "file", "raw", "raw_encoding", *_ORIGIN)
        return self._opened(frame.sort("loaded_at", "file", "record", "id").select(columns).collect())

    def waiting(self, table: str) -> Iterator[pl.DataFrame]:
        """Yield the entries of a table whose rows wait for what they refer to, some at a time.

        Yields:
            Columns id, source, file, place, raw (opened), feed, source_code, field and state.
        """
        wanted = self._with_state().filter(pl.col("table") == table, "raw_complete", _TRIED)
        columns = ("id", "source", "file", "place", "raw", "raw_encoding", "feed", "source_code", "field", "state")
        for part in wanted.select(columns).collect_batches(chunk_size=_AT_ONCE):
            yield self._opened(part).drop("raw_encoding")

    def tables_waiting(self) -> Sequence[str]:
        """Return the tables of which rows wait."""
        wanted = self._with_state().filter(_TRIED)
        return wanted.select("table").unique().collect(engine="streaming").to_series().sort().to_list()

    def dated(self, table: str) -> pl.LazyFrame:
        """Return the open entries of a table that tell which version of which row was refused.

        Returns:
            Columns id, level, field, reason, key, source_code and valid_from_ts.
        """
        of_table = self._with_state().filter(pl.col("table") == table, pl.col("state") == "open", _DATED)
        return of_table.select("id", "level", "field", "reason", "key", "source_code", "valid_from_ts")

    def undated(self) -> pl.DataFrame:
        """Return the open entries of whole rows that do not tell which version of which row was refused.

        Returns:
            Columns id, reason, feed, place, key and source_code.
        """
        open_ = self._with_state().filter(pl.col("state") == "open", pl.col("level") == "row", ~_DATED)
        return open_.select("id", "reason", "feed", "place", "key", "source_code").collect(engine="streaming")

    def mark_replayed(self, ids: Iterable[str] | pl.Series, at: dt.datetime | None = None) -> None:
        """Settle entries that have now been taken (or dropped knowingly)."""
        wanted = pl.Series("id", ids if isinstance(ids, pl.Series) else list(ids), dtype=pl.String).unique().sort()
        if wanted.len():
            self._append("states", _states(wanted.to_frame(), "replayed", at or now()), STATE_SCHEMA)
            self._settled.add(_numbers(wanted))

    def mark_superseded(self, ids: pl.Series, at: dt.datetime) -> None:
        """Settle entries whose record has come again and is stored; refused once more, a dated one stays settled."""
        if ids.len():
            self._append("states", _states(ids.unique().sort().to_frame("id"), "superseded", at), STATE_SCHEMA)

    def refused(self, ids: pl.Series) -> pl.Series:
        """Tell of each entry whether it was refused, at first or again, since this was made."""
        return self._refused.holds(_numbers(ids))

    def tell_wants(self, wants: pl.DataFrame, at: dt.datetime) -> None:
        """Note what open entries that wait lack now.

        Args:
            wants: ``id`` and the columns ``WANT``.
            at: the moment of the load that found it.
        """
        if wants.height:
            self._append("states", _states(wants.sort("id"), "open", at), STATE_SCHEMA)

    def tidy(self) -> None:
        """Merge the files of both tables once they are many."""
        for path in (self.folder / "entries", self.folder / "states"):
            delta.tidy(path)

    def _opened(self, entries: pl.DataFrame) -> pl.DataFrame:
        sealed = pl.col("raw_encoding") == SEALED
        if self.seal is None:
            return entries.filter(~sealed)
        places = entries.select(sealed.arg_true()).to_series()
        if not places.len():
            return entries
        raw = entries.get_column("raw").scatter(places, self.seal.open(entries.get_column("raw").gather(places)))
        return entries.with_columns(raw, raw_encoding=pl.when(sealed).then(pl.lit("text")).otherwise("raw_encoding"))

    def _with_state(self) -> pl.LazyFrame:
        latest = (
            delta.scan(self.folder / "states", STATE_SCHEMA)
            .sort("at", pl.col("state").cast(_SETTLING), maintain_order=True)
            .unique(subset="id", keep="last", maintain_order=True)
            .select("id", "state", pl.col(*WANT).name.prefix("_"))
        )
        entries = delta.scan(self.folder / "entries", ENTRY_SCHEMA).with_columns(pl.col("waiting").fill_null(False))
        wants = [pl.coalesce(f"_{name}", name).alias(name) for name in WANT]
        known = entries.join(latest, on="id", how="left").with_columns(pl.col("state").fill_null("open"), *wants)
        return known.drop(f"_{name}" for name in WANT)

    def _ids(self) -> HashSet:
        if self._known is None:
            opens = (pl.col("state") == "replayed") | ((pl.col("state") == "superseded") & ~_DATED)
            states = self._with_state().select("id", opens=opens).collect(engine="streaming")
            self._known = HashSet.of(_numbers(states.get_column("id")))
            self._settled = HashSet.of(_numbers(states.filter("opens").get_column("id")))
        return self._known

    def _append(self, name: str, rows: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> None:
        delta.append(self.folder / name, rows, schema)


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


_ORIGIN = ("feed", "source_code", "place", "in_shape", "waiting")
_IDENTITY = ("source", "record", "table", "level", "field", "raw")
_DATED = pl.col("key").is_not_null() & pl.col("valid_from_ts").is_not_null()
"""The entry tells which version of which row was refused."""
_TRIED = pl.col("waiting") & ((pl.col("state") == "open") | ((pl.col("state") == "superseded") & _DATED))
"""Of an undated row that has come again, the later one counts."""


def _given(rejections: Sequence[Rejection]) -> pl.DataFrame:
    rows = [
        {
            **{name: getattr(one, name, None) for name in GIVEN},
            "value": masked(one.table, one.field, one.value),
            "in_shape": False,
            "waiting": False,
        }
        for one in rejections
    ]
    return pl.DataFrame(rows, schema={name: ENTRY_SCHEMA[name] for name in GIVEN})


def _identity(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _identities(entries: pl.DataFrame) -> pl.Series:
    # For what a row waits depends on what has come before it.
    field_ = pl.when("waiting").then(pl.lit("")).otherwise("field").alias("field")
    texts = entries.with_columns(field_).select(pl.concat_str(_IDENTITY, separator="\x1f")).to_series()
    return pl.Series("id", [_identity(text) for text in texts], dtype=pl.String)


def _numbers(ids: pl.Series | Sequence[str]) -> pl.Series:
    """Return ids, which are 16 hex digits, as numbers."""
    return pl.Series([int(one, 16) for one in ids], dtype=pl.UInt64)


def _states(entries: pl.DataFrame, state: str, at: dt.datetime) -> pl.DataFrame:
    absent = [pl.lit(None, dtype=STATE_SCHEMA[name]).alias(name) for name in WANT if name not in entries.columns]
    moment = pl.lit(at).cast(STATE_SCHEMA["at"])
    return entries.with_columns(*absent, state=pl.lit(state), at=moment).select(*STATE_SCHEMA)
