"""The lock files that git records: which there are, oldest commit first, and which fits a result.

Looked through are branches, tags, remotes and HEAD, and the commits that `dvc exp` made. A commit
counts where it changed the lock file.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.ground.errors import ParamsError, PipelineError
from pipeline.ground.params import parse_params
from pipeline.repo.git import ask_git, has_commit
from pipeline.repo.imports import code_md5_at, is_code
from pipeline.repo.lock import LOCK, PARAMS, Lock

_FORMAT = "--format=%H%x09%ct%x09%an"
_PEOPLE = ("--branches", "--tags", "--remotes", "HEAD")
_EXPERIMENTS = "refs/exps"
_REFS = (_PEOPLE, (f"--glob={_EXPERIMENTS}",))
"""Where commits are looked for: what people made first, then experiments."""

_EXPERIMENT = re.compile(r"refs/exps/([0-9a-f]{2}/[0-9a-f]{38})/(.+)")
_MAX_COMMITS = 100
_SHORT = 12


@dataclass(frozen=True)
class Experiment:
    """A commit that `dvc exp` made."""

    sha: str
    name: str
    baseline: str
    """The commit that it began from."""


@dataclass(frozen=True)
class Commit:
    """A commit that changed a lock file."""

    sha: str
    time_ms: int
    author: str
    experiment: str | None
    """The name of the `dvc exp` that made it; None for what people committed."""


@dataclass(frozen=True)
class LockFile:
    """A lock file as a commit has it.

    Attributes:
        path: Relative to the root of the repository.
        text: Its bytes, as text.
        lock: What it records.
    """

    commit: Commit
    path: Path
    text: str
    lock: Lock

    @property
    def where(self) -> str:
        """The file and its commit, as they are named in messages."""
        return self.lock.where


def experiments(root: Path) -> list[Experiment]:
    """Return the last commit of each experiment that `dvc exp` keeps."""
    refs = ask_git(root, "for-each-ref", "--format=%(objectname) %(refname)", _EXPERIMENTS) or ""
    pairs = (line.split(" ", 1) for line in refs.splitlines())
    found = ((sha, _EXPERIMENT.fullmatch(ref)) for sha, ref in pairs)
    return [Experiment(sha, ref[2], ref[1].replace("/", "")) for sha, ref in found if ref]


def read_history(root: Path, path: Path = Path(LOCK)) -> tuple[list[LockFile], list[str]]:
    """Return every version of a lock file that commits have, and what is wrong with others.

    Args:
        root: The root of the repository.
        path: The lock file, relative to it.

    Returns:
        Lock files, oldest first, and a line for each that cannot be read.

    Raises:
        GitError: git cannot read the repository.
    """
    found, faults = [], []
    has_commit(root)
    for commit in _commits(root, path):
        text = show(root, commit.sha, path.as_posix())
        if not text:
            continue
        try:
            found.append(LockFile(commit, path, text, Lock.parse(text, _where(path, commit.sha))))
        except PipelineError as error:
            faults.append(str(error))
    return found, faults


def find_lock(
    root: Path, key: str, *, file: Path, needed: Collection[str], key_of: Callable[[Lock], str]
) -> str | None:
    """Find the newest commit whose lock file yields a key.

    Args:
        root: A folder in the working tree.
        key: What it must yield.
        file: The lock file, relative to `root`.
        needed: Texts that it must have to be parsed at all.
        key_of: Gives the key of a lock; may raise ParamsError.
    """
    for refs in _REFS:
        for commit, text in _texts(root, refs, file):
            if not all(md5 in text for md5 in needed):
                continue
            try:
                if key_of(Lock.parse(text, _where(file, commit))) == key:
                    return commit
            except ParamsError:  # unfinished or damaged
                continue
    return None


def is_recorded(root: Path, commit: str, lock: Lock, stages: Iterable[str]) -> bool:
    """Return whether a commit has the code and the params that stages ran with.

    Args:
        root: A folder in the working tree.
        commit: One that has the lock file.
        lock: What the lock file says.
        stages: Their names.
    """
    text = show(root, commit, PARAMS)
    params = parse_params(text, _where(Path(PARAMS), commit)) if text else {}
    for stage in stages:
        if any(_value(params, name) != value for name, value in lock.params(stage).items()):
            return False
        code = {path: md5 for path, md5 in lock.deps(stage).items() if is_code(path)}
        if any(code_md5_at(root, commit, path) != md5 for path, md5 in code.items()):
            return False
    return True


def show(root: Path, commit: str, path: str) -> str | None:
    """Return a file of a commit, by its path relative to `root`; None where it has none."""
    return ask_git(root, "show", f"{commit}:./{path}")


def _where(file: Path, commit: str) -> str:
    return f"{file.as_posix()} of {commit[:_SHORT]}"


def _value(params: Any, name: str) -> Any:
    for part in name.split("."):
        params = params.get(part) if isinstance(params, dict) else None
    return params


def _texts(root: Path, refs: Sequence[str], file: Path) -> Iterator[tuple[str, str]]:
    """Yield (commit, text) of a lock file for commits that changed it, newest first."""
    found = ask_git(root, "log", f"-{_MAX_COMMITS}", "--format=%H", *refs, "--", file.as_posix())
    for commit in (found or "").split():
        text = show(root, commit, file.as_posix())
        if text:
            yield commit, text


def _commits(root: Path, path: Path) -> list[Commit]:
    """Return the commits that changed a file, parents before children, otherwise by their time."""
    order = ("--full-history", "--date-order", "--reverse")
    text = ask_git(root, "log", *order, _FORMAT, *_PEOPLE, "--", path.as_posix())
    commits = [*_parse(text, {})]
    if names := {each.sha: each.name for each in experiments(root)}:
        commits += _parse(ask_git(root, "log", "--no-walk", _FORMAT, *names), names)
    return sorted(commits, key=lambda commit: commit.time_ms)  # stable: parents stay first


def _parse(text: str | None, names: Mapping[str, str]) -> Iterator[Commit]:
    for line in (text or "").splitlines():
        sha, seconds, author = line.split("\t", 2)
        yield Commit(sha, int(seconds) * 1000, author, names.get(sha))
