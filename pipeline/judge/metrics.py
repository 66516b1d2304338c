"""What a model is worth: metrics, their directions, and 95 % intervals.

Every metric is a function of weighted items. With all weights 1 it gives the metric itself; with
the weights of R resamples it gives R values at once, from the same few lines. Numbers are
fractions, never percent. A number that is not defined on the items at hand is left out, never NaN.

To add a metric, write its function and a row of `METRICS`: every file, table and chart asks there.

Axes: N items, K classes (or 1 value), R resamples, M bins of confidence.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from pipeline.ground.params import Task
from pipeline.judge.calibration import calibration_errors
from pipeline.judge.resampling import Scores, defined, one_hot, ratio, weigh

TINY_PROBABILITY = 1e-15
"""A smaller probability of the right class counts as this one in the loss."""

_FLAT = 1e-24
"""Targets whose variance is a smaller share of their largest square are all the same number."""


@dataclass(frozen=True)
class Judged:
    """Answers beside the truth. What several metrics need is computed once."""

    served_NK: np.ndarray
    """Probabilities, whose rows sum to 1, or values [N, 1]."""

    targets_N: np.ndarray
    """Class numbers, or values."""

    weights_RN: np.ndarray
    """At least 0; each row has a positive sum."""

    ece_bins: int
    """M, bins of equal width."""

    def mean(self, values_N: np.ndarray) -> np.ndarray:
        """Return the weighted means of values, [R]."""
        return np.asarray(weigh(self.weights_RN, values_N) / self.weights_RN.sum(axis=1))

    @cached_property
    def predicted(self) -> np.ndarray:
        """The class numbers that are predicted; of equal probabilities, the first class."""
        return np.asarray(self.served_NK.argmax(axis=1))

    @cached_property
    def right(self) -> np.ndarray:
        """Which classes are right."""
        return np.asarray(self.predicted == self.targets_N)

    @cached_property
    def counts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How often each class occurs, is predicted, and both at once."""
        actual_NK, guess_NK = (
            one_hot(number_N, self.served_NK.shape[1])
            for number_N in (self.targets_N, self.predicted)
        )
        actual_RK, guess_RK, hits_RK = (
            weigh(self.weights_RN, table) for table in (actual_NK, guess_NK, actual_NK * guess_NK)
        )
        return actual_RK, guess_RK, hits_RK

    @cached_property
    def areas(self) -> tuple[np.ndarray, np.ndarray]:
        """See `areas`."""
        return areas(self.served_NK, self.targets_N, self.weights_RN)

    @cached_property
    def error(self) -> np.ndarray:
        """By how much values are too large."""
        return np.asarray(self.served_NK[:, 0] - self.targets_N)

    @cached_property
    def mse(self) -> np.ndarray:
        """Mean squared error."""
        return self.mean(self.error**2)


def scores(
    task: Task,
    served_NK: np.ndarray,
    targets_N: np.ndarray,
    weights_RN: np.ndarray,
    *,
    ece_bins: int,
) -> Scores:
    """Return every metric of a task for each row of weights; for the arrays see `Judged`."""
    judged = Judged(served_NK, targets_N, weights_RN, ece_bins)
    return {name: each.of(judged) for name, each in of_task(task).items() if each.of}


def monitored(task: Task, served_NK: np.ndarray, targets_N: np.ndarray) -> dict[str, float]:
    """Return the metrics that training may monitor, as `scores` defines them."""
    judged = Judged(served_NK, targets_N, np.ones((1, len(targets_N))), ece_bins=1)
    return {
        name: float(each.of(judged)[0])
        for name, each in of_task(task).items()
        if each.of and each.is_monitored
    }


def _loss(judged: Judged) -> np.ndarray:
    true_N = np.take_along_axis(judged.served_NK, judged.targets_N[:, np.newaxis], axis=1)[:, 0]
    return judged.mean(-np.log(np.maximum(true_N, TINY_PROBABILITY)))


def _ece(judged: Judged) -> np.ndarray:
    confidence_N = judged.served_NK.max(axis=1)
    return calibration_errors(confidence_N, judged.right, judged.weights_RN, judged.ece_bins)


def _balanced_accuracy(judged: Judged) -> np.ndarray:
    """Return the mean recall of the classes that occur."""
    actual_RK, _, hits_RK = judged.counts
    return ratio(ratio(hits_RK, actual_RK).sum(axis=1), (actual_RK > 0).sum(axis=1))


def _macro(judged: Judged, table_RK: np.ndarray) -> np.ndarray:
    """Return the mean over the classes that occur or are predicted.

    A class with nothing to divide by counts 0, as in scikit-learn.
    """
    actual_RK, guess_RK, _ = judged.counts
    seen_RK = (actual_RK + guess_RK) > 0
    return ratio((table_RK * seen_RK).sum(axis=1), seen_RK.sum(axis=1))


def _precision(judged: Judged) -> np.ndarray:
    _, guess_RK, hits_RK = judged.counts
    return _macro(judged, ratio(hits_RK, guess_RK))


def _recall(judged: Judged) -> np.ndarray:
    actual_RK, _, hits_RK = judged.counts
    return _macro(judged, ratio(hits_RK, actual_RK))


def _f1(judged: Judged) -> np.ndarray:
    actual_RK, guess_RK, hits_RK = judged.counts
    return _macro(judged, ratio(2 * hits_RK, actual_RK + guess_RK))


def _r2(judged: Judged) -> np.ndarray:
    """Return the share of variance explained; NaN where the targets are all the same."""
    targets_N = judged.targets_N
    centered_N = targets_N - targets_N.mean()  # large numbers' variance drowns in their squares
    variance_R = judged.mean(centered_N**2) - judged.mean(centered_N) ** 2
    flat_R = variance_R <= _tiny_variance(targets_N)
    return np.where(flat_R, np.nan, 1.0 - judged.mse / np.where(flat_R, 1.0, variance_R))


def _pearson(judged: Judged) -> np.ndarray:
    """Return the correlation of values and targets; NaN where either are all the same."""
    values_N, targets_N = judged.served_NK[:, 0], judged.targets_N
    centered_N, wanted_N = values_N - values_N.mean(), targets_N - targets_N.mean()
    spread_R, wanted_R, both_R = (
        judged.mean(one_N * other_N) - judged.mean(one_N) * judged.mean(other_N)
        for one_N, other_N in (
            (centered_N, centered_N),
            (wanted_N, wanted_N),
            (centered_N, wanted_N),
        )
    )
    flat_R = (spread_R <= _tiny_variance(values_N)) | (wanted_R <= _tiny_variance(targets_N))
    divisor_R = np.sqrt(np.where(flat_R, 1.0, spread_R * wanted_R))
    return np.where(flat_R, np.nan, np.clip(both_R / divisor_R, -1.0, 1.0))


def _tiny_variance(values: np.ndarray) -> float:
    return _FLAT * max(float(np.square(values).max()), 1e-300)


@dataclass(frozen=True)
class Metric:
    """What a metric is called, where it is shown, and how it is computed."""

    name: str
    task: Task
    better: Literal["max", "min"]
    title: str
    of: Callable[[Judged], np.ndarray] | None
    """R values, one for each row of weights; None: `evaluate` computes it from what the model gives
    before the temperature."""

    place: Literal[1, 2, 3, 4] = 4
    """1: in the summary of a run, 2: also in charts, 3: also in tables, 4: only in files."""

    is_monitored: bool = False
    """Whether training computes it after each epoch, and may keep the epoch that is best by it."""


_OF_CLASS = ("precision", "recall", "f1")
_CLASSES: Task = "classification"
_VALUES: Task = "regression"
_ROWS = (
    Metric(
        "accuracy",
        _CLASSES,
        "max",
        "share of right answers",
        lambda judged: judged.mean(judged.right),
        place=1,
        is_monitored=True,
    ),
    Metric(
        "balanced_accuracy",
        _CLASSES,
        "max",
        "mean recall of the classes",
        _balanced_accuracy,
        place=2,
        is_monitored=True,
    ),
    Metric("precision_macro", _CLASSES, "max", "precision, mean over classes", _precision),
    Metric("recall_macro", _CLASSES, "max", "recall, mean over classes", _recall),
    Metric("f1_macro", _CLASSES, "max", "F1, mean over classes", _f1, place=1, is_monitored=True),
    Metric(
        "roc_auc",
        _CLASSES,
        "max",
        "area under the ROC curve",
        lambda judged: _nanmean(judged.areas[0]),
        place=1,
    ),
    Metric(
        "pr_auc",
        _CLASSES,
        "max",
        "average precision",
        lambda judged: _nanmean(judged.areas[1]),
        place=3,
    ),
    Metric("ece", _CLASSES, "min", "calibration error", _ece, place=2),
    Metric("ece_uncalibrated", _CLASSES, "min", "calibration error without temperature", None),
    Metric("loss", _CLASSES, "min", "cross-entropy", _loss, place=3),
    Metric(
        "mae",
        _VALUES,
        "min",
        "mean absolute error",
        lambda judged: judged.mean(np.abs(judged.error)),
        place=1,
        is_monitored=True,
    ),
    Metric(
        "rmse",
        _VALUES,
        "min",
        "root mean squared error",
        lambda judged: np.sqrt(judged.mse),
        place=2,
        is_monitored=True,
    ),
    Metric("mse", _VALUES, "min", "mean squared error", lambda judged: judged.mse),
    Metric("r2", _VALUES, "max", "variance explained", _r2, place=1),
    Metric("pearson_r", _VALUES, "max", "correlation with the targets", _pearson, place=1),
)
METRICS: Mapping[str, Metric] = {each.name: each for each in _ROWS}
"""Every metric by its name, in the order of display; the first of a task is its main one."""


def monitors(task: Task) -> list[str]:
    """Return the numbers by which training may choose the best epoch."""
    return ["loss", *(name for name, each in of_task(task).items() if each.is_monitored)]


def of_task(task: Task) -> Mapping[str, Metric]:
    """Return the metrics of a task."""
    return {name: each for name, each in METRICS.items() if each.task == task}


def shown(found: Iterable[str], *, place: Literal[1, 2, 3]) -> list[str]:
    """Return those of the metrics found that are shown in a place, in the order of display."""
    names = set(found)
    return [name for name, each in METRICS.items() if name in names and each.place <= place]


def better(name: str) -> Literal["max", "min"] | None:
    """Return which way a metric, or a number of a class, is better; None for other names."""
    if name in _OF_CLASS:
        return "max"
    return METRICS[name].better if name in METRICS else None


def main(found: Iterable[str]) -> str:
    """Return the metric that people look at first."""
    return shown(found, place=1)[0]


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
        table[name] |= defined({"roc_auc": roc_RK[:, k], "pr_auc": pr_RK[:, k]})
    return table


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
    precise_R = (new_hits * ratio(hits, hits + alarms)).sum(axis=1)
    missing_R = pairs_R <= 0
    divisor_R = np.where(missing_R, 1.0, pairs_R)
    roc_R = np.where(missing_R, np.nan, won_R / divisor_R)
    return roc_R, np.where(missing_R, np.nan, precise_R / np.where(missing_R, 1.0, hits[:, -1]))


def _nanmean(table_RK: np.ndarray) -> np.ndarray:
    defined_RK = ~np.isnan(table_RK)
    mean_R = ratio(np.where(defined_RK, table_RK, 0.0).sum(axis=1), defined_RK.sum(axis=1))
    return np.where(defined_RK.any(axis=1), mean_R, np.nan)
