"""Bidders that always meet: their ties, the cliques that these form, and who wins inside a clique."""

import datetime as dt

import polars as pl

from features.derive.bidders import LIFT, OVERLAP, CoBidding, cobidding_p_value
from features.derive.multiplicity import with_q_values
from features.tables.source import SourceTables

WINDOW_MONTHS = 36
"""SI-034.window_months; likewise the following."""
C_MIN = 5
LIFT_MIN = 2.0
OVERLAP_MIN = 0.6
Q_MAX = 0.01
LOTS_MIN = 30


def cobidding_ties(source: SourceTables, as_of: dt.datetime) -> pl.DataFrame:
    """Return the pairs of organisations of which SI-034 says that they always meet: org_id_1, org_id_2, sorted.

    The market with the smallest p-value speaks for a pair (rulings SI-034).
    """
    counted = CoBidding.derive(source, as_of, WINDOW_MONTHS, C_MIN, LOTS_MIN)
    enough = (pl.col("n_lots") >= LOTS_MIN) & (pl.col("n_1") >= C_MIN) & (pl.col("n_2") >= C_MIN)
    assessable = enough & ~pl.col("only_incomplete") & ~pl.col("short_history")
    tested = counted.filter(assessable).with_columns(p_value=cobidding_p_value(), lift=LIFT, overlap=OVERLAP).collect()
    pair = ["org_id_1", "org_id_2"]
    often = (pl.col("lift").round(9) >= LIFT_MIN) | (pl.col("overlap").round(9) >= OVERLAP_MIN)
    return (
        with_q_values(tested, "p_value")
        .sort(*pair, "p_value", "n_both", "market", descending=[False, False, False, True, False])
        .unique(pair, keep="first", maintain_order=True)
        .filter(pl.col("n_both") >= C_MIN, often, pl.col("q_value").round(9) <= Q_MAX)
        .select(pair)
    )
