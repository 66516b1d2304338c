"""Stage `evaluate`: judge the test split, once, with exactly what ships.

Reads   --store           rows and labels
        --model --bundle  what `train` wrote
Writes  --metrics         numbers, intervals and baselines
        --predictions     a row for every item of the test split
        --plots           curves as CSV and PNG, and a sheet of the worst mistakes
"""

import logging
from pathlib import Path

from pipeline.compute.device import open_runtime
from pipeline.compute.engine import MachineParams
from pipeline.compute.params import RuntimeParams
from pipeline.ground.files import replacing_folder, write_json
from pipeline.ground.stage import run_stage
from pipeline.ground.tables import write_table
from pipeline.judge.drawing import draw
from pipeline.judge.evaluation import judge, summary
from pipeline.judge.gains import doubt
from pipeline.judge.params import EvaluateParams
from pipeline.model.bundle import Predictor
from pipeline.store.store import Store

log = logging.getLogger(__name__)


def main(
    evaluate: EvaluateParams,
    runtime: RuntimeParams,
    machine: MachineParams,
    *,
    store: Path,
    model: Path,
    bundle: Path,
    metrics: Path,
    predictions: Path,
    plots: Path,
) -> None:
    """Write metrics, predictions and plots."""
    rows = Store.open(store)
    predictor = Predictor.load(model, bundle, device=str(open_runtime(runtime).device))
    found = judge(rows, predictor, evaluate, machine)
    with replacing_folder(plots) as folder:
        draw(found, folder, store=rows, params=evaluate)
    write_table(predictions, found.predictions)
    write_json(metrics, found.metrics)
    log.info(summary(found.metrics))
    if warning := doubt(found.metrics):
        log.warning(warning)


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
