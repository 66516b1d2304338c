"""The lines of a file of text, each with its place; a line feed alone ends one.

A byte that is none of the encoding becomes what `ESCAPED` is, so that its line can be read.
"""

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from pipeline.ground.errors import DataError
from pipeline.raw.archive.io import FileSource
from pipeline.raw.texts.cell_paths import UTF8

_MOST_BYTES = 1 << 26
"""Of one line."""

_BUFFER_BYTES = 1 << 17
ESCAPED = re.compile("[\udc80-\udcff]")
"""Half a surrogate pair in the place of a byte: no encoding holds it."""

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_MARK = "\ufeff"


class Place(NamedTuple):
    """Where a line begins."""

    byte: int
    number: int
    """Of the line, from 1."""


START = Place(0, 1)


class Lines(Iterator[str]):
    """The lines of a file, from any place on; a byte order mark at its start is left out.

    Args:
        path: A regular file.
        name: What it is called, which may differ from its path's last part (in a cache); one that
            ends with `.gz` is unpacked on the way.
        encoding: As Python calls it.

    Raises:
        DataError: It is no regular file.
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path, name: str, encoding: str = UTF8) -> None:
        self.path = path
        self.next = START
        """Where the next line begins."""

        self.has_escaped = False
        """Whether a line so far had a byte that is none of the encoding."""

        self._encoding = encoding
        stream: Any = io.BufferedReader(_File(FileSource(path)), _BUFFER_BYTES)
        if name.lower().endswith(".gz"):
            stream = gzip.GzipFile(fileobj=stream, mode="rb")
        self._stream = cast(BinaryIO, stream)

    def seek(self, place: Place) -> None:
        """Go on at another place."""
        self._stream.seek(place.byte)
        self.next = place

    def __next__(self) -> str:
        """Return a line with its end.

        Raises:
            DataError: It is UTF-16, or too long; or the file is cut or corrupt.
        """
        line, place = self._take()
        if not line:
            raise StopIteration
        try:
            text = line.decode(self._encoding)
        except UnicodeDecodeError:
            text = line.decode(self._encoding, "surrogateescape")
            self.has_escaped = True
        return text.removeprefix(_MARK) if place == START else text

    def raw(self) -> Iterator[tuple[bytes, Place]]:
        """Read lines as bytes, with their places.

        Raises:
            DataError: As for a line.
        """
        while (taken := self._take())[0]:
            yield taken

    def _take(self) -> tuple[bytes, Place]:
        """Return a line with its place, and go on; an empty one at the end."""
        line, place = self._read(), self.next
        if line:
            if place == START:
                self._refuse_utf16(line)
            self.next = Place(place.byte + len(line), place.number + 1)
        return line, place

    def _read(self) -> bytes:
        where = f"{self.path}:{self.next.number}"
        try:
            line = self._stream.readline(_MOST_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(
                where, f"is cut or corrupt: {error}", remedy="pack it again, or restore it"
            ) from error
        if len(line) == _MOST_BYTES:
            raise DataError(where, f"must be shorter than {_MOST_BYTES} bytes")
        return line

    def _refuse_utf16(self, line: bytes) -> None:
        if line.startswith(_UTF16_MARKS) or line.count(0) > len(line) / 4:
            raise DataError(
                self.path,
                "must be UTF-8, and looks like UTF-16",
                remedy="save it as UTF-8, as `iconv -f UTF-16 -t UTF-8` does",
            )


class _File(io.RawIOBase):
    """A file with a position of its own, which processes that share it do not move."""

    def __init__(self, source: FileSource) -> None:
        self._source = source
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._source.read(self._at, len(buffer))
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size_bytes}
        self._at = start[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at
