"""The test split, once, through exactly what ships: numbers and predictions.

Axes: N items of the test split, K classes.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.compute.engine import MachineParams, progress
from pipeline.ground.errors import DataError
from pipeline.judge.beside import judge_beside
from pipeline.judge.gains import beside
from pipeline.judge.metrics import main
from pipeline.judge.paired import Items
from pipeline.judge.params import EvaluateParams
from pipeline.judge.resampling import Bootstrap
from pipeline.judge.tasks import JUDGES, judge_ignorant, judge_items
from pipeline.manifest.manifest import group_numbers
from pipeline.modality.types.protocols import Known
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
    task, classes, bins = JUDGES[bundle.task], bundle.classes, params.ece_bins
    train = store.rows("train")
    targets, known = (
        task.truths(_known(labels, bundle, store.folder), classes)
        for labels in (index["label"], store.index["label"].iloc[train])
    )
    bootstrap = Bootstrap(params.bootstrap, params.seed, group_numbers(index))
    found = {
        **judge_items(bundle.task, served, targets, classes, bootstrap=bootstrap, ece_bins=bins),
        **task.uncalibrated(raw, targets, bins),
        "baseline": judge_ignorant(bundle.task, known, targets, classes, ece_bins=bins),
    }
    items = Items(targets, bootstrap.groups_N, tuple(classes), bins)
    if plain := judge_beside(store, Known(train, known), items, served, bootstrap):
        found["beside"] = plain
    return Evaluation(bundle, index, served, targets, found, task.table(index, served, classes))


def summary(found: dict[str, Any]) -> str:
    """Return one line: the main number, its interval, its baseline, and the plain model's."""
    name = main(found)
    interval = found["ci95"].get(name)
    spread = f" (95 %: {interval['low']:.4f} to {interval['high']:.4f})" if interval else ""
    parts = (
        f"test, {found['n']} items: {name} {found[name]:.4f}{spread}",
        f"baseline {found['baseline'][name]:.4f}",
        beside(found, name),
    )
    return ", ".join(filter(None, parts))


def _raw_outputs(
    predictor: Predictor, store: Store, rows: np.ndarray, machine: MachineParams
) -> np.ndarray:
    chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
    watched = progress(chunks, machine, total=len(chunks), title="evaluate", unit="batches")
    return np.concatenate([predictor.outputs(store.read(chunk)) for chunk in watched])


def _known(labels: pd.Series, bundle: Bundle, where: Path) -> pd.Series:
    unknown = labels[~labels.isin(bundle.classes)] if bundle.classes else labels[:0]
    if len(unknown):
        raise DataError(
            where,
            f"{len(unknown)} items have a label that the model was not trained for",
            got=unknown.iloc[0],
            remedy="run `dvc repro`",
        )
    return labels
