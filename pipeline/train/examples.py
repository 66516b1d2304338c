"""From the store's labels and rows, or cached features, to what the loop trains on.

Axes: N items of a split, B items of a batch, K outputs, D features.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline.ground.errors import DataError
from pipeline.ground.params import Task
from pipeline.ground.seeds import derive
from pipeline.judge.metrics import monitored
from pipeline.judge.temperature import probabilities
from pipeline.manifest.manifest import class_names
from pipeline.modality.nets import net
from pipeline.modality.types.params import AugmentSection
from pipeline.model.activations import Activations
from pipeline.store.shards import Shards
from pipeline.store.store import Store
from pipeline.train.loop import Examples

_CONSTANT_STD = 1e-12
_RESIDENT_SHARE = 0.5
_RESIDENT_CHUNK = 1024


@dataclass(frozen=True)
class Targets:
    """What the model's outputs stand for."""

    task: Task
    classes: tuple[str, ...]
    """In the order of the outputs; none for regression."""

    mean: float
    std: float
    """Of train; regression learns (value - mean) / std. Classification: 0 and 1."""

    @property
    def outputs(self) -> int:
        """K: one for each class; one for a value."""
        return len(self.classes) or 1

    def encode(self, labels: pd.Series) -> Tensor:
        """Return class numbers (int64), or standardized values (float32)."""
        if self.task == "regression":
            values = labels.astype(np.float64).to_numpy()
            return torch.from_numpy((values - self.mean) / self.std).float()
        places = {name: number for number, name in enumerate(self.classes)}
        return torch.from_numpy(labels.map(places).to_numpy(dtype=np.int64, copy=True))

    def serve(self, outputs_NK: np.ndarray, temperature: float) -> np.ndarray:
        """Return probabilities [N, K], or values [N, 1] in the target's own unit: float64."""
        if self.task == "regression":
            return outputs_NK.astype(np.float64) * self.std + self.mean
        return probabilities(outputs_NK, temperature)

    def score(self, outputs_NK: Tensor, targets_N: Tensor) -> Mapping[str, float]:
        """Return the metrics of validation; those of regression in the target's own units."""
        truth_N = targets_N.numpy()
        if not self.classes:
            truth_N = truth_N.astype(np.float64) * self.std + self.mean
        return monitored(self.task, self.serve(outputs_NK.numpy(), 1.0), truth_N)


def find_targets(task: Task, store: Store, train_rows: np.ndarray) -> Targets:
    """Find the classes, from the labels of all splits, or the scale of the values, from train's.

    Args:
        task: What the labels are.
        store: All items.
        train_rows: Rows of the store that are trained on.

    Raises:
        DataError: There is a single class, or train's values are all equal or are no numbers.
    """
    index, where = store.index, store.folder
    if task == "classification":
        classes = class_names(index["label"])
        if len(classes) < 2:
            raise DataError(where, "must hold two classes or more", field="label", got=classes)
        return Targets(task, classes, 0.0, 1.0)
    try:
        values = index["label"].iloc[train_rows].astype(np.float64)
    except ValueError as error:
        raise DataError(
            where,
            f"must be numbers for `task: regression` ({error})",
            field="label",
            remedy="set data.target to a column of numbers, or task: classification",
        ) from error
    mean, std = float(values.mean()), float(values.std(ddof=0))
    if not std > _CONSTANT_STD * max(abs(mean), 1e-300):
        raise DataError(where, "must differ within the train split", field="label", got=mean)
    return Targets(task, (), mean, std)


@dataclass(frozen=True)
class Split:
    """The rows of one split in the store, and what they are to give."""

    rows_N: np.ndarray
    """int64, in the order of the loop's positions."""

    targets_N: Tensor
    weights_N: Tensor
    """float32."""

    def of_features(self, pooled: Shards) -> Examples:
        """Return examples of cached features, float32 [all rows of the store, D]."""
        device = self.targets_N.device

        def read(positions: np.ndarray, epoch: int) -> Tensor:
            return torch.from_numpy(pooled.read(self.rows_N[positions])).to(device)

        return Examples(self.targets_N, self.weights_N, read)

    def of_activations(self, activations: Activations, ids: np.ndarray, *, seed: int) -> Examples:
        """Return examples of activations, float32 [B, ...]; those of training vary with the epoch.

        An item takes one view after the other, from a place that follows from the seed and its id,
        so it meets all of them. Outside training it is the item as it is.
        """
        device = self.targets_N.device
        first = np.array(
            [derive(seed, "view", ids[row]) % activations.views for row in self.rows_N],
            dtype=np.int64,
        )

        def read(positions: np.ndarray, epoch: int) -> Tensor:
            views = (first[positions] + epoch - 1) % activations.views if epoch else 0
            rows = self.rows_N[positions]
            values = activations.read(rows, np.broadcast_to(views, rows.shape))
            return torch.from_numpy(values).to(device).float()

        return Examples(self.targets_N, self.weights_N, read)

    def of_rows(self, store: Store, augment: AugmentSection, *, seed: int) -> Examples:
        """Return examples of the store's rows; those of training vary with the epoch.

        How an item varies follows from the seed, the epoch and the item's own id.
        """
        device = self.targets_N.device
        ids = store.index["id"].to_numpy()
        resident = _resident(store, self.rows_N, device)
        vary = net(store.modality).augment

        def read(positions: np.ndarray, epoch: int) -> Tensor:
            rows = self.rows_N[positions]
            if resident is None:
                inputs = torch.from_numpy(store.read(rows)).to(device)
            else:
                inputs = resident[torch.from_numpy(positions).to(device)]
            if epoch == 0:
                return inputs
            return vary(inputs, augment, [derive(seed, "augment", epoch, ids[row]) for row in rows])

        return Examples(self.targets_N, self.weights_N, read)


def _resident(store: Store, rows: np.ndarray, device: torch.device) -> Tensor | None:
    """Return some rows on a GPU, where they take at most half of what is free."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    if len(rows) * store.values.layout.row_bytes > free * _RESIDENT_SHARE:
        return None
    parts = np.array_split(rows, max(1, len(rows) // _RESIDENT_CHUNK))
    return torch.cat([torch.from_numpy(store.read(part)).to(device) for part in parts])


def find_split(
    store: Store,
    targets: Targets,
    name: str,
    rows: np.ndarray,
    *,
    sample_weights: bool,
    device: torch.device,
) -> Split:
    """Find the targets and weights of some rows, which are the split of this name.

    Raises:
        DataError: The split is empty, or all its weights are 0.
    """
    if not len(rows):
        raise DataError(store.folder, f"the {name} split is empty", remedy=f"raise split.{name}")
    index = store.index.iloc[rows]
    weights = torch.ones(len(rows))
    if sample_weights:
        weights = torch.from_numpy(index["weight"].to_numpy(dtype=np.float32, copy=True))
    if not bool(weights.any()):
        raise DataError(
            store.folder,
            f"the weights of the {name} split must not all be 0",
            remedy="set loss.sample_weights: false",
        )
    return Split(rows, targets.encode(index["label"]).to(device), weights.to(device))
