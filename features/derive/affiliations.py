"""Ties of ownership, people and addresses between the bidders of one lot, on the day of its opening."""

import datetime as dt
from collections.abc import Sequence

import dataframely as dy
import polars as pl

from features.clock import SHANGHAI
from features.derive.bids import LotBid
from features.derive.control_groups import BOARD, CONTROL_RATIO, control_edges_on, summed_holdings, valid_on
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.pairs import organisation_pair
from features.tables.organisations import Organisation, OrgPerson, Shareholding, SocialInsurance
from features.tables.source import SourceTables
from features.tables.tendering import Bid

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
TIE = ("org_id_1", "org_id_2", "day")
WEIGHTS = {"address": 0.30, "contact": 0.25, "people": 0.20, "holder": 0.15, "insured": 0.10}
"""What each weak tie adds to the score of SI-021."""


class BidderTie(Derived):
    """Two bidders that met in a lot: on one day of opening."""

    subject_id = dy.String()
    org_id_1 = dy.String()
    org_id_2 = dy.String()
    n_lots = dy.Int64(min=1)
    """Lots opened that day in which both bid."""
    evidence = dy.String()


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
        found = control_ties(source, pairs, as_of, control_ratio=control_ratio, chain_depth=chain_depth)
        kinds = found.group_by(TIE).agg(ties=pl.col("kind").unique().sort().str.join(","))
        rows = pl.concat([_bid_rows(pairs, kinds), _control_rows(source, found)])
        registered = _registered(source, as_of).with_columns(known=pl.lit(value=True))
        ends = [registered.rename({"org_id": f"org_id_{n}", "known": f"known_{n}"}) for n in (1, 2)]
        return (
            _met(pairs)
            .join(kinds, on=TIE, how="left")
            .join(_evidence(rows), on=TIE, how="left")
            .join(ends[0], on="org_id_1", how="left")
            .join(ends[1], on="org_id_2", how="left")
            .with_columns(
                tied=pl.col("ties").is_not_null(),
                ties=pl.col("ties").fill_null(""),
                known=(pl.col("known_1") & pl.col("known_2")).fill_null(value=False),
                evidence=pl.col("evidence").fill_null("[]"),
            )
            .select(cls.column_names())
        )


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
        shown = _evidence(pl.concat([_bid_rows(pairs, found), rows.drop("way")]))
        said = _met(pairs).join(found, on=TIE, how="left").join(shown, on=TIE, how="left")
        for known in _known_ways(source, pairs, as_of, tie_months):
            said = said.join(known, on=TIE, how="left")
        flags = [pl.col(f"{prefix}_{name}").fill_null(value=False) for prefix in ("same", "known") for name in WEIGHTS]
        return said.with_columns(*flags, evidence=pl.col("evidence").fill_null("[]")).select(cls.column_names())


def weighted(prefix: str) -> pl.Expr:
    """Return the sum of the weights of SI-021 over the columns ``same_*`` or ``known_*``, at most 1."""
    parts = [weight * pl.col(f"{prefix}_{name}").cast(pl.Float64) for name, weight in WEIGHTS.items()]
    return pl.sum_horizontal(parts).clip(upper_bound=1.0)


def bidder_pairs(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return each two bidders of one opened lot, members of consortia among them (rulings G22).

    Grain: lot_id, org_id_1, org_id_2 (the smaller id first). Further columns: day (of the opening), bid_id_1, bid_id_2.
    Who shares a bid of the lot is no pair.
    """
    bids = LotBid.derive(source, as_of).select("lot_id", "bid_id", "bidder_org_id", day=pl.col("opening_at").dt.date())
    members = (
        source[Bid]
        .filter(pl.col("consortium_org_ids").is_not_null())
        .select("bid_id", org_id=pl.col("consortium_org_ids").str.json_decode(pl.List(pl.String)))
        .explode("org_id")
        .filter(pl.col("org_id").is_not_null())
    )
    bidders = pl.concat(
        [
            bids.select("lot_id", "day", "bid_id", org_id="bidder_org_id"),
            bids.join(members, on="bid_id", how="inner").select("lot_id", "day", "bid_id", "org_id"),
        ]
    ).unique()
    met = (
        bidders.join(bidders.drop("day"), on="lot_id", how="inner", suffix="_2")
        .rename({"org_id": "org_id_1", "bid_id": "bid_id_1"})
        .filter(pl.col("org_id_1") < pl.col("org_id_2"))
    )
    apart = pl.col("bid_id_1") != pl.col("bid_id_2")
    together = met.filter(~apart).select("lot_id", "org_id_1", "org_id_2")
    return (
        met.filter(apart)
        .join(together, on=["lot_id", "org_id_1", "org_id_2"], how="anti")
        .group_by("lot_id", *TIE)
        .agg(pl.col("bid_id_1").min(), pl.col("bid_id_2").min())
    )


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
        as_of: what began later is not known.
        control_ratio: more than this controls.
        chain_depth: steps.

    Returns:
        One way a row: TIE, kind, path_1 and path_2 (the ids from each end up to the hand, one a line).
    """
    met = pairs.select(TIE).unique()
    asked = _ends(met).collect()
    known_by = as_of.astimezone(SHANGHAI).date()
    first = control_edges_on(source, asked.lazy(), control_ratio, known_by=known_by).collect()
    hands = _hands_above(source, asked, first, control_ratio, chain_depth, known_by).lazy()
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
    source: SourceTables,
    asked: pl.DataFrame,
    first: pl.DataFrame,
    control_ratio: float,
    chain_depth: int,
    known_by: dt.date,
) -> pl.DataFrame:
    """Return who stands above each organisation on a day, itself included: org_id, day, hand, path."""
    upwards = ["org_id", "day", "hand", "path"]
    above = asked.with_columns(hand="org_id", path="org_id").select(upwards)
    edges, at = first, above
    for step in range(chain_depth):
        if step:
            seen = at.select("day", org_id="hand").unique()
            edges = control_edges_on(source, seen.lazy(), control_ratio, known_by=known_by).collect()
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
    asked = _ends(met).collect().lazy()
    since = _since(tie_months)
    control = control_ties(source, met, as_of).select(TIE).unique()
    ways = [
        *[_same_registered(met, _shared_values(source, name), name) for name in REGISTERED],
        _same_people(met, _in_office(asked, _managers(source, as_of), since)),
        _same_holder(source, met.join(control, on=TIE, how="anti"), asked, minor_ratio),
        _same_insured(met, _insured(source, asked), since),
    ]
    return pl.concat(one.select(*TIE, "way", "table", "key", "org_id", "says") for one in ways)


def same_ways(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return what each pair has in common, from the rows of ``weak_ties``: TIE and ``same_*``."""
    return rows.group_by(TIE).agg((pl.col("way") == name).any().alias(f"same_{name}") for name in WEIGHTS)


def _known_ways(source: SourceTables, pairs: pl.LazyFrame, as_of: dt.datetime, tie_months: int) -> list[pl.LazyFrame]:
    """Return, for each way of WEIGHTS, the pairs of which both ends carry a usable value: TIE and ``known_*``."""
    met = pairs.select(TIE).unique().collect().lazy()
    asked = _ends(met).collect().lazy()
    since = _since(tie_months)
    holders = source[Shareholding].join(asked, on="org_id", how="inner").filter(valid_on(pl.col("day")))
    managers = _in_office(asked, _managers(source, as_of), since)
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


def _ends(met: pl.LazyFrame) -> pl.LazyFrame:
    return pl.concat([met.select("day", org_id=f"org_id_{n}") for n in (1, 2)]).unique()


def _met(pairs: pl.LazyFrame) -> pl.LazyFrame:
    """Return each pair and day once, with the number of its lots."""
    counted = pairs.group_by(TIE).agg(n_lots=pl.len().cast(pl.Int64))
    return counted.with_columns(subject_id=organisation_pair(pl.col("org_id_1"), pl.col("org_id_2")))


def _both(met: pl.LazyFrame, known: pl.LazyFrame, name: str, *, on: Sequence[str] = ()) -> pl.LazyFrame:
    """Return the pairs of which both ends are known, as a column of that name."""
    ends = known.select("org_id", *on).unique()
    there = met
    for end in ("org_id_1", "org_id_2"):
        there = there.join(ends, left_on=[end, *on], right_on=["org_id", *on], how="semi")
    return there.with_columns(pl.lit(value=True).alias(name))


def _registered(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the organisations of which the register says who stands behind them: org_id."""
    began = (pl.col("start_date") <= as_of.astimezone(SHANGHAI).date()).fill_null(value=True)
    named = source[Organisation].filter(pl.col("legal_rep_person_id").is_not_null())
    rows = [named, source[Shareholding].filter(began), source[OrgPerson].filter(began)]
    return pl.concat([one.select("org_id") for one in rows]).unique()


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
    return _both_rows(equal.select(*TIE, key_1="org_id_1", key_2="org_id_2"), way, Organisation.NAME, column)


def _both_rows(tied: pl.LazyFrame, way: str, table: str, says: str) -> pl.LazyFrame:
    """Return the rows of both ends of a tie: TIE, way, table, key, org_id, says."""
    return pl.concat(
        tied.select(
            *TIE,
            way=pl.lit(way),
            table=pl.lit(table),
            key=pl.col(f"key_{n}"),
            org_id=pl.col(f"org_id_{n}"),
            says=pl.lit(says),
        )
        for n in (1, 2)
    )


def _managers(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return who represents, directs or manages organisations: org_id, person_id, start_date, end_date, table, key.

    Where no dated legal representative is known, the one that the organisation names counts, as in SI-020.
    """
    began = (pl.col("start_date") <= as_of.astimezone(SHANGHAI).date()).fill_null(value=True)
    roles = source[OrgPerson].filter(began, pl.col("role").cast(pl.String).is_in(MANAGEMENT))
    dated = roles.filter(pl.col("role").cast(pl.String) == "legal_rep")
    named = (
        source[Organisation].filter(pl.col("legal_rep_person_id").is_not_null()).join(dated, on="org_id", how="anti")
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


def _same_holder(source: SourceTables, met: pl.LazyFrame, asked: pl.LazyFrame, minor_ratio: float) -> pl.LazyFrame:
    """Return the holdings of those who hold a part of both ends on the day."""
    holdings = source[Shareholding].join(asked, on="org_id", how="inner")
    held = summed_holdings(holdings).filter(pl.col("ratio") >= minor_ratio).drop("ratio")
    first, second = (held.rename({"org_id": f"org_id_{n}"}) for n in (1, 2))
    both = met.join(first, on=["org_id_1", "day"]).join(second, on=["org_id_2", "day", "hand"])
    links = pl.concat(both.select(*TIE, "hand", org_id=f"org_id_{n}") for n in (1, 2))
    return _holding_rows(source, links).select(*TIE, pl.lit("holder").alias("way"), "table", "key", "org_id", "says")


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
        _ends(met)
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
    return pl.concat(_both_rows(one, "insured", SocialInsurance.NAME, "person_id") for one in ends)


def _control_rows(source: SourceTables, found: pl.LazyFrame) -> pl.LazyFrame:
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
    roles = source[OrgPerson].with_columns(
        hand=pl.concat_str(role.replace_strict(prefix, default=None, return_dtype=pl.String), "person_id")
    )
    named = source[Organisation].with_columns(hand=pl.format("legal_rep:{}", "legal_rep_person_id"))
    seats = (
        source[OrgPerson]
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
            _holding_rows(source, links),
            links.join(roles, on=["org_id", "hand"])
            .filter(valid_on(pl.col("day")))
            .select(*TIE, table=pl.lit(OrgPerson.NAME), key="org_person_id", org_id="org_id", says="hand"),
            links.join(named, on=["org_id", "hand"]).select(
                *TIE, table=pl.lit(Organisation.NAME), key="org_id", org_id="org_id", says="hand"
            ),
            _both_rows(first.join(second, on=[*TIE, "person_id"]), "board", OrgPerson.NAME, "board").select(row),
        ]
    ).unique()


def _holding_rows(source: SourceTables, links: pl.LazyFrame) -> pl.LazyFrame:
    """Return the holdings behind links from organisations to their holders."""
    hand = pl.coalesce("holder_org_id", pl.format("controller:{}", "holder_person_id"))
    return (
        links.join(source[Shareholding].with_columns(hand=hand), on=["org_id", "hand"], how="inner")
        .filter(valid_on(pl.col("day")))
        .select(
            *TIE,
            table=pl.lit(Shareholding.NAME),
            key="holding_id",
            org_id="org_id",
            says=pl.format("{} {}", "hand", "ratio"),
        )
    )


def _bid_rows(pairs: pl.LazyFrame, found: pl.LazyFrame) -> pl.LazyFrame:
    """Return the bids of the pairs that were found to have a tie: TIE, table, key, org_id, says."""
    tied = pairs.join(found, on=TIE, how="semi").rename({"bid_id_1": "key_1", "bid_id_2": "key_2"})
    return pl.concat(
        tied.select(*TIE, table=pl.lit(Bid.NAME), key=pl.col(f"key_{n}"), org_id=pl.col(f"org_id_{n}"), says="lot_id")
        for n in (1, 2)
    )


def _evidence(rows: pl.LazyFrame) -> pl.LazyFrame:
    shown = rows.unique().group_by(TIE)
    return shown.agg(evidence=rows_as_evidence(pl.col("table"), "key", ["org_id", "says"]))
