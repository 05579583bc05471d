"""How long, and in how much memory: OCDS file to scores, against the standard library's JSON reader.

Run: ``python -m experiments.benchmarks.ocds_pipeline --source releases.jsonl --releases 100000 --as-of 2026-06-30``.

The source is repeated, each time under new ocids and with its own dates, until it has the wanted number of releases.
Every stage runs as a process of its own in a fresh home; seconds are wall time with the start of Python, memory is the
peak resident set of the process and its children. The peer reads the same file with the standard library's JSON
reader and keeps nothing: it is the floor for anything written in Python that looks at every release.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import psutil

from features.clock import now
from features.tables.contract import FACT_TABLES
from features.tables.store import TableStore

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "docs" / "benchmarks.md"
HEADING = """# Benchmarks

Each against a named peer in the same run. Seconds are the median, with the smallest and the largest in brackets.

"""
POLL_SECONDS = 0.05
PEER_STAGE = "peer"
LINES_PEER = "json.loads, line by line"
DOCUMENT_PEER = "json.load, the whole document"
PEERS = {
    LINES_PEER: "import json, sys\nfor line in open(sys.argv[1], encoding='utf-8'): json.loads(line)",
    DOCUMENT_PEER: "import json, sys\njson.load(open(sys.argv[1], encoding='utf-8'))",
}


@dataclass(frozen=True)
class Run:
    """One process, measured.

    Attributes:
        seconds: wall time.
        peak_bytes: peak resident memory of the process and its children together.
    """

    seconds: float
    peak_bytes: int


def replicate(source: Path, target: Path, releases: int, *, package: bool = False) -> None:
    """Write a file of so many releases: the source over and over, every copy under new ocids.

    Args:
        source: JSON lines, one release a line.
        target: the file to write.
        releases: how many.
        package: write one release package, a single document, instead of JSON lines.

    Raises:
        ValueError: the source holds no release.
    """
    originals: list[dict[str, Any]] = [msgspec.json.decode(line) for line in source.read_bytes().splitlines() if line]
    if not originals:
        message = f"{source} holds no release."
        raise ValueError(message)
    with target.open("wb") as file:
        file.write(b'{"uri":"urn:replicated","releases":[\n' if package else b"")
        for number in range(releases):
            original = originals[number % len(originals)]
            copy = number // len(originals)
            ids = {"ocid": f"{original['ocid']}-{copy}", "id": f"{original['id']}-{copy}"}
            file.write(b"," if package and number else b"")
            file.write(msgspec.json.encode(original | ids) + b"\n")
        file.write(b"]}\n" if package else b"")


def measure(command: Sequence[str], environment: dict[str, str]) -> Run:
    """Run a command to its end and measure it.

    Raises:
        subprocess.CalledProcessError: the command failed; its output is in the error.
    """
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _resident(process.pid))
            time.sleep(POLL_SECONDS)
        seconds = time.perf_counter() - started
        if process.returncode:
            output.seek(0)
            raise subprocess.CalledProcessError(process.returncode, command, output.read().decode(errors="replace"))
    return Run(seconds, peak)


def report(title: str, runs: dict[str, list[Run]], rows: int, details: Sequence[str]) -> str:
    """Return a Markdown section: one line a stage, the peer among them, then what the run was."""
    lines = [
        f"## {title}",
        "",
        "| stage | seconds | times the peer's | peak memory, MB | rows a second |",
        "| --- | --- | --- | --- | --- |",
    ]
    peer = statistics.median(run.seconds for run in runs[PEER_STAGE])
    for stage, measured in runs.items():
        seconds = sorted(run.seconds for run in measured)
        middle = statistics.median(seconds)
        peak = max(run.peak_bytes for run in measured) / 1e6
        spread = f"{middle:.1f} ({seconds[0]:.1f} to {seconds[-1]:.1f})"
        lines.append(f"| {stage} | {spread} | {middle / peer:.1f} | {peak:,.0f} | {rows / middle:,.0f} |")
    return "\n".join([*lines, "", *[f"- {detail}" for detail in details], ""])


def _resident(pid: int) -> int:
    total = 0
    try:
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def _stored_rows(home: Path) -> int:
    store = TableStore(home)
    return sum(store.read(table).select(pl.len()).collect().item() for table in FACT_TABLES.values())


def main() -> None:
    """Replicate, measure, and add a section to docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="OCDS releases, JSON lines")
    parser.add_argument("--releases", type=int, default=100_000)
    parser.add_argument("--as-of", default="2026-06-30")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--stages", default="ingest,build,score", help="which stages, in order")
    parser.add_argument("--form", choices=["lines", "package"], default="lines", help="JSON lines or one document")
    parser.add_argument("--report", type=Path, default=REPORT)
    given = parser.parse_args()
    smoke = [sys.executable, "smoke.py"]
    package = given.form == "package"
    peer = DOCUMENT_PEER if package else LINES_PEER
    runs: dict[str, list[Run]] = {}
    rows = size = 0
    for _ in range(given.repeat):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            file = folder / "releases.json"
            replicate(given.source, file, given.releases, package=package)
            environment = {**os.environ, "SMOKE_HOME": str(folder / "home")}
            commands = {
                "ingest": [*smoke, "ingest", "ocds", str(file)],
                "build": [*smoke, "build", "--as-of", given.as_of],
                "score": [*smoke, "score", "--as-of", given.as_of, "--out", str(folder / "scores.parquet")],
            }
            for stage in given.stages.split(","):
                runs.setdefault(stage, []).append(measure(commands[stage], environment))
            runs.setdefault(PEER_STAGE, []).append(measure([sys.executable, "-c", PEERS[peer], str(file)], environment))
            rows, size = _stored_rows(folder / "home"), file.stat().st_size
    libraries = ", ".join(f"{name} {version(name)}" for name in ("polars", "deltalake", "msgspec"))
    details = [
        f"{given.releases:,} releases ({size / 1e6:,.0f} MB) from {given.source.name}, {rows:,} rows of the contract; "
        f"rows a second are of these. Repeated {given.repeat} times. The peer: {peer}, nothing kept.",
        f"`python -m experiments.benchmarks.ocds_pipeline --source {given.source.name} --releases {given.releases} "
        f"--as-of {given.as_of} --repeat {given.repeat} --stages {given.stages} --form {given.form}`",
        f"Python {platform.python_version()}, {libraries}; {os.cpu_count()} cores; {now().date().isoformat()}.",
    ]
    what = "one document" if package else "JSON lines"
    section = report(f"{given.releases:,} OCDS releases as {what}: {given.stages}", runs, rows, details)
    before = given.report.read_text(encoding="utf-8") if given.report.is_file() else HEADING
    given.report.parent.mkdir(parents=True, exist_ok=True)
    given.report.write_text(before.rstrip("\n") + "\n\n" + section, encoding="utf-8")
    print(section)


if __name__ == "__main__":
    main()
