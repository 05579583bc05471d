"""How the members of a committee mark bids: whom they favour, whose marks decide, whose marks are alike."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.bidders import decided_lots, valid_groups
from features.derive.bids import submitted_bids
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.experts import known_seats
from features.derive.lots import first_opening, lot_facts, with_group
from features.derive.ordered import ordered
from features.derive.pairs import organisation_pair, person_and_organisation
from features.derive.windows import in_window, short_history
from features.tables.as_of import known_as_of
from features.tables.evaluation import CommitteeDraw, EvaluationScore
from features.tables.source import SourceTables
from features.tables.tendering import Bid, Tender

OTHERS_MIN = 3
"""A member's marks for a bid are compared with those of at least so many others (SI-068)."""
SD_FLOOR = 0.01
"""A standard deviation is at least this share of the mean (README section 3)."""
T_MAX = 10.0
RANK_MAX = 10**9


def subjective_scores(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the points by judgement that a moment knew, one row a member (seat), bid and factor.

    Columns: score_id, tender_id, lot_id, bid_id, draw_id, factor_code, max_score, score, revised_from. Bids that were
    withdrawn are left out.
    """
    parents = {Tender.NAME: source[Tender]}
    known = known_as_of(source[EvaluationScore], EvaluationScore, as_of, parents).filter("is_subjective")
    return known.drop("is_subjective", "scored_at").join(submitted_bids(source), on=["bid_id", "lot_id"], how="semi")


def member_points(scores: pl.LazyFrame) -> pl.LazyFrame:
    """Sum the points of each member for each bid over its factors.

    Columns: tender_id, lot_id, bid_id, draw_id, points, points_before (with the marks before revision), full.
    """
    before = pl.coalesce("revised_from", "score")
    return scores.group_by("tender_id", "lot_id", "bid_id", "draw_id").agg(
        points=ordered(pl.col("score")).list.sum(),
        points_before=ordered(before).list.sum(),
        full=ordered(pl.col("max_score")).list.sum(),
    )


def ranked_bids(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the bids of V(l) with a total score, in the order of the ranking: ``place`` 1 is the first.

    The total decides, of equal ones the recorded rank, then the bid_id. Columns: lot_id, bid_id, total_score, place.
    """
    known = known_as_of(
        source[Bid].select("bid_id", "tender_id", "total_score", "rank"), Bid, as_of, {Tender.NAME: source[Tender]}
    )
    order = pl.struct(-pl.col("total_score").round(9), pl.col("rank").fill_null(RANK_MAX), pl.col("bid_id"))
    return (
        submitted_bids(source)
        .filter("counts_as_valid")
        .join(known.filter(pl.col("total_score").is_not_null()), on="bid_id", how="inner")
        .with_columns(place=order.rank("ordinal").over("lot_id").cast(pl.Int64))
        .select("lot_id", "bid_id", "bidder_org_id", "total_score", "place")
    )


def lots_with_bids(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the lots opened by a moment with a bid in S(l), as ``lot_facts`` (rulings G16)."""
    with_bids = submitted_bids(source).select("lot_id").unique()
    return lot_facts(source, as_of).filter("opened").join(with_bids, on="lot_id", how="semi")


class ExpertScoreBias(Derived):
    """How much higher than the other members one expert marks one bidder (a control group), beside other bidders."""

    subject_id = dy.String(primary_key=True)
    person_id = dy.String()
    bidder_org_id = dy.String()
    n_panels = dy.Int64(min=0)
    """Tenders on which the expert and at least three others marked the bidder."""
    mean_r = dy.Float64(nullable=True)
    """Mean over the panels of r, in shares of the points by judgement."""
    t = dy.Float64(nullable=True, min=-T_MAX, max=T_MAX)
    """Of mean_r against 0."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
        """Compare the marks in tenders opened in the window (rulings G7, SI-067, SI-068)."""
        recent = source[Tender].filter(in_window(pl.col("opening_at"), as_of, window_months)).select("tender_id")
        experts = known_seats(source, as_of).filter(pl.col("member_role") == "expert").select("draw_id", "person_id")
        bidders = submitted_bids(source).select("bid_id", "bidder_org_id")
        r, share = pl.col("r"), pl.col("share")
        n_others = pl.len().over("bid_id").cast(pl.Int64) - 1
        others = (ordered(share).list.sum().over("bid_id") - share) / n_others
        marks = (
            member_points(subjective_scores(source, as_of).join(recent, on="tender_id", how="semi"))
            .filter(pl.col("full") > 0)
            .with_columns(share=pl.col("points") / pl.col("full"))
            .with_columns(others=pl.when(n_others >= OTHERS_MIN).then(others))
            .join(experts, on="draw_id", how="inner")
            .with_columns(apart=share - pl.col("others"))
            .with_columns(r=pl.col("apart") - ordered(pl.col("apart")).list.mean().over("tender_id", "person_id"))
        )
        pair = ["person_id", "group_org_id"]
        by_bid = with_group(marks.join(bidders, on="bid_id", how="inner"), source, "bidder_org_id", "group_org_id")
        by_panel = by_bid.group_by(*pair, "tender_id").agg(ordered(r).list.mean())
        mean, n = ordered(r).list.mean(), r.count()
        spread = pl.max_horizontal(ordered(r.drop_nulls()).list.std(), SD_FLOOR * mean.abs())
        biased = by_panel.group_by(pair).agg(
            n_panels=n.cast(pl.Int64),
            mean_r=mean,
            t=pl.when(mean.round(9) != 0).then(mean / (spread / n.sqrt())).when(n > 0).then(0.0).clip(-T_MAX, T_MAX),
        )
        shown = by_bid.with_columns(
            own_share=share.round(4), others_share=pl.col("others").round(4), r=r.round(4)
        ).group_by(pair)
        fields = ["lot_id", "draw_id", "own_share", "others_share", "r"]
        return (
            biased.join(shown.agg(evidence=rows_as_evidence(Bid.NAME, "bid_id", fields)), on=pair, how="left")
            .rename({"group_org_id": "bidder_org_id"})
            .with_columns(
                subject_id=person_and_organisation(pl.col("person_id"), pl.col("bidder_org_id")),
                short_history=pl.lit(short_history(first_opening(source), as_of, window_months)),
            )
            .select(cls.column_names())
            .sort("subject_id")
        )


class MemberMargin(Derived):
    """One member of a lot's committee: its margin of the winner over the runner-up, and whether its marks decided.

    A lot of which no such member is known has one row without a member.
    """

    subject_id = dy.String()
    """The lot."""
    draw_id = dy.String(nullable=True)
    person_id = dy.String(nullable=True)
    member_role = dy.String(nullable=True)
    n_members = dy.Int64(min=0)
    """Members who marked winner and runner-up by judgement."""
    subjective_points = dy.Float64(min=0)
    """Points that one member can give one bid by judgement."""
    unranked = dy.Bool()
    """Two bids or more were marked, and fewer than two have a total score."""
    margin = dy.Float64(nullable=True)
    """Points by judgement for the winner less those for the runner-up."""
    others_median = dy.Float64(nullable=True)
    """Of the margins of the other members."""
    others_mad = dy.Float64(nullable=True)
    """Median absolute deviation of the same."""
    pivotal = dy.Bool()
    """Without the member another bid would be first."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Recompute each lot's totals without each member (rulings SI-069)."""
        points = member_points(subjective_scores(source, as_of)).collect().lazy()
        ranked = ranked_bids(source, as_of).select("lot_id", "bid_id", "total_score", "place").collect().lazy()
        placed = points.join(ranked, on=["lot_id", "bid_id"], how="inner")
        seat = ["lot_id", "draw_id"]
        ends = [placed.filter(pl.col("place") == place).select(*seat, "bid_id", "points") for place in (1, 2)]
        margins = (
            ends[0]
            .join(ends[1], on=seat, how="inner", suffix="_second")
            .select(*seat, "bid_id", "bid_id_second", margin=pl.col("points") - pl.col("points_second"))
        )
        lots = points.group_by("lot_id").agg(
            subjective_points=pl.col("full").max(), n_marked=pl.col("bid_id").n_unique()
        )
        n_ranked = ranked.group_by("lot_id").agg(n_ranked=pl.len())
        about = (
            lots_with_bids(source, as_of)
            .select("lot_id")
            .join(lots, on="lot_id", how="left")
            .join(n_ranked, on="lot_id", how="left")
            .join(margins.group_by("lot_id").agg(n_members=pl.len().cast(pl.Int64)), on="lot_id", how="left")
            .with_columns(pl.col("n_members", "n_marked", "n_ranked", "subjective_points").fill_null(0))
            .with_columns(unranked=(pl.col("n_marked") >= 2) & (pl.col("n_ranked") < 2))
        )
        seats = known_seats(source, as_of).select("draw_id", "person_id", "member_role")
        shown = _shown_margin(margins)
        return (
            about.join(margins.select(*seat, "margin"), on="lot_id", how="left")
            .join(_others(margins), on=seat, how="left")
            .join(_pivotal(placed, ranked, margins), on=seat, how="left")
            .join(seats, on="draw_id", how="left")
            .join(shown, on=seat, how="left")
            .with_columns(pl.col("pivotal").fill_null(value=False), pl.col("evidence").fill_null("[]"))
            .rename({"lot_id": "subject_id"})
            .select(cls.column_names())
            .sort("subject_id", "draw_id")
        )


def _others(margins: pl.LazyFrame) -> pl.LazyFrame:
    """Return median and median absolute deviation of the other members' margins of each member of a lot."""
    seat = ["lot_id", "draw_id"]
    others = (
        margins.select(seat)
        .join(margins.select("lot_id", other="draw_id", others_margin="margin"), on="lot_id", how="inner")
        .filter(pl.col("draw_id") != pl.col("other"))
    )
    margin = pl.col("others_margin")
    return others.group_by(seat).agg(
        others_median=margin.median(), others_mad=(margin - margin.median()).abs().median()
    )


def _pivotal(placed: pl.LazyFrame, ranked: pl.LazyFrame, margins: pl.LazyFrame) -> pl.LazyFrame:
    """Tell of each member whether another bid would be first without its marks: lot_id, draw_id, pivotal.

    A total is objective points and the mean of the members' points by judgement; a tie leaves the winner first.
    """
    seat = ["lot_id", "draw_id"]
    sums = placed.group_by("bid_id").agg(all_points=ordered(pl.col("points")).list.sum(), n=pl.len().cast(pl.Int64))
    own = placed.select("bid_id", "draw_id", "points")
    remaining = (pl.col("all_points") - pl.col("points")) / (pl.col("n") - 1)
    moved = pl.when(pl.col("points").is_not_null()).then(remaining - pl.col("all_points") / pl.col("n")).otherwise(0.0)
    without = (
        margins.select(seat)
        .join(ranked, on="lot_id", how="inner")
        .join(sums, on="bid_id", how="left")
        .join(own, on=["bid_id", "draw_id"], how="left")
        .with_columns(total=(pl.col("total_score") + moved).round(9))
    )
    first = pl.col("total").filter(pl.col("place") == 1).first()
    return without.group_by(seat).agg(pivotal=pl.col("total").filter(pl.col("place") > 1).max() > first)


def _shown_margin(margins: pl.LazyFrame) -> pl.LazyFrame:
    """Return the evidence of each member of a lot: its seat, the two bids and its margin."""
    fields = ["bid_id", "bid_id_second", "margin"]
    return (
        margins.group_by("lot_id", seat="draw_id")
        .agg(evidence=rows_as_evidence(CommitteeDraw.NAME, "draw_id", fields))
        .rename({"seat": "draw_id"})
    )


class ScoringPair(Derived):
    """How alike two members of a lot's committee marked by judgement.

    A cell is a bid and factor that both marked; one on which all members agree says nothing, nor do full and zero
    marks. A lot without two members who share a cell has one row without members.
    """

    subject_id = dy.String()
    """The lot."""
    draw_id_1 = dy.String(nullable=True)
    draw_id_2 = dy.String(nullable=True)
    n_cells = dy.Int64(min=0)
    n_equal = dy.Int64(min=0)
    correlation = dy.Float64(nullable=True, min=-1.0, max=1.0)
    """Of the two members' marks; null when one of them always gave the same."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Compare the members of each lot two by two; a mark given twice is left out (rulings G16, SI-070)."""
        cell = ["lot_id", "bid_id", "factor_code"]
        score = pl.col("score").round(9)
        marks = (
            subjective_scores(source, as_of)
            .unique(subset=[*cell, "draw_id"], keep="none")
            .with_columns(agreed=score.n_unique().over(cell) == 1)
            .filter(~pl.col("agreed"), score > 0, score < pl.col("max_score").round(9))
            .select(*cell, "draw_id", score=score)
        )
        pair = ["lot_id", "draw_id_1", "draw_id_2"]
        one, other = (pl.col(name).sort_by("bid_id", "factor_code") for name in ("score", "score_2"))
        both = (
            marks.rename({"draw_id": "draw_id_1"})
            .join(marks.rename({"draw_id": "draw_id_2", "score": "score_2"}), on=cell, how="inner")
            .filter(pl.col("draw_id_1") < pl.col("draw_id_2"))
            .group_by(pair)
            .agg(
                n_cells=pl.len().cast(pl.Int64),
                n_equal=(pl.col("score") == pl.col("score_2")).sum().cast(pl.Int64),
                correlation=pl.corr(one, other).fill_nan(None).clip(-1.0, 1.0),
            )
            .collect()
            .lazy()
        )
        seats = pl.concat(both.select(*pair, "n_cells", "n_equal", draw_id=name) for name in pair[1:])
        shown = seats.group_by(pair).agg(
            evidence=rows_as_evidence(CommitteeDraw.NAME, "draw_id", ["n_equal", "n_cells"])
        )
        return (
            lots_with_bids(source, as_of)
            .select("lot_id")
            .join(both.join(shown, on=pair, how="left"), on="lot_id", how="left")
            .with_columns(pl.col("n_cells", "n_equal").fill_null(0), pl.col("evidence").fill_null("[]"))
            .rename({"lot_id": "subject_id"})
            .select(cls.column_names())
            .sort("subject_id", "draw_id_1", "draw_id_2")
        )


class RepresentativeMargin(Derived):
    """How a tenderer's own representative marks one bidder (a control group), beside the experts."""

    subject_id = dy.String()
    tenderer_org_id = dy.String()
    bidder_org_id = dy.String()
    n_panels = dy.Int64(min=0)
    """Tenders in which both a representative and an expert marked the bidder and its best rival."""
    n_wins = dy.Int64(min=0)
    """Those that it won."""
    mean_g = dy.Float64(nullable=True)
    """Mean over the panels of the representative's margin less the experts', in shares of the points by judgement."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
        """Compare margins in decided competitive tenders opened in the window (rulings G6, G7, SI-067, SI-074)."""
        lots = decided_lots(source, as_of, window_months).filter(pl.col("tenderer_org_id").is_not_null())
        own = lots.select("lot_id", "tender_id", "tenderer_org_id", "bids_complete")
        met = valid_groups(source, as_of).select("lot_id", "group_org_id", "won").join(own, on="lot_id", how="inner")
        pair = ["tenderer_org_id", "group_org_id"]
        margins = _margins_of_groups(source, as_of).join(met.filter("bids_complete"), on=["lot_id", "group_org_id"])
        g = pl.col("g")
        panels = margins.group_by(*pair, "tender_id").agg(ordered(g).list.mean(), pl.col("won").any())
        steered = panels.group_by(pair).agg(
            n_panels=pl.len().cast(pl.Int64), n_wins=pl.col("won").sum().cast(pl.Int64), mean_g=ordered(g).list.mean()
        )
        fields = ["lot_id", "won", "rep_margin", "expert_margin"]
        shown = margins.with_columns(pl.col("rep_margin", "expert_margin").round(4)).group_by(pair)
        return (
            met.select(pair)
            .unique()
            .join(steered, on=pair, how="left")
            .join(shown.agg(evidence=rows_as_evidence(Bid.NAME, "bid_id", fields)), on=pair, how="left")
            .rename({"group_org_id": "bidder_org_id"})
            .with_columns(
                pl.col("n_panels", "n_wins").fill_null(0),
                pl.col("evidence").fill_null("[]"),
                subject_id=organisation_pair(pl.col("tenderer_org_id"), pl.col("bidder_org_id")),
                short_history=pl.lit(short_history(first_opening(source), as_of, window_months)),
            )
            .select(cls.column_names())
            .sort("subject_id", "tenderer_org_id")
        )


def _margins_of_groups(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the margins of each control group's best bid over the best bid of another group, in each lot.

    Columns: lot_id, group_org_id, bid_id, rep_margin and expert_margin (means over the members of each role who marked
    both bids, in shares of their points), g (the first less the second). Lots in which either is unknown are left out.
    """
    best = (
        with_group(ranked_bids(source, as_of), source, "bidder_org_id", "group_org_id")
        .sort("lot_id", "place")
        .unique(subset=["lot_id", "group_org_id"], keep="first", maintain_order=True)
        .with_columns(order=pl.col("place").rank("ordinal").over("lot_id"))
    )
    rivals = best.filter(pl.col("order") <= 2).select("lot_id", rival_bid_id="bid_id", rival_order="order")
    faced = (
        best.join(rivals, on="lot_id", how="inner")
        .filter(pl.when(pl.col("order") == 1).then(2).otherwise(1) == pl.col("rival_order"))
        .select("lot_id", "group_org_id", "bid_id", "rival_bid_id")
    )
    shares = (
        member_points(subjective_scores(source, as_of))
        .filter(pl.col("full") > 0)
        .select("bid_id", "draw_id", share=pl.col("points") / pl.col("full"))
        .join(known_seats(source, as_of).select("draw_id", "member_role"), on="draw_id", how="inner")
    )
    rival_shares = shares.select("draw_id", rival_bid_id="bid_id", rival_share="share")
    of_role = {
        f"{name}_margin": ordered(pl.col("margin").filter(pl.col("member_role") == role)).list.mean()
        for name, role in (("rep", "owner_rep"), ("expert", "expert"))
    }
    return (
        faced.join(shares, on="bid_id", how="inner")
        .join(rival_shares, on=["rival_bid_id", "draw_id"], how="inner")
        .with_columns(margin=pl.col("share") - pl.col("rival_share"))
        .group_by("lot_id", "group_org_id", "bid_id")
        .agg(**of_role)
        .filter(pl.col("rep_margin").is_not_null(), pl.col("expert_margin").is_not_null())
        .with_columns(g=pl.col("rep_margin") - pl.col("expert_margin"))
    )
