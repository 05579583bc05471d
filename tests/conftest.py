"""What several tests stand on: the shipped auctions, loaded once."""

import datetime as dt
from pathlib import Path

import pytest

from features.clock import SHANGHAI
from features.ingest.tables import load_tables

TSUCHIURA = Path(__file__).parents[1] / "experiments" / "tsuchiura" / "tables"
LOADED_AT = dt.datetime(2026, 1, 1, tzinfo=SHANGHAI)


@pytest.fixture(scope="session")
def tsuchiura_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that holds the shipped auctions; tests must not write into it."""
    home = tmp_path_factory.mktemp("tsuchiura") / "home"
    loaded = load_tables(home, TSUCHIURA, loaded_at=LOADED_AT)
    assert loaded.total.quarantined == 0
    return home


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch that writes the lock of indicator versions anew."""
    parser.addoption("--write-indicator-lock", action="store_true", help="write the lock of indicator versions anew")
