"""No personal value is found where it was not put: not in tables, logs, messages, features, models or tracking."""

import datetime as dt
import gzip
import json
import logging
import sqlite3
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl
import pytest

import smoke
from features.clock import SHANGHAI
from features.ingest.identity.resolving import Known, hashed, organisation_ids, person_ids
from features.ingest.identity.work_items import WorkItems, sightings
from features.ingest.keys import Keys
from features.ingest.quarantine.entries import MASK, Quarantine
from features.tables.columns import Table
from features.tables.contract import ALL_TABLES
from features.tables.organisations import Organisation, Person
from features.tables.site import Attendance
from features.tables.source import read_source_tables
from features.tables.store import TableStore, TableWriter
from features.tables.tendering import Lot
from tests import personal_delivery
from tests.check_digits import identity_number
from tests.labelled_auctions import load_auctions
from training.fit import CANDIDATES

KEYS = Keys(bytes(range(32)), bytes(range(100, 164)))
MORNING = dt.datetime(2026, 1, 1, 8, tzinfo=SHANGHAI)
SEVENTEEN = "51132319871123456"
NUMBER = identity_number(SEVENTEEN)
SLIPPED = NUMBER[:10] + "09" + NUMBER[12:]
OLD_NUMBER = SEVENTEEN[:6] + SEVENTEEN[8:]
PHONE, ACCOUNT, EMAIL = "13981746205", "6228480469913570246", "li.zhen.7731@example.cn"
LONGITUDE, LATITUDE = 106.1374915, 30.8261739
PLANTED = (NUMBER, SLIPPED, OLD_NUMBER, PHONE, ACCOUNT, EMAIL, str(LONGITUDE), str(LATITUDE))
"""What is planted in the deliveries of this test, each unlike anything else."""


def leaks(folder: Path, planted: Iterable[str] = PLANTED, *, apart: Iterable[str] = ()) -> list[str]:
    """Return ``value in file`` for each planted value that any file below a folder holds, however it is packed.

    Every file is read, also those that a compaction left behind; Parquet, SQLite, gzip and zip are unpacked, all else
    is read as bytes. ``apart`` are folders directly below that may hold personal values.
    """
    found: list[str] = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        place = file.relative_to(folder)
        if place.parts[0] not in apart:
            content = _content(file)
            found += [f"{value} in {place}" for value in planted if value.encode() in content]
    return found


def _content(file: Path) -> bytes:
    raw = file.read_bytes()
    if raw.startswith(b"PAR1"):
        return raw + pl.read_parquet(file, glob=False).write_json().encode()
    if raw.startswith(b"SQLite format 3"):
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
            return raw + "\n".join(database.iterdump()).encode()
    if raw.startswith(b"\x1f\x8b"):
        return raw + gzip.decompress(raw)
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            return raw + b"\n".join(archive.read(name) for name in archive.namelist())
    return raw


def upsert(store: TableStore, table: type[Table], source: str, rows: Sequence[Mapping[str, object]]) -> None:
    schema = {name: column.dtype for name, column in table.columns().items()}
    frame = pl.DataFrame(rows, schema=schema).with_columns(source_record_id=pl.lit("r"))
    TableWriter(store, table, MORNING, source).upsert(frame)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a person, a punch, a firm and everything that could not be told, made of planted values."""
    store = TableStore(tmp_path / "home")
    names = pl.Series(["李真"] * 4)
    numbers = pl.Series([NUMBER, OLD_NUMBER, SLIPPED, f"证{NUMBER}"])
    found = person_ids(numbers, names, KEYS, Known("P00"))
    phone = hashed(pl.Series([PHONE]), "phone", KEYS).item()
    account = hashed(pl.Series([ACCOUNT]), "account", KEYS).item()
    email = hashed(pl.Series([EMAIL]), "email", KEYS).item()
    known = found.row(0, named=True)
    upsert(
        store,
        Person,
        "P00",
        [
            {
                **{name: known[name] for name in ("person_id", "id_no_hash", "id_no_enc")},
                "name": "李真",
                "phone_hash": phone,
            }
        ],
    )
    firm = {"org_id": "O1", "name": "某公司", "phone_hash": phone, "email_hash": email, "basic_account_hash": account}
    upsert(store, Organisation, "S11", [firm])
    upsert(
        store,
        Attendance,
        "P00",
        [
            {
                "attendance_id": "a",
                "person_id": known["person_id"],
                "punched_at": MORNING,
                "longitude": LONGITUDE,
                "latitude": LATITUDE,
            }
        ],
    )
    items = WorkItems(store.home)
    rows = pl.DataFrame({"given": numbers, "name": names, "record": ["1", "2", "3", "4"]}).hstack(found)
    items.add(sightings("person", "P00", "P00/person", rows, keys=KEYS), MORNING)
    codes = pl.Series([NUMBER, SLIPPED, OLD_NUMBER, PHONE])
    rows = pl.DataFrame({"given": codes, "name": names, "record": ["1", "2", "3", "4"]})
    rows = rows.hstack(organisation_ids(codes, names, Known("S01")))
    items.add(sightings("organisation", "S01", "S01/bid", rows), MORNING)
    return store.home


def test_the_search_finds_what_is_there(home: Path) -> None:
    assert leaks(home, [str(LONGITUDE)]) != []
    (home / "log.txt").write_text(f"taken: {PHONE}")
    assert leaks(home, apart=["sensitive"]) == [f"{PHONE} in log.txt"]


def test_no_planted_value_lies_outside_the_sensitive_part(home: Path) -> None:
    assert leaks(home, apart=["sensitive"]) == []
    assert leaks(home, [NUMBER, SLIPPED, OLD_NUMBER, PHONE, ACCOUNT, EMAIL]) == []


def test_commands_say_and_write_no_planted_value(
    home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    items = WorkItems(home).items()
    assert set(items.get_column("kind")) == {"person"}  # a personal number in a code's place is no item
    for item in items.get_column("item_id"):
        assert smoke.run(["identities", "show", item, "--home", str(home), "--format", "json"]) == 0
    assert smoke.run(["identities", "list", "--home", str(home), "--format", "csv"]) == 0
    assert (
        smoke.run(
            [
                "identities",
                "decide",
                items.item(0, "item_id"),
                "--home",
                str(home),
                "--id",
                NUMBER,
                "--as",
                "w",
                "--because",
                "x",
            ]
        )
        == 1
    )
    for name in ("person", "organisation", "attendance"):
        assert smoke.run(["export", name, "--home", str(home), "--out", str(tmp_path / f"{name}.csv")]) == 0
    assert smoke.run(["build", "--as-of", "2026-06-30", "--home", str(home)]) == 0

    said = capfd.readouterr()
    shown = said.out + said.err + caplog.text
    assert [value for value in PLANTED if value in shown] == []
    assert leaks(tmp_path, apart=["home"]) == []
    assert leaks(home, apart=["sensitive"]) == []


def test_a_delivery_of_the_sources_leaves_nothing_behind_but_sealed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    planted = personal_delivery.PLANTED.texts()
    personal_delivery.deliver(tmp_path / "delivered")
    home = tmp_path / "home"
    place = ["--home", str(home)]
    monkeypatch.setenv("SMOKE_HMAC_KEY", KEYS.hmac.hex())
    monkeypatch.setenv("SMOKE_DATA_KEY", KEYS.data.hex())

    assert smoke.run(["ingest", "all", str(tmp_path / "delivered"), *place]) == 0
    assert smoke.run(["quarantine", "list", "--state", "all", "--format", "json", *place]) == 0
    entries = Quarantine(home).list(state=None)
    for entry in entries.get_column("id"):
        assert smoke.run(["quarantine", "show", entry, *place]) == 0
    shown = capfd.readouterr().out
    assert "1234567.8" in shown
    assert [value for value in ("李真", "王强", *planted) if value in shown] == []
    assert smoke.run(["quarantine", "replay", "--all", *place]) == 0
    assert smoke.run(["identities", "list", "--format", "csv", *place]) == 0
    for table in ("person", "organisation", "bid", "bond_payment", "attendance", "social_insurance"):
        assert smoke.run(["export", table, "--out", str(tmp_path / f"{table}.csv"), *place]) == 0

    assert {"P00", "S01", "S10", "S11"} == set(entries.get_column("source"))
    assert set(TableStore(home).read(Person).collect().get_column("name")) >= {"李真", "王强"}
    said = capfd.readouterr()
    assert [value for value in planted if value in said.out + said.err + caplog.text] == []
    assert leaks(home, planted, apart=["sensitive"]) == []
    assert leaks(tmp_path, planted, apart=["home", "delivered"]) == []


@pytest.mark.parametrize(
    ("line", "end", "reason", "shown"),
    [
        ("p1,李真,{hash},0.1", "", "unfinished_record", "0.1"),
        ("p1,李真,{hash}", "\n", "wrong_cell_count", None),
        ("p1,李真,{hash},0.1,王强", "\n", "wrong_cell_count", None),
    ],
)
def test_a_row_kept_as_cells_is_shown_without_the_personal_ones(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
    end: str,
    reason: str,
    shown: str | None,
) -> None:
    monkeypatch.setenv("SMOKE_HMAC_KEY", KEYS.hmac.hex())
    monkeypatch.setenv("SMOKE_DATA_KEY", KEYS.data.hex())
    secret = "5e" * 32
    (tmp_path / "in").mkdir()
    text = f"person_id,name,id_no_hash,valid_from_ts\n{line.format(hash=secret)}{end}"
    (tmp_path / "in" / "person.csv").write_text(text, encoding="utf-8")
    home = tmp_path / "home"
    assert smoke.run(["ingest", "tables", str(tmp_path / "in"), "--home", str(home)]) in (0, 2)
    entry = Quarantine(home).list().filter(pl.col("reason") == reason).get_column("id")[0]
    capsys.readouterr()

    assert smoke.run(["quarantine", "show", entry, "--home", str(home), "--format", "json"]) == 0

    said = capsys.readouterr().out
    record = json.loads(json.loads(said)["raw"])
    assert [value for value in ("李真", "王强", secret) if value in said] == []
    assert record["heading"][:2] == ["person_id", "name"]
    assert set(record["cells"]) == {MASK, *([shown] if shown else [])}


def test_no_computation_sees_a_sensitive_column(home: Path) -> None:
    source = read_source_tables(TableStore(home))

    for table in ALL_TABLES.values():
        seen = source[table].collect_schema().names()
        assert not set(seen) & set(table.sensitive_columns()), table.NAME


def test_models_scores_and_tracking_hold_no_planted_value(
    home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    load_auctions(home, tmp_path / "delivery")
    lot = TableStore(home).read(Lot).select(pl.col("lot_id").min()).collect().item()
    as_of, place = ["--as-of", "2026-06-30"], ["--home", str(home)]

    assert smoke.run(["train", *as_of, "--candidate", CANDIDATES[0].name, "--promote", *place]) == 0
    assert smoke.run(["score", *as_of, "--out", str(tmp_path / "scores.parquet"), *place]) == 0
    assert smoke.run(["explain", f"lot:{lot}", *as_of, *place]) == 0

    said = capfd.readouterr()
    assert [value for value in PLANTED if value in said.out + said.err + caplog.text] == []
    assert list((home / "mlflow").rglob("*"))
    assert leaks(home, apart=["sensitive"]) == []
    assert leaks(tmp_path, apart=["home"]) == []
