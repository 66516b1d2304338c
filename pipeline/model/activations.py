"""Activations at a cut, for several views of every item: 16-bit shards.

`cut-00000.npy`, ... hold float16 [rows, views, ...], in the order of the store's rows. View 0 is
the item as it is. float16 keeps what bfloat16 computes to the bit within 6e-5..65504, and of
single precision 11 bits; values that it cannot hold are refused, never clipped.

Axes: N = rows of the store, B = items of a batch.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.store.shards import Layout, Rows, Shards

Halves = npt.NDArray[np.float16]


def activations_layout(views: int, shape: tuple[int, ...], *, remedy: str) -> Layout:
    """Describe the shards of activations.

    Args:
        views: Of each item, at least 1.
        shape: Of one view of one item.
        remedy: What to do where a file is damaged.
    """
    return Layout("cut", (views, *shape), np.dtype(np.float16), remedy)


def to_halves(values: npt.NDArray[np.float32]) -> Halves | None:
    """Return the activations of one item as float16, or None where that cannot hold them."""
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    return halves if np.isfinite(halves).all() else None


@dataclass(frozen=True)
class Activations:
    """Activations that were opened.

    Attributes:
        shards: float16 [N, views, *shape].
    """

    shards: Shards

    @property
    def views(self) -> int:
        """How many there are of each item."""
        return self.shards.layout.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one view of one item."""
        return self.shards.layout.shape[1:]

    def read(self, rows: Rows, views: Rows) -> Halves:
        """Copy one view of each of some rows into memory.

        Args:
            rows: int64 [B], in [0, N).
            views: int64 [B], in [0, views).

        Returns:
            float16 [B, *shape].
        """
        return self.shards.read_parts(rows, views)
