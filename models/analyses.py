"""The seven analyses: for each its subjects, ranked by the indicators of that analysis alone."""

import datetime as dt
from collections.abc import Mapping, Sequence

import polars as pl

from features.assessment.declare import Entry
from models.index import Scored, score_subjects
from models.roll_up import SUBJECT


def analysed(
    values: pl.DataFrame, entries: Sequence[Entry], params: Mapping[str, float], name: str, as_of: dt.datetime
) -> Scored:
    """Score every subject that an indicator of one analysis was measured on, by these indicators alone.

    Args:
        values: indicator values, columns of ``IndicatorValue``.
        entries: the catalogue.
        params: the parameters ``INDEX.*`` without prefix.
        name: such as ``bid_rigging``.
        as_of: the moment.

    Returns:
        As ``score_subjects``; no value counts for another subject than its own.
    """
    own = [entry for entry in entries if entry.analysis == name]
    measured = values.filter(pl.col("indicator_id").is_in([entry.id for entry in own]))
    subjects = measured.select(pl.col(SUBJECT).cast(pl.String)).unique().sort(SUBJECT)
    links = subjects.with_columns(
        of_type="subject_type", of_id="subject_id", role=pl.lit("self"), age_months=pl.lit(0.0)
    )
    return score_subjects(measured, links, own, params, as_of=as_of)
