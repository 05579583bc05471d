"""Delivered OCDS files, whatever their form, as a stream of releases and rejections."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InputError
from features.ingest.ocds import files as ocds_files
from features.ingest.ocds.files import Delivery, RawRelease, decode, encode
from features.ingest.quarantine.entries import Rejection

ONE: dict[str, Any] = {"ocid": "o-1", "id": "1", "tag": ["tender"], "tender": {"title": "道路工程"}}
TWO: dict[str, Any] = {"ocid": "o-2", "id": "2", "tag": ["compiled"]}
LINES = b"".join(encode(release) + b"\n" for release in (ONE, TWO))


def read(tmp_path: Path, content: bytes, name: str = "file.json") -> list[RawRelease | Rejection]:
    path = tmp_path / name
    path.write_bytes(content)
    return list(Delivery(path).releases())


def outline(pieces: list[RawRelease | Rejection]) -> list[tuple[str, str]]:
    return [(piece.record, piece.reason if isinstance(piece, Rejection) else "release") for piece in pieces]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lines.jsonl", LINES),
        ("lines.json", LINES),
        ("bom.jsonl", b"\xef\xbb\xbf" + LINES),
        ("windows.jsonl", LINES.replace(b"\n", b"\r\n\r\n")),
        ("no_last_newline.jsonl", LINES.rstrip()),
        ("lines.jsonl.gz", gzip.compress(LINES)),
        ("unnamed.gz", gzip.compress(LINES)),
        ("list.json", json.dumps([ONE, TWO]).encode()),
        ("package.json", json.dumps({"uri": "u", "releases": [ONE, TWO]}, indent=2).encode()),
        ("package.jsonl", json.dumps({"uri": "u", "releases": [ONE, TWO]}).encode()),
        ("package.json.gz", gzip.compress(json.dumps({"releases": [ONE, TWO]}, ensure_ascii=False).encode())),
        ("two.jsonl", b'{"releases": [' + encode(ONE) + b']}\n{"releases": [' + encode(TWO) + b"]}"),
    ],
)
def test_the_same_releases_are_read_from_every_form(tmp_path: Path, name: str, content: bytes) -> None:
    pieces = [piece for piece in read(tmp_path, content, name) if isinstance(piece, RawRelease)]

    assert [json.loads(piece.text) for piece in pieces] == [ONE, TWO]
    assert [piece.compiled for piece in pieces] == [False, True]
    assert {piece.text for piece in pieces} == {encode(ONE), encode(TWO)}


def test_a_record_gives_its_compiled_release_and_the_embedded_ones(tmp_path: Path) -> None:
    record = {"ocid": "o-1", "compiledRelease": TWO, "releases": [ONE, {"url": "http://x"}]}
    linked = {"ocid": "o-3", "releases": [{"url": "http://x"}]}

    pieces = read(tmp_path, json.dumps({"records": [record, linked]}).encode())

    assert outline(pieces) == [
        ("records[0] compiledRelease", "release"),
        ("records[0] releases[0]", "release"),
        ("records[1]", "linked_only"),
    ]
    assert [piece.compiled for piece in pieces if isinstance(piece, RawRelease)] == [True, False]


def test_a_bad_line_is_kept_and_the_others_are_read(tmp_path: Path) -> None:
    lines = [encode(ONE), b'{"ocid": ', b"5", "道路".encode("gb18030"), encode(ONE).replace(b"\xe9", b"\xff", 1)]

    pieces = read(tmp_path, b"\n".join([*lines, encode(TWO)]), "file.jsonl")

    assert outline(pieces) == [
        ("line 1", "release"),
        ("line 2", "not_json"),
        ("line 3", "not_a_release"),
        ("line 4", "not_utf8"),
        ("line 5", "not_utf8"),
        ("line 6", "release"),
    ]


def test_a_line_in_gb18030_is_named_as_such_and_kept_byte_by_byte(tmp_path: Path) -> None:
    line = json.dumps(ONE, ensure_ascii=False).encode("gb18030")

    [piece] = read(tmp_path, line + b"\n", "file.jsonl")

    assert isinstance(piece, Rejection)
    assert (piece.reason, piece.raw_encoding) == ("not_utf8", "base64")
    assert "GB18030" in piece.message
    assert "UTF-8" in piece.mend


@pytest.mark.parametrize("cut", [10, 40, len(LINES) - 5])
def test_truncated_lines_lose_the_last_release_only(tmp_path: Path, cut: int) -> None:
    pieces = read(tmp_path, LINES[:cut], "file.jsonl")

    assert outline(pieces)[-1][1] == "truncated"
    assert sum(isinstance(piece, RawRelease) for piece in pieces) == LINES[:cut].count(b"\n")


def test_a_line_cut_within_a_character_is_truncated_too(tmp_path: Path) -> None:
    whole = encode(ONE)

    assert outline(read(tmp_path, whole[: whole.index("路".encode()) + 1], "f.jsonl")) == [("line 1", "truncated")]


def test_truncated_gzip_is_truncated(tmp_path: Path) -> None:
    many = b"".join(encode(ONE | {"id": f"{number:x}" * 9}) + b"\n" for number in range(3000))

    pieces = read(tmp_path, gzip.compress(many)[:-3000], "file.jsonl.gz")

    assert outline(pieces)[-1][1] == "truncated"
    assert len(pieces) > 100


def test_gzip_members_that_follow_each_other_are_one_file(tmp_path: Path) -> None:
    bad = gzip.compress(encode(ONE) + b"\n{\n") + gzip.compress(encode(TWO) + b"\n")

    assert outline(read(tmp_path, bad + bytes(100), "f.jsonl.gz")) == [
        ("line 1", "release"),
        ("line 2", "not_json"),
        ("line 3", "release"),
    ]


def test_a_truncated_package_gives_what_came_before(tmp_path: Path) -> None:
    package = json.dumps({"releases": [ONE, TWO]}).encode()

    assert outline(read(tmp_path, package[:-6])) == [("releases[0]", "release"), ("releases[1]", "truncated")]
    assert outline(read(tmp_path, package[:-1]))[-1][1] == "truncated"


def test_a_bad_release_in_a_package_costs_only_itself(tmp_path: Path) -> None:
    bad = json.dumps(ONE, ensure_ascii=False).encode("gb18030")
    package = b'{"releases": [' + b",".join([bad, encode(ONE), b'{"ocid": x}', b'"text"', encode(TWO)]) + b"]}"

    assert [reason for _, reason in outline(read(tmp_path, package))] == [
        "not_utf8",
        "release",
        "not_json",
        "not_a_release",
        "release",
    ]


def test_a_line_beyond_the_bound_is_refused_and_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocds_files, "ENTRY_MAX", 1000)
    monkeypatch.setattr(ocds_files, "_CHUNK", 300)
    long = encode(ONE | {"tender": {"title": "x" * 5000}})

    assert outline(read(tmp_path, encode(TWO) + b"\n" + long + b"\n" + encode(ONE) + b"\n" + long, "f.jsonl")) == [
        ("line 1", "release"),
        ("line 2", "too_long"),
        ("line 3", "release"),
        ("line 4", "too_long"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        ('{"ocid": 1}'.encode("utf-16"), "UTF-16"),
        (b"ocid,title\n", "not JSON"),
        (b"\x1f\x8b\x08junk", "cannot be unpacked"),
    ],
)
def test_a_file_that_is_no_json_at_all_is_refused_whole(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, content)


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        list(Delivery(tmp_path / "absent.json").releases())


def test_the_reading_is_told_in_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl.gz"
    path.write_bytes(gzip.compress(LINES))
    told: list[int] = []

    list(Delivery(path, told.append).releases())

    assert told[-1] == path.stat().st_size


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (b'{"a": NaN}', {"a": "NaN"}),
        (b'{"a": 1e999}', {"a": "1e999"}),
        (b'{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
    ],
)
def test_numbers_that_no_float_can_hold_do_not_cost_the_release(text: bytes, content: object) -> None:
    assert decode(text) == content


@pytest.mark.parametrize("text", [b"[" * 100_000, rb'{"a": "\ud800"}', b'{"a": 1', b"", b"\x00"])
def test_what_is_no_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_a_value_error(text: bytes) -> None:
    try:
        content = decode(text)
    except ValueError:
        return
    assert decode(encode(content)) == content
