"""What a version predicts first are pictures, and a difference in any number is seen."""

import numpy as np
import pytest

from pipeline.picture.read.decode import open_picture
from pipeline.serving.replicas.warmup import largest_difference, sample_pictures


def test_the_samples_are_pictures_that_differ():
    shown = [
        open_picture(raw, background=(0, 0, 0), max_pixels=10**6, animated="reject")
        for raw in sample_pictures(3)
    ]
    assert sample_pictures(3) == sample_pictures(3)
    assert len({each.pixel_hash for each in shown}) == 3
    assert all(np.std(each.pixels) > 60 and each.notes == () for each in shown)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"label": "a", "p_a": 0.75, "p_b": 0.25, "error": None}, 0.0),
        ({"label": "a", "p_a": 0.75, "p_b": 0.26, "error": None}, 0.01),
    ],
)
def test_a_difference(other, difference):
    row = {"label": "a", "p_a": 0.75, "p_b": 0.25, "error": None}
    assert largest_difference([row, row], [row, other]) == pytest.approx(difference)


def test_values_differ_relative_to_their_size():
    assert largest_difference([{"value": 200.0}], [{"value": 202.0}]) == pytest.approx(0.01)
    assert largest_difference([], []) == 0.0
