"""Measuring and judging: the only evaluation there is, for batch, online scoring, training and tests."""

import polars as pl

from features.assessment.declare import Indicator, Measure, NullReason
from features.derive.multiplicity import with_q_values
from features.derive.peers import N_BIN, n_bin, with_peers

SUBJECT = "subject_id"


def measure(rows: pl.LazyFrame, one: Indicator) -> pl.LazyFrame:
    """Measure each subject on its own rows.

    Args:
        rows: rows of the derived table that the formula reads.
        one: the indicator.

    Returns:
        One row a subject (or a row of the table, where each is measured by itself): ``subject_id``, ``raw_value``
        (null when a reason forbids it), ``support_n``, ``null_reason``, ``evidence``, the extras, and the columns by
        which peers are found.
    """
    stated = one.measure()
    columns = {
        "raw_value": stated.raw_value.cast(pl.Float64),
        "support_n": stated.support_n.cast(pl.Int64),
        "null_reason": _first_reason(stated),
        "evidence": stated.evidence,
        **stated.extras,
    }
    rule = one.formula.peers
    if one.formula.per is None:
        measured = rows.select(pl.col(SUBJECT), **columns)
    else:
        if rule is not None:
            shared = [name for name in dict.fromkeys([*rule.always, *sum(rule.steps, ()), rule.at]) if name != N_BIN]
            columns |= {name: pl.col(name).first() for name in shared}
            columns[N_BIN] = n_bin(stated.support_n)
        measured = rows.group_by(pl.col(one.formula.per).alias(SUBJECT)).agg(**columns)
    return measured.with_columns(raw_value=pl.when(pl.col("null_reason").is_null()).then("raw_value"))


def compare(measured: pl.DataFrame, one: Indicator) -> pl.DataFrame:
    """Set the subjects of one run against each other: peer percentiles and q-values, where the formula asks."""
    formula = one.formula
    compared = measured.sort(SUBJECT, maintain_order=True)
    if formula.peers is not None:
        compared = with_peers(
            compared,
            formula.peers,
            peer_min=one.entry.params["peer_min"],
            window_months=one.entry.params["window_months"],
        )
    if formula.p_value is not None:
        assessable = pl.col("null_reason").is_null()
        compared = with_q_values(
            compared.with_columns(pl.when(assessable).then(formula.p_value).alias(formula.p_value)), formula.p_value
        )
    return compared


def judge(compared: pl.LazyFrame, one: Indicator) -> pl.LazyFrame:
    """Give each subject one of three answers: fired, clear, or not assessable with a reason.

    Args:
        compared: rows of ``compare`` (or of ``measure`` with ``peer_percentile`` and ``q_value`` set by hand).
        one: the indicator.

    Returns:
        One row a subject: ``subject_id``, ``assessable``, ``null_reason``, ``raw_value``, ``peer_percentile``,
        ``triggered``, ``intensity``, ``support_n``, ``evidence`` and the extras. Of several rows of one subject the
        strongest stands for it (rulings G8).
    """
    stated = one.measure()
    formula = one.formula
    reason = pl.col("null_reason")
    if formula.peers is not None:
        lonely = reason.is_null() & pl.col("peer_percentile").is_null()
        reason = pl.when(lonely).then(pl.lit(NullReason.TOO_FEW_OBSERVATIONS.value)).otherwise(reason)
    else:
        compared = compared.with_columns(peer_percentile=pl.lit(None, dtype=pl.Float64))
    judged = compared.with_columns(null_reason=reason).with_columns(assessable=pl.col("null_reason").is_null())
    where = pl.col("assessable")
    judged = judged.with_columns(**stated.after).with_columns(
        raw_value=pl.when(where).then("raw_value"),
        peer_percentile=pl.when(where).then("peer_percentile"),
        triggered=pl.when(where).then(stated.triggered.fill_null(value=False)),
        intensity=pl.when(where).then(stated.intensity.cast(pl.Float64)),
    )
    order = [r.value for r in NullReason]
    latest = pl.col("null_reason").replace_strict(order, list(range(len(order))), default=-1, return_dtype=pl.Int64)
    best_first = [pl.col(SUBJECT), ~where, latest, *[pl.col(name) for name, _ in formula.prefer]]
    descending = [False, False, True, *[down for _, down in formula.prefer]]
    return (
        judged.sort(best_first, descending=descending, nulls_last=True, maintain_order=True)
        .unique(subset=[SUBJECT], keep="first", maintain_order=True)
        .sort(SUBJECT)
    )


def _first_reason(stated: Measure) -> pl.Expr:
    """Return the first reason that holds, in the order of NullReason; null when none does."""
    reason: pl.Expr = pl.lit(None, dtype=pl.String)
    for candidate in reversed(NullReason):
        condition = stated.null_when.get(candidate)
        if condition is not None:
            reason = pl.when(condition.fill_null(value=False)).then(pl.lit(candidate.value)).otherwise(reason)
    return reason
