"""The results that git records: which lock files there are, oldest commit first.

Looked through are branches, tags, remotes and HEAD, and the commits that `dvc exp` made. A commit
counts where it changed the lock file.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.ground.errors import PipelineError
from pipeline.ground.git import ask_git, ask_line, has_commit
from pipeline.ground.params import parse_params
from pipeline.keys.lock import LOCK, Lock
from pipeline.track.commits import GitFacts
from pipeline.track.connection import redact

_FORMAT = "--format=%H%x09%ct%x09%an"
_EXPERIMENT = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(.+)")
_SHORT = 12


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
        tree: It, parsed.
    """

    commit: Commit
    path: Path
    text: str
    tree: Mapping[str, Any]

    @property
    def where(self) -> str:
        """The file and its commit, as they are named in messages."""
        return f"{self.path.as_posix()} of {self.commit.sha[:_SHORT]}"

    @property
    def lock(self) -> Lock:
        """What it records.

        Raises:
            ParamsError: It has no stages.
        """
        return Lock.parse(self.text, self.where)

    def command(self, stage: str) -> str:
        """Return the command that a stage was run with; empty where it has not run."""
        stages = self.tree.get("stages")
        entry = stages.get(stage) if isinstance(stages, dict) else None
        return str(entry.get("cmd", "")) if isinstance(entry, dict) else ""


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
        text = ask_git(root, "show", f"{commit.sha}:./{path.as_posix()}")
        if not text:
            continue
        where = f"{path.as_posix()} of {commit.sha[:_SHORT]}"
        try:
            tree = parse_params(text, where)
        except PipelineError as error:
            faults.append(str(error))
            continue
        found.append(LockFile(commit, path, text, tree))
    return found, faults


def facts_of(root: Path, commit: Commit, *, is_dirty: bool) -> GitFacts:
    """Return for a commit what `git_facts` returns for a working tree.

    Args:
        root: The root of the repository.
        commit: The commit.
        is_dirty: Whether the result was made by other code than the commit has.
    """
    return GitFacts(
        commit=commit.sha,
        branch="" if commit.experiment else _branch(root, commit.sha),  # `dvc exp` detaches HEAD
        remote=redact(ask_line(root, "remote", "get-url", "origin")),
        is_dirty=is_dirty,
        diff=b"",
        author=commit.author,
    )


def _commits(root: Path, path: Path) -> list[Commit]:
    """Return the commits that changed a file, parents before children, otherwise by their time."""
    text = ask_git(
        root,
        "log",
        "--full-history",
        "--date-order",
        "--reverse",
        _FORMAT,
        "--branches",
        "--tags",
        "--remotes",
        "HEAD",
        "--",
        path.as_posix(),
    )
    commits = [*_parse(text, {}), *_experiments(root)]
    return sorted(commits, key=lambda commit: commit.time_ms)  # stable: parents stay first


def _experiments(root: Path) -> Iterator[Commit]:
    """Yield the last commit of each experiment."""
    refs = ask_git(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps") or ""
    names = {}
    for line in refs.splitlines():
        sha, _, ref = line.partition(" ")
        if match := _EXPERIMENT.fullmatch(ref):
            names[sha] = match.group(1)
    if names:
        text = ask_git(root, "log", "--no-walk", _FORMAT, *names)
        yield from _parse(text, names)


def _parse(text: str | None, names: Mapping[str, str]) -> Iterator[Commit]:
    for line in (text or "").splitlines():
        sha, seconds, author = line.split("\t", 2)
        yield Commit(sha, int(seconds) * 1000, author, names.get(sha))


def _branch(root: Path, sha: str) -> str:
    """Return a branch that has a commit: the present one if it does, else the first of them."""
    text = ask_git(root, "branch", "--contains", sha, "--format=%(HEAD)%(refname:short)") or ""
    lines = [line for line in text.splitlines() if "(" not in line]
    here = [line[1:] for line in lines if line.startswith("*")]
    return next(iter([*here, *(line[1:] for line in lines)]), "")
