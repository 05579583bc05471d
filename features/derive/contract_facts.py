"""Contracts as a moment saw them: who holds them, who was promised for them, who is registered under them."""

import datetime as dt

import polars as pl
import polars.selectors as cs

from features.derive.awards import known_awards
from features.derive.derived import Derived
from features.tables.as_of import known_as_of
from features.tables.contracts import Contract, ContractChange, Subcontract
from features.tables.money import Payment
from features.tables.site import ProgressReport
from features.tables.source import SourceTables
from features.tables.tendering import Bid

SUM = pl.Decimal(38, 2)


def signed_contracts(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the contracts signed at or before ``as_of``, drafts left out.

    Grain: one contract. Columns: contract_id, project_id, lot_id, tender_id, contract_type, party_a_org_id,
    party_b_org_id, signed_at, amount, provisional_amount, progress_pay_ratio, payee_account_hash,
    supplement_of_contract_id, status.
    """
    return (
        known_as_of(source[Contract], Contract, as_of)
        .select(
            "contract_id",
            "project_id",
            "lot_id",
            "tender_id",
            pl.col("contract_type").cast(pl.String),
            "party_a_org_id",
            "party_b_org_id",
            "signed_at",
            "amount",
            "provisional_amount",
            "progress_pay_ratio",
            "payee_account_hash",
            "supplement_of_contract_id",
            pl.col("status").cast(pl.String),
        )
        .filter(pl.col("status") != "draft")
    )


def winning_bids(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the bid of each award known at ``as_of``: the one that it names, else the winner's for the lot.

    Grain: one award and bid. Columns: award_id, awarded_at, bid_id, lot_id, bidder_org_id, consortium_org_ids,
    pm_person_id, tech_lead_person_id.
    """
    awards = known_awards(source, as_of).select("award_id", "awarded_at", "lot_id", "org_id", "bid_id")
    bids = (
        source[Bid]
        .filter(pl.col("status").cast(pl.String) != "withdrawn")
        .select("bid_id", "lot_id", "bidder_org_id", "consortium_org_ids", "pm_person_id", "tech_lead_person_id")
    )
    named = awards.drop("org_id").join(bids, on=["bid_id", "lot_id"], how="inner")
    found = (
        awards.filter(pl.col("bid_id").is_null())
        .drop("bid_id")
        .join(bids, left_on=["lot_id", "org_id"], right_on=["lot_id", "bidder_org_id"], how="inner")
        .rename({"org_id": "bidder_org_id"})
    )
    return pl.concat([named, found.select(named.collect_schema().names())])


def contract_bids(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the winning bid of each signed contract, made by the contractor or a consortium that it belongs to.

    Grain: contract_id, bid_id.
    """
    contracts = signed_contracts(source, as_of).select("contract_id", "lot_id", org_id="party_b_org_id")
    joint = _bid_members(winning_bids(source, as_of))
    return contracts.join(joint, on=["lot_id", "org_id"], how="inner").select("contract_id", "bid_id").unique()


def contract_parties(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the contractor of each signed contract and the consortium members of its winning bid (rulings G22).

    Grain: contract_id, org_id.
    """
    own = signed_contracts(source, as_of).select("contract_id", org_id="party_b_org_id")
    joint = _bid_members(winning_bids(source, as_of)).select("bid_id", "org_id")
    members = contract_bids(source, as_of).join(joint, on="bid_id", how="inner").select("contract_id", "org_id")
    return pl.concat([own, members]).unique()


def known_subcontracts(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the subcontracts signed at or before ``as_of``; the columns of the table."""
    return known_as_of(source[Subcontract], Subcontract, as_of)


def known_progress(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the monthly reports known at ``as_of``: contract_id, period, actual_pct; of several the furthest."""
    reports = known_as_of(source[ProgressReport], ProgressReport, as_of)
    return reports.group_by("contract_id", "period").agg(pl.col("actual_pct").max())


def approved_changes(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the changes approved at or before ``as_of`` (rulings G2); the columns of the table.

    What was approved by then and carried out later was approved, though its status tells of the later event.
    """
    status = pl.col("status").cast(pl.String)
    return known_as_of(source[ContractChange], ContractChange, as_of).filter(
        pl.col("approved_at").is_not_null(), status.is_in(["approved", "executed"]).fill_null(value=True)
    )


def payments_made(payments: pl.LazyFrame, as_of: dt.datetime) -> pl.LazyFrame:
    """Return what had been paid at ``as_of``, refunds left out (rulings G26); the columns of the table.

    ``payments`` is the table as it is, with or without its sensitive columns.
    """
    known = known_as_of(payments, Payment, as_of)
    return known.filter(pl.col("paid_amount") > 0).with_columns(pl.col("paid_amount").cast(SUM))


def per_contract(table: type[Derived], contracts: pl.LazyFrame, *parts: pl.LazyFrame) -> pl.LazyFrame:
    """Bring what was found of contracts to the rows of a table, one a contract.

    ``contracts`` gives contract_id and subject_id. Where nothing was found, what is never null is 0, false or a list
    without evidence.
    """
    rows = contracts
    for part in parts:
        rows = rows.join(part, on="contract_id", how="left")
    required = cs.by_name(*[name for name, column in table.columns().items() if not column.nullable])
    return (
        rows.select(table.column_names())
        .with_columns(
            (required & cs.numeric()).fill_null(0),
            (required & cs.boolean()).fill_null(value=False),
            pl.col("evidence").fill_null("[]"),
        )
        .sort("subject_id", "contract_id")
    )


def _bid_members(bids: pl.LazyFrame) -> pl.LazyFrame:
    """Return the organisations behind each bid, bidder and consortium members: bid_id, lot_id, org_id."""
    listed = pl.col("consortium_org_ids")
    members = (
        bids.filter(listed.str.starts_with("["))
        .select("bid_id", "lot_id", org_id=listed.str.json_decode(pl.List(pl.String)))
        .explode("org_id")
        .filter(pl.col("org_id").is_not_null())
    )
    return pl.concat([bids.select("bid_id", "lot_id", org_id="bidder_org_id"), members]).unique()
