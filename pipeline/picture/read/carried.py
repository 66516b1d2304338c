"""What a picture's file carries besides its pixels, by kind; no value is handed on."""

import re
import warnings
from collections.abc import Mapping
from io import BytesIO

import numpy as np
from PIL import Image

from pipeline.picture.files import picture_format
from pipeline.picture.read.blocks import Block, spare_blocks
from pipeline.picture.read.decode import READER_ERRORS
from pipeline.picture.read.exif import Told, read_tags
from pipeline.picture.read.spec import Pixels
from pipeline.picture.read.thumbnail import SIDE_PX, thumbnail
from pipeline.raw.sniff import HEAD_BYTES

CARRIED: Mapping[str, str] = {
    "gps": "the place where it was taken",
    "serial": "the serial number of a camera or lens, or an id of the picture alone",
    "owner": "a name: of the owner, artist, author, computer, or in a copyright",
    "shows_more": "a thumbnail inside it that shows something else than the picture",
    "behind": "bytes after its end: a second picture, a film, anything",
    "thumbnail": "a small copy inside it",
    "comment": "a comment, description or title",
    "time": "when it was taken or changed",
    "camera": "the model of a camera or lens, or the name of a program",
    "maker_note": "a block of the camera's maker, which often holds serial numbers and more",
    "xmp": "a block of XMP, in which programs write what was done, and by whom",
    "iptc": "a block of IPTC, in which agencies write names, places and captions",
    "other": "settings of the camera, or a block of a program",
    "unreadable": "EXIF that is damaged: nobody knows what it tells",
}
"""Kinds of what a file carries besides pixels, and what each means."""

PERSONAL = frozenset({"gps", "serial", "owner", "shows_more", "behind"})
"""Kinds that lead to a person, a place or one machine, or may."""

_IN_XMP = {
    "gps": re.compile(rb"GPS(?:Lat|Long)itude", re.IGNORECASE),
    "serial": re.compile(rb"SerialNumber", re.IGNORECASE),
    "owner": re.compile(rb"OwnerName|creator|artist|photoshop:Credit|rights>", re.IGNORECASE),
    "thumbnail": re.compile(rb"GImg:image|xmp:Thumbnails", re.IGNORECASE),
}
_IPTC_NAMES = re.compile(rb"\x1c\x02[\x50\x55\x6e\x73\x74\x76\x7a]")
"""By-line and its title, credit, source, copyright, contact, writer (IIM 4.2)."""

_IPTC_THUMBNAIL = re.compile(rb"8BIM\x04[\x09\x0c]")

_MOST_THUMBNAIL_PX = 1 << 20
_ASPECT = 0.06
"""Share by which two ratios of sides may differ."""

_ALIKE = 0.7
"""Smallest correlation of a thumbnail with its picture."""

_DARK = 24
"""Of 255: the bars beside a picture in a thumbnail of another shape."""


def find_carried(raw: bytes) -> tuple[frozenset[str], bytes | None]:
    """Return the kinds of what a file carries, and a thumbnail that is a JPEG, if it has one.

    Args:
        raw: The whole file; of no picture, nothing is found.
    """
    kind = picture_format(raw[:HEAD_BYTES])
    if kind == "TIFF":
        told = read_tags(raw, is_file=True) if raw[2:4] in (b"*\0", b"\0*") else Told()
        return told.kinds, None
    if kind == "AVIF":
        return _of_avif(raw), None
    kinds: set[str] = set()
    small = None
    for block in spare_blocks(raw, kind or ""):
        told = _of_block(block)
        kinds |= told.kinds
        small = told.thumbnail or small
    return frozenset(kinds), small


def _of_block(block: Block) -> Told:
    if block.kind == "exif":
        return read_tags(block.body)
    found = {block.kind}
    if block.kind == "xmp":
        found |= {kind for kind, words in _IN_XMP.items() if words.search(block.body)}
    elif block.kind == "iptc":
        found |= {"owner"} if _IPTC_NAMES.search(block.body) else set()
        found |= {"thumbnail"} if _IPTC_THUMBNAIL.search(block.body) else set()
    return Told(frozenset(found))


def _of_avif(raw: bytes) -> frozenset[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            info = Image.open(BytesIO(raw), formats=("AVIF",)).info
    except READER_ERRORS:
        return frozenset()
    exif, xmp = info.get("exif"), info.get("xmp")
    kinds = read_tags(exif.removeprefix(b"Exif\0\0")).kinds if isinstance(exif, bytes) else set()
    told = _of_block(Block(0, 0, "xmp", xmp)).kinds if isinstance(xmp, bytes) else set()
    return frozenset(kinds | told)


def shows_more(small: bytes, pixels: Pixels) -> bool:
    """Return whether a thumbnail shows something else than its picture: more of it, or another.

    Both are turned upright first, the thumbnail in all ways that have the picture's shape.
    A thumbnail that cannot be decoded shows nothing.

    Args:
        small: A JPEG.
        pixels: Of the picture, uint8, HWC, RGB.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(BytesIO(small), formats=("JPEG",))
            if image.width * image.height > _MOST_THUMBNAIL_PX:
                return True
            shown = np.array(image.convert("RGB"))
    except READER_ERRORS:
        return False
    own = thumbnail(pixels)
    return not any(_is_alike(each, own, pixels.shape) for each in _turns(shown))


def _turns(shown: Pixels) -> list[Pixels]:
    upright = [np.rot90(shown, quarter) for quarter in range(4)]
    return [*upright, *(each[:, ::-1] for each in upright)]


def _is_alike(shown: Pixels, own: Pixels, shape: tuple[int, ...]) -> bool:
    inner = _without_bars(shown, shape[1] / shape[0])
    if inner is None:
        return False
    cells = thumbnail(np.ascontiguousarray(inner))
    if min(cells.std(), own.std()) < 2.0:  # of one color: nothing to compare
        return abs(float(cells.mean()) - float(own.mean())) < 32.0
    return bool(np.corrcoef(cells.ravel(), own.ravel())[0, 1] >= _ALIKE)


def _without_bars(shown: Pixels, ratio: float) -> Pixels | None:
    """Return the middle of a thumbnail that has a picture's shape, if the rest is dark bars."""
    height, width = shown.shape[:2]
    if abs(width / height / ratio - 1.0) <= _ASPECT:
        return shown
    wide, high = min(width, round(height * ratio)), min(height, round(width / ratio))
    left, top = (width - wide) // 2, (height - high) // 2
    if wide < SIDE_PX // 2 or high < SIDE_PX // 2:
        return None
    sides = [shown[: max(0, top - 1)], shown[top + high + 1 :]]
    sides += [shown[:, : max(0, left - 1)], shown[:, left + wide + 1 :]]
    is_dark = all(each.size == 0 or float(each.mean()) < _DARK for each in sides)
    return shown[top : top + high, left : left + wide] if is_dark else None
