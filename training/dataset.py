"""Lots with a known outcome, side by side with what the models read of them."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from features.derive.bids import LotBid
from features.derive.lots import with_group
from features.tables.contract import FACT_TABLES
from features.tables.results import LabelFeedback
from features.tables.source import SourceTables
from features.tables.store import TableStore
from models.bundle import market_key
from models.lot_features import REQUIRED, feature_list, measured_lots
from training.errors import TrainingError

ANALYSIS = "bid_rigging"
OUTCOMES = {"confirmed": 1, "cleared": 0}
"""Outcomes that teach; suspicions and open cases do not."""
MIN_OF_CLASS = 20
"""Fewest answerable lots of each outcome from which anything is fitted or calibrated."""


@dataclass(frozen=True)
class LabelledLots:
    """What is known for training at a moment.

    Attributes:
        frame: one row a lot with an outcome, sorted by lot_id: lot_id, market (``market_key``), opening_at, y (1
            confirmed, 0 cleared), label_weight (0..1], twin (the smallest lot_id of the same market with the same
            prices), ring (null where no confirmed ring's member bid), answerable (the model can give an answer), then
            the features.
        data_versions: version of every source table.
    """

    frame: pl.DataFrame
    data_versions: Mapping[str, int]

    @property
    def answerable(self) -> pl.DataFrame:
        """Return the lots that have a shape to judge; only these are fitted and judged."""
        return self.frame.filter("answerable")


def labelled_lots(source: SourceTables, as_of: dt.datetime, store: TableStore | None = None) -> LabelledLots:
    """Join the outcomes known at a moment with the measured lots.

    Args:
        source: the tables.
        as_of: later outcomes, openings and awards do not count.
        store: where the tables are from, for their versions.

    Raises:
        TrainingError: there is no outcome of a lot.
    """
    outcomes = lot_outcomes(source, as_of)
    if outcomes.is_empty():
        message = (
            f"label_feedback holds no confirmed or cleared lot of the analysis {ANALYSIS} up to {as_of.isoformat()}. "
            "Mend: load outcomes with smoke ingest tables DIR (label_feedback.csv), or give a later --as-of."
        )
        raise TrainingError(message)
    lots = (
        measured_lots(source, as_of)
        .join(outcomes, on="lot_id", how="inner")
        .join(twins(source, as_of), on="lot_id", how="left")
        .with_columns(
            market_key(),
            pl.col("twin").fill_null(pl.col("lot_id")),
            answerable=pl.all_horizontal(
                market_key().is_not_null(), *[pl.col(one).is_not_null() for one in sorted(REQUIRED)]
            ),
        )
        .sort("lot_id")
    )
    frame = lots.join(rings(source, as_of, lots), on="lot_id", how="left", maintain_order="left").select(
        "lot_id",
        "market",
        "opening_at",
        "y",
        "label_weight",
        "twin",
        "ring",
        "answerable",
        *[one.id for one in feature_list()],
    )
    versions = {} if store is None else {name: store.version(table) for name, table in FACT_TABLES.items()}
    return LabelledLots(frame, versions)


def lot_outcomes(source: SourceTables, as_of: dt.datetime) -> pl.DataFrame:
    """Return the outcome of each lot: lot_id, y, label_weight.

    The latest outcome counts; of equal instants the more trusted, then the larger label_id. A latest word of
    ``suspected`` or ``unknown`` takes the lot out, since the case is open again. Weight 0 does the same.
    """
    return (
        source[LabelFeedback]
        .filter(
            (pl.col("analysis") == ANALYSIS)
            & (pl.col("subject_type").cast(pl.String) == "lot")
            & (pl.col("labelled_at") <= as_of)
        )
        .with_columns(label_weight=pl.col("weight").fill_null(1.0))
        .sort("labelled_at", "label_weight", "label_id")
        .unique("subject_id", keep="last", maintain_order=True)
        .with_columns(pl.col("label").cast(pl.String))
        .filter(pl.col("label").is_in(list(OUTCOMES)) & (pl.col("label_weight") > 0))
        .select(
            lot_id="subject_id",
            y=pl.col("label").replace_strict(OUTCOMES, return_dtype=pl.Int8),
            label_weight="label_weight",
        )
        .sort("lot_id")
        .collect()
    )


def twins(source: SourceTables, as_of: dt.datetime) -> pl.DataFrame:
    """Return for each lot with prices the smallest lot_id of its market with the same valid prices: lot_id, twin."""
    price = pl.col("bid_price").filter(pl.col("counts_as_valid")).sort().cast(pl.String).str.join("|")
    place = pl.col("object_type", "category", "city", "currency").first()
    vectors = LotBid.derive(source, as_of).group_by("lot_id").agg(place, prices=price)
    same = ["object_type", "category", "city", "currency", "prices"]
    return vectors.select("lot_id", twin=pl.col("lot_id").min().over(same)).sort("lot_id").collect()


def rings(source: SourceTables, as_of: dt.datetime, lots: pl.DataFrame) -> pl.DataFrame:
    """Return the ring of each labelled lot that a member of one bid for: lot_id, ring.

    A ring is a connected component of control groups that bid for the same confirmed lots, two lots at least; its name
    is its smallest member. A cleared lot belongs to the ring that most of its bidders are of (of equally many, the
    smallest name), so that a ring's honest lots stay on its side of a split. Where bidders have no names, or meet once
    only, no ring is known.
    """
    bids = (
        with_group(LotBid.derive(source, as_of), source, "bidder_org_id", "member")
        .join(lots.lazy().select("lot_id", "y"), on="lot_id", how="inner")
        .select("lot_id", "y", "member")
        .unique()
        .collect()
    )
    confirmed = bids.filter(pl.col("y") == 1)
    members = confirmed.get_column("member").unique().sort()
    auctions = confirmed.get_column("lot_id").unique().sort()
    if members.is_empty():
        return pl.DataFrame(schema={"lot_id": pl.String, "ring": pl.String})
    rows = confirmed.get_column("member").cast(pl.Enum(members)).to_physical().to_numpy().astype(np.int64)
    places = confirmed.get_column("lot_id").cast(pl.Enum(auctions)).to_physical().to_numpy().astype(np.int64)
    size = len(members) + len(auctions)
    graph = coo_array((np.ones(len(rows)), (rows, places + len(members))), shape=(size, size))
    labels = connected_components(graph, directed=False)[1]
    lots_of = pl.Series(labels[len(members) :]).value_counts(name="n_lots")
    named = (
        pl.DataFrame({"member": members, "component": labels[: len(members)]})
        .join(lots_of.rename({"": "component"}), on="component")
        .filter(pl.col("n_lots") > 1)
        .with_columns(ring=pl.col("member").min().over("component"))
    )
    return (
        bids.join(named, on="member", how="inner")
        .group_by("lot_id", "ring")
        .len()
        .sort("lot_id", "len", "ring", descending=[False, True, False])
        .unique("lot_id", keep="first", maintain_order=True)
        .select("lot_id", "ring")
    )


def check_trainable(lots: pl.DataFrame) -> None:
    """Make sure that some market has enough lots of both outcomes.

    Args:
        lots: answerable rows of ``LabelledLots``.

    Raises:
        TrainingError: there are none, one outcome only, or too few.
    """
    if lots.is_empty():
        message = (
            "No labelled lot has the three published prices and the known region and object_type that the model reads. "
            "Mend: load the bids (bid.bid_price) and project.region_code of the labelled lots."
        )
        raise TrainingError(message)
    n, n_positive = lots.height, int(lots.get_column("y").sum())
    if n_positive in (0, n):
        word, other = ("confirmed", "cleared") if n_positive else ("cleared", "confirmed")
        message = (
            f"All {n} labelled lots that can be measured are {word}; a model needs both outcomes. "
            f"Mend: load {other} lots into label_feedback."
        )
        raise TrainingError(message)
    if not markets_with_both(lots):
        message = (
            f"No market has {MIN_OF_CLASS} confirmed and {MIN_OF_CLASS} cleared lots that can be measured "
            f"({n_positive} confirmed and {n - n_positive} cleared in all). Mend: load more outcomes into "
            "label_feedback; until then the index is rule-led."
        )
        raise TrainingError(message)


def markets_with_both(lots: pl.DataFrame, at_least: int = MIN_OF_CLASS) -> list[str]:
    """Return the markets with enough lots of both outcomes, sorted."""
    counts = lots.group_by("market").agg(positive=pl.col("y").sum(), n=pl.len())
    enough = (pl.col("positive") >= at_least) & (pl.col("n") - pl.col("positive") >= at_least)
    return counts.filter(enough).get_column("market").sort().to_list()
