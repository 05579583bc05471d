"""Reading delivered OCDS files as a stream of releases: packages, records, bare releases, JSON lines, gzip.

Nothing is lost silently: every piece of a file becomes a release, or a rejection that keeps its bytes.
"""

import base64
import codecs
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import ijson
import msgspec

from features.errors import InputError
from features.ingest.quarantine import RAW_MAX, Rejection

SOURCE = "ocds"
HEAD_BYTES = 1 << 20
LINE_MAX = 128 << 20
"""Bytes of one JSON line; a longer document is read as one package, which streams."""
_CHUNK = 1 << 16
_TAIL_BYTES = RAW_MAX // 4 * 3 - 3
_SAVE_AS_UTF8 = "save the file as UTF-8 and load it again."
_LONE = re.compile("[\udc80-\udcff]")
_TO_PRIVATE = {0xDC00 + byte: 0x10FF00 + byte for byte in range(0x80, 0x100)}
_PRIVATE = re.compile("[\U0010ff80-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class RawRelease:
    """One release as it stood in a file.

    Attributes:
        file: the file's name.
        record: where it stood, such as ``line 12`` or ``releases[3]``.
        text: its JSON.
        content: its JSON as objects; None when only a lenient reader can tell (NaN, numbers beyond any float).
        compiled: True when the file says so (``compiledRelease``).
    """

    file: str
    record: str
    text: bytes
    content: dict[str, Any]
    compiled: bool = False


@dataclass
class Delivery:
    """One delivered file, read as a stream.

    Attributes:
        path: the file.
        on_bytes: told how many bytes of the file (compressed, if it is) have been read so far.
        cut_short: True once a gzip stream turned out to end in the middle.
    """

    path: Path
    on_bytes: Callable[[int], None] | None = None
    cut_short: bool = field(default=False, init=False)

    def releases(self) -> Iterator[RawRelease | Rejection]:
        """Return what the file holds, in its order.

        Raises:
            InputError: the file is absent, empty, UTF-16, or no JSON at all.
        """
        head = self._head()
        if _is_lines(head, self.path.name):
            yield from self._lines()
        else:
            yield from self._document()

    def _head(self) -> bytes:
        if not self.path.is_file():
            raise InputError(f"There is no file {self.path}.", field="FILE", mend="check the path.")
        with self._open() as stream:
            head = self._read(stream, HEAD_BYTES)
        self.cut_short = False
        name = self.path.name
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

    def _open(self) -> IO[bytes]:
        with self.path.open("rb") as stream:
            zipped = stream.read(2) == b"\x1f\x8b"
        return cast(IO[bytes], gzip.open(self.path, "rb")) if zipped else self.path.open("rb")

    def _read(self, stream: IO[bytes], size: int) -> bytes:
        """Read, taking a gzip stream that ends or breaks early as ended."""
        try:
            return stream.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            self.cut_short = True
            return b""

    def _told(self, stream: IO[bytes]) -> None:
        if self.on_bytes is not None:
            raw = getattr(stream, "fileobj", stream)
            self.on_bytes(raw.tell())

    def _chunks(self) -> Iterator[bytes]:
        with self._open() as stream:
            first = True
            while chunk := self._read(stream, _CHUNK):
                yield chunk.removeprefix(codecs.BOM_UTF8) if first else chunk
                first = False
                self._told(stream)

    def _lines(self) -> Iterator[RawRelease | Rejection]:
        """Split at newlines within a bounded buffer; a line beyond the bound is refused, not held."""
        number, skipped, buffer = 0, 0, bytearray()
        for chunk in self._chunks():
            *ended, rest = chunk.split(b"\n")
            for piece in ended:
                number += 1
                if skipped:
                    yield self._refused_line(number, bytes(buffer), skipped)
                else:
                    yield from self._line(number, bytes(buffer + piece) if buffer else piece, ended=True)
                skipped, buffer = 0, bytearray()
            if skipped or len(buffer) + len(rest) > LINE_MAX:
                skipped += len(rest)
            else:
                buffer += rest
        if buffer or skipped:
            number += 1
            if skipped:
                yield self._refused_line(number, bytes(buffer), skipped)
            else:
                yield from self._line(number, bytes(buffer), ended=False)
        elif self.cut_short:
            yield self._rejection(f"line {number + 1}", b"", "truncated", "The gzip stream ends early.", _AGAIN)

    def _line(self, number: int, line: bytes, *, ended: bool) -> Iterator[RawRelease | Rejection]:
        line = line.strip()
        if not line:
            return
        record = f"line {number}"
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            cut = not ended and error.reason == "unexpected end of data"
            reason = "truncated" if cut else "not_utf8"
            message = f"{record} ends within a character." if cut else f"{record} is not UTF-8{_looks_like(line)}."
            yield self._rejection(record, line, reason, message, _AGAIN if cut else _SAVE_AS_UTF8)
            return
        try:
            content = decode(line)
        except ValueError as error:
            if ended and not self.cut_short:
                yield self._rejection(record, line, "not_json", f"{record} is not JSON: {error}.", "mend the line.")
            else:
                yield self._rejection(
                    record, line, "truncated", f"{record}, the file's last, ends within a release.", _AGAIN
                )
            return
        yield from self.expanded(content, record, text.encode())

    def _document(self) -> Iterator[RawRelease | Rejection]:
        """Stream one document; what is read before an error counts, what follows becomes one rejection."""
        prefix = self._prefix()
        where = prefix.removesuffix(".item") if prefix else "document"
        count, chunk_of_last = 0, 0
        try:
            found = ijson.sendable_list()
            parser = ijson.items_coro(found, prefix, use_float=True, multiple_values=True)
            for number, chunk in enumerate(self._utf8_chunks()):
                parser.send(chunk)
                for content in found:
                    chunk_of_last = number
                    yield from self._item(content, f"{where}[{count}]" if prefix else where)
                    count += 1
                del found[:]
            parser.close()
        except (ijson.JSONError, ijson.IncompleteJSONError) as error:
            tail = self._tail(prefix, count, chunk_of_last)
            early = isinstance(error, ijson.IncompleteJSONError) and "lexical" not in str(error)
            yield self._rejection(
                f"{where}[{count}]",
                tail,
                "truncated" if early else "not_json",
                f"{self.path.name} {'ends early' if early else 'is broken'} after {count} complete entries; "
                "what follows could not be read.",
                "deliver the whole file again; what is loaded already will be reported as unchanged.",
            )

    def _item(self, content: object, record: str) -> Iterator[RawRelease | Rejection]:
        text = encode(content)
        readable = text.decode("utf-8")
        if _PRIVATE.search(readable):
            original = b"".join(
                bytes([ord(c) - 0x10FF00]) if 0x10FF80 <= ord(c) <= 0x10FFFF else c.encode() for c in readable
            )
            message = f"{record} is not UTF-8{_looks_like(original)}."
            yield self._rejection(record, original, "not_utf8", message, _SAVE_AS_UTF8)
            return
        yield from self.expanded(content, record, text)

    def _prefix(self) -> str:
        """Find where the releases stand in a document: its own array, ``releases``, ``records``, or the whole."""
        events: list[tuple[str, str, Any]] = ijson.sendable_list()
        parser = ijson.parse_coro(events, use_float=True, multiple_values=True)
        try:
            for chunk in self._utf8_chunks():
                parser.send(chunk)
                for prefix, event, value in events:
                    if prefix == "" and event == "start_array":
                        return "item"
                    if prefix == "" and event == "map_key" and value in ("releases", "records"):
                        return f"{value}.item"
                    if prefix == "" and event == "map_key" and value in ("ocid", "compiledRelease"):
                        return ""
                del events[:]
        except (ijson.JSONError, ijson.IncompleteJSONError):
            pass
        return ""

    def _utf8_chunks(self) -> Iterator[bytes]:
        """Return the file as valid UTF-8; each stray byte becomes a private character that names it."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
        for chunk in self._chunks():
            text = decoder.decode(chunk)
            if _LONE.search(text):
                text = text.translate(_TO_PRIVATE)
            yield text.encode("utf-8")

    def _tail(self, prefix: str, count: int, chunk_of_last: int) -> bytes:
        """Return the bytes after the last complete entry: read again, byte by byte where that entry ends."""
        found = ijson.sendable_list()
        parser = ijson.items_coro(found, prefix, use_float=True, multiple_values=True)
        tail = bytearray()
        for number, chunk in enumerate(self._utf8_chunks()):
            if number < chunk_of_last:
                parser.send(chunk)
            elif number == chunk_of_last and count:
                end = next(
                    (i for i in range(len(chunk)) if _sent(parser, chunk[i : i + 1], found) >= count), len(chunk)
                )
                tail += chunk[end + 1 :]
            else:
                tail += chunk
            if len(tail) > _TAIL_BYTES:
                break
        return bytes(tail[:_TAIL_BYTES]).lstrip(b", \r\n\t")

    def expanded(self, content: object, record: str, text: bytes) -> Iterator[RawRelease | Rejection]:
        """Take packages, records and lists apart into releases.

        Args:
            content: one JSON value.
            record: where it stood.
            text: its JSON.
        """
        if isinstance(content, list):
            for number, one in enumerate(cast(list[object], content)):
                yield from self.expanded(one, f"{record}[{number}]", encode(one))
        elif not isinstance(content, dict):
            yield self._rejection(
                record, text, "not_a_release", f"{record} is no JSON object.", "give OCDS releases or records."
            )
        else:
            yield from self._object(cast(dict[str, Any], content), record, text)

    def _object(self, content: dict[str, Any], record: str, text: bytes) -> Iterator[RawRelease | Rejection]:
        releases, records = content.get("releases"), content.get("records")
        if isinstance(records, list) and "ocid" not in content:
            yield from self.expanded(records, f"{record} records", b"")
        elif isinstance(releases, list) and "ocid" not in content:
            yield from self.expanded(releases, f"{record} releases", b"")
        elif isinstance(releases, list) or "compiledRelease" in content:
            yield from self._record(content, record, text)
        else:
            yield RawRelease(self.path.name, record, text, content)

    def _record(self, content: dict[str, Any], record: str, text: bytes) -> Iterator[RawRelease | Rejection]:
        compiled = content.get("compiledRelease")
        embedded = [one for one in content.get("releases") or [] if isinstance(one, dict) and "ocid" in one]
        if isinstance(compiled, dict):
            yield RawRelease(self.path.name, f"{record} compiledRelease", encode(compiled), compiled, compiled=True)
        elif not embedded:
            yield self._rejection(
                record,
                text,
                "linked_only",
                f"{record} only links to its releases.",
                "give a record with compiledRelease or with the releases embedded.",
            )
        for number, one in enumerate(embedded):
            yield RawRelease(self.path.name, f"{record} releases[{number}]", encode(one), one)

    def _refused_line(self, number: int, kept: bytes, skipped: int) -> Rejection:
        return self._rejection(
            f"line {number}",
            kept[:_TAIL_BYTES],
            "line_too_long",
            f"line {number} has more than {(len(kept) + skipped) >> 20} MB.",
            "give one release a line.",
        )

    def _rejection(self, record: str, raw: bytes, reason: str, message: str, mend: str) -> Rejection:
        return refused_release(self.path.name, record, raw, reason, message, mend)


_AGAIN = "deliver the whole file again."


def refused_release(
    file: str, record: str, raw: bytes, reason: str, message: str, mend: str, *, path: str = "", value: str = ""
) -> Rejection:
    """Return the rejection of one whole release; bytes that are no text are kept as base64."""
    try:
        text, encoding = raw.decode("utf-8"), "text"
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(raw).decode(), "base64"
    return Rejection(SOURCE, file, record, "", "release", path, value, reason, message, mend, text, encoding)  # type: ignore[arg-type]


def decode(text: bytes) -> object:
    """Read JSON; NaN, Infinity and numbers beyond any float are read too, so that only their field is refused.

    Raises:
        ValueError: the text is not JSON.
    """
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return _lenient(text)


def encode(content: object) -> bytes:
    """Write JSON in one form: compact, keys sorted, so that equal content has equal bytes."""
    try:
        return msgspec.json.encode(content, order="sorted")
    except (OverflowError, UnicodeEncodeError, RecursionError):
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _lenient(text: bytes) -> object:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _sent(parser: Any, piece: bytes, found: list[object]) -> int:  # noqa: ANN401
    parser.send(piece)
    return len(found)


def _is_lines(head: bytes, name: str) -> bool:
    """Tell JSON lines from one document, by the first two lines."""
    if re.search(r"\.(jsonl|ndjson|jsonlines)(\.gz)?$", name.lower()):
        return True
    lines = [line.strip() for line in head.removeprefix(codecs.BOM_UTF8).split(b"\n")]
    lines = [line for line in lines if line]
    if len(lines) == 1:
        return len(head) < HEAD_BYTES
    return all(line[:1] in b"{[" for line in lines[:2]) and lines[0][-1:] in b"}]" and len(lines[0]) > 2


def _looks_like(raw: bytes) -> str:
    try:
        raw.decode("gb18030")
    except UnicodeDecodeError:
        return ""
    return "; it looks like GB18030"
