"""Who is meant: organisations by their credit code, persons by their identity number, and never by name.

A code or number that is right by its own check digit is the identity. One that is not is mended only where the mend is
certain: letters that no code has, a legacy code that exactly one known organisation carries inside its own. Everything
else stays unresolved, with a reason, until a person decides (``features.ingest.identity.work_items``).

All functions take columns of one length and return a frame of the same length in the same order; the work is done once
for each different value.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import polars as pl
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from features.ingest.cleaning import clean_name, clean_text, read_uscc
from features.ingest.identity.numbers import (
    DISTINCT_MIN,
    FIRST_YEAR,
    LAST_YEAR,
    LENGTH,
    one_slip_off,
    read_numbers,
    tidied,
    tidy_code,
)
from features.ingest.keys import Keys

Kind = Literal["organisation", "person", "name_conflict"]
Hashed = Literal["phone", "account", "email"]

REASONS: Mapping[str, str] = {
    "missing_code": "没有统一社会信用代码,名称不能代替代码 (no credit code; a name does not stand for one)",
    "wrong_check_digit": "统一社会信用代码校验位不符 (the check digit of the credit code is wrong)",
    "not_a_code": "不是统一社会信用代码 (this is no credit code)",
    "unknown_legacy_code": "旧代码未对应任何已知单位 (no known organisation carries this legacy code)",
    "ambiguous_legacy_code": "旧代码对应多个单位 (several known organisations carry this legacy code)",
    "personal_number": "代码栏里疑似身份证号或手机号 (the code column seems to hold a personal number)",
    "missing_number": "没有身份证号,姓名不能代替号码 (no identity number; a name does not stand for one)",
    "wrong_number": "身份证号校验位不符 (the check digit of the identity number is wrong)",
    "not_a_number": "不是居民身份证号 (this is no resident identity number)",
}
"""Why an identity is not resolved, for the officer who resolves it."""

ORGANISATIONS: dict[str, pl.DataType] = {
    "org_id": pl.String(),
    "repaired": pl.Boolean(),
    "decided": pl.Boolean(),
    "reason": pl.String(),
    "item_id": pl.String(),
}
PERSONS: dict[str, pl.DataType] = {
    "person_id": pl.String(),
    "id_no_hash": pl.String(),
    "id_no_enc": pl.String(),
    "decided": pl.Boolean(),
    "reason": pl.String(),
    "item_id": pl.String(),
}

_NO_ITEM = ("personal_number",)
_PERSONAL_NUMBER = re.compile(r"(?<![0-9A-Za-z])(?:[0-9]{15,19}[Xx]?|(?:86)?1[3-9][0-9]{9})(?![0-9A-Za-z])")
"""An identity number, an account or a mobile phone, wherever it stands."""
_AFTER_LETTERS = re.compile(r"(?<=[A-Za-z])(?:[0-9]{17}[0-9Xx]|[0-9]{15}|1[3-9][0-9]{9})(?![0-9A-Za-z])")
_GROUPED = re.compile(r"[0-9]+(?:[ -][0-9]+)+[Xx]?(?![0-9A-Za-z])")
_PHONE_GROUPS = frozenset({(3, 4, 4), (3, 8), (7, 4), (4, 3, 4), (3, 3, 5), (2, 3, 4, 4), (2, 11)})
_OLD_NUMBER_GROUPS = frozenset({(6, 6, 3), (6, 9), (12, 3)})
_HALF_WIDTH = str.maketrans(
    {chr(wide): chr(wide - 0xFEE0) for wide in range(0xFF01, 0xFF5F)} | dict.fromkeys("\u3000\u00a0", " ")
)
_NEVER_IN_CODES = str.maketrans("OIZSV", "0125U")
_MASKED = re.compile(r"[*＊]|[xX]{3}")
_ASSOCIATED = b"person.id_no_enc"
_PERSON, _PERSON_DIGITS = "p", 20


@dataclass(frozen=True)
class Known:
    """What is known apart from the delivered values.

    Attributes:
        source: the source system that delivers; a decision holds for one source.
        organisations: ids of the organisations that are stored, for legacy codes.
        decisions: what persons decided: id of the work item to id of the organisation or person.
    """

    source: str
    organisations: pl.Series = field(default_factory=lambda: pl.Series(dtype=pl.String))
    decisions: Mapping[str, str] = field(default_factory=dict[str, str])


def organisation_ids(codes: pl.Series, names: pl.Series, known: Known) -> pl.DataFrame:
    """Resolve organisations by credit code.

    Args:
        codes: as delivered: full-width, with blanks or hyphens, lower case; null where none was given.
        names: as delivered. They resolve nothing; they tell apart what persons decide.
        known: organisations that are stored and decisions made.

    Returns:
        ``org_id`` (the valid 18-character code), ``repaired`` (letters were mended), ``decided`` (a decision tells it,
        not the code), ``reason`` (a key of REASONS; null where resolved, and where neither code nor name was given) and
        ``item_id`` (the work item of what is not resolved; null for a personal number in the place of code or name,
        which can only be corrected at the source).
    """
    pairs = _pairs(codes, names)
    given = pairs.get_column("given").unique()
    read = {one: _read_code(tidy) for one, tidy in zip(given, tidied(given), strict=True)}
    carriers = _carriers(known.organisations, [code.tidy for code in read.values() if code.reason in _LEGACY])
    told = {one: (code.tidy, code.repaired, *_carried(code, carriers)) for one, code in read.items()}
    schema = {"tidy": pl.String, "repaired": pl.Boolean, "org_id": pl.String, "reason": pl.String}
    read_codes = pl.DataFrame({"given": told.keys()}, {"given": pl.String}).hstack(
        pl.DataFrame(list(told.values()), schema, orient="row")
    )
    found = pairs.join(read_codes, on="given", how="left", nulls_equal=True, maintain_order="left")
    answers = _decided("organisation", found.rename({"tidy": "token"}), "org_id", known)
    repaired = pl.col("repaired") & (pl.col("found") == pl.col("org_id")).fill_null(value=False)
    return _spread(codes, names, pairs, answers.with_columns(repaired=repaired).select(*ORGANISATIONS))


def person_ids(id_numbers: pl.Series, names: pl.Series, keys: Keys, known: Known) -> pl.DataFrame:
    """Resolve persons by resident identity number, as ``numbers.read_numbers`` reads it.

    Args:
        id_numbers: as delivered, in clear; null where none was given.
        names: as delivered. They resolve nothing; they tell apart what persons decide.
        keys: of the hash and the encryption.
        known: decisions made.

    Returns:
        ``person_id`` ("p" and 20 hexadecimal digits of the hash), ``id_no_hash`` (HMAC-SHA256, 64 digits),
        ``id_no_enc`` (AES-SIV in base64, equal for equal numbers), ``decided``, ``reason`` and ``item_id`` as in
        ``organisation_ids``. A person whom a decision names has neither hash nor encrypted number here.
    """
    pairs = _pairs(id_numbers, names)
    given = pairs.get_column("given").unique()
    read = pl.DataFrame({"given": given}).hstack(read_numbers(given))
    sealed = _sealed(read.get_column("number").unique().drop_nulls(), keys)
    found = pairs.join(read, on="given", how="left", nulls_equal=True, maintain_order="left").join(
        sealed, on="number", how="left", maintain_order="left"
    )
    wrong = found.get_column("given").filter(found.get_column("number").is_null()).unique().drop_nulls()
    tokens = pl.DataFrame({"given": wrong, "token": [_hmac(keys, f"given:{tidy}") for tidy in tidied(wrong)]})
    found = found.join(tokens.cast(pl.String), on="given", how="left", maintain_order="left")
    answers = _decided("person", found, "person_id", known)
    own = pl.col("found") == pl.col("person_id")
    numbers = [pl.when(own).then(name).alias(name) for name in ("id_no_hash", "id_no_enc")]
    return _spread(id_numbers, names, pairs, answers.with_columns(numbers).select(*PERSONS))


def hashed(values: pl.Series, kind: Hashed, keys: Keys) -> pl.Series:
    """Return HMAC-SHA256 of values in one form, in hexadecimal; null where nothing is left to compare.

    Phones are their digits without the country code (of a landline with the 0 of its area), accounts their letters and
    digits, e-mail addresses lower case.
    A value that is masked (``138****0000``) or has too few or too many characters for its kind is null: equal masks are
    not equal values. The kind is part of what is hashed: a phone never equals an account.
    """
    unique = values.cast(pl.String).unique().drop_nulls()
    plain = {value: _NORMAL[kind](clean_text(value) or "") for value in unique}
    answers = pl.DataFrame(
        [(value, _hmac(keys, f"{kind}:{text}") if text else None) for value, text in plain.items()],
        {"value": pl.String(), "hash": pl.String()},
        orient="row",
    )
    spread = values.cast(pl.String).to_frame("value").join(answers, on="value", how="left", maintain_order="left")
    return spread.get_column("hash").alias(values.name)


def decrypted(id_no_enc: str, keys: Keys) -> str:
    """Return an identity number in clear; for the audited door alone.

    Raises:
        cryptography.exceptions.InvalidTag: it was encrypted under another key, or changed.
    """
    return AESSIV(keys.data).decrypt(base64.b64decode(id_no_enc), [_ASSOCIATED]).decode()


def item_id(kind: Kind, source: str, given: str | None, name: str | None) -> str:
    """Return the id of a work item: the same whenever the same source delivers the same code and name.

    Args:
        kind: what is unresolved.
        source: the source system.
        given: the tidied code; for persons a keyed hash of the number; for a name conflict the resolved id.
        name: as delivered; only its form is evened out.
    """
    parts = (kind, source, given or "", clean_name(name) or "")
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


def person_id_of(id_no_hash: str) -> str:
    """Return the id of a person, from the hash of the identity number."""
    return _PERSON + id_no_hash[:_PERSON_DIGITS]


def shown_code(code: str | None) -> str | None:
    """Return a code that names no organisation in one form, for a work item."""
    return tidy_code(code)[:40] or None


def shown_number(number: str | None) -> str | None:
    """Return an identity number as a work item may show it: region and last two characters of an 18-digit one."""
    tidy = tidy_code(number)
    if not tidy:
        return None
    first, last = (6, 2) if len(tidy) in (15, 18) else (1, 1) if len(tidy) > 4 else (0, 0)
    return tidy[:first] + "*" * (len(tidy) - first - last) + tidy[len(tidy) - last :]


def shown_name(name: str | None) -> str | None:
    """Return a person's name as a work item may show it: its first character."""
    return name and name[0] + "＊" * max(len(name) - 1, 1)


def without_personal_numbers(text: str) -> str:
    """Return text for a screen: figures like identity numbers, accounts and mobile phones are stars, credit codes stay.

    For what stands in a column that should hold no such thing; a source may have slipped a column. Figures may be
    full-width. Behind letters, and in groups with single blanks or hyphens, they must have the shape of a number (date
    of birth, usual groups), so that project codes, dates and amounts stay.
    """
    plain, shown = text.translate(_HALF_WIDTH), list(text)
    for start, end in _personal_spans(plain):
        shown[start:end] = "*" * (end - start)
    return "".join(shown)


def _personal_spans(plain: str) -> Iterator[tuple[int, int]]:
    for found in _PERSONAL_NUMBER.finditer(plain):
        if not read_uscc(found[0]):
            yield found.span()
    for found in _AFTER_LETTERS.finditer(plain):
        if _like_personal_number(found[0].upper()):
            yield found.span()
    for found in _GROUPED.finditer(plain):
        yield from ((found.start() + start, found.start() + end) for start, end in _grouped_spans(found[0]))


def _grouped_spans(run: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of personal numbers in figures that blanks or hyphens part; a run of hyphens is one code."""
    groups = list(re.finditer("[0-9]+[Xx]?", run))
    for first, begin in enumerate(groups):
        for last in range(first + 1, min(first + 6, len(groups))):
            start, end = begin.start(), groups[last].end()
            parts = [group[0].upper() for group in groups[first : last + 1]]
            if sum(map(len, parts)) > LENGTH:
                break
            within_code = "-" in (run[max(start - 1, 0) : start], run[end : end + 1])
            mixed = " " in run[start:end] and "-" in run[start:end]
            if not within_code and not mixed and _grouped_as_usual(parts):
                yield start, end


def _grouped_as_usual(parts: Sequence[str]) -> bool:
    figures, sizes = "".join(parts), tuple(map(len, parts))
    if len(figures) in (11, 13):
        usual = sizes in _PHONE_GROUPS
    elif len(figures) == 15:
        usual = sizes in _OLD_NUMBER_GROUPS
    else:
        usual = len(figures) == LENGTH and min(sizes) > 1
    return usual and _like_personal_number(figures)


def number_neighbours(numbers: Sequence[str | None], keys: Keys) -> list[list[str]]:
    """Return for each wrong number the ids of the persons whose numbers are one slip of the hand from it, sorted.

    A slip is one wrong digit or two adjacent digits swapped. Some twenty numbers pass the check digit; they are hashed
    here, so that a known person can be proposed without any stored number being read. What has not 18 digits has none.
    """
    tidy = [tidy_code(number) for number in numbers]
    near = one_slip_off([one if len(one) == LENGTH else "" for one in tidy])
    return [sorted(person_id_of(_hmac(keys, one)) for one in own) for own in near]


@dataclass(frozen=True)
class _Code:
    tidy: str
    org_id: str | None = None
    repaired: bool = False
    reason: str | None = None


_LEGACY = ("unknown_legacy_code",)


@lru_cache(maxsize=100_000)
def _read_code(tidy: str) -> _Code:
    if not tidy:
        return _Code(tidy, reason="missing_code")
    if len(set(tidy)) < DISTINCT_MIN:
        return _Code(tidy, reason="not_a_code")
    valid = read_uscc(tidy)
    if valid:
        return _Code(tidy, valid)
    mended = read_uscc(tidy.translate(_NEVER_IN_CODES))
    if mended:
        return _Code(tidy, mended, repaired=True)
    if re.fullmatch("[0-9]{6}[0-9A-Z]{8}[0-9X]|[0-9A-Z]{8}[0-9X]", tidy) and _legacy_check(tidy[-9:]):
        return _Code(tidy, reason="unknown_legacy_code")
    if _like_personal_number(tidy):
        return _Code(tidy, reason="personal_number")
    return _Code(tidy, reason="wrong_check_digit" if re.fullmatch("[0-9A-Z]{18}", tidy) else "not_a_code")


def _legacy_check(code: str) -> bool:
    """Tell whether an organisation code's own check digit is right (GB 11714-1997)."""
    total = sum(int(character, 36) * weight for character, weight in zip(code, (3, 7, 9, 10, 5, 8, 4, 2), strict=False))
    return code[8] == "0123456789X0"[11 - total % 11]


def _carriers(org_ids: pl.Series, legacy: list[str]) -> dict[str, str | None]:
    """Return for each legacy code that known credit codes carry the one that does; None where several do.

    A credit code is made of 2 characters, 6 digits of a region, 9 of the organisation code and a check digit; the
    15-digit tax number was region and organisation code.
    """
    if not legacy:
        return {}
    codes = org_ids.unique().to_frame("org_id").filter(pl.col("org_id").str.len_bytes() == LENGTH)
    carried = pl.concat([codes.with_columns(legacy=pl.col("org_id").str.slice(*part)) for part in ((8, 9), (2, 15))])
    found = carried.filter(pl.col("legacy").is_in(legacy)).group_by("legacy").agg("org_id")
    return {code: ids[0] if len(ids) == 1 else None for code, ids in found.iter_rows()}


def _like_personal_number(tidy: str) -> bool:
    """Tell whether a value is a mobile phone or an identity number, with a slip or without: it is never stored."""
    if re.fullmatch(r"(?:\+|00)?(?:86)?1[3-9][0-9]{9}", tidy):
        return True
    if not re.fullmatch("[0-9]{17}[0-9X]|[0-9]{15}", tidy):
        # A number a digit short, an account, or one within other text; a wrong credit code has 18 figures and letters.
        return bool(re.search("[0-9]{15}", tidy)) and not re.fullmatch("[0-9A-Z]{18}|[0-9A-Z]{15}", tidy)
    year, rest = (int(tidy[6:10]), tidy[10:14]) if len(tidy) == LENGTH else (1900 + int(tidy[6:8]), tidy[8:12])
    return FIRST_YEAR <= year <= LAST_YEAR and 1 <= int(rest[:2]) <= 12 and 1 <= int(rest[2:]) <= 31


def _sealed(numbers: pl.Series, keys: Keys) -> pl.DataFrame:
    """Return number, person_id, id_no_hash and id_no_enc of numbers."""
    cipher = AESSIV(keys.data)
    plain = [number.encode() for number in numbers]
    hashes = pl.Series([hmac.digest(keys.hmac, one, "sha256") for one in plain], dtype=pl.Binary).bin.encode("hex")
    encrypted = pl.Series([cipher.encrypt(one, [_ASSOCIATED]) for one in plain], dtype=pl.Binary).bin.encode("base64")
    sealed = pl.DataFrame({"number": numbers, "id_no_hash": hashes, "id_no_enc": encrypted})
    return sealed.with_columns(person_id=pl.lit(_PERSON) + pl.col("id_no_hash").str.slice(0, _PERSON_DIGITS))


def _decided(kind: Kind, found: pl.DataFrame, column: str, known: Known) -> pl.DataFrame:
    """Let what persons decided stand before what codes and numbers tell.

    Args:
        kind: organisation or person.
        found: ``token`` (what stands for the code or number in a work item), ``name``, the id column and ``reason``.
        column: the id column.
        known: decisions made.

    Returns:
        The rows in their order, ``found`` (the id by code or number), id, reason and ``item_id`` as they stand, and
        ``decided``: the id is another than the one by code or number.
    """
    whole = found.with_columns(pl.lit(None, dtype=pl.String).alias("item_id"), found=column).with_row_index("_at")
    asked = whole if known.decisions else whole.filter(pl.col(column).is_null())
    settled = [
        _settle(kind, token, name, of, reason, known)
        for token, name, of, reason in asked.select("token", "name", column, "reason").iter_rows()
    ]
    schema = dict.fromkeys((column, "reason", "item_id"), pl.String)
    told = asked.select("_at").hstack(pl.DataFrame(settled, schema, orient="row"))
    stands = whole.update(told, on="_at", include_nulls=True)
    return stands.with_columns(decided=pl.col(column).is_not_null() & pl.col(column).ne_missing(pl.col("found")))


def _carried(code: "_Code", carriers: Mapping[str, str | None]) -> tuple[str | None, str | None]:
    """Return the organisation that a code names, by itself or as a legacy code, and why there is none."""
    if code.tidy in carriers:
        carrier = carriers[code.tidy]
        return carrier, None if carrier else "ambiguous_legacy_code"
    if code.reason in _LEGACY and _like_personal_number(code.tidy):
        return None, "personal_number"
    return code.org_id, code.reason


def _settle(
    kind: Kind, given: str | None, name: str | None, found: str | None, reason: str | None, known: Known
) -> tuple[str | None, str | None, str | None]:
    """Return id, reason and work item after what persons decided about a code and name."""
    if found is None and not name and not given:
        return None, None, None
    if found is None and (reason in _NO_ITEM or without_personal_numbers(name or "") != (name or "")):
        return None, reason, None
    item = item_id(kind, known.source, given, name) if found is None else conflict_item(known.source, found, name)
    decided = known.decisions.get(item)
    if decided is not None:
        return decided, None, None
    return found, reason, None if found else item


def conflict_item(source: str, resolved: str, name: str | None) -> str:
    """Return the id of the work item for a name that differs from those of the same code or number."""
    return item_id("name_conflict", source, resolved, name)


def _pairs(given: pl.Series, names: pl.Series) -> pl.DataFrame:
    columns = {"given": given.cast(pl.String), "name": names.cast(pl.String)}
    return pl.DataFrame(columns).unique(maintain_order=True)


def _spread(given: pl.Series, names: pl.Series, pairs: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    asked = pl.DataFrame({"given": given.cast(pl.String), "name": names.cast(pl.String)})
    both = pl.concat([pairs, answers], how="horizontal")
    return asked.join(both, on=["given", "name"], how="left", nulls_equal=True, maintain_order="left").select(
        answers.columns
    )


def _hmac(keys: Keys, text: str) -> str:
    return hmac.digest(keys.hmac, text.encode(), "sha256").hex()


def _phone(text: str) -> str | None:
    digits = re.sub(r"\D", "", text)
    abroad = re.fullmatch(r"(?:\+|00)?86(0?)(\d+)", re.sub(r"[^\d+]", "", text))
    if abroad and re.fullmatch(r"1\d{10}", abroad[2]):
        digits = abroad[2]
    elif abroad and text.lstrip("( ").startswith(("+", "00")):
        digits = "0" + abroad[2]
    return digits if 7 <= len(digits) <= 16 and not _MASKED.search(text) else None


def _account(text: str) -> str | None:
    kept = re.sub(r"[^0-9A-Z]", "", text.upper())
    return kept if 6 <= len(kept) <= 40 and not _MASKED.search(text) else None


def _email(text: str) -> str | None:
    lower = text.replace(" ", "").lower()
    return lower if re.fullmatch(r"[^@*]+@[^@*]+\.[^@*]+", lower) else None


_NORMAL: Mapping[Hashed, Callable[[str], str | None]] = {"phone": _phone, "account": _account, "email": _email}
