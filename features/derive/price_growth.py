"""How the price of a contract grew: against its tender, by quantities, by months, and what a review cut."""

import datetime as dt

import dataframely as dy
import numpy as np
import polars as pl

from features.derive.awards import known_awards
from features.derive.bids import submitted_bids
from features.derive.bill_items import main_items
from features.derive.contract_facts import SUM, approved_changes, contract_bids, per_contract, signed_contracts
from features.derive.derived import Derived
from features.derive.evidence import joined_evidence, rows_as_evidence
from features.derive.lots import DIRECT, lot_facts
from features.derive.peers import N_BIN, PEERS, n_bin, with_peers
from features.derive.windows import in_window, short_history
from features.rounding import DECIMALS
from features.tables.as_of import known_as_of
from features.tables.bills import BidItemPrice, BoqItem
from features.tables.columns import LAST_MOMENT, MONEY_MAX
from features.tables.completion import SettlementAudit
from features.tables.contracts import QuantityMeasurement
from features.tables.source import SourceTables
from features.tables.tendering import Lot

PEER_MIN, PEER_MONTHS = 30, 36
"""How PEER is found by an indicator that has no parameters for it (rulings G11)."""
DISCOUNTS = {"peer_median": 0.5, "peer_p75": 0.75, "peer_p90": 0.9}
SHOWN = 10
"""Of items and measurements, so many are shown: those that matter most."""


class GrownContract(Derived):
    """How far below the control price one contract was won, and how far beyond its amount it went."""

    subject_id = dy.String()
    """The project."""
    contract_id = dy.String(primary_key=True)
    contract_amount = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    change_amount = dy.Decimal(38, 2)
    """Approved changes without price adjustments."""
    adjustment_amount = dy.Decimal(38, 2)
    """Approved price adjustments."""
    reviewed_amount = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    """Settled, by the latest review."""
    discount = dy.Float64(nullable=True)
    """One less all that was awarded of the lot over its control price; null where one of them is not known."""
    is_uncontested = dy.Bool()
    """Awarded directly or by a random draw."""
    peer_median = dy.Float64(nullable=True)
    """Of the discounts of PEER lots; null with fewer than 30."""
    peer_p75 = dy.Float64(nullable=True)
    peer_p90 = dy.Float64(nullable=True)
    peer_n = dy.Int64(nullable=True, min=0)
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Set what was awarded and what was added by ``as_of`` against each other (rulings G2, G5, G11, SI-054)."""
        lots = _lot_discounts(source, as_of)
        method = (pl.col("method").is_in(DIRECT) | (pl.col("evaluation_method") == "random_draw")).fill_null(
            value=False
        )
        contracts = (
            signed_contracts(source, as_of)
            .select("contract_id", "lot_id", subject_id="project_id", contract_amount="amount")
            .join(lots.with_columns(is_uncontested=method), on="lot_id", how="left")
        )
        valued = contracts.filter(~pl.col("is_uncontested"), pl.col("contract_amount") > 0).select("lot_id").unique()
        compared = with_peers(
            lots.filter("opened").join(valued, on="lot_id", how="semi").rename({"discount": "raw_value"}).collect(),
            PEERS,
            peer_min=PEER_MIN,
            window_months=PEER_MONTHS,
            quantiles=DISCOUNTS,
        )
        is_adjustment = pl.col("change_type").cast(pl.String) == "price_adjustment"
        delta = pl.col("amount_delta").cast(SUM)
        changes = (
            approved_changes(source, as_of)
            .group_by("contract_id")
            .agg(
                change_amount=delta.filter(~is_adjustment).sum(),
                adjustment_amount=delta.filter(is_adjustment).sum(),
                changes=rows_as_evidence(
                    "contract_change", "change_id", ["change_type", "reason_code", "amount_delta", "approved_at"]
                ),
            )
        )
        reviews = (
            reviewed_settlements(source, as_of)
            .group_by("contract_id")
            .agg(
                pl.col("reviewed_amount").first(),
                reviews=rows_as_evidence("settlement_audit", "settlement_id", ["reviewed_amount", "reviewed_at"]),
            )
        )
        awards = (
            known_awards(source, as_of)
            .group_by("lot_id")
            .agg(awards=rows_as_evidence("award", "award_id", ["lot_id", "org_id", "amount", "awarded_at"]))
        )
        found = (
            contracts.join(compared.lazy().select("lot_id", *DISCOUNTS, "peer_n"), on="lot_id", how="left")
            .join(changes, on="contract_id", how="left")
            .join(reviews, on="contract_id", how="left")
            .join(awards, on="lot_id", how="left")
            .with_columns(evidence=joined_evidence(pl.col("awards"), pl.col("changes"), pl.col("reviews")))
        )
        return per_contract(cls, found)


class BillGain(Derived):
    """What one contractor gained because quantities grew where its prices were high and shrank where they were low."""

    subject_id = dy.String()
    """The project."""
    contract_id = dy.String(primary_key=True)
    contract_amount = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    has_prices = dy.Bool()
    """Unit prices of the winning bid are known."""
    n_items = dy.Int64(min=0)
    """Items with a cumulative quantity."""
    n_contributing = dy.Int64(min=0)
    """Items whose term is not 0."""
    gain_amount = dy.Float64()
    """Sum of the terms. CNY."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Weigh the growth of each measured item by the winner's price above the reference (rulings SI-055).

        The reference is the median of the valid bids for the item, else the control price cut as the whole was.
        """
        signed = signed_contracts(source, as_of)
        contracts = signed.select("contract_id", subject_id="project_id", contract_amount="amount")
        items = _measured_items(source, as_of).join(
            source[BoqItem].select("boq_item_id", "lot_id", "tender_quantity", "control_unit_price"),
            on="boq_item_id",
            how="inner",
        )
        winning = contract_bids(source, as_of).group_by("contract_id").agg(pl.col("bid_id").min())
        price = pl.col("unit_price").cast(pl.Float64)
        own = (
            source[BidItemPrice]
            .join(winning, on="bid_id", how="inner")
            .group_by("contract_id", "boq_item_id")
            .agg(unit_price=price.min())
        )
        medians = (
            source[BidItemPrice]
            .join(items.select("boq_item_id").unique(), on="boq_item_id", how="semi")
            .join(_valid_bids(source, as_of), on="bid_id", how="semi")
            .group_by("boq_item_id")
            .agg(median_price=price.median())
        )
        cut = pl.col("control_unit_price").cast(pl.Float64) * (1 - pl.col("discount"))
        growth = pl.col("cumulative_qty") - pl.col("tender_quantity")
        terms = (
            items.join(own, on=["contract_id", "boq_item_id"], how="inner")
            .join(medians, on="boq_item_id", how="left")
            .join(_lot_discounts(source, as_of).select("lot_id", "discount"), on="lot_id", how="left")
            .with_columns(reference_price=pl.coalesce(pl.col("median_price"), cut))
            .with_columns(term=growth * (pl.col("unit_price") - pl.col("reference_price")))
            .filter(pl.col("term").round(DECIMALS) != 0)
        )
        fields = ["tender_quantity", "cumulative_qty", "unit_price", "reference_price", "term"]
        return per_contract(
            cls,
            contracts,
            own.select("contract_id", has_prices=True).unique(),
            items.group_by("contract_id").agg(n_items=pl.len().cast(pl.Int64)),
            terms.group_by("contract_id").agg(
                n_contributing=pl.len().cast(pl.Int64),
                gain_amount=pl.col("term").sort().sum(),
                evidence=rows_as_evidence(
                    "boq_item", "boq_item_id", fields, where=_foremost(pl.col("term").abs(), "boq_item_id")
                ),
            ),
        )


class MeasuredMonths(Derived):
    """How the quantities of one contract were measured: month by month, and main items against the bill."""

    subject_id = dy.String()
    """The project."""
    contract_id = dy.String(primary_key=True)
    n_months = dy.Int64(min=0)
    """Months with a measurement that the owner has approved."""
    highest_amount = dy.Float64(nullable=True)
    """Measured in the highest month. CNY."""
    median_other_amount = dy.Float64(nullable=True)
    """Median of the other months. CNY."""
    n_main_items = dy.Int64(min=0)
    """Main items of the bill."""
    n_over = dy.Int64(min=0)
    """Of these, measured beyond ``over_ratio`` of the bill without an approved change."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, over_ratio: float) -> pl.LazyFrame:
        """Sum the measurements approved by ``as_of``, by month and by item (rulings G2, SI-056)."""
        signed = signed_contracts(source, as_of)
        contracts = signed.select("contract_id", subject_id="project_id")
        known = _approved_measurements(source, as_of)
        amount = pl.col("amount").cast(pl.Float64)
        monthly = (
            known.filter(pl.col("amount").is_not_null())
            .group_by("contract_id", "period")
            .agg(month_amount=pl.col("amount").cast(SUM).sum().cast(pl.Float64))
        )
        falling = pl.col("month_amount").sort(descending=True)
        months = monthly.group_by("contract_id").agg(
            n_months=pl.len().cast(pl.Int64),
            highest_amount=falling.first(),
            median_other_amount=falling.slice(1).median(),
            period=pl.col("period").sort_by(-pl.col("month_amount"), "period").first(),
        )
        bills = (
            signed.select("contract_id", "lot_id")
            .join(main_items(source).filter(pl.col("tender_quantity") > 0), on="lot_id", how="inner")
            .join(_measured_items(source, as_of), on=["contract_id", "boq_item_id"], how="left")
            .with_columns(ratio=pl.col("cumulative_qty") / pl.col("tender_quantity"))
        )
        beyond = (pl.col("ratio").round(DECIMALS) >= over_ratio) & ~pl.col("has_change")
        items = bills.group_by("contract_id").agg(
            n_main_items=pl.len().cast(pl.Int64),
            n_over=beyond.fill_null(value=False).sum().cast(pl.Int64),
            items=rows_as_evidence(
                "boq_item",
                "boq_item_id",
                ["tender_quantity", "cumulative_qty", "ratio"],
                where=beyond.fill_null(value=False),
            ),
        )
        top_rows = (
            known.join(months.select("contract_id", "period"), on=["contract_id", "period"], how="semi")
            .group_by("contract_id")
            .agg(
                measurements=rows_as_evidence(
                    "quantity_measurement",
                    "measurement_id",
                    ["period", "boq_item_id", "approved_qty", "amount"],
                    where=_foremost(amount.abs(), "measurement_id"),
                )
            )
        )
        evidence = (
            contracts.join(items, on="contract_id", how="left")
            .join(top_rows, on="contract_id", how="left")
            .select("contract_id", evidence=joined_evidence(pl.col("items"), pl.col("measurements")))
        )
        return per_contract(cls, contracts, months.drop("period"), items.drop("items"), evidence)


class SettlementCuts(Derived):
    """How much of what was claimed one organisation's reviews cut, as reviewer or as contractor, and its peers' did."""

    subject_id = dy.String()
    """The organisation."""
    role = dy.Enum(["contractor", "reviewer"])
    n_contracts = dy.Int64(min=1)
    median_cut = dy.Float64()
    highest_cut = dy.Float64()
    n_peers = dy.Int64(min=0)
    """Other organisations in the same role with at least ``n_min`` contracts."""
    peer_median = dy.Float64(nullable=True)
    """Of their median cuts."""
    peer_mad = dy.Float64(nullable=True, min=0)
    """Median absolute deviation of these; not yet scaled."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, n_min: int, window_months: int) -> pl.LazyFrame:
        """Compare the contracts reviewed in the window (rulings G3, G4, SI-057); the latest review of each counts."""
        contractors = signed_contracts(source, as_of).select("contract_id", "party_b_org_id")
        submitted, reviewed = (pl.col(f"{name}_amount").cast(pl.Float64) for name in ("submitted", "reviewed"))
        reviews = (
            reviewed_settlements(source, as_of)
            .filter(in_window(pl.col("reviewed_at"), as_of, window_months), pl.col("submitted_amount") > 0)
            .join(contractors, on="contract_id", how="left")
            .with_columns(cut=(submitted - reviewed) / submitted)
        )
        roles = {"contractor": "party_b_org_id", "reviewer": "reviewer_org_id"}
        cuts = pl.concat(
            [
                reviews.with_columns(subject_id=pl.col(org), role=pl.lit(role, cls.role.dtype))
                for role, org in roles.items()
            ]
        ).filter(pl.col("subject_id").is_not_null())
        fields = ["contract_id", "submitted_amount", "reviewed_amount", "reviewed_at"]
        found = (
            cuts.group_by("subject_id", "role")
            .agg(
                n_contracts=pl.len().cast(pl.Int64),
                median_cut=pl.col("cut").median(),
                highest_cut=pl.col("cut").max(),
                evidence=rows_as_evidence("settlement_audit", "settlement_id", fields),
            )
            .sort("subject_id", "role")
            .collect()
        )
        first = reviewed_settlements(source, LAST_MOMENT).select(pl.col("reviewed_at").min()).collect().item()
        peers = [_others(found.filter(pl.col("role") == role, pl.col("n_contracts") >= n_min)) for role in roles]
        return (
            found.lazy()
            .join(pl.concat(peers).lazy(), on=["subject_id", "role"], how="left")
            .with_columns(
                pl.col("n_peers").fill_null(0), short_history=pl.lit(short_history(first, as_of, window_months))
            )
            .select(cls.column_names())
            .sort("subject_id", "role")
        )


def reviewed_settlements(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the latest review of each contract known at ``as_of``; the columns of the table."""
    return (
        known_as_of(source[SettlementAudit], SettlementAudit, as_of)
        .filter(pl.col("reviewed_amount").is_not_null(), pl.col("reviewed_at").is_not_null())
        .sort("reviewed_at", "settlement_id")
        .unique("contract_id", keep="last", maintain_order=True)
    )


def _others(members: pl.DataFrame) -> pl.DataFrame:
    """Return, for each of the organisations of one role, median and MAD of the others' median cuts."""
    values = members.get_column("median_cut").to_numpy()
    told = [_centre_and_spread(np.delete(values, place)) for place in range(len(values))]
    found = pl.DataFrame(told, schema={"peer_median": pl.Float64, "peer_mad": pl.Float64}, orient="row")
    keys = members.select("subject_id", "role", n_peers=pl.lit(members.height - 1, pl.Int64))
    return pl.concat([keys, found], how="horizontal")


def _centre_and_spread(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float | None, float | None]:
    """Return median and median absolute deviation; null without values."""
    if not len(values):
        return None, None
    median = np.median(values)
    return float(median), float(np.median(np.abs(values - median)))


def _lot_discounts(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return lots with what their award saved, and what makes their peers: lot_facts, n_bin, discount."""
    amount, control = pl.col("amount").cast(pl.Float64), pl.col("control_price").cast(pl.Float64)
    awarded = (
        known_awards(source, as_of)
        .group_by("lot_id")
        .agg(awarded=pl.when(pl.col("amount").null_count() == 0).then(amount.sort().sum()))
    )
    n_valid = _valid_bids(source, as_of).group_by("lot_id").agg(n_valid=pl.len())
    return (
        lot_facts(source, as_of)
        .drop("project_id", "tender_id")
        .join(source[Lot].select("lot_id", "control_price"), on="lot_id", how="left")
        .join(awarded, on="lot_id", how="left")
        .join(n_valid, on="lot_id", how="left")
        .with_columns(
            n_bin(pl.col("n_valid").fill_null(0)).alias(N_BIN),
            discount=pl.when(control > 0).then(1 - pl.col("awarded") / control),
        )
    )


def _valid_bids(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return V(l) of the lots opened by ``as_of``: bid_id, lot_id."""
    opened = lot_facts(source, as_of).filter("opened")
    bids = submitted_bids(source).filter("counts_as_valid").select("bid_id", "lot_id")
    return bids.join(opened, on="lot_id", how="semi")


def _approved_measurements(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the measurements that the owner approved by ``as_of``; the columns of the table."""
    known = known_as_of(source[QuantityMeasurement], QuantityMeasurement, as_of)
    return known.filter(pl.col("owner_approved_at").is_not_null())


def _measured_items(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the latest cumulative quantity of each item: contract_id, boq_item_id, cumulative_qty, has_change.

    ``has_change``: one of the item's measurements is linked to an approved change.
    """
    changes = approved_changes(source, as_of).select("change_id", is_approved=True)
    return (
        _approved_measurements(source, as_of)
        .filter(pl.col("boq_item_id").is_not_null())
        .join(changes, on="change_id", how="left")
        .group_by("contract_id", "boq_item_id")
        .agg(
            pl.col("cumulative_qty").sort_by("period", "owner_approved_at", "measurement_id").drop_nulls().last(),
            has_change=pl.col("is_approved").any(),
        )
        .filter(pl.col("cumulative_qty").is_not_null())
    )


def _foremost(weight: pl.Expr, key: str) -> pl.Expr:
    """Tell, within one group, which rows weigh most."""
    return pl.struct(-weight, key).rank("ordinal") <= SHOWN
