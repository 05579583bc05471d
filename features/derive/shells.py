"""Winners as the register knows them: age, staff, capital, changes, address, and whether they ever bid elsewhere."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.awards import known_awards
from features.derive.bids import submitted_bids
from features.derive.contract_facts import signed_contracts
from features.derive.derived import Derived
from features.derive.evidence import joined_evidence, rows_as_evidence
from features.derive.lots import first_opening, lot_facts
from features.derive.windows import in_window, short_history
from features.tables.as_of import known_as_of
from features.tables.columns import MONEY_MAX
from features.tables.organisations import Organisation, OrgChange
from features.tables.source import SourceTables

CHANGES = ("legal_rep", "shareholder", "name")


class LotWinner(Derived):
    """One organisation that won one lot, as the register knows it."""

    subject_id = dy.String(primary_key=True)
    """The organisation."""
    lot_id = dy.String(primary_key=True)
    age_days = dy.Int64(nullable=True)
    """From its founding to the opening; negative if it was founded later."""
    insured_count = dy.Int64(nullable=True, min=0)
    amount = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    """Of the contract, before it is signed of the award; null in another currency than that of the capital."""
    registered_capital = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    n_changes = dy.Int64(min=0)
    """Changes of legal representative, shareholders or name near the award."""
    n_other_bids = dy.Int64(min=0)
    """Its bids for other lots opened in the window."""
    n_at_address = dy.Int64(nullable=True, min=1)
    """Firms registered at its address, itself among them; null where none is known."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, chg_days: int, window_months: int) -> pl.LazyFrame:
        """Bring register, bids and awards known at ``as_of`` together (rulings G3, G4, G5)."""
        day = pl.col("awarded_at").dt.date()
        wins = (
            known_awards(source, as_of)
            .group_by("org_id", "lot_id")
            .agg(
                award_amount=pl.col("amount").max(),
                awarded_on=day.min(),
                won=rows_as_evidence("award", "award_id", ["lot_id", "amount", "awarded_at"]),
            )
        )
        lots = lot_facts(source, as_of).select("lot_id", "opening_at", "opened", "currency")
        signed = signed_contracts(source, as_of).select("lot_id", "amount", org_id="party_b_org_id")
        contracts = signed.group_by("org_id", "lot_id").agg(contract_amount=pl.col("amount").max())
        in_capital_currency = pl.col("currency") == "CNY"
        opened_on = pl.when("opened").then(pl.col("opening_at").dt.date())
        return (
            wins.join(lots, on="lot_id", how="inner")
            .join(contracts, on=["org_id", "lot_id"], how="left")
            .join(_registered(source), on="org_id", how="left")
            .join(_changes(source, as_of, wins, chg_days), on=["org_id", "lot_id"], how="left")
            .join(_other_bids(source, as_of, wins, window_months), on=["org_id", "lot_id"], how="left")
            .with_columns(
                pl.col("n_changes", "n_other_bids").fill_null(0),
                subject_id="org_id",
                age_days=(opened_on - pl.col("established_date")).dt.total_days(),
                amount=pl.when(in_capital_currency).then(pl.coalesce("contract_amount", "award_amount")),
                short_history=pl.lit(short_history(first_opening(source), as_of, window_months)),
                evidence=joined_evidence(pl.col("won"), pl.col("register"), pl.col("changed")),
            )
            .select(cls.column_names())
            .sort("subject_id", "lot_id")
        )


def _registered(source: SourceTables) -> pl.LazyFrame:
    """Return what the register says of each organisation, with the number of firms at its address."""
    address = pl.col("address_norm").str.strip_chars().str.to_lowercase()
    fields = ["established_date", "insured_count", "registered_capital"]
    known = source[Organisation].select("org_id", *fields, address=pl.when(address != "").then(address))
    shared = pl.len().over("address").cast(pl.Int64)
    register = known.group_by("org_id").agg(register=rows_as_evidence("organisation", "org_id", fields))
    return known.with_columns(n_at_address=pl.when(pl.col("address").is_not_null()).then(shared)).join(
        register, on="org_id", how="inner"
    )


def _changes(source: SourceTables, as_of: dt.datetime, wins: pl.LazyFrame, chg_days: int) -> pl.LazyFrame:
    """Count the changes that count near each award: org_id, lot_id, n_changes, changed."""
    changes = known_as_of(source[OrgChange], OrgChange, as_of).filter(
        pl.col("change_type").cast(pl.String).is_in(CHANGES)
    )
    distance = (pl.col("changed_at") - pl.col("awarded_on")).dt.total_days().abs()
    return (
        wins.select("org_id", "lot_id", "awarded_on")
        .join(changes, on="org_id", how="inner")
        .filter(distance <= chg_days)
        .group_by("org_id", "lot_id")
        .agg(
            n_changes=pl.len().cast(pl.Int64),
            changed=rows_as_evidence("org_change", "change_id", ["change_type", "changed_at"]),
        )
    )


def _other_bids(source: SourceTables, as_of: dt.datetime, wins: pl.LazyFrame, window_months: int) -> pl.LazyFrame:
    """Count each winner's other lots opened in the window: org_id, lot_id, n_other_bids.

    A winner without a bid row bid all the same (rulings G6).
    """
    recent = lot_facts(source, as_of).filter(in_window(pl.col("opening_at"), as_of, window_months)).select("lot_id")
    won = wins.select("org_id", "lot_id")
    bids = submitted_bids(source).select("lot_id", org_id="bidder_org_id")
    there = pl.concat([bids.select("org_id", "lot_id"), won]).unique().join(recent, on="lot_id", how="semi")
    totals = there.group_by("org_id").agg(n_bids=pl.len().cast(pl.Int64))
    return (
        won.join(totals, on="org_id", how="inner")
        .join(there.with_columns(is_own=True), on=["org_id", "lot_id"], how="left")
        .select("org_id", "lot_id", n_other_bids=pl.col("n_bids") - pl.col("is_own").is_not_null().cast(pl.Int64))
    )
