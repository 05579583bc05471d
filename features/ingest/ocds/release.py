"""The fields of an OCDS release that are used, typed; a child that does not fit is set aside, not its release."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import msgspec

from features.ingest.ocds.files import encode

Text = str | int | float | None
"""Identifiers and names; some publishers write them as numbers."""


class _Struct(msgspec.Struct, rename="camel", gc=False):
    """Base: camelCase in JSON, snake_case here; unknown fields are ignored."""


class Value(_Struct):
    """An amount with its currency."""

    amount: float | int | str | None = None
    currency: str | None = None


class Identifier(_Struct):
    """An identifier of an organisation in a register."""

    scheme: str | None = None
    id: Text = None


class Party(_Struct):
    """An organisation, or a reference to one."""

    id: Text = None
    name: str | None = None
    identifier: Identifier | None = None
    additional_identifiers: list[Identifier] | None = None
    roles: list[str] | None = None


class Period(_Struct):
    """A span of time."""

    start_date: str | None = None
    end_date: str | None = None


class Opening(_Struct):
    """The opening of bids."""

    date: str | None = None


class Classification(_Struct):
    """A code of a classification."""

    scheme: str | None = None
    id: Text = None


class Item(_Struct):
    """What is bought."""

    id: Text = None
    classification: Classification | None = None
    related_lot: Text = None


class OcdsLot(_Struct):
    """A lot."""

    id: Text = None
    title: str | None = None
    description: str | None = None
    status: str | None = None
    value: Value | None = None


class OcdsTender(_Struct):
    """The procedure."""

    id: Text = None
    title: str | None = None
    description: str | None = None
    status: str | None = None
    value: Value | None = None
    procurement_method: str | None = None
    procurement_method_details: str | None = None
    procurement_method_rationale: str | None = None
    main_procurement_category: str | None = None
    award_criteria: str | None = None
    submission_method: list[str] | None = None
    tender_period: Period | None = None
    bid_opening: Opening | None = None
    number_of_tenderers: float | None = None
    procuring_entity: Party | None = None
    lots: list[OcdsLot] | None = None
    items: list[Item] | None = None


class OcdsBid(_Struct):
    """A bid."""

    id: Text = None
    status: str | None = None
    date: str | None = None
    value: Value | None = None
    tenderers: list[Party] | None = None
    related_lots: list[Text] | None = None


class Statistic(_Struct):
    """A figure about the bids."""

    measure: str | None = None
    value: float | None = None
    related_lot: Text = None


class Bids(_Struct):
    """The bids extension."""

    details: list[OcdsBid] | None = None
    statistics: list[Statistic] | None = None


class OcdsAward(_Struct):
    """An award."""

    id: Text = None
    status: str | None = None
    date: str | None = None
    value: Value | None = None
    suppliers: list[Party] | None = None
    related_lots: list[Text] | None = None
    related_bid: Text = None
    related_bids: list[Text] | None = None


class OcdsContract(_Struct):
    """A contract."""

    id: Text = None
    award_id: Text = msgspec.field(default=None, name="awardID")
    status: str | None = None
    date_signed: str | None = None
    value: Value | None = None


class OcdsRelease(_Struct):
    """A release, as far as it is used here."""

    ocid: str
    id: Text = None
    date: str | None = None
    buyer: Party | None = None
    parties: list[Party] | None = None
    tender: OcdsTender | None = None
    bids: Bids | None = None
    awards: list[OcdsAward] | None = None
    contracts: list[OcdsContract] | None = None


_DECODER = msgspec.json.Decoder(OcdsRelease)
_CHILDREN: tuple[tuple[tuple[str, ...], type[msgspec.Struct], str], ...] = (
    (("parties",), Party, "organisation"),
    (("tender", "lots"), OcdsLot, "lot"),
    (("tender", "items"), Item, "lot"),
    (("bids", "details"), OcdsBid, "bid"),
    (("bids", "statistics"), Statistic, "bid"),
    (("awards",), OcdsAward, "award"),
    (("contracts",), OcdsContract, "contract"),
)
_PLACE = re.compile(r"\$((?:\.\w+)+)")
_FIELDS_MAX = 50


@dataclass(frozen=True, slots=True)
class Misfit:
    """A part that has the wrong shape.

    Attributes:
        level: ``row`` for a child such as a bid, ``value`` for a field of the release or its tender.
        path: where it stood, such as ``bids.details[2]``.
        table: the table it would have gone to.
        message: what is wrong with it.
        raw: its JSON.
    """

    level: Literal["row", "value"]
    path: str
    table: str
    message: str
    raw: str


@dataclass(frozen=True, slots=True)
class Typed:
    """A typed release and the parts that did not fit."""

    release: OcdsRelease
    misfits: list[Misfit] = field(default_factory=list[Misfit])


def typed(text: bytes) -> Typed:
    """Type a release; parts of the wrong shape are set aside.

    Args:
        text: its JSON.

    Raises:
        msgspec.ValidationError: it is no release, or its ocid is no text.
    """
    try:
        return Typed(_DECODER.decode(text))
    except msgspec.ValidationError:
        content: dict[str, Any] = msgspec.json.decode(text)
    misfits: list[Misfit] = []
    for path, kind, table in _CHILDREN:
        _sift(content, path, kind, table, misfits)
    for _ in range(_FIELDS_MAX):
        try:
            return Typed(msgspec.convert(content, OcdsRelease), misfits)
        except msgspec.ValidationError as error:
            misfits.append(_take_out(content, error))
    return Typed(msgspec.convert(content, OcdsRelease), misfits)


def _take_out(content: dict[str, Any], error: msgspec.ValidationError) -> Misfit:
    """Set the field that an error names to null and return it; only the ocid cannot be spared."""
    place = _PLACE.search(str(error))
    if place is None or place[1] in (".ocid", ".id", ".date"):
        raise error
    *parents, last = place[1].removeprefix(".").split(".")
    holder = content
    for parent in parents:
        holder = holder[parent]
    wrong, holder[last] = holder.get(last), None
    table = "tender" if parents[:1] == ["tender"] else ""
    return Misfit("value", ".".join([*parents, last]), table, str(error), _raw(wrong))


def _sift(
    content: dict[str, Any], path: tuple[str, ...], kind: type[msgspec.Struct], table: str, misfits: list[Misfit]
) -> None:
    """Replace the list at a path by its fitting members."""
    *parents, last = path
    holder: Any = content
    for parent in parents:
        holder = holder.get(parent) if isinstance(holder, dict) else None
    children = holder.get(last) if isinstance(holder, dict) else None
    if not isinstance(children, list):
        return
    fitting: list[object] = []
    for number, child in enumerate(cast(list[object], children)):
        try:
            msgspec.convert(child, kind)
        except msgspec.ValidationError as error:
            misfits.append(Misfit("row", f"{'.'.join(path)}[{number}]", table, str(error), _raw(child)))
        else:
            fitting.append(child)
    cast(dict[str, Any], holder)[last] = fitting


def _raw(content: object) -> str:
    return encode(content).decode("utf-8")
