"""How records are spoilt, kind by kind, and where the spoilt ones should end."""

import datetime as dt
from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl

from experiments.city.deliveries import MONTH
from experiments.city.facts import CITY_END, contract_columns
from experiments.city.feeds import DATE, MOMENT, TEN_THOUSANDS, UPDATED, Feed
from experiments.city.headings import UPDATED_AT, Heading, headings, record_heading, words

_REFERRING = ("bid", "lot", "award", "payment", "attendance", "video_day", "wage_payment")
PARENTS = frozenset(
    {row["references"].split(".")[0] for t in _REFERRING
     for row in contract_columns(t) if row["references"]}
    | {"project", "tender", "contract", "boq_item", "committee_draw", "expert", "approval", "contract_change"}
)  # fmt: skip
"""Tables whose records others wait for."""
SHARED = frozenset(
    {"project", "lot", "contract", "organisation", "person", "budget_allocation", "department", "region"}
)
"""Tables of whose rows several sources deliver a part, or that everything stands on: no value of theirs is left out."""
OUT_SOURCE = "S10"
"""The source that was out for a week: its records came with the delivery after it."""
OUT_FROM = dt.datetime(2024, 5, 27)  # noqa: DTZ001 - sources know no zone
OUT_UNTIL = dt.datetime(2024, 6, 3)  # noqa: DTZ001
_MIXED_UP = {
    "bid": "bid_price",
    "award": "amount",
    "payment": "paid_amount",
    "contract": "amount",
}
_SKEWED = {"attendance": "punched_at", "site_inspection": "inspected_at", "complaint": "received_at"}
_UNKNOWN_WORD = {"S06": "to_be_confirmed", "S07": "99"}
_STRAY = ('"{}"', "{}\n(见附件)", "{}，“详见说明”；", " {}　")
_FULL_WIDTH = str.maketrans("0123456789.", "０１２３４５６７８９．")
_ORPHANS = {
    "payment": "contract_id",
    "quantity_measurement": "contract_id",
    "progress_report": "contract_id",
    "video_day": "device_id",
    "wage_payment": "wage_account_id",
    "bid_item_price": "boq_item_id",
    "bond_payment": "bid_id",
    "subcontract": "contract_id",
    "leave_record": "kp_id",
}


@dataclass(frozen=True)
class Spoilt:
    """What became of some records.

    Attributes:
        frames: records to deliver.
        cases: for the list of dirt.
        replaces: whether they stand in the place of the records taken, or beside them.
    """

    frames: list[pl.DataFrame]
    cases: list[pl.DataFrame]
    replaces: bool


@cache
def ways(feed: Feed, kind: str) -> tuple[Heading | None, ...]:
    """Return the headings at which a kind of dirt can strike a feed; (None,) if it takes whole records."""
    of = headings(feed)
    typed = feed.format == "parquet"
    single = feed.table not in SHARED
    values = [h for h in of if h.role == "value" and not h.key]
    match kind:
        case "duplicate":
            found: list[Heading | None] = [None]
        case "correction" | "late":
            found = [
                h for h in values if h.type in ("decimal", "float", "int") and not h.required and h.column != "rank"
            ]
            found = found if feed.table not in ("region", "department") else []
        case "unit_mixup":
            found = [h for h in of if h.column == _MIXED_UP.get(feed.table) and feed.source not in TEN_THOUSANDS]
        case "unknown_word":
            found = [h for h in values if h.type == "enum" and h.required and single]
        case "missing_value":
            found = [h for h in values if h.required and single]
        case "uscc_check" | "name_only":
            found = [h for h in of if h.role == "code" and not h.key]
        case "uscc_repairable":
            found = [h for h in of if h.role == "code" and not h.key]
        case "id15" | "id_check":
            found = [h for h in of if h.role == "id_no" and not h.key]
        case "impossible_date":
            number = feed.source == "S02"
            found = (
                []
                if typed
                else [h for h in values if h.type in ("date", "datetime") and not (number and h.type == "datetime")]
            )
        case "clock_skew":
            found = [h for h in values if h.column == _SKEWED.get(feed.table)]
        case "orphan":
            found = [h for h in of if h.role == "parent" and h.column == _ORPHANS.get(feed.table)]
        case "stray_text":
            found = [h for h in values if h.type == "string" and h.column in _FREE_TEXT]
        case _:
            found = [] if typed else [h for h in values if h.type == "decimal"]
    return tuple(found)


_FREE_TEXT = frozenset({"title", "name", "scope_text", "text", "item_name", "delay_reason", "reason", "content_summary",
                        "hazard_statement", "approved_scope", "replace_reason", "before_value"})  # fmt: skip


def fits(feed: Feed, kind: str, way: Heading | None, rows: pl.DataFrame) -> pl.Series:
    """Return which records a kind can take at a heading: those that have something to spoil."""
    if way is None:
        return pl.Series([True] * len(rows))
    cell = pl.col(way.name)
    test = cell.is_not_null()
    if kind == "id15":
        # An old number has neither century nor check digit: only who was born before 2000 can have one.
        test &= cell.str.slice(6, 2) == "19"
    elif kind == "uscc_repairable":
        test &= cell.str.contains("[01]")
    elif way.type in ("decimal", "float", "int") and kind in ("correction", "late", "unit_mixup"):
        test &= cell.cast(pl.Float64) > 0
    if kind == "unit_mixup" and feed.table == "payment":
        # A small payment in the wrong unit still fits into its contract; an advance never does.
        test &= pl.col("款项类型") == words(feed, "payment_type")["prepayment"]
    elif kind == "unit_mixup" and feed.table == "contract":
        test &= pl.col("标段编号").is_not_null()
    return rows.select(test.fill_null(value=False)).to_series()


def spoil(feed: Feed, kind: str, way: Heading | None, rows: pl.DataFrame, rng: np.random.Generator) -> Spoilt:
    """Spoil records.

    Args:
        feed: that delivers them.
        kind: of dirt.
        way: one of :func:`ways`.
        rows: records that fit.
        rng: source of chance.

    Returns:
        The records to deliver, and one case a spoilt record.
    """
    if kind == "duplicate" or way is None:
        next_month = rng.random(len(rows)) < 0.3
        again = rows.with_columns(_later_month(pl.Series(next_month)))
        return Spoilt([again], [_cases(feed, again, kind, "unchanged", "", "delivered twice")], replaces=False)
    if kind in ("correction", "late"):
        return _versions(feed, kind, way, rows, rng)
    if kind == "orphan":
        key = record_heading(feed)
        lost = rows.with_columns(pl.col(key) + "X", ("WZ" + pl.col(way.name)).alias(way.name))
        return Spoilt([lost], [_cases(feed, lost, kind, "quarantined", "unknown_reference", way.name)], replaces=False)
    spoilt = rows.with_columns(_bad_cell(feed, kind, way, rows, rng))
    end, reason, note = _ends(kind, way)
    case = _cases(feed, spoilt, kind, end, reason, f"{way.name}: {note}" if note else way.name)
    if end == "quarantined" and (feed.table in PARENTS or rng.random() < 0.5):
        mended, hours = _mended(feed, rows, rng)
        right = _cases(feed, mended, f"{kind}_mended", "loaded", "", f"{way.name}: right version {hours} hours later")
        return Spoilt([spoilt, mended], [case, right], replaces=True)
    return Spoilt([spoilt], [case], replaces=True)


def _ends(kind: str, way: Heading) -> tuple[str, str, str]:
    """Return where a spoilt record ends, the reason, and a note."""
    partly = "row loads, value quarantined"
    match kind:
        case "unit_mixup":
            return "quarantined", "unit_suspected", "元 for 万元, or the reverse"
        case "unknown_word":
            return "quarantined", "unknown_word", ""
        case "missing_value":
            return "quarantined", "missing_value", ""
        case "uscc_check" | "name_only":
            return (
                ("quarantined", "unresolved_organisation", "")
                if way.required
                else ("loaded", "unresolved_organisation", partly)
            )
        case "id_check":
            return ("quarantined", "unresolved_person", "") if way.required else ("loaded", "unresolved_person", partly)
        case "impossible_date":
            return "quarantined", "not_a_day" if way.type == "date" else "not_a_moment", ""
        case "clock_skew":
            return "quarantined", "after_its_record", ""
        case _:
            return "loaded", "", ""


def _bad_cell(
    feed: Feed, kind: str, way: Heading, rows: pl.DataFrame, rng: np.random.Generator
) -> list[pl.Expr | pl.Series]:
    cell = rows[way.name]
    match kind:
        case "unit_mixup":
            # The whole payment is off, as if the clerk had thought of another unit.
            amounts = [h.name for h in headings(feed) if h.type == "decimal" and feed.table == "payment"] or [way.name]
            up = feed.table == "payment" or rng.random() < 0.5
            return [_times(rows[name], 10_000 if up else 0.0001) for name in amounts]
        case "unknown_word":
            return [pl.lit(_UNKNOWN_WORD.get(feed.source, "待定类别")).alias(way.name)]
        case "missing_value" | "name_only":
            return [pl.lit(None, cell.dtype).alias(way.name)]
        case "uscc_check":
            return [_wrong_check(cell, "0123456789ABCDEFGHJKLMNPQRTUWXY")]
        case "id_check":
            return [_wrong_check(cell, "0123456789X")]
        case "uscc_repairable":
            return [
                pl.Series(
                    way.name, [_miswritten(c, int(w)) for c, w in zip(cell, rng.integers(0, 5, len(cell)), strict=True)]
                )
            ]
        case "id15":
            return [(pl.col(way.name).str.slice(0, 6) + pl.col(way.name).str.slice(8, 9)).alias(way.name)]
        case "impossible_date":
            return [_impossible(feed, way).alias(way.name)]
        case "clock_skew":
            return [_ahead(feed, rows, rng).alias(way.name)]
        case "stray_text":
            frames = rng.integers(0, len(_STRAY), len(cell))
            return [pl.Series(way.name, [_STRAY[f].format(c) for c, f in zip(cell, frames, strict=True)])]
        case _:
            return [pl.Series(way.name, [c.translate(_FULL_WIDTH) for c in cell.cast(pl.String)])]


def _times(amounts: pl.Series, factor: float) -> pl.Series:
    return (amounts.cast(pl.Float64) * factor).round(2).cast(amounts.dtype)


def _wrong_check(codes: pl.Series, alphabet: str) -> pl.Series:
    """Return codes whose last sign is another than the right one."""
    after = dict(zip(alphabet, alphabet[1:] + alphabet[0], strict=True))
    return codes.str.slice(0, 17) + codes.str.slice(17, 1).replace_strict(after, default="0")


def _miswritten(code: str, way: int) -> str:
    """Return a credit code as hands and old forms write it; what it was can be told."""
    match way:
        case 0:
            return code.replace("0", "O", 1) if "0" in code else code.replace("1", "I", 1)
        case 1:
            return code.replace("1", "I", 1) if "1" in code else code.replace("0", "O", 1)
        case 2:
            return code.lower()
        case 3:
            return "".join(chr(ord(sign) + 0xFEE0) for sign in code)
        case _:
            return f" {code[:8]} {code[8:]} "


def _impossible(feed: Feed, way: Heading) -> pl.Expr:
    style = DATE if way.type == "date" else MOMENT
    pattern = style[feed.source].replace("%-m", "2").replace("%-d", "30")
    for sign, text in {"%Y": "2024", "%m": "02", "%d": "30", "%H": "10", "%M": "20", "%S": "00"}.items():
        pattern = pattern.replace(sign, text)
    return pl.lit(pattern)


def moments(feed: Feed, records: pl.DataFrame, heading: str, styles: dict[str, str]) -> pl.Series:
    """Return the moments that a source wrote under a heading."""
    cells = records[heading]
    if isinstance(cells.dtype, pl.Datetime):
        return cells
    if cells.dtype == pl.Int64:
        return (cells + 8 * 3600 * 1000).cast(pl.Datetime("ms")).cast(pl.Datetime("us"))
    # %-m is for writing; reading takes one digit or two with %m.
    style = styles[feed.source].replace("%-", "%")
    return cells.str.to_datetime(style, time_unit="us")


def written(feed: Feed, when: pl.Series, styles: dict[str, str]) -> pl.Series:
    """Return moments as a source writes them."""
    if feed.format == "parquet":
        return when
    if feed.source == "S02":
        return when.dt.epoch("ms") - 8 * 3600 * 1000
    return when.dt.strftime(styles[feed.source])


def _ahead(feed: Feed, rows: pl.DataFrame, rng: np.random.Generator) -> pl.Series:
    hours = pl.Series(rng.integers(3, 48, len(rows))) * 3_600_000_000
    return written(feed, moments(feed, rows, UPDATED_AT, UPDATED) + hours.cast(pl.Duration("us")), MOMENT)


def _versions(feed: Feed, kind: str, way: Heading, rows: pl.DataFrame, rng: np.random.Generator) -> Spoilt:
    """Deliver a wrong version first in time and the right one after it; late: the wrong one arrives last."""
    cell = rows[way.name]
    if way.type == "int":
        wrong = cell + 1
    else:
        # Ratios stay ratios, percent stays percent: a wrong value is a little too small.
        digits = 2 if way.type == "decimal" else 4
        wrong = (cell.cast(pl.Float64) * 0.93).round(digits).cast(cell.dtype)
    old = rows.with_columns(wrong.alias(way.name))
    new, hours = _mended(feed, rows, rng)
    note = f"{way.name}: corrected {hours} hours later"
    if kind == "late":
        months = pl.Series(np.maximum(old[MONTH].to_numpy(), new[MONTH].to_numpy()))
        old = old.with_columns(months.cast(pl.Int32).alias(MONTH)).with_columns(_later_month(pl.lit(value=True)))
        note += ", and the old version arrived after it"
    cases = [
        _cases(feed, old, kind, "superseded", "", note),
        _cases(feed, new, f"{kind}_newer", "loaded", "", note),
    ]
    return Spoilt([old, new], cases, replaces=True)


def _mended(feed: Feed, rows: pl.DataFrame, rng: np.random.Generator) -> tuple[pl.DataFrame, int]:
    """Return the right version of records, written some hours later, and how many."""
    hours = int(rng.integers(6, 200))
    when = moments(feed, rows, UPDATED_AT, UPDATED) + dt.timedelta(hours=hours)
    end = CITY_END + dt.timedelta(days=30)
    when = pl.Series(np.minimum(when.to_numpy(), np.datetime64(end, "us")))
    return rows.with_columns(written(feed, when, UPDATED).alias(UPDATED_AT), delivery_month(feed, when)), hours


def delivery_month(feed: Feed, when: pl.Series) -> pl.Series:
    """Return the month whose delivery carries records of these moments: their own, unless the source was out."""
    if feed.source == OUT_SOURCE:
        out = pl.Series(when.is_between(OUT_FROM, OUT_UNTIL, closed="left"))
        when = when.set(out, OUT_UNTIL)
    return (when.dt.year().cast(pl.Int32) * 100 + when.dt.month()).cast(pl.Int32).alias(MONTH)


def _later_month(which: pl.Series | pl.Expr) -> pl.Expr:
    month = pl.col(MONTH)
    following = pl.when(month % 100 == 12).then(month + 89).otherwise(month + 1)
    return pl.when(which).then(following).otherwise(month).cast(pl.Int32).alias(MONTH)


def _cases(feed: Feed, rows: pl.DataFrame, kind: str, end: str, reason: str, note: str) -> pl.DataFrame:
    return rows.select(
        MONTH,
        pl.col(record_heading(feed)).cast(pl.String).alias("record_id"),
        kind=pl.lit(kind),
        expected_end=pl.lit(end),
        expected_reason=pl.lit(reason),
        note=pl.lit(note),
        updated_at=pl.col(UPDATED_AT).cast(pl.String),
    )
