"""What gets built and bought: projects with owner, place, size and moment, and the pieces each is awarded in.

A piece is one contract to come: a lot of a tender, or work given without one. Sizes are lognormal as in the notices of
Yichang (median some 6 million CNY, a tenth above 68 million). Which projects a group touches is drawn first; such a
project then has the owner, trade and place that the group works with.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from experiments.city import names
from experiments.city.concerns import NEVER
from experiments.city.defaults import (
    ALIKE_PROJECTS,
    LIMIT_WORKS,
    LOOK_ALIKES,
    PROJECT_TYPES,
    SCHEMES,
    TOUCHED_PROJECTS,
)
from experiments.city.facts import CITY_END, CITY_START, Population
from experiments.city.layout import BOUGHT_TRADES, OWNER_KINDS, SECTOR_TRADES, TRADE_NO, TRADES, Layout

SECTOR_OF_TRADE = {
    "building": "housing",
    "municipal": "municipal",
    "highway": "highway",
    "water": "water",
    "landscape": "park",
    "mep": "health",
}
TYPES = [name for name, _ in PROJECT_TYPES]


@dataclass(frozen=True)
class Market:
    """The population as arrays, and the tables that drawing from it needs."""

    plan: Layout
    population: Population
    org: dict[str, np.ndarray]  # numeric columns of organisations
    owner_cumulated: np.ndarray  # owners of all wards, weights of each ward summing to 1
    group: dict[str, np.ndarray]  # columns of groups
    groups_a_ward: int
    menu: dict[tuple[str, bool], tuple[np.ndarray, np.ndarray]]  # (type, honest) -> offsets of groups, chances


NUMERIC = """region ward trade second capacity cost_level quality activity owner_kind weight pm_first pm_count
longitude latitude agent_person_no contact_person_no tech_lead_person_no staff_person_no legal_rep_person_no bank_no
insured_count""".split()  # noqa: SIM905


def market(plan: Layout, population: Population) -> Market:
    """Lay the population out for drawing."""
    org = {name: population.organisations[name].fill_null(-1).to_numpy() for name in NUMERIC}
    org |= {name: population.organisations[name].to_numpy() for name in ("hand", "hand_after")}
    days = population.organisations["handed_on"].cast(pl.Int32)
    org["handed_on"] = days.fill_null(NEVER).to_numpy()
    low, high = plan.slice_of("owner")
    weights = org["weight"].reshape(plan.wards, plan.size)[:, low:high] + 1e-9
    cumulated = (
        np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1) + np.arange(plan.wards)[:, None]
    ).ravel()
    frame = population.groups
    plain = [name for name in frame.columns if frame[name].dtype != pl.List(pl.Int32)]
    group = {name: (frame[name].fill_null("") if name == "skill" else frame[name]).to_numpy() for name in plain}
    each = len(frame) // plan.wards
    menu = {}
    for kind in TYPES:
        for honest, kinds in ((False, SCHEMES), (True, LOOK_ALIKES)):
            fits = (group["project_type"][:each] == kind) & (group["honest"][:each] == honest)
            offsets = np.flatnonzero(fits)
            names_here = group["kind"][:each][offsets]
            weight = np.array([kinds[n].weight / (names_here == n).sum() for n in names_here])
            menu[kind, honest] = (offsets, weight / weight.sum())
    return Market(plan, population, org, cumulated, group, each, menu)


def projects(m: Market, first: int, count: int, rng: np.random.Generator) -> pl.DataFrame:
    """Return projects ``first`` to ``first + count`` of the city, in the order of time.

    Columns: no, project_id, ptype, ward, anchor (notice, purchase or event), group_no (-1 = none), kind, skill, honest,
    owner_no, region, sector, trade, estimate, longitude, latitude, name, planned_at, project_code.
    """
    no = np.arange(first, first + count)
    ward = no % m.plan.wards
    ptype = np.array(TYPES)[rng.choice(3, count, p=[share for _, share in PROJECT_TYPES])]
    draw = rng.random(count)
    touched, alike = draw < TOUCHED_PROJECTS, draw > 1 - ALIKE_PROJECTS
    group_no = np.full(count, -1, dtype=np.int64)
    for kind in TYPES:
        for honest, mask in ((False, touched), (True, alike)):
            rows = np.flatnonzero(mask & (ptype == kind))
            offsets, chances = m.menu[kind, honest]
            group_no[rows] = ward[rows] * m.groups_a_ward + offsets[rng.choice(len(offsets), len(rows), p=chances)]
    has = group_no >= 0
    kind = np.where(has, m.group["kind"][group_no], "")
    owner = _owners(m, ward, group_no, kind, rng)
    sector, trade = _work(m, owner, ptype, group_no, rng)
    estimate = _sizes(ptype, kind, rng)
    span = (np.datetime64(CITY_END, "s") - np.datetime64(CITY_START, "s")).astype(int)
    moment = np.sort((first + rng.random(count) * count) / m.population.projects) * 0.985 * span
    anchor = np.datetime64(CITY_START, "s") + moment.astype("timedelta64[s]")
    place = np.column_stack([m.org["longitude"][owner], m.org["latitude"][owner]]) + rng.normal(0, 0.05, (count, 2))
    frame = pl.DataFrame(
        {
            "no": no,
            "ptype": ptype,
            "ward": ward,
            "anchor": anchor.astype("datetime64[us]"),
            "group_no": group_no,
            "kind": kind,
            "skill": np.where(has, m.group["skill"][group_no], ""),
            "honest": np.where(has, m.group["honest"][group_no], True).astype(bool),
            "owner_no": owner,
            "region": m.org["region"][owner].astype(np.int64),
            "sector": sector,
            "trade": trade,
            "estimate": estimate,
            "longitude": np.round(place[:, 0], 6),
            "latitude": np.round(place[:, 1], 6),
        }
    ).with_columns(_names(m, no, owner, trade, ptype, rng))
    return frame.with_columns(_codes(frame, rng)).drop("code_tail")


def _owners(
    m: Market, ward: np.ndarray, group_no: np.ndarray, kind: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    low, high = m.plan.slice_of("owner")
    spot = np.searchsorted(m.owner_cumulated, ward + rng.random(len(ward)))
    each = high - low
    owner = (spot // each) * m.plan.size + low + spot % each
    captive = np.where(group_no >= 0, m.group["owner_no"][group_no], -1)
    owner = np.where(captive >= 0, captive, owner)
    for row in np.flatnonzero(kind == "territory_ring"):  # the ring's own region, whoever tenders there
        lead = m.group["lead_no"][group_no[row]]
        home = ward[row] * m.plan.size + np.arange(low, high)
        near = home[m.org["region"][home] == min(9, int(m.org["region"][lead]))]
        if len(near):
            owner[row] = rng.choice(near)
    return owner


def _work(
    m: Market, owner: np.ndarray, ptype: np.ndarray, group_no: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return sector and trade of each project: what its owner is for."""
    sector = np.empty(len(owner), dtype=object)
    trade = np.empty(len(owner), dtype=np.int64)
    kinds = m.org["owner_kind"][owner]
    pick, pick2 = rng.random(len(owner)), rng.random(len(owner))
    for row, (kind, p, q) in enumerate(zip(kinds, pick, pick2, strict=True)):
        sectors = OWNER_KINDS[kind][3]
        sector[row] = sectors[int(p * len(sectors))]
        if ptype[row] == "procurement":
            options = BOUGHT_TRADES.get(sector[row], BOUGHT_TRADES["other"])
            trade[row] = TRADE_NO[options[int(q * len(options))]]
        else:
            trades = SECTOR_TRADES[sector[row]]
            shares = np.cumsum([share for _, share in trades])
            trade[row] = TRADE_NO[trades[int(np.searchsorted(shares, q * shares[-1]))][0]]
    fixed = np.where(group_no >= 0, m.group["trade"][group_no], -1)
    for row in np.flatnonzero((fixed >= 0) & (fixed != trade) & (ptype != "emergency")):
        trade[row] = fixed[row]
        sector[row] = SECTOR_OF_TRADE.get(TRADES[fixed[row]].code, sector[row])
    return sector.astype(str), trade


def _sizes(ptype: np.ndarray, kind: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    n = len(ptype)
    normal, even = rng.normal(0, 1, n), rng.random(n)
    size = np.select(
        [ptype == "tender", ptype == "procurement"],
        [np.exp(np.log(1.1e7) + 1.25 * normal).clip(2.2e6, 9e8), np.exp(np.log(1.3e6) + 0.95 * normal).clip(1e5, 4e7)],
        np.exp(np.log(2.6e6) + 0.9 * normal).clip(2e5, 4e7),
    )
    cut = np.isin(kind, ["split_works", "small_nature"])
    size = np.where(cut, LIMIT_WORKS * (1.4 + 1.4 * even), size)
    size = np.where(kind == "direct_then_grow", LIMIT_WORKS * (0.78 + 0.2 * even), size)
    size = np.where(kind == "split_orders", 2.2e6 + 2.5e6 * even, size)
    size = np.where(kind == "emergency_abuse", LIMIT_WORKS * (1.0 + 2.5 * even), size)
    ring = ~cut & (ptype == "tender") & (kind != "") & (kind != "direct_then_grow")
    return np.round(np.where(ring, np.maximum(size, LIMIT_WORKS * (1.05 + even)), size), -3)


def _codes(frame: pl.DataFrame, rng: np.random.Generator) -> list[pl.Series]:
    """Return when each project was planned, and its national code; a quarter of the emergencies never get one."""
    n = len(frame)
    urgent = (frame["ptype"] == "emergency").to_numpy()
    lead = np.select([urgent, (frame["ptype"] == "procurement").to_numpy()], [0, 40], 90)
    days = (lead + rng.integers(5, 60, n) * ~urgent).astype("timedelta64[D]")
    planned = pl.Series((frame["anchor"].to_numpy() - days).astype("datetime64[us]"))
    code = planned.dt.strftime("%y%m") + "-" + frame["code_tail"]
    return [
        planned.alias("planned_at"),
        code.set(pl.Series(urgent & (rng.random(n) < 0.25)), None).alias("project_code"),
    ]


HAZARDS = ["山体滑坡抢险治理工程", "水毁道路抢修工程", "河堤决口抢险工程", "房屋险情排除工程", "管网爆裂抢修工程"]
THINGS = {
    "building": ["综合楼建设工程", "教学楼改造工程", "安置房建设工程", "老旧小区改造工程", "业务用房建设工程"],
    "municipal": ["城区道路改造工程", "排水管网改造工程", "雨污分流工程", "市政道路新建工程", "停车场建设工程"],
    "highway": ["农村公路改建工程", "县道升级改造工程", "桥梁改造工程", "通村公路硬化工程", "公路安防工程"],
    "water": ["水库除险加固工程", "堤防整治工程", "高标准农田建设工程", "灌区配套工程", "供水保障工程"],
    "landscape": ["公园绿化提升工程", "滨江景观工程", "道路绿化工程", "湿地修复工程"],
    "mep": ["消防设施改造工程", "电梯更新工程", "供配电改造工程", "空调系统改造工程"],
    "equipment": ["设备采购", "车辆采购", "实训设备采购"],
    "office": ["办公设备采购", "家具采购", "教学设备采购"],
    "medical": ["医疗设备采购", "检验设备采购", "影像设备采购"],
    "property": ["物业服务采购", "保安服务采购", "保洁服务采购"],
    "software": ["信息化平台建设", "数据中心运维", "智慧系统升级"],
    "consulting": ["规划编制服务", "咨询服务", "评估服务"],
}


def _names(
    m: Market, no: np.ndarray, owner: np.ndarray, trade: np.ndarray, ptype: np.ndarray, rng: np.random.Generator
) -> list[pl.Series]:
    region = m.org["region"][owner]
    place = names.picked([r[1] for r in names.REGIONS], region)
    words = [THINGS.get(t.code, ["工程"]) for t in TRADES]
    spin = rng.random(len(no))
    urgent = ptype == "emergency"
    lists = [HAZARDS if u else words[t] for t, u in zip(trade, urgent, strict=True)]
    thing = pl.Series([some[int(s * len(some))] for some, s in zip(lists, spin, strict=True)], dtype=pl.String)
    brand = names.picked(names.BRANDS, rng.integers(0, len(names.BRANDS), len(no)))
    brand2 = names.picked(names.BRANDS, rng.integers(0, len(names.BRANDS), len(no)))
    code = names.picked([r[0] for r in names.REGIONS], region)
    number = pl.Series(no).cast(pl.String)
    serial = pl.Series((no * 7_919 + 100_003) % 1_000_000).cast(pl.String).str.zfill(6)
    turn = pl.Series(no // 1_000_000).cast(pl.String).str.zfill(2)
    return [
        ("NC" + number.str.zfill(8)).alias("project_id"),
        (place + brand + brand2 + thing).alias("name"),
        (code + "-04-" + turn + "-" + serial).alias("code_tail"),
    ]
