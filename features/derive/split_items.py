"""Purchases below the tender limit that were not tendered, and the clusters of those that belong together.

An item is a purchase below its limit, awarded without a public or invited tender. A cluster is what one owner bought
within some days that belongs together and together reaches the limit (rulings SI-077).
"""

import datetime as dt

import dataframely as dy
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from features.derive.affiliations import same_ways, weak_ties, weighted
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.likeness import bigrams, dice
from features.derive.linked_bidders import WEAK_MIN
from features.derive.lots import with_group
from features.derive.pairs import organisation_pair
from features.derive.places import great_circle_m
from features.derive.purchases import purchases
from features.derive.tender_limits import TenderLimits
from features.derive.windows import in_window, short_history
from features.tables.as_of import known_as_of
from features.tables.projects import Project
from features.tables.source import SourceTables
from features.tables.tendering import Lot

SUM = pl.Decimal(38, 2)
SIM_MIN = 0.8
"""SI-077.sim_min."""
DAYS_N = 180
"""SI-077.days_n."""
ALIKE = ("owner_org_id", "object_type", "category")
"""Only purchases equal in these can be pieces of one."""
CLUSTER = ("component", "first_day")
SHOWN = ["project_id", "supplier_org_id", "amount", "signed_at", "method"]


class LimitBunching(Derived):
    """How many of one owner's purchases in the window lie just below and just above their tender limits."""

    subject_id = dy.String(primary_key=True)
    """The owner."""
    n_below = dy.Int64(min=0)
    n_above = dy.Int64(min=0)
    p_ref = dy.Float64(nullable=True, min=0.5, max=1)
    """Share below of all owners' purchases near their limits, at least a half; null without any."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(
        cls,
        source: SourceTables,
        as_of: dt.datetime,
        tl_works: int,
        tl_goods: int,
        tl_services: int,
        band: float,
        window_months: int,
    ) -> pl.LazyFrame:
        """Count in [(1 - band) limit, limit) and in [limit, (1 + band) limit), all types together (rulings SI-076)."""
        bought = purchases(source, as_of, TenderLimits(tl_works, tl_goods, tl_services))
        amount, limit = pl.col("amount").cast(pl.Float64), pl.col("limit").cast(pl.Float64)
        below = pl.col("below_limit") & (amount >= (limit * (1 - band)).round(2))
        above = ~pl.col("below_limit") & (amount < (limit * (1 + band)).round(2))
        recent = (
            bought.filter(in_window(pl.col("signed_at"), as_of, window_months))
            .with_columns(below=below.fill_null(value=False), above=above.fill_null(value=False))
            .collect()
            .lazy()
        )
        n_below, n_above = pl.col("below").sum().cast(pl.Int64), pl.col("above").sum().cast(pl.Int64)
        shares = recent.select(p_ref=(n_below / (n_below + n_above)).clip(lower_bound=0.5)).collect()
        p_ref = shares.get_column("p_ref").fill_nan(None)[0]
        first = bought.select(pl.col("signed_at").min()).collect().item()
        near = pl.col("below") | pl.col("above")
        return (
            recent.group_by(subject_id="owner_org_id")
            .agg(
                n_below=n_below,
                n_above=n_above,
                evidence=rows_as_evidence(pl.col("table"), "key", [*SHOWN, "limit"], where=near),
            )
            .with_columns(
                p_ref=pl.lit(p_ref, dtype=pl.Float64), short_history=pl.lit(short_history(first, as_of, window_months))
            )
            .select(cls.column_names())
            .sort("subject_id")
        )


class ProjectCluster(Derived):
    """One project in one cluster of purchases of one owner, or without any cluster.

    Of several clusters those stay that no other of the project beats both in sum over limit and in items.
    """

    subject_id = dy.String()
    """The project."""
    owner_org_id = dy.String()
    n_purchases = dy.Int64(min=0)
    """Of the owner, all together."""
    total = dy.Decimal(38, 2, nullable=True, min=0)
    """Sum of the cluster; null without one."""
    limit = dy.Decimal(18, 2, nullable=True, min=0)
    """The highest limit of its items."""
    n_items = dy.Int64(min=0)
    """Items of the cluster; 0 without one."""
    evidence = dy.String()


class SplitProject(ProjectCluster):
    """One project in one cluster of like purchases of one owner, or without any cluster."""

    @classmethod
    def derive(
        cls,
        source: SourceTables,
        as_of: dt.datetime,
        tl_works: int,
        tl_goods: int,
        tl_services: int,
        sim_min: float,
        days_n: int,
    ) -> pl.LazyFrame:
        """Bring each project's clusters to it (rulings G16, SI-077)."""
        limits = TenderLimits(tl_works, tl_goods, tl_services)
        found = like_clusters(source, as_of, limits, sim_min=sim_min, days_n=days_n)
        return _per_project(purchases(source, as_of, limits), found)


class SplitSupplier(Derived):
    """What one supplier (a control group) holds of the cluster of one owner of which it holds most."""

    subject_id = dy.String()
    owner_org_id = dy.String()
    supplier_org_id = dy.String()
    """The smallest org_id of the supplier's control group."""
    held = dy.Decimal(38, 2, nullable=True, min=0)
    """What the group and those weakly tied to it hold; null where the owner has no cluster."""
    total = dy.Decimal(38, 2, nullable=True, min=0)
    n_items = dy.Int64(min=0)
    """Items of the cluster; 0 without one."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
        """Sum each cluster of SI-077 by supplier, and keep the one that tells most (rulings G7, G8, SI-078).

        Pairs of an owner without clusters are there too; a supplier in none of its owner's clusters is not.
        """
        limits = TenderLimits()
        bought = with_group(purchases(source, as_of, limits), source, "supplier_org_id", "group_org_id")
        found = with_group(
            like_clusters(source, as_of, limits, sim_min=SIM_MIN, days_n=DAYS_N).lazy(),
            source,
            "supplier_org_id",
            "group_org_id",
        )
        found = found.collect().lazy()
        held = found.filter(pl.col("group_org_id").is_not_null())
        own = held.group_by(*CLUSTER, "group_org_id").agg(pl.col("amount").cast(SUM).sum())
        tied = own.join(_tied_groups(source, held, as_of), on=[*CLUSTER, "group_org_id"], how="inner").select(
            *CLUSTER, "amount", group_org_id="other_group_org_id"
        )
        clusters = found.group_by(CLUSTER).agg(pl.col("owner_org_id", "total", "n_items").first())
        pair = ["owner_org_id", "group_org_id"]
        share = pl.col("held").cast(pl.Float64) / pl.col("total").cast(pl.Float64)
        strongest = (
            pl.concat([own.select(tied.collect_schema().names()), tied])
            .group_by(*CLUSTER, "group_org_id")
            .agg(held=pl.col("amount").sum())
            .join(clusters, on=CLUSTER, how="inner")
            .sort(share, "total", *CLUSTER, descending=[True, True, False, False])
            .unique(pair, keep="first", maintain_order=True)
        )
        without = (
            bought.filter(pl.col("group_org_id").is_not_null())
            .select(pair)
            .unique()
            .join(clusters, on="owner_org_id", how="anti")
            .with_columns(n_items=pl.lit(0, dtype=pl.Int64))
        )
        return (
            pl.concat([_with_evidence(strongest, found), without.with_columns(evidence=pl.lit("[]"))], how="diagonal")
            .rename({"group_org_id": "supplier_org_id"})
            .with_columns(subject_id=organisation_pair(pl.col("owner_org_id"), pl.col("supplier_org_id")))
            .select(cls.column_names())
            .sort("subject_id", "owner_org_id")
        )


class AdjacentWorks(ProjectCluster):
    """One project in one cluster of neighbouring works of one owner, or without any cluster."""

    n_unplaced = dy.Int64(min=0)
    """The project's works contracts below the limit and not tendered of which no coordinates are known."""

    @classmethod
    def derive(
        cls,
        source: SourceTables,
        as_of: dt.datetime,
        tl_works: int,
        tl_goods: int,
        tl_services: int,
        dist_m: float,
        days_n: int,
    ) -> pl.LazyFrame:
        """Link works contracts near each other in place and time (rulings SI-079)."""
        contracts = purchases(source, as_of, TenderLimits(tl_works, tl_goods, tl_services)).filter(table="contract")
        items = _numbered(_items(contracts).filter(object_type="works"))
        placed = _placed(items.lazy(), source, as_of).collect()
        found = _clusters(items, _near(placed, dist_m, days_n), days_n)
        unplaced = (
            placed.lazy()
            .group_by(subject_id="project_id")
            .agg(n_unplaced=(pl.col("longitude").is_null() | pl.col("latitude").is_null()).sum().cast(pl.Int64))
        )
        rows = _per_project(contracts, found)
        return (
            rows.join(unplaced, on="subject_id", how="left", maintain_order="left")
            .with_columns(pl.col("n_unplaced").fill_null(0))
            .select(cls.column_names())
        )


def like_clusters(
    source: SourceTables, as_of: dt.datetime, limits: TenderLimits, *, sim_min: float, days_n: int
) -> pl.DataFrame:
    """Return the clusters of like purchases (SI-077).

    Like are purchases of one owner, type and category in one project or under one parent, or described alike.

    Grain: cluster (the columns of CLUSTER) and item. Further columns: those of ``purchases``, total and n_items of the
    cluster.
    """
    reached = pl.col("amount").cast(SUM).sum().over(ALIKE) >= pl.col("limit").min().over(ALIKE)
    items = _numbered(_items(purchases(source, as_of, limits)).filter(reached, pl.len().over(ALIKE) > 1))
    parents = known_as_of(source[Project], Project, as_of).select("project_id", "parent_project_id")
    families = (
        items.lazy()
        .join(parents, on="project_id", how="left")
        .select("item", *ALIKE, word=pl.concat_list("project_id", "parent_project_id"))
        .explode("word", empty_as_null=True, keep_nulls=True)
        .filter(pl.col("word").is_not_null())
    )
    links = pl.concat([_sharing(families, ALIKE), _alike(items.lazy(), sim_min)])
    return _clusters(items, links.collect(), days_n)


def _items(bought: pl.LazyFrame) -> pl.LazyFrame:
    """Return the purchases below their limit that were neither publicly tendered nor by invitation."""
    return bought.filter(pl.col("below_limit"), ~pl.col("tendered"))


def _numbered(items: pl.LazyFrame) -> pl.DataFrame:
    """Add ``day`` and a number, ``item``, in the order of table and key."""
    return items.with_columns(day=pl.col("signed_at").dt.date()).sort("table", "key").with_row_index("item").collect()


def _sharing(rows: pl.LazyFrame, alike: tuple[str, ...]) -> pl.LazyFrame:
    """Link each item to the first that shares its word: left, right."""
    first = pl.col("item").min().over(*alike, "word")
    return rows.select(left=first, right="item").filter(pl.col("left") != pl.col("right"))


def _alike(items: pl.LazyFrame, sim_min: float) -> pl.LazyFrame:
    """Link items whose texts are alike: left, right."""
    described = items.filter(pl.col("described").is_not_null()).select("item", *ALIKE, word="described")
    texts = described.group_by(*ALIKE, "word").agg(pl.col("item").min())
    sets = texts.with_columns(pairs=bigrams(pl.col("word"))).with_columns(size=pl.col("pairs").list.len())
    near = (
        sets.join(sets, on=ALIKE, how="inner", nulls_equal=True, suffix="_2")
        .filter(pl.col("item") < pl.col("item_2"))
        # Sets that differ much in size cannot be alike.
        .filter(2 * pl.min_horizontal("size", "size_2") >= (sim_min - 1e-9) * (pl.col("size") + pl.col("size_2")))
        .filter(dice(pl.col("pairs"), pl.col("pairs_2")) >= sim_min)
    )
    return pl.concat([_sharing(described, ALIKE), near.select(left="item", right="item_2")])


def _placed(items: pl.LazyFrame, source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Add where and when the works of each item are: sector, longitude, latitude, start_date, finish_date."""
    lots = source[Lot].select("lot_id", lot_longitude="longitude", lot_latitude="latitude")
    projects = known_as_of(source[Project], Project, as_of).select(
        "project_id",
        "longitude",
        "latitude",
        pl.col("sector").cast(pl.String),
        start_date="actual_start_date",
        finish_date="actual_finish_date",
    )
    by_lot = pl.col("lot_longitude").is_not_null() & pl.col("lot_latitude").is_not_null()
    return (
        items.join(lots, on="lot_id", how="left")
        .join(projects, on="project_id", how="left")
        .with_columns(
            pl.when(by_lot).then(f"lot_{name}").otherwise(name).alias(name) for name in ("longitude", "latitude")
        )
    )


def _near(placed: pl.DataFrame, dist_m: float, days_n: int) -> pl.DataFrame:
    """Link works of one owner and sector near in place, signed near in time, and under way together: left, right."""
    works = placed.lazy().select(
        "item", "owner_org_id", "sector", "longitude", "latitude", "day", "start_date", "finish_date"
    )
    apart_days = (pl.col("day") - pl.col("day_2")).dt.total_days().abs()
    apart_m = great_circle_m(*(pl.col(name) for name in ("longitude", "latitude", "longitude_2", "latitude_2")))
    overlap = (pl.col("start_date") <= pl.col("finish_date_2")) & (pl.col("start_date_2") <= pl.col("finish_date"))
    return (
        works.join(works, on=["owner_org_id", "sector"], how="inner", suffix="_2")
        .filter(pl.col("item") < pl.col("item_2"), apart_days <= days_n, overlap)
        .filter(apart_m.round(9) <= dist_m)
        .select(left="item", right="item_2")
        .collect()
    )


def _clusters(items: pl.DataFrame, links: pl.DataFrame, days_n: int) -> pl.DataFrame:
    """Return the items of each cluster: from each first day, what is linked step by step and reaches the limit.

    Grain: cluster (the columns of CLUSTER) and item. Further columns: total, limit (the highest of its items), n_items.
    """
    ties = coo_array(
        ([1] * links.height, (links.get_column("left").to_numpy(), links.get_column("right").to_numpy())),
        shape=(items.height, items.height),
    )
    component = connected_components(ties.tocsr(), directed=False)[1] if items.height else []
    linked = items.lazy().with_columns(
        pl.col("amount").cast(SUM), component=pl.Series("component", component, dtype=pl.Int64)
    )
    several = linked.filter(
        pl.len().over("component") > 1,
        pl.col("amount").sum().over("component") >= pl.col("limit").min().over("component"),
    )
    days = (pl.col("day") - pl.col("first_day")).dt.total_days()
    starts = several.select("component", first_day="day").unique()
    within = starts.join(several, on="component", how="inner").filter(days >= 0, days <= days_n)
    totals = within.group_by(CLUSTER).agg(
        total=pl.col("amount").sum(), highest=pl.col("limit").max(), n_items=pl.len().cast(pl.Int64)
    )
    reached = totals.filter(pl.col("total") >= pl.col("highest"), pl.col("n_items") > 1)
    return within.drop("limit").join(reached, on=CLUSTER, how="inner").rename({"highest": "limit"}).collect()


def _per_project(bought: pl.LazyFrame, found: pl.DataFrame) -> pl.LazyFrame:
    """Return the rows of ProjectCluster: clusters brought to their projects, and the projects in none."""
    numbers = bought.group_by("owner_org_id").agg(n_purchases=pl.len().cast(pl.Int64))
    projects = bought.select("owner_org_id", subject_id="project_id").unique().join(numbers, on="owner_org_id")
    project = ["owner_org_id", "subject_id"]
    clusters = found.lazy().group_by(CLUSTER).agg(pl.col("total", "limit", "n_items").first())
    ratio = pl.col("total").cast(pl.Float64) / pl.col("limit").cast(pl.Float64)
    by_strength = [-ratio, -pl.col("n_items"), *(pl.col(name) for name in CLUSTER)]
    most_before = pl.col("n_items").cum_max().shift(1, fill_value=0).over(project, order_by=by_strength)
    strongest = (
        found.lazy()
        .select("owner_org_id", *CLUSTER, subject_id="project_id")
        .unique()
        .join(clusters, on=CLUSTER, how="inner")
        .filter(pl.col("n_items") > most_before)
    )
    inside = projects.join(_with_evidence(strongest, found.lazy()), on=project, how="inner")
    outside = projects.join(strongest, on=project, how="anti").with_columns(
        n_items=pl.lit(0, dtype=pl.Int64), evidence=pl.lit("[]")
    )
    rows = pl.concat([inside, outside], how="diagonal")
    return rows.sort(*project, *CLUSTER).select(ProjectCluster.column_names())


def _with_evidence(clusters: pl.LazyFrame, found: pl.LazyFrame) -> pl.LazyFrame:
    """Add the items of each cluster as evidence."""
    shown = (
        found.join(clusters, on=CLUSTER, how="semi")
        .group_by(CLUSTER)
        .agg(evidence=rows_as_evidence(pl.col("table"), "key", SHOWN))
    )
    return clusters.join(shown, on=CLUSTER, how="inner")


def _tied_groups(source: SourceTables, held: pl.LazyFrame, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the suppliers weakly tied on the last day of a cluster: CLUSTER, group_org_id, other_group_org_id."""
    last_day = pl.col("day").max().over(CLUSTER)
    members = held.select(*CLUSTER, "group_org_id", "supplier_org_id", day=last_day).unique()
    pairs = (
        members.join(members.drop("day"), on=CLUSTER, how="inner", suffix="_2")
        .filter(
            pl.col("group_org_id") != pl.col("group_org_id_2"), pl.col("supplier_org_id") < pl.col("supplier_org_id_2")
        )
        .rename({"supplier_org_id": "org_id_1", "supplier_org_id_2": "org_id_2"})
        .collect()
        .lazy()
    )
    ways = same_ways(weak_ties(source, pairs, as_of))
    close = ways.filter(weighted("same").round(9) >= WEAK_MIN).select("org_id_1", "org_id_2", "day")
    tied = pairs.join(close, on=["org_id_1", "org_id_2", "day"], how="semi")
    both = [("group_org_id", "group_org_id_2"), ("group_org_id_2", "group_org_id")]
    return pl.concat(tied.select(*CLUSTER, group_org_id=one, other_group_org_id=other) for one, other in both).unique()
