"""The beginning and the end of raw files, to tell what they are."""

import os
from pathlib import Path

from pipeline.modality.types.protocols import RawFolder
from pipeline.raw.source import RawFault, read_raw

_BYTES = 1 << 16
_MEMBER_BYTES = 1 << 22
"""Members of archives are read whole; larger ones are not looked at."""


def read_ends(raw: Path, folder: RawFolder, path: str) -> bytes:
    """Return the first and the last 64 KiB of a file, or all of a shorter one.

    Nothing comes of a file that cannot be read, and of a large member of an archive.
    """
    try:
        if folder.archive_of(path) is not None:
            return read_raw(raw, path, _MEMBER_BYTES)
        return _ends(raw / path)
    except (RawFault, OSError):
        return b""


def _ends(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        head = os.pread(descriptor, _BYTES, 0)
        return head + os.pread(descriptor, _BYTES, max(len(head), size - _BYTES))
    finally:
        os.close(descriptor)
