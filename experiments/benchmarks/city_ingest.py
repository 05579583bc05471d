"""How fast, and in how much memory, `smoke ingest all` takes a simulated city in, at several sizes of the city.

Run: ``python -m experiments.benchmarks.city_ingest --work /tmp/bench --scales 1,10``.

A city is simulated once a scale and kept. Every run is a process of its own into a fresh home, so seconds are wall time
with the start of Python; CPU seconds and the peak resident set are what the system says of that process. Seconds of a
format are those of its feeds, as the run itself reports them. The peer reads the same files with the libraries
themselves and judges nothing (``bare_reading``): it is the floor for whoever looks at every record.
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from experiments.benchmarks.bare_reading import READERS
from experiments.benchmarks.city_report import section, with_section
from experiments.city.routing import SOURCES
from features.clock import now
from features.ingest.feed import Feed, sources

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "docs" / "benchmarks.md"
LIBRARIES = ("polars", "pyarrow", "deltalake", "fastexcel", "lxml", "msgspec")
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024
FATES = ("loaded", "unchanged", "superseded", "quarantined")
NAMES = {"xlsx": "XLSX", "json": "JSON", "jsonl": "JSON lines", "xml": "XML", "parquet": "Parquet"}


@dataclass(frozen=True)
class Run:
    """One process, measured.

    Attributes:
        seconds: wall time.
        cpu_seconds: of all its threads, user and system.
        peak_bytes: the peak of its resident memory.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class City:
    """A city on disk: its deliveries and what its manifest says of them."""

    deliveries: Path
    projects: int
    records: int


def simulated(folder: Path, order: Mapping[str, Any]) -> City:
    """Return the city of a folder; simulate it where none stands there that was ordered alike.

    Args:
        folder: of the city.
        order: projects, seed, attendance_days and sources.

    Raises:
        subprocess.CalledProcessError: the simulation failed.
    """
    manifest = folder / "manifest.json"
    said: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8")) if manifest.is_file() else {}
    if said.get("unfinished") or {key: said.get("order", {}).get(key) for key in order} != order:
        asked = {**order, "sources": ",".join(order["sources"])}
        options = [text for key, value in asked.items() for text in (f"--{key.replace('_', '-')}", str(value))]
        command = [sys.executable, "-m", "experiments.city", "--out", str(folder), *options]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        said = json.loads(manifest.read_text(encoding="utf-8"))
    return City(folder / "deliveries", int(said["order"]["projects"]), int(said["records"]))


def measure(command: Sequence[str], environment: Mapping[str, str]) -> tuple[Run, dict[str, Any]]:
    """Run a command that prints JSON and measure it.

    Raises:
        subprocess.CalledProcessError: it printed none; what it said instead is in the error.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=dict(environment), stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        try:
            printed: dict[str, Any] = json.loads(output.read())
        except ValueError as error:
            said = errors.read().decode(errors="replace")
            raise subprocess.CalledProcessError(process.returncode, command, stderr=said) from error
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * MAXRSS_BYTES), printed


def ingested(city: City, work: Path, keys: Path) -> tuple[Run, dict[str, Any], int]:
    """Ingest a city into a fresh home; return the run, what it printed, and the bytes of the home."""
    with tempfile.TemporaryDirectory(dir=work, prefix="home-") as home:
        command = [sys.executable, "smoke.py", "ingest", "all", str(city.deliveries), "--format", "json"]
        environment = {**os.environ, "SMOKE_HOME": home, "SMOKE_KEY_FILE": str(keys)}
        run, printed = measure(command, environment)
        return run, printed, _bytes(path for path in Path(home).rglob("*") if path.is_file())


def by_format(city: City, printed: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Sum up the feeds of a run: format to feeds, files, bytes, records and seconds."""
    found: dict[str, dict[str, float]] = {}
    for feed, files in delivered(city):
        said = printed["sources"][feed.source]["feeds"][feed.name]
        more = {
            "feeds": 1,
            "files": len(files),
            "bytes": _bytes(files),
            "records": said["read"],
            "seconds": said["seconds"],
        }
        so_far = found.setdefault(format_of(feed), dict.fromkeys(more, 0))
        found[format_of(feed)] = {key: so_far[key] + value for key, value in more.items()}
    return {name: found[name] for name in READERS if name in found}


def delivered(city: City) -> list[tuple[Feed, list[Path]]]:
    """Return the feeds that a city delivers, and their files."""
    folders = [(one, city.deliveries / code) for code, one in sources().items() if (city.deliveries / code).is_dir()]
    given = [(feed, feed.files(folder)) for one, folder in folders for feed in one.feeds]
    return [(feed, files) for feed, files in given if files]


def format_of(feed: Feed) -> str:
    """Return the format of a feed, a key of ``READERS``."""
    return f"CSV {feed.style.encoding.upper()}" if feed.style.format == "csv" else NAMES[feed.style.format]


def bare(city: City) -> dict[str, dict[str, Any]]:
    """Let the libraries alone read the files of a city: format to records, seconds and CPU seconds."""
    files: dict[str, list[str]] = {}
    for feed, paths in delivered(city):
        files.setdefault(format_of(feed), []).extend(map(str, paths))
    reader = [sys.executable, "-m", "experiments.benchmarks.bare_reading"]
    return {name: measure([*reader, name, *paths], os.environ)[1] for name, paths in files.items()}


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float | None:
    """Return the slope of the straight line through the logarithms: 1 where cost grows as size; None for one size."""
    if len(set(sizes)) < 2:
        return None
    return statistics.linear_regression([math.log(one) for one in sizes], [math.log(one) for one in costs]).slope


def measured(city: City, work: Path, keys: Path, runs: int) -> dict[str, Any]:
    """Measure one city: the runs, and what feeds, formats and the bare reading took in each."""
    taken = [ingested(city, work, keys) for _ in range(runs)]
    floors = [bare(city) for _ in range(runs)]
    formats = [by_format(city, printed) for _, printed, _ in taken]
    printed = taken[0][1]
    return {
        "projects": city.projects,
        "records": printed["read"],
        "fates": {fate: printed[fate] for fate in FATES},
        "problems": len(printed["problems"]),
        "files": sum(len(files) for _, files in delivered(city)),
        "bytes": sum(_bytes(files) for _, files in delivered(city)),
        "home_bytes": taken[0][2],
        "runs": [asdict(run) for run, _, _ in taken],
        "formats": {
            name: {
                **about,
                "seconds": [one[name]["seconds"] for one in formats],
                "bare": {
                    "reader": READERS[name][0],
                    "records": floors[0][name]["records"],
                    "seconds": [one[name]["seconds"] for one in floors],
                    "cpu_seconds": [one[name]["cpu_seconds"] for one in floors],
                },
            }
            for name, about in formats[0].items()
        },
        "feeds": {
            feed.code: [printed["sources"][feed.source]["feeds"][feed.name]["seconds"] for _, printed, _ in taken]
            for feed, _ in delivered(city)
        },
        "measured": now().date().isoformat(),
    }


def growth(scales: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return how cost grows with records, by the medians of the runs.

    Returns:
        ``cpu_seconds`` and ``seconds``: the exponents over all scales; ``steps``: that of CPU seconds from each scale
        to the next, so that a curve that bends upwards does not hide in the whole.
    """
    records = [float(one["records"]) for one in scales.values()]
    cpu, wall = (
        [statistics.median(run[cost] for run in one["runs"]) for one in scales.values()]
        for cost in ("cpu_seconds", "seconds")
    )
    names = list(scales)
    steps = {
        f"x{names[at]} to x{names[at + 1]}": exponent(records[at : at + 2], cpu[at : at + 2])
        for at in range(len(names) - 1)
    }
    return {"cpu_seconds": exponent(records, cpu), "seconds": exponent(records, wall), "steps": steps}


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, ingest, read bare, and write the figures."""
    given = _parser().parse_args(arguments)
    given.work.mkdir(parents=True, exist_ok=True)
    keys = given.work / "keys"
    if not keys.exists():
        command = [sys.executable, "smoke.py", "keys", "new", "--out", str(keys)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    out: Path = given.out or given.work / "city_ingest.json"
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    scales: dict[str, Any] = found.get("scales", {})
    for scale in given.scales:
        order = {
            "projects": given.projects * scale,
            "seed": given.seed,
            "attendance_days": given.attendance_days,
            "sources": given.sources,
        }
        city = simulated(given.work / "city" / f"x{scale}", order)
        scales[str(scale)] = measured(city, given.work, keys, given.runs or (3 if scale == 1 else 1))
        scales = dict(sorted(scales.items(), key=lambda one: int(one[0])))
        found = {"scales": scales, "growth": growth(scales), **_circumstances(given, scales)}
        out.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        print(f"x{scale}: {scales[str(scale)]['runs']}", file=sys.stderr, flush=True)
    text = section(found)
    standing = given.report.read_text(encoding="utf-8") if given.report.is_file() else "# Benchmarks\n"
    given.report.write_text(with_section(standing, text), encoding="utf-8")
    print(text)


def _circumstances(given: argparse.Namespace, scales: Iterable[str]) -> dict[str, Any]:
    """Return what was asked, the machine, and the versions that the figures hold for."""
    options = {
        "scales": ",".join(scales),
        "projects": given.projects,
        "attendance-days": given.attendance_days,
        "seed": given.seed,
        "runs": given.runs,
        "sources": ",".join(given.sources),
    }
    asked = [f"--{name} {value}" for name, value in options.items() if value != _DEFAULTS.get(name)]
    return {
        "command": " ".join(["python -m experiments.benchmarks.city_ingest --work DIR", *asked]),
        "machine": {
            "cores": os.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {"Python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
    }


def _bytes(files: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in files)


_DEFAULTS: Mapping[str, object] = {"projects": 2058, "seed": 1, "runs": 0, "sources": ",".join(sorted(SOURCES))}
"""Options that a command is shown without."""


def _parser() -> argparse.ArgumentParser:
    example = "example:\n  python -m experiments.benchmarks.city_ingest --work /tmp/bench --scales 1,10"
    parser = argparse.ArgumentParser(
        prog="python -m experiments.benchmarks.city_ingest",
        description="Measure how fast and in how much memory smoke ingest all takes a simulated city in.",
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for cities (kept), homes and the key file")
    parser.add_argument("--scales", type=_numbers, default=[1, 10], help="multiples of --projects (default 1,10)")
    parser.add_argument("--projects", type=int, default=2058, help="projects of a city at scale 1 (default 2058)")
    parser.add_argument("--attendance-days", type=int, default=20, help="days of punches (default 20)")
    parser.add_argument("--sources", type=_codes, default=sorted(SOURCES), help="comma-separated codes (default all)")
    parser.add_argument("--seed", type=int, default=1, help="of the city (default 1)")
    parser.add_argument("--runs", type=int, default=0, help="runs a scale (default 3 at scale 1, 1 above)")
    parser.add_argument("--report", type=Path, default=REPORT, help="Markdown whose section is replaced, or added to")
    parser.add_argument(
        "--out",
        type=Path,
        help="figures as JSON (default WORK/city_ingest.json); other scales that stand there are kept",
    )
    return parser


def _numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


def _codes(text: str) -> list[str]:
    return sorted(one.strip().upper() for one in text.split(","))


if __name__ == "__main__":
    main()
