"""The organisations and persons that a batch names: their ids, whom it makes known, and who could not be told."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import polars as pl

from features.ingest.cleaning import clean_name
from features.ingest.feed import Feed
from features.ingest.identity.resolving import REASONS, Known, hashed, organisation_ids, person_ids
from features.ingest.keys import Keys
from features.ingest.mapping.cells import CellRule
from features.ingest.mapping.values import parts

INTRODUCED_PERSON = ("person_id", "name", "id_no_hash", "id_no_enc")
_CLEAN = "^[\u3400-\u4dbf\u4e00-\u9fff]+$"
"""Names of nothing but Han characters: ``clean_name`` changes none of them."""
MENDS: Mapping[str, str] = {
    "organisation": "decide it with `smoke identities`, or have the source correct the credit code; then replay.",
    "person": "decide it with `smoke identities`, or have the source correct the identity number; then replay.",
}


@dataclass
class Identities:
    """What the identity columns of one batch come to.

    Attributes:
        values: column to ids, hashes or encrypted numbers.
        unresolved: column to reasons, null where a cell resolves or is empty.
        decided: column to whether a decision tells who is meant.
        introduced: table to rows that make known whom the batch mentions, with the row (``row``) that does.
        seen: rows for ``unresolved.sightings`` by kind: item_id, reason, given, name, row.
    """

    values: dict[str, pl.Series] = field(default_factory=dict[str, pl.Series])
    unresolved: dict[str, pl.Series] = field(default_factory=dict[str, pl.Series])
    decided: dict[str, pl.Series] = field(default_factory=dict[str, pl.Series])
    introduced: dict[str, list[pl.DataFrame]] = field(default_factory=dict[str, list[pl.DataFrame]])
    seen: dict[str, list[pl.DataFrame]] = field(default_factory=dict[str, list[pl.DataFrame]])


def resolve(cells: pl.DataFrame, rules: tuple[CellRule, ...], feed: Feed, keys: Keys, known: Known) -> Identities:
    """Resolve every identity column of a batch.

    Args:
        cells: tidied cells by heading.
        rules: the effective mapping.
        feed: the feed.
        keys: of hashes and encryption.
        known: organisations that are stored, and decisions made.
    """
    found = Identities()
    for rule in rules:
        match rule.transform:
            case "organisation" if rule.column != "uscc":
                _organisation(cells, rule, feed, known, found)
            case "person":
                _person(cells, rule, feed, keys, known, found)
            case "organisations":
                _organisations(cells, rule, known, found)
            case "phone" | "account" | "email" as kind:
                found.values[rule.column] = hashed(cells.get_column(rule.made_of), kind, keys)
            case _:
                pass
    return found


def reason_message(heading: str, reason: str) -> str:
    """Return why an identity is not resolved, in a sentence without personal data."""
    return f"{heading}: {REASONS.get(reason, reason)}."


def clean_names(names: pl.Series) -> pl.Series:
    """Return names in the one form that they are compared in."""
    odd = names.filter(~names.str.contains(_CLEAN)).unique().drop_nulls().to_list()
    return names.replace_strict(odd, [clean_name(one) for one in odd], default=names, return_dtype=pl.String)


def _organisation(cells: pl.DataFrame, rule: CellRule, feed: Feed, known: Known, found: Identities) -> None:
    names, codes = (cells.get_column(one) for one in rule.headings)
    answer = organisation_ids(codes, names, known)
    org_id = answer.get_column("org_id")
    found.values[rule.column] = org_id
    _unresolved("organisation", rule, answer, codes, names, found)
    if feed.table.NAME == "organisation":
        found.values["uscc"] = org_id
    else:
        known_now = pl.DataFrame({"org_id": org_id, "uscc": org_id, "name": clean_names(names)}).with_row_index("row")
        found.introduced.setdefault("organisation", []).append(known_now.drop_nulls())


def _person(cells: pl.DataFrame, rule: CellRule, feed: Feed, keys: Keys, known: Known, found: Identities) -> None:
    names, numbers = (cells.get_column(one) for one in rule.headings)
    answer = person_ids(numbers, names, keys, known)
    found.values[rule.column] = answer.get_column("person_id")
    _unresolved("person", rule, answer, numbers, names, found)
    if feed.table.NAME == "person" and rule.column == "person_id":
        found.values |= {name: answer.get_column(name) for name in ("id_no_hash", "id_no_enc")}
    else:
        known_now = answer.select("person_id", "id_no_hash", "id_no_enc").with_columns(name=clean_names(names))
        rows = known_now.select(*INTRODUCED_PERSON).with_row_index("row").drop_nulls()
        found.introduced.setdefault("person", []).append(rows)


def _organisations(cells: pl.DataFrame, rule: CellRule, known: Known, found: Identities) -> None:
    """Resolve lists of credit codes; a list with a code that does not resolve is not known at all."""
    lists = cells.get_column(rule.made_of)
    unique = lists.unique().drop_nulls().to_list()
    codes = pl.Series([code for text in unique for code in parts(text)], dtype=pl.String).unique()
    answer = organisation_ids(codes, pl.Series([None] * len(codes), dtype=pl.String), known)
    ids = dict(zip(codes, answer.get_column("org_id"), strict=True))
    reasons = dict(zip(codes, answer.get_column("reason"), strict=True))
    texts: dict[str, str | None] = {}
    why: dict[str, str | None] = {}
    for text in unique:
        own = [ids[code] for code in parts(text)]
        texts[text] = None if None in own else msgspec.json.encode(own).decode()
        why[text] = next((reasons[code] or "not_a_code" for code in parts(text) if ids[code] is None), None)
    found.values[rule.column] = _looked_up(lists, texts)
    found.unresolved[rule.column] = _looked_up(lists, why)
    told = set(codes.filter(answer.get_column("decided")))
    found.decided[rule.column] = lists.is_in([text for text in unique if not set(parts(text)).isdisjoint(told)])


def _looked_up(cells: pl.Series, answers: Mapping[str, str | None]) -> pl.Series:
    return cells.replace_strict(list(answers), list(answers.values()), default=None, return_dtype=pl.String)


def _unresolved(
    kind: str, rule: CellRule, answer: pl.DataFrame, given: pl.Series, names: pl.Series, found: Identities
) -> None:
    asked = answer.with_row_index("row").with_columns(given=given, name=names)
    open_ones = asked.filter(pl.col("item_id").is_not_null())
    found.unresolved[rule.column] = answer.get_column("reason")
    found.decided[rule.column] = answer.get_column("decided")
    if open_ones.height:
        rows = open_ones.select("row", "item_id", "reason", "given", "name")
        found.seen.setdefault(kind, []).append(rows)
