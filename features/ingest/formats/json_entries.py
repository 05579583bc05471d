"""Cuts one long JSON document into its releases or records without reading it whole.

Only brackets and strings are looked at, so an entry that is no JSON costs that entry and not what follows.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

_BRACKET = re.compile(rb'(?>(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+)([{}\[\]])', re.DOTALL)
ARRAYS = ("releases", "records")
"""The keys under which the entries of an OCDS package stand."""
_OCID_KEY = re.compile(rb'"ocid"\s*:')
_BETWEEN = b" \t\r\n,"
_CLOSES = {ord("}"): ord("{"), ord("]"): ord("[")}

Kind = Literal["entry", "stray", "broken", "unfinished", "too_long"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A piece of a document.

    Attributes:
        kind: ``entry`` is whole; ``stray`` stands where an entry should and has no brackets; after ``broken`` (the
            brackets do not pair), ``unfinished`` (the document ends) and ``too_long`` nothing follows.
        where: its array and place, such as ``releases[3]``; ``document`` for a document that is one entry.
        raw: its bytes.
    """

    kind: Kind
    where: str
    raw: bytes


@dataclass
class _Cutter:
    """Where a reading stands: the bytes not yet given away, the open brackets, and the array of entries, if in one."""

    longest: int
    array_key: re.Pattern[bytes]
    buffer: bytearray = field(default_factory=bytearray)
    scanned: int = 0
    start: int = 0
    opened: bytearray = field(default_factory=bytearray)
    array: str = ""
    level: int = 0
    package: bool = False
    count: int = 0

    def feed(self, chunk: bytes) -> Iterator[Entry]:
        self.buffer += chunk
        while found := _BRACKET.match(self.buffer, self.scanned):
            self.scanned = found.end()
            bracket = self.buffer[self.scanned - 1]
            if bracket in b"{[":
                yield from self._open(bracket)
            elif not self.opened or self.opened.pop() != _CLOSES[bracket]:
                yield Entry("broken", self._where(), bytes(self.buffer[self.start :]))
                return
            else:
                yield from self._close()
        del self.buffer[: self.start]
        self.scanned -= self.start
        self.start = 0
        if len(self.buffer) > self.longest:
            yield Entry("too_long", self._where(), bytes(self.buffer))

    def rest(self) -> Iterator[Entry]:
        left = bytes(self.buffer).strip(_BETWEEN)
        if self.opened or left:
            yield Entry("unfinished", self._where(), left)

    def _open(self, bracket: int) -> Iterator[Entry]:
        depth = len(self.opened)
        if self.array and depth == self.level:
            yield from self._stray(self.scanned - 1)
            self.start = self.scanned - 1
        elif not self.array and depth == 0 and bracket == ord("["):
            self._enter("item")
        elif not self.array and depth == 1 and bracket == ord("["):
            before = self.buffer[self.start : self.scanned - 1]
            key = self.array_key.search(before)
            if key and not _OCID_KEY.search(before):
                self._enter(key[1].decode())
                self.package = True
        self.opened.append(bracket)

    def _enter(self, array: str) -> None:
        self.array, self.level, self.count, self.start = array, len(self.opened) + 1, 0, self.scanned

    def _close(self) -> Iterator[Entry]:
        depth = len(self.opened)
        if self.array and depth == self.level:
            yield self._whole()
        elif self.array and depth < self.level:
            yield from self._stray(self.scanned - 1)
            self.array, self.start = "", self.scanned
        elif depth == 0 and self.package:
            self.package, self.start = False, self.scanned
        elif depth == 0 and not self.array:
            yield self._whole()

    def _whole(self) -> Entry:
        entry = Entry("entry", self._where(), bytes(self.buffer[self.start : self.scanned]))
        self.start = self.scanned
        self.count += 1
        return entry

    def _stray(self, end: int) -> Iterator[Entry]:
        between = bytes(self.buffer[self.start : end]).strip(_BETWEEN)
        if between:
            yield Entry("stray", self._where(), between)
            self.count += 1

    def _where(self) -> str:
        return f"{self.array}[{self.count}]" if self.array else "document"


def entries(chunks: Iterable[bytes], longest: int, arrays: Sequence[str] = ARRAYS) -> Iterator[Entry]:
    """Cut a document into the entries of one of its arrays, or of its own array, or into itself.

    Args:
        chunks: the document's bytes; several documents may follow each other.
        longest: bytes that one entry may have, which is what is held in memory.
        arrays: keys of the outermost object under which arrays of entries stand.
    """
    names = "|".join(map(re.escape, arrays)).encode()
    cutter = _Cutter(longest, re.compile(rb'(?<!\\)"(' + names + rb')"\s*:\s*$'))
    for chunk in chunks:
        for entry in cutter.feed(chunk):
            yield entry
            if entry.kind in ("broken", "too_long"):
                return
    yield from cutter.rest()
