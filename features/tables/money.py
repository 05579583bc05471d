"""Money: payments, onward flows, purchases, prices and wages."""

from features.tables.columns import Table, day, enum, flag, integer, moment, money, text, year_month


class Payment(Table):
    """One application and payment of project funds."""

    NAME = "payment"
    EVENT = "paid_at"
    KNOWN_FROM = ("applied_at",)

    payment_id = text("拨付编号", "S07", key=True)
    project_id = text("项目", "S07", references="project.project_id")
    contract_id = text("合同", "S07", references="contract.contract_id", nullable=True)
    payment_type = enum(
        "款项类型",
        "S07",
        ["prepayment", "progress", "change", "labour", "settlement", "retention_release", "emergency", "other"],
    )
    measurement_period = year_month("对应计量周期", "S07", nullable=True)
    applied_amount = money("申请金额", "S07", signed=True)
    approved_amount = money("批准金额", "S07", signed=True, known_from="approved_at", nullable=True)
    paid_amount = money("支付金额", "S07", signed=True, known_from="paid_at", nullable=True)
    prepay_offset_amount = money("本次扣回预付款", "S07", known_from="paid_at", nullable=True)
    applied_at = moment("申请时间", "S07")
    approved_at = moment("批准时间", "S07", nullable=True)
    paid_at = moment("支付时间", "S07", nullable=True)
    payer_org_id = text("付款单位", "S07", references="organisation.org_id")
    payee_org_id = text("收款单位", "S07", references="organisation.org_id", nullable=True)
    payee_person_id = text("收款个人", "S07", references="person.person_id", personal="personal", nullable=True)
    payee_account_hash = text("收款账户(哈希)", "S07", personal="sensitive", nullable=True)
    supervisor_signed = flag("总监签字", "S07", nullable=True)
    voucher_no = text("凭证号", "S07", known_from="paid_at", nullable=True)


class FundFlow(Table):
    """Onward transfers from the contractor's receiving or supervised account.

    Restricted, supplied by the bank under agreement or case.
    """

    NAME = "fund_flow"
    EVENT = "flow_at"

    flow_id = text("流水编号", "R02", key=True)
    contract_id = text("合同", "R02", references="contract.contract_id")
    from_org_id = text("付款方", "R02", references="organisation.org_id")
    to_org_id = text("收款单位", "R02", references="organisation.org_id", nullable=True)
    to_person_id = text("收款个人", "R02", references="person.person_id", personal="sensitive", nullable=True)
    to_account_hash = text("收款账户(哈希)", "R02", personal="sensitive", nullable=True)
    amount = money("金额", "R02", signed=True)
    flow_at = moment("时间", "R02")
    purpose_text = text("用途", "R02", nullable=True)


class MaterialPurchase(Table):
    """One purchase or lease invoice line for a contract's main materials or machines."""

    NAME = "material_purchase"
    EVENT = "invoiced_at"

    purchase_id = text("采购编号", "R01", key=True)
    contract_id = text("合同", "P00", references="contract.contract_id")
    buyer_org_id = text("购买方", "R01", references="organisation.org_id", nullable=True)
    buyer_person_id = text("购买个人", "R01", references="person.person_id", personal="personal", nullable=True)
    seller_org_id = text("销售方", "R01", references="organisation.org_id", nullable=True)
    item_name = text("品名", "R01")
    amount = money("金额", "R01", signed=True)
    invoiced_at = day("开票日期", "R01")
    owner_supplied = flag("是否甲供", "P00")


class MarketPrice(Table):
    """Published market price of a material or item."""

    NAME = "market_price"
    EVENT = "month"

    price_id = text("价格编号", "S03+S09", key=True)
    item_code = text("编码", "S03+S09")
    region_code = text("区划", "S03+S09", references="region.region_code")
    month = year_month("月份", "S03+S09")
    unit_price = money("单价", "S03+S09")


class WageAccount(Table):
    """Wage account and wage bond of one contract."""

    NAME = "wage_account"
    EVENT = "opened_at"
    UNDATED_IS_PAST = True

    wage_account_id = text("专户编号", "S10", key=True)
    project_id = text("项目", "S10", references="project.project_id")
    contract_id = text("总包合同", "S10", references="contract.contract_id")
    org_id = text("总包单位", "S10", references="organisation.org_id")
    opened_at = day("开立日期", "S10", nullable=True)
    closed_at = day("注销日期", "S10", nullable=True)
    bond_amount = money("工资保证金", "S10", known_from="bond_at | opened_at", nullable=True)
    bond_form = enum("形式", "S10", ["deposit", "guarantee", "exempt"], known_from="bond_at | opened_at", nullable=True)
    bond_at = day("存储日期", "S10", nullable=True)
    realname_system_on = flag("实名制是否启用", "S10", nullable=True)


class WagePayment(Table):
    """Monthly labour-fee transfer and wage payment of one contract."""

    NAME = "wage_payment"
    EVENT = "month"

    wage_payment_id = text("发放编号", "S10", key=True)
    wage_account_id = text("专户", "S10", references="wage_account.wage_account_id")
    project_id = text("项目", "S10", references="project.project_id")
    month = year_month("月份", "S10")
    labour_fee_due = money("应拨人工费", "S10")
    labour_fee_transferred = money("已拨人工费", "S10", known_from="transferred_at | month")
    transferred_at = moment("拨付时间", "S10", nullable=True)
    workers_due = integer("应发人数", "S10", unit="person", high=1_000_000)
    workers_paid = integer("实发人数", "S10", unit="person", high=1_000_000)
    wage_due = money("应发工资", "S10")
    wage_paid = money("实发工资", "S10")


class WorkerDay(Table):
    """Daily head count per project; no personal data."""

    NAME = "worker_day"
    EVENT = "date"

    worker_day_id = text("记录编号", "S02+S10", key=True)
    project_id = text("项目", "S02+S10", references="project.project_id")
    date = day("日期", "S02+S10")
    workers_registered = integer("在册人数", "S10", unit="person", high=1_000_000)
    workers_present = integer("到场人数", "S02+S10", unit="person", high=1_000_000)
    workers_of_contractor = integer("属承包人及备案分包人数", "S10", unit="person", high=1_000_000, nullable=True)
