"""What an archive has of one file, and the reading of an archive by places."""

import os
import stat
import weakref
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from pipeline.ground.errors import DataError
from pipeline.raw.sniff import HEAD_BYTES, sniff
from pipeline.raw.unsafe_entries import safe_path

STORED, DEFLATED = 0, 8
"""How a member lies in an archive, by the numbers of zip."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file in an archive; folders are none."""

    path: str
    """With `/`; where the name is unsafe, the name as it was written."""

    offset: int
    """Of its first byte in the archive; without it (links), of its header."""

    stored_bytes: int
    size_bytes: int
    """When unpacked, as its header says."""

    method: int = STORED
    crc: int = -1
    """CRC-32 of the unpacked bytes; -1 where the format has none."""

    fault: tuple[str, str] | None = None
    """Why it is not read: a code of the manifest, and what was found."""


class Source(ABC):
    """An archive that is open for reading by places.

    Attributes:
        where: Its path or URL, for people.
        size_bytes: Of all of it.
    """

    where: Path | str
    size_bytes: int

    @abstractmethod
    def read(self, offset: int, length: int) -> bytes:
        """Read; fewer bytes come at the end alone."""

    def refuse(self, offset: int, what: str) -> NoReturn:
        """Return that the archive is cut or corrupt at a byte, and what it may be instead."""
        self._refuse(f"is cut or corrupt at byte {offset}: {what}")

    def refuse_whole(self, what: str) -> NoReturn:
        """Return that the file is cut or corrupt, and what it may be instead."""
        self._refuse(f"is cut or corrupt: {what}")

    def _refuse(self, fault: str) -> NoReturn:
        kind = sniff(self.read(0, HEAD_BYTES))
        if kind and kind not in ("a zip archive", "a tar archive"):
            fault += f"; it looks like {kind}"
        raise DataError(self.where, fault, remedy="pack it again, or restore it")


class FileSource(Source):
    """An archive file.

    Args:
        path: A regular file.

    Raises:
        DataError: It is something else.
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.where = path
        # Without O_NONBLOCK the open of a FIFO would wait for ever.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DataError(path, "must be a regular file")
        self.size_bytes = status.st_size

    def read(self, offset: int, length: int) -> bytes:
        """Read; fewer bytes come at the end of the file alone."""
        content = os.pread(self._descriptor, length, offset)
        while 0 < len(content) < length:
            more = os.pread(self._descriptor, length - len(content), offset + len(content))
            if not more:
                break
            content += more
        return content


def shown(name: bytes) -> str:
    """Return a name for people, whatever its bytes."""
    return name.decode("utf-8", "backslashreplace")


def named(name: bytes, member: Member) -> Member:
    """Return a member its path, or the fault of its name."""
    fault: str | None = None
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        text, fault = shown(name), "named in bytes that are not UTF-8"
    path, unsafe = safe_path(text)
    if "\0" in text:
        unsafe = "a name with a NUL"
    fault = fault or unsafe
    if fault:
        path = text.replace("\0", "\\0")
    return replace(member, path=path, fault=("unsafe_path", fault) if fault else member.fault)
