"""From the state of one OCDS process to rows of the data contract. What the release does not say stays null."""

import datetime as dt
import hashlib
import json
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

import dataframely as dy

from features.clock import SHANGHAI
from features.ingest.cleaning import (
    Money,
    Problem,
    Rate,
    clean_name,
    clean_text,
    read_moment,
    read_money,
    read_uscc,
)
from features.ingest.ocds_files import SOURCE, encode
from features.ingest.ocds_publishers import Publisher
from features.ingest.ocds_release import (
    OcdsAward,
    OcdsBid,
    OcdsContract,
    OcdsLot,
    OcdsRelease,
    OcdsTender,
    Party,
    Text,
    Typed,
    Value,
)
from features.ingest.quarantine import Level, Rejection
from features.tables.tendering import Tender

ID_MAX = 200
_OCID_MAX = 120
_NOT_KNOWN_HERE = "use a word of the OCDS code list, or leave it out."
_METHODS = {"open": "public_tender", "selective": "invited_tender", "direct": "direct_award"}
_METHODS_ZH = {
    "公开招标": "public_tender",
    "邀请招标": "invited_tender",
    "竞争性谈判": "competitive_negotiation",
    "竞争性磋商": "competitive_consultation",
    "询价": "inquiry",
    "单一来源": "single_source",
    "直接发包": "direct_award",
    "框架协议": "framework",
}
_CRITERIA = {
    "priceOnly": "lowest_evaluated",
    "lowestCost": "lowest_evaluated",
    "ratedCriteria": "comprehensive",
    "bestProposal": "comprehensive",
    "qualityOnly": "other",
}
_BID_STATUS = {
    None: "submitted",
    "pending": "submitted",
    "valid": "valid",
    "disqualified": "disqualified",
    "withdrawn": "withdrawn",
}
_AWARD_STATUS = {"active": "awarded", "pending": "candidate", "cancelled": "invalidated"}
_CONTRACT_STATUS = {"pending": "draft", "active": "signed", "cancelled": "terminated", "terminated": "terminated"}
_TENDER_STATUS = {
    "planning": "planned",
    "planned": "planned",
    "unsuccessful": "failed",
    "cancelled": "terminated",
    "withdrawn": "terminated",
}
_LOT_STATUS = {"unsuccessful": "failed", "cancelled": "terminated", "withdrawn": "terminated"}
_SLIP = Decimal(10_000)
_SLIP_BAND = 3
_SEPARATOR = re.compile("[、,;/+&]|联合体成员[:]?")
_TOGETHER = re.compile(r"[(]?联合体[)]?$|^[(]?联合体[):]?")
_ROLE = re.compile(
    "[(](?:联合体)?(?:牵头人|牵头单位|牵头方|主办方|成员|成员单位|成员方|联合体|[主牵成])[)]|^(?:牵头人|成员)[:]"
)
_ORGANISATION = re.compile(r"(?:公司|集团|[院局厂所社站队校]|大学|中心|合伙\)?|分公司)(?:\([^()]*\))?$")

Row = dict[str, Any]


@dataclass
class _Bid:
    """A bid of one lot on its way into a row.

    Attributes:
        given: the bid as delivered.
        path: where it stood.
        lot: the key of its lot.
        date: when it was handed in, as far as the release says.
        shared: whether it is for several lots, with one price.
        row: its row.
    """

    given: OcdsBid
    path: str
    lot: str
    date: dt.datetime | None
    shared: bool
    row: Row


@dataclass
class Rows:
    """Rows and refusals of a chunk of processes, by table.

    Attributes:
        tables: rows as dicts, each with ``source_record_id``.
        organisations: by id.
        regions: by code.
        rejections: what was not taken below the release.
    """

    tables: dict[str, list[Row]] = field(
        default_factory=lambda: {name: [] for name in ("project", "tender", "lot", "bid", "award", "contract")}
    )
    organisations: dict[str, Row] = field(default_factory=dict[str, Row])
    regions: dict[str, Row] = field(default_factory=dict[str, Row])
    rejections: list[Rejection] = field(default_factory=list[Rejection])


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


def map_process(typed: Typed, publisher: Publisher, rows: Rows, *, file: str = "") -> None:
    """Add the rows of one process.

    Args:
        typed: the state of the process.
        publisher: what is declared about its publisher.
        rows: where the rows go: one project and tender (id = ocid), its lots, bids, awards, contracts, and the
            organisations and region they name.
        file: the file it came from, for the quarantine.

    Raises:
        ProcessError: the process lacks what the contract cannot do without.
    """
    _Process(typed, publisher, rows, file).add()


class _Process:
    """One process on its way into rows."""

    def __init__(self, typed: Typed, publisher: Publisher, rows: Rows, file: str) -> None:
        self.release: OcdsRelease = typed.release
        self.misfits = typed.misfits
        self.publisher = publisher
        self.rows = rows
        self.file = file
        self.ocid = process_id(self.release.ocid)
        self.tender: OcdsTender = self.release.tender or OcdsTender()
        self.parties = {_key(p.id): p for p in self.release.parties or [] if p.id is not None}
        self.tender_value: Decimal | None = None
        self.lot_rows: dict[str, Row] = {}
        self.bids: dict[str, _Bid] = {}
        self.award_rows: dict[str, Row] = {}
        self.awards_by_no: dict[str, list[Row]] = {}
        self.contract_rows: dict[str, Row] = {}

    def add(self) -> None:
        object_type = self._object_type()
        for misfit in self.misfits:
            self._reject(misfit.level, misfit.table, misfit.path, "", "wrong_shape", misfit.message, _SHAPE, misfit.raw)
        self._region()
        self.tender_value = self._money(self.tender.value, "tender", "tender.value")
        buyer = self._organisation(self.release.buyer) or self._by_role("buyer")
        tenderer = self._organisation(self.tender.procuring_entity) or self._by_role("procuringEntity") or buyer
        self._lots()
        self._bids()
        self._drop_slipped_units()
        self._awards()
        self._settle_lots()
        self._contracts(tenderer or buyer)
        self._project(buyer or tenderer)
        self._tender(tenderer, object_type)
        self.rows.tables["lot"].extend(self.lot_rows.values())
        self.rows.tables["bid"].extend(bid.row for bid in self.bids.values())
        self.rows.tables["award"].extend(self.award_rows.values())
        self.rows.tables["contract"].extend(self.contract_rows.values())

    # -- the procedure -------------------------------------------------------------------------------------

    def _object_type(self) -> str:
        given = clean_text(self.tender.main_procurement_category)
        if given in _OBJECT_TYPES:
            return given
        if given is None and self.publisher.object_type is not None:
            return self.publisher.object_type
        raise ProcessError(
            "no_object_type",
            f"tender.mainProcurementCategory is {given!r}; {', '.join(sorted(_OBJECT_TYPES))} was expected",
            "tender.mainProcurementCategory",
            f"give the category, load with --object-type, or declare it for {self.publisher.scope} in "
            "ocds_publishers.yaml; a release that adds to another loads after that one.",
        )

    def _project(self, owner: str | None) -> None:
        status = "planned" if self._tender_status() == "planned" else "tendering"
        if any(row["status"] != "draft" for row in self.contract_rows.values()):
            status = "contracted"
        self.rows.tables["project"].append(
            {
                "source_record_id": self.ocid,
                "project_id": self.ocid,
                "name": clean_text(self.tender.title) or self._tender_no(),
                "region_code": self.publisher.region_code,
                "owner_org_id": owner,
                "status": status,
                "secrecy_level": "none",
            }
        )

    def _tender(self, tenderer: str | None, object_type: str | None) -> None:
        tender = self.tender
        deadline = self._moment(
            tender.tender_period.end_date if tender.tender_period else None, "tender", "tender.tenderPeriod.endDate"
        )
        methods = tender.submission_method
        control = self.publisher.tender_value == "control_price"
        value = self.tender_value
        self.rows.tables["tender"].append(
            {
                "source_record_id": self.ocid,
                "tender_id": self.ocid,
                "project_id": self.ocid,
                "tender_no": self._tender_no(),
                "title": clean_text(tender.title) or self._tender_no(),
                "tenderer_org_id": tenderer,
                "law_regime": self.publisher.law_regime or "unknown",
                "object_type": object_type,
                "method": self._method(),
                "exemption_reason": clean_text(tender.procurement_method_rationale),
                "evaluation_method": self._evaluation_method(),
                "estimate_price": None if control else value,
                "control_price_total": value if control else None,
                "bid_deadline_at": deadline,
                "opening_at": self._opening(deadline),
                "is_electronic": None if not methods else "electronicSubmission" in methods,
                "status": self._tender_status(),
            }
        )

    def _tender_no(self) -> str:
        return clean_text(str(self.tender.id)) or self.ocid if self.tender.id is not None else self.ocid

    def _method(self) -> str:
        details = clean_text(self.tender.procurement_method_details) or ""
        for word, method in _METHODS_ZH.items():
            if word in details:
                return method
        return _METHODS.get(self.tender.procurement_method or "", self.publisher.method or "unknown")

    def _evaluation_method(self) -> str:
        return _CRITERIA.get(self.tender.award_criteria or "", "unknown")

    def _opening(self, deadline: dt.datetime | None) -> dt.datetime | None:
        """The opening; else the deadline, when bids are opened (招标投标法 第34条); else the latest bid's date."""
        opened = self.tender.bid_opening.date if self.tender.bid_opening else None
        opening = self._moment(opened, "tender", "tender.bidOpening.date") or deadline
        if opening is not None:
            return opening
        dates = [bid.date for bid in self.bids.values() if bid.date is not None]
        return max(dates, default=None)

    def _tender_status(self) -> str:
        stated = _TENDER_STATUS.get(self.tender.status or "")
        if stated is not None:
            return stated
        statuses = {row["status"] for row in self.award_rows.values()}
        if any(row["status"] != "draft" for row in self.contract_rows.values()):
            return "contracted"
        if "awarded" in statuses:
            return "awarded"
        if "candidate" in statuses or (self.bids and self.publisher.bids_published == "ranked_candidates"):
            return "publicised"
        return "opened" if self.bids else "published"

    # -- lots ----------------------------------------------------------------------------------------------

    def _lots(self) -> None:
        lots: dict[str, OcdsLot] = {}
        for number, lot in enumerate(self.tender.lots or []):
            path, key = f"tender.lots[{number}].id", _key(lot.id)
            if not key:
                self._reject_row("lot", path, lot, "no_id", "the lot has no id", "give it one.")
            elif key in lots:
                self._reject_row("lot", path, lot, "duplicate_id", "two lots have this id", _ONE)
            else:
                lots[key] = lot
        for key, lot in (lots or {"": OcdsLot()}).items():
            self.lot_rows[key] = self._lot(lot, key, several=len(lots) > 1)

    def _lot(self, lot: OcdsLot, key: str, *, several: bool) -> Row:
        title = clean_text(self.tender.title) or self._tender_no()
        currency = _currency(lot.value) or _currency(self.tender.value)
        control = self.publisher.tender_value == "control_price"
        own = lot.value is not None or several
        value = self._money(lot.value, "lot", f"tender.lots[{key}].value") if own else self.tender_value
        return {
            "source_record_id": self.ocid,
            "lot_id": self._id("", key) if several else self.ocid,
            "tender_id": self.ocid,
            "project_id": self.ocid,
            "lot_no": key or "1",
            "name": clean_text(lot.title) or title,
            "scope_text": clean_text(lot.description) or (None if several else clean_text(self.tender.description)),
            "category_code": self._category(key if several else None),
            "currency": currency,
            "bids_complete": None,
            "estimate_price": None if control else value,
            "control_price": value if control else None,
            "status": _LOT_STATUS.get(lot.status or self.tender.status or "", "open"),
        }

    def _category(self, key: str | None) -> str | None:
        for item in self.tender.items or []:
            if item.classification is None or item.classification.id is None:
                continue
            if key is None or item.related_lot is None or _key(item.related_lot) == key:
                code = clean_text(str(item.classification.id))
                scheme = (item.classification.scheme or "").upper()
                return code.partition("-")[0] if code and scheme == "CPV" else code
        return None

    def _settle_lots(self) -> None:
        """Fill what a lot owes to its bids and awards: whether all bids are there, and its status."""
        given = Counter(bid.row["lot_id"] for bid in self.bids.values())
        single = len(self.lot_rows) == 1
        awarded = {row["lot_id"] for row in self.award_rows.values() if row["status"] == "awarded"}
        failed = {
            lot
            for award in self.release.awards or []
            if award.status == "unsuccessful"
            for lot in self._lots_of(award.related_lots) or []
        }
        for key, row in self.lot_rows.items():
            row["bids_complete"] = self._bids_complete(key, given[row["lot_id"]], single=single)
            if row["lot_id"] in awarded:
                row["status"] = "awarded"
            elif key in failed and row["status"] == "open":
                row["status"] = "failed"

    def _bids_complete(self, key: str, given: int, *, single: bool) -> bool | None:
        if self.publisher.bids_published is not None:
            return self.publisher.bids_published == "all"
        stated = self._stated_bids(key, single=single)
        return None if stated is None else given >= stated

    def _stated_bids(self, key: str, *, single: bool) -> float | None:
        for statistic in (self.release.bids.statistics if self.release.bids else None) or []:
            own = single if statistic.related_lot is None else _key(statistic.related_lot) == key
            if statistic.measure == "bids" and statistic.value is not None and own:
                return statistic.value
        return self.tender.number_of_tenderers if single else None

    # -- bids ----------------------------------------------------------------------------------------------

    def _bids(self) -> None:
        for number, bid in enumerate((self.release.bids.details if self.release.bids else None) or []):
            self._bid(bid, f"bids.details[{number}]")
        self._settle_currencies()

    def _bid(self, bid: OcdsBid, path: str) -> None:
        if bid.status == "invited":
            return
        key = _key(bid.id)
        members = self._members(bid.tenderers)
        lots = self._lots_of(bid.related_lots)
        ids = {lot: self._id("bid/", key if len(lots) == 1 else f"{key}/{lot}") for lot in lots}
        problem = None
        if bid.status not in _BID_STATUS:
            problem = (".status", "unknown_word", f"the bid's status is {bid.status!r}", _NOT_KNOWN_HERE)
        elif not key:
            problem = (".id", "no_id", "the bid has no id", "give it one.")
        elif not members:
            problem = (".tenderers", "no_tenderer", "the bid names no tenderer", "name the bidder.")
        elif not lots:
            problem = (".relatedLots", "unknown_lot", "the bid does not say which of the lots it is for", _SAY_LOT)
        elif not self.bids.keys().isdisjoint(ids.values()):
            problem = (".id", "duplicate_id", "two bids have this id", _ONE)
        if problem is not None:
            at, reason, message, mend = problem
            self._reject_row("bid", f"{path}{at}", bid, reason, message, mend)
            return
        date = self._moment(bid.date, "bid", f"{path}.date")
        named_so = any("联合体" in (party.name or "") for party in map(self._party, bid.tenderers or []) if party)
        for lot, bid_id in ids.items():
            row: Row = {
                "source_record_id": self.ocid,
                "bid_id": bid_id,
                "lot_id": self.lot_rows[lot]["lot_id"],
                "tender_id": self.ocid,
                "bidder_org_id": members[0],
                "is_consortium": len(members) > 1 or named_so,
                "consortium_org_ids": json.dumps(members) if len(members) > 1 else None,
                "bid_price": None,
                "status": self._bid_status(bid.status),
            }
            self.bids[bid_id] = _Bid(bid, path, lot, date, len(lots) > 1, row)

    def _bid_status(self, status: str | None) -> str:
        if status == "valid" and self.publisher.bids_published == "ranked_candidates":
            return "candidate"
        return _BID_STATUS[status]

    def _settle_currencies(self) -> None:
        """Give each lot its currency, then read the prices of the bids in it."""
        by_lot: dict[str, list[_Bid]] = {}
        for bid in self.bids.values():
            by_lot.setdefault(bid.lot, []).append(bid)
        for lot, bids in by_lot.items():
            own: str | None = self.lot_rows[lot]["currency"]
            seen = {currency for bid in bids if (currency := _currency(bid.given.value)) is not None}
            if own is None and len(seen) == 1:
                own = self.lot_rows[lot]["currency"] = next(iter(seen))
            for bid in bids:
                self._price(bid, own, disagree=own is None and len(seen) > 1)

    def _price(self, bid: _Bid, currency: str | None, *, disagree: bool) -> None:
        value, path = bid.given.value, f"{bid.path}.value"
        given = _currency(value)
        if value is None or value.amount is None:
            return
        if disagree:
            message = "the bids of this lot are in several currencies and the lot names none"
            self._reject_value("bid", path, value, "currency_unknown", message, "give tender.value.currency.")
        elif given is not None and currency is not None and given != currency:
            message = f"the bid is in {given}, its lot in {currency}"
            self._reject_row("bid", path, bid.given, "currency_differs", message, "give the bid in the lot's currency.")
            del self.bids[bid.row["bid_id"]]
        elif bid.shared:
            message = "one price covers several lots"
            self._reject_value("bid", path, value, "shared_price", message, "give one bid a lot.")
        else:
            bid.row["bid_price"] = self._money(value, "bid", path)

    def _drop_slipped_units(self) -> None:
        """Take out prices that stand in 万元 among prices in 元: about 1/10,000 of the others' median."""
        priced: dict[str, list[_Bid]] = {}
        for bid in self.bids.values():
            if bid.row["bid_price"]:
                priced.setdefault(bid.lot, []).append(bid)
        for bids in priced.values():
            amounts = [bid.row["bid_price"] for bid in bids]
            if len(amounts) < 2 or max(amounts) * _SLIP_BAND < min(amounts) * _SLIP:
                continue
            for place, (bid, amount) in enumerate(zip(bids, amounts, strict=True)):
                if _slipped(amount, statistics.median(amounts[:place] + amounts[place + 1 :])):
                    bid.row["bid_price"] = None
                    message = f"{amount} is about 1/10,000 of the other bids of its lot, as if written in 万元"
                    value = bid.given.value or Value()
                    self._reject_value("bid", f"{bid.path}.value", value, "unit_slip", message, _IN_YUAN)

    # -- awards and contracts ------------------------------------------------------------------------------

    def _awards(self) -> None:
        for number, award in enumerate(self.release.awards or []):
            if award.status != "unsuccessful":
                self._award(award, f"awards[{number}]")

    def _award(self, award: OcdsAward, path: str) -> None:
        key = _key(award.id)
        suppliers = self._members(award.suppliers)
        named = self._named_bids(award)
        lots = self._lots_of(award.related_lots) or list(dict.fromkeys(bid.lot for bid in named))
        if not suppliers:
            suppliers = list(dict.fromkeys(bid.row["bidder_org_id"] for bid in named))
        ids = {lot: self._id("award/", key if len(lots) == 1 else f"{key}/{lot}") for lot in lots}
        problem = None
        if award.status not in _AWARD_STATUS:
            problem = (".status", "unknown_word", f"the award's status is {award.status!r}", _NOT_KNOWN_HERE)
        elif not key:
            problem = (".id", "no_id", "the award has no id", "give it one.")
        elif not suppliers:
            problem = (".suppliers", "no_supplier", "the award names no supplier", "name the winner.")
        elif not lots:
            problem = (".relatedLots", "unknown_lot", "the award does not say which of the lots it is for", _SAY_LOT)
        elif not self.award_rows.keys().isdisjoint(ids.values()):
            problem = (".id", "duplicate_id", "two awards have this id", _ONE)
        if problem is not None or award.status is None:
            at, reason, message, mend = problem or ("", "", "", "")
            self._reject_row("award", f"{path}{at}", award, reason, message, mend)
            return
        published = self._moment(award.date, "award", f"{path}.date")
        status = _AWARD_STATUS[award.status]
        for lot, award_id in ids.items():
            bid = next((bid for bid in named if bid.lot == lot), None) or self._bid_of(lot, suppliers)
            row: Row = {
                "source_record_id": self.ocid,
                "award_id": award_id,
                "lot_id": self.lot_rows[lot]["lot_id"],
                "bid_id": bid.row["bid_id"] if bid else None,
                "org_id": bid.row["bidder_org_id"] if bid else suppliers[0],
                "amount": self._award_amount(award, f"{path}.value", lot, bid, shared=len(lots) > 1),
                "result_published_at": published,
                "status": status,
            }
            self.award_rows[award_id] = row
            self.awards_by_no.setdefault(key, []).append(row)
            if bid is not None and status == "awarded" and bid.row["status"] in ("valid", "candidate", "submitted"):
                bid.row["status"] = "awarded"
            elif bid is not None and status == "candidate" and bid.row["status"] == "valid":
                bid.row["status"] = "candidate"

    def _named_bids(self, award: OcdsAward) -> list[_Bid]:
        """Return the bids that an award refers to by their id."""
        given = [award.related_bid, *(award.related_bids or [])]
        keys = {_key(one) for one in given if one is not None}
        return [bid for bid in self.bids.values() if _key(bid.given.id) in keys] if keys else []

    def _bid_of(self, lot: str, suppliers: Sequence[str]) -> _Bid | None:
        """Find the bid of the winner: the one bid of the lot whose lead bidder is among the suppliers."""
        found = [
            bid
            for bid in self.bids.values()
            if bid.lot == lot and bid.row["bidder_org_id"] in suppliers and bid.row["status"] != "withdrawn"
        ]
        return found[0] if len(found) == 1 else None

    def _award_amount(self, award: OcdsAward, path: str, lot: str, bid: _Bid | None, *, shared: bool) -> Decimal | None:
        value = award.value
        if value is None or value.amount is None:
            return None
        given, own = _currency(value), self.lot_rows[lot]["currency"]
        if given is not None and own is not None and given != own:
            message = f"the award is in {given}, its lot in {own}"
            self._reject_value("award", path, value, "currency_differs", message, "give it in the lot's currency.")
            return None
        if shared:
            message = "one amount covers several lots"
            self._reject_value("award", path, value, "shared_price", message, "give one award a lot.")
            return None
        if own is None:
            self.lot_rows[lot]["currency"] = given
        amount = self._money(value, "award", path)
        if amount and bid is not None and bid.row["bid_price"] and _slipped(amount, bid.row["bid_price"]):
            message = f"{amount} is about 1/10,000 of the bid, as if written in 万元"
            self._reject_value("award", path, value, "unit_slip", message, _IN_YUAN)
            return None
        return amount

    def _contracts(self, party_a: str | None) -> None:
        for number, contract in enumerate(self.release.contracts or []):
            self._contract(contract, f"contracts[{number}]", party_a)

    def _contract(self, contract: OcdsContract, path: str, party_a: str | None) -> None:
        key = _key(contract.id)
        contract_id = self._id("contract/", key)
        awards = self.awards_by_no.get(_key(contract.award_id), [])
        if contract.award_id is None and len(self.award_rows) == 1:
            awards = list(self.award_rows.values())
        winners = {award["org_id"] for award in awards}
        problem = None
        if not key:
            problem = (".id", "no_id", "the contract has no id", "give it one.")
        elif contract_id in self.contract_rows:
            problem = (".id", "duplicate_id", "two contracts have this id", _ONE)
        elif len(winners) != 1:
            problem = (".awardID", "no_supplier", "the contract names no award with one winner", "give its awardID.")
        elif party_a is None:
            problem = ("", "no_buyer", "the process names no buyer", "name the buyer.")
        elif contract.status is not None and contract.status not in _CONTRACT_STATUS:
            problem = (".status", "unknown_word", f"the contract's status is {contract.status!r}", _NOT_KNOWN_HERE)
        if problem is not None:
            at, reason, message, mend = problem
            self._reject_row("contract", f"{path}{at}", contract, reason, message, mend)
            return
        signed = self._moment(contract.date_signed, "contract", f"{path}.dateSigned")
        self.contract_rows[contract_id] = {
            "source_record_id": self.ocid,
            "contract_id": contract_id,
            "project_id": self.ocid,
            "lot_id": awards[0]["lot_id"] if len(awards) == 1 else None,
            "tender_id": self.ocid,
            "party_a_org_id": party_a,
            "party_b_org_id": awards[0]["org_id"],
            "signed_at": signed,
            "amount": self._contract_amount(contract, f"{path}.value", {award["lot_id"] for award in awards}),
            "status": _CONTRACT_STATUS.get(contract.status or "", "signed" if signed else "draft"),
        }

    def _contract_amount(self, contract: OcdsContract, path: str, lots: set[str]) -> Decimal | None:
        value, given = contract.value, _currency(contract.value)
        own = {row["currency"] for row in self.lot_rows.values() if row["lot_id"] in lots} - {None}
        if value is not None and given is not None and own and own != {given}:
            message = f"the contract is in {given}, its lot in {' and '.join(sorted(own))}"
            self._reject_value("contract", path, value, "currency_differs", message, "give the lot's currency.")
            return None
        return self._money(value, "contract", path)

    # -- parts ---------------------------------------------------------------------------------------------

    def _lots_of(self, related: Iterable[Text] | None) -> list[str]:
        """Return the keys of the lots meant; empty when that is not told or a lot is not known."""
        if len(self.lot_rows) == 1:
            only = next(iter(self.lot_rows))
            known = not related or only == "" or any(_key(lot) == only for lot in related)
            return [only] if known else []
        keys = list(dict.fromkeys(_key(lot) for lot in related or []))
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
        full = self.parties.get(_key(reference.id)) if reference.id is not None else None
        return full if full is not None and full.name else reference

    def _by_role(self, role: str) -> str | None:
        found = [party for party in self.release.parties or [] if party.roles and role in party.roles]
        return self._organisation(found[0]) if len(found) == 1 else None

    def _members(self, references: Sequence[Party] | None) -> list[str]:
        """Return the ids of those who bid together; a party that is one name for several is taken apart."""
        found: list[str] = []
        for reference in references or []:
            party = self._party(reference) or reference
            name, identifier = clean_name(party.name), clean_name(_key(reference.id))
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
        identifier = clean_name(_key(reference.id))
        name = clean_name(party.name) or clean_name(reference.name) or identifier
        if name is None:
            return None
        code = _uscc(party) or _uscc(reference)
        org_id = code or scoped_id(self.publisher.scope, identifier or name)
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


_SHAPE = "give it the shape of the OCDS schema."
_ONE = "give each an id of its own."
_IN_YUAN = "give 元, not 万元."
_SAY_LOT = "name one of the tender's lots in relatedLots."


def process_id(ocid: str) -> str:
    """Return an ocid as the id of its project and tender: one form, and no ``/``, which ids of its parts have.

    Raises:
        ProcessError: it is blank or too long.
    """
    cleaned = _key(ocid).replace("/", "%2F")
    if not 0 < len(cleaned) <= _OCID_MAX:
        found = "longer than 120 characters" if cleaned else "blank"
        raise ProcessError("bad_ocid", f"the ocid is {found}", "ocid", "give the ocid of the process.")
    return cleaned


def _key(identifier: Text) -> str:
    """Return an identifier in one form, free of ``~``, which separates the ends of a pair; empty for none."""
    return "" if identifier is None else (clean_text(str(identifier)) or "").replace("~", "%7E")


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


def _slipped(amount: Decimal, median: Decimal) -> bool:
    target = median / _SLIP
    return target / _SLIP_BAND <= amount <= target * _SLIP_BAND


def _currency(value: Value | None) -> str | None:
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


def _words(column: dy.Column) -> frozenset[str]:
    return frozenset(column.categories) if isinstance(column, dy.Enum) else frozenset()


_OBJECT_TYPES = _words(Tender.columns()["object_type"])
