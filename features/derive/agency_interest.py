"""An agency tied to those whose tenders it runs or who bid in them: control, people, addresses, relations."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.clock import SHANGHAI
from features.derive.bids import consortium_members, submitted_bids
from features.derive.configured import listed
from features.derive.control_groups import ControlGroup, control_edges, known_register
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.ordered import ordered_sum
from features.derive.pairs import end as end_of
from features.derive.pairs import organisation_pair
from features.tables.as_of import known_as_of
from features.tables.columns import FIRST_DAY, LAST_DAY
from features.tables.organisations import Organisation, OrgPerson, PersonRelation, Shareholding, SocialInsurance
from features.tables.source import SourceTables
from features.tables.tendering import Lot, Tender

CHAIN_DEPTH = 4
"""SI-020.chain_depth: steps of control from an organisation up."""
CHAINED = ("holding", "actual_controller")
"""Kinds of control that lead on from step to step; a common legal representative or board ties two only."""
MINOR_RATIO = 0.1
"""SI-021.minor_ratio: a holder of so much of both ties them a little."""
SHARED_BY_MAX = 20
"""An address or contact of more firms is a registration agent's (rulings G21, SI-021)."""
CONTACTS = {"address_norm": "address", "phone_hash": "contact", "email_hash": "contact"}
GENERIC = {"address_norm": "boilerplate_address", "phone_hash": "boilerplate_phone"}
EXECUTIVES = ("legal_rep", "director", "manager")
TIES = ("control", "person", "relation", "address", "contact", "holder")
PAIR = ("agency_org_id", "org_id")
MEETING = ("tender_id", *PAIR)


class AgencyTie(Derived):
    """What ties an agency to an organisation that tendered through it or bid in its tenders.

    Of several tenders the one in which most ties them stands: first any of control, person and relation, then the
    score, then the later opening.
    """

    subject_id = dy.String()
    agency_org_id = dy.String()
    org_id = dy.String()
    n_tenders = dy.Int64(min=1)
    """Tenders in which the two met."""
    control = dy.Bool()
    """On the day of opening one controlled the other, or one hand both (SI-020)."""
    person = dy.Bool()
    """Somebody served or was insured at both within the months before the opening."""
    relation = dy.Bool()
    """Executives of the two were related."""
    affiliation_score = dy.Float64(min=0, max=1)
    """Of SI-021, without its parts for persons, who are a tie by themselves."""
    registered = dy.Bool()
    """Of both a legal representative, a holder or a person is known."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, tie_months: int) -> pl.LazyFrame:
        """Compare the two ends at each opening by the moment (rulings G17, G22, SI-020, SI-021, SI-062)."""
        met = _meetings(source, as_of).collect().lazy()
        registry = known_register(source, as_of)
        people = _people_in_common(source, registry, met, as_of).collect().lazy()
        ties = pl.concat(
            [
                _controlled(registry, met, people, as_of),
                _serving_both(people, met, tie_months),
                _related_executives(source, registry, met, as_of),
                _common_contacts(source, met, as_of),
                _common_holders(registry, met),
            ]
        ).collect()
        telling = _telling_meetings(ties.lazy(), met).collect().lazy()
        registered = _registered(registry)
        known = [registered.rename({"org_id": end}) for end in PAIR]
        pairs = met.group_by(PAIR).agg(n_tenders=pl.len().cast(pl.Int64))
        both = pairs.join(known[0], on=PAIR[0], how="semi").join(known[1], on=PAIR[1], how="semi")
        return (
            pairs.join(telling, on=PAIR, how="left")
            .join(_evidence(ties.lazy(), telling), on=PAIR, how="left")
            .join(both.select(*PAIR, registered=pl.lit(value=True)), on=PAIR, how="left")
            .with_columns(
                pl.col("control", "person", "relation", "registered").fill_null(value=False),
                pl.col("affiliation_score").fill_null(0.0),
                pl.col("evidence").fill_null("[]"),
                subject_id=organisation_pair(pl.col("agency_org_id"), pl.col("org_id")),
            )
            .select(cls.column_names())
            .sort("subject_id", "agency_org_id")
        )


def _meetings(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return who met an agency in an opened tender: tender_id, agency_org_id, org_id, opening_at, day.

    The tenderer, each bidder of S(l) and each member of its consortium (rulings G22).
    """
    tenders = source[Tender].filter(pl.col("agency_org_id").is_not_null(), pl.col("opening_at") <= as_of)
    bids = submitted_bids(source).join(source[Lot].select("lot_id", "tender_id"), on="lot_id", how="inner")
    named = [
        tenders.select("tender_id", org_id="tenderer_org_id"),
        bids.select("tender_id", org_id="bidder_org_id"),
        bids.join(consortium_members(source), on="bid_id", how="inner").select("tender_id", "org_id"),
    ]
    return (
        tenders.select("tender_id", "agency_org_id", "opening_at", day=pl.col("opening_at").dt.date())
        .join(pl.concat(named).unique(), on="tender_id", how="inner")
        .filter(pl.col("org_id") != pl.col("agency_org_id"))
    )


def _registered(registry: SourceTables) -> pl.LazyFrame:
    """Return the organisations of which the register says something: org_id (rulings SI-020)."""
    represented = registry[Organisation].filter(pl.col("legal_rep_person_id").is_not_null())
    known = [rows.select("org_id") for rows in (represented, registry[OrgPerson], registry[Shareholding])]
    return pl.concat(known).unique()


def known_roles(registry: SourceTables) -> pl.LazyFrame:
    """Return who served where: org_id, person_id, role, since, until, table, key.

    An undated role always counts; where no legal representative is dated, the one that the organisation names does.
    """
    since, until = pl.col("start_date").fill_null(FIRST_DAY), pl.col("end_date").fill_null(LAST_DAY)
    dated = registry[OrgPerson].select(
        "org_id",
        "person_id",
        role=pl.col("role").cast(pl.String),
        since=since,
        until=until,
        table=pl.lit(OrgPerson.NAME),
        key="org_person_id",
    )
    named = (
        registry[Organisation]
        .filter(pl.col("legal_rep_person_id").is_not_null())
        .join(dated.filter(pl.col("role") == "legal_rep"), on="org_id", how="anti")
        .select(
            "org_id",
            person_id="legal_rep_person_id",
            role=pl.lit("legal_rep"),
            since=pl.lit(FIRST_DAY),
            until=pl.lit(LAST_DAY),
            table=pl.lit(Organisation.NAME),
            key="org_id",
        )
    )
    return pl.concat([dated, named])


def _people_in_common(
    source: SourceTables, registry: SourceTables, met: pl.LazyFrame, as_of: dt.datetime
) -> pl.LazyFrame:
    """Return the roles and insured months of everybody who was ever at an agency, as ``known_roles``."""
    roles, insurance = known_roles(registry), source.with_sensitive(SocialInsurance)
    agencies = met.select(org_id="agency_org_id").unique()
    at_agencies = [rows.join(agencies, on="org_id", how="semi").select("person_id") for rows in (roles, insurance)]
    people = pl.concat(at_agencies).unique()
    return pl.concat([roles.join(people, on="person_id", how="semi"), insured_months(source, people, as_of)])


def insured_months(source: SourceTables, people: pl.LazyFrame, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the months in which somebody of ``people`` (person_id) was insured, as ``known_roles``."""
    insurance = source.with_sensitive(SocialInsurance).join(people, on="person_id", how="semi")
    month = (pl.col("month") + "-01").str.to_date()
    return known_as_of(insurance, SocialInsurance, as_of).select(
        "org_id",
        "person_id",
        role=pl.lit("insured"),
        since=month,
        until=month.dt.month_end(),
        table=pl.lit(SocialInsurance.NAME),
        key="si_id",
    )


def _sharing(values: pl.LazyFrame, met: pl.LazyFrame, *on: str) -> pl.LazyFrame:
    """Return the pairs that met and have a value in common: agency_org_id, org_id and the value's columns."""
    held = values.select("org_id", *on).unique()
    agencies = met.select(agency_org_id="agency_org_id").unique()
    return (
        held.rename({"org_id": "agency_org_id"})
        .join(agencies, on="agency_org_id", how="semi")
        .join(held, on=on, how="inner")
        .join(met, on=PAIR, how="semi")
    )


def _serving_both(people: pl.LazyFrame, met: pl.LazyFrame, tie_months: int) -> pl.LazyFrame:
    """Return the meetings before which somebody was at both ends: MEETING, tie, table, key (the latest of each end)."""
    shared = met.join(_sharing(people, met, "person_id"), on=PAIR, how="inner")
    first = pl.col("day").dt.offset_by(f"-{tie_months}mo")
    one = (*MEETING, "person_id")
    ends = [
        shared.join(people.rename({"org_id": end}), on=[end, "person_id"], how="inner")
        .filter(pl.col("since") <= pl.col("day"), pl.col("until") >= first)
        .group_by(one)
        .agg(pl.col("table", "key").sort_by("until", "table", "key").last())
        for end in PAIR
    ]
    both = pl.concat([ends[0].join(ends[1], on=one, how="semi"), ends[1].join(ends[0], on=one, how="semi")])
    return both.select(*MEETING, "table", "key", tie=pl.lit("person"))


def _related_executives(
    source: SourceTables, registry: SourceTables, met: pl.LazyFrame, as_of: dt.datetime
) -> pl.LazyFrame:
    """Return the meetings at whose opening executives of the two ends were related: MEETING, tie, table, key."""
    executives = (
        known_roles(registry).filter(pl.col("role").is_in(EXECUTIVES)).select("org_id", "person_id", "since", "until")
    )
    ends = [
        executives.select(pl.all().name.suffix(letter)).rename({f"org_id{letter}": end})
        for letter, end in (("_a", "agency_org_id"), ("_b", "org_id"))
    ]
    stated = known_as_of(source.with_sensitive(PersonRelation), PersonRelation, as_of)
    person_a, person_b = pl.col("person_a_id"), pl.col("person_b_id")
    both_ways = [
        stated.select(
            person_id_a=a, person_id_b=b, key="relation_id", related=pl.col("valid_from").fill_null(FIRST_DAY)
        )
        for a, b in ((person_a, person_b), (person_b, person_a))
    ]
    day = pl.col("day")
    return (
        pl.concat(both_ways)
        .join(ends[0], on="person_id_a", how="inner")
        .join(ends[1], on="person_id_b", how="inner")
        .join(met, on=PAIR, how="inner")
        .filter(day >= pl.col("related"), *[day.is_between(f"since{side}", f"until{side}") for side in ("_a", "_b")])
        .select(*MEETING, table=pl.lit(PersonRelation.NAME), key="key", tie=pl.lit("relation"))
        .unique()
    )


def _common_contacts(source: SourceTables, met: pl.LazyFrame, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the meetings of organisations with one address, phone or mail: MEETING, table, key, tie.

    Values of more than 20 firms and those of the lists ``boilerplate_address`` and ``boilerplate_phone`` say nothing.
    """
    value = pl.col("value").str.strip_chars()
    generic = [
        (pl.col("column") == column) & value.str.to_lowercase().is_in(listed(source, name, as_of).implode())
        for column, name in GENERIC.items()
    ]
    n_firms = pl.col("org_id").n_unique().over("column", "value")
    values = (
        source[Organisation]
        .select("org_id", *CONTACTS)
        .unpivot(list(CONTACTS), index="org_id", variable_name="column", value_name="value")
        .filter(value != "", ~pl.any_horizontal(generic))
        .with_columns(value=value)
        .filter(n_firms <= SHARED_BY_MAX)
    )
    shared = met.join(_sharing(values, met, "column", "value"), on=PAIR, how="inner")
    tie = pl.col("column").replace_strict(CONTACTS, return_dtype=pl.String)
    return pl.concat(
        shared.select(*MEETING, table=pl.lit(Organisation.NAME), key=end, tie=tie) for end in PAIR
    ).unique()


def _common_holders(registry: SourceTables, met: pl.LazyFrame) -> pl.LazyFrame:
    """Return the meetings on whose day one holder had a part of both: MEETING, table, key, tie."""
    holdings = registry[Shareholding].select(
        "org_id",
        "ratio",
        key="holding_id",
        since=pl.col("start_date").fill_null(FIRST_DAY),
        until=pl.col("end_date").fill_null(LAST_DAY),
        holder=pl.coalesce(
            end_of("organisation", pl.col("holder_org_id")), end_of("person", pl.col("holder_person_id"))
        ),
    )
    shared = met.join(_sharing(holdings, met, "holder"), on=PAIR, how="inner")
    one = (*MEETING, "holder")
    ends = [
        shared.join(holdings.rename({"org_id": end}), on=[end, "holder"], how="inner")
        .filter(pl.col("day").is_between("since", "until"))
        .group_by(one)
        .agg("key", share=ordered_sum(pl.col("ratio")).round(9))
        .filter(pl.col("share") >= MINOR_RATIO)
        for end in PAIR
    ]
    both = pl.concat([ends[0].join(ends[1], on=one, how="semi"), ends[1].join(ends[0], on=one, how="semi")])
    return both.explode("key").select(*MEETING, table=pl.lit(Shareholding.NAME), key="key", tie=pl.lit("holder"))


def _controlled(registry: SourceTables, met: pl.LazyFrame, people: pl.LazyFrame, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the meetings on whose day one end controlled the other, or one hand both: MEETING, table, key, tie.

    Few pairs can be: those that all rows together, whatever their days, put in one control group, and those with
    somebody in common. Of these alone control is looked at, once for all days between two changes of the register.
    """
    groups = ControlGroup.derive(_undated(registry), as_of).filter(pl.col("group_id").is_not_null())
    possible = pl.concat(
        [_sharing(rows, met, on).select(PAIR) for rows, on in ((groups, "group_id"), (people, "person_id"))]
    )
    few = met.join(possible.unique(), on=PAIR, how="semi")
    ends = pl.concat([few.select(org_id=end) for end in PAIR]).unique()
    their_groups = groups.join(groups.join(ends, on="org_id", how="semi"), on="group_id", how="semi")
    theirs = _only(registry, pl.concat([ends, their_groups.select("org_id")]).unique())
    days = few.select("day", *PAIR).unique().collect()
    spells = _changes(theirs).search_sorted(days.get_column("day"), side="right")
    days = days.with_columns(spell=spells)
    edges = [pl.DataFrame(schema={"org_id": pl.String, "hand": pl.String, "kind": pl.String, "spell": pl.UInt32})]
    for spell, day in days.group_by("spell").agg(pl.col("day").min()).sort("spell").iter_rows():
        within = control_edges(theirs, dt.datetime.combine(day, dt.time.max, SHANGHAI))
        edges.append(within.with_columns(spell=pl.lit(spell, dtype=pl.UInt32)))
    hands = _hands(pl.concat([days.select("spell", org_id=end) for end in PAIR]).unique(), pl.concat(edges))
    tied = (
        days.join(hands.rename({"org_id": PAIR[0]}), on=["spell", PAIR[0]], how="inner")
        .join(hands.rename({"org_id": PAIR[1]}), on=["spell", PAIR[1], "hand"], how="semi")
        .lazy()
    )
    at = met.join(tied, on=["day", *PAIR], how="semi")
    return pl.concat(
        at.select(*MEETING, table=pl.lit(Organisation.NAME), key=end, tie=pl.lit("control")) for end in PAIR
    )


def _only(registry: SourceTables, orgs: pl.LazyFrame) -> SourceTables:
    """Return the register of some organisations, and what their holders are (government is no hand)."""
    held = registry[Shareholding].join(orgs, on="org_id", how="semi")
    named = pl.concat([orgs, held.select(org_id="holder_org_id")]).unique()
    return SourceTables(
        {
            Organisation.NAME: registry[Organisation].join(named, on="org_id", how="semi"),
            OrgPerson.NAME: registry[OrgPerson].join(orgs, on="org_id", how="semi"),
            Shareholding.NAME: held,
        }
    ).collected()


def _changes(registry: SourceTables) -> pl.Series:
    """Return the days from which the register says something else, sorted."""
    dated = [registry[table].select("start_date", "end_date") for table in (OrgPerson, Shareholding)]
    rows = pl.concat(dated)
    ended = rows.select(start_date=pl.col("end_date").dt.offset_by("1d"))
    return pl.concat([rows.select("start_date"), ended]).drop_nulls().unique().sort("start_date").collect().to_series()


def _undated(registry: SourceTables) -> SourceTables:
    """Return a register in which every row holds on every day."""
    always = [pl.lit(None, pl.Date).alias(name) for name in ("start_date", "end_date")]
    dated = (OrgPerson.NAME, Shareholding.NAME)
    return SourceTables(
        {name: frame.with_columns(always) if name in dated else frame for name, frame in registry.frames.items()}
    )


def _hands(ends: pl.DataFrame, edges: pl.DataFrame) -> pl.DataFrame:
    """Return under which hands each end is in a spell: spell, org_id, hand. It is under its own.

    A chain of holdings and controllers leads up to four steps; a legal representative or board ties directly.
    """
    chained = pl.col("kind").is_in(CHAINED)
    steps = edges.filter(chained).select("spell", "hand", below="org_id")
    level = ends.with_columns(hand="org_id")
    found = [level]
    for _ in range(CHAIN_DEPTH):
        level = level.rename({"hand": "below"}).join(steps, on=["spell", "below"], how="inner").drop("below").unique()
        found.append(level)
    boards = edges.filter(pl.col("kind") == "board").with_columns(
        board=organisation_pair(pl.col("org_id"), pl.col("hand"))
    )
    direct = [
        edges.filter(pl.col("kind") == "legal_rep").select("spell", "org_id", "hand"),
        *[boards.select("spell", org_id=end, hand="board") for end in ("org_id", "hand")],
    ]
    columns = ("spell", "org_id", "hand")
    return pl.concat(rows.select(columns) for rows in [*found, *direct]).unique()


def _telling_meetings(ties: pl.LazyFrame, met: pl.LazyFrame) -> pl.LazyFrame:
    """Return of each tied pair the meeting in which most ties it: MEETING, control, person, relation, score."""
    found = [(pl.col("tie") == tie).any().alias(tie) for tie in TIES]
    minor = pl.col("holder") & ~pl.col("control")
    return (
        ties.group_by(MEETING)
        .agg(found)
        .with_columns(
            affiliation_score=0.30 * pl.col("address") + 0.25 * pl.col("contact") + 0.15 * minor,
            outright=pl.any_horizontal("control", "person", "relation"),
        )
        .join(met, on=MEETING, how="inner")
        .sort("outright", "affiliation_score", "opening_at", "tender_id")
        .unique(subset=PAIR, keep="last", maintain_order=True)
        .select(*MEETING, "control", "person", "relation", "affiliation_score")
    )


def _evidence(ties: pl.LazyFrame, telling: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows that tie each pair in its telling meeting, and the tender: PAIR, evidence."""
    tender = telling.select(*MEETING, table=pl.lit(Tender.NAME), key="tender_id", tie=pl.lit("met"))
    rows = pl.concat([ties.join(telling, on=MEETING, how="semi").select(tender.collect_schema().names()), tender])
    return (
        rows.group_by(*PAIR, "table", "key")
        .agg(tie=pl.col("tie").unique().sort().str.join(" "))
        .group_by(PAIR)
        .agg(evidence=rows_as_evidence(pl.col("table"), "key", ["tie"]))
    )
