"""Bring one result to MLflow as exactly one complete run.

A run is a projection of versioned files, and everything here can be done again: after a kill at any
moment, on another machine, with the database deleted. Which run it is, the keys decide:

1. A complete run has this key: it is the run. If the result was made again since, to the same one
   or (under another fingerprint) to another one, it is tagged as confirmed, and nothing is added.
2. No run has the key, but a complete one has the same params and outputs (code was touched without
   effect): that run gets the key as well.
3. Else a run is completed: one that an earlier attempt left, or the one that was streamed while
   training, found by `dvc.train`, or a new one. The tag `publish.complete` comes last.

Two clones may publish one key in the same second, and each begin a run: `claim` says which stays.
The other one is deleted; where it came to another result, that confirms the first.
"""

import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.ground.files import canonical_json
from pipeline.ground.locks import wait_for_lock
from pipeline.keys.journal import journal_path
from pipeline.repo.git import has_commit
from pipeline.repo.history import find_lock
from pipeline.track.claim import Attempt, complete_once, completed_elsewhere
from pipeline.track.connection import Tracking, publish_to
from pipeline.track.follow import follow_lock
from pipeline.track.nested import complete_nested
from pipeline.track.params import TrackingParams
from pipeline.track.result import Result
from pipeline.track.runs import (
    PARENT,
    confirmed_tag,
    find_runs,
    is_complete,
    log_params,
    log_points,
    move_commit,
    set_tags,
    store_shared,
)

if TYPE_CHECKING:
    from mlflow.entities import Run

log = logging.getLogger(__name__)

_MAX_KEYS = 100
_FOLLOWER_TIMEOUT_S = 10.0


def publish_run(result: Result, params: TrackingParams) -> None:
    """Make the run of a result and what is nested in it complete, or see that they are.

    Raises:
        TrackingError: The server is away, and `tracking.required` is true.
        ParamsError: The result's lock file is unfinished.
        GitError: git cannot read the repository.
    """
    has_commit(Path())
    publish_to(params, lambda tracking: settle_run(tracking, result))


def settle_run(tracking: Tracking, result: Result) -> "Run":
    """Make the one run of a result and what is nested in it complete, and give it."""
    return _Projection(tracking, result).settle()


def add_key(tracking: Tracking, run: "Run", key: str) -> None:
    """Record on a run that changed code, of this key, came to the same result."""
    kept = [*run.data.tags["dvc.keys"].split()[-_MAX_KEYS + 1 :], key]
    set_tags(tracking, run.info.run_id, {"dvc.keys": " ".join(kept)})
    log.info("run %s: made again by touched code, to the same result", run.info.run_id)


class _Projection:
    """The way of one result into MLflow."""

    def __init__(self, tracking: Tracking, result: Result) -> None:
        self._tracking, self._client = tracking, tracking.client
        self._result = result

    def settle(self) -> "Run":
        keyed = self._keyed()
        streamed = self._find("dvc.train", self._result.training)
        run = next(filter(is_complete, keyed), None) or self._adopt_key()
        run = run or completed_elsewhere(self._tracking, filter(self._is_other, keyed))
        if run is not None:
            self._confirm(run)
        else:
            begun = next(filter(self._is_begun, [*keyed, *streamed]), None)
            run = self._client.get_run(self._complete(begun))
            streamed = self._streams()  # those begun meanwhile, too
            if not self._result.is_shown_by(run):  # another clone was first
                self._confirm(run)
        self._drop_leftovers([*keyed, *streamed], kept=run.info.run_id)
        self._nest(run)
        self._settle_commit(run)
        return self._client.get_run(run.info.run_id)

    def _find(self, tag: str, value: str) -> "list[Run]":
        return find_runs(self._tracking, tag, value) if value else []

    def _streams(self) -> "list[Run]":
        """Return what training streamed; a run with a key may be of somebody who publishes now."""
        found = self._find("dvc.train", self._result.training)
        return [run for run in found if "dvc.key" not in run.data.tags]

    def _keyed(self) -> "list[Run]":
        return self._find("dvc.keys", f"%{self._result.key}%")

    def _is_other(self, run: "Run") -> bool:
        """Return whether a run is of the same inputs, and another result."""
        return self._result.decisive in run.data.tags and not self._result.is_shown_by(run)

    def _is_begun(self, run: "Run") -> bool:
        """Return whether a run is this result's, streamed or left by an attempt that was killed."""
        if is_complete(run) or "dvc.key" not in run.data.tags:
            return not is_complete(run)
        return run.data.tags["dvc.key"] == self._result.key and self._result.is_shown_by(run)

    def _adopt_key(self) -> "Run | None":
        """Add the key to a complete run of the very same result, if there is one."""
        identity = self._result.identity
        for run in self._find(self._result.decisive, identity[self._result.decisive]):
            if is_complete(run) and identity.items() <= run.data.tags.items():
                add_key(self._tracking, run, self._result.key)
                return run
        return None

    def _confirm(self, run: "Run") -> None:
        """Tag a run as confirmed by another result of the same inputs, or by the same one again."""
        tag = confirmed_tag(self._result.identity[self._result.decisive])
        if tag in run.data.tags:
            return
        found = self._result.compare(self._tracking, run)
        if found is None:
            return
        told = canonical_json(found)
        set_tags(self._tracking, run.info.run_id, {tag: told})
        log.info("run %s: made again from the same inputs: %s", run.info.run_id, told)

    def _complete(self, run: "Run | None") -> str:
        """Write everything into a run, begun or not, and give the id of the one that stays."""
        attempt = Attempt(
            write=self._write, alike=self._keyed, is_ours=self._result.is_shown_by, drop=self._drop
        )
        run_id = complete_once(self._tracking, run, attempt)
        log.info("run %s (%s) is complete", self._result.name, run_id)
        return run_id

    def _write(self, run: "Run | None") -> str:
        """Write all but the last tag into a run, begun or not, and its nested runs; give its id."""
        result, tracking = self._result, self._tracking
        now_ms = time.time_ns() // 1_000_000
        start_ms, end_ms = result.start_ms or now_ms, result.end_ms or now_ms
        tags = result.tags()
        run = run or self._client.create_run(tracking.experiment_id, start_time=start_ms, tags=tags)
        run_id = str(run.info.run_id)
        with _follower_stopped(result.training):
            store_shared(lambda: set_tags(tracking, run_id, tags))
            store_shared(lambda: log_params(tracking, run_id, result.params))
            complete_nested(tracking, run_id, result.nested(start_ms))
            points = result.points(start_ms=run.info.start_time, end_ms=end_ms)
            log_points(tracking, run_id, points)
            self._log_inputs(run_id)
            with tempfile.TemporaryDirectory() as folder:
                result.copy_files(Path(folder))
                self._client.log_artifacts(run_id, folder)
            self._client.set_terminated(run_id, "FINISHED", end_ms)
        return run_id

    def _log_inputs(self, run_id: str) -> None:
        """Log what the result was made from, with DVC's own digests."""
        from mlflow.data.code_dataset_source import CodeDatasetSource
        from mlflow.entities import Dataset, DatasetInput, InputTag

        git = self._result.git
        datasets = []
        for each in self._result.inputs():
            place = {"git.remote": git.remote if git else "", "dvc.path": each.path}
            source = CodeDatasetSource(place).to_json()
            tags = [InputTag("mlflow.data.context", each.context)]
            datasets.append(DatasetInput(Dataset(each.path, each.md5, "code", source), tags))
        if datasets:
            store_shared(lambda: self._client.log_inputs(run_id, datasets))

    def _drop_leftovers(self, runs: "list[Run]", *, kept: str) -> None:
        """Delete unfinished runs of this result: a second stream, or an attempt that was killed."""
        for run in {run.info.run_id: run for run in runs}.values():
            is_ours = run.data.tags.get("dvc.key", self._result.key) == self._result.key
            if is_ours and run.info.run_id != kept and not is_complete(run):
                self._drop(run.info.run_id)
                log.info("run %s: deleted, its result has a run already", run.info.run_id)

    def _drop(self, run_id: str) -> None:
        """Delete a run and what is nested in it."""
        for each in self._find(PARENT, run_id):
            self._client.delete_run(each.info.run_id)
        self._client.delete_run(run_id)

    def _nest(self, run: "Run") -> None:
        """Put a run below the complete one of its model, where the UI then unfolds it.

        The model may be published later than what belongs to it; then the next attempt does this.
        """
        found = filter(is_complete, self._find("dvc.model", self._result.model))
        above = [each.info.run_id for each in found]
        if above and run.data.tags.get(PARENT) not in above:
            set_tags(self._tracking, run.info.run_id, {PARENT: above[0]})

    def _settle_commit(self, run: "Run") -> None:
        """Move `git.commit` to the commit that records the result, once there is one."""
        if run.data.tags.get("git.commit.provisional") != "true":
            return
        result = self._result
        commit = (
            result.past.git.commit
            if result.past
            else find_lock(
                Path(),
                result.key,
                file=result.lock_file,
                needed=result.lock.deps(result.stages[0]).values(),
                key_of=result.key_of,
            )
        )
        if commit:
            move_commit(self._tracking, run.info.run_id, commit, result.lock, result.stages)


@contextmanager
def _follower_stopped(training: str) -> Iterator[None]:
    """Wait for the follower of a training to finish, and keep another one from starting."""
    journal = journal_path(training)
    if not training or not journal.exists():
        yield
        return
    path = follow_lock(journal)
    with path.open("a") as stream:
        wait_for_lock(stream, path, timeout_s=_FOLLOWER_TIMEOUT_S)
        yield
