"""What git knows of a result: the commit it was made from, and the commit that records it.

A working tree without git is a fact like others.
"""

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import MachineError, ParamsError
from pipeline.git import ask_git
from pipeline.params import parse_params
from pipeline.track.lineage import LOCK, PARAMS, Lock, run_keys
from pipeline.track.tracking import redact

_MAX_COMMITS = 100
_REFS = (("--branches", "--tags", "--remotes", "HEAD"), ("--glob=refs/exps",))
"""Where commits are looked for: what people made first, then experiments."""


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

    diff: str
    """`git diff HEAD`."""

    author: str


def git_facts(root: Path, *, written: Sequence[str]) -> GitFacts | None:
    """Look at the working tree; None where there is no git or no commit.

    Args:
        root: A folder in the working tree.
        written: Paths, relative to `root`, that the pipeline writes: they, and all lock files,
            never make a tree dirty.
    """
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return None
    return GitFacts(
        # Under `dvc exp run`, HEAD may be a commit that DVC made up for the occasion.
        commit=os.environ.get("DVC_EXP_BASELINE_REV") or commit.strip(),
        branch=_line(root, "symbolic-ref", "--quiet", "--short", "HEAD"),
        remote=redact(_line(root, "remote", "get-url", "origin")),
        is_dirty=any(not _is_written(path, written) for path in _changed(root)),
        diff=_git(root, "diff", "--no-ext-diff", "--binary", "HEAD") or "",
        author=_line(root, "config", "user.name"),
    )


def find_commit(root: Path, key: str, lock: Lock) -> str | None:
    """Find the newest commit whose own dvc.lock yields a key.

    Args:
        root: A folder in the working tree.
        key: A `dvc.key`.
        lock: A dvc.lock that yields it. Whose text lacks an md5 of these deps cannot yield it, and
            is not parsed.
    """
    return find_lock(
        root, key, file=Path(LOCK), needed=lock.deps("train").values(),
        key_of=lambda lock: run_keys(lock).key,
    )  # fmt: skip


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
    """Tell whether a commit has the code and the params that stages ran with.

    Args:
        root: A folder in the working tree.
        commit: One that has the lock file.
        lock: What the lock file says.
        stages: Their names.
    """
    text = _git(root, "show", f"{commit}:./{PARAMS}")
    params = parse_params(text, f"{PARAMS} of {commit[:12]}") if text else {}
    for stage in stages:
        if any(_value(params, name) != value for name, value in lock.params(stage).items()):
            return False
        code = {path: md5 for path, md5 in lock.deps(stage).items() if path.endswith(".py")}
        for path, md5 in code.items():
            content = _git(root, "show", f"{commit}:./{path}")
            if content is None or _md5(content) != md5:
                return False
    return True


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _value(params: Any, name: str) -> Any:
    for part in name.split("."):
        params = params.get(part) if isinstance(params, dict) else None
    return params


def _locks(root: Path, refs: Sequence[str], file: Path) -> Iterator[tuple[str, str]]:
    """Give (commit, text) of a lock file for commits that changed it, newest first."""
    found = _git(root, "log", f"-{_MAX_COMMITS}", "--format=%H", *refs, "--", file.as_posix())
    for commit in (found or "").split():
        text = _git(root, "show", f"{commit}:./{file.as_posix()}")
        if text:
            yield commit, text


def _changed(root: Path) -> list[str]:
    """Give the changed and untracked files, relative to `root`."""
    tracked = _git(root, "diff", "--name-only", "--relative", "-z", "HEAD") or ""
    untracked = _git(root, "ls-files", "--others", "--exclude-standard", "-z") or ""
    return [path for path in (tracked + untracked).split("\0") if path]


def _is_written(path: str, written: Sequence[str]) -> bool:
    if Path(path).name == LOCK:
        return True
    return any(path == out or path.startswith(f"{out}/") for out in written)


def _line(root: Path, *arguments: str) -> str:
    return (_git(root, *arguments) or "").strip()


def _git(root: Path, *arguments: str) -> str | None:
    """Ask git; None where it fails, is not installed, or hangs."""
    try:
        return ask_git(root, *arguments)
    except MachineError:
        return None
