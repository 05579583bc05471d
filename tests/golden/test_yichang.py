"""Real notices of a Chinese city, as OCDS: nearly all load, every one is accounted for."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from features.clock import SHANGHAI
from features.ingest.ocds.files import Delivery
from features.ingest.ocds.loading import Loaded, load_ocds
from features.ingest.ocds.publishers import publishers
from features.ingest.tables import Counts
from features.tables.contract import SOURCE_TABLES
from features.tables.organisations import Organisation
from features.tables.projects import Project
from features.tables.store import TableStore
from features.tables.tendering import Award, Bid, Lot, Tender
from tests.shared_data import at_hand

MOMENT = dt.datetime(2026, 9, 1, tzinfo=SHANGHAI)

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("yichang") / "home"


@pytest.fixture(scope="module")
def loaded(home: Path) -> Loaded:
    return load(home, 0)


def load(home: Path, days: int) -> Loaded:
    delivery = Delivery(at_hand("yichang_cn_construction/releases.jsonl"))
    return load_ocds(home, delivery, publishers(), loaded_at=MOMENT + dt.timedelta(days=days))


def test_nearly_all_notices_load_and_the_rest_is_accounted_for(loaded: Loaded) -> None:
    counts = loaded.counts

    assert counts.read == 1966
    assert counts.loaded >= 1950
    assert counts.read == counts.loaded + counts.unchanged + counts.superseded + counts.quarantined


def test_the_tables_hold_what_the_notices_count(home: Path, loaded: Loaded) -> None:
    assert loaded.counts.loaded == 1966
    heights = {
        table.NAME: TableStore(home).read(table).select(pl.len()).collect().item()
        for table in (Project, Tender, Lot, Bid, Award)
    }

    # 6,202 candidates and 1,398 matched awards, as the data's own description counts them.
    assert heights == {"project": 1966, "tender": 1966, "lot": 1966, "bid": 6202, "award": 1398}


def test_ranked_candidates_are_never_taken_for_all_bids(home: Path, loaded: Loaded) -> None:
    assert loaded.counts.loaded
    lots = TableStore(home).read(Lot).collect()

    assert lots.get_column("bids_complete").to_list() == [False] * lots.height
    assert set(TableStore(home).read(Bid).collect().get_column("status")) == {"candidate", "awarded"}


def test_consortia_are_bids_of_their_members_not_firms_of_their_own(home: Path, loaded: Loaded) -> None:
    assert loaded.counts.loaded
    bids = TableStore(home).read(Bid).collect()
    names = TableStore(home).read(Organisation).collect().get_column("name")

    assert bids.filter(pl.col("consortium_org_ids").is_not_null()).height > 900
    assert names.str.contains("联合体").sum() < 10


def test_the_same_notices_again_change_nothing(home: Path, loaded: Loaded) -> None:
    assert loaded.counts.loaded
    before = {name: TableStore(home).version(table) for name, table in SOURCE_TABLES.items()}

    assert load(home, 1).counts == Counts(1966, 0, 1966)
    assert {name: TableStore(home).version(table) for name, table in SOURCE_TABLES.items()} == before
