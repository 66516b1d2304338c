"""Pictures in the cleaning report: bins of their sizes, and small copies of bounded size."""

import numpy as np
import pandas as pd
import pytest

from pipeline.picture.show.preview import encode_jpeg, shrink
from pipeline.picture.show.report import aspect_bins, side_bins


def test_bins_hold_every_picture():
    width = pd.Series([1, 15, 16, 300, 300, 9000, 40000])
    height = pd.Series([1, 30, 16, 300, 10, 9000, 1])
    sides = side_bins(pd.concat([width, height], axis=1).max(axis=1))
    assert sum(sides.values()) == 7
    assert sides["256"] == 2
    assert aspect_bins(width, height) == {
        "1 : 2 and taller": 0,
        "tall": 1,
        "upright": 0,
        "square": 4,
        "lying": 0,
        "wide": 0,
        "2 : 1 and wider": 2,
    }
    assert side_bins(pd.Series([], dtype="int64")) == {}


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (3, 5), (500, 300)])
def test_shrinking_and_encoding(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    small = shrink(pixels, 160)
    assert max(small.shape[:2]) == min(160, max(shape))
    assert abs(float(small.mean()) - float(pixels.mean())) < 2
    encoded = encode_jpeg(small, 4000)
    assert len(encoded) <= 4000
    assert encoded == encode_jpeg(small, 4000)
