"""All of params.yaml at once: every section, and the rules between sections.

A stage checks what it reads when its turn comes, which may be after minutes of work by others.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipeline.clean.labels import check_policy
from pipeline.compute.engine import MachineParams
from pipeline.compute.params import RuntimeParams
from pipeline.crossval.params import CrossvalParams
from pipeline.ground.errors import ParamsError
from pipeline.ground.findings import Finding, fault, ok
from pipeline.ground.params import (
    SECTIONS,
    Section,
    Task,
    auto_params,
    in_force,
    load_section,
    load_value,
    named_as_written,
    read_params,
    refuse_unknown_sections,
    settle,
)
from pipeline.judge.metrics import of_task
from pipeline.judge.params import EvaluateParams
from pipeline.manifest.params import SplitParams
from pipeline.membership.params import AuditParams
from pipeline.modality.sections import candidates, modality_meant, sections
from pipeline.modality.table import MODALITIES
from pipeline.modality.types.params import AugmentSection, CleanParams, ExplainParams, ShelfParams
from pipeline.model.params import FeaturesParams
from pipeline.raw.labels.columns import OWN_COLUMNS
from pipeline.raw.params import DataParams
from pipeline.suspects.params import SuspectsParams
from pipeline.track.params import TrackingParams
from pipeline.train.params import TrainParams
from pipeline.train.private.rules import check_choices, check_mode, check_private
from pipeline.train.recipe.params import LossParams, OptimParams, ScheduleParams
from pipeline.train.recipe_rules import (
    check_loss,
    check_monitor,
    check_ranks,
    check_recipe,
    prediction_views,
)
from pipeline.tune.params import TuneParams
from pipeline.tune.space import check_space
from pipeline.version.params import RegistryParams
from pipeline.weights.params import WeightsParams

S = TypeVar("S", bound=Section)

CLASSES: dict[str, type[Section]] = {
    "data": DataParams,
    "split": SplitParams,
    "weights": WeightsParams,
    "features": FeaturesParams,
    "train": TrainParams,
    "optim": OptimParams,
    "schedule": ScheduleParams,
    "loss": LossParams,
    "evaluate": EvaluateParams,
    "crossval": CrossvalParams,
    "runtime": RuntimeParams,
    "tracking": TrackingParams,
    "registry": RegistryParams,
    "machine": MachineParams,
    "suspects": SuspectsParams,
    "explain": ExplainParams,
    "privacy": AuditParams,
    "tune": TuneParams,
}
"""What each section must be that is the same for every modality."""

_FILE = "params.yaml"


@dataclass(frozen=True)
class Params:
    """What params.yaml holds: plain, and those of its sections that are right by themselves.

    Where a value is `auto`, the last candidate stands for it.
    """

    raw: Mapping[str, Any]
    modality: str
    """That it is written for."""

    task: Task | None
    sections: Mapping[str, Section]
    auto: Mapping[str, Any]
    """What stands for each `auto`, by `section.key`."""

    def find(self, kind: type[S]) -> S | None:
        """Return a section by its class; None where it is wrong."""
        return next((each for each in self.sections.values() if isinstance(each, kind)), None)


def check_params(path: Path) -> Generator[Finding, None, Params]:
    """Check the whole file.

    Raises:
        ParamsError: It cannot be read at all.
    """
    params, errors = examine_params(path)
    yield from map(fault, errors)
    if not errors:
        yield ok(path, f"all {len(params.sections) + 1} sections are right, and fit each other")
    return params


def examine_params(path: Path) -> tuple[Params, list[ParamsError]]:
    """Read the file, and give what is right in it and all that is wrong, in the file's order.

    Raises:
        ParamsError: It cannot be read at all.
    """
    found = read_params(path)
    modality = modality_meant(found)
    tried = candidates(modality)
    auto = {each: tried[each][-1] for each in auto_params(in_force(found), tried)}
    raw = settle(in_force(found), auto)
    errors: list[ParamsError] = []
    task: Task | None = None
    right: dict[str, Section] = {}
    classes = CLASSES | sections(modality)
    for key in found:
        errors += _refusals(refuse_unknown_sections, {key: found[key]}, path=path)
    try:
        task = load_value(raw, "task", Task, path=path)
    except ParamsError as error:
        errors.append(error)
    for name in filter(classes.__contains__, SECTIONS):
        try:
            right[name] = load_section(raw, name, classes[name], path=path)
        except ParamsError as error:
            errors.append(error)
    params = Params(raw, modality, task, right, auto)
    for rule in RULES:
        errors += _refusals(rule, params)
    for each in errors:
        named_as_written(each, found)
    return params, errors


def _refusals(rule: Callable[..., None], *values: Any, **named: Any) -> list[ParamsError]:
    try:
        rule(*values, **named)
    except ParamsError as error:
        return [error]
    return []


def _target(params: Params) -> None:
    data = params.find(DataParams)
    if data and data.target in OWN_COLUMNS:
        raise ParamsError(
            _FILE,
            f"must be another column than {', '.join(OWN_COLUMNS)}",
            field="data.target",
            got=data.target,
        )


def _missing_label(params: Params) -> None:
    clean = params.find(CleanParams)
    if clean and params.task:
        check_policy(clean.missing_label, params.task)


def _random_start(params: Params) -> None:
    weights = params.find(WeightsParams)
    if weights and weights.source == "none":
        for field in ("sha256", "key"):
            if getattr(weights, field) is not None:
                raise ParamsError(
                    _FILE,
                    "must be null where weights.source is none",
                    field=f"weights.{field}",
                    got=getattr(weights, field),
                )


def _architecture(params: Params) -> None:
    weights, features = params.find(WeightsParams), params.find(FeaturesParams)
    transform = params.find(ShelfParams)
    if weights and features and transform:
        from pipeline.doctor.shapes import draw_outline  # slow to import

        draw_outline(weights.architecture, features, transform)


def _features(params: Params) -> None:
    train, features = params.find(TrainParams), params.find(FeaturesParams)
    if not (train and features):
        return
    if not features.pooled and (train.strategy == "head" or train.start == "probe"):
        needy = "strategy: head" if train.strategy == "head" else "start: probe"
        raise ParamsError(
            _FILE,
            f"must be true: train.{needy} needs pooled features",
            field="features.pooled",
            got=False,
        )
    if features.cut == "none" and train.strategy == "top":
        raise ParamsError(
            _FILE,
            "must name a cut: train.strategy: top needs the activations at one",
            field="features.cut",
            got="none",
            remedy="or set train.strategy: head or full",
        )


def _loss(params: Params) -> None:
    loss = params.find(LossParams)
    if loss and params.task:
        check_loss(params.task, loss)


def _monitor(params: Params) -> None:
    train = params.find(TrainParams)
    if train and params.task:
        check_monitor(params.task, train.monitor)


def _recipe(params: Params) -> None:
    train, optim = params.find(TrainParams), params.find(OptimParams)
    augment = params.find(AugmentSection)
    if train and optim and augment:
        check_recipe(train, optim, augment)


def _privacy(params: Params) -> None:
    train, loss = params.find(TrainParams), params.find(LossParams)
    weights = params.find(WeightsParams)
    if not (train and train.privacy and loss and weights and params.task):
        return
    check_private(params.task, train, loss)
    check_choices(params.auto)
    check_mode(str(params.raw["normalize"].get("mode")), weights.source)


def _ranks(params: Params) -> None:
    train, machine = params.find(TrainParams), params.find(MachineParams)
    if train and machine:
        check_ranks(machine.ranks, train.parts)


def _views(params: Params) -> None:
    train, augment = params.find(TrainParams), params.find(AugmentSection)
    if train and augment:
        prediction_views(augment, train.test_views)


def _metric(params: Params) -> None:
    registry = params.find(RegistryParams)
    if not (registry and params.task):
        return
    known = list(of_task(params.task))
    if registry.metric not in known:
        raise ParamsError(
            _FILE,
            f"must be one of {', '.join(known)} for `task: {params.task}`",
            field="registry.metric",
            got=registry.metric,
        )


def _space(params: Params) -> None:
    tune = params.find(TuneParams)
    asked = set(SECTIONS) - set(MODALITIES)
    if tune and {"task", *params.sections} == asked:  # ranges are tried in their own sections
        check_space(dict(params.raw), tune)


RULES: Iterable[Callable[[Params], None]] = (
    _target,
    _missing_label,
    _random_start,
    _architecture,
    _features,
    _recipe,
    _privacy,
    _ranks,
    _views,
    _monitor,
    _loss,
    _metric,
    _space,
)
"""What sections must hold beside each other; each raises `ParamsError`."""
