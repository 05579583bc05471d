"""The price screens on every shipped lot, against scipy; peer percentiles against a plain count."""

import datetime as dt
import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from experiments.collusion.tables import contract_tables
from experiments.contract_files import write_contract_files
from features.build import indicator_values, lot_screens
from features.clock import months_before, now, parse_moment
from features.ingest.tables import load_tables
from features.tables.source import SourceTables, read_source_tables
from features.tables.store import TableStore
from features.tables.tendering import Bid, Lot
from tests.shared_data import at_hand

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "experiments" / "tsuchiura" / "tables"
AS_OF = parse_moment("2015-12-31")
VALID = ("valid", "candidate", "awarded", "abandoned")


@pytest.fixture(scope="module")
def source(tsuchiura_home: Path) -> SourceTables:
    return read_source_tables(TableStore(tsuchiura_home)).collected()


def prices_of(source: SourceTables) -> dict[str, list[float]]:
    """The valid prices of each lot whose bids are all published and priced above 0."""
    whole = source[Lot].filter(pl.col("bids_complete").fill_null(value=True))
    bids = source[Bid].join(whole, on="lot_id", how="semi")
    valid = bids.filter(pl.col("status").cast(pl.String).is_in(VALID)).collect()
    by_lot = valid.group_by("lot_id").agg(pl.col("bid_price").cast(pl.Float64)).iter_rows()
    return {lot: sorted(values) for lot, values in by_lot if None not in values and min(values) > 0}


def by_scipy(prices: list[float]) -> dict[str, float]:
    """Work out the seven screens of one lot with scipy and numpy."""
    b, n = np.array(prices), len(prices)
    found: dict[str, float] = {}
    if n >= 3:
        found["SI-022"] = float(stats.variation(b, ddof=1))
        found["SI-023"] = float(np.ptp(b) / b[0])
        found["SI-024"] = float((b[1] - b[0]) / b[0])
    if n >= 4 and b[1] != b[-1]:
        found["SI-025"] = float((b[1] - b[0]) / np.std(b[1:], ddof=1))
    if n >= 4 and b[0] != b[-1]:
        found["SI-026"] = float(stats.kurtosis(b, bias=False))
        found["SI-027"] = float(stats.skew(b, bias=False))
    if n >= 6 and b[0] != b[-1]:
        found["SI-028"] = float(stats.kstest((b[1:-1] - b[0]) / (b[-1] - b[0]), "uniform").statistic)
    return found


def compared_with_scipy(source: SourceTables, as_of: dt.datetime) -> int:
    """Hold every screen of every lot against scipy, and nothing where scipy has nothing; count the comparisons."""
    prices, compared = prices_of(source), 0
    for row in lot_screens(source, as_of).iter_rows(named=True):
        expected = by_scipy(prices[row["lot_id"]]) if row["lot_id"] in prices else {}
        for screen in (name for name in row if name.startswith("SI-")):
            if screen not in expected:
                assert row[screen] is None, (row["lot_id"], screen)
                continue
            assert math.isclose(row[screen], expected[screen], rel_tol=1e-9, abs_tol=1e-9), (row["lot_id"], screen)
            compared += 1
    return compared


def test_every_screen_of_every_shipped_lot_agrees_with_scipy(source: SourceTables) -> None:
    assert compared_with_scipy(source, AS_OF) > 5000


@pytest.mark.real_data
def test_every_screen_of_five_labelled_markets_agrees_with_scipy(tmp_path: Path) -> None:
    file = at_hand("garcia2022/bids_five_markets.csv")
    write_contract_files(contract_tables(pl.read_csv(file, infer_schema=False)), tmp_path / "tables")
    load_tables(tmp_path / "home", tmp_path / "tables", loaded_at=now(), source_code="S01")
    source = read_source_tables(TableStore(tmp_path / "home")).collected()

    assert compared_with_scipy(source, parse_moment("2026-06-30")) > 25_000


def test_peer_percentiles_of_one_category_equal_a_plain_count(source: SourceTables) -> None:
    values = indicator_values(source, AS_OF).filter(pl.col("indicator_id") == "SI-022")
    lots = {row["lot_id"]: row for row in lot_screens(source, AS_OF).iter_rows(named=True)}
    facts = _facts(lots)
    assessed = values.filter("assessable").sort("subject_id").gather_every(25)
    for row in assessed.iter_rows(named=True):
        assert row["peer_percentile"] == pytest.approx(_plain_percentile(row["subject_id"], facts), abs=1e-12)
    assert assessed.height > 30


def _facts(lots: dict[str, dict[str, Any]]) -> dict[str, tuple[str, str | None, float, dt.datetime]]:
    category = _categories()
    return {
        lot: (_bin(row["n_valid"]), category[lot], round(row["SI-022"], 9), row["opening_at"])
        for lot, row in lots.items()
        if row["SI-022"] is not None
    }


def _categories() -> dict[str, str | None]:
    path = next(TABLES.glob("lot.csv*"))
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = pl.read_csv(data, infer_schema=False).select("lot_id", "category_code").iter_rows()
    return {lot: None if code is None else ".".join(code.split(".")[:2]) for lot, code in rows}


def _bin(n: int) -> str:
    return "10+" if n >= 10 else "6-9" if n >= 6 else "4-5" if n >= 4 else "3"


def _plain_percentile(lot: str, facts: dict[str, tuple[str, str | None, float, dt.datetime]]) -> float | None:
    size, category, value, opened = facts[lot]
    before = [
        (other[1], other[2])
        for other in facts.values()
        if other[0] == size and months_before(opened, 36) < other[3] < opened
    ]
    same = [v for c, v in before if c == category]
    peers = same if len(same) >= 30 else [v for _, v in before]
    if len(peers) < 30:
        return None
    return (sum(v < value for v in peers) + sum(v == value for v in peers) / 2) / len(peers)
