"""Tendering and procurement: bills of quantities and the prices bid for their items."""

from features.tables.columns import QUANTITY_MAX, Table, flag, money, number, text


class BoqItem(Table):
    """One bill-of-quantities item of a lot with control price."""

    NAME = "boq_item"
    EVENT = "lot_id.tender_id.notice_published_at | lot_id.tender_id.opening_at"

    boq_item_id = text("清单项编号", "S01", key=True)
    lot_id = text("标段", "S01", references="lot.lot_id")
    item_code = text("清单编码", "S01")
    item_name = text("项目名称", "S01")
    unit = text("计量单位", "S01")
    tender_quantity = number("清单工程量", "S01", unit="unit", low=0, high=QUANTITY_MAX)
    control_unit_price = money("控制单价", "S01", nullable=True)
    is_main_item = flag("主要清单项", "D00", nullable=True)
    is_provisional = flag("暂估价项", "S01")


class BidItemPrice(Table):
    """Unit price one bid gives for one item."""

    NAME = "bid_item_price"
    EVENT = "bid_id.tender_id.opening_at"

    bid_item_id = text("报价项编号", "S01", key=True)
    bid_id = text("投标", "S01", references="bid.bid_id")
    boq_item_id = text("清单项", "S01", references="boq_item.boq_item_id")
    unit_price = money("综合单价", "S01", signed=True)
    amount = money("合价", "S01", signed=True)
