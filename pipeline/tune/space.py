"""What is searched: ranges of params, checked before any work.

Only params that leave the cached features as they are can be searched: those of training.
"""

import copy
import difflib
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pipeline.ground.errors import ParamsError
from pipeline.ground.params import SECTIONS, Section, load_section
from pipeline.modality.sections import modality_meant, sections
from pipeline.train.params import TrainParams
from pipeline.train.recipe.params import LossParams, OptimParams, ScheduleParams
from pipeline.tune.params import TuneParams

_SEARCHABLE: dict[str, type[Section]] = {
    "train": TrainParams,
    "optim": OptimParams,
    "schedule": ScheduleParams,
    "loss": LossParams,
}

_YARDSTICKS = {("loss", "class_weights"), ("loss", "sample_weights")}

_ACTS_WITH = {
    "optim.momentum": ("optim.name", ("sgd",)),
    "optim.nesterov": ("optim.name", ("sgd",)),
    "optim.beta1": ("optim.name", ("adam", "adamw")),
    "optim.beta2": ("optim.name", ("adam", "adamw")),
    "schedule.final_frac": ("schedule.name", ("cosine", "one_cycle")),
}
"""Params that do nothing but where another one has one of some values."""

_FILE = Path("params.yaml")
_DIGITS = 3


@dataclass(frozen=True)
class Dimension:
    """One param that is searched."""

    section: str
    key: str
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False
    is_whole: bool = False
    choices: tuple[Any, ...] = ()
    """Not empty: nothing else holds."""

    @property
    def path(self) -> str:
        """Its name in `tune.space`."""
        return f"{self.section}.{self.key}"

    def tidy(self, value: Any) -> Any:
        """Return a value with three digits, so that a person can write it down."""
        if self.choices or self.is_whole:
            return value
        return min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)


def check_space(raw: dict[str, Any], params: TuneParams) -> list[Dimension]:
    """Check every range against the section that it belongs to.

    Args:
        raw: All of params.yaml.
        params: Its section `tune`.

    Raises:
        ParamsError: A range is invalid, or wider than its param allows.
    """
    if not params.space:
        raise ParamsError(_FILE, "must name a param to search", field="tune.space", got={})
    dimensions = [_dimension(raw, path, spec) for path, spec in params.space.items()]
    for each in dimensions:
        _refuse_idle(raw, each.path, dimensions)
    return dimensions


def with_values(raw: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return params with other values, by `section.key`; a section may be in a block."""
    changed = copy.deepcopy(raw)
    for path, value in values.items():
        *sections, key = path.split(".")
        inner = changed
        for section in sections:
            inner = inner[section]
        inner[key] = value
    return changed


def _dimension(raw: dict[str, Any], path: str, spec: dict[str, Any]) -> Dimension:
    section, _, key = path.partition(".")
    _refuse_unknown(raw, section, key, path)
    if set(spec) == {"choices"}:
        return _choices(raw, section, key, spec["choices"])
    if not {"low", "high"} <= set(spec) <= {"low", "high", "log"}:
        raise _error(path, "must be {low, high}, {low, high, log} or {choices}", spec)
    low, high, is_log = spec["low"], spec["high"], spec.get("log", False)
    for name, value in (("low", low), ("high", high)):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _error(f"{path}.{name}", "must be a number", value)
        _refuse_outside(raw, section, key, f"{path}.{name}", value)
    if not isinstance(is_log, bool):
        raise _error(f"{path}.log", "must be true or false", is_log)
    if not low < high:
        raise _error(f"{path}.high", f"must be above low, which is {low}", high)
    if is_log and low <= 0:
        raise _error(f"{path}.low", "must be above 0 on a logarithmic scale", low)
    is_whole = _is_whole(_searchable(raw)[section].model_fields[key].annotation)
    return Dimension(section, key, low, high, is_log, is_whole)


def _searchable(raw: dict[str, Any]) -> dict[str, type[Section]]:
    """Return the sections with params that can be searched."""
    return _SEARCHABLE | {"augment": sections(modality_meant(raw))["augment"]}


def _is_whole(annotation: Any) -> bool:
    """Return whether a param takes whole numbers, perhaps beside a word such as `full`."""
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return int in [get_args(each)[0] if get_origin(each) is Annotated else each for each in kinds]


def _choices(raw: dict[str, Any], section: str, key: str, choices: Any) -> Dimension:
    path = f"{section}.{key}"
    if not isinstance(choices, list) or len(choices) < 2:
        raise _error(f"{path}.choices", "must be a list of two values or more", choices)
    for value in choices:
        _refuse_outside(raw, section, key, f"{path}.choices", value)
    return Dimension(section, key, choices=tuple(choices))


def _refuse_unknown(raw: dict[str, Any], section: str, key: str, path: str) -> None:
    if section not in _searchable(raw):
        if section in SECTIONS:
            raise _error(
                path,
                f"`{section}` cannot be searched: trials share the cached features, "
                f"and differ in {', '.join(_searchable(raw))} alone",
                path,
            )
        raise _error(path, f"must be a param of {', '.join(_searchable(raw))}", path)
    if (section, key) == ("train", "monitor"):
        raise _error(path, "is what trials are compared by, and must be one for all", path)
    if (section, key) == ("train", "test_views"):
        raise _error(path, "changes no trial: validation looks at items as they are", path)
    if (section, key) in _YARDSTICKS and raw.get("train", {}).get("monitor") == "loss":
        raise _error(
            path,
            "would change the loss that trials are compared by",
            path,
            remedy="set train.monitor to another number",
        )
    if section == "augment" and raw.get("train", {}).get("strategy") not in ("auto", "full"):
        raise _error(
            path,
            "can be searched with `train.strategy` auto or full: the views of cached "
            "activations are made by `features`",
            path,
        )
    known = list(_searchable(raw)[section].model_fields)
    if key not in known:
        close = difflib.get_close_matches(key, known, n=1)
        hint = f" (did you mean {section}.{close[0]}?)" if close else ""
        raise _error(path, f"must be a param of {section}{hint}", path)


def _refuse_idle(raw: dict[str, Any], path: str, dimensions: list[Dimension]) -> None:
    """Refuse a param that changes no trial: its best value would be chance."""
    if path not in _ACTS_WITH:
        return
    other, values = _ACTS_WITH[path]
    section, key = other.split(".")
    present = raw.get(section, {}).get(key)
    searched = [choice for each in dimensions if each.path == other for choice in each.choices]
    if not set(values) & {present, *searched}:
        raise _error(
            path,
            f"does nothing with `{other}: {present}`",
            path,
            remedy=f"search {other} too, or leave it out",
        )


def _refuse_outside(raw: dict[str, Any], section: str, key: str, field: str, value: Any) -> None:
    changed = with_values(raw, {f"{section}.{key}": value})
    try:
        load_section(changed, section, _searchable(raw)[section], path=_FILE)
    except ParamsError as error:
        rule = str(error).removeprefix(f"{_FILE}: ").removeprefix(f"{section}.{key}: ")
        raise ParamsError(_FILE, rule, field=f"tune.space.{field}") from error


def _error(path: str, rule: str, got: Any, *, remedy: str | None = None) -> ParamsError:
    return ParamsError(_FILE, rule, field=f"tune.space.{path}", got=got, remedy=remedy)
