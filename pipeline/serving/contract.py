"""What the interface promises, as OpenAPI says it; a test holds every answer against it."""

from dataclasses import asdict
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from pipeline.serving.limits import Limits

VERSION = "1"
"""Of the interface; models have versions of their own."""

ABOUT = (
    "Predictions of a registered model. Every answer names the model and the version that gave it, "
    "in its fields `model` and `version` and in the headers `X-Model` and `X-Model-Version`. "
    "Refusals have a field `error` of the form `code: reason`."
)
FACTS = (
    "task", "classes", "target", "size_px", "architecture", "batch_size", "bytes",
    "metrics", "fingerprint", "explains",
)  # fmt: skip
"""What `/model` tells of a version, where the version says it."""

_JSON = "application/json"
_REF = "#/components/schemas/"


def _text(description: str, *, is_null: bool = False) -> dict[str, Any]:
    return {"type": ["string", "null"] if is_null else "string", "description": description}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


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
        predictions={"type": "array", "items": {"$ref": _REF + "Row"},
                     "description": "One for each picture, in their order."},
        **_NAMES,
    ),
    "Explanation": {
        "allOf": [
            {"$ref": _REF + "Prediction"},
            _object(
                ["heatmap_png", "seen_jpeg", "resize", "method"],
                heatmap_png=_text("RGBA, in base64: lies over the square that the model sees."),
                seen_jpeg=_text("That square, in base64."),
                resize={"enum": ["squash", "crop", "pad"],
                        "description": "How the picture became that square."},
                method=_text("How it was found, such as Grad-CAM."),
            ),
        ]
    },
    "Images": {
        **_object(["images"], images={
            "type": "array", "minItems": 1,
            "items": {"type": "string", "contentEncoding": "base64"},
            "description": "Encoded pictures, each in base64.",
        }),
        "additionalProperties": False,
    },
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
            "type": ["object", "null"], "required": ["version", "state"],
            "description": "A version that should be served and is not yet, or cannot be loaded.",
            "properties": {"version": {"type": "string"}, "state": {"type": "string"}},
        },
        **_NAMES,
    ),
    "Model": {"allOf": [{"$ref": _REF + "Status"}, _object(
        [*FACTS, "limits", "waiting", "restarts", "swaps"],
        task={"enum": ["classification", "regression"]},
        classes={"type": "array", "items": {"type": "string"}},
        size_px={"type": "integer", "description": "Side of the square that pictures become."},
        bytes={"type": ["integer", "null"], "description": "Of the weights."},
        metrics={"type": ["object", "null"], "additionalProperties": {"type": "number"},
                 "description": "On the test split, where the registry has them."},
        fingerprint={"type": "object", "description": "What decides the bits of predictions here."},
        explains={"type": "boolean", "description": "Whether `/explain` answers."},
        waiting={"type": "integer"},
        pictures_per_second=_NUMBER,
        restarts={"type": "integer", "description": "Of the process that predicts."},
        swaps={"type": "integer", "description": "Versions that followed the first one."},
        limits={"type": "object", "additionalProperties": {"type": "number"}},
    )]},
    "Alive": _object(["status"], status={"const": "alive"}),
}  # fmt: skip


def _response(name: str, description: str) -> dict[str, Any]:
    return {"description": description, "content": {_JSON: {"schema": {"$ref": _REF + name}}}}


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: _response("Refusal", _REASONS[status]) for status in statuses}


_REASONS = {
    400: "The body is not JSON, or the client left.",
    404: "This version has no explanations.",
    408: "The body did not arrive in time.",
    413: "Too many bytes, or too many pictures.",
    415: "The media type is neither image/*, application/octet-stream nor application/json.",
    422: "The picture cannot be used, or the JSON has another form; `error` says why.",
    429: "Too many pictures wait, or too long; Retry-After says when to come again.",
    503: "No model is loaded yet, or the server failed; with an `id`, its log says more.",
    504: "No answer in time.",
}
_PICTURE = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "One encoded picture as it is, or a list of them as JSON.",
        "content": {
            "image/*": _PICTURE,
            "application/octet-stream": _PICTURE,
            _JSON: {"schema": {"$ref": _REF + "Images"}},
        },
    }
}
_ANSWER = {"anyOf": [{"$ref": _REF + "Prediction"}, {"$ref": _REF + "Predictions"}]}
_FAILURES = (400, 408, 413, 415, 422, 429, 503, 504)

PREDICT: dict[str, Any] = {
    "summary": "Predict one picture, or several.",
    "description": "One picture gives one row. A list gives `predictions`, where a picture that "
    "cannot be used has a row that says so; sent alone, it is status 422.",
    "openapi_extra": _BODY,
    "responses": {
        200: {"description": "Predictions.", "content": {_JSON: {"schema": _ANSWER}}},
        **_refusals(*_FAILURES),
    },
}
EXPLAIN: dict[str, Any] = {
    "summary": "Show where in a picture its class is seen.",
    "openapi_extra": _BODY,
    "responses": {
        200: _response("Explanation", "The prediction with its map (Grad-CAM)."),
        **_refusals(404, *_FAILURES),
    },
}
HEALTH: dict[str, Any] = {
    "summary": "Whether the server lives.",
    "responses": {200: _response("Alive", "It does.")},
}
READY: dict[str, Any] = {
    "summary": "Whether a picture would be predicted now.",
    "responses": {200: _response("Status", "It would."),
                  503: _response("Status", "A model is being loaded.")},
}  # fmt: skip
MODEL: dict[str, Any] = {
    "summary": "What is served, and how busy it is.",
    "responses": {200: _response("Model", "The version."), **_refusals(503)},
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Give the OpenAPI document."""
    document = get_openapi(title=app.title, version=app.version, description=app.description,
                           routes=app.routes)  # fmt: skip
    document["components"] = {"schemas": SCHEMAS}
    for path in document["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                response["headers"] = {
                    name: {"schema": {"type": "string"}} for name in ("X-Model", "X-Model-Version")
                }
    return document


def told(limits: Limits) -> dict[str, float]:
    """Give the limits as `/model` shows them."""
    return asdict(limits)
