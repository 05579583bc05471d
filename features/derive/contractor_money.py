"""Where the money of a contract goes: who is paid, where it flows on, and who buys the materials."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.configured import setting
from features.derive.contract_facts import (
    SUM,
    contract_parties,
    known_progress,
    known_subcontracts,
    payments_made,
    per_contract,
    signed_contracts,
)
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.tables.as_of import known_as_of
from features.tables.money import FundFlow, MaterialPurchase, Payment, WageAccount
from features.tables.source import SourceTables

MATERIAL_COST_RATIO = 0.6
"""Material cost over contract amount where the centre has not configured ``material_cost_ratio`` (rulings SI-042)."""


class ContractPayees(Derived):
    """Who received the payments under one contract."""

    subject_id = dy.String()
    """The project."""
    contract_id = dy.String(primary_key=True)
    n_payments = dy.Int64(min=0)
    """Payments that name an organisation or a person as payee."""
    n_to_persons = dy.Int64(min=0)
    paid_amount = dy.Decimal(38, 2, min=0)
    """Of these payments."""
    foreign_amount = dy.Decimal(38, 2, min=0)
    """Paid to others than the contractor, its consortium, the holder of its wage account or the account agreed."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Sum the payments made by ``as_of`` (rulings G22, G26, SI-040).

        A payee is named in the contract if the account is the one agreed; a natural person is foreign even then.
        """
        contracts = signed_contracts(source, as_of).select(
            "contract_id", subject_id="project_id", agreed="payee_account_hash"
        )
        accounts = known_as_of(source[WageAccount], WageAccount, as_of).select("contract_id", "org_id")
        lawful = pl.concat([contract_parties(source, as_of), accounts]).unique()
        to_person = pl.col("payee_person_id").is_not_null()
        agreed = (pl.col("payee_account_hash") == pl.col("agreed")).fill_null(value=False)
        payments = (
            payments_made(source.with_sensitive(Payment), as_of)
            .filter(to_person | pl.col("payee_org_id").is_not_null())
            .join(contracts, on="contract_id", how="inner")
            .join(
                lawful.with_columns(is_lawful=True),
                left_on=["contract_id", "payee_org_id"],
                right_on=["contract_id", "org_id"],
                how="left",
            )
            .with_columns(to_person=to_person, foreign=to_person | ~(pl.col("is_lawful").is_not_null() | agreed))
        )
        paid = payments.group_by("contract_id").agg(
            n_payments=pl.len().cast(pl.Int64),
            n_to_persons=pl.col("to_person").sum().cast(pl.Int64),
            paid_amount=pl.col("paid_amount").sum(),
            foreign_amount=pl.col("paid_amount").filter("foreign").sum(),
            evidence=rows_as_evidence(
                "payment",
                "payment_id",
                ["payee_org_id", "to_person", "paid_amount", "paid_at"],
                where=pl.col("foreign"),
            ),
        )
        return per_contract(cls, contracts, paid)


class PassedOn(Derived):
    """How much of what the contractor received under one contract went on to one outsider at once."""

    subject_id = dy.String()
    """The project."""
    contract_id = dy.String(primary_key=True)
    has_flows = dy.Bool()
    """Transfers with a recipient are known for the contract."""
    n_receipts = dy.Int64(min=0)
    """Payments to the contractor."""
    received_amount = dy.Decimal(38, 2, min=0)
    passed_amount = dy.Decimal(38, 2, min=0)
    """Passed on to the one outsider within the days, of each receipt at most all of it."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, days_n: int) -> pl.LazyFrame:
        """Follow each receipt for ``days_n`` days (rulings G3, G26, SI-041).

        The one outsider is the organisation or person that is neither subcontractor nor supplier of the contract and
        got most of the contractor's transfers within these days, over the whole contract.
        """
        contracts = signed_contracts(source, as_of).select("contract_id", "party_b_org_id", subject_id="project_id")
        receipts = (
            payments_made(source[Payment], as_of)
            .join(contracts, on="contract_id", how="inner")
            .filter(pl.col("payee_org_id") == pl.col("party_b_org_id"))
            .select("payment_id", "contract_id", "paid_at", "paid_amount")
        )
        flows = _outward_flows(source, contracts, as_of)
        sellers = known_as_of(source[MaterialPurchase], MaterialPurchase, as_of)
        registered = pl.concat(
            [
                known_subcontracts(source, as_of).select("contract_id", to_org_id="sub_org_id"),
                sellers.select("contract_id", to_org_id="seller_org_id"),
                contracts.select("contract_id", to_org_id="party_b_org_id"),
            ]
        )
        days = (pl.col("flow_at").dt.date() - pl.col("paid_at").dt.date()).dt.total_days()
        onward = receipts.join(
            flows.join(registered, on=["contract_id", "to_org_id"], how="anti"), on="contract_id"
        ).filter(pl.col("flow_at") >= pl.col("paid_at"), days <= days_n)
        one = (
            onward.unique("flow_id")
            .group_by("contract_id", "recipient")
            .agg(total=pl.col("amount").sum())
            .group_by("contract_id")
            .agg(recipient=pl.col("recipient").sort_by(-pl.col("total"), "recipient").first())
        )
        to_one = onward.join(one, on=["contract_id", "recipient"], how="semi")
        passed = (
            to_one.group_by("contract_id", "payment_id")
            .agg(passed_amount=pl.min_horizontal(pl.col("amount").sum(), pl.col("paid_amount").first()))
            .group_by("contract_id")
            .agg(pl.col("passed_amount").sum())
        )
        shown = (
            to_one.unique("flow_id")
            .group_by("contract_id")
            .agg(evidence=rows_as_evidence("fund_flow", "flow_id", ["to_org_id", "amount", "flow_at"]))
        )
        received = receipts.group_by("contract_id").agg(
            n_receipts=pl.len().cast(pl.Int64), received_amount=pl.col("paid_amount").sum()
        )
        known = flows.select("contract_id", has_flows=True).unique()
        return per_contract(cls, contracts, received, passed, shown, known)


def _outward_flows(source: SourceTables, contracts: pl.LazyFrame, as_of: dt.datetime) -> pl.LazyFrame:
    """Return transfers out of the contractor's account: flow_id, contract_id, to_org_id, recipient, amount, flow_at.

    ``recipient`` tells one recipient from another and stays inside the derivation.
    """
    to_org = pl.concat_str(pl.lit("organisation:"), "to_org_id")
    to_person = pl.concat_str(pl.lit("person:"), "to_person_id")
    return (
        known_as_of(source.with_sensitive(FundFlow), FundFlow, as_of)
        .join(contracts, left_on=["contract_id", "from_org_id"], right_on=["contract_id", "party_b_org_id"], how="semi")
        .with_columns(recipient=pl.coalesce(to_org, to_person), amount=pl.col("amount").cast(SUM))
        .filter(pl.col("amount") > 0, pl.col("recipient").is_not_null())
        .select("flow_id", "contract_id", "to_org_id", "recipient", "amount", "flow_at")
    )


class MaterialBuyers(Derived):
    """Who bought or leased the materials and machines of one contract."""

    subject_id = dy.String()
    """The project."""
    contract_id = dy.String(primary_key=True)
    n_purchases = dy.Int64(min=0)
    """Purchases that name a buyer, without those the owner supplies."""
    bought_amount = dy.Decimal(38, 2, min=0)
    foreign_amount = dy.Decimal(38, 2, min=0)
    """Bought by others than the contractor, its consortium and its registered subcontractors."""
    material_cost = dy.Float64(nullable=True, min=0)
    """Cost of materials that contract amount and progress imply; null where one of them is not known. CNY."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Sum the invoices known at ``as_of`` by buyer (rulings G22, G26, SI-042)."""
        ratio = float(setting(source, "material_cost_ratio", as_of) or MATERIAL_COST_RATIO)
        contracts = signed_contracts(source, as_of).select("contract_id", "amount", subject_id="project_id")
        subcontractors = known_subcontracts(source, as_of).select("contract_id", org_id="sub_org_id")
        lawful = pl.concat([contract_parties(source, as_of), subcontractors]).unique()
        by_person = pl.col("buyer_person_id").is_not_null()
        purchases = (
            known_as_of(source[MaterialPurchase], MaterialPurchase, as_of)
            .filter(~pl.col("owner_supplied"), pl.col("amount") > 0, by_person | pl.col("buyer_org_id").is_not_null())
            .join(
                lawful.with_columns(is_lawful=True),
                left_on=["contract_id", "buyer_org_id"],
                right_on=["contract_id", "org_id"],
                how="left",
            )
            .with_columns(
                pl.col("amount").cast(SUM), by_person=by_person, foreign=by_person | pl.col("is_lawful").is_null()
            )
        )
        bought = purchases.group_by("contract_id").agg(
            n_purchases=pl.len().cast(pl.Int64),
            bought_amount=pl.col("amount").sum(),
            foreign_amount=pl.col("amount").filter("foreign").sum(),
            evidence=rows_as_evidence(
                "material_purchase",
                "purchase_id",
                ["buyer_org_id", "by_person", "amount", "invoiced_at"],
                where=pl.col("foreign"),
            ),
        )
        done = (
            known_progress(source, as_of).group_by("contract_id").agg(pct=pl.col("actual_pct").sort_by("period").last())
        )
        cost = contracts.join(done, on="contract_id", how="inner").select(
            "contract_id", material_cost=ratio * pl.col("amount").cast(pl.Float64) * pl.col("pct")
        )
        return per_contract(cls, contracts, bought, cost)
