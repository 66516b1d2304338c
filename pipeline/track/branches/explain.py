"""What explains a model in MLflow: one run with figures, model card, maps and curves.

It is nested in the run of the model: other params of `explain` give another explanation of the same
one. The tag `explain.model` has what `dvc.model` is there.
"""

from pathlib import Path
from typing import Any

from pipeline.ground.files import read_json
from pipeline.track.branches.branch_result import BranchResult, model_digest, read_branch_lock
from pipeline.track.result import Past
from pipeline.track.runs import metric_points

_NAME = "explain"


def explain_result(
    past: Past | None = None, *, report: Path, heat: Path, card: Path, page: Path, plots: Path
) -> BranchResult:
    """Return what the stage `explain` wrote.

    Raises:
        ParamsError: explain/dvc.lock is missing or damaged.
        DataError: report.json is missing.
    """
    lock = read_branch_lock(_NAME, past)
    found: dict[str, Any] = read_json(report)
    model, metrics = model_digest(_NAME, lock), {_NAME: _numbers(found)}
    return BranchResult(
        kind=_NAME,
        lock=lock,
        past=past,
        outs={"dvc.report": report.name, "dvc.card": card.name, "dvc.heat": heat.name},
        decisive="dvc.report",
        metrics=metrics,
        describe=lambda key: _describe(found, key),
        files=(report, heat, card, page),
        plots=plots,
        compared={point.name: point.value for point in metric_points(metrics, time_ms=0)},
        difference="largest_difference_of_a_figure",
        further={"explain.model": model, "explain.warnings": "\n".join(found["warnings"])},
        model=model,
    )


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
