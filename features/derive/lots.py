"""Lots with the facts of their tender and project, and the market that each belongs to."""

import datetime as dt

import polars as pl

from features.tables.organisations import Organisation
from features.tables.projects import Project
from features.tables.source import SourceTables
from features.tables.tendering import Lot, Tender

COMPETITIVE = ("public_tender", "invited_tender", "competitive_negotiation", "competitive_consultation", "inquiry")
DIRECT = ("single_source", "direct_award")
MARKET = ("object_type", "category", "city", "currency")
QUALIFICATION_SPLIT_MIN = 30


def lot_facts(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Join each lot with its tender and project.

    Grain: one lot. Columns: lot_id, tender_id, project_id, tenderer_org_id, agency_org_id, opening_at, opened (its
    opening is at or before ``as_of``), method, competitive (rulings G6), object_type, evaluation_method, mean_rule (the
    price benchmark is some mean of the bids), category (first two levels, rulings G10), region_code, city (first four
    digits), required_qual_code, currency (CNY where none is given), bids_complete (false only where the source
    published ranked candidates only).
    """
    tenders = source[Tender].select(
        "tender_id",
        "tenderer_org_id",
        "agency_org_id",
        "opening_at",
        pl.col("method").cast(pl.String),
        pl.col("object_type").cast(pl.String),
        pl.col("evaluation_method").cast(pl.String),
        mean_rule=(pl.col("evaluation_method") == "average_benchmark")
        | pl.col("benchmark_rule")
        .str.json_path_match("$.type")
        .is_in(["mean", "trimmed_mean", "mean_times_k", "random_k"])
        .fill_null(value=False),
    )
    projects = source[Project].select("project_id", "region_code", city=pl.col("region_code").str.slice(0, 4))
    return (
        source[Lot]
        .select(
            "lot_id",
            "tender_id",
            "project_id",
            "required_qual_code",
            category=category_levels(pl.col("category_code")),
            currency=pl.col("currency").fill_null("CNY"),
            bids_complete=pl.col("bids_complete").fill_null(value=True),
        )
        .join(tenders, on="tender_id", how="inner")
        .join(projects, on="project_id", how="left")
        .with_columns(
            opened=(pl.col("opening_at") <= as_of).fill_null(value=False),
            competitive=pl.col("method").is_in(COMPETITIVE),
        )
    )


def category_levels(code: pl.Expr) -> pl.Expr:
    """Return the first two levels of a category code; a code without separator gives its first three characters."""
    parts = code.str.replace_all(r"[-/]", ".").str.split(".")
    return pl.when(parts.list.len() > 1).then(parts.list.head(2).list.join(".")).otherwise(code.str.slice(0, 3))


def first_opening(source: SourceTables) -> dt.datetime | None:
    """Return the earliest opening in the data."""
    return source[Tender].select(pl.col("opening_at").min()).collect().item()


def with_market(lots: pl.LazyFrame) -> pl.LazyFrame:
    """Add ``market``, a text that names the MARKET of each lot (README section 3, rulings G10).

    A required qualification shared by at least 30 of the lots at hand forms a market of its own; all others
    together form the rest. Lots of different currencies are never in one market.
    """
    qualified = pl.col("required_qual_code").is_not_null()
    shared = pl.len().over(*MARKET, "required_qual_code")
    split = pl.when(qualified & (shared >= QUALIFICATION_SPLIT_MIN)).then("required_qual_code")
    return lots.with_columns(
        market=pl.concat_str([pl.col(name).fill_null("?") for name in MARKET] + [split.fill_null("?")], separator="|")
    )


def control_groups(source: SourceTables) -> pl.LazyFrame:
    """Map each organisation to its control group: org_id, group_org_id (the smallest org_id of all its members)."""
    known = source[Organisation].select("org_id", "group_id")
    smallest = pl.col("org_id").min().over("group_id")
    return known.select(
        "org_id", group_org_id=pl.when(pl.col("group_id").is_not_null()).then(smallest).otherwise("org_id")
    )


def with_group(rows: pl.LazyFrame, source: SourceTables, org: str, name: str) -> pl.LazyFrame:
    """Add the control group of the organisation in column ``org`` as column ``name``; unknown ones stand alone."""
    groups = control_groups(source).rename({"org_id": org, "group_org_id": name})
    return rows.join(groups, on=org, how="left").with_columns(pl.col(name).fill_null(pl.col(org)))
