"""Curves of a classifier, as tables for `dvc plots` and as lines to draw.

Axes: N items, K classes.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

Curve = tuple[np.ndarray, np.ndarray]
"""x and y, of equal length."""

_GRID = np.linspace(0.0, 1.0, 201)


def roc_curves(
    probabilities_NK: np.ndarray, labels_N: np.ndarray, classes: Sequence[str]
) -> dict[str, Curve]:
    """Return false- and true-positive rates of each class against the rest, from (0, 0) to (1, 1).

    A class without items on both sides has none.
    """
    curves = {}
    for k, name in enumerate(classes):
        hits, alarms = sweep(probabilities_NK[:, k], labels_N == k)
        if hits[-1] > 0 and alarms[-1] > 0:
            curves[name] = (_from_zero(alarms / alarms[-1]), _from_zero(hits / hits[-1]))
    return curves


def pr_curves(
    probabilities_NK: np.ndarray, labels_N: np.ndarray, classes: Sequence[str]
) -> dict[str, Curve]:
    """Return recall and precision of each class against the rest, by rising recall.

    Average precision is the area under it where each precision holds back to the recall before. A
    class without items on both sides has none.
    """
    curves = {}
    for k, name in enumerate(classes):
        hits, alarms = sweep(probabilities_NK[:, k], labels_N == k)
        if hits[-1] > 0 and alarms[-1] > 0:
            curves[name] = (hits / hits[-1], hits / (hits + alarms))
    return curves


def mean_roc(curves: dict[str, Curve]) -> pd.DataFrame:
    """Return the mean over classes as columns `fpr` and `tpr`: one line, however many classes."""
    lines = [np.interp(_GRID, fpr, tpr) for fpr, tpr in curves.values()]
    return pd.DataFrame({"fpr": _GRID, "tpr": np.mean(lines, axis=0)} if lines else _NO_ROC)


def mean_pr(curves: dict[str, Curve]) -> pd.DataFrame:
    """Return the mean over classes as columns `recall` and `precision`."""
    lines = [
        precision[np.searchsorted(recall, _GRID, side="left")]
        for recall, precision in curves.values()
    ]
    return pd.DataFrame({"recall": _GRID, "precision": np.mean(lines, axis=0)} if lines else _NO_PR)


def confusion_counts(actual_N: np.ndarray, predicted_N: np.ndarray, classes: int) -> np.ndarray:
    """Count items: row = actual class, column = predicted class, int64 [K, K]."""
    cells = np.bincount(actual_N * classes + predicted_N, minlength=classes * classes)
    return cells.reshape(classes, classes)


_NO_ROC: dict[str, list[float]] = {"fpr": [], "tpr": []}
_NO_PR: dict[str, list[float]] = {"recall": [], "precision": []}


def sweep(score_N: np.ndarray, is_positive_N: np.ndarray) -> Curve:
    """Count positives and negatives at or above each distinct score, from the highest down."""
    order = np.argsort(-score_N, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score_N[order])), len(order) - 1)
    positive_N = is_positive_N[order]
    return np.cumsum(positive_N)[ends], np.cumsum(~positive_N)[ends]


def _from_zero(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], values])
