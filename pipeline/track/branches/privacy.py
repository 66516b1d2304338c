"""The membership audit of a model in MLflow: one run with rates, bound, curves and sheet.

It is nested in the run of the model. The tag `privacy.model` has what `dvc.model` is there.
"""

from pathlib import Path
from typing import Any

from pipeline.ground.files import read_json
from pipeline.track.branches.branch_result import BranchResult, model_digest, read_branch_lock
from pipeline.track.result import Past
from pipeline.track.runs import metric_points

_NAME = "privacy"


def privacy_result(
    past: Past | None = None, *, report: Path, exposed: Path, plots: Path
) -> BranchResult:
    """Return what the stage `privacy` wrote.

    Raises:
        ParamsError: privacy/dvc.lock is missing or damaged.
        DataError: report.json is missing.
    """
    lock = read_branch_lock(_NAME, past)
    found: dict[str, Any] = read_json(report)
    model, metrics = model_digest(_NAME, lock), {_NAME: found}
    return BranchResult(
        kind=_NAME,
        lock=lock,
        past=past,
        outs={"dvc.report": report.name, "dvc.exposed": exposed.name},
        decisive="dvc.report",
        metrics=metrics,
        describe=lambda key: "\n\n".join([*found["findings"], f"Key `{key}`."]),
        files=(report, exposed),
        plots=plots,
        compared={point.name: point.value for point in metric_points(metrics, time_ms=0)},
        difference="largest_difference_of_a_figure",
        further={"privacy.model": model},
        model=model,
    )
