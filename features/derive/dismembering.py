"""Unit works of one project and the contractors that its owner gave them to."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.contract_facts import signed_contracts
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.lots import with_group
from features.tables.as_of import known_as_of
from features.tables.projects import Approval
from features.tables.source import SourceTables
from features.tables.tendering import Lot

TRADE_WORDS = {"lift": "电梯", "fire": "消防", "greening": "绿化", "weak_current": "弱电"}
"""How the name of a lot tells of a trade that may be let apart (rulings SI-081)."""


class UnitWorks(Derived):
    """One unit works of a project, or what stands under one construction permit, with its contractors."""

    subject_id = dy.String()
    """The project."""
    unit = dy.String(nullable=True)
    """The code of the unit works, else the permit; null where neither is known."""
    is_coded = dy.Bool()
    """A code names it."""
    n_contracts = dy.Int64(min=1)
    n_contractors = dy.Int64(min=0)
    """Control groups of the contractors, trades that may be let apart left out."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, trades_excluded: str) -> pl.LazyFrame:
        """Count the contractors of each unit works by contracts of type works (rulings G7, SI-081).

        Terminated contracts are left out: who replaces a contractor does not share the works with it.
        """
        words = [TRADE_WORDS[trade] for trade in trades_excluded.split(";") if trade]
        lots = source[Lot].select("lot_id", "unit_works_code", lot_name="name")
        works = (
            signed_contracts(source, as_of)
            .filter(pl.col("contract_type") == "works", pl.col("status") != "terminated")
            .join(lots, on="lot_id", how="left")
        )
        apart = pl.any_horizontal(
            pl.lit(value=False), *[pl.col("lot_name").str.contains(w, literal=True) for w in words]
        )
        counted = with_group(
            works.join(_permits(works, source, as_of), on="contract_id", how="left").with_columns(
                apart=apart.fill_null(value=False),
                unit=pl.coalesce("unit_works_code", "permit_id"),
                is_coded=pl.col("unit_works_code").is_not_null(),
            ),
            source,
            "party_b_org_id",
            "group_org_id",
        )
        contractors = pl.col("group_org_id").filter(~pl.col("apart"))
        fields = ["lot_id", "lot_name", "party_b_org_id", "amount", "signed_at"]
        return (
            counted.group_by("unit", "is_coded", subject_id="project_id")
            .agg(
                n_contracts=pl.len().cast(pl.Int64),
                n_contractors=contractors.n_unique().cast(pl.Int64),
                evidence=rows_as_evidence("contract", "contract_id", fields, where=~pl.col("apart")),
            )
            .select(cls.column_names())
            .sort("subject_id", "unit", "is_coded")
        )


def _permits(works: pl.LazyFrame, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the construction permit of each contract that has exactly one: contract_id, permit_id."""
    permits = (
        known_as_of(source[Approval], Approval, as_of)
        .filter(
            pl.col("approval_type").cast(pl.String) == "construction_permit",
            pl.col("status").cast(pl.String) == "approved",
            pl.col("approved_at").is_not_null(),
        )
        .select("project_id", permit_id="approval_id", of_lot="lot_id", of_contract="contract_id")
    )
    covers = [
        pl.col(of).is_null() | (pl.col(of) == pl.col(own)).fill_null(value=False)
        for of, own in (("of_lot", "lot_id"), ("of_contract", "contract_id"))
    ]
    return (
        works.select("contract_id", "project_id", "lot_id")
        .join(permits, on="project_id", how="inner")
        .filter(covers)
        .group_by("contract_id")
        .agg(pl.col("permit_id").min(), n=pl.len())
        .filter(pl.col("n") == 1)
        .drop("n")
    )
