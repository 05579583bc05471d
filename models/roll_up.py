"""Rolling indicator values up to the scored subjects: which value stands for which subject, and what was assessable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.assessment.declare import Entry, NullReason
from models.contributions import Floats

SUBJECT = ["subject_type", "subject_id"]

ANSWERS_FOR = {
    "bidder": frozenset({"bid_rigging"}),
    "tenderer": frozenset({"tenderer_repeat_winner", "expert_ties"}),
    "agency": frozenset({"tenderer_repeat_winner", "expert_ties"}),
}
"""For which analyses an organisation answers with the values of a lot, by its role there; other roles take all."""

ABSENT, ASSESSABLE, EXCLUDED, UNASSESSABLE = 0, 1, 2, 3
EXCLUDING = [NullReason.NOT_APPLICABLE.value, NullReason.NOT_DUE.value]
REASONS = [reason.value for reason in NullReason]


def effect(params: Mapping[str, float]) -> pl.Expr:
    """Return x of an indicator value: its strength in 0..1, before age; null where it is not assessable."""
    intensity = pl.col("intensity").fill_null(0.0)
    strength = (
        pl.when(pl.col("triggered").fill_null(value=False))
        .then(pl.max_horizontal(intensity, pl.lit(float(params["trigger_floor"]))))
        .otherwise(params["untriggered_scale"] * intensity)
    )
    return pl.when(pl.col("assessable")).then(strength)


@dataclass(frozen=True)
class Columns:
    """The indicators that can have a value, in the fixed order of the matrices."""

    ids: list[str]
    entries: list[Entry]
    weights: Floats
    families: list[list[int]]

    @classmethod
    def of(cls, entries: Sequence[Entry], values: pl.DataFrame, params: Mapping[str, float]) -> "Columns":
        """Return the built indicators and those that ``values`` hold, sorted by id."""
        measured = set(values["indicator_id"].unique())
        known = sorted((e for e in entries if e.state == "built" or e.id in measured), key=lambda entry: entry.id)
        families: dict[str, list[int]] = {}
        for position, entry in enumerate(known):
            families.setdefault(entry.family, []).append(position)
        return cls(
            [entry.id for entry in known],
            known,
            np.array([params[f"w{entry.severity}"] for entry in known], dtype=np.float64),
            [families[name] for name in sorted(families)],
        )


def wanted_subjects(links: pl.DataFrame, subjects: pl.DataFrame | None) -> pl.DataFrame:
    """Return the subjects to score, sorted and numbered by ``subject``."""
    keys = (links if subjects is None else subjects).select(pl.col(name).cast(pl.String) for name in SUBJECT)
    return keys.unique().sort(SUBJECT).with_row_index("subject")


def linked_values(
    values: pl.DataFrame, links: pl.DataFrame, wanted: pl.DataFrame, columns: Columns, params: Mapping[str, float]
) -> pl.DataFrame:
    """Join every subject with the values that count for it.

    Columns: subject, column (positions), value (row of ``values``), x (0 to 1, aged; -1 where not assessable), raw
    facts that the status needs.
    """
    measured = (
        values.with_row_index("value")
        .with_columns(pl.col("subject_type").cast(pl.String), pl.col("null_reason").cast(pl.String))
        .with_columns(x=effect(params).fill_null(-1.0))
        # Among equal x the order here decides: triggered, larger raw value, then the id.
        .sort(
            pl.col("triggered").fill_null(value=False),
            "raw_value",
            "subject_type",
            "subject_id",
            descending=[True, True, False, False],
            nulls_last=True,
        )
        .with_row_index("rank")
        .select(
            "value",
            "rank",
            "x",
            "assessable",
            "triggered",
            "null_reason",
            of_type="subject_type",
            of_id="subject_id",
            column=pl.col("indicator_id").replace_strict(
                columns.ids, list(range(len(columns.ids))), return_dtype=pl.UInt32
            ),
        )
    )
    entries = pl.DataFrame(
        {"column": list(range(len(columns.ids))), "analysis": [entry.analysis for entry in columns.entries]},
        schema={"column": pl.UInt32, "analysis": pl.String},
    )
    half_life = float(params["half_life_months"])
    answers = pl.lit(value=True)
    for role, analyses in ANSWERS_FOR.items():
        answers = pl.when(pl.col("role") == role).then(pl.col("analysis").is_in(sorted(analyses))).otherwise(answers)
    return (
        links.lazy()
        .join(wanted.lazy(), on=SUBJECT, how="inner")
        .select("subject", "of_type", "of_id", "role", "age_months")
        .join(measured.lazy(), on=["of_type", "of_id"], how="inner")
        .join(entries.lazy(), on="column", how="left")
        .filter(answers)
        .select(
            "subject",
            "column",
            "value",
            "rank",
            "age_months",
            "assessable",
            "triggered",
            "null_reason",
            "of_type",
            "of_id",
            x=pl.when(pl.col("x") > 0)
            .then(pl.col("x") * pl.lit(0.5).pow(pl.col("age_months") / half_life))
            .otherwise("x"),
        )
        .collect()
    )


def strongest(linked: pl.DataFrame) -> pl.DataFrame:
    """Return the one assessable value that stands for each subject and indicator.

    Columns: subject, column, value, x, age_months.
    """
    return (
        linked.filter("assessable")
        .select("subject", "column", "value", "rank", "x", "age_months")
        .sort("subject", "column", "x", "rank", "age_months", descending=[False, False, True, False, False])
        .unique(subset=["subject", "column"], keep="first", maintain_order=True)
        .drop("rank")
    )


def status_of(linked: pl.DataFrame, n_subjects: int, columns: Columns) -> NDArray[np.int8]:
    """Return ABSENT, ASSESSABLE, EXCLUDED (not applicable) or UNASSESSABLE for each subject and indicator."""
    per_cell = linked.group_by("subject", "column").agg(
        assessable=pl.col("assessable").any(),
        excluded=pl.col("null_reason").is_in(EXCLUDING).fill_null(value=False).all(),
    )
    code = (
        pl.when("assessable")
        .then(pl.lit(ASSESSABLE))
        .when("excluded")
        .then(pl.lit(EXCLUDED))
        .otherwise(pl.lit(UNASSESSABLE))
    )
    status = np.full((n_subjects, len(columns.ids)), ABSENT, dtype=np.int8)
    at = (per_cell["subject"].to_numpy(), per_cell["column"].to_numpy())
    status[at] = per_cell.select(code.cast(pl.Int8)).to_series().to_numpy()
    return status


def coverage_of(
    status: NDArray[np.int8], entries: Sequence[Entry], columns: Columns, params: Mapping[str, float]
) -> Floats:
    """Return the weight of the assessable indicators over that of the applicable ones, 0 where none is applicable."""
    assessable = np.zeros(len(status))
    applicable = np.zeros(len(status))
    position = {id_: column for column, id_ in enumerate(columns.ids)}
    for entry in sorted(entries, key=lambda one: one.id):
        weight = params[f"w{entry.severity}"]
        column = position.get(entry.id)
        if column is None:
            applicable += weight
        else:
            applicable += weight * (status[:, column] != EXCLUDED)
            assessable += weight * (status[:, column] == ASSESSABLE)
    return np.divide(assessable, applicable, out=np.zeros(len(status)), where=applicable > 0)
