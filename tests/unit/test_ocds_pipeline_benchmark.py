"""The benchmark's own parts: copies with new ids, a measured process, a table of figures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.benchmarks.ocds_pipeline import Run, measure, replicate, report


def test_copies_have_ocids_of_their_own_and_keep_their_dates(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(f'{{"ocid": "o{n}", "id": "r{n}", "date": "2026-01-0{n}"}}\n' for n in (1, 2)))

    replicate(source, target, 5)

    copies = [json.loads(line) for line in target.read_text().splitlines()]
    assert len({copy["ocid"] for copy in copies}) == 5
    assert [copy["date"][-1] for copy in copies] == ["1", "2", "1", "2", "1"]


def test_a_package_is_one_document_with_the_same_releases(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.json"
    source.write_text('{"ocid": "o1", "id": "r1"}\n')

    replicate(source, target, 3, package=True)

    assert [one["ocid"] for one in json.loads(target.read_text())["releases"]] == ["o1-0", "o1-1", "o1-2"]


def test_a_process_is_measured_with_its_memory() -> None:
    code = "import time; held = bytearray(80_000_000); time.sleep(0.4)"

    run = measure([sys.executable, "-c", code], dict(os.environ))

    assert run.seconds > 0.4
    assert run.peak_bytes > 80_000_000


def test_a_stage_that_fails_stops_the_benchmark() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        measure([sys.executable, "-c", "raise SystemExit(3)"], dict(os.environ))


def test_the_report_gives_median_spread_rows_a_second_and_the_ratio_to_the_peer() -> None:
    runs = {"ingest": [Run(2.0, 10**6), Run(4.0, 2 * 10**6), Run(3.0, 10**6)], "peer": [Run(1.5, 10**6)]}
    text = report("T", runs, 300, ["how"])

    assert "| ingest | 3.0 (2.0 to 4.0) | 2.0 | 2 | 100 |" in text
    assert "| peer | 1.5 (1.5 to 1.5) | 1.0 | 1 | 200 |" in text
