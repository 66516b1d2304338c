"""A look at a folder before DVC meets it.

DVC hangs on a FIFO, dies on an undecodable name, and follows a symbolic link out of the folder, so
that foreign files land in its cache and on the remote.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import DataError

_KINDS = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


def refuse_unsafe_entries(folder: Path) -> None:
    """Check every entry below `folder` with `lstat` alone; a missing folder passes.

    Raises:
        DataError: An entry is no regular file or folder, is a link that leaves `folder`, or has a
            name that is not UTF-8.
    """
    root = folder.resolve()
    for entry in _walk(str(folder)):
        fault = entry_fault(entry.path, root)
        if fault is not None:
            shown = os.fsencode(entry.path).decode("utf-8", "backslashreplace")
            raise DataError(shown, f"must not be {fault}", remedy="move it out of the data folder")


def entry_fault(path: str, root: Path) -> str | None:
    """Say what makes an entry unsafe to open, or None; only `lstat` and `readlink` are used.

    Args:
        path: The entry, as the file system names it.
        root: The resolved data folder, which links may not leave.
    """
    try:
        os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        return "named in bytes that are not UTF-8"
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        target = Path(os.path.realpath(path))
        if not target.is_relative_to(root):
            return "a link that leaves the data folder"
        if not target.exists():
            return "a link to nothing"
        mode = target.lstat().st_mode
    for check, kind in _KINDS:
        if check(mode):
            return kind
    return None


def _walk(folder: str) -> Iterator["os.DirEntry[str]"]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
    except FileNotFoundError:
        return
    for entry in entries:
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
