"""Loading survives kill -9 at any moment: the same command then completes, nothing lost, nothing twice."""

import json
import random
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features.ingest.quarantine.entries import Quarantine
from features.tables.contract import SOURCE_TABLES
from features.tables.store import TableStore
from tests.killing import completed, killed_once

RELEASES = 600
BATCH = 100
KILLS = 8
PATIENCE_SECONDS = 60
# The command itself, with batches small enough for a small file to have many.
CODE = f"import smoke; from features.ingest.ocds import loading as ocds; ocds.BATCH_RELEASES = {BATCH}; smoke.main()"


def release(number: int) -> dict[str, Any]:
    """Every third process is stated again further down the file, with one bid less; some bids are bad."""
    process, day = number % (RELEASES * 2 // 3), 1 + number // (RELEASES * 2 // 3)
    names = [f"{(process * place) % 40}建设公司" for place in range(1, 5 - day)]
    bids: list[dict[str, Any]] = [
        {
            "id": str(place),
            "status": "valid",
            "tenderers": [{"id": name, "name": name}],
            "value": {"amount": 1000 + process + place, "currency": "CNY"},
        }
        for place, name in enumerate(names)
    ]
    if process % 10 == 0:
        bids.append({"id": "bad", "status": "valid", "tenderers": []})
    return {
        "ocid": f"ocds-abc123-{process}",
        "id": f"{process}-{day}",
        "date": f"2026-01-{day:02}T00:00:00Z",
        "tag": ["compiled"],
        "tender": {"id": str(process), "title": f"工程{process}", "mainProcurementCategory": "works"},
        "bids": {"details": bids},
        "awards": [{"id": "1", "status": "active", "suppliers": [{"id": names[0], "name": names[0]}]}],
    }


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("delivery") / "releases.jsonl"
    lines = [json.dumps(release(number), ensure_ascii=False) for number in range(RELEASES)]
    path.write_text("\n".join([*lines[:350], "{ broken", *lines[350:]]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def undisturbed(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    completed(command(file, home))
    return home


def command(file: Path, home: Path) -> list[str]:
    return [sys.executable, "-c", CODE, "ingest", "ocds", str(file), "--home", str(home), "--format", "json"]


def written(home: Path) -> int:
    return sum(1 for path in home.rglob("*") if path.is_file())


def killed_once_written(file: Path, home: Path, files: int, pause: float) -> bool:
    """Start the command, kill it a moment after so many files have been written; tell whether it was at work."""
    ran = command(file, home)
    return killed_once(lambda: written(home) >= files, ran, pause=pause, patience_seconds=PATIENCE_SECONDS)


def rows(home: Path) -> dict[str, pl.DataFrame]:
    store = TableStore(home)
    return {name: store.read(table).sort(table.key()).collect() for name, table in SOURCE_TABLES.items()}


def versions(home: Path) -> dict[str, int]:
    store = TableStore(home)
    return {name: store.versions(table).collect().height for name, table in SOURCE_TABLES.items()}


def archived(home: Path) -> list[str]:
    return pl.scan_delta(str(home / "tables" / "ocds_release")).select("content").collect().to_series().sort().to_list()


def assert_same(home: Path, undisturbed: Path) -> None:
    expected = rows(undisturbed)
    for name, frame in rows(home).items():
        assert frame.equals(expected[name]), name
    assert versions(home) == versions(undisturbed)
    assert archived(home) == archived(undisturbed)
    assert len(set(archived(home))) == RELEASES
    refused = [Quarantine(one).list().get_column("id").sort().to_list() for one in (home, undisturbed)]
    assert refused[0] == refused[1]


def test_the_undisturbed_load_is_what_the_file_says(undisturbed: Path) -> None:
    stored = rows(undisturbed)

    assert stored["tender"].height == RELEASES * 2 // 3
    # Two bids where a process was stated again, three where it was not; each statement has one award.
    assert stored["bid"].height == RELEASES // 3 * 2 + RELEASES // 3 * 3
    assert stored["award"].height == RELEASES * 2 // 3


def test_a_load_killed_again_and_again_is_completed_by_the_same_command(
    file: Path, undisturbed: Path, tmp_path: Path
) -> None:
    home, chance = tmp_path / "home", random.Random(20260701)
    whole = written(undisturbed)
    killed = sum(
        killed_once_written(file, home, written(home) + chance.randint(1, whole // 8), chance.random() * 0.03)
        for _ in range(KILLS)
    )
    assert killed >= KILLS // 3

    counts = completed(command(file, home))

    assert counts["read"] == RELEASES + 1
    assert counts["quarantined"] == 1
    assert counts["loaded"] + counts["unchanged"] == RELEASES
    assert_same(home, undisturbed)


@pytest.mark.parametrize("share", [0.02, 0.6, 0.97])
def test_a_load_killed_once_is_completed_by_the_same_command(
    file: Path, undisturbed: Path, tmp_path: Path, share: float
) -> None:
    home, chance = tmp_path / "home", random.Random(share)

    killed_once_written(file, home, int(written(undisturbed) * share), chance.random() * 0.02)
    completed(command(file, home))

    assert_same(home, undisturbed)
