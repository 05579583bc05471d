"""How a ward is laid out: which organisations it has, in which order, and what their trades are called.

All wards have one layout, so an organisation's number says what it is: ward * size + offset. A pool of firms of one
trade is a slice, and a million projects need no index.
"""

from dataclasses import dataclass

from experiments.city.defaults import WARD_PROJECTS


@dataclass(frozen=True)
class Trade:
    """One trade: the market of a lot and of the firms that serve it."""

    code: str
    org_type: str
    object_type: str
    category: str  # of the platform tree; A goods, B works, C services
    qualification: str
    word: str  # in the names of firms
    count: int  # firms in a ward of WARD_PROJECTS projects
    at_least: int = 4


TRADES: tuple[Trade, ...] = (
    Trade("building", "contractor", "works", "B01.01.01", "建筑工程施工总承包", "建筑工程", 440, 22),
    Trade("municipal", "contractor", "works", "B02.01.01", "市政公用工程施工总承包", "市政工程", 310, 20),
    Trade("highway", "contractor", "works", "B02.02.01", "公路工程施工总承包", "路桥工程", 200, 20),
    Trade("water", "contractor", "works", "B02.03.01", "水利水电工程施工总承包", "水利水电工程", 220, 20),
    Trade("landscape", "contractor", "works", "B03.01.01", "古建筑工程专业承包", "园林绿化", 100, 16),
    Trade("mep", "contractor", "works", "B04.01.01", "建筑机电安装工程专业承包", "机电安装", 100, 16),
    Trade("equipment", "supplier", "goods", "A02.10.01", "", "机电设备", 170, 12),
    Trade("office", "supplier", "goods", "A02.01.01", "", "办公设备", 100, 12),
    Trade("medical", "supplier", "goods", "A02.32.01", "", "医疗器械", 90, 12),
    Trade("property", "supplier", "services", "C21.04.01", "", "物业服务", 120, 12),
    Trade("software", "supplier", "services", "C16.01.01", "", "信息技术", 100, 12),
    Trade("consulting", "supplier", "services", "C20.02.01", "", "规划咨询", 100, 12),
    Trade("design", "designer", "design", "C10.02.01", "工程设计", "设计院", 120, 12),
    Trade("survey", "surveyor", "survey", "C10.01.01", "工程勘察", "勘察设计", 40, 10),
    Trade("supervision", "supervisor", "supervision", "C10.03.01", "工程监理", "工程监理", 120, 12),
    Trade("agency", "agency", "", "", "", "招标代理", 130, 8),
    Trade("cost", "cost_consultant", "", "", "", "造价咨询", 30, 6),
    Trade("inspection", "inspector", "", "", "", "工程检测", 16, 4),
    Trade("labour", "labour", "", "", "", "建筑劳务", 80, 10),
    Trade("bank", "bank", "", "", "", "银行", 16, 8),
    Trade("insurance", "insurer", "", "", "", "保险", 6, 4),
    Trade("owner", "owner", "", "", "", "", 420, 24),
)
TRADE_NO = {trade.code: number for number, trade in enumerate(TRADES)}
WORKS = tuple(n for n, t in enumerate(TRADES) if t.object_type == "works")
EXPERTS = 420
"""Evaluation experts in a ward of WARD_PROJECTS projects."""


@dataclass(frozen=True)
class Layout:
    """Where in a ward each trade stands."""

    wards: int
    scale: float  # 1 = a ward of WARD_PROJECTS projects
    starts: tuple[int, ...]  # offset of each trade; one more entry for the end
    experts: int

    @property
    def size(self) -> int:
        """Organisations in a ward."""
        return self.starts[-1]

    def slice_of(self, trade: str | int) -> tuple[int, int]:
        """Return the first offset of a trade in a ward, and the one past its last."""
        number = TRADE_NO[trade] if isinstance(trade, str) else trade
        return self.starts[number], self.starts[number + 1]

    def count(self, trade: str | int) -> int:
        """Return how many organisations of a trade a ward has."""
        first, end = self.slice_of(trade)
        return end - first


def layout(projects: int) -> Layout:
    """Return the layout of a city of so many projects: one ward for each WARD_PROJECTS, smaller if there are fewer."""
    wards = max(1, round(projects / WARD_PROJECTS))
    scale = min(1.2, projects / (wards * WARD_PROJECTS)) ** 0.75
    starts = [0]
    for trade in TRADES:
        starts.append(starts[-1] + max(trade.at_least, round(trade.count * scale)))
    return Layout(wards, scale, tuple(starts), max(60, round(EXPERTS * scale)))


OWNER_KINDS: tuple[tuple[str, str, str, tuple[str, ...], float], ...] = (
    ("{p}住房和城乡建设局", "housing", "government", ("housing", "municipal", "park"), 2.0),
    ("{p}交通运输局", "transport", "government", ("highway",), 2.2),
    ("{p}水务局", "water", "government", ("water",), 1.8),
    ("{p}教育和体育局", "education", "government", ("education", "culture"), 1.6),
    ("{p}卫生健康局", "health", "government", ("health",), 1.0),
    ("{p}农业农村局", "agriculture", "government", ("agriculture", "land"), 1.5),
    ("{p}自然资源和规划局", "natural_resources", "government", ("land", "ecology"), 0.8),
    ("{p}{b}城市建设投资有限公司", "sasac", "soe", ("municipal", "housing", "park", "ecology"), 3.0),
    ("{p}{b}交通建设投资有限公司", "sasac", "soe", ("highway", "municipal"), 1.8),
    ("{p}{b}人民医院", "health", "institution", ("health",), 0.8),
    ("{p}{b}中学", "education", "institution", ("education",), 0.6),
    ("{p}{b}镇人民政府", "gov", "government", ("agriculture", "highway", "water", "other"), 0.6),
    ("{p}{b}发展集团有限公司", "sasac", "soe", ("municipal", "housing", "culture", "water"), 1.5),
    ("{p}生态环境局", "ecology", "government", ("ecology",), 0.5),
)
"""Name, department kind in charge, ownership, sectors, weight. A region has each once, then the small ones again."""
REPEATED_KINDS = (11, 10, 11, 7, 9, 12)

SECTOR_TRADES: dict[str, tuple[tuple[str, float], ...]] = {
    "housing": (("building", 0.8), ("mep", 0.2)),
    "municipal": (("municipal", 0.8), ("landscape", 0.2)),
    "highway": (("highway", 1.0),),
    "water": (("water", 1.0),),
    "land": (("water", 0.6), ("municipal", 0.4)),
    "education": (("building", 0.8), ("mep", 0.2)),
    "health": (("building", 0.7), ("mep", 0.3)),
    "agriculture": (("water", 0.5), ("highway", 0.3), ("building", 0.2)),
    "ecology": (("municipal", 0.5), ("landscape", 0.3), ("water", 0.2)),
    "culture": (("building", 0.8), ("landscape", 0.2)),
    "park": (("landscape", 1.0),),
    "other": (("building", 0.6), ("municipal", 0.4)),
}
BOUGHT_TRADES = {
    "education": ("office", "equipment", "property", "software"),
    "health": ("medical", "equipment", "property", "software"),
    "other": ("office", "equipment", "software", "property", "consulting"),
}
DEPARTMENT_KINDS = {
    "ndrc": "发展和改革委员会",
    "finance": "财政局",
    "housing": "住房和城乡建设局",
    "transport": "交通运输局",
    "water": "水务局",
    "natural_resources": "自然资源和规划局",
    "hrss": "人力资源和社会保障局",
    "audit": "审计局",
    "market_reg": "市场监督管理局",
    "public_security": "公安局",
    "discipline": "纪委监委",
    "gov_service": "政务服务和公共资源交易服务中心",
    "optimisation_office": "优化营商环境办公室",
    "emergency_mgmt": "应急管理局",
    "agriculture": "农业农村局",
    "education": "教育和体育局",
    "health": "卫生健康委员会",
    "ecology": "生态环境局",
    "gov": "人民政府",
    "sasac": "国有资产监督管理委员会",
    "procuratorate": "人民检察院",
    "court": "人民法院",
}
