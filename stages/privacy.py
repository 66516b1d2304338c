"""Stage `privacy`: how well one can tell which items the model was trained on.

Reads   --features --store --normalization --backbone --record --near-duplicates
                       what earlier stages wrote
        --model --bundle --predictions  the model, and its answers on test
Writes  --report       rates with intervals, a lower bound of epsilon
        --exposed      the items of train that the model gives away most
        --plots        curves, and a sheet of these items
"""

from pathlib import Path

from pipeline.compute.device import open_runtime
from pipeline.compute.engine import MachineParams
from pipeline.compute.params import RuntimeParams
from pipeline.ground.files import read_json
from pipeline.ground.params import Task, Unchecked
from pipeline.ground.stage import run_stage
from pipeline.ground.tables import read_table
from pipeline.judge.answers import open_subject
from pipeline.membership.audit import Setting
from pipeline.membership.params import AuditParams
from pipeline.membership.run import audit, write
from pipeline.train.inputs import Sources, open_parts
from pipeline.train.params import TargetParams, TrainParams
from pipeline.train.plan import Plan, Recipe
from pipeline.train.recipe.params import LossParams, OptimParams, ScheduleParams


def main(
    task: Task,
    data: TargetParams,
    train: TrainParams,
    optim: OptimParams,
    schedule: ScheduleParams,
    loss: LossParams,
    augment: Unchecked,
    privacy: AuditParams,
    runtime: RuntimeParams,
    machine: MachineParams,
    *,
    features: Path,
    store: Path,
    normalization: Path,
    backbone: Path,
    record: Path,
    near_duplicates: Path,
    model: Path,
    bundle: Path,
    predictions: Path,
    report: Path,
    exposed: Path,
    plots: Path,
) -> None:
    """Audit the model as it is, and a head by its recipe."""
    parts = open_parts(Sources(features, store, normalization, backbone, record))
    recipe = Recipe(train, optim, schedule, runtime.seed)
    plan = Plan(task, data.target, recipe, loss, parts.augment(augment))
    opened, alike = open_runtime(runtime), read_table(near_duplicates)
    subject = open_subject(
        store, model, bundle=bundle, predictions=predictions, device=opened.device
    )
    setting = Setting(plan, parts, privacy, opened, machine, alike)
    found = audit(setting, subject, read_json(bundle).get("privacy"))
    write(setting, found, report=report, exposed=exposed, plots=plots)


if __name__ == "__main__":
    raise SystemExit(run_stage(main, settled=True))
