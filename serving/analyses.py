"""One of the seven analyses for a region and a period: who stands out, by what, with how much money at stake."""

import datetime as dt
from dataclasses import dataclass

import polars as pl

from features.assessment.parameters import changed, with_changes
from features.build import indicator_values
from features.derive.stakes import at_stake
from features.indicators.catalogue import entries, index_params
from features.tables.organisations import Organisation
from features.tables.reference import Param
from features.tables.source import SourceTables
from models.analyses import analysed
from models.roll_up import SUBJECT


@dataclass(frozen=True)
class Question:
    """What an analysis asks.

    Attributes:
        name: such as ``bid_rigging``.
        name_zh: in the words of the city.
        question_zh: the question that it answers.
    """

    name: str
    name_zh: str
    question_zh: str


QUESTIONS = {
    one.name: one
    for one in (
        Question("tenderer_repeat_winner", "招标人与多次中标人分析", "哪些招标人的项目总由同一中标人中标？"),
        Question("bid_rigging", "围标串标分析", "哪些标段、投标人之间的投标不像各自独立完成？"),
        Question("winner_vs_builder", "中标与实际建设方分析", "哪些项目的实际施工者可能不是中标人？"),
        Question("payment_anomaly", "资金拨付异常分析", "哪些项目的拨付与进度、合同、收款人不符？"),
        Question("agency_ties", "代理机构与招投标人分析", "哪些代理机构与招标人、投标人的往来异常？"),
        Question("expert_ties", "评标专家与多次中标人分析", "哪些专家与投标人的同场、打分异常？"),
        Question("lot_splitting", "拆分标段分析", "哪些项目可能被拆分、先直接发包再追加，以规避招标？"),
    )
}  # fmt: skip
"""The seven analyses by name."""


@dataclass(frozen=True)
class Analysis:
    """The answer of an analysis.

    Attributes:
        question: what was asked.
        subjects: one row a subject, the most conspicuous first: rank, subject_type, subject_id, subject_zh, score
            (0 to 100, by the indicators of this analysis alone; null where none is assessable), coverage, triggered
            (ids), amount_cny, n_lots, n_contracts, region_codes, first_at, last_at.
        lines: the contributions of these subjects, as the index gives them.
    """

    question: Question
    subjects: pl.DataFrame
    lines: pl.DataFrame


def analyse(
    source: SourceTables, name: str, as_of: dt.datetime, *, region: str | None = None, since: dt.datetime | None = None
) -> Analysis:
    """Answer one analysis.

    Args:
        source: the tables.
        name: a key of ``QUESTIONS``.
        as_of: the moment; nothing later counts.
        region: a code of GB/T 2260: only subjects with a row of it or of a division below it.
        since: only subjects of which a row is from this moment or later.
    """
    tables = source.collected()
    changes = changed(tables[Param], as_of)
    catalogue = [with_changes(entry, changes) for entry in entries()]
    wanted = [entry.id for entry in catalogue if entry.analysis == name]
    values = indicator_values(tables, as_of, wanted=wanted)
    scored = analysed(values, catalogue, index_params(), name, as_of)
    lines = scored.contributions.filter(pl.col("kind") == "indicator")
    subjects = (
        scored.index.select(pl.col(SUBJECT).cast(pl.String), "score", "coverage")
        .join(_fired(lines), on=SUBJECT, how="left")
        .join(at_stake(lines.filter(pl.col("points") > 0), tables, as_of), on=SUBJECT, how="left")
    )
    if region is not None or since is not None:
        seen = pl.concat([part.select(*SUBJECT, "evidence") for part in (lines, scored.without_value)])
        subjects = subjects.join(_within(at_stake(seen, tables, as_of), region, since), on=SUBJECT, how="semi")
    ranked = subjects.sort("score", "amount_cny", *SUBJECT, descending=[True, True, False, False], nulls_last=True)
    named = ranked.with_row_index("rank", offset=1).with_columns(subject_zh=_names(ranked, tables))
    return Analysis(QUESTIONS[name], named, lines.join(ranked, on=SUBJECT, how="semi"))


def _within(places: pl.DataFrame, region: str | None, since: dt.datetime | None) -> pl.DataFrame:
    """Return the subjects of which a row lies in a region, and one is from a moment or later."""
    if region is not None:
        inside = pl.col("region_codes").list.eval(pl.element().str.starts_with(_division(region))).list.any()
        places = places.filter(inside.fill_null(value=False))
    if since is not None:
        places = places.filter((pl.col("last_at") >= since).fill_null(value=False))
    return places.select(SUBJECT)


def _fired(lines: pl.DataFrame) -> pl.DataFrame:
    fired = lines.filter(pl.col("triggered").fill_null(value=False)).sort("id")
    return fired.group_by(SUBJECT, maintain_order=True).agg(triggered="id")


def _division(code: str) -> str:
    """Return what the codes of a division and of all below it start with."""
    return code[:2] if code[2:] == "0000" else code[:4] if code[4:6] == "00" else code


def _names(subjects: pl.DataFrame, tables: SourceTables) -> pl.Series:
    """Return each subject in words: the names of its organisations; other ends as they are written."""
    ends = subjects.select(
        place=pl.int_range(pl.len()), end=pl.col("subject_id").str.split("~"), kind="subject_type"
    ).explode("end")
    ends = ends.with_columns(
        org_id=pl.when(pl.col("kind") == "organisation")
        .then("end")
        .otherwise(pl.col("end").str.strip_prefix("organisation:"))
    )
    names = tables[Organisation].select("org_id", "name").collect()
    told = ends.join(names, on="org_id", how="left", maintain_order="left").with_columns(pl.coalesce("name", "end"))
    joined = told.group_by("place", maintain_order=True).agg(pl.col("name").str.join(" — "))
    return joined.get_column("name").alias("subject_zh")
