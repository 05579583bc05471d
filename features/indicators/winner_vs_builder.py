"""Who won and who really builds (analysis 中标与实际建设方)."""

import polars as pl

from features.assessment.declare import Measure, NullReason, indicator
from features.assessment.shapes import at_least, at_most, ramp
from features.derive.builders import SiteBuilder
from features.derive.contractor_money import ContractPayees, MaterialBuyers, PassedOn
from features.derive.shells import LotWinner
from features.derive.site_attendance import TeamAttendance
from features.derive.site_team import ManagerBooking, TeamEmployment, TeamSwap
from features.derive.subcontracts import SubcontractBack, SubcontractShare

RAW = pl.col("raw_value")


def _share(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return part.cast(pl.Float64) / whole.cast(pl.Float64)


@indicator("SI-037", reads=TeamAttendance)
def team_absence(*, abs_min: float) -> Measure:
    """Share of the required days on which the key people of a works contract were not on site.

    Counted are days with a live punch inside the fence, pooled over all who held a position, in the last complete
    months. Each of these months must be bad; the value is their mean. A phone that fails and a fence drawn badly along
    a road look the same.

    Grain: one row per contract, the worst stands for the project. Unit: ratio, 0..1.
    Source: 建筑工程施工发包与承包违法行为认定查处管理办法 第8条 (unverified); 建设工程质量管理条例 第26条.
    """
    days_min = 15
    is_works = TeamAttendance.is_works.col
    return Measure(
        raw_value=TeamAttendance.absence.col,
        support_n=TeamAttendance.n_positions.col,
        null_when={
            NullReason.NOT_DUE: is_works & ~TeamAttendance.is_begun.col,
            NullReason.NOT_APPLICABLE: ~is_works | TeamAttendance.is_finished.col,
            NullReason.MISSING_SOURCE: is_works.is_null()
            | TeamAttendance.is_begun.col.is_null()
            | ~TeamAttendance.is_system_on.col
            | (TeamAttendance.n_positions.col == 0),
            NullReason.TOO_FEW_OBSERVATIONS: TeamAttendance.n_days_min.col < days_min,
        },
        triggered=at_least(pl.col("absence_min"), abs_min),
        intensity=ramp(RAW, 0.3, 0.8),
        evidence=TeamAttendance.evidence.col,
        extras={"absence_min": TeamAttendance.absence_min.col, "contract_id": TeamAttendance.contract_id.col},
    )


@indicator("SI-038", reads=TeamEmployment)
def team_not_employed(*, share_min: float) -> Measure:
    """Share of the key people in office who work for somebody else than the contractor and its consortium.

    Insurance of the last months and the employer on certificates say so. Of whom neither speaks is left out. Retired
    engineers and provinces without data exchange need a labour contract.

    Grain: one row per contract, the worst stands for the project. Unit: ratio, 0..1.
    Source: 建筑工程施工发包与承包违法行为认定查处管理办法 第8条 (unverified); 建筑法 第26条.
    """
    n_foreign = TeamEmployment.n_foreign.col
    return Measure(
        raw_value=n_foreign / TeamEmployment.n_known.col,
        support_n=TeamEmployment.n_known.col,
        null_when={
            NullReason.NOT_APPLICABLE: TeamEmployment.has_left.col,
            NullReason.MISSING_SOURCE: (TeamEmployment.n_insured.col == 0) & (n_foreign == 0),
        },
        triggered=at_least(RAW, share_min) | pl.col("is_manager_foreign"),
        intensity=ramp(RAW, 0.0, 0.75),
        evidence=TeamEmployment.evidence.col,
        extras={
            "n_foreign": n_foreign,
            "is_manager_foreign": TeamEmployment.is_manager_foreign.col,
            "contract_id": TeamEmployment.contract_id.col,
        },
    )


@indicator("SI-039", reads=TeamSwap)
def team_swap(*, swap_min: float) -> Measure:
    """Share of the positions promised in the bid that another person took soon after works began.

    A long wait between award and start makes changes natural, and a replaced manager counts alone only where no
    replacement was approved.

    Grain: one row per contract, the worst stands for the project. Unit: ratio, 0..1.
    Source: 招标投标法 第27条; 招标投标法 第46条.
    """
    has_started, n_promised = TeamSwap.has_started.col, TeamSwap.n_promised.col
    unapproved = TeamSwap.is_manager_swapped.col & ~TeamSwap.is_manager_approved.col
    return Measure(
        raw_value=TeamSwap.n_swapped.col / n_promised,
        support_n=n_promised,
        null_when={
            NullReason.NOT_DUE: ~has_started & (TeamSwap.n_actual.col == 0),
            NullReason.MISSING_SOURCE: ~has_started | (n_promised == 0),
        },
        triggered=at_least(RAW, swap_min) | pl.col("is_manager_unapproved"),
        intensity=ramp(RAW, 0.2, 0.8),
        evidence=TeamSwap.evidence.col,
        extras={
            "n_swapped": TeamSwap.n_swapped.col,
            "is_manager_swapped": TeamSwap.is_manager_swapped.col,
            "is_manager_unapproved": unapproved,
            "contract_id": TeamSwap.contract_id.col,
        },
    )


@indicator("SI-040", reads=ContractPayees)
def payee_mismatch(*, share_max: float) -> Measure:
    """Share of the money paid under a contract that went to others than the contractor.

    Lawful are its consortium, the holder of its wage account and the account named in the contract; a natural person
    never is. Factoring, court enforcement and entrusted payment look the same: check the paper.

    Grain: one row per contract, the worst stands for the project. Unit: ratio, 0..1.
    Source: 建筑工程施工发包与承包违法行为认定查处管理办法 第8条 (unverified); 建筑法 第28条.
    """
    payments_min = 2
    return Measure(
        raw_value=_share(ContractPayees.foreign_amount.col, ContractPayees.paid_amount.col),
        support_n=ContractPayees.n_payments.col,
        null_when={NullReason.TOO_FEW_OBSERVATIONS: ContractPayees.n_payments.col < payments_min},
        triggered=~at_most(RAW, share_max) | (pl.col("n_to_persons") > 0),
        intensity=ramp(RAW, 0.0, 0.2),
        evidence=ContractPayees.evidence.col,
        extras={
            "foreign_amount": ContractPayees.foreign_amount.col,
            "n_to_persons": ContractPayees.n_to_persons.col,
            "contract_id": ContractPayees.contract_id.col,
        },
    )


@indicator("SI-041", reads=PassedOn)
def pass_through(*, pass_min: float) -> Measure:
    """Share of the money received under a contract that went on to one outsider within days.

    Outside are all but the registered subcontractors and suppliers. What is kept, 1 less the value, is typically a
    management fee of 1 to 5 percent. Cash pooling with a parent company looks the same.

    Grain: one row per contract, the worst stands for the project. Unit: ratio, 0..1.
    Source: 建筑法 第28条; 招标投标法 第48条; 招标投标法实施条例 第76条.
    """
    receipts_min = 2
    n_receipts = PassedOn.n_receipts.col
    return Measure(
        raw_value=_share(PassedOn.passed_amount.col, PassedOn.received_amount.col),
        support_n=n_receipts,
        null_when={
            NullReason.MISSING_SOURCE: ~PassedOn.has_flows.col,
            NullReason.TOO_FEW_OBSERVATIONS: n_receipts == 0,
        },
        triggered=at_least(RAW, pass_min) & (pl.col("support_n") >= receipts_min),
        intensity=ramp(RAW, 0.5, 0.95),
        evidence=PassedOn.evidence.col,
        extras={"received_amount": PassedOn.received_amount.col, "contract_id": PassedOn.contract_id.col},
        after={"kept": 1 - RAW},
    )


@indicator("SI-042", reads=MaterialBuyers)
def buyer_mismatch(*, share_min: float, cover_min: float) -> Measure:
    """Share of the materials and machines of a contract that others than the contractor bought or leased.

    Lawful are its consortium and its registered subcontractors. The invoices must cover a part of the material cost
    that contract amount and progress imply. Purchasing companies of a group buy for the contractor.

    Grain: one row per contract, the worst stands for the project. Unit: ratio, 0..1.
    Source: 建筑工程施工发包与承包违法行为认定查处管理办法 第8条 (unverified); 招标投标法实施条例 第59条.
    """
    cost = MaterialBuyers.material_cost.col
    return Measure(
        raw_value=_share(MaterialBuyers.foreign_amount.col, MaterialBuyers.bought_amount.col),
        support_n=MaterialBuyers.n_purchases.col,
        null_when={NullReason.MISSING_SOURCE: (MaterialBuyers.n_purchases.col == 0) | cost.is_null()},
        triggered=at_least(RAW, share_min) & at_least(pl.col("bought_amount"), cover_min * pl.col("material_cost")),
        intensity=ramp(RAW, 0.1, 0.6),
        evidence=MaterialBuyers.evidence.col,
        extras={
            "bought_amount": MaterialBuyers.bought_amount.col.cast(pl.Float64),
            "material_cost": cost,
            "contract_id": MaterialBuyers.contract_id.col,
        },
    )


@indicator("SI-043", reads=SubcontractBack)
def subcontract_back() -> Measure:
    """Share of a lot's contract that was subcontracted to the control group of a losing bidder of its tender.

    The losers may be paid for losing; other signs of rigging in the tender add 0.3. In small markets the only
    specialised firm may have bid for the main lot too.

    Grain: one row per contract, the worst stands for the lot. Unit: ratio, with 0.3 added.
    Source: 招标投标法实施条例 第39条; 招标投标法 第48条; 建筑法 第29条.
    """
    n_back, amount = SubcontractBack.n_back.col, SubcontractBack.contract_amount.col
    rigged = SubcontractBack.is_rigged.col & (n_back > 0)
    return Measure(
        raw_value=_share(SubcontractBack.back_amount.col, amount) + pl.when(rigged).then(0.3).otherwise(0.0),
        support_n=SubcontractBack.n_subcontracts.col,
        null_when={
            NullReason.MISSING_SOURCE: (SubcontractBack.n_subcontracts.col == 0)
            | amount.is_null()
            | (amount <= 0)
            | ((n_back == 0) & ~SubcontractBack.bids_complete.col)
        },
        triggered=~at_most(RAW, 0.0),
        intensity=ramp(RAW, 0.0, 0.3),
        evidence=SubcontractBack.evidence.col,
        extras={"n_back": n_back, "is_rigged": rigged, "contract_id": SubcontractBack.contract_id.col},
    )


@indicator("SI-044", reads=SubcontractShare)
def over_subcontracting(*, ratio_min: float) -> Measure:
    """Share of a contract that is subcontracted in the first tier, labour left out.

    It fires without regard to the share when the main structure is handed on, when a subcontractor subcontracts, or
    when the owner did not agree. Design firms that lead an EPC contract must subcontract all works.

    Grain: one row per contract, the worst stands for the project. Unit: ratio; 0 where the contract's amount
    is missing and only the breach is known.
    Source: 招标投标法 第48条; 招标投标法实施条例 第59条; 建筑法 第28条; 建筑法 第29条.
    """
    amount = SubcontractShare.contract_amount.col
    n_main, n_resold = SubcontractShare.n_main_structure.col, SubcontractShare.n_resold.col
    n_without = SubcontractShare.n_without_consent.col
    breach = n_main + n_resold + n_without > 0
    priced = (amount > 0).fill_null(value=False)
    return Measure(
        raw_value=pl.when(priced).then(_share(SubcontractShare.first_tier_amount.col, amount)).otherwise(0.0),
        support_n=SubcontractShare.n_subcontracts.col,
        null_when={NullReason.MISSING_SOURCE: (SubcontractShare.n_subcontracts.col == 0) | ~(priced | breach)},
        triggered=pl.col("is_breach") | at_least(RAW, ratio_min),
        intensity=pl.max_horizontal(pl.when("is_breach").then(0.8).otherwise(0.0), ramp(RAW, 0.3, 0.7)),
        evidence=SubcontractShare.evidence.col,
        extras={
            "is_breach": breach,
            "n_main_structure": n_main,
            "n_resold": n_resold,
            "n_without_consent": n_without,
            "contract_id": SubcontractShare.contract_id.col,
        },
    )


@indicator("SI-045", reads=SiteBuilder)
def actual_builder(*, gap_min: float) -> Measure:
    """Whether somebody else than the contractor builds: found by an inspection, or by whose workers are there.

    An inspection that found an outsider is 1; else the share of registered workers of the last days that belong
    neither to the contractor nor to registered subcontractors. Labour subcontractors are often registered late.

    Grain: one row per project. Unit: ratio, 0..1.
    Source: 建筑法 第26条; 建筑法 第28条; 招标投标法 第48条; 招标投标法 第54条.
    """
    found = SiteBuilder.n_outsiders.col > 0
    gap = (1 - SiteBuilder.own_ratio.col).clip(lower_bound=0.0).fill_null(0.0)
    return Measure(
        raw_value=pl.when(found).then(1.0).otherwise(gap),
        support_n=SiteBuilder.n_recent.col + SiteBuilder.n_days.col,
        null_when={
            NullReason.MISSING_SOURCE: ~found & (SiteBuilder.n_recent.col == 0) & SiteBuilder.own_ratio.col.is_null()
        },
        triggered=pl.col("is_found") | at_least(pl.col("gap"), gap_min),
        intensity=pl.when("is_found").then(1.0).otherwise(ramp(pl.col("gap"), 0.3, 0.8)),
        evidence=SiteBuilder.evidence.col,
        extras={"is_found": found, "gap": gap, "n_outsiders": SiteBuilder.n_outsiders.col},
    )


@indicator("SI-046", reads=ManagerBooking)
def pm_double_booking() -> Measure:
    """Number of works that one person manages at the same time.

    Adjacent lots of one works count once, works stopped for long do not count, and a lot won while the manager was
    already booked counts before its contract is signed. The rule has exceptions for phases and accepted works.

    Grain: one row per person. Unit: works.
    Source: 注册建造师执业管理办法(试行) 第9条 (unverified); 建设工程安全生产管理条例 第21条.
    """
    return Measure(
        raw_value=ManagerBooking.n_works.col,
        support_n=ManagerBooking.n_contracts.col,
        null_when={NullReason.NOT_DUE: ~ManagerBooking.has_contract.col},
        triggered=at_least(RAW, 2),
        intensity=ramp(RAW, 1.0, 3.0),
        evidence=ManagerBooking.evidence.col,
    )


@indicator("SI-047", reads=LotWinner)
def shell_winner(*, age_days: int, insured_max: int, cap_ratio: float, addr_n: int, s_min: float) -> Measure:
    """Score of an organisation that won a lot for what shells have in common.

    Young, hardly any staff, little capital for the amount, changed hands near the award, never bid elsewhere, an
    address shared by many. A field that is missing adds nothing; what is known must be able to reach the limit. New
    subsidiaries for a concession and micro firms are legitimate.

    Grain: one row per organisation and lot won, the strongest stands for the organisation. Unit: weighted score, 0..1.
    Source: 招标投标法 第26条; 招标投标法 第33条; 建筑法 第13条; 政府采购法 第22条.
    """
    parts = {
        "young": (0.25, LotWinner.age_days.col < age_days),
        "few_insured": (0.25, LotWinner.insured_count.col <= insured_max),
        "little_capital": (0.15, LotWinner.amount.col > cap_ratio * LotWinner.registered_capital.col),
        "changed": (0.15, LotWinner.n_changes.col > 0),
        "no_other_bid": (0.10, LotWinner.n_other_bids.col == 0),
        "shared_address": (0.10, LotWinner.n_at_address.col >= addr_n),
    }
    score = pl.sum_horizontal(pl.when(holds).then(weight).otherwise(0.0) for weight, holds in parts.values())
    reach = pl.sum_horizontal(
        pl.when(holds.is_not_null()).then(weight).otherwise(0.0) for weight, holds in parts.values()
    )
    return Measure(
        raw_value=score,
        support_n=pl.sum_horizontal(holds.is_not_null().cast(pl.Int64) for _, holds in parts.values()),
        null_when={
            NullReason.MISSING_SOURCE: ~at_least(reach, s_min),
            NullReason.TOO_FEW_OBSERVATIONS: LotWinner.short_history.col,
        },
        triggered=at_least(RAW, s_min),
        intensity=ramp(RAW, 0.3, 0.8),
        evidence=LotWinner.evidence.col,
        extras={name: holds for name, (_, holds) in parts.items()} | {"lot_id": LotWinner.lot_id.col},
    )
