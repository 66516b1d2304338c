"""The one way to the bytes of a raw item: a file in the raw folder, or a member of a container."""

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from pipeline.ground.errors import PipelineError
from pipeline.ground.files import sha256_file
from pipeline.raw.archive.archive import RawFault as RawFault
from pipeline.raw.bucket.pointer import linked_tar, read_bucket
from pipeline.raw.bucket.reading import expect_members, open_linked
from pipeline.raw.containers import SUFFIXES, Readable, open_holder
from pipeline.raw.texts.cell_paths import TABLES, Column, column_of
from pipeline.raw.unsafe_entries import entry_fault

_REFUSALS = (
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.ELOOP,
    errno.ENXIO,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
)
_FETCHED = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
MOST_BYTES = 3 << 30
"""More than any item has that `clean` keeps."""

_OPEN_CONTAINERS = 8
"""In each process; paths come sorted, so that one would nearly do."""


def read_raw(raw: Path, path: str, max_bytes: int = MOST_BYTES) -> bytes:
    """Read an item whole.

    Args:
        raw: The data folder; nothing outside it is read.
        path: Of the manifest: relative to `raw`, and through a container as through a folder.
        max_bytes: What is larger is not read.

    Raises:
        RawFault: The item cannot be read, or must not be; its reason is one of the manifest's.
        IntegrityError: It lies in a bucket, in a tar that is gone, or is another one.
        MachineError: It lies in a bucket that cannot be read.
        DataError: The container that holds it is cut or corrupt.
        OSError: The machine fails (no memory, too many open files), which says nothing of the item.
    """
    if _leaves(path):
        raise RawFault("unsafe_path", "a path that leaves the data folder")
    file, member = split_path(raw, path)
    if member is not None and (linked := linked_tar(raw, file)):
        return open_linked(linked).read(member, max_bytes)
    try:
        if fault := entry_fault(str(raw / file), raw):
            raise RawFault("unsafe_path", fault)
        if member is not None:
            return _open(raw / file, member).read(member, max_bytes)
        return _read_file(raw / file, max_bytes)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        raise RawFault("unreadable", os.strerror(error.errno or 0)) from error


def read_kept(raw: Path, path: str) -> bytes | None:
    """Read an item that `clean` has read; None where it is gone since."""
    try:
        return read_raw(raw, path)
    except (OSError, RawFault, PipelineError):
        return None


def _leaves(path: str) -> bool:
    return path.startswith("/") or ".." in path.split("/")


def expect(raw: Path, paths: Iterable[str]) -> None:
    """Ask the kernel to fetch files that `read_raw` will read soon, all at the same time.

    One after the other, many small files take as long as the disk takes to answer, each. Of
    members of a tar in a bucket, neighbors will be read by one request.
    """
    if read_bucket(raw):
        places = (split_path(raw, path) for path in paths)
        expect_members(raw, [(file, member) for file, member in places if member is not None])
    elif hasattr(os, "posix_fadvise"):
        _advise(raw, paths)


def _advise(raw: Path, paths: Iterable[str]) -> None:
    for path in paths:
        if _leaves(path):
            continue
        with suppress(OSError):  # a member of a container, or what `read_raw` has to tell of
            descriptor = os.open(raw / path, _FETCHED)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(descriptor)


def split_path(raw: Path, path: str) -> tuple[str, str | None]:
    """Part an item's path into a file's and, where that is a container, its member's.

    A text in a table is a member too.
    """
    parts = path.split("/")
    for length in range(1, len(parts)):
        name, member = parts[length - 1].lower(), "/".join(parts[length:])
        if name.endswith(SUFFIXES) or (name.endswith(TABLES) and column_of(name, member)):
            file = "/".join(parts[:length])
            if not (raw / file).is_dir():  # a folder may be called so
                return file, member
    return path, None


def _read_file(path: Path, max_bytes: int) -> bytes:
    # Without O_NONBLOCK the open of a FIFO, put there since the look, would wait for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise RawFault("unsafe_path", "no regular file")
    with os.fdopen(descriptor, "rb") as stream:
        if status.st_size <= max_bytes:
            return stream.read()
    raise RawFault("too_large", f"a file of {status.st_size} bytes", sha256_file(path))


def _open(path: Path, member: str) -> Readable:
    """Return what holds a member, opened once in a process while it stays the same file."""
    status = path.stat()
    identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return _opened(path, column_of(path.name, member), identity)


@lru_cache(maxsize=_OPEN_CONTAINERS)
def _opened(path: Path, column: Column | None, identity: tuple[int, ...]) -> Readable:
    del identity  # a key: another file of the name is opened anew
    return open_holder(path, path.name, column)
