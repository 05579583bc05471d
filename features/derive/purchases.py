"""What owners bought: signed contracts and orders, with how they were awarded and the tender limit of each."""

import datetime as dt

import polars as pl

from features.derive.contract_facts import signed_contracts
from features.derive.lots import category_levels
from features.derive.tender_limits import TenderLimits
from features.tables.as_of import known_as_of
from features.tables.procurement import ProcurementOrder
from features.tables.projects import Project
from features.tables.source import SourceTables
from features.tables.tendering import Lot, Tender

TENDERED = ("public_tender", "invited_tender")
PROCUREMENT_LAW = "gov_procurement_law"
TYPE_OF_CATEGORY = {"A": "goods", "B": "works", "C": "services"}
"""The type of an order by the first letter of its category (rulings SI-077)."""


def contracts_awarded(source: SourceTables, as_of: dt.datetime, limits: TenderLimits) -> pl.LazyFrame:
    """Return how each contract signed at or before ``as_of`` was awarded.

    Grain: one contract, supplements and terminated ones among them. Columns: contract_id, project_id, lot_id,
    owner_org_id, supplier_org_id, object_type (of the contract, else of its tender), signed_at, amount (null in another
    currency than that of the limits), provisional_amount, supplement_of_contract_id, status, method (of its tender,
    else of its order; null without either), category (first two levels, of its lot, else of its order), limit,
    below_limit, tendered (publicly or by invitation), described (the text that names it), lot_name.
    """
    tenders = _tenders(source, as_of)
    lots = (
        source[Lot]
        .join(tenders, on="tender_id", how="semi")
        .select("lot_id", "category_code", "currency", "scope_text", lot_tender_id="tender_id", lot_name="name")
    )
    awarded = (
        signed_contracts(source, as_of)
        .join(lots, on="lot_id", how="left")
        .join(_orders_of_contracts(source, as_of), on="contract_id", how="left")
        .with_columns(tender_id=pl.coalesce("tender_id", "lot_tender_id", "order_tender_id"))
        .join(tenders, on="tender_id", how="left")
        .join(_projects(source, as_of), on="project_id", how="left")
        .select(
            "contract_id",
            "project_id",
            "lot_id",
            "signed_at",
            "provisional_amount",
            "supplement_of_contract_id",
            "status",
            "lot_name",
            owner_org_id="party_a_org_id",
            supplier_org_id="party_b_org_id",
            object_type=pl.coalesce("contract_type", "object_type"),
            amount=pl.when(pl.col("currency").fill_null("CNY") == "CNY").then("amount"),
            method=pl.coalesce("method", "order_method"),
            category=category_levels(pl.coalesce("category_code", "order_category_code")),
            described=_described("scope_text", "lot_name", "title", "project_name"),
            by_procurement_law=(pl.col("law_regime") == PROCUREMENT_LAW).fill_null(value=False)
            | pl.col("order_method").is_not_null(),
        )
    )
    return _with_limit(awarded, source, as_of, limits)


def purchases(source: SourceTables, as_of: dt.datetime, limits: TenderLimits) -> pl.LazyFrame:
    """Return contracts that stand for themselves and orders without a contract (rulings SI-076, SI-077).

    Drafts, supplements and terminated contracts are left out; an order that has a contract counts as the contract.

    Grain: one purchase. Columns: table and key (its row), owner_org_id, project_id, lot_id, supplier_org_id,
    object_type, category, signed_at, amount, method, limit, below_limit, tendered, described.
    """
    contracts = contracts_awarded(source, as_of, limits).filter(
        pl.col("supplement_of_contract_id").is_null(), pl.col("status") != "terminated"
    )
    columns = [
        "owner_org_id",
        "project_id",
        "lot_id",
        "supplier_org_id",
        "object_type",
        "category",
        "signed_at",
        "amount",
        "method",
        "limit",
        "below_limit",
        "tendered",
        "described",
    ]
    return pl.concat(
        [
            contracts.select(pl.lit("contract").alias("table"), pl.col("contract_id").alias("key"), *columns),
            _orders(source, as_of, limits).select(
                pl.lit("procurement_order").alias("table"), pl.col("order_id").alias("key"), *columns
            ),
        ]
    ).filter(pl.col("owner_org_id").is_not_null())


def _orders(source: SourceTables, as_of: dt.datetime, limits: TenderLimits) -> pl.LazyFrame:
    """Return the orders placed at or before ``as_of`` that have no contract."""
    placed = _placed(source, as_of).filter(pl.col("contract_id").is_null())
    orders = (
        placed.join(_tenders(source, as_of).rename({"method": "tender_method"}), on="tender_id", how="left")
        .join(_projects(source, as_of), on="project_id", how="left")
        .select(
            "order_id",
            "project_id",
            "supplier_org_id",
            "amount",
            "method",
            lot_id=pl.lit(None, dtype=pl.String),
            owner_org_id=pl.coalesce("tenderer_org_id", "project_owner_org_id"),
            object_type=pl.col("category_code").str.head(1).replace_strict(TYPE_OF_CATEGORY, default=None),
            signed_at="ordered_at",
            category=category_levels(pl.col("category_code")),
            described=_described("title", "project_name"),
            by_procurement_law=pl.lit(value=True),
        )
    )
    return _with_limit(orders, source, as_of, limits)


def _orders_of_contracts(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the order behind each contract, the first by its id of several."""
    return (
        _placed(source, as_of)
        .filter(pl.col("contract_id").is_not_null())
        .sort("order_id")
        .unique("contract_id", keep="first", maintain_order=True)
        .select(
            "contract_id",
            order_method="method",
            order_category_code="category_code",
            order_tender_id="tender_id",
        )
    )


def _placed(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    return source[ProcurementOrder].filter(pl.col("ordered_at") <= as_of).with_columns(pl.col("method").cast(pl.String))


def _tenders(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    return known_as_of(source[Tender], Tender, as_of).select(
        "tender_id",
        "tenderer_org_id",
        "title",
        pl.col("method").cast(pl.String),
        pl.col("object_type").cast(pl.String),
        pl.col("law_regime").cast(pl.String),
    )


def _projects(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    return known_as_of(source[Project], Project, as_of).select(
        "project_id", project_name="name", project_owner_org_id="owner_org_id"
    )


def _described(*columns: str) -> pl.Expr:
    """Return the first of the texts that is not blank."""
    return pl.coalesce(pl.when(pl.col(name).str.strip_chars() != "").then(pl.col(name)) for name in columns)


def _with_limit(rows: pl.LazyFrame, source: SourceTables, as_of: dt.datetime, limits: TenderLimits) -> pl.LazyFrame:
    limit = limits.of(pl.col("object_type"), pl.col("by_procurement_law"), source, as_of)
    return rows.with_columns(limit=limit).with_columns(
        below_limit=pl.col("amount") < pl.col("limit"),
        tendered=pl.col("method").is_in(TENDERED).fill_null(value=False),
    )
