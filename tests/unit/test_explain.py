"""Contributions of a model's features sum to its log-odds, and are those that SHAP computes."""

import warnings

import numpy as np
import polars as pl
import pytest

from models.bundle import Bundle, matrix
from models.explain import CONTRIBUTION, contributions
from tests.labelled_auctions import random_lots, small_bundle


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return small_bundle()


def test_base_and_contributions_sum_to_the_log_odds(bundle: Bundle) -> None:
    lots = random_lots(80, seed=3)

    sums = contributions(bundle, lots).group_by("lot_id").agg(total=pl.col("phi").sum() + pl.col("base").first())

    both = sums.join(bundle.predict(lots), on="lot_id")
    assert both.height == 80
    assert float((both["total"] - both["log_odds"]).abs().max()) < 1e-9  # type: ignore[arg-type]


def test_the_base_is_the_bundles(bundle: Bundle) -> None:
    bases = contributions(bundle, random_lots(5, seed=3)).get_column("base")

    assert (bases - bundle.base_log_odds).abs().max() == pytest.approx(0, abs=1e-12)


def test_contributions_agree_with_the_shap_package(bundle: Bundle) -> None:
    lots = random_lots(40, seed=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap

        told = np.asarray(shap.TreeExplainer(bundle.booster).shap_values(matrix(lots, bundle.features)))

    ours = contributions(bundle, lots).get_column("phi").to_numpy().reshape(40, -1)
    assert np.abs(ours - told).max() < 1e-9


def test_a_lot_without_an_answer_has_no_contributions(bundle: Bundle) -> None:
    lots = random_lots(4, seed=3).with_columns(
        region_code=pl.Series(["A100", "B200", "A100", "A100"]), n_bids_log=pl.Series([1.1, 1.1, None, 1.1])
    )

    assert contributions(bundle, lots).get_column("lot_id").unique().sort().to_list() == ["L0000", "L0003"]
    assert contributions(bundle, lots[1:3]).equals(pl.DataFrame(schema=CONTRIBUTION))
