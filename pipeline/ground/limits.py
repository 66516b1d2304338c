"""What one item of data may take, and how many stand on one sheet."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SHEET_LIMIT = 96
"""Items on one contact sheet; its title counts those left out."""


@dataclass(frozen=True)
class ItemLimits:
    """What one item may take; an item that takes more is lost, the others are not."""

    bytes: int
    """Of its file, or of its part of a container; larger ones are not read."""

    seconds: float
    """Of the clock on the wall; a worker process dies at it."""

    memory: int
    """In bytes, on top of what a worker process has when it starts. Linux alone enforces it."""


def data_bytes() -> int | None:
    """Return the memory of this process that its limit counts; None where nobody tells."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    return int(statm.read_text(encoding="ascii").split()[5]) * resource.getpagesize()


@contextmanager
def clock_stopped() -> Iterator[None]:
    """Stop the clock of an item while the block waits for others, such as a network."""
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        if left:
            signal.setitimer(signal.ITIMER_REAL, left)


@contextmanager
def memory_not_counted() -> Iterator[None]:
    """Raise the limit of an item's memory by what the block keeps, such as libraries."""
    before, (soft, hard) = data_bytes(), resource.getrlimit(resource.RLIMIT_DATA)
    if before is None or soft in (hard, resource.RLIM_INFINITY):
        yield
        return
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
    try:
        yield
    finally:
        kept = max(0, (data_bytes() or before) - before)
        resource.setrlimit(resource.RLIMIT_DATA, (soft + kept, hard))
