"""A simulated city through every connector: all accounted for, all dirt where it belongs, the same tables however
its deliveries are cut, ordered, repeated or killed."""

import base64
import datetime as dt
import json
import random
import re
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from experiments.city.__main__ import main as simulate
from features.clock import SHANGHAI
from features.ingest.deliveries import Ingested, folders, ingest
from features.ingest.feed import sources
from features.ingest.identity.resolving import Known, person_ids
from features.ingest.keys import Keys
from features.ingest.quarantine.entries import Quarantine
from features.tables.columns import Table
from features.tables.contract import ALL_TABLES
from features.tables.projects import Project
from features.tables.store import TableStore
from tests.killing import completed, killed_after

KEYS = Keys(bytes(range(32)), bytes(range(32, 96)))
LOADED_AT = dt.datetime(2026, 3, 1, 8, tzinfo=SHANGHAI)
PROJECTS, SEED = 60, 11
PLACE = re.compile(r" \((.*)\)$")


def load(home: Path, deliveries: Path, minutes: int = 0) -> Ingested:
    return ingest(home, folders("all", deliveries), keys=KEYS, loaded_at=LOADED_AT + dt.timedelta(minutes=minutes))


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("city")
    simulate(["--projects", str(PROJECTS), "--seed", str(SEED), "--attendance-days", "10", "--out", str(out)])
    return out


@pytest.fixture(scope="module")
def loaded(city: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ingested]:
    home = tmp_path_factory.mktemp("loaded") / "home"
    return home, load(home, city / "deliveries")


def in_force(home: Path, known_at: dt.datetime | None = None) -> dict[str, pl.DataFrame]:
    store = TableStore(home)
    found = {name: _rows(store, table, known_at) for name, table in ALL_TABLES.items() if store.exists(table)}
    return {name: rows for name, rows in found.items() if rows.height}


def _rows(store: TableStore, table: type[Table], known_at: dt.datetime | None) -> pl.DataFrame:
    read = store.read_sensitive if table.sensitive_columns() else store.read
    return read(table, known_at).sort(table.key()).collect()


def versions(home: Path) -> dict[str, pl.DataFrame]:
    """Return every version that a source delivered, by key, source, instant and content."""
    store = TableStore(home)
    found: dict[str, pl.DataFrame] = {}
    for name, table in ALL_TABLES.items():
        if store.exists(table) and name != "source_sync":
            by = [table.key(), "source_code", "valid_from_ts", "content_hash"]
            delivered = store.versions(table).filter(pl.col("source_code") != "D00")
            found[name] = delivered.select(*by, "retracted").sort(by).collect()
    return found


def same(one: Mapping[str, pl.DataFrame], other: Mapping[str, pl.DataFrame]) -> list[str]:
    """Return the names of tables that differ; the log of deliveries tells of its own runs."""
    names = (set(one) | set(other)) - {"source_sync"}
    return sorted(name for name in names if name not in one or name not in other or not one[name].equals(other[name]))


def test_every_record_is_accounted_for_by_source(city: Path, loaded: tuple[Path, Ingested]) -> None:
    delivered: dict[str, int] = json.loads((city / "manifest.json").read_text())["sources"]
    outcome = loaded[1]
    assert outcome.problems == []
    assert not any(one.stopped for one in outcome.feeds)
    for source, records in delivered.items():
        counts = outcome.counts(source)
        assert counts.read == records, source
        assert counts.loaded + counts.unchanged + counts.superseded + counts.quarantined == records, source
    assert set(delivered) == {code for code, source in sources().items() if source.enabled}


def moment(text: str) -> dt.datetime:
    """Read the time of a record as any of the sources writes it."""
    if re.fullmatch(r"\d{13}", text):
        return dt.datetime.fromtimestamp(int(text) / 1000, SHANGHAI)
    if re.fullmatch(r"\d{14}", text):
        return dt.datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=SHANGHAI)
    numbers = [int(part) for part in re.findall(r"\d+", text.removesuffix("+08:00"))]
    return dt.datetime(*numbers[:6], tzinfo=SHANGHAI)


@pytest.fixture(scope="module")
def ends(city: Path, loaded: tuple[Path, Ingested]) -> pl.DataFrame:
    """Return the planted dirt with what became of each record.

    Columns: source, feed, kind, expected_end, expected_reason, stored (versions of that instant), newest (whether
    the last version of the key is of that instant), reasons (open entries of that record, joined).
    """
    home = loaded[0]
    planted = pl.read_csv(city / "truth" / "dirt.csv", infer_schema_length=0).filter(pl.col("kind") != "outage")
    store, entries = TableStore(home), Quarantine(home).list(state=None)
    open_entries = entries.select(
        "feed", "reason", "file", shown=pl.col("record").str.extract(PLACE.pattern, 1).str.strip_prefix("project_code:")
    ).unique()
    feeds = {(code, feed.name): feed for code, source in sources().items() for feed in source.feeds}
    found: list[pl.DataFrame] = []
    for (source, name), rows in planted.group_by("source", "feed", maintain_order=True):
        table = feeds[str(source), str(name)].table
        key = _keys(store, table, rows["record_id"])
        keyed = rows.with_columns(
            key=key,
            shown=rows["record_id"] if table is Project else key,
            at=pl.Series([moment(text) for text in rows["updated_at"]], dtype=pl.Datetime("us", "Asia/Shanghai")),
        )
        stored = store.versions(table).filter(pl.col("source_code") == source).collect()
        stored = stored.select(key=table.key(), at="valid_from_ts")
        newest = stored.group_by("key").agg(last=pl.col("at").max())
        reasons = (
            open_entries.filter(pl.col("feed") == f"{source}/{name}")
            .group_by("shown", "file")
            .agg(reasons=pl.col("reason").unique().sort().str.join(" "))
        )
        found.append(
            keyed.join(stored.group_by("key", "at").len("stored"), on=["key", "at"], how="left")
            .join(newest, on="key", how="left")
            .join(reasons, on=["shown", "file"], how="left")
            .with_columns(pl.col("stored").fill_null(0), newest=(pl.col("last") == pl.col("at")).fill_null(False))
            .drop("last")
        )
    return pl.concat(found)


def _keys(store: TableStore, table: type[Table], ids: pl.Series) -> pl.Series:
    """Return keys of the table for the ids that a source has: codes of organisations, numbers of persons, ..."""
    if table.NAME == "person":
        return person_ids(ids, pl.Series([""] * len(ids)), KEYS, Known("P00"))["person_id"]
    if table.NAME == "project":
        codes = store.versions(table).select("project_code", "project_id").drop_nulls().unique().collect()
        by_code = dict(codes.iter_rows())
        return pl.Series([by_code.get(one, one) for one in ids], dtype=pl.String)
    return ids


def test_every_planted_dirt_ends_where_it_should(ends: pl.DataFrame) -> None:
    wrong = ends.filter(
        pl.when(expected_end="quarantined")
        .then((pl.col("stored") > 0) | ~pl.col("reasons").fill_null("").str.contains(pl.col("expected_reason")))
        .when(expected_end="superseded")
        .then((pl.col("stored") != 1) | pl.col("newest"))
        .when(expected_end="loaded")
        .then(pl.col("stored") == 0)
        .otherwise(pl.col("stored") != 1)
    )
    assert wrong.is_empty(), wrong.write_csv()


def test_loading_everything_again_changes_nothing(city: Path, loaded: tuple[Path, Ingested], tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(loaded[0], home)
    before, rows, kept = versions(home), in_force(home), quarantined(home)

    again = load(home, city / "deliveries", minutes=1).counts()

    first = loaded[1].counts()
    assert again.loaded == 0
    assert again.superseded == 0
    assert (again.read, again.quarantined) == (first.read, first.quarantined)
    assert same(versions(home), before) == []
    assert same(in_force(home), rows) == []
    assert quarantined(home) == kept


def quarantined(home: Path) -> list[tuple[str, str, str, str]]:
    """Return feed, record, field and reason of the open entries."""
    rows = Quarantine(home).list().select("feed", "record", "field", "reason").unique()
    return sorted(rows.rows())


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_deliveries_does_not_matter(
    city: Path, loaded: tuple[Path, Ingested], tmp_path: Path, seed: int
) -> None:
    home, chance = tmp_path / "home", random.Random(seed)
    files = sorted(path for path in (city / "deliveries").rglob("*") if path.is_file())
    chance.shuffle(files)
    chunks = [files[place::4] for place in range(4)]

    for minutes, chunk in enumerate(chunks):
        part = tmp_path / f"part{minutes}"
        for path in chunk:
            target = part / path.relative_to(city / "deliveries")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(path)
        load(home, part, minutes)

    assert same(in_force(home), in_force(loaded[0])) == []
    assert same(versions(home), versions(loaded[0])) == []


def test_a_past_state_is_what_a_backup_of_then_holds(city: Path, tmp_path: Path) -> None:
    home, backup = tmp_path / "home", tmp_path / "backup"
    early, late = tmp_path / "early", tmp_path / "late"
    for path in sorted(path for path in (city / "deliveries").rglob("*") if path.is_file()):
        month = re.search(r"-(\d{6})", path.name)
        assert month is not None
        target = (early if month[1] < "202407" else late) / path.relative_to(city / "deliveries")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.hardlink_to(path)
    load(home, early)
    shutil.copytree(home, backup)
    then = LOADED_AT + dt.timedelta(seconds=30)

    load(home, late, minutes=1)

    assert same(in_force(home, then), in_force(backup, then)) == []
    assert same(in_force(home), in_force(backup)) != []


CODE = "import smoke; smoke.main()"


def command(home: Path, deliveries: Path) -> list[str]:
    return [sys.executable, "-c", CODE, "ingest", "all", str(deliveries), "--home", str(home), "--format", "json"]


def test_a_kill_at_any_moment_loses_and_doubles_nothing(
    city: Path, loaded: tuple[Path, Ingested], tmp_path: Path
) -> None:
    home, chance = tmp_path / "home", random.Random(5)
    keys = {"SMOKE_HMAC_KEY": KEYS.hmac, "SMOKE_DATA_KEY": KEYS.data}
    environment = {name: base64.b64encode(key).decode() for name, key in keys.items()}
    run = command(home, city / "deliveries")
    started = time.monotonic()
    completed(run, environment)
    whole = time.monotonic() - started
    shutil.rmtree(home)

    for _ in range(5):
        killed_after(whole * chance.uniform(0.1, 0.95), run, environment)
    counts = completed(run, environment)

    assert counts["read"] == loaded[1].counts().read
    assert same(in_force(home), in_force(loaded[0])) == []
    assert same(versions(home), versions(loaded[0])) == []
    assert quarantined(home) == quarantined(loaded[0])
