"""Contract and construction."""

from features.tables.columns import Table, day, enum, flag, integer, json, moment, money, number, text


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
    planned_finish_date = day("合同竣工日", "P00", nullable=True)
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
