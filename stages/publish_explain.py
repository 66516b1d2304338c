"""Bring what explains a model to MLflow, as one run.

Reads what the stage `explain` wrote, and explain/dvc.lock. Writes nothing that is versioned.
"""

from pathlib import Path

from pipeline.ground.stage import run_stage
from pipeline.track.branches.explain import explain_result
from pipeline.track.params import TrackingParams
from pipeline.track.result_run import publish_run


def main(
    tracking: TrackingParams, *, report: Path, heat: Path, card: Path, page: Path, plots: Path
) -> None:
    """Publish the explanation, or only look, when it is published already."""
    result = explain_result(report=report, heat=heat, card=card, page=page, plots=plots)
    publish_run(result, tracking)


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
