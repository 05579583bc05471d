"""How owners go around open tenders: other methods where one is due, and the emergency route."""

import datetime as dt

import dataframely as dy
import numpy as np
import polars as pl

from features.clock import SHANGHAI
from features.derive.contract_facts import signed_contracts
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.purchases import purchases
from features.derive.tender_limits import TenderLimits
from features.derive.windows import in_window, short_history
from features.tables.as_of import known_as_of
from features.tables.columns import MONEY_MAX
from features.tables.contracts import Contract
from features.tables.procurement import EmergencyProject
from features.tables.projects import Approval, Project
from features.tables.source import SourceTables

SUM = pl.Decimal(38, 2)
CONTRACTS_MIN = 4
"""Fewest contracts due for an open tender that make a tenderer a peer (rulings SI-082)."""
WITHOUT_TENDER = ("single_source", "direct_award")
DEVIATIONS = ("no_tender_approval", "method_change")
"""Approvals that allow another method even where they name none; a tender scheme allows what it names."""
OUTSIDE = ("outside_pool", "pool_designated")


class OtherMethods(Derived):
    """How one tenderer awarded what was due for an open tender, and how comparable tenderers did."""

    subject_id = dy.String(primary_key=True)
    """The tenderer."""
    n_contracts = dy.Int64(min=0)
    """Contracts and orders due for an open tender: the project is, or the amount reaches the limit."""
    n_other = dy.Int64(min=0)
    """Those of them not publicly tendered."""
    n_unapproved = dy.Int64(min=0)
    """Those of these without an approval."""
    other_share = dy.Float64(nullable=True, min=0, max=1)
    """Share of their value that was not publicly tendered; null without any value."""
    n_peers = dy.Int64(min=0)
    peer_share = dy.Float64(nullable=True, min=0, max=1)
    """Median of the peers' shares."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
        """Weigh each tenderer's methods against those of others of its cities (rulings SI-082)."""
        bought = purchases(source, as_of, TenderLimits())
        projects = known_as_of(source[Project], Project, as_of).select(
            "project_id", "mandatory_tender", city=pl.col("region_code").str.slice(0, 4)
        )
        due = (
            bought.filter(in_window(pl.col("signed_at"), as_of, window_months))
            .join(projects, on="project_id", how="left")
            .filter((pl.col("mandatory_tender") | ~pl.col("below_limit")).fill_null(value=False))
            .with_columns(other=(pl.col("method") != "public_tender").fill_null(value=True))
        )
        approved = _approved(due, source, as_of).with_columns(approved=pl.lit(value=True))
        known = due.join(approved, on=["table", "key"], how="left").collect().lazy()
        value, other = pl.col("amount").cast(SUM), pl.col("other")
        unapproved = other & pl.col("approved").is_null()
        fields = ["project_id", "amount", "limit", "method", "signed_at", "approved"]
        own = (
            known.group_by(subject_id="owner_org_id")
            .agg(
                n_contracts=pl.len().cast(pl.Int64),
                n_other=other.sum().cast(pl.Int64),
                n_unapproved=unapproved.sum().cast(pl.Int64),
                total=value.sum(),
                others=value.filter(other).sum(),
                cities=pl.col("city").drop_nulls().unique().sort(),
                evidence=rows_as_evidence(pl.col("table"), "key", fields, where=other),
            )
            .with_columns(
                other_share=pl.when(pl.col("total") > 0).then(
                    pl.col("others").cast(pl.Float64) / pl.col("total").cast(pl.Float64)
                )
            )
            .collect()
        )
        first = bought.select(pl.col("signed_at").min()).collect().item()
        return (
            own.join(_peers(own), on="subject_id", how="left")
            .with_columns(
                pl.col("n_peers").fill_null(0), short_history=pl.lit(short_history(first, as_of, window_months))
            )
            .select(cls.column_names())
            .sort("subject_id")
            .lazy()
        )


class EmergencyRoute(Derived):
    """One emergency project: how soon works began, what was confirmed, who was chosen."""

    subject_id = dy.String()
    """The project."""
    emergency_id = dy.String(nullable=True)
    """Null where nothing tells of the event."""
    days_to_start = dy.Int64(nullable=True)
    """Calendar days from the event to the start of works."""
    is_late = dy.Bool(nullable=True)
    """Confirmed after works began, or not at all although they began."""
    is_beyond_hazard = dy.Bool(nullable=True)
    amount = dy.Decimal(18, 2, nullable=True, min=0, max=MONEY_MAX)
    """The largest contract of the project."""
    is_chosen = dy.Bool(nullable=True)
    """The contractor was designated, or comes from outside the pool."""
    evidence_count = dy.Int64(nullable=True, min=0)
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Bring what was known of each emergency at ``as_of`` together (rulings SI-083)."""
        amounts = signed_contracts(source, as_of).group_by("project_id").agg(pl.col("amount").max())
        events = known_as_of(
            source[EmergencyProject], EmergencyProject, as_of, {Contract.NAME: source[Contract]}
        ).filter(pl.col("event_at") <= as_of)
        began, event, confirmed = (
            pl.col(name).dt.convert_time_zone(str(SHANGHAI))
            for name in ("works_started_at", "event_at", "confirmed_at")
        )
        shown = [
            "event_at",
            "works_started_at",
            "confirmed_at",
            "limited_to_hazard",
            "contractor_source",
            "evidence_count",
        ]
        facts = events.select(
            "project_id",
            "emergency_id",
            "evidence_count",
            days_to_start=(began.dt.date() - event.dt.date()).dt.total_days(),
            is_late=pl.when(began.is_not_null()).then((confirmed > began).fill_null(value=True)),
            is_beyond_hazard=~pl.col("limited_to_hazard"),
            is_chosen=pl.col("contractor_source").cast(pl.String).is_in(OUTSIDE),
        )
        rows = events.group_by("emergency_id").agg(
            evidence=rows_as_evidence("emergency_project", "emergency_id", shown)
        )
        projects = (
            known_as_of(source[Project], Project, as_of)
            .filter(pl.col("project_type").cast(pl.String) == "emergency")
            .select("project_id")
        )
        return (
            pl.concat([projects, facts.select("project_id")])
            .unique()
            .join(facts, on="project_id", how="left")
            .join(rows, on="emergency_id", how="left")
            .join(amounts, on="project_id", how="left")
            .with_columns(pl.col("evidence").fill_null("[]"), subject_id="project_id")
            .select(cls.column_names())
            .sort("subject_id", "emergency_id")
        )


def _approved(due: pl.LazyFrame, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the contracts and orders whose method an approval allows: table, key."""
    kind, named = pl.col("approval_type"), pl.col("approved_method")
    approvals = (
        known_as_of(source[Approval], Approval, as_of)
        .with_columns(pl.col("approval_type", "approved_method", "status").cast(pl.String))
        .filter(
            kind.is_in([*DEVIATIONS, "tender_scheme"]),
            # What has expired since was an approval.
            pl.col("status").is_in(["approved", "expired"]),
            pl.col("approved_at").is_not_null(),
        )
        .select("project_id", "approval_type", "approved_method", of_lot="lot_id", of_contract="contract_id")
    )
    method = pl.col("method")
    untendered = method.is_null() | method.is_in(WITHOUT_TENDER)
    allows = (
        (named.is_null() & kind.is_in(DEVIATIONS))
        | (named == method).fill_null(value=False)
        | ((named == "no_tender").fill_null(value=False) & untendered)
    )
    own_contract = (pl.col("table") == "contract") & (pl.col("of_contract") == pl.col("key"))
    covers = (pl.col("of_lot").is_null() | (pl.col("of_lot") == pl.col("lot_id"))) & (
        pl.col("of_contract").is_null() | own_contract
    )
    return (
        due.filter("other")
        .join(approvals, on="project_id", how="inner")
        .filter(allows, covers.fill_null(value=False))
        .select("table", "key")
        .unique()
    )


def _peers(own: pl.DataFrame) -> pl.DataFrame:
    """Return how many comparable tenderers share a city with each one, and their median share.

    Tenderers of the same cities have the same peers, each less itself.
    """
    peers = own.filter(pl.col("n_contracts") >= CONTRACTS_MIN, pl.col("other_share").is_not_null())
    of_city = peers.select("subject_id", "other_share", city="cities").explode("city")
    found = [
        _medians(those, of_city.filter(pl.col("city").is_in(those.get_column("cities")[0].to_list())))
        for those in own.filter(pl.col("cities").list.len() > 0).partition_by("cities", maintain_order=True)
    ]
    empty = pl.DataFrame(schema={"subject_id": pl.String, "n_peers": pl.Int64, "peer_share": pl.Float64})
    return pl.concat([empty, *found])


def _medians(those: pl.DataFrame, peers: pl.DataFrame) -> pl.DataFrame:
    """Return for each of those the number of peers and the median of their shares, its own left out."""
    ordered = peers.select("subject_id", "other_share").unique().sort("other_share", "subject_id").with_row_index("at")
    placed = those.select("subject_id").join(ordered, on="subject_id", how="left", maintain_order="left")
    shares = ordered.get_column("other_share").to_numpy()
    own = placed.get_column("at").fill_null(len(shares)).to_numpy().astype(np.int64)
    n = len(shares) - (own < len(shares))
    middle = [at + (at >= own) for at in ((n - 1) // 2, n // 2)]
    padded = np.append(shares, [0.0, 0.0])
    median = (padded[middle[0]] + padded[middle[1]]) / 2
    return placed.select(
        "subject_id",
        n_peers=pl.Series(n, dtype=pl.Int64),
        peer_share=pl.Series(np.where(n > 0, median, np.nan)).fill_nan(None),
    )
