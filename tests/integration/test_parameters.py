"""Changing a parameter takes two people, counts from then on, and shows in what is measured and said."""

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest

import smoke
from features.assessment.parameters import changed, with_changes
from features.build import indicator_values
from features.clock import SHANGHAI, now
from features.errors import CatalogueError
from features.indicators.catalogue import entries_by_id
from features.ingest.tables import load_tables
from features.parameters import approve as approve_change
from features.parameters import changes
from features.parameters import propose as propose_change
from features.tables.reference import Param
from features.tables.source import SourceTables, read_source_tables
from features.tables.store import TableStore
from tests.worlds import days_ago, random_world

KEY = "SI-034.c_min"


def run(*arguments: str) -> int:
    return smoke.run(list(arguments))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def propose(home: Path, value: str, *more: str, key: str = KEY) -> int:
    return run("parameters", "propose", key, value, "--as", "wang", "--because", "小市场", "--home", str(home), *more)


def test_a_change_counts_once_another_has_approved_it_and_never_for_earlier_moments(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert propose(home, "6", "--from", "2020-01-01") == 0
    assert run("indicators", "show", "SI-034", "--home", str(home)) == 0
    assert '"c_min": 5' in capsys.readouterr().out
    assert run("parameters", "approve", KEY, "--as", "wang", "--home", str(home)) == 1
    assert "somebody else" in capsys.readouterr().err
    before = now()
    assert run("parameters", "approve", KEY, "--as", "li", "--home", str(home)) == 0

    assert run("indicators", "show", "SI-034", "--home", str(home)) == 0
    said = capsys.readouterr().out
    assert '"c_min": 6' in said
    assert "共同投标不少于 6 次" in said
    assert "wang" in said
    assert "li: 小市场" in said
    assert run("indicators", "show", "SI-034", "--as-of", before.isoformat(), "--home", str(home)) == 0
    assert '"c_min": 5' in capsys.readouterr().out
    assert run("parameters", "approve", KEY, "--as", "li", "--home", str(home)) == 1
    assert "No proposal" in capsys.readouterr().err


def test_only_the_latest_proposal_waits_and_the_list_tells_what_was_done(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert propose(home, "6") == propose(home, "7", "--from", "2030-01-01", "--until", "2031-01-01") == 0
    assert run("parameters", "approve", KEY, "--as", "li", "--home", str(home)) == 0
    assert propose(home, "10.0.0.0/8", key="LIST.ip_whitelist") == 0
    capsys.readouterr()

    assert run("parameters", "list", "--home", str(home), "--format", "json") == 0
    rows = json.loads(capsys.readouterr().out)

    told = [(row["param_key"], row["current_value"], row["default_value"], row["state"]) for row in rows]
    assert told[0] == (KEY, "7", "5", "approved")
    assert told[1][0].startswith("LIST.ip_whitelist.")
    assert told[1][1:] == ("10.0.0.0/8", "none", "proposed")
    assert (rows[0]["valid_from"][:10], rows[0]["valid_to"][:10]) == ("2030-01-01", "2031-01-01")


@pytest.mark.parametrize(
    ("key", "value", "more", "said"),
    [
        ("SI-034.nothing", "6", (), "no parameter"),
        ("SI-999.c_min", "6", (), "no parameter"),
        ("LIST.", "6", (), "no parameter"),
        ("LIST.ip_whitelist", "10.0.0", (), "neither address nor network"),
        (KEY, "many", (), "no value"),
        (KEY, "6.5", (), "no value"),
        (KEY, "-1", (), "SI-034.c_min. Mend: give a whole number from 0, such as 5"),
        ("SI-034.lift_min", "nan", (), "'nan' is no value"),
        ("SI-034.lift_min", "inf", (), "'inf' is no value"),
        ("SI-034.q_max", "1.01", (), "give a number from 0 to 1, such as 0.01"),
        ("SI-027.skew_low", "-inf", (), "give a number, such as -1.0"),
        (KEY, " ", (), "blank"),
        (KEY, "6", ("--from", "2030-01-01", "--until", "2030-01-01"), "before it counts"),
    ],
)
def test_what_cannot_be_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str], key: str, value: str, more: tuple[str, ...], said: str
) -> None:
    # What stands behind the two dashes is no option, even with a minus.
    given = ("--as", "wang", "--because", "小市场", "--home", str(home), *more, "--", key, value)
    assert run("parameters", "propose", *given) == 1
    assert said in " ".join(capsys.readouterr().err.split())


def test_values_are_measured_by_the_parameters_of_their_own_time(home: Path) -> None:
    key, store, day = "SI-001.n_awards_min", TableStore(home), days_ago(50)
    with store.writing():
        propose_change(store, key, "99", by="wang", because="试点", valid_from=day, valid_to=None, at=day)
        approve_change(store, key, by="li", at=day)
    world = random_world(3, 60).source()
    changed = SourceTables({**world.frames, "param": read_source_tables(store).frames["param"]})

    def answers(source: SourceTables, moment: dt.datetime) -> pl.DataFrame:
        return indicator_values(source, moment).filter(pl.col("indicator_id") == "SI-001")

    before = day - dt.timedelta(microseconds=1)
    assert answers(changed, before).equals(answers(world, before))
    assert answers(world, day).get_column("assessable").any()
    found = answers(changed, day)
    assert not found.get_column("assessable").any()
    assert json.loads(found.get_column("param_snapshot")[0])["n_awards_min"] == 99


def test_nobody_approves_a_change_of_their_own_in_another_spelling(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert propose(home, "6") == 0
    for spelling in ("Wang", " WANG ", " "):
        assert run("parameters", "approve", KEY, "--as", spelling, "--home", str(home)) == 1
        assert "somebody else" in capsys.readouterr().err


def test_a_change_that_ends_before_it_would_count_cannot_be_approved(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert propose(home, "6", "--from", "2020-01-01", "--until", "2020-06-01") == 0
    assert run("parameters", "approve", KEY, "--as", "li", "--home", str(home)) == 1
    assert "ends before it would count" in capsys.readouterr().err
    assert "approved" not in changes(TableStore(home)).get_column("state")


@pytest.mark.parametrize("value", ["-7", "0"])
def test_bounds_are_those_of_the_default(home: Path, value: str) -> None:
    store, moment = TableStore(home), now()
    with store.writing():
        for key, given in (("SI-027.skew_low", value), ("SI-056.over_ratio", "3"), ("SI-054.grow_min", "1.5")):
            propose_change(store, key, given, by="wang", because="试点", valid_from=moment, valid_to=None, at=moment)

    assert changes(store).get_column("current_value").to_list() == [value, "1.5", "3"]


HEADING = "param_key,default_value,current_value,changed_by,approved_by,valid_from,valid_to"
JANUARY, JULY, AUGUST, SEPTEMBER = (dt.datetime(2026, month, 1, tzinfo=SHANGHAI) for month in (1, 7, 8, 9))
OPEN = "2026-01-01T00:00:00+08:00,"


def load(home: Path, loaded_at: dt.datetime, *rows: str) -> None:
    folder = home.parent / f"{loaded_at:%m}"
    folder.mkdir()
    users = [f"{name},centre_city,R1,false,active" for name in ("wang", "li")]
    files = {
        "region": ["region_code,name,level", "R1,City,city"],
        "user_account": ["user_id,role_code,region_scope,mfa_enabled,status", *users],
        "param": [HEADING, *rows],
    }
    for name, lines in files.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    loaded = load_tables(home, folder, loaded_at=loaded_at)
    assert (loaded.tables["param"].loaded, loaded.problems) == (len(rows), [])


def counting(home: Path, at: dt.datetime, known_at: dt.datetime | None = None) -> str | None:
    return changed(read_source_tables(TableStore(home), known_at)[Param], at).get(KEY)


def test_a_loaded_change_never_counts_before_it_was_known_as_approved(home: Path) -> None:
    load(home, JULY, f"{KEY},5,6,wang,,{OPEN}")
    load(home, AUGUST, f"{KEY},5,6,wang,li,{OPEN}")

    assert [counting(home, at) for at in (JANUARY, JULY, AUGUST)] == [None, None, "6"]


def test_a_loaded_change_is_corrected_and_ended_by_its_own_row(home: Path) -> None:
    load(home, JULY, f"{KEY},5,6,wang,li,{OPEN}")
    load(home, AUGUST, f"{KEY},5,6,wang,li,{OPEN}2026-09-01T00:00:00+08:00")

    assert [counting(home, at) for at in (JANUARY, JULY, AUGUST, SEPTEMBER)] == [None, "6", "6", None]
    assert counting(home, SEPTEMBER, known_at=JULY) == "6"


def test_of_changes_that_came_to_be_known_together_the_one_that_says_the_later_day_counts(home: Path) -> None:
    store = TableStore(home)
    with store.writing():
        for value, month in (("8", 3), ("9", 2)):
            day = dt.datetime(2026, month, 1, tzinfo=SHANGHAI)
            propose_change(store, KEY, value, by="wang", because="试点", valid_from=day, valid_to=None, at=JULY)
        store.append(Param, store.versions(Param).with_columns(approved_by=pl.lit("li")).collect())

    assert counting(home, JULY) == "8"


def test_a_stored_value_that_does_not_read_is_mended_by_a_changed_row_of_its_instant(home: Path) -> None:
    entry = entries_by_id()["SI-034"]
    load(home, JULY, f"{KEY},5,nan,wang,li,{OPEN}")
    with pytest.raises(
        CatalogueError, match=r"SI-034\.c_min is 'nan'.*changed row of SI-034\.c_min with the same valid"
    ):
        with_changes(entry, {KEY: str(counting(home, JULY))})

    load(home, AUGUST, f"{KEY},5,7,wang,li,{OPEN}")

    assert with_changes(entry, {KEY: str(counting(home, JULY))}).params["c_min"] == 7
