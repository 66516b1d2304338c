"""What lies in the raw folder, by `lstat` alone: files, what nobody may open, and the rest."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.guard import entry_fault
from pipeline.errors import DataError

_SYSTEM_NAMES = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


@dataclass(frozen=True)
class Folder:
    """Paths relative to the folder, with `/`, in code point order."""

    files: tuple[str, ...]
    """Regular files, and links to such files inside the folder."""

    unsafe: tuple[tuple[str, str], ...]
    """Entries that nobody may open, each with what is wrong; undecodable bytes are escaped."""

    ignored: int
    """Hidden and system entries, a folder counted as one."""


def look_at(folder: Path) -> Folder:
    """List a folder without opening any file or following any link to a folder.

    Raises:
        DataError: The folder is missing, or no folder.
    """
    if not folder.is_dir():
        rule = "must be a folder" if folder.exists() else "no such folder"
        raise DataError(folder, rule, field="data.path", remedy="run `dvc pull` or `dvc repro`")
    files: list[str] = []
    unsafe: list[tuple[str, str]] = []
    ignored = 0
    root = folder.resolve()
    for entry in _walk(str(folder)):
        path = os.fsencode(os.path.relpath(entry.path, folder)).decode("utf-8", "backslashreplace")
        fault = None if _is_ignored(entry.name) else _fault(entry, root)
        if _is_ignored(entry.name):
            ignored += 1
        elif fault:
            unsafe.append((path, fault))
        elif not entry.is_dir():
            files.append(path)
    return Folder(tuple(sorted(files)), tuple(sorted(unsafe)), ignored)


def _walk(folder: str) -> Iterator["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False) and not _is_ignored(entry.name):
                yield from _walk(entry.path)


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def _fault(entry: "os.DirEntry[str]", root: Path) -> str | None:
    fault = entry_fault(entry.path, root)
    if fault is None and entry.is_symlink() and entry.is_dir():
        return "a link to a folder"
    return fault
