"""Ties of ownership, people and addresses between the bidders of one lot, on the day of its opening."""

import datetime as dt
from collections.abc import Sequence

import dataframely as dy
import polars as pl

from features.derive.bidder_ties import (
    TIE,
    BidderTie,
    bid_rows,
    bidder_pairs,
    days_met,
    ends_of,
    evidence_of,
    holding_rows,
    latest_first,
    rows_of_both,
)
from features.derive.control_groups import (
    BOARD,
    CONTROL_RATIO,
    control_edges_on,
    known_register,
    summed_holdings,
    valid_on,
)
from features.tables.organisations import Organisation, OrgPerson, Shareholding, SocialInsurance
from features.tables.source import SourceTables

CHAIN_DEPTH = 4
"""SI-020.chain_depth: steps of control from a bidder to the hand above it."""
TIE_MONTHS = 36
"""SI-021.tie_months."""
MINOR_RATIO = 0.1
"""SI-021.minor_ratio."""
SHARED_BY_MAX = 20
"""A phone, mail or address of more firms belongs to a registration agent and says nothing (rulings G21)."""
STEPS = ("holding", "actual_controller")
MANAGEMENT = ("legal_rep", *BOARD)
REGISTERED = ("address_norm", "phone_hash", "email_hash")
WEIGHTS = {"address": 0.30, "contact": 0.25, "people": 0.20, "holder": 0.15, "insured": 0.10}
"""What each weak tie adds to the score of SI-021."""


class CommonControl(BidderTie):
    """Whether two bidders were under one hand on the day of the opening."""

    tied = dy.Bool()
    ties = dy.String()
    """How: chain, common_controller, legal_rep, board; parted by commas."""
    known = dy.Bool()
    """Both have a legal representative, a holder or a person registered (rulings SI-020)."""

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, control_ratio: float, chain_depth: int) -> pl.LazyFrame:
        """Look for a hand above both (rulings SI-020); ``organisation.group_id`` is never read."""
        pairs = bidder_pairs(source, as_of).collect().lazy()
        register = known_register(source, as_of)
        found = control_ties(source, pairs, as_of, control_ratio=control_ratio, chain_depth=chain_depth)
        kinds = found.group_by(TIE).agg(ties=pl.col("kind").unique().sort().str.join(","))
        rows = pl.concat([bid_rows(pairs, kinds), _control_rows(register, found)])
        registered = _registered(register).with_columns(known=pl.lit(value=True))
        ends = [registered.rename({"org_id": f"org_id_{n}", "known": f"known_{n}"}) for n in (1, 2)]
        said = (
            days_met(pairs)
            .join(kinds, on=TIE, how="left")
            .join(evidence_of(rows), on=TIE, how="left")
            .join(ends[0], on="org_id_1", how="left")
            .join(ends[1], on="org_id_2", how="left")
            .with_columns(
                tied=pl.col("ties").is_not_null(),
                ties=pl.col("ties").fill_null(""),
                known=(pl.col("known_1") & pl.col("known_2")).fill_null(value=False),
                evidence=pl.col("evidence").fill_null("[]"),
            )
        )
        return latest_first(said).select(cls.column_names())


class WeakAffiliation(BidderTie):
    """What two bidders shared on the day of the opening, short of control."""

    same_address = dy.Bool()
    same_contact = dy.Bool()
    """One phone, or one mail address."""
    same_people = dy.Bool()
    """Somebody managed both, not longer than ``tie_months`` ago."""
    same_holder = dy.Bool()
    """Somebody holds a part of both, and no control ties them."""
    same_insured = dy.Bool()
    """Somebody was insured by both, in different months."""
    known_address = dy.Bool()
    """Both have a usable value; likewise the following."""
    known_contact = dy.Bool()
    known_people = dy.Bool()
    known_holder = dy.Bool()
    known_insured = dy.Bool()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, tie_months: int, minor_ratio: float) -> pl.LazyFrame:
        """Compare registered values, people, holders and insured employees of each pair (rulings SI-021)."""
        pairs = bidder_pairs(source, as_of).collect().lazy()
        rows = weak_ties(source, pairs, as_of, tie_months=tie_months, minor_ratio=minor_ratio).collect().lazy()
        found = same_ways(rows)
        shown = evidence_of(pl.concat([bid_rows(pairs, found), rows.drop("way")]))
        said = days_met(pairs).join(found, on=TIE, how="left").join(shown, on=TIE, how="left")
        for known in _known_ways(source, pairs, as_of, tie_months):
            said = said.join(known, on=TIE, how="left")
        flags = [pl.col(f"{prefix}_{name}").fill_null(value=False) for prefix in ("same", "known") for name in WEIGHTS]
        filled = said.with_columns(*flags, evidence=pl.col("evidence").fill_null("[]"))
        return latest_first(filled).select(cls.column_names())


def weighted(prefix: str) -> pl.Expr:
    """Return the sum of the weights of SI-021 over the columns ``same_*`` or ``known_*``, at most 1."""
    parts = [weight * pl.col(f"{prefix}_{name}").cast(pl.Float64) for name, weight in WEIGHTS.items()]
    return pl.sum_horizontal(parts).clip(upper_bound=1.0)


def control_ties(
    source: SourceTables,
    pairs: pl.LazyFrame,
    as_of: dt.datetime,
    *,
    control_ratio: float = CONTROL_RATIO,
    chain_depth: int = CHAIN_DEPTH,
) -> pl.LazyFrame:
    """Return how pairs of bidders are under one hand on their day (SI-020).

    Each bidder's controllers are followed upwards, at most ``chain_depth`` steps. Two are tied when one is above the
    other, when a hand is above both, when one person represents both, or when their boards have a majority in common.

    Args:
        source: the tables.
        pairs: rows with the columns of TIE.
        as_of: the moment whose register counts.
        control_ratio: more than this controls.
        chain_depth: steps.

    Returns:
        One way a row: TIE, kind, path_1 and path_2 (the ids from each end up to the hand, one a line).
    """
    met = pairs.select(TIE).unique()
    asked = ends_of(met).collect()
    register = known_register(source, as_of)
    first = control_edges_on(register, asked.lazy(), control_ratio).collect()
    hands = _hands_above(register, asked, first, control_ratio, chain_depth).lazy()
    left, right = (
        hands.select("day", "hand", pl.col("org_id").alias(f"org_id_{n}"), pl.col("path").alias(f"path_{n}"))
        for n in (1, 2)
    )
    hand = pl.col("hand")
    kind = (
        pl.when(hand.str.starts_with("legal_rep:"))
        .then(pl.lit("legal_rep"))
        .when((hand == pl.col("org_id_1")) | (hand == pl.col("org_id_2")))
        .then(pl.lit("chain"))
        .otherwise(pl.lit("common_controller"))
    )
    under = met.join(left, on=["org_id_1", "day"]).join(right, on=["org_id_2", "day", "hand"])
    boards = first.lazy().filter(kind="board").select(org_id_1="org_id", org_id_2="hand", day="day")
    seated = met.join(boards, on=TIE, how="semi")
    return pl.concat(
        [
            under.select(*TIE, "path_1", "path_2", kind=kind),
            seated.select(*TIE, path_1="org_id_1", path_2="org_id_2", kind=pl.lit("board")),
        ]
    )


def _hands_above(
    register: SourceTables, asked: pl.DataFrame, first: pl.DataFrame, control_ratio: float, chain_depth: int
) -> pl.DataFrame:
    """Return who stands above each organisation on a day, itself included: org_id, day, hand, path."""
    upwards = ["org_id", "day", "hand", "path"]
    above = asked.with_columns(hand="org_id", path="org_id").select(upwards)
    edges, at = first, above
    for step in range(chain_depth):
        if step:
            seen = at.select("day", org_id="hand").unique()
            edges = control_edges_on(register, seen.lazy(), control_ratio).collect()
        up = edges.filter(pl.col("kind").is_in(STEPS)).select("day", hand="org_id", next="hand").unique()
        at = (
            at.join(up, on=["day", "hand"], how="inner")
            .select("org_id", "day", hand="next", path=pl.concat_str("path", "next", separator="\n"))
            .join(above, on=["org_id", "day", "hand"], how="anti")
            .sort("path")
            .unique(["org_id", "day", "hand"], keep="first", maintain_order=True)
        )
        above = pl.concat([above, at])
    people = first.filter(kind="legal_rep").with_columns(path=pl.concat_str("org_id", "hand", separator="\n"))
    return pl.concat([above, people.select(upwards)])


def weak_ties(
    source: SourceTables,
    pairs: pl.LazyFrame,
    as_of: dt.datetime,
    *,
    tie_months: int = TIE_MONTHS,
    minor_ratio: float = MINOR_RATIO,
) -> pl.LazyFrame:
    """Return the rows that pairs of bidders have in common on their day (rulings SI-021).

    Returns:
        Two rows a tie, one an end: TIE, way (a name of WEIGHTS), table, key, org_id, says.
    """
    met = pairs.select(TIE).unique().collect().lazy()
    asked = ends_of(met).collect().lazy()
    since = _since(tie_months)
    register = known_register(source, as_of)
    control = control_ties(source, met, as_of).select(TIE).unique()
    ways = [
        *[_same_registered(met, _shared_values(source, name), name) for name in REGISTERED],
        _same_people(met, _in_office(asked, _managers(register), since)),
        _same_holder(register, met.join(control, on=TIE, how="anti"), asked, minor_ratio),
        _same_insured(met, _insured(source, asked), since),
    ]
    return pl.concat(one.select(*TIE, "way", "table", "key", "org_id", "says") for one in ways)


def same_ways(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return what each pair has in common, from the rows of ``weak_ties``: TIE and ``same_*``."""
    return rows.group_by(TIE).agg((pl.col("way") == name).any().alias(f"same_{name}") for name in WEIGHTS)


def _known_ways(source: SourceTables, pairs: pl.LazyFrame, as_of: dt.datetime, tie_months: int) -> list[pl.LazyFrame]:
    """Return, for each way of WEIGHTS, the pairs of which both ends carry a usable value: TIE and ``known_*``."""
    met = pairs.select(TIE).unique().collect().lazy()
    asked = ends_of(met).collect().lazy()
    since = _since(tie_months)
    register = known_register(source, as_of)
    holders = register[Shareholding].join(asked, on="org_id", how="inner").filter(valid_on(pl.col("day")))
    managers = _in_office(asked, _managers(register), since)
    address, phone, email = (_shared_values(source, name) for name in REGISTERED)
    contact = pl.concat(_both(met, one, "known_contact") for one in (phone, email))
    return [
        _both(met, address, "known_address"),
        contact.unique(),
        _both(met, managers, "known_people", on=["day"]),
        _both(met, holders, "known_holder", on=["day"]),
        _both(met, _insuring(asked, _insured(source, asked), since), "known_insured", on=["day"]),
    ]


def _since(tie_months: int) -> pl.Expr:
    return pl.col("day").dt.offset_by(f"-{tie_months}mo")


def _both(met: pl.LazyFrame, known: pl.LazyFrame, name: str, *, on: Sequence[str] = ()) -> pl.LazyFrame:
    """Return the pairs of which both ends are known, as a column of that name."""
    ends = known.select("org_id", *on).unique()
    there = met
    for end in ("org_id_1", "org_id_2"):
        there = there.join(ends, left_on=[end, *on], right_on=["org_id", *on], how="semi")
    return there.with_columns(pl.lit(value=True).alias(name))


def _registered(register: SourceTables) -> pl.LazyFrame:
    """Return the organisations of which the register says who stands behind them: org_id."""
    named = register[Organisation].filter(pl.col("legal_rep_person_id").is_not_null())
    return pl.concat([one.select("org_id") for one in (named, register[Shareholding], register[OrgPerson])]).unique()


def _shared_values(source: SourceTables, column: str) -> pl.LazyFrame:
    """Return org_id and value of a registered column, without blanks and values of registration agents."""
    text = pl.col(column).str.strip_chars()
    values = source[Organisation].select("org_id", value=pl.when(text != "").then(text))
    return values.filter(pl.col("value").is_not_null(), pl.len().over("value") <= SHARED_BY_MAX)


def _same_registered(met: pl.LazyFrame, values: pl.LazyFrame, column: str) -> pl.LazyFrame:
    way = "address" if column == "address_norm" else "contact"
    equal = met.join(values.rename({"org_id": "org_id_1"}), on="org_id_1").join(
        values.rename({"org_id": "org_id_2"}), on=["org_id_2", "value"]
    )
    return rows_of_both(equal.select(*TIE, key_1="org_id_1", key_2="org_id_2"), way, Organisation.NAME, column)


def _managers(register: SourceTables) -> pl.LazyFrame:
    """Return who represents, directs or manages organisations: org_id, person_id, start_date, end_date, table, key.

    Where no dated legal representative is known, the one that the organisation names counts, as in SI-020.
    """
    roles = register[OrgPerson].filter(pl.col("role").cast(pl.String).is_in(MANAGEMENT))
    dated = roles.filter(pl.col("role").cast(pl.String) == "legal_rep")
    named = (
        register[Organisation].filter(pl.col("legal_rep_person_id").is_not_null()).join(dated, on="org_id", how="anti")
    )
    never = pl.lit(None, dtype=pl.Date)
    return pl.concat(
        [
            roles.select(
                "org_id", "person_id", "start_date", "end_date", table=pl.lit(OrgPerson.NAME), key="org_person_id"
            ),
            named.select(
                "org_id",
                person_id="legal_rep_person_id",
                start_date=never,
                end_date=never,
                table=pl.lit(Organisation.NAME),
                key="org_id",
            ),
        ]
    )


def _in_office(asked: pl.LazyFrame, managers: pl.LazyFrame, since: pl.Expr) -> pl.LazyFrame:
    """Return the managers of each organisation between ``since`` and the day."""
    return asked.join(managers, on="org_id", how="inner").filter(
        (pl.col("start_date") <= pl.col("day")).fill_null(value=True),
        (pl.col("end_date") >= since).fill_null(value=True),
    )


def _same_people(met: pl.LazyFrame, managers: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows of people who managed both ends."""
    several = managers.filter(pl.col("org_id").n_unique().over("person_id") > 1)
    there = several.select("org_id", "day", "person_id", "table", "key")
    first, second = (there.rename({name: f"{name}_{n}" for name in ("org_id", "table", "key")}) for n in (1, 2))
    both = met.join(first, on=["org_id_1", "day"]).join(second, on=["org_id_2", "day", "person_id"])
    return pl.concat(
        both.select(
            *TIE,
            way=pl.lit("people"),
            table=pl.col(f"table_{n}"),
            key=pl.col(f"key_{n}"),
            org_id=pl.col(f"org_id_{n}"),
            says="person_id",
        )
        for n in (1, 2)
    )


def _same_holder(register: SourceTables, met: pl.LazyFrame, asked: pl.LazyFrame, minor_ratio: float) -> pl.LazyFrame:
    """Return the holdings of those who hold a part of both ends on the day."""
    holdings = register[Shareholding].join(asked, on="org_id", how="inner")
    held = summed_holdings(holdings).filter(pl.col("ratio") >= minor_ratio).drop("ratio")
    first, second = (held.rename({"org_id": f"org_id_{n}"}) for n in (1, 2))
    both = met.join(first, on=["org_id_1", "day"]).join(second, on=["org_id_2", "day", "hand"])
    links = pl.concat(both.select(*TIE, "hand", org_id=f"org_id_{n}") for n in (1, 2))
    return holding_rows(register, links).select(*TIE, pl.lit("holder").alias("way"), "table", "key", "org_id", "says")


def _insured(source: SourceTables, asked: pl.LazyFrame) -> pl.LazyFrame:
    """Return whom the organisations insured, month by month: org_id, person_id, last_day (of the month), key."""
    return (
        source.with_sensitive(SocialInsurance)
        .filter(pl.col("person_id").is_not_null())
        .join(asked.select("org_id").unique(), on="org_id", how="semi")
        .select("org_id", "person_id", key="si_id", last_day=pl.col("month").str.to_date("%Y-%m").dt.month_end())
    )


def _insuring(asked: pl.LazyFrame, insured: pl.LazyFrame, since: pl.Expr) -> pl.LazyFrame:
    """Return the organisations that insured anybody in a complete month between ``since`` and the day: org_id, day."""
    months = insured.select("org_id", "last_day").unique().sort("last_day")
    latest = asked.sort("day").join_asof(
        months,
        left_on="day",
        right_on="last_day",
        by="org_id",
        strategy="backward",
        allow_exact_matches=False,
        check_sortedness=False,
    )
    return latest.filter(pl.col("last_day") >= since).select("org_id", "day")


def _same_insured(met: pl.LazyFrame, insured: pl.LazyFrame, since: pl.Expr) -> pl.LazyFrame:
    """Return two rows an end of the people insured by both in different complete months since ``since``."""
    several = insured.filter(pl.col("org_id").n_unique().over("person_id") > 1)
    last_day = pl.col("last_day")
    months = (
        ends_of(met)
        .join(several, on="org_id", how="inner")
        .filter(last_day < pl.col("day"), last_day >= since)
        .group_by("org_id", "day", "person_id")
        .agg(
            since=last_day.min(),
            until=last_day.max(),
            key=pl.col("key").sort_by("last_day", "key").first(),
            key_last=pl.col("key").sort_by("last_day", "key").last(),
        )
    )
    first, second = (
        months.rename({name: f"{name}_{n}" for name in ("org_id", "since", "until", "key", "key_last")}) for n in (1, 2)
    )
    both = met.join(first, on=["org_id_1", "day"]).join(second, on=["org_id_2", "day", "person_id"])
    earliest, latest = (
        pl.min_horizontal("since_1", "since_2"),
        pl.max_horizontal("until_1", "until_2"),
    )
    in_turn = both.filter(earliest != latest)
    ends = [in_turn, in_turn.with_columns(key_1="key_last_1", key_2="key_last_2")]
    return pl.concat(rows_of_both(one, "insured", SocialInsurance.NAME, "person_id") for one in ends)


def _control_rows(register: SourceTables, found: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows of the register that ties of control stand on: TIE, table, key, org_id, says."""
    nodes = pl.concat(found.select(*TIE, ids=pl.col(f"path_{n}").str.split("\n")) for n in (1, 2))
    links = (
        nodes.filter(pl.col("ids").list.len() > 1)
        .with_columns(org_id=pl.col("ids").list.head(pl.col("ids").list.len() - 1), hand=pl.col("ids").list.slice(1))
        .explode("org_id", "hand")
        .drop("ids")
        .unique()
    )
    role = pl.col("role").cast(pl.String)
    prefix = {"actual_controller": "controller:", "legal_rep": "legal_rep:"}
    roles = register[OrgPerson].with_columns(
        hand=pl.concat_str(role.replace_strict(prefix, default=None, return_dtype=pl.String), "person_id")
    )
    named = register[Organisation].with_columns(hand=pl.concat_str(pl.lit("legal_rep:"), "legal_rep_person_id"))
    seats = (
        register[OrgPerson]
        .filter(role.is_in(BOARD))
        .select("org_id", "person_id", "start_date", "end_date", key="org_person_id")
    )
    boards = found.filter(kind="board").select(TIE)
    first, second = (
        boards.join(seats, left_on=f"org_id_{n}", right_on="org_id")
        .filter(valid_on(pl.col("day")))
        .select(*TIE, "person_id", pl.col("key").alias(f"key_{n}"))
        for n in (1, 2)
    )
    row = [*TIE, "table", "key", "org_id", "says"]
    return pl.concat(
        [
            holding_rows(register, links),
            links.join(roles, on=["org_id", "hand"])
            .filter(valid_on(pl.col("day")))
            .select(*TIE, table=pl.lit(OrgPerson.NAME), key="org_person_id", org_id="org_id", says="hand"),
            links.join(named, on=["org_id", "hand"]).select(
                *TIE, table=pl.lit(Organisation.NAME), key="org_id", org_id="org_id", says="hand"
            ),
            rows_of_both(first.join(second, on=[*TIE, "person_id"]), "board", OrgPerson.NAME, "board").select(row),
        ]
    ).unique()
