"""A small gray copy of a picture, exact to the last bit: what near-duplicates are found by.

Every cell is the mean over the area that it covers, pixels cut at its border by their share. A
resize that takes whole pixels moves thin lines by up to half a pixel, so that a picture and its
copy of another size would differ.
"""

import numpy as np
import numpy.typing as npt

from pipeline.picture.read.spec import Pixels

SIDE_PX = 32
"""Side of a thumbnail, whatever the shape of the picture."""

FLAT = bytes(SIDE_PX * SIDE_PX)
"""A thumbnail without contrast."""

_LUMA = (299, 587, 114)
"""Of red, green and blue, in thousandths (ITU-R BT.601)."""


def thumbnail(pixels: Pixels) -> Pixels:
    """Return the means of a picture's brightness over a grid of equal cells.

    Args:
        pixels: uint8, HWC, RGB.

    Returns:
        uint8, [SIDE_PX, SIDE_PX]; integer arithmetic, so equal on every machine.
    """
    height, width, _ = pixels.shape
    rows = _area_sums(pixels, SIDE_PX)
    cells = _area_sums(rows.swapaxes(0, 1), SIDE_PX).swapaxes(0, 1)
    area = 1000 * height * width
    return np.asarray((cells @ np.array(_LUMA) + area // 2) // area, dtype=np.uint8)


def _area_sums(values: npt.NDArray[np.integer], cells: int) -> npt.NDArray[np.int64]:
    """Sum over the first axis by `cells` equal parts, in units of 1 / `cells` of a value.

    With n values, part t covers t * n to (t + 1) * n of these units; the values are each `cells`
    units wide.
    """
    n = len(values)
    whole, rest = np.divmod(np.arange(cells + 1) * n, cells)
    below = np.zeros((cells + 1, *values.shape[1:]), dtype=np.int64)
    for part in range(cells):
        below[part + 1] = values[whole[part] : whole[part + 1]].sum(axis=0, dtype=np.int64)
    at_border = values[np.minimum(whole, n - 1)].astype(np.int64)
    shares = rest.reshape(-1, *[1] * (values.ndim - 1))
    return np.diff(below.cumsum(axis=0) * cells + shares * at_border, axis=0)
