"""What the pixels alone say of a picture: black, white, flat, or out of focus.

Measured on the store's pictures, so every item has the same size, and nothing is decoded again.

Axes: N = items, B = pictures of a read, H = W = the store's size.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.compute.engine import MachineParams, progress
from pipeline.ground.robust import robust_deviations
from pipeline.modality.types.protocols import Poor
from pipeline.store.store import Store

_CHUNK = 64
_CONSTANT_STD, _FLAT_STD = 1.0, 10.0
_DARK, _BRIGHT = 50.0, 215.0
_LOW_ENTROPY_BITS = 2.0
_GRAY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_MIN_SHARPNESS = 1e-3
_SMALL_PX = 32


@dataclass(frozen=True)
class Measures:
    """Each float64 [N], of the gray picture, 0..255."""

    std: np.ndarray
    low: np.ndarray
    """5th percentile of brightness."""

    high: np.ndarray
    """99th percentile of brightness."""

    entropy: np.ndarray
    """Of the histogram of gray values, bits, 0..8."""

    sharpness: np.ndarray
    """Variance of the Laplacian, at least 0."""


def measure_pictures(store: Store, machine: MachineParams) -> Measures:
    """Measure every picture of a store, a few at a time."""
    starts = range(0, len(store), _CHUNK)
    with progress(starts, machine, total=len(starts), title="pictures", unit="batches") as bar:
        parts = [
            _measure(store.read(np.arange(start, min(start + _CHUNK, len(store))))) for start in bar
        ]
    return Measures(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def find_poor(measures: Measures, *, beyond: float) -> list[Poor]:
    """Return the pictures that hold little, each for the first kind that fits, poorest first.

    Constant, dark, bright, flat and empty are told by fixed bounds; blurred is told against the
    other pictures, since how sharp a sharp one is depends on what it shows.

    Args:
        measures: Of all pictures.
        beyond: Robust deviations below the median of log sharpness from which one is blurred.
    """
    sharpness = np.log(np.maximum(measures.sharpness, _MIN_SHARPNESS))
    blur = -robust_deviations(sharpness)
    found = []
    for row in range(len(sharpness)):
        poor = _judge(measures, row) or _judge_blur(measures, row, float(blur[row]), beyond)
        if poor is not None:
            found.append(poor)
    return sorted(found, key=lambda each: (-each.score, each.row))


def _judge(measures: Measures, row: int) -> Poor | None:
    """Judge one picture by fixed bounds."""
    std, low = float(measures.std[row]), float(measures.low[row])
    high, entropy = float(measures.high[row]), float(measures.entropy[row])
    if std < _CONSTANT_STD:
        return Poor(row, "constant", 1.0, f"all pixels are alike (deviation {std:.2f} of 255)")
    if high < _DARK:
        return Poor(
            row,
            "dark",
            1.0 - high / _DARK / 2.0,
            f"99 % of its pixels are darker than {high:.0f} of 255",
        )
    if low > _BRIGHT:
        share = (255.0 - low) / (255.0 - _BRIGHT)
        return Poor(
            row,
            "bright",
            1.0 - share / 2.0,
            f"95 % of its pixels are brighter than {low:.0f} of 255",
        )
    if std < _FLAT_STD:
        return Poor(
            row,
            "flat",
            1.0 - std / _FLAT_STD / 2.0,
            f"its pixels barely differ (deviation {std:.1f} of 255)",
        )
    if entropy < _LOW_ENTROPY_BITS:
        return Poor(
            row,
            "empty",
            1.0 - entropy / _LOW_ENTROPY_BITS / 2.0,
            f"few gray values: entropy {entropy:.1f} bits of 8",
        )
    return None


def _judge_blur(measures: Measures, row: int, blur: float, beyond: float) -> Poor | None:
    if blur <= beyond:
        return None
    score = 0.5 * (1.0 - beyond / blur)  # below all that fixed bounds find
    return Poor(
        row,
        "blurred",
        score,
        f"variance of the Laplacian {measures.sharpness[row]:.1f}, "
        f"{blur:.1f} deviations below the median",
    )


def _measure(pictures: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the measures of uint8 [B, 3, H, W]."""
    gray = np.tensordot(pictures.astype(np.float32), _GRAY, axes=(1, 0))
    flat = gray.reshape(len(gray), -1)
    low, high = np.percentile(flat, [5, 99], axis=1)
    inner = gray[:, 1:-1, 1:-1]
    laplacian = (
        gray[:, :-2, 1:-1]
        + gray[:, 2:, 1:-1]
        + gray[:, 1:-1, :-2]
        + gray[:, 1:-1, 2:]
        - 4.0 * inner
    )
    return (
        flat.std(axis=1, dtype=np.float64),
        low.astype(np.float64),
        high.astype(np.float64),
        _entropy(flat),
        laplacian.reshape(len(gray), -1).var(axis=1, dtype=np.float64),
    )


def _entropy(flat: np.ndarray) -> np.ndarray:
    """Return the entropy of gray values in whole steps, bits, of float32 [B, H * W]."""
    values = np.clip(np.rint(flat), 0, 255).astype(np.int64)
    offsets = np.arange(len(values), dtype=np.int64)[:, np.newaxis] * 256
    counts = np.bincount((values + offsets).ravel(), minlength=256 * len(values))
    shares = counts.reshape(len(values), 256) / values.shape[1]
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(-(shares * logs).sum(axis=1))


def small_gray(pixels: np.ndarray) -> np.ndarray:
    """Return a picture in gray and small, so that a shift of a pixel is no difference: float64."""
    gray, side = pixels.mean(axis=0), pixels.shape[-1]
    edges = np.linspace(0, side, min(_SMALL_PX, side) + 1).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(gray, edges, axis=0), edges, axis=1)
    sizes = np.diff([*edges, side])
    return np.asarray(sums / np.outer(sizes, sizes))


class PictureQuality:
    """Pictures behind the protocol `Quality`."""

    def poor(self, store: Store, machine: MachineParams, *, beyond: float) -> list[Poor]:
        """Return the pictures that hold little, poorest first."""
        return find_poor(measure_pictures(store, machine), beyond=beyond)

    def difference(self, row: np.ndarray, other: np.ndarray) -> str:
        """Say how far two pictures differ."""
        mean = np.abs(small_gray(row) - small_gray(other)).mean()
        return f"small gray pictures differ by {mean:.1f} of 255"


QUALITY = PictureQuality()
