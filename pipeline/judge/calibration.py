"""The distance between confidence and accuracy, over bins of equal width.

Axes: N items, K classes, R resamples, M bins of confidence.
"""

from collections.abc import Mapping

import numpy as np

from pipeline.judge.resampling import one_hot, weigh


def calibration_error(probabilities_NK: np.ndarray, labels_N: np.ndarray, bins: int) -> float:
    """Return the mean distance between confidence and accuracy, over bins of equal width."""
    right_N = probabilities_NK.argmax(axis=1) == labels_N
    weights_1N = np.ones((1, len(labels_N)))
    return float(calibration_errors(probabilities_NK.max(axis=1), right_N, weights_1N, bins)[0])


def calibration_errors(
    confidence_N: np.ndarray, right_N: np.ndarray, weights_RN: np.ndarray, bins: int
) -> np.ndarray:
    """Return the calibration error for each row of weights, [R]; see `calibration_error`."""
    gap_NM = one_hot(_bin_of(confidence_N, bins), bins) * (right_N - confidence_N)[:, np.newaxis]
    gap_RM = np.abs(weigh(weights_RN, gap_NM))
    return np.asarray(gap_RM.sum(axis=1) / weights_RN.sum(axis=1))


def reliability_bins(
    confidence_N: np.ndarray, right_N: np.ndarray, bins: int
) -> Mapping[str, np.ndarray]:
    """Return `confidence` and `accuracy` (0 in an empty bin) and `count` of bins of equal width."""
    one_NM = one_hot(_bin_of(confidence_N, bins), bins)
    count_M = one_NM.sum(axis=0)
    items_M = np.maximum(count_M, 1)
    return {
        "confidence": weigh(confidence_N[np.newaxis], one_NM)[0] / items_M,
        "accuracy": weigh(right_N[np.newaxis], one_NM)[0] / items_M,
        "count": count_M.astype(np.int64),
    }


def _bin_of(confidence_N: np.ndarray, bins: int) -> np.ndarray:
    return np.minimum((confidence_N * bins).astype(np.int64), bins - 1)
