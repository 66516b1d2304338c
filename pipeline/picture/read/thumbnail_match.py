"""How alike two thumbnails are, by two measures that must agree.

The correlation forgets brightness and contrast. The largest difference at any one place is what a
person notices: pictures of one kind of object may correlate as a whole, and differ in one spot.
After both are brought to mean 0 and deviation 1, a correlation of c leaves a difference of
sqrt(2 - 2c) on average; no place may have more than `_MAX_TO_MEAN` times that.

Products and sums are integers, so that the verdict is the same on every machine.

Axes: N = thumbnails, P = pairs, S = `thumbnail.SIDE_PX`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.picture.read.spec import Pixels
from pipeline.picture.read.thumbnail import SIDE_PX

TURNS = (
    "none",
    "mirrored",
    "flipped",
    "half turn",
    "transposed",
    "right turn",
    "left turn",
    "transversed",
)
"""What is done to the first picture of a pair to get the second, by code: bit 4 swaps rows and
columns, then bit 1 reverses the columns and bit 2 the rows."""

INVERSE_TURNS = (0, 1, 2, 3, 4, 6, 5, 7)
"""The codes of what undoes each."""

CELLS = SIDE_PX * SIDE_PX

_MAX_TO_MEAN = 3.0
_BLOCK = 4096

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Thumbnails:
    """Thumbnails and their moments, with 128 taken from every value.

    The sum of products of two is then an integer of at most 2**24, so that 32-bit floats add it up
    without an error, in whatever order.
    """

    pixels: Pixels
    """As they are: uint8 [N, S, S]."""
    sums: Ints
    """[N]."""
    deviations: Floats
    """Standard deviation times the number of cells, [N]."""

    @classmethod
    def measure(cls, pixels: Pixels) -> "Thumbnails":
        """Take the moments of thumbnails, uint8 [N, S, S]."""
        sums, squares = (np.zeros(len(pixels), dtype=np.int64) for _ in range(2))
        for block in blocks(len(pixels)):
            sums[block] = _shifted(pixels[block]).sum(axis=(1, 2), dtype=np.int64)
            squares[block] = _products(pixels[block], pixels[block])
        variances = CELLS * squares - sums * sums
        return cls(pixels, sums, np.sqrt(variances.astype(np.float64)))

    def correlation(self, first: Ints, second: Ints, turn: int) -> Floats:
        """Correlate pairs, the first of each turned; [P]."""
        products = _products(_turn(self.pixels[first], turn), self.pixels[second])
        covariances = CELLS * products - self.sums[first] * self.sums[second]
        scales = self.deviations[first] * self.deviations[second]
        return np.asarray(covariances / np.where(scales > 0.0, scales, np.inf))

    def are_alike(self, first: Ints, second: Ints, *, turn: int, correlation: float) -> Floats:
        """Return the correlation of pairs that both measures accept, and NaN for others; [P]."""
        values = np.full(len(first), np.nan)
        limit = _MAX_TO_MEAN * np.sqrt(2.0 - 2.0 * correlation)
        for block in blocks(len(first)):
            found = self.correlation(first[block], second[block], turn)
            close = np.flatnonzero(found >= correlation)
            ends = first[block][close], second[block][close]
            close = close[self.largest_difference(*ends, turn) <= limit]
            values[block][close] = np.minimum(found[close], 1.0)
        return values

    def largest_difference(self, first: Ints, second: Ints, turn: int) -> Floats:
        """Return the largest difference of any 2 x 2 cells, in standard deviations; [P]."""
        differences = _turn(self._normal_places(first), turn) - self._normal_places(second)
        return np.asarray(np.abs(differences).max(axis=(1, 2), initial=0.0))

    def _normal_places(self, rows: Ints) -> Floats:
        """Return means over 2 x 2 cells in standard deviations from the mean, [P, S / 2, S / 2]."""
        values = _shifted(self.pixels[rows])
        pairs = values[:, ::2] + values[:, 1::2]
        places = pairs[:, :, ::2] + pairs[:, :, 1::2]
        sums, deviations = (
            each[rows, np.newaxis, np.newaxis] for each in (self.sums, self.deviations)
        )
        return np.asarray((places * float(CELLS // 4) - sums) / deviations)


def blocks(n: int) -> Iterator[slice]:
    """Cut 0 .. n into parts that fit into the processor's cache."""
    return (slice(start, start + _BLOCK) for start in range(0, n, _BLOCK))


def _shifted(pixels: Pixels) -> npt.NDArray[np.int16]:
    return pixels.astype(np.int16) - 128


def _products(ones: Pixels, others: Pixels) -> Ints:
    """Sum the products of pairs, [P, S, S] each, with 128 taken from every value; [P]."""
    flat = (each.reshape(-1, CELLS) - np.float32(128.0) for each in (ones, others))
    return np.asarray(np.einsum("ps,ps->p", *flat).astype(np.int64))


def _turn(values: npt.NDArray[Any], turn: int) -> npt.NDArray[Any]:
    """Turn squares, [N, side, side]."""
    turned = values.swapaxes(1, 2) if turn & 4 else values
    return turned[:, :: -1 if turn & 2 else 1, :: -1 if turn & 1 else 1]
