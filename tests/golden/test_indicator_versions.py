"""An indicator's version rises when its values on the frozen sample change.

The lock holds, for each built indicator, its version and a fingerprint of its values on the shipped auctions. Where the
values change on purpose, raise ``version`` in the YAML, say so in the changelog, and write the lock anew:
``python -m pytest tests/golden/test_indicator_versions.py --write-indicator-lock``.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features.build import indicator_values
from features.clock import parse_moment
from features.indicators.catalogue import entries
from features.tables.source import read_source_tables
from features.tables.store import TableStore

LOCK = Path(__file__).with_name("indicator_versions.json")
AS_OF = "2013-06-30"
DIGITS = 9
COLUMNS = ("subject_id", "raw_value", "triggered", "intensity", "support_n", "peer_percentile", "null_reason")
BUILT = {entry.id: entry for entry in entries() if entry.state == "built"}


@pytest.fixture(scope="module")
def found(tsuchiura_home: Path) -> dict[str, dict[str, Any]]:
    values = indicator_values(read_source_tables(TableStore(tsuchiura_home)), parse_moment(AS_OF))
    return {
        id_: {"version": entry.version, "fingerprint": fingerprint(values.filter(pl.col("indicator_id") == id_))}
        for id_, entry in BUILT.items()
    }


def fingerprint(values: pl.DataFrame) -> str:
    """Twelve hex digits of the answers, numbers to nine significant digits so that the last bit does not matter."""
    rows = values.select(
        pl.col(name).cast(pl.String) if name in ("subject_id", "null_reason") else name for name in COLUMNS
    )
    told = [
        [f"{cell:.{DIGITS}g}" if isinstance(cell, float) else cell for cell in row]
        for row in rows.sort("subject_id").iter_rows()
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]


def test_values_change_only_with_the_version(found: dict[str, dict[str, Any]], request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--write-indicator-lock"):
        LOCK.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    locked: dict[str, dict[str, Any]] = json.loads(LOCK.read_text(encoding="utf-8"))

    assert locked.keys() == found.keys()
    silent = [id_ for id_, now in found.items() if now != locked[id_] and now["version"] <= locked[id_]["version"]]
    assert not silent, "values changed but the version did not rise"
    assert locked == found, "the version rose: write the lock anew"


def test_a_changed_value_changes_the_fingerprint(tsuchiura_home: Path) -> None:
    values = indicator_values(read_source_tables(TableStore(tsuchiura_home)), parse_moment(AS_OF))
    one = values.filter(pl.col("indicator_id") == "SI-022")
    touched = one.with_columns(raw_value=pl.col("raw_value") * (1 + 1e-7))

    assert fingerprint(one.reverse()) == fingerprint(one) != fingerprint(touched)
