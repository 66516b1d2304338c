"""What others do not have yet: uncommitted files, unpushed commits, data that no remote holds."""

import json
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from pipeline.doctor.remote import explain
from pipeline.ground.findings import Finding, ok, warn
from pipeline.repo.git import ask_git, has_commit
from pipeline.track.commits import changed_files

_TIMEOUT_S = 300


def check_sharing(*, ask_remote: bool) -> Generator[Finding, None, None]:
    """Look at git, and on request at DVC's default remote; all of it is at most a warning.

    Args:
        ask_remote: Compare the objects that the lock files name with those on the remote.
    """
    if not has_commit(Path()):
        yield warn("git", "there is no commit yet", "run `git add .`, and commit")
        return
    changed = changed_files(Path())
    if changed:
        yield warn(
            "git",
            f"{len(changed)} files are not committed as they are, first: {changed[0]}",
            "commit them; until then runs record a patch",
        )
    ahead = ask_git(Path(), "rev-list", "--count", "@{upstream}..HEAD")
    if ahead is not None and int(ahead):
        yield warn("git", f"{int(ahead)} commits are not pushed", "run `dvc push`, then `git push`")
    if ask_remote:
        yield from _data()


def _data() -> Iterator[Finding]:
    command = [sys.executable, "-m", "dvc", "status", "--cloud", "--json"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        yield warn("dvc remote", f"was not compared in {_TIMEOUT_S} s", "run `dvc status --cloud`")
        return
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        told = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        reason, remedy = explain(OSError(told))
        yield warn("dvc remote", f"could not be compared: {reason}", remedy)
        return
    unpushed = sorted(name for name, state in found.items() if state == "new")
    lost = sorted(name for name, state in found.items() if state == "missing")
    if unpushed:
        yield warn(
            "dvc remote",
            f"{len(unpushed)} outputs are not there, first: {unpushed[0]}",
            "run `dvc push`",
        )
    if lost:
        yield warn(
            "dvc remote",
            f"{len(lost)} outputs are neither there nor in the cache, first: {lost[0]}",
            "run `dvc push` where they are, or `dvc repro`",
        )
    if not (unpushed or lost):
        yield ok("dvc remote", "it holds all that the lock files name")
