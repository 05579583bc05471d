"""Unresolved identities as work for people: what could not be told, who it may be, and what was decided.

Two append-only Delta tables under ``home/identities``: ``sightings`` (which records of a source brought an unresolved
code and name) and ``decisions`` (who decided what, and why). A work item is what stands in both for one id; the newest
decision holds. Names under one code that do not go together are items as well; they are worked out from the stored
versions each time they are asked for, so none is ever out of date.

Nothing is decided here by itself. A decision is used by the mapping when the records are replayed, and afterwards.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl
from deltalake import write_deltalake

from features.errors import InputError
from features.ingest.cleaning import clean_name
from features.ingest.identity.candidates import Candidate, organisation_candidates, person_candidates
from features.ingest.identity.conflicts import name_conflicts
from features.ingest.identity.resolving import Kind, Known, number_neighbours, shown_code, shown_number
from features.ingest.keys import Keys
from features.tables.columns import ZONE
from features.tables.delta import scan
from features.tables.organisations import Organisation, Person
from features.tables.reference import Region
from features.tables.store import TableStore

State = Literal["open", "decided", "dismissed"]

SIGHTING_SCHEMA: dict[str, pl.DataType] = {
    "item_id": pl.String(),
    "kind": pl.String(),
    "source": pl.String(),
    "feed": pl.String(),
    "given": pl.String(),
    "name": pl.String(),
    "reason": pl.String(),
    "region_code": pl.String(),
    "employer_org_id": pl.String(),
    "neighbours": pl.List(pl.String()),
    "records": pl.List(pl.Int64()),
}
"""One row a work item and feed in one batch. ``given`` is masked for persons; ``records`` are 64-bit digests of the ids
of the records, so that a record delivered twice counts once; ``neighbours`` as ``resolving.number_neighbours``."""
DECISION_SCHEMA: dict[str, pl.DataType] = {
    "item_id": pl.String(),
    "state": pl.String(),
    "decided_id": pl.String(),
    "decided_by": pl.String(),
    "because": pl.String(),
    "candidates": pl.String(),
    "decided_at": pl.Datetime("us", ZONE),
}
"""One row a decision; ``candidates`` is what was proposed to the person who decided."""
ITEM_SCHEMA: dict[str, pl.DataType] = {
    "item_id": pl.String(),
    "kind": pl.String(),
    "about": pl.String(),
    "source": pl.String(),
    "feeds": pl.String(),
    "given": pl.String(),
    "name": pl.String(),
    "reason": pl.String(),
    "region_code": pl.String(),
    "employer_org_id": pl.String(),
    "neighbours": pl.List(pl.String()),
    "records": pl.Int64(),
    "first_seen": pl.Datetime("us", ZONE),
    "last_seen": pl.Datetime("us", ZONE),
}
"""``about`` is organisation or person, also for a name conflict; there, ``given`` is the id and no number."""


def sightings(
    kind: Kind,
    source: str,
    feed: str,
    rows: pl.DataFrame,
    *,
    keys: Keys | None = None,
) -> pl.DataFrame:
    """Return what a batch brought of unresolved identities: rows of ``SIGHTING_SCHEMA``, one an item.

    Args:
        kind: ``organisation`` or ``person``.
        source: the source system.
        feed: the feed, such as ``S01/bid``.
        rows: ``item_id`` and ``reason`` as ``organisation_ids`` or ``person_ids`` returned them (null where resolved),
            ``given`` and ``name`` as delivered, ``record`` (the record's id in the source) and, where the feed tells
            them, ``region_code`` and ``employer_org_id``.
        keys: of the hashes; needed for persons.
    """
    hints = [name for name in ("region_code", "employer_org_id") if name in rows.columns]
    found = rows.filter(pl.col("item_id").is_not_null()).select("item_id", "reason", "given", "name", "record", *hints)
    items = found.group_by("item_id", maintain_order=True).agg(
        pl.col("reason", "given", "name", *hints).drop_nulls().first(), pl.col("record").unique()
    )
    answers: list[dict[str, object]] = []
    person = kind == "person"
    near = number_neighbours(items.get_column("given").to_list(), keys) if person and keys else [[]] * items.height
    for row, neighbours in zip(items.iter_rows(named=True), near, strict=True):
        answers.append(
            {
                **{name: row[name] for name in ("item_id", "reason", *hints)},
                "kind": kind,
                "source": source,
                "feed": feed,
                "given": shown_number(row["given"]) if person else shown_code(row["given"]),
                "name": clean_name(row["name"]),
                "neighbours": neighbours,
                "records": sorted(_digest(row["item_id"], feed, record) for record in row["record"]),
            }
        )
    return pl.DataFrame(answers, schema=SIGHTING_SCHEMA)


@dataclass
class WorkItems:
    """The unresolved identities of one home. Hold the store's ``writing()`` lock around ``add`` and ``decide``."""

    home: Path
    _seen: set[int] | None = field(default=None, init=False, repr=False)

    @property
    def folder(self) -> Path:
        """Return the folder that the tables live in."""
        return self.home / "identities"

    def add(self, found: pl.DataFrame, seen_at: dt.datetime) -> int:
        """Store sightings of records that are not stored yet.

        Args:
            found: rows of ``SIGHTING_SCHEMA``; a load had best gather those of many batches.
            seen_at: the moment of the load.

        Returns:
            The number of records that were new.
        """
        seen = self._digests()
        fresh: list[dict[str, object]] = []
        count = 0
        for row in found.iter_rows(named=True):
            records = [record for record in row["records"] if record not in seen]
            if records:
                seen.update(records)
                count += len(records)
                fresh.append({**row, "records": records, "seen_at": seen_at})
        if fresh:
            self._append("sightings", pl.DataFrame(fresh, schema={**SIGHTING_SCHEMA, "seen_at": _MOMENT}))
        return count

    def items(self, *, kind: Kind | None = None, source: str | None = None, state: State | None = None) -> pl.DataFrame:
        """Return the work items, those that most records wait for first.

        Args:
            kind: only these.
            source: only those of one source system.
            state: only these; None for all.

        Returns:
            One row an item: the columns of ``ITEM_SCHEMA``, then state, decided_id, decided_by, because, decided_at.
        """
        frames = [self._sighted()] if kind != "name_conflict" else []
        if kind in (None, "name_conflict"):
            frames.append(name_conflicts(TableStore(self.home)))
        items = pl.concat(frames).join(self._latest_decisions().drop("candidates"), on="item_id", how="left")
        items = items.with_columns(pl.col("state").fill_null("open"))
        for column, wanted in (("kind", kind), ("source", source), ("state", state)):
            if wanted is not None:
                items = items.filter(pl.col(column) == wanted)
        return items.sort("records", "item_id", descending=[True, False])

    def item(self, item: str) -> pl.DataFrame:
        """Return one work item, a frame of one row.

        Raises:
            InputError: there is no such item.
        """
        found = self.items().filter(pl.col("item_id") == item)
        if found.is_empty():
            mend = "take an id from `smoke identities list --state all`."
            raise InputError(f"No work item has the id {item!r}.", field="ID", mend=mend)
        return found

    def settle(
        self,
        item: str,
        state: State,
        decided_id: str | None,
        *,
        by: str,
        because: str,
        candidates: str,
        at: dt.datetime,
    ) -> None:
        """Keep what a person decided about an item.

        Raises:
            InputError: no name or no reason is given.
        """
        for value, option in ((by, "--as"), (because, "--because")):
            if not value.strip():
                raise InputError(f"{option} is empty.", field=option, mend="say who decides, and why.")
        row = (item, state, decided_id, by.strip(), because.strip(), candidates, at)
        self._append("decisions", pl.DataFrame([row], schema=DECISION_SCHEMA, orient="row"))

    def decided(self) -> dict[str, str]:
        """Return the decisions in force: id of the item to id of the organisation or person."""
        found = self._latest_decisions().filter(pl.col("state") == "decided").select("item_id", "decided_id")
        return dict(found.iter_rows())

    def _sighted(self) -> pl.DataFrame:
        rows = self._read("sightings", {**SIGHTING_SCHEMA, "seen_at": _MOMENT}).sort("seen_at", "feed")
        hints = pl.col("given", "name", "reason", "region_code", "employer_org_id", "neighbours").drop_nulls().last()
        return (
            rows.group_by("item_id")
            .agg(
                pl.col("kind", "source").first(),
                pl.col("kind").first().alias("about"),
                pl.col("feed").unique().sort().str.join(", ").alias("feeds"),
                hints,
                pl.col("records").list.len().sum().cast(pl.Int64),
                first_seen=pl.col("seen_at").min(),
                last_seen=pl.col("seen_at").max(),
            )
            .select(*ITEM_SCHEMA)
            .collect()
        )

    def _latest_decisions(self) -> pl.DataFrame:
        rows = self._read("decisions", DECISION_SCHEMA).sort("decided_at", maintain_order=True)
        return rows.unique("item_id", keep="last", maintain_order=True).collect()

    def _digests(self) -> set[int]:
        if self._seen is None:
            stored = self._read("sightings", {**SIGHTING_SCHEMA, "seen_at": _MOMENT}).select("records").collect()
            self._seen = set(stored.get_column("records").explode(empty_as_null=False))
        return self._seen

    def _read(self, name: str, schema: dict[str, pl.DataType]) -> pl.LazyFrame:
        moments = [pl.col(one).dt.convert_time_zone(ZONE) for one, dtype in schema.items() if dtype == _MOMENT]
        return scan(self.folder / name, schema).with_columns(moments).select(*schema)

    def _append(self, name: str, rows: pl.DataFrame) -> None:
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        stored = rows.with_columns(pl.selectors.datetime().dt.convert_time_zone("UTC"))
        write_deltalake(path, stored.to_arrow(), mode="append")


_MOMENT = pl.Datetime("us", ZONE)


def read_known(store: TableStore, source: str) -> Known:
    """Return what a mapping of one source may stand on: the organisations that are stored, the decisions made."""
    ids = store.versions(Organisation).select(pl.col("org_id").unique()).collect().to_series()
    return Known(source, ids, WorkItems(store.home).decided())


def proposals(store: TableStore, items: pl.DataFrame) -> dict[str, list[Candidate]]:
    """Return whom each item may mean, by what is stored now, best first.

    Args:
        store: the tables.
        items: rows of ``WorkItems.items``.
    """
    about = items.partition_by("about", as_dict=True)
    found: dict[str, list[Candidate]] = {}
    if ("organisation",) in about:
        known = store.versions(Organisation).select("org_id", "name", "region_code").unique().collect()
        places = store.versions(Region).select(pl.col("name").unique()).collect().to_series().to_list()
        found |= organisation_candidates(about["organisation",], known, places)
    if ("person",) in about:
        persons = store.versions(Person).select("person_id", "name", "employer_org_id").unique().collect()
        found |= person_candidates(about["person",], persons)
    return found


def _digest(*parts: str | None) -> int:
    joined = "\x1f".join(part or "" for part in parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(joined, digest_size=8).digest(), "big", signed=True)
