"""The tenderer and its winner: terms cut to one firm, a price whispered, invited company, a single source that is none.

The official gains from the firm afterwards; the firm gains a price near the ceiling. The honest likeness is the firm
that wins again because it is near, cheap and good, and the supplier who really is the only one.
"""

import numpy as np

from experiments.city.schemes import Entrants, Role
from experiments.city.schemes.answers import best_answer

KINDS = ("tailored_terms", "leaked_price", "captive_invitation", "single_source_stretch")
NEARNESS = {"clumsy": 0.0004, "practised": 0.0015, "careful": 0.0045}
"""How near to the secret value a firm dares to bid, as a share of it."""


def enter(kind: str, skill: str, members: list[int], rng: np.random.Generator) -> Entrants:
    """Return whom the captured tender brings in, and how many others still come."""
    lead = members[0]
    if kind == "captive_invitation":
        covers = members[1 : 3 + int(rng.random() < 0.4)]
        return Entrants([lead, *covers], [Role.LEAD, *[Role.COVER] * len(covers)], others=int(skill == "careful"))
    if kind == "single_source_stretch":
        return Entrants([lead], [Role.LEAD], others=0)
    if kind == "tailored_terms":
        most = {"clumsy": 2, "practised": 3, "careful": 4}[skill]
        return Entrants([lead], [Role.LEAD], others=int(rng.integers(2, most + 1)))
    return Entrants([lead], [Role.LEAD])


def prices(
    kind: str,
    skill: str,
    how: tuple[str, str, float],
    control: float,
    price: np.ndarray,
    role: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the prices of one lot after the favoured firm has used what it was given."""
    price = price.copy()
    lead = np.flatnonzero(role == Role.LEAD)
    covers = np.flatnonzero(role == Role.COVER)
    if kind == "leaked_price":
        price[lead] = told(how, np.delete(price, lead), skill, rng)
        return np.round(np.minimum(price, control), 2)
    top = control * (1 - rng.uniform(0.004, 0.03))
    price[lead] = top
    step = {"clumsy": 0.006, "practised": 0.008, "careful": 0.012}[skill]
    price[covers] = np.minimum(top * (1 + np.abs(rng.normal(step, step / 2, len(covers)))), control)
    return np.round(price, 2)


def told(how: tuple[str, str, float], others: np.ndarray, skill: str, rng: np.random.Generator) -> float:
    """Return the price of a firm that was told what the benchmark will be (how: evaluation, rule, drawn factor)."""
    return best_answer(*how, others) * (1 - abs(rng.normal(0, NEARNESS[skill])))


FAIR_CLAUSES = (
    ("qualification", "投标人须具有独立法人资格，持有有效的营业执照", None, False),
    ("qualification", "投标人须具备{q}{g}及以上资质，并在人员、设备、资金等方面具有相应的施工能力", None, False),
    ("qualification", "拟派项目负责人须具备{p}，且未担任其他在建项目的项目负责人", None, False),
    ("qualification", "投标人未被列入严重失信主体名单", None, False),
    ("scoring", "投标报价得分", 60.0, False),
    ("scoring", "类似项目业绩，每项得2分，最高6分", 6.0, False),
    ("scoring", "施工组织设计与实施方案", 20.0, True),
    ("scoring", "项目管理机构配备", 8.0, True),
    ("commercial", "投标有效期为投标截止之日起90日历天", None, False),
    ("contract", "工程款按月计量支付，支付至已完工程量的80%", None, False),
)
TAILORED_CLAUSES = {
    "clumsy": (
        ("qualification", "投标人须近三年在{r}范围内获得过本招标人颁发的优质工程奖项", None, False),
        ("qualification", "投标人须在{r}设有注册满三年的常驻机构并在本地纳税", None, False),
        ("scoring", "投入设备须为指定品牌（{b}），满足得15分，不满足不得分", 15.0, False),
    ),
    "practised": (
        ("qualification", "投标人近三年须具有单项合同金额不低于{a}万元的{n}同类业绩不少于2项", None, False),
        ("scoring", "企业获得省级及以上同类工程奖项的，每项得5分，最高15分", 15.0, False),
    ),
    "careful": (
        ("scoring", "近五年{n}类似业绩金额在{a}万元以上的，每项得4分，最高12分", 12.0, False),
        ("scoring", "项目负责人具有高级职称且承担过同类项目的得6分", 6.0, False),
    ),
}
"""Text of clauses: type, text, full points, by judgement or not; careful tailoring reads like a fair clause."""
