"""The command of the simulated city: what it writes is what happened, twice the same, with every kind of dirt."""

import csv
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pyarrow.parquet as pq
import pytest

from experiments.city.__main__ import main
from experiments.city.city import blocks
from experiments.city.dirt import RATES
from experiments.city.execution import execute, facts_of
from experiments.city.facts import Facts
from experiments.city.feeds import FEEDS
from experiments.city.headings import UPDATED_AT, headings
from experiments.city.people import Roster
from experiments.city.population import population
from experiments.city.registry import registry
from experiments.city.shelf import element

SEED = 3


@cache
def records(file: Path) -> list[dict[str, Any]]:
    """Read a delivered file with what others use to read such files."""
    match file.suffix:
        case ".csv":
            text = file.read_bytes().decode("utf-8" if file.parent.name == "S07" else "gb18030")
            return list(csv.DictReader(io.StringIO(text, newline="")))
        case ".jsonl":
            return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        case ".json":
            document = json.loads(file.read_text(encoding="utf-8"))
            assert document["total"] == len(document["data"])
            return document["data"]
        case ".xml":
            return [{cell.tag: cell.text for cell in record} for record in ElementTree.parse(file).getroot()]
        case ".parquet":
            return pq.read_table(file).to_pylist()
        case _:
            return list(sheet(file))


def sheet(file: Path) -> Iterator[dict[str, str | None]]:
    """Read the one sheet of a workbook from its XML."""
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(file) as book:
        root = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    lines = root.iter(f"{space}row")
    rows = [{re.sub(r"\d", "", cell.attrib["r"]): "".join(cell.itertext()) for cell in line} for line in lines]
    names = rows[0]
    for row in rows[1:]:
        yield {name: row.get(column) for column, name in names.items()}


def delivered(out: Path, folder: str) -> list[dict[str, Any]]:
    source, feed = folder.split("/")
    files = [f for f in (out / "deliveries" / source).iterdir() if re.fullmatch(rf"{feed}-\d{{6}}\.\w+", f.name)]
    return [record for file in sorted(files) for record in records(file)]


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a city of 200 projects as it is delivered."""
    out = tmp_path_factory.mktemp("dirty")
    main(["--projects", "200", "--seed", str(SEED), "--attendance-days", "15", "--out", str(out)])
    return out


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a city of 120 projects without dirt."""
    out = tmp_path_factory.mktemp("clean")
    main(["--projects", "120", "--seed", str(SEED), "--attendance-days", "5", "--no-dirt", "--out", str(out)])
    return out


@pytest.fixture(scope="module")
def happened() -> Facts:
    """Return the facts of the city of 120 projects."""
    people = population(SEED, 120)
    found: dict[str, list[pl.DataFrame]] = {}
    for name, frame in registry(people).items():
        found.setdefault(name, []).append(frame)
    for number, facts in enumerate(blocks(people, SEED, 120)):
        for name, frame in facts.items():
            found.setdefault(name, []).append(frame)
        for name, frame in execute(facts, people, Roster.of(people), number, 5):
            found.setdefault(name, []).append(facts_of(name, frame))
    return {name: pl.concat(frames, how="diagonal") for name, frames in found.items()}


def test_the_manifest_counts_what_stands_in_the_files(dirty: Path) -> None:
    manifest = json.loads((dirty / "manifest.json").read_text(encoding="utf-8"))
    read = {str(f.relative_to(dirty / "deliveries")): len(records(f)) for f in (dirty / "deliveries").rglob("*.*")}

    assert read == manifest["files"]
    assert sum(read.values()) == manifest["records"] == sum(manifest["sources"].values())
    assert set(manifest["sources"]) == {f"S{n:02}" for n in range(1, 13)} | {"P00"}
    assert manifest["order"]["seed"] == SEED
    missing = {f.folder for f in FEEDS} - set(manifest["feeds"])
    assert {name.split("/")[1] for name in missing} <= {
        "complaint",
        "sanction",
        "label_feedback",
    }  # rare in a small city


def test_every_file_has_the_headings_of_its_feed_and_the_month_in_its_name(clean: Path) -> None:
    named = {f.folder: {h.name for h in headings(f)} | {UPDATED_AT} for f in FEEDS}
    for file in sorted((clean / "deliveries").rglob("*.*")):
        feed = f"{file.parent.name}/{file.name.rsplit('-', 1)[0]}"
        wanted = {element(n) for n in named[feed]} if file.suffix == ".xml" else named[feed]
        assert all(set(record) == wanted for record in records(file)), file.name
        month = file.stem.rsplit("-", 1)[1]
        assert 202201 <= int(month) <= 202512


def test_what_is_delivered_is_what_happened(clean: Path, happened: Facts) -> None:
    payments = delivered(clean, "S07/payment")
    paid = sum(round(float(r["支付金额(元)"] or 0) * 100) for r in payments)
    known = happened["payment"].join(
        happened["project"].drop_nulls("project_code"), on="project_id", how="semi", maintain_order="left"
    )
    assert paid == round(known["paid_amount"].sum() * 100)
    assert Counter(r["拨付编号"] for r in payments) == Counter(known["payment_id"])

    bids = delivered(clean, "S01/bid") + delivered(clean, "S06/bid")
    assert Counter(r["投标编号"] for r in bids) == Counter(happened["bid"]["bid_id"])
    prices = sum(round(float(r["投标报价(元)"] or 0) * 100) for r in bids)
    assert prices == round(happened["bid"]["bid_price"].sum() * 100)

    settled = delivered(clean, "S12/settlement_audit")
    asked = {r["结算编号"]: float(r["送审金额(万元)"]) for r in settled}
    for row in happened["settlement_audit"].iter_rows(named=True):
        if row["settlement_id"] in asked:
            assert asked[row["settlement_id"]] * 10_000 == pytest.approx(row["submitted_amount"])
    assert asked

    progress = {r["月报编号"]: r["实际累计进度(%)"] / 100 for r in delivered(clean, "S02/progress_report")}
    roads = {r["月报编号"]: float(r["实际累计进度"]) for r in delivered(clean, "S09/progress_report")}
    told = dict(happened["progress_report"].select("progress_id", "actual_pct").iter_rows())
    assert {**progress, **roads} == pytest.approx({k: told[k] for k in {**progress, **roads}})
    assert progress
    assert roads


def test_names_and_codes_belong_together(clean: Path) -> None:
    people = population(SEED, 120)
    named = dict(people.organisations.select("uscc", "name").iter_rows())
    for record in delivered(clean, "P00/contract"):
        assert named[record["承包人统一社会信用代码"]] == record["承包人名称"]
    persons = dict(people.persons.select("id_no", "name").iter_rows())
    for record in delivered(clean, "P00/attendance"):
        assert persons[record["人员身份证号"]] == record["人员姓名"]


def test_every_reference_is_delivered_somewhere(clean: Path) -> None:
    contracts = {r["合同编号"] for r in delivered(clean, "P00/contract")}
    lots = {r["标段编号"] for source in ("S01", "S06") for r in delivered(clean, f"{source}/lot")}
    projects = {r["投资项目统一代码"] for r in delivered(clean, "S05/project")}
    for feed in FEEDS:
        if (clean / "deliveries" / feed.source).exists():
            for record in delivered(clean, feed.folder):
                assert record.get("合同编号") in contracts | {None, ""}, feed.folder
                assert record.get("标段编号") in lots | {None, ""}, feed.folder
                if feed.source != "P00":
                    assert record.get("投资项目统一代码") in projects | {None, ""}, feed.folder


def test_dirt_of_every_kind_is_listed_and_lies_where_the_list_says(dirty: Path) -> None:
    with (dirty / "truth" / "dirt.csv").open(encoding="utf-8", newline="") as lines:
        cases = list(csv.DictReader(lines))
    kinds = Counter(case["kind"] for case in cases)
    assert all(kinds[kind] >= 3 for kind in RATES), kinds
    assert kinds["outage"] >= 1
    assert {case["expected_end"] for case in cases} == {"loaded", "unchanged", "superseded", "quarantined"}

    found: dict[str, Counter[str]] = {}
    for case in cases:
        if case["kind"] == "outage":
            continue
        name = f"{case['source']}/{case['file']}"
        if name not in found:
            cells = (str(v) for r in records(dirty / "deliveries" / name) for v in r.values())
            found[name] = Counter(cells)
        assert found[name][case["record_id"]] >= 1, case


def test_duplicates_are_the_same_record_twice(dirty: Path) -> None:
    with (dirty / "truth" / "dirt.csv").open(encoding="utf-8", newline="") as lines:
        ids = {c["record_id"] for c in csv.DictReader(lines) if (c["feed"], c["kind"]) == ("payment", "duplicate")}
    twice = [r for r in delivered(dirty, "S07/payment") if r["拨付编号"] in ids]

    assert len(ids) >= 2
    assert len(twice) == 2 * len(ids)
    assert len({tuple(r.values()) for r in twice}) == len(ids)


def test_records_of_the_week_without_service_come_with_the_next_delivery(dirty: Path) -> None:
    week = re.compile(r"2024-05-(2[7-9]|3[01])")
    months = (dirty / "deliveries" / "S10" / f"worker_day-{month}.parquet" for month in (202405, 202406))
    early, late = ([r for r in records(file) if week.match(str(r["更新时间"]))] for file in months)

    assert late
    assert not early


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    formats = "P00,S01,S03,S05,S10,S11"
    for name, seed, sources in (("one", 1, formats), ("two", 1, formats), ("three", 2, "S11")):
        asked = ["--projects", "30", "--seed", str(seed), "--attendance-days", "3", "--sources", sources]
        main([*asked, "--out", str(tmp_path / name)])

    def contents(name: str) -> dict[str, bytes]:
        return {str(f.relative_to(tmp_path / name)): f.read_bytes() for f in (tmp_path / name).rglob("*.*")}

    one, two = contents("one"), contents("two")
    assert set(one) == set(two)
    assert [name for name in one if one[name] != two[name]] == []
    assert (
        one["deliveries/S11/organisation-202211.json"] != contents("three")["deliveries/S11/organisation-202211.json"]
    )


def test_sources_can_be_chosen_and_the_others_change_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, more in (("all", ["--sources", "S07,P00,S11"]), ("two", ["--sources", "s07,P00"])):
        main(["--projects", "30", "--attendance-days", "3", "--out", str(tmp_path / name), *more])

    assert {p.name for p in (tmp_path / "two" / "deliveries").iterdir()} == {"S07", "P00"}
    for file in (tmp_path / "two" / "deliveries").rglob("*.csv"):
        assert file.read_bytes() == (tmp_path / "all" / file.relative_to(tmp_path / "two")).read_bytes()
    told = capsys.readouterr()
    assert told.out == ""
    assert "30 of 30 projects" in told.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "x", "--projects", "0"], "0 is not at least 1"),
        (["--out", "x", "--sources", "S99"], "unknown source S99"),
        ([], "--out"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)

    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_a_city_is_replaced_and_anything_else_is_left_alone(tmp_path: Path) -> None:
    small = ["--projects", "3", "--sources", "S07", "--out", str(tmp_path)]
    main([*small, "--seed", "1"])
    stale = tmp_path / "deliveries" / "S07" / "payment-201001.csv"
    stale.write_text("of another city", encoding="utf-8")

    main([*small, "--seed", "2"])

    assert not stale.exists()
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(SystemExit) as stop:
        main([*small, "--seed", "1"])
    assert "Mend: give another --out" in str(stop.value.code)
    assert (tmp_path / "truth" / "dirt.csv").exists()


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])

    assert "python -m experiments.city --projects 200" in capsys.readouterr().out
