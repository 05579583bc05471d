"""What bid files give away: computers, locks, authors, times, mistakes, pictures, and how alike their texts are.

A firm has one to three computers of its own and one pricing lock. What one desk wrote for several bidders shows at the
desk's skill: everything for the clumsy, locks, authors and texts for the practised, nothing for the careful. Honest
strangers share a computer when a print shop makes their files (``likeness``).
"""

import numpy as np
import polars as pl

from experiments.city import names
from experiments.city.bidding import Bids, Lots
from experiments.city.facts import shaped
from experiments.city.paperwork import END
from experiments.city.planning import Market
from experiments.city.submissions import addresses, desk_shared
from experiments.city.tendering import DAY, HOUR, MINUTE, Tenders

SOFTWARE = ["宏业清单计价", "广联达计价", "新点清单造价", "斯维尔计价"]
SHOP_BASE = 900_000_000
TYPOS = [
    *("施工组识设计", "质量保正体系", "安全文名施工", "项目经里", "工期进渡", "钢劲绑扎", "混凝士", "防水卷村"),
    *("监里单位", "验收和格", "成都市某项目", "2019年版规范", "甲方代表签子", "招标文见", "竣工清场地"),
]


def desks(lots: Lots, bids: Bids) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return whose hardware, whose lock and author, and whose text each bid's files carry."""
    skill = lots.skill[bids.lot]
    shared = desk_shared(bids) | (bids.hand != bids.org)
    clumsy, practised = shared & (skill == "clumsy"), shared & (skill == "practised")
    shop = bids.hand < -1
    hardware = np.where(clumsy & (bids.hand >= 0), bids.hand, bids.org)
    hardware = np.where(shop, SHOP_BASE - bids.hand, hardware)
    agency = np.isin(lots.kind[bids.lot], ["captive_agency"]) & (bids.role == 1) & (skill != "careful")
    hardware = np.where(agency, bids.hand, hardware)
    lock = np.where((clumsy | practised) & ~shop, bids.hand, bids.org)
    return hardware, lock, lock


def fingerprint_facts(
    m: Market, t: Tenders, lots: Lots, bids: Bids, bid_id: pl.Series, submitted: np.ndarray, rng: np.random.Generator
) -> pl.DataFrame:
    """Return two files for each bid of opened lots: the technical one, and the priced bill or the commercial one."""
    hardware, lock, text = desks(lots, bids)
    n = len(bids)
    works = np.isin(lots.object_type[bids.lot], ["works", "epc"])
    no_lock = pl.Series(~works)
    own = hardware == bids.org
    computer = np.where(own, names.mixed(bids.org, bids.lot).astype(np.int64) % 2, 0) * own
    author = m.population.persons["name"].gather(pl.Series(m.org["agent_person_no"][lock].astype(np.uint32)))
    firm = m.population.organisations["name"].gather(pl.Series(bids.org.astype(np.uint32)))
    writer = m.population.organisations["name"].gather(pl.Series(lock.astype(np.uint32)))
    created = submitted - rng.integers(24, 220, n) * HOUR
    together = desk_shared(bids) & (hardware != bids.org)
    first = np.searchsorted(bids.lot, bids.lot)
    created = np.where(together, created[first] + rng.integers(1, 90, n) * MINUTE, created)
    modified = np.maximum(
        np.minimum(submitted - rng.integers(20, 900, n) * MINUTE, submitted - MINUTE), created + MINUTE
    )
    lead = _leads(bids)
    parts = []
    for order, kind in enumerate(("technical", "commercial")):
        salt = 101 + order
        serial = names.mixed(hardware, computer, 31)
        file = names.mixed(bids.lot, bids.org, salt)
        parent = np.where((text != bids.org) & (rng.random(n) < 0.6), text, bids.org)
        parts.append(
            pl.DataFrame(
                {
                    "fingerprint_id": bid_id + f"-F{order}",
                    "bid_id": bid_id,
                    "file_kind": np.where(works, "boq", kind) if order else np.full(n, kind),
                    "file_hash": names.hexes(file)
                    + names.hexes(file + np.uint64(1))
                    + names.hexes(file + np.uint64(2))
                    + names.hexes(file + np.uint64(3)),
                    "machine_code": names.hexes(serial).str.to_uppercase(),
                    "file_creation_id": names.hexes(names.mixed(bids.lot, parent, salt + 5)),
                    "mac_address": names.hexes(names.mixed(hardware, computer, 23), 12).str.to_uppercase(),
                    "cpu_serial": names.hexes(names.mixed(hardware, computer, 37)).str.to_uppercase(),
                    "disk_serial": names.hexes(names.mixed(hardware, computer, 41), 12).str.to_uppercase(),
                    "mainboard_serial": names.hexes(names.mixed(hardware, computer, 43), 12).str.to_uppercase(),
                    "pricing_lock_no": names.hexes(names.mixed(lock, 47), 10).str.to_uppercase().set(no_lock, None),
                    "pricing_software": names.picked(SOFTWARE, lock % 4).set(no_lock, None),
                    "author": author,
                    "last_modified_by": author,
                    "company": firm.zip_with(pl.Series(rng.random(n) > 0.15), writer),
                    "doc_created_at": created.astype("datetime64[us]"),
                    "doc_modified_at": modified.astype("datetime64[us]"),
                    "page_count": (np.exp(rng.normal(4.8 if order else 5.4, 0.4, n)) + 5).astype(np.int64),
                    "simhash": names.hexes(
                        names.mixed(bids.lot, text, salt + 9) ^ (np.uint64(1) << (file % np.uint64(64)))
                    ),
                    "typo_set": _typos(lots, bids, text, salt),
                    "image_phash_set": _pictures(lots, bids, text, salt),
                    "foreign_name_hits": _slips(m, lots, bids, text, lead, rng) if order == 0 else [[]] * n,
                    "updated_at": np.minimum(t.time["opening"][lots.tender[bids.lot]] + HOUR, END - MINUTE).astype(
                        "datetime64[us]"
                    ),
                },
                schema_overrides={"foreign_name_hits": HITS},
            )
        )
    opened = pl.Series(np.asarray(t.time["opening"][lots.tender[bids.lot]] < END))
    return shaped("bid_document_fingerprint", pl.concat([part.filter(opened) for part in parts]).sort("fingerprint_id"))


HITS = pl.List(pl.Struct({"kind": pl.String, "value": pl.String, "org_no": pl.Int32, "place": pl.String}))


def _leads(bids: Bids) -> np.ndarray:
    """Return for each bid the firm that leads the lot's group, -1 where nobody does."""
    lead = np.full(int(bids.lot.max()) + 1 if len(bids) else 0, -1)
    mask = bids.role == 1
    lead[bids.lot[mask]] = bids.org[mask]
    return lead[bids.lot]


def _typos(lots: Lots, bids: Bids, text: np.ndarray, salt: int) -> pl.Series:
    """Return the odd mistakes of each file: its writer's, wherever they stand."""
    spot = names.mixed(bids.lot, text, salt + 3)
    own = names.mixed(bids.org, bids.lot, salt)
    size = len(TYPOS)
    first = names.picked(TYPOS, (spot % np.uint64(size)).astype(np.int64))
    second = names.picked(TYPOS, ((spot >> np.uint64(8)) % np.uint64(size)).astype(np.int64))
    third = names.picked(TYPOS, (own % np.uint64(size)).astype(np.int64))
    many = pl.Series((spot >> np.uint64(20)) % np.uint64(4))
    alone = pl.Series(text == bids.org)
    frame = pl.DataFrame({"a": first, "b": second, "c": third, "many": many, "alone": alone})
    few = pl.when(pl.col("many") > 1).then(pl.concat_list("c")).otherwise(pl.lit([], dtype=pl.List(pl.String)))
    return frame.select(
        pl.when("alone").then(few).otherwise(pl.concat_list("a", "b", "c").list.unique(maintain_order=True)).alias("t")
    )["t"]


def _pictures(lots: Lots, bids: Bids, text: np.ndarray, salt: int) -> pl.Series:
    own = names.hexes(names.mixed(bids.org, bids.lot, salt + 11))
    site = names.hexes(names.mixed(text, bids.lot // 7, salt + 13))
    return pl.DataFrame({"a": site, "b": own}).select(pl.concat_list("a", "b").alias("t"))["t"]


def _slips(
    m: Market, lots: Lots, bids: Bids, text: np.ndarray, lead: np.ndarray, rng: np.random.Generator
) -> list[list[dict[str, object]]]:
    """Return where a cover's file names its writer: the slip that convicts (实施条例 art. 40, 混装)."""
    chance = np.select([lots.skill[bids.lot] == "clumsy", lots.skill[bids.lot] == "practised"], [0.30, 0.06], 0.0)
    slip = (text != bids.org) & (lead >= 0) & (lead != bids.org) & (rng.random(len(bids)) < chance)
    firm = m.population.organisations["name"]
    hits: list[list[dict[str, object]]] = [[] for _ in range(len(bids))]
    for row in np.flatnonzero(slip):
        place = str(rng.choice(["header", "body", "commitment", "seal"]))
        hits[row] = [{"kind": "name", "value": firm[int(lead[row])], "org_no": int(lead[row]), "place": place}]
    return hits


def tender_file_facts(m: Market, t: Tenders, tender_id: pl.Series, owner: np.ndarray) -> pl.DataFrame:
    """Return on which computer the tender documents were made: the agency's, or the tenderer's own."""
    maker = np.where(t.agency >= 0, t.agency, owner)
    contact = np.where(m.org["contact_person_no"][maker] >= 0, m.org["contact_person_no"][maker], 0)
    author = m.population.persons["name"].gather(pl.Series(contact.astype(np.uint32)))
    frame = pl.DataFrame(
        {
            "tdf_id": tender_id + "-W",
            "tender_id": tender_id,
            "org_no": maker.astype(np.int32),
            "author": author,
            "last_modified_by": author,
            "machine_code": names.hexes(names.mixed(maker, np.zeros_like(maker), 31)).str.to_uppercase(),
            "mac_address": names.hexes(names.mixed(maker, np.zeros_like(maker), 23), 12).str.to_uppercase(),
            "ip_address": addresses(maker, 11),
            "updated_at": (t.time["notice"] + HOUR).astype("datetime64[us]"),
        }
    )
    return shaped("tender_doc_fingerprint", frame.filter(pl.Series(np.asarray(t.time["notice"] + HOUR < END))))


def pair_facts(
    t: Tenders, lots: Lots, bids: Bids, lot_id: pl.Series, bid_id: pl.Series, rng: np.random.Generator
) -> pl.DataFrame:
    """Return the trading platform's comparison of every two files of a lot: one row a pair, the lesser number first."""
    first, second = _pairs(bids)
    _, _, text = desks(lots, bids)
    n = len(first)
    lot = bids.lot[first]
    same = (text[first] == text[second]) & (bids.org[first] != bids.org[second])
    skill, kind = lots.skill[lot], lots.kind[lot]
    base = rng.beta(2.2, 14, n)  # the same standards, the same tender text
    copied = np.where(skill == "clumsy", rng.beta(14, 3.5, n), rng.beta(9, 7, n))
    ring = (bids.role[first] > 0) & (bids.role[second] > 0)
    hinted = ring & ~same & (skill == "practised") & np.isin(kind, ["rotating_ring", "territory_ring"])
    kin = (kind == "family_firms") & (bids.role[first] == 5) & (bids.role[second] == 5)
    similarity = np.select([same, hinted, kin], [copied, rng.beta(6, 9, n), rng.beta(5, 12, n)], base)
    similarity = np.where(rng.random(n) < 0.004, np.maximum(similarity, rng.beta(8, 6, n)), similarity)  # one template
    passage = (similarity**2 * 900 * rng.uniform(0.4, 1.6, n)).astype(np.int64) + rng.integers(10, 60, n)
    computed = t.time["opening"][lots.tender[lot]] + 2 * HOUR
    a, b = bid_id.gather(pl.Series(first.astype(np.uint32))), bid_id.gather(pl.Series(second.astype(np.uint32)))
    typos = np.where(same, rng.poisson(np.where(skill == "clumsy", 3.0, 1.0)), rng.random(n) < 0.02).astype(np.int64)
    images = np.where(same, rng.poisson(np.where(skill == "clumsy", 2.0, 0.5)), rng.random(n) < 0.01).astype(np.int64)
    frame = pl.DataFrame({"a": a, "b": b}).select(
        pl.min_horizontal("a", "b").alias("bid_a_id"), pl.max_horizontal("a", "b").alias("bid_b_id")
    )
    frame = frame.with_columns(
        (pl.col("bid_a_id") + "-" + pl.col("bid_b_id").str.slice(-3)).alias("pair_id"),
        lot_id.gather(pl.Series(lot.astype(np.uint32))).alias("lot_id"),
        pl.Series(np.round(similarity, 4)).alias("text_similarity"),
        pl.Series(passage).alias("max_common_passage_chars"),
        pl.Series(typos).alias("shared_typos"),
        pl.Series(images).alias("shared_images"),
        pl.Series(computed.astype("datetime64[us]")).alias("computed_at"),
        pl.Series((computed + MINUTE).astype("datetime64[us]")).alias("updated_at"),
    )
    return shaped("bid_doc_pair", frame.filter(pl.Series(np.asarray(computed + DAY // 24 < END))))


def _pairs(bids: Bids) -> tuple[np.ndarray, np.ndarray]:
    """Return every two bids of a lot."""
    count = np.bincount(bids.lot)
    start = np.cumsum(count) - count
    place = np.arange(len(bids)) - start[bids.lot]
    first = np.repeat(np.arange(len(bids)), place)
    offset = np.arange(len(first)) - np.repeat(np.cumsum(place) - place, place)
    return first, start[bids.lot[first]] + offset
