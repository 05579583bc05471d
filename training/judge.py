"""Judges the way of training: fit on one side of a split, score the other, market by market, beside the rules alone.

What is judged is the whole procedure. For every split the candidate is chosen, fitted and calibrated on the training
lots of that split only.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.build import indicator_values
from features.derive.subject_links import subject_links
from features.indicators.catalogue import entries, index_params
from features.tables.source import SourceTables
from models.index import score_subjects
from training.errors import TrainingError
from training.figures import (
    METRICS,
    NO_PROBABILITY,
    NOT_PARTED,
    OF_PROBABILITY,
    ONE_CLASS,
    Figure,
    Floats,
    all_figures,
    bootstrap_weights,
    reliability,
    summary,
)
from training.fit import CANDIDATES, Candidate, train
from training.splits import KINDS, MARKET_OUT, RINGS, Split

MODEL, SCREEN, RULES, SHARE = "model", "SI-022", "rule_score", "market_share"
SCORERS = (MODEL, SCREEN, RULES, SHARE)
"""The model; the coefficient of variation alone, lower being more suspicious; the index's rule score alone, a lot on
which no rule can speak ranking with those that are clear; and the training lots' share of confirmed ones, given to
every lot."""
FIGURES = pl.Schema(
    {
        "split": pl.String(),
        "market": pl.String(),
        "scorer": pl.String(),
        "metric": pl.String(),
        "value": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "n": pl.Int64(),
        "n_positive": pl.Int64(),
        "n_folds": pl.Int64(),
        "reason": pl.String(),
    }
)


@dataclass(frozen=True)
class Judgement:
    """What judging found.

    Attributes:
        figures: one row a split kind, market, scorer and metric (``FIGURES``): the mean over the folds (cuts) that
            define it with its 95 % bootstrap interval; n and n_positive are test lots over the folds, each once.
        reliability: one row a split kind, market and bin of predicted probability: predicted and observed share; n
            counts a lot once for every fold that it was judged in.
        coverage: one row a market: labelled lots, those the model can answer, and the confirmed among both.
        choices: one row a split: what was chosen on its training lots.
        predictions: one row a split and test lot: split, name, market, lot_id, y, log_odds, probability (null without
            a curve), threshold, SI-022, rule_score, share.
    """

    figures: pl.DataFrame
    reliability: pl.DataFrame
    coverage: pl.DataFrame
    choices: pl.DataFrame
    predictions: pl.DataFrame


def judge(
    lots: pl.DataFrame,
    splits: Sequence[Split],
    rule_scores: pl.DataFrame,
    *,
    seed: int,
    candidates: Sequence[Candidate] = CANDIDATES,
    n_resamples: int = 500,
    kinds: Sequence[str] = KINDS,
    progress: Callable[[str], None] | None = None,
) -> Judgement:
    """Judge training on every split.

    Args:
        lots: rows of ``LabelledLots.frame``, with a file's columns if there is one.
        splits: from ``all_splits`` over the answerable rows of ``lots``, in their order.
        rule_scores: lot_id and rule_score of every lot, null where no rule can speak.
        seed: of fits and bootstrap.
        candidates: what fitting may choose among.
        n_resamples: bootstrap weightings.
        kinds: what to report on; a kind that no market can be split by has rows of nulls with the reason.
        progress: told the name of each split when it is done.

    Raises:
        TrainingError: no split leaves enough on its training side.
    """
    ranked = rule_scores.with_columns(pl.col(RULES).fill_null(0.0))
    answerable = lots.filter("answerable").join(ranked, on="lot_id", how="left", maintain_order="left")
    found: list[pl.DataFrame] = []
    choices: list[dict[str, Any]] = []
    for split in splits:
        try:
            predicted, candidate = predict_split(answerable, split, seed, candidates)
            found.append(predicted)
            choices.append({"split": split.kind, "name": split.name, "candidate": candidate, "reason": None})
        except TrainingError as error:
            choices.append({"split": split.kind, "name": split.name, "candidate": None, "reason": str(error)})
        if progress is not None:
            progress(f"{split.kind} {split.name}")
    if not found:
        message = f"No split can be judged ({choices[0]['reason'] if choices else 'there is none'})."
        raise TrainingError(f"{message} Mend: load more outcomes, or give --splits FILE.")
    predictions = pl.concat(found)
    markets = answerable.get_column("market").unique().sort().to_list()
    rows: list[dict[str, Any]] = []
    bins: list[dict[str, Any]] = []
    for kind in kinds:
        for market in markets:
            part = predictions.filter((pl.col("split") == kind) & (pl.col("market") == market))
            rows += figures_of(kind, market, part, seed, n_resamples)
            known = part.filter(pl.col("probability").is_not_null())
            if known.height:
                y, probability = known.get_column("y").to_numpy(), known.get_column("probability").to_numpy()
                bins += [{"split": kind, "market": market, **one} for one in reliability(y, probability)]
    return Judgement(
        pl.DataFrame(rows, schema=FIGURES),
        pl.DataFrame(bins),
        coverage(lots),
        pl.DataFrame(choices, schema=dict.fromkeys(("split", "name", "candidate", "reason"), pl.String)),
        predictions,
    )


def predict_split(
    lots: pl.DataFrame, split: Split, seed: int, candidates: Sequence[Candidate]
) -> tuple[pl.DataFrame, str]:
    """Train on one side of a split and score the other; returns ``Judgement.predictions`` and the candidate's name.

    A market that was left out is judged with the pooled curve and the pooled share of confirmed lots; any other with
    its own curve, and without one it has no probability.

    Raises:
        TrainingError: the training side has too few lots of both outcomes.
    """
    trained = train(lots.filter(pl.Series(split.train)), seed, candidates)
    test = lots.filter(pl.Series(split.test))
    scores = trained.log_odds(test)
    market = test.get_column("market").to_numpy()
    probability, threshold = np.full(test.height, np.nan), np.full(test.height, np.nan)
    for name in sorted(set(market)):
        rows = market == name
        curve = trained.pooled if split.kind == MARKET_OUT else trained.calibrations.get(name)
        threshold[rows] = trained.shares.get(name, trained.shares[""])
        if curve is not None:
            probability[rows] = curve.at(scores[rows])
    return (
        test.select(
            pl.lit(split.kind).alias("split"),
            pl.lit(split.name).alias("name"),
            "market",
            "lot_id",
            "y",
            cluster=pl.coalesce("ring", "twin") if split.kind == RINGS else pl.col("twin"),
            log_odds=pl.Series(scores),
            probability=pl.Series(probability, nan_to_null=True).fill_nan(None),
            threshold=pl.Series(threshold),
            **{SCREEN: -pl.col(SCREEN), RULES: pl.col(RULES)},
        ),
        trained.candidate.name,
    )


def figures_of(kind: str, market: str, part: pl.DataFrame, seed: int, n_resamples: int) -> list[dict[str, Any]]:
    """Return the rows of ``FIGURES`` of one kind of split and market from its predictions.

    Without predictions the reason is ``not_parted``: no date, no ring or no other market parts this one.
    """
    lots = part.unique("lot_id", keep="first", maintain_order=True)
    clusters = lots.get_column("cluster").to_list()
    weights = bootstrap_weights(clusters, n_resamples, seed) if clusters else np.ones((1, 0))
    place = {lot: number for number, lot in enumerate(lots.get_column("lot_id"))}
    folds = part.partition_by("name", maintain_order=True) if part.height else []
    rows: list[dict[str, Any]] = []
    for scorer in SCORERS:
        tables: dict[str, list[Floats]] = {metric: [] for metric in METRICS}
        for fold in folds:
            chosen = np.array([place[lot] for lot in fold.get_column("lot_id")])
            for metric, values in _scored(fold, scorer, weights[:, chosen]).items():
                tables[metric].append(values)
        for metric in METRICS:
            table = np.array(tables[metric]).reshape(len(folds), len(weights))
            figure = summary(table, _reason(folds, scorer, metric))
            usable = int((~np.isnan(table[:, 0])).sum()) if table.size else 0
            rows.append(_row(kind, market, scorer, metric, figure, lots, usable))
    return rows


def _scored(fold: pl.DataFrame, scorer: str, weights: Floats) -> Mapping[str, Floats]:
    y = fold.get_column("y").to_numpy()
    probability: NDArray[np.float64] | None = None
    if scorer == SHARE:
        score = probability = fold.get_column("threshold").to_numpy()
    elif scorer == MODEL:
        score = fold.get_column("log_odds").to_numpy()
        if fold.get_column("probability").null_count() == 0:
            probability = fold.get_column("probability").to_numpy()
    else:
        score = fold.get_column(scorer).to_numpy()
    return all_figures(y, score, probability, fold.get_column("threshold").to_numpy(), weights)


def _reason(folds: Sequence[pl.DataFrame], scorer: str, metric: str) -> str:
    if not folds:
        return NOT_PARTED
    if metric in OF_PROBABILITY and (
        scorer in (SCREEN, RULES) or all(one["probability"].null_count() for one in folds)
    ):
        return NO_PROBABILITY
    return ONE_CLASS


def _row(
    kind: str, market: str, scorer: str, metric: str, figure: Figure, lots: pl.DataFrame, n_folds: int
) -> dict[str, Any]:
    return {
        "split": kind,
        "market": market,
        "scorer": scorer,
        "metric": metric,
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "n": lots.height,
        "n_positive": int(lots.get_column("y").sum()),
        "n_folds": n_folds,
        "reason": figure.reason,
    }


def coverage(lots: pl.DataFrame) -> pl.DataFrame:
    """Return how many labelled lots the model can answer: one row a market, sorted."""
    positive = pl.col("y") == 1
    return (
        lots.group_by("market")
        .agg(
            n_labelled=pl.len(),
            n_answerable=pl.col("answerable").sum(),
            n_positive=positive.sum(),
            n_positive_answerable=(positive & pl.col("answerable")).sum(),
        )
        .with_columns(coverage=pl.col("n_answerable") / pl.col("n_labelled"))
        .sort("market")
    )


def rule_scores(source: SourceTables, as_of: dt.datetime, lots: pl.DataFrame) -> pl.DataFrame:
    """Return what the index says of lots by its rules alone: lot_id, rule_score (0..100; null where none can speak)."""
    scored = score_subjects(
        indicator_values(source, as_of),
        subject_links(source, as_of),
        entries(),
        index_params(),
        as_of=as_of,
        subjects=lots.select(pl.lit("lot").alias("subject_type"), pl.col("lot_id").alias("subject_id")),
    )
    return scored.index.select(lot_id="subject_id", rule_score="rule_score")
