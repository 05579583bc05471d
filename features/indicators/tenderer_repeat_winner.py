"""A tenderer and its repeated winner (analysis 招标人与多次中标人)."""

import polars as pl

from features.assessment.chance import binomial_upper_tail, neg_log
from features.assessment.declare import Measure, NullReason, indicator
from features.assessment.shapes import at_least, at_most, ramp
from features.derive.tenderers import TendererAward, TendererCompetition, TendererWinRate, WinningRun

RAW = pl.col("raw_value")
NULL_AMOUNT_MAX = 0.2


@indicator("SI-001", reads=TendererAward)
def tenderer_winner_share(
    *, share_min: float, n_awards_min: int, wins_min: int, share_lo: float, share_hi: float
) -> Measure:
    """Share of a tenderer's awarded money that one winner (a control group) received.

    Small owners and specialised works have few capable bidders: read it with SI-002 before any action. Money is summed
    within one currency; of several the strongest stands.

    Grain: one row per tenderer, winner and currency. Unit: ratio.
    Source: 招标投标法 第5条; 政府采购法 第25条; 优化营商环境条例 第13条.
    """
    total = TendererAward.total_amount.col.cast(pl.Float64)
    return Measure(
        raw_value=TendererAward.amount.col.cast(pl.Float64) / total,
        support_n=TendererAward.n_awards.col,
        null_when={
            NullReason.MISSING_SOURCE: (TendererAward.null_amount_ratio.col.round(9) > NULL_AMOUNT_MAX) | (total <= 0),
            NullReason.TOO_FEW_OBSERVATIONS: TendererAward.short_history.col
            | (TendererAward.n_awards.col < n_awards_min),
        },
        triggered=at_least(RAW, share_min) & (pl.col("support_n") >= n_awards_min) & (pl.col("n_wins") >= wins_min),
        intensity=ramp(RAW, share_lo, share_hi),
        evidence=TendererAward.evidence.col,
        extras={"n_wins": TendererAward.n_wins.col, "currency": TendererAward.currency.col},
    )


@indicator("SI-002", reads=TendererWinRate, p_value="p_value")
def tenderer_win_lift(*, q_max: float, wins_min: int, bids_min: int, elsewhere_min: int) -> Measure:
    """Win rate of one bidder (a control group) at one tenderer, beyond its rate elsewhere in the same markets.

    The chance of so many wins is computed from the rate elsewhere (binomial, upper tail) and controlled for the number
    of pairs looked at. A real advantage of cost or distance does the same.

    Grain: one row per tenderer and bidder. Unit: -log10 of the p-value, at most 10.
    Source: 招标投标法 第32条; 招标投标法实施条例 第41条; 政府采购法实施条例 第74条.
    """
    n_bids, elsewhere = TendererWinRate.n_bids.col, TendererWinRate.n_bids_elsewhere.col
    enough = (n_bids >= bids_min) & (elsewhere >= elsewhere_min)
    enough_seen = (TendererWinRate.n_bids_all.col >= bids_min) & (
        TendererWinRate.n_bids_elsewhere_all.col >= elsewhere_min
    )
    p0 = (TendererWinRate.n_wins_elsewhere.col + 1) / (elsewhere + 2)
    p_value = binomial_upper_tail(TendererWinRate.n_wins.col, n_bids, p0)
    return Measure(
        raw_value=neg_log(p_value),
        support_n=n_bids,
        null_when={
            NullReason.MISSING_SOURCE: ~enough & ((n_bids == 0) | enough_seen),
            NullReason.TOO_FEW_OBSERVATIONS: TendererWinRate.short_history.col | ~enough,
        },
        triggered=at_most(pl.col("q_value"), q_max) & (pl.col("n_wins") >= wins_min),
        intensity=ramp(RAW, 1.3, 4.0),
        evidence=TendererWinRate.evidence.col,
        extras={
            "p_value": p_value,
            "n_wins": TendererWinRate.n_wins.col,
            "n_bids_elsewhere": elsewhere,
            "n_wins_elsewhere": TendererWinRate.n_wins_elsewhere.col,
        },
    )


@indicator("SI-003", reads=WinningRun)
def consecutive_wins(*, run_min: int) -> Measure:
    """Longest run of a tenderer's consecutive events that one winner (a control group) won.

    Lots of one type and category opened within three days are one event. A run counts only if somebody else bid
    validly in each event; where unpublished bids could decide that, the pair is not assessable.

    Grain: one row per tenderer, winner, type and category. Unit: events.
    Source: 招标投标法 第5条; 招标投标法 第32条.
    """
    run = WinningRun.run.col
    events_min = 4
    return Measure(
        raw_value=run,
        support_n=WinningRun.n_events.col,
        null_when={
            NullReason.MISSING_SOURCE: (run >= run_min) & WinningRun.contested.col.is_null(),
            NullReason.TOO_FEW_OBSERVATIONS: WinningRun.short_history.col | (WinningRun.n_events.col < events_min),
        },
        triggered=(run_min <= RAW) & pl.col("contested"),
        intensity=ramp(RAW, 2.0, 6.0),
        evidence=WinningRun.evidence.col,
        extras={
            "contested": WinningRun.contested.col,
            "object_type": WinningRun.object_type.col,
            "category": WinningRun.category.col,
        },
    )


@indicator("SI-007", reads=TendererCompetition)
def low_competition(*, gap_min: float, n_min: int, peers_min: int) -> Measure:
    """Share of a tenderer's competitive lots with few valid bidders, less the median of comparable tenderers.

    Three valid bids is the legal floor, so three is common; the sign is the gap to tenderers of the same city with a
    common category.

    Grain: one row per tenderer. Unit: difference of ratios, -1..1.
    Source: 招标投标法 第6条; 招标投标法 第28条; 优化营商环境条例 第13条.
    """
    n_lots, n_all = TendererCompetition.n_lots.col, TendererCompetition.n_lots_all.col
    return Measure(
        raw_value=TendererCompetition.low_ratio.col - TendererCompetition.peer_low_ratio.col,
        support_n=n_lots,
        null_when={
            NullReason.MISSING_SOURCE: (n_lots < n_min) & ((n_lots == 0) | (n_all >= n_min)),
            NullReason.TOO_FEW_OBSERVATIONS: TendererCompetition.short_history.col
            | (n_lots < n_min)
            | (TendererCompetition.n_peers.col < peers_min),
        },
        triggered=at_least(RAW, gap_min) & (pl.col("support_n") >= n_min),
        intensity=ramp(RAW, 0.10, 0.50),
        evidence=TendererCompetition.evidence.col,
        extras={
            "low_ratio": TendererCompetition.low_ratio.col,
            "peer_low_ratio": TendererCompetition.peer_low_ratio.col,
            "n_peers": TendererCompetition.n_peers.col,
        },
    )
