"""The HTTP interface: what may be asked, and in what form it is answered."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pipeline.serving import contract
from pipeline.serving.body import JSON, Held, media_type, read_body, unpack
from pipeline.serving.guard import Guard
from pipeline.serving.lane import Identity, Lane
from pipeline.serving.limits import Limits
from pipeline.serving.pages import docs_page, predict_page
from pipeline.serving.refusals import Refusal, too_late
from pipeline.serving.service import Service
from pipeline.serving.waiting import Job, Row


def make_app(service: Service, limits: Limits) -> FastAPI:
    """Give the application."""
    app = FastAPI(title="rootstock serve", version=contract.VERSION, docs_url=None, redoc_url=None,
                  openapi_url=None, description=contract.ABOUT)  # fmt: skip
    held = Held(limits.max_bytes_held)
    _add_predictions(app, service, limits, held)
    _add_status(app, service, limits)
    _add_pages(app)
    _add_refusals(app, service)
    # Within Starlette's own catcher of errors, which would answer 500 before it is asked.
    app.add_middleware(Guard, named=lambda: _named(service.identity))
    return app


def _add_predictions(app: FastAPI, service: Service, limits: Limits, held: Held) -> None:
    async def answer(
        request: Request, kind: Literal["predict", "explain"]
    ) -> tuple[Lane, list[Row], bool]:
        ends = asyncio.get_running_loop().time() + limits.timeout_s
        is_list = media_type(request) == JSON
        async with read_body(request, limits, held) as body:
            files = await unpack(body, limits) if is_list else [body]
            if kind == "explain" and len(files) > 1:
                raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "too_many_pictures",
                              "one picture is explained at a time")  # fmt: skip
            lane = service.lane  # of now: until here another version may have come
            if kind == "explain" and not lane.facts.get("explains"):
                raise Refusal(HTTPStatus.NOT_FOUND, "no_explanation",
                              "this version cannot explain itself")  # fmt: skip
            rows = await _wait(request, lane.submit(files, kind), ends, limits.timeout_s)
        return lane, rows, is_list

    @app.post("/predict", **contract.PREDICT)
    async def predict(request: Request) -> Response:
        lane, rows, is_list = await answer(request, "predict")
        return _list(lane, rows) if is_list else _single(lane, rows[0])

    @app.post("/explain", **contract.EXPLAIN)
    async def explain(request: Request) -> Response:
        lane, rows, _ = await answer(request, "explain")
        return _single(lane, rows[0])


async def _wait(request: Request, jobs: list[Job], ends: float, timeout_s: float) -> list[Row]:
    """Wait for answers, while the client is there and there is time; give the jobs up else."""
    answers: asyncio.Future[list[Row]] = asyncio.gather(*(job.answer for job in jobs))
    answers.add_done_callback(_look_at)
    gone = asyncio.ensure_future(_disconnect(request))
    try:
        left = max(0.0, ends - asyncio.get_running_loop().time())
        either: set[asyncio.Future[Any]] = {answers, gone}
        await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if answers.done():
            return answers.result()
        if gone.done():
            raise ClientDisconnect
        raise too_late(timeout_s)
    finally:
        gone.cancel()
        answers.cancel()


def _look_at(answers: "asyncio.Future[list[Row]]") -> None:
    """Take note of an error that nobody waits for any more, lest asyncio complains."""
    if not answers.cancelled():
        answers.exception()


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _single(lane: Lane, row: Row) -> Response:
    content = {**row, **_fields(lane.identity)}
    status = HTTPStatus.OK if row.get("error") is None else HTTPStatus.UNPROCESSABLE_ENTITY
    if status != HTTPStatus.OK:
        content = {"error": row["error"], **_fields(lane.identity)}
    return JSONResponse(content, status, headers=_named(lane.identity))


def _list(lane: Lane, rows: list[Row]) -> Response:
    content = {"predictions": rows, **_fields(lane.identity)}
    return JSONResponse(content, headers=_named(lane.identity))


def _add_status(app: FastAPI, service: Service, limits: Limits) -> None:
    @app.get("/health", **contract.HEALTH)
    async def health() -> Response:
        return JSONResponse({"status": "alive"})

    @app.get("/ready", **contract.READY)
    async def ready() -> Response:
        status = service.status()
        is_ready = status["status"] == "ready"
        return JSONResponse(status, HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE)

    @app.get("/model", **contract.MODEL)
    async def model() -> Response:
        lane = service.lane
        facts = {name: lane.facts.get(name) for name in contract.FACTS}
        more = {"waiting": lane.waiting, "pictures_per_second": lane.speed,
                "restarts": lane.restarts, "swaps": service.swaps}  # fmt: skip
        return JSONResponse({**service.status(), **facts, **more, "limits": contract.told(limits)})


def _add_pages(app: FastAPI) -> None:
    def document() -> dict[str, Any]:
        return contract.describe(app)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return JSONResponse(document())

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return docs_page(document(), str(request.base_url).rstrip("/"))

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return predict_page()


def _add_refusals(app: FastAPI, service: Service) -> None:
    def refuse(status: int, error: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
        return JSONResponse({"error": error, **_fields(service.identity)}, status,
                            headers=dict(headers or {}))  # fmt: skip

    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> Response:
        later = error.retry_after_s
        return refuse(error.status, str(error), {"retry-after": str(later)} if later else None)

    @app.exception_handler(HTTPException)
    async def unknown(_: Request, error: HTTPException) -> Response:
        code = HTTPStatus(error.status_code).name.lower()
        return refuse(error.status_code, f"{code}: see /docs", error.headers)

    @app.exception_handler(ClientDisconnect)
    async def left(_: Request, error: ClientDisconnect) -> Response:
        del error
        return refuse(HTTPStatus.BAD_REQUEST, "client_left: nobody waits for the answer")


def _fields(identity: Identity | None) -> dict[str, str | None]:
    return {"model": identity.model if identity else None,
            "version": identity.version if identity else None}  # fmt: skip


def _named(identity: Identity | None) -> dict[str, str]:
    if identity is None:
        return {}
    return {"x-model": quote(identity.model), "x-model-version": quote(identity.version)}
