"""An agency and the tenderers and bidders that it serves (analysis 代理机构与招投标人)."""

import polars as pl

from features.assessment.chance import binomial_upper_tail, neg_log, poisson_upper_tail
from features.assessment.declare import Measure, NullReason, indicator
from features.assessment.shapes import at_least, at_most, ramp
from features.derive.agencies import AgencyShare, AgencyTriangle, AgencyWinRate

RAW = pl.col("raw_value")


@indicator("SI-059", reads=AgencyWinRate, p_value="p_value")
def agency_winner_lift(*, q_max: float, wins_min: int, elsewhere_min: int) -> Measure:
    """Win rate of one bidder (a control group) in one agency's tenders, beyond its rate under other agencies.

    The chance of so many wins is computed from the rate under other agencies in the same markets (binomial, upper tail)
    and controlled for the number of pairs looked at. An agency that serves one owner inherits that owner's winners.

    Grain: one row per agency and bidder. Unit: -log10 of the p-value, at most 10.
    Source: 招标投标法 第50条; 招标投标法实施条例 第13条; 政府采购法实施条例 第14条.
    """
    bids_min = 4
    n_bids, elsewhere = AgencyWinRate.n_bids.col, AgencyWinRate.n_bids_elsewhere.col
    enough = (n_bids >= bids_min) & (elsewhere >= elsewhere_min)
    enough_seen = (AgencyWinRate.n_bids_all.col >= bids_min) & (AgencyWinRate.n_bids_elsewhere_all.col >= elsewhere_min)
    p_value = binomial_upper_tail(
        AgencyWinRate.n_wins.col, n_bids, (AgencyWinRate.n_wins_elsewhere.col + 1) / (elsewhere + 2)
    )
    return Measure(
        raw_value=neg_log(p_value),
        support_n=n_bids,
        null_when={
            NullReason.MISSING_SOURCE: ~enough & ((n_bids == 0) | enough_seen),
            NullReason.TOO_FEW_OBSERVATIONS: AgencyWinRate.short_history.col | ~enough,
        },
        triggered=at_most(pl.col("q_value"), q_max) & (pl.col("n_wins") >= wins_min),
        intensity=ramp(RAW, 1.3, 4.0),
        evidence=AgencyWinRate.evidence.col,
        extras={
            "p_value": p_value,
            "n_wins": AgencyWinRate.n_wins.col,
            "n_bids_elsewhere": elsewhere,
            "n_wins_elsewhere": AgencyWinRate.n_wins_elsewhere.col,
        },
    )


@indicator("SI-060", reads=AgencyShare)
def agency_lock(*, share_min: float, n_min: int, agencies_min: int) -> Measure:
    """Share of a tenderer's tenders that one agency ran.

    A framework agreement with one agency for a year is allowed, so this is background for the other signs. Fees are in
    no source, tenders alone are counted.

    Grain: one row per tenderer and agency. Unit: ratio.
    Source: 招标投标法 第12条; 政府采购法 第19条.
    """
    return Measure(
        raw_value=AgencyShare.n_run.col / AgencyShare.n_tenders.col,
        support_n=AgencyShare.n_tenders.col,
        null_when={
            NullReason.TOO_FEW_OBSERVATIONS: AgencyShare.short_history.col | (AgencyShare.n_tenders.col < n_min)
        },
        triggered=at_least(RAW, share_min) & (pl.col("support_n") >= n_min) & (pl.col("n_agencies") >= agencies_min),
        intensity=ramp(RAW, 0.5, 1.0),
        evidence=AgencyShare.evidence.col,
        extras={"n_run": AgencyShare.n_run.col, "n_agencies": AgencyShare.n_agencies.col},
    )


@indicator("SI-061", reads=AgencyTriangle)
def agency_triangle(*, c_min: int, p_max: float) -> Measure:
    """How much more often a tenderer, its agency and a winner (a control group) meet than chance would have it.

    Expected is what the tenderer's use of the agency and its awards to the winner give if they are independent; a
    tenderer that always uses one agency tells nothing here. Of several tenderers the strongest stands for the pair.

    Grain: one row per tenderer, agency and winner. Unit: ratio (observed over expected tenders).
    Source: 招标投标法 第50条; 招标投标法实施条例 第41条; 政府采购法 第72条.
    """
    tenders_min = 6
    n_met, n_tenders = AgencyTriangle.n_met.col, AgencyTriangle.n_tenders.col
    expected = AgencyTriangle.n_agency.col * AgencyTriangle.n_winner.col / n_tenders
    return Measure(
        raw_value=n_met / expected,
        support_n=n_tenders,
        null_when={
            NullReason.TOO_FEW_OBSERVATIONS: AgencyTriangle.short_history.col | (n_tenders < tenders_min),
        },
        triggered=(pl.col("n_met") >= c_min) & at_most(pl.col("p_value"), p_max),
        intensity=ramp(RAW.log(2), 0.5, 2.5),
        evidence=AgencyTriangle.evidence.col,
        extras={
            "p_value": poisson_upper_tail(n_met, expected),
            "n_met": n_met,
            "n_expected": expected,
            "tenderer_org_id": AgencyTriangle.tenderer_org_id.col,
        },
    )
