"""Command line of the simulated city: ``python -m experiments.city --help``."""

import argparse
import sys
from pathlib import Path

from experiments.city.routing import SOURCES
from experiments.city.simulate import Order, simulate
from features.errors import SmokeError

_EXAMPLE = """example:
  python -m experiments.city --projects 200 --seed 1 --attendance-days 20 --out /tmp/city

writes /tmp/city/deliveries/<source>/<feed>-<month>.<ext>, what the thirteen source systems would deliver;
       /tmp/city/truth/, what happened and which dirt was planted (no part of the product reads it);
       /tmp/city/manifest.json, counts by source, feed and file.
The same projects and seed give the same files."""


def _sources(text: str) -> frozenset[str]:
    asked = frozenset(part.strip().upper() for part in text.split(",") if part.strip())
    if unknown := sorted(asked - SOURCES):
        raise argparse.ArgumentTypeError(f"unknown source {', '.join(unknown)}; there are {', '.join(sorted(SOURCES))}")
    return asked


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    it = argparse.ArgumentParser(
        prog="python -m experiments.city",
        description="Simulate a city's construction projects and write what its source systems would deliver.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    it.add_argument("--projects", type=_positive, default=2058, help="projects in three years (default 2058)")
    it.add_argument("--seed", type=int, default=1, help="of all chance (default 1)")
    it.add_argument("--out", type=Path, required=True, help="folder to write to")
    it.add_argument(
        "--attendance-days",
        type=int,
        default=1096,
        help="write punches for the last N days of the three years only (default: all, by far the largest table)",
    )
    it.add_argument("--dirt", action=argparse.BooleanOptionalAction, default=True, help="spoil some records (default)")
    it.add_argument(
        "--sources", type=_sources, default=SOURCES, help="comma-separated codes, e.g. S01,S07,P00 (default all)"
    )
    return it


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    asked = parser().parse_args(arguments)
    order = Order(asked.projects, asked.seed, asked.attendance_days, asked.dirt, asked.sources)
    try:
        simulate(order, asked.out, lambda line: print(line, file=sys.stderr, flush=True))
    except SmokeError as error:
        sys.exit(f"city: {error}")


if __name__ == "__main__":
    main()
