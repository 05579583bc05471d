"""The one way to save and load a trained model: a plain folder, nothing that runs code when it is read.

A bundle is two files: ``model.txt`` (LightGBM's text) and ``bundle.json`` (what the model was trained on, and the
numbers that turn its log-odds into probabilities). Loading checks both against their fingerprints, which tell damage
and careless edits (whoever may write the folder can write a fingerprint too), and the features against the code's.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import polars as pl

from features.errors import SmokeError
from models.lot_features import Feature, feature_list

MODEL_FILE = "model.txt"
BUNDLE_FILE = "bundle.json"
FORMAT = 1
PREDICTION = {
    "lot_id": pl.String(),
    "log_odds": pl.Float64(),
    "probability": pl.Float64(),
    "base_log_odds": pl.Float64(),
    "base_probability": pl.Float64(),
}


class ModelMismatchError(SmokeError):
    """A model was trained on other features than the code measures."""


class BundleError(SmokeError):
    """A bundle's folder is incomplete, was altered, or is of a format that this release does not read."""


@dataclass(frozen=True)
class Calibration:
    """An isotonic curve: probabilities at ascending log-odds, straight lines between, constant outside.

    Raises:
        ValueError: the points are none, not ascending, or no probabilities.
    """

    log_odds: tuple[float, ...]
    probability: tuple[float, ...]

    def __post_init__(self) -> None:
        log_odds, probability = (np.asarray(one, dtype=np.float64) for one in (self.log_odds, self.probability))
        ascending = bool((np.diff(log_odds) >= 0).all() and (np.diff(probability) >= 0).all())
        between = bool(np.isfinite(log_odds).all() and ((probability >= 0) & (probability <= 1)).all())
        if not len(log_odds) or log_odds.shape != probability.shape or not ascending or not between:
            message = "a calibration curve needs ascending log-odds with ascending probabilities within 0 and 1"
            raise ValueError(message)

    def at(self, log_odds: np.ndarray) -> np.ndarray:
        """Return the probability at each log-odds."""
        return np.interp(log_odds, self.log_odds, self.probability)


@dataclass(frozen=True)
class Bundle:
    """A trained model and all that is needed to score with it and to know where it came from.

    Attributes:
        name: the registry's name of the model.
        version: the registry's version, as text.
        analysis: the analysis whose labels it learned.
        subject_type: what one row is.
        features: its columns, in order, with the versions that they were trained on.
        model_text: LightGBM's text of the trees.
        base_log_odds: the expected log-odds of the trees, from which TreeSHAP counts.
        trained_markets: markets (``market_key``) that gave training rows.
        calibrations: the curve of each market whose own labels sufficed; elsewhere the model keeps silent.
        data_versions: versions of the tables that it was trained on.
        code_version: release of the code that trained it.
        seed: the seed of the fit.
        metrics: figures of its judging.
        created_at: when it was trained, RFC 3339.
    """

    name: str
    version: str
    analysis: str
    subject_type: str
    features: tuple[Feature, ...]
    model_text: str
    base_log_odds: float
    trained_markets: tuple[str, ...]
    calibrations: Mapping[str, Calibration]
    data_versions: Mapping[str, int]
    code_version: str
    seed: int
    metrics: Mapping[str, Any]
    created_at: str
    booster: lgb.Booster

    @property
    def feature_ids(self) -> list[str]:
        """Return the names of the columns, in the model's order."""
        return [feature.id for feature in self.features]

    def predict(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Score lots.

        Args:
            frame: one row a lot, the columns of ``lot_features``.

        Returns:
            One row a lot, in the same order: lot_id, log_odds, probability, base_log_odds, base_probability (the
            calibrated base of the lot's market). All but lot_id are null where a required feature is null or the
            lot's market is not among the calibrated ones.
        """
        markets = frame.select(market_key()).to_series().to_list()
        scored = np.flatnonzero(self.answers(frame).to_numpy())
        raw, probability, base = (np.full(frame.height, np.nan) for _ in range(3))
        if scored.size:
            raw[scored] = self.log_odds(frame[scored])
        for market, curve in self.calibrations.items():
            rows = np.array([place for place in scored if markets[place] == market], dtype=np.int64)
            probability[rows] = curve.at(raw[rows])
            base[rows] = curve.at(np.array([self.base_log_odds]))[0]
        return pl.DataFrame(
            {
                "lot_id": frame.get_column("lot_id"),
                "log_odds": raw,
                "probability": probability,
                "base_log_odds": np.where(np.isnan(raw), np.nan, self.base_log_odds),
                "base_probability": base,
            },
            schema=PREDICTION,
        ).with_columns(pl.col(pl.Float64).fill_nan(None))

    def answers(self, frame: pl.DataFrame) -> pl.Series:
        """Tell of each lot whether the model gives an answer: its required features are there, its market known."""
        required = [pl.col(feature.id).is_not_null() for feature in self.features if feature.required]
        known = market_key().is_in(sorted(self.calibrations)).fill_null(value=False)
        return frame.select(pl.all_horizontal(known, *required).alias("answers")).to_series()

    def log_odds(self, frame: pl.DataFrame) -> np.ndarray:
        """Return the trees' log-odds of each row, whatever its market."""
        return np.asarray(self.booster.predict(matrix(frame, self.features), raw_score=True, num_threads=1))


def market_key() -> pl.Expr:
    """Return the market of a lot for models: region_code and object_type, null where either is unknown."""
    return pl.concat_str("region_code", "object_type", separator="/").alias("market")


def matrix(frame: pl.DataFrame, features: Sequence[Feature]) -> np.ndarray:
    """Return the features of each row in the model's order; null becomes NaN, which the trees treat as missing."""
    columns = [pl.col(feature.id).cast(pl.Float64).fill_null(float("nan")) for feature in features]
    return frame.select(columns).to_numpy().reshape(frame.height, len(features))


def booster_from(model_text: str) -> lgb.Booster:
    """Return the trees that a text describes."""
    return lgb.Booster(model_str=model_text)


def save(bundle: Bundle, folder: Path) -> None:
    """Write a bundle as a folder; the folder appears whole or not at all.

    Args:
        bundle: the bundle.
        folder: the folder to make; one that is there already is replaced.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    (fresh / MODEL_FILE).write_text(bundle.model_text, encoding="utf-8")
    (fresh / BUNDLE_FILE).write_text(
        json.dumps(_stated(bundle), ensure_ascii=False, indent=2, allow_nan=False) + "\n", encoding="utf-8"
    )
    fresh.chmod(0o755)
    if folder.is_dir():
        replaced = Path(tempfile.mkdtemp(prefix=f".{folder.name}-replaced-", dir=folder.parent))
        folder.rename(replaced / folder.name)
        fresh.rename(folder)
        shutil.rmtree(replaced)
    else:
        fresh.rename(folder)


def load(folder: Path, features: Sequence[Feature] | None = None) -> Bundle:
    """Read a bundle.

    Args:
        folder: the bundle's folder, or a link to it.
        features: what the code measures, in order; None: ``feature_list()``.

    Raises:
        BundleError: a file is missing, unreadable or altered.
        ModelMismatchError: the model was trained on other features.
    """
    folder = folder.resolve()
    try:
        stated: Any = json.loads((folder / BUNDLE_FILE).read_text(encoding="utf-8"))
        model_text = (folder / MODEL_FILE).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        message = (
            f"{folder} is no model bundle: {BUNDLE_FILE} or {MODEL_FILE} is missing or unreadable. "
            "Promote a model again."
        )
        raise BundleError(message) from error
    if not isinstance(stated, dict) or stated.get("format") != FORMAT:
        found = stated.get("format") if isinstance(stated, dict) else stated
        message = (
            f"{folder} has bundle format {found!r}, this release reads {FORMAT}. "
            "Promote the model again with this release."
        )
        raise BundleError(message)
    if stated.get("bundle_sha256") != fingerprint(stated):
        message = f"{folder / BUNDLE_FILE} was altered since it was written. Promote the model again."
        raise BundleError(message)
    if stated.get("model_sha256") != _sha256(model_text):
        message = (
            f"{folder / MODEL_FILE} is not the file that {BUNDLE_FILE} was written with "
            f"(sha256 {_sha256(model_text)[:12]}, expected {str(stated.get('model_sha256'))[:12]}). "
            "Promote the model again."
        )
        raise BundleError(message)
    try:
        bundle = _read(stated, model_text)
    except (KeyError, TypeError, ValueError, AttributeError, lgb.basic.LightGBMError) as error:
        message = f"{folder / BUNDLE_FILE} lacks or garbles a field ({error}). Promote the model again."
        raise BundleError(message) from error
    check_features(bundle, feature_list() if features is None else features)
    return bundle


def check_features(bundle: Bundle, features: Sequence[Feature]) -> None:
    """Refuse a model whose features differ from those that the code measures.

    Raises:
        ModelMismatchError: features are new, changed, missing, or in another order.
    """
    if tuple(bundle.features) == tuple(features):
        return
    trained = {feature.id: feature for feature in bundle.features}
    measured = {feature.id: feature for feature in features}
    new = [f"{one.id} v{one.version}" for one in features if one.id not in trained]
    missing = [f"{one.id} v{one.version}" for one in bundle.features if one.id not in measured]
    changed = [
        f"{one.id} v{trained[one.id].version} -> v{one.version}"
        for one in features
        if one.id in trained and trained[one.id].version != one.version
    ]
    parts = [
        f"{word}: {', '.join(ids)}" for word, ids in (("new", new), ("changed", changed), ("missing", missing)) if ids
    ]
    message = (
        f"{bundle.name} v{bundle.version} was trained on {len(trained)} features, this code measures {len(measured)} "
        f"({'; '.join(parts) or 'the same ones in another order, or with other nulls allowed'}). "
        f"Serve v{bundle.version} with release {bundle.code_version}, or retrain with smoke train."
    )
    raise ModelMismatchError(message)


def _stated(bundle: Bundle) -> dict[str, Any]:
    stated = _facts(bundle)
    return stated | {"bundle_sha256": fingerprint(stated)}


def fingerprint(stated: Mapping[str, Any]) -> str:
    """Return a digest of all that a bundle's file says but the digest itself."""
    rest = {name: value for name, value in stated.items() if name != "bundle_sha256"}
    return _sha256(json.dumps(rest, sort_keys=True, ensure_ascii=False))


def _facts(bundle: Bundle) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "name": bundle.name,
        "version": bundle.version,
        "analysis": bundle.analysis,
        "subject_type": bundle.subject_type,
        "features": [{"id": one.id, "version": one.version, "required": one.required} for one in bundle.features],
        "base_log_odds": bundle.base_log_odds,
        "trained_markets": list(bundle.trained_markets),
        "calibrations": {
            market: {"log_odds": list(curve.log_odds), "probability": list(curve.probability)}
            for market, curve in bundle.calibrations.items()
        },
        "data_versions": dict(bundle.data_versions),
        "code_version": bundle.code_version,
        "seed": bundle.seed,
        "metrics": dict(bundle.metrics),
        "created_at": bundle.created_at,
        "model_sha256": _sha256(bundle.model_text),
    }


def _read(stated: Mapping[str, Any], model_text: str) -> Bundle:
    return Bundle(
        name=stated["name"],
        version=stated["version"],
        analysis=stated["analysis"],
        subject_type=stated["subject_type"],
        features=tuple(Feature(one["id"], one["version"], required=one["required"]) for one in stated["features"]),
        model_text=model_text,
        base_log_odds=float(stated["base_log_odds"]),
        trained_markets=tuple(stated["trained_markets"]),
        calibrations={
            market: Calibration(tuple(curve["log_odds"]), tuple(curve["probability"]))
            for market, curve in stated["calibrations"].items()
        },
        data_versions=stated["data_versions"],
        code_version=stated["code_version"],
        seed=stated["seed"],
        metrics=stated["metrics"],
        created_at=stated["created_at"],
        booster=booster_from(model_text),
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
