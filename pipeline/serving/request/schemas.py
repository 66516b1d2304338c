"""The forms of what is asked and answered, as JSON Schema; words come from the modality."""

from typing import Any

from pipeline.modality.types.items import Input

REF = "#/components/schemas/"
_FACTS = (
    "task",
    "classes",
    "target",
    "architecture",
    "batch_size",
    "bytes",
    "metrics",
    "fingerprint",
    "explains",
)
"""What `/model` tells of a version, besides what its modality adds."""


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
_CELL = {"$ref": REF + "Cell"}
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
        "description": "What was noted of the <one>, each as `code: meaning`.",
    },
)
_ROW["patternProperties"] = {"^p_": {**_NUMBER, "description": "Probability of a class."}}

_STATE = ("limits", "waiting", "restarts", "swaps")
_MODEL: dict[str, Any] = {
    "task": {"enum": ["classification", "regression"]},
    "classes": {"type": "array", "items": {"type": "string"}},
    "bytes": {"type": ["integer", "null"], "description": "Of the weights."},
    "metrics": {
        "type": ["object", "null"],
        "additionalProperties": {"type": "number"},
        "description": "On the test split, where the registry has them.",
    },
    "fingerprint": {"type": "object", "description": "What decides the bits of predictions here."},
    "explains": {"type": "boolean", "description": "Whether `/explain` answers."},
    "waiting": {"type": "integer"},
    "restarts": {"type": "integer", "description": "Of the process that predicts."},
    "swaps": {"type": "integer", "description": "Versions that followed the first one."},
    "limits": {"type": "object", "additionalProperties": {"type": "number"}},
}
_SCHEMAS: dict[str, Any] = {
    "Row": _ROW,
    "Prediction": {"allOf": [{"$ref": REF + "Row"}, _object(["model", "version"], **_NAMES)]},
    "Predictions": _object(
        ["predictions", "model", "version"],
        predictions={
            "type": "array",
            "items": {"$ref": REF + "Row"},
            "description": "One for each <one>, in their order.",
        },
        **_NAMES,
    ),
    "Text": {"type": "string", "description": "<written>"},
    "Cell": {
        "anyOf": [
            {"$ref": REF + "Text"},
            {
                "type": "object",
                "minProperties": 1,
                "description": 'An object that holds the text, such as `{"b64": ...}`.',
            },
        ]
    },
    "<Key>": {
        "anyOf": [
            _only(**{"<key>": _CELLS}),
            _only(**{"<column>": _CELL}),
            _only(instances=_CELLS),
            _only(inputs={"anyOf": [_CELLS, _CELL]}),
            _only(dataframe_records=_CELLS),
            _only(dataframe_split=_object(["data"], columns=_LIST, index=_LIST, data=_LIST)),
            {"$ref": REF + "Text"},
            _CELLS,
            {"$ref": REF + "Holder"},
        ]
    },
    "Form": {
        "type": "object",
        "description": "One file or several, in fields of any name; or text in a field `<column>`.",
        "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
    },
    "Rows": _object(
        ["predictions"],
        predictions={
            "type": "array",
            "items": {"$ref": REF + "Row"},
            "description": "One for each <one>, in their order.",
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
                name=_text("`<column>`, or any where there is one input."),
                shape=_LIST,
                datatype={"const": "BYTES"},
                data={"type": "array", "description": "<Many>, each as text: <written>"},
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
    "Alive": _object(["status"], status={"const": "alive"}),
}


def facts_of(item: Input) -> tuple[str, ...]:
    """Return the names of what `/model` tells of a version, where the version says it."""
    return (*_FACTS, *item.facts)


def schemas(item: Input) -> dict[str, Any]:
    """Return all schemas by their names.

    Args:
        item: How items are handed over.
    """
    holders = [key for key in item.holders if key != item.column]
    return {
        **_SCHEMAS,
        "Explanation": {
            "allOf": [
                {"$ref": REF + "Prediction"},
                _object([*item.explanation.fields], **item.explanation.fields),
            ]
        },
        "Holder": {
            "type": "object",
            "description": "An object that holds one <one>, beside other keys.",
            "anyOf": [{"required": [key]} for key in holders],
        },
        "Model": {
            "allOf": [
                {"$ref": REF + "Status"},
                _object(
                    [*facts_of(item), *_STATE],
                    **_MODEL,
                    **item.facts,
                    **{"<many>_per_second": _NUMBER},
                ),
            ]
        },
    }
