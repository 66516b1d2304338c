"""The blocks of a picture's file that its pixels do not need: where they are, and what they are.

Colors, size, animation and transparency are no such blocks.

The bytes may be hostile: every look stays inside them, and goes forward.
"""

import re
import zlib
from collections.abc import Iterator
from typing import NamedTuple

_MOST_UNPACKED = 1 << 20
"""Bytes of a compressed text that are looked at."""

EXIF_MARK = b"Exif\0\0"
_XMP_MARKS = (b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0")
_NEXT_MARKER = re.compile(rb"\xff[^\0\xd0-\xd7\xff]", re.DOTALL)
"""In coded data: what is no coded 0xff and no restart."""

_PNG_KEPT = frozenset(
    b"tRNS gAMA cHRM sRGB iCCP sBIT bKGD hIST pHYs sPLT cICP mDCV mDCv cLLI cLLi acTL fcTL "
    b"fdAT".split()
)
_WEBP_KEPT = frozenset((b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))
_GIF_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_KEYWORDS = {
    b"author": "owner",
    b"artist": "owner",
    b"copyright": "owner",
    b"software": "camera",
    b"source": "camera",
    b"creation time": "time",
    b"xml:com.adobe.xmp": "xmp",
}
"""Of texts in a PNG."""

_PPM_HEADER = re.compile(rb"P(?:[14]|[2356](?:\s|#[^\r\n]*+)++\d++)(?:(?:\s|#[^\r\n]*+)++\d++){2}")
_PPM_COMMENT = re.compile(rb"#[^\r\n]*")


class Block(NamedTuple):
    """Bytes that the pixels do not need."""

    start: int
    end: int
    kind: str
    """`exif` and `xmp` for those whose content tells more, else a key of `carried.CARRIED`."""

    body: bytes = b""
    """What is in it, of the kinds `exif`, `xmp` and `iptc`."""


def spare_blocks(raw: bytes, kind: str) -> tuple[Block, ...]:
    """Return the blocks that the pixels do not need, in their order.

    Args:
        raw: The whole file.
        kind: Its format, as Pillow names it. Of one without blocks, nothing is returned.
    """
    scan = _SCANS.get(kind)
    return tuple(scan(raw)) if scan else ()


def _scan_jpeg(raw: bytes) -> Iterator[Block]:
    at = 2
    while (found := _NEXT_MARKER.search(raw, at)) is not None:
        start, marker = found.start(), raw[found.start() + 1]
        if marker == 0xD9:
            yield from _behind(raw, start + 2)
            return
        if marker in (0x01, 0xD8):  # of two bytes
            at = start + 2
            continue
        end = start + 2 + int.from_bytes(raw[start + 2 : start + 4], "big")
        if end > len(raw) or end < start + 4:
            return
        yield from _jpeg_segment(raw, start, end, marker)
        at = end


def _jpeg_segment(raw: bytes, start: int, end: int, marker: int) -> Iterator[Block]:
    if marker == 0xFE:
        yield Block(start, end, "comment")
    elif marker == 0xE0:
        yield from _jpeg_start(raw, start, end)
    elif 0xE1 <= marker <= 0xEF:
        body = raw[start + 4 : end]
        if (kind := _application(marker, body)) is not None:
            yield Block(start, end, kind, body.removeprefix(EXIF_MARK))


def _jpeg_start(raw: bytes, start: int, end: int) -> Iterator[Block]:
    """Of JFIF, what stands behind its 14 bytes is a thumbnail."""
    mark = raw[start + 4 : start + 9]
    if mark != b"JFIF\0":
        yield Block(start, end, "thumbnail" if mark == b"JFXX\0" else "other")
    elif end > start + 18:
        yield Block(start + 18, end, "thumbnail")


def _application(marker: int, body: bytes) -> str | None:
    """Return what an application's segment is; None for colors."""
    if marker == 0xED:
        return "iptc"
    if marker == 0xE1 and body.startswith(EXIF_MARK):
        return "exif"
    if marker == 0xE1 and body.startswith(_XMP_MARKS):
        return "xmp"
    is_color = (marker == 0xE2 and body.startswith(b"ICC_PROFILE\0")) or (
        marker == 0xEE and body.startswith(b"Adobe")
    )
    return None if is_color else "other"


def _scan_png(raw: bytes) -> Iterator[Block]:
    at = 8
    while at + 12 <= len(raw):
        end = at + 12 + int.from_bytes(raw[at : at + 4], "big")
        kind = raw[at + 4 : at + 8]
        if end > len(raw):
            return
        if kind == b"IEND":
            yield from _behind(raw, end)
            return
        if kind[:1].islower() and kind not in _PNG_KEPT:
            yield _png_chunk(raw, at, end, kind)
        at = end


def _png_chunk(raw: bytes, start: int, end: int, kind: bytes) -> Block:
    body = raw[start + 8 : end - 4]
    if kind == b"eXIf":
        return Block(start, end, "exif", body)
    if kind == b"tIME":
        return Block(start, end, "time")
    if kind not in (b"tEXt", b"zTXt", b"iTXt"):
        return Block(start, end, "other")
    keyword = body.partition(b"\0")[0].lower()
    if keyword in (b"raw profile type exif", b"raw profile type app1"):
        return Block(start, end, "exif", _raw_profile(body, is_packed=kind == b"zTXt"))
    return Block(start, end, _KEYWORDS.get(keyword, "comment"), body)


def _raw_profile(body: bytes, *, is_packed: bool) -> bytes:
    """Return the tags that ImageMagick writes as digits."""
    text = body.partition(b"\0")[2]
    if is_packed:
        try:
            text = zlib.decompressobj().decompress(text[1:], _MOST_UNPACKED)
        except zlib.error:
            return b""
    digits = re.sub(rb"\s", b"", b"".join(text.split(b"\n")[3:]))
    try:
        return bytes.fromhex(digits.decode("ascii")).removeprefix(EXIF_MARK)
    except ValueError:
        return b""


def _scan_webp(raw: bytes) -> Iterator[Block]:
    stop = min(len(raw), 8 + int.from_bytes(raw[4:8], "little"))
    at = 12
    while at + 8 <= stop:
        size = int.from_bytes(raw[at + 4 : at + 8], "little")
        end, kind = min(at + 8 + size + size % 2, stop), raw[at : at + 4]
        body = raw[at + 8 : at + 8 + size]
        if kind == b"EXIF":
            yield Block(at, end, "exif", body.removeprefix(EXIF_MARK))
        elif kind == b"XMP ":
            yield Block(at, end, "xmp", body)
        elif kind not in _WEBP_KEPT:
            yield Block(at, end, "other")
        at = end
    yield from _behind(raw, stop)


def _scan_gif(raw: bytes) -> Iterator[Block]:
    at = 13 + _colors(raw, 10)
    while at < len(raw):
        start, mark = at, raw[at]
        if mark == 0x3B:
            yield from _behind(raw, at + 1)
            return
        if mark == 0x2C:
            at = _past_pieces(raw, start + 11 + _colors(raw, start + 9))
        elif mark == 0x21:
            at = _past_pieces(raw, start + 2)
            kind = _gif_extension(raw[start + 1 : start + 2], raw[start + 3 : start + 14])
            if kind and at <= len(raw):
                yield Block(start, at, kind)
        else:
            return


def _colors(raw: bytes, at: int) -> int:
    """Return the bytes of a table of colors, by the byte that tells of it."""
    packed = raw[at] if at < len(raw) else 0
    return 3 << ((packed & 7) + 1) if packed & 0x80 else 0


def _past_pieces(raw: bytes, at: int) -> int:
    """Return where the pieces end, each with its length before it, and the last one empty."""
    while at < len(raw) and raw[at]:
        at += 1 + raw[at]
    return at + 1


def _gif_extension(label: bytes, name: bytes) -> str | None:
    if label in (b"\xfe", b"\x01"):
        return "comment"
    if label == b"\xff" and name not in _GIF_LOOPS:
        return "xmp" if name == b"XMP DataXMP" else "other"
    return None


def _scan_ppm(raw: bytes) -> Iterator[Block]:
    """Of the plain forms, the pixels may have comments too."""
    header = _PPM_HEADER.match(raw)
    stop = len(raw) if raw[1:2] in b"123" else header.end() if header else 0
    for found in _PPM_COMMENT.finditer(raw, 0, stop):
        yield Block(found.start(), found.end(), "comment")


def _behind(raw: bytes, at: int) -> Iterator[Block]:
    if raw[at:].strip(b"\0"):
        yield Block(at, len(raw), "behind")


_SCANS = {
    "JPEG": _scan_jpeg,
    "PNG": _scan_png,
    "WEBP": _scan_webp,
    "GIF": _scan_gif,
    "PPM": _scan_ppm,
}
