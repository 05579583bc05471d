"""Who really builds on a site, by inspections and the heads counted at the gate."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.clock import SHANGHAI
from features.derive.contract_facts import contract_parties, known_subcontracts, signed_contracts
from features.derive.derived import Derived
from features.derive.evidence import joined_evidence, rows_as_evidence
from features.derive.ordered import ordered_mean
from features.tables.as_of import known_as_of
from features.tables.money import WorkerDay
from features.tables.site import SiteInspection
from features.tables.source import SourceTables

RECENT_DAYS = 60
"""An inspection that found nobody else speaks for so many days (min_support of SI-045)."""


class SiteBuilder(Derived):
    """Whom inspections found building at one project, and whose workers were on its books of late."""

    subject_id = dy.String(primary_key=True)
    """The project."""
    n_outsiders = dy.Int64(min=0)
    """Inspections that found a builder who is no contractor, consortium member or registered subcontractor."""
    n_recent = dy.Int64(min=0)
    """Inspections of the last 60 days that name the builder."""
    n_days = dy.Int64(min=0)
    """Days with heads counted in the last days."""
    own_ratio = dy.Float64(nullable=True, min=0)
    """Mean of the workers of contractor and subcontractors over those registered; null without such days."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, days_n: int) -> pl.LazyFrame:
        """Compare each builder found by ``as_of`` with the parties of the project's contracts (rulings G3, G22)."""
        day = as_of.astimezone(SHANGHAI).date()
        contracts = signed_contracts(source, as_of).select("contract_id", "project_id")
        subcontractors = known_subcontracts(source, as_of).select("contract_id", org_id="sub_org_id")
        lawful = (
            pl.concat([contract_parties(source, as_of), subcontractors])
            .join(contracts, on="contract_id", how="inner")
            .select("project_id", "org_id", is_lawful=True)
            .unique()
        )
        outsider = pl.col("is_lawful").is_null()
        inspections = (
            known_as_of(source[SiteInspection], SiteInspection, as_of)
            .filter(pl.col("actual_builder_org_id").is_not_null())
            .join(
                lawful, left_on=["project_id", "actual_builder_org_id"], right_on=["project_id", "org_id"], how="left"
            )
            .group_by("project_id")
            .agg(
                n_outsiders=outsider.sum().cast(pl.Int64),
                n_recent=_within(pl.col("inspected_at").dt.date(), day, RECENT_DAYS).sum().cast(pl.Int64),
                found=rows_as_evidence(
                    "site_inspection", "inspection_id", ["inspected_at", "actual_builder_org_id"], where=outsider
                ),
            )
        )
        heads = (
            known_as_of(source[WorkerDay], WorkerDay, as_of)
            .filter(
                _within(pl.col("date"), day, days_n),
                pl.col("workers_registered") > 0,
                pl.col("workers_of_contractor").is_not_null(),
            )
            .group_by("project_id")
            .agg(
                n_days=pl.len().cast(pl.Int64),
                own_ratio=ordered_mean(pl.col("workers_of_contractor") / pl.col("workers_registered")),
                counted=rows_as_evidence(
                    "worker_day", "worker_day_id", ["date", "workers_of_contractor", "workers_registered"]
                ),
            )
        )
        return (
            contracts.select("project_id")
            .unique()
            .join(inspections, on="project_id", how="left")
            .join(heads, on="project_id", how="left")
            .select(
                pl.col("n_outsiders", "n_recent", "n_days").fill_null(0),
                "own_ratio",
                subject_id="project_id",
                evidence=joined_evidence(pl.col("found"), pl.col("counted")),
            )
            .select(cls.column_names())
            .sort("subject_id")
        )


def _within(day: pl.Expr, last: dt.date, n: int) -> pl.Expr:
    """Tell whether a day is one of the ``n`` calendar days up to and with the last (rulings G3)."""
    return (pl.lit(last) - day).dt.total_days() < n
