"""Bring one result to MLflow as exactly one complete run.

A run is a projection of versioned files, and everything here can be done again: after a kill at any
moment, on another machine, with the database deleted. Which run it is, the keys decide:

1. A complete run has this `dvc.key`: it is the run. If it was trained again since, to the same
   model or (under another fingerprint) to another one, it is tagged as confirmed, with date and
   fingerprint, and nothing is added.
2. No run has the key, but a complete one has the same params, data, weights, model and metrics
   (code was touched without effect): that run gets the key as well.
3. Else a run is completed: one that an earlier attempt left, or the one that was streamed while
   training, found by `dvc.train`, or a new one. The tag `publish.complete` comes last.

Two clones may publish one key in the same second, and each begin a run: `agree` says which stays.
The other one is deleted; where it was trained to another model, it confirms the first.
"""

import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.ground.files import canonical_json
from pipeline.ground.locks import wait_for_lock
from pipeline.ground.tables import read_table
from pipeline.judge.tolerance import tolerance
from pipeline.keys.journal import journal_path
from pipeline.track.claim import Attempt, complete_once, completed_elsewhere
from pipeline.track.commits import find_commit
from pipeline.track.connection import Tracking
from pipeline.track.describe import describe_run
from pipeline.track.follow import follow_lock
from pipeline.track.result import PREDICTIONS, Outcome, same_identity
from pipeline.track.runs import (
    confirmed_tag,
    find_runs,
    is_complete,
    log_params,
    log_points,
    metric_points,
    move_commit,
    set_tags,
    store_shared,
    utc,
)

if TYPE_CHECKING:
    from mlflow.entities import Run

log = logging.getLogger(__name__)

STAGES = ("train", "evaluate")
"""Whose code and params make a result."""

_MAX_KEYS = 100
_FOLLOWER_TIMEOUT_S = 10.0


def settle_run(tracking: Tracking, outcome: Outcome) -> "Run":
    """Make the one run of a result complete, and give it."""
    keyed = find_runs(tracking, "dvc.keys", f"%{outcome.keys.key}%")
    streamed = find_runs(tracking, "dvc.train", outcome.keys.train)
    run = next(filter(is_complete, keyed), None) or _adopt_key(tracking, outcome)
    run = run or completed_elsewhere(tracking, (each for each in keyed if _is_other(outcome, each)))
    if run is None:
        begun = [each for each in [*keyed, *streamed] if _is_begun(outcome, each)]
        run_id = _complete(tracking, outcome, begun[0] if begun else None)
        run = tracking.client.get_run(run_id)
        if run.data.tags.get("dvc.model") != outcome.keys.model:  # another clone was first
            _confirm(tracking, outcome, run)
    elif _is_trained_again(outcome, run):
        _confirm(tracking, outcome, run)
    _drop_leftovers(tracking, outcome, [*keyed, *streamed], kept=run.info.run_id)
    _settle_commit(tracking, outcome, run)
    return tracking.client.get_run(run.info.run_id)


def _is_other(outcome: Outcome, run: "Run") -> bool:
    """Return whether a run is of the same inputs, trained to another model."""
    return run.data.tags.get("dvc.model", outcome.keys.model) != outcome.keys.model


def _is_begun(outcome: Outcome, run: "Run") -> bool:
    """Return whether a run is this result's, streamed or left by an attempt that was killed."""
    if is_complete(run):
        return False
    tags = run.data.tags
    return "dvc.key" not in tags or (
        tags["dvc.key"] == outcome.keys.key and tags.get("dvc.model") == outcome.keys.model
    )


def _complete(tracking: Tracking, outcome: Outcome, run: "Run | None") -> str:
    """Write everything into a run, begun or not, and give the id of the one that stays."""
    attempt = Attempt(
        write=lambda found: _write(tracking, outcome, found),
        alike=lambda: find_runs(tracking, "dvc.keys", f"%{outcome.keys.key}%"),
        is_ours=lambda found: found.data.tags.get("dvc.model") == outcome.keys.model,
        drop=tracking.client.delete_run,
    )
    run_id = complete_once(tracking, run, attempt)
    log.info("run %s (%s) is complete", outcome.name, run_id)
    return run_id


def _write(tracking: Tracking, outcome: Outcome, run: "Run | None") -> str:
    """Write all but the last tag into a run, begun or not, and give its id."""
    now_ms = time.time_ns() // 1_000_000
    start_ms, end_ms = outcome.start_ms or now_ms, outcome.end_ms or now_ms
    if run is None:
        run = tracking.client.create_run(
            tracking.experiment_id, start_time=start_ms, tags=outcome.tags()
        )
    run_id = str(run.info.run_id)
    with _follower_stopped(outcome.keys.train):
        set_tags(tracking, run_id, outcome.tags())
        log_params(tracking, run_id, outcome.params)
        points = outcome.curve(start_ms=run.info.start_time)
        points += metric_points(outcome.metrics, time_ms=end_ms)
        log_points(tracking, run_id, points)
        _log_inputs(tracking, run_id, outcome)
        with tempfile.TemporaryDirectory() as name:
            outcome.copy_files(Path(name))
            tracking.client.log_artifacts(run_id, name)
        name = outcome.name
        note = describe_run(outcome.params, outcome.metrics, key=outcome.keys.key)
        set_tags(tracking, run_id, {"mlflow.runName": name, "mlflow.note.content": note})
        tracking.client.set_terminated(run_id, "FINISHED", end_ms)
    return run_id


@contextmanager
def _follower_stopped(train: str) -> Iterator[None]:
    """Wait for the follower of a training to finish, and keep another one from starting."""
    journal = journal_path(train)
    if not journal.exists():
        yield
        return
    path = follow_lock(journal)
    with path.open("a") as stream:
        wait_for_lock(stream, path, timeout_s=_FOLLOWER_TIMEOUT_S)
        yield


def _log_inputs(tracking: Tracking, run_id: str, outcome: Outcome) -> None:
    """Log what the result was made from, with DVC's own digests."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = [("raw", outcome.results.raw.as_posix(), outcome.keys.data)]
    inputs += [("weights", path, md5) for path, md5 in outcome.lock.outs("weights").items()]
    inputs += [("store", path, md5) for path, md5 in outcome.lock.outs("transform").items()]
    remote = outcome.git.remote if outcome.git else ""
    datasets = []
    for context, path, md5 in inputs:
        source = CodeDatasetSource({"git.remote": remote, "dvc.path": path}).to_json()
        tags = [InputTag("mlflow.data.context", context)]
        datasets.append(DatasetInput(Dataset(path, md5, "code", source), tags))
    store_shared(lambda: tracking.client.log_inputs(run_id, datasets))


def _adopt_key(tracking: Tracking, outcome: Outcome) -> "Run | None":
    """Add the key to a complete run of the very same result, if there is one."""
    for run in find_runs(tracking, "dvc.model", outcome.keys.model):
        if is_complete(run) and same_identity(outcome, run.data.tags):
            add_key(tracking, run, outcome.keys.key)
            return run
    return None


def add_key(tracking: Tracking, run: "Run", key: str) -> None:
    """Record on a run that changed code, of this key, came to the same result."""
    kept = [*run.data.tags["dvc.keys"].split()[-_MAX_KEYS + 1 :], key]
    set_tags(tracking, run.info.run_id, {"dvc.keys": " ".join(kept)})
    log.info("run %s: made again by touched code, to the same result", run.info.run_id)


def _is_trained_again(outcome: Outcome, run: "Run") -> bool:
    """Return whether this is another training than the one that the run shows.

    Where it came to the same model, the journal tells: it ends after the run did.
    """
    if run.data.tags.get("dvc.model") != outcome.keys.model:
        return True
    ended_ms = outcome.journal.end_ms if outcome.journal else None
    return ended_ms is not None and ended_ms > (run.info.end_time or ended_ms)


def _confirm(tracking: Tracking, outcome: Outcome, run: "Run") -> None:
    """Tag a run as confirmed by another training of the same inputs."""
    tag = confirmed_tag(outcome.keys.model)
    if tag in run.data.tags:
        return
    is_same = run.data.tags.get("dvc.model") == outcome.keys.model
    largest = 0.0 if is_same else _largest_difference(tracking, outcome, run)
    limit = tolerance(outcome.bundle)
    close = largest is not None and largest <= limit
    told = "the model is equal to the bit"
    if not is_same:
        told = f"predictions within {limit:g}: {'yes' if close else 'no'}"
    found = {
        "dvc.model": outcome.keys.model,
        "date": utc(outcome.end_ms),
        "fingerprint": outcome.bundle.get("fingerprint", {}),
        "largest_difference": largest,
        "comparison": told,
    }
    set_tags(tracking, run.info.run_id, {tag: canonical_json(found)})
    say = log.info if close else log.warning
    say("run %s: trained again, %s, largest difference %s", run.info.run_id, told, largest)


def _largest_difference(tracking: Tracking, outcome: Outcome, run: "Run") -> float | None:
    """Compare predictions with those that the run keeps; None where they cannot be compared."""
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as name:
        try:
            path = tracking.client.download_artifacts(run.info.run_id, PREDICTIONS, name)
        except (MlflowException, OSError) as error:
            log.warning("run %s: its predictions cannot be read: %s", run.info.run_id, error)
            return None
        old = read_table(Path(path)).set_index("path")
    new = read_table(outcome.files.predictions).set_index("path")
    columns = [name for name in new.columns if name == "value" or name.startswith("p_")]
    if set(old.index) != set(new.index) or not set(columns) <= set(old.columns):
        return None
    return _spread(old.loc[new.index, columns], new[columns])


def _spread(old: pd.DataFrame, new: pd.DataFrame) -> float:
    return float(np.max(np.abs(new.to_numpy(np.float64) - old.to_numpy(np.float64)), initial=0.0))


def _drop_leftovers(tracking: Tracking, outcome: Outcome, runs: "list[Run]", *, kept: str) -> None:
    """Delete unfinished runs of this training: a second stream, or an attempt that was killed."""
    for run in {run.info.run_id: run for run in runs}.values():
        is_ours = run.data.tags.get("dvc.key", outcome.keys.key) == outcome.keys.key
        if is_ours and run.info.run_id != kept and not is_complete(run):
            tracking.client.delete_run(run.info.run_id)
            log.info("run %s: deleted, its result has a run already", run.info.run_id)


def _settle_commit(tracking: Tracking, outcome: Outcome, run: "Run") -> None:
    """Move `git.commit` to the commit that records the result, once there is one."""
    tags = tracking.client.get_run(run.info.run_id).data.tags
    if tags.get("git.commit.provisional") != "true":
        return
    commit = outcome.past.git.commit if outcome.past else None
    commit = commit or find_commit(Path(), outcome.keys.key, outcome.lock)
    if commit:
        move_commit(tracking, run.info.run_id, commit, outcome.lock, STAGES)
