"""The items that candidates are tried on, and their features under each candidate.

Axes: N = items of the sample, D = features, B = items of a batch.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from pipeline.compute.device import Runtime
from pipeline.compute.engine import MachineParams
from pipeline.ground.seeds import pick
from pipeline.modality.nets import net
from pipeline.modality.scaling import scaling
from pipeline.modality.types.protocols import Weights
from pipeline.model.network import Trunk
from pipeline.model.params import FeaturesParams
from pipeline.store.shards import Array, Rows
from pipeline.store.writer import encode_rows
from pipeline.weights.weights import load_backbone

ITEMS = 512
"""In the sample, at most."""

_SEED = 1


def draw(kept: pd.DataFrame) -> pd.DataFrame:
    """Return the items of train that are tried on: those whose ids have the lowest hashes.

    So more data changes few items of the sample.
    """
    train = kept[kept["split"] == "train"]
    return train.iloc[pick(list(train["id"]), ITEMS, _SEED, "recipe")]


@dataclass(frozen=True)
class Bench:
    """Computes features of the sample.

    Attributes:
        rows: The sample, as lines of the manifest.
        modality: Of its items.
        raw: The folder with the raw files.
        backbone: The backbone's tensors.
        record: Its record.
        features: Pooling and batch size.
        runtime: Device and precision.
        machine: Workers.
    """

    rows: pd.DataFrame
    modality: str
    raw: Path
    backbone: Path
    record: Path
    features: FeaturesParams
    runtime: Runtime
    machine: MachineParams

    def show(self, specs: Sequence[Any], normalize: Any) -> list["Shown"]:
        """Encode the sample in several ways; each item is read once.

        Args:
            specs: How items become rows.
            normalize: The section, checked.

        Raises:
            IntegrityError: A raw item is not the one that `clean` saw.
        """
        made = encode_rows(self.rows, self.modality, specs, raw=self.raw, machine=self.machine)
        return [
            Shown(self, values, spec, normalize, {})
            for values, spec in zip(made, specs, strict=True)
        ]


@dataclass(frozen=True)
class _Train:
    """Rows in memory, as a Scaling reads those of a store; all are of train."""

    folder: Path
    values: Array

    def rows(self, split: str) -> Rows:
        """Return the numbers of all rows for `train`, and none for others."""
        return np.arange(len(self.values) if split == "train" else 0)

    def read(self, rows: Rows) -> Array:
        """Return some rows."""
        return self.values[rows]


@dataclass(frozen=True)
class Shown:
    """The sample, encoded in one way.

    Attributes:
        bench: Whose sample it is.
        values: [N, ...], as a store holds them.
        spec: How.
        normalize: The section, checked.
        found: Features [N, D] by the code of a view, as far as they were asked for.
    """

    bench: Bench
    values: Array
    spec: Any
    normalize: Any
    found: dict[int, npt.NDArray[np.float32]]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the rows: equal ones are equal."""
        return hashlib.sha256(np.ascontiguousarray(self.values).data).hexdigest()

    @cached_property
    def trunk(self) -> Trunk:
        """Gives their features; rows that equal others are never asked for any."""
        bench, modality = self.bench, self.bench.modality
        rows = _Train(bench.raw, self.values)
        weights = Weights(bench.backbone, bench.record)
        found = scaling(modality).fit(rows, self.normalize, weights=weights, plots=None)
        built, _ = load_backbone(bench.backbone, bench.record, modality)
        built.check(self.spec)
        normalization = net(modality).read_normalization(found)
        trunk = Trunk(built, normalization=normalization, pooling=bench.features.pooling)
        trunk.fold()
        return trunk.to(bench.runtime.device)

    def of_view(self, code: int) -> npt.NDArray[np.float32]:
        """Return the features of a view, [N, D]; 0 is the items as they are."""
        if code not in self.found:
            self.found[code] = self._compute(code)
        return self.found[code]

    def _compute(self, code: int) -> npt.NDArray[np.float32]:
        size, runtime = self.bench.features.batch_size, self.bench.runtime
        view = net(self.bench.modality).view
        parts = []
        for first in range(0, len(self.values), size):
            part = self.values[first : first + size]
            batch = np.zeros((size, *part.shape[1:]), dtype=part.dtype)
            batch[: len(part)] = part
            with torch.inference_mode(), runtime.autocast():
                rows = view(torch.from_numpy(batch).to(runtime.device), code)
                pooled = self.trunk.pooled(rows).float().cpu().numpy()
            parts.append(pooled[: len(part)])
        return np.concatenate(parts)
