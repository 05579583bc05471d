"""Bidders that always meet: their ties, the cliques that these form, and who wins inside a clique."""

import datetime as dt
import hashlib
import random
from collections.abc import Sequence

import dataframely as dy
import igraph
import numpy as np
import polars as pl

from features.derive.bidders import LIFT, OVERLAP, CoBidding, cobidding_p_value, decided_lots, winners
from features.derive.bids import submitted_bids
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.lots import first_opening
from features.derive.multiplicity import with_q_values
from features.derive.windows import short_history
from features.tables.source import SourceTables

WINDOW_MONTHS = 36
"""SI-034.window_months; likewise the following."""
C_MIN = 5
LIFT_MIN = 2.0
OVERLAP_MIN = 0.6
Q_MAX = 0.01
LOTS_MIN = 30


def cobidding_ties(source: SourceTables, as_of: dt.datetime) -> pl.DataFrame:
    """Return the pairs of organisations of which SI-034 says that they always meet: org_id_1, org_id_2, sorted.

    The market with the smallest p-value speaks for a pair (rulings SI-034).
    """
    counted = CoBidding.derive(source, as_of, WINDOW_MONTHS, C_MIN, LOTS_MIN)
    enough = (pl.col("n_lots") >= LOTS_MIN) & (pl.col("n_1") >= C_MIN) & (pl.col("n_2") >= C_MIN)
    assessable = enough & ~pl.col("only_incomplete") & ~pl.col("short_history")
    tested = counted.filter(assessable).with_columns(p_value=cobidding_p_value(), lift=LIFT, overlap=OVERLAP).collect()
    pair = ["org_id_1", "org_id_2"]
    often = (pl.col("lift").round(9) >= LIFT_MIN) | (pl.col("overlap").round(9) >= OVERLAP_MIN)
    return (
        with_q_values(tested, "p_value")
        .sort(*pair, "p_value", "n_both", "market", descending=[False, False, False, True, False])
        .unique(pair, keep="first", maintain_order=True)
        .filter(pl.col("n_both") >= C_MIN, often, pl.col("q_value").round(9) <= Q_MAX)
        .select(pair)
    )


class CliqueRotation(Derived):
    """One organisation, or one clique, and how wins go round in it."""

    subject_id = dy.String(primary_key=True)
    """The organisation, or the clique."""
    clique_id = dy.String(nullable=True)
    """Null for an organisation that belongs to none."""
    n_members = dy.Int64(min=0)
    n_lots = dy.Int64(min=0)
    """Decided lots of the window for which at least two members bid."""
    win_ratio = dy.Float64(nullable=True, min=0, max=1)
    """Share of these that members won."""
    evenness = dy.Float64(nullable=True, min=0)
    """Entropy of the wins over the members, relative to wins all alike."""
    alternation = dy.Float64(nullable=True, min=0, max=1)
    """Share of random orders of the winners in which they alternate less."""
    short_history = dy.Bool()
    evidence = dy.String()

    @classmethod
    def derive(
        cls, source: SourceTables, as_of: dt.datetime, window_months: int, size_min: int, perms: int
    ) -> pl.LazyFrame:
        """Find cliques of bidders that always meet, and follow who won (rulings SI-035)."""
        lots = decided_lots(source, as_of, window_months)
        won = winners(source, as_of).select("lot_id", "org_id").unique()
        bids = submitted_bids(source).select("lot_id", org_id="bidder_org_id")
        there = pl.concat([bids, won]).unique().join(lots.select("lot_id"), on="lot_id", how="semi").collect()
        members = cliques(cobidding_ties(source, as_of), size_min)
        complete = lots.filter("bids_complete").select("lot_id", "opening_at").collect()
        met = (
            there.join(members, on="org_id", how="inner")
            .join(complete, on="lot_id", how="inner")
            .join(won.collect().with_columns(won=pl.lit(value=True)), on=["lot_id", "org_id"], how="left")
            .filter(pl.col("org_id").n_unique().over("clique_id", "lot_id") > 1)
        )
        rotations = _rotations(met, members, perms)
        everybody = pl.concat([there.select("org_id"), members.select("org_id")]).unique()
        organisations = everybody.join(members, on="org_id", how="left").rename({"org_id": "subject_id"})
        rings = rotations.select("clique_id", subject_id="clique_id").select("subject_id", "clique_id")
        return (
            pl.concat([organisations.select("subject_id", "clique_id"), rings])
            .join(rotations, on="clique_id", how="left")
            .with_columns(
                pl.col("n_members", "n_lots").fill_null(0),
                pl.col("evidence").fill_null("[]"),
                short_history=pl.lit(short_history(first_opening(source), as_of, window_months)),
            )
            .select(cls.column_names())
            .sort("subject_id")
            .lazy()
        )


def cliques(ties: pl.DataFrame, size_min: int) -> pl.DataFrame:
    """Return the communities that ties make (Leiden, rulings G24): org_id, clique_id, sorted.

    Args:
        ties: org_id_1, org_id_2, each pair once.
        size_min: smaller communities are none.
    """
    nodes = pl.concat([ties.get_column("org_id_1"), ties.get_column("org_id_2")]).unique().sort()
    place = {org: at for at, org in enumerate(nodes)}
    edges = [(place[one], place[other]) for one, other in ties.sort("org_id_1", "org_id_2").iter_rows()]
    graph = igraph.Graph(n=len(nodes), edges=edges)
    igraph.set_random_number_generator(random.Random(1))  # noqa: S311 (a fixed order of the search, no secret)
    found = graph.community_leiden(objective_function="modularity", resolution=1, n_iterations=-1)
    named = [(sorted(nodes[at] for at in community)) for community in found if len(community) >= size_min]
    rows = [(org, clique_id(members)) for members in named for org in members]
    return pl.DataFrame(rows, schema={"org_id": pl.String, "clique_id": pl.String}, orient="row").sort("org_id")


def clique_id(members: Sequence[str]) -> str:
    """Return the id of a clique from the sorted ids of its members (rulings G17)."""
    return "clique:" + hashlib.sha256(",".join(members).encode()).hexdigest()[:16]


def _rotations(met: pl.DataFrame, members: pl.DataFrame, perms: int) -> pl.DataFrame:
    """Return how wins go round in each clique; ``met`` has a row for each lot and member there."""
    sizes = members.group_by("clique_id").agg(n_members=pl.len().cast(pl.Int64))
    lots = met.group_by("clique_id", "lot_id", "opening_at").agg(
        members=pl.col("org_id").sort().str.join(" "), symbols=pl.col("org_id").filter(pl.col("won")).sort()
    )
    by_clique = (
        lots.with_columns(winners=pl.col("symbols").list.join(" "))
        .sort("clique_id", "opening_at", "lot_id")
        .group_by("clique_id", maintain_order=True)
        .agg(
            n_lots=pl.len().cast(pl.Int64),
            win_ratio=(pl.col("symbols").list.len() > 0).mean(),
            sequence=pl.col("symbols").explode(empty_as_null=False),
            evidence=rows_as_evidence("lot", "lot_id", ["opening_at", "members", "winners"]),
        )
    )
    judged = sizes.join(by_clique, on="clique_id", how="left").sort("clique_id")
    sequences: list[list[str]] = [one or [] for one in judged.get_column("sequence").to_list()]
    return judged.drop("sequence").with_columns(
        evenness=pl.Series(
            [evenness(one, n) for one, n in zip(sequences, judged["n_members"], strict=True)], dtype=pl.Float64
        ),
        alternation=pl.Series(
            [alternation(one, perms, f"SI-035:{id_}") for one, id_ in zip(sequences, judged["clique_id"], strict=True)],
            dtype=pl.Float64,
        ),
    )


def evenness(sequence: Sequence[str], n_members: int) -> float:
    """Return the entropy of the wins over the members, relative to its maximum; 0 without wins.

    >>> evenness(["A", "B", "A", "B"], 4)
    0.5
    """
    counts = np.unique(np.asarray(sequence, dtype=str), return_counts=True)[1]
    share = counts / max(1, counts.sum())
    return float(-(share * np.log(share)).sum() / np.log(n_members)) + 0.0


def alternation(sequence: Sequence[str], perms: int, seed_of: str) -> float:
    """Return the share of random orders with fewer runs than the sequence has; 0 below two symbols (rulings G24)."""
    if len(sequence) < 2:
        return 0.0
    symbols = np.unique(np.asarray(sequence, dtype=str), return_inverse=True)[1]
    chance = np.random.default_rng(int.from_bytes(hashlib.sha256(seed_of.encode()).digest()[:8], "big"))
    orders = np.stack([chance.permutation(symbols) for _ in range(perms)])
    runs = (np.diff(orders, axis=1) != 0).sum(axis=1)
    return float((runs < (np.diff(symbols) != 0).sum()).mean())
