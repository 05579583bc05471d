"""Codes and names as the registers give them: valid check digits, plausible Chinese, never two of one code.

A code is a one-to-one function of the number of its bearer (multiplication by a number without a common divisor), so
codes never collide and need no memory. Check digits: GB 32100-2015 (credit code), GB 11714-1997 (organisation code
inside it), GB 11643-1999 (identity number).
"""

import numpy as np
import polars as pl
import pyarrow as pa

REGIONS: tuple[tuple[str, str, float, float, float], ...] = (
    ("511300", "南充市", 106.110, 30.837, 0.15),
    ("511302", "顺庆区", 106.092, 30.796, 0.13),
    ("511303", "高坪区", 106.119, 30.782, 0.11),
    ("511304", "嘉陵区", 106.072, 30.759, 0.10),
    ("511321", "南部县", 106.062, 31.353, 0.11),
    ("511322", "营山县", 106.566, 31.077, 0.08),
    ("511323", "蓬安县", 106.412, 31.029, 0.06),
    ("511324", "仪陇县", 106.303, 31.272, 0.09),
    ("511325", "西充县", 105.901, 30.996, 0.06),
    ("511381", "阆中市", 106.005, 31.558, 0.11),
)
"""Code, name, longitude, latitude, share of projects: the city itself and its nine divisions."""
OUTSIDE: tuple[tuple[str, str, float, float], ...] = (
    ("510100", "成都市", 104.066, 30.573),
    ("500100", "重庆市", 106.552, 29.563),
    ("510700", "绵阳市", 104.679, 31.467),
    ("511600", "广安市", 106.633, 30.456),
    ("511900", "巴中市", 106.747, 31.868),
    ("511700", "达州市", 107.468, 31.209),
    ("510900", "遂宁市", 105.593, 30.533),
)
SURNAMES = list("王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈")
GIVEN = list(
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华建国文斌鑫宇浩欣悦晨阳志远海波云飞龙凤春梅小红永福德才光辉"
)
BRANDS = list("华鑫宏盛恒泰兴达中天嘉瑞金川锦城蜀江源博远润丰腾飞隆昌永固安顺信诚德汇通联创新正大和聚佳凯旋伟业东方")
_USCC = np.frombuffer(b"0123456789ABCDEFGHJKLMNPQRTUWXY", dtype=np.uint8)
_USCC_WEIGHTS = np.array([pow(3, i, 31) for i in range(17)])
_ORG_WEIGHTS = np.array([3, 7, 9, 10, 5, 8, 4, 2])
_ID_WEIGHTS = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2])
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


def texts(chars: np.ndarray) -> pl.Series:
    """Return the rows of a matrix of ASCII codes as strings."""
    n, width = chars.shape
    offsets = np.arange(0, (n + 1) * width, width, dtype=np.int64)
    data = np.ascontiguousarray(chars, dtype=np.uint8)
    array = pa.Array.from_buffers(pa.large_string(), n, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    return pl.Series(pl.from_arrow(array))


def mixed(*parts: np.ndarray | int) -> np.ndarray:
    """Return a 64-bit number that depends on all parts (splitmix64, Steele and others, 2014): a stable hash of rows."""
    state = np.zeros(np.broadcast(*parts).shape, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for part in parts:
            state = state + np.asarray(part).astype(np.int64).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
    return state


def hexes(numbers: np.ndarray, digits: int = 16) -> pl.Series:
    """Return 64-bit numbers as hexadecimal strings of their last ``digits`` digits."""
    shifts = np.arange(digits - 1, -1, -1, dtype=np.uint64) * np.uint64(4)
    return texts(_HEX[((numbers[:, None] >> shifts) & np.uint64(15)).astype(np.int64)])


def decimals(numbers: np.ndarray, digits: int) -> np.ndarray:
    """Return the last decimal digits of numbers as a matrix of digits, leading zeros kept."""
    powers = 10 ** np.arange(digits - 1, -1, -1, dtype=np.int64)
    return (numbers.astype(np.int64)[:, None] // powers) % 10


def credit_codes(numbers: np.ndarray, category: np.ndarray, region: np.ndarray) -> pl.Series:
    """Return the unified social credit code of each organisation.

    ``category`` is 91 (enterprise), 12 (public institution) or 11 (government body), ``region`` a 6-digit code.
    """
    body = (numbers.astype(np.int64) * 48_271 + 7_919) % 31**6
    digits = np.empty((len(numbers), 17), dtype=np.int64)
    digits[:, 0:2], digits[:, 2:8] = decimals(category, 2), decimals(region, 6)
    digits[:, 8], digits[:, 9] = 21, 10  # "MA", the series given out since 2015
    digits[:, 10:16] = (body[:, None] // 31 ** np.arange(5, -1, -1)) % 31
    values = _ORG_VALUES[digits[:, 8:16]]
    check = (11 - (values @ _ORG_WEIGHTS) % 11) % 11
    digits[:, 16] = np.where(check == 10, 29, check)  # 10 is written X
    last = (31 - (digits @ _USCC_WEIGHTS) % 31) % 31
    return texts(_USCC[np.column_stack([digits, last])])


_ORG_VALUES = np.array([c - 48 if c < 58 else c - 55 for c in _USCC])


def identity_numbers(numbers: np.ndarray) -> pl.Series:
    """Return the identity number of each person: born 1958 to 1999, place among the regions of the province."""
    places = np.array([int(code) for code, *_ in (*REGIONS[1:], *OUTSIDE)])
    span = 15_000 * 999
    spot = (numbers.astype(np.int64) * 1_000_003 + 12_345) % (span * len(places))
    day = np.datetime64("1958-01-01") + (spot // 999 % 15_000).astype("timedelta64[D]")
    year = day.astype("datetime64[Y]").astype(int) + 1970
    month = day.astype("datetime64[M]").astype(int) % 12 + 1
    dom = (day - day.astype("datetime64[M]")).astype(int) + 1
    date = year * 10_000 + month * 100 + dom
    digits = np.column_stack([decimals(places[spot // span], 6), decimals(date, 8), decimals(spot % 999 + 1, 3)])
    check = np.frombuffer(b"10X98765432", dtype=np.uint8)[(digits @ _ID_WEIGHTS) % 11]
    return texts(np.column_stack([digits + 48, check]))


def phones(numbers: np.ndarray) -> pl.Series:
    """Return a mobile number for each number below 10^9."""
    prefix = np.array([139, 138, 136, 158, 182, 189, 177, 181])
    spot = (numbers.astype(np.int64) * 7_368_787 + 31) % 800_000_000
    return texts(np.column_stack([decimals(prefix[spot // 10**8], 3), decimals(spot % 10**8, 8)]) + 48)


def accounts(numbers: np.ndarray) -> pl.Series:
    """Return a bank account of 19 digits for each number."""
    spot = (numbers.astype(np.int64) * 982_451_653 + 17) % 10**12
    head = np.tile(np.array([2, 2, 1, 5, 1, 3, 0]), (len(numbers), 1))
    return texts(np.column_stack([head, decimals(spot, 12)]) + 48)


def picked(words: list[str], index: np.ndarray) -> pl.Series:
    """Return one word for each index."""
    return pl.Series(words, dtype=pl.String).gather(pl.Series(index.astype(np.uint32)))


def person_names(rng: np.random.Generator, n: int) -> pl.Series:
    """Return names of natural persons; namesakes happen."""
    weight = 1 / np.arange(4, 4 + len(SURNAMES))
    surname = picked(SURNAMES, rng.choice(len(SURNAMES), n, p=weight / weight.sum()))
    first = picked(GIVEN, rng.integers(0, len(GIVEN), n))
    second = picked([*GIVEN, *[""] * 12], rng.integers(0, len(GIVEN) + 12, n))
    return surname + first + second
