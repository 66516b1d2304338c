"""Pictures of more than 8 bits a sample: their values as they are in the file, and their range.

Pillow reads 16-bit gray in full, and of 16-bit color the high bytes alone. Where the values fill
less than 16 bits, the low bytes are read too.

Axes: H = height, W = width, C = channels.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops

from pipeline.picture.read import tiff
from pipeline.picture.read.spec import WHITE16, UndecodableImage

Values = npt.NDArray[np.uint16]

GRAY16 = ("I;16", "I;16L", "I;16B", "I;16N")

_DARK = (WHITE16 + 1) // 4
"""Where all values lie below it, they may be of 14 bits or fewer."""

_BANDS = {"RGB;16": "RGB", "RGBA;16": "RGBA", "RGBX;16": "RGB", "LA;16": "RGBA"}
"""Raw modes of 16-bit color, without the letter of their byte order, and what Pillow makes of them.

Premultiplied color and CMYK are not here: they stay as Pillow gives them.
"""

_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
"""The byte order by which Pillow takes the other byte of each sample."""


@dataclass(frozen=True)
class Loaded:
    """A picture in memory.

    Attributes:
        image: 8 bits a sample; or gray of 16 bits, `I;16`; or the high bytes, where `low` is set.
        low: The low bytes of color, or of gray with alpha.
        top: The value that is white, where there are 16 bits.
    """

    image: Image.Image
    low: Image.Image | None = None
    top: int = WHITE16

    def map(self, change: Callable[[Image.Image], Image.Image]) -> "Loaded":
        """Return it with the same change to all bytes, such as a turn."""
        low = None if self.low is None else change(self.low)
        return Loaded(change(self.image), low, self.top)

    def to_8_bits(self) -> Image.Image:
        """Scale 0..top to 0..255 with rounding; what lies above is white."""
        if self.image.mode == "I;16":
            return Image.fromarray(_scaled(np.asarray(self.image), self.top))
        if self.low is None:
            return self.image
        scaled = _scaled(_joined(self.image, self.low), self.top)
        if self.image.mode.endswith("A"):
            scaled[..., -1] = np.asarray(self.image)[..., -1]  # alpha has the whole range
        picture = Image.fromarray(scaled, self.image.mode)
        picture.info = self.image.info
        return picture


@dataclass(frozen=True)
class Source:
    """What is known of a picture before its pixels are.

    Attributes:
        raw_mode: Pillow's name of the layout in the file.
        said_top: The largest value that a sample can have, by the file's own word.
        white16: The value that is white in 16 bits, where the file does not say so.
        load_as: Loads the picture anew by another raw mode, with the mode for it.
    """

    raw_mode: str
    said_top: int | None
    white16: int
    load_as: Callable[[str, str], Image.Image]

    def choose_top(self, largest: int, notes: set[str]) -> int:
        """Return the value that is white in a picture whose largest value is known."""
        if self.said_top is not None and largest <= self.said_top:
            return self.said_top
        if self.white16 == WHITE16 and 0 < largest < _DARK:
            notes.add("gray16_dark")
        if largest > self.white16:
            notes.add("clipped16")
        return self.white16


def settle(image: Image.Image, source: Source, notes: set[str]) -> Loaded:
    """Bring what Pillow loaded to values of which 0 is black, with their range.

    Args:
        image: The picture.
        source: What is known of it.
        notes: Gets `gray16_dark` or `clipped16`.
    """
    if tiff.has_gray_alpha16(image):
        return _settle_gray_alpha(image, source, notes)
    if image.mode in (*GRAY16, "I"):
        return _settle_gray(np.asarray(image), tiff.is_negative(image), source, notes)
    if source.raw_mode[:-1] in _BANDS:
        return _settle_color(image, source, notes)
    if source.raw_mode.startswith("RGBa") and extremes(image.getchannel("A"))[1] == 0:
        # Colors that were multiplied by an alpha of 0 would be 0 too: this one says nothing.
        return Loaded(source.load_as("RGBA", source.raw_mode.replace("RGBa", "RGBA")))
    plain = image.convert("LA") if image.mode == "La" else image
    return Loaded(_inverted(plain) if tiff.is_negative(image) else plain)


def settle_packed(values: Values, *, is_negative: bool, bits: int) -> Loaded:
    """Do so for values that were unpacked from bits.

    Args:
        values: Gray [H, W], or color [H, W, 3].
        is_negative: Whether 0 is white.
        bits: Of a sample.
    """
    top = (1 << bits) - 1
    values = np.uint16(top) - values if is_negative else values
    if values.ndim == 2:
        return Loaded(Image.fromarray(values), None, top)
    return Loaded(*_parted(values), top)


def extremes(band: Image.Image) -> tuple[int, int]:
    """Return the smallest and the largest value of a picture of one channel."""
    lowest, highest = band.getextrema()
    return int(lowest), int(highest)  # type: ignore[arg-type] # pairs are of several channels


def unpack_bits(image: Image.Image, bits: int, channels: int) -> Values:
    """Put the samples together from a picture of single bits, each row of them filled to bytes.

    Args:
        image: Mode `1`, W * C * bits wide.
        bits: Of a sample, 9..15.
        channels: 1 or 3.

    Returns:
        Gray [H, W], or color [H, W, 3].
    """
    width = image.width // (bits * channels)
    values = np.zeros((image.height, width * channels), dtype=np.uint16)
    for row in range(image.height):  # by rows: a bit takes a byte here
        line = np.asarray(image.crop((0, row, image.width, row + 1))).reshape(-1, bits)
        for place in range(bits):
            values[row] = values[row] << 1 | line[:, place]
    return values if channels == 1 else values.reshape(image.height, width, channels)


def _settle_gray(
    stored: npt.NDArray[np.generic], is_negative: bool, source: Source, notes: set[str]
) -> Loaded:
    values = stored.astype(np.uint16)
    top = source.choose_top(int(values.max()), notes)
    if is_negative:
        values = np.uint16(top) - np.minimum(values, np.uint16(top))
    return Loaded(Image.fromarray(values), None, top)


def _settle_gray_alpha(image: Image.Image, source: Source, notes: set[str]) -> Loaded:
    """Part the four bytes of a pixel that Pillow was made to read."""
    pairs = np.asarray(image).view("<u2" if tiff.is_little(image) else ">u2").astype(np.uint16)
    if not tiff.has_alpha(image):
        return _settle_gray(pairs[..., 0], tiff.is_negative(image), source, notes)
    top = source.choose_top(int(pairs[..., 0].max()), notes)
    if tiff.is_negative(image):
        pairs[..., 0] = top - np.minimum(pairs[..., 0], top)
    return Loaded(*_parted(pairs), top)


def _settle_color(image: Image.Image, source: Source, notes: set[str]) -> Loaded:
    highest = max(extremes(band)[1] for band in image.split()[:3])
    may_be_less = source.said_top is not None or source.white16 != WHITE16
    if not may_be_less and highest >= _DARK >> 8:
        return Loaded(image)
    if tiff.has_shut_planes(image):  # of which Pillow gives the high bytes alone
        if highest >= _DARK >> 8:
            return Loaded(image)
        raise UndecodableImage(
            "unsupported_mode",
            "dark color of 16 bits in compressed planes; save it with the channels interleaved",
        )
    low = _low_bytes(image, source)
    largest = int(_joined(image, low)[..., :3].max())
    top = source.choose_top(largest, notes)
    # Beyond the usual range, all values count: two dark pictures may have the same high bytes.
    return Loaded(image, low, top) if highest < _DARK >> 8 or top != WHITE16 else Loaded(image)


def _low_bytes(image: Image.Image, source: Source) -> Image.Image:
    kind, order = source.raw_mode[:-1], source.raw_mode[-1]
    if kind == "LA;16":  # four bytes a pixel, read as they are
        _, gray, _, alpha = source.load_as("RGBA", "RGBA").split()
        return Image.merge("RGBA", (gray, gray, gray, alpha))
    return source.load_as(image.mode, kind + _SWAPPED[order])


def _inverted(image: Image.Image) -> Image.Image:
    """Invert gray of 8 bits, and leave its alpha."""
    bands = image.split()
    turned = (ImageChops.invert(bands[0]), *bands[1:])
    return turned[0] if len(turned) == 1 else Image.merge(image.mode, turned)


def _joined(high: Image.Image, low: Image.Image) -> Values:
    joined: Values = np.asarray(high).astype(np.uint16) << 8 | np.asarray(low)
    return joined


def _parted(values: Values) -> tuple[Image.Image, Image.Image]:
    high, low = (values >> 8).astype(np.uint8), (values & 255).astype(np.uint8)
    return Image.fromarray(high), Image.fromarray(low)


def _scaled(values: Values, top: int) -> npt.NDArray[np.uint8]:
    wide = np.minimum(values.astype(np.uint32), top)
    return ((wide * 255 + top // 2) // top).astype(np.uint8)
