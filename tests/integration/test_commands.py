"""The commands as a user types them, over the shipped auctions."""

import csv
import io
import json
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.main import get_command

import smoke
from features.clock import now
from features.tables.results import IndicatorValue, SmokeIndex
from features.tables.store import TableStore, TableWriter
from features.tables.tendering import Award, Bid
from tests.conftest import TSUCHIURA

AS_OF = "2015-12-31"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = smoke.run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    monkeypatch.setenv("COLUMNS", "200")
    return call


@pytest.fixture
def home(tsuchiura_home: Path, tmp_path: Path) -> Path:
    """A home of this test's own."""
    return Path(shutil.copytree(tsuchiura_home, tmp_path / "home"))


def test_the_catalogue_lists_84_all_built(run: Run) -> None:
    code, out, _ = run("indicators", "list", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))

    assert (code, len(rows)) == (0, 84)
    assert list(rows[0]) == ["id", "code", "name_zh", "analysis", "severity", "state"]
    assert {row["state"] for row in rows} == {"built"}
    assert len(json.loads(run("indicators", "list", "--format", "json")[1])) == 84


def test_an_indicator_is_shown_with_law_rule_and_caution(run: Run) -> None:
    code, out, _ = run("indicators", "show", "SI-022")

    assert code == 0
    for part in ("报价离散系数过低", "招标投标法实施条例 第40条", "变异系数不超过 2%", "caution"):
        assert part in out


def test_a_run_counts_the_three_answers(run: Run, tsuchiura_home: Path) -> None:
    code, out, _ = run("indicators", "run", "--as-of", AS_OF, "--format", "json", "--home", tsuchiura_home)

    rows = json.loads(out)
    assert code == 0
    # The shipped auctions tell of bids and awards; no contract, payment or site is known.
    assert {"SI-001", "SI-022", "SI-034"} <= {row["id"] for row in rows}
    assert all(row["fired"] + row["clear"] + row["not_assessable"] == row["subjects"] for row in rows)


def test_a_build_is_kept_once_and_exported(run: Run, home: Path, tmp_path: Path) -> None:
    first, again = run("build", "--as-of", AS_OF, "--home", home), run("build", "--as-of", AS_OF, "--home", home)
    out = tmp_path / "values.parquet"
    assert run("export", "indicator_value", "--as-of", AS_OF, "--out", out, "--home", home)[0] == 0

    assert (first[0], again[0]) == (0, 0)
    assert "already built" in again[1]
    exported = pl.read_parquet(out)
    assert exported.columns == IndicatorValue.column_names()
    assert TableStore(home).versions(IndicatorValue).collect().height == exported.height


def test_scores_have_the_columns_of_the_index_and_are_kept_once(run: Run, home: Path, tmp_path: Path) -> None:
    scores = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    for out in scores:
        assert run("score", "--as-of", AS_OF, "--out", out, "--home", home)[0] == 0

    first, second = (pl.read_parquet(out) for out in scores)
    assert first.equals(second)
    assert first.columns == SmokeIndex.column_names()
    assert TableStore(home).versions(SmokeIndex).collect().height == first.height


def test_a_replay_sees_only_what_was_loaded_by_then_and_keeps_nothing(run: Run, home: Path, tmp_path: Path) -> None:
    out = tmp_path / "before.parquet"
    code, *_ = run("score", "--as-of", AS_OF, "--known-at", "2025-12-31", "--out", out, "--home", home)

    assert code == 0
    assert pl.read_parquet(out).is_empty()
    assert not TableStore(home).exists(SmokeIndex)


def test_an_explanation_shows_points_evidence_and_law(run: Run, tsuchiura_home: Path) -> None:
    code, out, _ = run("explain", "lot:tsu-1696", "--as-of", AS_OF, "--home", tsuchiura_home)

    assert code == 0
    for part in ("冒烟指数 91.7", "资料不足", "招标投标法实施条例", "bid tsu-1696/bid/1", "无法评估"):
        assert part in out
    told = json.loads(run("explain", "lot:tsu-1696", "--as-of", AS_OF, "--format", "json", "--home", tsuchiura_home)[1])
    assert sum(line["points"] for line in told["contributions"]) == pytest.approx(told["score"], abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["indicators", "show", "SI-085"], "SI-085"),
        (["indicators", "run", "--as-of", AS_OF, "--id", "SI-100"], "SI-100"),
        (["score", "--as-of", "yesterday"], "yesterday"),
        (["explain", "boat:1"], "boat:1"),
        (["explain", "lot:no-such-lot", "--as-of", AS_OF], "no-such-lot"),
        (["export", "boats"], "boats"),
        (["build", "--as-of", "2015-13-01"], "2015-13-01"),
        (["score", "--as-of", AS_OF, "--types", "lot,boat"], "boat"),
        (["score", "--as-of", AS_OF, "--out", "scores.xlsx"], "scores.xlsx"),
        (["score", "--as-of", AS_OF, "--out", "no/such/folder/s.csv"], "s.csv"),
        (["export", "bid", "--as-of", AS_OF], "bid"),
        (["serve", "--port", "99999"], "99999"),
    ],
)
def test_what_a_user_can_mend_is_one_line_with_the_value_and_the_mend(
    run: Run, tsuchiura_home: Path, arguments: list[str], named: str
) -> None:
    if arguments[0] != "indicators" or arguments[1] == "run":
        arguments = [*arguments, "--home", str(tsuchiura_home)]
    code, _, err = run(*arguments)

    assert code == 1
    [line] = err.strip().splitlines()
    assert named in line
    assert "Mend: " in line


def groups_and_commands(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    yield path
    for name, part in getattr(command, "commands", {}).items():
        yield from groups_and_commands(part, *path, name)


@pytest.mark.parametrize("name", smoke.COMMANDS)
def test_every_group_and_every_command_has_help_with_an_example(run: Run, name: str) -> None:
    _, *paths = groups_and_commands(get_command(smoke.application(name)))
    told = {path: run(*path, "--help") for path in paths}

    assert (name,) in told
    assert [path for path, (code, out, _) in told.items() if code != 0 or "Example: smoke " not in out] == []


def test_the_overview_has_an_example(run: Run) -> None:
    assert "Example: smoke " in run("--help")[1]


@pytest.mark.parametrize("command", ["build", "score", "indicators run"])
def test_a_home_without_tables_is_said_to_have_none(run: Run, tmp_path: Path, command: str) -> None:
    code, _, err = run(*command.split(), "--as-of", AS_OF, "--home", tmp_path / "mistyped")

    assert (code, "holds no tables" in err, "Mend: " in err) == (1, True, True)
    assert not (tmp_path / "mistyped").exists()


def test_a_port_that_is_taken_is_one_line(run: Run, tsuchiura_home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, _, err = run("serve", "--port", port, "--home", tsuchiura_home)

    assert (code, port in err, "Mend: " in err) == (1, True, True)


def test_what_the_disk_refuses_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, err = run("ingest", "tables", TSUCHIURA, "--home", tmp_path / "file")

    assert (code, len(err.strip().splitlines()), "Mend: " in err) == (1, 1, True)


def test_a_subject_that_is_gone_is_taken_out_of_the_index(run: Run, home: Path, tmp_path: Path) -> None:
    def score() -> pl.DataFrame:
        out = tmp_path / "scores.parquet"
        assert run("score", "--as-of", AS_OF, "--types", "lot", "--out", out, "--home", home)[0] == 0
        return pl.read_parquet(out)

    before = score()
    store = TableStore(home)
    bid = store.read(Bid).filter(pl.col("lot_id") == "tsu-1696").collect()
    withdrawn = bid.with_columns(status=pl.lit("withdrawn").cast(bid.schema["status"]), source_record_id="bid_id")
    with store.writing():
        TableWriter(store, Bid, now(), "S01").upsert(withdrawn)
        gone = store.read(Award).filter(pl.col("lot_id") == "tsu-1696").collect()
        invalid = pl.lit("invalidated").cast(gone.schema["status"])
        TableWriter(store, Award, now(), "S01").upsert(
            gone.with_columns(status=invalid, source_record_id=pl.lit("award"))
        )

    assert score().height == before.height - 1
    kept = store.read(SmokeIndex).collect()
    assert kept.height == before.height - 1
    assert "tsu-1696" not in kept["subject_id"]


def test_an_unknown_command_is_named(run: Run) -> None:
    code, _, err = run("sing")

    assert (code, "sing" in err) == (2, True)
