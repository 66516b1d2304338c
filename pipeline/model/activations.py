"""Activations at a cut, for several views of every picture: memory-mapped 16-bit shards.

`view-00-00000.npy`, ... hold float16 [rows, ...], in the order of the store's rows. View 0 is the
picture as it is. float16 keeps what bfloat16 computes to the bit within 6e-5..65504, and of single
precision 11 bits; values that it cannot hold are refused, never clipped.

Axes: N = rows of the store, B = items of a batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import IntegrityError
from pipeline.files import sha256_file

Halves = npt.NDArray[np.float16]
Rows = npt.NDArray[np.int64]

SHARD_ROWS = 1024
"""Bounds the size of a file: 32 MB for 14 x 14 x 80."""

_REMEDY = "run `dvc checkout` or `dvc repro features`"


class ActivationWriter:
    """Writes the shards of all views; rows may come in any order.

    Args:
        folder: It is there already.
        rows: N.
        views: At least 1.
        shape: Of one item.
    """

    def __init__(self, folder: Path, *, rows: int, views: int, shape: Sequence[int]) -> None:
        self._folder = folder
        self._views = [
            [
                np.lib.format.open_memmap(
                    folder / file, mode="w+", dtype=np.float16, shape=(count, *shape)
                )
                for file, count in _files(view, rows)
            ]
            for view in range(views)
        ]
        self._is_filled = np.zeros((views, rows), dtype=bool)
        self._rows = rows
        self._record = {"rows": rows, "views": views, "shape": list(shape)}

    def write(self, view: int, rows: Rows, values: npt.NDArray[np.float32]) -> Rows:
        """Write the activations of some rows; give those that float16 cannot hold."""
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        is_whole = np.isfinite(halves.reshape(len(rows), -1)).all(axis=1)
        for row, value in zip(rows, halves, strict=True):
            self._views[view][row // SHARD_ROWS][row % SHARD_ROWS] = value
        self._is_filled[view, rows] = True
        return rows[~is_whole]

    def finish(self) -> dict[str, Any]:
        """Close the files, and give their record: JSON."""
        if not self._is_filled.all():
            raise RuntimeError(f"{(~self._is_filled).sum()} activations were not computed")
        for shards in self._views:
            for shard in shards:
                shard.flush()
        names = [file for view in range(len(self._views)) for file, _ in _files(view, self._rows)]
        return self._record | {"sha256": {name: sha256_file(self._folder / name) for name in names}}


@dataclass(frozen=True)
class Activations:
    """Activations that were opened.

    Attributes:
        folder: Where they are.
        shape: Of one item.
        views: How many there are of each item.
        shards: By view: memory maps, float16 [rows, *shape].
    """

    folder: Path
    shape: tuple[int, ...]
    views: int
    shards: tuple[tuple[Halves, ...], ...]

    @classmethod
    def open(cls, folder: Path, record: dict[str, Any]) -> "Activations":
        """Open what an `ActivationWriter` wrote; values are not verified.

        Raises:
            IntegrityError: A file is missing or damaged.
        """
        shape, rows = tuple(int(each) for each in record["shape"]), int(record["rows"])
        views = int(record["views"])
        shards = tuple(
            tuple(_map(folder / file, (count, *shape)) for file, count in _files(view, rows))
            for view in range(views)
        )
        return cls(folder, shape, views, shards)

    def read(self, rows: Rows, views: Rows) -> Halves:
        """Copy one view of each of some rows into memory.

        Args:
            rows: int64 [B], in [0, N).
            views: int64 [B], in [0, views).

        Returns:
            float16 [B, *shape].
        """
        out = np.empty((len(rows), *self.shape), dtype=np.float16)
        for place, (row, view) in enumerate(zip(rows, views, strict=True)):
            out[place] = self.shards[view][row // SHARD_ROWS][row % SHARD_ROWS]
        return out


def size_bytes(rows: int, views: int, shape: Sequence[int]) -> int:
    """Give the bytes that activations take."""
    return rows * views * math.prod(shape) * np.dtype(np.float16).itemsize


def verify(folder: Path, record: dict[str, Any]) -> None:
    """Compare every file with its SHA-256.

    Raises:
        IntegrityError: One differs.
    """
    for name, sha256 in record["sha256"].items():
        if sha256_file(folder / name) != sha256:
            raise IntegrityError(folder / name, "its values were changed", remedy=_REMEDY)


def _files(view: int, rows: int) -> list[tuple[str, int]]:
    """Name the files of a view, with the rows of each."""
    return [
        (f"view-{view:02d}-{number:05d}.npy", min(SHARD_ROWS, rows - number * SHARD_ROWS))
        for number in range(math.ceil(rows / SHARD_ROWS))
    ]


def _map(path: Path, shape: tuple[int, ...]) -> Halves:
    try:
        values: Halves = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise IntegrityError(path, "no such file", remedy=_REMEDY) from error
    except (ValueError, EOFError, OSError) as error:
        raise IntegrityError(path, f"truncated or damaged ({error})", remedy=_REMEDY) from error
    if values.shape != shape or values.dtype != np.float16:
        got = f"{values.dtype} {values.shape}"
        raise IntegrityError(path, f"must be float16 {shape}", got=got, remedy=_REMEDY)
    return values
