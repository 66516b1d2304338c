"""The same function on many items: all cores, in order, with a progress bar and flat memory."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Annotated, Literal, TypeVar

from pydantic import Field
from tqdm import tqdm

from pipeline.errors import MachineError
from pipeline.params import Section

T = TypeVar("T")
A = TypeVar("A")
R = TypeVar("R")

_PR_SET_PDEATHSIG = 1
_MAX_CHUNK = 16
"""Items sent to a worker at once; with `_WINDOW` it bounds the memory of results in flight."""

_WINDOW = 3
"""Chunks in flight for each worker."""


class MachineParams(Section):
    """`machine`: what changes the speed or the looks of a run, and no result."""

    workers: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)]
    """Processes that decode; `auto` is one for each core that this process may use."""

    progress: Literal["auto", "bar", "lines", "none"]
    """`auto`: a bar on a terminal, lines elsewhere."""

    def count_workers(self) -> int:
        """Give the number of processes."""
        if self.workers == "auto":
            return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (
                os.cpu_count() or 1)  # fmt: skip
        return self.workers

    def shows_bar(self) -> bool:
        """Tell whether a bar is drawn."""
        return self.progress == "bar" or (self.progress == "auto" and sys.stderr.isatty())

    def shows_lines(self) -> bool:
        """Tell whether progress is printed line by line."""
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
    function: Callable[[A], R], items: Sequence[A], machine: MachineParams, *, title: str
) -> Iterator[R]:
    """Apply a picklable function to every item on all cores; results come in the items' order.

    At most a few items for each worker are in flight, so memory does not grow with their number.

    Raises:
        MachineError: A worker died (killed, or out of memory).
    """
    workers = min(machine.count_workers(), max(1, len(items)))
    if workers == 1 or len(items) < 2 * workers:
        yield from progress(map(function, items), machine, total=len(items), title=title,
                            unit="items")  # fmt: skip
        return
    chunk = max(1, min(_MAX_CHUNK, len(items) // (workers * 8)))
    chunks = [items[start : start + chunk] for start in range(0, len(items), chunk)]
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_start_worker,
        initargs=(os.getpid(),),
    ) as pool:  # fmt: skip
        results = _windowed(pool, function, chunks, _WINDOW * workers)
        flat = (result for results_of_chunk in results for result in results_of_chunk)
        yield from progress(flat, machine, total=len(items), title=title, unit="items")


def die_with_parent(parent: int) -> None:
    """Ask the kernel to end this process when its parent ends (Linux; elsewhere no effect)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)


def _start_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(parent)


def _apply(function: Callable[[A], R], chunk: Sequence[A]) -> list[R]:
    return [function(item) for item in chunk]


def _windowed(
    pool: ProcessPoolExecutor,
    function: Callable[[A], R],
    chunks: Sequence[Sequence[A]],
    window: int,
) -> Iterator[list[R]]:
    pending: deque[Future[list[R]]] = deque()
    remaining = iter(chunks)
    try:
        for chunk in remaining:
            pending.append(pool.submit(_apply, function, chunk))
            if len(pending) >= window:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise MachineError(
            "machine.workers", "a worker process died", remedy="fewer workers need less memory"
        ) from error
    finally:
        for future in pending:
            future.cancel()
