"""A lot's price benchmark, and what it would be without the losing bids of the winner's friends."""

import datetime as dt

import dataframely as dy
import numpy as np
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from features.derive.awards import known_awards
from features.derive.bids import VALID
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.linked_bidders import linked_bids
from features.derive.lots import DIRECT, lot_facts
from features.tables.source import SourceTables
from features.tables.tendering import Bid, Lot, Tender

MEANS = ("mean", "trimmed_mean", "mean_times_k", "random_k")
FACTORS = ("mean_times_k", "random_k")
"""Rules that say nothing without their factor."""
SCORED_BY_MEAN = ("average_benchmark", "reasonable_low_price")
"""Methods that have a benchmark: where none is recorded, it is missing."""
SHOWN = ("bidder_org_id", "bid_price", "price_score", "total_score", "in_group")


class BenchmarkGroup(Derived):
    """A decided lot scored against a mean, and one group of linked bids that the winner belongs to."""

    subject_id = dy.String()
    """The lot."""
    by_mean = dy.Bool()
    """The benchmark is some mean of the bids, or should be recorded and is not."""
    linked = dy.Bool()
    """There is a group of enough linked bids, the winner's or not."""
    known = dy.Bool()
    """The rule, its factor, and all prices and points of the valid bids are known."""
    n_valid = dy.Int64(min=0)
    n_group = dy.Int64(min=0)
    """Bids of the winner's group; 0 where its own is too small."""
    shift = dy.Float64(nullable=True, min=0)
    """How far the benchmark moves without the group's losing bids, relative to it."""
    flip = dy.Bool()
    """The winner, first by points, would not be first."""
    evidence = dy.String()

    @classmethod
    def derive(cls, source: SourceTables, as_of: dt.datetime, g_min: int) -> pl.LazyFrame:
        """Leave out the losing bids of each winner's group, and score the others anew (rulings SI-032)."""
        lots = _scored_lots(source, as_of).collect()
        bids = _with_groups(
            _valid_bids(source).join(lots.lazy().select("lot_id"), on="lot_id", how="semi"), source, as_of
        )
        sizes = bids.group_by("lot_id", "group").agg(n_group=pl.len().cast(pl.Int64))
        linked = sizes.filter(pl.col("n_group") >= g_min)
        valid = bids.filter("valid")
        complete = valid.group_by("lot_id").agg(
            n_valid=pl.len().cast(pl.Int64),
            scored=pl.all_horizontal(pl.col("price", "price_score", "total_score").is_not_null().all())
            & (pl.col("price") > 0).all(),
        )
        facts = (
            lots.join(complete, on="lot_id", how="left")
            .join(linked.select("lot_id", linked=pl.lit(value=True)).unique(), on="lot_id", how="left")
            .with_columns(
                pl.col("linked", "scored").fill_null(value=False),
                pl.col("n_valid").fill_null(0),
            )
            .with_columns(known=pl.col("ruled") & pl.col("scored"))
        )
        won = _winning_bids(source, as_of).collect().join(valid, on="bid_id", how="inner")
        groups = won.join(linked, on=["lot_id", "group"], how="inner").select("lot_id", "bid_id", "group", "n_group")
        judged = groups.join(facts.filter("known", "by_mean"), on="lot_id", how="inner")
        scores = _judged(judged, valid)
        evidence = (
            groups.select("lot_id", "group")
            .unique()
            .join(bids, on="lot_id", how="inner", suffix="_of")
            .with_columns(in_group=pl.col("group") == pl.col("group_of"))
            .group_by("lot_id", "group")
            .agg(evidence=rows_as_evidence("bid", "bid_id", SHOWN))
        )
        return (
            facts.join(groups, on="lot_id", how="left")
            .join(scores, on=["lot_id", "bid_id"], how="left")
            .join(evidence, on=["lot_id", "group"], how="left")
            .with_columns(
                subject_id="lot_id",
                n_group=pl.col("n_group").fill_null(0),
                flip=pl.col("flip").fill_null(value=False),
                shift=pl.when(pl.col("n_group").is_null()).then(0.0).otherwise("shift"),
                evidence=pl.col("evidence").fill_null("[]"),
            )
            .select(cls.column_names())
            .sort("subject_id")
            .lazy()
        )


def _scored_lots(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the opened and decided lots with the rule of their benchmark."""
    rule = pl.col("benchmark_rule")
    rules = source[Tender].select(
        "tender_id",
        rule=rule.str.json_path_match("$.type"),
        **{name: _number(rule, name) for name in ("k", "trim", "weight_control_price")},
    )
    decided = known_awards(source, as_of).select("lot_id").unique()
    stated = pl.col("rule").is_in(MEANS)
    unstated = pl.col("rule").is_null() & pl.col("evaluation_method").is_in(SCORED_BY_MEAN)
    weight = pl.col("weight_control_price").fill_null(0.0)
    return (
        lot_facts(source, as_of)
        .filter("opened")
        .join(decided, on="lot_id", how="semi")
        .join(rules, on="tender_id", how="left")
        .join(source[Lot].select("lot_id", control=pl.col("control_price").cast(pl.Float64)), on="lot_id", how="left")
        .select(
            "lot_id",
            "control",
            by_mean=(stated | unstated).fill_null(value=False) & ~pl.col("method").is_in(DIRECT),
            ruled=stated.fill_null(value=False)
            & (pl.col("k").is_not_null() | ~pl.col("rule").is_in(FACTORS))
            & (pl.col("trim").is_not_null() | (pl.col("rule") != "trimmed_mean"))
            & ((weight == 0) | pl.col("control").is_not_null()),
            k=pl.col("k").fill_null(1.0),
            trim=pl.col("trim").fill_null(0.0),
            weight=weight,
        )
    )


def _number(json: pl.Expr, name: str) -> pl.Expr:
    return json.str.json_path_match(f"$.{name}").cast(pl.Float64, strict=False)


def _valid_bids(source: SourceTables) -> pl.LazyFrame:
    """Return S(l) with prices and points: lot_id, bid_id, bidder_org_id, bid_price, price, scores, valid."""
    status = pl.col("status").cast(pl.String)
    return (
        source[Bid]
        .filter(status != "withdrawn")
        .select(
            "lot_id",
            "bid_id",
            "bidder_org_id",
            "bid_price",
            "price_score",
            "total_score",
            price=pl.col("bid_price").cast(pl.Float64),
            valid=status.is_in(VALID),
        )
    )


def _with_groups(bids: pl.LazyFrame, source: SourceTables, as_of: dt.datetime) -> pl.DataFrame:
    """Add the group of linked bids that each bid belongs to, within its lot; a number, of no meaning by itself."""
    known = bids.sort("lot_id", "bid_id").with_row_index("at").collect()
    place = known.select("at", "bid_id")
    links = linked_bids(source, as_of).collect()
    for end in ("bid_id_1", "bid_id_2"):
        links = links.join(place.rename({"bid_id": end, "at": f"at_{end}"}), on=end, how="inner")
    ends = [links.get_column(f"at_{end}").to_numpy() for end in ("bid_id_1", "bid_id_2")]
    ties = coo_array((np.ones(links.height), (ends[0], ends[1])), shape=(known.height, known.height))
    group = connected_components(ties.tocsr(), directed=False)[1]
    return known.drop("at").with_columns(group=pl.Series(group, dtype=pl.Int64))


def _winning_bids(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the bids that won, by the award's own bid or by its organisation: bid_id."""
    awards = known_awards(source, as_of)
    bids = source[Bid].select("lot_id", "bid_id", org_id="bidder_org_id")
    named = awards.filter(pl.col("bid_id").is_not_null()).select("bid_id")
    found = awards.filter(pl.col("bid_id").is_null()).drop("bid_id").join(bids, on=["lot_id", "org_id"], how="inner")
    return pl.concat([named, found.select("bid_id")]).unique()


def _judged(judged: pl.DataFrame, valid: pl.DataFrame) -> pl.DataFrame:
    """Return what becomes of each winner without the losing bids of its group: lot_id, bid_id, shift, flip."""
    prices = valid.join(judged.select("lot_id"), on="lot_id", how="semi").sort("lot_id", "price", "bid_id")
    by_lot = {lot: rows for (lot,), rows in prices.group_by("lot_id", maintain_order=True)}
    found: list[tuple[str, str, float, bool]] = []
    for row in judged.iter_rows(named=True):
        bids = by_lot[row["lot_id"]]
        winner = (bids.get_column("bid_id") == row["bid_id"]).to_numpy()
        stays = winner | (bids.get_column("group") != row["group"]).to_numpy()
        price, points, total = (
            bids.get_column(name).cast(pl.Float64).to_numpy() for name in ("price", "price_score", "total_score")
        )
        rule = (row["k"], int(row["trim"]), row["weight"], row["control"] or 0.0)
        before, after = benchmark(price, *rule), benchmark(price[stays], *rule)
        scored = total - points + price_scores(price / after - 1, price / before - 1, points)
        was_first = bool(total[winner].max() >= total.max())
        now_first = bool(round(float(scored[stays].max() - scored[winner].max()), 9) <= 0)
        found.append((row["lot_id"], row["bid_id"], abs(before - after) / before, was_first and not now_first))
    schema = {"lot_id": pl.String, "bid_id": pl.String, "shift": pl.Float64, "flip": pl.Boolean}
    return pl.DataFrame(found, schema=schema, orient="row")


def benchmark(price: np.ndarray, k: float, trim: int, weight: float, control: float) -> float:
    """Return the benchmark that ascending prices make.

    Args:
        price: the prices, ascending.
        k: the factor of the mean.
        trim: so many prices are cut at each end, if any is left.
        weight: the weight of the control price against the mean.
        control: the control price.

    >>> benchmark(np.array([80.0, 90.0, 100.0, 110.0]), 0.5, 1, 0.0, 0.0)
    47.5
    """
    inner = price[trim : len(price) - trim] if len(price) > 2 * trim else price
    return float(k * ((1 - weight) * inner.mean() + weight * control))


def price_scores(distance: np.ndarray, known: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the points for distances from the benchmark, on straight lines through the known ones, ends extended.

    >>> price_scores(np.array([-0.3, 0.05, 0.2]), np.array([-0.2, 0.0, 0.1]), np.array([80.0, 100.0, 90.0]))
    array([70., 95., 80.])
    """
    at, first = np.unique(known.round(12), return_index=True)
    score = points[first]
    if len(at) == 1:
        return np.full(len(distance), score[0])
    segment = np.clip(np.searchsorted(at, distance, side="right") - 1, 0, len(at) - 2)
    slope = np.diff(score) / np.diff(at)
    return score[segment] + slope[segment] * (distance - at[segment])
