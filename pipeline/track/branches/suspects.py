"""The suspects of a data set in MLflow: one run with counts, noise, table and sheets."""

from pathlib import Path
from typing import Any

from pipeline.ground.files import read_json
from pipeline.track.branches.branch_result import BranchResult, read_branch_lock
from pipeline.track.result import Past
from pipeline.track.runs import leaves, metric_name

_NAME = "suspects"


def suspects_result(
    past: Past | None = None, *, table: Path, csv: Path, report: Path, sheets: Path
) -> BranchResult:
    """Return what the stage `suspects` wrote.

    Raises:
        ParamsError: suspects/dvc.lock is missing or damaged.
        DataError: report.json is missing.
    """
    lock = read_branch_lock(_NAME, past)
    found: dict[str, Any] = read_json(report)
    return BranchResult(
        kind=_NAME,
        lock=lock,
        past=past,
        outs={"dvc.report": report.name, "dvc.suspects": table.name},
        decisive="dvc.suspects",
        metrics=found,
        describe=lambda key: _describe(found, key),
        files=(report, table, csv),
        plots=sheets,
        compared={
            metric_name("suspects", *path): float(count)
            for path, count in leaves(found["suspects"])
        },
        difference="largest_difference_of_a_count",
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
