"""Purchases cut until no tender is due, and other ways around one (analysis 拆分标段)."""

import polars as pl

from features.assessment.chance import binomial_upper_tail
from features.assessment.declare import Measure, NullReason, indicator
from features.assessment.shapes import at_least, at_most, ramp
from features.derive.avoidance import EmergencyRoute, OtherMethods
from features.derive.direct_growth import DirectContract, ProvisionalSum
from features.derive.dismembering import UnitWorks
from features.derive.split_items import AdjacentWorks, LimitBunching, SplitProject, SplitSupplier

RAW = pl.col("raw_value")


def _ratio(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return part.cast(pl.Float64) / whole.cast(pl.Float64)


@indicator("SI-076", reads=LimitBunching)
def limit_bunching(*, n_min: int, ratio_min: float, p_max: float) -> Measure:
    """How many more of an owner's contracts and orders lie just below the tender limit than just above it.

    The chance of so many below is computed from the share of all owners, at least one in two. Budgets are often set at
    round figures near limits.

    Grain: one row per owner. Unit: ratio of counts, half a count added to each.
    Source: 招标投标法 第4条; 必须招标的工程项目规定 第5条; 政府采购法实施条例 第28条.
    """
    below, above = LimitBunching.n_below.col, LimitBunching.n_above.col
    return Measure(
        raw_value=(below + 0.5) / (above + 0.5),
        support_n=below + above,
        null_when={NullReason.TOO_FEW_OBSERVATIONS: LimitBunching.short_history.col | (below + above < n_min)},
        triggered=(pl.col("n_below") >= n_min) & at_most(pl.col("p_value"), p_max) & at_least(RAW, ratio_min),
        intensity=ramp(RAW.log(2), 0.5, 2.5),
        evidence=LimitBunching.evidence.col,
        extras={
            "p_value": binomial_upper_tail(below, below + above, LimitBunching.p_ref.col),
            "p_ref": LimitBunching.p_ref.col,
            "n_below": below,
        },
    )


@indicator("SI-077", reads=SplitProject)
def split_same_scope() -> Measure:
    """Sum of like purchases that one owner made without tender within some days, over the tender limit.

    Each lies below the limit, together they reach it. Villages or schools funded by year and site are separate
    projects. The strongest cluster that a project has a part in stands for it.

    Grain: one row per project and cluster. Unit: ratio (sum over limit); 0 without a cluster.
    Source: 招标投标法 第4条; 招标投标法 第49条; 政府采购法 第28条.
    """
    owner_min = 2
    n_items = SplitProject.n_items.col
    return Measure(
        raw_value=_ratio(SplitProject.total.col, SplitProject.limit.col).fill_null(0.0),
        support_n=n_items,
        null_when={NullReason.TOO_FEW_OBSERVATIONS: SplitProject.n_purchases.col < owner_min},
        triggered=pl.col("n_items") > 1,
        intensity=ramp(RAW, 1.0, 2.5) * ramp(pl.col("n_items").cast(pl.Float64), 1.0, 4.0),
        evidence=SplitProject.evidence.col,
        extras={"n_items": n_items, "owner_org_id": SplitProject.owner_org_id.col},
    )


@indicator("SI-078", reads=SplitSupplier)
def split_same_supplier(*, top_min: float) -> Measure:
    """Share of a cluster of like purchases that one supplier holds, with its control group and those close to it.

    Clusters are those of SI-077. A framework supplier receives call-offs lawfully.

    Grain: one row per owner, supplier and cluster. Unit: ratio.
    Source: 招标投标法 第4条; 招标投标法 第49条; 政府采购法 第28条.
    """
    n_items = SplitSupplier.n_items.col
    return Measure(
        raw_value=_ratio(SplitSupplier.held.col, SplitSupplier.total.col),
        support_n=n_items,
        null_when={NullReason.NOT_APPLICABLE: n_items == 0},
        triggered=at_least(RAW, top_min) & (pl.col("support_n") > 1),
        intensity=ramp(RAW, 0.4, 0.9),
        evidence=SplitSupplier.evidence.col,
    )


@indicator("SI-079", reads=AdjacentWorks)
def adjacent_split() -> Measure:
    """Sum of neighbouring works that one owner let without tender at one time, over the tender limit.

    Neighbours are of one sector, near each other, signed within some days and under way together. Town streets
    concentrate small works that have nothing to do with each other.

    Grain: one row per project and cluster. Unit: ratio (sum over limit); 0 without a cluster.
    Source: 招标投标法 第4条; 招标投标法实施条例 第24条.
    """
    n_items = AdjacentWorks.n_items.col
    return Measure(
        raw_value=_ratio(AdjacentWorks.total.col, AdjacentWorks.limit.col).fill_null(0.0),
        support_n=n_items,
        null_when={NullReason.MISSING_SOURCE: (n_items == 0) & (AdjacentWorks.n_unplaced.col > 0)},
        triggered=pl.col("support_n") > 1,
        intensity=ramp(RAW, 1.0, 2.0),
        evidence=AdjacentWorks.evidence.col,
        extras={"owner_org_id": AdjacentWorks.owner_org_id.col},
    )


@indicator("SI-080", reads=DirectContract)
def direct_then_grow() -> Measure:
    """Amount of a contract given without tender, with what was added to it, over the tender limit.

    It fires where the contract alone lies below the limit. Follow-on work with the original contractor is allowed in
    stated cases.

    Grain: one row per contract, the worst stands for the project. Unit: ratio (amount and additions over limit).
    Source: 招标投标法 第4条; 政府采购法 第49条; 招标投标法实施条例 第9条.
    """
    amount, limit, added = DirectContract.amount.col, DirectContract.limit.col, DirectContract.added.col
    return Measure(
        raw_value=_ratio(amount + added, limit),
        support_n=DirectContract.n_additions.col,
        null_when={
            NullReason.NOT_APPLICABLE: DirectContract.tendered.col,
            NullReason.MISSING_SOURCE: amount.is_null() | limit.is_null(),
        },
        triggered=pl.col("grown_past_limit"),
        intensity=ramp(RAW, 1.0, 1.5),
        evidence=DirectContract.evidence.col,
        extras={
            "grown_past_limit": (amount < limit) & (amount + added >= limit),
            "contract_id": DirectContract.contract_id.col,
        },
    )


@indicator("SI-081", reads=UnitWorks)
def unit_dismembered() -> Measure:
    """Number of contractors, control groups, to which an owner gave parts of one unit works.

    Trades that may be let apart are left out. Where no code names the unit works, what stands under one construction
    permit tells only if it shows several. Power, gas and water connections are separate by franchise.

    Grain: one row per unit works, the worst stands for the project. Unit: contractors.
    Source: 建筑法 第24条; 民法典 第791条; 建设工程质量管理条例 第7条.
    """
    count_min = 2
    n_contractors = UnitWorks.n_contractors.col
    shown = UnitWorks.unit.col.is_not_null() & (n_contractors >= count_min)
    return Measure(
        raw_value=n_contractors,
        support_n=UnitWorks.n_contracts.col,
        null_when={NullReason.MISSING_SOURCE: ~UnitWorks.is_coded.col & ~shown},
        triggered=count_min <= RAW,
        intensity=ramp(RAW, 1.0, 4.0),
        evidence=UnitWorks.evidence.col,
        extras={"unit": UnitWorks.unit.col},
    )


@indicator("SI-082", reads=OtherMethods)
def noncompetitive_share(*, gap_min: float) -> Measure:
    """Share of the value due for an open tender that a tenderer awarded otherwise, less the median of its peers.

    It also fires where one such award has no approval. Scientific and secret projects have their exemptions.

    Grain: one row per tenderer. Unit: difference of ratios, -1..1.
    Source: 招标投标法 第4条; 招标投标法实施条例 第8条; 政府采购法 第27条.
    """
    contracts_min = 4
    n_contracts = OtherMethods.n_contracts.col
    unapproved = pl.col("n_unapproved") > 0
    return Measure(
        raw_value=OtherMethods.other_share.col - OtherMethods.peer_share.col,
        support_n=n_contracts,
        null_when={
            NullReason.MISSING_SOURCE: OtherMethods.other_share.col.is_null(),
            NullReason.TOO_FEW_OBSERVATIONS: OtherMethods.short_history.col
            | (n_contracts < contracts_min)
            | (OtherMethods.n_peers.col == 0),
        },
        triggered=unapproved | at_least(RAW, gap_min),
        intensity=pl.max_horizontal(0.9 * unapproved.cast(pl.Float64), ramp(RAW, 0.1, 0.5)),
        evidence=OtherMethods.evidence.col,
        extras={
            "n_unapproved": OtherMethods.n_unapproved.col,
            "n_other": OtherMethods.n_other.col,
            "other_share": OtherMethods.other_share.col,
            "peer_share": OtherMethods.peer_share.col,
            "n_peers": OtherMethods.n_peers.col,
        },
    )


@indicator("SI-083", reads=EmergencyRoute)
def emergency_abuse(*, lag_days: int, amt_max: float, ev_min: int, s_min: float) -> Measure:
    """How far an emergency project looks like an ordinary one that avoids its tender.

    What is not known adds nothing, but that works began unconfirmed does. Real disasters start works before paper.

    Grain: one row per emergency. Unit: weighted score, 0..1.
    Source: 招标投标法 第66条; 招标投标法实施条例 第9条; 四川省抢险救灾工程项目管理办法 第4条.
    """
    days, amount, pictures = EmergencyRoute.days_to_start, EmergencyRoute.amount, EmergencyRoute.evidence_count
    beyond = EmergencyRoute.is_beyond_hazard.col
    parts = [
        (0.30, days.col > lag_days),
        (0.25, EmergencyRoute.is_late.col),
        (0.20, beyond.fill_null(value=False) | (amount.col > amt_max).fill_null(value=False)),
        (0.15, EmergencyRoute.is_chosen.col),
        (0.10, pictures.col < ev_min),
    ]
    known = [days.col, EmergencyRoute.is_late.col, beyond, EmergencyRoute.is_chosen.col, pictures.col]
    return Measure(
        raw_value=pl.sum_horizontal(w * part.fill_null(value=False).cast(pl.Float64) for w, part in parts),
        support_n=pl.sum_horizontal(fact.is_not_null().cast(pl.Int64) for fact in known),
        null_when={NullReason.MISSING_SOURCE: EmergencyRoute.emergency_id.col.is_null()},
        triggered=at_least(RAW, s_min),
        intensity=ramp(RAW, 0.25, 0.8),
        evidence=EmergencyRoute.evidence.col,
        extras={"days_to_start": days.col, "emergency_id": EmergencyRoute.emergency_id.col},
    )


@indicator("SI-084", reads=ProvisionalSum)
def provisional_evasion(*, prov_max: float) -> Measure:
    """Share of a contract's amount that is provisional.

    It also fires where a provisional item that reaches the tender limit was built without a tender of its own. Large
    complex works need real allowances.

    Grain: one row per contract, the worst stands for the project. Unit: ratio.
    Source: 招标投标法实施条例 第29条; 招标投标法 第4条.
    """
    amount, provisional = ProvisionalSum.amount.col, ProvisionalSum.provisional_amount.col
    untendered = pl.col("n_untendered") > 0
    return Measure(
        raw_value=_ratio(provisional, amount),
        support_n=ProvisionalSum.n_items.col,
        null_when={NullReason.MISSING_SOURCE: provisional.is_null() | amount.is_null() | (amount == 0)},
        triggered=untendered | at_least(RAW, prov_max),
        intensity=pl.max_horizontal(0.9 * untendered.cast(pl.Float64), ramp(RAW, 0.08, 0.25)),
        evidence=ProvisionalSum.evidence.col,
        extras={"n_untendered": ProvisionalSum.n_untendered.col, "contract_id": ProvisionalSum.contract_id.col},
    )
