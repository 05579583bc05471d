"""OCDS files, loaded into real tables: every release accounted for, nothing twice, nothing lost."""

import datetime as dt
import gzip
import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from filelock import Timeout
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from features.clock import SHANGHAI
from features.errors import InputError, StoreError
from features.ingest.commands import ingest_app, quarantine_app
from features.ingest.ocds import loading as ocds
from features.ingest.ocds.files import Delivery
from features.ingest.ocds.loading import Loaded, load_ocds
from features.ingest.ocds.publishers import Publishers, publishers
from features.ingest.quarantine.entries import Quarantine
from features.ingest.tables import Counts, load_tables
from features.tables.columns import Table
from features.tables.contract import SOURCE_TABLES
from features.tables.organisations import Organisation
from features.tables.reference import Region
from features.tables.store import TableStore
from features.tables.tendering import Award, Bid, Lot, Tender

MOMENT = dt.datetime(2026, 7, 1, 12, tzinfo=SHANGHAI)
USCC = "91420500MA4896XH81"
ACCOUNT = ["source", "read", "loaded", "unchanged", "superseded", "quarantined", "rows_quarantined", "seconds"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def bid(name: str, amount: object = 1000, **parts: Any) -> dict[str, Any]:
    return {
        "id": f"b-{name}",
        "status": "valid",
        "tenderers": [{"id": name, "name": name}],
        "value": {"amount": amount, "currency": "CNY"},
        **parts,
    }


def release(number: int, *, day: int = 1, bids: list[dict[str, Any]] | None = None, **parts: Any) -> dict[str, Any]:
    details = [bid("甲公司", 1000), bid("乙公司", 1100)] if bids is None else bids
    return {
        "ocid": f"ocds-abc123-{number}",
        "id": f"{number}-{day}",
        "date": f"2026-01-{day:02}T00:00:00Z",
        "tag": ["tender", "award"],
        "tender": {"id": f"T{number}", "title": f"道路工程{number}", "mainProcurementCategory": "works"},
        "bids": {"details": details},
        "buyer": {"id": "业主", "name": "业主"},
        **parts,
    }


def compiled(content: dict[str, Any]) -> dict[str, Any]:
    return content | {"tag": ["compiled"]}


def load(
    home: Path, content: object, name: str = "releases.jsonl", given: Publishers | None = None, days: int = 0
) -> Loaded:
    path = home.parent / name
    if isinstance(content, list):
        path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in content), encoding="utf-8")
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    moment = MOMENT + dt.timedelta(days=days)
    loaded = load_ocds(home, Delivery(path), given or publishers(), loaded_at=moment)
    counts = loaded.counts
    assert counts.read == counts.loaded + counts.unchanged + counts.superseded + counts.quarantined
    return loaded


def rows(home: Path, table: type[Table]) -> pl.DataFrame:
    return TableStore(home).read(table).sort(table.key()).collect()


def column(home: Path, table: type[Table], name: str) -> list[Any]:
    return rows(home, table).get_column(name).to_list()


def everything(home: Path) -> dict[str, pl.DataFrame]:
    return {name: rows(home, table) for name, table in SOURCE_TABLES.items()}


def versions(home: Path) -> dict[str, int]:
    return {name: TableStore(home).version(table) for name, table in SOURCE_TABLES.items()}


def reasons(home: Path) -> list[tuple[str, str, str]]:
    return sorted(Quarantine(home).list().select("level", "field", "reason").rows())


def run(app: Any, *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


# -- forms and accounting ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["lines", "list", "package", "gzip", "records", "compiled"])
def test_every_form_of_the_same_releases_gives_the_same_rows(home: Path, form: str) -> None:
    releases = [release(number) for number in range(5)]
    forms: dict[str, object] = {
        "lines": releases,
        "list": json.dumps(releases).encode(),
        "package": {"uri": "u", "releases": releases},
        "gzip": gzip.compress(json.dumps({"releases": releases}).encode()),
        "records": {"records": [{"ocid": one["ocid"], "releases": [one]} for one in releases]},
        "compiled": {"records": [{"ocid": one["ocid"], "compiledRelease": compiled(one)} for one in releases]},
    }

    assert load(home, forms[form], "f.jsonl" if form == "lines" else "f.json") == Loaded(Counts(5, 5), 0, 0)

    load(home.with_name("other"), releases)
    assert all(frame.equals(everything(home)[name]) for name, frame in everything(home.with_name("other")).items())
    assert rows(home, Bid).height == 10


def test_the_same_releases_again_change_nothing_in_whatever_form(home: Path) -> None:
    releases = [release(number) for number in range(5)]
    load(home, [*releases, {"id": "bad"}])
    before, held = versions(home), everything(home)

    again = load(home, {"releases": releases}, "package.json", days=1)
    copy = load(home, [*releases, {"id": "bad"}], days=2)

    assert (again.counts, copy.counts) == (Counts(5, 0, 5), Counts(6, 0, 5, 0, 1))
    assert versions(home) == before
    assert all(frame.equals(held[name]) for name, frame in everything(home).items())
    assert Quarantine(home).list().height == 1


def test_a_second_copy_within_a_file_is_unchanged(home: Path) -> None:
    assert load(home, [release(1), release(1), release(2)]).counts == Counts(3, 2, 1)
    assert load(home, [{"id": "x"}, {"id": "x"}]).counts == Counts(2, 0, 0, 0, 2)


def test_another_declaration_loads_the_same_releases_anew(home: Path) -> None:
    load(home, [release(1)])

    loaded = load(home, [release(1)], given=publishers(bids_published="ranked_candidates"), days=1)

    assert loaded.counts == Counts(1, 1)
    assert column(home, Lot, "bids_complete") == [False]
    assert set(column(home, Bid, "status")) == {"candidate"}


UNDATED = release(1) | {"date": "soon"}
GIVEN = st.lists(
    st.one_of(
        st.builds(
            lambda number, day, names, whole: (compiled if whole else dict)(
                release(number, day=day, bids=[bid(name) for name in names])
            ),
            st.integers(1, 3),
            st.integers(1, 4),
            st.lists(st.sampled_from(["甲公司", "乙公司", "丙公司"]), max_size=3, unique=True),
            st.booleans(),
        ),
        st.sampled_from([{"ocid": "bad"}, {"id": "no ocid"}, [5], UNDATED, release(2, day=9, tender=None)]),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(GIVEN, st.integers(1, 4))
def test_every_release_has_one_fate_and_batches_of_any_size_give_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, content: list[Any], size: int
) -> None:
    homes = [tmp_path_factory.mktemp("one") / "home", tmp_path_factory.mktemp("many") / "home"]
    first = load(homes[0], content)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ocds, "BATCH_RELEASES", size)
        load(homes[1], content)

    again = load(homes[0], content, days=1)

    assert first.counts.read == len(content)
    assert again.counts.unchanged + again.counts.quarantined == len(content)
    for table in (Bid, Lot, Tender):
        assert rows(homes[0], table).equals(rows(homes[1], table))


# -- merging -----------------------------------------------------------------------------------------------------


def test_a_later_compiled_release_takes_back_what_it_no_longer_holds(home: Path) -> None:
    load(home, [compiled(release(1)), compiled(release(2))])

    later = load(home, [compiled(release(1, day=2, bids=[bid("乙公司", 900)]))], days=1)

    assert later.counts == Counts(1, 1)
    assert column(home, Bid, "bid_id") == [
        "ocds-abc123-1/bid/b-乙公司",
        "ocds-abc123-2/bid/b-乙公司",
        "ocds-abc123-2/bid/b-甲公司",
    ]
    assert str(column(home, Bid, "bid_price")[0]) == "900.00"
    known_before = TableStore(home).read(Bid, MOMENT).collect()
    assert known_before.height == 4


def test_an_older_compiled_release_is_superseded_and_an_older_partial_one_is_merged(home: Path) -> None:
    load(home, [compiled(release(1, day=5)), release(2, day=5, bids=[bid("甲公司")])])
    before = versions(home)

    assert load(home, [compiled(release(1, day=4, bids=[]))]).counts == Counts(1, 0, 0, 1)
    assert versions(home) == before
    assert load(home, [release(2, day=4, bids=[bid("乙公司")])]).counts == Counts(1, 1)
    assert column(home, Bid, "bid_id")[2:] == ["ocds-abc123-2/bid/b-乙公司", "ocds-abc123-2/bid/b-甲公司"]
    again = load(home, [compiled(release(1, day=4, bids=[])), release(2, day=4, bids=[bid("乙公司")])])
    assert again.counts == Counts(2, 0, 2)


def test_releases_of_one_process_add_up_in_one_file_whatever_their_order(home: Path) -> None:
    award = {
        "ocid": "ocds-abc123-1",
        "id": "a",
        "date": "2026-01-09T00:00:00Z",
        "tag": ["award"],
        "awards": [{"id": "W", "status": "active", "suppliers": [{"id": "甲公司", "name": "甲公司"}]}],
    }

    assert load(home, [award, release(1)]).counts == Counts(2, 2)
    assert column(home, Award, "bid_id") == ["ocds-abc123-1/bid/b-甲公司"]


def test_an_award_before_its_tender_loads_and_what_it_could_not_say_is_taken_with_the_tender(home: Path) -> None:
    winner = {"id": "W", "status": "active", "suppliers": [{"id": "甲公司", "name": "甲公司"}], "relatedLots": ["B"]}
    award = release(1, day=3, tender=None, bids=[]) | {"awards": [winner]}
    lots = {"title": "道路", "mainProcurementCategory": "works", "lots": [{"id": "A"}, {"id": "B"}]}
    first = load(home, [award])
    assert (first.counts, column(home, Award, "award_id")) == (Counts(1, 1), ["ocds-abc123-1/award/W"])
    several = release(2, day=3, tender=None, bids=[]) | {"awards": [{**winner, "relatedLots": ["B", "A"]}]}
    assert load(home, [several | {"tender": {"lots": [{"id": "A"}, {"id": "C"}]}}]).rows == 1

    load(home, [release(1, tender=lots, bids=[]), release(2, day=4, tender=lots, bids=[])], days=1)

    assert Quarantine(home).list().is_empty()
    assert len(column(home, Award, "award_id")) == 3


def test_a_release_that_contradicts_the_known_ones_is_refused_alone(home: Path) -> None:
    load(home, [release(1), release(2)])
    wrong = release(1, day=2) | {"tender": [{"id": "x"}]}

    loaded = load(home, [wrong, release(1, day=3, bids=[bid("丙公司")]), release(2, day=2)], days=1)

    assert loaded.counts == Counts(3, 2, 0, 0, 1)
    assert reasons(home) == [("release", "", "not_mergeable")]
    assert rows(home, Bid).height == 5


# -- what is refused ---------------------------------------------------------------------------------------------


def test_a_bad_bid_goes_to_quarantine_and_its_release_loads(home: Path) -> None:
    bids = [bid("甲公司", "12.5万元"), bid("乙公司", "下浮率 5%"), {"id": "x"}, bid("丙公司", "-5"), bid("丁公司", 99)]

    assert load(home, [release(1, bids=bids)]) == Loaded(Counts(1, 1), 1, 2)

    prices = dict(rows(home, Bid).select("bid_id", pl.col("bid_price").cast(pl.String)).rows())
    assert prices == {
        "ocds-abc123-1/bid/b-甲公司": "125000.00",
        "ocds-abc123-1/bid/b-乙公司": None,
        "ocds-abc123-1/bid/b-丙公司": None,
        "ocds-abc123-1/bid/b-丁公司": "99.00",
    }
    assert reasons(home) == [
        ("row", "bids.details[2].tenderers", "no_tenderer"),
        ("value", "bids.details[1].value", "rate"),
        ("value", "bids.details[3].value", "negative_amount"),
    ]
    kept = Quarantine(home).list().get_column("mend").to_list()
    assert all(kept)


def test_truncated_and_mis_encoded_files_lose_only_what_cannot_be_read(home: Path) -> None:
    lines = [json.dumps(release(number), ensure_ascii=False) for number in range(1, 5)]
    mixed = [lines[0].encode(), lines[1].encode("gb18030"), lines[2].encode(), lines[3].encode()[:-20]]

    assert load(home, b"\n".join(mixed)).counts == Counts(4, 2, 0, 0, 2)
    assert [reason for _, _, reason in reasons(home)] == ["not_utf8", "truncated"]
    assert load(home, "\n".join(lines).encode(), days=1).counts == Counts(4, 2, 2)


def test_a_correction_settles_the_refused_parts_of_its_process(home: Path) -> None:
    load(
        home, [compiled(release(1, bids=[bid("甲公司", "5%"), {"id": "x"}])), compiled(release(2, bids=[{"id": "y"}]))]
    )
    assert Quarantine(home).list().height == 3
    load(home, [compiled(release(1, day=2, bids=[bid("甲公司", 950)]))], days=1)

    assert Quarantine(home).list().get_column("record").to_list() == ["ocds-abc123-2"]


def test_dirty_names_consortia_and_currencies_reach_the_tables_clean(home: Path) -> None:
    bids = [
        bid("宜昌（湖北）建设 有限公司"),
        bid(" 宜昌(湖北)建设有限公司\u3000"),
        bid("甲公司、乙公司联合体"),
        bid("丙公司", value={"amount": 5, "currency": "USD"}),
    ]
    load(home, [release(1, bids=bids, tender=release(1)["tender"] | {"value": {"amount": 9, "currency": "CNY"}})])

    names = column(home, Organisation, "name")
    assert sorted(names) == sorted(["宜昌(湖北)建设有限公司", "甲公司", "乙公司", "丙公司", "业主"])
    assert column(home, Lot, "currency") == ["CNY"]
    together = rows(home, Bid).filter("is_consortium").get_column("consortium_org_ids").to_list()
    assert [len(json.loads(one)) for one in together] == [2]
    assert ("row", "bids.details[3].value", "currency_differs") in reasons(home)


# -- beside other sources ----------------------------------------------------------------------------------------


def test_what_other_sources_know_of_an_organisation_or_region_is_kept(home: Path) -> None:
    folder = home.parent / "delivery"
    folder.mkdir()
    (folder / "region.csv").write_text("region_code,name,level\n420500,宜昌,city\n", encoding="utf-8")
    (folder / "organisation.csv").write_text(f"org_id,uscc,name,ownership\nO1,{USCC},国企公司,soe\n", encoding="utf-8")
    load_tables(home, folder, loaded_at=MOMENT)
    coded = bid("x") | {"tenderers": [{"id": f"CN-USCC-{USCC}", "name": "国企"}]}

    load(home, [release(1, bids=[coded])], given=publishers(region_code="420500"), days=1)

    assert column(home, Region, "name") == ["宜昌"]
    known = rows(home, Organisation).filter(pl.col("uscc") == USCC).row(0, named=True)
    assert (known["name"], known["ownership"]) == ("国企公司", "soe")
    assert column(home, Bid, "bidder_org_id") == ["O1"]


def test_only_one_load_at_a_time_writes_into_a_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filelock.FileLock.acquire", _busy)

    with pytest.raises(StoreError, match="another process"):
        load(home, [release(1)])


def _busy(*_: object, **__: object) -> None:
    raise Timeout("locked")


# -- commands ----------------------------------------------------------------------------------------------------


def test_the_command_accounts_for_every_release(home: Path) -> None:
    path = home.parent / "f.jsonl"
    path.write_text("".join(json.dumps(release(n)) + "\n" for n in range(3)) + "{}\n", encoding="utf-8")

    result = run(ingest_app, "ocds", str(path), "--home", str(home), "--format", "json", "--bids-published", "all")

    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert [name for name in ACCOUNT if name not in printed] == []
    assert (printed["source"], printed["read"], printed["loaded"], printed["quarantined"]) == ("ocds", 4, 3, 1)
    assert column(home, Lot, "bids_complete") == [True, True, True]
    csv_text = run(ingest_app, "ocds", str(path), "--home", str(home), "--format", "csv").stdout.splitlines()
    assert csv_text[0].startswith("source,read,loaded")
    assert "quarantined" in run(ingest_app, "ocds", str(path), "--home", str(home)).stdout


def test_a_file_that_is_not_there_is_an_error_with_its_mend(home: Path) -> None:
    result = run(ingest_app, "ocds", str(home / "absent"), "--home", str(home))

    assert result.exit_code == 1
    assert isinstance(result.exception, InputError)


def test_a_load_points_to_what_it_refused(home: Path) -> None:
    path = home.parent / "releases.jsonl"
    path.write_text(json.dumps(release(1, bids=[bid("甲公司", "5%")]), ensure_ascii=False), encoding="utf-8")

    last = run(ingest_app, "ocds", str(path), "--home", str(home)).stdout.splitlines()[-1]

    assert last.startswith("1 quarantined: smoke quarantine list")


def test_the_quarantine_is_listed_shown_and_replayed(home: Path) -> None:
    wrong = release(1) | {"ocid": None, "parties": [{"id": "p", "contactPoint": {"name": "王某"}}]}
    load(home, [wrong, release(2, bids=[bid("甲公司", "5%")])])
    at = ("--home", str(home))

    listed = json.loads(run(quarantine_app, "list", *at, "--format", "json").stdout)
    by_reason = {entry["reason"]: entry for entry in listed}
    assert set(by_reason) == {"wrong_shape", "rate"}
    assert by_reason["rate"]["value"] == "5% CNY"
    one = by_reason["wrong_shape"]["id"]
    summary = json.loads(run(quarantine_app, "list", *at, "--summary", "--format", "json").stdout)
    assert sorted((row["reason"], row["count"]) for row in summary) == [("rate", 1), ("wrong_shape", 1)]
    assert run(quarantine_app, "list", *at, "--format", "csv").stdout.count("\n") == 3
    assert one in run(quarantine_app, "list", *at).stdout

    shown = run(quarantine_app, "show", one, *at).stdout
    assert ["raw_complete", "true"] in [line.split() for line in shown.splitlines()]
    assert "王某" not in shown
    assert "道路" in shown

    assert json.loads(run(quarantine_app, "replay", "--id", one, *at, "--format", "json").stdout)["taken"] == 0
    again = run(quarantine_app, "replay", "--all", *at, "--format", "json")
    assert {name: json.loads(again.stdout)[name] for name in ("replayed", "taken", "refused")} == {
        "replayed": 2,
        "taken": 0,
        "refused": 2,
    }
    assert column(home, Tender, "title") == ["道路工程2"]


def test_a_mended_record_is_loaded_in_place_of_the_kept_one(home: Path) -> None:
    load(home, json.dumps(release(1), ensure_ascii=False).encode("gb18030"))
    [entry] = Quarantine(home).list().get_column("id").to_list()
    mended = home.parent / "mended.json"
    mended.write_text(json.dumps(release(1), ensure_ascii=False), encoding="utf-8")

    result = run(quarantine_app, "replay", "--id", entry, "--mended", str(mended), "--home", str(home))

    assert result.exit_code == 0
    assert rows(home, Tender).height == 1
    assert Quarantine(home).list().is_empty()


@pytest.mark.parametrize("arguments", [[], ["--id", "x"], ["--all", "--id", "x"], ["--all", "--mended", "x"]])
def test_a_replay_that_cannot_be_meant_is_refused(home: Path, arguments: list[str]) -> None:
    result = run(quarantine_app, "replay", *arguments, "--home", str(home))

    assert result.exit_code == 1
    assert isinstance(result.exception, InputError)


def test_a_mended_record_that_is_not_there_and_one_that_is_no_json_are_told_apart(home: Path) -> None:
    load(home, json.dumps(release(1), ensure_ascii=False).encode("gb18030"))
    [entry] = Quarantine(home).list().get_column("id").to_list()
    mended = home.parent / "mended.json"
    arguments = ["replay", "--id", entry, "--mended", str(mended), "--home", str(home)]

    missing = run(quarantine_app, *arguments)
    mended.write_text("{", encoding="utf-8")
    broken = run(quarantine_app, *arguments)

    assert f"There is no file {mended}." in str(missing.exception)
    assert "no JSON file in UTF-8" in str(broken.exception)


def test_rows_of_contract_files_are_replayed_too(home: Path) -> None:
    folder = home.parent / "delivery"
    folder.mkdir()
    (folder / "organisation.csv").write_text("org_id,name,region_code\nO1,One,420500\n", encoding="utf-8")
    load_tables(home, folder, loaded_at=MOMENT)
    load(home, [release(1)], given=publishers(region_code="420500"))

    result = run(quarantine_app, "replay", "--all", "--home", str(home), "--format", "json")

    assert json.loads(result.stdout)["taken"] == 1
    assert "O1" in column(home, Organisation, "org_id")


def test_many_batches_in_any_order_of_releases_give_the_same_rows(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocds, "BATCH_RELEASES", 7)
    releases = [
        release(number, day=day, bids=[bid("甲公司", 100 * day), bid(f"{day}公司", day)])
        for number in range(12)
        for day in (1, 2, 3)
    ]
    random.Random(3).shuffle(releases)
    load(home, releases)
    other = home.with_name("other")

    load(other, sorted(releases, key=lambda one: (one["date"], one["ocid"])))

    assert all(frame.equals(everything(home)[name]) for name, frame in everything(other).items())
