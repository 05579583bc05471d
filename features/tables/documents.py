"""Tendering and procurement: traces of documents, and bonds."""

from features.tables.columns import WITH_ROW, Table, enum, flag, integer, json, moment, money, number, text


class DocDownload(Table):
    """Who obtained the tender document, from where."""

    NAME = "doc_download"
    EVENT = "downloaded_at"

    download_id = text("获取编号", "S01", key=True)
    tender_id = text("招标活动", "S01", references="tender.tender_id")
    org_id = text("获取单位", "S01", references="organisation.org_id")
    downloaded_at = moment("获取时间", "S01")
    ip_address = text("IP地址", "S01", personal="personal", nullable=True)
    mac_address = text("MAC地址", "S01", personal="personal", nullable=True)
    operator_person_id = text("经办人", "S01", references="person.person_id", personal="personal", nullable=True)
    contact_phone_hash = text("联系电话(哈希)", "S01", personal="personal", nullable=True)


class TenderDocFingerprint(Table):
    """Digital traces of the tender document and its appendices.

    And of the devices the tenderer or agency uses on the trading platform.
    """

    NAME = "tender_doc_fingerprint"
    EVENT = "tender_id.notice_published_at | tender_id.opening_at"

    tdf_id = text("指纹编号", "S01", key=True)
    tender_id = text("招标活动", "S01", references="tender.tender_id")
    org_id = text("编制/上传单位", "S01", references="organisation.org_id")
    author = text("文档作者", "S01", personal="personal", nullable=True)
    last_modified_by = text("最后修改人", "S01", personal="personal", nullable=True)
    machine_code = text("文件制作机器码", "S01", nullable=True)
    mac_address = text("MAC地址", "S01", personal="personal", nullable=True)
    ip_address = text("IP地址", "S01", personal="personal", nullable=True)


class BidDocumentFingerprint(Table):
    """Digital traces of one bid file. One row per bid and file kind."""

    NAME = "bid_document_fingerprint"
    EVENT = "bid_id.tender_id.opening_at"

    fingerprint_id = text("指纹编号", "S01", key=True)
    bid_id = text("投标", "S01", references="bid.bid_id")
    file_kind = enum("文件类别", "S01", ["technical", "commercial", "price", "boq", "whole"])
    file_hash = text("文件哈希", "S01")
    machine_code = text("文件制作机器码", "S01", nullable=True)
    file_creation_id = text("文件创建标识码", "S01", nullable=True)
    mac_address = text("网卡MAC", "S01", personal="personal", nullable=True)
    cpu_serial = text("CPU序列号", "S01", nullable=True)
    disk_serial = text("硬盘序列号", "S01", nullable=True)
    mainboard_serial = text("主板序列号", "S01", nullable=True)
    pricing_lock_no = text("计价软件加密锁号", "S01", nullable=True)
    pricing_software = text("计价软件", "S01", nullable=True)
    author = text("文档作者", "S01", personal="personal", nullable=True)
    last_modified_by = text("最后修改人", "S01", personal="personal", nullable=True)
    company = text("文档公司属性", "S01", nullable=True)
    doc_created_at = moment("文档创建时间", "S01", known_from=WITH_ROW, nullable=True)
    doc_modified_at = moment("文档修改时间", "S01", known_from=WITH_ROW, nullable=True)
    page_count = integer("页数", "S01", unit="page", nullable=True)
    simhash = text("文本SimHash", "D00", nullable=True)
    typo_set = json("特征错误集", "D00", nullable=True)
    image_phash_set = json("图片感知哈希集", "D00", nullable=True)
    foreign_name_hits = json("他人单位名称命中", "D00", nullable=True)


class BidDocPair(Table):
    """Pairwise comparison of two bids of one lot; computed after opening."""

    NAME = "bid_doc_pair"
    EVENT = "computed_at"

    pair_id = text("比对编号", "D00", key=True)
    lot_id = text("标段", "D00", references="lot.lot_id")
    bid_a_id = text("投标A", "D00", references="bid.bid_id")
    bid_b_id = text("投标B", "D00", references="bid.bid_id")
    text_similarity = number("文本相似度", "D00", unit="ratio", low=0, high=1, nullable=True)
    max_common_passage_chars = integer("最长雷同段", "D00", unit="char", nullable=True)
    shared_typos = integer("共同错误数", "D00", nullable=True)
    shared_images = integer("共同图片数", "D00", nullable=True)
    computed_at = moment("计算时间", "D00")


class BondPayment(Table):
    """One bond transfer or guarantee for one bid."""

    NAME = "bond_payment"
    EVENT = "bid_id.tender_id.opening_at"

    bond_id = text("保证金编号", "S01", key=True)
    bid_id = text("投标", "S01", references="bid.bid_id")
    lot_id = text("标段", "S01", references="lot.lot_id")
    form = enum("形式", "S01", ["transfer", "guarantee", "insurance", "cheque", "cash"])
    amount = money("金额", "S01")
    payer_org_id = text("付款单位", "S01", references="organisation.org_id", nullable=True)
    payer_account_hash = text("付款账户(哈希)", "S01", personal="sensitive", nullable=True)
    payer_bank = text("付款银行网点", "S01", nullable=True)
    is_basic_account = flag("是否基本账户", "S01", nullable=True)
    guarantee_issuer_org_id = text("保函出具机构", "S01", references="organisation.org_id", nullable=True)
    guarantee_no = text("保函编号", "S01", nullable=True)
    guarantee_fee_account_hash = text("保函费付款账户(哈希)", "S01", personal="sensitive", nullable=True)
    paid_at = moment("缴纳时间", "S01", nullable=True)
    returned_at = moment("退还时间", "S01", nullable=True)
    return_account_hash = text("退还账户(哈希)", "S01", personal="sensitive", known_from="returned_at", nullable=True)
