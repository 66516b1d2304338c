"""What git says of a result: of the working tree it was made in, or of the commit that records it.

A working tree without git is a fact like others; a repository that git cannot read is an error.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.repo.git import ask_git, ask_line, has_commit, read_git
from pipeline.repo.history import Commit
from pipeline.repo.lock import LOCK
from pipeline.track.connection import redact

_PLAIN = (
    "-c",
    "diff.relative=false",
    "diff",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--no-renames",
    "--binary",
    "--full-index",
    "--unified=3",
    "--inter-hunk-context=0",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--submodule=short",
    "--ignore-submodules=dirty",
    "HEAD",
)
"""A diff that `git apply` takes, whatever the user's settings of git say."""

_OURS = (
    "--",
    ".",
    ":(exclude).dvc",
    *(f":(exclude,glob)**/{name}" for name in (".env*", ".netrc", "*.pem", "*.key", "id_rsa*")),
)
"""What belongs into a patch that others read: this project, without what holds secrets."""


@dataclass(frozen=True)
class GitFacts:
    """The state of the working tree."""

    commit: str
    branch: str
    """Empty on a detached HEAD."""

    remote: str
    """Address of `origin` without credentials; empty if there is none."""

    is_dirty: bool
    """Whether files differ from the commit, other than what the pipeline itself writes."""

    diff: bytes
    """`git diff HEAD` of this project alone; paths begin at the top of the repository."""

    author: str


def git_facts(root: Path, *, written: Sequence[str]) -> GitFacts | None:
    """Look at the working tree; None where there is no git or no commit.

    Args:
        root: The folder of the project, anywhere in the working tree.
        written: Paths, relative to `root`, that the pipeline writes: they, and all lock files,
            never make a tree dirty.

    Raises:
        GitError: git cannot read the repository.
    """
    if not has_commit(root):
        return None
    return GitFacts(
        # Under `dvc exp run`, HEAD may be a commit that DVC made up for the occasion.
        commit=os.environ.get("DVC_EXP_BASELINE_REV") or ask_line(root, "rev-parse", "HEAD"),
        branch=ask_line(root, "symbolic-ref", "--quiet", "--short", "HEAD"),
        remote=redact(ask_line(root, "remote", "get-url", "origin")),
        is_dirty=any(not _is_written(path, written) for path in changed_files(root)),
        diff=project_diff(root),
        author=ask_line(root, "config", "user.name"),
    )


def project_diff(root: Path) -> bytes:
    """Return the changes since HEAD of a project, as a patch for `git apply`.

    What lies in the repository outside of the project is not in it, nor are files that usually hold
    secrets, nor `.dvc`. A rename is told as a file that goes and one that comes.

    Args:
        root: The folder of the project.

    Raises:
        GitError: git cannot read the repository.
    """
    return read_git(root, *_PLAIN, *_OURS) or b""


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


def _branch(root: Path, sha: str) -> str:
    """Return a branch that has a commit: the present one if it does, else the first of them."""
    text = ask_git(root, "branch", "--contains", sha, "--format=%(HEAD)%(refname:short)") or ""
    lines = [line for line in text.splitlines() if "(" not in line]
    here = [line[1:] for line in lines if line.startswith("*")]
    return next(iter([*here, *(line[1:] for line in lines)]), "")


def changed_files(root: Path) -> list[str]:
    """Return the changed and untracked files of a project, relative to `root`.

    Raises:
        GitError: git cannot read the repository.
    """
    changed = ("--name-only", "--relative", "--no-renames", "--no-ext-diff", "-z", "HEAD")
    tracked = ask_git(root, "diff", *changed) or ""
    untracked = ask_git(root, "ls-files", "--others", "--exclude-standard", "-z") or ""
    return [path for path in (tracked + untracked).split("\0") if path]


def _is_written(path: str, written: Sequence[str]) -> bool:
    if Path(path).name == LOCK:
        return True
    return any(path == out or path.startswith(f"{out}/") for out in written)
