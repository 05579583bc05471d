"""All 73 tables, parents before children, and the dictionary that describes them."""

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from features.tables.bills import BidItemPrice, BoqItem
from features.tables.columns import Table
from features.tables.completion import Acceptance, SettlementAudit
from features.tables.contracts import Contract, ContractChange, QuantityMeasurement, Subcontract
from features.tables.credit import Complaint, Sanction
from features.tables.disposition import (
    AccountabilityRecord,
    CaseRecord,
    Disposition,
    DispositionAction,
    IssuedDocument,
    JointInspection,
    RaisedWarning,
)
from features.tables.documents import (
    BidDocPair,
    BidDocumentFingerprint,
    BondPayment,
    DocDownload,
    TenderDocFingerprint,
)
from features.tables.evaluation import CommitteeDraw, EvaluationScore, Expert
from features.tables.money import (
    FundFlow,
    MarketPrice,
    MaterialPurchase,
    Payment,
    WageAccount,
    WagePayment,
    WorkerDay,
)
from features.tables.organisations import (
    Organisation,
    OrgChange,
    OrgPerson,
    Person,
    PersonCertificate,
    PersonRelation,
    Qualification,
    Shareholding,
    SocialInsurance,
)
from features.tables.procurement import EmergencyProject, ProcurementOrder, ReservePoolMember
from features.tables.projects import Approval, BudgetAllocation, Project
from features.tables.reference import AccessLog, CalendarDay, Department, Param, Region, SourceSync, UserAccount
from features.tables.results import IndicatorValue, LabelFeedback, ModelVersion, SmokeIndex, SupervisionPointResult
from features.tables.site import (
    Attendance,
    KeyPersonnel,
    LeaveRecord,
    PersonnelReplacement,
    ProgressReport,
    SiteInspection,
    Suspension,
    VideoDay,
    VideoDevice,
)
from features.tables.tendering import Award, Bid, Lot, Tender, TenderClause

ALL_TABLES: Mapping[str, type[Table]] = MappingProxyType(
    {
        table.NAME: table
        for table in (
            *(Region, Department, CalendarDay, SourceSync, Organisation, Person, UserAccount, AccessLog, Param),
            *(OrgChange, OrgPerson, Shareholding, PersonRelation, Qualification, PersonCertificate, SocialInsurance),
            *(Project, BudgetAllocation, Tender, Lot, TenderClause, TenderDocFingerprint, DocDownload, BoqItem),
            *(Bid, BidDocumentFingerprint, BidDocPair, BidItemPrice, BondPayment, Award),
            *(Expert, CommitteeDraw, EvaluationScore),
            *(Contract, Approval, Subcontract, ContractChange, QuantityMeasurement),
            *(Payment, FundFlow, MaterialPurchase, MarketPrice, WageAccount, WagePayment, WorkerDay),
            *(KeyPersonnel, PersonnelReplacement, Attendance, LeaveRecord, ProgressReport, Suspension),
            *(SiteInspection, VideoDevice, VideoDay, ProcurementOrder, ReservePoolMember, EmergencyProject),
            *(Acceptance, SettlementAudit, Complaint, Sanction),
            *(SupervisionPointResult, IndicatorValue, ModelVersion, SmokeIndex),
            *(RaisedWarning, Disposition, LabelFeedback, DispositionAction, IssuedDocument, CaseRecord),
            *(JointInspection, AccountabilityRecord),
        )
    }
)
"""Every table, parents before children but for ``LATER_PARENTS`` and rows that refer to rows of their own table."""

LATER_PARENTS: frozenset[tuple[str, str]] = frozenset({("organisation", "legal_rep_person_id")})
"""Table and column of the references to a table that comes later: organisations and persons refer to each other."""

RESULT_TABLES: Mapping[str, type[Table]] = MappingProxyType(
    {table.NAME: table for table in (SupervisionPointResult, IndicatorValue, SmokeIndex)}
)
"""Tables that the platform derives from the others."""

SOURCE_TABLES = ALL_TABLES
"""Tables that files and feeds may deliver: all of them, since results travel between installations too."""

FACT_TABLES: Mapping[str, type[Table]] = MappingProxyType(
    {
        name: table
        for name, table in ALL_TABLES.items()
        if table.STORE == "delta" and name not in RESULT_TABLES and table not in (SourceSync, ModelVersion)
    }
)
"""Tables that measurements rest on: without results, the case store and the platform's records of itself."""


def data_model() -> list[dict[str, str]]:
    """Return the carried data model, one dict a column with the headings of ``model/data-model.csv``."""
    return carried("data-model.csv")


@cache
def words_zh() -> Mapping[tuple[str, str], Mapping[str, str]]:
    """Return the Chinese word of every value of every closed list, by table and column."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in carried("words_zh.csv"):
        found.setdefault((row["table"], row["column"]), {})[row["value"]] = row["label_zh"]
    return found


def carried(name: str) -> list[dict[str, str]]:
    """Return the rows of one of the lists under ``model/``."""
    text = (files("features.tables") / "model" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
