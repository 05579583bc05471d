"""Files in the contract's shape, loaded into real tables."""

import datetime as dt
import json
import random
from pathlib import Path

import polars as pl
import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from features.clock import SHANGHAI
from features.errors import InputError
from features.ingest.commands import quarantine_app
from features.ingest.quarantine.entries import Quarantine
from features.ingest.tables import Counts, Loaded, load_tables, replay_rows
from features.ingest.tables_command import tables
from features.tables.organisations import Organisation
from features.tables.projects import Project
from features.tables.reference import Region
from features.tables.store import TableStore
from features.tables.tendering import Bid, Tender

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "experiments" / "tsuchiura" / "tables"
MOMENT = dt.datetime(2026, 7, 1, 12, tzinfo=SHANGHAI)
REGIONS = ["region_code,name,level,parent_region_code", "R1,City,city,", "R2,County,county,R1"]
ORGANISATIONS = ["org_id,name,uscc,legal_rep_person_id", "O1,One,,", "O2,Two,,"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "delivery"
    path.mkdir()
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def deliver(folder: Path, **files: list[str]) -> None:
    for name, lines in files.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def load(home: Path, folder: Path, moment: dt.datetime = MOMENT) -> Loaded:
    loaded = load_tables(home, folder, loaded_at=moment)
    for counts in [*loaded.tables.values(), loaded.total]:
        assert counts.read == counts.loaded + counts.unchanged + counts.superseded + counts.quarantined
    return loaded


def refused(home: Path) -> list[tuple[str, str, str]]:
    return Quarantine(home).list().sort("record", "field").select("record", "field", "reason").rows()


def keys(home: Path, table: type[Region] | type[Organisation] | type[Project]) -> list[str]:
    return sorted(TableStore(home).read(table).select(table.key()).collect().to_series())


def run(*arguments: str) -> Result:
    app = Typer()
    app.command()(tables)
    return CliRunner().invoke(app, arguments)


def test_a_load_points_to_what_it_refused(home: Path, folder: Path) -> None:
    deliver(folder, region=[*REGIONS, "R3,,county,R1"])

    last = run(str(folder), "--home", str(home)).stdout.splitlines()[-1]

    assert last.startswith("1 quarantined: smoke quarantine list")


def test_the_shipped_sample_loads_whole_and_a_second_load_changes_nothing(home: Path) -> None:
    first, second = load(home, SAMPLE), load(home, SAMPLE, MOMENT + dt.timedelta(days=1))

    assert first.tables["tender"] == Counts(1565, 1565)
    assert first.tables["bid"] == Counts(6013, 6013)
    assert first.total.quarantined == 0
    assert second.total == Counts(first.total.read, 0, first.total.read)
    bids = TableStore(home).read(Bid).collect()
    assert bids.height == 6013
    assert (
        bids.filter(pl.col("bid_id") == "tsu-15/bid/1").get_column("bid_price").cast(pl.String).item() == "3680000.00"
    )


def test_bad_rows_go_to_quarantine_one_entry_a_column_and_the_rest_loads(home: Path, folder: Path) -> None:
    rows = [*REGIONS, "R3,,state,", "R4,Town,township,R9", "R5,short"]
    deliver(folder, region=rows)

    loaded = load(home, folder)

    assert loaded.total == Counts(5, 2, 0, 0, 3)
    assert refused(home) == [
        ("region.csv:4 (R3)", "level", "unknown_word"),
        ("region.csv:4 (R3)", "name", "missing_value"),
        ("region.csv:5 (R4)", "parent_region_code", "unknown_reference"),
        ("region.csv:6 (R5)", "", "wrong_cell_count"),
    ]
    entry = Quarantine(home).list().filter(pl.col("field") == "level").row(0, named=True)
    assert "city, county, township" in entry["mend"]


def test_the_last_row_of_a_file_that_ends_within_its_line_is_refused_and_stays_so_until_it_is_mended(
    home: Path, folder: Path
) -> None:
    deliver(folder, region=["region_code,name,level", "420500,宜昌,city", "420600,襄阳市,city"])
    path = folder / "region.csv"
    path.write_bytes(path.read_bytes()[:-1])

    assert load(home, folder).tables["region"] == Counts(read=2, loaded=1, quarantined=1)
    assert refused(home) == [("region.csv:3 (420600)", "", "unfinished_record")]

    pending = Quarantine(home).pending_raw("tables")
    assert replay_rows(home, pending, loaded_at=MOMENT + dt.timedelta(days=1))[1] == []
    assert len(refused(home)) == 1
    mended = pending.with_columns(raw=pl.lit('{"region_code": "420600", "name": "襄阳市", "level": "city"}'))
    assert len(replay_rows(home, mended, loaded_at=MOMENT + dt.timedelta(days=2))[1]) == 1
    assert keys(home, Region) == ["420500", "420600"]


def test_rows_that_refer_to_refused_rows_are_refused_with_them(home: Path, folder: Path) -> None:
    deliver(folder, region=["region_code,name,level,parent_region_code", "A,a,city,B", "B,b,city,C", "C,c,city,X"])

    assert load(home, folder).total == Counts(3, 0, 0, 0, 3)
    assert {field for _, field, _ in refused(home)} == {"parent_region_code"}


def test_references_are_checked_against_what_is_stored_as_well(home: Path, folder: Path) -> None:
    deliver(folder, region=REGIONS)
    load(home, folder)
    (folder / "region.csv").unlink()
    deliver(folder, organisation=["org_id,name,region_code", "O1,One,R1", "O2,Two,R7"])

    assert load(home, folder).total == Counts(2, 1, 0, 0, 1)
    assert keys(home, Organisation) == ["O1"]


def test_references_to_a_table_that_was_never_delivered_are_checked_too(home: Path, folder: Path) -> None:
    deliver(folder, organisation=["org_id,name,legal_rep_person_id", "O1,One,P1"])

    assert load(home, folder).total == Counts(1, 0, 0, 0, 1)


def test_the_same_row_twice_counts_once_loaded_and_differing_rows_are_all_refused(home: Path, folder: Path) -> None:
    deliver(folder, organisation=[*ORGANISATIONS, "O1,One,,", "O2,Zwei,,"])

    assert load(home, folder).total == Counts(4, 1, 1, 0, 2)
    assert {reason for _, _, reason in refused(home)} == {"conflicting_duplicate"}
    assert keys(home, Organisation) == ["O1"]


def test_the_newer_of_two_dated_versions_is_loaded_whatever_their_order(home: Path, folder: Path) -> None:
    rows = ["O1,Old,2026-01-01", "O1,New,2026-02-01", "O1,Older,2025-01-01"]
    random.Random(4).shuffle(rows)
    deliver(folder, organisation=["org_id,name,valid_from_ts", *rows])

    assert load(home, folder).total == Counts(3, 1, 0, 2)
    assert TableStore(home).read(Organisation).collect().get_column("name").to_list() == ["New"]
    versions = TableStore(home).versions(Organisation).collect()
    assert sorted(versions.get_column("name")) == ["New", "Old", "Older"]
    assert load(home, folder, MOMENT + dt.timedelta(days=1)).total == Counts(3, 0, 3)


def test_a_version_older_than_the_stored_one_is_stored_and_superseded(home: Path, folder: Path) -> None:
    deliver(folder, organisation=["org_id,name,valid_from_ts", "O1,New,2026-02-01"])
    load(home, folder)
    deliver(folder, organisation=["org_id,name,valid_from_ts", "O1,Old,2026-01-01"])

    assert load(home, folder).total == Counts(1, 0, 0, 1)
    store = TableStore(home)
    assert store.read(Organisation).collect().get_column("name").to_list() == ["New"]
    in_between = dt.datetime(2026, 1, 15, tzinfo=SHANGHAI)
    assert store.versions(Organisation).filter(pl.col("valid_from_ts") <= in_between).collect()["name"].to_list() == [
        "Old"
    ]


def test_a_changed_row_is_loaded_as_a_new_version(home: Path, folder: Path) -> None:
    deliver(folder, organisation=ORGANISATIONS)
    load(home, folder)
    deliver(folder, organisation=[*ORGANISATIONS[:2], "O2,Renamed,,"])

    assert load(home, folder, MOMENT + dt.timedelta(days=1)).total == Counts(2, 1, 1)
    before = TableStore(home).read(Organisation, known_at=MOMENT).collect()
    assert sorted(before.get_column("name")) == ["One", "Two"]


def test_a_credit_code_under_two_keys_is_refused_delivered_or_stored(home: Path, folder: Path) -> None:
    deliver(folder, organisation=["org_id,name,uscc", "O1,One,C1", "O2,Two,C2", "O3,Three,C2"])
    assert load(home, folder).total == Counts(3, 1, 0, 0, 2)
    deliver(folder, organisation=["org_id,name,uscc", "O4,Four,C1"])

    assert load(home, folder).total == Counts(1, 0, 0, 0, 1)
    assert keys(home, Organisation) == ["O1"]


def test_personal_values_are_hidden_in_quarantine(home: Path, folder: Path) -> None:
    deliver(folder, organisation=["org_id,name,legal_rep_person_id", f"O1,One,{'张三' * 40}"])

    load(home, folder)

    entry = Quarantine(home).list().row(0, named=True)
    assert entry["reason"] == "too_long"
    assert "张三" not in json.dumps({k: str(v) for k, v in entry.items()}, ensure_ascii=False)


def test_parquet_loads_like_csv(home: Path, folder: Path) -> None:
    Region.validate(
        pl.DataFrame(
            {"region_code": ["R1"], "name": ["City"], "level": ["city"], "parent_region_code": [None]},
            schema_overrides={"parent_region_code": pl.String},
        ),
        cast=True,
    ).write_parquet(folder / "region.parquet")
    assert load(home, folder).total == Counts(1, 1)
    (folder / "region.parquet").unlink()
    deliver(folder, region=REGIONS[:2])

    assert load(home, folder).total == Counts(1, 0, 1)


def test_an_export_of_the_stored_tables_loads_unchanged(home: Path, folder: Path) -> None:
    load(home, SAMPLE)
    store = TableStore(home)
    for table in (Region, Organisation, Project, Tender):
        store.read(table).collect().write_parquet(folder / f"{table.NAME}.parquet")

    loaded = load(home, folder)

    assert loaded.total.unchanged == loaded.total.read == 3401


def test_rows_that_wait_load_by_themselves_once_what_they_lacked_has_arrived(home: Path, folder: Path) -> None:
    deliver(folder, organisation=["org_id,name,region_code", "O1,One,R1", "O2,Two,R8"])
    load(home, folder)
    (folder / "organisation.csv").unlink()
    deliver(folder, region=REGIONS)

    loaded = load(home, folder, MOMENT + dt.timedelta(days=1))

    assert (loaded.total, loaded.released) == (Counts(2, 2), 1)
    assert [record for record, _, _ in refused(home)] == ["organisation.csv:3 (O2)"]
    assert keys(home, Organisation) == ["O1"]


def test_a_replay_tries_mended_rows_and_all_that_wait(home: Path, folder: Path) -> None:
    deliver(folder, organisation=["org_id,name,region_code", "O1,,", "O2,Two,R8"])
    load(home, folder)
    entries = Quarantine(home).pending_raw("tables")
    mended = entries.with_columns(pl.col("raw").str.replace('"name": ""', '"name": "One"', literal=True))

    loaded, taken = replay_rows(home, mended, loaded_at=MOMENT)

    assert loaded.total == Counts(1, 1)
    assert len(taken) == 1
    assert [(record, reason) for record, _, reason in refused(home)] == [
        ("organisation.csv:3 (O2)", "unknown_reference")
    ]


@pytest.mark.parametrize("text", ["5", "null", "[]", '"x"', "{}", '{"name": "襄阳市"}'])
def test_a_mended_row_without_its_key_is_refused_with_a_mend(home: Path, folder: Path, text: str) -> None:
    deliver(folder, region=["region_code,name,level", "420600,襄阳市,城"])
    load(home, folder)
    mended = folder / "mended.json"
    mended.write_text(text, encoding="utf-8")
    [entry] = Quarantine(home).list().get_column("id")

    arguments = ["replay", "--id", entry, "--mended", str(mended), "--home", str(home)]
    result = CliRunner().invoke(quarantine_app, arguments)

    assert isinstance(result.exception, InputError)
    assert "its key among its cells" in str(result.exception)
    assert len(refused(home)) == 1


def test_a_row_too_short_to_have_its_key_is_settled_by_the_whole_one_at_its_place(home: Path, folder: Path) -> None:
    rows = ["name,level,region_code", "宜昌,city,420500", "襄阳市,city,420600"]
    (folder / "region.csv").write_text("\n".join(rows).removesuffix(",420600"), encoding="utf-8")
    load(home, folder)
    load(home, folder, MOMENT + dt.timedelta(days=1))
    assert refused(home) == [("region.csv:3", "", "wrong_cell_count")]

    deliver(folder, region=rows)
    load(home, folder, MOMENT + dt.timedelta(days=2))

    assert refused(home) == []
    assert keys(home, Region) == ["420500", "420600"]


def test_a_folder_that_is_not_there_or_is_empty_is_said_clearly(home: Path, folder: Path) -> None:
    with pytest.raises(InputError, match="no file of a table"):
        load(home, folder)
    with pytest.raises(InputError, match="no folder"):
        load(home, folder / "absent")


def test_the_command_loads_the_readable_files_names_the_others_and_fails(home: Path, folder: Path) -> None:
    deliver(folder, region=REGIONS, bids=["bid_id"])

    result = run(str(folder), "--home", str(home), "--format", "json")

    assert result.exit_code == 1
    printed = json.loads(result.stdout)
    assert {name: printed[name] for name in ("source", "read", "loaded", "unchanged", "superseded", "quarantined")} == {
        "source": "tables",
        "read": 2,
        "loaded": 2,
        "unchanged": 0,
        "superseded": 0,
        "quarantined": 0,
    }
    assert "rename it to bid.csv" in result.stderr


def test_the_command_prints_a_table_for_people(home: Path) -> None:
    result = run(str(SAMPLE), "--home", str(home))

    assert result.exit_code == 0
    assert "6,013" in result.stdout
