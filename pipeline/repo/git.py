"""git by its command line, with a timeout and without locks.

Three answers are kept apart: what git prints; nothing, where there is no repository, commit, file
or setting of the name; and `GitError`, where there is a repository that git cannot read.
"""

import os
import re
import shlex
import subprocess
from pathlib import Path

from pipeline.ground.errors import MachineError

_TIMEOUT_S = 60

_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
_DROPPED = ("GIT_TRACE", "GIT_DIFF_OPTS", "GIT_EXTERNAL_DIFF")
"""Beginnings of names in the environment that would change what git prints."""

_REFUSALS = (
    ("dubious ownership", "run `git config --global --add safe.directory {top}`"),
    (
        "not a git repository: ",
        "run `git worktree repair` where the main clone is now; unset GIT_DIR if it is set",
    ),
    ("mount point", "set GIT_DISCOVERY_ACROSS_FILESYSTEM=1, or mount the whole repository"),
    ("not a git repository", "restore {git_dir}, clone again, or remove it"),
    ("not owned by current user", "run `git config --global --add safe.directory {top}`"),
    ("Permission denied", "mend the access; HOME must be a folder that you can read"),
    (".lock'", "wait for the other git, or remove that file"),
    ("index", "run `rm {git_dir}/index`, then `git reset`"),
    ("config", "mend that file"),
    ("git repo version", "install a newer git"),
    ("repository extension", "install a newer git"),
    ("remote", "connect to the network: a partial clone fetches what it lacks"),
    ("Could not resolve host", "connect to the network: a partial clone fetches what it lacks"),
    ("work tree", "run `git config core.bare false`"),
)
"""Words of git, and what to do: `top` is the folder with `.git`, `git_dir` that `.git`."""

_LOST = "run `git fsck`, and fetch what is lost, or clone again"
"""What to do about anything else: objects or refs that are cut, corrupt or gone."""

_ALWAYS_REFUSED = (
    "dubious ownership",
    "Permission denied",
    "corrupt",
    "is empty",
    "broken ref",
    "promisor",
    "remote repository",
    "Could not resolve host",
    "unable to access",
)
"""Words that say git cannot read, whatever else it says of it."""

_ABSENT = re.compile(
    r"does not exist in|exists on disk, but not in|No such remote|Not a valid object name"
    r"|no upstream configured|does not point to a branch|no such branch|no such commit"
    r"|malformed object name|did not match any files|not a tree object|Needed a single revision"
    r"|unknown revision|bad revision|invalid object name|does not have any commits"
    r"|bad object [0-9a-f]{40}|only has \d+ entr|is ambiguous"
)
"""What git says of a name that it does not know."""


class GitError(MachineError):
    """There is a repository, and git cannot read it, or is not installed."""


def ask_git(root: Path, *arguments: str) -> str | None:
    """Return what git prints; None where there is no repository, or nothing of that name.

    Args:
        root: A folder in the working tree.
        arguments: Of git.

    Raises:
        GitError: There is a repository, and git cannot read it.
    """
    found = read_git(root, *arguments)
    return None if found is None else found.decode("utf-8", "replace")


def ask_line(root: Path, *arguments: str) -> str:
    """Return what `ask_git` returns, stripped; empty for None. Raises as `ask_git`."""
    return (ask_git(root, *arguments) or "").strip()


def read_git(root: Path, *arguments: str) -> bytes | None:
    """Return the bytes that git prints. None and errors as for `ask_git`."""
    if find_repository(root) is None:
        return None
    done = run_git(root, *arguments)
    if done.returncode == 0:
        return done.stdout
    text = done.stderr.decode("utf-8", "replace")
    is_refused = done.returncode < 0 or any(words in text for words in _ALWAYS_REFUSED)
    is_told = "fatal: " in text or "error: " in text
    if not is_refused and (_ABSENT.search(text) or not is_told):
        return None
    raise _refusal(root, text)


def has_commit(root: Path) -> bool:
    """Return whether a folder lies in a repository that has a commit.

    This also reads the commit, the index and the settings. If one of them is damaged, the error
    says so: otherwise it would look like a commit that lacks files.

    Args:
        root: A folder in the working tree.

    Raises:
        GitError: git cannot read the repository.
    """
    if find_repository(root) is None:
        return False
    if ask_git(root, "rev-parse", "--verify", "--quiet", "HEAD") is None:
        refs = run_git(root, "for-each-ref", "--count=1")
        text = refs.stderr.decode("utf-8", "replace")
        if refs.returncode != 0 or "broken ref" in text:
            raise _refusal(root, text)
        return False
    ask_git(root, "diff", "--quiet", "--no-ext-diff", "HEAD", "--", "params.yaml")
    return True


def find_repository(root: Path) -> Path | None:
    """Return the folder, `root` or above it, that has a `.git`; None where there is none.

    git itself may still refuse it.
    """
    if "GIT_DIR" in os.environ:
        return root.resolve()
    ceilings = os.environ.get("GIT_CEILING_DIRECTORIES", "").split(os.pathsep)
    here = root.resolve()
    for each in (here, *here.parents):
        if each != here and str(each) in ceilings:
            return None
        if os.path.lexists(each / ".git"):
            return each
    return None


def run_git(
    root: Path, *arguments: str, timeout_s: float = _TIMEOUT_S
) -> "subprocess.CompletedProcess[bytes]":
    """Run git, and return how it ended and what it printed.

    Raises:
        GitError: It is not installed, or hangs.
    """
    kept = {key: text for key, text in os.environ.items() if not key.startswith(_DROPPED)}
    try:
        return subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
            env=kept | _ENVIRONMENT,
        )
    except subprocess.TimeoutExpired as error:
        raise GitError(
            "git",
            f"did not answer in {timeout_s:g} s: git {' '.join(arguments)}",
            remedy="look at the disk, and at core.fsmonitor",
        ) from error
    except OSError as error:
        raise GitError(
            "git", f"cannot be run: {error.strerror}", remedy="install git, on the PATH"
        ) from error


def _refusal(root: Path, text: str) -> GitError:
    """Return the error for what git said; its advice of several lines becomes the remedy."""
    top = find_repository(root) or root
    lines = [line for line in text.splitlines() if line.startswith(("fatal: ", "error: "))]
    told = (lines or text.strip().splitlines() or ["git failed without a message"])[-1]
    words = {"top": shlex.quote(str(top)), "git_dir": shlex.quote(str(top / ".git"))}
    remedy = next((remedy for each, remedy in _REFUSALS if each in text), _LOST)
    return GitError(
        top,
        f"git cannot read this repository: {told.removeprefix('fatal: ')}",
        remedy=remedy.format(**words),
    )
