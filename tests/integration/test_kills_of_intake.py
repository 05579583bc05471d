"""Loading tables survives kill -9 at any moment: the same command then completes, nothing lost, nothing twice.

Batches, buckets and the number of files above which a table is merged are made small, so that a small delivery goes
through staging on disk, many commits, sensitive parts, rows that wait and are released, and compaction.
"""

import base64
import random
import sys
from pathlib import Path

import polars as pl
import pytest

from features.ingest.quarantine.entries import Quarantine
from features.tables.columns import Table
from features.tables.organisations import Organisation, Person
from features.tables.projects import Project
from features.tables.reference import Region
from features.tables.store import TableStore
from features.tables.tendering import Tender
from tests.killing import completed, killed_once

TABLES: list[type[Table]] = [Region, Organisation, Person, Project, Tender]
TENDERS = 3_000
N_KNOWN = len({n % 2_000 for n in range(TENDERS) if n % 320 < 300})
"""Tenders of which a version names a project that is delivered."""
KILLS = 10
PATIENCE_SECONDS = 120
CODE = """
import smoke
from features.ingest.intake import staging; from features.ingest import table_files
from features.tables import delta
table_files.BATCH_ROWS, staging.HELD_ROWS, staging.GROUP_ROWS, delta.COMPACT_ABOVE_FILES = 300, 500, 200, 6
smoke.main()
"""
RANDOM = random.Random(20260701)
KEYS = {
    name: base64.b64encode(RANDOM.randbytes(size)).decode()
    for name, size in (("SMOKE_HMAC_KEY", 32), ("SMOKE_DATA_KEY", 64))
}


def csv(folder: Path, name: str, heading: str, rows: list[str]) -> None:
    RANDOM.shuffle(rows)
    (folder / f"{name}.csv").write_text("\n".join([heading, *rows]) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Persons and organisations wait for each other; some tenders miss their project, some are stated twice."""
    folder = tmp_path_factory.mktemp("delivery")
    csv(folder, "region", "region_code,name,level,parent_region_code", ["R1,市,city,", "R2,县,county,R1"])
    csv(
        folder,
        "organisation",
        "org_id,name,legal_rep_person_id",
        [f"O{n},公司{n},{f'H{n}' if n % 2 else ''}" for n in range(400)],
    )
    csv(
        folder,
        "person",
        "person_id,name,id_no_hash,employer_org_id,is_public_official",
        [f"H{n},人{n},h{n},O{n},{'true' if n % 9 == 0 else ''}" for n in range(400)],
    )
    csv(
        folder,
        "project",
        "project_id,project_code,name,region_code,status,secrecy_level",
        [f"P{n},C{n},工程{n},R2,approved,none" for n in range(300)],
    )
    dated = "tender_id,project_id,tender_no,title,law_regime,method,evaluation_method,status,valid_from_ts"
    tenders = [
        f"T{n % 2_000},project_code:C{n % 320},N{n},工程{n},tendering_law,public_tender,lowest_evaluated,published,"
        f"2026-0{1 + n // 2_000}-01"
        for n in range(TENDERS)
    ]
    csv(folder, "tender", dated, [*tenders, *(row.replace("published", "opened") for row in tenders[:50])])
    return folder


@pytest.fixture(scope="module")
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    completed(command(folder, home), KEYS)
    return home


def command(folder: Path, home: Path) -> list[str]:
    return [sys.executable, "-c", CODE, "ingest", "tables", str(folder), "--home", str(home), "--format", "json"]


def commits(home: Path) -> int:
    """Count what was ever written: commits do not go again, files of staging and of merged tables do."""
    return sum(1 for part in ("tables", "sensitive", "quarantine") for _ in home.glob(f"{part}/*/_delta_log/*.json"))


def killed_once_written(folder: Path, home: Path, wanted: int, pause: float) -> bool:
    """Start the command, kill it a moment after so many commits; tell whether it was at work."""
    ran = command(folder, home)
    return killed_once(lambda: commits(home) >= wanted, ran, KEYS, pause=pause, patience_seconds=PATIENCE_SECONDS)


def rows(home: Path) -> dict[str, pl.DataFrame]:
    store = TableStore(home)
    return {table.NAME: store.read_sensitive(table).sort(table.key()).collect() for table in TABLES}


def versions(home: Path) -> dict[str, int]:
    store = TableStore(home)
    return {table.NAME: store.versions(table, sensitive=True).collect().height for table in TABLES}


def refused(home: Path) -> pl.DataFrame:
    return Quarantine(home).list(state=None).select("id", "reason", "state").sort("id")


def test_the_undisturbed_load_is_what_the_files_say(undisturbed: Path) -> None:
    stored = rows(undisturbed)

    assert {name: frame.height for name, frame in stored.items()} == {
        "region": 2, "organisation": 400, "person": 400, "project": 300, "tender": N_KNOWN
    }  # fmt: skip
    assert stored["person"].get_column("is_public_official").sum() == 45
    assert set(refused(undisturbed).get_column("reason")) == {"unknown_reference", "conflicting_duplicate"}
    assert not (undisturbed / "staging").exists()


def test_a_load_killed_again_and_again_is_completed_by_the_same_command(
    folder: Path, undisturbed: Path, tmp_path: Path
) -> None:
    home, chance = tmp_path / "home", random.Random(7)
    whole = commits(undisturbed)
    killed = 0
    for _ in range(KILLS):
        killed += killed_once_written(
            folder, home, commits(home) + chance.randint(0, whole // KILLS), chance.random() * 0.2
        )
        for table in TABLES:
            TableStore(home).versions(table, sensitive=True).collect()
    assert killed >= KILLS // 3

    counts = completed(command(folder, home), KEYS)

    assert counts["read"] == counts["loaded"] + counts["unchanged"] + counts["superseded"] + counts["quarantined"]
    expected = rows(undisturbed)
    for name, frame in rows(home).items():
        assert frame.equals(expected[name]), name
    assert versions(home) == versions(undisturbed)
    assert refused(home).equals(refused(undisturbed))
    again = completed(command(folder, home), KEYS)
    assert (again["loaded"], again["superseded"]) == (0, 0)
    assert versions(home) == versions(undisturbed)
