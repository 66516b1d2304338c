"""Results of side branches that commits record, brought to MLflow by the code that publishes them.

They have no versions, so nothing of the registry is touched.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pipeline.ground.errors import PipelineError, TrackingError
from pipeline.keys.lock import LOCK, Lock, deps_key
from pipeline.past.history import LockFile, facts_of, read_history
from pipeline.past.layout import lay_out, paths_of
from pipeline.past.servers import Known, Servers, State, Synced
from pipeline.track.branch_run import Branch, settle_branch
from pipeline.track.commits import is_recorded
from pipeline.track.connection import publishing, translated_errors
from pipeline.track.crossval import FoldResults, fold_branch
from pipeline.track.explain import ExplainFiles, explain_branch
from pipeline.track.result import Past
from pipeline.track.runs import move_commit
from pipeline.track.suspects import SuspectFiles, suspects_branch

_SHORT = 7

_BRANCHES: Mapping[str, Callable[[dict[str, Path], Past], Branch]] = {
    "crossval": lambda paths, past: fold_branch(FoldResults(**paths), past),
    "explain": lambda paths, past: explain_branch(ExplainFiles(**paths), past),
    "suspects": lambda paths, past: suspects_branch(SuspectFiles(**paths), past),
}
"""By folder: what its publish stage, given its options, would publish."""


def bring_branches(root: Path, servers: Servers, *, dry_run: bool) -> Iterator[Synced]:
    """Bring the side branches' results to MLflow, oldest first.

    Raises:
        TrackingError: The server is away.
    """
    for name in _BRANCHES:
        files, faults = read_history(root, Path(name) / LOCK)
        for fault in faults:
            yield Synced(name, "", "", "missing", note=fault)
        done: set[tuple[str, tuple[str, ...]]] = set()
        for file in files:
            try:
                found = _bring(root, name, file, servers, done, dry_run=dry_run)
            except TrackingError:  # without a server nothing goes on
                raise
            except PipelineError as error:
                found = Synced(name, name, file.commit.sha, "missing", note=str(error))
            if found is not None:
                yield found


def _bring(
    root: Path,
    name: str,
    file: LockFile,
    servers: Servers,
    done: set[tuple[str, tuple[str, ...]]],
    *,
    dry_run: bool,
) -> Synced | None:
    """Bring what one lock file records; None where an older one did, or nothing was finished."""
    if not file.command(name) or not file.command("publish"):
        return None
    lock = file.lock
    key = deps_key(lock.deps(name), lock.params(name))
    identity = (key, tuple(sorted(lock.outs(name).values())))
    if identity in done:
        return None
    done.add(identity)
    known = servers.at(str(lock.params("publish")["tracking"]["experiment"]))
    before = known.with_key(key)
    outs = set(lock.outs(name).values())
    same = [run for run in before if outs & set(run.data.tags.values())]
    if same and same[0].data.tags.get("git.commit.provisional") != "true":
        return Synced(name, same[0].info.run_name, file.commit.sha, "there")
    if same:
        if known.tracking is not None and not dry_run:
            move_commit(known.tracking, same[0].info.run_id, file.commit.sha, lock, [name])
            known.note(known.tracking.client.get_run(same[0].info.run_id))
        return Synced(name, same[0].info.run_name, file.commit.sha, "moved")
    return _make(root, name, file, lock, known, dry_run=dry_run)


def _make(
    root: Path, name: str, file: LockFile, lock: Lock, known: Known, *, dry_run: bool
) -> Synced:
    with tempfile.TemporaryDirectory(prefix="rootstock-sync-") as scratch:
        folder = Path(scratch).resolve()
        paths = paths_of(file, "publish")
        lay_out(root, file, paths.values(), folder, further=[Path(LOCK)])
        is_whole = is_recorded(root, file.commit.sha, lock, [name])
        past = Past(
            root=folder,
            git=facts_of(root, file.commit, is_dirty=not is_whole),
            time_ms=file.commit.time_ms,
            experiment=file.commit.experiment,
        )
        branch = _BRANCHES[name]({each: folder / path for each, path in paths.items()}, past)
        if dry_run or known.tracking is None:
            return Synced(name, name, file.commit.sha, "would be made")
        with publishing(), translated_errors(known.tracking.uri):
            is_known = set(known.runs)
            run = settle_branch(known.tracking, branch, lock)
            known.note(run)
    state: State = "there" if run.info.run_id in is_known else "made"
    return Synced(name, run.info.run_name, file.commit.sha, state)
