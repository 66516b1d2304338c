"""Bring the result of a side branch to MLflow: one run, and what is nested in it.

A side branch is a folder with a dvc.yaml of its own, whose stage of the same name makes the result.
The key is made of what that stage read, as the folder's dvc.lock has it. Everything here can be
done again, after a kill at any moment or with the database deleted. The rules are those of
`projection`:

1. A complete run has this key: it is the run. If its result is another one (the same inputs, under
   another fingerprint), it is tagged as confirmed, and nothing is added.
2. No run has the key, but a complete one has the same params and outputs (code was touched without
   effect): that run gets the key as well.
3. Else a run is completed: one that an earlier attempt left, or a new one. The tag
   `publish.complete` of the run comes last. Of clones that do so at once, one makes it (`agree`).
"""

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.ground.errors import TrackingError
from pipeline.ground.files import canonical_json, sha256_json
from pipeline.ground.git import has_commit
from pipeline.keys.lock import GRAPH, LOCK, PARAMS, Lock, deps_key
from pipeline.keys.recorded import AUDIT
from pipeline.track.claim import Attempt, complete_once, completed_elsewhere
from pipeline.track.commits import GitFacts, find_lock, git_facts
from pipeline.track.connection import Tracking, publishing_to
from pipeline.track.describe import run_name
from pipeline.track.params import TrackingParams
from pipeline.track.result import Past
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

PARENT = "mlflow.parentRunId"
_MAX_KEYS = 100


@dataclass(frozen=True)
class Branch:
    """One result of a side branch.

    Attributes:
        name: Of the folder, of its stage, and of the kind of run.
        outs: File names of the outs that say which result it is, by their tags.
        decisive: The tag of the one among them that differs where the result does.
        metrics: What the run's metrics are, nested.
        note: The run's description, by the key.
        files: Go into the artifact folder `results`.
        plots: A folder; it becomes the artifact folder `plots`.
        compared: By name in MLflow, the metrics by which this result is told from another one of
            the same inputs.
        difference: What the largest difference of these is called.
        tags: Further ones of the run; those without text are left out.
        log_nested: Completes the runs nested in the run, by its id and the time in ms.
        model: `dvc.model` of the run that this one is nested in; empty for a run beside all others.
        past: Where the repository is meant as it was; None: the working directory, as it is.
    """

    name: str
    outs: Mapping[str, str]
    decisive: str
    metrics: Mapping[str, Any]
    note: Callable[[str], str]
    files: tuple[Path, ...]
    plots: Path
    compared: Mapping[str, float]
    difference: str
    tags: Mapping[str, str] = field(default_factory=dict)
    log_nested: Callable[[Tracking, str, int], None] | None = None
    model: str = ""
    past: Past | None = None

    @property
    def root(self) -> Path:
        """The root of the repository, as it is or was."""
        return self.past.root if self.past else Path()

    @property
    def folder(self) -> Path:
        """Where its dvc.yaml lies."""
        return Path(self.name)


def read_branch_lock(name: str) -> Lock:
    """Read the dvc.lock of a side branch, in the folder of its name.

    Raises:
        ParamsError: It is missing or damaged.
    """
    return Lock.read(Path(name) / LOCK)


def publish_branch(branch: Branch, lock: Lock, params: TrackingParams) -> None:
    """Make the run and what is nested in it complete, or see that they are.

    Raises:
        TrackingError: The server is away, and `tracking.required` is true.
        ParamsError: The branch's dvc.lock is unfinished.
        GitError: git cannot read the repository.
    """
    has_commit(Path())
    try:
        with publishing_to(params.experiment) as tracking:
            settle_branch(tracking, branch, lock)
    except TrackingError as error:
        if params.required:
            raise
        log.warning("%s", error)


def _key(branch: Branch, lock: Lock) -> str:
    return deps_key(lock.deps(branch.name), lock.params(branch.name))


def settle_branch(tracking: Tracking, branch: Branch, lock: Lock) -> "Run":
    """Make the one run of a result and what is nested in it complete, and give it."""
    key, identity = _key(branch, lock), _identity(branch, lock)
    known = find_runs(tracking, "dvc.keys", f"%{key}%")
    done = next(filter(is_complete, known), None) or _adopt_key(tracking, branch, identity, key)
    wanted = identity[branch.decisive]
    if done is None:
        others = (run for run in known if run.data.tags.get(branch.decisive, wanted) != wanted)
        done = completed_elsewhere(tracking, others)
    if done is None:
        begun = [run for run in known if run.data.tags.get(branch.decisive) == wanted]
        run_id = _complete(tracking, branch, lock, begun[0] if begun else None)
        done = tracking.client.get_run(run_id)
        _confirm(tracking, branch, done, identity)  # where another clone was first
    else:
        log.info("run %s has this result of %s already", done.info.run_id, branch.name)
        _confirm(tracking, branch, done, identity)
    _drop_leftovers(tracking, known, kept=done.info.run_id)
    _nest(tracking, branch, done)
    _settle_commit(tracking, branch, done, lock)
    return tracking.client.get_run(done.info.run_id)


def _identity(branch: Branch, lock: Lock) -> dict[str, str]:
    """Return the tags that say which result this is, other than its key."""
    return {
        "dvc.params": sha256_json(_params(branch, lock)),
        **{tag: lock.out(branch.name, name) for tag, name in branch.outs.items()},
    }


def _adopt_key(
    tracking: Tracking, branch: Branch, identity: dict[str, str], key: str
) -> "Run | None":
    """Add the key to a complete run of the very same result, if there is one."""
    for run in find_runs(tracking, branch.decisive, identity[branch.decisive]):
        tags = run.data.tags
        if is_complete(run) and all(tags.get(name) == text for name, text in identity.items()):
            keys = " ".join([*tags["dvc.keys"].split()[-_MAX_KEYS + 1 :], key])
            set_tags(tracking, run.info.run_id, {"dvc.keys": keys})
            return run
    return None


def _confirm(tracking: Tracking, branch: Branch, run: "Run", identity: dict[str, str]) -> None:
    """Tag a run as confirmed by the same inputs, computed under another fingerprint."""
    md5 = identity[branch.decisive]
    tag = confirmed_tag(md5)
    if run.data.tags.get(branch.decisive) == md5 or tag in run.data.tags:
        return
    old = run.data.metrics
    largest = max(
        (abs(value - old[name]) for name, value in branch.compared.items() if name in old),
        default=None,
    )
    note = {
        branch.decisive: md5,
        branch.difference: largest,
        "date": utc(branch.past.time_ms if branch.past else None),
    }
    set_tags(tracking, run.info.run_id, {tag: canonical_json(note)})
    log.info(
        "run %s: made again from the same inputs, to another result: %s",
        run.info.run_id,
        canonical_json(note),
    )


def _drop_leftovers(tracking: Tracking, runs: "list[Run]", *, kept: str) -> None:
    """Delete unfinished runs of this key, and what is nested in them."""
    for run in runs:
        if run.info.run_id != kept and not is_complete(run):
            _drop(tracking, run.info.run_id)
            log.info("run %s: deleted, its result has a run already", run.info.run_id)


def _drop(tracking: Tracking, run_id: str) -> None:
    """Delete a run and what is nested in it."""
    for each in find_runs(tracking, PARENT, run_id):
        tracking.client.delete_run(each.info.run_id)
    tracking.client.delete_run(run_id)


def _nest(tracking: Tracking, branch: Branch, run: "Run") -> None:
    """Put a run below the complete one of its model, where the UI then unfolds it.

    The model may be published later than what belongs to it; then the next attempt does this.
    """
    if not branch.model:
        return
    above = [
        each.info.run_id
        for each in find_runs(tracking, "dvc.model", branch.model)
        if is_complete(each)
    ]
    if above and run.data.tags.get(PARENT) not in above:
        set_tags(tracking, run.info.run_id, {PARENT: above[0]})


def _settle_commit(tracking: Tracking, branch: Branch, run: "Run", lock: Lock) -> None:
    """Move `git.commit` to the commit that records the result, once there is one."""
    if run.data.tags.get("git.commit.provisional") != "true":
        return
    commit = (
        branch.past.git.commit
        if branch.past
        else find_lock(
            Path(),
            _key(branch, lock),
            file=branch.folder / LOCK,
            needed=lock.deps(branch.name).values(),
            key_of=lambda found: _key(branch, found),
        )
    )
    if commit:
        move_commit(tracking, run.info.run_id, commit, lock, [branch.name])


def _complete(tracking: Tracking, branch: Branch, lock: Lock, run: "Run | None") -> str:
    """Write everything into a run, begun or not, and give the id of the one that stays."""
    key, wanted = _key(branch, lock), _identity(branch, lock)[branch.decisive]
    attempt = Attempt(
        write=lambda found: _write(tracking, branch, lock, found),
        alike=lambda: find_runs(tracking, "dvc.keys", f"%{key}%"),
        is_ours=lambda found: found.data.tags.get(branch.decisive) == wanted,
        drop=lambda run_id: _drop(tracking, run_id),
    )
    run_id = complete_once(tracking, run, attempt)
    log.info("run %s of %s is complete", run_id, branch.name)
    return run_id


def _write(tracking: Tracking, branch: Branch, lock: Lock, run: "Run | None") -> str:
    """Write all but the last tag into a run, begun or not, and its nested runs; give its id."""
    key, params = _key(branch, lock), _params(branch, lock)
    now_ms = branch.past.time_ms if branch.past else time.time_ns() // 1_000_000
    experiment = branch.past.experiment if branch.past else None
    name = f"{branch.name}-{experiment or run_name(params, key)}"
    git = _git(branch, lock)
    tags = _tags(branch, lock, git) | {"mlflow.runName": name}
    run = run or tracking.client.create_run(tracking.experiment_id, start_time=now_ms, tags=tags)
    run_id = str(run.info.run_id)
    tags["mlflow.note.content"] = branch.note(key)
    store_shared(lambda: set_tags(tracking, run_id, tags))
    store_shared(lambda: log_params(tracking, run_id, params))
    if branch.log_nested:
        branch.log_nested(tracking, run_id, now_ms)
    log_points(tracking, run_id, metric_points(branch.metrics, time_ms=now_ms))
    with tempfile.TemporaryDirectory() as scratch:
        _copy(branch, Path(scratch), diff=git.diff if git else b"")
        tracking.client.log_artifacts(run_id, scratch)
    tracking.client.set_terminated(run_id, "FINISHED", now_ms)
    return run_id


def _git(branch: Branch, lock: Lock) -> GitFacts | None:
    if branch.past:
        return branch.past.git
    outs = sorted(lock.all_outs())
    ignores = {str(Path(out).parent / ".gitignore") for out in outs}  # DVC writes them
    return git_facts(Path(), written=[*outs, *sorted(ignores), AUDIT.as_posix()])


def _tags(branch: Branch, lock: Lock, git: GitFacts | None) -> dict[str, str]:
    key = _key(branch, lock)
    tags = {"dvc.key": key, "dvc.keys": key, "kind": branch.name, "mlflow.source.name": "dvc repro"}
    tags |= _identity(branch, lock) | dict(branch.tags)
    if git:
        tags |= {
            "git.commit": git.commit,
            "git.branch": git.branch,
            "git.commit.provisional": "false" if branch.past else "true",
            "git.dirty": str(git.is_dirty).lower(),
            "git.remote": git.remote,
            "mlflow.source.git.commit": git.commit,
            "mlflow.user": git.author,
        }
    return {name: value for name, value in tags.items() if value}


def _params(branch: Branch, lock: Lock) -> dict[str, Any]:
    """Return the params of the branch, and those that made what it reads."""
    main = branch.root / LOCK
    before = Lock.read(main).all_params(without="publish") if main.exists() else {}
    return before | lock.params(branch.name)


def _copy(branch: Branch, folder: Path, *, diff: bytes) -> None:
    lineage = [Path(PARAMS), Path(GRAPH), Path(LOCK), branch.folder / GRAPH, branch.folder / LOCK]
    for path in lineage:
        if (branch.root / path).exists():
            (folder / "lineage" / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(branch.root / path, folder / "lineage" / path)
    if diff:
        (folder / "lineage" / "git-diff-HEAD.patch").write_bytes(diff)
    (folder / "results").mkdir()
    for path in branch.files:
        shutil.copyfile(path, folder / "results" / path.name)
    shutil.copytree(branch.plots, folder / "plots")
