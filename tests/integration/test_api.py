"""The scoring addresses as a client meets them, over the shipped auctions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from starlette.testclient import TestClient

from features.clock import parse_moment
from features.indicators.catalogue import entries
from features.ingest.tables import load_tables
from features.tables.contract import SOURCE_TABLES
from features.tables.source import SourceTables, read_source_tables
from features.tables.store import TableStore
from serving.problems import MEDIA_TYPE
from serving.routes import application
from serving.scoring import Scorer, run_as_of, score_all
from serving.settings import Settings
from tests.conftest import LOADED_AT, TSUCHIURA

AS_OF = "2015-12-31"
LOT = "tsu-1696"


def client_of(home: Path, **more: Any) -> TestClient:
    settings = Settings(home=home, **more)
    return TestClient(application(Scorer(settings), settings), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client(tsuchiura_home: Path) -> Iterator[TestClient]:
    with client_of(tsuchiura_home) as one:
        yield one


@pytest.fixture(scope="module")
def tables(tsuchiura_home: Path) -> SourceTables:
    return read_source_tables(TableStore(tsuchiura_home)).collected()


def asked(*ids: str, as_of: str = AS_OF, kind: str = "lot") -> dict[str, Any]:
    return {"as_of": as_of, "subjects": [{"type": kind, "id": id_} for id_ in ids]}


def records_of(tables: SourceTables, lot: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of one lot as a client would send them: JSON, money and moments as text."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, key in (("project", "project_id"), ("tender", "tender_id"), ("lot", "lot_id"), ("bid", "lot_id"),
                      ("award", "lot_id")):  # fmt: skip
        rows = tables[SOURCE_TABLES[name]].filter(pl.col(key) == lot).collect()
        found[name] = [
            {column: cell if isinstance(cell, bool | None) else _text(cell) for column, cell in row.items()}
            for row in rows.iter_rows(named=True)
        ]
    return found


def _text(cell: object) -> object:
    return cell if isinstance(cell, int | float) else cell.isoformat() if hasattr(cell, "isoformat") else str(cell)  # type: ignore[attr-defined]


def home_without(folder: Path, lot: str) -> Path:
    """A home that holds all the shipped auctions but one."""
    rest = folder / "rest"
    rest.mkdir()
    for file in TSUCHIURA.iterdir():
        rows = pl.read_parquet(file) if file.suffix == ".parquet" else pl.read_csv(file, infer_schema=False)
        keys = [key for key in ("lot_id", "tender_id", "project_id") if key in rows.columns]
        kept = rows.filter(pl.all_horizontal(pl.col(key) != lot for key in keys)) if keys else rows
        if file.suffix == ".parquet":
            kept.write_parquet(rest / file.name)
        else:
            kept.write_csv(rest / file.name.removesuffix(".gz"))
    home = folder / "home"
    assert load_tables(home, rest, loaded_at=LOADED_AT).total.quarantined == 0
    return home


def test_scores_have_the_shape_that_architecture_fixes_and_are_those_of_the_batch(
    client: TestClient, tables: SourceTables
) -> None:
    lots = tables[SOURCE_TABLES["lot"]].select("lot_id").collect()["lot_id"].sort().to_list()[:40]
    answer = client.post("/v1/score", json=asked(*lots)).json()
    batch = score_all(tables, parse_moment(AS_OF), None)

    assert list(answer) == ["as_of", "model_version", "results"]
    assert answer["as_of"].endswith("+08:00")
    expected = {row["subject_id"]: row for row in batch.filter(subject_type="lot").iter_rows(named=True)}
    for result in answer["results"]:
        row = expected[result["id"]]
        assert result["coverage"] == row["coverage"]
        assert result["level"] == "none"
        assert result["level_zh"] == "资料不足"
        assert result["model_score"] is None
        assert (result["score"], result["rule_score"]) == (row["score"], row["rule_score"])
        assert (row["score"] is None) == (row["coverage"] == 0)


@pytest.mark.parametrize("kind", ["project", "organisation"])
def test_projects_and_organisations_are_scored_too(client: TestClient, tables: SourceTables, kind: str) -> None:
    batch = score_all(tables, parse_moment(AS_OF), None).filter(subject_type=kind)
    top = batch.sort("score", descending=True, nulls_last=True).row(0, named=True)
    [result] = client.post("/v1/score", json=asked(top["subject_id"], kind=kind)).json()["results"]

    assert result["score"] == top["score"] > 0


def test_an_explanation_adds_up_and_opens_down_to_rows_law_and_sentence(
    client: TestClient, tables: SourceTables
) -> None:
    [one] = client.post("/v1/explain", json=asked(LOT)).json()["results"]

    assert sum(line["points"] for line in one["contributions"]) == pytest.approx(one["score"], abs=1e-9)
    fired = [line for line in one["contributions"] if line["triggered"]]
    assert fired
    for line in fired:
        assert line["kind"] == "indicator"
        assert line["law"]
        assert line["sentence_zh"].endswith("。")
        stood_on = [row for row in line["evidence"] if row["table"] != "indicator_value"]
        assert stood_on, line["id"]
        for row in stood_on:
            table = SOURCE_TABLES[row["table"]]
            assert tables[table].filter(pl.col(table.key()) == row["key"]).collect().height == 1
    judged = {line["id"] for line in one["contributions"]}
    missing = {item["id"] for item in one["not_assessable"]}
    assert judged | missing == {entry.id for entry in entries()}
    assert not judged & missing
    assert one["counterfactual"]["score"] < one["score"]


@pytest.mark.parametrize("lot", [LOT, "tsu-166", "tsu-1"])
def test_a_lot_sent_with_its_bids_scores_exactly_as_the_same_lot_in_the_tables(
    client: TestClient, tables: SourceTables, tmp_path: Path, lot: str
) -> None:
    sent = {"as_of": AS_OF, "records": records_of(tables, lot)}
    with client_of(home_without(tmp_path, lot)) as without:
        assert without.post("/v1/score", json=asked(lot)).status_code == 404
        online = without.post("/v1/explain", json=sent)

    assert online.status_code == 200, online.text
    assert online.json() == client.post("/v1/explain", json=asked(lot)).json()


def test_sending_rows_leaves_the_tables_as_they_were(client: TestClient, tables: SourceTables) -> None:
    before = client.post("/v1/score", json=asked(LOT)).json()
    records = records_of(tables, LOT)
    for row in records["bid"]:
        row["bid_price"] = "100.00"
    changed = client.post("/v1/score", json=asked(LOT) | {"records": records}).json()

    assert changed["results"] != before["results"]
    assert client.post("/v1/score", json=asked(LOT)).json() == before


def test_before_its_opening_a_lot_has_no_score_and_is_never_shown_as_clean(client: TestClient) -> None:
    [one] = client.post("/v1/explain", json=asked(LOT, as_of="2007-01-01")).json()["results"]

    assert one["score"] is None
    assert one["level_zh"] == "资料不足"
    assert one["contributions"] == []


def test_an_unknown_subject_among_known_ones_carries_its_own_problem(client: TestClient) -> None:
    known, unknown = client.post("/v1/score", json=asked(LOT, "no-such-lot")).json()["results"]

    assert known["score"] > 0
    assert unknown["score"] is None
    assert unknown["problem"]["status"] == 404


BID = {"bid_id": "B", "lot_id": LOT, "tender_id": LOT, "bidder_org_id": "O", "is_consortium": False, "status": "valid"}
REFUSED: dict[str, tuple[Any, int, str]] = {
    "broken JSON": (b'{"as_of": ', 400, ""),
    "GBK": ('{"as_of": "今天"}'.encode("gbk"), 400, ""),
    "NaN": (b'{"subjects": [{"type": "lot", "id": NaN}]}', 400, ""),
    "nested without end": (b"[" * 100_000, 400, ""),
    "no object": (b"[]", 400, ""),
    "an unknown field": ({"asof": AS_OF, "subjects": [{"type": "lot", "id": LOT}]}, 400, "asof"),
    "an unknown kind": ({"subjects": [{"type": "boat", "id": LOT}]}, 400, "subjects[0].type"),
    "an id that is a number": ({"subjects": [{"type": "lot", "id": 7}]}, 400, "subjects[0].id"),
    "an empty id": ({"subjects": [{"type": "lot", "id": ""}]}, 400, "subjects[0].id"),
    "no subjects": ({"as_of": AS_OF}, 400, "subjects"),
    "too many subjects": (asked(*[str(n) for n in range(1001)]), 400, "subjects"),
    "a date that is none": (asked(LOT, as_of="31.12.2015"), 400, "as_of"),
    "a date out of range": (asked(LOT, as_of="9999-12-31"), 400, "as_of"),
    "an unknown lot": (asked("no-such-lot"), 404, "subjects[0].id"),
    "an unknown table": (asked(LOT) | {"records": {"lots": [{}]}}, 400, "records.lots"),
    "an unknown column": (asked(LOT) | {"records": {"bid": [BID | {"price": 1}]}}, 400, "records.bid[0].price"),
    "a missing value": (asked(LOT) | {"records": {"bid": [BID | {"status": None}]}}, 400, "records.bid[0].status"),
    "an unknown word": (asked(LOT) | {"records": {"bid": [BID | {"status": "won"}]}}, 400, "records.bid[0].status"),
    "a negative price": (asked(LOT) | {"records": {"bid": [BID | {"bid_price": -1}]}}, 400, "records.bid[0].bid_price"),
    "a price in words": (
        asked(LOT) | {"records": {"bid": [BID | {"bid_price": "一百万"}]}}, 400, "records.bid[0].bid_price"
    ),
    "the same bid twice": (asked(LOT) | {"records": {"bid": [BID, BID]}}, 400, "records.bid[1].bid_id"),
    "a bid for no lot": (
        asked(LOT) | {"records": {"bid": [BID | {"lot_id": "nowhere"}]}}, 400, "records.bid[0].lot_id"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("path", ["/v1/score", "/v1/explain"])
def test_bad_input_is_a_problem_that_names_the_field_and_the_mend(client: TestClient, path: str, case: str) -> None:
    body, status, field = REFUSED[case]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
    problem = answer.json()

    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE)
    assert problem["status"] == status
    assert problem["type"].startswith("urn:smoke-index:problem:")
    assert problem["detail"]
    assert problem["mend"]
    assert problem["mend_en"]
    assert problem.get("field", "") == field


def test_what_a_personal_column_held_is_not_repeated(client: TestClient) -> None:
    bid = BID | {"upload_ip": 12345678}
    problem = client.post("/v1/score", json=asked(LOT) | {"records": {"bid": [bid]}})

    assert problem.json()["field"] == "records.bid[0].upload_ip"
    assert "12345678" not in problem.text


def test_a_body_beyond_the_limit_is_refused(tsuchiura_home: Path) -> None:
    with client_of(tsuchiura_home, max_body_bytes=100) as small:
        answer = small.post("/v1/score", json=asked(*["x" * 50] * 5))

    assert (answer.status_code, answer.json()["type"]) == (413, "urn:smoke-index:problem:too-large")


def test_another_media_type_address_or_method_is_a_problem_too(client: TestClient) -> None:
    assert client.post("/v1/score", content=b"a=1", headers={"Content-Type": "text/plain"}).status_code == 415
    for answer, status in ((client.get("/v1/score"), 405), (client.get("/v1/nothing"), 404)):
        assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE)


def test_ready_only_with_tables_and_with_a_model_where_one_is_required(tmp_path: Path, tsuchiura_home: Path) -> None:
    with client_of(tmp_path / "nothing") as empty:
        assert (empty.get("/healthz").status_code, empty.get("/readyz").status_code) == (200, 503)
        assert empty.post("/v1/score", json=asked(LOT)).status_code == 503
    with client_of(tsuchiura_home, model="required") as unmodelled:
        answer = unmodelled.get("/readyz")
        assert (answer.status_code, answer.headers["content-type"]) == (503, MEDIA_TYPE)
    with client_of(tsuchiura_home) as ready:
        assert ready.get("/readyz").json() == {"status": "ready"}


@pytest.mark.parametrize("pair", ["tsu-city~tsu-f1", "organisation:tsu-f1~organisation:tsu-f1"])
def test_a_pair_is_two_organisations_by_their_full_ids(client: TestClient, pair: str) -> None:
    assert client.post("/v1/score", json=asked(pair, kind="pair")).status_code == 404


@pytest.mark.parametrize("moment", ["1989-05-04T02:30", "1990-04-15T02:30:00"])
def test_a_time_that_the_clocks_skipped_is_answered(client: TestClient, moment: str) -> None:
    assert client.post("/v1/score", json=asked(LOT, as_of=moment)).status_code == 200


def test_the_root_leads_to_the_description_and_a_stray_slash_is_a_problem(client: TestClient) -> None:
    assert client.get("/").json()["openapi"]
    answer = client.post("/v1/score/", json=asked(LOT))
    assert (answer.status_code, answer.headers["content-type"]) == (404, MEDIA_TYPE)


def test_metrics_count_the_requests(client: TestClient) -> None:
    client.post("/v1/score", json=asked(LOT))

    assert 'smoke_requests_total{path="/v1/score",status="200"}' in client.get("/metrics").text


def test_the_description_names_every_address(client: TestClient) -> None:
    described = client.get("/docs.json").json()

    assert described["openapi"].startswith("3.1")
    assert {"/v1/score", "/v1/explain", "/healthz", "/readyz", "/metrics"} <= described["paths"].keys()
    assert {"ScoreRequest", "ScoreResponse", "ExplainResponse", "Problem"} <= described["components"]["schemas"].keys()


def test_rows_loaded_later_are_seen_without_a_restart(tmp_path: Path, tables: SourceTables) -> None:
    home = home_without(tmp_path, LOT)
    with client_of(home) as client:
        assert client.post("/v1/score", json=asked(LOT)).status_code == 404
        load_tables(home, TSUCHIURA, loaded_at=LOADED_AT)
        answer = client.post("/v1/score", json=asked(LOT))

    expected = run_as_of(tables, parse_moment(AS_OF), None).scored(
        pl.DataFrame({"subject_type": ["lot"], "subject_id": [LOT]})
    )
    assert answer.json()["results"][0]["score"] == expected.index.item(0, "score")
