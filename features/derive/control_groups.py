"""Control groups: organisations under one hand at a moment, by the edges of SI-020."""

import datetime as dt

import dataframely as dy
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from features.clock import SHANGHAI
from features.derive.derived import Derived
from features.derive.ordered import ordered_sum
from features.tables.as_of import known_as_of
from features.tables.organisations import Organisation, OrgPerson, Shareholding
from features.tables.source import SourceTables, read_source_tables
from features.tables.store import TableStore, TableWriter, stored_schema
from features.tables.versions import current

CONTROL_RATIO = 0.5
"""SI-020.control_ratio: a holder of more than this controls; of exactly this, not."""
SOURCE_CODE = "D00"
GOVERNMENT = "government"
BOARD = ("director", "manager")


class ControlGroup(Derived):
    """The control group of each organisation at a moment (rulings G7, SI-020)."""

    org_id = dy.String(primary_key=True)
    group_id = dy.String(nullable=True)
    """The smallest org_id of all members; null for an organisation that stands alone."""
    n_members = dy.Int64(min=1)

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, control_ratio: float = CONTROL_RATIO) -> pl.LazyFrame:
        """Join organisations along every edge that is valid on the day, step by step, however long the chain."""
        edges = control_edges(source, as_of, control_ratio)
        known = source[Organisation].select("org_id").collect()
        members = _components(known.get_column("org_id"), edges).filter(pl.col("org_id").is_not_null())
        smallest, size = pl.col("org_id").min().over("component"), pl.len().over("component")
        return (
            members.with_columns(group_id=pl.when(size > 1).then(smallest), n_members=size.cast(pl.Int64))
            .select(cls.column_names())
            .sort("org_id")
            .lazy()
        )


def known_register(source: SourceTables, as_of: dt.datetime) -> SourceTables:
    """Return organisations, their people and their holdings as the moment knew them, and nothing else."""
    return SourceTables(
        {
            Organisation.NAME: source[Organisation],
            OrgPerson.NAME: known_as_of(source[OrgPerson], OrgPerson, as_of),
            Shareholding.NAME: known_as_of(source[Shareholding], Shareholding, as_of),
        }
    ).collected()


def control_edges(source: SourceTables, as_of: dt.datetime, control_ratio: float = CONTROL_RATIO) -> pl.DataFrame:
    """Return what ties organisations to a hand on the day of a moment, first and last day included (rulings SI-020).

    Each step stands by itself: direct holdings of one holder are summed, ratios along a chain are not multiplied. An
    actual controller controls as a majority holder does. Government bodies are never a step, so that state control
    ties nobody. An undated row is valid; where dated legal representatives are known they count, else the one that the
    organisation names.

    Returns:
        Columns org_id, hand (another org_id, ``controller:`` or ``legal_rep:`` and a person_id) and kind
        (``holding``, ``actual_controller``, ``legal_rep``, ``board``), sorted.
    """
    day = as_of.astimezone(SHANGHAI).date()
    everybody = pl.concat([source[table].select("org_id") for table in (Organisation, Shareholding, OrgPerson)])
    asked = everybody.unique().with_columns(day=pl.lit(day))
    return control_edges_on(source, asked, control_ratio).drop("day").sort("org_id", "hand", "kind").collect()


def control_edges_on(source: SourceTables, asked: pl.LazyFrame, control_ratio: float) -> pl.LazyFrame:
    """Return the edges of ``control_edges`` for organisations on days of their own.

    Args:
        source: the tables.
        asked: org_id and day, each pair once. Boards are compared among those asked for the same day.
        control_ratio: more than this controls.

    Returns:
        Columns org_id, day, hand and kind, each row once.
    """
    organisations = source[Organisation].select(
        "org_id",
        "legal_rep_person_id",
        government=pl.any_horizontal(
            (pl.col(name).cast(pl.String) == GOVERNMENT).fill_null(value=False) for name in ("org_type", "ownership")
        ),
    )
    roles = source[OrgPerson].select("org_id", "person_id", pl.col("role").cast(pl.String), "start_date", "end_date")
    valid = roles.join(asked, on="org_id", how="inner").filter(valid_on(pl.col("day")))
    edges = pl.concat(
        [
            _holdings(source[Shareholding].join(asked, on="org_id", how="inner"), control_ratio),
            _tied(valid.filter(role="actual_controller"), "controller", "actual_controller"),
            _legal_representatives(organisations.join(asked, on="org_id", how="inner"), roles, valid),
            _boards(valid.filter(pl.col("role").is_in(BOARD))),
        ]
    ).filter(pl.col("org_id") != pl.col("hand"))
    government = organisations.filter("government").select("org_id").collect().to_series().implode()
    return edges.filter(~pl.col("org_id").is_in(government), ~pl.col("hand").is_in(government)).unique()


def write_control_groups(store: TableStore, loaded_at: dt.datetime) -> int:
    """Keep the groups of a moment as the platform's own part of ``organisation``; returns how many rows changed.

    For the end of a load that touched organisations, their people or their holdings; hold ``store.writing()``. What
    is stored already is not stored again, and who has left its group gets a part that says so.
    """
    groups = ControlGroup.derive(read_source_tables(store), loaded_at).select("org_id", "group_id").collect()
    own = store.versions(Organisation).filter(pl.col("source_code") == SOURCE_CODE)
    before = current(own, Organisation).filter(pl.col("group_id").is_not_null()).select("org_id").collect()
    parts = groups.filter(
        pl.col("group_id").is_not_null() | pl.col("org_id").is_in(before.get_column("org_id").implode())
    )
    absent = {name: dtype for name, dtype in stored_schema(Organisation).items() if name not in parts.columns}
    empty = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in absent.items() if name in Organisation.columns()]
    rows = parts.with_columns(*empty, source_record_id=pl.concat_str(pl.lit("group:"), "org_id"))
    done = TableWriter(store, Organisation, loaded_at, SOURCE_CODE).upsert(rows)
    return done.new + done.changed


def valid_on(day: pl.Expr) -> pl.Expr:
    """Tell whether a row is valid on a day, its first and last day included; an open end is valid for ever."""
    started, ended = pl.col("start_date") <= day, pl.col("end_date") >= day
    return started.fill_null(value=True) & ended.fill_null(value=True)


def summed_holdings(holdings: pl.LazyFrame) -> pl.LazyFrame:
    """Return what each holder has of each organisation on the day of the row: org_id, day, hand and ratio.

    Rounded as every comparison with a threshold is (rulings G13): 0.3 and 0.2 are not more than a half.
    """
    held = holdings.filter(valid_on(pl.col("day")))
    by_firm = held.filter(pl.col("holder_org_id").is_not_null()).select("org_id", "day", "ratio", hand="holder_org_id")
    by_person = held.filter(pl.col("holder_person_id").is_not_null()).select(
        "org_id", "day", "ratio", hand=pl.concat_str(pl.lit("controller:"), "holder_person_id")
    )
    return pl.concat([by_firm, by_person]).group_by("org_id", "day", "hand").agg(ordered_sum(pl.col("ratio")).round(9))


def _holdings(holdings: pl.LazyFrame, control_ratio: float) -> pl.LazyFrame:
    controlling = summed_holdings(holdings).filter(pl.col("ratio") > control_ratio)
    return controlling.select("org_id", "day", "hand", kind=pl.lit("holding"))


def _legal_representatives(organisations: pl.LazyFrame, roles: pl.LazyFrame, valid: pl.LazyFrame) -> pl.LazyFrame:
    dated = roles.filter(role="legal_rep")
    named = organisations.join(dated, on="org_id", how="anti").filter(pl.col("legal_rep_person_id").is_not_null())
    people = [
        valid.filter(role="legal_rep").select("org_id", "day", "person_id"),
        named.select("org_id", "day", person_id="legal_rep_person_id"),
    ]
    return _tied(pl.concat(people), "legal_rep", "legal_rep")


def _tied(people: pl.LazyFrame, hand: str, kind: str) -> pl.LazyFrame:
    return people.select("org_id", "day", hand=pl.concat_str(pl.lit(f"{hand}:"), "person_id"), kind=pl.lit(kind))


def _boards(roles: pl.LazyFrame) -> pl.LazyFrame:
    """Return pairs of which more than half of each side's directors and managers serve both."""
    seats = roles.select("org_id", "day", "person_id").unique()
    sizes = seats.group_by("org_id", "day").len("size")
    common = (
        seats.join(seats.rename({"org_id": "hand"}), on=["person_id", "day"], how="inner")
        .filter(pl.col("org_id") < pl.col("hand"))
        .group_by("org_id", "day", "hand")
        .len("common")
        .join(sizes, on=["org_id", "day"])
        .join(sizes.rename({"org_id": "hand"}), on=["hand", "day"])
    )
    majority = (2 * pl.col("common") > pl.col("size")) & (2 * pl.col("common") > pl.col("size_right"))
    return common.filter(majority).select("org_id", "day", "hand", kind=pl.lit("board"))


def _components(org_ids: pl.Series, edges: pl.DataFrame) -> pl.DataFrame:
    """Return org_id (null for persons) and component of every node."""
    hands = edges.get_column("hand")
    nodes = (
        pl.concat([org_ids, edges.get_column("org_id"), hands]).unique().sort().to_frame("node").with_row_index("at")
    )
    ends = [
        edges.select(node=end).join(nodes, on="node", how="left", maintain_order="left").get_column("at").to_numpy()
        for end in ("org_id", "hand")
    ]
    ties = coo_array(([1] * edges.height, (ends[0], ends[1])), shape=(nodes.height, nodes.height))
    component = connected_components(ties.tocsr(), directed=False)[1]
    person = pl.col("node").str.contains("^(?:controller|legal_rep):")
    return nodes.select(org_id=pl.when(~person).then("node"), component=pl.Series(component))
