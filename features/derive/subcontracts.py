"""What the contractor hands on: to whom that lost the tender, and how much of the contract."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.awards import known_awards
from features.derive.bids import submitted_bids
from features.derive.contract_facts import known_subcontracts, per_contract, signed_contracts
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.lots import lot_facts, with_group
from features.derive.pairs import bid_pair, organisation_pair
from features.tables.columns import MONEY_MAX
from features.tables.results import IndicatorValue
from features.tables.source import SourceTables

RIGGING = (
    *("SI-010", "SI-011", "SI-012", "SI-014", "SI-015", "SI-016", "SI-017", "SI-018"),
    *("SI-020", "SI-025", "SI-029", "SI-030", "SI-032", "SI-033", "SI-035", "SI-036"),
)
"""The indicators of bid rigging of severity 4 and 5."""
SUM = pl.Decimal(38, 2)
FIELDS = ("sub_org_id", "amount", "tier", "is_labour", "is_main_structure", "owner_consented")


class SubcontractBack(Derived):
    """What was subcontracted under one contract of a lot to those who had lost in its tender."""

    READS_VALUES = RIGGING

    subject_id = dy.String()
    """The lot."""
    contract_id = dy.String(primary_key=True)
    n_subcontracts = dy.Int64(min=0)
    n_back = dy.Int64(min=0)
    """Subcontracts with a firm of a losing bidder's control group."""
    back_amount = dy.Decimal(38, 2, min=0)
    contract_amount = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    bids_complete = dy.Bool()
    """The bids of all lots of the tender are published."""
    is_rigged = dy.Bool()
    """An indicator of bid rigging of severity 4 or 5 fired on a lot, a pair of bids or of bidders of the tender."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Compare the subcontractors of each lot opened with bids with who lost a lot of its tender (rulings G16).

        Losing is who bid for a decided lot that nobody of its control group won. The winner's own group never is.
        """
        lots = lot_facts(source, as_of).filter("opened").select("lot_id", "tender_id", "bids_complete")
        bids = submitted_bids(source).select("bid_id", "lot_id", "bidder_org_id")
        tenders = lots.group_by("tender_id").agg(pl.col("bids_complete").all())
        contracts = (
            signed_contracts(source, as_of)
            .join(bids, on="lot_id", how="semi")
            .join(lots.select("lot_id", "tender_id"), on="lot_id", how="inner", suffix="_of_lot")
            .select(
                "contract_id",
                "party_b_org_id",
                subject_id="lot_id",
                tender_id="tender_id_of_lot",
                contract_amount="amount",
            )
            .join(tenders, on="tender_id", how="left")
        )
        own = with_group(contracts, source, "party_b_org_id", "own_group").select(
            "contract_id", "tender_id", "own_group"
        )
        known = known_subcontracts(source, as_of)
        back = (
            with_group(known, source, "sub_org_id", "group_org_id")
            .join(own, on="contract_id", how="inner")
            .filter(pl.col("group_org_id") != pl.col("own_group"))
            .join(_losers(source, as_of, bids.join(lots, on="lot_id")), on=["tender_id", "group_org_id"], how="semi")
        )
        rigged = _rigged(source, as_of, bids.join(lots, on="lot_id").join(back, on="tender_id", how="semi"))
        return per_contract(
            cls,
            contracts,
            known.group_by("contract_id").agg(n_subcontracts=pl.len().cast(pl.Int64)),
            back.group_by("contract_id").agg(
                n_back=pl.len().cast(pl.Int64),
                back_amount=pl.col("amount").cast(SUM).sum(),
                evidence=rows_as_evidence("subcontract", "subcontract_id", FIELDS),
            ),
            own.join(rigged, on="tender_id", how="semi").select("contract_id", is_rigged=True),
        )


def _losers(source: SourceTables, as_of: dt.datetime, bids: pl.LazyFrame) -> pl.LazyFrame:
    """Return the control groups that lost a decided lot of each tender: tender_id, group_org_id."""
    awards = known_awards(source, as_of).select("lot_id", "group_org_id")
    return (
        with_group(bids, source, "bidder_org_id", "group_org_id")
        .join(awards, on="lot_id", how="semi")
        .join(awards, on=["lot_id", "group_org_id"], how="anti")
        .select("tender_id", "group_org_id")
        .unique()
    )


def _rigged(source: SourceTables, as_of: dt.datetime, bids: pl.LazyFrame) -> pl.LazyFrame:
    """Return the tenders of bids in which an indicator of bid rigging fired at the same moment: tender_id."""
    fired = (
        source[IndicatorValue]
        .filter("triggered", pl.col("indicator_id").is_in(RIGGING), pl.col("as_of") == as_of)
        .select("subject_id")
    )
    pairs = bids.join(bids, on="lot_id", suffix="_2").filter(pl.col("bid_id") < pl.col("bid_id_2"))
    subjects = pl.concat(
        [
            bids.select("tender_id", subject_id="lot_id"),
            pairs.select("tender_id", subject_id=bid_pair(pl.col("bid_id"), pl.col("bid_id_2"))),
            pairs.select("tender_id", subject_id=organisation_pair(pl.col("bidder_org_id"), pl.col("bidder_org_id_2"))),
        ]
    )
    return subjects.join(fired, on="subject_id", how="semi").select("tender_id").unique()


class SubcontractShare(Derived):
    """How much of one contract is subcontracted, and what of it is not allowed."""

    subject_id = dy.String()
    """The project."""
    contract_id = dy.String(primary_key=True)
    n_subcontracts = dy.Int64(min=0)
    first_tier_amount = dy.Decimal(38, 2, min=0)
    """Subcontracts of the first tier, labour left out."""
    contract_amount = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    n_main_structure = dy.Int64(min=0)
    """The main structure, labour left out."""
    n_resold = dy.Int64(min=0)
    """Subcontracts of a subcontractor, labour left out."""
    n_without_consent = dy.Int64(min=0)
    """The owner did not agree."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Sum the subcontracts signed by ``as_of`` (rulings G2)."""
        first_tier = ~pl.col("is_labour") & (pl.col("tier") == 1)
        main_structure = ~pl.col("is_labour") & pl.col("is_main_structure")
        resold = ~pl.col("is_labour") & (pl.col("tier") >= 2)
        without_consent = ~pl.col("owner_consented").fill_null(value=True)
        counted = (
            known_subcontracts(source, as_of)
            .group_by("contract_id")
            .agg(
                n_subcontracts=pl.len().cast(pl.Int64),
                first_tier_amount=pl.col("amount").cast(SUM).filter(first_tier).sum(),
                n_main_structure=main_structure.sum().cast(pl.Int64),
                n_resold=resold.sum().cast(pl.Int64),
                n_without_consent=without_consent.sum().cast(pl.Int64),
                evidence=rows_as_evidence(
                    "subcontract",
                    "subcontract_id",
                    FIELDS,
                    where=first_tier | resold | main_structure | without_consent,
                ),
            )
        )
        contracts = signed_contracts(source, as_of).select(
            "contract_id", subject_id="project_id", contract_amount="amount"
        )
        return per_contract(cls, contracts, counted)
