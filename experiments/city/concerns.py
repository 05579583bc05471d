"""Corporate groups: whose firm is whose, by which tie, and who may not bid beside whom.

State construction groups hold their daughters, and those theirs, below a bureau or a city's investment company; private
owners run two or three firms, in their own name, by one representative or board, through a nominee, or through a
relative of whom the registers say nothing. A firm now and then changes hands. Who stands under one hand may not bid for
one lot (招标投标法实施条例 art. 34), so that honest concerns send one firm; see ``bidding`` and ``groups``.
"""

import numpy as np
import polars as pl

from experiments.city.defaults import CONCERN_SHARES, CONCERN_SIZES, HANDED_OVER, JOINT_FIRMS
from experiments.city.facts import CITY_START
from experiments.city.layout import TRADES, Layout

TIES: dict[str, pl.DataType | type[pl.DataType]] = {
    "org_no": pl.Int32,
    "head_no": pl.Int32,
    "hand": pl.String,
    "ratio": pl.Float64,
    "fate": pl.String,
    "handed_on": pl.Date,
}
HELD = ("company", "person")
"""Ties by a majority of the shares: of the head, or of whoever owns the head."""
PRIVATE_HANDS = (("person", 0.42), ("company", 0.22), ("legal_rep", 0.12), ("controller", 0.10), ("board", 0.05),
                 ("relative", 0.09))  # fmt: skip
STATE_RATIOS = (0.51, 0.7, 0.8, 1.0)
JOINT_RATIOS = ((0.5, 0.5), (0.4, 0.35), (0.34, 0.33), (0.49, 0.3))
NEVER = 1_000_000
"""A day after all days of the city, as days since 1970."""


def concerns(
    plan: Layout, wards: range, organisations: pl.DataFrame, made: pl.DataFrame, kin: pl.DataFrame, seed: int
) -> pl.DataFrame:
    """Return what ties firms of some wards to another firm's hand.

    Nobody who acts together in one of the groups (``made``) is tied by chance: their ties are those of ``kin``
    (org_no, like_org_no, what), of which ``sister`` and ``daughter`` are control.

    Returns:
        One row a tie. ``hand``: company (the head holds most), person (its owner does), legal_rep, controller, board,
        relative (not control), joint (two rows a firm, no control). ``ratio``: of the shares, where there is no other
        majority; null = nothing on paper. ``fate``: kept, sold or bought; ``handed_on``: the last day of the old owner.
    """
    columns = {name: organisations[name].to_numpy() for name in ("region", "capacity", "trade")}
    columns["state"] = (organisations["ownership"] == "soe").to_numpy()
    acting = _acting(made)
    planned = kin.filter(pl.col("what").is_in(["sister", "daughter"])).rows()
    rows: list[tuple[int, int, str, float | None, str, int | None]] = []
    for ward in wards:
        mine = slice((ward - wards.start) * plan.size, (ward - wards.start + 1) * plan.size)
        here = {name: values[mine] for name, values in columns.items()}
        maker = _Maker(plan, ward * plan.size, here, acting, np.random.default_rng([seed, 5, ward]))
        maker.planned([tie for tie in planned if tie[0] // plan.size == ward])
        for trades, share in CONCERN_SHARES:
            maker.market(trades, share)
        maker.joint_firms()
        rows += maker.rows
    return pl.DataFrame(rows, schema=TIES | {"handed_on": pl.Int32}, orient="row").cast({"handed_on": pl.Date})


def _acting(made: pl.DataFrame) -> dict[int, set[int]]:
    """Return the groups in which each organisation has a part."""
    acting: dict[int, set[int]] = {}
    parties = made.select("member_nos", "owner_no", "agency_no", "partner_no")
    for number, (members, *others) in enumerate(parties.iter_rows()):
        for org in (*members, *others):
            acting.setdefault(org, set()).add(number)
    return acting


class _Maker:
    """Draws the concerns of one ward; a firm has one head at most, and no concern bites its own tail."""

    def __init__(
        self,
        plan: Layout,
        first: int,
        columns: dict[str, np.ndarray],
        acting: dict[int, set[int]],
        rng: np.random.Generator,
    ) -> None:
        self.plan, self.first, self.columns, self.acting, self.rng = plan, first, columns, acting, rng
        self.head: dict[int, int] = {}
        self.bound = np.zeros(plan.size, dtype=bool)
        self.rows: list[tuple[int, int, str, float | None, str, int | None]] = []

    def planned(self, ties: list[tuple[int, int, str]]) -> None:
        """Tie the firms whose groups need it."""
        for org, head, what in ties:
            if org in self.head or self._top(head) == org:
                continue
            state = bool(self.columns["state"][head - self.first])
            self._tie(org, head, "company" if state or what == "daughter" else "person")

    def market(self, trades: tuple[str, ...], share: float) -> None:
        """Draw concerns among the firms of some trades until a share of them belongs to one."""
        pool = np.concatenate([np.arange(*self.plan.slice_of(trade)) for trade in trades])
        left = round(share * len(pool)) - int(self.bound[pool].sum())
        org_type = TRADES[self.columns["trade"][pool[0]]].org_type
        contractors = org_type == "contractor"
        while left >= 2:
            free = pool[~self.bound[pool]]
            weight = np.sqrt(self.columns["capacity"][free])
            head = int(self.rng.choice(free, p=weight / weight.sum()))
            state = bool(self.columns["state"][head])
            sizes, shares = zip(*CONCERN_SIZES, strict=True)
            size = int(self.rng.integers(3, 9) if state and contractors else self.rng.choice(sizes, p=shares))
            hands, chances = zip(*PRIVATE_HANDS, strict=True)
            hand = "company" if state else str(self.rng.choice(hands, p=chances))
            if hand == "board" and org_type not in ("contractor", "supplier"):  # others have too few to share
                hand = "person"
            team = self._team(free, head, min(size, left))
            self._found(team, hand, state=state)
            if state and contractors and self.rng.random() < 0.35:
                self._investor(team)
            left -= len(team) if hand != "relative" else 0
            if len(team) == 1:  # nobody suits: it stays alone
                self.bound[head], left = True, left - 1

    def joint_firms(self) -> None:
        """Let a few contractors belong to two others, neither of which has more than a half."""
        low, high = self.plan.slice_of("building")[0], self.plan.slice_of("mep")[1]
        free = np.flatnonzero(~self.bound[low:high] & ~self.columns["state"][low:high]) + low
        many = min(round(JOINT_FIRMS * (high - low)), len(free))
        for firm in self.rng.choice(free, many, replace=False):
            one, other = (int(x) for x in self.rng.choice(high - low, 2, replace=False) + low)
            if firm in (one, other) or self._act_together([int(firm), one, other]):
                continue
            ratios = JOINT_RATIOS[int(self.rng.integers(len(JOINT_RATIOS)))]
            for holder, ratio in zip((one, other), ratios, strict=True):
                self.rows.append((self.first + int(firm), self.first + holder, "joint", ratio, "kept", None))

    def _team(self, free: np.ndarray, head: int, size: int) -> list[int]:
        """Return a head and firms that suit it: near, smaller, of its kind, strangers in all that groups do."""
        of = self.columns
        taste = (
            1.5 * (of["region"][free] == of["region"][head])
            + 0.8 * (of["trade"][free] == of["trade"][head])
            - 0.6 * np.maximum(0, np.log(of["capacity"][free] / of["capacity"][head]))
            - 6.0 * (of["state"][free] != of["state"][head])
            + self.rng.gumbel(0, 1, len(free))
        )
        team = [head]
        for firm in free[np.argsort(-taste, kind="stable")]:
            if len(team) == size:
                break
            if firm != head and not self._act_together([*team, int(firm)]):
                team.append(int(firm))
        return team

    def _act_together(self, offsets: list[int]) -> bool:
        """Return whether two of some firms have a part in one group."""
        parts = [self.acting.get(self.first + offset, set()) for offset in offsets]
        return sum(map(len, parts)) > len(set().union(*parts))

    def _found(self, team: list[int], hand: str, *, state: bool) -> None:
        heads = [team[0]]
        for firm in team[1:]:
            moved = not state and hand in HELD and self.rng.random() < HANDED_OVER
            fate = str(self.rng.choice(["sold", "bought"])) if moved else "kept"
            above = heads[0] if self.rng.random() < 0.65 else heads[int(self.rng.integers(len(heads)))]
            self._tie(self.first + firm, self.first + above, hand, fate=fate)
            if hand == "company" and fate == "kept":
                heads.append(firm)

    def _tie(self, org: int, head: int, hand: str, *, fate: str = "kept") -> None:
        ratio = float(self.rng.choice(STATE_RATIOS))
        on_paper = None if hand == "relative" and self.rng.random() < 0.5 else ratio
        day = int(np.datetime64(CITY_START, "D").astype(int) + self.rng.integers(60, 1050))
        self.rows.append((org, head, hand, on_paper, fate, None if fate == "kept" else day))
        self.head[org] = head
        self.bound[[org - self.first, head - self.first]] = True

    def _investor(self, team: list[int]) -> None:
        """Put an investment company of the city above a state concern."""
        low, high = self.plan.slice_of("owner")
        companies = np.flatnonzero(self.columns["state"][low:high] & ~self.bound[low:high]) + low
        for company in self.rng.permutation(companies)[:3]:
            if not self._act_together([*team, int(company)]):
                self._tie(self.first + team[0], self.first + int(company), "company")
                break

    def _top(self, org: int) -> int:
        while org in self.head:
            org = self.head[org]
        return org


def with_hands(organisations: pl.DataFrame, ties: pl.DataFrame) -> pl.DataFrame:
    """Add to each organisation whose it is: ``hand`` until ``handed_on`` (null = ever), ``hand_after`` from then on.

    A hand is the number of the concern's top, an organisation's own where it stands alone. Daughters of the state are
    marked as state firms, those of private owners as private.
    """
    head = {org: above for org, above, hand in ties.select("org_no", "head_no", "hand").iter_rows() if hand != "joint"}
    ownership = dict(organisations.select("org_no", "ownership").iter_rows())
    rows: list[tuple[int, int, int, int | None, str]] = []
    moves = {org: (fate, day) for org, fate, day in ties.select("org_no", "fate", "handed_on").iter_rows()}
    for org in head:
        top = org
        while top in head:
            top = head[top]
        fate, day = moves[org]
        own = ownership[org]
        kept = "soe" if ownership[top] == "soe" else "private" if own == "soe" else own
        rows.append((org, org if fate == "bought" else top, org if fate == "sold" else top, day, kept))
    schema = {"org_no": pl.Int32, "hand": pl.Int32, "hand_after": pl.Int32, "handed_on": pl.Date, "kept": pl.String}
    found = organisations.join(
        pl.DataFrame(rows, schema=schema, orient="row"), on="org_no", how="left", maintain_order="left"
    )
    return found.with_columns(
        pl.coalesce("hand", "org_no"),
        pl.coalesce("hand_after", "org_no"),
        pl.coalesce("kept", "ownership").alias("ownership"),
    ).drop("kept")


def hands(org: dict[str, np.ndarray], number: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """Return under whose hand organisations stand on the days of moments (org: columns of ``planning.Market``)."""
    day = moment.astype("datetime64[D]").astype(np.int64)
    return np.where(day <= org["handed_on"][number], org["hand"][number], org["hand_after"][number])
