"""Whole trainings on the machines of a cluster: each on one that computes the same bits."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TypeVar

import numpy as np

from pipeline.compute.device import open_runtime
from pipeline.compute.engine import FIT, Checked, MachineParams, Share, map_in_order
from pipeline.compute.identity import check_fingerprint
from pipeline.compute.params import RuntimeParams
from pipeline.ground.errors import PipelineError
from pipeline.train.inputs import Parts, Rows, Sources, open_parts
from pipeline.train.plan import Plan
from pipeline.train.ranks import digest
from pipeline.train.trainer import open_training

A = TypeVar("A")
R = TypeVar("R")

_TRIED = {"epochs": 1, "batch_size": 8, "parts": 1}
_TRAIN, _VAL = 32, 16
"""Items that a machine trains on to show its bits."""


@dataclass(frozen=True)
class Fits:
    """What some trainings have in common; small, and can be sent to another machine.

    Attributes:
        sources: What each machine opens.
        plan: What is trained, but for what differs between them.
        runtime: Device and precision.
    """

    sources: Sources
    plan: Plan
    runtime: RuntimeParams

    def open(self) -> Parts:
        """Open the sources; a process does it once."""
        return _opened(self.sources)


_opened = lru_cache(maxsize=1)(open_parts)


def map_fits(
    function: Callable[[A], R], items: Sequence[A], fits: Fits, machine: MachineParams
) -> Iterator[R]:
    """Apply a function that trains to every item, on all machines; results come in their order.

    Args:
        function: Picklable. What it raises is raised here, in the turn of its item.
        items: Small each.
        fits: Of these a machine trains one for an epoch, to show its bits.
        machine: Its engine is a cluster. Progress is told by the caller.
    """
    runtime = open_runtime(fits.runtime)
    share = Share(runtime.threads, int(runtime.device.type == "cuda"))
    canary = partial(_bits, fits, runtime.fingerprint())
    quiet = machine.model_copy(update={"progress": "none"})
    return map_in_order(Checked(function, canary, share, FIT), items, quiet, title="fits")


def _bits(fits: Fits, fingerprint: Mapping[str, str | int], item: object) -> str:
    """Return a SHA-256 over what a short training gives here; nothing is written.

    Raises:
        MachineError: This machine computes by another fingerprint.
    """
    del item
    check_fingerprint(open_runtime(fits.runtime).fingerprint(), fingerprint)
    return _trained(fits)


@lru_cache(maxsize=1)
def _trained(fits: Fits) -> str:
    parts, recipe = fits.open(), fits.plan.recipe
    short = replace(recipe, train=recipe.train.model_copy(update=_TRIED))
    rows = Rows(_some(parts.store.rows("train"), _TRAIN), _some(parts.store.rows("val"), _VAL))
    try:
        plan = replace(fits.plan, recipe=short)
        training = open_training(plan, parts, open_runtime(fits.runtime), rows=rows)
        for _ in training.run(None):
            pass
    except PipelineError as error:  # of the params or the data: raised where it is due
        return hashlib.sha256(str(error).encode()).hexdigest()
    return digest(training.learner.models)


def _some(rows: np.ndarray, most: int) -> np.ndarray:
    """Return rows at equal distances, in their order."""
    return rows[:: max(1, len(rows) // most)][:most]
