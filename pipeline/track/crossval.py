"""Bring a cross-validation to MLflow: a parent run with the summary, a nested run for each fold.

The key of the parent is made of what the stage `crossval` read, as crossval/dvc.lock has it: same
key, same run. Everything here can be done again, after a kill at any moment or with the database
deleted; the tag `publish.complete` of the parent comes last.
"""

import csv
import logging
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import TrackingError
from pipeline.files import read_json
from pipeline.track.commits import git_facts
from pipeline.track.describe import run_name
from pipeline.track.lineage import GRAPH, LOCK, PARAMS, Lock, deps_key
from pipeline.track.runs import (
    COMPLETE,
    Point,
    find_runs,
    is_complete,
    log_params,
    log_points,
    metric_name,
    metric_points,
    set_tags,
)
from pipeline.track.tracking import Tracking, TrackingParams, connect, exclusive, translated_errors

if TYPE_CHECKING:
    from mlflow.entities import Run

log = logging.getLogger(__name__)

_FOLDER = Path("crossval")
_STAGE = "crossval"
_LOCK_TIMEOUT_S = 1800.0
_FOLD = "crossval.fold"
_PARENT = "mlflow.parentRunId"


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
    """
    lock = Lock.read(_FOLDER / LOCK)
    key = deps_key(lock.deps(_STAGE), lock.params(_STAGE))
    try:
        with exclusive("mlflow-publish", timeout_s=_LOCK_TIMEOUT_S):
            tracking = connect(params.experiment)
            with translated_errors(tracking.uri):
                _settle(tracking, results, lock, key)
    except TrackingError as error:
        if params.required:
            raise
        log.warning("%s", error)


def _settle(tracking: Tracking, results: FoldResults, lock: Lock, key: str) -> None:
    known = find_runs(tracking, "dvc.keys", f"%{key}%")
    done = next(filter(is_complete, known), None)
    if done is not None:
        log.info("run %s has this cross-validation already", done.info.run_id)
        return
    found = read_json(results.metrics)
    now_ms = time.time_ns() // 1_000_000
    tags = {"dvc.key": key, "dvc.keys": key, "kind": "crossval", "mlflow.source.name": "dvc repro"}
    git = git_facts(Path(), written=sorted(lock.all_outs()))
    if git:
        tags |= {"git.commit": git.commit, "git.branch": git.branch,
                 "git.dirty": str(git.is_dirty).lower(), "mlflow.user": git.author}  # fmt: skip
    tags = {name: value for name, value in tags.items() if value}
    run = known[0] if known else tracking.client.create_run(
        tracking.experiment_id, start_time=now_ms, tags=tags
    )  # fmt: skip
    run_id = str(run.info.run_id)
    params = _params(lock)
    name = f"crossval-{run_name(params, key)}"
    set_tags(tracking, run_id, {**tags, "mlflow.runName": name,
                                "mlflow.note.content": _describe(found, key)})  # fmt: skip
    log_params(tracking, run_id, params)
    _log_folds(tracking, run_id, results, found, now_ms)
    log_points(tracking, run_id, metric_points(_headline(found), time_ms=now_ms))
    with tempfile.TemporaryDirectory() as scratch:
        _copy(results, Path(scratch))
        tracking.client.log_artifacts(run_id, scratch)
    tracking.client.set_terminated(run_id, "FINISHED", now_ms)
    set_tags(tracking, run_id, {COMPLETE: "true"})
    log.info("run %s (%s) is complete, with %d nested runs", name, run_id, len(found["fold"]))


def _log_folds(
    tracking: Tracking, parent: str, results: FoldResults, found: dict[str, Any], now_ms: int
) -> None:
    """Complete the nested runs, those that an earlier attempt left too."""
    known = {run.data.tags[_FOLD]: run for run in find_runs(tracking, _PARENT, parent)
             if _FOLD in run.data.tags}  # fmt: skip
    for fold, scores in found["fold"].items():
        run: Run | None = known.get(fold)
        if run is not None and is_complete(run):
            continue
        tags = {_PARENT: parent, _FOLD: fold, "kind": "crossval", "mlflow.runName": fold}
        run = run or tracking.client.create_run(
            tracking.experiment_id, start_time=now_ms, tags=tags
        )
        run_id = str(run.info.run_id)
        points = _curve(results.history, fold, now_ms)
        log_points(tracking, run_id, points + metric_points(scores, time_ms=now_ms))
        log_params(tracking, run_id, {"fold": fold})
        tracking.client.set_terminated(run_id, "FINISHED", now_ms)
        set_tags(tracking, run_id, {COMPLETE: "true"})


def _curve(history: Path, fold: str, start_ms: int) -> list[Point]:
    with history.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    points = []
    for row in rows:
        if f"repeat-{row.pop('repeat')}-fold-{row.pop('fold')}" != fold:
            continue
        epoch = int(row.pop("epoch"))
        points += [Point(metric_name(name), float(text), epoch, start_ms + epoch)
                   for name, text in row.items() if text]  # fmt: skip
    return points


def _headline(found: dict[str, Any]) -> dict[str, Any]:
    """Give the metrics of the parent: means under their own names, the rest in groups."""
    rest = {name: found[name] for name in ("deviation", "ci95", "out_of_fold") if name in found}
    return {**found["mean"], "n": found["n"], "folds": found["folds"], **rest}


def _params(lock: Lock) -> dict[str, Any]:
    """Give the params of the folds, and those that made the features they train on."""
    main = Path(LOCK)
    before = Lock.read(main).all_params(without="publish") if main.exists() else {}
    return before | lock.params(_STAGE)


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


def _copy(results: FoldResults, folder: Path) -> None:
    lineage = [Path(PARAMS), Path(GRAPH), Path(LOCK), _FOLDER / GRAPH, _FOLDER / LOCK]
    for path in filter(Path.exists, lineage):
        (folder / "lineage" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / "lineage" / path)
    (folder / "results").mkdir()
    for path in (results.metrics, results.predictions, results.history):
        shutil.copyfile(path, folder / "results" / path.name)
    shutil.copytree(results.plots, folder / "plots")
