"""One seed, one city: the same facts again, in the order of time, whatever Python's hash seed."""

import subprocess
import sys

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from experiments.city.city import blocks
from experiments.city.population import population
from experiments.city.registry import registry

SCRIPT = """
import hashlib
from experiments.city.city import blocks
from experiments.city.labels import feedback
from experiments.city.population import population
import polars as pl
people = population(5, 120)
parts = list(blocks(people, 5, 120))
digest = hashlib.sha256()
truth = pl.concat([part["truth_lots"] for part in parts])
for part in [*parts, feedback(people, truth)]:
    for name in sorted(part):
        digest.update(part[name].write_json().encode())
print(digest.hexdigest())
"""


@pytest.mark.parametrize("projects", [1, 40, 600])
def test_the_same_seed_gives_the_same_city(projects: int) -> None:
    one, other = population(3, projects), population(3, projects)
    for first, second in zip(blocks(one, 3, projects), blocks(other, 3, projects), strict=True):
        assert first.keys() == second.keys()
        for name, frame in first.items():
            assert_frame_equal(frame, second[name])
    for name, frame in registry(one).items():
        assert_frame_equal(frame, registry(other)[name])


def test_another_seed_gives_another_city() -> None:
    one = next(blocks(population(1, 200), 1, 200))
    other = next(blocks(population(2, 200), 2, 200))

    assert not one["bid"]["bid_price"].head(50).equals(other["bid"]["bid_price"].head(50))


def test_the_hash_seed_of_python_does_not_matter() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }

    assert len(digests) == 1


@pytest.mark.parametrize("seed", [1, 9])
def test_blocks_come_in_the_order_of_time(seed: int) -> None:
    last = None
    for block in blocks(population(seed, 1600), seed, 1600):
        notices = block["tender"].filter(pl.col("tender_id").str.ends_with("-T1"))["notice_published_at"]
        if last is not None:
            assert notices.min() >= last  # type: ignore[operator]
        last = notices.quantile(0.5)


def test_a_market_does_not_grow_with_the_city() -> None:
    small, large = population(4, 2058), population(4, 6174)

    assert large.wards == 3 * small.wards
    assert len(large.organisations) == 3 * len(small.organisations)
    bids = pl.concat([block["bid"] for block in blocks(large, 4, 6174)])
    lots = bids.with_columns(pl.col("bidder_org_no") // len(small.organisations))
    assert lots.group_by("lot_id").agg(pl.col("bidder_org_no").n_unique())["bidder_org_no"].max() == 1
