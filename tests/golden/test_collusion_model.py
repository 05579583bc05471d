"""The whole way on real labelled auctions, which are not shipped; nothing trained here is kept."""

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn import metrics

from experiments.collusion.tables import contract_tables
from experiments.contract_files import write_contract_files
from features.clock import SHANGHAI
from features.ingest.tables import load_tables
from features.tables.source import read_source_tables
from features.tables.store import TableStore
from models.bundle import load
from models.lot_features import measured_lots
from serving.settings import Settings
from tests.shared_data import at_hand
from training.fit import CANDIDATES
from training.judge import MODEL, Judgement, judge, rule_scores
from training.promote import promote_version
from training.retrain import labelled_from, retrain
from training.splits import KINDS, LATER, MARKET_OUT, RINGS, all_splits

pytestmark = pytest.mark.real_data

AS_OF = dt.datetime(2026, 6, 30, 23, 59, 59, tzinfo=SHANGHAI)
FAST = [one for one in CANDIDATES if one.name == "dispersion_d3"]
MARKETS = {
    "X-GR-GRAUBUENDEN-SEEGASTER/works": (4344, 3812),
    "X-IT-TURIN/works": (278, 278),
    "X-JP-OKINAWA/works": (1080, 1080),
    "X-TI-TICINO/works": (224, 220),
    "X-US-OHIO/goods": (3754, 907),
}
"""Labelled tenders of each market, and those with at least three prices published whole."""


@pytest.fixture(scope="module")
def data() -> Path:
    return at_hand("garcia2022/bids_five_markets.csv").parent


@pytest.fixture(scope="module")
def home(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collusion")
    bids = pl.read_csv(data / "bids_five_markets.csv", infer_schema=False)
    write_contract_files(contract_tables(bids), folder / "delivery")
    load_tables(folder / "home", folder / "delivery", loaded_at=AS_OF)
    return folder / "home"


@pytest.fixture(scope="module")
def judgement(home: Path, data: Path) -> Judgement:
    lots = labelled_from(home, AS_OF, data / "splits.csv").frame
    parted = all_splits(lots.filter("answerable"))
    kept = [one for one in parted if one.kind != RINGS or one.name in ("fold_1", "fold_2")]
    rules = rule_scores(read_source_tables(TableStore(home)), AS_OF, lots)
    return judge(lots, kept, rules, seed=7, candidates=FAST, n_resamples=50)


def test_coverage_is_that_of_the_bids_as_published(judgement: Judgement) -> None:
    counted = {row["market"]: (row["n_labelled"], row["n_answerable"]) for row in judgement.coverage.to_dicts()}

    assert counted == MARKETS


def test_every_market_has_every_figure_or_a_reason(judgement: Judgement) -> None:
    figures = judgement.figures

    assert figures.height == len(KINDS) * len(MARKETS) * 4 * 5
    assert figures.filter(pl.col("value").is_null() != pl.col("reason").is_not_null()).is_empty()
    known = figures.filter(pl.col("value").is_not_null())
    assert known.filter(~pl.col("value").is_between(0, 1)).is_empty()
    assert set(figures.filter((pl.col("split") == LATER) & pl.col("value").is_null())["market"]) >= {"X-IT-TURIN/works"}


def test_reported_figures_are_those_of_another_computation(judgement: Judgement) -> None:
    """Recompute from the predictions with scikit-learn, folds averaged."""
    for kind, market in [(LATER, "X-JP-OKINAWA/works"), (RINGS, "X-IT-TURIN/works"), (MARKET_OUT, "X-TI-TICINO/works")]:
        part = judgement.predictions.filter((pl.col("split") == kind) & (pl.col("market") == market))
        expected: dict[str, list[float]] = {}
        for fold in part.partition_by("name"):
            y, p = fold["y"].to_numpy(), fold["probability"].to_numpy()
            flagged = p >= fold["threshold"].to_numpy()
            expected.setdefault("roc_auc", []).append(float(metrics.roc_auc_score(y, fold["log_odds"].to_numpy())))
            expected.setdefault("average_precision", []).append(
                float(metrics.average_precision_score(y, fold["log_odds"].to_numpy()))
            )
            expected.setdefault("balanced_accuracy", []).append(float(metrics.balanced_accuracy_score(y, flagged)))
            expected.setdefault("brier", []).append(float(metrics.brier_score_loss(y, p)))
        rows = judgement.figures.filter(
            (pl.col("split") == kind) & (pl.col("market") == market) & (pl.col("scorer") == MODEL)
        )
        reported = {row["metric"]: row["value"] for row in rows.to_dicts()}
        for metric, values in expected.items():
            assert reported[metric] == pytest.approx(float(np.mean(values))), (kind, market, metric)


def test_the_test_lots_are_those_of_the_splits_file(judgement: Judgement, data: Path) -> None:
    filed = pl.read_csv(data / "splits.csv", infer_schema=False).filter(pl.col("later_70") == "test")
    judged = judgement.predictions.filter((pl.col("split") == LATER) & (pl.col("name") == "later_70"))

    assert judged.join(filed, left_on="lot_id", right_on="tender_id", how="anti").is_empty()
    assert judged["lot_id"].n_unique() == judged.height == 1521


def test_the_served_model_answers_only_where_it_beats_chance_and_the_share(home: Path, data: Path) -> None:
    done = retrain(home, AS_OF, splits=data / "splits.csv", candidates=FAST)
    promote_version(home, done.bundle.version)
    bundle = load(Settings(home=home).champion)

    share_brier = bundle.metrics["share_brier"]
    speaking = {
        name
        for name, figures in done.cross_validation.items()
        if (figures["roc_auc"].low or 0) > 0.5 and (figures["brier"].value or 1) < share_brier[name]
    }
    assert set(bundle.calibrations) == speaking
    assert set(done.silent) == set(MARKETS) - speaking
    lots = measured_lots(read_source_tables(TableStore(home)), AS_OF)
    scored = lots.join(bundle.predict(lots), on="lot_id").with_columns(
        market=pl.concat_str("region_code", pl.lit("/"), "object_type")
    )
    answered = scored.filter(pl.col("probability").is_not_null())
    assert set(answered["market"]) == speaking
    assert answered["probability"].is_between(0.001, 0.999).all()
    assert answered.height == sum(MARKETS[name][1] for name in speaking)
