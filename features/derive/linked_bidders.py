"""Who is linked to whom: organisations by control, weak affiliation or habit of meeting, bids of a lot by traces."""

import datetime as dt

import polars as pl

from features.derive.affiliations import TIE, bidder_pairs, control_ties, same_ways, weak_ties, weighted
from features.derive.bid_pairs import opened_bids, rivals
from features.derive.bid_traces import AddressPair, BondPair, CreationIdPair, MachinePair, PricingLockPair
from features.derive.cliques import cobidding_ties
from features.tables.source import SourceTables

WEAK_MIN = 0.3
"""A weak affiliation of at least so much links (SI-032, SI-036)."""
HW_MIN = 2
"""SI-010.hw_min."""
IP_PREFIX_V6 = 64
"""SI-013.ip_prefix_v6."""


def linked(source: SourceTables, pairs: pl.LazyFrame, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the pairs linked on their day by SI-020, by SI-021 with at least 0.3, or by SI-034: TIE, each once.

    Args:
        source: the tables.
        pairs: rows with the columns of TIE.
        as_of: the moment.
    """
    met = pairs.select(TIE).unique().collect().lazy()
    weak = same_ways(weak_ties(source, met, as_of)).filter(weighted("same").round(9) >= WEAK_MIN)
    meeting = met.join(cobidding_ties(source, as_of).lazy(), on=["org_id_1", "org_id_2"], how="semi")
    ties = [control_ties(source, met, as_of), weak, meeting]
    return pl.concat(one.select(TIE) for one in ties).unique()


def linked_bids(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return the linked bids of each opened lot: bid_id_1, bid_id_2, each pair once.

    Beside bids of ``linked`` bidders these are bids made on one computer (SI-010), grown out of one file (SI-011),
    priced with one lock (SI-012), sent from one address (SI-013) or secured from one purse (SI-018).
    """
    pairs = bidder_pairs(source, as_of).collect().lazy()
    by_org = pairs.join(linked(source, pairs, as_of), on=TIE, how="semi")
    machine = pl.col("machine_same") | (pl.col("n_hardware_same") >= HW_MIN)
    same = [
        CreationIdPair.derive(source, as_of),
        PricingLockPair.derive(source, as_of),
        AddressPair.derive(source, as_of, IP_PREFIX_V6),
        BondPair.derive(source, as_of),
    ]
    traces = [MachinePair.derive(source, as_of).filter(machine), *[rows.filter("same") for rows in same]]
    traced = pl.concat(one.select("subject_id") for one in traces).unique()
    by_bid = rivals(opened_bids(source, as_of)).join(traced, on="subject_id", how="semi")
    ids = ("bid_id_1", "bid_id_2")
    return (
        pl.concat([by_org.select(ids), by_bid.select(bid_id_1="bid_1", bid_id_2="bid_2")])
        .select(bid_id_1=pl.min_horizontal(ids), bid_id_2=pl.max_horizontal(ids))
        .unique()
    )
