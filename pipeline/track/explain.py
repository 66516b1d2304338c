"""Bring what explains a model to MLflow: one run with figures, model card, maps and curves.

Which run it is, and how it is completed, is told by `branch`. It is nested in the run of the model:
other params of `explain` give another explanation of the same one. The tag `explain.model` has what
`dvc.model` is there.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.ground.files import read_json
from pipeline.keys.lock import LOCK, Lock
from pipeline.track.branch_run import Branch, publish_branch, read_branch_lock
from pipeline.track.params import TrackingParams
from pipeline.track.result import Past
from pipeline.track.runs import metric_points

_NAME = "explain"
_MODEL = "model.safetensors"


@dataclass(frozen=True)
class ExplainFiles:
    """What the stage wrote."""

    report: Path
    heat: Path
    card: Path
    page: Path
    plots: Path


def publish_explanation(files: ExplainFiles, params: TrackingParams) -> None:
    """Make the run of this explanation complete, or see that it is.

    Raises:
        TrackingError: The server is away, and `tracking.required` is true.
        ParamsError: explain/dvc.lock is missing, damaged or unfinished.
        DataError: report.json is missing.
    """
    lock = read_branch_lock(_NAME)
    publish_branch(explain_branch(files), lock, params)


def explain_branch(files: ExplainFiles, past: Past | None = None) -> Branch:
    """Return what there is to publish.

    Raises:
        DataError: report.json is missing.
        ParamsError: explain/dvc.lock is missing or damaged.
    """
    report: dict[str, Any] = read_json(files.report)
    model = _model(Lock.read((past.root if past else Path()) / _NAME / LOCK))
    metrics = {_NAME: _numbers(report)}
    return Branch(
        name=_NAME,
        outs={
            "dvc.report": files.report.name,
            "dvc.card": files.card.name,
            "dvc.heat": files.heat.name,
        },
        decisive="dvc.report",
        metrics=metrics,
        note=lambda key: _describe(report, key),
        files=(files.report, files.heat, files.card, files.page),
        plots=files.plots,
        compared={point.name: point.value for point in metric_points(metrics, time_ms=0)},
        difference="largest_difference_of_a_figure",
        tags={"explain.model": model, "explain.warnings": "\n".join(report["warnings"])},
        model=model,
        past=past,
    )


def _model(lock: Lock) -> str:
    """Return the digest that the model's run has as `dvc.model`."""
    found = [md5 for path, md5 in lock.deps(_NAME).items() if Path(path).name == _MODEL]
    return found[0] if found else ""


def _numbers(report: dict[str, Any]) -> dict[str, Any]:
    """Return the report's numbers, nested; each slice by its column and value."""
    slices: dict[str, dict[str, Any]] = {}
    for each in report["slices"]["slices"]:
        told = {name: each[name] for name in ("n", "score", "low", "high", "difference")}
        slices.setdefault(each["column"], {})[each["value"]] = told
    return {**report, "slices": slices}


def _describe(report: dict[str, Any], key: str) -> str:
    return "\n\n".join(
        [
            f"Why the model answers as it does on {report['items']} test items; the model card is "
            "in `results/`.",
            *(f"**Warning:** {text}" for text in report["warnings"]),
            *report["findings"],
            report["slices"]["text"],
            f"Key `{key}`.",
        ]
    )
