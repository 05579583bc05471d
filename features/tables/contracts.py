"""Contract and construction."""

from features.tables.columns import (
    QUANTITY_MAX,
    WITH_ROW,
    Table,
    day,
    enum,
    flag,
    integer,
    json,
    moment,
    money,
    number,
    text,
    year_month,
)


class Contract(Table):
    """One signed contract, including supplementary main contracts.

    Signed online on the platform where 网签 is in force.
    """

    NAME = "contract"
    EVENT = "signed_at"

    contract_id = text("合同编号", "P00", key=True)
    project_id = text("项目", "P00", references="project.project_id")
    lot_id = text("标段", "P00", references="lot.lot_id", nullable=True)
    tender_id = text("招标活动", "P00", references="tender.tender_id", nullable=True)
    contract_type = enum(
        "合同类型",
        "P00",
        ["works", "goods", "services", "survey", "design", "supervision", "epc", "agency", "cost_consulting"],
        nullable=True,
    )
    party_a_org_id = text("发包人", "P00", references="organisation.org_id")
    party_b_org_id = text("承包人", "P00", references="organisation.org_id")
    sign_method = enum("签订方式", "P00", ["online", "offline"], nullable=True)
    signed_at = moment("签订时间", "P00", nullable=True)
    filed_at = moment("备案时间", "P00", nullable=True)
    published_at = moment("合同公告时间", "S06", nullable=True)
    amount = money("合同金额", "P00", nullable=True)
    provisional_amount = money("暂列/暂估金额", "P00", nullable=True)
    price_form = enum("计价方式", "P00", ["unit_price", "lump_sum", "cost_plus"], nullable=True)
    duration_days = integer("合同工期", "P00", unit="day", nullable=True)
    planned_finish_date = day("合同竣工日", "P00", known_from=WITH_ROW, nullable=True)
    prepay_ratio = number("预付款比例", "P00", unit="ratio", low=0, high=1, nullable=True)
    progress_pay_ratio = number("进度款支付比例", "P00", unit="ratio", low=0, high=1, nullable=True)
    retention_ratio = number("质保金比例", "P00", unit="ratio", low=0, high=1, nullable=True)
    defect_liability_months = integer("缺陷责任期", "P00", unit="month", nullable=True)
    performance_bond_amount = money("履约担保金额", "P00", nullable=True)
    payment_guarantee = flag("工程款支付担保", "P00", nullable=True)
    labour_cost_ratio = number("人工费比例", "P00", unit="ratio", low=0, high=1, nullable=True)
    labour_cycle_months = number("人工费拨付周期", "P00", unit="month", low=0, high=600, nullable=True)
    payment_term_days = integer("付款期限", "P00", unit="day", nullable=True)
    pm_person_id = text("合同项目经理", "P00", references="person.person_id", personal="personal", nullable=True)
    payee_account_hash = text("约定收款账户(哈希)", "P00", nullable=True)
    doc_consistency = number("与招投标文件一致度", "D00", unit="ratio", low=0, high=1, nullable=True)
    deviation_items = json("不一致条款", "D00", nullable=True)
    supplement_of_contract_id = text("所补充合同", "P00", references="contract.contract_id", nullable=True)
    status = enum("状态", "P00", ["draft", "signed", "performing", "suspended", "completed", "settled", "terminated"])
    file_hash = text("文件哈希", "P00", nullable=True)


class Subcontract(Table):
    """One subcontract under a main contract."""

    NAME = "subcontract"
    EVENT = "signed_at"

    subcontract_id = text("分包编号", "S03+S09", key=True)
    contract_id = text("主合同", "S03+S09", references="contract.contract_id")
    sub_org_id = text("分包单位", "S03+S09", references="organisation.org_id")
    scope_text = text("分包内容", "S03+S09", nullable=True)
    amount = money("分包金额", "S03+S09")
    is_labour = flag("是否劳务分包", "S03+S09")
    is_main_structure = flag("是否主体结构", "S03+S09")
    owner_consented = flag("业主是否同意", "S03+S09", nullable=True)
    tier = integer("分包层级", "S03+S09", low=1, high=20)
    signed_at = moment("签订时间", "S03+S09", nullable=True)


class ContractChange(Table):
    """One change order, site instruction, price adjustment or extension."""

    NAME = "contract_change"
    EVENT = "approved_at"
    KNOWN_FROM = ("proposed_at",)

    change_id = text("变更编号", "P00", key=True)
    contract_id = text("合同", "P00", references="contract.contract_id")
    change_type = enum(
        "变更类型",
        "P00",
        [
            "design_change",
            "site_instruction",
            "supplement",
            "price_adjustment",
            "duration_extension",
            "scope_cut",
            "payment_term",
            "personnel_clause",
        ],
    )
    reason_code = enum(
        "原因",
        "P00",
        ["design_error", "geology", "owner_request", "policy", "price_rise", "boq_omission", "force_majeure", "other"],
    )
    amount_delta = money("金额增减", "P00", signed=True)
    duration_delta_days = integer("工期增减", "P00", unit="day", low=-10_000, high=10_000, nullable=True)
    is_new_item = flag("是否清单外", "P00", nullable=True)
    proposed_at = moment("提出时间", "P00")
    approved_at = moment("批准时间", "P00", nullable=True)
    executed_at = moment("实施时间", "P00", nullable=True)
    approval_id = text("批准手续", "P00", references="approval.approval_id", known_from="approved_at", nullable=True)
    approval_level = enum(
        "批准层级",
        "P00",
        ["owner", "dept", "gov", "original_authority", "none"],
        known_from="approved_at | executed_at",
        nullable=True,
    )
    required_level = enum("应批层级", "D00", ["owner", "dept", "gov", "original_authority"], nullable=True)
    term_changed = json("变更条款", "P00", nullable=True)
    status = enum(
        "状态",
        "P00",
        ["proposed", "approved", "rejected", "executed"],
        known_from="executed_at | approved_at | proposed_at",
    )


class QuantityMeasurement(Table):
    """Measured quantity of one item in one period."""

    NAME = "quantity_measurement"
    EVENT = "submitted_at"

    measurement_id = text("计量编号", "P00", key=True)
    contract_id = text("合同", "P00", references="contract.contract_id")
    boq_item_id = text("清单项", "P00", references="boq_item.boq_item_id", nullable=True)
    period = year_month("计量周期", "P00")
    claimed_qty = number("申报量", "P00", unit="unit", low=-QUANTITY_MAX, high=QUANTITY_MAX)
    approved_qty = number(
        "核定量",
        "P00",
        unit="unit",
        low=-QUANTITY_MAX,
        high=QUANTITY_MAX,
        known_from="owner_approved_at",
        nullable=True,
    )
    cumulative_qty = number(
        "累计核定量", "P00", unit="unit", low=0, high=QUANTITY_MAX, known_from="owner_approved_at", nullable=True
    )
    unit_price = money("单价", "P00")
    amount = money("核定金额", "P00", signed=True, known_from="owner_approved_at", nullable=True)
    submitted_at = moment("申报时间", "P00")
    supervisor_signed_at = moment("监理签认时间", "P00", nullable=True)
    owner_approved_at = moment("业主核定时间", "P00", nullable=True)
    is_concealed = flag("是否隐蔽工程", "P00", nullable=True)
    evidence_count = integer("影像资料数", "P00", nullable=True)
    change_id = text("关联变更", "P00", references="contract_change.change_id", nullable=True)
