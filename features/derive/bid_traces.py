"""What two rival bids of one lot have in common: computers, files, authors, texts, addresses, people, money."""

import datetime as dt
import re
from collections.abc import Sequence
from ipaddress import IPv6Network

import dataframely as dy
import msgspec
import polars as pl

from features.derive.addresses import usable_addresses
from features.derive.bid_pairs import (
    BIDDER,
    LINK,
    PAIR,
    BidPair,
    compared,
    is_listed,
    met,
    opened_bids,
    pooled,
    rivals,
    usable,
    values_of,
)
from features.derive.bids import LotBid, consortium_members
from features.derive.configured import listed
from features.derive.evidence import rows_as_evidence
from features.derive.lots import lot_facts, with_group
from features.derive.windows import complete_months
from features.tables.documents import BidDocPair, BidDocumentFingerprint, BondPayment, DocDownload
from features.tables.organisations import Organisation, SocialInsurance
from features.tables.source import SourceTables
from features.tables.tendering import Bid

HARDWARE = ("mac_address", "cpu_serial", "disk_serial", "mainboard_serial")
SEPARATORS = r"[-:.\s]"
"""What is left out of hardware values before they are compared (rulings SI-010)."""
AUTHOR_BIDDERS_MAX = 10
"""An author seen with more bidders is a vendor of templates (rulings G21, SI-014)."""
TEXT_FILES = ("technical", "whole")
"""Kinds of file whose text is compared (rulings SI-015)."""
TELLING_PLACES = ("header", "seal", "signature", "commitment")
"""Where a rival's name has no lawful reason to stand (rulings SI-016)."""
PEOPLE = ("pm_person_id", "tech_lead_person_id", "agent_person_id", "contact_person_id")
CONTACTS = {"contact_phone_hash": "phone", "contact_email_hash": "email"}
ACCOUNTS = ("payer_account_hash", "guarantee_fee_account_hash", "return_account_hash")
INTERMEDIARIES = ("bank", "insurer")


class TracePair(BidPair):
    """Two rival bids and the traces that they carry."""

    n_values = dy.Int64(min=0)
    """Usable values of the two together."""


class MachinePair(TracePair):
    """Which computers made the files of two bids of different control groups."""

    machine_known = dy.Bool()
    """Both carry a machine code."""
    machine_same = dy.Bool()
    n_hardware_known = dy.Int64(min=0, max=4)
    """Hardware attributes (network card, processor, disk, mainboard) that both carry."""
    n_hardware_same = dy.Int64(min=0, max=4)

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Compare without separators and case; all 0, all F and the list ``machine_whitelist`` say nothing (SI-010)."""
        bids = with_group(opened_bids(source, as_of), source, "bidder_org_id", "group_org_id")
        bare = pl.col("value").str.replace_all(SEPARATORS, "").str.to_lowercase()
        files = _files(source, bids, ("machine_code", *HARDWARE)).with_columns(value=bare)
        generic = [re.sub(SEPARATORS, "", entry) for entry in listed(source, "machine_whitelist", as_of)]
        telling = ~pl.col("value").str.contains("^(0*|f*)$") & ~pl.col("value").is_in(generic)
        values = pooled(files.filter(telling))
        kind = pl.col("kind")
        pairs = compared(
            bids,
            values,
            met(values, values),
            kinds=("machine_code", *HARDWARE),
            machine_same=(kind == "machine_code").any(),
            n_hardware_same=kind.filter(kind != "machine_code").n_unique().cast(pl.Int64),
        )
        return (
            pairs.filter(pl.col("group_org_id_1") != pl.col("group_org_id_2"))
            .with_columns(
                machine_known="machine_code",
                n_hardware_known=pl.sum_horizontal(pl.col(name).cast(pl.Int64) for name in HARDWARE),
            )
            .select(cls.column_names())
        )


class CommonValuePair(TracePair):
    """Two rival bids that carry, or do not carry, something in common."""

    known = dy.Bool()
    """Both carry a usable value."""
    same = dy.Bool()


class CreationIdPair(CommonValuePair):
    """Whether files of two bids grew out of one file."""

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Compare ids of any file; those of the list ``boilerplate_creation_id`` say nothing (SI-011)."""
        return _common_value(source, as_of, "file_creation_id", "boilerplate_creation_id")


class PricingLockPair(CommonValuePair):
    """Whether two bids were priced with one licence of the pricing software."""

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Compare lock numbers of any file; those of the list ``boilerplate_pricing_lock`` say nothing (SI-012)."""
        return _common_value(source, as_of, "pricing_lock_no", "boilerplate_pricing_lock")


class AddressPair(TracePair):
    """From which network addresses two bids were downloaded, uploaded and decrypted."""

    known = dy.Bool()
    """Both carry a usable address."""
    same = dy.Bool()
    """Any address of one is any of the other's."""
    n_types_same = dy.Int64(min=0, max=3)
    """How many of upload, decryption and download agree like with like."""

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, ip_prefix_v6: int) -> pl.LazyFrame:
        """Compare addresses, IPv6 by prefix; those of the list ``ip_whitelist`` say nothing (SI-013, G22, G25)."""
        bids = opened_bids(source, as_of)
        found = pl.concat([_bid_columns(source, bids, ("upload_ip", "decrypt_ip")), _downloads(source, bids, as_of)])
        addresses = found.select(pl.col("value").unique()).collect().to_series()
        usable_ones = usable_addresses(addresses, source, as_of)
        networks = usable_ones.with_columns(_networks(usable_ones["address"], ip_prefix_v6)).drop("address").lazy()
        compares = found.join(networks, on="value", how="inner").with_columns(kind=pl.lit("address"), value="network")
        values = pooled(compares)
        column = pl.col("column")
        return (
            compared(
                bids,
                values,
                met(values, values),
                kinds=("address",),
                same=pl.len() > 0,
                n_types_same=column.filter(column == pl.col("rival_column")).n_unique().cast(pl.Int64),
            )
            .rename({"address": "known"})
            .select(cls.column_names())
        )


class AuthorPair(TracePair):
    """What the properties of two bids' files say of who wrote them."""

    author_known = dy.Bool()
    modified_by_known = dy.Bool()
    company_known = dy.Bool()
    created_known = dy.Bool()
    author_same = dy.Bool()
    modified_by_same = dy.Bool()
    company_same = dy.Bool()
    """A file of one names the rival as its company, or files of both name one third firm."""
    created_together = dy.Bool()
    """Files of the two were created within the gap."""

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, created_gap_min: int) -> pl.LazyFrame:
        """Compare any file of one with any of the other.

        The list ``boilerplate_author`` and authors seen with more than ten bidders say nothing (SI-014, G21).
        """
        bids = opened_bids(source, as_of)
        written = _files(source, bids, ("author", "last_modified_by", "company"))
        telling = ~is_listed(source, "boilerplate_author", as_of)
        values = pooled(written.filter(telling).join(_vendors(source, as_of), on=["column", "value"], how="anti"))
        firms = source[Organisation].select(bidder_org_id="org_id", value=usable("name"))
        owners = bids.join(firms, on="bidder_org_id").with_columns(kind=pl.lit("company"), column=pl.lit("name"))
        created = _created(source, bids)
        kind = pl.col("kind")
        return (
            compared(
                bids,
                pl.concat([rows.select("bid_id", "kind") for rows in (values, created)]),
                pl.concat([met(values, values), met(values, owners), _created_together(created, created_gap_min)]),
                kinds=("author", "last_modified_by", "company", "doc_created_at"),
                author_same=(kind == "author").any(),
                modified_by_same=(kind == "last_modified_by").any(),
                company_same=(kind == "company").any(),
                created_together=(kind == "doc_created_at").any(),
            )
            .with_columns(
                author_known="author",
                modified_by_known="last_modified_by",
                company_known="company",
                created_known="doc_created_at",
            )
            .select(cls.column_names())
        )


class TextPair(BidPair):
    """How alike the texts of two bids are: one row a comparison, and one for each pair without."""

    text_similarity = dy.Float64(nullable=True, min=0, max=1)
    max_common_passage_chars = dy.Int64(nullable=True, min=0)
    shared_typos = dy.Int64(nullable=True, min=0)
    shared_images = dy.Int64(nullable=True, min=0)
    """Images of the tender document are not among them."""
    pages_known = dy.Bool()
    """The pages of both texts are known."""
    pages = dy.Int64(nullable=True, min=0)
    """Pages of the shorter of the texts whose pages are known."""

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Join each pair with the comparisons computed by the moment (SI-015)."""
        measured = ("text_similarity", "max_common_passage_chars", "shared_typos", "shared_images")
        page_count = pl.col("page_count")
        pages = (
            source[BidDocumentFingerprint]
            .filter(pl.col("file_kind").cast(pl.String).is_in(TEXT_FILES))
            .group_by("bid_id")
            .agg(pages=pl.when(page_count.count() > 0).then(page_count.sum()))
        )
        comparisons = source[BidDocPair].filter(pl.col("computed_at") <= as_of)
        evidence = comparisons.group_by("pair_id").agg(evidence=rows_as_evidence("bid_doc_pair", "pair_id", measured))
        oriented = comparisons.select(
            "pair_id",
            *measured,
            bid_1=pl.min_horizontal("bid_a_id", "bid_b_id"),
            bid_2=pl.max_horizontal("bid_a_id", "bid_b_id"),
        )
        return (
            rivals(opened_bids(source, as_of).join(pages, on="bid_id", how="left"))
            .join(oriented, on=PAIR, how="left")
            .join(evidence, on="pair_id", how="left")
            .sort("subject_id", "pair_id")
            .with_columns(
                evidence=pl.col("evidence").fill_null("[]"),
                pages_known=pl.col("pages_1").is_not_null() & pl.col("pages_2").is_not_null(),
                pages=pl.min_horizontal("pages_1", "pages_2"),
            )
            .select(cls.column_names())
        )


class MixedPair(CommonValuePair):
    """Whether a file of one bid names the other bidder where its own name belongs."""

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Look for the rival among the foreign names of telling places, in either direction (SI-016)."""
        bids = opened_bids(source, as_of)
        searched = _files(source, bids, ("foreign_name_hits",))
        texts = searched.select(pl.col("value").unique()).filter(pl.col("value").str.contains("{", literal=True))
        hits = _foreign_names(texts.collect().to_series()).lazy()
        named = searched.drop("kind").join(hits, on="value").with_columns(value="named", shown="named")
        links = met(pooled(named), _names(source, bids))
        return (
            compared(bids, searched, links, kinds=("foreign_name_hits",), same=pl.len() > 0)
            .rename({"foreign_name_hits": "known"})
            .select(cls.column_names())
        )


class PeoplePair(TracePair):
    """Which people and contacts two bids name."""

    known = dy.Bool()
    """Both carry a person, both a phone, or both an e-mail address."""
    person_same = dy.Bool()
    """A person named by one in any role is named by the other in any role."""
    phone_same = dy.Bool()
    email_same = dy.Bool()
    insured_by_rival = dy.Bool()
    """Agent or project manager of one was insured by the other bidder in the month of opening."""

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Compare people, phones, e-mail addresses and insured employers (SI-017).

        Phones of the list ``boilerplate_phone`` say nothing.
        """
        bids = opened_bids(source, as_of)
        kinds = dict.fromkeys(PEOPLE, "person") | CONTACTS
        named = _bid_columns(source, bids, tuple(kinds)).with_columns(kind=pl.col("column").replace_strict(kinds))
        generic = (pl.col("kind") == "phone") & is_listed(source, "boilerplate_phone", as_of)
        values = pooled(named.filter(~generic))
        employers = met(_insured(source, values, as_of), _bidders(bids, "employer"))
        kind = pl.col("kind")
        return (
            compared(
                bids,
                values,
                pl.concat([met(values, values), employers]),
                kinds=("person", "phone", "email"),
                person_same=(kind == "person").any(),
                phone_same=(kind == "phone").any(),
                email_same=(kind == "email").any(),
                insured_by_rival=(kind == "employer").any(),
            )
            .with_columns(known=pl.any_horizontal("person", "phone", "email"))
            .select(cls.column_names())
        )


class BondPair(CommonValuePair):
    """Whether the bonds of two bids came from, or went back to, one purse."""

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Compare payers and accounts, like with like.

        Banks, insurers, a guarantee's own issuer and the list ``intermediary_accounts`` say nothing (SI-018).
        """
        bids = opened_bids(source, as_of)
        bonds = (
            source.with_sensitive(BondPayment)
            .drop("lot_id")
            .join(bids, on="bid_id", how="inner")
            .with_columns(return_account_hash=pl.when(pl.col("returned_at") <= as_of).then("return_account_hash"))
        )
        finance = source[Organisation].filter(pl.col("org_type").cast(pl.String).is_in(INTERMEDIARIES))
        own = pl.col("payer_org_id").ne_missing(pl.col("guarantee_issuer_org_id"))
        payers = values_of(bonds.filter(own), BondPayment, ("payer_org_id",)).join(
            finance.select(value="org_id"), on="value", how="anti"
        )
        between = is_listed(source, "intermediary_accounts", as_of)
        values = pooled(pl.concat([payers, values_of(bonds, BondPayment, ACCOUNTS).filter(~between)]))
        links = pl.concat([met(values, values), met(values, _bidders(bids, "payer_org_id"))])
        return (
            compared(bids, values, links, kinds=(), same=pl.len() > 0)
            .with_columns(known=(pl.col("n_values_1") > 0) & (pl.col("n_values_2") > 0))
            .select(cls.column_names())
        )


def _files(source: SourceTables, bids: pl.LazyFrame, columns: Sequence[str]) -> pl.LazyFrame:
    rows = source[BidDocumentFingerprint].join(bids, on="bid_id", how="inner")
    return values_of(rows, BidDocumentFingerprint, columns)


def _bid_columns(source: SourceTables, bids: pl.LazyFrame, columns: Sequence[str]) -> pl.LazyFrame:
    return values_of(source[Bid].join(bids.select("bid_id"), on="bid_id", how="semi"), Bid, columns)


def _common_value(source: SourceTables, as_of: dt.datetime, column: str, generic: str) -> pl.LazyFrame:
    """Return whether two bids carry one value of a column of their files; values of a list say nothing."""
    bids = opened_bids(source, as_of)
    carried = _files(source, bids, (column,)).filter(~is_listed(source, generic, as_of))
    values = pooled(carried)
    return (
        compared(bids, values, met(values, values), kinds=(column,), same=pl.len() > 0)
        .rename({column: "known"})
        .select(CommonValuePair.column_names())
    )


def _downloads(source: SourceTables, bids: pl.LazyFrame, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the addresses from which each bidder, or a member of its consortium, obtained the tender document."""
    tenders = source[Bid].select("bid_id", "tender_id")
    named = pl.concat([source[Bid].select("bid_id", org_id="bidder_org_id"), consortium_members(source)]).unique()
    bidders = named.join(tenders, on="bid_id", how="inner").join(bids, on="bid_id", how="inner")
    rows = (
        source[DocDownload]
        .filter(pl.col("downloaded_at") <= as_of)
        .join(bidders, on=["tender_id", "org_id"], how="inner")
    )
    return values_of(rows, DocDownload, ("ip_address",))


def _networks(addresses: pl.Series, ip_prefix_v6: int) -> pl.Series:
    """Return what addresses are compared by: an IPv4 address itself, of an IPv6 one its network of that prefix."""
    return pl.Series(
        "network",
        [str(IPv6Network((text, ip_prefix_v6), strict=False)) if ":" in text else text for text in addresses],
        dtype=pl.String,
    )


def _vendors(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the authors seen with more than ten bidders, over all bids known: column, value."""
    opened = lot_facts(source, as_of).filter("opened").select("lot_id")
    bids = source[Bid].select(BIDDER).join(opened, on="lot_id", how="semi")
    return (
        _files(source, bids, ("author",))
        .group_by("column", "value")
        .agg(n_bidders=pl.col("bidder_org_id").n_unique())
        .filter(pl.col("n_bidders") > AUTHOR_BIDDERS_MAX)
        .select("column", "value")
    )


def _created(source: SourceTables, bids: pl.LazyFrame) -> pl.LazyFrame:
    """Return when each file was created, as values of a bid with the instant ``at``."""
    return (
        source[BidDocumentFingerprint]
        .filter(pl.col("doc_created_at").is_not_null())
        .join(bids, on="bid_id", how="inner")
        .select(
            *BIDDER,
            at=pl.col("doc_created_at").dt.epoch("us"),
            key="fingerprint_id",
            table=pl.lit(BidDocumentFingerprint.NAME),
            kind=pl.lit("doc_created_at"),
            column=pl.lit("doc_created_at"),
            shown=pl.col("doc_created_at").dt.strftime("%Y-%m-%d %H:%M"),
        )
    )


def _created_together(created: pl.LazyFrame, gap_min: int) -> pl.LazyFrame:
    """Return the ends of links between files created at most so many minutes apart."""
    gap = gap_min * 60 * 1_000_000
    spans = created.with_columns(span=pl.col("at") // (gap + 1))
    theirs = spans.select(
        "lot_id",
        "span",
        rival_at="at",
        rival_id="bid_id",
        rival_org_id="bidder_org_id",
        rival_column="column",
    )
    near = pl.concat([theirs.with_columns(pl.col("span") + step) for step in (-1, 0, 1)])
    together = (pl.col("at") - pl.col("rival_at")).abs() <= gap
    return (
        spans.join(near, on=["lot_id", "span"], how="inner")
        .filter(together, pl.col("bidder_org_id") != pl.col("rival_org_id"))
        .select(LINK)
    )


class _Hit(msgspec.Struct):
    """One foreign name found in a file."""

    value: str | None = None
    org_id: str | None = None
    place: str | None = None


def _foreign_names(texts: pl.Series) -> pl.DataFrame:
    """Return what hits in telling places name: value (the text of all hits of a file), kind, named.

    A text that is no list of hits names nobody.
    """
    found: list[tuple[str, str, str]] = []
    for text in texts:
        try:
            hits = msgspec.json.decode(text, type=list[_Hit])
        except msgspec.DecodeError:
            continue
        for hit in hits:
            told = {"org_id": hit.org_id, "name": hit.value, "uscc": hit.value}
            if hit.place in TELLING_PLACES:
                found += [(text, kind, named.strip()) for kind, named in told.items() if named]
    return pl.DataFrame(found, schema={"value": pl.String, "kind": pl.String, "named": pl.String}, orient="row")


def _names(source: SourceTables, bids: pl.LazyFrame) -> pl.LazyFrame:
    """Return by what each bidder may be named: BIDDER, kind (org_id, name, uscc), column, value."""
    firms = source[Organisation].select("name", "uscc", bidder_org_id="org_id")
    return (
        bids.join(firms, on="bidder_org_id", how="left")
        .with_columns(org_id="bidder_org_id")
        .unpivot(["org_id", "name", "uscc"], index=list(BIDDER), variable_name="kind", value_name="value")
        .with_columns(value=usable("value"), column="kind")
    )


def _bidders(bids: pl.LazyFrame, kind: str) -> pl.LazyFrame:
    """Return the bidders themselves as values of a kind."""
    return bids.with_columns(kind=pl.lit(kind), column=pl.lit("bidder_org_id"), value="bidder_org_id")


def _insured(source: SourceTables, named: pl.LazyFrame, as_of: dt.datetime) -> pl.LazyFrame:
    """Return who insured the agents and project managers in the month of opening, as values of kind employer."""
    month = pl.col("opening_at").dt.strftime("%Y-%m")
    opened = LotBid.derive(source, as_of).select("bid_id", month=month)
    people = (
        named.filter(pl.col("column").is_in(["pm_person_id", "agent_person_id"]))
        .select(*BIDDER, person_id="value")
        .unique()
        .join(opened, on="bid_id", how="inner")
    )
    complete = complete_months(as_of, 1)[0]
    rows = (
        source.with_sensitive(SocialInsurance)
        .filter(pl.col("month") <= complete)
        .join(people, on=["person_id", "month"], how="inner")
    )
    return values_of(rows, SocialInsurance, ("org_id",)).with_columns(kind=pl.lit("employer"))
