"""A clean git worktree at a commit, for one rebuild; removed afterwards, or by the next rebuild.

It is in `.rootstock/reproduce/<key>`, which git and DVC ignore. Files that were never committed
come from the recorded patch, or from the working tree if they have the recorded digest.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.ground.errors import IntegrityError, MachineError, ParamsError
from pipeline.ground.files import md5_file, remove
from pipeline.ground.params import read_params
from pipeline.keys.keys import Recorded
from pipeline.repo.git import ask_git, ask_line, run_git
from pipeline.repo.imports import folder_md5, source
from pipeline.repo.lock import GRAPH, LOCK, PARAMS
from pipeline.repo.state import state_folder
from pipeline.track.connection import exclusive
from pipeline.track.runs import flatten

_KEY_CHARS = 12
_BUSY_S = 0.5
_TIMEOUT_S = 600


class Worktree:
    """A folder with the files of a commit; `keep` leaves it there.

    Args:
        path: Its top.
        place: The project, relative to it; the repository may hold others beside it.
    """

    def __init__(self, path: Path, place: Path) -> None:
        self.path = path
        self.project = path / place
        self.is_kept = False

    def keep(self) -> None:
        """Keep it for a look; the next rebuild of the same result replaces it."""
        self.is_kept = True


@contextmanager
def open_worktree(root: Path, key: str, commit: str) -> Iterator[Worktree]:
    """Check out a commit in a folder of its own, and remove it at the end of the block.

    Args:
        root: The project.
        key: `dvc.key` of the result.
        commit: Its sha.

    Raises:
        MachineError: Another rebuild runs here, or git cannot make a worktree.
        IntegrityError: The commit has no project at the place where it is now.
    """
    path = state_folder().resolve() / "reproduce" / key[:_KEY_CHARS]
    with exclusive("reproduce", timeout_s=_BUSY_S):
        _remove(root, path)
        path.parent.mkdir(parents=True, exist_ok=True)
        tree = Worktree(path, Path(ask_line(root, "rev-parse", "--show-prefix")))
        try:
            _git(root, "worktree", "add", "--quiet", "--detach", "--force", str(path), commit)
            if not tree.project.is_dir():
                raise IntegrityError(
                    commit,
                    "has no such folder, which holds the project now",
                    got=tree.project.relative_to(path).as_posix(),
                )
            yield tree
        finally:
            if not tree.is_kept:
                _remove(root, path)


def apply_patch(tree: Path, patch: Path) -> None:
    """Apply the `git diff HEAD` of the time when a result was published, within the project.

    Args:
        tree: The project in the worktree.
        patch: Paths in it begin at the top of the repository.

    Raises:
        IntegrityError: It does not fit the commit.
    """
    done = run_git(tree, "apply", "--whitespace=nowarn", str(patch.resolve()), timeout_s=_TIMEOUT_S)
    if done.returncode != 0:
        line = _complaint(done)[0]
        raise IntegrityError(
            patch.name,
            f"the recorded patch does not fit its commit: {line}",
            remedy="this result was never committed, and cannot be made again",
        )


def overlay(tree: Path, source: Path, data_path: str) -> None:
    """Copy the files that say how a result was made: params, graph, lock files, `*.dvc` files.

    Args:
        tree: The worktree.
        source: Has them by the same relative paths: a run's `lineage` folder, or a working tree.
        data_path: The raw folder, relative to both.
    """
    data = Path(data_path)
    tracked = [data.parent / LOCK, data.parent / GRAPH, data.parent / f"{data.name}.dvc"]
    for path in [Path(PARAMS), Path(GRAPH), Path(LOCK), *tracked]:
        if (source / path).is_file():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, tree / path)


def settle_code(root: Path, tree: Path, recorded: Recorded) -> list[str]:
    """Check that code and params are those of the result; return the files taken from `root`.

    A file that git never had, such as a new module, is in no patch. If the working tree still has
    it with the recorded digest, it is taken from there.

    Raises:
        IntegrityError: A file or a param is not the recorded one.
    """
    taken = []
    for path, md5 in recorded.code().items():
        if _has(tree, path, md5):
            continue
        if (tree / f"{path}.dvc").exists():  # pulled and checked later
            continue
        if not _has(root, path, md5):
            state = "differs from" if (tree / path).exists() else "is not there, nor is"
            raise IntegrityError(
                path,
                f"{state} what made the result (recorded md5 {md5[:_KEY_CHARS]})",
                remedy="files that git did not know are in no patch; commit before publishing",
            )
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, tree / path)
        taken.append(path)
    for path, md5 in recorded.links().items():
        taken += _settle_links(root, tree, path, md5)
    _check_params(tree, recorded)
    return taken


def _settle_links(root: Path, tree: Path, path: str, md5: str) -> list[str]:
    """Make sure of what one stage imports, as `settle_code` does of single files."""
    if folder_md5(tree / path) == md5:
        return []
    if folder_md5(root / path) != md5:
        raise IntegrityError(
            path,
            f"the code of this stage differs from what made the result (md5 {md5[:_KEY_CHARS]})",
            remedy="files that git did not know are in no patch; commit before publishing",
        )
    remove(tree / path)
    shutil.copytree(root / path, tree / path, symlinks=True)
    files = [source(link.name) for link in sorted((tree / path).iterdir())]
    taken = [each for each in files if not _has(tree, each, md5_file(root / each))]
    for each in taken:
        (tree / each).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / each, tree / each)
    return taken


def _check_params(tree: Path, recorded: Recorded) -> None:
    try:
        now = flatten(read_params(tree / PARAMS))
    except ParamsError as error:
        raise IntegrityError(PARAMS, f"cannot be read at that commit: {error}") from error
    for name, value in flatten(recorded.params).items():
        if now.get(name) != value:
            raise IntegrityError(
                PARAMS,
                f"must be {value!r}, as {recorded.lock.where} records",
                field=name,
                got=now.get(name),
            )


def _has(folder: Path, path: str, md5: str) -> bool:
    return (folder / path).is_file() and md5_file(folder / path) == md5


def _remove(root: Path, path: Path) -> None:
    """Remove a worktree, whole or half-made, and git's record of it."""
    remove(path)
    ask_git(root, "worktree", "prune")


def _git(root: Path, *arguments: str) -> None:
    done = run_git(root, *arguments, timeout_s=_TIMEOUT_S)
    if done.returncode != 0:
        raise MachineError(
            "git worktree", _complaint(done)[-1], remedy="`git worktree prune`; free disk space"
        )


def _complaint(done: "subprocess.CompletedProcess[bytes]") -> list[str]:
    return done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
