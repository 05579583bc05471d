"""Whom an unresolved code or name may mean: candidates with a score, for a person to decide upon.

A score orders what a person reads and decides nothing. Two kinds of sign are weighed, each explained in words: how
alike the names are, with the characters that few names share counting most, and how near the codes are. They are
combined as independent signs: ``1 - (1 - name) * (1 - code)``.
"""

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import polars as pl
from rapidfuzz.distance import OSA, LCSseq

from features.ingest.cleaning import clean_name

SHORTLIST = 40
"""Organisations that are compared in full with one name."""
AT_ONCE = 500
"""Items whose shortlists are drawn up together, which bounds the memory."""
SHARED_MIN, SHARED_MAX, SHARED_RATIO = 50, 1500, 0.03
"""Organisations that may share two characters before these tell nothing apart (建设): a share of all, bounded."""
SCORE_MIN = 0.3
NAME_WEIGHT, NAME_LOW = 0.9, 0.55
"""A name alone is never certain, and below this likeness says nothing."""
CORE = 0.93
"""Factor on the likeness of two cores: the firm with the whole name comes first."""
CODE_SCORES = {0: 0.95, 1: 0.9, 2: 0.6}
"""Sign of a code by its distance: slips of the hand, adjacent characters swapped counting as one."""
OTHER_REGION = 0.85
"""Factor on the name where the regions are known and differ."""

_FORMS = re.compile(r"(?:股份|有限|责任|集团|总|控股|个人独资)*公司$|(?:普通合伙|有限合伙)$")
_PROVINCES = frozenset(
    re.findall(
        r"黑龙江|内蒙古|\w\w",
        "北京天津上海重庆河北山西辽宁吉林黑龙江江苏浙江安徽福建江西山东河南湖北湖南广东海南四川"
        "贵州云南陕西甘肃青海台湾内蒙古广西西藏宁夏新疆香港澳门中国",
    )
)
_NOT_NAMES = re.compile(r"[^\w]|_")


@dataclass(frozen=True)
class Candidate:
    """One organisation or person that an item may mean.

    Attributes:
        id: of the organisation or person.
        name: as it is known.
        score: 0 to 1.
        why: the signs, in words.
    """

    id: str
    name: str
    score: float
    why: str


def organisation_candidates(
    items: pl.DataFrame, organisations: pl.DataFrame, places: Sequence[str] = (), *, top: int = 5
) -> dict[str, list[Candidate]]:
    """Return the likeliest organisations of each item, best first; none below SCORE_MIN.

    Args:
        items: item_id, given, name, region_code.
        organisations: org_id, name, region_code; an organisation with several names has several rows.
        places: names of regions, which stand before names of firms in long, short or no form.
        top: the most candidates of one item.
    """
    if items.is_empty() or organisations.is_empty():
        return {}
    before = _place_pattern(places)
    known = _with_core(organisations.filter(pl.col("name").is_not_null()), before)
    asked = _with_core(items, before)
    weight = _Weights(known.get_column("plain"))
    pairs = pl.concat([_alike_in_name(asked, known), _alike_in_code(asked, known)]).unique().sort("item_id", "place")
    rows = pairs.join(asked, on="item_id", how="left").join(known.with_row_index("place"), on="place", how="left")
    found: dict[str, dict[str, Candidate]] = {}
    names = ("item_id", "given", "plain", "core", "region_code", "org_id", "name_right")
    others = ("plain_right", "core_right", "region_code_right")
    for item, given, whole, core, region, org_id, name, *other, elsewhere in rows.select(*names, *others).iter_rows():
        differ = bool(region and elsewhere and region[:4] != elsewhere[:4])
        likeness = max(weight.likeness(whole, other[0]), CORE * weight.likeness(core, other[1]))
        candidate = _judged(org_id, name, likeness, _code_distance(given, org_id), differ)
        best = found.setdefault(item, {})
        if candidate.score >= SCORE_MIN and (org_id not in best or best[org_id].score < candidate.score):
            best[org_id] = candidate
    return {item: _best(candidates.values(), top) for item, candidates in found.items()}


def person_candidates(items: pl.DataFrame, persons: pl.DataFrame, *, top: int = 5) -> dict[str, list[Candidate]]:
    """Return the likeliest persons of each item, best first.

    No stored number is read: an item carries the ids of the persons whose numbers are one slip from the delivered one.

    Args:
        items: item_id, given, name, employer_org_id, neighbours.
        persons: person_id, name, employer_org_id.
        top: the most candidates of one item.
    """
    employers = ("employer_org_id", "employer_org_id_right")
    same = items.select("item_id", "name").join(persons.select("person_id", "name"), on="name", how="inner")
    near = items.select("item_id", person_id=pl.col("neighbours")).explode("person_id", empty_as_null=True)
    itself = items.select("item_id", person_id=pl.col("given"))
    pairs = pl.concat([same.select("item_id", "person_id"), near, itself]).drop_nulls().unique()
    rows = (
        pairs.join(items, on="item_id", how="left")
        .join(persons.unique("person_id", keep="last", maintain_order=True), on="person_id", how="inner")
        .select("item_id", "given", "neighbours", "person_id", "name", "name_right", *employers)
    )
    found: dict[str, list[Candidate]] = {}
    for item, given, neighbours, person_id, name, known_as, employer, known_employer in rows.iter_rows():
        signs = [
            (0.5, "姓名相同", name == known_as),
            (0.5, "工作单位相同", bool(employer) and employer == known_employer),
            (0.85, "证件号只差一处", person_id in (neighbours or [])),
            (0.95, "证件号相同", person_id == given),
        ]
        held = [(score, word) for score, word, holds in signs if holds]
        score = 1 - math.prod(1 - score for score, _ in held)
        found.setdefault(item, []).append(
            Candidate(person_id, known_as, round(score, 3), "; ".join(word for _, word in held))
        )
    return {item: _best(candidates, top) for item, candidates in found.items()}


def as_json(candidates: Iterable[Candidate]) -> str:
    """Return candidates as a JSON list of id, name, score and why."""
    return json.dumps([vars(one) for one in candidates], ensure_ascii=False)


def plain_name(name: str | None) -> str:
    """Return a name without blanks, brackets and points."""
    return _NOT_NAMES.sub("", clean_name(name) or "")


def core_of(plain: str, places: re.Pattern[str]) -> str:
    """Return what tells a firm's name from others: without legal form and places in front."""
    core = _FORMS.sub("", plain)
    while (shorter := places.sub("", core, count=1)) != core and len(shorter) >= 2:
        core = shorter
    return core if len(core) >= 2 else plain


@dataclass
class _Weights:
    """Weight of each character by how few names have it."""

    names: pl.Series

    def __post_init__(self) -> None:
        singles = self.names.unique().str.split("").list.unique().explode(empty_as_null=True).value_counts(name="n")
        total = self.names.n_unique()
        self._of = {one: math.log(1 + total / n) for one, n in singles.iter_rows() if one}
        self._rare = math.log(1 + total)

    def likeness(self, one: str, other: str) -> float:
        """Return the weight of the common characters in order, over the mean weight of both names; 0 to 1."""
        if not one or not other:
            return 0.0
        common = sum(
            self._sum(one[part.src_start : part.src_end]) for part in LCSseq.opcodes(one, other) if part.tag == "equal"
        )
        return 2 * common / (self._sum(one) + self._sum(other))

    def _sum(self, text: str) -> float:
        return sum(self._of.get(one, self._rare) for one in text)


def _with_core(rows: pl.DataFrame, places: re.Pattern[str]) -> pl.DataFrame:
    plain = [plain_name(name) for name in rows.get_column("name")]
    cores = [core_of(name, places) for name in plain]
    return rows.with_columns(plain=pl.Series(plain, dtype=pl.String), core=pl.Series(cores, dtype=pl.String))


def _alike_in_name(items: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return item_id and place of the organisations that share the most telling pairs of characters."""
    grams = _grams(known.with_row_index("place"), "place")
    n = grams.group_by("gram").len("n")
    limit = min(max(SHARED_MIN, SHARED_RATIO * known.height), SHARED_MAX)
    telling = n.filter(pl.col("n") <= limit).with_columns(weight=(1 + known.height / pl.col("n")).log())
    grams = grams.join(telling, on="gram", how="inner")
    found: list[pl.DataFrame] = []
    for some in items.iter_slices(AT_ONCE):
        shared = _grams(some, "item_id").join(grams, on="gram", how="inner")
        weighed = shared.group_by("item_id", "place").agg(pl.col("weight").sum())
        best = weighed.sort("weight", "place", descending=[True, False]).group_by("item_id", maintain_order=True)
        found.append(best.head(SHORTLIST).select("item_id", pl.col("place").cast(pl.UInt32)))
    return pl.concat(found)


def _grams(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return the pairs of adjacent characters of each core, and pairs with one between: key, gram."""
    found = [
        (owner, gram)
        for owner, core in rows.select(key, "core").iter_rows()
        for gram in {core[at] + core[at + step] for step in (1, 2) for at in range(len(core) - step)}
    ]
    return pl.DataFrame(found, {key: rows.schema[key], "gram": pl.String()}, orient="row")


def _alike_in_code(items: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return item_id and place of the organisations whose code shares a half of the individual part."""
    places = known.with_row_index("place").filter(pl.col("org_id").str.len_chars() == 18)
    asked = items.filter(pl.col("given").str.len_chars().is_between(17, 19))
    pairs = [
        asked.select("item_id", piece=pl.col("given").str.slice(*of_given)).join(
            places.select("place", piece=pl.col("org_id").str.slice(*of_code)), on="piece", how="inner"
        )
        for of_given, of_code in (((8, 5), (8, 5)), ((-5, 5), (13, 5)))
    ]
    return pl.concat(pairs).select("item_id", pl.col("place").cast(pl.UInt32))


def _code_distance(given: str | None, org_id: str) -> int | None:
    if not given:
        return None
    if given in (org_id[8:17], org_id[2:17]):
        return 0
    if not 17 <= len(given) <= 19:
        return None
    distance = OSA.distance(given, org_id, score_cutoff=2)
    return distance if distance <= 2 else None


def _judged(org_id: str, name: str, likeness: float, distance: int | None, elsewhere: bool) -> Candidate:
    by_name = NAME_WEIGHT * max(0.0, (likeness - NAME_LOW) / (1 - NAME_LOW)) * (OTHER_REGION if elsewhere else 1)
    by_code = 0.0 if distance is None else CODE_SCORES[distance]
    why = [f"名称相似度 {likeness:.2f}"]
    if distance is not None:
        why.append(f"代码差 {distance} 处" if distance else "代码相同或含此旧代码")
    if elsewhere:
        why.append("地区不同")
    return Candidate(org_id, name, round(1 - (1 - by_name) * (1 - by_code), 3), "; ".join(why))


def _best(candidates: Iterable[Candidate], top: int) -> list[Candidate]:
    return sorted(candidates, key=lambda one: (-one.score, one.id))[:top]


def _place_pattern(places: Iterable[str]) -> re.Pattern[str]:
    return _compiled(tuple(sorted({*places})))


@lru_cache(maxsize=8)
def _compiled(places: tuple[str, ...]) -> re.Pattern[str]:
    short = {re.sub(r"(?:省|市|州|盟|县|区|自治.*)$", "", place) for place in places} | _PROVINCES
    words = "|".join(sorted((re.escape(word) for word in short if len(word) >= 2), key=len, reverse=True))
    return re.compile(rf"^(?:{words})(?:省|市|县|区)?")
