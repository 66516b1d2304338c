"""The temperature is the exact minimum of the validation loss, or 1 where nothing can be told."""

import numpy as np
import pytest

from pipeline.judge.temperature import (
    HIGHEST,
    LOWEST,
    Temperature,
    fit_temperature,
    probabilities,
    slope,
)


def noisy(items, classes, *, scale, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Give logits whose honest temperature is `scale`, and labels drawn from their softmax."""
    generator = np.random.default_rng(seed)
    honest = generator.normal(size=(items, classes)) * 2
    chances = probabilities(honest, 1.0).cumsum(axis=1)
    labels = (generator.random((items, 1)) > chances).sum(axis=1)
    return (honest * scale).astype(np.float32), labels


def loss(logits, labels, temperature) -> float:
    """Give the cross-entropy with one more item of any class."""
    logs, spread = np.log(probabilities(logits, temperature)), 1 / (len(labels) + 1)
    own = logs[np.arange(len(labels)), labels]
    return float(-((1 - spread) * own + spread * logs.mean(axis=1)).mean())


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_it_finds_the_scale_of_overconfident_and_shy_logits(scale, classes):
    fitted = fit_temperature(*noisy(20_000, classes, scale=scale))
    assert fitted.value == pytest.approx(scale, rel=0.06)
    assert fitted.note is None


def test_it_is_the_exact_optimum():
    logits, labels = noisy(200, 3, scale=2.0)
    best = fit_temperature(logits, labels).value
    assert abs(slope(logits.astype(np.float64), labels, 1.0 / best)) < 1e-12
    for other in (0.9 * best, 0.999 * best, 1.001 * best, 1.1 * best):
        assert loss(logits, labels, best) < loss(logits, labels, other)


def test_a_known_optimum_by_hand():
    # Two classes, logit difference 3, right in 30 of 40, and half an item more of each class.
    logits = np.tile([[3.0, 0.0]], (40, 1))
    labels = np.array([0, 0, 0, 1] * 10)
    fitted = fit_temperature(logits, labels).value
    assert fitted == pytest.approx(3.0 / np.log(30.5 / 10.5), rel=1e-12)


@pytest.mark.parametrize("items", [10, 25, 400])
def test_that_all_items_are_right_does_not_say_that_the_next_one_is(items):
    logits = np.eye(2)[np.arange(items) % 2] * 8.0
    fitted = fit_temperature(logits, np.arange(items) % 2)
    assert probabilities(logits, fitted.value).max() == pytest.approx((items + 0.5) / (items + 1))
    assert fitted.note is None


def test_it_does_not_change_who_is_predicted():
    logits, labels = noisy(100, 4, scale=5.0)
    served = probabilities(logits, fit_temperature(logits, labels).value)
    assert (served.argmax(axis=1) == logits.argmax(axis=1)).all()


@pytest.mark.parametrize(
    ("logits", "labels", "expected"),
    [
        (np.zeros((9, 2)), np.array([0, 1] * 4 + [0]), Temperature(1.0, "only 9 validation items")),
        (
            np.eye(2)[[0] * 20],
            np.zeros(20, dtype=int),
            Temperature(1.0, "validation has a single class"),
        ),
        (np.eye(2)[[1, 0] * 10], np.array([0, 1] * 10), Temperature(HIGHEST, "at the upper bound")),
        (
            np.eye(2)[[0, 1] * 20] * 0.01,
            np.array([0, 1] * 19 + [1, 1]),
            Temperature(LOWEST, "at the lower bound"),
        ),
    ],
    ids=["tiny", "single-class", "all-wrong", "shy"],
)
def test_cases_that_have_no_free_optimum(logits, labels, expected):
    assert fit_temperature(logits, labels) == expected


def test_probabilities_do_not_overflow():
    assert probabilities(np.array([[2000.0, 0.0]]), 0.1).tolist() == [[1.0, 0.0]]
