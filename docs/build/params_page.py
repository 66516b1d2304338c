"""A page with every param of params.yaml: its value, type, bounds and meaning."""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.doctor.params import CLASSES
from pipeline.ground.params import Section, read_params
from pipeline.modality.sections import sections
from pipeline.modality.table import MODALITIES

_HEAD = """# Params

Every value of `params.yaml`, from the code that reads it. A value of another type or out of its
bounds ends the run with exit code 2, and so does an unknown name.

| | |
|---|---|
| `task` | `classification` (class names) or `regression` (numbers) |
"""
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def params_page(path: Path = Path("params.yaml")) -> str:
    """Return the page in Markdown."""
    values = read_params(path)
    classes = CLASSES | sections(MODALITIES[0])
    page = _HEAD + "".join(
        _section(name, classes[name], values[name]) for name in values if name in classes
    )
    for modality in MODALITIES[1:]:
        own = CLASSES | sections(modality)
        page += "".join(
            _section(f"{modality}.{name}", own[name], each)
            for name, each in values[modality].items()
        )
    return page


def _section(name: str, kind: type[Section], values: Mapping[str, Any]) -> str:
    _, _, title = (inspect.getdoc(kind) or "").partition(": ")
    meanings = _meanings(kind)
    schema = kind.model_json_schema()
    rows = "".join(
        f"| `{name}.{field}` | {_json(values[field])} | {_type(facts, schema)} "
        f"| {meanings[field]} |\n"
        for field, facts in schema["properties"].items()
    )
    return (
        f"\n## {name}\n\n{title[:1].upper() + title[1:]} Read by {_readers(name)}.\n\n"
        f"| param | here | type | meaning |\n|---|---|---|---|\n{rows}"
    )


def _readers(section: str) -> str:
    """Return the stages that run again after a change of a section, or of a field of it."""
    paths = [Path("dvc.yaml"), *sorted(Path().glob("[a-z]*/dvc.yaml"))]
    stages = [
        f"`{name}`" if path.parent == Path() else f"`{path}:{name}`"
        for path in paths
        for name, facts in read_params(path)["stages"].items()
        if any(f"{each}.".startswith(f"{section}.") for each in facts.get("params", ()))
    ]
    return ", ".join(stages) or "no stage"


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text}`" if len(text) < 60 else "(a table)"


def _meanings(kind: type[Section]) -> dict[str, str]:
    """Return the string under each field of a class and of those that it is made from."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, Section) and base is not Section:
            found |= dict(_strings(base))
    return found


def _strings(kind: type[Section]) -> Iterator[tuple[str, str]]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    name = None
    for node in definition.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=field)):
                name = field
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                yield name, " ".join(text.split()).replace("|", "\\|")
                name = None


def _type(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    """Return a JSON schema in words; `whole` has what it refers to."""
    if "$ref" in schema:
        return _type(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
    if "anyOf" in schema:
        return " or ".join(_type(each, whole) for each in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{each}`" for each in schema.get("enum", [schema.get("const")]))
    bounds = [f"{sign} {_number(schema[key])}" for key, sign in _BOUNDS.items() if key in schema]
    return ", ".join([{"null": "`null`"}.get(schema["type"], schema["type"]), *bounds])


def _number(value: float) -> str:
    return "2^63" if value == 2**63 else f"{value:,g}" if value < 10**5 else f"{value:,}"
