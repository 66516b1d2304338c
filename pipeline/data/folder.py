"""What lies in the raw folder: files, members of containers, what nobody may open, and the rest.

Loose files are looked at with `lstat` alone; of archives, the headers are read, and of tables the
footer and some cells.
"""

import os
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.data.containers import SUFFIXES, is_container, open_container
from pipeline.data.guard import entry_fault, walk
from pipeline.errors import DataError

_SYSTEM_NAMES = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


@dataclass(frozen=True)
class Folder:
    """Paths relative to the folder, with `/`, in code point order.

    The path of a member goes through its container as through a folder: `a.tar/cat/1.jpg`.
    """

    files: tuple[str, ...]
    """Regular files and links to such files inside the folder, and members of containers."""

    unsafe: tuple[tuple[str, str, str], ...]
    """What nobody may open: path, reason code and what is wrong; undecodable bytes are escaped."""

    ignored: int
    """Hidden and system entries, a folder counted as one."""

    archives: tuple[str, ...] = ()
    """Containers: tables with a picture column too."""

    hidden: tuple[str, ...] = ()
    """Folders among the hidden entries, on disk: nobody looked into them."""

    def archive_of(self, path: str) -> str | None:
        """Return the container that holds a file, or None for a loose one."""
        if not self.archives:
            return None
        at = path.find("/")
        while at >= 0:
            if path[:at].lower().endswith(SUFFIXES) and path[:at] in self._archive_set:
                return path[:at]
            at = path.find("/", at + 1)
        return None

    @cached_property
    def _archive_set(self) -> frozenset[str]:
        return frozenset(self.archives)


def look_at(folder: Path) -> Folder:
    """List a folder without opening any loose file or following any link to a folder.

    Raises:
        DataError: The folder is missing, or no folder; a container is cut, corrupt, or of a kind
            that cannot be read in place.
    """
    if not folder.is_dir():
        rule = "must be a folder" if folder.exists() else "no such folder"
        raise DataError(folder, rule, field="data.path", remedy="run `dvc pull` or `dvc repro`")
    files: list[str] = []
    archives: list[str] = []
    unsafe: list[tuple[str, str, str]] = []
    hidden: list[str] = []
    ignored = 0
    for entry in walk(str(folder), skips=is_ignored):
        path = os.fsencode(os.path.relpath(entry.path, folder)).decode("utf-8", "backslashreplace")
        fault = None if is_ignored(entry.name) else _fault(entry, folder)
        if is_ignored(entry.name):
            ignored += 1
            if entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                hidden.append(path)
        elif fault:
            unsafe.append((path, "unsafe_path", fault))
        elif not entry.is_dir():
            (archives if is_container(Path(entry.path)) else files).append(path)
    archives.sort()
    for archive in archives:
        inside = look_into(folder, archive)
        files += inside.files
        unsafe += inside.unsafe
        ignored += inside.ignored
    return Folder(tuple(sorted(files)), tuple(sorted(unsafe)), ignored, tuple(archives),
                  tuple(sorted(hidden)))  # fmt: skip


def look_into(folder: Path, archive: str) -> Folder:
    """List the files in one container; every one gets a path of its own.

    Of a name that stands several times nobody can say which file is meant: none is used.

    Raises:
        DataError: It is cut, corrupt, or of a kind that cannot be read in place.
    """
    good: list[tuple[str, int]] = []
    bad: list[tuple[str, int, str, str]] = []
    ignored: set[str] = set()
    for member in open_container(folder / archive, archive).members():
        parts = member.path.split("/")
        hidden = next((n for n, part in enumerate(parts) if is_ignored(part)), None)
        if member.fault:
            bad.append((member.path, member.offset, *member.fault))
        elif hidden is not None:
            ignored.add("/".join(parts[: hidden + 1]))
        else:
            good.append((member.path, member.offset))
    times = Counter(path for path, _ in good)
    repeats = [(*each, "unsafe_path", "a name that stands twice in its archive")
               for each in good if times[each[0]] > 1]  # fmt: skip
    taken = {path for path, n in times.items() if n == 1}
    unsafe = []
    for path, offset, reason, detail in (*bad, *repeats):
        own = path
        while own in taken:
            own = f"{own}@{offset}"
        taken.add(own)
        unsafe.append((f"{archive}/{own}", reason, detail))
    files = tuple(f"{archive}/{path}" for path, _ in good if times[path] == 1)
    return Folder(files, tuple(unsafe), len(ignored), (archive,))


def is_ignored(name: str) -> bool:
    """Tell whether a file or folder of this name is hidden, or a system's own."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def _fault(entry: "os.DirEntry[str]", root: Path) -> str | None:
    fault = entry_fault(entry.path, root)
    if fault is None and entry.is_symlink() and entry.is_dir():
        return "a link to a folder"
    return fault
