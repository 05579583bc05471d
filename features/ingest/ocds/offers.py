"""From the bids, awards and contracts of an OCDS process to rows."""

import datetime as dt
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from features.ingest.ocds.parts import Parts, Row, Rows, currency_of, key_of, unnamed
from features.ingest.ocds.publishers import Publisher
from features.ingest.ocds.release import OcdsAward, OcdsBid, OcdsContract, Typed, Value

_BID_STATUS = {
    None: "submitted",
    "pending": "submitted",
    "valid": "valid",
    "disqualified": "disqualified",
    "withdrawn": "withdrawn",
}
_AWARD_STATUS = {"active": "awarded", "pending": "candidate", "cancelled": "invalidated"}
_CONTRACT_STATUS = {"pending": "draft", "active": "signed", "cancelled": "terminated", "terminated": "terminated"}
_SLIP = Decimal(10_000)
_SLIP_BAND = 3
_NOT_KNOWN_HERE = "use a word of the OCDS code list, or leave it out."
_ONE = "give each an id of its own."
_IN_YUAN = "give 元, not 万元."
_SAY_LOT = "name one of the tender's lots in relatedLots."


@dataclass
class LotBid:
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


class Offers(Parts):
    """The bids, awards and contracts of one process; its lots are mapped before."""

    def __init__(self, typed: Typed, publisher: Publisher, rows: Rows, file: str) -> None:
        """Take one process, as ``Parts`` does."""
        super().__init__(typed, publisher, rows, file)
        self.bids: dict[str, LotBid] = {}
        self.award_rows: dict[str, Row] = {}
        self.awards_by_no: dict[str, list[Row]] = {}
        self.contract_rows: dict[str, Row] = {}

    def _bids(self) -> None:
        for number, bid in enumerate((self.release.bids.details if self.release.bids else None) or []):
            self._bid(bid, f"bids.details[{number}]")
        self._settle_currencies()

    def _bid(self, bid: OcdsBid, path: str) -> None:
        if bid.status == "invited":
            return
        members = self._members(bid.tenderers)
        lots = self._lots_of(bid.related_lots)
        key = key_of(bid.id) or unnamed(members, lots, bid.date, _stated(bid.value))
        ids = {lot: self._id("bid/", key if len(lots) == 1 else f"{key}/{lot}") for lot in lots}
        problem = None
        if bid.status not in _BID_STATUS:
            problem = (".status", "unknown_word", f"the bid's status is {bid.status!r}", _NOT_KNOWN_HERE)
        elif not members:
            problem = (".tenderers", "no_tenderer", "the bid names no tenderer", "name the bidder.")
        elif not lots:
            problem = (".relatedLots", "unknown_lot", "the bid does not say which of the lots it is for", _SAY_LOT)
        elif not self.bids.keys().isdisjoint(ids.values()):
            problem = (".id", "duplicate_id", "two bids have this id, or none and say the same", _ONE)
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
            self.bids[bid_id] = LotBid(bid, path, lot, date, len(lots) > 1, row)

    def _bid_status(self, status: str | None) -> str:
        if status == "valid" and self.publisher.bids_published == "ranked_candidates":
            return "candidate"
        return _BID_STATUS[status]

    def _settle_currencies(self) -> None:
        """Give each lot its currency, then read the prices of the bids in it."""
        by_lot: dict[str, list[LotBid]] = {}
        for bid in self.bids.values():
            by_lot.setdefault(bid.lot, []).append(bid)
        for lot, bids in by_lot.items():
            own: str | None = self.lot_rows[lot]["currency"]
            seen = {currency for bid in bids if (currency := currency_of(bid.given.value)) is not None}
            if own is None and len(seen) == 1:
                own = self.lot_rows[lot]["currency"] = next(iter(seen))
            for bid in bids:
                self._price(bid, own, disagree=own is None and len(seen) > 1)

    def _price(self, bid: LotBid, currency: str | None, *, disagree: bool) -> None:
        value, path = bid.given.value, f"{bid.path}.value"
        given = currency_of(value)
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
        priced: dict[str, list[LotBid]] = {}
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
        suppliers = self._members(award.suppliers)
        named = self._named_bids(award)
        lots = self._lots_of(award.related_lots) or list(dict.fromkeys(bid.lot for bid in named))
        if not suppliers:
            suppliers = list(dict.fromkeys(bid.row["bidder_org_id"] for bid in named))
        key = key_of(award.id) or unnamed(suppliers, lots, award.date, _stated(award.value))
        ids = {lot: self._id("award/", key if len(lots) == 1 else f"{key}/{lot}") for lot in lots}
        problem = None
        if award.status not in _AWARD_STATUS:
            problem = (".status", "unknown_word", f"the award's status is {award.status!r}", _NOT_KNOWN_HERE)
        elif not suppliers:
            problem = (".suppliers", "no_supplier", "the award names no supplier", "name the winner.")
        elif not lots:
            problem = (".relatedLots", "unknown_lot", "the award does not say which of the lots it is for", _SAY_LOT)
        elif not self.award_rows.keys().isdisjoint(ids.values()):
            problem = (".id", "duplicate_id", "two awards have this id, or none and say the same", _ONE)
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

    def _named_bids(self, award: OcdsAward) -> list[LotBid]:
        """Return the bids that an award refers to by their id."""
        given = [award.related_bid, *(award.related_bids or [])]
        keys = {key_of(one) for one in given if one is not None}
        return [bid for bid in self.bids.values() if key_of(bid.given.id) in keys] if keys else []

    def _bid_of(self, lot: str, suppliers: Sequence[str]) -> LotBid | None:
        """Find the bid of the winner: the one bid of the lot whose lead bidder is among the suppliers."""
        found = [
            bid
            for bid in self.bids.values()
            if bid.lot == lot and bid.row["bidder_org_id"] in suppliers and bid.row["status"] != "withdrawn"
        ]
        return found[0] if len(found) == 1 else None

    def _award_amount(
        self, award: OcdsAward, path: str, lot: str, bid: LotBid | None, *, shared: bool
    ) -> Decimal | None:
        value = award.value
        if value is None or value.amount is None:
            return None
        given, own = currency_of(value), self.lot_rows[lot]["currency"]
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
        key = key_of(contract.id) or unnamed(key_of(contract.award_id), contract.date_signed, _stated(contract.value))
        contract_id = self._id("contract/", key)
        awards = self.awards_by_no.get(key_of(contract.award_id), [])
        if contract.award_id is None and len(self.award_rows) == 1:
            awards = list(self.award_rows.values())
        winners = {award["org_id"] for award in awards}
        problem = None
        if contract_id in self.contract_rows:
            problem = (".id", "duplicate_id", "two contracts have this id, or none and say the same", _ONE)
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
        value, given = contract.value, currency_of(contract.value)
        own = {row["currency"] for row in self.lot_rows.values() if row["lot_id"] in lots} - {None}
        if value is not None and given is not None and own and own != {given}:
            message = f"the contract is in {given}, its lot in {' and '.join(sorted(own))}"
            self._reject_value("contract", path, value, "currency_differs", message, "give the lot's currency.")
            return None
        return self._money(value, "contract", path)


def _stated(value: Value | None) -> tuple[object, object]:
    return (value.amount, value.currency) if value else (None, None)


def _slipped(amount: Decimal, median: Decimal) -> bool:
    target = median / _SLIP
    return target / _SLIP_BAND <= amount <= target * _SLIP_BAND
