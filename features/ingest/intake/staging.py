"""Rows on their way, held in memory while they are few and on disk by bucket of their key when they are many."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from features.ingest.intake.packing import packed

BUCKETS = 64
HELD_ROWS = 400_000
HELD_BYTES = 160 << 20
GROUP_ROWS = 500_000
GROUP_BYTES = 160 << 20
BUCKET_SEED = 11


def clear(home: Path) -> None:
    """Remove what a load has staged, one that was killed too."""
    shutil.rmtree(home / "staging", ignore_errors=True)


@dataclass
class Staged:
    """Frames that share a key column, given back in groups in which every key is whole.

    Attributes:
        folder: where frames go once they are too many for memory; it is made then.
        key: the column that groups are whole in.
    """

    folder: Path
    key: str
    height: int = field(default=0, init=False)
    _held: list[pl.DataFrame] = field(default_factory=list[pl.DataFrame], init=False)
    _rows: list[int] = field(default_factory=lambda: [0] * BUCKETS, init=False)
    _bytes: list[int] = field(default_factory=lambda: [0] * BUCKETS, init=False)
    _spills: int = field(default=0, init=False)

    def add(self, rows: pl.DataFrame) -> None:
        """Take rows; frames may differ in their columns."""
        if rows.is_empty():
            return
        self._held.append(packed(rows))
        self.height += rows.height
        held = sum(frame.height for frame in self._held)
        if held >= HELD_ROWS or sum(frame.estimated_size() for frame in self._held) >= HELD_BYTES:
            self._spill()

    def groups(self) -> list[Sequence[int]]:
        """Return which buckets are read together; a single group of none is what lies in memory."""
        if not self._spills:
            return [()] if self.height else []
        self._spill()
        groups: list[list[int]] = []
        rows = size = 0
        for bucket, (n, n_bytes) in enumerate(zip(self._rows, self._bytes, strict=True)):
            if not n:
                continue
            if groups and rows + n <= GROUP_ROWS and size + n_bytes <= GROUP_BYTES:
                groups[-1].append(bucket)
                rows, size = rows + n, size + n_bytes
            else:
                groups.append([bucket])
                rows, size = n, n_bytes
        return list(groups)

    def read(self, group: Sequence[int]) -> pl.DataFrame:
        """Return the rows of a group in the order in which they came."""
        if not group and not self._spills:
            return pl.concat(self._held, how="diagonal") if self._held else pl.DataFrame()
        self._spill()
        frames = [
            pl.read_ipc(path)
            for spill in range(self._spills)
            for bucket in group
            if (path := self._path(bucket, spill)).exists()
        ]
        return pl.concat(frames, how="diagonal") if frames else pl.DataFrame()

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield all rows, group by group."""
        for group in self.groups():
            yield self.read(group)

    def clear(self) -> None:
        """Forget all rows."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._held, self._spills, self.height = [], 0, 0
        self._rows, self._bytes = [0] * BUCKETS, [0] * BUCKETS

    def _spill(self) -> None:
        if not self._held:
            return
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        rows = pl.concat(self._held, how="diagonal").with_columns(_bucket=bucket_of(self.key))
        self._held = []
        for (bucket,), part in rows.partition_by("_bucket", as_dict=True, include_key=False).items():
            part.write_ipc(self._path(int(bucket), self._spills), compression="lz4")
            self._rows[int(bucket)] += part.height
            self._bytes[int(bucket)] += int(part.estimated_size())
        self._spills += 1

    def _path(self, bucket: int, spill: int) -> Path:
        return self.folder / f"{bucket}-{spill}.arrow"


def bucket_of(key: str) -> pl.Expr:
    """Return the bucket of each key."""
    return (pl.col(key).hash(BUCKET_SEED) % BUCKETS).cast(pl.UInt8)
