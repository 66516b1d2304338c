"""What `clean` made of the data, in the working tree and at any revision: from git and DVC's cache.

A revision's dvc.lock names the manifest and every raw file by md5. Their bytes are in the cache
until somebody collects garbage. Nothing is checked out or fetched.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from pipeline.diff.diff import REPEATS, Snapshot
from pipeline.ground.errors import (
    DataError,
    IntegrityError,
    MachineError,
    ParamsError,
    PipelineError,
)
from pipeline.ground.files import md5_file, read_json
from pipeline.ground.tables import read_table
from pipeline.manifest.manifest import KEPT, read_manifest
from pipeline.raw.archive.archive import RawFault
from pipeline.raw.containers import Readable, open_holder
from pipeline.raw.source import MOST_BYTES
from pipeline.raw.texts.cell_paths import Column, column_of
from pipeline.repo.cache import cache_folder, object_path, read_listing
from pipeline.repo.git import ask_git, has_commit
from pipeline.repo.history import show
from pipeline.repo.lock import LOCK, Lock
from pipeline.repo.recorded_outs import read_outs

MANIFEST = "artifacts/clean/manifest.parquet"
_REPORT = "artifacts/clean/report.json"
_NEAR = "artifacts/clean/near_duplicates.parquet"
_COMMIT_CHARS = 12


@dataclass(frozen=True)
class CachedFiles:
    """The raw files of a revision, as far as DVC's cache has them."""

    cache: Path
    listing: Mapping[str, str] = field(default_factory=dict)
    """Path -> md5; empty where the raw folder was not tracked, or its listing is not cached."""

    def read(self, path: str) -> bytes | None:
        """Return the bytes of a file, or of a member; None if they are not here."""
        try:
            if path in self.listing:
                return object_path(self.cache, self.listing[path]).read_bytes()
            for parent in map(str, PurePosixPath(path).parents):
                if parent in self.listing:
                    own, member = self.listing[parent], path[len(parent) + 1 :]
                    column = column_of(parent, member)
                    holder = _opened(object_path(self.cache, own), parent, column)
                    return holder.read(member, MOST_BYTES)
        except (OSError, PipelineError, RawFault):
            return None
        return None


@lru_cache(maxsize=4)
def _opened(path: Path, name: str, column: Column | None) -> Readable:
    """Return what holds items in the cache, whose objects never change, and have no suffix."""
    return open_holder(path, name, column)


def read_recorded(root: Path, revision: str) -> tuple[Snapshot, CachedFiles]:
    """Return what a revision recorded, and its raw files.

    Args:
        root: The folder that holds dvc.lock and `.dvc`.
        revision: Anything that git takes for a commit.

    Raises:
        ParamsError: Git knows no such commit here.
        DataError: The commit has no manifest in its dvc.lock.
        MachineError: git cannot read the repository, or DVC's cache does not hold that manifest.
        IntegrityError: The manifest in the cache is damaged.
    """
    commit = _commit(root, revision)
    where = f"{LOCK} of {revision} ({commit[:_COMMIT_CHARS]})"
    lock = Lock.parse(show(root, commit, LOCK) or "stages: {}", where)
    md5 = lock.all_outs().get(MANIFEST)
    if md5 is None:
        raise DataError(
            where, "records no manifest", remedy="name a revision at which `clean` has run"
        )
    cache = cache_folder(root)
    path = object_path(cache, md5)
    if not path.exists():
        raise MachineError(
            where,
            f"its manifest is not in the cache ({path})",
            remedy=f"run `dvc fetch --all-commits {MANIFEST}`, or, if it was never pushed, name a "
            "revision whose `clean` ran here",
        )
    settings = _settings(lock)
    manifest = read_manifest(path)
    snapshot = Snapshot(revision, commit, manifest, settings, find_originals(manifest, {}, None))
    return snapshot, CachedFiles(cache, _listing(cache, lock, settings))


def read_current(root: Path) -> tuple[Snapshot, Path]:
    """Return the snapshot of the working tree, and its raw folder.

    Raises:
        DataError: `clean` has not run, or what it made was not pulled.
        IntegrityError: The manifest is damaged, or is not the one that dvc.lock records, as after
            `git checkout` alone; or other data were added since.
    """
    path = root / MANIFEST
    if not path.exists():
        raise DataError(
            MANIFEST, "no such file", remedy="run `dvc repro clean`, or `dvc pull clean`"
        )
    lock = Lock.read(root / LOCK) if (root / LOCK).exists() else Lock({"stages": {}}, LOCK)
    if lock.all_outs().get(MANIFEST) not in (None, md5_file(path)):
        raise IntegrityError(
            MANIFEST,
            f"is not the one that {LOCK} records",
            remedy="run `dvc checkout clean`, or `dvc pull clean`, or `dvc repro clean`",
        )
    manifest = read_manifest(path)
    settings = _settings(lock)
    details = _details(root / _REPORT)
    near = read_table(root / _NEAR) if (root / _NEAR).exists() else None
    originals = find_originals(manifest, details, near)
    raw = str(settings.get("data", {}).get("path", "data"))
    _refuse_other_data(root, lock, raw)
    return Snapshot("working tree", None, manifest, settings, originals), root / raw


def read_report(root: Path, revision: str | None) -> dict[str, Any]:
    """Return the report of `clean` in the working tree, or as a revision holds it in git.

    Raises:
        ParamsError: Git knows no such commit here.
        DataError: There is no report.
        IntegrityError: It is damaged.
    """
    if revision is None:
        return dict(read_json(root / _REPORT))
    text = show(root, _commit(root, revision), _REPORT)
    if not text:
        raise DataError(
            f"{_REPORT} of {revision}", "no such file", remedy="name a commit that has one"
        )
    try:
        return dict(json.loads(text))
    except ValueError as error:
        raise IntegrityError(f"{_REPORT} of {revision}", f"not valid JSON ({error})") from error


def _refuse_other_data(root: Path, lock: Lock, raw: str) -> None:
    """Refuse a manifest from before the last `dvc add`: what it does not show looks unchanged."""
    tracked, read = root / f"{raw}.dvc", _read_by_clean(lock).get(raw)
    if read is None or not tracked.exists():
        return
    if read not in [out.get("md5") for out in read_outs(tracked)]:
        raise IntegrityError(
            f"{raw}.dvc", "names other data than `clean` has read", remedy="run `dvc repro clean`"
        )


def find_originals(
    manifest: pd.DataFrame, details: Mapping[str, str], near: pd.DataFrame | None
) -> dict[str, str]:
    """Return which item each dropped row repeats, as far as it can be known.

    Args:
        manifest: Its rows.
        details: Path -> detail of the row in the report, which has the first rows only.
        near: Columns path_a, path_b, correlation of near-duplicates, if there was a search.
    """
    kept = manifest[manifest["status"] == KEPT]
    paths = set(kept["path"])
    by_id = dict(zip(kept["id"], kept["path"], strict=True))
    beside = _neighbors(near, paths) if near is not None else {}
    rows = manifest[manifest["reason"].isin(REPEATS)]
    originals = {}
    for path, each in zip(rows["path"], rows["id"], strict=True):
        original = by_id.get(each) or _told(details.get(path, ""), paths) or beside.get(path)
        if original:
            originals[path] = original
    return originals


def _told(detail: str, paths: Collection[str]) -> str | None:
    """Find the kept path in `as <path>` or `... alike to <path> in <split>`.

    More text may follow, and a path can hold commas and words: the longest known path counts.
    """
    _, marker, rest = detail.rpartition(" alike to ")
    rest = rest if marker else detail.removeprefix("as ")
    while rest and rest not in paths:
        rest = max(rest.rpartition(",")[0], rest.rpartition(" in ")[0], key=len)
    return rest or None


def _neighbors(near: pd.DataFrame, paths: Collection[str]) -> dict[str, str]:
    """Return the kept path that is closest to each other one."""
    beside: dict[str, str] = {}
    near = near.sort_values("correlation", ascending=False, kind="stable")
    for first, second in zip(near["path_a"], near["path_b"], strict=True):
        for path, other in ((first, second), (second, first)):
            if other in paths:
                beside.setdefault(path, other)
    return beside


def _settings(lock: Lock) -> dict[str, Any]:
    """Return the params that `clean` ran with."""
    return lock.params("clean") if "clean" in lock.stages else {}


def _read_by_clean(lock: Lock) -> dict[str, str]:
    return lock.deps("clean") if "clean" in lock.stages else {}


def _listing(cache: Path, lock: Lock, settings: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the raw files of a lock; none where they are unknown: only a sheet needs them."""
    md5 = _read_by_clean(lock).get(str(settings.get("data", {}).get("path")))
    try:
        return read_listing(cache, md5) if md5 else {}
    except PipelineError:
        return {}


def _details(report: Path) -> dict[str, str]:
    rows = read_json(report).get("not_kept", []) if report.exists() else []
    return {row["path"]: row["detail"] for row in rows}


def _commit(root: Path, revision: str) -> str:
    has_commit(root)
    found = ask_git(
        root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
    )
    if not found:
        raise ParamsError(
            "rootstock data diff",
            "must be a commit of this repository",
            field="REV",
            got=revision,
            remedy="`git fetch` it; a shallow clone has few commits",
        )
    return found.strip()
