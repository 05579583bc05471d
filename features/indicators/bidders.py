"""Bidders among each other: who is tied to whom, who always loses, always meets, steps back (analysis 围标串标)."""

import polars as pl

from features.assessment.declare import Measure, NullReason, indicator
from features.assessment.shapes import at_least, at_most, ramp
from features.derive.affiliations import WEIGHTS, CommonControl, WeakAffiliation, weighted
from features.derive.bidders import LIFT, OVERLAP, BidderRecord, CoBidding, cobidding_p_value
from features.derive.withdrawals import Withdrawal

RAW = pl.col("raw_value")


@indicator("SI-020", reads=CommonControl)
def common_control() -> Measure:
    """Whether two bidders of one lot are under one hand on the day of the opening.

    One controls the other or a third hand controls both, step by step above the ratio; or one person represents both;
    or most directors and managers are the same. The state is no hand: a chain ends at a government body.

    Grain: one row per pair and day of opening. Unit: 0 or 1.
    Source: 招标投标法实施条例 第34条; 政府采购法实施条例 第18条; OCP red flags R032 and R033.
    """
    tied = CommonControl.tied.col
    return Measure(
        raw_value=tied.cast(pl.Float64),
        support_n=CommonControl.n_lots.col,
        null_when={NullReason.MISSING_SOURCE: ~tied & ~CommonControl.known.col},
        triggered=RAW == 1,
        intensity=RAW,
        evidence=CommonControl.evidence.col,
        extras={"ties": CommonControl.ties.col},
    )


@indicator("SI-021", reads=WeakAffiliation)
def weak_affiliation(*, score_min: float) -> Measure:
    """How much two bidders of one lot share short of control: address, contact, managers, a holder, employees.

    Registration agents lend address and phone to hundreds of firms: a value of more than twenty firms says nothing.
    A pair is assessable when what is known of both could add up to the threshold.

    Grain: one row per pair and day of opening. Unit: weighted score, 0..1.
    Source: 招标投标法实施条例 第39条; 招标投标法实施条例 第40条; OCP red flags R042 and R044.
    """
    return Measure(
        raw_value=weighted("same"),
        support_n=WeakAffiliation.n_lots.col,
        null_when={NullReason.MISSING_SOURCE: ~at_least(weighted("known"), score_min)},
        triggered=at_least(RAW, score_min),
        intensity=ramp(RAW, 0.1, 0.6),
        evidence=WeakAffiliation.evidence.col,
        extras={f"same_{name}": pl.col(f"same_{name}") for name in WEIGHTS},
    )


@indicator("SI-033", reads=BidderRecord)
def cover_bidder(*, m_min: int, rate_max: float, top_min: float) -> Measure:
    """How far one organisation looks like a habitual cover bidder.

    It bids often, hardly ever wins, and loses to one and the same control group. Newcomers and mass bidders under
    random-like rules lose often too: the share lost to one group tells them apart.

    Grain: one row per organisation. Unit: weighted score, 0..1.
    Source: 招标投标法实施条例 第39条; 政府采购法 第77条; OCP red flags R025 and R053.
    """
    rate = BidderRecord.n_wins.col / BidderRecord.n_bids.col
    score = (
        0.35 * (1 - ramp(rate, 0.01, 0.10))
        + 0.35 * ramp(BidderRecord.top_share.col, 0.2, 0.6)
        + 0.15 * ramp(BidderRecord.gap.col, 0.03, 0.12)
        + 0.15 * ramp(BidderRecord.disqualified_share.col, 0.1, 0.4)
    )
    n_bids, n_incomplete = BidderRecord.n_bids.col, BidderRecord.n_incomplete.col
    return Measure(
        raw_value=score,
        support_n=n_bids,
        null_when={
            NullReason.MISSING_SOURCE: (n_bids < m_min) & ((n_bids == 0) | (n_bids + n_incomplete >= m_min)),
            NullReason.TOO_FEW_OBSERVATIONS: BidderRecord.short_history.col | (n_bids < m_min),
        },
        triggered=(pl.col("support_n") >= m_min)
        & at_most(pl.col("win_rate"), rate_max)
        & at_least(pl.col("top_share"), top_min),
        intensity=RAW,
        evidence=BidderRecord.evidence.col,
        extras={
            "win_rate": rate,
            "n_wins": BidderRecord.n_wins.col,
            "top_share": BidderRecord.top_share.col,
            "gap": BidderRecord.gap.col,
            "disqualified_share": BidderRecord.disqualified_share.col,
        },
    )


@indicator(
    "SI-034",
    reads=CoBidding,
    p_value="p_value",
    prefer=(("p_value", False), ("n_both", True), ("market", False)),
)
def cobidding_lift(*, c_min: int, lift_min: float, overlap_min: float, q_max: float, lots_min: int) -> Measure:
    """How much more often two organisations of different control groups meet than chance would have it.

    Within one market: the number of common lots against its hypergeometric expectation, controlled for all eligible
    pairs, also those that never met. Grade and place make natural co-bidders, so markets are cut by qualification where
    the data allow. The market with the smallest p-value stands for the pair.

    Grain: one row per pair and market. Unit: ratio (observed over expected common lots).
    Source: 招标投标法实施条例 第39条; 反垄断法 第17条; OCP red flags R044 and R053.
    """
    n, a, b, c = (CoBidding.n_lots.col, CoBidding.n_1.col, CoBidding.n_2.col, CoBidding.n_both.col)
    enough = (n >= lots_min) & (a >= c_min) & (b >= c_min)
    lifted = pl.max_horizontal(ramp(RAW.log(2), 0.6, 2.5), ramp(pl.col("overlap"), 0.5, 0.95))
    return Measure(
        raw_value=LIFT,
        support_n=c,
        null_when={
            NullReason.MISSING_SOURCE: CoBidding.only_incomplete.col,
            NullReason.TOO_FEW_OBSERVATIONS: CoBidding.short_history.col | ~enough,
        },
        triggered=(pl.col("n_both") >= c_min)
        & (at_least(RAW, lift_min) | at_least(pl.col("overlap"), overlap_min))
        & at_most(pl.col("q_value"), q_max),
        intensity=lifted * ramp(pl.col("n_both").cast(pl.Float64), c_min - 1, 3 * c_min),
        evidence=CoBidding.evidence.col,
        extras={
            "p_value": cobidding_p_value(),
            "overlap": OVERLAP,
            "n_both": c,
            "n_1": a,
            "n_2": b,
            "n_lots": n,
            "market": CoBidding.market.col,
            "n_tests": CoBidding.n_tests.col,
        },
    )


@indicator("SI-036", reads=Withdrawal)
def abnormal_withdrawal(*, rep_min: int) -> Measure:
    """Whether a winning bid of one lot was given up and a dearer one won, and what makes that suspicious.

    The first candidate stepped back, or a cheaper bid was withdrawn or not decrypted. A link to the winner and a habit
    of stepping back add to it. A failed guarantee or a jump of prices is an honest reason: read what was given.

    Grain: one row per lot, and per who gave up and who won. Unit: 0, or 0.4 to 1.
    Source: 招标投标法 第45条; 招标投标法实施条例 第55条; OCP red flag R027.
    """
    happened = Withdrawal.happened.col
    repeated = Withdrawal.n_abandoned.col >= rep_min
    return Measure(
        raw_value=happened.cast(pl.Float64)
        * (0.4 + 0.3 * Withdrawal.linked.col.cast(pl.Float64) + 0.3 * repeated.cast(pl.Float64)),
        support_n=Withdrawal.n_candidates.col,
        null_when={
            NullReason.MISSING_SOURCE: ~happened & ~Withdrawal.known.col,
            NullReason.TOO_FEW_OBSERVATIONS: Withdrawal.short_history.col,
        },
        triggered=at_least(RAW, 0.7),
        intensity=RAW,
        evidence=Withdrawal.evidence.col,
        extras={"linked": Withdrawal.linked.col, "n_abandoned": Withdrawal.n_abandoned.col},
    )
