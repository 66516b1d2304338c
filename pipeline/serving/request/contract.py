"""What the interface promises, as OpenAPI says it; a test holds every answer against it."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import PlainTextResponse

from pipeline.modality.types.items import Input
from pipeline.serving.replicas.words import fill, words_of
from pipeline.serving.request.schemas import REF, schemas

VERSION = "1"
"""Of the interface; models have versions of their own."""


def _server_version() -> str:
    try:
        return version("rootstock")
    except PackageNotFoundError:  # run from a clone that is not installed
        return "unknown"


SERVER = _server_version()
"""Of this program."""

ABOUT = (
    "Predictions of a registered model. Every answer names the model and the version that gave it, "
    "in its fields `model` and `version` and in the headers `X-Model` and `X-Model-Version`. "
    "Refusals have a field `error` of the form `code: reason`. `/invocations`, `/v1` and `/v2` "
    "answer as MLflow, TensorFlow Serving and KServe do, with the names in the headers alone."
)
_JSON = "application/json"


def _response(name: str, description: str) -> dict[str, Any]:
    return {"description": description, "content": {_JSON: {"schema": {"$ref": REF + name}}}}


def _refusals(*statuses: int, form: str = "Refusal") -> dict[int | str, dict[str, Any]]:
    return {status: _response(form, _REASONS[status]) for status in statuses}


_REASONS = {
    400: "The body is not what its headers say, or the client left.",
    401: "The server asks for a token.",
    404: "There is no such model or version, or it has no explanations.",
    408: "The body did not arrive in time.",
    413: "Too many bytes, as sent or unpacked, or too many <many>.",
    415: "The media type or coding is not read here; `error` says which are.",
    422: "The <one> cannot be used, or the body has another form; `error` says why.",
    429: "Too many <many> wait, or too long; Retry-After says when to come again.",
    503: "No model is loaded yet, or the server failed; with an `id`, its log says more.",
    504: "No answer in time.",
}
_FILE = {"schema": {"type": "string", "format": "binary"}}


def _body(description: str, **kinds: str) -> dict[str, Any]:
    """Return what may be sent: items as they are, and by their media types other forms."""
    content = {kind: {"schema": {"$ref": REF + name}} for kind, name in kinds.items()}
    return {"requestBody": {"required": True, "description": description, "content": content}}


_ITEMS = _body(
    "One <one> as its file has it, a form with one file or several, or JSON. The bytes tell where "
    "there is no type, or another one. `Content-Encoding` may be gzip or deflate.",
    **{"multipart/form-data": "Form", _JSON: "<Key>"},
)
_ITEMS["requestBody"]["content"] |= {"<media>/*": _FILE, "application/octet-stream": _FILE}
_ANSWER = {"anyOf": [{"$ref": REF + "Prediction"}, {"$ref": REF + "Predictions"}]}
_FAILURES = (400, 401, 408, 413, 415, 422, 429, 503, 504)

PREDICT: dict[str, Any] = {
    "summary": "Predict one <one>, or several.",
    "description": "One <one> gives one row. A list, and a form with several files, give "
    "`predictions`, where a <one> that cannot be used has a row that says so; sent alone, it is "
    "status 422.",
    "openapi_extra": _ITEMS,
    "responses": {
        200: {"description": "Predictions.", "content": {_JSON: {"schema": _ANSWER}}},
        **_refusals(*_FAILURES),
    },
}
EXPLAIN: dict[str, Any] = {
    "summary": "<asked>",
    "openapi_extra": _ITEMS,
    "responses": {200: _response("Explanation", "<given>"), **_refusals(404, *_FAILURES)},
}
INVOCATIONS: dict[str, Any] = {
    "summary": "Predict as MLflow's and SageMaker's servers do.",
    "description": "Takes what `/predict` takes, and `text/csv` with a column `<column>`. The "
    "answer is always a list.",
    "openapi_extra": _ITEMS,
    "responses": {
        200: _response("Rows", "Predictions."),
        **_refusals(*_FAILURES, form="MlflowRefusal"),
    },
}
V1_PREDICT: dict[str, Any] = {
    "summary": "Predict as TensorFlow Serving and KServe's first protocol do.",
    "openapi_extra": _ITEMS,
    "responses": {
        200: _response("Rows", "Predictions."),
        **_refusals(404, *_FAILURES, form="ProtocolRefusal"),
    },
}
V2_INFER: dict[str, Any] = {
    "summary": "Predict by the Open Inference Protocol.",
    "description": "<Many> are elements of a tensor of type BYTES. A <one> that cannot be used "
    "refuses the request: no tensor can say which one it was.",
    "openapi_extra": _body("An inference request.", **{_JSON: "Infer"}),
    "responses": {
        200: _response("Inferred", "A tensor for each column."),
        **_refusals(404, *_FAILURES, form="ProtocolRefusal"),
    },
}
V2_MODEL: dict[str, Any] = {
    "summary": "The model's tensors.",
    "responses": {
        200: _response("Metadata", "They are."),
        **_refusals(401, 404, 503, form="ProtocolRefusal"),
    },
}
V2_SERVER: dict[str, Any] = {
    "summary": "What the server is.",
    "responses": {200: _response("Server", "This.")},
}
V2_LIVE: dict[str, Any] = {
    "summary": "Whether the server lives, by the Open Inference Protocol.",
    "responses": {200: _response("Live", "It does.")},
}
V2_READY: dict[str, Any] = {
    "summary": "Whether a <one> would be predicted now, by the Open Inference Protocol.",
    "responses": {200: _response("Live", "It would."), 503: _response("Live", "Not yet.")},
}
V2_MODEL_READY: dict[str, Any] = {
    "summary": "Whether a model would predict now.",
    "responses": {
        200: _response("ModelReady", "It would."),
        **_refusals(404, form="ProtocolRefusal"),
        503: {
            "description": "Not yet.",
            "content": {
                _JSON: {
                    "schema": {
                        "anyOf": [{"$ref": REF + "ModelReady"}, {"$ref": REF + "ProtocolRefusal"}]
                    }
                }
            },
        },
    },
}
METRICS: dict[str, Any] = {
    "summary": "What the server has done, counted, for Prometheus.",
    "response_class": PlainTextResponse,
    "responses": {
        200: {
            "description": "Prometheus' text format 0.0.4.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **_refusals(401),
    },
}
SHOW_VERSION: dict[str, Any] = {
    "summary": "Versions of the server, of its interface and of the model.",
    "responses": {200: _response("Version", "They are.")},
}
HEALTH: dict[str, Any] = {
    "summary": "Whether the server lives.",
    "responses": {200: _response("Alive", "It does.")},
}
READY: dict[str, Any] = {
    "summary": "Whether a <one> would be predicted now.",
    "responses": {
        200: _response("Status", "It would."),
        503: _response("Status", "A model is being loaded."),
    },
}
MODEL: dict[str, Any] = {
    "summary": "What is served, and how busy it is.",
    "responses": {200: _response("Model", "The version."), **_refusals(401, 503)},
}


_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_TOKENS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def describe(app: FastAPI, item: Input, *, has_tokens: bool) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        app: The application.
        item: How items are handed over.
        has_tokens: Whether requests must have a token; those to paths that may answer 401.
    """
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    document["components"] = {"schemas": schemas(item)}
    if has_tokens:
        document["components"]["securitySchemes"] = _TOKENS
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if "{name}" in path:
                operation["parameters"] = [_NAME]
            if has_tokens and "401" in operation["responses"]:
                operation["security"] = [{name: []} for name in _TOKENS]
            for response in operation["responses"].values():
                response["headers"] = {
                    name: {"schema": {"type": "string"}} for name in ("X-Model", "X-Model-Version")
                }
    return fill(document, words_of(item))
