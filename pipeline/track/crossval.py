"""Bring a cross-validation to MLflow: a parent run with the summary, a nested run for each fold.

The key is made of what the stage `crossval` read, as crossval/dvc.lock has it. Everything here can
be done again, after a kill at any moment or with the database deleted. The rules are those of
`projection`:

1. A complete run has this key: it is the run. If its predictions are others (the same inputs,
   trained under another fingerprint), it is tagged as confirmed, and nothing is added.
2. No run has the key, but a complete one has the same params, metrics and predictions (code was
   touched without effect): that run gets the key as well.
3. Else a run is completed: one that an earlier attempt left, or a new one. The tag
   `publish.complete` of the parent comes last.
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
from pipeline.files import canonical_json, read_json, sha256_json
from pipeline.track.commits import GitFacts, find_lock, git_facts
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
_MAX_KEYS = 100


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
    try:
        with exclusive("mlflow-publish", timeout_s=_LOCK_TIMEOUT_S):
            tracking = connect(params.experiment)
            with translated_errors(tracking.uri):
                _settle(tracking, results, lock)
    except TrackingError as error:
        if params.required:
            raise
        log.warning("%s", error)


def _key(lock: Lock) -> str:
    return deps_key(lock.deps(_STAGE), lock.params(_STAGE))


def _settle(tracking: Tracking, results: FoldResults, lock: Lock) -> None:
    key, found, identity = _key(lock), read_json(results.metrics), _identity(lock)
    known = find_runs(tracking, "dvc.keys", f"%{key}%")
    done = next(filter(is_complete, known), None) or _adopt_key(tracking, identity, key)
    if done is None:
        wanted = identity["dvc.predictions"]
        begun = [run for run in known if run.data.tags.get("dvc.predictions") == wanted]
        run_id = _complete(tracking, results, lock, begun[0] if begun else None)
        done = tracking.client.get_run(run_id)
    else:
        log.info("run %s has this cross-validation already", done.info.run_id)
        _confirm(tracking, done, identity, found)
    _drop_leftovers(tracking, known, kept=done.info.run_id)
    _settle_commit(tracking, done, lock)


def _identity(lock: Lock) -> dict[str, str]:
    """Give the tags that say which result this is, other than its key."""
    outs = {Path(path).name: md5 for path, md5 in lock.outs(_STAGE).items()}
    return {
        "dvc.params": sha256_json(_params(lock)),
        "dvc.metrics": outs["metrics.json"],
        "dvc.predictions": outs["predictions.parquet"],
    }


def _adopt_key(tracking: Tracking, identity: dict[str, str], key: str) -> "Run | None":
    """Add the key to a complete run of the very same result, if there is one."""
    for run in find_runs(tracking, "dvc.predictions", identity["dvc.predictions"]):
        tags = run.data.tags
        if is_complete(run) and all(tags.get(name) == text for name, text in identity.items()):
            keys = " ".join([*tags["dvc.keys"].split()[-_MAX_KEYS + 1 :], key])
            set_tags(tracking, run.info.run_id, {"dvc.keys": keys})
            return run
    return None


def _confirm(
    tracking: Tracking, run: "Run", identity: dict[str, str], found: dict[str, Any]
) -> None:
    """Tag a run as confirmed by the same folds, trained under another fingerprint."""
    tag = f"confirmed.{identity['dvc.predictions'][:8]}"
    if run.data.tags.get("dvc.predictions") == identity["dvc.predictions"] or tag in run.data.tags:
        return
    means = {metric_name(name): value for name, value in found["mean"].items()}
    old = run.data.metrics
    largest = max((abs(means[name] - old[name]) for name in means if name in old), default=None)
    note = {"dvc.predictions": identity["dvc.predictions"], "largest_difference_of_a_mean": largest}
    set_tags(tracking, run.info.run_id, {tag: canonical_json(note)})
    log.info("run %s: folds trained again to other predictions, largest difference of a mean %s",
             run.info.run_id, largest)  # fmt: skip


def _drop_leftovers(tracking: Tracking, runs: "list[Run]", *, kept: str) -> None:
    """Delete unfinished runs of this key, and what is nested in them."""
    for run in runs:
        if run.info.run_id != kept and not is_complete(run):
            for each in [*find_runs(tracking, _PARENT, run.info.run_id), run]:
                tracking.client.delete_run(each.info.run_id)
            log.info("run %s: deleted, its result has a run already", run.info.run_id)


def _settle_commit(tracking: Tracking, run: "Run", lock: Lock) -> None:
    """Move `git.commit` to the commit that records the result, once there is one."""
    if run.data.tags.get("git.commit.provisional") != "true":
        return
    commit = find_lock(Path(), _key(lock), file=_FOLDER / LOCK, key_of=_key,
                       needed=lock.deps(_STAGE).values())  # fmt: skip
    if commit:
        set_tags(tracking, run.info.run_id,
                 {"git.commit": commit, "git.commit.provisional": "false",
                  "mlflow.source.git.commit": commit})  # fmt: skip
        log.info("run %s: recorded by commit %s", run.info.run_id, commit[:12])


def _complete(tracking: Tracking, results: FoldResults, lock: Lock, run: "Run | None") -> str:
    """Write everything into a run, begun or not, and its nested runs; give its id."""
    key, found, params = _key(lock), read_json(results.metrics), _params(lock)
    now_ms = time.time_ns() // 1_000_000
    name = f"crossval-{run_name(params, key)}"
    git = _git(lock)
    tags = _tags(lock, git) | {"mlflow.runName": name}
    run = run or tracking.client.create_run(tracking.experiment_id, start_time=now_ms, tags=tags)
    run_id = str(run.info.run_id)
    set_tags(tracking, run_id, {**tags, "mlflow.note.content": _describe(found, key)})
    log_params(tracking, run_id, params)
    _log_folds(tracking, run_id, results, found, now_ms)
    log_points(tracking, run_id, metric_points(_headline(found), time_ms=now_ms))
    with tempfile.TemporaryDirectory() as scratch:
        _copy(results, Path(scratch), diff=git.diff if git else "")
        tracking.client.log_artifacts(run_id, scratch)
    tracking.client.set_terminated(run_id, "FINISHED", now_ms)
    set_tags(tracking, run_id, {COMPLETE: "true"})
    log.info("run %s (%s) is complete, with %d nested runs", name, run_id, len(found["fold"]))
    return run_id


def _git(lock: Lock) -> GitFacts | None:
    outs = sorted(lock.all_outs())
    ignores = {str(Path(out).parent / ".gitignore") for out in outs}  # DVC writes them
    return git_facts(Path(), written=[*outs, *sorted(ignores)])


def _tags(lock: Lock, git: GitFacts | None) -> dict[str, str]:
    key = _key(lock)
    tags = {"dvc.key": key, "dvc.keys": key, "kind": "crossval", "mlflow.source.name": "dvc repro"}
    tags |= _identity(lock)
    if git:
        tags |= {
            "git.commit": git.commit, "git.commit.provisional": "true", "git.branch": git.branch,
            "git.dirty": str(git.is_dirty).lower(), "git.remote": git.remote,
            "mlflow.source.git.commit": git.commit, "mlflow.user": git.author,
        }  # fmt: skip
    return {name: value for name, value in tags.items() if value}


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
        log_params(tracking, run_id, _numbers(fold))
        tracking.client.set_terminated(run_id, "FINISHED", now_ms)
        set_tags(tracking, run_id, {COMPLETE: "true"})


def _numbers(fold: str) -> dict[str, int]:
    """Give repeat and fold of a name such as `repeat-1-fold-2`."""
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
        points += [Point(metric_name(name), float(text), epoch, start_ms + epoch)
                   for name, text in row.items() if text]  # fmt: skip
    return points


def _headline(found: dict[str, Any]) -> dict[str, Any]:
    """Give the metrics of the parent: means under their own names, the rest in groups."""
    groups = ("deviation", "ci95", "baseline", "out_of_fold")
    rest = {name: found[name] for name in groups if name in found}
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


def _copy(results: FoldResults, folder: Path, *, diff: str) -> None:
    lineage = [Path(PARAMS), Path(GRAPH), Path(LOCK), _FOLDER / GRAPH, _FOLDER / LOCK]
    for path in filter(Path.exists, lineage):
        (folder / "lineage" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / "lineage" / path)
    if diff:
        (folder / "lineage" / "git-diff-HEAD.patch").write_text(diff, encoding="utf-8")
    (folder / "results").mkdir()
    for path in (results.metrics, results.predictions, results.history):
        shutil.copyfile(path, folder / "results" / path.name)
    shutil.copytree(results.plots, folder / "plots")
