"""An agency's computers and addresses among the traces of bids in its tenders."""

import datetime as dt

import dataframely as dy
import polars as pl

from features.derive.addresses import usable_addresses
from features.derive.bids import submitted_bids
from features.derive.configured import listed
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.pairs import organisation_pair
from features.derive.windows import in_window, short_history
from features.tables.documents import BidDocumentFingerprint, TenderDocFingerprint
from features.tables.source import SourceTables
from features.tables.tendering import Bid, Lot, Tender

MACHINES = ("machine_code", "mac_address")
NAMES = ("author", "last_modified_by")
KINDS = (*MACHINES, *NAMES, "ip_address")
SIGNS = (*MACHINES, "ip_address", "names")
PAIR = ("agency_org_id", "bidder_org_id")
MEETING = ("tender_id", *PAIR)


class AgencyDevice(Derived):
    """What traces of a bidder's files are those of the agency that ran the tender.

    Of several tenders the one with most in common stands, of several such the one opened last.
    """

    subject_id = dy.String()
    agency_org_id = dy.String()
    bidder_org_id = dy.String()
    n_tenders = dy.Int64(min=1)
    """Tenders of the agency in which the bidder bid."""
    machine_code = dy.Bool()
    """The same in a file of the bidder and in tender documents of the agency."""
    mac_address = dy.Bool()
    ip_address = dy.Bool()
    """Bids were sent from an address of the agency."""
    names = dy.Bool()
    """Author and last editor are both the agency's."""
    comparable = dy.Bool()
    """In one tender both carry a value that could be the same."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
        """Compare S(l) with the agency's tender documents of that tender or of the window (rulings G14, SI-063)."""
        bids = _bids(source, as_of)
        documents = _documents(source, as_of, window_months)
        theirs = _usable(_bid_values(source, bids), source, as_of).collect().lazy()
        own = _usable(_document_values(source, documents), source, as_of).collect().lazy()
        same = _in_common(theirs, own).collect().lazy()
        meetings = bids.select(*MEETING, "opening_at").unique()
        told = (
            meetings.join(_told(same), on=MEETING, how="left")
            .join(_comparable(theirs, own), on=MEETING, how="left")
            .with_columns(
                pl.col("comparable", "machine_code", "mac_address", "ip_address", "names").fill_null(value=False)
            )
        )
        telling = (
            told.with_columns(
                n_tenders=pl.len().over(PAIR).cast(pl.Int64),
                comparable=pl.col("comparable").any().over(PAIR),
                n_same=pl.sum_horizontal(SIGNS),
            )
            .sort("n_same", "opening_at", "tender_id")
            .unique(subset=PAIR, keep="last", maintain_order=True)
        )
        first = documents.select(pl.col("at").min()).collect().item()
        return (
            telling.join(_evidence(same), on=MEETING, how="left")
            .with_columns(
                pl.col("evidence").fill_null("[]"),
                subject_id=organisation_pair(pl.col("agency_org_id"), pl.col("bidder_org_id")),
                short_history=pl.lit(short_history(first, as_of, window_months)),
            )
            .select(cls.column_names())
            .sort("subject_id", "agency_org_id")
        )


def _bids(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return S(l) of opened tenders with an agency: bid_id, MEETING and opening_at."""
    tenders = source[Tender].filter(pl.col("agency_org_id").is_not_null(), pl.col("opening_at") <= as_of)
    return (
        submitted_bids(source)
        .join(source[Lot].select("lot_id", "tender_id"), on="lot_id", how="inner")
        .join(tenders.select("tender_id", "agency_org_id", "opening_at"), on="tender_id", how="inner")
        .filter(pl.col("bidder_org_id") != pl.col("agency_org_id"))
        .select("bid_id", *MEETING, "opening_at")
    )


def _documents(source: SourceTables, as_of: dt.datetime, window_months: int) -> pl.LazyFrame:
    """Return tender documents known by the moment, dated by the notice, else the opening: with at and recent."""
    dates = source[Tender].select("tender_id", at=pl.coalesce("notice_published_at", "opening_at"))
    return (
        source[TenderDocFingerprint]
        .join(dates, on="tender_id", how="inner")
        .filter(pl.col("at") <= as_of)
        .with_columns(recent=in_window(pl.col("at"), as_of, window_months))
    )


def _bid_values(source: SourceTables, bids: pl.LazyFrame) -> pl.LazyFrame:
    """Return the traces of bids, one a row: MEETING, table, key, kind, value."""
    files = source[BidDocumentFingerprint].join(bids, on="bid_id", how="inner")
    sent = source[Bid].select("bid_id", ip_address="upload_ip").join(bids, on="bid_id", how="inner")
    return pl.concat(
        [
            _one_a_row(files, BidDocumentFingerprint.NAME, "fingerprint_id", [*MACHINES, *NAMES], MEETING),
            _one_a_row(sent, Bid.NAME, "bid_id", ["ip_address"], MEETING),
        ]
    )


def _document_values(source: SourceTables, documents: pl.LazyFrame) -> pl.LazyFrame:
    """Return the traces of tender documents, one a row: agency_org_id, tender_id, recent, table, key, kind, value."""
    named = documents.rename({"org_id": "agency_org_id"})
    about = ("agency_org_id", "tender_id", "recent")
    return _one_a_row(named, TenderDocFingerprint.NAME, "tdf_id", list(KINDS), about)


def _one_a_row(rows: pl.LazyFrame, table: str, key: str, columns: list[str], about: tuple[str, ...]) -> pl.LazyFrame:
    return rows.select(*about, *columns, key=key, table=pl.lit(table)).unpivot(
        columns, index=[*about, "table", "key"], variable_name="kind", value_name="value"
    )


def _usable(values: pl.LazyFrame, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Write values as they are compared, and leave out those that say nothing.

    Machines without separators and case, not all zeros or Fs nor in ``machine_whitelist``; names trimmed, not in
    ``boilerplate_author``; addresses not in ``ip_whitelist``.
    """
    text, kind = pl.col("value").str.strip_chars(), pl.col("kind")
    bare = text.str.replace_all(r"[-:.\s]", "").str.to_lowercase()
    terminals = listed(source, "machine_whitelist", as_of).str.replace_all(r"[-:.\s]", "").implode()
    nobody = listed(source, "boilerplate_author", as_of).implode()
    machines = (
        values.filter(kind.is_in(MACHINES))
        .with_columns(value=bare)
        .filter(~pl.col("value").str.contains("^(0*|f*)$"), ~pl.col("value").is_in(terminals))
    )
    written = values.filter(kind.is_in(NAMES)).with_columns(value=text)
    names = written.filter(pl.col("value") != "", ~pl.col("value").str.to_lowercase().is_in(nobody))
    addresses = values.filter(kind == "ip_address", text != "").with_columns(value=text)
    texts = addresses.select(pl.col("value").unique()).collect().to_series()
    known = usable_addresses(texts, source, as_of).lazy()
    sent = addresses.join(known, on="value", how="inner").with_columns(value="address").drop("address")
    return pl.concat([machines, names, sent])


def _in_common(theirs: pl.LazyFrame, own: pl.LazyFrame) -> pl.LazyFrame:
    """Return each trace of a bid that is the agency's in the same tender or the window: MEETING, kind, and both rows.

    One of the agency's documents stands for all with the value.
    """
    recent = own.filter("recent").group_by("agency_org_id", "kind", "value").agg(document=pl.col("key").min())
    same = own.group_by("agency_org_id", "tender_id", "kind", "value").agg(document=pl.col("key").min())
    in_window = theirs.join(recent, on=["agency_org_id", "kind", "value"], how="inner")
    in_tender = theirs.join(same, on=["agency_org_id", "tender_id", "kind", "value"], how="inner")
    return pl.concat([in_window, in_tender]).group_by(*MEETING, "kind", "table", "key").agg(pl.col("document").min())


def _told(same: pl.LazyFrame) -> pl.LazyFrame:
    """Return what of each meeting is the same: MEETING, machine_code, mac_address, ip_address, names."""
    found = {kind: (pl.col("kind") == kind).any() for kind in KINDS}
    return same.group_by(MEETING).agg(**found).with_columns(names=pl.all_horizontal(NAMES)).select(*MEETING, *SIGNS)


def _comparable(theirs: pl.LazyFrame, own: pl.LazyFrame) -> pl.LazyFrame:
    """Return whether both ends of a meeting carry a machine, a card, an address, or both names."""
    carried = _carried(theirs, MEETING, "")
    recent = _carried(own.filter("recent"), ("agency_org_id",), "_recent")
    at_hand = _carried(own, ("agency_org_id", "tender_id"), "_at_hand")
    both = {
        kind: pl.col(kind) & (pl.col(f"{kind}_recent") | pl.col(f"{kind}_at_hand")).fill_null(value=False)
        for kind in KINDS
    }
    alone = [both[kind] for kind in KINDS if kind not in NAMES]
    names = pl.all_horizontal(both[kind] for kind in NAMES)
    return (
        carried.join(recent, on="agency_org_id", how="left")
        .join(at_hand, on=["agency_org_id", "tender_id"], how="left")
        .select(*MEETING, comparable=pl.any_horizontal(*alone, names))
    )


def _carried(values: pl.LazyFrame, ends: tuple[str, ...], suffix: str) -> pl.LazyFrame:
    """Return which kinds of values stand with each end: a column a kind."""
    return values.group_by(ends).agg((pl.col("kind") == kind).any().alias(f"{kind}{suffix}") for kind in KINDS)


def _evidence(same: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows of both sides that agree and in what: MEETING, evidence."""
    documents = same.select(*MEETING, "kind", table=pl.lit(TenderDocFingerprint.NAME), key="document")
    return (
        pl.concat([same.select(*MEETING, "kind", "table", "key"), documents])
        .group_by(*MEETING, "table", "key")
        .agg(same=pl.col("kind").unique().sort().str.join(" "))
        .group_by(MEETING)
        .agg(evidence=rows_as_evidence(pl.col("table"), "key", ["tender_id", "same"]))
    )
