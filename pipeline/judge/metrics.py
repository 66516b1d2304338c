"""What a model is worth: metrics, their directions, and 95 % intervals.

Every classification metric is a function of weighted items. With all weights 1 it gives the metric
itself; with the weights of R resamples it gives R values at once, from the same few lines. Numbers
are fractions, never percent. A number that is not defined on the items at hand is left out, never
NaN.

Axes: N items, K classes, R resamples, M bins of confidence.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.ground.seeds import numpy_generator

METRICS: dict[str, Literal["max", "min"]] = {
    "accuracy": "max",
    "balanced_accuracy": "max",
    "precision_macro": "max",
    "recall_macro": "max",
    "f1_macro": "max",
    "roc_auc": "max",
    "pr_auc": "max",
    "ece": "min",
    "ece_uncalibrated": "min",
    "loss": "min",
    "mae": "min",
    "rmse": "min",
    "mse": "min",
    "r2": "max",
}
"""Every metric, and which way is better."""

TINY_PROBABILITY = 1e-15
"""A smaller probability of the right class counts as this one in the loss."""

_FLAT = 1e-24
"""Targets whose variance is a smaller share of their largest square are all the same number."""

Scores = dict[str, np.ndarray]
"""For each metric R values; NaN where it is not defined on that resample."""

_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: `resamples` draws of whole groups, with replacement."""

    resamples: int
    seed: int
    groups_N: np.ndarray
    """Group of each item, int64 in [0, number of groups)."""


def class_scores(
    probabilities_NK: np.ndarray, labels_N: np.ndarray, weights_RN: np.ndarray, *, ece_bins: int
) -> Scores:
    """Return every classification metric for each row of weights.

    `balanced_accuracy` is the mean recall of the classes that occur. Macro means run over the
    classes that occur or are predicted, and count 0 for a class with nothing to divide by, as
    scikit-learn does. `roc_auc` and `pr_auc` are means over the classes, each against the rest;
    those without an item on either side do not count. For two classes `roc_auc` is the ordinary
    one.

    Args:
        probabilities_NK: Rows sum to 1. Of equal largest ones, the first class is predicted.
        labels_N: Class numbers.
        weights_RN: At least 0; each row has a positive sum.
        ece_bins: M, bins of equal width.
    """
    predicted_N = probabilities_NK.argmax(axis=1)
    right_N = predicted_N == labels_N
    total_R = weights_RN.sum(axis=1)
    true_N = np.take_along_axis(probabilities_NK, labels_N[:, np.newaxis], axis=1)[:, 0]
    scores = {
        "accuracy": weigh(weights_RN, right_N) / total_R,
        "loss": weigh(weights_RN, -np.log(np.maximum(true_N, TINY_PROBABILITY))) / total_R,
        "ece": calibration_errors(probabilities_NK.max(axis=1), right_N, weights_RN, ece_bins),
    }
    scores |= _macro_scores(predicted_N, labels_N, weights_RN, probabilities_NK.shape[1])
    roc_RK, pr_RK = areas(probabilities_NK, labels_N, weights_RN)
    return scores | {"roc_auc": _nanmean(roc_RK), "pr_auc": _nanmean(pr_RK)}


def value_scores(values_N: np.ndarray, targets_N: np.ndarray, weights_RN: np.ndarray) -> Scores:
    """Return every regression metric for each row of weights; `r2` needs targets that differ."""
    error_N = values_N - targets_N
    total_R = weights_RN.sum(axis=1)
    mse_R = weigh(weights_RN, error_N**2) / total_R
    offset = targets_N.mean()
    centered_N = targets_N - offset  # the variance of large numbers would drown in their squares
    mean_R = weigh(weights_RN, centered_N) / total_R
    variance_R = weigh(weights_RN, centered_N**2) / total_R - mean_R**2
    flat_R = variance_R <= _FLAT * max(float(np.square(targets_N).max()), 1e-300)
    r2_R = np.where(flat_R, np.nan, 1.0 - mse_R / np.where(flat_R, 1.0, variance_R))
    return {
        "mae": weigh(weights_RN, np.abs(error_N)) / total_R,
        "mse": mse_R,
        "rmse": np.sqrt(mse_R),
        "r2": r2_R,
    }


def areas(
    probabilities_NK: np.ndarray, labels_N: np.ndarray, weights_RN: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the areas under the ROC and the precision-recall curve of each class against the rest.

    The latter is average precision, without interpolation. Equal scores move together.

    Returns:
        Two [R, K] arrays; NaN where a class has no item, or no other has one.
    """
    each = [
        _areas(probabilities_NK[:, k], labels_N == k, weights_RN)
        for k in range(probabilities_NK.shape[1])
    ]
    roc, pr = zip(*each, strict=True)
    return np.stack(roc, axis=1), np.stack(pr, axis=1)


def per_class_scores(
    probabilities_NK: np.ndarray, labels_N: np.ndarray, classes: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return `n`, `precision`, `recall`, `f1`, `roc_auc` and `pr_auc` of each class by name."""
    predicted_N = probabilities_NK.argmax(axis=1)
    roc_RK, pr_RK = areas(probabilities_NK, labels_N, np.ones((1, len(labels_N))))
    table: dict[str, dict[str, float]] = {}
    for k, name in enumerate(classes):
        hits = int(((predicted_N == k) & (labels_N == k)).sum())
        actual, guessed = int((labels_N == k).sum()), int((predicted_N == k).sum())
        ratios = {
            "precision": (hits, guessed),
            "recall": (hits, actual),
            "f1": (2 * hits, guessed + actual),
        }
        table[name] = {"n": actual} | {key: a / b for key, (a, b) in ratios.items() if b > 0}
        table[name] |= _defined({"roc_auc": roc_RK[:, k], "pr_auc": pr_RK[:, k]})
    return table


def point(scores: Callable[[np.ndarray], Scores], items: int) -> dict[str, float]:
    """Return the metrics of all items, each counted once; those not defined are left out."""
    return _defined(scores(np.ones((1, items))))


def intervals(
    scores: Callable[[np.ndarray], Scores], bootstrap: Bootstrap
) -> dict[str, dict[str, float]]:
    """Return the 95 % interval of each metric: percentiles 2.5 and 97.5 of the resamples.

    A metric that is not defined on more than half of the resamples is left out.

    Args:
        scores: Weights [R, N] to metrics.
        bootstrap: What is drawn; with no resamples there are no intervals.
    """
    result = {}
    for name, values_R in resampled(scores, bootstrap).items():
        defined = values_R[~np.isnan(values_R)]
        if len(defined) * 2 >= len(values_R):
            low, high = np.percentile(defined, [2.5, 97.5])
            result[name] = {"low": float(low), "high": float(high)}
    return result


def resampled(scores: Callable[[np.ndarray], Scores], bootstrap: Bootstrap) -> Scores:
    """Return what `scores` gives for the weights of every resample, the resamples first.

    Args:
        scores: Weights [R, N] to arrays [R, ...].
        bootstrap: What is drawn; with no resamples the result is empty.
    """
    rows_at_once = max(1, _CELLS_AT_ONCE // len(bootstrap.groups_N))
    starts = range(0, bootstrap.resamples, rows_at_once)
    generator = numpy_generator(bootstrap.seed, "bootstrap")
    parts = [
        scores(_draw(generator, min(rows_at_once, bootstrap.resamples - start), bootstrap.groups_N))
        for start in starts
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in (parts or [{}])[0]}


def quick_scores(probabilities_NK: np.ndarray, labels_N: np.ndarray) -> dict[str, float]:
    """Return the metrics that training monitors, as `class_scores` defines them."""
    weights_1N = np.ones((1, len(labels_N)))
    predicted_N = probabilities_NK.argmax(axis=1)
    macro = _macro_scores(predicted_N, labels_N, weights_1N, probabilities_NK.shape[1])
    return {
        "accuracy": float((predicted_N == labels_N).mean()),
        "balanced_accuracy": float(macro["balanced_accuracy"][0]),
        "f1_macro": float(macro["f1_macro"][0]),
    }


def calibration_error(probabilities_NK: np.ndarray, labels_N: np.ndarray, bins: int) -> float:
    """Return the mean distance between confidence and accuracy, over bins of equal width."""
    right_N = probabilities_NK.argmax(axis=1) == labels_N
    weights_1N = np.ones((1, len(labels_N)))
    return float(calibration_errors(probabilities_NK.max(axis=1), right_N, weights_1N, bins)[0])


def reliability_bins(
    confidence_N: np.ndarray, right_N: np.ndarray, bins: int
) -> Mapping[str, np.ndarray]:
    """Return `confidence` and `accuracy` (0 in an empty bin) and `count` of bins of equal width."""
    one_NM = _one_hot(_bin_of(confidence_N, bins), bins)
    count_M = one_NM.sum(axis=0)
    items_M = np.maximum(count_M, 1)
    return {
        "confidence": weigh(confidence_N[np.newaxis], one_NM)[0] / items_M,
        "accuracy": weigh(right_N[np.newaxis], one_NM)[0] / items_M,
        "count": count_M.astype(np.int64),
    }


def _macro_scores(
    predicted_N: np.ndarray, labels_N: np.ndarray, weights_RN: np.ndarray, classes: int
) -> Scores:
    actual_NK, guess_NK = _one_hot(labels_N, classes), _one_hot(predicted_N, classes)
    actual_RK, guess_RK = weigh(weights_RN, actual_NK), weigh(weights_RN, guess_NK)
    hits_RK = weigh(weights_RN, actual_NK * guess_NK)
    recall_RK = _ratio(hits_RK, actual_RK)
    seen_RK = (actual_RK + guess_RK) > 0
    macro = {
        "precision_macro": _ratio(hits_RK, guess_RK),
        "recall_macro": recall_RK,
        "f1_macro": _ratio(2 * hits_RK, actual_RK + guess_RK),
    }
    scores = {
        name: _ratio((table * seen_RK).sum(axis=1), seen_RK.sum(axis=1))
        for name, table in macro.items()
    }
    occurs_R = (actual_RK > 0).sum(axis=1)
    return scores | {"balanced_accuracy": _ratio(recall_RK.sum(axis=1), occurs_R)}


def _areas(
    score_N: np.ndarray, is_positive_N: np.ndarray, weights_RN: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return ROC area and average precision of one class, [R] each."""
    order = np.argsort(-score_N, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score_N[order])), len(order) - 1)
    sorted_RN = weights_RN[:, order]
    positive_N = is_positive_N[order]
    hits = np.cumsum(sorted_RN * positive_N, axis=1)[:, ends]
    alarms = np.cumsum(sorted_RN * ~positive_N, axis=1)[:, ends]
    new_hits = np.diff(hits, axis=1, prepend=0.0)
    new_alarms = np.diff(alarms, axis=1, prepend=0.0)
    pairs_R = hits[:, -1] * alarms[:, -1]
    won_R = (new_alarms * (hits - new_hits / 2)).sum(axis=1)
    precise_R = (new_hits * _ratio(hits, hits + alarms)).sum(axis=1)
    missing_R = pairs_R <= 0
    divisor_R = np.where(missing_R, 1.0, pairs_R)
    roc_R = np.where(missing_R, np.nan, won_R / divisor_R)
    return roc_R, np.where(missing_R, np.nan, precise_R / np.where(missing_R, 1.0, hits[:, -1]))


def calibration_errors(
    confidence_N: np.ndarray, right_N: np.ndarray, weights_RN: np.ndarray, bins: int
) -> np.ndarray:
    """Return the calibration error for each row of weights, [R]; see `calibration_error`."""
    gap_NM = _one_hot(_bin_of(confidence_N, bins), bins) * (right_N - confidence_N)[:, np.newaxis]
    gap_RM = np.abs(weigh(weights_RN, gap_NM))
    return np.asarray(gap_RM.sum(axis=1) / weights_RN.sum(axis=1))


def _bin_of(confidence_N: np.ndarray, bins: int) -> np.ndarray:
    return np.minimum((confidence_N * bins).astype(np.int64), bins - 1)


def _draw(generator: np.random.Generator, resamples: int, groups_N: np.ndarray) -> np.ndarray:
    """Draw groups with replacement; give how often each item came, [R, N]."""
    groups = int(groups_N.max()) + 1
    drawn = generator.integers(groups, size=(resamples, groups))
    offset = np.arange(resamples)[:, np.newaxis] * groups
    counts = np.bincount((drawn + offset).ravel(), minlength=resamples * groups)
    return np.asarray(counts.reshape(resamples, groups)[:, groups_N], dtype=np.float64)


def weigh(weights_RN: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return weighted sums of values [N] or [N, K].

    Not `@`: a BLAS shares the sum among as many threads as there are cores, and the last bits with
    them.
    """
    axes = "rn,n->r" if values.ndim == 1 else "rn,nk->rk"
    return np.asarray(np.einsum(axes, weights_RN, values.astype(np.float64)))


def _one_hot(number_N: np.ndarray, size: int) -> np.ndarray:
    table = np.zeros((len(number_N), size))
    table[np.arange(len(number_N)), number_N] = 1.0
    return table


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Divide; 0 where the divisor is 0."""
    positive = bottom > 0
    return np.where(positive, top / np.where(positive, bottom, 1.0), 0.0)


def _nanmean(table_RK: np.ndarray) -> np.ndarray:
    defined_RK = ~np.isnan(table_RK)
    mean_R = _ratio(np.where(defined_RK, table_RK, 0.0).sum(axis=1), defined_RK.sum(axis=1))
    return np.where(defined_RK.any(axis=1), mean_R, np.nan)


def _defined(scores: Scores) -> dict[str, float]:
    return {name: float(values[0]) for name, values in scores.items() if not np.isnan(values[0])}
