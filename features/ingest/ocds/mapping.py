"""From the state of one OCDS process to rows of the data contract. What the release does not say stays null."""

import datetime as dt
from collections import Counter
from decimal import Decimal

import dataframely as dy

from features.ingest.cleaning import clean_text
from features.ingest.ocds.offers import Offers
from features.ingest.ocds.parts import Row, Rows, currency_of, key_of, unnamed
from features.ingest.ocds.publishers import Publisher
from features.ingest.ocds.release import OcdsLot, Typed
from features.tables.tendering import Tender

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
_TENDER_STATUS = {
    "planning": "planned",
    "planned": "planned",
    "unsuccessful": "failed",
    "cancelled": "terminated",
    "withdrawn": "terminated",
}
_LOT_STATUS = {"unsuccessful": "failed", "cancelled": "terminated", "withdrawn": "terminated"}
_SHAPE = "give it the shape of the OCDS schema."
_ONE = "give each an id of its own."


def map_process(typed: Typed, publisher: Publisher, rows: Rows, *, file: str = "") -> None:
    """Add the rows of one process.

    Args:
        typed: the state of the process.
        publisher: what is declared about its publisher.
        rows: where the rows go: one project and tender (id = ocid), its lots, bids, awards, contracts, and the
            organisations and region they name.
        file: the file it came from, for the quarantine.

    Raises:
        ProcessError: its ocid cannot be an id.
    """
    _Process(typed, publisher, rows, file).add()


class _Process(Offers):
    """One process on its way into rows."""

    def __init__(self, typed: Typed, publisher: Publisher, rows: Rows, file: str) -> None:
        super().__init__(typed, publisher, rows, file)
        self.misfits = typed.misfits
        self.tender_value: Decimal | None = None

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

    def _object_type(self) -> str | None:
        """The category of the release, else what is declared of its publisher; a word that is not known is neither."""
        given = clean_text(self.tender.main_procurement_category)
        if given is None:
            return self.publisher.object_type
        if given in _OBJECT_TYPES:
            return given
        message = f"the category is {given!r}, none of {', '.join(sorted(_OBJECT_TYPES))}"
        path, mend = "tender.mainProcurementCategory", "use one of these words, or leave it out."
        self._reject("value", "tender", path, given, "unknown_word", message, mend, given)
        return None

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
            amount = lot.value.amount if lot.value else None
            path, key = f"tender.lots[{number}].id", key_of(lot.id) or unnamed(lot.title, lot.description, amount)
            if key in lots:
                self._reject_row("lot", path, lot, "duplicate_id", "two lots have this id", _ONE)
            else:
                lots[key] = lot
        for key, lot in (lots or {"": OcdsLot()}).items():
            self.lot_rows[key] = self._lot(lot, key, several=len(lots) > 1)

    def _lot(self, lot: OcdsLot, key: str, *, several: bool) -> Row:
        title = clean_text(self.tender.title) or self._tender_no()
        currency = currency_of(lot.value) or currency_of(self.tender.value)
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
            if key is None or item.related_lot is None or key_of(item.related_lot) == key:
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
            own = single if statistic.related_lot is None else key_of(statistic.related_lot) == key
            if statistic.measure == "bids" and statistic.value is not None and own:
                return statistic.value
        return self.tender.number_of_tenderers if single else None


def _words(column: dy.Column) -> frozenset[str]:
    return frozenset(column.categories) if isinstance(column, dy.Enum) else frozenset()


_OBJECT_TYPES = _words(Tender.columns()["object_type"])
