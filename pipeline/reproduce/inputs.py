"""What a rebuild starts from: raw data and local weight files, pulled, and hashed file by file.

DVC believes the names of objects that it pulls. A rebuild does not: otherwise an input that was
altered in the remote or the cache would only show as another manifest.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.ground.errors import IntegrityError, MachineError
from pipeline.ground.files import md5_file, remove
from pipeline.keys.keys import Recorded
from pipeline.repo.cache import cache_folder, dvc_folder, object_path, read_listing
from pipeline.repo.imports import folder_md5
from pipeline.repo.lock import GRAPH
from pipeline.repo.recorded_outs import read_outs

WEIGHTS = Path("weights")
_LOCAL = "local-cache"
_SUFFIX = ".dvc"

RunDvc = Callable[[Sequence[str]], int]
"""Runs DVC in the worktree; gives its exit code."""


def set_up_dvc(root: Path, tree: Path) -> str:
    """Give a worktree its own cache and the repository's remotes; return the one that is used.

    Without a default remote the repository's own cache is one: both are laid out alike. Objects are
    hashed here after the pull, so `verify` is off: it would delete a damaged one.

    Raises:
        MachineError: DVC's config cannot be read.
    """
    from dvc.config import Config, ConfigError  # slow to import

    try:
        known = Config(str(dvc_folder(root))).read()
        own = dvc_folder(tree)
        if root.resolve().is_relative_to(own.parent.resolve()):  # that commit had none
            own = tree / ".dvc"
        with Config(str(own)).edit("local") as config:
            for name, settings in known.get("remote", {}).items():
                config["remote"][name] = {**settings, "verify": False}
            config["cache"]["dir"] = str(own / "cache")
            remote = known.get("core", {}).get("remote")
            if remote is None:
                config["remote"][_LOCAL] = {"url": str(cache_folder(root).resolve())}
            config["core"]["remote"] = remote or _LOCAL
    except ConfigError as error:
        raise MachineError(".dvc/config", str(error), remedy="mend it with `dvc config`") from error
    return f"the remote {remote!r}" if remote else "the local cache"


def bring_inputs(root: Path, tree: Path, recorded: Recorded, run_dvc: RunDvc) -> list[str]:
    """Pull the raw data and weights that DVC tracks, and check them; return what came from `root`.

    Raises:
        IntegrityError: An input differs from what was recorded, or nothing says where it is.
        MachineError: DVC cannot pull.
    """
    wanted = {
        path: md5 for stage in recorded.stages for path, md5 in recorded.inputs(stage).items()
    }
    tracked = [path for path in wanted if _dvc_file(tree, path).exists()]
    local = [path.relative_to(tree).as_posix() for path in (tree / WEIGHTS).glob(f"*{_SUFFIX}")]
    targets = [*(f"{path}{_SUFFIX}" for path in tracked), *local]
    for path in tracked:
        _check_pointer(tree, path, wanted[path])
    if targets and run_dvc(["pull", *sorted(set(targets))]) != 0:
        raise MachineError(
            "dvc pull",
            "could not bring the raw data; its own message is above",
            remedy="`dvc push` where they are; look with `rootstock doctor --remote`",
        )
    for path in tracked:
        _check_content(tree, path, wanted[path])
    _refuse_unknown_data(tree, recorded)
    others = {
        path: md5
        for path, md5 in wanted.items()
        if md5.endswith(".dir") and path not in tracked and not _is_built(tree, path)
    }
    return _settle_folders(root, tree, others)


def _is_built(tree: Path, path: str) -> bool:
    """Return whether a data stage beside a folder makes it."""
    return (tree / path).parent != tree and (tree / path).parent.joinpath(GRAPH).exists()


def _dvc_file(tree: Path, path: str) -> Path:
    return tree / f"{path}{_SUFFIX}"


def _check_pointer(tree: Path, path: str, md5: str) -> None:
    outs = read_outs(_dvc_file(tree, path)) or [{}]
    if outs[0].get("md5") != md5:
        raise IntegrityError(
            f"{path}{_SUFFIX}",
            "names other data than the result was made from",
            got=outs[0].get("md5"),
        )


def _check_content(tree: Path, path: str, md5: str) -> None:
    """Hash a file, or every file of a folder, and the list of them."""
    if not md5.endswith(".dir"):
        _check_file(tree, path, md5)
        return
    cache = cache_folder(tree)
    listing = object_path(cache, md5)
    if not listing.is_file() or md5_file(listing) != md5.removesuffix(".dir"):
        raise IntegrityError(path, "the list of its files was altered, or is not there", got=md5)
    for name, digest in sorted(read_listing(cache, md5).items()):
        _check_file(tree, f"{path}/{name}", digest)


def _check_file(tree: Path, path: str, md5: str) -> None:
    found = md5_file(tree / path) if (tree / path).is_file() else None
    if found != md5:
        raise IntegrityError(
            path,
            f"different: this input must have md5 {md5}, as was recorded",
            got=found,
            remedy="the remote or cache holds an altered file; push it again from an intact copy",
        )


def _refuse_unknown_data(tree: Path, recorded: Recorded) -> None:
    path = recorded.data_path
    if (tree / path).exists() or _is_built(tree, path):
        return
    raise IntegrityError(
        path,
        "neither git nor DVC has these data at that commit",
        remedy=f"`dvc add {path}` and commit, before results are published",
    )


def _settle_folders(root: Path, tree: Path, wanted: dict[str, str]) -> list[str]:
    """Check folders that DVC does not track, such as `review`; return those taken from `root`."""
    taken = []
    for path, md5 in wanted.items():
        if folder_md5(tree / path) == md5:
            continue
        if folder_md5(root / path) != md5:
            raise IntegrityError(
                path,
                "different: this input is not as it was recorded, here or at that commit",
                got=folder_md5(tree / path),
                remedy=f"recorded: {md5}",
            )
        remove(tree / path)
        shutil.copytree(root / path, tree / path)
        taken.append(path)
    return taken
