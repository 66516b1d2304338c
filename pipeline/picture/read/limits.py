"""What the reading of one picture may take, by the pixels that it may have."""

from pipeline.ground.limits import ItemLimits

MAX_PIXELS = 178_956_970
"""Largest picture that Pillow agrees to open; what `decode` accepts unless told otherwise."""

SECONDS = 60.0
"""For one picture; the largest ones that pass take some."""

_BYTES_PER_PIXEL = 16
"""Of the least compact encoding, four channels of 32 bits."""

_BYTES_SLACK = 64 << 20
_MEMORY_PER_PIXEL = 64
"""Bytes that a decoder and the conversions after it may take for each pixel of the limit."""

_MEMORY_SLACK = 1 << 30


def item_limits(max_pixels: int = MAX_PIXELS, seconds: float = SECONDS) -> ItemLimits:
    """Return the limits of a picture of at most so many pixels."""
    return ItemLimits(
        bytes=max_pixels * _BYTES_PER_PIXEL + _BYTES_SLACK,
        seconds=seconds,
        memory=max_pixels * _MEMORY_PER_PIXEL + _MEMORY_SLACK,
    )
