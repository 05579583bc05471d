"""The lean addresses: scoring, health, readiness, metrics and the API's description; no BentoML here."""

from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.messages import ExplainResponse, ScoreRequest, ScoreResponse, decoded
from serving.problems import MEDIA_TYPE, Problem, ProblemError, encoded, problem
from serving.scoring import Scorer
from serving.settings import Settings

PATHS = ("/", "/v1/score", "/v1/explain", "/healthz", "/readyz", "/metrics", "/docs.json")
"""Addresses answered here; ``/`` leads to the description, for BentoML's own page calls on servers of others."""
_KIND_OF = {404: "not-found", 405: "method-not-allowed"}


class Front:
    """ASGI: answers the lean addresses itself and passes everything else on."""

    def __init__(self, app: ASGIApp, *, lean: Callable[[], ASGIApp]) -> None:
        """Take the application behind, and what makes the lean one."""
        self._behind = app
        self._lean = lean()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route one request."""
        own = scope["type"] == "http" and (scope["path"] in PATHS or scope["path"].startswith("/v1/"))
        await (self._lean if own else self._behind)(scope, receive, send)


class _Api:
    """The handlers, with what they count."""

    def __init__(self, scorer: Scorer, settings: Settings) -> None:
        self._scorer = scorer
        self._settings = settings
        self._registry = CollectorRegistry()
        labels = ["path", "status"]
        self._requests = Counter("smoke_requests", "Requests answered.", labels, registry=self._registry)
        self._seconds = Histogram("smoke_request_seconds", "Seconds to answer.", ["path"], registry=self._registry)

    async def answer(
        self, work: Callable[[ScoreRequest], ScoreResponse | ExplainResponse], path: str, request: Request
    ) -> Response:
        start = perf_counter()
        response = await self._answered(work, request)
        self._requests.labels(path, str(response.status_code)).inc()
        self._seconds.labels(path).observe(perf_counter() - start)
        return response

    async def _answered(
        self, work: Callable[[ScoreRequest], ScoreResponse | ExplainResponse], request: Request
    ) -> Response:
        try:
            _check_media_type(request)
            body = await _body(request, self._settings.max_body_bytes)
            result = await run_in_threadpool(lambda: work(decoded(body)))
        except ProblemError as error:
            return _problem_response(error.problem)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody is there to read it
        return Response(msgspec.json.encode(result), media_type="application/json")

    async def root(self, request: Request) -> Response:
        return RedirectResponse("/docs.json")

    async def healthz(self, request: Request) -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def readyz(self, request: Request) -> Response:
        try:
            await run_in_threadpool(self._scorer.check_ready)
        except ProblemError as error:
            return _problem_response(error.problem)
        return Response(b'{"status":"ready"}', media_type="application/json")

    async def metrics(self, request: Request) -> Response:
        return Response(generate_latest(self._registry), headers={"content-type": CONTENT_TYPE_LATEST})

    async def docs(self, request: Request) -> Response:
        return Response(msgspec.json.encode(openapi()), media_type="application/json")


def application(scorer: Scorer, settings: Settings) -> Starlette:
    """Return the ASGI application of the lean addresses."""
    api = _Api(scorer, settings)
    answers = {"/v1/score": scorer.score, "/v1/explain": scorer.explain}
    posts = [Route(path, partial(api.answer, work, path), methods=["POST"]) for path, work in answers.items()]
    gets = {
        "/": api.root,
        "/healthz": api.healthz,
        "/readyz": api.readyz,
        "/metrics": api.metrics,
        "/docs.json": api.docs,
    }
    handlers: dict[Any, Callable[[Request, Any], Awaitable[Response]]] = {HTTPException: _refused, Exception: _broken}
    app = Starlette(routes=[*posts, *[Route(path, get) for path, get in gets.items()]], exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


def openapi() -> dict[str, Any]:
    """Return the OpenAPI 3.1 description, made from the message types."""
    types = [ScoreRequest, ScoreResponse, ExplainResponse, Problem]
    schemas, parts = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    request, score, explain, refused = schemas

    def post(summary: str, answer: dict[str, Any]) -> dict[str, Any]:
        failures = {
            status: {"description": text, "content": {MEDIA_TYPE: {"schema": refused}}}
            for status, text in {
                "400": "请求有误",
                "404": "未找到评分对象",
                "413": "请求内容过大",
                "415": "请求内容类型不受支持",
                "503": "服务尚未就绪",
            }.items()
        }
        success = {"200": {"description": "评分结果", "content": {"application/json": {"schema": answer}}}}
        body = {"required": True, "content": {"application/json": {"schema": request}}}
        return {"post": {"summary": summary, "requestBody": body, "responses": success | failures}}

    def get(summary: str) -> dict[str, Any]:
        return {"get": {"summary": summary, "responses": {"200": {"description": "正常"}}}}

    unready = {"503": {"description": "服务尚未就绪", "content": {MEDIA_TYPE: {"schema": refused}}}}
    readyz = get("就绪检查")
    readyz["get"]["responses"] |= unready
    return {
        "openapi": "3.1.0",
        "info": {"title": "冒烟指数 smoke-index", "version": "1"},
        "paths": {
            "/v1/score": post("计算冒烟指数", score),
            "/v1/explain": post("解释冒烟指数", explain),
            "/healthz": get("存活检查"),
            "/readyz": readyz,
            "/metrics": get("运行指标（Prometheus）"),
            "/docs.json": get("接口描述"),
        },
        "components": {"schemas": parts},
    }


def _check_media_type(request: Request) -> None:
    given = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if given != "application/json":
        raise problem(
            "unsupported-media-type",
            field="Content-Type",
            detail=f"请求内容类型为 {given[:80]}。",
            detail_en=f"The content type is {given[:80]}.",
            mend="请使用 application/json。",
            mend_en="use application/json.",
        )


async def _body(request: Request, most: int) -> bytes:
    """Read a body, giving up as soon as it is too large, whatever its header says."""
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > most:
            raise problem(
                "too-large",
                detail=f"请求内容超过 {most} 字节。",
                detail_en=f"The body is larger than {most} bytes.",
                mend="请分批发送。",
                mend_en="split the request.",
            )
    return bytes(parts)


def _problem_response(one: Problem, headers: dict[str, str] | None = None) -> Response:
    return Response(encoded(one), status_code=one.status, media_type=MEDIA_TYPE, headers=headers)


async def _refused(request: Request, error: HTTPException) -> Response:
    kind = _KIND_OF.get(error.status_code, "not-found")
    made = problem(
        kind,
        detail=f"{request.method} {request.url.path[:200]}",
        detail_en=error.detail,
        mend="请查看接口文档 /docs.json。",
        mend_en="see /docs.json.",
    )
    return _problem_response(made.problem, dict(error.headers or {}))


async def _broken(request: Request, error: Exception) -> Response:
    made = problem(
        "internal",
        detail="服务内部错误，详情见服务日志。",
        detail_en="Internal error; the service's log has the details.",
    )
    return _problem_response(made.problem)
