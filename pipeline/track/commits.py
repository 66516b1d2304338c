"""What git knows of a result: the commit it was made from, and the commit that records it.

A working tree without git is a fact like others; a repository that git cannot read is an error.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.ground.errors import ParamsError
from pipeline.ground.git import ask_git, ask_line, has_commit, read_git
from pipeline.ground.params import parse_params
from pipeline.keys.lock import LOCK, PARAMS, Lock, run_keys
from pipeline.repo.imports import code_md5_at, is_code
from pipeline.track.connection import redact

_MAX_COMMITS = 100
_REFS = (("--branches", "--tags", "--remotes", "HEAD"), ("--glob=refs/exps",))
"""Where commits are looked for: what people made first, then experiments."""

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


def find_commit(root: Path, key: str, lock: Lock) -> str | None:
    """Find the newest commit whose own dvc.lock yields a key.

    Args:
        root: A folder in the working tree.
        key: A `dvc.key`.
        lock: A dvc.lock that yields it. Whose text lacks an md5 of these deps cannot yield it, and
            is not parsed.
    """
    return find_lock(
        root,
        key,
        file=Path(LOCK),
        needed=lock.deps("train").values(),
        key_of=lambda lock: run_keys(lock).key,
    )


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
        for commit, text in _locks(root, refs, file):
            if all(md5 in text for md5 in needed):
                try:
                    found = key_of(Lock.parse(text, f"{file} of {commit[:12]}"))
                except ParamsError:  # unfinished or damaged
                    continue
                if found == key:
                    return commit
    return None


def is_recorded(root: Path, commit: str, lock: Lock, stages: Iterable[str]) -> bool:
    """Return whether a commit has the code and the params that stages ran with.

    Args:
        root: A folder in the working tree.
        commit: One that has the lock file.
        lock: What the lock file says.
        stages: Their names.
    """
    text = ask_git(root, "show", f"{commit}:./{PARAMS}")
    params = parse_params(text, f"{PARAMS} of {commit[:12]}") if text else {}
    for stage in stages:
        if any(_value(params, name) != value for name, value in lock.params(stage).items()):
            return False
        code = {path: md5 for path, md5 in lock.deps(stage).items() if is_code(path)}
        if any(code_md5_at(root, commit, path) != md5 for path, md5 in code.items()):
            return False
    return True


def _value(params: Any, name: str) -> Any:
    for part in name.split("."):
        params = params.get(part) if isinstance(params, dict) else None
    return params


def _locks(root: Path, refs: Sequence[str], file: Path) -> Iterator[tuple[str, str]]:
    """Yield (commit, text) of a lock file for commits that changed it, newest first."""
    found = ask_git(root, "log", f"-{_MAX_COMMITS}", "--format=%H", *refs, "--", file.as_posix())
    for commit in (found or "").split():
        text = ask_git(root, "show", f"{commit}:./{file.as_posix()}")
        if text:
            yield commit, text


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
