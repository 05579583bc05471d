"""Fetching over real HTTP and from a real PostgreSQL: pages, failures, kills, changed views."""

import datetime as dt
import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

import smoke
from features.ingest.feed import source
from features.ingest.fetch.connections import Connection, FeedConnection, connection
from features.ingest.fetch.cursors import Cursors
from features.ingest.fetch.landing import Landing
from features.ingest.fetch.views import fetch_view
from features.tables.procurement import ReservePoolMember
from features.tables.store import TableStore

POSTGRES = os.environ.get("SMOKE_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/test")
KEYS = {"SMOKE_HMAC_KEY": bytes(range(32)).hex(), "SMOKE_DATA_KEY": bytes(range(64, 128)).hex()}


@dataclass
class Interface:
    """What the server has, what it was asked, and what it shall do wrong."""

    records: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    asked: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    wrong: Callable[[BaseHTTPRequestHandler, int], bool] = lambda _handler, _n: False
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    interface: Interface
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        self.interface.asked.append({**query, "authorization": self.headers.get("Authorization", "")})
        if self.interface.wrong(self, len(self.interface.asked)):
            return
        since = query.get("updated_since", "")
        found = [one for one in self.interface.records if str(one["更新时间"]) >= since]
        page, size = int(query["page"]), int(query["size"])
        part = found[(page - 1) * size : page * size]
        self.answer(200, json.dumps({"total": len(found), "data": part}, ensure_ascii=False).encode())

    def answer(self, status: int, body: bytes, *, claimed: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(claimed or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""


@pytest.fixture
def interface() -> Iterator[Interface]:
    found = Interface()
    handler = type("Handler", (_Handler,), {"interface": found})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}/api/"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def postgres() -> Iterator[tuple[sa.Engine, str]]:
    engine = sa.create_engine(POSTGRES, connect_args={"connect_timeout": 3})
    schema = f"fetch_{uuid.uuid4().hex[:12]}"
    try:
        with engine.begin() as connection:
            connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
    except OperationalError as error:
        engine.dispose()
        if os.environ.get("SMOKE_REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(f"no PostgreSQL answers at {POSTGRES}: {type(error.orig).__name__}")
    yield engine, schema
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


def _members(count: int) -> list[dict[str, Any]]:
    start = dt.datetime(2024, 3, 5, tzinfo=dt.timezone(dt.timedelta(hours=8)))
    return [
        {
            "入库编号": f"M{n:04}",
            "类别": "施工",
            "起": "2024-01-01",
            "更新时间": (start + dt.timedelta(minutes=n)).isoformat(),
        }
        for n in range(count)
    ]


def _rest(home: Path, interface: Interface, **more: Any) -> Connection:
    said = {"kind": "rest", "url": interface.url, "retries": 3, "backoff_s": 0.01, "timeout_s": 5}
    feeds = {"reserve_pool_member": {"resource": "members", "page_size": 10, "overlap_min": 5}}
    home.mkdir(exist_ok=True)
    (home / "connections.yaml").write_text(json.dumps({"P00": {**said, "feeds": feeds, **more}}), encoding="utf-8")
    return connection(home, "P00")


def _landed(home: Path, code: str = "P00") -> list[str]:
    return sorted(path.name for path in (home / "landing" / code).iterdir())


def _ids(home: Path) -> list[str]:
    lines = [
        line
        for path in sorted((home / "landing" / "P00").glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    return [json.loads(line)["入库编号"] for line in lines]


def test_pages_land_as_one_file_and_the_next_fetch_asks_for_what_is_new(
    tmp_path: Path, interface: Interface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POOL_TOKEN", "t0ken")
    interface.records = _members(25)
    _rest(tmp_path, interface, token_env="POOL_TOKEN")

    assert smoke.run(["fetch", "P00", "--home", str(tmp_path)]) == 0

    assert _ids(tmp_path) == [f"M{n:04}" for n in range(25)]
    assert len(_landed(tmp_path)) == 1
    assert [(one["page"], one.get("updated_since")) for one in interface.asked] == [(str(n), None) for n in range(1, 5)]
    assert {one["authorization"] for one in interface.asked} == {"Bearer t0ken"}
    assert "t0ken" not in (tmp_path / "connections.yaml").read_text(encoding="utf-8")

    interface.records, interface.asked = _members(27), []
    assert smoke.run(["fetch", "P00", "--home", str(tmp_path)]) == 0

    assert interface.asked[0]["updated_since"] == "2024-03-05T00:19:00+08:00"
    assert sorted(set(_ids(tmp_path))) == [f"M{n:04}" for n in range(27)]


def test_errors_and_dropped_connections_on_a_page_are_tried_again_and_nothing_is_lost_or_doubled(
    tmp_path: Path, interface: Interface
) -> None:
    def wrong(handler: BaseHTTPRequestHandler, number: int) -> bool:
        assert isinstance(handler, _Handler)
        if number == 2:
            handler.answer(500, b"{}")
        elif number == 3:
            handler.answer(200, b'{"data": [{"a"', claimed=4000)
            handler.close_connection = True
        elif number == 5:
            handler.close_connection = True
            handler.connection.close()
        return number in (2, 3, 5)

    interface.records, interface.wrong = _members(25), wrong
    _rest(tmp_path, interface)

    assert smoke.run(["fetch", "P00", "--home", str(tmp_path)]) == 0

    assert _ids(tmp_path) == [f"M{n:04}" for n in range(25)]


def test_a_page_that_never_comes_lands_nothing_and_the_next_fetch_takes_all(
    tmp_path: Path, interface: Interface, capsys: pytest.CaptureFixture[str]
) -> None:
    def wrong(handler: BaseHTTPRequestHandler, number: int) -> bool:
        assert isinstance(handler, _Handler)
        if number >= 2:
            handler.answer(503, b"{}")
        return number >= 2

    interface.records, interface.wrong = _members(25), wrong
    _rest(tmp_path, interface)

    assert smoke.run(["fetch", "P00", "--home", str(tmp_path)]) == 1

    assert "P00/reserve_pool_member: The interface answered 503." in capsys.readouterr().err
    assert _landed(tmp_path) == []
    assert Cursors(tmp_path, "P00").get("reserve_pool_member") is None

    interface.wrong = lambda _handler, _n: False
    assert smoke.run(["fetch", "P00", "--home", str(tmp_path)]) == 0
    assert len(_ids(tmp_path)) == 25


def test_an_answer_without_records_is_named(
    tmp_path: Path, interface: Interface, capsys: pytest.CaptureFixture[str]
) -> None:
    def wrong(handler: BaseHTTPRequestHandler, _number: int) -> bool:
        assert isinstance(handler, _Handler)
        handler.answer(200, b'{"error": "not logged in"}')
        return True

    interface.wrong = wrong
    _rest(tmp_path, interface)

    assert smoke.run(["fetch", "P00", "--home", str(tmp_path)]) == 1
    assert "nothing under 'data'" in capsys.readouterr().err


def test_what_was_fetched_is_loaded_and_the_landed_files_go(
    tmp_path: Path, interface: Interface, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    department = {"部门编号": "D1", "部门名称": "某局", "部门类别": "水务", "层级": "市级", "区划": "511300"}
    region = {"区划代码": "511300", "区划名称": "南充", "层级": "地级市"}
    _lay(tmp_path, "region", [region])
    _lay(tmp_path, "department", [department])
    org = {"单位名称": "某公司", "单位统一社会信用代码": "91510100MA61RJG523"}
    members = [{**one, "类别": "设计", "建库部门编码": "D1", **org} for one in _members(3)]
    interface.records = members
    _rest(tmp_path, interface)

    assert smoke.run(["fetch", "P00", "--home", str(tmp_path)]) == 0
    capsys.readouterr()
    code = smoke.run(["ingest", "P00", "--home", str(tmp_path), "--format", "json"])

    counts = json.loads(capsys.readouterr().out)
    entries = counts["feeds"]["reserve_pool_member"]
    assert code == 0
    assert (entries["read"], entries["loaded"]) == (3, 3)
    assert _landed(tmp_path) == []
    assert TableStore(tmp_path).read(ReservePoolMember).collect().height == 3


def _lay(home: Path, feed: str, records: list[dict[str, Any]]) -> None:
    folder = home / "landing" / "P00"
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(
        json.dumps({**one, "更新时间": "2024-03-05T00:00:00+08:00"}, ensure_ascii=False) for one in records
    )
    (folder / f"{feed}-202403.jsonl").write_text(text + "\n", encoding="utf-8")


def _views(home: Path, schema: str, **more: Any) -> Connection:
    feeds = {
        name: {"resource": f"{schema}.{name}", "page_size": 1000, "overlap_min": 10}
        for name in ("payment", "budget_allocation")
    }
    said = {"kind": "sql", "url": POSTGRES, "retries": 1, "backoff_s": 0.01, "timeout_s": 5, "feeds": feeds, **more}
    home.mkdir(exist_ok=True)
    (home / "connections.yaml").write_text(json.dumps({"S07": said}), encoding="utf-8")
    return connection(home, "S07")


def _make_views(engine: sa.Engine, schema: str, rows: int) -> None:
    payment = (
        '\'P\' || n AS "拨付编号", \'2301-511302-04-01-123456\' AS "投资项目统一代码", NULL::text AS "合同编号",'
        ' \'02\' AS "款项类型", \'2024-02\' AS "对应计量周期", (n + 0.10)::numeric(18,2) AS "申请金额(元)",'
        ' NULL::numeric AS "批准金额(元)", (n + 0.10)::numeric(18,2) AS "支付金额(元)",'
        ' NULL::numeric AS "本次扣回预付款(元)", timestamp \'2024-03-01\' AS "申请时间",'
        ' NULL::timestamp AS "批准时间", NULL::timestamp AS "支付时间", \'甲\' AS "付款单位名称",'
        ' \'91510100MA61RJG523\' AS "付款单位统一社会信用代码", NULL::text AS "收款单位名称",'
        ' NULL::text AS "收款单位统一社会信用代码", NULL::text AS "收款个人姓名", NULL::text AS "收款个人身份证号",'
        ' NULL::text AS "收款账户", true AS "总监签字", NULL::text AS "凭证号",'
        " timestamp '2024-03-01' + n * interval '1 minute' AS \"更新时间\""
    )
    budget = (
        '\'B\' || n AS "指标编号", \'2301-511302-04-01-123456\' AS "投资项目统一代码", 2024 AS "预算年度",'
        ' 5.00::numeric(18,2) AS "预算安排额(元)", \'01\' AS "资金性质", NULL::text AS "文号",'
        " timestamp '2024-03-01' AS \"下达时间\", timestamp '2024-03-01' AS \"更新时间\""
    )
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE {schema}.numbers AS SELECT n FROM generate_series(1, {rows}) n"))
        for name, columns in (("payment", payment), ("budget_allocation", budget)):
            connection.execute(sa.text(f"CREATE VIEW {schema}.{name} AS SELECT {columns} FROM {schema}.numbers"))


def _paid(home: Path) -> pl.DataFrame:
    files = sorted((home / "landing" / "S07").glob("payment-*.parquet"))
    wanted = ["拨付编号", "支付金额(元)", "更新时间"]
    return pl.concat([pl.read_parquet(path).select(wanted) for path in files])


def test_a_view_lands_in_batches_and_goes_on_from_its_cursor(tmp_path: Path, postgres: tuple[sa.Engine, str]) -> None:
    engine, schema = postgres
    _make_views(engine, schema, 2500)
    _views(tmp_path, schema)

    assert smoke.run(["fetch", "S07", "--home", str(tmp_path)]) == 0

    first = _paid(tmp_path)
    assert first.get_column("拨付编号").to_list() == [f"P{n}" for n in range(1, 2501)]
    assert str(first.item(0, "支付金额(元)")) == "1.10"
    assert len([name for name in _landed(tmp_path, "S07") if name.startswith("payment-")]) == 3

    with engine.begin() as connection:
        connection.execute(sa.text(f"INSERT INTO {schema}.numbers VALUES (2501), (2502)"))
    for path in (tmp_path / "landing" / "S07").iterdir():
        path.unlink()
    assert smoke.run(["fetch", "S07", "--home", str(tmp_path)]) == 0

    # Ten minutes of overlap and the row of the cursor itself come again.
    assert _paid(tmp_path).get_column("拨付编号").to_list() == [f"P{n}" for n in range(2490, 2503)]


def test_a_fetch_that_breaks_off_between_batches_goes_on_there(
    tmp_path: Path, postgres: tuple[sa.Engine, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, schema = postgres
    _make_views(engine, schema, 2500)
    of = _views(tmp_path, schema)
    landing, cursors = Landing(tmp_path, "S07", dt.datetime.now(dt.UTC)), Cursors(tmp_path, "S07")
    landing.clear_partial()
    real = pl.DataFrame.write_parquet
    written: list[int] = []

    def killed(self: pl.DataFrame, out: Any, **options: Any) -> None:
        written.append(self.height)
        if len(written) == 2:
            out.write(b"PAR1half")
            raise KeyboardInterrupt
        real(self, out, **options)

    monkeypatch.setattr(pl.DataFrame, "write_parquet", killed)
    with pytest.raises(KeyboardInterrupt):
        fetch_view(source("S07").feed("payment"), of, landing, cursors)
    monkeypatch.setattr(pl.DataFrame, "write_parquet", real)

    assert _paid(tmp_path).height == 1000
    assert smoke.run(["fetch", "S07", "--home", str(tmp_path)]) == 0
    assert set(_paid(tmp_path).get_column("拨付编号")) == {f"P{n}" for n in range(1, 2501)}
    assert not [name for name in _landed(tmp_path, "S07") if name.endswith(".partial")]


def test_a_view_whose_cursor_is_gone_stops_that_feed_only(
    tmp_path: Path, postgres: tuple[sa.Engine, str], capsys: pytest.CaptureFixture[str]
) -> None:
    engine, schema = postgres
    _make_views(engine, schema, 3)
    with engine.begin() as connection:
        connection.execute(sa.text(f'ALTER VIEW {schema}.payment RENAME COLUMN "更新时间" TO "修改时间"'))
    _views(tmp_path, schema)

    assert smoke.run(["fetch", "S07", "--home", str(tmp_path), "--format", "json"]) == 1

    said = json.loads(capsys.readouterr().out)
    assert said["feeds"] == {"payment": 0, "budget_allocation": 3}
    assert [one["feed"] for one in said["problems"]] == ["S07/payment"]
    assert "UndefinedColumn" in said["problems"][0]["message"]


def test_a_view_whose_column_was_renamed_stops_that_table_only(
    tmp_path: Path,
    postgres: tuple[sa.Engine, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    engine, schema = postgres
    _make_views(engine, schema, 3)
    with engine.begin() as connection:
        connection.execute(sa.text(f'ALTER VIEW {schema}.payment RENAME COLUMN "支付金额(元)" TO "支付金额(万元)"'))
    _views(tmp_path, schema)

    assert smoke.run(["fetch", "S07", "--home", str(tmp_path)]) == 0
    capsys.readouterr()
    code = smoke.run(["ingest", "S07", "--home", str(tmp_path), "--format", "json"])

    said = json.loads(capsys.readouterr().out)
    assert code == 1
    assert said["feeds"]["payment"]["stopped"] is True
    assert said["feeds"]["payment"]["read"] == 0
    assert said["feeds"]["budget_allocation"]["read"] == 3
    assert "支付金额(万元)" in said["problems"][0]["message"]
    assert [name.split("-")[0] for name in _landed(tmp_path, "S07")] == ["payment"]


def test_a_database_that_does_not_answer_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _views(tmp_path, "x", url="postgresql+psycopg://nobody@127.0.0.1:1/none")

    assert smoke.run(["fetch", "S07", "--home", str(tmp_path)]) == 1
    assert "The database does not answer" in capsys.readouterr().err


def test_connections_that_do_not_fit_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "connections.yaml"
    for text, says in [
        ("S01: {kind: rest}", "says nothing of S07"),
        ("S07: {kind: ftp, url: x, feeds: {}}", "no kind 'ftp'"),
        ("S07: {kind: sql, url: x, feeds: {bid: {resource: v}}}", "no feed 'bid'"),
        ("S07: {kind: sql, url: x, password: y, feeds: {}}", "password"),
        (
            "S07: {kind: sql, url: 'postgresql://{ABSENT_VARIABLE}@h/d', feeds: {payment: {resource: v}}}",
            "ABSENT_VARIABLE",
        ),
        (": :\n  - {", "no YAML"),
    ]:
        file.write_text(text, encoding="utf-8")

        assert smoke.run(["fetch", "S07", "--home", str(tmp_path)]) == 1
        assert says in capsys.readouterr().err


def test_a_cursor_is_kept_whole(tmp_path: Path) -> None:
    cursors = Cursors(tmp_path, "S01")
    moment = dt.datetime(2024, 3, 5, 14, 30, 5, 123456, tzinfo=dt.timezone(dt.timedelta(hours=8)))

    cursors.put("bid", moment)
    cursors.put("lot", 17)

    assert Cursors(tmp_path, "S01").get("bid") == moment
    assert Cursors(tmp_path, "S01").get("lot") == 17
    assert [path.name for path in cursors.file.parent.iterdir()] == ["S01.json"]
    assert isinstance(FeedConnection("v").overlap_min, int)
