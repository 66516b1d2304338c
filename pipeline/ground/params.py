"""params.yaml to typed sections.

YAML is read as DVC reads it (YAML 1.2 core rules). PyYAML alone takes `1e-3` for a string, `no` for
a boolean and `010` for 8: lineage would record values that the run never used. A spelling that
readers take differently, or that has no JSON form, is refused.

Every value is in params.yaml. Sections hold types, units and bounds, and no defaults. A section is
a subclass of `Section` beside its owner.
"""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from pipeline.ground.errors import ParamsError, PipelineError

_FILE = "params.yaml"

Task = Literal["classification", "regression"]
"""`task`: what the label column holds, class names or numbers."""

S = TypeVar("S", bound="Section")

AUTO = "auto"
"""The value of a param that data choose: the stage `recipe`, before others read it."""


class Section(BaseModel):
    """A section of params.yaml: frozen, strict, no unknown keys. A wrong one cannot exist."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalar rules of DVC's reader."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_REFUSED = "tag:rootstock,2026:refused"
_SCALARS = (
    (_REFUSED, r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
    (_REFUSED, r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?", "0123456789"),
    (_REFUSED, r"[-+]?0b[01_]+|[-+]?0[ox]_*[0-9a-fA-F_]*_[0-9a-fA-F_]*", "-+0"),
    (_REFUSED, r"[-+]?[0-9.][0-9.]*_[0-9_.]*(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("tag:rootstock,2026:int", r"[-+]?(?:[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)", "-+0123456789"),
    (
        "tag:rootstock,2026:float",
        r"[-+]?[0-9]+(?:\.[0-9]*(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)|[-+]?\.[0-9]+(?:[eE][-+][0-9]+)?",
        "-+.0123456789",
    ),
    ("tag:yaml.org,2002:merge", r"<<", "<"),
)


def _int(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    base = {"0o": 8, "0x": 16}.get(digits[:2], 10)
    return sign * int(digits.removeprefix("0o").removeprefix("0x"), base)


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node))


def _refuse(loader: _Loader, node: yaml.ScalarNode) -> None:
    raise yaml.constructor.ConstructorError(
        None,
        None,
        f"{node.value!r} is read differently by different tools, or is not finite; write a plain "
        "number, or put it in quotes",
        node.start_mark,
    )


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(
                None, None, "a key must be a word", key.start_mark
            )
        if key.value in seen and key.value != "<<":
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key.value!r} is there twice", key.start_mark
            )
        seen.add(key.value)
    loader.flatten_mapping(node)
    return {
        loader.construct_object(k, deep=True): loader.construct_object(v, deep=True)
        for k, v in node.value
    }


for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:rootstock,2026:int", _int)
_Loader.add_constructor("tag:rootstock,2026:float", _float)
_Loader.add_constructor(_REFUSED, _refuse)
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_params(path: Path) -> dict[str, Any]:
    """Read params.yaml as plain values, exactly as DVC reads them.

    Raises:
        ParamsError: The file is missing, not YAML, not a mapping, or has a refused spelling.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ParamsError(path, "no such file", remedy=f"run `git checkout {path}`") from error
    except UnicodeDecodeError as error:
        raise ParamsError(path, "must be UTF-8") from error
    return parse_params(text, path)


def parse_params(text: str, path: Path | str) -> dict[str, Any]:
    """Read the text of params.yaml, or of a DVC file, as plain values; `path` is named in errors.

    Raises:
        ParamsError: As for `read_params`.
    """
    if re.search(r"^(?:<<<<<<<|>>>>>>>) ", text, re.MULTILINE):
        raise ParamsError(path, "has the markers of an unresolved merge", remedy="resolve it")
    try:
        raw = yaml.load(text, _Loader)  # noqa: S506  (it is a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ParamsError(where, str(error.problem or error.context)) from error
    except yaml.YAMLError as error:
        raise ParamsError(path, f"not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise ParamsError(path, "must be a mapping of sections", got=raw)
    return raw


def replace_values(text: str, values: dict[str, Any]) -> str:
    """Return the text of params.yaml with other values; comments and layout stay.

    Args:
        text: The present text.
        values: By `section.key`; each key exists, with a plain value.

    Raises:
        ParamsError: A key is not there, or holds no plain value.
    """
    root = yaml.compose(text, _Loader)
    spots = []
    for path, value in values.items():
        node = root
        for name in path.split("."):
            pairs = node.value if isinstance(node, yaml.MappingNode) else []
            node = next((item for key, item in pairs if key.value == name), None)
        if not isinstance(node, yaml.ScalarNode):
            raise ParamsError("params.yaml", "must hold one plain value", field=path)
        spots.append((node.start_mark.index, node.end_mark.index, _plain(value)))
    for start, end, new in sorted(spots, reverse=True):
        rest = text[end:]
        gap = len(rest) - len(rest.lstrip(" "))
        if rest[gap:].startswith("#"):  # the comment keeps its column where it can
            rest = " " * max(1, gap + (end - start) - len(new)) + rest[gap:]
        text = text[:start] + new + rest
    return text


def _plain(value: Any) -> str:
    """Return a value in a form that all YAML readers take alike; numbers have no exponent."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        digits = format(Decimal(repr(value)), "f")
        return digits if "." in digits else f"{digits}.0"
    return str(value) if isinstance(value, int) else json.dumps(value, ensure_ascii=False)


def in_force(raw: dict[str, Any]) -> dict[str, Any]:
    """Return params with the sections that count for the items, and without those that do not.

    A section that is called as a key of `data`, such as `text`, holds sections itself. Where that
    key of `data` has a value, each stands in place of the section of its name, whole.
    """
    blocks = _blocks(raw)
    settled = {name: value for name, value in raw.items() if name not in blocks}
    for key, sections in blocks.items():
        if raw["data"][key] is not None:
            settled |= sections
    return settled


def written_as(raw: Mapping[str, Any], param: str) -> str:
    """Return where a param in force, `section.key`, stands in params.yaml: see `in_force`."""
    section = re.split("[.:]", param, maxsplit=1)[0]
    for key, sections in _blocks(raw).items():
        if raw["data"][key] is not None and section in sections:
            return f"{key}.{param}"
    return param


def named_as_written(error: PipelineError, raw: Mapping[str, Any]) -> PipelineError:
    """Have an error name a section in force by the place where it stands, and return it.

    Args:
        error: Changed, if it begins with params.yaml and a section of it.
        raw: params.yaml as read.
    """
    where, _, rest = str(error).partition(": ")
    if Path(where).name == _FILE:
        error.args = (f"{where}: {written_as(raw, rest)}",)
    return error


def _blocks(raw: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    data = raw.get("data")
    keys = data if isinstance(data, dict) else {}
    return {key: raw[key] for key in keys if isinstance(raw.get(key), dict)}


def settle(raw: dict[str, Any], choices: Mapping[str, Any]) -> dict[str, Any]:
    """Return params with the values that were chosen, where they say `auto`.

    Args:
        raw: Not changed.
        choices: By `section.key`. What the user gave stays.
    """
    settled = dict(raw)
    for param in auto_params(raw, choices):
        section, key = param.split(".")
        settled[section] = {**settled[section], key: choices[param]}
    return settled


def auto_params(raw: Mapping[str, Any], known: Iterable[str]) -> list[str]:
    """Return those of some params, each `section.key`, that are `auto`."""

    def value(param: str) -> Any:
        section, key = param.split(".")
        found = raw.get(section)
        return found.get(key) if isinstance(found, dict) else None

    return [param for param in known if value(param) == AUTO]


def load_section(raw: dict[str, Any], name: str, cls: type[S], *, path: Path) -> S:
    """Return one section of params.yaml, checked and typed.

    Raises:
        ParamsError: The section is missing or wrong; the message names every problem.
    """
    if name not in raw:
        raise ParamsError(path, f"the section {name!r} is missing")
    if not isinstance(raw[name], dict):
        raise ParamsError(path, "must be a mapping", field=name, got=raw[name])
    try:
        return cls.model_validate(raw[name])
    except ValidationError as error:
        problems = _join_alternatives(cls, error.errors(include_url=False))
        told = "; ".join(_sentence(name, cls, detail) for detail in problems)
        raise ParamsError(path, told) from error


class Unchecked:
    """A section whose keys depend on the modality of the items: checked when that is known.

    Args:
        raw: What params.yaml holds.
        name: Of the section.
        path: Of params.yaml, for messages.
        chosen: What data chose in place of `auto`, in all sections, by `section.key`.
    """

    def __init__(
        self, raw: dict[str, Any], name: str, path: Path, chosen: Mapping[str, Any] | None = None
    ) -> None:
        self._raw, self._name, self._path = raw, name, path
        self.chosen = dict(chosen or {})

    def auto(self, known: Iterable[str]) -> list[str]:
        """Return those of some params, each `section.key`, that are `auto`, in this section."""
        return [each for each in auto_params(self._raw, known) if each.startswith(f"{self._name}.")]

    def settle(self, choices: Mapping[str, Any]) -> "Unchecked":
        """Return the section with values in place of `auto`; see `settle`."""
        return Unchecked(settle(self._raw, choices), self._name, self._path)

    def check(self, cls: type[S]) -> S:
        """Return the section typed.

        Raises:
            ParamsError: As for `load_section`.
        """
        return load_section(self._raw, self._name, cls, path=self._path)

    def check_keys(self, cls: type[S]) -> S:
        """Return the keys that a class names typed, whatever else is there.

        Raises:
            ParamsError: As for `load_section`.
        """
        values = self._raw.get(self._name)
        if isinstance(values, dict):
            values = {key: value for key, value in values.items() if key in cls.model_fields}
        named = {} if self._name not in self._raw else {self._name: values}
        return load_section(named, self._name, cls, path=self._path)


def load_value(raw: dict[str, Any], name: str, kind: Any, *, path: Path) -> Any:
    """Check one top-level value of params.yaml that is no section, such as `task`.

    Raises:
        ParamsError: The value is missing or wrong.
    """
    if name not in raw:
        raise ParamsError(path, f"the key {name!r} is missing")
    try:
        return TypeAdapter(kind).validate_python(raw[name], strict=True)
    except ValidationError as error:
        problems = [_rule(detail) for detail in error.errors(include_url=False)]
        raise ParamsError(path, "; ".join(problems), field=name) from error


def _join_alternatives(cls: type[Section], details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Join to one the problems that pydantic reports for each member of a union."""
    joined: dict[tuple[int | str, ...], ErrorDetails] = {}
    for number, detail in enumerate(details):
        field = cls.model_fields.get(str(detail["loc"][0])) if detail["loc"] else None
        if field is None or get_origin(field.annotation) not in (Union, UnionType):
            joined[(number,)] = detail
            continue
        place = detail["loc"][:1]
        if place in joined:
            message = f"{joined[place]['msg']} or {_must(detail['msg'])}"
            joined[place] = {**joined[place], "msg": message, "type": "union"}
        else:
            joined[place] = {**detail, "loc": place}
    return list(joined.values())


def _sentence(section: str, cls: type[Section], detail: ErrorDetails) -> str:
    location = [str(part) for part in detail["loc"]]
    field = ".".join([section, *location])
    if detail["type"] == "extra_forbidden":
        known = list(cls.model_fields)
        for part in detail["loc"][:-1]:
            nested = cls.model_fields[str(part)].annotation
            known = (
                list(nested.model_fields)
                if isinstance(nested, type) and issubclass(nested, BaseModel)
                else []
            )
        close = difflib.get_close_matches(location[-1], known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        return f"{'.'.join([section, *location[:-1]])}: {location[-1]!r} is not a known key{hint}"
    if detail["type"] == "missing":
        return f"{field} is missing"
    return f"{field}: {_rule(detail)}"


def _rule(detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return message
    got, hint = detail["input"], ""
    if detail["type"] == "literal_error":
        close = difflib.get_close_matches(str(got), re.findall(r"'([^']+)'", message), n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"must {_must(message)}, got {got!r}{hint}"


def _must(message: str) -> str:
    """Return what follows `must` where pydantic writes `Input should be ...`."""
    return re.sub(r"^[A-Z][a-z]+ should ", "", message)


SECTIONS = (
    "task",
    "data",
    "clean",
    "split",
    "transform",
    "normalize",
    "weights",
    "features",
    "train",
    "optim",
    "schedule",
    "loss",
    "augment",
    "evaluate",
    "crossval",
    "suspects",
    "explain",
    "privacy",
    "runtime",
    "tracking",
    "registry",
    "machine",
    "tune",
    "text",
)
"""Every key that may stand at the top of params.yaml."""


def refuse_unknown_sections(raw: dict[str, Any], *, path: Path) -> None:
    """Check that no section is misspelled.

    Raises:
        ParamsError: There is a key that no stage reads.
    """
    for key in raw:
        if key not in SECTIONS:
            close = difflib.get_close_matches(str(key), SECTIONS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(SECTIONS)}"
            raise ParamsError(path, f"{key!r} is not a known section", remedy=hint)
