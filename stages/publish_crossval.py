"""Bring a cross-validation to MLflow: one run, with one nested in it for each fold.

Reads what the stage `crossval` wrote, and crossval/dvc.lock. Writes nothing that is versioned.
"""

from pathlib import Path

from pipeline.ground.stage import run_stage
from pipeline.track.crossval import FoldResults, publish_folds
from pipeline.track.params import TrackingParams


def main(
    tracking: TrackingParams, *, metrics: Path, predictions: Path, history: Path, plots: Path
) -> None:
    """Publish the folds, or only look, when they are published already."""
    publish_folds(FoldResults(metrics, predictions, history, plots), tracking)


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
