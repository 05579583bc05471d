"""Payments by the terms of the contract, and by the terms of those who bend them."""

import numpy as np
import polars as pl

from experiments.city.facts import CITY_END
from experiments.city.people import NOBODY, someone
from experiments.city.records import Numbers, days_after, known, money, office_hours, restamped, sequence, stamped

APPROVAL_LIMIT = 500_000
"""CNY from which a payment needs the signature of the next level; who splits stays below."""
_PLAN = {
    "contract_id": pl.String,
    "payment_type": pl.String,
    "measurement_period": pl.String,
    "due_on": pl.Date,
    "value": pl.Float64,
    "prepay_offset_amount": pl.Float64,
}


def payments(
    course: pl.DataFrame,
    monthly: pl.DataFrame,
    settled: pl.DataFrame,
    units: pl.DataFrame,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return rows of payment with ``updated_at``.

    Args:
        course: of :func:`experiments.city.works.sign`.
        monthly: of :func:`experiments.city.progress.months`.
        settled: settlement_audit of the block: what remains is paid by it.
        units: organisations of the population.
        rng: source of chance.
    """
    plan = pl.concat(
        [_prepaid(course), *_by_progress(course, monthly, rng), _on_delivery(course), _at_settlement(course, settled)],
        how="vertical_relaxed",
    )
    rows = plan.filter(pl.col("value") > 0).join(course, on="contract_id", maintain_order="left")
    rows = _split(rows, rng)
    n = len(rows)
    scheme = rows["scheme"].fill_null("").to_numpy().astype(str)
    shows = rows["shows"].to_numpy()
    favoured = scheme == "payment_kickback"
    due = rows["due_on"].to_numpy().astype("datetime64[D]")
    applied = days_after(due, 2, 12, rng)
    check = np.where(favoured, rng.uniform(0, 3, n), rng.gamma(2.2, 5.0, n)).astype("timedelta64[D]")
    wait = np.where(favoured, rng.uniform(0, 3, n), rng.gamma(2.0, 0.3, n) * rows["payment_term_days"].to_numpy())
    approved = applied + check
    paid = approved + wait.astype("timedelta64[D]")
    amount = money(rows["value"].to_numpy())
    cut = np.where(rng.random(n) < 0.15, rng.uniform(0.9, 1.0, n), 1.0)
    paid_at = office_hours(paid, rng)
    who = _payees(rows, units, rng)
    rows = rows.select(
        "contract_id",
        "project_id",
        "payment_type",
        "measurement_period",
        "prepay_offset_amount",
        payment_id=sequence(rows, "ZF", "contract_id"),
        applied_amount=pl.Series(amount),
        approved_amount=pl.Series(money(amount * cut)),
        paid_amount=pl.Series(money(amount * cut)),
        applied_at=pl.Series(office_hours(applied, rng)),
        approved_at=pl.Series(office_hours(approved, rng)),
        paid_at=pl.Series(paid_at),
        payer_org_no="owner_org_no",
        payee_org_no=who["org"],
        payee_person_no=who["person"],
        payee_account=who["account"],
        supervisor_signed=pl.Series(
            rng.random(n) < np.where(favoured | (scheme == "pay_ahead"), 1 - 0.5 * shows, 0.985)
        ),
        copied=pl.Series(favoured & (rng.random(n) < 0.22 * shows)),
    ).with_columns(
        voucher_no="PZ" + pl.col("paid_at").dt.strftime("%Y%m") + pl.col("payment_id").str.slice(2),
    )
    rows = pl.concat([rows, _doubled(rows, rng)]).drop("copied")
    rows = rows.filter(pl.col("applied_at") >= pl.lit(CITY_END).dt.offset_by("-4y"))
    later = {"approved_at": ["approved_amount"], "paid_at": ["paid_amount", "voucher_no"]}
    rows = known(rows, "applied_at", later)
    return stamped(rows, rng, after=["applied_at", "approved_at", "paid_at"], hours=(0.3, 40))


def _prepaid(course: pl.DataFrame) -> pl.DataFrame:
    return course.filter(pl.col("prepay_ratio") > 0).select(
        "contract_id",
        payment_type=pl.lit("prepayment"),
        measurement_period=pl.lit(None, pl.String),
        due_on=pl.col("signed_at").dt.date() + pl.duration(days=10),
        value=_prepayment(),
        prepay_offset_amount=pl.lit(0.0),
    )


def _prepayment() -> pl.Expr:
    return ((pl.col("amount") - pl.col("provisional_amount")) * pl.col("prepay_ratio")).round(2)


def _by_progress(course: pl.DataFrame, monthly: pl.DataFrame, rng: np.random.Generator) -> list[pl.DataFrame]:
    """Return progress payments in cycles of one to three months, and the labour share of contracts that part it."""
    n = len(course)
    year_end = (course["look_alike"] == "year_end_settling").fill_null(value=False).to_numpy()
    terms = course.select(
        "contract_id",
        "progress_pay_ratio",
        prepayment=_prepayment(),
        cycle=pl.Series(np.where(year_end, 12, rng.integers(1, 4, n))),
        year_end=pl.Series(year_end),
        labour_apart=pl.Series(rng.random(n) < 0.45),
        keeps_prepayment=pl.Series(
            (course["scheme"] == "pay_ahead").fill_null(value=False).to_numpy() & (rng.random(n) < 0.6)
        ),
        ahead=pl.Series(_ahead(course, rng)),
    )
    rows = monthly.join(terms, on="contract_id", maintain_order="left")
    december = pl.col("closed_on").dt.month() == 12
    regular = (pl.col("number") + 1) % pl.col("cycle") == 0
    rows = rows.with_columns(pays=pl.col("last") | pl.when("year_end").then(december).otherwise(regular))
    labour = rows.filter(pl.col("labour_apart")).select(
        "contract_id",
        payment_type=pl.lit("labour"),
        measurement_period="period",
        due_on="closed_on",
        value=(pl.col("amount") * pl.col("reported_step") * pl.col("labour_cost_ratio")).round(2),
        prepay_offset_amount=pl.lit(0.0),
    )
    rows = rows.filter("pays").with_columns(
        step=pl.col("reported_pct") - pl.col("reported_pct").shift(1, fill_value=0.0).over("contract_id"),
        offset=pl.col("prepayment") * ((pl.col("reported_pct") - 0.2) / 0.6).clip(0.0, 1.0),
    )
    rows = rows.with_columns(offset=pl.col("offset") - pl.col("offset").shift(1, fill_value=0.0).over("contract_id"))
    rows = rows.with_columns(
        offset=pl.when("keeps_prepayment").then(pl.col("offset") * 0.3).otherwise("offset").round(2)
    )
    ratio = pl.min_horizontal(pl.col("progress_pay_ratio") + pl.col("ahead"), pl.lit(1.25))
    ratio = ratio - pl.when("labour_apart").then("labour_cost_ratio").otherwise(0.0)
    gross = pl.col("amount") * pl.col("step") * ratio
    progress = rows.select(
        "contract_id",
        payment_type=pl.lit("progress"),
        measurement_period="period",
        due_on="closed_on",
        value=(gross - pl.col("offset")).clip(0.0).round(2),
        prepay_offset_amount=pl.min_horizontal("offset", gross).round(2),
    )
    return [labour, progress]


def _ahead(course: pl.DataFrame, rng: np.random.Generator) -> Numbers:
    """Return by how much the agreed ratio is exceeded: openly for the clumsy, hidden in the reports by the careful."""
    pays = (course["scheme"] == "pay_ahead").fill_null(value=False).to_numpy()
    return np.where(pays, 0.35 * course["shows"].to_numpy() * rng.uniform(0.5, 1.0, len(course)), 0.0)


def _on_delivery(course: pl.DataFrame) -> pl.DataFrame:
    """Return the payments of contracts without a site: the agreed part, in two halves, as the work is done."""
    rest = pl.col("amount") * pl.col("progress_pay_ratio") - _prepayment()
    span = (pl.col("finish_date") - pl.col("start_date")).dt.total_days()
    halves = course.filter(~pl.col("site")).with_columns(half=pl.lit([0.5, 1.0])).explode("half")
    return halves.select(
        "contract_id",
        payment_type=pl.when(pl.col("project_type") == "emergency")
        .then(pl.lit("emergency"))
        .otherwise(pl.lit("progress")),
        measurement_period=pl.lit(None, pl.String),
        due_on=pl.col("start_date") + pl.duration(days=(span * pl.col("half")).cast(pl.Int64)),
        value=(rest * 0.5).clip(0.0).round(2),
        prepay_offset_amount=(_prepayment() * 0.5).round(2),
    )


def _at_settlement(course: pl.DataFrame, settled: pl.DataFrame) -> pl.DataFrame:
    """Return final payments up to the retention, and its release after the defect liability period."""
    reviewed = settled.filter(pl.col("reviewed_amount").is_not_null()).join(
        course, on="contract_id", maintain_order="left"
    )
    rest = pl.col("reviewed_amount") * (1 - pl.col("retention_ratio")) - pl.col("amount") * pl.col("progress_pay_ratio")
    final = reviewed.select(
        "contract_id",
        payment_type=pl.lit("settlement"),
        measurement_period=pl.lit(None, pl.String),
        due_on=pl.col("reviewed_at").dt.date() + pl.duration(days=10),
        value=rest.clip(0.0).round(2),
        prepay_offset_amount=pl.lit(0.0),
    )
    release = reviewed.select(
        "contract_id",
        payment_type=pl.lit("retention_release"),
        measurement_period=pl.lit(None, pl.String),
        due_on=pl.col("finish_date").dt.offset_by(pl.col("defect_liability_months").cast(pl.String) + "mo"),
        value=(pl.col("reviewed_amount") * pl.col("retention_ratio")).round(2),
        prepay_offset_amount=pl.lit(0.0),
    )
    return pl.concat([final, release]).select(pl.col(name).cast(kind) for name, kind in _PLAN.items())


def _split(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Cut the payments of a clumsy favour into pieces just below the approval limit, within a few days."""
    n = len(rows)
    favoured = (rows["scheme"] == "payment_kickback").fill_null(value=False).to_numpy()
    value = rows["value"].to_numpy()
    fits = (value > APPROVAL_LIMIT) & (value < 12 * APPROVAL_LIMIT)
    split = favoured & fits & (rng.random(n) < 0.2 + 0.7 * rows["shows"].to_numpy())
    pieces = np.where(split, np.ceil(value / (APPROVAL_LIMIT * 0.93)), 1).astype(int)
    rows = rows.with_columns(piece=pl.int_ranges(0, pl.Series(pieces)), pieces=pl.Series(pieces)).explode("piece")
    jitter = pl.Series(rng.uniform(0.97, 1.03, len(rows)))
    return rows.with_columns(
        value=pl.when(pl.col("pieces") > 1)
        .then(pl.col("value") / pl.col("pieces") * jitter)
        .otherwise("value")
        .round(2),
        prepay_offset_amount=pl.when(pl.col("piece") == 0).then("prepay_offset_amount").otherwise(0.0),
        due_on=pl.col("due_on") + pl.duration(days=pl.col("piece") // 3),
    )


def _doubled(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return payments made a second time some days after the first."""
    again = rows.filter("copied")
    days = pl.lit(pl.Series(rng.integers(4, 28, len(again))))
    return again.with_columns(
        payment_id=pl.col("payment_id") + "C",
        **{name: pl.col(name) + pl.duration(days=days) for name in ("applied_at", "approved_at", "paid_at")},
        prepay_offset_amount=pl.lit(0.0),
    )


def _payees(rows: pl.DataFrame, units: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return who receives each payment: the contractor, or under a lent licence now and then who really builds."""
    n = len(rows)
    hidden, shows = rows["hidden"].to_numpy(), rows["shows"].to_numpy()
    winner, builder = (rows[c].to_numpy().astype(np.int64) for c in ("winner_org_no", "real_builder_org_no"))
    chance = rng.random(n)
    other = hidden & (chance < 0.45 * shows)
    person = hidden & ~other & (chance > 1 - 0.08 * shows)
    payee = np.where(other, builder, winner)
    account = units["account"].gather(
        np.where(other | person | (hidden & (rng.random(n) < 0.3 * shows)), builder, winner)
    )
    boss = units["legal_rep_person_no"].gather(builder).fill_null(NOBODY).to_numpy().astype(np.int64)
    return pl.DataFrame(
        {
            "org": someone(np.where(person, NOBODY, payee)),
            "person": someone(np.where(person, boss, NOBODY)),
            "account": account,
        }
    )


def wage_accounts(course: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return rows of wage_account with ``updated_at``: opened with the works, closed some months after them."""
    sites = course.filter("site")
    n = len(sites)
    start = sites["start_date"].to_numpy().astype("datetime64[D]")
    finish = sites["finish_date"].to_numpy().astype("datetime64[D]")
    late = rng.random(n) < 0.06
    form = rng.choice(["guarantee", "deposit", "exempt"], n, p=[0.6, 0.3, 0.1])
    rows = sites.select(
        "project_id",
        "contract_id",
        wage_account_id="ZH" + pl.col("contract_id"),
        org_no="winner_org_no",
        opened_at=pl.Series(np.where(late, days_after(start, 10, 60, rng), days_after(start, -15, 3, rng))).cast(
            pl.Date
        ),
        closed_at=pl.Series(days_after(finish, 60, 150, rng)).cast(pl.Date),
        bond_amount=pl.Series(np.where(form == "exempt", np.nan, money(sites["amount"].to_numpy() * 0.02))).fill_nan(
            None
        ),
        bond_form=pl.Series(form.astype(str)),
        bond_at=pl.when(pl.Series(form != "exempt")).then(pl.Series(days_after(start, -10, 20, rng)).cast(pl.Date)),
        realname_system_on=pl.Series(rng.random(n) < 0.95),
    )
    rows = known(rows, "opened_at", {"closed_at": [], "bond_at": ["bond_amount"]})
    first = stamped(rows.with_columns(closed_at=pl.lit(None, pl.Date)), rng, after=["opened_at", "bond_at"])
    over = rows.filter(pl.col("closed_at").is_not_null())
    return pl.concat([first, restamped(over, rng, after=["opened_at", "bond_at", "closed_at"], hours=(61, 90))])


def wage_payments(monthly: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return rows of wage_payment with ``updated_at``; diverted wages reach fewer workers, late or not at all."""
    n = len(monthly)
    diverted = (monthly["scheme"] == "wage_diversion").fill_null(value=False).to_numpy()
    shows = monthly["shows"].to_numpy()
    closed = monthly["closed_on"].to_numpy().astype("datetime64[D]")
    due = money(
        monthly["amount"].to_numpy() * monthly["true_step"].to_numpy() * monthly["labour_cost_ratio"].to_numpy()
    )
    moved = np.where(rng.random(n) < 0.06, rng.uniform(0.8, 0.98, n), 1.0)
    moved = np.where(diverted, 1 - (0.1 + 0.45 * shows) * rng.uniform(0.5, 1.0, n), moved)
    share = np.where(diverted, 1 - (0.15 + 0.5 * shows) * rng.uniform(0.4, 1.0, n), rng.uniform(0.985, 1.0, n))
    transferred = money(due * moved)
    workers = np.maximum(np.round(due / rng.normal(7000, 400, n).clip(5000, 9000)), 1)
    wage_due = money(transferred * 0.995)
    late = np.where(diverted, rng.uniform(10, 70, n), rng.uniform(5, 25, n)).astype("timedelta64[D]")
    rows = monthly.select(
        "project_id",
        wage_payment_id="GZ" + pl.col("contract_id") + pl.col("period").str.replace("-", ""),
        wage_account_id="ZH" + pl.col("contract_id"),
        month="period",
        labour_fee_due=pl.Series(due),
        labour_fee_transferred=pl.Series(transferred),
        transferred_at=pl.Series(office_hours(closed + late, rng)),
        workers_due=pl.Series(workers.astype(np.int64)),
        workers_paid=pl.Series(np.round(workers * np.where(diverted, share, 1.0)).astype(np.int64)),
        wage_due=pl.Series(wage_due),
        wage_paid=pl.Series(money(wage_due * share)),
    ).filter((pl.col("labour_fee_due") > 0) & (pl.col("transferred_at") < CITY_END))
    return stamped(rows, rng, after=["transferred_at"], hours=(1, 40))
