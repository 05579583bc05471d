"""Tells a source whose schema has changed from one that has some bad cells.

Some bad cells are rows in quarantine. A heading that is gone, or a column that reads badly all over a file, is a change
of the interface: the feed is stopped before anything of it is loaded, and somebody has to look.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from features.errors import SmokeError
from features.ingest.identity.resolving import without_personal_numbers

ROWS_MIN = 20
SHARE_MIN = 0.2
"""A column has changed when this many of its cells in one file, and this share of those that are not empty, are bad."""
SHOWN = 3
WORDS_MAX = 20
"""Different unknown words above which they are not the words of a list but another column's cells, names perhaps."""


@dataclass(frozen=True)
class Judged:
    """What the mapping saw in some records of a file.

    Attributes:
        file: its name.
        records: their number.
        given: heading to cells that are not empty.
        failed: heading to cells that do not read.
        unknown: heading of a closed list to words that it does not have, with their number.
    """

    file: str
    records: int
    given: Mapping[str, int]
    failed: Mapping[str, int]
    unknown: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Expected:
    """What a heading should hold: in words, how to mend it, and whether every record must have it."""

    what: str
    mend: str
    required: bool


class FeedStoppedError(SmokeError):
    """The schema of a feed has changed; nothing of it is loaded in this run.

    Attributes:
        what: found and expected, in a sentence.
        source: the source's code.
        feed: the feed's name.
        file: the file that shows it.
        column: the heading.
        found: what stands there.
        expected: what should.
        mend: what can be done.
    """

    def __init__(self, feed: str, file: str, column: str, found: str, expected: str, mend: str) -> None:
        self.what = (
            f"The interface has changed: under {column!r} found {found}, expected {expected}. Nothing of {feed} is"
            " loaded in this run."
        )
        super().__init__(f"{feed}, {file}: {self.what} Mend: {mend}")
        self.source, _, self.feed = feed.partition("/")
        self.file = file
        self.column = column
        self.found = found
        self.expected = expected
        self.mend = mend


@dataclass
class FileGuard:
    """Watches one file of a feed."""

    feed: str
    file: str
    expected: Mapping[str, Expected]
    records: int = 0
    _given: dict[str, int] = field(default_factory=dict[str, int], init=False)
    _failed: dict[str, int] = field(default_factory=dict[str, int], init=False)
    _unknown: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]], init=False)

    def meet(self, headings: Collection[str], unexpected: Collection[str]) -> None:
        """Look at the headings of the file.

        Args:
            headings: those of the expected ones that are there.
            unexpected: others.

        Raises:
            FeedStoppedError: one is missing.
        """
        missing = [name for name in self.expected if name not in headings]
        if missing:
            near = f"the headings {_listed(sorted(unexpected))}" if unexpected else "no such heading"
            raise self._stopped(missing[0], near, f"a heading {_listed(missing)}", _MEND_HEADING)

    def watch(self, judged: Judged) -> None:
        """Take in what was seen of the records."""
        self.records += judged.records
        for mine, theirs in ((self._given, judged.given), (self._failed, judged.failed)):
            for name, count in theirs.items():
                mine[name] = mine.get(name, 0) + count
        for name, words in judged.unknown.items():
            seen = self._unknown.setdefault(name, {})
            for word, count in words.items():
                if word in seen or len(seen) < 1000:
                    seen[word] = seen.get(word, 0) + count

    def conclude(self, *, optional_when_absent: bool) -> None:
        """Judge the whole file.

        Args:
            optional_when_absent: the format leaves out what is empty, so that a heading no record has may be nothing
                but empty; it is missing only when the contract demands it.

        Raises:
            FeedStoppedError: the schema has changed.
        """
        for name, wanted in self.expected.items():
            if optional_when_absent and wanted.required and self.records >= ROWS_MIN and not self._given.get(name):
                raise self._stopped(name, f"not one value in {self.records:,} records", wanted.what, _MEND_HEADING)
            failed, given = self._failed.get(name, 0), self._given.get(name, 0)
            if failed >= ROWS_MIN and failed >= SHARE_MIN * given:
                what = _unknown_words(self._unknown.get(name, {}))
                raise self._stopped(
                    name, f"{failed:,} of {given:,} cells that do not read{what}", wanted.what, wanted.mend
                )

    def _stopped(self, column: str, found: str, expected: str, mend: str) -> FeedStoppedError:
        return FeedStoppedError(self.feed, self.file, column, found, expected, mend)


_MEND_HEADING = "have the source deliver it again, or give the new heading under `headings:` in the feed's declaration."


def _unknown_words(met: Mapping[str, int]) -> str:
    """Return the unknown words of a closed list for a message; many different ones are no list but another column."""
    if not met:
        return ""
    if len(met) > WORDS_MAX:
        return f" ({len(met):,} different words, not shown)"
    words = sorted(met.items(), key=lambda one: (-one[1], one[0]))[:SHOWN]
    return f" ({', '.join(f'{without_personal_numbers(word)!r} {count:,} times' for word, count in words)})"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:SHOWN])) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
