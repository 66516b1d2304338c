"""A model at work: encoded pictures in, rows out, as many and as long as one likes.

While the network computes one batch, confined processes decode the next. This file ships with a
registered model, so a version decodes and predicts with its own code.
"""

import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import torch

from pipeline.compute.prefetch import ahead
from pipeline.engine.rows import Row, predict_table, to_rows
from pipeline.ground.errors import DataError
from pipeline.model.bundle import Bundle, Predictor
from pipeline.picture.explain.gradcam import explain_pixels
from pipeline.picture.read.decoders import Decoded, Decoders
from pipeline.picture.read.limits import MAX_PIXELS, SECONDS

_Batch: TypeAlias = list[Decoded | str]

_BATCHES_AHEAD = 2
"""Decoded and waiting for the network."""


@dataclass(frozen=True)
class DecodeLimits:
    """What one picture may take.

    Attributes:
        max_pixels: Larger ones are refused by their header.
        seconds: On the clock.
    """

    max_pixels: int = MAX_PIXELS
    seconds: float = SECONDS


class Engine:
    """A model and its decoders; several threads may use it, and wait for each other.

    Args:
        predictor: The model.
        decoders: Number of processes.
        limits: Of each picture.
    """

    def __init__(
        self, predictor: Predictor, *, decoders: int, limits: DecodeLimits | None = None
    ) -> None:
        limits = limits or DecodeLimits()
        self.predictor = predictor
        self._decoders = Decoders(
            predictor.bundle.decode, decoders, max_pixels=limits.max_pixels, seconds=limits.seconds
        )
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "decoders")  # one, for all its life: see `Pool`

    @classmethod
    def load(
        cls,
        model: Path,
        bundle: Path,
        *,
        decoders: int,
        device: str | None = None,
        limits: DecodeLimits | None = None,
    ) -> "Engine":
        """Load a model; sets torch's threads and deterministic mode in this process.

        Args:
            model: The model.safetensors.
            bundle: The bundle.json.
            decoders: Number of processes that decode.
            device: `cpu`, `cuda` or `mps`; None: the kind it was trained on, where there is one.
            limits: Of each picture.

        Raises:
            DataError: A file is missing.
            IntegrityError: A file is damaged, or they do not belong together.
        """
        device = device or choose_device(str(Bundle.load(bundle).fingerprint.get("device")))
        predictor = Predictor.load(model, bundle, device=device)
        return cls(predictor, decoders=decoders, limits=limits)

    def predict(self, files: Sequence[bytes], *, pad: bool = True) -> list[Row]:
        """Return a row for each picture, in their order, as `pipeline.engine.rows` describes it.

        Args:
            files: Encoded pictures.
            pad: Compute in batches of the bundle's size, as `evaluate` does, to the same bits; else
                in batches no larger than needed, to slightly other ones.
        """
        return [row for rows in self.stream(files, pad=pad) for row in rows]

    def stream(self, files: Iterable[bytes], *, pad: bool = True) -> Iterator[list[Row]]:
        """Yield rows batch by batch, of any number of pictures; memory does not grow with it.

        Args:
            files: Taken by another thread, some batches ahead.
            pad: As in `predict`.

        Raises:
            MachineError: A decoder could not start.
            Exception: What `files` raised.
        """
        with (
            self._lock,
            closing(ahead(self._batches(files), _BATCHES_AHEAD, self._thread)) as batches,
        ):
            for batch in batches:
                yield _rows(self.predictor, batch, pad=pad)

    def explain(self, file: bytes) -> dict[str, Any]:
        """Return what a model answers to one picture and where it looked; see `explain_pixels`.

        Raises:
            DataError: The file is not a usable picture.
            MachineError: A decoder could not start.
        """
        with self._lock:
            (decoded,) = self._thread.submit(lambda: list(self._decoders.decode([file]))).result()
            if isinstance(decoded, str):
                raise DataError("image", f"must be a usable picture: {decoded}")
            return explain_pixels(self.predictor, decoded.pixels)

    def describe(self) -> dict[str, Any]:
        """Return what the model answers, and what decides the bits; plain values."""
        bundle = self.predictor.bundle
        return {
            "task": bundle.task,
            "classes": list(bundle.classes),
            "target": bundle.target,
            "architecture": bundle.architecture,
            "size_px": bundle.decode.size_px,
            "batch_size": bundle.batch_size,
            "views": list(bundle.views),
            "fingerprint": self.predictor.runtime.fingerprint(),
            "trained_on": bundle.fingerprint,
        }

    def close(self) -> None:
        """End the decoders."""
        self._thread.submit(self._decoders.close).result()
        self._thread.shutdown()

    def _batches(self, files: Iterable[bytes]) -> Generator[_Batch, None, None]:
        with closing(self._decoders.decode(files)) as decoded:
            while batch := list(islice(decoded, self.predictor.bundle.batch_size)):
                yield batch


def _rows(predictor: Predictor, batch: _Batch, *, pad: bool) -> list[Row]:
    pictures = [each if isinstance(each, str) else each.pixels for each in batch]
    rows = to_rows(predict_table(predictor, pictures, pad=pad))
    return [
        row | {"notes": [] if isinstance(each, str) else list(each.notes)}
        for row, each in zip(rows, batch, strict=True)
    ]


def choose_device(trained_on: str) -> str:
    """Return the kind of device that a model was trained on, where this machine has one; else cpu.

    Args:
        trained_on: As in the fingerprint: `cpu`, `mps`, or the name of a GPU.
    """
    if trained_on == "mps" and torch.backends.mps.is_available():
        return "mps"
    return "cuda" if trained_on not in ("cpu", "mps") and torch.cuda.is_available() else "cpu"
