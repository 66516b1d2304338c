"""What lies in the raw folder: files, members of containers, what nobody may open, and the rest.

Loose files are looked at with `lstat` alone; of archives, the headers are read, and of tables the
footer and some cells.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from pipeline.ground.errors import DataError, MachineError
from pipeline.raw.bucket.pointer import POINTER, Bucket, read_bucket
from pipeline.raw.bucket.reading import list_all
from pipeline.raw.containers import SUFFIXES, is_container, open_in
from pipeline.raw.item_names import item_noun, item_nouns, item_suffixes
from pipeline.raw.system_names import is_system_name
from pipeline.raw.unsafe_entries import entry_fault, walk
from pipeline.store.kept import TEXTS, Kept
from pipeline.store.spill import MEMORY, Place

FOREIGN_FOLDER = "a link to a folder elsewhere"
"""What is said of a link behind which there may be many items."""


@dataclass(frozen=True)
class Folder:
    """Paths relative to the folder, with `/`, in code point order.

    The path of a member goes through its container as through a folder: `a.tar/cat/1.jpg`.
    """

    files: Sequence[str]
    """Regular files and links to such files inside the folder, and members of containers."""

    unsafe: tuple[tuple[str, str, str], ...]
    """What nobody may open: path, reason code and what is wrong; undecodable bytes are escaped."""

    ignored: int
    """Hidden and system entries, a folder counted as one."""

    archives: tuple[str, ...] = ()
    """Containers: archives, and item tables."""

    hidden: tuple[str, ...] = ()
    """Folders among the hidden entries, on disk: nobody looked into them."""

    folders: tuple[str, ...] = ()
    """Folders on disk, empty ones too, but for hidden and system folders."""

    system: Mapping[str, int] = field(default_factory=dict)
    """Entries of systems, disks and viewers that are not hidden, counted by name."""

    unwanted: Mapping[str, int] = field(default_factory=dict)
    """Files and archives that a pattern of the user leaves out, counted by pattern."""

    noun: str = field(default_factory=item_noun)
    """What an item is called in a message."""

    nouns: str = field(default_factory=item_nouns)
    """What several items are called."""

    place: Place = MEMORY
    """Where lists wait that are as long as that of the files."""

    def without(self, paths: Collection[str]) -> "Folder":
        """Return the folder without some of its files."""
        if not any(path in paths for path in self.files):
            return self
        rest = (path for path in self.files if path not in paths)
        return replace(self, files=Kept.keep(rest, TEXTS, self.place))

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


def look_at(
    folder: Path,
    *,
    unwanted: Callable[[str], str | None] = lambda _: None,
    opens: Callable[[Path], bool] = is_container,
    place: Place = MEMORY,
) -> Folder:
    """List a folder without opening any loose file or following any link to a folder.

    Args:
        folder: Where to look.
        unwanted: Returns the user's pattern that leaves out a path, or None.
        opens: Returns whether to list what is in a file.
        place: Where the list waits.

    Raises:
        DataError: The folder is missing, or no folder; a container is cut, corrupt, or of a kind
            that cannot be read in place.
    """
    if not folder.is_dir():
        rule = "must be a folder" if folder.exists() else "no such folder"
        raise DataError(folder, rule, field="data.path", remedy="run `dvc pull` or `dvc repro`")
    seen = _Seen(folder, unwanted, opens)
    for entry in walk(str(folder), skips=is_ignored):
        seen.add(entry)
    if bucket := read_bucket(folder):
        list_all(bucket, seen.add_linked(bucket))
    return seen.folder(place)


class _Seen:
    """What was seen of a folder so far."""

    def __init__(
        self, root: Path, unwanted: Callable[[str], str | None], opens: Callable[[Path], bool]
    ) -> None:
        self.archives: list[str] = []
        self._root = root
        self._before = len(os.path.join(root, ""))  # noqa: PTH118
        self._pattern_of = unwanted
        self._opens = opens
        self._files: list[str] = []
        self._unsafe: list[tuple[str, str, str]] = []
        self._ignored = 0
        self._hidden: list[str] = []
        self._folders: list[str] = []
        self._system: Counter[str] = Counter()
        self._unwanted: Counter[str] = Counter()

    def add(self, entry: "os.DirEntry[str]") -> None:
        """Add an entry on disk."""
        path = entry.path[self._before :]
        if not path.isascii():
            path = _decode_name(path)
        is_folder = entry.is_dir(follow_symlinks=False)
        if path == POINTER:
            return
        if is_ignored(entry.name):
            self._add_ignored(entry.name, path, is_folder=is_folder)
        elif pattern := self._pattern_of(path):
            self._unwanted[pattern] += not is_folder
        elif is_folder and path.isascii():
            self._folders.append(path)
        elif fault := _fault(entry, self._root):
            self._unsafe.append((path, "unsafe_path", fault))
        elif is_folder:
            self._folders.append(path)
        else:
            (self.archives if self._is_archive(entry) else self._files).append(path)

    def add_linked(self, bucket: Bucket) -> list[str]:
        """Add the tars of a bucket, and return those that are not left out.

        Raises:
            DataError: One lies here too, or archives are not looked into.
        """
        found = []
        for name in bucket.tars:
            if not self._opens(Path(name)):
                raise DataError(
                    self._root / POINTER,
                    "names tars in a bucket, which are not looked into for this",
                    remedy="copy what is needed here, and remove that file",
                )
            if (self._root / name).exists():
                raise DataError(
                    self._root / name,
                    f"lies here and at {bucket.tars[name].url}",
                    remedy=f"remove one of them, and run `rootstock data link {bucket.url}`",
                )
            if pattern := self._pattern_of(name):
                self._unwanted[pattern] += 1
            else:
                found.append(name)
        self.archives += found
        above = {str(each) for name in found for each in PurePosixPath(name).parents} - {"."}
        self._folders += sorted(above - set(self._folders))
        return found

    def _add_ignored(self, name: str, path: str, *, is_folder: bool) -> None:
        self._ignored += 1
        if not name.startswith("."):
            self._system[name] += 1
        elif is_folder:
            self._hidden.append(path)

    def _all_files(self) -> Iterator[str]:
        """Yield the loose files, then the members of one archive after the other."""
        yield from self._files
        for archive in sorted(self.archives):
            inside = look_into(self._root, archive)
            self._unsafe += [
                each for each in inside.unsafe if not self._is_unwanted(each[0], archive=archive)
            ]
            for path in inside.files:
                if not self._is_unwanted(path, archive=archive):
                    yield path
            self._ignored += inside.ignored
            self._system.update(inside.system)

    def _is_archive(self, entry: "os.DirEntry[str]") -> bool:
        suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
        return suffix not in item_suffixes() and self._opens(Path(entry.path))

    def _is_unwanted(self, path: str, *, archive: str) -> bool:
        """Count a member if a pattern matches it as it is, or as if its archive were unpacked."""
        place, _, name = archive.rpartition("/")
        inner = path[len(archive) + 1 :]
        unpacked = (f"{place}/{inner}", f"{place}/{Path(name).stem}/{inner}")
        forms = (path, *(each.lstrip("/") for each in unpacked))
        pattern = next(filter(None, map(self._pattern_of, forms)), None)
        if pattern:
            self._unwanted[pattern] += 1
        return bool(pattern)

    def folder(self, place: Place) -> Folder:
        """Look into the archives, and return all of it, sorted."""
        return Folder(
            files=Kept.keep(self._all_files(), TEXTS, place).sorted_by("text"),
            unsafe=tuple(sorted(self._unsafe)),
            ignored=self._ignored,
            archives=tuple(sorted(self.archives)),
            hidden=tuple(sorted(self._hidden)),
            folders=tuple(sorted(self._folders)),
            system=self._system,
            unwanted=self._unwanted,
            place=place,
        )


def look_into(folder: Path, archive: str) -> Folder:
    """List the files in one container; every one gets a path of its own.

    Of a name that stands several times nobody can say which file is meant: none is used.

    Raises:
        DataError: It is cut, corrupt, or of a kind that cannot be read in place.
    """
    good: list[tuple[str, int]] = []
    bad: list[tuple[str, int, str, str]] = []
    ignored: set[str] = set()
    for member in open_in(folder, archive).members():
        parts = member.path.split("/")
        hidden = next((n for n, part in enumerate(parts) if is_ignored(part)), None)
        if member.fault:
            bad.append((member.path, member.offset, *member.fault))
        elif hidden is not None:
            ignored.add("/".join(parts[: hidden + 1]))
        else:
            good.append((member.path, member.offset))
    times = Counter(path for path, _ in good)
    repeats = [
        (*each, "unsafe_path", "a name that its archive has twice")
        for each in good
        if times[each[0]] > 1
    ]
    taken = {path for path, n in times.items() if n == 1}
    unsafe = []
    for path, offset, reason, detail in (*bad, *repeats):
        own = path
        while own in taken:
            own = f"{own}@{offset}"
        taken.add(own)
        unsafe.append((f"{archive}/{own}", reason, detail))
    files = tuple(f"{archive}/{path}" for path, _ in good if times[path] == 1)
    names = Counter(path.rpartition("/")[2] for path in ignored)
    system = {name: n for name, n in names.items() if not name.startswith(".")}
    return Folder(files, tuple(unsafe), len(ignored), (archive,), system=system)


def is_ignored(name: str) -> bool:
    """Return whether a file or folder of this name is hidden, or a system's own."""
    return name.startswith(".") or is_system_name(name)


def _decode_name(path: str) -> str:
    """Return a name of the disk as the text that it is in UTF-8.

    Raises:
        MachineError: Python takes names for another encoding, and could not open the file again.
    """
    if sys.getfilesystemencoding() != "utf-8":
        raise MachineError(
            "file names",
            "must be taken for UTF-8, which those here are not all ASCII for",
            got=sys.getfilesystemencoding(),
            remedy="unset PYTHONUTF8, or set PYTHONUTF8=1",
        )
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _fault(entry: "os.DirEntry[str]", root: Path) -> str | None:
    fault = entry_fault(entry.path, root)
    if entry.is_symlink() and entry.is_dir():
        return "a link to a folder" if fault is None else FOREIGN_FOLDER
    return fault
