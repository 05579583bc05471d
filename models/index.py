"""The smoke index: indicator values and model scores -> score, contributions, coverage, level.

Design README section 4 is the formula; ``docs/adr/0005-index-roll-up-and-coverage.md`` says how its open ends were
closed. Pure functions over frames; nothing is read or written here.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.assessment.declare import Entry
from features.tables.results import SmokeIndex
from models.contributions import Floats, RuleShares, rule_shares, scale_log_odds
from models.roll_up import (
    REASONS,
    SUBJECT,
    Columns,
    coverage_of,
    linked_values,
    status_of,
    strongest,
    wanted_subjects,
)

LEVELS = ("red", "orange", "yellow", "blue")
LEVEL_ZH = {"red": "红", "orange": "橙", "yellow": "黄", "blue": "蓝", "none": "无预警"}
INSUFFICIENT_ZH = "资料不足"
TOP_CONTRIBUTIONS = 5

CONTRIBUTION = pl.Schema(
    {
        "subject_type": pl.String(),
        "subject_id": pl.String(),
        "kind": pl.String(),
        "id": pl.String(),
        "points": pl.Float64(),
        "loss_if_absent": pl.Float64(),
        "x": pl.Float64(),
        "raw_value": pl.Float64(),
        "intensity": pl.Float64(),
        "peer_percentile": pl.Float64(),
        "triggered": pl.Boolean(),
        "support_n": pl.Int64(),
        "of_type": pl.String(),
        "of_id": pl.String(),
        "age_months": pl.Float64(),
        "value_id": pl.String(),
        "evidence": pl.String(),
        "param_snapshot": pl.String(),
    }
)
"""Columns of the frame of contributions."""


@dataclass(frozen=True)
class Scored:
    """What the index says of a set of subjects.

    Attributes:
        index: one row a subject, the columns of ``SmokeIndex``, sorted by subject. The score is null where nothing is
            assessable and no model answers, the rule score where no indicator is: 0 would read as low risk.
        contributions: one row a line of a subject's score (columns ``CONTRIBUTION``). ``kind`` is ``indicator`` (id of
            the indicator; lines of 0 points are assessed and clear), ``base`` (the model's base), ``feature`` (id of
            the model's feature), ``calibration`` (what one factor could not share out), ``weight`` (ids ``rule`` and
            ``model``: what the weighting by lambda takes off), ``cap`` or ``floor``. The points of a subject sum to
            its score within 1e-9. ``loss_if_absent`` is a different number: the score less the score without this
            indicator; null for other kinds.
        without_value: subject, ``id``, ``null_reason`` and ``evidence`` (the rows that were seen) of the indicators
            that were tried and could not be judged.
    """

    index: pl.DataFrame
    contributions: pl.DataFrame
    without_value: pl.DataFrame


@dataclass(frozen=True)
class Unjudged:
    """An indicator that a subject could not be judged by.

    Attributes:
        entry: the indicator.
        null_reason: why: the reason of its value; ``no_value`` where this subject has none, ``not_built``.
        evidence: the rows that were seen, as JSON.
    """

    entry: Entry
    null_reason: str
    evidence: str


def score_subjects(
    values: pl.DataFrame,
    links: pl.DataFrame,
    entries: Sequence[Entry],
    params: Mapping[str, float],
    *,
    as_of: dt.datetime,
    model_scores: pl.DataFrame | None = None,
    model_parts: pl.DataFrame | None = None,
    subjects: pl.DataFrame | None = None,
    confirmed: pl.DataFrame | None = None,
) -> Scored:
    """Score subjects as of a moment.

    Args:
        values: indicator values, columns of ``IndicatorValue``, one row per (indicator, subject).
        links: the roll-up, rows of ``SubjectLink``.
        entries: all indicators of the catalogue; those not built count as applicable and not assessable.
        params: the parameters ``INDEX.*`` without prefix.
        as_of: the moment of scoring.
        model_scores: ``subject_type``, ``subject_id``, ``probability`` and ``base_probability`` (calibrated, 0..1) and
            ``model_version_id``; subjects without a row, or with a null probability, have no model score.
        model_parts: ``subject_type``, ``subject_id``, ``feature``, ``phi`` (log-odds) and optionally ``raw_value``.
        subjects: ``subject_type`` and ``subject_id`` of the subjects to score; None scores all of ``links``. A subject
            that nothing is known of is scored too, with coverage 0.
        confirmed: ``of_type``, ``of_id``, ``indicator_id`` of values whose evidence a person confirmed.

    Returns:
        Index, contributions and what could not be assessed.
    """
    wanted = wanted_subjects(links, subjects)
    columns = Columns.of(entries, values, params)
    linked = linked_values(values, links, wanted, columns, params)
    chosen = strongest(linked)
    n = len(wanted)
    weighted = np.zeros((n, len(columns.ids)))
    at = (chosen["subject"].to_numpy(), chosen["column"].to_numpy())
    weighted[at] = columns.weights[at[1]] * np.maximum(chosen["x"].to_numpy(), 0.0)
    shares = rule_shares(weighted, columns.families, extra=params["family_extra"], cap=params["family_cap"])
    status = status_of(linked, n, columns)
    coverage = coverage_of(status, entries, columns, params)

    model = _model(wanted, model_scores)
    held_up = _confirmed(linked, confirmed, columns, (n, len(columns.ids)))
    fused = _fuse(shares.rule_score, model, held_up.sum(axis=1) > 0, params)
    lines = pl.concat(
        [
            _indicator_lines(wanted, values, linked, chosen, shares, fused, model, held_up, columns, params),
            _model_lines(wanted, model, model_parts),
            _fusion_lines(wanted, fused, model),
        ]
    ).sort(*SUBJECT, "kind", "id")
    index = _index(wanted, fused, shares, model, coverage, lines, params, as_of)
    return Scored(index.sort(SUBJECT), lines, _without_value(values, linked, wanted, columns))


def level(score: float, coverage: float, params: Mapping[str, float]) -> str:
    """Return the level of a score: red, orange, yellow, blue or none; below ``coverage_min`` always none."""
    if round(coverage, 9) < params["coverage_min"]:
        return "none"
    return next((name for name in LEVELS if round(score, 9) >= params[name]), "none")


def level_zh(level: str, coverage: float, params: Mapping[str, float]) -> str:
    """Return the words an officer reads: 资料不足 where coverage is below the minimum, else the colour or 无预警."""
    return INSUFFICIENT_ZH if round(coverage, 9) < params["coverage_min"] else LEVEL_ZH[level]


def not_assessable(scored: Scored, entries: Sequence[Entry], subject_type: str, subject_id: str) -> list[Unjudged]:
    """Return what one subject could not be judged by, in the order of ids."""
    of_subject = (pl.col("subject_type") == subject_type) & (pl.col("subject_id") == subject_id)
    tried = {row["id"]: row for row in scored.without_value.filter(of_subject).iter_rows(named=True)}
    judged = set(scored.contributions.filter(of_subject & (pl.col("kind") == "indicator"))["id"])
    found: list[Unjudged] = []
    for entry in entries:
        if entry.id in tried:
            found.append(Unjudged(entry, tried[entry.id]["null_reason"], tried[entry.id]["evidence"]))
        elif entry.id not in judged:
            found.append(Unjudged(entry, "no_value" if entry.state == "built" else "not_built", "[]"))
    return found


def _confirmed(
    linked: pl.DataFrame, confirmed: pl.DataFrame | None, columns: Columns, shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Tell for each subject and indicator whether a severity-5 value triggered and a person confirmed its evidence."""
    held_up = np.zeros(shape, dtype=np.bool_)
    if confirmed is None or not len(confirmed):
        return held_up
    gravest = [column for column, entry in enumerate(columns.entries) if entry.severity == 5]
    keys = confirmed.select(
        pl.col("of_type").cast(pl.String),
        "of_id",
        column=pl.col("indicator_id").replace_strict(
            columns.ids, list(range(len(columns.ids))), default=None, return_dtype=pl.UInt32
        ),
    )
    found = linked.filter(pl.col("triggered").fill_null(value=False) & pl.col("column").is_in(gravest)).join(
        keys, on=["of_type", "of_id", "column"], how="semi"
    )
    held_up[found["subject"].to_numpy(), found["column"].to_numpy()] = True
    return held_up


@dataclass(frozen=True)
class _Model:
    """Model scores aligned with the subjects; NaN where there is none."""

    probability: Floats
    base_probability: Floats
    version: pl.Series

    @property
    def known(self) -> NDArray[np.bool_]:
        return np.isfinite(self.probability)


def _model(wanted: pl.DataFrame, model_scores: pl.DataFrame | None) -> _Model:
    if model_scores is None:
        nothing = np.full(len(wanted), np.nan)
        return _Model(nothing, nothing, pl.Series("model_version_id", [None] * len(wanted), dtype=pl.String))
    aligned = wanted.join(
        model_scores.with_columns(pl.col("subject_type").cast(pl.String)),
        on=SUBJECT,
        how="left",
        maintain_order="left",
        validate="1:1",
    )
    known = pl.col("probability").is_not_null()
    aligned = aligned.with_columns(model_version_id=pl.when(known).then(pl.col("model_version_id").cast(pl.String)))
    return _Model(
        aligned["probability"].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
        aligned["base_probability"].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
        aligned["model_version_id"],
    )


@dataclass(frozen=True)
class _Fused:
    """The score of each subject and the steps from its parts to it."""

    score: Floats
    off_rule: Floats
    off_model: Floats
    cap: Floats
    floor: Floats


def _fuse(rule_score: Floats, model: _Model, floored: NDArray[np.bool_], params: Mapping[str, float]) -> _Fused:
    """Weigh rule and model score, cap at 100, raise to the floor (README section 4, steps 4 and 5)."""
    rule_weight = params["lambda_rule"]
    model_score = np.where(model.known, 100 * np.nan_to_num(model.probability), 0.0)
    off_rule = np.where(model.known, -(1 - rule_weight) * rule_score, 0.0)
    off_model = np.where(model.known, -rule_weight * model_score, 0.0)
    raw = np.where(model.known, rule_weight * rule_score + (1 - rule_weight) * model_score, rule_score)
    capped = np.minimum(raw, 100.0)
    score = np.where(floored, np.maximum(capped, params["sev5_floor"]), capped)
    return _Fused(score, off_rule, off_model, capped - raw, score - capped)


def _indicator_lines(
    wanted: pl.DataFrame,
    values: pl.DataFrame,
    linked: pl.DataFrame,
    chosen: pl.DataFrame,
    shares: RuleShares,
    fused: _Fused,
    model: _Model,
    held_up: NDArray[np.bool_],
    columns: Columns,
    params: Mapping[str, float],
) -> pl.DataFrame:
    """Return a line for each assessed indicator of each subject, with the value that stands for it."""
    rows, cols = chosen["subject"].to_numpy(), chosen["column"].to_numpy()
    other_floor = held_up.sum(axis=1)[rows] - held_up[rows, cols] > 0
    aligned = _Model(model.probability[rows], model.base_probability[rows], model.version)
    without = _fuse(shares.without[rows, cols], aligned, other_floor, params)
    facts = values.select(
        "raw_value",
        "intensity",
        "peer_percentile",
        "triggered",
        "support_n",
        "value_id",
        "evidence",
        "param_snapshot",
        of_type=pl.col("subject_type").cast(pl.String),
        of_id="subject_id",
    )[chosen["value"]]
    return (
        pl.concat([_subjects_at(wanted, rows), facts], how="horizontal")
        .select(
            *SUBJECT,
            *facts.columns,
            kind=pl.lit("indicator"),
            id=pl.Series([columns.ids[column] for column in cols], dtype=pl.String),
            points=pl.Series(shares.points[rows, cols]),
            loss_if_absent=pl.Series(np.maximum(fused.score[rows] - without.score, 0.0)),
            x=chosen["x"],
            age_months=chosen["age_months"],
        )
        .select(pl.col(name).cast(dtype) for name, dtype in CONTRIBUTION.items())
    )


def _model_lines(wanted: pl.DataFrame, model: _Model, parts: pl.DataFrame | None) -> pl.DataFrame:
    """Return the lines of the model: its base, its features in points, and what one factor could not share out."""
    known = np.flatnonzero(model.known)
    if not len(known):
        return _lines()
    base = _plain_lines(wanted, known, "base", "model", 100 * model.base_probability[known])
    subjects = wanted[known].drop("subject").with_row_index("owner")
    if parts is None:
        features = _lines()
        phi, owner = np.zeros(0), np.zeros(0, dtype=np.int64)
    else:
        raw = pl.col("raw_value").cast(pl.Float64) if "raw_value" in parts.columns else pl.lit(None, dtype=pl.Float64)
        shared = (
            parts.select(*[pl.col(name).cast(pl.String) for name in SUBJECT], "feature", "phi", raw_value=raw)
            .join(subjects, on=SUBJECT, how="inner")
            .sort("owner", "feature")
        )
        phi, owner = shared["phi"].to_numpy(), shared["owner"].cast(pl.Int64).to_numpy()
        features = shared
    points, remainder = scale_log_odds(
        phi, owner, probability=model.probability[known], base_probability=model.base_probability[known]
    )
    if len(features):
        features = _lines(
            features.select(
                *SUBJECT, "raw_value", kind=pl.lit("feature"), id=pl.col("feature"), points=pl.Series(points)
            )
        )
    left = np.flatnonzero(remainder)
    return pl.concat([base, features, _plain_lines(wanted, known[left], "calibration", "model", remainder[left])])


def _fusion_lines(wanted: pl.DataFrame, fused: _Fused, model: _Model) -> pl.DataFrame:
    """Return the lines of weighting, cap and floor; cap and floor only where they acted."""
    known = np.flatnonzero(model.known)
    capped, floored = np.flatnonzero(fused.cap), np.flatnonzero(fused.floor)
    return pl.concat(
        [
            _plain_lines(wanted, known, "weight", "rule", fused.off_rule[known]),
            _plain_lines(wanted, known, "weight", "model", fused.off_model[known]),
            _plain_lines(wanted, capped, "cap", "100", fused.cap[capped]),
            _plain_lines(wanted, floored, "floor", "sev5_floor", fused.floor[floored]),
        ]
    )


def _subjects_at(wanted: pl.DataFrame, rows: NDArray[np.integer]) -> pl.DataFrame:
    return wanted.select(SUBJECT)[pl.Series(rows, dtype=pl.UInt32)]


def _plain_lines(wanted: pl.DataFrame, rows: NDArray[np.integer], kind: str, id_: str, points: Floats) -> pl.DataFrame:
    """Return lines that have points and nothing else."""
    return _lines(_subjects_at(wanted, rows).with_columns(kind=pl.lit(kind), id=pl.lit(id_), points=pl.Series(points)))


def _lines(frame: pl.DataFrame | None = None) -> pl.DataFrame:
    """Complete a frame to the columns of contributions; without a frame, no lines."""
    if frame is None:
        return CONTRIBUTION.to_frame()
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in CONTRIBUTION.items()
    )


def _index(
    wanted: pl.DataFrame,
    fused: _Fused,
    shares: RuleShares,
    model: _Model,
    coverage: Floats,
    lines: pl.DataFrame,
    params: Mapping[str, float],
    as_of: dt.datetime,
) -> pl.DataFrame:
    """Return the rows of the table ``smoke_index``."""
    levels = [level(s, c, params) for s, c in zip(fused.score.tolist(), coverage.tolist(), strict=True)]
    model_score = pl.Series(100 * model.probability, nan_to_null=True)
    judged = coverage > 0
    return (
        wanted.join(_top(lines), on=SUBJECT, how="left", maintain_order="left")
        .with_columns(
            index_id=pl.Series(
                [index_id(kind, id_, as_of) for kind, id_ in wanted.select(SUBJECT).iter_rows()], dtype=pl.String
            ),
            as_of=pl.lit(as_of),
            score=pl.Series(np.where(judged | model.known, fused.score, np.nan), nan_to_null=True),
            level=pl.Series(levels, dtype=pl.String),
            rule_score=pl.Series(np.where(judged, np.clip(shares.rule_score, 0.0, 100.0), np.nan), nan_to_null=True),
            model_score=model_score,
            coverage=pl.Series(coverage),
            top_contributions=pl.col("top_contributions").fill_null("[]"),
            model_version_id=model.version,
        )
        .select(pl.col(name).cast(column.dtype) for name, column in SmokeIndex.columns().items())
    )


def index_id(subject_type: str, subject_id: str, as_of: dt.datetime) -> str:
    """Return the id of the index of one subject at one moment: the same moment in any zone gives the same id."""
    moment = as_of.astimezone(dt.UTC).isoformat(timespec="microseconds")
    return hashlib.sha256(f"{subject_type}\n{subject_id}\n{moment}".encode()).hexdigest()[:32]


def _top(lines: pl.DataFrame) -> pl.DataFrame:
    """Return the largest contributions of each subject as JSON: kind, id, points, and the id of the value behind it."""
    item = pl.struct("kind", "id", "points", "value_id").struct.json_encode()
    return (
        lines.filter(pl.col("points") != 0)
        .with_columns(item=item, size=pl.col("points").abs())
        .sort(*SUBJECT, "size", "kind", "id", descending=[False, False, True, False, False])
        .group_by(SUBJECT, maintain_order=True)
        .agg(pl.col("item").head(TOP_CONTRIBUTIONS))
        .select(*SUBJECT, top_contributions=pl.concat_str(pl.lit("["), pl.col("item").list.join(","), pl.lit("]")))
    )


def _without_value(values: pl.DataFrame, linked: pl.DataFrame, wanted: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """Return what was tried and has no value; of several reasons the latest in the order of reasons (rulings G8)."""
    order = pl.col("null_reason").replace_strict(REASONS, list(range(len(REASONS))), return_dtype=pl.Int64)
    places = list(range(len(columns.ids)))
    evidence = values.select(pl.col("evidence").cast(pl.String)).with_row_index("value")
    return (
        linked.filter(~pl.col("assessable").any().over("subject", "column"))
        .with_columns(reason=order)
        .sort("subject", "column", "reason", "rank", descending=[False, False, True, False])
        .unique(subset=["subject", "column"], keep="first", maintain_order=True)
        .join(wanted, on="subject")
        .join(evidence, on="value")
        .select(
            *SUBJECT,
            "null_reason",
            "evidence",
            id=pl.col("column").replace_strict(places, columns.ids, return_dtype=pl.String),
        )
        .sort(*SUBJECT, "id")
    )
