"""One-off facts: what the registers of companies, qualifications, people and experts say, and how it changed.

Most records are from before the three years; each year a few firms change their representative, capital or address, and
each of these is an ``org_change`` and a later version of the organisation.
"""

import datetime as dt

import numpy as np
import polars as pl

from experiments.city import holdings
from experiments.city.facts import CITY_START, Facts, Population, shaped
from experiments.city.layout import TRADES

BEFORE = CITY_START - dt.timedelta(days=45)
CHANGES_A_YEAR = 0.03


def registry(population: Population) -> Facts:
    """Return the facts that stand outside the blocks: registers, departments, regions, the pool of experts."""
    rng = np.random.default_rng([population.seed, 3])
    orgs, changes = _organisations(population, rng)
    shares, sales = holdings.registered(
        population.shareholdings, population.organisations, population.persons, _spread(population.shareholdings)
    )
    tables = {
        "region": population.regions,
        "department": population.departments,
        "organisation": orgs,
        "person": _people(population),
        "org_person": _roles(population),
        "shareholding": shares,
        "org_change": pl.concat([changes, sales.select(changes.columns)]),
        "qualification": _qualifications(population, rng),
        "person_certificate": _certificates(population, rng),
        "expert": _experts(population),
        "reserve_pool_member": _reserve(population, rng),
    }
    return {
        name: shaped(name, frame if "updated_at" in frame.columns else frame.with_columns(updated_at=_spread(frame)))
        for name, frame in tables.items()
    }


def _spread(frame: pl.DataFrame) -> pl.Series:
    """Records were uploaded over the month before the city's first day, in their order."""
    seconds = np.linspace(0, 30 * 86_400, len(frame), endpoint=False).astype("timedelta64[s]")
    return pl.Series((np.datetime64(BEFORE, "s") + seconds).astype("datetime64[us]"))


def _organisations(population: Population, rng: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame]:
    base = population.organisations.rename(
        {"address": "address_norm", "account": "basic_account", "capital": "registered_capital"}
    ).select(
        "org_no", "uscc", "name", "org_type", "ownership", "legal_rep_person_no", "registered_capital",
        "established_date", "region_code", "address_norm", "phone", "email", "insured_count", "basic_account",
        "reg_status", "is_sme", "credit_grade",
    )  # fmt: skip
    firms = np.flatnonzero((base["org_type"] != "owner").to_numpy())
    count = int(len(firms) * CHANGES_A_YEAR * 3)
    who = np.sort(rng.choice(firms, count, replace=False))
    day = np.datetime64(CITY_START, "D") + rng.integers(0, 1090, count).astype("timedelta64[D]")
    kind = rng.choice(3, count, p=[0.4, 0.35, 0.25])
    agent = population.organisations["agent_person_no"].gather(pl.Series(who.astype(np.uint32)))
    changed = base[who.astype(np.uint32)].with_columns(
        pl.Series("kind", kind), pl.Series("changed_at", day.astype("datetime64[us]")), agent.alias("agent")
    )
    before_rep = _person_name(population, changed["legal_rep_person_no"])
    after_rep = _person_name(population, changed["agent"])
    capital = (pl.col("registered_capital") * 1.5 / 1e4).round() * 1e4
    moved = pl.col("address_norm").str.replace(r"\d+室", "101室")
    log = changed.select(
        pl.concat_str(pl.lit("BG"), pl.col("org_no").cast(pl.String).str.zfill(8)).alias("change_id"),
        "org_no",
        pl.when(pl.col("kind") == 0)
        .then(pl.lit("legal_rep"))
        .when(pl.col("kind") == 1)
        .then(pl.lit("capital"))
        .otherwise(pl.lit("address"))
        .alias("change_type"),
        _by_kind(before_rep, pl.col("registered_capital").cast(pl.String), pl.col("address_norm")).alias(
            "before_value"
        ),
        _by_kind(after_rep, capital.cast(pl.String), moved).alias("after_value"),
        pl.col("changed_at").dt.date(),
        (pl.col("changed_at") + pl.duration(hours=34)).alias("updated_at"),
    )
    later = changed.with_columns(
        pl.when(pl.col("kind") == 0).then("agent").otherwise("legal_rep_person_no").alias("legal_rep_person_no"),
        pl.when(pl.col("kind") == 1).then(capital).otherwise("registered_capital").alias("registered_capital"),
        pl.when(pl.col("kind") == 2).then(moved).otherwise("address_norm").alias("address_norm"),
        (pl.col("changed_at") + pl.duration(hours=34)).alias("updated_at"),
    ).drop("kind", "changed_at", "agent")
    first = base.with_columns(_spread(base).alias("updated_at"))
    return pl.concat([first, later.select(first.columns)]), log


def _by_kind(rep: pl.Series, capital: pl.Expr, address: pl.Expr) -> pl.Expr:
    return pl.when(pl.col("kind") == 0).then(rep).when(pl.col("kind") == 1).then(capital).otherwise(address)


def _person_name(population: Population, numbers: pl.Series) -> pl.Series:
    return population.persons["name"].gather(numbers.cast(pl.UInt32))


def _people(population: Population) -> pl.DataFrame:
    people = population.persons.rename({"home_org_no": "employer_org_no"})
    return people.select("person_no", "name", "id_no", "phone", "employer_org_no")


ROLE_OF = {"legal_rep": "director", "agent": "manager", "contact": "contact", "owner_staff": "owner_staff"}


def _roles(population: Population) -> pl.DataFrame:
    """Return who holds which office where: the representative is a director too."""
    people = population.persons.filter(pl.col("role").is_in(list(ROLE_OF)) & pl.col("home_org_no").is_not_null())
    offices = people.select(
        pl.col("home_org_no").alias("org_no"), "person_no", pl.col("role").replace_strict(ROLE_OF).alias("office")
    )
    reps = population.organisations.select(
        "org_no", pl.col("legal_rep_person_no").alias("person_no"), pl.lit("legal_rep").alias("office")
    )
    both = pl.concat([reps, offices, population.posts])
    founded = population.organisations["established_date"].gather(both["org_no"].cast(pl.UInt32))
    return both.select(
        pl.concat_str(pl.lit("GX"), _number("org_no"), pl.lit("-"), _number("person_no"), pl.lit("-"), "office").alias(
            "org_person_id"
        ),
        "org_no",
        "person_no",
        pl.col("office").alias("role"),
        founded.alias("start_date"),
    )


def _number(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.zfill(8)


def _qualifications(population: Population, rng: np.random.Generator) -> pl.DataFrame:
    codes = pl.Series([t.qualification for t in TRADES])
    orgs = population.organisations.select("org_no", "trade", "second", "grade")
    main = orgs.with_columns(codes.gather(orgs["trade"].cast(pl.UInt32)).alias("qual_code"), pl.lit(1).alias("part"))
    extra = orgs.filter((pl.col("second") >= 0) & (pl.col("second") != pl.col("trade")))
    extra = extra.with_columns(
        codes.gather(extra["second"].cast(pl.UInt32)).alias("qual_code"),
        pl.lit(2).alias("part"),
        pl.lit("三级").alias("grade"),
    )
    both = pl.concat([main, extra]).filter(pl.col("qual_code") != "").sort("org_no", "part")
    until = np.datetime64("2026-06-30") + rng.integers(0, 1500, len(both)).astype("timedelta64[D]")
    return both.select(
        pl.concat_str(pl.lit("ZZ"), pl.col("org_no").cast(pl.String).str.zfill(8), pl.lit("-"), "part").alias(
            "qual_id"
        ),
        "org_no",
        "qual_code",
        "grade",
        pl.Series("valid_until", until),
        pl.lit("valid").alias("status"),
    )


CERTIFICATES = {
    "pm": "constructor_2",
    "tech_lead": "senior_title",
    "quality_lead": "other",
    "safety_lead": "safety_c",
    "supervisor": "supervising_engineer",
}


def _certificates(population: Population, rng: np.random.Generator) -> pl.DataFrame:
    orgs = population.organisations
    people = population.persons.filter(pl.col("role").is_in(list(CERTIFICATES)))
    home = people["home_org_no"].cast(pl.UInt32)
    high = orgs["grade"].is_in(["特级", "一级"]).gather(home)
    trade = pl.Series([t.word for t in TRADES]).gather(orgs["trade"].gather(home).cast(pl.UInt32))
    until = np.datetime64("2026-03-31") + rng.integers(0, 1000, len(people)).astype("timedelta64[D]")
    kind = pl.col("role").replace_strict(CERTIFICATES)
    return people.with_columns(high.alias("high")).select(
        pl.concat_str(pl.lit("ZS"), pl.col("person_no").cast(pl.String).str.zfill(8)).alias("cert_id"),
        "person_no",
        pl.when((pl.col("role") == "pm") & pl.col("high"))
        .then(pl.lit("constructor_1"))
        .otherwise(kind)
        .alias("cert_type"),
        trade.alias("specialty"),
        pl.col("home_org_no").alias("reg_org_no"),
        pl.Series("valid_until", until),
    )


def _experts(population: Population) -> pl.DataFrame:
    codes = pl.Series([[t.code] for t in TRADES])
    experts = population.experts
    return experts.select(
        "expert_id",
        "person_no",
        codes.gather(experts["specialty"].cast(pl.UInt32)).alias("specialty_codes"),
        "employer_org_no",
        "entered_at",
        pl.lit("active").alias("status"),
    )


POOLS = {"contractor": ("works", "housing"), "designer": ("design", "housing"), "surveyor": ("survey", "housing"),
         "supervisor": ("supervision", "housing")}  # fmt: skip


def _reserve(population: Population, rng: np.random.Generator) -> pl.DataFrame:
    """Return the pool for emergency works: a third of the local firms, chosen for three years by the housing bureau."""
    orgs = population.organisations.filter(pl.col("org_type").is_in(list(POOLS)) & (pl.col("region") < 10))
    orgs = orgs.filter(pl.Series(rng.random(len(orgs)) < 0.35) | pl.col("org_no").is_in(_emergency_firms(population)))
    return orgs.select(
        pl.concat_str(pl.lit("CB"), pl.col("org_no").cast(pl.String).str.zfill(8)).alias("pool_member_id"),
        "org_no",
        pl.col("org_type").replace_strict({k: v[0] for k, v in POOLS.items()}).alias("pool_category"),
        pl.lit("511300-housing").alias("dept_id"),
        pl.lit(dt.date(2022, 11, 1)).alias("valid_from"),
        pl.lit(dt.date(2025, 12, 31)).alias("valid_to"),
    )


def _emergency_firms(population: Population) -> list[int]:
    """Firms that careful abusers of emergencies use are in the pool, as they should be."""
    kinds = population.groups.filter((pl.col("kind") == "emergency_abuse") & (pl.col("skill") == "careful"))
    return kinds["lead_no"].to_list()
