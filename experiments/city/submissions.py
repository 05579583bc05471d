"""Downloads, bids and bonds: who came to the window, when, from which address, with whose money."""

import numpy as np
import polars as pl

from experiments.city import names
from experiments.city.bidding import Bids, Lots
from experiments.city.facts import CITY_END, shaped
from experiments.city.layout import Layout
from experiments.city.paperwork import END, time_column
from experiments.city.planning import Market
from experiments.city.tendering import DAY, HOUR, MINUTE, Tenders

TERMINALS = 6
"""Public terminals of the trading centre, where honest strangers upload one after the other."""


def order_bids(t: Tenders, lots: Lots, bids: Bids, rng: np.random.Generator) -> np.ndarray:
    """Return when each bid was uploaded: in the last days; what one desk wrote goes in one sitting."""
    deadline = t.time["deadline"][lots.tender[bids.lot]]
    before = np.minimum(rng.exponential(20, len(bids)), 70) * 60
    desk = names.mixed(bids.lot, bids.hand).astype(np.float64) / 2.0**64
    shared = desk_shared(bids)
    minutes = np.where(shared, desk * 1_500 + 30 - rng.uniform(0, 25, len(bids)), before + 5)
    late = deadline - np.maximum(minutes, 3).astype(int) * MINUTE
    return np.maximum(late, t.time["notice"][lots.tender[bids.lot]] + 20 * HOUR) + rng.integers(
        0, 60, len(bids)
    ).astype("timedelta64[s]")


def desk_shared(bids: Bids) -> np.ndarray:
    """Return which bids were written at a desk that wrote another bid of the lot, print shops aside."""
    key = bids.lot.astype(np.int64) * 2**32 + bids.hand + 2**20
    _, place, count = np.unique(key, return_inverse=True, return_counts=True)
    return (count[place] > 1) & (bids.hand >= 0)


def addresses(number: np.ndarray, salt: int) -> pl.Series:
    """Return the network address of each office: fixed for the office."""
    spot = names.mixed(number, salt)
    part = [((spot >> np.uint64(8 * i)) % np.uint64(250)).astype(np.int64) + 2 for i in range(3)]
    first = names.picked(["117", "125", "171", "182", "222"], (spot >> np.uint64(40)).astype(np.int64) % 5)
    rest = [pl.Series(p).cast(pl.String) for p in part]
    return first + "." + rest[0] + "." + rest[1] + "." + rest[2]


def bid_ids(lot_id: pl.Series, bids: Bids, submitted: np.ndarray) -> pl.Series:
    """Return the numbers of bids: within a lot in the order of upload."""
    order = np.lexsort((submitted, bids.lot))
    place = np.empty(len(bids), dtype=np.int64)
    place[order] = np.arange(len(bids)) - np.searchsorted(bids.lot, bids.lot[order]) + 1
    return lot_id.gather(pl.Series(bids.lot.astype(np.uint32))) + "-B" + pl.Series(place).cast(pl.String).str.zfill(2)


def bid_people(m: Market, lots: Lots, bids: Bids, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return project manager, technical lead, agent, contact of each bid; a lent licence brings its builder's agent."""
    org = m.org
    firm = bids.org
    pms = np.maximum(org["pm_count"][firm], 1)
    first = np.where(org["pm_first"][firm] >= 0, org["pm_first"][firm], org["legal_rep_person_no"][firm])
    pm = np.where(org["pm_first"][firm] >= 0, first + rng.integers(0, pms), first)
    tech = np.where(org["tech_lead_person_no"][firm] >= 0, org["tech_lead_person_no"][firm], first)
    lent = (lots.kind[bids.lot] == "licence_lending") & (bids.role == 1) & (lots.skill[bids.lot] != "careful")
    partner = np.where(lots.group[bids.lot] >= 0, m.group["partner_no"][lots.group[bids.lot]], 0)
    clumsy = (lots.skill[bids.lot] == "clumsy") & desk_shared(bids)
    behind = np.where(lent, partner, np.where(clumsy, bids.hand, firm))
    contact = np.where(rng.random(len(bids)) < 0.5, behind, firm)
    agent = np.where(lent, partner, firm)
    return {
        "pm_person_no": pm,
        "tech_lead_person_no": tech,
        "agent_person_no": org["agent_person_no"][agent],
        "contact_person_no": org["contact_person_no"][contact],
    }


def addresses_of(lots: Lots, bids: Bids, rng: np.random.Generator) -> tuple[pl.Series, pl.Series]:
    """Return upload and decryption address: the desk's where one is careless, a public terminal's for a few."""
    skill = lots.skill[bids.lot]
    careless = (skill == "clumsy") | ((skill == "practised") & (rng.random(len(bids)) < 0.12))
    office = np.where(careless & (bids.hand >= 0), bids.hand, bids.org)
    home = addresses(office, 11)
    own = addresses(bids.org, 11)
    public = (rng.random(len(bids)) < 0.04) | (
        (lots.kind[bids.lot] == "shared_terminal") & (rng.random(len(bids)) < 0.6)
    )
    desk = addresses(names.mixed(lots.ward[bids.lot], rng.integers(0, TERMINALS, len(bids))).astype(np.int64), 13)
    upload = pl.select(pl.when(pl.Series(public)).then(desk).otherwise(home)).to_series()
    together = pl.Series(careless & (rng.random(len(bids)) < 0.5))
    return upload, pl.select(pl.when(together).then(home).otherwise(own)).to_series()


def bid_facts(
    m: Market,
    t: Tenders,
    lots: Lots,
    bids: Bids,
    made: tuple[pl.Series, pl.Series, pl.Series, np.ndarray],
    people: dict[str, np.ndarray],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return the bids of opened lots (made: tender ids, lot ids, bid ids, upload times)."""
    tender_id, lot_id, bid_id, submitted = made
    tender = lots.tender[bids.lot]
    opening, end, award = t.time["opening"][tender], t.time["end"][tender], t.time["award"][tender]
    judged = pl.Series(end < END)
    decided = award < END
    status = np.where(decided, bids.status, np.where(bids.status == "awarded", "candidate", bids.status))
    status = np.where(end < END, status, "submitted").astype(str)
    reason = pl.Series(bids.reason.astype(str))
    reason = reason.set(reason == "", None)
    population = m.population
    contact = pl.Series(people["contact_person_no"].astype(np.uint32))
    upload, decrypt = addresses_of(lots, bids, rng)
    orgs = pl.Series(bids.org.astype(np.uint32))
    scored = pl.Series(bids.points["total"])
    written = np.minimum(np.where(decided, award, np.where(end < END, end, opening)) + DAY // 24, END - MINUTE)
    days = pl.Series(np.round(45 + 50 * np.log1p(lots.estimate[bids.lot] / 1e6)) - rng.integers(0, 6, len(bids)))
    seconds = pl.Series(np.where(bids.partner >= 0, bids.partner, 0).astype(np.int32))
    frame = pl.DataFrame(
        {
            "bid_id": bid_id,
            "lot_id": lot_id.gather(pl.Series(bids.lot.astype(np.uint32))),
            "tender_id": tender_id.gather(pl.Series(tender.astype(np.uint32))),
            "bidder_org_no": bids.org.astype(np.int32),
            "is_consortium": bids.partner >= 0,
            "bid_price": bids.price,
            "submitted_at": time_column(submitted),
            "upload_ip": upload,
            "decrypt_ip": decrypt,
            "ca_cert_no": names.hexes(names.mixed(bids.org, 17), 12).str.to_uppercase(),
            "status": status,
            "disqualify_reason": reason.set(~judged, None),
            "total_score": scored.set(~judged, None),
            "price_score": pl.Series(bids.points["price"]).set(~judged, None),
            "rank": pl.Series(bids.points["rank"]).set(~judged | pl.Series(bids.points["rank"] == 0), None),
            "offered_duration_days": days.cast(pl.Int64),
            **{name: values.astype(np.int32) for name, values in people.items()},
            "contact_phone": population.persons["phone"].gather(contact),
            "contact_email": population.organisations["email"].gather(orgs),
            "updated_at": written.astype("datetime64[us]"),
        }
    ).with_columns(
        pl.when(pl.col("is_consortium"))
        .then(pl.concat_list(pl.col("bidder_org_no"), seconds))
        .alias("consortium_org_nos")
    )
    return shaped("bid", frame.filter(pl.Series(opening < END)))


def download_facts(
    m: Market, t: Tenders, lots: Lots, bids: Bids, tender_id: pl.Series, rng: np.random.Generator
) -> pl.DataFrame:
    """Return who took the documents: the bidders, and some who then stayed away."""
    pairs = np.unique(np.column_stack([lots.tender[bids.lot], bids.org, bids.hand]), axis=0)
    extra = rng.poisson(3.0, len(t)) * t.works
    others = np.repeat(np.arange(len(t)), extra)
    first = np.searchsorted(lots.tender, others)
    plan: Layout = m.plan
    low, high = np.array(plan.starts)[lots.trade[first]], np.array(plan.starts)[lots.trade[first] + 1]
    strangers = lots.ward[first] * plan.size + low + (rng.random(len(others)) * (high - low)).astype(int)
    tender = np.concatenate([pairs[:, 0], others])
    org = np.concatenate([pairs[:, 1], strangers])
    hand = np.concatenate([pairs[:, 2], strangers])
    key, keep = np.unique(np.column_stack([tender, org]), axis=0, return_index=True)
    tender, org, hand = key[:, 0], key[:, 1], hand[keep]
    first = np.searchsorted(lots.tender, tender)
    clumsy = (lots.skill[first] == "clumsy") & (hand >= 0)
    desk = np.where(clumsy & (rng.random(len(org)) < 0.6), hand, org)
    open_time = (t.time["sale_end"] - t.time["sale_start"])[tender].astype(np.int64)
    moment = t.time["sale_start"][tender] + (np.sqrt(rng.random(len(org))) * open_time).astype("timedelta64[s]")
    person = m.org["agent_person_no"][desk].astype(np.int32)
    order = np.arange(len(org)) - np.searchsorted(tender, tender)
    frame = pl.DataFrame(
        {
            "download_id": tender_id.gather(pl.Series(tender.astype(np.uint32)))
            + "-D"
            + pl.Series(order).cast(pl.String),
            "tender_id": tender_id.gather(pl.Series(tender.astype(np.uint32))),
            "org_no": org.astype(np.int32),
            "downloaded_at": moment.astype("datetime64[us]"),
            "ip_address": addresses(desk, 11),
            "mac_address": names.hexes(names.mixed(desk, 0, 23), 12).str.to_uppercase(),
            "operator_person_no": person,
            "contact_phone": m.population.persons["phone"].gather(pl.Series(person.astype(np.uint32))),
            "updated_at": (moment + MINUTE).astype("datetime64[us]"),
        }
    )
    return shaped("doc_download", frame.filter(pl.col("updated_at") < CITY_END))


def bond_facts(
    m: Market,
    t: Tenders,
    lots: Lots,
    bids: Bids,
    made: tuple[pl.Series, pl.Series, pl.Series, np.ndarray],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return the bid bonds: transfers from basic accounts, guarantees, insurance; a clumsy ring's from one purse."""
    _, lot_id, bid_id, submitted = made
    lot, plan = bids.lot, m.plan
    tender = lots.tender[lot]
    skill = lots.skill[lot]
    shared = desk_shared(bids)
    one_purse = shared & (skill == "clumsy")
    same_branch = shared & (skill == "practised")
    payer = np.where(one_purse & (rng.random(len(bids)) < 0.7), bids.hand, bids.org)
    lent = (lots.kind[lot] == "licence_lending") & (bids.role == 1) & (skill == "clumsy")
    partner = np.where(lots.group[lot] >= 0, m.group["partner_no"][lots.group[lot]], 0)
    payer = np.where(lent, partner, payer)
    desk = names.mixed(lot, bids.hand)
    draw = np.where(shared, (desk % np.uint64(1000)).astype(float) / 1000, rng.random(len(bids)))
    form = np.select([draw < 0.35, draw < 0.8], ["transfer", "guarantee"], "insurance")
    banks, insurers = plan.slice_of("bank"), plan.slice_of("insurance")
    bank = banks[0] + np.where(
        same_branch | one_purse, (desk % np.uint64(97)).astype(np.int64), m.org["bank_no"][bids.org]
    ) % (banks[1] - banks[0])
    insurer = insurers[0] + rng.integers(0, insurers[1] - insurers[0], len(bids))
    base = lots.ward[lot] * plan.size
    issuer = base + np.where(form == "insurance", insurer, bank)
    paid = (
        submitted
        - np.where(shared & (skill != "careful"), rng.integers(5, 25, len(bids)), rng.integers(60, 4000, len(bids)))
        * MINUTE
    )
    transfer = pl.Series(form == "transfer")
    orgs = m.population.organisations
    account = orgs["account"].gather(pl.Series(payer.astype(np.uint32)))
    branch = orgs["name"].gather(pl.Series((base + bank).astype(np.uint32)))
    run = np.where(
        shared & (skill != "careful"),
        desk % np.uint64(90_000_000) + _place(lot).astype(np.uint64),
        names.mixed(bids.org, lot),
    )
    returned = t.time["award"][tender] + rng.integers(3, 12, len(bids)) * DAY
    frame = pl.DataFrame(
        {
            "bond_id": bid_id + "-G",
            "bid_id": bid_id,
            "lot_id": lot_id.gather(pl.Series(lot.astype(np.uint32))),
            "form": form,
            "amount": np.round(np.minimum(lots.control[lot] * 0.015, 8e5), -3),
            "payer_org_no": payer.astype(np.int32),
            "payer_account": account.set(~transfer, None),
            "payer_bank": branch,
            "is_basic_account": pl.Series(payer == bids.org),
            "guarantee_issuer_org_no": pl.Series(issuer.astype(np.int32)).set(transfer, None),
            "guarantee_no": ("BH" + pl.Series(run % np.uint64(10**8)).cast(pl.String).str.zfill(8)).set(transfer, None),
            "guarantee_fee_account": account.set(transfer, None),
            "paid_at": paid.astype("datetime64[us]"),
            "returned_at": time_column(returned),
            "return_account": account.set(pl.Series(np.asarray(returned >= END)), None),
            "updated_at": np.minimum(returned, END - MINUTE).astype("datetime64[us]"),
        }
    )
    needed = (t.time["opening"][tender] < END) & (lots.method[lot] != "single_source") & t.works[tender]
    return shaped("bond_payment", frame.filter(pl.Series(needed)))


def _place(lot: np.ndarray) -> np.ndarray:
    return np.arange(len(lot)) - np.searchsorted(lot, lot)
