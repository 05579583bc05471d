"""A whole city, written to a folder: deliveries of its sources, the list of planted dirt, the manifest."""

import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import polars as pl

from experiments.city import completion, labels, truth
from experiments.city.city import blocks
from experiments.city.deliveries import MONTH, Directory, shape
from experiments.city.dirt import LEDGER, Dirt
from experiments.city.execution import chance, execute, facts_of
from experiments.city.facts import Facts, Population
from experiments.city.feeds import EXTENSION, Feed
from experiments.city.insurance import social_insurance
from experiments.city.people import Roster
from experiments.city.population import population as people_of
from experiments.city.registry import registry
from experiments.city.routing import SOURCES, feeds_of, with_source
from experiments.city.shelf import Shelf
from features.errors import SmokeError

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Order:
    """What is to be simulated.

    Attributes:
        projects: how many projects come to the city in its three years.
        seed: of all chance; the same seed gives the same city.
        attendance_days: punches are written for this many days before the end of the city.
        dirt: whether deliveries are spoilt now and then.
        sources: codes of the sources that deliver.
    """

    projects: int
    seed: int
    attendance_days: int
    dirt: bool = True
    sources: frozenset[str] = SOURCES


class FolderInUseError(SmokeError):
    """The folder to write to holds something else than a city."""


class _Office:
    """Writes facts to the shelf, through the hands that spoil some of them."""

    def __init__(self, order: Order, out: Path) -> None:
        self.order = order
        self.shelf = Shelf(out / "deliveries")
        self.dirt = Dirt(order.seed, enabled=order.dirt)
        self.ledger = out / "truth" / "dirt.csv"
        self.ledger.parent.mkdir(parents=True, exist_ok=True)
        self.ledger.write_text(",".join(LEDGER) + "\n", encoding="utf-8")
        self.planted: Counter[str] = Counter()

    def deliver(self, name: str, frame: pl.DataFrame, directory: Directory) -> None:
        """Write the rows of a table to the files of all feeds that deliver it."""
        for feed, rows in feeds_of(name, frame, self.order.sources):
            frames, cases = self.dirt.plant(feed, shape(feed, rows, directory))
            for records in frames:
                for (month,), part in records.partition_by(MONTH, as_dict=True, include_key=False).items():
                    self.shelf.append(feed, int(str(month)), part)
            if len(cases):
                self._list(feed, cases)

    def _list(self, feed: Feed, cases: pl.DataFrame) -> None:
        self.planted.update(dict(cases["kind"].value_counts().iter_rows()))
        file = pl.concat_str(pl.lit(feed.name), pl.lit("-"), MONTH, pl.lit("."), pl.lit(EXTENSION[feed.format]))
        listed = cases.select(pl.all(), source=pl.lit(feed.source), feed=pl.lit(feed.name), file=file)
        with self.ledger.open("ab") as ledger:
            listed.select(LEDGER).write_csv(ledger, include_header=False)


def simulate(order: Order, out: Path, tell: Callable[[str], None]) -> dict[str, object]:
    """Write a city.

    Args:
        order: what to simulate.
        out: folder for ``deliveries``, ``truth`` and ``manifest.json``; a city written there before, finished or not,
            is replaced.
        tell: is told of the progress, a line at a time.

    Returns:
        The manifest.

    Raises:
        FolderInUseError: the folder holds deliveries, and no manifest says that they are a city's.
    """
    began = time.monotonic()
    _clear(out)
    _write_manifest(out, {"unfinished": True, **_order(order)})
    office = _Office(order, out)
    people = people_of(order.seed, order.projects)
    tell(f"population: {people.organisations.height:,} units, {people.persons.height:,} people")
    directory = Directory.of(people, {})
    for name, frame in _standing(people):
        office.deliver(name, frame, directory)
    roster = Roster.of(people)
    done = 0
    schemes: list[pl.DataFrame] = []
    for number, facts in enumerate(blocks(people, order.seed, order.projects)):
        schemes.append(facts.pop("truth_lots"))
        _block(office, facts, people, roster, number)
        done += facts["project"]["project_id"].n_unique()
        rows = sum(office.shelf.rows.values())
        tell(f"{done:,} of {order.projects:,} projects, {rows:,} records, {time.monotonic() - began:,.0f} s")
    played = pl.concat(schemes)
    truth.write(people, played, out / "truth")
    for name, frame in with_source(labels.feedback(people, played)).items():
        office.deliver(name, frame, directory)
    files = office.shelf.close()
    manifest = _manifest(order, files, office.planted)
    _write_manifest(out, manifest)
    tell(f"{len(files):,} files, {sum(files.values()):,} records, {time.monotonic() - began:,.0f} s")
    return manifest


def _clear(out: Path) -> None:
    """Remove the city that was written to a folder before."""
    there = [out / name for name in ("deliveries", "truth") if (out / name).exists()]
    if there and not (out / _MANIFEST).exists():
        raise FolderInUseError(
            f"{there[0]} exists, and no {_MANIFEST} beside it says that a simulated city may be replaced there. "
            "Mend: give another --out, or remove it."
        )
    for folder in there:
        shutil.rmtree(folder)
    out.mkdir(parents=True, exist_ok=True)


def _write_manifest(out: Path, manifest: dict[str, object]) -> None:
    (out / _MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _order(order: Order) -> dict[str, object]:
    return {"order": asdict(order) | {"sources": sorted(order.sources)}}


def _standing(people: Population) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield what does not belong to any project: registers, published prices, social insurance."""
    yield from with_source(registry(people)).items()
    prices = completion.market_prices(people.regions, chance(people.seed, 0, "market_price"))
    yield "market_price", facts_of("market_price", prices)
    for insured in social_insurance(people):
        yield "social_insurance", facts_of("social_insurance", insured)


def _block(office: _Office, facts: Facts, people: Population, roster: Roster, number: int) -> None:
    directory = Directory.of(people, facts)
    for name, frame in with_source(facts).items():
        if name != "award_plan":
            office.deliver(name, frame, directory)
    for name, frame in execute(facts, people, roster, number, office.order.attendance_days):
        office.deliver(name, facts_of(name, frame), directory)


def _manifest(order: Order, files: dict[str, int], planted: Counter[str]) -> dict[str, object]:
    sources: Counter[str] = Counter()
    feeds: Counter[str] = Counter()
    for file, rows in files.items():
        sources[file.split("/")[0]] += rows
        feeds[re.sub(r"-\d{6}(-\d+)?\.\w+$", "", file)] += rows
    return {
        **_order(order),
        "versions": {name: version(name) for name in ("smoke-index", "polars", "numpy", "pyarrow", "xlsxwriter")},
        "records": sum(files.values()),
        "sources": dict(sorted(sources.items())),
        "feeds": dict(sorted(feeds.items())),
        "dirt": dict(sorted(planted.items())),
        "files": files,
    }
