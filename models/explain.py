"""Why a model scored a lot as it did: SHAP values of its trees, told in feature ids."""

import numpy as np
import polars as pl

from models.bundle import Bundle, matrix

CONTRIBUTION = {"lot_id": pl.String(), "feature": pl.String(), "phi": pl.Float64(), "base": pl.Float64()}


def contributions(bundle: Bundle, frame: pl.DataFrame) -> pl.DataFrame:
    """Split the log-odds of each lot among the model's features, exactly (path-dependent TreeSHAP).

    Args:
        bundle: the model.
        frame: one row a lot, the columns of ``lot_features``.

    Returns:
        One row a lot and feature, in the order of the frame and of the model: lot_id, feature, phi (log-odds), base
        (log-odds, the same in every row). Base and the phis of a lot sum to its log-odds. Lots on which the model
        gives no answer are left out.
    """
    answered = frame.filter(bundle.answers(frame))
    if answered.is_empty():
        return pl.DataFrame(schema=CONTRIBUTION)
    shares = np.asarray(bundle.booster.predict(matrix(answered, bundle.features), pred_contrib=True, num_threads=1))
    width = len(bundle.features)
    return pl.DataFrame(
        {
            "lot_id": answered.get_column("lot_id").to_numpy().repeat(width),
            "feature": bundle.feature_ids * answered.height,
            "phi": shares[:, :width].reshape(-1),
            "base": shares[:, width].repeat(width),
        },
        schema=CONTRIBUTION,
    )
