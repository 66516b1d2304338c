"""A result of the past as files again: from git and from DVC's cache, in a folder of its own.

The files lie there at the paths that they have in the repository, each checked against the digest
that its lock file records. Nothing is fetched, and the working tree is not touched.
"""

import shlex
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.diff.snapshots import CachedFiles
from pipeline.ground.errors import DataError, MachineError, PipelineError
from pipeline.ground.files import copy_file, md5_file
from pipeline.ground.tables import read_table
from pipeline.raw.source import RawFault, read_raw
from pipeline.repo.cache import cache_folder, object_path, read_listing
from pipeline.repo.git import ask_git
from pipeline.repo.history import LockFile, show
from pipeline.repo.lock import GRAPH, PARAMS
from pipeline.version.verify import choose_items

CODE = "pipeline"
_FOLDER = ".dir"
_SHOWN = 4


class Missing(MachineError):
    """Outputs of a commit that neither git nor DVC's cache has.

    Args:
        where: The lock file and its commit.
        faults: By path, what is wrong.
    """

    def __init__(self, where: str, faults: Mapping[str, str]) -> None:
        self.paths = tuple(faults)
        told = [f"{path} ({fault})" for path, fault in faults.items()]
        more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        super().__init__(
            where,
            f"cannot be had: {', '.join(told[:_SHOWN])}{more}",
            remedy=f"run `dvc fetch --all-commits {' '.join(self.paths)}`, then this again",
        )


def paths_of(file: LockFile, stage: str) -> dict[str, Path]:
    """Return the paths that a publish stage was run with, by the names of its options.

    Raises:
        DataError: It has not run at this commit.
    """
    words = shlex.split(file.lock.command(stage))
    options = [word for word in words if word.startswith("--")]
    if not options:
        raise DataError(file.where, f"`{stage}` has not run", remedy="`dvc repro` at that commit")
    return {
        option[2:].replace("-", "_"): Path(words[words.index(option) + 1]) for option in options
    }


def lay_out(
    root: Path, file: LockFile, paths: Iterable[Path], folder: Path, *, further: Iterable[Path] = ()
) -> None:
    """Bring outputs of a commit, its lock file, dvc.yaml, params.yaml and code into a folder.

    Args:
        root: The root of the repository.
        file: The lock file that records them.
        paths: Outputs, files or folders, relative to the root.
        folder: Must exist.
        further: Other files of git that are taken where the commit has them.

    Raises:
        Missing: What is not to be had.
    """
    commit, outs, cache = file.commit.sha, file.lock.all_outs(), cache_folder(root)
    _write(folder / file.path, file.text)
    for path in (Path(PARAMS), Path(GRAPH), file.path.with_name(GRAPH), *further):
        text = show(root, commit, path.as_posix())
        if text is not None:
            _write(folder / path, text)
    faults: dict[str, str] = {}
    for path in paths:
        name, md5 = path.as_posix(), outs.get(path.as_posix())
        if md5 is None:
            faults[name] = "the lock file does not record it"
        elif md5.endswith(_FOLDER):
            faults |= _put_folder(cache, md5, name, folder)
        elif not _put_from_git(root, commit, name, md5, folder):
            fault = _put(cache, md5, folder / path)
            faults |= {name: fault} if fault else {}
    if faults:
        raise Missing(file.where, faults)
    _put_code(root, commit, folder)


def lay_out_raw(
    root: Path, file: LockFile, raw: Path, predictions: Path, folder: Path, *, items: int
) -> None:
    """Bring the raw files of the test items that `verify` predicts into a folder.

    They come from DVC's cache, else from the working tree; `verify` checks their digests.

    Args:
        root: The root of the repository.
        file: The lock file.
        raw: The raw folder, relative to the root.
        predictions: The predictions.parquet that was laid out.
        folder: As for `lay_out`.
        items: At most so many.

    Raises:
        Missing: One of them is not to be had.
    """
    md5 = file.lock.deps("clean").get(raw.as_posix(), "")
    cache = cache_folder(root)
    try:
        cached = CachedFiles(cache, read_listing(cache, md5))
    except PipelineError:
        cached = CachedFiles(cache)
    for path in sorted(choose_items(read_table(predictions), items)["path"]):
        content = cached.read(path) or _read_present(root / raw, path)
        if content is None:
            raise Missing(file.where, {raw.as_posix(): f"{path} is neither cached nor there"})
        (folder / raw / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / raw / path).write_bytes(content)


def _read_present(raw: Path, path: str) -> bytes | None:
    try:
        return read_raw(raw, path)
    except (OSError, PipelineError, RawFault):
        return None


def _put_folder(cache: Path, md5: str, name: str, folder: Path) -> dict[str, str]:
    try:
        listing = read_listing(cache, md5)
    except MachineError:
        return {name: "not in DVC's cache"}
    except PipelineError as error:
        return {name: str(error)}
    (folder / name).mkdir(parents=True, exist_ok=True)
    for path, each in listing.items():
        if fault := _put(cache, each, folder / name / path):
            return {name: f"{path}: {fault}"}
    return {}


def _put(cache: Path, md5: str, target: Path) -> str:
    """Copy an object of the cache; gives what is wrong, or an empty text."""
    source = object_path(cache, md5)
    if not source.is_file():
        return "not in DVC's cache"
    target.parent.mkdir(parents=True, exist_ok=True)
    copy_file(source, target)
    return "" if md5_file(target) == md5 else "damaged in DVC's cache"


def _put_from_git(root: Path, commit: str, name: str, md5: str, folder: Path) -> bool:
    """Write a file that git has, where it is the one that was recorded."""
    text = show(root, commit, name)
    if text is None:
        return False
    _write(folder / name, text)
    return md5_file(folder / name) == md5


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _put_code(root: Path, commit: str, folder: Path) -> None:
    """Unpack the commit's `pipeline` package, where it has one."""
    archive = folder / "code.tar"
    done = ask_git(root, "archive", "--format=tar", f"--output={archive.resolve()}", commit, CODE)
    if done is None:
        return
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    archive.unlink()
