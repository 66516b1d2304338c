"""The items whose pooled features are nearest to those of one item, on its screen.

NumPy alone: the page need not wait for torch. Axes: N = items of the store, D = features.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.ground.errors import PipelineError
from pipeline.ground.files import read_json
from pipeline.store.shards import Layout, Shards
from pipeline.store.store import Store

SHOWN = 8
_BLOCK_ROWS = 4096


class Nearest:
    """Finds neighbors; opens what it needs with the first question.

    Args:
        folder: Of the artifacts.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._opened: _Space | None = None
        self._is_missing = False

    def of(self, path: str) -> Sequence[tuple[str, float]]:
        """Return path and cosine of the nearest items; none without features of this item."""
        with self._lock:
            if self._opened is None and not self._is_missing:
                try:
                    self._opened = _Space(self._folder)
                except (PipelineError, OSError, KeyError, TypeError, ValueError):
                    self._is_missing = True  # no features yet, or not pooled: no strip
            return self._opened.nearest(path) if self._opened else ()


class _Space:
    def __init__(self, folder: Path) -> None:
        features = folder / "features" / "cache"
        pooled = read_json(features / "features.json")["pooled"]
        layout = Layout("pooled", (int(pooled["dim"]),), np.dtype(np.float32), "run `dvc repro`")
        self._pooled = Shards.open(features, layout, pooled["files"])
        self._paths = list(Store.open(folder / "transform" / "store").index["path"])
        if len(self._paths) != len(self._pooled):
            raise ValueError("the features are of another store")
        self._rows = {path: row for row, path in enumerate(self._paths)}
        sums = [self._pooled[rows].sum(axis=0, dtype=np.float64) for rows in self._blocks()]
        self._mean_D = np.asarray(sum(sums) / len(self._paths), dtype=np.float32)

    def _blocks(self) -> Sequence[np.ndarray]:
        return [
            np.arange(start, min(start + _BLOCK_ROWS, len(self._paths)))
            for start in range(0, len(self._paths), _BLOCK_ROWS)
        ]

    def _units(self, rows: np.ndarray) -> np.ndarray:
        centered = self._pooled[rows] - self._mean_D
        return np.asarray(centered / (np.linalg.norm(centered, axis=1, keepdims=True) + 1e-12))

    def nearest(self, path: str) -> Sequence[tuple[str, float]]:
        if path not in self._rows:
            return ()
        row = self._rows[path]
        query_D = self._units(np.array([row]))[0]
        cosines_N = np.concatenate([self._units(rows) @ query_D for rows in self._blocks()])
        cosines_N[row] = -np.inf
        best = np.argsort(-cosines_N, kind="stable")[: min(SHOWN, len(self._paths) - 1)]
        return [(self._paths[each], float(cosines_N[each])) for each in best]
