"""The people of the city: who works where, who sits in the pool of experts."""

import numpy as np
import polars as pl

from experiments.city import names
from experiments.city.layout import TRADES, Layout

ROLES: dict[str, tuple[str, ...]] = {
    "contractor": ("legal_rep", "agent", "contact", "pm", "tech_lead", "quality_lead", "safety_lead", "labour_manager"),
    "supplier": ("legal_rep", "agent", "contact"),
    "designer": ("legal_rep", "agent", "pm", "tech_lead"),
    "surveyor": ("legal_rep", "agent", "pm", "tech_lead"),
    "supervisor": ("legal_rep", "agent", "pm", "supervisor", "supervisor"),
    "agency": ("legal_rep", "contact"),
    "owner": ("legal_rep", "owner_staff", "owner_staff", "owner_staff"),
}
OTHER_ROLES = ("legal_rep", "contact")


def persons_of(organisations: pl.DataFrame, first: int) -> pl.DataFrame:
    """Return the people of organisations, together, numbered from ``first``; larger contractors have more managers."""
    base = int(organisations["org_no"][0])
    size = organisations["capacity"].to_numpy()
    types = [organisations["org_type"].to_numpy() == kind for kind in ROLES]
    others = ~np.any(types, axis=0)
    pieces = []
    for roles, mask in zip([*ROLES.values(), OTHER_ROLES], [*types, others], strict=True):
        orgs = np.flatnonzero(mask)
        for order, role in enumerate(roles):
            more = role in ("pm", "supervisor", "tech_lead")
            many = 1 + np.minimum(5, size[orgs] / (3e7 if role == "pm" else 9e7)).astype(int) if more else 1
            owner = np.repeat(orgs, many)
            pieces.append(
                pl.DataFrame({"home_org_no": (base + owner).astype(np.int32)}).with_columns(
                    pl.lit(role).alias("role"), pl.lit(order).alias("order")
                )
            )
    people = pl.concat(pieces).sort("home_org_no", "order", maintain_order=True).drop("order")
    return people.with_row_index("person_no", offset=first).cast({"person_no": pl.Int32})


def with_people(organisations: pl.DataFrame, persons: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Add to each organisation its legal representative, its contact, and where its project managers stand."""

    def one(role: str, name: str) -> pl.DataFrame:
        found = persons.filter(pl.col("role") == role).group_by("home_org_no", maintain_order=True)
        return found.agg(pl.col("person_no").first().alias(name)).rename({"home_org_no": "org_no"})

    spans = persons.filter(pl.col("role") == "pm").group_by("home_org_no", maintain_order=True)
    pms = spans.agg(pl.col("person_no").first().alias("pm_first"), pl.len().cast(pl.Int32).alias("pm_count"))
    joined = organisations
    for part in (
        one("legal_rep", "legal_rep_person_no"),
        one("contact", "contact_person_no"),
        one("agent", "agent_person_no"),
        one("tech_lead", "tech_lead_person_no"),
        one("owner_staff", "staff_person_no"),
        pms.rename({"home_org_no": "org_no"}),
    ):
        joined = joined.join(part, on="org_no", how="left", maintain_order="left")
    shared = rng.random(len(joined)) < 0.02  # registered at an incubator: a shared telephone, no tie
    desk = names.phones(rng.integers(0, max(2, len(joined) // 400), len(joined)) + 900_000_000)
    return joined.with_columns(
        pl.coalesce("contact_person_no", "agent_person_no", "legal_rep_person_no").alias("contact_person_no"),
        pl.coalesce("agent_person_no", "contact_person_no", "legal_rep_person_no").alias("agent_person_no"),
        pl.when(pl.Series(shared)).then(desk).otherwise("phone").alias("phone"),
    )


def experts_of(plan: Layout, wards: range, first: int, rng: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the pool of some wards, and its experts as persons numbered from ``first``."""
    number = np.arange(wards.start * plan.experts, wards.stop * plan.experts)
    n = len(number)
    ward = number // plan.experts
    weights = np.array([max(t.count, 40) if t.object_type else 0 for t in TRADES], dtype=float)
    trade = rng.choice(len(TRADES), n, p=weights / weights.sum())
    homes = [plan.slice_of(t) for t in ("design", "supervision", "cost", "owner")]
    home = rng.integers(0, len(homes) + 1, n)
    low = np.array([a for a, _ in homes] + [0])[home]
    high = np.array([b for _, b in homes] + [1])[home]
    employer = ward * plan.size + low + (rng.random(n) * (high - low)).astype(int)
    retired = home == len(homes)
    frame = pl.DataFrame(
        {
            "expert_no": number.astype(np.int32),
            "person_no": np.arange(first, first + n).astype(np.int32),
            "specialty": trade.astype(np.int16),
            "employer_org_no": pl.Series(employer.astype(np.int32)).zip_with(
                pl.Series(~retired), pl.Series([None] * n, dtype=pl.Int32)
            ),
            "ward": ward.astype(np.int32),
            "entered_at": np.datetime64("2021-01-01") - rng.integers(0, 2500, n).astype("timedelta64[D]"),
            "severity": rng.normal(0, 0.03, n),  # how strictly he marks, as a share of the points
        }
    ).with_columns(("ZJ" + pl.col("expert_no").cast(pl.String).str.zfill(7)).alias("expert_id"))
    people = pl.DataFrame({"person_no": frame["person_no"], "home_org_no": frame["employer_org_no"]})
    return frame, people.with_columns(pl.lit("expert").alias("role")).select("person_no", "home_org_no", "role")


def employment_of(plan: Layout, persons: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return who paid whose social insurance: the employer, for some another firm, for some first one, then another."""
    people = persons.filter(pl.col("home_org_no").is_not_null())
    n = len(people)
    home = people["home_org_no"].to_numpy().astype(np.int64)
    size = plan.size
    elsewhere = home // size * size + rng.integers(0, size, n)
    movable = people["role"].is_in(["pm", "tech_lead", "quality_lead", "safety_lead"]).to_numpy()
    draw = rng.random(n)
    hung = movable & (draw < 0.02)  # 挂证: certificate here, wages there
    moved = ~hung & (draw < 0.06)
    month = np.datetime64("2023-02") + rng.integers(0, 33, n).astype("timedelta64[M]")
    first = pl.DataFrame({"person_no": people["person_no"], "org_no": np.where(hung, elsewhere, home)}).with_columns(
        pl.lit("2022-01").alias("from_month"),
        pl.when(pl.Series(moved)).then(pl.Series((month - 1).astype(str))).alias("to_month"),
    )
    second = pl.DataFrame({"person_no": people["person_no"], "org_no": elsewhere}).with_columns(
        pl.Series(month.astype(str)).alias("from_month"), pl.lit(None, pl.String).alias("to_month")
    )
    return pl.concat([first, second.filter(pl.Series(moved))]).cast({"org_no": pl.Int32}).sort("person_no")


def _conflicts(groups: pl.DataFrame, experts: pl.DataFrame) -> pl.DataFrame:
    """Return the experts with an interest in a bidder: expert_no, person_no, org_no, skill."""
    chosen = groups.filter(pl.col("kind") == "conflicted_expert").select(
        pl.col("expert_nos").list.first().alias("expert_no"), pl.col("lead_no").alias("org_no"), "skill"
    )
    return chosen.unique("expert_no", keep="first").join(experts.select("expert_no", "person_no"), on="expert_no")


def experts_now(groups: pl.DataFrame, experts: pl.DataFrame) -> pl.DataFrame:
    """Let the clumsy of them stand in the pool with the bidder as their employer."""
    open_ones = _conflicts(groups, experts).filter(pl.col("skill") == "clumsy").select("expert_no", "org_no")
    joined = experts.join(open_ones, on="expert_no", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("org_no", "employer_org_no").alias("employer_org_no")).drop("org_no")


def experts_past(groups: pl.DataFrame, experts: pl.DataFrame) -> pl.DataFrame:
    """Let those who hide half of it have been insured by the bidder until lately; the careful are paid in cash."""
    once = _conflicts(groups, experts).filter(pl.col("skill") == "practised")
    return once.select(
        "person_no", "org_no", pl.lit("2022-01").alias("from_month"), pl.lit("2023-06").alias("to_month")
    ).cast({"org_no": pl.Int32, "person_no": pl.Int32})
