"""Payments against each other, in rows made by hand."""

import datetime as dt
from itertools import count
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import mannwhitneyu

from features.build import indicator_values
from features.derive.payment_control import PaymentSpeed, RepeatedPayments, SplitPayments
from tests.contracts import AS_OF, Rows, at, both, contract, derived, source

NUMBERS = count()
OLD: Rows = {
    "payment": [
        {
            "payment_id": "old",
            "contract_id": "none",
            "payer_org_id": "X",
            "payee_org_id": "Y",
            "payment_type": "other",
            "paid_amount": 1,
            "applied_at": at("2023-01-01"),
            "paid_at": at("2023-01-02"),
        }
    ]
}
"""A payment of long ago, so that the history is long enough."""


def paid(on: str = "2026-03-10", days: int = 5, amount: float | None = 100, **columns: Any) -> Rows:
    """Return a progress payment by T to W under contract C, applied for so many days before."""
    paid_at = at(on)
    row = {
        "payment_id": f"Z{next(NUMBERS):03}",
        "project_id": "P",
        "contract_id": "C",
        "payer_org_id": "T",
        "payee_org_id": "W",
        "payment_type": "progress",
        "paid_amount": amount,
        "applied_at": paid_at - dt.timedelta(days=days),
        "paid_at": paid_at,
        **columns,
    }
    return {"payment": [row]}


# SI-049: how fast one payee is paid.


def speeds(*parts: Rows, key: str = "payee_org_id", **columns: Any) -> dict[str, dict[str, Any]]:
    found = derived(PaymentSpeed, both(OLD, *parts), key=key, window_months=24, **columns)
    return {name: row for name, row in found.items() if row["payer_org_id"] == "T"}


def test_days_of_a_payee_are_ranked_among_all_payments_of_the_payer_and_type() -> None:
    found = speeds(
        *[paid(days=days) for days in (2, 4, 4)],
        *[paid(days=days, payee_org_id="A") for days in (4, 9)],
        paid(days=1, payment_type="labour", payee_org_id="B"),
        paid(days=1, payer_org_id="U", payee_org_id="D"),
    )["W"]

    assert found["subject_id"] == "organisation:T~organisation:W"
    assert (found["n_payments"], found["n_others"]) == (3, 2)
    assert (found["median_days"], found["median_days_others"]) == (4, 6.5)
    assert found["rank_sum"] == 1 + 3 + 3
    assert found["n_ties"] == 3**3 - 3
    assert found["evidence"].count('"table"') == 3


def test_days_are_calendar_days() -> None:
    late = paid(paid_at=at("2026-03-11", 1), applied_at=at("2026-03-10", 23))

    assert speeds(late)["W"]["median_days"] == 1


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_the_median_of_the_others_is_that_of_their_payments(n: int) -> None:
    chance = np.random.default_rng(n)
    others = [int(one) for one in chance.integers(0, 9, n)]
    own = [int(one) for one in chance.integers(0, 9, 3)]
    found = speeds(*[paid(days=one, payee_org_id="A") for one in others], *[paid(days=one) for one in own])

    assert found["W"]["median_days_others"] == np.median(others)
    assert found["A"]["median_days_others"] == np.median(own)


def test_persons_are_other_payees_and_payments_to_nobody_are_left_out() -> None:
    found = speeds(
        paid(days=2),
        paid(days=7, payee_org_id=None, payee_person_id="p"),
        paid(days=9, payee_org_id=None),
    )["W"]

    assert (found["n_others"], found["median_days_others"]) == (1, 7)


def test_without_others_there_is_no_median() -> None:
    assert speeds(paid())["W"]["median_days_others"] is None


@pytest.mark.parametrize(
    "other",
    [
        paid(
            payee_org_id="A", paid_at=AS_OF.replace(year=2024), applied_at=at("2024-06-01")
        ),  # the window is open at its beginning
        paid("2026-07-01", payee_org_id="A"),
        paid(payee_org_id="A", amount=-100),
        paid(payee_org_id="A", amount=0),
        paid(payee_org_id="A", paid_at=None),
    ],
)
def test_payments_outside_the_window_and_refunds_do_not_count(other: Rows) -> None:
    assert speeds(paid(), other)["W"]["n_others"] == 0


def test_each_type_stands_for_itself() -> None:
    found = speeds(paid(), paid(payment_type="labour"), key="payment_type")

    assert set(found) == {"progress", "labour"}


def test_history_is_short_below_half_of_the_window() -> None:
    found = derived(PaymentSpeed, paid("2025-07-10"), key="payee_org_id", window_months=24)["W"]

    assert found["short_history"] is True
    assert speeds(paid())["W"]["short_history"] is False


@pytest.mark.parametrize("seed", range(3))
def test_the_chance_is_that_of_a_mann_whitney_test(seed: int) -> None:
    chance = np.random.default_rng(seed)
    own, others = chance.integers(0, 12, 6), chance.integers(2, 20, 25)
    rows = both(
        OLD,
        *[paid(days=int(one)) for one in own],
        *[paid(days=int(one), payee_org_id=f"A{place % 4}") for place, one in enumerate(others)],
    )
    values = indicator_values(source(rows), AS_OF).filter(
        pl.col("indicator_id") == "SI-049", pl.col("subject_id") == "organisation:T~organisation:W"
    )
    told = values.select(
        pl.col("evidence").str.json_decode(pl.List(pl.Struct({"fields": pl.Struct({"p_value": pl.Float64})})))
    )
    p_value = told.to_series()[0][0]["fields"]["p_value"]

    wanted = mannwhitneyu(own, others, alternative="less", method="asymptotic", use_continuity=True).pvalue
    assert p_value == pytest.approx(wanted, abs=1e-12)


# SI-051: payments below the approval limit.


def split(*parts: Rows, **columns: Any) -> dict[str, Any]:
    params: dict[str, Any] = {
        "limit": 500_000,
        "band": 0.7,
        "split_days": 7,
        "k_min": 2,
        "window_months": 12,
        **columns,
    }
    return derived(SplitPayments, both(OLD, *parts), key="subject_id", **params)["organisation:T~organisation:W"]


def below(on: str, amount: float = 400_000, **columns: Any) -> Rows:
    return paid(on, amount=amount, **columns)


def test_two_payments_below_the_limit_within_a_week_that_reach_it_together_are_a_window() -> None:
    found = split(below("2026-03-01"), below("2026-03-07"), below("2026-05-01"))

    assert (found["n_windows"], found["n_payments"], found["split_amount"]) == (1, 3, 800_000)
    assert found["evidence"].count('"table":"payment"') == 2


def test_the_eighth_day_is_too_late() -> None:
    assert split(below("2026-03-01"), below("2026-03-08"))["n_windows"] == 0


@pytest.mark.parametrize(
    ("amount", "counts"), [(350_000, True), (349_999.99, False), (499_999.99, True), (500_000, False)]
)
def test_amounts_lie_from_the_band_to_below_the_limit(amount: float, counts: bool) -> None:
    assert split(below("2026-03-01", amount), below("2026-03-02", amount))["n_windows"] == int(counts)


def test_the_sum_must_reach_the_limit() -> None:
    assert split(below("2026-03-01", 250_000), below("2026-03-02", 249_999.99), band=0.4)["n_windows"] == 0
    assert split(below("2026-03-01", 250_000), below("2026-03-02", 250_000), band=0.4)["n_windows"] == 1


def test_a_window_uses_up_its_payments() -> None:
    days = ["01", "03", "05", "08", "10", "20"]
    found = split(*[below(f"2026-03-{day}") for day in days])

    # 01, 03, 05 are one window, 08 and 10 the next, 20 stands alone.
    assert (found["n_windows"], found["split_amount"]) == (2, 2_000_000)


def test_a_window_that_does_not_count_moves_on_by_one_payment() -> None:
    found = split(below("2026-03-01"), below("2026-03-08"), below("2026-03-09"))

    assert (found["n_windows"], found["split_amount"]) == (1, 800_000)


def test_payments_of_one_voucher_are_one_on_its_first_date() -> None:
    whole = [below("2026-03-01", 200_000, voucher_no="V"), below("2026-03-20", 200_000, voucher_no="V")]

    assert split(*whole)["n_windows"] == 0
    assert split(*whole)["n_payments"] == 1
    assert split(*whole, below("2026-03-07"))["n_windows"] == 1
    assert split(*whole, below("2026-03-07"))["split_amount"] == 800_000


def test_the_same_voucher_to_others_is_another_one() -> None:
    other = below("2026-03-01", 200_000, voucher_no="V", payee_org_id="A")

    assert split(below("2026-03-01", voucher_no="V"), other, below("2026-03-02"))["n_windows"] == 1


def test_pairs_stand_for_themselves() -> None:
    assert split(below("2026-03-01"), below("2026-03-02", payee_org_id="A"))["n_windows"] == 0
    assert split(below("2026-03-01"), below("2026-03-02", payer_org_id="U"))["n_windows"] == 0


@pytest.mark.parametrize("on", ["2025-06-30", "2026-07-01"])
def test_only_payments_of_the_window_count(on: str) -> None:
    assert split(below("2026-03-01"), below(on))["n_payments"] == 1


# SI-052: paid twice.


def repeated(*parts: Rows, dup_days: int = 30, amt_min: float = 50, **columns: Any) -> dict[str, Any]:
    rows = both({"contract": [contract(**columns)]}, *parts)
    return derived(RepeatedPayments, rows, dup_days=dup_days, amt_min=amt_min)["C"]


def told(found: dict[str, Any]) -> tuple[int, int]:
    return found["n_repeated"], int(found["repeated_amount"])


def test_the_same_amount_to_the_same_payee_within_thirty_days_is_paid_twice() -> None:
    found = repeated(paid("2026-03-01"), paid("2026-03-31"), paid("2026-06-20"))

    assert (found["n_payments"], *told(found)) == (3, 1, 100)
    assert found["evidence"].count('"table":"payment"') == 2
    assert found["contract_amount"] == 1_000_000


def test_a_day_later_it_is_not() -> None:
    assert told(repeated(paid("2026-03-01"), paid("2026-04-01"))) == (0, 0)


@pytest.mark.parametrize(
    "other",
    [paid("2026-03-05", amount=100.01), paid("2026-03-05", payee_org_id="A"), paid("2026-03-05", contract_id="D")],
)
def test_another_amount_payee_or_contract_is_no_repeat(other: Rows) -> None:
    assert told(repeated(paid("2026-03-01"), other)) == (0, 0)


def test_every_payment_beyond_the_first_of_a_set_counts_once() -> None:
    chain = [paid(f"2026-{month:02}-01", voucher_no="V", measurement_period="2026-01") for month in (1, 2, 3, 4)]

    assert told(repeated(*chain)) == (3, 300)


def test_the_same_account_is_the_same_payee_and_no_account_is_shown() -> None:
    here: dict[str, Any] = {"payee_org_id": None, "payee_account_hash": "h-7f3a"}
    found = repeated(paid("2026-03-01", **here), paid("2026-03-05", **here))

    assert told(found) == (1, 100)
    assert "h-7f3a" not in str(found)


def test_two_unknown_payees_are_not_the_same() -> None:
    assert told(repeated(*[paid(f"2026-03-0{day}", payee_org_id=None) for day in (1, 2)])) == (0, 0)


def test_the_same_voucher_is_paid_twice_whatever_the_amount_and_the_time() -> None:
    found = repeated(paid("2026-01-01", voucher_no="V"), paid("2026-06-01", amount=300, voucher_no="V"))

    assert told(found) == (1, 300)


def test_the_same_period_and_type_are_paid_twice() -> None:
    may: dict[str, Any] = {"measurement_period": "2026-05"}
    found = repeated(paid("2026-01-01", **may), paid("2026-06-01", amount=300, **may))

    assert told(found) == (1, 300)
    assert told(repeated(paid("2026-01-01", **may), paid("2026-06-01", payment_type="labour", **may))) == (0, 0)


def test_missing_vouchers_and_periods_are_not_equal() -> None:
    assert told(repeated(paid("2026-01-01"), paid("2026-06-01", amount=300))) == (0, 0)


def test_an_amount_of_three_periods_is_an_instalment() -> None:
    months = [paid(f"2026-0{month}-20", measurement_period=f"2026-0{month}") for month in (2, 3, 4)]

    assert told(repeated(*months)) == (0, 0)
    assert told(repeated(*months[:2])) == (1, 100)


def test_an_instalment_may_still_be_paid_twice_for_one_period() -> None:
    months = [paid(f"2026-0{month}-20", measurement_period=f"2026-0{month}") for month in (2, 3, 4)]

    assert told(repeated(*months, paid("2026-05-01", measurement_period="2026-04"))) == (1, 100)


def test_amounts_below_the_least_are_ignored() -> None:
    assert told(repeated(paid("2026-03-01"), paid("2026-03-02"), amt_min=100)) == (1, 100)
    found = repeated(paid("2026-03-01"), paid("2026-03-02"), amt_min=100.01)

    assert (found["n_payments"], *told(found)) == (2, 0, 0)


def test_refunds_of_the_contract_are_told_and_shown() -> None:
    found = repeated(
        paid("2026-03-01"), paid("2026-03-02"), paid("2026-03-09", amount=-60), paid("2026-07-01", amount=-40)
    )

    assert (found["n_payments"], *told(found)) == (2, 1, 100)
    assert found["refunded_amount"] == 60
    assert found["evidence"].count('"table":"payment"') == 3


def test_what_is_paid_later_is_not_known() -> None:
    assert told(repeated(paid("2026-06-28"), paid("2026-07-02"))) == (0, 0)
