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
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError("git", f"could not run: {error}", remedy="install git") from error
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
