"""Planted dirt: what goes wrong between a fact and its delivery, and a list of where each case should end.

Every kind takes some records of a feed and spoils them, or adds spoilt ones. Which kinds a feed can have follows from
its headings. Rates are in :data:`RATES` and nowhere else. Truth is never touched: what is spoilt is the delivery.

Records that others refer to (``PARENTS``) are not lost to the city by dirt: their spoilt version is followed, hours to
days later, by the right one, listed as ``<kind>_mended``; so is half of the others' dirt.

=================  ======================================================  ====================================
kind               what happens                                            where the spoilt record should end
=================  ======================================================  ====================================
duplicate          the same record twice, now and then a month later       unchanged
correction         a wrong version, then the right one (``_newer``)        superseded; the newer one loaded
late               the same, but the old version arrives a month after it  superseded; the newer one loaded
unit_mixup         an amount 10,000 times too large or too small           quarantined: unit_suspected
unknown_word       a word that is in no list                               quarantined: unknown_word
missing_value      a required cell left empty                              quarantined: missing_value
uscc_check         a credit code with a wrong check sign                   quarantined: unresolved_organisation [1]
name_only          a unit's name without its code                          quarantined: unresolved_organisation [1]
uscc_repairable    O for 0, I for 1, lower case, full width, blanks        loaded
id15               an identity number of the old kind                      loaded
id_check           an identity number with a wrong check sign              quarantined: unresolved_person [1]
impossible_date    30 February                                             quarantined: not_a_day, not_a_moment
clock_skew         an event hours after its record was written             quarantined: after_its_record
orphan             a further record whose parent is never delivered        quarantined: unknown_reference
stray_text         quotes, line breaks, Chinese punctuation in a text      loaded
full_width_amount  １２３．４５                                              loaded
outage             a source's lost week comes with the next delivery       loaded; one case a file, record_id empty
=================  ======================================================  ====================================

[1] where the column may be empty the record is loaded, and the value alone is quarantined.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from experiments.city import spoil
from experiments.city.deliveries import MONTH
from experiments.city.feeds import UPDATED, Feed
from experiments.city.headings import UPDATED_AT, record_heading

RATES = {
    "duplicate": 0.003,
    "correction": 0.003,
    "late": 0.002,
    "unit_mixup": 0.003,
    "unknown_word": 0.001,
    "missing_value": 0.001,
    "uscc_check": 0.001,
    "uscc_repairable": 0.002,
    "name_only": 0.001,
    "id15": 0.002,
    "id_check": 0.001,
    "impossible_date": 0.001,
    "clock_skew": 0.002,
    "orphan": 0.001,
    "stray_text": 0.002,
    "full_width_amount": 0.002,
}
"""Share of a feed's records that a kind takes."""
AT_LEAST = 2
"""Records that a kind takes of a feed's first rows, whatever its rate, where there are :data:`ENOUGH`."""
ENOUGH = 60
LEDGER = ("source", "feed", "file", "record_id", "kind", "expected_end", "expected_reason", "note", "updated_at")


@dataclass
class Dirt:
    """Plants dirt and remembers what it planted.

    Attributes:
        seed: of the city.
        enabled: False lets every record through as it is.
        seen: feeds of which records have come before, with how many batches.
    """

    seed: int
    enabled: bool = True
    seen: dict[Feed, int] = field(default_factory=dict)

    def plant(self, feed: Feed, records: pl.DataFrame) -> tuple[list[pl.DataFrame], pl.DataFrame]:
        """Spoil some records of a feed.

        Args:
            feed: whose records they are.
            records: of :func:`experiments.city.deliveries.shape`.

        Returns:
            The records to deliver, in frames of the same headings whose cells may be text where they were numbers;
            and the planted cases: folder of the feed, month and the columns of :data:`LEDGER` from record_id on.
        """
        if not self.enabled or not len(records):
            return [records], pl.DataFrame()
        batch = self.seen.get(feed, 0)
        self.seen[feed] = batch + 1
        rng = np.random.default_rng([self.seed, 11, batch, *feed.folder.encode()])
        cases: list[pl.DataFrame] = []
        records, out = _outage(feed, records)
        cases += out
        taken: list[np.ndarray] = []
        added: list[pl.DataFrame] = []
        for picked, spoilt in self._spoilt(feed, records, rng, first=batch == 0):
            taken += [picked] if spoilt.replaces else []
            added += spoilt.frames
            cases += spoilt.cases
        keep = np.ones(len(records), bool)
        for picked in taken:
            keep[picked] = False
        clean = records if keep.all() else records.filter(pl.Series(keep))
        return [clean, *_together(feed, added)], pl.concat(cases) if cases else pl.DataFrame()

    def _spoilt(
        self, feed: Feed, records: pl.DataFrame, rng: np.random.Generator, *, first: bool
    ) -> Iterator[tuple[np.ndarray, "spoil.Spoilt"]]:
        """Yield, kind by kind, the places of the records taken and what became of them; no record is taken twice."""
        free = records.select(pl.col(record_heading(feed)).is_unique()).to_series().to_numpy().copy()
        for kind, rate in RATES.items():
            ways = spoil.ways(feed, kind)
            if not ways:
                continue
            count = int(rng.binomial(len(records), rate))
            if first and len(records) >= ENOUGH:
                count = max(count, AT_LEAST)
            for place in rng.permutation(len(ways)) if count else []:
                way = ways[place]
                fit = np.flatnonzero(free & spoil.fits(feed, kind, way, records).to_numpy())
                if not len(fit):
                    continue
                picked = np.sort(rng.choice(fit, min(count, len(fit)), replace=False))
                free[picked] = False
                yield picked, spoil.spoil(feed, kind, way, records[picked], rng)
                break


def _outage(feed: Feed, records: pl.DataFrame) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Move the records of a source's lost week to the delivery of the month in which it came back."""
    if feed.source != spoil.OUT_SOURCE:
        return records, []
    due = records[MONTH]
    records = records.with_columns(spoil.delivery_month(feed, spoil.moments(feed, records, UPDATED_AT, UPDATED)))
    moved = records.filter(records[MONTH] != due)
    if not len(moved):
        return records, []
    start, back = str(spoil.OUT_FROM.date()), str(spoil.OUT_UNTIL.date())
    case = pl.DataFrame(
        {
            MONTH: [moved[MONTH][0]],
            "record_id": [""],
            "kind": ["outage"],
            "expected_end": ["loaded"],
            "expected_reason": [""],
            "note": [f"{len(moved)} records of {start} to {back} came with this delivery"],
            "updated_at": [start],
        },
        schema_overrides={MONTH: pl.Int32},
    )
    return records, [case]


def _together(feed: Feed, frames: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Join the spoilt records where cells are text anyhow; in JSON and Parquet a cell keeps its own type."""
    if not frames or feed.format in ("jsonl", "json", "parquet"):
        return frames
    text = [f.select(pl.exclude(MONTH).cast(pl.String), MONTH).select(f.columns) for f in frames]
    return [pl.concat(text)]
