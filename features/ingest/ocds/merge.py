"""The archive of releases, and the state of a process that its releases add up to."""

import datetime as dt
import hashlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec
import polars as pl
from deltalake import WriterProperties, write_deltalake
from ocdsmerge import CompiledRelease
from ocdsmerge.exceptions import OCDSMergeError
from ocdsmerge.rules import MergeRules

from features.ingest.ocds.files import encode
from features.tables.columns import ZONE
from features.tables.delta import scan

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
        date: when it was published; one that does not say counts from its load.
        content: SHA-256 of its canonical JSON and of what is declared about its publisher, 32 hex digits.
        compiled: whether it states the whole process (a compiled release) or a part.
        text: its canonical JSON.
        record: where it stood in its file.
        file: the file.
    """

    ocid: str
    release_id: str
    date: dt.datetime
    content: str
    compiled: bool
    text: bytes
    record: str = ""
    file: str = ""

    @property
    def body(self) -> dict[str, Any]:
        """Return its JSON as objects."""
        return cast(dict[str, Any], msgspec.json.decode(self.text))


@dataclass
class Archive:
    """The releases loaded so far, raw, in a Delta table beside the source tables.

    What is held in memory is an index of 32 bytes a release: hashes of its ocid and content, and its sequence.
    """

    home: Path
    _index: pl.DataFrame = field(init=False, repr=False)

    def __post_init__(self) -> None:
        stored = self._stored().select("ocid", "content", "sequence")
        self._index = stored.select(*_INDEX).collect(engine="streaming")

    @property
    def path(self) -> Path:
        """Return the folder of the table."""
        return self.home / "tables" / "ocds_release"

    def holds(self, contents: Sequence[str]) -> list[bool]:
        """Tell of each content whether a release of it is archived."""
        asked = pl.DataFrame({"content": contents}, schema={"content": pl.String}).select(*_INDEX[1:3])
        found = asked.join(self._index, on=asked.columns, how="left", maintain_order="left")
        return found.get_column("sequence").is_not_null().to_list()

    def releases_of(self, ocids: Iterable[str]) -> dict[str, list[Release]]:
        """Return the archived releases of processes, in the order they were loaded."""
        wanted = pl.Series("ocid", sorted(set(ocids)), dtype=pl.String)
        places = self._index.join(wanted.to_frame().select(_INDEX[0]), on="_ocid", how="semi").get_column("sequence")
        if places.is_empty():
            return {}
        # The sequence grows from file to file of the table, so its bounds spare most files.
        found = (
            self._stored()
            .filter(pl.col("sequence").is_between(places.min(), places.max()), pl.col("ocid").is_in(wanted.implode()))
            .sort("sequence")
            .select("ocid", "release_id", pl.col("date").dt.convert_time_zone(ZONE), "content", "is_compiled", "raw")
            .collect()
        )
        stored: dict[str, list[Release]] = {}
        for ocid, release_id, date, content, compiled, raw in found.iter_rows():
            stored.setdefault(ocid, []).append(Release(ocid, release_id, date, content, compiled, raw.encode()))
        return stored

    def add(self, releases: Sequence[Release], loaded_at: dt.datetime) -> None:
        """Archive releases in one atomic commit. Call it last: what is archived is not loaded again."""
        if not releases:
            return
        start = int(cast(int, self._index.get_column("sequence").max())) + 1 if self._index.height else 0
        rows = pl.DataFrame(
            {
                "ocid": [r.ocid for r in releases],
                "release_id": [r.release_id for r in releases],
                "date": [r.date for r in releases],
                "content": [r.content for r in releases],
                "is_compiled": [r.compiled for r in releases],
                "raw": [r.text.decode("utf-8") for r in releases],
                "loaded_at": [loaded_at] * len(releases),
                "sequence": range(start, start + len(releases)),
            },
            schema=ARCHIVE_SCHEMA,
        ).with_columns(pl.selectors.datetime().dt.convert_time_zone("UTC"))
        self.path.mkdir(parents=True, exist_ok=True)
        properties = WriterProperties(compression="ZSTD", compression_level=3)
        write_deltalake(self.path, rows.to_arrow(), mode="append", writer_properties=properties)
        self._index = pl.concat([self._index, rows.select(*_INDEX)])

    def _stored(self) -> pl.LazyFrame:
        return scan(self.path, ARCHIVE_SCHEMA)


_INDEX = (
    pl.col("ocid").hash(1).alias("_ocid"),
    pl.col("content").hash(1).alias("_content1"),
    pl.col("content").hash(2).alias("_content2"),
    pl.col("sequence"),
)


def content_hash(canonical: bytes, declared: object) -> str:
    """Return 32 hex digits that tell contents apart, and the same content under other declarations.

    Args:
        canonical: a release's JSON in one form.
        declared: what is known about its publisher; a release that is read otherwise is loaded anew.
    """
    return hashlib.sha256(b"\x1f".join([canonical, repr(declared).encode()])).hexdigest()[:32]


def changes_nothing(release: Release, known: Iterable[Release]) -> bool:
    """Tell whether a compiled release that is known already overrides a release: a later one, or one as late."""
    latest = max((one.date for one in known if one.compiled), default=None)
    if latest is None:
        return False
    return release.date < latest if release.compiled else release.date <= latest


def state(releases: Sequence[Release]) -> bytes:
    """Return what a process's releases add up to, as JSON.

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
        ordered = [base, *[one for one in ordered if not one.compiled and one.date > base.date]]
    if len(ordered) == 1:
        return ordered[0].text
    merger = CompiledRelease(merge_rules=MERGE_RULES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two children of one id: the later one counts
        try:
            for release in ordered:
                merger.append(release.body)
            return encode(merger.asdict())
        except (OCDSMergeError, TypeError, AttributeError, KeyError) as error:
            message = f"the releases of {ordered[0].ocid} cannot be merged: {error}"
            raise ValueError(message) from error
