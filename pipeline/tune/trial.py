"""One trial: a training with other params, in this process or on any machine. Without Optuna."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pipeline.compute.device import open_runtime
from pipeline.compute.engine import MachineParams
from pipeline.compute.params import RuntimeParams
from pipeline.ground.errors import DataError, ParamsError
from pipeline.ground.params import Task, load_section, load_value
from pipeline.modality.sections import modality_meant, sections
from pipeline.raw.params import DataParams
from pipeline.train.far import Fits, map_fits
from pipeline.train.inputs import Parts, Sources
from pipeline.train.params import TrainParams
from pipeline.train.plan import Plan, Recipe
from pipeline.train.recipe.params import LossParams, OptimParams, ScheduleParams
from pipeline.train.trainer import open_training
from pipeline.tune.space import with_values

PARAMS = Path("params.yaml")


@dataclass(frozen=True)
class Drawn:
    """What a trial tries.

    Attributes:
        values: The params, by `section.key`.
        bars: By epoch, what its best value so far must not be worse than; no epoch: it runs on.
    """

    values: Mapping[str, Any]
    bars: Mapping[int, float]


@dataclass(frozen=True)
class Tried:
    """What a trial gave.

    Attributes:
        state: How it ended.
        epochs: The numbers of each epoch, from 1.
        bests: The best of the monitored number so far, after each epoch.
        note: Why it failed, or empty.
    """

    state: Literal["complete", "pruned", "failed"]
    epochs: Sequence[Mapping[str, float]]
    bests: Sequence[float]
    note: str = ""


Run = Callable[[Sequence[Drawn]], Iterable[Tried]]
"""Tries some, and gives what each gave in their order, as it comes."""


def run_here(raw: dict[str, Any], parts: Parts) -> Run:
    """Return what tries in this process, one after another."""
    return partial(map, partial(run_trial, raw, parts))


def run_far(raw: dict[str, Any], sources: Sources, machine: MachineParams) -> Run:
    """Return what tries on the machines of a cluster."""
    fits = Fits(sources, *build_plan(raw))

    def run(drawn: Sequence[Drawn]) -> Iterator[Tried]:
        return map_fits(partial(_run_there, raw, fits), drawn, fits, machine)

    return run


def _run_there(raw: dict[str, Any], fits: Fits, drawn: Drawn) -> Tried:
    return run_trial(raw, fits.open(), drawn)


def run_trial(raw: dict[str, Any], parts: Parts, drawn: Drawn) -> Tried:
    """Train once; params that do not fit together, or a loss that is not finite, fail the trial."""
    epochs: list[Mapping[str, float]] = []
    bests: list[float] = []
    try:
        plan, runtime = build_plan(with_values(raw, dict(drawn.values)))
        training = open_training(plan, parts, open_runtime(runtime))
        monitor, is_min = training.best.monitor, training.best.direction == "min"
        for report in training.run(None):
            value = report.val_loss if monitor == "loss" else report.metrics[monitor]
            better = min if is_min else max
            bests.append(better(bests[-1], value) if bests else value)
            epochs.append({"epoch": report.epoch, **report.values()})
            bar = drawn.bars.get(report.epoch, math.nan)
            if bests[-1] > bar if is_min else bests[-1] < bar:
                return Tried("pruned", epochs, bests)
    except (DataError, ParamsError) as error:
        return Tried("failed", epochs, bests, str(error))
    return Tried("complete", epochs, bests)


def build_plan(raw: dict[str, Any]) -> tuple[Plan, RuntimeParams]:
    """Return what `train` is given.

    Raises:
        ParamsError: A section is wrong.
    """
    runtime = load_section(raw, "runtime", RuntimeParams, path=PARAMS)
    recipe = Recipe(
        load_section(raw, "train", TrainParams, path=PARAMS),
        load_section(raw, "optim", OptimParams, path=PARAMS),
        load_section(raw, "schedule", ScheduleParams, path=PARAMS),
        runtime.seed,
    )
    plan = Plan(
        load_value(raw, "task", Task, path=PARAMS),
        load_section(raw, "data", DataParams, path=PARAMS).target,
        recipe,
        load_section(raw, "loss", LossParams, path=PARAMS),
        load_section(raw, "augment", sections(modality_meant(raw))["augment"], path=PARAMS),
    )
    return plan, runtime
