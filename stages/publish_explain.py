"""Bring what explains a model to MLflow, as one run.

Reads what the stage `explain` wrote, and explain/dvc.lock. Writes nothing that is versioned.
"""

from pathlib import Path

from pipeline.ground.stage import run_stage
from pipeline.track.explain import ExplainFiles, publish_explanation
from pipeline.track.params import TrackingParams


def main(
    tracking: TrackingParams, *, report: Path, heat: Path, card: Path, page: Path, plots: Path
) -> None:
    """Publish the explanation, or only look, when it is published already."""
    publish_explanation(ExplainFiles(report, heat, card, page, plots), tracking)


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
