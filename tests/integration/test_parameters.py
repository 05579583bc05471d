"""Changing a parameter takes two people, counts from then on, and shows in what is measured and said."""

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest

import smoke
from features.build import indicator_values
from features.clock import now
from features.parameters import approve as approve_change
from features.parameters import propose as propose_change
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
        (KEY, " ", (), "blank"),
        (KEY, "6", ("--from", "2030-01-01", "--until", "2030-01-01"), "before it counts"),
    ],
)
def test_what_cannot_be_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str], key: str, value: str, more: tuple[str, ...], said: str
) -> None:
    assert propose(home, value, *more, key=key) == 1
    assert said in capsys.readouterr().err


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
