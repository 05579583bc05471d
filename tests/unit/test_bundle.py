"""A bundle comes back as it was saved, or is refused with the reason."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.bundle import (
    BUNDLE_FILE,
    MODEL_FILE,
    Bundle,
    BundleError,
    Calibration,
    ModelMismatchError,
    fingerprint,
    load,
    save,
)
from models.lot_features import feature_list, feature_signature
from tests.labelled_auctions import random_lots, small_bundle


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return small_bundle()


def test_a_loaded_bundle_scores_exactly_as_the_saved_one(bundle: Bundle, tmp_path: Path) -> None:
    save(bundle, tmp_path / "b")
    loaded = load(tmp_path / "b")

    lots = random_lots(50, seed=2)
    assert loaded.predict(lots).equals(bundle.predict(lots))
    assert replace(loaded, booster=bundle.booster) == bundle


def test_a_bundle_is_two_plain_files_and_saving_again_replaces_them(bundle: Bundle, tmp_path: Path) -> None:
    save(bundle, tmp_path / "b")
    save(replace(bundle, version="2"), tmp_path / "b")

    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == [BUNDLE_FILE, MODEL_FILE]
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert load(tmp_path / "b").version == "2"


def test_probability_and_base_are_the_markets_curve_at_the_log_odds(bundle: Bundle) -> None:
    scored = bundle.predict(random_lots(50, seed=2))

    expected = np.interp(scored["log_odds"].to_numpy(), (-2.0, 0.0, 2.0), (0.1, 0.4, 0.9))
    assert np.abs(scored["probability"].to_numpy() - expected).max() < 1e-12
    base = float(np.interp(bundle.base_log_odds, (-2.0, 0.0, 2.0), (0.1, 0.4, 0.9)))
    assert scored["base_probability"].to_list() == [base] * 50


@pytest.mark.parametrize(
    "change",
    [
        pl.lit("B200").alias("region_code"),
        pl.lit("goods").alias("object_type"),
        pl.lit(None, pl.String).alias("region_code"),
        pl.lit(None, pl.Float64).alias("SI-022"),
    ],
    ids=["other region", "other type", "no region", "no shape"],
)
def test_outside_its_markets_and_without_a_shape_the_model_keeps_silent(bundle: Bundle, change: pl.Expr) -> None:
    scored = bundle.predict(random_lots(3, seed=2).with_columns(change))

    assert scored["probability"].to_list() == [None] * 3
    assert scored["base_probability"].to_list() == [None] * 3


def test_an_altered_text_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    save(bundle, tmp_path / "b")
    file = tmp_path / "b" / MODEL_FILE
    file.write_text(file.read_text().replace("leaf_value=", "leaf_value=9", 1))

    with pytest.raises(BundleError, match="sha256"):
        load(tmp_path / "b")


@pytest.mark.parametrize("name", [BUNDLE_FILE, MODEL_FILE])
def test_a_missing_file_is_refused(bundle: Bundle, tmp_path: Path, name: str) -> None:
    save(bundle, tmp_path / "b")
    (tmp_path / "b" / name).unlink()

    with pytest.raises(BundleError, match="no model bundle"):
        load(tmp_path / "b")


@pytest.mark.parametrize(("field", "value", "words"), [("format", 9, "format 9"), ("features", None, "garbles")])
def test_a_foreign_format_and_a_garbled_field_are_refused(
    bundle: Bundle, tmp_path: Path, field: str, value: object, words: str
) -> None:
    save(bundle, tmp_path / "b")
    file = tmp_path / "b" / BUNDLE_FILE
    changed = json.loads(file.read_text()) | {field: value}
    file.write_text(json.dumps(changed | {"bundle_sha256": fingerprint(changed)}))

    with pytest.raises(BundleError, match=words):
        load(tmp_path / "b")


def test_a_model_of_other_features_is_refused_by_name_and_version(bundle: Bundle, tmp_path: Path) -> None:
    save(bundle, tmp_path / "b")
    first, second, *others = feature_list()
    changed = (replace(first, version=9), *others, replace(second, id="SI-099"))

    with pytest.raises(ModelMismatchError) as refused:
        load(tmp_path / "b", changed)

    assert "new: SI-099 v" in str(refused.value)
    assert f"changed: {first.id} v{first.version} -> v9" in str(refused.value)
    assert f"missing: {second.id}" in str(refused.value)


def test_another_order_of_the_same_features_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    save(bundle, tmp_path / "b")

    with pytest.raises(ModelMismatchError, match="another order"):
        load(tmp_path / "b", feature_list()[::-1])


def test_the_signature_tells_version_and_order_apart() -> None:
    features = feature_list()
    changed = (replace(features[0], version=9), *features[1:])

    assert len({feature_signature(features), feature_signature(changed), feature_signature(features[::-1])}) == 3


def test_a_curve_is_straight_between_its_points_and_constant_outside() -> None:
    curve = Calibration((-1.0, 1.0), (0.2, 0.6))

    assert curve.at(np.array([-9.0, 0.0, 0.5, 9.0])).tolist() == pytest.approx([0.2, 0.4, 0.5, 0.6])


@pytest.mark.parametrize("change", [{"base_log_odds": 99.0}, {"calibrations": {}}, {"trained_markets": ["Z/works"]}])
def test_a_bundle_whose_numbers_were_changed_is_refused(bundle: Bundle, tmp_path: Path, change: dict[str, Any]) -> None:
    save(bundle, tmp_path / "b")
    file = tmp_path / "b" / BUNDLE_FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | change))

    with pytest.raises(BundleError, match="was altered"):
        load(tmp_path / "b")


@pytest.mark.parametrize(
    ("log_odds", "probability"),
    [((), ()), ((0.0, 1.0), (0.5,)), ((0.0, 1.0), (0.9, 0.1)), ((1.0, 0.0), (0.1, 0.2)), ((0.0,), (7.0,))],
)
def test_a_curve_that_is_none_is_refused(log_odds: tuple[float, ...], probability: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        Calibration(log_odds, probability)
