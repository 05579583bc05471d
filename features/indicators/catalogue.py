"""The catalogue: an entry for each indicator, with texts, law, parameters and worked cases, one YAML file each."""

import csv
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import yaml

from features.assessment.declare import Entry
from features.errors import CatalogueError

_FOLDER = files("features.indicators") / "catalogue"


def specification() -> list[dict[str, str]]:
    """Return the carried specification of all 84 indicators, one dict each, sorted by id."""
    text = (_FOLDER / "smoke-indicators.csv").read_text(encoding="utf-8")
    return sorted(csv.DictReader(text.splitlines()), key=lambda row: row["id"])


def planned(row: dict[str, str]) -> Entry:
    """Return the entry of an indicator that is not yet built, as specified."""
    return Entry(
        id=row["id"],
        code=row["code"],
        version=0,
        name_zh=row["name_zh"],
        name_en=row["name_en"],
        analysis=row["analysis"],
        analysis_zh=row["analysis_zh"],
        family=row["family"],
        subject_level=row["subject_level"],
        pair_of=row["pair_of"],
        severity=int(row["severity"]),
        law=tuple(part.strip() for part in row["legal_basis"].split(";")),
        params=json.loads(row["params"]),
        caution=row["false_positive_note"],
        state="planned",
    )


def built(text: str, spec: dict[str, str]) -> Entry:
    """Return the entry that a YAML file states.

    Raises:
        CatalogueError: a field is missing.
    """
    stated: dict[str, Any] = yaml.safe_load(text)
    try:
        return Entry(
            id=stated["id"],
            code=stated["code"],
            version=stated["version"],
            name_zh=stated["name"]["zh"],
            name_en=stated["name"]["en"],
            analysis=stated["analysis"],
            analysis_zh=spec["analysis_zh"],
            family=stated["family"],
            subject_level=stated["subject"],
            pair_of=stated.get("pair_of", ""),
            severity=stated["severity"],
            law=tuple(stated["law"]),
            params=stated["params"],
            caution=stated["caution"],
            state="built",
            raw_zh=stated["raw"]["zh"],
            raw_format=stated["raw"]["format"],
            support_zh=stated["support_zh"],
            rule_template_zh=stated["rule_zh"],
            cases=tuple(stated["cases"]),
        )
    except KeyError as error:
        message = f"{spec['id']}.yaml has no field {error.args[0]!r}; add it as in the other files of the catalogue."
        raise CatalogueError(message) from error


@cache
def entries() -> tuple[Entry, ...]:
    """Return all 84 entries, sorted by id."""
    found: list[Entry] = []
    for spec in specification():
        file = _FOLDER / f"{spec['id']}.yaml"
        found.append(built(file.read_text(encoding="utf-8"), spec) if file.is_file() else planned(spec))
    return tuple(found)


@cache
def entries_by_id() -> Mapping[str, Entry]:
    """Return all 84 entries by their ids."""
    return MappingProxyType({entry.id: entry for entry in entries()})


@cache
def index_params() -> dict[str, float]:
    """Return the parameters of the smoke index (``INDEX.*``), keys without the prefix."""
    text = (_FOLDER / "parameters.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {row["name"]: float(row["default_value"]) for row in rows if row["item_id"] == "INDEX"}
