"""The shapes in which the city's facts travel, between its makers and what writes the deliveries.

``population(seed, projects)`` gives a :class:`Population`; ``registry(population)`` its one-off facts;
``blocks(population, seed, projects)`` yields :data:`Facts` block by block in the order of time. A frame of
:data:`Facts` is named after a table of the data contract and has the contract's columns, with these differences:

- ``updated_at`` (naive Shanghai time): when the source wrote the record. Several rows of one key are versions of it,
  in the order of ``updated_at`` (tender, lot and project have them: as announced, and as they ended).
- A reference to an organisation or a person is its row number in the population: ``bidder_org_id`` is
  ``bidder_org_no``, ``consortium_org_ids`` is ``consortium_org_nos`` (list), ``org_id`` is ``org_no``,
  ``pm_person_id`` is ``pm_person_no``. So is the key of the tables organisation and person. Departments and regions
  stand as their codes.
- What the platform hashes is given in clear, without the suffix: ``contact_phone_hash`` is ``contact_phone``,
  ``payer_account_hash`` is ``payer_account``, ``id_no_hash`` is ``id_no``.
- What the platform derives itself (source D00) is absent, but for the trading platform's comparison of bid files.
- Money is Float64 rounded to the cent, ratios are fractions, enums are the contract's English values.
- ``consortium_org_nos``, ``avoided_org_nos``, ``typo_set``, ``image_phash_set``, ``specialty_codes`` are lists,
  ``foreign_name_hits`` a list of structs {kind, value, org_no, place}, other json columns JSON text.
- ``procurement_order.contract_id`` and ``emergency_project.contract_id`` are null here: who makes the contract of a
  plan (``award_plan.order_id``, ``award_plan.emergency_id``) fills them in.

A record tells nothing that happens after it was written (``updated_at``), but for announced dates: a bid deadline, the
end of a sale, planned starts and ends. Nothing that happens at or after :data:`CITY_END` is in a frame: rows later than
it are absent, columns that would become known later are null, and the status is the one of that day.
"""

import csv
import datetime as dt
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import polars as pl

import features.tables

Facts = dict[str, pl.DataFrame]

CITY_START = dt.datetime(2023, 1, 1)  # noqa: DTZ001 - source systems write Shanghai time without a zone
CITY_END = dt.datetime(2026, 1, 1)  # noqa: DTZ001

TENDERING = (
    "project",
    "approval",
    "budget_allocation",
    "tender",
    "lot",
    "tender_clause",
    "doc_download",
    "tender_doc_fingerprint",
    "bid",
    "bid_document_fingerprint",
    "bid_doc_pair",
    "boq_item",
    "bid_item_price",
    "bond_payment",
    "award",
    "committee_draw",
    "evaluation_score",
    "complaint",
    "procurement_order",
    "emergency_project",
)
"""The tables of a block, besides ``award_plan``."""

REGISTRY = (
    "region",
    "department",
    "organisation",
    "person",
    "org_person",
    "shareholding",
    "org_change",
    "qualification",
    "person_certificate",
    "expert",
    "reserve_pool_member",
)
"""The tables of ``registry(population)``, with the changes of three years as later versions."""

AWARD_PLAN = pl.Schema(
    {
        "plan_id": pl.String,  # one row a contract to come; unique
        "project_id": pl.String,
        "project_code": pl.String,  # null for some emergency projects
        "tender_id": pl.String,  # null: directly awarded, no tendering activity
        "lot_id": pl.String,  # null with it
        "bid_id": pl.String,  # the winning bid, null with it
        "order_id": pl.String,  # procurement_order that this contract belongs to, else null
        "emergency_id": pl.String,  # emergency_project that this contract belongs to, else null
        "project_type": pl.String,
        "object_type": pl.String,  # = contract_type
        "sector": pl.String,
        "region_code": pl.String,
        "admin_level": pl.String,
        "name": pl.String,  # of the lot or the piece of work
        "category_code": pl.String,
        "owner_org_no": pl.Int32,
        "agency_org_no": pl.Int32,
        "winner_org_no": pl.Int32,
        "consortium_org_nos": pl.List(pl.Int32),
        "real_builder_org_no": pl.Int32,  # = winner unless the work is done by somebody else
        "award_amount": pl.Float64,
        "control_price": pl.Float64,
        "true_cost": pl.Float64,  # what the works cost whoever builds them honestly
        "awarded_at": pl.Datetime("us"),
        "contract_due_at": pl.Datetime("us"),  # when an ordinary signing would be (within 30 days of the award)
        "planned_start_date": pl.Date,
        "planned_duration_days": pl.Int32,
        "longitude": pl.Float64,
        "latitude": pl.Float64,
        "pm_person_no": pl.Int32,
        "tech_lead_person_no": pl.Int32,
        "supervisor_org_no": pl.Int32,  # supervision firm of works and epc plans
        "losing_org_nos": pl.List(pl.Int32),  # the other bidders of the lot
        "scheme": pl.String,  # misbehaviour to carry out after the award, null = none (EXECUTION_SCHEMES)
        "skill": pl.String,  # clumsy, practised or careful; null without scheme
        "intensity": pl.Float64,  # 0..1, how far it goes
        "look_alike": pl.String,  # honest, but looks like something (EXECUTION_LOOK_ALIKES), else null
        "group_no": pl.Int64,  # the group behind the scheme, as in the truth; null without
    }
)

EXECUTION_SCHEMES = {
    "licence_lending": "挂靠: real_builder bids and builds under the winner's licence for a fee of 1% to 3%",
    "works_transfer": "转包: the winner passes the whole works to real_builder after the award for a margin",
    "illegal_subcontract": "违法分包: the main structure goes to real_builder, often a losing bidder, in a subcontract",
    "pay_ahead": "money paid ahead of the progress, with inflated progress reports",
    "low_award_high_final": "award far below cost, made up by changes and claims",
    "over_measurement": "quantities certified that were not built, or certified twice",
    "payment_kickback": "fast, split or doubled payments to a favoured payee below the approval limit",
    "wage_diversion": "labour fee kept back or taken out of the wage account",
    "unbalanced_bid": "items that are known to grow were priced high (boq and bid_item_price already show it)",
    "direct_then_grow": "award below the tender limit without tender, then supplements beyond it",
    "dismembered_works": "one unit works (same unit_works_code) given to several contractors",
    "provisional_evasion": "a large provisional sum awarded later without a tender of its own",
    "emergency_abuse": "ordinary works under the name of an emergency (emergency_project already shows it)",
    "settlement_collusion": "the settlement reviewer lets an inflated final account pass",
}
"""What ``award_plan.scheme`` may say: schemes whose acts lie after the award."""

EXECUTION_LOOK_ALIKES = {
    "geology_changes": "honest growth by unforeseen ground, documented and approved",
    "price_rise": "honest growth by the price-adjustment clause",
    "year_end_settling": "honest heavy payment in December: the budget year closes",
    "steel_advance": "honest large prepayment for steel or equipment, guaranteed and offset",
    "labour_heavy": "honest large labour subcontracts of a firm that owns no crew",
    "local_branch": "outside firm builds honestly with local staff, insured at its local branch",
    "illness_replacement": "honest change of the project manager: illness, resignation",
    "genuine_emergency": "real emergency, started before the paper, fully evidenced",
    "small_nature": "works that are small by nature: village roads, each in its own village",
}

GROWING_ITEMS = (1, 4, 8)
"""Places (0 = the first) of the items of a bill whose quantity grows where a scheme or honest ground makes it grow."""


@dataclass(frozen=True)
class Population:
    """Who lives and works in the city, fixed before anything happens.

    ``organisations`` (row number = org_no): org_no, uscc (18, valid check digit), name, org_type, ownership,
    region_code, longitude, latitude, address, phone, email, bank, account, capital, established_date, insured_count,
    is_sme, reg_status, legal_rep_person_no, contact_person_no, ward, trade, grade, capacity (CNY a year), cost_level
    (1 = the market's), quality (0..1), admin_level and competent_dept_id (owners), credit_grade.
    ``persons`` (row number = person_no): person_no, id_no (18, valid), name, phone, role (legal_rep, manager, agent,
    contact, pm, tech_lead, quality_lead, safety_lead, labour_manager, supervisor, finance, expert, owner_staff),
    home_org_no.
    ``employment``: person_no, org_no, from_month, to_month (YYYY-MM, null = to the end): who paid social insurance.
    ``experts``: expert_id, person_no, specialty (trade), employer_org_no, region_code, ward, entered_at.
    ``shareholdings``: org_no, holder_org_no, holder_person_no, ratio, since, until (null = founded, to this day).
    ``posts``: org_no, person_no, office, beside those that follow from a person's role.
    ``ties``: whose firm is whose (``concerns.TIES``); organisations have hand, hand_after and handed_on from it.
    ``groups``: group_no, kind, skill, ward, boss_org_no, member_org_nos: who acts together (rings, captures, families).
    ``regions``, ``departments``: as the tables.
    """

    seed: int
    projects: int
    wards: int
    organisations: pl.DataFrame
    persons: pl.DataFrame
    employment: pl.DataFrame
    experts: pl.DataFrame
    shareholdings: pl.DataFrame
    posts: pl.DataFrame
    ties: pl.DataFrame
    groups: pl.DataFrame
    regions: pl.DataFrame
    departments: pl.DataFrame


_JSON_LISTS = {"typo_set": pl.String, "image_phash_set": pl.String, "specialty_codes": pl.String}
_HIT = pl.Struct({"kind": pl.String, "value": pl.String, "org_no": pl.Int32, "place": pl.String})
_TYPES: dict[str, pl.DataType | type[pl.DataType]] = {
    "string": pl.String,
    "enum": pl.String,
    "decimal": pl.Float64,
    "float": pl.Float64,
    "int": pl.Int64,
    "bool": pl.Boolean,
    "date": pl.Date,
    "datetime": pl.Datetime("us"),
}
_COMPARED = ("bid_document_fingerprint", "bid_doc_pair")


@cache
def _contract() -> dict[str, list[dict[str, str]]]:
    path = Path(features.tables.__path__[0]) / "model" / "data-model.csv"
    tables: dict[str, list[dict[str, str]]] = {}
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            tables.setdefault(row["table"], []).append(row)
    return tables


def contract_columns(table: str) -> list[dict[str, str]]:
    """Return the rows of data-model.csv of one table, the key first.

    Raises:
        KeyError: the data contract has no such table.
    """
    return _contract()[table]


def fact_name(table: str, column: dict[str, str]) -> str:
    """Return the name that a column of the contract has in the frames of :data:`Facts`."""
    name = column["column"]
    owner = column["references"].split(".")[0] or table
    if owner in ("organisation", "person") and name.endswith("_id") and (column["references"] or column["key"] == "PK"):
        return f"{name[:-3]}_no"
    if name.endswith("_org_ids"):
        return f"{name[:-4]}_nos"
    return name.removesuffix("_hash") if name != "file_hash" else name


def fact_type(column: dict[str, str], name: str) -> pl.DataType | type[pl.DataType]:
    """Return the polars type of a column in the frames of :data:`Facts`."""
    if name.endswith("_nos"):
        return pl.List(pl.Int32)
    if name.endswith(("org_no", "person_no")):
        return pl.Int32
    if name == "foreign_name_hits":
        return pl.List(_HIT)
    if name in _JSON_LISTS:
        return pl.List(_JSON_LISTS[name])
    return _TYPES.get(column["type"], pl.String)


@cache
def fact_schema(table: str) -> pl.Schema:
    """Return the columns and types of a table's frame in :data:`Facts`, ``updated_at`` last.

    Raises:
        KeyError: the data contract has no such table.
    """
    schema: dict[str, pl.DataType | type[pl.DataType]] = {}
    for column in _contract()[table]:
        if column["source_system"] == "D00" and table not in _COMPARED:
            continue
        name = fact_name(table, column)
        schema[name] = fact_type(column, name)
    return pl.Schema(schema | {"updated_at": pl.Datetime("us")})


def allowed_values(table: str) -> dict[str, list[str]]:
    """Return the closed list of every enum column of a table."""
    return {c["column"]: c["enum_values"].split(";") for c in _contract()[table] if c["enum_values"]}


def shaped(table: str, frame: pl.DataFrame, schema: pl.Schema | None = None) -> pl.DataFrame:
    """Bring a frame into the shape of a table: its columns, in order and type; absent ones are null.

    Raises:
        KeyError: a column of the frame is none of the table's.
    """
    schema = schema or fact_schema(table)
    if unknown := [name for name in frame.columns if name not in schema]:
        raise KeyError(f"{table} has no column {', '.join(unknown)}")
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in schema.items()
    )
