"""Comparing a lot with its peers: percentile and quartiles among similar lots that opened before it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl

from features.rounding import DECIMALS

N_BIN = "n_bin"
QUARTILES = MappingProxyType({"peer_q1": 0.25, "peer_q3": 0.75})


@dataclass(frozen=True)
class PeerRule:
    """How peers of a lot are found (README section 3 PEER, rulings G11).

    Attributes:
        always: columns in which a peer equals the subject, null equal to null.
        steps: further columns, strictest first; the first step with enough peers decides.
        at: the instant; peers lie strictly before it.
    """

    always: tuple[str, ...]
    steps: tuple[tuple[str, ...], ...]
    at: str


PEERS = PeerRule(
    always=("object_type", "evaluation_method", "currency", N_BIN),
    steps=(("category", "city", "required_qual_code"), ("category", "city"), ("category",), ()),
    at="opening_at",
)
"""PEER(l) of README section 3 (rulings G11)."""


def n_bin(n_valid: pl.Expr) -> pl.Expr:
    """Bin the number of valid bids: 1-2, 3, 4-5, 6-9, 10+ (rulings G11)."""
    return (
        pl.when(n_valid >= 10)
        .then(pl.lit("10+"))
        .when(n_valid >= 6)
        .then(pl.lit("6-9"))
        .when(n_valid >= 4)
        .then(pl.lit("4-5"))
        .when(n_valid == 3)
        .then(pl.lit("3"))
        .when(n_valid >= 1)
        .then(pl.lit("1-2"))
    )


def with_peers(
    measured: pl.DataFrame,
    rule: PeerRule,
    *,
    peer_min: int,
    window_months: int,
    quantiles: Mapping[str, float] = QUARTILES,
) -> pl.DataFrame:
    """Add what peers say about each subject.

    Peers are the other subjects that have a value of this indicator themselves, share the rule's columns (null
    equal to null) and lie strictly inside (t - window, t); never the same instant. The strictest step with at least
    ``peer_min`` of them decides (README section 3 PEER, rulings G11, G12, G13).

    Args:
        measured: one row a subject: ``raw_value`` (null when it has none) and the columns of the rule.
        rule: what makes a peer.
        peer_min: the fewest peers that count.
        window_months: how far back peers may lie, in calendar months.
        quantiles: which quantiles of the peers' values are told, by the name of their column (Hyndman-Fan type 7).

    Returns:
        The rows with ``peer_percentile`` (share of peers below, plus half of ties), the quantiles, ``peer_n`` and
        ``peer_step`` (1 is the strictest); null without enough peers.
    """
    rows = measured.with_row_index("_row").sort(rule.at, "_row")
    valued = rows.filter(pl.col("raw_value").is_not_null() & pl.col(rule.at).is_not_null())
    answers = ["peer_percentile", *quantiles, "peer_n"]
    found: list[pl.DataFrame] = []
    open_rows = valued
    for number, step in enumerate(rule.steps, start=1):
        keys = [*rule.always, *step]
        compared = _compare(valued, keys, rule.at, window_months, quantiles).filter(pl.col("peer_n") >= peer_min)
        decided = compared.join(open_rows.select("_row"), on="_row", how="semi")
        found.append(decided.with_columns(peer_step=pl.lit(number, dtype=pl.Int64)))
        open_rows = open_rows.join(decided.select("_row"), on="_row", how="anti")
        if open_rows.is_empty():
            break
    answered = pl.concat(found).select("_row", *answers, "peer_step")
    return rows.join(answered, on="_row", how="left").sort("_row").drop("_row")


def _compare(
    valued: pl.DataFrame, keys: list[str], at: str, months: int, quantiles: Mapping[str, float]
) -> pl.DataFrame:
    """Compare each row with the rows of the same keys in (t - months, t)."""
    window = f"{months}mo"
    value = pl.col("value")
    before_or_same = {"window_size": window, "closed": "right"}
    before = {"window_size": window, "closed": "none"}
    rounded = pl.col("raw_value").round(DECIMALS)
    rounded = pl.when(rounded == 0).then(pl.lit(0.0)).otherwise(rounded)  # no -0.0, which would print as another value
    grouped = valued.select("_row", at, group=pl.struct(keys).rank("dense"), value=rounded).sort("group", at, "_row")
    windowed = grouped.with_columns(
        low=value.rolling_rank_by(at, method="min", **before_or_same).over("group"),  # type: ignore[arg-type]
        high=value.rolling_rank_by(at, method="max", **before_or_same).over("group"),  # type: ignore[arg-type]
        low_same=value.rank("min").over("group", at),
        high_same=value.rank("max").over("group", at),
        peer_n=value.is_not_null().cast(pl.Int64).rolling_sum_by(at, **before).over("group"),  # type: ignore[arg-type]
        **{
            name: value.rolling_quantile_by(at, quantile=part, interpolation="linear", **before).over("group")  # type: ignore[arg-type]
            for name, part in quantiles.items()
        },
    )
    below = pl.col("low").cast(pl.Int64) - pl.col("low_same").cast(pl.Int64)
    at_or_below = pl.col("high").cast(pl.Int64) - pl.col("high_same").cast(pl.Int64)
    return windowed.with_columns(
        peer_percentile=pl.when(pl.col("peer_n") > 0).then((below + at_or_below) / 2 / pl.col("peer_n"))
    )
