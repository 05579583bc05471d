"""Who lives and works in the city: organisations with capacity, cost and place, their people, and experts.

Firms differ as they do in procurement data: capacity is lognormal (a few large, many small; Porter and Zona, 1993, and
Krasnokutskaya and Seim, 2011, find size, distance and backlog to drive who bids and at what cost), costs scatter by a
few percent around the market's, larger firms are a little cheaper.
"""

import numpy as np
import polars as pl

from experiments.city import names
from experiments.city.facts import Population
from experiments.city.groups import groups
from experiments.city.layout import (
    DEPARTMENT_KINDS,
    OWNER_KINDS,
    REPEATED_KINDS,
    TRADES,
    WORKS,
    Layout,
    layout,
)

PLACES = (*(r[:4] for r in names.REGIONS), *names.OUTSIDE)
LOCAL = len(names.REGIONS)
SUFFIX = ["有限公司", "有限责任公司", "集团有限公司"]


def population(seed: int, projects: int) -> Population:
    """Return the people and organisations of a city of so many projects: the same for the same two numbers."""
    plan = layout(projects)
    rng = np.random.default_rng([seed, 1])
    organisations = _organisations(plan, rng)
    persons = _persons(organisations, rng)
    organisations = _with_people(organisations, persons, rng)
    experts, expert_persons = _experts(plan, len(persons), rng)
    persons = pl.concat([persons, expert_persons])
    persons = persons.with_columns(
        names.identity_numbers(persons["person_no"].to_numpy()).alias("id_no"),
        names.person_names(rng, len(persons)).alias("name"),
        names.phones(persons["person_no"].to_numpy()).alias("phone"),
    )
    made, kin = groups(plan, organisations, experts, seed)
    organisations = _kinship(organisations, kin)
    return Population(
        seed=seed,
        projects=projects,
        wards=plan.wards,
        organisations=organisations,
        persons=persons,
        employment=pl.concat([_employment(organisations, persons, rng), _experts_past(made, experts)]),
        experts=_experts_now(made, experts),
        shareholdings=_shareholdings(organisations, kin, rng),
        groups=made,
        regions=_regions(),
        departments=_departments(),
    )


def _organisations(plan: Layout, rng: np.random.Generator) -> pl.DataFrame:
    n = plan.wards * plan.size
    number = np.arange(n)
    ward = number // plan.size
    trade = np.searchsorted(np.array(plan.starts), number % plan.size, side="right") - 1
    is_works, is_owner = np.isin(trade, WORKS), trade == len(TRADES) - 1
    outside = ~is_owner & (rng.random(n) < 0.32)
    shares = np.array([r[4] for r in names.REGIONS])
    region = np.where(
        outside,
        LOCAL + rng.choice(len(names.OUTSIDE), n, p=np.array([8, 4, 2, 2, 2, 1, 1]) / 20),
        rng.choice(LOCAL, n, p=shares / shares.sum()),
    )
    kind, region = _owner_kinds(plan, trade, region, shares)
    centre = np.array([(p[2], p[3]) for p in PLACES])[region]
    spread = rng.normal(0, 1, (n, 2)) * np.array([0.06, 0.05])
    capacity = np.exp(rng.normal(np.log(3.2e7), 1.1, n)) * np.where(outside, 2.2, 1.0) * np.where(is_works, 1.0, 0.35)
    grade = np.select([capacity > 3e8, capacity > 9e7, capacity > 2.5e7], ["特级", "一级", "二级"], "三级")
    cost = np.exp(rng.normal(0, 0.035, n) - 0.012 * np.log(capacity / 3.2e7)) + 0.01 * outside
    second = np.where(is_works & (rng.random(n) < 0.5), rng.integers(0, len(WORKS), n), -1)
    ownership, category = _ownership(trade, kind, is_owner, rng)
    code = np.array([int(p[0]) for p in PLACES])[region]
    frame = pl.DataFrame(
        {
            "org_no": number.astype(np.int32),
            "uscc": names.credit_codes(number, category, code),
            "name": _names(trade, region, kind, ward, rng),
            "org_type": names.picked([t.org_type for t in TRADES], trade),
            "ownership": ownership,
            "region_code": names.picked([p[0] for p in PLACES], region),
            "region": region.astype(np.int16),
            "longitude": np.round(centre[:, 0] + spread[:, 0], 6),
            "latitude": np.round(centre[:, 1] + spread[:, 1], 6),
            "phone": names.phones(number + 500_000_000),
            "email_no": number,
            "bank_no": rng.integers(0, plan.count("bank"), n),
            "account": names.accounts(number),
            "capital": np.round(np.clip(capacity * rng.uniform(0.2, 0.6, n), 5e5, 5e9), -5),
            "established_date": np.datetime64("2022-06-01") - rng.gamma(2.2, 1400, n).astype("timedelta64[D]"),
            "insured_count": np.maximum(2, capacity / 9e5 * rng.uniform(0.5, 1.5, n)).astype(np.int64),
            "is_sme": capacity < 4e8,
            "reg_status": np.where(rng.random(n) < 0.004, "abnormal", "active"),
            "ward": ward.astype(np.int32),
            "trade": trade.astype(np.int16),
            "second": second.astype(np.int16),
            "grade": grade,
            "capacity": capacity,
            "cost_level": cost,
            "quality": rng.beta(5, 3, n),
            "activity": rng.normal(0, 1.0, n),
            "owner_kind": kind.astype(np.int16),
            "weight": np.where(is_owner, np.array([k[4] for k in OWNER_KINDS])[kind] * rng.gamma(0.7, 1, n), 0.0),
            "admin_level": np.where(region == 0, "city", "county"),
            "credit_grade": np.array(["AAA", "AA", "A", "B", "C"])[rng.choice(5, n, p=[0.15, 0.3, 0.35, 0.15, 0.05])],
        }
    )
    room = rng.integers(1, 30, n) * 100 + rng.integers(1, 20, n)
    road = names.picked(
        ["人民", "文化", "滨江", "金鱼岭", "白土坝", "果城", "铁昌", "嘉南", "玉带", "建设"], rng.integers(0, 10, n)
    )
    house = pl.Series(rng.integers(1, 400, n)).cast(pl.String)
    place = names.picked([p[1] for p in PLACES], region)
    return frame.with_columns(
        (place + road + "路" + house + "号" + pl.Series(room).cast(pl.String) + "室").alias("address"),
        pl.format("info{}@{}.cn", pl.col("email_no"), pl.lit("mail")).alias("email"),
    ).drop("email_no")


def _owner_kinds(
    plan: Layout, trade: np.ndarray, region: np.ndarray, shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give each owner its kind and region: every region has its bureaus and companies first, then small ones."""
    kind = np.zeros(len(trade), dtype=np.int64)
    count = plan.count("owner")
    places = np.repeat(np.arange(LOCAL), np.maximum(2, np.round(shares * count)).astype(int))[:count]
    places = np.concatenate([places, np.arange(count - len(places)) % LOCAL])
    places.sort()
    order = np.arange(count) - np.searchsorted(places, places)
    base = len(OWNER_KINDS)
    kinds = np.where(order < base, order, np.array(REPEATED_KINDS)[(order - base) % len(REPEATED_KINDS)])
    if count < base * LOCAL:  # a small city: spread the kinds over the regions
        kinds = (order * 3 + places) % base
    mask = trade == len(TRADES) - 1
    kind[mask], region[mask] = np.tile(kinds, plan.wards), np.tile(places, plan.wards)
    return kind, region


def _ownership(
    trade: np.ndarray, kind: np.ndarray, is_owner: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    draw = rng.random(len(trade))
    firm = np.select([draw < 0.82, draw < 0.94, draw < 0.98], ["private", "soe", "collective"], "foreign")
    owner = np.array([k[2] for k in OWNER_KINDS])[kind]
    ownership = np.where(is_owner, owner, np.where(trade == len(TRADES) - 3, "soe", firm))
    return ownership, np.select([ownership == "government", ownership == "institution"], [11, 12], 91)


def _names(
    trade: np.ndarray, region: np.ndarray, kind: np.ndarray, ward: np.ndarray, rng: np.random.Generator
) -> pl.Series:
    n = len(trade)
    place = np.array([p[1] for p in PLACES])
    first, second = (names.picked(names.BRANDS, rng.integers(0, len(names.BRANDS), n)) for _ in range(2))
    head = names.picked(["四川", "南充", ""], rng.choice(3, n, p=[0.45, 0.2, 0.35]))
    town = names.picked([p[1].rstrip("市区县") for p in PLACES], region)
    suffix = names.picked(SUFFIX, rng.choice(3, n, p=[0.6, 0.28, 0.12]))
    frame = pl.DataFrame({"head": head, "town": town, "a": first, "b": second, "suffix": suffix}).with_columns(
        names.picked([t.word for t in TRADES], trade).alias("word"),
        names.picked([k[0] for k in OWNER_KINDS], kind).alias("pattern"),
        pl.Series(trade).alias("trade"),
        names.picked(list(place), region).alias("place"),
        pl.Series(ward).alias("ward"),
    )
    brand = pl.col("a") + pl.col("b")
    local = pl.when(pl.col("head") == "").then(pl.col("town")).otherwise(pl.col("head"))
    district = pl.when(pl.col("ward") > 0).then(pl.format("{}片区", pl.col("ward") + 1)).otherwise(pl.lit(""))
    owner = pl.col("pattern").str.replace("{p}", pl.col("place"), literal=True)
    owner = owner.str.replace("{b}", brand, literal=True) + district
    bank = pl.format("{}{}银行{}支行", pl.lit("中国"), pl.col("a"), pl.col("place"))
    return frame.select(
        pl.when(pl.col("trade") == len(TRADES) - 1)
        .then(owner)
        .when(pl.col("trade") == len(TRADES) - 3)
        .then(bank)
        .otherwise(local + brand + pl.col("word") + pl.col("suffix"))
        .alias("name")
    )["name"]


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


def _persons(organisations: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return the people of every organisation, together; a larger contractor has more project managers."""
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
                pl.DataFrame({"home_org_no": owner.astype(np.int32)}).with_columns(
                    pl.lit(role).alias("role"), pl.lit(order).alias("order")
                )
            )
    people = pl.concat(pieces).sort("home_org_no", "order", maintain_order=True).drop("order")
    return people.with_row_index("person_no").cast({"person_no": pl.Int32})


def _with_people(organisations: pl.DataFrame, persons: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
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


def _experts(plan: Layout, first: int, rng: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame]:
    n = plan.wards * plan.experts
    ward = np.arange(n) // plan.experts
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
            "expert_no": np.arange(n, dtype=np.int32),
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


def _kinship(organisations: pl.DataFrame, kin: pl.DataFrame) -> pl.DataFrame:
    """Let tied firms share what ties show: a telephone, an address, a contact (kin: org_no, like_org_no, what)."""
    for what in ("phone", "address", "email", "contact_person_no"):
        ties = kin.filter(pl.col("what") == what).select("org_no", "like_org_no").unique("org_no", keep="first")
        like = organisations.select(pl.col("org_no").alias("like_org_no"), pl.col(what).alias("shared"))
        ties = ties.join(like, on="like_org_no")
        organisations = (
            organisations.join(ties.select("org_no", "shared"), on="org_no", how="left", maintain_order="left")
            .with_columns(pl.coalesce("shared", what).alias(what))
            .drop("shared")
        )
    return organisations


def _employment(organisations: pl.DataFrame, persons: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return who paid whose social insurance: the employer, for some another firm, for some first one, then another."""
    people = persons.filter(pl.col("home_org_no").is_not_null())
    n = len(people)
    home = people["home_org_no"].to_numpy().astype(np.int64)
    size = len(organisations) // (int(organisations["ward"][-1]) + 1)
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


def _experts_now(groups: pl.DataFrame, experts: pl.DataFrame) -> pl.DataFrame:
    """Let the clumsy of them stand in the pool with the bidder as their employer."""
    open_ones = _conflicts(groups, experts).filter(pl.col("skill") == "clumsy").select("expert_no", "org_no")
    joined = experts.join(open_ones, on="expert_no", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("org_no", "employer_org_no").alias("employer_org_no")).drop("org_no")


def _experts_past(groups: pl.DataFrame, experts: pl.DataFrame) -> pl.DataFrame:
    """Let those who hide half of it have been insured by the bidder until lately; the careful are paid in cash."""
    once = _conflicts(groups, experts).filter(pl.col("skill") == "practised")
    return once.select(
        "person_no", "org_no", pl.lit("2022-01").alias("from_month"), pl.lit("2023-06").alias("to_month")
    ).cast({"org_no": pl.Int32, "person_no": pl.Int32})


def _shareholdings(organisations: pl.DataFrame, kin: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return who holds what: the legal representative most of it, a partner the rest; relatives a minor share."""
    firms = organisations.filter(pl.col("ownership").is_in(["private", "collective", "foreign"]))
    main = np.round(rng.choice([0.51, 0.6, 0.7, 0.8, 0.9, 1.0], len(firms), p=[0.15, 0.2, 0.2, 0.2, 0.1, 0.15]), 2)
    cross = kin.filter(pl.col("what").is_in(["holding", "owner_share"])).unique("org_no", keep="first")
    holders = organisations.select(
        "org_no", pl.coalesce("staff_person_no", "legal_rep_person_no").alias("kin_person_no")
    )
    cross = cross.join(holders, left_on="like_org_no", right_on="org_no").select("org_no", "kin_person_no")
    base = firms.select("org_no", "legal_rep_person_no", "agent_person_no").with_columns(pl.Series(main).alias("main"))
    base = base.join(cross, on="org_no", how="left", maintain_order="left")
    base = base.with_columns(
        pl.when(pl.col("kin_person_no").is_not_null())
        .then(pl.min_horizontal("main", pl.lit(0.7)))
        .otherwise("main")
        .alias("main")
    )
    major = base.select(
        "org_no", pl.col("legal_rep_person_no").alias("holder_person_no"), pl.col("main").alias("ratio")
    )
    minor = base.filter(pl.col("main") < 1).select(
        "org_no",
        pl.coalesce("kin_person_no", "agent_person_no").alias("holder_person_no"),
        (1 - pl.col("main")).round(2).alias("ratio"),
    )
    daughters = kin.filter(pl.col("what") == "daughter").unique("org_no", keep="first", maintain_order=True)
    owned = daughters.select(
        "org_no", pl.col("like_org_no").alias("holder_org_no"), pl.lit(None, pl.Int32).alias("holder_person_no")
    )
    owned = owned.with_columns(pl.lit(1.0).alias("ratio"))
    both = pl.concat([major, minor]).with_columns(pl.lit(None, pl.Int32).alias("holder_org_no"))
    both = both.join(owned.select("org_no"), on="org_no", how="anti", maintain_order="left")
    return pl.concat([both, owned.select(both.columns)]).sort("org_no", maintain_order=True)


def _regions() -> pl.DataFrame:
    rows = [
        (code, name, "city" if code.endswith("00") else "county", None if code.endswith("00") else "511300")
        for code, name, *_ in (*names.REGIONS, *names.OUTSIDE)
    ]
    return pl.DataFrame(rows, schema=["region_code", "name", "level", "parent_region_code"], orient="row")


def _departments() -> pl.DataFrame:
    rows = [
        (
            f"{code}-{kind}",
            f"{name}{word}",
            kind,
            "city" if code == "511300" else "county",
            code,
            None if code == "511300" else f"511300-{kind}",
        )
        for code, name, *_ in names.REGIONS
        for kind, word in DEPARTMENT_KINDS.items()
    ]
    columns = ["dept_id", "name", "dept_kind", "admin_level", "region_code", "parent_dept_id"]
    return pl.DataFrame(rows, schema=columns, orient="row")
