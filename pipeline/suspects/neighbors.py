"""How near each item's pooled features lie to those of the others, by the cosine.

Every pair is looked at once for each of its items, in products of blocks: memory does not grow
with the square of the items, time does (100,000 items of 2,560 features are 5 * 10^13 operations).

Axes: N = items, D = features, Q = rows of a block, k = neighbors.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pipeline.compute.device import Runtime

_BLOCK_ROWS = 2048
_DIGITS = 6
"""Last bits differ from machine to machine; order and tables must not."""


class Rows(Protocol):
    """Pooled features, float32 [N, D]: read by rows, never as a whole."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Neighbors:
    """What is near to each item."""

    distances_N: np.ndarray
    """Mean cosine distance (1 - cosine) of the k nearest items, float64 in [0, 2]."""

    twins_N: np.ndarray
    """The nearest item of another split, int64; -1 where there is no other split."""

    cosines_N: np.ndarray
    """With that item, float64 in [-1, 1]; -1 where there is none."""


def find_neighbors(
    pooled: Rows, splits_N: np.ndarray, *, neighbors: int, runtime: Runtime
) -> Neighbors:
    """Find each item's nearest items, and its nearest item of another split.

    Features are centered first: what all items share says nothing of their likeness.

    Args:
        pooled: Of all items.
        splits_N: Number of each item's split, int64.
        neighbors: k; where there are fewer other items, all of them.
        runtime: Device and threads.
    """
    items, k = len(pooled), min(neighbors, len(pooled) - 1)
    mean_D = _mean(pooled)
    splits = torch.tensor(splits_N).to(runtime.device)
    distances, cosines = np.full(items, 0.0), np.full(items, -1.0)
    twins = np.full(items, -1, dtype=np.int64)
    for rows in _blocks(items):
        queries = _units(pooled, rows, mean_D, runtime)
        nearest = torch.empty((len(rows), 0), device=runtime.device)
        best = torch.full((len(rows),), -torch.inf, device=runtime.device)
        twin = torch.full((len(rows),), -1, dtype=torch.int64, device=runtime.device)
        own = splits[torch.from_numpy(rows).to(runtime.device)]
        for others in _blocks(items):
            places = torch.from_numpy(others).to(runtime.device)
            products = queries @ _units(pooled, others, mean_D, runtime).T
            if rows[0] == others[0]:
                products.fill_diagonal_(-torch.inf)
            both = torch.cat([nearest, products], dim=1)
            nearest = both.topk(min(k, both.shape[1]), dim=1).values
            products.masked_fill_(own[:, None] == splits[places][None, :], -torch.inf)
            highest, where = products.max(dim=1)
            is_nearer = highest > best
            best = torch.where(is_nearer, highest, best)
            twin = torch.where(is_nearer, places[where], twin)
        if k:
            near = nearest.cpu().numpy().astype(np.float64)
            distances[rows] = (1.0 - near).mean(axis=1)
        twins[rows] = twin.cpu().numpy()
        found = best.cpu().numpy().astype(np.float64)
        cosines[rows] = np.where(np.isfinite(found), found, -1.0)
    return Neighbors(
        np.round(np.clip(distances, 0.0, 2.0), _DIGITS),
        twins,
        np.round(np.clip(cosines, -1.0, 1.0), _DIGITS),
    )


def _blocks(items: int) -> Iterator[np.ndarray]:
    for start in range(0, items, _BLOCK_ROWS):
        yield np.arange(start, min(start + _BLOCK_ROWS, items))


def _mean(pooled: Rows) -> np.ndarray:
    total = sum(
        (pooled[rows].sum(axis=0, dtype=np.float64) for rows in _blocks(len(pooled))),
        start=np.zeros(()),
    )
    return np.asarray(total / len(pooled), dtype=np.float32)


def _units(pooled: Rows, rows: np.ndarray, mean_D: np.ndarray, runtime: Runtime) -> Tensor:
    """Return centered rows of length 1 (those without any length stay 0): float32 [Q, D]."""
    centered = torch.from_numpy(np.asarray(pooled[rows], dtype=np.float32) - mean_D)
    return torch.nn.functional.normalize(centered.to(runtime.device), dim=1)
