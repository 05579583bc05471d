"""Money that does not follow the works (analysis 资金拨付异常)."""

import numpy as np
import polars as pl
from scipy.special import ndtr

from features.assessment.declare import Measure, NullReason, indicator
from features.assessment.shapes import DECIMALS, at_least, at_most, ramp, robust_z
from features.derive.contract_facts import SUM
from features.derive.contract_money import PaidProgress, Prepayment, YearEndPayments
from features.derive.payment_control import PaymentSpeed, RepeatedPayments, SplitPayments
from features.derive.price_growth import BillGain, GrownContract, MeasuredMonths, SettlementCuts
from features.derive.wages import LabourMoney

RAW = pl.col("raw_value")


def _share(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """Return part over whole; null where the whole is not above zero."""
    return pl.when(whole > 0).then(part.cast(pl.Float64) / whole.cast(pl.Float64))


@indicator("SI-048", reads=PaidProgress)
def pay_ahead(*, ahead_min: float, pay_ratio_default: float) -> Measure:
    """How far payments are ahead of the agreed share of the completed value, over the amount of the contract.

    Counted are progress and change payments and what of the prepayment has not been deducted, at the end of the latest
    reported month; the month before must be as bad. Milestone payment and high agreed ratios look the same where the
    contract's ratio is not recorded.

    Grain: one row per contract, the worst stands for the project. Unit: ratio.
    Source: 财建〔2022〕183号 第1条; 政府投资条例 第23条; 财政违法行为处罚处分条例 第9条.
    """
    ratio = PaidProgress.pay_ratio.col.fill_null(pay_ratio_default)

    def ahead(paid: pl.Expr, unoffset: pl.Expr, completed: pl.Expr, total: pl.Expr) -> pl.Expr:
        return _share((paid + unoffset).cast(pl.Float64) - ratio * completed.cast(pl.Float64), total)

    n_reported, total = PaidProgress.n_reported.col, PaidProgress.total_amount.col
    before = ahead(
        PaidProgress.paid_amount_before.col,
        PaidProgress.unoffset_amount_before.col,
        PaidProgress.completed_value_before.col,
        PaidProgress.total_amount_before.col,
    )
    return Measure(
        raw_value=ahead(
            PaidProgress.paid_amount.col, PaidProgress.unoffset_amount.col, PaidProgress.completed_value.col, total
        ),
        support_n=n_reported,
        null_when={NullReason.MISSING_SOURCE: (n_reported < 2) | ~(total > 0).fill_null(value=False)},
        triggered=at_least(RAW, ahead_min) & at_least(pl.col("ahead_before"), ahead_min),
        intensity=ramp(RAW, 0.03, 0.15),
        evidence=PaidProgress.evidence.col,
        extras={"ahead_before": before, "month": PaidProgress.month.col, "contract_id": PaidProgress.contract_id.col},
    )


@indicator("SI-049", reads=PaymentSpeed, prefer=(("p_value", False), ("raw_value", True), ("payment_type", False)))
def selective_speed(*, speed_min: float, p_max: float, n_min: int, other_min: int) -> Measure:
    """How much sooner one payee gets its money than the payer's other payees do for payments of the same type.

    Calendar days from application to payment: one less the ratio of the medians, with a one-sided Mann-Whitney test
    (normal approximation, corrected for ties and continuity). Of several types the one with the smallest p-value stands
    for the pair. Where the others are paid on the day nobody can be faster.

    Grain: one row per payer, payee and payment type. Unit: ratio, 1 at most.
    Source: 保障中小企业款项支付条例 第7条; 优化营商环境条例 第32条.
    """
    n, others = PaymentSpeed.n_payments.col, PaymentSpeed.n_others.col
    median, median_others = PaymentSpeed.median_days.col, PaymentSpeed.median_days_others.col
    ranks = pl.struct(n=n, others=others, rank_sum=PaymentSpeed.rank_sum.col, n_ties=PaymentSpeed.n_ties.col)
    too_few = (n < n_min) | (others < other_min)
    return Measure(
        raw_value=1 - median / median_others,
        support_n=n,
        null_when={
            NullReason.NOT_APPLICABLE: ~too_few & (median_others <= 0),
            NullReason.TOO_FEW_OBSERVATIONS: PaymentSpeed.short_history.col | too_few,
        },
        triggered=at_least(RAW, speed_min) & at_most(pl.col("p_value"), p_max),
        intensity=ramp(RAW, 0.3, 0.8),
        evidence=PaymentSpeed.evidence.col,
        extras={
            "p_value": ranks.map_batches(_mann_whitney_less, pl.Float64),
            "median_days": median,
            "median_days_others": median_others,
            "n_others": others,
            "payment_type": PaymentSpeed.payment_type.col,
        },
    )


def _mann_whitney_less(ranks: pl.Series) -> pl.Series:
    """Return the chance of ranks that low or lower for n of all payments; 1 where all took the same number of days."""
    fields = ranks.struct
    n, others, rank_sum, n_ties = (
        fields.field(name).to_numpy().astype(float) for name in ("n", "others", "rank_sum", "n_ties")
    )
    n_all = n + others
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = n * others / 12 * (n_all + 1 - n_ties / (n_all * (n_all - 1)))
        z = (rank_sum - n * (n + 1) / 2 - n * others / 2 + 0.5) / np.sqrt(variance)
    return pl.Series("p_value", np.where(variance > 0, ndtr(z), 1.0))


@indicator("SI-050", reads=YearEndPayments)
def year_end_rush(*, rush_min: float, amt_min: float) -> Measure:
    """Share of a year's payments made in its last days, less the share of the year's progress made in these days.

    Progress comes by the month: the last days have their part of December's. A year without progress has none in its
    last days either. Superior transfers in December and the wage drive before Spring Festival look the same.

    Grain: one row per project, for the last year that has ended. Unit: difference of ratios.
    Source: 预算法 第57条; 政府投资条例 第19条; 财政违法行为处罚处分条例 第9条.
    """
    payments_min = 3
    n_payments, gain = YearEndPayments.n_payments.col, YearEndPayments.year_gain.col
    progress = pl.when(gain.round(DECIMALS) > 0).then(YearEndPayments.rush_gain.col / gain).otherwise(0.0)
    paid = _share(YearEndPayments.rush_amount.col, YearEndPayments.year_amount.col)
    return Measure(
        raw_value=paid - progress,
        support_n=n_payments,
        null_when={
            NullReason.NOT_DUE: ~YearEndPayments.is_begun.col,
            NullReason.MISSING_SOURCE: gain.is_null(),
            NullReason.TOO_FEW_OBSERVATIONS: n_payments < payments_min,
        },
        triggered=at_least(RAW, rush_min) & (pl.col("rush_amount") >= amt_min),
        intensity=ramp(RAW, 0.2, 0.7),
        evidence=YearEndPayments.evidence.col,
        extras={
            "rush_amount": YearEndPayments.rush_amount.col,
            "paid_share": paid,
            "progress_share": progress,
            "year": YearEndPayments.year.col,
        },
    )


@indicator("SI-051", reads=SplitPayments)
def split_payments() -> Measure:
    """Number of times a payer paid a payee, within days, several amounts just below the approval limit.

    Together they reach the limit. Payments of one voucher are one, and no payment counts twice. Several invoices of
    one measurement period that are paid as they clear look the same.

    Grain: one row per payer and payee. Unit: windows of days.
    Source: 预算法 第57条; 财政违法行为处罚处分条例 第6条.
    """
    return Measure(
        raw_value=SplitPayments.n_windows.col,
        support_n=SplitPayments.n_payments.col,
        null_when={NullReason.TOO_FEW_OBSERVATIONS: SplitPayments.short_history.col},
        triggered=RAW >= 1,
        intensity=ramp(RAW, 0.0, 3.0),
        evidence=SplitPayments.evidence.col,
        extras={"split_amount": SplitPayments.split_amount.col},
    )


@indicator("SI-052", reads=RepeatedPayments)
def duplicate_payment() -> Measure:
    """Money paid a second time under a contract, less what was paid back, over the amount of the contract.

    Repeated is the same amount to the same payee within days, the same voucher, or the same measurement period and
    type. Lawful instalments of equal amounts over three measurement periods or more are not.

    Grain: one row per contract, the worst stands for the project. Unit: ratio.
    Source: 预算法 第57条; 财政违法行为处罚处分条例 第6条; 财政违法行为处罚处分条例 第9条.
    """
    repeated, amount = RepeatedPayments.repeated_amount.col, RepeatedPayments.contract_amount.col
    net = pl.max_horizontal(repeated.cast(pl.Float64) - RepeatedPayments.refunded_amount.col.cast(pl.Float64), 0.0)
    is_paid_twice = ~at_most(RAW, 0.0)
    return Measure(
        raw_value=_share(net, amount),
        support_n=RepeatedPayments.n_payments.col,
        null_when={
            NullReason.MISSING_SOURCE: ~(amount > 0).fill_null(value=False),
            NullReason.TOO_FEW_OBSERVATIONS: RepeatedPayments.n_payments.col < 2,
        },
        triggered=is_paid_twice,
        intensity=pl.max_horizontal(0.6 * is_paid_twice.cast(pl.Float64), ramp(RAW, 0.0, 0.03)),
        evidence=RepeatedPayments.evidence.col,
        extras={"n_repeated": RepeatedPayments.n_repeated.col, "contract_id": RepeatedPayments.contract_id.col},
    )


@indicator("SI-053", reads=Prepayment)
def prepayment_anomaly(*, hi_max: float, offset_at: float, stuck_min: float) -> Measure:
    """Prepayment over the contract amount without provisional sums; and how much of it was never deducted.

    Deductions are looked at once most of the works are completed; where no report states the completed value, the
    height alone speaks. Money is compared in whole cents (rulings G13): a share rounded to the cent is not above its
    limit. Equipment contracts and relief measures may allow more.

    Grain: one row per contract, the worst stands for the project. Unit: ratio.
    Source: 建设工程价款结算暂行办法 第12条 (unverified); 财政违法行为处罚处分条例 第9条.
    """
    prepaid, amount = Prepayment.prepaid_amount.col, Prepayment.contract_amount.col
    firm = amount - Prepayment.provisional_amount.col.fill_null(0)
    completed = _share(Prepayment.completed_value.col, amount)
    stuck = pl.when(at_least(completed, offset_at)).then(_share(prepaid - Prepayment.offset_amount.col, prepaid))
    above = prepaid.cast(pl.Float64) - hi_max * firm.cast(pl.Float64)
    return Measure(
        raw_value=_share(prepaid, firm),
        support_n=Prepayment.n_prepayments.col,
        null_when={
            NullReason.NOT_APPLICABLE: Prepayment.n_prepayments.col == 0,
            NullReason.MISSING_SOURCE: ~(firm > 0).fill_null(value=False),
        },
        triggered=pl.col("is_high") | at_least(pl.col("stuck"), stuck_min).fill_null(value=False),
        intensity=pl.max_horizontal(ramp(RAW, 0.3, 0.5), ramp(pl.col("stuck"), 0.1, 0.6)),
        evidence=Prepayment.evidence.col,
        extras={
            "is_high": at_least(above, 0.01),
            "stuck": stuck,
            "completed": completed,
            "contract_id": Prepayment.contract_id.col,
        },
    )


@indicator("SI-054", reads=GrownContract)
def low_award_high_final(*, grow_min: float, raw_min: float) -> Measure:
    """How much a contract grew, weighed by how far below the control price it was won, as peers go.

    Growth is the reviewed settlement without price adjustments, else the approved changes without them, over the
    contract amount. It counts up to twice where the discount is among the highest of peers; without 30 peers it counts
    once. Ground conditions and policy grow a contract too: weigh the reasons.

    Grain: one row per contract, the worst stands for the project. Unit: ratio.
    Source: 招标投标法 第46条; 招标投标法 第59条; 政府投资条例 第21条; 政府投资条例 第23条.
    """
    amount, discount = GrownContract.contract_amount.col, GrownContract.discount.col
    settled = GrownContract.reviewed_amount.col.cast(SUM) - GrownContract.adjustment_amount.col - amount
    grow = _share(pl.coalesce(settled, GrownContract.change_amount.col), amount)
    deep = _ramp_between(discount, GrownContract.peer_median.col, GrownContract.peer_p90.col)
    return Measure(
        raw_value=pl.max_horizontal(grow, 0.0) * (1 + deep.fill_null(0.0)),
        support_n=GrownContract.peer_n.col.fill_null(0),
        null_when={
            NullReason.NOT_APPLICABLE: GrownContract.is_uncontested.col,
            NullReason.MISSING_SOURCE: discount.is_null() | ~(amount > 0).fill_null(value=False),
        },
        triggered=at_least(pl.col("grow"), grow_min)
        & (at_least(pl.col("discount"), pl.col("peer_p75")).fill_null(value=False) | at_least(RAW, raw_min)),
        intensity=ramp(RAW, 0.05, 0.30),
        evidence=GrownContract.evidence.col,
        extras={
            "grow": grow,
            "discount": discount,
            "peer_median": GrownContract.peer_median.col,
            "peer_p75": GrownContract.peer_p75.col,
            "peer_p90": GrownContract.peer_p90.col,
            "contract_id": GrownContract.contract_id.col,
        },
    )


def _ramp_between(value: pl.Expr, low: pl.Expr, high: pl.Expr) -> pl.Expr:
    """Rise as ``ramp`` does, between limits that differ by row."""
    return (
        pl.when(at_most(high, low))
        .then(at_least(value, high).cast(pl.Float64))
        .otherwise(((value - low) / (high - low)).clip(0.0, 1.0))
    )


@indicator("SI-055", reads=BillGain)
def unbalanced_bid(*, gain_min: float) -> Measure:
    """What a contractor gained, over the contract amount, by quantities that grew where its prices are high.

    Each measured item counts with its quantity beyond the bill times the winner's price above the median of the valid
    bids; shrinking items count too. Errors of the bill that a bidder spots do the same: look for the same consultant
    and winner again.

    Grain: one row per contract, the worst stands for the project. Unit: ratio.
    Source: 招标投标法实施条例 第41条; 财政违法行为处罚处分条例 第9条; 政府投资条例 第23条.
    """
    items_min, contributing_min = 20, 3
    n_items, amount = BillGain.n_items.col, BillGain.contract_amount.col
    return Measure(
        raw_value=_share(BillGain.gain_amount.col, amount),
        support_n=n_items,
        null_when={
            NullReason.MISSING_SOURCE: ~BillGain.has_prices.col | ~(amount > 0).fill_null(value=False),
            NullReason.TOO_FEW_OBSERVATIONS: n_items < items_min,
        },
        triggered=at_least(RAW, gain_min) & (pl.col("n_contributing") >= contributing_min),
        intensity=ramp(RAW, 0.01, 0.06),
        evidence=BillGain.evidence.col,
        extras={"n_contributing": BillGain.n_contributing.col, "contract_id": BillGain.contract_id.col},
    )


@indicator("SI-056", reads=MeasuredMonths)
def measurement_jump(*, over_share: float, jump_min: float, months_min: int) -> Measure:
    """Share of the main items measured well beyond the bill without an approved change, and the jump of one month.

    The jump is the highest month over the median of the others, 10 where that is 0. Without main items in the bill
    the months alone speak. Catching up after late measurement jumps too: check the records of concealed works.

    Grain: one row per contract, the worst stands for the project. Unit: ratio, 0..1.
    Source: 建设工程质量管理条例 第37条; 财政违法行为处罚处分条例 第9条; 政府投资条例 第27条.
    """
    jump_max = 10.0
    n_main, n_months = MeasuredMonths.n_main_items.col, MeasuredMonths.n_months.col
    over = pl.when(n_main > 0).then(MeasuredMonths.n_over.col / n_main)
    jump = _share(MeasuredMonths.highest_amount.col, MeasuredMonths.median_other_amount.col).fill_null(jump_max)
    return Measure(
        raw_value=pl.max_horizontal(over, ramp(jump, 4.0, jump_max)),
        support_n=n_months,
        null_when={NullReason.TOO_FEW_OBSERVATIONS: n_months < months_min},
        triggered=at_least(pl.col("over"), over_share).fill_null(value=False) | at_least(pl.col("jump"), jump_min),
        intensity=ramp(RAW, 0.05, 0.4),
        evidence=MeasuredMonths.evidence.col,
        extras={"over": over, "jump": jump, "contract_id": MeasuredMonths.contract_id.col},
    )


@indicator("SI-057", reads=SettlementCuts)
def settlement_reduction(*, z_min: float, n_min: int, cut_high: float) -> Measure:
    """How far what is cut from an organisation's settlements lies from what is usual, either way.

    The organisation is the reviewer or the contractor; its median cut is set against the medians of all others in the
    same role, in robust standard deviations. Clauses that punish claiming too much make cuts small; small cuts of one
    reviewer for one contractor matter most.

    Grain: one row per organisation and role. Unit: robust z, -10..10.
    Source: 审计法 第23条; 审计法实施条例 第20条; 财政违法行为处罚处分条例 第9条.
    """
    n_contracts = SettlementCuts.n_contracts.col
    return Measure(
        raw_value=robust_z(SettlementCuts.median_cut.col, SettlementCuts.peer_median.col, SettlementCuts.peer_mad.col),
        support_n=n_contracts,
        null_when={
            NullReason.TOO_FEW_OBSERVATIONS: SettlementCuts.short_history.col
            | (n_contracts < n_min)
            | (SettlementCuts.n_peers.col == 0)
        },
        triggered=at_least(RAW.abs(), z_min) | at_least(pl.col("highest_cut"), cut_high),
        intensity=ramp(RAW.abs(), 2.0, 4.0),
        evidence=SettlementCuts.evidence.col,
        extras={
            "role": SettlementCuts.role.col.cast(pl.String),
            "median_cut": SettlementCuts.median_cut.col,
            "highest_cut": SettlementCuts.highest_cut.col,
            "peer_median": SettlementCuts.peer_median.col,
            "n_peers": SettlementCuts.n_peers.col,
        },
    )


@indicator("SI-058", reads=LabourMoney)
def wage_diversion(*, months_n: int) -> Measure:
    """How far labour fees, wages and heads on one project drift apart over the last complete months.

    The worst of three parts: fees due but not transferred, fees transferred but not paid out, workers paid against
    workers present. A part whose denominator is 0 or not known is left out. Piece-work settlements and holidays shift
    months, so the months are taken together.

    Grain: one row per project. Unit: score, 0..1.
    Source: 保障农民工工资支付条例 第24条; 保障农民工工资支付条例 第29条; 保障农民工工资支付条例 第31条;
    保障农民工工资支付条例 第57条.
    """
    n_months, transferred = LabourMoney.n_months.col, LabourMoney.transferred_amount.col
    present = LabourMoney.workers_present.col
    short = 1 - _share(transferred, LabourMoney.due_amount.col)
    gap = 1 - _share(LabourMoney.wage_amount.col, transferred)
    head = _share((LabourMoney.workers_paid.col - present).abs(), present)
    score = pl.max_horizontal(ramp(short, 0.1, 0.6), ramp(gap, 0.2, 0.7), ramp(head, 0.3, 1.0))
    return Measure(
        raw_value=score,
        support_n=n_months,
        null_when={NullReason.MISSING_SOURCE: (n_months <= months_n - 2) | score.is_null()},
        triggered=at_least(RAW, 0.5),
        intensity=RAW,
        evidence=LabourMoney.evidence.col,
        extras={"short": short, "gap": gap, "head": head},
    )
