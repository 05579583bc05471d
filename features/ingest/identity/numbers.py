"""Resident identity numbers (GB 11643-1999), read a column at a time."""

import re
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.ingest.cleaning import clean_text

LENGTH = 18
FIRST_YEAR, LAST_YEAR = 1880, 2100
DISTINCT_MIN = 4
"""Different characters below which a code or number is a placeholder: eighteen zeros pass the check digit."""
NUMBERS: dict[str, pl.DataType] = {"number": pl.String(), "reason": pl.String()}

_FILLER = re.compile(r"[\s'`\-_.·\u2010-\u2015\u2212]+")
_SIGNS_FOR_X = str.maketrans("×ХΧ✕", "XXXX")
_AT_ONCE = 500
_PLAIN = "^[0-9A-Za-z]*$"
_WEIGHTS = np.array([2**place % 11 for place in range(17, 0, -1)], np.int64)
_CHECK = np.frombuffer(b"10X98765432", np.uint8)


def tidy_code(given: str | None) -> str:
    """Return a code in one form: half-width, upper case, without blanks, hyphens and the marks of spreadsheets."""
    if given and given.isascii() and given.isalnum():
        return given.upper()
    return _FILLER.sub("", clean_text(given) or "").upper().translate(_SIGNS_FOR_X)


def tidied(given: pl.Series) -> pl.Series:
    """Return codes as ``tidy_code`` does; a code that is null, or of which nothing is left, is empty text."""
    codes = given.cast(pl.String).fill_null("")
    odd = (~codes.str.contains(_PLAIN)).arg_true()
    plain = codes.str.to_uppercase()
    return plain.scatter(odd, [tidy_code(one) for one in codes.gather(odd)]) if odd.len() else plain


def read_numbers(given: pl.Series) -> pl.DataFrame:
    """Read resident identity numbers: 18 digits with a right check digit, or the 15 of before 1999.

    The place of birth is not checked: numbers keep the code of divisions that no longer exist.

    Args:
        given: as delivered, in clear; null where none was given.

    Returns:
        ``number`` (18 characters; null where there is none) and ``reason`` (``missing_number``, ``not_a_number`` or
        ``wrong_number``; null where there is a number), in the order of ``given``.
    """
    codes = tidied(given)
    old = codes.str.contains("^[0-9]{15}$").arg_true()
    if old.len():
        seventeen = codes.gather(old).str.replace("^([0-9]{6})([0-9]{9})$", "${1}19${2}")
        codes = codes.scatter(old, seventeen + check_digits(seventeen))
    shaped = codes.str.contains("^[0-9]{17}[0-9X]$")
    candidates = codes.filter(shaped)
    numbers = _characters(candidates)
    distinct = pl.Series(_n_distinct(numbers) >= DISTINCT_MIN, dtype=pl.Boolean)
    right = pl.Series(_checks(numbers) == numbers[:, 17], dtype=pl.Boolean) & _born(candidates)
    told = pl.DataFrame({"number": candidates, "distinct": distinct, "right": right}).select(
        pl.when("distinct", "right").then("number").alias("number"),
        pl.when(~pl.col("distinct"))
        .then(pl.lit("not_a_number"))
        .when(~pl.col("right"))
        .then(pl.lit("wrong_number"))
        .alias("reason"),
    )
    places = shaped.arg_true()
    reasons = pl.select(pl.when(codes == "").then(pl.lit("missing_number")).otherwise(pl.lit("not_a_number")))
    return pl.DataFrame(
        {
            "number": pl.repeat(None, len(codes), dtype=pl.String, eager=True).scatter(places, told["number"]),
            "reason": reasons.to_series().scatter(places, told["reason"]),
        },
        schema=NUMBERS,
    )


def check_digits(seventeen: pl.Series) -> pl.Series:
    """Return the check digit that belongs to each 17 figures."""
    return pl.Series([chr(one) for one in _checks(_characters(seventeen))], dtype=pl.String)


def one_slip_off(numbers: Sequence[str]) -> list[list[str]]:
    """Return for each 18-digit number the right ones that one wrong figure, or two neighbours swapped, make of it."""
    return [near for start in range(0, len(numbers), _AT_ONCE) for near in _near(numbers[start : start + _AT_ONCE])]


def _near(numbers: Sequence[str]) -> list[list[str]]:
    near = pl.DataFrame({"near": [_slips(number) for number in numbers]}, {"near": pl.List(pl.String)})
    each = near.with_row_index("of").explode("near", empty_as_null=False)
    right = each.select("of", read_numbers(each.get_column("near")).get_column("number")).drop_nulls()
    found = dict(right.group_by("of").agg("number").iter_rows())
    return [found.get(at, []) for at in range(len(numbers))]


def _slips(number: str) -> list[str]:
    digits = "0123456789"
    if len(number) != LENGTH or not number.isascii() or sum(not one.isdigit() for one in number[:17]) > 1:
        return []
    one_off = {number[:at] + digit + number[at + 1 :] for at in range(17) for digit in digits}
    one_off |= {number[:17] + last for last in digits + "X"}
    one_off |= {number[:at] + number[at + 1] + number[at] + number[at + 2 :] for at in range(17)}
    return sorted(one_off - {number})


def _characters(numbers: pl.Series) -> NDArray[np.uint8]:
    """Return a row of characters for each number; all are of one length and ASCII."""
    joined = "".join(numbers).encode()
    return np.frombuffer(joined, np.uint8).reshape(len(numbers), -1 if joined else LENGTH)


def _checks(numbers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the check character of each row (ISO 7064, MOD 11-2)."""
    return _CHECK[(numbers[:, :17].astype(np.int64) - ord("0")) @ _WEIGHTS % 11]


def _n_distinct(numbers: NDArray[np.uint8]) -> NDArray[np.int64]:
    ordered = np.sort(numbers, axis=1)
    changes: NDArray[np.int64] = np.count_nonzero(np.diff(ordered, axis=1), axis=1)
    return changes + 1


def _born(numbers: pl.Series) -> pl.Series:
    """Tell whether the figures of the birthday are a day of these centuries."""
    day = numbers.str.slice(6, 8).str.to_date("%Y%m%d", strict=False)
    return day.dt.year().is_between(FIRST_YEAR, LAST_YEAR).fill_null(value=False)
