"""The directory of a zip archive, zip64 too, and where the bytes of each member begin.

Python's own `zipfile` is not used: it keeps the whole directory as objects, a kilobyte each.
"""

import stat
import struct
import zlib
from collections.abc import Iterator
from typing import Any, TypeAlias

from pipeline.ground.errors import DataError
from pipeline.raw.archive.io import DEFLATED, STORED, Member, Source, named, shown
from pipeline.raw.archive.zip_names import choose_letters

_END, _END64, _END64_PLACE = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_ENTRY_MARK, _LOCAL_MARK = b"PK\x01\x02", b"PK\x03\x04"
_ENTRY = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END_BYTES, _PLACE_BYTES, _END64_BYTES, _LOCAL_BYTES = 22, 20, 56, 30
_UNIX, _UNIXES = 3, (3, 19)
_IS_UTF8, _UNICODE_PATH = 0x800, 0x7075
_Directory: TypeAlias = tuple[int, int, int, int]
_Entry: TypeAlias = tuple[tuple[Any, ...], bytes, bytes]
_LONGEST_ENTRY_BYTES = _ENTRY.size + 3 * 0xFFFF
_WINDOW_BYTES = 1 << 20
_MOST = 1 << 62


def zip_members(source: Source) -> Iterator[Member]:
    """List the files of a zip in the order of its directory; memory does not grow with them.

    Raises:
        DataError: The archive is cut or corrupt, or a part of one; the byte is named. Or it does
            not say in which letters its names are, and they may be read in several ways.
    """
    directory = _directory(source)
    letters = ""
    for fields, name, extra in _entries(source, directory):
        if name.endswith(b"/") or stat.S_ISDIR(_unix_mode(fields)):
            continue
        if not letters and _is_unmarked(fields, name, extra):
            letters = _choose_letters(source, directory)
        yield _member(source, (fields, name, extra), directory, letters)


def _choose_letters(source: Source, directory: _Directory) -> str:
    by_unix, parts = True, set[bytes]()
    for fields, name, extra in _entries(source, directory):
        if _is_unmarked(fields, name, extra):
            by_unix = by_unix and fields[1] >> 8 in _UNIXES
            parts.update(part for part in name.split(b"/") if not part.isascii())
    return choose_letters(source.where, parts, by_unix=by_unix)


def _is_unmarked(fields: tuple[Any, ...], name: bytes, extra: bytes) -> bool:
    return not (name.isascii() or fields[3] & _IS_UTF8 or _unicode_name(name, extra))


def _unicode_name(name: bytes, extra: bytes) -> bytes | None:
    """Return the name in UTF-8 that Info-ZIP's programs add, if it belongs to this name."""
    for kind, content in _records(extra):
        if kind == _UNICODE_PATH and content[:5] == b"\1" + zlib.crc32(name).to_bytes(4, "little"):
            return content[5:]
    return None


def _records(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """Part the further fields of an entry; what is cut off at their end is left out."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if len(extra) < 4 + length:
            return
        yield kind, extra[4 : 4 + length]
        extra = extra[4 + length :]


def _entries(source: Source, directory: _Directory) -> Iterator[_Entry]:
    """List all entries of the directory: their fields, names, and further fields."""
    count, start, end, _ = directory
    at, window, base = start, b"", start
    for _ in range(count):
        if at + _LONGEST_ENTRY_BYTES > base + len(window) < end:
            base, window = at, source.read(at, min(end - at, _WINDOW_BYTES))
        head = window[at - base : at - base + _ENTRY.size]
        if len(head) < _ENTRY.size or not head.startswith(_ENTRY_MARK):
            source.refuse(at, "its directory ends early")
        fields = _ENTRY.unpack(head)
        name_at = at - base + _ENTRY.size
        extra_at = name_at + fields[10]
        name, extra = window[name_at:extra_at], window[extra_at : extra_at + fields[11]]
        at += _ENTRY.size + fields[10] + fields[11] + fields[12]
        if at > base + len(window):
            source.refuse(base + len(window), "its directory ends early")
        yield fields, name, extra
    if at != end:
        source.refuse(at, "its directory has more than it says")


def _directory(source: Source) -> tuple[int, int, int, int]:
    """Find the directory: its entries, first byte and end, and what all places are to be shifted.

    A zip may stand behind other bytes, such as a program that unpacks it.
    """
    at = _end(source)
    end = source.read(at, _END_BYTES)
    disk, first_disk, _, count, size, offset = struct.unpack_from("<HHHHII", end, 4)
    before = _PLACE_BYTES + _END64_BYTES
    if at >= before and source.read(at - _PLACE_BYTES, 4) == _END64_PLACE:
        at -= before
        record = source.read(at, _END64_BYTES)
        if not record.startswith(_END64):
            source.refuse(at, "a zip64 record that is none")
        disk, first_disk, _, count, size, offset = struct.unpack_from("<IIQQQQ", record, 16)
    if disk or first_disk:
        raise DataError(source.where, "must not be one part of several", remedy="join the parts")
    start = at - size
    if start < 0 or start < offset:
        source.refuse(at, "a directory that begins before the file does")
    return count, start, at, start - offset


def _end(source: Source) -> int:
    """Find the record that ends the file, with its comment; one alone may fit."""
    start = max(0, source.size_bytes - 0xFFFF - _END_BYTES)
    tail = source.read(start, source.size_bytes - start)
    found = []
    at = tail.rfind(_END)
    while at >= 0:
        comment = int.from_bytes(tail[at + _END_BYTES - 2 : at + _END_BYTES], "little")
        if at + _END_BYTES + comment == len(tail):
            found.append(start + at)
        at = tail.rfind(_END, 0, at)
    if len(found) > 1:
        source.refuse(found[0], "it has two ends, and readers may differ in which they take")
    return found[0] if found else source.refuse(source.size_bytes, "it has no directory at its end")


def _member(source: Source, entry: _Entry, directory: _Directory, letters: str) -> Member:
    fields, name, extra = entry
    method, crc = fields[4], fields[7]
    _, end, _, shift = directory
    stored, size, offset = _sizes(source, fields, extra)
    local = source.read(offset + shift, _LOCAL_BYTES + len(name))
    if not local.startswith(_LOCAL_MARK) or len(local) < _LOCAL_BYTES:
        source.refuse(offset + shift, f"no header of {shown(name)!r}")
    data = offset + shift + _LOCAL_BYTES + sum(struct.unpack_from("<HH", local, 26))
    if data + stored > end:
        source.refuse(data, f"{shown(name)!r} does not fit in")
    fault = _fault(fields, method, is_same=(stored == size))
    if local[_LOCAL_BYTES:] != name:
        fault = ("unreadable", "its two headers have two names")
    member = Member("", data, stored, size, method, crc, fault)
    text = _unicode_name(name, extra) or name
    if letters and _is_unmarked(*entry):
        text = name.decode(letters).encode()
    return named(text, member)


def _sizes(source: Source, fields: tuple[Any, ...], extra: bytes) -> tuple[int, int, int]:
    """Return stored and unpacked size and the header's offset, from the zip64 record if there."""
    sizes = {"size": fields[9], "stored": fields[8], "offset": fields[16]}
    large = [key for key, value in sizes.items() if value == 0xFFFFFFFF]
    for kind, content in _records(extra):
        if large and kind == 1 and len(content) >= 8 * len(large):
            values = struct.unpack_from(f"<{len(large)}Q", content)
            sizes.update(zip(large, values, strict=True))
            large = []
    stored, size, offset = sizes["stored"], min(sizes["size"], _MOST), sizes["offset"]
    if large or max(stored, offset) > source.size_bytes:
        source.refuse(min(offset, source.size_bytes), "a member that is said to lie there")
    return stored, size, offset


def _unix_mode(fields: tuple[Any, ...]) -> int:
    """Return a zip member's kind and permissions, where its packer wrote them; else 0."""
    return int(fields[15]) >> 16 if fields[1] >> 8 == _UNIX else 0


def _fault(fields: tuple[Any, ...], method: int, *, is_same: bool) -> tuple[str, str] | None:
    if fields[3] & 0x41:
        return "unreadable", "encrypted"
    if stat.S_IFMT(mode := _unix_mode(fields)) and not stat.S_ISREG(mode):
        return "unsafe_path", "a link" if stat.S_ISLNK(mode) else "no regular file"
    if method not in (STORED, DEFLATED):
        return "unreadable", f"packed by method {method}, which is neither stored nor deflated"
    if method == STORED and not is_same:
        return "unreadable", "stored, and with two sizes"
    return None
