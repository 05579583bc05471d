"""An agency among those whose tenders it runs and those who win them: how concentrated its business is."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.awards import known_awards
from features.derive.bidders import decided_lots
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.lots import first_opening
from features.derive.pairs import organisation_pair
from features.derive.tenderers import win_rates
from features.derive.windows import in_window, short_history
from features.tables.projects import Project
from features.tables.source import SourceTables
from features.tables.tendering import Tender


class AgencyWinRate(Derived):
    """How often one winner (a control group) wins in one agency's tenders, and under others in the same markets."""

    subject_id = dy.String()
    agency_org_id = dy.String()
    winner_org_id = dy.String()
    n_wins = dy.Int64(min=0)
    """k: lots won under the agency, among lots whose bids are all published."""
    n_bids = dy.Int64(min=0)
    """m: lots with a valid bid under the agency."""
    n_wins_elsewhere = dy.Int64(min=0)
    """Under other agencies; a tender that its tenderer ran itself is nobody's."""
    n_bids_elsewhere = dy.Int64(min=0)
    n_bids_all = dy.Int64(min=0)
    """m with the lots whose bids are not all published."""
    n_bids_elsewhere_all = dy.Int64(min=0)
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
        """Count decided competitive lots opened in the window (rulings G6, G7, G10, SI-059)."""
        lots = decided_lots(source, as_of, window_months)
        return (
            win_rates(source, as_of, lots, "agency_org_id")
            .with_columns(
                subject_id=organisation_pair(pl.col("agency_org_id"), pl.col("winner_org_id")),
                short_history=pl.lit(short_history(first_opening(source), as_of, window_months)),
            )
            .select(cls.column_names())
            .sort("subject_id", "agency_org_id")
        )


class AgencyShare(Derived):
    """How many of one tenderer's tenders one agency ran, and how many agencies there were to choose from."""

    subject_id = dy.String()
    tenderer_org_id = dy.String()
    agency_org_id = dy.String()
    n_run = dy.Int64(min=0)
    """Tenders of the tenderer that the agency ran."""
    n_tenders = dy.Int64(min=0)
    """All of the tenderer's, those it ran itself among them."""
    n_agencies = dy.Int64(min=0)
    """Agencies with a tender in the window in a city where the tenderer had one."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
        """Count tenders of any method opened in the window; an unknown city is a place of its own (SI-060)."""
        cities = source[Project].select("project_id", city=pl.col("region_code").str.slice(0, 4))
        tenders = (
            source[Tender]
            .select("tender_id", "project_id", "tenderer_org_id", "agency_org_id", "opening_at")
            .filter(in_window(pl.col("opening_at"), as_of, window_months))
            .join(cities, on="project_id", how="left")
            .with_columns(pl.col("city").fill_null("?"))
        )
        own = tenders.filter(pl.col("tenderer_org_id").is_not_null())
        led = tenders.filter(pl.col("agency_org_id").is_not_null())
        choice = (
            own.select("tenderer_org_id", "city")
            .unique()
            .join(led.select("city", "agency_org_id").unique(), on="city", how="inner")
            .group_by("tenderer_org_id")
            .agg(n_agencies=pl.col("agency_org_id").n_unique().cast(pl.Int64))
        )
        totals = own.group_by("tenderer_org_id").agg(n_tenders=pl.len().cast(pl.Int64))
        return (
            own.filter(pl.col("agency_org_id") != pl.col("tenderer_org_id"))
            .group_by("tenderer_org_id", "agency_org_id")
            .agg(
                n_run=pl.len().cast(pl.Int64),
                evidence=rows_as_evidence("tender", "tender_id", ["tenderer_org_id", "agency_org_id"]),
            )
            .join(totals, on="tenderer_org_id", how="inner")
            .join(choice, on="tenderer_org_id", how="inner")
            .with_columns(
                subject_id=organisation_pair(pl.col("tenderer_org_id"), pl.col("agency_org_id")),
                short_history=pl.lit(short_history(first_opening(source), as_of, window_months)),
            )
            .select(cls.column_names())
            .sort("subject_id", "tenderer_org_id")
        )


class AgencyTriangle(Derived):
    """How often one tenderer, one agency and one winner (a control group) met, and how often chance would have it."""

    subject_id = dy.String()
    """The pair of agency and winner."""
    tenderer_org_id = dy.String()
    agency_org_id = dy.String()
    winner_org_id = dy.String()
    n_met = dy.Int64(min=0)
    """c: tenders of the tenderer that the agency ran and the winner won."""
    n_agency = dy.Int64(min=0)
    """Tenders of the tenderer that the agency ran."""
    n_winner = dy.Int64(min=0)
    """Tenders of the tenderer that the winner won."""
    n_tenders = dy.Int64(min=0)
    """n(T): tenders of the tenderer."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
        """Count decided competitive tenders with an agency opened in the window (rulings G6, G7, SI-061).

        A tender counts once for each group that won a lot of it.
        """
        ends = ["tenderer_org_id", "agency_org_id"]
        lots = (
            decided_lots(source, as_of, window_months)
            .filter(pl.col(name).is_not_null() for name in ends)
            .select("lot_id", "tender_id", *ends)
        )
        tenders = lots.select("tender_id", *ends).unique()
        awards = (
            known_awards(source, as_of)
            .select("award_id", "lot_id", "org_id", winner_org_id="group_org_id")
            .join(lots, on="lot_id", how="inner")
        )
        won = awards.select("tender_id", "tenderer_org_id", "winner_org_id").unique()
        n_winner = won.group_by("tenderer_org_id", "winner_org_id").agg(n_winner=pl.len().cast(pl.Int64))
        return (
            awards.group_by(*ends, "winner_org_id")
            .agg(
                n_met=pl.col("tender_id").n_unique().cast(pl.Int64),
                evidence=rows_as_evidence("award", "award_id", ["tender_id", "tenderer_org_id", "org_id"]),
            )
            .join(n_winner, on=["tenderer_org_id", "winner_org_id"], how="inner")
            .join(tenders.group_by(ends).agg(n_agency=pl.len().cast(pl.Int64)), on=ends, how="inner")
            .join(
                tenders.group_by("tenderer_org_id").agg(n_tenders=pl.len().cast(pl.Int64)),
                on="tenderer_org_id",
                how="inner",
            )
            .with_columns(
                subject_id=organisation_pair(pl.col("agency_org_id"), pl.col("winner_org_id")),
                short_history=pl.lit(short_history(first_opening(source), as_of, window_months)),
            )
            .select(cls.column_names())
            .sort("subject_id", "tenderer_org_id", "agency_org_id")
        )
