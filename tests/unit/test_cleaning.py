import datetime as dt
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.clock import SHANGHAI, months_before, parse_moment
from features.ingest.cleaning import (
    Money,
    Problem,
    Rate,
    clean_name,
    clean_text,
    read_moment,
    read_money,
    read_uscc,
)


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("林同棪国际工程咨询（中国）有限公司", "林同棪国际工程咨询(中国)有限公司"),
        ("  湖北\u3000昌磊 建设\u200b工程有限公司\ufeff ", "湖北昌磊建设工程有限公司"),
        ("中铁十一局集团（　武汉　）有限公司；", "中铁十一局集团(武汉)有限公司"),
        ("ＡＢＣ  Engineering\tLtd", "ABC Engineering Ltd"),
        ("宜昌\n三峡送变电", "宜昌三峡送变电"),
    ],
)
def test_two_spellings_of_a_name_become_one(dirty: str, clean: str) -> None:
    assert clean_name(dirty) == clean


def test_text_with_nothing_in_it_is_none() -> None:
    assert clean_text("\u3000 \u200b\t") is None
    assert clean_name("、") is None
    assert clean_text(None) is None


@given(st.text())
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    once = clean_name(text)
    assert once is None or clean_name(once) == once
    tidy = clean_text(text)
    assert tidy is None or clean_text(tidy) == tidy


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("1,234.5万元", "12345000.00"),
        ("¥20797381.58 元", "20797381.58"),
        ("￥２０７９７３８１．５８", "20797381.58"),
        ("人民币：500000元整", "500000.00"),
        ("12.5亿元", "1250000000.00"),
        ("1234.567891 万元", "12345678.91"),
        (20797381.58, "20797381.58"),
        (784522448.67, "784522448.67"),
        (0.005, "0.01"),
        (7, "7.00"),
        ("0", "0.00"),
    ],
)
def test_amounts_are_read_to_the_cent(value: object, amount: str) -> None:
    assert read_money(value) == Money(Decimal(amount))


def test_the_hint_counts_only_where_the_text_names_no_unit() -> None:
    assert read_money("12.5", "万元") == Money(Decimal("125000.00"))
    assert read_money(12.5, "万元") == Money(Decimal("125000.00"))
    assert read_money("12.5元", "万元") == Money(Decimal("12.50"))


@pytest.mark.parametrize(
    ("value", "ratio"),
    [("下浮率12%", "0.12"), ("50%", "0.5"), ("费率 1.2‰", "0.0012"), ("５％", "0.05"), ("八五折扣", None)],
)
def test_a_rate_is_not_an_amount(value: str, ratio: str | None) -> None:
    read = read_money(value)
    assert isinstance(read, Rate)
    assert read.ratio == (None if ratio is None else Decimal(ratio))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (-1, "negative_amount"),
        ("-3.5万元", "negative_amount"),
        (float("nan"), "not_a_number"),
        (float("inf"), "not_a_number"),
        (1e308, "amount_too_large"),
        (10**400, "amount_too_large"),
        ("9" * 300, "amount_too_large"),
        (10_000_000_000_000.5, "amount_too_large"),
        ("贰佰万元", "han_numerals"),
        ("2.08E+07", "shortened_number"),
        ("35元/吨", "unit_price"),
        ("1.234,56", "not_a_number"),
        ("1,23", "not_a_number"),
        ("一标段100万元，二标段200万元", "not_a_number"),
        ("100美元", "unknown_unit"),
        ("约100万元", "not_a_number"),
        ("无", "not_a_number"),
        (" ", "blank"),
        (True, "not_a_number"),
        (None, "not_a_number"),
        ([1], "not_a_number"),
    ],
)
def test_what_is_no_amount_is_a_problem_with_its_mend(value: object, reason: str) -> None:
    read = read_money(value)
    assert isinstance(read, Problem)
    assert read.reason == reason
    assert read.mend


@given(st.one_of(st.text(), st.floats(), st.integers(), st.decimals()))
def test_whatever_comes_an_amount_is_within_bounds(value: object) -> None:
    read = read_money(value)
    if isinstance(read, Money):
        assert 0 <= read.amount <= 10**13
        assert read.amount == round(read.amount, 2)


@given(st.integers(min_value=0, max_value=10**15))
def test_every_whole_cent_survives_the_float_of_json(cents: int) -> None:
    amount = Decimal(cents) / 100
    assert read_money(float(amount)) == Money(amount.quantize(Decimal("0.01")))


def test_a_social_credit_code_needs_its_check_character() -> None:
    assert read_uscc("91420500179120083B") is None
    assert read_uscc("91350100M000100Y43") == "91350100M000100Y43"
    assert read_uscc(" ９１３５０１００M000100Y43 ") == "91350100M000100Y43"
    assert read_uscc("91350100M000100Y44") is None
    assert read_uscc("") is None


def test_times_are_told_in_shanghai_and_a_bare_day_counts_from_its_end() -> None:
    assert read_moment("2025-06-13T00:00:00Z", SHANGHAI) == dt.datetime(2025, 6, 13, 8, tzinfo=SHANGHAI)
    assert read_moment("2025-06-13T09:30:00", SHANGHAI) == dt.datetime(2025, 6, 13, 9, 30, tzinfo=SHANGHAI)
    day = read_moment("2025-06-13", SHANGHAI)
    assert isinstance(day, dt.datetime)
    assert (day.hour, day.microsecond) == (23, 999999)
    assert read_moment(None, SHANGHAI) is None
    assert isinstance(read_moment("13/06/2025", SHANGHAI), Problem)
    assert isinstance(read_moment("0001-01-01T00:00:00+14:00", SHANGHAI), Problem)


def test_a_time_that_the_clocks_skipped_is_an_hour_later() -> None:
    moment = read_moment("1990-04-15T02:30:00", SHANGHAI)

    assert moment == dt.datetime(1990, 4, 14, 18, 30, tzinfo=dt.UTC)
    assert pl.Series([moment]).len() == 1
    assert pl.Series([parse_moment("1986-05-04T02:00"), months_before(parse_moment("1989-05-04T02:30"), 36)]).len() == 2
