"""A model at work: items in, rows out, as many and as long as one likes.

While the network computes one batch, confined processes read the next. This file ships with a
registered model, so a version reads and predicts with its own code.
"""

import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import torch

from pipeline.compute.prefetch import ahead
from pipeline.engine.encoders import Encoders
from pipeline.engine.rows import Row, predict_table, to_rows
from pipeline.ground.errors import DataError, ParamsError
from pipeline.modality.shown.explaining import explainer, is_explained
from pipeline.modality.shown.inputs import item_input
from pipeline.modality.types.items import Encoded
from pipeline.model.bundle import Bundle, Predictor

_Batch: TypeAlias = list[Encoded | str]

_BATCHES_AHEAD = 2
"""Read, and waiting for the network."""


@dataclass(frozen=True)
class Limits:
    """What reading one item may take.

    Attributes:
        most: That it may measure, in the unit of its modality.
        seconds: On the clock.
    """

    most: int
    seconds: float


class Engine:
    """A model and what reads its items; several threads may use it, and wait for each other.

    Args:
        predictor: The model.
        decoders: Number of processes.
        limits: Of each item.
    """

    def __init__(
        self, predictor: Predictor, *, decoders: int, limits: Limits | None = None
    ) -> None:
        self.predictor = predictor
        item = item_input(predictor.bundle.modality)
        limits = limits or Limits(item.most, item.seconds)
        self._encoders = Encoders(
            partial(item.encode, spec=predictor.bundle.decode, most=limits.most),
            decoders,
            item.limits(limits.most, limits.seconds),
        )
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "encoders")  # one, for all its life: see `Pool`

    @classmethod
    def load(
        cls,
        model: Path,
        bundle: Path,
        *,
        decoders: int,
        device: str | None = None,
        limits: Limits | None = None,
    ) -> "Engine":
        """Load a model; sets torch's threads and deterministic mode in this process.

        Args:
            model: The model.safetensors.
            bundle: The bundle.json.
            decoders: Number of processes that read items.
            device: `cpu`, `cuda` or `mps`; None: the kind it was trained on, where there is one.
            limits: Of each item.

        Raises:
            DataError: A file is missing.
            IntegrityError: A file is damaged, or they do not belong together.
        """
        device = device or choose_device(str(Bundle.load(bundle).fingerprint.get("device")))
        predictor = Predictor.load(model, bundle, device=device)
        return cls(predictor, decoders=decoders, limits=limits)

    def predict(self, files: Sequence[bytes], *, pad: bool = True) -> list[Row]:
        """Return a row for each item, in their order, as `pipeline.engine.rows` describes it.

        Args:
            files: Items.
            pad: Compute in batches of the bundle's size, as `evaluate` does, to the same bits; else
                in batches no larger than needed, to slightly other ones.
        """
        return [row for rows in self.stream(files, pad=pad) for row in rows]

    def stream(self, files: Iterable[bytes], *, pad: bool = True) -> Iterator[list[Row]]:
        """Yield rows batch by batch, of any number of items; memory does not grow with it.

        Args:
            files: Taken by another thread, some batches ahead.
            pad: As in `predict`.

        Raises:
            MachineError: A process that reads could not start.
            Exception: What `files` raised.
        """
        with (
            self._lock,
            closing(ahead(self._batches(files), _BATCHES_AHEAD, self._thread)) as batches,
        ):
            for batch in batches:
                yield _rows(self.predictor, batch, pad=pad)

    def explain(self, file: bytes) -> dict[str, Any]:
        """Return what a model answers to one item, and why, as its modality has it.

        Raises:
            DataError: The file is not a usable item.
            MachineError: A process that reads could not start.
            ParamsError: The modality has no explanations.
        """
        modality = self.predictor.bundle.modality
        item, explain = item_input(modality), explainer(modality)
        if explain is None:
            raise ParamsError("explain", "has no way for items of this modality", got=modality)
        with self._lock:
            (encoded,) = self._thread.submit(lambda: list(self._encoders.encode([file]))).result()
            if isinstance(encoded, str):
                raise DataError(item.column, f"must be a usable {item.one}: {encoded}")
            return explain.one(self.predictor, encoded.row)

    def describe(self) -> dict[str, Any]:
        """Return what the model answers, and what decides the bits; plain values."""
        bundle = self.predictor.bundle
        return {
            "task": bundle.task,
            "classes": list(bundle.classes),
            "target": bundle.target,
            "architecture": bundle.architecture,
            "batch_size": bundle.batch_size,
            "views": list(bundle.views),
            "fingerprint": self.predictor.runtime.fingerprint(),
            "trained_on": bundle.fingerprint,
            "explains": is_explained(bundle.modality),
        }

    def close(self) -> None:
        """End the processes that read."""
        self._thread.submit(self._encoders.close).result()
        self._thread.shutdown()

    def _batches(self, files: Iterable[bytes]) -> Generator[_Batch, None, None]:
        with closing(self._encoders.encode(files)) as encoded:
            while batch := list(islice(encoded, self.predictor.chunk)):
                yield batch


def _rows(predictor: Predictor, batch: _Batch, *, pad: bool) -> list[Row]:
    encoded = [each if isinstance(each, str) else each.row for each in batch]
    rows = to_rows(predict_table(predictor, encoded, pad=pad))
    found = iter(predictor.notes([each for each in encoded if not isinstance(each, str)]))
    return [
        row | {"notes": [] if isinstance(each, str) else _notes(each.notes, next(found))}
        for row, each in zip(rows, batch, strict=True)
    ]


def _notes(first: Sequence[str], then: Sequence[str]) -> list[str]:
    """Return notes without the later ones of a code that is there."""
    codes = {note.partition(":")[0] for note in first}
    return [*first, *(note for note in then if note.partition(":")[0] not in codes)]


def choose_device(trained_on: str) -> str:
    """Return the kind of device that a model was trained on, where this machine has one; else cpu.

    Args:
        trained_on: As in the fingerprint: `cpu`, `mps`, or the name of a GPU.
    """
    if trained_on == "mps" and torch.backends.mps.is_available():
        return "mps"
    return "cuda" if trained_on not in ("cpu", "mps") and torch.cuda.is_available() else "cpu"
