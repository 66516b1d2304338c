"""What a person points at, as a list of files: pictures, folders, archives, label files.

Folders and archives are looked through as `clean` looks through a raw folder: hidden and system
files do not count, a label file in a folder itself is no picture, and what nobody may open is in
the list with the reason. A label file names pictures by its column `path`.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.data.containers import is_container
from pipeline.data.folder import Folder, look_at, look_into
from pipeline.data.guard import entry_fault, safe_path
from pipeline.data.items import LABEL_FILES
from pipeline.data.rawfiles import split_path
from pipeline.data.texttable import TextTable, read_text_table
from pipeline.errors import ParamsError

log = logging.getLogger(__name__)

_TABLES = (".csv", ".parquet")


@dataclass(frozen=True, slots=True)
class Input:
    """One file to predict, unopened.

    Attributes:
        path: As its row names it: what was given, and then its place in it.
        root: The folder that it may not leave.
        inner: Its place in `root`, through an archive as through a folder.
        fault: `<reason>: <detail>` where it must not be opened.
    """

    path: str
    root: Path
    inner: str
    fault: str | None = None

    def stamp(self) -> list[str | int]:
        """Give what changes when the file does, from the file system's records alone."""
        try:
            file, _ = split_path(self.root, self.inner)
            status = (self.root / file).stat()
        except (OSError, ValueError):
            return [self.path, self.fault or ""]
        return [self.path, self.fault or "", status.st_size, status.st_mtime_ns]


def find_inputs(given: Sequence[str], *, but: Path | None = None) -> list[Input]:
    """List the files, sorted by their paths; one that was reached twice is there once.

    Args:
        given: Paths of pictures, folders, archives and label files.
        but: A file that is none of them, wherever it lies: the output.

    Raises:
        ParamsError: A path is not there, or there is no file in all of them.
        DataError: A label file or an archive is wrong as a whole.
    """
    found: dict[str, Input] = {}
    for each in given:
        for file in _look(each):
            found.setdefault(file.path, file)
    if but is not None and but.exists():
        own = but.stat()
        found = {path: file for path, file in found.items() if not _is_same(file, own)}
    if not found:
        raise ParamsError(
            ", ".join(given) or "rootstock predict", "there is no file to predict",
            remedy="name pictures, folders, .tar or .zip archives, or a label file",
        )  # fmt: skip
    return [found[path] for path in sorted(found)]


def _is_same(file: Input, own: os.stat_result) -> bool:
    if file.fault is not None:
        return False
    try:
        return os.path.samestat((file.root / file.inner).stat(), own)
    except OSError:  # missing, or in an archive
        return False


def _look(given: str) -> Iterable[Input]:
    path = Path(given)
    if given in ("", "-"):
        raise ParamsError(
            "rootstock predict", "must be a path; standard input is not read", got=given,
            remedy="name pictures, folders, archives or a label file",
        )  # fmt: skip
    if path.is_dir():
        return _from_folder(path, look_at(path))
    if not os.path.lexists(path):
        raise ParamsError(_shown(path), "no such file or folder")
    fault = entry_fault(str(path), Path("/"))
    if path.suffix.lower() in _TABLES and (fault or not is_container(path)):
        return _from_table(path, read_text_table(path))
    # Whoever names a link means what it points to.
    real = Path(os.path.realpath(path)) if path.is_symlink() else path
    if fault is None and is_container(real):
        return _from_archive(path, real)
    if fault is None and is_container(path):  # a link to a file that is not called so
        return _from_archive(path, path)
    return [Input(_shown(path), real.parent, real.name, f"unsafe_path: {fault}" if fault else None)]


def _from_folder(root: Path, folder: Folder) -> Iterator[Input]:
    labels = [name for name in LABEL_FILES if name in folder.files]
    if folder.ignored or labels:
        and_labels = f", and {' and '.join(labels)}" if labels else ""
        log.info("%s: left out: %d hidden and system entries%s", root, folder.ignored, and_labels)
    for inner in folder.files:
        if inner not in labels:
            yield Input(_joined(root, inner), root, inner)
    for inner, reason, detail in folder.unsafe:
        yield Input(_joined(root, inner), root, inner, f"{reason}: {detail}")


def _from_archive(path: Path, file: Path) -> Iterator[Input]:
    """List the members of an archive file; the rows name the path that was given for it."""
    for member in _from_folder(file.parent, look_into(file.parent, file.name)):
        inner = member.inner.removeprefix(f"{file.name}/")
        yield replace(member, path=_joined(path, inner))


def _from_table(path: Path, table: TextTable) -> Iterator[Input]:
    root = path.parent
    for number, cell in enumerate(table.column("path")):
        inner, unsafe = safe_path(cell)
        fault = None
        if unsafe:
            fault = f"unsafe_path: {table.where(number)}: {unsafe}"
        elif not os.path.lexists(root / split_path(root, inner)[0]):
            fault = f"missing_file: {table.where(number)}: no such file"
        yield Input(_joined(root, inner), root, inner, fault)


def _joined(root: Path, inner: str) -> str:
    """Name a file in a folder; the rest stays as it was written, also where it leads out of it."""
    name = _shown(root)
    return inner if name == "." else f"{name.rstrip('/')}/{inner}"


def _shown(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")
