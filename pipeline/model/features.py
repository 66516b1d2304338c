"""What stays frozen, computed once: pooled features, and the activations at a cut of several views.

The result is a folder: `pooled.npy`, float32 [N, D], with the rows of the store in their order, the
shards of `activations`, and `features.json`, written last. A folder without `features.json` holds
no features.

Axes: N = rows of the store, B = pictures of a batch, D = pooled features.
"""

import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator

from pipeline.data.augment import AugmentParams, augment_batch, spread_orientations
from pipeline.data.store import Store
from pipeline.device import Runtime
from pipeline.errors import DataError, IntegrityError, MachineError, ParamsError
from pipeline.files import read_json, replacing_folder, sha256_file, write_json
from pipeline.model.activations import Activations, ActivationWriter, Rows, size_bytes, verify
from pipeline.model.backbones import Pooling
from pipeline.model.network import Trunk
from pipeline.model.weights import BackboneRecord
from pipeline.parallel import MachineParams, progress
from pipeline.params import Section
from pipeline.seeds import derive

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]

FORMAT, VERSION = "rootstock-features", 2
_POOLED, _RECORD = "pooled.npy", "features.json"
_DISK_FACTOR = 2
"""DVC keeps a second copy of an output in its cache."""
_LINES = 10
"""Progress lines where there is no terminal."""
_REMEDY = "run `dvc checkout` or `dvc repro features`"


class FeaturesParams(Section):
    """`features`: what of the frozen backbone is computed once."""

    pooled: bool
    """Compute the pooled outputs; `train.strategy: head` and `train.start: probe` need them."""

    cut: str | int
    """Where the backbone is cut for cached activations, by name or number; `none`: they are not
    computed. `train.strategy: top` needs them."""

    views: int = Field(ge=1, le=64)
    """Of each picture at the cut: itself, and augmented ones."""

    pooling: Pooling
    """Over the last feature map."""

    batch_size: int = Field(ge=1, le=4096)
    """Pictures of a forward pass; part of the numeric fingerprint."""

    seed: int = Field(ge=0, lt=2**63)
    """Of the views."""

    @model_validator(mode="after")
    def _views_need_a_cut(self) -> Self:
        if self.cut == "none" and self.views > 1:
            raise ValueError(
                f"views must be 1 with cut: none, got {self.views} (name a cut, or lower it)"
            )
        return self

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be computed."""
        return not self.pooled and self.cut == "none"


@dataclass(frozen=True)
class Features:
    """A folder of features, opened.

    Attributes:
        folder: Where it is.
        meta: `features.json`.
        pooled: float32 [N, D], memory-mapped and read-only; None where they were not asked for.
        activations: Those at the cut; None where they were not asked for.
    """

    folder: Path
    meta: dict[str, Any]
    pooled: Floats | None
    activations: Activations | None

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
            pooled, activations = meta["pooled"], meta["activations"]
            shape = (int(pooled["rows"]), int(pooled["dim"])) if pooled else None
            opened = Activations.open(folder, activations) if activations else None
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(
                where, f"is no features record: {error}", remedy=_REMEDY
            ) from error
        return cls(folder, meta, None if shape is None else _map(folder / _POOLED, shape), opened)

    @property
    def cut(self) -> str | None:
        """Name of the lowest step above the cut."""
        return None if self.activations is None else str(self.meta["cut"])

    def require_pooled(self, *, by: str = "train.strategy: head") -> Floats:
        """Give the pooled features, after a check of their SHA-256.

        Args:
            by: The param that needs them, for the error.

        Raises:
            ParamsError: They were not computed.
            IntegrityError: They were changed.
        """
        if self.pooled is None:
            raise ParamsError(
                "params.yaml", f"{by} needs pooled features",
                field="features.pooled", got=False,
                remedy="set features.pooled: true, or train.strategy: full",
            )  # fmt: skip
        path = self.folder / _POOLED
        if sha256_file(path) != self.meta["pooled"]["sha256"]:
            raise IntegrityError(path, "its values were changed", remedy=_REMEDY)
        return self.pooled

    def require_activations(self) -> Activations:
        """Give the activations, after a check of their SHA-256.

        Raises:
            ParamsError: They were not computed.
            IntegrityError: They were changed.
        """
        if self.activations is None:
            raise ParamsError(
                "params.yaml", "train.strategy: top needs the activations at a cut",
                field="features.cut", got="none",
                remedy="name a cut in features.cut, or set train.strategy: head or full",
            )  # fmt: skip
        verify(self.folder, self.meta["activations"])
        return self.activations


@dataclass(frozen=True)
class Extraction:
    """What is computed, from what, how.

    Attributes:
        store: The pictures.
        trunk: Folded and moved to the device by `extract`.
        params: What is computed.
        augment: How views differ from the picture; the first one does not.
        runtime: Device and precision.
    """

    store: Store
    trunk: Trunk
    params: FeaturesParams
    augment: AugmentParams
    runtime: Runtime


def extract(work: Extraction, *, machine: MachineParams, out: Path) -> None:
    """Compute what is asked for of every row of the store, and write it whole or not at all.

    Every batch has the same shape, the last one is filled up with zeros; so a picture's features do
    not depend on which others there are.

    Args:
        work: What to compute.
        machine: Progress.
        out: The folder; an older one is replaced.

    Raises:
        ParamsError: The architecture takes pictures of another size, or has no such cut.
        DataError: Features of a picture are not finite, or too large for their type.
        MachineError: The disk lacks room for them and DVC's copy.
    """
    store, trunk, params, runtime = work.store, work.trunk, work.params, work.runtime
    trunk.backbone.check_size(store.size_px)
    cut = None if params.cut == "none" else trunk.backbone.cut_name(params.cut)
    trunk.fold()
    trunk.to(runtime.device)
    shape = None if cut is None else _shape_at(trunk, cut, store.size_px, runtime)
    dim = trunk.dim if params.pooled else 0
    _check_disk(out, _bytes(len(store), params, dim, shape))
    with replacing_folder(out) as scratch:
        sink = _Sink(scratch, store, params, dim, shape)
        for part in _compute(work, cut, machine):
            sink.take(part)
        write_json(scratch / _RECORD, {
            **_head(params), **sink.finish(), "cut": cut or "none",
            "architecture": trunk.backbone.architecture,
            "size_px": store.size_px,
            "fingerprint": runtime.fingerprint(),
        })  # fmt: skip


def write_empty(params: FeaturesParams, *, out: Path) -> None:
    """Write a valid folder without features, for strategies that need none."""
    with replacing_folder(out) as scratch:
        write_json(scratch / _RECORD, {**_head(params), "cut": "none",
                                       "pooled": None, "activations": None})  # fmt: skip
    log.info("features: none are asked for (features.pooled is false, features.cut is none)")


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
        "pooling": params.pooling,
        "batch_size": params.batch_size,
    }


@dataclass(frozen=True)
class _Part:
    """One view of some rows."""

    rows: Rows
    view: int
    pooled: Floats | None
    activations: Floats | None


class _Sink:
    """Writes parts where they belong, and proves that every row is filled with finite numbers."""

    def __init__(
        self,
        folder: Path,
        store: Store,
        params: FeaturesParams,
        dim: int,
        shape: tuple[int, ...] | None,
    ) -> None:
        self._folder, self._store = folder, store
        rows = len(store)
        self._pooled = self._writer = None
        if dim:
            self._pooled = np.lib.format.open_memmap(
                folder / _POOLED, mode="w+", dtype=np.float32, shape=(rows, dim)
            )
        if shape is not None:
            self._writer = ActivationWriter(folder, rows=rows, views=params.views, shape=shape)
        self._is_filled = np.zeros(rows, dtype=bool)

    def take(self, part: _Part) -> None:
        """Write a part."""
        if self._pooled is not None and part.pooled is not None:
            self._refuse(part.rows[~np.isfinite(part.pooled).all(axis=1)])
            self._pooled[part.rows] = part.pooled
            self._is_filled[part.rows] = True
        if self._writer is not None and part.activations is not None:
            self._refuse(self._writer.write(part.view, part.rows, part.activations))

    def finish(self) -> dict[str, Any]:
        """Close the files and give their records."""
        pooled = activations = None
        if self._pooled is not None:
            self._pooled.flush()
            if not self._is_filled.all():
                raise RuntimeError(f"{(~self._is_filled).sum()} rows were not computed")
            rows, dim = self._pooled.shape
            pooled = {"rows": rows, "dim": dim, "sha256": sha256_file(self._folder / _POOLED)}
        if self._writer is not None:
            activations = self._writer.finish()
        return {"pooled": pooled, "activations": activations}

    def _refuse(self, broken: Rows) -> None:
        if len(broken):
            raise DataError(
                self._store.index["path"].iloc[broken[0]],
                "its features must be finite, and below 65504 at a cut, and the backbone gives "
                "others",
                remedy="see runtime.precision, weights.source and features.cut",
            )


def _compute(work: Extraction, cut: str | None, machine: MachineParams) -> Iterator[_Part]:
    """Give all views of all rows, batch by batch; tell progress and the rate."""
    start = time.monotonic()
    views = 1 if cut is None else work.params.views
    rows, size = len(work.store), work.params.batch_size
    todo = [(view, first) for view in range(views) for first in range(0, rows, size)]
    line_every = max(1, len(todo) // _LINES)
    total, done = rows * views, 0
    with progress(range(total), machine, total=total, title="features", unit="images") as bar:
        for number, (view, first) in enumerate(todo, start=1):
            part = _compute_part(work, cut, np.arange(first, min(first + size, rows)), view)
            yield part
            done += len(part.rows)
            bar.update(len(part.rows))
            if machine.shows_lines() and number % line_every == 0:
                log.info("features: %d of %d images", done, total)
    rate = total / max(time.monotonic() - start, 1e-9)
    log.info("features: %d images in %d views, %.0f images/s", rows, views, rate)


def _compute_part(work: Extraction, cut: str | None, rows: Rows, view: int) -> _Part:
    trunk, params = work.trunk, work.params
    images = torch.from_numpy(_images(work, rows, view)).to(work.runtime.device)
    pooled = activations = None
    with torch.inference_mode(), work.runtime.autocast():
        values = trunk.normalize(images)
        if cut is not None:
            values = trunk.backbone.lower(values, cut)
            activations = values.float().cpu().numpy()[: len(rows)]
        if view == 0 and params.pooled:
            backbone = trunk.backbone
            last = backbone(values) if cut is None else backbone.upper(values, cut)
            pooled = backbone.pool(last, params.pooling).cpu().numpy()[: len(rows)]
    return _Part(rows, view, pooled, activations)


def _images(work: Extraction, rows: Rows, view: int) -> npt.NDArray[np.uint8]:
    """Give one view of some pictures, uint8 [batch size, 3, H, W], filled up with zeros."""
    size = work.store.size_px
    images = np.zeros((work.params.batch_size, 3, size, size), dtype=np.uint8)
    images[: len(rows)] = work.store.read(rows)
    if view > 0:
        ids = work.store.index["id"].to_numpy()[rows]
        seed, views = work.params.seed, work.params.views
        turns = spread_orientations(
            work.augment, [derive(seed, "orientation", each) for each in ids],
            view=view, views=views,
        )  # fmt: skip
        seeds = [derive(seed, "view", view, each) for each in ids]
        part = torch.from_numpy(images[: len(rows)].copy())
        images[: len(rows)] = augment_batch(part, work.augment, seeds, turns).numpy()
    return images


def _shape_at(trunk: Trunk, cut: str, size_px: int, runtime: Runtime) -> tuple[int, ...]:
    """Give the shape of one picture's activations at a cut."""
    black = torch.zeros(1, 3, size_px, size_px, dtype=torch.uint8, device=runtime.device)
    with torch.inference_mode(), runtime.autocast():
        return tuple(trunk.backbone.lower(trunk.normalize(black), cut).shape[1:])


def _bytes(rows: int, params: FeaturesParams, dim: int, shape: tuple[int, ...] | None) -> int:
    pooled = rows * dim * np.dtype(np.float32).itemsize
    return pooled + (0 if shape is None else size_bytes(rows, params.views, shape))


def _check_disk(out: Path, size_bytes: int) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    needed, free = size_bytes * _DISK_FACTOR, shutil.disk_usage(out.parent).free
    log.info("features: %.1f MB to write", size_bytes / 1e6)
    if needed > free:
        raise MachineError(
            out, f"needs {needed / 1e6:.0f} MB with DVC's copy, {free / 1e6:.0f} MB are free",
            remedy="free space, lower features.views, or raise features.cut",
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
