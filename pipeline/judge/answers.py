"""What a model answered on the test split, beside what is known of its items.

Axes: N = items of the test split, K = classes.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from pipeline.ground.errors import IntegrityError
from pipeline.ground.tables import read_table
from pipeline.ground.tasks import number_columns
from pipeline.manifest.manifest import group_numbers
from pipeline.model.bundle import Bundle, Predictor
from pipeline.store.store import Store

_REMEDY = "run `dvc repro`"


@dataclass(frozen=True)
class Answers:
    """The test split as it was judged by `evaluate`."""

    bundle: Bundle
    table: pd.DataFrame
    """As predictions.parquet holds it."""

    index: pd.DataFrame
    """The same items as the store knows them, with their `meta.` columns; numbered from 0."""

    rows_N: npt.NDArray[np.int64]
    """Their rows in the store."""

    served: npt.NDArray[np.float64]
    """Probabilities [N, K] as served, or values [N, 1]."""

    targets_N: np.ndarray
    """Class numbers, or values."""

    groups_N: npt.NDArray[np.int64]
    """What the bootstrap draws whole."""

    @property
    def is_classes(self) -> bool:
        """Return whether answers are classes."""
        return self.bundle.task == "classification"

    @property
    def outputs(self) -> npt.NDArray[np.int64]:
        """The number of the output that each answer is read from."""
        return np.asarray(self.served.argmax(axis=1))

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Which classes are right."""
        return np.asarray(self.outputs == self.targets_N)

    @property
    def confidence(self) -> npt.NDArray[np.float64]:
        """The largest probability of each item."""
        return np.asarray(self.served.max(axis=1))

    def __len__(self) -> int:
        return len(self.table)


@dataclass(frozen=True)
class Subject:
    """What is explained: a model as it serves, and what it answered on the test split."""

    answers: Answers
    store: Store
    predictor: Predictor
    model: Path
    """The file that the predictor was loaded from."""


def open_subject(
    store: Path, model: Path, *, bundle: Path, predictions: Path, device: torch.device
) -> Subject:
    """Open what earlier stages wrote, and check that it belongs together.

    Raises:
        DataError: A file is missing.
        IntegrityError: A file is damaged, or they do not belong together.
    """
    rows = Store.open(store)
    predictor = Predictor.load(model, bundle, device=str(device))
    answers = read_answers(predictions, rows, predictor.bundle)
    return Subject(answers, rows, predictor, model)


def read_answers(predictions: Path, store: Store, bundle: Bundle) -> Answers:
    """Read predictions and put the store's rows beside them.

    Raises:
        DataError: predictions.parquet is missing.
        IntegrityError: It belongs to another data set or another model.
    """
    table = read_table(predictions)
    rows = store.rows("test")
    index = store.index.iloc[rows].reset_index(drop=True)
    if list(table["id"]) != list(index["id"]):
        raise IntegrityError(
            predictions, "must hold the items of the store's test split", remedy=_REMEDY
        )
    names = number_columns(bundle.classes)
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise IntegrityError(
            predictions, f"lacks the column {missing[0]!r} of this model's answers", remedy=_REMEDY
        )
    labels = table["label"]
    places = {name: number for number, name in enumerate(bundle.classes)}
    targets = labels.map(places) if places else labels
    return Answers(
        bundle,
        table,
        index,
        rows,
        table[names].to_numpy(dtype=np.float64),
        targets.to_numpy(dtype=np.int64 if places else np.float64),
        group_numbers(index),
    )
