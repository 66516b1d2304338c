"""What the tags of a TIFF say that Pillow leaves to its caller: which page, which values."""

import struct
import sys
from collections.abc import Mapping
from io import BytesIO
from itertools import count
from typing import Any

from PIL import Image, TiffImagePlugin

from pipeline.picture.read.spec import UndecodableImage

_NEW_SUBFILE, _OLD_SUBFILE, _WIDTH, _BITS = 254, 255, 256, 258
_PHOTOMETRIC, _MAKE, _ORIENTATION, _SAMPLES, _MAX_VALUE, _PLANES = 262, 271, 274, 277, 281, 284
_TILE_WIDTH, _TILE_HEIGHT, _SUB_FOLDERS, _EXTRA = 322, 323, 330, 338
_SAMPLE_FORMAT, _MAX_VALUE_TOO = 339, 341
_DNG_VERSION = 50706

_CAMERA = (32803, 34892)
"""Photometric interpretations of what a camera's sensor gives."""

_ENDS = (b"II", b"MM")
_UNEVEN = tuple(range(9, 16))
"""Bits of a sample that is not a whole number of bytes."""


def _more_layouts() -> dict[Any, tuple[str, str]]:
    """List layouts that Pillow can unpack, and does not offer, by its own keys."""
    more: dict[Any, tuple[str, str]] = {}
    for end in _ENDS:
        big = "B" if end == b"MM" else ""
        more[(end, 0, (1,), 1, (16,), ())] = (f"I;16{big}", f"I;16{big}")
        for photo in (0, 1):
            more[(end, photo, (1,), 1, (12,), ())] = ("I;16", "I;12")
            for extra in (0, 2):
                more[(end, photo, (1,), 1, (16, 16), (extra,))] = ("RGBA", "RGBA")
            for bits in _UNEVEN:
                more.setdefault((end, photo, (1,), 1, (bits,), ()), ("1", "1"))
        for extra, mode, raw_mode in ((0, "L", "LX"), (1, "La", "La"), (2, "LA", "LA")):
            more[(end, 0, (1,), 1, (8, 8), (extra,))] = (mode, raw_mode)
        for bits in _UNEVEN:
            more[(end, 2, (1,), 1, (bits,) * 3, ())] = ("1", "1")
    more[(b"II", 0, (1,), 2, (16,), ())] = ("I;16", "I;16R")
    return more


TiffImagePlugin.OPEN_INFO.update(_more_layouts())


def tags_of(image: Image.Image) -> Mapping[int, Any]:
    """Return the tags of the page; none for another format."""
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    return tags


def seek_main_page(image: Image.Image) -> int:
    """Seek the first page that is a picture of its own, and return how many such pages there are.

    Thumbnails, overviews and masks are none. Where there are no others, the first page stays.
    """
    if not getattr(image, "is_animated", False):
        return 1
    mains = []
    for page in count():
        try:
            image.seek(page)
        except EOFError:
            break
        if not _is_side_page(tags_of(image)):
            mains.append(page)
    image.seek(mains[0] if mains else 0)
    return max(1, len(mains))


def _is_side_page(tags: Mapping[int, Any]) -> bool:
    return bool(int(tags.get(_NEW_SUBFILE, 0)) & 5) or tags.get(_OLD_SUBFILE) == 2


def check_page(image: Image.Image, max_pixels: int) -> None:
    """Refuse a page by its tags.

    Raises:
        UndecodableImage: It is a preview of a camera's raw file or of a picture elsewhere, its
            tiles are too large, or its values have a sign.
    """
    tags = tags_of(image)
    is_preview = _is_side_page(tags) and _SUB_FOLDERS in tags
    if tags.get(_DNG_VERSION) or (is_preview and _MAKE in tags):
        raise UndecodableImage(
            "format_not_allowed",
            "it is a camera's raw file with a preview (develop it to PNG or JPEG)",
        )
    if is_preview:
        raise UndecodableImage(
            "format_not_allowed",
            "it is a thumbnail whose picture lies in a sub-directory (save that picture alone)",
        )
    tile = int(tags.get(_TILE_WIDTH, 1)) * int(tags.get(_TILE_HEIGHT, 1))
    if tile > max_pixels:
        raise UndecodableImage("too_large", f"tiles of {tile} pixels, over {max_pixels}")
    if 2 in _whole(tags.get(_SAMPLE_FORMAT, ())):
        bits = max(_whole(tags.get(_BITS, ())), default=1)
        advice = "unsigned 16 bits" if bits > 8 else "unsigned 8 bits"
        raise UndecodableImage(
            "unsupported_mode",
            f"signed values of {bits} bits have no agreed black; add an offset and save {advice}",
        )


def _whole(value: Any) -> tuple[int, ...]:
    values = value if isinstance(value, tuple) else (value,)
    return tuple(int(each) for each in values)


def is_negative(image: Image.Image) -> bool:
    """Return whether 0 is white in what Pillow gives; it inverts 1 to 8 bits of gray itself."""
    tags = tags_of(image)
    if tags.get(_PHOTOMETRIC) != 0:
        return False
    return _whole(tags.get(_BITS, (1,)))[0] > 8 or len(_whole(tags.get(_BITS, (1,)))) > 1


def top_of(image: Image.Image) -> int | None:
    """Return the largest value that a sample can have, as far as the tags say so.

    The standard keeps MaxSampleValue for statistics. Some programs write the largest value of the
    picture into it, others the range of the camera: what is all ones in binary is such a range.
    """
    tags = tags_of(image)
    bits = max(_whole(tags.get(_BITS, (1,))))
    if 8 < bits < 16:
        return (1 << bits) - 1
    for tag in (_MAX_VALUE, _MAX_VALUE_TOO):
        top = max(_whole(tags.get(tag, (0,))))
        if 8 < top.bit_length() < 16 and top & (top + 1) == 0:
            return top
    return None


def has_gray_alpha16(image: Image.Image) -> bool:
    """Return whether Pillow was made to read gray and a second sample as four bytes a pixel."""
    return image.mode == "RGBA" and _whole(tags_of(image).get(_BITS, (1,))) == (16, 16)


def has_alpha(image: Image.Image) -> bool:
    """Return whether the second sample says what is transparent."""
    return 2 in _whole(tags_of(image).get(_EXTRA, ()))


def is_little(image: Image.Image) -> bool:
    """Return whether the bytes of a sample come with the low one first, as Pillow hands them on."""
    if getattr(image, "use_load_libtiff", False):  # libtiff gives the machine's own order
        return sys.byteorder == "little"
    return bool(getattr(tags_of(image), "prefix", b"II") == b"II")


def packed_bits(image: Image.Image) -> tuple[int, int] | None:
    """Return bits and samples of a pixel, where Pillow was made to read them as single bits."""
    bits = _whole(tags_of(image).get(_BITS, (1,)))
    return (bits[0], len(bits)) if image.mode == "1" and bits[0] in _UNEVEN else None


def as_single_bits(image: Image.Image, raw: bytes, factor: int) -> bytes:
    """Return the file as one of so many pixels of one bit, without an orientation.

    Args:
        image: A packed picture, opened.
        raw: The file.
        factor: Bits of a pixel.

    Raises:
        UndecodableImage: Its samples lie in planes, or it is a BigTIFF.
    """
    tags = tags_of(image)
    if tags.get(_PLANES, 1) != 1 or getattr(tags, "_bigtiff", False):
        raise UndecodableImage(
            "unsupported_mode", "packed samples in planes or in a BigTIFF; save unsigned 16 bits"
        )
    new = {_BITS: 1, _SAMPLES: 1, _PHOTOMETRIC: 1, _ORIENTATION: 1}
    wide = {_WIDTH: int(tags[_WIDTH]) * factor, _TILE_WIDTH: int(tags.get(_TILE_WIDTH, 0)) * factor}
    order = "<" if getattr(tags, "prefix", b"II") == b"II" else ">"
    content, at = bytearray(raw), int(getattr(tags, "_offset", 8))
    (count_,) = struct.unpack_from(order + "H", raw, at)
    for place in range(at + 2, at + 2 + 12 * count_, 12):
        (tag,) = struct.unpack_from(order + "H", raw, place)
        if tag in new:
            struct.pack_into(order + "HIHH", content, place + 2, 3, 1, new[tag], 0)
        elif tag in wide:
            struct.pack_into(order + "HII", content, place + 2, 4, 1, wide[tag])
    return bytes(content)


def mend_planes(image: Image.Image) -> None:
    """Read planes of 16 bits as such: Pillow takes the bytes of an unpacked one for samples."""
    tags = tags_of(image)
    is_deep = _whole(tags.get(_BITS, (1,)))[0] == 16
    if tags.get(_PLANES, 1) == 2 and is_deep and not getattr(image, "use_load_libtiff", False):
        order = "L" if is_little(image) else "B"
        image.tile = [  # type: ignore[attr-defined]
            each._replace(args=(f"{each.args[0]};16{order}", *each.args[1:]))
            for each in image.tile  # type: ignore[attr-defined]
        ]


def has_shut_planes(image: Image.Image) -> bool:
    """Return whether channel lies after channel, compressed: libtiff splits them by its rule."""
    is_libtiff = bool(getattr(image, "use_load_libtiff", False))
    return is_libtiff and tags_of(image).get(_PLANES, 1) == 2


def raw_mode_of(image: Image.Image) -> str:
    """Return Pillow's name of the layout in the file; of planes, that of all of them together."""
    tiles = image.tile  # type: ignore[attr-defined]
    args = tiles[0].args if tiles else ""
    raw_mode = str(args[0] if isinstance(args, tuple) and args else args)
    band, _, rest = raw_mode.partition(";")
    return f"{image.mode};{rest}" if rest and len(band) == 1 and band in "RGBA" else raw_mode


def set_raw_mode(image: Image.Image, raw_mode: str) -> None:
    """Make Pillow read the samples by another layout; of planes, each by its own."""
    tiles = []
    for tile in image.tile:  # type: ignore[attr-defined]
        args = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        is_plane = raw_mode_of(image) != args[0]
        name = f"{args[0][0]};{raw_mode.partition(';')[2]}" if is_plane else raw_mode
        tiles.append(tile._replace(args=(name, *args[1:])))
    image.tile = tiles  # type: ignore[attr-defined]


def describe_layout(raw: bytes) -> str:
    """Describe what a TIFF holds that no reader here knows, from the tags of its first page."""
    folder = TiffImagePlugin.ImageFileDirectory_v2(raw[: 16 if 43 in raw[2:4] else 8])
    stream = BytesIO(raw)
    stream.seek(folder.next)
    folder.load(stream)
    bits, kind = _whole(folder.get(_BITS, (1,))), _whole(folder.get(_SAMPLE_FORMAT, (1,)))[0]
    if folder.get(_PHOTOMETRIC) in _CAMERA:
        return "values of a camera's sensor; develop them to PNG or JPEG"
    numbers = {2: "signed", 3: "floating-point"}.get(kind, "unsigned")
    return (
        f"{len(bits)} {numbers} samples a pixel of {bits[0]} bits, photometric interpretation "
        f"{folder.get(_PHOTOMETRIC, 'missing')}; save 8 or unsigned 16 bits, gray or RGB"
    )
