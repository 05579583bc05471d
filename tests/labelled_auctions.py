"""Made-up auctions with known outcomes, and a small model, for the tests of training and scoring."""

import datetime as dt
from pathlib import Path
from typing import Literal

import lightgbm as lgb
import numpy as np
import polars as pl

from experiments.contract_files import write_contract_files
from features.clock import SHANGHAI
from features.ingest.tables import load_tables
from models.bundle import Bundle, Calibration, matrix
from models.lot_features import LOT_COLUMNS, feature_list

LOADED_AT = dt.datetime(2026, 7, 1, 12, tzinfo=SHANGHAI)
LABELLED_AT = dt.datetime(2026, 6, 1, 12, tzinfo=SHANGHAI)
AS_OF = dt.datetime(2026, 6, 30, 23, 59, 59, tzinfo=SHANGHAI)
MARKETS = ("A100", "B200")
UNLABELLED = "C300"
RING_FIRMS, HONEST_FIRMS = 4, 12


def random_lots(rows: int, seed: int) -> pl.DataFrame:
    """Return lots with random features, columns as in ``lot_features``; every fifth value of the others is null."""
    random = np.random.default_rng(seed)
    columns = {
        one.id: pl.Series(random.lognormal(size=rows), dtype=pl.Float64).set(
            pl.Series((random.random(rows) < 0.2) & (not one.required)), None
        )
        for one in feature_list()
    }
    return pl.DataFrame(
        {
            "lot_id": [f"L{number:04}" for number in range(rows)],
            "tender_id": [f"T{number:04}" for number in range(rows)],
            "opening_at": [AS_OF] * rows,
            "region_code": ["A100"] * rows,
            "object_type": ["works"] * rows,
            **columns,
        }
    ).select(*LOT_COLUMNS, *columns)


def small_bundle(seed: int = 1) -> Bundle:
    """Return a bundle of twenty trees fitted on random lots, calibrated for the market A100/works."""
    lots = random_lots(400, seed)
    features = feature_list()
    x = matrix(lots, features)
    y = (x[:, 0] + np.random.default_rng(seed).normal(size=400) < 1.2).astype(int)
    booster = lgb.train(
        {"objective": "binary", "max_depth": 4, "num_threads": 1, "deterministic": True, "verbosity": -1, "seed": seed},
        lgb.Dataset(x, y, feature_name=[one.id for one in features], params={"verbosity": -1}),
        20,
    )
    return Bundle(
        name="small",
        version="1",
        analysis="bid_rigging",
        subject_type="lot",
        features=features,
        model_text=booster.model_to_string(),
        base_log_odds=float(np.asarray(booster.predict(x[:1], pred_contrib=True))[0, -1]),
        trained_markets=("A100/works",),
        calibrations={"A100/works": Calibration((-2.0, 0.0, 2.0), (0.1, 0.4, 0.9))},
        data_versions={"bid": 3},
        code_version="0.1.0",
        seed=seed,
        metrics={"roc_auc": 0.5},
        created_at="2026-06-30T12:00:00+08:00",
        booster=booster,
    )


def load_auctions(home: Path, folder: Path, *, labels: Literal["true", "shuffled", "none"] = "true") -> None:
    """Load the made-up auctions into a home through files in the contract's shape."""
    tables = auction_tables()
    if labels == "none":
        del tables["label_feedback"]
    if labels == "shuffled":
        tables["label_feedback"] = tables["label_feedback"].with_columns(pl.col("label").shuffle(seed=2))
    write_contract_files(tables, folder)
    loaded = load_tables(home, folder, loaded_at=LOADED_AT)
    assert loaded.total.quarantined == 0, loaded
    assert not loaded.problems, loaded.problems


def auction_tables() -> dict[str, pl.DataFrame]:
    """Return tables of 150 lots in each of three markets; the third has no outcomes.

    Of a labelled market's lots 60 are of three rings whose prices lie within a percent or two, 90 of honest firms whose
    prices scatter by a tenth; one honest lot in ten is as tight. Outcomes alternate in time.
    """
    random = np.random.default_rng(5)
    lots: list[dict[str, object]] = []
    bids: list[dict[str, object]] = []
    for market in (*MARKETS, UNLABELLED):
        for number in range(150):
            ring = number % 3 if number % 5 < 2 else None
            lot = f"{market}-{number:03}"
            opening = dt.datetime(2023, 1, 10, 9, tzinfo=SHANGHAI) + dt.timedelta(days=7 * number)
            lots.append({"lot_id": lot, "market": market, "opening_at": opening, "ring": ring})
            tight = ring is not None or random.random() < 0.1
            size = int(random.integers(4, 7)) if ring is None else RING_FIRMS
            firms = (
                [f"{market}-r{ring}-{member}" for member in range(RING_FIRMS)]
                if ring is not None
                else [f"{market}-h{member}" for member in random.choice(HONEST_FIRMS, size, replace=False)]
            )
            prices = 1e6 * random.lognormal(sigma=0.5) * (1 + random.normal(size=size) * (0.008 if tight else 0.08))
            for place, (firm, price) in enumerate(zip(firms, prices, strict=True)):
                won = place == int(np.argmin(prices))
                bids.append({"bid_id": f"{lot}/{place}", "lot_id": lot, "firm": firm, "price": price, "won": won})
    lot, bid = pl.DataFrame(lots), pl.DataFrame(bids)
    outcomes = lot.filter(pl.col("market") != UNLABELLED)
    return {
        "region": pl.DataFrame({"region_code": [*MARKETS, UNLABELLED], "name": ["a", "b", "c"], "level": ["city"] * 3}),
        "organisation": bid.select(org_id="firm", name="firm").unique("org_id", maintain_order=True),
        "project": lot.select(
            project_id="lot_id",
            name="lot_id",
            region_code="market",
            status=pl.lit("tendering"),
            secrecy_level=pl.lit("none"),
        ),
        "tender": lot.select(
            tender_id="lot_id",
            project_id="lot_id",
            tender_no="lot_id",
            title="lot_id",
            law_regime=pl.lit("tendering_law"),
            object_type=pl.lit("works"),
            method=pl.lit("public_tender"),
            evaluation_method=pl.lit("lowest_evaluated"),
            opening_at="opening_at",
            status=pl.lit("awarded"),
        ),
        "lot": lot.select(
            lot_id="lot_id",
            tender_id="lot_id",
            project_id="lot_id",
            lot_no=pl.lit("1"),
            name="lot_id",
            category_code=pl.lit("A.01"),
            bids_complete=pl.lit(value=True),
            status=pl.lit("awarded"),
        ),
        "bid": bid.select(
            "bid_id",
            "lot_id",
            tender_id="lot_id",
            bidder_org_id="firm",
            is_consortium=pl.lit(value=False),
            bid_price=pl.col("price").round(2).cast(pl.Decimal(18, 2)),
            status=pl.when("won").then(pl.lit("awarded")).otherwise(pl.lit("valid")),
        ),
        "label_feedback": outcomes.select(
            label_id="lot_id",
            subject_type=pl.lit("lot"),
            subject_id="lot_id",
            analysis=pl.lit("bid_rigging"),
            label=pl.when(pl.col("ring").is_not_null()).then(pl.lit("confirmed")).otherwise(pl.lit("cleared")),
            label_source=pl.lit("court"),
            labelled_at=pl.lit(LABELLED_AT),
            weight=pl.lit(1.0),
        ),
    }
