"""An agency and the tenderers and bidders that it serves (analysis 代理机构与招投标人)."""

import polars as pl

from features.assessment.chance import binomial_upper_tail, neg_log, poisson_upper_tail
from features.assessment.declare import Measure, NullReason, indicator
from features.assessment.shapes import at_least, at_most, ramp, robust_z
from features.derive.agencies import AgencyShare, AgencyTriangle, AgencyWinRate
from features.derive.agency_conduct import AgencyDisqualification, AgencyIrregularity, ReferenceHit
from features.derive.agency_devices import AgencyDevice
from features.derive.agency_interest import AgencyTie

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


@indicator("SI-062", reads=AgencyTie)
def agency_affiliated(*, score_min: float) -> Measure:
    """Whether an agency is tied to a tenderer or bidder of a tender that it ran.

    Ties are control, somebody who served or was insured at both, related executives, or enough of address, contact and
    common holders. Public agencies under one finance bureau share addresses.

    Grain: one row per agency and organisation. Unit: 0 or 1.
    Source: 招标投标法 第14条; 招标投标法实施条例 第13条; 招标投标法实施条例 第65条;
    政府采购货物和服务招标投标管理办法 第8条.
    """
    score = AgencyTie.affiliation_score.col
    tied = AgencyTie.control.col | AgencyTie.person.col | AgencyTie.relation.col | at_least(score, score_min)
    return Measure(
        raw_value=tied.cast(pl.Float64),
        support_n=AgencyTie.n_tenders.col,
        null_when={NullReason.MISSING_SOURCE: ~AgencyTie.registered.col & ~tied},
        triggered=RAW == 1,
        intensity=RAW,
        evidence=AgencyTie.evidence.col,
        extras={
            "control": AgencyTie.control.col,
            "person": AgencyTie.person.col,
            "relation": AgencyTie.relation.col,
            "affiliation_score": score,
        },
    )


@indicator("SI-063", reads=AgencyDevice)
def agency_device_overlap() -> Measure:
    """Whether bid files came from a computer or address on which the agency made tender documents.

    An author may come with the agency's own template, so names count only where author and last editor agree both.

    Grain: one row per agency and bidder. Unit: 0 or 1.
    Source: 招标投标法实施条例 第13条; 招标投标法实施条例 第41条; 招标投标法实施条例 第65条; 招标投标法 第50条.
    """
    same = {
        "machine_code": AgencyDevice.machine_code.col,
        "mac_address": AgencyDevice.mac_address.col,
        "ip_address": AgencyDevice.ip_address.col,
        "names": AgencyDevice.names.col,
    }
    overlap = pl.any_horizontal(same.values())
    return Measure(
        raw_value=overlap.cast(pl.Float64),
        support_n=AgencyDevice.n_tenders.col,
        null_when={
            NullReason.MISSING_SOURCE: ~AgencyDevice.comparable.col & ~overlap,
            NullReason.TOO_FEW_OBSERVATIONS: AgencyDevice.short_history.col,
        },
        triggered=RAW == 1,
        intensity=RAW,
        evidence=AgencyDevice.evidence.col,
        extras=same,
    )


@indicator("SI-064", reads=AgencyDisqualification)
def agency_disqualify(*, bids_min: int, lots_min: int) -> Measure:
    """Share of the bids in an agency's tenders that were disqualified.

    Fires above the upper fence of the agencies with enough bids. Complex works see more non-responsive bids, so look at
    what the agency handles. Lots left with three or fewer valid bids are told beside it.

    Grain: one row per agency. Unit: ratio.
    Source: 招标投标法实施条例 第32条; 招标投标法实施条例 第51条; 招标投标法 第50条.
    """
    agencies_min = 8
    n_bids, n_lots = AgencyDisqualification.n_bids.col, AgencyDisqualification.n_lots.col
    return Measure(
        raw_value=AgencyDisqualification.n_disqualified.col / n_bids,
        support_n=n_bids,
        null_when={
            NullReason.NOT_APPLICABLE: AgencyDisqualification.fence.col.round(9) == 0,
            NullReason.MISSING_SOURCE: (n_bids < bids_min)
            & ((n_bids == 0) | (AgencyDisqualification.n_bids_all.col >= bids_min)),
            NullReason.TOO_FEW_OBSERVATIONS: AgencyDisqualification.short_history.col
            | (n_bids < bids_min)
            | (AgencyDisqualification.n_agencies.col < agencies_min),
        },
        triggered=at_least(RAW, pl.col("fence")) & (pl.col("n_lots") >= lots_min),
        intensity=ramp(RAW / pl.col("fence"), 0.7, 1.3),
        evidence=AgencyDisqualification.evidence.col,
        extras={
            "fence": AgencyDisqualification.fence.col,
            "n_agencies": AgencyDisqualification.n_agencies.col,
            "n_lots": n_lots,
            "left_few_share": AgencyDisqualification.n_lots_left_few.col / n_lots,
        },
    )


@indicator("SI-065", reads=AgencyIrregularity)
def agency_irregular(*, z_min: float, n_min: int) -> Measure:
    """How far an agency stands out by corrections of tender documents, late ones above all, and failed tenders.

    Each tender is rated 0..1; the mean is set against the median of the agencies in robust standard deviations. Active
    question periods are healthy: clarifications in time weigh least.

    Grain: one row per agency. Unit: robust z, -10..10.
    Source: 招标投标法 第23条; 招标投标法实施条例 第21条; 招标投标法实施条例 第64条.
    """
    n_tenders, irregularity = AgencyIrregularity.n_tenders.col, AgencyIrregularity.irregularity.col
    return Measure(
        raw_value=robust_z(irregularity, AgencyIrregularity.median.col, AgencyIrregularity.mad.col),
        support_n=n_tenders,
        null_when={
            NullReason.MISSING_SOURCE: (n_tenders < n_min)
            & ((n_tenders == 0) | (AgencyIrregularity.n_tenders_all.col >= n_min)),
            NullReason.TOO_FEW_OBSERVATIONS: AgencyIrregularity.short_history.col | (n_tenders < n_min),
        },
        triggered=at_least(RAW, z_min) & (pl.col("support_n") >= n_min),
        intensity=ramp(RAW, 1.5, 3.5),
        evidence=AgencyIrregularity.evidence.col,
        extras={
            "irregularity": irregularity,
            "median": AgencyIrregularity.median.col,
            "n_late": AgencyIrregularity.n_late.col,
            "n_failed": AgencyIrregularity.n_failed.col,
        },
    )


@indicator("SI-066", reads=ReferenceHit)
def price_leak(*, gap_min: float, p_max: float, hits_min: int) -> Measure:
    """How much more often winners in one agency's or tenderer's lots price within a hair of a secret reference.

    A reference is an unpublished estimate or a benchmark drawn at opening. Quota pricing lets skilled bidders come near
    the estimate, so the share is set against other lots of the same markets.

    Grain: one row per organisation and role. Unit: difference of ratios, -1..1.
    Source: 招标投标法 第22条; 招标投标法 第52条; 招标投标法实施条例 第41条; 政府采购法 第72条.
    """
    lots_min = 8
    n_lots, n_near, n_market = ReferenceHit.n_lots.col, ReferenceHit.n_near.col, ReferenceHit.n_lots_market.col
    market_share = ReferenceHit.n_near_market.col / n_market
    return Measure(
        raw_value=n_near / n_lots - market_share,
        support_n=n_lots,
        null_when={
            NullReason.TOO_FEW_OBSERVATIONS: ReferenceHit.short_history.col | (n_lots < lots_min) | (n_market == 0),
        },
        triggered=at_least(RAW, gap_min) & at_most(pl.col("p_value"), p_max) & (pl.col("n_near") >= hits_min),
        intensity=ramp(RAW, 0.1, 0.5),
        evidence=ReferenceHit.evidence.col,
        extras={
            "p_value": binomial_upper_tail(n_near, n_lots, market_share),
            "n_near": n_near,
            "market_share": market_share,
            "n_lots_market": n_market,
            "role": ReferenceHit.role.col,
        },
    )
