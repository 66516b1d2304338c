"""What the interface promises, as OpenAPI says it; a test holds every answer against it."""

from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import PlainTextResponse

from pipeline.serving.replicas.limits import Limits
from pipeline.serving.request.shapes import HOLDERS

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
FACTS = (
    "task",
    "classes",
    "target",
    "size_px",
    "architecture",
    "batch_size",
    "bytes",
    "metrics",
    "fingerprint",
    "explains",
)
"""What `/model` tells of a version, where the version says it."""

_JSON = "application/json"
_REF = "#/components/schemas/"


def _text(description: str, *, is_null: bool = False) -> dict[str, Any]:
    return {"type": ["string", "null"] if is_null else "string", "description": description}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


def _only(**properties: Any) -> dict[str, Any]:
    return {**_object([*properties], **properties, **_IDLE), "additionalProperties": False}


_IDLE = {
    "params": {"type": ["object", "null"], "maxProperties": 0},
    "parameters": {"type": ["object", "null"], "maxProperties": 0},
    "signature_name": {"const": "serving_default"},
}
_CELL = {"$ref": _REF + "Cell"}
_CELLS = {"type": "array", "minItems": 1, "items": _CELL}
_LIST = {"type": "array"}
_NUMBER = {"type": ["number", "null"]}
_NAMES = {
    "model": _text("Name of the registered model.", is_null=True),
    "version": _text("Version that answered; null while the first one is loaded.", is_null=True),
}
_ROW = _object(
    ["error"],
    label=_text("Classification: the most probable class.", is_null=True),
    confidence={**_NUMBER, "description": "Classification: probability of `label`."},
    value={**_NUMBER, "description": "Regression: the value, in the unit of the target."},
    error=_text("Null; or `code: reason`, and everything else is null.", is_null=True),
    notes={
        "type": "array",
        "items": {"type": "string"},
        "description": "What was noted of the picture, each as `code: meaning`.",
    },
)
_ROW["patternProperties"] = {"^p_": {**_NUMBER, "description": "Probability of a class."}}

SCHEMAS: dict[str, Any] = {
    "Row": _ROW,
    "Prediction": {"allOf": [{"$ref": _REF + "Row"}, _object(["model", "version"], **_NAMES)]},
    "Predictions": _object(
        ["predictions", "model", "version"],
        predictions={
            "type": "array",
            "items": {"$ref": _REF + "Row"},
            "description": "One for each picture, in their order.",
        },
        **_NAMES,
    ),
    "Explanation": {
        "allOf": [
            {"$ref": _REF + "Prediction"},
            _object(
                ["heatmap_png", "seen_jpeg", "resize", "method"],
                heatmap_png=_text("RGBA, in base64: lies over the square that the model sees."),
                seen_jpeg=_text("That square, in base64."),
                resize={
                    "enum": ["squash", "crop", "pad"],
                    "description": "How the picture became that square.",
                },
                method=_text("How it was found, such as Grad-CAM."),
            ),
        ]
    },
    "Text": {
        "type": "string",
        "description": "An encoded picture in base64, with or without line ends and padding, of "
        "either alphabet, or as a `data:` URL. Addresses are not fetched.",
    },
    "Cell": {
        "anyOf": [
            {"$ref": _REF + "Text"},
            {
                "type": "object",
                "minProperties": 1,
                "description": 'An object that holds the text, such as `{"b64": ...}`.',
            },
        ]
    },
    "Images": {
        "anyOf": [
            _only(images=_CELLS),
            _only(image=_CELL),
            _only(instances=_CELLS),
            _only(inputs={"anyOf": [_CELLS, _CELL]}),
            _only(dataframe_records=_CELLS),
            _only(dataframe_split=_object(["data"], columns=_LIST, index=_LIST, data=_LIST)),
            {"$ref": _REF + "Text"},
            _CELLS,
            {"$ref": _REF + "Holder"},
        ]
    },
    "Holder": {
        "type": "object",
        "description": "An object that holds one picture, beside other keys.",
        "anyOf": [{"required": [key]} for key in HOLDERS if key != "image"],
    },
    "Form": {
        "type": "object",
        "description": "One file or several, in fields of any name; a text field may hold a "
        "`data:` URL.",
        "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
    },
    "Rows": _object(
        ["predictions"],
        predictions={
            "type": "array",
            "items": {"$ref": _REF + "Row"},
            "description": "One for each picture, in their order.",
        },
    ),
    "MlflowRefusal": _object(
        ["error_code", "message"],
        error_code=_text("MLflow's word for the kind of failure."),
        message=_text("`code: reason`"),
    ),
    "ProtocolRefusal": _object(["error"], error=_text("`code: reason`")),
    "Infer": _object(
        ["inputs"],
        id=_text("Is repeated in the answer."),
        inputs={
            "type": "array",
            "items": _object(
                ["name", "shape", "datatype"],
                name=_text("`image`, or any where there is one input."),
                shape=_LIST,
                datatype={"const": "BYTES"},
                data={"type": "array", "description": "Encoded pictures in base64."},
                parameters={"type": "object"},
            ),
        },
        outputs={
            "type": "array",
            "description": "Those that are asked for; left out: all.",
            "items": _object(["name"], name=_text("Of an output.")),
        },
    ),
    "Inferred": _object(
        ["model_name", "model_version", "outputs"],
        model_name=_text("Name of the model."),
        model_version=_text("Version that answered."),
        id=_text("As in the request."),
        outputs={
            "type": "array",
            "items": _object(
                ["name", "shape", "datatype", "data"],
                name=_text("A column of a row."),
                shape=_LIST,
                datatype={"enum": ["BYTES", "FP64"]},
                data={"type": "array"},
            ),
        },
    ),
    "Metadata": _object(
        ["name", "versions", "platform", "inputs", "outputs"],
        name=_text("Of the model."),
        versions=_LIST,
        platform=_text("`rootstock`"),
        inputs=_LIST,
        outputs=_LIST,
    ),
    "Server": _object(
        ["name", "version", "extensions"],
        name={"const": "rootstock"},
        version=_text("Of the server."),
        extensions=_LIST,
    ),
    "Live": _object(["live"], live={"type": "boolean"}, ready={"type": "boolean"}),
    "ModelReady": _object(
        ["name", "ready"], name=_text("Of the model."), ready={"type": "boolean"}
    ),
    "Version": _object(
        ["server", "interface", "model", "version"],
        server=_text("Version of the server's program."),
        interface=_text("Version of these paths and forms."),
        **_NAMES,
    ),
    "Refusal": _object(
        ["error", "model", "version"],
        error=_text("`code: reason`"),
        id=_text("Of the entry in the server's log, where the failure is the server's."),
        **_NAMES,
    ),
    "Status": _object(
        ["status", "model", "version", "pending"],
        status={"enum": ["ready", "loading", "restarting"]},
        pending={
            "type": ["object", "null"],
            "required": ["version", "state"],
            "description": "A version that should be served and is not yet, or cannot be loaded.",
            "properties": {"version": {"type": "string"}, "state": {"type": "string"}},
        },
        **_NAMES,
    ),
    "Model": {
        "allOf": [
            {"$ref": _REF + "Status"},
            _object(
                [*FACTS, "limits", "waiting", "restarts", "swaps"],
                task={"enum": ["classification", "regression"]},
                classes={"type": "array", "items": {"type": "string"}},
                size_px={
                    "type": "integer",
                    "description": "Side of the square that pictures become.",
                },
                bytes={"type": ["integer", "null"], "description": "Of the weights."},
                metrics={
                    "type": ["object", "null"],
                    "additionalProperties": {"type": "number"},
                    "description": "On the test split, where the registry has them.",
                },
                fingerprint={
                    "type": "object",
                    "description": "What decides the bits of predictions here.",
                },
                explains={"type": "boolean", "description": "Whether `/explain` answers."},
                waiting={"type": "integer"},
                pictures_per_second=_NUMBER,
                restarts={"type": "integer", "description": "Of the process that predicts."},
                swaps={"type": "integer", "description": "Versions that followed the first one."},
                limits={"type": "object", "additionalProperties": {"type": "number"}},
            ),
        ]
    },
    "Alive": _object(["status"], status={"const": "alive"}),
}


def _response(name: str, description: str) -> dict[str, Any]:
    return {"description": description, "content": {_JSON: {"schema": {"$ref": _REF + name}}}}


def _refusals(*statuses: int, form: str = "Refusal") -> dict[int | str, dict[str, Any]]:
    return {status: _response(form, _REASONS[status]) for status in statuses}


_REASONS = {
    400: "The body is not what its headers say, or the client left.",
    401: "The server asks for a token.",
    404: "There is no such model or version, or it has no explanations.",
    408: "The body did not arrive in time.",
    413: "Too many bytes, as sent or unpacked, or too many pictures.",
    415: "The media type or coding is not read here; `error` says which are.",
    422: "The picture cannot be used, or the body has another form; `error` says why.",
    429: "Too many pictures wait, or too long; Retry-After says when to come again.",
    503: "No model is loaded yet, or the server failed; with an `id`, its log says more.",
    504: "No answer in time.",
}
_PICTURE = {"schema": {"type": "string", "format": "binary"}}


def _body(description: str, **kinds: str) -> dict[str, Any]:
    """Return what may be sent: pictures as they are, and by their media types other forms."""
    content = {kind: {"schema": {"$ref": _REF + name}} for kind, name in kinds.items()}
    return {"requestBody": {"required": True, "description": description, "content": content}}


_PICTURES = _body(
    "One encoded picture as it is, a form with one file or several, or JSON. The bytes tell where "
    "there is no type, or another one. `Content-Encoding` may be gzip or deflate.",
    **{"multipart/form-data": "Form", _JSON: "Images"},
)
_PICTURES["requestBody"]["content"] |= {"image/*": _PICTURE, "application/octet-stream": _PICTURE}
_ANSWER = {"anyOf": [{"$ref": _REF + "Prediction"}, {"$ref": _REF + "Predictions"}]}
_FAILURES = (400, 401, 408, 413, 415, 422, 429, 503, 504)

PREDICT: dict[str, Any] = {
    "summary": "Predict one picture, or several.",
    "description": "One picture gives one row. A list, and a form with several files, give "
    "`predictions`, where a picture that cannot be used has a row that says so; sent alone, it is "
    "status 422.",
    "openapi_extra": _PICTURES,
    "responses": {
        200: {"description": "Predictions.", "content": {_JSON: {"schema": _ANSWER}}},
        **_refusals(*_FAILURES),
    },
}
EXPLAIN: dict[str, Any] = {
    "summary": "Show where in a picture its class is seen.",
    "openapi_extra": _PICTURES,
    "responses": {
        200: _response("Explanation", "The prediction with its map (Grad-CAM)."),
        **_refusals(404, *_FAILURES),
    },
}
INVOCATIONS: dict[str, Any] = {
    "summary": "Predict as MLflow's and SageMaker's servers do.",
    "description": "Takes what `/predict` takes, and `text/csv` with a column `image`. The answer "
    "is always a list.",
    "openapi_extra": _PICTURES,
    "responses": {
        200: _response("Rows", "Predictions."),
        **_refusals(*_FAILURES, form="MlflowRefusal"),
    },
}
V1_PREDICT: dict[str, Any] = {
    "summary": "Predict as TensorFlow Serving and KServe's first protocol do.",
    "openapi_extra": _PICTURES,
    "responses": {
        200: _response("Rows", "Predictions."),
        **_refusals(404, *_FAILURES, form="ProtocolRefusal"),
    },
}
V2_INFER: dict[str, Any] = {
    "summary": "Predict by the Open Inference Protocol.",
    "description": "Pictures are elements of a tensor of type BYTES. A picture that cannot be used "
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
    "summary": "Whether a picture would be predicted now, by the Open Inference Protocol.",
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
                        "anyOf": [{"$ref": _REF + "ModelReady"}, {"$ref": _REF + "ProtocolRefusal"}]
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
    "summary": "Whether a picture would be predicted now.",
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


def describe(app: FastAPI, *, has_tokens: bool) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        app: The application.
        has_tokens: Whether requests must have a token; those to paths that may answer 401.
    """
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    document["components"] = {"schemas": SCHEMAS}
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
    return document


def told(limits: Limits) -> dict[str, float]:
    """Return the limits as `/model` shows them."""
    return asdict(limits)
