"""What ships: all that prediction needs besides the tensors, and the one predictor.

`evaluate` and the registered model predict with the same `Predictor`. It needs `model.safetensors`
and `bundle.json`, and no params.yaml.

Axes: N = items asked for, B = items of a batch, K = outputs (classes, or 1).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from pipeline.compute.device import Precision, Runtime, start_runtime
from pipeline.ground.errors import IntegrityError
from pipeline.ground.files import read_json, sha256_json, write_json
from pipeline.ground.params import Task
from pipeline.modality.nets import net
from pipeline.modality.shelving import shelf
from pipeline.modality.table import read_modality, write_modality
from pipeline.modality.types.params import Pooling
from pipeline.model.head import Head
from pipeline.model.network import Network, batches_of_one_size
from pipeline.store.shards import Array
from pipeline.weights.tensors import load_tensors, save_tensors

Logits = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]

VERSION = 2
"""1 lacked `views`: items were predicted as they are."""

_REMEDY = "run `dvc checkout` or `dvc repro train`"
_TOGETHER = 8
"""Batches of rows that are sorted by their size."""


@dataclass(frozen=True)
class Bundle:
    """How items become predictions: `bundle.json`.

    Attributes:
        version: Of this format.
        modality: What items are.
        task: What is predicted.
        classes: In the order of the outputs; empty for regression.
        target: Column of the label file.
        target_mean: Regression: added after scaling; else 0.
        target_std: Regression: outputs are multiplied with it; else 1.
        architecture: A name that the modality's `Net` knows.
        pooling: Over the last features.
        decode: How bytes become rows: the spec of the modality's `Shelf`.
        normalization: How rows become inputs.
        temperature: Logits are divided by it.
        precision: Of the backbone.
        batch_size: Of every forward pass.
        threads: CPU threads of one operation.
        fingerprint: Where it was trained: equal fingerprint and batch size, equal bits.
        weights_sha256: Of the file that training started from; None for a random start.
        input_size: Shape of an input that the backbone's weights were trained with.
        dropout: Of the head, in training.
        views: Of an item, whose outputs are averaged, as codes of `Net.view`; (0,): as it is.
        privacy: What is promised of the units of train, and all that decides it; None: nothing.
    """

    version: int
    modality: str
    task: Task
    classes: tuple[str, ...]
    target: str
    target_mean: float
    target_std: float
    architecture: str
    pooling: Pooling
    decode: Any
    normalization: Any
    temperature: float
    precision: Precision
    batch_size: int
    threads: int
    fingerprint: dict[str, str | int]
    weights_sha256: str | None
    input_size: tuple[int, ...]
    dropout: float
    views: tuple[int, ...]
    privacy: dict[str, Any] | None = None

    @property
    def num_outputs(self) -> int:
        """K."""
        return len(self.classes) if self.task == "classification" else 1

    @property
    def sha256(self) -> str:
        """Digest of all that is in it, in hex, which its model holds."""
        return sha256_json(self._to_dict())

    def save(self, path: Path) -> None:
        """Write the bundle as JSON; equal bundles give equal bytes."""
        write_json(path, self._to_dict())

    @classmethod
    def load(cls, path: Path) -> "Bundle":
        """Read a bundle.

        Raises:
            DataError: The file is missing.
            IntegrityError: It is no bundle, or of another version.
        """
        content = read_json(path)
        try:
            bundle = cls._from_dict(content)
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(path, f"is no bundle: {error}", remedy=_REMEDY) from error
        return bundle

    def _to_dict(self) -> dict[str, Any]:
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        del plain["modality"]
        if self.privacy is None:
            del plain["privacy"]
        parts = {"decode": self.decode.to_dict(), "normalization": self.normalization.to_dict()}
        return {**plain, **parts, **write_modality(self.modality)}

    @classmethod
    def _from_dict(cls, content: Mapping[str, Any]) -> "Bundle":
        if content["version"] == 1:
            content = {**content, "version": VERSION, "views": [0]}
        if content["version"] != VERSION:
            raise ValueError(f"its version must be {VERSION}, got {content['version']!r}")
        modality = read_modality(content)
        own = net(modality)
        spec = shelf(modality).spec(content["decode"])
        if len(content["input_size"]) != len(shelf(modality).row(spec)[0]):
            raise ValueError("input_size must have as many axes as a row")
        if not content["views"] or not set(content["views"]) <= set(own.VIEWS):
            raise ValueError(f"views must be among {list(own.VIEWS)}")
        for field, known in (("task", Task), ("pooling", Pooling), ("precision", Precision)):
            if content[field] not in get_args(known):
                raise ValueError(f"{field} must be one of {get_args(known)}")
        if not (content["temperature"] > 0 and content["batch_size"] > 0):
            raise ValueError("temperature and batch_size must be greater than 0")
        return cls(
            **{
                **content,
                "modality": modality,
                "classes": tuple(content["classes"]),
                "decode": spec,
                "normalization": own.read_normalization(content["normalization"]),
                "input_size": tuple(map(int, content["input_size"])),
                "views": tuple(content["views"]),
            }
        )


def save_model(path: Path, network: Network, bundle: Bundle) -> None:
    """Write a network's tensors, with what a later `weights.source: model:` must know of them.

    The file holds the digest of its bundle, so the same tensors with another bundle (another
    temperature, other views) are other bytes: another model, and another version.
    """
    if network.is_folded:
        raise ValueError("a folded network cannot be saved")
    save_tensors(
        path,
        network.state_dict(),
        {
            "architecture": network.backbone.architecture,
            "pooling": network.pooling,
            "input_size": list(network.backbone.input_size),
            "bundle_sha256": bundle.sha256,
            **network.backbone.facts(network.normalization),
        },
    )


def load_network(model: Path, bundle: Bundle) -> Network:
    """Build a network and load its tensors; eval mode, on the CPU.

    Raises:
        DataError: The file is missing.
        IntegrityError: It is damaged, or belongs to another bundle.
    """
    tensors, meta = load_tensors(model)
    # models of before the digest have none
    if meta.get("bundle_sha256", bundle.sha256) != bundle.sha256:
        raise IntegrityError(
            model, "must belong to its bundle, but that is another", remedy=_REMEDY
        )
    backbone = net(bundle.modality).build(bundle.architecture)
    head = Head(
        backbone.pooled_dim(bundle.pooling),
        bundle.num_outputs,
        dropout=bundle.dropout,
        unit=bundle.privacy is not None,
    )
    network = Network(
        backbone, head, normalization=bundle.normalization, pooling=bundle.pooling
    ).eval()
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise IntegrityError(
            model, f"must belong to its bundle of {bundle.architecture}: {first}", remedy=_REMEDY
        ) from error
    return network


class Predictor:
    """Predicts, the same in `evaluate`, in the registered model and from the command line.

    An item's prediction depends on itself alone: every forward pass has the bundle's batch size,
    filled up with zeros, and nothing in it depends on an item's place (a test proves it for the
    default backbone). On an equal fingerprint it is equal to the bit.

    Args:
        network: Folded here, and moved to the device.
        bundle: How to feed and read it.
        runtime: Device and precision.
    """

    def __init__(self, network: Network, bundle: Bundle, *, runtime: Runtime) -> None:
        network.fold()
        self.network = network.to(runtime.device)
        self.net = net(bundle.modality)
        self.row_shape, self.row_type = shelf(bundle.modality).row(bundle.decode)
        self.bundle = bundle
        self.runtime = runtime

    @classmethod
    def load(cls, model: Path, bundle: Path, *, device: str = "cpu") -> "Predictor":
        """Load a predictor; sets torch's threads and deterministic mode in this process.

        Raises:
            DataError: A file is missing.
            IntegrityError: A file is damaged, or they do not belong together.
        """
        facts = Bundle.load(bundle)
        runtime = start_runtime(
            torch.device(device), precision=facts.precision, threads=facts.threads
        )
        return cls(load_network(model, facts), facts, runtime=runtime)

    def outputs(self, rows: Array, *, pad: bool = True) -> Logits:
        """Return the network's outputs, float32 [N, K]: logits, or standardized values.

        Args:
            rows: As the store has them, of the bundle's spec; any N.
            pad: Fill up the last batch; else it costs less, and its bits depend on its size.
        """
        if rows.dtype != self.row_type or rows.shape[1:] != self.row_shape:
            raise ValueError(
                f"rows must be {self.row_type} [N, {', '.join(map(str, self.row_shape))}], "
                f"got {rows.dtype} {list(rows.shape)}"
            )
        outputs = np.empty((len(rows), self.bundle.num_outputs), dtype=np.float32)
        batch = np.zeros((self.bundle.batch_size, *self.row_shape), dtype=self.row_type)
        for places in self._batches(rows):
            batch[: len(places)] = rows[places]
            batch[len(places) :] = 0
            found = self._forward(batch if pad else batch[: len(places)])
            outputs[places] = found[: len(places)]
        return outputs

    @property
    def chunk(self) -> int:
        """Return how many rows are best predicted together: several batches if sizes differ."""
        several = _TOGETHER if self.network.backbone.has_sizes else 1
        return several * self.bundle.batch_size

    def _batches(self, rows: Array) -> Iterator[npt.NDArray[np.int64]]:
        """Yield the places of rows, batch by batch, each of inputs of one size."""
        sizes = self.network.backbone.sizes(rows)
        order = np.argsort(sizes, kind="stable").astype(np.int64)
        return batches_of_one_size(order, sizes[order], self.bundle.batch_size)

    def notes(self, rows: Sequence[Array]) -> Sequence[Sequence[str]]:
        """Return for each row what a person should know of its answer: `<code>: <meaning>`."""
        return self.network.backbone.notes(np.stack(rows)) if rows else []

    def predict(self, rows: Array, *, pad: bool = True) -> Values:
        """Return probabilities, calibrated [N, K], or values in their unit, [N, 1]; float64."""
        return self.read_outputs(self.outputs(rows, pad=pad))

    def read_outputs(self, outputs_NK: Logits) -> Values:
        """Turn outputs into what `predict` gives, in float64, each row by itself."""
        outputs = torch.from_numpy(outputs_NK).double()
        if self.bundle.task == "regression":
            outputs = outputs * self.bundle.target_std + self.bundle.target_mean
        else:
            outputs = torch.softmax(outputs / self.bundle.temperature, dim=1)
        values: Values = outputs.numpy()
        return values

    def table(self, values_NK: Values) -> pd.DataFrame:
        """Name the columns of what `predict` gave; the first of equal classes wins."""
        if self.bundle.task == "regression":
            return pd.DataFrame({"value": values_NK[:, 0]})
        classes = np.array(self.bundle.classes, dtype=object)
        columns = {f"p_{name}": values_NK[:, at] for at, name in enumerate(classes)}
        return pd.DataFrame(
            {
                "label": classes[values_NK.argmax(axis=1)],
                "confidence": values_NK.max(axis=1),
                **columns,
            }
        )

    def _forward(self, batch: Array) -> Logits:
        with torch.inference_mode(), self.runtime.autocast():
            rows = torch.from_numpy(batch).to(self.runtime.device)
            view, codes = self.net.view, self.bundle.views
            total = sum(
                (self.network(view(rows, code)) for code in codes[1:]),
                self.network(view(rows, codes[0])),
            )
            outputs: Logits = (total / len(codes)).cpu().numpy()
        return outputs
