"""Retention before the tables: refused records lose what their table may no longer hold, fetched files go."""

import datetime as dt
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, cast

import polars as pl
from deltalake import DeltaTable

from features.clock import SHANGHAI
from features.errors import InputError
from features.ingest.feed import sources
from features.ingest.keys import DATA_KEY, KEY_FILE
from features.ingest.quarantine.entries import ENTRY_SCHEMA, SEALED
from features.ingest.quarantine.sealing import Seal
from features.tables import delta
from features.tables.columns import Table
from features.tables.purge import forget

CHANGES = {"id": pl.String(), "raw": pl.String(), "raw_complete": pl.Boolean(), "loaded_at": ENTRY_SCHEMA["loaded_at"]}
"""What becomes of an entry: its record without the values, and whether it can still be replayed."""
LANDING = "landing"
"""Folder of a home in which fetched files lie until they are loaded."""
_DATE = re.compile(r"(\d{4})\D?(\d{1,2})\D?(\d{1,2})")


def expired_values(
    home: Path, table: type[Table], columns: Collection[str], clock: str, horizon: dt.datetime, seal: Seal | None
) -> pl.DataFrame:
    """Return the entries of a table that still hold values whose time is over.

    Args:
        home: where the quarantine is.
        table: the table that the records were meant for.
        columns: the columns whose values go.
        clock: the column that starts their time; where the record's own cannot be read, the load counts.
        horizon: values from before this moment go.
        seal: opens and closes sealed records.

    Returns:
        Columns as ``CHANGES``. A record that is no JSON object of cells cannot be parted and goes whole.

    Raises:
        InputError: a record from before the moment is sealed, and no key is given.
    """
    names = {name for column in columns for name in (column, _label(table, column))}
    clocks = [clock, _label(table, clock)]
    changes: list[dict[str, object]] = []
    for entry, record in _entries(home, table, horizon, seal):
        loaded: dt.datetime = entry["loaded_at"]
        day = loaded.date() if record is None else _day(record, clocks) or loaded.date()
        if day >= horizon.date():
            continue
        if record is None:
            changes.append({**entry, "raw": "", "raw_complete": False})
        elif any(record.get(name) is not None for name in names):
            kept = {name: value for name, value in record.items() if name not in names}
            raw = json.dumps(kept, ensure_ascii=False)
            sealed = seal is not None and entry["raw_encoding"] == SEALED
            changes.append({**entry, "raw": seal.close([raw])[0] if seal and sealed else raw})
    return pl.DataFrame(changes, schema=CHANGES)


def expired_records(
    home: Path, table: type[Table], projects: Collection[str], horizon: dt.datetime, seal: Seal | None
) -> pl.DataFrame:
    """Return the entries of a table that name one of some projects; their records go whole.

    Arguments, columns and errors as ``expired_values``.
    """
    wanted = set(projects)
    named = [
        {**entry, "raw": "", "raw_complete": False}
        for entry, record in (_entries(home, table, horizon, seal) if wanted else ())
        if not wanted.isdisjoint(str(value) for value in (record or {}).values())
    ]
    return pl.DataFrame(named, schema=CHANGES)


def landed(home: Path, table: type[Table], horizon: dt.datetime) -> pl.DataFrame:
    """Return the fetched files of a table that nobody has loaded since a moment: path, loaded_at (when fetched)."""
    folders = [
        (feed, home / LANDING / of.code) for of in sources().values() for feed in of.feeds if feed.table is table
    ]
    found = [path for feed, folder in folders if folder.is_dir() for path in feed.files(folder)]
    fetched = [
        {"path": str(path), "loaded_at": dt.datetime.fromtimestamp(path.stat().st_mtime, SHANGHAI)} for path in found
    ]
    rows = pl.DataFrame(fetched, schema={"path": pl.String(), "loaded_at": CHANGES["loaded_at"]})
    return rows.filter(pl.col("loaded_at") < horizon)


def redact(home: Path, changes: pl.DataFrame) -> None:
    """Write entries anew as ``expired_values`` and ``expired_records`` say, and remove their old bytes."""
    path = home / "quarantine" / "entries"
    if not changes.is_empty():
        source = changes.select("id", "raw", "raw_complete").to_arrow()
        merger = DeltaTable(path).merge(source, "t.id = s.id", source_alias="s", target_alias="t")
        merger.when_matched_update({"raw": "s.raw", "raw_complete": "s.raw_complete"}).execute()
    forget(path)


def _entries(
    home: Path, table: type[Table], horizon: dt.datetime, seal: Seal | None
) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Yield the entries of a table that keep a record, each with its cells; None where it has none to tell apart."""
    rows = delta.scan(home / "quarantine" / "entries", ENTRY_SCHEMA)
    kept = rows.filter(pl.col("table") == table.NAME, pl.col("raw") != "").select(*CHANGES, "raw_encoding").collect()
    closed = kept.filter(pl.col("raw_encoding") == SEALED, pl.col("loaded_at") < horizon)
    if seal is None and not closed.is_empty():
        message = f"{closed.height} refused records of {table.NAME} are sealed, and some of their values are to go."
        raise InputError(message, field=DATA_KEY, mend=f"give the key of the loads in {DATA_KEY} or {KEY_FILE}.")
    for part in kept.iter_slices(10_000):
        for entry in part.iter_rows(named=True):
            if entry["raw_encoding"] != SEALED:
                yield entry, _record(entry["raw"])
            elif seal is not None:
                yield entry, _record(seal.open([entry["raw"]])[0])


def _record(raw: str) -> dict[str, Any] | None:
    try:
        content: object = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(content, dict):
        return None
    cells = cast(dict[str, Any], content)
    return None if isinstance(cells.get("cells"), list) else cells


def _day(record: dict[str, Any], clocks: Collection[str]) -> dt.date | None:
    for name in clocks:
        found = _DATE.match(str(record.get(name, "")).strip())
        if found:
            try:
                return dt.date(*map(int, found.groups()))
            except ValueError:
                return None
    return None


def _label(table: type[Table], column: str) -> str:
    return str(table.about(column)["label_zh"])
