"""The test split, once, through exactly what ships: numbers and predictions.

Axes: N items of the test split, K classes.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.compute.engine import MachineParams, progress
from pipeline.ground.errors import DataError
from pipeline.judge import metrics
from pipeline.judge.metrics import Bootstrap, Scores
from pipeline.judge.params import EvaluateParams
from pipeline.judge.temperature import probabilities
from pipeline.model.bundle import Bundle, Predictor
from pipeline.store.store import Store

log = logging.getLogger(__name__)

_CHUNK = 256


@dataclass(frozen=True)
class Evaluation:
    """What was found on the test split."""

    bundle: Bundle
    index: pd.DataFrame
    """The store's rows of the test split, in order."""

    outputs: np.ndarray
    """float64: probabilities [N, K] as served, or values [N, 1]."""

    targets_N: np.ndarray
    """Class numbers, or values."""

    metrics: dict[str, Any]
    """What `metrics.json` holds."""

    predictions: pd.DataFrame
    """What `predictions.parquet` holds."""


def judge(
    store: Store, predictor: Predictor, params: EvaluateParams, machine: MachineParams
) -> Evaluation:
    """Judge a model on the test split.

    Raises:
        DataError: The test split is empty, or has a label that the model does not know.
    """
    bundle = predictor.bundle
    rows = store.rows("test")
    if not len(rows):
        raise DataError(store.folder, "the test split is empty", remedy="raise split.test")
    index = store.index.iloc[rows].reset_index(drop=True)
    raw = _raw_outputs(predictor, store, rows, machine)
    served = predictor.read_outputs(raw)
    bootstrap = Bootstrap(params.bootstrap, params.seed, group_numbers(index))
    train_labels = store.index["label"][store.index["split"] == "train"]
    if bundle.task == "regression":
        targets = index["label"].astype(np.float64).to_numpy()
        mean = float(train_labels.astype(float).mean())
        found = value_metrics(served[:, 0], targets, mean, bootstrap)
        return Evaluation(bundle, index, served, targets, found, value_table(index, served[:, 0]))
    labels = _numbers(index["label"], bundle, store.folder)
    found = class_metrics(served, labels, bundle.classes, bootstrap, params.ece_bins)
    found["ece_uncalibrated"] = metrics.calibration_error(
        probabilities(raw, 1.0), labels, params.ece_bins
    )
    found["baseline"] = _class_baseline(train_labels, labels, bundle, params.ece_bins)
    return Evaluation(
        bundle, index, served, labels, found, class_table(index, served, bundle.classes)
    )


def summary(found: dict[str, Any]) -> str:
    """Return one line: the main number, its interval, and its baseline."""
    name = "accuracy" if "accuracy" in found else "mae"
    interval = found["ci95"].get(name)
    spread = f" (95 %: {interval['low']:.4f} to {interval['high']:.4f})" if interval else ""
    return (
        f"test, {found['n']} items: {name} {found[name]:.4f}{spread}, "
        f"baseline {found['baseline'][name]:.4f}"
    )


def _raw_outputs(
    predictor: Predictor, store: Store, rows: np.ndarray, machine: MachineParams
) -> np.ndarray:
    chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
    watched = progress(chunks, machine, total=len(chunks), title="evaluate", unit="batches")
    return np.concatenate([predictor.outputs_images(store.read(chunk)) for chunk in watched])


def group_numbers(index: pd.DataFrame) -> np.ndarray:
    """Number the groups; an item without one is its own."""
    alone = "item\0" + index["path"]
    names = index["group"].where(index["group"].notna(), alone)
    return pd.factorize(names)[0].astype(np.int64)


def _numbers(labels: pd.Series, bundle: Bundle, where: Path) -> np.ndarray:
    places = {name: number for number, name in enumerate(bundle.classes)}
    unknown = labels[~labels.isin(list(bundle.classes))]
    if len(unknown):
        raise DataError(
            where,
            f"{len(unknown)} items of test have a label that the model was not trained for",
            got=unknown.iloc[0],
            remedy="run `dvc repro`",
        )
    return labels.map(places).to_numpy(dtype=np.int64)


def class_metrics(
    served: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    bootstrap: Bootstrap,
    ece_bins: int,
) -> dict[str, Any]:
    """Judge probabilities [N, K] against class numbers: metrics, intervals, each class."""
    scores = partial(metrics.class_scores, served, labels, ece_bins=ece_bins)
    return {
        **metrics.point(scores, len(labels)),
        "n": len(labels),
        "per_class": metrics.per_class_scores(served, labels, tuple(classes)),
        "ci95": metrics.intervals(scores, bootstrap),
    }


def _class_baseline(
    train_labels: pd.Series, labels: np.ndarray, bundle: Bundle, ece_bins: int
) -> dict[str, float]:
    """Judge a model that knows only the class shares of train: it always says the commonest."""
    counts = train_labels.value_counts()
    shares = np.array([counts.get(name, 0) for name in bundle.classes]) / len(train_labels)
    same = np.tile(shares, (len(labels), 1))
    return metrics.point(
        partial(metrics.class_scores, same, labels, ece_bins=ece_bins), len(labels)
    )


def value_metrics(
    values: np.ndarray, targets: np.ndarray, mean: float, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Judge values [N]: metrics, intervals, and those of always saying `mean`."""

    def scores(weights_RN: np.ndarray) -> Scores:
        return metrics.value_scores(values, targets, weights_RN)

    same = np.full(len(targets), mean)
    baseline = partial(metrics.value_scores, same, targets)
    return {
        **metrics.point(scores, len(targets)),
        "n": len(targets),
        "baseline": metrics.point(baseline, len(targets)),
        "ci95": metrics.intervals(scores, bootstrap),
    }


def class_table(index: pd.DataFrame, served: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Return a row for each item: what it is, what it is taken for, every probability."""
    best = served.argmax(axis=1)
    table = index[["path", "id", "split", "label"]].copy()
    table["predicted"] = [classes[number] for number in best]
    table["confidence"] = served.max(axis=1)
    chances = pd.DataFrame(served, columns=[f"p_{name}" for name in classes])
    return pd.concat([table, chances], axis=1)


def value_table(index: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
    """Return a row for each item: its value, and the one predicted."""
    table = index[["path", "id", "split"]].copy()
    table["label"] = index["label"].astype(np.float64)
    table["value"] = values
    return table
