"""Who acts together, and how: rings, captures and loans of licences, and honest families, partners and neighbours.

A group is fixed before anything happens. It has a lead (who gains), members (who help, for a share), and what its
scheme needs: an owner, an agency, experts, a partner who builds or reviews. Its skill says how well it hides:

- clumsy: one computer, one account, one telephone; ties that stand in the register;
- practised: separate computers and accounts, but texts, pricing locks and habits are shared;
- careful: nothing shared; only prices, turns and outcomes can show it.

Bid-rigging cases in China read like the first two (convictions rest on machine codes, IP addresses and deposits from
one account, 招标投标法实施条例 art. 40); the third is what screens were made for (Harrington, 2008; OECD, 2009).
"""

import numpy as np
import polars as pl

from experiments.city.defaults import (
    ALIKE_PROJECTS,
    LOOK_ALIKES,
    PROJECT_TYPES,
    SCHEMES,
    SKILLS,
    TOUCHED_PROJECTS,
    WARD_PROJECTS,
    Kind,
)
from experiments.city.layout import BOUGHT_TRADES, TRADE_NO, TRADES, WORKS, Layout

FIELDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "kind": pl.String,
    "analysis": pl.String,
    "honest": pl.Boolean,
    "skill": pl.String,
    "ward": pl.Int32,
    "trade": pl.Int16,
    "project_type": pl.String,
    "owner_no": pl.Int32,
    "agency_no": pl.Int32,
    "lead_no": pl.Int32,
    "partner_no": pl.Int32,
    "member_nos": pl.List(pl.Int32),
    "expert_nos": pl.List(pl.Int32),
}
WITHOUT_OWNER = frozenset(
    ["rotating_ring", "one_hand", "benchmark_ring", "cover_for_hire", "bought_withdrawal", "territory_ring"]
)
"""Schemes among bidders alone: the group follows its trade from owner to owner (a territory ring in its region)."""
KIN = {"clumsy": ("phone", "address", "holding"), "practised": ("holding",), "careful": ()}


def groups(
    plan: Layout, wards: range, organisations: pl.DataFrame, experts: pl.DataFrame, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the groups of some wards, and their firms' kinship (org_no, like_org_no, what)."""
    rows: list[dict[str, object]] = []
    kin: list[tuple[int, int, str]] = []
    columns = {
        name: organisations[name].to_numpy() for name in ("region", "capacity", "cost_level", "second", "weight")
    }
    specialty = experts["specialty"].to_numpy()
    for ward in wards:
        mine = slice((ward - wards.start) * plan.size, (ward - wards.start + 1) * plan.size)
        here = {name: values[mine] for name, values in columns.items()}
        pool = specialty[(ward - wards.start) * plan.experts : (ward - wards.start + 1) * plan.experts]
        maker = _Maker(plan, ward, here, pool, np.random.default_rng([seed, 2, ward]))
        for honest, kinds, share in ((False, SCHEMES, TOUCHED_PROJECTS), (True, LOOK_ALIKES, ALIKE_PROJECTS)):
            for name, kind in kinds.items():
                lots = WARD_PROJECTS * plan.scale ** (4 / 3) * share * sum(_chance(kinds, kind, t) for t in kind.types)
                many = max(len(kind.types), round(lots / kind.quota))
                for order in range(many):
                    row = maker.group(
                        name, kind, honest=honest, order=order, weight=_expected(kinds, kind, order, many)
                    )
                    rows.append(row)
                    kin += _kin(row)
    return pl.DataFrame(rows, schema=FIELDS), pl.DataFrame(
        kin, schema=["org_no", "like_org_no", "what"], orient="row"
    ).cast({"org_no": pl.Int32, "like_org_no": pl.Int32})


class _Maker:
    """Draws the groups of one ward, the captured parties apart from each other."""

    def __init__(
        self, plan: Layout, ward: int, columns: dict[str, np.ndarray], specialty: np.ndarray, rng: np.random.Generator
    ) -> None:
        self.plan, self.ward, self.rng = plan, ward, rng
        self.first = ward * plan.size
        self.columns, self.specialty = columns, specialty
        self.taken: set[int] = set()
        self.load = {name: float(rng.uniform(0, 0.05)) for name, _ in SKILLS}  # so that cities differ in who is careful

    def group(self, name: str, kind: Kind, *, honest: bool, order: int, weight: float) -> dict[str, object]:
        """Return one group of a kind: who leads, who helps, whom they hold; ``weight``: its share of touched lots."""
        skill = None if honest else self._skill(weight)
        project_type = kind.types[order % len(kind.types)]
        trade = self._trade(name, project_type)
        team = self._firms(trade, 1 + kind.members, keep=not honest or name == "sister_firms")
        owner = -1 if name in WITHOUT_OWNER else self._owner(trade, local=name == "small_county")
        partner = self._partner(name, trade, team)
        experts = np.flatnonzero(self.specialty == trade)
        if len(experts) < 4:
            experts = np.arange(len(self.specialty))
        experts = self.rng.choice(experts, min(4, len(experts)), replace=False) + self.ward * self.plan.experts
        return {
            "kind": name,
            "analysis": kind.analysis,
            "honest": honest,
            "skill": skill,
            "ward": self.ward,
            "trade": trade,
            "project_type": project_type,
            "owner_no": owner,
            "agency_no": self._any("agency"),
            "lead_no": int(team[0]),
            "partner_no": partner,
            "member_nos": [int(x) for x in team],
            "expert_nos": sorted(int(x) for x in experts),
        }

    def _skill(self, weight: float) -> str:
        """Deal the skills out so that each has its share of the lots."""
        skill = min(SKILLS, key=lambda s: (self.load[s[0]] + weight) / s[1])[0]
        self.load[skill] += weight
        return skill

    def _trade(self, name: str, project_type: str) -> int:
        if project_type == "procurement":
            return TRADE_NO[str(self.rng.choice(BOUGHT_TRADES["other"]))]
        if name == "small_county":
            return TRADE_NO[str(self.rng.choice(["landscape", "mep"]))]
        weights = np.array([TRADES[t].count for t in WORKS], dtype=float)
        return int(self.rng.choice(WORKS, p=weights / weights.sum()))

    def _firms(self, trade: int, n: int, *, keep: bool) -> np.ndarray:
        """Firms of middling size of one trade, near each other; members of rings are in one ring only."""
        low, high = self.plan.slice_of(trade)
        size = np.log(self.columns["capacity"][low:high])
        place = self.columns["region"][low:high]
        home = int(self.rng.integers(0, 10))
        taste = -np.abs(size - np.log(6e7)) * 0.5 + 1.2 * (place == home) + self.rng.gumbel(0, 1, high - low)
        free = np.array([low + i not in self.taken for i in range(high - low)])
        taste = np.where(free, taste, taste - 1e6)
        chosen = low + np.argsort(-taste, kind="stable")[:n]
        if keep:
            self.taken.update(int(x) for x in chosen)
        return self.first + chosen

    def _owner(self, trade: int, *, local: bool) -> int:
        low, high = self.plan.slice_of("owner")
        weight = self.columns["weight"][low:high] + 0.05
        if local:
            weight = weight * np.isin(self.columns["region"][low:high], [6, 8])
        return self.first + low + int(self.rng.choice(high - low, p=weight / weight.sum()))

    def _any(self, trade: str) -> int:
        low, high = self.plan.slice_of(trade)
        return self.first + int(self.rng.integers(low, high))

    def _partner(self, name: str, trade: int, team: np.ndarray) -> int:
        """The other party after the award: a small builder, a labour firm, a cost consultant, a payee."""
        if name == "settlement_collusion":
            return self._any("cost")
        if name in ("wage_diversion", "labour_heavy"):
            return self._any("labour")
        low, high = self.plan.slice_of(trade)
        small = np.argsort(self.columns["capacity"][low:high], kind="stable")[: max(4, (high - low) // 3)]
        small = small[~np.isin(self.first + low + small, team)]
        return self.first + low + int(self.rng.choice(small))


def _expected(kinds: dict[str, Kind], kind: Kind, order: int, many: int) -> float:
    """Return the share of touched lots that the ``order``-th of ``many`` groups of a kind will have, about."""
    mine = kind.types[order % len(kind.types)]
    same = sum(1 for other in range(many) if kind.types[other % len(kind.types)] == mine)
    return _chance(kinds, kind, mine) / same


def _chance(kinds: dict[str, Kind], kind: Kind, project_type: str) -> float:
    """Return the share of touched projects that are of a type and of a kind."""
    rivals = sum(other.weight for other in kinds.values() if project_type in other.types)
    return dict(PROJECT_TYPES)[project_type] * kind.weight / rivals


def _kin(row: dict[str, object]) -> list[tuple[int, int, str]]:
    """Return what ties of a group stand in the register of companies."""
    members = row["member_nos"]
    assert isinstance(members, list)
    if row["kind"] == "family_firms":  # brothers: their own firms, one telephone, a share of each other's
        return [(m, members[0], what) for m in members[1:] for what in ("phone", "holding")]
    if row["kind"] == "sister_firms":  # one owner, two offices that do not ask each other
        return [(members[1], members[0], what) for what in ("sister", "address")]
    if row["kind"] == "neighbour_agency":  # one office building, nothing else
        return [(members[0], int(str(row["agency_no"])), "address")]
    if row["kind"] == "local_branch":  # the outside firm's daughter in the county
        return [(int(str(row["partner_no"])), members[0], "daughter")]
    if row["honest"]:
        return []
    lead, skill = int(members[0]), str(row["skill"])
    if row["analysis"] == "tenderer_repeat_winner" and skill == "clumsy":  # the official's share
        return [(lead, int(str(row["owner_no"])), "owner_share")]
    if row["analysis"] == "agency_ties" and skill != "careful":
        ties = ("phone", "address") if skill == "clumsy" else ("holding",)
        return [(lead, int(str(row["agency_no"])), what) for what in ties]
    if row["analysis"] != "bid_rigging":
        return []
    ties = KIN[str(row["skill"])]
    sisters = [(m, lead, "sister") for m in members[1:3]] if row["kind"] == "one_hand" and skill == "clumsy" else []
    return sisters + [(m, members[0], what) for order, m in enumerate(members[1:]) for what in ties if order % 2 == 0]
