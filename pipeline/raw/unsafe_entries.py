"""A look at a folder before DVC meets it, and what makes a name or an entry unsafe to open.

DVC hangs on a FIFO, dies on an undecodable name, and follows a symbolic link out of the folder, so
that foreign files land in its cache and on the remote. Links that DVC itself made, to objects of
its own cache (`cache.type symlink`), are as good as files.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from pipeline.ground.errors import DataError
from pipeline.repo.cache import cache_folder, is_object, is_object_of

_KINDS = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_ABSOLUTE = re.compile(r"[A-Za-z]:|/")

_LOST = "a link to an object that DVC's cache lacks"
_ELSEWHERE = "a link into a cache of DVC that is not this project's"
_REMEDIES = {
    _LOST: "run `dvc checkout`, or `dvc pull`",
    _ELSEWHERE: "name that cache with `dvc config --local cache.dir`, or run "
    "`dvc checkout --relink`",
}


def refuse_unsafe_entries(folder: Path) -> None:
    """Check every entry below `folder` with `lstat` alone; a missing folder passes.

    Raises:
        DataError: An entry is no regular file or folder, is a link that leaves `folder`, or has a
            name that is not UTF-8.
    """
    if not folder.is_dir():
        return
    faults = [
        (os.fsencode(entry.path), fault)
        for entry in walk(str(folder))
        if (fault := entry_fault(entry.path, folder))
    ]
    if faults:
        path, fault = min(faults)
        rule = f"must not be {fault}" + (f", as {len(faults)} are" if len(faults) > 1 else "")
        shown = path.decode("utf-8", "backslashreplace")
        raise DataError(shown, rule, remedy=_REMEDIES.get(fault, "move it out of the data folder"))


def walk(
    folder: str, *, skips: Callable[[str], bool] = lambda _: False
) -> Iterator["os.DirEntry[str]"]:
    """Yield every entry below a folder, in no order; links to folders are not followed.

    Args:
        folder: Where to begin.
        skips: Tells by its name whether a folder is given and not looked into.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False) and not skips(entry.name):
                yield from walk(entry.path, skips=skips)


def entry_fault(path: str, root: Path) -> str | None:
    """Return what makes an entry unsafe to open, or None; only `lstat` and `readlink` are used.

    Args:
        path: The entry, as the file system names it.
        root: The data folder, which links may not leave; but for objects in the cache of the DVC
            project that it lies in.
    """
    try:
        os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        return "named in bytes that are not UTF-8"
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        target = Path(os.path.realpath(path))
        if fault := _link_fault(target, root):
            return fault
        mode = target.lstat().st_mode
    for check, kind in _KINDS:
        if check(mode):
            return kind
    return None


def _link_fault(target: Path, root: Path) -> str | None:
    if target.is_relative_to(root.resolve()):
        return None if target.exists() else "a link to nothing"
    if is_object_of(_cache_of(root.absolute()), target):
        return None if target.exists() else _LOST
    return _ELSEWHERE if is_object(target) else "a link that leaves the data folder"


@lru_cache(maxsize=8)
def _cache_of(folder: Path) -> Path:
    """Return the cache of the DVC project above a data folder; what lies in it has no say."""
    return cache_folder(folder.parent).resolve()


def safe_path(text: str) -> tuple[str, str | None]:
    r"""Return a path with `/` and without `.` parts, and what makes it unsafe, or None.

    Backslashes become slashes: people label, and pack, on Windows.
    """
    path = text.replace("\\", "/")
    if _URL.match(path):
        return text, "a URL"
    if _ABSOLUTE.match(path):
        return text, "an absolute path"
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or not parts:
        return text, "a path that leaves the data folder" if parts else "no file name"
    return "/".join(parts), None
