"""From source tables to indicator values, as of a moment: the one run that batch, service and training call."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from features.assessment.declare import Indicator
from features.assessment.evaluate import SUBJECT, compare, judge, measure
from features.derive.bids import LotBid
from features.derive.derived import Derived
from features.derive.lots import lot_facts
from features.indicators.built import indicators
from features.tables.results import IndicatorValue
from features.tables.source import SourceTables

COMPARED = ("q_value", "peer_q1", "peer_q3", "peer_n", "peer_step")
"""What comparison adds to a subject; shown in the evidence as the fields of the result itself."""


def indicator_values(source: SourceTables, as_of: dt.datetime, *, run_id: str = "") -> pl.DataFrame:
    """Evaluate every built indicator on every subject with rows known at ``as_of``.

    Args:
        source: the tables, already cut to what was known (``known_at``).
        as_of: only events at or before this moment count.
        run_id: names the run in the result.

    Returns:
        Rows of ``IndicatorValue``: one a subject and indicator, sorted. Subjects that cannot be judged are there with
        their reason.
    """
    tables = source.collected()
    first = [one for one in indicators() if not one.formula.reads.READS_VALUES]
    after = [one for one in indicators() if one.formula.reads.READS_VALUES]
    values = _judged(tables, as_of, first, run_id)
    told = tables.overlaid({IndicatorValue.NAME: values.filter("triggered")})
    return pl.concat([values, _judged(told, as_of, after, run_id)]).sort("indicator_id", "subject_id")


def lot_screens(source: SourceTables, as_of: dt.datetime) -> pl.DataFrame:
    """Return the raw price screens of each lot, for models.

    Returns:
        One row a lot with bids known at ``as_of``: lot_id, tender_id, opening_at, region_code, currency, object_type,
        evaluation_method, n_valid, and SI-022..SI-028 as ratios or numbers; a screen is null where it cannot be
        computed on the lot itself (peers do not matter here).
    """
    tables = source.collected()
    screens = [one for one in indicators() if one.formula.reads is LotBid]
    lots = (
        lot_facts(tables, as_of)
        .filter("opened")
        .select("lot_id", "tender_id", "opening_at", "region_code", "currency", "object_type", "evaluation_method")
        .collect()
    )
    for place, (one, measured) in enumerate(_measured(tables, as_of, screens)):
        columns = {"lot_id": pl.col(SUBJECT), one.entry.id: pl.col("raw_value")}
        if place == 0:
            columns["n_valid"] = pl.col("support_n")
        lots = lots.join(measured.select(**columns), on="lot_id", how="inner" if place == 0 else "left")
    fixed = [name for name in lots.columns if not name.startswith("SI-")]
    return lots.select(*fixed, *[one.entry.id for one in screens]).sort("lot_id")


def _judged(tables: SourceTables, as_of: dt.datetime, wanted: Sequence[Indicator], run_id: str) -> pl.DataFrame:
    """Evaluate indicators on every subject."""
    results = [
        _values(one, judge(compare(measured, one).lazy(), one).collect(), as_of, run_id)
        for one, measured in _measured(tables, as_of, wanted)
    ]
    return pl.concat(results).select(IndicatorValue.column_names())


def _measured(
    tables: SourceTables, as_of: dt.datetime, wanted: Sequence[Indicator]
) -> list[tuple[Indicator, pl.DataFrame]]:
    """Measure indicators, deriving each table they read once."""
    derived: dict[tuple[type[Derived], str], pl.DataFrame] = {}
    plans: list[pl.LazyFrame] = []
    for one in wanted:
        params = one.derive_params()
        key = (one.formula.reads, json.dumps(params, sort_keys=True))
        if key not in derived:
            derived[key] = one.formula.reads.derive(tables, as_of, **params).collect()
        plans.append(measure(derived[key].lazy(), one))
    return list(zip(wanted, pl.collect_all(plans), strict=True))


def _values(one: Indicator, judged: pl.DataFrame, as_of: dt.datetime, run_id: str) -> pl.DataFrame:
    """Shape judged subjects as rows of IndicatorValue."""
    entry = one.entry
    stated = one.measure()
    shown = [
        *stated.extras,
        *stated.after,
        *[name for name in COMPARED if name in judged.columns and name not in stated.extras],
    ]
    result = pl.struct(
        pl.lit("indicator_value").alias("table"),
        pl.format("{}:{}", pl.lit(entry.id), SUBJECT).alias("key"),
        pl.struct(*[pl.col(name) for name in dict.fromkeys(["support_n", *shown])]).alias("fields"),
    ).struct.json_encode()
    rows = pl.col("evidence").str.strip_prefix("[").str.strip_suffix("]")
    moment = as_of.isoformat()
    return judged.with_columns(
        value_id=pl.col(SUBJECT).map_elements(
            lambda subject: _value_id(entry.id, subject, moment), return_dtype=pl.String
        ),
        indicator_id=pl.lit(entry.id),
        subject_type=pl.lit(entry.subject_level),
        as_of=pl.lit(as_of).dt.convert_time_zone("Asia/Shanghai").dt.cast_time_unit("us"),
        evidence=pl.when(rows == "").then(pl.format("[{}]", result)).otherwise(pl.format("[{},{}]", result, rows)),
        param_snapshot=pl.lit(_snapshot(entry.params, entry.version)),
        run_id=pl.lit(run_id),
    ).select(pl.col(name).cast(column.dtype) for name, column in IndicatorValue.columns().items())


def _value_id(indicator_id: str, subject_id: str, moment: str) -> str:
    return hashlib.sha256(f"{indicator_id}|{subject_id}|{moment}".encode()).hexdigest()[:24]


def _snapshot(params: Mapping[str, Any], version: int) -> str:
    return json.dumps({"version": version, **params}, sort_keys=True, ensure_ascii=False)
