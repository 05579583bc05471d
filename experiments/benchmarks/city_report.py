"""The figures of ``city_ingest`` as a section of a Markdown file."""

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

TITLE = "Ingest of the simulated city"


def section(found: Mapping[str, Any]) -> str:
    """Return the section: a line a scale, how cost grows, a table of formats a scale, and what the runs were.

    Args:
        found: what ``city_ingest`` writes as JSON.
    """
    scales: Mapping[str, Mapping[str, Any]] = found["scales"]
    return "\n".join(
        [
            f"## {TITLE}",
            "",
            "| scale | projects | records | delivered, MB | seconds | CPU seconds | records a second | MB a second "
            "| peak memory, MB | stored, MB | times the bare reading |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *[_scale(name, one) for name, one in scales.items()],
            "",
            *[line for name, one in scales.items() for line in _formats(name, one)],
            *_notes(found),
            "",
        ]
    )


def with_section(text: str, added: str) -> str:
    """Return a Markdown text with the section in the place of the one that stood there, or at its end."""
    standing = re.compile(rf"^## {re.escape(TITLE)}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    if standing.search(text):
        return standing.sub(lambda _: added.rstrip("\n") + "\n\n", text, count=1).rstrip("\n") + "\n"
    return text.rstrip("\n") + "\n\n" + added


def _scale(name: str, one: Mapping[str, Any]) -> str:
    seconds = [run["seconds"] for run in one["runs"]]
    middle = statistics.median(seconds)
    floor = sum(statistics.median(about["bare"]["seconds"]) for about in one["formats"].values())
    cells = [
        f"x{name}",
        f"{one['projects']:,}",
        f"{one['records']:,}",
        _mega(one["bytes"]),
        _spread(seconds),
        _spread([run["cpu_seconds"] for run in one["runs"]]),
        f"{one['records'] / middle:,.0f}",
        f"{one['bytes'] / 1e6 / middle:,.1f}",
        _mega(max(run["peak_bytes"] for run in one["runs"])),
        _mega(one["home_bytes"]),
        f"{middle / floor:.1f}",
    ]
    return _row(cells)


def _formats(name: str, one: Mapping[str, Any]) -> Iterator[str]:
    yield f"Formats at x{name}; seconds of their feeds, read, judged and stored:"
    yield ""
    yield (
        "| format | feeds | files | records | MB | seconds | records a second | MB a second | bare reading by "
        "| its seconds | its records a second | times the bare reading |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for form, about in one["formats"].items():
        middle, floor = statistics.median(about["seconds"]), statistics.median(about["bare"]["seconds"])
        cells = [
            form,
            f"{about['feeds']:,}",
            f"{about['files']:,}",
            f"{about['records']:,}",
            f"{about['bytes'] / 1e6:,.1f}",
            _spread(about["seconds"]),
            f"{about['records'] / middle:,.0f}",
            f"{about['bytes'] / 1e6 / middle:,.1f}",
            about["bare"]["reader"],
            _spread(about["bare"]["seconds"], digits=2),
            f"{about['bare']['records'] / floor:,.0f}",
            f"{middle / floor:.1f}",
        ]
        yield _row(cells)
    yield ""


def _notes(found: Mapping[str, Any]) -> list[str]:
    growth, machine = found["growth"], found["machine"]
    lines: list[str] = []
    if growth["cpu_seconds"] is not None:
        steps = ", ".join(f"{step:.2f} from {name}" for name, step in growth["steps"].items())
        lines.append(
            f"Growth: the slope of log CPU seconds over log records is {growth['cpu_seconds']:.2f} ({steps}), "
            f"of log wall seconds {growth['seconds']:.2f}. 1 is linear; below 1, what a feed and a file cost however "
            "small they are weighs less in a larger city."
        )
    for name, one in found["scales"].items():
        runs = "1 run" if len(one["runs"]) == 1 else f"{len(one['runs'])} runs"
        fates = ", ".join(f"{count:,} {fate}" for fate, count in one["fates"].items())
        problems = f"; {one['problems']} feeds or files were not taken whole" if one["problems"] else ""
        lines.append(f"x{name}: {runs} on {one['measured']}, {one['files']:,} files; {fates}{problems}.")
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    memory = f"{machine['memory_bytes'] / 2**30:.0f} GiB"
    lines += [
        "Seconds are wall time of the whole process, CPU seconds those of all its threads, memory is its peak resident "
        "set. Seconds of formats leave out the start of the process and its conclusion (what waited, control groups).",
        "The peer reads the same files with the libraries alone, format by format, and judges nothing. Its seconds "
        "leave out the start of Python and imports; over all formats they are added up in the first table.",
        f"`{found['command']}`",
        f"{versions}; {machine['system']}, {machine['cores']} cores, {memory}.",
    ]
    return [f"- {line}" for line in lines]


def _spread(values: Sequence[float], digits: int = 1) -> str:
    if len(values) == 1:
        return f"{values[0]:,.{digits}f}"
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def _mega(size: float) -> str:
    return f"{size / 1e6:,.0f}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
