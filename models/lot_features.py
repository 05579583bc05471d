"""What the models of the analysis 围标串标 read of a lot: one ordered list of features, each with its version."""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import polars as pl

from features.build import lot_screens
from features.derive.lot_shape import LotShape
from features.indicators.catalogue import entries
from features.tables.source import SourceTables

SCREENS = ("SI-022", "SI-023", "SI-024", "SI-025", "SI-026", "SI-027", "SI-028")
SHAPE_VERSIONS = {
    "n_bids_log": 1,
    "second_gap_to_mean_gap": 1,
    "second_gap_to_losing_gap": 1,
    "second_gap_to_range": 1,
    "second_gap_to_third": 1,
    "lowest_below_mean": 1,
    "second_below_mean": 1,
    "losing_cv": 1,
    "near_lowest_1pct": 1,
    "near_lowest_2pct": 1,
    "near_lowest_5pct": 1,
    "highest_to_median": 1,
    "lowest_to_median": 1,
    "equal_share": 1,
    "gap_cv": 1,
    "lowest_to_control": 1,
    "mean_to_control": 1,
    "winner_rank": 1,
    "winner_above_lowest": 1,
}
"""Columns of ``LotShape`` in the model's order; a version rises when the values of a column change."""
REQUIRED = frozenset({"SI-022", "n_bids_log"})
"""Without these a lot has no shape to judge, and the model gives no answer; the trees bear nulls in the others."""
LOT_COLUMNS = ("lot_id", "tender_id", "opening_at", "region_code", "object_type")


@dataclass(frozen=True)
class Feature:
    """A column that a model reads.

    Attributes:
        id: the indicator's id for a raw screen, otherwise the column of ``LotShape``.
        version: the indicator's version, or the column's.
        required: the model gives no answer where it is null.
    """

    id: str
    version: int
    required: bool


@cache
def feature_list() -> tuple[Feature, ...]:
    """Return the features in the model's order: raw price screens, then the shape of the prices."""
    versions = {entry.id: entry.version for entry in entries() if entry.id in SCREENS} | SHAPE_VERSIONS
    order = [*SCREENS, *SHAPE_VERSIONS]
    return tuple(Feature(name, versions[name], required=name in REQUIRED) for name in order)


def feature_signature(features: Sequence[Feature]) -> str:
    """Return a fingerprint of ids, versions and order (16 hex digits of SHA-256)."""
    stated = ",".join(f"{one.id}:{one.version}:{int(one.required)}" for one in features)
    return hashlib.sha256(stated.encode()).hexdigest()[:16]


def lot_features(screens: pl.DataFrame, shape: pl.DataFrame) -> pl.DataFrame:
    """Put the features of each lot side by side.

    Args:
        screens: the result of ``features.build.lot_screens``.
        shape: rows of ``LotShape``.

    Returns:
        One row a lot of ``screens``: lot_id, tender_id, opening_at, region_code, object_type, then the features as
        Float64 in the model's order, null where not measurable. Sorted by lot_id.
    """
    joined = screens.join(shape, on="lot_id", how="left")
    return joined.select(*LOT_COLUMNS, *[pl.col(one.id).cast(pl.Float64) for one in feature_list()]).sort("lot_id")


def measured_lots(source: SourceTables, as_of: dt.datetime) -> pl.DataFrame:
    """Measure the features of every lot opened at or before a moment; columns as in ``lot_features``."""
    return lot_features(lot_screens(source, as_of), LotShape.derive(source, as_of).collect())
