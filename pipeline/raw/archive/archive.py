"""Archives read in place: what lies in a .tar or .zip file, and the bytes of one member.

Listing reads headers alone, by their places in the file; a member is then read by its own place.
Nothing is unpacked to disk. A tar may be ustar, GNU or pax; a zip may be zip64, with members that
are stored or deflated.

A member whose name, kind or encoding cannot be trusted is listed with its fault, and is never read.
An archive that is broken as a whole is an error: what it has lost cannot be told.
"""

import zlib
from array import array
from collections.abc import Iterator
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from pipeline.ground.errors import DataError
from pipeline.raw.archive.io import DEFLATED, FileSource, Member, Source
from pipeline.raw.archive.tar import tar_members
from pipeline.raw.archive.zip import zip_members

SUFFIXES = (".tar", ".zip")
"""Of the names of archives that are read in place, in any case."""

_COMPRESSED = (
    ".tar.gz",
    ".tgz",
    ".tar.z",
    ".taz",
    ".tar.bz2",
    ".tbz2",
    ".tbz",
    ".tar.xz",
    ".txz",
    ".tar.lzma",
    ".tlz",
    ".tar.lz",
    ".tar.lz4",
    ".tar.zst",
    ".tzst",
    ".tar.br",
)
_FOREIGN = (
    (".rar", "a RAR archive"),
    (".r00", "a part of a RAR archive"),
    (".7z", "a 7z archive"),
    (".7z.001", "a part of a 7z archive"),
    (".zip.001", "a part of a zip archive"),
    (".z01", "a part of a zip archive"),
    (".tar.001", "a part of a tar archive"),
    (".tar.aa", "a part of a tar archive"),
    (".tar.part00", "a part of a tar archive"),
    (".tar.gz.aa", "a part of a tar archive"),
    (".tar.gz.001", "a part of a tar archive"),
    (".tar.gz.part00", "a part of a tar archive"),
    (".cab", "a CAB archive"),
)
"""Archives that are not read in place, by the ends of their names; of parts, the first."""

_MAGICS = ((0, b"\x1f\x8b\x08"), (4, b"1AY&SY"), (0, b"\xfd7zXZ\0"), (0, b"\x28\xb5\x2f\xfd"))
"""Of gzip, bzip2, xz and zstd, with their places."""


class RawFault(Exception):
    """A raw file that cannot be read, or must not be.

    Args:
        reason: A code from `pipeline.manifest.manifest.REASONS`.
        detail: What was found, for people.
        sha256: Of the file's bytes, in hex, where they were read.
    """

    def __init__(self, reason: str, detail: str, sha256: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.sha256 = sha256


def is_archive(path: Path) -> bool:
    """Return whether a file is an archive, by its name.

    Raises:
        DataError: It is one that cannot be read in place.
    """
    name = path.name.lower()
    if name.endswith(_COMPRESSED):
        _refuse_compressed(path)
    for suffix, kind in _FOREIGN:
        if name.endswith(suffix):
            raise DataError(
                path,
                f"must not be {kind}: its members cannot be read in place",
                remedy="unpack it, and pack the files into plain .tar or .zip files, or leave them "
                "as they are",
            )
    return name.endswith(SUFFIXES)


class Archive:
    """An open archive.

    Args:
        file: A regular file, or what is read in place of one.
        name: What it is called, where its path or URL does not say that.

    Raises:
        DataError: It is no regular file.
        OSError: It cannot be opened.
    """

    def __init__(self, file: Path | Source, name: str | None = None) -> None:
        self._source = file if isinstance(file, Source) else FileSource(file)
        self._is_zip = (name or str(self._source.where)).lower().endswith(".zip")

    def members(self) -> Iterator[Member]:
        """List the files in the archive's order; memory does not grow with their number.

        Raises:
            DataError: The archive is compressed as a whole, cut or corrupt; the byte is named.
        """
        head = self._source.read(0, 16)
        if any(head.startswith(magic, place) for place, magic in _MAGICS):
            _refuse_compressed(self._source.where)
        return zip_members(self._source) if self._is_zip else tar_members(self._source)

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return the bytes of a member, whole and checked as far as the format allows.

        Args:
            path: As `members` gives it.
            max_bytes: A larger member is not read, and one that unpacks to more is not unpacked.

        Raises:
            RawFault: There is no such member, it is faulty, too large or damaged.
            DataError: The archive is cut or corrupt.
        """
        offset, stored, size, method, crc = self._look_up(path)
        if max(stored, size) > max_bytes:
            raise RawFault("too_large", f"a member of {max(stored, size)} bytes")
        content = self._source.read(offset, stored)
        if len(content) != stored:
            raise RawFault("truncated", "the archive ends within it")
        if method == DEFLATED:
            content = _inflate(content, size)
        if crc >= 0 and zlib.crc32(content) != crc:
            raise RawFault("damaged", "its checksum in the archive is another")
        return content

    def _look_up(self, path: str) -> tuple[int, int, int, int, int]:
        """Return where a member lies, and how.

        Raises:
            RawFault: There is no such member, or there are two.
        """
        keys, table = self._index
        first, last = np.searchsorted(keys, [_key(path), _key(path) + 1])
        if last - first != 1:
            raise RawFault("unreadable", "no such member" if last == first else "a name twice")
        offset, stored, size, method, crc = table[first].tolist()
        return offset, stored, size, method, crc

    @cached_property
    def _index(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The readable members, 48 bytes each: hashes of their names, sorted; and their numbers.

        Two names of one hash would look like one name twice: refused, not mixed up.
        """
        keys, numbers = array("q"), array("q")
        for each in self.members():
            if each.fault is None:
                keys.append(_key(each.path))
                numbers.extend(
                    (each.offset, each.stored_bytes, each.size_bytes, each.method, each.crc)
                )
        order = np.argsort(np.asarray(keys, dtype=np.int64), kind="stable")
        table = np.asarray(numbers, dtype=np.int64).reshape(-1, 5)
        return np.asarray(keys, dtype=np.int64)[order], table[order]


def _key(path: str) -> int:
    digest = blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _refuse_compressed(where: Path | str) -> NoReturn:
    raise DataError(
        where,
        "must not be compressed as a whole: its members could not be read in place",
        remedy="unpack it to a plain .tar",
    )


def _inflate(content: bytes, size: int) -> bytes:
    """Unpack; never to more than was said."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        unpacked = unpacker.decompress(content, size + 1)
    except zlib.error as error:
        raise RawFault("damaged", f"it does not unpack: {error}") from error
    if len(unpacked) > size:
        raise RawFault("damaged", f"it unpacks to more than the {size} bytes of its header")
    if len(unpacked) < size or not unpacker.eof:
        raise RawFault("damaged", f"it unpacks to less than the {size} bytes of its header")
    return unpacked
