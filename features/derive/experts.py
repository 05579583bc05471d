"""Experts and those they meet on panels: winners before them, those who draw them, and each other."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.bidders import decided_lots, valid_groups
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.lots import first_opening, with_market
from features.derive.ordered import ordered
from features.derive.pairs import person_and_organisation
from features.derive.windows import in_window, short_history
from features.tables.as_of import known_as_of
from features.tables.columns import ZONE
from features.tables.evaluation import CommitteeDraw, Expert
from features.tables.source import SourceTables
from features.tables.tendering import Tender

HOSTS = {"tenderer_org_id": "tenderer", "agency_org_id": "agency"}


def known_seats(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the seats drawn by a moment: the columns of CommitteeDraw, null where the moment did not know them.

    ``member_role`` and ``draw_method`` are texts. A seat without a draw time does not count (rulings G2).
    """
    parents = {Tender.NAME: source[Tender], CommitteeDraw.NAME: source[CommitteeDraw]}
    seats = known_as_of(source[CommitteeDraw], CommitteeDraw, as_of, parents)
    return seats.with_columns(pl.col("member_role", "draw_method").cast(pl.String))


def sitting_experts(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the experts who are known to have come, one a tender and person (rulings SI-067).

    Columns: tender_id, person_id, draw_id, pool_size, drawn_at.
    """
    return (
        known_seats(source, as_of)
        .filter(pl.col("member_role") == "expert", "attended")
        .sort("draw_id")
        .unique(subset=["tender_id", "person_id"], keep="first", maintain_order=True)
        .select("tender_id", "person_id", "draw_id", "pool_size", "drawn_at")
    )


def first_draw(source: SourceTables) -> dt.datetime | None:
    """Return the earliest draw in the data."""
    return source[CommitteeDraw].select(pl.col("drawn_at").min()).collect().item()


class ExpertWinRate(Derived):
    """How often one bidder (a control group) wins before one expert, and on panels without it in the same markets."""

    subject_id = dy.String(primary_key=True)
    person_id = dy.String()
    winner_org_id = dy.String()
    n_wins = dy.Int64(min=0)
    """k: panels with the expert that the bidder won, among lots whose bids are all published."""
    n_panels = dy.Int64(min=0)
    """m: panels with the expert on which it bid validly."""
    n_wins_elsewhere = dy.Int64(min=0)
    n_panels_elsewhere = dy.Int64(min=0)
    """Panels of other experts; a panel of whom nobody is known is left out."""
    n_panels_all = dy.Int64(min=0)
    """m with the lots whose bids are not all published."""
    short_history = dy.Bool()
    evidence = dy.String()
    """The seats and bids of the panels that it won."""

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
        """Count decided competitive tenders opened in the window, each once a group (rulings G6, G7, G10, SI-067)."""
        lots = decided_lots(source, as_of, window_months)
        groups = valid_groups(source, as_of)
        seats = sitting_experts(source, as_of)
        seen = _panel_win_rates(lots, groups, seats).select("person_id", "group_org_id", n_panels_all="n_panels")
        counted = _panel_win_rates(lots.filter("bids_complete"), groups, seats)
        return (
            seen.join(counted, on=["person_id", "group_org_id"], how="left")
            .rename({"group_org_id": "winner_org_id"})
            .with_columns(
                pl.col("n_wins", "n_panels", "n_wins_elsewhere", "n_panels_elsewhere").fill_null(0),
                pl.col("evidence").fill_null("[]"),
                subject_id=person_and_organisation(pl.col("person_id"), pl.col("winner_org_id")),
                short_history=pl.lit(short_history(first_opening(source), as_of, window_months)),
            )
            .select(cls.column_names())
            .sort("subject_id")
        )


def _panel_win_rates(lots: pl.LazyFrame, groups: pl.LazyFrame, seats: pl.LazyFrame) -> pl.LazyFrame:
    """Count the panels and wins of each group before each expert, and on other panels of the markets where they met.

    A panel lies in every market in which the group bid there. Panels of a group that lie in the same markets are summed
    first, so that an expert and a group meet their few sums and not each other panel.
    """
    panels = (
        groups.join(with_market(lots).select("lot_id", "tender_id", "market"), on="lot_id", how="inner")
        .join(seats.select("tender_id").unique(), on="tender_id", how="semi")
        .group_by("tender_id", "group_org_id")
        .agg(
            pl.col("won").any(),
            market=pl.col("market").unique().sort(),
            shown=pl.col("evidence").sort().str.join(","),
        )
        .with_columns(markets=pl.col("market").list.join("\n"))
    )
    met = panels.join(seats.select("tender_id", "person_id", "draw_id"), on="tender_id", how="inner")
    pair = ["person_id", "group_org_id"]
    here = met.group_by(pair).agg(n_panels=pl.len().cast(pl.Int64), n_wins=pl.col("won").sum().cast(pl.Int64))
    sums = panels.group_by("group_org_id", "markets").agg(
        pl.col("market").first(), n_sum=pl.len().cast(pl.Int64), n_won=pl.col("won").sum().cast(pl.Int64)
    )
    everywhere = (
        met.select(*pair, "market")
        .explode("market")
        .unique()
        .join(sums.explode("market"), on=["group_org_id", "market"], how="inner")
        .unique(subset=[*pair, "markets"])
        .group_by(pair)
        .agg(pl.col("n_sum", "n_won").sum())
    )
    seat = pl.struct(
        pl.lit(CommitteeDraw.NAME).alias("table"),
        pl.col("draw_id").alias("key"),
        pl.struct("tender_id").alias("fields"),
    ).struct.json_encode()
    shown = (
        met.filter("won").group_by(pair).agg(evidence=pl.concat_str(seat, pl.lit(","), "shown").sort().str.join(","))
    )
    return (
        here.join(everywhere, on=pair, how="inner")
        .join(shown, on=pair, how="left")
        .with_columns(
            n_panels_elsewhere=pl.col("n_sum") - pl.col("n_panels"),
            n_wins_elsewhere=pl.col("n_won") - pl.col("n_wins"),
            evidence=pl.concat_str(pl.lit("["), pl.col("evidence").fill_null(""), pl.lit("]")),
        )
    )


class DrawFrequency(Derived):
    """How often one tenderer or agency drew one expert at random, and how often chance would have."""

    subject_id = dy.String()
    person_id = dy.String()
    org_id = dy.String()
    role = dy.String()
    """What the organisation was: tenderer or agency."""
    n_draws = dy.Int64(min=1)
    """c: seats for which the expert was drawn, answered or not."""
    n_expected = dy.Float64(min=0, nullable=True)
    """lambda: over the tenders for which it could be drawn, the sum of 1/pool size of their seats."""
    small_share = dy.Float64(min=0, max=1, nullable=True)
    """Share of the organisation's tenders drawn from a small pool."""
    pool_missing_share = dy.Float64(min=0, max=1)
    """Share of its seats without pool size."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int, pool_mult: int) -> pl.LazyFrame:
        """Compare the experts drawn in (as_of - window, as_of] (rulings SI-071)."""
        host = ["org_id", "role"]
        seats = known_seats(source, as_of).filter(
            pl.col("member_role") == "expert",
            pl.col("draw_method") == "random",
            in_window(pl.col("drawn_at"), as_of, window_months),
        )
        pool = pl.when(pl.col("pool_size") > 0).then("pool_size")
        drawn = (
            seats.join(_hosts(source), on="tender_id", how="inner")
            .with_columns(pool=pool)
            .with_columns(
                pool=pl.col("pool").fill_null(pl.col("pool").median().over(host)),
                unknown=pl.col("pool").is_null(),
            )
        )
        tenders = drawn.group_by(*host, "tender_id").agg(
            weight=ordered(1 / pl.col("pool")).list.sum(),
            small=pl.col("pool").min() < pool_mult * pl.col("replaced_by_draw_id").is_null().sum(),
            drawn_at=pl.col("drawn_at").min(),
        )
        pools = drawn.group_by(host).agg(pool_missing_share=pl.col("unknown").mean())
        small = tenders.group_by(host).agg(small_share=pl.col("small").mean())
        pairs = drawn.group_by(*host, "person_id").agg(
            n_draws=pl.len().cast(pl.Int64),
            evidence=rows_as_evidence(CommitteeDraw.NAME, "draw_id", ["tender_id", "drawn_at", "pool_size"]),
        )
        return (
            pairs.join(_expected(source, as_of, seats, tenders, pairs), on=[*host, "person_id"], how="left")
            .join(pools, on=host, how="left")
            .join(small, on=host, how="left")
            .with_columns(
                subject_id=person_and_organisation(pl.col("person_id"), pl.col("org_id")),
                short_history=pl.lit(short_history(first_draw(source), as_of, window_months)),
            )
            .select(cls.column_names())
            .sort("subject_id", "role")
        )


def _hosts(source: SourceTables) -> pl.LazyFrame:
    """Return for whom and through whom each tender is held: tender_id, org_id, role."""
    tenders = source[Tender]
    named = [tenders.select("tender_id", org_id=column, role=pl.lit(role)) for column, role in HOSTS.items()]
    return pl.concat(named).filter(pl.col("org_id").is_not_null())


def _expected(
    source: SourceTables, as_of: dt.datetime, seats: pl.LazyFrame, tenders: pl.LazyFrame, pairs: pl.LazyFrame
) -> pl.LazyFrame:
    """Sum the chance of each pair over the organisation's tenders for which the expert could be drawn.

    It could where it was; or where it had entered the pool and shares a specialty with somebody who was. Whose
    specialties are not known could be drawn for anything.
    """
    pool = _specialties(source, as_of)
    people = seats.select("tender_id", "person_id").unique()
    asked = (
        people.join(pool.select("person_id", "code").explode("code").drop_nulls(), on="person_id", how="inner")
        .group_by("tender_id")
        .agg(asked=pl.col("code").unique().sort())
        .with_columns(asked_key=pl.col("asked").list.join("\n"))
    )
    codes = [
        pool.select("codes_key", "code").explode("code").unique(),
        asked.select("asked_key", code="asked").explode("code").unique(),
    ]
    shared = codes[0].join(codes[1], on="code", how="inner").select("codes_key", "asked_key").unique()
    yes = pl.lit(value=True)
    entered = pl.col("in_pool_from").is_null() | (pl.col("drawn_at") >= pl.col("in_pool_from"))
    fits = pl.col("codes_key").is_null() | pl.col("asked_key").is_null() | pl.col("shares").is_not_null()
    return (
        pairs.select("org_id", "role", "person_id")
        .join(pool.select("person_id", "codes_key", "in_pool_from"), on="person_id", how="left")
        .join(tenders.join(asked.select("tender_id", "asked_key"), on="tender_id", how="left"), on=["org_id", "role"])
        .join(shared.with_columns(shares=yes), on=["codes_key", "asked_key"], how="left")
        .join(people.with_columns(was_drawn=yes), on=["tender_id", "person_id"], how="left")
        .filter(pl.col("was_drawn").is_not_null() | (entered & fits))
        .group_by("org_id", "role", "person_id")
        .agg(n_expected=ordered(pl.col("weight")).list.sum())
    )


def _specialties(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return each person's specialties and when it entered the pool: person_id, code, codes_key, in_pool_from.

    ``codes_key`` names the set of codes, null when none is known; ``in_pool_from`` is null when it is not dated.
    """
    entered = pl.col("entered_at")
    known = known_as_of(source[Expert], Expert, as_of).select(
        "person_id", "entered_at", code=pl.col("specialty_codes").str.extract_all(r'[^"\[\],\s]+')
    )
    return (
        known.group_by("person_id")
        .agg(
            code=pl.col("code").explode().drop_nulls().unique().sort(),
            entered_at=pl.when(entered.is_not_null().all()).then(entered.min()),
        )
        .select(
            "person_id",
            "code",
            codes_key=pl.when(pl.col("code").list.len() > 0).then(pl.col("code").list.join("\n")),
            in_pool_from=pl.col("entered_at").dt.offset_by("1d").cast(pl.Datetime("us")).dt.replace_time_zone(ZONE),
        )
    )


class RecurrentPanel(Derived):
    """How often one expert sat with the same others, and how often random draws would have it."""

    subject_id = dy.String(primary_key=True)
    """The expert's person_id."""
    n_panels = dy.Int64(min=1)
    """Panels of the window on which it sat."""
    n_sized = dy.Int64(min=0)
    """Those of which the size of the pool is known."""
    n_together = dy.Int64(min=0)
    """c: panels on which its most frequent set sat whole; 0 when no set did so c_min times."""
    n_expected = dy.Float64(min=0)
    """How often any one set would sit together."""
    members = dy.String(nullable=True)
    """The person_ids of the set."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(
        cls, source: SourceTables, as_of: dt.datetime, window_months: int, set_k: int, c_min: int
    ) -> pl.LazyFrame:
        """Search the sets of experts on panels drawn in (as_of - window, as_of] (rulings SI-067, SI-072)."""
        seats = sitting_experts(source, as_of).filter(in_window(pl.col("drawn_at"), as_of, window_months))
        pool = pl.when(pl.col("pool_size") > 0).then("pool_size").min().over("tender_id")
        seats = seats.with_columns(pool=pool).collect().lazy()
        sized = seats.filter(pl.col("pool").is_not_null())
        panels = sized.group_by("tender_id").agg(n_seats=pl.len().cast(pl.Int64), pool=pl.col("pool").first())
        expected = panels.select(ordered(_chance_of_all(set_k)).list.sum()).collect().item()
        people = seats.group_by("person_id").agg(
            n_panels=pl.len().cast(pl.Int64), n_sized=pl.col("pool").is_not_null().sum().cast(pl.Int64)
        )
        return (
            people.join(_most_frequent_sets(sized, set_k, c_min), on="person_id", how="left")
            .select(
                "n_panels",
                "n_sized",
                "members",
                subject_id="person_id",
                n_expected=pl.lit(expected, dtype=pl.Float64),
                n_together=pl.col("n_together").fill_null(0),
                short_history=pl.lit(short_history(first_draw(source), as_of, window_months)),
                evidence=pl.col("evidence").fill_null("[]"),
            )
            .select(cls.column_names())
            .sort("subject_id")
        )


def _chance_of_all(k: int) -> pl.Expr:
    """Return the chance that k given people all sit on a panel of ``n_seats`` drawn from ``pool``."""
    seats, pool = pl.col("n_seats"), pl.col("pool")
    chance: pl.Expr = pl.lit(1.0)
    for taken in range(k):
        chance = chance * (seats - taken) / (pool - taken)
    return pl.when(seats < k).then(0.0).when(pool <= seats).then(1.0).otherwise(chance)


def _most_frequent_sets(seats: pl.LazyFrame, k: int, c_min: int) -> pl.LazyFrame:
    """Return for each person the set of k that sat together most often, at least c_min times.

    Sets grow by one person at a time; one that is too rare already grows no further. Of equally frequent sets the first
    by name stands. Columns: person_id, n_together, members, evidence.
    """
    names = [f"member_{place}" for place in range(k)]
    sets = seats.select("tender_id", member_0="person_id")
    for place in range(1, k):
        following = seats.select("tender_id", pl.col("person_id").alias(names[place]))
        sets = (
            sets.join(following, on="tender_id", how="inner")
            .filter(pl.col(names[place]) > pl.col(names[place - 1]))
            .filter(pl.len().over(names[: place + 1]) >= c_min)
        )
    sets = sets.with_columns(members=pl.concat_str(names, separator=",")).collect().lazy()
    counts = sets.group_by("members").agg(pl.col(names).first(), n_together=pl.len().cast(pl.Int64))
    best = (
        counts.unpivot(names, index=["members", "n_together"], value_name="person_id")
        .sort(pl.col("n_together"), "members", descending=[True, False])
        .unique(subset=["person_id"], keep="first", maintain_order=True)
        .select("person_id", "n_together", "members")
    )
    rows = (
        sets.unpivot(names, index=["members", "tender_id"], value_name="person_id")
        .join(best.select("members").unique(), on="members", how="semi")
        .join(seats.select("tender_id", "person_id", "draw_id"), on=["tender_id", "person_id"], how="inner")
    )
    shown = rows.group_by("members").agg(evidence=rows_as_evidence(CommitteeDraw.NAME, "draw_id", ["tender_id"]))
    return best.join(shown, on="members", how="left")
