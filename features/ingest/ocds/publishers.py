"""What publishers of OCDS data are known to publish: declared in ``publishers.yaml``, by prefix of ocids."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal, cast

import dataframely as dy
import yaml

from features.errors import InputError
from features.tables.tendering import Tender

BidsPublished = Literal["all", "ranked_candidates"]


@dataclass(frozen=True)
class Publisher:
    """Facts about all releases of one publisher; None is unknown.

    Attributes:
        scope: the prefix of the ocids, and of the organisation ids made from party ids.
        bids_published: whether all bids are published or only the ranked ones.
        region_code: the division the procedures belong to.
        region_name: its name.
        region_level: city, county or township.
        law_regime: the law the procedures follow.
        method: the method where a release names none.
        object_type: the object type where a release names none.
        tender_value: whether ``tender.value`` is the estimate or the control price (最高投标限价).
    """

    scope: str
    bids_published: BidsPublished | None = None
    region_code: str | None = None
    region_name: str | None = None
    region_level: Literal["city", "county", "township"] | None = None
    law_regime: str | None = None
    method: str | None = None
    object_type: str | None = None
    tender_value: Literal["estimate", "control_price"] = "estimate"


@dataclass(frozen=True)
class Publishers:
    """All declared publishers, and what the command line says about the delivery at hand.

    Attributes:
        declared: by prefix.
        bids_published: overrides the declaration.
        region_code: overrides the declaration.
        object_type: overrides the declaration; releases that name a category keep it.
    """

    declared: Mapping[str, Publisher]
    bids_published: BidsPublished | None = None
    region_code: str | None = None
    object_type: str | None = None

    def of(self, ocid: str) -> Publisher:
        """Return the publisher of an ocid: the longest declared prefix, else its first two parts."""
        matching = [scope for scope in self.declared if ocid.startswith(f"{scope}-")]
        publisher = self.declared[max(matching, key=len)] if matching else Publisher(_prefix(ocid))
        if self.bids_published is not None:
            publisher = replace(publisher, bids_published=self.bids_published)
        if self.object_type is not None:
            publisher = replace(publisher, object_type=self.object_type)
        if self.region_code is not None and self.region_code != publisher.region_code:
            publisher = replace(publisher, region_code=self.region_code, region_name=None, region_level=None)
        return publisher


def publishers(
    *, bids_published: BidsPublished | None = None, region_code: str | None = None, object_type: str | None = None
) -> Publishers:
    """Return the declared publishers with the overrides of a command.

    Raises:
        InputError: an override is no word or code that is known.
    """
    if region_code is not None and not re.fullmatch(r"\d{6}(\d{3})?", region_code):
        raise InputError(
            f"--region is {region_code!r}.", field="region", mend="give a code of GB/T 2260, such as 420500."
        )
    words = _words("object_type")
    if object_type is not None and object_type not in words:
        raise InputError(
            f"--object-type is {object_type!r}.", field="object_type", mend=f"give one of {', '.join(words)}."
        )
    return Publishers(_declared(), bids_published, region_code, object_type)


@cache
def _declared() -> Mapping[str, Publisher]:
    text = (files("features.ingest.ocds") / "publishers.yaml").read_text(encoding="utf-8")
    declared = cast(dict[str, dict[str, Any]], yaml.safe_load(text))
    return MappingProxyType({scope: _publisher(scope, facts) for scope, facts in declared.items()})


def _publisher(scope: str, facts: dict[str, Any]) -> Publisher:
    sources = facts.get("sources", {})
    stated = {key: value for key, value in facts.items() if key != "sources"}
    unsourced = stated.keys() - sources.keys()
    for key in ("law_regime", "method", "object_type"):
        if key in stated and stated[key] not in _words(key):
            raise InputError(
                f"{scope} declares {key} {stated[key]!r}.", field=key, mend="use a word of the data model."
            )
    if unsourced:
        raise InputError(
            f"{scope} declares {', '.join(sorted(unsourced))} without a source.",
            field="sources",
            mend="add a line for each.",
        )
    return Publisher(scope=scope, **stated)


def _prefix(ocid: str) -> str:
    parts = ocid.split("-")
    return "-".join(parts[:2]) if parts[0] == "ocds" and len(parts) > 2 else parts[0]


def _words(column: str) -> list[str]:
    declared = Tender.columns()[column]
    return list(declared.categories) if isinstance(declared, dy.Enum) else []
