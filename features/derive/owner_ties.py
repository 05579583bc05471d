"""People of a tenderer who are also people of its winner, related to them, or reached by the same telephone."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.clock import SHANGHAI
from features.derive.awards import known_awards
from features.derive.configured import listed
from features.derive.contract_facts import winning_bids
from features.derive.derived import Derived
from features.derive.evidence import joined_evidence, rows_as_evidence
from features.derive.lots import lot_facts
from features.derive.pairs import organisation_pair
from features.tables.evaluation import CommitteeDraw
from features.tables.organisations import (
    Organisation,
    OrgPerson,
    Person,
    PersonRelation,
    Shareholding,
    SocialInsurance,
)
from features.tables.site import KeyPersonnel
from features.tables.source import SourceTables
from features.tables.tendering import Bid

WINNER_ROLES = ("legal_rep", "director", "board_supervisor", "manager")
TIES = ("person", "relation", "phone")


class OwnerTie(Derived):
    """One award of a tenderer to a winner, and what ties the tenderer's people to the winner."""

    subject_id = dy.String()
    tenderer_org_id = dy.String()
    winner_org_id = dy.String()
    award_id = dy.String(primary_key=True)
    n_people = dy.Int64(min=0)
    """People of the tenderer's side within the months before the award."""
    winner_known = dy.Bool()
    """The register or the insurance says something of the winner."""
    person = dy.Bool()
    """One of them is also of the winner."""
    relation = dy.Bool()
    """One of them is related to somebody of the winner."""
    phone = dy.Bool()
    """One of them has the telephone of the awarded bid."""
    relations_read = dy.Bool()
    """Relations could be read; they stay shut where nobody authorised it."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, tie_months: int) -> pl.LazyFrame:
        """Look both sides up within the months before each award (rulings SI-008).

        Evidence names rows, never persons.
        """
        awards = _awards(source, as_of, tie_months).collect().lazy()
        people = _tenderer_people(source, awards).collect().lazy()
        members = _members(source, awards, pl.concat([_themselves(people), _related(source, awards, people)]))
        found = pl.concat([members, _by_phone(source, as_of, people)]).collect().lazy()
        ties = found.group_by("award_id").agg((pl.col("tie") == tie).any().alias(tie) for tie in TIES)
        numbers = people.group_by("award_id").agg(n_people=pl.col("own_person_id").n_unique().cast(pl.Int64))
        read = _can_read_relations(source)
        return (
            awards.join(numbers, on="award_id", how="left")
            .join(_known_winners(source, as_of), on="org_id", how="left")
            .join(ties, on="award_id", how="left")
            .join(_evidence(awards, people, found), on="award_id", how="left")
            .select(
                "award_id",
                *[pl.col(tie).fill_null(value=False) for tie in TIES],
                subject_id=organisation_pair(pl.col("tenderer_org_id"), pl.col("org_id")),
                tenderer_org_id="tenderer_org_id",
                winner_org_id="org_id",
                n_people=pl.col("n_people").fill_null(0),
                winner_known=pl.col("winner_known").fill_null(value=False),
                relations_read=pl.lit(read),
                evidence=pl.col("evidence").fill_null("[]"),
            )
            .select(cls.column_names())
            .sort("subject_id", "award_id")
        )


def _awards(source: SourceTables, as_of: dt.datetime, tie_months: int) -> pl.LazyFrame:
    """Return the awards known at ``as_of`` with their tenderer and the window before them.

    Columns: award_id, lot_id, bid_id, org_id, tenderer_org_id, tender_id, project_id, awarded_at, since (outside).
    """
    lots = lot_facts(source, as_of).select("lot_id", "tender_id", "project_id", "tenderer_org_id")
    return (
        known_awards(source, as_of)
        .join(lots.filter(pl.col("tenderer_org_id").is_not_null()), on="lot_id", how="inner")
        .with_columns(since=pl.col("awarded_at").dt.offset_by(f"-{tie_months}mo"))
        .select(
            "award_id",
            "lot_id",
            "bid_id",
            "org_id",
            "tenderer_org_id",
            "tender_id",
            "project_id",
            "awarded_at",
            "since",
        )
    )


def _meets(start: str, end: str) -> pl.Expr:
    """Tell whether days of service meet (since, awarded_at]; an open end lasts, an unknown start is past."""
    started, ended = pl.col(start) <= _day("awarded_at"), pl.col(end) >= _day("since")
    return started.fill_null(value=True) & ended.fill_null(value=True)


def _day(moment: str) -> pl.Expr:
    return pl.col(moment).dt.convert_time_zone(str(SHANGHAI)).dt.date()


def _within(moment: pl.Expr) -> pl.Expr:
    return (moment > pl.col("since")) & (moment <= pl.col("awarded_at"))


def _month_end() -> pl.Expr:
    """Return the last microsecond of a month of insurance, from which it counts."""
    first = pl.col("month").str.to_datetime("%Y-%m", time_zone=str(SHANGHAI), time_unit="us")
    return first.dt.offset_by("1mo") - pl.duration(microseconds=1)


def _tenderer_people(source: SourceTables, awards: pl.LazyFrame) -> pl.LazyFrame:
    """Return who is of the tenderer's side of each award, with the row that says so.

    Columns: award_id, own_person_id, table, key.
    """
    staff = source[OrgPerson].filter(pl.col("role").cast(pl.String) == "owner_staff")
    seats = source[CommitteeDraw].filter(pl.col("member_role").cast(pl.String) == "owner_rep")
    posts = source[KeyPersonnel].filter(pl.col("position").cast(pl.String) == "owner_rep")
    by_staff = awards.join(staff, left_on="tenderer_org_id", right_on="org_id", how="inner").filter(
        _meets("start_date", "end_date")
    )
    by_seat = awards.join(seats, on="tender_id", how="inner").filter(_within(pl.col("drawn_at")))
    by_post = awards.join(posts, on="project_id", how="inner").filter(_meets("assigned_from", "assigned_to"))
    return pl.concat(
        rows.select("award_id", own_person_id="person_id", table=pl.lit(table), key=pl.col(key))
        for rows, table, key in (
            (by_staff, OrgPerson.NAME, "org_person_id"),
            (by_seat, CommitteeDraw.NAME, "draw_id"),
            (by_post, KeyPersonnel.NAME, "kp_id"),
        )
    ).unique()


def _themselves(people: pl.LazyFrame) -> pl.LazyFrame:
    none = pl.lit(None, dtype=pl.String)
    return people.select(
        "award_id", "own_person_id", person_id="own_person_id", tie=pl.lit("person"), relation_id=none
    ).unique()


def _related(source: SourceTables, awards: pl.LazyFrame, people: pl.LazyFrame) -> pl.LazyFrame:
    """Return who was related to the tenderer's people by the award: the columns of ``_themselves``."""
    relations = source.with_sensitive(PersonRelation)
    ends = [("person_a_id", "person_b_id"), ("person_b_id", "person_a_id")]
    both = pl.concat(
        relations.select("relation_id", "valid_from", own_person_id=one, person_id=other) for one, other in ends
    ).filter(pl.col("own_person_id").is_not_null(), pl.col("person_id").is_not_null())
    began = (pl.col("valid_from") <= _day("awarded_at")).fill_null(value=True)
    return (
        people.join(both, on="own_person_id", how="inner")
        .join(awards, on="award_id", how="inner")
        .filter(began)
        .select("award_id", "own_person_id", "person_id", tie=pl.lit("relation"), relation_id="relation_id")
        .unique()
    )


def _members(source: SourceTables, awards: pl.LazyFrame, asked: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows that make those asked for people of the winner: award_id, own_person_id, tie, table, key."""
    at = asked.join(awards, on="award_id", how="inner")
    role = pl.col("role").cast(pl.String)
    roles = at.join(source[OrgPerson].filter(role.is_in(WINNER_ROLES)), on=["org_id", "person_id"], how="inner")
    dated = source[OrgPerson].filter(role == "legal_rep")
    # Whom the organisation names counts where no dated legal representative is known, as in SI-020.
    named = source[Organisation].join(dated, on="org_id", how="anti").rename({"legal_rep_person_id": "person_id"})
    holders = source[Shareholding].rename({"holder_person_id": "person_id"})
    insured = (
        source.with_sensitive(SocialInsurance)
        .join(asked, on="person_id", how="semi")
        .with_columns(month_end=_month_end())
    )
    on = ["org_id", "person_id"]
    found = [
        (roles.filter(_meets("start_date", "end_date")), OrgPerson.NAME, "org_person_id"),
        (at.join(named, on=on, how="inner"), Organisation.NAME, "org_id"),
        (
            at.join(holders, on=on, how="inner").filter(_meets("start_date", "end_date")),
            Shareholding.NAME,
            "holding_id",
        ),
        (at.join(insured, on=on, how="inner").filter(_within(pl.col("month_end"))), SocialInsurance.NAME, "si_id"),
    ]
    members = pl.concat(
        rows.select("award_id", "own_person_id", "tie", "relation_id", table=pl.lit(table), key=pl.col(key))
        for rows, table, key in found
    )
    by_relation = members.filter(pl.col("relation_id").is_not_null()).with_columns(
        table=pl.lit(PersonRelation.NAME), key="relation_id"
    )
    return pl.concat([members, by_relation]).drop("relation_id").unique()


def _by_phone(source: SourceTables, as_of: dt.datetime, people: pl.LazyFrame) -> pl.LazyFrame:
    """Return the awarded bids that give the telephone of the tenderer's people: the columns of ``_members``."""
    generic = listed(source, "boilerplate_phone", as_of).to_list()
    phone = pl.col("phone_hash")
    phones = source[Person].filter(phone != "", ~phone.str.to_lowercase().is_in(generic))
    bids = winning_bids(source, as_of).join(
        source[Bid].select("bid_id", "contact_phone_hash"), on="bid_id", how="inner"
    )
    return (
        people.select("award_id", "own_person_id")
        .unique()
        .join(
            phones.select(own_person_id="person_id", contact_phone_hash="phone_hash"), on="own_person_id", how="inner"
        )
        .join(bids, on=["award_id", "contact_phone_hash"], how="inner")
        .select("award_id", "own_person_id", tie=pl.lit("phone"), table=pl.lit(Bid.NAME), key="bid_id")
        .unique()
    )


def _known_winners(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the organisations of which the register or the insurance tells anybody: org_id, winner_known."""
    began = (pl.col("start_date") <= as_of.astimezone(SHANGHAI).date()).fill_null(value=True)
    insured = source.with_sensitive(SocialInsurance).filter(pl.col("person_id").is_not_null())
    rows = [
        source[Organisation].filter(pl.col("legal_rep_person_id").is_not_null()),
        source[OrgPerson].filter(began),
        source[Shareholding].filter(began),
        insured.filter(_month_end() <= as_of),
    ]
    return pl.concat(one.select("org_id") for one in rows).unique().with_columns(winner_known=pl.lit(value=True))


def _can_read_relations(source: SourceTables) -> bool:
    relations = source.with_sensitive(PersonRelation)
    return bool(relations.select(pl.col("person_a_id").is_not_null().any()).collect().item())


def _evidence(awards: pl.LazyFrame, people: pl.LazyFrame, found: pl.LazyFrame) -> pl.LazyFrame:
    """Return the award and the rows of both sides behind each tie: award_id, evidence."""
    own = found.select("award_id", "own_person_id", "tie").join(people, on=["award_id", "own_person_id"], how="inner")
    columns = ["award_id", "tie", "table", "key"]
    rows = pl.concat([found.select(columns), own.select(columns)]).unique()
    shown = rows.group_by("award_id").agg(ties=rows_as_evidence(pl.col("table"), "key", ["tie"]))
    own_row = rows_as_evidence("award", "award_id", ["lot_id", "org_id", "awarded_at"])
    # The key of a group is no column of it.
    award = awards.with_columns(of="award_id").group_by("of").agg(award=own_row).rename({"of": "award_id"})
    told = award.join(shown, on="award_id", how="inner")
    return told.select("award_id", evidence=joined_evidence(pl.col("award"), pl.col("ties")))
