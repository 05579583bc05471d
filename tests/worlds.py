"""Small worlds of tenders, lots, bids and awards in the contract's shape: made by hand, or at random from a seed."""

import datetime as dt
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from features.clock import SHANGHAI
from features.derive.configured import NOTHING
from features.tables.contract import SOURCE_TABLES
from features.tables.source import SourceTables

AS_OF = dt.datetime(2025, 6, 30, 23, 59, 59, tzinfo=SHANGHAI)
AWARD_TIMES = ("notice_issued_at", "result_published_at", "publicity_end_at", "publicity_start_at")
AFTER = AS_OF + dt.timedelta(days=1)
Rows = dict[str, list[dict[str, Any]]]
Frames = Mapping[str, pl.DataFrame]


def days_ago(days: float) -> dt.datetime:
    """Return ten in the morning, so many days before the moment of scoring."""
    return (AS_OF - dt.timedelta(days=days)).replace(hour=10, minute=0, second=0)


@dataclass(frozen=True)
class Offer:
    """One bid; a price of None is a missing one."""

    org: str
    price: float | None = 100.0
    status: str = "valid"


@dataclass(frozen=True)
class Win:
    """One award; ``column`` names the instant that makes it known."""

    org: str
    amount: float | None = 100.0
    at: dt.datetime | None = None
    column: str = "notice_issued_at"
    status: str = "awarded"


@dataclass
class World:
    """Rows of the source tables, added lot by lot."""

    rows: Rows = field(default_factory=lambda: {name: [] for name in SOURCE_TABLES})

    def lot(
        self,
        lot_id: str,
        *,
        bids: Sequence[Offer | str] = (),
        wins: Sequence[Win | str] = (),
        opening: dt.datetime | None = None,
        tenderer: str | None = "T",
        tender: Mapping[str, Any] | None = None,
        city: str | None = "5113",
        **columns: Any,
    ) -> None:
        """Add a lot with a tender and a project of its own; it opened 100 days ago if nothing is said."""
        opening = days_ago(100) if opening is None else opening
        self.rows["project"].append(
            {
                "project_id": f"P-{lot_id}",
                "name": lot_id,
                "region_code": None if city is None else f"{city}02",
                "status": "tendering",
                "secrecy_level": "none",
            }
        )
        self.rows["tender"].append(
            {
                "tender_id": f"N-{lot_id}",
                "project_id": f"P-{lot_id}",
                "tender_no": lot_id,
                "title": lot_id,
                "tenderer_org_id": tenderer,
                "law_regime": "tendering_law",
                "object_type": "works",
                "method": "public_tender",
                "evaluation_method": "lowest_evaluated",
                "opening_at": opening,
                "status": "opened",
                **(tender or {}),
            }
        )
        self.rows["lot"].append(
            {
                "lot_id": lot_id,
                "tender_id": f"N-{lot_id}",
                "project_id": f"P-{lot_id}",
                "lot_no": "1",
                "name": lot_id,
                "category_code": "A.1",
                "currency": "CNY",
                "bids_complete": True,
                "status": "open",
                **columns,
            }
        )
        self.bids(lot_id, *bids)
        self.wins(lot_id, *[Win(win) if isinstance(win, str) else win for win in wins], opening=opening)

    def bids(self, lot_id: str, *offers: Offer | str) -> None:
        """Add bids for a lot, numbered onwards."""
        for offer in offers:
            one = Offer(offer) if isinstance(offer, str) else offer
            self.rows["bid"].append(
                {
                    "bid_id": f"B-{lot_id}-{len(self.rows['bid']):04}",
                    "lot_id": lot_id,
                    "tender_id": f"N-{lot_id}",
                    "bidder_org_id": one.org,
                    "is_consortium": False,
                    "bid_price": _money(one.price),
                    "status": one.status,
                }
            )

    def wins(self, lot_id: str, *wins: Win, opening: dt.datetime) -> None:
        """Add awards of a lot, known ten days after its opening if nothing is said."""
        for win in wins:
            self.rows["award"].append(
                {
                    "award_id": f"A-{lot_id}-{len(self.rows['award']):04}",
                    "lot_id": lot_id,
                    "org_id": win.org,
                    "amount": _money(win.amount),
                    win.column: opening + dt.timedelta(days=10) if win.at is None else win.at,
                    "status": win.status,
                }
            )

    def group(self, group_id: str | None, *orgs: str) -> None:
        """Add organisations of one control group (None: each stands alone)."""
        self.rows["organisation"] += [{"org_id": org, "name": org, "group_id": group_id} for org in orgs]

    def configure(self, key: str, value: str) -> None:
        """Add a parameter, setting or entry of a list that two people have agreed upon."""
        self.rows["param"].append(configured(key, value))

    def frames(self) -> dict[str, pl.DataFrame]:
        """Return the tables that have rows, each checked against the contract."""
        found: dict[str, pl.DataFrame] = {}
        for name, rows in self.rows.items():
            if rows:
                table = SOURCE_TABLES[name]
                schema = {column: stated.dtype for column, stated in table.columns().items()}
                frame = pl.DataFrame(rows, schema=schema)
                found[name] = pl.DataFrame(table.validate(frame))
        return found

    def source(self) -> SourceTables:
        """Return the world as a computation sees it."""
        return SourceTables({name: frame.lazy() for name, frame in self.frames().items()})


def configured(key: str, value: str) -> dict[str, Any]:
    """Return a row of ``param`` that has been in force for long."""
    people = {"changed_by": "wang", "approved_by": "li"}
    return {"param_key": key, "default_value": NOTHING, "current_value": value, "valid_from": days_ago(5000), **people}


def _money(amount: float | None) -> Decimal | None:
    return None if amount is None else Decimal(f"{amount:.2f}")


N_TENDERERS = 6
FAVOURITES = {"T0": "F05", "T1": "F04"}
"""Who nearly always wins at a tenderer; elsewhere the first bidder by name does."""
DESERTED = "T2"
"""A tenderer at which few bid."""
ODDITY = 0.15
"""Share of lots that are unlike the others in one respect."""


def random_world(seed: int, n_lots: int) -> World:
    """Return a world crowded enough for most indicators to have values, with every kind of row that must not count.

    Six tenderers buy in turn, a dozen firms of which four belong to two groups bid; most lots lie in one market. Some
    bids are withdrawn, disqualified or without price, some lots are direct, undecided, incomplete, in another currency
    or without tenderer, some open after ``AS_OF`` and some awards are known only then.
    """
    chance = random.Random(seed)
    world = World()
    firms = [f"F{number:02}" for number in range(12)]
    world.group("G-one", *firms[:2])
    world.group("G-two", *firms[2:4])
    world.group(None, *firms[4:-1], *[f"T{number}" for number in range(N_TENDERERS)])
    usual_bidders = chance.choice([4, 5, 7])
    for number in range(n_lots):
        tenderer = f"T{number % N_TENDERERS}"
        usual = 3 if tenderer == DESERTED else usual_bidders
        wanted = chance.choice([1, 2, 3, 6, 8]) if chance.random() < 2 * ODDITY else usual
        _random_lot(world, chance, f"L{number:03}", tenderer, firms, wanted)
    return world


def _random_lot(
    world: World, chance: random.Random, lot_id: str, tenderer: str, firms: Sequence[str], wanted: int
) -> None:
    opening = days_ago(chance.randrange(-60, 1200) if chance.random() < ODDITY else chance.randrange(0, 700))
    level = chance.choice([1e5, 1e6, 3e6])
    # The same few firms meet again and again, so that pairs, runs and losers have something to show.
    bidders = sorted({chance.choice(firms[:6] if chance.random() < 0.6 else firms) for _ in range(3 * wanted)})[:wanted]
    offers = [_random_offer(chance, firm, level) for firm in bidders]
    if chance.random() < 0.03:
        offers.append(Offer(bidders[0], level))
    odd = chance.choice(["method", "rule", "city", "category", "currency", "bids", "tenderer", "grade"])
    odd = odd if chance.random() < ODDITY else ""
    world.lot(
        lot_id,
        bids=offers,
        wins=_random_wins(chance, opening, FAVOURITES.get(tenderer, bidders[0]), bidders, firms, level),
        opening=opening,
        tenderer=None if odd == "tenderer" else tenderer,
        city=chance.choice(["5107", None]) if odd == "city" else "5113",
        tender={
            "method": chance.choice(["direct_award", "framework"] if odd == "method" else ["public_tender", "inquiry"]),
            "evaluation_method": chance.choice(["average_benchmark", "random_draw"])
            if odd == "rule"
            else "lowest_evaluated",
        },
        category_code=chance.choice(["B.2", "C12345", None] if odd == "category" else ["A.1.3", "A-1-4"]),
        currency="USD" if odd == "currency" else chance.choice(["CNY", None]),
        bids_complete=False if odd == "bids" else chance.choice([True, None]),
        required_qual_code=chance.choice(["Q2", None]) if odd == "grade" else "Q1",
    )


def _random_offer(chance: random.Random, firm: str, level: float) -> Offer:
    price = round(level * chance.choice([1.0, 1.01, chance.uniform(0.9, 1.2)]), 2)
    status = chance.choices(
        ["valid", "candidate", "awarded", "abandoned", "disqualified", "rejected", "submitted", "withdrawn"],
        [80, 5, 3, 1, 4, 1, 1, 5],
    )[0]
    return Offer(firm, None if chance.random() < 0.01 else price, status)


def _random_wins(
    chance: random.Random,
    opening: dt.datetime,
    favourite: str,
    bidders: Sequence[str],
    firms: Sequence[str],
    level: float,
) -> list[Win]:
    if chance.random() < 0.08:
        return []
    winner = favourite if favourite in bidders and chance.random() < 0.9 else chance.choice(bidders)
    winner = chance.choice(firms) if chance.random() < 0.05 else winner
    known = opening + dt.timedelta(days=chance.choice([3, 20, 60]))
    status = chance.choices(["awarded", "candidate", "invalidated"], [96, 2, 2])[0]
    amount = None if chance.random() < 0.04 else level
    wins = [Win(winner, amount, known, chance.choice(AWARD_TIMES), status)]
    if chance.random() < 0.05:
        wins.append(Win(chance.choice(firms), level, known))
    return wins


def later_rows(seed: int, frames: Frames) -> World:
    """Return rows whose event lies after ``AS_OF``: tenders with bids and awards, and awards of lots opened before."""
    chance = random.Random(seed)
    firms = ["F00", "F02", "F05", "F99"]
    world = World()
    for number in range(chance.randrange(5, 40)):
        opening = AFTER + dt.timedelta(days=chance.randrange(0, 300))
        bids = [Offer(firm, chance.uniform(1, 1e6)) for firm in firms[: chance.randrange(1, 5)]]
        world.lot(f"later{number}", bids=bids, wins=[chance.choice(firms)], opening=opening, tenderer="T0")
    # An opening that is not dated is not known either.
    world.lot("undated", bids=firms, wins=[Win("F00", at=AFTER)], tender={"opening_at": None})
    lots = frames["lot"].get_column("lot_id").to_list()
    for lot in chance.sample(lots, k=min(10, len(lots))):
        winner = Win(chance.choice(firms), 1e7, AFTER, chance.choice(AWARD_TIMES))
        world.wins(lot, winner, opening=AFTER)
    unopened = frames["tender"].filter(pl.col("opening_at") > AS_OF).get_column("tender_no")
    for lot in unopened:
        world.bids(lot, *firms)
    # Publicity began before, but the notice that makes the award known came later (rulings G5).
    world.wins(lots[0], Win("F00", 1e7, AFTER, "notice_issued_at"), opening=AFTER)
    world.rows["award"][-1]["publicity_start_at"] = days_ago(1)
    # An award of which nothing says when it became known does not count.
    world.wins(lots[0], Win("F00", 1e7, AFTER), opening=AFTER)
    world.rows["award"][-1]["notice_issued_at"] = None
    return world


def with_rows(frames: Frames, added: World) -> Frames:
    return {
        name: pl.concat([part[name] for part in (frames, added.frames()) if name in part])
        for name in SOURCE_TABLES
        if name in frames or name in added.frames()
    }


def shuffled(frames: Frames, seed: int) -> Frames:
    return {
        name: frame.sample(fraction=1, shuffle=True, seed=seed + place)
        for place, (name, frame) in enumerate(frames.items())
    }


worlds = st.builds(random_world, seed=st.integers(0, 10**6), n_lots=st.sampled_from([20, 40, 60, 90]))
seeds = st.integers(0, 10**6)
law = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # worlds come from a seed: a smaller one says no more
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
"""How a law is tried: on a few random worlds, always the same ones."""
