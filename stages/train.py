"""Stage `train`: fine-tune, keep the best epoch on validation, fit the temperature.

Reads   --features --store --normalization --backbone --record  what earlier stages wrote
Writes  --model    all tensors: backbone and head
        --bundle   what else prediction needs
        --history  losses and metrics of every epoch
        --kept     what was chosen by validation, and by which numbers

Beside them, not versioned: a journal and checkpoints, named by the training's key.

With `machine.ranks` above 1, or under torchrun, several processes train together.
"""

from contextlib import closing
from pathlib import Path

from pipeline.compute.engine import MachineParams
from pipeline.compute.params import RuntimeParams
from pipeline.ground.beside import beside
from pipeline.ground.params import Task, Unchecked
from pipeline.ground.stage import run_stage
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.inputs import Sources
from pipeline.train.job import Job, Outs
from pipeline.train.launch import launch
from pipeline.train.params import TargetParams, TrainParams
from pipeline.train.plan import Recipe
from pipeline.train.recipe.params import LossParams, OptimParams, ScheduleParams


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
    sources = Sources(features, store, normalization, backbone, record)
    outs = Outs(model, bundle, history, kept)
    recipe = Recipe(train, optim, schedule, runtime.seed)
    journals, key = beside("journal"), beside("keys").train_key(Path())
    folder = journals.state_folder() / "checkpoints" / key
    parts = (task, data.target, recipe, loss, augment, runtime, machine, key, folder)
    with closing(launch(Job(sources, outs, *parts))) as events:
        first = next(events, None)
        if first is None:  # another process tells of the training
            return
        with journals.Journal.open(key, first.values, first_epoch=first.epoch) as journal:
            journals.start_follower(journal.path)
            for told in events:
                journal.epoch(told.epoch, told.values)
    Checkpoints(folder, {}).clear()


if __name__ == "__main__":
    raise SystemExit(run_stage(main, settled=True))
