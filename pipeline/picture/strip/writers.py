"""Files of pictures without their spare blocks: coded data are copied, never coded again."""

import struct
import zlib
from collections.abc import Callable, Iterable, Mapping

from pipeline.picture.read.blocks import EXIF_MARK, Block, spare_blocks
from pipeline.picture.read.exif import orientation_alone
from pipeline.picture.strip.tiff import strip_tiff

_HAS_EXIF, _HAS_XMP = 0x08, 0x04
"""Flags of a WebP's chunk VP8X."""


def _without(raw: bytes, blocks: Iterable[Block]) -> bytes:
    parts, at = [], 0
    for each in blocks:
        parts.append(raw[at : each.start])
        at = each.end
    return b"".join([*parts, raw[at:]])


def _strip_jpeg(raw: bytes, orientation: int) -> bytes:
    blocks = spare_blocks(raw, "JPEG")
    changed = bytearray(raw)
    for each in blocks:
        start = each.start - 18
        if each.kind == "thumbnail" and raw[start : start + 2] == b"\xff\xe0":
            changed[start + 2 : start + 4] = (16).to_bytes(2, "big")
            changed[start + 16 : start + 18] = b"\0\0"
    plain = _without(bytes(changed), blocks)
    if orientation == 1:
        return plain
    body = EXIF_MARK + orientation_alone(orientation)
    segment = b"\xff\xe1" + (2 + len(body)).to_bytes(2, "big") + body
    at = 2
    if plain[2:4] == b"\xff\xe0":  # JFIF comes first
        at = 4 + int.from_bytes(plain[4:6], "big")
    return plain[:at] + segment + plain[at:]


def _strip_png(raw: bytes, orientation: int) -> bytes:
    plain = _without(raw, spare_blocks(raw, "PNG"))
    if orientation == 1:
        return plain
    body = b"eXIf" + orientation_alone(orientation)
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    at = 8 + 12 + int.from_bytes(plain[8:12], "big")  # behind the header chunk
    return plain[:at] + chunk + plain[at:]


def _strip_webp(raw: bytes, orientation: int) -> bytes:
    plain = bytearray(_without(raw, spare_blocks(raw, "WEBP")))
    is_extended = plain[12:16] == b"VP8X"
    if is_extended:
        plain[20] &= ~(_HAS_EXIF | _HAS_XMP) & 0xFF
    if is_extended and orientation != 1:
        plain[20] |= _HAS_EXIF
        body = orientation_alone(orientation)
        plain += b"EXIF" + struct.pack("<I", len(body)) + body
    struct.pack_into("<I", plain, 4, len(plain) - 8)
    return bytes(plain)


def _strip_gif(raw: bytes, orientation: int) -> bytes:
    del orientation  # of EXIF, which it cannot have
    return _without(raw, spare_blocks(raw, "GIF"))


def _strip_ppm(raw: bytes, orientation: int) -> bytes:
    del orientation
    return _without(raw, spare_blocks(raw, "PPM"))


WRITERS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "JPEG": _strip_jpeg,
    "PNG": _strip_png,
    "WEBP": _strip_webp,
    "GIF": _strip_gif,
    "PPM": _strip_ppm,
    "TIFF": strip_tiff,
}
"""By format, as Pillow names it: from a file and its orientation, 1..8, to the file without its
spare blocks; an orientation other than 1 stays as the one tag of EXIF."""
