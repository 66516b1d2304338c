"""Who keeps the raw data: `dvc add`, an import from elsewhere, a stage, or nobody."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.ground.params import read_params
from pipeline.repo.lock import LOCK
from pipeline.repo.recorded_outs import dvc_files, named_here


@dataclass(frozen=True)
class Keeper:
    """What brings a file back when it is deleted.

    Attributes:
        kind: `added` by `dvc add`; `imported`; `made` by a stage; or `nobody`.
        path: What it keeps as a whole: the file, or a folder around it.
        source: The `*.dvc` or lock file that says so.
    """

    kind: Literal["added", "imported", "made", "nobody"]
    path: Path
    source: Path


def keeper_of(path: Path) -> Keeper:
    """Return who keeps a file or folder of the project.

    Args:
        path: Relative to the project, which is the working directory.
    """
    for file in dvc_files():
        for named in named_here(file):
            if path == named.path or path.is_relative_to(named.path):
                return Keeper(_kind(file), named.path, file)
    return Keeper("nobody", path, path)


def _kind(file: Path) -> Literal["added", "imported", "made"]:
    if file.name == LOCK:
        return "made"
    return "imported" if read_params(file).get("deps") else "added"
