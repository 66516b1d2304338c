"""Bring the suspects of a data set to MLflow, as one run.

Reads what the stage `suspects` wrote, and suspects/dvc.lock. Writes nothing that is versioned.
"""

from pathlib import Path

from pipeline.ground.stage import run_stage
from pipeline.track.branches.suspects import suspects_result
from pipeline.track.params import TrackingParams
from pipeline.track.result_run import publish_run


def main(tracking: TrackingParams, *, table: Path, csv: Path, report: Path, sheets: Path) -> None:
    """Publish the suspects, or only look, when they are published already."""
    result = suspects_result(table=table, csv=csv, report=report, sheets=sheets)
    publish_run(result, tracking)


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
