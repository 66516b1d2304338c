"""Bring the suspects of a data set to MLflow: one run with counts, noise, table and sheets.

Which run it is, and how it is completed, is told by `branch`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.ground.files import read_json
from pipeline.track.branch_run import Branch, publish_branch, read_branch_lock
from pipeline.track.params import TrackingParams
from pipeline.track.result import Past
from pipeline.track.runs import leaves, metric_name

_NAME = "suspects"


@dataclass(frozen=True)
class SuspectFiles:
    """What the stage wrote."""

    table: Path
    csv: Path
    report: Path
    sheets: Path


def publish_suspects(files: SuspectFiles, params: TrackingParams) -> None:
    """Make the run of these suspects complete, or see that it is.

    Raises:
        TrackingError: The server is away, and `tracking.required` is true.
        ParamsError: suspects/dvc.lock is missing, damaged or unfinished.
        DataError: report.json is missing.
    """
    lock = read_branch_lock(_NAME)
    publish_branch(suspects_branch(files), lock, params)


def suspects_branch(files: SuspectFiles, past: Past | None = None) -> Branch:
    """Return what there is to publish.

    Raises:
        DataError: report.json is missing.
    """
    report: dict[str, Any] = read_json(files.report)
    return Branch(
        name=_NAME,
        outs={"dvc.report": files.report.name, "dvc.suspects": files.table.name},
        decisive="dvc.suspects",
        metrics=report,
        note=lambda key: _describe(report, key),
        files=(files.report, files.table, files.csv),
        plots=files.sheets,
        compared={
            metric_name("suspects", *path): float(count)
            for path, count in leaves(report["suspects"])
        },
        difference="largest_difference_of_a_count",
        past=past,
    )


def _describe(report: dict[str, Any], key: str) -> str:
    noise = report.get("noise")
    lines = [
        f"Suspects among {report['items']} items, judged by heads that did not see them.",
        "",
        "| reason | train | val | test |",
        "|---|---|---|---|",
        *(
            f"| {reason} | {splits['train']} | {splits['val']} | {splits['test']} |"
            for reason, splits in report["suspects"].items()
        ),
        "",
        *([f"Labels estimated to be wrong: {noise['wrong']:.1%} of all.", ""] if noise else []),
        f"Note: {report['note']}.",
        "",
        f"Key `{key}`.",
    ]
    return "\n".join(lines)
