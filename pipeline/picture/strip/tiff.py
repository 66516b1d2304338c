"""A TIFF without what its pixels do not need: all that is left stays at its place, byte for byte.

What no kept tag points to becomes zeros, so that nothing can hide between.
"""

import struct

from pipeline.modality.types.stripping import CannotStrip
from pipeline.picture.read.exif import (
    STRUCTURE,
    DamagedTags,
    Folder,
    folders,
    is_side_page,
    numbers,
    order_of,
)

_COMPRESSION, _JPEGS = 259, (6, 7)
_PLACES = ((273, 279), (324, 325))
"""Tags with the places and the sizes of strips, and of tiles."""

_DROPPED = (513, 514)
"""Of a JPEG in the old way, which is refused, or of a thumbnail."""


def strip_tiff(raw: bytes, orientation: int) -> bytes:
    """Return the file with the tags that say how its pixels are laid out, and no others.

    Pages that are small copies or masks of others are left out too. The orientation is such a tag.

    Raises:
        CannotStrip: Its tags are damaged, or its pixels are JPEG, which may hold anything.
    """
    del orientation
    try:
        pages = [each for each in folders(raw) if each.name == "main"]
    except DamagedTags as error:
        raise CannotStrip("its tags are damaged") from error
    own = [each for each in pages if not is_side_page(raw, each)] or pages[:1]
    if any(set(numbers(raw, each, _COMPRESSION)) & set(_JPEGS) for each in own):
        raise CannotStrip("its pixels are JPEG inside a TIFF, which may hold anything")
    order, kept = order_of(raw), bytearray(len(raw))
    kept[:4] = raw[:4]
    at_next = 4
    for page in own:
        struct.pack_into(order + "I", kept, at_next, page.at)
        at_next = _copy_page(raw, kept, page, order)
    return bytes(kept)


def _copy_page(raw: bytes, kept: bytearray, page: Folder, order: str) -> int:
    """Copy a page with what its tags point to, and return where the place of the next stands."""
    own = [each for each in page.entries if each.tag in STRUCTURE and each.tag not in _DROPPED]
    struct.pack_into(order + "H", kept, page.at, len(own))
    end = page.at + 2 + 12 * len(own)
    for number, each in enumerate(own):
        at = page.at + 2 + 12 * number
        kept[at : at + 12] = raw[each.place : each.place + 12]
        if each.size > 4:
            kept[each.at : each.at + each.size] = raw[each.at : each.at + each.size]
    for places, sizes in _PLACES:
        spans = zip(numbers(raw, page, places), numbers(raw, page, sizes), strict=False)
        for start, size in spans:
            kept[start : min(start + size, len(raw))] = raw[start : min(start + size, len(raw))]
    return end
