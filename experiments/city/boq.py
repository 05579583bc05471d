"""Bills of quantities and unit prices of works lots.

A bidder prices items from its costs in its own style and scales them to its total, so honest unit prices scatter
around a common structure. One desk that prices several bids reuses it. An unbalanced bid puts its money on the items
that will grow (Athey and Levin, 2001): here always the items :data:`GROWING`, known to who was told of the changes.
"""

import numpy as np
import polars as pl

from experiments.city import names
from experiments.city.bidding import Bids, Lots
from experiments.city.documents import desks
from experiments.city.facts import GROWING_ITEMS, shaped
from experiments.city.layout import WORKS
from experiments.city.paperwork import END
from experiments.city.tendering import HOUR, Tenders

ITEMS: tuple[tuple[str, str, float, float], ...] = (
    ("010101002", "挖一般土方", 12.0, 9000.0),
    ("010103001", "回填方", 18.0, 6000.0),
    ("010401003", "实心砖墙", 480.0, 700.0),
    ("010501001", "混凝土垫层", 520.0, 300.0),
    ("010502001", "混凝土矩形柱", 640.0, 400.0),
    ("010505001", "混凝土有梁板", 610.0, 900.0),
    ("010515001", "现浇构件钢筋", 5200.0, 120.0),
    ("010902001", "屋面卷材防水", 62.0, 2500.0),
    ("011101001", "水泥砂浆楼地面", 34.0, 5000.0),
    ("040201021", "级配碎石基层", 58.0, 6000.0),
    ("040203006", "沥青混凝土面层", 96.0, 7000.0),
    ("040203007", "水泥混凝土面层", 128.0, 6000.0),
    ("040501004", "塑料管铺设", 210.0, 1800.0),
    ("040504001", "砌筑检查井", 3600.0, 60.0),
    ("050102001", "栽植乔木", 900.0, 400.0),
    ("040303016", "浆砌片石挡墙", 340.0, 1200.0),
    ("030404017", "配电箱", 2800.0, 40.0),
    ("041106001", "大型机械进出场", 26000.0, 3.0),
)
UNITS = {
    "010515001": "t",
    "040504001": "座",
    "050102001": "株",
    "030404017": "台",
    "041106001": "台次",
    "040501004": "m",
}
AREA = ("屋面", "楼地面", "基层", "面层")


def boq_facts(
    t: Tenders, lots: Lots, bids: Bids, lot_id: pl.Series, bid_id: pl.Series, rng: np.random.Generator
) -> dict[str, pl.DataFrame]:
    """Return ``boq_item`` and ``bid_item_price`` of works lots: 12 to 18 items, one of them provisional for some."""
    priced = np.isin(lots.trade, WORKS) & (t.time["notice"][lots.tender] < END)
    lot = np.flatnonzero(priced)
    many = rng.integers(12, len(ITEMS) + 1, len(lot))
    item_lot = np.repeat(lot, many)
    start = np.cumsum(many) - many
    place = np.arange(len(item_lot)) - np.repeat(start, many)
    code = (place + names.mixed(item_lot, 3).astype(np.int64) % 5) % len(ITEMS)
    unit_price = np.array([i[2] for i in ITEMS])[code] * np.exp(rng.normal(0, 0.12, len(code)))
    weight = rng.gamma(1.2, 1.0, len(code)) + 0.05
    provisional = (place == 5) & (np.repeat(rng.random(len(lot)), many) < 0.35)
    evading = (lots.kind[item_lot] == "provisional_evasion") & (place == 5)
    provisional |= evading
    share = weight / np.repeat(np.add.reduceat(weight, start) if len(lot) else weight, many)
    share = np.where(evading, 0.25, share * np.where(lots.kind[item_lot] == "provisional_evasion", 0.75, 1))
    amount = share * lots.control[item_lot] * 0.94
    quantity = np.maximum(np.round(amount / unit_price, 2), 0.01)
    unit_price = np.round(amount / quantity, 2)
    item_id = (
        lot_id.gather(pl.Series(item_lot.astype(np.uint32))) + "-Q" + pl.Series(place + 1).cast(pl.String).str.zfill(2)
    )
    words = [i[1] for i in ITEMS]
    units = [UNITS.get(i[0], "m2" if any(a in i[1] for a in AREA) else "m3") for i in ITEMS]
    items = pl.DataFrame(
        {
            "boq_item_id": item_id,
            "lot_id": lot_id.gather(pl.Series(item_lot.astype(np.uint32))),
            "item_code": names.picked([i[0] for i in ITEMS], code) + pl.Series(place + 1).cast(pl.String).str.zfill(3),
            "item_name": names.picked(words, code),
            "unit": names.picked(units, code),
            "tender_quantity": quantity,
            "control_unit_price": unit_price,
            "is_provisional": provisional,
            "updated_at": (t.time["notice"][lots.tender[item_lot]] + HOUR).astype("datetime64[us]"),
        }
    )
    prices = _prices(t, lots, bids, (lot, start, many), (unit_price, quantity, provisional), bid_id, item_id, rng)
    return {"boq_item": shaped("boq_item", items), "bid_item_price": prices}


def _prices(
    t: Tenders,
    lots: Lots,
    bids: Bids,
    bill: tuple[np.ndarray, np.ndarray, np.ndarray],
    item: tuple[np.ndarray, np.ndarray, np.ndarray],
    bid_id: pl.Series,
    item_id: pl.Series,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return each bidder's unit prices (bill: lots, first item, items; item: control price, quantity, provisional)."""
    lot, start, many = bill
    unit, quantity, provisional = item
    at = np.full(len(lots), -1)
    at[lot] = np.arange(len(lot))
    bid = np.flatnonzero((at[bids.lot] >= 0) & (t.time["opening"][lots.tender[bids.lot]] < END))
    count = many[at[bids.lot[bid]]]
    row = np.repeat(bid, count)
    first = np.cumsum(count) - count
    place = np.arange(len(row)) - np.repeat(first, count)
    spot = start[at[bids.lot[row]]] + place
    _, desk, _ = desks(lots, bids)
    writer = desk[row]
    wild = (names.mixed(writer, bids.lot[row], place, 7) >> np.uint64(11)).astype(np.float64) / 2.0**53
    style = np.exp((wild - 0.5) * 0.36)  # the desk's own idea of each item
    other = writer != bids.org[row]
    skill = lots.skill[bids.lot[row]]
    noise = np.where(other, np.where(skill == "clumsy", 0.0, 0.015), 0.03)
    price = unit[spot] * style * np.exp(rng.normal(0, 1, len(row)) * noise)
    grows = np.isin(place, np.array(GROWING_ITEMS))
    told = (lots.kind[bids.lot[row]] == "unbalanced_bid") & (bids.role[row] == 1)
    tilt = np.select([skill == "clumsy", skill == "practised"], [1.9, 1.5], 1.25)
    price = np.where(told & grows, price * tilt, price)
    price = np.where(provisional[spot], unit[spot], price)
    fixed = np.where(provisional[spot], price * quantity[spot], 0.0)
    free = np.where(provisional[spot], 0.0, price * quantity[spot])
    if len(first):
        target = bids.price[bid] * 0.94 - np.add.reduceat(fixed, first)
        factor = np.maximum(target, bids.price[bid] * 0.2) / np.maximum(np.add.reduceat(free, first), 1.0)
        price = np.where(provisional[spot], price, price * np.repeat(factor, count))
    price = np.maximum(np.round(price, 2), 0.01)
    bids_here, items_here = (
        bid_id.gather(pl.Series(row.astype(np.uint32))),
        item_id.gather(pl.Series(spot.astype(np.uint32))),
    )
    frame = pl.DataFrame(
        {
            "bid_item_id": bids_here + items_here.str.slice(-4),
            "bid_id": bids_here,
            "boq_item_id": items_here,
            "unit_price": price,
            "amount": np.round(price * quantity[spot], 2),
            "updated_at": (t.time["opening"][lots.tender[bids.lot[row]]] + HOUR // 2).astype("datetime64[us]"),
        }
    )
    return shaped(
        "bid_item_price",
        frame.filter(pl.Series(np.asarray(t.time["opening"][lots.tender[bids.lot[row]]] + HOUR < END))),
    )
