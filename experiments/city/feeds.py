"""Which source delivers what, in which file format: the list of the city's feeds.

A feed carries the columns of one table that the data contract ascribes to its source; where it carries fewer or others,
:data:`FEEDS` says so. Written from the contract alone: the connectors have their own declarations, and the two meet in
the files only.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from experiments.city.facts import contract_columns

Format = Literal["csv", "csv_gb18030", "jsonl", "json", "xml", "xlsx", "parquet"]

EXTENSION: dict[Format, str] = {
    "csv": "csv",
    "csv_gb18030": "csv",
    "jsonl": "jsonl",
    "json": "json",
    "xml": "xml",
    "xlsx": "xlsx",
    "parquet": "parquet",
}
DATE = {
    **dict.fromkeys(("S01", "S02", "S04", "S05", "S06", "S10", "S11", "P00"), "%Y-%m-%d"),
    **dict.fromkeys(("S03", "S09"), "%Y/%-m/%-d"),
    **dict.fromkeys(("S08", "S12"), "%Y年%-m月%-d日"),
    "S07": "%Y%m%d",
}
"""How a source writes a day."""
MOMENT = {
    **dict.fromkeys(("S01", "S04", "S05", "S10", "S11"), "%Y-%m-%d %H:%M:%S"),
    **dict.fromkeys(("S03", "S09"), "%Y/%-m/%-d %H:%M"),
    **dict.fromkeys(("S08", "S12"), "%Y年%-m月%-d日 %H:%M"),
    **dict.fromkeys(("S06", "P00"), "%Y-%m-%dT%H:%M:%S+08:00"),
    "S07": "%Y%m%d%H%M%S",
}
"""How a source writes a moment; S02, which is not listed, gives milliseconds since 1970 UTC."""
UPDATED = MOMENT | {
    **dict.fromkeys(("S03", "S09"), "%Y/%-m/%-d %H:%M:%S"),
    **dict.fromkeys(("S08", "S12"), "%Y年%-m月%-d日 %H:%M:%S"),
}
"""How a source writes 更新时间."""
TEN_THOUSANDS = frozenset({"S05", "S08", "S12"})
"""Sources that give money in 万元."""
PERCENT = frozenset({"S02", "S11", "P00"})
"""Sources that give ratios in percent."""

TRAFFIC_AND_WATER = frozenset({"highway", "water"})
"""Sectors whose sites are inspected and whose progress is reported in S09."""


@dataclass(frozen=True)
class Feed:
    """One kind of record that one source delivers.

    Attributes:
        source: code of the source system.
        name: of the feed, also of its files.
        format: of its files.
        table: of the data contract.
        columns: of the table that it carries, the key first.
        alternatives: sources of which one, told by ``source_code`` of the facts, delivers a given row; empty if the
            feed takes all rows.
        keeps: of the rows, those where all these columns have a value; empty: all rows.
    """

    source: str
    name: str
    format: Format
    table: str
    columns: tuple[str, ...]
    alternatives: bool = False
    keeps: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The feed as truth and manifest name it: source and feed."""
        return f"{self.source}/{self.name}"


@cache
def _ascribed(source: str, table: str) -> tuple[str, ...]:
    key = contract_columns(table)[0]["column"]
    own = [c["column"] for c in contract_columns(table) if source in c["source_system"].split("+")]
    return (key, *(name for name in own if name != key))


def _feed(source: str, fmt: Format, name: str, table: str = "", only: str = "", also: str = "") -> Feed:
    table = table or name
    key = contract_columns(table)[0]["column"]
    columns = (key, *only.split()) if only else (*_ascribed(source, table), *also.split())
    return Feed(source, name, fmt, table, columns)


def _shared(*feeds: Feed) -> tuple[Feed, ...]:
    """Mark feeds whose table has rows of several sources."""
    return tuple(replace(feed, alternatives=True) for feed in feeds)


def _kept(feed: Feed, *columns: str) -> Feed:
    return replace(feed, keeps=columns)


_PROJECT_P00 = (
    "project_code name project_type sector region_code admin_level owner_org_id secrecy_level funding_source "
    "mandatory_tender longitude latitude geofence_radius_m status online_at"
)
_DERIVED_TRACES = "simhash typo_set image_phash_set foreign_name_hits"
_PAIR = "lot_id bid_a_id bid_b_id text_similarity max_common_passage_chars shared_typos shared_images computed_at"

FEEDS: tuple[Feed, ...] = (
    # P00 first: everything else refers to its regions, departments, projects and contracts.
    _feed("P00", "jsonl", "region"),
    _feed("P00", "jsonl", "department"),
    _feed("P00", "jsonl", "project", only=_PROJECT_P00),
    _feed("P00", "jsonl", "contract", also="doc_consistency deviation_items"),
    _feed("P00", "jsonl", "contract_change"),
    _feed("P00", "jsonl", "key_personnel"),
    _feed("P00", "jsonl", "personnel_replacement"),
    _feed("P00", "jsonl", "leave_record"),
    _feed("P00", "jsonl", "reserve_pool_member"),
    _feed("P00", "jsonl", "emergency_project"),
    _feed("P00", "jsonl", "person", only="name phone_hash"),
    _kept(_feed("P00", "jsonl", "lot_place", "lot", only="longitude latitude"), "longitude", "latitude"),
    _feed("P00", "jsonl", "org_profile", "organisation", only="org_type basic_account_hash"),
    _feed("P00", "jsonl", "label_feedback"),
    _feed("P00", "parquet", "attendance"),
    _feed("P00", "parquet", "quantity_measurement"),
    *_shared(
        _feed("S01", "csv_gb18030", "tender"),
        _feed("S01", "csv_gb18030", "lot"),
        _feed("S01", "csv_gb18030", "tender_clause"),
        _feed("S01", "csv_gb18030", "bid"),
        _feed("S01", "csv_gb18030", "award"),
        _feed("S01", "csv_gb18030", "committee_draw"),
        _feed("S01", "csv_gb18030", "evaluation_score"),
        _feed("S01", "csv_gb18030", "complaint"),
        _feed("S01", "csv_gb18030", "expert"),
    ),
    _feed("S01", "csv_gb18030", "doc_download"),
    _feed("S01", "csv_gb18030", "bond_payment"),
    _feed("S01", "csv_gb18030", "boq_item"),
    _feed("S01", "csv_gb18030", "bid_item_price"),
    _feed("S01", "jsonl", "tender_doc_fingerprint"),
    _feed("S01", "jsonl", "bid_document_fingerprint", also=_DERIVED_TRACES),
    _feed("S01", "jsonl", "bid_doc_pair", only=_PAIR),
    _kept(
        _feed("S02", "jsonl", "site_project", "project", only="project_code actual_start_date actual_finish_date"),
        "actual_start_date",
    ),
    *_shared(_feed("S02", "jsonl", "progress_report")),
    _feed("S02", "jsonl", "suspension"),
    _feed("S02", "jsonl", "video_device"),
    _feed("S02", "jsonl", "video_day"),
    *_shared(
        _feed("S03", "xlsx", "permit", "approval"),
        _feed("S03", "xlsx", "qualification"),
        _feed("S03", "xlsx", "person_certificate"),
        _feed("S03", "xlsx", "subcontract"),
        _feed("S03", "xlsx", "market_price"),
        _feed("S03", "xml", "site_inspection"),
        _feed("S03", "xml", "acceptance"),
        _feed("S03", "xml", "sanction"),
        _feed("S04", "json", "sanction"),
        _feed("S05", "xml", "approval"),
        _feed("S06", "jsonl", "tender"),
        _feed("S06", "jsonl", "lot"),
        _feed("S06", "jsonl", "bid"),
        _feed("S06", "jsonl", "award"),
        _feed("S06", "jsonl", "committee_draw"),
        _feed("S06", "jsonl", "expert"),
        _feed("S06", "jsonl", "evaluation_score"),
        _feed("S06", "jsonl", "complaint"),
        _feed("S06", "jsonl", "acceptance"),
        _feed("S06", "jsonl", "sanction"),
        _feed("S08", "xlsx", "approval"),
        _feed("S09", "csv_gb18030", "qualification"),
        _feed("S09", "csv_gb18030", "person_certificate"),
        _feed("S09", "csv_gb18030", "subcontract"),
        _feed("S09", "csv_gb18030", "site_inspection"),
        _feed("S09", "csv_gb18030", "acceptance"),
        _feed("S09", "csv_gb18030", "sanction"),
        _feed("S09", "csv_gb18030", "market_price"),
        _feed("S09", "csv_gb18030", "progress_report"),
        _kept(_feed("S04", "json", "org_credit", "organisation", only="credit_grade"), "credit_grade"),
        _kept(_feed("S09", "csv_gb18030", "org_credit", "organisation", only="credit_grade"), "credit_grade"),
    ),
    _kept(_feed("S03", "xlsx", "unit_works", "lot", only="unit_works_code"), "unit_works_code"),
    _feed("S05", "xml", "project"),
    _kept(_feed("S05", "xml", "budget_plan", "budget_allocation", only="plan_amount"), "plan_amount"),
    _feed("S06", "jsonl", "procurement_order"),
    _kept(_feed("S06", "jsonl", "contract_notice", "contract", only="published_at"), "published_at"),
    _feed("S07", "csv", "budget_allocation"),
    _feed("S07", "csv", "payment"),
    _feed("S10", "parquet", "social_insurance"),
    _feed("S10", "parquet", "wage_account"),
    _feed("S10", "parquet", "wage_payment"),
    _feed("S10", "parquet", "worker_day"),
    _kept(_feed("S10", "parquet", "employment", "person", only="name employer_org_id"), "employer_org_no"),
    _feed("S11", "json", "organisation"),
    _feed("S11", "json", "org_person"),
    _feed("S11", "json", "shareholding"),
    _feed("S11", "json", "org_change"),
    _feed("S12", "xlsx", "settlement_audit"),
)
"""All feeds of the thirteen sources."""
