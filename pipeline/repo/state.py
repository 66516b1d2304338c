"""Where a project keeps what is neither versioned nor temporary: `.rootstock`."""

import os
import tempfile
from pathlib import Path

from pipeline.repo.cache import dvc_folder

_MARKS = ("params.yaml", "dvc.yaml")
_STATE = ".rootstock"


def find_project(start: Path) -> Path | None:
    """Return the folder, `start` or above it, that has params.yaml and dvc.yaml; None without."""
    folders = (start, *start.parents)
    return next((each for each in folders if all((each / name).is_file() for name in _MARKS)), None)


def state_folder() -> Path:
    """Return the folder for what is neither versioned nor temporary: `.rootstock` in the project.

    Under `dvc exp run --temp` the working directory is thrown away, so it is the same project below
    the folder that DVC names in `DVC_ROOT`: the one that has `.dvc`.
    """
    here = Path.cwd()
    root = os.environ.get("DVC_ROOT")
    if not root:
        return (find_project(here) or here) / _STATE
    below = dvc_folder(here).parent
    place = here.relative_to(below) if here.is_relative_to(below) else Path()
    return Path(root) / place / _STATE


def scratch_folder() -> Path:
    """Return a folder for what a command keeps to go on later; one that can be written.

    It is `state_folder`, or on a read-only disk `rootstock` in `$XDG_STATE_HOME`, in
    `~/.local/state`, or in the folder for temporary files.
    """
    first = state_folder()
    if _is_writable(first):
        return first
    state = os.environ.get("XDG_STATE_HOME") or f"{os.environ.get('HOME') or ''}/.local/state"
    others = (Path(state) / "rootstock", Path(tempfile.gettempdir()) / f"rootstock-{os.getuid()}")
    return next((each for each in others if _is_writable(each) and _is_own(each)), first)


def _is_writable(folder: Path) -> bool:
    present = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    return os.access(present, os.W_OK | os.X_OK)


def _is_own(folder: Path) -> bool:
    """Check that nobody else can have put anything into a folder; a missing one is fine."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        folder.mkdir(parents=True, mode=0o700)
        return True
    return found.st_uid == os.getuid() and not found.st_mode & 0o022
