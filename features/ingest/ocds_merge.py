"""The archive of releases, and the state of a process that its releases add up to."""

import datetime as dt
import hashlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import polars as pl
from deltalake import DeltaTable, WriterProperties, write_deltalake
from ocdsmerge import CompiledRelease
from ocdsmerge.exceptions import OCDSMergeError
from ocdsmerge.rules import MergeRules

from features.ingest.ocds_files import decode
from features.tables.columns import ZONE

ARCHIVE_SCHEMA: dict[str, pl.DataType] = {
    "ocid": pl.String(),
    "release_id": pl.String(),
    "date": pl.Datetime("us", ZONE),
    "content": pl.String(),
    "is_compiled": pl.Boolean(),
    "raw": pl.String(),
    "loaded_at": pl.Datetime("us", ZONE),
    "sequence": pl.Int64(),
}

MERGE_RULES: MergeRules = {
    ("tag",): "omitWhenMerged",
    ("id",): "omitWhenMerged",
    ("date",): "omitWhenMerged",
    ("parties", "additionalIdentifiers"): "wholeListMerge",
    ("parties", "roles"): "wholeListMerge",
    ("tender", "items", "additionalClassifications"): "wholeListMerge",
    ("awards", "items", "additionalClassifications"): "wholeListMerge",
    ("contracts", "items", "additionalClassifications"): "wholeListMerge",
    ("awards", "suppliers"): "wholeListMerge",
    ("tender", "tenderers"): "wholeListMerge",
    ("bids", "details", "tenderers"): "wholeListMerge",
}
"""How OCDS 1.1 merges its fields, stated here so that no schema is fetched. Suppliers and tenderers merge as whole
lists, which the standard leaves to identifiers: a corrected winner must replace the wrong one, not join it."""


@dataclass(frozen=True, slots=True)
class Release:
    """One release that could be read.

    Attributes:
        ocid: the process.
        release_id: its id.
        date: when it was published.
        content: SHA-256 of its canonical JSON, 32 hex digits.
        compiled: whether it states the whole process (a compiled release) or a part.
        text: its JSON.
        body: its JSON as objects.
        record: where it stood in its file.
        file: the file.
    """

    ocid: str
    release_id: str
    date: dt.datetime
    content: str
    compiled: bool
    text: bytes
    body: dict[str, Any]
    record: str = ""
    file: str = ""


@dataclass
class Archive:
    """The releases loaded so far, raw, in a Delta table beside the source tables."""

    home: Path
    _contents: set[bytes] | None = field(default=None, init=False, repr=False)
    _compiled: dict[str, dt.datetime | None] = field(
        default_factory=dict[str, "dt.datetime | None"], init=False, repr=False
    )
    _sequence: int = field(default=0, init=False, repr=False)

    @property
    def path(self) -> Path:
        """Return the folder of the table."""
        return self.home / "tables" / "ocds_release"

    def holds(self, content: str) -> bool:
        """Tell whether a release of this content is archived."""
        return bytes.fromhex(content) in self._index()

    def knows(self, ocid: str) -> bool:
        """Tell whether any release of the process is archived."""
        self._index()
        return ocid in self._compiled

    def compiled_at(self, ocid: str) -> dt.datetime | None:
        """Return the date of the latest compiled release archived of a process."""
        self._index()
        return self._compiled.get(ocid)

    def releases_of(self, ocids: Iterable[str]) -> dict[str, list[Release]]:
        """Return the archived releases of processes, in the order they were loaded."""
        wanted = sorted(set(ocids))
        if not wanted or not self._exists():
            return {}
        found = (
            pl.scan_delta(str(self.path))
            .filter(pl.col("ocid").is_in(wanted))
            .with_columns(pl.col("date").dt.convert_time_zone(ZONE))
            .sort("sequence")
            .select("ocid", "release_id", "date", "content", "is_compiled", "raw")
            .collect()
        )
        stored: dict[str, list[Release]] = {}
        for ocid, release_id, date, content, compiled, raw in found.iter_rows():
            text = raw.encode()
            body = cast(dict[str, Any], decode(text))
            stored.setdefault(ocid, []).append(Release(ocid, release_id, date, content, compiled, text, body))
        return stored

    def add(self, releases: Sequence[Release], loaded_at: dt.datetime) -> None:
        """Archive releases in one atomic commit. Call it last: what is archived is not loaded again."""
        if not releases:
            return
        index = self._index()
        rows = pl.DataFrame(
            {
                "ocid": [r.ocid for r in releases],
                "release_id": [r.release_id for r in releases],
                "date": [r.date for r in releases],
                "content": [r.content for r in releases],
                "is_compiled": [r.compiled for r in releases],
                "raw": [r.text.decode("utf-8") for r in releases],
                "loaded_at": [loaded_at] * len(releases),
                "sequence": range(self._sequence, self._sequence + len(releases)),
            },
            schema=ARCHIVE_SCHEMA,
        ).with_columns(pl.selectors.datetime().dt.convert_time_zone("UTC"))
        self.path.mkdir(parents=True, exist_ok=True)
        properties = WriterProperties(compression="ZSTD", compression_level=3)
        write_deltalake(self.path, rows.to_arrow(), mode="append", writer_properties=properties)
        self._sequence += len(releases)
        for release in releases:
            index.add(bytes.fromhex(release.content))
            self._note(release.ocid, release.date if release.compiled else None)

    def _note(self, ocid: str, compiled_at: dt.datetime | None) -> None:
        known = self._compiled.get(ocid)
        self._compiled[ocid] = max(known, compiled_at) if known and compiled_at else known or compiled_at

    def _exists(self) -> bool:
        return (self.path / "_delta_log").is_dir() and DeltaTable(self.path).version() >= 0

    def _index(self) -> set[bytes]:
        """Return the hashes of all archived contents, read once; dates of compiled releases alongside."""
        if self._contents is None:
            self._contents = set()
            if self._exists():
                stored = (
                    pl.scan_delta(str(self.path))
                    .select("ocid", "content", "sequence", pl.col("date").dt.convert_time_zone(ZONE).alias("date"))
                    .collect(engine="streaming")
                )
                compiled = (
                    pl.scan_delta(str(self.path))
                    .filter("is_compiled")
                    .select("ocid", pl.col("date").dt.convert_time_zone(ZONE))
                    .collect()
                )
                self._contents = {bytes.fromhex(content) for content in stored.get_column("content")}
                self._compiled = dict.fromkeys(stored.get_column("ocid").unique().to_list())
                for ocid, date in compiled.iter_rows():
                    self._note(ocid, date)
                self._sequence = cast(int, stored.get_column("sequence").max()) + 1
        return self._contents


def content_hash(canonical: bytes) -> str:
    """Return 32 hex digits that tell contents apart."""
    return hashlib.sha256(canonical).hexdigest()[:32]


def state(releases: Sequence[Release]) -> dict[str, Any]:
    """Return what a process's releases add up to.

    The latest compiled release (of equal dates: the one loaded later) with all later partial releases merged on
    top; without any compiled release, all partial ones merged.

    Args:
        releases: all known releases of one process, in the order they were loaded.

    Raises:
        ValueError: the releases contradict each other in shape and cannot be merged.
    """
    ordered = sorted(releases, key=lambda release: release.date)
    compiled = [release for release in ordered if release.compiled]
    if compiled:
        base = compiled[-1]
        parts = [release for release in ordered if not release.compiled and release.date > base.date]
        if not parts:
            return base.body
        ordered = [base, *parts]
    if len(ordered) == 1:
        return ordered[0].body
    merger = CompiledRelease(merge_rules=MERGE_RULES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two children of one id: the later one counts
        try:
            for release in ordered:
                merger.append(release.body)
        except (OCDSMergeError, TypeError, AttributeError) as error:
            message = f"the releases of {ordered[0].ocid} cannot be merged: {error}"
            raise ValueError(message) from error
        return merger.asdict()
