"""The tile that stands for an item where people look at it: its picture, small, or plain gray."""

import numpy as np

from pipeline.picture.read.probe import Limits
from pipeline.picture.read.spec import Pixels, UndecodableImage
from pipeline.picture.show.preview import shrink

_GRAY = 190


def gray_tile(side_px: int) -> Pixels:
    """Stand for a file that is no picture, is not at hand, or that nobody may open."""
    return np.full((side_px, side_px, 3), _GRAY, dtype=np.uint8)


def picture_tile(content: bytes | None, limits: Limits, *, side_px: int) -> Pixels:
    """Decode a file and make it small; gray where there is none, or where it is no picture."""
    pixels = pixels_of(content, limits)
    return gray_tile(side_px) if pixels is None else shrink(pixels, side_px)


def pixels_of(content: bytes | None, limits: Limits) -> Pixels | None:
    """Decode a file; None where there is none, or where it is no picture."""
    try:
        return None if content is None else limits.open(content).pixels
    except UndecodableImage:
        return None
