"""The end of a contract: acceptance, settlement, review, audit; and the market prices published meanwhile."""

import numpy as np
import polars as pl

from experiments.city.facts import CITY_END, CITY_START
from experiments.city.people import department_of
from experiments.city.records import days_after, known, money, office_hours, stamped

MATERIALS = {
    "0101": 3850.0,
    "0102": 4020.0,
    "0401": 460.0,
    "0402": 118.0,
    "0403": 96.0,
    "0405": 395.0,
    "0413": 560.0,
    "1303": 5200.0,
    "1401": 4700.0,
    "1725": 310.0,
    "2803": 62.0,
    "8001": 168.0,
}
"""Materials of the published price information: code and price of the first month, in CNY."""


def acceptances(course: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return rows of acceptance with ``updated_at`` and ``source_code``: hidden works, sections, completion, goods."""
    sites = course.filter("site")
    bought = course.filter(~pl.col("site"))
    parts = [
        _accepted(sites.filter(pl.Series(rng.random(len(sites)) < 0.8)), "hidden_works", 0.4, rng),
        _accepted(sites.filter(pl.col("amount") > 5e6), "section", 0.7, rng),
        _accepted(sites, "completion", 1.0, rng),
        _accepted(bought.filter(pl.col("project_type") == "procurement"), "procurement", 1.0, rng),
    ]
    rows = known(pl.concat(parts), "accepted_at", {"in_use_at": [], "filed_at": [], "archive_transferred_at": []})
    return stamped(rows, rng, after=["accepted_at", "in_use_at", "filed_at", "archive_transferred_at"])


def _accepted(course: pl.DataFrame, kind: str, at: float, rng: np.random.Generator) -> pl.DataFrame:
    n = len(course)
    start = course["start_date"].to_numpy().astype("datetime64[D]")
    span = (course["finish_date"].to_numpy().astype("datetime64[D]") - start).astype(float)
    day = days_after(start + (span * at).astype("timedelta64[D]"), 3, 50 if at == 1.0 else 10, rng)
    final = kind == "completion"
    before = rng.random(n) < 0.04
    used = np.where(before, days_after(day, -20, -2, rng), days_after(day, 5, 60, rng))
    filed = np.where(rng.random(n) < 0.12, days_after(day, 16, 80, rng), days_after(day, 3, 15, rng))
    source = pl.lit("S06") if kind == "procurement" else pl.col("sector_source")
    nothing = pl.lit(None, pl.Datetime("us"))
    return course.select(
        "project_id",
        "contract_id",
        acceptance_id=pl.lit(f"YS{kind[:2].upper()}") + pl.col("contract_id"),
        accept_type=pl.lit(kind),
        accepted_at=pl.Series(office_hours(day, rng)),
        result=pl.Series(rng.choice(["pass", "conditional", "fail"], n, p=[0.93, 0.06, 0.01]).astype(str)),
        in_use_at=pl.Series(office_hours(used, rng)) if final else nothing,
        filed_at=pl.Series(office_hours(filed, rng)) if final else nothing,
        archive_transferred_at=pl.Series(office_hours(days_after(day, 20, 120, rng), rng)) if final else nothing,
        source_code=source,
    )


def settlements(
    course: pl.DataFrame, changes: pl.DataFrame, reviewers: pl.Series, rng: np.random.Generator
) -> pl.DataFrame:
    """Return rows of settlement_audit with ``updated_at``.

    A contractor asks for a little more than is due and the reviewer cuts it; a colluding reviewer lets an inflated
    account pass nearly uncut, which an audit may find.

    Args:
        course: of :func:`experiments.city.works.sign`.
        changes: contract_change of the block.
        reviewers: org_no of the cost consultants.
        rng: source of chance.
    """
    grown = changes.filter(pl.col("status").is_in(["approved", "executed"])).group_by(
        "contract_id", maintain_order=True
    )
    grown = grown.agg(delta=pl.col("amount_delta").sum())
    rows = course.filter(pl.col("site") | (pl.col("amount") > 1e6))
    rows = rows.join(grown, on="contract_id", how="left", maintain_order="left")
    n = len(rows)
    scheme = rows["scheme"].fill_null("").to_numpy().astype(str)
    colludes = scheme == "settlement_collusion"
    due = rows["amount"].to_numpy() * rng.normal(1.0, 0.012, n) + rows["delta"].fill_null(0.0).to_numpy()
    asked = due * np.where(
        colludes, 1.08 + 0.25 * rows["intensity"].fill_null(0.0).to_numpy(), rng.uniform(1.01, 1.12, n)
    )
    cut = np.where(colludes, rng.uniform(0.0, 0.02, n), np.nan)
    reviewed = np.where(colludes, asked * (1 - cut), due * rng.normal(1.0, 0.008, n))
    audited = rng.random(n) < 0.3
    audit = np.where(
        colludes & (rng.random(n) < 0.6), due * rng.normal(1.01, 0.01, n), reviewed * rng.uniform(0.985, 1.0, n)
    )
    finish = rows["finish_date"].to_numpy().astype("datetime64[D]")
    submitted = days_after(finish, 30, 150, rng)
    review = days_after(submitted, 20, 110, rng)
    audited_on = days_after(review, 30, 160, rng)
    account = days_after(review, 15, 120, rng)
    firm = (
        reviewers.gather(rng.integers(0, len(reviewers), n))
        if len(reviewers)
        else pl.Series([None] * n, dtype=pl.Int32)
    )
    rows = rows.select(
        "project_id",
        "contract_id",
        settlement_id="JS" + pl.col("contract_id"),
        submitted_amount=pl.Series(money(asked)),
        submitted_at=pl.Series(office_hours(submitted, rng)),
        reviewer_org_no=firm.cast(pl.Int32),
        reviewed_amount=pl.Series(money(reviewed)),
        reviewed_at=pl.Series(office_hours(review, rng)),
        audit_amount=pl.when(pl.Series(audited)).then(pl.Series(money(audit))),
        audited_at=pl.when(pl.Series(audited)).then(pl.Series(office_hours(audited_on, rng))),
        final_account_at=pl.Series(office_hours(account, rng)),
        final_account_approved_at=pl.Series(office_hours(days_after(account, 20, 90, rng), rng)),
        surplus_returned_amount=pl.Series(money(rng.uniform(0, 0.01, n) * due)),
    )
    later = {
        "reviewed_at": ["reviewed_amount"],
        "audited_at": ["audit_amount"],
        "final_account_at": [],
        "final_account_approved_at": ["surplus_returned_amount"],
    }
    rows = known(rows, "submitted_at", later)
    moments = ["submitted_at", "reviewed_at", "audited_at", "final_account_at", "final_account_approved_at"]
    return stamped(rows, rng, after=moments)


def breaches(course: pl.DataFrame, departments: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return rows of sanction with ``updated_at`` and ``source_code``: suppliers debarred for late or poor delivery."""
    bought = course.filter((pl.col("project_type") == "procurement") & ~pl.col("site"))
    bought = bought.filter(pl.Series(rng.random(len(bought)) < 0.03))
    day = days_after(bought["finish_date"].to_numpy().astype("datetime64[D]"), 20, 120, rng)
    rows = bought.select(
        sanction_id="CG" + pl.col("contract_id"),
        org_no="winner_org_no",
        sanction_type=pl.lit("debarment"),
        reason_code=pl.lit("other"),
        authority_dept_id=department_of(bought, pl.lit("finance"), departments),
        doc_no="南财采罚〔" + pl.Series(day).dt.year().cast(pl.String) + "〕" + pl.col("plan_id"),
        decided_at=pl.Series(day).cast(pl.Date),
        valid_from=pl.Series(day).cast(pl.Date),
        valid_to=pl.Series(day + np.timedelta64(365, "D")).cast(pl.Date),
        source_code=pl.lit("S06"),
    )
    return stamped(known(rows, "decided_at"), rng, after=["decided_at"], hours=(10, 200))


def market_prices(regions: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return rows of market_price of all months, with ``updated_at`` and ``source_code``."""
    months = pl.date_range(CITY_START.date(), CITY_END.date(), "1mo", closed="left", eager=True)
    codes = pl.DataFrame({"item_code": list(MATERIALS), "base": list(MATERIALS.values())})
    walk = np.exp(np.cumsum(rng.normal(0.0, 0.018, (len(codes), len(months))), axis=1))
    places = regions.filter(pl.col("level") != "township").select("region_code")
    grid = codes.with_row_index("i").join(pl.DataFrame({"month_start": months}).with_row_index("j"), how="cross")
    grid = grid.with_columns(level=pl.Series(walk[grid["i"].to_numpy(), grid["j"].to_numpy()]))
    rows = grid.join(places, how="cross").sort("month_start", "region_code", "item_code")
    month = pl.col("month_start").dt.strftime("%Y-%m")
    rows = rows.select(
        "item_code",
        "region_code",
        price_id="XJ" + pl.col("region_code") + pl.col("item_code") + month.str.replace("-", ""),
        month=month,
        unit_price=(pl.col("base") * pl.col("level") * pl.Series(rng.normal(1.0, 0.01, len(rows)))).round(2),
        source_code=pl.when(pl.col("item_code").str.starts_with("04")).then(pl.lit("S09")).otherwise(pl.lit("S03")),
        published=pl.col("month_start").dt.month_end(),
    )
    return stamped(rows, rng, after=["published"], hours=(20, 120)).drop("published")
