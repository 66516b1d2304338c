"""A difference in any number of a version's first predictions is seen."""

import pytest

from pipeline.serving.replicas.warmup import largest_difference


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
