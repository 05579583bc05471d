"""What every part of an OCDS process is mapped with: organisations, ids, amounts, moments, and refusals."""

import datetime as dt
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

from features.clock import SHANGHAI
from features.ingest.cleaning import Money, Problem, Rate, clean_name, clean_text, read_moment, read_money, read_uscc
from features.ingest.ocds.files import SOURCE, encode
from features.ingest.ocds.publishers import Publisher
from features.ingest.ocds.release import OcdsRelease, OcdsTender, Party, Text, Typed, Value
from features.ingest.quarantine.entries import Level, Rejection

ID_MAX = 200
_OCID_MAX = 120
_SEPARATOR = re.compile("[、,;/+&]|联合体成员[:]?")
_TOGETHER = re.compile(r"[(]?联合体[)]?$|^[(]?联合体[):]?")
_ROLE = re.compile(
    "[(](?:联合体)?(?:牵头人|牵头单位|牵头方|主办方|成员|成员单位|成员方|联合体|[主牵成])[)]|^(?:牵头人|成员)[:]"
)
_ORGANISATION = re.compile(r"(?:公司|集团|[院局厂所社站队校]|大学|中心|合伙\)?|分公司)(?:\([^()]*\))?$")


Row = dict[str, Any]


@dataclass
class Rows:
    """Rows and refusals of a chunk of processes, by table.

    Attributes:
        tables: rows as dicts, each with ``source_record_id``.
        organisations: by id.
        regions: by code.
        rejections: what was not taken below the release.
        org_ids: ids of organisations that are stored already, by credit code.
    """

    tables: dict[str, list[Row]] = field(
        default_factory=lambda: {name: [] for name in ("project", "tender", "lot", "bid", "award", "contract")}
    )
    organisations: dict[str, Row] = field(default_factory=dict[str, Row])
    regions: dict[str, Row] = field(default_factory=dict[str, Row])
    rejections: list[Rejection] = field(default_factory=list[Rejection])
    org_ids: Mapping[str, str] = field(default_factory=dict[str, str])


class ProcessError(ValueError):
    """A process cannot be expressed in the contract at all.

    Attributes:
        reason: a stable code.
        path: the field at fault.
        mend: what the sender can do.
    """

    def __init__(self, reason: str, message: str, path: str, mend: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.path = path
        self.mend = mend


class Parts:
    """What all parts of one process are made with: its organisations, ids, amounts, moments and refusals."""

    def __init__(self, typed: Typed, publisher: Publisher, rows: Rows, file: str) -> None:
        """Take one process.

        Args:
            typed: the state of the process.
            publisher: what is declared about its publisher.
            rows: where organisations, regions and refusals go.
            file: the file it came from.
        """
        self.release: OcdsRelease = typed.release
        self.publisher = publisher
        self.rows = rows
        self.file = file
        self.ocid = process_id(self.release.ocid)
        self.tender: OcdsTender = self.release.tender or OcdsTender()
        self.parties = {key_of(p.id): p for p in self.release.parties or [] if p.id is not None}
        self.lot_rows: dict[str, Row] = {}

    def _lots_of(self, related: Iterable[Text] | None) -> list[str]:
        """Return the keys of the lots meant; empty when that is not told or a lot is not known."""
        if len(self.lot_rows) == 1:
            only = next(iter(self.lot_rows))
            known = not related or only == "" or any(key_of(lot) == only for lot in related)
            return [only] if known else []
        keys = list(dict.fromkeys(key_of(lot) for lot in related or []))
        return keys if all(key in self.lot_rows for key in keys) else []

    def _region(self) -> None:
        code = self.publisher.region_code
        if code is not None and code not in self.rows.regions:
            self.rows.regions[code] = {
                "source_record_id": self.publisher.scope,
                "region_code": code,
                "name": self.publisher.region_name or code,
                "level": self.publisher.region_level or ("city" if code.endswith("00") else "county"),
            }

    def _party(self, reference: Party | None) -> Party | None:
        if reference is None:
            return None
        full = self.parties.get(key_of(reference.id)) if reference.id is not None else None
        return full if full is not None and full.name else reference

    def _by_role(self, role: str) -> str | None:
        found = [party for party in self.release.parties or [] if party.roles and role in party.roles]
        return self._organisation(found[0]) if len(found) == 1 else None

    def _members(self, references: Sequence[Party] | None) -> list[str]:
        """Return the ids of those who bid together; a party that is one name for several is taken apart."""
        found: list[str] = []
        for reference in references or []:
            party = self._party(reference) or reference
            name, identifier = clean_name(party.name), clean_name(key_of(reference.id))
            apart = consortium_members(name) if name and identifier in (None, name) else ()
            together = [Party(id=member, name=member) for member in apart] if apart and not _uscc(party) else []
            for one in together or [reference]:
                org = self._organisation(one)
                if org is not None:
                    found.append(org)
        return list(dict.fromkeys(found))

    def _organisation(self, reference: Party | None) -> str | None:
        """Return the id of an organisation, adding it to the rows; None when nothing identifies it."""
        party = self._party(reference)
        if party is None or reference is None:
            return None
        identifier = clean_name(key_of(reference.id))
        name = clean_name(party.name) or clean_name(reference.name) or identifier
        if name is None:
            return None
        code = _uscc(party) or _uscc(reference)
        org_id = self.rows.org_ids.get(code, code) if code else scoped_id(self.publisher.scope, identifier or name)
        known = self.rows.organisations.get(org_id)
        if known is None or (known["name"] != name and known["source_record_id"] == self.publisher.scope):
            self.rows.organisations[org_id] = {
                "source_record_id": self.publisher.scope,
                "org_id": org_id,
                "uscc": code,
                "name": name,
            }
        return org_id

    def _id(self, kind: str, key: str) -> str:
        """Return an id below the ocid, free of ``~`` and at most 200 characters."""
        whole = f"{self.ocid}/{kind}{key}"
        return whole if len(whole) <= ID_MAX else f"{self.ocid}/{kind}{_digest(key)}"

    def _moment(self, text: str | None, table: str, path: str) -> dt.datetime | None:
        if text is None:
            return None
        moment = _read_moment(text)
        if isinstance(moment, Problem):
            self._reject("value", table, path, text, moment.reason, moment.message, moment.mend, text)
            return None
        return moment

    def _money(self, value: Value | None, table: str, path: str) -> Decimal | None:
        if value is None or value.amount is None:
            return None
        read = read_money(value.amount)
        if isinstance(read, Money):
            return read.amount
        if isinstance(read, Rate):
            message = f"{read.text} is a rate, not an amount"
            self._reject_value(table, path, value, "rate", message, "give the amount the rate stands for, if any.")
        else:
            self._reject_value(table, path, value, read.reason, read.message.rstrip("."), read.mend)
        return None

    def _reject_row(self, table: str, path: str, child: object, reason: str, message: str, mend: str) -> None:
        self._reject("row", table, path, "", reason, message, mend, encode(child).decode())

    def _reject_value(self, table: str, path: str, value: Value, reason: str, message: str, mend: str) -> None:
        text = f"{value.amount} {value.currency or ''}".strip()[:300]
        self._reject("value", table, path, text, reason, message, mend, _json_value(value))

    def _reject(
        self, level: Level, table: str, path: str, value: str, reason: str, message: str, mend: str, raw: str
    ) -> None:
        self.rows.rejections.append(
            Rejection(SOURCE, self.file, self.ocid, table, level, path, value, reason, message, mend, raw)
        )


def process_id(ocid: str) -> str:
    """Return an ocid as the id of its project and tender: one form, and no ``/``, which ids of its parts have.

    Raises:
        ProcessError: it is blank or too long.
    """
    cleaned = key_of(ocid).replace("/", "%2F")
    if not 0 < len(cleaned) <= _OCID_MAX:
        found = "longer than 120 characters" if cleaned else "blank"
        raise ProcessError("bad_ocid", f"the ocid is {found}", "ocid", "give the ocid of the process.")
    return cleaned


def key_of(identifier: Text) -> str:
    """Return an identifier in one form, free of ``~``, which separates the ends of a pair; empty for none."""
    return "" if identifier is None else (clean_text(str(identifier)) or "").replace("~", "%7E")


def unnamed(*facts: object) -> str:
    """Return the identifier of a part that has none of its own: a digest of what it says."""
    return f"unnamed-{_digest(encode(facts).decode())}"


@lru_cache(maxsize=100_000)
def consortium_members(name: str) -> tuple[str, ...]:
    """Return the members of a consortium that is written as one name; none when it is not clearly several.

    Args:
        name: cleaned, such as ``甲建设有限公司、乙设计院联合体``: every part must end as names of organisations do.
    """
    parts = [clean_name(_ROLE.sub("", part)) for part in _SEPARATOR.split(_TOGETHER.sub("", name))]
    members = tuple(dict.fromkeys(part for part in parts if part))
    return members if len(members) > 1 and all(_ORGANISATION.search(member) for member in members) else ()


def scoped_id(scope: str, key: str) -> str:
    """Return the id of an organisation known to one source only: names never join across sources."""
    return f"{scope}-{_digest(key)}"


def currency_of(value: Value | None) -> str | None:
    """Return the currency of an amount; None where either is missing."""
    if value is None or value.amount is None or value.currency is None:
        return None
    return (clean_text(value.currency) or "").upper() or None


def _uscc(party: Party) -> str | None:
    given = [party.identifier, *(party.additional_identifiers or [])]
    for identifier in given:
        if identifier is not None and identifier.id is not None:
            code = read_uscc(str(identifier.id))
            if code is not None:
                return code
    if party.id is None:
        return None
    text = str(party.id)
    return read_uscc(text.upper().removeprefix("CN-USCC-")) if len(text) >= 18 else None


def _json_value(value: Value) -> str:
    return encode({"amount": str(value.amount), "currency": value.currency}).decode()


@lru_cache(maxsize=100_000)
def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]


@lru_cache(maxsize=100_000)
def _read_moment(text: str) -> dt.datetime | Problem | None:
    return read_moment(text, SHANGHAI)
