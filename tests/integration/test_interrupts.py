"""Ctrl-C says that nothing is lost and what to do, and that is so."""

import sys
from pathlib import Path

import pytest

import smoke
from features.tables.store import TableStore
from features.tables.tendering import Bid
from tests.conftest import TSUCHIURA
from tests.killing import completed, interrupted_once

PATIENCE_SECONDS = 60
CODE = "import signal, smoke; signal.signal(signal.SIGINT, signal.default_int_handler); smoke.main()"
"""The command, heeding Ctrl-C even where the tests run in the background and have been told to ignore it."""


def test_an_interrupted_load_says_that_the_same_command_completes_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-c", CODE, "ingest", "tables", str(TSUCHIURA), "--home", str(home)]
    code, said = interrupted_once(
        lambda: any(home.glob("tables/*/_delta_log/*.json")), command, patience_seconds=PATIENCE_SECONDS
    )

    assert (code, len(said.splitlines())) == (130, 1)
    assert "Nothing is lost" in said
    assert "the same command, run again" in said

    counts = completed([*command, "--format", "json"])

    assert counts["read"] == counts["loaded"] + counts["unchanged"] == 12_540
    assert TableStore(home).read(Bid).collect().height == 6_013


@pytest.mark.parametrize(("name", "lines"), [("build", 1), ("serve", 0)])
def test_a_command_that_serves_ends_without_words(
    name: str, lines: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt(name)

    monkeypatch.setattr(smoke, "application", interrupted)

    assert smoke.run([name]) == 130
    assert len(capsys.readouterr().err.splitlines()) == lines
