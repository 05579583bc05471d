"""Members of a committee with an interest in a bidder: service, insurance, shares, relations, employer."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.agency_interest import EXECUTIVES, insured_months, known_roles
from features.derive.bids import submitted_bids
from features.derive.control_groups import CONTROL_RATIO, known_register
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.experts import known_seats
from features.derive.lots import with_group
from features.derive.ordered import ordered
from features.derive.pairs import person_and_organisation
from features.tables.as_of import known_as_of
from features.tables.columns import FIRST_DAY, LAST_DAY
from features.tables.evaluation import CommitteeDraw, Expert
from features.tables.organisations import PersonRelation, Shareholding
from features.tables.source import SourceTables
from features.tables.tendering import Lot, Tender

TIES = ("service", "holder", "relation", "employer", "purchaser")
MEETING = ("tender_id", "person_id", "org_id")


class MemberTie(Derived):
    """One member of a committee and one bidder of the tender: what ties them."""

    subject_id = dy.String()
    person_id = dy.String()
    org_id = dy.String()
    tender_id = dy.String()
    attended = dy.Bool(nullable=True)
    avoided = dy.Bool()
    """The draw names the bidder among the organisations to avoid."""
    service = dy.Bool()
    """The member served or was insured at the bidder or its control group within the months before the opening."""
    holder = dy.Bool()
    """It held shares of one of them within these months."""
    relation = dy.Bool()
    """It was related to an executive of the bidder."""
    employer = dy.Bool()
    """The expert's employer is the bidder, of its control group, or its majority holder."""
    purchaser = dy.Bool()
    """The expert's employer is the tenderer, in government procurement."""
    joined = dy.Bool()
    """The member is found among the insured, or among those whom the register of organisations names."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, tie_months: int) -> pl.LazyFrame:
        """Compare each member with each bidder of S(l) at the opening (rulings G2, G7, G17, SI-073)."""
        met = _meetings(source, as_of, tie_months).collect().lazy()
        people = met.select("person_id").unique().collect().lazy()
        registry = known_register(source, as_of)
        named = known_roles(registry).join(people, on="person_id", how="semi")
        service = pl.concat([named, insured_months(source, people, as_of)]).collect().lazy()
        holdings = registry[Shareholding].select(
            "org_id",
            person_id="holder_person_id",
            since=pl.col("start_date").fill_null(FIRST_DAY),
            until=pl.col("end_date").fill_null(LAST_DAY),
            table=pl.lit(Shareholding.NAME),
            key="holding_id",
        )
        held = holdings.join(people, on="person_id", how="semi")
        ties = pl.concat(
            [
                _within_months(met, with_group(service, source, "org_id", "group_org_id"), "service"),
                _within_months(met, with_group(held, source, "org_id", "group_org_id"), "holder"),
                _related(source, registry, met, as_of),
                _employed(source, registry, met, as_of),
            ]
        )
        ties = ties.collect().lazy()
        known = pl.concat([rows.select("person_id") for rows in (service, held)]).unique()
        tied = ties.group_by(MEETING).agg((pl.col("tie") == tie).any().alias(tie) for tie in TIES)
        return (
            met.join(tied, on=MEETING, how="left")
            .join(known.with_columns(joined=pl.lit(value=True)), on="person_id", how="left")
            .join(_evidence(met, ties), on=MEETING, how="left")
            .with_columns(
                pl.col(*TIES, "joined").fill_null(value=False),
                pl.col("evidence").fill_null("[]"),
                subject_id=person_and_organisation(pl.col("person_id"), pl.col("org_id")),
            )
            .select(cls.column_names())
            .sort("subject_id", "tender_id")
        )


def _meetings(source: SourceTables, as_of: dt.datetime, tie_months: int) -> pl.LazyFrame:
    """Return each member and bidder of an opened tender.

    Columns: MEETING, draw_id, expert (no representative of the tenderer), attended, avoided, group_org_id, purchaser_id
    (the tenderer in government procurement), day (of the opening) and first (day of the months before it).
    """
    purchaser = pl.when(pl.col("law_regime").cast(pl.String) == "gov_procurement_law").then("tenderer_org_id")
    day = pl.col("opening_at").dt.date()
    tenders = (
        source[Tender]
        .filter(pl.col("opening_at") <= as_of)
        .select("tender_id", purchaser_id=purchaser, day=day, first=day.dt.offset_by(f"-{tie_months}mo"))
    )
    seats = (
        known_seats(source, as_of)
        .group_by("tender_id", "person_id")
        .agg(
            pl.col("draw_id").min(),
            expert=(pl.col("member_role") == "expert").all(),
            attended=pl.col("attended").any(ignore_nulls=False),
            avoided_org_ids=pl.col("avoided_org_ids").str.extract_all(r'[^"\[\],\s]+').explode().unique(),
        )
    )
    bidders = (
        submitted_bids(source)
        .join(source[Lot].select("lot_id", "tender_id"), on="lot_id", how="inner")
        .select("tender_id", org_id="bidder_org_id")
        .unique()
    )
    return (
        with_group(bidders, source, "org_id", "group_org_id")
        .join(tenders, on="tender_id", how="inner")
        .join(seats, on="tender_id", how="inner")
        .with_columns(avoided=pl.col("avoided_org_ids").list.contains(pl.col("org_id")).fill_null(value=False))
        .drop("avoided_org_ids")
    )


def _tie(rows: pl.LazyFrame, tie: str) -> pl.LazyFrame:
    return rows.select(*MEETING, "table", "key", tie=pl.lit(tie))


def _within_months(met: pl.LazyFrame, rows: pl.LazyFrame, tie: str) -> pl.LazyFrame:
    """Return the meetings before which a member was tied to a firm of the bidder's control group, by the latest row."""
    of_group = rows.select("person_id", "group_org_id", "since", "until", "table", "key")
    latest = (
        met.join(of_group, on=["person_id", "group_org_id"], how="inner")
        .filter(pl.col("since") <= pl.col("day"), pl.col("until") >= pl.col("first"))
        .sort("until", "key")
        .unique(subset=[*MEETING, "table"], keep="last", maintain_order=True)
    )
    return _tie(latest, tie)


def _related(source: SourceTables, registry: SourceTables, met: pl.LazyFrame, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the meetings at which a member was related to somebody who was an executive of the bidder that day."""
    stated = known_as_of(source.with_sensitive(PersonRelation), PersonRelation, as_of)
    ends = ("person_a_id", "person_b_id")
    related = pl.concat(
        stated.select(
            person_id=one,
            relative=other,
            related_from=pl.col("valid_from").fill_null(FIRST_DAY),
            table=pl.lit(PersonRelation.NAME),
            key="relation_id",
        )
        for one, other in (ends, ends[::-1])
    )
    executives = (
        known_roles(registry)
        .filter(pl.col("role").is_in(EXECUTIVES))
        .select("org_id", "since", "until", relative="person_id")
    )
    found = (
        met.join(related, on="person_id", how="inner")
        .join(executives, on=["org_id", "relative"], how="inner")
        .filter(pl.col("day") >= pl.col("related_from"), pl.col("day").is_between("since", "until"))
    )
    return _tie(found, "relation").unique()


def _employed(source: SourceTables, registry: SourceTables, met: pl.LazyFrame, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the meetings in which the expert's employer is the bidder, its group, its majority holder or purchaser."""
    employed = known_as_of(source[Expert], Expert, as_of).select(
        "person_id", employer_id="employer_org_id", table=pl.lit(Expert.NAME), key="expert_id"
    )
    asked = with_group(met.join(employed, on="person_id", how="inner"), source, "employer_id", "employer_group").filter(
        pl.col("employer_id").is_not_null()
    )
    own_group = asked.filter(pl.col("employer_group") == pl.col("group_org_id"))
    purchaser = asked.filter("expert", pl.col("employer_id") == pl.col("purchaser_id"))
    valid = [
        (pl.col("start_date") <= pl.col("day")).fill_null(value=True),
        (pl.col("end_date") >= pl.col("day")).fill_null(value=True),
    ]
    holdings = registry[Shareholding].select("org_id", "ratio", "start_date", "end_date", employer_id="holder_org_id")
    parents = (
        asked.join(holdings, on=["org_id", "employer_id"], how="inner")
        .filter(*valid)
        .group_by(*MEETING, "table", "key")
        .agg(ordered(pl.col("ratio")).list.sum().round(9))
        .filter(pl.col("ratio") > CONTROL_RATIO)
    )
    by_employer = pl.concat([_tie(own_group, "employer"), _tie(parents, "employer")]).unique()
    return pl.concat([by_employer, _tie(purchaser, "purchaser")])


def _evidence(met: pl.LazyFrame, ties: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows that tie each tied member and bidder, with the seat: MEETING, evidence."""
    seats = met.join(ties, on=MEETING, how="semi").select(
        *MEETING, table=pl.lit(CommitteeDraw.NAME), key="draw_id", tie=pl.lit("seat")
    )
    return (
        pl.concat([ties, seats])
        .group_by(*MEETING, "table", "key")
        .agg(tie=pl.col("tie").unique().sort().str.join(" "))
        .group_by(MEETING)
        .agg(evidence=rows_as_evidence(pl.col("table"), "key", ["tie"]))
    )
