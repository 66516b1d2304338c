"""The HTTP interface: what may be asked, and in what form it is answered."""

import time
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from pipeline.serving.access import Access
from pipeline.serving.middleware import Guard
from pipeline.serving.pages import docs_page, predict_page
from pipeline.serving.replicas.batch_queue import Row
from pipeline.serving.replicas.http_errors import Refusal
from pipeline.serving.replicas.limits import Limits
from pipeline.serving.replicas.metrics import CONTENT_TYPE, Metrics
from pipeline.serving.replicas.replica import Identity, Replica
from pipeline.serving.replicas.service import Service
from pipeline.serving.replicas.words import words_of
from pipeline.serving.request import contract
from pipeline.serving.request.disclosure import Disclosure
from pipeline.serving.request.handler import Handler
from pipeline.serving.request.protocols import (
    add_models,
    add_predictions,
    add_states,
    named,
    refusal_in_form,
)
from pipeline.serving.request.rates import Rates
from pipeline.serving.request.schemas import facts_of

EVERYTHING = Disclosure()

_ALIVE = ("/healthz", "/livez")
_READY = ("/ready", "/readyz", "/ping")
"""What Kubernetes, SageMaker and MLflow call the same."""


def make_app(
    service: Service,
    limits: Limits,
    access: Access,
    metrics: Metrics,
    disclosure: Disclosure = EVERYTHING,
) -> FastAPI:
    """Return the application.

    Args:
        service: What is served.
        limits: Of requests.
        access: Who may ask.
        metrics: Counts requests; the service counts its batches there too.
        disclosure: What goes out of answers.
    """
    app = FastAPI(
        title="rootstock serve",
        version=contract.VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        description=contract.ABOUT,
    )
    rates = Rates(limits.per_minute, time.monotonic, by_token=bool(access.tokens))
    handler = Handler(service, limits, metrics, disclosure, rates)
    check = [Depends(access.check)] if access.tokens else []
    closed, opened = APIRouter(dependencies=check), APIRouter()
    _add_predictions(closed, handler)
    add_predictions(closed, service, handler)
    add_models(closed, service, disclosure)
    _add_model(closed, service, limits, metrics, disclosure)
    add_states(opened, service)
    _add_status(opened, service)
    app.include_router(closed)
    app.include_router(opened)
    _add_pages(app, service, access)
    _add_refusals(app, service, metrics)
    # Within Starlette's own catcher of errors, which would answer 500 before it is asked.
    app.add_middleware(Guard, named=lambda: named(service.identity), metrics=metrics)
    if access.origins:  # around all: a page must be let read refusals too
        app.add_middleware(
            CORSMiddleware,
            allow_origins=access.origins,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=("*",),
            expose_headers=("X-Model", "X-Model-Version", "Retry-After", "WWW-Authenticate"),
        )
    return app


def _add_predictions(router: APIRouter, handler: Handler) -> None:
    @router.post("/predict", **contract.PREDICT)
    async def predict(request: Request) -> Response:
        replica, rows, parsed = await handler.answer(request)
        return _list(replica, rows) if parsed.is_list else _single(replica, rows[0])

    @router.post("/explain", **contract.EXPLAIN)
    async def explain(request: Request) -> Response:
        replica, rows, _ = await handler.answer(request, "explain")
        return _single(replica, rows[0])


def _single(replica: Replica, row: Row) -> Response:
    content = {**row, **_fields(replica.identity)}
    status = HTTPStatus.OK if row.get("error") is None else HTTPStatus.UNPROCESSABLE_ENTITY
    if status != HTTPStatus.OK:
        content = {"error": row["error"], **_fields(replica.identity)}
    return JSONResponse(content, status, headers=named(replica.identity))


def _list(replica: Replica, rows: list[Row]) -> Response:
    content = {"predictions": rows, **_fields(replica.identity)}
    return JSONResponse(content, headers=named(replica.identity))


def _add_status(router: APIRouter, service: Service) -> None:
    async def health() -> Response:
        return JSONResponse({"status": "alive"})

    async def ready() -> Response:
        status = service.status()
        is_ready = status["status"] == "ready"
        return JSONResponse(status, HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE)

    router.get("/health", **contract.HEALTH)(health)
    for path in _ALIVE:
        router.get(path, include_in_schema=False)(health)
    router.get(_READY[0], **contract.READY)(ready)
    for path in _READY[1:]:
        router.get(path, include_in_schema=False)(ready)

    @router.get("/version", **contract.SHOW_VERSION)
    async def version() -> Response:
        versions = {"server": contract.SERVER, "interface": contract.VERSION}
        return JSONResponse({**versions, **_fields(service.identity)})


def _add_model(
    router: APIRouter, service: Service, limits: Limits, metrics: Metrics, disclosure: Disclosure
) -> None:
    @router.get("/model", **contract.MODEL)
    async def model() -> Response:
        replica = service.replica
        facts = {name: replica.facts.get(name) for name in facts_of(replica.input)}
        facts["explains"] = bool(facts["explains"]) and disclosure.explains
        more = {
            "waiting": replica.waiting,
            f"{replica.input.many}_per_second": replica.speed,
            "restarts": replica.restarts,
            "swaps": service.swaps,
        }
        return JSONResponse(
            {**service.status(), **facts, **more, "limits": limits.told(replica.input)}
        )

    @router.get("/metrics", **contract.METRICS)
    async def show_metrics() -> Response:
        status = service.status()
        is_loaded = status["model"] is not None
        now = {
            "rootstock_ready": (
                "gauge",
                "1 where a <one> would be predicted now.",
                status["status"] == "ready",
            ),
            "rootstock_queue_<many>": (
                "gauge",
                "<Many> that wait.",
                service.replica.waiting if is_loaded else 0,
            ),
            "rootstock_queue_limit": ("gauge", "<Many> that may wait.", limits.queue),
            "rootstock_restarts_total": (
                "counter",
                "New starts of the process that predicts.",
                service.restarts,
            ),
            "rootstock_swaps_total": (
                "counter",
                "Versions that followed the first one.",
                service.swaps,
            ),
        }
        info = {key: status[key] for key in ("model", "version")} if is_loaded else {}
        return Response(
            metrics.write(now, info, words_of(service.input)),
            headers={"content-type": CONTENT_TYPE},
        )


def _add_pages(app: FastAPI, service: Service, access: Access) -> None:
    def document() -> dict[str, Any]:
        return contract.describe(app, service.input, has_tokens=bool(access.tokens))

    def model_name() -> str:
        return service.identity.model if service.identity else "NAME"

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return JSONResponse(document())

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        base = str(request.base_url).rstrip("/")
        names = {"base": base, "model": quote(model_name())}
        return docs_page(document(), names, words_of(service.input))

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        template = service.input.page
        return predict_page(template) if template else RedirectResponse("docs")


def _add_refusals(app: FastAPI, service: Service, metrics: Metrics) -> None:
    def refuse(request: Request, status: int, error: str, **headers: str) -> JSONResponse:
        metrics.refuse(error.partition(": ")[0])
        content = refusal_in_form(request.url.path, status, error)
        content = content or {"error": error, **_fields(service.identity)}
        return JSONResponse(content, status, headers=headers)

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> Response:
        return refuse(request, error.status, str(error), **error.headers)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers = {"allow": ", ".join(_methods(app, request))}
            if request.method == "OPTIONS":
                return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
        code = HTTPStatus(error.status_code).name.lower()
        known = f"this path takes {headers['allow']}; " if "allow" in headers else ""
        return refuse(request, error.status_code, f"{code}: {known}see /docs", **headers)

    @app.exception_handler(ClientDisconnect)
    async def left(request: Request, error: ClientDisconnect) -> Response:
        del error
        return refuse(request, HTTPStatus.BAD_REQUEST, "client_left: nobody waits for the answer")


def _methods(app: FastAPI, request: Request) -> list[str]:
    """Return what may be asked of a path."""
    found = {"OPTIONS"}
    for method in ("GET", "POST"):
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in app.router.routes):
            found |= {"GET", "HEAD"} if method == "GET" else {method}
    return sorted(found)


def _fields(identity: Identity | None) -> dict[str, str | None]:
    return {
        "model": identity.model if identity else None,
        "version": identity.version if identity else None,
    }
