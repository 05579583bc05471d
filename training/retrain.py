"""From the tables to a registered model, in one call."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl

from features.clock import now
from features.tables.source import read_source_tables
from features.tables.store import TableStore
from models.bundle import Bundle, booster_from
from models.lot_features import feature_list
from training.dataset import ANALYSIS, LabelledLots, labelled_lots, markets_with_both
from training.errors import TrainingError
from training.figures import (
    NO_PROBABILITY,
    OF_PROBABILITY,
    ONE_CLASS,
    Figure,
    Floats,
    Outcomes,
    all_figures,
    bootstrap_weights,
    summary,
)
from training.fit import CANDIDATES, FIXED, Candidate, Folds, Trained, calibrate, train
from training.registry import MODEL_NAME, Registry
from training.splits import cv_folds, held_out_by, read_splits, rings_part

N_RESAMPLES = 500
CHANCE = 0.5
UNREGISTERED = "unregistered"


@dataclass(frozen=True)
class Retrained:
    """A model as registered, and what was found on the way.

    Attributes:
        bundle: the model.
        trained: how it was chosen.
        cross_validation: figures of each market by metric name, on lots that the scoring trees had not seen.
        held_out_by: what was held out whole in each market's folds: rings, time, or, which flatters, single lots.
    """

    bundle: Bundle
    trained: Trained
    cross_validation: Mapping[str, Mapping[str, Figure]]
    held_out_by: Mapping[str, str]

    @property
    def silent(self) -> list[str]:
        """Return the markets that taught, but where the model gives no answer."""
        return sorted(set(self.bundle.trained_markets) - set(self.bundle.calibrations))


def labelled_from(home: Path, as_of: dt.datetime, splits: Path | None) -> LabelledLots:
    """Read the labelled lots of a home, with the columns of a file of splits if one is given.

    Raises:
        TrainingError: there are no outcomes, or the file cannot be used.
    """
    store = TableStore(home)
    labelled = labelled_lots(read_source_tables(store, run="retrain").collected(), as_of, store)
    return labelled if splits is None else LabelledLots(read_splits(splits, labelled.frame), labelled.data_versions)


def retrain(
    home: Path,
    as_of: dt.datetime,
    *,
    splits: Path | None = None,
    seed: int = 7,
    candidates: Sequence[Candidate] = CANDIDATES,
    progress: Callable[[str], None] | None = None,
) -> Retrained:
    """Fit on every labelled lot, calibrate, and register the model as challenger.

    The model answers only in markets whose own lots sufficed for a curve and where, on lots it had not seen, it ranked
    better than chance (the 95 % interval of its ROC-AUC, over resampled rings where these are known, lies above 0.5)
    and its probabilities were nearer to the outcomes than the market's share of confirmed lots alone (Brier score).
    Elsewhere it keeps silent.

    Args:
        home: the folder with all state.
        as_of: later outcomes, openings and awards do not count.
        splits: file whose ``ring_id`` groups lots in cross-validation.
        seed: of LightGBM's draws.
        candidates: what fitting may choose among.
        progress: told what is being done.

    Raises:
        TrainingError: there are no outcomes, too few, of one kind only, or no market in which the model has anything
            to say.
    """
    labelled = labelled_from(home, as_of, splits)
    lots = labelled.answerable
    trained = train(lots, seed, candidates, progress)
    found, share_brier = cross_validation(lots, trained, seed)
    held_out = {name: held_out_by(lots.filter(pl.col("market") == name)) for name in found}
    speaking = {
        name: curve
        for name, curve in trained.calibrations.items()
        if _above_chance(found[name]["roc_auc"]) and _nearer(found[name]["brier"], share_brier[name])
    }
    if not speaking:
        seen = ", ".join(
            f"{name}: ROC-AUC {_shown(figures['roc_auc'])}, Brier {_shown(figures['brier'])} against "
            f"{share_brier[name]:.2f}"
            for name, figures in found.items()
        )
        message = (
            f"In no market does the model say more of unseen lots than chance and their share of confirmed ones do "
            f"({seen}); "
            "nothing was registered. Mend: load more outcomes; until then the index is rule-led."
        )
        raise TrainingError(message)
    bundle = Bundle(
        name=MODEL_NAME,
        version=UNREGISTERED,
        analysis=ANALYSIS,
        subject_type="lot",
        features=feature_list(),
        model_text=trained.model_text,
        base_log_odds=trained.base_log_odds,
        trained_markets=tuple(name for name in trained.shares if name),
        calibrations=speaking,
        data_versions=labelled.data_versions,
        code_version=version("smoke-index"),
        seed=seed,
        metrics={
            "cross_validation": {
                name: {metric: asdict(figure) for metric, figure in one.items()} for name, one in found.items()
            },
            "share_brier": share_brier,
            "held_out_by": held_out,
            "choices": trained.choices.to_dicts(),
        },
        created_at=now().isoformat(timespec="seconds"),
        booster=booster_from(trained.model_text),
    )
    metrics = {
        f"cross_validation/{name}/{metric}": figure.value
        for name, one in found.items()
        for metric, figure in one.items()
        if figure.value is not None
    }
    tags = {
        "as_of": as_of.isoformat(),
        "analysis": ANALYSIS,
        "markets": ", ".join(speaking),
        "candidate": trained.candidate.name,
    }
    registered = Registry(home).register(bundle, _params(lots, trained, seed), metrics, tags)
    return Retrained(registered, trained, found, held_out)


def cross_validation(
    lots: pl.DataFrame, trained: Trained, seed: int
) -> tuple[dict[str, dict[str, Figure]], dict[str, float]]:
    """Return the figures of each market on lots that neither the scoring trees nor the curve had seen.

    Beside them the Brier score of the share of confirmed lots among the others, given for every lot.

    Args:
        lots: what was trained on.
        trained: the result, whose ``out_of_fold`` is in order of lot_id.
        seed: of the bootstrap.
    """
    lots = lots.sort("lot_id")
    folds, market = cv_folds(lots), lots.get_column("market").to_numpy()
    y, trust = lots.get_column("y").to_numpy(), lots.get_column("label_weight").to_numpy()
    enough = markets_with_both(lots)
    found: dict[str, dict[str, Figure]] = {}
    share_brier: dict[str, float] = {}
    for name in sorted(set(market)):
        rows = np.flatnonzero(market == name)
        scores = trained.out_of_fold[rows]
        probability, share = _cross_calibrated(scores, y[rows], trust[rows], folds[rows])
        share_brier[name] = float(np.mean((share - y[rows]) ** 2))
        weights = bootstrap_weights(_clusters(lots[rows]), N_RESAMPLES, seed)
        values = all_figures(y[rows], scores, probability if name in enough else None, share, weights)
        found[name] = {
            metric: summary(one, NO_PROBABILITY if metric in OF_PROBABILITY and name not in enough else ONE_CLASS)
            for metric, one in values.items()
        }
    return found, share_brier


def _clusters(lots: pl.DataFrame) -> list[str]:
    """Return what is drawn as one: rings where they part a market, else twins."""
    together = pl.coalesce("ring", "twin") if rings_part(lots) else pl.col("twin")
    return lots.select(together).to_series().to_list()


def _cross_calibrated(scores: Floats, y: Outcomes, trust: Floats, folds: Folds) -> tuple[Floats, Floats]:
    """Return each lot's probability by a curve of the other folds, and the share of confirmed lots in those."""
    probability, share = np.zeros(len(scores)), np.zeros(len(scores))
    numbers = np.unique(folds)
    for fold in numbers if len(numbers) > 1 else ():
        held_out = folds == fold
        curve = calibrate(scores[~held_out], y[~held_out], trust[~held_out])
        probability[held_out], share[held_out] = curve.at(scores[held_out]), y[~held_out].mean()
    return probability, share


def _params(lots: pl.DataFrame, trained: Trained, seed: int) -> dict[str, str | float]:
    size = trained.candidate.size
    return {
        "candidate": trained.candidate.name,
        "seed": seed,
        "max_depth": size.max_depth,
        "num_leaves": size.num_leaves,
        "n_trees": size.n_trees,
        **{name: FIXED[name] for name in ("learning_rate", "min_data_in_leaf", "lambda_l2", "feature_fraction")},
        "n_lots": lots.height,
        "n_confirmed": int(lots.get_column("y").sum()),
    }


def _above_chance(figure: Figure) -> bool:
    return figure.low is not None and figure.low > CHANCE


def _nearer(brier: Figure, of_share: float) -> bool:
    return brier.value is not None and brier.value < of_share


def _shown(figure: Figure) -> str:
    return "undefined" if figure.value is None else f"{figure.value:.2f}"
