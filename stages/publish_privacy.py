"""Bring the membership audit of a model to MLflow, as one run nested in the model's.

Reads what the stage `privacy` wrote, and privacy/dvc.lock. Writes nothing that is versioned.
"""

from pathlib import Path

from pipeline.ground.stage import run_stage
from pipeline.track.branches.privacy import privacy_result
from pipeline.track.params import TrackingParams
from pipeline.track.result_run import publish_run


def main(tracking: TrackingParams, *, report: Path, exposed: Path, plots: Path) -> None:
    """Publish the audit, or only look, when it is published already."""
    publish_run(privacy_result(report=report, exposed=exposed, plots=plots), tracking)


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
