"""The directory of a zip archive, zip64 too, and where the bytes of each member begin.

Python's own `zipfile` is not used: it keeps the whole directory as objects, a kilobyte each.
"""

import stat
import struct
from collections.abc import Iterator
from typing import Any

from pipeline.data.members import DEFLATED, STORED, Member, Source, named, shown
from pipeline.errors import DataError

_END, _END64, _END64_PLACE = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_ENTRY_MARK, _LOCAL_MARK = b"PK\x01\x02", b"PK\x03\x04"
_ENTRY = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END_BYTES, _PLACE_BYTES, _END64_BYTES, _LOCAL_BYTES = 22, 20, 56, 30
_UNIX = 3
_LONGEST_ENTRY_BYTES = _ENTRY.size + 3 * 0xFFFF
_WINDOW_BYTES = 1 << 20
_MOST = 1 << 62


def zip_members(source: Source) -> Iterator[Member]:
    """List the files of a zip in the order of its directory; memory does not grow with them.

    Raises:
        DataError: The archive is cut or corrupt, or a part of one; the byte is named.
    """
    count, start, end, shift = _directory(source)
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
        if not (name.endswith(b"/") or stat.S_ISDIR(_unix_mode(fields))):
            yield _member(source, fields, name, extra, (start, shift))
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
        raise DataError(source.path, "must not be one part of several", remedy="join the parts")
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


def _member(
    source: Source, fields: tuple[Any, ...], name: bytes, extra: bytes, zone: tuple[int, int]
) -> Member:
    flags, method, crc = fields[3], fields[4], fields[7]
    end, shift = zone
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
    return named(name, member, is_utf8=bool(flags & 0x800))


def _sizes(source: Source, fields: tuple[Any, ...], extra: bytes) -> tuple[int, int, int]:
    """Give stored and unpacked size and the header's offset, from the zip64 record if there."""
    sizes = {"size": fields[9], "stored": fields[8], "offset": fields[16]}
    large = [key for key, value in sizes.items() if value == 0xFFFFFFFF]
    while large and len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 1 and length >= 8 * len(large) and len(extra) >= 4 + length:
            values = struct.unpack_from(f"<{len(large)}Q", extra, 4)
            sizes.update(zip(large, values, strict=True))
            large = []
        extra = extra[4 + length :]
    stored, size, offset = sizes["stored"], min(sizes["size"], _MOST), sizes["offset"]
    if large or max(stored, offset) > source.size_bytes:
        source.refuse(min(offset, source.size_bytes), "a member that is said to lie there")
    return stored, size, offset


def _unix_mode(fields: tuple[Any, ...]) -> int:
    """Give a zip member's kind and permissions, where its packer wrote them; else 0."""
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
