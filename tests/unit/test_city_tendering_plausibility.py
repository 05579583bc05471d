"""The plausibility report: distances by hand, and what is said where real data are absent."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from experiments.city import plausibility


def test_distances_are_those_of_a_worked_example() -> None:
    ks, wasserstein = plausibility.distances(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 4.0, 5.0, 6.0]))

    assert ks == pytest.approx(0.5)  # at 2: half of one sample, none of the other
    assert wasserstein == pytest.approx(2 / 1.5)  # everything moves by 2; the real sample's quartiles are 3.75 and 5.25


def test_concentration_of_three_awards() -> None:
    many, ten, herfindahl = plausibility.concentration(pl.DataFrame({"winner": ["A", "A", "B", None]}), "winner")

    assert (many, ten) == (2, 1.0)
    assert herfindahl == pytest.approx((2 / 3) ** 2 + (1 / 3) ** 2)


def test_the_report_says_what_is_not_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plausibility, "YICHANG", tmp_path / "none")
    monkeypatch.setattr(plausibility, "TSUCHIURA", tmp_path / "none.csv")

    text = plausibility.report(150, 1, tmp_path / "report.md")

    assert "Yichang: not at hand" in text
    assert "Tsuchiura: not at hand" in text
    assert (tmp_path / "report.svg").stat().st_size > 1000


@pytest.mark.real_data
def test_the_city_is_near_the_real_places_where_it_claims_to_be() -> None:
    real = {"Yichang": plausibility.yichang(), "Tsuchiura": plausibility.tsuchiura()}
    if any(market is None for market in real.values()):
        pytest.skip(
            "the notices of Yichang or the bids of Tsuchiura are not at hand; SMOKE_SHARED_DATA names their folder"
        )
    ours = plausibility.city(1000, 3, honest=False)
    measured = {}
    for quantity, measure, places in plausibility.QUANTITIES:
        market = real[places[0]]
        assert market is not None
        measured[quantity] = plausibility.distances(measure(ours), measure(market))[0]

    assert measured["log10 of the award, CNY"] < 0.2
    assert measured["cv of three candidates"] < 0.25
    assert measured["cv of all bids"] < 0.35
    assert measured["winning price / ceiling"] < 0.45
