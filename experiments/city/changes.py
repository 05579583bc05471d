"""Changes of contracts, and subcontracts.

Most works change a little: ground, drawings, wishes of the owner. A winner who bid below cost lives from changes; one
who is clumsy has few, large ones, executed before anybody approved them, a careful one has many small ones in order.
"""

import numpy as np
import polars as pl

from experiments.city.records import days_after, known, money, office_hours, sequence, stamped

_HONEST = ("design_error", "geology", "owner_request", "policy", "price_rise", "boq_omission", "force_majeure", "other")
_HONEST_SHARE = (0.2, 0.2, 0.2, 0.05, 0.08, 0.17, 0.06, 0.04)
_EXCUSES = ("boq_omission", "design_error", "owner_request", "geology")
_MAIN_PARTS = {
    "highway": "路基路面主体工程",
    "water": "堤防及主体水工建筑物",
    "housing": "主体结构工程",
}
_PARTS = ("土石方工程", "防水工程", "绿化工程", "消防工程", "安装工程", "装饰装修工程", "交通安全设施")


def contract_changes(course: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return rows of contract_change, with ``updated_at``."""
    planned = _planned(course, rng)
    rows = course.select(
        "contract_id",
        "amount",
        "start_date",
        "finish_date",
        "scheme",
        "shows",
        "look_alike",
        count=planned["count"],
        growth=planned["growth"],
        number=pl.int_ranges(0, planned["count"]),
    )
    rows = rows.explode("number").drop_nulls("number")
    n = len(rows)
    scheme = rows["scheme"].fill_null("").to_numpy().astype(str)
    look = rows["look_alike"].fill_null("").to_numpy().astype(str)
    shows = rows["shows"].to_numpy()
    recovering = np.isin(scheme, ["low_award_high_final", "direct_then_grow", "emergency_abuse"])
    reason = rng.choice(_HONEST, n, p=_HONEST_SHARE)
    reason = np.where(recovering, rng.choice(_EXCUSES, n, p=[0.4, 0.25, 0.2, 0.15]), reason)
    reason = np.where(look == "geology_changes", "geology", reason)
    reason = np.where(look == "price_rise", "price_rise", reason)
    kind = rng.choice(
        ["design_change", "site_instruction", "supplement", "duration_extension"], n, p=[0.5, 0.3, 0.1, 0.1]
    )
    kind = np.where(reason == "price_rise", "price_adjustment", kind)
    kind = np.where(~recovering & (rng.random(n) < 0.04), "scope_cut", kind)
    part = rng.dirichlet([4.0, 4.0], n)[:, 0] * 2 if n else np.empty(0)
    delta = rows["amount"].to_numpy() * rows["growth"].to_numpy() / rows["count"].to_numpy() * part
    delta = np.where(kind == "scope_cut", -np.abs(delta), np.where(kind == "duration_extension", 0.0, delta))
    start = rows["start_date"].to_numpy().astype("datetime64[D]")
    span = (rows["finish_date"].to_numpy().astype("datetime64[D]") - start).astype(float)
    proposed = start + (span * rng.uniform(0.08, 0.92, n)).astype("timedelta64[D]")
    approved = days_after(proposed, 4, 45, rng)
    hasty = rng.random(n) < np.where(recovering, 0.05 + 0.6 * shows, 0.05)
    executed = np.where(hasty, days_after(proposed, 0, 4, rng), days_after(approved, 1, 20, rng))
    share = np.abs(delta) / rows["amount"].to_numpy()
    level = np.where(share > 0.1, "original_authority", np.where(share > 0.05, "dept", "owner"))
    skipped = rng.random(n) < np.where(recovering, 0.1 + 0.5 * shows, 0.04)
    rows = rows.with_columns(
        change_id=sequence(rows, "BG", "contract_id", 2),
        change_type=pl.Series(kind.astype(str)),
        reason_code=pl.Series(reason.astype(str)),
        amount_delta=pl.Series(money(delta)),
        duration_delta_days=pl.Series(np.where(rng.random(n) < 0.3, rng.integers(3, 60, n), 0)),
        is_new_item=pl.Series(rng.random(n) < np.where(recovering, 0.5, 0.25)),
        proposed_at=pl.Series(office_hours(proposed, rng)),
        approved_at=pl.Series(office_hours(approved, rng)),
        executed_at=pl.Series(office_hours(executed, rng)),
        approval_level=pl.Series(np.where(skipped, "owner", level).astype(str)),
        refused=pl.Series(~hasty & ~recovering & (rng.random(n) < 0.04)),
    ).with_columns(executed_at=pl.when(~pl.col("refused")).then("executed_at"))
    rows = known(rows, "proposed_at", {"approved_at": ["approval_level"], "executed_at": []})
    status = (
        pl.when(pl.col("executed_at").is_not_null())
        .then(pl.lit("executed"))
        .when(pl.col("approved_at").is_null())
        .then(pl.lit("proposed"))
        .otherwise(pl.when("refused").then(pl.lit("rejected")).otherwise(pl.lit("approved")))
    )
    rows = rows.with_columns(status=status)
    return stamped(rows, rng, after=["proposed_at", "approved_at", "executed_at"]).drop(
        "amount", "start_date", "finish_date", "scheme", "shows", "look_alike", "count", "growth", "number", "refused"
    )


def _planned(course: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return how often each contract changes and by what share of its amount in all."""
    n = len(course)
    scheme = course["scheme"].fill_null("").to_numpy().astype(str)
    look = course["look_alike"].fill_null("").to_numpy().astype(str)
    intensity = course["intensity"].fill_null(0.0).to_numpy()
    shows = course["shows"].to_numpy()
    gap = np.clip(1.06 * course["true_cost"].to_numpy() / course["amount"].to_numpy() - 1, 0.0, 0.6)
    count = rng.poisson(np.where(course["site"].to_numpy(), 1.1, 0.15))
    growth = rng.normal(0.015, 0.02, n) * count
    recovering = np.isin(scheme, ["low_award_high_final", "emergency_abuse"])
    many = np.round(2 + 8 * (1 - shows) * rng.uniform(0.6, 1.0, n)).astype(int)
    count = np.where(recovering, many, count)
    growth = np.where(recovering, np.maximum(gap, 0.08) + (0.05 + 0.25 * intensity) * rng.uniform(0.6, 1.1, n), growth)
    more = np.isin(look, ["geology_changes", "price_rise"])
    count = np.where(more, rng.integers(2, 5, n), count)
    growth = np.where(look == "geology_changes", rng.uniform(0.1, 0.28, n), growth)
    growth = np.where(look == "price_rise", rng.uniform(0.05, 0.13, n), growth)
    direct = scheme == "direct_then_grow"
    count = np.where(direct, np.maximum(count, 1), count)
    growth = np.where(direct, 0.1 + 0.3 * intensity, growth)
    return pl.DataFrame({"count": count, "growth": growth})


def subcontracts(course: pl.DataFrame, labour_firms: pl.Series, rng: np.random.Generator) -> pl.DataFrame:
    """Return rows of subcontract with ``updated_at`` and ``source_code``.

    Labour and specialist subcontracts are ordinary. Who transfers the works writes it into a "labour" subcontract of
    the real builder, or into nothing at all; the clumsy put the main structure on paper.

    Args:
        course: of :func:`experiments.city.works.sign`.
        labour_firms: org_no of the firms that hire out crews; empty: there are no labour subcontracts.
        rng: source of chance.
    """
    site = course.filter("site")
    n = len(site)
    heavy = (site["look_alike"] == "labour_heavy").fill_null(value=False).to_numpy()
    parts: list[pl.DataFrame] = []
    if len(labour_firms):
        labour = site.filter(pl.Series(heavy | (rng.random(n) < 0.5)))
        heavy_labour = (labour["look_alike"] == "labour_heavy").fill_null(value=False).to_numpy()
        m = len(labour)
        share = np.where(heavy_labour, rng.uniform(0.28, 0.4, m), rng.uniform(0.1, 0.24, m))
        firm = labour_firms.gather(rng.integers(0, len(labour_firms), m))
        parts.append(_subcontract(labour, firm, share, rng, is_labour=True, scope="劳务作业"))
        special = site.filter(pl.Series(rng.random(n) < 0.28))
        m = len(special)
        firm = labour_firms.gather(rng.integers(0, len(labour_firms), m))
        scope = pl.Series(rng.choice(_PARTS, m).astype(str))
        parts.append(_subcontract(special, firm, rng.uniform(0.04, 0.2, m), rng, is_labour=False, scope=scope))
    passed = site.filter(
        pl.col("scheme").is_in(["licence_lending", "works_transfer", "illegal_subcontract"]).fill_null(value=False)
        & (pl.col("real_builder_org_no") != pl.col("winner_org_no"))
    )
    m = len(passed)
    illegal = (passed["scheme"] == "illegal_subcontract").to_numpy()
    written = illegal | (rng.random(m) < 0.55)
    passed, illegal = passed.filter(pl.Series(written)), illegal[written]
    m = len(passed)
    open_main = rng.random(m) < np.where(illegal, 0.25, 0.1) + 0.5 * passed["shows"].to_numpy()
    share = np.where(illegal, rng.uniform(0.45, 0.75, m), rng.uniform(0.3, 0.95, m))
    main = passed["sector"].replace_strict(_MAIN_PARTS, default="主体工程施工")
    scope = pl.select(pl.when(pl.Series(open_main)).then(main).otherwise(pl.lit("劳务及辅助作业"))).to_series()
    paper = _subcontract(passed, passed["real_builder_org_no"], share, rng, is_labour=False, scope=scope)
    order = paper.with_columns(is_main_structure=pl.Series(open_main), is_labour=pl.Series(~open_main))
    parts.append(
        order.with_columns(owner_consented=pl.when("is_main_structure").then(False).otherwise("owner_consented"))
    )
    if len(labour_firms):
        evaded = site.filter((pl.col("scheme") == "provisional_evasion").fill_null(value=False))
        firm = labour_firms.gather(rng.integers(0, len(labour_firms), len(evaded)))
        share = (evaded["provisional_amount"] / evaded["amount"]).to_numpy() * rng.uniform(0.9, 1.15, len(evaded))
        parts.append(_subcontract(evaded, firm, share, rng, is_labour=False, scope="暂估价专业工程"))
    rows = pl.concat(parts)
    rows = rows.with_columns(subcontract_id=sequence(rows, "FB", "contract_id", 2))
    rows = known(rows, "signed_at")
    return stamped(rows, rng, after=["signed_at"], hours=(24, 24 * 20))


def _subcontract(
    course: pl.DataFrame,
    firm: pl.Series,
    share: np.ndarray[tuple[int], np.dtype[np.float64]],
    rng: np.random.Generator,
    *,
    is_labour: bool,
    scope: str | pl.Series,
) -> pl.DataFrame:
    n = len(course)
    start = course["start_date"].to_numpy().astype("datetime64[D]")
    return course.select(
        "contract_id",
        sub_org_no=firm.cast(pl.Int32),
        scope_text=pl.lit(scope) if isinstance(scope, str) else scope,
        amount=pl.Series(money(course["amount"].to_numpy() * share)),
        is_labour=pl.lit(is_labour),
        is_main_structure=pl.lit(value=False),
        owner_consented=pl.Series(rng.random(n) < 0.93),
        tier=pl.Series(np.where(rng.random(n) < 0.02, 2, 1)),
        signed_at=pl.Series(office_hours(days_after(start, -10, 60, rng), rng)),
        source_code="sector_source",
    )
