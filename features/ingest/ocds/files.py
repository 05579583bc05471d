"""Reading delivered OCDS files as a stream of releases: packages, records, bare releases, JSON lines, gzip.

Nothing is lost silently: every piece of a file becomes a release, or a rejection that keeps its bytes.
"""

import base64
import codecs
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from features.errors import InputError
from features.ingest.formats.json_entries import entries
from features.ingest.quarantine.entries import RAW_MAX, Rejection

SOURCE = "ocds"
HEAD_BYTES = 1 << 20
ENTRY_MAX = 32 << 20
"""Bytes of one JSON line, or of one release or record in a package: it is held whole, with all its objects."""
_CHUNK = 1 << 18
_GZIP = b"\x1f\x8b"
_KEPT_BYTES = RAW_MAX // 4 * 3 - 3
_AGAIN = "deliver the whole file again; what is loaded already will be reported as unchanged."
_SAVE_AS_UTF8 = "save the file as UTF-8 and load it again."
_MEND_JSON = "mend the JSON of this release."


@dataclass(frozen=True, slots=True)
class RawRelease:
    """One release as it stood in a file.

    Attributes:
        file: the file's name.
        record: where it stood, such as ``line 12`` or ``releases[3]``.
        text: its JSON in one form (``encode``), so that equal content has equal bytes.
        compiled: whether it states the whole process, as its place (``compiledRelease``) or its tag says.
    """

    file: str
    record: str
    text: bytes
    compiled: bool = False


Piece = RawRelease | Rejection


@dataclass
class Delivery:
    """One delivered file, read as a stream.

    Attributes:
        path: the file.
        on_bytes: told how many bytes of the file (compressed, if it is) have been read so far.
    """

    path: Path
    on_bytes: Callable[[int], None] | None = None
    _cut_short: bool = field(default=False, init=False)

    def releases(self) -> Iterator[Piece]:
        """Return what the file holds, in its order.

        Raises:
            InputError: the file is absent, empty, UTF-16, or no JSON at all.
        """
        head = self._head()
        yield from self._lines() if _is_lines(head, self.path.name) else self._document()

    def _head(self) -> bytes:
        if not self.path.is_file():
            raise InputError(f"There is no file {self.path}.", field="FILE", mend="check the path.")
        head = b""
        for chunk in self._unzipped(self._bytes()):
            head += chunk
            if len(head) >= HEAD_BYTES:
                break
        name = self.path.name
        if self._cut_short and not head:
            raise InputError(f"{name} is a gzip file that cannot be unpacked.", field="FILE", mend="deliver it again.")
        if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in head[:400]:
            raise InputError(f"{name} is UTF-16 or UTF-32 text.", field="FILE", mend=_SAVE_AS_UTF8)
        start = head.removeprefix(codecs.BOM_UTF8).lstrip()
        if not start:
            raise InputError(f"{name} is empty.", field="FILE", mend="deliver the file again.")
        if start[:1] not in b"{[":
            raise InputError(
                f"{name} does not start with {{ or [, so it is not JSON.",
                field="FILE",
                mend="give OCDS as JSON or JSON lines, plain or gzip.",
            )
        return head

    def _chunks(self) -> Iterator[bytes]:
        """Return the text of the file, without a byte order mark."""
        first = True
        for chunk in self._unzipped(self._bytes(self.on_bytes)):
            yield chunk.removeprefix(codecs.BOM_UTF8) if first else chunk
            first = False

    def _bytes(self, on_bytes: Callable[[int], None] | None = None) -> Iterator[bytes]:
        with self.path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
                if on_bytes is not None:
                    on_bytes(stream.tell())

    def _unzipped(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Unpack gzip, as far as it goes; leave anything else as it is."""
        first = next(chunks, b"")
        self._cut_short = False
        if not first.startswith(_GZIP):
            yield from chain([first], chunks)
            return
        unpack, ended = zlib.decompressobj(wbits=31), False
        for chunk in chain([first], chunks):
            packed = chunk
            while packed:
                try:
                    yield unpack.decompress(packed, _CHUNK)
                except zlib.error:
                    self._cut_short = True
                    return
                packed, ended = unpack.unconsumed_tail, unpack.eof
                if ended:
                    packed = unpack.unused_data.lstrip(b"\x00")
                    unpack = zlib.decompressobj(wbits=31)
        yield unpack.flush()
        self._cut_short = not ended

    # -- JSON lines ------------------------------------------------------------------------------------------

    def _lines(self) -> Iterator[Piece]:
        """Split at newlines within a bounded buffer; a line beyond the bound is refused, not held."""
        number, skipped, buffer = 0, 0, bytearray()
        for chunk in self._chunks():
            *ended, rest = chunk.split(b"\n")
            for piece in ended:
                number += 1
                line = bytes(buffer) + piece if buffer else piece
                yield from self._line(number, line, skipped, ended=True)
                skipped, buffer = 0, bytearray()
            if skipped or len(buffer) + len(rest) > ENTRY_MAX:
                skipped += len(rest)
            else:
                buffer += rest
        if buffer or skipped or self._cut_short:
            yield from self._line(number + 1, bytes(buffer), skipped, ended=False)

    def _line(self, number: int, line: bytes, skipped: int, *, ended: bool) -> Iterator[Piece]:
        record, line = f"line {number}", line.strip()
        if skipped:
            yield self._too_long(record, line)
        elif line or self._cut_short:
            yield from self._piece(record, line, ended=ended and not self._cut_short)

    # -- one document ----------------------------------------------------------------------------------------

    def _document(self) -> Iterator[Piece]:
        whole = "document"
        for entry in entries(self._chunks(), ENTRY_MAX):
            where = entry.where if entry.where != whole else self.path.name
            if entry.kind == "entry" or entry.kind == "stray":
                yield from self._piece(entry.where, entry.raw.strip(), ended=True)
            elif entry.kind == "too_long":
                yield self._too_long(entry.where, entry.raw)
            else:
                reason = "truncated" if entry.kind == "unfinished" else "not_json"
                what = "ends" if entry.kind == "unfinished" else "has brackets that do not pair"
                message = f"{self.path.name} {what} at {where}; what follows could not be read."
                yield self._rejection(entry.where, entry.raw, reason, message, _AGAIN)

    # -- one line or entry -----------------------------------------------------------------------------------

    def _piece(self, record: str, raw: bytes, *, ended: bool) -> Iterator[Piece]:
        """Read one line or entry; one that the file ends in is truncated if it cannot be read."""
        try:
            raw.decode("utf-8")
            content = decode(raw)
        except UnicodeDecodeError as error:
            if not ended and error.reason == "unexpected end of data":
                yield self._rejection(record, raw, "truncated", f"The file ends within {record}.", _AGAIN)
            else:
                message = f"{record} is not UTF-8{_looks_like(raw)}."
                yield self._rejection(record, raw, "not_utf8", message, _SAVE_AS_UTF8)
        except ValueError as error:
            if ended:
                yield self._rejection(record, raw, "not_json", f"{record} is not JSON: {error}.", _MEND_JSON)
            else:
                yield self._rejection(record, raw, "truncated", f"The file ends within {record}.", _AGAIN)
        else:
            yield from taken_apart(content, self.path.name, record)

    def _too_long(self, record: str, raw: bytes) -> Rejection:
        message = f"{record} has more than {ENTRY_MAX >> 20} MB."
        return self._rejection(record, raw, "too_long", message, "give one release a line, or one package a file.")

    def _rejection(self, record: str, raw: bytes, reason: str, message: str, mend: str) -> Rejection:
        return refused_release(self.path.name, record, raw, reason, message, mend)


def taken_apart(content: object, file: str, record: str) -> Iterator[Piece]:
    """Take packages, records and lists apart into releases.

    Args:
        content: one JSON value.
        file: the file it stood in.
        record: where it stood there.
    """
    if isinstance(content, list):
        for number, one in enumerate(cast(list[object], content)):
            yield from taken_apart(one, file, f"{record}[{number}]")
    elif not isinstance(content, dict):
        message = f"{record} is no JSON object."
        yield refused_release(file, record, encode(content), "not_a_release", message, "give releases or records.")
    else:
        yield from _object(cast(dict[str, Any], content), file, record)


def _object(content: dict[str, Any], file: str, record: str) -> Iterator[Piece]:
    packed = [name for name in ("records", "releases") if isinstance(content.get(name), list)]
    if packed and "ocid" not in content:
        for name in packed:
            yield from taken_apart(content[name], file, f"{record} {name}")
    elif "compiledRelease" in content or "releases" in packed:
        yield from _record(content, file, record)
    else:
        yield _release(content, file, record)


def _record(content: dict[str, Any], file: str, record: str) -> Iterator[Piece]:
    compiled, given = content.get("compiledRelease"), content.get("releases")
    releases = cast(list[object], given) if isinstance(given, list) else []
    embedded = [cast(dict[str, Any], one) for one in releases if isinstance(one, dict) and "ocid" in one]
    if isinstance(compiled, dict):
        yield _release(cast(dict[str, Any], compiled), file, f"{record} compiledRelease", compiled=True)
    elif not embedded:
        message = f"{record} only links to its releases."
        mend = "give a record with compiledRelease or with the releases embedded."
        yield refused_release(file, record, encode(content), "linked_only", message, mend)
    for number, one in enumerate(embedded):
        yield _release(one, file, f"{record} releases[{number}]")


def _release(content: dict[str, Any], file: str, record: str, *, compiled: bool = False) -> RawRelease:
    tag = content.get("tag")
    tagged = isinstance(tag, list) and "compiled" in tag
    return RawRelease(file, record, encode(content), compiled or tagged)


def refused_release(
    file: str, record: str, raw: bytes, reason: str, message: str, mend: str, *, path: str = "", value: str = ""
) -> Rejection:
    """Return the rejection of one whole release; bytes that are no text are kept as base64."""
    encoding: Literal["text", "base64"] = "text"
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(raw[:_KEPT_BYTES]).decode(), "base64"
    return Rejection(SOURCE, file, record, "", "release", path, value, reason, message, mend, text, encoding)


def decode(text: bytes) -> object:
    """Read JSON; NaN and numbers beyond any float are read as text, so that only their field is refused.

    Raises:
        ValueError: the text is not JSON.
    """
    try:
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            content = json.loads(text, parse_constant=str, parse_float=_float_or_text)
            json.dumps(content, ensure_ascii=False).encode()  # half a surrogate pair is no text
            return content
    except RecursionError as error:
        message = "it is nested too deeply"
        raise ValueError(message) from error


def encode(content: object) -> bytes:
    """Write JSON in one form: compact, keys sorted, so that equal content has equal bytes."""
    return msgspec.json.encode(content, order="sorted")


def _float_or_text(text: str) -> float | str:
    return number if math.isfinite(number := float(text)) else text


def _is_lines(head: bytes, name: str) -> bool:
    """Tell JSON lines from one document, by the name or the first two lines."""
    if re.search(r"\.(jsonl|ndjson|jsonlines)(\.gz)?$", name.lower()):
        return True
    lines = [line.strip() for line in head.removeprefix(codecs.BOM_UTF8).split(b"\n", 50)]
    lines = [line for line in lines if line]
    if len(lines) == 1:
        return False
    return all(line[:1] in b"{[" for line in lines[:2]) and lines[0][-1:] in b"}]" and len(lines[0]) > 2


def _looks_like(raw: bytes) -> str:
    try:
        raw.decode("gb18030")
    except UnicodeDecodeError:
        return ""
    return "; it looks like GB18030"
