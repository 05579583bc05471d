"""What publishers of OCDS data are known to publish: declared in ``ocds_publishers.yaml``, by prefix of ocids."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal, cast

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
    """

    declared: Mapping[str, Publisher]
    bids_published: BidsPublished | None = None
    region_code: str | None = None

    def of(self, ocid: str) -> Publisher:
        """Return the publisher of an ocid: the longest declared prefix, else its first two parts."""
        matching = [scope for scope in self.declared if ocid.startswith(f"{scope}-")]
        publisher = self.declared[max(matching, key=len)] if matching else Publisher(_prefix(ocid))
        if self.bids_published is not None:
            publisher = replace(publisher, bids_published=self.bids_published)
        if self.region_code is not None and self.region_code != publisher.region_code:
            publisher = replace(publisher, region_code=self.region_code, region_name=None, region_level=None)
        return publisher


def publishers(*, bids_published: str | None = None, region_code: str | None = None) -> Publishers:
    """Return the declared publishers with the overrides of a command.

    Raises:
        InputError: an override is no word that is known.
    """
    if bids_published not in (None, "all", "ranked_candidates"):
        raise InputError(
            f"--bids-published is {bids_published!r}.", field="bids_published", mend="say all or ranked_candidates."
        )
    return Publishers(_declared(), bids_published, region_code)


@cache
def _declared() -> Mapping[str, Publisher]:
    text = (files("features.ingest") / "ocds_publishers.yaml").read_text(encoding="utf-8")
    declared = cast(dict[str, dict[str, Any]], yaml.safe_load(text))
    return MappingProxyType({scope: _publisher(scope, facts) for scope, facts in declared.items()})


def _publisher(scope: str, facts: dict[str, Any]) -> Publisher:
    sources = facts.get("sources", {})
    stated = {key: value for key, value in facts.items() if key != "sources"}
    unsourced = stated.keys() - sources.keys()
    columns = Tender.columns()
    for key in ("law_regime", "method", "object_type"):
        words = getattr(columns[key], "categories", None)
        if words is not None and key in stated and stated[key] not in words:
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
