"""What is at stake in a result: the lots, contracts and projects that its evidence rows belong to, and their money."""

import datetime as dt

import polars as pl

from features.derive.awards import known_awards
from features.derive.lots import lot_facts
from features.tables.columns import Table
from features.tables.contract import FACT_TABLES
from features.tables.contracts import Contract
from features.tables.projects import Project
from features.tables.source import SourceTables
from features.tables.tendering import Bid, Lot

EVIDENCE = pl.List(pl.Struct({"table": pl.String, "key": pl.String}))
SUBJECT = ["subject_type", "subject_id"]
PLACES = ("bid_id", "lot_id", "contract_id", "tender_id", "project_id")
"""What a row may name as what it belongs to."""


def at_stake(results: pl.DataFrame, source: SourceTables, as_of: dt.datetime) -> pl.DataFrame:
    """Return what the evidence rows of results belong to, and how much money it is.

    A lot counts with what it was awarded for by the moment, else with its control price; a contract that belongs to no
    lot with its amount; a project with no money of its own. Each counts once a subject.

    Args:
        results: one or more rows a subject: subject_type, subject_id, evidence (JSON).
        source: the tables.
        as_of: the moment.

    Returns:
        One row a subject whose rows belong somewhere: subject_type, subject_id, amount_cny (null where no amount in
        CNY is known), n_lots, n_contracts (those of no lot), region_codes, first_at and last_at (openings of the lots,
        signing of the contracts), sorted.
    """
    placed = _placed(_rows(results), source)
    lots = pl.concat([_lots_of(placed, source), _lots_of_contracts(placed, source)]).unique()
    contracts = _contracts_without_lot(placed, source)
    projects = placed.filter(pl.all_horizontal(pl.col("lot_id", "contract_id", "tender_id").is_null()))
    counted = pl.concat(
        [
            lots.join(_lot_amounts(source, as_of), on="lot_id", how="inner"),
            contracts,
            projects.select(*SUBJECT, "project_id").unique(),
        ],
        how="diagonal",
    )
    regions = source[Project].select("project_id", "region_code")
    known = counted.lazy().join(regions, on="project_id", how="left").sort(*SUBJECT, "lot_id", "contract_id")
    return (
        known.group_by(*SUBJECT, maintain_order=True)
        .agg(
            amount_cny=pl.when(pl.col("amount").count() > 0).then(pl.col("amount").sum()),
            n_lots=pl.col("lot_id").drop_nulls().n_unique().cast(pl.Int64),
            n_contracts=pl.col("contract_id").drop_nulls().n_unique().cast(pl.Int64),
            region_codes=pl.col("region_code").drop_nulls().unique().sort(),
            first_at=pl.col("at").min(),
            last_at=pl.col("at").max(),
        )
        .collect()
    )


def _rows(results: pl.DataFrame) -> pl.DataFrame:
    """Return the evidence rows of each subject, once each: table and key."""
    told = results.select(pl.col(SUBJECT).cast(pl.String), row=pl.col("evidence").str.json_decode(EVIDENCE))
    return told.explode("row").unnest("row").drop_nulls("table").unique()


def _placed(rows: pl.DataFrame, source: SourceTables) -> pl.DataFrame:
    """Return what the rows belong to: subject and ``PLACES``, null where a row names none."""
    nowhere = pl.DataFrame(schema=dict.fromkeys([*SUBJECT, *PLACES], pl.String))
    parts = [nowhere]
    for (name,), part in rows.partition_by("table", as_dict=True).items():
        table = FACT_TABLES.get(str(name))
        named = [] if table is None else [place for place in PLACES if place in table.column_names()]
        if table is not None and named:
            parts.append(_joined(part, source, table, named).select(*SUBJECT, *named))
    return pl.concat(parts, how="diagonal").unique()


def _joined(rows: pl.DataFrame, source: SourceTables, table: type[Table], named: list[str]) -> pl.DataFrame:
    keyed = source[table].select(pl.col(table.key()).alias("key"), *named)
    return rows.lazy().join(keyed, on="key", how="inner").collect()


def _lots_of(placed: pl.DataFrame, source: SourceTables) -> pl.DataFrame:
    """Return the lots that rows name, that their bids are for, or else those of their tender."""
    by_bid = source[Bid].select("bid_id", of_bid="lot_id")
    named = placed.lazy().join(by_bid, on="bid_id", how="left").with_columns(lot_id=pl.coalesce("lot_id", "of_bid"))
    direct = named.filter(pl.col("lot_id").is_not_null()).select(*SUBJECT, "lot_id")
    of_tender = named.filter(pl.col("lot_id").is_null(), pl.col("contract_id").is_null()).select(*SUBJECT, "tender_id")
    through = of_tender.join(source[Lot].select("lot_id", "tender_id"), on="tender_id", how="inner")
    return pl.concat([direct, through.select(*SUBJECT, "lot_id")]).unique().collect()


def _contracts(placed: pl.DataFrame, source: SourceTables) -> pl.LazyFrame:
    wanted = placed.filter(pl.col("lot_id").is_null(), pl.col("contract_id").is_not_null()).select(
        *SUBJECT, "contract_id"
    )
    facts = source[Contract].select("contract_id", "lot_id", "project_id", "amount", at="signed_at")
    return wanted.unique().lazy().join(facts, on="contract_id", how="inner")


def _lots_of_contracts(placed: pl.DataFrame, source: SourceTables) -> pl.DataFrame:
    of_lots = _contracts(placed, source).filter(pl.col("lot_id").is_not_null())
    return of_lots.select(*SUBJECT, "lot_id").unique().collect()


def _contracts_without_lot(placed: pl.DataFrame, source: SourceTables) -> pl.DataFrame:
    alone = _contracts(placed, source).filter(pl.col("lot_id").is_null()).drop("lot_id")
    return alone.with_columns(pl.col("amount").cast(pl.Decimal(38, 2))).collect()


def _lot_amounts(source: SourceTables, as_of: dt.datetime) -> pl.DataFrame:
    """Return project, opening and money of each lot: what it was awarded for, else its control price."""
    awarded = known_awards(source, as_of).group_by("lot_id").agg(awarded=pl.col("amount").drop_nulls().sum())
    prices = source[Lot].select("lot_id", "control_price")
    amount = pl.when(pl.col("awarded") > 0).then("awarded").otherwise("control_price").cast(pl.Decimal(38, 2))
    return (
        lot_facts(source, as_of)
        .select("lot_id", "project_id", "currency", at="opening_at")
        .join(prices, on="lot_id", how="left")
        .join(awarded, on="lot_id", how="left")
        .select("lot_id", "project_id", "at", amount=pl.when(pl.col("currency") == "CNY").then(amount))
        .collect()
    )
