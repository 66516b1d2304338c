"""Results of side branches that commits record, brought to MLflow by the code that publishes them.

They have no versions, so nothing of the registry is touched.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pipeline.ground.errors import PipelineError, TrackingError
from pipeline.keys.keys import deps_key
from pipeline.past.layout import lay_out, paths_of
from pipeline.past.servers import Known, Servers, State, Synced
from pipeline.repo.history import LockFile, is_recorded, read_history
from pipeline.repo.lock import LOCK
from pipeline.track.branches.branch_result import BranchResult
from pipeline.track.branches.crossval import fold_result
from pipeline.track.branches.explain import explain_result
from pipeline.track.branches.privacy import privacy_result
from pipeline.track.branches.suspects import suspects_result
from pipeline.track.commits import facts_of
from pipeline.track.connection import publishing, translated_errors
from pipeline.track.result import Past
from pipeline.track.result_run import settle_run
from pipeline.track.runs import move_commit

_BRANCHES: Mapping[str, Callable[..., BranchResult]] = {
    "crossval": fold_result,
    "explain": explain_result,
    "privacy": privacy_result,
    "suspects": suspects_result,
}
"""By folder: what gives the result, by the options of its publish stage."""


class BranchSync:
    """Brings recorded results of side branches to MLflow, each once.

    Args:
        root: The root of the repository.
        servers: What MLflow has.
        dry_run: Only look.
    """

    def __init__(self, root: Path, servers: Servers, *, dry_run: bool) -> None:
        self._root, self._servers, self._dry_run = root, servers, dry_run
        self._done: set[tuple[str, tuple[str, ...]]] = set()

    def bring(self) -> Iterator[Synced]:
        """Bring the results of every branch, oldest first.

        Raises:
            TrackingError: The server is away.
        """
        for name in _BRANCHES:
            files, faults = read_history(self._root, Path(name) / LOCK)
            for fault in faults:
                yield Synced(name, "", "", "missing", note=fault)
            for file in files:
                try:
                    found = self._bring(name, file)
                except TrackingError:  # without a server nothing goes on
                    raise
                except PipelineError as error:
                    found = Synced(name, name, file.commit.sha, "missing", note=str(error))
                if found is not None:
                    yield found

    def _bring(self, name: str, file: LockFile) -> Synced | None:
        """Bring what one lock file records; None where an older one did, or it was unfinished."""
        if not file.lock.command(name) or not file.lock.command("publish"):
            return None
        lock = file.lock
        key = deps_key(lock.deps(name), lock.params(name))
        outs = lock.outs(name).values()
        if (key, tuple(sorted(outs))) in self._done:
            return None
        self._done.add((key, tuple(sorted(outs))))
        known = self._servers.at(str(lock.params("publish")["tracking"]["experiment"]))
        same = (run for run in known.with_key(key) if {*outs} & {*run.data.tags.values()})
        run = next(same, None)
        if run is None:
            return self._make(name, file, known)
        is_moved = run.data.tags.get("git.commit.provisional") == "true"
        if is_moved and known.tracking is not None and not self._dry_run:
            move_commit(known.tracking, run.info.run_id, file.commit.sha, lock, [name])
            known.note(known.tracking.client.get_run(run.info.run_id))
        state: State = "moved" if is_moved else "there"
        return Synced(name, run.info.run_name, file.commit.sha, state)

    def _make(self, name: str, file: LockFile, known: Known) -> Synced:
        """Lay the result out, and publish from there."""
        with tempfile.TemporaryDirectory(prefix="rootstock-sync-") as scratch:
            folder = Path(scratch).resolve()
            paths = paths_of(file, "publish")
            lay_out(self._root, file, paths.values(), folder, further=[Path(LOCK)])
            is_whole = is_recorded(self._root, file.commit.sha, file.lock, [name])
            past = Past(
                root=folder,
                git=facts_of(self._root, file.commit, is_dirty=not is_whole),
                time_ms=file.commit.time_ms,
                experiment=file.commit.experiment,
            )
            result = _BRANCHES[name](past, **{each: folder / path for each, path in paths.items()})
            if self._dry_run or known.tracking is None:
                return Synced(name, name, file.commit.sha, "would be made")
            with publishing(), translated_errors(known.tracking.uri):
                is_known = set(known.runs)
                run = settle_run(known.tracking, result)
                known.note(run)
        state: State = "there" if run.info.run_id in is_known else "made"
        return Synced(name, run.info.run_name, file.commit.sha, state)
