"""Pairs of rival bids of one lot, and how what the two carry is set against each other."""

import datetime as dt
from collections.abc import Sequence

import dataframely as dy
import polars as pl

from features.derive.bids import LotBid
from features.derive.configured import listed
from features.derive.derived import Derived
from features.derive.evidence import rows_as_evidence
from features.derive.pairs import bid_pair
from features.tables.columns import Table
from features.tables.source import SourceTables

BIDDER = ("lot_id", "bid_id", "bidder_org_id")
PAIR = ("bid_1", "bid_2")


class BidPair(Derived):
    """Two bids of S(l) of one lot, opened by the moment of scoring, of different bidders."""

    subject_id = dy.String()
    """The pair of bids."""
    lot_id = dy.String()
    evidence = dy.String()


def opened_bids(source: SourceTables, as_of: dt.datetime) -> pl.LazyFrame:
    """Return S(l) of the lots opened by a moment: lot_id, bid_id, bidder_org_id."""
    return LotBid.derive(source, as_of).select(BIDDER)


def rivals(bids: pl.LazyFrame) -> pl.LazyFrame:
    """Return each two bids of a lot by different bidders: subject_id, lot_id, bid_1, bid_2 (the smaller id first).

    Further columns of the bids become two, with the endings _1 and _2.
    """
    first, second = (bids.select("lot_id", pl.all().exclude("lot_id").name.suffix(end)) for end in ("_1", "_2"))
    return (
        first.join(second, on="lot_id", how="inner")
        .filter(pl.col("bid_id_1") < pl.col("bid_id_2"), pl.col("bidder_org_id_1") != pl.col("bidder_org_id_2"))
        .rename({"bid_id_1": "bid_1", "bid_id_2": "bid_2"})
        .with_columns(subject_id=bid_pair(pl.col("bid_1"), pl.col("bid_2")))
    )


def usable(column: str) -> pl.Expr:
    """Return a text column without blanks at its ends; null where nothing is left (rulings G2)."""
    text = pl.col(column).str.strip_chars()
    return pl.when(text != "").then(text)


def is_listed(source: SourceTables, name: str, as_of: dt.datetime) -> pl.Expr:
    """Tell whether a value is on a list of the centre, blanks at its ends and case aside (rulings G25)."""
    entries = listed(source, name, as_of).to_list()
    return pl.col("value").str.strip_chars().str.to_lowercase().is_in(entries)


def values_of(rows: pl.LazyFrame, table: type[Table], columns: Sequence[str]) -> pl.LazyFrame:
    """Return the usable values of some columns of a table, one a row.

    Args:
        rows: rows of the table that belong to bids, with the columns of BIDDER.
        table: the table.
        columns: the columns.

    Returns:
        BIDDER, table and key of the row, column, kind (the column's name: values of one kind are compared), value,
        and shown: the value as evidence may show it, null where it is personal data.
    """
    open_columns = [name for name in columns if table.about(name)["personal_data_class"] == "none"]
    return (
        rows.select(*BIDDER, *columns, key=pl.col(table.key()))
        .unpivot(list(columns), index=[*BIDDER, "key"], variable_name="column", value_name="value")
        .with_columns(value=usable("value"))
        .filter(pl.col("value").is_not_null())
        .with_columns(
            table=pl.lit(table.NAME),
            kind="column",
            shown=pl.when(pl.col("column").is_in(open_columns)).then("value"),
        )
    )


def pooled(values: pl.LazyFrame) -> pl.LazyFrame:
    """Return each value of a bid once, however many of its files carry it; the first row stands for it."""
    same = (*BIDDER, "table", "kind", "column", "value")
    return values.group_by(same).agg(pl.col("key").min(), pl.col("shown").min())


def met(values: pl.LazyFrame, others: pl.LazyFrame) -> pl.LazyFrame:
    """Return where a value of a bid is, in kind and value, one of a rival's.

    Args:
        values: rows as ``values_of`` gives them.
        others: BIDDER, kind, column and value of what they may be equal to.

    Returns:
        One end of a link a row: bid_id, rival_id, kind, column, rival_column, table, key, shown. Values compared with
        themselves give both ends.
    """
    theirs = others.select(
        "lot_id", "kind", "value", rival_id="bid_id", rival_org_id="bidder_org_id", rival_column="column"
    )
    return (
        values.join(theirs, on=["lot_id", "kind", "value"], how="inner")
        .filter(pl.col("bidder_org_id") != pl.col("rival_org_id"))
        .select(LINK)
    )


LINK = ("bid_id", "rival_id", "kind", "column", "rival_column", "table", "key", "shown")


def compared(
    bids: pl.LazyFrame, values: pl.LazyFrame, links: pl.LazyFrame, *, kinds: Sequence[str], **found: pl.Expr
) -> pl.LazyFrame:
    """Return each pair of rivals with what the two carry and what they have in common.

    Args:
        bids: the bids.
        values: bid_id and kind of every usable value.
        links: the ends of links, as ``met`` gives them.
        kinds: each becomes a column that tells whether both bids carry a value of that kind.
        found: aggregations of the links of a pair, counts or yes/no; 0 or no where there is none.

    Returns:
        ``rivals`` with n_values_1 and n_values_2, n_values, the kinds, what was found, and evidence: the rows that
        agree, with the names of the columns (and the values that may be shown).
    """
    carried = values.group_by("bid_id").agg(
        *[(pl.col("kind") == kind).any().alias(kind) for kind in kinds], n_values=pl.len().cast(pl.Int64)
    )
    ends = bids.join(carried, on="bid_id", how="left").with_columns(
        pl.col("n_values").fill_null(0), *[pl.col(kind).fill_null(value=False) for kind in kinds]
    )
    common = links.with_columns(
        bid_1=pl.min_horizontal("bid_id", "rival_id"), bid_2=pl.max_horizontal("bid_id", "rival_id")
    )
    said = common.group_by(PAIR).agg(**found)
    nothing = [
        pl.col(name).fill_null(value=False) if dtype == pl.Boolean else pl.col(name).fill_null(0)
        for name, dtype in said.drop(PAIR).collect_schema().items()
    ]
    return (
        rivals(ends)
        .join(said, on=PAIR, how="left")
        .join(_evidence(common), on=PAIR, how="left")
        .with_columns(
            *nothing,
            *[(pl.col(f"{kind}_1") & pl.col(f"{kind}_2")).alias(kind) for kind in kinds],
            n_values=pl.col("n_values_1") + pl.col("n_values_2"),
            evidence=pl.col("evidence").fill_null("[]"),
        )
    )


def _evidence(common: pl.LazyFrame) -> pl.LazyFrame:
    same = pl.concat_str("column", "shown", separator="=").fill_null(pl.col("column"))
    rows = common.group_by(*PAIR, "table", "key").agg(pl.col("bid_id").min(), same=same.unique().sort().str.join(", "))
    return rows.group_by(PAIR).agg(evidence=rows_as_evidence(pl.col("table"), "key", ["bid_id", "same"]))
