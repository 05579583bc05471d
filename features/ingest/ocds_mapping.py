"""From the state of one OCDS process to rows of the data contract. What the release does not say stays null."""

import datetime as dt
import hashlib
import json
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

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

Row = dict[str, Any]


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


class ProcessRefused(ValueError):
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
        ProcessRefused: the process lacks what the contract cannot do without.
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
        self.ocid = safe_id(self.release.ocid)
        self.tender: OcdsTender = self.release.tender or OcdsTender()
        self.parties = {str(p.id): p for p in self.release.parties or [] if p.id is not None}
        self.lot_rows: dict[str, Row] = {}
        self.bid_rows: dict[str, Row] = {}
        self.award_rows: dict[str, Row] = {}

    def add(self) -> None:
        if len(self.ocid) > _OCID_MAX:
            raise ProcessRefused("id_too_long", "the ocid is longer than 120 characters", "ocid", "give a true ocid.")
        object_type = self._object_type()
        for misfit in self.misfits:
            self._reject("row", misfit.table, misfit.path, "", "wrong_shape", misfit.message, _SHAPE, misfit.raw)
        self._region()
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
        for name, found in (("lot", self.lot_rows), ("bid", self.bid_rows), ("award", self.award_rows)):
            self.rows.tables[name].extend(found.values())

    # -- the procedure -------------------------------------------------------------------------------------

    def _object_type(self) -> str | None:
        words = _enum_words("object_type")
        given = self.tender.main_procurement_category or self.publisher.object_type
        if given in words:
            return given
        if Tender.columns()["object_type"].nullable:
            if given is not None:
                self._reject(
                    "value",
                    "tender",
                    "object_type",
                    given,
                    "unknown_word",
                    f"mainProcurementCategory is {given!r}",
                    _NOT_KNOWN_HERE,
                    given,
                )
            return None
        raise ProcessRefused(
            "no_object_type",
            f"tender.mainProcurementCategory is {given!r}; works, goods or services was expected",
            "tender.mainProcurementCategory",
            f"give the category, or declare object_type for {self.publisher.scope} in ocds_publishers.yaml.",
        )

    def _project(self, owner: str | None) -> None:
        status = "planned" if self._tender_status() == "planned" else "tendering"
        if any(row["status"] != "draft" for row in self._own("contract")):
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
        value = self._money(tender.value, "tender", "tender.value", None)
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
        dates = [row["_date"] for row in self.bid_rows.values() if row["_date"] is not None]
        return max(dates, default=None)

    def _tender_status(self) -> str:
        stated = _TENDER_STATUS.get(self.tender.status or "")
        if stated is not None:
            return stated
        statuses = {row["status"] for row in self.award_rows.values()}
        if any(row["status"] != "draft" for row in self._own("contract")):
            return "contracted"
        if "awarded" in statuses:
            return "awarded"
        if "candidate" in statuses or (self.bid_rows and self.publisher.bids_published == "ranked_candidates"):
            return "publicised"
        return "opened" if self.bid_rows else "published"

    # -- lots ----------------------------------------------------------------------------------------------

    def _lots(self) -> None:
        lots = [lot for lot in self.tender.lots or [] if lot.id is not None]
        for number, lot in enumerate(self.tender.lots or []):
            if lot.id is None:
                self._reject_row("lot", f"tender.lots[{number}].id", lot, "no_id", "the lot has no id", "give it one.")
        several = len(lots) > 1
        for lot in lots or [OcdsLot(id=None)]:
            key = "" if lot.id is None else str(lot.id)
            if key in self.lot_rows:
                self._reject_row("lot", f"tender.lots[{key}]", lot, "duplicate_id", "two lots have this id", _ONE)
                continue
            self.lot_rows[key] = self._lot(lot, key, several=several)

    def _lot(self, lot: OcdsLot, key: str, *, several: bool) -> Row:
        title = clean_text(self.tender.title) or self._tender_no()
        stated = lot.value if lot.value is not None or several else self.tender.value
        currency = _currency(lot.value) or _currency(self.tender.value)
        control = self.publisher.tender_value == "control_price"
        value = self._money(stated, "lot", "tender.lots.value", None)
        return {
            "source_record_id": self.ocid,
            "lot_id": self._id("", key) if several else self.ocid,
            "tender_id": self.ocid,
            "project_id": self.ocid,
            "lot_no": clean_text(key) or "1",
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
            if key is None or item.related_lot is None or str(item.related_lot) == key:
                code = clean_text(str(item.classification.id))
                scheme = (item.classification.scheme or "").upper()
                return code.partition("-")[0] if code and scheme == "CPV" else code
        return None

    def _settle_lots(self) -> None:
        """Fill what a lot owes to its bids and awards: whether all bids are there, and its status."""
        given = Counter(row["lot_id"] for row in self.bid_rows.values())
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
            own = single if statistic.related_lot is None else str(statistic.related_lot) == key
            if statistic.measure == "bids" and statistic.value is not None and own:
                return statistic.value
        return self.tender.number_of_tenderers if single else None

    # -- bids ----------------------------------------------------------------------------------------------

    def _bids(self) -> None:
        details = (self.release.bids.details if self.release.bids else None) or []
        for number, bid in enumerate(details):
            self._bid(bid, f"bids.details[{number}]")
        self._settle_currencies()

    def _bid(self, bid: OcdsBid, path: str) -> None:
        refuse = lambda at, reason, message, mend: self._reject_row("bid", f"{path}{at}", bid, reason, message, mend)  # noqa: E731
        if bid.status == "invited":
            return
        if bid.status not in _BID_STATUS:
            refuse(".status", "unknown_word", f"the bid's status is {bid.status!r}", _NOT_KNOWN_HERE)
            return
        if bid.id is None:
            refuse(".id", "no_id", "the bid has no id", "give it one.")
            return
        members = [org for org in map(self._organisation, bid.tenderers or []) if org is not None]
        if not members:
            refuse(".tenderers", "no_tenderer", "the bid names no tenderer", "name the bidder.")
            return
        lots = self._lots_of(bid.related_lots)
        if not lots:
            refuse(".relatedLots", "unknown_lot", "the bid does not say which of the lots it is for", _SAY_LOT)
            return
        date = self._moment(bid.date, "bid", f"{path}.date")
        lead = self._party(bid.tenderers[0]) if bid.tenderers else None
        for lot in lots:
            key = str(bid.id) if len(lots) == 1 else f"{bid.id}/{lot}"
            if key in self.bid_rows:
                refuse(".id", "duplicate_id", "two bids have this id", _ONE)
                return
            self.bid_rows[key] = {
                "source_record_id": self.ocid,
                "bid_id": self._id("bid/", key),
                "lot_id": self.lot_rows[lot]["lot_id"],
                "tender_id": self.ocid,
                "bidder_org_id": members[0],
                "is_consortium": len(set(members)) > 1 or "联合体" in ((lead.name if lead else None) or ""),
                "consortium_org_ids": json.dumps(list(dict.fromkeys(members))) if len(set(members)) > 1 else None,
                "bid_price": None,
                "status": self._bid_status(bid.status),
                "_bid": bid,
                "_lot": lot,
                "_path": path,
                "_date": date,
                "_members": members,
                "_shared": len(lots) > 1,
            }

    def _bid_status(self, status: str | None) -> str:
        if status == "valid" and self.publisher.bids_published == "ranked_candidates":
            return "candidate"
        return _BID_STATUS[status]

    def _settle_currencies(self) -> None:
        """Give each lot its currency, then read the prices of the bids in it."""
        by_lot: dict[str, list[str]] = {}
        for key, row in self.bid_rows.items():
            by_lot.setdefault(row["_lot"], []).append(key)
        for lot, keys in by_lot.items():
            own: str | None = self.lot_rows[lot]["currency"]
            seen = {c for key in keys if (c := _currency(self.bid_rows[key]["_bid"].value)) is not None}
            if own is None and len(seen) == 1:
                own = self.lot_rows[lot]["currency"] = next(iter(seen))
            for key in keys:
                self._price(key, own, disagree=own is None and len(seen) > 1)

    def _price(self, key: str, currency: str | None, *, disagree: bool) -> None:
        row = self.bid_rows[key]
        bid: OcdsBid = row["_bid"]
        path = f"{row['_path']}.value"
        given = _currency(bid.value)
        if bid.value is None or bid.value.amount is None:
            return
        if disagree:
            message = "the bids of this lot are in several currencies and the lot names none"
            self._reject_value("bid", path, bid.value, "currency_unknown", message, "give tender.value.currency.")
        elif given is not None and currency is not None and given != currency:
            message = f"the bid is in {given}, its lot in {currency}"
            self._reject_row("bid", path, bid, "currency_differs", message, "give the bid in the lot's currency.")
            del self.bid_rows[key]
        elif row["_shared"]:
            message = "one price covers several lots"
            self._reject_value("bid", path, bid.value, "shared_price", message, "give one bid a lot.")
        else:
            row["bid_price"] = self._money(bid.value, "bid", path, currency)

    def _drop_slipped_units(self) -> None:
        """Take out prices that stand in 万元 among prices in 元: about 1/10,000 of the others' median."""
        prices: dict[str, list[tuple[str, Decimal]]] = {}
        for key, row in self.bid_rows.items():
            if row["bid_price"]:
                prices.setdefault(row["lot_id"], []).append((key, row["bid_price"]))
        for priced in prices.values():
            amounts = [amount for _, amount in priced]
            if len(amounts) < 2 or max(amounts) * _SLIP_BAND < min(amounts) * _SLIP:
                continue
            for place, (key, amount) in enumerate(priced):
                if _slipped(amount, statistics.median(amounts[:place] + amounts[place + 1 :])):
                    row = self.bid_rows[key]
                    row["bid_price"] = None
                    message = f"{amount} is about 1/10,000 of the other bids of its lot, as if written in 万元"
                    self._reject_value(
                        "bid", f"{row['_path']}.value", row["_bid"].value, "unit_slip", message, "give 元, not 万元."
                    )

    # -- awards and contracts ------------------------------------------------------------------------------

    def _awards(self) -> None:
        for number, award in enumerate(self.release.awards or []):
            self._award(award, f"awards[{number}]")

    def _award(self, award: OcdsAward, path: str) -> None:
        refuse = lambda at, reason, message, mend: self._reject_row(
            "award", f"{path}{at}", award, reason, message, mend
        )
        if award.status == "unsuccessful":
            return
        if award.status not in _AWARD_STATUS:
            refuse(".status", "unknown_word", f"the award's status is {award.status!r}", _NOT_KNOWN_HERE)
            return
        if award.id is None:
            refuse(".id", "no_id", "the award has no id", "give it one.")
            return
        suppliers = [org for org in map(self._organisation, award.suppliers or []) if org is not None]
        related = award.related_bid if award.related_bid is not None else next(iter(award.related_bids or []), None)
        named = self.bid_rows.get(str(related)) if related is not None else None
        if named is not None and not suppliers:
            suppliers = [named["bidder_org_id"]]
        if not suppliers:
            refuse(".suppliers", "no_supplier", "the award names no supplier", "name the winner.")
            return
        lots = self._lots_of(award.related_lots) or ([named["_lot"]] if named is not None else [])
        if not lots:
            refuse(".relatedLots", "unknown_lot", "the award does not say which of the lots it is for", _SAY_LOT)
            return
        published = self._moment(award.date, "award", f"{path}.date")
        for lot in lots:
            key = str(award.id) if len(lots) == 1 else f"{award.id}/{lot}"
            if key in self.award_rows:
                refuse(".id", "duplicate_id", "two awards have this id", _ONE)
                return
            bid = named if named is not None and named["_lot"] == lot else self._bid_of(lot, suppliers)
            status = _AWARD_STATUS[award.status]
            self.award_rows[key] = {
                "source_record_id": self.ocid,
                "award_id": self._id("award/", key),
                "lot_id": self.lot_rows[lot]["lot_id"],
                "bid_id": bid["bid_id"] if bid else None,
                "org_id": bid["bidder_org_id"] if bid else suppliers[0],
                "amount": self._award_amount(award, path, lot, bid, shared=len(lots) > 1),
                "result_published_at": published,
                "status": status,
            }
            if bid is not None and status == "awarded" and bid["status"] in ("valid", "candidate", "submitted"):
                bid["status"] = "awarded"
            elif bid is not None and status == "candidate" and bid["status"] == "valid":
                bid["status"] = "candidate"

    def _bid_of(self, lot: str, suppliers: Sequence[str]) -> Row | None:
        """Find the bid of the winner: the one bid of the lot whose lead bidder is among the suppliers."""
        found = [
            row
            for row in self.bid_rows.values()
            if row["_lot"] == lot and row["bidder_org_id"] in suppliers and row["status"] != "withdrawn"
        ]
        return found[0] if len(found) == 1 else None

    def _award_amount(self, award: OcdsAward, path: str, lot: str, bid: Row | None, *, shared: bool) -> Decimal | None:
        value, path = award.value, f"{path}.value"
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
        amount = self._money(value, "award", path, own)
        if amount and bid is not None and bid["bid_price"] and _slipped(amount, bid["bid_price"]):
            message = f"{amount} is about 1/10,000 of the bid, as if written in 万元"
            self._reject_value("award", path, value, "unit_slip", message, "give 元, not 万元.")
            return None
        return amount

    def _contracts(self, party_a: str | None) -> None:
        seen: set[str] = set()
        for number, contract in enumerate(self.release.contracts or []):
            self._contract(contract, f"contracts[{number}]", party_a, seen)

    def _contract(self, contract: OcdsContract, path: str, party_a: str | None, seen: set[str]) -> None:
        award = self.award_rows.get(str(contract.award_id)) if contract.award_id is not None else None
        if award is None and contract.award_id is None and len(self.award_rows) == 1:
            award = next(iter(self.award_rows.values()))
        problem = None
        if contract.id is None:
            problem = (".id", "no_id", "the contract has no id", "give it one.")
        elif str(contract.id) in seen:
            problem = (".id", "duplicate_id", "two contracts have this id", _ONE)
        elif award is None:
            problem = (".awardID", "no_supplier", "the contract names no award of this process", "give its awardID.")
        elif party_a is None:
            problem = ("", "no_buyer", "the process names no buyer", "name the buyer.")
        elif contract.status is not None and contract.status not in _CONTRACT_STATUS:
            problem = (".status", "unknown_word", f"the contract's status is {contract.status!r}", _NOT_KNOWN_HERE)
        if problem is not None or award is None:
            at, reason, message, mend = problem or ("", "", "", "")
            self._reject_row("contract", f"{path}{at}", contract, reason, message, mend)
            return
        seen.add(str(contract.id))
        signed = self._moment(contract.date_signed, "contract", f"{path}.dateSigned")
        given = _currency(contract.value)
        own = next((row["currency"] for row in self.lot_rows.values() if row["lot_id"] == award["lot_id"]), None)
        amount = None
        if given is not None and own is not None and given != own and contract.value is not None:
            message = f"the contract is in {given}, its lot in {own}"
            self._reject_value(
                "contract", f"{path}.value", contract.value, "currency_differs", message, "give the lot's currency."
            )
        else:
            amount = self._money(contract.value, "contract", f"{path}.value", own)
        self.rows.tables["contract"].append(
            {
                "source_record_id": self.ocid,
                "contract_id": self._id("contract/", str(contract.id)),
                "project_id": self.ocid,
                "lot_id": award["lot_id"],
                "tender_id": self.ocid,
                "party_a_org_id": party_a,
                "party_b_org_id": award["org_id"],
                "signed_at": signed,
                "amount": amount,
                "status": _CONTRACT_STATUS.get(contract.status or "", "signed" if signed else "draft"),
            }
        )

    # -- parts ---------------------------------------------------------------------------------------------

    def _own(self, table: str) -> list[Row]:
        found: list[Row] = []
        for row in reversed(self.rows.tables[table]):
            if row["source_record_id"] != self.ocid:
                break
            found.append(row)
        return found

    def _lots_of(self, related: Iterable[Text] | None) -> list[str]:
        """Return the keys of the lots meant; empty when that is not told or a lot is not known."""
        if len(self.lot_rows) == 1:
            only = next(iter(self.lot_rows))
            known = not related or only == "" or any(str(lot) == only for lot in related)
            return [only] if known else []
        keys = list(dict.fromkeys(str(lot) for lot in related or []))
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
        full = self.parties.get(str(reference.id)) if reference.id is not None else None
        return full if full is not None and full.name else reference

    def _by_role(self, role: str) -> str | None:
        found = [party for party in self.release.parties or [] if party.roles and role in party.roles]
        return self._organisation(found[0]) if len(found) == 1 else None

    def _organisation(self, reference: Party | None) -> str | None:
        """Return the id of an organisation, adding it to the rows; None when nothing identifies it."""
        party = self._party(reference)
        if party is None or reference is None:
            return None
        identifier = str(reference.id) if reference.id is not None else None
        name = clean_name(party.name) or clean_name(reference.name) or clean_name(identifier)
        if name is None:
            return None
        code = _uscc(party) or _uscc(reference)
        org_id = code or scoped_id(self.publisher.scope, clean_name(identifier) or name)
        known = self.rows.organisations.get(org_id)
        if known is None or known["name"] != name:
            self.rows.organisations[org_id] = {
                "source_record_id": self.publisher.scope,
                "org_id": org_id,
                "uscc": code,
                "name": name,
            }
        return org_id

    def _id(self, kind: str, key: str) -> str:
        """Return an id below the ocid, free of ``~`` and at most 200 characters."""
        whole = f"{self.ocid}/{kind}{safe_id(key)}"
        return whole if len(whole) <= ID_MAX else f"{self.ocid}/{kind}{hashlib.sha256(key.encode()).hexdigest()[:16]}"

    def _moment(self, text: str | None, table: str, path: str) -> dt.datetime | None:
        if text is None:
            return None
        moment = _read_moment(text)
        if isinstance(moment, Problem):
            self._reject("value", table, path, text, moment.reason, moment.message, moment.mend, text)
            return None
        return moment

    def _money(self, value: Value | None, table: str, path: str, currency: str | None) -> Decimal | None:
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
_SAY_LOT = "name one of the tender's lots in relatedLots."


def safe_id(text: str) -> str:
    """Return an identifier without blanks at its ends and free of ``~``, which separates the ends of a pair."""
    return (clean_text(text) or "").replace("~", "%7E")


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


@lru_cache(maxsize=16)
def _enum_words(column: str) -> frozenset[str]:
    return frozenset(getattr(Tender.columns()[column], "categories", None) or ())
