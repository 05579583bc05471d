"""Prices of one lot: how the bids, and their unit prices, lie among each other (analysis 围标串标)."""

import numpy as np
import polars as pl
from scipy.stats import kstwo

from features.assessment.declare import Measure, NullReason, PeerRule, indicator
from features.assessment.peers import N_BIN
from features.assessment.shapes import at_least, at_most, ramp
from features.derive.benchmark import BenchmarkGroup
from features.derive.bids import LotBid
from features.derive.evidence import rows_as_evidence
from features.derive.lots import DIRECT
from features.derive.price_steps import RegularPrices
from features.derive.unit_prices import EqualItems, ItemDigits

PEERS = PeerRule(
    always=("object_type", "evaluation_method", "currency", N_BIN),
    steps=(("category", "city", "required_qual_code"), ("category", "city"), ("category",), ()),
    at="opening_at",
)

RAW = pl.col("raw_value")
PERCENTILE = pl.col("peer_percentile")
VALID = LotBid.counts_as_valid.col
PRICE = LotBid.bid_price.col.cast(pl.Float64).filter(VALID).sort()
"""Sorted prices b(1) <= ... <= b(n) of V(l)."""
N = VALID.sum().cast(pl.Int64)
LOWEST = PRICE.first()
SECOND = PRICE.slice(1, 1).first()
HIGHEST = PRICE.last()
EVIDENCE = rows_as_evidence("bid", "bid_id", ["bidder_org_id", "bid_price"], where=VALID)


def _null_when(n_min: int, *, equal: pl.Expr | None = None) -> dict[NullReason, pl.Expr]:
    """State when a price screen cannot be judged (min_support of the screens, rulings G9, G12).

    Args:
        n_min: the fewest valid bids.
        equal: the prices whose spread is a denominator are all equal; said only of a lot whose prices are all known.
    """
    unpriced = (PRICE.null_count() > 0) | (PRICE <= 0).any()
    no_competition = LotBid.evaluation_method.col.first().eq("random_draw") | LotBid.method.col.first().is_in(DIRECT)
    unknown = ~LotBid.bids_complete.col.first() | unpriced
    no_spread = pl.lit(False) if equal is None else ~unknown & (n_min <= N) & equal
    return {
        NullReason.NOT_APPLICABLE: no_competition | no_spread,
        NullReason.MISSING_SOURCE: unknown,
        NullReason.TOO_FEW_OBSERVATIONS: n_min > N,
    }


@indicator("SI-022", reads=LotBid, per="lot_id", peers=PEERS)
def price_cv(*, n_min: int, cv_max: float, pct_low: float) -> Measure:
    """Coefficient of variation of the valid bid prices of one lot.

    Prices worked out independently scatter by a few percent; a tighter cluster suggests that one hand wrote several
    bids. Average-benchmark rules bunch honest bids too, so a lot is judged against peers with the same evaluation
    method. A value of 0 (all prices equal) is a value.

    Grain: one row per bid in, one per lot out. Unit: ratio; sample standard deviation (n - 1) over mean.
    Source: 招标投标法实施条例 第40条; Abrantes-Metz et al. (2006), variance screen.
    """
    return Measure(
        raw_value=PRICE.std() / PRICE.mean(),
        support_n=N,
        null_when=_null_when(n_min),
        triggered=at_most(RAW, cv_max) & at_most(PERCENTILE, pct_low),
        intensity=1 - ramp(PERCENTILE, 0.01, 0.20),
        evidence=EVIDENCE,
    )


@indicator("SI-023", reads=LotBid, per="lot_id", peers=PEERS)
def price_spd(*, n_min: int, pct_low: float, pct_high: float) -> Measure:
    """Spread of the valid bid prices of one lot: highest less lowest, over lowest.

    Both ends tell: a spread far below that of peers is bunching, one far above it may hold a cover bid out of all
    proportion. One careless high bid does the same, so the high end weighs half.

    Grain: one row per bid in, one per lot out. Unit: ratio.
    Source: 招标投标法实施条例 第40条; Imhof, Karagoek, Rutz (2018), spread screen.
    """
    return Measure(
        raw_value=(HIGHEST - LOWEST) / LOWEST,
        support_n=N,
        null_when=_null_when(n_min),
        triggered=at_most(PERCENTILE, pct_low) | at_least(PERCENTILE, pct_high),
        intensity=pl.max_horizontal(1 - ramp(PERCENTILE, 0.01, 0.20), 0.5 * ramp(PERCENTILE, 0.90, 0.99)),
        evidence=EVIDENCE,
    )


@indicator("SI-024", reads=LotBid, per="lot_id", peers=PEERS)
def price_diffp(*, n_min: int, eps: float) -> Measure:
    """Gap between the two lowest valid prices of one lot, over the lowest.

    A gap outside the fences of peers (quartiles less or plus 1.5 interquartile ranges), or next to nothing, is
    unusual: losers kept at a distance, or two prices from one hand. Where the peers' interquartile range is 0 the
    fences are not used.

    Grain: one row per bid in, one per lot out. Unit: ratio.
    Source: 招标投标法实施条例 第40条; OCP red flags R024 and R058.
    """
    q1, q3 = pl.col("peer_q1"), pl.col("peer_q3")
    iqr = q3 - q1
    outside = (iqr.round(9) > 0) & (at_most(RAW, q1 - 1.5 * iqr) | at_least(RAW, q3 + 1.5 * iqr))
    return Measure(
        raw_value=(SECOND - LOWEST) / LOWEST,
        support_n=N,
        null_when=_null_when(n_min),
        triggered=outside | at_most(RAW, eps),
        intensity=pl.max_horizontal(1 - ramp(PERCENTILE, 0.01, 0.15), ramp(PERCENTILE, 0.90, 0.995)),
        evidence=EVIDENCE,
    )


@indicator("SI-025", reads=LotBid, per="lot_id", peers=PEERS)
def price_rd(*, n_min: int, rd_min: float, rdnor_min: float, pct_high: float) -> Measure:
    """Relative distance: gap of the two lowest prices over the standard deviation of the losing ones.

    Cover bids are set apart from the winner and close to each other. RDNOR, the gap over the mean gap, must agree.
    One efficient bidder does the same alone. Equal losing prices make the distance undefined; they are caught by
    SI-024 and SI-029.

    Grain: one row per bid in, one per lot out. Unit: ratio; losing prices are b(2)..b(n), n - 2 degrees of freedom.
    Source: 招标投标法实施条例 第40条; Imhof, Karagoek, Rutz (2018).
    """
    gap = SECOND - LOWEST
    return Measure(
        raw_value=gap / PRICE.slice(1).std(),
        support_n=N,
        null_when=_null_when(n_min, equal=SECOND == HIGHEST),
        triggered=at_least(RAW, rd_min) & at_least(pl.col("rdnor"), rdnor_min) & at_least(PERCENTILE, pct_high),
        intensity=ramp(PERCENTILE, 0.80, 0.99),
        evidence=EVIDENCE,
        extras={"rdnor": gap / ((HIGHEST - LOWEST) / (N - 1))},
    )


@indicator("SI-026", reads=LotBid, per="lot_id", peers=PEERS)
def price_kurtosis(*, n_min: int, pct_high: float) -> Measure:
    """Excess kurtosis of the valid prices of one lot, corrected for bias.

    A tight group with one or two prices far away has heavy tails. Very noisy below six bids: never read alone.

    Grain: one row per bid in, one per lot out. Unit: none.
    Source: 招标投标法实施条例 第40条; Huber, Imhof (2019), kurtosis screen.
    """
    return Measure(
        raw_value=PRICE.kurtosis(fisher=True, bias=False),
        support_n=N,
        null_when=_null_when(n_min, equal=LOWEST == HIGHEST),
        triggered=at_least(PERCENTILE, pct_high),
        intensity=ramp(PERCENTILE, 0.80, 0.99),
        evidence=EVIDENCE,
    )


@indicator("SI-027", reads=LotBid, per="lot_id", peers=PEERS)
def price_skewness(*, n_min: int, skew_low: float, pct_low: float) -> Measure:
    """Skewness of the valid prices of one lot, corrected for bias.

    A winner far below a tight group gives strongly negative skewness. Where the price benchmark is a mean of the bids
    the direction may flip: there the size of the skewness and the two-sided percentile decide.

    Grain: one row per bid in, one per lot out. Unit: none.
    Source: 招标投标法实施条例 第40条; Huber, Imhof (2019), skewness screen.
    """
    two_sided = pl.col("mean_rule")
    value = pl.when(two_sided).then(-RAW.abs()).otherwise(RAW)
    limit = pl.when(two_sided).then(-abs(skew_low)).otherwise(skew_low)
    tail = 2 * pl.min_horizontal(PERCENTILE, 1 - PERCENTILE)
    percentile = pl.when(two_sided).then(tail).otherwise(PERCENTILE)
    return Measure(
        raw_value=PRICE.skew(bias=False),
        support_n=N,
        null_when=_null_when(n_min, equal=LOWEST == HIGHEST),
        triggered=at_most(value, limit) & at_most(percentile, pct_low),
        intensity=1 - ramp(percentile, 0.01, 0.20),
        evidence=EVIDENCE,
        extras={"mean_rule": LotBid.mean_rule.col.first()},
    )


@indicator("SI-028", reads=LotBid, per="lot_id", peers=PEERS)
def price_ks(*, n_min: int, d_min: float, p_max: float) -> Measure:
    """Kolmogorov-Smirnov distance of the inner prices of one lot from a uniform spread.

    The prices between the lowest and the highest are scaled to 0..1 and compared with even spacing. Bunching near the
    control price or an expected benchmark is common, so the peer percentile is reported beside it.

    Grain: one row per bid in, one per lot out. Unit: none, 0..1; p from the exact two-sided distribution for the
    m = n - 2 inner prices.
    Source: 招标投标法实施条例 第40条; Wallimann, Imhof, Huber (2022), KS screen.
    """
    m = N - 2
    inner = (PRICE.slice(1, m) - LOWEST) / (HIGHEST - LOWEST)
    rank = inner.cum_count()
    distance = pl.max_horizontal((rank / m - inner).max(), (inner - (rank - 1) / m).max())
    return Measure(
        raw_value=distance,
        support_n=N,
        null_when=_null_when(n_min, equal=LOWEST == HIGHEST),
        triggered=at_least(RAW, d_min) & at_most(pl.col("ks_p"), p_max),
        intensity=ramp(RAW, 0.4, 0.8),
        evidence=EVIDENCE,
        after={"ks_p": pl.struct(d="raw_value", m=pl.col("support_n") - 2).map_batches(_ks_p_value, pl.Float64)},
    )


@indicator("SI-029", reads=RegularPrices)
def regular_differences(*, k_min: int, ratio_share_min: float) -> Measure:
    """How regular the prices of one lot are: equal totals, a progression of totals, one ratio between unit prices.

    Totals in even steps, or unit prices of one bid that are those of another times a factor, come from one hand. One
    discount on the published control prices makes equal ratios for honest bidders too: items at which both follow
    their usual discount are left out.

    Grain: one row per lot. Unit: 1 for equal prices or a progression, else the largest modal share of ratios, 0..1.
    Source: 招标投标法实施条例 第40条; 政府采购货物和服务招标投标管理办法 第37条; OCP red flags R023 and R028.
    """
    equal, complete = RegularPrices.equal.col, RegularPrices.bids_complete.col
    progression = complete & (RegularPrices.k.col > 0)
    share = RegularPrices.modal_share.col
    ratio_fires = at_least(share, ratio_share_min).fill_null(value=False)
    return Measure(
        raw_value=pl.max_horizontal((equal | progression).cast(pl.Float64), share),
        support_n=RegularPrices.n_prices.col,
        null_when={
            NullReason.NOT_APPLICABLE: ~RegularPrices.competes.col,
            NullReason.MISSING_SOURCE: ~complete & ~equal & ~ratio_fires,
            NullReason.TOO_FEW_OBSERVATIONS: ~equal & (RegularPrices.n_prices.col < k_min) & share.is_null(),
        },
        triggered=pl.col("equal") | pl.col("progression") | at_least(pl.col("modal_share"), ratio_share_min),
        intensity=pl.max_horizontal(
            (pl.col("equal") | pl.col("progression")).cast(pl.Float64), ramp(pl.col("modal_share"), 0.3, 0.8)
        ),
        evidence=RegularPrices.evidence.col,
        extras={
            "equal": equal,
            "progression": progression,
            "k": RegularPrices.k.col,
            "modal_share": share,
            "modal_pair": RegularPrices.modal_pair.col,
            "modal_ratio": RegularPrices.modal_ratio.col,
            "n_items": RegularPrices.n_items.col,
        },
    )


@indicator("SI-030", reads=EqualItems)
def identical_unit_prices(*, same_min: float, items_min: int) -> Measure:
    """Share of items that two bids of one lot price alike, prices that anybody would write left out.

    Quota software with one month's information prices gives equal prices by default: control prices, published
    prices and prices that many of the other bids use do not count.

    Grain: one row per pair of bids. Unit: ratio.
    Source: 招标投标法实施条例 第40条; 政府采购货物和服务招标投标管理办法 第37条; OCP red flag R028.
    """
    n = EqualItems.n_eligible.col
    return Measure(
        raw_value=EqualItems.n_same.col / n,
        support_n=n,
        null_when={
            NullReason.MISSING_SOURCE: ~EqualItems.priced.col,
            NullReason.TOO_FEW_OBSERVATIONS: n < items_min,
        },
        triggered=at_least(RAW, same_min) & (pl.col("support_n") >= items_min),
        intensity=ramp(RAW, 0.10, 0.50),
        evidence=EqualItems.evidence.col,
        extras={"n_same": EqualItems.n_same.col},
    )


@indicator("SI-031", reads=ItemDigits)
def benford_prices(*, excess_min: float, gap: float, items_min: int) -> Measure:
    """How far the first digits of one bid's unit prices are from Benford's law, beyond chance.

    Unit prices of one trade span few orders of magnitude and need not follow the law: the gap to the other bids of the
    lot must agree.

    Grain: one row per bid. Unit: mean absolute difference of shares, less its expectation for so many items.
    Source: 招标投标法实施条例 第40条; OCP red flag R029.
    """
    n = ItemDigits.n_items.col
    return Measure(
        raw_value=ItemDigits.excess.col,
        support_n=n,
        null_when={
            NullReason.MISSING_SOURCE: ~ItemDigits.priced.col,
            NullReason.TOO_FEW_OBSERVATIONS: n < items_min,
        },
        triggered=at_least(RAW, excess_min) & at_least(RAW - pl.col("lot_excess"), gap),
        intensity=ramp(RAW, 0.004, 0.020),
        evidence=ItemDigits.evidence.col,
        extras={"lot_excess": ItemDigits.lot_excess.col},
    )


@indicator("SI-032", reads=BenchmarkGroup)
def benchmark_manipulation(*, shift_min: float) -> Measure:
    """How far the losing bids of the winner's group moved the price benchmark of one lot, and whether that won it.

    Where points depend on nearness to a mean of the bids, a few friends can pilot it. Their losing bids are left out,
    and the others scored anew on the curve of the recorded points. In a crowd one group moves the mean little.

    Grain: one row per lot, and per winner in a group of linked bids. Unit: ratio of the benchmark.
    Source: 招标投标法实施条例 第39条; 招标投标法实施条例 第40条; collusion in average-bid auctions.
    """
    return Measure(
        raw_value=BenchmarkGroup.shift.col,
        support_n=BenchmarkGroup.n_valid.col,
        null_when={
            NullReason.NOT_APPLICABLE: ~BenchmarkGroup.by_mean.col | ~BenchmarkGroup.linked.col,
            NullReason.MISSING_SOURCE: ~BenchmarkGroup.known.col,
        },
        triggered=pl.col("flip") & at_least(RAW, shift_min),
        intensity=pl.when("flip").then(ramp(RAW, 0.0005, 0.01)).otherwise(0.3 * ramp(pl.col("group_ratio"), 0.3, 0.7)),
        evidence=BenchmarkGroup.evidence.col,
        extras={
            "flip": BenchmarkGroup.flip.col,
            "n_group": BenchmarkGroup.n_group.col,
            "group_ratio": BenchmarkGroup.n_group.col / BenchmarkGroup.n_valid.col,
        },
    )


def _ks_p_value(points: pl.Series) -> pl.Series:
    """Return P(D >= d) of the exact two-sided Kolmogorov distribution for m points; null below one point."""
    d = points.struct.field("d").fill_null(float("nan")).to_numpy()
    m = points.struct.field("m").to_numpy()
    known = (m >= 1) & np.isfinite(d)
    p = np.full(len(d), np.nan)
    p[known] = kstwo.sf(d[known], m[known])
    return pl.Series("ks_p", p, nan_to_null=True)
