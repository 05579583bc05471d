"""Retention in the quarantine: refused records lose what their table may no longer hold."""

import datetime as dt
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import polars as pl
from deltalake import DeltaTable

from features.ingest.quarantine import ENTRY_SCHEMA
from features.tables.columns import Table
from features.tables.delta import scan
from features.tables.purge import forget

CHANGES = {"id": pl.String(), "raw": pl.String(), "raw_complete": pl.Boolean(), "loaded_at": ENTRY_SCHEMA["loaded_at"]}
"""What becomes of an entry: its record without the values, and whether it can still be replayed."""
_DATE = re.compile(r"(\d{4})\D?(\d{1,2})\D?(\d{1,2})")


def expired_values(
    home: Path, table: type[Table], columns: Collection[str], clock: str, horizon: dt.datetime
) -> pl.DataFrame:
    """Return the entries of a table that still hold values whose time is over.

    Args:
        home: where the quarantine is.
        table: the table that the records were meant for.
        columns: the columns whose values go.
        clock: the column that starts their time; where the record's own cannot be read, the load counts.
        horizon: values from before this moment go.

    Returns:
        Columns as ``CHANGES``. A record that is no JSON object cannot be parted and goes whole.
    """
    names = {name for column in columns for name in (column, _label(table, column))}
    clocks = [clock, _label(table, clock)]
    changes: list[dict[str, object]] = []
    for entry in _entries(home, table).iter_rows(named=True):
        record = _record(entry["raw"])
        moment: dt.datetime = entry["loaded_at"]
        day = moment.date() if record is None else _day(record, clocks) or moment.date()
        if day >= horizon.date():
            continue
        if record is None:
            changes.append({**entry, "raw": "", "raw_complete": False})
        elif any(record.get(name) is not None for name in names):
            kept = {name: value for name, value in record.items() if name not in names}
            changes.append({**entry, "raw": json.dumps(kept, ensure_ascii=False)})
    return pl.DataFrame(changes, schema=CHANGES)


def expired_records(home: Path, table: type[Table], projects: Collection[str]) -> pl.DataFrame:
    """Return the entries of a table that name one of some projects; their records go whole. Columns as ``CHANGES``."""
    wanted = set(projects)
    named = [
        {**entry, "raw": "", "raw_complete": False}
        for entry in _entries(home, table).iter_rows(named=True)
        if not wanted.isdisjoint(str(value) for value in (_record(entry["raw"]) or {}).values())
    ]
    return pl.DataFrame(named, schema=CHANGES)


def redact(home: Path, changes: pl.DataFrame) -> None:
    """Write entries anew as ``expired_values`` and ``expired_records`` say, and remove their old bytes."""
    path = home / "quarantine" / "entries"
    if not changes.is_empty():
        source = changes.select("id", "raw", "raw_complete").to_arrow()
        merger = DeltaTable(path).merge(source, "t.id = s.id", source_alias="s", target_alias="t")
        merger.when_matched_update({"raw": "s.raw", "raw_complete": "s.raw_complete"}).execute()
    forget(path)


def _entries(home: Path, table: type[Table]) -> pl.DataFrame:
    rows = scan(home / "quarantine" / "entries", ENTRY_SCHEMA)
    return rows.filter(pl.col("table") == table.NAME, pl.col("raw") != "").select(*CHANGES).collect()


def _record(raw: str) -> dict[str, Any] | None:
    try:
        content: object = json.loads(raw)
    except ValueError:
        return None
    return cast(dict[str, Any], content) if isinstance(content, dict) else None


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
