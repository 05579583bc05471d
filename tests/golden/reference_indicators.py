"""SI-001, SI-002, SI-003, SI-007, SI-033 and SI-034 once more, in plain loops, written from the specification.

Nothing of ``features`` is used. Rows come as dicts, one list a table; probabilities are worked out in whole numbers
and fractions. Where the specification has two readings, these are taken, here and there:

* A null ``bids_complete`` is true. Lots with false are left out of every count of SI-002, 007, 033 and 034; they make
  a subject ``missing_source`` where they could have lifted it over its minimum, or where nothing else is known of it.
* Currency (null is CNY) is part of MARKET, and SI-001 is judged within one currency; the strongest stands.
* Lots without tenderer are nobody's: SI-002 leaves them out elsewhere too.
* A market is cut by qualification among the very lots that are counted (complete, and for SI-002 decided and with a
  tenderer).
* A winner without a bid row bid validly; in SI-002 and SI-003 one whose bid was not valid did as well, for wins are
  read from awards alone; SI-007 counts V(l), where that bid is missing, and SI-033 still calls it disqualified.
* SI-001 counts null amounts by award rows, lots by lots. SI-033 counts a firm's bids by lots, also a firm that bid
  twice for one; it is disqualified there if one of its bids was. ``gap`` takes its lowest priced valid bid.
* SI-003: lots within three days means a difference of three calendar dates or less, counted from the event's first
  lot. A lot without any bid row, or not complete, leaves open whether the win was contested, unless another valid
  bidder is seen. Fewer than the wanted run is a clear answer, contested or not.
* SI-007: no city equals no city, no category no category.
* Short history (G4) is counted from the earliest opening of any tender, for SI-001 from the earliest known award.
"""

import calendar
import datetime as dt
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, groupby
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]
SHANGHAI = ZoneInfo("Asia/Shanghai")
COMPETITIVE = {"public_tender", "invited_tender", "competitive_negotiation", "competitive_consultation", "inquiry"}
VALID = {"valid", "candidate", "awarded", "abandoned"}
PRICE_SENSITIVE = {"lowest_evaluated", "reasonable_low_price", "comprehensive"}
REASONS = ("not_due", "not_applicable", "missing_source", "too_few_observations")
MISSING, FEW = "missing_source", "too_few_observations"


@dataclass(frozen=True)
class Answer:
    """One row of one subject: judged, or null with a reason."""

    support_n: int
    raw_value: float | None = None
    triggered: bool | None = None
    intensity: float | None = None
    null_reason: str | None = None


Answers = dict[str, list[Answer]]
"""For each subject the answers that may stand for it: several only where all that decides is equal."""


def months_before(moment: dt.datetime, months: int) -> dt.datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 - months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


def ramp(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)


def reaches(value: float, limit: float) -> bool:
    return round(value, 9) >= limit


def binomial_tail(k: int, m: int, p: Fraction) -> Fraction:
    return sum((math.comb(m, i) * p**i * (1 - p) ** (m - i) for i in range(max(k, 0), m + 1)), Fraction(0))


def hypergeometric_tail(c: int, n: int, a: int, b: int) -> Fraction:
    ways = sum(math.comb(a, i) * math.comb(n - a, b - i) for i in range(c, min(a, b) + 1))
    return Fraction(ways, math.comb(n, b))


def benjamini_hochberg(p_values: Mapping[Any, Fraction], n_tests: int) -> dict[Any, Fraction]:
    """Return q for each key: the smallest p * n / rank at its rank or a later one, at most 1."""
    q, smallest = {}, Fraction(1)
    ordered = sorted(p_values, key=lambda key: p_values[key])
    for rank in range(len(ordered), 0, -1):
        smallest = min(smallest, p_values[ordered[rank - 1]] * n_tests / rank)
        q[ordered[rank - 1]] = smallest
    return q


def pair(left: str, right: str) -> str:
    first, second = sorted([left, right])
    return f"organisation:{first}~organisation:{second}"


def strongest(rows: Iterable[tuple[str, Answer]]) -> Answers:
    """Let the strongest row stand for each subject (rulings G8)."""

    def strength(one: Answer) -> tuple[Any, ...]:
        if one.null_reason is not None:
            return (False, REASONS.index(one.null_reason))
        return (True, one.triggered, one.intensity, one.raw_value)

    by_subject: dict[str, list[Answer]] = defaultdict(list)
    for subject, answer in rows:
        by_subject[subject].append(answer)
    best = {subject: max(map(strength, answers)) for subject, answers in by_subject.items()}
    return {
        subject: [answer for answer in answers if strength(answer) == best[subject]]
        for subject, answers in by_subject.items()
    }


class World:
    """What was known at a moment."""

    def __init__(self, rows: Rows, as_of: dt.datetime) -> None:
        self.as_of = as_of
        self.tenders = {row["tender_id"]: row for row in rows["tender"]}
        cities = {row["project_id"]: (row.get("region_code") or "")[:4] or None for row in rows["project"]}
        self.lots = {row["lot_id"]: self._lot(row, cities) for row in rows["lot"]}
        self.groups = self._groups(rows["organisation"])
        self.submitted: dict[str, list[Row]] = defaultdict(list)
        for bid in rows["bid"]:
            if bid["status"] != "withdrawn":
                self.submitted[bid["lot_id"]].append(bid)
        self.dated = [row for row in rows["award"] if row["status"] == "awarded" and award_time(row) is not None]
        self.awards: dict[str, list[Row]] = defaultdict(list)
        for award in self.dated:
            if known(award) <= as_of:
                self.awards[award["lot_id"]].append(award)

    def _lot(self, row: Row, cities: Mapping[str, str | None]) -> dict[str, Any]:
        tender = self.tenders[row["tender_id"]]
        return {
            "lot_id": row["lot_id"],
            "tenderer": tender.get("tenderer_org_id"),
            "opening": tender.get("opening_at"),
            "method": tender["method"],
            "rule": tender["evaluation_method"],
            "type": tender["object_type"],
            "category": two_levels(row.get("category_code")),
            "city": cities.get(row["project_id"]),
            "currency": row.get("currency") or "CNY",
            "grade": row.get("required_qual_code"),
            "complete": row.get("bids_complete") is not False,
        }

    @staticmethod
    def _groups(organisations: Iterable[Row]) -> dict[str, str]:
        members: dict[str, list[str]] = defaultdict(list)
        for row in organisations:
            members[row.get("group_id") or f"alone:{row['org_id']}"].append(row["org_id"])
        return {org: min(orgs) for orgs in members.values() for org in orgs}

    def group(self, org: str) -> str:
        return self.groups.get(org, org)

    def in_window(self, moment: dt.datetime | None, months: int) -> bool:
        return moment is not None and months_before(self.as_of, months) < moment <= self.as_of

    def short(self, moments: Iterable[dt.datetime | None], months: int) -> bool:
        events = [moment for moment in moments if moment is not None]
        return not events or 2 * (self.as_of - min(events)) < self.as_of - months_before(self.as_of, months)

    def short_openings(self, months: int) -> bool:
        return self.short((tender.get("opening_at") for tender in self.tenders.values()), months)

    def competitive(self, months: int) -> list[dict[str, Any]]:
        return [
            lot for lot in self.lots.values() if lot["method"] in COMPETITIVE and self.in_window(lot["opening"], months)
        ]

    def with_bids(self, months: int) -> list[dict[str, Any]]:
        return [lot for lot in self.competitive(months) if self.submitted[lot["lot_id"]]]

    def decided(self, months: int) -> list[dict[str, Any]]:
        return [lot for lot in self.with_bids(months) if self.awards[lot["lot_id"]]]

    def winning_groups(self, lot: Row) -> set[str]:
        return {self.group(award["org_id"]) for award in self.awards[lot["lot_id"]]}

    def valid_groups(self, lot: Row) -> set[str]:
        bidders = {self.group(bid["bidder_org_id"]) for bid in self.submitted[lot["lot_id"]] if bid["status"] in VALID}
        return bidders | self.winning_groups(lot)

    def bidders(self, lot: Row) -> set[str]:
        winners = {award["org_id"] for award in self.awards[lot["lot_id"]]}
        return {bid["bidder_org_id"] for bid in self.submitted[lot["lot_id"]]} | winners


def award_time(award: Row) -> dt.datetime | None:
    columns = ("notice_issued_at", "result_published_at", "publicity_end_at", "publicity_start_at")
    return next((award[name] for name in columns if award.get(name) is not None), None)


def known(award: Row) -> dt.datetime:
    moment = award_time(award)
    assert moment is not None
    return moment


def two_levels(code: str | None) -> str | None:
    if code is None:
        return None
    parts = re.split(r"[.\-/]", code)
    return ".".join(parts[:2]) if len(parts) > 1 else code[:3]


def markets(lots: Iterable[Row]) -> dict[str, tuple[Any, ...]]:
    """Map each lot to its market: type, category, city, currency, and the grade where thirty lots share it."""

    def base(lot: Row) -> tuple[Any, ...]:
        return (lot["type"], lot["category"], lot["city"], lot["currency"])

    lots = list(lots)
    shared = Counter((base(lot), lot["grade"]) for lot in lots)
    return {
        lot["lot_id"]: (*base(lot), lot["grade"] if lot["grade"] and shared[base(lot), lot["grade"]] >= 30 else None)
        for lot in lots
    }


def si_001(world: World) -> Answers:
    """Share of a tenderer's awarded money that one control group received."""
    short = world.short(map(award_time, world.dated), 36)
    by_tenderer: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for lot_id, awards in world.awards.items():
        lot = world.lots[lot_id]
        if lot["method"] != "framework" and lot["tenderer"] is not None:
            by_tenderer[lot["tenderer"], lot["currency"]] += [a for a in awards if world.in_window(known(a), 36)]
    rows: list[tuple[str, Answer]] = []
    for (tenderer, _), awards in by_tenderer.items():
        n_awards = len({award["lot_id"] for award in awards})
        total = sum(Fraction(award["amount"]) for award in awards if award["amount"] is not None)
        for winner in {world.group(award["org_id"]) for award in awards}:
            own = [award for award in awards if world.group(award["org_id"]) == winner]
            n_wins = len({award["lot_id"] for award in own})
            n_null = sum(award["amount"] is None for award in awards)
            reason = None
            if Fraction(n_null, len(awards)) > Fraction(1, 5) or total <= 0:
                reason = MISSING
            elif short or n_awards < 5:
                reason = FEW
            if reason:
                rows.append((pair(tenderer, winner), Answer(n_awards, null_reason=reason)))
                continue
            share = float(sum(Fraction(award["amount"]) for award in own if award["amount"] is not None) / total)
            fired = reaches(share, 0.4) and n_wins >= 3
            rows.append((pair(tenderer, winner), Answer(n_awards, share, fired, ramp(share, 0.2, 0.7))))
    return strongest(rows)


def win_counts(world: World, lots: Sequence[Row]) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    """Return for each tenderer and group: wins and bids there, wins and bids elsewhere in the markets of these bids."""
    market = markets(lots)
    bids: dict[str, list[tuple[str, Any, bool]]] = defaultdict(list)
    for lot in lots:
        for group in world.valid_groups(lot):
            bids[group].append((lot["tenderer"], market[lot["lot_id"]], group in world.winning_groups(lot)))
    found: dict[tuple[str, str], tuple[int, int, int, int]] = {}
    for group, rows in bids.items():
        for tenderer in {row[0] for row in rows}:
            here = [row for row in rows if row[0] == tenderer]
            there = {row[1] for row in here}
            away = [row for row in rows if row[0] != tenderer and row[1] in there]
            found[tenderer, group] = (sum(row[2] for row in here), len(here), sum(row[2] for row in away), len(away))
    return found


def si_002(world: World) -> Answers:
    """Wins of a group at a tenderer beyond its rate elsewhere."""
    lots = [lot for lot in world.decided(36) if lot["tenderer"] is not None]
    counted = win_counts(world, [lot for lot in lots if lot["complete"]])
    seen = win_counts(world, lots)
    short = world.short_openings(36)
    reasons: dict[tuple[str, str], str] = {}
    p_values: dict[tuple[str, str], Fraction] = {}
    for key, (_, n_bids_all, _, elsewhere_all) in seen.items():
        k, m, wins, elsewhere = counted.get(key, (0, 0, 0, 0))
        enough = m >= 4 and elsewhere >= 3
        if not enough and (m == 0 or (n_bids_all >= 4 and elsewhere_all >= 3)):
            reasons[key] = MISSING
        elif short or not enough:
            reasons[key] = FEW
        else:
            p_values[key] = binomial_tail(k, m, Fraction(wins + 1, elsewhere + 2))
    q = benjamini_hochberg(p_values, len(p_values))
    rows: list[tuple[str, Answer]] = []
    for key in seen:
        k, m = counted.get(key, (0, 0))[:2]
        if key in reasons:
            rows.append((pair(*key), Answer(m, null_reason=reasons[key])))
            continue
        raw = min(max(-math.log10(p_values[key]), 0.0), 10.0)
        fired = round(float(q[key]), 9) <= 0.05 and k >= 3
        rows.append((pair(*key), Answer(m, raw, fired, ramp(raw, 1.3, 4))))
    return strongest(rows)


def si_003(world: World) -> Answers:
    """Longest run of a tenderer's events that one group won."""
    short = world.short_openings(36)
    series: dict[Any, list[Row]] = defaultdict(list)
    for lot in world.competitive(36):
        if lot["tenderer"] is not None and world.awards[lot["lot_id"]]:
            series[lot["tenderer"], lot["type"], lot["category"]].append(lot)
    rows: list[tuple[str, Answer]] = []
    for (tenderer, *_), lots in series.items():
        events = in_events(lots)
        for winner in {group for lot in lots for group in world.winning_groups(lot)}:
            run, contested = longest_run([event_verdict(world, event, winner) for event in events])
            if run >= 3 and contested is None:
                answer = Answer(len(events), null_reason=MISSING)
            elif short or len(events) < 4:
                answer = Answer(len(events), null_reason=FEW)
            else:
                answer = Answer(len(events), float(run), run >= 3 and contested is True, ramp(run, 2, 6))
            rows.append((pair(tenderer, winner), answer))
    return strongest(rows)


def in_events(lots: Iterable[Row]) -> list[list[Row]]:
    events: list[list[Row]] = []
    first = dt.date.min
    for lot in sorted(lots, key=lambda lot: lot["opening"]):
        day = lot["opening"].astimezone(SHANGHAI).date()
        if not events or (day - first).days > 3:
            events.append([])
            first = day
        events[-1].append(lot)
    return events


def event_verdict(world: World, event: Iterable[Row], winner: str) -> str:
    """Return "" when the event was not won, else whether another bid there: "yes", "no" or "unknown"."""
    verdicts: set[str] = set()
    for lot in event:
        if winner in world.winning_groups(lot):
            all_seen = lot["complete"] and world.submitted[lot["lot_id"]]
            others = world.valid_groups(lot) - {winner}
            verdicts.add("yes" if others else "no" if all_seen else "unknown")
    return next((word for word in ("yes", "unknown", "no") if word in verdicts), "")


def longest_run(verdicts: Sequence[str]) -> tuple[int, bool | None]:
    runs = [list(members) for won, members in groupby(verdicts, key=bool) if won]
    length = max(map(len, runs))
    longest = [run for run in runs if len(run) == length]
    if any(set(run) == {"yes"} for run in longest):
        return length, True
    return length, None if any("no" not in run for run in longest) else False


def si_007(world: World) -> Answers:
    """Share of a tenderer's lots with at most three valid bidders, less the median of its peers."""
    lots = [lot for lot in world.competitive(24) if lot["tenderer"] is not None]
    complete: dict[str, list[Row]] = defaultdict(list)
    for lot in lots:
        if lot["complete"]:
            complete[lot["tenderer"]].append(lot)
    low = {
        tenderer: sum(n_valid(world, lot) <= 3 for lot in own) / len(own) for tenderer, own in complete.items() if own
    }
    short = world.short_openings(24)
    found: Answers = {}
    for tenderer in {lot["tenderer"] for lot in lots}:
        own = complete.get(tenderer, [])
        n_all = sum(lot["tenderer"] == tenderer for lot in lots)
        peers = [
            low[other]
            for other, theirs in complete.items()
            if other != tenderer and len(theirs) >= 8 and share(own, theirs, "city") and share(own, theirs, "category")
        ]
        if len(own) < 8 and (not own or n_all >= 8):
            found[tenderer] = [Answer(len(own), null_reason=MISSING)]
        elif short or len(own) < 8 or len(peers) < 5:
            found[tenderer] = [Answer(len(own), null_reason=FEW)]
        else:
            gap = low[tenderer] - median(peers)
            found[tenderer] = [Answer(len(own), gap, reaches(gap, 0.3), ramp(gap, 0.1, 0.5))]
    return found


def share(left: Iterable[Row], right: Iterable[Row], name: str) -> bool:
    return bool({lot[name] for lot in left} & {lot[name] for lot in right})


def n_valid(world: World, lot: Row) -> int:
    """Return |V(l)|, and one more for each winner without a bid row."""
    bids = world.submitted[lot["lot_id"]]
    unbid = {award["org_id"] for award in world.awards[lot["lot_id"]]} - {bid["bidder_org_id"] for bid in bids}
    return sum(bid["status"] in VALID for bid in bids) + len(unbid)


def si_033(world: World) -> Answers:
    """How far one organisation looks like a habitual cover bidder."""
    short = world.short_openings(36)
    took_part: dict[str, list[Row]] = defaultdict(list)
    for lot in world.decided(36):
        for org in world.bidders(lot):
            took_part[org].append(lot)
    found: Answers = {}
    for org, lots in took_part.items():
        own = [lot for lot in lots if lot["complete"]]
        m = len(own)
        if m < 20 and (m == 0 or len(lots) >= 20):
            found[org] = [Answer(m, null_reason=MISSING)]
        elif short or m < 20:
            found[org] = [Answer(m, null_reason=FEW)]
        else:
            found[org] = [cover(world, org, own)]
    return found


def cover(world: World, org: str, lots: Sequence[Row]) -> Answer:
    m = len(lots)
    lost = [lot for lot in lots if org not in {award["org_id"] for award in world.awards[lot["lot_id"]]}]
    rate = (m - len(lost)) / m
    lost_to = Counter(group for lot in lost for group in world.winning_groups(lot))
    top = max(lost_to.values()) / len(lost) if lost else 0.0
    gaps = [gap for lot in lost if lot["rule"] in PRICE_SENSITIVE and (gap := price_gap(world, org, lot)) is not None]
    dq = sum(
        any(bid["status"] == "disqualified" and bid["bidder_org_id"] == org for bid in world.submitted[lot["lot_id"]])
        for lot in lots
    )
    raw = (
        0.35 * (1 - ramp(rate, 0.01, 0.10))
        + 0.35 * ramp(top, 0.2, 0.6)
        + 0.15 * ramp(median(gaps) if gaps else 0.0, 0.03, 0.12)
        + 0.15 * ramp(dq / m, 0.1, 0.4)
    )
    return Answer(m, raw, round(rate, 9) <= 0.03 and reaches(top, 0.4), raw)


def price_gap(world: World, org: str, lot: Row) -> float | None:
    own = lowest_price(world, lot, {org})
    awards = world.awards[lot["lot_id"]]
    winning = lowest_price(world, lot, {award["org_id"] for award in awards})
    if winning is None:
        amounts = [float(award["amount"]) for award in awards if award["amount"] is not None and award["amount"] > 0]
        winning = min(amounts, default=None)
    return None if own is None or winning is None else (own - winning) / winning


def lowest_price(world: World, lot: Row, orgs: set[str]) -> float | None:
    prices = [
        float(bid["bid_price"])
        for bid in world.submitted[lot["lot_id"]]
        if bid["bidder_org_id"] in orgs and bid["status"] in VALID and bid["bid_price"] is not None
    ]
    return min((price for price in prices if price > 0), default=None)


def si_034(world: World) -> Answers:
    """How much more often two organisations meet than chance would have it; the market with the smallest p stands."""
    short = world.short_openings(36)
    lots = world.with_bids(36)
    by_market: dict[Any, list[set[str]]] = defaultdict(list)
    complete = [lot for lot in lots if lot["complete"]]
    market = markets(complete)
    for lot in complete:
        by_market[market[lot["lot_id"]]].append(world.bidders(lot))
    n_tests = 0
    counts: dict[tuple[str, Any], tuple[int, int, int, int]] = {}
    for name, fields in by_market.items():
        activity = Counter(org for field in fields for org in field)
        eligible = [org for org in activity if activity[org] >= 5 and len(fields) >= 30]
        n_tests += sum(world.group(one) != world.group(other) for one, other in combinations(eligible, 2))
        met = Counter(two for field in fields for two in combinations(sorted(field), 2))
        for (one, other), c in met.items():
            if world.group(one) != world.group(other):
                counts[pair(one, other), name] = (len(fields), activity[one], activity[other], c)
    enough = {key for key, (n, a, b, _) in counts.items() if not short and n >= 30 and a >= 5 and b >= 5}
    p = {key: hypergeometric_tail(counts[key][3], *counts[key][:3]) for key in enough}
    q = benjamini_hochberg(p, n_tests)
    found: Answers = {}
    for subject in {subject for subject, _ in counts}:
        rows = [key for key in counts if key[0] == subject]
        best = min(rows, key=lambda key: (key not in enough, p.get(key, Fraction(1)), -counts[key][3]))
        found[subject] = [
            meeting(counts[best], q[best]) if best in enough else Answer(counts[best][3], null_reason=FEW)
        ]
    for lot in lots:
        for one, other in combinations(sorted(world.bidders(lot)), 2):
            if world.group(one) != world.group(other):
                found.setdefault(pair(one, other), [Answer(0, null_reason=MISSING)])
    return found


def meeting(counts: tuple[int, int, int, int], q: Fraction) -> Answer:
    n, a, b, c = counts
    lift, overlap = c * n / (a * b), c / min(a, b)
    fired = c >= 5 and (reaches(lift, 2) or reaches(overlap, 0.6)) and round(float(q), 9) <= 0.01
    intensity = max(ramp(math.log2(lift), 0.6, 2.5), ramp(overlap, 0.5, 0.95)) * ramp(c, 4, 15)
    return Answer(c, lift, fired, intensity)


REFERENCE: Mapping[str, Callable[[World], Answers]] = {
    "SI-001": si_001,
    "SI-002": si_002,
    "SI-003": si_003,
    "SI-007": si_007,
    "SI-033": si_033,
    "SI-034": si_034,
}
