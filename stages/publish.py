"""Bring the result to MLflow: one run, one model version, checked in a fresh process.

Reads all that the other stages wrote, and dvc.lock. Writes nothing that DVC versions: the MLflow
run, the registered model, its aliases, `.rootstock/published.json` for the summary, and a file in
`audit/` where a new version was judged.
"""

from pathlib import Path

from pipeline.ground.stage import run_stage
from pipeline.publish import publish
from pipeline.repo.lock import LOCK
from pipeline.track.main_result import ResultFiles
from pipeline.track.params import TrackingParams
from pipeline.version.params import RegistryParams


def main(
    tracking: TrackingParams,
    registry: RegistryParams,
    *,
    raw: Path,
    manifest: Path,
    report: Path,
    page: Path,
    normalization: Path,
    record: Path,
    model: Path,
    bundle: Path,
    history: Path,
    metrics: Path,
    predictions: Path,
    clean_plots: Path,
    normalize_plots: Path,
    evaluate_plots: Path,
    recipe: Path,
    candidates: Path,
    kept: Path,
) -> None:
    """Publish what the stages made, or only look, when it is published already."""
    results = ResultFiles(
        lock=Path(LOCK),
        raw=raw,
        manifest=manifest,
        report=report,
        page=page,
        normalization=normalization,
        record=record,
        model=model,
        bundle=bundle,
        history=history,
        metrics=metrics,
        predictions=predictions,
        plots=(clean_plots, normalize_plots, evaluate_plots),
        recipe=recipe,
        candidates=candidates,
        kept=kept,
    )
    publish(results, tracking, registry)


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
