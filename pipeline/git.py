"""git by its command line, with a timeout and without locks: what it prints, or nothing."""

import os
import subprocess
from pathlib import Path

from pipeline.errors import MachineError

_TIMEOUT_S = 60


def ask_git(root: Path, *arguments: str) -> str | None:
    """Give what git prints; None where it ends with an error.

    Args:
        root: A folder in the working tree.
        arguments: Of git.

    Raises:
        MachineError: It is not installed, or hangs.
    """
    done = run_git(root, *arguments)
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def ask_line(root: Path, *arguments: str) -> str:
    """Give what git prints, stripped; empty where it ends with an error. Raises as `ask_git`."""
    return (ask_git(root, *arguments) or "").strip()


def run_git(
    root: Path, *arguments: str, timeout_s: float = _TIMEOUT_S
) -> "subprocess.CompletedProcess[bytes]":
    """Run git, and give how it ended and what it printed.

    Raises:
        MachineError: It is not installed, or hangs.
    """
    try:
        return subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError("git", f"could not run: {error}", remedy="install git") from error
