"""How long `train.epochs: auto` is."""

import pytest

from pipeline.train.plan import auto_epochs


@pytest.mark.parametrize(
    ("items", "views", "batch_size", "epochs"),
    [
        (100, 1, 32, 18),  # 70.25 steps, 4 of them an epoch
        (100, 2, 32, 19),
        (1000, 1, 32, 4),
        (1000, 8, 32, 6),
        (10_000, 1, 32, 2),
        (10_000, 4, 32, 4),
        (1_000_000, 1, 32, 2),
        (40, 1, "full", 66),
    ],
)
def test_known_answers(items, views, batch_size, epochs):
    assert auto_epochs(items, views, batch_size) == epochs
