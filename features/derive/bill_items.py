"""The bill of quantities of a lot: which of its items carry most of the money."""

import polars as pl

from features.rounding import DECIMALS
from features.tables.bills import BoqItem
from features.tables.source import SourceTables

MAIN_ITEM_SHARE = 0.8
"""Share of the control amount of a lot that its main items cover (parameter ``INDEX.main_item_share``)."""


def main_items(source: SourceTables) -> pl.LazyFrame:
    """Return the main items of each lot: boq_item_id, lot_id, tender_quantity.

    They are the smallest set that covers ``MAIN_ITEM_SHARE`` of the control amount, the largest first, where the source
    does not say which they are. An item without a control price has no amount.
    """
    amount = pl.col("amount")
    before = (amount.cum_sum() - amount).over("lot_id") / amount.sum().over("lot_id")
    return (
        source[BoqItem]
        .with_columns(
            amount=(pl.col("tender_quantity") * pl.col("control_unit_price").cast(pl.Float64)).fill_null(0.0),
        )
        .sort("lot_id", "amount", "boq_item_id", descending=[False, True, False])
        .with_columns(is_main=(amount > 0) & (before.round(DECIMALS) < MAIN_ITEM_SHARE))
        .filter(pl.coalesce("is_main_item", "is_main"))
        .select("boq_item_id", "lot_id", "tender_quantity")
    )
