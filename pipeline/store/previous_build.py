"""The last build of an output, where DVC's cache has it: a stage then makes only what is new.

DVC removes a stage's outputs before it runs, and keeps them in its cache under the digests that
dvc.lock records. They are read there, by links: no third copy is kept. Beside the output a stage
writes a small file that says what its rows were computed from (params, code, weights); where that
differs, nothing is used. Without the cache (a fresh clone, CI) all is made, to the same bytes.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.ground.errors import IntegrityError, PipelineError
from pipeline.ground.files import canonical_json, md5_file, read_json, remove
from pipeline.repo.cache import cache_folder, object_path, read_listing
from pipeline.repo.lock import LOCK, Lock

log = logging.getLogger(__name__)

_LINKS = Path(".rootstock") / "earlier"
_OWN_SUMS = ".npy"
"""Shards are compared with sums of our own when they are used; all else is compared here."""


@contextmanager
def earlier_build(out: Path, *, key: Path, made_from: Any) -> Iterator[Path | None]:
    """Yield the last build of an output, to be read only, or None.

    Args:
        out: The file or folder that the running stage will write, relative to the working folder.
        key: The file beside it that says what its rows were computed from.
        made_from: What the running stage computes from, as JSON; else nothing can be used again.
    """
    links = _LINKS / out.as_posix().replace("/", "-")
    remove(links)
    try:
        yield _find(out, key, made_from, links)
    finally:
        remove(links)


def code_digest(*modules: ModuleType, versions: Mapping[str, str]) -> str:
    """Return a digest of the source of modules, and of the packages that they compute with.

    Args:
        modules: Those that decide a row's bytes.
        versions: By name of package.
    """
    digest = hashlib.sha256(canonical_json(dict(versions)).encode())
    for module in modules:
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def _find(out: Path, key: Path, made_from: Any, links: Path) -> Path | None:
    try:
        cache = cache_folder(Path())
        outs = Lock.read(Path(LOCK)).all_outs() if Path(LOCK).exists() else {}
        md5, key_md5 = (outs.get(path.as_posix()) for path in (out, key))
        if md5 is None or key_md5 is None:
            return None
        there, record = object_path(cache, md5), object_path(cache, key_md5)
        if not (there.exists() and record.exists()):
            return None
        _check(record, key_md5)
        if canonical_json(read_json(record)) != canonical_json(made_from):
            log.info(
                "%s: the last build was made with other params or code; all is computed again", out
            )
            return None
        if md5.endswith(".dir"):
            return _link(cache, md5, links)
        _check(there, md5)
        return there
    except PipelineError as error:
        log.info("%s: the last build cannot be used (%s); all is computed again", out, error)
        return None


def _check(place: Path, md5: str) -> None:
    """Compare an object with its name: DVC does not notice one that rotted."""
    if md5_file(place) != md5:
        raise IntegrityError(place, "is damaged in DVC's cache")


def _link(cache: Path, md5: str, links: Path) -> Path | None:
    """Make a folder of links to a folder's objects; None where one is missing."""
    listing = read_listing(cache, md5)
    cache = cache.resolve()
    objects = {file: object_path(cache, each) for file, each in listing.items()}
    if not all(_is_inside(file) and place.exists() for file, place in objects.items()):
        return None
    for folder in {(links / file).parent for file in objects}:
        folder.mkdir(parents=True, exist_ok=True)
    for file, place in objects.items():
        if not file.endswith(_OWN_SUMS):
            _check(place, listing[file])
        _name(links / file, place)
    return links


def _name(path: Path, place: Path) -> None:
    """Link an object to a second name: it needs no inode, as a symbolic link would.

    A thousand inodes can take a second where the file system looks long for free ones.
    """
    try:
        path.hardlink_to(place)
    except OSError:  # another file system, or another owner
        path.symlink_to(place)


def _is_inside(file: str) -> bool:
    return not file.startswith("/") and ".." not in Path(file).parts
