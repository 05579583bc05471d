"""Tenders, lots and clauses as the trading centre published them, and as they ended."""

import numpy as np
import polars as pl

from experiments.city import names
from experiments.city.bidding import Lots
from experiments.city.facts import CITY_END, shaped
from experiments.city.layout import TRADES
from experiments.city.paperwork import END, time_column
from experiments.city.schemes.tenderers import FAIR_CLAUSES, TAILORED_CLAUSES
from experiments.city.tendering import DAY, Tenders, benchmark_text

GRADES = {"works": "二级", "epc": "一级"}
WORDS = {
    "works": "施工",
    "epc": "工程总承包",
    "supervision": "监理",
    "design": "设计",
    "survey": "勘察",
    "goods": "采购",
    "services": "服务",
}


def ids(projects: pl.DataFrame, t: Tenders, lots: Lots) -> tuple[pl.Series, pl.Series]:
    """Return the numbers of tenders and lots."""
    tender = projects["project_id"].gather(pl.Series(t.row.astype(np.uint32))) + "-T" + pl.Series(t.tno).cast(pl.String)
    lot = tender.gather(pl.Series(lots.tender.astype(np.uint32))) + "-L" + pl.Series(lots.lno).cast(pl.String)
    return tender, lot


def tender_facts(
    projects: pl.DataFrame, t: Tenders, lots: Lots, ended: np.ndarray, rng: np.random.Generator
) -> pl.DataFrame:
    """Return the tenders as announced and as they ended, failed first rounds too (``ended``: nobody valid bid)."""
    n = len(t)
    row = pl.Series(t.row.astype(np.uint32))
    tender_id, _ = ids(projects, t, lots)
    name = projects["name"].gather(row)
    time = t.time
    opened = time["opening"] < END
    done = time["award"] < END
    ranked = time["publicity"] < END
    status = np.select(
        [ended & opened, done, ranked, time["end"] < END, opened],
        ["failed", "awarded", "publicised", "evaluated", "opened"],
        "published",
    )
    told = np.where(time["tender_report"] < END, time["tender_report"], time["award"])
    last = np.select(
        [done & ~ended, ranked & ~ended, opened], [told, time["publicity"], time["report"]], time["notice"]
    )
    last = np.minimum(last + DAY // 12, END - DAY // 1440)
    gp = ~t.works
    secret = rng.random(n) < 0.75
    announced = pl.DataFrame(
        {
            "tender_id": tender_id,
            "project_id": projects["project_id"].gather(row),
            "tender_no": "ZB-" + tender_id.str.slice(2),
            "title": name + pl.Series([WORDS[o] for o in t.object_type], dtype=pl.String),
            "tenderer_org_no": projects["owner_no"].gather(row).cast(pl.Int32),
            "agency_org_no": pl.Series(t.agency).cast(pl.Int32).set(pl.Series(t.agency < 0), None),
            "law_regime": np.where(gp, "gov_procurement_law", "tendering_law"),
            "object_type": t.object_type,
            "method": t.method,
            "exemption_reason": pl.Series([_reason(m) for m in t.method], dtype=pl.String),
            "evaluation_method": t.evaluation,
            "benchmark_rule": pl.Series(
                [benchmark_text(r, k) for r, k in zip(t.rule, t.k, strict=True)], dtype=pl.String
            ),
            "price_weight": np.where(t.evaluation == "comprehensive", t.price_weight, 1.0),
            "subjective_weight": t.subjective_weight,
            "estimate_price": np.round(t.estimate, 2),
            "estimate_published": ~secret,
            "control_price_total": np.round(t.control, 2),
            "bond_required_amount": np.round(np.minimum(t.control * 0.015, 8e5), -3),
            "intention_published_at": pl.Series(time["intention"].astype("datetime64[us]")).set(
                pl.Series(t.works), None
            ),
            "notice_published_at": time_column(time["notice"]),
            "notice_media_count": rng.choice([1, 2, 3], n, p=[0.1, 0.3, 0.6]),
            "doc_sale_start_at": time_column(time["sale_start"]),
            "doc_sale_end_at": time_column(time["sale_end"]),
            "last_clarification_at": time_column(time["clarified"]).set(pl.Series(t.clarifications == 0), None),
            "clarification_material": pl.Series(rng.random(n) < 0.5).set(pl.Series(t.clarifications == 0), None),
            "n_clarifications": t.clarifications,
            "bid_deadline_at": pl.Series(time["deadline"].astype("datetime64[us]")),
            "opening_at": pl.Series(time["opening"].astype("datetime64[us]")),
            "retender_of_tender_id": (tender_id + "F").set(pl.Series(~t.retender), None),
            "allows_consortium": t.consortia,
            "is_electronic": rng.random(n) < 0.97,
            "status": np.full(n, "published"),
            "updated_at": pl.Series((time["notice"] + DAY // 96).astype("datetime64[us]")),
        }
    )
    first = announced.with_columns(
        pl.lit(None, pl.Datetime("us")).alias("opening_at"),  # recorded when it happens; the deadline is announced
        pl.lit(None, pl.Datetime("us")).alias("last_clarification_at"),
        pl.lit(None, pl.Boolean).alias("clarification_material"),
        pl.lit(0, pl.Int64).alias("n_clarifications"),
    )
    final = announced.filter(pl.Series(opened)).with_columns(
        time_column(time["start"]).filter(pl.Series(opened)).alias("evaluation_start_at"),
        time_column(time["end"]).filter(pl.Series(opened)).alias("evaluation_end_at"),
        time_column(time["report"]).filter(pl.Series(opened)).alias("evaluation_report_at"),
        time_column(np.where(done, time["tender_report"], END)).filter(pl.Series(opened)).alias("tender_report_at"),
        pl.Series(status[opened]).alias("status"),
        pl.Series(last[opened].astype("datetime64[us]")).alias("updated_at"),
    )
    both = pl.concat([shaped("tender", first), shaped("tender", final), _failed_rounds(announced, t)])
    return both.filter((pl.col("updated_at") < CITY_END) & (pl.col("notice_published_at").is_not_null()))


def _reason(method: str) -> str | None:
    if method == "single_source":
        return "只能从唯一供应商处采购"
    return "技术复杂，仅有少量潜在投标人可供选择" if method == "invited_tender" else None


def _failed_rounds(announced: pl.DataFrame, t: Tenders) -> pl.DataFrame:
    """Return the first rounds to which fewer than three came: announced five weeks earlier, ended as failed."""
    rows = announced.filter(pl.Series(t.retender))
    back = [name for name, kind in rows.schema.items() if kind == pl.Datetime("us")]
    earlier = rows.with_columns(
        *(pl.col(name) - pl.duration(days=35) for name in back),
        (pl.col("tender_id") + "F").alias("tender_id"),
        (pl.col("tender_no") + "-1").alias("tender_no"),
        pl.lit(None, pl.String).alias("retender_of_tender_id"),
        pl.lit("failed").alias("status"),
    ).with_columns((pl.col("opening_at") + pl.duration(hours=2)).alias("updated_at"))
    return shaped("tender", earlier)


def lot_facts(
    projects: pl.DataFrame, t: Tenders, lots: Lots, ended: np.ndarray, rng: np.random.Generator
) -> pl.DataFrame:
    """Return the lots as announced and as they ended, those of failed first rounds too."""
    n = len(lots)
    row = pl.Series(lots.row.astype(np.uint32))
    tender_id, lot_id = ids(projects, t, lots)
    tender = tender_id.gather(pl.Series(lots.tender.astype(np.uint32)))
    numeral = names.picked(["一", "二", "三", "四"], np.minimum(lots.lno - 1, 3))
    name = projects["name"].gather(row)
    works = np.isin(lots.object_type, ["works", "epc"])
    qual = names.picked([trade.qualification for trade in TRADES], lots.trade)
    many = np.bincount(lots.tender, minlength=len(t))[lots.tender] > 1
    together = lots.kind == "dismembered_works"
    away = np.where(lots.kind == "small_nature", 0.05, 0.003)
    unit = np.where(together, 1, lots.lno)
    frame = pl.DataFrame(
        {
            "lot_id": lot_id,
            "tender_id": tender,
            "project_id": projects["project_id"].gather(row),
            "lot_no": pl.Series(lots.lno).cast(pl.String),
            "name": pl.select(pl.when(pl.Series(many)).then(name + numeral + "标段").otherwise(name)).to_series(),
            "scope_text": name + "全部内容，详见清单与图纸",
            "category_code": names.picked([trade.category for trade in TRADES], lots.trade),
            "bids_complete": np.full(n, True),
            "control_price": lots.control,
            "estimate_price": np.round(lots.estimate, 2),
            "longitude": np.round(projects["longitude"].gather(row).to_numpy() + rng.normal(0, 1, n) * away, 6),
            "latitude": np.round(projects["latitude"].gather(row).to_numpy() + rng.normal(0, 1, n) * away, 6),
            "planned_duration_days": durations(lots.estimate, lots.object_type),
            "required_qual_code": qual.set(qual == "", None),
            "required_pm_grade": pl.Series(np.where(lots.estimate > 3e7, "一级建造师", "二级建造师")).set(
                pl.Series(~works), None
            ),
            "unit_works_code": pl.Series(["DW-"] * n, dtype=pl.String) + tender + "-" + pl.Series(unit).cast(pl.String),
            "status": np.full(n, "open"),
            "updated_at": pl.Series((t.time["notice"][lots.tender] + DAY // 96).astype("datetime64[us]")),
        }
    ).with_columns(pl.when(pl.Series(works)).then("unit_works_code").alias("unit_works_code"))
    decided = t.time["award"][lots.tender] + DAY // 12
    decided = np.where(ended, t.time["end"][lots.tender] + DAY // 12, decided)
    final = frame.filter(pl.Series(decided < END)).with_columns(
        pl.Series(np.where(ended, "failed", "awarded")[decided < END]).alias("status"),
        pl.Series(decided[decided < END].astype("datetime64[us]")).alias("updated_at"),
    )
    failed = frame.filter(pl.Series(t.retender[lots.tender])).with_columns(
        pl.col("lot_id").str.replace("-L", "F-L", literal=True),
        pl.col("tender_id") + "F",
        pl.lit("failed").alias("status"),
        (pl.col("updated_at") - pl.duration(days=12)).alias("updated_at"),
    )
    both = pl.concat([frame, final, failed])
    return shaped("lot", both.filter(pl.col("updated_at") < CITY_END))


def durations(amount: np.ndarray, object_type: np.ndarray) -> np.ndarray:
    """Return the planned days of works or services of an amount."""
    days = np.clip(45 + 50 * np.log1p(amount / 1e6), 30, 900)
    return np.where(np.isin(object_type, ["goods"]), 30, np.where(object_type == "services", 365, days)).astype(
        np.int64
    )


def clause_facts(projects: pl.DataFrame, t: Tenders, lots: Lots) -> pl.DataFrame:
    """Return the clauses of the tender documents: ten fair ones, and what a captured tenderer adds."""
    tender_id, _ = ids(projects, t, lots)
    first = np.searchsorted(lots.tender, np.arange(len(t)))
    kind, skill = lots.kind[first], lots.skill[first]
    place = names.picked([r[1] for r in names.REGIONS], projects["region"].to_numpy()[t.row]).to_list()
    texts: list[tuple[int, str, str, float | None, bool]] = []
    for tender in np.flatnonzero(t.time["notice"] < END):
        trade = TRADES[lots.trade[first[tender]]]
        words = {
            "q": trade.qualification or "相应",
            "g": GRADES.get(t.object_type[tender], "三级"),
            "p": "二级及以上注册建造师" if trade.object_type == "works" else "相应执业资格",
            "r": place[tender],
            "b": "精诚牌",
            "a": f"{t.control[tender] * 0.8 / 1e4:.0f}",
            "n": trade.word,
        }
        extra = TAILORED_CLAUSES[skill[tender]] if kind[tender] == "tailored_terms" else ()
        texts += [
            (int(tender), kind_, text.format(**words), full, by_hand)
            for kind_, text, full, by_hand in (*FAIR_CLAUSES, *extra)
        ]
    kinds = {"no": pl.UInt32, "clause_type": pl.String, "text": pl.String, "max_score": pl.Float64}
    frame = pl.DataFrame(texts, schema=kinds | {"is_subjective": pl.Boolean}, orient="row")
    order = pl.int_range(pl.len()).over("no")
    notice = pl.Series((t.time["notice"] + DAY // 96).astype("datetime64[us]"))
    frame = frame.with_columns(
        tender_id.gather(frame["no"]).alias("tender_id"), notice.gather(frame["no"]).alias("updated_at")
    )
    frame = frame.with_columns((pl.col("tender_id") + "-C" + order.cast(pl.String)).alias("clause_id")).drop("no")
    return shaped("tender_clause", frame)
