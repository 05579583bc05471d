"""Payments against each other: who is paid fast, what stays below the approval limit, what is paid twice."""

import datetime as dt
from collections.abc import Iterator

import dataframely as dy
import polars as pl

from features.derive.contract_facts import SUM, payments_made, per_contract, signed_contracts
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.pairs import organisation_pair
from features.derive.windows import in_window, short_history
from features.tables.as_of import known_as_of
from features.tables.columns import LAST_MOMENT, MONEY_MAX
from features.tables.money import Payment
from features.tables.source import SourceTables

PAIR = ["payer_org_id", "payee_org_id"]


class PaymentSpeed(Derived):
    """How long one payee waited for its payments of one type, and how long the payer's other payees did."""

    subject_id = dy.String()
    payer_org_id = dy.String()
    payee_org_id = dy.String()
    payment_type = dy.String()
    n_payments = dy.Int64(min=1)
    """Payments to the payee."""
    n_others = dy.Int64(min=0)
    """Payments to other organisations and persons."""
    median_days = dy.Float64()
    """Calendar days from application to payment."""
    median_days_others = dy.Float64(nullable=True)
    rank_sum = dy.Float64(min=1)
    """Sum of the payee's ranks among all these payments by days, ties sharing their mean."""
    n_ties = dy.Float64(min=0)
    """Sum of t^3 - t over the t payments that took the same number of days."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
        """Rank the payments of each payer and type made in the window (rulings G3, G4, G26, SI-049)."""
        kind = ["payer_org_id", "payment_type"]
        days = (pl.col("paid_at").dt.date() - pl.col("applied_at").dt.date()).dt.total_days()
        payments = (
            payments_made(source[Payment], as_of)
            .filter(in_window(pl.col("paid_at"), as_of, window_months))
            .filter(pl.col("payee_org_id").is_not_null() | pl.col("payee_person_id").is_not_null())
            .with_columns(pl.col("payment_type").cast(pl.String), days=days)
            .with_columns(rank=pl.col("days").rank("average").over(kind), n_all=pl.len().over(kind))
        )
        same_days = payments.group_by(*kind, "days").agg(n=pl.len().cast(pl.Int64))
        ties = same_days.group_by(kind).agg(n_ties=(pl.col("n") ** 3 - pl.col("n")).sum().cast(pl.Float64))
        own = (
            payments.filter(pl.col("payee_org_id").is_not_null())
            .group_by(*kind, "payee_org_id")
            .agg(
                n_payments=pl.len().cast(pl.Int64),
                n_others=(pl.col("n_all").first() - pl.len()).cast(pl.Int64),
                median_days=pl.col("days").median(),
                rank_sum=pl.col("rank").sum(),
                evidence=rows_as_evidence("payment", "payment_id", ["payment_type", "applied_at", "paid_at"]),
            )
        )
        return (
            own.join(ties, on=kind, how="left")
            .join(_median_of_others(payments, same_days, own), on=[*kind, "payee_org_id"], how="left")
            .with_columns(
                subject_id=organisation_pair(pl.col("payer_org_id"), pl.col("payee_org_id")),
                short_history=pl.lit(short_history(first_payment(source), as_of, window_months)),
            )
            .select(cls.column_names())
            .sort("subject_id", "payment_type", "payer_org_id")
        )


def first_payment(source: SourceTables) -> dt.datetime | None:
    """Return the earliest payment in the data."""
    return payments_made(source[Payment], LAST_MOMENT).select(pl.col("paid_at").min()).collect().item()


def _median_of_others(payments: pl.LazyFrame, same_days: pl.LazyFrame, own: pl.LazyFrame) -> pl.LazyFrame:
    """Return the median of the payer's other payments of the type: payer, type, payee, median_days_others.

    Counted down the days that occur, each payee's own payments taken off.
    """
    kind = ["payer_org_id", "payment_type"]
    own_days = payments.group_by(*kind, "payee_org_id", "days").agg(n_own=pl.len().cast(pl.Int64))
    upto = pl.col("n_upto")
    return (
        own.filter(pl.col("n_others") > 0)
        .select(*kind, "payee_org_id", "n_others")
        .join(same_days, on=kind, how="inner")
        .join(own_days, on=[*kind, "payee_org_id", "days"], how="left")
        .sort("days")
        .with_columns(n_upto=(pl.col("n") - pl.col("n_own").fill_null(0)).cum_sum().over(*kind, "payee_org_id"))
        .group_by(*kind, "payee_org_id")
        .agg(
            median_days_others=(
                pl.col("days").filter(upto > (pl.col("n_others") - 1) // 2).min()
                + pl.col("days").filter(upto > pl.col("n_others") // 2).min()
            )
            / 2
        )
    )


class SplitPayments(Derived):
    """How often one payer paid one payee, within days, several times just below the approval limit."""

    subject_id = dy.String()
    payer_org_id = dy.String()
    payee_org_id = dy.String()
    n_payments = dy.Int64(min=1)
    """Payments of the window; those of one voucher are one."""
    n_windows = dy.Int64(min=0)
    """Stretches of days with enough payments below the limit that together reach it; no payment counts twice."""
    split_amount = dy.Decimal(38, 2, min=0)
    """Paid in these."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(
        cls,
        source: SourceTables,
        as_of: dt.datetime,
        limit: float,
        band: float,
        split_days: int,
        k_min: int,
        window_months: int,
    ) -> pl.LazyFrame:
        """Search the payments of each pair that lie in [band * limit, limit) (rulings G3, G4, G13, G26, SI-051)."""
        cents = (pl.col("paid_amount").cast(pl.Float64) * 100).round().cast(pl.Int64)
        limit_cents = round(limit * 100)
        paid = (
            payments_made(source[Payment], as_of)
            .filter(pl.col("payee_org_id").is_not_null())
            .with_columns(voucher=pl.coalesce("voucher_no", pl.concat_str(pl.lit("payment "), "payment_id")))
        )
        vouchers = (
            paid.group_by(*PAIR, "voucher")
            .agg(pl.col("paid_amount").sum(), pl.col("paid_at").min())
            .filter(in_window(pl.col("paid_at"), as_of, window_months))
        )
        below = vouchers.with_columns(cents=cents).filter(
            pl.col("cents") >= round(band * limit * 100), pl.col("cents") < limit_cents
        )
        found = _in_windows(below, split_days, k_min, limit_cents)
        split = (
            paid.join(found, on=[*PAIR, "voucher"], how="inner")
            .group_by(PAIR)
            .agg(
                n_windows=pl.col("window").n_unique().cast(pl.Int64),
                split_amount=pl.col("paid_amount").sum(),
                evidence=rows_as_evidence("payment", "payment_id", ["paid_amount", "paid_at", "voucher_no"]),
            )
        )
        return (
            vouchers.group_by(PAIR)
            .agg(n_payments=pl.len().cast(pl.Int64))
            .join(split, on=PAIR, how="left")
            .with_columns(
                pl.col("n_windows", "split_amount").fill_null(0),
                pl.col("evidence").fill_null("[]"),
                subject_id=organisation_pair(pl.col("payer_org_id"), pl.col("payee_org_id")),
                short_history=pl.lit(short_history(first_payment(source), as_of, window_months)),
            )
            .select(cls.column_names())
            .sort("subject_id", "payer_org_id")
        )


def _in_windows(below: pl.LazyFrame, split_days: int, k_min: int, limit_cents: int) -> pl.LazyFrame:
    """Return the vouchers of windows that count: payer, payee, voucher, window (its number within the pair)."""
    pairs = (
        below.sort("paid_at", "voucher")
        .group_by(PAIR)
        .agg("voucher", "cents", days=pl.col("paid_at").dt.date().dt.epoch("d"))
        .filter(pl.col("voucher").list.len() >= k_min)
        .collect()
    )
    rows = [
        (payer, payee, vouchers[place], number)
        for payer, payee, vouchers, cents, days in pairs.iter_rows()
        for number, window in enumerate(_windows(days, cents, split_days, k_min, limit_cents))
        for place in window
    ]
    schema = {**dict.fromkeys([*PAIR, "voucher"], pl.String), "window": pl.Int64}
    return pl.LazyFrame(rows, schema=schema, orient="row")


def _windows(days: list[int], cents: list[int], split_days: int, k_min: int, limit_cents: int) -> Iterator[range]:
    """Yield the places of the payments of each window that counts, from the earliest unused payment on.

    A window that counts uses up its payments, otherwise the next begins one payment later.
    """
    first = 0
    while first < len(days):
        end = first
        while end < len(days) and days[end] - days[first] < split_days:
            end += 1
        if end - first >= k_min and sum(cents[first:end]) >= limit_cents:
            yield range(first, end)
            first = end
        else:
            first += 1


class RepeatedPayments(Derived):
    """What was paid twice under one contract: the same amount soon after, the same voucher, the same period."""

    subject_id = dy.String()
    """The project."""
    contract_id = dy.String(primary_key=True)
    n_payments = dy.Int64(min=0)
    n_repeated = dy.Int64(min=0)
    """Payments beyond the first of a set."""
    repeated_amount = dy.Decimal(38, 2, min=0)
    refunded_amount = dy.Decimal(38, 2, min=0)
    """Paid back under the contract."""
    contract_amount = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, dup_days: int, amt_min: float) -> pl.LazyFrame:
        """Find the payments that repeat another (rulings G3, G13, G26, SI-052).

        A payee is the same if the organisation or the account is. An amount paid three times or more in different
        measurement periods is an instalment: to be equal proves nothing then.
        """
        contracts = signed_contracts(source, as_of).select(
            "contract_id", subject_id="project_id", contract_amount="amount"
        )
        opened = source.with_sensitive(Payment)
        made = payments_made(opened, as_of).filter(pl.col("contract_id").is_not_null())
        refunds = known_as_of(opened, Payment, as_of).filter(
            pl.col("paid_amount") < 0, pl.col("contract_id").is_not_null()
        )
        instalment = pl.col("measurement_period").drop_nulls().n_unique().over("contract_id", "paid_amount") >= 3
        payees = ("payee_org_id", "payee_account_hash")
        again, in_chain = zip(*(_soon_again(payee, dup_days) for payee in payees), strict=True)
        voucher, period = ["contract_id", "voucher_no"], ["contract_id", "measurement_period", "payment_type"]
        marked = (
            made.filter(pl.col("paid_amount") >= amt_min)
            .sort("paid_at", "payment_id")
            .with_columns(
                same_amount=~instalment & pl.any_horizontal(again),
                same_amount_set=~instalment & pl.any_horizontal(in_chain),
                **_beyond_first("voucher", voucher, pl.col("voucher_no").is_not_null()),
                **_beyond_first("period", period, pl.col("measurement_period").is_not_null()),
            )
        )
        repeated = marked.filter(pl.any_horizontal("same_amount", "same_voucher", "same_period"))
        in_set = marked.filter(pl.any_horizontal("same_amount_set", "same_voucher_set", "same_period_set"))
        shown = pl.concat([in_set, refunds.with_columns(pl.col("paid_amount").cast(SUM))], how="diagonal")
        fields = ["payee_org_id", "paid_amount", "paid_at", "voucher_no", "measurement_period", "payment_type"]
        limbs = ["same_amount", "same_voucher", "same_period"]
        return per_contract(
            cls,
            contracts,
            made.group_by("contract_id").agg(n_payments=pl.len().cast(pl.Int64)),
            repeated.group_by("contract_id").agg(
                n_repeated=pl.len().cast(pl.Int64), repeated_amount=pl.col("paid_amount").sum()
            ),
            refunds.group_by("contract_id").agg(refunded_amount=-pl.col("paid_amount").cast(SUM).sum()),
            shown.group_by("contract_id").agg(evidence=rows_as_evidence("payment", "payment_id", [*fields, *limbs])),
        )


def _soon_again(payee: str, dup_days: int) -> tuple[pl.Expr, pl.Expr]:
    """Tell whether a payee got the same amount within the days before, and whether before or after.

    Over payments sorted by time.
    """
    same = ["contract_id", payee, "paid_amount"]
    day = pl.col("paid_at").dt.date()
    since = (day - day.shift(1)).over(same).dt.total_days()
    until = (day.shift(-1) - day).over(same).dt.total_days()
    named = pl.col(payee).is_not_null()
    again = named & (since <= dup_days).fill_null(value=False)
    return again, again | (named & (until <= dup_days).fill_null(value=False))


def _beyond_first(name: str, same: list[str], named: pl.Expr) -> dict[str, pl.Expr]:
    """Tell which payments are beyond the first of a set that shares columns, and which belong to such a set.

    Over payments sorted by time.
    """
    return {
        f"same_{name}": named & (pl.int_range(pl.len()).over(same) > 0),
        f"same_{name}_set": named & (pl.len().over(same) > 1),
    }
