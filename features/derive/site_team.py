"""The people who were promised for a site, those who are there, for whom they work and where else they are booked."""

import datetime as dt

import dataframely as dy
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from features.clock import SHANGHAI
from features.derive.contract_facts import (
    contract_bids,
    contract_parties,
    per_contract,
    signed_contracts,
    winning_bids,
)
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.windows import complete_months
from features.tables.as_of import known_as_of
from features.tables.organisations import PersonCertificate, SocialInsurance
from features.tables.projects import Project
from features.tables.site import KeyPersonnel, PersonnelReplacement, Suspension
from features.tables.source import SourceTables
from features.tables.tendering import Lot

MANAGER = "project_manager"
KEY_POSITIONS = (MANAGER, "tech_lead", "quality_lead", "safety_lead")
PERSON = ["contract_id", "person_id"]


def known_people(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return who holds which position as known at ``as_of``; an undated start is past, an end to come is null."""
    people = known_as_of(source[KeyPersonnel], KeyPersonnel, as_of)
    return people.with_columns(pl.col("position", "source").cast(pl.String))


def key_holders(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return those of ``known_people`` who really hold or held a key position."""
    return known_people(source, as_of).filter(pl.col("source") == "actual", pl.col("position").is_in(KEY_POSITIONS))


def stoppages(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the stoppages that had begun by ``as_of``: project_id, from_date, to_date (null: not resumed)."""
    known = known_as_of(source[Suspension], Suspension, as_of)
    return known.filter(pl.col("from_date").is_not_null()).select("project_id", "from_date", "to_date")


class TeamEmployment(Derived):
    """For whom the key people work that are in office on the site of one contract."""

    subject_id = dy.String()
    """The project."""
    contract_id = dy.String(primary_key=True)
    has_left = dy.Bool()
    """All key people known have left: the work is over."""
    n_insured = dy.Int64(min=0)
    """People in office whose insurance in the months says for whom they work."""
    n_known = dy.Int64(min=0)
    """People in office of whom insurance or a certificate says it."""
    n_foreign = dy.Int64(min=0)
    """Those who work for nobody of the contractor and its consortium."""
    is_manager_foreign = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, si_months: int) -> pl.LazyFrame:
        """Look up insurance of the last complete months and registration of each key person (rulings G22, SI-038).

        Foreign is who was insured in each of the months and never by a party of the contract, or whose certificates
        name an employer and none a party. Who was insured elsewhere in some of the months only is not known.
        """
        posts = key_holders(source, as_of)
        in_office = posts.filter(pl.col("assigned_to").is_null()).select(
            "kp_id", "contract_id", "position", "person_id"
        )
        parties = contract_parties(source, as_of).with_columns(is_party=True)
        insured = (
            source.with_sensitive(SocialInsurance)
            .filter(pl.col("month").is_in(complete_months(as_of, si_months)))
            .select("person_id", "org_id", "month")
        )
        registered = source[PersonCertificate].select("person_id", org_id="reg_org_id", month=pl.lit("")).drop_nulls()
        judged = (
            in_office.join(_elsewhere(in_office, insured, parties, si_months), on=PERSON, how="left")
            .join(_elsewhere(in_office, registered, parties, 1), on=PERSON, how="left", suffix="_registered")
            .with_columns(
                foreign=pl.any_horizontal("elsewhere", "elsewhere_registered").fill_null(value=False),
                insured_elsewhere="elsewhere",
                registered_elsewhere="elsewhere_registered",
            )
        )
        person, said = pl.col("person_id"), pl.col("elsewhere").is_not_null()
        counted = judged.group_by("contract_id").agg(
            n_insured=person.filter(said).n_unique().cast(pl.Int64),
            n_known=person.filter(said | pl.col("elsewhere_registered").is_not_null()).n_unique().cast(pl.Int64),
            n_foreign=person.filter("foreign").n_unique().cast(pl.Int64),
            is_manager_foreign=(pl.col("foreign") & (pl.col("position") == MANAGER)).any(),
            evidence=rows_as_evidence(
                "key_personnel",
                "kp_id",
                ["position", "person_id", "insured_elsewhere", "registered_elsewhere"],
                where=pl.col("foreign"),
            ),
        )
        left = posts.group_by("contract_id").agg(has_left=pl.col("assigned_to").is_not_null().all())
        contracts = signed_contracts(source, as_of).select("contract_id", subject_id="project_id")
        return per_contract(cls, contracts, left, counted)


def _elsewhere(people: pl.LazyFrame, employed: pl.LazyFrame, parties: pl.LazyFrame, n_months: int) -> pl.LazyFrame:
    """Tell of each person whether all of ``n_months`` name an employer and none a party; null if months are missing.

    Grain: contract_id, person_id. Column: elsewhere.
    """
    is_party, is_complete = pl.col("is_party").is_not_null().any(), pl.col("month").n_unique() == n_months
    return (
        people.select(PERSON)
        .unique()
        .join(employed, on="person_id", how="inner")
        .join(parties, on=["contract_id", "org_id"], how="left")
        .group_by(PERSON)
        .agg(elsewhere=pl.when(is_party).then(statement=False).when(is_complete).then(statement=True))
    )


class TeamSwap(Derived):
    """Positions of one contract that others took than those the bid had promised."""

    subject_id = dy.String()
    """The project."""
    contract_id = dy.String(primary_key=True)
    has_started = dy.Bool()
    """The first day of works is known."""
    n_actual = dy.Int64(min=0)
    """People recorded as really there."""
    n_promised = dy.Int64(min=0)
    """Positions for which the bid named somebody."""
    n_swapped = dy.Int64(min=0)
    """Those of them that another person took soon after the start of works."""
    is_manager_swapped = dy.Bool()
    is_manager_approved = dy.Bool()
    """A replacement of the project manager of that time has been approved."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, swap_days: int) -> pl.LazyFrame:
        """Compare who was promised with who came within ``swap_days`` of the start (rulings G3, SI-039).

        A position that is left empty is not swapped.
        """
        projects = known_as_of(source[Project], Project, as_of).select("project_id", "actual_start_date")
        contracts = (
            signed_contracts(source, as_of)
            .select("contract_id", "project_id")
            .join(projects, on="project_id", how="left")
            .with_columns(subject_id="project_id", has_started=pl.col("actual_start_date").is_not_null())
        )
        until = contracts.select("contract_id", until=pl.col("actual_start_date").dt.offset_by(f"{swap_days}d"))
        people = known_people(source, as_of)
        seat = ["contract_id", "position"]
        promised = _promised(source, as_of, people).join(contracts, on="contract_id", how="semi")
        actual = people.filter(pl.col("source") == "actual")
        in_time = (pl.col("assigned_from") <= pl.col("until")) | pl.col("assigned_from").is_null()
        swapped = (
            actual.join(until, on="contract_id", how="inner")
            .filter(in_time & pl.col("until").is_not_null())
            .join(promised, on=seat, how="semi")
            .join(promised, on=[*seat, "person_id"], how="anti")
        )
        approved = (
            known_as_of(source[PersonnelReplacement], PersonnelReplacement, as_of)
            .filter(pl.col("position").cast(pl.String) == MANAGER, pl.col("approved_at").is_not_null())
            .join(until, on="contract_id", how="inner")
            .filter(pl.col("effective_at") <= pl.col("until"))
        )
        return per_contract(
            cls,
            contracts,
            actual.group_by("contract_id").agg(n_actual=pl.len().cast(pl.Int64)),
            promised.group_by("contract_id").agg(n_promised=pl.col("position").n_unique().cast(pl.Int64)),
            swapped.group_by("contract_id").agg(
                n_swapped=pl.col("position").n_unique().cast(pl.Int64),
                is_manager_swapped=(pl.col("position") == MANAGER).any(),
                evidence=rows_as_evidence("key_personnel", "kp_id", ["position", "person_id", "assigned_from"]),
            ),
            approved.select("contract_id", is_manager_approved=True).unique(),
        )


def _promised(source: SourceTables, as_of: dt.datetime, people: pl.LazyFrame) -> pl.LazyFrame:
    """Return whom the bid promised for which position: contract_id, position, person_id.

    A position that the register of key people does not name is taken from the winning bid itself.
    """
    seat = ["contract_id", "position"]
    registered = people.filter(pl.col("source") == "bid").select(*seat, "person_id")
    offered = (
        contract_bids(source, as_of)
        .join(winning_bids(source, as_of).unique("bid_id"), on="bid_id", how="inner")
        .select("contract_id", project_manager="pm_person_id", tech_lead="tech_lead_person_id")
        .unpivot(index="contract_id", variable_name="position", value_name="person_id")
        .filter(pl.col("person_id").is_not_null())
    )
    return pl.concat([registered, offered.join(registered, on=seat, how="anti")]).unique()


class ManagerBooking(Derived):
    """How many works one person manages at the moment."""

    subject_id = dy.String(primary_key=True)
    """The person."""
    has_contract = dy.Bool()
    """Project manager of some signed contract, now or before; otherwise of a winning bid only."""
    n_contracts = dy.Int64(min=0)
    """Contracts being performed and lots won beside them, each for itself."""
    n_works = dy.Int64(min=0)
    """The same with those of one project or one works counted once."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, stop_days: int) -> pl.LazyFrame:
        """Count performing contracts and lots won while already booked, adjacent ones once (rulings G5, SI-046).

        A contract counts while the person holds the post and the works are not stopped for more than ``stop_days``; a
        lot won counts until its contract is signed, if the person managed a contract signed before the award.
        """
        contracts = signed_contracts(source, as_of).select("contract_id", "project_id", "lot_id", "signed_at", "status")
        posts = _manager_posts(source, as_of).join(contracts, on="contract_id", how="inner")
        booked = posts.filter("holds", pl.col("status") == "performing").join(
            _long_stopped(source, as_of, stop_days), on="project_id", how="anti"
        )
        offers = winning_bids(source, as_of).filter(pl.col("pm_person_id").is_not_null())
        pending = (
            offers.join(contracts, on="lot_id", how="anti")
            .join(booked.select("signed_at", pm_person_id="person_id"), on="pm_person_id", how="inner")
            .filter(pl.col("signed_at") <= pl.col("awarded_at"))
            .unique(["award_id", "pm_person_id"])
            .join(source[Lot].select("lot_id", "project_id"), on="lot_id", how="inner")
        )
        items = pl.concat(
            [
                booked.select("person_id", "project_id", "lot_id", table=pl.lit("contract"), key="contract_id"),
                pending.select(
                    "project_id", "lot_id", person_id="pm_person_id", table=pl.lit("award"), key="award_id"
                ).select("person_id", "project_id", "lot_id", "table", "key"),
            ]
        ).join(source[Lot].select("lot_id", "unit_works_code"), on="lot_id", how="left")
        known = posts.select(subject_id="person_id", has_contract=True).unique()
        others = offers.select(subject_id="pm_person_id", has_contract=False).unique()
        return (
            pl.concat([known, others.join(known, on="subject_id", how="anti")])
            .join(_works(items), on="subject_id", how="left")
            .with_columns(pl.col("n_contracts", "n_works").fill_null(0), pl.col("evidence").fill_null("[]"))
            .select(cls.column_names())
            .sort("subject_id")
        )


def _manager_posts(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the project managers of contracts, named or actual: contract_id, person_id, holds.

    Who was there and has left holds the post no longer, although the contract names him still.
    """
    people = known_people(source, as_of).filter(
        pl.col("position") == MANAGER, pl.col("source").is_in(["contract", "actual"])
    )
    actual, stays = pl.col("source") == "actual", pl.col("assigned_to").is_null()
    return people.group_by("contract_id", "person_id").agg(
        holds=pl.when(actual.any()).then((actual & stays).any()).otherwise(stays.any())
    )


def _long_stopped(source: SourceTables, as_of: dt.datetime, stop_days: int) -> pl.LazyFrame:
    """Return the projects that have been stopped for more than so many days and are still: project_id."""
    day = as_of.astimezone(SHANGHAI).date()
    length = (pl.lit(day) - pl.col("from_date")).dt.total_days()
    return (
        stoppages(source, as_of).filter(pl.col("to_date").is_null(), length > stop_days).select("project_id").unique()
    )


def _works(items: pl.LazyFrame) -> pl.LazyFrame:
    """Count the items of each person, and the groups that one project or one works code joins, step by step."""
    rows = items.with_columns(
        project=pl.format("{}|project|{}", "person_id", "project_id"),
        works=pl.format("{}|works|{}", "person_id", "unit_works_code"),
    ).collect()
    shown = pl.struct(
        "table", "key", pl.struct("project_id", "lot_id", "unit_works_code").alias("fields")
    ).struct.json_encode()
    return (
        rows.with_columns(works_no=_components(rows))
        .lazy()
        .group_by(subject_id="person_id")
        .agg(
            n_contracts=pl.len().cast(pl.Int64),
            n_works=pl.col("works_no").n_unique().cast(pl.Int64),
            evidence=pl.format("[{}]", shown.sort().str.join(",")),
        )
    )


def _components(rows: pl.DataFrame) -> pl.Series:
    """Number the connected parts of the graph that joins each row's project with its works code."""
    linked = rows.select("project", works=pl.coalesce("works", "project"))
    nodes = pl.concat([linked.get_column("project"), linked.get_column("works")]).unique().sort()
    ends = [nodes.search_sorted(linked.get_column(name)).to_numpy() for name in linked.columns]
    ties = coo_array(([1] * rows.height, (ends[0], ends[1])), shape=(nodes.len(), nodes.len()))
    component = connected_components(ties.tocsr(), directed=False)[1]
    return pl.Series(component[ends[0]])
