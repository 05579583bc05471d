"""What the city finds out: few cases, late, the clumsy ones first; and people who were looked into and cleared.

Real labels are a biased sample: detection follows complaints, carelessness and luck (Silveira and others, 2022, on what
convicted cartels tell of undetected ones). A case opens on a group; some of its lots are proved, its firms, pairs and
ring named, and where a court or an authority decided, sanctions follow. Nobody labels persons here: the product names
them by a hash that only it can make.
"""

import numpy as np
import polars as pl

from experiments.city.defaults import CLEARED_SHARE, LABEL_ODDS, LABELLED_TOUCHED
from experiments.city.facts import CITY_END, Facts, Population, shaped
from experiments.city.truth import clique_id, pair_id

SOURCES = {
    "bid_rigging": (("penalty", 0.4), ("police", 0.2), ("court", 0.2), ("reviewer", 0.2)),
    "payment_anomaly": (("audit", 0.7), ("rectified", 0.2), ("reviewer", 0.1)),
    "winner_vs_builder": (("penalty", 0.5), ("rectified", 0.3), ("reviewer", 0.2)),
    "lot_splitting": (("audit", 0.5), ("discipline", 0.2), ("rectified", 0.3)),
}
ELSEWHERE = (("discipline", 0.5), ("penalty", 0.2), ("court", 0.15), ("reviewer", 0.15))
WEIGHT = {
    "court": 1.0,
    "police": 0.9,
    "penalty": 0.9,
    "discipline": 0.9,
    "audit": 0.8,
    "rectified": 0.5,
    "reviewer": 0.4,
}
AUTHORITY = {"court": "court", "police": "public_security", "penalty": "housing"}
REASON = {"bid_rigging": "collusion", "winner_vs_builder": "illegal_subcontract", "expert_ties": "bribery"}


def feedback(population: Population, lots: pl.DataFrame) -> Facts:
    """Return ``label_feedback`` and the ``sanction`` rows that follow, from the truth's lots."""
    rng = np.random.default_rng([population.seed, 4])
    labels: list[dict[str, object]] = []
    sanctions: list[dict[str, object]] = []
    for case, proved in enumerate(_cases(lots, rng)):
        _label(population, proved, case, labels, sanctions, rng)
    confirmed = sum(1 for label in labels if label["subject_type"] == "lot")
    labels += _cleared(lots, max(1, round(confirmed * CLEARED_SHARE)), rng) if confirmed else []
    frame = pl.DataFrame(labels, schema=LABEL, orient="row").filter(pl.col("labelled_at") < CITY_END)
    frame = frame.unique(["subject_id", "analysis"], keep="first", maintain_order=True)
    frame = frame.sort("labelled_at", "subject_id").with_columns(
        ("BQ" + pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(7)).alias("label_id"),
        (pl.col("labelled_at") + pl.duration(hours=20)).alias("updated_at"),
    )
    punished = pl.DataFrame(sanctions, schema=SANCTION, orient="row")
    punished = punished.filter(pl.col("updated_at") < CITY_END).unique("sanction_id", maintain_order=True)
    return {
        "label_feedback": shaped("label_feedback", frame.filter(pl.col("updated_at") < CITY_END)),
        "sanction": shaped("sanction", punished),
    }


LABEL: dict[str, pl.DataType | type[pl.DataType]] = {
    "subject_type": pl.String,
    "subject_id": pl.String,
    "analysis": pl.String,
    "label": pl.String,
    "label_source": pl.String,
    "labelled_at": pl.Datetime("us"),
    "weight": pl.Float64,
}
SANCTION: dict[str, pl.DataType | type[pl.DataType]] = {
    "sanction_id": pl.String,
    "org_no": pl.Int32,
    "sanction_type": pl.String,
    "reason_code": pl.String,
    "authority_dept_id": pl.String,
    "doc_no": pl.String,
    "decided_at": pl.Date,
    "valid_from": pl.Date,
    "valid_to": pl.Date,
    "fine_amount": pl.Float64,
    "updated_at": pl.Datetime("us"),
}


def _cases(lots: pl.DataFrame, rng: np.random.Generator) -> list[pl.DataFrame]:
    """Return the cases that open in time, each with the lots it proves, until the share of labelled lots is reached."""
    touched = lots.filter(pl.col("scheme").is_not_null() & pl.col("lot_id").is_not_null())
    wanted = round(len(touched) * LABELLED_TOUCHED)
    days = pl.Series("days", rng.integers(180, 730, len(touched)))
    ripe = touched.with_columns(days).with_columns(
        (pl.col("at") + pl.duration(days=pl.col("days"))).alias("labelled_at")
    )
    ripe = ripe.filter(pl.col("labelled_at") < CITY_END)
    groups = ripe.group_by("group_no", maintain_order=True).agg(pl.col("skill").first()).sort("group_no")
    odds = groups["skill"].replace_strict(LABEL_ODDS, return_dtype=pl.Float64).to_numpy()
    order = np.argsort(-(np.log(odds) + rng.gumbel(0, 1, len(odds))), kind="stable")
    cases = []
    for place in order:
        if wanted <= 0:
            break
        mine = ripe.filter(pl.col("group_no") == groups["group_no"][int(place)])
        take = min(wanted, max(1, round(len(mine) * rng.uniform(0.3, 0.7))))
        cases.append(mine.sample(take, seed=int(rng.integers(2**31))).sort("at"))
        wanted -= take
    return cases


def _label(
    population: Population,
    proved: pl.DataFrame,
    case: int,
    labels: list[dict[str, object]],
    sanctions: list[dict[str, object]],
    rng: np.random.Generator,
) -> None:
    """Add what one case says: of its lots, and on the day of the last of them of the firms behind."""
    group = population.groups.row(int(proved["group_no"][0]), named=True)
    analysis = str(group["analysis"])
    names, odds = zip(*SOURCES.get(analysis, ELSEWHERE), strict=True)
    source = str(rng.choice(names, p=odds))
    word = "suspected" if source == "reviewer" or rng.random() < 0.15 else "confirmed"

    def label(kind: str, subject: str, moment: object) -> None:
        labels.append(
            {
                "subject_type": kind,
                "subject_id": subject,
                "analysis": analysis,
                "label": word,
                "label_source": source,
                "labelled_at": moment,
                "weight": WEIGHT[source],
            }
        )

    for lot in proved.iter_rows(named=True):
        label("lot", lot["lot_id"], lot["labelled_at"])
    last = proved["labelled_at"].max()
    code, members = population.organisations["uscc"], list(group["member_nos"])
    if analysis == "bid_rigging":
        for org in members:
            label("organisation", code[org], last)
        for other in members[1:]:
            label("pair", pair_id(code[members[0]], code[other]), last)
        if len(members) > 2:
            label("ring", clique_id([code[org] for org in members]), last)
    else:
        label("organisation", code[group["lead_no"]], last)
        if group["owner_no"] >= 0 and analysis in ("tenderer_repeat_winner", "lot_splitting"):
            label("pair", pair_id(code[group["lead_no"]], code[group["owner_no"]]), last)
    if word == "confirmed" and source in AUTHORITY:
        sanctions.extend(
            _sanctions(proved, case, source, analysis, members if analysis == "bid_rigging" else members[:1])
        )


def _sanctions(
    proved: pl.DataFrame, case: int, source: str, analysis: str, firms: list[int]
) -> list[dict[str, object]]:
    """Return the decisions against the firms of a case: a fine and a ban for a year, or a conviction."""
    moment = proved["labelled_at"].sort()[-1]
    day = moment.date()
    award = float(proved["award_cny"].max() or 0)  # pyright: ignore[reportArgumentType] - a float column
    return [
        {
            "sanction_id": f"CF-{case:04d}-{place:02d}",
            "org_no": org,
            "sanction_type": "criminal" if source == "court" else "penalty" if place else "debarment",
            "reason_code": REASON.get(analysis, "other"),
            "authority_dept_id": f"511300-{AUTHORITY[source]}",
            "doc_no": f"{AUTHORITY[source]}〔{day.year}〕{case:04d}-{place}号",
            "decided_at": day,
            "valid_from": day,
            "valid_to": day.replace(year=day.year + 1, day=min(day.day, 28)),
            "fine_amount": round(award * 0.0075, 2),
            "updated_at": moment,
        }
        for place, org in enumerate(firms)
    ]


def _cleared(lots: pl.DataFrame, many: int, rng: np.random.Generator) -> list[dict[str, object]]:
    """Return honest lots that somebody looked into: mostly those that look alike."""
    honest = lots.filter(pl.col("scheme").is_null() & pl.col("lot_id").is_not_null())
    honest = honest.with_columns(pl.Series("days", rng.integers(90, 500, len(honest))))
    honest = honest.with_columns((pl.col("at") + pl.duration(days=pl.col("days"))).alias("labelled_at"))
    honest = honest.filter(pl.col("labelled_at") < CITY_END)
    chosen = honest.sample(min(many, len(honest)), seed=int(rng.integers(2**31))).sort("labelled_at")
    return [
        {
            "subject_type": "lot",
            "subject_id": row["lot_id"],
            "analysis": row["analysis"] or "bid_rigging",
            "label": "cleared",
            "label_source": "reviewer" if rng.random() < 0.7 else "discipline",
            "labelled_at": row["labelled_at"],
            "weight": 0.6,
        }
        for row in chosen.iter_rows(named=True)
    ]
