"""One number that makes confidences honest: logits are divided by it before the softmax.

Axes: N items, K classes.
"""

from dataclasses import dataclass

import numpy as np

LOWEST, HIGHEST = 0.1, 10.0
"""Bounds of the temperature."""

MIN_ITEMS = 10
"""With fewer validation items the temperature stays 1."""


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature."""

    value: float
    note: str | None
    """Why it is not the free optimum; None where it is."""


def fit_temperature(logits_NK: np.ndarray, labels_N: np.ndarray) -> Temperature:
    """Fit the temperature that minimizes the cross-entropy of validation items.

    It counts one more item, of any class: a share of 1 / (N + 1) of each label is spread over all
    classes. That N items are predicted right does not say that the next one is; so there is an
    optimum for such items too.

    With b = 1/T the loss is convex in b, so the root of its derivative, found by bisection to the
    last bit, is the one optimum within the bounds. It stays 1 where the items cannot tell: too few,
    or all of one class.

    Source:
        Guo et al. (2017), "On calibration of modern neural networks"; labels that are not
        quite sure, as in Platt (1999), "Probabilistic outputs for support vector machines".
    """
    if len(labels_N) < MIN_ITEMS:
        return Temperature(1.0, f"only {len(labels_N)} validation items")
    if len(np.unique(labels_N)) < 2:
        return Temperature(1.0, "validation has a single class")
    logits = logits_NK.astype(np.float64)
    low, high = 1.0 / HIGHEST, 1.0 / LOWEST
    if slope(logits, labels_N, low) >= 0.0:
        return Temperature(HIGHEST, "at the upper bound")
    if slope(logits, labels_N, high) <= 0.0:
        return Temperature(LOWEST, "at the lower bound")
    while low < (middle := (low + high) / 2.0) < high:
        low, high = (middle, high) if slope(logits, labels_N, middle) < 0.0 else (low, middle)
    return Temperature(1.0 / middle, None)


def slope(logits_NK: np.ndarray, labels_N: np.ndarray, inverse: float) -> float:
    """Return the derivative of the mean cross-entropy with respect to the inverse temperature.

    A share of 1 / (N + 1) of each label is spread over all classes.
    """
    spread = 1.0 / (len(labels_N) + 1.0)
    expected_N = (probabilities(logits_NK, 1.0 / inverse) * logits_NK).sum(axis=1)
    true_N = np.take_along_axis(logits_NK, labels_N[:, np.newaxis], axis=1)[:, 0]
    wanted_N = (1.0 - spread) * true_N + spread * logits_NK.mean(axis=1)
    return float((expected_N - wanted_N).mean())


def probabilities(logits_NK: np.ndarray, temperature: float) -> np.ndarray:
    """Return the softmax of logits over a temperature, in float64."""
    scaled = logits_NK.astype(np.float64) / temperature
    exponential = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(exponential / exponential.sum(axis=1, keepdims=True))
