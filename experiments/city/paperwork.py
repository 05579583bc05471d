"""Projects, approvals and budgets as the sources wrote them down.

Lags between approvals follow the order that 政府投资条例 and 招标投标法 prescribe: proposal, feasibility, design with
the estimate, land and planning, approval of the tender scheme, proof of funds, review of the control price, notice.
"""

import numpy as np
import polars as pl

from experiments.city import names
from experiments.city.defaults import LIMIT_GOODS, LIMIT_WORKS
from experiments.city.facts import CITY_END, shaped
from experiments.city.layout import OWNER_KINDS
from experiments.city.tendering import DAY, Tenders

END = np.datetime64(CITY_END, "s")
REGION_CODES = [r[0] for r in names.REGIONS]


def day_column(values: np.ndarray) -> pl.Series:
    """Return times as a column of days."""
    return pl.Series(values.astype("datetime64[D]"))


def word_column(values: np.ndarray) -> pl.Series:
    """Return words as a column; None and the empty word are null."""
    return pl.Series([word or None for word in values.tolist()], dtype=pl.String)


def time_column(values: np.ndarray) -> pl.Series:
    """Return times as a column; what lies behind the end of the city is not known: null."""
    column = pl.Series(values.astype("datetime64[us]"))
    return column.set(column >= CITY_END, None)


def at(series: pl.Series, index: np.ndarray) -> pl.Series:
    """Return the entries of a column at an array of places; nulls where the column is empty."""
    if series.is_empty():
        return pl.Series([None] * len(index), dtype=series.dtype)
    return series.gather(pl.Series(index.astype(np.uint32)))


def entries(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the entries of an array at an array of places; zeros where the array is empty."""
    return values[index] if len(values) else np.zeros(len(index), dtype=values.dtype)


def project_facts(projects: pl.DataFrame, decided: np.ndarray, rng: np.random.Generator) -> pl.DataFrame:
    """Return the projects as planned, and again once their first award is made (``decided``: when, NaT = never)."""
    n = len(projects)
    anchor = projects["anchor"].to_numpy().astype("datetime64[s]")
    urgent = (projects["ptype"] == "emergency").to_numpy()
    planned = projects["planned_at"].to_numpy().astype("datetime64[s]")
    size = projects["estimate"].to_numpy()
    limit = np.where((projects["ptype"] == "tender").to_numpy(), LIMIT_WORKS, LIMIT_GOODS)
    start = anchor + rng.integers(80, 140, n) * DAY
    finish = start + (np.clip(60 + 45 * np.log(size / 1e6 + 1), 30, 900) * rng.uniform(0.8, 1.3, n)).astype(int) * DAY
    kinds = projects["owner_kind"].to_numpy()
    region = names.picked(REGION_CODES, projects["region"].to_numpy())
    dept = region + "-" + names.picked([k[1] for k in OWNER_KINDS], kinds)
    word = names.picked(["新建", "改建", "实施", "采购"], rng.integers(0, 4, n))
    base = projects.select(
        "project_id",
        "project_code",
        "name",
        pl.col("ptype").alias("project_type"),
        "sector",
        region.alias("region_code"),
        pl.when(pl.col("region") == 0).then(pl.lit("city")).otherwise(pl.lit("county")).alias("admin_level"),
        pl.col("owner_no").cast(pl.Int32).alias("owner_org_no"),
        dept.alias("competent_dept_id"),
        names.picked(
            ["budget", "special_bond", "soe", "superior_transfer", "mixed", "loan"],
            rng.choice(6, n, p=[0.4, 0.15, 0.15, 0.15, 0.1, 0.05]),
        ).alias("funding_source"),
        pl.Series(np.round(np.where(rng.random(n) < 0.7, 1.0, rng.uniform(0.5, 1, n)), 2)).alias("gov_fund_ratio"),
        pl.Series((size >= limit) & ~urgent).alias("mandatory_tender"),
        pl.Series(np.round(size * rng.uniform(0.95, 1.15, n), -3)).alias("estimate_amount"),
        pl.Series(np.round(size * 1.12, -3)).alias("budget_estimate_amount"),
        (word + pl.col("name") + "，含配套附属设施").alias("content_summary"),
        "longitude",
        "latitude",
        pl.Series(rng.choice([200, 300, 500], n)).alias("geofence_radius_m"),
        day_column(start).alias("planned_start_date"),
        day_column(finish).alias("planned_finish_date"),
        pl.lit("approved").alias("status"),
        time_column(planned + 9 * DAY // 24).alias("online_at"),
        pl.lit("none").alias("secrecy_level"),
        pl.Series((planned + DAY).astype("datetime64[us]")).alias("updated_at"),
    )
    known = ~np.isnat(decided) & (decided < END)
    later = base.filter(pl.Series(known)).with_columns(
        pl.lit("contracted").alias("status"),
        pl.Series(decided[known].astype("datetime64[us]")).alias("updated_at"),
    )
    both = pl.concat([base.filter(pl.col("updated_at") < CITY_END), later])
    return shaped("project", both)


APPROVALS: tuple[tuple[str, str, float, float, tuple[str, ...]], ...] = (
    ("proposal", "ndrc", 150, 0.95, ("tender",)),
    ("land_preview", "natural_resources", 130, 0.6, ("tender",)),
    ("feasibility", "ndrc", 115, 0.98, ("tender",)),
    ("environmental", "ecology", 95, 0.7, ("tender",)),
    ("planning_permit", "natural_resources", 75, 0.8, ("tender",)),
    ("preliminary_design", "ndrc", 55, 0.96, ("tender",)),
    ("tender_scheme", "ndrc", 40, 0.99, ("tender",)),
    ("fund_proof", "finance", 30, 0.97, ("tender", "procurement")),
    ("control_price_review", "finance", 12, 0.96, ("tender",)),
    ("fair_competition_review", "market_reg", 8, 0.9, ("tender", "procurement")),
)


def approval_facts(projects: pl.DataFrame, t: Tenders, rng: np.random.Generator) -> pl.DataFrame:
    """Return the approvals before the notice; how the work may be tendered stands in ``tender_scheme``."""
    n = len(projects)
    ptype = projects["ptype"].to_numpy()
    anchor = projects["anchor"].to_numpy().astype("datetime64[s]")
    region = names.picked(REGION_CODES, projects["region"].to_numpy())
    first = np.full(n, -1)
    first[t.row[t.tno == 1]] = np.flatnonzero(t.tno == 1)
    method = np.where(first >= 0, entries(t.method, first), "public_tender")
    form = np.where((first >= 0) & (entries(t.agency, first) < 0), "self", "agency")
    parts = []
    for order, (kind, dept, before, chance, types) in enumerate(APPROVALS):
        late = rng.random(n) < 0.03
        at = anchor - np.where(late, -10, before * rng.uniform(0.85, 1.15, n)).astype(int) * DAY
        asked = at - rng.integers(3, 25, n) * DAY
        mask = np.isin(ptype, types) & (rng.random(n) < chance)
        scheme = kind == "tender_scheme"
        known = pl.Series(np.isin(method, ["public_tender", "invited_tender"]))
        parts.append(
            pl.DataFrame(
                {
                    "approval_id": "SP" + projects["project_id"].str.slice(2) + f"-{order:02d}",
                    "project_id": projects["project_id"],
                    "approval_type": np.full(n, kind),
                    "doc_no": pl.Series([dept] * n, dtype=pl.String)
                    + "〔"
                    + pl.Series(at.astype("datetime64[Y]").astype(str))
                    + "〕"
                    + projects["project_id"].str.slice(5)
                    + "号",
                    "authority_dept_id": region + f"-{dept}",
                    "applied_at": asked.astype("datetime64[us]"),
                    "approved_at": at.astype("datetime64[us]"),
                    "approved_amount": pl.Series(np.round(projects["estimate"].to_numpy() * 1.12, -3))
                    if kind in ("feasibility", "preliminary_design", "control_price_review")
                    else pl.Series([None] * n, dtype=pl.Float64),
                    "approved_method": pl.Series(method).set(~known, None)
                    if scheme
                    else pl.Series([None] * n, dtype=pl.String),
                    "approved_org_form": pl.Series(form if scheme else [None] * n, dtype=pl.String),
                    "status": np.full(n, "approved"),
                }
            ).filter(pl.Series(mask))
        )
    parts.append(_other_ways(projects, t, region, rng).select(parts[0].columns))
    frame = pl.concat(parts).with_columns((pl.col("approved_at") + pl.duration(hours=20)).alias("updated_at"))
    return shaped("approval", frame.filter(pl.col("updated_at") < CITY_END).sort("approval_id"))


def _other_ways(projects: pl.DataFrame, t: Tenders, region: pl.Series, rng: np.random.Generator) -> pl.DataFrame:
    """Return the consents to buy otherwise than by open tender; a clumsy capture goes without."""
    row = t.row
    kind, skill = projects["kind"].to_numpy()[row], projects["skill"].to_numpy()[row]
    bare = np.isin(kind, ["captive_invitation", "single_source_stretch"]) & (skill == "clumsy")
    open_way = (t.method == "public_tender") | (~t.works & (t.method != "single_source") & (t.control < 4e6))
    rows = np.flatnonzero(~open_way & ~bare & (rng.random(len(t)) < 0.97))
    at = t.time["notice"][rows] - rng.integers(6, 30, len(rows)) * DAY
    number = projects["project_id"].gather(pl.Series(row[rows].astype(np.uint32)))
    dept = pl.Series(np.where(t.works[rows], "ndrc", "finance"))
    year = pl.Series(at.astype("datetime64[Y]").astype(str))
    return pl.DataFrame(
        {
            "approval_id": "SP" + number.str.slice(2) + "-M" + pl.Series(t.tno[rows]).cast(pl.String),
            "project_id": number,
            "approval_type": np.where(t.works[rows], "no_tender_approval", "method_change"),
            "doc_no": dept + "〔" + year + "〕" + number.str.slice(5) + "-1号",
            "authority_dept_id": region.gather(pl.Series(row[rows].astype(np.uint32))) + "-" + dept,
            "applied_at": (at - 6 * DAY).astype("datetime64[us]"),
            "approved_at": at.astype("datetime64[us]"),
            "approved_amount": np.round(t.estimate[rows], 2),
            "approved_method": t.method[rows],
            "approved_org_form": np.where(t.agency[rows] < 0, "self", "agency"),
            "status": np.full(len(rows), "approved"),
        }
    )


def budget_facts(projects: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return the yearly allocations: all in the year of the notice, or split with the next."""
    n = len(projects)
    anchor = projects["anchor"].to_numpy().astype("datetime64[s]")
    year = anchor.astype("datetime64[Y]").astype(int) + 1970
    size = projects["estimate"].to_numpy() * 1.05
    two = size > 8e6
    share = np.where(two, rng.uniform(0.4, 0.7, n), 1.0)
    fund = np.array(["general_budget", "gov_fund", "special_bond", "superior_transfer", "soe_capital"])
    kind = fund[rng.choice(5, n, p=[0.45, 0.2, 0.15, 0.15, 0.05])]
    parts = []
    for order in (0, 1):
        part = share if order == 0 else 1 - share
        february = (year + 1 - 1970).astype("datetime64[Y]").astype("datetime64[s]") + 40 * DAY
        issued = february if order else anchor - rng.integers(20, 60, n) * DAY
        parts.append(
            pl.DataFrame(
                {
                    "allocation_id": "ZB" + projects["project_id"].str.slice(2) + f"-{order}",
                    "project_id": projects["project_id"],
                    "fiscal_year": (issued.astype("datetime64[Y]").astype(int) + 1970),
                    "plan_amount": np.round(size * part, -3),
                    "budget_amount": np.round(size * part * np.where(rng.random(n) < 0.9, 1, 0.9), -3),
                    "fund_type": kind,
                    "doc_no": pl.Series(["南财建〔"] * n, dtype=pl.String)
                    + pl.Series(year).cast(pl.String)
                    + "〕"
                    + projects["project_id"].str.slice(6)
                    + "号",
                    "issued_at": issued.astype("datetime64[us]"),
                    "updated_at": (issued + DAY // 2).astype("datetime64[us]"),
                }
            ).filter(pl.Series(two if order else np.ones(n, bool)))
        )
    return shaped("budget_allocation", pl.concat(parts).filter(pl.col("updated_at") < CITY_END))
