"""What stays frozen, computed once: pooled features, and the activations at a cut of several views.

The result is a folder: the shards `pooled-00000.npy`, ..., float32 [rows, D], and those of
`activations`, with the rows of the store in their order and in its shards; `index.parquet`, which
says what picture each row was computed from; and `features.json`, written last. A folder without
`features.json` holds no features. Rows that an earlier build holds are copied, not computed again.

Axes: N = rows of the store, B = pictures of a batch, D = pooled features.
"""

import logging
import math
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field, model_validator

from pipeline.data import augment as augment_module
from pipeline.data import normalization as normalization_module
from pipeline.data.augment import AugmentParams, augment_batch, spread_orientations
from pipeline.data.shard_writer import Reusable, write_shards
from pipeline.data.shards import Array, Layout, Rows, Shards
from pipeline.data.store import DIGEST, Store
from pipeline.device import Runtime
from pipeline.earlier import code_digest
from pipeline.errors import DataError, IntegrityError, MachineError, ParamsError, PipelineError
from pipeline.files import (
    read_json,
    read_table,
    replacing_folder,
    sha256_file,
    write_json,
    write_table,
)
from pipeline.model import backbones, cuts, folding, fusing, network, padding
from pipeline.model.activations import Activations, activations_layout, to_halves
from pipeline.model.backbones import Pooling
from pipeline.model.network import Trunk
from pipeline.model.weights import BackboneRecord
from pipeline.parallel import MachineParams, progress
from pipeline.params import Section
from pipeline.seeds import derive

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]

FORMAT, VERSION = "rootstock-features", 3
_INDEX, _RECORD = "index.parquet", "features.json"
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
        pooled: float32 [N, D], on disk; None where they were not asked for.
        activations: Those at the cut; None where they were not asked for.
    """

    folder: Path
    meta: dict[str, Any]
    pooled: Shards | None
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
            pooled = activations = None
            if found := meta["pooled"]:
                pooled = Shards.open(folder, _pooled_layout(int(found["dim"])), found["files"])
            if found := meta["activations"]:
                shape = tuple(int(each) for each in found["shape"])
                layout = activations_layout(int(found["views"]), shape, remedy=_REMEDY)
                activations = Activations(Shards.open(folder, layout, found["files"]))
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(
                where, f"is no features record: {error}", remedy=_REMEDY
            ) from error
        return cls(folder, meta, pooled, activations)

    @property
    def cut(self) -> str | None:
        """Name of the lowest step above the cut."""
        return None if self.activations is None else str(self.meta["cut"])

    def require_pooled(self, *, by: str = "train.strategy: head") -> Shards:
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
        self.pooled.verify()
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
        self.activations.shards.verify()
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


def made_from(work: Extraction, *, backbone: Path) -> dict[str, Any]:
    """Give what the features of a picture depend on, besides the picture: JSON.

    Args:
        work: What is computed.
        backbone: The file with the backbone's tensors.
    """
    modules = (augment_module, normalization_module, backbones, cuts, folding, fusing, network,
               padding, sys.modules[__name__])  # fmt: skip
    normalization = work.trunk.normalization
    return {
        "architecture": work.trunk.backbone.architecture,
        "augment": work.augment.model_dump(mode="json"),
        "backbone": sha256_file(backbone),
        "code": code_digest(*modules, versions=backbones.VERSIONS),
        "features": work.params.model_dump(mode="json"),
        "fingerprint": work.runtime.fingerprint(),
        "normalization": [
            normalization.multiplier.tolist(), normalization.offset.tolist()
        ],
        "size_px": work.store.size_px,
    }  # fmt: skip


def extract(
    work: Extraction, *, machine: MachineParams, out: Path, old: Path | None = None
) -> None:
    """Compute what is asked for of every row of the store, and write it whole or not at all.

    Every batch has the same shape, the last one is filled up with zeros; so a picture's features do
    not depend on which others there are, and rows of an earlier build can stand beside new ones.

    Args:
        work: What to compute.
        machine: Progress.
        out: The folder; an older one is replaced.
        old: Features elsewhere that were made from the same (`made_from`), or None.

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
    shape = () if cut is None else _shape_at(trunk, cut, store.size_px, runtime)
    layouts = _layouts(params, trunk.dim, None if cut is None else shape)
    _check_disk(out, len(store) * sum(layout.row_bytes for layout in layouts))
    keys = _keys(store.index)
    reused = _open_old(old, keys, layouts)
    rows = np.array([row for row, key in enumerate(keys) if key not in reused], dtype=np.int64)
    sizes = [int(each["rows"]) for each in store.pixels.files]
    with replacing_folder(out) as scratch:
        files = write_shards(
            scratch, layouts, sizes, keys, fresh=_compute(work, cut, rows, machine), old=reused
        )
        found = dict(zip([layout.name for layout in layouts], files, strict=True))
        write_table(scratch / _INDEX, store.index[["id", DIGEST]])
        write_json(scratch / _RECORD, {
            **_head(params),
            "pooled": {"dim": trunk.dim, "files": found["pooled"]} if params.pooled else None,
            "activations": None if cut is None else {
                "views": params.views, "shape": list(shape), "files": found["cut"],
            },
            "cut": cut or "none",
            "architecture": trunk.backbone.architecture,
            "size_px": store.size_px,
            "fingerprint": runtime.fingerprint(),
        })  # fmt: skip
    if len(rows) < len(store):
        log.info("features: %d of %d rows are from the last build", len(store) - len(rows),
                 len(store))  # fmt: skip


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


def features_bytes(
    rows: int, params: FeaturesParams, dim: int, shape: tuple[int, ...] | None
) -> int:
    """Give the bytes that features take.

    Args:
        rows: Pictures.
        params: What is computed of them.
        dim: Pooled features.
        shape: Of a picture's activations at the cut; None where none are asked for.
    """
    return rows * sum(layout.row_bytes for layout in _layouts(params, dim, shape))


def _layouts(params: FeaturesParams, dim: int, shape: tuple[int, ...] | None) -> list[Layout]:
    layouts = [_pooled_layout(dim)] if params.pooled else []
    if shape is not None:
        layouts.append(activations_layout(params.views, shape, remedy=_REMEDY))
    return layouts


def _pooled_layout(dim: int) -> Layout:
    return Layout("pooled", (dim,), np.dtype(np.float32), _REMEDY)


def _keys(index: pd.DataFrame) -> list[str]:
    """Say what each row is computed from: its id gives the views their seeds."""
    return [f"{id_} {digest}" for id_, digest in zip(index["id"], index[DIGEST], strict=True)]


def _open_old(old: Path | None, keys: Sequence[str], layouts: Sequence[Layout]) -> Reusable:
    """Give what can be taken from an earlier build."""
    if old is None:
        return Reusable.none()
    try:
        features, index = Features.open(old), read_table(old / _INDEX)
        pooled, activations = features.pooled, features.activations
        arrays = [] if pooled is None else [pooled]
        arrays += [] if activations is None else [activations.shards]
        if [each.layout for each in arrays] != list(layouts):
            raise IntegrityError(old, "holds other arrays")
        reusable = Reusable(arrays, _keys(index))
    except (PipelineError, KeyError) as error:
        log.warning("features: the last build cannot be used: %s", error)
        return Reusable.none()
    reusable.keep_sound(keys)
    return reusable


def _compute(
    work: Extraction, cut: str | None, todo: Rows, machine: MachineParams
) -> Iterator[list[Array]]:
    """Give the arrays of some rows, one row after the other; tell progress and the rate."""
    start = time.monotonic()
    views = 1 if cut is None else work.params.views
    size = work.params.batch_size
    line_every = max(1, math.ceil(len(todo) / size) // _LINES)
    total, done = len(todo) * views, 0
    with progress(range(total), machine, total=total, title="features", unit="images") as bar:
        for number, first in enumerate(range(0, len(todo), size), start=1):
            rows = todo[first : first + size]
            yield from _compute_rows(work, cut, rows)
            done += len(rows) * views
            bar.update(len(rows) * views)
            if machine.shows_lines() and number % line_every == 0:
                log.info("features: %d of %d images", done, total)
    rate = total / max(time.monotonic() - start, 1e-9)
    log.info("features: %d images in %d views, %.0f images/s", len(todo), views, rate)


def _compute_rows(work: Extraction, cut: str | None, rows: Rows) -> Iterator[list[Array]]:
    """Give pooled features and the activations of all views of a batch, as they are asked for."""
    views = [_compute_view(work, cut, rows, view)
             for view in range(1 if cut is None else work.params.views)]  # fmt: skip
    for place, row in enumerate(rows):
        found: list[Array] = []
        pooled = views[0][0]
        if pooled is not None:
            if not np.isfinite(pooled[place]).all():
                raise _broken(work.store, row)
            found.append(pooled[place])
        if cut is not None:
            halves = to_halves(np.stack([values[place] for _, values in views
                                         if values is not None]))  # fmt: skip
            if halves is None:
                raise _broken(work.store, row)
            found.append(halves)
        yield found


def _broken(store: Store, row: int) -> DataError:
    return DataError(
        store.index["path"].iloc[row],
        "its features must be finite, and below 65504 at a cut, and the backbone gives others",
        remedy="see runtime.precision, weights.source and features.cut",
    )


def _compute_view(
    work: Extraction, cut: str | None, rows: Rows, view: int
) -> tuple[Floats | None, Floats | None]:
    """Give pooled features (of view 0 alone) and activations of some rows."""
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
    return pooled, activations


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


def _check_disk(out: Path, size_bytes: int) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    needed, free = size_bytes * _DISK_FACTOR, shutil.disk_usage(out.parent).free
    log.info("features: %.1f MB to write", size_bytes / 1e6)
    if needed > free:
        raise MachineError(
            out, f"needs {needed / 1e6:.0f} MB with DVC's copy, {free / 1e6:.0f} MB are free",
            remedy="free space, lower features.views, or raise features.cut",
        )  # fmt: skip
