"""The paths and answers of other servers, so that their clients can ask this one.

`/invocations` and `/ping` are MLflow's and SageMaker's, `/v1` is TensorFlow Serving's and KServe's,
and `/v2` is the Open Inference Protocol. Each answers in its own form, refusals too.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from pipeline.serving.replicas.http_errors import Refusal
from pipeline.serving.replicas.replica import Identity, Replica
from pipeline.serving.replicas.service import Service
from pipeline.serving.request import contract
from pipeline.serving.request.disclosure import Disclosure
from pipeline.serving.request.handler import Handler
from pipeline.serving.request.infer import (
    HEADER_LENGTH,
    Infer,
    describe_model,
    read_infer,
    write_infer,
)
from pipeline.serving.request.shapes import Shapes

MLFLOW = "/invocations"
_OTHERS = ("/v1/", "/v2/")
_ERROR_CODES = {
    401: "UNAUTHENTICATED",
    404: "ENDPOINT_NOT_FOUND",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""MLflow's names; the rest is BAD_REQUEST."""


def refusal_in_form(path: str, status: int, error: str) -> dict[str, Any] | None:
    """Return a refusal as a protocol writes it; None where the path is our own."""
    if path == MLFLOW:
        return {"error_code": _ERROR_CODES.get(status, "BAD_REQUEST"), "message": error}
    return {"error": error} if f"{path}/".startswith(_OTHERS) else None


def add_predictions(router: APIRouter, service: Service, handler: Handler) -> None:
    """Add the paths that predict."""

    async def predictions(request: Request) -> Response:
        replica, rows, _ = await handler.answer(request)
        return JSONResponse({"predictions": rows}, headers=named(replica.identity))

    router.post(MLFLOW, **contract.INVOCATIONS)(predictions)

    @router.post("/v1/models/{name}:predict", **contract.V1_PREDICT)
    @router.post("/v1/models/{name}/versions/{version}:predict", include_in_schema=False)
    async def v1(request: Request) -> Response:
        _find(service, request)
        return await predictions(request)

    @router.post("/v2/models/{name}/infer", **contract.V2_INFER)
    @router.post("/v2/models/{name}/versions/{version}/infer", include_in_schema=False)
    async def v2(request: Request) -> Response:
        async def read(body: bytes, shapes: Shapes) -> Infer:
            return read_infer(body, request.headers.get(HEADER_LENGTH, ""), shapes)

        _find(service, request)
        replica, rows, infer = await handler.answer_as(request, read)
        columns = handler.disclosure.columns(replica.columns)
        content = write_infer(replica, rows, infer, columns)
        return JSONResponse(content, headers=named(replica.identity))


def add_models(router: APIRouter, service: Service, disclosure: Disclosure) -> None:
    """Add the paths that describe the model."""

    @router.get("/v1/models", include_in_schema=False)
    async def models() -> Response:
        return JSONResponse({"models": [service.replica.identity.model]})

    @router.get("/v1/models/{name}", include_in_schema=False)
    @router.get("/v1/models/{name}/versions/{version}", include_in_schema=False)
    async def v1_model(request: Request) -> Response:
        replica = _find(service, request)
        state = {
            "version": replica.identity.version,
            "state": "AVAILABLE" if replica.is_answering else "LOADING",
            "status": {"error_code": "OK", "error_message": ""},
        }
        ready = {"name": replica.identity.model, "ready": replica.is_answering}
        content = {**ready, "model_version_status": [state]}
        return JSONResponse(content, _status(replica.is_answering))

    @router.get("/v2/models/{name}", **contract.V2_MODEL)
    @router.get("/v2/models/{name}/versions/{version}", include_in_schema=False)
    async def v2_model(request: Request) -> Response:
        replica = _find(service, request)
        return JSONResponse(describe_model(replica, disclosure.columns(replica.columns)))


def add_states(router: APIRouter, service: Service) -> None:
    """Add the paths that tell whether the server lives and is ready, which are open to all."""

    @router.get("/v2", **contract.V2_SERVER)
    async def server() -> Response:
        content = {"name": "rootstock", "version": contract.SERVER, "extensions": []}
        return JSONResponse(content)

    @router.get("/v2/health/live", **contract.V2_LIVE)
    async def live() -> Response:
        return JSONResponse({"live": True})

    @router.get("/v2/health/ready", **contract.V2_READY)
    async def ready() -> Response:
        is_ready = service.status()["status"] == "ready"
        return JSONResponse({"live": is_ready, "ready": is_ready}, _status(is_ready))

    @router.get("/v2/models/{name}/ready", **contract.V2_MODEL_READY)
    @router.get("/v2/models/{name}/versions/{version}/ready", include_in_schema=False)
    async def model_ready(request: Request) -> Response:
        replica = _find(service, request)
        content = {"name": replica.identity.model, "ready": replica.is_answering}
        return JSONResponse(content, _status(replica.is_answering))


def named(identity: Identity | None) -> Mapping[str, str]:
    """Return the headers that name what answered."""
    return identity.headers if identity else {}


def _find(service: Service, request: Request) -> Replica:
    """Return what serves the model that a path names.

    Raises:
        Refusal: It is another one, or none is loaded yet.
    """
    replica = service.replica
    name, version = request.path_params["name"], request.path_params.get("version")
    if name != replica.identity.model:
        raise Refusal(
            HTTPStatus.NOT_FOUND,
            "no_model",
            f"there is no model {name[:80]!r}, but {replica.identity.model!r}",
        )
    if version not in (None, replica.identity.version):
        raise Refusal(
            HTTPStatus.NOT_FOUND,
            "no_version",
            f"version {version[:80]!r} is not served, but {replica.identity.version!r}",
        )
    return replica


def _status(is_ready: bool) -> HTTPStatus:
    return HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
