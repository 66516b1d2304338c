"""What ships: all that prediction needs besides the tensors, and the one predictor.

`evaluate` and the registered model predict with the same `Predictor`, on the same decoder. It needs
`model.safetensors` and `bundle.json`, and no params.yaml.

Axes: N = pictures asked for, B = pictures of a batch, K = outputs (classes, or 1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from pipeline.compute.device import Precision, Runtime, start_runtime
from pipeline.ground.errors import DataError, IntegrityError, ParamsError
from pipeline.ground.files import read_json, write_json
from pipeline.ground.params import Task
from pipeline.model.head import Head
from pipeline.model.network import Network
from pipeline.picture.net.augment import orient, orientations
from pipeline.picture.net.backbones import build_backbone
from pipeline.picture.net.params import AugmentParams, Pooling
from pipeline.picture.read.decode import DecodeSpec, UndecodableImage, decode
from pipeline.picture.shelf.normalization import Normalization
from pipeline.weights.tensors import load_tensors, save_tensors

Pixels = npt.NDArray[np.uint8]
Logits = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]

VERSION = 2
"""1 lacked `views`: pictures were predicted as they are."""

_REMEDY = "run `dvc checkout` or `dvc repro train`"


@dataclass(frozen=True)
class Bundle:
    """How pictures become predictions: `bundle.json`.

    Attributes:
        version: Of this format.
        task: What is predicted.
        classes: In the order of the outputs; empty for regression.
        target: Column of the label file.
        target_mean: Regression: added after scaling; else 0.
        target_std: Regression: outputs are multiplied with it; else 1.
        architecture: A timm name.
        pooling: Over the last feature map.
        decode: How files become tensors.
        normalization: How bytes become numbers.
        temperature: Logits are divided by it.
        precision: Of the backbone.
        batch_size: Of every forward pass.
        threads: CPU threads of one operation.
        fingerprint: Where it was trained: equal fingerprint and batch size, equal bits.
        weights_sha256: Of the file that training started from; None for a random start.
        input_size: Channels, height, width that the backbone's weights were trained with.
        dropout: Of the head, in training.
        views: Orientations of a picture whose outputs are averaged, as codes of `augment.orient`;
            (0,): the picture as it is.
    """

    version: int
    task: Task
    classes: tuple[str, ...]
    target: str
    target_mean: float
    target_std: float
    architecture: str
    pooling: Pooling
    decode: DecodeSpec
    normalization: Normalization
    temperature: float
    precision: Precision
    batch_size: int
    threads: int
    fingerprint: dict[str, str | int]
    weights_sha256: str | None
    input_size: tuple[int, int, int]
    dropout: float
    views: tuple[int, ...]

    @property
    def num_outputs(self) -> int:
        """K."""
        return len(self.classes) if self.task == "classification" else 1

    def save(self, path: Path) -> None:
        """Write the bundle as JSON; equal bundles give equal bytes."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        parts = {"decode": self.decode.to_dict(), "normalization": self.normalization.to_dict()}
        write_json(path, {**plain, **parts})

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

    @classmethod
    def _from_dict(cls, content: Mapping[str, Any]) -> "Bundle":
        if content["version"] == 1:
            content = {**content, "version": VERSION, "views": [0]}
        if content["version"] != VERSION:
            raise ValueError(f"its version must be {VERSION}, got {content['version']!r}")
        if not content["views"] or not set(content["views"]) <= set(range(8)):
            raise ValueError("views must be orientations 0..7")
        for field, known in (("task", Task), ("pooling", Pooling), ("precision", Precision)):
            if content[field] not in get_args(known):
                raise ValueError(f"{field} must be one of {get_args(known)}")
        if not (content["temperature"] > 0 and content["batch_size"] > 0):
            raise ValueError("temperature and batch_size must be greater than 0")
        channels, height, width = content["input_size"]
        return cls(
            **{
                **content,
                "classes": tuple(content["classes"]),
                "decode": DecodeSpec.from_dict(content["decode"]),
                "normalization": Normalization.from_dict(content["normalization"]),
                "input_size": (channels, height, width),
                "views": tuple(content["views"]),
            }
        )


def prediction_views(augment: AugmentParams, count: int) -> tuple[int, ...]:
    """Return the orientations that a prediction is averaged over, the picture as it is first.

    Raises:
        ParamsError: Training pictures have fewer orientations.
    """
    allowed = orientations(augment)
    if count > len(allowed):
        raise ParamsError(
            "params.yaml",
            f"must be at most {len(allowed)}, the orientations that augment allows",
            field="train.test_views",
            got=count,
            remedy="lower it, or raise augment.hflip, vflip or transpose above 0",
        )
    return allowed[:count]


def save_model(path: Path, network: Network) -> None:
    """Write a network's tensors, with what a later `weights.source: model:` must know of them."""
    if network.is_folded:
        raise ValueError("a folded network cannot be saved")
    save_tensors(
        path,
        network.state_dict(),
        {
            "architecture": network.backbone.architecture,
            "pooling": network.pooling,
            "input_size": list(network.backbone.input_size),
            "mean": list(network.normalization.mean),
            "std": list(network.normalization.std),
        },
    )


def load_network(model: Path, bundle: Bundle) -> Network:
    """Build a network and load its tensors; eval mode, on the CPU.

    Raises:
        DataError: The file is missing.
        IntegrityError: It is damaged, or belongs to another bundle.
    """
    tensors, _ = load_tensors(model)
    backbone = build_backbone(bundle.architecture)
    head = Head(backbone.pooled_dim(bundle.pooling), bundle.num_outputs, dropout=bundle.dropout)
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

    A picture's prediction depends on itself alone: every forward pass has the bundle's batch size,
    filled up with zeros, and nothing in it depends on a picture's place (a test proves it for the
    default backbone). On an equal fingerprint it is equal to the bit.

    Args:
        network: Folded here, and moved to the device.
        bundle: How to feed and read it.
        runtime: Device and precision.
    """

    def __init__(self, network: Network, bundle: Bundle, *, runtime: Runtime) -> None:
        network.fold()
        self.network = network.to(runtime.device)
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

    def outputs_images(self, images_NCHW: Pixels, *, pad: bool = True) -> Logits:
        """Return the network's outputs, float32 [N, K]: logits, or standardized values.

        Args:
            images_NCHW: uint8, of the bundle's size; any N.
            pad: Fill up the last batch; else it costs less, and its bits depend on its size.
        """
        size = self.bundle.decode.size_px
        if images_NCHW.dtype != np.uint8 or images_NCHW.shape[1:] != (3, size, size):
            raise ValueError(
                f"pictures must be uint8 [N, 3, {size}, {size}], "
                f"got {images_NCHW.dtype} {list(images_NCHW.shape)}"
            )
        outputs = np.empty((len(images_NCHW), self.bundle.num_outputs), dtype=np.float32)
        batch = np.zeros((self.bundle.batch_size, *images_NCHW.shape[1:]), dtype=np.uint8)
        for start in range(0, len(images_NCHW), len(batch)):
            part = images_NCHW[start : start + len(batch)]
            batch[: len(part)] = part
            batch[len(part) :] = 0
            outputs[start : start + len(part)] = self._forward(
                batch if pad else batch[: len(part)]
            )[: len(part)]
        return outputs

    def predict_images(self, images_NCHW: Pixels, *, pad: bool = True) -> Values:
        """Return probabilities, calibrated [N, K], or values in their unit, [N, 1]; float64."""
        return self.read_outputs(self.outputs_images(images_NCHW, pad=pad))

    def read_outputs(self, outputs_NK: Logits) -> Values:
        """Turn outputs into what `predict_images` gives, in float64, each row by itself."""
        outputs = torch.from_numpy(outputs_NK).double()
        if self.bundle.task == "regression":
            outputs = outputs * self.bundle.target_std + self.bundle.target_mean
        else:
            outputs = torch.softmax(outputs / self.bundle.temperature, dim=1)
        values: Values = outputs.numpy()
        return values

    def predict_bytes(self, files: Sequence[bytes]) -> pd.DataFrame:
        """Predict encoded pictures.

        Returns:
            One row for each file; classification: `label`, `confidence` and for each class
            `p_<class>`; regression: `value`.

        Raises:
            DataError: A file is not a usable picture; none is skipped.
        """
        spec = self.bundle.decode
        images = np.empty((len(files), 3, spec.size_px, spec.size_px), dtype=np.uint8)
        for number, raw in enumerate(files):
            try:
                images[number] = decode(raw, spec)
            except UndecodableImage as error:
                raise DataError(
                    f"image {number} of {len(files)}", f"must be a usable picture: {error}"
                ) from error
        return self.table(self.predict_images(images))

    def table(self, values_NK: Values) -> pd.DataFrame:
        """Name the columns of what `predict_images` gave; the first of equal classes wins."""
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

    def _forward(self, images_BCHW: Pixels) -> Logits:
        with torch.inference_mode(), self.runtime.autocast():
            images = torch.from_numpy(images_BCHW).to(self.runtime.device)
            total = sum(
                (self.network(orient(images, code)) for code in self.bundle.views[1:]),
                self.network(orient(images, self.bundle.views[0])),
            )
            outputs: Logits = (total / len(self.bundle.views)).cpu().numpy()
        return outputs
