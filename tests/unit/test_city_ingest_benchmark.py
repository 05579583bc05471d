"""The benchmark of the simulated city: what it reports at a tiny size, and its own arithmetic."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.benchmarks.city_ingest import exponent, growth, main, measure
from experiments.benchmarks.city_report import TITLE, section, with_section


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measure two tiny cities of two sources; a section of another benchmark stands in the report already."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "report.md").write_text("# Benchmarks\n\n## Another\n\nStays.\n")
    tiny = ["--projects", "12", "--scales", "1,2", "--runs", "1", "--sources", "S04,S07", "--attendance-days", "1"]
    main([*tiny, "--work", str(folder), "--report", str(folder / "report.md")])
    return folder


def test_every_record_of_the_city_has_a_fate_and_is_read_by_the_peer(work: Path) -> None:
    found = json.loads((work / "city_ingest.json").read_text())

    assert list(found["scales"]) == ["1", "2"]
    for scale, one in found["scales"].items():
        manifest = json.loads((work / "city" / f"x{scale}" / "manifest.json").read_text())
        assert one["projects"] == 12 * int(scale)
        assert one["records"] == manifest["records"] == sum(one["fates"].values())
        assert one["files"] == len(manifest["files"])
        assert set(one["formats"]) == {"CSV UTF-8", "JSON"}
        assert sum(about["records"] for about in one["formats"].values()) == one["records"]
        assert sum(about["bytes"] for about in one["formats"].values()) == one["bytes"]
        assert {code.partition("/")[0] for code in one["feeds"]} == {"S04", "S07"}
        in_feeds = sum(seconds for (seconds,) in one["feeds"].values())
        assert in_feeds == pytest.approx(sum(about["seconds"][0] for about in one["formats"].values()))
        for about in one["formats"].values():
            assert about["bare"]["records"] == about["records"]
            assert all(seconds > 0 for seconds in [*about["seconds"], *about["bare"]["seconds"]])
        for run in one["runs"]:
            assert run["peak_bytes"] > 50_000_000
            assert run["cpu_seconds"] > 0
            assert run["seconds"] > sum(about["seconds"][0] for about in one["formats"].values())


def test_the_report_has_a_line_a_scale_and_leaves_other_sections(work: Path) -> None:
    text = (work / "report.md").read_text()

    assert "## Another\n\nStays." in text
    assert text.count(f"## {TITLE}") == 1
    assert "| x1 | 12 |" in text
    assert "| x2 | 24 |" in text
    assert "Growth: the slope of log CPU seconds" in text
    assert "--scales 1,2 --projects 12" in text


def test_no_home_is_left_behind_and_cities_are_kept(work: Path) -> None:
    assert not list(work.glob("home-*"))
    assert sorted(path.name for path in (work / "city").iterdir()) == ["x1", "x2"]


def test_a_section_that_stands_is_replaced(work: Path) -> None:
    found = json.loads((work / "city_ingest.json").read_text())
    text = section(found)
    before = f"# Benchmarks\n\n## {TITLE}\n\nold\n\n## Another\n\nStays.\n"

    after = with_section(before, text)

    assert "old" not in after
    assert after.endswith("## Another\n\nStays.\n")
    assert with_section(after, text) == after


@pytest.mark.parametrize(("costs", "slope"), [([2, 20, 200], 1), ([2, 200, 20_000], 2), ([5, 5, 5], 0)])
def test_the_exponent_is_the_slope_of_the_logarithms(costs: list[float], slope: float) -> None:
    assert exponent([1, 10, 100], costs) == pytest.approx(slope)


def test_growth_is_of_medians_and_shows_each_step() -> None:
    def scale(records: int, *cpu: float) -> dict[str, object]:
        return {"records": records, "runs": [{"cpu_seconds": one, "seconds": 7.0} for one in cpu]}

    found = growth({"1": scale(10, 1, 2, 99), "10": scale(100, 20), "50": scale(500, 500)})

    assert found["steps"] == {"x1 to x10": pytest.approx(1), "x10 to x50": pytest.approx(2)}
    assert 1 < found["cpu_seconds"] < 2
    assert found["seconds"] == pytest.approx(0)
    assert growth({"1": scale(10, 1)})["cpu_seconds"] is None


def test_a_run_that_prints_no_figures_stops_the_benchmark() -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        measure([sys.executable, "-c", "raise SystemExit('broken')"], os.environ)
    assert error.value.returncode == 1
    assert "broken" in error.value.stderr
