"""Small copies of pictures for people: decoded pixels in, fewer pixels or an encoded file out.

Of the original file nothing but pixels gets in: no position, no name from its metadata.
"""

from io import BytesIO

import numpy as np
from PIL import Image

from pipeline.picture.read.spec import Pixels

_QUALITIES = (82, 68, 50, 30)


def shrink(pixels: Pixels, side_px: int) -> Pixels:
    """Make the longer side at most `side_px`, with antialiasing; small pictures stay.

    Args:
        pixels: uint8, HWC, RGB.
        side_px: At least 1.
    """
    height, width = pixels.shape[:2]
    longest = max(height, width)
    if longest <= side_px:
        return pixels
    size = (max(1, round(width * side_px / longest)), max(1, round(height * side_px / longest)))
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BOX)
    return np.asarray(small)


def encode_jpeg(pixels: Pixels, max_bytes: int) -> bytes:
    """Encode as JPEG: at the best of a few qualities that fits, then at half the size, and so on.

    Args:
        pixels: uint8, HWC, RGB.
        max_bytes: At least 2,000, so that some size fits.
    """
    for quality in _QUALITIES:
        stream = BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=quality, optimize=True)
        if len(stream.getvalue()) <= max_bytes:
            return stream.getvalue()
    return encode_jpeg(shrink(pixels, max(pixels.shape[:2]) // 2), max_bytes)


def encode_png(pixels: Pixels) -> bytes:
    """Encode as PNG, without loss; equal pixels give equal bytes.

    Args:
        pixels: uint8, HWC, RGB or RGBA.
    """
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()
