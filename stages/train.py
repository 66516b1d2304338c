"""Stage `train`: fine-tune, keep the best epoch on validation, fit the temperature.

Reads   --features --store --normalization --backbone --record  what earlier stages wrote
Writes  --model    all tensors: backbone and head
        --bundle   what else prediction needs
        --history  losses and metrics of every epoch
        --kept     what was chosen by validation, and by which numbers

Beside them, not versioned: a journal and checkpoints, named by the training's key.
"""

from pathlib import Path

from pipeline.compute.device import open_runtime
from pipeline.compute.engine import MachineParams
from pipeline.compute.params import RuntimeParams
from pipeline.ground.beside import beside
from pipeline.ground.params import Task, Unchecked
from pipeline.ground.stage import run_stage
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.inputs import Sources, open_parts
from pipeline.train.params import TargetParams, TrainParams
from pipeline.train.plan import Plan, Recipe
from pipeline.train.progress import show
from pipeline.train.recipe.params import LossParams, OptimParams, ScheduleParams
from pipeline.train.trainer import open_training


def main(
    task: Task,
    data: TargetParams,
    train: TrainParams,
    optim: OptimParams,
    schedule: ScheduleParams,
    loss: LossParams,
    augment: Unchecked,
    runtime: RuntimeParams,
    machine: MachineParams,
    *,
    features: Path,
    store: Path,
    normalization: Path,
    backbone: Path,
    record: Path,
    model: Path,
    bundle: Path,
    history: Path,
    kept: Path,
) -> None:
    """Train, or go on where a killed training stopped."""
    parts = open_parts(Sources(features, store, normalization, backbone, record))
    recipe = Recipe(train, optim, schedule, runtime.seed)
    plan = Plan(task, data.target, recipe, loss, parts.augment(augment))
    training = open_training(plan, parts, open_runtime(runtime))
    journals, key = beside("journal"), beside("keys").train_key(Path())
    checkpoints = Checkpoints(journals.state_folder() / "checkpoints" / key, training.identity())
    done = training.resume(checkpoints)
    with journals.Journal.open(key, training.info(), first_epoch=done + 1) as journal:
        journals.start_follower(journal.path)
        for report in show(training, checkpoints, machine):
            journal.epoch(report.epoch, report.values())
        training.finish().write(model, bundle=bundle, history=history, kept=kept)
    checkpoints.clear()


if __name__ == "__main__":
    raise SystemExit(run_stage(main, settled=True))
