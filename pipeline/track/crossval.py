"""Bring a cross-validation to MLflow: a parent run with the summary, a nested run for each fold.

Which run it is, and how it is completed, is told by `branch`.
"""

import csv
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.ground.files import read_json
from pipeline.track.branch_run import PARENT, Branch, publish_branch, read_branch_lock
from pipeline.track.claim import Attempt, complete_once
from pipeline.track.connection import Tracking
from pipeline.track.params import TrackingParams
from pipeline.track.result import Past
from pipeline.track.runs import (
    Point,
    find_runs,
    is_complete,
    log_params,
    log_points,
    metric_name,
    metric_points,
    store_shared,
)

if TYPE_CHECKING:
    from mlflow.entities import Run

_NAME = "crossval"
_FOLD = "crossval.fold"


@dataclass(frozen=True)
class FoldResults:
    """What the stage wrote."""

    metrics: Path
    predictions: Path
    history: Path
    plots: Path


def publish_folds(results: FoldResults, params: TrackingParams) -> None:
    """Make the parent and its nested runs complete, or see that they are.

    Raises:
        TrackingError: The server is away, and `tracking.required` is true.
        ParamsError: crossval/dvc.lock is missing, damaged or unfinished.
        DataError: metrics.json is missing.
    """
    lock = read_branch_lock(_NAME)
    publish_branch(fold_branch(results), lock, params)


def fold_branch(results: FoldResults, past: Past | None = None) -> Branch:
    """Return what there is to publish.

    Raises:
        DataError: metrics.json is missing.
    """
    found: dict[str, Any] = read_json(results.metrics)
    return Branch(
        name=_NAME,
        outs={"dvc.metrics": results.metrics.name, "dvc.predictions": results.predictions.name},
        decisive="dvc.predictions",
        metrics=_headline(found),
        note=lambda key: _describe(found, key),
        files=(results.metrics, results.predictions, results.history),
        plots=results.plots,
        compared={metric_name(name): value for name, value in found["mean"].items()},
        difference="largest_difference_of_a_mean",
        log_nested=lambda tracking, parent, now_ms: _log_folds(
            tracking, parent, results, found, now_ms
        ),
        past=past,
    )


def _log_folds(
    tracking: Tracking, parent: str, results: FoldResults, found: dict[str, Any], now_ms: int
) -> None:
    """Complete the nested runs, those that an earlier attempt or another clone began too."""
    for fold, scores in found["fold"].items():
        known = _of_fold(tracking, parent, fold)
        if any(map(is_complete, known)):
            continue
        points = _curve(results.history, fold, now_ms) + metric_points(scores, time_ms=now_ms)
        attempt = Attempt(
            write=partial(_write_fold, tracking, parent, fold, points, now_ms),
            alike=partial(_of_fold, tracking, parent, fold),
            is_ours=lambda _: True,
            drop=tracking.client.delete_run,
        )
        complete_once(tracking, known[0] if known else None, attempt)


def _of_fold(tracking: Tracking, parent: str, fold: str) -> "list[Run]":
    runs = find_runs(tracking, PARENT, parent)
    return [run for run in runs if run.data.tags.get(_FOLD) == fold]


def _write_fold(
    tracking: Tracking, parent: str, fold: str, points: list[Point], now_ms: int, run: "Run | None"
) -> str:
    tags = {PARENT: parent, _FOLD: fold, "kind": _NAME, "mlflow.runName": fold}
    run = run or tracking.client.create_run(tracking.experiment_id, start_time=now_ms, tags=tags)
    run_id = str(run.info.run_id)
    log_points(tracking, run_id, points)
    store_shared(lambda: log_params(tracking, run_id, _numbers(fold)))
    tracking.client.set_terminated(run_id, "FINISHED", now_ms)
    return run_id


def _numbers(fold: str) -> dict[str, int]:
    """Return repeat and fold of a name such as `repeat-1-fold-2`."""
    _, repeat, _, number = fold.split("-")
    return {"repeat": int(repeat), "fold": int(number)}


def _curve(history: Path, fold: str, start_ms: int) -> list[Point]:
    with history.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    points = []
    for row in rows:
        if f"repeat-{row.pop('repeat')}-fold-{row.pop('fold')}" != fold:
            continue
        epoch = int(row.pop("epoch"))
        points += [
            Point(metric_name(name), float(text), epoch, start_ms + epoch)
            for name, text in row.items()
            if text
        ]
    return points


def _headline(found: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics of the parent: means under their own names, the rest in groups."""
    groups = ("deviation", "ci95", "baseline", "out_of_fold")
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
