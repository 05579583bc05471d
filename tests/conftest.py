"""What several tests stand on: the shipped auctions, loaded once."""

import datetime as dt
from pathlib import Path

import pytest

import smoke
from features.clock import SHANGHAI
from features.ingest.tables import load_tables
from tests.labelled_auctions import load_auctions
from training.fit import CANDIDATES

TSUCHIURA = Path(__file__).parents[1] / "experiments" / "tsuchiura" / "tables"
LOADED_AT = dt.datetime(2026, 1, 1, tzinfo=SHANGHAI)


@pytest.fixture(scope="session")
def tsuchiura_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that holds the shipped auctions; tests must not write into it."""
    home = tmp_path_factory.mktemp("tsuchiura") / "home"
    loaded = load_tables(home, TSUCHIURA, loaded_at=LOADED_AT)
    assert loaded.total.quarantined == 0
    return home


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with made-up labelled auctions and a promoted model; tests must not write into it."""
    folder = tmp_path_factory.mktemp("trained")
    load_auctions(folder / "home", folder / "delivery")
    candidate = CANDIDATES[0].name
    home = str(folder / "home")
    assert smoke.run(["train", "--as-of", "2026-06-30", "--candidate", candidate, "--promote", "--home", home]) == 0
    return folder / "home"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch that writes the lock of indicator versions anew."""
    parser.addoption("--write-indicator-lock", action="store_true", help="write the lock of indicator versions anew")
