"""What the committee and the trading centre wrote down: seats, marks, candidates, winners, and who objected."""

import numpy as np
import polars as pl

from experiments.city.bidding import Bids, Lots
from experiments.city.facts import CITY_END, shaped
from experiments.city.panels import Marks, Panels
from experiments.city.paperwork import END, at, time_column, word_column
from experiments.city.planning import Market
from experiments.city.schemes import Role
from experiments.city.tendering import DAY, HOUR, MINUTE, Tenders


def award_facts(t: Tenders, lots: Lots, bids: Bids, lot_id: pl.Series, bid_id: pl.Series) -> pl.DataFrame:
    """Return the ranked candidates of published lots and who was awarded."""
    rank = bids.points["rank"]
    listed = np.flatnonzero(np.isin(bids.status, ["awarded", "candidate", "abandoned"]) & (rank >= 1) & (rank <= 3))
    tender = lots.tender[bids.lot[listed]]
    award = t.time["award"][tender]
    decided = award < END
    own = np.where(
        bids.status[listed] == "awarded",
        "awarded",
        np.where(bids.status[listed] == "abandoned", "abandoned", "candidate"),
    )
    status = np.where(decided, own, "candidate")
    won = pl.Series((own == "awarded") & decided)
    written = np.where(decided, t.time["result"][tender] + HOUR, t.time["publicity_end"][tender] + HOUR)
    frame = pl.DataFrame(
        {
            "award_id": at(bid_id, listed) + "-R",
            "lot_id": at(lot_id, bids.lot[listed]),
            "bid_id": at(bid_id, listed),
            "org_no": bids.org[listed].astype(np.int32),
            "candidate_rank": rank[listed],
            "amount": bids.price[listed],
            "publicity_start_at": time_column(t.time["publicity"][tender]),
            "publicity_end_at": time_column(t.time["publicity_end"][tender]),
            "notice_issued_at": time_column(award).set(~won, None),
            "result_published_at": time_column(t.time["result"][tender]).set(~won, None),
            "status": status.astype(str),
            "abandon_reason": word_column(np.where(status == "abandoned", "因自身原因放弃中标资格", "")),
            "updated_at": np.minimum(written, END - MINUTE).astype("datetime64[us]"),
        }
    )
    return shaped("award", frame.filter(pl.Series(np.asarray(t.time["publicity"][tender] + HOUR < END))))


def seat_facts(m: Market, t: Tenders, lots: Lots, bids: Bids, panels: Panels, tender_id: pl.Series) -> pl.DataFrame:
    """Return the committee's seats: drawn a day before the opening, with those who declined and their substitutes."""
    tender = panels.tender
    order = np.arange(len(panels)) - np.searchsorted(tender, tender)
    draw_id = at(tender_id, tender) + "-P" + pl.Series(order).cast(pl.String)
    expert_id = at(m.population.experts["expert_id"], np.maximum(panels.expert, 0))
    is_rep = panels.expert < 0
    drawn = t.time["opening"][tender] - 20 * HOUR
    method = np.where(is_rep, "owner_appointed", np.where(panels.designated, "direct_designation", "random"))
    replaced = pl.Series(np.asarray(panels.replaced_by < 0))
    avoided = _avoided(lots, bids, tender)
    frame = pl.DataFrame(
        {
            "draw_id": draw_id,
            "tender_id": at(tender_id, tender),
            "person_no": panels.person.astype(np.int32),
            "expert_id": expert_id.set(pl.Series(is_rep), None),
            "member_role": np.where(is_rep, "owner_rep", "expert"),
            "draw_method": method,
            "drawn_at": drawn.astype("datetime64[us]"),
            "pool_size": panels.pool,
            "avoided_org_nos": avoided,
            "response": panels.response,
            "attended": panels.sits,
            "is_chair": panels.chair,
            "replaced_by_draw_id": at(draw_id, np.maximum(panels.replaced_by, 0)).set(replaced, None),
            "replace_reason": word_column(np.where(panels.replaced_by >= 0, "无法按时到场", "")),
            "updated_at": t.time["opening"][tender].astype("datetime64[us]"),
        }
    )
    return shaped("committee_draw", frame.filter(pl.Series(np.asarray(t.time["opening"][tender] < END))))


def _avoided(lots: Lots, bids: Bids, tender: np.ndarray) -> pl.Series:
    """Return for each seat the bidders whose people could not be drawn."""
    pairs = pl.DataFrame({"tender": lots.tender[bids.lot], "org": bids.org.astype(np.int32)}).unique(
        maintain_order=True
    )
    lists = pairs.group_by("tender", maintain_order=True).agg("org")
    seats = pl.DataFrame({"tender": tender.astype(np.int64)})
    return seats.join(lists, on="tender", how="left", maintain_order="left")["org"]


def mark_facts(
    t: Tenders, lots: Lots, bids: Bids, panels: Panels, marks: Marks, made: tuple[pl.Series, pl.Series, pl.Series]
) -> pl.DataFrame:
    """Return the marks of evaluated lots (made: tender, lot and bid ids)."""
    tender_id, lot_id, bid_id = made
    lot = bids.lot[marks.bid]
    tender = lots.tender[lot]
    order = np.arange(len(panels)) - np.searchsorted(panels.tender, panels.tender)
    seat = pl.Series(order[marks.seat]).cast(pl.String)
    tenders = at(tender_id, tender)
    scored = t.time["end"][tender] - (marks.seat % 37 + 10) * MINUTE
    bid = at(bid_id, marks.bid)
    frame = pl.DataFrame(
        {
            "score_id": bid + "-P" + seat + pl.Series(marks.factor),
            "tender_id": tenders,
            "lot_id": at(lot_id, lot),
            "bid_id": bid,
            "draw_id": tenders + "-P" + seat,
            "factor_code": marks.factor,
            "is_subjective": marks.subjective,
            "max_score": marks.full,
            "score": marks.score,
            "revised_from": pl.Series(marks.revised_from).fill_nan(None),
            "scored_at": scored.astype("datetime64[us]"),
            "updated_at": t.time["end"][tender].astype("datetime64[us]"),
        }
    )
    return shaped("evaluation_score", frame.filter(pl.Series(np.asarray(t.time["end"][tender] < END))))


_COMPLAINT: dict[str, pl.DataType | type[pl.DataType]] = {
    "tender": pl.UInt32,
    "complaint_type": pl.String,
    "complainant_org_no": pl.Int32,
    "respondent_org_no": pl.Int32,
    "received_at": pl.Datetime("us"),
    "replied_at": pl.Datetime("us"),
    "result": pl.String,
}


def complaint_facts(
    m: Market,
    projects: pl.DataFrame,
    t: Tenders,
    lots: Lots,
    bids: Bids,
    tender_id: pl.Series,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return objections of losing bidders: now and then anywhere, more often where somebody was pushed aside."""
    first = np.searchsorted(lots.tender, np.arange(len(t)))
    starts = np.searchsorted(bids.lot, np.arange(len(lots) + 1))
    kind = lots.kind[first]
    pushed = np.isin(kind, ["rival_disqualification", "tailored_terms", "owner_rep_steering", "captive_agency"])
    chance = np.where(pushed, 0.22, 0.025) * (t.method != "single_source")
    chosen = np.flatnonzero((rng.random(len(t)) < chance) & (t.time["publicity"] + 3 * DAY < END))
    rows = []
    for tender in chosen:
        lot = int(first[tender])
        here = slice(int(starts[lot]), int(starts[lot + 1]))
        losers = bids.org[here][(bids.status[here] != "awarded") & (bids.role[here] == Role.HONEST)]
        if not len(losers):
            continue
        asked = t.time["publicity"][tender] + int(rng.integers(5, 60)) * HOUR
        answered = asked + int(rng.integers(2, 25)) * DAY
        upheld = rng.random() < (0.35 if pushed[tender] else 0.12)
        result = (
            "upheld" if upheld else str(rng.choice(["rejected", "withdrawn", "partly_upheld"], p=[0.75, 0.15, 0.1]))
        )
        winners = bids.org[here][bids.status[here] == "awarded"]
        rows.append(
            (
                int(tender),
                ("gp_query" if not t.works[tender] else "objection") if rng.random() < 0.7 else "complaint",
                int(rng.choice(losers)),
                int(winners[0]) if len(winners) else None,
                asked.astype("datetime64[us]").item(),
                answered.astype("datetime64[us]").item() if answered < END else None,
                result if answered < END else "pending",
            )
        )
    frame = pl.DataFrame(rows, schema=_COMPLAINT, orient="row")
    region = pl.Series([m.population.regions["region_code"][int(r)] for r in projects["region"]], dtype=pl.String)
    row = pl.Series(t.row.astype(np.uint32)).gather(frame["tender"])
    person = m.population.organisations["agent_person_no"].gather(frame["complainant_org_no"].cast(pl.UInt32))
    frame = frame.with_columns(
        (tender_id.gather(frame["tender"]) + "-Y").alias("complaint_id"),
        projects["project_id"].gather(row).alias("project_id"),
        tender_id.gather(frame["tender"]).alias("tender_id"),
        person.alias("complainant_person_no"),
        (pl.col("received_at") + pl.duration(hours=26)).alias("accepted_at"),
        (region.gather(row) + "-gov_service").alias("handler_dept_id"),
    ).drop("tender")
    late = pl.when(pl.col("accepted_at") < CITY_END).then("accepted_at")
    told = pl.max_horizontal("received_at", "accepted_at", "replied_at").alias("updated_at")
    return shaped("complaint", frame.with_columns(late.alias("accepted_at")).with_columns(told))
