"""Stage `crossval`: train on folds of the cached features, and score every item out of its fold.

Reads   --features --store --normalization --backbone --record --near-duplicates
                             what earlier stages wrote
Writes  --metrics --predictions --history --plots  out-of-fold numbers, a row for every item, curves

Beside them, not versioned: finished folds and checkpoints, until all is written.
"""

from pathlib import Path

from pipeline.compute.engine import MachineParams
from pipeline.compute.params import RuntimeParams
from pipeline.crossval.far import FoldFits, far_folds
from pipeline.crossval.params import CrossvalParams
from pipeline.crossval.run import clear, run_folds, write
from pipeline.ground.beside import beside
from pipeline.ground.params import Task, Unchecked
from pipeline.ground.stage import run_stage
from pipeline.judge.params import EvaluateParams
from pipeline.modality.nets import net
from pipeline.store.store import Store
from pipeline.train.far import Fits
from pipeline.train.inputs import Sources
from pipeline.train.params import TargetParams, TrainParams
from pipeline.train.plan import Plan, Recipe
from pipeline.train.recipe.params import LossParams, OptimParams, ScheduleParams


def main(
    task: Task,
    data: TargetParams,
    crossval: CrossvalParams,
    train: TrainParams,
    optim: OptimParams,
    schedule: ScheduleParams,
    loss: LossParams,
    augment: Unchecked,
    evaluate: EvaluateParams,
    runtime: RuntimeParams,
    machine: MachineParams,
    *,
    features: Path,
    store: Path,
    normalization: Path,
    backbone: Path,
    record: Path,
    near_duplicates: Path,
    metrics: Path,
    predictions: Path,
    history: Path,
    plots: Path,
) -> None:
    """Run the folds that are not done yet, and write what all gave."""
    sources = Sources(features, store, normalization, backbone, record)
    variation = augment.check(net(Store.open(store).modality).params)
    recipe = Recipe(train, optim, schedule, runtime.seed)
    plan = Plan(task, data.target, recipe, loss, variation)
    key = beside("keys").stage_key(Path(), "crossval", graph="crossval/dvc.yaml")
    state = beside("journal").state_folder() / "crossval" / key
    work = FoldFits(Fits(sources, plan, runtime), crossval, evaluate, near_duplicates, state)
    setting = work.open()
    far = far_folds(work, machine) if machine.engine == "ray" else None
    scored = list(run_folds(setting, machine=machine, state=state, far=far))
    write(setting, scored, metrics=metrics, predictions=predictions, history=history, plots=plots)
    clear(state)


if __name__ == "__main__":
    raise SystemExit(run_stage(main, settled=True))
