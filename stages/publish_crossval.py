"""Bring a cross-validation to MLflow: one run, with one nested in it for each fold.

Reads what the stage `crossval` wrote, and crossval/dvc.lock. Writes nothing that is versioned.
"""

from pathlib import Path

from pipeline.ground.stage import run_stage
from pipeline.track.branches.crossval import fold_result
from pipeline.track.params import TrackingParams
from pipeline.track.result_run import publish_run


def main(
    tracking: TrackingParams, *, metrics: Path, predictions: Path, history: Path, plots: Path
) -> None:
    """Publish the folds, or only look, when they are published already."""
    result = fold_result(metrics=metrics, predictions=predictions, history=history, plots=plots)
    publish_run(result, tracking)


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
