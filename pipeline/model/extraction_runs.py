"""Features by runs of whole shards: each on any machine that computes the same bits.

A run is long, so that few batches are not full: rows of one run fill them together.
"""

import hashlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from pipeline.compute.device import open_runtime
from pipeline.compute.engine import LARGE, Checked, MachineParams, Share, map_in_order
from pipeline.compute.identity import check_fingerprint
from pipeline.compute.params import RuntimeParams
from pipeline.modality.nets import net
from pipeline.modality.types.params import AugmentSection
from pipeline.model.extraction import Cut, Extraction, Far, Make, compute_rows, make_ready
from pipeline.model.features import feature_layouts
from pipeline.model.network import Trunk
from pipeline.model.params import FeaturesParams
from pipeline.store.shard_writer import Reusable, write_shard
from pipeline.store.shards import Array, Rows, StoredRows
from pipeline.store.store import Store
from pipeline.weights.weights import load_backbone

_ROWS = 512
"""Of a run, at least: one shard of 32 rows would waste up to a fifth of its batches."""

_Row: TypeAlias = "Sequence[StoredRows] | None"
"""Where an earlier build holds a row of each array; None for one that is computed."""

_QUIET = MachineParams.alone(workers=1, progress="none")


@dataclass(frozen=True)
class Sources:
    """What an extraction is opened from, on any machine.

    Attributes:
        store: The items.
        normalization: How rows become inputs.
        backbone: The backbone's tensors.
        record: The backbone's record.
        params: What is computed.
        augment: How views differ.
        runtime: Device and precision.
    """

    store: Path
    normalization: Path
    backbone: Path
    record: Path
    params: FeaturesParams
    augment: AugmentSection
    runtime: RuntimeParams

    def open(self) -> Extraction:
        """Open the files, and choose the device.

        Raises:
            PipelineError: A file is missing, damaged, or for others; or there is no such device.
        """
        store = Store.open(self.store)
        built, _ = load_backbone(self.backbone, self.record, store.modality)
        fitted = net(store.modality).load_normalization(self.normalization)
        trunk = Trunk(built, normalization=fitted, pooling=self.params.pooling)
        return Extraction(store, trunk, self.params, self.augment, open_runtime(self.runtime))


@dataclass(frozen=True)
class Run:
    """Some shards: their numbers, and where an earlier build holds each of their rows."""

    shards: tuple[tuple[int, tuple[_Row, ...]], ...]

    def __str__(self) -> str:
        """Name the shards, for the message about a process that died over them."""
        return f"shards {self.shards[0][0]} to {self.shards[-1][0]}"


def far_maker(sources: Sources, work: Extraction, machine: MachineParams) -> Far:
    """Return what makes shards on the machines of a cluster.

    Args:
        sources: What each machine opens.
        work: What they give here: machines that compute by another fingerprint are left out.
        machine: The engine.
    """
    fingerprint = work.runtime.fingerprint()
    share = Share(work.runtime.threads, int(work.runtime.device.type == "cuda"))

    def far(folder: Path, old: Reusable, parts: Sequence[Sequence[str]]) -> Make:
        def make(numbers: Sequence[int]) -> Generator[Sequence[str], None, None]:
            function = Checked(
                partial(write_run, sources, folder),
                partial(first_batch_digest, sources, fingerprint),
                share,
                LARGE,
            )
            runs = list(_runs(numbers, old, parts))
            for digests in map_in_order(function, runs, machine, title="features"):
                yield from digests

        return make

    return far


def write_run(sources: Sources, folder: Path, run: Run) -> list[list[str]]:
    """Compute the rows of some shards, and write these.

    Returns:
        For each shard the SHA-256 of its files.
    """
    work, cut = _opened(sources)
    layouts = feature_layouts(work.params, work.trunk.dim, cut.shape if cut else None)
    fresh = compute_rows(work, cut, _todo(work, run), _QUIET)

    def rows(stored: Sequence[_Row]) -> Iterator[Sequence[Array | StoredRows]]:
        for each in stored:
            yield next(fresh) if each is None else each

    digests = [
        write_shard(folder, layouts, number, rows(stored), count=len(stored))
        for number, stored in run.shards
    ]
    for _ in fresh:
        raise RuntimeError("more rows were computed than were asked for")
    return digests


def first_batch_digest(sources: Sources, fingerprint: Mapping[str, str | int], run: Run) -> str:
    """Return a SHA-256 over what the first batch of a run gives here; nothing is written.

    Raises:
        MachineError: This machine computes by another fingerprint.
    """
    work, cut = _opened(sources)
    check_fingerprint(work.runtime.fingerprint(), fingerprint)
    digest = hashlib.sha256()
    for arrays in compute_rows(work, cut, _todo(work, run)[: work.params.batch_size], _QUIET):
        for each in arrays:
            digest.update(np.ascontiguousarray(each).data)
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _opened(sources: Sources) -> tuple[Extraction, Cut | None]:
    work = sources.open()
    return work, make_ready(work)


def _todo(work: Extraction, run: Run) -> Rows:
    """Return the rows of the store that a run computes."""
    found: list[int] = []
    for number, stored in run.shards:
        start = int(work.store.values.ends[number]) - len(stored)
        found += [start + place for place, each in enumerate(stored) if each is None]
    return np.array(found, dtype=np.int64)


def _runs(numbers: Sequence[int], old: Reusable, parts: Sequence[Sequence[str]]) -> Iterator[Run]:
    shards: list[tuple[int, tuple[_Row, ...]]] = []
    rows = 0
    for number in numbers:
        shards.append((number, tuple(old.stored_row(key) for key in parts[number])))
        rows += len(parts[number])
        if rows >= _ROWS:
            yield Run(tuple(shards))
            shards, rows = [], 0
    if shards:
        yield Run(tuple(shards))
