"""A training as work that any number of processes can share: what the stage `train` runs."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.compute.device import open_runtime
from pipeline.compute.engine import MachineParams
from pipeline.compute.identity import identify
from pipeline.compute.params import RuntimeParams
from pipeline.ground.params import Task, Unchecked
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.inputs import Sources, open_parts
from pipeline.train.plan import Plan, Recipe
from pipeline.train.private.rules import check_choices
from pipeline.train.progress import show
from pipeline.train.ranks import Ranks, digest
from pipeline.train.recipe.params import LossParams
from pipeline.train.trainer import open_training


@dataclass(frozen=True)
class Outs:
    """The files that a training writes."""

    model: Path
    bundle: Path
    history: Path
    kept: Path


@dataclass(frozen=True)
class Job:
    """All that a training is made of; small, and can be sent to another process."""

    sources: Sources
    outs: Outs
    task: Task
    target: str
    recipe: Recipe
    loss: LossParams
    augment: Unchecked
    runtime: RuntimeParams
    machine: MachineParams
    key: str
    """That names the training."""

    checkpoints: Path
    """The folder for its checkpoints alone."""


class Told(NamedTuple):
    """What a training tells of itself: first that it is ready, then of each epoch."""

    epoch: int
    """From 1; first the one that comes next."""

    values: Mapping[str, Any]
    """Of the epoch, its numbers; first what readers of the journal may want to know: JSON."""


def train_rank(job: Job, ranks: Ranks) -> Generator[Told, None, None]:
    """Train as one of some ranks: tell when it is ready, then each epoch when it is over.

    The first rank writes checkpoints and, at the end, what the training made. Whoever asks for the
    next event has noted the one before; see `Training.run`.

    Raises:
        MachineError: The ranks would compute other bits, or one is gone.
        IntegrityError: A rank holds other weights than the others.
        PipelineError: As for `open_parts`, `open_training` and `fit`.
    """
    parts = open_parts(job.sources)
    if job.recipe.train.privacy is not None:
        check_choices(job.augment.chosen)
    plan = Plan(job.task, job.target, job.recipe, job.loss, parts.augment(job.augment))
    training = open_training(plan, parts, open_runtime(job.runtime), ranks=ranks)
    if ranks.count > 1:
        start = {"training": job.key, "first weights": digest(training.learner.models)}
        ranks.agree({**training.runtime.fingerprint(), "code": identify().code, **start})
    checkpoints = Checkpoints(job.checkpoints, training.identity())
    done = training.resume(checkpoints)
    yield Told(done + 1, training.info())
    machine = job.machine
    if not ranks.is_first:
        machine = machine.model_copy(update={"progress": "none"})
    for report in show(training, checkpoints, machine):
        yield Told(report.epoch, report.values())
    trained, outs = training.finish(), job.outs
    if ranks.is_first:
        trained.write(outs.model, bundle=outs.bundle, history=outs.history, kept=outs.kept)
