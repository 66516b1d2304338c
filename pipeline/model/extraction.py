"""The frozen part of a backbone, run once over all pictures: what the stage `features` computes.

Rows that an earlier build holds are copied, not computed again.

Axes: N = rows of the store, B = pictures of a batch, D = pooled features.
"""

import logging
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from pipeline.compute.device import Runtime
from pipeline.compute.engine import MachineParams, progress
from pipeline.ground import seeds
from pipeline.ground.errors import DataError, IntegrityError, PipelineError
from pipeline.ground.files import replacing_folder, sha256_file, write_json
from pipeline.ground.seeds import derive
from pipeline.ground.tables import read_table, write_table
from pipeline.model import activations as activations_module
from pipeline.model import network
from pipeline.model.activations import to_halves
from pipeline.model.features import FORMAT, INDEX, RECORD, VERSION, Features, feature_layouts
from pipeline.model.network import Trunk
from pipeline.model.params import FeaturesParams
from pipeline.picture.net import augment as augment_module
from pipeline.picture.net import backbones, cuts
from pipeline.picture.net.augment import augment_batch, spread_orientations
from pipeline.picture.net.cpu import folding, fusing, padding
from pipeline.picture.net.params import AugmentParams
from pipeline.picture.shelf import normalization as normalization_module
from pipeline.store.previous_build import code_digest
from pipeline.store.shard_writer import Reusable, check_room, write_shards
from pipeline.store.shards import Array, Layout, Rows
from pipeline.store.store import DIGEST, Store
from pipeline.weights.weights import BackboneRecord

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]

_LINES = 10
"""Progress lines where there is no terminal."""


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
    """Return what the features of a picture depend on, besides the picture: JSON.

    Args:
        work: What is computed.
        backbone: The file with the backbone's tensors.
    """
    modules = (
        activations_module,
        augment_module,
        normalization_module,
        backbones,
        cuts,
        folding,
        fusing,
        network,
        padding,
        seeds,
        sys.modules[__name__],
    )
    normalization = work.trunk.normalization
    return {
        "architecture": work.trunk.backbone.architecture,
        "augment": work.augment.model_dump(mode="json"),
        "backbone": sha256_file(backbone),
        "code": code_digest(*modules, versions=backbones.VERSIONS),
        "features": work.params.model_dump(mode="json"),
        "fingerprint": work.runtime.fingerprint(),
        "normalization": [normalization.multiplier.tolist(), normalization.offset.tolist()],
        "size_px": work.store.spec.size_px,
    }


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
        IntegrityError: The store's index, or a picture that is computed from, was changed.
        MachineError: The disk lacks room for them and DVC's copy.
    """
    store, trunk, params, runtime = work.store, work.trunk, work.params, work.runtime
    trunk.backbone.check_size(store.spec.size_px)
    store.verify_index()
    cut = None if params.cut == "none" else trunk.backbone.cut_name(params.cut)
    trunk.fold()
    trunk.to(runtime.device)
    shape = () if cut is None else _shape_at(trunk, cut, store.spec.size_px, runtime)
    layouts = feature_layouts(params, trunk.dim, None if cut is None else shape)
    size_bytes = len(store) * sum(layout.row_bytes for layout in layouts)
    log.info("features: %.1f MB to write", size_bytes / 1e6)
    check_room(out, size_bytes, remedy="lower features.views, or raise features.cut")
    keys = _keys(store.index)
    reused = _open_old(old, keys, layouts)
    rows = np.array([row for row, key in enumerate(keys) if key not in reused], dtype=np.int64)
    sizes = [int(each["rows"]) for each in store.values.files]
    with replacing_folder(out) as scratch:
        files = write_shards(
            scratch, layouts, sizes, keys, fresh=_compute(work, cut, rows, machine), old=reused
        )
        found = dict(zip([layout.name for layout in layouts], files, strict=True))
        write_table(scratch / INDEX, store.index[["id", DIGEST]])
        write_json(
            scratch / RECORD,
            {
                **_head(params),
                "pooled": {"dim": trunk.dim, "files": found["pooled"]} if params.pooled else None,
                "activations": None
                if cut is None
                else {"views": params.views, "shape": list(shape), "files": found["cut"]},
                "cut": cut or "none",
                "architecture": trunk.backbone.architecture,
                "size_px": store.spec.size_px,
                "fingerprint": runtime.fingerprint(),
            },
        )
    if len(rows) < len(store):
        log.info(
            "features: %d of %d rows are from the last build", len(store) - len(rows), len(store)
        )


def write_empty(params: FeaturesParams, *, out: Path) -> None:
    """Write a valid folder without features, for strategies that need none."""
    with replacing_folder(out) as scratch:
        write_json(
            scratch / RECORD, {**_head(params), "cut": "none", "pooled": None, "activations": None}
        )
    log.info("features: none are asked for (features.pooled is false, features.cut is none)")


def warn_about_size(size_px: int, record: BackboneRecord) -> None:
    """Warn where pictures have another size than the weights were trained with."""
    wanted = record.input_size[1]
    if size_px != wanted:
        log.warning(
            "features: pictures are %d px, the weights were trained with %d px (transform.size_px)",
            size_px,
            wanted,
        )


def _head(params: FeaturesParams) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "pooling": params.pooling,
        "batch_size": params.batch_size,
    }


def _keys(index: pd.DataFrame) -> list[str]:
    """Return what each row is computed from: its id gives the views their seeds."""
    return [f"{id_} {digest}" for id_, digest in zip(index["id"], index[DIGEST], strict=True)]


def _open_old(old: Path | None, keys: Sequence[str], layouts: Sequence[Layout]) -> Reusable:
    """Return what can be taken from an earlier build."""
    if old is None:
        return Reusable.none()
    try:
        features, index = Features.open(old), read_table(old / INDEX)
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
    """Yield the arrays of some rows, one row after the other; tell progress and the rate."""
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
    """Yield pooled features and the activations of all views of a batch, as they are asked for."""
    views = [
        _compute_view(work, cut, rows, view)
        for view in range(1 if cut is None else work.params.views)
    ]
    for place, row in enumerate(rows):
        found: list[Array] = []
        pooled = views[0][0]
        if pooled is not None:
            if not np.isfinite(pooled[place]).all():
                raise _broken(work.store, row)
            found.append(pooled[place])
        if cut is not None:
            halves = to_halves(
                np.stack([values[place] for _, values in views if values is not None])
            )
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
    """Return pooled features (of view 0 alone) and activations of some rows."""
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
    """Return one view of some pictures, uint8 [batch size, 3, H, W], filled up with zeros."""
    size = work.store.spec.size_px
    images = np.zeros((work.params.batch_size, 3, size, size), dtype=np.uint8)
    read = work.store.read if view else work.store.read_checked  # of all views, once is enough
    images[: len(rows)] = read(rows)
    if view > 0:
        ids = work.store.index["id"].to_numpy()[rows]
        seed, views = work.params.seed, work.params.views
        turns = spread_orientations(
            work.augment,
            [derive(seed, "orientation", each) for each in ids],
            view=view,
            views=views,
        )
        seeds = [derive(seed, "view", view, each) for each in ids]
        part = torch.from_numpy(images[: len(rows)].copy())
        images[: len(rows)] = augment_batch(part, work.augment, seeds, turns).numpy()
    return images


def _shape_at(trunk: Trunk, cut: str, size_px: int, runtime: Runtime) -> tuple[int, ...]:
    """Return the shape of one picture's activations at a cut."""
    black = torch.zeros(1, 3, size_px, size_px, dtype=torch.uint8, device=runtime.device)
    with torch.inference_mode(), runtime.autocast():
        return tuple(trunk.backbone.lower(trunk.normalize(black), cut).shape[1:])
