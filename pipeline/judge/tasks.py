"""How answers are judged for each task: read the truth, compare, name the columns.

Axes: N items, K classes (or 1 value).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pipeline.ground.params import Task
from pipeline.ground.tasks import number_columns
from pipeline.judge import metrics
from pipeline.judge.calibration import calibration_error
from pipeline.judge.resampling import Bootstrap, Scores, intervals, point
from pipeline.judge.temperature import probabilities


@dataclass(frozen=True)
class Judge:
    """What differs between the tasks."""

    truths: Callable[[pd.Series, Sequence[str]], np.ndarray]
    """Labels to class numbers (int64; all are known), or to values (float64)."""

    ignorant: Callable[[np.ndarray, int], np.ndarray]
    """The truths of train, and K, to the answer [K] that knows nothing else."""

    uncalibrated: Callable[[np.ndarray, np.ndarray, int], dict[str, float]]
    """Outputs before the temperature, truths and `ece_bins` to metrics."""

    parts: Callable[[np.ndarray, np.ndarray, Sequence[str]], dict[str, Any]]
    """Answers, truths and classes to what `metrics.json` holds of parts of the items."""

    table: Callable[[pd.DataFrame, np.ndarray, Sequence[str]], pd.DataFrame]
    """The store's rows, answers and classes to a row for each item: what it is, what it is taken
    for."""


def judge_items(
    task: Task,
    served_NK: np.ndarray,
    targets_N: np.ndarray,
    classes: Sequence[str],
    *,
    bootstrap: Bootstrap,
    ece_bins: int,
) -> dict[str, Any]:
    """Judge answers: metrics, intervals, each class."""
    scores = _scores(task, served_NK, targets_N, ece_bins)
    return {
        **point(scores, len(targets_N)),
        "n": len(targets_N),
        **JUDGES[task].parts(served_NK, targets_N, classes),
        "ci95": intervals(scores, bootstrap),
    }


def judge_points(
    task: Task, served_NK: np.ndarray, targets_N: np.ndarray, *, ece_bins: int
) -> dict[str, float]:
    """Judge answers by metrics alone."""
    return point(_scores(task, served_NK, targets_N, ece_bins), len(targets_N))


def judge_ignorant(
    task: Task, known_N: np.ndarray, targets_N: np.ndarray, classes: Sequence[str], *, ece_bins: int
) -> dict[str, float]:
    """Judge a model that knows only the class shares, or the mean, of the truths of train."""
    same_K = JUDGES[task].ignorant(known_N, len(classes))
    return judge_points(task, np.tile(same_K, (len(targets_N), 1)), targets_N, ece_bins=ece_bins)


def _scores(
    task: Task, served_NK: np.ndarray, targets_N: np.ndarray, ece_bins: int
) -> Callable[[np.ndarray], Scores]:
    return partial(metrics.scores, task, served_NK, targets_N, ece_bins=ece_bins)


def _class_numbers(labels: pd.Series, classes: Sequence[str]) -> np.ndarray:
    places = {name: number for number, name in enumerate(classes)}
    return labels.map(places).to_numpy(dtype=np.int64)


def _class_shares(known_N: np.ndarray, classes: int) -> np.ndarray:
    return np.bincount(known_N, minlength=classes) / len(known_N)


def _ece_uncalibrated(
    outputs_NK: np.ndarray, labels_N: np.ndarray, ece_bins: int
) -> dict[str, float]:
    error = calibration_error(probabilities(outputs_NK, 1.0), labels_N, ece_bins)
    return {"ece_uncalibrated": error}


def _per_class(
    served_NK: np.ndarray, labels_N: np.ndarray, classes: Sequence[str]
) -> dict[str, Any]:
    return {"per_class": metrics.per_class_scores(served_NK, labels_N, classes)}


def _class_table(
    index: pd.DataFrame, served_NK: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    table = index[["path", "id", "split", "label"]].copy()
    table["predicted"] = [classes[number] for number in served_NK.argmax(axis=1)]
    table["confidence"] = served_NK.max(axis=1)
    return pd.concat([table, pd.DataFrame(served_NK, columns=number_columns(classes))], axis=1)


def _value_table(
    index: pd.DataFrame, served_NK: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    table = index[["path", "id", "split"]].copy()
    table["label"] = index["label"].astype(np.float64)
    table["value"] = served_NK[:, 0]
    return table


JUDGES: Mapping[Task, Judge] = {
    "classification": Judge(
        truths=_class_numbers,
        ignorant=_class_shares,
        uncalibrated=_ece_uncalibrated,
        parts=_per_class,
        table=_class_table,
    ),
    "regression": Judge(
        truths=lambda labels, classes: labels.astype(np.float64).to_numpy(),
        ignorant=lambda known_N, classes: known_N.mean(keepdims=True),
        uncalibrated=lambda outputs_NK, targets_N, ece_bins: {},
        parts=lambda served_NK, targets_N, classes: {},
        table=_value_table,
    ),
}
