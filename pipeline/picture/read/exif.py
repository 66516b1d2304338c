"""What the tags of EXIF and TIFF tell of people, places and machines; no value is handed on.

The bytes may be hostile: every look stays inside them, no directory is read twice, and the number
of directories and entries is bounded.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_MOST_FOLDERS = 64
_MOST_ENTRIES = 4096
"""Of one directory; more are damage."""

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
"""Bytes of a value, by its type."""

ORIENTATION = 0x0112
_EXIF, _GPS, _INTEROP, _SUB_FOLDERS = 0x8769, 0x8825, 0xA005, 0x014A
_FOLDERS = (_EXIF, _INTEROP, _SUB_FOLDERS)
_JPEG_AT, _JPEG_BYTES = 0x0201, 0x0202

_KINDS: Mapping[str, tuple[int, ...]] = {
    "gps": (33550, 33922, 34264, 34735, 34736, 34737),
    "serial": (0xA431, 0xA435, 0xA420, 0xC62F),
    "owner": (0x013B, 0x8298, 0x013C, 0xA430, 0xA437, 0xA438, 0x9C9D),
    "comment": (0x010D, 0x010E, 0x011D, 0x9286, 0xA436, 0x9C9B, 0x9C9C, 0x9C9E, 0x9C9F),
    "time": (0x0132, *range(0x9003, 0x9005), *range(0x9010, 0x9013), *range(0x9290, 0x9293)),
    "camera": (0x010F, 0x0110, 0x0131, 0xA433, 0xA434, *range(0xA439, 0xA43D), 0xC614, 0xC615),
    "maker_note": (0x927C, 0xC634, 0xC4A5),
    "xmp": (0x02BC,),
    "iptc": (0x83BB, 0x8649),
    "other": (
        *(0x829A, 0x829D, 0x8822, 0x8824, 0x8827, *range(0x8830, 0x8836), 0x9102),
        *(*range(0x9201, 0x9209), 0x9209, 0x920A, 0x9214, *range(0x9400, 0x9406), 0xA004),
        *(*range(0xA20B, 0xA218), *range(0xA300, 0xA303), *range(0xA401, 0xA40D), 0xA432, 0xA460),
    ),
}
"""Tags by what they tell: Exif 3.0 (CIPA DC-008, 2023), TIFF 6.0, and those of Windows."""

_KIND_OF = {tag: kind for kind, tags in _KINDS.items() for tag in tags}

STRUCTURE = frozenset(
    (
        *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280),
        *(281, 282, 283, 284, 286, 287, 288, 289, 290, 291, 292, 293, 296, 297, 301, 317, 318),
        *(319, 320, 321, 322, 323, 324, 325, 332, 334, 336, 338, 339, 340, 341, 347, 400, 433),
        *(513, 514, 529, 530, 531, 532, 34675, 0x9000, 0x9101, 0xA000, 0xA001, 0xA002, 0xA003),
        *(0xA500, 0x0001, 0x0002, 0x1000, 0x1001, 0x1002),
    )
)
"""Tags that say how pixels are laid out or what their colors are, and nothing of a person."""


class Entry(NamedTuple):
    """One tag of a directory."""

    tag: int
    kind: int
    n: int
    at: int
    """Where its value begins."""

    size: int
    """Of its value, bytes."""

    place: int
    """Where its twelve bytes begin."""


class Folder(NamedTuple):
    """One directory of tags."""

    name: str
    """`main` for one of the chain, `gps`, or `inner` for another one that a tag points to."""

    number: int
    """In the chain, from 0; that of the directory above for an inner one."""

    at: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Told:
    """What a block of tags tells."""

    kinds: frozenset[str] = frozenset()
    thumbnail: bytes | None = field(default=None, repr=False)
    """A JPEG inside it."""


class DamagedTags(ValueError):
    """Tags that cannot be read in full."""


def read_tags(raw: bytes, *, is_file: bool = False) -> Told:
    """Return what tags tell of people, places and machines.

    Args:
        raw: From the byte order mark (`II` or `MM`) on.
        is_file: It is a TIFF, whose second directory is a page, and no thumbnail.
    """
    kinds: set[str] = set()
    thumbnail = None
    try:
        for folder in folders(raw):
            kinds |= _kinds(raw, folder)
            if folder.name == "main" and (
                is_side_page(raw, folder) if is_file else folder.number == 1
            ):
                kinds.add("thumbnail")
                thumbnail = (None if is_file else _thumbnail(raw, folder)) or thumbnail
    except DamagedTags:
        kinds.add("unreadable")
    return Told(frozenset(kinds), thumbnail)


def _kinds(raw: bytes, folder: Folder) -> set[str]:
    if folder.name == "gps":  # its tag 0 is a version
        return {"gps"} if any(each.tag != 0 for each in folder.entries) else set()
    found = set()
    for each in folder.entries:
        kind = _KIND_OF.get(each.tag)
        if kind is None:
            kind = None if each.tag in (*STRUCTURE, *_FOLDERS, _GPS) else "other"
        if kind and _says(raw[each.at : each.at + min(each.size, 4096)], each.tag):
            found.add(kind)
    return found


def _says(value: bytes, tag: int) -> bool:
    """Return whether there is more than blanks, which many cameras write."""
    if tag == 0x9286:  # eight bytes name the code of the characters
        value = value[8:]
    return bool(value.strip(b" \0"))


def _thumbnail(raw: bytes, folder: Folder) -> bytes | None:
    order = order_of(raw)
    values = {
        each.tag: struct.unpack_from(order + "I", raw, each.at)[0]
        for each in folder.entries
        if each.tag in (_JPEG_AT, _JPEG_BYTES) and each.size == 4
    }
    at, size = values.get(_JPEG_AT, 0), values.get(_JPEG_BYTES, 0)
    return raw[at : at + size] if at and size else None


def is_side_page(raw: bytes, folder: Folder) -> bool:
    """Return whether a directory of a TIFF is a small copy or a mask of another page."""
    new, old = numbers(raw, folder, 254), numbers(raw, folder, 255)
    return bool(new and new[0] & 5) or old == (2,)


def numbers(raw: bytes, folder: Folder, tag: int) -> tuple[int, ...]:
    """Return the whole numbers of a tag; none where it is absent or no whole numbers."""
    for each in folder.entries:
        if each.tag == tag and each.kind in (3, 4):
            sign = "H" if each.kind == 3 else "I"
            return struct.unpack_from(f"{order_of(raw)}{each.n}{sign}", raw, each.at)
    return ()


def order_of(raw: bytes) -> str:
    """Return the order of bytes, as `struct` has it.

    Raises:
        DamagedTags: There is none.
    """
    if raw[:4] not in (b"II*\0", b"MM\0*"):
        raise DamagedTags("no mark of the byte order")
    return "<" if raw[:2] == b"II" else ">"


def folders(raw: bytes) -> Iterator[Folder]:
    """Yield every directory once, each before those that its tags point to.

    Raises:
        DamagedTags: One lies outside, is met again, or there are too many.
    """
    order = order_of(raw)
    if len(raw) < 8:
        raise DamagedTags("no directory")
    (at,) = struct.unpack_from(order + "I", raw, 4)
    seen: set[int] = set()
    number = 0
    while at:
        folder, at_next = _folder(raw, order, at, "main", number, seen)
        yield folder
        yield from _inner(raw, order, folder, seen)
        at, number = at_next, number + 1


def _inner(raw: bytes, order: str, above: Folder, seen: set[int]) -> Iterator[Folder]:
    for each in above.entries:
        if each.tag not in (*_FOLDERS, _GPS) or each.kind not in (4, 13):
            continue
        for (at,) in struct.iter_unpack(order + "I", raw[each.at : each.at + each.size]):
            name = "gps" if each.tag == _GPS else "inner"
            folder, _ = _folder(raw, order, at, name, above.number, seen)
            yield folder
            yield from _inner(raw, order, folder, seen)


def _folder(
    raw: bytes, order: str, at: int, name: str, number: int, seen: set[int]
) -> tuple[Folder, int]:
    """Return a directory, and where the next one of its chain is; 0: nowhere."""
    if at in seen or len(seen) >= _MOST_FOLDERS:
        raise DamagedTags("a directory that is met again, or too many of them")
    seen.add(at)
    if at + 2 > len(raw):
        raise DamagedTags("a directory outside")
    (count,) = struct.unpack_from(order + "H", raw, at)
    end = at + 2 + 12 * count
    if count > _MOST_ENTRIES or end > len(raw):
        raise DamagedTags("a directory that is cut off")
    entries = tuple(_entry(raw, order, place) for place in range(at + 2, end, 12))
    following = struct.unpack_from(order + "I", raw, end)[0] if end + 4 <= len(raw) else 0
    return Folder(name, number, at, entries), int(following)


def _entry(raw: bytes, order: str, place: int) -> Entry:
    tag, kind, count = struct.unpack_from(order + "HHI", raw, place)
    size = _SIZES.get(kind, 1) * count
    at = place + 8 if size <= 4 else struct.unpack_from(order + "I", raw, place + 8)[0]
    if at + size > len(raw):
        raise DamagedTags("a value outside")
    return Entry(tag, kind, count, at, size, place)


def orientation_alone(orientation: int) -> bytes:
    """Return tags that say the orientation, 1..8, and nothing else."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, ORIENTATION, 3, 1, orientation, 0, 0)
