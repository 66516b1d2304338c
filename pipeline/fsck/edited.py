"""Keep outputs that were edited by hand, before `dvc repro` replaces them.

Only files changed after their lock file are hashed, so that this costs no more than DVC's own
check. It misses an edit that keeps the time of the file, or that is older than a `git checkout` of
the lock.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.doctor.preflight import STATE, lock_files
from pipeline.ground.errors import MachineError, PipelineError
from pipeline.ground.files import md5_file, replacing
from pipeline.repo.cache import cache_folder, read_listing
from pipeline.repo.recorded_outs import Named, named_here

OVERWRITTEN = STATE / "overwritten"
"""`<first of the md5>/<path>`: looked at again, the same edit is kept once."""

_DIGITS = 12


def keep_edited() -> Iterator[tuple[Path, Path]]:
    """Copy files that differ from their lock file; return each, and where it is kept.

    Raises:
        MachineError: There is no space for a copy, or no access.
    """
    for lock in lock_files():
        changed = lock.stat().st_mtime_ns
        for out in named_here(lock):
            for path, md5 in _edited(out, changed):
                kept = OVERWRITTEN / md5[:_DIGITS] / path
                _copy(path, kept)
                yield path, kept


def _copy(path: Path, kept: Path) -> None:
    if kept.exists():
        return
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as scratch:
            shutil.copyfile(path, scratch)
    except OSError as error:
        raise MachineError(
            path,
            f"was edited, and a copy of it could not be kept: {error.strerror}",
            remedy="copy it yourself, or `dvc checkout --force` it, then run again",
        ) from error


def _edited(out: Named, changed: int) -> Iterator[tuple[Path, str]]:
    try:
        recorded = _recorded(out)
    except PipelineError:  # the list of a folder's files is not in the cache: nothing to compare
        return
    here = sorted(out.path.rglob("*")) if out.path.is_dir() else [out.path]
    for path in here:
        if path.is_file() and not path.is_symlink() and path.stat().st_mtime_ns > changed:
            md5 = md5_file(path)
            if md5 != recorded.get(path):
                yield path, md5


def _recorded(out: Named) -> dict[Path, str]:
    if not out.md5.endswith(".dir"):
        return {out.path: out.md5}
    listing = read_listing(cache_folder(Path()), out.md5)
    return {out.path / name: md5 for name, md5 in listing.items()}
