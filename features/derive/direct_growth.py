"""Contracts given without a tender that grow past the limit, and provisional sums that never see one."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.contract_facts import approved_changes, per_contract
from features.derive.derived import Derived
from features.derive.evidence import joined_evidence, rows_as_evidence
from features.derive.likeness import bigrams, dice
from features.derive.purchases import contracts_awarded
from features.derive.tender_limits import TenderLimits
from features.tables.as_of import known_as_of
from features.tables.bills import BoqItem
from features.tables.columns import MONEY_MAX
from features.tables.contracts import QuantityMeasurement
from features.tables.source import SourceTables
from features.tables.tendering import Lot, Tender

SUM = pl.Decimal(38, 2)
NAMED_MIN = 0.8
"""A tender names an item if a text of it is so much alike (rulings SI-084)."""


class DirectContract(Derived):
    """One contract, and what was added to it in the months after it was signed."""

    contract_id = dy.String(primary_key=True)
    subject_id = dy.String()
    """The project."""
    tendered = dy.Bool()
    """Publicly, or by invitation."""
    amount = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    """Null in another currency than that of the limits."""
    limit = dy.Decimal(18, 2, nullable=True, min=0)
    n_additions = dy.Int64(min=0)
    added = dy.Decimal(38, 2)
    """Supplements with the same parties and approved changes, either sign."""
    evidence = dy.String()

    @classmethod
    def derive(
        cls,
        source: SourceTables,
        as_of: dt.datetime,
        tl_works: int,
        tl_goods: int,
        tl_services: int,
        months_n: int,
    ) -> pl.LazyFrame:
        """Sum what was added in (signed, signed + months_n] (rulings G2, SI-080)."""
        signed = contracts_awarded(source, as_of, TenderLimits(tl_works, tl_goods, tl_services))
        contracts = signed.filter(pl.col("supplement_of_contract_id").is_null())
        parties = ["owner_org_id", "supplier_org_id"]
        supplements = signed.filter(pl.col("supplement_of_contract_id").is_not_null()).select(
            *parties,
            "amount",
            contract_id="supplement_of_contract_id",
            table=pl.lit("contract"),
            key="contract_id",
            added_at="signed_at",
        )
        changes = approved_changes(source, as_of).select(
            "contract_id",
            table=pl.lit("contract_change"),
            key="change_id",
            amount="amount_delta",
            added_at="approved_at",
        )
        columns = ["contract_id", "table", "key", "amount", "added_at"]
        additions = pl.concat(
            [
                supplements.join(contracts, on=["contract_id", *parties], how="semi").select(columns),
                changes.select(columns),
            ]
        )
        until = pl.col("signed_at").dt.offset_by(f"{months_n}mo")
        in_time = (pl.col("added_at") > pl.col("signed_at")) & (pl.col("added_at") <= until)
        added = (
            contracts.select("contract_id", "signed_at")
            .join(additions, on="contract_id", how="inner")
            .filter(in_time, pl.col("amount").is_not_null())
            .group_by("contract_id")
            .agg(
                n_additions=pl.len().cast(pl.Int64),
                added=pl.col("amount").cast(SUM).sum(),
                additions=rows_as_evidence(pl.col("table"), "key", ["amount", "added_at"]),
            )
        )
        own = contracts.group_by("contract_id").agg(
            own=rows_as_evidence("contract", "contract_id", ["amount", "signed_at", "method", "limit"])
        )
        found = own.join(added, on="contract_id", how="left").with_columns(
            evidence=joined_evidence(pl.col("own"), pl.col("additions"))
        )
        return per_contract(cls, contracts.with_columns(subject_id="project_id"), found)


class ProvisionalSum(Derived):
    """One contract, its provisional sum, and its provisional items that were built without a tender of their own."""

    contract_id = dy.String(primary_key=True)
    subject_id = dy.String()
    """The project."""
    amount = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    provisional_amount = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    n_items = dy.Int64(min=0)
    """Provisional items of its lot whose amount reaches the limit."""
    n_untendered = dy.Int64(min=0)
    """Those of them that have measured quantity, and that no later tender of the project names."""
    evidence = dy.String()

    @classmethod
    def derive(
        cls, source: SourceTables, as_of: dt.datetime, tl_works: int, tl_goods: int, tl_services: int
    ) -> pl.LazyFrame:
        """Compare provisional items with measurements and later tenders known at ``as_of`` (rulings SI-084)."""
        contracts = contracts_awarded(source, as_of, TenderLimits(tl_works, tl_goods, tl_services))
        items = contracts.join(source[BoqItem].filter("is_provisional"), on="lot_id", how="inner").select(
            "contract_id",
            "project_id",
            "signed_at",
            "boq_item_id",
            "item_name",
            "limit",
            amount=(pl.col("control_unit_price").cast(pl.Float64) * pl.col("tender_quantity")).round(2),
        )
        large = items.filter(pl.col("amount") >= pl.col("limit").cast(pl.Float64)).collect().lazy()
        quantity = pl.coalesce("approved_qty", "claimed_qty")
        measured = (
            known_as_of(source[QuantityMeasurement], QuantityMeasurement, as_of)
            .filter(quantity > 0)
            .select("contract_id", "boq_item_id")
            .unique()
        )
        untendered = large.join(measured, on=["contract_id", "boq_item_id"], how="semi").join(
            _named_later(large, source, as_of), on=["contract_id", "boq_item_id"], how="anti"
        )
        shown = contracts.group_by("contract_id").agg(
            own=rows_as_evidence("contract", "contract_id", ["amount", "provisional_amount", "limit"])
        )
        counted = untendered.group_by("contract_id").agg(
            n_untendered=pl.len().cast(pl.Int64),
            items=rows_as_evidence("boq_item", "boq_item_id", ["item_name", "amount", "limit"]),
        )
        numbers = large.group_by("contract_id").agg(n_items=pl.len().cast(pl.Int64))
        found = (
            shown.join(numbers, on="contract_id", how="left")
            .join(counted, on="contract_id", how="left")
            .with_columns(evidence=joined_evidence(pl.col("own"), pl.col("items")))
        )
        return per_contract(cls, contracts.with_columns(subject_id="project_id"), found)


def _named_later(items: pl.LazyFrame, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the items that a tender of their project published after the contract names: contract_id, boq_item_id."""
    published_at = pl.coalesce("notice_published_at", "opening_at")
    tenders = known_as_of(source[Tender], Tender, as_of).select("tender_id", "project_id", "title", at=published_at)
    lots = source[Lot].select("tender_id", "name", "scope_text").join(tenders, on="tender_id", how="inner")
    texts = pl.concat(
        [
            tenders.select("project_id", "at", text="title"),
            *[lots.select("project_id", "at", text=name) for name in ("name", "scope_text")],
        ]
    ).filter(pl.col("text").is_not_null())
    return (
        items.join(texts, on="project_id", how="inner")
        .filter(pl.col("at") > pl.col("signed_at"))
        .filter(dice(bigrams(pl.col("item_name")), bigrams(pl.col("text"))) >= NAMED_MIN)
        .select("contract_id", "boq_item_id")
        .unique()
    )
