"""A thumbnail is the mean over equal areas, exact whatever the size of the picture."""

import numpy as np
import pytest
from PIL import Image

from pipeline.picture.read.thumbnail import SIDE_PX, thumbnail
from tests.support.scenes import scene, small


def shares(n):
    """Give the share of each of n pixels in each cell, as real numbers."""
    edges = np.arange(SIDE_PX + 1) * n / SIDE_PX
    pixels = np.arange(n)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.maximum(covered, 0.0) * SIDE_PX / n


@pytest.mark.parametrize("shape", [(300, 300), (33, 100), (32, 32), (5, 7), (1, 1), (1000, 31)])
def test_each_cell_is_the_mean_over_its_area(shape):
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    expected = shares(shape[0]) @ luma @ shares(shape[1]).T
    found = thumbnail(pixels)
    assert (found.shape, found.dtype) == ((SIDE_PX, SIDE_PX), np.uint8)
    assert np.abs(found - expected).max() <= 0.5 + 1e-9


def test_gray_stays_as_it_is():
    gray = np.random.default_rng(2).integers(0, 256, (SIDE_PX, SIDE_PX), dtype=np.uint8)
    assert np.array_equal(thumbnail(np.stack([gray] * 3, axis=2)), gray)


def test_a_line_between_cells_has_the_same_weight_in_a_copy_of_another_size():
    # Where whole pixels are taken, the line below moves by a pixel, and so does its shadow.
    pixels = np.full((300, 300, 3), 200, dtype=np.uint8)
    pixels[:, 64:68] = 0
    copy = np.asarray(Image.fromarray(pixels).resize((150, 150), Image.Resampling.BOX))
    assert np.abs(thumbnail(pixels).astype(int) - thumbnail(copy)).max() <= 1


def test_turning_and_shrinking_may_change_places():
    picture = scene(1)
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    assert np.array_equal(small(turned), np.rot90(small(picture)))
