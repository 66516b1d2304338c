"""Neighbors found in blocks are those that a look at all pairs finds."""

import numpy as np
import pytest

from pipeline.suspects import neighbors
from pipeline.suspects.neighbors import find_neighbors
from tests.support.trainable import cpu


def by_hand(pooled, splits, k):
    centered = pooled - pooled.mean(axis=0)
    units = centered / np.linalg.norm(centered, axis=1, keepdims=True)
    cosines = units @ units.T
    np.fill_diagonal(cosines, -np.inf)
    distances = 1 - np.sort(cosines, axis=1)[:, -k:]
    cosines[splits[:, None] == splits[None, :]] = -np.inf
    return distances.mean(axis=1), cosines.argmax(axis=1), cosines.max(axis=1)


@pytest.mark.parametrize("block", [7, 50, 1000])
def test_blocks_of_any_size_give_what_all_pairs_give(block, monkeypatch):
    generator = np.random.default_rng(0)
    pooled = generator.normal(size=(100, 20)).astype(np.float32)
    splits = generator.integers(0, 3, 100)
    monkeypatch.setattr(neighbors, "_BLOCK_ROWS", block)
    found = find_neighbors(pooled, splits, neighbors=5, runtime=cpu())
    distances, twins, cosines = by_hand(pooled.astype(np.float64), splits, 5)
    assert found.distances_N == pytest.approx(distances, abs=2e-6)
    assert found.cosines_N == pytest.approx(cosines, abs=2e-6)
    assert (found.twins_N == twins).all()


class ByRows:
    """Features that can be read by rows only, and remember how many at once."""

    def __init__(self, values):
        self.values, self.most = values, 0

    @property
    def shape(self):
        return self.values.shape

    def __len__(self):
        return len(self.values)

    def __getitem__(self, rows):
        assert isinstance(rows, np.ndarray)
        self.most = max(self.most, len(rows))
        return self.values[rows]


def test_features_are_read_by_rows_a_block_at_a_time(monkeypatch):
    monkeypatch.setattr(neighbors, "_BLOCK_ROWS", 16)
    pooled = ByRows(np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32))
    find_neighbors(pooled, np.zeros(90, dtype=np.int64), neighbors=3, runtime=cpu())
    assert pooled.most == 16


def test_a_single_split_has_no_twins():
    pooled = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    found = find_neighbors(pooled, np.zeros(9, dtype=np.int64), neighbors=3, runtime=cpu())
    assert found.twins_N.tolist() == [-1] * 9
    assert found.cosines_N.tolist() == [-1.0] * 9


@pytest.mark.parametrize("items", [1, 2, 4])
def test_fewer_items_than_neighbors(items):
    pooled = np.random.default_rng(0).normal(size=(items, 4)).astype(np.float32)
    splits = np.arange(items) % 2
    found = find_neighbors(pooled, splits, neighbors=10, runtime=cpu())
    assert np.isfinite(found.distances_N).all()
    assert (found.twins_N[: items // 2 * 2] >= 0).all()


def test_equal_features_are_no_distance_and_no_fault():
    found = find_neighbors(
        np.ones((5, 3), dtype=np.float32), np.arange(5) % 2, neighbors=2, runtime=cpu()
    )
    assert np.isfinite(found.distances_N).all()
    assert np.isfinite(found.cosines_N).all()
