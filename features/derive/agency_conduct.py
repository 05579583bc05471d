"""How an agency runs tenders: bids thrown out, documents corrected, prices known too early."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.awards import known_awards
from features.derive.bidders import decided_lots
from features.derive.bids import submitted_bids
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.lots import first_opening, lot_facts, with_market
from features.derive.ordered import ordered_mean
from features.derive.windows import in_window, short_history
from features.tables.as_of import known_as_of
from features.tables.source import SourceTables
from features.tables.tendering import Bid, Lot, Tender

FEW_BIDS = 3
"""So many valid bids or fewer are what is left of competition (SI-064)."""
CLARIFICATIONS_MAX = 3
"""More clarifications of one tender weigh no more (SI-065)."""


BENCHMARK_NUMBERS = ("k", "trim", "weight_control_price")
"""What a benchmark rule states beside its type."""


class AgencyDisqualification(Derived):
    """How many of the bids in one agency's tenders were disqualified, and at other agencies."""

    subject_id = dy.String(primary_key=True)
    """The agency."""
    n_bids = dy.Int64(min=0)
    """Bids of S(l), in lots whose bids are all published."""
    n_disqualified = dy.Int64(min=0)
    n_lots = dy.Int64(min=0)
    n_lots_left_few = dy.Int64(min=0)
    """Lots with a disqualified bid and three or fewer valid ones."""
    n_bids_all = dy.Int64(min=0)
    """With the lots whose bids are not all published."""
    n_agencies = dy.Int64(min=0)
    """Agencies with enough bids to compare, itself included."""
    fence = dy.Float64(nullable=True, min=0)
    """Upper quartile of their rates plus 1.5 interquartile ranges; null without any."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int, bids_min: int) -> pl.LazyFrame:
        """Count bids of lots opened in the window, of any method (rulings G9, SI-064)."""
        lots = (
            lot_facts(source, as_of)
            .filter(in_window(pl.col("opening_at"), as_of, window_months), pl.col("agency_org_id").is_not_null())
            .select("lot_id", "bids_complete", subject_id="agency_org_id")
        )
        reasons = source[Bid].select("bid_id", "disqualify_reason")
        bids = submitted_bids(source).join(lots, on="lot_id", how="inner").join(reasons, on="bid_id", how="left")
        disqualified = pl.col("disqualified")
        per_lot = (
            bids.filter("bids_complete")
            .group_by("subject_id", "lot_id")
            .agg(
                n_bids=pl.len().cast(pl.Int64),
                n_disqualified=disqualified.sum().cast(pl.Int64),
                left_few=disqualified.any() & (pl.col("counts_as_valid").sum() <= FEW_BIDS),
            )
        )
        counted = per_lot.group_by("subject_id").agg(
            pl.col("n_bids", "n_disqualified").sum(),
            n_lots=pl.len().cast(pl.Int64),
            n_lots_left_few=pl.col("left_few").sum().cast(pl.Int64),
        )
        seen = bids.group_by("subject_id").agg(
            n_bids_all=pl.len().cast(pl.Int64),
            evidence=rows_as_evidence(
                "bid", "bid_id", ["lot_id", "disqualify_reason"], where=disqualified & pl.col("bids_complete")
            ),
        )
        enough = pl.col("n_bids") >= bids_min
        rates = (pl.col("n_disqualified") / pl.col("n_bids")).filter(enough)
        lower, upper = (rates.quantile(q, "linear") for q in (0.25, 0.75))
        return (
            seen.join(counted, on="subject_id", how="left")
            .with_columns(pl.col("n_bids", "n_disqualified", "n_lots", "n_lots_left_few").fill_null(0))
            .with_columns(
                n_agencies=enough.sum().cast(pl.Int64),
                fence=upper + 1.5 * (upper - lower),
                short_history=pl.lit(short_history(first_opening(source), as_of, window_months)),
            )
            .select(cls.column_names())
            .sort("subject_id")
        )


class AgencyIrregularity(Derived):
    """How often one agency corrects its tender documents, corrects them late, or has to tender again."""

    subject_id = dy.String(primary_key=True)
    """The agency."""
    n_tenders = dy.Int64(min=0)
    """Tenders of which all that counts is known."""
    n_tenders_all = dy.Int64(min=0)
    irregularity = dy.Float64(nullable=True, min=0, max=1)
    """irr: mean over the tenders of 0.3 for clarifications, 0.4 for a late one, 0.3 for a new or failed tender."""
    median = dy.Float64(nullable=True)
    """Of irr over the agencies with enough tenders, itself included."""
    mad = dy.Float64(nullable=True)
    """Median absolute deviation from it."""
    n_late = dy.Int64(min=0)
    n_failed = dy.Int64(min=0)
    """Tenders that failed or repeat an earlier one."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(
        cls, source: SourceTables, as_of: dt.datetime, window_months: int, clar_days: int, n_min: int
    ) -> pl.LazyFrame:
        """Rate tenders opened in the window, as the moment knew them (rulings G3, SI-065).

        A clarification is late when fewer than ``clar_days`` calendar days lead to the final deadline, unless it is
        known not to matter for the bids.
        """
        tenders = (
            known_as_of(source[Tender], Tender, as_of)
            .filter(in_window(pl.col("opening_at"), as_of, window_months), pl.col("agency_org_id").is_not_null())
            .with_columns(
                clarified=pl.col("n_clarifications").clip(upper_bound=CLARIFICATIONS_MAX) / CLARIFICATIONS_MAX,
                late=_late(clar_days),
                failed=pl.col("retender_of_tender_id").is_not_null()
                | (pl.col("status").cast(pl.String) == "failed").fill_null(value=False),
            )
            .with_columns(part=0.3 * pl.col("clarified") + 0.4 * pl.col("late") + 0.3 * pl.col("failed"))
        )
        known = pl.col("part").is_not_null()
        telling = known & (pl.col("part") > 0)
        rated = tenders.group_by(subject_id="agency_org_id").agg(
            n_tenders=known.sum().cast(pl.Int64),
            n_tenders_all=pl.len().cast(pl.Int64),
            irregularity=ordered_mean(pl.col("part")),
            n_late=(known & pl.col("late")).sum().cast(pl.Int64),
            n_failed=(known & pl.col("failed")).sum().cast(pl.Int64),
            evidence=rows_as_evidence("tender", "tender_id", ["n_clarifications", "late", "failed"], where=telling),
        )
        compared = pl.col("irregularity").filter(pl.col("n_tenders") >= n_min)
        return (
            rated.with_columns(
                median=compared.median(),
                mad=(compared - compared.median()).abs().median(),
                short_history=pl.lit(short_history(first_opening(source), as_of, window_months)),
            )
            .select(cls.column_names())
            .sort("subject_id")
        )


def _late(clar_days: int) -> pl.Expr:
    """Tell whether the last clarification came too late; null when its day or the deadline is not known."""
    days = (pl.col("bid_deadline_at").dt.date() - pl.col("last_clarification_at").dt.date()).dt.total_days()
    material = pl.col("clarification_material").fill_null(value=True)
    none = (pl.col("n_clarifications") == 0) & pl.col("last_clarification_at").is_null()
    return pl.when(none | ~material).then(statement=False).otherwise(days < clar_days)


class ReferenceHit(Derived):
    """How often winners in one agency's or tenderer's lots came within a hair of a price that nobody should know."""

    subject_id = dy.String()
    """The agency or the tenderer."""
    role = dy.String()
    """``agency`` or ``tenderer``."""
    n_lots = dy.Int64(min=0)
    """Lots with a reference price that was not published before opening, and a winner whose price is known."""
    n_near = dy.Int64(min=0)
    """Those whose winner priced that near."""
    n_lots_market = dy.Int64(min=0)
    """Such lots of others in the same markets."""
    n_near_market = dy.Int64(min=0)
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int, leak_eps: float) -> pl.LazyFrame:
        """Compare winning prices of decided competitive lots with secret estimates and drawn benchmarks (SI-066)."""
        judged = _near_reference(source, as_of, with_market(decided_lots(source, as_of, window_months)), leak_eps)
        hosted = pl.concat(
            judged.filter(pl.col(org).is_not_null()).select(
                "market", "near", "shown", subject_id=org, role=pl.lit(role)
            )
            for role, org in (("agency", "agency_org_id"), ("tenderer", "tenderer_org_id"))
        )
        counts = [pl.col("near").count().cast(pl.Int64).alias("n"), pl.col("near").sum().cast(pl.Int64).alias("n_near")]
        here = hosted.group_by("subject_id", "role", "market").agg(*counts).filter(pl.col("n") > 0)
        elsewhere = (
            here.join(judged.group_by("market").agg(*counts), on="market", suffix="_everywhere")
            .group_by("subject_id", "role")
            .agg(
                n_lots_market=(pl.col("n_everywhere") - pl.col("n")).sum(),
                n_near_market=(pl.col("n_near_everywhere") - pl.col("n_near")).sum(),
            )
        )
        own = hosted.group_by("subject_id", "role").agg(
            n_lots=pl.col("near").count().cast(pl.Int64),
            n_near=pl.col("near").sum().cast(pl.Int64),
            evidence=pl.concat_str(pl.lit("["), pl.col("shown").filter("near").sort().str.join(","), pl.lit("]")),
        )
        return (
            own.join(elsewhere, on=["subject_id", "role"], how="left")
            .with_columns(pl.col("n_lots_market", "n_near_market").fill_null(0))
            .with_columns(short_history=pl.lit(short_history(first_opening(source), as_of, window_months)))
            .select(cls.column_names())
            .sort("subject_id", "role")
        )


def _near_reference(source: SourceTables, as_of: dt.datetime, lots: pl.LazyFrame, leak_eps: float) -> pl.LazyFrame:
    """Tell of each lot whether a winning price is near a secret reference.

    Grain: one lot. Columns: market, tenderer_org_id, agency_org_id, near (null without a reference or a price), shown
    (the awards that are near, as JSON objects).
    """
    references = pl.concat([_secret_estimates(source), _drawn_benchmarks(source)])
    money = [pl.col(name).round(2).cast(pl.Decimal(38, 2)).cast(pl.String) for name in ("reference", "price")]
    shown = pl.struct(
        pl.lit("award").alias("table"),
        pl.col("award_id").alias("key"),
        pl.struct("lot_id", "reference_kind", *money).alias("fields"),
    ).struct.json_encode()
    compared = (
        references.join(_winning_prices(source, as_of), on="lot_id", how="inner")
        .with_columns(near=(pl.col("price") / pl.col("reference") - 1).abs().round(9) <= leak_eps, shown=shown)
        .group_by("lot_id")
        .agg(pl.col("near").any(), shown=pl.col("shown").filter("near").sort().str.join(","))
    )
    return lots.join(compared, on="lot_id", how="left").select(
        "market", "tenderer_org_id", "agency_org_id", "near", "shown"
    )


def _secret_estimates(source: SourceTables) -> pl.LazyFrame:
    """Return unpublished estimates: lot_id, reference, reference_kind; a tender's is its only lot's."""
    secret = (
        source[Tender]
        .filter(~pl.col("estimate_published"))
        .select("tender_id", tender_estimate=pl.col("estimate_price"))
    )
    alone = pl.len().over("tender_id") == 1
    return (
        source[Lot]
        .select("lot_id", "tender_id", "estimate_price", alone=alone)
        .join(secret, on="tender_id", how="inner")
        .select(
            "lot_id",
            reference=pl.coalesce("estimate_price", pl.when("alone").then("tender_estimate")).cast(pl.Float64),
            reference_kind=pl.lit("estimate_price"),
        )
        .filter(pl.col("reference") > 0)
    )


def _drawn_benchmarks(source: SourceTables) -> pl.LazyFrame:
    """Return benchmarks with a factor drawn at opening, where it is recorded: lot_id, reference, reference_kind.

    The factor times the mean of the valid prices, so many cut off at each end, weighted with the control price.
    """
    stated = {name: pl.col("benchmark_rule").str.json_path_match(f"$.{name}") for name in ("type", *BENCHMARK_NUMBERS)}
    numbers = [pl.col(name).cast(pl.Float64, strict=False) for name in BENCHMARK_NUMBERS]
    rules = source[Tender].select("tender_id", **stated).filter(pl.col("type") == "random_k").with_columns(numbers)
    trim = pl.col("trim").first().fill_null(0).cast(pl.Int64)
    price = pl.col("bid_price").cast(pl.Float64)
    complete = pl.col("bids_complete").fill_null(value=True).first() & (price > 0).fill_null(value=False).all()
    kept = price.sort().slice(trim, pl.len().cast(pl.Int64) - 2 * trim)
    means = (
        submitted_bids(source)
        .filter("counts_as_valid")
        .join(source[Lot].select("lot_id", "tender_id", "bids_complete", "control_price"), on="lot_id", how="inner")
        .join(rules, on="tender_id", how="inner")
        .group_by("lot_id")
        .agg(
            pl.col("k", "weight_control_price").first(),
            control=pl.col("control_price").first().cast(pl.Float64),
            mean=pl.when(complete & (pl.len() > 2 * trim)).then(kept.mean()),
        )
    )
    weight = pl.col("weight_control_price").fill_null(0.0)
    mixed = pl.when(weight > 0).then(weight * pl.col("control") + (1 - weight) * pl.col("mean")).otherwise("mean")
    benchmarks = means.select("lot_id", reference=pl.col("k") * mixed, reference_kind=pl.lit("benchmark"))
    return benchmarks.filter(pl.col("reference") > 0)


def _winning_prices(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return what each winner bid, else what it was awarded: award_id, lot_id, price."""
    bids = submitted_bids(source).select("bid_id", "lot_id", org_id="bidder_org_id", bid_price="bid_price")
    by_org = bids.group_by("lot_id", "org_id").agg(org_price=pl.col("bid_price").min())
    return (
        known_awards(source, as_of)
        .join(bids.drop("org_id"), on=["bid_id", "lot_id"], how="left")
        .join(by_org, on=["lot_id", "org_id"], how="left")
        .select("award_id", "lot_id", price=pl.coalesce("bid_price", "org_price", "amount").cast(pl.Float64))
        .filter(pl.col("price") > 0)
    )
