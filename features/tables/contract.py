"""The tables that are built so far, and the dictionary that describes all of them."""

import csv
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

from features.tables.columns import Table
from features.tables.contracts import Contract
from features.tables.organisations import Organisation
from features.tables.projects import Project
from features.tables.reference import Region
from features.tables.results import IndicatorValue, LabelFeedback, SmokeIndex
from features.tables.tendering import Award, Bid, Lot, Tender

SOURCE_TABLES: Mapping[str, type[Table]] = MappingProxyType(
    {table.NAME: table for table in (Region, Organisation, Project, Tender, Lot, Bid, Award, Contract, LabelFeedback)}
)
"""Tables that sources deliver, parents before children."""

RESULT_TABLES: Mapping[str, type[Table]] = MappingProxyType(
    {table.NAME: table for table in (IndicatorValue, SmokeIndex)}
)
"""Tables that the platform derives."""

ALL_TABLES: Mapping[str, type[Table]] = MappingProxyType({**SOURCE_TABLES, **RESULT_TABLES})


def data_model() -> list[dict[str, str]]:
    """Return the carried data model, one dict a column with the headings of ``model/data-model.csv``."""
    text = (files("features.tables") / "model" / "data-model.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
