import base64
import datetime as dt
import hashlib
import hmac

import polars as pl
import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric
from stdnum.exceptions import InvalidComponent

from features.ingest.identity.numbers import read_numbers
from features.ingest.identity.resolving import (
    REASONS,
    Hashed,
    Known,
    conflict_item,
    decrypted,
    hashed,
    item_id,
    number_neighbours,
    organisation_ids,
    person_id_of,
    person_ids,
    shown_number,
    without_personal_numbers,
)
from features.ingest.keys import Keys
from tests.check_digits import credit_code, identity_number

KEYS = Keys(bytes(range(32)), bytes(range(100, 164)))
KNOWN = Known("S01")
REAL = "91440300708461136T"  # published; its organisation code 708461136 has a right check digit of its own
SAME_ORGANISATION_CODE = "91511300708461136"
NUMBER = "51130219900101123"


def number(seventeen: str = NUMBER) -> str:
    return identity_number(seventeen)


def organisation(given: str | None, name: str | None = "某公司", known: Known = KNOWN) -> dict[str, object]:
    codes, names = pl.Series([given], dtype=pl.String), pl.Series([name], dtype=pl.String)
    return organisation_ids(codes, names, known).row(0, named=True)


def person(given: str | None, name: str | None = "张三", known: Known = KNOWN) -> dict[str, object]:
    numbers, names = pl.Series([given], dtype=pl.String), pl.Series([name], dtype=pl.String)
    return person_ids(numbers, names, KEYS, known).row(0, named=True)


@pytest.mark.parametrize(
    "given",
    [
        REAL,
        REAL.lower(),
        f" {REAL} ",
        "9144 0300 7084 61136T",
        "91440300-708461136-T",
        "９１４４０３００７０８４６１１３６Ｔ",
        f"'{REAL}",
    ],
)
def test_a_code_in_any_form_is_the_same_organisation(given: str) -> None:
    assert organisation(given) == {"org_id": REAL, "repaired": False, "decided": False, "reason": None, "item_id": None}


def test_the_code_of_a_rural_collective_begins_with_a_letter() -> None:
    collective = credit_code("N2511302MF0123456")

    assert organisation(collective)["org_id"] == collective


@pytest.mark.parametrize(
    "slipped", ["914403OO708461136T", "9I440300708461136T", "9l440300708461i36t".replace("l", "i")]
)
def test_letters_that_no_code_has_are_mended_when_the_check_digit_then_holds(slipped: str) -> None:
    found = organisation(slipped)

    assert (found["org_id"], found["repaired"]) == (REAL, True)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("91440300708461137T", "wrong_check_digit"),
        ("9144O300708461137T", "wrong_check_digit"),  # mended, the check digit is still wrong
        ("000000000000000000", "not_a_code"),  # passes the check digit
        ("无", "not_a_code"),
        (None, "missing_code"),
        ("  ", "missing_code"),
        ("708461136", "unknown_legacy_code"),
        ("708461137", "not_a_code"),  # a legacy code has a check digit too
        (number(), "personal_number"),
        ("511302199001011230", "personal_number"),
        ("511302900101123", "personal_number"),
        ("13881700000", "personal_number"),
    ],
)
def test_what_is_not_certain_stays_unresolved_with_its_reason(given: str | None, reason: str) -> None:
    found = organisation(given)

    assert (found["org_id"], found["reason"]) == (None, reason)
    assert reason in REASONS
    assert (found["item_id"] is None) == (reason == "personal_number")


@pytest.mark.parametrize("name", [number(), f"李真{number()}", "13881700000", "李真(13881700000)"])
def test_a_personal_number_in_the_place_of_a_name_makes_no_item(name: str) -> None:
    for found in (organisation(None, name), person(None, name), person("511302199001011230", name)):
        assert found["reason"] is not None
        assert found["item_id"] is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"李真{number()}", "李真" + "*" * 18),
        ('{"电话": "13881700000"}', '{"电话": "***********"}'),
        ("6222020000000000000", "*" * 19),
        ("914403001922038216", "914403001922038216"),  # a credit code of figures alone
        (f"{REAL} 1234567.89 2301-511302-04-01-123456", f"{REAL} 1234567.89 2301-511302-04-01-123456"),
    ],
)
def test_personal_numbers_are_stars_on_a_screen(text: str, shown: str) -> None:
    assert without_personal_numbers(text) == shown


@pytest.mark.parametrize("wrap", ["{}", "张三 {} 李四", "1 {} 20", "2026-06-30 {}", "2301-511302-04-01-123456 {}"])
@pytest.mark.parametrize(
    "written",
    [
        "138 1234 5678",
        "138-1234-5678",
        "1381234 5678",
        "86-138-1234-5678",
        "511302 19800307 0011",
        "511302-19800307-001x",
        "511302 1980 03 07 0011",
        "511302 800307 001",
        "１３８１２３４５６７８",
        "１３８－１２３４－５６７８",
        "511302１98003070011",
    ],
)
def test_a_personal_number_is_stars_however_it_is_written(written: str, wrap: str) -> None:
    assert without_personal_numbers(wrap.format(written)) == wrap.format("*" * len(written))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ID511302198003070011", "ID" + "*" * 18),
        ("tel13812345678", "tel" + "*" * 11),
        ("ＩＤ５１１３０２８００３０７００１", "ＩＤ" + "*" * 15),
        ("138 1234 5678 511302 19800307 0011", "*" * 13 + " " + "*" * 20),
    ],
)
def test_a_personal_number_is_stars_behind_letters_and_beside_another(text: str, shown: str) -> None:
    assert without_personal_numbers(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "2301-511302-04-01-123456",
        "2026-06-30 2026-07-01 09:00",
        "13 800 000 000.00",
        "15 2026-06-30 1",
        "138 1234 567",
        "511302 19801307 0011",  # no such month
        "2301-138-1234-5678",
        "ID511302199913070011",
        "BID202606300900001",
        "010-6655 1234",
    ],
)
def test_what_has_not_the_shape_of_a_personal_number_stays(text: str) -> None:
    assert without_personal_numbers(text) == text


_DAYS = st.dates(dt.date(1950, 1, 1), dt.date(2030, 12, 31)).map(dt.date.isoformat)
_PROJECTS = st.from_regex(r"\A20[12][0-9]-[1-6][0-9]{5}-[0-9]{2}-[0-9]{2}-[0-9]{6}\Z").filter(str.isascii)
_AMOUNTS = st.integers(0, 10**10 - 1).map("{:,}.00".format)
_CODES = st.integers(0, 999_999_999).map(lambda n: credit_code(f"91511302{n:09d}"))


@given(st.lists(st.one_of(_DAYS, _PROJECTS, _AMOUNTS, _CODES), max_size=6))
def test_ordinary_codes_dates_and_amounts_stay_side_by_side(words: list[str]) -> None:
    text = " ".join(words)

    assert without_personal_numbers(text) == text


@pytest.mark.parametrize(
    "given",
    [
        "+8613881700000",
        "8613881700000",
        "51130219900101123",
        f"张三{NUMBER}1",
        "6222021234567890123",
        "6222021234567890",
    ],
)
def test_personal_numbers_of_any_length_in_the_place_of_a_code_make_no_item(given: str) -> None:
    found = organisation(given)

    assert (found["reason"], found["item_id"]) == ("personal_number", None)


@pytest.mark.parametrize("given", ["91511٣00MB1234567X", "５11302", "9151130٠٠٠"])
def test_figures_of_other_scripts_are_no_code_and_break_nothing(given: str) -> None:
    assert organisation(given)["org_id"] is None


def test_a_masked_number_is_a_slip_of_nobody() -> None:
    assert number_neighbours(["420502********1234", "", None], KEYS) == [[], [], []]


def test_nothing_given_is_nothing_unresolved() -> None:
    assert organisation(None, None) == {
        "org_id": None,
        "repaired": False,
        "decided": False,
        "reason": None,
        "item_id": None,
    }
    assert person(None, None)["reason"] is None


@pytest.mark.parametrize("legacy", ["708461136", "70846113-6", "440300708461136"])
def test_a_legacy_code_is_the_one_known_organisation_that_carries_it(legacy: str) -> None:
    known = Known("S01", organisations=pl.Series([REAL, credit_code("91511300MA62960B0"), "E-1", None]))

    assert organisation(legacy, known=known)["org_id"] == REAL


def test_a_legacy_code_of_two_known_organisations_stays_unresolved() -> None:
    known = Known("S01", organisations=pl.Series([REAL, credit_code(SAME_ORGANISATION_CODE)]))

    found = organisation("708461136", known=known)

    assert (found["org_id"], found["reason"]) == (None, "ambiguous_legacy_code")
    assert organisation("440300708461136", known=known)["org_id"] == REAL


def test_equal_names_join_nothing() -> None:
    found = organisation_ids(pl.Series([REAL, None, "x"]), pl.Series(["某公司"] * 3), KNOWN)

    assert found.get_column("org_id").to_list() == [REAL, None, None]


def test_a_decision_holds_for_its_source_code_and_name_alone() -> None:
    decided = {item_id("organisation", "S01", "708461137", "某公司"): REAL}

    assert organisation("7084 61137", "某公司 ", Known("S01", decisions=decided))["org_id"] == REAL
    assert organisation("708461137", "另一公司", Known("S01", decisions=decided))["org_id"] is None
    assert organisation("708461137", "某公司", Known("S06", decisions=decided))["org_id"] is None


def test_a_decided_name_conflict_moves_the_rows_of_that_name_and_no_others() -> None:
    other = credit_code("91511300MA62960B0")
    known = Known("S01", decisions={conflict_item("S01", REAL, "另一公司"): other})

    assert organisation(REAL, "另一公司", known)["org_id"] == other
    assert organisation(REAL, "某公司", known)["org_id"] == REAL


@given(st.lists(st.sampled_from([REAL, REAL.lower(), "x", None, "708461136"]), max_size=30), st.data())
def test_answers_keep_the_order_of_the_rows(given: list[str | None], data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(["a", "b", None]), min_size=len(given), max_size=len(given)))
    found = organisation_ids(pl.Series(given, dtype=pl.String), pl.Series(names, dtype=pl.String), KNOWN)

    assert found.to_dicts() == [organisation(one, name) for one, name in zip(given, names, strict=True)]


@given(st.text(max_size=25))
def test_no_text_breaks_the_reading(text: str) -> None:
    assert (organisation(text)["org_id"] is None) or len(str(organisation(text)["org_id"])) == 18
    assert (person(text)["person_id"] is None) == (person(text)["id_no_hash"] is None)


def test_a_person_is_the_keyed_hash_of_the_number() -> None:
    expected = hmac.new(KEYS.hmac, number().encode(), hashlib.sha256).hexdigest()

    found = person(number())

    assert found["id_no_hash"] == expected
    assert found["person_id"] == "p" + expected[:20] == person_id_of(expected)
    assert decrypted(str(found["id_no_enc"]), KEYS) == number()
    assert number() not in base64.b64decode(str(found["id_no_enc"])).decode("latin-1")


def test_the_same_number_encrypts_alike_and_another_key_cannot_read_it() -> None:
    found = person_ids(pl.Series([number(), f" {number().lower()}"]), pl.Series(["张三", "李四"]), KEYS, KNOWN)

    assert found.get_column("id_no_enc").n_unique() == 1
    with pytest.raises(InvalidTag):
        decrypted(found.item(0, "id_no_enc"), Keys(KEYS.hmac, bytes(range(64))))


def test_the_fifteen_digits_of_before_1999_are_the_same_person() -> None:
    assert person(NUMBER[:6] + NUMBER[8:])["person_id"] == person(number())["person_id"]


def test_a_check_letter_in_any_sign_is_read() -> None:
    with_x = next(one for end in range(1000) if (one := number(f"51130219900101{end:03}")).endswith("X"))

    assert {person(with_x[:17] + sign)["person_id"] for sign in "XxＸ×Х"} == {person(with_x)["person_id"]}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (number()[:17] + ("1" if number()[17] != "1" else "2"), "wrong_number"),
        (number("51130219900231123"), "wrong_number"),  # there is no 31 February
        (number("51130218500101123"), "wrong_number"),
        ("111111111111111", "not_a_number"),  # would be a day of November 1911
        ("E12345678", "not_a_number"),
        ("5113021990****1234", "not_a_number"),
        (None, "missing_number"),
    ],
)
def test_a_number_that_is_not_certain_is_nobody(given: str | None, reason: str) -> None:
    found = person(given)

    assert (found["person_id"], found["id_no_enc"], found["reason"]) == (None, None, reason)
    assert reason in REASONS
    assert found["item_id"]


def test_two_wrong_numbers_of_one_name_are_two_items() -> None:
    assert person("511302199001011230")["item_id"] != person("511302199001011231")["item_id"]


def test_a_decided_person_has_no_number_of_his_own() -> None:
    item = str(person("511302199001011230")["item_id"])

    found = person("511302199001011230", known=Known("S01", decisions={item: "p1"}))

    assert (found["person_id"], found["id_no_hash"], found["id_no_enc"], found["reason"]) == ("p1", None, None, None)


SEVENTEENS = st.from_regex(r"[1-9][0-9]{5}(19|20)[0-9]{2}[01][0-9][0-3][0-9]{4}", fullmatch=True)


@given(st.lists(st.tuples(SEVENTEENS, st.sampled_from(["right", *"0123456789X"])), max_size=30))
def test_numbers_are_read_as_the_published_check_says(parts: list[tuple[str, str]]) -> None:
    numbers = [number(seventeen) if last == "right" else seventeen + last for seventeen, last in parts]

    found = read_numbers(pl.Series(numbers, dtype=pl.String)).get_column("number")

    assert found.to_list() == [one if _is_right(one) else None for one in numbers]


def _is_right(one: str) -> bool:
    try:
        ric.get_birth_date(one)
    except InvalidComponent:
        return False
    return ric.calc_check_digit(one) == one[17] and len(set(one)) >= 4


@given(st.integers(0, 16), st.integers(0, 9))
def test_one_slip_of_the_hand_is_found_again(place: int, digit: int) -> None:
    true = number()
    slipped = true[:place] + str(digit) + true[place + 1 :]
    if slipped != true:
        assert person(true)["person_id"] in number_neighbours([None, slipped, "x"], KEYS)[1]


def test_shown_numbers_hide_the_birthday() -> None:
    assert shown_number(number()) == "511302**********" + number()[16:]
    assert shown_number("E12345678") == "E*******8"
    assert shown_number("1234") == "****"
    assert shown_number(None) is None


@pytest.mark.parametrize(
    ("kind", "same"),
    [
        ("phone", ["13881700000", "+86 138-8170-0000", "008613881700000", "8613881700000", "１３８８１７０００００"]),
        ("phone", ["0817-2222222", "(0817)2222222", "+86 817 2222222", "+86 0817 2222222"]),
        ("account", ["6222 0200 0000 0000", "6222020000000000", "6222-0200-0000-0000"]),
        ("email", ["A.B@Example.COM", " a.b@example.com "]),
    ],
)
def test_one_value_in_many_forms_has_one_hash(kind: Hashed, same: list[str]) -> None:
    found = hashed(pl.Series(same), kind, KEYS)

    assert found.n_unique() == 1
    assert found.null_count() == 0


def test_kinds_never_meet_and_keys_matter() -> None:
    value = pl.Series(["13881700000"])
    other = Keys(bytes(range(1, 33)), KEYS.data)

    found = {
        hashed(value, "phone", KEYS).item(),
        hashed(value, "account", KEYS).item(),
        hashed(value, "phone", other).item(),
    }

    assert len(found) == 3


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("phone", "138****0000"),
        ("phone", "无"),
        ("phone", "119"),
        ("account", "6222********0000"),
        ("email", "无"),
        ("email", "a@b"),
    ],
)
def test_what_cannot_be_compared_has_no_hash(kind: Hashed, value: str) -> None:
    assert hashed(pl.Series([value, None]), kind, KEYS).to_list() == [None, None]
