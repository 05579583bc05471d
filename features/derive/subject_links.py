"""Which indicator values count for which scored subject (the roll-up of the smoke index)."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.awards import known_awards
from features.derive.bids import submitted_bids
from features.derive.lots import lot_facts, with_group
from features.derive.pairs import organisation_pair
from features.tables.source import SourceTables

DAYS_A_MONTH = 365.2425 / 12
"""The mean month of the Gregorian calendar, for ages in months."""


class SubjectLink(dy.Schema):
    """An indicator value that sits on one subject counts for another one.

    Grain: one way in which ``of`` counts for the scored subject.
    """

    subject_type = dy.String(primary_key=True)
    subject_id = dy.String(primary_key=True)
    of_type = dy.String(primary_key=True)
    of_id = dy.String(primary_key=True)
    role = dy.String(primary_key=True)
    """What ``of`` is to the subject: self, bid, bidders (a pair of them), winner (a pair of the tenderer with its
    winner), tie (any pair it belongs to); of an organisation's lots what it was there: bidder, tenderer, agency."""
    age_months = dy.Float64(min=0)
    """Months from the opening of the lot to the moment of scoring, for the lots and bids of an organisation; else 0."""


def subject_links(source: SourceTables, as_of: dt.datetime) -> pl.DataFrame:
    """Return what counts for every lot, project, organisation and pair with an event by a moment.

    A lot takes its own values, its bids', those of the pairs of its bidders and of its tenderer with its winner; a
    project takes those of its lots and its own; an organisation its own, those of its pairs, and those of the lots and
    bids that it took part in, by their age; a pair its own (design README section 4, step 3). Lots count once opened
    with a bid that was not withdrawn, or once their award is known (rulings G16); tenderer and agency of a lot that
    was opened and drew no bid count as well.

    Args:
        source: the tables.
        as_of: the moment of scoring.

    Returns:
        Rows of ``SubjectLink``, sorted by subject.
    """
    bids, awards = submitted_bids(source), known_awards(source, as_of)
    facts = lot_facts(source, as_of).join(
        awards.group_by("lot_id").agg(pl.col("awarded_at").min()), on="lot_id", how="left"
    )
    seen = pl.when("opened").then("opening_at").otherwise("awarded_at")
    known = facts.filter(seen.is_not_null()).select(
        "lot_id", "project_id", "tenderer_org_id", "agency_org_id", "opened", age_months=_months_since(seen, as_of)
    )
    # Bids of a lot that is not opened are not known, its award may be.
    own_bids = bids.join(known.filter("opened").select("lot_id", "age_months"), on="lot_id", how="inner")
    won = awards.join(known.select("lot_id", "age_months"), on="lot_id", how="inner")
    bidders = own_bids.select("lot_id", "age_months", org_id="bidder_org_id")
    there = pl.concat([bidders, won.select("lot_id", "age_months", "org_id")]).unique()
    lots = known.join(there, on="lot_id", how="semi")
    of_bidders = _bidder_pairs(there, source)
    of_winners = _tenderer_pairs(lots, awards.select("lot_id", "org_id", "group_org_id"))
    of_tenderers = _tenderer_pairs(lots, with_group(there.select("lot_id", "org_id"), source, "org_id", "group_org_id"))
    of_lots = pl.concat(
        [
            _link("lot", "lot_id", "lot", "lot_id", "self", lots),
            _link("lot", "lot_id", "bid", "bid_id", "bid", own_bids),
            _link("lot", "lot_id", "pair", "pair_id", "bidders", of_bidders),
            _link("lot", "lot_id", "pair", "pair_id", "winner", of_winners),
        ]
    )
    of_projects = (
        of_lots.rename({"subject_id": "lot_id"})
        .join(lots.select("lot_id", "project_id"), on="lot_id", how="inner")
        .select(
            pl.lit("project").alias("subject_type"), subject_id="project_id", of_type="of_type", of_id="of_id",
            role="role", age_months="age_months",
        )
    )  # fmt: skip
    tenderers = known.filter(pl.col("tenderer_org_id").is_not_null())
    agencies = known.filter(pl.col("agency_org_id").is_not_null())
    in_lots = pl.concat(
        [
            _link("organisation", "org_id", "lot", "lot_id", "bidder", there, aged=True),
            _link("organisation", "tenderer_org_id", "lot", "lot_id", "tenderer", tenderers, aged=True),
            _link("organisation", "agency_org_id", "lot", "lot_id", "agency", agencies, aged=True),
            _link("organisation", "bidder_org_id", "bid", "bid_id", "bid", own_bids, aged=True),
        ]
    )
    ties = pl.concat(
        [
            _link("organisation", end, "pair", "pair_id", "tie", pairs)
            for pairs in (of_bidders, of_tenderers)
            for end in ("org_id_1", "org_id_2")
        ]
    )
    alone = [
        _link("project", "project_id", "project", "project_id", "self", lots),
        *(
            _link(kind, "subject_id", kind, "subject_id", "self", links.select("subject_id").unique())
            for kind, links in (("organisation", pl.concat([in_lots, ties])), ("pair", ties.select(subject_id="of_id")))
        ),
    ]
    links = pl.concat([of_lots, of_projects, in_lots, ties, *alone]).unique().collect()
    return links.sort(SubjectLink.column_names())


def _link(
    subject_type: str, subject: str, of_type: str, of: str, role: str, rows: pl.LazyFrame, *, aged: bool = False
) -> pl.LazyFrame:
    """Return one link a row, from the column of the subject to the column of what counts for it."""
    return rows.select(
        subject_type=pl.lit(subject_type),
        subject_id=pl.col(subject),
        of_type=pl.lit(of_type),
        of_id=pl.col(of),
        role=pl.lit(role),
        age_months=pl.col("age_months") if aged else pl.lit(0.0),
    )


def _bidder_pairs(there: pl.LazyFrame, source: SourceTables) -> pl.LazyFrame:
    """Return the pairs of bidders of different control groups in each lot: lot_id, org_id_1, org_id_2, pair_id."""
    grouped = with_group(there.select("lot_id", "org_id"), source, "org_id", "group_org_id")
    return (
        grouped.join(grouped, on="lot_id", suffix="_2")
        .filter(pl.col("org_id") < pl.col("org_id_2"), pl.col("group_org_id") != pl.col("group_org_id_2"))
        .select("lot_id", org_id_1="org_id", org_id_2="org_id_2")
        .with_columns(pair_id=organisation_pair(pl.col("org_id_1"), pl.col("org_id_2")))
    )


def _tenderer_pairs(lots: pl.LazyFrame, others: pl.LazyFrame) -> pl.LazyFrame:
    """Return the pairs of each lot's tenderer with others' control groups: lot_id, org_id_1, org_id_2, pair_id.

    ``org_id_2`` is the organisation itself, so that it and not only the group's first member bears the tie.
    """
    return (
        lots.filter(pl.col("tenderer_org_id").is_not_null())
        .join(others.unique(), on="lot_id", how="inner")
        .select(
            "lot_id",
            org_id_1="tenderer_org_id",
            org_id_2="org_id",
            pair_id=organisation_pair(pl.col("tenderer_org_id"), pl.col("group_org_id")),
        )
    )


def _months_since(moment: pl.Expr, as_of: dt.datetime) -> pl.Expr:
    return (pl.lit(as_of) - moment).dt.total_microseconds() / (DAYS_A_MONTH * 86_400_000_000)
