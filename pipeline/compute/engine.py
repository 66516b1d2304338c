"""The same function on many items: all cores, in order, with a progress bar and flat memory."""

import os
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field
from tqdm import tqdm

from pipeline.compute.dealing import FIT as FIT
from pipeline.compute.dealing import LARGE as LARGE
from pipeline.compute.node import Checked as Checked
from pipeline.compute.node import Order
from pipeline.compute.node import Share as Share
from pipeline.compute.pool import Lost as Lost
from pipeline.compute.pool import Pool
from pipeline.ground.errors import MachineError
from pipeline.ground.limits import ItemLimits
from pipeline.ground.params import Section

T = TypeVar("T")
A = TypeVar("A")
R = TypeVar("R")

_MAX_CHUNK = 16
"""Items sent to a worker at once; it bounds the memory of results in flight."""


class MachineParams(Section):
    """`machine`: what changes the speed or the looks of a run, and no result."""

    workers: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)]
    """Processes that decode; `auto` is one for each core that this process may use."""

    progress: Literal["auto", "bar", "lines", "none"]
    """`auto`: a bar on a terminal, lines elsewhere."""

    engine: Literal["local", "ray"]
    """Where items are worked on: on this machine, or on those of the cluster that `RAY_ADDRESS`
    names."""

    ranks: int = Field(ge=1, le=1024)
    """Processes that train together, one a GPU, or on the processor; must divide `train.parts`."""

    @classmethod
    def alone(
        cls,
        *,
        workers: Literal["auto"] | int,
        progress: Literal["auto", "bar", "lines", "none"],
        engine: Literal["local", "ray"] = "local",
    ) -> "MachineParams":
        """Return params of work that reads no params.yaml, and by one process in each place."""
        return cls(workers=workers, progress=progress, engine=engine, ranks=1)

    def here(self) -> "MachineParams":
        """Return the same for work that is too little, or too large to send, for a cluster."""
        return self.model_copy(update={"engine": "local"})

    def count_workers(self) -> int:
        """Return the number of processes."""
        if self.workers == "auto":
            return (
                len(os.sched_getaffinity(0))
                if hasattr(os, "sched_getaffinity")
                else (os.cpu_count() or 1)
            )
        return self.workers

    def shows_bar(self) -> bool:
        """Return whether a bar is drawn."""
        return self.progress == "bar" or (self.progress == "auto" and sys.stderr.isatty())

    def shows_lines(self) -> bool:
        """Return whether progress is printed line by line."""
        return self.progress == "lines" or (self.progress == "auto" and not sys.stderr.isatty())


def progress(
    items: Iterable[T], machine: MachineParams, *, total: int, title: str, unit: str
) -> "tqdm[T]":
    """Wrap an iterable with a bar on stderr: done, remaining time, rate."""
    return tqdm(
        items,
        total=total,
        desc=title,
        unit=f" {unit}",
        disable=not machine.shows_bar(),
        dynamic_ncols=True,
        file=sys.stderr,
    )


def map_in_order(
    function: Callable[[A], R] | Checked[A, R],
    items: Sequence[A],
    machine: MachineParams,
    *,
    title: str,
    limits: ItemLimits | None = None,
    lost: Callable[[A, Lost], R] | None = None,
) -> Iterator[R]:
    """Apply a picklable function to every item on all cores; results come in the items' order.

    At most a few items for each worker are in flight, so memory does not grow with their number.

    Args:
        function: What it raises is raised here. Of several machines only those work that agree on
            its canary.
        items: Small each, such as paths: they are sent to the workers.
        machine: Workers and progress.
        title: Of the progress bar.
        limits: Of each item. With limits, even a single worker is a process of its own.
        lost: Returns the result for an item that killed its worker (twice, if there are limits).

    Raises:
        ParamsError: The engine is Ray, and it is not installed.
        MachineError: A worker died (killed, or out of memory) and there is no `lost`; or there is
            no cluster, or none of its machines can work.
    """
    work = function if isinstance(function, Checked) else Checked(function)
    workers = min(machine.count_workers(), max(1, len(items)))
    is_contained = limits is not None or lost is not None
    if machine.engine == "ray" and items:
        name, home = uuid.uuid4().hex, str(Path.cwd())
        order = Order(name, home, work.function, limits, work.canary, work.share, work.grain)
        results: Iterator[R] = _spread_far(order, items, machine, lost)
    elif not is_contained and (workers == 1 or len(items) < 2 * workers):
        results = map(work.function, items)
    else:
        results = _spread(work.function, items, workers, limits=limits, lost=lost)
    yield from progress(results, machine, total=len(items), title=title, unit="items")


def _spread(
    function: Callable[[A], R],
    items: Sequence[A],
    workers: int,
    *,
    limits: ItemLimits | None,
    lost: Callable[[A, Lost], R] | None,
) -> Iterator[R]:
    chunk = max(1, min(_MAX_CHUNK, len(items) // (workers * 8)))
    with closing(Pool(function, workers, limits, chunk=chunk)) as pool:
        for answer, item in zip(pool.results(items), items, strict=True):
            yield _settle(answer, item, lost)


def _spread_far(
    order: Order[A, R],
    items: Sequence[A],
    machine: MachineParams,
    lost: Callable[[A, Lost], R] | None,
) -> Iterator[R]:
    from pipeline.compute.cluster import results

    answers = results(order, items, workers=machine.workers)
    with closing(answers):
        for answer, item in zip(answers, items, strict=True):
            yield _settle(answer, item, lost)


def _settle(answer: R | Lost, item: A, lost: Callable[[A, Lost], R] | None) -> R:
    if not isinstance(answer, Lost):
        return answer
    if lost is not None:
        return lost(item, answer)
    named = item[0] if isinstance(item, tuple) and item else item
    raise MachineError(
        "machine.workers",
        f"a worker process died at {str(named)!r}: {answer.detail}",
        remedy="fewer workers need less memory",
    )
