"""A tenderer and its repeated winner (analysis 招标人与多次中标人)."""

import polars as pl

from features.assessment.chance import binomial_upper_tail, neg_log
from features.assessment.declare import Measure, NullReason, indicator
from features.assessment.shapes import at_least, at_most, ramp
from features.derive.owner_ties import OwnerTie
from features.derive.tender_terms import LotTerms
from features.derive.tenderer_history import ContractGrowth, DisqualifiedRivals, IncumbentRecord
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


@indicator("SI-004", reads=ContractGrowth)
def small_to_large(*, ratio_min: float, large_min: float) -> Measure:
    """Largest later contract of a supplier (a control group) with a tenderer over its first one there.

    A small first contract, untendered or below the tender limit, opens the door. A good supplier grows too: it weighs
    more only with SI-006 or SI-008.

    Grain: one row per tenderer and supplier. Unit: ratio of amounts.
    Source: 政府采购法 第25条; 招标投标法 第5条; OCP red flag R052.
    """
    first, largest = ContractGrowth.first_amount.col, ContractGrowth.largest_amount.col
    method = ContractGrowth.first_method.col
    return Measure(
        raw_value=largest.cast(pl.Float64) / first.cast(pl.Float64),
        support_n=ContractGrowth.n_later.col,
        null_when={
            NullReason.NOT_APPLICABLE: ContractGrowth.n_later.col == 0,
            NullReason.MISSING_SOURCE: largest.is_null() | (first <= 0).fill_null(value=True),
            NullReason.TOO_FEW_OBSERVATIONS: ContractGrowth.short_history.col,
        },
        triggered=at_least(RAW, ratio_min) & pl.col("began_small") & (pl.col("largest_amount") >= large_min),
        intensity=ramp(RAW.log10(), 0.5, 1.5),
        evidence=ContractGrowth.evidence.col,
        extras={
            "began_small": method.ne_missing("public_tender")
            | ContractGrowth.first_below_limit.col.fill_null(value=False),
            "first_amount": first,
            "largest_amount": largest,
        },
    )


@indicator("SI-005", reads=IncumbentRecord)
def incumbent_advantage(*, adv_min: float, p_max: float, n_min: int) -> Measure:
    """How much more often than by chance the winner of a tenderer's last lot of a category wins the next.

    Chance is one in the number of valid bidders. Maintenance and follow-on works favour incumbents lawfully.

    Grain: one row per tenderer. Unit: difference of ratios, -1..1.
    Source: 招标投标法 第18条; 招标投标法实施条例 第32条; OCP red flags R040 and R027.
    """
    n, n_all, won = IncumbentRecord.n_lots.col, IncumbentRecord.n_lots_all.col, IncumbentRecord.n_won.col
    chance = IncumbentRecord.chance.col
    return Measure(
        raw_value=won / n - chance,
        support_n=n,
        null_when={
            NullReason.MISSING_SOURCE: (n < n_min) & (n_all >= n_min),
            NullReason.TOO_FEW_OBSERVATIONS: IncumbentRecord.short_history.col | (n < n_min),
        },
        triggered=at_least(RAW, adv_min) & at_most(pl.col("p_value"), p_max),
        intensity=ramp(RAW, 0.15, 0.60),
        evidence=IncumbentRecord.evidence.col,
        extras={"p_value": binomial_upper_tail(won, n, chance.fill_null(1.0)), "n_won": won, "chance": chance},
    )


@indicator("SI-006", reads=LotTerms)
def tailored_terms(*, pool_max: int, tail_min: float) -> Measure:
    """How far the terms of a lot look made for one bidder: few qualify, clauses restrict, points only one can get.

    It fires only if the winner is among those who qualify; before the award that is left open. Special works truly need
    rare qualifications.

    Grain: one row per lot. Unit: weighted score, 0..1.
    Source: 招标投标法 第18条; 招标投标法 第20条; 招标投标法实施条例 第32条.
    """
    pool = LotTerms.pool.col
    clauses_full, share_full = 3, 0.10
    return Measure(
        raw_value=0.4 * (pool <= pool_max).cast(pl.Float64)
        + 0.3 * (LotTerms.n_restrictive.col / clauses_full).clip(upper_bound=1.0)
        + 0.3 * (LotTerms.sole_share.col / share_full).clip(upper_bound=1.0),
        support_n=LotTerms.n_clauses.col,
        null_when={NullReason.MISSING_SOURCE: (LotTerms.n_clauses.col == 0) | pool.is_null()},
        triggered=at_least(RAW, tail_min) & pl.col("winner_in_pool"),
        intensity=ramp(RAW, 0.2, 0.8),
        evidence=LotTerms.evidence.col,
        extras={
            "winner_in_pool": ~LotTerms.awarded.col | LotTerms.winner_qualified.col,
            "pool": pool,
            "n_restrictive": LotTerms.n_restrictive.col,
            "sole_share": LotTerms.sole_share.col,
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


@indicator("SI-008", reads=OwnerTie)
def tenderer_person_tie() -> Measure:
    """Whether somebody of the tenderer is also of its winner, related to somebody there, or reached by its telephone.

    The kind of the tie is told, never the person. Relations are skipped, and marked, where they may not be read.
    Secondment to a state-owned winner is not by itself improper.

    Grain: one row per award, the strongest stands for the pair. Unit: yes or no.
    Source: 招标投标法实施条例 第34条; 政府采购法 第12条; 监察法 第37条.
    """
    ties = {name: OwnerTie.columns()[name].col for name in ("person", "relation", "phone")}
    tied = pl.any_horizontal(*ties.values())
    known = (OwnerTie.n_people.col > 0) & OwnerTie.winner_known.col
    return Measure(
        raw_value=tied.cast(pl.Float64),
        support_n=OwnerTie.n_people.col,
        null_when={NullReason.MISSING_SOURCE: ~tied & ~known},
        triggered=RAW >= 1,
        intensity=RAW,
        evidence=OwnerTie.evidence.col,
        extras={**ties, "relations_read": OwnerTie.relations_read.col},
    )


@indicator("SI-009", reads=DisqualifiedRivals)
def win_by_disqualification(*, c_min: int, d_min: float, wins_min: int) -> Measure:
    """Mean share of rivals disqualified in the lots that one winner (a control group) won at one tenderer.

    It also fires where all rivals, or the lowest bid where the lowest wins, were disqualified again and again. Faulty
    signatures and bonds disqualify many honestly.

    Grain: one row per tenderer and winner. Unit: ratio.
    Source: 招标投标法实施条例 第51条; 招标投标法实施条例 第71条; OCP red flags R035, R036 and R038.
    """
    pair_min = 2
    n_wins, n_all = DisqualifiedRivals.n_wins.col, DisqualifiedRivals.n_wins_all.col
    uncontested = DisqualifiedRivals.n_contested.col == 0
    n_cleared = DisqualifiedRivals.n_cleared.col
    return Measure(
        raw_value=DisqualifiedRivals.disqualified_share.col,
        support_n=n_wins,
        null_when={
            NullReason.NOT_APPLICABLE: uncontested & (n_wins >= pair_min) & (n_wins == n_all),
            NullReason.MISSING_SOURCE: (n_wins < n_all) & ((n_wins < pair_min) | uncontested) & (n_all >= pair_min),
            NullReason.TOO_FEW_OBSERVATIONS: DisqualifiedRivals.short_history.col | (n_wins < pair_min),
        },
        triggered=(pl.col("n_cleared") >= c_min) | (at_least(RAW, d_min) & (pl.col("support_n") >= wins_min)),
        intensity=pl.max_horizontal(ramp(RAW, 0.3, 0.8), ramp(pl.col("n_cleared").cast(pl.Float64), 1.0, 3.0)),
        evidence=DisqualifiedRivals.evidence.col,
        extras={"n_cleared": n_cleared, "n_contested": DisqualifiedRivals.n_contested.col},
    )
