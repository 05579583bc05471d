"""The money for labour on its way to the workers, and how many of them are there."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.contract_facts import SUM, signed_contracts
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.windows import complete_months
from features.tables.as_of import known_as_of
from features.tables.money import WagePayment, WorkerDay
from features.tables.source import SourceTables


class LabourMoney(Derived):
    """Labour fee due, transferred and paid out on one project in the last complete months, and heads."""

    subject_id = dy.String(primary_key=True)
    """The project."""
    n_months = dy.Int64(min=0)
    """Months with wage data whose transfer is known."""
    due_amount = dy.Decimal(38, 2, min=0)
    """Labour fee due."""
    transferred_amount = dy.Decimal(38, 2, min=0)
    """Labour fee transferred to the wage accounts."""
    wage_amount = dy.Decimal(38, 2, min=0)
    """Wages paid out."""
    workers_paid = dy.Float64(nullable=True, min=0)
    """Mean over the months."""
    workers_present = dy.Float64(nullable=True, min=0)
    """Mean over the recorded days of all the months; null without any."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, months_n: int) -> pl.LazyFrame:
        """Sum the wage accounts of each project (rulings G3, SI-058).

        A transfer made after ``as_of`` is not known yet: the month of that account is left out.
        """
        months = complete_months(as_of, months_n)
        projects = signed_contracts(source, as_of).select(subject_id="project_id").unique()
        known = known_as_of(source[WagePayment], WagePayment, as_of).filter(
            pl.col("month").is_in(months), pl.col("labour_fee_transferred").is_not_null()
        )
        fields = ["month", "labour_fee_due", "labour_fee_transferred", "wage_paid", "workers_paid"]
        wages = known.group_by(subject_id="project_id").agg(
            n_months=pl.col("month").n_unique().cast(pl.Int64),
            due_amount=pl.col("labour_fee_due").cast(SUM).sum(),
            transferred_amount=pl.col("labour_fee_transferred").cast(SUM).sum(),
            wage_amount=pl.col("wage_paid").cast(SUM).sum(),
            workers_paid=pl.col("workers_paid").sum() / pl.col("month").n_unique(),
            evidence=rows_as_evidence("wage_payment", "wage_payment_id", fields),
        )
        present = (
            known_as_of(source[WorkerDay], WorkerDay, as_of)
            .filter(pl.col("date").dt.strftime("%Y-%m").is_in(months))
            .group_by(subject_id="project_id")
            .agg(workers_present=pl.col("workers_present").mean())
        )
        return (
            projects.join(wages, on="subject_id", how="left")
            .join(present, on="subject_id", how="left")
            .with_columns(
                pl.col("n_months", "due_amount", "transferred_amount", "wage_amount").fill_null(0),
                pl.col("evidence").fill_null("[]"),
            )
            .select(cls.column_names())
            .sort("subject_id")
        )
