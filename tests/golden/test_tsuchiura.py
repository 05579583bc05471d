"""The shipped sample: its counts, and that it still is what its script makes of the source."""

from pathlib import Path

import polars as pl
import pytest

from experiments.contract_files import write_contract_files
from experiments.tsuchiura.make_tables import contract_tables
from features.tables.contract import SOURCE_TABLES
from tests.shared_data import at_hand

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "experiments" / "tsuchiura" / "tables"
ROWS = {"region": 1, "organisation": 270, "project": 1565, "tender": 1565, "lot": 1565, "bid": 6013, "award": 1561}


@pytest.fixture
def source() -> pl.DataFrame:
    path = at_hand("tsuchiura_construction/tsuchiura_bids.csv")
    return pl.read_csv(path, infer_schema=False)


def read(name: str) -> pl.DataFrame:
    (path,) = TABLES.glob(f"{name}.csv*")
    return pl.read_csv(path, infer_schema=False)


@pytest.mark.parametrize("name", ROWS)
def test_the_sample_has_the_rows_its_paper_counts_under_columns_of_the_contract(name: str) -> None:
    frame = read(name)

    assert frame.height == ROWS[name]
    assert set(frame.columns) <= set(SOURCE_TABLES[name].column_names())


def test_every_bid_belongs_to_a_lot_and_every_award_to_a_bid() -> None:
    bid, lot, award = read("bid"), read("lot"), read("award")

    assert bid.join(lot, on="lot_id", how="anti").is_empty()
    assert award.join(bid, on="bid_id", how="anti").is_empty()
    assert bid.get_column("bid_price").null_count() == 41


def test_the_authors_classification_is_carried_nowhere() -> None:
    assert not list(TABLES.glob("label_feedback*"))
    assert not [path for path in TABLES.glob("*.csv") if "model_label" in path.read_text(encoding="utf-8")]


@pytest.mark.real_data
def test_the_script_makes_the_same_bytes_from_the_source(source: pl.DataFrame, tmp_path: Path) -> None:
    written = write_contract_files(contract_tables(source), tmp_path)

    assert {path.name for path in written} == {path.name for path in TABLES.iterdir()}
    assert [path.name for path in written if path.read_bytes() != (TABLES / path.name).read_bytes()] == []
