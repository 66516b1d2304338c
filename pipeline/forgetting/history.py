"""Which recorded results saw an item, and all that followed from it, by md5.

A result saw it where its manifest lists it. What followed: in the lock file that records that
manifest, each output of a stage that read it, and of each stage that read such an output. Side
branches have lock files of their own; theirs follow where a stage read what no other result has.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from pipeline.ground.errors import PipelineError
from pipeline.ground.tables import read_table
from pipeline.keys.keys import data_path
from pipeline.manifest.manifest import read_manifest
from pipeline.raw.source import split_path
from pipeline.repo.cache import cache_folder, object_path, read_listing
from pipeline.repo.history import LockFile, read_history
from pipeline.repo.lock import LOCK, Lock
from pipeline.repo.recorded_outs import dvc_files

_MANIFEST = "manifest.parquet"
_HERE = "working tree"
_SHORT = 12


@dataclass
class Seen:
    """What saw the items, and what is left of that.

    Attributes:
        manifests: That list one.
        results: In words, oldest first: which commit, and in which splits.
        models: md5 of models -> in which splits their items were.
        raw: md5 of what DVC tracked: the item, or the archive, table or folder with it.
        derived: md5 of all that followed from one, and that no result without it has.
        clean: md5 of what results without it have.
        unknown: Commits whose manifest is not in DVC's cache.
    """

    manifests: set[str] = field(default_factory=set)
    results: list[str] = field(default_factory=list)
    models: dict[str, str] = field(default_factory=dict)
    raw: set[str] = field(default_factory=set)
    derived: set[str] = field(default_factory=set)
    clean: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)


def look_back(
    root: Path, ids: Collection[str], manifests: Collection[str] = (), beside: Collection[str] = ()
) -> Seen:
    """Look through the history and the working tree.

    Args:
        root: The project.
        ids: Of the items.
        manifests: That are known to list one, though the cache may have lost them.
        beside: Files in the data folder that name one, or describe it.

    Raises:
        GitError: git cannot read the repository.
    """
    seen = Seen()
    cache = cache_folder(root)
    known: dict[str, pd.DataFrame | None] = {}
    for where, lock in _main_locks(root):
        md5 = _manifest_of(lock)
        if md5 is None:
            continue
        if md5 not in known:
            known[md5] = _rows(root, cache, md5, ids)
        rows = known[md5]
        if md5 not in manifests and rows is None:
            seen.unknown.append(where)
            continue
        if md5 not in manifests and rows is not None and rows.empty:
            seen.clean |= set(lock.all_outs().values())
            continue
        seen.manifests.add(md5)
        _note(seen, where, lock, rows)
        raw = {each for each in (_raw_of(lock),) if each}
        seen.raw |= raw | _raw_objects(root, cache, lock, rows, beside)
        derived = follow(lock, {md5, *raw})
        seen.derived |= derived
        seen.clean |= set(lock.all_outs().values()) - derived
    seen.derived -= seen.clean
    for _, lock in _side_locks(root):
        seen.derived |= follow(lock, seen.derived) - seen.clean
    seen.clean |= members(cache, seen.clean).keys()
    seen.derived |= members(cache, seen.derived).keys() - seen.clean
    return seen


def follow(lock: Lock, sources: Collection[str]) -> set[str]:
    """Return the md5 of each output of a lock file that followed from some inputs."""
    found: set[str] = set()
    left = list(lock.stages)
    while mine := [s for s in left if {*lock.deps(s).values()} & {*sources, *found}]:
        found |= {md5 for stage in mine for md5 in lock.outs(stage).values()}
        left = [stage for stage in left if stage not in mine]
    return found


def members(cache: Path, digests: Iterable[str]) -> dict[str, str]:
    """Return md5 -> path within its folder, of the files in folders that the cache still lists."""
    found: dict[str, str] = {}
    for md5 in digests:
        if md5.endswith(".dir"):
            try:
                found |= {each: path for path, each in read_listing(cache, md5).items()}
            except PipelineError:  # it is gone, and so is its list
                continue
    return found


def _main_locks(root: Path) -> Iterator[tuple[str, Lock]]:
    files, _ = read_history(root)
    yield from ((_named(each), each.lock) for each in files)
    if (root / LOCK).exists():
        yield _HERE, Lock.read(root / LOCK)


def _side_locks(root: Path) -> Iterator[tuple[str, Lock]]:
    for path in dvc_files():
        if path.name == LOCK and path != Path(LOCK):
            files, _ = read_history(root, path)
            yield from ((_named(each), each.lock) for each in files)
            yield _HERE, Lock.read(root / path)


def _named(file: LockFile) -> str:
    name = file.commit.sha[:_SHORT]
    return f"{name} (experiment {file.commit.experiment})" if file.commit.experiment else name


def _manifest_of(lock: Lock) -> str | None:
    outs = lock.outs("clean") if "clean" in lock.stages else {}
    return next((md5 for path, md5 in outs.items() if Path(path).name == _MANIFEST), None)


def _raw_of(lock: Lock) -> str | None:
    return lock.deps("clean").get(data_path(lock))


def _rows(root: Path, cache: Path, md5: str, ids: Collection[str]) -> pd.DataFrame | None:
    """Return the rows of a manifest that list one of the items; None where it cannot be had."""
    try:
        table = read_manifest(object_path(cache, md5))
    except PipelineError:
        try:
            table = read_table(object_path(cache, md5))  # of an older version
        except PipelineError:
            return None
    return table[table["id"].isin(ids)] if "id" in table else None


def _note(seen: Seen, where: str, lock: Lock, rows: pd.DataFrame | None) -> None:
    counts: Mapping[object, int] = (
        {} if rows is None else rows["split"].fillna("left out").value_counts().to_dict()
    )
    told = ", ".join(f"{split} {n}" for split, n in counts.items()) or "known by its manifest"
    seen.results.append(f"{where}: {told}")
    for stage in lock.stages:
        for path, md5 in lock.outs(stage).items():
            if Path(path).name == "model.safetensors" and stage == "train":
                seen.models[md5] = told


def _raw_objects(
    root: Path, cache: Path, lock: Lock, rows: pd.DataFrame | None, beside: Collection[str]
) -> set[str]:
    """Return the md5 of files that DVC tracked within the raw folder, and that held an item."""
    raw, md5 = data_path(lock), _raw_of(lock)
    if md5 is None or not md5.endswith(".dir"):
        return set()
    try:
        listing = read_listing(cache, md5)
    except PipelineError:
        return set()
    paths: list[str] = [] if rows is None else list(rows["path"])
    files = {split_path(root / raw, path)[0] for path in paths} | {*beside}
    return {listing[file] for file in files if file in listing}
