"""Files of text, checked whole and read as a stream: what is no UTF-8 is refused with its place."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

from pipeline.ground.errors import DataError

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_BLOCK_BYTES = 1 << 20
_MARK = "\ufeff"


@dataclass(frozen=True)
class TextFile:
    """A file whose bytes are text throughout."""

    path: Path
    encoding: str
    skipped: int = 0
    """Characters before the text: byte order marks, or what is no row."""

    def open(self, *, newline: str = "") -> TextIO:
        """Open it behind what is skipped.

        Args:
            newline: As `open` has it.
        """
        stream = self.path.open(encoding=self.encoding, newline=newline)
        stream.read(self.skipped)
        return stream


def text_file(path: Path, *, may_be_utf16: bool = False) -> TextFile:
    """Check a file of text.

    Args:
        path: A regular file.
        may_be_utf16: Whether one that begins with the mark of UTF-16 is read.

    Raises:
        DataError: It is empty, or not UTF-8; the line is named.
    """
    with path.open("rb") as stream:
        is_marked = stream.read(2) in _UTF16_MARKS
    if is_marked and may_be_utf16:
        found = TextFile(path, "utf-16")
        is_blank = _is_blank_utf16(path)
    else:
        _refuse_zeros(path, is_marked=is_marked)
        marks, is_blank = _check_utf8(path)
        found = TextFile(path, "utf-8", marks)
    if is_blank:
        raise DataError(path, "is empty")
    return found


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            yield block


def _refuse_zeros(path: Path, *, is_marked: bool) -> None:
    zeros = size = lines = 0
    place = line = -1
    for block in _blocks(path):
        found = block.count(0)
        if found and not zeros:
            place = size + block.index(0)
            line = lines + block.count(b"\n", 0, place - size) + 1
        lines += block.count(b"\n")
        zeros, size = zeros + found, size + len(block)
    if is_marked or zeros > size / 4:
        raise DataError(path, "must be UTF-8, and looks like UTF-16", remedy="save it as UTF-8")
    if zeros:
        raise DataError(
            f"{path}:{line}",
            f"must not hold NUL bytes; the first of {zeros} is byte {place}",
            remedy="restore the file; it may have been cut off by a crash",
        )


class _Damage(Exception):
    def __init__(self, place: int, line: int, byte: int) -> None:
        self.place, self.line, self.byte = place, line, byte


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    """Yield the text in pieces.

    Raises:
        _Damage: A byte is none of the encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    before = lines = 0
    for block in chain(_blocks(path), [b""]):
        held = len(decoder.getstate()[0])
        try:
            text = decoder.decode(block, not block)
        except UnicodeDecodeError as error:
            seen = error.object[: error.start]
            line = lines + seen.count(b"\n") + 1
            raise _Damage(before - held + error.start, line, error.object[error.start]) from error
        before += len(block)
        lines += text.count("\n")
        yield text


def _check_utf8(path: Path) -> tuple[int, bool]:
    """Return how many marks stand before the text, and whether it is blank."""
    marks, is_blank, has_begun = 0, True, False
    try:
        for text in _decoded(path, "utf-8"):
            own = text if has_begun else text.lstrip(_MARK)
            marks += len(text) - len(own)
            has_begun |= own != ""
            is_blank &= not own.strip()
    except _Damage as damage:
        raise DataError(
            f"{path}:{damage.line}",
            f"must be UTF-8; byte {damage.place} is 0x{damage.byte:02x}, as in Latin-1",
            remedy="save it as UTF-8",
        ) from damage
    return marks, is_blank


def _is_blank_utf16(path: Path) -> bool:
    is_blank = True
    try:
        for text in _decoded(path, "utf-16"):
            if "\0" in text:
                raise DataError(path, "must not hold NUL characters", remedy="save it as UTF-8")
            is_blank = is_blank and not text.strip()
    except _Damage as damage:
        raise DataError(
            path,
            f"must be UTF-8, and is damaged UTF-16 at byte {damage.place}",
            remedy="save it as UTF-8",
        ) from damage
    return is_blank
