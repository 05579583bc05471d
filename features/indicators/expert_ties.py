"""Evaluation experts and the bidders, tenderers and colleagues that they meet (analysis 评标专家与多次中标人)."""

import polars as pl

from features.assessment.chance import binomial_upper_tail, neg_log, poisson_upper_tail
from features.assessment.declare import Measure, NullReason, indicator
from features.assessment.shapes import at_least, at_most, ramp, robust_z
from features.derive.evaluation_process import EvaluationRun
from features.derive.expert_interest import MemberTie
from features.derive.expert_scores import ExpertScoreBias, MemberMargin, RepresentativeMargin, ScoringPair
from features.derive.experts import DrawFrequency, ExpertWinRate, RecurrentPanel
from features.derive.lots import DIRECT
from features.derive.peers import PEERS

RAW = pl.col("raw_value")


@indicator("SI-067", reads=ExpertWinRate, p_value="p_value")
def expert_winner_lift(*, q_max: float, wins_min: int, panels_min: int) -> Measure:
    """Win rate of one bidder (a control group) on panels with one expert, beyond its rate on panels without.

    The chance of so many wins is computed from the other panels of the same markets (binomial, upper tail) and
    controlled for the number of pairs looked at. In rare specialties few experts meet few bidders often.

    Grain: one row per expert and bidder. Unit: -log10 of the p-value, at most 10.
    Source: 招标投标法 第37条; 招标投标法实施条例 第46条; 招标投标法实施条例 第49条.
    """
    n_panels = ExpertWinRate.n_panels.col
    enough_seen = ExpertWinRate.n_panels_all.col >= panels_min
    p0 = (ExpertWinRate.n_wins_elsewhere.col + 1) / (ExpertWinRate.n_panels_elsewhere.col + 2)
    p_value = binomial_upper_tail(ExpertWinRate.n_wins.col, n_panels, p0)
    return Measure(
        raw_value=neg_log(p_value),
        support_n=n_panels,
        null_when={
            NullReason.MISSING_SOURCE: (n_panels < panels_min) & ((n_panels == 0) | enough_seen),
            NullReason.TOO_FEW_OBSERVATIONS: ExpertWinRate.short_history.col | (n_panels < panels_min),
        },
        triggered=at_most(pl.col("q_value"), q_max) & (pl.col("n_wins") >= wins_min),
        intensity=ramp(RAW, 1.3, 4.0),
        evidence=ExpertWinRate.evidence.col,
        extras={
            "p_value": p_value,
            "n_wins": ExpertWinRate.n_wins.col,
            "n_panels_elsewhere": ExpertWinRate.n_panels_elsewhere.col,
            "n_wins_elsewhere": ExpertWinRate.n_wins_elsewhere.col,
        },
    )


@indicator("SI-068", reads=ExpertScoreBias)
def expert_score_bias(*, t_min: float, r_min: float, panels_min: int) -> Measure:
    """How much higher than the other members one expert marks one bidder (a control group), panel after panel.

    A strict or lenient expert is so with all bidders, which is taken off. A careful expert may see a better bid: look
    for repeats.

    Grain: one row per expert and bidder. Unit: share of the points by judgement.
    Source: 招标投标法 第44条; 招标投标法实施条例 第49条; 招标投标法实施条例 第71条; OCP red flag R021.
    """
    return Measure(
        raw_value=ExpertScoreBias.mean_r.col,
        support_n=ExpertScoreBias.n_panels.col,
        null_when={
            NullReason.TOO_FEW_OBSERVATIONS: ExpertScoreBias.short_history.col
            | (ExpertScoreBias.n_panels.col < panels_min)
        },
        triggered=at_least(pl.col("t"), t_min) & at_least(RAW, r_min) & (pl.col("support_n") >= panels_min),
        intensity=ramp(RAW, 0.03, 0.15),
        evidence=ExpertScoreBias.evidence.col,
        extras={"t": ExpertScoreBias.t.col},
    )


@indicator("SI-069", reads=MemberMargin)
def pivotal_outlier(*, z_min: float) -> Measure:
    """How far the one member whose marks decided a lot stands from the others.

    A member decides when another bid would be first without it; its margin of the winner over the runner-up is set
    against those of the others. Close races flip easily: the distance carries the meaning, not the flip.

    Grain: one row per member, the strongest stands for the lot. Unit: robust z, at most 10; 0 where nobody decided.
    Source: 招标投标法实施条例 第49条; 招标投标法实施条例 第71条; OCP red flag R021.
    """
    members_min, points_min = 5, 10.0
    apart = robust_z(MemberMargin.margin.col, MemberMargin.others_median.col, MemberMargin.others_mad.col)
    few = (MemberMargin.n_members.col < members_min) | ~at_least(MemberMargin.subjective_points.col, points_min)
    return Measure(
        raw_value=pl.when(MemberMargin.pivotal.col).then(apart).otherwise(0.0),
        support_n=MemberMargin.n_members.col,
        null_when={NullReason.MISSING_SOURCE: MemberMargin.unranked.col, NullReason.TOO_FEW_OBSERVATIONS: few},
        triggered=at_least(RAW, z_min),
        intensity=ramp(RAW, 1.5, 3.5),
        evidence=MemberMargin.evidence.col,
        extras={
            "pivotal": MemberMargin.pivotal.col,
            "margin": MemberMargin.margin.col,
            "others_median": MemberMargin.others_median.col,
            "subjective_points": MemberMargin.subjective_points.col,
            "person_id": MemberMargin.person_id.col,
            "member_role": MemberMargin.member_role.col,
        },
    )


@indicator("SI-070", reads=ScoringPair)
def identical_scoring(*, eq_min: float, cells_min: int) -> Measure:
    """Share of marks by judgement that two members of a lot's committee gave alike.

    Marks on which all agree, full and zero marks say nothing. Where factors know two or three steps only, equal marks
    are likely by themselves.

    Grain: one row per two members, the most alike stand for the lot. Unit: ratio.
    Source: 政府采购货物和服务招标投标管理办法 第62条; 招标投标法实施条例 第49条; 招标投标法实施条例 第71条.
    """
    n_cells = ScoringPair.n_cells.col
    return Measure(
        raw_value=ScoringPair.n_equal.col / n_cells,
        support_n=n_cells,
        null_when={NullReason.TOO_FEW_OBSERVATIONS: n_cells < cells_min},
        triggered=at_least(RAW, eq_min) & (pl.col("support_n") >= cells_min),
        intensity=ramp(RAW, 0.6, 0.95),
        evidence=ScoringPair.evidence.col,
        extras={"n_equal": ScoringPair.n_equal.col, "correlation": ScoringPair.correlation.col},
    )


@indicator("SI-071", reads=DrawFrequency)
def draw_frequency(*, c_min: int, p_max: float, small_min: float) -> Measure:
    """How much more often a tenderer or agency drew one expert than random draws would have it.

    Draws count, answered or not: nearby experts accept more often. A pool hardly larger than the committee is a sign
    of its own, for experts that were drawn often.

    Grain: one row per expert, organisation and role of the latter. Unit: -log10 of the p-value, at most 10.
    Source: 招标投标法实施条例 第46条; 招标投标法实施条例 第70条; 政府采购法实施条例 第39条.
    """
    missing_max = 0.3
    p_value = poisson_upper_tail(DrawFrequency.n_draws.col, DrawFrequency.n_expected.col)
    often = pl.col("n_draws") >= c_min
    small = pl.when(often).then("small_share").otherwise(0.0)
    return Measure(
        raw_value=neg_log(p_value),
        support_n=DrawFrequency.n_draws.col,
        null_when={
            NullReason.MISSING_SOURCE: ~at_most(DrawFrequency.pool_missing_share.col, missing_max),
            NullReason.TOO_FEW_OBSERVATIONS: DrawFrequency.short_history.col,
        },
        triggered=often & (at_most(pl.col("p_value"), p_max) | at_least(pl.col("small_share"), small_min)),
        intensity=pl.max_horizontal(ramp(RAW, 1.3, 4.0), ramp(small, 0.2, 0.7)),
        evidence=DrawFrequency.evidence.col,
        extras={
            "p_value": p_value,
            "n_draws": DrawFrequency.n_draws.col,
            "n_expected": DrawFrequency.n_expected.col,
            "small_share": DrawFrequency.small_share.col,
            "role": DrawFrequency.role.col,
        },
    )


@indicator("SI-072", reads=RecurrentPanel)
def recurrent_panel(*, c_min: int, ratio_min: float, p_max: float) -> Measure:
    """How much more often than by random draws one expert sat with the same others.

    Of all sets that include the expert the most frequent stands. Remote joint evaluation with fixed partner cities
    raises repeats.

    Grain: one row per expert. Unit: log2 of observed over expected common panels; 0 where no set sat together often.
    Source: 招标投标法实施条例 第46条; 招标投标法实施条例 第49条.
    """
    panels_min = 5
    together, expected = RecurrentPanel.n_together.col, RecurrentPanel.n_expected.col
    ratio = pl.when(together > 0).then(together / expected).otherwise(0.0)
    n_panels = RecurrentPanel.n_panels.col
    return Measure(
        raw_value=pl.when(together > 0).then(ratio.log(2)).otherwise(0.0),
        support_n=n_panels,
        null_when={
            NullReason.MISSING_SOURCE: (n_panels >= panels_min) & (RecurrentPanel.n_sized.col < panels_min),
            NullReason.TOO_FEW_OBSERVATIONS: RecurrentPanel.short_history.col | (n_panels < panels_min),
        },
        triggered=(pl.col("n_together") >= c_min)
        & at_least(pl.col("ratio"), ratio_min)
        & at_most(pl.col("p_value"), p_max),
        intensity=ramp(RAW, 1.0, 4.0),
        evidence=RecurrentPanel.evidence.col,
        extras={
            "p_value": poisson_upper_tail(together, expected),
            "ratio": ratio,
            "n_together": together,
            "n_expected": expected,
            "members": RecurrentPanel.members.col,
        },
    )


@indicator("SI-073", reads=MemberTie)
def expert_conflict() -> Measure:
    """Whether a member of the committee with an interest in a bidder took part in the evaluation.

    An interest is service, insurance or shares at the bidder or its control group, a relation to its executives, or an
    employer that is the bidder, its parent or, in government procurement, the tenderer. State control alone makes no
    group.

    Grain: one row per member, bidder and tender. Unit: 0 or 1.
    Source: 招标投标法 第37条; 招标投标法实施条例 第46条; 招标投标法实施条例 第71条; 政府采购法实施条例 第9条.
    """
    ties = {
        "service": MemberTie.service.col,
        "holder": MemberTie.holder.col,
        "relation": MemberTie.relation.col,
        "employer": MemberTie.employer.col,
        "purchaser": MemberTie.purchaser.col,
    }
    hit = pl.any_horizontal(ties.values())
    took_part = (RAW == 1) & pl.col("attended").fill_null(value=False)
    return Measure(
        raw_value=hit,
        support_n=pl.sum_horizontal(ties.values()),
        null_when={
            NullReason.MISSING_SOURCE: (~hit & ~MemberTie.joined.col) | (hit & MemberTie.attended.col.is_null())
        },
        triggered=took_part,
        intensity=took_part,
        evidence=MemberTie.evidence.col,
        extras={
            **ties,
            "attended": MemberTie.attended.col,
            "avoided": MemberTie.avoided.col,
            "tender_id": MemberTie.tender_id.col,
        },
    )


@indicator("SI-074", reads=RepresentativeMargin)
def owner_rep_bias(*, g_min: float, panels_min: int, f_min: float) -> Measure:
    """How much more than the experts a tenderer's representative favours one bidder (a control group) that often wins.

    The margin is that over the best rival, negative where the bidder is marked lower. Owners know past performance,
    which the rules may let them mark.

    Grain: one row per tenderer and bidder. Unit: share of the points by judgement.
    Source: 招标投标法实施条例 第48条; 招标投标法实施条例 第49条; 招标投标法实施条例 第80条; OCP red flag R021.
    """
    n_panels = RepresentativeMargin.n_panels.col
    return Measure(
        raw_value=RepresentativeMargin.mean_g.col,
        support_n=n_panels,
        null_when={
            NullReason.MISSING_SOURCE: n_panels == 0,
            NullReason.TOO_FEW_OBSERVATIONS: RepresentativeMargin.short_history.col,
        },
        triggered=at_least(RAW, g_min) & (pl.col("support_n") >= panels_min) & at_least(pl.col("win_share"), f_min),
        intensity=ramp(RAW, 0.05, 0.25),
        evidence=RepresentativeMargin.evidence.col,
        extras={"win_share": RepresentativeMargin.n_wins.col / n_panels},
    )


@indicator("SI-075", reads=EvaluationRun, per="lot_id", peers=PEERS)
def evaluation_process() -> Measure:
    """How fast the bids of a lot were evaluated for their number and length, and whether changed marks changed who won.

    Corrections of arithmetic are required by rule: only changed marks by judgement count.

    Grain: one row per lot. Unit: minutes per valid bid and natural logarithm of (1 + mean pages).
    Source: 招标投标法实施条例 第48条; 招标投标法 第38条; 招标投标法实施条例 第71条; OCP red flags R061 and R062.
    """
    minutes, pages = EvaluationRun.minutes.col.first(), EvaluationRun.mean_pages.col.first()
    n_valid, n_cells = EvaluationRun.n_valid.col.first(), EvaluationRun.n_cells.col.first()
    paper = n_valid * pages.log1p()
    unread = EvaluationRun.method.col.first().is_in(DIRECT) | EvaluationRun.evaluation_method.col.first().eq(
        "random_draw"
    )
    unknown = minutes.is_null() | pages.is_null() | (pages == 0) | ~EvaluationRun.bids_complete.col.first()
    fence = pl.col("peer_q1") - 1.5 * (pl.col("peer_q3") - pl.col("peer_q1"))
    changed = pl.when(n_cells > 0).then(EvaluationRun.n_revised.col.first() / n_cells).otherwise(0.0)
    return Measure(
        raw_value=pl.when(paper > 0).then(minutes / paper),
        support_n=n_valid,
        null_when={
            NullReason.NOT_APPLICABLE: unread,
            NullReason.MISSING_SOURCE: (n_valid > 0) & unknown,
            NullReason.TOO_FEW_OBSERVATIONS: n_valid == 0,
        },
        triggered=at_most(RAW, fence) | (pl.col("flipped") & (pl.col("changed_share") > 0)),
        intensity=pl.max_horizontal(1 - ramp(pl.col("peer_percentile"), 0.01, 0.15), 0.8 * pl.col("flipped")),
        evidence=EvaluationRun.evidence.col.first(),
        extras={
            "minutes": minutes,
            "mean_pages": pages,
            "changed_share": changed,
            "flipped": EvaluationRun.flipped.col.first(),
        },
    )
