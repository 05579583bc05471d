"""From award to a signed contract and its course: terms, start, delays and the day on which the works are done.

:func:`sign` gives the *course* of each contract, a frame that the other makers of execution facts read: what was
agreed, what happens, and how far a scheme shows. Its columns besides those of ``award_plan``:

- contract_id, contract terms by their names in the contract table, ``contract_type``;
- ``site``: whether it builds something; ``main``: the project's largest site contract, that cameras and head counts
  belong to; ``sector_source``: S03 or S09, which register its site;
- start_date, finish_date (days, also past the end of the city), stop_from, stop_to, stop_reason, delay_reason;
- ``hidden``: somebody else than the winner builds; ``shows``: 0..1, how openly a scheme is carried out.
"""

import numpy as np
import polars as pl

from experiments.city.facts import CITY_END
from experiments.city.feeds import TRAFFIC_AND_WATER
from experiments.city.records import DAY, days_after, known, money, office_hours, restamped, stamped

SHOWS = {"clumsy": 1.0, "practised": 0.55, "careful": 0.15}
"""How much of a scheme its makers let be seen, by skill."""
HIDING = ("licence_lending", "works_transfer")
_STOPS = {
    "汛期强降雨停工": 0.34,
    "高温天气停工": 0.14,
    "征地拆迁未完成": 0.2,
    "环保管控停工": 0.12,
    "建设资金未到位": 0.1,
    "质量安全隐患整改": 0.1,
}
_DELAYS = ("雨天较多", "征地拆迁滞后", "管线迁改滞后", "材料供应不足", "劳动力不足", "设计图纸调整")
_SIGNS_OFFLINE = {"city": 0.06, "county": 0.18}
_TERMS = (
    "contract_type",
    "sign_method",
    "signed_at",
    "filed_at",
    "published_at",
    "amount",
    "provisional_amount",
    "price_form",
    "duration_days",
    "planned_finish_date",
    "prepay_ratio",
    "progress_pay_ratio",
    "retention_ratio",
    "defect_liability_months",
    "performance_bond_amount",
    "payment_guarantee",
    "labour_cost_ratio",
    "labour_cycle_months",
    "payment_term_days",
    "doc_consistency",
    "deviation_items",
)


def sign(plan: pl.DataFrame, emergencies: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Sign the contracts of a block and lay down their course.

    Args:
        plan: frame ``award_plan`` of the block.
        emergencies: frame ``emergency_project`` of the block: its works may begin before anything is signed.
        rng: source of chance.

    Returns:
        One row a contract that is signed before the end of the city; see the module for its columns.
    """
    n = len(plan)
    site = pl.col("object_type").is_in(["works", "epc"])
    course = plan.select(
        pl.all(),
        contract_id="HT" + pl.col("plan_id"),
        contract_type=pl.col("object_type"),
        site=site,
        hidden=pl.col("scheme").is_in(HIDING).fill_null(value=False)
        & (pl.col("real_builder_org_no") != pl.col("winner_org_no")),
        shows=pl.col("skill").replace_strict(SHOWS, return_dtype=pl.Float64) * pl.col("intensity").clip(0.3, 1.0),
        sector_source=pl.when(pl.col("sector").is_in(list(TRAFFIC_AND_WATER)))
        .then(pl.lit("S09"))
        .otherwise(pl.lit("S03")),
    ).with_columns(pl.col("shows").fill_null(0.0))
    due = course["contract_due_at"].to_numpy().astype("datetime64[D]")
    late = rng.random(n) < 0.03
    signed = office_hours(np.where(late, days_after(due, 5, 60, rng), due), rng)
    course = course.with_columns(
        signed_at=pl.Series(signed),
        filed_at=pl.Series(office_hours(days_after(signed.astype("datetime64[D]"), 1, 20, rng), rng)),
    ).filter(pl.col("signed_at") < CITY_END)
    course = _terms(course, rng)
    course = _dates(course, emergencies, rng)
    largest = pl.col("amount").rank("ordinal", descending=True).over("project_id", pl.col("site")) == 1
    return course.with_columns(main=pl.col("site") & largest)


def _terms(course: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    n = len(course)
    site = course["site"].to_numpy()
    scheme = course["scheme"].fill_null("").to_numpy().astype(str)
    look = course["look_alike"].fill_null("").to_numpy().astype(str)
    intensity = course["intensity"].fill_null(0.0).to_numpy()
    amount = course["award_amount"].to_numpy()
    shows = course["shows"].to_numpy()

    provisional = np.where(site & (rng.random(n) < 0.5), rng.uniform(0.01, 0.08, n), 0.0)
    provisional = np.where(scheme == "provisional_evasion", 0.12 + 0.25 * intensity, provisional)
    prepay = np.where(site, rng.choice([0.0, 0.1, 0.1, 0.15, 0.2], n), rng.choice([0.0, 0.2, 0.3], n))
    prepay = np.where(look == "steel_advance", 0.3, prepay)
    prepay = np.where((scheme == "pay_ahead") & (rng.random(n) < 0.5), 0.3, prepay)
    progress = np.where(site, rng.choice([0.8, 0.8, 0.8, 0.85, 0.9], n), rng.choice([0.8, 0.9, 0.95], n))
    offline_rate = course["admin_level"].replace_strict(_SIGNS_OFFLINE).to_numpy()
    offline_rate = np.where(np.isin(scheme, HIDING), offline_rate + 0.25 * shows, offline_rate)
    online = rng.random(n) >= offline_rate
    differs = (rng.random(n) < 0.02) | (~online & (rng.random(n) < 0.15))
    items = rng.choice(["付款比例", "工期", "质保金比例", "项目经理", "计价方式"], n)
    form = np.where(site, rng.choice(["unit_price", "unit_price", "unit_price", "lump_sum"], n), "lump_sum")
    form = np.where(course["project_type"].to_numpy() == "emergency", "cost_plus", form)
    months = rng.choice([12, 24, 24, 24], n)
    bond = np.where(rng.random(n) < np.where(site, 0.85, 0.4), rng.choice([0.05, 0.05, 0.08, 0.1], n), np.nan)
    published = course["signed_at"].to_numpy().astype("datetime64[D]")
    procured = course["project_type"].to_numpy() == "procurement"
    return course.with_columns(
        amount=pl.Series(money(amount)),
        sign_method=pl.Series(np.where(online, "online", "offline")),
        published_at=pl.Series(office_hours(days_after(published, 1, 3, rng), rng)),
        provisional_amount=pl.Series(money(amount * provisional)),
        price_form=pl.Series(form.astype(str)),
        duration_days=pl.col("planned_duration_days").clip(5).cast(pl.Int64),
        prepay_ratio=pl.Series(prepay),
        progress_pay_ratio=pl.Series(progress),
        retention_ratio=pl.Series(rng.choice([0.03, 0.03, 0.03, 0.02, 0.05], n, p=[0.3, 0.3, 0.2, 0.17, 0.03])),
        defect_liability_months=pl.Series(months),
        performance_bond_amount=pl.Series(money(amount * bond)).fill_nan(None),
        payment_guarantee=pl.Series(rng.random(n) < np.where(site, 0.85, 0.1)),
        labour_cost_ratio=pl.when("site").then(pl.Series(np.round(rng.uniform(0.15, 0.28, n), 3))),
        labour_cycle_months=pl.when("site").then(1.0),
        payment_term_days=pl.Series(rng.choice([14, 30, 30, 60], n)),
        doc_consistency=pl.Series(np.where(differs, rng.uniform(0.6, 0.9, n), rng.uniform(0.95, 1.0, n)).round(3)),
        deviation_items=pl.when(pl.Series(differs)).then(pl.concat_list(pl.Series(items.astype(str)))),
    ).with_columns(published_at=pl.when(pl.Series(procured)).then("published_at"))


def _dates(course: pl.DataFrame, emergencies: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    n = len(course)
    site = course["site"].to_numpy()
    signed = course["signed_at"].to_numpy().astype("datetime64[D]")
    begun = course.join(
        emergencies.group_by("emergency_id", maintain_order=True).agg(pl.col("works_started_at").last()),
        on="emergency_id",
        how="left",
        maintain_order="left",
    )["works_started_at"]
    planned = course["planned_start_date"].fill_null(pl.Series(signed).cast(pl.Date)).to_numpy().astype("datetime64[D]")
    start = np.maximum(days_after(signed, 5, 40, rng), np.minimum(planned, signed + 90 * DAY))
    early = begun.is_not_null().to_numpy()
    start = np.where(early, begun.fill_null(CITY_END).to_numpy().astype("datetime64[D]"), start)
    duration = course["duration_days"].to_numpy().astype(float)
    slow = rng.random(n) < np.where(site, 0.25, 0.1)
    pace = np.exp(rng.normal(0.0, 0.08, n)) * np.where(slow, rng.uniform(1.15, 1.7, n), 1.0)
    stops = site & (rng.random(n) < 0.13)
    stop_days = np.where(stops, np.where(rng.random(n) < 0.12, rng.uniform(60, 200, n), rng.uniform(4, 35, n)), 0.0)
    built = (duration * pace).astype("timedelta64[D]")
    stop_from = start + (built * rng.uniform(0.15, 0.75, n)).astype("timedelta64[D]")
    stop_to = stop_from + stop_days.astype("timedelta64[D]")
    reasons = rng.choice(list(_STOPS), n, p=list(_STOPS.values()))
    return course.with_columns(
        start_date=pl.Series(start).cast(pl.Date),
        planned_finish_date=pl.Series(start + duration.astype("timedelta64[D]")).cast(pl.Date),
        finish_date=pl.Series(start + built + stop_days.astype("timedelta64[D]")).cast(pl.Date),
        stop_from=pl.when(pl.Series(stops)).then(pl.Series(stop_from).cast(pl.Date)),
        stop_to=pl.when(pl.Series(stops)).then(pl.Series(stop_to).cast(pl.Date)),
        stop_reason=pl.when(pl.Series(stops)).then(pl.Series(reasons.astype(str))),
        delay_reason=pl.when(pl.Series(slow)).then(pl.Series(rng.choice(_DELAYS, n).astype(str))),
    )


def contracts(course: pl.DataFrame, accounts: pl.Series, rng: np.random.Generator) -> pl.DataFrame:
    """Return the rows of the contract table: as signed, and as they stand at the end where that differs.

    Args:
        course: of :func:`sign`.
        accounts: bank accounts of the units by org_no.
        rng: source of chance.
    """
    signed = course.select(
        "contract_id",
        "project_id",
        "lot_id",
        "tender_id",
        *_TERMS,
        party_a_org_no="owner_org_no",
        party_b_org_no="winner_org_no",
        pm_person_no="pm_person_no",
        payee_account=accounts.gather(course["winner_org_no"]),
        status=pl.lit("signed"),
    )
    signed = known(signed, "signed_at", {"filed_at": (), "published_at": ()})
    first = stamped(signed, rng, after=["signed_at", "filed_at", "published_at"])
    last = course.select(
        "contract_id",
        status=pl.when(pl.col("finish_date") < CITY_END.date())
        .then(pl.lit("completed"))
        .when(pl.col("stop_from").is_between(CITY_END.date() - pl.duration(days=60), CITY_END.date(), closed="left"))
        .then(pl.lit("suspended"))
        .otherwise(pl.lit("performing")),
        changed=pl.min_horizontal(
            pl.when(pl.col("finish_date") < CITY_END.date()).then("finish_date").otherwise("start_date"),
            pl.lit(CITY_END.date()) - pl.duration(days=1),
        ),
        begun=pl.col("start_date") < CITY_END.date(),
    ).filter(pl.col("begun"))
    later = first.drop("status", "updated_at").join(last, on="contract_id", maintain_order="left")
    later = restamped(later, rng, after=["signed_at", "filed_at", "published_at", "changed"], hours=(61, 160))
    return pl.concat([first, later.select(first.columns)])


def supplements(course: pl.DataFrame, contract: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return supplementary contracts: direct awards that grow, and a rare honest one.

    A direct award of the scheme ``direct_then_grow`` gets one to three of them, together as large as itself or larger.
    """
    grows = pl.col("scheme") == "direct_then_grow"
    chance = pl.Series(rng.random(len(course)))
    count = pl.when(grows).then(1 + (chance * 3).cast(pl.Int64)).otherwise((chance < 0.012).cast(pl.Int64))
    grown = course.select(
        "contract_id",
        "intensity",
        "start_date",
        "finish_date",
        number=pl.int_ranges(0, count.fill_null(0)),
        count=count.fill_null(0),
    )
    grown = grown.explode("number").drop_nulls("number")
    rows = grown.join(contract.filter(pl.col("status") == "signed"), on="contract_id", maintain_order="left")
    n = len(rows)
    span = (pl.col("finish_date") - pl.col("start_date")).dt.total_days()
    day = rows.select(
        pl.col("start_date") + pl.duration(days=(span * pl.Series(rng.uniform(0.2, 0.9, n))).cast(pl.Int64))
    ).to_series()
    signed = office_hours(day.to_numpy().astype("datetime64[D]"), rng)
    share = pl.Series(rng.uniform(0.6, 1.1, n)) * (0.6 + 1.2 * pl.col("intensity")) / pl.col("count")
    share = pl.when(pl.col("intensity").is_not_null()).then(share).otherwise(pl.Series(rng.uniform(0.05, 0.2, n)))
    rows = rows.with_columns(
        supplement_of_contract_id="contract_id",
        contract_id=pl.col("contract_id") + "B" + (pl.col("number") + 1).cast(pl.String),
        signed_at=pl.Series(signed),
        filed_at=pl.Series(office_hours(days_after(signed.astype("datetime64[D]"), 1, 25, rng), rng)),
        published_at=None,
        amount=(pl.col("amount") * share).round(2),
        provisional_amount=pl.lit(None, dtype=pl.Float64),
        status=pl.lit("performing"),
    )
    rows = known(rows, "signed_at", {"filed_at": ()})
    rows = stamped(rows, rng, after=["signed_at", "filed_at"])
    return rows.select(*contract.columns, "supplement_of_contract_id")
