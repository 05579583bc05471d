"""``smoke calendar export`` writes what ``smoke ingest tables`` takes."""

from pathlib import Path

import polars as pl
import pytest

import smoke


def test_years_are_written_one_row_a_day(tmp_path: Path) -> None:
    out = tmp_path / "calendar_day.csv"
    assert smoke.run(["calendar", "export", "--from", "2023", "--to", "2026", "--out", str(out)]) == 0
    rows = pl.read_csv(out, try_parse_dates=True)
    assert rows.columns == ["date", "is_workday", "holiday_name"]
    assert rows.height == 365 + 366 + 365 + 365
    assert rows.get_column("date").is_unique().all()


@pytest.mark.parametrize("years", [("2026", "2027"), ("2003", "2004"), ("2025", "2024")])
def test_years_that_are_not_shipped_are_refused(years: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.run(["calendar", "export", "--from", years[0], "--to", years[1]]) == 1
    assert "Mend:" in capsys.readouterr().err
