"""The frozen part of a backbone, run once over all items: what the stage `features` computes.

Rows that an earlier build holds are copied, not computed again.

Axes: N = rows of the store, B = items of a batch, D = pooled features.
"""

import logging
import math
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

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
from pipeline.modality.nets import Net, net
from pipeline.modality.table import write_modality
from pipeline.modality.types import backbone as backbone_module
from pipeline.modality.types.params import AugmentSection
from pipeline.model import activations as activations_module
from pipeline.model import network
from pipeline.model.activations import to_halves
from pipeline.model.features import FORMAT, INDEX, RECORD, VERSION, Features, feature_layouts
from pipeline.model.network import Trunk, batches_of_one_size
from pipeline.model.params import FeaturesParams
from pipeline.store.previous_build import code_digest
from pipeline.store.shard_writer import Reusable, check_room, fill_folder, pieces, write_shards
from pipeline.store.shards import Array, Layout, Rows
from pipeline.store.store import DIGEST, Store
from pipeline.store.unfinished import NOTHING, Builds

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]

_LINES = 10
"""Progress lines where there is no terminal."""

_TOGETHER = 64
"""Batches of rows that are sorted by their size."""


Make = Callable[[Sequence[int]], Generator[Sequence[str], None, None]]
"""As `fill_folder` takes it."""

Far = Callable[[Path, Reusable, Sequence[Sequence[str]]], Make]
"""Given the folder, what an earlier build has, and the keys of each shard's rows."""


class Cut(NamedTuple):
    """A cut, and the shape of the activations that are stored of an item."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Extraction:
    """What is computed, from what, how.

    Attributes:
        store: The items.
        trunk: Folded and moved to the device by `extract`.
        params: What is computed.
        augment: How views differ from the item; the first one does not.
        runtime: Device and precision.
    """

    store: Store
    trunk: Trunk
    params: FeaturesParams
    augment: AugmentSection
    runtime: Runtime

    @property
    def net(self) -> Net:
        """Of the modality of the items."""
        return net(self.store.modality)


def made_from(work: Extraction, *, backbone: Path) -> dict[str, Any]:
    """Return what the features of an item depend on, besides its row: JSON.

    Args:
        work: What is computed.
        backbone: The file with the backbone's tensors.
    """
    own = (activations_module, backbone_module, network, seeds, sys.modules[__name__])
    return {
        "architecture": work.trunk.backbone.architecture,
        "augment": work.augment.model_dump(mode="json"),
        "backbone": sha256_file(backbone),
        "code": code_digest(*own, *work.net.CODE, versions=work.net.VERSIONS),
        "features": work.params.model_dump(mode="json"),
        "fingerprint": work.runtime.fingerprint(),
        "normalization": work.trunk.normalization.to_dict(),
        **work.net.facts(work.store.spec),
    }


def extract(
    work: Extraction,
    *,
    machine: MachineParams,
    out: Path,
    before: Builds = NOTHING,
    far: Far | None = None,
) -> None:
    """Compute what is asked for of every row of the store, and write it whole or not at all.

    Every batch has the same shape, the last one is filled up with zeros; so an item's features do
    not depend on which others there are, and rows of an earlier build can stand beside new ones.

    Args:
        work: What to compute.
        machine: Progress.
        out: The folder; an older one is replaced.
        before: Features that were made from the same (`made_from`).
        far: Makes shards on other machines; None: all is computed in this process.

    Raises:
        ParamsError: The architecture takes other rows, or has no such cut.
        DataError: Features of an item are not finite, or too large for their type.
        IntegrityError: A shard of the store that is computed from was changed.
        MachineError: The disk lacks room for them and DVC's copy.
    """
    store, trunk, params, runtime = work.store, work.trunk, work.params, work.runtime
    cut = make_ready(work)
    layouts = feature_layouts(params, trunk.dim, cut.shape if cut else None)
    size_bytes = len(store) * sum(layout.row_bytes for layout in layouts)
    log.info("features: %.1f MB to write", size_bytes / 1e6)
    check_room(out, size_bytes, remedy="lower features.views, or raise features.cut")
    keys = _keys(store.index)
    reused = before.or_whole(_open_old(before.whole, keys, layouts), layouts, keys)
    rows = np.array([row for row, key in enumerate(keys) if key not in reused], dtype=np.int64)
    parts = list(pieces(keys, [int(each["rows"]) for each in store.values.files]))
    with replacing_folder(out) as scratch:
        if far is None:
            fresh, keep = compute_rows(work, cut, rows, machine), before.keep
            files = write_shards(scratch, layouts, parts, fresh=fresh, old=reused, keep=keep)
        else:
            make = far(scratch, reused, parts)
            files = fill_folder(scratch, layouts, parts, old=reused, make=make, keep=before.keep)
        found = dict(zip([layout.name for layout in layouts], files, strict=True))
        write_table(scratch / INDEX, store.index[["id", DIGEST]])
        write_json(
            scratch / RECORD,
            {
                **_head(params),
                "pooled": {"dim": trunk.dim, "files": found["pooled"]} if params.pooled else None,
                "activations": None
                if cut is None
                else {"views": params.views, "shape": list(cut.shape), "files": found["cut"]},
                "cut": cut.name if cut else "none",
                "architecture": trunk.backbone.architecture,
                "fingerprint": runtime.fingerprint(),
                **work.net.facts(store.spec),
                **write_modality(store.modality),
            },
        )
    if len(rows) < len(store):
        taken = len(store) - len(rows)
        log.info("features: %d of %d rows are from %s", taken, len(store), reused.name)


def make_ready(work: Extraction) -> Cut | None:
    """Check the index and the trunk, make it ready for inference, and find the cut.

    Raises:
        ParamsError: The architecture takes other rows, or has no such cut.
        IntegrityError: The store's index was changed.
    """
    store, trunk, runtime = work.store, work.trunk, work.runtime
    trunk.backbone.check(store.spec)
    cut = work.params.cut
    name = None if cut == "none" else trunk.backbone.cut_name(cut)
    trunk.fold()
    trunk.to(runtime.device)
    if name is None:
        return None
    with runtime.autocast():
        return Cut(name, trunk.backbone.shape_at(store.spec, name, runtime.device))


def write_empty(params: FeaturesParams, *, out: Path) -> None:
    """Write a valid folder without features, for strategies that need none."""
    with replacing_folder(out) as scratch:
        write_json(
            scratch / RECORD, {**_head(params), "cut": "none", "pooled": None, "activations": None}
        )
    log.info("features: none are asked for (features.pooled is false, features.cut is none)")


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


def compute_rows(
    work: Extraction, cut: Cut | None, todo: Rows, machine: MachineParams
) -> Iterator[list[Array]]:
    """Yield the arrays of some rows, one row after the other; tell progress and the rate."""
    start = time.monotonic()
    views = 1 if cut is None else work.params.views
    size = work.params.batch_size
    total, done = len(todo) * views, 0
    line_every = max(1, math.ceil(total / _LINES))
    with progress(range(total), machine, total=total, title="features", unit="items") as bar:

        def tell(rows: int) -> None:
            nonlocal done
            before, done = done, done + rows * views
            bar.update(rows * views)
            if machine.shows_lines() and done // line_every > before // line_every:
                log.info("features: %d of %d items", done, total)

        for first in range(0, len(todo), _TOGETHER * size):
            yield from _compute_together(work, cut, todo[first : first + _TOGETHER * size], tell)
    rate = total / max(time.monotonic() - start, 1e-9)
    log.info("features: %d items in %d views, %.0f views/s", len(todo), views, rate)


def _compute_together(
    work: Extraction, cut: Cut | None, todo: Rows, tell: Callable[[int], None]
) -> Iterator[list[Array]]:
    """Yield the arrays of some batches of rows in their order; a batch has inputs of one size."""
    backbone = work.trunk.backbone
    read = work.store.read if backbone.has_sizes else np.zeros_like
    sizes = backbone.sizes(read(todo))
    order = np.argsort(sizes, kind="stable")
    found: dict[int, list[Array]] = {}
    wanted = iter(todo.tolist())
    waiting = next(wanted)
    for rows in batches_of_one_size(todo[order], sizes[order], work.params.batch_size):
        found.update(zip(rows.tolist(), _compute_rows(work, cut, rows), strict=True))
        tell(len(rows))
        while waiting in found:
            yield found.pop(waiting)
            waiting = next(wanted, -1)


def _compute_rows(work: Extraction, cut: Cut | None, rows: Rows) -> Iterator[list[Array]]:
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
    work: Extraction, cut: Cut | None, rows: Rows, view: int
) -> tuple[Floats | None, Floats | None]:
    """Return pooled features (of view 0 alone) and activations of some rows."""
    trunk, params = work.trunk, work.params
    batch = torch.from_numpy(_batch(work, rows, view)).to(work.runtime.device)
    pooled = activations = None
    with torch.inference_mode(), work.runtime.autocast():
        values = trunk.prepare(batch)
        if cut is not None:
            values = trunk.backbone.lower(values, cut.name)
            activations = _filled(values.float().cpu().numpy()[: len(rows)], cut.shape)
        if view == 0 and params.pooled:
            backbone = trunk.backbone
            last = backbone(values) if cut is None else backbone.upper(values, cut.name)
            pooled = backbone.pool(last, params.pooling).cpu().numpy()[: len(rows)]
    return pooled, activations


def _filled(values: Floats, shape: tuple[int, ...]) -> Floats:
    """Fill up the axes of each item's values with zeros at their ends."""
    wanted = (len(values), *shape)
    if values.shape == wanted:
        return values
    filled = np.zeros(wanted, dtype=values.dtype)
    filled[tuple(map(slice, values.shape))] = values
    return filled


def _batch(work: Extraction, rows: Rows, view: int) -> Array:
    """Return one view of some rows, [batch size, ...], filled up with zeros."""
    layout = work.store.values.layout
    batch = np.zeros((work.params.batch_size, *layout.shape), dtype=layout.dtype)
    batch[: len(rows)] = work.store.read(rows)
    if view > 0:
        ids = work.store.index["id"].to_numpy()[rows]
        seed, views = work.params.seed, work.params.views
        codes = work.net.spread_views(
            work.augment,
            [derive(seed, "orientation", each) for each in ids],
            view=view,
            views=views,
        )
        seeds = [derive(seed, "view", view, each) for each in ids]
        part = torch.from_numpy(batch[: len(rows)].copy())
        batch[: len(rows)] = work.net.augment(part, work.augment, seeds, codes).numpy()
    return batch
