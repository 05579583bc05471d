"""Tenders and lots: which method and evaluation, whose agency, which days.

The shares of the evaluation methods follow what trading centres in Sichuan and Hubei publish: average benchmarks and
reasonable-low-price rules lead for works, comprehensive scoring for services and large works. Days keep the law: twenty
from the documents to the opening (招标投标法 art. 24), fifteen from a clarification to the deadline (实施条例 art. 21),
candidates published within three days for three (art. 54); a few offices miss them honestly, some schemes on purpose.
"""

import json
from dataclasses import dataclass

import numpy as np
import polars as pl

from experiments.city.planning import Market

DAY, HOUR, MINUTE = np.timedelta64(86_400, "s"), np.timedelta64(3600, "s"), np.timedelta64(60, "s")
WORKS_RULES = (("average_benchmark", 0.34), ("reasonable_low_price", 0.22), ("comprehensive", 0.30),
               ("lowest_evaluated", 0.12), ("random_draw", 0.02))  # fmt: skip
BENCHMARK_ONLY = ("benchmark_ring", "benchmark_bunching")
SCORED_ONLY = ("captive_expert", "standing_panel", "conflicted_expert", "owner_rep_steering", "strict_expert",
               "rare_specialty", "tailored_terms")  # fmt: skip


@dataclass
class Tenders:
    """Tenders of a block as arrays, one entry a tender; times are datetime64[s]."""

    row: np.ndarray  # project
    tno: np.ndarray
    object_type: np.ndarray
    method: np.ndarray
    evaluation: np.ndarray
    price_weight: np.ndarray
    subjective_weight: np.ndarray
    k: np.ndarray  # factor of the benchmark, drawn at the opening where it is random
    rule: np.ndarray  # mean, trimmed_mean, mean_times_k, random_k or ""
    agency: np.ndarray  # org_no, -1 = run by the tenderer
    estimate: np.ndarray
    control: np.ndarray
    works: np.ndarray  # under the tendering law
    time: dict[str, np.ndarray]
    clarifications: np.ndarray
    retender: np.ndarray  # a first round failed
    main: np.ndarray
    consortia: np.ndarray  # bids of several firms together are allowed

    def __len__(self) -> int:
        return len(self.row)


def tenders(m: Market, projects: pl.DataFrame, pieces: pl.DataFrame, rng: np.random.Generator) -> Tenders:
    """Return the tenders of pieces, in their order."""
    heads = pieces.filter(pl.col("tno") > 0).group_by("row", "tno", maintain_order=True)
    frame = heads.agg(pl.col("object_type", "main").first(), pl.col("amount").sum())
    row = frame["row"].to_numpy()
    kind = np.where(frame["main"].to_numpy(), projects["kind"].to_numpy()[row], "")
    skill = projects["skill"].to_numpy()[row]
    object_type = frame["object_type"].to_numpy()
    size = frame["amount"].to_numpy()
    bought = projects["ptype"].to_numpy()[row] == "procurement"
    method = _methods(kind, bought, size, rng)
    evaluation, rule = _evaluations(kind, object_type, method, bought, rng)
    scored = evaluation == "comprehensive"
    works_like = np.isin(object_type, ["works", "epc"])
    price_weight = np.select(
        [~scored, works_like, object_type == "goods"],
        [1.0, rng.choice([0.5, 0.6, 0.7], len(row)), rng.choice([0.3, 0.4, 0.5], len(row))],
        rng.choice([0.1, 0.2, 0.3], len(row)),
    )
    subjective = np.where(scored, (1 - price_weight) * rng.uniform(0.45, 0.75, len(row)), 0.0)
    subjective = np.where(
        np.isin(kind, ["captive_expert", "owner_rep_steering"]) & scored, (1 - price_weight) * 0.8, subjective
    )
    return Tenders(
        row=row,
        tno=frame["tno"].to_numpy(),
        object_type=object_type,
        method=method,
        evaluation=evaluation,
        price_weight=np.round(price_weight, 2),
        subjective_weight=np.round(subjective, 2),
        k=np.where(
            rule == "random_k",
            rng.choice([0.95, 0.96, 0.97, 0.98], len(row)),
            np.where(rule == "mean_times_k", 0.97, 1.0),
        ),
        rule=rule,
        agency=_agencies(m, projects, row, kind, rng),
        estimate=size,
        control=np.round(size * rng.uniform(0.94, 1.0, len(row)), 2),
        works=~bought,
        time=_schedule(
            projects["anchor"].to_numpy().astype("datetime64[s]")[row],
            frame["tno"].to_numpy(),
            method,
            kind,
            skill,
            rng,
        ),
        clarifications=rng.choice([0, 1, 2, 3], len(row), p=[0.62, 0.25, 0.09, 0.04])
        + (kind == "rival_disqualification"),
        retender=(rng.random(len(row)) < 0.03) & (kind == ""),
        main=frame["main"].to_numpy(),
        consortia=(size > 1.2e7) & ((rng.random(len(row)) < 0.6) | (kind == "joint_venture")),
    )


def _methods(kind: np.ndarray, bought: np.ndarray, size: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    draw = rng.random(len(kind))
    small = np.select(
        [draw < 0.5, draw < 0.72, draw < 0.92],
        ["competitive_consultation", "competitive_negotiation", "inquiry"],
        "single_source",
    )
    method = np.where(bought & (size < 4e6), small, "public_tender")
    method = np.where(~bought & (draw > 0.97), "invited_tender", method)
    invited = np.where(bought, "inquiry", "invited_tender")
    method = np.where(kind == "captive_invitation", invited, method)
    method = np.where(np.isin(kind, ["single_source_stretch", "genuine_single_source"]), "single_source", method)
    needs_rivals = (
        (kind != "") & (method == "single_source") & ~np.isin(kind, ["single_source_stretch", "genuine_single_source"])
    )
    return np.where(needs_rivals, "competitive_consultation", method)


def _evaluations(
    kind: np.ndarray, object_type: np.ndarray, method: np.ndarray, bought: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    n = len(kind)
    rules, shares = [rule for rule, _ in WORKS_RULES], [share for _, share in WORKS_RULES]
    works = np.array(rules)[rng.choice(len(rules), n, p=shares)]
    cheap = np.isin(method, ["competitive_negotiation", "inquiry"]) | (rng.random(n) < 0.3)
    bought_rule = np.where(cheap & np.isin(object_type, ["goods", "works"]), "lowest_evaluated", "comprehensive")
    bought_rule = np.where(np.isin(method, ["competitive_negotiation", "inquiry"]), "lowest_evaluated", bought_rule)
    services = np.isin(object_type, ["design", "survey", "supervision", "services", "epc"])
    rule = np.where(bought, bought_rule, np.where(services, "comprehensive", works))
    rule = np.where(np.isin(kind, BENCHMARK_ONLY), "average_benchmark", rule)
    rule = np.where(np.isin(kind, SCORED_ONLY), "comprehensive", rule)
    rule = np.where((kind == "low_award_high_final") | (kind == "steep_discount"), "lowest_evaluated", rule)
    rule = np.where((rule == "random_draw") & (kind != ""), "reasonable_low_price", rule)
    rule = np.where(method == "single_source", "other", rule)
    means = np.array(["mean", "trimmed_mean", "mean_times_k", "random_k"])[rng.choice(4, n, p=[0.3, 0.3, 0.2, 0.2])]
    means = np.where(np.isin(kind, ["leaked_price", "agency_leak"]), "random_k", means)
    return rule, np.where(np.isin(rule, ["average_benchmark", "reasonable_low_price"]), means, "")


def _agencies(
    m: Market, projects: pl.DataFrame, row: np.ndarray, kind: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Owners keep to a few agencies; one tenders by itself now and then; a captive agency is its group's."""
    owner = projects["owner_no"].to_numpy()[row].astype(np.int64)
    low, high = m.plan.slice_of("agency")
    ward = owner // m.plan.size
    fixed = fixed_luck(owner, rng.choice(3, len(row), p=[0.5, 0.3, 0.2]))
    luck = np.where(rng.random(len(row)) < 0.55, fixed, rng.random(len(row)))
    agency = ward * m.plan.size + low + ((high - low) * luck**2.0).astype(int)  # a few large ones, many small
    agency = np.where(rng.random(len(row)) < 0.04, -1, agency)
    group = projects["group_no"].to_numpy()[row]
    tied = np.isin(
        kind, ["captive_agency", "agency_leak", "rival_disqualification", "dominant_agency", "neighbour_agency"]
    )
    return np.where(tied, m.group["agency_no"][group], agency).astype(np.int64)


def fixed_luck(owner: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Return a fixed pseudo-random number in [0, 1) for an owner and a turn."""
    return ((owner * 2_654_435_761 + turn * 1_540_483_477) % 2**32) / 2.0**32


def _at(day: np.ndarray, hour: np.ndarray | float) -> np.ndarray:
    """Move times to an hour of a working day, the next one where it is a weekend."""
    date = np.busday_offset(day.astype("datetime64[D]"), 0, roll="forward")
    return date.astype("datetime64[s]") + (np.asarray(hour) * 3600).astype("timedelta64[s]")


def _schedule(
    anchor: np.ndarray,
    tno: np.ndarray,
    method: np.ndarray,
    kind: np.ndarray,
    skill: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    n = len(anchor)
    early = np.where(tno >= 3, 75, np.where(tno == 2, 8, 0))  # design comes first, supervision just before the works
    notice = _at(anchor - early * DAY, rng.uniform(8.6, 17.5, n))
    open_method = np.isin(method, ["public_tender", "invited_tender"])
    wait = np.where(open_method, rng.integers(20, 29, n), rng.integers(4, 12, n))
    wait = np.where(method == "competitive_consultation", rng.integers(10, 16, n), wait)
    hasty = (rng.random(n) < 0.015) | (np.isin(kind, ["tailored_terms", "captive_invitation"]) & (skill == "clumsy"))
    wait = np.where(hasty & open_method, rng.integers(12, 20, n), wait)
    deadline = _at(notice + wait * DAY, rng.choice([9.0, 9.5, 10.0, 14.5], n))
    sale_days = np.where(open_method, rng.integers(5, 9, n), 3)
    clarified = deadline - np.where(rng.random(n) < 0.9, rng.integers(15, 18, n), rng.integers(5, 15, n)) * DAY
    start = deadline + rng.integers(20, 150, n) * MINUTE
    length = np.exp(rng.normal(np.log(170), 0.45, n)).astype(int) * MINUTE
    end = start + length
    report = _at(end + rng.integers(0, 2, n) * DAY, rng.uniform(15, 18, n))
    report = np.maximum(report, end + HOUR)
    publicity = _at(report + rng.integers(1, 4, n) * DAY, rng.uniform(9, 17, n))
    publicity_end = _at(publicity + np.where(rng.random(n) < 0.985, 3, 2) * DAY, 18.0)
    notice_issued = _at(publicity_end + rng.integers(1, 8, n) * DAY, rng.uniform(9, 17, n))
    return {
        "intention": notice - rng.integers(30, 60, n) * DAY,
        "notice": notice,
        "sale_start": notice,
        "sale_end": np.minimum(_at(notice + sale_days * DAY, 17.0), deadline - DAY),
        "clarified": np.maximum(clarified, notice + DAY),
        "deadline": deadline,
        "opening": deadline,
        "start": start,
        "end": end,
        "report": report,
        "publicity": publicity,
        "publicity_end": publicity_end,
        "award": notice_issued,
        "result": notice_issued + rng.integers(1, 30, n) * HOUR,
        "tender_report": _at(notice_issued + rng.integers(3, 15, n) * DAY, 10.0),
    }


def benchmark_text(rule: str, k: float) -> str | None:
    """Return the benchmark rule as the tender document states it."""
    if not rule:
        return None
    stated = {"type": rule, "k": k if rule != "random_k" else None, "trim": 1 if rule == "trimmed_mean" else 0}
    return json.dumps({name: value for name, value in stated.items() if value is not None})
