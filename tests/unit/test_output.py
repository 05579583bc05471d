"""Frames on standard output: a table where it fits, else a block a row; nothing is cut on either."""

import datetime as dt

import polars as pl
import pytest
from rich.cells import cell_len

from features.clock import SHANGHAI
from features.output import ON_SCREEN, print_block, write_frame

HASH = "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"
MEND = "decide it with `smoke identities`, or have the source correct the credit code; then replay."
ROWS = pl.DataFrame(
    {"id": [HASH, HASH[::-1]], "name": ["南充市鑫源建筑工程有限公司", None], "n": [7, 1000], "mend": [MEND] * 2}
)


def printed(capsys: pytest.CaptureFixture[str], frame: pl.DataFrame) -> list[str]:
    capsys.readouterr()
    write_frame(frame, None)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("columns", [30, 80, 120, 160, 240])
def test_no_terminal_is_too_narrow_for_an_id_or_a_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))

    words = " ".join(printed(capsys, ROWS)).split()

    assert {HASH, HASH[::-1], "南充市鑫源建筑工程有限公司", "null", "1000"} <= set(words)
    assert words.count("identities`,") == 2


@pytest.mark.parametrize("columns", [140, 160, 240])
def test_a_table_fits_its_terminal_and_long_texts_are_folded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))

    lines = printed(capsys, ROWS)

    assert lines[0].split() == ["id", "name", "n", "mend"]
    assert max(map(cell_len, lines)) <= columns
    assert (len(lines) > 3) == (columns < 200)


def test_where_no_table_fits_there_is_a_block_a_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    assert printed(capsys, ROWS.tail(1)) == [f"id    {HASH[::-1]}", "name  null", "n     1000", f"mend  {MEND}"]
    assert printed(capsys, ROWS)[4] == ""


def test_where_there_is_no_terminal_a_row_is_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)

    heading, first, second = printed(capsys, ROWS)

    assert first.endswith(f"     7  {MEND}")
    assert heading.index("mend") == second.index("decide")


def test_without_rows_the_heading_stands(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")

    assert [line.split() for line in printed(capsys, ROWS.clear())] == [["id", "name", "n", "mend"]]


def test_a_long_frame_says_how_much_of_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, pl.DataFrame({"n": range(1234)}))

    assert len(lines) == ON_SCREEN + 2
    assert lines[-1] == "100 of 1,234 rows; --format csv gives all."


def test_a_block_sets_further_lines_below_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, 678, SHANGHAI)
    print_block({"at": moment, "late": True, "score": 2 / 3, "value": "one\ntwo"})

    assert capsys.readouterr().out.splitlines() == [
        "at     2026-01-02 03:04:05",
        "late   true",
        "score  0.666667",
        "value  one",
        "       two",
    ]
