"""A cross-validation in MLflow: a run with the summary, and one nested in it for each fold."""

import csv
from pathlib import Path
from typing import Any

from pipeline.ground.files import read_json
from pipeline.track.branches.branch_result import BranchResult, read_branch_lock
from pipeline.track.nested import Nested
from pipeline.track.result import Past
from pipeline.track.runs import curve_points, metric_name, metric_points

_NAME = "crossval"


def fold_result(
    past: Past | None = None, *, metrics: Path, predictions: Path, history: Path, plots: Path
) -> BranchResult:
    """Return what the stage `crossval` wrote.

    Raises:
        ParamsError: crossval/dvc.lock is missing or damaged.
        DataError: metrics.json is missing.
    """
    lock = read_branch_lock(_NAME, past)
    found: dict[str, Any] = read_json(metrics)
    return BranchResult(
        kind=_NAME,
        lock=lock,
        past=past,
        outs={"dvc.metrics": metrics.name, "dvc.predictions": predictions.name},
        decisive="dvc.predictions",
        metrics=_headline(found),
        describe=lambda key: _describe(found, key),
        files=(metrics, predictions, history),
        plots=plots,
        compared={metric_name(name): value for name, value in found["mean"].items()},
        difference="largest_difference_of_a_mean",
        nest=lambda now_ms: _folds(found, history, now_ms),
    )


def _folds(found: dict[str, Any], history: Path, now_ms: int) -> list[Nested]:
    """Return the runs of the folds; each name is such as `repeat-1-fold-2`."""
    with history.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    curves: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        curves.setdefault(f"repeat-{row.pop('repeat')}-fold-{row.pop('fold')}", []).append(row)
    return [
        Nested(
            name=name,
            which="crossval.fold",
            tags={"crossval.fold": name, "kind": _NAME},
            params=_numbers(name),
            points=[
                *curve_points(curves.get(name, []), start_ms=now_ms),
                *metric_points(scores, time_ms=now_ms),
            ],
            start_ms=now_ms,
            end_ms=now_ms,
        )
        for name, scores in found["fold"].items()
    ]


def _numbers(fold: str) -> dict[str, int]:
    _, repeat, _, number = fold.split("-")
    return {"repeat": int(repeat), "fold": int(number)}


def _headline(found: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics of the parent: means under their own names, the rest in groups."""
    groups = ("deviation", "ci95", "baseline", "beside", "out_of_fold")
    rest = {name: found[name] for name in groups if name in found}
    return {**found["mean"], "n": found["n"], "folds": found["folds"], **rest}


def _describe(found: dict[str, Any], key: str) -> str:
    lines = [
        f"{found['folds']}-fold cross-validation, {found['repeats']} repeat(s), "
        f"{found['n']} items ({found['items']}); features are not recomputed.",
        "",
        "| metric | mean | deviation | 95 % interval |",
        "|---|---|---|---|",
        *(
            f"| {name} | {value:.4f} | {found['deviation'][name]:.4f} | "
            f"{found['ci95'][name]['low']:.4f} to {found['ci95'][name]['high']:.4f} |"
            for name, value in found["mean"].items()
        ),
        "",
        *([found["note"], ""] if "note" in found else []),
        f"Key `{key}`.",
    ]
    return "\n".join(lines)
