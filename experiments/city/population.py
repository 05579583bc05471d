"""Who lives and works in the city: organisations with capacity, cost and place, their people, and experts.

Firms differ as they do in procurement data: capacity is lognormal (a few large, many small; Porter and Zona, 1993, and
Krasnokutskaya and Seim, 2011, find size, distance and backlog to drive who bids and at what cost), costs scatter by a
few percent around the market's, larger firms are a little cheaper.
"""

import numpy as np
import polars as pl

from experiments.city import holdings, names, residents
from experiments.city.concerns import concerns, with_hands
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
WARDS_AT_ONCE = 20
SUFFIX = ["有限公司", "有限责任公司", "集团有限公司"]


def population(seed: int, projects: int) -> Population:
    """Return the people and organisations of a city of so many projects: the same for the same two numbers.

    Made a few wards at a time, so that making it takes little more memory than having it.
    """
    plan = layout(projects)
    parts: list[dict[str, pl.DataFrame]] = []
    people = 0
    for first in range(0, plan.wards, WARDS_AT_ONCE):
        parts.append(_wards(plan, range(first, min(first + WARDS_AT_ONCE, plan.wards)), people, seed))
        people += len(parts[-1]["persons"])
    whole = {name: pl.concat([part.pop(name) for part in parts]) for name in list(parts[0])}
    made = whole.pop("groups").with_row_index("group_no").cast({"group_no": pl.Int64})
    return Population(
        seed=seed,
        projects=projects,
        wards=plan.wards,
        groups=made,
        regions=_regions(),
        departments=_departments(),
        **whole,
    )


def _wards(plan: Layout, wards: range, first: int, seed: int) -> dict[str, pl.DataFrame]:
    """Return the frames of some wards, their people numbered from ``first``."""
    rng = np.random.default_rng([seed, 1, wards.start])
    organisations = _organisations(plan, wards, rng)
    persons = residents.persons_of(organisations, first)
    organisations = residents.with_people(organisations, persons, rng)
    experts, expert_persons = residents.experts_of(plan, wards, first + len(persons), rng)
    persons = pl.concat([persons, expert_persons])
    persons = persons.with_columns(
        names.identity_numbers(persons["person_no"].to_numpy()).alias("id_no"),
        names.person_names(rng, len(persons)).alias("name"),
        names.phones(persons["person_no"].to_numpy()).alias("phone"),
    )
    made, kin = groups(plan, wards, organisations, experts, seed)
    ties = concerns(plan, wards, organisations, made, kin, seed)
    kin = pl.concat([kin, _one_roof(ties, rng)])
    organisations = with_hands(_kinship(organisations, kin), ties)
    employment = residents.employment_of(plan, persons, rng)
    return {
        "organisations": holdings.with_representatives(organisations, ties),
        "persons": persons,
        "employment": pl.concat([employment, residents.experts_past(made, experts)]),
        "experts": residents.experts_now(made, experts),
        "shareholdings": holdings.shareholdings(organisations, kin, ties, rng),
        "posts": holdings.posts(organisations, ties),
        "ties": ties,
        "groups": made,
    }


def _organisations(plan: Layout, wards: range, rng: np.random.Generator) -> pl.DataFrame:
    number = np.arange(wards.start * plan.size, wards.stop * plan.size)
    n = len(number)
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
        pl.concat_str(pl.lit("info"), pl.col("email_no"), pl.lit("@"), pl.lit("mail"), pl.lit(".cn")).alias("email"),
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
    kind[mask], region[mask] = np.tile(kinds, len(trade) // plan.size), np.tile(places, len(trade) // plan.size)
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
    district = pl.when(pl.col("ward") > 0).then(pl.concat_str(pl.col("ward") + 1, pl.lit("片区"))).otherwise(pl.lit(""))
    owner = pl.col("pattern").str.replace("{p}", pl.col("place"), literal=True)
    owner = owner.str.replace("{b}", brand, literal=True) + district
    bank = pl.concat_str(pl.lit("中国"), pl.col("a"), pl.lit("银行"), pl.col("place"), pl.lit("支行"))
    return frame.select(
        pl.when(pl.col("trade") == len(TRADES) - 1)
        .then(owner)
        .when(pl.col("trade") == len(TRADES) - 3)
        .then(bank)
        .otherwise(local + brand + pl.col("word") + pl.col("suffix"))
        .alias("name")
    )["name"]


def _one_roof(ties: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Let some firms have their office where their concern has it."""
    near = ties.filter(pl.col("hand").is_in(["company", "person", "legal_rep"]))
    near = near.filter(pl.Series(rng.random(len(near)) < 0.25))
    return near.select("org_no", pl.col("head_no").alias("like_org_no"), pl.lit("address").alias("what"))


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
