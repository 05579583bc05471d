"""Work given without a tender, purchases and emergencies, and the plan of contracts that all awards lead to."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from experiments.city import names
from experiments.city.bidding import Bids, Lots
from experiments.city.facts import AWARD_PLAN, CITY_END, EXECUTION_LOOK_ALIKES, EXECUTION_SCHEMES, shaped
from experiments.city.layout import TRADES
from experiments.city.paperwork import END, REGION_CODES, at, entries, time_column, word_column
from experiments.city.planning import Market
from experiments.city.tendering import DAY, HOUR, Tenders

REACH = {"clumsy": (0.6, 1.0), "practised": (0.4, 0.7), "careful": (0.2, 0.45)}
BUILT_BY_OTHERS = ("local_branch", "licence_lending", "works_transfer", "illegal_subcontract")
SELF_DEALT = ("split_works", "split_orders", "direct_then_grow", "emergency_abuse")


@dataclass
class Awards:
    """Who got each piece, when, for how much: one entry a piece; ``bid`` -1 = no tender, ``org`` -1 = nobody."""

    bid: np.ndarray
    org: np.ndarray
    amount: np.ndarray
    moment: np.ndarray
    lead_won: np.ndarray


def awards(
    m: Market,
    projects: pl.DataFrame,
    pieces: pl.DataFrame,
    t: Tenders,
    lots: Lots,
    bids: Bids,
    rng: np.random.Generator,
) -> Awards:
    """Return the award of every piece: the winning bid, or whom the owner chose."""
    n = len(pieces)
    row = pieces["row"].to_numpy()
    bid = np.full(n, -1)
    winners = np.flatnonzero(bids.status == "awarded")
    bid[lots.piece[bids.lot[winners]]] = winners
    free = (pieces["tno"] == 0).to_numpy()
    kind, group = projects["kind"].to_numpy()[row], projects["group_no"].to_numpy()[row]
    trade = pieces["trade"].to_numpy()
    ward = projects["ward"].to_numpy()[row]
    low, high = np.array(m.plan.starts)[trade], np.array(m.plan.starts)[trade + 1]
    tries = ward[:, None] * m.plan.size + low[:, None] + (rng.random((n, 12)) * (high - low)[:, None]).astype(int)
    owner = projects["owner_no"].to_numpy()[row]
    far = np.hypot(
        m.org["longitude"][tries] - m.org["longitude"][owner][:, None],
        m.org["latitude"][tries] - m.org["latitude"][owner][:, None],
    )
    chosen = tries[np.arange(n), np.argmin(far, axis=1)]
    members = m.population.groups["member_nos"]
    for place in np.flatnonzero(free & np.isin(kind, SELF_DEALT)):
        team = members[int(group[place])].to_list()
        careful = m.group["skill"][group[place]] == "careful"
        chosen[place] = team[(int(pieces["lno"][int(place)]) - 1) % len(team)] if careful else team[0]
    off = np.where(np.isin(kind, SELF_DEALT), rng.uniform(0.985, 0.999, n), rng.uniform(0.90, 0.99, n))
    amount = np.where(free, np.round(pieces["amount"].to_numpy() * off, 2), 0.0)
    won = bid >= 0
    tender = np.full(n, 0)
    tender[lots.piece] = lots.tender
    moment = np.where(
        free,
        projects["anchor"].to_numpy().astype("datetime64[s]")[row] + rng.integers(2, 30, n) * DAY,
        entries(t.time["award"], tender),
    )
    amount[won] = bids.price[bid[won]]
    org = np.where(free, chosen, -1)
    org[won] = bids.org[bid[won]]
    lead = np.where(free, True, False)
    lead[won] = bids.role[bid[won]] == 1
    return Awards(bid, org, amount, moment, lead)


def order_facts(
    projects: pl.DataFrame,
    pieces: pl.DataFrame,
    a: Awards,
    t: Tenders,
    ids: tuple[pl.Series, np.ndarray],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return the purchase orders: one for each decided piece of a purchase (ids: tender ids, tender of each piece)."""
    tender_id, tender = ids
    bought = (projects["ptype"] == "procurement").to_numpy()[pieces["row"].to_numpy()] & (a.org >= 0) & (a.moment < END)
    rows = np.flatnonzero(bought)
    free = a.bid[rows] < 0
    method = np.where(
        free, np.where(rng.random(len(rows)) < 0.75, "framework", "direct_award"), entries(t.method, tender[rows])
    )
    single = pl.Series(method == "single_source")
    filed = a.moment[rows] - rng.integers(40, 90, len(rows)) * DAY
    start = a.moment[rows] - 25 * DAY
    frame = pl.DataFrame(
        {
            "order_id": "DD" + at(pieces["plan_id"], rows).str.slice(2),
            "project_id": at(projects["project_id"], pieces["row"].to_numpy()[rows]),
            "tender_id": at(tender_id, np.maximum(tender[rows], 0)).set(pl.Series(free), None),
            "plan_no": "JH" + at(pieces["plan_id"], rows).str.slice(2),
            "plan_filed_at": filed.astype("datetime64[us]"),
            "budget_amount": np.round(pieces["amount"].to_numpy()[rows], 2),
            "category_code": names.picked([x.category for x in TRADES], pieces["trade"].to_numpy()[rows]),
            "method": method.astype(str),
            "single_source_publicity_start_at": pl.Series(start.astype("datetime64[us]")).set(~single, None),
            "single_source_publicity_end_at": pl.Series((start + 7 * DAY).astype("datetime64[us]")).set(~single, None),
            "supplier_org_no": a.org[rows].astype(np.int32),
            "amount": a.amount[rows],
            "ordered_at": a.moment[rows].astype("datetime64[us]"),
            "updated_at": (a.moment[rows] + HOUR // 2).astype("datetime64[us]"),
        }
    )
    return shaped("procurement_order", frame.filter(pl.col("updated_at") < CITY_END))


def emergency_facts(projects: pl.DataFrame, pieces: pl.DataFrame, a: Awards, rng: np.random.Generator) -> pl.DataFrame:
    """Return the emergencies: what happened, who confirmed it, who was called.

    Real ones start before the paper and have pictures; abuse starts when it suits, its file as good as its skill.
    """
    rows = np.flatnonzero((projects["ptype"] == "emergency").to_numpy()[pieces["row"].to_numpy()])
    row = pieces["row"].to_numpy()[rows]
    n = len(rows)
    event = projects["anchor"].to_numpy().astype("datetime64[s]")[row]
    kind, skill = projects["kind"].to_numpy()[row], projects["skill"].to_numpy()[row]
    abuse = kind == "emergency_abuse"
    level = np.select([~abuse, skill == "clumsy", skill == "practised"], [0, 1, 2], 3)
    genuine = kind == "genuine_emergency"
    wait = np.select(
        [level == 1, level == 2, level == 3],
        [rng.integers(60, 200, n), rng.integers(25, 45, n), rng.integers(12, 28, n)],
        rng.integers(1, 9, n),
    )
    start = event + wait * DAY
    confirm = np.where(genuine, start + rng.integers(1, 6, n) * DAY, start - rng.integers(2, 20, n) * HOUR)
    confirm = np.where(level == 1, start + rng.integers(5, 40, n) * DAY, confirm)
    source = np.array(["pool_random", "pool_designated", "outside_pool"])[rng.choice(3, n, p=[0.7, 0.25, 0.05])]
    source = np.select([level == 1, level == 2, level == 3], ["outside_pool", "pool_designated", "pool_random"], source)
    asked = np.minimum(event + rng.integers(6, 60, n) * HOUR, confirm - HOUR)
    region = names.picked(REGION_CODES, projects["region"].to_numpy()[row])
    outside = pl.Series(source != "outside_pool")
    told = start + rng.integers(1, 8, n) * DAY
    frame = pl.DataFrame(
        {
            "emergency_id": "QX" + at(pieces["plan_id"], rows).str.slice(2),
            "project_id": at(projects["project_id"], row),
            "event_type": np.where(rng.random(n) < 0.85, "natural_disaster", "accident"),
            "event_at": event.astype("datetime64[us]"),
            "hazard_statement": at(projects["name"], row) + "：险情危及公共安全，须立即排除",
            "limited_to_hazard": pl.Series(
                np.where(level == 1, False, np.where(level == 2, rng.random(n) < 0.6, True)).astype(bool)
            ),
            "site_verified_at": time_column(np.minimum(event + rng.integers(4, 48, n) * HOUR, confirm)),
            "verify_dept_id": region + "-emergency_mgmt",
            "evidence_count": np.select(
                [level == 1, level == 2], [rng.integers(0, 3, n), rng.integers(2, 5, n)], rng.integers(4, 15, n)
            ),
            "requested_at": time_column(asked),
            "confirmed_at": time_column(confirm),
            "confirm_dept_id": region + "-gov",
            "confirm_doc_no": "应急〔"
            + pl.Series(event.astype("datetime64[Y]").astype(str))
            + "〕"
            + at(projects["project_id"], row).str.slice(6)
            + "号",
            "contractor_source": source.astype(str),
            "outside_pool_reason": pl.Series(["储备库内无相应专业单位"] * n, dtype=pl.String).set(outside, None),
            "contractor_org_no": a.org[rows].astype(np.int32),
            "contractor_selected_at": time_column(start - 12 * HOUR),
            "selection_published_at": time_column(told),
            "works_started_at": time_column(start),
            "updated_at": (np.maximum(told, confirm) + HOUR).astype("datetime64[us]"),
        }
    )
    return shaped("emergency_project", frame.filter(pl.col("updated_at") < CITY_END))


def plan_facts(
    m: Market,
    projects: pl.DataFrame,
    pieces: pl.DataFrame,
    t: Tenders,
    lots: Lots,
    bids: Bids,
    a: Awards,
    ids: tuple[pl.Series, pl.Series, pl.Series],
    people: dict[str, np.ndarray],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return the plan of contracts: a row a decided piece, with what its group means to do (ids: tender, lot, bid)."""
    tender_id, lot_id, bid_id = ids
    rows = np.flatnonzero((a.org >= 0) & (a.moment < END))
    row = pieces["row"].to_numpy()[rows]
    bid = a.bid[rows]
    free = bid < 0
    none = pl.Series(free)
    lot_of = np.full(len(pieces), -1)
    lot_of[lots.piece] = np.arange(len(lots))
    lot = np.maximum(lot_of[rows], 0)
    main = pieces["main"].to_numpy()[rows]
    kind = np.where(main, projects["kind"].to_numpy()[row], "")
    group = projects["group_no"].to_numpy()[row]
    scheme = np.where(np.isin(kind, list(EXECUTION_SCHEMES)) & a.lead_won[rows], kind, "")
    alike = np.where(np.isin(kind, list(EXECUTION_LOOK_ALIKES)), kind, "")
    skill = np.where(scheme != "", m.group["skill"][group], "")
    low = np.array([REACH.get(s, (0, 0))[0] for s in skill])
    high = np.array([REACH.get(s, (0, 0))[1] for s in skill])
    org = a.org[rows]
    losers = _losers(bids, bid)
    builder = _builders(
        m, np.where((alike == "local_branch") & a.lead_won[rows], alike, scheme), group, org, losers, rng
    )
    owner = projects["owner_no"].to_numpy()[row]
    object_type = pieces["object_type"].to_numpy()[rows]
    first = m.org["pm_first"][org]
    pm = np.where(
        free, np.where(first >= 0, first, m.org["legal_rep_person_no"][org]), entries(people["pm_person_no"], bid)
    )
    lead = m.org["tech_lead_person_no"][org]
    tech = np.where(
        free, np.where(lead >= 0, lead, m.org["legal_rep_person_no"][org]), entries(people["tech_lead_person_no"], bid)
    )
    agency = np.where(free, -1, entries(t.agency, entries(lots.tender, lot)))
    due = a.moment[rows] + rng.integers(4, 29, len(rows)) * DAY
    village = np.where(kind == "small_nature", 0.04, 0.002)
    amount = a.amount[rows]
    cost = np.where(free, amount * rng.uniform(0.82, 0.93, len(rows)), entries(lots.true_cost, lot))
    partner = np.where(free, -1, entries(bids.partner, bid))
    ptype = projects["ptype"].to_numpy()[row]
    plan = at(pieces["plan_id"], rows)
    places = pieces["lno"].to_numpy()[rows]
    urgent = ptype == "emergency"
    frame = pl.DataFrame(
        {
            "plan_id": plan,
            "project_id": at(projects["project_id"], row),
            "project_code": at(projects["project_code"], row),
            "tender_id": at(tender_id, entries(lots.tender, lot)).set(none, None),
            "lot_id": at(lot_id, lot).set(none, None),
            "bid_id": at(bid_id, np.maximum(bid, 0)).set(none, None),
            "order_id": ("DD" + plan.str.slice(2)).set(pl.Series(ptype != "procurement"), None),
            "emergency_id": ("QX" + plan.str.slice(2)).set(pl.Series(~urgent), None),
            "project_type": ptype,
            "object_type": object_type,
            "sector": at(projects["sector"], row),
            "region_code": names.picked(REGION_CODES, projects["region"].to_numpy()[row]),
            "admin_level": np.where(projects["region"].to_numpy()[row] == 0, "city", "county"),
            "name": at(projects["name"], row)
            + pl.Series(
                [f"（{n}）" if f and k in SPLIT_NAMES else "" for n, f, k in zip(places, free, kind, strict=True)],
                dtype=pl.String,
            ),
            "category_code": names.picked([x.category for x in TRADES], pieces["trade"].to_numpy()[rows]),
            "owner_org_no": owner.astype(np.int32),
            "agency_org_no": pl.Series(agency.astype(np.int32)).set(pl.Series(agency < 0), None),
            "winner_org_no": org.astype(np.int32),
            "partner": partner.astype(np.int32),
            "real_builder_org_no": builder.astype(np.int32),
            "award_amount": amount,
            "control_price": pl.Series(entries(lots.control, lot)).set(none, None),
            "true_cost": np.round(cost, 2),
            "awarded_at": a.moment[rows].astype("datetime64[us]"),
            "contract_due_at": due.astype("datetime64[us]"),
            "planned_start_date": (due + np.where(urgent, 0, rng.integers(10, 45, len(rows))) * DAY).astype(
                "datetime64[D]"
            ),
            "planned_duration_days": _days(amount, object_type).astype(np.int32),
            "longitude": np.round(projects["longitude"].to_numpy()[row] + rng.normal(0, 1, len(rows)) * village, 6),
            "latitude": np.round(projects["latitude"].to_numpy()[row] + rng.normal(0, 1, len(rows)) * village, 6),
            "pm_person_no": pm.astype(np.int32),
            "tech_lead_person_no": tech.astype(np.int32),
            "supervisor_org_no": _supervisors(m, projects, pieces, a, rows, row, object_type, rng),
            "losing_org_nos": losers,
            "scheme": word_column(scheme),
            "skill": word_column(skill),
            "intensity": np.round(low + (high - low) * rng.random(len(rows)), 3),
            "look_alike": word_column(alike),
            "group_no": pl.Series(group).set(pl.Series((scheme == "") & (alike == "")), None),
        }
    )
    both = pl.concat_list(pl.col("winner_org_no"), pl.col("partner"))
    frame = frame.with_columns(pl.when(pl.col("partner") >= 0).then(both).alias("consortium_org_nos")).drop("partner")
    return shaped("award_plan", frame, AWARD_PLAN)


SPLIT_NAMES = ("split_works", "split_orders", "small_nature")


def _losers(bids: Bids, bid: np.ndarray) -> pl.Series:
    starts = np.searchsorted(bids.lot, np.arange(int(bids.lot.max()) + 2)) if len(bids) else np.zeros(1, int)
    lists = []
    for winner in bid:
        if winner < 0:
            lists.append([])
            continue
        here = bids.org[starts[bids.lot[winner]] : starts[bids.lot[winner] + 1]]
        lists.append([int(org) for org in here if org != bids.org[winner]])
    return pl.Series(lists, dtype=pl.List(pl.Int32))


def _builders(
    m: Market, scheme: np.ndarray, group: np.ndarray, org: np.ndarray, losers: pl.Series, rng: np.random.Generator
) -> np.ndarray:
    """Return who builds: the winner, or the group's builder, for half of illegal subcontracts a losing bidder."""
    builder = np.where(np.isin(scheme, BUILT_BY_OTHERS), m.group["partner_no"][group], org)
    for place in np.flatnonzero(scheme == "illegal_subcontract"):
        beaten = losers[int(place)].to_list()
        if beaten and rng.random() < 0.5:
            builder[place] = beaten[0]
    return builder


def _supervisors(
    m: Market, projects: pl.DataFrame, pieces: pl.DataFrame, a: Awards, rows: np.ndarray, row: np.ndarray,
    object_type: np.ndarray, rng: np.random.Generator,
) -> pl.Series:  # fmt: skip
    """Return who supervises works: the winner of the project's supervision tender, else a firm of the ward."""
    low, high = m.plan.slice_of("supervision")
    firm = projects["ward"].to_numpy()[row] * m.plan.size + low + rng.integers(0, high - low, len(rows))
    hired = np.full(len(projects), -1)
    mine = np.flatnonzero((pieces["object_type"] == "supervision").to_numpy() & (a.org >= 0))
    hired[pieces["row"].to_numpy()[mine]] = a.org[mine]
    firm = np.where(hired[row] >= 0, hired[row], firm)
    built = np.isin(object_type, ["works", "epc"])
    return pl.Series(firm.astype(np.int32)).set(pl.Series(~built), None)


def _days(amount: np.ndarray, object_type: np.ndarray) -> np.ndarray:
    days = np.clip(45 + 50 * np.log1p(amount / 1e6), 30, 900)
    return np.where(object_type == "goods", 30, np.where(object_type == "services", 365, days))
