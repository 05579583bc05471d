"""The public fixtures of a red-flag engine: sparse releases without category, ids or dates must load all the same."""

from pathlib import Path

import pytest

from features.clock import now
from features.ingest.ocds.files import Delivery
from features.ingest.ocds.loading import load_ocds
from features.ingest.ocds.publishers import publishers
from features.ingest.quarantine.entries import Quarantine

FIXTURES = Path(__file__).with_name("cardinal")


@pytest.mark.parametrize("folder", ["unit", "demo"])
def test_every_release_of_the_fixtures_loads_and_loads_once(folder: str, tmp_path: Path) -> None:
    files = sorted((FIXTURES / folder).glob("*.jsonl"))
    assert files
    for file in files:
        home = tmp_path / file.stem
        n_lines = sum(bool(line.strip()) for line in file.read_bytes().splitlines())

        first = load_ocds(home, Delivery(file), publishers(), loaded_at=now()).counts
        again = load_ocds(home, Delivery(file), publishers(), loaded_at=now()).counts

        assert (first.read, first.loaded) == (n_lines, n_lines), file.name
        assert (again.read, again.unchanged) == (n_lines, n_lines), file.name
        assert Quarantine(home).list().filter(level="release").is_empty()
