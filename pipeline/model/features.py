"""What stays frozen, computed once: the pooled outputs of the backbone for every picture.

The result is a folder: `pooled.npy`, float32 [N, D], with the rows of the store in their order, and
`features.json`, written last. A folder without `features.json` holds no features.

Axes: N = rows of the store, B = pictures of a batch, D = pooled features.
"""

import logging
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, field_validator

from pipeline.data.store import Store
from pipeline.device import Runtime
from pipeline.errors import DataError, IntegrityError, MachineError, ParamsError
from pipeline.files import read_json, replacing_folder, sha256_file, write_json
from pipeline.model.backbones import Pooling
from pipeline.model.network import Trunk
from pipeline.model.weights import BackboneRecord
from pipeline.parallel import MachineParams, progress
from pipeline.params import Section

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]

FORMAT, VERSION = "rootstock-features", 1
_POOLED, _RECORD = "pooled.npy", "features.json"
_DISK_FACTOR = 2
"""DVC keeps a second copy of an output in its cache."""
_LINES = 10
"""Progress lines where there is no terminal."""
_REMEDY = "run `dvc checkout` or `dvc repro features`"


class FeaturesParams(Section):
    """`features`: what of the frozen backbone is computed once."""

    pooled: bool
    """Compute the pooled outputs; `train.strategy: head` needs them."""

    cut: str
    """Where the backbone is cut for cached activations; only `none` yet."""

    pooling: Pooling
    """Over the last feature map."""

    batch_size: int = Field(ge=1, le=4096)
    """Pictures of a forward pass; part of the numeric fingerprint."""

    @field_validator("cut")
    @classmethod
    def _check_cut(cls, value: str) -> str:
        if value != "none":
            raise ValueError(f"must be none, got {value!r} (cuts are not there yet)")
        return value


@dataclass(frozen=True)
class Features:
    """A folder of features, opened.

    Attributes:
        folder: Where it is.
        meta: `features.json`.
        pooled: float32 [N, D], memory-mapped and read-only; None where they were not asked for.
    """

    folder: Path
    meta: dict[str, Any]
    pooled: Floats | None

    @classmethod
    def open(cls, folder: Path) -> "Features":
        """Open what `extract` or `write_empty` wrote; values are not verified yet.

        Raises:
            DataError: There are no features.
            IntegrityError: They are damaged.
        """
        where = folder / _RECORD
        meta = read_json(where)
        try:
            if (meta["format"], meta["version"]) != (FORMAT, VERSION):
                raise ValueError(f"its format is {meta['format']!r}, version {meta['version']!r}")
            shape = (int(meta["rows"]), int(meta["dim"])) if meta["pooled"] else None
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(
                where, f"is no features record: {error}", remedy=_REMEDY
            ) from error
        return cls(folder, meta, None if shape is None else _map(folder / _POOLED, shape))

    def require_pooled(self) -> Floats:
        """Give the pooled features, after a check of their SHA-256.

        Raises:
            ParamsError: They were not computed.
            IntegrityError: They were changed.
        """
        if self.pooled is None:
            raise ParamsError(
                "params.yaml", "train.strategy: head needs pooled features",
                field="features.pooled", got=False,
                remedy="set features.pooled: true, or train.strategy: full",
            )  # fmt: skip
        path = self.folder / _POOLED
        if sha256_file(path) != self.meta["sha256"]:
            raise IntegrityError(path, "its values were changed", remedy=_REMEDY)
        return self.pooled


def extract(
    store: Store,
    trunk: Trunk,
    params: FeaturesParams,
    *,
    runtime: Runtime,
    machine: MachineParams,
    out: Path,
) -> None:
    """Compute the pooled features of every row of the store, and write them whole or not at all.

    Every batch has the same shape, the last one is filled up with zeros; so a picture's features do
    not depend on which others there are.

    Args:
        store: The pictures.
        trunk: Folded here, and moved to the device.
        params: Batch size.
        runtime: Device and precision.
        machine: Progress.
        out: The folder; an older one is replaced.

    Raises:
        ParamsError: The architecture takes pictures of another size.
        DataError: Features of a picture are not finite.
        MachineError: The disk lacks room for them and DVC's copy.
    """
    trunk.backbone.check_size(store.size_px)
    shape = (len(store), trunk.dim)
    _check_disk(out, math.prod(shape) * np.dtype(np.float32).itemsize)
    trunk.fold()
    trunk.to(runtime.device)
    with replacing_folder(out) as scratch:
        path = scratch / _POOLED
        _fill(path, shape, _compute(store, trunk, params.batch_size, runtime, machine), store)
        write_json(scratch / _RECORD, {
            **_head(params), "pooled": True, "rows": shape[0], "dim": shape[1],
            "architecture": trunk.backbone.architecture,
            "size_px": store.size_px,
            "fingerprint": runtime.fingerprint(), "sha256": sha256_file(path),
        })  # fmt: skip


def write_empty(params: FeaturesParams, *, out: Path) -> None:
    """Write a valid folder without features, for strategies that need none."""
    with replacing_folder(out) as scratch:
        write_json(scratch / _RECORD, {**_head(params), "pooled": False})
    log.info("features: none are asked for (features.pooled is false)")


def warn_about_size(size_px: int, record: BackboneRecord) -> None:
    """Warn where pictures have another size than the weights were trained with."""
    wanted = record.input_size[1]
    if size_px != wanted:
        log.warning(
            "features: pictures are %d px, the weights were trained with %d px (transform.size_px)",
            size_px, wanted,
        )  # fmt: skip


def _head(params: FeaturesParams) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "cut": params.cut,
        "pooling": params.pooling,
        "batch_size": params.batch_size,
    }


def _compute(
    store: Store, trunk: Trunk, batch_size: int, runtime: Runtime, machine: MachineParams
) -> Iterator[tuple[npt.NDArray[np.int64], Floats]]:
    """Give row numbers and their features, batch by batch; tell progress and the rate."""
    start = time.monotonic()
    starts = range(0, len(store), batch_size)
    images = np.zeros((batch_size, 3, store.size_px, store.size_px), dtype=np.uint8)
    line_every = max(1, len(starts) // _LINES)
    with progress(range(len(store)), machine, total=len(store), title="features",
                  unit="images") as bar:  # fmt: skip
        for number, first in enumerate(starts, start=1):
            rows = np.arange(first, min(first + batch_size, len(store)))
            images[: len(rows)] = store.read(rows)
            images[len(rows) :] = 0
            yield rows, compute_pooled(trunk, images, runtime)[: len(rows)]
            bar.update(len(rows))
            if machine.shows_lines() and number % line_every == 0:
                log.info("features: %d of %d images", rows[-1] + 1, len(store))
    rate = len(store) / max(time.monotonic() - start, 1e-9)
    log.info("features: %d images, %d features each, %.0f images/s", len(store), trunk.dim, rate)


def compute_pooled(trunk: Trunk, images_BCHW: npt.NDArray[np.uint8], runtime: Runtime) -> Floats:
    """Give the pooled features of one batch, float32 [B, D]."""
    with torch.inference_mode(), runtime.autocast():
        pooled_BD = trunk.pooled(torch.from_numpy(images_BCHW).to(runtime.device))
    values: Floats = pooled_BD.cpu().numpy()
    return values


def _fill(
    path: Path,
    shape: tuple[int, int],
    parts: Iterator[tuple[npt.NDArray[np.int64], Floats]],
    store: Store,
) -> None:
    """Write parts where they belong, and prove that every row is filled with finite numbers."""
    pooled = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    is_filled = np.zeros(shape[0], dtype=bool)
    for rows, values in parts:
        broken = rows[~np.isfinite(values).all(axis=1)]
        if len(broken):
            first = store.index["path"].iloc[broken[0]]
            raise DataError(
                first, "its features must be finite, but the backbone gives NaN or infinities",
                remedy="see runtime.precision and weights.source",
            )  # fmt: skip
        pooled[rows] = values
        is_filled[rows] = True
    pooled.flush()
    if not is_filled.all():
        raise RuntimeError(f"{(~is_filled).sum()} of {shape[0]} rows were not computed")


def _check_disk(out: Path, size_bytes: int) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    needed, free = size_bytes * _DISK_FACTOR, shutil.disk_usage(out.parent).free
    log.info("features: %.1f MB to write", size_bytes / 1e6)
    if needed > free:
        raise MachineError(
            out, f"needs {needed / 1e6:.0f} MB with DVC's copy, {free / 1e6:.0f} MB are free",
            remedy="free space, or set features.pooling: mean",
        )  # fmt: skip


def _map(path: Path, shape: tuple[int, int]) -> Floats:
    try:
        values: Floats = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise IntegrityError(path, "no such file", remedy=_REMEDY) from error
    except (ValueError, EOFError, OSError) as error:
        raise IntegrityError(path, f"truncated or damaged ({error})", remedy=_REMEDY) from error
    if values.shape != shape or values.dtype != np.float32:
        got = f"{values.dtype} {values.shape}"
        raise IntegrityError(path, f"must be float32 {shape}", got=got, remedy=_REMEDY)
    return values
