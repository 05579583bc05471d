"""Long documents, cut into entries wherever their bytes are split."""

import json

from hypothesis import given
from hypothesis import strategies as st

from features.ingest.formats.json_entries import Entry, entries

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def cut(document: bytes, size: int = 7, longest: int = 1000) -> list[Entry]:
    return list(entries((document[at : at + size] for at in range(0, len(document), size)), longest))


def kinds(document: bytes) -> list[tuple[str, str]]:
    return [(entry.kind, entry.where) for entry in cut(document)]


@given(
    st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=5),
    st.sampled_from(["releases", "records", "item"]),
    st.integers(1, 50),
    st.sampled_from([None, 2]),
)
def test_every_entry_comes_back_whole_wherever_the_bytes_are_split(
    values: list[object], array: str, size: int, indent: int | None
) -> None:
    content = values if array == "item" else {"uri": "x [{", "publisher": {"name": ["y"]}, array: values, "links": [{}]}

    found = cut(json.dumps(content, indent=indent).encode(), size, longest=100_000)

    assert [entry.kind for entry in found] == ["entry"] * len(values)
    assert [json.loads(entry.raw) for entry in found] == values
    assert [entry.where for entry in found] == [f"{array}[{place}]" for place in range(len(values))]


@given(st.binary(max_size=60), st.integers(1, 9))
def test_any_bytes_are_cut_without_failing(document: bytes, size: int) -> None:
    assert all(entry.raw in document for entry in cut(document, size))


def test_brackets_and_quotes_in_strings_cut_nothing() -> None:
    document = rb'{"releases": [{"a": "]}\"{["}, {"b": "\\"}]}'

    assert [json.loads(entry.raw) for entry in cut(document)] == [{"a": ']}"{['}, {"b": "\\"}]


def test_an_entry_that_is_no_json_costs_only_itself() -> None:
    assert kinds(b'[{"a": 1}, {"b": x}, {"c": 2}]') == [("entry", f"item[{place}]") for place in range(3)]


def test_what_stands_between_entries_is_kept() -> None:
    found = cut(b'{"releases": [{"a": 1}, "http://x", 5, {"b": 2}, null]}')

    assert [(entry.kind, entry.raw) for entry in found] == [
        ("entry", b'{"a": 1}'),
        ("stray", b'"http://x", 5'),
        ("entry", b'{"b": 2}'),
        ("stray", b"null"),
    ]


def test_a_record_of_its_own_is_one_entry_though_it_holds_releases() -> None:
    assert kinds(b'{"ocid": "o", "releases": [{"ocid": "o"}]}') == [("entry", "document")]


def test_documents_that_follow_each_other_are_all_cut() -> None:
    assert kinds(b'{"releases": [{}]}\n{"records": [{}]}\n{"ocid": 1}') == [
        ("entry", "releases[0]"),
        ("entry", "records[0]"),
        ("entry", "document"),
    ]


def test_a_document_that_ends_early_says_where() -> None:
    assert kinds(b'{"releases": [{"a": 1}, {"b"')[-1] == ("unfinished", "releases[1]")
    assert kinds(b'{"releases": [{"a": 1}')[-1] == ("unfinished", "releases[1]")


def test_brackets_that_do_not_pair_end_the_reading() -> None:
    assert kinds(b'{"releases": [{"a": 1}, {"b": [2}], {"c": 3}]}') == [
        ("entry", "releases[0]"),
        ("broken", "releases[1]"),
    ]


def test_an_entry_beyond_the_bound_is_not_held() -> None:
    assert [entry.kind for entry in cut(b'[{"a": "' + b"x" * 5000 + b'"}, {}]', 100)] == ["too_long"]
