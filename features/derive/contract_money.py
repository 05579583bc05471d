"""The money of a contract against its works: progress and payments, the end of the year, prepayments."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.clock import SHANGHAI
from features.derive.contract_facts import (
    SUM,
    approved_changes,
    known_progress,
    payments_made,
    per_contract,
    signed_contracts,
)
from features.derive.derived import Derived
from features.derive.evidence import joined_evidence, rows_as_evidence
from features.derive.windows import complete_months
from features.tables.as_of import known_as_of
from features.tables.columns import MONEY_MAX
from features.tables.money import Payment
from features.tables.site import ProgressReport
from features.tables.source import SourceTables

MONTHS = 3
"""Complete months in which completed value is looked for (rulings SI-048)."""
STATE = ("paid_amount", "unoffset_amount", "completed_value", "total_amount")


class PaidProgress(Derived):
    """What had been paid for the works of one contract, and what was completed, at the end of two months."""

    subject_id = dy.String()
    """The project."""
    contract_id = dy.String(primary_key=True)
    n_reported = dy.Int64(min=0, max=MONTHS)
    """Of the last three complete months, those whose completed value is reported."""
    month = dy.String(nullable=True)
    """The latest of these."""
    paid_amount = dy.Decimal(38, 2, nullable=True, min=0)
    """Progress and changes paid by the end of the month."""
    unoffset_amount = dy.Decimal(38, 2, nullable=True, min=0)
    """Prepayment not yet deducted by then."""
    completed_value = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    total_amount = dy.Decimal(38, 2, nullable=True)
    """Contract amount and changes approved by then; null where the amount is not known."""
    paid_amount_before = dy.Decimal(38, 2, nullable=True, min=0)
    """The same at the end of the calendar month before; null where that month is not reported."""
    unoffset_amount_before = dy.Decimal(38, 2, nullable=True, min=0)
    completed_value_before = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    total_amount_before = dy.Decimal(38, 2, nullable=True)
    pay_ratio = dy.Float64(nullable=True, min=0, max=1)
    """Agreed ratio of progress payments."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Add up money and changes until the end of each reported month (rulings G2, G3, G26, SI-048)."""
        contracts = signed_contracts(source, as_of).select(
            "contract_id", "amount", subject_id="project_id", pay_ratio="progress_pay_ratio"
        )
        months = complete_months(as_of, MONTHS)
        reports = _valued_reports(source, as_of).filter(pl.col("period").is_in(months))
        reported = reports.group_by("contract_id", "period").agg(pl.col("completed_value").max())
        payments = _paid_for_works(source, as_of).filter(pl.col("month") <= months[-1])
        until = (
            reported.join(_money_by_month(payments, source, as_of), on="contract_id", how="left")
            .group_by("contract_id", "period")
            .agg(
                pl.col("completed_value").first(),
                pl.col("paid", "prepaid", "offset", "delta").filter(pl.col("month") <= pl.col("period")).sum(),
            )
            .join(contracts, on="contract_id", how="inner")
            .with_columns(
                place=pl.col("period").replace_strict(months, list(range(MONTHS)), return_dtype=pl.Int64),
                paid_amount="paid",
                unoffset_amount=pl.max_horizontal(pl.col("prepaid") - pl.col("offset"), pl.lit(0, SUM)),
                total_amount=pl.col("amount").cast(SUM) + pl.col("delta"),
            )
        )
        place = pl.col("place")
        states = until.group_by("contract_id").agg(
            n_reported=pl.len().cast(pl.Int64),
            month=pl.col("period").max(),
            **{name: pl.col(name).sort_by(place).last() for name in STATE},
            **{f"{name}_before": pl.col(name).filter(place == place.max() - 1).first() for name in STATE},
        )
        shown = reports.group_by("contract_id").agg(
            reports=rows_as_evidence("progress_report", "progress_id", ["period", "completed_value"])
        )
        paid = payments.group_by("contract_id").agg(payments=_payment_rows())
        evidence = shown.join(paid, on="contract_id", how="left").select(
            "contract_id", evidence=joined_evidence(pl.col("reports"), pl.col("payments"))
        )
        return per_contract(cls, contracts, states, evidence)


class Prepayment(Derived):
    """What was prepaid under one contract, and how much of it came back while the works went on."""

    subject_id = dy.String()
    """The project."""
    contract_id = dy.String(primary_key=True)
    n_prepayments = dy.Int64(min=0)
    prepaid_amount = dy.Decimal(38, 2, min=0)
    offset_amount = dy.Decimal(38, 2, min=0)
    """Deducted from payments."""
    contract_amount = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    provisional_amount = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    completed_value = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    """By the latest report that states it."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Sum prepayments and deductions made by ``as_of`` (rulings G2, G26)."""
        contracts = signed_contracts(source, as_of).select(
            "contract_id", "provisional_amount", subject_id="project_id", contract_amount="amount"
        )
        payments = _paid_for_works(source, as_of).filter((pl.col("prepaid") > 0) | (pl.col("offset") > 0))
        sums = payments.group_by("contract_id").agg(
            n_prepayments=(pl.col("prepaid") > 0).sum().cast(pl.Int64),
            prepaid_amount=pl.col("prepaid").sum(),
            offset_amount=pl.col("offset").sum(),
            payments=_payment_rows(),
        )
        order = ["period", "completed_value", "progress_id"]
        latest = (
            _valued_reports(source, as_of)
            .sort(order)
            .unique("contract_id", keep="last", maintain_order=True)
            .group_by("contract_id")
            .agg(
                pl.col("completed_value").first(),
                reports=rows_as_evidence("progress_report", "progress_id", ["period", "completed_value"]),
            )
        )
        found = sums.join(latest, on="contract_id", how="left").with_columns(
            evidence=joined_evidence(pl.col("payments"), pl.col("reports"))
        )
        return per_contract(cls, contracts, found)


class YearEndPayments(Derived):
    """What one project paid and built in the last year that has ended, and in the last days of that year."""

    subject_id = dy.String(primary_key=True)
    """The project."""
    year = dy.Int64()
    is_begun = dy.Bool()
    """A contract was signed before the year ended."""
    n_payments = dy.Int64(min=0)
    """Of the year."""
    year_amount = dy.Decimal(38, 2, min=0)
    rush_amount = dy.Decimal(38, 2, min=0)
    """Paid in the last days."""
    year_gain = dy.Float64(nullable=True)
    """Progress of the year, summed over contracts; null where no contract has a report of that time or before."""
    rush_gain = dy.Float64(nullable=True)
    """Progress of the last days: their share of December's."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, rush_days: int) -> pl.LazyFrame:
        """Sum the payments of each project and the progress of its contracts (rulings G3, G26, SI-050)."""
        year = (as_of.astimezone(SHANGHAI) + dt.timedelta(microseconds=1)).year - 1
        end = dt.datetime(year + 1, 1, 1, tzinfo=SHANGHAI)
        contracts = signed_contracts(source, as_of).select("contract_id", "signed_at", subject_id="project_id")
        projects = contracts.group_by("subject_id").agg(is_begun=(pl.col("signed_at") < end).any())
        last_days = pl.col("paid_at") >= end - dt.timedelta(days=rush_days)
        paid = (
            payments_made(source[Payment], as_of)
            .filter(pl.col("paid_at").dt.year() == year)
            .group_by(subject_id="project_id")
            .agg(
                n_payments=pl.len().cast(pl.Int64),
                year_amount=pl.col("paid_amount").sum(),
                rush_amount=pl.col("paid_amount").filter(last_days).sum(),
                evidence=rows_as_evidence(
                    "payment", "payment_id", ["paid_amount", "paid_at", "payment_type"], where=last_days
                ),
            )
        )
        progress = (
            _gains(known_progress(source, as_of), year)
            .join(contracts, on="contract_id", how="inner")
            .group_by("subject_id")
            .agg(
                year_gain=pl.col("year_gain").sort().sum(),
                rush_gain=(pl.col("december_gain") * rush_days / 31).sort().sum(),
            )
        )
        return (
            projects.join(paid, on="subject_id", how="left")
            .join(progress, on="subject_id", how="left")
            .with_columns(
                pl.col("n_payments", "year_amount", "rush_amount").fill_null(0),
                pl.col("evidence").fill_null("[]"),
                year=pl.lit(year, pl.Int64),
            )
            .select(cls.column_names())
            .sort("subject_id")
        )


def _valued_reports(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the monthly reports known at ``as_of`` that state a completed value; the columns of the table."""
    known = known_as_of(source[ProgressReport], ProgressReport, as_of)
    return known.filter(pl.col("completed_value").is_not_null())


def _paid_for_works(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return payments made with what each pays and deducts: month, paid (progress, changes), prepaid, offset."""
    kind, nothing = pl.col("payment_type").cast(pl.String), pl.lit(0, SUM)
    amount, offset = pl.col("paid_amount"), pl.col("prepay_offset_amount").cast(SUM)
    return payments_made(source[Payment], as_of).with_columns(
        month=pl.col("paid_at").dt.strftime("%Y-%m"),
        paid=pl.when(kind.is_in(["progress", "change"])).then(amount).otherwise(nothing),
        prepaid=pl.when(kind == "prepayment").then(amount).otherwise(nothing),
        offset=offset.fill_null(0),
    )


def _money_by_month(payments: pl.LazyFrame, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return payments and approved changes, each with its month: contract_id, month, paid, prepaid, offset, delta."""
    changes = approved_changes(source, as_of).select(
        "contract_id", month=pl.col("approved_at").dt.strftime("%Y-%m"), delta=pl.col("amount_delta").cast(SUM)
    )
    paid = payments.select("contract_id", "month", "paid", "prepaid", "offset")
    return pl.concat([paid, changes], how="diagonal")


def _payment_rows() -> pl.Expr:
    """Return the payments of a contract that pay for works or deduct from a prepayment, as evidence."""
    fields = ["payment_type", "paid_amount", "prepay_offset_amount", "paid_at"]
    shown = (pl.col("paid") > 0) | (pl.col("prepaid") > 0) | (pl.col("offset") > 0)
    return rows_as_evidence("payment", "payment_id", fields, where=shown)


def _gains(reports: pl.LazyFrame, year: int) -> pl.LazyFrame:
    """Return how far the works of each contract came: contract_id, year_gain, december_gain."""
    period, pct = pl.col("period"), pl.col("actual_pct")

    def reached(before: str) -> pl.Expr:
        return pct.filter(period < before).sort_by(period.filter(period < before)).last().fill_null(0.0)

    done = reached(f"{year + 1}-01")
    return (
        reports.filter(period < f"{year + 1}-01")
        .group_by("contract_id")
        .agg(year_gain=done - reached(f"{year}-01"), december_gain=done - reached(f"{year}-12"))
    )
