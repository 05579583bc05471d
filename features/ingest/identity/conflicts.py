"""Names that do not go together: one credit code, or one identity number, delivered with different names."""

from collections.abc import Mapping

import polars as pl

from features.ingest.identity.candidates import plain_name
from features.ingest.identity.resolving import conflict_item
from features.tables.organisations import Organisation, OrgChange, Person
from features.tables.store import TableStore

ENTITLED: Mapping[str, str] = {"organisation": "S11", "person": "P00"}
"""The source whose names are the right ones; it may have had several over time."""


def name_conflicts(store: TableStore) -> pl.DataFrame:
    """Return the names under which sources deliver an organisation or person that is known by another.

    A name in another form (width, blanks, brackets, points) is no other name, and neither is one that the registry
    ever had.

    Returns:
        Columns of ``unresolved.ITEM_SCHEMA``; one row an id, source and name.
    """
    columns = ("name", "source_code", "source_record_id", "loaded_at")
    held = ~pl.col("retracted")
    firms = store.versions(Organisation).filter(held).select(*columns, id="org_id").collect()
    people = store.versions(Person).filter(held).select(*columns, id="person_id").collect()
    renamed = store.versions(OrgChange).filter(held, pl.col("change_type") == "name")
    former = renamed.select(id="org_id", name=pl.concat_list("before_value", "after_value")).explode(
        "name", empty_as_null=True
    )
    return pl.concat([conflicts("organisation", firms, former.collect()), conflicts("person", people)])


def conflicts(about: str, versions: pl.DataFrame, former: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return the conflicting names among the versions of organisations or of persons.

    The names of an id are those of the entitled source; without any, the one that most versions have (of several, the
    first in order).

    Args:
        about: ``organisation`` or ``person``.
        versions: id, name, source_code, source_record_id, loaded_at.
        former: id and name of names that were right once.
    """
    named = _with_plain(versions.filter(pl.col("name").is_not_null()))
    entitled = named.filter(pl.col("source_code") == ENTITLED[about]).select("id", "plain")
    if former is not None:
        entitled = pl.concat([entitled, _with_plain(former.drop_nulls()).select("id", "plain")])
    counted = named.join(entitled, on="id", how="anti").group_by("id", "plain").len()
    usual = counted.sort("len", "plain", descending=[True, False]).unique("id", keep="first", maintain_order=True)
    right = pl.concat([entitled, usual.select("id", "plain")]).unique()
    found = (
        named.join(right, on=["id", "plain"], how="anti")
        .group_by("id", "source_code", "plain")
        .agg(
            pl.col("name").min(),
            pl.col("source_record_id").n_unique().cast(pl.Int64).alias("records"),
            first_seen=pl.col("loaded_at").min(),
            last_seen=pl.col("loaded_at").max(),
        )
        .sort("id", "source_code", "plain")
    )
    none = pl.lit(None, dtype=pl.String)
    items = [conflict_item(source, one, name) for one, source, name in found.select("id", "source_code", "name").rows()]
    return found.select(
        pl.Series("item_id", items, dtype=pl.String),
        kind=pl.lit("name_conflict"),
        about=pl.lit(about),
        source=pl.col("source_code"),
        feeds=pl.lit(""),
        given=pl.col("id"),
        name=pl.col("name"),
        reason=pl.lit("name_conflict"),
        region_code=none,
        employer_org_id=none,
        neighbours=pl.lit(None, dtype=pl.List(pl.String)),
        records=pl.col("records"),
        first_seen=pl.col("first_seen"),
        last_seen=pl.col("last_seen"),
    )


def _with_plain(rows: pl.DataFrame) -> pl.DataFrame:
    names = rows.get_column("name").unique()
    plain = pl.DataFrame(
        {"name": names, "plain": [plain_name(name) for name in names]}, {"name": pl.String(), "plain": pl.String()}
    )
    return rows.join(plain, on="name", how="left", maintain_order="left")
