"""A promoted model behind the scoring addresses: its parts add up, it keeps silent elsewhere, broken it is refused."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from starlette.testclient import TestClient

from features.tables.source import SourceTables, read_source_tables
from features.tables.store import TableStore
from models.bundle import load
from models.explain import contributions
from models.lot_features import measured_lots
from serving.routes import application
from serving.scoring import Scorer
from serving.settings import Settings
from tests.labelled_auctions import AS_OF, MARKETS, UNLABELLED


def client_of(home: Path, **more: Any) -> TestClient:
    settings = Settings(home=home, **more)
    return TestClient(application(Scorer(settings), settings), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client(trained_home: Path) -> Iterator[TestClient]:
    with client_of(trained_home, model="required") as one:
        yield one


@pytest.fixture(scope="module")
def source(trained_home: Path) -> SourceTables:
    return read_source_tables(TableStore(trained_home)).collected()


@pytest.fixture(scope="module")
def lots(source: SourceTables) -> pl.DataFrame:
    return measured_lots(source, AS_OF)


def asked(lots: pl.DataFrame, region: str, n: int = 20) -> dict[str, Any]:
    ids = lots.filter(region_code=region).get_column("lot_id").head(n)
    return {"as_of": AS_OF.isoformat(), "subjects": [{"type": "lot", "id": id_} for id_ in ids]}


def test_rule_model_and_their_weighing_add_up_to_the_score(client: TestClient, lots: pl.DataFrame) -> None:
    answer = client.post("/v1/explain", json=asked(lots, MARKETS[0])).json()

    assert answer["model_version"] == "1"
    for one in answer["results"]:
        lines = one["contributions"]
        points = {kind: sum(line["points"] for line in lines if line["kind"] == kind) for kind in _kinds(lines)}
        assert sum(points.values()) == pytest.approx(one["score"], abs=1e-9)
        assert one["score"] == pytest.approx(0.5 * (one["rule_score"] or 0.0) + 0.5 * one["model_score"])
        parts = points["base"] + points.get("feature", 0.0) + points.get("calibration", 0.0)
        assert parts == pytest.approx(one["model_score"], abs=1e-9)
        assert all(line["sentence_zh"] for line in lines)


def _kinds(lines: list[dict[str, Any]]) -> set[str]:
    return {line["kind"] for line in lines}


def test_the_parts_of_the_features_are_shap_values_in_one_scale(
    client: TestClient, lots: pl.DataFrame, trained_home: Path
) -> None:
    bundle = load(Settings(home=trained_home).champion)
    answer = client.post("/v1/explain", json=asked(lots, MARKETS[0])).json()
    shap = contributions(bundle, lots)
    checked = 0
    for one in answer["results"]:
        own = {row["feature"]: row["phi"] for row in shap.filter(lot_id=one["id"]).iter_rows(named=True)}
        lines = {line["id"]: line["points"] for line in one["contributions"] if line["kind"] == "feature"}
        assert lines.keys() == {feature for feature, phi in own.items() if phi != 0}
        scales = [lines[feature] / own[feature] for feature in lines]
        assert max(scales) - min(scales) < 1e-9 * max(1.0, max(scales))
        checked += bool(max(scales))
    assert checked


def test_where_no_labels_calibrated_it_the_model_keeps_silent(client: TestClient, lots: pl.DataFrame) -> None:
    results = client.post("/v1/explain", json=asked(lots, UNLABELLED)).json()["results"]

    assert {one["model_score"] for one in results} == {None}
    assert {line["kind"] for one in results for line in one["contributions"]} <= {"indicator"}


def test_without_the_model_the_score_is_the_rules_alone(trained_home: Path, lots: pl.DataFrame) -> None:
    with client_of(trained_home, model="none") as alone:
        results = alone.post("/v1/score", json=asked(lots, MARKETS[0])).json()["results"]

    assert all(one["score"] == one["rule_score"] and one["model_score"] is None for one in results)


def test_a_model_that_was_tampered_with_makes_the_service_unready_until_it_is_mended(
    trained_home: Path, tmp_path: Path, lots: pl.DataFrame
) -> None:
    home = Path(shutil.copytree(trained_home, tmp_path / "home", symlinks=True))
    text = Settings(home=home).champion / "model.txt"
    sound = text.read_text(encoding="utf-8")
    stated = text.with_name("bundle.json")
    with client_of(home) as client:
        assert client.get("/readyz").status_code == 200
        text.write_text(sound.replace("leaf_value=", "leaf_value=9", 1), encoding="utf-8")
        stated.touch()
        refused = client.get("/readyz")
        assert (refused.status_code, "sha256" in refused.json()["detail_en"]) == (503, True)
        assert client.post("/v1/score", json=asked(lots, MARKETS[0])).status_code == 503
        text.write_text(sound, encoding="utf-8")
        stated.touch()
        assert client.get("/readyz").status_code == 200


def test_a_lot_sent_with_its_bids_has_the_models_score_of_the_batch(
    client: TestClient, source: SourceTables, lots: pl.DataFrame
) -> None:
    request = asked(lots, MARKETS[0], 3)
    expected = client.post("/v1/explain", json=request).json()
    ids = [one["id"] for one in request["subjects"]]
    bids = source.frames["bid"].filter(pl.col("lot_id").is_in(ids)).collect()
    sent = [
        {name: cell if isinstance(cell, bool) else str(cell) for name, cell in row.items() if cell is not None}
        for row in bids.sample(fraction=1, shuffle=True, seed=3).iter_rows(named=True)
    ]

    assert client.post("/v1/explain", json=request | {"records": {"bid": sent}}).json() == expected
